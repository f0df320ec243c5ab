//! Findings to bytes: one function a format.

use serde::{Deserialize, Serialize};

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
