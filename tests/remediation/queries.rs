//! The queries of findings, read by parsers of their languages: each is one that its language has, on columns that there
//! are, and no value of an event changes what it asks.
//!
//! `check_queries.py` says who reads which. What cannot be had here: Elasticsearch's ES|QL engine, which no registry has
//! (its grammar is, and so are the mappings that the fields are held against), Splunk (a parser of the language that
//! Teragrep made after SPL stands in), CloudTrail Lake and Athena (sqlglot reads their SQL, but runs nothing).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::events::events;
use crate::shell::answer;
use crate::{FIELDS, HOSTILE, ITEMS, pipeline, put, replace, replacements, tagged};

const LANGUAGES: [&str; 5] = ["athena", "lake", "spl", "esql", "kql"];

/// The folder that `tests/components/queries.sh` fills.
fn parsers() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let components = std::env::var_os("TRAILTAG_COMPONENTS")
        .map_or_else(|| root.join(".components"), PathBuf::from);
    // The version that the script installs.
    let folder = components.join("queries-1");
    assert!(
        folder.is_dir(),
        "this test needs parsers in {}; install them with: bash tests/components/queries.sh",
        folder.display()
    );
    folder
}

/// What a parser makes of a query.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
struct Read {
    faults: Vec<String>,
    literals: Vec<String>,
    skeleton: String,
}

/// Reads queries, each with its language, all at once.
fn read(queries: &[(&str, String)]) -> Vec<Read> {
    let asked: Vec<Value> = queries
        .iter()
        .map(|(language, query)| json!({"language": language, "query": query}))
        .collect();
    let read = answer("check_queries.py", &[&parsers()], &json!(asked));
    let read: Vec<Read> = serde_json::from_value(read).unwrap();
    assert_eq!(read.len(), queries.len());
    read
}

/// The queries of an item, by language.
fn queries(item: &Value) -> BTreeMap<&str, &str> {
    let queries = item["queries"].as_object();
    let texts = queries.into_iter().flatten();
    texts
        .map(|(language, query)| (language.as_str(), query.as_str().unwrap()))
        .collect()
}

/// What the parsers make of the queries of benign events, by item and language.
static BENIGN: LazyLock<BTreeMap<(&str, &str), Read>> = LazyLock::new(|| {
    let mut places = Vec::new();
    let mut asked = Vec::new();
    for (id, item) in ITEMS.iter() {
        for (language, query) in queries(item) {
            places.push((id.as_str(), language));
            asked.push((language, query.to_owned()));
        }
    }
    places.into_iter().zip(read(&asked)).collect()
});

#[test]
fn every_query_is_one_that_its_language_has() {
    let mut by_item: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ((id, language), read) in BENIGN.iter() {
        assert_eq!(read.faults, Vec::<String>::new(), "{id} {language}");
        by_item.entry(id).or_default().push(language);
    }
    // What an analyst asks next, of whatever keeps CloudTrail.
    let ids: Vec<&str> = by_item.keys().copied().collect();
    assert_eq!(
        ids,
        [
            "investigate.actor_activity",
            "investigate.profile_activity",
            "investigate.session_origin"
        ]
    );
    for (id, languages) in by_item {
        assert_eq!(languages.len(), LANGUAGES.len(), "{id}: {languages:?}");
        assert_eq!(ITEMS[id]["kind"], "investigate");
    }
}

#[test]
fn queries_ask_for_the_event() {
    for ((id, language), read) in BENIGN.iter() {
        let lake = *language == "lake";
        let spl = *language == "spl";
        let time = |rfc3339: &str, bare: &str, seconds: &str| {
            let text = if lake {
                bare
            } else if spl {
                seconds
            } else {
                rfc3339
            };
            assert!(
                read.literals.iter().any(|literal| literal == text),
                "{id} {language}: no {text} in {:?}",
                read.literals
            );
        };
        let holds = |text: &str| time(text, text, text);
        match *id {
            "investigate.profile_activity" => {
                holds("benign-profile");
                holds("111122223333");
                time("2025-10-07T18:46:26Z", "2025-10-07 18:46:26", "1759862786");
            }
            "investigate.actor_activity" => {
                time("2026-01-05T17:46:26Z", "2026-01-05 17:46:26", "1767635186");
                time("2026-01-05T19:46:26Z", "2026-01-05 19:46:26", "1767642386");
            }
            _ => {
                holds("ASIAIOSFODNN7EXAMPLE");
                time("2026-01-04T06:46:26Z", "2026-01-04 06:46:26", "1767509186");
            }
        }
    }
}

#[test]
fn what_is_no_query_is_found() {
    let wrong = [
        ("athena", "SELECT nothing FROM cloudtrail_logs"),
        ("athena", "SELECT eventname FROM"),
        (
            "athena",
            "SELECT element_at(requestparameters, 'x') FROM cloudtrail_logs",
        ),
        (
            "lake",
            "SELECT json_extract_scalar(requestParameters, '$.x') FROM <EVENT_DATA_STORE_ID>",
        ),
        ("lake", "SELECT userIdentity.key FROM <EVENT_DATA_STORE_ID>"),
        ("spl", "index=x | wher a=\"b\""),
        ("spl", "index=x | where a=\"b"),
        ("esql", "FROM x | WHER a == \"b\""),
        ("esql", "FROM x | WHERE a == \"b"),
        ("kql", "AWSCloudTrail | where Nothing == \"a\""),
        ("kql", "AWSCloudTrail | where EventName == \"a"),
    ];
    let asked: Vec<(&str, String)> = wrong
        .map(|(language, query)| (language, query.to_owned()))
        .into();
    for ((language, query), read) in wrong.iter().zip(read(&asked)) {
        assert!(!read.faults.is_empty(), "{language}: {query}");
    }
}

