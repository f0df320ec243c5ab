//! Composes envelope, prefilter, detection, remediation and formats: one message in, documents out. Pure.

use crate::cloudtrail::envelope::{Scratch, Skip};
use crate::dead_letter::{DeadLetter, Reason};
use crate::detection::severity::Level;

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic, or the name of the file.
    pub topic: &'a str,
    /// The partition, 0 for a file.
    pub partition: i32,
    /// The offset, or the number of the payload within a file, counted from 0.
    pub offset: i64,
    /// The message's timestamp in milliseconds since the epoch, where it has one.
    pub timestamp: Option<i64>,
}

/// One document for one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The place of the route in the configuration.
    pub route: usize,
    /// The record's place within its message.
    pub index: u32,
    /// The Kafka key, none where the route has none.
    pub key: Option<String>,
    /// The Kafka headers, in order.
    pub headers: Vec<(&'static str, String)>,
    /// The document.
    pub payload: Vec<u8>,
    /// When the event happened, in milliseconds since the epoch, where the record says so.
    pub event_time: Option<i64>,
}

/// What messages became, and buffers that are reused from one to the next.
#[derive(Debug, Default)]
pub struct Outputs {
    /// Documents, in the order of their records and, within one, of the routes.
    pub documents: Vec<Document>,
    /// What could not be read, or could not be sent as it is.
    pub dead_letters: Vec<DeadLetter>,
    /// The largest document that each route's topic takes, by place; a route beyond the list has no limit.
    pub limits: Vec<usize>,
    pub(crate) scratch: Scratch,
}

/// How many of what: adds up over messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Records that no rule matched.
    pub ignored: u64,
    /// Records that became findings, all of whose documents can be sent.
    pub matched: u64,
    /// Records, or whole messages, that became dead letters.
    pub dead_lettered: u64,
    /// Elements that are valid and carry no record, by kind, in the order of [`Skip::ALL`].
    pub skipped: [u64; Skip::ALL.len()],
    /// Dead letters by reason, in the order of [`Reason::ALL`].
    pub dead_letters: [u64; Reason::ALL.len()],
    /// Findings by level, in the order of [`Level::ALL`].
    pub findings: [u64; Level::ALL.len()],
}

impl Tally {
    /// Every record, whatever became of it.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.ignored + self.matched + self.dead_lettered
    }

    /// Counts a dead letter, and the record or message that it was.
    pub fn dead_letter(&mut self, reason: Reason) {
        self.dead_lettered += 1;
        if let Some(count) = self.dead_letters.get_mut(reason as usize) {
            *count += 1;
        }
    }

    /// Counts an element that carries no record.
    pub fn skip(&mut self, kind: Skip) {
        if let Some(count) = self.skipped.get_mut(kind as usize) {
            *count += 1;
        }
    }

    /// Counts a finding.
    pub fn finding(&mut self, level: Level) {
        if let Some(count) = self.findings.get_mut(level as usize) {
            *count += 1;
        }
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.zip(other, |mine, theirs| mine + theirs);
    }

    /// Takes another tally, which is part of this one, away from it.
    pub fn subtract(&mut self, other: &Self) {
        self.zip(other, u64::saturating_sub);
    }

    fn zip(&mut self, other: &Self, combine: impl Fn(u64, u64) -> u64) {
        let lists = [
            (self.skipped.as_mut_slice(), other.skipped.as_slice()),
            (
                self.dead_letters.as_mut_slice(),
                other.dead_letters.as_slice(),
            ),
            (self.findings.as_mut_slice(), other.findings.as_slice()),
        ];
        for (mine, theirs) in lists
            .into_iter()
            .flat_map(|(mine, theirs)| mine.iter_mut().zip(theirs))
        {
            *mine = combine(*mine, *theirs);
        }
        self.ignored = combine(self.ignored, other.ignored);
        self.matched = combine(self.matched, other.matched);
        self.dead_lettered = combine(self.dead_lettered, other.dead_lettered);
    }
}

/// Everything between bytes and documents, ready to run.
#[derive(Debug)]
pub struct Pipeline {}

impl Pipeline {
    /// Turns one message into documents and dead letters, which are added to `out`, and counts them.
    pub fn process(&self, _payload: &[u8], _origin: &Origin<'_>, _out: &mut Outputs) -> Tally {
        Tally::default()
    }

    /// How many rules are in use.
    #[must_use]
    pub fn rules(&self) -> usize {
        0
    }
}
