//! What the brokers must permit, what `check --connect` says when they do not, and how `run` bears it.

use std::fs;
use std::process::Output;
use std::time::Duration;

use serde_json::json;

use super::records::{differences, other, ours};
use super::support::{
    Broker, PATIENCE, Resource, SecureBroker, Settings, Trailtag, free_port, unique, wait_until,
};

/// Runs `trailtag check --connect`: its exit code, its standard output, the lines of its standard error.
fn check(settings: &Settings) -> (i32, String, Vec<String>) {
    let files = tempfile::tempdir().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = Trailtag::command()
        .args(["check", "--connect", "--config"])
        .arg(settings.write(files.path()))
        .output()
        .unwrap();
    let lines = String::from_utf8(stderr).unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        lines.lines().map(str::to_owned).collect(),
    )
}

/// The check finds these faults, one a line, and no other: each is named by what its line contains.
fn assert_faults(settings: &Settings, faults: &[&[&str]]) {
    let (code, output, lines) = check(settings);
    assert_eq!((code, output.as_str()), (64, ""), "{lines:#?}");
    assert_eq!(lines.len(), faults.len(), "{lines:#?}");
    for fault in faults {
        assert!(
            lines
                .iter()
                .any(|line| fault.iter().all(|part| line.contains(part))),
            "no line with {fault:?} in {lines:#?}"
        );
    }
}

fn assert_fine(settings: &Settings) {
    let (code, output, lines) = check(settings);
    assert_eq!(code, 0, "{lines:#?}");
    assert!(lines.is_empty(), "{lines:#?}");
    assert!(output.ends_with("ok, and the brokers agree\n"), "{output}");
}

/// Topics on the secure broker, and a user who may do nothing yet.
struct Guest {
    broker: &'static SecureBroker,
    user: String,
    password: String,
    group: String,
    input: String,
    output: String,
    dead_letters: String,
}

impl Guest {
    fn new() -> Self {
        let broker = SecureBroker::shared();
        let guest = Self {
            broker,
            user: unique("user"),
            password: unique("secret"),
            group: unique("group"),
            input: broker.admin().topic("in", 1),
            output: broker.admin().topic("out", 1),
            dead_letters: broker.admin().topic("dead", 1),
        };
        broker.create_user(&guest.user, &guest.password);
        guest
    }

    fn grant(&self, operations: &[&str], resource: Resource<'_>) {
        self.broker.grant(&self.user, operations, resource);
    }

    /// Exactly what docs/security.md lists, but for the size limits.
    fn grant_all(&self, guarantee: &str) {
        self.grant(&["Read", "Describe"], Resource::Topic(&self.input));
        self.grant(&["Read"], Resource::Group(&self.group));
        for topic in [&self.output, &self.dead_letters] {
            self.grant(&["Write", "Describe"], Resource::Topic(topic));
        }
        if guarantee == "exactly_once" {
            let ids = format!("{}-t-*", self.group);
            self.grant(&["Write", "Describe"], Resource::TransactionalId(&ids));
        }
    }

    fn grant_limits(&self) {
        for topic in [&self.output, &self.dead_letters] {
            self.grant(&["DescribeConfigs"], Resource::Topic(topic));
        }
    }

    fn settings(&self, guarantee: &str) -> Settings {
        Settings::new(
            self.broker.admin(),
            &self.group,
            &self.input,
            &self.output,
            &self.dead_letters,
        )
        .login(self.broker, &self.user, &self.password)
        .set("/delivery/guarantee", guarantee)
        .set("/delivery/linger", "20ms")
        .set("/delivery/commit_interval", "200ms")
    }

    fn produce(&self, numbers: std::ops::Range<usize>) {
        let messages = numbers.map(|number| (0, ours(number)));
        self.broker.admin().produce_many(&self.input, messages);
    }

