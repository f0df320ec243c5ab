//! What /livez and /readyz answer.
//!
//! Alive is a worker whose loop turned lately: it turns while a broker is away, too, so that an outage never restarts
//! anything. Ready is one that has joined its group (an empty assignment counts), to whom brokers and its group's
//! coordinator answer, that does not wait for a commit for long, whose last delivery was acknowledged, and none of whose
//! partitions stands still. What is missing is said in words, with the true reason, and never with a secret.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::{Mutex, MutexGuard};

/// A loop that has not turned for this long is stuck: no call that it makes blocks for half as long.
pub const STUCK_AFTER: Duration = Duration::from_mins(2);

/// A loop that has not turned for this long is given up, and the process with it: whoever watches the process (Kubernetes does
/// so by /livez, and sooner) starts another one, which reads again what was not committed.
pub const LOST_AFTER: Duration = Duration::from_mins(4);

/// A commit or a transaction that takes longer than this is one that waits.
pub const WAITS_AFTER: Duration = Duration::from_secs(10);

/// How long a group may be without a coordinator before that counts: it moves when brokers come and go.
const COORDINATOR_MOVES: Duration = Duration::from_secs(6);

/// Who does not answer a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silent {
    /// No broker does.
    Brokers,
    /// The coordinator of its group does not.
    Coordinator,
}

/// What keeps a worker from its work.
#[derive(Debug, Default)]
struct Trouble {
    /// Who does not answer, and since when.
    silent: Option<(Silent, Instant)>,
    /// Why no broker answers, or why those that do not do not.
    why: String,
    /// What is under way, and since when.
    waits: Option<(&'static str, Instant)>,
    /// Why the worker begins afresh.
    failed: Option<String>,
    /// Why partitions wait for their start; empty where none does for long.
    starts: String,
}

/// What one worker says of itself.
#[derive(Debug)]
pub struct WorkerHealth {
    turned: AtomicU64,
    joined: AtomicBool,
    delivering: AtomicBool,
    standing: AtomicUsize,
    trouble: Mutex<Trouble>,
}

impl Default for WorkerHealth {
    fn default() -> Self {
        Self {
            turned: AtomicU64::new(now()),
            joined: AtomicBool::new(false),
            delivering: AtomicBool::new(true),
            standing: AtomicUsize::new(0),
            trouble: Mutex::default(),
        }
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl WorkerHealth {
    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock()
    }

    /// The loop turned. Returns when, in seconds since the epoch.
    pub fn turned(&self) -> u64 {
        let now = now();
        self.turned.store(now, Ordering::Relaxed);
        now
    }

    /// The group gave an assignment, if only an empty one.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
        self.trouble().failed = None;
    }

    /// The worker begins afresh, because of this.
    pub fn left(&self, error: String) {
        self.joined.store(false, Ordering::Relaxed);
        self.delivering.store(true, Ordering::Relaxed);
        let mut trouble = self.trouble();
        trouble.failed = Some(error);
        trouble.waits = None;
    }

    /// The last delivery was acknowledged, or is for others to try again; or it was not.
    pub fn delivered(&self, acknowledged: bool) {
        self.delivering.store(acknowledged, Ordering::Relaxed);
    }

    /// So many partitions stand still at a message that cannot be delivered.
    pub fn standing(&self, partitions: usize) {
        self.standing.store(partitions, Ordering::Relaxed);
    }

    /// Who does not answer, if anybody, and why brokers do not, as far as it is known. `for_long` is how long that was so
    /// already when it was seen first.
    pub fn silent(&self, silent: Option<Silent>, for_long: Duration, why: String) {
        let mut trouble = self.trouble();
        let since = trouble
            .silent
            .filter(|(known, _)| Some(*known) == silent)
            .map(|(_, since)| since);
        let now = Instant::now();
        trouble.silent = silent.map(|silent| {
            let since = since.unwrap_or_else(|| now.checked_sub(for_long).unwrap_or(now));
            (silent, since)
        });
        trouble.why = why;
    }

    /// Partitions wait for long for where the group goes on, for this reason, or none does. Whether that is news.
    pub fn waits_for_starts(&self, why: Option<&str>) -> bool {
        let why = why.unwrap_or_default();
        let mut trouble = self.trouble();
        let is_news = trouble.starts != why;
        if is_news {
            why.clone_into(&mut trouble.starts);
        }
        is_news
    }

