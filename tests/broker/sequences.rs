//! Sequences through the topic of steps: halves in different topics and partitions are one document, once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::records::other;
use super::support::{Broker, Message, PATIENCE, Settings, Trailtag, unique, wait_until};

const INPUT_PARTITIONS: i32 = 4;
const STEP_PARTITIONS: i32 = 5;

/// A call about the profile of this number, by a principal of its own, `seconds` after the first.
fn call(number: usize, name: &str, role: &str, seconds: usize) -> Vec<u8> {
    let (minutes, seconds) = (seconds / 60, seconds % 60);
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice-{number}","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice-{number}"}},"eventTime":"2026-01-05T18:{minutes:02}:{seconds:02}Z","eventSource":"iam.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2.15.0","requestParameters":{{"instanceProfileName":"web-{number}","roleName":"{role}"}},"responseElements":null,"requestID":"r-{number}","eventID":"{name}-{number}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
    .into_bytes()
}

fn removal(number: usize) -> Vec<u8> {
    call(number, "RemoveRoleFromInstanceProfile", "web-app", 10)
}

fn addition(number: usize) -> Vec<u8> {
    call(number, "AddRoleToInstanceProfile", "batch", 70)
}

/// Two topics that are read, and what one group makes of them.
struct Scene<'a> {
    broker: &'a Broker,
    inputs: [String; 2],
    group: String,
    output: String,
    dead_letters: String,
    steps: String,
}

impl<'a> Scene<'a> {
    fn new(broker: &'a Broker) -> Self {
        let inputs = [
            broker.topic("in", INPUT_PARTITIONS),
            broker.topic("in", INPUT_PARTITIONS),
        ];
        Self::over(broker, inputs)
    }

    /// Another group that reads the same.
    fn over(broker: &'a Broker, inputs: [String; 2]) -> Self {
        Self {
            broker,
            inputs,
            group: unique("group"),
            output: broker.topic("out", 3),
            dead_letters: broker.topic("dead", 1),
            steps: broker.topic("steps", STEP_PARTITIONS),
        }
    }

    fn settings(&self, guarantee: &str, name: &str) -> Settings {
        Settings::new(
            self.broker,
            &self.group,
            &self.inputs[0],
            &self.output,
            &self.dead_letters,
        )
        .set("/kafka/topics", self.inputs.to_vec())
        .set("/sequences/topic", self.steps.as_str())
        .set("/workers", 2)
        .set("/delivery/guarantee", guarantee)
        .set("/delivery/linger", "20ms")
        .set("/delivery/commit_interval", "200ms")
        .set(
            "/delivery/transactional_id_prefix",
            format!("{}-{name}", self.group),
        )
        .set(
            "/kafka/consumer",
            serde_json::json!({"session.timeout.ms": "6000", "group.instance.id": ""}),
        )
    }

    fn produce(&self, topic: usize, number: usize, payload: &[u8]) {
        let partition = i32::try_from(number).unwrap() % INPUT_PARTITIONS;
        self.broker
            .produce(&self.inputs[topic], partition, None, payload, &[]);
    }

    fn documents(&self) -> Vec<Message> {
        self.broker.wait_settled(&self.output);
        self.broker.read_committed(&self.output)
    }

    fn wait_documents(&self, count: usize, trailtags: &[&Trailtag]) -> Vec<Message> {
        wait_until(PATIENCE, &format!("{count} documents are out"), || {
            let documents = self.broker.read_committed(&self.output);
            if documents.len() >= count {
                return Ok(());
            }
            let logs: Vec<String> = trailtags.iter().map(|it| it.log()).collect();
            Err(format!("{}; {}", documents.len(), logs.join("\n---\n")))
        });
        self.documents()
    }

    fn wait_metric(&self, trailtag: &Trailtag, name: &str, value: f64) {
        let what = format!("{name} of {} is {value}", self.group);
        wait_until(PATIENCE, &what, || {
            let seen = trailtag.metric(name, &[]);
            if seen == Some(value) {
                Ok(())
            } else {
                Err(format!("{seen:?}; its log:\n{}", trailtag.log()))
            }
        });
    }

    fn stop(&self, trailtags: Vec<Trailtag>) {
        for mut trailtag in trailtags {
            trailtag.sigterm();
            let status = trailtag.wait_exit(PATIENCE);
            assert!(status.success(), "{status}; its log:\n{}", trailtag.log());
        }
        assert_eq!(
            self.broker.read_committed(&self.dead_letters).len(),
            0,
            "nothing is a dead letter"
        );
    }
}

