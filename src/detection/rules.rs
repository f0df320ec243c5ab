//! The rules that decide which records are ours: Sigma files, ours and the user's.
//!
//! In flow files; out flow `Rules`, which say what literals they need, whether a record's names are worth a look, and
//! which rules match a record. Filter rules silence; correlation rules need more than one record and are refused. Every
//! rule is tried on the examples that it carries before it is in use.

mod examples;
mod filters;
mod read;
mod refusals;
mod regexes;

use std::collections::{BTreeSet, HashMap};

use rsigma_eval::compiler::eval_condition;
use rsigma_eval::{Engine, JsonEvent, compile_rule, explain_rule};
use rsigma_parser::SigmaRule;
use serde::Serialize;
use serde_json::Value;

use super::attack::{AttackTags, AttackVersion};
use super::explain::{RuleTrace, Trace};
use super::files::NamedText;
use super::sigma::{make_names_exact, required, tested_facts, written_values};
use crate::cloudtrail::record::EventNames;
use crate::model::Level;
use crate::model::visible::one_line;
use examples::Examples;
use read::{DocumentLocation, RuleReader};
pub(super) use refusals::Refusals;
use regexes::Regexes;

/// The attribute by which a rule sets what its score begins with, instead of its level.
const BASE_SCORE: &str = "trailtag.base_score";

/// What documents say about a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// Its tags.
    #[serde(skip)]
    pub tags: Vec<String>,
    /// What its tags say of ATT&CK.
    #[serde(skip)]
    pub(super) attack: AttackTags,
    /// What the score of a record that it matches begins with.
    #[serde(skip)]
    pub base_score: u8,
}

/// The names that a rule asks for; none where it can match any.
#[derive(Debug)]
struct RequiredNames {
    names: Option<BTreeSet<String>>,
    sources: Option<BTreeSet<String>>,
}

impl RequiredNames {
    /// Values one of which stands in every record that the rule can match: its names, or else its sources.
    fn literals(&self) -> Option<&BTreeSet<String>> {
        self.names.as_ref().or(self.sources.as_ref())
    }
}

/// A rule that requires no `eventName`, so that records must be parsed for it which no other rule wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnfilteredRule<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// The values of `eventSource` to which it is limited; none where it can match any record.
    pub sources: Option<Vec<&'a str>>,
}

/// Every loaded rule, compiled.
pub(super) struct Rules {
    /// Compiles rules and puts filters over them; its rules, what is said of each, and their required_names are in one order.
    engine: Engine,
    described: Vec<Rule>,
    required_names: Vec<RequiredNames>,
    literals: Option<Vec<String>>,
    /// The values that each rule compares with, as its file has them, for explanations.
    written: Vec<Vec<String>>,
    examples: usize,
}

impl Rules {
    /// Compiles the rules of all files. What is refused is not among them, and is told.
    pub(super) fn compile(
        files: &[NamedText],
        version: AttackVersion,
        refusals: &mut Refusals,
    ) -> Self {
        let mut reader = RuleReader::default();
        for file in files {
            reader.file(file, refusals);
        }

        let mut compiled_rules = Vec::new();
        let mut rules = Vec::new();
        let mut required_names = Vec::new();
        let mut ids: BTreeSet<String> = BTreeSet::new();
        let mut examples = Examples::default();
        let mut written = Vec::new();
        let mut regexes = Regexes::default();
        for (mut rule, location) in reader.rules {
            let Some(described) = describe(&rule, version, &location, refusals) else {
                continue;
            };
            if !ids.insert(described.id.clone()) {
                refusals.refuse(&location, "another rule has the same `id`: give it its own");
                continue;
            }
            if let Err(problem) = regexes.admit(&rule.detection) {
                refusals.refuse(&location, problem);
                continue;
            }
            let values = written_values(&rule.detection);
            make_names_exact(&mut rule.detection);
            let compiled = match compile_rule(&rule) {
                Ok(compiled) => compiled,
                Err(error) => {
                    refusals.refuse(&location, one_line(&error.to_string()));
                    continue;
                }
            };
            examples.check(&rule, &compiled, &values, &location, refusals);
            if refusals.refuses(&location) {
                continue;
            }
            compiled_rules.push(compiled);
            required_names.push(RequiredNames {
                names: required(&rule.detection, "eventName"),
                sources: required(&rule.detection, "eventSource"),
            });
            written.push(values);
            rules.push(described);
        }
        let mut engine = Engine::new();
        engine.extend_compiled_rules(compiled_rules);
        filters::apply(reader.filters, &rules, &mut engine, refusals);

        let order: HashMap<&str, usize> = files
            .iter()
            .enumerate()
            .rev()
            .map(|(place, file)| (file.name.as_str(), place))
            .collect();
        refusals.sort(|file| order.get(file).copied());

        let literals = required_names
            .iter()
            .map(RequiredNames::literals)
            .collect::<Option<Vec<_>>>()
            .map(|values| {
                let values: BTreeSet<&String> = values.into_iter().flatten().collect();
                values.into_iter().cloned().collect()
            });
        Self {
            engine,
            described: rules,
            required_names,
            literals,
            written,
            examples: examples.checked,
        }
    }

