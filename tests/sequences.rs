//! Sequences as a user meets them: streams of records, labelled by what they are together, and exactly the documents that
//! must come of them.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]
#![allow(
    dead_code,
    reason = "the records are shared with the test of severity, which has more kinds"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};
use trailtag::config::{Config, Format, Key, OcsfClass, Route, Validate};
use trailtag::model::{Level, Origin};
use trailtag::pipeline::{Outputs, Pipeline};
use trailtag::sequence::{BUILT_IN, Fold};

#[path = "severity/records.rs"]
mod records;

use records::{CLI, Site, TERRAFORM, denied, role, stack, target, user_key, user_session, with};

/// 2026-01-05T12:00:00Z.
const NOON: u64 = 1_767_614_400;

/// One record: an id, a number of seconds after noon, and what is otherwise than usual.
fn record(id: &str, at: u64, changes: &Value) -> Value {
    let mut record = with(changes);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(NOON + at);
    record["eventID"] = json!(id);
    record["eventTime"] = json!(humantime::format_rfc3339_seconds(time).to_string());
    record
}

fn remove(id: &str, at: u64, profile: &str, role: &str) -> Value {
    let changes = json!({"userIdentity": user_key(), "requestParameters": target(profile, role)});
    record(id, at, &changes)
}

fn add(id: &str, at: u64, profile: &str, role: &str) -> Value {
    let mut add = remove(id, at, profile, role);
    add["eventName"] = json!("AddRoleToInstanceProfile");
    add
}

fn delete(id: &str, at: u64, profile: &str) -> Value {
    let mut delete = remove(id, at, profile, "");
    delete["eventName"] = json!("DeleteInstanceProfile");
    delete["requestParameters"] = json!({"instanceProfileName": profile});
    delete
}

fn denial(id: &str, at: u64) -> Value {
    record(id, at, &denied(&user_key(), CLI))
}

/// The same records by somebody else.
fn by(changes: &Value, mut records: Vec<Value>) -> Vec<Value> {
    for record in &mut records {
        for (key, value) in changes.as_object().unwrap() {
            record[key] = value.clone();
        }
    }
    records
}

/// One removal each of so many profiles, a few seconds apart.
fn teardown(profiles: u64) -> Vec<Value> {
    let removal = |number: u64| {
        let profile = format!("web-{number}");
        remove(&format!("r{number}"), number * 20, &profile, "web-role")
    };
    (1..=profiles).map(removal).collect()
}

/// The documents of sequences that come of a stream, in their order.
fn documents(config: &Config, records: &[Value]) -> Vec<Value> {
    let pipeline = Pipeline::from_config(config).unwrap().collecting_steps();
    documents_of(&pipeline, config, records)
}

fn documents_of(pipeline: &Pipeline, config: &Config, records: &[Value]) -> Vec<Value> {
    let mut fold = Fold::new(&config.sequences);
    let mut out = Outputs::default();
    for (offset, record) in records.iter().enumerate() {
        let origin = Origin {
            topic: "cloudtrail",
            partition: 0,
            offset: i64::try_from(offset).unwrap(),
            timestamp: None,
        };
        pipeline.process(record.to_string().as_bytes(), &origin, &mut out);
        fold.fold(pipeline, &mut out);
    }
    assert!(out.dead_letters.is_empty(), "{:?}", out.dead_letters);
    let documents = out.documents.iter();
    let all = documents.map(|it| serde_json::from_slice::<Value>(&it.payload).unwrap());
    let found: Vec<Value> = all
        .filter(|it| !it["trailtag"]["sequence"].is_null())
        .collect();
    // Every route here takes everything, but where a test says so.
    let counted: u64 = fold.tally.each().map(|(_, count)| count).sum();
    assert!(counted >= found.len() as u64);
    found
}

/// A document in short: what it is, how severe, and of which events.
fn short(document: &Value) -> String {
    let ours = &document["trailtag"];
    let (sequence, severity) = (&ours["sequence"], &ours["severity"]);
    let steps = sequence["steps"].as_array().unwrap();
    let ids: Vec<&str> = steps
        .iter()
        .map(|it| it["event_id"].as_str().unwrap())
        .collect();
    let ids = if ids.len() > 5 {
        format!("{}..{}", ids[0], ids[ids.len() - 1])
    } else {
        ids.join(" ")
    };
    format!(
        "{} {} {} {}: {ids}",
        sequence["kind"].as_str().unwrap(),
        sequence["verdict"].as_str().unwrap(),
        severity["score"],
        severity["level"].as_str().unwrap(),
    )
}

