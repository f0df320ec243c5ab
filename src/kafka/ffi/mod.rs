//! Calls that the safe binding lacks.
//!
//! - `flush`: the binding's own, which its `commit_transaction` begins with, polls in steps of 100 ms whenever a
//!   message is still in flight, so that every small transaction costs at least that. librdkafka's flush returns as
//!   soon as the queue is empty; the threaded producer's own thread serves the delivery reports meanwhile. Called
//!   first, it leaves the binding's flush nothing to wait for.
//! - `Commit`: the binding's own waits without end, and a commit that is on its way when a broker dies is answered a minute
//!   later or more. Meanwhile the worker would neither say that it lives nor stay in its group.
//! - `add_brokers`: for a client that has none left.
//! - `each_header`: the binding's own iterator panics at a header whose name is not UTF-8, which any sender can write.
//! - `code`: error codes of brokers, which the binding takes for an enum that has gaps.
//! - Leader epochs of messages and of offsets, which the binding does not show.
//! - `admin`: questions to the brokers; the one way to learn what we may do with a topic or a group without doing it, which
//!   id a topic has, and where many partitions begin, end and were left, at once.
//! - `LogQueue`: a queue of their own for the lines of a client's log, without which a poll may wait for itself.
#![allow(unsafe_code)] // the one exception of the crate, for the reasons above

pub(super) mod admin;
mod code;
mod log_queue;

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedHeaders, BorrowedMessage};
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka::topic_partition_list::Offset;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

pub(super) use log_queue::LogQueue;

/// Waits until every message is delivered or has failed and its report is served. False when `wait` passed before.
pub(super) fn flush<C: ProducerContext>(producer: &ThreadedProducer<C>, wait: Duration) -> bool {
    // SAFETY: the pointer is the producer's own client handle, which lives as long as the borrow of `producer`, and
    // rd_kafka_flush may be called from any thread.
    let result = unsafe { sys::rd_kafka_flush(producer.client().native_ptr(), milliseconds(wait)) };
    result == RD_KAFKA_RESP_ERR_NO_ERROR
}

fn milliseconds(wait: Duration) -> i32 {
    i32::try_from(wait.as_millis()).unwrap_or(i32::MAX)
}

/// Gives a client brokers to begin with, beside those that it has.
pub(super) fn add_brokers<C: ClientContext>(client: &Client<C>, bootstrap_servers: &str) {
    if let Ok(list) = CString::new(bootstrap_servers) {
        // SAFETY: the client lives as long as the borrow, and librdkafka copies the list.
        unsafe { sys::rd_kafka_brokers_add(client.native_ptr(), list.as_ptr()) };
    }
}

/// Shows the name of each header, and the size of its value.
pub(super) fn each_header(headers: &BorrowedHeaders, mut look: impl FnMut(&[u8], usize)) {
    // The binding's type is librdkafka's list seen through another name.
    let list = std::ptr::from_ref(headers).cast::<sys::rd_kafka_headers_t>();
    for index in 0.. {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the list lives as long as the borrow, and librdkafka only reads it and writes to the three places.
        let code = unsafe {
            sys::rd_kafka_header_get_all(list, index, &raw mut name, &raw mut value, &raw mut size)
        };
        if code != RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return;
        }
        // SAFETY: a name ends with a zero, and lives as long as the list.
        let name = unsafe { CStr::from_ptr(name) };
        look(name.to_bytes(), size);
    }
}

/// The leader epoch under which a message was written; none where its broker keeps none.
pub(super) fn leader_epoch(message: &BorrowedMessage<'_>) -> Option<i32> {
    // SAFETY: the message lives as long as the borrow.
    let epoch = unsafe { sys::rd_kafka_message_leader_epoch(message.ptr()) };
    (epoch >= 0).then_some(epoch)
}

/// Adds an offset with its leader epoch, by which brokers tell whether their log was cut before it, and its metadata.
pub(super) fn add_offset(
    list: &mut TopicPartitionList,
    topic: &str,
    partition: i32,
    offset: i64,
    epoch: Option<i32>,
    metadata: &str,
) -> Result<(), KafkaError> {
    list.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    if let Some(mut element) = list.find_partition(topic, partition) {
        if !metadata.is_empty() {
            element.set_metadata(metadata);
        }
        if let (Some(epoch), Ok(topic)) = (epoch, CString::new(topic)) {
            // SAFETY: list and name outlive both calls; what is found is an element of the list, or null.
            unsafe {
                let found =
                    sys::rd_kafka_topic_partition_list_find(list.ptr(), topic.as_ptr(), partition);
                if !found.is_null() {
                    sys::rd_kafka_topic_partition_set_leader_epoch(found, epoch);
                }
            }
        }
    }
    Ok(())
}

