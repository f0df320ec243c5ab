//! Why a condition holds or does not: the fields that decided, with their values.
//!
//! The engine traces every branch of a condition; out of that tree only those leaves are kept that made the result what
//! it is. The verdict is the engine's own.

use rsigma_eval::{
    ConditionTrace, DetectionTrace, ItemTrace, MatchReason, MatcherKind, RuleExplanation,
};
use serde::Serialize;
use serde_json::Value;

use super::Detection;
use super::rules::Rule;

/// How much of a value is shown, in characters.
const SHOWN: usize = 120;

/// Everything that led to a detection, or to none.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation<'a> {
    /// What the record came to; none where no rule matched it.
    pub detection: Option<Detection<'a>>,
    /// Every loaded rule, in the order in which it was loaded.
    pub rules: Vec<RuleTrace<'a>>,
    /// Every factor of the severity model, in its order; none where no rule matched.
    pub factors: Vec<FactorTrace<'a>>,
}

/// A rule, and what decided it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RuleTrace<'a> {
    /// The rule.
    #[serde(flatten)]
    pub rule: &'a Rule,
    /// Whether it matches, after all filters, and why.
    #[serde(flatten)]
    pub trace: Trace,
}

/// A factor of the severity model, and what decided it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FactorTrace<'a> {
    /// Its name.
    pub id: &'a str,
    /// What it adds.
    pub points: i16,
    /// The score below which it lets nothing fall.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<u8>,
    /// The score above which it lets nothing rise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cap: Option<u8>,
    /// Whether it counts: it holds, and no alternative of the same name before it does.
    pub applies: bool,
    /// Whether its condition holds, and why.
    #[serde(flatten)]
    pub trace: Trace,
}

/// What decided a condition.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trace {
    /// Whether it holds.
    pub holds: bool,
    /// The comparisons that made it so; none where there is no condition.
    pub because: Vec<Comparison>,
}

/// One comparison of a field of the record, or of a fact, with what a condition asks for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The field; none where any text of the record counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What stands there; none where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What it was compared with, in words.
    pub test: String,
    /// Whether the comparison came out true.
    pub holds: bool,
}

impl Trace {
    pub(super) const fn always(holds: bool) -> Self {
        Self {
            holds,
            because: Vec::new(),
        }
    }

    /// The leaves that decided. `written` are the values of the condition as they stand in its file.
    pub(super) fn from_engine(explanation: &RuleExplanation, written: &[String]) -> Self {
        let mut leaves = Vec::new();
        // A rule matches if any of its conditions does.
        for condition in &explanation.conditions {
            if condition.matched() == explanation.matched {
                of_condition(condition, &mut leaves);
            }
        }
        let mut because: Vec<Comparison> = Vec::new();
        for leaf in leaves {
            let comparison = Comparison::from_engine(leaf, written);
            if !because.contains(&comparison) {
                because.push(comparison);
            }
        }
        Self {
            holds: explanation.matched,
            because,
        }
    }
}

/// The leaves below a node that made its result what it is: of `and` that holds all, of `and` that does not those that
/// do not, and the other way about for `or`. In short: those children that came out as the node did.
fn of_condition<'t>(trace: &'t ConditionTrace, leaves: &mut Vec<&'t ItemTrace>) {
    match trace {
        ConditionTrace::Selection { detection, .. } => of_detection(detection, leaves),
        ConditionTrace::And { matched, children } | ConditionTrace::Or { matched, children } => {
            for child in children.iter().filter(|child| child.matched() == *matched) {
                of_condition(child, leaves);
            }
        }
        ConditionTrace::Not { child, .. } => of_condition(child, leaves),
        ConditionTrace::Quantified {
            matched, branches, ..
        } => {
            for branch in branches.iter().filter(|branch| branch.matched == *matched) {
                of_detection(&branch.detection, leaves);
            }
        }
    }
}

fn of_detection<'t>(trace: &'t DetectionTrace, leaves: &mut Vec<&'t ItemTrace>) {
    match trace {
        DetectionTrace::AllOf { matched, items } => {
            leaves.extend(items.iter().filter(|item| item.matched == *matched));
        }
        DetectionTrace::AnyOf { matched, branches } | DetectionTrace::And { matched, branches } => {
            for branch in branches
                .iter()
                .filter(|branch| branch.matched() == *matched)
            {
                of_detection(branch, leaves);
            }
        }
        DetectionTrace::Keywords { item, .. } => leaves.push(item),
        DetectionTrace::ArrayMatch {
            matched, members, ..
        } => {
            for member in members.iter().filter(|member| member.matched == *matched) {
                of_detection(&member.detection, leaves);
            }
        }
        DetectionTrace::Conditional { condition, .. } => of_condition(condition, leaves),
        DetectionTrace::Other { .. } => {}
    }
}

