//! What `/readyz` and the log say while brokers do not answer: the true reason, once, and that it is over.

use std::time::Duration;

use serde_json::{Value, json};

use super::records::ours;
use super::stage::{Stage, findings, forwarded, messages, wait_forwarded};
use super::support::{
    Broker, Certificate, CertifiedBroker, Cluster, PATIENCE, SecureBroker, Settings, Trailtag,
    unique, wait_until,
};

/// The messages of the log, with their level.
fn lines(log: &str) -> Vec<(String, String)> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| (text(&line, "level"), text(&line, "message")))
        .filter(|(level, _)| level != "DEBUG")
        .collect()
}

/// How many lines at this level begin so.
fn count(log: &str, level: &str, begins: &str) -> usize {
    lines(log)
        .iter()
        .filter(|(seen, message)| seen == level && message.starts_with(begins))
        .count()
}

/// A broker that hangs, and then one that is gone for more than a minute, in the middle of the work of two workers.
#[test]
fn an_outage_is_said_once_and_once_a_minute_and_readiness_comes_back() {
    let broker = Broker::start();
    let stages = [Stage::on(&broker, 2), Stage::on(&broker, 2)];
    let mut processes: Vec<Trailtag> = stages
        .iter()
        .zip(["exactly_once", "at_least_once"])
        .map(|(stage, guarantee)| Trailtag::start(&stage.settings(guarantee).set("/workers", 2)))
        .collect();
    let mut produced = 0;
    for round in ["hangs", "is gone"] {
        for trailtag in &mut processes {
            trailtag.wait_ready();
        }
        let before: Vec<f64> = processes.iter().map(forwarded).collect();
        for stage in &stages {
            broker
                .anew()
                .produce_many(&stage.input, messages(produced..produced + 20_000, 2));
        }
        produced += 20_000;
        for (trailtag, before) in processes.iter().zip(before) {
            wait_forwarded(trailtag, before);
        }
        let said: Vec<usize> = processes
            .iter()
            .map(|trailtag| lines(&trailtag.log()).len())
            .collect();
        if round == "hangs" {
            broker.freeze();
            for trailtag in &processes {
                trailtag.wait_unready("worker ", "the broker does not answer (127.0.0.1:");
            }
            broker.thaw();
        } else {
            broker.take_down();
            for trailtag in &processes {
                trailtag.wait_unready(
                    "worker 0: no broker has answered for ",
                    "connection refused (127.0.0.1:",
                );
            }
            std::thread::sleep(Duration::from_secs(70));
            for (trailtag, said) in processes.iter().zip(said) {
                let log = trailtag.log();
                assert_eq!(trailtag.http("/livez").0, 200, "{log}");
                assert_eq!(trailtag.http("/readyz").0, 503, "{log}");
                let begun = "no broker answers: connection refused (127.0.0.1:";
                assert_eq!(count(&log, "WARN", begun), 1, "{log}");
                let lasts = lines(&log)
                    .iter()
                    .filter(|(level, message)| {
                        level == "WARN"
                            && message.starts_with("no broker has answered for ")
                            && message.contains(" s, waiting: connection refused (127.0.0.1:")
                    })
                    .count();
                assert_eq!(lasts, 1, "{log}");
                let new = lines(&log).len() - said;
                // Ten a minute, for two workers.
                assert!(new <= 12, "{new} lines; {log}");
            }
            broker.bring_back();
        }
    }
    for (trailtag, stage) in processes.iter_mut().zip(&stages) {
        trailtag.wait_ready();
        stage.wait_settled(2);
        let log = trailtag.log();
        let over = lines(&log).into_iter().any(|(level, message)| {
            let seconds = message
                .strip_prefix("a broker answers again, after ")
                .and_then(|rest| rest.strip_suffix(" s")?.parse::<u64>().ok());
            level == "INFO" && seconds.is_some_and(|seconds| seconds >= 70)
        });
        assert!(over, "{log}");
        for wrong in [
            "another process uses the name",
            "was ended by others",
            "initialised by others",
        ] {
            assert!(!log.contains(wrong), "{wrong}; {log}");
        }
        trailtag.sigterm();
        assert!(trailtag.wait_exit(PATIENCE).success());
    }
    stages[0].assert_delivered("exactly_once", findings(produced));
    stages[1].assert_delivered("at_least_once", findings(produced));
}

/// What a worker could not deliver, and another one has delivered since.
fn what_others_have_delivered_is_no_reason_to_be_unready(guarantee: &str) {
    let stage = Stage::new(2);
    let missing = unique("out");
    let settings = |name: &str| {
        let prefix = format!("{}-{name}", stage.group);
        stage
            .settings(guarantee)
            .set("/delivery/transactional_id_prefix", prefix)
            .set("/kafka/consumer/group.instance.id", "")
            .set("/routes/0/topic", missing.as_str())
    };
    let mut first = Trailtag::start(&settings("first"));
    first.wait_ready();
    stage.broker.produce_many(&stage.input, messages(0..100, 2));
    first.wait_unready("worker 0: the last delivery was not acknowledged", "");
    // Longer than its session: the other one is given all of it.
    first.signal("STOP");
    stage.broker.create_topic(&missing, 1, &[]);
    let mut second = Trailtag::start(&settings("second"));
    stage.wait_settled(2);
    first.signal("CONT");
    for trailtag in [&mut first, &mut second] {
        trailtag.wait_ready();
        trailtag.sigterm();
        assert!(trailtag.wait_exit(PATIENCE).success());
    }
}

