//! The promises of delivery, each under its name, on a real broker.

use std::time::Duration;

use super::records::{noise, ours, ours_with_agent};
use super::stage::{EVERY, Stage, findings, message, messages};
use super::support::{Message, PATIENCE, Settings, Trailtag, unique, wait_until};

fn offsets_never_pass_an_undelivered_document(guarantee: &str) {
    let stage = Stage::new(2);
    // The second message can only be dead-lettered, and the topic for that does not take it: it has no key.
    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("cleanup.policy", "compact")]);
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    let garbage = noise(8000);
    stage
        .broker
        .produce(&stage.input, 0, None, garbage.as_bytes(), &[]);
    stage.broker.produce(&stage.input, 0, None, &ours(1), &[]);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    wait_until(PATIENCE, "the partition stands still", || {
        let stopped = trailtag
            .try_http("/metrics")
            .ok()
            .and_then(|_| trailtag.metric("trailtag_partitions_stopped", &[]));
        if stopped == Some(1.0) {
            Ok(())
        } else {
            Err(format!("{stopped:?}; its log:\n{}", trailtag.log()))
        }
    });
    wait_until(PATIENCE, "what came before is committed", || {
        match stage.committed(0) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    // The other partition goes on meanwhile.
    stage.broker.produce(&stage.input, 1, None, &ours(2), &[]);
    wait_until(
        PATIENCE,
        "the other partition is committed",
        || match stage.committed(1) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        },
    );
    stage.assert_delivered(guarantee, [0, 2]);
    assert_eq!(
        stage.committed(0),
        Some(1),
        "nothing is committed past the message that failed"
    );
    assert_eq!(
        trailtag.http("/livez").0,
        200,
        "a sink that refuses is no reason for a restart"
    );
    let log = trailtag.log();
    assert!(
        log.contains("the partition is stopped"),
        "it is said loudly; the log:\n{log}"
    );

    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("cleanup.policy", "delete")]);
    stage.wait_settled(2);
    stage.assert_delivered(guarantee, [0, 1, 2]);
    let dead_letters = stage.read(&stage.dead_letters);
    assert_eq!(dead_letters.len(), 1);
    assert_eq!(dead_letters[0].text(), garbage);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn offsets_never_pass_an_undelivered_document_exactly_once() {
    offsets_never_pass_an_undelivered_document("exactly_once");
}

#[test]
fn offsets_never_pass_an_undelivered_document_at_least_once() {
    offsets_never_pass_an_undelivered_document("at_least_once");
}

#[test]
fn exactly_once_survives_being_killed_ten_times() {
    let stage = Stage::new(3);
    let settings = stage.settings("exactly_once");
    let produced = stage.while_messages_come(3, || {
        for kill in 0..10_u64 {
            let mut trailtag = Trailtag::start(&settings);
            let forwarded = || match trailtag.try_http("/metrics") {
                Err(error) => Err(error.to_string()),
                Ok(_) => Ok(trailtag.metric("trailtag_forwarded_total", &[])),
            };
            wait_until(PATIENCE, "it forwards", || match forwarded() {
                Ok(Some(count)) if count > 0.0 => Ok(()),
                seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
            });
            // Each at another moment of its transactions.
            std::thread::sleep(Duration::from_millis(kill * 37 % 150));
            trailtag.kill9();
        }
    });
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(3);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_each_once(findings(produced));
}

#[test]
fn a_partition_that_stood_still_goes_on_when_it_comes_back() {
    let stage = Stage::new(2);
    // It takes nothing that has no key.
    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("cleanup.policy", "compact")]);
    let garbage = noise(8000);
    for partition in 0..2 {
        stage
            .broker
            .produce(&stage.input, partition, None, garbage.as_bytes(), &[]);
        let finding = ours(usize::try_from(partition).unwrap());
        stage
            .broker
            .produce(&stage.input, partition, None, &finding, &[]);
    }
    let wait_standing = |trailtag: &Trailtag, standing: f64| {
        wait_until(PATIENCE, &format!("{standing} stand still"), || {
            let seen = trailtag.metric("trailtag_partitions_stopped", &[]);
            if seen == Some(standing) {
                Ok(())
            } else {
                Err(format!("{seen:?}; its log:\n{}", trailtag.log()))
            }
        });
    };
    let mut stays = stage.member("stays");
    stays.wait_ready();
    stays.wait_logged("\"retry_in_ms\":8000");
    let mut leaves = stage.member("leaves");
    leaves.wait_ready();
    wait_standing(&leaves, 1.0);
    wait_standing(&stays, 1.0);
    leaves.sigterm();
    assert!(leaves.wait_exit(PATIENCE).success());
    wait_standing(&stays, 2.0);

    stage
        .broker
        .alter_topic(&stage.dead_letters, &[("cleanup.policy", "delete")]);
    stage.wait_settled(2);
    stage.assert_each_once(0..2);
    stays.sigterm();
    assert!(stays.wait_exit(PATIENCE).success());
}

