//! Every carrier, and every way in which the text inside one is spoilt: a record of ours comes out, or a dead letter does.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

mod cases;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use proptest::prelude::*;
use serde_json::{Value, json};
use trailtag::cloudtrail::envelope::Skip;
use trailtag::cloudtrail::repair::Repaired;
use trailtag::config::{Config, Format, Route};
use trailtag::model::Origin;
use trailtag::model::dead_letter::Reason;
use trailtag::pipeline::{Outputs, Pipeline, Tally};

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: Some(1_767_638_800_000),
};

fn with(change: impl FnOnce(&mut Config)) -> Pipeline {
    let mut config = Config::default();
    change(&mut config);
    Pipeline::from_config(&config).unwrap()
}

thread_local! {
    static PIPELINE: Pipeline = with(|_| {});
}

/// What a payload becomes: its documents, parsed, and its dead letters' reasons and errors.
struct Became {
    tally: Tally,
    documents: Vec<Value>,
    letters: Vec<(Reason, String)>,
}

fn process_by(pipeline: &Pipeline, payload: &[u8]) -> Became {
    let mut outputs = Outputs::default();
    let tally = pipeline.process(payload, &ORIGIN, &mut outputs);
    Became {
        tally,
        documents: outputs
            .documents
            .iter()
            .map(|document| {
                // What leaves byte for byte may hold half of a surrogate pair.
                let plain = Repaired::of(&document.payload);
                let plain = plain.map_or_else(|| document.payload.clone(), |it| it.plain.into());
                serde_json::from_slice(&plain).unwrap()
            })
            .collect(),
        letters: outputs
            .dead_letters
            .into_iter()
            .map(|letter| (letter.reason, letter.error))
            .collect(),
    }
}

fn process(payload: impl AsRef<[u8]>) -> Became {
    PIPELINE.with(|pipeline| process_by(pipeline, payload.as_ref()))
}

fn record(name: &str) -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": "arn:aws:iam::111122223333:user/alice",
            "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "alice"
        },
        "eventTime": "2026-01-05T18:46:26Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": name,
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.0 [\"x\"]",
        "requestParameters": {"instanceProfileName": "web-prod", "roleName": "web-app"},
        "responseElements": null,
        "eventID": "c8e1f0aa-0000-4000-8000-00000000a001",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
        "eventCategory": "Management"
    })
}

