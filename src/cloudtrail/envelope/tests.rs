//! A test for each form and each layer, and what the other tests share.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

use super::{Element, Envelope, Limits, Scratch, Skip, open};
use crate::cloudtrail::record::{EventNames, Record};
use crate::model::dead_letter::Reason;

pub(super) const LIMITS: Limits = Limits {
    decoded_bytes: 1 << 20,
    depth: 6,
    validate: false,
};

/// An element, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen {
    Record {
        json: Vec<u8>,
        envelope: Envelope,
        index: u32,
        time: Option<i64>,
        custom: bool,
    },
    Skipped(Skip),
    Rejected {
        reason: Reason,
        error: String,
        index: Option<u32>,
        bytes: Vec<u8>,
    },
}

pub(super) fn seen_within(limits: &Limits, payload: &[u8]) -> Vec<Seen> {
    let mut seen = Vec::new();
    open(payload, limits, &mut Scratch::default(), &mut |element| {
        seen.push(match element {
            Element::Record(record) => Seen::Record {
                json: record.json.to_vec(),
                envelope: record.envelope,
                index: record.index,
                time: record.envelope_time,
                custom: record.custom,
            },
            Element::Skipped(skip) => Seen::Skipped(skip),
            Element::Rejected(rejection) => Seen::Rejected {
                reason: rejection.reason,
                error: rejection.error,
                index: rejection.index,
                bytes: rejection.bytes.to_vec(),
            },
        });
    });
    seen
}

pub(super) fn seen(payload: impl AsRef<[u8]>) -> Vec<Seen> {
    seen_within(&LIMITS, payload.as_ref())
}

/// A record in CloudTrail's own key order.
pub(super) fn record(name: &str) -> String {
    format!(
        concat!(
            r#"{{"eventVersion":"1.11","userIdentity":{{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","#,
            r#""arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","#,
            r#""accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"}},"eventTime":"2026-01-05T18:46:26Z","#,
            r#""eventSource":"iam.amazonaws.com","eventName":"{}","awsRegion":"us-east-1","#,
            r#""sourceIPAddress":"192.0.2.10","userAgent":"aws-cli/2.15 \"q\" \\ [x]","#,
            r#""requestParameters":{{"roleName":"web","instanceProfileName":"web"}},"responseElements":null,"#,
            r#""eventID":"5e6f0b3a-1111-4222-8333-444455556666","readOnly":false,"eventType":"AwsApiCall","#,
            r#""managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
        ),
        name
    )
}

pub(super) fn ours() -> String {
    record("RemoveRoleFromInstanceProfile")
}

pub(super) fn parsed() -> Value {
    serde_json::from_str(&ours()).unwrap()
}

pub(super) fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn base64(data: impl AsRef<[u8]>) -> String {
    BASE64.encode(data)
}

/// One record of ours, byte for byte, in this envelope and with this time.
#[track_caller]
pub(super) fn assert_ours(payload: impl AsRef<[u8]>, envelope: Envelope, time: Option<i64>) {
    let expected = Seen::Record {
        json: ours().into_bytes(),
        envelope,
        index: 0,
        time,
        custom: false,
    };
    assert_eq!(seen(payload), [expected]);
}

#[track_caller]
fn assert_skipped(payload: impl AsRef<[u8]>, skip: Skip) {
    assert_eq!(seen(payload), [Seen::Skipped(skip)]);
}

/// The whole message is rejected.
#[track_caller]
pub(super) fn assert_rejected(payload: impl AsRef<[u8]>, expected: Reason) {
    match &seen(&payload)[..] {
        [
            Seen::Rejected {
                reason,
                index: None,
                bytes,
                ..
            },
        ] => {
            assert_eq!(*reason, expected);
            assert_eq!(bytes, payload.as_ref());
        }
        other => panic!("{other:?}"),
    }
}

/// The kinds and places of elements, short enough to read: `r0` a record, `s` a skip, `!1` a rejected element, `!` a
/// rejected message.
pub(super) fn outline(payload: impl AsRef<[u8]>) -> String {
    let outline = |seen: &Seen| match seen {
        Seen::Record { index, .. } => format!("r{index}"),
        Seen::Skipped(_) => "s".to_owned(),
        Seen::Rejected { index, .. } => index.map_or("!".to_owned(), |index| format!("!{index}")),
    };
    seen(payload)
        .iter()
        .map(outline)
        .collect::<Vec<_>>()
        .join(" ")
}

