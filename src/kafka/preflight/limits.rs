//! How large a message each topic takes, as the brokers say.
//!
//! Asked at the start, before there is a worker, and by `check --connect`. Only `max.message.bytes` is read.

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
