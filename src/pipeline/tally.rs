//! What became of messages and their elements, counted.

use crate::cloudtrail::envelope::Skip;
use crate::model::dead_letter::Reason;
use crate::model::{Level, SequenceKind};

/// How many of what: adds up over messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records that no rule matched.
    pub ignored: u64,
    /// Records that became findings, all of whose documents can be sent.
    pub matched: u64,
    /// Records, or whole messages, that became dead letters.
    pub dead_lettered: u64,
    /// Elements that are valid and carry no record, by kind, in the order of [`Skip::ALL`].
    pub skipped: [u64; Skip::ALL.len()],
    /// Dead letters by reason, in the order of [`Reason::ALL`].
    pub dead_letters: [u64; Reason::ALL.len()],
    /// Findings by level, in the order of [`Level::ALL`].
    pub findings: [u64; Level::ALL.len()],
    /// Steps of sequences that records are.
    pub steps: u64,
    /// Sequences that became documents, by kind, in the order of [`SequenceKind::ALL`].
    pub sequences: [u64; SequenceKind::ALL.len()],
}

impl Tally {
    /// Every record, whatever became of it.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.ignored + self.matched + self.dead_lettered
    }

    /// Counts a dead letter, and the record or message that it was.
    pub fn dead_letter(&mut self, reason: Reason) {
        self.dead_lettered += 1;
        if let Some(count) = self.dead_letters.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts an element that carries no record.
    pub fn skip(&mut self, kind: Skip) {
        if let Some(count) = self.skipped.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// Counts a finding.
    pub fn finding(&mut self, level: Level) {
        if let Some(count) = self.findings.get_mut(level as usize) {
            *count += 1;
        }
    }

    /// Counts a sequence.
    pub fn sequence(&mut self, kind: SequenceKind) {
        if let Some(count) = self.sequences.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |mine, theirs| mine + theirs);
    }

    /// Takes another tally, which is part of this one, away from it.
    pub fn subtract(&mut self, other: &Self) {
        self.zip(other, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        // A loop for each list, whose length is known: one over all of them takes several times as long for each message.
        zip_list(&mut self.skipped, &other.skipped, &combine);
        zip_list(&mut self.dead_letters, &other.dead_letters, &combine);
        zip_list(&mut self.findings, &other.findings, &combine);
        zip_list(&mut self.sequences, &other.sequences, &combine);
        self.steps = combine(self.steps, other.steps);
        self.ignored = combine(self.ignored, other.ignored);
        self.matched = combine(self.matched, other.matched);
        self.dead_lettered = combine(self.dead_lettered, other.dead_lettered);
    }
}

fn zip_list<const N: usize>(
    mine: &mut [u64; N],
    theirs: &[u64; N],
    combine: &impl Fn(u64, u64) -> u64,
) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine = combine(*mine, *theirs);
    }
}
