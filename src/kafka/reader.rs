//! A worker's consumer, the positions of its partitions, and everything that keeps the two in step.
//!
//! Partitions can stand still for two reasons, told apart here: the whole consumer is held while a commit takes long
//! (it is polled so that it stays in its group, and must not hand out messages), or one partition waits at a message
//! whose delivery failed.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerGroupMetadata};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::Offset;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::client::{self, Change, ConsumerSide, Lag, Share};
use super::native::Commit;
use super::positions::{Position, Positions};
use super::reason::is_of_connection;
use super::worker::{Setting, TICK, WorkerError};
use crate::config::Config;
use crate::service::health::WorkerHealth;
use crate::service::metrics::Metrics;

/// How much of what the client has to say is heard at once in a wait: a rebalance may stand behind many errors.
const EVENTS: usize = 16;
/// How long the brokers may take to say what the group has committed, with the connection to them.
const ASK: Duration = Duration::from_secs(5);
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

/// A partition, by topic and number.
type Partition = (String, i32);

/// A consumer and where it stands.
pub struct Reader {
    /// The consumer; polled by the worker.
    pub consumer: BaseConsumer<ConsumerSide>,
    /// Where each partition stands.
    pub positions: Positions,
    /// Knows where the group goes on.
    pub(super) asker: Asker,
    owned: BTreeSet<Partition>,
    stopped: BTreeSet<Partition>,
    /// Positions of partitions that were taken away since the worker last asked.
    gone: Vec<Position>,
    /// Some were taken away since then, and no wait has ended for that yet.
    revoked: bool,
    /// All partitions are paused, for the time of a commit.
    held: bool,
    /// Messages that were handed out while held: to be read again.
    echoes: Vec<(Partition, i64)>,
    worker: String,
    metrics: Arc<Metrics>,
    health: Arc<WorkerHealth>,
    shutdown: CancellationToken,
    /// How long a stop may take, and when it has to be over.
    grace: Duration,
    deadline: Option<Instant>,
}

impl Reader {
    /// A consumer that is not in its group yet.
    pub fn new(config: &Config, share: &Share, setting: &Setting) -> Result<Self, WorkerError> {
        let settings = client::consumer(config, share)?;
        let consumer = settings
            .create_with_context(ConsumerSide::heard_by(setting.outage.ear()))
            .map_err(WorkerError::Consumer)?;
        Ok(Self {
            consumer,
            positions: Positions::default(),
            asker: Asker::new(settings),
            owned: BTreeSet::new(),
            stopped: BTreeSet::new(),
            gone: Vec::new(),
            revoked: false,
            held: false,
            echoes: Vec::new(),
            worker: setting.number.to_string(),
            metrics: Arc::clone(&setting.metrics),
            health: Arc::clone(&setting.health),
            shutdown: setting.shutdown.clone(),
            grace: config.shutdown_grace,
            deadline: None,
        })
    }

    /// Joins the group.
    pub fn subscribe(&self, topics: &[String]) -> Result<(), KafkaError> {
        let topics: Vec<_> = topics.iter().map(String::as_str).collect();
        self.consumer.subscribe(&topics)
    }

    /// Says that the loop turns; breaks when the worker is to stop. For waits before the group is joined.
    pub fn wait_for_producer(&self) -> ControlFlow<()> {
        self.beat();
        // Serves what the client has to say; there are no messages yet.
        let _ = self.consumer.poll(Duration::ZERO);
        self.report();
        if self.shutdown.is_cancelled() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }

    /// Says that the loop turns.
    pub fn beat(&self) {
        self.metrics.turned(&self.worker, self.health.turned());
    }

    /// Reports what the client's statistics say, and how many partitions stand still; helps the client where it needs it.
    pub fn report(&self) {
        let context = self.consumer.context();
        context
            .adrift
            .help(self.consumer.client(), &self.asker.settings);
        let standing = self
            .positions
            .iter()
            .filter(|position| position.barrier.is_some())
            .count();
        self.metrics.stopped(&self.worker, standing);
        self.health.standing(standing);
        let Some(view) = context.view() else {
            return;
        };
        self.metrics.brokers(&self.worker, view.brokers);
        let (silent, for_long) = view.contact.silence();
        self.health.silent(silent, for_long, context.why());
        for end in view.ends {
            // Statistics go on about partitions that are gone; their lag is the new owner's to report.
            if !self.owned.contains(&(end.topic.clone(), end.partition)) {
                continue;
            }
            // Ours first: the client forgets where it stands when it is sent back, and a partition that stands still is
            // the last one whose lag may be missing.
            let ours = self
                .positions
                .iter()
                .find(|it| it.partition == end.partition && it.topic == end.topic);
            if let Some(next) = ours.map(|position| position.next).or(end.next) {
                self.metrics.lag(&Lag {
                    topic: end.topic,
                    partition: end.partition,
                    messages: (end.end - next).max(0),
                });
            }
        }
    }

