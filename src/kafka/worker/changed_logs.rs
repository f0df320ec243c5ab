//! What a worker does where a log is not what it was.

use rdkafka::TopicPartitionList;
use tracing::{info, warn};

use super::{Worker, WorkerEnd, WorkerError};
use crate::kafka::delivery;
use crate::kafka::log_change::LogChange;
use crate::kafka::place::{LeaderEpoch, Place};
use crate::kafka::positions::Position;
use crate::telemetry::metrics::ResetReason;

/// How often the leader of a log is asked where it was cut, for one position. One that never says so is older than the
/// question (KIP-320).
const MOST_QUESTIONS: u32 = 5;

impl Worker {
    /// Logs are not what they were: what was read of them before counts, and what comes next is asked anew, by clients that
    /// remember nothing of the old logs. librdkafka would not read a topic again whose leader epochs begin anew, nor a
    /// partition that it stopped.
    pub(super) fn leave_changed_logs(&mut self) -> Result<WorkerEnd, WorkerError> {
        self.unfolding = None;
        let changes = self.reader.log_changes();
        if self.reader.positions.any_in_flight() {
            self.commit()?;
        }
        let mut offsets = TopicPartitionList::new();
        for change in changes {
            match change {
                LogChange::TopicRecreated { topic } => info!(
                    topic,
                    "the topic was deleted and created again; its partitions start as new ones"
                ),
                LogChange::OutOfRange {
                    topic,
                    partition,
                    cut,
                } => {
                    if let Some(position) = self.reader.positions.of_partition(&topic, partition) {
                        let place = self.place_in_changed_log(position, cut);
                        let epoch = self.epoch_in_changed_log(position, cut);
                        delivery::add_offset_to_commit(&mut offsets, position, place, epoch);
                    }
                }
            }
        }
        if let Err(error) = self.reader.commit(&offsets) {
            // The next start meets the same log, and the same offset.
            warn!(worker = self.context.number, %error, "the new offsets after a log change were not committed");
        }
        Ok(WorkerEnd::Again)
    }

    /// With its epoch, the log's leader says at the next start where it was cut. One that only found the offset out of range
    /// was perhaps not asked, since leaders may change several times in such a change: it is, a few times. Without an epoch,
    /// the next start goes by where the log begins and ends.
    fn epoch_in_changed_log(&self, position: &Position, cut: Option<i64>) -> LeaderEpoch {
        let partition = (position.topic.clone(), position.partition);
        let key = (partition, position.settled.offset);
        let mut asked = self.context.truncation_questions.lock();
        let times = asked.entry(key).or_default();
        *times += 1;
        position
            .settled_epoch
            .filter(|_| cut.is_none() && *times <= MOST_QUESTIONS)
    }

    /// Where a partition goes on whose position is not within its log any more.
    fn place_in_changed_log(&self, position: &Position, cut: Option<i64>) -> Place {
        let settled = position.settled;
        let Some(cut) = cut.filter(|cut| *cut < settled.offset) else {
            return settled;
        };
        self.context.metrics.offset_reset(ResetReason::Truncated);
        warn!(
            topic = position.topic,
            partition = position.partition,
            reason = ResetReason::Truncated.as_str(),
            position = settled.offset,
            goes_on_at = cut,
            messages_gone = settled.offset - cut,
            messages_read_again = 0,
            "the log was truncated: messages that were read are gone, and new messages take their offsets"
        );
        Place::at(cut)
    }
}
