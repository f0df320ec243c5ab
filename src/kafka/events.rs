//! What librdkafka tells us: its callbacks, statistics and log lines.
//!
//! In here flow rebalances, delivery reports, statistics every five seconds, errors and lines of the library's log. They are
//! kept until the worker takes them; nothing is decided here, but for the two calls that acknowledge a rebalance.
//!
//! - [`ConsumerEvents`]: those of a consumer. Rebalances come inside `poll`, on the worker's own thread
//! - [`DeliveryReports`]: those of a producer, on the producer's own thread

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tracing::{debug, error, warn};

use super::log_change::LogChange;
use super::outage::{BrokerAnswers, ConnectionMonitor};
use super::place::Partition;
use super::producer_epochs::ProducerEpochs;
use super::rebootstrap::Rebootstrap;
use crate::config::Config;

/// One change of what a consumer owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebalanceEvent {
    /// These partitions are ours from here on (none, when the group has more members than partitions).
    AssignPartitions(Vec<Partition>),
    /// These partitions are no longer ours.
    RevokePartitions(Vec<Partition>),
}

/// What a consumer's statistics say of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStats {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset behind the last message that was handed out; none before the first one, and after each seek.
    pub next: Option<i64>,
    /// The offset behind the last one that was fetched, if all that was fetched was handed out. The end of a transaction takes
    /// an offset and is never handed out.
    pub fetched: Option<i64>,
    /// The last stable offset, as the last answer of its broker had it.
    pub end: i64,
}

/// What a consumer's statistics say of the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Of each partition of which a broker has answered.
    pub partitions: Vec<PartitionStats>,
    /// How many brokers answer.
    pub brokers: usize,
    /// Which do, and which do not.
    pub answers: BrokerAnswers,
}

/// What a consumer's callbacks leave for its worker. They run inside `poll`, on the worker's thread; the locks are
/// there because librdkafka's interface cannot know that.
#[derive(Debug, Default)]
pub struct ConsumerEvents {
    rebalances: Mutex<Vec<RebalanceEvent>>,
    stats: Mutex<Option<ConsumerStats>>,
    log_changes: Mutex<Vec<LogChange>>,
    has_log_changes: AtomicBool,
    /// The user wants to see what the library says at level debug.
    is_debugged: bool,
    pub(super) rebootstrap: Rebootstrap,
    /// None for a client whose connections tell nothing of the worker.
    monitor: Option<ConnectionMonitor>,
    /// When brokers did not answer last, or the group took this member for gone.
    last_disturbance: Mutex<Option<Instant>>,
    /// The client has ended. What it says afterwards comes of that.
    ended: AtomicBool,
}

impl ConsumerEvents {
    /// That of a worker's member of the group.
    #[must_use]
    pub fn reporting_to(monitor: ConnectionMonitor, config: &Config) -> Self {
        let kafka = &config.kafka;
        Self {
            monitor: Some(monitor),
            is_debugged: kafka.client.contains_key("debug") || kafka.consumer.contains_key("debug"),
            ..Self::default()
        }
    }

    /// Why brokers do not answer, as far as it is known.
    #[must_use]
    pub fn why(&self) -> String {
        self.monitor
            .as_ref()
            .map(ConnectionMonitor::why)
            .unwrap_or_default()
    }

    /// When brokers did not answer last, or the group took this member for gone.
    pub(super) fn last_disturbance(&self) -> Option<Instant> {
        *self.last_disturbance.lock()
    }

    fn note_disturbance(&self) {
        if !self.ended.load(Ordering::Relaxed) {
            *self.last_disturbance.lock() = Some(Instant::now());
        }
    }

    /// The changes since the last call, oldest first.
    pub fn rebalances(&self) -> Vec<RebalanceEvent> {
        take(&self.rebalances)
    }

    /// Whether there are changes that were not taken yet.
    pub fn has_rebalances(&self) -> bool {
        !self.rebalances.lock().is_empty()
    }

    /// Whether there is something in [`ConsumerEvents::log_changes`].
    pub(super) fn has_log_changes(&self) -> bool {
        self.has_log_changes.load(Ordering::Relaxed)
    }

    /// What the library said of logs that are not what they were, since the last call.
    pub(super) fn log_changes(&self) -> Vec<LogChange> {
        self.has_log_changes.store(false, Ordering::Relaxed);
        take(&self.log_changes)
    }

    /// What the last statistics say; none when there were none since the last call.
    pub fn latest_stats(&self) -> Option<ConsumerStats> {
        take(&self.stats)
    }
}

fn take<T: Default>(kept: &Mutex<T>) -> T {
    std::mem::take(&mut *kept.lock())
}

