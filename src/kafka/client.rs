//! librdkafka's settings for this program, and what librdkafka tells us back.
//!
//! The guarantees rest on some of these settings; [`crate::config`] refuses them in the pass-through by name, so that
//! what is set here holds.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::ProducerContext;
use rdkafka::statistics::Statistics;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use secrecy::ExposeSecret;
use tracing::{debug, error, warn};

use super::adrift::Adrift;
use super::fencing::Lineage;
use super::log_change::{self, LogChange};
use super::outage::{Contact, Ear};
use super::start::FirstStart;
pub(super) use crate::config::TRANSACTION_TIMEOUT_MS;
use crate::config::{Config, Guarantee, Mechanism, PasswordError, Protocol};

/// How often librdkafka reports statistics, which is where lags and connections come from, and how late a client is
/// helped that has no broker left.
const STATISTICS_INTERVAL_MS: &str = "5000";

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The password file cannot be read.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// The settings that every client shares: brokers, security, the user's `kafka.client`.
pub fn common(config: &Config) -> Result<ClientConfig, ClientError> {
    let kafka = &config.kafka;
    let mut client = ClientConfig::new();
    // What `kafka.client.debug` asks for is said at debug; without it, nothing is.
    client.set_log_level(RDKafkaLogLevel::Debug);
    client.set("bootstrap.servers", kafka.bootstrap_servers.join(","));
    client.set("client.id", "trailtag");
    let security = &kafka.security;
    client.set("security.protocol", security.protocol.as_str());
    if matches!(
        security.protocol,
        Protocol::SaslPlaintext | Protocol::SaslSsl
    ) {
        client.set(
            "sasl.mechanism",
            match security.sasl.mechanism {
                Mechanism::Plain => "PLAIN",
                Mechanism::ScramSha256 => "SCRAM-SHA-256",
                Mechanism::ScramSha512 => "SCRAM-SHA-512",
            },
        );
        client.set("sasl.username", &security.sasl.username);
        if let Some(password) = security.password()? {
            client.set("sasl.password", password.expose_secret());
        }
    }
    if matches!(security.protocol, Protocol::Ssl | Protocol::SaslSsl) {
        for (property, path) in [
            ("ssl.ca.location", &security.tls.ca_file),
            ("ssl.certificate.location", &security.tls.cert_file),
            ("ssl.key.location", &security.tls.key_file),
        ] {
            if !path.as_os_str().is_empty() {
                client.set(property, path.display().to_string());
            } else if property == "ssl.ca.location" {
                // A static build has no compiled-in path to the system's certificates.
                client.set(property, "probe");
            }
        }
    }
    // A consumer whose first question about its topics is lost with a connection waits for the next one to join its group.
    client.set("topic.metadata.refresh.interval.ms", "30000");
    for (property, value) in &kafka.client {
        client.set(property, value);
    }
    Ok(client)
}

/// What one worker's clients are called, and how much memory they may take.
#[derive(Debug, Clone)]
pub struct Share {
    /// The transactional and the group instance id: stable over restarts, so that a restart fences its own past and
    /// gets its own partitions back.
    pub id: String,
    /// The bytes for librdkafka's queues and the batch together.
    pub memory: usize,
}

impl Share {
    /// The share of worker number `worker` of `workers`.
    #[must_use]
    pub fn of(config: &Config, worker: usize, workers: usize) -> Self {
        let prefix = match config.delivery.transactional_id_prefix.as_str() {
            "" => format!("{}-{}", config.kafka.group_id, host_name()),
            prefix => prefix.to_owned(),
        };
        Self {
            id: format!("{prefix}-{worker}"),
            memory: config.kafka.memory_budget / workers.max(1),
        }
    }

    /// The bytes of documents after which a batch is committed whatever else.
    #[must_use]
    pub const fn batch_bytes(&self) -> usize {
        self.memory / 4
    }
}

