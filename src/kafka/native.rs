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
//! - `describe_topics` and `may_read_group`: the one way to learn what we may do with a topic or a group without doing it.
#![allow(unsafe_code)] // the one exception of the crate, for the reasons above

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::BorrowedHeaders;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_AclOperation_t::{
    RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE,
};
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

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
    for place in 0.. {
        let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the list lives as long as the borrow, and librdkafka only reads it and writes to the three places.
        let code = unsafe {
            sys::rd_kafka_header_get_all(list, place, &raw mut name, &raw mut value, &raw mut size)
        };
        if code != RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
            return;
        }
        // SAFETY: a name ends with a zero, and lives as long as the list.
        let name = unsafe { CStr::from_ptr(name) };
        look(name.to_bytes(), size);
    }
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
        let failed = RDKafkaErrorCode::Fail;
        let size = i32::try_from(offsets.count()).map_err(|_| failed)?;
        // SAFETY: every pointer is made here, checked for null, and destroyed once; librdkafka copies the list, of which
        // each element that was added is set, and keeps what an answer that is still to come needs of the queue.
        unsafe {
            let list = Owned::new(
                sys::rd_kafka_topic_partition_list_new(size),
                sys::rd_kafka_topic_partition_list_destroy,
            )
            .ok_or(failed)?;
            for element in offsets.elements() {
                let topic = CString::new(element.topic()).map_err(|_| failed)?;
                let offset = element.offset().to_raw().ok_or(failed)?;
                let added = sys::rd_kafka_topic_partition_list_add(
                    list.pointer(),
                    topic.as_ptr(),
                    element.partition(),
                );
                (*added).offset = offset;
            }
            let answers = Owned::new(
                sys::rd_kafka_queue_new(client.native_ptr()),
                sys::rd_kafka_queue_destroy,
            )
            .ok_or(failed)?;
            let sent = sys::rd_kafka_commit_queue(
                client.native_ptr(),
                list.pointer(),
                answers.pointer(),
                None,
                std::ptr::null_mut(),
            );
            if sent == RD_KAFKA_RESP_ERR_NO_ERROR {
                Ok(Self { answers })
            } else {
                Err(sent.into())
            }
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
            sys::rd_kafka_event_error(event.pointer())
        };
        Some(if error == RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(())
        } else {
            Err(error.into())
        })
    }
}

/// What the brokers say of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicAnswer {
    /// The topic.
    pub(super) name: String,
    /// What is wrong with it.
    pub(super) error: Option<RDKafkaErrorCode>,
    /// We may read it.
    pub(super) read: bool,
    /// We may write it.
    pub(super) write: bool,
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

/// Asks the brokers about topics, what we may do with them included. An error is that of the request as a whole.
pub(super) fn describe_topics<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    wait: Duration,
) -> Result<Vec<TopicAnswer>, RDKafkaErrorCode> {
    let names: Vec<CString> = topics
        .iter()
        .filter_map(|topic| CString::new(*topic).ok())
        .collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: `pointers` and the names behind it outlive the call that copies them; the collection outlives the request;
    // what the result points to is owned by the event, which lives until the answers are copied.
    unsafe {
        let collection = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
        .ok_or(RDKafkaErrorCode::Fail)?;
        let event = ask(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            wait,
            |native, options, queue| {
                sys::rd_kafka_DescribeTopics(native, collection.pointer(), options, queue);
            },
        )?;
        let result = sys::rd_kafka_event_DescribeTopics_result(event.pointer());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let list = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok(slice(list, count)
            .iter()
            .map(|description| answer(*description))
            .collect())
    }
}

