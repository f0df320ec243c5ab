//! Documents for Splunk, seen from the other side: the add-on's own definitions evaluated on them, and an independent
//! HTTP Event Collector that takes them and gives their fields back.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value, json};
use trailtag::config::Format;
use trailtag::config::{Config, Route};
use trailtag::model::Origin;
use trailtag::pipeline::{Document, Outputs, Pipeline};

#[path = "splunk/addon.rs"]
mod addon;
#[path = "splunk/beside.rs"]
mod beside;
#[path = "severity/examples.rs"]
mod examples;
#[path = "splunk/receiver.rs"]
mod receiver;
#[path = "severity/records.rs"]
#[allow(dead_code, reason = "the examples need a part of it")]
mod records;

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 0,
    offset: 0,
    timestamp: None,
};
const LEVELS: [&str; 5] = ["informational", "low", "medium", "high", "critical"];

/// A site that has every list but the one of networks, and a route for each of the two forms.
fn pipeline(folder: &Path) -> Pipeline {
    let mut config = Config::default();
    config.detection.allow_list.principals = vec![records::PRINCIPALS.to_owned()];
    let file = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    config.detection.threat_networks_files = vec![file("threats.txt", "203.0.113.66\n")];
    config.detection.profiles_in_use_file = file(
        "in_use.csv",
        "instance_profile,account,running_instances\nssm-agent,111122223333,40\n",
    );
    config.routes = [Format::SplunkHec, Format::SplunkRaw]
        .map(|format| Route {
            name: format.as_str().to_owned(),
            topic: format.as_str().to_owned(),
            format,
            fields: [("env".to_owned(), "prod".to_owned())].into(),
            ..Route::default()
        })
        .into();
    Pipeline::from_config(&config).unwrap()
}

/// The two forms of a finding's document, parsed and as they leave.
struct Written {
    hec: Value,
    raw: Value,
    hec_text: String,
    raw_text: String,
}

impl Written {
    /// What the collector indexes as the event.
    fn event(&self) -> String {
        let envelope: BTreeMap<&str, &serde_json::value::RawValue> =
            serde_json::from_str(&self.hec_text).unwrap();
        envelope["event"].get().to_owned()
    }
}

fn write(pipeline: &Pipeline, record: &str) -> Written {
    let mut outputs = Outputs::default();
    let tally = pipeline.process(record.as_bytes(), &ORIGIN, &mut outputs);
    assert_eq!((tally.matched, tally.records()), (1, 1), "{record}");
    let text = |document: &Document| String::from_utf8(document.payload.clone()).unwrap();
    let [hec, raw] = &outputs.documents[..] else {
        panic!("a document for each route")
    };
    Written {
        hec: serde_json::from_slice(&hec.payload).unwrap(),
        raw: serde_json::from_slice(&raw.payload).unwrap(),
        hec_text: text(hec),
        raw_text: text(raw),
    }
}

/// Every example, each with an id of its own.
fn example_records() -> Vec<Value> {
    let mut records = Vec::new();
    for (number, (_, _, changes, ..)) in examples::examples().into_iter().enumerate() {
        let mut record = records::with(&changes);
        record["eventID"] = json!(format!("6f1b0c1e-3d0f-4a4e-9a58-{number:012}"));
        records.push(record);
    }
    records
}

/// Records that want to break something, each with an id of its own.
fn hostile_records() -> Vec<String> {
    // VictoriaLogs drops events of more than 1,000 fields.
    let many: BTreeMap<String, usize> = (0..800).map(|n| (format!("k{n}"), n)).collect();
    let changes = [
        json!({"requestParameters": "roleName=web-role"}),
        json!({"requestParameters": [[], {}, null, 7], "userIdentity": 7}),
        json!({"requestParameters": many}),
        json!({"userAgent": "\u{0}\"}\\ \u{202e}".repeat(4_000)}),
        json!({"userAgent": null, "sourceIPAddress": {"a": []}, "errorCode": null, "errorMessage": null, "awsRegion": null}),
        json!({"recipientAccountId": 111_122_223_333_u64, "eventTime": 1_767_638_941}),
        json!({"eventTime": "yesterday", "awsRegion": "", "sourceIPAddress": "2001:db8::7"}),
        json!({"requestParameters": {"roleName": "$(id)'\"; DROP", "instanceProfileName": "</script>\u{1f600}"}}),
        json!({"severity": "none", "trailtag": {"outcome": "failed"}, "fields": {"severity": "none"}, "event": 1, "index": "x", "time": -1}),
    ];
    let mut records: Vec<String> = changes
        .iter()
        .enumerate()
        .map(|(number, changes)| {
            let mut record = records::with(changes);
            record["eventID"] = json!(format!("0badc0de-0000-4000-8000-{number:012}"));
            record.to_string()
        })
        .collect();
    records.push(
        "{ \"eventVersion\":\"1.11\", \"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"RemoveRoleFromInstanceProfile\", \"n\": 12345678901234567890.50E+3 \t}"
            .to_owned(),
    );
    records
}