/// The host's name, which in Kubernetes is the pod's.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// A worker's consumer.
pub fn consumer(config: &Config, share: &Share) -> Result<ClientConfig, ClientError> {
    let mut client = common(config)?;
    // Half of the memory for messages that wait, a quarter for a response that is being read; the rest is the batch's.
    let queued_kilobytes = (share.memory / 2 / 1024).max(1024);
    let fetch_bytes = (share.memory / 4).max(1024 * 1024);
    client
        .set("group.id", &config.kafka.group_id)
        .set("group.instance.id", &share.id)
        .set("partition.assignment.strategy", "cooperative-sticky")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Also makes the coordinator hold back offsets of transactions that are still open.
        .set("isolation.level", "read_committed")
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS)
        .set("queued.max.messages.kbytes", queued_kilobytes.to_string())
        .set("queued.min.messages", "100000")
        .set("fetch.max.bytes", fetch_bytes.to_string())
        // Small queues are often full; by default librdkafka then looks away for a second.
        .set("fetch.queue.backoff.ms", "10");
    for (property, value) in &config.kafka.consumer {
        if property == "group.instance.id" && value.is_empty() {
            client.remove(property);
        } else {
            client.set(property, value);
        }
    }
    // Where a partition begins is decided here, never by the library in silence ([`first_start`]).
    client.set(RESET, "error");
    let mut contexts = client.get("debug").unwrap_or_default().to_owned();
    if !contexts.is_empty() {
        contexts.push(',');
    }
    contexts.push_str(log_change::CONTEXT);
    client.set("debug", contexts);
    Ok(client)
}

/// The property that says where a partition begins of which the group has committed nothing.
const RESET: &str = "auto.offset.reset";

/// Where a partition begins of which the group has committed nothing, as the user wishes.
#[must_use]
pub fn first_start(config: &Config) -> FirstStart {
    let kafka = &config.kafka;
    let wish = kafka.consumer.get(RESET).or(kafka.client.get(RESET));
    wish.map_or(FirstStart::default(), |wish| FirstStart::of(wish))
}

/// A worker's producer. `limit` is the smallest size limit among its topics: no produce batch may exceed it, or the
/// broker refuses documents that would fit alone.
pub fn producer(config: &Config, share: &Share, limit: usize) -> Result<ClientConfig, ClientError> {
    let mut client = common(config)?;
    client
        .set("enable.idempotence", "true")
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS)
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        // As the Java client does it, so that one key meets one partition whoever writes.
        .set("partitioner", "murmur2_random")
        // A missing topic is reported, not waited for: its partitions must not hold up the others.
        .set("topic.metadata.propagation.max.ms", "2000")
        .set("batch.size", limit.clamp(1, 1_000_000).to_string())
        // Limits on size are the topics', and are checked before a document is sent.
        .set("message.max.bytes", "1000000000")
        .set(
            "queue.buffering.max.kbytes",
            (share.memory / 1024).max(1024).to_string(),
        );
    for (property, value) in &config.kafka.producer {
        client.set(property, value);
    }
    // As long as a transaction, with both guarantees: what is not delivered then is tried again by a new producer.
    if ["message.timeout.ms", "delivery.timeout.ms"]
        .iter()
        .all(|property| client.get(property).is_none())
    {
        client.set("message.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
    }
    if config.delivery.guarantee == Guarantee::ExactlyOnce {
        client
            .set("transactional.id", &share.id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
    }
    Ok(client)
}

/// One change of what a consumer owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// These partitions are ours from here on (none, when the group has more members than partitions).
    Assigned(Vec<(String, i32)>),
    /// These partitions are no longer ours.
    Revoked(Vec<(String, i32)>),
}

/// What a consumer's statistics say of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset behind the last message that was handed out; none before the first one, and after each seek.
    pub next: Option<i64>,
    /// The last stable offset, as the last answer of its broker had it.
    pub end: i64,
}

