//! Dead letters that do not fit their topic: whatever a sender sends, the partition goes on, and the original bytes are
//! in the dead-letter topic.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::records::{noise, ours};
use super::stage::Stage;
use super::support::{Broker, Message, PATIENCE, Settings, Trailtag, unique, wait_until};

/// What a topic takes where nothing else is said.
const LIMIT: usize = 1_048_588;

/// The original bytes of each dead letter, by its offset, put together as docs/operate.md says; with its messages.
///
/// Without a transaction, a try that failed leaves some of its parts behind, of which there are as many as it had in mind.
fn letters(messages: &[Message]) -> BTreeMap<i64, (Vec<u8>, Vec<&Message>)> {
    let mut tries: BTreeMap<(i64, usize), BTreeMap<usize, &Message>> = BTreeMap::new();
    for message in messages {
        let number = |name| message.header(name).map_or(1, |text| text.parse().unwrap());
        let (part, parts): (usize, usize) = (number("trailtag.part"), number("trailtag.parts"));
        let offset = message.header("trailtag.source.offset").unwrap();
        let of_try = tries.entry((offset.parse().unwrap(), parts)).or_default();
        if let Some(same) = of_try.insert(part, message) {
            assert_eq!(same.payload, message.payload, "a part that came twice");
        }
    }
    let mut letters = BTreeMap::new();
    for ((offset, parts), messages) in tries {
        if messages.len() == parts {
            let messages: Vec<_> = messages.into_values().collect();
            let value = messages
                .iter()
                .flat_map(|message| message.payload.iter().flatten().copied());
            letters.insert(offset, (value.collect(), messages));
        }
    }
    letters
}

/// What a reader needs to tell and to join the parts.
fn assert_parts(messages: &[&Message], key: &[u8], omitted: Option<&str>) {
    assert!(messages.len() > 1, "{messages:?}");
    for (place, message) in messages.iter().enumerate() {
        let number = |name| message.header(name).unwrap().parse::<usize>().unwrap();
        assert_eq!(number("trailtag.part"), place + 1, "{message:?}");
        assert_eq!(number("trailtag.parts"), messages.len(), "{message:?}");
        assert_eq!(message.key.as_deref(), Some(key), "{message:?}");
        assert_eq!(message.header("trailtag.omitted"), omitted, "{message:?}");
        assert!(message.header("trailtag.reason").is_some(), "{message:?}");
        assert!(message.header("trailtag.error").unwrap().len() <= 1024);
        assert_eq!(message.partition, messages[0].partition, "{message:?}");
    }
    assert!(
        messages.is_sorted_by_key(|message| message.offset),
        "in order: {messages:?}"
    );
}

fn assert_single(messages: &[&Message], key: Option<&[u8]>, omitted: Option<&str>) {
    let [message] = messages else {
        panic!("{messages:?}");
    };
    assert_eq!(message.header("trailtag.parts"), None, "{message:?}");
    assert_eq!(message.header("trailtag.omitted"), omitted, "{message:?}");
    assert_eq!(message.key.as_deref(), key, "{message:?}");
}

