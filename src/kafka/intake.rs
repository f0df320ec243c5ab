//! From messages to a batch: each message is processed at once, and only what it became is kept.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rdkafka::message::{BorrowedHeaders, BorrowedMessage, Message, OwnedHeaders, OwnedMessage};

use super::entry::{Entry, Headers, Target};
use super::letter::{self, Original};
use super::native;
use super::positions::{Admission, Position, Positions};
use super::start::{Epoch, Place};
use super::unfold::Part;
use super::worker::Setting;
use crate::config::Action;
use crate::model::Origin;
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::pipeline::{Document, Outputs, Pipeline, Tally};
use crate::telemetry::metrics::Metrics;

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
    pub(super) entries: Vec<Entry>,
    pub(super) bytes: usize,
    pub(super) messages: usize,
    pub(super) begun: Option<Instant>,
    pub(super) first_output: Option<Instant>,
    /// A message that failed before is in it: send it at once.
    pub(super) hurry: bool,
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
pub(super) enum Taken {
    /// It is in the batch.
    In,
    /// So much of it is in the batch as fits; the rest begins there.
    Begun {
        /// The [`Position::id`] of its partition.
        position: u64,
        /// Where the rest begins.
        rest: Place,
        /// The leader epoch of the message.
        epoch: Epoch,
    },
    /// Its partition stands still at or before it.
    Blocked { topic: String, partition: i32 },
    /// It stands before the place where its partition goes on.
    Behind { topic: String, partition: i32 },
    /// It is not known yet where its partition goes on.
    Unbegun,
}

/// What a message is taken with.
pub(super) struct Intake<'a> {
    pub(super) positions: &'a mut Positions,
    pub(super) pipeline: &'a Pipeline,
    pub(super) setting: &'a Setting,
    pub(super) outputs: &'a mut Outputs,
    pub(super) batch: &'a mut Batch,
    pub(super) refused: &'a BTreeMap<(u64, i64), Vec<Refused>>,
}

