//! Alerts and dashboard on a real Prometheus that scrapes the program at work on a real broker: while all is well no alert
//! begins, each fault makes the right one begin, and every rule and query is evaluated on what the program shows.
//!
//! `for:` makes an alert pending before it fires; pending is what is waited for here. That each fires in time, and falls
//! silent, is tried on made-up series in `tests/observability/alerts_test.yaml`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use trailtag::synthetic::{Generator, Options, Shape};

use super::records::ours;
use super::reload::ADDED;
use super::support::{
    Broker, PATIENCE, Process, Settings, Trailtag, free_port, get, unique, wait_until,
};

const DASHBOARD: &str = include_str!("../../config/observability/grafana/trailtag.json");
const INPUT: &str = "cloudtrail";
const OUTPUT: &str = "findings";
const STEPS: &str = "steps";

/// A Prometheus with the alerts and recording rules of this repository.
struct Prometheus {
    process: Process,
    address: SocketAddr,
    files: TempDir,
}

impl Prometheus {
    fn start() -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let files = tempfile::tempdir().unwrap();
        let rules =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("config/observability/prometheus/*.yaml");
        let config = json!({
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [rules],
            "scrape_configs": [{
                "job_name": "trailtag",
                "file_sd_configs": [{"files": [files.path().join("targets.json")], "refresh_interval": "1s"}],
            }],
        });
        std::fs::write(files.path().join("prometheus.yml"), config.to_string()).unwrap();
        let option = |name: &str, value: String| format!("--{name}={value}");
        let mut command = Command::new("prometheus");
        command.args([
            option(
                "config.file",
                files.path().join("prometheus.yml").display().to_string(),
            ),
            option(
                "storage.tsdb.path",
                files.path().join("data").display().to_string(),
            ),
            option("web.listen-address", address.to_string()),
        ]);
        Self {
            process: Process::start(command),
            address,
            files,
        }
    }

    /// These and no others are scraped from now on.
    fn scrape(&self, programs: &[&Trailtag]) {
        let addresses: Vec<_> = programs.iter().map(|it| it.address().to_string()).collect();
        let aside = self.files.path().join("aside");
        std::fs::write(&aside, json!([{"targets": addresses}]).to_string()).unwrap();
        std::fs::rename(aside, self.files.path().join("targets.json")).unwrap();
    }

    /// The data of an answer, or what is wrong with the question.
    fn ask(&self, path: &str) -> Result<Value, String> {
        let (_, body) = get(self.address, &format!("/api/v1/{path}"))
            .map_err(|error| format!("{error}; Prometheus says:\n{}", self.process.log()))?;
        let mut answer: Value =
            serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        if answer["status"] == "success" {
            Ok(answer["data"].take())
        } else {
            Err(answer["error"].to_string())
        }
    }

    /// How many series a query gives.
    fn query(&self, query: &str) -> Result<usize, String> {
        let encoded = query
            .bytes()
            .fold(String::new(), |text, byte| text + &format!("%{byte:02x}"));
        let data = self.ask(&format!("query?query={encoded}"))?;
        Ok(data["result"].as_array().map_or(0, Vec::len))
    }

    fn rules(&self) -> Result<Vec<Value>, String> {
        let data = self.ask("rules")?;
        let groups = data["groups"].as_array().ok_or("no groups")?;
        let rules = groups.iter().filter_map(|group| group["rules"].as_array());
        Ok(rules.flatten().cloned().collect())
    }

    /// The alerts that are pending or fire.
    fn alerts(&self) -> Result<BTreeSet<String>, String> {
        let data = self.ask("alerts")?;
        let alerts = data["alerts"].as_array().ok_or("no alerts")?;
        let names = alerts
            .iter()
            .filter_map(|alert| alert["labels"]["alertname"].as_str());
        Ok(names
            .map(|name| name.trim_start_matches("Trailtag").to_owned())
            .collect())
    }

    /// Waits until the alerts that began are all of `wanted`, and none that is neither wanted nor `natural`.
    fn wait_alerts(&self, after: &str, wanted: &[&str], natural: &[&str]) {
        wait_until(PATIENCE, &format!("{wanted:?} have begun {after}"), || {
            let begun = self.alerts()?;
            let all = wanted.iter().all(|name| begun.contains(*name));
            let only = begun
                .iter()
                .all(|name| wanted.contains(&&**name) || natural.contains(&&**name));
            if all && only {
                Ok(())
            } else {
                Err(format!("{begun:?}"))
            }
        });
    }
}

