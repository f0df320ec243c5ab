//! What messages become: documents, dead letters, and the steps of sequences.

use std::borrow::Cow;

use crate::cloudtrail::envelope::Scratch;
use crate::finding::{OriginalRecord, Step};
use crate::model::dead_letter::DeadLetter;

/// What Kafka adds around a message, at the most, beyond its key, value and headers.
pub(crate) const OVERHEAD: usize = 128;

/// What Kafka adds to a header, at the most, beyond its name and its value.
pub(crate) const HEADER_OVERHEAD: usize = 10;

/// What a step has beside its record, about: names, ids and where it came from.
const STEP: usize = 512;

/// One document for one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The place of the route in the configuration.
    pub route: usize,
    /// The record's place within its message.
    pub index: u32,
    /// The Kafka key, none where the route has none.
    pub key: Option<String>,
    /// The Kafka headers, in order.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The document.
    pub payload: Vec<u8>,
    /// When the event happened, in milliseconds since the epoch, where the record says so.
    pub event_time: Option<i64>,
}

/// What messages became, and buffers that are reused from one to the next.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Documents, in the order of their records and, within one, of the routes.
    pub documents: Vec<Document>,
    /// What could not be read, or could not be sent as it is.
    pub dead_letters: Vec<DeadLetter>,
    /// The steps of sequences among the records, in their order; none unless [`super::Pipeline::collecting_steps`].
    pub steps: Vec<Step>,
    /// The largest document that each route's topic takes, by place; a route beyond the list has no limit.
    pub limits: Vec<usize>,
    /// How many elements of the next message are done already: they are passed over, and not counted.
    pub done: u32,
    /// The bytes of outputs beyond which a message is interrupted; none takes every message whole.
    pub budget: Option<usize>,
    /// What each dead letter of the next message has beside its payload and its error: the message's key and headers.
    pub letter_extra: usize,
    /// Where the last message was interrupted: so many of its elements are done, and there are more.
    pub interrupted_at: Option<u32>,
    /// The bytes of the outputs so far, of which `budget` is the limit.
    pub(crate) bytes: usize,
    pub(crate) scratch: Scratch,
    /// The size of the last document: the next one is seldom much larger.
    pub(crate) last_size: usize,
}

impl Outputs {
    /// Nothing yet, for topics that take this much, by the place of the route.
    #[must_use]
    pub fn with_limits(limits: Vec<usize>) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.dead_letters.is_empty() && self.steps.is_empty()
    }

    pub(super) fn document(&mut self, document: Document) {
        self.bytes += document.size();
        self.documents.push(document);
    }

    pub(super) fn dead_letter(&mut self, dead_letter: DeadLetter) {
        let text = dead_letter.payload.len() + dead_letter.error.len();
        self.bytes += text + self.letter_extra + OVERHEAD;
        self.dead_letters.push(dead_letter);
    }

    pub(super) fn step(&mut self, step: Step) {
        // The few fields are about as long as the headers of a document.
        let record = step.record.as_ref().map_or(0, OriginalRecord::size);
        self.bytes += record + OVERHEAD + STEP;
        self.steps.push(step);
    }

    pub(super) fn is_full(&self) -> bool {
        self.budget.is_some_and(|budget| self.bytes >= budget)
    }
}

impl Document {
    /// The bytes that a topic's size limit counts: value, key and headers, and what Kafka adds at the most.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(key, value)| key.len() + value.len() + HEADER_OVERHEAD)
            .sum();
        self.payload.len() + self.key.as_ref().map_or(0, String::len) + headers + OVERHEAD
    }
}
