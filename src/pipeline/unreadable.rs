//! The elements of one message that cannot be read: a dead letter each, or, where they are many, one together.
//!
//! A few bytes unfold into millions of elements. Were each a dead letter, they would cost whoever reads the dead-letter
//! topic, and us, a million times what they cost their sender.

use std::ops::ControlFlow;

use crate::cloudtrail::envelope::{RawRecord, Rejection};
use crate::model::dead_letter::{DeadLetter, Reason};

/// How many elements of one message are looked at. The largest files of CloudTrail have some ten thousand.
pub const MOST_ELEMENTS: u32 = 1 << 20;

/// One element that cannot be read; or the rest of a message of too many elements.
pub(super) struct UnreadableElement<'a> {
    reason: Reason,
    error: String,
    index: Option<u32>,
    bytes: &'a [u8],
}

impl<'a> From<Rejection<'a>> for UnreadableElement<'a> {
    fn from(rejection: Rejection<'a>) -> Self {
        Self {
            reason: rejection.reason,
            error: rejection.error,
            index: rejection.index,
            bytes: rejection.bytes,
        }
    }
}

impl<'a> UnreadableElement<'a> {
    /// A record that does not parse.
    pub(super) const fn record(raw: &RawRecord<'a>, error: String) -> Self {
        Self {
            reason: Reason::InvalidJson,
            error,
            index: Some(raw.index),
            bytes: raw.json,
        }
    }

    /// What comes after the most elements that are looked at.
    pub(super) fn rest(payload: &'a [u8]) -> Self {
        Self {
            reason: Reason::DecodedTooLarge,
            error: format!(
                "the message has more than {MOST_ELEMENTS} elements; the rest of them was not looked at"
            ),
            index: None,
            bytes: payload,
        }
    }

    /// The dead letter of the element at `place`; none where it goes with the whole message's.
    pub(super) fn letter(
        self,
        place: u32,
        all: &UnreadableElements,
        payload: &[u8],
    ) -> Option<DeadLetter> {
        let Some((first, reason, error)) = all.together() else {
            return Some(dead_letter(
                self.reason,
                self.error,
                self.index,
                self.bytes,
                payload,
            ));
        };
        (place == first).then(|| DeadLetter {
            reason,
            error,
            index: None,
            payload: payload.to_vec(),
        })
    }
}

/// The largest element that leaves by itself where its message is smaller. CloudTrail's records have at most this.
const LARGEST_RECORD: usize = 256 << 10;

/// The dead letter of one element: its bytes; or the message, where a few bytes of that unfold into them.
pub(super) fn dead_letter(
    reason: Reason,
    error: String,
    index: Option<u32>,
    bytes: &[u8],
    message: &[u8],
) -> DeadLetter {
    let size = bytes.len();
    if size <= LARGEST_RECORD.max(message.len()) {
        return DeadLetter {
            reason,
            error,
            index,
            payload: bytes.to_vec(),
        };
    }
    let element = index.map_or_else(String::new, |index| format!(" {index}"));
    DeadLetter {
        reason,
        error: format!("element{element}, which decodes to {size} bytes: {error}"),
        index: None,
        payload: message.to_vec(),
    }
}

/// All of them.
pub(super) struct UnreadableElements {
    /// How many become a dead letter each.
    most: u32,
    seen: u32,
    elements: u32,
    /// Where the first one is, and what is wrong with it.
    first: Option<(u32, Reason, String)>,
}

impl UnreadableElements {
    pub(super) const fn up_to(most: u32) -> Self {
        Self {
            most,
            seen: 0,
            elements: 0,
            first: None,
        }
    }

    /// Counts the next element.
    pub(super) fn count(&mut self, fault: Option<(Reason, String)>) -> ControlFlow<()> {
        if self.elements == MOST_ELEMENTS {
            return ControlFlow::Break(());
        }
        if let Some((reason, error)) = fault {
            self.seen += 1;
            self.first.get_or_insert((self.elements, reason, error));
        }
        self.elements += 1;
        ControlFlow::Continue(())
    }

    /// Where the letter of the whole message is made, and what it says; none where each has its own.
    fn together(&self) -> Option<(u32, Reason, String)> {
        let (place, reason, error) = self.first.as_ref().filter(|_| self.seen > self.most)?;
        let Self {
            most,
            seen,
            elements,
            ..
        } = self;
        let error = format!(
            "{seen} of {elements} elements cannot be read, more than {most} (input.max_unreadable); the first: {error}"
        );
        Some((*place, *reason, error))
    }
}
