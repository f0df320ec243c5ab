//! The elements of one message that cannot be read: a dead letter each, or, where they are many, one together.
//!
//! A few bytes unfold into millions of elements. Were each a dead letter, they would cost whoever reads the dead-letter
//! topic, and us, a million times what they cost their sender.

use super::{Outputs, Tally};
use crate::cloudtrail::envelope::Rejection;
use crate::dead_letter::{DeadLetter, Reason};

/// How many elements of one message are looked at. The largest files of CloudTrail have some ten thousand.
pub const MOST_ELEMENTS: u32 = 1 << 20;

/// The elements of one message that cannot be read.
pub(super) struct Unreadable {
    /// How many become a dead letter each.
    most: u32,
    seen: u32,
    /// What is wrong with the first one.
    first: Option<(Reason, String)>,
    /// Their letters among those of the part that is being made.
    letters: Vec<usize>,
    /// The message has more elements than are looked at.
    pub(super) is_cut: bool,
}

impl Unreadable {
    pub(super) const fn up_to(most: u32) -> Self {
        Self {
            most,
            seen: 0,
            first: None,
            letters: Vec::new(),
            is_cut: false,
        }
    }

    /// One that an earlier part has seen to.
    pub(super) fn pass_over(&mut self, fault: (Reason, String)) {
        self.seen += 1;
        self.first.get_or_insert(fault);
    }

    /// The part leaves.
    pub(super) fn has_left(&mut self) {
        self.letters.clear();
    }

    /// One that becomes a dead letter; or the one too many, which takes the letters of those before it back.
    pub(super) fn take(&mut self, rejection: Rejection<'_>, out: &mut Outputs, tally: &mut Tally) {
        self.seen += 1;
        if self.seen <= self.most {
            tally.dead_letter(rejection.reason);
            self.first
                .get_or_insert_with(|| (rejection.reason, rejection.error.clone()));
            self.letters.push(out.dead_letters.len());
            out.dead_letter(DeadLetter {
                reason: rejection.reason,
                error: rejection.error,
                index: rejection.index,
                payload: rejection.bytes.to_vec(),
            });
            return;
        }
        self.first
            .get_or_insert((rejection.reason, rejection.error));
        for place in self.letters.drain(..).rev() {
            let letter = out.dead_letters.remove(place);
            out.bytes -= out.letter_size(&letter);
            tally.recall_dead_letter(letter.reason);
        }
    }

    /// Why the message as a whole becomes a dead letter, if it does.
    pub(super) fn together(self, elements: u32) -> Option<(Reason, String)> {
        if self.is_cut {
            let error = format!(
                "the message has more than {MOST_ELEMENTS} elements; the rest of them was not looked at"
            );
            return Some((Reason::DecodedTooLarge, error));
        }
        let (reason, error) = self.first.filter(|_| self.seen > self.most)?;
        let Self { seen, most, .. } = self;
        let error = format!(
            "{seen} of {elements} elements cannot be read, more than {most} (input.max_unreadable); the first: {error}"
        );
        Some((reason, error))
    }
}