/// What the Change and Alerts models want to know, and is always known or `unknown`.
const ALWAYS: [&str; 31] = [
    "action",
    "app",
    "change_type",
    "command",
    "description",
    "dest",
    "dvc",
    "id",
    "object",
    "object_attrs",
    "object_category",
    "object_id",
    "object_path",
    "result",
    "severity",
    "severity_id",
    "signature",
    "signature_id",
    "src",
    "src_user",
    "src_user_type",
    "status",
    "type",
    "user",
    "user_agent",
    "user_id",
    "user_name",
    "user_type",
    "vendor_account",
    "vendor_product",
    "vendor_region",
];

fn both_ways(written: &Written) -> [addon::Fields; 2] {
    both_ways_beside(written, &addon::Foreign::default())
}

fn both_ways_beside(written: &Written, foreign: &addon::Foreign) -> [addon::Fields; 2] {
    [
        addon::search_beside(&written.event(), &written.hec["fields"], foreign),
        addon::search_beside(&written.raw_text, &Value::Null, foreign),
    ]
}

#[test]
fn the_add_on_gives_every_field_of_the_models_for_every_example() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path());
    let mut levels = BTreeSet::new();
    for record in example_records() {
        let written = write(&pipeline, &record.to_string());
        for fields in both_ways(&written) {
            for name in ALWAYS {
                let value = fields.get(name).map(String::as_str);
                assert!(
                    value.is_some_and(|value| !["", "null"].contains(&value)),
                    "{name} is {value:?} of {record}"
                );
            }
            let is = |name: &str| fields.get(name).map(String::as_str);
            let ours = &written.raw["trailtag"];
            let level = is("severity").unwrap();
            levels.insert(level.to_owned());
            assert_eq!(Some(level), ours["severity"]["level"].as_str());
            let place = LEVELS.iter().position(|name| *name == level).unwrap() + 1;
            assert_eq!(is("severity_id"), Some(place.to_string().as_str()));
            assert_eq!(is("action"), Some("modified"));
            let known = is("object") != Some("unknown");
            let category = if known { "profile" } else { "unknown" };
            assert_eq!(is("object_category"), Some(category));
            let failed = record.get("errorCode").is_some();
            assert_eq!(
                is("status"),
                Some(if failed { "failure" } else { "success" })
            );
            assert_eq!(is("result_id"), record["errorCode"].as_str());
            let address = record["sourceIPAddress"].as_str().unwrap();
            assert_eq!(is("src"), Some(address));
            let ip: Option<std::net::IpAddr> = address.parse().ok();
            assert_eq!(is("src_ip"), ip.map(|_| address), "{address}");
            let techniques = ours["attack"].as_array().unwrap();
            assert_eq!(is("mitre_technique_id").is_some(), !techniques.is_empty());
            assert_eq!(is("id"), record["eventID"].as_str());
        }
    }
    assert_eq!(levels.len(), LEVELS.len(), "examples of every level");
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn the_add_on_says_in_cims_words_what_a_record_says() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path());
    let session =
        records::with(&json!({"userIdentity": records::sso(), "sourceIPAddress": "2001:db8::7"}));
    let denied = records::with(&records::denied(&records::user_key(), records::CLI));
    let stack = records::with(&records::stack());
    let nobody = records::with(
        &json!({"userIdentity": {"type": null, "principalId": null, "accountId": null, "userName": null},
        "requestParameters": {"roleName": null, "instanceProfileName": null}, "userAgent": null, "awsRegion": null,
        "errorCode": null, "errorMessage": null, "sourceIPAddress": null, "readOnly": null}),
    );
    let common = [
        ("action", "modified"),
        ("app", "iam.amazonaws.com"),
        ("change_type", "AAA"),
        ("command", "RemoveRoleFromInstanceProfile"),
        ("dest", "iam.amazonaws.com"),
        ("dvc", "111122223333"),
        ("signature", "IAM role removed from an instance profile"),
        ("type", "alert"),
        ("vendor_product", "AWS CloudTrail"),
    ];
    let sso_role = "AWSReservedSSO_PowerUser_0123456789abcdef";
    for (record, want) in [
        (
            session,
            [
                ("object", "web"),
                ("object_attrs", "web-role"),
                ("object_path", "instance-profile/web"),
                ("result", "success"),
                ("src_ip", "2001:db8::7"),
                ("src_user", sso_role),
                ("status", "success"),
                ("user", "AROACKCEVSQ6C2EXAMPLE:eve@example.com"),
                ("user_name", sso_role),
                ("user_type", "AssumedRole"),
                ("vendor_account", "111122223333"),
                ("vendor_region", "us-east-1"),
            ],
        ),
        (
            denied,
            [
                ("object", "web"),
                ("object_attrs", "unknown"),
                ("object_category", "profile"),
                ("object_id", "web"),
                ("result_id", "AccessDenied"),
                ("src", "203.0.113.7"),
                ("src_user", "eve"),
                ("src_user_type", "IAMUser"),
                ("status", "failure"),
                ("user_agent", "aws-cli/2.15.0"),
                ("user_id", "AIDACKCEVSQ6C2EXAMPLE"),
                ("user_name", "eve"),
            ],
        ),
        (
            stack,
            [
                ("object", "web"),
                ("object_category", "profile"),
                ("result", "success"),
                ("severity", "informational"),
                ("severity_id", "1"),
                ("src", "cloudformation.amazonaws.com"),
                ("src_user", "ops"),
                ("status", "success"),
                ("user", "AROACKCEVSQ6C2EXAMPLE:eve"),
                ("user_name", "ops"),
                ("user_type", "AssumedRole"),
                ("vendor_region", "us-east-1"),
            ],
        ),
        (
            nobody,
            [
                ("object", "unknown"),
                ("object_category", "unknown"),
                ("object_attrs", "unknown"),
                ("src", "unknown"),
                ("src_user_type", "unknown"),
                ("status", "success"),
                ("user", "unknown"),
                ("user_agent", "unknown"),
                ("user_id", "unknown"),
                ("user_name", "unknown"),
                ("vendor_account", "111122223333"),
                ("vendor_region", "unknown"),
            ],
        ),
    ] {
        for fields in both_ways(&write(&pipeline, &record.to_string())) {
            for (name, value) in want.iter().chain(&common) {
                assert_eq!(
                    fields.get(*name).map(String::as_str),
                    Some(*value),
                    "{name} of {record}"
                );
            }
        }
    }
}

