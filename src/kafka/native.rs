//! Two calls that the safe binding lacks.
//!
//! - `flush`: the binding's own, which its `commit_transaction` begins with, polls in steps of 100 ms whenever a
//!   message is still in flight, so that every small transaction costs at least that. librdkafka's flush returns as
//!   soon as the queue is empty; the threaded producer's own thread serves the delivery reports meanwhile. Called
//!   first, it leaves the binding's flush nothing to wait for.
//! - `describe_topics`: the one way to learn what we may do with a topic without doing it.
#![allow(unsafe_code)] // the one exception of the crate, for the reasons above

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka_sys as sys;
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
    let failed = RDKafkaErrorCode::Fail;
    // SAFETY: every pointer below is made here, checked for null, and destroyed when this function returns, the
    // event last made first; what the result points to is owned by the event and copied before that. `pointers` and
    // the names behind it outlive the call that copies them.
    unsafe {
        let native = client.native_ptr();
        let collection = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
        .ok_or(failed)?;
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(
                native,
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            ),
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
        sys::rd_kafka_DescribeTopics(
            native,
            collection.pointer(),
            options.pointer(),
            queue.pointer(),
        );
        let event = Owned::new(
            sys::rd_kafka_queue_poll(queue.pointer(), milliseconds(wait)),
            sys::rd_kafka_event_destroy,
        )
        .ok_or(RDKafkaErrorCode::OperationTimedOut)?;
        let error = sys::rd_kafka_event_error(event.pointer());
        if error != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(error.into());
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event.pointer());
        if result.is_null() {
            return Err(failed);
        }
        let mut count = 0;
        let list = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let descriptions = if list.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(list, count)
        };
        Ok(descriptions
            .iter()
            .map(|description| answer(*description))
            .collect())
    }
}

/// Copies one description.
///
/// # Safety
///
/// `description` must be one of a live DescribeTopics result.
unsafe fn answer(description: *const sys::rd_kafka_TopicDescription_t) -> TopicAnswer {
    use sys::rd_kafka_AclOperation_t::{RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE};
    // SAFETY: the caller vouches for `description`; the name and the operations live as long as it does.
    unsafe {
        let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(description))
            .to_string_lossy()
            .into_owned();
        let code = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        let mut count = 0;
        let list =
            sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count);
        let operations = if list.is_null() {
            &[]
        } else {
            std::slice::from_raw_parts(list, count)
        };
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
    use rdkafka::config::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext};

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