/// Ordinary traffic: synthetic CloudTrail, and now and then a finding of this minute that nobody is woken for.
struct Traffic {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Traffic {
    fn start(broker: &Arc<Broker>) -> Self {
        let (broker, stop) = (Arc::clone(broker), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let finding = of_this_minute(&ours(1));
            for turn in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    break;
                }
                let mut payloads = synthetic(turn, 5, 0.0);
                if turn % 5 < 2 {
                    payloads.push(finding.clone());
                }
                // Findings come in both partitions: a process that forwards nothing does not notice that it was fenced.
                let partition = i32::from(turn % 5 == 1);
                let payloads = payloads.into_iter().map(|payload| (partition, payload));
                broker.produce_many(INPUT, payloads);
                // A pace, not a wait: the rest of this test looks at what comes of it.
                std::thread::sleep(Duration::from_millis(100));
            }
        });
        Self {
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Records of the generator: of other events, but for the fraction `match_rate`. Those are months old.
fn synthetic(seed: u64, count: usize, match_rate: f64) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(&Options {
        seed,
        match_rate,
        shape: Shape::Record,
    });
    let mut next = || {
        let mut payload = Vec::new();
        generator.write(1, &mut payload);
        payload
    };
    (0..count).map(|_| next()).collect()
}

fn of_this_minute(record: &[u8]) -> Vec<u8> {
    let clock = Command::new("date")
        .args(["-u", "+%Y-%m-%dT%H:%M:%SZ"])
        .output()
        .unwrap();
    let mut record: Value = serde_json::from_slice(record).unwrap();
    record["eventTime"] = String::from_utf8(clock.stdout).unwrap().trim().into();
    record.to_string().into_bytes()
}

/// By the root user, without a word about MFA: critical.
fn critical() -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(&of_this_minute(&ours(2))).unwrap();
    record["userIdentity"] = json!({
        "type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333",
    });
    record.to_string().into_bytes()
}

/// Another role into the profile of [`ours`].
fn addition() -> Vec<u8> {
    let mut record: Value = serde_json::from_slice(&of_this_minute(&ours(3))).unwrap();
    record["eventName"] = "AddRoleToInstanceProfile".into();
    record["eventID"] = "e-addition".into();
    record["requestParameters"]["roleName"] = "batch".into();
    record.to_string().into_bytes()
}