/// The pipeline of a site; the same few again and again, so each is built once.
fn pipeline_of(site: Site) -> Rc<(Config, Pipeline)> {
    thread_local! {
        static SITES: RefCell<HashMap<String, Rc<(Config, Pipeline)>>> = RefCell::default();
    }
    let build = || {
        let folder = tempfile::tempdir().unwrap();
        let config = site.config(folder.path());
        let pipeline = Pipeline::from_config(&config).unwrap().collecting_steps();
        Rc::new((config, pipeline))
    };
    SITES.with_borrow_mut(|sites| {
        let known = sites.entry(format!("{site:?}"));
        known.or_insert_with(build).clone()
    })
}

fn told(site: Site, records: &[Value]) -> Vec<String> {
    let of_site = pipeline_of(site);
    let documents = documents_of(&of_site.1, &of_site.0, records);
    documents.iter().map(short).collect()
}

/// A stream: what it is called, the site, its records, and the documents that must come of it.
type Stream = (&'static str, Site, Vec<Value>, Vec<&'static str>);

#[rustfmt::skip]
#[allow(clippy::too_many_lines, reason = "a table")]
fn streams() -> Vec<Stream> {
    let plain = Site::default();
    let lists = Site { principals: true, networks: true, ..plain };
    let deployment = json!({"userIdentity": role("deploy-ci", "run-7"), "userAgent": TERRAFORM, "sourceIPAddress": "198.51.100.7"});
    let other_account = json!({"recipientAccountId": "444455556666"});
    let mallory = json!({"userIdentity": role("ops", "mallory")});
    let swap = || vec![remove("r", 0, "web", "web-role"), add("a", 30, "web", "batch")];
    let reversed = |mut records: Vec<Value>| { records.reverse(); records };
    let many_of_one = || (0..30).map(|n| remove(&format!("r{n}"), n, "web", "web-role")).collect::<Vec<_>>();
    let denials = |count: u64, gap: u64| (1..=count).map(|n| denial(&format!("d{n}"), n * gap)).collect::<Vec<_>>();
    let then = |mut first: Vec<Value>, second: Vec<Value>| { first.extend(second); first };
    vec![
        ("a swap", plain, swap(), vec!["role_swap escalates 80 high: r a"]),
        ("a swap whose second half comes first", plain, reversed(swap()), vec!["role_swap escalates 80 high: r a"]),
        ("a swap to a privileged role", plain, vec![remove("r", 0, "web", "web-role"), add("a", 30, "web", "OrgAdmin")],
            vec!["role_swap escalates 90 critical: r a"]),
        ("a swap by a deployment that is expected", lists, by(&deployment, swap()), vec!["role_swap escalates 40 medium: r a"]),
        ("a swap of which only the first half is expected", lists, then(by(&deployment, swap()[..1].to_vec()), swap()[1..].to_vec()),
            vec!["role_swap escalates 65 high: r a"]),
        ("a privileged swap by a deployment that is expected", lists,
            by(&deployment, vec![remove("r", 0, "web", "web-role"), add("a", 30, "web", "OrgAdmin")]),
            vec!["role_swap escalates 45 medium: r a"]),
        ("a swap whose halves two people make", plain, then(swap()[..1].to_vec(), by(&mallory, swap()[1..].to_vec())),
            vec!["role_swap escalates 80 high: r a"]),
        ("a swap within one second", plain, vec![remove("r", 0, "web", "web-role"), add("a", 0, "web", "batch")],
            vec!["role_swap escalates 80 high: r a"]),
        ("a role that is put back", plain, vec![remove("r", 0, "web", "web-role"), add("a", 30, "web", "web-role")],
            vec!["role_restored settles 30 low: r a"]),
        ("a swap at the last second", plain, vec![remove("r", 0, "web", "web-role"), add("a", 900, "web", "batch")],
            vec!["role_swap escalates 80 high: r a"]),
        ("a swap that is late by a second", plain, vec![remove("r", 0, "web", "web-role"), add("a", 901, "web", "batch")], vec![]),
        ("an addition before the removal", plain, vec![add("a", 0, "web", "batch"), remove("r", 1, "web", "batch")], vec![]),
        ("another profile", plain, vec![remove("r", 0, "web", "web-role"), add("a", 30, "api", "batch")], vec![]),
        ("another account", plain, then(swap()[..1].to_vec(), by(&other_account, swap()[1..].to_vec())), vec![]),
        ("an addition that is denied", plain, then(swap()[..1].to_vec(),
            by(&json!({"errorCode": "AccessDenied"}), swap()[1..].to_vec())), vec![]),
        ("an addition that fails", plain, then(swap()[..1].to_vec(),
            by(&json!({"errorCode": "LimitExceededException"}), swap()[1..].to_vec())), vec![]),
        ("a removal that fails", plain, then(by(&json!({"errorCode": "NoSuchEntityException"}), swap()[..1].to_vec()),
            swap()[1..].to_vec()), vec![]),
        ("a removal that is denied", plain, vec![denial("d", 0), add("a", 30, "web", "batch")], vec![]),
        ("a call of another service of that name", plain, then(swap()[..1].to_vec(),
            by(&json!({"eventSource": "example.amazonaws.com"}), swap()[1..].to_vec())), vec![]),
        ("back and forth", plain, vec![remove("r1", 0, "web", "a"), add("a1", 10, "web", "b"), remove("r2", 20, "web", "b"), add("a2", 30, "web", "a")],
            vec!["role_swap escalates 80 high: r1 a1", "role_swap escalates 80 high: r2 a2"]),
        ("a teardown", plain, vec![remove("r", 0, "web", "web-role"), delete("x", 1, "web")],
            vec!["profile_deleted settles 35 low: r x"]),
        ("a teardown at the last second", plain, vec![remove("r", 0, "web", "web-role"), delete("x", 300, "web")],
            vec!["profile_deleted settles 35 low: r x"]),
        ("a teardown that is late", plain, vec![remove("r", 0, "web", "web-role"), delete("x", 301, "web")], vec![]),
        ("a teardown that another actor finishes", plain, vec![remove("r", 0, "web", "web-role"), by(&mallory, vec![delete("x", 1, "web")]).remove(0)], vec![]),
        ("a teardown by CloudFormation", plain, by(&stack(), vec![remove("r", 0, "web", "web-role"), delete("x", 1, "web")]),
            vec!["profile_deleted settles 0 informational: r x"]),
        ("a teardown after a swap", plain, vec![remove("r1", 0, "web", "a"), add("a1", 10, "web", "b"), remove("r2", 20, "web", "b"), delete("x", 21, "web")],
            vec!["role_swap escalates 80 high: r1 a1", "profile_deleted settles 35 low: r2 x"]),
        ("4 profiles", plain, teardown(4), vec![]),
        ("5 profiles", plain, teardown(5), vec!["burst escalates 75 high: r1 r2 r3 r4 r5"]),
        ("19 profiles", plain, teardown(19), vec!["burst escalates 75 high: r1 r2 r3 r4 r5"]),
        ("20 profiles", plain, teardown(20), vec!["burst escalates 75 high: r1 r2 r3 r4 r5", "burst escalates 85 critical: r1..r20"]),
        ("25 profiles", plain, teardown(25), vec!["burst escalates 75 high: r1 r2 r3 r4 r5", "burst escalates 85 critical: r1..r20"]),
        ("25 profiles by a deployment that is expected", lists, by(&deployment, teardown(25)), vec![]),
        ("25 profiles by CloudFormation", plain, by(&stack(), teardown(25)), vec![]),
        ("one profile 30 times", plain, many_of_one(), vec![]),
        ("5 profiles by five people", plain, (1..=5).flat_map(|n| by(&json!({"userIdentity": role("ops", "eve"), "recipientAccountId": format!("11112222333{n}")}), vec![teardown(5).remove(n - 1)])).collect(), vec![]),
        ("5 profiles by one role in five sessions", plain, (1..=5).flat_map(|n| by(&json!({"userIdentity": role("ops", &format!("s{n}"))}), vec![teardown(5).remove(n - 1)])).collect(),
            vec!["burst escalates 65 high: r1 r2 r3 r4 r5"]),
        ("5 profiles by five people of one permission set", plain, (1..=5).flat_map(|n| by(&json!({"userIdentity": role("AWSReservedSSO_PowerUser_0123456789abcdef", &format!("p{n}@example.com"))}), vec![teardown(5).remove(n - 1)])).collect(), vec![]),
        ("5 profiles by one person of a permission set", plain, by(&json!({"userIdentity": role("AWSReservedSSO_PowerUser_0123456789abcdef", "eve@example.com")}), teardown(5)),
            vec!["burst escalates 65 high: r1 r2 r3 r4 r5"]),
        ("a swap without times", plain, by(&json!({"eventTime": null}), swap()), vec![]),
        ("a swap without a profile", plain, by(&json!({"requestParameters": null}), swap()), vec![]),
        ("a swap of which nobody knows the account", plain, by(&json!({"recipientAccountId": null, "userIdentity": {"type": "IAMUser"}}), swap()), vec![]),
        ("5 profiles in more than ten minutes", plain, (1..=5).map(|n| remove(&format!("r{n}"), n * 151, &format!("web-{n}"), "web-role")).collect(), vec![]),
        ("two bursts", plain, (1..=10).map(|n| remove(&format!("r{n:02}"), n + if n > 5 { 700 } else { 0 }, &format!("web-{n}"), "web-role")).collect(),
            vec!["burst escalates 75 high: r01 r02 r03 r04 r05", "burst escalates 75 high: r06 r07 r08 r09 r10"]),
        ("a slow teardown that never stops", plain, (1..=25).map(|n| remove(&format!("r{n:02}"), n * 145, &format!("web-{n}"), "web-role")).collect(),
            vec!["burst escalates 75 high: r01 r02 r03 r04 r05"]),
        ("2 denials", plain, denials(2, 60), vec![]),
        ("4 denials", plain, denials(4, 60), vec!["denied_burst escalates 50 medium: d1 d2 d3"]),
        ("denials far apart", plain, denials(4, 301), vec![]),
        ("a success after three denials", plain, then(denials(3, 60), vec![remove("r", 600, "web", "web-role")]),
            vec!["denied_burst escalates 50 medium: d1 d2 d3", "success_after_denied escalates 75 high: d1 d2 d3 r"]),
        ("two successes after three denials", plain, then(denials(3, 60), vec![remove("r", 600, "web", "web-role"), remove("s", 700, "web", "web-role")]),
            vec!["denied_burst escalates 50 medium: d1 d2 d3", "success_after_denied escalates 75 high: d1 d2 d3 r"]),
        ("a success after two denials", plain, then(denials(2, 60), vec![remove("r", 600, "web", "web-role")]), vec![]),
        ("a success an hour after denials", plain, then(denials(3, 60), vec![remove("r", 3661, "web", "web-role")]),
            vec!["denied_burst escalates 50 medium: d1 d2 d3"]),
        ("a success before the denials", plain, then(denials(3, 60), vec![remove("r", 0, "web", "web-role")]),
            vec!["denied_burst escalates 50 medium: d1 d2 d3"]),
        ("a denial that comes after the success", plain, then(denials(2, 60), vec![remove("r", 600, "web", "web-role"), denial("d3", 180)]),
            vec!["denied_burst escalates 50 medium: d1 d2 d3", "success_after_denied escalates 75 high: d1 d2 d3 r"]),
    ]
}

