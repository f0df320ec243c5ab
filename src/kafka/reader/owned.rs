//! The partitions that the group has given this worker, and how far each of them is.
//!
//! The one place that knows what is ours. Pure: what follows for the client is in [`super::Reader`]. How far a partition is
//! read is in [`crate::kafka::positions`], which has it from its start on.
//!
//! ```text
//! assigned ──► starting ──► reading ◄──► stopped
//!                 └────────────┴────────────┴──► revoked
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use crate::kafka::place::Partition;
use crate::kafka::start::Start;

/// A partition that was assigned and has not begun.
#[derive(Debug)]
pub(super) struct Starting {
    /// The first question that asked for its start; none while a commit is under way that may move it.
    pub(super) question: Option<u64>,
    /// When it was assigned.
    pub(super) since: Instant,
    /// Its start, once it is known.
    pub(super) start: Option<Start>,
    /// The client has it.
    pub(super) is_given: bool,
}

#[derive(Debug)]
enum State {
    /// It waits for where the group goes on.
    Starting(Starting),
    /// It is read.
    Reading,
    /// It stands still at a message whose delivery failed.
    Stopped,
}

/// What is ours.
#[derive(Debug, Default)]
pub(super) struct OwnedPartitions {
    states: BTreeMap<Partition, State>,
    /// How many of them are starting, and how many stopped: asked at each turn of the loop.
    starting: usize,
    stopped: usize,
}

impl OwnedPartitions {
    /// It is ours from here on.
    pub(super) fn assign(&mut self, partition: Partition, starting: Starting) {
        self.set(partition, State::Starting(starting));
    }

    /// It is ours no longer.
    pub(super) fn revoke(&mut self, partition: &Partition) {
        let state = self.states.remove(partition);
        self.uncount(state.as_ref());
    }

    /// It has begun.
    pub(super) fn begin(&mut self, partition: &Partition) {
        self.set_if(partition, State::Reading, |state| {
            matches!(state, State::Starting(_))
        });
    }

    /// It stands still.
    pub(super) fn stop(&mut self, partition: &Partition) {
        self.set_if(partition, State::Stopped, |state| {
            matches!(state, State::Reading)
        });
    }

    /// It is read again.
    pub(super) fn resume(&mut self, partition: &Partition) {
        self.set_if(partition, State::Reading, |state| {
            matches!(state, State::Stopped)
        });
    }

    pub(super) fn contains(&self, partition: &Partition) -> bool {
        self.states.contains_key(partition)
    }

    /// One of them, whichever.
    pub(super) fn any(&self) -> Option<Partition> {
        self.states.keys().next().cloned()
    }

    pub(super) fn all(&self) -> Vec<Partition> {
        self.states.keys().cloned().collect()
    }

    /// Those that are read.
    pub(super) fn reading(&self) -> Vec<Partition> {
        self.states
            .iter()
            .filter(|(_, state)| matches!(state, State::Reading))
            .map(|(partition, _)| partition.clone())
            .collect()
    }

    /// Those that stand still.
    pub(super) fn stopped(&self) -> impl Iterator<Item = &Partition> {
        self.states
            .iter()
            .filter(|(_, state)| matches!(state, State::Stopped))
            .map(|(partition, _)| partition)
    }

    /// Those that have not begun.
    pub(super) fn starting(&self) -> impl Iterator<Item = (&Partition, &Starting)> {
        self.states
            .iter()
            .filter_map(|(partition, state)| match state {
                State::Starting(starting) => Some((partition, starting)),
                State::Reading | State::Stopped => None,
            })
    }

    /// One that has not begun; none where it has, or is not ours.
    pub(super) fn find_starting(&mut self, partition: &Partition) -> Option<&mut Starting> {
        match self.states.get_mut(partition)? {
            State::Starting(starting) => Some(starting),
            State::Reading | State::Stopped => None,
        }
    }

    /// This question asked for all starts.
    pub(super) fn asked(&mut self, question: u64) {
        for state in self.states.values_mut() {
            if let State::Starting(starting) = state {
                starting.question.get_or_insert(question);
            }
        }
    }

    pub(super) const fn count_starting(&self) -> usize {
        self.starting
    }

    pub(super) const fn count_stopped(&self) -> usize {
        self.stopped
    }

    fn set_if(&mut self, partition: &Partition, state: State, is_due: impl Fn(&State) -> bool) {
        if self.states.get(partition).is_some_and(is_due) {
            self.set(partition.clone(), state);
        }
    }

    fn set(&mut self, partition: Partition, state: State) {
        match state {
            State::Starting(_) => self.starting += 1,
            State::Stopped => self.stopped += 1,
            State::Reading => {}
        }
        let before = self.states.insert(partition, state);
        self.uncount(before.as_ref());
    }

    fn uncount(&mut self, state: Option<&State>) {
        match state {
            Some(State::Starting(_)) => self.starting -= 1,
            Some(State::Stopped) => self.stopped -= 1,
            Some(State::Reading) | None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starting() -> Starting {
        Starting {
            question: Some(1),
            since: Instant::now(),
            start: None,
            is_given: false,
        }
    }

    #[test]
    fn a_partition_goes_its_way_and_begins_once() {
        let mut owned = OwnedPartitions::default();
        let partition = ("in".to_owned(), 0);
        let counts = |owned: &OwnedPartitions| {
            let starting = owned.starting().count();
            let stopped = owned.stopped().count();
            assert_eq!(owned.count_starting(), starting);
            assert_eq!(owned.count_stopped(), stopped);
            (starting, owned.reading().len(), stopped)
        };
        owned.stop(&partition);
        owned.begin(&partition);
        assert_eq!(owned.any(), None, "nothing makes ours but an assignment");
        owned.assign(partition.clone(), starting());
        owned.assign(partition.clone(), starting());
        assert_eq!(counts(&owned), (1, 0, 0));
        owned.stop(&partition);
        owned.resume(&partition);
        assert_eq!(counts(&owned), (1, 0, 0), "it has not begun");
        assert!(owned.find_starting(&partition).is_some());
        owned.begin(&partition);
        assert_eq!(counts(&owned), (0, 1, 0));
        owned.stop(&partition);
        owned.stop(&partition);
        owned.begin(&partition);
        assert_eq!(counts(&owned), (0, 0, 1));
        owned.resume(&partition);
        assert_eq!(counts(&owned), (0, 1, 0));
        owned.stop(&partition);
        owned.revoke(&partition);
        owned.revoke(&partition);
        assert_eq!(counts(&owned), (0, 0, 0));
        assert!(!owned.contains(&partition) && owned.all().is_empty());
    }
}