#[test]
fn a_long_record_does_not_hide_what_an_alert_needs() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path());
    let mut rest = records::with(&records::denied(&records::root(None), ""));
    let id = rest["eventID"].clone();
    rest.as_object_mut().unwrap().remove("userAgent");
    let agent = "agent ".repeat(5_000);
    // It stands before all else, also before the error.
    let long = format!("{{\"userAgent\":\"{agent}\",{}", &rest.to_string()[1..]);
    let written = write(&pipeline, &long);
    for fields in both_ways(&written) {
        let ours = &written.raw["trailtag"];
        assert_eq!(
            Some(&*fields["severity"]),
            ours["severity"]["level"].as_str()
        );
        assert_eq!(fields["id"], id);
        assert_eq!(fields["status"], "failure");
        assert_eq!(
            Some(&*fields["signature"]),
            ours["rules"][0]["title"].as_str()
        );
        for name in [
            "risk_score",
            "severity_id",
            "severity_factors",
            "mitre_technique_id",
            "remediation_id",
        ] {
            assert!(fields.contains_key(name), "{name}");
        }
        assert!(
            !fields.contains_key("trailtag.outcome"),
            "it is beyond what Splunk reads"
        );
    }
}

#[test]
fn a_name_that_was_derived_is_the_users_where_the_record_has_none() {
    let event = |name: Option<&str>, kind: &str| {
        let mut event = json!({"userIdentity": {"type": kind}, "trailtag": {"actor": {}}});
        if let Some(name) = name {
            event["trailtag"]["actor"]["name"] = json!(name);
        }
        addon::search(&event.to_string(), &Value::Null)
    };
    for (name, kind, want) in [
        (Some("eve"), "IAMUser", "eve"),
        (Some("root"), "Root", "root"),
        (None, "Root", "root"),
        (None, "AWSService", "unknown"),
    ] {
        let fields = event(name, kind);
        assert_eq!((&*fields["user_name"], &*fields["src_user"]), (want, want));
    }
}

