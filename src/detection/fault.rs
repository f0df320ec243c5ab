//! What is wrong with a rule, a severity model or a catalogue: which file, which line, which entry, and what to do.
//!
//! Loaders gather faults and go on, so that whoever writes these files sees all of them at once.

use std::cmp::Ordering;
use std::fmt;

use crate::model::visible::write_visible;

/// How many faults are told.
const MOST: usize = 1000;

/// How long one is, in characters; what is quoted from a file may have no end.
const LONGEST: usize = 1000;

/// One thing that is wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileFault {
    /// The file, or `built-in …` for what is compiled in.
    pub file: String,
    /// The line, counted from 1; none where the file as a whole is at fault.
    pub line: Option<usize>,
    /// The rule, factor or item, by its kind and id or title; none where it could not be read.
    pub subject: Option<String>,
    /// What is wrong and what to do, in one line.
    pub problem: String,
}

impl fmt::Display for FileFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // One line each, whatever the file is called and whatever is quoted from it.
        write_visible(&self.file, out)?;
        if let Some(line) = self.line {
            write!(out, ":{line}")?;
        }
        for part in self.subject.iter().chain([&self.problem]) {
            out.write_str(": ")?;
            write_visible(part, out)?;
        }
        Ok(())
    }
}

/// Everything that is wrong, one a line.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileFaults(pub Vec<FileFault>);

impl fmt::Display for FileFaults {
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

impl std::error::Error for FileFaults {}

impl FileFaults {
    /// Remembers one more, up to [`MOST`].
    pub(crate) fn add(
        &mut self,
        file: &str,
        line: Option<usize>,
        subject: Option<String>,
        problem: impl Into<String>,
    ) {
        match self.0.len().cmp(&MOST) {
            Ordering::Less => {}
            Ordering::Equal => {
                self.0.push(FileFault {
                    file: file.to_owned(),
                    line: None,
                    subject: None,
                    problem: format!("there is more that is wrong, here or in other files: the first {MOST} are told"),
                });
                return;
            }
            Ordering::Greater => return,
        }
        self.0.push(FileFault {
            file: file.to_owned(),
            line,
            subject,
            problem: shortened(problem.into()),
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

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// The same words with every run of white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