/// Processes one message and keeps its outputs.
pub(super) fn take(
    message: &BorrowedMessage<'_>,
    Intake {
        positions,
        pipeline,
        setting,
        outputs,
        batch,
        refused,
    }: Intake<'_>,
) -> Taken {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let position = positions
        .place(topic, partition)
        .and_then(|place| positions.at_mut(place));
    let Some(position) = position else {
        return Taken::Unbegun;
    };
    if position.barrier.is_some() || offset < position.next.offset {
        let (topic, partition) = (topic.to_owned(), partition);
        match position.admit(offset, Instant::now()) {
            Admission::Process => batch.hurry |= position.is_retry(offset),
            Admission::Behind => return Taken::Behind { topic, partition },
            Admission::Blocked => return Taken::Blocked { topic, partition },
        }
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
    let may_leave = ignored.is_none() || setting.config.unmatched.action == Action::Forward;
    // They are looked up in the message, and most messages are ignored.
    let headers = if may_leave { message.headers() } else { None };
    let mut tally = ignored.unwrap_or_else(|| {
        outputs.letter_extra = letter_extra(message.key(), headers);
        pipeline.process_in_parts(payload, &origin, outputs, &mut |_, _, _| {
            ControlFlow::Break(())
        })
    });
    let epoch = native::leader_epoch(message);
    let refused = refused.get(&(position.id, offset));
    let source = Source {
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
        && setting.config.unmatched.action == Action::Forward
        && tally.matched == 0
        && tally.dead_lettered == 0
    {
        match source.unmatched(setting.limits.unmatched, refused) {
            Ok(entry) => batch.push(entry),
            Err(dead_letter) => {
                tally.ignored = tally.ignored.saturating_sub(1);
                tally.dead_letter(dead_letter.reason);
                outputs.dead_letters.push(dead_letter);
            }
        }
    }
    source.keep(outputs, &mut tally, refused, setting, batch);
    batch.messages += 1;
    if batch.begun.is_none() {
        batch.begun = Some(Instant::now());
    }
    batch
        .unreported
        .add(&setting.metrics, topic, payload.len(), tally.records());
    match outputs.interrupted_at {
        None => {
            position.read(Place::at(offset + 1), epoch, &tally);
            Taken::In
        }
        Some(elements) => {
            let rest = Place { offset, elements };
            position.read(rest, epoch, &tally);
            Taken::Begun {
                position: position.id,
                rest,
                epoch,
            }
        }
    }
}

/// What a dead letter has of its message beside the bytes that are unreadable.
pub(super) fn letter_extra(key: Option<&[u8]>, headers: Option<&BorrowedHeaders>) -> usize {
    key.map_or(0, <[u8]>::len) + headers.map_or(0, letter::headers_size)
}

/// Keeps the outputs of a part of a message.
pub(super) fn take_part(
    message: &OwnedMessage,
    position: &mut Position,
    mut part: Part,
    epoch: Epoch,
    refused: Option<&Vec<Refused>>,
    setting: &Setting,
    batch: &mut Batch,
) {
    let source = Source {
        message,
        headers: message.headers().map(OwnedHeaders::as_borrowed),
        position: position.id,
        place: position.next,
        epoch,
        before: position.pending,
        shared: OnceCell::new(),
    };
    source.keep(&mut part.outputs, &mut part.tally, refused, setting, batch);
    if batch.begun.is_none() {
        batch.begun = Some(Instant::now());
    }
    batch.unreported.records += part.tally.records();
    position.read(part.next, epoch, &part.tally);
}

/// Replaces documents that a broker refused by dead letters with the whole message, one a record.
fn refuse(refused: &[Refused], payload: &[u8], outputs: &mut Outputs, tally: &mut Tally) {
    let mut records = BTreeSet::new();
    for it in refused {
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
    fn push(&mut self, entry: Entry) {
        self.bytes += entry.size();
        self.entries.push(entry);
        self.first_output.get_or_insert_with(Instant::now);
    }
}

/// The message that outputs come from, and where it, or this part of it, stands.
struct Source<'a, M> {
    message: &'a M,
    headers: Option<&'a BorrowedHeaders>,
    position: u64,
    place: Place,
    epoch: Epoch,
    before: Tally,
    shared: OnceCell<Shared>,
}

/// What the dead letters of one message share.
struct Shared {
    key: Option<Bytes>,
    headers: Option<Arc<OwnedHeaders>>,
}

impl<M: Message> Source<'_, M> {
    /// Moves outputs into the batch.
    fn keep(
        &self,
        outputs: &mut Outputs,
        tally: &mut Tally,
        refused: Option<&Vec<Refused>>,
        setting: &Setting,
        batch: &mut Batch,
    ) {
        if let Some(refused) = refused {
            let payload = self.message.payload().unwrap_or_default();
            refuse(refused, payload, outputs, tally);
        }
        for document in outputs.documents.drain(..) {
            batch.push(self.document(document, setting));
        }
        for dead_letter in outputs.dead_letters.drain(..) {
            let limit = setting.limits.dead_letter;
            for entry in self.dead_letter(dead_letter, limit, refused) {
                batch.push(entry);
            }
        }
    }

    fn entry(&self, target: Target, index: Option<u32>) -> Entry {
        Entry {
            position: self.position,
            place: self.place,
            epoch: self.epoch,
            index,
            before: self.before,
            target,
            key: None,
            headers: Headers::default(),
            payload: None,
            timestamp: None,
            letter: None,
        }
    }

    fn document(&self, document: Document, setting: &Setting) -> Entry {
        if let Some(delay) = document.event_time.and_then(since) {
            setting.metrics.event_delay(delay);
        }
        Entry {
            key: document.key.map(Bytes::from),
            headers: Headers {
                theirs: None,
                ours: document.headers,
            },
            payload: Some(document.payload.into()),
            ..self.entry(Target::Route(document.route), Some(document.index))
        }
    }

    /// The original message, untouched; or, when it is larger than its topic takes, a dead letter.
    fn unmatched(&self, limit: usize, refused: Option<&Vec<Refused>>) -> Result<Entry, DeadLetter> {
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
        Ok(Entry {
            key: self.message.key().map(Bytes::copy_from_slice),
            headers: Headers {
                theirs: self.headers.map(|it| Arc::new(it.detach())),
                ours: Vec::new(),
            },
            payload: payload.map(Bytes::copy_from_slice),
            timestamp: self.message.timestamp().to_millis(),
            ..self.entry(Target::Unmatched, None)
        })
    }

    /// The original bytes, and why they are a dead letter, in messages that the topic takes.
    fn dead_letter(
        &self,
        dead_letter: DeadLetter,
        limit: usize,
        refused: Option<&Vec<Refused>>,
    ) -> Vec<Entry> {
        let shared = self.shared.get_or_init(|| Shared {
            key: self.message.key().map(Bytes::copy_from_slice),
            headers: self.headers.map(|it| Arc::new(it.detach())),
        });
        let original = Original {
            topic: self.message.topic(),
            partition: self.message.partition(),
            offset: self.message.offset(),
            timestamp: self.message.timestamp().to_millis(),
            key: shared.key.as_ref(),
            headers: shared.headers.as_ref(),
        };
        let index = dead_letter.index;
        let is_bare = refused.is_some_and(|list| {
            list.iter()
                .any(|it| it.target == Target::DeadLetter && it.index == index)
        });
        letter::entries(&original, dead_letter, limit, is_bare, || {
            self.entry(Target::DeadLetter, index)
        })
    }
}

/// How long ago a time in milliseconds since the epoch is; none when it is in the future.
fn since(milliseconds: i64) -> Option<Duration> {
    let then = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).ok()?);
    then.elapsed().ok()
}
