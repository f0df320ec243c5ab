//! Which records are ours: the built-in rule and the user's, loaded, and asked.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use rsigma_parser::{FilterRule, SigmaRule};
use serde::Serialize;

use super::facts::Facts;
use super::severity::{Model, ModelError, Severity};
use super::sigma::{self, Set, SigmaError};
use crate::cloudtrail::record::{Identity, Record};

/// The rule that this program is for.
const BUILT_IN: &str = include_str!("../../config/rules/remove_role_from_instance_profile.yml");
const BUILT_IN_NAME: &str = "the built-in rule";

/// What a rule is known by in documents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its UUID.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its level, as Sigma names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<String>,
}

/// What the rules and the severity model say of a record that is ours.
#[derive(Debug)]
pub struct Verdict<'a> {
    /// The rules that matched, in the order in which they were loaded.
    pub rules: Vec<&'a Rule>,
    /// The tags of those rules, sorted, each once.
    pub tags: BTreeSet<&'a str>,
    /// How dangerous it is.
    pub severity: Severity,
    /// What was derived on the way.
    pub facts: Facts,
    /// The record with its facts, as conditions see it.
    pub event: serde_json::Value,
}

/// A fault in a file of rules or of severity factors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadFault {
    /// The file, none for what is built in.
    pub file: Option<PathBuf>,
    /// What is wrong.
    pub message: String,
}

impl LoadFault {
    fn new(file: Option<&Path>, message: impl Into<String>) -> Self {
        Self {
            file: file.map(Path::to_owned),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for LoadFault {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(formatter, "{}: {}", file.display(), self.message),
            None => write!(formatter, "{BUILT_IN_NAME}: {}", self.message),
        }
    }
}

/// Rules and severity, ready to be asked.
#[derive(Debug)]
pub struct Detector {
    rules: Vec<Rule>,
    tags: Vec<Vec<String>>,
    set: Set,
    names: Option<Vec<String>>,
    model: Model,
}

impl Detector {
    /// Loads the built-in rule, the user's files and folders, and the severity model, with every fault in them.
    pub fn load(files: &[PathBuf], severity: Option<&Path>) -> Result<Self, Vec<LoadFault>> {
        let mut faults = Vec::new();
        let mut rules = Vec::new();
        let mut filters = Vec::new();
        add(None, BUILT_IN, &mut rules, &mut filters, &mut faults);
        for path in files {
            match yaml_files(path) {
                Ok(files) if files.is_empty() => {
                    faults.push(LoadFault::new(Some(path), "holds no .yml or .yaml file"));
                }
                Ok(files) => {
                    for file in files {
                        match std::fs::read_to_string(&file) {
                            Ok(text) => {
                                add(Some(&file), &text, &mut rules, &mut filters, &mut faults);
                            }
                            Err(error) => faults.push(LoadFault::new(
                                Some(&file),
                                format!("cannot be read: {error}"),
                            )),
                        }
                    }
                }
                Err(error) => faults.push(LoadFault::new(
                    Some(path),
                    format!("cannot be read: {error}"),
                )),
            }
        }
        let model = model(severity, &mut faults);
        let set = match Set::compile(&rules, &filters) {
            Ok(set) => Some(set),
            Err(errors) => {
                faults.extend(errors.into_iter().map(|error| {
                    LoadFault::new(files.first().map(PathBuf::as_path), error.to_string())
                }));
                None
            }
        };
        match (set, model) {
            (Some(set), Some(model)) if faults.is_empty() => Ok(Self {
                names: names(&rules),
                tags: rules.iter().map(|rule| rule.tags.clone()).collect(),
                rules: rules.into_iter().map(known_by).collect(),
                set,
                model,
            }),
            _ => Err(faults),
        }
    }

    /// The event names one of which a record must carry to match any rule; none when some rule does not say.
    #[must_use]
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is no rule at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a record with these names could match: a first look, before it is parsed whole.
    #[must_use]
    pub fn wants(&self, identity: &Identity<'_>) -> bool {
        match (&self.names, &identity.event_name) {
            (None, _) => true,
            (Some(names), Some(name)) => names.iter().any(|it| it == name),
            (Some(_), None) => false,
        }
    }

    /// What the rules say of a record; none when none of them matches.
    #[must_use]
    pub fn evaluate(&self, record: &Record<'_>) -> Option<Verdict<'_>> {
        let facts = Facts::of(record);
        let event = facts.over(&record.value);
        let places = self.set.matches(&event);
        if places.is_empty() {
            return None;
        }
        let tags = places
            .iter()
            .filter_map(|place| self.tags.get(*place))
            .flatten()
            .map(String::as_str)
            .collect();
        let rules = places
            .iter()
            .filter_map(|place| self.rules.get(*place))
            .collect();
        Some(Verdict {
            rules,
            tags,
            severity: self.model.score(&event),
            facts,
            event,
        })
    }
}

fn add(
    file: Option<&Path>,
    text: &str,
    rules: &mut Vec<SigmaRule>,
    filters: &mut Vec<FilterRule>,
    faults: &mut Vec<LoadFault>,
) {
    match sigma::parse(text) {
        Ok(parsed) => {
            rules.extend(parsed.rules);
            filters.extend(parsed.filters);
        }
        Err(errors) => faults.extend(
            errors
                .iter()
                .map(|error: &SigmaError| LoadFault::new(file, error.to_string())),
        ),
    }
}

fn model(severity: Option<&Path>, faults: &mut Vec<LoadFault>) -> Option<Model> {
    let parsed = match severity {
        None => Model::built_in(),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => Model::parse(&text),
            Err(error) => {
                faults.push(LoadFault::new(
                    Some(path),
                    format!("cannot be read: {error}"),
                ));
                return None;
            }
        },
    };
    match parsed {
        Ok(model) => Some(model),
        Err(errors) => {
            faults.extend(
                errors
                    .iter()
                    .map(|error: &ModelError| LoadFault::new(severity, error.to_string())),
            );
            None
        }
    }
}

/// The YAML files at a path, sorted, so that the order of rules does not hang on the file system.
fn yaml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(yaml_files(&path)?);
        } else if path
            .extension()
            .is_some_and(|it| it == "yml" || it == "yaml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn names(rules: &[SigmaRule]) -> Option<Vec<String>> {
    let mut names = BTreeSet::new();
    for rule in rules {
        names.extend(sigma::required_names(rule)?);
    }
    Some(names.into_iter().collect())
}

fn known_by(rule: SigmaRule) -> Rule {
    Rule {
        id: rule.id.unwrap_or_default(),
        title: rule.title,
        level: rule.level.map(level),
    }
}

fn level(level: rsigma_parser::Level) -> String {
    use rsigma_parser::Level::{Critical, High, Informational, Low, Medium};
    match level {
        Informational => "informational",
        Low => "low",
        Medium => "medium",
        High => "high",
        Critical => "critical",
    }
    .to_owned()
}
