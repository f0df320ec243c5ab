//! The pipeline as a whole: what leaves, byte for byte, and the laws that hold whatever comes in.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::ops::ControlFlow;

use proptest::prelude::*;
use serde_json::{Value, json};
use trailtag::config::{Config, Route};
use trailtag::model::Origin;
use trailtag::model::Outcome;
use trailtag::pipeline::{Outputs, Pipeline, Tally};
use trailtag::synthetic::{Generator, Options, Shape};

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: Some(1_767_638_800_000),
};

fn pipeline() -> Pipeline {
    Pipeline::from_config(&Config::default()).unwrap()
}

fn process(pipeline: &Pipeline, payload: &[u8]) -> (Tally, Outputs) {
    let mut outputs = Outputs::default();
    let tally = pipeline.process(payload, &ORIGIN, &mut outputs);
    (tally, outputs)
}

/// The only document that comes of a payload.
fn document(payload: &[u8]) -> (Vec<u8>, Value) {
    let (tally, mut outputs) = process(&pipeline(), payload);
    assert_eq!((tally.matched, tally.records()), (1, 1));
    assert_eq!(outputs.documents.len(), 1);
    let bytes = outputs.documents.remove(0).payload;
    let value = serde_json::from_slice(&bytes).unwrap();
    (bytes, value)
}

fn record() -> Value {
    json!({
        "eventVersion": "1.09",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "alice"
        },
        "eventTime": "2026-01-05T18:46:26Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "RemoveRoleFromInstanceProfile",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 exec-env/none command/iam.remove-role-from-instance-profile",
        "requestParameters": {"instanceProfileName": "web-prod", "roleName": "web-app"},
        "responseElements": null,
        "requestID": "0a1b2c3d-1111-2222-3333-444455556666",
        "eventID": "c8e1f0aa-0000-4000-8000-00000000a001",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management"
    })
}

fn with(changes: &Value) -> Vec<u8> {
    let mut record = record();
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    serde_json::to_vec(&record).unwrap()
}

fn without(key: &str) -> Vec<u8> {
    let mut record = record();
    record.as_object_mut().unwrap().remove(key);
    serde_json::to_vec(&record).unwrap()
}

fn ours(payload: &[u8]) -> String {
    let (_, value) = document(payload);
    serde_json::to_string_pretty(&value["trailtag"]).unwrap()
}

#[test]
fn a_success_as_a_native_document() {
    let (bytes, _) = document(&with(&json!({})));
    insta::assert_snapshot!("success", String::from_utf8(bytes).unwrap());
}

#[test]
fn a_denial_names_the_profile_of_its_message() {
    let message = "User: arn:aws:iam::111122223333:user/alice is not authorized to perform: \
        iam:RemoveRoleFromInstanceProfile on resource: instance profile web-prod because no identity-based policy \
        allows the iam:RemoveRoleFromInstanceProfile action";
    let payload = with(
        &json!({"errorCode": "AccessDenied", "errorMessage": message, "requestParameters": null}),
    );
    insta::assert_snapshot!("denied", ours(&payload));
}

#[test]
fn a_failure_is_less_than_a_denial() {
    let payload = with(&json!({
        "errorCode": "NoSuchEntityException", "errorMessage": "Instance Profile web-prod cannot be found."
    }));
    insta::assert_snapshot!("failed", ours(&payload));
}

#[test]
fn what_a_record_does_not_say_is_listed() {
    let payload =
        with(&json!({"userIdentity": null, "requestParameters": null, "eventTime": "yesterday"}));
    insta::assert_snapshot!("insufficient", ours(&payload));
}

