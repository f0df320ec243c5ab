//! Steps to documents, in one process: for commands and hosts that see the whole input.

use super::State;
use crate::config;
use crate::finding::Sequence;
use crate::model::SequenceKind;
use crate::pipeline::{Outputs, Pipeline};

/// How many sequences there were, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SequenceTally {
    /// In the order of [`SequenceKind::ALL`].
    pub kinds: [u64; SequenceKind::ALL.len()],
}

impl SequenceTally {
    /// Counts one.
    pub fn count(&mut self, kind: SequenceKind) {
        if let Some(count) = self.kinds.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// Every kind with its number.
    pub fn each(&self) -> impl Iterator<Item = (SequenceKind, u64)> {
        SequenceKind::ALL.into_iter().zip(self.kinds)
    }
}

/// What was seen so far, in memory: everything in one partition.
#[derive(Debug)]
pub struct Fold {
    state: State,
    /// The sequences that became documents.
    pub tally: SequenceTally,
}

impl Fold {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(settings: &config::Sequences) -> Self {
        Self {
            state: State::new(settings),
            tally: SequenceTally::default(),
        }
    }

    /// Takes the steps out of the outputs, and adds the documents of what they complete. `pipeline` is the one that made
    /// them, with [`Pipeline::collecting_steps`].
    pub fn fold(&mut self, pipeline: &Pipeline, out: &mut Outputs) {
        for step in std::mem::take(&mut out.steps) {
            for sequence in self.state.step(&step) {
                self.complete(pipeline, &sequence, out);
            }
        }
    }

    fn complete(&mut self, pipeline: &Pipeline, sequence: &Sequence, out: &mut Outputs) {
        if pipeline.complete(sequence, out).is_some() {
            self.tally.count(sequence.kind);
        }
    }
}
