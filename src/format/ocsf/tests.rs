use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::config::Detail;
use crate::config::Format;
use crate::format::ecs::samples::{Site, all, examples, ours};
use crate::model::{SequenceKind, Verdict};

const CLASSES: [OcsfClass; 3] = [
    OcsfClass::DetectionFinding,
    OcsfClass::ApiActivity,
    OcsfClass::AccountChange,
];

fn route(class: OcsfClass) -> Route {
    Route {
        format: Format::Ocsf,
        ocsf_class: class,
        fields: [("env".to_owned(), "prod".to_owned())].into(),
        ..Route::default()
    }
}

fn parsed(site: &Site, class: OcsfClass, json: &str) -> Value {
    serde_json::from_str(&site.document(&route(class), json)).unwrap()
}

#[test]
fn each_kind_of_record_has_its_event_in_each_class() {
    let site = Site::new(19, Detail::Summary);
    for (name, json) in examples() {
        for class in CLASSES {
            let document = site.document(&route(class), &json);
            // What is ours stands last, within `unmapped`.
            let tail = format!("\"trailtag\":{}}}}}", ours(&site, &route(class), &json));
            let head = document
                .strip_suffix(&tail)
                .unwrap_or_else(|| panic!("{document}"));
            insta::assert_snapshot!(format!("{name}_{}", class::uid(class)), head);
        }
    }
}

/// Where something is null or empty, but for what is the record's own.
fn gaps(path: &str, value: &Value, found: &mut Vec<String>) {
    let free = [".data", "/unmapped"];
    match value {
        Value::Null => found.push(path.to_owned()),
        Value::String(text) if text.is_empty() => found.push(path.to_owned()),
        Value::Array(items) if items.is_empty() => found.push(path.to_owned()),
        Value::Array(items) => items.iter().for_each(|item| gaps(path, item, found)),
        Value::Object(fields) if fields.is_empty() => found.push(path.to_owned()),
        Value::Object(fields) => {
            for (key, value) in fields {
                if key != "data" && key != "unmapped" {
                    gaps(&format!("{path}/{key}"), value, found);
                }
            }
        }
        _ => {}
    }
    found.retain(|path| !free.iter().any(|free| path.ends_with(free)));
}

#[test]
fn events_have_what_every_class_requires_and_no_gaps() {
    let site = Site::new(19, Detail::Full);
    for (name, json) in all() {
        for class in CLASSES {
            let event = parsed(&site, class, &json);
            let mut found = Vec::new();
            gaps("", &event, &mut found);
            assert!(found.is_empty(), "{name}: {found:?}");
            let number = |key: &str| event[key].as_u64().unwrap();
            assert_eq!(number("class_uid"), u64::from(class::uid(class)));
            assert_eq!(
                number("type_uid"),
                number("class_uid") * 100 + number("activity_id")
            );
            // Informational is 1 here and 0 there.
            assert_eq!(number("severity_id"), number("risk_level_id") + 1, "{name}");
            assert_eq!(event["cloud"]["provider"], "AWS");
            assert_eq!(event["metadata"]["version"], VERSION);
            assert_eq!(event["metadata"]["labels"], json!(["env:prod"]));
            assert!(event["time"].is_i64(), "{name}");
            assert_eq!(event["raw_data"], json, "{name}");
            assert!(event["unmapped"]["trailtag"].is_object(), "{name}");
            let has = |key: &str| event.get(key).is_some();
            let is_finding = class == OcsfClass::DetectionFinding;
            assert_eq!(has("finding_info"), is_finding, "{name}");
            assert_eq!(has("actor"), !is_finding, "{name}");
            assert_eq!(has("api"), !is_finding, "{name}");
            assert_eq!(has("src_endpoint"), !is_finding, "{name}");
            assert_eq!(has("user"), class == OcsfClass::AccountChange, "{name}");
        }
    }
}

