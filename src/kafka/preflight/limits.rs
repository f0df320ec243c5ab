//! How large a message each topic takes, as the brokers say.
//!
//! Asked at the start, before there is a worker, and by `check --connect`. Of the topic of steps, the check also
//! reads how long it keeps them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::KafkaError;
use tracing::{info, warn};

use crate::config::Config;
use crate::kafka::events;
use crate::kafka::topics::{DEFAULT_LIMIT, TopicLimits, written};

/// Asks how large a message each written topic takes. A topic that does not exist or does not say takes what brokers
/// take by default. Errs when no broker answers within `patience`.
pub async fn ask(
    client: &LimitsClient,
    config: &Config,
    patience: Duration,
) -> Result<TopicLimits, KafkaError> {
    let topics = written(config);
    let known = client.describe(&topics, patience).await?;
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
    Ok(TopicLimits::from_topics(config, limit))
}

/// What the client says while it asks goes to the log.
struct Logged;

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        events::log("admin", level, facility, message);
    }
}

/// A client that asks, kept over the tries: on a slow network a connection takes many round trips.
pub struct LimitsClient(AdminClient<Logged>);

impl LimitsClient {
    /// A client that begins to connect.
    pub fn new(settings: &ClientConfig) -> Result<Self, KafkaError> {
        AdminClient::from_config_and_context(settings, Logged).map(Self)
    }

    /// The size limit of each topic for which the brokers tell it.
    async fn describe(
        &self,
        topics: &[&str],
        patience: Duration,
    ) -> Result<BTreeMap<String, usize>, KafkaError> {
        let settings = self.settings(topics, patience).await?;
        Ok(size_limits(&settings))
    }

    /// The settings of each topic for which the brokers tell them.
    pub(super) async fn settings(
        &self,
        topics: &[&str],
        patience: Duration,
    ) -> Result<TopicSettings, KafkaError> {
        let resources: Vec<_> = topics
            .iter()
            .map(|topic| ResourceSpecifier::Topic(topic))
            .collect();
        let options = AdminOptions::new().request_timeout(Some(patience));
        let answers = self.0.describe_configs(&resources, &options).await?;
        let mut known = TopicSettings::new();
        for (topic, answer) in topics.iter().zip(answers) {
            // The binding passes over what a broker says of one topic alone: then the answer is empty.
            let entries = answer.map(|resource| resource.entries).unwrap_or_default();
            let values = entries
                .into_iter()
                .filter_map(|entry| Some((entry.name, entry.value?)));
            known.insert((*topic).to_owned(), values.collect());
        }
        Ok(known)
    }
}

/// What brokers say of topics: the values of their settings, by name.
pub(super) type TopicSettings = BTreeMap<String, BTreeMap<String, String>>;

/// The size limit of each topic that says it.
pub(super) fn size_limits(settings: &TopicSettings) -> BTreeMap<String, usize> {
    let limits = settings.iter().filter_map(|(topic, values)| {
        let limit = values.get("max.message.bytes")?.parse().ok()?;
        Some((topic.clone(), limit))
    });
    limits.collect()
}