fn sequence(document: &Message) -> Option<String> {
    let document: Value = serde_json::from_slice(document.payload.as_deref()?).unwrap();
    let kind = document.pointer("/trailtag/sequence/kind")?.as_str()?;
    Some(kind.to_owned())
}

fn kinds(documents: &[Message]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for document in documents {
        let kind = sequence(document).unwrap_or_else(|| "alone".to_owned());
        *kinds.entry(kind).or_default() += 1;
    }
    kinds
}

fn counted(counts: &[(&str, usize)]) -> BTreeMap<String, usize> {
    let owned = |(kind, count): &(&str, usize)| ((*kind).to_owned(), *count);
    counts.iter().map(owned).collect()
}

/// The halves come in either order, in other topics, and with a restart between them: what was committed is not read again,
/// and yet it is remembered.
#[test]
fn halves_in_two_topics_are_one_document_also_with_a_restart_between_them() {
    for guarantee in ["exactly_once", "at_least_once"] {
        let scene = Scene::new(Broker::shared());
        let settings = scene.settings(guarantee, "a");
        let mut trailtag = Trailtag::start(&settings);
        trailtag.wait_ready();
        scene.produce(0, 0, &removal(0));
        scene.produce(1, 1, &addition(1));
        scene.wait_documents(1, &[&trailtag]);
        // The first half is a step of its profile and one of its principal.
        scene.wait_metric(&trailtag, "trailtag_sequence_state_steps", 3.0);
        scene.stop(vec![trailtag]);

        let trailtag = Trailtag::start(&settings);
        scene.produce(1, 0, &addition(0));
        scene.produce(0, 1, &removal(1));
        let documents = scene.wait_documents(4, &[&trailtag]);
        assert_eq!(
            kinds(&documents),
            counted(&[("alone", 2), ("role_swap", 2)]),
            "{guarantee}"
        );
        let log = trailtag.log();
        assert!(
            log.contains("the steps of sequences are remembered again"),
            "{log}"
        );
        assert_eq!(
            trailtag.metric("trailtag_sequences_total", &[("kind", "role_swap")]),
            Some(2.0)
        );
        // The end of a transaction takes an offset, and is nothing that waits.
        scene.wait_metric(&trailtag, "trailtag_consumer_lag", 0.0);
        scene.wait_metric(&trailtag, "trailtag_sequence_partitions_rebuilding", 0.0);
        scene.stop(vec![trailtag]);
    }
}

/// The topic of the findings goes away with a swap on its way, and comes back: what is remembered is read again, and each swap
/// is told once.
#[test]
fn after_an_abort_what_was_remembered_is_read_again_and_each_swap_is_told_once() {
    for guarantee in ["exactly_once", "at_least_once"] {
        let scene = Scene::new(Broker::shared());
        // A topic that is gone is believed to be gone sooner.
        let settings = scene.settings(guarantee, "a").set(
            "/kafka/producer",
            serde_json::json!({"topic.metadata.propagation.max.ms": "1000", "topic.metadata.refresh.interval.ms": "1000"}),
        );
        let mut trailtag = Trailtag::start(&settings);
        trailtag.wait_ready();
        scene.produce(0, 0, &removal(0));
        scene.produce(0, 1, &removal(1));
        scene.wait_documents(2, &[&trailtag]);
        scene.wait_metric(&trailtag, "trailtag_sequence_state_steps", 4.0);

        scene.broker.delete_topic(&scene.output);
        scene.produce(1, 0, &addition(0));
        trailtag.wait_logged("the partition is stopped at this message");
        // The message at which it stands completes a swap of what is remembered again.
        trailtag.wait_logged("the steps of sequences are remembered again");
        scene.broker.create_topic(&scene.output, 3, &[]);
        scene.produce(1, 1, &addition(1));
        let mut documents = scene.wait_documents(2, &[&trailtag]);
        if guarantee == "at_least_once" {
            // It may be sent twice, as one document.
            documents.dedup_by(|one, two| one.key == two.key && one.payload == two.payload);
        }
        assert_eq!(
            kinds(&documents),
            counted(&[("role_swap", 2)]),
            "{guarantee}"
        );
        assert_eq!(by_key(&documents).len(), 2, "{guarantee}");
        assert_eq!(
            trailtag.metric("trailtag_sequences_total", &[("kind", "role_swap")]),
            Some(2.0)
        );
        scene.wait_metric(&trailtag, "trailtag_sequence_partitions_rebuilding", 0.0);
        scene.stop(vec![trailtag]);
    }
}

