//! What has come out so far, read on and on while a row runs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::check::{Source, of_dead_letter, of_document};
use super::cluster::Cluster;
use super::support::topics::owned;
use super::support::unique;

const REQUEST: Duration = Duration::from_secs(10);

/// Where a `read_committed` reader stands in a topic.
pub(crate) struct Tail {
    topic: String,
    /// By partition.
    next: Vec<i64>,
}

impl Tail {
    fn new(topic: &str, partitions: usize) -> Self {
        Self {
            topic: topic.into(),
            next: vec![0; partitions],
        }
    }

    /// Reads what is there by now.
    fn read_on(&mut self, cluster: &Cluster, origins: &mut BTreeSet<Source>) -> Result<(), String> {
        // A new one each time: what an older one still has to tell of an end would be taken for this one's.
        let reader = self.open(cluster)?;
        let mut ends = BTreeMap::new();
        for (partition, next) in self.next.iter().enumerate() {
            let number = i32::try_from(partition).unwrap();
            let (_, end) = reader
                .fetch_watermarks(&self.topic, number, REQUEST)
                .map_err(|error| error.to_string())?;
            if *next < end {
                ends.insert(number, end);
            }
        }
        let start = Instant::now();
        while !ends.is_empty() {
            if start.elapsed() > REQUEST {
                return Err(format!("{}: nothing came", self.topic));
            }
            let message = match reader.poll(Duration::from_millis(500)) {
                None => continue,
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    // Marks of transactions may stand there, which nobody sees; or it is a new leader that does not know
                    // yet how much all have. So the next look begins behind the last message.
                    ends.remove(&partition);
                    continue;
                }
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(message)) => {
                    let message = owned(&message);
                    let letter = of_dead_letter(&message).map(|(source, _)| source);
                    origins.extend(of_document(&message).or(letter));
                    self.next[usize::try_from(message.partition).unwrap()] = message.offset + 1;
                    message
                }
            };
            let end = ends.get(&message.partition);
            if end.is_some_and(|end| message.offset + 1 >= *end) {
                ends.remove(&message.partition);
            }
        }
        Ok(())
    }

    fn open(&self, cluster: &Cluster) -> Result<BaseConsumer, String> {
        let reader = cluster.broker().reader(&unique("tail"), "read_committed");
        let mut assignment = TopicPartitionList::new();
        for (partition, next) in self.next.iter().enumerate() {
            assignment
                .add_partition_offset(
                    &self.topic,
                    i32::try_from(partition).unwrap(),
                    Offset::Offset(*next),
                )
                .map_err(|error| error.to_string())?;
        }
        reader
            .assign(&assignment)
            .map_err(|error| error.to_string())?;
        Ok(reader)
    }
}

/// What has come out of a row so far.
pub(crate) struct Progress {
    tails: Vec<Tail>,
    origins: BTreeSet<Source>,
}

impl Progress {
    pub(crate) fn new(topics: &[(&str, usize)]) -> Self {
        Self {
            tails: topics
                .iter()
                .map(|(topic, partitions)| Tail::new(topic, *partitions))
                .collect(),
            origins: BTreeSet::new(),
        }
    }

    /// What of these has not come out yet: how many, and the first.
    pub(crate) fn missing<'a>(
        &mut self,
        cluster: &Cluster,
        required: impl Iterator<Item = &'a Source>,
    ) -> Result<(), String> {
        for tail in &mut self.tails {
            tail.read_on(cluster, &mut self.origins)?;
        }
        let missing: Vec<&Source> = required
            .filter(|source| !self.origins.contains(source))
            .collect();
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(format!(
                "{} did not come out, such as {first:?}",
                missing.len()
            )),
        }
    }

    /// How many have come out.
    pub(crate) fn count(&self) -> usize {
        self.origins.len()
    }
}
