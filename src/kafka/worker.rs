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

mod budget;
mod changed_logs;
mod commit_outcome;
mod fencing;
mod forgotten_steps;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use tracing::{info, warn};

use self::budget::Budget;
use self::forgotten_steps::ForgottenSteps;
use super::TICK;
use super::batch_builder::{Added, Batch, BatchBuilder, Refused, add_part};
use super::client::{self, ClientError, WorkerResources};
use super::context::WorkerContext;
use super::delivery::{DeliveryOutcome, Sink, SinkError};
use super::outgoing::OutgoingMessage;
use super::place::Place;
use super::positions::Position;
use super::reader::{Reader, ReaderError};
use super::topics;
use super::unfold::{NextPart, Unfolding};
use crate::config::Guarantee;
use crate::pipeline::{Outputs, Pipeline};
use crate::telemetry::metrics::Transaction;

/// How many messages are read between two looks at the clock.
const STRIDE: usize = 256;
/// The longest sleep while partitions wait for their start, which comes from another thread.
const TICK_WHILE_STARTING: Duration = Duration::from_millis(5);

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

impl From<ReaderError> for WorkerError {
    fn from(error: ReaderError) -> Self {
        match error {
            ReaderError::Consumer(error) => Self::Consumer(error),
            ReaderError::Thread(error) => Self::Thread(error),
        }
    }
}

/// How a worker ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerEnd {
    /// It was told to stop.
    Stopped,
    /// It is to begin again, with clients that know nothing of the past.
    Again,
}

/// A running worker.
struct Worker {
    context: WorkerContext,
    reader: Reader,
    sink: Sink,
    pipeline: Arc<Pipeline>,
    outputs: Outputs,
    batch: Batch,
    /// By the id of the position and the offset.
    refused: BTreeMap<(u64, i64), Vec<Refused>>,
    /// The ids of positions with something that was not delivered at the last try.
    undelivered: BTreeSet<u64>,
    /// A message that becomes more than fits into one commit, and whose rest comes next.
    unfolding: Option<Unfolding>,
    /// Batches that failed in a row with no message to blame.
    failed_commits: u32,
    forgotten_steps: ForgottenSteps,
    budget: Budget,
}