    fn wait_committed(&self, trailtag: &Trailtag, offset: i64) {
        let admin = self.broker.admin();
        wait_until(
            PATIENCE,
            &format!("{offset} is committed"),
            || match admin.committed_offset(&self.group, &self.input, 0) {
                Some(seen) if seen == offset => Ok(()),
                seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
            },
        );
        admin.wait_settled(&self.output);
    }

    fn assert_each_once(&self, numbers: std::ops::Range<usize>) {
        let messages = self.broker.admin().read_committed(&self.output);
        if let Some(differences) = differences(&messages, numbers) {
            panic!("{differences}");
        }
    }
}

#[test]
fn check_asks_and_writes_nothing() {
    let broker = Broker::shared();
    let topics = ["in", "out", "dead"].map(|name| broker.topic(name, 1));
    let [input, output, dead_letters] = &topics;
    let settings = Settings::new(broker, &unique("group"), input, output, dead_letters);
    assert_fine(&settings);
    for topic in &topics {
        assert_eq!(broker.end_offset(topic, 0), 0, "{topic}");
    }
}

#[test]
fn check_says_that_no_broker_answers() {
    let address = format!("127.0.0.1:{}", free_port());
    let settings = Settings::new(Broker::shared(), "group", "in", "out", "dead")
        .set("/kafka/bootstrap_servers", json!([address]));
    assert_faults(
        &settings,
        &[&[
            "kafka.bootstrap_servers: ",
            &address,
            "Connection refused",
            "check the addresses",
        ]],
    );
}

#[test]
fn check_names_every_topic_that_is_missing() {
    let (input, output, dead_letters) = (unique("in"), unique("out"), unique("dead"));
    let settings = Settings::new(
        Broker::shared(),
        &unique("group"),
        &input,
        &output,
        &dead_letters,
    );
    let fault = |key, topic| [key, topic, "does not exist", "create it"];
    assert_faults(
        &settings,
        &[
            &fault("kafka.topics[0]: ", &input),
            &fault("routes[0].topic: ", &output),
            &fault("dead_letter.topic: ", &dead_letters),
        ],
    );
}

#[test]
fn check_says_which_login_failed_and_shows_no_password() {
    let guest = Guest::new();
    let wrong = unique("wrong");
    let settings = guest
        .settings("exactly_once")
        .set("/kafka/security/sasl/password", wrong.as_str());
    assert_faults(
        &settings,
        &[&[
            "kafka.security.sasl: ",
            "uthentication",
            &guest.user,
            "correct",
        ]],
    );
    let (_, _, lines) = check(&settings);
    assert!(!lines.concat().contains(&wrong), "{lines:#?}");

    // A broker that speaks TLS, and a client that does not trust it, or does not know.
    let plain = guest
        .settings("exactly_once")
        .set("/kafka/security", json!({"protocol": "plaintext"}));
    assert_faults(
        &plain,
        &[&["kafka.bootstrap_servers: ", "security.protocol"]],
    );
    let untrusting = guest
        .settings("exactly_once")
        .set("/kafka/security/tls", json!({}));
    assert_faults(&untrusting, &[&["kafka.security.tls: ", "ca_file"]]);
}

