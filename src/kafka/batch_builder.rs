//! From messages to a batch: each message is processed at once, and only what it became is kept.

mod steps;

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders, OwnedMessage};
use tracing::warn;

use super::context::WorkerContext;
use super::dead_letters::{self, Original};
use super::ffi;
use super::headers::{MessageHeaders, key_and_headers_size};
use super::outgoing::OutgoingMessage;
use super::place::{LeaderEpoch, Place};
use super::positions::{Admission, Position, Positions};
use super::topics::Target;
use super::unfold::MessagePart;
use crate::config::Action;
use crate::finding::Step;
use crate::model::Origin;
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::pipeline::{Document, Outputs, Pipeline, Tally};
use crate::telemetry::metrics::{Dropped, Metrics};

/// A document that a broker refused for what it is, to be dead-lettered when its message is read again; or a dead letter,
/// which then goes without the headers of its message.
pub(super) struct Refused {
    pub(super) index: Option<u32>,
    pub(super) target: Target,
    pub(super) reason: Reason,
    pub(super) error: String,
}

/// What is to be sent, and what was read since the last report.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) outgoing: Vec<OutgoingMessage>,
    pub(super) bytes: usize,
    pub(super) messages: usize,
    pub(super) begun: Option<Instant>,
    pub(super) first_output: Option<Instant>,
    /// A message that failed before is in it: send it at once.
    pub(super) flush_now: bool,
    pub(super) unreported: Unreported,
}

/// What was read and not yet reported to the metrics; of one topic, since messages come in runs.
#[derive(Default)]
pub(super) struct Unreported {
    topic: String,
    messages: u64,
    bytes: u64,
    records: u64,
}

impl Unreported {
    fn add(&mut self, metrics: &Metrics, topic: &str, bytes: usize, records: u64) {
        if self.topic != topic {
            self.report(metrics);
            topic.clone_into(&mut self.topic);
        }
        self.messages += 1;
        self.bytes += bytes as u64;
        self.records += records;
    }

    pub(super) fn report(&mut self, metrics: &Metrics) {
        if self.messages > 0 {
            metrics.received(&self.topic, self.messages, self.bytes, self.records);
            (self.messages, self.bytes, self.records) = (0, 0, 0);
        }
    }
}

/// What became of a message that was read.
pub(super) enum Added {
    /// It is in the batch.
    In,
    /// So much of it is in the batch as fits; the rest begins there.
    Begun {
        /// The [`Position::id`] of its partition.
        position: u64,
        /// Where the rest begins.
        rest: Place,
        /// The leader epoch of the message.
        epoch: LeaderEpoch,
    },
    /// Its partition stands still at or before it.
    Blocked { topic: String, partition: i32 },
    /// It stands before the place where its partition goes on.
    Behind { topic: String, partition: i32 },
    /// It is not known yet where its partition goes on.
    NotStarted,
}

/// Puts one message into a batch, each processed at once.
pub(super) struct BatchBuilder<'a> {
    pub(super) positions: &'a mut Positions,
    pub(super) pipeline: &'a Pipeline,
    pub(super) context: &'a WorkerContext,
    pub(super) outputs: &'a mut Outputs,
    pub(super) batch: &'a mut Batch,
    pub(super) refused: &'a BTreeMap<(u64, i64), Vec<Refused>>,
}