#[test]
fn members_that_join_and_leave_lose_nothing_and_double_nothing() {
    const MESSAGES: usize = 50_000;
    let stage = Stage::new(6);
    let settled = || {
        (0..6)
            .map(|partition| stage.committed(partition).unwrap_or(0))
            .sum::<i64>()
    };
    let wait_for = |share: usize| {
        wait_until(PATIENCE, &format!("{share}% are through"), || {
            let settled = settled();
            if settled * 100 >= i64::try_from(share * MESSAGES).unwrap() {
                Ok(())
            } else {
                Err(settled)
            }
        });
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..MESSAGES).step_by(500) {
                stage
                    .broker
                    .produce_many(&stage.input, messages(from..from + 500, 6));
                std::thread::sleep(Duration::from_millis(60));
            }
        });
        let mut first = stage.member("first");
        first.wait_ready();
        wait_for(10);
        let mut second = stage.member("second");
        second.wait_ready();
        wait_for(30);
        first.sigterm();
        assert!(first.wait_exit(PATIENCE).success());
        wait_for(50);
        let mut third = stage.member("third");
        third.wait_ready();
        wait_for(70);
        second.kill9();
        wait_for(90);
        let mut fourth = stage.member("fourth");
        fourth.wait_ready();
        stage_end(&stage, MESSAGES, &settled);
        for member in [&mut third, &mut fourth] {
            member.sigterm();
            assert!(member.wait_exit(PATIENCE).success());
        }
    });
    stage.assert_each_once(findings(MESSAGES));
}

fn stage_end(stage: &Stage<'_>, messages: usize, settled: &dyn Fn() -> i64) {
    wait_until(PATIENCE, "all are through", || {
        let settled = settled();
        if usize::try_from(settled).unwrap() == messages {
            Ok(())
        } else {
            Err(settled)
        }
    });
    stage.wait_settled(6);
}

#[test]
fn sigterm_drains_and_a_clean_restart_doubles_nothing_in_at_least_once() {
    const MESSAGES: usize = 20_000;
    let stage = Stage::new(3);
    let settings = stage.settings("at_least_once");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..MESSAGES).step_by(500) {
                stage
                    .broker
                    .produce_many(&stage.input, messages(from..from + 500, 3));
                std::thread::sleep(Duration::from_millis(40));
            }
        });
        for stop in 1..=4 {
            let mut trailtag = Trailtag::start(&settings);
            trailtag.wait_ready();
            wait_until(PATIENCE, "it is in the middle of its work", || {
                let settled: i64 = (0..3)
                    .map(|partition| stage.committed(partition).unwrap_or(0))
                    .sum();
                if settled >= stop * 3000 {
                    Ok(())
                } else {
                    Err(settled)
                }
            });
            trailtag.sigterm();
            let status = trailtag.wait_exit(PATIENCE);
            assert!(status.success(), "{status}; its log:\n{}", trailtag.log());
        }
    });
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(3);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
    stage.assert_each_once(findings(MESSAGES));
}

