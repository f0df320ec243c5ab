//! The five levels of severity, and what each is called and numbered elsewhere.

use serde::{Deserialize, Serialize};

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
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
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

/// What a level is elsewhere. Sigma, Splunk's CIM and this program use the same words, so `name` stands for all three.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// The name in documents, headers and metrics; Sigma's `level` and CIM's `severity`.
    pub name: &'static str,
    /// The lowest score, which is also what a floor of that name means.
    pub lowest: u8,
    /// The highest score, which is also what a cap of that name means.
    pub highest: u8,
    /// ECS's `event.severity`, and what the score begins with when a Sigma rule of this level matched: the numbers that
    /// Elastic gives to its rules' levels. Elastic has none for informational; 1 is our choice.
    pub ecs: u8,
    /// OCSF's `severity_id`.
    pub ocsf_severity_id: u8,
    /// OCSF's `severity`.
    pub ocsf_severity: &'static str,
    /// OCSF's `risk_level_id`, which begins at 0 where `severity_id` begins at 1.
    pub ocsf_risk_level_id: u8,
    /// OCSF's `risk_level`.
    pub ocsf_risk_level: &'static str,
    /// The severity of syslog (RFC 5424), which counts down.
    pub syslog: u8,
}

const fn scale(
    name: &'static str,
    (lowest, highest): (u8, u8),
    ecs: u8,
    (ocsf_severity_id, ocsf_severity): (u8, &'static str),
    (ocsf_risk_level_id, ocsf_risk_level): (u8, &'static str),
    syslog: u8,
) -> Scale {
    Scale {
        name,
        lowest,
        highest,
        ecs,
        ocsf_severity_id,
        ocsf_severity,
        ocsf_risk_level_id,
        ocsf_risk_level,
        syslog,
    }
}

/// The one table of levels. OCSF 1.8.0 and RFC 5424 give the numbers of their scales.
#[rustfmt::skip]
static SCALES: [Scale; 5] = [
    //     name             score      ECS  OCSF severity          OCSF risk level   syslog
    scale("informational", (0, 14),     1, (1, "Informational"), (0, "Info"),     6),
    scale("low",           (15, 39),   21, (2, "Low"),           (1, "Low"),      5),
    scale("medium",        (40, 64),   47, (3, "Medium"),        (2, "Medium"),   4),
    scale("high",          (65, 84),   73, (4, "High"),          (3, "High"),     3),
    scale("critical",      (85, 100),  99, (5, "Critical"),      (4, "Critical"), 2),
];

impl Level {
    /// Every level, mildest first.
    pub const ALL: [Self; 5] = [
        Self::Informational,
        Self::Low,
        Self::Medium,
        Self::High,
        Self::Critical,
    ];

    /// What the level is elsewhere.
    #[must_use]
    pub const fn scale(self) -> &'static Scale {
        let [informational, low, medium, high, critical] = &SCALES;
        match self {
            Self::Informational => informational,
            Self::Low => low,
            Self::Medium => medium,
            Self::High => high,
            Self::Critical => critical,
        }
    }

    /// The level of a score.
    #[must_use]
    pub fn from_score(score: u8) -> Self {
        Self::ALL
            .into_iter()
            .rev()
            .find(|level| level.scale().lowest <= score)
            .unwrap_or_default()
    }

    /// The level of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }

    /// The name in documents, headers and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.scale().name
    }

    /// The lowest score of the level.
    #[must_use]
    pub const fn lowest(self) -> u8 {
        self.scale().lowest
    }

    /// The highest score of the level.
    #[must_use]
    pub const fn highest(self) -> u8 {
        self.scale().highest
    }

    /// What the score of a record begins with when a rule of this level matched it.
    #[must_use]
    pub const fn base_score(self) -> u8 {
        self.scale().ecs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_begin_and_end_where_scores_change_them() {
        for level in Level::ALL {
            assert_eq!(Level::from_score(level.lowest()), level);
            assert_eq!(Level::from_score(level.highest()), level);
            assert_eq!(Level::from_score(level.base_score()), level);
            assert_eq!(Level::named(level.as_str()), Some(level));
            assert_eq!(
                serde_json::to_value(level).unwrap(),
                level.as_str(),
                "the table and serde name it alike"
            );
        }
        assert_eq!(Level::from_score(u8::MAX), Level::Critical);
        assert_eq!(Level::named("High"), None);
        let mut next = 0;
        for level in Level::ALL {
            assert_eq!(level.lowest(), next, "no score between two levels");
            next = level.highest() + 1;
        }
        assert_eq!(next, 101);
    }

    #[test]
    fn scales_rise_with_the_level_and_syslogs_falls() {
        for pair in Level::ALL.windows(2) {
            let [below, above] = [pair[0].scale(), pair[1].scale()];
            assert!(below.ecs < above.ecs && below.syslog > above.syslog);
            assert_eq!(below.ocsf_severity_id + 1, above.ocsf_severity_id);
            assert_eq!(below.ocsf_risk_level_id + 1, above.ocsf_risk_level_id);
            assert_eq!(above.ocsf_risk_level_id + 1, above.ocsf_severity_id);
        }
    }
}
