//! The loop of one worker.
//!
//! ```text
//! loop: fill    poll, process each message at once, keep only its outputs; until batch_records, or linger after the
//!               first output
//!       commit  hand the outputs and the offsets to the sink
//!       nothing to forward: commit offsets alone, every commit_interval
//! ```
//!
//! While filling, a revoke drops that partition's outputs: its new owner reads them again. What fails is read again
//! from the committed offset; a message that failed is tried again after a growing wait, and nothing behind it in its
//! partition is read meanwhile. The other partitions go on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Message, OwnedHeaders};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::client::{self, ClientError, Share};
use super::delivery::{Entry, Failure, Outcome, Sink, SinkError, Target, Verdict, first_failures};
use super::positions::{Admission, Position, Positions, backoff};
use super::reader::Reader;
use crate::config::{Action, Config, Guarantee};
use crate::dead_letter::{DeadLetter, Reason};
use crate::pipeline::{Document, Origin, Outputs, Pipeline, Tally};
use crate::service::health::WorkerHealth;
use crate::service::metrics::{Metrics, Transaction};

/// How many messages are read between two looks at the clock.
const STRIDE: usize = 256;
/// The longest sleep of the loop: how late it may notice that it is to stop.
const TICK: Duration = Duration::from_millis(100);

/// Everything that a worker needs of its surroundings.
#[derive(Clone)]
pub struct Setting {
    /// The configuration.
    pub config: Arc<Config>,
    /// The worker's number, counted from 0.
    pub number: usize,
    /// How many workers there are in this process.
    pub workers: usize,
    /// The pipeline in use; a new one is taken between batches.
    pub pipeline: watch::Receiver<Arc<Pipeline>>,
    /// The size limits of the topics that are written, by route, as the brokers said.
    pub limits: Arc<Limits>,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    /// Where the loop says that it turns.
    pub health: Arc<WorkerHealth>,
    /// When this is cancelled, the worker finishes what is in flight and ends.
    pub shutdown: CancellationToken,
}

/// The largest message that each output topic takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// By route.
    pub routes: Vec<usize>,
    /// The topic of unmatched messages.
    pub unmatched: usize,
    /// The dead-letter topic.
    pub dead_letter: usize,
}

impl Limits {
    /// What brokers take when they were not told otherwise.
    #[must_use]
    pub fn default_of_brokers(config: &Config) -> Self {
        let limit = super::topics::DEFAULT_LIMIT;
        Self {
            routes: vec![limit; config.routes.len()],
            unmatched: limit,
            dead_letter: limit,
        }
    }

    fn smallest(&self) -> usize {
        self.routes
            .iter()
            .copied()
            .chain([self.unmatched, self.dead_letter])
            .min()
            .unwrap_or(usize::MAX)
    }
}

/// Why a worker has to begin afresh.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A client's settings cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The consumer cannot go on.
    #[error("the consumer failed for good")]
    Consumer(#[source] KafkaError),
    /// The producer cannot go on.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The stop took longer than `shutdown_grace`; what was in flight is read again at the next start.
    #[error("stopped with {0} messages unfinished: shutdown_grace has passed")]
    Unfinished(usize),
}

/// A document that a broker refused for what it is, to be dead-lettered when its message is read again.
struct Refused {
    index: Option<u32>,
    target: Target,
    reason: Reason,
    error: String,
}

struct Worker {
    setting: Setting,
    reader: Reader,
    sink: Sink,
    pipeline: Arc<Pipeline>,
    outputs: Outputs,
    batch: Batch,
    /// By the id of the position and the offset.
    refused: BTreeMap<(u64, i64), Vec<Refused>>,
    /// Batches that failed in a row with no message to blame.
    troubles: u32,
    batch_bytes: usize,
}

/// What is to be sent, and what was read since the last report.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    bytes: usize,
    messages: usize,
    begun: Option<Instant>,
    first_output: Option<Instant>,
    /// A message that failed before is in it: send it at once.
    hurry: bool,
    unreported: Unreported,
}

/// What was read and not yet reported to the metrics; of one topic, since messages come in runs.
#[derive(Default)]
struct Unreported {
    topic: String,
    messages: u64,
    bytes: u64,
    records: u64,
}

