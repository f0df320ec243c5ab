//! What to do with an object that is of a known kind without a record, and holds a name that a rule looks for.
//!
//! In: the object. Out: whether it is of that kind by its whole structure, so that the name stands where such things have
//! names (the key of an object in S3, the details of an Insight); and where else a record may stand in it.

use super::Envelope;
use super::object::{Object, member};
use crate::cloudtrail::scan::Members;
use crate::cloudtrail::text::{ShortText, string_inside, text_is, text_starts_with};

/// Whether an object is of its kind by its whole structure, and has what is wanted only where its kind has free text.
pub(super) fn is_whole(object: &Object<'_>, wanted: &dyn Fn(&[u8]) -> bool) -> bool {
    let Some(free) = free_members(object) else {
        return false;
    };
    let mut members = Members::new(object.json, 0);
    while let Some(member) = members.next_member() {
        let key = ShortText::decode(member.key);
        let value = member
            .end
            .ok()
            .and_then(|end| object.json.get(member.start..end));
        if !free.contains(&key.bytes()) && value.is_none_or(wanted) {
            return false;
        }
    }
    true
}

/// The members in which a kind has names of others' choice; none where the object is of no kind that is known.
fn free_members(object: &Object<'_>) -> Option<&'static [&'static [u8]]> {
    let known = &object.known;
    let has = |key: &[u8]| member(object.json, key).is_some();
    let has_object = |key: &[u8]| member(object.json, key).is_some_and(|it| it.starts_with(b"{"));
    let is = |value: Option<&[u8]>, text: &[u8]| value.is_some_and(|value| text_is(value, text));
    if is(known.event_type, b"AwsCloudTrailInsight") && has_object(b"insightDetails") {
        return Some(&[b"insightDetails"]);
    }
    if known.digest_object.and(known.digest_start).is_some() && has(b"logFiles") {
        return Some(&[
            b"digestS3Bucket",
            b"digestS3Object",
            b"previousDigestS3Bucket",
            b"previousDigestS3Object",
            b"logFiles",
        ]);
    }
    if known.s3_bucket.and(known.s3_object_key).is_some() {
        return Some(&[b"s3Bucket", b"s3ObjectKey"]);
    }
    if is(known.test_event, b"s3:TestEvent") && has(b"Bucket") {
        return Some(&[b"Bucket"]);
    }
    if has(b"SubscribeURL") && has(b"Token") && has(b"TopicArn") {
        // The text says to which topic, and so does the address to call.
        return Some(&[b"Message", b"TopicArn", b"SubscribeURL", b"SigningCertURL"]);
    }
    if is(known.message_type, b"CONTROL_MESSAGE") {
        return Some(&[b"owner", b"logGroup", b"logStream", b"subscriptionFilters"]);
    }
    let source = known
        .event_source
        .and_then(string_inside)
        .map(ShortText::decode)?;
    match source.bytes() {
        b"aws:ses" if has_object(b"ses") => Some(&[b"ses"]),
        b"aws:codecommit" if has_object(b"codecommit") => {
            Some(&[b"codecommit", b"eventTriggerName", b"customData"])
        }
        // MinIO and others that have S3's notifications, too.
        source if source == b"aws:s3" || source.ends_with(b":s3") => {
            let s3 = member(object.json, b"s3")?;
            let is_whole = member(s3, b"bucket").and(member(s3, b"object")).is_some();
            is_whole.then_some(&[b"s3"])
        }
        _ => None,
    }
}

/// Whether an EventBridge event is AWS's own and of another kind: those of CloudTrail say so in their name, and nobody else
/// can send events with such a source.
pub(super) fn is_event_of_aws(object: &Object<'_>) -> bool {
    let source = member(object.json, b"source");
    source.is_some_and(|source| text_starts_with(source, b"aws."))
        && object.known.detail.is_some_and(|it| it.starts_with(b"{"))
}

/// Where a wrapper may have a text that holds a record, the likeliest first, and what wrapper it is then.
pub(super) fn places<'a>(object: &Object<'a>) -> [(Option<&'a [u8]>, Envelope); 18] {
    let known = &object.known;
    let original = known.event.and_then(|event| member(event, b"original"));
    let shipper = if known.at_timestamp.and(known.version).is_some() {
        Envelope::Logstash
    } else if known.at_timestamp.is_some() {
        Envelope::Filebeat
    } else if known.source_type.is_some() {
        Envelope::Vector
    } else if known
        .log
        .or(known.tag)
        .or(known.stream)
        .or(known.date)
        .is_some()
    {
        Envelope::FluentBit
    } else {
        Envelope::Embedded
    };
    let is_sqs = known
        .event_source
        .is_some_and(|source| text_is(source, b"aws:sqs"));
    [
        (original, shipper),
        (known.detail, Envelope::EventBridge),
        (known.sent_detail, Envelope::EventBridge),
        (known.full_message, Envelope::Graylog),
        (known.short_message, Envelope::Graylog),
        (known.sns_message, Envelope::Sns),
        (
            known.body,
            if is_sqs {
                Envelope::Sqs
            } else {
                Envelope::Embedded
            },
        ),
        (known.message, shipper),
        (known.log, shipper),
        (known.record, shipper),
        (
            known.event,
            if shipper == Envelope::Embedded {
                Envelope::SplunkHec
            } else {
                shipper
            },
        ),
        (known.msg, Envelope::Rsyslog),
        (known.raw_msg, Envelope::Rsyslog),
        (known.raw_data, Envelope::SecurityLake),
        (known.value, Envelope::Embedded),
        (known.payload, Envelope::Embedded),
        (known.data, Envelope::Embedded),
        (known.after, Envelope::Debezium),
    ]
}
