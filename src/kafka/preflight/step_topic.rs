//! `check --connect`: does the topic of steps keep what sequences need, and take what the input can bring.
//!
//! State is not stored but read back from this topic, so what the topic drops too early is forgotten at the next restart.

use std::time::Duration;

use super::limits::{TopicSettings, size_limits};
use crate::config::Config;

/// How much longer than steps are remembered they should be kept: an outage that begins before a weekend.
const OUTAGE: Duration = Duration::from_hours(72);

/// What is wrong with the settings of the topic of steps and what to set, a line each.
pub(super) fn notes(config: &Config, settings: &TopicSettings) -> Vec<String> {
    let topic = config.sequences.topic.as_str();
    let Some(values) = settings.get(topic).filter(|_| !topic.is_empty()) else {
        return Vec::new();
    };
    let value = |name: &str| values.get(name).map(String::as_str);
    let command = |setting: &str| {
        format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} --add-config {setting}",
            config.kafka.bootstrap_servers.join(",")
        )
    };
    let mut notes = Vec::new();

    if value("cleanup.policy").is_some_and(|policy| policy.contains("compact")) {
        notes.push(format!(
            "sequences.topic: topic {topic} has cleanup.policy={}: of the steps of one group it keeps only the last, so that \
             sequences are missed after a restart; to keep all: {}",
            value("cleanup.policy").unwrap_or_default(),
            command("cleanup.policy=delete")
        ));
    }

    let needed = config
        .sequences
        .window
        .saturating_add(config.sequences.lateness);
    // Below zero, they are kept for ever.
    let kept = value("retention.ms").and_then(|millis| millis.parse::<i64>().ok());
    let kept = kept.and_then(|millis| u64::try_from(millis).ok());
    if let Some(kept) = kept
        .map(Duration::from_millis)
        .filter(|kept| *kept < needed)
    {
        notes.push(format!(
            "sequences.topic: topic {topic} keeps messages for {} (retention.ms), steps are remembered for {} \
             (sequences.window and sequences.lateness): a restart forgets what is gone; to keep them for as long, and three \
             days of an outage: {}",
            humantime::format_duration(kept),
            humantime::format_duration(needed),
            command(&format!("retention.ms={}", needed.saturating_add(OUTAGE).as_millis()))
        ));
    }

    let limits = size_limits(settings);
    let inputs = config.kafka.topics.iter();
    let largest = inputs
        .filter_map(|name| Some((*limits.get(name)?, name)))
        .max_by_key(|(limit, _)| *limit);
    if let (Some((most, input)), Some(takes)) = (largest, limits.get(topic))
        && *takes < most
    {
        notes.push(format!(
            "sequences.topic: topic {topic} takes {takes} bytes a message, topic {input} {most}: a step holds its record, and one \
             that is larger is left out of sequences; to take all: {}",
            command(&format!("max.message.bytes={most}"))
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: &str = "1000000";

    /// What is said of a topic of steps with these settings.
    fn said(topic: &str, settings: &[(&str, &str)]) -> Vec<String> {
        let mut config = Config::default();
        topic.clone_into(&mut config.sequences.topic);
        let owned = |settings: &[(&str, &str)]| {
            let owned = settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            owned.collect()
        };
        let known = TopicSettings::from([
            (
                "cloudtrail".to_owned(),
                owned(&[("max.message.bytes", MOST)]),
            ),
            ("steps".to_owned(), owned(settings)),
        ]);
        notes(&config, &known)
    }

    #[test]
    fn a_topic_that_keeps_and_takes_enough_is_not_mentioned() {
        let hour_and_a_quarter = ("retention.ms", "4500000");
        for settings in [
            &[
                ("cleanup.policy", "delete"),
                hour_and_a_quarter,
                ("max.message.bytes", MOST),
            ][..],
            &[("retention.ms", "-1"), ("max.message.bytes", "2000000")],
            // Who may not ask is told so beside this.
            &[],
        ] {
            assert!(said("steps", settings).is_empty(), "{settings:?}");
        }
        let wrong = [("cleanup.policy", "compact")];
        assert!(said("", &wrong).is_empty(), "there is no such topic");
    }

    #[test]
    fn what_is_lost_and_the_command_are_said() {
        let settings = [
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "4499999"),
            ("max.message.bytes", "999999"),
        ];
        let notes = said("steps", &settings);
        let [compacted, retention, size] = notes.as_slice() else {
            panic!("{notes:?}");
        };
        let end = |note: &str, setting: &str| {
            note.ends_with(&format!(
                "kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name steps \
                 --add-config {setting}"
            ))
        };
        assert!(
            compacted.contains("cleanup.policy=compact,delete"),
            "{compacted}"
        );
        assert!(end(compacted, "cleanup.policy=delete"), "{compacted}");
        for part in ["1h 14m 59s 999ms (retention.ms)", "remembered for 1h 15m"] {
            assert!(retention.contains(part), "{retention}");
        }
        assert!(end(retention, "retention.ms=263700000"), "{retention}");
        assert!(
            size.contains("takes 999999 bytes a message, topic cloudtrail 1000000"),
            "{size}"
        );
        assert!(end(size, "max.message.bytes=1000000"), "{size}");
    }
}