#[test]
fn every_event_passes_the_validator_when_it_is_there() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas/ocsf");
    if !folder.exists() {
        return;
    }
    let mut lines = Vec::new();
    let mut names = Vec::new();
    let plain = [(18, Detail::Full), (19, Detail::Summary), (19, Detail::Ids)]
        .map(|(version, detail)| Site::new(version, detail));
    let telling = SequenceKind::ALL.map(|kind| Site::new(18, Detail::Summary).telling(kind));
    for site in plain.into_iter().chain(telling) {
        for (name, json) in all() {
            for class in CLASSES {
                lines.extend_from_slice(site.document(&route(class), &json).as_bytes());
                lines.push(b'\n');
                names.push(format!("{name} as {}", class::uid(class)));
            }
        }
    }
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&lines).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let output = Command::new("python3")
        .arg(folder.join("validate_ocsf.py"))
        .arg(folder.join("ocsf-1.8.0.pruned.json"))
        .stdin(Stdio::from(file))
        .output()
        .expect("python3 runs the validator: install it with your system's package manager");
    let said = String::from_utf8_lossy(&output.stdout);
    let faults: Vec<String> = said
        .lines()
        .filter_map(|line| {
            let (place, fault) = line.split_once(": ")?;
            let name = names.get(place.parse::<usize>().ok()?.checked_sub(1)?)?;
            Some(format!("{name}: {fault}"))
        })
        .collect();
    assert!(
        output.status.success() && faults.is_empty(),
        "{faults:#?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn a_finding_of_a_sequence_names_every_call() {
    let (_, json) = examples().remove(0);
    for kind in SequenceKind::ALL {
        let site = Site::new(18, Detail::Summary).telling(kind);
        let event = parsed(&site, OcsfClass::DetectionFinding, &json);
        let info = &event["finding_info"];
        assert_eq!(info["uid"], event["unmapped"]["trailtag"]["sequence"]["id"]);
        assert_eq!(event["metadata"]["uid"], info["uid"]);
        assert_eq!(info["title"], kind.title());
        // The hash that stands for an id is in no lake.
        let related = info["related_events"].as_array().unwrap();
        assert_eq!(related.len(), 2, "{kind:?}");
        assert_eq!(related[1]["uid"], "a5d9e8b2-0000-4000-8000-000000000001");
        assert_eq!(related[1]["type_uid"], 600_303);
        let times = |key: &str| info[key].as_i64().unwrap();
        assert_eq!(times("last_seen_time") - times("first_seen_time"), 12_000);
        assert_eq!(event["is_alert"], kind.verdict() == Verdict::Escalates);
        let document = site.document(&route(OcsfClass::DetectionFinding), &json);
        let ours = ours(&site, &route(OcsfClass::DetectionFinding), &json);
        let head = document.replace(&ours, "{…}");
        insta::assert_snapshot!(format!("sequence_{}", kind.as_str()), head);
    }
}

#[test]
fn a_finding_says_what_was_done_and_what_to_do() {
    let site = Site::new(18, Detail::Full);
    let (_, json) = examples()
        .into_iter()
        .find(|(name, _)| *name == "denied")
        .unwrap();
    let event = parsed(&site, OcsfClass::DetectionFinding, &json);
    assert_eq!(event["type_uid"], 200_401);
    assert_eq!(event["status"], "New");
    assert_eq!(event["action"], "Denied");
    assert_eq!(
        event["finding_info"]["related_events"][0]["type_uid"],
        600_303
    );
    assert_eq!(
        event["evidences"][0]["api"]["response"]["error"],
        "AccessDenied"
    );
    let first = event["remediation"]["desc"].as_str().unwrap();
    assert!(first.starts_with("1. "), "{first}");
    assert!(
        !event["remediation"]["references"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    let of_call = parsed(&site, OcsfClass::ApiActivity, &json);
    assert_eq!(of_call["status"], "Failure");
    assert_eq!(of_call["status_code"], "AccessDenied");
}

#[test]
fn the_version_of_attack_is_said() {
    let json = r#"{"awsRegion":"nowhere-1"}"#;
    for (version, want) in [(18, json!("18")), (19, json!("19"))] {
        let site = Site::new(version, Detail::Ids);
        let event = parsed(&site, OcsfClass::ApiActivity, json);
        for attack in event["attacks"].as_array().unwrap() {
            assert_eq!(attack["version"], want, "{attack}");
        }
    }
}

#[test]
fn the_user_of_an_account_change_is_the_one_that_was_changed() {
    let site = Site::new(19, Detail::Ids);
    let json = r#"{"awsRegion":"nowhere-1","eventName":"AttachUserPolicy","requestParameters":{"userName":"bob"},"userIdentity":{"type":"IAMUser","userName":"eve"}}"#;
    let event = parsed(&site, OcsfClass::AccountChange, json);
    assert_eq!(event["user"]["name"], "bob");
    assert_eq!(event["actor"]["user"]["name"], "eve");
}

#[test]
fn the_same_record_makes_the_same_bytes() {
    let [first, second] = [(); 2].map(|()| Site::new(19, Detail::Full));
    for (name, json) in all() {
        for class in CLASSES {
            assert_eq!(
                first.document(&route(class), &json),
                second.document(&route(class), &json),
                "{name}"
            );
        }
    }
}

#[test]
fn a_hostile_record_makes_no_document_much_larger_than_itself() {
    let site = Site::new(19, Detail::Ids);
    for (name, json) in all() {
        for class in CLASSES {
            let length = site.document(&route(class), &json).len();
            assert!(length < 3 * json.len() + 150_000, "{name}: {length}");
        }
    }
}

#[test]
fn what_has_no_place_in_the_schema_is_unmapped() {
    let site = Site::new(19, Detail::Ids);
    let json = r#"{"awsRegion":"nowhere-1","eventName":"RemoveRoleFromInstanceProfile","tlsDetails":{"cipherSuite":"x"},"userIdentity":{"type":"AssumedRole","userName":"eve","credentialId":"c","onBehalfOf":{"userId":"u","identityStoreArn":null},"sessionContext":{"sourceIdentity":"alice","webIdFederationData":{},"attributes":{"mfaAuthenticated":"true"}}}}"#;
    for class in CLASSES {
        let unmapped = parsed(&site, class, json)["unmapped"].take();
        assert_eq!(
            unmapped["userIdentity"],
            json!({"credentialId": "c", "onBehalfOf": {"userId": "u"}, "sessionContext": {"sourceIdentity": "alice", "webIdFederationData": {}}})
        );
        assert_eq!(unmapped["tlsDetails"], json!({"cipherSuite": "x"}));
    }
}
