//! What each partition has read, what of it is settled, and what must not be passed.
//!
//! Pure bookkeeping, kept apart from Kafka so that promises 1 and 3 can be tested as laws: a partition's `settled`
//! place moves only over elements of messages whose outcomes all stand, and never past a failure. It may lie within a
//! message: what a message becomes can be too much for one commit.
//!
//! ```text
//!        settled            barrier                 next
//! ──────────┼──────────────────┼─────────────────────┼──────►  offsets
//!  committed│ read, in flight  │ first failed message│ not yet read
//! ```

use std::time::{Duration, Instant};

use super::place::{LeaderEpoch, Place};
use super::start::Start;
use super::step_log::StepLog;
use crate::pipeline::Tally;

/// The first wait after a failed delivery; each further one doubles.
const FIRST_WAIT: Duration = Duration::from_millis(500);
/// The longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long to wait before try number `attempt`, counted from 1.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    FIRST_WAIT
        .saturating_mul(1 << attempt.saturating_sub(1).min(16))
        .min(LONGEST_WAIT)
}

/// A message that could not be delivered: nothing at or after it is read before `until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barrier {
    /// Where it is.
    pub place: Place,
    /// When it is tried again.
    pub until: Instant,
    /// How often it failed.
    pub attempts: u32,
}

/// One partition of this worker.
#[derive(Debug)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The id of the topic that the places are in.
    pub topic_id: Option<String>,
    /// The next place to commit: everything before it is delivered, dead-lettered or ignored.
    pub settled: Place,
    /// The leader epoch of the message before `settled`.
    pub settled_epoch: LeaderEpoch,
    /// Where the reading goes on.
    pub next: Place,
    /// The leader epoch of the last message that was read.
    pub epoch: LeaderEpoch,
    /// What the messages from `settled` to `next` became.
    pub pending: Tally,
    /// The message at which the partition stands still, if one failed.
    pub barrier: Option<Barrier>,
    /// It was rewound, and the consumer does not know yet.
    pub rewound: bool,
    /// What is remembered of it, if it is one of the topic of steps.
    pub steps: Option<Box<StepLog>>,
    /// What comes before this place is read again for that, and is only to be remembered.
    pub remember_until: Place,
    /// The leader epoch of the message before that place. Of one with a later epoch, another leader has written it since.
    pub remember_epoch: LeaderEpoch,
    /// Unique among all positions that a worker ever had, so that a partition that left and came back is another.
    pub id: u64,
}

/// What to do with a message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Process it.
    Process,
    /// It stands before the next place. Only the broker can tell whether it was read before.
    Behind,
    /// It stands at or behind a barrier: pause the partition and go back to the barrier.
    Blocked,
}

/// All partitions of one worker that have begun.
#[derive(Debug, Default)]
pub struct Positions {
    list: Vec<Position>,
    last: usize,
    ids: u64,
}

impl Positions {
    /// Begins a partition, and gives its index in the list.
    pub fn begin(
        &mut self,
        topic: &str,
        partition: i32,
        start: &Start,
        steps: Option<Box<StepLog>>,
    ) -> usize {
        let (offset, epoch) = start.read_from();
        let next = if start.remembered_from.is_some() {
            Place::at(offset)
        } else {
            start.place
        };
        self.remove(topic, partition);
        self.ids += 1;
        self.list.push(Position {
            topic: topic.to_owned(),
            partition,
            topic_id: start.topic_id.clone(),
            settled: start.place,
            settled_epoch: start.epoch,
            next,
            epoch,
            pending: Tally::default(),
            barrier: None,
            rewound: false,
            steps,
            remember_until: start.place,
            remember_epoch: start.epoch,
            id: self.ids,
        });
        self.list.len() - 1
    }

    /// The index of a partition in the list; none where it has not begun. Messages come in runs of one partition, so the
    /// last answer is tried first.
    pub fn index_of(&mut self, topic: &str, partition: i32) -> Option<usize> {
        let is_it =
            |position: &Position| position.partition == partition && position.topic == topic;
        if self.list.get(self.last).is_some_and(is_it) {
            return Some(self.last);
        }
        self.last = self.list.iter().position(is_it)?;
        Some(self.last)
    }

    /// The position at an index, to be changed.
    pub fn at_mut(&mut self, index: usize) -> Option<&mut Position> {
        self.list.get_mut(index)
    }

