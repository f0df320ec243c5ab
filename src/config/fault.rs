//! What is wrong with a setting: where it stands, which one it is, what is wrong, what to do.
//!
//! Faults are gathered, never returned one by one: a person corrects a file once. No fault shows a secret.

use std::fmt;
use std::path::PathBuf;

use crate::model::visible::write_visible;

/// Where a setting was set.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; none when the fault is about something that the file does not say.
        line: Option<usize>,
    },
    /// In this environment variable.
    Environment(String),
    /// Nowhere: it is the built-in default, or the configuration was built in code.
    #[default]
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File {
                path,
                line: Some(line),
            } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
            Self::Default => Ok(()),
        }
    }
}

/// One thing that is wrong. Displayed as one line: `config.yaml:12: routes[1].fromat: unknown key; did you mean …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was set.
    pub place: Place,
    /// The setting, as `routes[1].format`; empty when the fault is the file's as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// The other settings that this was concluded from: where one of them is at fault itself, this is no news.
    pub(super) concluded_from: &'static [&'static str],
}

impl Fault {
    /// A fault of a setting, wherever it was set.
    pub fn new(
        key: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            place: Place::Default,
            key: key.into(),
            message: message.into(),
            hint: hint.into(),
            concluded_from: &[],
        }
    }

    /// The same fault, at a place.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place, ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = self.place.to_string();
        let parts = [&place, &self.key]
            .into_iter()
            .filter(|part| !part.is_empty());
        let what = format!("{}; {}", self.message, self.hint);
        for (index, part) in parts.chain([&what]).enumerate() {
            if index > 0 {
                f.write_str(": ")?;
            }
            // Keys and values come from a file and may hold a line break.
            write_visible(part, f)?;
        }
        Ok(())
    }
}

/// How many faults are told.
const MOST: usize = 1000;

/// The first of very many faults, and how many more there are.
pub(super) fn told(mut faults: Vec<Fault>) -> Vec<Fault> {
    if let Some(more) = faults.len().checked_sub(MOST).filter(|more| *more > 1) {
        faults.truncate(MOST);
        faults.push(Fault::new(
            "",
            format!("{more} more settings are wrong"),
            "correct those that are named first",
        ));
    }
    faults
}

/// Everything that is wrong with a configuration, the file's faults first, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn new(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| (&a.place, &a.key).cmp(&(&b.place, &b.key)));
        Self(told(faults))
    }

    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl IntoIterator for Faults {
    type Item = Fault;
    type IntoIter = std::vec::IntoIter<Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'f> IntoIterator for &'f Faults {
    type Item = &'f Fault;
    type IntoIter = std::slice::Iter<'f, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