/// What a consumer's statistics say of the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Of each partition of which a broker has answered.
    pub ends: Vec<End>,
    /// How many brokers answer.
    pub brokers: usize,
    /// Which do, and which do not.
    pub contact: Contact,
}

/// What a consumer's callbacks leave for its worker. They run inside `poll`, on the worker's thread; the locks are
/// there because librdkafka's interface cannot know that.
#[derive(Debug, Default)]
pub struct ConsumerSide {
    changes: Mutex<Vec<Change>>,
    view: Mutex<Option<View>>,
    log_changes: Mutex<Vec<LogChange>>,
    has_log_changes: AtomicBool,
    /// The user wants to see what the library says at level debug.
    is_debugged: bool,
    pub(super) adrift: Adrift,
    /// None for a client whose connections tell nothing of the worker.
    ear: Option<Ear>,
    /// When brokers did not answer last, or the group took this member for gone.
    disturbed: Mutex<Option<Instant>>,
    /// The client has ended. What it says afterwards comes of that.
    ended: AtomicBool,
}

impl ConsumerSide {
    /// That of a worker's member of the group.
    #[must_use]
    pub fn heard_by(ear: Ear, config: &Config) -> Self {
        let kafka = &config.kafka;
        Self {
            ear: Some(ear),
            is_debugged: kafka.client.contains_key("debug") || kafka.consumer.contains_key("debug"),
            ..Self::default()
        }
    }

    /// Why brokers do not answer, as far as it is known.
    #[must_use]
    pub fn why(&self) -> String {
        self.ear.as_ref().map(Ear::why).unwrap_or_default()
    }

    /// When brokers did not answer last, or the group took this member for gone.
    pub(super) fn disturbed(&self) -> Option<Instant> {
        *self
            .disturbed
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn is_disturbed(&self) {
        if !self.ended.load(Ordering::Relaxed) {
            *self
                .disturbed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(Instant::now());
        }
    }

    /// The changes since the last call, oldest first.
    pub fn changes(&self) -> Vec<Change> {
        take(&self.changes)
    }

    /// Whether there are changes that were not taken yet.
    pub fn has_changes(&self) -> bool {
        !self
            .changes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .is_empty()
    }

    /// Whether there is something in [`ConsumerSide::log_changes`].
    pub(super) fn has_log_changes(&self) -> bool {
        self.has_log_changes.load(Ordering::Relaxed)
    }

    /// What the library said of logs that are not what they were, since the last call.
    pub(super) fn log_changes(&self) -> Vec<LogChange> {
        self.has_log_changes.store(false, Ordering::Relaxed);
        take(&self.log_changes)
    }

    /// What the last statistics say; none when there were none since the last call.
    pub fn view(&self) -> Option<View> {
        take(&self.view)
    }
}

fn take<T: Default>(place: &Mutex<T>) -> T {
    std::mem::take(
        &mut *place
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner),
    )
}

impl ClientContext for ConsumerSide {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if let Some(change) = LogChange::in_line(facility, message) {
            self.log_changes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push(change);
            self.has_log_changes.store(true, Ordering::Relaxed);
        }
        if self.is_debugged || !matches!(level, RDKafkaLogLevel::Debug) {
            log("consumer", level, facility, message);
        }
        if facility == FATAL {
            self.ended.store(true, Ordering::Relaxed);
        }
        hear(self.ear.as_ref(), facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AutoOffsetReset) {
            // Said with more by the line that tells of it.
            return;
        }
        client_error("consumer", &error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.adrift.look(&statistics);
        let contact = self
            .ear
            .as_ref()
            .map(|ear| ear.look(&statistics))
            .unwrap_or_default();
        if self.ear.is_some() && contact.silence().0.is_some() {
            self.is_disturbed();
        }
        // A broker is listed once more as the group's coordinator, and its first address may stay beside its number.
        let brokers: BTreeSet<i32> = statistics
            .brokers
            .values()
            .filter(|broker| broker.nodeid >= 0 && matches!(&*broker.state, "UP" | "UPDATE"))
            .map(|broker| broker.nodeid)
            .collect();
        let ends = statistics
            .topics
            .into_values()
            .flat_map(|topic| {
                let name = topic.topic;
                topic.partitions.into_values().filter_map(move |partition| {
                    // The client's own `consumer_lag` does not see offsets that a transaction committed.
                    (partition.partition >= 0 && partition.ls_offset >= 0).then(|| End {
                        topic: name.clone(),
                        partition: partition.partition,
                        next: (partition.app_offset >= 0).then_some(partition.app_offset),
                        end: partition.ls_offset,
                    })
                })
            })
            .collect();
        *self
            .view
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(View {
            ends,
            brokers: brokers.len(),
            contact,
        });
    }
}

