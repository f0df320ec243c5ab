//! What a batch is made of: messages to be produced, where they came from, and what the failure of one asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::error::RDKafkaErrorCode;

use super::headers::MessageHeaders;
use super::place::{LeaderEpoch, Place};
use super::topics::Target;
use crate::model::dead_letter::Reason;
use crate::pipeline::Tally;

/// One message to be produced.
#[derive(Debug)]
pub struct OutgoingMessage {
    /// The [`super::positions::Position::id`] of the partition that it came from.
    pub position: u64,
    /// Where the partition goes back to when this fails: the message that it came from, and how many of that message's
    /// elements were done before those of this part.
    pub place: Place,
    /// The leader epoch of that message.
    pub epoch: LeaderEpoch,
    /// The number of the record within that message.
    pub index: Option<u32>,
    /// What the partition's unsettled messages before that one became.
    pub before: Tally,
    /// Where it goes.
    pub target: Target,
    /// The key. All dead letters of one message share theirs.
    pub key: Option<Bytes>,
    /// The headers; taken when it is sent.
    pub headers: MessageHeaders,
    /// The value; none is a null. The parts of a dead letter share theirs.
    pub payload: Option<Bytes>,
    /// The timestamp in milliseconds since the epoch; none is the time of sending.
    pub timestamp: Option<i64>,
    /// For a dead letter: why it is one, and what of it this is.
    pub letter: Option<DeadLetterPart>,
}

/// What a message to the dead-letter topic is: a dead letter, or a part of one.
#[derive(Debug, Clone)]
pub struct DeadLetterPart {
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

impl OutgoingMessage {
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
    /// The broker refuses this for what it is, and would refuse it again: a document becomes a dead letter.
    GiveUp,
    /// The broker refuses this dead letter for its size: a smaller one may pass.
    Smaller,
}

impl Verdict {
    /// What the failure of a message for `target` asks for. A dead letter is never given up.
    #[must_use]
    pub const fn from_code(code: RDKafkaErrorCode, target: Target) -> Self {
        match code {
            RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord => match target
            {
                Target::Route(_) | Target::Unmatched | Target::Steps => Self::GiveUp,
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
pub struct DeliveryFailure {
    /// Its number in the batch.
    pub message: usize,
    /// Why.
    pub code: RDKafkaErrorCode,
    /// What it asks for.
    pub verdict: Verdict,
}

/// Where each partition's first failed message is, by the position's id.
#[must_use]
pub fn first_failures<'a>(
    messages: &'a [OutgoingMessage],
    failures: &[DeliveryFailure],
) -> BTreeMap<u64, &'a OutgoingMessage> {
    let mut stops: BTreeMap<u64, &OutgoingMessage> = BTreeMap::new();
    for message in failures
        .iter()
        .filter_map(|failure| messages.get(failure.message))
    {
        let stop = stops.entry(message.position).or_insert(message);
        if message.place < stop.place {
            *stop = message;
        }
    }
    stops
}
