//! Partitions that were assigned, until they begin where the group goes on.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use tracing::{debug, warn};

use super::Reader;
use super::owned::Starting;
use crate::kafka::client;
use crate::kafka::ffi;
use crate::kafka::place::Partition;
use crate::kafka::start::Start;
use crate::kafka::step_log::StepLog;

/// How long a partition that was just assigned may be without its start before that is said.
const SLOW_START: Duration = Duration::from_secs(5);
/// How long a transaction may be open that holds up where partitions begin, and some time for its end.
const HELD_UP: Duration = Duration::from_millis(client::TRANSACTION_TIMEOUT_MS + 10_000);
/// How long the consumer may be unable to go to a partition's start.
const STUCK_START: Duration = Duration::from_secs(10);

impl Reader {
    /// Partitions that were assigned stand still until it is known where the group goes on.
    ///
    /// That is asked once no commit is under way. Its offsets may be of the same partition, which was lost and came back
    /// while it waited for a broker, and the group may take them after it was asked: they would be read, and sent, again.
    pub(super) fn wait_for_starts(&mut self, partitions: Vec<Partition>) {
        for partition in partitions {
            let starting = Starting {
                question: None,
                since: Instant::now(),
                start: None,
                is_given: false,
            };
            self.owned.assign(partition, starting);
        }
        if !self.held {
            self.ask_for_starts();
        }
    }

    /// Asks for all starts, where there are some that nobody has asked for.
    pub(super) fn ask_for_starts(&mut self) {
        if self.owned.starting().all(|(_, it)| it.question.is_some()) {
            return;
        }
        let question = self.start_offsets.ask(self.starting());
        self.owned.asked(question);
    }

    /// The partitions that wait for their start.
    pub(super) fn starting(&self) -> Vec<Partition> {
        let starting = self.owned.starting();
        starting.map(|(partition, _)| partition.clone()).collect()
    }

    /// Whether partitions wait for their start.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.owned.count_starting() > 0
    }

    /// Lets partitions begin whose start has become known. Errs when the consumer does not go there.
    pub fn begin_known(&mut self) -> Result<(), KafkaError> {
        if self.start_offsets.is_unsent() {
            self.start_offsets.ask(self.starting());
        }
        while let Some(answer) = self.start_offsets.answer() {
            for (partition, start) in answer.starts {
                // Since then it may have been another member's, which went on from there.
                if let Some(starting) = self.owned.find_starting(&partition)
                    && starting
                        .question
                        .is_some_and(|question| question <= answer.number)
                {
                    starting.start.get_or_insert(start);
                }
            }
            let is_unstable = answer.problem.as_ref().is_some_and(|it| it.is_unstable);
            self.unstable_since =
                is_unstable.then(|| self.unstable_since.unwrap_or_else(Instant::now));
            self.no_start_reason = answer.problem.map(|it| it.why).unwrap_or_default();
        }
        if !self.is_waiting() {
            return Ok(());
        }
        self.say_slow_start();
        if self.held {
            // They would flow.
            return Ok(());
        }
        let known: Vec<_> = self
            .owned
            .starting()
            .filter_map(|(partition, starting)| Some((partition.clone(), starting.start.clone()?)))
            .collect();
        self.give(&known)?;
        // With the leader epoch that goes with it, the broker says whether its log still has what came before.
        let targets = known.iter().map(|(partition, start)| {
            let (offset, epoch) = start.read_from();
            (partition.clone(), offset, epoch)
        });
        let refused = self.try_seek(targets)?;
        let mut begun = Vec::new();
        for (partition, start) in known {
            if let Some(error) = refused.get(&partition) {
                // The client is still ending with it, from the last time that it was ours.
                let is_stuck = self
                    .owned
                    .find_starting(&partition)
                    .is_some_and(|starting| starting.since.elapsed() > STUCK_START);
                if is_stuck {
                    return Err(error.clone());
                }
                continue;
            }
            self.owned.begin(&partition);
            self.say_start(&partition, &start);
            let steps = self.steps_of(&partition.0, &start);
            self.positions
                .begin(&partition.0, partition.1, &start, steps);
            begun.push(partition);
        }
        // librdkafka keeps a pause beyond the assignment.
        if !self.resume(&begun) {
            return Err(KafkaError::PauseResume("cannot begin".to_owned()));
        }
        if !self.is_waiting() {
            self.no_start_reason.clear();
            self.unstable_since = None;
            self.health.waits_for_starts(None);
        }
        Ok(())
    }

    /// Gives the client partitions to read, not before their start. It would fetch from there before it asks the leader
    /// whether the log still has what came before, which it does when it is sent to the place itself: where that is not in
    /// the log, the fetch would say so first, and nobody where the log was cut.
    fn give(&mut self, known: &[(Partition, Start)]) -> Result<(), KafkaError> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in known {
            if let Some(starting) = self.owned.find_starting(partition)
                && !starting.is_given
            {
                starting.is_given = true;
                let (offset, epoch) = start.read_from();
                let epoch = epoch.filter(|_| start.within == offset);
                ffi::add_offset(
                    &mut list,
                    &partition.0,
                    partition.1,
                    start.within,
                    epoch,
                    "",
                )?;
            }
        }
        if list.count() > 0 {
            self.consumer.incremental_assign(&list)?;
        }
        Ok(())
    }

    /// What is remembered of a partition, if it is one of the topic of steps.
    fn steps_of(&self, topic: &str, start: &Start) -> Option<Box<StepLog>> {
        let is_of_steps = topic == self.sequences.topic;
        is_of_steps.then(|| Box::new(StepLog::new(&self.sequences, start)))
    }

    /// Whether an open transaction keeps partitions from their start for longer than one can be open. Says so once, and again
    /// after as long.
    pub fn is_held_up(&mut self) -> bool {
        let is_held_up = self
            .unstable_since
            .is_some_and(|since| since.elapsed() > HELD_UP);
        if is_held_up {
            self.unstable_since = Some(Instant::now());
        }
        is_held_up
    }

    /// One of this worker's partitions, whichever.
    #[must_use]
    pub(in crate::kafka) fn any_partition(&self) -> Option<Partition> {
        self.owned.any()
    }

    /// A partition that waits for long says so, once for each reason.
    fn say_slow_start(&self) {
        let slow = self
            .owned
            .starting()
            .filter(|(_, starting)| starting.since.elapsed() > SLOW_START)
            .count();
        if slow == 0 {
            return;
        }
        let why = if self.no_start_reason.is_empty() {
            "no answer yet"
        } else {
            &self.no_start_reason
        };
        if self.health.waits_for_starts(Some(why)) {
            warn!(
                worker = self.worker,
                partitions = slow,
                why,
                "partitions wait: the brokers have not returned their start offsets"
            );
        }
    }

    fn say_start(&self, (topic, partition): &Partition, start: &Start) {
        debug!(worker = self.worker, topic, partition, place = ?start.place, "partition starts");
        if let Some(reset) = &start.reset {
            self.metrics.offset_reset(reset.reason);
            warn!(
                topic,
                partition,
                reason = reset.reason.as_str(),
                committed = reset.from,
                goes_on_at = start.place.offset,
                messages_gone = reset.gone,
                messages_read_again = reset.again,
                "the log has changed since the group committed its offset"
            );
        }
    }
}
