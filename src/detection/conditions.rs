//! Conditions written as Sigma detection sections, over a record and the facts derived from it.
//!
//! In flow the `when` of every factor or item of one file; out flows which of them hold for a record, or, where somebody
//! asks, what in the record decided each. Both come from the same compiled rules.

use std::collections::HashMap;

use rsigma_eval::compiler::eval_condition;
use rsigma_eval::{CompiledDetection, CompiledRule, compile_rule, explain_rule};
use rsigma_parser::{ConditionExpr, Detections};
use serde_json::{Value, json};

use super::explain::Trace;
use super::fact_equality::{FactEquality, all_hold, equalities};
use super::facts::Facts;
use super::sections;
use super::sigma::{View, make_names_exact, unknown_facts, written_values};
use crate::config::yaml::Node;
use crate::model::fault::Faults;
use crate::model::visible::one_line;

/// One condition, and where it stands.
pub(crate) struct When<'a> {
    /// What it belongs to, as faults name it (`factor actor.root`).
    pub(crate) subject: String,
    /// The line of what it belongs to.
    pub(crate) line: usize,
    /// The detection section; none always holds.
    pub(crate) section: Option<&'a Node>,
}

/// Compiled conditions, by their place.
///
/// Many conditions have the same selection (did the call go through?), so each distinct one is evaluated at most once a
/// record, and conditions are formulas over the results.
pub(crate) struct Conditions {
    compiled: Vec<Condition>,
    selections: Vec<Selection>,
    /// What is most likely a mistake.
    pub(crate) warnings: Faults,
}

enum Condition {
    /// None was written.
    Always,
    /// What was written does not compile; it is among the faults.
    Never,
    If {
        formula: Formula,
        rule: Box<CompiledRule>,
        /// The values that it compares with, as they are written: compiled ones are in lower case.
        written: Vec<String>,
    },
}

/// What a condition makes of the results of selections, which it names by their places.
enum Formula {
    Selection(usize),
    All(Vec<Formula>),
    Any(Vec<Formula>),
    Not(Box<Formula>),
}

/// A selection, or a whole condition that is more than `and`, `or` and `not`.
struct Selection {
    /// The same without the engine, where it only compares facts: nearly all do, and it takes a fraction of the time.
    equalities: Option<Vec<FactEquality>>,
    condition: ConditionExpr,
    detections: HashMap<String, CompiledDetection>,
}

impl Conditions {
    /// Compiles every condition of a file; those that do not compile are among the faults, and never hold.
    pub(crate) fn compile(file: &str, whens: &[When<'_>], faults: &mut Faults) -> Self {
        let mut selections = Selections::default();
        let mut warnings = Faults::default();
        let compiled = whens.iter().map(|when| {
            let Some(section) = when.section else {
                return Condition::Always;
            };
            for remark in sections::of_condition(section) {
                let told = if remark.is_refused {
                    &mut *faults
                } else {
                    &mut warnings
                };
                let problem = format!("`when`: {}", remark.problem);
                told.add(file, Some(remark.line), Some(when.subject.clone()), problem);
            }
            let section = section.to_value();
            match compile(&section) {
                Ok(Compiled {
                    rule,
                    parsed,
                    written,
                }) => Condition::If {
                    formula: selections.add_rule(&section, &parsed, &rule),
                    rule: Box::new(rule),
                    written,
                },
                Err(problems) => {
                    for problem in problems {
                        faults.add(
                            file,
                            Some(when.line),
                            Some(when.subject.clone()),
                            format!("`when`: {}", one_line(&problem)),
                        );
                    }
                    Condition::Never
                }
            }
        });
        let compiled = compiled.collect();
        Self {
            compiled,
            selections: selections.distinct,
            warnings,
        }
    }

    /// Whether each condition holds, by its place.
    pub(crate) fn hold(&self, record: &Value, facts: &Facts<'_>) -> Vec<bool> {
        let mut evaluation = Evaluation {
            facts,
            view: View::new(record, facts),
            selections: &self.selections,
            results: vec![None; self.selections.len()],
            names: Vec::new(),
        };
        let holds = |condition: &Condition| match condition {
            Condition::Always => true,
            Condition::Never => false,
            Condition::If { formula, .. } => evaluation.holds(formula),
        };
        self.compiled.iter().map(holds).collect()
    }

    /// What decided each condition, by its place.
    pub(crate) fn explain(&self, record: &Value, facts: &Facts<'_>) -> Vec<Trace> {
        let view = View::new(record, facts);
        let trace = |condition: &Condition| match condition {
            Condition::Always => Trace::always(true),
            Condition::Never => Trace::always(false),
            Condition::If { rule, written, .. } => {
                Trace::from_engine(&explain_rule(rule, &view), written)
            }
        };
        self.compiled.iter().map(trace).collect()
    }
}

/// One record, and which selections it was tried on so far.
struct Evaluation<'a> {
    facts: &'a Facts<'a>,
    view: View<'a>,
    selections: &'a [Selection],
    results: Vec<Option<bool>>,
    /// The names of selections that matched, which nobody wants to know.
    names: Vec<String>,
}

