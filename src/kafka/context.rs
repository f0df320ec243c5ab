//! What a worker is given of its surroundings.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::outage::Outage;
use super::place::Partition;
use super::producer_epochs::ProducerEpochs;
use super::topics::{TopicIds, TopicLimits};
use crate::config::Config;
use crate::pipeline::Pipeline;
use crate::telemetry::health::WorkerHealth;
use crate::telemetry::metrics::Metrics;

/// How often the leader of a partition was asked where its log was cut, by the partition and the offset that is out of range.
pub type TruncationQuestions = BTreeMap<(Partition, i64), u32>;

/// Everything that a worker needs of its surroundings.
#[derive(Clone)]
pub struct WorkerContext {
    /// The configuration.
    pub config: Arc<Config>,
    /// The worker's number, counted from 0.
    pub number: usize,
    /// How many workers there are in this process.
    pub workers: usize,
    /// The pipeline in use; a new one is taken between batches.
    pub pipeline: watch::Receiver<Arc<Pipeline>>,
    /// The size limits of the topics that are written, by route, as the brokers said.
    pub limits: Arc<TopicLimits>,
    /// Whether topics have ids that can be asked for.
    pub topic_ids: TopicIds,
    /// Where counts go.
    pub metrics: Arc<Metrics>,
    /// Where the loop says that it turns.
    pub health: Arc<WorkerHealth>,
    /// Whether brokers answer, shared by all workers.
    pub outage: Arc<Outage>,
    /// What is known of this worker's producers, the earlier ones included.
    pub producer_epochs: Arc<ProducerEpochs>,
    /// How often leaders were asked where their log was cut.
    pub truncation_questions: Arc<Mutex<TruncationQuestions>>,
    /// When this is cancelled, the worker finishes what is in flight and ends.
    pub shutdown: CancellationToken,
}
