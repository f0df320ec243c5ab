//! A cluster as one of its clients sees it, and the one that the tests share.

use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, Producer, ThreadedProducer};

use super::java::{Server, Setup};
use super::topics::Reports;
use super::wait::{PATIENCE, unique, wait_until};

/// A cluster, and a login on it.
pub(crate) struct Broker {
    client: ClientConfig,
    pub(crate) admin: AdminClient<DefaultClientContext>,
    pub(super) producer: ThreadedProducer<Reports>,
    /// Where we started it ourselves; it ends with this.
    server: Option<Server>,
}

impl Broker {
    /// The broker of this test run: the one that `TRAILTAG_TEST_BROKERS` names (`host:port,…`, without encryption), else
    /// one that is started on the first call.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("TRAILTAG_TEST_BROKERS") {
            Ok(brokers) if !brokers.is_empty() => {
                let mut client = ClientConfig::new();
                client.set("bootstrap.servers", brokers);
                Self::new(client, true, None)
            }
            _ => Self::start(),
        })
    }

    /// A broker of the test's own, which ends when this is dropped: for tests that would disturb the others.
    pub(crate) fn start() -> Self {
        Self::start_on(None)
    }

    /// The same, on a port that was known before: for tests that begin without a broker.
    pub(crate) fn start_on(port: Option<u16>) -> Self {
        let setup = Setup {
            port,
            listener: "PLAINTEXT",
            ..Setup::default()
        };
        let server = Server::start(&setup);
        Self::new(server.client(&setup.client), true, Some(server))
    }

    /// A login on a cluster. An `idempotent` producer never sends twice; but it is lost for good once the broker refuses
    /// it, which is no use to a login that waits for a grant.
    pub(crate) fn new(client: ClientConfig, idempotent: bool, server: Option<Server>) -> Self {
        let mut producer = client.clone();
        producer
            .set("enable.idempotence", idempotent.to_string())
            .set("linger.ms", "2")
            // How large a message may be is for the topic to say.
            .set("message.max.bytes", "100000000");
        Self {
            admin: client.create().unwrap(),
            producer: producer.create_with_context(Reports).unwrap(),
            client,
            server,
        }
    }

    /// Stops a broker of the test's own in the middle of whatever it does: its connections stand, and nothing answers.
    pub(crate) fn freeze(&self) {
        self.server.as_ref().unwrap().freeze();
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.server.as_ref().unwrap().thaw();
    }

    /// Kills a broker of the test's own, and keeps its data.
    pub(crate) fn take_down(&self) {
        self.server.as_ref().unwrap().take_down();
    }

    /// Starts it again, with all that it had, and waits until it serves.
    pub(crate) fn bring_back(&self) {
        self.server.as_ref().unwrap().bring_back();
        // Clients that it had before may wait for long until they try again.
        wait_until(PATIENCE, "the broker is back", || {
            let client: BaseProducer = self.client().create().unwrap();
            client.client().fetch_metadata(None, Duration::from_secs(1))
        });
    }

    /// Lets it go on with hardly any processor at first, as where a whole machine had hung: what it learns of the cluster
    /// comes late, and it tells clients that the cluster has no broker.
    pub(crate) fn thaw_slowly(&self) {
        for _ in 0..100 {
            self.thaw();
            std::thread::sleep(Duration::from_millis(8));
            self.freeze();
            std::thread::sleep(Duration::from_millis(42));
        }
        self.thaw();
    }

    /// The same cluster through new clients: one that was told that there is no broker may never ask again.
    pub(crate) fn anew(&self) -> Self {
        Self::new(self.client(), true, None)
    }

    /// The settings of a new client with this login.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client.clone()
    }

    /// A transactional producer, ready to begin.
    pub(crate) fn transactional(&self) -> BaseProducer {
        self.transactional_as(&unique("transactions"))
    }

    /// The same, with an id that another may have.
    pub(crate) fn transactional_as(&self, id: &str) -> BaseProducer {
        let producer: BaseProducer = self.client().set("transactional.id", id).create().unwrap();
        producer.init_transactions(PATIENCE).unwrap();
        producer
    }

    /// The addresses to begin with: `host:port`, with commas between.
    pub(crate) fn bootstrap(&self) -> &str {
        self.client.get("bootstrap.servers").unwrap()
    }
}