    /// Whether a rebalance happened that was not looked at yet.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.consumer.context().has_changes()
    }

    /// The positions of partitions that were taken away since the last call.
    pub fn gone(&mut self) -> Vec<Position> {
        self.look_at_changes();
        self.revoked = false;
        std::mem::take(&mut self.gone)
    }

    /// The same, without forgetting them.
    pub fn gone_mut(&mut self) -> &mut [Position] {
        &mut self.gone
    }

    fn look_at_changes(&mut self) {
        for change in self.consumer.context().changes() {
            self.metrics.rebalanced();
            match change {
                Change::Assigned(partitions) => {
                    info!(
                        worker = self.worker,
                        count = partitions.len(),
                        ?partitions,
                        "partitions assigned"
                    );
                    self.health.joined();
                    if self.held {
                        self.pause(&partitions);
                    }
                    self.owned.extend(partitions);
                }
                Change::Revoked(partitions) => {
                    info!(
                        worker = self.worker,
                        count = partitions.len(),
                        ?partitions,
                        "partitions revoked"
                    );
                    self.revoked |= !partitions.is_empty();
                    // librdkafka keeps a pause beyond the assignment: a partition that comes back would stand still.
                    self.resume(&partitions);
                    for partition in partitions {
                        self.metrics.forget_lag(&partition.0, partition.1);
                        self.owned.remove(&partition);
                        self.stopped.remove(&partition);
                        self.echoes.retain(|(echo, _)| *echo != partition);
                        self.gone
                            .extend(self.positions.remove(&partition.0, partition.1));
                    }
                }
            }
        }
    }

    /// Stays in the group for up to `wait` without taking messages.
    pub fn hold(&mut self, wait: Duration) {
        self.beat();
        if !self.held {
            self.held = true;
            let owned: Vec<_> = self.owned.iter().cloned().collect();
            self.pause(&owned);
        }
        let mut wait = wait;
        for _ in 0..EVENTS {
            match self.consumer.poll(wait) {
                // One that was on its way when the partitions were paused.
                Some(Ok(message)) => {
                    let partition = (message.topic().to_owned(), message.partition());
                    // The first one of a partition is where it goes on.
                    if !self.echoes.iter().any(|(echo, _)| *echo == partition) {
                        self.echoes.push((partition, message.offset()));
                    }
                }
                Some(Err(error)) => debug!(worker = self.worker, %error, "while waiting"),
                None => {}
            }
            if self.has_changes() {
                break;
            }
            wait = Duration::ZERO;
        }
        self.look_at_changes();
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
        let echoes = std::mem::take(&mut self.echoes);
        let back: Vec<_> = echoes
            .into_iter()
            .map(|(partition, offset)| {
                let known = self
                    .positions
                    .iter()
                    .find(|it| it.topic == partition.0 && it.partition == partition.1);
                let next = known.map_or(offset, |position| position.next);
                (partition, next)
            })
            .collect();
        self.seek(back.into_iter())?;
        let flowing: Vec<_> = self.owned.difference(&self.stopped).cloned().collect();
        let list = list(&flowing);
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
            position.rewound = false;
            back.push(((position.topic.clone(), position.partition), position.next));
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
        self.stopped.extend(stopped);
        Ok(())
    }

    /// A message at or behind its partition's barrier was read: back to where the position stands, and wait there.
    pub fn stand_still(&mut self, topic: &str, partition: i32) -> Result<(), KafkaError> {
        let key = (topic.to_owned(), partition);
        let next = self
            .positions
            .iter()
            .find(|position| position.partition == partition && position.topic == topic)
            .map(|position| position.next);
        if let Some(next) = next {
            self.seek(std::iter::once((key.clone(), next)))?;
        }
        self.pause(std::slice::from_ref(&key));
        self.stopped.insert(key);
        Ok(())
    }

    /// Lets partitions flow whose wait is over.
    pub fn resume_due(&mut self) {
        if self.stopped.is_empty() || self.held {
            return;
        }
        let now = Instant::now();
        let waiting = |partition: &Partition| {
            self.positions.iter().any(|it| {
                it.topic == partition.0 && it.partition == partition.1 && it.is_stopped(now)
            })
        };
        let due: Vec<_> = self
            .stopped
            .iter()
            .filter(|partition| !waiting(partition))
            .cloned()
            .collect();
        if due.is_empty() {
            return;
        }
        if self.resume(&due) {
            self.stopped.retain(|partition| !due.contains(partition));
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

    fn seek(&self, targets: impl Iterator<Item = (Partition, i64)>) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in targets {
            list.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
        }
        if list.count() == 0 {
            return Ok(());
        }
        let done = self.consumer.seek_partitions(list, SEEK)?;
        for element in done.elements() {
            if let Err(error) = element.error() {
                error!(topic = element.topic(), partition = element.partition(), %error, "cannot go back");
                return Err(error);
            }
        }
        Ok(())
    }

    /// Ends the series of this worker's partitions, and says that its client is gone.
    pub fn forget(&mut self) {
        for (topic, partition) in std::mem::take(&mut self.owned) {
            self.metrics.forget_lag(&topic, partition);
        }
        self.metrics.stopped(&self.worker, 0);
        self.metrics.brokers(&self.worker, 0);
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
    /// goes through; one that was not told the group's offsets never begins. A wait may have met the error that said so.
    pub fn check(&self) -> Result<(), KafkaError> {
        if let Some((code, _)) = self.consumer.client().fatal_error() {
            return Err(KafkaError::MessageConsumptionFatal(code));
        }
        match self.consumer.context().unbegun() {
            Some(code) => Err(KafkaError::OffsetFetch(code)),
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
                    "silent for longer than max.poll.interval.ms: the partitions are lost"
                );
            }
            // Said by `outage`, once for all clients.
            KafkaError::MessageConsumption(code) if is_of_connection(code) => {
                debug!(worker = self.worker, %error, "the consumer reports a problem");
            }
            error => warn!(worker = self.worker, %error, "the consumer reports a problem"),
        }
        Ok(())
    }
}

