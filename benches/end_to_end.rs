//! What the service costs beside a consumer that does nothing: CPU seconds per GB of a backlog on a real broker.
//!
//! `TRAILTAG_TEST_BROKERS=localhost:9092 cargo bench --bench end_to_end`; `TRAILTAG_BENCH_RECORDS` is the size of the
//! backlog. It fills a new topic, then reads it twice: by a bare consumer with the service's own settings, and by
//! `trailtag run`, each a process of its own, so that the kernel keeps their accounts. The topics stay.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a bench may panic, and prints what it found

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use trailtag::config::Config;
use trailtag::kafka::client::{self, WorkerResources};

/// Set for the process that is the bare consumer: the topic to read.
const BARE: &str = "TRAILTAG_BENCH_BARE";
const BROKERS: &str = "TRAILTAG_TEST_BROKERS";
const RECORDS: &str = "TRAILTAG_BENCH_RECORDS";
const PARTITIONS: &str = "6";
/// What a program that reads a backlog may take before something is wrong.
const PATIENCE: Duration = Duration::from_mins(10);
/// Linux counts CPU time in hundredths of a second, whatever the kernel's own clock.
const TICKS: f64 = 100.0;

fn main() {
    // `cargo test --benches` only asks whether it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let Ok(brokers) = std::env::var(BROKERS) else {
        println!(
            "end_to_end needs a Kafka broker: {BROKERS}=localhost:9092 cargo bench --bench end_to_end"
        );
        return;
    };
    let records = std::env::var(RECORDS).map_or(2_000_000, |text| text.parse().unwrap());
    if let Ok(topic) = std::env::var(BARE) {
        bare(&brokers, &topic, records);
        return;
    }
    let name = unique();
    fill(&brokers, &name, records);
    let runs = [
        ("bare consumer", measure_bare(&name)),
        ("trailtag run", measure_service(&brokers, &name, records)),
    ];
    println!(
        "\n{:14} {:>10} {:>8} {:>11} {:>9} {:>12}",
        "", "messages/s", "MB/s", "CPU seconds", "CPU s/GB", "peak memory"
    );
    for (name, run) in &runs {
        println!("{name:14} {run}");
    }
    let [(_, bare), (_, service)] = &runs;
    println!(
        "\nCPU of the service for each second of the bare consumer: {:.2}",
        service.cpu_per_gb() / bare.cpu_per_gb()
    );
}

/// What one run took.
struct Run {
    messages: f64,
    bytes: f64,
    seconds: f64,
    cpu: f64,
    peak_kb: f64,
}

impl Run {
    fn cpu_per_gb(&self) -> f64 {
        self.cpu / (self.bytes / 1e9)
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{:>10.0} {:>8.0} {:>11.2} {:>9.2} {:>9.0} MB",
            self.messages / self.seconds,
            self.bytes / 1e6 / self.seconds,
            self.cpu,
            self.cpu_per_gb(),
            self.peak_kb / 1024.0
        )
    }
}

fn unique() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    format!("trailtag-bench-{}", now.as_millis())
}

/// Writes the backlog, and creates the topics that the service writes to.
fn fill(brokers: &str, name: &str, records: u64) {
    println!("writing {records} records to topic {name}");
    let status = Command::new(env!("CARGO_BIN_EXE_trailtag"))
        .args(["generate", "--brokers", brokers, "--topic", name])
        .args(["--partitions", PARTITIONS, "--records"])
        .arg(records.to_string())
        .status()
        .unwrap();
    assert!(status.success(), "trailtag generate: {status}");
    let admin: AdminClient<DefaultClientContext> = client::common(&config(brokers, name))
        .unwrap()
        .create()
        .unwrap();
    let topics = [findings(name), dead_letters(name)];
    let topics: Vec<_> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, 1, TopicReplication::Fixed(-1)))
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let created = runtime
        .block_on(admin.create_topics(&topics, &AdminOptions::new()))
        .unwrap();
    for topic in created {
        topic.unwrap();
    }
}

fn findings(name: &str) -> String {
    format!("{name}.findings")
}

fn dead_letters(name: &str) -> String {
    format!("{name}.dead-letter")
}

/// The settings of both: the defaults, apart from names.
fn config(brokers: &str, topic: &str) -> Config {
    let mut config = Config::default();
    config.kafka.bootstrap_servers = brokers.split(',').map(str::to_owned).collect();
    config.kafka.topics = vec![topic.to_owned()];
    config.kafka.group_id = format!("{topic}.bare");
    config
}

