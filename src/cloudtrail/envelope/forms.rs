//! Tells the forms of JSON in which CloudTrail travels apart, by structure alone.
//!
//! In: an object's known members ([`Object`]). Out: what the object is and where to look next ([`Form`]). The order of the
//! checks in [`form`] is the contract: the first that fits wins. It neither decodes nor descends into what it found; the parent module does.

mod shippers;

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
        .or_else(|| shippers::log_shipper(known))
        .or_else(|| shippers::log_message(object))
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
mod tests;
