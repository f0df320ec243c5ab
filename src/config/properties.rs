//! The pass-through to librdkafka: which properties a user may set, and which values librdkafka takes.
//!
//! A property that a guarantee rests on is refused by name, with the reason; one that has a setting of its own is
//! refused with that setting's name, so that it is set in one place. Names and values of the rest are tried on
//! librdkafka itself, where it is in the build, without a client and so without a connection.

#[cfg(feature = "service")]
mod librdkafka;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::{Config, Guarantee};
use crate::model::fault::Fault;

/// What librdkafka allows between two polls unless told otherwise.
const POLL_INTERVAL_MS: u64 = 300_000;

/// How long a broker keeps a transaction open whose producer has gone silent. Long enough that it never times out
/// before this program aborts it itself, which would come back as "fenced".
pub const TRANSACTION_TIMEOUT_MS: u64 = 60_000;

/// The longest that a worker goes without a poll: a transaction is given this long by the broker, and then aborted.
const LONGEST_WAIT_MS: u64 = TRANSACTION_TIMEOUT_MS;

/// How long a session lasts unless told otherwise.
const SESSION_TIMEOUT_MS: u64 = 45_000;

/// Why a property is refused.
enum Refusal {
    /// It has a setting of its own.
    Setting(&'static str),
    /// A guarantee rests on it.
    Rests(&'static str),
}

/// The properties that may not be set, with the reason.
fn refusal(property: &str) -> Option<Refusal> {
    use Refusal::{Rests, Setting};
    Some(match property {
        "bootstrap.servers" | "metadata.broker.list" => Setting("kafka.bootstrap_servers"),
        "group.id" => Setting("kafka.group_id"),
        "security.protocol" => Setting("kafka.security.protocol"),
        "sasl.mechanism" | "sasl.mechanisms" => Setting("kafka.security.sasl.mechanism"),
        "sasl.username" => Setting("kafka.security.sasl.username"),
        "sasl.password" => Setting("kafka.security.sasl.password_file"),
        "ssl.ca.location" => Setting("kafka.security.tls.ca_file"),
        "ssl.certificate.location" => Setting("kafka.security.tls.cert_file"),
        "ssl.key.location" => Setting("kafka.security.tls.key_file"),
        "transactional.id" | "group.instance.id" => Setting("delivery.transactional_id_prefix"),
        "queued.max.messages.kbytes" | "queue.buffering.max.kbytes" | "fetch.max.bytes" => {
            Setting("kafka.memory_budget")
        }
        "enable.auto.commit"
        | "auto.commit.enable"
        | "enable.auto.offset.store"
        | "offset.store.method" => {
            Rests("offsets are committed only after what came before them is delivered")
        }
        "isolation.level" => Rests("messages of aborted transactions are never read"),
        "enable.idempotence"
        | "enable.gapless.guarantee"
        | "max.in.flight"
        | "max.in.flight.requests.per.connection"
        | "message.send.max.retries"
        | "retries"
        | "queuing.strategy" => Rests("a document is written once and in order"),
        "acks" | "request.required.acks" => {
            Rests("a document counts as delivered when all replicas in sync have it")
        }
        "delivery.report.only.error" => Rests("every delivery is waited for"),
        "transaction.timeout.ms" => {
            Rests("a transaction is aborted by its own producer before the broker does it")
        }
        "partition.assignment.strategy"
        | "group.protocol"
        | "group.protocol.type"
        | "group.remote.assignor" => {
            Rests("partitions move one by one, and only after their work is dropped or committed")
        }
        "enable.partition.eof"
        | "enabled_events"
        | "log.queue"
        | "consume.callback.max.messages" => {
            Rests("the worker alone decides which events it is given")
        }
        "plugin.library.paths" => Rests("no foreign code changes messages in between"),
        _ => return None,
    })
}

/// Whether the value of a property must not be shown.
fn is_secret(property: &str) -> bool {
    [
        "password",
        "passphrase",
        "secret",
        ".pem",
        "ssl_key",
        "jaas",
        "oauthbearer.config",
    ]
    .iter()
    .any(|part| property.contains(part))
}

/// The properties as they may be shown.
pub(super) fn shown(properties: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    properties
        .iter()
        .map(|(property, value)| {
            let value = if is_secret(property) {
                "[secret]"
            } else {
                value
            };
            (property.as_str(), value)
        })
        .collect()
}

pub(super) fn without_secrets<S: Serializer>(
    properties: &BTreeMap<String, String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    shown(properties).serialize(serializer)
}

/// What is wrong with the pass-through.
pub(super) fn check(config: &Config, faults: &mut Vec<Fault>) {
    let kafka = &config.kafka;
    for (section, properties) in [
        ("kafka.client", &kafka.client),
        ("kafka.consumer", &kafka.consumer),
        ("kafka.producer", &kafka.producer),
    ] {
        for (property, value) in properties {
            let key = format!("{section}.{property}");
            // Empty gives up static membership, which is the one thing about it that a user may decide here.
            if section == "kafka.consumer" && property == "group.instance.id" && value.is_empty() {
                continue;
            }
            match refusal(property) {
                Some(Refusal::Setting(setting)) => faults.push(Fault::new(
                    key,
                    "has a setting of its own",
                    format!("set `{setting}` instead"),
                )),
                Some(Refusal::Rests(reason)) => faults.push(Fault::new(
                    key,
                    format!("may not be set, because a guarantee rests on it: {reason}"),
                    "remove it",
                )),
                #[cfg(feature = "service")]
                None => faults.extend(librdkafka::refusal(key, property, value)),
                #[cfg(not(feature = "service"))]
                None => {}
            }
        }
    }
    timing(config, faults);
}

/// What the times mean together: librdkafka would refuse some of this when it starts, and the rest when it is too late.
fn timing(config: &Config, faults: &mut Vec<Fault>) {
    let kafka = &config.kafka;
    let consumer = |property: &'static str| {
        in_milliseconds(
            &[
                ("kafka.consumer", &kafka.consumer),
                ("kafka.client", &kafka.client),
            ],
            property,
        )
    };
    let poll = consumer("max.poll.interval.ms");
    let session = consumer("session.timeout.ms");
    let interval = poll.as_ref().map_or(POLL_INTERVAL_MS, |(_, set)| *set);
    let timeout = session.as_ref().map_or(SESSION_TIMEOUT_MS, |(_, set)| *set);
    if let Some((key, set)) = &poll
        && *set <= LONGEST_WAIT_MS
    {
        faults.push(Fault::new(
            key,
            format!(
                "{set} ms is too short: a worker may wait {LONGEST_WAIT_MS} ms for a transaction between two polls, \
                 and would be put out of its group"
            ),
            format!("write more than {LONGEST_WAIT_MS}; librdkafka's default is {POLL_INTERVAL_MS}"),
        ));
    } else if let Some((key, _)) = session.or(poll)
        && timeout > interval
    {
        faults.push(Fault::new(
            key,
            format!(
                "session.timeout.ms ({timeout}) is longer than max.poll.interval.ms ({interval})"
            ),
            "make the session the shorter one",
        ));
    }
    if config.delivery.guarantee != Guarantee::ExactlyOnce {
        return;
    }
    for property in ["message.timeout.ms", "delivery.timeout.ms"] {
        let sections = [
            ("kafka.producer", &kafka.producer),
            ("kafka.client", &kafka.client),
        ];
        if let Some((key, set)) = in_milliseconds(&sections, property)
            && (set == 0 || set > LONGEST_WAIT_MS)
        {
            faults.push(Fault {
                concluded_from: &["delivery.guarantee"],
                ..Fault::new(
                    key,
                    match set {
                        0 => format!(
                            "0 is without end, but a transaction lasts {LONGEST_WAIT_MS} ms"
                        ),
                        set => format!(
                            "{set} ms is longer than a transaction lasts, {LONGEST_WAIT_MS} ms"
                        ),
                    },
                    format!("write 1 to {LONGEST_WAIT_MS}, or remove it"),
                )
            });
        }
    }
}

/// A property in the first of the sections that has it, with its key there.
fn in_milliseconds(
    sections: &[(&str, &BTreeMap<String, String>)],
    property: &str,
) -> Option<(String, u64)> {
    sections.iter().find_map(|(section, properties)| {
        let value = properties.get(property)?.trim().parse().ok()?;
        Some((format!("{section}.{property}"), value))
    })
}

#[cfg(all(test, feature = "service"))]
mod tests {
    use rdkafka::ClientConfig;

