//! What it costs to find out that no rule wants a record: the hot path, alone and through its commonest wrappers.
//!
//! `cargo bench --bench prefilter`. Each line also reports allocations, of which there should be none but for gzip.
// A benchmark that cannot build its input has nothing to measure.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use trailtag::cloudtrail::envelope::{Element, Limits, Scratch, open};
use trailtag::cloudtrail::prefilter::Prefilter;

#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

const LIMITS: Limits = Limits {
    decoded_bytes: 64 << 20,
    depth: 6,
    validate: false,
};

fn main() {
    divan::main();
}

fn prefilter() -> Prefilter {
    Prefilter::new(Some(&["RemoveRoleFromInstanceProfile".to_owned()]))
}

/// A record of the usual 1.4 KB, in the order in which CloudTrail writes it.
fn native() -> String {
    concat!(
        r#"{"eventVersion":"1.11","userIdentity":{"type":"AssumedRole","principalId":"AROACKCEVSQ6C2EXAMPLE:ci","#,
        r#""arn":"arn:aws:sts::111122223333:assumed-role/deploy/ci","accountId":"111122223333","#,
        r#""accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","#,
        r#""principalId":"AROACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:role/deploy","#,
        r#""accountId":"111122223333","userName":"deploy"},"attributes":{"creationDate":"2026-01-05T18:40:00Z","#,
        r#""mfaAuthenticated":"false"}}},"eventTime":"2026-01-05T18:46:26Z","eventSource":"iam.amazonaws.com","#,
        r#""eventName":"GetRolePolicy","awsRegion":"us-east-1","sourceIPAddress":"192.0.2.10","#,
        r#""userAgent":"APN/1.0 HashiCorp/1.0 Terraform/1.9.2 (+https://www.terraform.io) aws-sdk-go-v2/1.30.3 os/linux lang/go#1.22.4","#,
        r#""requestParameters":{"roleName":"stack-worker-0123456789abcdef","policyName":"inline-access-policy"},"#,
        r#""responseElements":null,"requestID":"9140f9b9-1111-4222-8333-5c921baebb73","#,
        r#""eventID":"9a8666dd-1111-4222-8333-069e5ae7ab21","readOnly":true,"eventType":"AwsApiCall","#,
        r#""managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management","#,
        r#""tlsDetails":{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","#,
        r#""clientProvidedHostHeader":"iam.amazonaws.com"},"sessionCredentialFromConsole":"true"}"#
    )
    .to_owned()
}

/// The same, as a collector that sorts keys writes it.
fn sorted() -> String {
    serde_json::from_str::<std::collections::BTreeMap<String, serde_json::Value>>(&native())
        .and_then(|record| serde_json::to_string(&record))
        .unwrap()
}

fn file(records: usize) -> String {
    format!(r#"{{"Records":[{}]}}"#, vec![native(); records].join(","))
}

fn gzip(data: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn subscription(records: usize) -> String {
    let event =
        serde_json::json!({"id": "3568", "timestamp": 1_767_638_786_123_i64, "message": native()});
    serde_json::json!({"messageType": "DATA_MESSAGE", "logGroup": "g", "logStream": "s",
        "logEvents": vec![event; records]})
    .to_string()
}

/// Opens a message of so many records and asks the prefilter about each.
fn through_open(bencher: Bencher<'_, '_>, payload: &[u8], records: usize) {
    let prefilter = prefilter();
    let mut scratch = Scratch::default();
    let mut seen = 0;
    let mut run = |payload: &[u8]| {
        open(payload, &LIMITS, &mut scratch, &mut |element| {
            if let Element::Record(record) = element {
                seen += 1;
                assert!(!prefilter.may_match(record.json));
            }
        });
    };
    run(payload);
    bencher
        .counter(ItemsCount::new(records))
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| run(black_box(payload)));
    assert_eq!(seen % records, 0);
}

#[divan::bench]
fn native_record_at_once(bencher: Bencher<'_, '_>) {
    let prefilter = prefilter();
    let payload = native();
    assert!(prefilter.is_one_ignored_record(payload.as_bytes()));
    bencher
        .counter(ItemsCount::new(1_usize))
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| prefilter.is_one_ignored_record(black_box(payload.as_bytes())));
}

#[divan::bench]
fn native_record_may_match(bencher: Bencher<'_, '_>) {
    let prefilter = prefilter();
    let payload = native();
    bencher
        .counter(ItemsCount::new(1_usize))
        .counter(BytesCount::new(payload.len()))
        .bench_local(|| prefilter.may_match(black_box(payload.as_bytes())));
}

#[divan::bench]
fn native_record(bencher: Bencher<'_, '_>) {
    through_open(bencher, native().as_bytes(), 1);
}

#[divan::bench]
fn sorted_record(bencher: Bencher<'_, '_>) {
    through_open(bencher, sorted().as_bytes(), 1);
}

#[divan::bench]
fn cloudwatch_logs_of_10(bencher: Bencher<'_, '_>) {
    through_open(bencher, subscription(10).as_bytes(), 10);
}

#[divan::bench]
fn s3_file_of_100(bencher: Bencher<'_, '_>) {
    through_open(bencher, file(100).as_bytes(), 100);
}

#[divan::bench]
fn s3_file_of_100_in_gzip(bencher: Bencher<'_, '_>) {
    through_open(bencher, &gzip(&file(100)), 100);
}

#[divan::bench]
fn lines_of_100(bencher: Bencher<'_, '_>) {
    through_open(bencher, vec![native(); 100].join("\n").as_bytes(), 100);
}
