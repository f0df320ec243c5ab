//! The score, its reasons and its level.
//!
//! A score is the sum of the points of every factor that applies, clamped to 0 to 100, then lifted to the highest floor,
//! then lowered to the lowest cap. It is data: `config/severity.yaml` holds the factors, each with a condition in
//! Sigma, and whatever applied is in the output, so that an analyst can add it up again.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::sigma::{Set, SigmaError};

/// The built-in model.
const BUILT_IN: &str = include_str!("../../config/severity.yaml");

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

/// One reason to score higher or lower.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Factor {
    /// The name in documents.
    pub id: String,
    /// What it adds, or takes away.
    #[serde(default)]
    pub points: i32,
    /// The least score when it applies.
    #[serde(default)]
    pub floor: Option<u8>,
    /// The highest score when it applies.
    #[serde(default)]
    pub cap: Option<u8>,
    /// A Sigma detection section.
    pub when: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    factors: Vec<Factor>,
}

/// A factor that applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    /// The factor.
    pub id: String,
    /// What it added.
    pub points: i32,
}

/// How dangerous, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Severity {
    /// The level of the score.
    pub level: Level,
    /// 0 to 100.
    pub score: u8,
    /// Everything that applied, in the model's order.
    pub factors: Vec<Applied>,
    /// The highest floor of what applied.
    pub floor: Option<u8>,
    /// The lowest cap of what applied.
    pub cap: Option<u8>,
}

/// A YAML error without the excerpt that follows it: which line and column, and what is wrong there.
pub(crate) fn first_line(error: &serde_saphyr::Error) -> String {
    let text = error.to_string();
    text.lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("error: ")
        .to_owned()
}

/// The factors, ready to be asked.
#[derive(Debug)]
pub struct Model {
    factors: Vec<Factor>,
    conditions: Set,
}

/// Why a model was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// The text is no model.
    #[error("{0}")]
    Yaml(String),
    /// A condition is no Sigma detection section.
    #[error("factor {0}")]
    Condition(SigmaError),
    /// A floor or cap beyond 100.
    #[error("factor {id}: {what} {value} is beyond 100")]
    Beyond {
        /// The factor.
        id: String,
        /// Floor or cap.
        what: &'static str,
        /// Its value.
        value: u8,
    },
}

impl Model {
    /// The model that is built in.
    pub fn built_in() -> Result<Self, Vec<ModelError>> {
        Self::parse(BUILT_IN)
    }

    /// A model from YAML, with every fault in it.
    pub fn parse(yaml: &str) -> Result<Self, Vec<ModelError>> {
        let file: File = serde_saphyr::from_str(yaml)
            .map_err(|error| vec![ModelError::Yaml(first_line(&error))])?;
        let factors = file.factors;
        let mut errors = Vec::new();
        for factor in &factors {
            for (what, value) in [("floor", factor.floor), ("cap", factor.cap)] {
                if let Some(value) = value.filter(|value| *value > 100) {
                    errors.push(ModelError::Beyond {
                        id: factor.id.clone(),
                        what,
                        value,
                    });
                }
            }
        }
        let conditions = Set::of_conditions(
            factors
                .iter()
                .map(|factor| (factor.id.as_str(), &factor.when)),
        );
        match conditions {
            Ok(conditions) if errors.is_empty() => Ok(Self {
                factors,
                conditions,
            }),
            Ok(_) => Err(errors),
            Err(faults) => {
                errors.extend(faults.into_iter().map(ModelError::Condition));
                Err(errors)
            }
        }
    }

    /// Scores one event: a record with its facts.
    #[must_use]
    pub fn score(&self, event: &Value) -> Severity {
        let places = self.conditions.matches(event);
        let applied: Vec<&Factor> = places
            .iter()
            .filter_map(|place| self.factors.get(*place))
            .collect();
        let sum: i32 = applied
            .iter()
            .map(|factor| factor.points)
            .fold(0, i32::saturating_add);
        let floor = applied.iter().filter_map(|factor| factor.floor).max();
        let cap = applied.iter().filter_map(|factor| factor.cap).min();
        let score = u8::try_from(sum.clamp(0, 100))
            .unwrap_or(100)
            .max(floor.unwrap_or(0))
            .min(cap.unwrap_or(100));
        let factors = applied
            .iter()
            .map(|factor| Applied {
                id: factor.id.clone(),
                points: factor.points,
            })
            .collect();
        Severity {
            level: Level::of(score),
            score,
            factors,
            floor,
            cap,
        }
    }
}