    /// The position with an id, none when its partition was given up since.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<&Position> {
        self.list.iter().find(|position| position.id == id)
    }

    /// The position of a partition, none where it has not begun.
    #[must_use]
    pub fn of_partition(&self, topic: &str, partition: i32) -> Option<&Position> {
        self.list
            .iter()
            .find(|position| position.partition == partition && position.topic == topic)
    }

    /// All positions.
    pub fn iter(&self) -> impl Iterator<Item = &Position> {
        self.list.iter()
    }

    /// All positions, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Position> {
        self.list.iter_mut()
    }

    /// Forgets a partition that is no longer ours, and says what of it was in flight.
    pub fn remove(&mut self, topic: &str, partition: i32) -> Option<Position> {
        let index = self
            .list
            .iter()
            .position(|position| position.partition == partition && position.topic == topic)?;
        self.last = 0;
        Some(self.list.swap_remove(index))
    }

    /// Whether any partition has messages that are read and not settled.
    #[must_use]
    pub fn any_in_flight(&self) -> bool {
        self.list
            .iter()
            .any(|position| position.next > position.settled)
    }
}

impl Position {
    /// Whether a message at `offset` may be processed now.
    #[must_use]
    pub fn admit(&self, offset: i64, now: Instant) -> Admission {
        if offset < self.next.offset {
            return Admission::Behind;
        }
        match &self.barrier {
            Some(barrier) if offset >= barrier.place.offset && now < barrier.until => {
                Admission::Blocked
            }
            _ => Admission::Process,
        }
    }

    /// Where the reading goes on, and the leader epoch of what was read last.
    #[must_use]
    pub const fn reached(&self) -> (Place, LeaderEpoch) {
        (self.next, self.epoch)
    }

    /// How many elements of the message at `offset` are done already.
    #[must_use]
    pub const fn elements_done(&self, offset: i64) -> u32 {
        if offset == self.next.offset {
            self.next.elements
        } else {
            0
        }
    }

    /// Notes that everything before `next` was read, the last of it under this leader epoch, and what became of it.
    pub fn read(&mut self, next: Place, epoch: LeaderEpoch, tally: &Tally) {
        self.next = next;
        self.epoch = epoch;
        self.pending.add(tally);
    }

    /// Notes that everything that was read stands and its offset is committed; returns what it was.
    pub fn settle(&mut self) -> Tally {
        if self.is_remembering() {
            return Tally::default();
        }
        self.settled = self.next;
        self.settled_epoch = self.epoch;
        if let Some(steps) = &mut self.steps {
            steps.settle(self.settled.offset);
        }
        if self
            .barrier
            .as_ref()
            .is_some_and(|barrier| barrier.place < self.settled)
        {
            self.barrier = None;
        }
        std::mem::take(&mut self.pending)
    }

    /// Goes back to what is settled, all of which is to be read again; returns what is no longer in flight.
    pub fn rewind_to_settled(&mut self) -> Tally {
        self.rewind(self.settled, self.settled_epoch, &Tally::default())
    }

    /// Goes back to `place`, which is to be read again; returns what was read since and is no longer in flight. `before` is
    /// what became of the messages from `settled` up to there.
    pub fn rewind(&mut self, place: Place, epoch: LeaderEpoch, before: &Tally) -> Tally {
        if self.is_remembering() {
            return Tally::default();
        }
        let mut given_up = std::mem::replace(&mut self.pending, *before);
        given_up.subtract(before);
        self.rewound |= place != self.next;
        self.next = place;
        self.epoch = epoch;
        given_up
    }

    /// Whether what comes next was settled before, and is only to be remembered.
    #[must_use]
    pub fn is_remembering(&self) -> bool {
        self.next < self.remember_until
    }

    /// Where the consumer has to go after a rewind: where the reading goes on, or before it, where steps that are remembered
    /// there begin.
    pub fn go_back(&mut self) -> (i64, LeaderEpoch) {
        self.rewound = false;
        if let Some(steps) = &mut self.steps {
            let from = steps.forget(self.next.offset);
            self.remember_until = self.next;
            self.remember_epoch = self.epoch;
            if from < self.next.offset {
                self.next = Place::at(from);
                self.epoch = None;
            }
        }
        (self.next.offset, self.epoch)
    }

