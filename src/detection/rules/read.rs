//! Rule files as documents: which rules and filters there are, and where in its file each stands.
//!
//! In flow files; out flow parsed rules and filters with their places. What cannot be parsed is a fault.

use rsigma_parser::{FilterRule, SigmaRule};

use super::examples::EXAMPLES;
use super::refusals::Refusals;
use crate::config::yaml::{self, Data, Node};
use crate::detection::files::{NamedText, documents, key_line, line_in, top_level};
use crate::detection::sections;
use crate::model::fault::Faults;
use crate::model::visible::one_line;

/// What has been read so far.
#[derive(Default)]
pub(super) struct RuleReader {
    pub(super) rules: Vec<(SigmaRule, DocumentLocation)>,
    pub(super) filters: Vec<(FilterRule, DocumentLocation)>,
    documents: usize,
}

/// Where a document stands.
#[derive(Clone)]
pub(super) struct DocumentLocation {
    file: String,
    line: usize,
    /// The line of its examples; that of the document where it has none.
    examples: usize,
    subject: Option<String>,
    /// Its number among all documents of all files.
    pub(super) number: usize,
    /// Its id and its title, where it has them.
    pub(super) names: Vec<String>,
}

impl DocumentLocation {
    pub(super) fn note(&self, faults: &mut Faults, problem: impl Into<String>) {
        faults.add(&self.file, Some(self.line), self.subject.clone(), problem);
    }

    fn at(&self, line: usize) -> Self {
        Self {
            line,
            ..self.clone()
        }
    }

    /// The same rule, where its examples stand.
    pub(super) fn of_examples(&self) -> Self {
        self.at(self.examples)
    }
}

/// How many of a document's faults are told.
const MOST_FAULTS: usize = 10;

/// The longest condition, in bytes: the time that its parser takes grows with the square of the length, and its depth
/// with the brackets in it.
const LONGEST_CONDITION: usize = 4096;

impl RuleReader {
    /// Reads every document of a file.
    pub(super) fn file(&mut self, file: &NamedText, refusals: &mut Refusals) {
        for (line, text) in documents(file.text.trim_start_matches('\u{feff}')) {
            self.document(file, line, text, refusals);
        }
    }

    fn document(&mut self, file: &NamedText, line: usize, text: &str, refusals: &mut Refusals) {
        let key = |name: &str| key_line(text, name).map(|at| line + at);
        let title = top_level(text, "title");
        let names = title.into_iter().chain(top_level(text, "id"));
        self.documents += 1;
        let location = DocumentLocation {
            file: file.name.clone(),
            line,
            examples: key(EXAMPLES).unwrap_or(line),
            subject: title.map(|title| format!("rule {title:?}")),
            number: self.documents,
            names: names.map(str::to_owned).collect(),
        };
        // The lines of a document are counted from its first.
        let in_file = |at: usize| (at + line).saturating_sub(1);
        let tree = match yaml::parse_for_another(text) {
            Ok(tree) => tree,
            Err(malformed) => {
                let at = malformed.line().map_or(line, in_file);
                refusals.refuse(&location.at(at), malformed.to_string());
                return;
            }
        };
        if let Some((at, length)) = tree.as_ref().and_then(long_condition) {
            let problem = format!(
                "its `condition` has {length} bytes, and {LONGEST_CONDITION} is the most: use `1 of` and `all of`, or \
                 several rules"
            );
            refusals.refuse(&location.at(in_file(at)), problem);
            return;
        }
        if let Some(at) = key("action") {
            let problem = "collections with `action` are not supported: write each rule out";
            refusals.refuse(&location.at(at), problem);
            return;
        }
        let collection = match rsigma_parser::parse_sigma_yaml(text) {
            Ok(collection) => collection,
            Err(error) => {
                refusals.refuse(&location, one_line(&error.to_string()));
                return;
            }
        };
        if let Some(tree) = &tree {
            remark(tree, &location, in_file, refusals);
        }
        // Found once: there may be very many errors.
        let (condition, level) = (key("condition"), key("level"));
        let counts = counts(text);
        for error in collection.errors.iter().take(MOST_FAULTS) {
            let at = line_in(error)
                .map(in_file)
                .or_else(|| error.contains("ondition").then_some(condition).flatten())
                .or_else(|| error.contains("level").then_some(level).flatten())
                .unwrap_or(line);
            let problem = if counts {
                "conditions that count records (`| count() …`) are not supported: a rule here sees one record at a time"
                    .to_owned()
            } else {
                one_line(&with_lines_in_file(error, in_file))
            };
            refusals.refuse(&location.at(at), problem);
        }
        if let Some(more) = collection.errors.len().checked_sub(MOST_FAULTS + 1) {
            let problem = format!("{} more things are wrong with it", more + 1);
            refusals.refuse(&location, problem);
        }
        for _ in collection.correlations {
            refusals.refuse(
                &location,
                "correlation rules are not supported: a rule here sees one record at a time",
            );
        }
        let rules = collection.rules.into_iter();
        self.rules
            .extend(rules.map(|rule| (rule, location.clone())));
        let filters = collection.filters.into_iter();
        self.filters
            .extend(filters.map(|filter| (filter, location.clone())));
    }
}

/// Tells of what matches no record.
fn remark(
    tree: &Node,
    location: &DocumentLocation,
    in_file: impl Fn(usize) -> usize,
    refusals: &mut Refusals,
) {
    let remarks = sections::of_document(tree);
    let (refused, doubtful): (Vec<_>, Vec<_>) =
        remarks.into_iter().partition(|remark| remark.is_refused);
    let more = refused.len().checked_sub(MOST_FAULTS + 1);
    for remark in refused.into_iter().take(MOST_FAULTS) {
        refusals.refuse(&location.at(in_file(remark.line)), remark.problem);
    }
    if let Some(more) = more {
        let problem = format!("{} more things in it match no record", more + 1);
        refusals.refuse(location, problem);
    }
    for remark in doubtful.into_iter().take(MOST_FAULTS) {
        refusals.warn(&location.at(in_file(remark.line)), remark.problem);
    }
}

/// The line and the length of a condition that is too long, of a rule or of a filter.
fn long_condition(tree: &Node) -> Option<(usize, usize)> {
    let sections = ["detection", "filter", "correlation"]
        .into_iter()
        .flat_map(|name| tree.entries_of(name));
    let conditions = sections.flat_map(|section| section.entries_of("condition"));
    let mut texts = conditions.flat_map(|condition| match &condition.data {
        Data::List(nodes) => nodes.as_slice(),
        Data::Scalar { .. } | Data::Map(_) => std::slice::from_ref(condition),
    });
    texts.find_map(|node| match &node.data {
        Data::Scalar { text, .. } if text.len() > LONGEST_CONDITION => {
            Some((node.line, text.len()))
        }
        _ => None,
    })
}

/// What the YAML reader says, with the lines as the file has them.
fn with_lines_in_file(error: &str, in_file: impl Fn(usize) -> usize) -> String {
    if !error.starts_with("YAML") {
        return error.to_owned();
    }
    let mut parts = error.split("line ");
    let mut told = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        told.push_str("line ");
        let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = part.split_at(digits);
        match number.parse() {
            Ok(number) => told.push_str(&in_file(number).to_string()),
            Err(_) => told.push_str(number),
        }
        told.push_str(rest);
    }
    told
}

/// Whether a condition ends in what Sigma had before correlation rules: a pipe, and what to count.
fn counts(document: &str) -> bool {
    key_line(document, "condition")
        .and_then(|at| document.lines().nth(at))
        .is_some_and(|line| line.contains(" | "))
}