impl Evaluation<'_> {
    fn holds(&mut self, formula: &Formula) -> bool {
        match formula {
            Formula::Selection(place) => self.matches(*place),
            Formula::All(parts) => parts.iter().all(|part| self.holds(part)),
            Formula::Any(parts) => parts.iter().any(|part| self.holds(part)),
            Formula::Not(part) => !self.holds(part),
        }
    }

    fn matches(&mut self, place: usize) -> bool {
        if let Some(Some(known)) = self.results.get(place) {
            return *known;
        }
        self.names.clear();
        let matches = self.selections.get(place).is_some_and(|selection| {
            let equalities = selection.equalities.as_ref();
            let without_engine = equalities.and_then(|all| all_hold(all, self.facts));
            without_engine.unwrap_or_else(|| {
                eval_condition(
                    &selection.condition,
                    &selection.detections,
                    &self.view,
                    &mut self.names,
                )
            })
        });
        if let Some(result) = self.results.get_mut(place) {
            *result = Some(matches);
        }
        matches
    }
}

/// The distinct selections of a file.
#[derive(Default)]
struct Selections {
    distinct: Vec<Selection>,
    /// Their places, by what is written in them.
    places: HashMap<String, usize>,
}

impl Selections {
    /// A rule holds if any of its conditions does.
    fn add_rule(&mut self, section: &Value, parsed: &Detections, rule: &CompiledRule) -> Formula {
        let mut parts: Vec<Formula> = rule
            .conditions
            .iter()
            .map(|condition| self.add_condition(section, parsed, rule, condition))
            .collect();
        match parts.pop() {
            Some(only) if parts.is_empty() => only,
            last => Formula::Any(parts.into_iter().chain(last).collect()),
        }
    }

    fn add_condition(
        &mut self,
        section: &Value,
        parsed: &Detections,
        rule: &CompiledRule,
        condition: &ConditionExpr,
    ) -> Formula {
        match condition {
            ConditionExpr::And(parts) => Formula::All(
                parts
                    .iter()
                    .map(|part| self.add_condition(section, parsed, rule, part))
                    .collect(),
            ),
            ConditionExpr::Or(parts) => Formula::Any(
                parts
                    .iter()
                    .map(|part| self.add_condition(section, parsed, rule, part))
                    .collect(),
            ),
            ConditionExpr::Not(part) => {
                Formula::Not(Box::new(self.add_condition(section, parsed, rule, part)))
            }
            ConditionExpr::Identifier(name) => {
                // Selections that say the same are the same, whatever their names.
                let written = section.get(name).map(Value::to_string).unwrap_or_default();
                let detection = rule.detections.get_key_value(name);
                let detections = detection.map(|(name, it)| (name.clone(), it.clone()));
                let equalities = parsed.named.get(name).and_then(equalities);
                self.place(
                    written,
                    Selection {
                        equalities,
                        condition: condition.clone(),
                        detections: detections.into_iter().collect(),
                    },
                )
            }
            ConditionExpr::Selector { .. } => {
                let written = format!("{section} {condition:?}");
                self.place(
                    written,
                    Selection {
                        equalities: None,
                        condition: condition.clone(),
                        detections: rule.detections.clone(),
                    },
                )
            }
        }
    }

    fn place(&mut self, written: String, selection: Selection) -> Formula {
        let distinct = &mut self.distinct;
        let place = *self.places.entry(written).or_insert_with(|| {
            distinct.push(selection);
            distinct.len() - 1
        });
        Formula::Selection(place)
    }
}

/// A section, ready.
struct Compiled {
    rule: CompiledRule,
    parsed: Detections,
    /// The values that it compares with, as they are written.
    written: Vec<String>,
}

