//! Choices that the program acts on far from the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format of a route's documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[cfg_attr(
    feature = "service",
    derive(clap::ValueEnum),
    value(rename_all = "snake_case")
)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `{"event": <the original record>, "trailtag": {…}}`.
    #[default]
    Native,
    /// A complete document of the Elastic Common Schema 8.11.
    Ecs,
    /// An event for Splunk's HTTP Event Collector, with its envelope; the record's keys are at the top of `event`.
    SplunkHec,
    /// The same event without the envelope, whose content is in Kafka headers.
    SplunkRaw,
    /// An OCSF 1.8.0 event, of the route's class.
    Ocsf,
}

impl Format {
    /// The name in the configuration and in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Ecs => "ecs",
            Self::SplunkHec => "splunk_hec",
            Self::SplunkRaw => "splunk_raw",
            Self::Ocsf => "ocsf",
        }
    }
}

/// How much of an item documents carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Detail {
    /// Everything: the filled-in steps, notes, references.
    #[default]
    Full,
    /// Title, purpose and references, without steps.
    Summary,
    /// Only the id, for readers that have the catalogue.
    Ids,
}

/// Which messages are parsed completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validate {
    /// Those in which a rule could match. Of the others, only the start and the end are checked.
    #[default]
    Matched,
    /// All messages: broken JSON anywhere is a dead letter.
    Full,
}

/// What becomes of rules that are wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnBadRule {
    /// Refuse all: nothing starts, and a reload keeps the old rules.
    #[default]
    Refuse,
    /// Leave out the wrong rules and use the others. The log, `check` and the metric `rules_skipped` tell of them.
    Skip,
}

/// The class of an OCSF event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OcsfClass {
    /// Detection Finding (2004): what a detection says about an event.
    #[default]
    DetectionFinding,
    /// API Activity (6003): the call itself.
    ApiActivity,
    /// Account Change (3001): the call, in the class that Security Lake uses.
    AccountChange,
}

/// The Kafka key of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The record's `eventID`, or a hash of its bytes, so that sinks that write by key are idempotent.
    #[default]
    EventId,
    /// The account that received the record, so that the documents of an account stay in order.
    AccountId,
    /// No key.
    None,
}
