//! One row, from its topics to what came of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::admin::{NewTopic, TopicReplication};
use serde_json::json;

use super::access;
use super::campaign::{Access, Guarantee, Members, Row};
use super::check::{Evidence, Source, Verdict, judge, required};
use super::cluster::{Cluster, committed};
use super::load::Load;
use super::members::Member;
use super::progress::Progress;
use super::support::topics::{block_on, options};
use super::support::{Broker, Message, Settings, unique, wait_until};
use super::watch::Seen;

/// How long everything may take to be settled after a fault: longer than the longest time-out of a client or a broker,
/// one after another, on a machine that builds and tests at the same time.
const RECOVERY: Duration = Duration::from_mins(3);
/// How long it works before anything happens to it.
const BEFORE: usize = 100;
const OUTPUTS: usize = 2;

/// What a row prints.
pub(crate) struct Report {
    pub(crate) verdict: Verdict,
    pub(crate) recovery: Duration,
    pub(crate) memory: u64,
    /// In hundredths of a second.
    pub(crate) processor: u64,
}

/// A row while it runs.
pub(crate) struct Run<'a> {
    pub(crate) cluster: &'a mut Cluster,
    pub(crate) row: &'a Row,
    guarantee: Guarantee,
    pub(crate) group: String,
    pub(crate) input: String,
    pub(crate) output: String,
    pub(crate) dead_letters: String,
    /// Who the processes are, where brokers want to know.
    pub(crate) password: String,
    pub(crate) files: tempfile::TempDir,
    pub(crate) members: Vec<Member>,
    pub(crate) load: Load,
    /// Of the input, by now.
    pub(crate) partitions: usize,
    seen: Arc<Mutex<Seen>>,
    pub(crate) broken: Vec<String>,
}

/// Runs a row to its end, and gives what came of it.
pub(crate) fn run(cluster: &mut Cluster, row: &Row, guarantee: Guarantee) -> Report {
    let mut run = Run::begin(cluster, row, guarantee);
    run.at_work();
    for step in &row.steps {
        run.step(step);
    }
    let end = Instant::now();
    let progress = run.recovered();
    let recovery = end.elapsed();
    run.end(progress, recovery)
}

impl<'a> Run<'a> {
    fn begin(cluster: &'a mut Cluster, row: &'a Row, guarantee: Guarantee) -> Self {
        let broker = cluster.broker();
        let input = unique("in");
        create_input(&broker, row, &input);
        let outputs = i32::try_from(OUTPUTS).unwrap();
        let output = broker.topic("out", outputs);
        let dead_letters = broker.topic("dead", 1);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let load = Load::start(cluster.broker(), &input, row.partitions, row.load);
        let files = tempfile::tempdir().unwrap();
        let mut run = Self {
            group: unique("group"),
            password: unique("password"),
            files,
            members: Vec::new(),
            load,
            partitions: row.partitions,
            seen,
            broken: Vec::new(),
            cluster,
            row,
            guarantee,
            input,
            output,
            dead_letters,
        };
        run.write_rules(false);
        if row.access == Access::Secure {
            access::create(&run);
        }
        for place in 0..row.processes {
            run.add_member(place, place);
        }
        for member in &mut run.members {
            member.wait_ready();
        }
        run
    }

    /// One more process, with the ids of this or of another place, which is started.
    pub(crate) fn add_member(&mut self, place: usize, ids: usize) {
        let settings = self.settings(ids);
        let name = format!("{}-process-{place}", self.group);
        let mut member = Member::new(&name, settings, &self.seen);
        member.start();
        self.members.push(member);
    }

    /// What the transactional ids of a process begin with.
    pub(crate) fn prefix(&self, place: usize) -> String {
        format!("{}-t-{place}", self.group)
    }

