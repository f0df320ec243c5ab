//! The score, its reasons and its level.
//!
//! The model is data, `config/severity.yaml`: in flow its text and, for a record, the base score of the rules that
//! matched it; out flows [`Severity`], in which every factor that applied stands with its points, so that whoever
//! doubts a score can add it up. The order is fixed: sum, clamp to 0-100, highest floor, lowest cap.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::attack;
use super::conditions::{Conditions, When};
use super::explain::Trace;
use super::facts::Facts;
use super::yaml_entry::{self, LocatedText, YamlEntry};
use crate::config::yaml::Node;
use crate::model::Level;
use crate::model::fault::Faults;

/// The id under which a rule's own base score stands among the factors, where it is not 0.
pub const BASE: &str = "rule.base";

/// How severe one record is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Severity<'a> {
    /// The level of the score.
    pub level: Level,
    /// 0 to 100.
    pub score: u8,
    /// What was added, in the model's order.
    pub factors: Vec<AppliedFactor<'a>>,
    /// The floor that raised the score, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<AppliedLimit<'a>>,
    /// The cap that lowered the score, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<AppliedLimit<'a>>,
}

/// A factor that applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AppliedFactor<'a> {
    /// The factor.
    pub id: &'a str,
    /// What it added.
    pub points: i16,
}

/// A floor or a cap that decided the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AppliedLimit<'a> {
    /// The factor that set it.
    pub factor: &'a str,
    /// The score that it set.
    pub score: u8,
}

/// A factor as it is written.
struct FactorText {
    line: usize,
    id: String,
    points: i16,
    floor: Option<Bound>,
    cap: Option<Bound>,
    attack: Vec<LocatedText>,
    when: Node,
}

impl FactorText {
    fn read(file: &str, tree: &Node, faults: &mut Faults) -> Option<Self> {
        const KEYS: [&str; 6] = ["id", "points", "floor", "cap", "attack", "when"];
        let mut entry = YamlEntry::open(file, tree, Some("factor"), &KEYS, faults)?;
        let id = entry.text("id");
        for key in ["points", "when"] {
            if entry.field(key).is_none() {
                entry.fault(format!("it has no `{key}`"));
            }
        }
        let (points, when) = (entry.read("points"), entry.field("when"));
        let (floor, cap) = (entry.read("floor"), entry.read("cap"));
        Some(Self {
            line: tree.line,
            attack: entry.texts("attack"),
            id: id?.text,
            points: points?,
            floor,
            cap,
            when: when?.clone(),
        })
    }
}

/// A floor or a cap as it is written: a level's name or a score.
#[derive(Clone, Copy)]
enum Bound {
    Level(Level),
    Score(u8),
}

impl<'de> Deserialize<'de> for Bound {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let value = Value::deserialize(deserializer)?;
        let bound = match &value {
            Value::String(name) => Level::named(name).map(Self::Level),
            Value::Number(number) => number
                .as_u64()
                .and_then(|score| u8::try_from(score).ok())
                .filter(|score| *score <= 100)
                .map(Self::Score),
            _ => None,
        };
        bound.ok_or_else(|| {
            D::Error::custom(format!(
                "{value} is neither a level (informational, low, medium, high, critical) nor a score from 0 to 100"
            ))
        })
    }
}

/// One factor of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Factor {
    pub(crate) id: String,
    pub(crate) points: i16,
    pub(crate) floor: Option<u8>,
    pub(crate) cap: Option<u8>,
    /// Techniques of ATT&CK that it is evidence of, by the ids of `attack`'s table.
    pub(super) attack: Vec<&'static str>,
}

/// The severity model, compiled.
pub(super) struct SeverityModel {
    factors: Vec<Factor>,
    conditions: Conditions,
}

impl SeverityModel {
    /// What is most likely a mistake in its conditions.
    pub(super) const fn warnings(&self) -> &Faults {
        &self.conditions.warnings
    }

