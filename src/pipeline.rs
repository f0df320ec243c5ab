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
    /// The finding's level.
    pub level: Level,
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
}
