//! What is wrong with rules, and which of them it is wrong with.
//!
//! Whether one that is refused keeps all others from being used is for the caller to say, so each is known by the number
//! of its document, and nothing of it goes on.

use std::collections::BTreeSet;

use super::read::DocumentLocation;
use crate::detection::files::Unreadable;
use crate::model::fault::Faults;

/// What has been found so far.
#[derive(Default)]
pub(in crate::detection) struct Refusals {
    /// What is wrong.
    pub(in crate::detection) faults: Faults,
    /// What is most likely wrong.
    pub(in crate::detection) warnings: Faults,
    documents: BTreeSet<usize>,
    files: usize,
    /// Ids and titles of what is refused: a filter may name them.
    names: BTreeSet<String>,
}

impl Refusals {
    /// Files that cannot be read.
    pub(in crate::detection) fn of_files(files: Vec<Unreadable>) -> Self {
        let mut refusals = Self::default();
        for Unreadable { name, error } in files {
            refusals.files += 1;
            refusals.faults.add(&name, None, None, error);
        }
        refusals
    }

    /// How many rules, filters and files are refused.
    pub(in crate::detection) fn count(&self) -> usize {
        self.documents.len() + self.files
    }

    pub(super) fn refuse(&mut self, location: &DocumentLocation, problem: impl Into<String>) {
        self.leave_out(location);
        location.note(&mut self.faults, problem);
    }

    /// Refuses a document for a reason that was told with another.
    pub(super) fn leave_out(&mut self, location: &DocumentLocation) {
        self.documents.insert(location.number);
        self.names.extend(location.names.iter().cloned());
    }

    pub(super) fn warn(&mut self, location: &DocumentLocation, problem: impl Into<String>) {
        location.note(&mut self.warnings, problem);
    }

    /// Whether a document is refused.
    pub(super) fn refuses(&self, location: &DocumentLocation) -> bool {
        self.documents.contains(&location.number)
    }

    /// Whether something of this id or title is refused.
    pub(super) fn refuses_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// Reading and compiling each found their own: puts them as the files stand.
    pub(super) fn sort(&mut self, order: impl Fn(&str) -> Option<usize> + Copy) {
        self.faults.sort_by_file(order);
        self.warnings.sort_by_file(order);
    }
}
