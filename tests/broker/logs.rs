//! Logs that are not what they were: cut, passed by retention, or of a topic that was deleted and made again. Nothing new is
//! taken for something old, and the program says what it does.

use std::ops::Range;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{Offset, TopicPartitionList};

use super::records::ours;
use super::stage::{Stage, forwarded, wait_forwarded};
use super::support::{Cluster, PATIENCE, Trailtag, sum, wait_until};

/// Findings with these numbers, to partition 0.
fn produce(stage: &Stage<'_>, numbers: Range<usize>) {
    let messages = numbers.map(|number| (0, ours(number)));
    stage.broker.produce_many(&stage.input, messages);
}

/// Deletes the input topic and makes it again, with these findings in it.
fn make_again(stage: &Stage<'_>, numbers: Range<usize>) {
    stage.broker.delete_topic(&stage.input);
    stage.broker.create_topic(&stage.input, 1, &[]);
    produce(stage, numbers);
}

/// The one line of its log that has this text.
fn said(trailtag: &Trailtag, text: &str) -> serde_json::Value {
    let log = trailtag.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
    assert_eq!(lines.len(), 1, "lines with {text}: {lines:?}");
    serde_json::from_str(lines[0]).unwrap()
}

fn wait_resets(trailtag: &Trailtag, reason: &str, count: f64) {
    let name = "trailtag_offset_resets_total";
    wait_until(PATIENCE, &format!("{count} resets: {reason}"), || {
        let page = trailtag.try_http("/metrics");
        let seen = page
            .ok()
            .and_then(|(_, page)| sum(&page, name, &[("reason", reason)]));
        if seen == Some(count) {
            Ok(())
        } else {
            Err(format!("{seen:?}; its log:\n{}", trailtag.log()))
        }
    });
}

/// The end of a test: nothing is lost and, exactly once, nothing doubled.
fn finish(
    stage: &Stage<'_>,
    mut trailtag: Trailtag,
    guarantee: &str,
    expected: impl IntoIterator<Item = usize>,
) {
    stage.wait_settled(1);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success(), "{}", trailtag.log());
    stage.assert_delivered(guarantee, expected);
}

/// What the group has committed for partition 0, with what stands beside it.
fn committed(stage: &Stage<'_>) -> TopicPartitionList {
    let mut client = stage.broker.client();
    let group: BaseConsumer = client.set("group.id", &stage.group).create().unwrap();
    let mut asked = TopicPartitionList::new();
    asked.add_partition(&stage.input, 0);
    group.committed_offsets(asked, PATIENCE).unwrap()
}

fn a_topic_that_is_made_again_is_read_from_its_start(guarantee: &str, old: usize, new: usize) {
    let stage = Stage::new(1);
    produce(&stage, 0..old);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    trailtag.wait_ready();
    stage.wait_settled(1);
    make_again(&stage, old..old + new);
    finish(&stage, trailtag, guarantee, 0..old + new);
}

#[test]
fn a_topic_that_is_made_again_and_is_shorter_is_read_from_its_start() {
    a_topic_that_is_made_again_is_read_from_its_start("exactly_once", 300, 100);
}

#[test]
fn a_topic_that_is_made_again_and_is_longer_is_read_from_its_start() {
    a_topic_that_is_made_again_is_read_from_its_start("exactly_once", 300, 885);
}

#[test]
fn a_topic_that_is_made_again_is_read_from_its_start_at_least_once() {
    a_topic_that_is_made_again_is_read_from_its_start("at_least_once", 300, 885);
}