/// A section, compiled; or everything that is wrong with it.
fn compile(section: &Value) -> Result<Compiled, Vec<String>> {
    // JSON is YAML, and the parser takes text.
    let text = json!({
        "title": "when",
        "logsource": {"product": "aws", "service": "cloudtrail"},
        "detection": section,
    })
    .to_string();
    let collection =
        rsigma_parser::parse_sigma_yaml(&text).map_err(|error| vec![error.to_string()])?;
    let mut problems = collection.errors;
    let mut compiled = None;
    for mut rule in collection.rules {
        problems.extend(
            unknown_facts(&rule.detection)
                .iter()
                .map(|field| format!("there is no fact `{field}`")),
        );
        let written = written_values(&rule.detection);
        make_names_exact(&mut rule.detection);
        match compile_rule(&rule) {
            Ok(compiled_rule) => {
                compiled = Some(Compiled {
                    rule: compiled_rule,
                    parsed: rule.detection,
                    written,
                });
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    compiled.filter(|_| problems.is_empty()).ok_or(problems)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudtrail::record::Record;
    use crate::config::yaml;
    use crate::detection::Context;
    use crate::detection::lists::Lists;
    use proptest::prelude::*;

    /// A selection that does or does not match one of the records below.
    fn selection() -> impl Strategy<Value = Value> {
        prop::sample::select(vec![
            json!({"a": "1"}),
            json!({"a": "2"}),
            json!({"b": null}),
            json!({"b": "1"}),
            json!([{"a": "2"}, {"a": "1"}]),
            json!({"a": "1", "b": "1"}),
            json!({"trailtag.outcome": "Success"}),
            json!({"trailtag.outcome": ["denied", "failed"]}),
            json!({"trailtag.outcome": "success", "trailtag.actor.mfa": false}),
            json!({"trailtag.actor.mfa": true}),
            json!({"trailtag.actor.mfa": "false"}),
            json!({"trailtag.actor.mfa": null}),
            json!({"trailtag.actor.name": "admin\u{212a}"}),
            json!({"trailtag.actor.name": ["eve", "ADMINK"]}),
            json!({"trailtag.actor.account": 1}),
            json!({"trailtag.actor.account": "1"}),
            json!({"trailtag.client": "iac"}),
            json!({"trailtag.insufficient": ["event_id", "user_agent"]}),
            json!({"trailtag.error|startswith": "x"}),
            json!({"trailtag.outcome": "suc*"}),
        ])
    }

    proptest! {
        /// Asking each selection once gives what the engine gives for each condition as a whole.
        #[test]
        fn shared_results_are_the_engines(
            sections in prop::collection::vec(
                (
                    prop::array::uniform3(selection()),
                    prop::sample::select(vec![
                        "s_1", "not s_1", "s_1 and s_2", "s_1 or s_2 and not s_3", "not (s_1 or s_2)", "1 of s_*",
                        "all of s_*", "not 1 of s_* or s_1", "2 of s_*", "all of them",
                    ]),
                ),
                1..6,
            ),
            record in prop::sample::select(vec![
                r#"{"a": "1"}"#,
                r#"{"a": 1, "errorCode": "AccessDenied", "userIdentity": {"userName": "AdminK", "accountId": "1", "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}}}"#,
                r#"{"userAgent": "x", "userIdentity": {"userName": "admin\u212a", "accountId": 1, "sessionContext": {"attributes": {"mfaAuthenticated": true}}}}"#,
            ]),
        ) {
            let sections: Vec<Value> = sections
                .into_iter()
                .map(|([one, two, three], condition)| json!({"s_1": one, "s_2": two, "s_3": three, "condition": condition}))
                .collect();
            let nodes: Vec<Node> = sections
                .iter()
                .map(|section| yaml::parse(&section.to_string()).unwrap().unwrap())
                .collect();
            let whens: Vec<When<'_>> = nodes
                .iter()
                .map(|section| When { subject: "x".to_owned(), line: 1, section: Some(section) })
                .collect();
            let mut faults = Faults::default();
            let conditions = Conditions::compile("x.yaml", &whens, &mut faults);
            prop_assert_eq!(faults.to_string(), "");
            let record = Record::parse(record.as_bytes()).unwrap();
            let lists = Lists::default();
            let facts = Facts::from_record(&record, Context::default(), &lists);
            let view = View::new(&record.value, &facts);
            let want: Vec<bool> = conditions
                .compiled
                .iter()
                .map(|condition| match condition {
                    Condition::If { rule, .. } => rsigma_eval::evaluate_rule(rule, &view).is_some(),
                    Condition::Always | Condition::Never => unreachable!("each has a section that compiles"),
                })
                .collect();
            prop_assert_eq!(conditions.hold(&record.value, &facts), want);
        }
    }
}
