//! Topics, messages, offsets and groups of a [`Broker`].

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rdkafka::admin::{
    AdminOptions, AlterConfig, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Headers as _, Message as _, OwnedHeaders};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseRecord, ProducerContext};
use rdkafka::{Offset, TopicPartitionList};

use super::broker::Broker;
use super::java::tool;
use super::wait::{PATIENCE, unique, wait_until};

/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(30);

/// A message that was read.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Message {
    /// The payload as text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(self.payload.as_deref().unwrap_or_default()).unwrap()
    }

    /// The first header of that name, as text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(std::str::from_utf8(value.as_deref()?).unwrap())
    }
}

/// As text where it is text, and short: it stands in the messages of failed assertions.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |bytes: &Vec<u8>| {
            let cut = bytes.get(..200).unwrap_or(bytes);
            let more = if cut.len() < bytes.len() { "…" } else { "" };
            format!("{}{more}", cut.escape_ascii())
        };
        write!(
            f,
            "[{}/{} key={:?} payload={:?}",
            self.partition,
            self.offset,
            self.key.as_ref().map(text),
            self.payload.as_ref().map(text)
        )?;
        for (name, value) in &self.headers {
            write!(f, " {name}={:?}", value.as_ref().map(text))?;
        }
        f.write_str("]")
    }
}

impl Broker {
    /// Creates a topic with a name of its own that begins with `name`, and gives that name.
    pub(crate) fn topic(&self, name: &str, partitions: i32) -> String {
        let topic = unique(name);
        self.create_topic(&topic, partitions, &[]);
        topic
    }

    /// Creates a topic, and waits until it can be used.
    pub(crate) fn create_topic(&self, topic: &str, partitions: i32, config: &[(&str, &str)]) {
        // In as many copies as the cluster makes by itself.
        self.create_topic_in(topic, partitions, TopicReplication::Fixed(-1), config);
    }

    /// As [`Broker::create_topic`], with its copies where they are wanted.
    pub(super) fn create_topic_in(
        &self,
        topic: &str,
        partitions: i32,
        copies: TopicReplication<'_>,
        config: &[(&str, &str)],
    ) {
        let mut new = NewTopic::new(topic, partitions, copies);
        for (key, value) in config {
            new = new.set(key, value);
        }
        let created = block_on(self.admin.create_topics([&new], &options()));
        created.unwrap().remove(0).unwrap();
        wait_until(PATIENCE, &format!("topic {topic} has its leaders"), || {
            let leaders = self.leaders(topic)?;
            let ready = leaders.len() == usize::try_from(partitions).unwrap()
                && leaders.iter().all(|leader| *leader >= 0);
            if ready {
                Ok(())
            } else {
                Err(format!("leaders {leaders:?}"))
            }
        });
    }

    /// Sets some of a topic's settings; the others stay as they are.
    pub(crate) fn alter_topic(&self, topic: &str, config: &[(&str, &str)]) {
        let mut settings = self.topic_config(topic);
        settings.extend(
            config
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        );
        // The request replaces all that was set.
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (key, value) in &settings {
            alter = alter.set(key, value);
        }
        let altered = block_on(self.admin.alter_configs([&alter], &options()));
        altered.unwrap().remove(0).unwrap();
        wait_until(PATIENCE, &format!("topic {topic} is altered"), || {
            let now = self.topic_config(topic);
            if now == settings {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
    }

    /// What is set for a topic itself, apart from the broker's defaults.
    pub(crate) fn topic_config(&self, topic: &str) -> HashMap<String, String> {
        let described = block_on(
            self.admin
                .describe_configs([&ResourceSpecifier::Topic(topic)], &options()),
        );
        let entries = described.unwrap().remove(0).unwrap().entries;
        entries
            .into_iter()
            .filter(|entry| entry.source == ConfigSource::DynamicTopic)
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect()
    }

    /// Deletes a topic, and waits until it is gone.
    pub(crate) fn delete_topic(&self, topic: &str) {
        let deleted = block_on(self.admin.delete_topics(&[topic], &options()));
        deleted.unwrap().remove(0).unwrap();
        wait_until(PATIENCE, &format!("topic {topic} is gone"), || {
            match self.leaders(topic) {
                Ok(leaders) => Err(format!("it has {} partitions", leaders.len())),
                Err(_) => Ok(()),
            }
        });
    }

    /// Removes what stands before `offset` in a partition, as retention does.
    pub(crate) fn delete_records(&self, topic: &str, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset))
            .unwrap();
        let deleted = block_on(self.admin.delete_records(&list, &options())).unwrap();
        let element = deleted.find_partition(topic, partition).unwrap();
        element.error().unwrap();
    }

    /// The brokers that have everything of a partition.
    pub(super) fn in_sync(&self, topic: &str, partition: usize) -> Result<Vec<i32>, String> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(Some(topic), REQUEST)
            .map_err(|error| error.to_string())?;
        let partition = metadata
            .topics()
            .first()
            .and_then(|topic| topic.partitions().get(partition))
            .ok_or("no such partition")?;
        Ok(partition.isr().to_vec())
    }