/// Runs one worker until it is told to stop, or fails in a way that needs new clients.
pub fn run(context: WorkerContext) -> Result<WorkerEnd, WorkerError> {
    let config = Arc::clone(&context.config);
    let resources = WorkerResources::for_worker(&config, context.number, context.workers);
    let settings = client::producer(&config, &resources, context.limits.smallest())?;
    let sink = Sink::new(&settings, resources.id.clone(), &context)?;
    let settings = client::consumer(&config, &resources)?;
    let reader = Reader::new(settings, client::first_start(&config), &context)?;
    context.health.waits_for("the start of the producer");
    if sink.begin(&mut || reader.wait_for_producer())?.is_break() {
        return Ok(WorkerEnd::Stopped);
    }
    context.health.waited();
    reader
        .subscribe(&topics::read(&config))
        .map_err(WorkerError::Consumer)?;
    info!(worker = context.number, id = resources.id, guarantee = ?config.delivery.guarantee, "worker ready");
    let mut context = context;
    let pipeline = Arc::clone(&context.pipeline.borrow_and_update());
    let outputs = Outputs::with_limits(context.limits.routes.clone());
    let mut worker = Worker {
        context,
        reader,
        sink,
        pipeline,
        outputs,
        batch: Batch::default(),
        refused: BTreeMap::new(),
        undelivered: BTreeSet::new(),
        unfolding: None,
        failed_commits: 0,
        forgotten_steps: ForgottenSteps::default(),
        budget: Budget::new(resources.batch_bytes()),
    };
    let result = worker.run().map_err(|error| {
        fencing::told_apart(
            error,
            &resources.id,
            &worker.context.producer_epochs,
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
    fn run(&mut self) -> Result<WorkerEnd, WorkerError> {
        while !self.context.shutdown.is_cancelled() {
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
        Ok(WorkerEnd::Stopped)
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
                NextPart::NotYet => return Ok(()),
                NextPart::Lost => {
                    let lost =
                        std::io::Error::other("the thread that unfolds a message ended early");
                    return Err(WorkerError::Thread(lost));
                }
                NextPart::Part(part) => {
                    let offset = unfolding.message.offset();
                    let refused = self.refused.get(&(unfolding.position, offset));
                    add_part(
                        &unfolding.message,
                        position,
                        *part,
                        unfolding.epoch,
                        refused,
                        &self.context,
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
        let health = &self.context.health;
        health.delivered(self.undelivered.is_empty());
        self.reader.resume_due();
        if self.is_exactly_once() && self.reader.is_held_up() {
            info!(
                worker = self.context.number,
                "an offset of the group stays in an open transaction; open offsets of this worker's own are discarded"
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
            let added = match self.reader.consumer.poll(wait) {
                // It may be of another log than its offset seems to say.
                Some(Ok(_)) if self.reader.has_log_changes() => return Ok(()),
                Some(Ok(message)) => {
                    // Between two batches, a new pipeline takes the old one's place.
                    if self.batch.outgoing.is_empty()
                        && self.context.pipeline.has_changed().unwrap_or(false)
                    {
                        self.pipeline = Arc::clone(&self.context.pipeline.borrow_and_update());
                    }
                    let builder = BatchBuilder {
                        positions: &mut self.reader.positions,
                        pipeline: &self.pipeline,
                        context: &self.context,
                        outputs: &mut self.outputs,
                        batch: &mut self.batch,
                        refused: &self.refused,
                    };
                    let added = builder.add(&message);
                    if let Added::Begun {
                        position,
                        rest,
                        epoch,
                    } = added
                    {
                        let mut outputs = Outputs::with_limits(self.context.limits.routes.clone());
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
                    added
                }
                Some(Err(error)) => {
                    self.reader.failed(error).map_err(WorkerError::Consumer)?;
                    return Ok(());
                }
                None if self.reader.has_rebalances() => return Ok(()),
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
            match added {
                Added::In | Added::Begun { .. } | Added::NotStarted => Ok(()),
                Added::Blocked { topic, partition } => self.reader.stand_still(&topic, partition),
                Added::Behind { topic, partition } => self.reader.go_to_next(&topic, partition),
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
        let delivery = &self.context.config.delivery;
        let due = match (self.batch.first_output, self.batch.begun) {
            (Some(first), _) => Some(first + delivery.linger),
            (None, Some(begun)) => Some(begun + delivery.commit_interval),
            (None, None) => None,
        };
        let longest = if self.reader.is_waiting() {
            TICK_WHILE_STARTING
        } else {
            TICK
        };
        due.map_or(longest, |due| {
            due.saturating_duration_since(now).min(longest)
        })
    }

    fn is_full(&self) -> bool {
        self.batch.flush_now
            || self.batch.bytes >= self.budget.full()
            || (self.batch.messages >= self.context.config.delivery.batch_records
                && !self.batch.outgoing.is_empty())
    }

    fn is_due(&self, now: Instant) -> bool {
        let delivery = &self.context.config.delivery;
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
        let mut outgoing = std::mem::take(&mut self.batch.outgoing);
        let unreported = std::mem::take(&mut self.batch.unreported);
        self.batch = Batch {
            unreported,
            ..Batch::default()
        };
        let transactional = self.context.config.delivery.guarantee == Guarantee::ExactlyOnce
            && !outgoing.is_empty();

        self.context.health.waits_for(if transactional {
            "a transaction"
        } else {
            "a commit"
        });
        let outcome = self.sink.deliver(&mut outgoing, &mut self.reader);
        self.context.health.waited();
        let outcome = outcome.inspect_err(|_| {
            if transactional {
                self.context
                    .metrics
                    .transaction(Transaction::Aborted, started.elapsed());
            }
        })?;
        if transactional {
            let end = match outcome {
                DeliveryOutcome::Delivered => Transaction::Committed,
                _ => Transaction::Aborted,
            };
            self.context.metrics.transaction(end, started.elapsed());
        }
        self.context
            .metrics
            .batch(begun.map_or_else(|| started.elapsed(), |begun| begun.elapsed()));
        let unanswered = match &outcome {
            DeliveryOutcome::Delivered => false,
            DeliveryOutcome::Failed { uncommitted, .. } => uncommitted.is_some(),
            DeliveryOutcome::Uncommitted(_)
            | DeliveryOutcome::Aborted(_)
            | DeliveryOutcome::Interrupted => true,
        };
        let in_flight = self.in_flight();
        let health = &self.context.health;
        health.delivered(matches!(outcome, DeliveryOutcome::Delivered));
        let tried: Vec<_> = self
            .reader
            .positions
            .iter()
            .map(|position| (position.id, position.next))
            .collect();
        self.apply_outcome(&outgoing, outcome)?;
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
            self.context.metrics.returned(&position.pending);
        }
        let is_gone = |id: u64| gone.iter().any(|position: &Position| position.id == id);
        self.batch
            .outgoing
            .retain(|message| !is_gone(message.position));
        self.batch.bytes = self.batch.outgoing.iter().map(OutgoingMessage::size).sum();
        if self.batch.outgoing.is_empty() {
            self.batch.first_output = None;
            self.batch.flush_now = false;
        }
        self.refused.retain(|(id, _), _| !is_gone(*id));
        self.undelivered.retain(|id| !is_gone(*id));
    }

    fn report(&mut self) {
        self.batch.unreported.report(&self.context.metrics);
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
                    worker = self.context.number,
                    messages = before,
                    "the last batch failed; nothing of it is committed, and it will be read again"
                );
            }
        }
        info!(worker = self.context.number, "worker drained");
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
