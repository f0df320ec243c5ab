//! Kafka's own programs: where their jars are, how one is run, and a broker that ends with this process.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use super::wait::{PATIENCE, free_port, unique, wait_until};

/// The folder that `tests/components/kafka.sh` filled; it is run when the folder is missing.
pub(crate) static HOME: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let components = std::env::var_os("TRAILTAG_COMPONENTS")
        .map_or_else(|| root.join(".components"), PathBuf::from);
    // The version that the script installs.
    let home = components.join("kafka-4.3.1");
    if !home.is_dir() {
        let installed = Command::new("bash")
            .arg(root.join("tests/components/kafka.sh"))
            .env("TRAILTAG_COMPONENTS", &components)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status();
        assert!(
            installed.is_ok_and(|status| status.success()) && home.is_dir(),
            "these tests need Apache Kafka in {}; install it with: bash tests/components/kafka.sh",
            home.display()
        );
    }
    home
});

/// A program of the Java runtime.
pub(crate) fn jdk(program: &str) -> PathBuf {
    std::env::var_os("JAVA_HOME").map_or_else(
        || PathBuf::from(program),
        |home| Path::new(&home).join("bin").join(program),
    )
}

/// Runs one of Kafka's command line tools to its end, and gives what it printed.
///
/// # Panics
/// When the tool fails: with what it printed.
pub(crate) fn tool(class: &str, args: &[&str]) -> String {
    let output = Command::new(jdk("java"))
        .args(["-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg("-Dtrailtag.level=WARN")
        .arg(logging())
        .arg("-cp")
        .arg(HOME.join("libs/*"))
        .arg(class)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("java did not start ({error}); install it with: bash tests/components/packages.sh test"));
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{class} {args:?}: {}\n{out}{err}",
        output.status
    );
    out
}

/// How a broker is set up, apart from its addresses.
#[derive(Default)]
pub(crate) struct Setup {
    /// The port for clients; none is any that is free.
    pub(crate) port: Option<u16>,
    /// The port of a further listener, without encryption, which the broker itself uses and its client too.
    pub(crate) inner: Option<u16>,
    /// The cluster's id; none makes a cluster of its own.
    pub(crate) cluster: Option<String>,
    /// The listener that clients use: `PLAINTEXT` or `SASL_SSL`.
    pub(crate) listener: &'static str,
    /// Further lines of server.properties.
    pub(crate) properties: String,
    /// Further arguments of the tool that formats the storage.
    pub(crate) format: Vec<String>,
    /// What a client needs to log in as one who may do everything.
    pub(crate) client: ClientConfig,
}

/// A running broker.
pub(crate) struct Server {
    /// Its client port.
    pub(crate) port: u16,
    inner: Option<u16>,
    /// The port of its controller.
    pub(super) controller: u16,
    pub(super) cluster: String,
    /// A shell that waits for the end of its input. That end comes when this process is gone, however it went; then the
    /// shell kills the broker and removes its data.
    watchdog: Child,
    data: PathBuf,
    log: PathBuf,
}

/// Java must not outlive the tests, even when they are killed, so it is the shell's child and the shell watches a pipe
/// of which this process alone holds the other end. A file `down` beside the data holds a killed broker back.
const WATCHDOG: &str = r#"
exec 3<&0 </dev/null >>"$log" 2>&1
trap 'rm -rf "$data"' EXIT
"$java" -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 "$logging" -cp "$jars" \
    kafka.tools.StorageTool format --cluster-id "$cluster" --config "$data/server.properties" "$@" 3<&- || exit 1
{ cat <&3; touch "$data/end"; rm -f "$data/down"; kill -9 "$(cat "$data/pid")"; } &
guard=$!
while [ ! -e "$data/end" ]; do
    "$java" -Xms256m -Xmx1g "$logging" -cp "$jars" kafka.Kafka "$data/server.properties" 3<&- &
    server=$!
    echo "$server" >"$data/pid"
    [ ! -e "$data/end" ] || kill -9 "$server"
    wait "$server"
    [ -e "$data/down" ] || break
    while [ -e "$data/down" ]; do sleep 0.1; done
