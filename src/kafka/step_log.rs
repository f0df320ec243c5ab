//! A partition of the topic of steps: what is remembered of it, and from where it must be read to remember that again.
//!
//! State is not stored. What is remembered at a place follows from the steps before it, so after a start, a rebalance or an
//! abort the partition is read from [`StepLog::remembered_from`] on, in silence, up to where it goes on. That offset is
//! committed beside each offset of the topic.
//!
//! ```text
//!  remembered_from          settled           next
//! ───────┼─────────────────────┼────────────────┼──────►  offsets
//!        │ read again and only │ read, in flight│
//!        │     remembered      │                │
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::start::Start;
use crate::config;
use crate::finding::{Sequence, Step};
use crate::sequence::State;

/// Of how many settled steps the offsets are kept. Of more, every second one goes: to begin a few steps earlier than needed
/// does no harm.
const KEPT: usize = 4096;

/// What is remembered of one partition.
#[derive(Debug)]
pub struct StepLog {
    settings: config::Sequences,
    state: State,
    /// How many of the steps that the state dropped were counted, or are not to be.
    counted: u64,
    /// How many more of them are settled.
    forgotten: u64,
    /// Offsets of the steps that were read, each with the greatest arrival up to it.
    read: VecDeque<(i64, i64)>,
    /// Where to begin for what is remembered at the settled place.
    from: i64,
    rebuild: Option<Rebuild>,
}

/// How a state is remembered again.
#[derive(Debug, Clone, Copy)]
struct Rebuild {
    since: Instant,
    steps: u64,
}

/// A state that is what it was again.
#[derive(Debug, Clone, Copy)]
pub struct Rebuilt {
    /// How long that took.
    pub took: Duration,
    /// How many steps were read for it.
    pub steps: u64,
}

impl StepLog {
    /// Nothing remembered yet of a partition that begins there.
    #[must_use]
    pub fn new(settings: &config::Sequences, start: &Start) -> Self {
        let mut log = Self {
            settings: settings.clone(),
            state: State::new(settings),
            counted: 0,
            forgotten: 0,
            read: VecDeque::new(),
            from: start.read_from().0,
            rebuild: None,
        };
        if start.remembered_from.is_some() {
            log.begin_rebuild();
        }
        log
    }

    fn begin_rebuild(&mut self) {
        let (since, steps) = (Instant::now(), 0);
        self.rebuild = Some(Rebuild { since, steps });
    }

    /// Takes the step at an offset, and says what it completes.
    pub fn step(&mut self, step: &Step, offset: i64) -> Vec<Sequence> {
        let before = self.read.back().map_or(i64::MIN, |(_, arrival)| *arrival);
        self.read.push_back((offset, before.max(step.arrival)));
        if let Some(rebuild) = &mut self.rebuild {
            rebuild.steps += 1;
        }
        self.state.step(step)
    }

    /// Says once, when all is read again, how that went.
    pub fn rebuilt(&mut self) -> Option<Rebuilt> {
        let Rebuild { since, steps } = self.rebuild.take()?;
        let took = since.elapsed();
        // They were counted when they were read first.
        self.counted = self.state.dropped();
        Some(Rebuilt { took, steps })
    }

    /// Whether the partition is being read again.
    #[must_use]
    pub const fn is_rebuilding(&self) -> bool {
        self.rebuild.is_some()
    }

    /// Notes that everything before an offset is committed.
    pub fn settle(&mut self, settled: i64) {
        let dropped = self.state.dropped();
        self.forgotten += dropped - std::mem::replace(&mut self.counted, dropped);
        let settled_steps = self.read.partition_point(|(offset, _)| *offset < settled);
        let last = settled_steps
            .checked_sub(1)
            .and_then(|it| self.read.get(it));
        let Some((_, arrival)) = last.copied() else {
            return;
        };
        let oldest = self.state.rebuilt_from(arrival);
        // The one before the first that is remembered stays: every second one may be gone.
        let first = self.read.partition_point(|(_, arrival)| *arrival < oldest);
        self.read
            .drain(..first.saturating_sub(1).min(settled_steps));
        let settled_steps = settled_steps - first.saturating_sub(1).min(settled_steps);
        if settled_steps > KEPT {
            let mut place = 0;
            self.read.retain(|_| {
                place += 1;
                place % 2 == 1 || place >= settled_steps
            });
        }
        self.from = self.read.front().map_or(settled, |(offset, _)| *offset);
    }

    /// The offset from which on the partition must be read to remember what is remembered where it is settled.
    #[must_use]
    pub const fn remembered_from(&self) -> i64 {
        self.from
    }

    /// Forgets everything, since the partition goes back to an offset; says from where it must be read to remember what was
    /// remembered there.
    pub fn forget(&mut self, next: i64) -> i64 {
        self.counted = 0;
        self.state = State::new(&self.settings);
        self.read.clear();
        self.rebuild = None;
        if self.from < next {
            self.begin_rebuild();
        }
        self.from
    }

