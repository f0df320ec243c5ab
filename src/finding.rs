//! What one matched record became: the type between detection and formats.

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cloudtrail::envelope::RawRecord;
use crate::cloudtrail::record::Record;
use crate::config::Key;
use crate::detection::rules::Verdict;
use crate::detection::severity::Level;
use crate::format::Format;
use crate::pipeline::Origin;
use crate::remediation::{Item, Risk};

/// Where a time or an id is from, when it is not where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The record itself.
    Record,
    /// The wrapper around it.
    Envelope,
    /// The Kafka message.
    Message,
    /// A hash of the record's bytes.
    Hash,
}

/// Where a record came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source<'a> {
    /// The topic, or the file.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The place within the message.
    pub index: u32,
    /// The wrapper.
    pub envelope: &'static str,
    /// Its fields were supplied by a customer of CloudTrail Lake, not by AWS.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub custom: bool,
}

/// A record that is ours, judged, with what to do about it.
#[derive(Debug)]
pub struct Finding<'a> {
    /// The record's own text.
    pub record: &'a str,
    /// What the rules and the severity model say.
    pub verdict: &'a Verdict<'a>,
    /// The `eventID`, or a hash of the record's bytes.
    pub event_id: String,
    /// Which of the two.
    pub event_id_source: Provenance,
    /// When it happened, in milliseconds since the epoch.
    pub event_time: Option<i64>,
    /// Who says so.
    pub event_time_source: Option<Provenance>,
    /// What is at stake.
    pub risks: Vec<Risk>,
    /// What to do.
    pub remediation: Vec<Item>,
    /// Where it came from.
    pub source: Source<'a>,
}

impl<'a> Finding<'a> {
    /// Puts together what is known of one record.
    #[must_use]
    pub fn new(
        record: &Record<'a>,
        raw: &RawRecord<'a>,
        verdict: &'a Verdict<'a>,
        remediation: Vec<Item>,
        origin: &Origin<'a>,
    ) -> Self {
        let (event_id, event_id_source) = if verdict.facts.insufficient.contains(&"event_id") {
            (hash(raw.json), Provenance::Hash)
        } else {
            (
                record.text(&["eventID"]).unwrap_or_default().to_owned(),
                Provenance::Record,
            )
        };
        let own = record.text(&["eventTime"]).and_then(milliseconds);
        let time = own
            .map(|time| (time, Provenance::Record))
            .or_else(|| raw.envelope_time.map(|time| (time, Provenance::Envelope)))
            .or_else(|| origin.timestamp.map(|time| (time, Provenance::Message)));
        let mut risks: Vec<Risk> = remediation
            .iter()
            .flat_map(|item| item.risks.iter().copied())
            .collect();
        risks.sort_unstable();
        risks.dedup();
        Self {
            record: record.json,
            verdict,
            event_id,
            event_id_source,
            event_time: time.map(|(time, _)| time),
            event_time_source: time.map(|(_, source)| source),
            risks,
            remediation,
            source: Source {
                topic: origin.topic,
                partition: origin.partition,
                offset: origin.offset,
                index: raw.index,
                envelope: raw.envelope.as_str(),
                custom: raw.custom,
            },
        }
    }

    /// Its level.
    #[must_use]
    pub fn level(&self) -> Level {
        self.verdict.severity.level
    }

    /// The Kafka key of its documents.
    #[must_use]
    pub fn key(&self, key: Key) -> Option<String> {
        match key {
            Key::EventId => Some(self.event_id.clone()),
            Key::AccountId => self.verdict.facts.target.account.clone(),
            Key::None => None,
        }
    }

    /// The Kafka headers of its documents.
    #[must_use]
    pub fn headers(&self, format: Format) -> Vec<(&'static str, String)> {
        let Source {
            topic,
            partition,
            offset,
            ..
        } = self.source;
        vec![
            ("trailtag.severity", self.level().as_str().to_owned()),
            (
                "trailtag.rule",
                self.verdict
                    .rules
                    .first()
                    .map_or_else(String::new, |rule| rule.id.clone()),
            ),
            ("trailtag.format", format.as_str().to_owned()),
            ("trailtag.source", format!("{topic}/{partition}/{offset}")),
            ("trailtag.version", env!("CARGO_PKG_VERSION").to_owned()),
        ]
    }
}

/// An id for a record that has none: the same bytes, the same id.
fn hash(json: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(json)
        .iter()
        .fold("sha256-".to_owned(), |mut id, byte| {
            // Writing to a string does not fail.
            let _ = write!(id, "{byte:02x}");
            id
        })
}

/// An RFC 3339 time in milliseconds since the epoch, with or without its `T` and `Z`.
fn milliseconds(text: &str) -> Option<i64> {
    let time = humantime::parse_rfc3339_weak(text).ok()?;
    let since = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}