    /// Compiles the text of a model; whatever is wrong is among the faults.
    pub(super) fn compile(file: &str, text: &str, faults: &mut Faults) -> Option<Self> {
        let tree = yaml_entry::tree(file, text, faults)?;
        let mut root = YamlEntry::open(file, &tree, None, &["factors"], faults)?;
        let texts: Vec<FactorText> = root
            .list("factors")
            .iter()
            .filter_map(|tree| FactorText::read(file, tree, faults))
            .collect();
        let subject = |factor: &FactorText| format!("factor {}", factor.id);
        let mut lines: BTreeMap<&str, usize> = BTreeMap::new();
        let mut last: Option<&str> = None;
        for factor in &texts {
            let mut fault = |line: usize, problem: String| {
                faults.add(file, Some(line), Some(subject(factor)), problem);
            };
            let first = *lines.entry(factor.id.as_str()).or_insert(factor.line);
            let is_alternative = last.replace(&factor.id) == Some(&factor.id);
            if first != factor.line && !is_alternative {
                fault(
                    factor.line,
                    format!(
                        "its `id` stands in line {first} too: alternatives follow each other, and the first that applies counts"
                    ),
                );
            }
            if factor.id == BASE {
                fault(
                    factor.line,
                    "its `id` is reserved: give it its own".to_owned(),
                );
            }
            if !(-100..=100).contains(&factor.points) {
                fault(
                    factor.line,
                    format!("its `points` are {}: -100 to 100", factor.points),
                );
            }
            for id in &factor.attack {
                if attack::id_of(&id.text).is_none() {
                    let known = attack::ids().join(", ");
                    let problem = format!(
                        "its `attack` names {:?}, which is not known here; known are {known}",
                        id.text
                    );
                    fault(id.line, problem);
                }
            }
        }
        let whens: Vec<When<'_>> = texts
            .iter()
            .map(|factor| When {
                subject: subject(factor),
                line: factor.line,
                section: Some(&factor.when),
            })
            .collect();
        let conditions = Conditions::compile(file, &whens, faults);
        let factors = texts
            .into_iter()
            .map(|factor| Factor {
                id: factor.id,
                points: factor.points,
                floor: factor.floor.map(|bound| match bound {
                    Bound::Level(level) => level.lowest(),
                    Bound::Score(score) => score,
                }),
                cap: factor.cap.map(|bound| match bound {
                    Bound::Level(level) => level.highest(),
                    Bound::Score(score) => score,
                }),
                attack: factor
                    .attack
                    .iter()
                    .filter_map(|id| attack::id_of(&id.text))
                    .collect(),
            })
            .collect();
        Some(Self {
            factors,
            conditions,
        })
    }

    /// The factors that apply to a record, in the model's order. Of those with one id, the first alone.
    pub(super) fn applying(&self, record: &Value, facts: &Facts<'_>) -> Vec<&Factor> {
        let mut applying: Vec<&Factor> = Vec::new();
        for (factor, holds) in self.factors.iter().zip(self.conditions.hold(record, facts)) {
            if holds && applying.last().is_none_or(|last| last.id != factor.id) {
                applying.push(factor);
            }
        }
        applying
    }

    /// Every factor with what its condition found in a record, in the model's order.
    pub(super) fn explain(
        &self,
        record: &Value,
        facts: &Facts<'_>,
    ) -> impl Iterator<Item = (&Factor, Trace)> {
        self.factors
            .iter()
            .zip(self.conditions.explain(record, facts))
    }
}

