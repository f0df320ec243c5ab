//! What a batch is made of: messages to be produced, where they came from, and what the failure of one asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};

use super::letter;
use super::start::{Epoch, Place};
use crate::model::dead_letter::Reason;
use crate::pipeline::Tally;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A route, by its place in the configuration.
    Route(usize),
    /// The topic for messages in which nothing matched.
    Unmatched,
    /// The topic for what cannot be read or sent.
    DeadLetter,
}

/// One message to be produced.
#[derive(Debug)]
pub struct Entry {
    /// The [`super::positions::Position::id`] of the partition that it came from.
    pub position: u64,
    /// Where the partition goes back to when this fails: the message that it came from, and how many of that message's
    /// elements were done before those of this part.
    pub place: Place,
    /// The leader epoch of that message.
    pub epoch: Epoch,
    /// The record's place within that message.
    pub index: Option<u32>,
    /// What the partition's unsettled messages before that one became.
    pub before: Tally,
    /// Where it goes.
    pub target: Target,
    /// The key. All dead letters of one message share theirs.
    pub key: Option<Bytes>,
    /// The headers; taken when it is sent.
    pub headers: Headers,
    /// The value; none is a null. The parts of a dead letter share theirs.
    pub payload: Option<Bytes>,
    /// The timestamp in milliseconds since the epoch; none is the time of sending.
    pub timestamp: Option<i64>,
    /// For a dead letter: why it is one, and what of it this is.
    pub letter: Option<Letter>,
}

/// What a message to the dead-letter topic is: a dead letter, or a part of one.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Why it is one.
    pub reason: Reason,
    /// The same, for a person.
    pub error: Arc<str>,
    /// Which part this is, counted from 1.
    pub part: usize,
    /// How many parts there are; 1 where it was not divided.
    pub parts: usize,
    /// What was left out of the original message, as its header says; empty where nothing was.
    pub omitted: &'static str,
    /// The bytes that the topic's size limit counts.
    pub size: usize,
    /// Headers of the original message are in it.
    pub with_headers: bool,
}

/// The headers of one message to be produced.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    /// Those of the message that it came from; all of its dead letters share them.
    pub theirs: Option<Arc<OwnedHeaders>>,
    /// Those that are added.
    pub ours: Vec<(Cow<'static, str>, String)>,
}

impl Headers {
    fn size(&self) -> usize {
        let theirs = self.theirs.as_ref();
        theirs.map_or(0, |it| letter::headers_size(it.as_borrowed())) + letter::size_of(&self.ours)
    }

    /// As the producer takes them, who has a copy for each message. None leaves none.
    #[must_use]
    pub fn to_owned(&self) -> Option<OwnedHeaders> {
        let theirs = self.theirs.as_ref().map(|it| it.as_borrowed().detach());
        if theirs.is_none() && self.ours.is_empty() {
            return None;
        }
        let begin = theirs.unwrap_or_else(|| OwnedHeaders::new_with_capacity(self.ours.len()));
        Some(self.ours.iter().fold(begin, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        }))
    }
}

impl Entry {
    /// The bytes that this takes in memory, and about as many on the wire.
    #[must_use]
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len)
            + self.payload.as_ref().map_or(0, Bytes::len)
            + self.headers.size()
            + 256
    }
}

/// What a failed delivery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again: it may pass.
    Retry,
    /// The broker refuses this document for what it is: it would refuse it again.
    DeadLetter,
    /// The broker refuses this dead letter for its size: a smaller one may pass.
    Smaller,
}

impl Verdict {
    /// What the failure of a message for `target` asks for. A dead letter is never given up.
    #[must_use]
    pub const fn of(code: RDKafkaErrorCode, target: Target) -> Self {
        match code {
            RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord => match target
            {
                Target::Route(_) | Target::Unmatched => Self::DeadLetter,
                Target::DeadLetter if matches!(code, RDKafkaErrorCode::InvalidRecord) => {
                    Self::Retry
                }
                Target::DeadLetter => Self::Smaller,
            },
            _ => Self::Retry,
        }
    }
}

/// A message of the batch that was not delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Its place in the batch.
    pub entry: usize,
    /// Why.
    pub code: RDKafkaErrorCode,
    /// What it asks for.
    pub verdict: Verdict,
}

/// Where each partition's first failed message is, by the position's id.
#[must_use]
pub fn first_failures<'a>(entries: &'a [Entry], failures: &[Failure]) -> BTreeMap<u64, &'a Entry> {
    let mut stops: BTreeMap<u64, &Entry> = BTreeMap::new();
    for entry in failures
        .iter()
        .filter_map(|failure| entries.get(failure.entry))
    {
        let stop = stops.entry(entry.position).or_insert(entry);
        if entry.place < stop.place {
            *stop = entry;
        }
    }
    stops
}
