//! Tells the forms of JSON in which CloudTrail travels apart, by structure alone.
//!
//! In: an object's known members ([`Object`]). Out: what the object is and where to look next ([`Form`]). The order of the checks in [`form`] is the contract: the first that fits wins.
//! It neither decodes nor descends into what it found; the parent module does.

use super::object::{Known, Object, is_version_1, member};
use super::{Envelope, Skip, layers};
use crate::cloudtrail::scan::{self, skip_space};
use crate::cloudtrail::text::{ShortText, string_inside, text_is};

/// What the elements of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Items {
    /// Anything that could be a message of its own.
    Any,
    /// CloudWatch Logs' log events.
    LogEvents,
    /// Kinesis' or Firehose's records.
    Kinesis,
    /// Kafka's records.
    Kafka,
    /// OpenTelemetry's three levels.
    ResourceLogs,
    ScopeLogs,
    LogRecords,
}

/// How a carrier holds what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// As JSON, or as a string of it.
    Json,
    /// As a string of base64.
    Base64,
    /// As OpenTelemetry's `AnyValue`.
    AnyValue,
    /// As DynamoDB writes an item: each value under the name of its type.
    DynamoDb,
    /// In one of the columns of a row, or as the row itself.
    Columns,
    /// As the row itself, whose columns have no capitals.
    Row,
}

/// A wrapper around one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Carrier<'a> {
    pub(super) envelope: Envelope,
    pub(super) value: &'a [u8],
    pub(super) coding: Coding,
    /// The wrapper's own time, as it stands in the text.
    pub(super) time: Option<&'a [u8]>,
    /// What it is if it carries nothing that is known: none, and that is an error.
    pub(super) otherwise: Option<Skip>,
    /// What is inside was supplied by a customer of CloudTrail Lake.
    pub(super) custom: bool,
}

impl<'a> Carrier<'a> {
    const fn new(envelope: Envelope, value: &'a [u8]) -> Self {
        Self {
            envelope,
            value,
            coding: Coding::Json,
            time: None,
            otherwise: None,
            custom: false,
        }
    }

    const fn base64(self) -> Self {
        Self {
            coding: Coding::Base64,
            ..self
        }
    }

    const fn coded(self, coding: Coding) -> Self {
        Self { coding, ..self }
    }

    const fn time(self, time: Option<&'a [u8]>) -> Self {
        Self { time, ..self }
    }

    const fn or(self, skip: Skip) -> Self {
        Self {
            otherwise: Some(skip),
            ..self
        }
    }
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form<'a> {
    /// A record; the envelope and the time of a shipper that put its own fields beside the record's.
    Record {
        envelope: Option<Envelope>,
        time: Option<&'a [u8]>,
        custom: bool,
    },
    /// Valid, and no record.
    Skipped(Skip),
    /// A wrapper around a list; it names the envelope unless an outer one did.
    List {
        envelope: Envelope,
        list: &'a [u8],
        items: Items,
    },
    /// A wrapper around an object whose values are such lists.
    Lists {
        envelope: Envelope,
        lists: &'a [u8],
        items: Items,
    },
    /// A wrapper around one thing.
    Carrier(Carrier<'a>),
    /// Known, and not readable here.
    Unsupported(&'static str),
    /// None of these.
    Unknown,
}

/// What an object is, at the top of a message, or in a list of anything.
pub(super) fn form<'a>(object: &Object<'a>, items: Items) -> Form<'a> {
    let known = &object.known;
    if object.is_record {
        return record(known);
    }
    let listed = match items {
        Items::Any => None,
        Items::LogEvents => known.message.map(|message| {
            Form::Carrier(
                Carrier::new(Envelope::CloudwatchLogs, message)
                    .time(known.timestamp)
                    .or(Skip::NotCloudtrail),
            )
        }),
        Items::Kinesis => kinesis(known),
        Items::Kafka => known.value.map(kafka),
        Items::ResourceLogs => open_telemetry(known.scope_logs, Items::ScopeLogs),
        Items::ScopeLogs => open_telemetry(known.log_records, Items::LogRecords),
        Items::LogRecords => Some(log_record(object)),
    };
    listed
        .or_else(|| of_aws(object))
        .or_else(|| of_others(object))
        .unwrap_or(Form::Unknown)
}

