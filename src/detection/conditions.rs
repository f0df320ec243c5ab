//! Conditions written as Sigma detection sections, over a record and the facts derived from it.
//!
//! In flow the `when` of every factor or item of one file; out flows which of them hold for a record. All conditions of
//! a file are one set of rules in one engine, so that it can index them together.

use rsigma_eval::Engine;
use serde_json::{Value, json};

use super::facts::Facts;
use super::fault::{Faults, one_line};
use super::sigma::{View, make_names_exact, unknown_facts};

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
pub(crate) struct Conditions {
    engine: Engine,
    always: Vec<bool>,
}

impl Conditions {
    /// Compiles every condition of a file; those that do not compile are among the faults, and never hold.
    pub(crate) fn compile(file: &str, whens: &[When<'_>], faults: &mut Faults) -> Self {
        let mut engine = Engine::new();
        for (place, when) in whens.iter().enumerate() {
            let Some(section) = when.section else {
                continue;
            };
            // JSON is YAML, and the parser takes text.
            let text = json!({
                "title": when.subject,
                "id": place.to_string(),
                "logsource": {"product": "aws", "service": "cloudtrail"},
                "detection": section,
            })
            .to_string();
            let mut fault = |problem: String| {
                faults.add(
                    file,
                    Some(when.line),
                    Some(when.subject.clone()),
                    format!("`when`: {}", one_line(&problem)),
                );
            };
            match rsigma_parser::parse_sigma_yaml(&text) {
                Err(error) => fault(error.to_string()),
                Ok(collection) => {
                    for error in &collection.errors {
                        fault(error.clone());
                    }
                    for mut rule in collection.rules {
                        for field in unknown_facts(&rule.detection) {
                            fault(format!("there is no fact `{field}`"));
                        }
                        make_names_exact(&mut rule.detection);
                        if let Err(error) = engine.add_rule(&rule) {
                            fault(error.to_string());
                        }
                    }
                }
            }
        }
        Self {
            engine,
            always: whens.iter().map(|when| when.section.is_none()).collect(),
        }
    }

    /// Whether each condition holds, by its place.
    pub(crate) fn hold(&self, record: &Value, facts: &Facts<'_>) -> Vec<bool> {
        let mut hold = self.always.clone();
        for result in self.engine.evaluate(&View::new(record, facts)) {
            let place = result
                .header
                .rule_id
                .and_then(|id| id.parse::<usize>().ok());
            if let Some(holds) = place.and_then(|place| hold.get_mut(place)) {
                *holds = true;
            }
        }
        hold
    }
}
