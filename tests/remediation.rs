//! The remediation catalogue as it leaves: every item is reached by some event, its commands and calls are ones that AWS
//! has, and no value of an event changes what they do.
//!
//! A real shell runs the steps, with stubs in place of every program, and a real Python parses them. So these tests need
//! bash, python3 and what `tests/components/botocore.sh` installs. In [`account`] they run for real, in an account that
//! answers: that needs what `tests/components/moto.sh` installs. [`queries`] needs what `tests/components/queries.sh` does.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

#[path = "remediation/account.rs"]
mod account;
#[path = "remediation/events.rs"]
mod events;
#[path = "remediation/queries.rs"]
mod queries;
#[path = "remediation/shell.rs"]
mod shell;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline};
use trailtag::sequence::Fold;

use events::{BENIGN, MESSAGE_TIME, SWAPPED_IN, events};
use shell::{Calls, python, run};

const HOSTILE: [&str; 14] = [
    "'; rm -rf ~; '",
    "$(id)",
    "`id`",
    "a\nid\n",
    "a'b\"c\\",
    "a\0b",
    "\u{202e}nimda\u{2066}",
    "--endpoint-url=https://evil.example",
    "-",
    "{{ role }}",
    "x,Arn=y",
    "a b;c&d|e>f<g*h?i~j#k!l%m",
    "arn:aws:iam::1:role/$(id)",
    "+=,.@_",
];

fn pipeline() -> Pipeline {
    Pipeline::from_config(&Config::default())
        .unwrap()
        .collecting_steps()
}

/// What is said under `trailtag` of one event; of one that names a role which came in afterwards, of the swap.
fn tagged(pipeline: &Pipeline, event: &Value) -> Value {
    let origin = Origin {
        topic: "cloudtrail",
        partition: 3,
        offset: 42,
        timestamp: Some(MESSAGE_TIME),
    };
    let mut outputs = Outputs::default();
    let tally = pipeline.process(&serde_json::to_vec(event).unwrap(), &origin, &mut outputs);
    assert_eq!((tally.matched, tally.records()), (1, 1), "{event}");
    if let Some(role) = event.get(SWAPPED_IN) {
        let mut addition = event.clone();
        addition["eventName"] = json!("AddRoleToInstanceProfile");
        addition["eventID"] = json!("c8e1f0aa-0000-4000-8000-00000000a002");
        put(
            &mut addition,
            "/requestParameters/roleName",
            role.as_str().unwrap(),
        );
        let addition = serde_json::to_vec(&addition).unwrap();
        pipeline.process(&addition, &origin, &mut outputs);
        // Where values are such that it is no swap, the removal's own document is the last.
        Fold::new(&Config::default().sequences).fold(pipeline, &mut outputs);
    }
    let last = outputs.documents.last().unwrap();
    let document: Value = serde_json::from_slice(&last.payload).unwrap();
    document["trailtag"].clone()
}

fn ids(tagged: &Value) -> Vec<&str> {
    let items = tagged["remediation"].as_array().unwrap();
    items
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect()
}

fn lines(item: &Value, part: &str) -> Vec<String> {
    let lines = item[part].as_array().map(Vec::as_slice).unwrap_or_default();
    lines
        .iter()
        .map(|line| line.as_str().unwrap().to_owned())
        .collect()
}

/// Every item as a benign event fills it in, by its id.
static ITEMS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let pipeline = pipeline();
    let mut items = BTreeMap::new();
    for event in events().into_values() {
        for item in tagged(&pipeline, &event)["remediation"].as_array().unwrap() {
            let id = item["id"].as_str().unwrap().to_owned();
            items.insert(id, item.clone());
        }
    }
    items
});

/// The calls of every benign line, by item.
static CALLS: LazyLock<BTreeMap<String, Vec<Calls>>> = LazyLock::new(|| {
    let ran = ITEMS
        .iter()
        .map(|(id, item)| (id.clone(), run(&lines(item, "cli"))));
    ran.collect()
});

#[test]
fn every_item_is_reached_by_some_event() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/remediation.yaml"))
            .unwrap();
    let catalogue: Value = serde_saphyr::from_str(&text).unwrap();
    let all: BTreeSet<&str> = catalogue["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    let reached: BTreeSet<&str> = ITEMS.keys().map(String::as_str).collect();
    assert_eq!(reached, all);
}

