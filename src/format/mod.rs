//! Findings to bytes: one function a format.

mod ecs;
mod native;
mod object;
mod ocsf;
mod ours;
mod splunk;
mod words;

use serde::{Deserialize, Serialize};

use crate::config::Route;
use crate::finding::Finding;

/// The format of a route's documents.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
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

/// Appends a finding's document for a route to `out`. Errs only where `serde_json` does, which it does not when it writes
/// to memory.
pub fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    match route.format {
        Format::Native => native::write(route, finding, out),
        Format::Ecs => ecs::write(route, finding, out),
        Format::SplunkHec => splunk::write_hec(route, finding, out),
        Format::SplunkRaw => splunk::write_raw(route, finding, out),
        Format::Ocsf => ocsf::write(route, finding, out),
    }
}

/// The Kafka headers that a route's format needs, beyond those that every document has.
#[must_use]
pub fn headers(route: &Route, finding: &Finding<'_>) -> Vec<(&'static str, String)> {
    match route.format {
        Format::SplunkRaw => splunk::headers(route, finding),
        Format::Native | Format::Ecs | Format::SplunkHec | Format::Ocsf => Vec::new(),
    }
}
