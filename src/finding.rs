//! What one matched record became: the type between detection and formats.
//!
//! It borrows from the record, the rules and the catalogue; a format adds nothing to it and looks nothing up.

mod sequence;
mod step;

use serde::Serialize;

pub use sequence::Sequence;
pub use step::{Group, GroupedBy, OriginalRecord, Step, StepSource};

use crate::cloudtrail::envelope::RawRecord;
use crate::cloudtrail::record::Record;
use crate::config::{Format, Key, OcsfClass, Route};
use crate::detection::Detection;
use crate::detection::rules::Rule;
use crate::model::{Level, Origin, Verdict};
use crate::remediation::{Advice, Steps};

/// Where a record came from, so that it can be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RecordSource<'a> {
    /// The topic, or the name of the file.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset of its message.
    pub offset: i64,
    /// Its place within the message.
    pub index: u32,
    /// The wrapper that it came in.
    pub envelope: &'static str,
    /// Set where the fields are a customer's, sent to CloudTrail Lake, and not AWS's.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub custom: bool,
}

/// One matched record with everything that documents say about it.
#[derive(Debug, Clone)]
pub struct Finding<'a> {
    /// The original record: its text, byte for byte, and its values.
    pub record: &'a Record<'a>,
    /// Rules, facts and severity.
    pub detection: Detection<'a>,
    /// Risks and remediation.
    pub advice: Advice<'a>,
    /// Where it came from.
    pub source: RecordSource<'a>,
    /// When its message came to Kafka, in milliseconds since the epoch, where the message says so.
    pub received: Option<i64>,
    /// What the record says together with others, where the finding is of that.
    pub sequence: Option<&'a Sequence>,
    /// How severe the record is by itself, where the finding is of a sequence.
    pub level_alone: Option<Level>,
}

/// What is left out, step by step, of a document that is too large: first what says the same again in another form.
pub const TRIMS: [&[Steps]; 4] = [
    &[Steps::Console],
    &[Steps::Console, Steps::Queries],
    &[Steps::Console, Steps::Queries, Steps::Boto3],
    &[Steps::Console, Steps::Queries, Steps::Boto3, Steps::Cli],
];

impl<'a> Finding<'a> {
    /// Puts together what is known about a record.
    #[must_use]
    pub fn new(
        record: &'a Record<'a>,
        detection: Detection<'a>,
        advice: Advice<'a>,
        origin: &Origin<'a>,
        raw: &RawRecord<'_>,
    ) -> Self {
        Self {
            record,
            detection,
            advice,
            source: RecordSource {
                topic: origin.topic,
                partition: origin.partition,
                offset: origin.offset,
                index: raw.index,
                envelope: raw.envelope.as_str(),
                custom: raw.custom,
            },
            received: origin.timestamp,
            sequence: None,
            level_alone: None,
        }
    }

    /// The finding of a sequence, whose record by itself has this level.
    #[must_use]
    pub const fn of_sequence(mut self, sequence: &'a Sequence, alone: Level) -> Self {
        self.sequence = Some(sequence);
        self.level_alone = Some(alone);
        self
    }

    /// The id of the document: the record's, or the sequence's.
    #[must_use]
    pub fn id(&self) -> &str {
        match self.sequence {
            Some(sequence) => &sequence.id,
            None => &self.detection.facts.event_id,
        }
    }

    /// The same without these steps of its remediation. The original stays whole, always.
    #[must_use]
    pub fn without(&self, steps: &'static [Steps]) -> Self {
        let mut trimmed = self.clone();
        trimmed.advice = trimmed.advice.without(steps);
        trimmed
    }

    /// Whether a route asks for findings such as this. What takes an alarm back goes wherever the alarm went.
    #[must_use]
    pub fn is_wanted_by(&self, route: &Route) -> bool {
        let outcome = &self.detection.facts.outcome;
        let level = self.level_alone.unwrap_or_default().max(self.level());
        // The call itself has left already, in the classes that are about calls.
        let is_call =
            route.format == Format::Ocsf && route.ocsf_class != OcsfClass::DetectionFinding;
        !(is_call && self.sequence.is_some())
            && level >= route.min_severity
            && (route.only.is_empty() || route.only.contains(outcome))
            && !route.exclude.contains(outcome)
    }

    /// Whether it asks for somebody's attention. What takes an alarm back does not, however severe the record remains.
    #[must_use]
    pub fn is_alert(&self) -> bool {
        match self.sequence.map(Sequence::verdict) {
            Some(Verdict::Escalates) => true,
            Some(Verdict::Settles) => false,
            None => self.level() >= Level::Medium,
        }
    }

    /// What happened, as a title: that of the sequence, or of the rule that weighs most.
    #[must_use]
    pub fn title(&self) -> Option<&'a str> {
        match self.sequence {
            Some(sequence) => Some(sequence.kind.title()),
            None => self.rule().map(|rule| rule.title.as_str()),
        }
    }

    /// How severe it is.
    #[must_use]
    pub const fn level(&self) -> Level {
        self.detection.severity.level
    }

    /// The rule that weighs most; of equals, the one that was loaded first.
    #[must_use]
    pub fn rule(&self) -> Option<&'a Rule> {
        let rules = self.detection.rules.iter().copied();
        // `max_by_key` takes the last of equals.
        rules.rev().max_by_key(|rule| (rule.level, rule.base_score))
    }

    /// The tags of all rules, each once, in the order in which they appear.
    #[must_use]
    pub fn tags(&self) -> Vec<&'a str> {
        let mut tags: Vec<&'a str> = Vec::new();
        for rule in &self.detection.rules {
            for tag in &rule.tags {
                if !tags.contains(&tag.as_str()) {
                    tags.push(tag);
                }
            }
        }
        tags
    }

    /// The Kafka key, none where the route wants none or the record does not say.
    #[must_use]
    pub fn key(&self, key: Key) -> Option<String> {
        let facts = &self.detection.facts;
        match key {
            Key::EventId => Some(self.id().to_owned()),
            Key::AccountId => facts.target.account.map(str::to_owned),
            Key::None => None,
        }
    }
}