#[test]
fn what_is_chosen_fits_the_event() {
    let pipeline = pipeline();
    let chosen = |name: &str| {
        let tagged = tagged(&pipeline, &events()[name]);
        ids(&tagged)
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let mut summary = String::new();
    for name in events().keys() {
        writeln!(summary, "{name}:").unwrap();
        for id in chosen(name) {
            writeln!(summary, "  {id}").unwrap();
        }
    }
    insta::assert_snapshot!("chosen", summary);
    let kinds = |name: &str| -> BTreeSet<String> {
        chosen(name)
            .iter()
            .map(|id| id.split('.').next().unwrap().to_owned())
            .collect()
    };
    assert!(chosen("user").len() <= 17);
    assert_eq!(
        kinds("service"),
        BTreeSet::from(["investigate".to_owned(), "restore".to_owned()])
    );
    for name in ["user, denied", "session, denied", "user, failed"] {
        assert!(!kinds(name).contains("restore"), "{name}: nothing changed");
    }
}

/// The ids of the items for every event.
fn chosen() -> BTreeMap<&'static str, Vec<String>> {
    let pipeline = pipeline();
    let chosen = events().into_iter().map(|(name, event)| {
        let tagged = tagged(&pipeline, &event);
        let ids = ids(&tagged);
        (name, ids.into_iter().map(str::to_owned).collect())
    });
    chosen.collect()
}

#[test]
fn who_did_it_is_stopped_before_anything_is_restored() {
    for (name, ids) in chosen() {
        let last = ids.iter().rposition(|id| id.starts_with("contain."));
        let first = ids.iter().position(|id| id.starts_with("restore."));
        assert!(
            last.zip(first).is_none_or(|(last, first)| last < first),
            "{name}: {ids:?}"
        );
    }
}

#[test]
fn a_service_that_acts_for_somebody_keeps_the_somebody() {
    let chosen = chosen();
    // What a stack's profile may need beside is the only difference.
    let through = &chosen["session, through CloudFormation"];
    let rest: Vec<&String> = through
        .iter()
        .filter(|id| *id != "restore.deleted_profile")
        .collect();
    assert!(rest.iter().copied().eq(&chosen["session"]));
    assert_eq!(through.len(), rest.len() + 1);
    assert_eq!(chosen["user, through Systems Manager"], chosen["user"]);
    let pipeline = pipeline();
    let risks = |name: &str| tagged(&pipeline, &events()[name])["risks"].clone();
    assert_eq!(risks("user, through Systems Manager"), risks("user"));
    let of_session = risks("session, through CloudFormation");
    assert_eq!(of_session[0], risks("session")[0]);
    assert_eq!(of_session[1], risks("session")[1]);
}

#[test]
fn a_root_session_of_the_organization_is_not_the_root_user() {
    let chosen = chosen();
    let own = ["contain.root", "hardening.root_mfa"];
    let assumed = &chosen["root, by the organization"];
    assert!(!assumed.iter().any(|id| own.contains(&id.as_str())));
    let rest: Vec<&String> = chosen["root"]
        .iter()
        .filter(|id| !own.contains(&id.as_str()))
        .collect();
    assert!(assumed.iter().eq(rest), "{assumed:?}");
}

#[test]
fn a_principal_of_another_account_is_not_touched() {
    for name in ["another account's user", "another account's session"] {
        let ids = &chosen()[name];
        let contain: Vec<&String> = ids.iter().filter(|id| id.starts_with("contain.")).collect();
        assert_eq!(contain, ["contain.other_account", "contain.swapped_role"]);
        for id in ids {
            let of_the_principal = id.starts_with("investigate.actor_identity")
                || id.starts_with("investigate.actor_session")
                || id.starts_with("prevent.least")
                || id.starts_with("hardening.") && id != "hardening.cloudtrail";
            assert!(!of_the_principal, "{name}: {id}");
        }
    }
}