const SWAPS: usize = 200;
const RECORDS: usize = 100_000;
const KILLS: usize = 12;
/// So many messages come at once.
const CHUNK: usize = 1_000;

/// What comes in, in its order: the topic, the partition and the record.
fn input() -> Vec<(usize, i32, Vec<u8>)> {
    let every = RECORDS / SWAPS / 2;
    (0..RECORDS)
        .map(|number| {
            let partition = i32::try_from(number / 7).unwrap() % INPUT_PARTITIONS;
            let half = number / every;
            let payload = if !number.is_multiple_of(every) {
                other(number)
            } else if half < SWAPS / 2 || (SWAPS..SWAPS + SWAPS / 2).contains(&half) {
                // One half of the swaps begins with what comes last.
                if half < SWAPS {
                    removal(half)
                } else {
                    addition(half - SWAPS)
                }
            } else if half < SWAPS {
                addition(half)
            } else {
                removal(half - SWAPS)
            };
            // The halves of a swap are in different topics.
            ((half + half / SWAPS) % 2, partition, payload)
        })
        .collect()
}

fn by_key(documents: &[Message]) -> BTreeMap<Vec<u8>, Vec<Vec<u8>>> {
    let mut by_key: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for document in documents {
        let (key, payload) = (document.key.clone(), document.payload.clone());
        by_key
            .entry(key.unwrap())
            .or_default()
            .push(payload.unwrap());
    }
    by_key
}

/// Processes are killed, join and leave while the halves of swaps come: each is told once, byte for byte as an undisturbed
/// process tells it.
#[test]
fn whatever_is_killed_each_swap_is_told_once_and_as_if_nothing_had_happened() {
    let broker = Broker::shared();
    let scene = Scene::new(broker);
    let settings = |name: &str| scene.settings("exactly_once", name);
    let is_over = AtomicBool::new(false);
    let mut members = vec![
        Trailtag::start(&settings("0")),
        Trailtag::start(&settings("1")),
    ];
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let pause = Duration::from_millis(200);
            for chunk in input().chunks(CHUNK) {
                for topic in 0..2 {
                    let of_topic = chunk.iter().filter(|(it, ..)| *it == topic);
                    let messages =
                        of_topic.map(|(_, partition, payload)| (*partition, payload.clone()));
                    broker.produce_many(&scene.inputs[topic], messages);
                }
                std::thread::sleep(pause);
            }
            is_over.store(true, Ordering::Relaxed);
        });
        let begun = Instant::now();
        let mut guest: Option<Trailtag> = None;
        for kill in 0..KILLS {
            std::thread::sleep(Duration::from_millis(1_500));
            let place = kill % 2;
            members[place].kill9();
            members[place] = Trailtag::start(&settings(&place.to_string()));
            // Another one comes and goes, so that partitions change hands in the middle of transactions.
            match guest.take() {
                None => guest = Some(Trailtag::start(&settings("guest"))),
                Some(it) if kill % 3 == 2 => scene.stop(vec![it]),
                Some(it) => guest = Some(it),
            }
        }
        while !is_over.load(Ordering::Relaxed) {
            assert!(begun.elapsed() < PATIENCE * 2, "the input never ends");
            std::thread::sleep(Duration::from_millis(100));
        }
        members.extend(guest);
    });
    let all: Vec<&Trailtag> = members.iter().collect();
    let documents = scene.wait_documents(2 * SWAPS, &all);
    scene.stop(members);
    let disturbed = by_key(&scene.documents());
    assert_eq!(
        kinds(&documents),
        counted(&[("alone", SWAPS), ("role_swap", SWAPS)])
    );

    let calm = Scene::over(broker, scene.inputs.clone());
    let trailtag = Trailtag::start(&calm.settings("exactly_once", "calm"));
    calm.wait_documents(2 * SWAPS, &[&trailtag]);
    calm.stop(vec![trailtag]);
    let undisturbed = by_key(&calm.documents());
    let different: Vec<_> = undisturbed
        .iter()
        .filter(|(key, documents)| disturbed.get(*key) != Some(documents))
        .map(|(key, documents)| {
            let text = |list: Option<&Vec<Vec<u8>>>| {
                list.map(|it| {
                    it.iter()
                        .map(|it| String::from_utf8_lossy(it).into_owned())
                        .collect::<Vec<_>>()
                })
            };
            (
                text(Some(&vec![key.clone()])),
                text(Some(documents)),
                text(disturbed.get(key)),
            )
        })
        .take(1)
        .collect();
    assert!(different.is_empty(), "{different:#?}");
    assert_eq!(disturbed.len(), undisturbed.len());
}
