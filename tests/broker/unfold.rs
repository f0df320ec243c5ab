//! Messages that become more than fits into one commit.

use std::io::Write as _;
use std::time::Duration;

use super::records::ours;
use super::stage::Stage;
use super::support::{PATIENCE, Trailtag, wait_until};

/// An S3 file with so many findings, packed: a small message that becomes some 20 KB for each.
fn file(findings: usize) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(b"{\"Records\":[").unwrap();
    for number in 0..findings {
        if number > 0 {
            packer.write_all(b",").unwrap();
        }
        packer.write_all(&ours(number)).unwrap();
    }
    packer.write_all(b"]}").unwrap();
    packer.finish().unwrap()
}

fn wait_delivered(stage: &Stage<'_>, trailtag: &Trailtag, count: f64) {
    wait_until(PATIENCE, &format!("{count} findings are out"), || {
        let seen = trailtag
            .try_http("/metrics")
            .ok()
            .and_then(|_| trailtag.metric("trailtag_forwarded_total", &[]));
        if seen.is_some_and(|seen| seen >= count) {
            Ok(())
        } else {
            Err(format!(
                "{seen:?} on {}; its log:\n{}",
                stage.output,
                trailtag.log()
            ))
        }
    });
}

/// A message of many findings leaves in parts. Killed, stopped and begun again in the middle of it, it goes on there.
fn a_message_of_many_findings_leaves_in_parts(guarantee: &str) {
    const FINDINGS: usize = 6_000;
    let stage = Stage::new(1);
    let settings = stage
        .settings(guarantee)
        .set("/kafka/memory_budget", 16 << 20)
        .set("/shutdown_grace", "20s");
    let message = file(FINDINGS);
    stage.broker.produce(&stage.input, 0, None, &message, &[]);
    stage
        .broker
        .produce(&stage.input, 0, None, &ours(FINDINGS), &[]);

    // In the middle of it: killed, so that what is in flight is lost.
    let mut trailtag = Trailtag::start(&settings);
    wait_delivered(&stage, &trailtag, 1_000.0);
    trailtag.kill9();
    // Stopped, so that what is in flight is finished; and no more of the message than that.
    let mut trailtag = Trailtag::start(&settings);
    wait_delivered(&stage, &trailtag, 500.0);
    trailtag.sigterm();
    let status = trailtag.wait_exit(Duration::from_secs(20));
    assert!(status.success(), "{status}; its log:\n{}", trailtag.log());
    let before = stage.read(&stage.output).len();
    assert!(
        (1_000..FINDINGS).contains(&before),
        "it was in the middle: {before}"
    );
    assert_eq!(stage.committed(0), Some(0), "the message is not finished");
    // Begun again: it goes on there, and what follows comes after it.
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(1);
    let memory = trailtag.peak_memory();
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_delivered(guarantee, 0..=FINDINGS);
    let messages = stage.read(&stage.output);
    if guarantee == "exactly_once" {
        let in_order = messages
            .iter()
            .enumerate()
            .all(|(number, it)| it.key.as_deref() == Some(format!("e-{number}").as_bytes()));
        assert!(in_order, "the order of the records is kept");
    }
    // Documents alone have 120 MB and more; held whole and once more in the producer's queue, that would be twice as much.
    let documents: usize = messages
        .iter()
        .map(|it| it.payload.as_ref().map_or(0, Vec::len))
        .sum();
    assert!(documents > 100 << 20, "{documents}");
    assert!(memory < 150, "{memory} MB at the peak");
}

#[test]
fn a_message_of_many_findings_leaves_in_parts_exactly_once() {
    a_message_of_many_findings_leaves_in_parts("exactly_once");
}

#[test]
fn a_message_of_many_findings_leaves_in_parts_at_least_once() {
    a_message_of_many_findings_leaves_in_parts("at_least_once");
}

/// A rebalance in the middle of a message: the next owner goes on where the last one was.
#[test]
fn a_message_of_many_findings_goes_on_with_its_next_owner() {
    const FINDINGS: usize = 4_000;
    let stage = Stage::new(1);
    let message = file(FINDINGS);
    stage.broker.produce(&stage.input, 0, None, &message, &[]);
    let mut first = stage.member("first");
    wait_delivered(&stage, &first, 500.0);
    let mut second = stage.member("second");
    second.wait_ready();
    first.sigterm();
    assert!(first.wait_exit(PATIENCE).success(), "{}", first.log());
    stage.wait_settled(1);
    second.sigterm();
    assert!(second.wait_exit(PATIENCE).success(), "{}", second.log());
    stage.assert_each_once(0..FINDINGS);
}