/// The forms that AWS writes.
fn of_aws<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let known = &object.known;
    notification(object)
        .or_else(|| {
            let digest = known.digest_object.and(known.digest_start);
            digest.map(|_| Form::Skipped(Skip::Digest))
        })
        .or_else(|| list(known.s3_records, Envelope::S3File, Items::Any))
        .or_else(|| event_bridge(object))
        .or_else(|| cloudwatch_logs(known))
        .or_else(|| list(known.records, Envelope::Kinesis, Items::Kinesis))
        .or_else(|| match known.kinesis.or(known.record_id) {
            Some(_) => kinesis(known),
            None => None,
        })
        .or_else(|| {
            let insight = known.insight_details.is_some()
                || known
                    .event_type
                    .is_some_and(|kind| text_is(kind, b"AwsCloudTrailInsight"));
            insight.then_some(Form::Skipped(Skip::Insight))
        })
        .or_else(|| {
            let source = string_inside(known.event_source?)?;
            string_inside(known.event_name?)?;
            let is_record = known.event_version.is_some_and(is_version_1)
                || known.user_identity.is_some()
                || known.event_time.is_some();
            // `minio:s3` and the like imitate S3's notifications; no AWS service has a colon in its name.
            if is_record && memchr::memchr(b':', source).is_some() {
                return Some(Form::Skipped(Skip::Notification));
            }
            is_record.then(|| record(known))
        })
        .or_else(|| {
            let carrier = Carrier::new(Envelope::CloudtrailLake, known.event_data?);
            Some(Form::Carrier(Carrier {
                custom: true,
                ..carrier
            }))
        })
        .or_else(|| {
            let event = known.event_json?;
            Some(Form::Carrier(Carrier::new(Envelope::CloudtrailLake, event)))
        })
        .or_else(|| list(known.looked_up, Envelope::LookupEvents, Items::Any))
        .or_else(|| {
            let event = known.looked_up_event?;
            Some(Form::Carrier(Carrier::new(Envelope::LookupEvents, event)))
        })
        .or_else(|| {
            known.event_name_column?;
            member(object.json, b"eventsource")?;
            let row = Carrier::new(Envelope::Athena, object.json);
            Some(Form::Carrier(row.coded(Coding::Row)))
        })
        .or_else(|| {
            // As GetRecords gives a record of a stream.
            let data = known.kinesis_data.filter(|data| data.starts_with(b"\""))?;
            let carrier = Carrier::new(Envelope::Kinesis, data);
            Some(Form::Carrier(carrier.base64()))
        })
}

/// The forms that shippers and transports write.
fn of_others<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let known = &object.known;
    security_lake(known)
        .or_else(|| {
            list(
                known.resource_logs,
                Envelope::Opentelemetry,
                Items::ResourceLogs,
            )
        })
        .or_else(|| {
            let payload = known.schema.and(known.payload)?;
            Some(Form::Carrier(Carrier::new(Envelope::KafkaConnect, payload)))
        })
        .or_else(|| {
            known.specversion?;
            let carrier = match (known.data, known.data_base64) {
                (Some(data), _) => Carrier::new(Envelope::Cloudevents, data),
                (None, Some(data)) => Carrier::new(Envelope::Cloudevents, data).base64(),
                (None, None) => return Some(Form::Skipped(Skip::NotCloudtrail)),
            };
            Some(Form::Carrier(carrier.time(known.time)))
        })
        .or_else(|| search_hit(known))
        .or_else(|| {
            // Whatever the alert has beside: the record itself stands there as it came.
            let data = known.data.filter(|data| data.starts_with(b"{"))?;
            let record = member(data, b"aws").filter(|record| record.starts_with(b"{"))?;
            let carrier = Carrier::new(Envelope::Wazuh, record).time(known.timestamp);
            Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)))
        })
        .or_else(|| debezium(object))
        .or_else(|| log_shipper(known))
        .or_else(|| log_message(object))
        .or_else(|| {
            // Whoever put JSON under one of these keys wrapped it in a way that no list of forms can name.
            let value = first_json(&[
                known.message,
                known.log,
                known.sns_message,
                known.body,
                known.event,
                known.value,
                known.payload,
                known.data,
                known.record,
                known.msg,
            ])?;
            Some(Form::Carrier(Carrier::new(Envelope::Embedded, value)))
        })
}

