//! What is wrong with a rule, a severity model or a catalogue: which file, which line, which entry, and what to do.
//!
//! Loaders gather faults and go on, so that whoever writes these files sees all of them at once.

use std::fmt;

use serde_saphyr::Spanned;

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, or `built-in …` for what is compiled in.
    pub file: String,
    /// The line, counted from 1; none where the file as a whole is at fault.
    pub line: Option<usize>,
    /// The rule, factor or item, by its kind and id or title; none where it could not be read.
    pub subject: Option<String>,
    /// What is wrong and what to do, in one line.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.file)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        if let Some(subject) = &self.subject {
            write!(out, ": {subject}")?;
        }
        write!(out, ": {}", self.problem)
    }
}

/// Everything that is wrong, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.0.iter().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            write!(out, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

impl Faults {
    /// Remembers one more.
    pub(crate) fn add(
        &mut self,
        file: &str,
        line: Option<usize>,
        subject: Option<String>,
        problem: impl Into<String>,
    ) {
        self.0.push(Fault {
            file: file.to_owned(),
            line,
            subject,
            problem: problem.into(),
        });
    }

    /// `value`, unless something was wrong.
    pub(crate) fn or<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }
}

/// Reads a YAML file's text; what the reader says is wrong becomes a fault with its line.
pub(crate) fn read_yaml<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
    faults: &mut Faults,
) -> Option<T> {
    match serde_saphyr::from_str(text) {
        Ok(value) => Some(value),
        Err(error) => {
            let line = error
                .location()
                .and_then(|location| usize::try_from(location.line()).ok())
                .filter(|line| *line > 0);
            let message = error.without_snippet().to_string();
            faults.add(file, line, None, one_line(&message));
            None
        }
    }
}

/// Reads the entries of a list one by one, each with its line, so that what is wrong in one hides nothing that is wrong in
/// another.
pub(crate) fn read_entries<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
    entries: &[Spanned<serde_json::Value>],
    faults: &mut Faults,
) -> Vec<(usize, T)> {
    let mut read = Vec::new();
    for entry in entries {
        let line = usize::try_from(entry.referenced.line()).unwrap_or_default();
        let alone = alone(text, line);
        let value = match serde_saphyr::from_str::<Vec<T>>(&alone) {
            Ok(mut values) if values.len() == 1 => values.pop(),
            // Blank lines stand for the text before it, so that lines are those of the file.
            Err(_) if alone.trim_start().starts_with('-') => {
                read_yaml::<Vec<T>>(file, &alone, faults).and_then(|mut values| values.pop())
            }
            // Written in one line with others, as JSON is.
            _ => match serde_json::from_value(entry.value.clone()) {
                Ok(value) => Some(value),
                Err(error) => {
                    faults.add(file, Some(line), None, one_line(&error.to_string()));
                    None
                }
            },
        };
        read.extend(value.map(|value| (line, value)));
    }
    read
}

/// The entry that begins in a line, as a list of itself, at its place in an otherwise empty file.
fn alone(text: &str, line: usize) -> String {
    let mut lines = text.lines().skip(line.saturating_sub(1));
    let first = lines.next().unwrap_or_default();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let dash = indent(first);
    let within = lines.take_while(|line| {
        line.trim().is_empty() || line.trim_start().starts_with('#') || indent(line) > dash
    });
    let mut alone = "\n".repeat(line.saturating_sub(1));
    for line in std::iter::once(first).chain(within) {
        alone.push_str(line);
        alone.push('\n');
    }
    alone
}

/// The same words with every run of white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