#[test]
fn what_others_have_delivered_is_no_reason_to_be_unready_at_least_once() {
    what_others_have_delivered_is_no_reason_to_be_unready("at_least_once");
}

#[test]
fn what_others_have_delivered_is_no_reason_to_be_unready_exactly_once() {
    what_others_have_delivered_is_no_reason_to_be_unready("exactly_once");
}

#[test]
fn a_certificate_that_does_not_hold_is_named_with_its_fault() {
    let broker = CertifiedBroker::start();
    let stage = Stage::on(broker.admin(), 1);
    let settings = broker.reach(stage.settings("exactly_once"));
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    for (certificate, word) in [
        (Certificate::Expired, "the broker's certificate has expired"),
        (
            Certificate::UnknownAuthority,
            "the broker's certificate is signed by an unknown authority",
        ),
        (
            Certificate::WrongName,
            "the broker's certificate is for another host name",
        ),
    ] {
        broker.present(certificate);
        let reason = format!("{word} ({})", broker.address());
        trailtag.wait_unready("worker 0: no broker has answered for ", &reason);
        trailtag.wait_logged(&reason);
        // One that begins now says the same.
        let begins = Trailtag::start(&settings);
        begins.wait_logged(&format!("no broker answers: {reason}; waiting for one"));
        begins.wait_unready("worker 0: no broker has answered for ", &reason);
    }
    broker.present(Certificate::Good);
    trailtag.wait_ready();
    trailtag.wait_logged("a broker answers again, after ");
    broker
        .admin()
        .anew()
        .produce(&stage.input, 0, None, &ours(0), &[]);
    stage.wait_settled(1);
    stage.assert_each_once(0..1);
}

#[test]
fn a_wrong_password_is_an_authentication_that_failed() {
    let broker = SecureBroker::shared();
    let (user, password, wrong) = (unique("user"), unique("password"), unique("wrong"));
    broker.create_user(&user, &password);
    let settings = Settings::new(broker.admin(), &unique("group"), "in", "out", "dead")
        .login(broker, &user, &wrong);
    let trailtag = Trailtag::start(&settings);
    let reason = format!("authentication failed ({})", broker.admin().bootstrap());
    trailtag.wait_logged(&format!("no broker answers: {reason}; waiting for one"));
    let text = trailtag.wait_unready("worker 0: no broker has answered for ", &reason);
    assert!(
        !text.contains(&wrong) && !trailtag.log().contains(&wrong),
        "the password is shown"
    );
}

#[test]
fn a_name_without_an_address_is_said() {
    let settings = Settings::new(Broker::shared(), "group", "in", "out", "dead")
        .set("/kafka/bootstrap_servers", json!(["nowhere.invalid:9092"]));
    let trailtag = Trailtag::start(&settings);
    trailtag.wait_logged(
        "no broker answers: the name is not resolved (nowhere.invalid:9092); waiting for one",
    );
    trailtag.wait_unready(
        "worker 0: no broker has answered for ",
        "not resolved (nowhere.invalid:9092)",
    );
}

/// The partition of an internal topic of four that a group or a transactional id belongs to (Java's `hashCode`).
fn place(id: &str) -> i32 {
    let hash = id.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(i32::from(byte))
    });
    hash.checked_abs().unwrap_or(0) % 4
}

/// A name whose coordinator, by an internal topic, is this broker.
fn name_on(broker: &Broker, topic: &str, coordinator: i32, end: &str) -> String {
    let leaders = broker.leaders(topic).unwrap();
    (0..1000)
        .map(|_| unique("name"))
        .find(|name| {
            leaders[usize::try_from(place(&format!("{name}{end}"))).unwrap()] == coordinator
        })
        .unwrap()
}

/// A broker that coordinates the group, or the transactions, hangs for long; the others answer.
#[test]
fn a_coordinator_that_does_not_answer_is_no_readiness() {
    let cluster = Cluster::start_with("600000");
    let admin = cluster.admin();
    let stage = Stage {
        group: name_on(admin, "__consumer_offsets", 2, ""),
        ..Stage::on(admin, 3)
    };
    let prefix = name_on(admin, "__transaction_state", 3, "-0");
    let settings = stage
        .settings("exactly_once")
        .set("/delivery/transactional_id_prefix", prefix);
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();

    cluster.freeze(2);
    trailtag.wait_unready(
        "worker 0: the coordinator of the consumer group has not answered for ",
        "",
    );
    cluster.thaw(2);
    trailtag.wait_ready();

    cluster.freeze(3);
    // Where the brokers that are left take them: the copies on the one that hangs are missing.
    let produced = 3000;
    let stream = messages(0..produced, 3);
    std::thread::scope(|scope| {
        scope.spawn(|| stage.broker.produce_many(&stage.input, stream));
        trailtag.wait_unready("worker 0: a transaction has been waiting for ", "");
        cluster.thaw(3);
    });
    stage.wait_settled(3);
    wait_until(PATIENCE, "it is ready again", || {
        match trailtag.http("/readyz") {
            (200, _) => Ok(()),
            (_, text) => Err(text),
        }
    });
    stage.assert_each_once(findings(produced));
}
