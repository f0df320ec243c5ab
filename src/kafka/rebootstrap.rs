//! Clients that have no broker left to turn to.
//!
//! librdkafka forgets the brokers that an answer about the cluster does not name. A broker that was put out of its cluster
//! for a moment, and does not know that it is back, names none. The client then plans to begin with the bootstrap servers
//! once more, and calls that off when it is done with the same answer (confluentinc/librdkafka#5301): it would be silent
//! for ever. A cluster of one broker that is starved for some seconds is enough.

use std::sync::atomic::{AtomicBool, Ordering};

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::ClientConfig;
use rdkafka::statistics::Statistics;
use tracing::debug;

use super::ffi;

/// Whether a client has no broker left, as its last statistics had it.
#[derive(Debug, Default)]
pub(super) struct Rebootstrap(AtomicBool);

impl Rebootstrap {
    /// Takes what the client's statistics say.
    pub(super) fn update(&self, statistics: &Statistics) {
        let is_left = statistics
            .brokers
            .values()
            .any(|broker| matches!(&*broker.source, "configured" | "learned"));
        self.0.store(!is_left, Ordering::Relaxed);
    }

    /// Gives the client the bootstrap servers of its settings again, where it has no broker left.
    pub(super) fn if_needed<C: ClientContext>(&self, client: &Client<C>, settings: &ClientConfig) {
        if self.0.swap(false, Ordering::Relaxed)
            && let Some(bootstrap_servers) = settings.get("bootstrap.servers")
        {
            debug!(
                bootstrap_servers,
                "a client has no broker left; adding the bootstrap servers again"
            );
            ffi::add_brokers(client, bootstrap_servers);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use rdkafka::config::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, Producer, ThreadedProducer};

    use crate::kafka::events::DeliveryReports;
    use crate::kafka::ffi;

    /// A client without bootstrap servers is where one ends up that has forgotten all brokers.
    #[test]
    fn a_client_that_has_no_broker_left_begins_again() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("out", 1, 1).unwrap();
        let producer: ThreadedProducer<DeliveryReports> = ClientConfig::new()
            .set("statistics.interval.ms", "50")
            .create_with_context(DeliveryReports::default())
            .unwrap();
        producer
            .send(BaseRecord::<(), str, usize>::with_opaque_to("out", 0).payload("x"))
            .unwrap();
        let mut settings = ClientConfig::new();
        settings.set("bootstrap.servers", cluster.bootstrap_servers());
        let start = Instant::now();
        let rebootstrap = &producer.context().rebootstrap;
        while !ffi::flush(&producer, Duration::from_millis(50)) {
            assert!(start.elapsed() < Duration::from_mins(1), "it is silent");
            rebootstrap.if_needed(producer.client(), &settings);
        }
        assert!(producer.context().failures().is_empty());
    }

    #[test]
    fn a_client_whose_brokers_are_down_has_them_still() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.broker_down(1).unwrap();
        let producer: ThreadedProducer<DeliveryReports> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("statistics.interval.ms", "20")
            .create_with_context(DeliveryReports::default())
            .unwrap();
        let start = Instant::now();
        let rebootstrap = &producer.context().rebootstrap;
        // The statistics take it back, and not once only.
        for _ in 0..5 {
            rebootstrap.0.store(true, Ordering::Relaxed);
            while rebootstrap.0.load(Ordering::Relaxed) {
                assert!(start.elapsed() < Duration::from_mins(1), "it has none");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}