#[test]
fn a_swap_is_looked_for_after_any_unexpected_success() {
    for (name, ids) in chosen() {
        let expected = ["service", "Karpenter"].contains(&name);
        let success = !name.ends_with("denied") && !name.ends_with("failed");
        let swap = ids.iter().any(|id| id == "contain.swapped_role");
        // Of one that is found, it is known which role came in.
        let found = ids.iter().any(|id| id == "contain.swapped_in_role");
        assert_eq!(found, name.ends_with("swap"), "{name}");
        assert_eq!(swap, success && !expected && !found, "{name}");
        if expected {
            let ends_sessions = ["contain.role_sessions", "contain.instance_role"];
            let ends = ids.iter().any(|id| ends_sessions.contains(&id.as_str()));
            assert!(!ends, "{name}: {ids:?}");
        }
    }
}

#[test]
fn a_name_in_the_user_agent_hides_no_attack_tool() {
    let mut event = events()["Karpenter"].clone();
    event["userAgent"] = json!("aws-sdk-go karpenter.sh-1.6.0 kali");
    let tagged = tagged(&pipeline(), &event);
    let ids = ids(&tagged);
    assert!(ids.contains(&"contain.role_sessions") && ids.contains(&"contain.swapped_role"));
}

#[test]
fn a_swap_by_a_service_or_by_karpenter_ends_no_sessions() {
    let pipeline = pipeline();
    for name in ["service", "Karpenter"] {
        let mut event = events()[name].clone();
        event[SWAPPED_IN] = json!("benign-swapped-in");
        let tagged = tagged(&pipeline, &event);
        assert_eq!(tagged["sequence"]["kind"], "role_swap", "{name}");
        let ids = ids(&tagged);
        let swapped = ids.iter().any(|id| id.starts_with("contain.swapped"));
        assert!(
            !swapped && !ids.contains(&"contain.role_sessions"),
            "{name}: {ids:?}"
        );
    }
    // Whoever takes Karpenter's name and is no role's session is not taken for it.
    for swap in [false, true] {
        let mut event = events()["user"].clone();
        event["userAgent"] = json!("aws-sdk-go karpenter.sh-1.6.0");
        if swap {
            event[SWAPPED_IN] = json!("benign-swapped-in");
        }
        let tagged = tagged(&pipeline, &event);
        let swapped = ids(&tagged)
            .iter()
            .any(|id| id.starts_with("contain.swapped"));
        assert!(swapped, "swap: {swap}");
    }
}

#[test]
fn a_removal_in_the_console_may_be_a_deletion() {
    for (name, ids) in chosen() {
        let restores: Vec<&str> = ids
            .iter()
            .filter_map(|id| id.strip_prefix("restore."))
            .collect();
        if name.ends_with("console") {
            let want = ["deleted_role", "deleted_profile", "role"];
            assert_eq!(restores[..3], want, "{name}");
        }
    }
    for id in ["restore.deleted_role", "restore.deleted_profile"] {
        assert!(lines(&ITEMS[id], "console")[0].starts_with("How to tell: "));
    }
}

#[test]
fn what_an_item_costs_is_said() {
    let said = |id: &str, words: &[&str]| {
        let item = &ITEMS[id];
        let text = [lines(item, "console"), lines(item, "notes")]
            .concat()
            .join(" ");
        for word in words {
            assert!(text.contains(word), "{id} does not say {word}: {text}");
        }
    };
    said(
        "contain.instance_role",
        &[
            "denied everything until they get new credentials",
            "Whoever is on the instance gets the new credentials too",
        ],
    );
    said(
        "contain.isolate_instances",
        &["Detach", "termination protection", "each interface"],
    );
    said("hardening.cloudtrail", &["s3:GetObject", "kms:Decrypt"]);
    said("hardening.mfa", &["QR code", "delete it"]);
    said(
        "contain.other_account",
        &["444455556666", "Security contact"],
    );
}

#[test]
fn a_finding_says_what_an_instance_profile_is() {
    let words = "An instance profile gives EC2 instances the credentials of the one role in it.";
    for name in ["user", "service", "user, Terraform"] {
        let tagged = tagged(&pipeline(), &events()[name]);
        let risks = tagged["risks"].as_array().unwrap();
        let why = |risk: &Value| risk["why"].as_str().unwrap().starts_with(words);
        assert!(risks.iter().any(why), "{name}: {risks:?}");
    }
    assert!(
        lines(&ITEMS["investigate.profile_now"], "notes")[0].starts_with("An instance profile is")
    );
}

