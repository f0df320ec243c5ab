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

mod changed_logs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::client::{self, ClientError, Share};
use super::delivery::{Outcome, Sink, SinkError};
use super::entry::Entry;
use super::fencing::{self, Lineage};
use super::intake::{Batch, Intake, Refused, Taken, take, take_part};
use super::native::admin::Partition;
use super::outage::Outage;
use super::positions::Position;
use super::reader::Reader;
use super::start::Place;
pub use super::start_offsets::TopicIds;
use super::unfold::{Next, Unfolding};
use crate::config::{Config, Guarantee};
use crate::pipeline::{Outputs, Pipeline};
use crate::telemetry::health::WorkerHealth;
use crate::telemetry::metrics::{Metrics, Transaction};

/// How many messages are read between two looks at the clock.
const STRIDE: usize = 256;
/// The longest sleep of the loop: how late it may notice that it is to stop.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// The longest sleep while partitions wait for their start, which comes from another thread.
const GLANCE: Duration = Duration::from_millis(5);

/// Questions where a log was cut, by the partition and the offset that is out of range.
pub type Questions = BTreeMap<(Partition, i64), u32>;

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
    /// Whether topics have ids that can be asked for.
    pub topic_ids: TopicIds,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    /// Where the loop says that it turns.
    pub health: Arc<WorkerHealth>,
    /// Whether brokers answer, shared by all workers.
    pub outage: Arc<Outage>,
    /// What is known of this worker's producers, the earlier ones included.
    pub lineage: Arc<Lineage>,
    /// How often leaders were asked where their log was cut.
    pub asked_for_cut: Arc<Mutex<Questions>>,
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
    #[error("fatal error of the consumer")]
    Consumer(#[source] KafkaError),
    /// A thread of the worker cannot be started, or was lost.
    #[error("a thread of the worker failed")]
    Thread(#[source] std::io::Error),
    /// Another process is the group's member with this worker's name.
    #[error(
        "another process uses the name {name} as well (group.instance.id and transactional id): give each process its own \
         delivery.transactional_id_prefix"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// The group's coordinator has a later member with this worker's name, and had not answered shortly before.
    #[error(
        "the consumer group has a later member with the name {name}: probably this worker itself, which asked again to join \
         while brokers did not answer; if it happens again while they answer, look for another process with the same \
         delivery.transactional_id_prefix"
    )]
    NameLost {
        /// The name.
        name: String,
    },
    /// The producer cannot go on.
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// The stop took longer than `shutdown_grace`; what was in flight is read again at the next start.
    #[error("stopped with {0} messages unfinished: shutdown_grace has passed")]
    Unfinished(usize),
}

/// How a worker ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It was told to stop.
    Stopped,
    /// It is to begin again, with clients that know nothing of the past.
    Again,
}

/// A running worker.
pub(super) struct Worker {
    pub(super) setting: Setting,
    pub(super) reader: Reader,
    pub(super) sink: Sink,
    pipeline: Arc<Pipeline>,
    outputs: Outputs,
    pub(super) batch: Batch,
    /// By the id of the position and the offset.
    pub(super) refused: BTreeMap<(u64, i64), Vec<Refused>>,
    /// The ids of positions with something that was not delivered at the last try.
    undelivered: BTreeSet<u64>,
    /// A message that becomes more than fits into one commit, and whose rest comes next.
    unfolding: Option<Unfolding>,
    /// Batches that failed in a row with no message to blame.
    pub(super) troubles: u32,
    pub(super) budget: Budget,
}

/// How many bytes of outputs a batch holds at the most: fewer after a commit that did not go through, since it may have been
/// too much for its time.
pub(super) struct Budget {
    most: usize,
    now: usize,
}

impl Budget {
    /// Where the library needs some time for a batch, it gets fewer bytes, but not fewer than that.
    const LEAST: usize = 256 << 10;

    const fn new(most: usize) -> Self {
        Self { most, now: most }
    }

    /// What one message may add at once.
    const fn part(&self) -> usize {
        self.now / 4
    }

    /// What makes a batch full, so that one part more fits.
    const fn full(&self) -> usize {
        self.now - self.part()
    }

    pub(super) fn went_through(&mut self) {
        self.now = (self.now + self.most / 8).min(self.most);
    }

    pub(super) fn failed(&mut self) {
        self.now = (self.now / 2).max(Self::LEAST.min(self.most));
    }
}

