//! What the library says of logs that are not what they were.
//!
//! librdkafka tells an application that it will not go on with a partition, and neither which partition nor where the log was
//! cut; that a topic was made again it tells nobody, and goes on at the old offset (a remark in its
//! `rd_kafka_topic_metadata_update` says so). Both stand in lines of its debug context `topic`, which come through the
//! queue of the consumer, before the first message that was fetched after them. Tests hold the lines against the bundled
//! version.

/// Something that makes old positions worthless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LogChange {
    /// Another topic has the name now.
    TopicRecreated {
        /// The name.
        topic: String,
    },
    /// The position is not within the log any more, and the library has stopped to read the partition.
    OutOfRange {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the log was cut, where its leader could say so.
        cut: Option<i64>,
    },
}

/// The debug context that has these lines.
pub(super) const CONTEXT: &str = "topic";

/// What the library says where a position is not within the log: it was told so when it asked for messages, or when it asked
/// whether the log still has what came before.
const REASONS: [&str; 3] = [
    "requested offset not available",
    "log truncation detected",
    "No epoch found",
];

/// The id of a topic of which none is known yet.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

impl LogChange {
    /// What a line of librdkafka's log says.
    pub(super) fn parse_line(facility: &str, line: &str) -> Option<Self> {
        // Lines begin with the name of the thread.
        let line = line
            .strip_prefix("[thrd:")
            .and_then(|line| line.split_once("]: "))
            .map_or(line, |(_, line)| line);
        match facility {
            "METADATA" => {
                let (topic, ids) = line
                    .strip_prefix("Topic ")?
                    .split_once(" changed id from ")?;
                let (old, _) = ids.split_once(" to ")?;
                (old != NO_ID).then(|| Self::TopicRecreated {
                    topic: topic.to_owned(),
                })
            }
            "OFFSET" => {
                let (place, why) = line.split_once("]: offset reset (at ")?;
                let (topic, partition) = place.rsplit_once(" [")?;
                // Other reasons are about questions of the library's own.
                if !REASONS.iter().any(|reason| why.contains(reason)) {
                    return None;
                }
                let cut = why
                    .split_once("Partition log truncation detected at ")
                    .and_then(|(_, cut)| cut.split_once("broker end offset is "))
                    .and_then(|(_, cut)| cut.split_once(' '))
                    .and_then(|(cut, _)| cut.parse().ok());
                Some(Self::OutOfRange {
                    topic: topic.to_owned(),
                    partition: partition.parse().ok()?,
                    cut,
                })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_that_was_made_again_is_one_whose_id_was_known() {
        let line = "[thrd:main]: Topic in.put changed id from q0eyFg-_SyGpr3D1HGRDmg to dw-j6ohqR3KLVjEKbbY9xQ";
        let topic = "in.put".to_owned();
        let change = LogChange::parse_line("METADATA", line);
        assert_eq!(change, Some(LogChange::TopicRecreated { topic }));
        let first = "[thrd:main]: Topic in changed id from AAAAAAAAAAAAAAAAAAAAAA to dw-j6ohqR3KLVjEKbbY9xQ";
        assert_eq!(LogChange::parse_line("METADATA", first), None);
        let other = "[thrd:main]: Topic in [0] Leader 1 Epoch 3";
        assert_eq!(LogChange::parse_line("METADATA", other), None);
    }

    #[test]
    fn a_partition_out_of_range_is_named_with_where_its_log_was_cut() {
        let out_of_range = |cut| {
            Some(LogChange::OutOfRange {
                topic: "in".to_owned(),
                partition: 12,
                cut,
            })
        };
        let line = "[thrd:main]: in [12]: offset reset (at offset 472 (leader epoch 0), broker 1) to offset INVALID (leader epoch -1): fetch failed due to requested offset not available on the broker: Broker: Offset out of range";
        assert_eq!(LogChange::parse_line("OFFSET", line), out_of_range(None));
        let line = "[thrd:main]: in [12]: offset reset (at offset INVALID (leader epoch 1), broker 1) to offset INVALID (leader epoch -1): Partition log truncation detected at offset 472 (leader epoch 0): broker end offset is 180 (offset leader epoch 0). Reset to INVALID.: Local: Partition log truncation detected";
        assert_eq!(
            LogChange::parse_line("OFFSET", line),
            out_of_range(Some(180))
        );
        let own = "[thrd:main]: in [12]: offset reset (at offset END (leader epoch -1), broker 1) to offset INVALID (leader epoch -1): failed to query logical offset END: Broker: Topic authorization failed";
        assert_eq!(LogChange::parse_line("OFFSET", own), None);
        let other = "[thrd:main]: in [12]: setting next fetch start position from offset 1 (leader epoch 0) to offset 2 (leader epoch 0)";
        assert_eq!(LogChange::parse_line("OFFSET", other), None);
    }
}
