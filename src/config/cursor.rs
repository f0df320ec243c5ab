//! The way to a setting, and its place in the schema.
//!
//! The schema goes in; for each setting come out its type, its choices and its names, as the schema has them. What a
//! file says is not known here.

use std::fmt;

use jsonschema::paths::{Location, LocationSegment};
use serde_json::{Map, Value};

/// The name under which the schema's `format` keeps durations.
pub(super) const DURATION: &str = "humantime";

/// How deep settings are nested, at the most.
const MOST_LEVELS: usize = 8;

/// One step into the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way to a setting; displayed as `routes[1].format`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path(pub(super) Vec<Step>);

impl Path {
    pub(super) fn key(&self, name: &str) -> Self {
        self.with(Step::Key(name.to_owned()))
    }

    pub(super) fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl From<&Location> for Path {
    fn from(location: &Location) -> Self {
        let step = |segment: LocationSegment<'_>| match segment {
            LocationSegment::Property(name) => Step::Key(name.into_owned()),
            LocationSegment::Index(index) => Step::Index(index),
        };
        Self(location.segments().map(step).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(name) if index == 0 => f.write_str(name)?,
                Step::Key(name) => write!(f, ".{name}")?,
                Step::Index(number) => write!(f, "[{number}]")?,
            }
        }
        Ok(())
    }
}

/// A place in the schema.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'s> {
    root: &'s Value,
    /// Where the setting is declared, with its own description and default.
    site: Option<&'s Value>,
    /// The same, or what it refers to.
    target: Option<&'s Value>,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(root: &'s Value) -> Self {
        Self {
            root,
            site: Some(root),
            target: Some(root),
        }
    }

    fn to(self, site: Option<&'s Value>) -> Self {
        let target = site.and_then(|site| match site.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.root.pointer(reference.strip_prefix('#')?),
            None => Some(site),
        });
        Self {
            root: self.root,
            site,
            target,
        }
    }

    pub(super) fn keyword(self, name: &str) -> Option<&'s Value> {
        let declared = |schema: Option<&'s Value>| schema.and_then(|schema| schema.get(name));
        declared(self.site).or_else(|| declared(self.target))
    }

    pub(super) fn text(self, keyword: &str) -> Option<&'s str> {
        self.keyword(keyword)?.as_str()
    }

    pub(super) fn is(self, kind: &str) -> bool {
        self.text("type") == Some(kind)
    }

    /// Whether the schema knows nothing about this place.
    pub(super) const fn is_unknown(self) -> bool {
        self.target.is_none()
    }

    /// Whether a secret may stand here or, where a map belongs here, in it: what is written a level too high is one too.
    pub(super) fn is_secret(self) -> bool {
        self.holds_secret(MOST_LEVELS)
    }

    fn holds_secret(self, levels: usize) -> bool {
        self.keyword("writeOnly") == Some(&Value::Bool(true))
            // The names of such a map are librdkafka's or a site's own, and one may be a password's.
            || self.any_value().is_some()
            || levels > 0
                && self
                    .names()
                    .any(|name| self.key(name).holds_secret(levels - 1))
    }

    /// Whether a secret may stand right in this map: a key that is meant for nothing here may be one.
    pub(super) fn has_secret_among(self) -> bool {
        self.names().any(|name| self.key(name).holds_secret(0))
    }

    fn properties(self) -> Option<&'s Map<String, Value>> {
        self.keyword("properties")?.as_object()
    }

    /// The names that a map may hold; none when it is open.
    pub(super) fn names(self) -> impl Iterator<Item = &'s str> {
        self.properties()
            .into_iter()
            .flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// What a map with names of the user's choice holds under each.
    pub(super) fn any_value(self) -> Option<Self> {
        let values = self.keyword("additionalProperties")?;
        values.is_object().then(|| self.to(Some(values)))
    }

    pub(super) fn key(self, name: &str) -> Self {
        match self
            .properties()
            .and_then(|properties| properties.get(name))
        {
            Some(property) => self.to(Some(property)),
            None => self.any_value().unwrap_or_else(|| self.to(None)),
        }
    }

    pub(super) fn item(self) -> Self {
        self.to(self.keyword("items"))
    }

    pub(super) fn follow(self, path: &Path) -> Self {
        path.0.iter().fold(self, |cursor, step| match step {
            Step::Key(name) => cursor.key(name),
            Step::Index(_) => cursor.item(),
        })
    }

    /// The words that may stand here, each with its meaning; empty when there is no such list.
    pub(super) fn choices(self) -> Vec<(&'s str, &'s str)> {
        let words = |schema: &'s Value| {
            let meaning = schema.get("description").and_then(Value::as_str);
            let constant = schema.get("const").into_iter();
            let several = schema.get("enum").and_then(Value::as_array);
            constant
                .chain(several.into_iter().flatten())
                .filter_map(move |word| Some((word.as_str()?, meaning.unwrap_or_default())))
        };
        let alternatives = self.keyword("oneOf").and_then(Value::as_array);
        self.target
            .into_iter()
            .chain(alternatives.into_iter().flatten())
            .flat_map(words)
            .collect()
    }

    /// What may stand here, in words.
    pub(super) fn expected(self) -> String {
        let choices = self.choices();
        if !choices.is_empty() {
            let words: Vec<String> = choices
                .iter()
                .map(|(word, _)| format!("`{word}`"))
                .collect();
            return match words.as_slice() {
                [only] => only.clone(),
                words => format!("one of {}", words.join(", ")),
            };
        }
        match self.text("type") {
            Some("string") if self.text("format") == Some(DURATION) => "a duration".to_owned(),
            Some("string") => "text".to_owned(),
            Some("integer") => "a whole number".to_owned(),
            Some("boolean") => "`true` or `false`".to_owned(),
            Some("array") if self.item().is("object") => "a list of maps".to_owned(),
            Some("array") => "a list".to_owned(),
            _ => "a map".to_owned(),
        }
    }
}
