//! Findings from a real Kafka topic in a real Elasticsearch and a real OpenSearch: with the templates that
//! `config/siem/elastic` has, every finding is taken, a repeated one stays one, and searches find it.
//!
//! All are installed by `tests/components`, started here and ended here. The Elasticsearch that can be had for tests has
//! no data streams and no processors, so there the same template makes a plain index without the pipeline.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

#[allow(dead_code, reason = "shared with the tests of severity")]
#[path = "../severity/examples.rs"]
mod examples;
#[allow(dead_code, reason = "shared with the tests of severity")]
#[path = "../severity/records.rs"]
mod records;

#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests on a broker"
)]
#[path = "../broker/support/mod.rs"]
mod support;

mod custom;
mod events;
mod files;
mod server;
mod topic;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use server::{Product, Server, siem};
use topic::{Sent, sent};

const INDEX: &str = "logs-trailtag.events-default";

/// The scalars of a document with the path of each, lists taken apart.
fn leaves<'a>(value: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                leaves(value, &path, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| leaves(item, path, found)),
        scalar => found.push((path.to_owned(), scalar)),
    }
}

/// How often each value of a field occurs, once a document: what an index should say too.
fn tally(documents: &[Value], field: &str) -> BTreeMap<String, u64> {
    let mut tally = BTreeMap::new();
    for document in documents {
        let mut found = Vec::new();
        leaves(document, "", &mut found);
        let values: BTreeSet<String> = found
            .into_iter()
            .filter(|(path, _)| path == field)
            .map(|(_, value)| {
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            })
            // Longer ones are kept and not indexed.
            .filter(|value| value.encode_utf16().count() <= 1_024)
            .collect();
        for value in values {
            *tally.entry(value).or_insert(0) += 1;
        }
    }
    tally
}

/// What a mapping says of a path: a field's type, or why there is none.
fn mapped(mappings: &Value, path: &str) -> Option<String> {
    let mut at = mappings;
    for name in path.split('.') {
        at = &at["properties"][name];
        if at["enabled"] == json!(false) {
            return Some("kept".to_owned());
        }
        if let Some(kind) = at["type"].as_str() {
            if kind == "object" {
                continue;
            }
            return Some(kind.to_owned());
        }
        if at.is_null() {
            return None;
        }
    }
    None
}

/// Fields that are kept with the document for people to read, and not indexed.
const KEPT: [&str; 2] = ["trailtag.remediation.", "trailtag.risks."];

fn every_field_is_mapped(mappings: &Value, documents: &[Value]) {
    let mut unmapped = BTreeSet::new();
    for document in documents {
        let mut found = Vec::new();
        leaves(document, "", &mut found);
        for (path, _) in found {
            let known = path.starts_with("labels.")
                || KEPT.iter().any(|kept| path.starts_with(kept))
                || mapped(mappings, &path).is_some();
            if !known {
                unmapped.insert(path);
            }
        }
    }
    assert!(unmapped.is_empty(), "not in the templates: {unmapped:?}");
}

/// The index has grown no field beyond its template's and the labels of the configuration.
fn nothing_was_added(server: &Server, mut before: Value) {
    let mut after = server.mappings(INDEX);
    let labels = after["properties"]["labels"]["properties"].take();
    let labels: Vec<&String> = labels.as_object().unwrap().keys().collect();
    let known = [
        "environment",
        "related_event_id",
        "remediation_id",
        "team_name",
    ];
    assert_eq!(labels, known);
    for mappings in [&mut before, &mut after] {
        mappings["properties"]
            .as_object_mut()
            .unwrap()
            .remove("labels");
    }
    assert_eq!(after["properties"], before["properties"]);
}

