//! Findings to bytes: one function a format.

mod native;

use serde::{Deserialize, Serialize};

use crate::finding::Finding;

/// The form in which a route's documents leave.
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
}

impl Format {
    /// The name in the configuration and in headers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
        }
    }
}

/// Appends a finding's document to `out`. Errs only where `serde_json` does, which it does not when it writes to memory.
pub fn write(
    format: Format,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    match format {
        Format::Native => native::write(finding, out),
    }
}
