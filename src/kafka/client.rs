//! librdkafka's settings for this program.
//!
//! The guarantees rest on some of these settings; [`crate::config`] refuses them in the pass-through by name, so that
//! what is set here holds.

use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use secrecy::ExposeSecret;

use super::log_change;
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
pub struct WorkerResources {
    /// The transactional and the group instance id: stable over restarts, so that a restart fences its own past and
    /// gets its own partitions back.
    pub id: String,
    /// The bytes for librdkafka's queues and the batch together.
    pub memory: usize,
}

impl WorkerResources {
    /// What worker number `worker` of `workers` gets.
    #[must_use]
    pub fn for_worker(config: &Config, worker: usize, workers: usize) -> Self {
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
pub fn consumer(config: &Config, resources: &WorkerResources) -> Result<ClientConfig, ClientError> {
    let mut client = common(config)?;
    // Half of the memory for messages that wait, a quarter for a response that is being read; the rest is the batch's.
    let queued_kilobytes = (resources.memory / 2 / 1024).max(1024);
    let fetch_bytes = (resources.memory / 4).max(1024 * 1024);
    client
        .set("group.id", &config.kafka.group_id)
        .set("group.instance.id", &resources.id)
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
    wish.map_or(FirstStart::default(), |wish| FirstStart::parse(wish))
}

/// A worker's producer. `limit` is the smallest size limit among its topics: no produce batch may exceed it, or the
/// broker refuses documents that would fit alone.
pub fn producer(
    config: &Config,
    resources: &WorkerResources,
    limit: usize,
) -> Result<ClientConfig, ClientError> {
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
            (resources.memory / 1024).max(1024).to_string(),
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
            .set("transactional.id", &resources.id)
            .set("transaction.timeout.ms", TRANSACTION_TIMEOUT_MS.to_string());
    }
    Ok(client)
}