/// Each permission is missed by name, and no longer once it is granted.
fn check_names_what_to_grant(guarantee: &str) {
    let guest = Guest::new();
    let settings = guest.settings(guarantee);
    let exactly_once = guarantee == "exactly_once";

    let input = &["kafka.topics[0]: ", &guest.input, "DESCRIBE and READ"][..];
    let output = &["routes[0].topic: ", &guest.output, "DESCRIBE and WRITE"][..];
    let dead = &["dead_letter.topic: ", &guest.dead_letters, "WRITE"][..];
    let group = &["kafka.group_id: ", &guest.group, "grant this user READ"][..];
    let ids = &[
        "delivery.transactional_id_prefix: ",
        &guest.group,
        "WRITE and DESCRIBE",
    ][..];
    let mut faults = vec![input, output, dead, group];
    if exactly_once {
        faults.push(ids);
    }
    assert_faults(&settings, &faults);

    // To see is not to do.
    for topic in [&guest.input, &guest.output, &guest.dead_letters] {
        guest.grant(&["Describe"], Resource::Topic(topic));
    }
    guest.grant(&["Describe"], Resource::Group(&guest.group));
    faults[0] = &["kafka.topics[0]: ", "no permission to read", "READ"];
    faults[1] = &["routes[0].topic: ", "no permission to write", "WRITE"];
    assert_faults(&settings, &faults);

    guest.grant(&["Read"], Resource::Topic(&guest.input));
    assert_faults(&settings, &faults[1..]);
    guest.grant(&["Write"], Resource::Topic(&guest.output));
    assert_faults(&settings, &faults[2..]);
    guest.grant(&["Write"], Resource::Topic(&guest.dead_letters));
    assert_faults(&settings, &faults[3..]);
    guest.grant(&["Read"], Resource::Group(&guest.group));
    if exactly_once {
        assert_faults(&settings, &[ids]);
        let prefix = format!("{}-t-*", guest.group);
        guest.grant(&["Write", "Describe"], Resource::TransactionalId(&prefix));
    }
    assert_fine(&settings);
    for topic in [&guest.input, &guest.output, &guest.dead_letters] {
        assert_eq!(guest.broker.admin().end_offset(topic, 0), 0, "{topic}");
    }
}

#[test]
fn check_names_what_to_grant_exactly_once() {
    check_names_what_to_grant("exactly_once");
}

#[test]
fn check_names_what_to_grant_at_least_once() {
    check_names_what_to_grant("at_least_once");
}

/// The topic of steps is written and read.
#[test]
fn check_names_what_to_grant_for_sequences() {
    let guest = Guest::new();
    guest.grant_all("exactly_once");
    let steps = guest.broker.admin().topic("steps", 1);
    let settings = guest
        .settings("exactly_once")
        .set("/sequences/topic", steps.as_str());
    let key = "sequences.topic: ";
    assert_faults(&settings, &[&[key, &steps, "DESCRIBE and WRITE"]]);
    guest.grant(&["Describe"], Resource::Topic(&steps));
    assert_faults(&settings, &[&[key, "no permission to write", "WRITE"]]);
    guest.grant(&["Write"], Resource::Topic(&steps));
    assert_faults(&settings, &[&[key, "no permission to read", "READ"]]);
    guest.grant(&["Read"], Resource::Topic(&steps));
    assert_fine(&settings);
    assert_eq!(guest.broker.admin().end_offset(&steps, 0), 0);
}

#[test]
fn check_says_what_the_topic_of_steps_lacks_and_what_to_set() {
    let broker = Broker::shared();
    let [input, output, dead_letters] = ["in", "out", "dead"].map(|name| broker.topic(name, 1));
    let large = [("max.message.bytes", "2000000")];
    for topic in [&input, &output, &dead_letters] {
        broker.alter_topic(topic, &large);
    }
    let steps = unique("steps");
    let group = unique("group");
    let settings = Settings::new(broker, &group, &input, &output, &dead_letters)
        .set("/sequences/topic", steps.as_str());
    assert_faults(
        &settings,
        &[&["sequences.topic: ", &steps, "does not exist"]],
    );

    broker.create_topic(
        &steps,
        1,
        &[
            ("cleanup.policy", "compact"),
            ("retention.ms", "60000"),
            ("max.message.bytes", "500000"),
        ],
    );
    let notes = || {
        let (code, output, lines) = check(&settings);
        assert_eq!(code, 0, "{lines:#?}");
        let notes = output
            .lines()
            .filter(|line| line.contains("sequences.topic: "));
        notes.map(str::to_owned).collect::<Vec<_>>()
    };
    let said = notes();
    assert_eq!(said.len(), 3, "{said:#?}");
    let mut wanted = Vec::new();
    for (note, name) in said
        .iter()
        .zip(["cleanup.policy", "retention.ms", "max.message.bytes"])
    {
        let (_, setting) = note.rsplit_once(" --add-config ").unwrap();
        let (key, value) = setting.split_once('=').unwrap();
        assert_eq!(key, name, "{note}");
        wanted.push((key, value));
    }
    // What it says is enough.
    broker.alter_topic(&steps, &wanted);
    wait_until(PATIENCE, "the broker has taken it", || {
        let said = notes();
        if said.is_empty() {
            Ok(())
        } else {
            Err(format!("{said:#?}"))
        }
    });
}