#[test]
fn streams_come_out_as_they_are_labelled() {
    for (name, site, records, want) in streams() {
        assert_eq!(told(site, &records), want, "{name}");
    }
}

#[test]
fn every_record_twice_is_as_once() {
    for (name, site, records, want) in streams() {
        let doubled: Vec<Value> = records
            .iter()
            .flat_map(|it| [it.clone(), it.clone()])
            .collect();
        assert_eq!(told(site, &doubled), want, "{name}, each twice");
        let again: Vec<Value> = records.iter().chain(&records).cloned().collect();
        assert_eq!(told(site, &again), want, "{name}, all again");
    }
}

/// What a sequence must be: its factors, and its techniques.
type Example = (
    u8,
    Site,
    Vec<Value>,
    &'static [(&'static str, i64)],
    &'static [&'static str],
);

#[rustfmt::skip]
fn examples() -> Vec<Example> {
    let plain = Site::default();
    let lists = Site { principals: true, networks: true, ..plain };
    let deployment = json!({"userIdentity": role("deploy-ci", "run-7"), "userAgent": TERRAFORM, "sourceIPAddress": "198.51.100.7"});
    let session = json!({"userIdentity": user_session("true")});
    let denials = || (1..=4).map(|n| denial(&format!("d{n}"), n * 60));
    let swap = |role: &str| vec![remove("r", 0, "web", "web-role"), add("a", 30, "web", role)];
    vec![
        (17, plain, denials().collect(),
            &[("outcome.denied", 25), ("actor.long_lived_key", 10), ("insufficient.request_parameters", 0), ("correlation.denied_burst", 15)], &["T1098.003"]),
        (18, plain, denials().skip(1).chain([remove("r", 600, "web", "web-role")]).collect(),
            &[("outcome.success", 35), ("actor.long_lived_key", 10), ("correlation.success_after_denied", 30)], &["T1098.003"]),
        (22, plain, swap("batch"), &[("outcome.success", 35), ("actor.long_lived_key", 10), ("correlation.role_swap", 35)], &["T1098.003"]),
        (23, plain, swap("OrgAdmin"),
            &[("outcome.success", 35), ("actor.long_lived_key", 10), ("correlation.role_swap", 35), ("correlation.swap_to_privileged", 10)], &["T1098.003"]),
        (24, lists, by(&deployment, swap("batch")),
            &[("outcome.success", 35), ("client.iac_user_agent", -10), ("actor.allow_listed", -20), ("correlation.role_swap", 35)], &["T1098.003"]),
        (25, plain, by(&session, swap("web-role")), &[("outcome.success", 35), ("correlation.restored_same_role", -15)], &[]),
        (26, plain, teardown(5), &[("outcome.success", 35), ("actor.long_lived_key", 10), ("correlation.burst", 30)], &["T1531"]),
        (27, plain, teardown(25), &[("outcome.success", 35), ("actor.long_lived_key", 10), ("correlation.burst", 30)], &["T1531"]),
    ]
}

