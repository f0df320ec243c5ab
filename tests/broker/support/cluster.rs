//! A cluster of three brokers, of which two may be lost.

use std::cell::RefCell;

use rdkafka::admin::TopicReplication;

use super::broker::Broker;
use super::java::{Server, Setup};
use super::wait::{PATIENCE, unique, wait_until};

const BROKERS: usize = 3;

/// Three brokers, and three copies of everything, of which two must have what is acknowledged. The first is the
/// controller as well, and stays; the others are lost and replaced.
pub(crate) struct Cluster {
    first: Broker,
    setups: [Setup; BROKERS - 1],
    others: RefCell<[Option<Server>; BROKERS - 1]>,
}

impl Cluster {
    pub(crate) fn start() -> Self {
        Self::start_with("3000")
    }

    /// A cluster that waits this long, in milliseconds, for a broker that says nothing before it does without it.
    pub(crate) fn start_with(patience: &str) -> Self {
        let copies = format!(
            "default.replication.factor={BROKERS}
offsets.topic.replication.factor={BROKERS}
transaction.state.log.replication.factor={BROKERS}
transaction.state.log.min.isr=2
min.insync.replicas=2
broker.session.timeout.ms={patience}
broker.heartbeat.interval.ms=500
"
        );
        let setup = Setup {
            listener: "PLAINTEXT",
            properties: copies.clone(),
            ..Setup::default()
        };
        let mut first = Server::spawn(&setup);
        let setups = [2, 3].map(|id| {
            let port = super::free_port();
            Setup {
                port: Some(port),
                cluster: Some(first.cluster.clone()),
                listener: "PLAINTEXT",
                properties: format!(
                    "{copies}node.id={id}
process.roles=broker
listeners=PLAINTEXT://127.0.0.1:{port}
controller.quorum.voters=1@127.0.0.1:{}
",
                    first.controller
                ),
                ..Setup::default()
            }
        });
        let others = setups.each_ref().map(|setup| Some(Server::spawn(setup)));
        first
            .wait_until_serving(&setup.client)
            .unwrap_or_else(|error| panic!("the cluster did not start: {error}"));
        let cluster = Self {
            first: Broker::new(first.client(&setup.client), true, Some(first)),
            setups,
            others: RefCell::new(others),
        };
        cluster.wait_for_copies();
        cluster
    }

    /// The cluster as a client sees it that begins with the first broker.
    pub(crate) fn admin(&self) -> &Broker {
        &self.first
    }

    /// A topic of one partition with its copies on these brokers, the first of which leads.
    pub(crate) fn topic_on(
        &self,
        name: &str,
        brokers: [i32; 2],
        config: &[(&str, &str)],
    ) -> String {
        let topic = unique(name);
        let copies = TopicReplication::Variable(&[&brokers]);
        self.first.create_topic_in(&topic, 1, copies, config);
        topic
    }

    /// Waits until exactly these brokers have everything of a partition.
    pub(crate) fn wait_in_sync(&self, topic: &str, partition: usize, brokers: &[i32]) {
        wait_until(PATIENCE, &format!("{brokers:?} are in sync"), || match self
            .first
            .anew()
            .in_sync(topic, partition)?
        {
            seen if seen == brokers => Ok(()),
            seen => Err(format!("{seen:?}")),
        });
    }

    /// Kills one of the others, with all that it has.
    pub(crate) fn lose(&self, place: usize) {
        self.others.borrow_mut()[place] = None;
    }

    /// An empty one in its place, which has copied everything when this returns.
    pub(crate) fn replace(&self, place: usize) {
        self.others.borrow_mut()[place] = Some(Server::spawn(&self.setups[place]));
        self.wait_for_copies();
    }

    /// Stops the broker with this number in the middle of whatever it does; it stays a member of the cluster.
    pub(crate) fn freeze(&self, number: i32) {
        self.with(number, Server::freeze);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self, number: i32) {
        self.with(number, Server::thaw);
    }

    /// Only the others: the first one is the tests' way in.
    fn with(&self, number: i32, act: impl Fn(&Server)) {
        let place = usize::try_from(number - 2).unwrap();
        act(self.others.borrow()[place].as_ref().unwrap());
    }

    fn wait_for_copies(&self) {
        wait_until(PATIENCE, "every partition has its copies", || {
            match self.first.missing_copies(BROKERS)? {
                0 => Ok(()),
                missing => Err(format!("{missing} have not")),
            }
        });
    }
}
