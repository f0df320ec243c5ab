//! What the group has committed: the form that it is kept in, and how it is asked for.
//!
//! An offset alone does not say which topic it is of, nor how much of the message at it is done: both are kept beside it, as
//! its metadata, and change in the same moment. What is committed is made in [`super::delivery`]; nothing is committed here.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::ffi::admin::{self, ByPartition, GroupOffset};
use super::place::{LeaderEpoch, Partition};

/// What is kept beside a committed offset, as its metadata.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OffsetMetadata {
    /// The id of the topic that the offset is of; none where the brokers told none.
    pub topic_id: Option<String>,
    /// How many elements of the message at the offset are done.
    pub elements: u32,
    /// Of the topic of steps: the offset from which on it has to be read to remember what was remembered here.
    pub remembered_from: Option<i64>,
}

/// What our metadata begins with; anything else was not written by this program.
const VERSION: &str = "trailtag/1";

impl OffsetMetadata {
    /// As metadata of an offset.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = VERSION.to_owned();
        if let Some(id) = &self.topic_id {
            text.push_str(" topic_id=");
            text.push_str(id);
        }
        if self.elements > 0 {
            // Writing to a string cannot fail.
            let _ = write!(text, " elements_done={}", self.elements);
        }
        if let Some(offset) = self.remembered_from {
            let _ = write!(text, " remembered_from={offset}");
        }
        text
    }

    /// What a group's metadata says; nothing where another program wrote it.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut words = text.split(' ');
        if words.next() != Some(VERSION) {
            return Self::default();
        }
        let mut metadata = Self::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "topic_id" => metadata.topic_id = Some(value.to_owned()),
                "elements_done" => metadata.elements = value.parse().unwrap_or(0),
                "remembered_from" => metadata.remembered_from = value.parse().ok(),
                _ => {}
            }
        }
        metadata
    }
}

/// What the group committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset of the next message.
    pub offset: i64,
    /// The leader epoch of the message before it.
    pub epoch: LeaderEpoch,
    /// What stands beside it.
    pub metadata: OffsetMetadata,
}

impl From<GroupOffset> for CommittedOffset {
    fn from(found: GroupOffset) -> Self {
        Self {
            offset: found.offset,
            epoch: found.epoch,
            metadata: OffsetMetadata::parse(&found.metadata),
        }
    }
}

/// Asks the group for the offsets that it has committed, through a client that is no member of it.
pub(super) struct CommittedOffsets<'a, C: ConsumerContext> {
    pub(super) client: &'a BaseConsumer<C>,
    /// How many partitions one question is about.
    pub(super) at_once: usize,
    /// How long the answer to one question is waited for.
    pub(super) timeout: Duration,
    /// The brokers answer other questions.
    pub(super) do_brokers_answer: bool,
    /// Nobody waits for the answer any more.
    pub(super) is_over: &'a AtomicBool,
}

impl<C: ConsumerContext> CommittedOffsets<'_, C> {
    /// The offset of each partition; none where the group has committed nothing. librdkafka asks for it again and again while a
    /// transaction is open on one of the offsets, and says nothing of the others: then each is asked for by itself.
    ///
    /// This is not an admin request, since one that is given up before the coordinator is found ends the process
    /// ([`admin::describe_group`]).
    pub(super) fn ask(
        &self,
        partitions: &[Partition],
    ) -> Result<ByPartition<Option<CommittedOffset>>, RDKafkaErrorCode> {
        let mut all = ByPartition::new();
        for some in partitions.chunks(self.at_once.max(1)) {
            let mut list = TopicPartitionList::with_capacity(some.len());
            for (topic, partition) in some {
                list.add_partition(topic, *partition);
            }
            match self.client.committed_offsets(list, self.timeout) {
                Ok(list) => {
                    let found = admin::committed_in(&list).into_iter();
                    let parsed = |offset: Option<GroupOffset>| offset.map(CommittedOffset::from);
                    all.extend(found.map(|(partition, offset)| (partition, offset.map(parsed))));
                }
                Err(error) => {
                    let code = error
                        .rdkafka_error_code()
                        .unwrap_or(RDKafkaErrorCode::Unknown);
                    let [partition] = some else {
                        return Err(code);
                    };
                    // Others are answered, or other questions: most probably a transaction is open on this one.
                    let code = match code {
                        RDKafkaErrorCode::OperationTimedOut if self.do_brokers_answer => {
                            RDKafkaErrorCode::UnstableOffsetCommit
                        }
                        code => code,
                    };
                    all.insert(partition.clone(), Err(code));
                }
            }
            if self.is_over.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_comes_back_and_that_of_others_says_nothing() {
        for metadata in [
            OffsetMetadata::default(),
            OffsetMetadata {
                topic_id: Some("q0eyFg-_SyGpr3D1HGRDmg".to_owned()),
                elements: 0,
                remembered_from: None,
            },
            OffsetMetadata {
                topic_id: Some("q0eyFg-_SyGpr3D1HGRDmg".to_owned()),
                elements: u32::MAX,
                remembered_from: Some(i64::MAX),
            },
        ] {
            assert_eq!(OffsetMetadata::parse(&metadata.to_text()), metadata);
        }
        for text in ["", "topic_id=x elements_done=3", "trailtag/2 topic_id=x"] {
            assert_eq!(
                OffsetMetadata::parse(text),
                OffsetMetadata::default(),
                "{text}"
            );
        }
    }
}
