//! Choices that the program acts on far from the configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The form in which a route's documents leave.
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
    /// An event for Splunk's HTTP Event Collector, in its envelope; the record is at the top of `event`.
    SplunkHec,
    /// The record with ours beside it, for Splunk without the envelope: what that says is in Kafka headers.
    SplunkRaw,
    /// An event of OCSF 1.8.0, of the route's class.
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
    /// Everything: the steps filled in, notes, references.
    #[default]
    Full,
    /// What it is and what it is for, with references and without steps.
    Summary,
    /// Its id alone, for readers that keep the catalogue at hand.
    Ids,
}