impl BatchBuilder<'_> {
    /// Processes one message and keeps its outputs.
    pub(super) fn add(self, message: &BorrowedMessage<'_>) -> Added {
        let Self {
            positions,
            pipeline,
            context,
            outputs,
            batch,
            refused,
        } = self;
        let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
        let position = positions
            .index_of(topic, partition)
            .and_then(|index| positions.at_mut(index));
        let Some(position) = position else {
            return Added::NotStarted;
        };
        if position.barrier.is_some() || offset < position.next.offset {
            let (topic, partition) = (topic.to_owned(), partition);
            match position.admit(offset, Instant::now()) {
                Admission::Process => batch.flush_now |= position.is_retry(offset),
                Admission::Behind => return Added::Behind { topic, partition },
                Admission::Blocked => return Added::Blocked { topic, partition },
            }
        }
        if position.steps.is_some() {
            steps::add(
                message, position, pipeline, context, outputs, batch, refused,
            );
            return Added::In;
        }
        let payload = message.payload().unwrap_or_default();
        let timestamp = message.timestamp().to_millis();
        let origin = Origin {
            topic,
            partition,
            offset,
            timestamp,
        };
        outputs.done = position.elements_done(offset);
        let ignored = pipeline.ignored(payload, outputs);
        let may_leave = ignored.is_none() || context.config.unmatched.action == Action::Forward;
        // They are looked up in the message, and most messages are ignored.
        let headers = if may_leave { message.headers() } else { None };
        let mut tally = ignored.unwrap_or_else(|| {
            outputs.letter_extra = key_and_headers_size(message.key(), headers);
            pipeline.process_in_parts(payload, &origin, outputs, &mut |_, _, _| {
                ControlFlow::Break(())
            })
        });
        let epoch = ffi::leader_epoch(message);
        let refused = refused.get(&(position.id, offset));
        let source = SourceMessage {
            message,
            headers,
            position: position.id,
            place: Place {
                offset,
                elements: outputs.done,
            },
            epoch,
            before: position.pending,
            shared: OnceCell::new(),
        };
        let is_whole = outputs.done == 0 && outputs.interrupted_at.is_none();
        if is_whole
            && context.config.unmatched.action == Action::Forward
            && tally.matched == 0
            && tally.dead_lettered == 0
        {
            match source.unmatched(context.limits.unmatched, refused) {
                Ok(message) => batch.push(message),
                Err(dead_letter) => {
                    tally.ignored = tally.ignored.saturating_sub(1);
                    tally.dead_letter(dead_letter.reason);
                    outputs.dead_letters.push(dead_letter);
                }
            }
        }
        source.keep(outputs, &mut tally, refused, context, batch);
        batch.messages += 1;
        if batch.begun.is_none() {
            batch.begun = Some(Instant::now());
        }
        batch
            .unreported
            .add(&context.metrics, topic, payload.len(), tally.records());
        match outputs.interrupted_at {
            None => {
                position.read(Place::at(offset + 1), epoch, &tally);
                Added::In
            }
            Some(elements) => {
                let rest = Place { offset, elements };
                position.read(rest, epoch, &tally);
                Added::Begun {
                    position: position.id,
                    rest,
                    epoch,
                }
            }
        }
    }
}

/// Keeps the outputs of a part of a message.
pub(super) fn add_part(
    message: &OwnedMessage,
    position: &mut Position,
    mut part: MessagePart,
    epoch: LeaderEpoch,
    refused: Option<&Vec<Refused>>,
    context: &WorkerContext,
    batch: &mut Batch,
) {
    let source = SourceMessage {
        message,
        headers: message.headers().map(OwnedHeaders::as_borrowed),
        position: position.id,
        place: position.next,
        epoch,
        before: position.pending,
        shared: OnceCell::new(),
    };
    source.keep(&mut part.outputs, &mut part.tally, refused, context, batch);
    if batch.begun.is_none() {
        batch.begun = Some(Instant::now());
    }
    batch.unreported.records += part.tally.records();
    position.read(part.next, epoch, &part.tally);
}

/// Replaces documents that a broker refused by dead letters with the whole message, one a record. A step that it refused is
/// left out: its record has its own document.
fn refuse(refused: &[Refused], payload: &[u8], outputs: &mut Outputs, tally: &mut Tally) {
    let mut records = BTreeSet::new();
    for it in refused {
        if it.target == Target::Steps {
            let is_other = |step: &Step| Some(step.source.index) != it.index;
            outputs.steps.retain(is_other);
        }
        let Target::Route(route) = it.target else {
            continue;
        };
        let before = outputs.documents.len();
        outputs
            .documents
            .retain(|document| !(document.route == route && Some(document.index) == it.index));
        if outputs.documents.len() < before && records.insert(it.index) {
            tally.matched = tally.matched.saturating_sub(1);
            tally.dead_letter(it.reason);
            outputs.dead_letters.push(DeadLetter {
                reason: it.reason,
                error: it.error.clone(),
                index: it.index,
                payload: payload.to_vec(),
            });
        }
    }
}

impl Batch {
    fn push(&mut self, message: OutgoingMessage) {
        self.bytes += message.size();
        self.outgoing.push(message);
        self.first_output.get_or_insert_with(Instant::now);
    }
}

/// The message that outputs come from, and where it, or this part of it, stands.
struct SourceMessage<'a, M> {
    message: &'a M,
    headers: Option<&'a BorrowedHeaders>,
    position: u64,
    place: Place,
    epoch: LeaderEpoch,
    before: Tally,
    shared: OnceCell<Shared>,
}

/// What the dead letters of one message share.
struct Shared {
    key: Option<Bytes>,
    headers: Option<Arc<OwnedHeaders>>,
}

