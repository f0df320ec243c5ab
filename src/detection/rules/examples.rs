//! The examples that a rule carries: records that it must match, and records that it must not.
//!
//! In flow a parsed rule, the same rule compiled, and its place; out flows how many examples it has. An example that
//! does not hold is a fault, so a rule that no longer does what its author meant is never in use. Filters play no
//! part: they are a site's choice, and the examples are about the rule.

use rsigma_eval::{CompiledRule, JsonEvent, explain_rule};
use rsigma_parser::{Detection, Detections, SigmaRule};
use serde::Serialize;
use serde_json::{Map, Value};

use super::read::DocumentLocation;
use super::refusals::Refusals;
use crate::detection::explain::Trace;
use crate::model::visible::one_line;

/// The attribute that holds them.
pub(super) const EXAMPLES: &str = "trailtag.examples";

/// The lists in it, and whether the rule matches what they hold.
const LISTS: [(&str, bool); 2] = [("match", true), ("no_match", false)];

/// The most values that all examples together are compared with: thousands of either, times thousands of the other,
/// would be tried for hours.
const MOST_COMPARED: usize = 10_000_000;

/// The examples that were tried.
#[derive(Default)]
pub(super) struct Examples {
    /// How many.
    pub(super) checked: usize,
    /// How many values they were compared with.
    compared: usize,
}

impl Examples {
    /// Tries each example of a rule.
    pub(super) fn check(
        &mut self,
        rule: &SigmaRule,
        compiled: &CompiledRule,
        written: &[String],
        location: &DocumentLocation,
        refusals: &mut Refusals,
    ) {
        let Some(attribute) = rule.custom_attributes.get(EXAMPLES) else {
            return;
        };
        let location = &location.of_examples();
        let examples = lists(attribute, location, refusals);
        let compared = examples
            .len()
            .saturating_mul(values(&rule.detection).max(1));
        self.compared = self.compared.saturating_add(compared);
        if self.compared > MOST_COMPARED {
            let problem = format!(
                "with its examples, those of all rules are compared with more than {MOST_COMPARED} values: leave out some"
            );
            refusals.refuse(location, problem);
            return;
        }
        let number = examples.len();
        for (name, at, example, wanted) in examples {
            let problem = record(&example)
                .and_then(|record| holds(compiled, written, &Value::Object(record), wanted));
            if let Err(problem) = problem {
                refusals.refuse(location, format!("its example {name}[{at}] {problem}"));
            }
        }
        if !refusals.refuses(location) {
            self.checked += number;
        }
    }
}

/// How many values a rule compares with.
fn values(detections: &Detections) -> usize {
    detections.named.values().map(values_of).sum()
}

fn values_of(detection: &Detection) -> usize {
    match detection {
        Detection::AllOf(items) => items.iter().map(|item| item.values.len().max(1)).sum(),
        Detection::AnyOf(parts) | Detection::And(parts) => parts.iter().map(values_of).sum(),
        Detection::Keywords(values) => values.len(),
        Detection::ArrayMatch { body, .. } => values_of(body),
        Detection::Conditional { named, .. } => named.values().map(values_of).sum(),
    }
}