/// Messages that are nearly as large as the topic takes, and cannot be read: the first loses its headers, the second its
/// key too, the others go in parts, with their own key and without one.
fn a_message_as_large_as_its_topic_takes_stops_nothing(guarantee: &str) {
    let stage = Stage::new(1);
    let dead_letters = unique("dead");
    stage.broker.create_topic(&dead_letters, 3, &[]);
    let settings = stage
        .settings(guarantee)
        .set("/dead_letter/topic", dead_letters.as_str());
    let text = noise(LIMIT);
    let text = text.as_bytes();
    let send = |key: &[u8], payload: usize, header: usize| {
        let payload = &text[..payload];
        let headers = [("trace", &text[..header])];
        let headers = if header == 0 { &[][..] } else { &headers[..] };
        let key = Some(key).filter(|key| !key.is_empty());
        stage.broker.produce(&stage.input, 0, key, payload, headers);
    };
    let keys = [5000, 2000, 200].map(|length| &text[..length]);
    send(keys[0], 1_040_000, 3400);
    send(keys[1], 1_046_300, 100);
    send(keys[2], 1_048_200, 50);
    send(b"", LIMIT - 90, 0);
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);

    let mut trailtag = Trailtag::start(&settings);
    wait_until(PATIENCE, "the partition goes on", || {
        match stage.committed(0) {
            Some(5) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    stage.assert_delivered(guarantee, [0]);
    let messages = stage.read(&dead_letters);
    let letters = letters(&messages);
    let payloads: Vec<_> = letters.values().map(|(payload, _)| payload.len()).collect();
    assert_eq!(payloads, [1_040_000, 1_046_300, 1_048_200, LIMIT - 90]);
    for (payload, _) in letters.values() {
        assert!(text[..payload.len()] == payload[..], "byte for byte");
    }
    assert_single(&letters[&0].1, Some(keys[0]), Some("headers"));
    assert_single(&letters[&1].1, None, Some("headers,key"));
    assert_parts(&letters[&2].1, keys[2], Some("headers"));
    let key = format!("{}/0/3", stage.input);
    assert_parts(&letters[&3].1, key.as_bytes(), None);
    if guarantee == "exactly_once" {
        let parts: usize = letters.values().map(|(_, parts)| parts.len()).sum();
        assert_eq!(messages.len(), parts, "nothing else is there");
    }
    let log = trailtag.log();
    assert!(!log.contains("partition is stopped"), "{log}");
    assert_eq!(
        trailtag.metric("trailtag_dead_letters_total", &[]),
        Some(4.0),
        "a letter in parts is one"
    );
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_message_as_large_as_its_topic_takes_stops_nothing_exactly_once() {
    a_message_as_large_as_its_topic_takes_stops_nothing("exactly_once");
}

#[test]
fn a_message_as_large_as_its_topic_takes_stops_nothing_at_least_once() {
    a_message_as_large_as_its_topic_takes_stops_nothing("at_least_once");
}

/// The topic takes less than it said at the start; the other partition is busy meanwhile.
fn a_limit_that_is_lowered_while_it_runs_stops_nothing(guarantee: &str) {
    let stage = Stage::new(2);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    trailtag.wait_ready();
    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("max.message.bytes", "20000")]);
    let text = noise(300_000);
    let header = noise(30_000);
    let headers = [("trace", header.as_bytes())];
    let produced = stage.while_messages_come(2, || {
        let send = |payload: &str, headers: &[(&str, &[u8])]| {
            stage
                .broker
                .produce(&stage.input, 0, Some(b"key"), payload.as_bytes(), headers)
        };
        let offsets = [
            send(&text, &headers),
            send("small", &headers),
            send(&text, &[]),
        ];
        wait_until(
            PATIENCE,
            "the partition passes the letters",
            || match stage.committed(0) {
                Some(offset) if offset > offsets[2] => Ok(()),
                seen => Err(format!(
                    "{seen:?} of {offsets:?}; its log:\n{}",
                    trailtag.log()
                )),
            },
        );
        let letters = stage.read(&stage.dead_letters);
        let letters = super::letters::letters(&letters);
        assert_eq!(letters.keys().copied().collect::<Vec<_>>(), offsets);
        for (offset, payload) in offsets.iter().zip([text.as_str(), "small", text.as_str()]) {
            assert!(
                payload.as_bytes() == letters[offset].0,
                "byte for byte: {offset}"
            );
        }
        assert_parts(&letters[&offsets[0]].1, b"key", Some("headers"));
        assert_single(&letters[&offsets[1]].1, Some(b"key"), Some("headers"));
        assert_parts(&letters[&offsets[2]].1, b"key", None);
    });
    stage.wait_settled(2);
    stage.assert_delivered(guarantee, super::stage::findings(produced));
    let log = trailtag.log();
    let warned = log.lines().any(|line| {
        line.contains("\"WARN\"")
            && line.contains(&stage.dead_letters)
            && line.contains("refuses the dead letter as too large")
            && line.contains("max.message.bytes")
    });
    assert!(warned, "{log}");
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_limit_that_is_lowered_while_it_runs_stops_nothing_exactly_once() {
    a_limit_that_is_lowered_while_it_runs_stops_nothing("exactly_once");
}

#[test]
fn a_limit_that_is_lowered_while_it_runs_stops_nothing_at_least_once() {
    a_limit_that_is_lowered_while_it_runs_stops_nothing("at_least_once");
}

#[test]
fn a_topic_that_takes_no_headers_stops_the_partition_and_the_log_says_what_to_set() {
    let stage = Stage::new(2);
    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("max.message.bytes", "300")]);
    let garbage = noise(8000);
    stage
        .broker
        .produce(&stage.input, 0, None, garbage.as_bytes(), &[]);
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.broker.produce(&stage.input, 1, None, &ours(1), &[]);
    let mut trailtag = Trailtag::start(&stage.settings("exactly_once"));
    let mut needed = String::new();
    wait_until(PATIENCE, "the log says what to set", || {
        let log = trailtag.log();
        let said = log
            .lines()
            .find(|line| line.contains("the partition is stopped") && line.contains("set its"))
            .ok_or(log.clone())?;
        assert!(said.contains("\"ERROR\""), "{said}");
        assert!(said.contains(&stage.dead_letters), "{said}");
        assert!(said.contains("limit known here: 300"), "{said}");
        let (_, bytes) = said.split_once("set its max.message.bytes to ").unwrap();
        needed = bytes.split_once(' ').unwrap().0.to_owned();
        Ok::<_, String>(())
    });
    wait_until(PATIENCE, "the other partition goes on", || {
        match stage.committed(1) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    assert_eq!(stage.committed(0), None, "nothing is committed past it");
    // What it said is enough.
    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("max.message.bytes", &needed)]);
    stage.wait_settled(2);
    stage.assert_each_once(0..2);
    let messages = stage.read(&stage.dead_letters);
    let letters = letters(&messages);
    assert_eq!(letters[&0].0, garbage.as_bytes());
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

/// A record that cannot be read may be larger than any message: it was packed. It leaves as it came, inside its message.
/// And the producer's queue may be smaller than what the topic takes.
#[test]
fn a_record_larger_than_every_limit_stops_nothing() {
    let stage = Stage::new(1);
    let large = [("max.message.bytes", "30000000")];
    stage.broker.alter_topic(&stage.dead_letters, &large);
    let mut record = String::from(r#"{"eventName":"RemoveRoleFromInstanceProfile","x":["#);
    while record.len() < 5_000_000 {
        let length = record.len();
        write!(record, "\"{length}\",").unwrap();
    }
    record.push_str("nonsense]}");
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    write!(packed, "{{\"Records\":[{record}]}}").unwrap();
    let packed = packed.finish().unwrap();
    let input = unique("in");
    stage.broker.create_topic(&input, 1, &large);
    stage.broker.produce(&input, 0, None, &packed, &[]);
    stage.broker.produce(&input, 0, None, &ours(0), &[]);
    let settings = stage
        .settings("exactly_once")
        .set("/kafka/topics", json!([input]))
        .set("/kafka/memory_budget", 4 * 1024 * 1024);
    let mut trailtag = Trailtag::start(&settings);
    wait_until(PATIENCE, "the partition goes on", || {
        match stage.broker.committed_offset(&stage.group, &input, 0) {
            Some(2) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    stage.assert_each_once(0..1);
    let messages = stage.read(&stage.dead_letters);
    let (joined, _) = &letters(&messages)[&0];
    assert!(*joined == packed, "{} of {}", joined.len(), packed.len());
    let error = messages[0].header("trailtag.error").unwrap();
    let size = format!("element 0, which decodes to {} bytes: ", record.len());
    assert!(error.starts_with(&size), "{error:.200}");
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn check_says_which_topic_takes_too_little_and_what_to_set() {
    let broker = Broker::shared();
    let topic = |name: &str, limit: usize| {
        let topic = unique(name);
        broker.create_topic(&topic, 1, &[("max.message.bytes", &limit.to_string())]);
        topic
    };
    let check = |input: &str, output: &str, dead_letters: &str| {
        let files = tempfile::tempdir().unwrap();
        let settings = Settings::new(broker, &unique("group"), input, output, dead_letters);
        let output = Trailtag::command()
            .args(["check", "--connect", "--config"])
            .arg(settings.write(files.path()))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let faults = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && faults.is_empty(), "{faults}");
        assert!(text.ends_with("ok, and the brokers agree\n"), "{text}");
        let notes = text.lines().filter(|line| line.starts_with("note "));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    let input = topic("in", 2_000_000);
    let (output, dead_letters) = (topic("out", 500_000), topic("dead", 2_000_000));
    let notes = check(&input, &output, &dead_letters);
    assert_eq!(notes.len(), 2, "{notes:#?}");
    let set = |topic: &str, bytes: &str| {
        format!("--entity-name {topic} --add-config max.message.bytes={bytes}")
    };
    for part in ["500000 bytes", "2000000", &set(&output, "2000000")] {
        assert!(notes[0].contains(part), "{part} in {notes:#?}");
    }
    assert!(notes[1].contains("takes 2000000 bytes"), "{notes:#?}");
    let (_, needed) = notes[1].rsplit_once("max.message.bytes=").unwrap();
    assert!(notes[1].contains(&set(&dead_letters, needed)), "{notes:#?}");
    assert!(
        notes[1].contains(&format!("may have {needed}")),
        "{notes:#?}"
    );

    // What it said is enough.
    broker.alter_topic(&output, &[("max.message.bytes", "2000000")]);
    broker.alter_topic(&dead_letters, &[("max.message.bytes", needed)]);
    assert_eq!(check(&input, &output, &dead_letters), [""; 0]);
}