#[test]
fn a_record_without_an_id_gets_one_of_its_bytes() {
    let payload = without("eventID");
    let (_, value) = document(&payload);
    let id = value["trailtag"]["event_id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("sha256-") && id.len() == 7 + 64, "{id}");
    assert_eq!(value["trailtag"]["event_id_source"], "hash");
    assert_eq!(value["trailtag"]["insufficient"], json!(["event_id"]));
    let (_, outputs) = process(&pipeline(), &payload);
    assert_eq!(outputs.documents[0].key.as_deref(), Some(id.as_str()));
}

#[test]
fn headers_say_what_a_reader_filters_by() {
    let (_, outputs) = process(&pipeline(), &with(&json!({})));
    let headers: Vec<_> = outputs.documents[0]
        .headers
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    assert_eq!(
        headers,
        [
            "trailtag.severity=medium",
            "trailtag.rule=8c1f7a0e-4b7d-4e0b-9f55-2d6a3b1c9e47",
            "trailtag.format=native",
            "trailtag.source=cloudtrail/3/42",
            concat!("trailtag.version=", env!("CARGO_PKG_VERSION")),
        ]
    );
}

#[test]
fn the_original_leaves_byte_for_byte() {
    // Digits beyond a double, duplicate keys, escapes that need not be, white space, an odd order.
    let original = r#"{ "z":1.0000000000000000001e5 , "eventName":"\u0052emoveRoleFromInstanceProfile","n":123456789012345678901234567890,
 "eventSource":"iam.amazonaws.com","eventVersion":"1.08","userIdentity":{"type":"Root"},"x":"\/é\u00e9","x":2,"eventID":"e-1"}"#;
    let (bytes, _) = document(original.as_bytes());
    let text = String::from_utf8(bytes).unwrap();
    assert!(
        text.starts_with(&format!(r#"{{"event":{original},"trailtag":{{"#)),
        "{text}"
    );
}

#[test]
fn both_names_must_match_exactly() {
    for changes in [
        json!({"eventSource": "iam.example.com"}),
        json!({"eventSource": "IAM.amazonaws.com"}),
        json!({"eventName": "removeRoleFromInstanceProfile"}),
        json!({"eventName": "RemoveRoleFromInstanceProfile "}),
        json!({"eventName": "CreatePolicy", "requestParameters": {"policyDocument": "{\"Action\":\"iam:RemoveRoleFromInstanceProfile\"}"}}),
        json!({"eventName": null}),
    ] {
        let (tally, outputs) = process(&pipeline(), &with(&changes));
        assert_eq!((tally.ignored, tally.records()), (1, 1), "{changes}");
        assert!(outputs.documents.is_empty() && outputs.dead_letters.is_empty());
    }
}

#[test]
fn a_document_over_its_routes_limit_becomes_a_dead_letter_that_names_both_sizes() {
    let payload = with(&json!({"userAgent": "x".repeat(5000)}));
    let mut outputs = Outputs::with_limits(vec![4096]);
    let tally = pipeline().process(&payload, &ORIGIN, &mut outputs);
    assert_eq!((tally.matched, tally.dead_lettered), (0, 1));
    assert!(outputs.documents.is_empty());
    let dead_letter = &outputs.dead_letters[0];
    assert_eq!(dead_letter.payload, payload);
    let error = &dead_letter.error;
    assert!(
        error.starts_with("route findings: the document has ")
            && error
                .ends_with("without remediation steps, its topic (trailtag.findings) takes 4096"),
        "{error}"
    );
}

#[test]
fn a_document_that_is_too_large_loses_steps_before_anything_else_and_never_the_original() {
    let record = with(&json!({}));
    let under = |max_bytes: usize| {
        let mut config = Config::default();
        config.routes[0].max_bytes = max_bytes;
        process(&Pipeline::from_config(&config).unwrap(), &record)
    };
    let mut max_bytes = 0;
    for parts in [
        json!(null),
        json!(["console"]),
        json!(["console", "queries"]),
        json!(["console", "queries", "boto3"]),
        json!(["console", "queries", "boto3", "cli"]),
    ] {
        let (tally, outputs) = under(max_bytes);
        assert_eq!(tally.matched, 1, "{max_bytes}");
        let document = &outputs.documents[0];
        assert!(document.payload[9..].starts_with(&record));
        let value: Value = serde_json::from_slice(&document.payload).unwrap();
        assert_eq!(value["trailtag"]["trimmed"], parts);
        // One byte less than it has.
        max_bytes = document.size() - 1;
    }
    let (tally, outputs) = under(max_bytes);
    assert_eq!((tally.matched, tally.dead_lettered), (0, 1));
    assert_eq!(outputs.dead_letters[0].payload, record);
    let error = &outputs.dead_letters[0].error;
    assert!(
        error.contains("the route (trailtag.findings) takes "),
        "{error}"
    );
}

#[test]
fn a_route_takes_or_leaves_outcomes_and_adds_what_it_is_told() {
    let mut config = Config::default();
    let route = |name: &str, only: &[Outcome], exclude: &[Outcome]| Route {
        name: name.to_owned(),
        topic: name.to_owned(),
        only: only.to_vec(),
        exclude: exclude.to_vec(),
        fields: [("environment".to_owned(), "production".to_owned())].into(),
        headers: [("tenant".to_owned(), "blue".to_owned())].into(),
        ..Route::default()
    };
    config.routes = vec![
        route("all", &[], &[]),
        route("changes", &[Outcome::Success], &[]),
        route("attempts", &[], &[Outcome::Success]),
    ];
    let pipeline = Pipeline::from_config(&config).unwrap();
    let routes = |record: &[u8]| -> Vec<usize> {
        let (_, outputs) = process(&pipeline, record);
        outputs
            .documents
            .iter()
            .map(|document| document.route)
            .collect()
    };
    assert_eq!(routes(&with(&json!({}))), [0, 1]);
    assert_eq!(routes(&with(&json!({"errorCode": "AccessDenied"}))), [0, 2]);
    let (_, outputs) = process(&pipeline, &with(&json!({})));
    let document = &outputs.documents[0];
    let value: Value = serde_json::from_slice(&document.payload).unwrap();
    assert_eq!(value["trailtag"]["fields"]["environment"], "production");
    let last = document.headers.last().unwrap();
    assert_eq!((last.0.as_ref(), last.1.as_str()), ("tenant", "blue"));
}

#[test]
fn a_route_gets_only_what_is_bad_enough_for_it() {
    let mut config = Config::default();
    let mut only_high: Route = config.routes[0].clone();
    only_high.name = "pager".to_owned();
    only_high.min_severity = trailtag::model::Level::High;
    config.routes.push(only_high);
    let (_, outputs) = process(&Pipeline::from_config(&config).unwrap(), &with(&json!({})));
    assert_eq!(
        outputs
            .documents
            .iter()
            .map(|document| document.route)
            .collect::<Vec<_>>(),
        [0]
    );
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        Just(Shape::Record),
        Just(Shape::S3File),
        Just(Shape::EventBridge),
        Just(Shape::CloudWatch)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Messages have nothing to do with one another: one after the other or each alone, the same comes out. And the
    /// same bytes always give the same bytes.
    #[test]
    fn messages_are_independent_and_the_result_is_determined(seed: u64, shape in shape(), count in 1usize..12) {
        let pipeline = pipeline();
        let mut generator = Generator::new(&Options { seed, match_rate: 0.3, shape });
        let payloads: Vec<Vec<u8>> = (0..count).map(|_| { let mut payload = Vec::new(); generator.write(7, &mut payload); payload }).collect();
        let mut together = Outputs::default();
        let mut sum = Tally::default();
        for payload in &payloads {
            sum.add(&pipeline.process(payload, &ORIGIN, &mut together));
        }
        let mut documents = Vec::new();
        let mut dead_letters = Vec::new();
        let mut added = Tally::default();
        for payload in &payloads {
            let (tally, outputs) = process(&pipeline, payload);
            added.add(&tally);
            documents.extend(outputs.documents);
            dead_letters.extend(outputs.dead_letters);
        }
        prop_assert_eq!(together.documents, documents);
        prop_assert_eq!(together.dead_letters, dead_letters);
        prop_assert_eq!(sum, added);
        prop_assert!(sum.dead_lettered == 0);
    }

    /// A message that is taken part by part, or interrupted and begun again after each part, gives what it gives as a whole.
    #[test]
    fn parts_of_a_message_are_the_message(seed: u64, shape in shape(), broken in 0usize..4, budget in 1usize..200_000) {
        let pipeline = pipeline();
        let mut generator = Generator::new(&Options { seed, match_rate: 0.4, shape });
        let mut payload = Vec::new();
        for _ in 0..broken {
            payload.extend_from_slice(b"{\"eventName\":\"RemoveRoleFromInstanceProfile\",\n");
        }
        generator.write(7, &mut payload);
        let (tally, whole) = process(&pipeline, &payload);

        let mut parts = Outputs::default();
        parts.budget = Some(budget);
        let (mut documents, mut dead_letters, mut sum) = (Vec::new(), Vec::new(), Tally::default());
        let rest = pipeline.process_in_parts(&payload, &ORIGIN, &mut parts, &mut |outputs, tally, _| {
            documents.append(&mut outputs.documents);
            dead_letters.append(&mut outputs.dead_letters);
            sum.add(tally);
            ControlFlow::Continue(())
        });
        documents.append(&mut parts.documents);
        dead_letters.append(&mut parts.dead_letters);
        sum.add(&rest);
        prop_assert_eq!(&documents, &whole.documents);
        prop_assert_eq!(&dead_letters, &whole.dead_letters);
        prop_assert_eq!(sum, tally);

        let (mut documents, mut dead_letters, mut sum) = (Vec::new(), Vec::new(), Tally::default());
        let mut done = 0;
        loop {
            let mut outputs = Outputs::default();
            outputs.budget = Some(budget);
            outputs.done = done;
            sum.add(&pipeline.process(&payload, &ORIGIN, &mut outputs));
            documents.append(&mut outputs.documents);
            dead_letters.append(&mut outputs.dead_letters);
            match outputs.interrupted_at {
                Some(at) => {
                    prop_assert!(at > done, "each part takes one element at the least");
                    done = at;
                }
                None => break,
            }
        }
        prop_assert_eq!(documents, whole.documents);
        prop_assert_eq!(dead_letters, whole.dead_letters);
        prop_assert_eq!(sum, tally);
    }

    /// Whatever bytes come, there is a result, and every record is exactly one of the three.
    #[test]
    fn arbitrary_bytes_end_in_a_result(payload in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (tally, outputs) = process(&pipeline(), &payload);
        prop_assert!(tally.records() + tally.skipped.iter().sum::<u64>() >= 1);
        prop_assert_eq!(tally.dead_lettered, outputs.dead_letters.len() as u64);
        prop_assert_eq!(tally.dead_letters.iter().sum::<u64>(), outputs.dead_letters.len() as u64);
    }
}
