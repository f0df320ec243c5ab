//! Brokers that hang or are lost, and processes that hang: what was promised holds when they are back.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::producer::Producer;
use rdkafka::{Offset, TopicPartitionList};

use super::records::ours;
use super::stage::{Stage, findings, forwarded, messages, wait_forwarded};
use super::support::{Broker, Cluster, PATIENCE, Trailtag};

/// A broker that stops to answer, and goes on later as if nothing had been, is waited for.
fn a_broker_that_hangs_is_waited_for(guarantee: &str) {
    let broker = Broker::start();
    let stage = Stage::on(&broker, 2);
    let settings = stage
        .settings(guarantee)
        .set("/shutdown_grace", "5s")
        // In less time than the broker hangs.
        .set("/kafka/client/socket.timeout.ms", "10000");
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let mut produced = 0;
    let mut produce = |count: usize| {
        let batch = messages(produced..produced + count, 2);
        broker.anew().produce_many(&stage.input, batch);
        produced += count;
        produced
    };
    for _ in 0..2 {
        let before = forwarded(&trailtag);
        produce(20_000);
        wait_forwarded(&trailtag, before);
        broker.freeze();
        for _ in 0..18 {
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(trailtag.http("/livez").0, 200, "{}", trailtag.log());
        }
        broker.thaw_slowly();
        stage.wait_settled(2);
    }
    let all = produce(20_000);
    broker.freeze();
    std::thread::sleep(Duration::from_secs(1));
    trailtag.sigterm();
    trailtag.wait_exit(Duration::from_secs(15));
    broker.thaw();
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(2);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_delivered(guarantee, findings(all));
}

#[test]
fn a_broker_that_hangs_is_waited_for_exactly_once() {
    a_broker_that_hangs_is_waited_for("exactly_once");
}

#[test]
fn a_broker_that_hangs_is_waited_for_at_least_once() {
    a_broker_that_hangs_is_waited_for("at_least_once");
}

/// A producer that could not deliver in time may never do: a new one takes over what it left.
fn a_producer_that_is_late_is_replaced(guarantee: &str) {
    let broker = Broker::start();
    let stage = Stage::on(&broker, 2);
    let settings = stage
        .settings(guarantee)
        .set("/kafka/producer/message.timeout.ms", "1000")
        .set("/kafka/consumer/session.timeout.ms", "30000");
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    let mut produced = 0;
    let is_replaced = || {
        let log = trailtag.log();
        log.contains("a new producer takes the place of the old one")
    };
    // The broker may hang where nothing is being produced, but not every time.
    for _ in 0..12 {
        let before = forwarded(&trailtag);
        broker.produce_many(&stage.input, messages(produced..produced + 50_000, 2));
        produced += 50_000;
        wait_forwarded(&trailtag, before);
        broker.freeze();
        std::thread::sleep(Duration::from_secs(4));
        broker.thaw();
        stage.wait_settled(2);
        if is_replaced() {
            break;
        }
    }
    assert!(is_replaced(), "{}", trailtag.log());
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_delivered(guarantee, findings(produced));
}

#[test]
fn a_producer_that_is_late_is_replaced_exactly_once() {
    a_producer_that_is_late_is_replaced("exactly_once");
}

#[test]
fn a_producer_that_is_late_is_replaced_at_least_once() {
    a_producer_that_is_late_is_replaced("at_least_once");
}

/// Brokers are lost and replaced one after another, as in an upgrade of a cluster, while messages come.
fn brokers_are_replaced_one_after_another(guarantee: &str) {
    let cluster = Cluster::start();
    let stage = Stage::on(cluster.admin(), 6);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    trailtag.wait_ready();
    let produced = stage.while_messages_come(6, || {
        for place in [0, 1, 0] {
            cluster.lose(place);
            wait_forwarded(&trailtag, forwarded(&trailtag) + 1000.0);
            cluster.replace(place);
        }
    });
    stage.wait_settled(6);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_delivered(guarantee, findings(produced));
}

#[test]
fn brokers_are_replaced_one_after_another_exactly_once() {
    brokers_are_replaced_one_after_another("exactly_once");
}

#[test]
fn brokers_are_replaced_one_after_another_at_least_once() {
    brokers_are_replaced_one_after_another("at_least_once");
}

#[test]
fn a_process_that_hangs_is_replaced_and_doubles_nothing_when_it_goes_on() {
    let stage = Stage::new(3);
    let wait_for_more = |member: &Trailtag| wait_forwarded(member, forwarded(member) + 100.0);
    let mut hangs = stage.member("hangs");
    let mut stands_in = stage.member("stands-in");
    hangs.wait_ready();
    stands_in.wait_ready();
    let produced = stage.while_messages_come(3, || {
        for pause in [0, 7, 31] {
            wait_for_more(&hangs);
            // Each at another moment of its transactions.
            std::thread::sleep(Duration::from_millis(pause));
            hangs.signal("STOP");
            // Longer than its session.
            std::thread::sleep(Duration::from_secs(9));
            wait_for_more(&stands_in);
            hangs.signal("CONT");
        }
        wait_for_more(&hangs);
    });
    stage.wait_settled(3);
    for member in [&mut hangs, &mut stands_in] {
        member.sigterm();
        assert!(member.wait_exit(PATIENCE).success());
    }
    stage.assert_each_once(findings(produced));
}

/// Where a transaction is open on a group's offsets, the client asks for them again and again; a rebalance in the middle
/// of that makes it begin at the start of the topic (librdkafka, `rd_kafka_assignment_apply_offsets`).
#[test]
fn a_partition_whose_offset_is_in_an_open_transaction_does_not_begin_anew() {
    let stage = Stage::new(1);
    let messages = (0..100).map(|number| (0, ours(number)));
    stage.broker.produce_many(&stage.input, messages);
    let offset = |offset| {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&stage.input, 0, Offset::Offset(offset))
            .unwrap();
        list
    };
    let mut client = stage.broker.client();
    client.set("group.id", &stage.group);
    let group: BaseConsumer = client.create().unwrap();
    group.commit(&offset(50), CommitMode::Sync).unwrap();
    let other = stage.broker.transactional();
    other.begin_transaction().unwrap();
    other
        .send_offsets_to_transaction(&offset(60), &group.group_metadata().unwrap(), PATIENCE)
        .unwrap();

    let mut members: Vec<_> = ["first", "second", "third"]
        .map(|name| {
            let mut member = stage.member(name);
            member.wait_ready();
            member
        })
        .into();
    // Time for a client that has lost its way to show it.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(stage.read(&stage.output).len(), 0);
    other.commit_transaction(PATIENCE).unwrap();
    stage.wait_settled(1);
    stage.assert_each_once(60..100);
    for member in &mut members {
        member.sigterm();
        assert!(member.wait_exit(PATIENCE).success(), "{}", member.log());
    }
}