#[test]
fn no_record_brings_its_own_severity_to_the_add_on() {
    let folder = tempfile::tempdir().unwrap();
    let root = json!({"userIdentity": records::root(None)});
    let id = "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11";
    let forged = json!({"severity": "informational", "severity_": "low", "id": "x", "id_": "x",
        "trailtag": {"severity": {"level": "informational"}, "event_id": "x"},
        "trailtag_severity": "informational", "trailtag_risk_score": "0", "trailtag_event_id": "x"});
    let pipeline = pipeline(folder.path());
    for names in [
        &["trailtag_severity", "trailtag_event_id"][..],
        &["severity"],
        &["trailtag"],
        &[],
    ] {
        let mut record = records::with(&root);
        record["eventID"] = json!(id);
        for (name, value) in forged.as_object().unwrap() {
            if names.is_empty() || names.contains(&name.as_str()) {
                record[name] = value.clone();
            }
        }
        for fields in both_ways(&write(&pipeline, &record.to_string())) {
            assert_eq!(fields["severity"], "critical", "{names:?}");
            assert_eq!(fields["severity_id"], "5", "{names:?}");
            assert_eq!(fields["id"], id, "{names:?}");
        }
    }
}

#[test]
fn an_event_whose_keys_were_sorted_anew_has_its_fields_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let root = records::with(&json!({"userIdentity": records::root(None)}));
    let written = write(&pipeline(folder.path()), &root.to_string());
    // This sorts them.
    let fields = addon::search(&written.raw.to_string(), &Value::Null);
    assert_eq!(fields["id"], root["eventID"]);
    // `severity` comes after `requestParameters` and before `trailtag` in the alphabet, well within what Splunk reads.
    assert_eq!(fields["severity"], "critical");
}

#[test]
fn the_add_on_touches_our_events_and_no_others() {
    let route = Route::default();
    let stanzas: Vec<String> = addon::conf("props.conf")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(stanzas, [format!("source::{}", route.splunk_source)]);
    let ours = format!(
        "sourcetype=\"{}\" source=\"{}\"",
        route.splunk_sourcetype, route.splunk_source
    );
    let types = addon::conf("eventtypes.conf");
    for (name, settings) in &types {
        assert_eq!(settings[0].0, "search");
        assert!(settings[0].1.starts_with(&ours), "{name}");
        assert!(!settings[0].1.contains("index"), "{name} is of any index");
    }
    let tags = addon::conf("tags.conf");
    let tagged: Vec<(&str, Vec<&str>)> = tags
        .iter()
        .map(|(name, tags)| {
            (
                name.as_str(),
                tags.iter().map(|(tag, _)| tag.as_str()).collect(),
            )
        })
        .collect();
    assert_eq!(
        tagged,
        [
            ("eventtype=trailtag_finding", vec!["alert"]),
            ("eventtype=trailtag_change", vec!["change", "account"]),
        ]
    );
    for (name, _) in &tags {
        assert!(
            types
                .iter()
                .any(|(kind, _)| name.strip_prefix("eventtype=") == Some(kind))
        );
    }
}

#[test]
fn the_alert_is_about_high_and_above_and_shows_fields_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let root = records::with(&json!({"userIdentity": records::root(None)}));
    let [fields, _] = both_ways(&write(&pipeline(folder.path()), &root.to_string()));
    let [(_, alert)] = &addon::conf("savedsearches.conf")[..] else {
        panic!("one alert")
    };
    let alert: BTreeMap<&str, &str> = alert
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let search = alert["search"];
    // It is of any index, and of one where a macro says so.
    assert!(search.starts_with("`trailtag_index` eventtype=trailtag_finding "));
    let [(name, settings)] = &addon::conf("macros.conf")[..] else {
        panic!("one macro")
    };
    assert_eq!(name, "trailtag_index");
    assert_eq!(
        settings[..],
        [("definition".to_owned(), "(index=*)".to_owned())]
    );
    for (place, level) in LEVELS.iter().enumerate() {
        assert_eq!(
            search.contains(&format!("severity={level} "))
                || search.contains(&format!("severity={level})")),
            place >= 3,
            "{level}"
        );
    }
    let (_, shown) = search.split_once("| table _time, ").unwrap();
    for name in shown.split(", ") {
        assert!(fields.contains_key(name), "{name}");
    }
    assert!(fields.contains_key(alert["alert.suppress.fields"]));
    assert_eq!(
        (alert["enableSched"], alert["disabled"]),
        ("1", "1"),
        "it waits to be enabled"
    );
}