/// Prometheus' own opinion of names, units and help texts.
fn lint(scrape: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool did not start ({error}); install it with: bash tests/components/packages.sh test"));
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(scrape.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(
        output.status.success() && said.is_empty(),
        "{}",
        String::from_utf8_lossy(&said)
    );
}

/// Every rule is evaluated without an error, and every panel of the dashboard has data.
fn evaluate(prometheus: &Prometheus) {
    let mut faults = Vec::new();
    let rules = prometheus.rules().unwrap();
    assert!(rules.len() > 20, "{rules:?}");
    for rule in rules {
        if rule["health"] != "ok" {
            faults.push(format!("{}: {}", rule["name"], rule["lastError"]));
        }
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        let mut series = 0;
        for target in panel["targets"].as_array().unwrap() {
            // What Grafana puts in for its variables, over all of this test's time.
            let query = target["expr"].as_str().unwrap();
            let query = query
                .replace("$__rate_interval", "10m")
                .replace("$__interval", "10m")
                .replace("$__range", "10m")
                .replace("$job", "trailtag");
            match prometheus.query(&query) {
                Ok(found) => series += found,
                Err(error) => faults.push(format!("{}: {error} in {query}", panel["title"])),
            }
        }
        if series == 0 {
            faults.push(format!("{}: no data", panel["title"]));
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

/// A wrong file of rules is said for as long as it is there, and no longer.
fn refuse_a_file(prometheus: &Prometheus, trailtag: &mut Trailtag, rules: &Path, begun: &[&str]) {
    std::fs::write(rules.join("bad.yml"), "title: no id\n").unwrap();
    trailtag.signal("HUP");
    let more = [begun, &["ReloadRejected"]].concat();
    prometheus.wait_alerts("with a wrong file", &more, &[]);
    std::fs::remove_file(rules.join("bad.yml")).unwrap();
    trailtag.signal("HUP");
    prometheus.wait_alerts("once it is mended", begun, &[]);
}

/// The topic of the findings is gone, and a backlog grows; then it is there again.
fn lose_the_output(prometheus: &Prometheus, broker: &Broker, begun: &[&str]) {
    // Each try is an aborted transaction, after which steps are read again.
    let natural = ["TransactionAborts", "SequencesRebuilding"];
    broker.delete_topic(OUTPUT);
    let stopped = [begun, &["PartitionStopped", "DeliveryFailing"]].concat();
    prometheus.wait_alerts("without the topic of the findings", &stopped, &natural);
    broker.produce_many(
        INPUT,
        synthetic(1, 50_000, 0.0)
            .into_iter()
            .map(|payload| (1, payload)),
    );
    broker.produce_many(
        INPUT,
        synthetic(1, 50_000, 0.0)
            .into_iter()
            .map(|payload| (0, payload)),
    );
    let behind = [&stopped[..], &["LagRising"]].concat();
    prometheus.wait_alerts("with a backlog that grows", &behind, &natural);
    broker.create_topic(OUTPUT, 1, &[]);
    let after = [begun, &["DeliveryFailing"]].concat();
    prometheus.wait_alerts("once the topic is there", &after, &natural);
}

/// Makes the topics, and settings for the program that reads and writes them.
fn prepare(broker: &Broker, rules: &Path) -> Settings {
    broker.create_topic(INPUT, 2, &[]);
    broker.create_topic(OUTPUT, 1, &[]);
    broker.create_topic("dead", 1, &[]);
    broker.create_topic(STEPS, 2, &[]);
    Settings::new(broker, &unique("group"), INPUT, OUTPUT, "dead")
        .set("/detection", json!({"rules": [rules]}))
        .set("/delivery/commit_interval", "200ms")
        .set("/sequences/topic", STEPS)
        // A topic that is gone is believed to be gone sooner.
        .set(
            "/kafka/producer",
            json!({"topic.metadata.propagation.max.ms": "1000", "topic.metadata.refresh.interval.ms": "1000"}),
        )
}

#[test]
fn each_fault_makes_the_right_alert_begin() {
    let broker = Arc::new(Broker::start());
    let rules = tempfile::tempdir().unwrap();
    std::fs::write(rules.path().join("good.yml"), ADDED).unwrap();
    let settings = prepare(&broker, rules.path());
    let mut trailtag = Trailtag::start(&settings);
    let prometheus = Prometheus::start();
    prometheus.scrape(&[&trailtag]);
    let traffic = Traffic::start(&broker);
    trailtag.wait_ready();
    wait_until(
        PATIENCE,
        "findings and lag are scraped, and every rule is evaluated",
        || {
            let rules = prometheus.rules()?;
            let waiting = rules
                .iter()
                .filter(|rule| rule["health"] == "unknown")
                .count();
            let findings = prometheus.query(
                "sum(rate(trailtag_findings_total[1m])) > 0 and sum(trailtag_consumer_lag) >= 0",
            )?;
            if findings > 0 && waiting == 0 && !rules.is_empty() {
                Ok(())
            } else {
                Err(format!("{waiting} rules wait, {findings} findings"))
            }
        },
    );
    // What is pending before the group is joined is over.
    prometheus.wait_alerts("while all is well", &[], &[]);
    lint(&trailtag.http("/metrics").1);

    broker.produce(INPUT, 0, None, b"not CloudTrail", &[]);
    prometheus.wait_alerts("after poison", &["DeadLetters"], &[]);
    broker.produce(INPUT, 0, None, &critical(), &[]);
    let begun = ["DeadLetters", "CriticalFinding"];
    prometheus.wait_alerts("after a critical finding", &begun, &[]);
    broker.produce(INPUT, 1, None, &of_this_minute(&ours(3)), &[]);
    broker.produce(INPUT, 0, None, &addition(), &[]);
    let begun = ["DeadLetters", "CriticalFinding", "RoleSwap"];
    prometheus.wait_alerts("after a swap", &begun, &[]);
    refuse_a_file(&prometheus, &mut trailtag, rules.path(), &begun);
    broker.produce_many(
        INPUT,
        synthetic(1, 300, 1.0)
            .into_iter()
            .map(|payload| (0, payload)),
    );
    let begun = [&begun[..], &["FindingsLate"]].concat();
    prometheus.wait_alerts("after old data", &begun, &[]);
    lose_the_output(&prometheus, &broker, &begun);

    // A second process that thinks it is the first: they take the id and the partitions from each other.
    let mut begun = [&begun[..], &["DeliveryFailing", "WorkerRestarts"]].concat();
    let mut twin = Trailtag::start(&settings);
    prometheus.scrape(&[&trailtag, &twin]);
    let natural = [
        "TransactionAborts",
        "BrokersAway",
        "NoMembers",
        "SequencesRebuilding",
    ];
    prometheus.wait_alerts("with a twin", &begun, &natural);
    twin.kill9();
    prometheus.scrape(&[&trailtag]);
    trailtag.wait_ready();
    let natural = ["TransactionAborts", "SequencesRebuilding"];
    prometheus.wait_alerts("without the twin", &begun, &natural);
    evaluate(&prometheus);

    drop(traffic);
    // A commit is on its way when the broker goes, as near as can be, and the loop turns all the same.
    broker.produce_many(
        INPUT,
        synthetic(2, 5_000, 0.0)
            .into_iter()
            .map(|payload| (0, payload)),
    );
    let port = broker
        .bootstrap()
        .rsplit(':')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    drop(broker);
    begun.extend(["TransactionAborts", "NoMembers", "SequencesRebuilding"]);
    prometheus.wait_alerts("without a broker", &["BrokersAway"], &begun);
    assert_eq!(trailtag.http("/livez").0, 200);
    let _another = Broker::start_on(Some(port));
    // That its topics are missing, and whatever was in flight for them, is another matter.
    wait_until(PATIENCE, "the alert ends when a broker is there", || {
        let begun = prometheus.alerts()?;
        if begun.contains("BrokersAway") {
            Err(format!("{begun:?}; its log:\n{}", trailtag.log()))
        } else {
            Ok(())
        }
    });
    trailtag.kill9();
    begun.push("PartitionStopped");
    prometheus.wait_alerts("without a process", &["Absent"], &begun);
}