#[test]
fn risks_say_why_they_apply() {
    let pipeline = pipeline();
    let mut summary = String::new();
    for (name, event) in events() {
        writeln!(summary, "{name}:").unwrap();
        for risk in tagged(&pipeline, &event)["risks"].as_array().unwrap() {
            let said = |key: &str| risk[key].as_str().unwrap();
            writeln!(summary, "  {}: {}", said("id"), said("why")).unwrap();
        }
    }
    insta::assert_snapshot!("why", summary);
}

#[test]
fn a_benign_event_leaves_nothing_to_look_up() {
    let notes = |item: &Value| {
        lines(item, "notes")
            .into_iter()
            .filter(|note| note.contains("look it up"))
            .count()
    };
    for (id, item) in ITEMS.iter() {
        // Root has no name, and what it lacks no item of it asks for.
        assert_eq!(notes(item), 0, "{id}: {item}");
    }
}

#[test]
fn what_is_no_removal_is_not_undone_as_one() {
    let mut config = Config::default();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    config.detection.rules = vec![root.join("config/rules/optional")];
    let pipeline = Pipeline::from_config(&config).unwrap();
    let mut event = events()["user"].clone();
    event["eventName"] = json!("AddRoleToInstanceProfile");
    let tagged = tagged(&pipeline, &event);
    let ids = ids(&tagged);
    assert!(ids.contains(&"investigate.profile_now") && ids.contains(&"contain.access_key"));
    assert!(!ids.iter().any(|id| id.starts_with("restore.")), "{ids:?}");
    let risks = tagged["risks"].as_array().unwrap();
    let risks: Vec<&str> = risks
        .iter()
        .map(|risk| risk["id"].as_str().unwrap())
        .collect();
    assert_eq!(risks, ["unauthorized_access", "privilege_escalation"]);
}

/// The folder that `tests/components/botocore.sh` fills.
fn botocore() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let components = std::env::var_os("TRAILTAG_COMPONENTS")
        .map_or_else(|| root.join(".components"), PathBuf::from);
    // The version that the script installs.
    let folder = components.join("botocore-1.44.5");
    assert!(
        folder.is_dir(),
        "this test needs botocore in {}; install it with: bash tests/components/botocore.sh",
        folder.display()
    );
    folder
}

#[test]
fn every_command_and_call_is_one_that_aws_has() {
    let folder = botocore();
    let items: Vec<Value> = ITEMS
        .iter()
        .map(|(id, item)| {
            let calls: Vec<&[String]> = CALLS[id]
                .iter()
                .flatten()
                .filter(|call| call[0] == "aws")
                .map(|call| &call[1..])
                .collect();
            assert!(!calls.is_empty(), "{id} has no command");
            json!({"id": id, "calls": calls, "boto3": lines(item, "boto3")})
        })
        .collect();
    assert_eq!(
        python("check_botocore.py", &[&folder], &json!({"items": items})).trim(),
        ""
    );
}

