//! Shippers and collectors of logs of every kind, whose topics carry other things than CloudTrail too.
//!
//! In: an object's known members. Out: the text in it that may be a record, with the shipper's own time.

use super::{Carrier, Form, first_json};
use crate::cloudtrail::envelope::object::{Known, Object, member};
use crate::cloudtrail::envelope::{Envelope, Skip};
use crate::cloudtrail::text::text_is;

/// Shippers of logs of every kind. What they carry and is not CloudTrail is no error, as it isn't with EventBridge:
/// their topics are shared.
pub(super) fn log_shipper<'a>(known: &Known<'a>) -> Option<Form<'a>> {
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

/// Messages of Graylog and rsyslog, and Fluentd's with their tag: what they carry and is not CloudTrail is no error.
pub(super) fn log_message<'a>(object: &Object<'a>) -> Option<Form<'a>> {
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