#[test]
fn the_connectors_read_what_the_routes_write() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/siem/kafka-connect");
    for (file, key) in [
        ("splunk-sink.json", "splunk.hec.json.event.formatted"),
        ("splunk-sink-raw.json", "splunk.header.support"),
    ] {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let connector: Value = serde_json::from_str(&text).unwrap();
        let config = connector["config"].as_object().unwrap();
        assert!(config.values().all(Value::is_string), "{file}");
        assert_eq!(config[key], "true");
        // Another converter than this makes of a document what the connector cannot read, or of an account a number.
        for converter in ["value.converter", "header.converter"] {
            assert_eq!(
                config[converter],
                "org.apache.kafka.connect.storage.StringConverter"
            );
        }
        assert_eq!(
            config["consumer.override.isolation.level"],
            "read_committed"
        );
        // With the message's time, events would be as old as their delivery.
        assert_eq!(config["splunk.hec.use.record.timestamp"], "false");
        for (key, value) in config {
            if key.ends_with("token") || key.ends_with("password") {
                let value = value.as_str().unwrap();
                assert!(
                    value.starts_with("${file:/"),
                    "{file} has a secret in {key}"
                );
            }
        }
    }
}

/// An event's fields as the receiver names them: objects with dots, lists as JSON, what is empty or null left out.
fn flat(name: &str, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                flat(&format!("{name}{dot}{key}"), value, fields);
            }
        }
        Value::Null => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            fields.insert(name.to_owned(), text.clone());
        }
        other => {
            fields.insert(name.to_owned(), other.to_string());
        }
    }
}

/// A list with the keys of its objects in the order in which `flat` has them.
fn sorted(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(list @ Value::Array(_)) => list.to_string(),
        _ => value.to_owned(),
    }
}

#[test]
fn an_independent_collector_takes_every_event_and_gives_its_fields_back() {
    let receiver = receiver::Receiver::start();
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path());
    let mut sent = BTreeMap::new();
    let examples = example_records()
        .into_iter()
        .map(|record| record.to_string());
    for record in examples.chain(hostile_records()) {
        let written = write(&pipeline, &record);
        let (status, answer) = receiver.send(&written.hec_text);
        assert_eq!(
            (status, answer.as_str()),
            (200, r#"{"text":"Success","code":0}"#),
            "{record}"
        );
        let id = written.hec["fields"]["trailtag_event_id"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(sent.insert(id.clone(), written.hec).is_none(), "{id} twice");
    }
    for mut event in receiver.events(sent.len()) {
        let id = event["fields.trailtag_event_id"].clone();
        let mut hec = sent.remove(&id).unwrap();
        let time = hec.as_object_mut().unwrap().remove("time");
        let arrived = event.remove("_time").unwrap();
        if time.is_some() {
            assert_eq!(arrived, hec["event"]["eventTime"], "{id}");
        }
        event.retain(|name, _| !["_msg", "_stream", "_stream_id"].contains(&name.as_str()));
        // A number keeps its digits all the way.
        if let Some(number) = event.remove("event.n") {
            assert_eq!(number, "12345678901234567890.50E+3");
            hec["event"].as_object_mut().unwrap().remove("n");
        }
        for value in event.values_mut() {
            *value = sorted(value);
        }
        let mut want = BTreeMap::new();
        flat("", &hec, &mut want);
        assert_eq!(event, want, "{id}");
    }
    assert!(sent.is_empty());
}

#[test]
fn a_collector_that_refuses_says_so() {
    // What makes the acceptance of every event worth something.
    let receiver = receiver::Receiver::start();
    assert_eq!(receiver.send("{\"event\":{\"a\":1}").0, 400);
    assert_eq!(receiver.send("not JSON").0, 400);
}
