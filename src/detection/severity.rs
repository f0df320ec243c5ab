//! The score, its reasons and its level.

/// How bad, in the five words that every SIEM knows.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Serialize,
    serde::Deserialize,
    schemars::JsonSchema,
    Default,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Score 0 to 14.
    #[default]
    Informational,
    /// Score 15 to 39.
    Low,
    /// Score 40 to 64.
    Medium,
    /// Score 65 to 84.
    High,
    /// Score 85 to 100.
    Critical,
}

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// The level of a score.
    #[must_use]
    pub const fn of(score: u8) -> Self {
        match score {
            0..15 => Self::Informational,
            15..40 => Self::Low,
            40..65 => Self::Medium,
            65..85 => Self::High,
            85.. => Self::Critical,
        }
    }

    /// The name in documents, headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}
