//! What becomes of a batch's positions: everything that a commit can end as, and what it asks for.
//!
//! In flows an [`Outcome`]; out of here come positions that are settled, rewound or stopped, counts, and log lines. A
//! partition that stands still, and a message that becomes a dead letter, are never said below a warning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{error, warn};

use super::delivery::Outcome;
use super::entry::{Entry, Failure, Target, Verdict, first_failures};
use super::intake::Refused;
use super::letter::{self, LEAST_LIMIT};
use super::positions::{Position, backoff};
use super::worker::{Setting, TICK, Worker, WorkerError};
use crate::config::{Config, Guarantee};
use crate::model::dead_letter::Reason;

impl Worker {
    pub(super) fn is_exactly_once(&self) -> bool {
        self.setting.config.delivery.guarantee == Guarantee::ExactlyOnce
    }

    /// Sets right whatever did not work.
    pub(super) fn settle(
        &mut self,
        entries: &[Entry],
        outcome: Outcome,
    ) -> Result<(), WorkerError> {
        match outcome {
            Outcome::Delivered => {
                self.troubles = 0;
                if !entries.is_empty() {
                    self.budget.went_through();
                }
                self.forwarded(entries.iter());
                for position in self.reader.positions.iter_mut() {
                    self.setting.metrics.settled(&position.settle());
                }
                if self.is_exactly_once() {
                    // Taken away after their offsets were in the transaction: they stand as well.
                    for position in self.reader.gone_mut() {
                        self.setting.metrics.settled(&position.settle());
                    }
                }
                let positions = &self.reader.positions;
                self.refused.retain(|(id, offset), _| {
                    positions
                        .find(*id)
                        .is_some_and(|position| *offset >= position.settled.offset)
                });
            }
            Outcome::Uncommitted(error) => {
                // The documents stand; only the offsets are late. The next commit includes them.
                self.forwarded(entries.iter());
                self.commit_later(&error);
                self.pause_after_trouble();
            }
            Outcome::Failed {
                failures,
                uncommitted,
            } => {
                self.budget.failed();
                if let Some(error) = &uncommitted {
                    self.commit_later(error);
                }
                self.failed(entries, &failures, uncommitted.is_none())?;
            }
            Outcome::Aborted(reason) => {
                self.budget.failed();
                warn!(
                    worker = self.setting.number,
                    reason,
                    in_a_row = self.troubles + 1,
                    "the transaction was aborted; its messages will be read again"
                );
                self.rewind_all()?;
                self.pause_after_trouble();
            }
            Outcome::Interrupted => self.rewind_all()?,
        }
        Ok(())
    }

    /// What is delivered stands; its offsets go with the next commit.
    fn commit_later(&mut self, error: &KafkaError) {
        warn!(worker = self.setting.number, %error, "offsets were not committed; they go with the next commit");
        self.batch.begun = Some(Instant::now());
    }

    /// Some messages were not delivered: their partitions go back to them, and wait.
    fn failed(
        &mut self,
        entries: &[Entry],
        failures: &[Failure],
        is_committed: bool,
    ) -> Result<(), WorkerError> {
        let stops = first_failures(entries, failures);
        let mut is_smaller = false;
        for failure in failures {
            if let Some(entry) = entries.get(failure.entry) {
                self.setting
                    .metrics
                    .delivery_failed(&self.route_name(entry.target), 1);
                match failure.verdict {
                    Verdict::DeadLetter => self.give_up(entry, failure.code),
                    Verdict::Smaller => is_smaller |= self.make_smaller(entry),
                    Verdict::Retry => {}
                }
            }
        }
        if self.is_exactly_once() {
            self.return_all();
        } else {
            self.settle_what_stands(entries, &stops, is_committed);
        }
        self.stand_still(entries, failures, &stops, is_smaller);
        self.reader.seek_back().map_err(WorkerError::Consumer)
    }

    /// A broker refuses a document for what it is: its message becomes a dead letter when it is read again.
    fn give_up(&mut self, entry: &Entry, code: RDKafkaErrorCode) {
        let Some(position) = self.reader.positions.find(entry.position) else {
            return;
        };
        let route = self.route_name(entry.target);
        let bytes = entry.payload.as_ref().map_or(0, Bytes::len);
        let limit = self.limit(entry.target);
        warn!(
            topic = position.topic,
            partition = position.partition,
            offset = entry.place.offset,
            route,
            bytes,
            limit,
            error = %code,
            "the broker refuses the document; its message goes to the dead-letter topic"
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
            index: entry.index,
            target: entry.target,
            reason,
            error,
        };
        self.refused
            .entry((entry.position, entry.place.offset))
            .or_default()
            .push(refused);
    }

    /// A broker refuses a dead letter for its size, since its topic takes less than it did at the start, or never said
    /// what it takes: the next try is smaller. False when it cannot be.
    fn make_smaller(&mut self, entry: &Entry) -> bool {
        let Some(letter) = &entry.letter else {
            return false;
        };
        let Some(position) = self.reader.positions.find(entry.position) else {
            return false;
        };
        let to = &self.setting.config.dead_letter.topic;
        if letter.with_headers {
            warn!(
                topic = position.topic,
                partition = position.partition,
                offset = entry.place.offset,
                to,
                bytes = letter.size,
                "the broker refuses the dead letter as too large; it is sent again without the headers of its message"
            );
            let refused = Refused {
                index: entry.index,
                target: entry.target,
                reason: letter.reason,
                error: letter.error.to_string(),
            };
            self.refused
                .entry((entry.position, entry.place.offset))
                .or_default()
                .push(refused);
            return true;
        }
        let known = self.setting.limits.dead_letter;
        let Some(limit) = letter::lowered(known, letter.size) else {
            // Another letter of this batch has lowered it already.
            return known < letter.size && known > LEAST_LIMIT;
        };
        warn!(
            topic = position.topic,
            partition = position.partition,
            offset = entry.place.offset,
            to,
            bytes = letter.size,
            known,
            limit,
            "the broker refuses the dead letter as too large: dead letters are split into parts of at most `limit` bytes \
             until the next start, which asks for the topic's max.message.bytes again"
        );
        Arc::make_mut(&mut self.setting.limits).dead_letter = limit;
        self.sink.send_apart(Target::DeadLetter);
        true
    }

