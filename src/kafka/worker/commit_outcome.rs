//! What becomes of a batch's positions: everything that a commit can end as, and what it asks for.
//!
//! In flows a [`DeliveryOutcome`]; out of here come positions that are settled, rewound or stopped, counts, and log lines. A
//! partition that stands still, and a message that becomes a dead letter, are never said below a warning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{error, warn};

use super::{Worker, WorkerError};
use crate::config::Guarantee;
use crate::kafka::TICK;
use crate::kafka::batch_builder::Refused;
use crate::kafka::context::WorkerContext;
use crate::kafka::dead_letters::{self, LEAST_LIMIT};
use crate::kafka::delivery::DeliveryOutcome;
use crate::kafka::outgoing::{DeliveryFailure, OutgoingMessage, Verdict, first_failures};
use crate::kafka::positions::{Position, backoff};
use crate::kafka::topics::Target;
use crate::model::dead_letter::Reason;
use crate::telemetry::metrics::Dropped;

impl Worker {
    pub(super) fn is_exactly_once(&self) -> bool {
        self.context.config.delivery.guarantee == Guarantee::ExactlyOnce
    }

    /// Sets right whatever did not work.
    pub(super) fn apply_outcome(
        &mut self,
        messages: &[OutgoingMessage],
        outcome: DeliveryOutcome,
    ) -> Result<(), WorkerError> {
        match outcome {
            DeliveryOutcome::Delivered => {
                self.failed_commits = 0;
                if !messages.is_empty() {
                    self.budget.went_through();
                }
                self.forwarded(messages.iter());
                let mut forgotten = 0;
                for position in self.reader.positions.iter_mut() {
                    self.context.metrics.settled(&position.settle());
                    forgotten += position.forgotten_steps();
                }
                if self.is_exactly_once() {
                    // Taken away after their offsets were in the transaction: they stand as well.
                    for position in self.reader.gone_mut() {
                        self.context.metrics.settled(&position.settle());
                        forgotten += position.forgotten_steps();
                    }
                }
                self.say_forgotten(forgotten);
                let positions = &self.reader.positions;
                self.refused.retain(|(id, offset), _| {
                    positions
                        .find(*id)
                        .is_some_and(|position| *offset >= position.settled.offset)
                });
            }
            DeliveryOutcome::Uncommitted(error) => {
                // The documents stand; only the offsets are late. The next commit includes them.
                self.forwarded(messages.iter());
                self.commit_later(&error);
                self.pause_after_failed_commit();
            }
            DeliveryOutcome::Failed {
                failures,
                uncommitted,
            } => {
                self.budget.failed();
                if let Some(error) = &uncommitted {
                    self.commit_later(error);
                }
                self.failed(messages, &failures, uncommitted.is_none())?;
            }
            DeliveryOutcome::Aborted(reason) => {
                self.budget.failed();
                warn!(
                    worker = self.context.number,
                    reason,
                    in_a_row = self.failed_commits + 1,
                    "the transaction was aborted; its messages will be read again"
                );
                self.rewind_all()?;
                self.pause_after_failed_commit();
            }
            DeliveryOutcome::Interrupted => self.rewind_all()?,
        }
        Ok(())
    }

    /// Counts steps that were forgotten before their time, and says so, not too often.
    fn say_forgotten(&mut self, steps: u64) {
        if steps > 0 {
            self.context.metrics.steps_dropped(Dropped::TooMany, steps);
        }
        if let Some(steps) = self.forgotten_steps.say(steps, Instant::now()) {
            warn!(
                worker = self.context.number,
                steps,
                max_steps = self.context.config.sequences.max_steps,
                "steps of sequences were forgotten before their time: a partition of their topic has more than max_steps of \
                 them; what they begin is not found"
            );
        }
    }

    /// What is delivered stands; its offsets go with the next commit.
    fn commit_later(&mut self, error: &KafkaError) {
        warn!(worker = self.context.number, %error, "offsets were not committed; they go with the next commit");
        self.batch.begun = Some(Instant::now());
    }

