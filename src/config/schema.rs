//! The JSON Schema of the configuration, and what differs from it, in words.
//!
//! The schema is generated from the types in [`crate::config`], so that an editor, `trailtag schema` and `trailtag
//! check` agree. A tree and the schema go in; a JSON value comes out, and a fault for each place where it breaks the
//! schema. What the settings mean together is `check.rs`'s.

use std::collections::BTreeSet;

use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use yaml_rust2::Yaml;

use super::Config;
use super::cursor::{Cursor, DURATION, Path, Step};
use super::nearest::nearest;
use super::settings_list;
use super::yaml::{Data, Node, quote, without_credentials};
use crate::model::fault::{Fault, Faults};

/// The JSON Schema of the configuration.
#[must_use]
pub fn schema() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Config>()
        .to_value()
}

/// The schema of a duration, as humantime reads it.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "format": DURATION,
        "pattern": "^( *[0-9]+ *[a-zµ]+)+ *$",
    })
}

/// The JSON value that a tree means to the schema. What is not written (`key:`) is left out: it stays the default.
/// What does not fit stays text, and [`SchemaCheck::faults`] finds it.
pub(super) fn value(node: &Node, cursor: Cursor<'_>) -> Value {
    match &node.data {
        Data::Scalar { .. } if node.is_nothing() => Value::Null,
        Data::Scalar { text, plain } => {
            // A number where text is wanted keeps its own digits: `0123` is a fine name for a group.
            let meant = if *plain {
                Yaml::from_str(text)
            } else {
                Yaml::Null
            };
            match meant {
                Yaml::Integer(number) if cursor.is("integer") => number.into(),
                Yaml::Boolean(truth) if cursor.is("boolean") => truth.into(),
                _ => Value::String(text.clone()),
            }
        }
        Data::List(nodes) => nodes
            .iter()
            .map(|node| value(node, cursor.item()))
            .collect(),
        Data::Map(entries) => entries
            .iter()
            .map(|(name, node)| (name, node, cursor.key(&name.text)))
            // A name that there is not is a fault with nothing behind it too.
            .filter(|(_, node, below)| {
                !node.is_nothing() || cursor.any_value().is_some() || below.is_unknown()
            })
            .map(|(name, node, below)| (name.text.clone(), value(node, below)))
            .collect(),
    }
}

/// The schema, ready to compare with.
pub(super) struct SchemaCheck {
    schema: Value,
    validator: Validator,
}

impl SchemaCheck {
    pub(super) fn new() -> Result<Self, Faults> {
        let schema = schema();
        let validator = jsonschema::options()
            .with_format(DURATION, |text: &str| {
                humantime::parse_duration(text).is_ok()
            })
            .should_validate_formats(true)
            .build(&schema)
            .map_err(|error| {
                Fault::new(
                    "",
                    format!("the schema is broken: {error}"),
                    "report this as a bug",
                )
            })?;
        Ok(Self { schema, validator })
    }

    pub(super) fn root(&self) -> Cursor<'_> {
        Cursor::new(&self.schema)
    }

    /// Where a value breaks the schema: each place once. `node` is what the value was read from.
    ///
    /// Where very many do, the first are told one by one, and the others by their number.
    pub(super) fn faults(&self, value: &Value, node: &Node) -> Vec<Differs> {
        let mut faults = Vec::new();
        let mut seen = BTreeSet::new();
        let mut more = Vec::new();
        for error in self.validator.iter_errors(value) {
            let path = Path::from(error.instance_path());
            match error.kind() {
                ValidationErrorKind::AdditionalProperties { unexpected } => {
                    for name in unexpected {
                        let at = path.key(name);
                        if !seen.insert(at.to_string()) {
                            continue;
                        }
                        if faults.len() >= MOST_FAULTS {
                            more.push(at);
                            continue;
                        }
                        let fault = self.unknown(&path, name);
                        faults.push(Differs {
                            at: vec![at],
                            fault,
                        });
                    }
                }
                _ if !seen.insert(path.to_string()) => {}
                _ if faults.len() >= MOST_FAULTS => more.push(path),
                kind => {
                    let written = find(node, &path);
                    let cursor = self.root().follow(&path);
                    let (message, hint) = differs(kind, cursor, written)
                        .unwrap_or_else(|| (error.masked().to_string(), SEE_SCHEMA.to_owned()));
                    faults.push(Differs {
                        fault: Fault::new(path.to_string(), message, hint),
                        at: vec![path],
                    });
                }
            }
        }
        if !more.is_empty() {
            let message = format!("{} more settings are wrong", more.len());
            faults.push(Differs {
                at: more,
                fault: Fault::new("", message, "correct those that are named first"),
            });
        }
        faults
    }

    /// The fault of a name that the map at `path` does not have.
    pub(super) fn unknown(&self, path: &Path, name: &str) -> Fault {
        let map = self.root().follow(path);
        let names: Vec<&str> = map.names().collect();
        let mut is_shown = true;
        let hint = if let Some((map, below)) =
            name.split_once('.').filter(|(map, _)| names.contains(map))
        {
            format!("write `{map}:`, and below it, indented, `{below}:`")
        } else if let Some(nearest) = nearest(name, names.iter().copied()) {
            format!("did you mean `{nearest}`?")
        } else if let Some(parent) = settings_list::parent_of(&self.schema, name) {
            match parent.as_str() {
                "" => "it belongs at the top level".to_owned(),
                parent => format!("it belongs under `{parent}`"),
            }
        } else if names.is_empty() {
            "remove it".to_owned()
        } else {
            is_shown = !map.has_secret_among();
            format!("the keys here are {}", names.join(", "))
        };
        if is_shown {
            return Fault::new(path.key(name).to_string(), UNKNOWN, hint);
        }
        let length = name.chars().count();
        let what = format!("{UNKNOWN} of {length} characters, which may be a secret");
        Fault::new(path.to_string(), what, hint)
    }
}

