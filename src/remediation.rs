//! What to do about a finding: the catalogue and its templates, filled in with the event's values.
//!
//! **Values come from the log and are hostile.** Every value is quoted for the language that it goes into, and one that
//! breaks IAM's character set does not go in at all: its placeholder stays, and a note says so. Nothing is ever run.

use std::collections::BTreeMap;
use std::path::Path;

use minijinja::value::Value as Template;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::detection::facts::Facts;
use crate::detection::severity::first_line;
use crate::detection::sigma::{Set, SigmaError};

/// The built-in catalogue.
const BUILT_IN: &str = include_str!("../config/remediation.yaml");

/// What an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Find out what happened; changes nothing.
    Investigate,
    /// Bring back what was.
    Restore,
    /// Stop who did it.
    Contain,
    /// Keep it from happening again.
    Prevent,
    /// Close what the event shows to be open.
    Hardening,
}

/// What can come of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Risk {
    /// Somebody acts who must not.
    UnauthorizedAccess,
    /// A stronger role takes the place of a weak one.
    PrivilegeEscalation,
    /// The estate is no longer what its owners think.
    Misconfiguration,
    /// Applications and agents lose their credentials.
    Outage,
}

impl Risk {
    /// The title in documents.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::UnauthorizedAccess => "Unauthorized access",
            Self::PrivilegeEscalation => "Privilege escalation",
            Self::Misconfiguration => "Misconfiguration",
            Self::Outage => "Outage",
        }
    }
}

/// One item of the catalogue, as it is written there.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    id: String,
    kind: Kind,
    title: String,
    #[serde(default)]
    risks: Vec<Risk>,
    #[serde(default)]
    when: Option<Value>,
    #[serde(default)]
    console: Vec<String>,
    #[serde(default)]
    cli: Vec<String>,
    #[serde(default)]
    boto3: Vec<String>,
    #[serde(default)]
    notes: Vec<String>,
    #[serde(default)]
    references: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    items: Vec<Entry>,
}

/// An item, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// Its id in the catalogue.
    pub id: String,
    /// What it is for.
    pub kind: Kind,
    /// One line.
    pub title: String,
    /// What it answers.
    pub risks: Vec<Risk>,
    /// Steps in the AWS console.
    pub console: Vec<String>,
    /// Commands for a POSIX shell.
    pub cli: Vec<String>,
    /// Lines of Python.
    pub boto3: Vec<String>,
    /// What to know before.
    pub notes: Vec<String>,
    /// Where it is from.
    pub references: Vec<String>,
}

/// Why a catalogue was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// It cannot be read.
    #[error("cannot be read: {0}")]
    Read(String),
    /// It is no catalogue.
    #[error("{0}")]
    Yaml(String),
    /// A condition is no Sigma detection section.
    #[error("item {0}")]
    Condition(SigmaError),
    /// A template is wrong, or names a value that there is not.
    #[error("item {id}: {error}, in `{line}`")]
    Template {
        /// The item.
        id: String,
        /// What is wrong.
        error: String,
        /// The template.
        line: String,
    },
}

/// The values that templates may name, each with the placeholder that stands for it where it is unknown.
const VALUES: [(&str, &str); 8] = [
    ("instance_profile", "<INSTANCE_PROFILE_NAME>"),
    ("role", "<ROLE_NAME>"),
    ("account", "<ACCOUNT_ID>"),
    ("partition", "<PARTITION>"),
    ("region", "<REGION>"),
    ("user", "<USER_NAME>"),
    ("access_key_id", "<ACCESS_KEY_ID>"),
    ("principal_arn", "<PRINCIPAL_ARN>"),
];

/// Items and their templates, ready to be filled in.
#[derive(Debug)]
pub struct Catalogue {
    entries: Vec<Entry>,
    conditions: Set,
    templates: Environment<'static>,
}