#[test]
fn the_documented_permissions_are_enough() {
    let guest = Guest::new();
    guest.grant_all("exactly_once");
    guest.grant_limits();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), format!("{}\n", guest.password)).unwrap();
    let settings = guest
        .settings("exactly_once")
        .set("/kafka/security/sasl/password", "")
        .set(
            "/kafka/security/sasl/password_file",
            file.path().to_str().unwrap(),
        )
        .set("/log", json!({"level": "debug"}));
    let (code, output, lines) = check(&settings);
    assert_eq!(code, 0, "{lines:#?}");
    assert!(!output.contains(&guest.password), "{output}");

    guest.produce(0..100);
    let mut trailtag = Trailtag::start(&settings);
    guest.wait_committed(&trailtag, 100);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    guest.assert_each_once(0..100);
    let log = trailtag.log();
    assert!(!log.contains(&guest.password), "the password is logged");
    assert!(!log.contains("DESCRIBE_CONFIGS"), "{log}");
}

#[test]
fn without_the_size_limits_it_warns_and_works() {
    let guest = Guest::new();
    guest.grant_all("at_least_once");
    assert_fine(&guest.settings("at_least_once"));
    guest.produce(0..10);
    let mut trailtag = Trailtag::start(&guest.settings("at_least_once"));
    guest.wait_committed(&trailtag, 10);
    guest.assert_each_once(0..10);
    let log = trailtag.log();
    assert!(
        log.contains("size limit is unknown") && log.contains("DESCRIBE_CONFIGS"),
        "{log}"
    );
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

/// A permission that is lost stops the work loudly, and loses nothing.
fn a_lost_permission_is_waited_for(guarantee: &str) {
    let guest = Guest::new();
    guest.grant_all(guarantee);
    guest.grant_limits();
    guest.produce(0..10);
    let mut trailtag = Trailtag::start(&guest.settings(guarantee));
    guest.wait_committed(&trailtag, 10);

    guest
        .broker
        .revoke(&guest.user, &["Write"], Resource::Topic(&guest.output));
    guest.produce(10..20);
    wait_until(PATIENCE, "it is said loudly", || {
        let log = trailtag.log();
        let said = log.lines().any(|line| {
            line.contains("the partition is stopped")
                && line.contains(&guest.output)
                && line.contains("authorization failed")
        });
        if said { Ok(()) } else { Err(log) }
    });
    assert_eq!(trailtag.http("/livez").0, 200);
    wait_until(PATIENCE, "it is not ready", || {
        match trailtag.http("/readyz") {
            (503, _) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    let committed = guest
        .broker
        .admin()
        .committed_offset(&guest.group, &guest.input, 0);
    assert_eq!(committed, Some(10), "nothing is committed past it");

    guest.grant(&["Write"], Resource::Topic(&guest.output));
    guest.wait_committed(&trailtag, 20);
    guest.assert_each_once(0..20);
    trailtag.wait_ready();
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_lost_permission_is_waited_for_exactly_once() {
    a_lost_permission_is_waited_for("exactly_once");
}

#[test]
fn a_lost_permission_is_waited_for_at_least_once() {
    a_lost_permission_is_waited_for("at_least_once");
}

/// Settings for a broker on `port`, which need not be there.
fn settings_on(port: u16) -> Settings {
    Settings::new(Broker::shared(), "group", "in", "out", "dead")
        .set(
            "/kafka/bootstrap_servers",
            json!([format!("127.0.0.1:{port}")]),
        )
        .set("/delivery/linger", "20ms")
        .set("/delivery/commit_interval", "200ms")
}

/// Starts it where no broker is, and waits until it has noticed.
fn start_alone(settings: &Settings) -> Trailtag {
    let trailtag = Trailtag::start(settings);
    trailtag.wait_logged("no broker answers: connection refused (127.0.0.1:");
    assert_eq!(trailtag.http("/livez").0, 200);
    trailtag.wait_unready(
        "worker 0: no broker has answered for ",
        "connection refused (127.0.0.1:",
    );
    trailtag
}

#[test]
fn a_broker_may_come_later() {
    let port = free_port();
    let mut trailtag = start_alone(&settings_on(port));
    let broker = Broker::start_on(Some(port));
    broker.create_topic("in", 1, &[]);
    broker.create_topic("out", 1, &[]);
    broker.create_topic("dead", 1, &[]);
    broker.produce("in", 0, None, &ours(0), &[]);
    trailtag.wait_ready();
    wait_until(PATIENCE, "the finding is there", || {
        match broker.committed_offset("group", "in", 0) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    broker.wait_settled("out");
    let messages = broker.read_committed("out");
    assert_eq!(differences(&messages, 0..1), None);
    let log = trailtag.log();
    // It did not go on with limits that it had only guessed.
    let (_, after) = log
        .split_once("no broker answers: connection refused (127.0.0.1:")
        .unwrap();
    assert!(after.contains("size limits of the output topics"), "{log}");
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

/// What was read and not committed when the broker went is no reason to stay, and is not lost.
#[test]
fn a_stop_waits_for_no_answer_of_a_broker_that_is_gone() {
    for guarantee in ["exactly_once", "at_least_once"] {
        let broker = Broker::start();
        let topics = ["in", "out", "dead"].map(|name| broker.topic(name, 1));
        let settings = Settings::new(
            &broker,
            &unique("group"),
            &topics[0],
            &topics[1],
            &topics[2],
        )
        .set("/delivery/guarantee", guarantee)
        .set("/delivery/commit_interval", "200ms")
        .set("/shutdown_grace", "5s");
        let mut trailtag = Trailtag::start(&settings);
        trailtag.wait_ready();
        let received = |trailtag: &Trailtag| {
            let received = trailtag.metric("trailtag_records_received_total", &[]);
            received.filter(|count| *count > 0.0).ok_or(0.0)
        };
        let payloads = (0..20_000).map(|number| (0, other(number)));
        broker.produce_many(&topics[0], payloads);
        wait_until(PATIENCE, "it reads", || received(&trailtag));
        drop(broker);
        trailtag.wait_logged("no broker answers: connection refused (127.0.0.1:");
        trailtag.sigterm();
        let status = trailtag.wait_exit(Duration::from_secs(30));
        let log = trailtag.log();
        // With luck nothing was on its way when the broker went, and there was nothing to wait for.
        let is_finished = log.contains("worker drained") && status.success();
        let is_out_of_time = log.contains("shutdown_grace has passed") && status.code() == Some(70);
        assert!(is_finished || is_out_of_time, "{status}; its log:\n{log}");
    }
}

#[test]
fn a_stop_waits_for_no_broker() {
    for guarantee in ["exactly_once", "at_least_once"] {
        let settings = settings_on(free_port())
            .set("/delivery/guarantee", guarantee)
            .set("/shutdown_grace", "10s");
        let mut trailtag = start_alone(&settings);
        trailtag.sigterm();
        let status = trailtag.wait_exit(Duration::from_secs(30));
        assert!(status.success(), "{status}; its log:\n{}", trailtag.log());
    }
}