    pub(super) fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    pub(super) fn all(&self) -> &[Rule] {
        &self.described
    }

    /// How many examples the rules carry. All of them hold.
    pub(super) const fn examples(&self) -> usize {
        self.examples
    }

    /// The rules that require no `eventName`, in the order in which they were loaded.
    pub(super) fn unfiltered_rules(&self) -> impl Iterator<Item = UnfilteredRule<'_>> {
        self.described
            .iter()
            .zip(&self.required_names)
            .filter(|(_, required)| required.names.is_none())
            .map(|(rule, required)| UnfilteredRule {
                rule,
                sources: required
                    .sources
                    .as_ref()
                    .map(|sources| sources.iter().map(String::as_str).collect()),
            })
    }

    /// Whether some rule could match a record of these names. False is certain.
    pub(super) fn want(&self, names: &EventNames<'_>) -> bool {
        self.required_names.iter().any(|required| {
            may_be(required.names.as_ref(), names.event_name.as_deref())
                && may_be(required.sources.as_ref(), names.event_source.as_deref())
        })
    }

    /// Every rule with what decided it, in the order in which they were loaded.
    pub(super) fn explain(&self, record: &Value) -> Vec<RuleTrace<'_>> {
        let event = JsonEvent::borrow(record);
        let rules = self.engine.rules().iter().zip(&self.described);
        rules
            .zip(&self.written)
            .map(|((compiled, rule), written)| RuleTrace {
                rule,
                trace: Trace::from_engine(&explain_rule(compiled, &event), written),
            })
            .collect()
    }

    /// The rules that match, in the order in which they were loaded.
    pub(super) fn matching(&self, record: &Value) -> Vec<&Rule> {
        let event = JsonEvent::borrow(record);
        let name = record.get("eventName").and_then(Value::as_str);
        let mut names = Vec::new();
        self.engine
            .rules()
            .iter()
            .zip(&self.described)
            .zip(&self.required_names)
            .filter(|(_, required)| may_be(required.names.as_ref(), name))
            .filter(|((compiled, _), _)| {
                names.clear();
                compiled.conditions.iter().any(|condition| {
                    eval_condition(condition, &compiled.detections, &event, &mut names)
                })
            })
            .map(|((_, rule), _)| rule)
            .collect()
    }
}

/// Whether a name can be one of those that are wanted. One that is missing may be there in another form (a list, say):
/// then the rule itself decides.
fn may_be(wanted: Option<&BTreeSet<String>>, name: Option<&str>) -> bool {
    match (wanted, name) {
        (Some(wanted), Some(name)) => wanted.contains(name),
        _ => true,
    }
}

/// What documents say about a rule, unless it lacks something that they need.
fn describe(
    rule: &SigmaRule,
    version: AttackVersion,
    location: &DocumentLocation,
    refusals: &mut Refusals,
) -> Option<Rule> {
    let id = rule.id.as_deref().map(str::trim).unwrap_or_default();
    if id.is_empty() {
        refusals.refuse(location, "it has no `id`: give it a UUID of its own");
    }
    let level = rule.level.map(|level| match level {
        rsigma_parser::Level::Informational => Level::Informational,
        rsigma_parser::Level::Low => Level::Low,
        rsigma_parser::Level::Medium => Level::Medium,
        rsigma_parser::Level::High => Level::High,
        rsigma_parser::Level::Critical => Level::Critical,
    });
    if level.is_none() {
        refusals.refuse(location,
            "it has no `level`, which its score begins with: informational, low, medium, high or critical",
        );
    }
    let product = rule.logsource.product.as_deref().unwrap_or("aws");
    let service = rule.logsource.service.as_deref().unwrap_or("cloudtrail");
    if !product.eq_ignore_ascii_case("aws") || !service.eq_ignore_ascii_case("cloudtrail") {
        refusals.refuse(
            location,
            format!(
                "its `logsource` is {product}/{service}: only records of aws/cloudtrail arrive here"
            ),
        );
    }
    for field in tested_facts(&rule.detection) {
        refusals.refuse(location,
            format!("it tests `{field}`, which is derived only after a rule matched: use the record's own fields"),
        );
    }
    let level = level.unwrap_or_default();
    let base_score = match rule.custom_attributes.get(BASE_SCORE) {
        None => level.base_score(),
        Some(value) => value
            .as_u64()
            .and_then(|score| u8::try_from(score).ok())
            .filter(|score| *score <= 100)
            .unwrap_or_else(|| {
                refusals.refuse(
                    location,
                    format!("its `{BASE_SCORE}` is not a number from 0 to 100"),
                );
                0
            }),
    };
    (!refusals.refuses(location)).then(|| Rule {
        id: id.to_owned(),
        title: rule.title.clone(),
        level,
        attack: AttackTags::parse(&rule.tags, version),
        tags: rule.tags.clone(),
        base_score,
    })
}

#[cfg(test)]
mod tests;