    /// A log that was read before has another message at this offset: from there on it is new. Returns what is no longer in
    /// flight.
    pub fn was_cut_at(&mut self, offset: i64) -> Tally {
        let place = Place::at(offset);
        self.remember_until = place;
        self.remember_epoch = self.epoch;
        if place < self.settled {
            self.settled = place;
            self.settled_epoch = self.epoch;
        }
        std::mem::take(&mut self.pending)
    }

    /// How many steps were forgotten before their time, since this was last asked: because of messages that are settled.
    pub fn forgotten_steps(&mut self) -> u64 {
        self.steps.as_mut().map_or(0, |it| it.forgotten())
    }

    /// Stops the partition at `place`, which failed now. Returns how often it has failed, and the wait.
    pub fn stop_at(&mut self, place: Place, now: Instant) -> (u32, Duration) {
        let attempts = match &self.barrier {
            Some(barrier) if barrier.place == place => barrier.attempts + 1,
            _ => 1,
        };
        let wait = backoff(attempts);
        self.barrier = Some(Barrier {
            place,
            until: now + wait,
            attempts,
        });
        (attempts, wait)
    }

    /// Notes that the next message is at the barrier or behind it. What lies between is the end of a transaction or was
    /// compacted: no message, and no reason to look again.
    pub fn come_to_barrier(&mut self) {
        if let Some(barrier) = &self.barrier {
            self.next = self.next.max(Place::at(barrier.place.offset));
        }
    }

    /// Whether the partition stands at its barrier and has nothing to do before the barrier's time.
    #[must_use]
    pub fn is_stopped(&self, now: Instant) -> bool {
        self.barrier
            .as_ref()
            .is_some_and(|barrier| self.next >= barrier.place && now < barrier.until)
    }

    /// Whether the message at `offset` is the one that failed before: it is committed with as little company as
    /// possible.
    #[must_use]
    pub fn is_retry(&self, offset: i64) -> bool {
        self.barrier
            .as_ref()
            .is_some_and(|barrier| barrier.place.offset == offset)
    }
}