impl Catalogue {
    /// The built-in catalogue, or a file's, with every fault in it.
    pub fn load(file: Option<&Path>) -> Result<Self, Vec<CatalogueError>> {
        match file {
            None => Self::parse(BUILT_IN),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| vec![CatalogueError::Read(error.to_string())])?;
                Self::parse(&text)
            }
        }
    }

    /// A catalogue from YAML, with every fault in it. Every template is rendered once, so that one that names an
    /// unknown value is found here and not at the first event.
    pub fn parse(yaml: &str) -> Result<Self, Vec<CatalogueError>> {
        let file: File = serde_saphyr::from_str(yaml)
            .map_err(|error| vec![CatalogueError::Yaml(first_line(&error))])?;
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.add_filter("sh", shell);
        templates.add_filter("py", python);
        let always =
            serde_json::json!({"always": {"trailtag.outcome|exists": true}, "condition": "always"});
        let conditions = Set::of_conditions(
            file.items
                .iter()
                .map(|entry| (entry.id.as_str(), entry.when.as_ref().unwrap_or(&always))),
        );
        let mut errors = Vec::new();
        let sample: BTreeMap<_, Template> =
            VALUES.iter().map(|(name, _)| (*name, "x".into())).collect();
        for entry in &file.items {
            for line in entry.cli.iter().chain(&entry.boto3) {
                if let Err(error) = templates.render_str(line, &sample) {
                    let error = error
                        .detail()
                        .map_or_else(|| error.kind().to_string(), str::to_owned);
                    errors.push(CatalogueError::Template {
                        id: entry.id.clone(),
                        error,
                        line: line.clone(),
                    });
                }
            }
        }
        match conditions {
            Ok(conditions) if errors.is_empty() => Ok(Self {
                entries: file.items,
                conditions,
                templates,
            }),
            Ok(_) => Err(errors),
            Err(faults) => {
                errors.extend(faults.into_iter().map(CatalogueError::Condition));
                Err(errors)
            }
        }
    }

    /// The items for one event, filled in with its values, in the catalogue's order.
    #[must_use]
    pub fn select(&self, facts: &Facts, event: &Value) -> Vec<Item> {
        let values = values(facts);
        let places = self.conditions.matches(event);
        places
            .iter()
            .filter_map(|place| self.entries.get(*place))
            .map(|entry| self.fill(entry, &values))
            .collect()
    }

    fn fill(&self, entry: &Entry, values: &BTreeMap<&'static str, Filled>) -> Item {
        let context: BTreeMap<_, Template> = values
            .iter()
            .map(|(name, value)| (*name, value.clone().into()))
            .collect();
        let mut notes = entry.notes.clone();
        let mut render = |lines: &[String]| -> Vec<String> {
            lines
                .iter()
                .map(|line| {
                    for (name, value) in values {
                        if let Some(note) = value
                            .note(name)
                            .filter(|note| names(line, name) && !notes.contains(note))
                        {
                            notes.push(note);
                        }
                    }
                    // Every template was rendered when it was loaded, with the same names.
                    self.templates
                        .render_str(line, &context)
                        .unwrap_or_else(|_| line.clone())
                })
                .collect()
        };
        let (cli, boto3) = (render(&entry.cli), render(&entry.boto3));
        Item {
            id: entry.id.clone(),
            kind: entry.kind,
            title: entry.title.clone(),
            risks: entry.risks.clone(),
            console: entry.console.clone(),
            cli,
            boto3,
            notes,
            references: entry.references.clone(),
        }
    }
}

/// Whether a template names a value.
fn names(line: &str, name: &str) -> bool {
    line.split("{{").skip(1).any(|rest| {
        rest.trim_start()
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with([' ', '|', '}']))
    })
}