/// Whether we may read as a member of a group; it need not exist yet. An error may be the group's own.
pub(super) fn may_read_group<C: ClientContext>(
    client: &Client<C>,
    group: &str,
    wait: Duration,
) -> Result<bool, RDKafkaErrorCode> {
    let name = CString::new(group).map_err(|_| RDKafkaErrorCode::InvalidGroupId)?;
    let mut names = [name.as_ptr()];
    // SAFETY: the name outlives the call that copies it; what the result points to is owned by the event, which lives to
    // the end of this block.
    unsafe {
        let event = ask(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            wait,
            |native, options, queue| {
                sys::rd_kafka_DescribeConsumerGroups(
                    native,
                    names.as_mut_ptr(),
                    names.len(),
                    options,
                    queue,
                );
            },
        )?;
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.pointer());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let list = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let Some(&description) = slice(list, count).first() else {
            return Err(RDKafkaErrorCode::Fail);
        };
        let code =
            sys::rd_kafka_error_code(sys::rd_kafka_ConsumerGroupDescription_error(description));
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(code.into());
        }
        let list = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(
            description,
            &raw mut count,
        );
        Ok(slice(list, count).contains(&RD_KAFKA_ACL_OPERATION_READ))
    }
}

type Event = Owned<sys::rd_kafka_event_t>;

/// Sends one request that asks for authorized operations too, and waits for its answer.
///
/// # Safety
///
/// `send` must be the request for `operation`, and give nothing of its arguments to anything that outlives it but
/// librdkafka.
unsafe fn ask<C: ClientContext>(
    client: &Client<C>,
    operation: sys::rd_kafka_admin_op_t,
    wait: Duration,
    send: impl FnOnce(
        *mut sys::rd_kafka_t,
        *const sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ),
) -> Result<Event, RDKafkaErrorCode> {
    let failed = RDKafkaErrorCode::Fail;
    // SAFETY: every pointer is made here, checked for null, and destroyed once; librdkafka keeps what a request that is
    // still open needs of them.
    unsafe {
        let native = client.native_ptr();
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(native, operation),
            sys::rd_kafka_AdminOptions_destroy,
        )
        .ok_or(failed)?;
        let refused =
            sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.pointer(), 1);
        if let Some(refused) = Owned::new(refused, sys::rd_kafka_error_destroy) {
            return Err(sys::rd_kafka_error_code(refused.pointer()).into());
        }
        let queue = Owned::new(sys::rd_kafka_queue_new(native), sys::rd_kafka_queue_destroy)
            .ok_or(failed)?;
        send(native, options.pointer(), queue.pointer());
        let event = Owned::new(
            sys::rd_kafka_queue_poll(queue.pointer(), milliseconds(wait)),
            sys::rd_kafka_event_destroy,
        )
        .ok_or(RDKafkaErrorCode::OperationTimedOut)?;
        let error = sys::rd_kafka_event_error(event.pointer());
        if error == RD_KAFKA_RESP_ERR_NO_ERROR {
            Ok(event)
        } else {
            Err(error.into())
        }
    }
}

/// A list of librdkafka's.
///
/// # Safety
///
/// `list` must be null or point to `count` items that live for `'a`.
unsafe fn slice<'a, T>(list: *const T, count: usize) -> &'a [T] {
    if list.is_null() {
        &[]
    } else {
        // SAFETY: the caller vouches for it.
        unsafe { std::slice::from_raw_parts(list, count) }
    }
}

/// Copies one description.
///
/// # Safety
///
/// `description` must be one of a live DescribeTopics result.
unsafe fn answer(description: *const sys::rd_kafka_TopicDescription_t) -> TopicAnswer {
    // SAFETY: the caller vouches for `description`; the name and the operations live as long as it does.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description))
            .to_string_lossy()
            .into_owned();
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        let mut count = 0;
        let list =
            sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count);
        let operations = slice(list, count);
        TopicAnswer {
            name,
            error: (code != RD_KAFKA_RESP_ERR_NO_ERROR).then(|| code.into()),
            read: operations.contains(&RD_KAFKA_ACL_OPERATION_READ),
            write: operations.contains(&RD_KAFKA_ACL_OPERATION_WRITE),
        }
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