    /// How many steps are remembered.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.steps()
    }

    /// How many steps were forgotten before their time, because there were too many, since this was last asked. Only what is
    /// settled counts: the rest may be read again.
    pub fn forgotten(&mut self) -> u64 {
        std::mem::take(&mut self.forgotten)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::{Group, GroupedBy, OriginalRecord, StepSource};
    use crate::kafka::place::Place;
    use crate::model::Outcome;

    fn start(offset: i64, remembered_from: Option<i64>) -> Start {
        Start {
            place: Place::at(offset),
            epoch: None,
            remembered_from,
            within: offset,
            topic_id: None,
            reset: None,
        }
    }

    /// A step of one of a few profiles, so that many belong together.
    fn step(profile: u8, id: u16, is_removal: bool, event_time: i64, arrival: i64) -> Step {
        let name = if is_removal {
            "RemoveRoleFromInstanceProfile"
        } else {
            "AddRoleToInstanceProfile"
        };
        let source = StepSource {
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
            index: 0,
        };
        let record: OriginalRecord =
            serde_json::from_str(r#"{"text":"{}","envelope":"bare"}"#).unwrap();
        Step {
            group: Group {
                by: GroupedBy::Profile,
                account: "111122223333".to_owned(),
                of: format!("web-{profile}"),
            },
            event_id: format!("e-{id}"),
            event_time,
            arrival,
            event_name: name.to_owned(),
            outcome: Outcome::Success,
            profile: Some(format!("web-{profile}")),
            role: Some(if is_removal { "app" } else { "admin" }.to_owned()),
            privileged_role: None,
            actor: None,
            principal: Some("alice".to_owned()),
            address: None,
            allow_listed: false,
            service: false,
            source,
            record: is_removal.then_some(record),
        }
    }

    /// A log: most steps a few minutes after those before, some long after, some late, some twice.
    fn log() -> impl Strategy<Value = Vec<Step>> {
        let one = (
            0u8..3,
            0u16..60,
            any::<bool>(),
            0i64..900_000,
            prop_oneof![8 => 0i64..600_000, 1 => 0i64..9_000_000, 1 => -3_000_000i64..0],
        );
        proptest::collection::vec(one, 1..120).prop_map(|steps| {
            let mut now = 0;
            steps
                .into_iter()
                .map(|(profile, id, is_removal, before, later)| {
                    now += later;
                    step(profile, id, is_removal, now - before, now)
                })
                .collect()
        })
    }

    proptest! {
        /// Wherever a partition is left and taken up again, by a new process or after a rewind, the rest of it completes
        /// the same.
        #[test]
        fn what_is_read_again_is_remembered_as_it_was(
            steps in log(),
            cuts in proptest::collection::vec((0usize..20, any::<bool>()), 1..12),
            max_steps in prop_oneof![Just(100usize), Just(5)],
        ) {
            let settings = config::Sequences { max_steps, ..config::Sequences::default() };
            let mut calm = StepLog::new(&settings, &start(0, None));
            let (told, dropped): (Vec<Vec<Sequence>>, Vec<u64>) = (0..)
                .zip(&steps)
                .map(|(offset, step)| (calm.step(step, offset), calm.state.dropped()))
                .unzip();
            let mut forgotten = 0;

            let mut log = StepLog::new(&settings, &start(0, None));
            let mut settled = 0;
            for (count, is_new) in cuts {
                let end = (settled + count).min(steps.len());
                // What is read beyond the settled place is lost.
                let beyond = (end + 3).min(steps.len());
                for at in settled..beyond {
                    let offset = i64::try_from(at).unwrap();
                    prop_assert_eq!(&log.step(&steps[at], offset), &told[at]);
                    if at + 1 == end {
                        log.settle(offset + 1);
                    }
                }
                settled = end;
                let offset = i64::try_from(settled).unwrap();
                let from = log.remembered_from();
                prop_assert!(from <= offset);
                forgotten += log.forgotten();
                let expected = end.checked_sub(1).map_or(0, |last| dropped[last]);
                prop_assert_eq!(forgotten, expected, "each is counted once");
                if is_new {
                    let from = Some(from).filter(|from| *from < offset);
                    log = StepLog::new(&settings, &start(offset, from));
                } else {
                    prop_assert_eq!(log.forget(offset), from);
                }
                prop_assert_eq!(log.is_rebuilding(), from < offset);
                for (at, step) in steps.iter().enumerate().take(settled).skip(usize::try_from(from).unwrap()) {
                    log.step(step, i64::try_from(at).unwrap());
                }
                prop_assert_eq!(log.rebuilt().is_some(), from < offset);
            }
        }
    }

    #[test]
    fn a_long_log_is_remembered_from_where_it_has_to_be() {
        let settings = config::Sequences::default();
        let mut log = StepLog::new(&settings, &start(0, None));
        // A step a second: 75 minutes of them are remembered.
        let remembered = 75 * 60;
        for offset in 0..20_000 {
            log.step(&step(0, 0, true, offset * 1000, offset * 1000), offset);
            if offset % 500 == 0 {
                log.settle(offset + 1);
            }
        }
        log.settle(20_000);
        let needed = 20_000 - 1 - remembered;
        let from = log.remembered_from();
        assert!(
            (needed - 16..=needed).contains(&from),
            "{from} for {needed}"
        );
        assert!(log.read.len() < 2 * KEPT, "{}", log.read.len());
    }
}