impl ClientContext for ConsumerEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(change) = LogChange::parse_line(facility, message) {
            self.log_changes.lock().push(change);
            self.has_log_changes.store(true, Ordering::Relaxed);
        }
        if self.is_debugged || !matches!(level, RDKafkaLogLevel::Debug) {
            log("consumer", level, facility, message);
        }
        if facility == FATAL {
            self.ended.store(true, Ordering::Relaxed);
        }
        hear(self.monitor.as_ref(), facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            // Said with more by the line that tells of it.
            return;
        }
        client_error("consumer", &error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.rebootstrap.update(&statistics);
        let answers = self
            .monitor
            .as_ref()
            .map(|monitor| monitor.update(&statistics))
            .unwrap_or_default();
        if self.monitor.is_some() && answers.silence().0.is_some() {
            self.note_disturbance();
        }
        // A broker is listed once more as the group's coordinator, and its first address may stay beside its number.
        let brokers: BTreeSet<i32> = statistics
            .brokers
            .values()
            .filter(|broker| broker.nodeid >= 0 && matches!(&*broker.state, "UP" | "UPDATE"))
            .map(|broker| broker.nodeid)
            .collect();
        let partitions = statistics
            .topics
            .into_values()
            .flat_map(|topic| {
                let name = topic.topic;
                topic.partitions.into_values().filter_map(move |partition| {
                    // The client's own `consumer_lag` does not see offsets that a transaction committed.
                    (partition.partition >= 0 && partition.ls_offset >= 0).then(|| PartitionStats {
                        topic: name.clone(),
                        partition: partition.partition,
                        next: (partition.app_offset >= 0).then_some(partition.app_offset),
                        // The client counts all partitions' messages here, since they share a queue.
                        fetched: (partition.fetchq_cnt == 0 && partition.next_offset >= 0)
                            .then_some(partition.next_offset),
                        end: partition.ls_offset,
                    })
                })
            })
            .collect();
        *self.stats.lock() = Some(ConsumerStats {
            partitions,
            brokers: brokers.len(),
            answers,
        });
    }
}

impl ConsumerContext for ConsumerEvents {
    /// Takes and gives partitions. That one is ours is acknowledged at once; the client is given it when it is known where the
    /// group goes on ([`super::reader::Reader::begin_known`]). The library would ask by itself, and begin at the start of the
    /// topic where it is interrupted in that (`rd_kafka_assignment_apply_offsets`), or never begin where the answer is an
    /// error (confluentinc/librdkafka#5586).
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions = partitions(list);
        let (happened, done) = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let done = consumer.incremental_assign(&TopicPartitionList::new());
                (RebalanceEvent::AssignPartitions(partitions), done)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if consumer.assignment_lost() {
                    self.note_disturbance();
                    warn!("partitions lost: the group has not heard from this member for too long");
                }
                let done = consumer
                    .assignment()
                    .and_then(|given| consumer.incremental_unassign(&both(list, &given)));
                (RebalanceEvent::RevokePartitions(partitions), done)
            }
            other => {
                let error = RDKafkaErrorCode::from(other);
                error!(%error, "rebalance failed");
                return;
            }
        };
        if let Err(error) = done {
            error!(%error, change = ?happened, "the client cannot apply a rebalance");
        }
        debug!(change = ?happened, "rebalance");
        self.rebalances.lock().push(happened);
    }
}

/// The partitions of a list that stand in another one too.
fn both(list: &TopicPartitionList, other: &TopicPartitionList) -> TopicPartitionList {
    let mut both = TopicPartitionList::new();
    for element in list.elements() {
        let (topic, partition) = (element.topic(), element.partition());
        if other.find_partition(topic, partition).is_some() {
            both.add_partition(topic, partition);
        }
    }
    both
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// A delivery that failed: the tag of the message, and why.
pub type FailedDelivery = (usize, RDKafkaErrorCode);

/// What a producer's delivery reports leave for its worker; they arrive on the producer's own thread.
#[derive(Debug, Default)]
pub struct DeliveryReports {
    failures: Mutex<Vec<FailedDelivery>>,
    pub(super) rebootstrap: Rebootstrap,
    monitor: Option<ConnectionMonitor>,
    /// The transactional id, and what is known of its producers.
    producer_epochs: Option<(String, Arc<ProducerEpochs>)>,
}

impl DeliveryReports {
    /// That of a worker's producer.
    #[must_use]
    pub fn reporting_to(
        monitor: ConnectionMonitor,
        id: String,
        producer_epochs: Arc<ProducerEpochs>,
    ) -> Self {
        Self {
            monitor: Some(monitor),
            producer_epochs: Some((id, producer_epochs)),
            ..Self::default()
        }
    }

    /// The failures since the last call.
    pub fn failures(&self) -> Vec<FailedDelivery> {
        take(&self.failures)
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log("producer", level, facility, message);
        hear(self.monitor.as_ref(), facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.rebootstrap.update(&statistics);
        if let (Some((id, producer_epochs)), Some(eos)) = (&self.producer_epochs, &statistics.eos) {
            producer_epochs.update(id, eos);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_error("producer", &error, reason);
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        if let Err((error, message)) = result {
            let code = error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown);
            debug!(topic = message.topic(), %error, "delivery failed");
            self.failures.lock().push((tag, code));
        }
    }
}

/// How librdkafka calls what it says of a connection that failed.
const CONNECTION: &str = "FAIL";
/// How librdkafka calls what ends a client.
const FATAL: &str = "FATAL";

/// A client's monitor is given what the client says of its connections.
fn hear(monitor: Option<&ConnectionMonitor>, facility: &str, message: &str) {
    if facility == CONNECTION
        && let Some(monitor) = monitor
    {
        monitor.said(message);
    }
}

/// A line of librdkafka's log. It goes on trying by itself and says so again and again, so only what its settings and its
/// end are about is for everybody; that brokers are away is said by [`super::outage`].
pub(super) fn log(client: &'static str, level: RDKafkaLogLevel, facility: &str, message: &str) {
    match (facility, level) {
        ("CONFWARN", _) => warn!(client, facility, "{message}"),
        (FATAL, _) | (_, RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert) => {
            error!(client, facility, "{message}");
        }
        _ => debug!(client, facility, severity = ?level, "{message}"),
    }
}

/// librdkafka's own notices. Fatal ones end the worker, which says so.
fn client_error(client: &'static str, error: &KafkaError, reason: &str) {
    debug!(client, %error, reason, "the client reports a problem");
}