#[cfg(test)]
mod steps_tests;
#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(super) fn one_ignored() -> Tally {
        Tally {
            ignored: 1,
            ..Tally::default()
        }
    }

    pub(super) fn start(offset: i64) -> Start {
        Start {
            within: offset,
            place: Place::at(offset),
            epoch: None,
            remembered_from: None,
            topic_id: None,
            reset: None,
        }
    }

    fn read(position: &mut Position, offset: i64) {
        position.read(Place::at(offset + 1), Some(1), &one_ignored());
    }

    #[test]
    fn waits_grow_and_end() {
        let waits: Vec<_> = (1..=9)
            .map(|attempt| backoff(attempt).as_millis())
            .collect();
        assert_eq!(
            waits,
            [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000]
        );
        assert_eq!(backoff(u32::MAX), LONGEST_WAIT);
    }

    #[test]
    fn a_barrier_counts_its_tries_and_falls_when_it_is_passed() {
        let now = Instant::now();
        let mut positions = Positions::default();
        let index = positions.begin("in", 0, &start(10), None);
        let position = positions.at_mut(index).unwrap();
        read(position, 10);
        read(position, 11);
        position.rewind(Place::at(10), Some(1), &Tally::default());
        assert_eq!(position.stop_at(Place::at(11), now), (1, FIRST_WAIT));
        assert_eq!(
            position.admit(10, now),
            Admission::Process,
            "what stands before the barrier goes on"
        );
        read(position, 10);
        assert!(position.is_stopped(now));
        assert_eq!(position.admit(11, now), Admission::Blocked);
        assert_eq!(position.admit(12, now), Admission::Blocked);
        let later = now + FIRST_WAIT;
        assert_eq!(position.admit(11, later), Admission::Process);
        assert!(position.is_retry(11));
        assert_eq!(position.stop_at(Place::at(11), later), (2, FIRST_WAIT * 2));
        read(position, 11);
        position.settle();
        assert_eq!(position.barrier, None);
        assert_eq!(position.settled, Place::at(12));
    }

    /// In a topic that is written in transactions, most messages have the end of one before them.
    #[test]
    fn offsets_without_a_message_are_nothing_that_keeps_a_partition_from_its_barrier() {
        let now = Instant::now();
        let mut positions = Positions::default();
        let index = positions.begin("in", 0, &start(10), None);
        let position = positions.at_mut(index).unwrap();
        read(position, 10);
        position.settle();
        position.stop_at(Place::at(12), now);
        assert!(!position.is_stopped(now), "11 may be a message");
        assert_eq!(position.admit(12, now), Admission::Blocked);
        position.come_to_barrier();
        assert!(position.is_stopped(now));
        assert_eq!(position.settle(), Tally::default());
        assert_eq!(position.settled, Place::at(12));
        assert!(position.is_retry(12), "it stands there still");
    }

    #[test]
    fn a_partition_that_comes_back_is_another() {
        let mut positions = Positions::default();
        assert_eq!(positions.index_of("in", 0), None);
        positions.begin("in", 0, &start(5), None);
        let first = positions.remove("in", 0).unwrap().id;
        let index = positions.begin("in", 0, &start(5), None);
        assert_eq!(positions.index_of("in", 0), Some(index));
        assert_ne!(positions.at_mut(index).unwrap().id, first);
        assert!(positions.find(first).is_none());
    }

    /// What can happen to a partition between two commits.
    #[derive(Debug, Clone)]
    enum Step {
        Read(u8),
        Commit,
        /// The message this far behind the settled offset fails, with or without a transaction.
        Fail {
            behind: u8,
            exactly_once: bool,
        },
        Abort,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (1u8..6).prop_map(Step::Read),
            2 => Just(Step::Commit),
            2 => (0u8..8, any::<bool>()).prop_map(|(behind, exactly_once)| Step::Fail { behind, exactly_once }),
            1 => Just(Step::Abort),
        ];
        proptest::collection::vec(step, 1..60)
    }

    /// How many elements each message of the model has.
    const ELEMENTS: i64 = 3;

    /// The place before which so many elements of a partition lie.
    fn place(unit: i64) -> Place {
        Place {
            offset: unit / ELEMENTS,
            elements: u32::try_from(unit % ELEMENTS).unwrap(),
        }
    }

    fn unit(place: Place) -> i64 {
        place.offset * ELEMENTS + i64::from(place.elements)
    }

    proptest! {
        /// Promises 1 and 3: what is settled only grows, also in the middle of messages, everything before it was
        /// delivered, what failed is never passed before it was delivered, and what is pending is exactly what was read
        /// since.
        #[test]
        fn settled_never_passes_what_is_not_delivered(steps in steps()) {
            let mut now = Instant::now();
            let mut positions = Positions::default();
            let at = positions.begin("in", 0, &start(0), None);
            let mut delivered = std::collections::BTreeSet::new();
            let mut returned = 0;
            let mut received = 0;
            let mut settled = 0;
            for step in steps {
                let position = positions.at_mut(at).unwrap();
                let before = position.settled;
                match step {
                    Step::Read(count) => for _ in 0..count {
                        match position.admit(position.next.offset, now) {
                            Admission::Process => {
                                position.read(place(unit(position.next) + 1), Some(1), &one_ignored());
                                received += 1;
                            }
                            Admission::Blocked => { now += LONGEST_WAIT; }
                            Admission::Behind => prop_assert!(false, "the next offset is never behind"),
                        }
                    },
                    Step::Commit => {
                        delivered.extend(unit(position.settled)..unit(position.next));
                        settled += position.settle().records();
                    }
                    Step::Abort => {
                        returned += position.rewind_to_settled().records();
                    }
                    Step::Fail { behind, exactly_once } => {
                        let failed = unit(position.settled) + i64::from(behind);
                        if failed >= unit(position.next) { continue; }
                        if exactly_once {
                            returned += position.rewind_to_settled().records();
                        } else {
                            delivered.extend(unit(position.settled)..failed);
                            let mut prefix = Tally::default();
                            for _ in unit(position.settled)..failed { prefix.add(&one_ignored()); }
                            returned += position.rewind(place(failed), Some(1), &prefix).records();
                            settled += position.settle().records();
                        }
                        position.stop_at(place(failed), now);
                        prop_assert!(position.settled <= place(failed));
                        prop_assert_eq!(position.admit(place(failed).offset, now), Admission::Blocked);
                    }
                }
                prop_assert!(position.settled >= before);
                prop_assert!((0..unit(position.settled)).all(|unit| delivered.contains(&unit)));
                let pending = unit(position.next) - unit(position.settled);
                prop_assert_eq!(position.pending.records(), u64::try_from(pending).unwrap());
                prop_assert_eq!(received - returned, settled + position.pending.records());
            }
        }
    }
}