/// The bare consumer: as many members as the service has workers, which poll and look at nothing but the length.
fn bare(brokers: &str, topic: &str, records: u64) {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let config = config(brokers, topic);
    let (messages, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (config, messages, bytes) = (&config, &messages, &bytes);
            scope.spawn(move || {
                let resources = WorkerResources::for_worker(config, worker, workers);
                let consumer: BaseConsumer = client::consumer(config, &resources)
                    .unwrap()
                    .create()
                    .unwrap();
                consumer.subscribe(&[topic]).unwrap();
                while messages.load(Ordering::Relaxed) < records {
                    assert!(
                        started.elapsed() < PATIENCE,
                        "the topic was not read in time"
                    );
                    if let Some(message) = consumer.poll(Duration::from_millis(100)) {
                        let length = message.unwrap().payload_len();
                        messages.fetch_add(1, Ordering::Relaxed);
                        bytes.fetch_add(length as u64, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let (cpu, peak_kb) = account("self");
    println!(
        "{} {} {seconds} {cpu} {peak_kb}",
        messages.load(Ordering::Relaxed),
        bytes.load(Ordering::Relaxed)
    );
}

fn measure_bare(topic: &str) -> Run {
    let output = Command::new(std::env::current_exe().unwrap())
        .env(BARE, topic)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the bare consumer: {}",
        output.status
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(|number| number.parse().unwrap())
        .collect();
    let [messages, bytes, seconds, cpu, peak_kb] = numbers[..] else {
        panic!("the bare consumer said: {text}");
    };
    Run {
        messages,
        bytes,
        seconds,
        cpu,
        peak_kb,
    }
}

/// Ends the service with the bench, however that ends.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "metrics are floats, and counts stay far below 2^52"
)]
fn measure_service(brokers: &str, topic: &str, records: u64) -> Run {
    let records = records as f64;
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let list: Vec<_> = brokers.split(',').collect();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trailtag.yaml");
    let text = serde_json::json!({
        "kafka": {"bootstrap_servers": list, "group_id": format!("{topic}.service"), "topics": [topic]},
        "routes": [{"name": "findings", "topic": findings(topic)}],
        "dead_letter": {"topic": dead_letters(topic)},
        "http": {"listen": format!("127.0.0.1:{port}")},
        "log": {"level": "warn"},
    });
    // JSON is YAML.
    fs::write(&file, text.to_string()).unwrap();
    let started = Instant::now();
    let mut service = Service(
        Command::new(env!("CARGO_BIN_EXE_trailtag"))
            .args(["run", "--config"])
            .arg(&file)
            .spawn()
            .unwrap(),
    );
    // Settled, so that the transactions are in the account; offsets alone follow every `commit_interval`.
    let mut seconds = None;
    loop {
        if let Some(status) = service.0.try_wait().unwrap() {
            panic!("trailtag run ended: {status}");
        }
        assert!(
            started.elapsed() < PATIENCE,
            "the topic was not read in time"
        );
        let page = metrics(port).unwrap_or_default();
        if seconds.is_none() && sum(&page, "trailtag_messages_received_total") >= records {
            seconds = Some(started.elapsed().as_secs_f64());
        }
        if let Some(seconds) = seconds
            && sum(&page, "trailtag_records_total") >= records
        {
            let (cpu, peak_kb) = account(&service.0.id().to_string());
            return Run {
                messages: sum(&page, "trailtag_messages_received_total"),
                bytes: sum(&page, "trailtag_bytes_received_total"),
                seconds,
                cpu,
                peak_kb,
            };
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn metrics(port: u16) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port))?;
    connection
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut page = String::new();
    connection.read_to_string(&mut page)?;
    Ok(page)
}

/// The sum of a metric's series.
fn sum(page: &str, metric: &str) -> f64 {
    page.lines()
        .filter(|line| line.starts_with(metric))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

/// CPU seconds so far, and the most memory in KB that was resident.
fn account(process: &str) -> (f64, f64) {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The name may hold anything, and ends with the last bracket; user and system time are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks: f64 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().unwrap())
        .sum();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|text| text.split_whitespace().next())
        .unwrap();
    (ticks / TICKS, peak.parse().unwrap())
}