    fn settings(&self, place: usize) -> Settings {
        let broker = self.cluster.broker();
        let mut settings = Settings::new(
            &broker,
            &self.group,
            &self.input,
            &self.output,
            &self.dead_letters,
        )
        .set("/kafka/bootstrap_servers", self.bootstrap())
        .set("/workers", self.row.workers)
        .set("/delivery/guarantee", self.guarantee.as_str())
        .set("/delivery/transactional_id_prefix", self.prefix(place))
        .set("/delivery/commit_interval", "500ms")
        .set(
            "/kafka/consumer",
            json!({"session.timeout.ms": "6000", "auto.offset.reset": "earliest"}),
        )
        .set(
            "/detection",
            json!({"rules": [self.files.path().join("rules")]}),
        )
        // Findings are counted here, not read.
        .set("/remediation", json!({"detail": "ids"}));
        if self.row.members == Members::Dynamic {
            settings = settings.set("/kafka/consumer/group.instance.id", "");
        }
        if self.row.access == Access::Secure {
            settings = settings.set("/kafka/security", access::login(self));
        }
        for (pointer, value) in &self.row.settings {
            settings = settings.set(pointer, value.clone());
        }
        settings
    }

    fn bootstrap(&self) -> Vec<String> {
        match self.row.access {
            Access::Direct => self.cluster.plain(),
            Access::Proxied => self.cluster.proxies.listening("plain"),
            Access::Secure => self.cluster.proxies.listening("secure"),
        }
    }

    /// Waits until it forwards.
    fn at_work(&mut self) {
        let mut progress = self.progress();
        let what = format!("{BEFORE} documents came out before the fault");
        wait_until(RECOVERY, &what, || {
            progress.missing(self.cluster, std::iter::empty())?;
            if progress.count() >= BEFORE {
                Ok(())
            } else {
                Err(format!("{}; {}", progress.count(), self.states()))
            }
        });
    }

    fn progress(&self) -> Progress {
        Progress::new(&[(&self.output, OUTPUTS), (&self.dead_letters, 1)])
    }

    pub(crate) fn states(&self) -> String {
        let states: Vec<String> = self.members.iter().map(Member::state).collect();
        states.join("; ")
    }

    /// Waits until all that is in the input now, at the end of the fault, has come out.
    fn recovered(&mut self) -> Progress {
        let mut progress = self.progress();
        let log = self.read_input();
        self.come_out(&mut progress, &log, RECOVERY);
        progress
    }