/// A hit of Elasticsearch, or the answer to a search, which is a list of them.
fn search_hit<'a>(known: &Known<'a>) -> Option<Form<'a>> {
    if let Some(hit) = known.hit {
        let carrier = Carrier::new(Envelope::Elasticsearch, hit);
        return Some(Form::Carrier(carrier));
    }
    let hits = member(known.hits.filter(|hits| hits.starts_with(b"{"))?, b"hits");
    list(hits, Envelope::Elasticsearch, Items::Any)
}

/// A change in a database: the row after it.
fn debezium<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let after = object.known.after?;
    member(object.json, b"op").or_else(|| member(object.json, b"before"))?;
    let carrier = Carrier::new(Envelope::Debezium, after).coded(Coding::Columns);
    Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)))
}

/// Messages of Graylog and rsyslog, and Fluentd's with their tag: what they carry and is not CloudTrail is no error.
fn log_message<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let known = &object.known;
    let (envelope, candidates, time) = if known.full_message.or(known.short_message).is_some() {
        let texts = [known.full_message, known.short_message];
        (Envelope::Graylog, texts, known.timestamp)
    } else if known.msg.is_some() && known.syslog_tag.or(known.raw_msg).is_some() {
        let parsed = member(object.json, b"$!");
        let time = member(object.json, b"timereported");
        (Envelope::Rsyslog, [known.msg, parsed], time)
    } else if known.record.is_some() && known.tag.or(known.time).or(known.date).is_some() {
        let time = known.time.or(known.date);
        (Envelope::FluentBit, [known.record, None], time)
    } else {
        return None;
    };
    Some(
        first_json(&candidates).map_or(Form::Skipped(Skip::NotCloudtrail), |value| {
            let carrier = Carrier::new(envelope, value).time(time);
            Form::Carrier(carrier.or(Skip::NotCloudtrail))
        }),
    )
}

fn record<'a>(known: &Known<'a>) -> Form<'a> {
    let envelope = if known.at_timestamp.is_some() {
        match known.version {
            Some(_) => Some(Envelope::Logstash),
            None => Some(Envelope::Filebeat),
        }
    } else {
        known.date.map(|_| Envelope::FluentBit)
    };
    let custom = known
        .event_category
        .is_some_and(|category| text_is(category, b"ActivityAuditLog"));
    Form::Record {
        envelope,
        time: known.at_timestamp.or(known.date),
        custom,
    }
}

fn list(value: Option<&[u8]>, envelope: Envelope, items: Items) -> Option<Form<'_>> {
    let list = value.filter(|value| value.starts_with(b"["))?;
    Some(Form::List {
        envelope,
        list,
        items,
    })
}

/// News of S3, SNS and SQS: about something that is elsewhere, or a carrier of it; and what AWS Lambda gets of streams.
fn notification<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let known = &object.known;
    if let Some(message) = known.sns {
        let carrier = Carrier::new(Envelope::Sns, message);
        return Some(Form::Carrier(carrier.or(Skip::Notification)));
    }
    let source = known.event_source.or(known.sns_source);
    if let Some(source) = source.and_then(string_inside) {
        let source = ShortText::decode(source);
        match (source.bytes(), known.body) {
            (b"aws:kinesis", _) => return kinesis(known),
            (b"aws:sqs", Some(body)) => {
                let carrier = Carrier::new(Envelope::Sqs, body);
                return Some(Form::Carrier(carrier.or(Skip::Notification)));
            }
            (b"aws:kafka" | b"SelfManagedKafka", _) => {
                return known.value.map(kafka).or_else(|| {
                    let lists = known.records.filter(|lists| lists.starts_with(b"{"))?;
                    Some(Form::Lists {
                        envelope: Envelope::Msk,
                        lists,
                        items: Items::Kafka,
                    })
                });
            }
            (b"aws:dynamodb", _) => return dynamodb(object),
            (b"aws:s3" | b"aws:sns" | b"aws:sqs" | b"aws:ses" | b"aws:codecommit", _) => {
                return Some(Form::Skipped(Skip::Notification));
            }
            _ => {}
        }
    }
    if known
        .test_event
        .is_some_and(|event| text_is(event, b"s3:TestEvent"))
        || (known.s3_bucket.is_some() && known.s3_object_key.is_some())
    {
        return Some(Form::Skipped(Skip::Notification));
    }
    let (kind, message) = (known.kind?, known.sns_message?);
    if text_is(kind, b"Notification") {
        let carrier = Carrier::new(Envelope::Sns, message).or(Skip::Notification);
        return Some(Form::Carrier(carrier));
    }
    let handshake =
        text_is(kind, b"SubscriptionConfirmation") || text_is(kind, b"UnsubscribeConfirmation");
    handshake.then_some(Form::Skipped(Skip::Notification))
}