    /// Some messages were not delivered: their partitions go back to them, and wait.
    fn failed(
        &mut self,
        messages: &[OutgoingMessage],
        failures: &[DeliveryFailure],
        is_committed: bool,
    ) -> Result<(), WorkerError> {
        let stops = first_failures(messages, failures);
        let mut is_smaller = false;
        for failure in failures {
            if let Some(message) = messages.get(failure.message) {
                self.context
                    .metrics
                    .delivery_failed(message.target.name(&self.context.config), 1);
                match failure.verdict {
                    Verdict::GiveUp => self.give_up(message, failure.code),
                    Verdict::Smaller => is_smaller |= self.make_smaller(message),
                    Verdict::Retry => {}
                }
            }
        }
        if self.is_exactly_once() {
            self.return_all();
        } else {
            self.settle_what_stands(messages, &stops, is_committed);
        }
        self.stand_still(messages, failures, &stops, is_smaller);
        self.reader.seek_back().map_err(WorkerError::Consumer)
    }

    /// A broker refuses a document for what it is: its message becomes a dead letter when it is read again. A step is left
    /// out then.
    fn give_up(&mut self, message: &OutgoingMessage, code: RDKafkaErrorCode) {
        let Some(position) = self.reader.positions.find(message.position) else {
            return;
        };
        let route = message.target.name(&self.context.config).to_owned();
        let bytes = message.payload.as_ref().map_or(0, Bytes::len);
        let limit = message.target.limit(&self.context.limits);
        let what = if message.target == Target::Steps {
            self.context.metrics.steps_dropped(Dropped::Refused, 1);
            "the broker refuses a step; its record is left out of sequences"
        } else {
            "the broker refuses the document; its message goes to the dead-letter topic"
        };
        warn!(
            topic = position.topic,
            partition = position.partition,
            offset = message.place.offset,
            route,
            bytes,
            limit,
            error = %code,
            "{what}"
        );
        let reason = if code == RDKafkaErrorCode::MessageSizeTooLarge {
            Reason::DocumentTooLarge
        } else {
            Reason::RefusedByBroker
        };
        let error = format!(
            "route {route}: the broker refused the document of {bytes} bytes (limit known here: {limit} bytes): {code}"
        );
        let refused = Refused {
            index: message.index,
            target: message.target,
            reason,
            error,
        };
        self.refused
            .entry((message.position, message.place.offset))
            .or_default()
            .push(refused);
    }

    /// A broker refuses a dead letter for its size, since its topic takes less than it did at the start, or never said
    /// what it takes: the next try is smaller. False when it cannot be.
    fn make_smaller(&mut self, message: &OutgoingMessage) -> bool {
        let Some(letter) = &message.letter else {
            return false;
        };
        let Some(position) = self.reader.positions.find(message.position) else {
            return false;
        };
        let to = &self.context.config.dead_letter.topic;
        if letter.with_headers {
            warn!(
                topic = position.topic,
                partition = position.partition,
                offset = message.place.offset,
                to,
                bytes = letter.size,
                "the broker refuses the dead letter as too large; it is sent again without the headers of its message"
            );
            let refused = Refused {
                index: message.index,
                target: message.target,
                reason: letter.reason,
                error: letter.error.to_string(),
            };
            self.refused
                .entry((message.position, message.place.offset))
                .or_default()
                .push(refused);
            return true;
        }
        let known = self.context.limits.dead_letter;
        let Some(limit) = dead_letters::lowered(known, letter.size) else {
            // Another letter of this batch has lowered it already.
            return known < letter.size && known > LEAST_LIMIT;
        };
        warn!(
            topic = position.topic,
            partition = position.partition,
            offset = message.place.offset,
            to,
            bytes = letter.size,
            known,
            limit,
            "the broker refuses the dead letter as too large: dead letters are split into parts of at most `limit` bytes \
             until the next start, which asks for the topic's max.message.bytes again"
        );
        Arc::make_mut(&mut self.context.limits).dead_letter = limit;
        self.sink.send_apart(Target::DeadLetter);
        true
    }

    /// Without a transaction, everything before a partition's first failure stands; the rest of it is read again. It is
    /// settled when its offsets are committed.
    fn settle_what_stands(
        &mut self,
        messages: &[OutgoingMessage],
        stops: &BTreeMap<u64, &OutgoingMessage>,
        is_committed: bool,
    ) {
        let stands = |message: &&OutgoingMessage| {
            stops
                .get(&message.position)
                .is_none_or(|stop| message.place < stop.place)
        };
        self.forwarded(messages.iter().filter(stands));
        let metrics = &self.context.metrics;
        for position in self.reader.positions.iter_mut() {
            if let Some(failed) = stops.get(&position.id) {
                metrics.returned(&position.rewind(failed.place, failed.epoch, &failed.before));
            }
            if is_committed {
                metrics.settled(&position.settle());
            }
        }
    }