#[test]
fn the_labelled_examples_have_their_factors_and_techniques() {
    for (number, site, records, factors, techniques) in examples() {
        let folder = tempfile::tempdir().unwrap();
        let documents = documents(&site.config(folder.path()), &records);
        let ours = &documents.last().unwrap()["trailtag"];
        let list = |value: &Value| value.as_array().unwrap().clone();
        let got: Vec<(String, i64)> = list(&ours["severity"]["factors"])
            .iter()
            .map(|it| {
                (
                    it["id"].as_str().unwrap().to_owned(),
                    it["points"].as_i64().unwrap(),
                )
            })
            .collect();
        let want: Vec<(String, i64)> = factors
            .iter()
            .map(|(id, points)| ((*id).to_owned(), *points))
            .collect();
        assert_eq!(got, want, "example {number}");
        let got: Vec<Value> = list(&ours["attack"])
            .iter()
            .map(|it| it["technique"].clone())
            .collect();
        assert_eq!(got, techniques, "example {number}");
    }
}

#[test]
fn a_document_is_of_the_removal_whole_and_tells_every_step() {
    let records = [
        remove("r", 0, "web", "web-role"),
        add("a", 30, "web", "batch"),
    ];
    let document = documents(&Config::default(), &records).remove(0);
    assert_eq!(document["event"], records[0]);
    let ours = &document["trailtag"];
    assert_eq!(ours["event_id"], "r");
    let sequence = &ours["sequence"];
    assert_eq!(sequence["role_now"], "batch");
    assert_eq!(sequence["count"], 2);
    let id = sequence["id"].as_str().unwrap();
    assert_eq!(id.len(), "sequence-".len() + 64);
    let place =
        |offset: i64| json!({"topic": "cloudtrail", "partition": 0, "offset": offset, "index": 0});
    let step = |id: &str, time: &str, name: &str, role: &str, offset: i64| {
        json!({
            "event_id": id, "event_time": time, "event_name": name, "outcome": "success", "instance_profile": "web",
            "role": role, "actor": "arn:aws:iam::111122223333:user/eve", "address": "203.0.113.7", "source": place(offset),
        })
    };
    assert_eq!(
        sequence["steps"],
        json!([
            step(
                "r",
                "2026-01-05T12:00:00Z",
                "RemoveRoleFromInstanceProfile",
                "web-role",
                0
            ),
            step(
                "a",
                "2026-01-05T12:00:30Z",
                "AddRoleToInstanceProfile",
                "batch",
                1
            ),
        ])
    );
}