/// How `src/remediation/query.rs` writes these texts, which its own test holds against the same list.
#[test]
fn what_is_quoted_is_read_back() {
    let list = include_str!("literals.json");
    let list: Value = serde_json::from_str(list).unwrap();
    let mut asked = Vec::new();
    let mut want = Vec::new();
    for each in list.as_array().unwrap() {
        for language in LANGUAGES {
            let Some(literal) = each[language].as_str() else {
                continue;
            };
            let query = match language {
                "athena" => format!("SELECT eventname FROM t WHERE eventname = {literal}"),
                "lake" => format!("SELECT eventName FROM t WHERE eventName = {literal}"),
                // Both places in which SPL takes one.
                "spl" => format!("index=x {literal} | where a={literal}"),
                "esql" => format!("FROM x | WHERE a == {literal}"),
                _ => format!("AWSCloudTrail | where EventName == {literal}"),
            };
            let times = if language == "spl" { 2 } else { 1 };
            want.push(vec![each["text"].as_str().unwrap().to_owned(); times]);
            asked.push((language, query));
        }
    }
    assert!(asked.len() > 40);
    for (((language, query), read), want) in asked.iter().zip(read(&asked)).zip(want) {
        assert_eq!(read.faults, Vec::<String>::new(), "{language}: {query}");
        assert_eq!(read.literals, want, "{language}: {query}");
    }
}

#[test]
fn a_hostile_value_in_every_field_changes_no_query() {
    let pipeline = pipeline();
    let events = events();
    let mut asked: Vec<(&str, String)> = Vec::new();
    let mut wanted = Vec::new();
    for hostile in HOSTILE {
        for name in ["user", "session", "sso", "user, denied"] {
            let mut event = events[name].clone();
            for field in FIELDS {
                put(&mut event, field, hostile);
            }
            // The one field alone, so that the rest is as it was.
            let mut one = events[name].clone();
            put(&mut one, "/requestParameters/instanceProfileName", hostile);
            for event in [event, one] {
                let tagged = tagged(&pipeline, &event);
                for item in tagged["remediation"].as_array().unwrap() {
                    let id = item["id"].as_str().unwrap();
                    let replacements = replacements(&tagged, item);
                    for (language, query) in queries(item) {
                        let language = LANGUAGES.into_iter().find(|known| *known == language);
                        let language = language.unwrap();
                        let (_, benign) = BENIGN
                            .iter()
                            .find(|(place, _)| **place == (id, language))
                            .unwrap();
                        let mut want = benign.clone();
                        for literal in &mut want.literals {
                            *literal = replace(literal, &replacements);
                        }
                        let query = (language, query.to_owned());
                        if !asked.contains(&query) {
                            asked.push(query);
                            wanted.push((id.to_owned(), want));
                        }
                    }
                }
            }
        }
    }
    assert!(asked.len() >= 40, "{}", asked.len());
    for ((query, read), (id, want)) in asked.iter().zip(read(&asked)).zip(wanted) {
        assert_eq!(read, want, "{id}: {query:?}");
    }
}

#[test]
fn what_breaks_the_character_set_leaves_a_placeholder_in_queries_too() {
    let pipeline = pipeline();
    let mut event = events()["session"].clone();
    put(
        &mut event,
        "/requestParameters/instanceProfileName",
        "a\" OR \"1\"=\"1",
    );
    let tagged = tagged(&pipeline, &event);
    let items = tagged["remediation"].as_array().unwrap();
    let item = items
        .iter()
        .find(|item| item["id"] == "investigate.profile_activity")
        .unwrap();
    for query in queries(item).values() {
        assert!(
            query.contains("<INSTANCE_PROFILE>") && !query.contains(" OR \"1"),
            "{query}"
        );
    }
    let notes = item["notes"].to_string();
    assert!(
        notes.contains(
            "<INSTANCE_PROFILE>: the event's value holds characters that AWS does not take"
        )
    );
}

/// ES|QL cannot read what is not indexed, nor an object that is kept flattened.
#[test]
fn the_fields_of_esql_are_indexed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/siem/elastic");
    let mappings: Vec<Value> = [
        "trailtag-ecs.json",
        "elasticsearch/trailtag-cloudtrail.json",
    ]
    .map(|name| {
        let text = fs::read_to_string(root.join(name)).unwrap();
        let file: Value = serde_json::from_str(&text).unwrap();
        file["template"]["mappings"].clone()
    })
    .into();
    let kind = |field: &str| {
        mappings.iter().find_map(|mappings| {
            let path = field
                .split('.')
                .try_fold(mappings, |at, name| at["properties"].get(name))?;
            path["type"].as_str()
        })
    };
    let mut fields = Vec::new();
    for item in ITEMS.values() {
        let Some(query) = queries(item).get("esql").copied() else {
            continue;
        };
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "@_.".contains(letter);
        let words = query.split(|letter: char| !is_name(letter));
        fields.extend(words.filter(|word| {
            *word == "@timestamp"
                || [
                    "aws.cloudtrail.",
                    "event.",
                    "source.",
                    "cloud.",
                    "user_agent.",
                ]
                .iter()
                .any(|start| word.starts_with(start))
        }));
    }
    assert!(fields.len() > 30, "{fields:?}");
    for field in fields {
        assert!(
            matches!(kind(field), Some("keyword" | "date")),
            "{field}: {:?}",
            kind(field)
        );
    }
}