/// Runs one worker until it is told to stop, or fails in a way that needs new clients.
pub fn run(setting: Setting) -> Result<End, WorkerError> {
    let config = Arc::clone(&setting.config);
    let share = Share::of(&config, setting.number, setting.workers);
    let settings = client::producer(&config, &share, setting.limits.smallest())?;
    let sink = Sink::new(&settings, &config, share.id.clone(), &setting)?;
    let reader = Reader::new(&config, &share, &setting)?;
    setting.health.waits_for("the start of the producer");
    if sink.begin(&mut || reader.wait_for_producer())?.is_break() {
        return Ok(End::Stopped);
    }
    setting.health.waited();
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
        undelivered: BTreeSet::new(),
        unfolding: None,
        troubles: 0,
        budget: Budget::new(share.batch_bytes()),
    };
    let result = worker.turn().map_err(|error| {
        fencing::told_apart(
            error,
            &share.id,
            &worker.setting.lineage,
            &mut worker.reader,
        )
    });
    worker.leave();
    if worker.reader.is_out_of_time() {
        // Closing the consumer would wait for a commit that no broker answers. The process ends now, and takes it along.
        std::mem::forget(worker);
    }
    result
}

impl Worker {
    fn turn(&mut self) -> Result<End, WorkerError> {
        while !self.setting.shutdown.is_cancelled() {
            self.tick()?;
            self.reader.check().map_err(WorkerError::Consumer)?;
            if self.unfolding.is_some() {
                self.unfold()?;
            } else {
                self.fill()?;
            }
            self.drop_revoked();
            if self.reader.has_log_changes() {
                return self.leave_changed_logs();
            }
            if self.is_due(Instant::now()) {
                self.commit()?;
            }
        }
        self.drain()?;
        Ok(End::Stopped)
    }

    /// Takes the next part of a message that becomes more than fits into one commit.
    fn unfold(&mut self) -> Result<(), WorkerError> {
        let Some(unfolding) = &mut self.unfolding else {
            return Ok(());
        };
        // Nothing else is read meanwhile; the member stays in its group.
        self.reader.hold(Duration::ZERO);
        let positions = &mut self.reader.positions;
        let position = positions
            .iter_mut()
            .find(|it| it.id == unfolding.position && it.next == unfolding.at);
        // Without it, the partition was taken away, or sent back to an earlier place.
        if let Some(position) = position {
            match unfolding.part(TICK) {
                Next::NotYet => return Ok(()),
                Next::Lost => {
                    let lost =
                        std::io::Error::other("the thread that unfolds a message ended early");
                    return Err(WorkerError::Thread(lost));
                }
                Next::Part(part) => {
                    let offset = unfolding.message.offset();
                    let refused = self.refused.get(&(unfolding.position, offset));
                    take_part(
                        &unfolding.message,
                        position,
                        *part,
                        unfolding.epoch,
                        refused,
                        &self.setting,
                        &mut self.batch,
                    );
                }
            }
            if !unfolding.is_done() {
                return Ok(());
            }
        }
        self.unfolding = None;
        self.reader.release().map_err(WorkerError::Consumer)
    }

    /// What is in flight at the end is read again, here or elsewhere, and the series of this worker's partitions end.
    fn leave(&mut self) {
        self.drop_revoked();
        self.report();
        self.return_all();
        self.reader.forget();
    }

    /// What is done now and then, not for each message.
    fn tick(&mut self) -> Result<(), WorkerError> {
        self.reader.beat();
        self.report();
        self.drop_revoked();
        // What is not this worker's any more, others deliver.
        let health = &self.setting.health;
        health.delivered(self.undelivered.is_empty());
        self.reader.resume_due();
        if self.is_exactly_once() && self.reader.is_held_up() {
            info!(
                worker = self.setting.number,
                "committed offsets stay in an open transaction; the open transactions of this worker are discarded"
            );
            self.sink.discard_offsets(&mut self.reader)?;
            self.reader.release().map_err(WorkerError::Consumer)?;
        }
        self.reader.begin_known().map_err(WorkerError::Consumer)
    }