#[test]
fn the_id_is_the_key_and_the_same_in_any_order() {
    let pipeline = Pipeline::from_config(&Config::default())
        .unwrap()
        .collecting_steps();
    let records = [
        remove("r", 0, "web", "web-role"),
        add("a", 30, "web", "batch"),
    ];
    let keys = [[0, 1], [1, 0]].map(|order| {
        let mut fold = Fold::new(&Config::default().sequences);
        let mut out = Outputs::default();
        for place in order {
            let origin = Origin {
                topic: "t",
                partition: 0,
                offset: 0,
                timestamp: None,
            };
            pipeline.process(records[place].to_string().as_bytes(), &origin, &mut out);
            fold.fold(&pipeline, &mut out);
        }
        let last = out.documents.last().unwrap();
        let document: Value = serde_json::from_slice(&last.payload).unwrap();
        assert_eq!(
            document["trailtag"]["sequence"]["id"].as_str(),
            last.key.as_deref()
        );
        last.key.clone().unwrap()
    });
    assert_eq!(keys[0], keys[1]);
}

#[test]
fn what_takes_an_alarm_back_goes_where_the_alarm_went() {
    let route = |min_severity| Route {
        name: "r".to_owned(),
        topic: "t".to_owned(),
        key: Key::AccountId,
        min_severity,
        ..Route::default()
    };
    let records = [
        remove("r", 0, "web", "web-role"),
        add("a", 30, "web", "web-role"),
    ];
    for (level, want) in [(Level::Medium, 1), (Level::High, 0)] {
        let config = Config {
            routes: vec![route(level)],
            ..Config::default()
        };
        assert_eq!(documents(&config, &records).len(), want, "{level:?}");
    }
}