/// Asks where the group goes on, through a client of its own: brokers answer one question of a connection after the other,
/// and on the member's own this one would wait for as long as a rebalance does.
pub(super) struct Asker {
    settings: ClientConfig,
    /// While there may be more to ask.
    client: Option<BaseConsumer<ConsumerSide>>,
}

impl Asker {
    fn new(mut settings: ClientConfig) -> Self {
        // It is no member.
        settings.remove("group.instance.id");
        settings.remove("statistics.interval.ms");
        Self {
            settings,
            client: None,
        }
    }

    /// Where a partition begins whose first message is at `offset`.
    ///
    /// A client that asks for an offset of the group while a transaction is open on it is told to ask again. librdkafka
    /// forgets that when there is a rebalance meanwhile, and begins where `auto.offset.reset` says, which is the start of
    /// the topic (`rd_kafka_assignment_apply_offsets`): all of it would be forwarded once more. So the group is asked
    /// again here.
    pub(super) fn beginning(
        &mut self,
        position: &Position,
        offset: i64,
    ) -> Result<i64, KafkaError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.settings.create_with_context(ConsumerSide::default())?,
        };
        // After an error, the next question is a new client's.
        let start = beginning(&client, position, offset)?;
        self.client = Some(client);
        Ok(start)
    }

    /// Lets go of the client where there is nothing more to ask.
    pub(super) fn rest(&mut self, positions: &Positions) {
        if self.client.is_some() && positions.iter().all(|position| position.confirmed) {
            self.client = None;
        }
    }
}

fn beginning(
    consumer: &BaseConsumer<ConsumerSide>,
    position: &Position,
    offset: i64,
) -> Result<i64, KafkaError> {
    let asked = list(&[(position.topic.clone(), position.partition)]);
    let answer = consumer.committed_offsets(asked, ASK)?;
    let element = answer.find_partition(&position.topic, position.partition);
    let committed = match element {
        Some(element) => element.error().map(|()| element.offset())?,
        None => Offset::Invalid,
    };
    let Offset::Offset(committed) = committed else {
        return Ok(offset);
    };
    if committed <= offset {
        // Between the two lies what is no message, or what the client was about to skip.
        return Ok(committed);
    }
    // A topic that lost its end, or was created anew, is shorter than that.
    let (_, end) = consumer.fetch_watermarks(&position.topic, position.partition, ASK)?;
    Ok(if committed <= end { committed } else { offset })
}

fn list(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition(topic, *partition);
    }
    list
}