/// Runs one worker until it is told to stop, or fails in a way that needs new clients.
pub fn run(setting: Setting) -> Result<(), WorkerError> {
    let config = Arc::clone(&setting.config);
    let share = Share::of(&config, setting.number, setting.workers);
    let settings = client::producer(&config, &share, setting.limits.smallest())?;
    let sink = Sink::new(&settings, &config, share.id.clone())?;
    let reader = Reader::new(&config, &share, &setting)?;
    if sink.begin(&mut || reader.wait_for_producer())?.is_break() {
        return Ok(());
    }
    reader
        .subscribe(&config.kafka.topics)
        .map_err(WorkerError::Consumer)?;
    info!(worker = setting.number, id = share.id, guarantee = ?config.delivery.guarantee, "worker ready");
    let mut setting = setting;
    let pipeline = Arc::clone(&setting.pipeline.borrow_and_update());
    let outputs = Outputs::with_limits(setting.limits.routes.clone());
    let mut worker = Worker {
        setting,
        reader,
        sink,
        pipeline,
        outputs,
        batch: Batch::default(),
        refused: BTreeMap::new(),
        troubles: 0,
        batch_bytes: share.batch_bytes(),
    };
    let result = worker.turn();
    worker.leave();
    result
}

impl Worker {
    fn turn(&mut self) -> Result<(), WorkerError> {
        while !self.setting.shutdown.is_cancelled() {
            self.tick();
            self.fill()?;
            self.drop_revoked();
            if self.is_due(Instant::now()) {
                self.commit()?;
            }
        }
        self.drain()
    }

    /// What is in flight at the end is read again, here or elsewhere, and the series of this worker's partitions end.
    fn leave(&mut self) {
        self.drop_revoked();
        self.report();
        for position in self.reader.positions.iter_mut() {
            let returned = position.rewind(position.settled, &Tally::default());
            self.setting.metrics.returned(&returned);
        }
        self.reader.forget();
    }

    /// What is done now and then, not for each message.
    fn tick(&mut self) {
        self.reader.beat();
        self.report();
        self.drop_revoked();
        self.reader.resume_due();
        if self.batch.entries.is_empty() && self.setting.pipeline.has_changed().unwrap_or(false) {
            self.pipeline = Arc::clone(&self.setting.pipeline.borrow_and_update());
        }
    }

