//! Rule files as documents: which rules and filters there are, and where in its file each stands.
//!
//! In flow files; out flow parsed rules and filters with their places. What cannot be parsed is a fault.

use rsigma_parser::{FilterRule, SigmaRule};

use super::examples::EXAMPLES;
use crate::detection::fault::{Faults, one_line};
use crate::detection::files::{File, documents, key_line, line_in, top_level};

/// What has been read so far.
#[derive(Default)]
pub(super) struct Read {
    pub(super) rules: Vec<(SigmaRule, Place)>,
    pub(super) filters: Vec<(FilterRule, Place)>,
}

/// Where a document stands.
#[derive(Clone)]
pub(super) struct Place {
    file: String,
    line: usize,
    /// The line of its examples; that of the document where it has none.
    examples: usize,
    subject: Option<String>,
}

impl Place {
    pub(super) fn fault(&self, faults: &mut Faults, problem: impl Into<String>) {
        faults.add(&self.file, Some(self.line), self.subject.clone(), problem);
    }

    /// The same rule, where its examples stand.
    pub(super) fn of_examples(&self) -> Self {
        Self {
            line: self.examples,
            ..self.clone()
        }
    }
}

impl Read {
    /// Reads every document of a file.
    pub(super) fn file(&mut self, file: &File, faults: &mut Faults) {
        for (line, text) in documents(&file.text) {
            let key = |name: &str| key_line(text, name).map(|at| line + at);
            let subject = top_level(text, "title").map(|title| format!("rule {title:?}"));
            let place = Place {
                file: file.name.clone(),
                line,
                examples: key(EXAMPLES).unwrap_or(line),
                subject,
            };
            if let Some(at) = key("action") {
                Place { line: at, ..place }.fault(
                    faults,
                    "collections with `action` are not supported: write each rule out",
                );
                continue;
            }
            // Blank lines before it make the parser count as the file does.
            let padded = format!("{}{text}", "\n".repeat(line.saturating_sub(1)));
            let collection = match rsigma_parser::parse_sigma_yaml(&padded) {
                Ok(collection) => collection,
                Err(error) => {
                    place.fault(faults, one_line(&error.to_string()));
                    continue;
                }
            };
            for error in collection.errors {
                let at = line_in(&error)
                    .or_else(|| {
                        error
                            .contains("ondition")
                            .then(|| key("condition"))
                            .flatten()
                    })
                    .or_else(|| error.contains("level").then(|| key("level")).flatten())
                    .unwrap_or(line);
                let at = Place {
                    line: at,
                    ..place.clone()
                };
                if counts(text) {
                    at.fault(
                        faults,
                        "conditions that count records (`| count() …`) are not supported: a rule here sees one record at a time",
                    );
                } else {
                    at.fault(faults, one_line(&error));
                }
            }
            for _ in collection.correlations {
                place.fault(
                    faults,
                    "correlation rules are not supported: a rule here sees one record at a time",
                );
            }
            self.rules.extend(
                collection
                    .rules
                    .into_iter()
                    .map(|rule| (rule, place.clone())),
            );
            self.filters.extend(
                collection
                    .filters
                    .into_iter()
                    .map(|filter| (filter, place.clone())),
            );
        }
    }
}

/// Whether a condition ends in what Sigma had before correlation rules: a pipe, and what to count.
fn counts(document: &str) -> bool {
    key_line(document, "condition")
        .and_then(|at| document.lines().nth(at))
        .is_some_and(|line| line.contains(" | "))
}