done
kill "$guard" 2>/dev/null
"#;

/// Kafka 4.3 drops the end of a transaction for a partition that has no leader at that moment, as if the topic were deleted
/// (`TransactionMarkerChannelManager`, "likely deleted already"): what was aborted becomes visible with the next commit of
/// the same producer. A broker that is its own controller comes to that by itself when it is back from a kill: it still
/// leads by the old metadata, ends what timed out, and has no leader once its old session is over. So that session is short,
/// and it looks at transactions well after it.
const AFTER_A_KILL: &str = "
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=500
transaction.abort.timed.out.transaction.cleanup.interval.ms=20000
";

impl Server {
    /// Starts a broker, and waits until it serves: metadata, groups and transactions.
    pub(crate) fn start(setup: &Setup) -> Self {
        // Installed before anything is made that a failure would leave behind.
        LazyLock::force(&HOME);
        let mut tries = 0;
        loop {
            tries += 1;
            let mut server = Self::spawn(setup);
            let Err(what) = server.wait_until_serving(&setup.client) else {
                return server;
            };
            let log = tail(&server.log);
            // Another program took the port between our look and the broker's.
            let port_taken = log.contains("Address already in use");
            assert!(
                port_taken && tries < 5,
                "the Kafka broker did not start: {what}; its log is {}, and ends:\n{log}",
                server.log.display()
            );
        }
    }

    /// Starts a broker, which does not serve yet.
    pub(super) fn spawn(setup: &Setup) -> Self {
        let port = setup.port.unwrap_or_else(free_port);
        let controller = free_port();
        let cluster = setup.cluster.clone().unwrap_or_else(|| unique("trailtag"));
        let data = std::env::temp_dir().join(unique("trailtag-broker"));
        fs::create_dir(&data).unwrap();
        fs::write(
            data.join("server.properties"),
            properties(setup, &data, port, controller),
        )
        .unwrap();
        let log = log_file();

        Self {
            port,
            inner: setup.inner,
            controller,
            watchdog: Command::new("sh")
                .args(["-c", WATCHDOG, "kafka"])
                .args(&setup.format)
                .env("log", &log)
                .env("data", &data)
                .env("java", jdk("java"))
                .env("jars", HOME.join("libs/*"))
                .env("logging", logging())
                .env("cluster", &cluster)
                // Ctrl-C is for the tests: the shell stays to clean up after them.
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
            data,
            log,
            cluster,
        }
    }

