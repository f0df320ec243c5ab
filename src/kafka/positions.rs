//! What each partition has read, what of it is settled, and what must not be passed.
//!
//! Pure bookkeeping, kept apart from Kafka so that promises 1 and 3 can be tested as laws: a partition's `settled`
//! offset moves only over messages whose outcomes all stand, and never past a failure.
//!
//! ```text
//!        settled            barrier                 next
//! ──────────┼──────────────────┼─────────────────────┼──────►  offsets
//!  committed│ read, in flight  │ first failed message│ not yet read
//! ```

use std::time::{Duration, Instant};

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
    /// The offset of the message.
    pub offset: i64,
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
    /// The next offset to commit: everything before it is delivered, dead-lettered or ignored.
    pub settled: i64,
    /// The offset after the last message that was read.
    pub next: i64,
    /// What the messages from `settled` to `next` became.
    pub pending: Tally,
    /// The message at which the partition stands still, if one failed.
    pub barrier: Option<Barrier>,
    /// It was rewound, and the consumer does not know yet.
    pub rewound: bool,
    /// The group has committed nothing beyond where it began.
    pub confirmed: bool,
    /// Unique among all positions that a worker ever had, so that a partition that left and came back is another.
    pub id: u64,
}

/// What to do with a message that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Process it.
    Process,
    /// It was read before; it is an echo of a rewind.
    Stale,
    /// It stands at or behind a barrier: pause the partition and go back to the barrier.
    Blocked,
}

/// All partitions of one worker.
#[derive(Debug, Default)]
pub struct Positions {
    list: Vec<Position>,
    last: usize,
    ids: u64,
}

impl Positions {
    /// The place of a partition in the list, which begins at `offset` when it is new. Messages come in runs of one
    /// partition, so the last answer is tried first.
    pub fn place(&mut self, topic: &str, partition: i32, offset: i64) -> usize {
        let is_it =
            |position: &Position| position.partition == partition && position.topic == topic;
        if self.list.get(self.last).is_some_and(is_it) {
            return self.last;
        }
        self.last = self.list.iter().position(is_it).unwrap_or_else(|| {
            self.ids += 1;
            self.list.push(Position {
                topic: topic.to_owned(),
                partition,
                settled: offset,
                next: offset,
                pending: Tally::default(),
                barrier: None,
                rewound: false,
                confirmed: false,
                id: self.ids,
            });
            self.list.len() - 1
        });
        self.last
    }