#[test]
fn a_route_of_calls_gets_no_sequence() {
    let records = [
        remove("r", 0, "web", "web-role"),
        add("a", 30, "web", "batch"),
    ];
    for (class, want) in [
        (OcsfClass::DetectionFinding, 2),
        (OcsfClass::ApiActivity, 1),
        (OcsfClass::AccountChange, 1),
    ] {
        let route = Route {
            format: Format::Ocsf,
            ocsf_class: class,
            ..Route::default()
        };
        let config = Config {
            routes: vec![route],
            ..Config::default()
        };
        let pipeline = Pipeline::from_config(&config).unwrap().collecting_steps();
        let mut fold = Fold::new(&config.sequences);
        let mut out = Outputs::default();
        for record in &records {
            let origin = Origin {
                topic: "t",
                partition: 0,
                offset: 0,
                timestamp: None,
            };
            pipeline.process(record.to_string().as_bytes(), &origin, &mut out);
            fold.fold(&pipeline, &mut out);
        }
        assert_eq!(out.documents.len(), want, "{class:?}");
    }
}

#[test]
fn a_principal_that_is_silenced_is_silenced_in_sequences() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("filter.yml");
    let filter = "title: Known\nid: 0d4e6a52-9f0a-4c55-8f6e-0d9c9a1b7e21\nlogsource: {product: aws, service: cloudtrail}\n\
                  filter: {rules: any, selection: {userIdentity.userName: eve}, condition: not selection}\n";
    std::fs::write(&path, filter).unwrap();
    let records = [
        remove("r", 0, "web", "web-role"),
        add("a", 30, "web", "batch"),
    ];
    let mut config = Config::default();
    assert_eq!(documents(&config, &records).len(), 1);
    config.detection.rules = vec![path];
    assert_eq!(documents(&config, &records).len(), 0);
}

#[test]
fn without_collecting_nothing_else_is_read() {
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let mut out = Outputs::default();
    let origin = Origin {
        topic: "t",
        partition: 0,
        offset: 0,
        timestamp: None,
    };
    for record in [remove("r", 0, "web", "a"), add("a", 1, "web", "b")] {
        pipeline.process(record.to_string().as_bytes(), &origin, &mut out);
        let steps = out.steps.len();
        assert_eq!(steps, 0, "{record}");
    }
    assert!(!pipeline.parses(add("a", 1, "web", "b").to_string().as_bytes()));
}

#[test]
fn every_kind_fits_into_what_is_remembered() {
    let window = Config::default().sequences.window.as_millis();
    for definition in BUILT_IN {
        assert!(
            u128::from(definition.window.unsigned_abs()) <= window,
            "{definition:?}"
        );
    }
}

/// A text that somebody may have put into a log.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["web", "web-role", "OrgAdmin", "eve"]).prop_map(str::to_owned),
        1 => any::<String>(),
        1 => "[-'\"`$(){}<>;&|\\\\ \n\t]{0,12}",
    ]
}

