//! Proves the tools that the other tests rely on: a harness that saw nothing would let everything pass.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::support::{
    Broker, Message, PATIENCE, Process, Resource, SecureBroker, Settings, Trailtag, free_port, get,
    sum, unique, wait_until,
};

fn send(producer: &BaseProducer, topic: &str, payload: &str) {
    producer
        .send(
            BaseRecord::<str, str>::to(topic)
                .partition(0)
                .payload(payload),
        )
        .unwrap();
    producer.flush(PATIENCE).unwrap();
}

fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(Message::text).collect()
}

#[test]
fn a_message_comes_back_as_it_was_sent() {
    let broker = Broker::shared();
    let topic = broker.topic("in", 3);
    let bytes = [0xff, 0x00, b'{'];
    assert_eq!(
        broker.produce(&topic, 2, Some(b"key"), &bytes, &[("a", b"1"), ("b", b"")]),
        0
    );
    assert_eq!(broker.produce(&topic, 2, None, b"second", &[]), 1);
    broker.produce(&topic, 0, None, b"other partition", &[]);

    let messages = broker.read_committed(&topic);
    assert_eq!(messages.len(), 3, "{messages:?}");
    assert_eq!(
        (messages[0].partition, messages[0].text()),
        (0, "other partition")
    );
    let first = &messages[1];
    assert_eq!((first.partition, first.offset), (2, 0));
    assert_eq!(first.key.as_deref(), Some(&b"key"[..]));
    assert_eq!(first.payload.as_deref(), Some(&bytes[..]));
    assert_eq!(
        (first.header("a"), first.header("b"), first.header("c")),
        (Some("1"), Some(""), None)
    );
    assert!(first.timestamp.is_some());
    assert_eq!(
        (
            messages[2].offset,
            messages[2].text(),
            messages[2].key.is_none()
        ),
        (1, "second", true)
    );
    assert_eq!(
        (broker.end_offset(&topic, 0), broker.end_offset(&topic, 1)),
        (1, 0)
    );
}

#[test]
fn many_messages_arrive_in_order() {
    let broker = Broker::shared();
    let topic = broker.topic("in", 2);
    // More than the producer's queue holds.
    let count = 150_000;
    broker.produce_many(
        &topic,
        (0..count).map(|n| (n % 2, n.to_string().into_bytes())),
    );

    let messages = broker.read_committed(&topic);
    let read: Vec<i32> = messages
        .iter()
        .map(|message| message.text().parse().unwrap())
        .collect();
    let sent: Vec<i32> = (0..count).step_by(2).chain((1..count).step_by(2)).collect();
    assert!(read == sent, "{} messages came back of {count}", read.len());
}

#[test]
fn only_committed_transactions_are_read() {
    let broker = Broker::shared();
    let topic = broker.topic("out", 2);
    let producer = broker.transactional();

    producer.begin_transaction().unwrap();
    send(&producer, &topic, "committed");
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(&producer, &topic, "aborted");
    producer.abort_transaction(PATIENCE).unwrap();
    broker.wait_settled(&topic);
    // The log now ends with a control record, which no reader ever sees.
    assert_eq!(texts(&broker.read_committed(&topic)), ["committed"]);

    producer.begin_transaction().unwrap();
    send(&producer, &topic, "open");
    assert_eq!(texts(&broker.read_committed(&topic)), ["committed"]);
    assert_eq!(
        texts(&broker.read_uncommitted(&topic)),
        ["committed", "aborted", "open"]
    );
    producer.commit_transaction(PATIENCE).unwrap();
    broker.wait_settled(&topic);
    assert_eq!(texts(&broker.read_committed(&topic)), ["committed", "open"]);
}

