//! `check --connect`: do the topics that are written take what the topics that are read can bring.
//!
//! Nothing of it is a fault: what does not fit goes to the dead-letter topic, and there in parts. It is said so that
//! nobody finds out by it.

use std::collections::BTreeMap;

use rdkafka::error::KafkaError;

use super::connect;
use super::limits::{LimitsClient, size_limits};
use super::step_topic;
use crate::config::{Action, Config};
use crate::kafka::client::{self, ClientError};
use crate::kafka::dead_letters::{LEAST_LIMIT, most_added};
use crate::kafka::topics;

/// Why topics cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum SizesError {
    /// The client's settings cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No broker answers.
    #[error("the brokers do not return the topics' size limits")]
    Unanswered(#[source] KafkaError),
}

/// Asks the brokers how large a message each topic takes, and how long that of steps keeps them; returns what will not fit and
/// what to set, a line each.
pub async fn notes(config: &Config) -> Result<Vec<String>, SizesError> {
    let settings = client::common(config)?;
    let mut names = topics::written(config);
    names.extend(config.kafka.topics.iter().map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let asked = async {
        LimitsClient::new(&settings)?
            .settings(&names, connect::PATIENCE)
            .await
    };
    let settings = asked.await.map_err(SizesError::Unanswered)?;
    let mut notes = compare(config, &names, &size_limits(&settings));
    notes.extend(step_topic::notes(config, &settings));
    Ok(notes)
}

fn compare(config: &Config, names: &[&str], known: &BTreeMap<String, usize>) -> Vec<String> {
    let mut notes = Vec::new();
    let unknown: Vec<&str> = names
        .iter()
        .copied()
        .filter(|name| !known.contains_key(*name))
        .collect();
    if !unknown.is_empty() {
        notes.push(format!(
            "the size limit (max.message.bytes) of {} is unknown and was not compared: it needs DESCRIBE_CONFIGS",
            unknown.join(", ")
        ));
    }
    let inputs = || {
        config
            .kafka
            .topics
            .iter()
            .filter_map(|name| Some((name, *known.get(name)?)))
    };
    let Some((input, most)) = inputs().max_by_key(|(_, limit)| *limit) else {
        return notes;
    };
    let command = |topic: &str, bytes: usize| {
        format!(
            "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {topic} \
             --add-config max.message.bytes={bytes}",
            config.kafka.bootstrap_servers.join(",")
        )
    };

    let mut outputs: Vec<(String, &str)> = config
        .routes
        .iter()
        .enumerate()
        .map(|(place, route)| (format!("routes[{place}].topic"), route.topic.as_str()))
        .collect();
    if config.unmatched.action == Action::Forward {
        outputs.push(("unmatched.topic".to_owned(), &config.unmatched.topic));
    }
    for (key, topic) in outputs {
        if let Some(takes) = known.get(topic).filter(|takes| **takes < most) {
            notes.push(format!(
                "{key}: topic {topic} takes {takes} bytes a message, topic {input} {most}: what becomes larger than that goes \
                 to the dead-letter topic; to have it forwarded: {}",
                command(topic, most)
            ));
        }
    }

    let topic = config.dead_letter.topic.as_str();
    let needed = inputs()
        .map(|(name, limit)| limit.saturating_add(most_added(name)))
        .max()
        .unwrap_or(most);
    if let Some(takes) = known.get(topic).filter(|takes| **takes < needed) {
        let what = if *takes < LEAST_LIMIT {
            "which is less than dead letters need for their headers: the first one stops its partition"
        } else {
            "a larger one goes without the headers and the key of its message, or in parts"
        };
        notes.push(format!(
            "dead_letter.topic: topic {topic} takes {takes} bytes a message, a dead letter of topic {input} may have {needed}: \
             {what}; to have all in one piece: {}",
            command(topic, needed)
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said where the input, the output and the dead-letter topic take this much.
    fn said(
        input: Option<usize>,
        output: Option<usize>,
        dead_letters: Option<usize>,
    ) -> Vec<String> {
        let config = Config::default();
        let sizes = [
            ("cloudtrail", input),
            ("trailtag.findings", output),
            ("trailtag.dead-letter", dead_letters),
        ];
        let names = sizes.map(|(name, _)| name);
        let known = sizes
            .into_iter()
            .filter_map(|(name, size)| Some((name.to_owned(), size?)));
        compare(&config, &names, &known.collect())
    }

    #[test]
    fn topics_that_take_enough_are_not_mentioned() {
        let enough = 1_000_000 + most_added("cloudtrail");
        assert!(said(Some(1_000_000), Some(1_000_000), Some(enough)).is_empty());
    }

    #[test]
    fn both_sizes_and_the_command_are_said() {
        let notes = said(Some(1_000_000), Some(400_000), Some(1_000_000));
        let [output, dead_letters] = notes.as_slice() else {
            panic!("{notes:?}");
        };
        assert_eq!(
            output,
            "routes[0].topic: topic trailtag.findings takes 400000 bytes a message, topic cloudtrail 1000000: what becomes \
             larger than that goes to the dead-letter topic; to have it forwarded: kafka-configs.sh --bootstrap-server \
             localhost:9092 --alter --entity-type topics --entity-name trailtag.findings --add-config max.message.bytes=1000000"
        );
        let needed = 1_000_000 + most_added("cloudtrail");
        assert_eq!(
            dead_letters,
            &format!(
                "dead_letter.topic: topic trailtag.dead-letter takes 1000000 bytes a message, a dead letter of topic cloudtrail \
                 may have {needed}: a larger one goes without the headers and the key of its message, or in parts; to have all \
                 in one piece: kafka-configs.sh --bootstrap-server localhost:9092 --alter --entity-type topics --entity-name \
                 trailtag.dead-letter --add-config max.message.bytes={needed}"
            )
        );
    }

    #[test]
    fn a_dead_letter_topic_that_takes_no_headers_is_said_to_stop_partitions() {
        let notes = said(Some(1_000_000), None, Some(200));
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(
            notes[0].contains("trailtag.findings is unknown"),
            "{notes:?}"
        );
        assert!(notes[1].contains("stops its partition"), "{notes:?}");
    }
}
