//! Three brokers, each a process of its own, and a controller that stays. Everything has three copies, of which two must
//! have what is acknowledged. What a broker has on its disk outlives it, so that one that was killed comes back.
//!
//! Each broker listens three times: `PLAIN` for the tests' own clients and the other brokers, `PROXIED` and `SECURE` for the
//! program under test. The last two are advertised with the port of a proxy, since clients go where a broker says it is;
//! `SECURE` wants TLS and a password, and lets users do only what they were granted.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::Consumer as _;
use rdkafka::metadata::MetadataTopic;
use rdkafka::producer::{BaseProducer, Producer as _};

use super::certificates::Certificates;
use super::proxy::{self, Proxies};
use super::support::java::{HOME, jdk, logging, tool};
use super::support::{Broker, PATIENCE, free_port, unique, wait_until};

pub(crate) const BROKERS: usize = 3;
const CONTROLLER: usize = 100;
/// How many partitions the logs of groups and of transactions have.
const INTERNAL: u32 = 6;

/// What no process that a test starts may outlive, and no data: the shell waits for the end of its input, which comes
/// when the tests are gone, however they went.
const WATCHDOG: &str = r#"
cat >/dev/null
for pid in "$data"/*.pid; do
    [ -f "$pid" ] && kill -9 "$(cat "$pid")"
done
rm -rf "$data"
"#;

pub(crate) struct Cluster {
    watchdog: Child,
    controller: Node,
    brokers: Vec<Node>,
    pub(crate) proxies: Proxies,
    pub(crate) certificates: Certificates,
    _proxy: Node,
}

/// A process of the cluster, which may be gone for a while.
struct Node {
    name: String,
    folder: PathBuf,
    program: PathBuf,
    arguments: Vec<String>,
    /// Where the tests' own clients find it.
    port: u16,
    child: Option<Child>,
    frozen: bool,
}

impl Node {
    /// What writes the process's id where the watchdog looks for it, and then becomes that process.
    const START: &'static str = r#"echo $$ >"$pid"; exec "$@""#;

    fn new(name: &str, folder: &Path, program: PathBuf, arguments: Vec<String>, port: u16) -> Self {
        Self {
            name: name.into(),
            folder: folder.into(),
            program,
            arguments,
            port,
            child: None,
            frozen: false,
        }
    }

    fn start(&mut self) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(log_folder().join(format!("{}.log", self.name)))
            .unwrap();
        let child = Command::new("sh")
            .args(["-c", Self::START, "sh"])
            .arg(&self.program)
            .args(&self.arguments)
            .env("pid", self.pid_file())
            // Ctrl-C is for the tests: the watchdog ends the rest.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.frozen = false;
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join(format!("{}.pid", self.name))
    }

    fn signal(&self, name: &str) {
        if let Some(child) = &self.child {
            let kill = format!("kill -{name} {}", child.id());
            let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
            assert!(sent.success(), "{kill}: {sent}");
        }
    }

    /// Ends it in the middle of whatever it does.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
            let _ = fs::remove_file(self.pid_file());
        }
    }

    /// Asks it to end, as an administrator does who restarts it.
    fn stop(&mut self) {
        self.signal("TERM");
        if let Some(child) = &mut self.child {
            wait_until(PATIENCE, &format!("{} has ended", self.name), || {
                child.try_wait().unwrap().ok_or("it runs")
            });
        }
        self.kill();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Cluster {
    /// Starts it, and waits until it serves.
    pub(crate) fn start() -> Self {
        let folder = std::env::temp_dir().join(unique("trailtag-faults"));
        fs::create_dir(&folder).unwrap();
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG])
            .env("data", &folder)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let certificates = Certificates::new(&folder);
        let store = certificates.issue(None);

        let (program, arguments, port) = proxy::program();
        let mut proxy = Node::new("toxiproxy", &folder, program, arguments, port);
        proxy.start();
        let proxies = Proxies::new(port);
        let id = unique("faults");
        let controller_port = free_port();
        let java = |name: &str, properties: &str, port: u16| {
            let file = folder.join(format!("{name}.properties"));
            fs::write(&file, properties).unwrap();
            format(&file, &id);
            let arguments = vec![
                "-Xms128m".into(),
                "-Xmx512m".into(),
                "-XX:+UseSerialGC".into(),
                "-XX:TieredStopAtLevel=1".into(),
                logging(),
                "-cp".into(),
                HOME.join("libs/*").display().to_string(),
                "kafka.Kafka".into(),
                file.display().to_string(),
            ];
            Node::new(name, &folder, jdk("java"), arguments, port)
        };
        let common = common(controller_port);
        let controller = java(
            "controller",
            &format!(
                "{common}node.id={CONTROLLER}
process.roles=controller
listeners=CONTROLLER://127.0.0.1:{controller_port}
log.dirs={}
",
                folder.join("controller").display()
            ),
            controller_port,
        );
        let mut pairs = Vec::new();
        let brokers = (1..=BROKERS)
            .map(|number| {
                let [plain, unsecured, secure, to_unsecured, to_secure] =
                    std::array::from_fn(|_| free_port());
                pairs.push((format!("plain-{number}"), to_unsecured, unsecured));
                pairs.push((format!("secure-{number}"), to_secure, secure));
                let properties = format!(
                    "{common}node.id={number}
process.roles=broker
listeners=PLAIN://127.0.0.1:{plain},PROXIED://127.0.0.1:{unsecured},SECURE://127.0.0.1:{secure}
advertised.listeners=PLAIN://127.0.0.1:{plain},PROXIED://127.0.0.1:{to_unsecured},SECURE://127.0.0.1:{to_secure}
log.dirs={}
listener.name.secure.ssl.keystore.location={}
listener.name.secure.ssl.keystore.password={}
",
                    folder.join(format!("broker-{number}")).display(),
                    store.display(),
                    certificates.password
                );
                java(&format!("broker-{number}"), &properties, plain)
            })
            .collect();

        let mut cluster = Self {
            watchdog,
            controller,
            brokers,
            proxies,
            certificates,
            _proxy: proxy,
        };
        cluster.proxies.open(pairs);
        cluster.controller.start();
        cluster.start_brokers();
        cluster.wait_whole();
        cluster.warm_up();
        cluster
    }

    /// The first use of groups and of transactions creates a topic each; no row should wait for that.
    fn warm_up(&self) {
        let broker = self.broker();
        wait_until(PATIENCE, "the cluster serves groups", || {
            committed(&broker, &unique("warm-up"), "none", 1)
        });
        let producer: BaseProducer = broker
            .client()
            .set("transactional.id", unique("warm-up"))
            .create()
            .unwrap();
        wait_until(PATIENCE, "the cluster serves transactions", || {
            producer.init_transactions(Duration::from_secs(5))
        });
        self.wait_whole();
    }

    /// The cluster as the tests see it: a new client each time, since one that has seen a fault may not get over it.
    pub(crate) fn broker(&self) -> Broker {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.bootstrap())
            .set("reconnect.backoff.max.ms", "500");
        Broker::new(client, true, None)
    }

    /// The addresses of the brokers, with nothing between.
    pub(crate) fn plain(&self) -> Vec<String> {
        let addresses = self.brokers.iter();
        addresses
            .map(|broker| format!("127.0.0.1:{}", broker.port))
            .collect()
    }

    fn bootstrap(&self) -> String {
        self.plain().join(",")
    }

    /// Runs one of Kafka's tools as one who may do everything.
    pub(crate) fn tool(&self, class: &str, args: &[&str]) -> String {
        let bootstrap = self.bootstrap();
        let mut all = vec!["--bootstrap-server", &bootstrap];
        all.extend(args);
        tool(class, &all)
    }

    /// Ends a broker, which is named by its number, in the middle of whatever it does.
    pub(crate) fn kill(&mut self, number: usize) {
        self.brokers[number - 1].kill();
    }

    pub(crate) fn stop(&mut self, number: usize) {
        self.brokers[number - 1].stop();
    }

    pub(crate) fn freeze(&mut self, number: usize) {
        self.brokers[number - 1].signal("STOP");
        self.brokers[number - 1].frozen = true;
    }

    pub(crate) fn thaw(&mut self) {
        for broker in &mut self.brokers {
            if broker.frozen {
                broker.signal("CONT");
                broker.frozen = false;
            }
        }
    }

    /// Whether there is a broker of this number, and it runs.
    pub(crate) fn runs(&self, number: i32) -> bool {
        let place = usize::try_from(number - 1).ok();
        place.is_some_and(|place| self.brokers[place].child.is_some())
    }

    pub(crate) fn start_broker(&mut self, number: usize) {
        let broker = &mut self.brokers[number - 1];
        if broker.child.is_none() {
            broker.start();
        }
    }

    /// Starts those that are gone.
    pub(crate) fn start_brokers(&mut self) {
        for number in 1..=BROKERS {
            self.start_broker(number);
        }
    }

    /// Waits until every partition has its copies again, and a leader.
    pub(crate) fn wait_whole(&self) {
        wait_until(PATIENCE, "every partition has its copies", || {
            let broker = self.broker();
            let metadata = broker
                .admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(10))
                .map_err(|error| error.to_string())?;
            let known = metadata.brokers().len();
            if known < BROKERS {
                return Err(format!("there are {known} brokers"));
            }
            let partitions = metadata.topics().iter().flat_map(MetadataTopic::partitions);
            let missing = partitions
                .filter(|partition| {
                    partition.isr().len() < partition.replicas().len() || partition.leader() < 0
                })
                .count();
            if missing == 0 {
                Ok(())
            } else {
                Err(format!("{missing} have not"))
            }
        });
    }

    /// Takes everything back that rows do to it, and waits until it is whole.
    pub(crate) fn heal(&mut self) {
        self.thaw();
        self.proxies.reset();
        self.start_brokers();
        self.wait_whole();
    }

    /// The number of the broker that leads a partition.
    pub(crate) fn leader(&self, topic: &str, partition: usize) -> usize {
        wait_until(
            PATIENCE,
            &format!("{topic}/{partition} has a leader"),
            || {
                let leaders = self.broker().leaders(topic)?;
                usize::try_from(leaders[partition]).map_err(|_| format!("{leaders:?}"))
            },
        )
    }

    /// The number of the broker that keeps the state of a transactional id.
    pub(crate) fn transaction_leader(&self, id: &str) -> usize {
        self.leader("__transaction_state", place(id))
    }

    /// The number of the broker that keeps the offsets of a group.
    pub(crate) fn group_leader(&self, group: &str) -> usize {
        self.leader("__consumer_offsets", place(group))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for broker in &mut self.brokers {
            broker.kill();
        }
        self.controller.kill();
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// The partition of an internal topic in which Kafka keeps what belongs to a name.
fn place(name: &str) -> usize {
    // Java's String.hashCode, and Kafka's Utils.abs.
    let hash = name.encode_utf16().fold(0_u32, |hash, unit| {
        hash.wrapping_mul(31).wrapping_add(unit.into())
    });
    usize::try_from((hash & 0x7fff_ffff) % INTERNAL).unwrap()
}

/// Where a group goes on, partition by partition.
pub(crate) fn committed(
    broker: &Broker,
    group: &str,
    topic: &str,
    partitions: usize,
) -> Result<Vec<Option<i64>>, String> {
    let mut asked = rdkafka::TopicPartitionList::new();
    for partition in 0..partitions {
        asked.add_partition(topic, i32::try_from(partition).unwrap());
    }
    let told = broker
        .reader(group, "read_uncommitted")
        .committed_offsets(asked, Duration::from_secs(10))
        .map_err(|error| error.to_string())?;
    let elements = told.elements();
    elements
        .iter()
        .map(|element| match element.offset() {
            rdkafka::Offset::Offset(offset) => Ok(Some(offset)),
            _ => element
                .error()
                .map(|()| None)
                .map_err(|error| error.to_string()),
        })
        .collect()
}

/// Where logs of brokers and processes are kept until the next run.
pub(crate) fn log_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn format(properties: &Path, cluster: &str) {
    let arguments = ["format", "--cluster-id", cluster, "--config"];
    tool(
        "kafka.tools.StorageTool",
        &[&arguments[..], &[properties.to_str().unwrap()]].concat(),
    );
}

/// What all of them have in their server.properties.
fn common(controller: u16) -> String {
    format!(
        "controller.quorum.voters={CONTROLLER}@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAIN:PLAINTEXT,PROXIED:PLAINTEXT,SECURE:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.secure.ssl.keystore.type=PKCS12
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# Who comes without a login, as brokers and tests do, may do everything.
super.users=User:ANONYMOUS
auto.create.topics.enable=false
default.replication.factor={BROKERS}
min.insync.replicas=2
offsets.topic.replication.factor={BROKERS}
offsets.topic.num.partitions={INTERNAL}
transaction.state.log.replication.factor={BROKERS}
transaction.state.log.min.isr=2
transaction.state.log.num.partitions={INTERNAL}
share.coordinator.state.topic.replication.factor={BROKERS}
share.coordinator.state.topic.min.isr=2
# Members join at once, and the killed are missed soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
replica.lag.time.max.ms=5000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# Small, for a machine that builds and tests at the same time.
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
"
    )
}

#[test]
fn a_name_has_the_place_that_kafka_gives_it() {
    // As `"console-consumer-1".hashCode()` and its like say in Java.
    assert_eq!(place(""), 0);
    assert_eq!(place("a"), 97 % 6);
    assert_eq!(place("ab"), (97 * 31 + 98) % 6);
    // "polygenelubricants".hashCode() is the smallest integer.
    assert_eq!(place("polygenelubricants"), 0);
}