/// One record of Kafka, in base64.
fn kafka(value: &[u8]) -> Form<'_> {
    Form::Carrier(Carrier::new(Envelope::Msk, value).base64())
}

/// A change in a DynamoDB table: the item as it is then.
fn dynamodb<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    let change = member(object.json, b"dynamodb")?;
    let Some(image) = member(change, b"NewImage") else {
        // What was deleted, or a stream of keys alone.
        return Some(Form::Skipped(Skip::Notification));
    };
    let carrier = Carrier::new(Envelope::DynamoDb, image).coded(Coding::DynamoDb);
    Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)))
}

fn event_bridge<'a>(object: &Object<'a>) -> Option<Form<'a>> {
    const SUFFIX: &[u8] = b" via CloudTrail";
    let known = &object.known;
    if let Some(detail) = known.sent_detail {
        // As it is given to PutEvents.
        member(object.json, b"DetailType").or_else(|| member(object.json, b"Detail-Type"))?;
        let carrier = Carrier::new(Envelope::EventBridge, detail);
        return Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)));
    }
    let kind = ShortText::decode(string_inside(known.detail_type?)?);
    let detail = known.detail?;
    let carrier = Carrier::new(Envelope::EventBridge, detail).time(known.time);
    // A suffix, because the words before it differ by kind of event and by partition.
    if kind
        .bytes()
        .split_last_chunk::<{ SUFFIX.len() }>()
        .is_some_and(|(_, suffix)| suffix.eq_ignore_ascii_case(SUFFIX))
    {
        return Some(Form::Carrier(carrier));
    }
    // A record that was sent on under a name of one's own.
    if detail.starts_with(br#"{"eventVersion":"1."#) {
        return Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)));
    }
    Some(Form::Skipped(Skip::NotCloudtrail))
}

fn cloudwatch_logs<'a>(known: &Known<'a>) -> Option<Form<'a>> {
    if let Some(awslogs) = known.awslogs {
        let data = member(awslogs, b"data")?;
        let carrier = Carrier::new(Envelope::CloudwatchLogs, data);
        return Some(Form::Carrier(carrier.base64()));
    }
    let kind = known.message_type?;
    if text_is(kind, b"CONTROL_MESSAGE") {
        return Some(Form::Skipped(Skip::ControlMessage));
    }
    list(known.log_events, Envelope::CloudwatchLogs, Items::LogEvents)
}

/// One record of Kinesis or Firehose, or of a connector or function that puts it under `kinesis`.
fn kinesis<'a>(known: &Known<'a>) -> Option<Form<'a>> {
    let data = match known.kinesis {
        Some(kinesis) => member(kinesis, b"data")?,
        None => known.data?,
    };
    let carrier = Carrier::new(Envelope::Kinesis, data);
    Some(Form::Carrier(carrier.base64()))
}

/// Security Lake: CloudTrail that was already turned into OCSF. Some writers keep the original beside it.
fn security_lake<'a>(known: &Known<'a>) -> Option<Form<'a>> {
    known.class_uid?;
    let product = member(known.metadata?, b"product")?;
    if !member(product, b"name").is_some_and(|name| text_is(name, b"CloudTrail")) {
        return Some(Form::Skipped(Skip::NotCloudtrail));
    }
    Some(match first_json(&[known.raw_data]) {
        Some(raw) => Form::Carrier(Carrier::new(Envelope::SecurityLake, raw)),
        None => Form::Unsupported(
            "CloudTrail as OCSF without raw_data: the original record is lost; deliver CloudTrail itself",
        ),
    })
}

/// A level of OpenTelemetry's lists: one without its list has no records.
fn open_telemetry(value: Option<&[u8]>, items: Items) -> Option<Form<'_>> {
    list(value, Envelope::Opentelemetry, items).or(Some(Form::Skipped(Skip::NoRecords)))
}