/// One example: its list, its place there, itself, and whether the rule must match it.
type Example = (&'static str, usize, Value, bool);

/// The examples of a rule.
fn lists(
    attribute: &impl Serialize,
    location: &DocumentLocation,
    refusals: &mut Refusals,
) -> Vec<Example> {
    let mut fault = |problem: String| refusals.refuse(location, problem);
    let mut lists = match serde_json::to_value(attribute) {
        Ok(Value::Object(lists)) => lists,
        Ok(_) => {
            fault(format!(
                "its `{EXAMPLES}` is not a mapping: write `match` and `no_match`, each a list of records"
            ));
            return Vec::new();
        }
        Err(error) => {
            fault(format!(
                "its `{EXAMPLES}` cannot be JSON: {}",
                one_line(&error.to_string())
            ));
            return Vec::new();
        }
    };
    for key in lists.keys() {
        if !LISTS.iter().any(|(name, _)| name == key) {
            fault(format!(
                "its `{EXAMPLES}` has no lists but `match` and `no_match`: remove {key:?}"
            ));
        }
    }
    let mut found = Vec::new();
    for (name, wanted) in LISTS {
        match lists.remove(name) {
            None => {}
            Some(Value::Array(examples)) => found.extend(
                examples
                    .into_iter()
                    .enumerate()
                    .map(|(at, example)| (name, at, example, wanted)),
            ),
            Some(_) => fault(format!(
                "its `{EXAMPLES}` has a `{name}` that is not a list: write a list of records"
            )),
        }
    }
    found
}

/// The record of an example: a mapping, or a text that holds one as JSON.
fn record(example: &Value) -> Result<Map<String, Value>, String> {
    match example {
        Value::Object(record) => Ok(record.clone()),
        Value::String(text) => match serde_json::from_str(text) {
            Ok(Value::Object(record)) => Ok(record),
            Ok(_) => Err("is JSON, but no object: write a CloudTrail record".to_owned()),
            Err(error) => Err(format!("is a text that is not JSON: {error}")),
        },
        _ => Err("is no record: write a mapping, or a text that holds JSON".to_owned()),
    }
}

/// Whether the rule treats the record as wanted; what is wrong otherwise.
fn holds(
    compiled: &CompiledRule,
    written: &[String],
    record: &Value,
    wanted: bool,
) -> Result<(), String> {
    let trace = Trace::from_engine(&explain_rule(compiled, &JsonEvent::borrow(record)), written);
    if trace.holds == wanted {
        return Ok(());
    }
    if trace.holds {
        return Err("matches".to_owned());
    }
    let why = trace.because.first().map(|reason| format!(": {reason}"));
    Err(format!("does not match{}", why.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use crate::detection::attack::AttackVersion;
    use crate::detection::files::NamedText;
    use crate::detection::rules::{Refusals, Rules};

    /// The examples that were tried, and what was wrong, less what every fault begins with.
    fn tried(detection: &str, examples: &str) -> (usize, Vec<String>) {
        let text = format!(
            "title: T\nid: t\nlevel: low\nlogsource: {{product: aws}}\ndetection: {detection}\ntrailtag.examples: {examples}\n"
        );
        let file = NamedText {
            name: "r.yml".to_owned(),
            text,
        };
        let mut refusals = Refusals::default();
        let rules = Rules::compile(&[file], AttackVersion::V18, &mut refusals);
        let said = refusals.faults.iter().map(|fault| {
            let said = fault.to_string();
            let problem = said.strip_prefix("r.yml:6: rule \"T\": its ");
            problem.unwrap_or(&said).to_owned()
        });
        (rules.examples(), said.collect())
    }

    const NAMED: &str = "{s: {eventName: A, eventSource: x.amazonaws.com}, condition: s}";

    #[test]
    fn examples_that_hold_are_counted() {
        for examples in [
            "{match: [{eventName: A, eventSource: x.amazonaws.com}], no_match: [{eventName: B}, {}]}",
            r#"{match: ['{"eventName": "A", "eventSource": "x.amazonaws.com"}'], no_match: ['{}', {eventName: a, eventSource: x.amazonaws.com}]}"#,
        ] {
            assert_eq!(tried(NAMED, examples), (3, vec![]), "{examples}");
        }
        assert_eq!(tried(NAMED, "{}"), (0, vec![]));
    }

    #[test]
    fn an_example_that_does_not_hold_says_which_test_decided() {
        for (detection, examples, want) in [
            (
                NAMED,
                "{match: [{eventName: A, eventSource: x.amazonaws.com}, {eventName: A, eventSource: y}]}",
                r#"example match[1] does not match: eventSource is "y", wants x.amazonaws.com"#,
            ),
            (
                NAMED,
                "{match: [{eventSource: x.amazonaws.com, eventName: a}]}",
                r#"example match[0] does not match: eventName is "a", wants A in this case"#,
            ),
            (
                NAMED,
                "{match: [{eventSource: x.amazonaws.com}]}",
                "example match[0] does not match: eventName is not there, wants A",
            ),
            (
                "{s: {eventName: A}, f: {userAgent|contains: terraform}, condition: s and not f}",
                "{match: [{eventName: A, userAgent: x Terraform/1 y}]}",
                r#"example match[0] does not match: userAgent is "x Terraform/1 y" (contains terraform)"#,
            ),
            (
                "{s_1: {eventName: A}, s_2: {eventName: [B, C]}, condition: all of s_*}",
                "{match: [{eventName: A}]}",
                r#"example match[0] does not match: eventName is "A", wants one of B, C"#,
            ),
            (
                "{k: [pacu], condition: k}",
                "{match: [{userAgent: aws-cli}]}",
                "example match[0] does not match: no text of the record passes: contains pacu",
            ),
            (
                NAMED,
                "{no_match: [{}, {eventName: A, eventSource: x.amazonaws.com}]}",
                "example no_match[1] matches",
            ),
        ] {
            let (_, said) = tried(detection, examples);
            assert_eq!(said, [want], "{examples}");
        }
    }

    #[test]
    fn examples_of_the_wrong_shape_are_faults() {
        for (examples, want) in [
            (
                "[a]",
                "`trailtag.examples` is not a mapping: write `match` and `no_match`, each a list of records",
            ),
            (
                "{matches: []}",
                "`trailtag.examples` has no lists but `match` and `no_match`: remove \"matches\"",
            ),
            (
                "{match: {eventName: A}}",
                "`trailtag.examples` has a `match` that is not a list: write a list of records",
            ),
            (
                "{no_match: [7]}",
                "example no_match[0] is no record: write a mapping, or a text that holds JSON",
            ),
            (
                "{no_match: ['[1]']}",
                "example no_match[0] is JSON, but no object: write a CloudTrail record",
            ),
            (
                "{no_match: ['{']}",
                "example no_match[0] is a text that is not JSON: EOF while parsing an object at line 1 column 1",
            ),
        ] {
            let (_, said) = tried(NAMED, examples);
            assert_eq!(said, [want], "{examples}");
        }
    }

    #[test]
    fn a_filter_does_not_change_what_the_examples_are_about() {
        let rule = NamedText {
            name: "r.yml".to_owned(),
            text: format!(
                "title: T\nid: t\nlevel: low\nlogsource: {{product: aws}}\ndetection: {NAMED}\ntrailtag.examples: {{match: [{{eventName: A, eventSource: x.amazonaws.com, userAgent: deploy}}]}}\n"
            ),
        };
        let filter = NamedText {
            name: "f.yml".to_owned(),
            text: "title: F\nlogsource: {product: aws}\nfilter: {rules: [t], s: {userAgent: deploy}, condition: not s}\n".to_owned(),
        };
        let mut refusals = Refusals::default();
        let rules = Rules::compile(&[filter, rule], AttackVersion::V18, &mut refusals);
        assert_eq!(refusals.faults.to_string(), "");
        assert_eq!(rules.examples(), 1);
    }

    #[test]
    fn long_values_are_cut() {
        let (_, said) = tried(
            NAMED,
            &format!(
                "{{match: [{{eventName: A, eventSource: {}}}]}}",
                "é".repeat(500)
            ),
        );
        assert!(
            said[0].contains("é…") && said[0].chars().count() < 300,
            "{said:?}"
        );
    }
}