    /// Reads up to a stride of messages, and sleeps only when there are none.
    fn fill(&mut self) -> Result<(), WorkerError> {
        let mut wait = Duration::ZERO;
        for turn in 0..STRIDE {
            let taken = match self.reader.consumer.poll(wait) {
                Some(Ok(message)) => take(
                    &message,
                    &mut self.reader.positions,
                    &self.pipeline,
                    &self.setting,
                    &mut self.outputs,
                    &mut self.batch,
                    &mut self.refused,
                ),
                Some(Err(error)) => {
                    self.reader.failed(error).map_err(WorkerError::Consumer)?;
                    return Ok(());
                }
                None if self.reader.has_changes() => return Ok(()),
                None if turn == 0 && wait.is_zero() => {
                    wait = self.patience(Instant::now());
                    if wait.is_zero() {
                        return Ok(());
                    }
                    continue;
                }
                None => return Ok(()),
            };
            wait = Duration::ZERO;
            if let Taken::Blocked { topic, partition } = taken {
                self.reader
                    .stand_still(&topic, partition)
                    .map_err(WorkerError::Consumer)?;
            }
            if self.is_full() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// How long the next poll may sleep.
    fn patience(&self, now: Instant) -> Duration {
        let delivery = &self.setting.config.delivery;
        let due = match (self.batch.first_output, self.batch.begun) {
            (Some(first), _) => Some(first + delivery.linger),
            (None, Some(begun)) => Some(begun + delivery.commit_interval),
            (None, None) => None,
        };
        due.map_or(TICK, |due| due.saturating_duration_since(now).min(TICK))
    }

    fn is_full(&self) -> bool {
        self.batch.hurry
            || self.batch.bytes >= self.batch_bytes
            || (self.batch.messages >= self.setting.config.delivery.batch_records
                && !self.batch.entries.is_empty())
    }

    fn is_due(&self, now: Instant) -> bool {
        let delivery = &self.setting.config.delivery;
        self.is_full()
            || match (self.batch.first_output, self.batch.begun) {
                (Some(first), _) => now >= first + delivery.linger,
                (None, Some(begun)) => now >= begun + delivery.commit_interval,
                (None, None) => false,
            }
    }

    /// Sends the batch and its offsets, and sets right whatever did not work.
    fn commit(&mut self) -> Result<(), WorkerError> {
        self.report();
        let started = Instant::now();
        let begun = self.batch.begun.take();
        let mut entries = std::mem::take(&mut self.batch.entries);
        let unreported = std::mem::take(&mut self.batch.unreported);
        self.batch = Batch {
            unreported,
            ..Batch::default()
        };
        let transactional =
            self.setting.config.delivery.guarantee == Guarantee::ExactlyOnce && !entries.is_empty();

        let outcome = self
            .sink
            .deliver(&mut entries, &mut self.reader)
            .inspect_err(|_| {
                if transactional {
                    self.setting
                        .metrics
                        .transaction(Transaction::Aborted, started.elapsed());
                }
            })?;
        if transactional {
            let end = match outcome {
                Outcome::Delivered => Transaction::Committed,
                _ => Transaction::Aborted,
            };
            self.setting.metrics.transaction(end, started.elapsed());
        }
        self.setting
            .metrics
            .batch(begun.map_or_else(|| started.elapsed(), |begun| begun.elapsed()));
        self.settle(&entries, outcome)?;
        self.drop_revoked();
        self.reader.release().map_err(WorkerError::Consumer)
    }

    fn settle(&mut self, entries: &[Entry], outcome: Outcome) -> Result<(), WorkerError> {
        let exactly_once = self.setting.config.delivery.guarantee == Guarantee::ExactlyOnce;
        match outcome {
            Outcome::Delivered => {
                self.troubles = 0;
                self.forwarded(entries.iter());
                for position in self.reader.positions.iter_mut() {
                    self.setting.metrics.settled(&position.settle());
                }
                if exactly_once {
                    // Taken away after their offsets were in the transaction: they stand as well.
                    for position in self.reader.gone_mut() {
                        self.setting.metrics.settled(&position.settle());
                    }
                }
                let positions = &self.reader.positions;
                self.refused.retain(|(id, offset), _| {
                    positions
                        .find(*id)
                        .is_some_and(|position| *offset >= position.settled)
                });
                self.setting.health.delivered(true);
            }
            Outcome::Uncommitted(error) => {
                // The documents stand; only the offsets are late. The next commit includes them.
                self.forwarded(entries.iter());
                warn!(worker = self.setting.number, %error, "offsets were not committed; they go with the next commit");
                self.setting.health.delivered(false);
                self.pause_after_trouble();
                self.batch.begun = Some(Instant::now());
            }
            Outcome::Failed(failures) => {
                self.setting.health.delivered(false);
                self.failed(entries, &failures, exactly_once)?;
            }
            Outcome::Aborted(reason) => {
                self.setting.health.delivered(false);
                self.troubles += 1;
                warn!(
                    worker = self.setting.number,
                    reason,
                    attempt = self.troubles,
                    wait_ms = u64::try_from(backoff(self.troubles).as_millis()).unwrap_or(u64::MAX),
                    "the transaction was aborted; its messages are read again"
                );
                self.rewind_all()?;
                self.troubles -= 1;
                self.pause_after_trouble();
            }
            Outcome::Interrupted => {
                self.setting.health.delivered(false);
                self.rewind_all()?;
            }
        }
        Ok(())
    }

    /// Some messages were not delivered: their partitions go back to them, and wait.
    fn failed(
        &mut self,
        entries: &[Entry],
        failures: &[Failure],
        exactly_once: bool,
    ) -> Result<(), WorkerError> {
        let now = Instant::now();
        let stops = first_failures(entries, failures);
        for failure in failures {
            let Some(entry) = entries.get(failure.entry) else {
                continue;
            };
            let route = self.route_name(entry.target);
            self.setting.metrics.delivery_failed(&route, 1);
            let Some(position) = self.reader.positions.find(entry.position) else {
                continue;
            };
            let bytes = entry.payload.as_ref().map_or(0, Vec::len);
            match failure.verdict {
                Verdict::DeadLetter => {
                    let limit = self.limit(entry.target);
                    warn!(
                        topic = position.topic,
                        partition = position.partition,
                        offset = entry.offset,
                        route,
                        bytes,
                        limit,
                        error = %failure.code,
                        "the broker refuses the document; its message goes to the dead-letter topic"
                    );
                    let reason = if failure.code == RDKafkaErrorCode::MessageSizeTooLarge {
                        Reason::DocumentTooLarge
                    } else {
                        Reason::RefusedByBroker
                    };
                    let error = format!(
                        "route {route}: the broker refused the document of {bytes} bytes (limit known here: {limit} bytes): {}",
                        failure.code
                    );
                    let refused = Refused {
                        index: entry.index,
                        target: entry.target,
                        reason,
                        error,
                    };
                    self.refused
                        .entry((entry.position, entry.offset))
                        .or_default()
                        .push(refused);
                }
                // Said below, once for each partition.
                Verdict::Retry => {}
            }
        }
        if !exactly_once {
            let stands = |entry: &&Entry| {
                stops
                    .get(&entry.position)
                    .is_none_or(|stop| entry.offset < *stop)
            };
            self.forwarded(entries.iter().filter(stands));
        }
        let mut returned = Vec::new();
        for position in self.reader.positions.iter_mut() {
            let Some(&stop) = stops.get(&position.id) else {
                if exactly_once {
                    returned.push(position.rewind(position.settled, &Tally::default()));
                } else {
                    self.setting.metrics.settled(&position.settle());
                }
                continue;
            };
            let blamed = failures.iter().find(|failure| {
                failure.verdict == Verdict::Retry
                    && entries
                        .get(failure.entry)
                        .is_some_and(|entry| entry.position == position.id && entry.offset == stop)
            });
            if exactly_once {
                returned.push(position.rewind(position.settled, &Tally::default()));
            } else if let Some(entry) = entries
                .iter()
                .find(|entry| entry.position == position.id && entry.offset == stop)
            {
                returned.push(position.rewind(stop, &entry.before));
                self.setting.metrics.settled(&entry.before);
                position.settle_before(stop, &entry.before);
            }
            if let Some(failure) = blamed {
                let (attempt, wait) = position.stop_at(stop, now);
                let target = entries
                    .get(failure.entry)
                    .map_or(Target::DeadLetter, |entry| entry.target);
                error!(
                    topic = position.topic,
                    partition = position.partition,
                    offset = stop,
                    to = match target {
                        Target::Route(route) => {
                            self.setting.config.routes.get(route).map_or("", |route| route.topic.as_str())
                        }
                        Target::Unmatched => &self.setting.config.unmatched.topic,
                        Target::DeadLetter => &self.setting.config.dead_letter.topic,
                    },
                    error = %failure.code,
                    attempt,
                    retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                    "delivery failed: the partition stands still at this message until it can be delivered"
                );
            }
        }
        for tally in &returned {
            self.setting.metrics.returned(tally);
        }
        self.reader.seek_back().map_err(WorkerError::Consumer)
    }

    /// Nothing of the batch stands: everything that is not settled is read again.
    fn rewind_all(&mut self) -> Result<(), WorkerError> {
        for position in self.reader.positions.iter_mut() {
            let returned = position.rewind(position.settled, &Tally::default());
            self.setting.metrics.returned(&returned);
        }
        self.reader.seek_back().map_err(WorkerError::Consumer)
    }

    /// Waits, in the group, before the next try of something that failed for no message's fault.
    fn pause_after_trouble(&mut self) {
        self.troubles += 1;
        let until = Instant::now() + backoff(self.troubles);
        while Instant::now() < until && !self.setting.shutdown.is_cancelled() {
            self.reader.hold(TICK);
        }
    }

    fn forwarded<'a>(&self, entries: impl Iterator<Item = &'a Entry>) {
        let mut counts: BTreeMap<Target, u64> = BTreeMap::new();
        for entry in entries {
            if let Some((reason, error)) = &entry.why {
                let position = self.reader.positions.find(entry.position);
                warn!(
                    topic = position.map(|position| position.topic.as_str()),
                    partition = position.map(|position| position.partition),
                    offset = entry.offset,
                    index = entry.index,
                    reason = reason.as_str(),
                    error,
                    "dead-lettered"
                );
            }
            *counts.entry(entry.target).or_default() += 1;
        }
        for (target, count) in counts {
            self.setting
                .metrics
                .forwarded(&self.route_name(target), count);
        }
    }

    fn route_name(&self, target: Target) -> String {
        match target {
            Target::Route(route) => self
                .setting
                .config
                .routes
                .get(route)
                .map_or_else(String::new, |it| it.name.clone()),
            Target::Unmatched => "unmatched".to_owned(),
            Target::DeadLetter => "dead_letter".to_owned(),
        }
    }

    fn limit(&self, target: Target) -> usize {
        match target {
            Target::Route(route) => self
                .setting
                .limits
                .routes
                .get(route)
                .copied()
                .unwrap_or(usize::MAX),
            Target::Unmatched => self.setting.limits.unmatched,
            Target::DeadLetter => self.setting.limits.dead_letter,
        }
    }

    /// Forgets what partitions that were given up had in flight: their new owner reads it again.
    fn drop_revoked(&mut self) {
        let gone = self.reader.gone();
        if gone.is_empty() {
            return;
        }
        for position in &gone {
            self.setting.metrics.returned(&position.pending);
        }
        let is_gone = |id: u64| gone.iter().any(|position: &Position| position.id == id);
        self.batch.entries.retain(|entry| !is_gone(entry.position));
        self.batch.bytes = self.batch.entries.iter().map(Entry::size).sum();
        if self.batch.entries.is_empty() {
            self.batch.first_output = None;
            self.batch.hurry = false;
        }
        self.refused.retain(|(id, _), _| !is_gone(*id));
    }

    fn report(&mut self) {
        self.batch.unreported.report(&self.setting.metrics);
        self.reader.report();
    }

    /// Finishes and commits what is in flight, within `shutdown_grace`.
    fn drain(&mut self) -> Result<(), WorkerError> {
        let deadline = Instant::now() + self.setting.config.shutdown_grace;
        self.reader.deadline = Some(deadline);
        self.drop_revoked();
        while self.reader.positions.any_in_flight() {
            let before = self.in_flight();
            self.commit()?;
            let after = self.in_flight();
            if after > 0 && Instant::now() >= deadline {
                return Err(WorkerError::Unfinished(after));
            }
            if after == 0 && !self.setting.health.is_delivering() {
                warn!(
                    worker = self.setting.number,
                    messages = before,
                    "the last batch did not go through; nothing of it is committed, and it is read again"
                );
            }
        }
        info!(worker = self.setting.number, "worker drained");
        Ok(())
    }

    fn in_flight(&self) -> usize {
        self.reader
            .positions
            .iter()
            .map(|position| usize::try_from(position.next - position.settled).unwrap_or(usize::MAX))
            .sum()
    }
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

    fn report(&mut self, metrics: &Metrics) {
        if self.messages > 0 {
            metrics.received(&self.topic, self.messages, self.bytes, self.records);
            (self.messages, self.bytes, self.records) = (0, 0, 0);
        }
    }
}

/// What became of a message that was read.
enum Taken {
    /// It is in the batch.
    In,
    /// Its partition stands still at or before it.
    Blocked { topic: String, partition: i32 },
}

/// Processes one message and keeps its outputs.
fn take(
    message: &BorrowedMessage<'_>,
    positions: &mut Positions,
    pipeline: &Pipeline,
    setting: &Setting,
    outputs: &mut Outputs,
    batch: &mut Batch,
    refused: &mut BTreeMap<(u64, i64), Vec<Refused>>,
) -> Taken {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let place = positions.place(topic, partition, offset);
    let Some(position) = positions.at_mut(place) else {
        return Taken::In;
    };
    if position.barrier.is_some() || offset < position.next {
        match position.admit(offset, Instant::now()) {
            Admission::Process => batch.hurry |= position.is_retry(offset),
            Admission::Stale => return Taken::In,
            Admission::Blocked => {
                return Taken::Blocked {
                    topic: topic.to_owned(),
                    partition,
                };
            }
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
    let mut tally = pipeline.process(payload, &origin, outputs);
    if !refused.is_empty()
        && let Some(refused) = refused.get(&(position.id, offset))
    {
        refuse(refused, payload, outputs, &mut tally);
    }
    let forward = setting.config.unmatched.action == Action::Forward
        && tally.matched == 0
        && tally.dead_lettered == 0;
    if !outputs.documents.is_empty() || !outputs.dead_letters.is_empty() || forward {
        let source = Source {
            message,
            position: position.id,
            before: position.pending,
        };
        for document in outputs.documents.drain(..) {
            batch.push(source.document(document, setting));
        }
        if forward {
            match source.unmatched(
                setting.limits.unmatched,
                refused.get(&(position.id, offset)),
            ) {
                Ok(entry) => batch.push(entry),
                Err(dead_letter) => {
                    tally.ignored = tally.ignored.saturating_sub(1);
                    tally.dead_letter(dead_letter.reason);
                    outputs.dead_letters.push(dead_letter);
                }
            }
        }
        for dead_letter in outputs.dead_letters.drain(..) {
            batch.push(source.dead_letter(dead_letter));
        }
        batch.first_output.get_or_insert_with(Instant::now);
    }
    position.read(offset, &tally);
    batch.messages += 1;
    if batch.begun.is_none() {
        batch.begun = Some(Instant::now());
    }
    batch
        .unreported
        .add(&setting.metrics, topic, payload.len(), tally.records());
    Taken::In
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
    }
}

/// The message that outputs come from.
struct Source<'a> {
    message: &'a BorrowedMessage<'a>,
    position: u64,
    before: Tally,
}

impl Source<'_> {
    fn entry(&self, target: Target, index: Option<u32>) -> Entry {
        Entry {
            position: self.position,
            offset: self.message.offset(),
            index,
            before: self.before,
            target,
            key: None,
            headers: None,
            payload: None,
            timestamp: None,
            why: None,
        }
    }

