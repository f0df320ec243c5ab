//! A worker's consumer, the positions of its partitions, and everything that keeps the two in step.
//!
//! Partitions can stand still for three reasons, told apart here: one that was assigned waits for its start; the whole
//! consumer is held while a commit takes long (it is polled so that it stays in its group, and must not hand out messages);
//! or one partition waits at a message whose delivery failed.

mod owned;
mod reports;
mod starts;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::owned::OwnedPartitions;
use super::TICK;
use super::context::WorkerContext;
use super::events::{ConsumerEvents, RebalanceEvent};
use super::ffi::{self, Commit, LogQueue};
use super::log_change::LogChange;
use super::outage::is_of_connection;
use super::place::{LeaderEpoch, Partition};
use super::positions::{Position, Positions};
use super::start::FirstStart;
use super::start_offsets::StartOffsets;
use crate::config::Sequences;
use crate::telemetry::health::WorkerHealth;
use crate::telemetry::metrics::Metrics;

/// How much of what the client has to say is heard at once in a wait: a rebalance may stand behind many errors.
const EVENTS: usize = 16;
/// How long a seek may take; it is local to the client.
const SEEK: Duration = Duration::from_secs(10);

/// Why a wait ends before what was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// Partitions were taken away meanwhile.
    Revoked,
    /// The time for a stop has passed.
    Deadline,
}