pub(super) fn subscription(messages: &[&str]) -> String {
    let events: Vec<Value> = messages
        .iter()
        .map(
            |message| json!({"id": "3568", "timestamp": 1_767_638_786_123_i64, "message": message}),
        )
        .collect();
    json!({"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "g", "logStream": "s",
           "subscriptionFilters": ["f"], "logEvents": events})
    .to_string()
}

const TIME: Option<i64> = Some(1_767_638_786_000);
const TIME_MS: Option<i64> = Some(1_767_638_786_123);

#[test]
fn a_record_alone() {
    assert_ours(ours(), Envelope::Record, None);
    assert_ours(format!("\r\n {} \n", ours()), Envelope::Record, None);
    assert_ours(format!("[{}]", ours()), Envelope::Record, None);
}

#[test]
fn a_file_of_s3() {
    assert_ours(
        format!(r#"{{"Records":[{}]}}"#, ours()),
        Envelope::S3File,
        None,
    );
    assert_ours(
        format!("{{ \"Records\" : [ {} ] , \"more\":1}}", ours()),
        Envelope::S3File,
        None,
    );
    assert_ours(
        format!(r#"{{"x":1,"Records":[{}]}}"#, ours()),
        Envelope::S3File,
        None,
    );
    assert_skipped(r#"{"Records":[]}"#, Skip::NoRecords);
    assert_skipped("[ ]", Skip::NoRecords);
    let twice = format!(r#"{{"Records":[{0}],"Records":[{0}]}}"#, ours());
    assert_eq!(outline(twice), "r0 r1");
}

#[test]
fn an_event_of_eventbridge() {
    for kind in [
        "AWS API Call via CloudTrail",
        "Amazon API Call via CloudTrail",
        "AWS Console Signin via CloudTrail",
    ] {
        let event = format!(
            r#"{{"version":"0","id":"c8e1","detail-type":"{kind}","source":"aws.iam","account":"111122223333","time":"2026-01-05T18:46:26Z","region":"us-east-1","resources":[],"detail":{}}}"#,
            ours()
        );
        assert_ours(event, Envelope::EventBridge, TIME);
    }
    let insight = json!({"detail-type": "AWS Insight via CloudTrail", "detail":
        {"eventVersion": "1.07", "eventType": "AwsCloudTrailInsight", "insightDetails": {}}});
    assert_skipped(insight.to_string(), Skip::Insight);
    let other = json!({"detail-type": "EC2 Instance State-change Notification", "detail": {}});
    assert_skipped(other.to_string(), Skip::NotCloudtrail);
}

#[test]
fn a_subscription_of_cloudwatch_logs() {
    assert_ours(subscription(&[&ours()]), Envelope::CloudwatchLogs, TIME_MS);
    let lambda = json!({"awslogs": {"data": base64(gzip(subscription(&[&ours()])))}});
    assert_ours(lambda.to_string(), Envelope::CloudwatchLogs, TIME_MS);
    let probe = json!({"messageType": "CONTROL_MESSAGE", "logGroup": "", "logEvents": [{"id": "", "timestamp": 1,
        "message": "CWL CONTROL MESSAGE: Checking health of destination Firehose."}]});
    assert_skipped(probe.to_string(), Skip::ControlMessage);
    let transformed = subscription(&["X"]).replace("\"X\"", &ours());
    assert_ours(transformed, Envelope::CloudwatchLogs, TIME_MS);
}

#[test]
fn a_cut_log_event_loses_only_itself_and_other_logs_are_skipped() {
    let cut = &ours()[..500];
    let lines = [
        &ours(),
        cut,
        "START RequestId: 1",
        "[INFO] started",
        "{x: 1}",
        "\"GET /\" 200",
        "{\"level\":\"info\"}",
        &ours(),
    ];
    let payload = subscription(&lines);
    assert_eq!(outline(&payload), "r0 !1 s s s s s r7");
    let Seen::Rejected { reason, bytes, .. } = &seen(&payload)[1] else {
        panic!();
    };
    assert_eq!(*reason, Reason::Truncated);
    let event: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(event["message"], cut);
}

#[test]
fn records_of_kinesis_and_firehose() {
    let data = base64(ours());
    for payload in [
        json!({"records": [{"recordId": "1", "data": data}]}),
        json!({"records": [{"data": base64(gzip(ours()))}]}),
        json!({"recordId": "1", "data": data}),
        json!({"kinesis": {"partitionKey": "k", "data": data}}),
        json!({"Records": [{"kinesis": {"data": data}, "eventSource": "aws:kinesis", "eventVersion": "1.0"}]}),
        json!({"records": [{"data": ours()}]}),
        json!([{"kinesis": {"data": data}}]),
    ] {
        assert_ours(payload.to_string(), Envelope::Kinesis, None);
    }
    let slashes = json!({"records": [{"data": data}]})
        .to_string()
        .replace('/', r"\/");
    assert_ours(slashes, Envelope::Kinesis, None);
    let broken = json!({"records": [{"data": "eyJ*"}, {"data": base64(ours())}, {"data": base64("hello")}, {"x": 1}]});
    assert_eq!(outline(broken.to_string()), "!0 r1 !2 !3");
}

#[test]
fn documents_of_filebeat_and_elastic_agent() {
    let time = "2026-01-05T18:46:26.123Z";
    for payload in [
        json!({"@timestamp": time, "@metadata": {"beat": "filebeat"}, "message": ours(),
               "log": {"offset": 0}, "input": {"type": "aws-s3"}, "event": {"dataset": "aws.cloudtrail"}}),
        json!({"@timestamp": time, "agent": {"type": "filebeat"}, "event": {"original": ours(), "action": "x"},
               "aws": {"cloudtrail": {}}, "message": "text"}),
    ] {
        assert_ours(payload.to_string(), Envelope::Filebeat, TIME_MS);
    }
    let normalised =
        json!({"@timestamp": time, "event": {"dataset": "aws.cloudtrail", "action": "x"}});
    assert_rejected(normalised.to_string(), Reason::UnsupportedFormat);
    let other = json!({"@timestamp": time, "agent": {}, "message": "GET / 200"});
    assert_skipped(other.to_string(), Skip::NotCloudtrail);
}

#[test]
fn events_of_logstash() {
    let time = "2026-01-05T18:46:26Z";
    for payload in [
        json!({"@timestamp": time, "@version": "1", "message": ours()}),
        json!({"@timestamp": time, "@version": "1", "event": {"original": ours()}}),
    ] {
        assert_ours(payload.to_string(), Envelope::Logstash, TIME);
    }
    let mut flat = parsed();
    let fields = flat.as_object_mut().unwrap();
    fields.remove("eventTime");
    fields.insert("@timestamp".to_owned(), time.into());
    fields.insert("@version".to_owned(), "1".into());
    let flat = flat.to_string();
    let expected = Seen::Record {
        json: flat.clone().into_bytes(),
        envelope: Envelope::Logstash,
        index: 0,
        time: TIME,
        custom: false,
    };
    assert_eq!(seen(flat), [expected]);
}

#[test]
fn records_of_fluent_bit_and_fluentd() {
    for (payload, time) in [
        (
            json!({"date": 1_767_638_786.123_f64, "log": ours()}),
            TIME_MS,
        ),
        (
            json!({"log": ours(), "kubernetes": {"pod_name": "p"}}),
            None,
        ),
        (
            json!({"@timestamp": 1_767_638_786.123_f64, "log": ours()}),
            TIME_MS,
        ),
        (
            json!({"message": ours(), "tag": "cloudtrail", "time": "2026-01-05T18:46:26Z"}),
            TIME,
        ),
        (
            json!({"date": 1_767_638_786, "log": format!("{}\n", ours())}),
            TIME,
        ),
    ] {
        assert_ours(payload.to_string(), Envelope::FluentBit, time);
    }
    let object = format!(r#"{{"date":1767638786,"log":{}}}"#, ours());
    assert_ours(object, Envelope::FluentBit, TIME);
    let other = json!({"date": 1.5, "log": "plain"});
    assert_skipped(other.to_string(), Skip::NotCloudtrail);
}

#[test]
fn events_of_vector() {
    let event = json!({"bucket": "b", "message": ours(), "object": "AWSLogs/x", "region": "us-east-1",
        "source_type": "aws_s3", "timestamp": "2026-01-05T18:46:26.123456Z"});
    assert_ours(event.to_string(), Envelope::Vector, TIME_MS);
    let file =
        json!({"message": format!(r#"{{"Records":[{}]}}"#, ours()), "source_type": "aws_s3"});
    assert_ours(file.to_string(), Envelope::S3File, None);
}

#[test]
fn logs_of_opentelemetry() {
    let logs = |body: Value| {
        json!({"resourceLogs": [{"resource": {}, "scopeLogs": [{"scope": {}, "logRecords":
            [{"timeUnixNano": "1767638786123456789", "body": body, "attributes": []}]}]}]})
        .to_string()
    };
    assert_ours(
        logs(json!({"stringValue": ours()})),
        Envelope::Opentelemetry,
        TIME_MS,
    );
    assert_ours(
        logs(json!({"bytesValue": base64(gzip(ours()))})),
        Envelope::Opentelemetry,
        TIME_MS,
    );
    let pair = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let structure = logs(json!({"kvlistValue": {"values": [
        pair("eventVersion", "1.08"), pair("eventSource", "iam.amazonaws.com"),
        pair("eventName", "RemoveRoleFromInstanceProfile"),
        {"key": "userIdentity", "value": {"kvlistValue": {"values": [pair("type", "Root")]}}}]}}));
    let [
        Seen::Record {
            json,
            envelope: Envelope::Opentelemetry,
            ..
        },
    ] = &seen(structure)[..]
    else {
        panic!();
    };
    assert_eq!(
        std::str::from_utf8(json).unwrap(),
        r#"{"eventVersion":"1.08","eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","userIdentity":{"type":"Root"}}"#
    );
    assert_skipped(logs(json!({"stringValue": "plain"})), Skip::NotCloudtrail);
    assert_skipped(logs(json!({"intValue": "1"})), Skip::NotCloudtrail);
    assert_skipped(r#"{"resourceLogs":[{"scopeLogs":[]}]}"#, Skip::NoRecords);
    let mapped = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"attributes":
        [{"key": "aws.event.id", "value": {"stringValue": "x"}}]}]}]}]});
    assert_eq!(outline(mapped.to_string()), "!0");
}

#[test]
fn what_cloudtrail_lake_adds() {
    let custom = json!({"eventVersion": "1.0", "eventCategory": "ActivityAuditLog", "eventType": "ActivityLog",
        "eventData": {"version": "1.0", "userIdentity": {"type": "User"}, "eventSource": "iam.amazonaws.com",
                      "eventName": "RemoveRoleFromInstanceProfile", "eventTime": "2026-01-05T18:46:26Z"}});
    let [
        Seen::Record {
            envelope: Envelope::CloudtrailLake,
            custom: true,
            ..
        },
    ] = &seen(custom.to_string())[..]
    else {
        panic!();
    };
    let flat = ours().replace("Management", "ActivityAuditLog");
    assert!(matches!(
        &seen(flat)[..],
        [Seen::Record { custom: true, .. }]
    ));
    let csv = "\"eventVersion\",\"eventName\"\n\"1.08\",\"RemoveRoleFromInstanceProfile\"\n";
    assert_rejected(csv, Reason::UnsupportedFormat);
    let looked_up = json!({"EventId": "e", "EventName": "x", "CloudTrailEvent": ours()});
    assert_ours(looked_up.to_string(), Envelope::LookupEvents, None);
    assert_ours(
        json!({"Events": [looked_up]}).to_string(),
        Envelope::LookupEvents,
        None,
    );
}

#[test]
fn transports_and_other_wrappers() {
    for (payload, envelope, time) in [
        (
            json!({"event": ours(), "sourcetype": "aws:cloudtrail", "time": "1767638786.123"}),
            Envelope::SplunkHec,
            TIME_MS,
        ),
        (
            json!({"schema": {"type": "string"}, "payload": ours()}),
            Envelope::KafkaConnect,
            None,
        ),
        (
            json!({"specversion": "1.0", "type": "t", "time": "2026-01-05T18:46:26Z", "data": ours()}),
            Envelope::Cloudevents,
            TIME,
        ),
        (
            json!({"specversion": "1.0", "type": "t", "data_base64": base64(ours())}),
            Envelope::Cloudevents,
            None,
        ),
        (
            json!({"Type": "Notification", "Message": ours()}),
            Envelope::Sns,
            None,
        ),
        (
            json!({"Records": [{"EventSource": "aws:sns", "EventVersion": "1.0", "Sns": {"Type": "Notification", "Message": ours()}}]}),
            Envelope::Sns,
            None,
        ),
        (
            json!({"Records": [{"messageId": "m", "body": ours(), "eventSource": "aws:sqs"}]}),
            Envelope::Sqs,
            None,
        ),
        (
            json!({"class_uid": 6003, "metadata": {"product": {"name": "CloudTrail"}}, "raw_data": ours()}),
            Envelope::SecurityLake,
            None,
        ),
        (json!({"message": ours()}), Envelope::Embedded, None),
        (json!({"value": ours(), "x": 1}), Envelope::Embedded, None),
    ] {
        assert_ours(payload.to_string(), envelope, time);
    }
    for object in [
        format!(r#"{{"event":{},"sourcetype":"aws:cloudtrail"}}"#, ours()),
        format!(r#"{{"schema":null,"payload":{}}}"#, ours()),
        format!(r#"{{"specversion":"1.0","data":{}}}"#, ours()),
    ] {
        assert_eq!(outline(object), "r0");
    }
    assert_skipped(r#"{"schema":null,"payload":null}"#, Skip::Empty);
    assert_rejected(
        r#"{"class_uid":6003,"metadata":{"product":{"name":"CloudTrail"}},"api":{"operation":"x"}}"#,
        Reason::UnsupportedFormat,
    );
}

#[test]
fn notifications_and_digests_are_no_records() {
    let put = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"p"},"s3":{"object":{"key":"k"}}}]}"#;
    assert_skipped(put, Skip::Notification);
    assert_skipped(
        json!({"Type": "Notification", "Message": put}).to_string(),
        Skip::Notification,
    );
    let trail = json!({"s3Bucket": "b", "s3ObjectKey": ["AWSLogs/1.json.gz"]}).to_string();
    assert_skipped(&trail, Skip::Notification);
    for message in [&trail, "CloudTrail validation message.", "{\"a\":1}"] {
        let sns = json!({"Type": "Notification", "Message": message});
        assert_skipped(sns.to_string(), Skip::Notification);
    }
    let digest = json!({"awsAccountId": "111122223333", "digestStartTime": "t", "digestS3Object": "o", "logFiles": []});
    assert_skipped(digest.to_string(), Skip::Digest);
    assert_skipped(gzip(digest.to_string()), Skip::Digest);
}

#[test]
fn a_record_that_only_mentions_our_event_is_another_record() {
    let policy = record("CreatePolicy").replace(
        r#""roleName":"web""#,
        r#""policyDocument":"{\"Action\":\"iam:RemoveRoleFromInstanceProfile\",\"eventName\":\"RemoveRoleFromInstanceProfile\"}""#,
    );
    let [Seen::Record { json, .. }] = &seen(&policy)[..] else {
        panic!();
    };
    let names = EventNames::parse(json).unwrap();
    assert_eq!(names.event_name.as_deref(), Some("CreatePolicy"));
    Record::parse(json).unwrap();
}

#[test]
fn every_layer_of_bytes() {
    let json = ours();
    let mut snappy = snap::write::FrameEncoder::new(Vec::new());
    snappy.write_all(json.as_bytes()).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(json.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    zlib.write_all(json.as_bytes()).unwrap();
    for payload in [
        gzip(&json),
        zstd::encode_all(json.as_bytes(), 3).unwrap(),
        lz4.finish().unwrap(),
        snappy.into_inner().unwrap(),
        [b"\0\0\0\0\x2a", json.as_bytes()].concat(),
        [&[3, 0][..], &[7; 16], json.as_bytes()].concat(),
        [&[3, 5][..], &[7; 16], &zlib.finish().unwrap()].concat(),
        [b"\xef\xbb\xbf", json.as_bytes()].concat(),
        base64(&json).into_bytes(),
        base64(gzip(&json)).into_bytes(),
        Value::from(json.clone()).to_string().into_bytes(),
        Value::from(Value::from(json.clone()).to_string())
            .to_string()
            .into_bytes(),
        Value::from(base64(gzip(&json))).to_string().into_bytes(),
        gzip(gzip(&json)),
    ] {
        assert_ours(payload, Envelope::Record, None);
    }
    for empty in [&b""[..], b" \n", b"null", b"\"\"", b"\xef\xbb\xbf"] {
        assert_skipped(empty, Skip::Empty);
    }
}

#[test]
fn layers_and_forms_nest() {
    let subscription = subscription(&[&ours()]);
    let kinesis = json!({"records": [{"data": base64(gzip(&subscription))}]}).to_string();
    assert_ours(&kinesis, Envelope::CloudwatchLogs, TIME_MS);
    let connect = json!({"schema": {"type": "string"}, "payload": kinesis}).to_string();
    assert_ours(gzip(connect), Envelope::CloudwatchLogs, TIME_MS);
    let event = json!({"detail-type": "AWS API Call via CloudTrail", "time": "2026-01-05T18:46:26Z", "detail": "D"})
        .to_string()
        .replace("\"D\"", &ours());
    let sns = json!({"Type": "Notification", "Message": event});
    let sqs = json!({"Records": [{"eventSource": "aws:sqs", "body": sns.to_string()}]});
    assert_ours(sqs.to_string(), Envelope::EventBridge, TIME);
    let untimed = json!({"date": 1_767_638_786, "log": json!([parsed()]).to_string()});
    assert!(matches!(
        &seen(untimed.to_string())[..],
        [Seen::Record { time: TIME, .. }]
    ));
}