/// A value for a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Filled {
    /// The event's own.
    Known(String),
    /// The event does not say.
    Missing(&'static str),
    /// The event says something that cannot be a value of this kind.
    Hostile(&'static str),
}

impl Filled {
    fn note(&self, name: &str) -> Option<String> {
        match self {
            Self::Known(_) => None,
            Self::Missing(placeholder) => Some(format!(
                "{placeholder}: the record does not say; fill in the {}.",
                name.replace('_', " ")
            )),
            Self::Hostile(placeholder) => Some(format!(
                "{placeholder}: the record's {} has characters that AWS does not allow there, and was left out.",
                name.replace('_', " ")
            )),
        }
    }
}

impl From<Filled> for Template {
    fn from(filled: Filled) -> Self {
        match filled {
            Filled::Known(value) => Self::from(value),
            Filled::Missing(placeholder) | Filled::Hostile(placeholder) => Self::from(placeholder),
        }
    }
}

fn values(facts: &Facts) -> BTreeMap<&'static str, Filled> {
    let (target, actor) = (&facts.target, &facts.actor);
    let user = actor
        .name
        .clone()
        .filter(|_| actor.kind.as_deref() == Some("IAMUser"));
    let of = |name: &str| match name {
        "instance_profile" => target.instance_profile.clone(),
        "role" => target.role.clone(),
        "account" => target.account.clone(),
        "partition" => Some(target.partition.clone()),
        "region" => target.region.clone(),
        "user" => user.clone(),
        "access_key_id" => actor.access_key_id.clone(),
        _ => actor.principal_arn.clone(),
    };
    VALUES
        .into_iter()
        .map(|(name, placeholder)| {
            let filled = match of(name) {
                None => Filled::Missing(placeholder),
                Some(value) if is_plausible(name, &value) => Filled::Known(value),
                Some(_) => Filled::Hostile(placeholder),
            };
            (name, filled)
        })
        .collect()
}

/// Whether AWS could have made this value: IAM's character set, and ARNs with `:` and `/` beside it.
fn is_plausible(name: &str, value: &str) -> bool {
    let extra = if name == "principal_arn" { ":/" } else { "" };
    let allowed = |character: char| {
        character.is_ascii_alphanumeric()
            || "_+=,.@-".contains(character)
            || extra.contains(character)
    };
    // A value that begins with a dash would be read as an option.
    !value.is_empty()
        && value.len() <= 2048
        && !value.starts_with('-')
        && value.chars().all(allowed)
}

/// Quotes for a POSIX shell; also what the guard before it lets through, so that neither rests on the other.
fn shell(value: &str) -> String {
    let clean: String = value
        .chars()
        .filter(|character| *character != '\0')
        .collect();
    shlex::try_quote(&clean).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

/// A Python string literal: ASCII, with everything else escaped, so that nothing in it can look like something else.
fn python(value: &str) -> String {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                literal.push('\\');
                literal.push(character);
            }
            ' '..='~' => literal.push(character),
            _ => {
                use std::fmt::Write as _;
                // Writing to a string does not fail.
                let _ = write!(literal, "\\U{:08x}", u32::from(character));
            }
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_built_in_catalogue_loads() {
        assert!(!Catalogue::load(None).unwrap().entries.is_empty());
    }

    #[test]
    fn a_template_that_names_an_unknown_value_is_refused() {
        let errors = Catalogue::parse(
            "items: [{id: a, kind: restore, title: A, cli: ['aws {{ nonsense | sh }}']}]",
        )
        .unwrap_err();
        let text = errors.first().unwrap().to_string();
        assert!(
            text.starts_with("item a: ") && text.contains("{{ nonsense | sh }}"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_key_is_refused() {
        let errors =
            Catalogue::parse("items: [{id: a, kind: restore, title: A, clii: []}]").unwrap_err();
        assert!(
            matches!(errors.as_slice(), [CatalogueError::Yaml(text)] if text.contains("clii")),
            "{errors:?}"
        );
    }

    proptest! {
        /// What a shell reads back is what went in, less NUL, which no argument can hold.
        #[test]
        fn the_shell_reads_back_one_word(value in any::<String>()) {
            let words = shlex::split(&shell(&value)).unwrap();
            prop_assert_eq!(words, vec![value.replace('\0', "")]);
        }

        #[test]
        fn python_literals_are_printable_ascii_and_closed(value in any::<String>()) {
            let literal = python(&value);
            prop_assert!(literal.chars().all(|character| (' '..='~').contains(&character)));
            let inner = &literal[1..literal.len() - 1];
            let mut escaped = false;
            for character in inner.chars() {
                prop_assert!(escaped || character != '"');
                escaped = !escaped && character == '\\';
            }
            prop_assert!(!escaped);
        }
    }
}
