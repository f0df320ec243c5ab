//! What became of the call that a record is about.

use serde::{Deserialize, Serialize};

/// What became of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was carried out.
    Success,
    /// The caller was not allowed to.
    Denied,
    /// It failed for another reason. A dry run (`Client.DryRunOperation`) counts here: it would have been carried out,
    /// and was not.
    Failed,
}

impl Outcome {
    /// The name in documents and conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}