/// Sends every finding twice, as a sink does after a crash. `create` is what data streams take: 409 says that it is there.
fn takes_each_once(server: &Server, sent: &[Sent]) {
    let documents: Vec<(String, Vec<u8>)> = sent
        .iter()
        .map(|sent| (sent.key.clone(), sent.payload.clone()))
        .collect();
    let ids: BTreeSet<&String> = documents.iter().map(|(id, _)| id).collect();
    assert_eq!(ids.len(), documents.len(), "every event has its own key");

    let mut tries = vec![("create", 201), ("create", 409)];
    if server.product == Product::Elasticsearch {
        // A plain index can also be told to replace.
        tries.push(("index", 200));
    }
    for (action, expected) in tries {
        // Smaller requests than the server's heap is; some documents are large.
        for part in documents.chunks(50) {
            for ((id, payload), (status, error)) in
                part.iter().zip(server.bulk(INDEX, action, part))
            {
                assert_eq!(
                    status,
                    expected,
                    "{action} {id}: {error:.1500}\n{:.1500}",
                    String::from_utf8_lossy(payload)
                );
            }
        }
        let count = server.count(INDEX, &json!({"match_all": {}}));
        assert_eq!(count, documents.len() as u64);
    }
}

/// What a dashboard counts, and what an analyst looks for, against the documents themselves.
fn is_found(server: &Server, documents: &[Value]) {
    for field in files::SEARCHED {
        let expected = tally(documents, field);
        assert!(!expected.is_empty(), "{field}");
        let query =
            json!({"size": 0, "aggs": {"found": {"terms": {"field": field, "size": 10_000}}}});
        let answer = server.request(
            "POST",
            &format!("{INDEX}/_search"),
            query.to_string().as_bytes(),
        );
        let buckets = answer["aggregations"]["found"]["buckets"]
            .as_array()
            .unwrap_or_else(|| panic!("{field}: {answer}"));
        let found: BTreeMap<String, u64> = buckets
            .iter()
            .map(|bucket| {
                // A boolean's key is a number, and a float's has a fraction.
                let key = bucket.get("key_as_string").unwrap_or(&bucket["key"]);
                let key = key.as_str().map_or_else(
                    || key.to_string().trim_end_matches(".0").to_owned(),
                    str::to_owned,
                );
                (key, bucket["doc_count"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(found, expected, "{field}");
        for (value, count) in expected.iter().take(20) {
            let query = json!({"term": {field: value}});
            assert_eq!(server.count(INDEX, &query), *count, "{field}: {value:?}");
        }
    }
    for (query, field, value) in [
        (
            json!({"match": {"user_agent.original.text": "terraform"}}),
            "user_agent.original",
            "Terraform",
        ),
        (
            json!({"term": {"source.ip": "203.0.113.64/30"}}),
            "source.address",
            "203.0.113.66",
        ),
        (
            json!({"term": {"aws.cloudtrail.flattened.request_parameters.instanceProfileName": "idle"}}),
            "aws.cloudtrail.flattened.request_parameters.instanceProfileName",
            "idle",
        ),
        (
            json!({"match_phrase": {"aws.cloudtrail.request_parameters.text": "idle"}}),
            "aws.cloudtrail.request_parameters",
            "=idle",
        ),
    ] {
        let expected: u64 = tally(documents, field)
            .iter()
            .filter(|(text, _)| text.contains(value))
            .map(|(_, count)| count)
            .sum();
        assert!(expected > 0, "{query}");
        // OpenSearch keeps these objects and does not index them: its flat_object refuses long values.
        if server.product == Product::OpenSearch && query.to_string().contains("flattened") {
            continue;
        }
        assert_eq!(server.count(INDEX, &query), expected, "{query}");
    }
}

/// The rule and the monitor that ship ask for exactly the findings that are alerts.
fn alerts_are_raised(server: &Server, documents: &[Value]) {
    let query = match server.product {
        Product::Elasticsearch => files::detection_rule()["query"].clone(),
        Product::OpenSearch => {
            files::monitor()["inputs"][0]["doc_level_input"]["queries"][0]["query"].clone()
        }
    };
    let expected = documents
        .iter()
        .filter(|document| document["event"]["severity"].as_u64().unwrap() >= 47)
        .count();
    assert!(0 < expected && expected < documents.len());
    let query = json!({"query_string": {"query": query}});
    assert_eq!(server.count(INDEX, &query), expected as u64);

    // All of these events are old, as after an outage, and came just now: Kibana looks for the time that the rule names.
    let rule = files::detection_rule();
    let time = rule["timestamp_override"].as_str().unwrap();
    let lately = json!({"range": {time: {"gte": rule["from"], "lte": rule["to"]}}});
    let late = json!({"bool": {"filter": [query, lately]}});
    let known = json!({"exists": {"field": time}});
    match server.product {
        Product::OpenSearch => assert_eq!(server.count(INDEX, &late), expected as u64),
        // Without the pipeline no finding has it, and Kibana falls back to `@timestamp`.
        Product::Elasticsearch => assert_eq!(server.count(INDEX, &known), 0),
    }
    assert_eq!(rule["timestamp_override_fallback_disabled"], false);
}

/// What comes back is what was sent, with the record in it byte for byte.
fn comes_back_whole(server: &Server, sent: &[Sent]) {
    for sent in sent.iter().step_by(7) {
        let query = json!({"query": {"ids": {"values": [sent.key]}}});
        let answer = server.request(
            "POST",
            &format!("{INDEX}/_search"),
            query.to_string().as_bytes(),
        );
        let mut source = answer["hits"]["hits"][0]["_source"].clone();
        if server.product == Product::OpenSearch {
            let ingested = source["event"].as_object_mut().unwrap().remove("ingested");
            assert!(ingested.is_some_and(|time| time.is_string()), "{source}");
        }
        assert_eq!(source, sent.document());
        assert_eq!(source["event"]["original"], json!(sent.record));
    }
}

/// Plain indices are not given a policy that would stand in error for ever, and that is said. These servers have no
/// lifecycles, so that an attempt to give one fails.
fn lifecycles_are_for_data_streams(server: &Server) {
    let (policy, pipeline) = match server.product {
        Product::Elasticsearch => ("_ilm/policy/trailtag", "no"),
        Product::OpenSearch => ("_plugins/_ism/policies/trailtag", "yes"),
    };
    let pipeline = ("PIPELINE", pipeline);
    let refused = server.apply(&[pipeline]).unwrap_err();
    assert!(refused.contains(policy), "{refused}");

    let said = server.apply(&[pipeline, ("DATA_STREAM", "no")]).unwrap();
    assert!(said.contains("left out the lifecycle policy"), "{said}");
    assert!(
        said.contains("applied _index_template/trailtag\n"),
        "{said}"
    );
    let quiet = [pipeline, ("DATA_STREAM", "no"), ("LIFECYCLE", "no")];
    assert!(!server.apply(&quiet).unwrap().contains("left out"));

    let stored = &server.request("GET", "_index_template/trailtag", b"")["index_templates"][0]["index_template"];
    assert!(stored["data_stream"].is_null(), "{stored}");
    let parts = stored["composed_of"].as_array().unwrap();
    assert!(parts.contains(&json!("trailtag@custom")), "{stored}");
    assert!(!parts.contains(&json!("trailtag-lifecycle")), "{stored}");
    let expected = (pipeline.1 == "yes").then_some("trailtag");
    let settings = server.template(INDEX)["settings"].take();
    assert_eq!(settings["index"]["final_pipeline"].as_str(), expected);
    assert!(settings["index"]["lifecycle"].is_null(), "{settings}");
}

fn holds_every_finding_once(product: Product) {
    let sent = sent();
    let documents: Vec<Value> = sent.iter().map(Sent::document).collect();
    assert!(
        documents
            .iter()
            .all(|it| it["event"]["created"].is_string())
    );
    let server = Server::start(product);
    lifecycles_are_for_data_streams(&server);
    server.apply_templates();

    // Asked before there is an index: afterwards OpenSearch has no answer.
    let mappings = server.template(INDEX)["mappings"].take();
    every_field_is_mapped(&mappings, &documents);
    takes_each_once(&server, sent);
    nothing_was_added(&server, mappings);
    is_found(&server, &documents);
    alerts_are_raised(&server, &documents);
    comes_back_whole(&server, sent);
    if product == Product::OpenSearch {
        custom::what_is_the_sites_own_counts_and_stays(&server, &sent[0]);
    }
}

#[test]
fn elasticsearch_holds_every_finding_once_and_finds_it() {
    holds_every_finding_once(Product::Elasticsearch);
}

#[test]
fn opensearch_holds_every_finding_once_in_a_data_stream_and_finds_it() {
    holds_every_finding_once(Product::OpenSearch);
}