    /// How many partitions of the cluster miss one of `copies`.
    pub(crate) fn missing_copies(&self, copies: usize) -> Result<usize, String> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(None, REQUEST)
            .map_err(|error| error.to_string())?;
        let topics = metadata.topics().iter();
        Ok(topics
            .flat_map(MetadataTopic::partitions)
            .filter(|partition| partition.isr().len() < copies)
            .count())
    }

    /// The leader of each partition, or why the topic can't be used.
    pub(crate) fn leaders(&self, topic: &str) -> Result<Vec<i32>, String> {
        let metadata = self
            .admin
            .inner()
            .fetch_metadata(Some(topic), REQUEST)
            .map_err(|error| error.to_string())?;
        let topic = metadata.topics().first().ok_or("no such topic")?;
        if let Some(error) = topic.error() {
            return Err(RDKafkaErrorCode::from(error).to_string());
        }
        let mut partitions: Vec<_> = topic.partitions().iter().collect();
        partitions.sort_unstable_by_key(|partition| partition.id());
        Ok(partitions
            .into_iter()
            .map(MetadataPartition::leader)
            .collect())
    }

    /// Sends one message, waits until the broker has it, and gives its offset.
    pub(crate) fn produce(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        payload: &[u8],
        headers: &[(&str, &[u8])],
    ) -> i64 {
        self.try_produce(topic, partition, key, payload, headers)
            .unwrap_or_else(|error| panic!("produce to {topic}/{partition}: {error}"))
    }

    /// As [`Broker::produce`], where the broker is expected to refuse it.
    pub(crate) fn try_produce(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        payload: &[u8],
        headers: &[(&str, &[u8])],
    ) -> KafkaResult<i64> {
        let sent = Arc::new(Sent::default());
        let mut all = OwnedHeaders::new_with_capacity(headers.len());
        for (key, value) in headers {
            all = all.insert(Header {
                key,
                value: Some(*value),
            });
        }
        let mut record = BaseRecord::with_opaque_to(topic, Arc::clone(&sent))
            .partition(partition)
            .payload(payload)
            .headers(all);
        if let Some(key) = key {
            record = record.key(key);
        }
        self.producer
            .send::<[u8], [u8]>(record)
            .map_err(|(error, _)| error)?;
        sent.wait(1)
    }

    /// Sends messages (partition and payload) as fast as it goes, and waits until the broker has them all.
    ///
    /// They travel in batches, which a topic with a small `max.message.bytes` refuses.
    pub(crate) fn produce_many(
        &self,
        topic: &str,
        messages: impl IntoIterator<Item = (i32, Vec<u8>)>,
    ) {
        let sent = Arc::new(Sent::default());
        let mut count = 0;
        for (partition, payload) in messages {
            let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Arc::clone(&sent))
                .partition(partition)
                .payload(&payload);
            while let Err((error, refused)) = self.producer.send(record) {
                assert_eq!(
                    error.rdkafka_error_code(),
                    Some(RDKafkaErrorCode::QueueFull),
                    "produce to {topic}/{partition}"
                );
                record = refused;
                // The producer's own thread empties the queue.
                std::thread::sleep(Duration::from_millis(5));
            }
            count += 1;
        }
        if count > 0 {
            sent.wait(count)
                .unwrap_or_else(|error| panic!("produce to {topic}: {error}"));
        }
    }

    /// Waits until no transaction is open on a topic.
    ///
    /// A commit or an abort returns before the broker has ended the transaction on each partition, so what was committed
    /// may be read only a moment later.
    pub(crate) fn wait_settled(&self, topic: &str) {
        let partitions = i32::try_from(self.leaders(topic).unwrap().len()).unwrap();
        let stable = self.reader(&unique("reader"), "read_committed");
        let all = self.reader(&unique("reader"), "read_uncommitted");
        wait_until(
            PATIENCE,
            &format!("no transaction is open on {topic}"),
            || {
                for partition in 0..partitions {
                    let end =
                        |reader: &BaseConsumer| reader.fetch_watermarks(topic, partition, REQUEST);
                    // In this order: what lies before the first is decided when the second, read later, has reached it.
                    let (_, high) = end(&all).map_err(|error| error.to_string())?;
                    let (_, stable) = end(&stable).map_err(|error| error.to_string())?;
                    if stable < high {
                        return Err(format!(
                            "partition {partition} is stable up to {stable} of {high}"
                        ));
                    }
                }
                Ok(())
            },
        );
    }

    /// All messages that a `read_committed` reader can read at this moment, by partition and offset. See
    /// [`Broker::wait_settled`].
    pub(crate) fn read_committed(&self, topic: &str) -> Vec<Message> {
        self.try_read(topic, "read_committed")
            .unwrap_or_else(|error| panic!("read {topic}: {error}"))
    }

    /// All messages at this moment, those of open and aborted transactions too, by partition and offset.
    pub(crate) fn read_uncommitted(&self, topic: &str) -> Vec<Message> {
        self.try_read(topic, "read_uncommitted")
            .unwrap_or_else(|error| panic!("read {topic}: {error}"))
    }

    /// As [`Broker::read_committed`], with the isolation level, where the broker may refuse it.
    pub(crate) fn try_read(&self, topic: &str, isolation: &str) -> Result<Vec<Message>, String> {
        let partitions = self.leaders(topic)?.len();
        let consumer = self.reader(&unique("reader"), isolation);
        let mut assignment = TopicPartitionList::new();
        // The offset before which each partition is to be read; it is removed once that is done.
        let mut ends = HashMap::new();
        for partition in 0..i32::try_from(partitions).unwrap() {
            // With read_committed the end is the last stable offset.
            let (begin, end) = consumer
                .fetch_watermarks(topic, partition, REQUEST)
                .map_err(|error| error.to_string())?;
            if begin < end {
                ends.insert(partition, end);
            }
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(begin))
                .unwrap();
        }
        consumer.assign(&assignment).unwrap();

        let mut messages = Vec::new();
        while !ends.is_empty() {
            let (partition, next) = match consumer.poll(PATIENCE) {
                None => {
                    return Err(format!(
                        "nothing came in {PATIENCE:?}; still to read: {ends:?}"
                    ));
                }
                // Markers of transactions stand at the end, and are no messages.
                Some(Err(KafkaError::PartitionEOF(partition))) => (partition, i64::MAX),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(message)) => {
                    let end = ends.get(&message.partition());
                    if end.is_some_and(|end| message.offset() < *end) {
                        messages.push(owned(&message));
                    }
                    (message.partition(), message.offset() + 1)
                }
            };
            if ends.get(&partition).is_some_and(|end| next >= *end) {
                ends.remove(&partition);
            }
        }
        messages.sort_by_key(|message| (message.partition, message.offset));
        Ok(messages)
    }

    /// The offset at which `group` goes on, or `None` where it committed nothing. Offsets of a transaction count a moment
    /// after its commit has returned.
    pub(crate) fn committed_offset(&self, group: &str, topic: &str, partition: i32) -> Option<i64> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(topic, partition);
        let offset = wait_until(PATIENCE, &format!("{group} tells its offsets"), || {
            // With read_committed the call would wait for the end of an open transaction.
            let reader = self.reader(group, "read_uncommitted");
            let committed = reader.committed_offsets(asked.clone(), REQUEST)?;
            let element = committed.find_partition(topic, partition);
            element
                .map(|element| element.error().map(|()| element.offset()))
                .transpose()
        });
        match offset {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        }
    }

    /// The offset that the next message of a partition will get. A broker that has hung leads none for a while.
    pub(crate) fn end_offset(&self, topic: &str, partition: i32) -> i64 {
        wait_until(PATIENCE, &format!("{topic}/{partition} has an end"), || {
            // A client that has once been told so does not ask again.
            self.reader(&unique("reader"), "read_uncommitted")
                .fetch_watermarks(topic, partition, REQUEST)
        })
        .1
    }

    /// The state of a group (`Stable`, `Empty`, `PreparingRebalance`…) and how many members it has.
    pub(crate) fn group(&self, group: &str) -> (String, usize) {
        let list = self
            .admin
            .inner()
            .fetch_group_list(Some(group), REQUEST)
            .unwrap_or_else(|error| panic!("group {group}: {error}"));
        list.groups().first().map_or_else(
            || ("Dead".into(), 0),
            |group| (group.state().into(), group.members().len()),
        )
    }

    pub(crate) fn reader(&self, group: &str, isolation: &str) -> BaseConsumer {
        self.client()
            .set("group.id", group)
            .set("isolation.level", isolation)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error")
            .set("fetch.wait.max.ms", "50")
            .create()
            .unwrap()
    }
}

