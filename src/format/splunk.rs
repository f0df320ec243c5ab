//! Documents for Splunk: the record with ours beside it, in the envelope of the HTTP Event Collector or without one.
//!
//! In both, the record's members stand at the top, so that what Splunk's add-on for AWS extracts from `aws:cloudtrail`
//! still comes out. Short keys of ours (`severity`, `risk_score`, …) stand before them and all that we say, which is long,
//! behind them under `trailtag`. Between the two is what the record has between its braces, byte for byte.
//!
//! Splunk looks for fields in the beginning of an event alone: 5,000 bytes, unless `limits.conf` says more. Whoever makes
//! a call decides how long its record is, and must not push out of that what an alert needs. The level is the very first
//! member for a second reason: nothing that a record brings can stand there.
//!
//! No key stands twice: where a record has a key of ours, ours gets a `_` at its end.
//!
//! The envelope has the collector's seven keys and no other, and `fields` has strings only: Splunk Connect for Kafka
//! refuses anything else. What it indexes is named `trailtag_…`, since a field that is both indexed and found in the
//! event by the same name has each value twice.

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::object::Object;
use super::trailtag_block;
use crate::config::Route;
use crate::detection::time::EventTime;
use crate::finding::Finding;

#[cfg(test)]
mod tests;

/// Appends the event in its envelope. Errs only where `serde_json` does, which it does not when it writes these types to
/// memory.
pub(super) fn write_hec(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut object = Object::open(out);
    if let Some(time) = finding
        .detection
        .facts
        .event_time
        .and_then(Seconds::from_time)
    {
        object.entry("time", &time)?;
    }
    for (key, value) in metadata(route, finding) {
        object.entry(key, value)?;
    }
    object.key("event")?;
    write_event(route, finding, object.out)?;
    object.entry("fields", &Fields { route, finding })?;
    object.close();
    Ok(())
}

/// Appends the event alone.
pub(super) fn write_raw(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    write_event(route, finding, out)
}

/// What the envelope would say, for `splunk.header.support` of Splunk Connect for Kafka.
pub(super) fn headers(route: &Route, finding: &Finding<'_>) -> Vec<(&'static str, String)> {
    metadata(route, finding)
        .map(|(key, value)| {
            let name = match key {
                "host" => "splunk.header.host",
                "source" => "splunk.header.source",
                "sourcetype" => "splunk.header.sourcetype",
                _ => "splunk.header.index",
            };
            (name, value.to_owned())
        })
        .collect()
}

/// What Splunk keeps beside an event; what is empty is left to the receiver.
///
/// The host is the account whose trail it is: the one thing in AWS that stands where a machine stands elsewhere, that an
/// analyst asks for first, and of which there are not too many. The event's source is the same for all.
fn metadata<'a>(
    route: &'a Route,
    finding: &'a Finding<'_>,
) -> impl Iterator<Item = (&'static str, &'a str)> {
    [
        ("host", finding.detection.facts.target.account),
        ("source", Some(route.splunk_source.as_str())),
        ("sourcetype", Some(route.splunk_sourcetype.as_str())),
        ("index", Some(route.splunk_index.as_str())),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value.filter(|value| !value.is_empty())?)))
}