/// A commit of offsets without a transaction, on its way.
pub(super) struct Commit {
    answers: Owned<sys::rd_kafka_queue_t>,
}

impl Commit {
    /// Sends it.
    pub(super) fn begin<C: ClientContext>(
        client: &Client<C>,
        offsets: &TopicPartitionList,
    ) -> Result<Self, RDKafkaErrorCode> {
        // SAFETY: every pointer is made here, checked for null, and destroyed once; librdkafka copies the list, and keeps what
        // an answer that is still to come needs of the queue.
        unsafe {
            let answers = Owned::new(
                sys::rd_kafka_queue_new(client.native_ptr()),
                sys::rd_kafka_queue_destroy,
            )
            .ok_or(RDKafkaErrorCode::Fail)?;
            code::judge(code::rd_kafka_commit_queue(
                client.native_ptr(),
                offsets.ptr(),
                answers.pointer(),
                std::ptr::null(),
                std::ptr::null_mut(),
            ))?;
            Ok(Self { answers })
        }
    }

    /// Waits for the answer; none where `wait` passed before.
    pub(super) fn answer(&self, wait: Duration) -> Option<Result<(), RDKafkaErrorCode>> {
        // SAFETY: the queue lives as long as `self`, and the event until its error is read.
        let error = unsafe {
            let event = Owned::new(
                sys::rd_kafka_queue_poll(self.answers.pointer(), milliseconds(wait)),
                sys::rd_kafka_event_destroy,
            )?;
            code::rd_kafka_event_error(event.pointer())
        };
        Some(code::judge(error))
    }
}

/// Something of librdkafka's that is destroyed by a call of its own.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    fn new(pointer: *mut T, destroy: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(pointer).map(|pointer| Self { pointer, destroy })
    }

    fn pointer(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `pointer` came from the constructor that `destroy` belongs to, and is destroyed here only.
        unsafe { (self.destroy)(self.pointer.as_ptr()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::Offset;
    use rdkafka::config::ClientConfig;
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::message::OwnedHeaders;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext};

    #[test]
    fn a_commit_is_answered_or_not_answered_yet() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", 1, 1).unwrap();
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "group")
            .create()
            .unwrap();
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset("in", 0, Offset::Offset(7))
            .unwrap();
        let patience = Duration::from_secs(20);
        let commit = Commit::begin(consumer.client(), &offsets).unwrap();
        assert_eq!(commit.answer(patience), Some(Ok(())));
        let asked = consumer
            .committed_offsets(offsets.clone(), patience)
            .unwrap();
        assert_eq!(
            asked.find_partition("in", 0).unwrap().offset(),
            Offset::Offset(7)
        );

        cluster.broker_down(1).unwrap();
        let commit = Commit::begin(consumer.client(), &offsets).unwrap();
        assert_eq!(commit.answer(Duration::from_millis(50)), None);
        // A consumer closes when its commits are answered.
        cluster.broker_up(1).unwrap();
        assert!(commit.answer(patience).is_some());
    }

    #[test]
    fn a_header_may_have_any_name_and_no_value() {
        let headers = OwnedHeaders::new();
        let list = std::ptr::from_ref(headers.as_borrowed())
            .cast_mut()
            .cast::<sys::rd_kafka_headers_t>();
        let add = |name: &CStr, value: *const std::ffi::c_void, size: isize| {
            // SAFETY: the list is alive and nobody else has it; librdkafka copies name and value.
            unsafe { sys::rd_kafka_header_add(list, name.as_ptr(), -1, value, size) }
        };
        assert_eq!(
            add(c"\xff\xfe", b"abc".as_ptr().cast(), 3),
            RD_KAFKA_RESP_ERR_NO_ERROR
        );
        assert_eq!(
            add(c"none", std::ptr::null(), 0),
            RD_KAFKA_RESP_ERR_NO_ERROR
        );
        let mut seen = Vec::new();
        each_header(headers.as_borrowed(), |name, size| {
            seen.push((name.to_vec(), size));
        });
        assert_eq!(seen, [(b"\xff\xfe".to_vec(), 3), (b"none".to_vec(), 0)]);
    }

    #[test]
    fn returns_true_once_everything_is_acknowledged_and_false_when_it_is_not() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("out", 1, 1).unwrap();
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .create()
            .unwrap();
        producer
            .send(BaseRecord::<(), str>::to("out").payload("x"))
            .unwrap();
        assert!(flush(&producer, Duration::from_secs(20)));
        assert_eq!(producer.in_flight_count(), 0);

        cluster
            .broker_down(-1)
            .unwrap_or_else(|_| cluster.broker_down(1).unwrap());
        producer
            .send(BaseRecord::<(), str>::to("out").payload("y"))
            .unwrap();
        assert!(!flush(&producer, Duration::from_millis(50)));
    }
}