#[test]
fn what_aws_does_not_have_is_found() {
    let components = botocore();
    let wrong = |call: &str, boto3: &str| {
        let words: Vec<&str> = call.split(' ').collect();
        let client = "iam = boto3.client('iam', region_name='us-east-1')";
        let item = json!({"id": "x", "calls": [words], "boto3": [client, boto3]});
        let said = python(
            "check_botocore.py",
            &[&components],
            &json!({"items": [item]}),
        );
        said.trim().to_owned()
    };
    let (call, boto3) = (
        "sts get-caller-identity --region us-east-1",
        "iam.get_role(RoleName='x')['Role']['Arn']",
    );
    assert_eq!(wrong(call, boto3), "");
    for (call, want) in [
        (
            "iamm get-role",
            "x: aws iamm get-role: there is no such service",
        ),
        (
            "iam get-rolle --role-name x",
            "x: aws iam get-rolle: there is no such command",
        ),
        (
            "iam get-role --role x",
            "x: aws iam get-role: there is no --role\nx: aws iam get-role: RoleName is missing",
        ),
        (
            "iam get-role x --role-name x",
            "x: aws iam get-role: 'x' belongs to no option",
        ),
        (
            "iam get-role --role-name x y",
            "x: aws iam get-role.RoleName: text is wanted",
        ),
        (
            "iam get-role --role-name x --query Rolle.Arn",
            "x: aws iam get-role: its answer has no Rolle",
        ),
        (
            "iam update-access-key --access-key-id AKIAIOSFODNN7EXAMPLE --status Off",
            "x: aws iam update-access-key.Status: 'Off' is none of Active, Inactive, Expired",
        ),
        (
            "ec2 describe-instances --filters Nam=a,Values=b",
            "x: aws ec2 describe-instances.Filters[]: there is no Nam",
        ),
        (
            "cloudtrail validate-logs --trail-arn x",
            "x: aws cloudtrail validate-logs: --start-time is missing",
        ),
    ] {
        assert_eq!(wrong(call, boto3), want, "{call}");
    }
    for (boto3, want) in [
        ("iam.enable_mfa(UserName='x')", "no such method: enable_mfa"),
        (
            "iam.get_role(Role='x')",
            "get_role: RoleName is missing\nx: boto3 line 2: get_role: there is no Role",
        ),
        (
            "iam.get_role('x', RoleName='x')",
            "get_role takes keywords only",
        ),
        (
            "iam.get_role(RoleName=5)",
            "get_role.RoleName: text is wanted",
        ),
        (
            "iam.get_role(RoleName='x')['Rolle']",
            "the answer has no Rolle",
        ),
        ("iam.get_paginator('get_role')", "no such paginator"),
        (
            "boto3.client('iamm')",
            "no client of a service that there is",
        ),
    ] {
        let said = wrong(call, boto3);
        let want = format!("x: boto3 line 2: {want}");
        assert!(said.starts_with(&want), "{boto3}: {said}");
    }
}

#[test]
fn a_value_that_changes_a_step_is_found() {
    let pair = |benign: &str, hostile: &str| json!({"pairs": [{"item": "x", "benign": [benign], "hostile": [hostile], "replace": {"web": "app"}}]});
    let differs = |benign, hostile| {
        python("same_tree.py", &[], &pair(benign, hostile))
            .trim()
            .to_owned()
    };
    assert_eq!(differs("f(A='web')", "f(A='app')"), "");
    for hostile in [
        "f(A='web')",
        "f(A='app', B='app')",
        "f(A=app)",
        "f(A='app');g()",
        "f(A='app'",
    ] {
        assert!(
            differs("f(A='web')", hostile).starts_with("x: "),
            "{hostile}"
        );
    }
    let lines = |line: &str| vec![line.to_owned(), "aws a".to_owned()];
    let call = |words: &[&str]| {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        run(&lines("aws 'a b' \"$(date -u)\"")),
        [
            vec![
                call(&["aws", "a b", "2026-02-03T04:05:06Z"]),
                call(&["date", "-u"])
            ],
            vec![call(&["aws", "a"])],
        ]
    );
    for line in [
        "aws $(id)",
        "aws; id",
        "aws >file",
        "exit 0",
        "aws '",
        "echo hello",
    ] {
        let ran = std::panic::catch_unwind(|| run(&lines(line)));
        assert!(ran.is_err(), "{line}");
    }
}

/// What became of each benign text in an item of another event: that event's value, or the placeholder.
fn replacements(tagged: &Value, item: &Value) -> BTreeMap<&'static str, String> {
    let notes = lines(item, "notes");
    let fact = |path: &str| {
        tagged
            .pointer(path)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let replaced = BENIGN.into_iter().map(|(name, benign)| {
        let placeholder = format!("<{}>", name.to_ascii_uppercase());
        let value = match name {
            "instance_profile" | "role" | "account" | "partition" => {
                fact(&format!("/target/{name}"))
            }
            "event_id" => fact("/event_id"),
            "swapped_in_role" => fact("/sequence/role_now"),
            "actor_account" => fact("/actor/account"),
            "access_key_id" | "principal_arn" => fact(&format!("/actor/{name}")),
            "user" => fact("/actor/name"),
            "actor_role" => fact("/actor/role"),
            "home_region" => fact("/target/partition").map(|partition| match partition.as_str() {
                "aws-cn" => benign.to_owned(),
                "aws" => "us-east-1".to_owned(),
                other => panic!("{other} is not a partition that these events can have"),
            }),
            // Whatever the event says of its time, the message says the same.
            _ => Some(benign.to_owned()),
        };
        let left = notes
            .iter()
            .any(|note| note.starts_with(&format!("{placeholder}: ")));
        let text = if left {
            placeholder
        } else {
            value.unwrap_or_else(|| format!("no {name}"))
        };
        (benign, text)
    });
    replaced.collect()
}