/// Appends the record with ours around its members.
fn write_event(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let record = finding.record;
    // Its connector reads the event and writes it anew, and could not write what some parsers refuse.
    let text = record.plain_json().trim();
    let inside = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    let (Some(members), Some(inside)) = (record.value.as_object(), inside) else {
        // No rule matches what is no object; if one ever did, it would leave as it came.
        out.extend_from_slice(text.as_bytes());
        return Ok(());
    };
    let mut object = Object::open(out);
    let free = |key: &'static str| FreeKey { key, members };

    // First what an alert asks for and the add-on finds by its place; texts and lists, which users make longer, behind it.
    let detection = &finding.detection;
    object.entry(free("severity"), detection.severity.level.as_str())?;
    object.entry(free("id"), finding.id())?;
    object.entry(free("risk_score"), &detection.severity.score)?;
    object.entry(free("outcome"), detection.facts.outcome.as_str())?;
    object.list(free("mitre_technique_id"), techniques(finding))?;
    if let Some(sequence) = finding.sequence {
        object.entry(free("sequence"), sequence.kind.as_str())?;
        object.entry(free("verdict"), sequence.verdict().as_str())?;
    }
    if let Some(title) = finding.title() {
        object.entry(free("signature"), title)?;
    }
    if let Some(rule) = finding.rule() {
        object.entry(free("signature_id"), &rule.id)?;
    }
    if let Some(sequence) = finding.sequence {
        let ids = sequence.steps.iter().map(|step| step.event_id.as_str());
        object.list(free("related_event_id"), ids)?;
    }
    object.list(
        free("severity_factors"),
        detection.severity.factors.iter().map(|factor| factor.id),
    )?;
    object.list(
        free("remediation_id"),
        finding.advice.outlines().map(|item| item.id),
    )?;
    if !members.is_empty() {
        object.out.push(b',');
    }
    object.out.extend_from_slice(inside.as_bytes());
    object.key(free("trailtag"))?;
    trailtag_block::write(route, finding, object.out)?;
    object.close();
    Ok(())
}

/// The ids of a finding's techniques.
fn techniques<'a>(finding: &'a Finding<'_>) -> impl Iterator<Item = &'a str> {
    let attack = finding.detection.attack.iter();
    attack.map(|technique| technique.technique)
}

/// A key of ours, with as many `_` at its end as it takes to be none of the record's.
struct FreeKey<'a> {
    key: &'static str,
    members: &'a serde_json::Map<String, serde_json::Value>,
}

impl Serialize for FreeKey<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.members.contains_key(self.key) {
            return serializer.serialize_str(self.key);
        }
        let mut key = format!("{}_", self.key);
        while self.members.contains_key(&key) {
            key.push('_');
        }
        serializer.serialize_str(&key)
    }
}

/// Seconds since the epoch, with three decimals where there are any.
struct Seconds {
    millis: u64,
}

impl Seconds {
    /// None before 1970 and after 9999, where Splunk has no time.
    fn from_time(at: EventTime) -> Option<Self> {
        at.since_epoch().map(|millis| Self { millis })
    }
}

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let seconds = self.millis / 1000;
        if self.millis.is_multiple_of(1000) {
            return serializer.serialize_u64(seconds);
        }
        #[allow(
            clippy::cast_precision_loss,
            reason = "at most 15 digits, which a double holds, and of which its shortest form shows no more"
        )]
        serializer.serialize_f64(self.millis as f64 / 1000.0)
    }
}

/// What Splunk indexes beside the event: strings, and nothing nested.
struct Fields<'a> {
    route: &'a Route,
    finding: &'a Finding<'a>,
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let detection = &self.finding.detection;
        let mut fields = serializer.serialize_map(None)?;
        fields.serialize_entry("trailtag_severity", detection.severity.level.as_str())?;
        fields.serialize_entry(
            "trailtag_risk_score",
            &format_args!("{}", detection.severity.score),
        )?;
        if let Some(rule) = self.finding.rule() {
            fields.serialize_entry("trailtag_rule_id", &rule.id)?;
        }
        fields.serialize_entry("trailtag_outcome", detection.facts.outcome.as_str())?;
        fields.serialize_entry("trailtag_event_id", self.finding.id())?;
        if let Some(sequence) = self.finding.sequence {
            fields.serialize_entry("trailtag_sequence", sequence.kind.as_str())?;
            fields.serialize_entry("trailtag_verdict", sequence.verdict().as_str())?;
        }
        let techniques: Vec<&str> = techniques(self.finding).collect();
        if !techniques.is_empty() {
            fields.serialize_entry("trailtag_mitre_technique_id", &techniques.join(","))?;
        }
        // None of them is named as one of ours: the configuration refuses that.
        for (name, value) in &self.route.fields {
            if !value.is_empty() {
                fields.serialize_entry(name, value)?;
            }
        }
        fields.end()
    }
}