    /// This is under way from now on, until [`WorkerHealth::waited`].
    pub fn waits_for(&self, what: &'static str) {
        self.trouble().waits = Some((what, Instant::now()));
    }

    /// It is over.
    pub fn waited(&self) {
        self.trouble().waits = None;
    }

    /// Whether the loop turned lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.turned_ago() < STUCK_AFTER
    }

    /// Whether the loop has not turned for so long that it never will: a call into the client library does not return.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.turned_ago() >= LOST_AFTER
    }

    #[cfg(test)]
    pub(crate) fn turned_before(&self, ago: Duration) {
        self.turned.store(now() - ago.as_secs(), Ordering::Relaxed);
    }

    fn turned_ago(&self) -> Duration {
        Duration::from_secs(now().saturating_sub(self.turned.load(Ordering::Relaxed)))
    }

    /// Whether the worker does its work; if not, what is missing.
    #[must_use]
    pub fn unready(&self) -> Option<String> {
        let trouble = self.trouble();
        let why = &trouble.why;
        let is_moving = |silent, since: Instant| {
            silent == Silent::Coordinator && since.elapsed() < COORDINATOR_MOVES
        };
        if let Some((silent, since)) = trouble.silent
            && !is_moving(silent, since)
        {
            let seconds = since.elapsed().as_secs();
            return Some(match silent {
                Silent::Brokers => format!("no broker has answered for {seconds} s: {why}"),
                Silent::Coordinator => format!(
                    "the coordinator of the consumer group has not answered for {seconds} s: {why}"
                ),
            });
        }
        if let Some((what, since)) = trouble.waits
            && since.elapsed() > WAITS_AFTER
        {
            let seconds = since.elapsed().as_secs();
            return Some(format!("{what} has been waiting for {seconds} s: {why}"));
        }
        if !self.joined.load(Ordering::Relaxed) {
            let joined = "the consumer group is not joined";
            return Some(match &trouble.failed {
                Some(error) => format!("{joined}: the worker restarts after: {error}"),
                None => joined.to_owned(),
            });
        }
        if !trouble.starts.is_empty() {
            let why = &trouble.starts;
            return Some(format!("partitions wait for their start offsets: {why}"));
        }
        if !self.delivering.load(Ordering::Relaxed) {
            Some("the last delivery was not acknowledged".to_owned())
        } else if self.standing.load(Ordering::Relaxed) > 0 {
            Some("a partition is stopped at a message that cannot be delivered".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_and_taken_back() {
        let health = WorkerHealth::default();
        let says = |text: &str| {
            let unready = health.unready().unwrap();
            assert!(unready.starts_with(text), "{unready}");
        };
        says("the consumer group is not joined");
        health.joined();
        assert_eq!(health.unready(), None);
        let why = || "connection refused (a:1)".to_owned();
        health.silent(Some(Silent::Brokers), Duration::ZERO, why());
        says("no broker has answered for 0 s: connection refused (a:1)");
        health.silent(None, Duration::ZERO, String::new());
        assert_eq!(health.unready(), None);
        assert!(health.waits_for_starts(Some("in [0]: no answer")));
        assert!(!health.waits_for_starts(Some("in [0]: no answer")));
        says("partitions wait for their start offsets: in [0]: no answer");
        assert!(health.waits_for_starts(None));
        assert_eq!(health.unready(), None);
        health.waits_for("a transaction");
        assert_eq!(health.unready(), None, "it has just begun");
        health.left("the transactional id is lost".to_owned());
        says("the consumer group is not joined: the worker restarts after: the transactional");
        health.joined();
        health.delivered(false);
        says("the last delivery");
    }

    #[test]
    fn a_silence_is_as_old_as_it_was_when_it_was_seen() {
        let health = WorkerHealth::default();
        let silent = Some(Silent::Coordinator);
        health.silent(silent, Duration::from_secs(7), "x".to_owned());
        health.silent(silent, Duration::ZERO, "y".to_owned());
        let unready = health.unready().unwrap();
        assert!(
            unready
                .starts_with("the coordinator of the consumer group has not answered for 7 s: y"),
            "{unready}"
        );
    }
}