fn log_record<'a>(object: &Object<'a>) -> Form<'a> {
    let known = &object.known;
    if let Some(body) = known.body {
        let carrier = Carrier::new(Envelope::Opentelemetry, body);
        return Form::Carrier(Carrier {
            coding: Coding::AnyValue,
            ..carrier.time(known.nanoseconds).or(Skip::NotCloudtrail)
        });
    }
    // The collector's CloudTrail encoding maps a record to attributes and keeps no body.
    if memchr::memmem::find(object.json, b"\"aws.event.id\"").is_some() {
        return Form::Unsupported(
            "CloudTrail as OpenTelemetry attributes: the original record is lost; keep the body",
        );
    }
    Form::Skipped(Skip::NotCloudtrail)
}

/// Shippers of logs of every kind. What they carry and is not CloudTrail is no error, as it isn't with EventBridge:
/// their topics are shared.
fn log_shipper<'a>(known: &Known<'a>) -> Option<Form<'a>> {
    let original = known.event.and_then(|event| member(event, b"original"));
    let by_beat = known
        .agent
        .or(known.input)
        .or(known.beat)
        .or(original)
        .is_some();
    let (envelope, candidates, time) = if known.at_timestamp.is_some() && known.version.is_some() {
        (
            Envelope::Logstash,
            [known.message, original],
            known.at_timestamp,
        )
    } else if known.at_timestamp.is_some() && (by_beat || known.log.is_none()) {
        (
            Envelope::Filebeat,
            [known.message, original],
            known.at_timestamp,
        )
    } else if known.log.is_some() {
        let time = known.date.or(known.at_timestamp).or(known.time);
        (Envelope::FluentBit, [known.log, known.message], time)
    } else if known
        .source_type
        .or(known.timestamp)
        .and(known.message)
        .is_some()
    {
        (Envelope::Vector, [known.message, None], known.timestamp)
    } else if known
        .tag
        .or(known.date)
        .or(known.time)
        .or(known.kubernetes)
        .or(known.stream)
        .and(known.message)
        .is_some()
    {
        let time = known.date.or(known.time);
        (Envelope::FluentBit, [known.message, None], time)
    } else if known
        .sourcetype
        .or(known.time)
        .or(known.fields)
        .and(known.event)
        .is_some()
    {
        (Envelope::SplunkHec, [known.event, None], known.time)
    } else {
        return None;
    };
    if let Some(value) = first_json(&candidates) {
        let carrier = Carrier::new(envelope, value).time(time);
        return Some(Form::Carrier(carrier.or(Skip::NotCloudtrail)));
    }
    let is_cloudtrail = known
        .aws
        .is_some_and(|aws| member(aws, b"cloudtrail").is_some())
        || known.event.is_some_and(|event| {
            member(event, b"dataset").is_some_and(|name| text_is(name, b"aws.cloudtrail"))
                && member(event, b"action").is_some()
        });
    Some(if is_cloudtrail {
        Form::Unsupported(
            "CloudTrail as an ECS document without event.original: the original record is lost; preserve it",
        )
    } else {
        Form::Skipped(Skip::NotCloudtrail)
    })
}

/// The first that may hold JSON: an object, an array, or a string that begins like one, or like a string or base64 of
/// one.
pub(super) fn first_json<'a>(candidates: &[Option<&'a [u8]>]) -> Option<&'a [u8]> {
    candidates
        .iter()
        .flatten()
        .copied()
        .find(|value| match string_inside(value) {
            Some(inside) => {
                let short = ShortText::decode(inside);
                matches!(scan::trim(short.bytes()), [b'{' | b'[' | b'"', ..])
                    || layers::is_base64(short.bytes())
            }
            None => value.starts_with(b"{") || value.starts_with(b"["),
        })
}

