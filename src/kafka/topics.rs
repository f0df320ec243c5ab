//! The topics that are read and written: their names, and how large a message each takes; and whether topic ids are asked for.

use crate::config::{Action, Config};

/// What a broker takes when it was not told otherwise (its `message.max.bytes`).
pub const DEFAULT_LIMIT: usize = 1_048_588;

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A route, by its number in the configuration.
    Route(usize),
    /// The topic for messages in which nothing matched.
    Unmatched,
    /// The topic for what cannot be read or sent.
    DeadLetter,
    /// The topic of the steps of sequences.
    Steps,
}

impl Target {
    /// The topic.
    #[must_use]
    pub fn topic(self, config: &Config) -> &str {
        match self {
            Self::Route(route) => config.routes.get(route).map_or("", |route| &route.topic),
            Self::Unmatched => &config.unmatched.topic,
            Self::DeadLetter => &config.dead_letter.topic,
            Self::Steps => &config.sequences.topic,
        }
    }

    /// The name in metrics and logs.
    #[must_use]
    pub fn name(self, config: &Config) -> &str {
        match self {
            Self::Route(route) => config.routes.get(route).map_or("", |route| &route.name),
            Self::Unmatched => "unmatched",
            Self::DeadLetter => "dead_letter",
            Self::Steps => "sequences",
        }
    }

    /// The largest message that its topic takes.
    #[must_use]
    pub fn limit(self, limits: &TopicLimits) -> usize {
        match self {
            Self::Route(route) => limits.routes.get(route).copied().unwrap_or(usize::MAX),
            Self::Unmatched => limits.unmatched,
            Self::DeadLetter => limits.dead_letter,
            Self::Steps => limits.steps,
        }
    }
}

/// The largest message that each output topic takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicLimits {
    /// By route.
    pub routes: Vec<usize>,
    /// The topic of unmatched messages.
    pub unmatched: usize,
    /// The dead-letter topic.
    pub dead_letter: usize,
    /// The topic of steps.
    pub steps: usize,
}

impl TopicLimits {
    /// What brokers take when they were not told otherwise.
    #[must_use]
    pub fn default_of_brokers(config: &Config) -> Self {
        Self::from_topics(config, |_| DEFAULT_LIMIT)
    }

    /// What `limit` says of each topic.
    pub(super) fn from_topics(config: &Config, limit: impl Fn(&str) -> usize) -> Self {
        Self {
            routes: config
                .routes
                .iter()
                .map(|route| limit(&route.topic))
                .collect(),
            unmatched: limit(&config.unmatched.topic),
            dead_letter: limit(&config.dead_letter.topic),
            steps: limit(&config.sequences.topic),
        }
    }

    pub(super) fn smallest(&self) -> usize {
        self.routes
            .iter()
            .copied()
            .chain([self.unmatched, self.dead_letter, self.steps])
            .min()
            .unwrap_or(usize::MAX)
    }
}

/// The topics that the workers read: the input, and the steps that they find in it.
#[must_use]
pub fn read(config: &Config) -> Vec<&str> {
    let steps = Some(config.sequences.topic.as_str()).filter(|topic| !topic.is_empty());
    let input = config.kafka.topics.iter().map(String::as_str);
    input.chain(steps).collect()
}

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
    if !config.sequences.topic.is_empty() {
        topics.push(&config.sequences.topic);
    }
    topics.sort_unstable();
    topics.dedup();
    topics
}

/// Whether brokers are asked for the ids of topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicIds {
    /// They are; brokers before Kafka 2.8 answer that they have none.
    Asked,
    /// librdkafka's mock cluster names a controller that is not there, to which such questions go.
    Unknown,
}

impl TopicIds {
    /// Limits that are known before anybody was asked are those of the mock cluster.
    #[must_use]
    pub const fn where_limits_are_known(are_known: bool) -> Self {
        if are_known {
            Self::Unknown
        } else {
            Self::Asked
        }
    }
}