#[test]
fn a_poison_message_is_dead_lettered_byte_for_byte_and_the_partition_goes_on() {
    let stage = Stage::new(1);
    let poison: Vec<u8> = (0..=255).collect();
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.broker.produce(
        &stage.input,
        0,
        Some(b"key\xff"),
        &poison,
        &[("trace", b"abc"), ("trace", b"\x00\x01")],
    );
    stage.broker.produce(&stage.input, 0, None, &ours(1), &[]);
    let mut trailtag = Trailtag::start(&stage.settings("exactly_once"));
    stage.wait_settled(1);
    stage.assert_each_once(0..2);
    let dead_letters = stage.read(&stage.dead_letters);
    assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
    let letter = &dead_letters[0];
    assert_eq!(letter.payload.as_deref(), Some(poison.as_slice()));
    assert_eq!(letter.key.as_deref(), Some(b"key\xff".as_slice()));
    let traces: Vec<_> = letter
        .headers
        .iter()
        .filter(|(name, _)| name == "trace")
        .map(|(_, value)| value.as_deref())
        .collect();
    assert_eq!(
        traces,
        [Some(b"abc".as_slice()), Some(b"\x00\x01".as_slice())],
        "the original headers, in order"
    );
    assert_eq!(
        letter.header("trailtag.reason"),
        Some("unsupported_format"),
        "it begins as a schema registry's does"
    );
    assert_eq!(
        letter.header("trailtag.source.topic"),
        Some(stage.input.as_str())
    );
    assert_eq!(letter.header("trailtag.source.partition"), Some("0"));
    assert_eq!(letter.header("trailtag.source.offset"), Some("1"));
    assert!(
        letter
            .header("trailtag.source.timestamp")
            .unwrap()
            .parse::<i64>()
            .unwrap()
            > 1_700_000_000_000
    );
    assert!(!letter.header("trailtag.error").unwrap().is_empty());
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_missing_dead_letter_topic_stops_the_partition_until_it_exists() {
    let stage = Stage::new(2);
    let missing = unique("missing");
    let settings = Settings::new(
        stage.broker,
        &stage.group,
        &stage.input,
        &stage.output,
        &missing,
    );
    stage
        .broker
        .produce(&stage.input, 0, None, b"not json", &[]);
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.broker.produce(&stage.input, 1, None, &ours(1), &[]);
    let mut trailtag = Trailtag::start(&settings);
    wait_until(
        PATIENCE,
        "the other partition is committed",
        || match stage.committed(1) {
            Some(1) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        },
    );
    wait_until(PATIENCE, "it tried more than once", || {
        let tries = trailtag.metric(
            "trailtag_delivery_failures_total",
            &[("route", "dead_letter")],
        );
        if tries >= Some(2.0) {
            Ok(())
        } else {
            Err(format!("{tries:?}; its log:\n{}", trailtag.log()))
        }
    });
    assert_eq!(stage.committed(0), None);
    assert_eq!(
        trailtag.http("/readyz").0,
        503,
        "a delivery that fails is no readiness"
    );
    assert!(
        trailtag.log().contains(&missing),
        "the log names the topic:\n{}",
        trailtag.log()
    );
    stage.broker.create_topic(&missing, 1, &[]);
    stage.wait_settled(2);
    stage.assert_each_once(0..2);
    let dead_letters = stage.read(&missing);
    assert_eq!(
        dead_letters.iter().map(Message::text).collect::<Vec<_>>(),
        ["not json"]
    );
    wait_until(PATIENCE, "it is ready again", || {
        match trailtag.http("/readyz") {
            (200, _) => Ok(()),
            (_, text) => Err(text),
        }
    });
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_document_over_its_routes_limit_is_dead_lettered_with_both_sizes() {
    let stage = Stage::new(1);
    stage
        .broker
        .alter_topic(&stage.output, &[("max.message.bytes", "40000")]);
    let large = ours_with_agent(1, &"x".repeat(50_000));
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.broker.produce(&stage.input, 0, None, &large, &[]);
    stage.broker.produce(&stage.input, 0, None, &ours(2), &[]);
    let mut trailtag = Trailtag::start(&stage.settings("exactly_once"));
    stage.wait_settled(1);
    stage.assert_each_once([0, 2].into_iter());
    let dead_letters = stage.read(&stage.dead_letters);
    assert_eq!(dead_letters.len(), 1, "{dead_letters:?}");
    assert_eq!(dead_letters[0].payload.as_deref(), Some(large.as_slice()));
    assert_eq!(
        dead_letters[0].header("trailtag.reason"),
        Some("document_too_large")
    );
    let error = dead_letters[0].header("trailtag.error").unwrap();
    assert!(
        error.contains("bytes") && error.ends_with("takes 40000"),
        "{error}"
    );
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

fn a_document_that_the_broker_refuses_is_dead_lettered_alone(guarantee: &str) {
    let stage = Stage::new(1);
    let mut trailtag = Trailtag::start(&stage.settings(guarantee));
    trailtag.wait_ready();
    // The limit shrinks under the running program.
    stage
        .broker
        .alter_topic(&stage.output, &[("max.message.bytes", "40000")]);
    // Text that does not compress, or the batch would pass.
    let agent = noise(60_000);
    let large = ours_with_agent(1, &agent);
    let batch = [ours(0), large.clone(), ours(2)].map(|payload| (0, payload));
    stage.broker.produce_many(&stage.input, batch);
    stage.wait_settled(1);
    stage.assert_each_once([0, 2].into_iter());
    let dead_letters = stage.read(&stage.dead_letters);
    assert_eq!(
        dead_letters.len(),
        1,
        "{dead_letters:?}; its log:\n{}",
        trailtag.log()
    );
    assert_eq!(dead_letters[0].payload.as_deref(), Some(large.as_slice()));
    assert_eq!(
        dead_letters[0].header("trailtag.reason"),
        Some("document_too_large")
    );
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn a_document_that_the_broker_refuses_is_dead_lettered_alone_exactly_once() {
    a_document_that_the_broker_refuses_is_dead_lettered_alone("exactly_once");
}

#[test]
fn a_document_that_the_broker_refuses_is_dead_lettered_alone_at_least_once() {
    a_document_that_the_broker_refuses_is_dead_lettered_alone("at_least_once");
}

#[test]
fn unmatched_messages_are_forwarded_untouched() {
    let stage = Stage::new(1);
    let rest = stage.broker.topic("rest", 1);
    let settings = stage.settings("exactly_once").set(
        "/unmatched",
        serde_json::json!({"action": "forward", "topic": rest}),
    );
    let spaced =
        br#" { "eventVersion" : "1.08", "userIdentity": {}, "eventName":"X" , "eventSource":"y" }"#;
    stage.broker.produce(
        &stage.input,
        0,
        Some(b"k"),
        spaced,
        &[("h", b"1"), ("h", b"2")],
    );
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.broker.produce(&stage.input, 0, None, b"{broken", &[]);
    let mut trailtag = Trailtag::start(&settings);
    stage.wait_settled(1);
    let sent = stage.read(&stage.input);
    let forwarded = stage.read(&rest);
    assert_eq!(
        forwarded.len(),
        1,
        "neither findings nor dead letters are unmatched: {forwarded:?}"
    );
    let (original, copy) = (&sent[0], &forwarded[0]);
    assert_eq!(copy.payload, original.payload);
    assert_eq!(copy.key, original.key);
    assert_eq!(copy.headers, original.headers);
    assert_eq!(copy.timestamp, original.timestamp);
    stage.assert_each_once(0..1);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn the_conservation_law_holds_at_every_scrape() {
    const MESSAGES: usize = 20_000;
    let stage = Stage::new(2);
    let settings = stage.settings("exactly_once").set("/workers", 2);
    let mut trailtag = Trailtag::start(&settings);
    trailtag.wait_ready();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for from in (0..MESSAGES).step_by(200) {
                let batch = (from..from + 200).map(|number| {
                    let payload = if number % 50 == 7 {
                        b"poison".to_vec()
                    } else {
                        message(number)
                    };
                    (i32::try_from(number % 2).unwrap(), payload)
                });
                stage.broker.produce_many(&stage.input, batch);
            }
        });
        let mut scrapes = 0;
        wait_until(
            PATIENCE,
            "all are through, with the law holding at every scrape",
            || {
                let (_, page) = trailtag.http("/metrics");
                let of = |name: &str| super::support::sum(&page, name, &[]).unwrap();
                let received = of("trailtag_records_received_total");
                let returned = of("trailtag_records_returned_total");
                let settled = of("trailtag_records_total");
                let in_flight = of("trailtag_records_in_flight");
                assert!(
                    (received - returned - settled - in_flight).abs() < 0.5,
                    "{received} {returned} {settled} {in_flight}"
                );
                scrapes += 1;
                if settled >= 20_000.0 && scrapes >= 20 {
                    Ok(())
                } else {
                    Err(format!("{settled} settled, {scrapes} scrapes"))
                }
            },
        );
    });
    let poison = MESSAGES / 50;
    let metric = |name: &str, labels: &[(&str, &str)]| trailtag.metric(name, labels).unwrap();
    #[allow(clippy::cast_precision_loss, reason = "small numbers")]
    let is = |seen: f64, expected: usize| (seen - expected as f64).abs() < 0.5;
    assert!(is(
        metric("trailtag_records_total", &[("result", "dead_lettered")]),
        poison
    ));
    assert!(is(
        metric("trailtag_dead_letters_total", &[("reason", "not_json")]),
        poison
    ));
    let lost = findings(MESSAGES).filter(|number| number % 50 == 7).count();
    assert!(is(
        metric("trailtag_forwarded_total", &[("route", "findings")]),
        MESSAGES / EVERY - lost
    ));
    assert!(is(
        metric("trailtag_findings_total", &[("severity", "medium")]),
        MESSAGES / EVERY - lost
    ));
    assert!(is(
        metric(
            "trailtag_messages_received_total",
            &[("topic", &stage.input)]
        ),
        MESSAGES
    ));
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}

#[test]
fn workers_without_a_partition_are_ready_too() {
    let stage = Stage::new(1);
    let mut trailtag = Trailtag::start(&stage.settings("exactly_once").set("/workers", 3));
    trailtag.wait_ready();
    stage.broker.produce(&stage.input, 0, None, &ours(0), &[]);
    stage.wait_settled(1);
    stage.assert_each_once(0..1);
    trailtag.sigterm();
    assert!(trailtag.wait_exit(PATIENCE).success());
}