    /// Waits until all of this has come out. What does not is for the verdict to name.
    fn come_out(&mut self, progress: &mut Progress, log: &[Message], within: Duration) {
        let required: BTreeMap<Source, _> = required(log);
        let start = Instant::now();
        loop {
            match progress.missing(self.cluster, required.keys()) {
                Ok(()) => return,
                Err(seen) if start.elapsed() > within => {
                    let states = self.states();
                    self.broken.push(format!("in {within:?} {seen}; {states}"));
                    return;
                }
                Err(_) => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// Waits until all that is in the input now has come out, while the fault lasts.
    pub(crate) fn settle(&mut self, within: Duration) {
        let mut progress = self.progress();
        let log = self.read_input();
        self.come_out(&mut progress, &log, within);
    }

    fn read_input(&self) -> Vec<Message> {
        wait_until(RECOVERY, "the input can be read", || {
            self.cluster
                .broker()
                .try_read(&self.input, "read_uncommitted")
        })
    }

    /// Stops the stream, waits until all of it is settled, ends the processes, and reads what they leave behind.
    fn end(mut self, mut progress: Progress, recovery: Duration) -> Report {
        self.load.pause();
        let log = self.read_input();
        if self.broken.is_empty() {
            self.come_out(&mut progress, &log, RECOVERY);
            self.wait_committed();
        }
        for place in 0..self.members.len() {
            let ended = self.members[place].ended_by_itself();
            self.broken.extend(ended);
            match self.members[place].stop(Duration::from_secs(40)) {
                Ok(0) => {}
                Ok(code) => self
                    .broken
                    .push(format!("process {place} ended with {code}")),
                Err(error) => self.broken.push(error),
            }
        }
        self.cluster.heal();
        let log = self.read_input();
        let broker = self.cluster.broker();
        let read = |topic: &str| {
            broker.wait_settled(topic);
            broker.read_committed(topic)
        };
        let (output, dead_letters) = (read(&self.output), read(&self.dead_letters));
        let mut verdict = judge(&Evidence {
            guarantee: self.guarantee,
            log_loses: self.row.log_loses,
            too_large: self.row.too_large,
            sent: self.load.sent(),
            acknowledged: &self.load.acknowledged(),
            log: &log,
            output: &output,
            dead_letters: &dead_letters,
        });
        verdict.broken.append(&mut self.broken);
        let mut seen = self.seen.lock().unwrap();
        verdict.broken.append(&mut seen.broken);
        if seen.scrapes == 0 {
            verdict.broken.push("no metrics were seen".into());
        }
        let (memory, processor) = (seen.memory, seen.processor);
        drop(seen);
        for topic in [&self.input, &self.output, &self.dead_letters] {
            broker.delete_topic(topic);
        }
        Report {
            verdict,
            recovery,
            memory,
            processor,
        }
    }

    /// Waits until the group has nothing left to do.
    fn wait_committed(&mut self) {
        let start = Instant::now();
        loop {
            let broker = self.cluster.broker();
            let left =
                committed(&broker, &self.group, &self.input, self.partitions).map(|offsets| {
                    offsets
                        .iter()
                        .enumerate()
                        .filter_map(|(partition, offset)| {
                            let end =
                                broker.end_offset(&self.input, i32::try_from(partition).unwrap());
                            (offset.unwrap_or_default() != end).then(|| {
                                format!(
                                    "partition {partition} is committed up to {offset:?} of {end}"
                                )
                            })
                        })
                        .collect::<Vec<_>>()
                });
            match left {
                Ok(left) if left.is_empty() => return,
                seen if start.elapsed() > RECOVERY => {
                    let states = self.states();
                    self.broken
                        .push(format!("not all is committed: {seen:?}; {states}"));
                    return;
                }
                _ => std::thread::sleep(Duration::from_millis(300)),
            }
        }
    }

    /// A rule that finds nothing, and beside it one that is none.
    pub(crate) fn write_rules(&self, broken: bool) {
        let folder = self.files.path().join("rules");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("good.yml"), RULE).unwrap();
        let bad = folder.join("bad.yml");
        if broken {
            std::fs::write(bad, "title: no rule\n").unwrap();
        } else {
            let _ = std::fs::remove_file(bad);
        }
    }
}

const RULE: &str = "title: Role put into an instance profile
id: 0d2f6a52-6a0a-4ad1-8f0f-3a7a0c6a9b11
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventSource: iam.amazonaws.com, eventName: NoSuchEvent}
  condition: selection
level: medium
";

/// Makes the input, with its copies where the row says they are.
pub(crate) fn create_input(broker: &Broker, row: &Row, topic: &str) {
    let settings: Vec<(&str, &str)> = row
        .input
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    let partitions = i32::try_from(row.partitions).unwrap();
    if row.copies.is_empty() {
        return broker.create_topic(topic, partitions, &settings);
    }
    let copies: Vec<&[i32]> = vec![&row.copies; row.partitions];
    let mut new = NewTopic::new(topic, partitions, TopicReplication::Variable(&copies));
    for (key, value) in settings {
        new = new.set(key, value);
    }
    let created = block_on(broker.admin.create_topics([&new], &options()));
    created.unwrap().remove(0).unwrap();
    wait_until(Duration::from_mins(1), "the input has its leaders", || {
        let leaders = broker.leaders(topic)?;
        if leaders.len() == row.partitions && leaders.iter().all(|leader| *leader > 0) {
            Ok(())
        } else {
            Err(format!("{leaders:?}"))
        }
    });
}