/// The severity of what begins at `base` and to which these factors apply: sum, clamp, highest floor, lowest cap.
pub(super) fn add_up<'a>(base: u8, applied: impl Iterator<Item = &'a Factor>) -> Severity<'a> {
    let mut factors = Vec::new();
    if base > 0 {
        factors.push(AppliedFactor {
            id: BASE,
            points: i16::from(base),
        });
    }
    let mut sum = i64::from(base);
    let mut floor: Option<AppliedLimit<'a>> = None;
    let mut cap: Option<AppliedLimit<'a>> = None;
    for factor in applied {
        factors.push(AppliedFactor {
            id: &factor.id,
            points: factor.points,
        });
        sum += i64::from(factor.points);
        let limit = |score| AppliedLimit {
            factor: &factor.id,
            score,
        };
        if let Some(score) = factor.floor
            && floor.is_none_or(|floor| floor.score < score)
        {
            floor = Some(limit(score));
        }
        if let Some(score) = factor.cap
            && cap.is_none_or(|cap| cap.score > score)
        {
            cap = Some(limit(score));
        }
    }
    let sum = u8::try_from(sum.clamp(0, 100)).unwrap_or(100);
    let floor = floor.filter(|floor| floor.score > sum);
    let raised = floor.map_or(sum, |floor| floor.score);
    let cap = cap.filter(|cap| cap.score < raised);
    let score = cap.map_or(raised, |cap| cap.score);
    Severity {
        level: Level::from_score(score),
        score,
        factors,
        floor,
        cap,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn factor(points: i16, floor: Option<u8>, cap: Option<u8>) -> Factor {
        Factor {
            id: format!("{points}"),
            points,
            floor,
            cap,
            attack: Vec::new(),
        }
    }

    #[test]
    fn a_floor_raises_a_cap_lowers_and_the_cap_has_the_last_word() {
        let all = [
            factor(10, Some(65), None),
            factor(-5, None, Some(45)),
            factor(1, Some(40), Some(90)),
        ];
        let severity = add_up(0, all.iter());
        assert_eq!((severity.score, severity.level), (45, Level::Medium));
        assert_eq!(
            severity.floor.map(|limit| (limit.factor, limit.score)),
            Some(("10", 65))
        );
        assert_eq!(
            severity.cap.map(|limit| (limit.factor, limit.score)),
            Some(("-5", 45))
        );
        let unbound = add_up(70, all.iter().take(1));
        assert_eq!(
            (unbound.score, unbound.floor, unbound.cap),
            (80, None, None)
        );
        assert_eq!(
            unbound
                .factors
                .iter()
                .map(|applied| i64::from(applied.points))
                .sum::<i64>(),
            80
        );
    }

    proptest! {
        #[test]
        fn the_order_of_factors_changes_nothing_but_their_list(
            base in 0_u8..=100,
            mut factors in prop::collection::vec((-100_i16..=100, prop::option::of(0_u8..=100), prop::option::of(0_u8..=100)), 0..12),
        ) {
            let build = |factors: &[(i16, Option<u8>, Option<u8>)]| {
                factors.iter().map(|&(points, floor, cap)| factor(points, floor, cap)).collect::<Vec<_>>()
            };
            let forwards = build(&factors);
            factors.reverse();
            let backwards = build(&factors);
            let one = add_up(base, forwards.iter());
            let two = add_up(base, backwards.iter());
            prop_assert_eq!(one.score, two.score);
            // The same, in the words of the model.
            let sum = i64::from(base) + factors.iter().map(|(points, _, _)| i64::from(*points)).sum::<i64>();
            let floor = factors.iter().filter_map(|(_, floor, _)| *floor).max().unwrap_or(0);
            let cap = factors.iter().filter_map(|(_, _, cap)| *cap).min().unwrap_or(100);
            let want = sum.clamp(0, 100).max(i64::from(floor)).min(i64::from(cap));
            prop_assert_eq!(i64::from(one.score), want);
        }
    }

    #[test]
    fn bounds_are_levels_or_scores() {
        let when = "when: {s: {trailtag.outcome: success}, condition: s}";
        for (bounds, want) in [
            ("floor: 50", 50),
            ("floor: high", 65),
            ("floor: critical, cap: medium", 64),
            ("cap: 0", 0),
            ("floor: 0, cap: 100", 1),
        ] {
            let text = format!("factors: [{{id: a, points: 1, {bounds}, {when}}}]");
            let mut faults = Faults::default();
            let model = SeverityModel::compile("severity.yaml", &text, &mut faults);
            assert_eq!(faults.to_string(), "", "{text}");
            let record = crate::cloudtrail::record::Record::parse(b"{}").unwrap();
            let lists = crate::detection::lists::Lists::default();
            let facts = Facts::from_record(&record, crate::detection::Context::default(), &lists);
            let model = model.unwrap();
            let applying = model.applying(&record.value, &facts).into_iter();
            assert_eq!(add_up(0, applying).score, want, "{text}");
        }
    }

    fn faults(text: &str) -> String {
        let mut faults = Faults::default();
        let _ = SeverityModel::compile("severity.yaml", text, &mut faults);
        faults.to_string()
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let when = "when: {s: {trailtag.outcome: success}, condition: s}";
        for (text, want) in [
            (
                format!(
                    "factors:
  - {{id: a, points: 1, {when}}}
"
                ),
                "",
            ),
            (
                format!(
                    "factors:
  - {{id: a, points: 1, {when}}}

  - {{id: b, points: 2, {when}}}
  - {{id: a, points: 2, {when}}}
"
                ),
                "severity.yaml:5: factor a: its `id` stands in line 2 too: alternatives follow each other, and the first that applies counts",
            ),
            (
                format!(
                    "factors:
  - {{id: a, points: 101, {when}}}
"
                ),
                "severity.yaml:2: factor a: its `points` are 101: -100 to 100",
            ),
            (
                "factors:
  - id: a
    points: 1
    when: {s: {trailtag.outcom: success}, condition: s}
"
                .to_owned(),
                "severity.yaml:2: factor a: `when`: there is no fact `trailtag.outcom`",
            ),
            (
                "factors:
  - id: a
    points: 1
    when: {s: {x: 1}, condition: t}
"
                .to_owned(),
                "severity.yaml:2: factor a: `when`: unknown detection identifier: t",
            ),
            (
                "factors:
  - id: a
    points: 1
    when:
      s: {userIdentity: {type: Root}}
      condition: s
"
                .to_owned(),
                "severity.yaml:5: factor a: `when`: `userIdentity` is compared with a map, which no field is equal to: write each field in it with its whole name, `userIdentity.type: Root`",
            ),
            (
                "factors:
  - id: a
    points: 1
    when: {s: {x: 1}}
"
                .to_owned(),
                "severity.yaml:2: factor a: `when`: Missing required field 'condition'",
            ),
        ] {
            assert_eq!(faults(&text), want, "{text}");
        }
    }

    #[test]
    fn every_faulty_factor_is_told() {
        let text = "factors:
  - id: a
    point: 1
    floor: hihg
    when: {s: {x: 1}, condition: s}
  - points: 300000
    cap: 101
    attack: [T1, T1531]
  - id: b
    points: 1
    attack: [T9999]
    when: {s: {trailtag.x: 1}, condition: s}
  - c
";
        let bounds = "is neither a level (informational, low, medium, high, critical) nor a score from 0 to 100";
        let want = [
            "3: factor a: unknown key `point`; did you mean `points`?".to_owned(),
            "2: factor a: it has no `points`".to_owned(),
            format!("4: factor a: `floor`: \"hihg\" {bounds}"),
            "6: factor: it has no `id`".to_owned(),
            "6: factor: it has no `when`".to_owned(),
            "6: factor: `points`: invalid value: integer `300000`, expected i16".to_owned(),
            format!("7: factor: `cap`: 101 {bounds}"),
            "13: factor: this must be a mapping with the keys id, points, floor, cap, attack, when".to_owned(),
            "11: factor b: its `attack` names \"T9999\", which is not known here; known are T1098.003, T1548.005, T1531, T1489, T1562.001, T1078.004".to_owned(),
            "9: factor b: `when`: there is no fact `trailtag.x`".to_owned(),
        ];
        let said = faults(text);
        let said: Vec<&str> = said
            .lines()
            .map(|line| line.strip_prefix("severity.yaml:").unwrap())
            .collect();
        assert_eq!(said, want);
        for (text, want) in [
            (
                "factor: []\n",
                "severity.yaml:1: unknown key `factor`; did you mean `factors`?",
            ),
            ("factors: 7\n", "severity.yaml:1: `factors` must be a list"),
            ("# nothing\n", "severity.yaml: there is nothing in it"),
            (
                "factors: []\nfactors: []\n",
                "severity.yaml:2: `factors` is set twice, first on line 1",
            ),
        ] {
            assert_eq!(faults(text), want, "{text}");
        }
    }
}
