//! What follows a removal: the second half of a swap, of a teardown, or of a mistake that is put right.

use std::collections::VecDeque;

use super::calls::{ADDITION_BACK, ADDITION_OF_ADMIN, ADDITION_OF_OTHER, Call, DELETION};
use super::company::{CallerKind, Principal};
use super::random::Random;

/// What was decided of one record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drawn<'a> {
    pub(super) call: &'static Call,
    pub(super) caller: CallerKind,
    pub(super) principal: &'a Principal,
    pub(super) agent: &'static str,
    pub(super) region: &'static str,
    /// The number that decides the names.
    pub(super) subject: u64,
}

/// A call that follows a removal: the same principal's, about the same profile.
#[derive(Debug)]
pub(super) struct Sequel {
    /// When, in milliseconds since the epoch.
    due: u64,
    call: &'static Call,
    caller: CallerKind,
    principal: Principal,
    agent: &'static str,
    region: &'static str,
    subject: u64,
}

/// What follows, and after how many milliseconds. Half of all are teardowns, which delete the profile at once; a swap takes
/// somebody at a keyboard a moment, and whoever puts a role back had to find out first.
const TURNS: [(&Call, u64, u64); 8] = [
    (&DELETION, 1_000, 3_000),
    (&ADDITION_OF_ADMIN, 4_000, 40_000),
    (&DELETION, 1_000, 3_000),
    (&ADDITION_BACK, 20_000, 240_000),
    (&DELETION, 1_000, 3_000),
    (&ADDITION_OF_OTHER, 4_000, 40_000),
    (&DELETION, 1_000, 3_000),
    (&ADDITION_BACK, 20_000, 240_000),
];

/// The calls that are to come.
#[derive(Debug)]
pub(super) struct Sequels {
    rate: f64,
    random: Random,
    /// How many there were.
    number: usize,
    /// By the time at which they are due.
    pending: VecDeque<Sequel>,
}

impl Sequels {
    pub(super) const fn new(rate: f64, random: Random) -> Self {
        Self {
            rate,
            random,
            number: 0,
            pending: VecDeque::new(),
        }
    }

    /// Decides whether something follows a removal that went through at `now`, and when. What it is goes in turn, so that few
    /// removals are enough for some of each.
    pub(super) fn follow(&mut self, now: u64, removal: &Drawn<'_>) {
        if self.rate <= 0.0 || self.random.fraction() >= self.rate {
            return;
        }
        let turn = TURNS.get(self.number % TURNS.len()).copied();
        let Some((call, from, to)) = turn else {
            return;
        };
        self.number += 1;
        let due = now + from + self.random.below(to - from);
        let place = self.pending.partition_point(|other| other.due <= due);
        self.pending.insert(
            place,
            Sequel {
                due,
                call,
                caller: removal.caller,
                principal: removal.principal.clone(),
                agent: removal.agent,
                region: removal.region,
                subject: removal.subject,
            },
        );
    }

    /// The call whose time has come.
    pub(super) fn due(&mut self, now: u64) -> Option<Sequel> {
        let is_due = self.pending.front().is_some_and(|first| first.due <= now);
        is_due.then(|| self.pending.pop_front()).flatten()
    }
}

impl Sequel {
    pub(super) const fn drawn(&self) -> Drawn<'_> {
        Drawn {
            call: self.call,
            caller: self.caller,
            principal: &self.principal,
            agent: self.agent,
            region: self.region,
            subject: self.subject,
        }
    }
}