/// Puts the replacements in, each once, and the longest where several fit.
fn replace(text: &str, replacements: &BTreeMap<&'static str, String>) -> String {
    let mut replaced = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let found = replacements
            .iter()
            .filter(|(benign, _)| rest.starts_with(**benign))
            .max_by_key(|(benign, _)| benign.len());
        if let Some((benign, text)) = found {
            replaced.push_str(text);
            rest = &rest[benign.len()..];
        } else {
            replaced.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    replaced
}

/// Holds everything that can be pasted from an event's findings against that of the benign events.
fn assert_only_values_differ(pipeline: &Pipeline, event: &Value) {
    let tagged = tagged(pipeline, event);
    let items = tagged["remediation"].as_array().unwrap();
    let all: Vec<String> = items.iter().flat_map(|item| lines(item, "cli")).collect();
    let mut ran = run(&all).into_iter();
    let mut pairs = Vec::new();
    for item in items {
        let id = item["id"].as_str().unwrap();
        let replacements = replacements(&tagged, item);
        for benign in &CALLS[id] {
            let mut want: Calls = benign
                .iter()
                .map(|call| {
                    call.iter()
                        .map(|word| replace(word, &replacements))
                        .collect()
                })
                .collect();
            want.sort();
            assert_eq!(ran.next().unwrap(), want, "{id} of {event}");
        }
        pairs.push(json!({
            "item": id, "benign": lines(&ITEMS[id], "boto3"), "hostile": lines(item, "boto3"), "replace": replacements,
        }));
    }
    assert_eq!(ran.next(), None);
    assert_eq!(
        python("same_tree.py", &[], &json!({"pairs": pairs})).trim(),
        "",
        "{event}"
    );
}

/// Where an event holds what templates are filled with.
const FIELDS: [&str; 15] = [
    "/swappedInRole",
    "/eventID",
    "/requestParameters/instanceProfileName",
    "/requestParameters/roleName",
    "/recipientAccountId",
    "/awsRegion",
    "/eventTime",
    "/userIdentity/arn",
    "/userIdentity/accountId",
    "/userIdentity/accessKeyId",
    "/userIdentity/userName",
    "/userIdentity/principalId",
    "/userIdentity/sessionContext/sessionIssuer/arn",
    "/userIdentity/sessionContext/sessionIssuer/userName",
    "/userIdentity/sessionContext/sessionIssuer/accountId",
];

fn put(event: &mut Value, field: &str, text: &str) {
    if let Some(value) = event.pointer_mut(field) {
        *value = json!(text);
    }
}

#[test]
fn a_hostile_value_in_every_field_changes_no_command() {
    let pipeline = pipeline();
    let events = events();
    for hostile in HOSTILE {
        for name in ["user", "user, tool", "session", "sso"] {
            let mut event = events[name].clone();
            for field in FIELDS {
                put(&mut event, field, hostile);
            }
            assert_only_values_differ(&pipeline, &event);
        }
        let mut swap = events["user, swap"].clone();
        put(&mut swap, "/swappedInRole", hostile);
        assert_only_values_differ(&pipeline, &swap);
    }
}

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        2 => proptest::sample::select(HOSTILE.as_slice()).prop_map(str::to_owned),
        2 => "[A-Za-z0-9_+=,.@-]{1,20}",
        1 => any::<String>(),
        1 => r#"[-'"`$(){}<>;&|\\ \n\t!*?~#=,./:a-z]{1,20}"#,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn hostile_values_in_any_fields_change_no_command(
        name in proptest::sample::select(events().into_keys().collect::<Vec<_>>()),
        values in proptest::collection::vec(proptest::option::of(hostile()), FIELDS.len()),
    ) {
        let mut event = events()[name].clone();
        for (field, value) in FIELDS.iter().zip(values) {
            if let Some(value) = value {
                put(&mut event, field, &value);
            }
        }
        assert_only_values_differ(&pipeline(), &event);
    }
}