impl<M: Message> SourceMessage<'_, M> {
    /// Moves outputs into the batch.
    fn keep(
        &self,
        outputs: &mut Outputs,
        tally: &mut Tally,
        refused: Option<&Vec<Refused>>,
        context: &WorkerContext,
        batch: &mut Batch,
    ) {
        if let Some(refused) = refused {
            let payload = self.message.payload().unwrap_or_default();
            refuse(refused, payload, outputs, tally);
        }
        for document in outputs.documents.drain(..) {
            batch.push(self.document(document, context));
        }
        for step in outputs.steps.drain(..) {
            if let Some(message) = self.step(&step, context) {
                tally.steps += 1;
                batch.push(message);
            }
        }
        for dead_letter in outputs.dead_letters.drain(..) {
            let limit = context.limits.dead_letter;
            for message in self.dead_letter(dead_letter, limit, refused) {
                batch.push(message);
            }
        }
    }

    fn outgoing(&self, target: Target, index: Option<u32>) -> OutgoingMessage {
        OutgoingMessage {
            position: self.position,
            place: self.place,
            epoch: self.epoch,
            index,
            before: self.before,
            target,
            key: None,
            headers: MessageHeaders::default(),
            payload: None,
            timestamp: None,
            letter: None,
        }
    }

    fn document(&self, document: Document, context: &WorkerContext) -> OutgoingMessage {
        if let Some(delay) = document.event_time.and_then(since) {
            context.metrics.event_delay(delay);
        }
        OutgoingMessage {
            key: document.key.map(Bytes::from),
            headers: MessageHeaders {
                original: None,
                added: document.headers,
            },
            payload: Some(document.payload.into()),
            ..self.outgoing(Target::Route(document.route), Some(document.index))
        }
    }

    /// A step, keyed by its group; none where its topic does not take it.
    fn step(&self, step: &Step, context: &WorkerContext) -> Option<OutgoingMessage> {
        // Its members are text and numbers.
        let payload = serde_json::to_vec(step).ok()?;
        let key = step.group.key();
        if payload.len() + key.len() > context.limits.steps {
            context.metrics.steps_dropped(Dropped::Refused, 1);
            warn!(
                topic = self.message.topic(),
                partition = self.message.partition(),
                offset = self.message.offset(),
                index = step.source.index,
                bytes = payload.len() + key.len(),
                limit = context.limits.steps,
                "its step is too large for the topic of steps (max.message.bytes); the record is left out of sequences"
            );
            return None;
        }
        Some(OutgoingMessage {
            key: Some(key.into()),
            payload: Some(payload.into()),
            ..self.outgoing(Target::Steps, Some(step.source.index))
        })
    }

    /// The original message, untouched; or, when it is larger than its topic takes, a dead letter.
    fn unmatched(
        &self,
        limit: usize,
        refused: Option<&Vec<Refused>>,
    ) -> Result<OutgoingMessage, DeadLetter> {
        let payload = self.message.payload();
        let bytes = payload.map_or(0, <[u8]>::len) + self.message.key().map_or(0, <[u8]>::len);
        let refused =
            refused.and_then(|list| list.iter().find(|it| it.target == Target::Unmatched));
        if bytes > limit || refused.is_some() {
            return Err(DeadLetter {
                reason: refused.map_or(Reason::DocumentTooLarge, |it| it.reason),
                error: refused.map_or_else(
                    || format!("unmatched: the message has {bytes} bytes, its topic takes {limit}"),
                    |it| it.error.clone(),
                ),
                index: None,
                payload: payload.unwrap_or_default().to_vec(),
            });
        }
        Ok(OutgoingMessage {
            key: self.message.key().map(Bytes::copy_from_slice),
            headers: MessageHeaders {
                original: self.headers.map(|it| Arc::new(it.detach())),
                added: Vec::new(),
            },
            payload: payload.map(Bytes::copy_from_slice),
            timestamp: self.message.timestamp().to_millis(),
            ..self.outgoing(Target::Unmatched, None)
        })
    }

    /// The original bytes, and why they are a dead letter, in messages that the topic takes.
    fn dead_letter(
        &self,
        dead_letter: DeadLetter,
        limit: usize,
        refused: Option<&Vec<Refused>>,
    ) -> Vec<OutgoingMessage> {
        let shared = self.shared.get_or_init(|| Shared {
            key: self.message.key().map(Bytes::copy_from_slice),
            headers: self.headers.map(|it| Arc::new(it.detach())),
        });
        let original = Original {
            origin: Origin {
                topic: self.message.topic(),
                partition: self.message.partition(),
                offset: self.message.offset(),
                timestamp: self.message.timestamp().to_millis(),
            },
            key: shared.key.as_ref(),
            headers: shared.headers.as_ref(),
        };
        let index = dead_letter.index;
        let is_bare = refused.is_some_and(|list| {
            list.iter()
                .any(|it| it.target == Target::DeadLetter && it.index == index)
        });
        dead_letters::messages(&original, dead_letter, limit, is_bare, || {
            self.outgoing(Target::DeadLetter, index)
        })
    }
}

/// How long ago a time in milliseconds since the epoch is; none when it is in the future.
fn since(milliseconds: i64) -> Option<Duration> {
    let then = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).ok()?);
    then.elapsed().ok()
}