    use super::*;

    fn properties(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs
            .iter()
            .map(|(property, value)| ((*property).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn told(config: &Config) -> String {
        let mut faults = Vec::new();
        check(config, &mut faults);
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        faults.join("\n")
    }

    #[test]
    fn what_librdkafka_knows_is_let_through() {
        let mut config = Config::default();
        config.kafka.client = properties(&[
            ("socket.keepalive.enable", "true"),
            ("client.rack", "eu-west-1a"),
            ("ssl.key.password", "x"),
        ]);
        config.kafka.consumer = properties(&[
            ("group.instance.id", ""),
            ("max.poll.interval.ms", "60001"),
            ("session.timeout.ms", "30000"),
            ("auto.offset.reset", "latest"),
        ]);
        config.kafka.producer = properties(&[
            ("compression.type", "zstd"),
            ("message.timeout.ms", "60000"),
            ("partitioner", "consistent"),
        ]);
        assert_eq!(told(&config), "");
    }

    #[test]
    fn what_a_guarantee_rests_on_is_refused_by_name() {
        let mut config = Config::default();
        config.kafka.client =
            properties(&[("bootstrap.servers", "a:1"), ("group.instance.id", "")]);
        config.kafka.consumer = properties(&[("enable.auto.commit", "true")]);
        config.kafka.producer = properties(&[("acks", "1")]);
        assert_eq!(
            told(&config),
            "kafka.client.bootstrap.servers: has a setting of its own; set `kafka.bootstrap_servers` instead\n\
             kafka.client.group.instance.id: has a setting of its own; set `delivery.transactional_id_prefix` \
             instead\n\
             kafka.consumer.enable.auto.commit: may not be set, because a guarantee rests on it: offsets are \
             committed only after what came before them is delivered; remove it\n\
             kafka.producer.acks: may not be set, because a guarantee rests on it: a document counts as \
             delivered when all replicas in sync have it; remove it"
        );
    }

    /// The names in `refusal` are names of librdkafka's, not misspelt ones that never meet anything.
    #[test]
    fn every_refused_property_exists_and_every_named_setting_too() {
        let native = ClientConfig::new().create_native_config().unwrap();
        let source = include_str!("properties.rs");
        let (_, rest) = source.split_once("fn refusal(").unwrap();
        let (list, _) = rest.split_once("_ => return None").unwrap();
        let words: Vec<&str> = list.split('"').skip(1).step_by(2).collect();
        let schema = super::super::schema();
        let settings: Vec<String> = super::super::settings_list::settings(&schema)
            .into_iter()
            .map(|setting| setting.key)
            .collect();
        let mut properties = 0;
        for word in words {
            match refusal(word) {
                Some(Refusal::Setting(setting)) => {
                    assert!(settings.iter().any(|key| key == setting), "{setting}");
                }
                Some(Refusal::Rests(_)) => {}
                None => continue,
            }
            properties += 1;
            // Not every build has plug-ins, and what only a topic has is not to be asked for here.
            let topics = [
                "acks",
                "request.required.acks",
                "auto.commit.enable",
                "queuing.strategy",
                "consume.callback.max.messages",
                "plugin.library.paths",
            ];
            if !topics.contains(&word) {
                let known = native.get(word).is_ok()
                    || ClientConfig::new()
                        .set(word, "")
                        .create_native_config()
                        .is_ok();
                assert!(known, "{word}");
            }
        }
        assert!(properties > 30, "{properties}");
    }

    #[test]
    fn what_librdkafka_refuses_is_told_in_its_words() {
        let mut config = Config::default();
        config.kafka.client = properties(&[("socket.keepalive.enabled", "true")]);
        config.kafka.consumer = properties(&[("session.timeout.ms", "0")]);
        config.kafka.producer = properties(&[("compression.type", "zip"), ("dr_cb", "x")]);
        assert_eq!(
            told(&config),
            "kafka.client.socket.keepalive.enabled: librdkafka has no such property; look it up in librdkafka's CONFIGURATION.md\n\
             kafka.consumer.session.timeout.ms: librdkafka refuses `0`: Configuration property \"session.timeout.ms\" value 0 is outside allowed range 1..3600000; look it up in librdkafka's CONFIGURATION.md\n\
             kafka.producer.compression.type: librdkafka refuses `zip`: Invalid value \"zip\" for configuration property \"compression.codec\"; look it up in librdkafka's CONFIGURATION.md\n\
             kafka.producer.dr_cb: librdkafka refuses `x`: Property \"dr_cb\" must be set through dedicated .._set_..() function; look it up in librdkafka's CONFIGURATION.md"
        );
    }

    #[test]
    fn times_that_would_break_the_loop_are_told() {
        let mut config = Config::default();
        config.kafka.consumer = properties(&[("max.poll.interval.ms", "60000")]);
        config.kafka.producer = properties(&[
            ("message.timeout.ms", "0"),
            ("delivery.timeout.ms", "120000"),
        ]);
        assert_eq!(
            told(&config),
            "kafka.consumer.max.poll.interval.ms: 60000 ms is too short: a worker may wait 60000 ms for a transaction between two polls, and would be put out of its group; write more than 60000; librdkafka's default is 300000\n\
             kafka.producer.message.timeout.ms: 0 is without end, but a transaction lasts 60000 ms; write 1 to 60000, or remove it\n\
             kafka.producer.delivery.timeout.ms: 120000 ms is longer than a transaction lasts, 60000 ms; write 1 to 60000, or remove it"
        );
        config.delivery.guarantee = Guarantee::AtLeastOnce;
        config.kafka.consumer = properties(&[("session.timeout.ms", "400000")]);
        assert_eq!(
            told(&config),
            "kafka.consumer.session.timeout.ms: session.timeout.ms (400000) is longer than max.poll.interval.ms (300000); make the session the shorter one"
        );
        config.kafka.client = properties(&[("max.poll.interval.ms", "500000")]);
        assert_eq!(told(&config), "");
    }
}