/// A fault, and where the value is that must be left out.
pub(super) struct Differs {
    pub(super) at: Vec<Path>,
    pub(super) fault: Fault,
}

/// How many faults of one layer are told one by one.
const MOST_FAULTS: usize = 100;

/// The message of a key that there is not.
pub(super) const UNKNOWN: &str = "unknown key";

const SEE_SCHEMA: &str = "`trailtag schema` prints what may stand here";

/// The node at a path.
fn find<'n>(node: &'n Node, path: &Path) -> Option<&'n Node> {
    path.0
        .iter()
        .try_fold(node, |node, step| match (&node.data, step) {
            (Data::Map(entries), Step::Key(wanted)) => entries
                .iter()
                .find(|(name, _)| name.text == *wanted)
                .map(|(_, node)| node),
            (Data::List(nodes), Step::Index(index)) => nodes.get(*index),
            _ => None,
        })
}

/// Whether a text without its quotes is a number or a truth value.
fn means_more(text: Option<&str>) -> bool {
    let meant = text.map(Yaml::from_str);
    matches!(meant, Some(Yaml::Integer(_) | Yaml::Boolean(_)))
}

/// What is wrong and what to do, for the kinds of difference that our schema can give.
fn differs(
    kind: &ValidationErrorKind,
    cursor: Cursor<'_>,
    written: Option<&Node>,
) -> Option<(String, String)> {
    let found = match written.map(|node| (&node.data, node)) {
        Some((Data::Scalar { .. }, _)) if cursor.is_secret() => "something else".to_owned(),
        Some((_, node)) => node.describe(),
        None => "nothing".to_owned(),
    };
    let (text, quoted) = match written.map(|node| &node.data) {
        Some(Data::Scalar { text, plain }) => (Some(text.as_str()), !plain),
        _ => (None, false),
    };
    Some(match kind {
        ValidationErrorKind::Type { .. } => {
            let hint = match cursor.text("type") {
                Some("integer" | "boolean") if quoted && means_more(text) => {
                    "remove the quotes".to_owned()
                }
                Some("integer") => "write digits alone".to_owned(),
                Some("boolean") => "write one of the two".to_owned(),
                Some("array") if cursor.item().is("object") => {
                    "begin each with `- ` on a line of its own".to_owned()
                }
                Some("array") => match text {
                    Some(text) => format!("write it as `[{}]`", without_credentials(text)),
                    None => "write it as `[one, two]`".to_owned(),
                },
                Some("object") => "write its keys below it, indented".to_owned(),
                _ if cursor.text("format") == Some(DURATION) => {
                    "write a number and a unit, such as `25s`".to_owned()
                }
                _ => "write a single value".to_owned(),
            };
            (
                format!("expected {}, found {found}", cursor.expected()),
                hint,
            )
        }
        ValidationErrorKind::OneOfNotValid { .. }
        | ValidationErrorKind::Enum { .. }
        | ValidationErrorKind::Constant { .. } => {
            let words = cursor.choices();
            let hint = text
                .and_then(|text| nearest(text, words.iter().map(|(word, _)| *word)))
                .map_or_else(
                    || "write one of these".to_owned(),
                    |word| format!("did you mean `{word}`?"),
                );
            (
                format!("expected {}, found {found}", cursor.expected()),
                hint,
            )
        }
        ValidationErrorKind::Format { .. } | ValidationErrorKind::Pattern { .. } => {
            let hint = match text {
                Some(text) if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) => {
                    format!("add a unit, such as `{text}s` or `{text}ms`")
                }
                _ => "write a number and a unit, such as `25s`, `50ms` or `5m`".to_owned(),
            };
            (
                format!(
                    "expected a duration, found {}",
                    quote(text.unwrap_or_default())
                ),
                hint,
            )
        }
        ValidationErrorKind::Minimum { limit } => (
            format!("{found} is too small"),
            format!("write {limit} or more"),
        ),
        ValidationErrorKind::Maximum { limit } => (
            format!("{found} is too large"),
            format!("write {limit} or less"),
        ),
        ValidationErrorKind::MinItems { .. } => {
            ("is empty".to_owned(), "name at least one".to_owned())
        }
        ValidationErrorKind::MaxItems { limit } => (
            "is longer than it may be".to_owned(),
            format!("write {limit} or fewer"),
        ),
        ValidationErrorKind::MinLength { .. } => ("is empty".to_owned(), "name it".to_owned()),
        _ => return None,
    })
}
