//! Brokers that hang or are lost, and processes that hang: what was promised holds when they are back.

use std::time::Duration;

use super::stage::{Stage, findings, message};
use super::support::{Broker, Cluster, PATIENCE, Trailtag, wait_until};

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
    let mut produce = |messages: usize| {
        let batch = (produced..produced + messages)
            .map(|number| (i32::try_from(number % 2).unwrap(), message(number)));
        broker.produce_many(&stage.input, batch);
        produced += messages;
        produced
    };
    for _ in 0..2 {
        let through = trailtag.metric("trailtag_forwarded_total", &[]);
        produce(20_000);
        wait_until(PATIENCE, "it forwards", || {
            let now = trailtag.metric("trailtag_forwarded_total", &[]);
            if now > through {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
        broker.freeze();
        for _ in 0..18 {
            std::thread::sleep(Duration::from_secs(1));
            assert_eq!(trailtag.http("/livez").0, 200, "{}", trailtag.log());
        }
        broker.thaw();
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

/// Brokers are lost and replaced one after another, as in an upgrade of a cluster, while messages come.
fn brokers_are_replaced_one_after_another(guarantee: &str) {
    let cluster = Cluster::start();
    let stage = Stage::on(cluster.admin(), 6);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    trailtag.wait_ready();
    let produced = stage.while_messages_come(6, || {
        for place in [0, 1, 0] {
            let forwarded = || trailtag.metric("trailtag_forwarded_total", &[]).unwrap();
            cluster.lose(place);
            let then = forwarded();
            wait_until(PATIENCE, "it goes on", || {
                let now = forwarded();
                if now > then + 1000.0 {
                    Ok(())
                } else {
                    Err(format!("{now}; its log:\n{}", trailtag.log()))
                }
            });
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
    let forwarded = |member: &Trailtag| member.metric("trailtag_forwarded_total", &[]).unwrap();
    let wait_for_more = |member: &Trailtag| {
        let then = forwarded(member);
        wait_until(PATIENCE, "it forwards", || {
            let now = forwarded(member);
            if now > then + 100.0 {
                Ok(())
            } else {
                Err(format!("{now}; its log:\n{}", member.log()))
            }
        });
    };
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