    /// Kills it, and keeps its data. Nothing listens on its port until [`Server::bring_back`].
    pub(crate) fn take_down(&self) {
        fs::write(self.data.join("down"), "").unwrap();
        let kill = format!("kill -9 $(cat {})", self.data.join("pid").display());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success(), "{kill}: {sent}");
        wait_until(
            PATIENCE,
            "nothing listens on the broker's port",
            || match TcpStream::connect(("127.0.0.1", self.port)) {
                Err(_) => Ok(()),
                Ok(_) => Err("something does"),
            },
        );
        let properties = self.data.join("server.properties");
        let mut properties = File::options().append(true).open(properties).unwrap();
        properties.write_all(AFTER_A_KILL.as_bytes()).unwrap();
    }

    /// Starts it again, with the data that it had. It need not serve yet.
    pub(crate) fn bring_back(&self) {
        fs::remove_file(self.data.join("down")).unwrap();
    }

    /// Stops it in the middle of whatever it does, as a machine that hangs does: its connections stand, and nothing
    /// answers on them.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// To the shell and all its children, which are a group of their own.
    fn signal(&self, name: &str) {
        let kill = format!("kill -{name} -{}", self.watchdog.id());
        let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(sent.success(), "{kill}: {sent}");
    }

    /// The same client, which begins with this broker.
    pub(crate) fn client(&self, client: &ClientConfig) -> ClientConfig {
        let mut client = client.clone();
        let port = self.inner.unwrap_or(self.port);
        client.set("bootstrap.servers", format!("127.0.0.1:{port}"));
        client
    }

    /// Waits until its cluster serves: metadata, groups and transactions. That it is this very one is what the cluster's
    /// id proves: another program may have taken the port.
    pub(super) fn wait_until_serving(&mut self, client: &ClientConfig) -> Result<(), String> {
        let mut client = self.client(client);
        client
            .set("reconnect.backoff.max.ms", "200")
            .set("group.id", unique("warm-up"));
        let consumer: BaseConsumer = client.create().unwrap();
        let start = Instant::now();
        loop {
            let seen = consumer
                .client()
                .fetch_cluster_id(Duration::from_millis(200));
            match (seen, self.watchdog.try_wait().unwrap()) {
                (_, Some(status)) => return Err(format!("it ended ({status})")),
                (Some(id), None) if id == self.cluster => break,
                (seen, None) if start.elapsed() > PATIENCE => {
                    return Err(format!(
                        "no answer in {PATIENCE:?}; the cluster on its port is {seen:?}"
                    ));
                }
                _ => {}
            }
        }
        // The first use of groups and of transactions creates a topic each; no test should wait for that.
        let mut offsets = TopicPartitionList::new();
        offsets
            .add_partition_offset("none", 0, Offset::Invalid)
            .unwrap();
        wait_until(PATIENCE, "the broker serves groups", || {
            consumer.committed_offsets(offsets.clone(), Duration::from_secs(5))
        });
        client.remove("group.id");
        let producer: BaseProducer = client
            .set("transactional.id", unique("warm-up"))
            .create()
            .unwrap();
        wait_until(PATIENCE, "the broker serves transactions", || {
            producer.init_transactions(Duration::from_secs(5))
        });
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Else a frozen one would never see that.
        self.thaw();
        let _ = self.watchdog.wait();
    }
}

/// The option of the Java runtime that has Kafka log to standard error.
pub(crate) fn logging() -> String {
    format!(
        "-Dlog4j2.configurationFile={}",
        HOME.join("log4j2.yaml").display()
    )
}

fn properties(setup: &Setup, data: &Path, port: u16, controller: u16) -> String {
    let Setup {
        listener,
        properties,
        ..
    } = setup;
    let inner = setup.inner.map_or_else(String::new, |inner| {
        format!(
            "listeners={listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},INNER://127.0.0.1:{inner}
advertised.listeners={listener}://127.0.0.1:{port},INNER://127.0.0.1:{inner}
listener.security.protocol.map={listener}:{listener},CONTROLLER:PLAINTEXT,INNER:PLAINTEXT
inter.broker.listener.name=INNER
"
        )
    });
    let logs = data.join("log");
    let logs = logs.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners={listener}://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listener}://127.0.0.1:{port}
listener.security.protocol.map={listener}:{listener},CONTROLLER:PLAINTEXT
inter.broker.listener.name={listener}
log.dirs={logs}
# A missing topic is a fault that tests want to see.
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
# Members join at once, and the killed are missed soon.
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
# Its own controller must not take it for gone when it thaws: see AFTER_A_KILL.
broker.session.timeout.ms=60000
# Small, for a machine that builds and tests at the same time.
log.cleaner.dedupe.buffer.size=16777216
log.index.size.max.bytes=1048576
{inner}{properties}
"
    )
}

/// A new log file in the build folder, from which those of earlier days are removed.
fn log_file() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("broker");
    fs::create_dir_all(&folder).unwrap();
    for file in fs::read_dir(&folder).unwrap().flatten() {
        let age = file.metadata().and_then(|data| data.modified());
        if age.is_ok_and(|time| {
            time.elapsed()
                .is_ok_and(|age| age > Duration::from_hours(24))
        }) {
            let _ = fs::remove_file(file.path());
        }
    }
    folder.join(unique("kafka") + ".log")
}

/// The last lines of a file.
fn tail(file: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(file) {
        let length = file.metadata().map_or(0, |data| data.len());
        let _ = file.seek(SeekFrom::Start(length.saturating_sub(4096)));
        let _ = file.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
