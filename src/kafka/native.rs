//! One call that the safe binding lacks.
//!
//! The binding's own `flush`, which its `commit_transaction` begins with, polls in steps of 100 ms whenever a message
//! is still in flight, so that every small transaction costs at least that. librdkafka's flush returns as soon as the
//! queue is empty; the threaded producer's own thread serves the delivery reports meanwhile. Called first, it leaves
//! the binding's flush nothing to wait for.
#![allow(unsafe_code)] // the one exception of the crate, for the reason above

use std::time::Duration;

use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

/// Waits until every message is delivered or has failed and its report is served. False when `wait` passed before.
pub(super) fn flush<C: ProducerContext>(producer: &ThreadedProducer<C>, wait: Duration) -> bool {
    let milliseconds = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the pointer is the producer's own client handle, which lives as long as the borrow of `producer`, and
    // rd_kafka_flush may be called from any thread.
    let result =
        unsafe { rdkafka_sys::rd_kafka_flush(producer.client().native_ptr(), milliseconds) };
    result == RD_KAFKA_RESP_ERR_NO_ERROR
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