impl Comparison {
    fn from_engine(leaf: &ItemTrace, written: &[String]) -> Self {
        let pattern = as_written(leaf.pattern.as_deref().unwrap_or_default(), written);
        let mut test = match leaf.matcher {
            MatcherKind::Exact | MatcherKind::Bool | MatcherKind::Expand | MatcherKind::Numeric => {
                pattern
            }
            MatcherKind::Contains => format!("contains {pattern}"),
            MatcherKind::StartsWith => format!("starts with {pattern}"),
            MatcherKind::EndsWith => format!("ends with {pattern}"),
            MatcherKind::Regex => format!("matches /{pattern}/"),
            MatcherKind::OneOf => format!("one of {pattern}"),
            MatcherKind::Cidr => format!("in {pattern}"),
            MatcherKind::Exists => match pattern.as_str() {
                "false" => "missing".to_owned(),
                _ => "there".to_owned(),
            },
            MatcherKind::FieldRef => format!("the same as {pattern}"),
            MatcherKind::Null => "null or missing".to_owned(),
            MatcherKind::Timestamp => format!("a time of {pattern}"),
            MatcherKind::Keyword => format!("any text with {pattern}"),
        };
        if leaf.reason == MatchReason::CaseMismatch {
            test.push_str(" in this case");
        }
        Self {
            field: leaf.field.clone(),
            value: leaf.actual.clone(),
            test,
            holds: leaf.matched,
        }
    }
}

/// A compiled pattern, which may be several, with the capitals that its file gives it.
fn as_written(pattern: &str, written: &[String]) -> String {
    let one = |pattern: &str| {
        let value = written.iter().find(|value| value.to_lowercase() == pattern);
        value.map_or(pattern, String::as_str).to_owned()
    };
    pattern.split(", ").map(one).collect::<Vec<_>>().join(", ")
}

impl std::fmt::Display for Comparison {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(field) = &self.field else {
            let many = if self.holds { "some" } else { "no" };
            return write!(out, "{many} text of the record passes: {}", self.test);
        };
        match &self.value {
            None if field.starts_with("trailtag.") => write!(out, "{field} is not known")?,
            None => write!(out, "{field} is not there")?,
            Some(Value::String(text)) => write!(out, "{field} is {:?}", shortened(text))?,
            Some(Value::Array(values)) if values.is_empty() => write!(out, "{field} is empty")?,
            Some(value) => write!(out, "{field} is {}", shortened(&value.to_string()))?,
        }
        if !self.holds {
            return write!(out, ", wants {}", shortened(&self.test));
        }
        match &self.value {
            Some(Value::String(text)) if *text == self.test => Ok(()),
            Some(Value::Bool(truth)) if truth.to_string() == self.test => Ok(()),
            _ => write!(out, " ({})", shortened(&self.test)),
        }
    }
}

/// As much of a text as an explanation needs.
fn shortened(text: &str) -> String {
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    text.chars().take(SHOWN).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;
    use crate::detection::conditions::{Conditions, When};
    use crate::detection::facts::Facts;
    use crate::detection::lists::Lists;
    use crate::model::fault::Faults;
    use serde_json::json;

    fn trace(section: &Value, record: &Value) -> Trace {
        let node = yaml::parse(&section.to_string()).unwrap().unwrap();
        let when = When {
            subject: "factor x".to_owned(),
            line: 1,
            section: Some(&node),
        };
        let mut faults = Faults::default();
        let conditions = Conditions::compile("x.yaml", &[when], &mut faults);
        assert_eq!(faults.to_string(), "");
        let text = record.to_string();
        let record = crate::cloudtrail::record::Record::parse(text.as_bytes()).unwrap();
        let lists = Lists::default();
        let facts = Facts::from_record(&record, crate::detection::Context::default(), &lists);
        let held = conditions.hold(&record.value, &facts);
        let trace = conditions.explain(&record.value, &facts).remove(0);
        assert_eq!(held, [trace.holds], "{section}");
        trace
    }

    fn told(section: &Value, record: &Value) -> Vec<String> {
        let trace = trace(section, record);
        trace.because.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_decided_is_told() {
        let user =
            json!({"userIdentity": {"type": "IAMUser", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}});
        let role =
            json!({"userIdentity": {"type": "AssumedRole", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}});
        let both = json!({"s": {"trailtag.actor.type": "IAMUser", "trailtag.actor.key": "long_lived"}, "condition": "s"});
        assert_eq!(
            told(&both, &user),
            [
                "trailtag.actor.key is \"long_lived\"",
                "trailtag.actor.type is \"IAMUser\""
            ]
        );
        assert_eq!(
            told(&both, &role),
            ["trailtag.actor.type is \"AssumedRole\", wants IAMUser"]
        );
        let neither = json!({"s": {"trailtag.actor.type": "IAMUser"}, "t": {"trailtag.actor.mfa": true}, "condition": "s and not t"});
        assert_eq!(
            told(&neither, &user),
            [
                "trailtag.actor.type is \"IAMUser\"",
                "trailtag.actor.mfa is not known, wants true"
            ]
        );
        let either = json!({"s": {"trailtag.actor.type": ["IAMUser", "Root"]}, "t": {"awsRegion|startswith": "us-"}, "condition": "s or t"});
        assert_eq!(
            told(&either, &role),
            [
                "trailtag.actor.type is \"AssumedRole\", wants one of IAMUser, Root",
                "awsRegion is not there, wants starts with us-"
            ]
        );
        assert_eq!(
            told(&either, &user),
            ["trailtag.actor.type is \"IAMUser\" (one of IAMUser, Root)"]
        );
        let list = json!({"s": {"trailtag.client": "iac"}, "condition": "s"});
        assert_eq!(told(&list, &user), ["trailtag.client is empty, wants iac"]);
        let name = json!({"s": {"eventName": "getrole"}, "condition": "s"});
        assert_eq!(
            told(&name, &json!({"eventName": "GetRole"})),
            ["eventName is \"GetRole\", wants getrole in this case"]
        );
    }
}