/// As CloudTrail writes it.
fn text(name: &str) -> String {
    let sorted = record(name).to_string();
    let version = r#""eventVersion":"1.11","#;
    let identity = format!(r#""userIdentity":{},"#, record(name)["userIdentity"]);
    let rest = sorted.replace(version, "").replace(&identity[1..], "");
    // The identity stands last in the order of serde_json's keys.
    let rest = rest.replace(
        &format!(r#","userIdentity":{}"#, record(name)["userIdentity"]),
        "",
    );
    format!("{{{version}{identity}{}", &rest[1..])
}

fn ours() -> String {
    text("RemoveRoleFromInstanceProfile")
}

fn base64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

fn gzip(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data.as_ref()).unwrap();
    encoder.finish().unwrap()
}

/// A carrier of a text: the name of its envelope, and its own text with the other in it.
type Carrier = (&'static str, fn(&str) -> Value);

/// Every form that carries a text.
const CARRIERS: &[Carrier] = &[
    ("cloudwatch_logs", |text| {
        json!({"messageType": "DATA_MESSAGE", "owner": "111122223333", "logGroup": "g", "logStream": "s",
            "subscriptionFilters": ["f"], "logEvents": [{"id": "1", "timestamp": 1_767_638_786_123_i64, "message": text}]})
    }),
    ("cloudwatch_logs", |text| {
        let logs = json!({"messageType": "DATA_MESSAGE", "logEvents": [{"id": "1", "timestamp": 1, "message": text}]});
        json!({"awslogs": {"data": base64(gzip(logs.to_string()))}})
    }),
    (
        "kinesis",
        |text| json!({"records": [{"recordId": "1", "data": base64(text)}]}),
    ),
    (
        "kinesis",
        |text| json!({"Records": [{"eventSource": "aws:kinesis", "kinesis": {"data": base64(gzip(text))}}]}),
    ),
    (
        "kinesis",
        |text| json!({"SequenceNumber": "4", "Data": base64(text), "PartitionKey": "k"}),
    ),
    (
        "kinesis",
        |text| json!({"Records": [{"Data": base64(text), "PartitionKey": "k"}], "MillisBehindLatest": 0}),
    ),
    ("msk", |text| {
        json!({"eventSource": "aws:kafka", "eventSourceArn": "arn:aws:kafka:x", "bootstrapServers": "b-1:9092",
            "records": {"ct-0": [{"topic": "ct", "partition": 0, "offset": 15, "timestamp": 1, "value": base64(text)}]}})
    }),
    (
        "msk",
        |text| json!([{"eventSource": "aws:kafka", "topic": "ct", "partition": 0, "offset": 1, "value": base64(text)}]),
    ),
    (
        "msk",
        |text| json!({"eventSource": "SelfManagedKafka", "records": {"ct-0": [{"topic": "ct", "value": base64(text)}]}}),
    ),
    (
        "sqs",
        |text| json!({"Records": [{"messageId": "m", "body": text, "eventSource": "aws:sqs"}]}),
    ),
    (
        "sns",
        |text| json!({"Type": "Notification", "MessageId": "m", "TopicArn": "t", "Message": text}),
    ),
    (
        "sns",
        |text| json!({"Records": [{"EventSource": "aws:sns", "Sns": {"Type": "Notification", "Message": text}}]}),
    ),
    (
        "eventbridge",
        |text| json!({"Source": "acme", "DetailType": "CloudTrailForward", "Detail": text, "EventBusName": "b"}),
    ),
    ("dynamodb", |text| {
        json!({"eventID": "1", "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
            "dynamodb": {"Keys": {"id": {"S": "1"}}, "NewImage": {"id": {"S": "1"}, "n": {"N": "1"}, "raw": {"S": text}}}})
    }),
    (
        "filebeat",
        |text| json!({"@timestamp": "2026-01-05T18:46:26.123Z", "agent": {"type": "filebeat"}, "message": text}),
    ),
    (
        "filebeat",
        |text| json!({"@timestamp": "2026-01-05T18:46:26.123Z", "agent": {}, "message": "text", "event": {"original": text}}),
    ),
    (
        "logstash",
        |text| json!({"@timestamp": "2026-01-05T18:46:26Z", "@version": "1", "message": text}),
    ),
    (
        "logstash",
        |text| json!({"@timestamp": "2026-01-05T18:46:26Z", "@version": "1", "event": {"original": text}}),
    ),
    (
        "fluent_bit",
        |text| json!({"date": 1_767_638_786.5, "log": text}),
    ),
    (
        "fluent_bit",
        |text| json!({"log": text, "stream": "stdout", "time": "2026-01-05T18:46:26Z"}),
    ),
    (
        "fluent_bit",
        |text| json!({"tag": "cloudtrail", "time": 1_767_638_786, "message": text}),
    ),
    (
        "fluent_bit",
        |text| json!({"tag": "cloudtrail", "time": 1_767_638_786, "record": {"message": text, "tag": "x"}}),
    ),
    (
        "vector",
        |text| json!({"message": text, "source_type": "aws_s3", "timestamp": "2026-01-05T18:46:26Z"}),
    ),
    (
        "opentelemetry",
        |text| json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1767638786123456789", "body": {"stringValue": text}}]}]}]}),
    ),
    ("cloudtrail_lake", |text| json!({"eventJson": text})),
    (
        "lookup_events",
        |text| json!({"Events": [{"EventId": "e", "CloudTrailEvent": text}]}),
    ),
    (
        "splunk_hec",
        |text| json!({"event": text, "sourcetype": "aws:cloudtrail", "time": "1767638786.123"}),
    ),
    (
        "kafka_connect",
        |text| json!({"schema": {"type": "string"}, "payload": text}),
    ),
    (
        "cloudevents",
        |text| json!({"specversion": "1.0", "type": "t", "data": text}),
    ),
    (
        "cloudevents",
        |text| json!({"specversion": "1.0", "type": "t", "data_base64": base64(text)}),
    ),
    (
        "security_lake",
        |text| json!({"class_uid": 6003, "metadata": {"product": {"name": "CloudTrail"}}, "raw_data": text}),
    ),
    ("graylog", |text| {
        json!({"version": "1.1", "host": "h", "short_message": "iam.amazonaws.com:RemoveRoleFromInstanceProfile in us-east-1",
            "full_message": text, "timestamp": 1_767_638_786.5, "level": 6})
    }),
    (
        "graylog",
        |text| json!({"version": "1.1", "host": "h", "short_message": text}),
    ),
    (
        "filebeat",
        |text| json!({"_index": "logs-aws.cloudtrail-default", "_id": "x", "_source": {"@timestamp": "2026-01-05T18:49:01Z", "event": {"original": text}}}),
    ),
    (
        "elasticsearch",
        |text| json!({"_index": "i", "_id": "x", "_source": text}),
    ),
    (
        "filebeat",
        |text| json!({"took": 1, "hits": {"total": 1, "hits": [{"_id": "x", "_source": {"@timestamp": "2026-01-05T18:49:01Z", "message": text}}]}}),
    ),
    (
        "debezium",
        |text| json!({"before": null, "after": {"id": 1, "raw": text}, "source": {"table": "t"}, "op": "c", "ts_ms": 1}),
    ),
    (
        "debezium",
        |text| json!({"schema": {}, "payload": {"before": null, "after": {"raw": text, "id": 1}, "op": "c"}}),
    ),
    (
        "rsyslog",
        |text| json!({"msg": text, "hostname": "h", "syslogtag": "app:", "programname": "app"}),
    ),
    ("embedded", |text| json!({"payload": text, "x": 1})),
    ("embedded", |text| json!({"record": text})),
];

/// A carrier of a whole record as an object.
const OBJECTS: &[Carrier] = &[
    ("wazuh", |text| {
        json!({"timestamp": "2026-01-05T18:49:05.000+0000", "rule": {"level": 3, "description": "AWS Cloudtrail: iam.amazonaws.com - RemoveRoleFromInstanceProfile."},
            "agent": {"id": "000", "name": "m"}, "decoder": {"name": "json"}, "data": {"integration": "aws", "aws": parsed(text)}})
    }),
    ("eventbridge", |text| {
        json!({"version": "0", "id": "c8e1", "detail-type": "aws api call via cloudtrail", "source": "aws.iam",
            "time": "2026-01-05T18:46:26Z", "detail": parsed(text)})
    }),
    (
        "eventbridge",
        |text| json!({"version": "0", "id": "c8e1", "detail-type": "CloudTrailForward", "source": "acme.audit", "detail": parsed(text)}),
    ),
    (
        "eventbridge",
        |text| json!({"Source": "acme", "DetailType": "x", "Detail": parsed(text)}),
    ),
    (
        "elasticsearch",
        |text| json!({"_index": "i", "_id": "x", "_source": parsed(text)}),
    ),
    (
        "debezium",
        |text| json!({"before": null, "after": parsed(text), "op": "c"}),
    ),
    (
        "fluent_bit",
        |text| json!({"tag": "cloudtrail", "time": 1, "record": parsed(text)}),
    ),
    (
        "rsyslog",
        |text| json!({"msg": "x", "syslogtag": "app:", "$!": parsed(text)}),
    ),
    (
        "dynamodb",
        |text| json!({"eventName": "INSERT", "eventSource": "aws:dynamodb", "dynamodb": {"NewImage": {"raw": item(&parsed(text))}}}),
    ),
    (
        "dynamodb",
        |text| json!({"eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": {"NewImage": item(&parsed(text))["M"]}}),
    ),
    ("athena", |text| row(&parsed(text))),
];

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// A value as DynamoDB writes it.
fn item(value: &Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(truth) => json!({"BOOL": truth}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(values) => json!({"L": values.iter().map(item).collect::<Vec<_>>()}),
        Value::Object(members) => {
            let members: serde_json::Map<_, _> = members
                .iter()
                .map(|(key, value)| (key.clone(), item(value)))
                .collect();
            json!({"M": members})
        }
    }
}

/// A record as a row of Athena: lower-case columns, objects as JSON text.
fn row(record: &Value) -> Value {
    let members = record.as_object().unwrap();
    let row: serde_json::Map<_, _> = members
        .iter()
        .map(|(key, value)| {
            let value = if value.is_object() {
                Value::from(value.to_string())
            } else {
                value.clone()
            };
            (key.to_lowercase(), value)
        })
        .collect();
    Value::Object(row)
}

#[track_caller]
fn assert_read(payload: impl AsRef<[u8]>, envelope: &str) {
    let shown = String::from_utf8_lossy(payload.as_ref()).into_owned();
    let became = process(&payload);
    assert_eq!(became.letters, [], "{shown}");
    assert_eq!(became.documents.len(), 1, "{shown}");
    let ours = &became.documents[0]["trailtag"];
    assert_eq!(ours["source"]["envelope"], envelope, "{shown}");
    assert_eq!(ours["target"]["role"], "web-app", "{shown}");
    assert_eq!(ours["actor"]["name"], "alice", "{shown}");
}

#[test]
fn every_carrier_is_read() {
    for (envelope, carrier) in CARRIERS.iter().chain(OBJECTS) {
        assert_read(carrier(&ours()).to_string(), envelope);
        // What is not ours is ignored, or skipped where nobody asks, and never a dead letter.
        let became = process(carrier(&text("ListRoles")).to_string());
        assert_eq!(became.letters, [], "{envelope}");
        assert_eq!(became.documents.len(), 0);
        assert_eq!(
            became.tally.ignored + became.tally.skipped.iter().sum::<u64>(),
            1,
            "{envelope}"
        );
    }
}

/// What becomes of a text: its name, and the text that it becomes.
type Spoiling = (&'static str, fn(&str) -> String);

/// What stands around a text, or became of it, that is read.
const READABLE: &[Spoiling] = &[
    ("RFC 3164", |text| {
        format!("<14>Jan  5 18:49:02 host app[7]: {text}")
    }),
    ("RFC 5424", |text| {
        format!("<14>1 2026-01-05T18:49:02Z h app 77 - [x@1 a=\"b\"] {text}")
    }),
    ("CRI", |text| {
        format!("2026-01-05T18:49:02.404Z stdout F {text}")
    }),
    ("a tag", |text| format!("cloudtrail: {text}")),
    ("cee", |text| format!(" @cee: {text}")),
    ("BOM", |text| format!("\u{feff}{text}")),
    ("NUL", |text| format!("{text}\0")),
    ("NULs", |text| format!("\0\0{text}\n\0")),
    ("RS", |text| format!("\u{1e}{text}\n")),
    ("shell quotes", |text| format!("'{text}'")),
    ("Python", |text| format!("b'{text}'")),
    ("double quotes", |text| format!("\"{text}\"")),
    ("a quote after", |text| format!("{text}\"")),
    ("escaped", |text| {
        let escaped = Value::from(text).to_string();
        escaped[1..escaped.len() - 1].to_owned()
    }),
    ("escaped twice", |text| {
        let once = Value::from(text).to_string();
        let twice = Value::from(&once[1..once.len() - 1]).to_string();
        twice[1..twice.len() - 1].to_owned()
    }),
    ("escaped, with a header", |text| {
        let escaped = Value::from(text).to_string();
        format!(
            "<14>Jan  5 18:49:02 host app: {}",
            &escaped[1..escaped.len() - 1]
        )
    }),
    ("quoted, with a header", |text| {
        format!("<14>Jan  5 18:49:02 host app: {}", Value::from(text))
    }),
    ("a text after", |text| format!("app {text} (end)")),
];

/// The same for bytes that are told to be a layer by themselves.
const READABLE_CODED: &[Spoiling] = &[
    ("base64 in lines", |text| in_lines(&base64(text), "\r\n")),
    ("base64 of gzip in lines", |text| {
        in_lines(&base64(gzip(text)), "\n")
    }),
    ("base64 with a header", |text| {
        format!("<14>Jan  5 18:49:02 host app: {}", base64(text))
    }),
    ("base64 of zlib", |text| base64(zlib(text))),
    ("base64 for URLs", |text| {
        format!("{} ", URL_SAFE_NO_PAD.encode(text))
    }),
];

fn in_lines(text: &str, end: &str) -> String {
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(76)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    lines.join(end)
}

#[test]
fn what_stands_around_a_record_is_passed_over() {
    for (name, spoil) in READABLE.iter().chain(READABLE_CODED) {
        let alone = process(spoil(&ours()));
        assert_eq!(alone.letters, [], "{name}");
        assert_eq!(alone.documents.len(), 1, "{name}");
        let ignored = process(spoil(&text("ListRoles")));
        assert_eq!(ignored.letters, [], "{name}");
        assert_eq!(ignored.tally.ignored, 1, "{name}");
        for (envelope, carrier) in CARRIERS {
            let payload = carrier(&spoil(&ours())).to_string();
            let became = process(&payload);
            assert_eq!(became.letters, [], "{name} in {envelope}: {payload}");
            assert_eq!(became.documents.len(), 1, "{name} in {envelope}: {payload}");
        }
    }
}

#[test]
fn several_records_behind_headers_are_all_read() {
    let one = ours();
    let line = format!("<14>Jan  5 18:49:02 host app: {one}\n");
    assert_eq!(process(line.repeat(3)).documents.len(), 3);
    let other = format!("2026-01-05T18:49:02.404Z stdout F {}\n", text("ListRoles"));
    let became = process([line.as_str(), &other, &line].concat());
    assert_eq!((became.documents.len(), became.tally.ignored), (2, 1));
    // A cut one loses only itself.
    let cut = format!("<14>Jan  5 18:49:02 host app: {}\n", &one[..500]);
    let became = process([line.as_str(), &cut, &line].concat());
    assert_eq!(became.documents.len(), 2);
    assert_eq!(became.letters.len(), 1);
    let pretty = serde_json::to_string_pretty(&parsed(&one)).unwrap();
    assert_eq!(process(format!("app: {pretty}")).documents.len(), 1);
    for between in ["\n\u{feff}", "\r\n\u{feff}", "\n\u{1e}", "\n\0"] {
        let lines = [one.as_str(), &one, &text("ListRoles")].join(between);
        let became = process(&lines);
        assert_eq!(became.letters, [], "{between:?}");
        assert_eq!((became.documents.len(), became.tally.ignored), (2, 1));
    }
    // What begins in the middle of a list still has whole records.
    let tail = format!(r#"ntCategory":"Management"}},{one},{one}]}}"#);
    let became = process(tail);
    assert_eq!((became.documents.len(), became.letters.len()), (2, 0));
}

#[test]
fn other_logs_are_skipped_as_before() {
    for line in [
        "GET / 200",
        "[INFO] started",
        "{\"level\":\"info\",\"msg\":\"x\"}",
        "level=info user={\"a\":1}",
        "token eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2ln",
        "'quoted'",
        "",
    ] {
        for (envelope, carrier) in CARRIERS {
            let may_have_others = matches!(
                *envelope,
                "cloudwatch_logs"
                    | "sqs"
                    | "sns"
                    | "filebeat"
                    | "logstash"
                    | "fluent_bit"
                    | "vector"
                    | "opentelemetry"
            );
            let payload = carrier(line).to_string();
            if may_have_others {
                let became = process(&payload);
                assert_eq!(became.letters, [], "{payload}");
                assert_eq!(became.tally.records(), 0, "{payload}");
            }
        }
    }
}

#[test]
fn what_has_a_wanted_name_is_never_skipped() {
    let name = "RemoveRoleFromInstanceProfile";
    let head = &ours()[200..];
    for (envelope, carrier) in CARRIERS {
        for line in [
            format!("called {name}"),
            head.to_owned(),
            ours()[..600].to_owned(),
            format!("app {}", &ours()[..600]),
            format!("{{\"level\":\"info\",\"msg\":\"{name}\"}}"),
            format!("[INFO] {name}"),
            format!("7 {name}"),
        ] {
            let became = process(carrier(&line).to_string());
            assert!(!became.letters.is_empty(), "{envelope}: {line}");
            assert_eq!(became.documents.len(), 0);
        }
    }
    for payload in [
        json!({"Records": [], "x": name}),
        json!({"x": name, "Records": []}),
        json!({"eventSource": "aws:s3", "eventVersion": "2.1", "x": name}),
        json!({"eventSource": "aws:other", "x": name}),
        json!({"digestS3Object": "o", "digestStartTime": "t", "x": name}),
        json!({"insightDetails": {}, "x": name}),
        json!({"detail-type": "x", "detail": {"a": name}}),
        json!({"detail-type": "x", "detail": name}),
        json!({"specversion": "1.0", "x": name}),
        json!({"resourceLogs": [{"instrumentationLibraryLogs": name}]}),
        json!({"class_uid": 1, "metadata": {"product": {"name": "x"}}, "api": name}),
        json!({"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": name}]}),
        json!({"@timestamp": "t", "message": {"a": 1}, "other": name}),
    ] {
        let became = process(payload.to_string());
        assert_eq!(became.letters.len(), 1, "{payload}");
        assert_eq!(became.documents.len(), 0);
    }
}

#[test]
fn what_is_of_a_kind_by_its_whole_structure_stays_of_it() {
    let name = "RemoveRoleFromInstanceProfile";
    for (payload, skip) in [
        (
            json!({"eventVersion": "1.07", "eventType": "AwsCloudTrailInsight", "eventTime": "t", "awsRegion": "us-east-1",
                "insightDetails": {"state": "Start", "eventSource": "iam.amazonaws.com", "eventName": name}, "eventCategory": "Insight"}),
            Skip::Insight,
        ),
        (
            json!({"Records": [{"eventVersion": "2.1", "eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
                "s3": {"bucket": {"name": "b"}, "object": {"key": format!("{name}.json")}}}]}),
            Skip::Notification,
        ),
        (
            json!({"s3Bucket": "b", "s3ObjectKey": [format!("{name}.json.gz")]}),
            Skip::Notification,
        ),
        (
            json!({"Type": "SubscriptionConfirmation", "Token": "t", "TopicArn": format!("arn:aws:sns:x:{name}"),
                "Message": format!("You have chosen to subscribe to {name}"), "SubscribeURL": "https://x"}),
            Skip::Notification,
        ),
        (
            json!({"awsAccountId": "1", "digestStartTime": "t", "digestS3Object": "o", "logFiles": [{"s3Object": name}]}),
            Skip::Digest,
        ),
        (
            json!({"version": "0", "detail-type": "GuardDuty Finding", "source": "aws.guardduty", "detail": {"service": {"action": {"api": name}}}}),
            Skip::NotCloudtrail,
        ),
        (
            json!({"detail-type": "AWS Insight via CloudTrail", "source": "aws.cloudtrail", "detail": {"eventType": "AwsCloudTrailInsight",
                "insightDetails": {"eventName": name}}}),
            Skip::Insight,
        ),
    ] {
        let became = process(payload.to_string());
        assert_eq!(became.letters, [], "{payload}");
        assert_eq!(became.tally.skipped[skip as usize], 1, "{payload}");
        assert_eq!(became.tally.skipped.iter().sum::<u64>(), 1, "{payload}");
    }
}

#[test]
fn layers_that_are_seldom_seen_are_opened() {
    let utf16 = |bom: bool| -> Vec<u8> {
        let text = if bom {
            format!("\u{feff}{}\r\n", ours())
        } else {
            ours()
        };
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    };
    for payload in [
        [gzip(ours()), vec![0; 512]].concat(),
        [gzip(ours()), vec![0]].concat(),
        zlib(ours()),
        utf16(true),
        utf16(false),
        [b"\0\0\0", ours().as_bytes()].concat(),
    ] {
        assert_read(payload, "record");
    }
}

#[test]
fn values_that_json_cannot_say_to_everybody() {
    let change = |from: &str, to: &[u8]| -> Vec<u8> {
        let text = ours();
        let at = text.find(from).unwrap();
        [
            &text.as_bytes()[..at],
            to,
            &text.as_bytes()[at + from.len()..],
        ]
        .concat()
    };
    let agent = "aws-cli/2.15.0 ";
    for (payload, replaced) in [
        (change(agent, b"caf\xe9 "), "invalid_utf8"),
        (change(agent, br"\ud800 "), "lone_surrogate"),
        (
            change("\"readOnly\":false", b"\"readOnly\":1e400"),
            "number",
        ),
    ] {
        for format in [
            Format::Native,
            Format::Ecs,
            Format::SplunkHec,
            Format::SplunkRaw,
            Format::Ocsf,
        ] {
            let pipeline = with(|config| {
                config.routes = vec![Route {
                    name: "x".to_owned(),
                    topic: "x".to_owned(),
                    format,
                    ..Route::default()
                }];
            });
            let mut outputs = Outputs::default();
            pipeline.process(&payload, &ORIGIN, &mut outputs);
            assert!(
                outputs.dead_letters.is_empty(),
                "{:?}",
                outputs.dead_letters
            );
            let document = std::str::from_utf8(&outputs.documents[0].payload).unwrap();
            // In native form it stands as it came wherever that is JSON; and what a connector writes anew, all parsers take.
            if format == Format::Native && replaced != "invalid_utf8" {
                let original = std::str::from_utf8(&payload).unwrap();
                assert!(document.starts_with(&format!("{{\"event\":{original},")));
                continue;
            }
            let value: Value = serde_json::from_str(document).unwrap();
            let event = value.get("event").filter(|_| format == Format::SplunkHec);
            if format == Format::Ocsf {
                continue;
            }
            let ours = &event.unwrap_or(&value)["trailtag"];
            assert_eq!(ours["replaced"], json!([replaced]));
            let original = STANDARD.decode(ours["original_base64"].as_str().unwrap());
            assert_eq!(original.unwrap(), payload);
        }
    }
    // A name is not mended.
    let name = change("RemoveRole", b"\xffRemoveRole");
    assert_eq!(process(name).letters.len(), 1);
    let plain = process(ours());
    assert_eq!(plain.documents[0]["trailtag"].get("replaced"), None);
}

#[test]
fn objects_that_are_texts_of_json_have_their_names() {
    let mut as_text = record("RemoveRoleFromInstanceProfile");
    for key in ["requestParameters", "userIdentity"] {
        as_text[key] = as_text[key].to_string().into();
    }
    assert_read(as_text.to_string(), "record");
}

#[test]
fn a_form_of_ones_own_is_read_where_the_configuration_says() {
    let wrapped = json!({"acme": {"audit/v1": [ours()]}, "id": 1}).to_string();
    let became = process(&wrapped);
    assert_eq!(became.letters[0].0, Reason::UnrecognisedEnvelope);
    assert!(
        became.letters[0].1.contains("(acme, id)"),
        "{}",
        became.letters[0].1
    );
    assert!(
        became.letters[0].1.contains("/acme/audit~1v1/0"),
        "{}",
        became.letters[0].1
    );
    let pipeline = with(|config| {
        config.input.record_paths = vec!["/x".to_owned(), "/acme/audit~1v1/0".to_owned()];
    });
    let became = process_by(&pipeline, wrapped.as_bytes());
    assert_eq!((became.documents.len(), became.letters.len()), (1, 0));
    assert_eq!(
        became.documents[0]["trailtag"]["source"]["envelope"],
        "record_path"
    );
    let text = json!({"x": format!("<14>Jan  5 18:49:02 h app: {}", ours())}).to_string();
    assert_eq!(process_by(&pipeline, text.as_bytes()).documents.len(), 1);
    let other = json!({"x": "nothing"}).to_string();
    assert_eq!(process_by(&pipeline, other.as_bytes()).letters.len(), 1);
}

/// Hostile texts cost what their length costs.
#[test]
fn recovery_is_bounded() {
    for piece in [
        "{\"",
        "{\"a\":",
        "[{\"a\":",
        "{\\\"",
        "eyJhIjox",
        "\n\0",
        "{\"a\":1},",
        "{}\0",
        "\"{",
        "'",
        "\u{1e}{",
    ] {
        let text = format!("x RemoveRoleFromInstanceProfile {}", piece.repeat(100_000));
        for payload in [
            text.clone(),
            json!({"@timestamp": "t", "message": text}).to_string(),
        ] {
            let became = process(payload);
            assert!(!became.letters.is_empty(), "{piece:?}");
        }
    }
}

/// Of the cases, those of bytes, wrappers and texts in them; what a record means is for other tests.
#[test]
fn the_cases_are_read() {
    let Some(cases) = cases::all() else {
        return;
    };
    let mut tried = 0;
    for case in &cases {
        let file = &case.file;
        let is_envelope = file.starts_with(['b', 'w', 's']) || file.starts_with("r18");
        let is_processed = case.arguments[0] == "process" && case.option("--config").is_none();
        if !is_envelope || !is_processed {
            continue;
        }
        tried += 1;
        let became = process(case.payload());
        let documents = case.expect["documents"].as_u64().unwrap();
        if documents == 0 {
            // At least a dead letter; a document is better, and only what was cut has none.
            let is_cut = file.contains("cut");
            assert_eq!(
                became.documents.is_empty(),
                is_cut,
                "{file}: {:?}",
                became.letters
            );
            assert_eq!(became.letters.len(), usize::from(is_cut), "{file}");
        } else {
            assert_eq!(became.letters, [], "{file}");
            assert_eq!(became.documents.len() as u64, documents, "{file}");
        }
        let Some(document) = became.documents.first() else {
            continue;
        };
        for (field, value) in case.fields.as_object().into_iter().flatten() {
            let pointer = format!("/{}", field.replace('.', "/"));
            assert_eq!(document.pointer(&pointer), Some(value), "{file}: {field}");
        }
    }
    assert!(tried > 15, "{tried}");
}

/// How a text is spoilt.
fn spoilt() -> impl Strategy<Value = String> {
    let ours = ours();
    let length = ours.len();
    let around = prop::sample::select(vec![
        "",
        "x",
        "<14>Jan  5 18:49:02 h app: ",
        "2026-01-05T18:49:02.1Z stdout F ",
        "[INFO] ",
        "\"",
        "'",
        "`",
        "\u{feff}",
        "\0",
        "\u{1e}",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\\",
        "\n",
        "null",
        "7 ",
        "\r\n\t",
        "{\"a\":1}",
        "\"a\":",
    ]);
    (
        prop::collection::vec(around.clone(), 0..3),
        prop::collection::vec(around, 0..3),
        prop::option::weighted(0.4, (0..length, any::<bool>())),
        0..3_usize,
    )
        .prop_map(move |(before, after, cut, escapes)| {
            let mut text = ours.clone();
            if let Some((at, is_head)) = cut {
                text = if is_head {
                    text[at..].to_owned()
                } else {
                    text[..at].to_owned()
                };
                // What is left must still say what it was.
                if !text.contains("RemoveRoleFromInstanceProfile") {
                    ours[..at.max(600)].clone_into(&mut text);
                }
            }
            for _ in 0..escapes {
                let escaped = Value::from(text.as_str()).to_string();
                escaped[1..escaped.len() - 1].clone_into(&mut text);
            }
            format!("{}{text}{}", before.concat(), after.concat())
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    /// A record of ours comes out once, or something is a dead letter.
    #[test]
    fn nothing_that_is_wanted_is_lost(text in spoilt(), carrier in prop::sample::select(CARRIERS), is_packed: bool) {
        let payload = carrier.1(&text).to_string();
        for payload in [payload.as_bytes(), text.as_bytes()] {
            let packed = if is_packed { gzip(payload) } else { payload.to_vec() };
            let became = process(packed);
            prop_assert!(
                became.documents.len() == 1 || !became.letters.is_empty(),
                "{} {:?}: {}", became.documents.len(), became.tally, String::from_utf8_lossy(payload)
            );
            prop_assert!(became.documents.len() <= 1);
        }
    }
}