prop_compose! {
    fn any_call()(
        name in prop::sample::select(vec!["RemoveRoleFromInstanceProfile", "AddRoleToInstanceProfile", "DeleteInstanceProfile"]),
        code in prop::option::weighted(0.3, prop::sample::select(vec!["AccessDenied", "NoSuchEntityException"])),
        at in 0_u64..1200,
        id in 0_u32..12,
        (profile, role, user, address) in (any_text(), any_text(), any_text(), any_text()),
        missing in prop::option::weighted(0.2, prop::sample::select(vec!["eventTime", "eventID", "userIdentity", "requestParameters", "recipientAccountId"])),
    ) -> Value {
        let mut call = remove(&format!("{id}"), at, &profile, &role);
        call["eventName"] = json!(name);
        call["userIdentity"]["arn"] = json!(format!("arn:aws:iam::111122223333:user/{user}"));
        call["sourceIPAddress"] = json!(address);
        if let Some(code) = code {
            call["errorCode"] = json!(code);
        }
        if let Some(missing) = missing {
            call[missing] = Value::Null;
        }
        call
    }
}

/// A pipeline with a route for every format.
fn of_every_format() -> &'static (Config, Pipeline) {
    static PIPELINE: std::sync::OnceLock<(Config, Pipeline)> = std::sync::OnceLock::new();
    PIPELINE.get_or_init(|| {
        let formats = [
            Format::Native,
            Format::Ecs,
            Format::SplunkHec,
            Format::SplunkRaw,
            Format::Ocsf,
        ];
        let route = |format: Format| Route {
            name: format.as_str().to_owned(),
            topic: "t".to_owned(),
            format,
            ..Route::default()
        };
        let config = Config {
            routes: formats.map(route).into(),
            ..Config::default()
        };
        let pipeline = Pipeline::from_config(&config).unwrap().collecting_steps();
        (config, pipeline)
    })
}

/// What reads records as their names say, and what reads every record.
fn some_and_all() -> &'static [Pipeline; 2] {
    static PIPELINES: std::sync::OnceLock<[Pipeline; 2]> = std::sync::OnceLock::new();
    PIPELINES.get_or_init(|| {
        [Validate::Matched, Validate::Full].map(|validate| {
            let mut config = Config::default();
            config.input.validate = validate;
            Pipeline::from_config(&config).unwrap().collecting_steps()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever stands in the records, the documents of what they are together can be read in every format.
    #[test]
    fn hostile_records_make_documents_that_can_be_read(calls in prop::collection::vec(any_call(), 1..12)) {
        let (config, pipeline) = of_every_format();
        let mut fold = Fold::new(&config.sequences);
        for call in calls {
            let mut out = Outputs::default();
            let origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: Some(1_767_614_400_000) };
            let before = pipeline.process(call.to_string().as_bytes(), &origin, &mut out).matched;
            let alone = out.documents.len();
            prop_assert_eq!(u64::try_from(alone).unwrap(), before * 5);
            // What another process reads is what this one wrote.
            for step in &mut out.steps {
                let text = serde_json::to_string(step).unwrap();
                *step = serde_json::from_str(&text).unwrap();
            }
            fold.fold(pipeline, &mut out);
            prop_assert!(out.dead_letters.is_empty());
            prop_assert_eq!(out.documents.len() % 5, 0);
            for document in &out.documents[alone..] {
                let told: Value = serde_json::from_slice(&document.payload).unwrap();
                let key = document.key.as_deref().unwrap();
                prop_assert!(key.starts_with("sequence-") && told.to_string().contains(key), "{}", told);
            }
        }
    }

    /// The prefilter is exact for steps too: what reads every record finds no other ones.
    #[test]
    fn no_step_is_passed_over(call in any_call(), escaped in any::<bool>()) {
        let mut text = call.to_string();
        if escaped {
            text = text.replace("Profile\",", "Profil\\u0065\",");
        }
        let origin = Origin { topic: "t", partition: 0, offset: 0, timestamp: None };
        let [some, all] = some_and_all().each_ref().map(|pipeline| {
            let mut out = Outputs::default();
            pipeline.process(text.as_bytes(), &origin, &mut out);
            out.steps
        });
        prop_assert_eq!(some, all);
    }
}
