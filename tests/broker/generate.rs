//! `trailtag generate` to a topic.

use crate::support::{Broker, PATIENCE, Process, Trailtag, unique};

/// Runs `trailtag generate` to its end, and gives what it wrote to standard output and to standard error.
fn generate(arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Trailtag::command();
    command.arg("generate").args(arguments);
    let mut process = Process::start(command);
    let status = process.wait_exit(PATIENCE);
    (status.code(), process.output(), process.log())
}

#[test]
fn a_missing_topic_is_created_and_gets_the_same_payloads_as_standard_output_in_turn() {
    let broker = Broker::shared();
    let topic = unique("generated");
    let asked = ["--records", "1000", "--seed", "3", "--shape", "s3_file"];
    let to_kafka = [
        "--topic",
        &topic,
        "--brokers",
        broker.bootstrap(),
        "--partitions",
        "3",
    ];
    let (code, output, log) = generate(&[&asked[..], &to_kafka[..]].concat());
    assert_eq!((code, output.as_str(), log.as_str()), (Some(0), "", ""));

    let (_, expected, _) = generate(&asked);
    let expected: Vec<&str> = expected.lines().collect();
    assert_eq!(expected.len(), 10);
    let messages = broker.read_committed(&topic);
    assert_eq!(messages.len(), 10);
    for (number, payload) in (0_i32..).zip(expected) {
        let message = messages
            .iter()
            .find(|message| message.text() == payload)
            .unwrap_or_else(|| panic!("payload {number} did not arrive"));
        assert_eq!(message.partition, number % 3, "payload {number}");
        assert_eq!(message.key, None);
    }
}

#[test]
fn a_topic_that_is_there_keeps_its_partitions() {
    let broker = Broker::shared();
    let topic = broker.topic("generated", 2);
    let asked = [
        "--records",
        "5",
        "--topic",
        &topic,
        "--brokers",
        broker.bootstrap(),
    ];
    assert_eq!(generate(&asked), (Some(0), String::new(), String::new()));
    assert_eq!(broker.end_offset(&topic, 0), 3);
    assert_eq!(broker.end_offset(&topic, 1), 2);
}

#[test]
fn a_record_that_the_topic_refuses_is_a_failure() {
    let broker = Broker::shared();
    let topic = unique("generated");
    broker.create_topic(&topic, 1, &[("max.message.bytes", "100")]);
    let asked = [
        "--records",
        "5",
        "--topic",
        &topic,
        "--brokers",
        broker.bootstrap(),
    ];
    let (code, _, log) = generate(&asked);
    assert_eq!(code, Some(70), "{log}");
    assert!(
        log.starts_with(&format!(
            "trailtag: topic {topic}, partition 0: a record was refused: "
        )),
        "{log}"
    );
}