    fn document(&self, document: Document, setting: &Setting) -> Entry {
        if let Some(delay) = document.event_time.and_then(since) {
            setting.metrics.event_delay(delay);
        }
        let mut headers = OwnedHeaders::new_with_capacity(document.headers.len());
        for (key, value) in &document.headers {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        Entry {
            key: document.key.map(String::into_bytes),
            headers: Some(headers),
            payload: Some(document.payload),
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
            key: self.message.key().map(<[u8]>::to_vec),
            headers: self
                .message
                .headers()
                .map(rdkafka::message::BorrowedHeaders::detach),
            payload: payload.map(<[u8]>::to_vec),
            timestamp: self.message.timestamp().to_millis(),
            ..self.entry(Target::Unmatched, None)
        })
    }

    /// The original bytes, with the original key and headers, and ours that say why.
    fn dead_letter(&self, dead_letter: DeadLetter) -> Entry {
        let mut headers = self
            .message
            .headers()
            .map_or_else(OwnedHeaders::new, rdkafka::message::BorrowedHeaders::detach);
        let offset = self.message.offset().to_string();
        let partition = self.message.partition().to_string();
        let why = (dead_letter.reason, dead_letter.error.clone());
        let mut ours = vec![
            ("trailtag.reason", dead_letter.reason.as_str().to_owned()),
            ("trailtag.error", dead_letter.error),
            ("trailtag.source.topic", self.message.topic().to_owned()),
            ("trailtag.source.partition", partition),
            ("trailtag.source.offset", offset),
        ];
        ours.extend(
            self.message
                .timestamp()
                .to_millis()
                .map(|time| ("trailtag.source.timestamp", time.to_string())),
        );
        ours.extend(
            dead_letter
                .index
                .map(|index| ("trailtag.source.index", index.to_string())),
        );
        ours.push(("trailtag.version", env!("CARGO_PKG_VERSION").to_owned()));
        for (key, value) in &ours {
            headers = headers.insert(Header {
                key,
                value: Some(value),
            });
        }
        Entry {
            key: self.message.key().map(<[u8]>::to_vec),
            headers: Some(headers),
            payload: Some(dead_letter.payload),
            why: Some(why),
            ..self.entry(Target::DeadLetter, dead_letter.index)
        }
    }
}

/// How long ago a time in milliseconds since the epoch is; none when it is in the future.
fn since(milliseconds: i64) -> Option<Duration> {
    let then = std::time::UNIX_EPOCH + Duration::from_millis(u64::try_from(milliseconds).ok()?);
    then.elapsed().ok()
}
