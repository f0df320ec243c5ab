//! A Kafka cluster inside the process: librdkafka's mock, for the demo.
//!
//! It keeps 5 MB a partition and drops older data in silence, and it shows aborted records: it proves nothing about
//! exactly-once. The tests against a real broker do.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

/// How long to wait where the queue of the feed is full.
const PAUSE: Duration = Duration::from_millis(50);

/// What the cluster, or a client of it, says of a failure.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct MockError(#[from] KafkaError);

/// A cluster of one broker. It ends when this is dropped.
pub struct Cluster(MockCluster<'static, DefaultProducerContext>);

impl Cluster {
    /// A cluster with these topics, each with so many partitions.
    pub fn start(topics: &[(&str, i32)]) -> Result<Self, MockError> {
        let cluster = MockCluster::new(1)?;
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1)?;
        }
        Ok(Self(cluster))
    }

    /// Its address.
    #[must_use]
    pub fn bootstrap_servers(&self) -> String {
        self.0.bootstrap_servers()
    }
}

/// Writes to a topic.
pub struct Feed {
    producer: ThreadedProducer<DefaultProducerContext>,
    topic: String,
}

impl Feed {
    /// A client that begins to connect.
    pub fn new(servers: &str, topic: &str) -> Result<Self, MockError> {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("linger.ms", "5")
            .create()?;
        Ok(Self {
            producer,
            topic: topic.to_owned(),
        })
    }

    /// Sends a message, after those before it.
    pub fn send(&self, payload: &[u8]) -> Result<(), MockError> {
        let mut record = BaseRecord::<[u8], [u8]>::to(&self.topic).payload(payload);
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    std::thread::sleep(PAUSE);
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }

    /// Waits until all that was sent has arrived.
    pub fn flush(&self, patience: Duration) -> Result<(), MockError> {
        Ok(self.producer.flush(patience)?)
    }
}

/// Reads a topic from its beginning.
pub struct Tail(BaseConsumer);

impl Tail {
    /// A member of `group`, which nobody else must use.
    pub fn new(servers: &str, group: &str, topic: &str) -> Result<Self, MockError> {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .create()?;
        consumer.subscribe(&[topic])?;
        Ok(Self(consumer))
    }

    /// The next message, if it comes within `wait`.
    #[must_use]
    pub fn next(&self, wait: Duration) -> Option<Vec<u8>> {
        match self.0.poll(wait)? {
            Ok(message) => Some(message.payload().unwrap_or_default().to_vec()),
            // It goes on by itself.
            Err(_) => None,
        }
    }
}