    /// Reads up to a stride of messages, and sleeps only when there are none.
    fn fill(&mut self) -> Result<(), WorkerError> {
        self.outputs.budget = Some(self.budget.part());
        let mut wait = Duration::ZERO;
        for turn in 0..STRIDE {
            let taken = match self.reader.consumer.poll(wait) {
                // It may be of another log than its offset seems to say.
                Some(Ok(_)) if self.reader.has_log_changes() => return Ok(()),
                Some(Ok(message)) => {
                    // Between two batches, a new pipeline takes the old one's place.
                    if self.batch.entries.is_empty()
                        && self.setting.pipeline.has_changed().unwrap_or(false)
                    {
                        self.pipeline = Arc::clone(&self.setting.pipeline.borrow_and_update());
                    }
                    let taken = take(
                        &message,
                        Intake {
                            positions: &mut self.reader.positions,
                            pipeline: &self.pipeline,
                            setting: &self.setting,
                            outputs: &mut self.outputs,
                            batch: &mut self.batch,
                            refused: &self.refused,
                        },
                    );
                    if let Taken::Begun {
                        position,
                        rest,
                        epoch,
                    } = taken
                    {
                        let mut outputs = Outputs::with_limits(self.setting.limits.routes.clone());
                        outputs.budget = Some(self.budget.part());
                        let unfolding = Unfolding::begin(
                            message.detach(),
                            position,
                            rest,
                            epoch,
                            Arc::clone(&self.pipeline),
                            outputs,
                        );
                        self.unfolding = Some(unfolding.map_err(WorkerError::Thread)?);
                        return Ok(());
                    }
                    taken
                }
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
            match taken {
                Taken::In | Taken::Begun { .. } | Taken::Unbegun => Ok(()),
                Taken::Blocked { topic, partition } => self.reader.stand_still(&topic, partition),
                Taken::Behind { topic, partition } => self.reader.go_to_next(&topic, partition),
            }
            .map_err(WorkerError::Consumer)?;
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
        let longest = if self.reader.is_waiting() {
            GLANCE
        } else {
            TICK
        };
        due.map_or(longest, |due| {
            due.saturating_duration_since(now).min(longest)
        })
    }

    fn is_full(&self) -> bool {
        self.batch.hurry
            || self.batch.bytes >= self.budget.full()
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

        self.setting.health.waits_for(if transactional {
            "a transaction"
        } else {
            "a commit"
        });
        let outcome = self.sink.deliver(&mut entries, &mut self.reader);
        self.setting.health.waited();
        let outcome = outcome.inspect_err(|_| {
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
        let unanswered = match &outcome {
            Outcome::Delivered => false,
            Outcome::Failed { uncommitted, .. } => uncommitted.is_some(),
            Outcome::Uncommitted(_) | Outcome::Aborted(_) | Outcome::Interrupted => true,
        };
        let in_flight = self.in_flight();
        let health = &self.setting.health;
        health.delivered(matches!(outcome, Outcome::Delivered));
        let tried: Vec<_> = self
            .reader
            .positions
            .iter()
            .map(|position| (position.id, position.next))
            .collect();
        self.settle(&entries, outcome)?;
        let is_left = |(id, next): (u64, Place)| {
            let position = self.reader.positions.find(id);
            position.is_some_and(|it| it.settled < next).then_some(id)
        };
        self.undelivered = tried.into_iter().filter_map(is_left).collect();
        self.reader.check().map_err(WorkerError::Consumer)?;
        if unanswered && self.reader.is_out_of_time() {
            return Err(WorkerError::Unfinished(in_flight));
        }
        self.drop_revoked();
        if self.unfolding.is_some() {
            // Partitions stay paused until it is through.
            return Ok(());
        }
        self.reader.release().map_err(WorkerError::Consumer)
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
        self.undelivered.retain(|id| !is_gone(*id));
    }

    fn report(&mut self) {
        self.batch.unreported.report(&self.setting.metrics);
        self.reader.report();
    }

    /// Finishes and commits what is in flight, within `shutdown_grace`.
    fn drain(&mut self) -> Result<(), WorkerError> {
        // The time begins now, if no wait has seen the stop before.
        self.reader.is_out_of_time();
        // What is not in the batch of a large message is read again: what is done of it is committed.
        self.unfolding = None;
        self.drop_revoked();
        while self.reader.positions.any_in_flight() {
            let before = self.in_flight();
            self.commit()?;
            if self.in_flight() == 0 && !self.undelivered.is_empty() {
                warn!(
                    worker = self.setting.number,
                    messages = before,
                    "the last batch failed; nothing of it is committed, and it will be read again"
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
            .filter(|position| position.next > position.settled)
            .map(|position| {
                let messages = position.next.offset - position.settled.offset;
                // A part of one message is one.
                usize::try_from(messages).unwrap_or(usize::MAX).max(1)
            })
            .sum()
    }
}