impl ConsumerContext for ConsumerSide {
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
        let (change, done) = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                let done = consumer.incremental_assign(&TopicPartitionList::new());
                (Change::Assigned(partitions), done)
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => {
                if consumer.assignment_lost() {
                    self.is_disturbed();
                    warn!("partitions lost: the group has not heard from this member for too long");
                }
                let done = consumer
                    .assignment()
                    .and_then(|given| consumer.incremental_unassign(&both(list, &given)));
                (Change::Revoked(partitions), done)
            }
            other => {
                let error = RDKafkaErrorCode::from(other);
                error!(%error, "rebalance failed");
                return;
            }
        };
        if let Err(error) = done {
            error!(%error, ?change, "the client cannot apply a rebalance");
        }
        debug!(?change, "rebalance");
        self.changes
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(change);
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

fn partitions(list: &rdkafka::TopicPartitionList) -> Vec<(String, i32)> {
    list.elements()
        .iter()
        .map(|element| (element.topic().to_owned(), element.partition()))
        .collect()
}

/// A delivery that failed: the tag of the message, and why.
pub type Failed = (usize, RDKafkaErrorCode);

/// What a producer's delivery reports leave for its worker; they arrive on the producer's own thread.
#[derive(Debug, Default)]
pub struct ProducerSide {
    failures: Mutex<Vec<Failed>>,
    pub(super) adrift: Adrift,
    ear: Option<Ear>,
    /// The transactional id, and what is known of its producers.
    lineage: Option<(String, Arc<Lineage>)>,
}

impl ProducerSide {
    /// That of a worker's producer.
    #[must_use]
    pub fn heard_by(ear: Ear, id: String, lineage: Arc<Lineage>) -> Self {
        Self {
            ear: Some(ear),
            lineage: Some((id, lineage)),
            ..Self::default()
        }
    }

    /// The failures since the last call.
    pub fn failures(&self) -> Vec<Failed> {
        take(&self.failures)
    }
}

impl ClientContext for ProducerSide {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log("producer", level, facility, message);
        hear(self.ear.as_ref(), facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.adrift.look(&statistics);
        if let (Some((id, lineage)), Some(eos)) = (&self.lineage, &statistics.eos) {
            lineage.look(id, eos);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        client_error("producer", &error, reason);
    }
}

impl ProducerContext for ProducerSide {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, tag: usize) {
        if let Err((error, message)) = result {
            let code = error
                .rdkafka_error_code()
                .unwrap_or(RDKafkaErrorCode::Unknown);
            debug!(topic = message.topic(), %error, "delivery failed");
            self.failures
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .push((tag, code));
        }
    }
}

/// How librdkafka calls what it says of a connection that failed.
const CONNECTION: &str = "FAIL";
/// How librdkafka calls what ends a client.
const FATAL: &str = "FATAL";

/// A client's ear is given what the client says of its connections.
fn hear(ear: Option<&Ear>, facility: &str, message: &str) {
    if facility == CONNECTION
        && let Some(ear) = ear
    {
        ear.said(message);
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
