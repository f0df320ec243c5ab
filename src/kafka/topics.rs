//! What the brokers say about topics: whether they exist, how large a message they take, what we may do with them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use tracing::{info, warn};

use super::client;
use super::worker::Limits;
use crate::config::{Action, Config};

/// What a broker takes when it was not told otherwise (its `message.max.bytes`).
pub const DEFAULT_LIMIT: usize = 1_048_588;

/// The topics that are written, each once.
#[must_use]
pub fn written(config: &Config) -> Vec<&str> {
    let mut topics: Vec<&str> = config
        .routes
        .iter()
        .map(|route| route.topic.as_str())
        .collect();
    if config.unmatched.action == Action::Forward {
        topics.push(&config.unmatched.topic);
    }
    topics.push(&config.dead_letter.topic);
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// Asks how large a message each written topic takes. A topic that does not exist or does not say takes what brokers
/// take by default. Errs when no broker answers within `patience`.
pub async fn limits(
    asker: &Asker,
    config: &Config,
    patience: Duration,
) -> Result<Limits, KafkaError> {
    let topics = written(config);
    let known = asker.describe(&topics, patience).await?;
    for topic in topics.iter().filter(|topic| !known.contains_key(**topic)) {
        warn!(
            topic,
            assumed = DEFAULT_LIMIT,
            "the topic's size limit is unknown: the topic does not exist (create it; its documents wait until then), \
             or this user may not ask (needs DESCRIBE_CONFIGS); the brokers' default is assumed"
        );
    }
    info!(limits = ?known, "size limits of the output topics");
    let limit = |topic: &str| known.get(topic).copied().unwrap_or(DEFAULT_LIMIT);
    Ok(Limits {
        routes: config
            .routes
            .iter()
            .map(|route| limit(&route.topic))
            .collect(),
        unmatched: limit(&config.unmatched.topic),
        dead_letter: limit(&config.dead_letter.topic),
    })
}

/// What the client says while it asks goes to the log.
struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log("admin", level, facility, message);
    }
}

/// A client that asks, kept over the tries: on a slow network a connection takes many round trips.
pub struct Asker(AdminClient<Logged>);

impl Asker {
    /// A client that begins to connect.
    pub fn new(settings: &ClientConfig) -> Result<Self, KafkaError> {
        AdminClient::from_config_and_context(settings, Logged).map(Self)
    }

    /// The size limit of each topic for which the brokers tell it.
    pub(super) async fn describe(
        &self,
        topics: &[&str],
        patience: Duration,
    ) -> Result<BTreeMap<String, usize>, KafkaError> {
        let resources: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(patience));
        let answers = self.0.describe_configs(&resources, &options).await?;
        let mut known = BTreeMap::new();
        for (topic, answer) in topics.iter().zip(answers) {
            // The binding passes over what a broker says of one topic alone: then the answer is empty.
            let limit = answer.ok().and_then(|resource| {
                let entry = resource.get("max.message.bytes")?;
                entry.value.as_ref()?.parse().ok()
            });
            if let Some(limit) = limit {
                known.insert((*topic).to_owned(), limit);
            }
        }
        Ok(known)
    }
}