/// Where the list opens, if the object at `start` begins with the key `Records` and an array.
pub(super) fn begins_as_s3_file(text: &[u8], start: usize) -> Option<usize> {
    const KEY: &[u8] = b"\"Records\"";
    let key = skip_space(text, start + 1);
    if !text.get(key..)?.starts_with(KEY) {
        return None;
    }
    let colon = skip_space(text, key + KEY.len());
    if text.get(colon) != Some(&b':') {
        return None;
    }
    let list = skip_space(text, colon + 1);
    (text.get(list) == Some(&b'[')).then_some(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form_of(json: &str) -> Form<'_> {
        let object = Object::walk(json.as_bytes(), 0);
        assert_eq!(object.fault, None, "{json}");
        form(&object, Items::Any)
    }

    #[test]
    fn a_version_and_an_identity_make_a_record_whatever_else_there_is() {
        for json in [
            r#"{"eventVersion":"1.08","userIdentity":{},"Records":[],"kinesis":{"data":"eyJ9"}}"#,
            r#"{"Records":[],"userIdentity":null,"userIdentity":{},"eventVersion":"1.12","eventVersion":"2.1"}"#,
            r#"{"user\u0049dentity":{},"event\u0056ersion":"\u0031.08","detail-type":"x","detail":{}}"#,
        ] {
            assert!(matches!(form_of(json), Form::Record { .. }), "{json}");
        }
        assert!(!matches!(
            form_of(r#"{"eventVersion":"2.1","userIdentity":{}}"#),
            Form::Record { .. }
        ));
    }

    #[test]
    fn a_record_may_lack_a_field() {
        for json in [
            r#"{"eventVersion":"1.04","eventName":"a","eventSource":"b"}"#,
            r#"{"userIdentity":{},"eventName":"a","eventSource":"b"}"#,
            r#"{"eventTime":"t","eventName":"a","eventSource":"b"}"#,
        ] {
            assert!(matches!(form_of(json), Form::Record { custom: false, .. }));
        }
        assert_eq!(
            form_of(r#"{"eventName":"a","eventSource":"b"}"#),
            Form::Unknown
        );
        assert_eq!(
            form_of(r#"{"eventName":1,"eventSource":"b","eventTime":"t"}"#),
            Form::Unknown
        );
    }

    #[test]
    fn what_is_no_record_has_its_kind() {
        for (json, skip) in [
            (
                r#"{"eventVersion":"2.1","eventSource":"aws:s3","userIdentity":{}}"#,
                Skip::Notification,
            ),
            (
                r#"{"eventVersion":"2.0","eventSource":"minio:s3","eventName":"s3:ObjectCreated:Put","userIdentity":{}}"#,
                Skip::Notification,
            ),
            (
                r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#,
                Skip::Notification,
            ),
            (
                r#"{"s3Bucket":"b","s3ObjectKey":["k"]}"#,
                Skip::Notification,
            ),
            (
                r#"{"Type":"SubscriptionConfirmation","Message":"m"}"#,
                Skip::Notification,
            ),
            (
                r#"{"digestS3Object":"o","digestStartTime":"t","logFiles":[]}"#,
                Skip::Digest,
            ),
            (
                r#"{"eventVersion":"1.08","eventType":"AwsCloudTrailInsight","eventName":"a","eventSource":"b"}"#,
                Skip::Insight,
            ),
            (r#"{"insightDetails":{}}"#, Skip::Insight),
            (
                r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#,
                Skip::ControlMessage,
            ),
            (
                r#"{"detail-type":"EC2 Instance State-change Notification","detail":{}}"#,
                Skip::NotCloudtrail,
            ),
            (
                r#"{"@timestamp":"t","message":"GET /"}"#,
                Skip::NotCloudtrail,
            ),
            (
                r#"{"class_uid":3002,"metadata":{"product":{"name":"Okta"}}}"#,
                Skip::NotCloudtrail,
            ),
            (r#"{"specversion":"1.0","type":"t"}"#, Skip::NotCloudtrail),
        ] {
            assert_eq!(form_of(json), Form::Skipped(skip), "{json}");
        }
    }

    #[test]
    fn what_lost_the_original_is_unsupported() {
        for json in [
            r#"{"@timestamp":"t","event":{"action":"ListRoles"},"aws":{"cloudtrail":{}}}"#,
            r#"{"class_uid":6003,"metadata":{"product":{"name":"CloudTrail"}},"api":{}}"#,
        ] {
            assert!(matches!(form_of(json), Form::Unsupported(_)), "{json}");
        }
    }

    #[test]
    fn what_is_not_known_names_its_keys() {
        let json = "{\"a\":1,\"b c\":2,\"d\":{\"e\":1}}";
        assert_eq!(form_of(json), Form::Unknown);
        assert_eq!(Object::walk(json.as_bytes(), 0).keys(), "a, ?, d");
    }
}
