//! Conditions written as Sigma detection sections, over a record and the facts derived from it.
//!
//! In flow the `when` of every factor or item of one file; out flows which of them hold for a record, or, where somebody
//! asks, what in the record decided each. Both come from the same compiled rules.

use rsigma_eval::compiler::eval_condition;
use rsigma_eval::{CompiledRule, compile_rule, explain_rule};
use serde_json::{Value, json};

use super::explain::Trace;
use super::facts::Facts;
use super::fault::{Faults, one_line};
use super::sigma::{View, make_names_exact, unknown_facts, written_values};

/// One condition, and where it stands.
#[derive(Debug)]
pub(crate) struct When<'a> {
    /// What it belongs to, as faults name it (`factor actor.root`).
    pub(crate) subject: String,
    /// The line of what it belongs to.
    pub(crate) line: usize,
    /// The detection section; none always holds.
    pub(crate) section: Option<&'a Value>,
}

/// Compiled conditions, by their place.
pub(crate) struct Conditions(Vec<Condition>);

enum Condition {
    /// None was written.
    Always,
    /// What was written does not compile; it is among the faults.
    Never,
    If {
        rule: Box<CompiledRule>,
        /// The values that it compares with, as they are written: compiled ones are in lower case.
        written: Vec<String>,
    },
}

impl Conditions {
    /// Compiles every condition of a file; those that do not compile are among the faults, and never hold.
    pub(crate) fn compile(file: &str, whens: &[When<'_>], faults: &mut Faults) -> Self {
        let compiled = whens.iter().map(|when| {
            let Some(section) = when.section else {
                return Condition::Always;
            };
            compile(section).unwrap_or_else(|problems| {
                for problem in problems {
                    faults.add(
                        file,
                        Some(when.line),
                        Some(when.subject.clone()),
                        format!("`when`: {}", one_line(&problem)),
                    );
                }
                Condition::Never
            })
        });
        Self(compiled.collect())
    }

    /// Whether each condition holds, by its place.
    pub(crate) fn hold(&self, record: &Value, facts: &Facts<'_>) -> Vec<bool> {
        let view = View::new(record, facts);
        // The names of what matched, which nobody asked for.
        let mut names = Vec::new();
        let holds = |condition: &Condition| match condition {
            Condition::Always => true,
            Condition::Never => false,
            Condition::If { rule, .. } => {
                names.clear();
                rule.conditions
                    .iter()
                    .any(|condition| eval_condition(condition, &rule.detections, &view, &mut names))
            }
        };
        self.0.iter().map(holds).collect()
    }

    /// What decided each condition, by its place.
    pub(crate) fn explain(&self, record: &Value, facts: &Facts<'_>) -> Vec<Trace> {
        let view = View::new(record, facts);
        let trace = |condition: &Condition| match condition {
            Condition::Always => Trace::always(true),
            Condition::Never => Trace::always(false),
            Condition::If { rule, written } => Trace::of(&explain_rule(rule, &view), written),
        };
        self.0.iter().map(trace).collect()
    }
}

fn compile(section: &Value) -> Result<Condition, Vec<String>> {
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
    let mut condition = Condition::Never;
    for mut rule in collection.rules {
        problems.extend(
            unknown_facts(&rule.detection)
                .iter()
                .map(|field| format!("there is no fact `{field}`")),
        );
        let written = written_values(&rule.detection);
        make_names_exact(&mut rule.detection);
        match compile_rule(&rule) {
            Ok(rule) => {
                condition = Condition::If {
                    rule: Box::new(rule),
                    written,
                }
            }
            Err(error) => problems.push(error.to_string()),
        }
    }
    if problems.is_empty() {
        Ok(condition)
    } else {
        Err(problems)
    }
}