    /// Without a transaction, everything before a partition's first failure stands; the rest of it is read again. It is
    /// settled when its offsets are committed.
    fn settle_what_stands(
        &mut self,
        entries: &[Entry],
        stops: &BTreeMap<u64, &Entry>,
        is_committed: bool,
    ) {
        let stands = |entry: &&Entry| {
            stops
                .get(&entry.position)
                .is_none_or(|stop| entry.place < stop.place)
        };
        self.forwarded(entries.iter().filter(stands));
        let metrics = &self.setting.metrics;
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
        entries: &[Entry],
        failures: &[Failure],
        stops: &BTreeMap<u64, &Entry>,
        is_smaller: bool,
    ) {
        let now = Instant::now();
        let mut late = 0;
        for failure in failures
            .iter()
            .filter(|failure| failure.verdict != Verdict::DeadLetter)
        {
            let Some(entry) = entries.get(failure.entry) else {
                continue;
            };
            let of_entry = |position: &&mut Position| position.id == entry.position;
            let Some(position) = self.reader.positions.iter_mut().find(of_entry) else {
                continue;
            };
            let is_told = position
                .barrier
                .as_ref()
                .is_some_and(|barrier| barrier.until > now);
            let is_first = stops
                .get(&entry.position)
                .is_some_and(|stop| stop.place == entry.place);
            if !is_first || is_told {
                continue;
            }
            if is_smaller && failure.verdict == Verdict::Smaller {
                // It is another letter the next time: no reason to wait longer and longer.
                position.barrier = None;
                position.stop_at(entry.place, now);
                continue;
            }
            let (attempt, wait) = position.stop_at(entry.place, now);
            let hint = too_small(failure.verdict, entry, &self.setting);
            // Where no broker answers, all partitions are late at once: one is named, and the others are counted.
            late += usize::from(failure.code == RDKafkaErrorCode::MessageTimedOut);
            if failure.code == RDKafkaErrorCode::MessageTimedOut && late > 1 {
                continue;
            }
            error!(
                topic = position.topic,
                partition = position.partition,
                offset = entry.place.offset,
                to = topic_of(&self.setting.config, entry.target),
                error = %failure.code,
                hint,
                attempt,
                retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "delivery failed: the partition is stopped at this message until it can be delivered"
            );
        }
        if late > 1 {
            error!(
                worker = self.setting.number,
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
            self.setting.metrics.returned(&returned);
        }
    }

    /// Waits, in the group, before the next try of something that failed for no message's fault.
    fn pause_after_trouble(&mut self) {
        self.troubles += 1;
        let until = Instant::now() + backoff(self.troubles);
        loop {
            self.reader.hold(TICK);
            if Instant::now() >= until || self.setting.shutdown.is_cancelled() {
                return;
            }
        }
    }

    fn forwarded<'a>(&self, entries: impl Iterator<Item = &'a Entry>) {
        let mut counts: BTreeMap<Target, u64> = BTreeMap::new();
        for entry in entries {
            if let Some(letter) = entry.letter.as_ref().filter(|letter| letter.part == 1) {
                let position = self.reader.positions.find(entry.position);
                warn!(
                    topic = position.map(|position| position.topic.as_str()),
                    partition = position.map(|position| position.partition),
                    offset = entry.place.offset,
                    index = entry.index,
                    reason = letter.reason.as_str(),
                    error = &*letter.error,
                    parts = letter.parts,
                    omitted = Some(letter.omitted).filter(|omitted| !omitted.is_empty()),
                    "dead-lettered"
                );
            }
            *counts.entry(entry.target).or_default() += 1;
        }
        for (target, count) in counts {
            self.setting
                .metrics
                .forwarded(&self.route_name(target), count);
        }
    }

    fn route_name(&self, target: Target) -> String {
        match target {
            Target::Route(route) => self
                .setting
                .config
                .routes
                .get(route)
                .map_or_else(String::new, |it| it.name.clone()),
            Target::Unmatched => "unmatched".to_owned(),
            Target::DeadLetter => "dead_letter".to_owned(),
        }
    }

    fn limit(&self, target: Target) -> usize {
        match target {
            Target::Route(route) => self
                .setting
                .limits
                .routes
                .get(route)
                .copied()
                .unwrap_or(usize::MAX),
            Target::Unmatched => self.setting.limits.unmatched,
            Target::DeadLetter => self.setting.limits.dead_letter,
        }
    }
}

/// What to do where the dead-letter topic does not even take what our headers need.
fn too_small(verdict: Verdict, entry: &Entry, setting: &Setting) -> Option<String> {
    let letter = entry.letter.as_ref()?;
    (verdict == Verdict::Smaller).then(|| {
        format!(
            "topic {} takes less than the {} bytes of the smallest dead letter that can be made of this message (limit \
             known here: {}): set its max.message.bytes to {} or more",
            setting.config.dead_letter.topic, letter.size, setting.limits.dead_letter, letter.size
        )
    })
}

fn topic_of(config: &Config, target: Target) -> &str {
    match target {
        Target::Route(route) => config.routes.get(route).map_or("", |route| &route.topic),
        Target::Unmatched => &config.unmatched.topic,
        Target::DeadLetter => &config.dead_letter.topic,
    }
}