pub(crate) fn owned(message: &rdkafka::message::BorrowedMessage<'_>) -> Message {
    let headers = message
        .headers()
        .into_iter()
        .flat_map(|headers| headers.iter());
    Message {
        partition: message.partition(),
        offset: message.offset(),
        timestamp: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().map(<[u8]>::to_vec),
        headers: headers
            .map(|header| (header.key.into(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// What became of messages that were sent together.
#[derive(Default)]
pub(super) struct Sent {
    state: Mutex<SentState>,
    changed: Condvar,
}

#[derive(Default)]
struct SentState {
    delivered: usize,
    last_offset: i64,
    failure: Option<KafkaError>,
}

impl Sent {
    /// Waits for `count` deliveries or the first failure, and gives the offset of the last delivered.
    fn wait(&self, count: usize) -> KafkaResult<i64> {
        let state = self.state.lock().unwrap();
        let (state, waited) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| {
                state.failure.is_none() && state.delivered < count
            })
            .unwrap();
        assert!(
            !waited.timed_out(),
            "{} of {count} messages were delivered in {PATIENCE:?}",
            state.delivered
        );
        state.failure.clone().map_or(Ok(state.last_offset), Err)
    }
}

/// Hands delivery reports to the call that waits for them.
pub(super) struct Reports;

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Arc<Sent>) {
        let mut state = sent.state.lock().unwrap();
        match result {
            Ok(message) => {
                state.delivered += 1;
                state.last_offset = message.offset();
            }
            Err((error, _)) => state.failure = Some(error.clone()),
        }
        sent.changed.notify_all();
    }
}

pub(crate) fn options() -> AdminOptions {
    AdminOptions::new()
        .request_timeout(Some(REQUEST))
        .operation_timeout(Some(REQUEST))
}

pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

/// The state of a transactional id, as its coordinator tells it.
pub(crate) fn transaction_state(broker: &Broker, id: &str) -> String {
    let told = tool(
        "org.apache.kafka.tools.TransactionsCommand",
        &[
            "--bootstrap-server",
            broker.bootstrap(),
            "describe",
            "--transactional-id",
            id,
        ],
    );
    // A head, and below it: coordinator, id, producer id, epoch, state, …
    let state = told
        .lines()
        .nth(1)
        .and_then(|line| line.split_whitespace().nth(4));
    state.unwrap_or(&told).to_owned()
}