/// Why a reader cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ReaderError {
    /// The consumer cannot be made.
    #[error("the consumer cannot be created")]
    Consumer(#[source] KafkaError),
    /// The thread that asks where partitions begin cannot be started.
    #[error("the thread for start offsets cannot be started")]
    Thread(#[source] std::io::Error),
}

/// A consumer and where it stands.
pub struct Reader {
    /// What the consumer writes to its log; it goes before the consumer does.
    log_lines: Option<LogQueue>,
    /// The consumer; polled by the worker.
    pub consumer: BaseConsumer<ConsumerEvents>,
    /// Where each partition stands.
    pub positions: Positions,
    settings: ClientConfig,
    start_offsets: StartOffsets,
    owned: OwnedPartitions,
    /// Why it is not known where partitions begin, as it was said last.
    no_start_reason: String,
    /// Since when an open transaction keeps partitions from their start.
    unstable_since: Option<Instant>,
    /// Positions of partitions that were taken away since the worker last asked.
    gone: Vec<Position>,
    /// Some were taken away since then, and no wait has ended for that yet.
    revoked: bool,
    /// All partitions are paused, for the time of a commit.
    held: bool,
    /// Partitions of which a message was handed out while held, one that was on its way: it is to be read again.
    handed_out_while_held: BTreeSet<Partition>,
    worker: String,
    metrics: Arc<Metrics>,
    health: Arc<WorkerHealth>,
    shutdown: CancellationToken,
    sequences: Sequences,
    /// How long a stop may take, and when it has to be over.
    grace: Duration,
    deadline: Option<Instant>,
}

impl Reader {
    /// A consumer with these settings, which is not in its group yet. `first` is where a partition begins of which the group has
    /// committed nothing.
    pub fn new(
        settings: ClientConfig,
        first: FirstStart,
        context: &WorkerContext,
    ) -> Result<Self, ReaderError> {
        let monitor = context.outage.monitor();
        let consumer: BaseConsumer<ConsumerEvents> = settings
            .create_with_context(ConsumerEvents::reporting_to(monitor, &context.config))
            .map_err(ReaderError::Consumer)?;
        let start_offsets = StartOffsets::new(
            settings.clone(),
            first,
            context.config.sequences.topic.clone(),
            context.topic_ids,
        )
        .map_err(ReaderError::Thread)?;
        Ok(Self {
            log_lines: LogQueue::of_client(consumer.client()),
            consumer,
            positions: Positions::default(),
            settings,
            start_offsets,
            owned: OwnedPartitions::default(),
            no_start_reason: String::new(),
            unstable_since: None,
            gone: Vec::new(),
            revoked: false,
            held: false,
            handed_out_while_held: BTreeSet::new(),
            worker: context.number.to_string(),
            metrics: Arc::clone(&context.metrics),
            health: Arc::clone(&context.health),
            shutdown: context.shutdown.clone(),
            sequences: context.config.sequences.clone(),
            grace: context.config.shutdown_grace,
            deadline: None,
        })
    }

    /// Joins the group.
    pub fn subscribe(&self, topics: &[&str]) -> Result<(), KafkaError> {
        self.consumer.subscribe(topics)
    }

    /// Says that the loop turns; breaks when the worker is to stop. For waits before the group is joined.
    pub fn wait_for_producer(&self) -> ControlFlow<()> {
        self.beat();
        // Serves what the client has to say; there are no messages yet.
        let _ = self.consumer.poll(Duration::ZERO);
        self.look_at_log();
        self.report();
        if self.shutdown.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Looks at what the client has written to its log.
    fn look_at_log(&self) {
        if let Some(lines) = &self.log_lines {
            let events = self.consumer.context();
            lines.each_line(|level, facility, line| events.log(level, facility, line));
        }
    }

    /// Says that the loop turns.
    pub fn beat(&self) {
        self.metrics.turned(&self.worker, self.health.turned());
    }

    /// Whether a rebalance happened that was not looked at yet.
    #[must_use]
    pub fn has_rebalances(&self) -> bool {
        self.consumer.context().has_rebalances()
    }

    /// The positions of partitions that were taken away since the last call.
    pub fn gone(&mut self) -> Vec<Position> {
        self.look_at_rebalances();
        self.revoked = false;
        std::mem::take(&mut self.gone)
    }

    /// The same, without forgetting them.
    pub fn gone_mut(&mut self) -> &mut [Position] {
        &mut self.gone
    }

    fn look_at_rebalances(&mut self) {
        for event in self.consumer.context().rebalances() {
            self.metrics.rebalanced();
            match event {
                RebalanceEvent::AssignPartitions(partitions) => {
                    info!(
                        worker = self.worker,
                        count = partitions.len(),
                        ?partitions,
                        "partitions assigned"
                    );
                    self.health.joined();
                    self.wait_for_starts(partitions);
                }
                RebalanceEvent::RevokePartitions(partitions) => {
                    info!(
                        worker = self.worker,
                        count = partitions.len(),
                        ?partitions,
                        "partitions revoked"
                    );
                    self.revoked |= !partitions.is_empty();
                    let waited = self.owned.count_starting();
                    for partition in partitions {
                        self.metrics.forget_lag(&partition.0, partition.1);
                        self.owned.revoke(&partition);
                        self.handed_out_while_held.remove(&partition);
                        self.gone
                            .extend(self.positions.remove(&partition.0, partition.1));
                    }
                    if self.owned.count_starting() < waited {
                        // No more about those.
                        self.start_offsets.ask(self.starting());
                    }
                }
            }
        }
    }

    /// Whether a log is not what it was: what was read counts still, and the next message may not.
    #[must_use]
    pub fn has_log_changes(&self) -> bool {
        self.look_at_log();
        self.consumer.context().has_log_changes()
    }

    /// What has become of logs, since the last call.
    pub(super) fn log_changes(&self) -> Vec<LogChange> {
        self.consumer.context().log_changes()
    }

    /// Stays in the group for up to `wait` without taking messages.
    pub fn hold(&mut self, wait: Duration) {
        self.beat();
        if !self.held {
            self.held = true;
            self.pause(&self.owned.all());
        }
        let mut wait = wait;
        for _ in 0..EVENTS {
            match self.consumer.poll(wait) {
                // One that was on its way when the partitions were paused.
                Some(Ok(message)) => {
                    let partition = (message.topic().to_owned(), message.partition());
                    self.handed_out_while_held.insert(partition);
                }
                Some(Err(error)) => debug!(worker = self.worker, %error, "error while polling"),
                None => {}
            }
            if self.has_rebalances() {
                break;
            }
            wait = Duration::ZERO;
        }
        self.look_at_log();
        self.look_at_rebalances();
        self.report();
    }

    /// One turn of a wait within a commit. It breaks once for partitions that were taken away since the commit began.
    pub fn idle(&mut self) -> ControlFlow<Broken> {
        self.hold(Duration::ZERO);
        if std::mem::take(&mut self.revoked) {
            return ControlFlow::Break(Broken::Revoked);
        }
        if self.is_out_of_time() {
            return ControlFlow::Break(Broken::Deadline);
        }
        ControlFlow::Continue(())
    }

    /// Whether the worker is to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Whether the time for a stop has passed. It begins when the stop is first seen here: a wait that was under way by
    /// then ends in time too.
    pub fn is_out_of_time(&mut self) -> bool {
        if !self.shutdown.is_cancelled() {
            return false;
        }
        let now = Instant::now();
        now >= *self.deadline.get_or_insert(now + self.grace)
    }

    /// Takes messages again, after [`Reader::hold`].
    pub fn release(&mut self) -> Result<(), KafkaError> {
        if !std::mem::take(&mut self.held) {
            return Ok(());
        }
        self.ask_for_starts();
        let back: Vec<_> = std::mem::take(&mut self.handed_out_while_held)
            .into_iter()
            .filter_map(|partition| {
                // One that has not begun goes to its start in time.
                let position = self.positions.of_partition(&partition.0, partition.1)?;
                Some((partition, position.next.offset, position.epoch))
            })
            .collect();
        self.seek(back.into_iter())?;
        let list = list(&self.owned.reading());
        if list.count() > 0 {
            self.consumer.resume(&list)?;
        }
        Ok(())
    }

    /// Moves the consumer back to where rewound positions stand, and stops those that wait.
    pub fn seek_back(&mut self) -> Result<(), KafkaError> {
        let mut back = Vec::new();
        for position in self
            .positions
            .iter_mut()
            .filter(|position| position.rewound)
        {
            let partition = (position.topic.clone(), position.partition);
            let (offset, epoch) = position.go_back();
            back.push((partition, offset, epoch));
        }
        self.seek(back.into_iter())?;
        let now = Instant::now();
        let stopped: Vec<_> = self
            .positions
            .iter()
            .filter(|position| position.is_stopped(now))
            .map(|position| (position.topic.clone(), position.partition))
            .collect();
        self.pause(&stopped);
        for partition in &stopped {
            self.owned.stop(partition);
        }
        Ok(())
    }

    /// A message at or behind its partition's barrier was read: back to where the position stands, and wait there.
    pub fn stand_still(&mut self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        let index = self.positions.index_of(topic, partition);
        if let Some(position) = index.and_then(|index| self.positions.at_mut(index)) {
            position.come_to_barrier();
        }
        self.go_to_next(topic, partition)?;
        let partition = (topic.to_owned(), partition);
        self.pause(std::slice::from_ref(&partition));
        self.owned.stop(&partition);
        Ok(())
    }

    /// Moves the consumer to where a position stands. With the leader epoch that goes with it, the broker says whether
    /// its log still has what came before.
    pub fn go_to_next(&self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        let position = self.positions.of_partition(topic, partition);
        let target = position.map(|position| {
            let partition = (topic.to_owned(), partition);
            (partition, position.next.offset, position.epoch)
        });
        self.seek(target.into_iter())
    }

    /// Lets partitions flow whose wait is over.
    pub fn resume_due(&mut self) {
        if self.owned.count_stopped() == 0 || self.held {
            return;
        }
        let now = Instant::now();
        let waits = |(topic, partition): &Partition| {
            let position = self.positions.of_partition(topic, *partition);
            position.is_some_and(|it| it.is_stopped(now))
        };
        let due: Vec<_> = self
            .owned
            .stopped()
            .filter(|partition| !waits(partition))
            .cloned()
            .collect();
        if due.is_empty() {
            return;
        }
        if self.resume(&due) {
            for partition in &due {
                self.owned.resume(partition);
            }
        }
    }

    fn pause(&self, partitions: &[Partition]) {
        let list = list(partitions);
        if list.count() > 0
            && let Err(error) = self.consumer.pause(&list)
        {
            // Messages that come all the same are sought back, or found blocked.
            warn!(worker = self.worker, %error, "pause failed");
        }
    }

    /// False when it did not work.
    fn resume(&self, partitions: &[Partition]) -> bool {
        let list = list(partitions);
        if list.count() > 0
            && let Err(error) = self.consumer.resume(&list)
        {
            warn!(worker = self.worker, %error, "resume failed");
            return false;
        }
        true
    }

    fn seek(
        &self,
        targets: impl Iterator<Item = (Partition, i64, LeaderEpoch)>,
    ) -> Result<(), KafkaError> {
        match self.try_seek(targets)?.pop_first() {
            None => Ok(()),
            Some(((topic, partition), error)) => {
                error!(topic, partition, %error, "cannot seek back");
                Err(error)
            }
        }
    }

    /// Moves the consumer, and says which partitions it could not move.
    fn try_seek(
        &self,
        targets: impl Iterator<Item = (Partition, i64, LeaderEpoch)>,
    ) -> Result<BTreeMap<Partition, KafkaError>, KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset, epoch) in targets {
            ffi::add_offset(&mut list, &topic, partition, offset, epoch, "")?;
        }
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let done = self.consumer.seek_partitions(list, SEEK)?;
        let refused = done.elements().into_iter().filter_map(|element| {
            let error = element.error().err()?;
            Some(((element.topic().to_owned(), element.partition()), error))
        });
        Ok(refused.collect())
    }

    /// Ends the series of this worker's partitions, and says that its client is gone.
    pub fn forget(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.owned).all() {
            self.metrics.forget_lag(&topic, partition);
        }
        self.metrics.stopped(&self.worker, 0);
        self.metrics.brokers(&self.worker, 0);
        if !self.sequences.topic.is_empty() {
            self.metrics.remembered(&self.worker, 0, 0);
        }
    }

    /// The group's state of this moment, which fences members of the past.
    #[must_use]
    pub fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Commits offsets without a transaction, and waits for it: in the group, and no longer than a stop may take.
    pub fn commit(&mut self, offsets: &TopicPartitionList) -> Result<(), KafkaError> {
        if offsets.count() == 0 {
            return Ok(());
        }
        let commit =
            Commit::begin(self.consumer.client(), offsets).map_err(KafkaError::ConsumerCommit)?;
        loop {
            if let Some(answer) = commit.answer(TICK) {
                return answer.map_err(KafkaError::ConsumerCommit);
            }
            // Of partitions that go meanwhile, the answer tells whether the offsets stand.
            self.hold(Duration::ZERO);
            if self.is_out_of_time() {
                return Err(KafkaError::ConsumerCommit(
                    RDKafkaErrorCode::OperationTimedOut,
                ));
            }
        }
    }

    /// Errs when the consumer cannot go on: a member that was fenced is given no messages any more, and no commit of its
    /// goes through. A wait may have met the error that said so.
    pub fn check(&self) -> Result<(), KafkaError> {
        match self.consumer.client().fatal_error() {
            Some((code, _)) => Err(KafkaError::MessageConsumptionFatal(code)),
            None => Ok(()),
        }
    }

    /// An error that came instead of a message. Errs when the consumer cannot go on.
    pub fn failed(&self, error: KafkaError) -> Result<(), KafkaError> {
        match error {
            KafkaError::MessageConsumptionFatal(_) => return Err(error),
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic,
            ) => warn!(
                worker = self.worker,
                "an input topic does not exist; waiting for it"
            ),
            KafkaError::MessageConsumption(RDKafkaErrorCode::TopicAuthorizationFailed) => {
                error!(
                    worker = self.worker,
                    "no permission to read an input topic (needs READ and DESCRIBE)"
                );
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::GroupAuthorizationFailed) => {
                error!(
                    worker = self.worker,
                    "no permission for the consumer group (needs READ)"
                );
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::PollExceeded) => {
                error!(
                    worker = self.worker,
                    "no poll within max.poll.interval.ms: the partitions are lost"
                );
            }
            // What it is about stands in the library's log, which is looked at ([`LogChange`]).
            KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => {}
            // Said by `outage`, once for all clients.
            KafkaError::MessageConsumption(code) if is_of_connection(code) => {
                debug!(worker = self.worker, %error, "the consumer reports a problem");
            }
            error => warn!(worker = self.worker, %error, "the consumer reports a problem"),
        }
        Ok(())
    }
}

fn list(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}
