//! What is wrong with a rule, a severity model or a catalogue: which file, which line, which entry, and what to do.
//!
//! Loaders gather faults and go on, so that whoever writes these files sees all of them at once.

use std::fmt;

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

/// The same words with every run of white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
