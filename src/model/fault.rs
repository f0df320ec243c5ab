//! What is wrong with what an operator wrote or set up: where it stands, which part of it, what is wrong, what to do.
//!
//! Configuration, rules, severity, remediation and brokers are all told of in this form, which stays what it is until it
//! is printed. Faults are gathered, never returned one by one: a person corrects a file once. No fault shows a secret.

use std::cmp::Ordering;
use std::fmt;
use std::path::Path;

use super::visible::write_visible;

/// How many faults are told.
const MOST: usize = 1000;

/// How long the problem of one may be, in characters; what is quoted from a file may have no end.
const LONGEST: usize = 1000;

/// Where it stands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Place {
    /// In a file.
    File {
        /// The file, or `built-in …` for what is compiled in.
        path: Box<Path>,
        /// The line, from 1; none when the fault is about something that the file does not say.
        line: Option<usize>,
    },
    /// In this environment variable.
    Environment(String),
    /// Nowhere: it is the built-in default, was built in code, or is what the brokers answer.
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
    /// Where it stands.
    pub place: Place,
    /// The setting, as `routes[1].format`, or the rule, factor or item, by its kind and id or title; empty when the fault is
    /// the file's as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do; empty where the message says it.
    pub hint: String,
    /// The other settings that this was concluded from: where one of them is at fault itself, this is no news.
    pub(crate) concluded_from: &'static [&'static str],
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
        // Keys and values come from a file, whose name may be anything too, and may hold a line break.
        for part in [&place, &self.key].into_iter().filter(|it| !it.is_empty()) {
            write_visible(part, f)?;
            f.write_str(": ")?;
        }
        write_visible(&self.message, f)?;
        if !self.hint.is_empty() {
            f.write_str("; ")?;
            write_visible(&self.hint, f)?;
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}

/// The first of very many faults, and how many more there are.
pub(crate) fn told(mut faults: Vec<Fault>) -> Vec<Fault> {
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

/// What keeps nothing from being used, and should be known all the same.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notes {
    /// What is most likely a mistake.
    pub warnings: Faults,
    /// What is wrong with rules that were left out.
    pub skipped: Faults,
    /// How many rules and filters were left out.
    pub skipped_rules: usize,
}

/// Everything that is wrong, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults of a configuration: the file's first, in the order of its lines.
    pub(crate) fn in_order(mut faults: Vec<Fault>) -> Self {
        faults.sort_by(|a, b| (&a.place, &a.key).cmp(&(&b.place, &b.key)));
        Self(told(faults))
    }

    /// The faults.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Remembers one more of a file, up to [`MOST`].
    pub(crate) fn add(
        &mut self,
        file: &str,
        line: Option<usize>,
        subject: Option<String>,
        problem: impl Into<String>,
    ) {
        let (line, subject, problem) = match self.0.len().cmp(&MOST) {
            Ordering::Less => (line, subject, shortened(problem.into())),
            Ordering::Equal => {
                let problem = format!(
                    "there is more that is wrong, here or in other files: the first {MOST} are told"
                );
                (None, None, problem)
            }
            Ordering::Greater => return,
        };
        let place = Place::File {
            path: Path::new(file).into(),
            line,
        };
        self.0
            .push(Fault::new(subject.unwrap_or_default(), problem, "").at(place));
    }

    /// As the files stand, by the place that `order` gives them, and by line; those without a place come first.
    pub(crate) fn sort_by_file(&mut self, order: impl Fn(&str) -> Option<usize>) {
        self.0.sort_by_key(|fault| match &fault.place {
            Place::File { path, line } => (path.to_str().and_then(&order), *line),
            Place::Environment(_) | Place::Default => (None, None),
        });
    }

    /// `value`, unless something was wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

impl From<Fault> for Faults {
    fn from(fault: Fault) -> Self {
        Self(vec![fault])
    }
}

impl Extend<Fault> for Faults {
    fn extend<T: IntoIterator<Item = Fault>>(&mut self, faults: T) {
        self.0.extend(faults);
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

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_of_the_parts_that_it_has() {
        let fault = Fault::new("routes[0]\n", "is\tempty", "name it");
        assert_eq!(fault.to_string(), "routes[0]\\n: is\\tempty; name it");
        let place = Place::File {
            path: Path::new("a b.yml").into(),
            line: Some(7),
        };
        assert_eq!(
            fault.at(place).to_string(),
            "a b.yml:7: routes[0]\\n: is\\tempty; name it"
        );
        let mut faults = Faults::default();
        faults.add(
            "rules.yml",
            Some(2),
            Some("rule `x`".to_owned()),
            "no title",
        );
        faults.add("rules.yml", None, None, "no rules");
        assert_eq!(
            faults.to_string(),
            "rules.yml:2: rule `x`: no title\nrules.yml: no rules"
        );
    }

    #[test]
    fn what_has_no_end_is_told_up_to_a_bound() {
        let mut faults = Faults::default();
        for _ in 0..MOST + 5 {
            faults.add("x", Some(1), None, "y".repeat(LONGEST + 1));
        }
        assert_eq!(faults.len(), MOST + 1);
        let told = faults.to_string();
        assert!(
            told.lines()
                .all(|line| line.chars().count() <= "x:1: ".len() + LONGEST + 1)
        );
        assert!(told.ends_with(
            "x: there is more that is wrong, here or in other files: the first 1000 are told"
        ));
    }
}
