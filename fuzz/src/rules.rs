//! Sigma rules, through the loader; those that it takes, on records.
//!
//! An input that begins with [`MADE`] decides how rules are put together; any other is the text of a file.

use arbitrary::{Result, Unstructured};
use serde_json::{Map, Value, json};
use trailtag::detection::Detector;

use super::process::MADE;
use super::record::any_text;
use super::{files, laws, memory};

/// The built-in files, compiled, and what rules of the largest input become: patterns above all.
const MEMORY: usize = 64 << 20;

/// A file of rules.
pub fn run(data: &[u8]) {
    let made = match data.split_first() {
        Some((&MADE, rest)) => file(&mut Unstructured::new(rest)).ok(),
        _ => None,
    };
    let text = made.map_or_else(|| data.to_vec(), String::into_bytes);
    let folder = files::Folder::new();
    let mut config = folder.config();
    config.detection.rules = vec![folder.write("rules.yml", &text)];
    // The rules alone first: their faults are told apart, where those of a pipeline are lines already.
    match memory::within(MEMORY, || Detector::load(&config.detection)) {
        Ok(detector) => {
            assert_eq!(
                detector.unfiltered_rules().count() > 0,
                detector.literals().is_none()
            );
            assert!(laws::load(&config, MEMORY).is_some());
        }
        Err(faults) => {
            assert!(!faults.is_empty(), "refused for nothing");
            for fault in &faults {
                assert!(!fault.message.trim().is_empty(), "{fault:?}");
                laws::assert_one_line(&fault.to_string());
            }
        }
    }
}

fn file(u: &mut Unstructured<'_>) -> Result<String> {
    let mut text = String::new();
    for number in 0..u.int_in_range(1..=3)? {
        if number > 0 {
            text.push_str("\n---\n");
        }
        // JSON is YAML.
        text.push_str(&rule(u, number)?.to_string());
    }
    Ok(text)
}

fn rule(u: &mut Unstructured<'_>, number: u32) -> Result<Value> {
    let mut detection = Map::new();
    let names = ["selection", "filter", "other_1"];
    let count = u.int_in_range(1..=names.len())?;
    for name in names.iter().take(count) {
        detection.insert((*name).to_owned(), selection(u, 3)?);
    }
    detection.insert(
        "condition".to_owned(),
        Value::from(condition(u, &names[..count], 4)?),
    );
    let mut rule = json!({
        "title": format!("rule {number}"),
        "id": format!("7d2c8f0e-6a57-4b0e-9f55-{number:012}"),
        "logsource": {"product": "aws", "service": "cloudtrail"},
        "level": *u.choose(&["informational", "low", "medium", "high", "critical"])?,
        "tags": [*u.choose(&["attack.t1078.004", "attack.persistence", "aws.iam", "attack.t9999"])?],
        "detection": detection,
    });
    if u.ratio(1, 8)? {
        // A filter, over a rule that may be there.
        let mut filter = Value::Object(detection_of(&rule));
        filter["rules"] = json!([*u.choose(&["any", "8c1f7a0e-4b7d-4e0b-9f55-2d6a3b1c9e47"])?]);
        rule["filter"] = filter;
        if let Some(members) = rule.as_object_mut() {
            members.remove("detection");
            members.remove("level");
        }
    }
    if u.ratio(1, 8)? {
        rule["trailtag.base_score"] = json!(u.arbitrary::<i16>()?);
    }
    if u.ratio(1, 8)? {
        let examples: Vec<Value> = laws::SAMPLES
            .iter()
            .filter_map(|sample| serde_json::from_str(sample).ok())
            .collect();
        rule["trailtag.examples"] = json!({"match": [examples[0]], "no_match": [examples[4]]});
    }
    if u.ratio(1, 8)? {
        rule[any_text(u)?] = json!(any_text(u)?);
    }
    Ok(rule)
}

fn detection_of(rule: &Value) -> Map<String, Value> {
    rule["detection"].as_object().cloned().unwrap_or_default()
}

const FIELDS: [&str; 14] = [
    "eventName",
    "eventSource",
    "eventname",
    "userAgent",
    "sourceIPAddress",
    "userIdentity.type",
    "userIdentity",
    "requestParameters.roleName",
    "requestParameters.list",
    "requestParameters.list.c",
    "errorCode",
    "trailtag.outcome",
    "trailtag.actor.type",
    "trailtag.no.such.fact",
];

const MODIFIERS: [&str; 22] = [
    "",
    "",
    "",
    "contains",
    "startswith",
    "endswith",
    "all",
    "re",
    "re|i",
    "cidr",
    "exists",
    "gt",
    "lte",
    "cased",
    "base64",
    "base64offset|contains",
    "windash",
    "wide|base64",
    "fieldref",
    "expand",
    "contains|all",
    "neq",
];

fn selection(u: &mut Unstructured<'_>, depth: usize) -> Result<Value> {
    Ok(match u.int_in_range(0..=7)? {
        0 if depth > 0 => {
            let mut list = Vec::new();
            for _ in 0..u.int_in_range(0..=3)? {
                list.push(selection(u, depth - 1)?);
            }
            Value::Array(list)
        }
        1 => value(u)?,
        _ => {
            let mut fields = Map::new();
            for _ in 0..u.int_in_range(0..=3)? {
                let (field, modifier) = (*u.choose(&FIELDS)?, *u.choose(&MODIFIERS)?);
                let key = if modifier.is_empty() {
                    field.to_owned()
                } else {
                    format!("{field}|{modifier}")
                };
                let value = if u.ratio(1, 3)? {
                    json!([value(u)?, value(u)?])
                } else {
                    value(u)?
                };
                fields.insert(key, value);
            }
            Value::Object(fields)
        }
    })
}

fn value(u: &mut Unstructured<'_>) -> Result<Value> {
    const TEXTS: [&str; 16] = [
        "RemoveRoleFromInstanceProfile",
        "removerolefrominstanceprofile",
        "Remove*",
        "*Profile",
        "iam.amazonaws.com",
        "GetObject",
        r"a\*b\\*?",
        "*",
        "**",
        "203.0.113.0/24",
        "::/0",
        "(a+)+$",
        "^(?i)Remove.{0,1000}$",
        "(?:x{1,1000}){1,1000}",
        "success",
        "",
    ];
    Ok(match u.int_in_range(0..=7)? {
        0 => Value::Null,
        1 => Value::from(u.arbitrary::<bool>()?),
        2 => Value::from(u.arbitrary::<i32>()?),
        3 => Value::from(any_text(u)?),
        _ => Value::from(*u.choose(&TEXTS)?),
    })
}

fn condition(u: &mut Unstructured<'_>, names: &[&str], depth: usize) -> Result<String> {
    let name = *u.choose(names)?;
    Ok(match u.int_in_range(0..=8)? {
        0 if depth > 0 => format!("not {}", condition(u, names, depth - 1)?),
        1 if depth > 0 => {
            let (one, two) = (
                condition(u, names, depth - 1)?,
                condition(u, names, depth - 1)?,
            );
            format!("({one} and {two})")
        }
        2 if depth > 0 => {
            let (one, two) = (
                condition(u, names, depth - 1)?,
                condition(u, names, depth - 1)?,
            );
            format!("{one} or {two}")
        }
        3 => "1 of them".to_owned(),
        4 => "all of sel*".to_owned(),
        5 => format!(
            "{}{name}{}",
            "(".repeat(u.int_in_range(0..=80)?),
            ")".repeat(u.int_in_range(0..=80)?)
        ),
        6 => any_text(u)?,
        _ => name.to_owned(),
    })
}