    /// The position at a place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&Position> {
        self.list.get(place)
    }

    /// The position at a place, to be changed.
    pub fn at_mut(&mut self, place: usize) -> Option<&mut Position> {
        self.list.get_mut(place)
    }

    /// The position with an id, none when its partition was given up since.
    #[must_use]
    pub fn find(&self, id: u64) -> Option<&Position> {
        self.list.iter().find(|position| position.id == id)
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
        let place = self
            .list
            .iter()
            .position(|position| position.partition == partition && position.topic == topic)?;
        self.last = 0;
        Some(self.list.swap_remove(place))
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
        if offset < self.next {
            return Admission::Stale;
        }
        match &self.barrier {
            Some(barrier) if offset >= barrier.offset && now < barrier.until => Admission::Blocked,
            _ => Admission::Process,
        }
    }

    /// Notes that the message at `offset` was read and what became of it.
    pub fn read(&mut self, offset: i64, tally: &Tally) {
        self.next = offset + 1;
        self.pending.add(tally);
    }

    /// Notes that nothing of it is to be read before `offset`, in which it was not read yet.
    pub fn begin_at(&mut self, offset: i64) {
        self.rewound = offset != self.next;
        self.settled = offset;
        self.next = offset;
        self.barrier = None;
        self.confirmed = true;
    }

    /// Notes that everything that was read stands and its offset is committed; returns what it was.
    pub fn settle(&mut self) -> Tally {
        self.settled = self.next;
        if self
            .barrier
            .as_ref()
            .is_some_and(|barrier| barrier.offset < self.settled)
        {
            self.barrier = None;
        }
        std::mem::take(&mut self.pending)
    }

    /// Goes back to `offset`, which is to be read again; returns what was read since and is no longer in flight.
    /// `before` is what became of the messages from `settled` up to `offset`.
    pub fn rewind(&mut self, offset: i64, before: &Tally) -> Tally {
        let mut given_up = std::mem::replace(&mut self.pending, *before);
        given_up.subtract(before);
        self.rewound |= offset != self.next;
        self.next = offset;
        given_up
    }

    /// Stops the partition at `offset`, which failed now. Returns how often it has failed, and the wait.
    pub fn stop_at(&mut self, offset: i64, now: Instant) -> (u32, Duration) {
        let attempts = match &self.barrier {
            Some(barrier) if barrier.offset == offset => barrier.attempts + 1,
            _ => 1,
        };
        let wait = backoff(attempts);
        self.barrier = Some(Barrier {
            offset,
            until: now + wait,
            attempts,
        });
        (attempts, wait)
    }

    /// Whether the partition stands at its barrier and has nothing to do before the barrier's time.
    #[must_use]
    pub fn is_stopped(&self, now: Instant) -> bool {
        self.barrier
            .as_ref()
            .is_some_and(|barrier| self.next >= barrier.offset && now < barrier.until)
    }

    /// Whether the message at `offset` is the one that failed before: it is committed with as little company as
    /// possible.
    #[must_use]
    pub fn is_retry(&self, offset: i64) -> bool {
        self.barrier
            .as_ref()
            .is_some_and(|barrier| barrier.offset == offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one_ignored() -> Tally {
        Tally {
            ignored: 1,
            ..Tally::default()
        }
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
        let place = positions.place("in", 0, 10);
        let position = positions.at_mut(place).unwrap();
        position.read(10, &one_ignored());
        position.read(11, &one_ignored());
        position.rewind(10, &Tally::default());
        assert_eq!(position.stop_at(11, now), (1, FIRST_WAIT));
        assert_eq!(
            position.admit(10, now),
            Admission::Process,
            "what stands before the barrier goes on"
        );
        position.read(10, &one_ignored());
        assert!(position.is_stopped(now));
        assert_eq!(position.admit(11, now), Admission::Blocked);
        assert_eq!(position.admit(12, now), Admission::Blocked);
        let later = now + FIRST_WAIT;
        assert_eq!(position.admit(11, later), Admission::Process);
        assert!(position.is_retry(11));
        assert_eq!(position.stop_at(11, later), (2, FIRST_WAIT * 2));
        position.read(11, &one_ignored());
        position.settle();
        assert_eq!(position.barrier, None);
        assert_eq!(position.settled, 12);
    }

    #[test]
    fn a_partition_that_comes_back_is_another() {
        let mut positions = Positions::default();
        positions.place("in", 0, 5);
        let first = positions.remove("in", 0).unwrap().id;
        let place = positions.place("in", 0, 5);
        assert_ne!(positions.at(place).unwrap().id, first);
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

    proptest! {
        /// Promises 1 and 3: the settled offset only grows, every offset below it was delivered, a failed message is
        /// never passed before it was delivered, and what is pending is exactly what was read since.
        #[test]
        fn settled_never_passes_what_is_not_delivered(steps in steps()) {
            let mut now = Instant::now();
            let mut positions = Positions::default();
            let place = positions.place("in", 0, 0);
            let mut delivered = std::collections::BTreeSet::new();
            let mut returned = 0;
            let mut received = 0;
            let mut settled = 0;
            for step in steps {
                let position = positions.at_mut(place).unwrap();
                let before = position.settled;
                match step {
                    Step::Read(count) => for _ in 0..count {
                        match position.admit(position.next, now) {
                            Admission::Process => { position.read(position.next, &one_ignored()); received += 1; }
                            Admission::Blocked => { now += LONGEST_WAIT; }
                            Admission::Stale => prop_assert!(false, "the next offset is never stale"),
                        }
                    },
                    Step::Commit => {
                        delivered.extend(position.settled..position.next);
                        settled += position.settle().records();
                    }
                    Step::Abort => {
                        returned += position.rewind(position.settled, &Tally::default()).records();
                    }
                    Step::Fail { behind, exactly_once } => {
                        let offset = position.settled + i64::from(behind);
                        if offset >= position.next { continue; }
                        if exactly_once {
                            returned += position.rewind(position.settled, &Tally::default()).records();
                        } else {
                            delivered.extend(position.settled..offset);
                            let mut prefix = Tally::default();
                            for _ in position.settled..offset { prefix.add(&one_ignored()); }
                            returned += position.rewind(offset, &prefix).records();
                            settled += position.settle().records();
                        }
                        position.stop_at(offset, now);
                        prop_assert!(position.settled <= offset);
                        prop_assert_eq!(position.admit(offset, now), Admission::Blocked);
                    }
                }
                prop_assert!(position.settled >= before);
                prop_assert!((0..position.settled).all(|offset| delivered.contains(&offset)));
                prop_assert_eq!(position.pending.records(), u64::try_from(position.next - position.settled).unwrap());
                prop_assert_eq!(received - returned, settled + position.pending.records());
            }
        }
    }
}