#[test]
fn committed_offsets_are_those_of_the_group() {
    let broker = Broker::shared();
    let topic = broker.topic("in", 1);
    let group = unique("group");
    assert_eq!(broker.committed_offset(&group, &topic, 0), None);

    let consumer: BaseConsumer = broker
        .client()
        .set("group.id", &group)
        .set("session.timeout.ms", "1000")
        .create()
        .unwrap();
    consumer.subscribe(&[&topic]).unwrap();
    wait_until(PATIENCE, "the group is stable with one member", || {
        consumer.poll(Duration::from_millis(100));
        let seen = broker.group(&group);
        if seen == ("Stable".into(), 1) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(&topic, 0, Offset::Offset(7))
        .unwrap();

    // Offsets of a transaction do not count before it is committed, and asking does not wait for it.
    let producer = broker.transactional();
    producer.begin_transaction().unwrap();
    let metadata = consumer.group_metadata().unwrap();
    producer
        .send_offsets_to_transaction(&offsets, &metadata, PATIENCE)
        .unwrap();
    assert_eq!(broker.committed_offset(&group, &topic, 0), None);
    producer.commit_transaction(PATIENCE).unwrap();
    wait_until(PATIENCE, "the committed offset counts", || {
        match broker.committed_offset(&group, &topic, 0) {
            Some(7) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
    assert_eq!(broker.committed_offset(&unique("group"), &topic, 0), None);
}

#[test]
fn an_altered_setting_counts_and_leaves_the_others() {
    let broker = Broker::shared();
    let topic = unique("out");
    broker.create_topic(
        &topic,
        1,
        &[("max.message.bytes", "1000"), ("retention.ms", "3600000")],
    );
    let large = [b'x'; 2000];
    let refused = broker
        .try_produce(&topic, 0, None, &large, &[])
        .unwrap_err();
    assert_eq!(
        refused.rdkafka_error_code(),
        Some(RDKafkaErrorCode::MessageSizeTooLarge)
    );

    broker.alter_topic(&topic, &[("max.message.bytes", "5000")]);
    assert_eq!(broker.topic_config(&topic)["retention.ms"], "3600000");
    wait_until(PATIENCE, "the larger message is taken", || {
        broker.try_produce(&topic, 0, None, &large, &[])
    });
}

#[test]
fn a_deleted_topic_is_gone() {
    let broker = Broker::shared();
    let topic = broker.topic("in", 1);
    broker.produce(&topic, 0, None, b"x", &[]);
    broker.delete_topic(&topic);
    assert!(broker.try_read(&topic, "read_committed").is_err());
    // And it does not come back by being written to.
    assert!(broker.try_produce(&topic, 0, None, b"x", &[]).is_err());
    broker.create_topic(&topic, 1, &[]);
    assert_eq!(texts(&broker.read_committed(&topic)), [""; 0]);
}

#[test]
fn a_user_may_do_only_what_was_granted() {
    let broker = SecureBroker::shared();
    let topic = broker.admin().topic("out", 1);
    let (user, password) = (unique("user"), unique("password"));
    broker.create_user(&user, &password);
    let login = broker.login(&user, &password);

    let refused = login.try_produce(&topic, 0, None, b"x", &[]).unwrap_err();
    assert_eq!(
        refused.rdkafka_error_code(),
        Some(RDKafkaErrorCode::TopicAuthorizationFailed)
    );
    broker.grant(&user, &["Write", "Describe"], Resource::Topic(&topic));
    wait_until(PATIENCE, "the grant counts", || {
        login.try_produce(&topic, 0, None, b"x", &[])
    });
    // To write is not to read.
    let refused = login.try_read(&topic, "read_committed").unwrap_err();
    assert!(refused.contains("authorization failed"), "{refused}");
    assert_eq!(texts(&broker.admin().read_committed(&topic)), ["x"]);

    broker.grant(
        &user,
        &["Write", "Describe"],
        Resource::TransactionalId("allowed-*"),
    );
    let init = |id: &str| {
        let producer: BaseProducer = login.client().set("transactional.id", id).create().unwrap();
        producer.init_transactions(PATIENCE)
    };
    init(&unique("allowed")).unwrap();
    init(&unique("denied")).unwrap_err();

    let group = unique("group");
    broker.grant(&user, &["Read"], Resource::Group(&group));
    assert_eq!(login.committed_offset(&group, &topic, 0), None);
}

#[test]
fn a_wrong_password_is_no_login() {
    let broker = SecureBroker::shared();
    let (user, password) = (unique("user"), unique("password"));
    broker.create_user(&user, &password);
    let consumer: BaseConsumer = broker
        .login(&user, "wrong")
        .client()
        .set("group.id", unique("group"))
        .create()
        .unwrap();
    consumer.subscribe(&["any"]).unwrap();
    wait_until(PATIENCE, "the login is refused", || {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Err(error))
                if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) =>
            {
                Ok(())
            }
            seen => Err(format!("{:?}", seen.map(|read| read.map(|_| "a message")))),
        }
    });
}

/// Whatever happens to the tests, no broker outlives them, and none of its data stays. The owner that is killed here is
/// this very test, once more, in a process of its own.
#[test]
fn a_broker_ends_with_its_owner() {
    if std::env::var_os("TRAILTAG_TEST_OWNS_A_BROKER").is_some() {
        let broker = Broker::start();
        println!("broker on {}", broker.bootstrap());
        loop {
            std::thread::park();
        }
    }
    let temporary = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([
            "--exact",
            "--nocapture",
            "harness::a_broker_ends_with_its_owner",
        ])
        .env("TRAILTAG_TEST_OWNS_A_BROKER", "")
        .env("TMPDIR", temporary.path());
    let mut owner = Process::start(command);
    let address: SocketAddr = wait_until(PATIENCE, "the broker runs", || {
        let output = owner.output();
        let (_, address) = output.rsplit_once("broker on ").ok_or(owner.log())?;
        address
            .trim_end_matches('\n')
            .parse()
            .map_err(|_| output.clone())
    });
    assert!(TcpStream::connect(address).is_ok());
    let left = || std::fs::read_dir(temporary.path()).unwrap().count();
    assert_eq!(left(), 1);

    owner.kill9();
    wait_until(PATIENCE, "the broker is gone", || {
        match (TcpStream::connect(address), left()) {
            (Err(_), 0) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
}

#[test]
fn a_process_is_watched_stopped_and_killed() {
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Process::start(command)
    };

    let mut talks = shell("echo out; echo err >&2; exit 3");
    assert_eq!(talks.wait_exit(PATIENCE).code(), Some(3));
    wait_until(PATIENCE, "the output is kept", || {
        let seen = (talks.output(), talks.log());
        if seen == ("out\n".into(), "err\n".into()) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });

    let trap = "trap 'echo drained >&2; exit 0' TERM; echo ready >&2; while :; do sleep 0.05; done";
    let mut stops = shell(trap);
    wait_until(PATIENCE, "it is ready", || {
        if stops.log().contains("ready") {
            Ok(())
        } else {
            Err(stops.log())
        }
    });
    assert!(stops.exited().is_none());
    stops.sigterm();
    assert_eq!(stops.wait_exit(PATIENCE).code(), Some(0));
    stops.sigterm();

    let mut killed = shell(trap);
    killed.kill9();
    assert_eq!(killed.wait_exit(PATIENCE).signal(), Some(9));
}

/// The program itself, with a login, as most tests drive it.
#[test]
fn a_trailtag_is_started_watched_and_stopped() {
    let broker = SecureBroker::shared();
    let topics = ["in", "out", "dead"].map(|name| broker.admin().topic(name, 1));
    let [input, output, dead_letters] = &topics;
    let (user, password, group) = (unique("user"), unique("password"), unique("group"));
    broker.create_user(&user, &password);
    broker.grant(&user, &["Read", "Describe"], Resource::Topic(input));
    broker.grant(&user, &["Read"], Resource::Group(&group));
    for topic in [output, dead_letters] {
        broker.grant(&user, &["Write", "Describe"], Resource::Topic(topic));
    }
    broker.grant(
        &user,
        &["Write", "Describe"],
        Resource::TransactionalId(&format!("{group}*")),
    );

    let settings = Settings::new(broker.admin(), &group, input, output, dead_letters)
        .login(broker, &user, &password);
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    assert_eq!(trailtag.http("/livez").0, 200);
    assert_eq!(trailtag.http("/nowhere").0, 404);
    assert_eq!(trailtag.metric("trailtag_build_info", &[]), Some(1.0));
    broker
        .admin()
        .produce(input, 0, None, b"not CloudTrail", &[]);
    wait_until(PATIENCE, "the message is counted", || {
        let seen = trailtag.metric("trailtag_messages_received_total", &[("topic", input)]);
        if seen == Some(1.0) {
            Ok(())
        } else {
            Err(format!("{seen:?}"))
        }
    });
    trailtag.sigterm();
    let status = trailtag.wait_exit(PATIENCE);
    assert!(status.success(), "{status}; its log:\n{}", trailtag.log());
    wait_until(PATIENCE, "its offset is committed", || {
        match broker.admin().committed_offset(&group, input, 0) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}")),
        }
    });
}

#[test]
fn settings_are_a_configuration() {
    let broker = Broker::shared();
    let settings = Settings::new(broker, "group", "in", "out", "dead")
        .set("/delivery/guarantee", "at_least_once")
        .set("/kafka/consumer/session.timeout.ms", "1000")
        .set("/routes/0/min_severity", "high");
    let config: ::trailtag::config::Config = serde_saphyr::from_str(&settings.yaml()).unwrap();
    assert_eq!(config.kafka.bootstrap_servers, [broker.bootstrap()]);
    assert_eq!(
        (config.kafka.group_id.as_str(), config.kafka.topics),
        ("group", vec!["in".into()])
    );
    assert_eq!(config.kafka.consumer["session.timeout.ms"], "1000");
    assert_eq!(
        config.delivery.guarantee,
        ::trailtag::config::Guarantee::AtLeastOnce
    );
    assert_eq!(
        (config.routes.len(), config.routes[0].topic.as_str()),
        (1, "out")
    );
    assert_eq!(
        config.routes[0].min_severity,
        ::trailtag::model::Level::High
    );
    assert_eq!(config.dead_letter.topic, "dead");
}

#[test]
fn metrics_are_summed_by_label() {
    let page = "# TYPE trailtag_records_total counter\n\
                trailtag_records_total{result=\"ignored\",worker=\"0\"} 5\n\
                trailtag_records_total{result=\"ignored\",worker=\"1\"} 6\n\
                trailtag_records_total{result=\"matched\",worker=\"0\"} 1\n\
                trailtag_rules_loaded 2\n";
    assert_eq!(sum(page, "trailtag_records_total", &[]), Some(12.0));
    assert_eq!(
        sum(page, "trailtag_records_total", &[("result", "ignored")]),
        Some(11.0)
    );
    assert_eq!(
        sum(
            page,
            "trailtag_records_total",
            &[("worker", "0"), ("result", "matched")]
        ),
        Some(1.0)
    );
    assert_eq!(
        sum(page, "trailtag_records_total", &[("result", "none")]),
        None
    );
    assert_eq!(sum(page, "trailtag_rules_loaded", &[]), Some(2.0));
    assert_eq!(sum(page, "trailtag_records", &[]), None);
}

#[test]
fn a_page_has_its_status_and_its_text() {
    let server = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = server.local_addr().unwrap();
    let serve = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.push(byte[0]);
        }
        stream
            .write_all(b"HTTP/1.0 503 Service Unavailable\r\nX: y\r\n\r\nnot\n\r\n\r\nyet")
            .unwrap();
        String::from_utf8(request).unwrap()
    });
    assert_eq!(
        get(address, "/readyz").unwrap(),
        (503, "not\n\r\n\r\nyet".into())
    );
    assert!(
        serve
            .join()
            .unwrap()
            .starts_with("GET /readyz HTTP/1.0\r\n")
    );
    let nobody = SocketAddr::from(([127, 0, 0, 1], free_port()));
    assert!(get(nobody, "/").is_err());
}

#[test]
#[should_panic(expected = "waited 1ms until the moon is blue; last seen: grey")]
fn waiting_says_what_it_saw() {
    wait_until::<(), _>(Duration::from_millis(1), "the moon is blue", || Err("grey"));
}