    /// Partitions whose first failure may pass later wait there.
    fn stand_still(
        &mut self,
        messages: &[OutgoingMessage],
        failures: &[DeliveryFailure],
        stops: &BTreeMap<u64, &OutgoingMessage>,
        is_smaller: bool,
    ) {
        let now = Instant::now();
        let mut late = 0;
        for failure in failures
            .iter()
            .filter(|failure| failure.verdict != Verdict::GiveUp)
        {
            let Some(message) = messages.get(failure.message) else {
                continue;
            };
            let of_message = |position: &&mut Position| position.id == message.position;
            let Some(position) = self.reader.positions.iter_mut().find(of_message) else {
                continue;
            };
            let is_told = position
                .barrier
                .as_ref()
                .is_some_and(|barrier| barrier.until > now);
            let is_first = stops
                .get(&message.position)
                .is_some_and(|stop| stop.place == message.place);
            if !is_first || is_told {
                continue;
            }
            if is_smaller && failure.verdict == Verdict::Smaller {
                // It is another letter the next time: no reason to wait longer and longer.
                position.barrier = None;
                position.stop_at(message.place, now);
                continue;
            }
            let (attempt, wait) = position.stop_at(message.place, now);
            let hint = too_small(failure.verdict, message, &self.context);
            // Where no broker answers, all partitions are late at once: one is named, and the others are counted.
            late += usize::from(failure.code == RDKafkaErrorCode::MessageTimedOut);
            if failure.code == RDKafkaErrorCode::MessageTimedOut && late > 1 {
                continue;
            }
            error!(
                topic = position.topic,
                partition = position.partition,
                offset = message.place.offset,
                to = message.target.topic(&self.context.config),
                error = %failure.code,
                hint,
                attempt,
                retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "delivery failed: the partition is stopped at this message until it can be delivered"
            );
        }
        if late > 1 {
            error!(
                worker = self.context.number,
                partitions = late - 1,
                "further partitions are stopped for the same reason"
            );
        }
    }

    /// Nothing of the batch stands: everything that is not settled is read again.
    fn rewind_all(&mut self) -> Result<(), WorkerError> {
        self.return_all();
        self.reader.seek_back().map_err(WorkerError::Consumer)
    }

    /// Everything that is not settled is given back.
    pub(super) fn return_all(&mut self) {
        for position in self.reader.positions.iter_mut() {
            let returned = position.rewind_to_settled();
            self.context.metrics.returned(&returned);
        }
    }

    /// Waits, in the group, before the next try of something that failed for no message's fault.
    fn pause_after_failed_commit(&mut self) {
        self.failed_commits += 1;
        let until = Instant::now() + backoff(self.failed_commits);
        loop {
            self.reader.hold(TICK);
            if Instant::now() >= until || self.context.shutdown.is_cancelled() {
                return;
            }
        }
    }

    fn forwarded<'a>(&self, messages: impl Iterator<Item = &'a OutgoingMessage>) {
        let mut counts: BTreeMap<Target, u64> = BTreeMap::new();
        for message in messages {
            if let Some(letter) = message.letter.as_ref().filter(|letter| letter.part == 1) {
                let position = self.reader.positions.find(message.position);
                warn!(
                    topic = position.map(|position| position.topic.as_str()),
                    partition = position.map(|position| position.partition),
                    offset = message.place.offset,
                    index = message.index,
                    reason = letter.reason.as_str(),
                    error = &*letter.error,
                    parts = letter.parts,
                    omitted = Some(letter.omitted).filter(|omitted| !omitted.is_empty()),
                    "dead-lettered"
                );
            }
            *counts.entry(message.target).or_default() += 1;
        }
        for (target, count) in counts {
            self.context
                .metrics
                .forwarded(target.name(&self.context.config), count);
        }
    }
}

/// What to do where the dead-letter topic does not even take what our headers need.
fn too_small(
    verdict: Verdict,
    message: &OutgoingMessage,
    context: &WorkerContext,
) -> Option<String> {
    let letter = message.letter.as_ref()?;
    (verdict == Verdict::Smaller).then(|| {
        format!(
            "topic {} takes less than the {} bytes of the smallest dead letter that can be made of this message (limit \
             known here: {}): set its max.message.bytes to {} or more",
            context.config.dead_letter.topic, letter.size, context.limits.dead_letter, letter.size
        )
    })
}