#[test]
fn an_offset_of_a_deleted_topic_counts_for_nothing_at_the_start() {
    let stage = Stage::new(1);
    produce(&stage, 0..300);
    let settings = stage
        .settings("exactly_once")
        // A member that leaves is gone at once.
        .set("/kafka/consumer/group.instance.id", "");
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(1);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    let offsets = committed(&stage);
    let element = offsets.find_partition(&stage.input, 0).unwrap();
    assert_eq!(element.offset(), Offset::Offset(300));
    assert!(
        element.metadata().contains("topic_id="),
        "{}",
        element.metadata()
    );
    make_again(&stage, 300..1185);
    // The broker forgets the offsets of a topic with it. One that a commit brings back a moment later it keeps.
    let mut client = stage.broker.client();
    let group: BaseConsumer = client.set("group.id", &stage.group).create().unwrap();
    wait_until(PATIENCE, "the group is empty", || {
        match stage.broker.group(&stage.group) {
            (seen, 0) if seen == "Empty" => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    group.commit(&offsets, CommitMode::Sync).unwrap();

    let trailtag = Trailtag::start(&settings);
    wait_resets(&trailtag, "topic_recreated", 1.0);
    finish(&stage, trailtag, "exactly_once", 0..1185);
}

#[test]
fn what_retention_passed_by_is_counted_and_what_is_there_is_read() {
    let stage = Stage::new(1);
    produce(&stage, 0..300);
    let settings = stage.settings("exactly_once");
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(1);
    // While it runs: it sleeps, and what it would read next is removed meanwhile.
    trailtag.signal("STOP");
    // The question that is open at the broker is answered with the first one.
    produce(&stage, 300..301);
    produce(&stage, 301..700);
    stage.broker.delete_records(&stage.input, 0, 600);
    trailtag.signal("CONT");
    wait_resets(&trailtag, "expired", 1.0);
    stage.wait_settled(1);
    // What was on its way when it fell asleep was read.
    let line = said(&trailtag, "\"expired\"");
    let read = usize::try_from(line["committed"].as_i64().unwrap()).unwrap();
    assert!((300..600).contains(&read), "{line}");
    assert_eq!(line["messages_gone"], 600 - read, "{line}");
    assert_eq!(line["goes_on_at"], 600, "{line}");
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    // While it does not run.
    produce(&stage, 700..900);
    stage.broker.delete_records(&stage.input, 0, 750);
    let trailtag = Trailtag::start(&settings);
    wait_resets(&trailtag, "expired", 1.0);
    produce(&stage, 900..950);
    let there = (0..read).chain(600..700).chain(750..950);
    finish(&stage, trailtag, "exactly_once", there);
}

/// The leader is lost with what its follower had not copied, and the follower leads: new messages take the offsets of old
/// ones. Then the topic is made again, and its leader epochs begin anew.
fn a_log_that_was_cut_is_read_from_the_cut(guarantee: &str) {
    let cluster = Cluster::start();
    let stage = Stage {
        input: cluster.topic_on(
            "in",
            [2, 3],
            &[
                ("unclean.leader.election.enable", "true"),
                ("min.insync.replicas", "1"),
            ],
        ),
        ..Stage::on(cluster.admin(), 1)
    };
    let trailtag = Trailtag::start(&stage.settings(guarantee));
    produce(&stage, 0..180);
    stage.wait_settled(1);
    // Only the leader has what comes next.
    cluster.freeze(3);
    cluster.wait_in_sync(&stage.input, 0, &[2]);
    produce(&stage, 180..472);
    stage.wait_settled(1);
    cluster.lose(0);
    cluster.thaw(3);
    cluster.wait_in_sync(&stage.input, 0, &[3]);
    assert_eq!(stage.broker.anew().end_offset(&stage.input, 0), 180);
    // As many as were lost, and more: the offsets do not tell.
    let anew = stage.broker.anew();
    anew.produce_many(&stage.input, (472..1057).map(|number| (0, ours(number))));
    wait_resets(&trailtag, "truncated", 1.0);
    stage.wait_settled(1);
    let line = said(&trailtag, "\"truncated\"");
    assert_eq!(line["position"], 472, "{line}");
    assert_eq!(line["goes_on_at"], 180, "{line}");
    assert_eq!(line["messages_gone"], 292, "{line}");

    let before = forwarded(&trailtag);
    anew.delete_topic(&stage.input);
    anew.create_topic(&stage.input, 1, &[]);
    // The test's own producer would not find the new leader, whose epoch is lower.
    stage
        .broker
        .anew()
        .produce_many(&stage.input, (1057..1157).map(|number| (0, ours(number))));
    wait_forwarded(&trailtag, before);
    finish(&stage, trailtag, guarantee, 0..1157);
}

#[test]
fn a_log_that_was_cut_is_read_from_the_cut_exactly_once() {
    a_log_that_was_cut_is_read_from_the_cut("exactly_once");
}

#[test]
fn a_log_that_was_cut_is_read_from_the_cut_at_least_once() {
    a_log_that_was_cut_is_read_from_the_cut("at_least_once");
}
