//! Findings as a reader of the topic gets them: `trailtag run` on a real broker, with everything switched on that adds to a
//! document.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};

use super::events::records;
use super::records::PRINCIPALS;
use super::support::{Broker, PATIENCE, Settings, Trailtag, unique, wait_until};

/// A document as it is on Kafka: its key, its bytes; and the record that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) record: String,
}

impl Sent {
    pub(crate) fn document(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// The finding of every record, read with `read_committed`. The tests share them.
pub(crate) fn sent() -> &'static [Sent] {
    static SENT: OnceLock<Vec<Sent>> = OnceLock::new();
    SENT.get_or_init(read)
}

fn read() -> Vec<Sent> {
    let broker = Broker::shared();
    let topics = ["in", "out", "dead"].map(unique);
    for topic in &topics {
        // Hostile records are large, and none shall be refused for that here.
        broker.create_topic(topic, 1, &[("max.message.bytes", "10000000")]);
    }
    let [input, output, dead_letters] = &topics;
    let records = records();
    broker.produce_many(
        input,
        records
            .iter()
            .map(|record| (0, record.clone().into_bytes())),
    );

    let folder = tempfile::tempdir().unwrap();
    let group = unique("group");
    let settings = Settings::new(broker, &group, input, output, dead_letters)
        .set("/detection", detection(folder.path()))
        .set("/routes/0/format", "ecs")
        .set("/routes/0/key", "event_id")
        .set(
            "/routes/0/fields",
            json!({"environment": "production", "team.name": "cloud"}),
        );
    let mut trailtag = Trailtag::start(&settings);
    let all = i64::try_from(records.len()).unwrap();
    wait_until(PATIENCE, "every record is forwarded", || {
        match broker.committed_offset(&group, input, 0) {
            Some(offset) if offset == all => Ok(()),
            seen => Err(format!("{seen:?} of {all}; its log:\n{}", trailtag.log())),
        }
    });
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    broker.wait_settled(output);
    assert!(broker.read_committed(dead_letters).is_empty());

    let sent: Vec<Sent> = broker
        .read_committed(output)
        .into_iter()
        .map(|message| {
            assert_eq!(message.header("trailtag.format"), Some("ecs"));
            let payload = message.payload.unwrap();
            let document: Value = serde_json::from_slice(&payload).unwrap();
            Sent {
                key: String::from_utf8(message.key.unwrap()).unwrap(),
                payload,
                record: document["event"]["original"].as_str().unwrap().to_owned(),
            }
        })
        .collect();
    let originals: Vec<&String> = sent.iter().map(|sent| &sent.record).collect();
    assert!(
        originals.into_iter().eq(&records),
        "{} findings of {} records",
        sent.len(),
        records.len()
    );
    sent
}

fn detection(folder: &Path) -> Value {
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    json!({
        "allow_list": {"principals": [PRINCIPALS], "networks": ["198.51.100.0/24"]},
        "threat_networks_files": [file("threats.txt", "203.0.113.66\n")],
        "aws_networks_file": file(
            "ip-ranges.json",
            r#"{"prefixes": [{"ip_prefix": "192.0.2.0/24"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:a::/48"}]}"#,
        ),
        "profiles_in_use_file": file(
            "in_use.csv",
            "instance_profile,account,running_instances,instance_ids\nweb,111122223333,3,i-0123456789abcdef0 i-0abcdef1\nidle,111122223333,0,\n",
        ),
        "rules": [Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/optional")],
    })
}
