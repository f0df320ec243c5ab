//! Why a worker lost its transaction or its name: each cause is said, and never another one.

use std::time::Duration;

use super::stage::{Stage, findings, forwarded, wait_forwarded};
use super::support::{PATIENCE, Trailtag, transaction_state, wait_until};

/// What is said of each cause.
const COORDINATOR: &str = "s, and the coordinator ends one after 60 s";
const OUTSIDE: &str = "was ended by others";
const OTHERS: &str = "the transactional id was initialised by others since";
const NOBODY: &str = "nobody else has initialised the transactional id since";
const TWIN: &str = "another process uses the name";

/// Says these, and none of the others.
fn assert_says(log: &str, said: &[&str]) {
    for text in [COORDINATOR, OUTSIDE, OTHERS, NOBODY, TWIN] {
        assert_eq!(log.contains(text), said.contains(&text), "{text}; {log}");
    }
}

/// A worker that hangs in the middle of a transaction, and how many messages were produced by then.
fn in_a_transaction(stage: &Stage<'_>) -> (Trailtag, usize) {
    let settings = stage
        .settings("exactly_once")
        // The look at the transaction takes seconds, in which it must stay in its group.
        .set("/kafka/consumer/session.timeout.ms", "45000");
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let produced = stage.while_messages_come(1, || {
        let mut tries = 0_u64;
        wait_until(PATIENCE, "it hangs in a transaction", || {
            // It forwards something between two tries; and each try is at another moment of its transactions.
            wait_forwarded(&trailtag, forwarded(&trailtag));
            std::thread::sleep(Duration::from_millis(tries * 7 % 60));
            tries += 1;
            trailtag.signal("STOP");
            // It has written already: else its messages would be late when it goes on, which is another matter.
            let all = stage.broker.read_uncommitted(&stage.output).len();
            let committed = stage.broker.read_committed(&stage.output).len();
            let told = if all > committed {
                // Only then, for this takes seconds.
                transaction_state(stage.broker, &id(stage))
            } else {
                format!("{committed} of {all} are committed")
            };
            if told == "Ongoing" {
                return Ok(());
            }
            trailtag.signal("CONT");
            Err(told)
        });
    });
    (trailtag, produced)
}

fn id(stage: &Stage<'_>) -> String {
    format!("{}-t-0", stage.group)
}

/// Lets it go on, and gives its log once it has said what the epoch of its next producer tells.
fn go_on(stage: &Stage<'_>, mut trailtag: Trailtag, produced: usize) -> String {
    trailtag.signal("CONT");
    trailtag.wait_logged("\"epoch_now\":");
    stage.wait_settled(1);
    trailtag.wait_ready();
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_each_once(findings(produced));
    trailtag.log()
}

#[test]
fn a_transaction_that_its_coordinator_ended_is_laid_to_nobody_else() {
    let stage = Stage::new(1);
    let (trailtag, produced) = in_a_transaction(&stage);
    // No sooner does the coordinator end it.
    std::thread::sleep(Duration::from_secs(55));
    wait_until(
        PATIENCE,
        "the coordinator ends the transaction",
        || match transaction_state(stage.broker, &id(&stage)).as_str() {
            "Ongoing" | "PrepareAbort" => Err("it is open"),
            _ => Ok(()),
        },
    );
    let log = go_on(&stage, trailtag, produced);
    assert_says(&log, &[COORDINATOR, NOBODY]);
}

#[test]
fn a_transaction_that_was_ended_from_outside_is_laid_to_no_twin_and_no_coordinator() {
    let stage = Stage::new(1);
    let (trailtag, produced) = in_a_transaction(&stage);
    // As an administrator does it who fences a producer.
    drop(stage.broker.transactional_as(&id(&stage)));
    let log = go_on(&stage, trailtag, produced);
    assert_says(&log, &[OUTSIDE, OTHERS]);
    assert!(log.contains("\"times\":1"), "{log}");
}

#[test]
fn a_stop_while_the_cause_is_looked_for_is_a_good_end() {
    let stage = Stage::new(1);
    let (mut trailtag, produced) = in_a_transaction(&stage);
    drop(stage.broker.transactional_as(&id(&stage)));
    trailtag.signal("CONT");
    trailtag.wait_logged("Fatal transaction error");
    trailtag.sigterm();
    let end = trailtag.wait_exit(PATIENCE);
    let log = trailtag.log();
    assert!(end.success(), "{end}; {log}");
    assert!(
        log.contains("worker failed while it was told to stop"),
        "{log}"
    );
    let mut next = Trailtag::start(&stage.settings("exactly_once"));
    stage.wait_settled(1);
    next.sigterm();
    assert!(next.wait_exit(PATIENCE).success());
    stage.assert_each_once(findings(produced));
}

#[test]
fn a_twin_is_told_by_the_name_that_both_have() {
    let stage = Stage::new(2);
    let settings = stage.settings("exactly_once");
    let twins = [Trailtag::start(&settings), Trailtag::start(&settings)];
    let produced = stage.while_messages_come(2, || {
        for twin in &twins {
            twin.wait_logged(&format!("{TWIN} {}", id(&stage)));
            twin.wait_logged("delivery.transactional_id_prefix");
        }
    });
    let [mut gone, mut stays] = twins;
    gone.kill9();
    stays.wait_ready();
    stage.wait_settled(2);
    for log in [gone.log(), stays.log()] {
        assert!(!log.contains(COORDINATOR) && !log.contains(NOBODY), "{log}");
    }
    stays.sigterm();
    assert!(stays.wait_exit(PATIENCE).success());
    stage.assert_each_once(findings(produced));
}
