//! What /livez and /readyz answer.
//!
//! Alive is a worker whose loop turned lately: it turns while a broker is away, too, so that an outage never restarts
//! anything. Ready is one that has joined its group (an empty assignment counts), whose last delivery was acknowledged,
//! and none of whose partitions stands still.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A loop that has not turned for this long is stuck: no call that it makes blocks for half as long.
pub const STUCK_AFTER: Duration = Duration::from_mins(2);

/// What one worker says of itself.
#[derive(Debug)]
pub struct WorkerHealth {
    turned: AtomicU64,
    joined: AtomicBool,
    delivering: AtomicBool,
    standing: AtomicUsize,
    /// Why partitions wait for their start; empty where none does for long.
    waiting: Mutex<String>,
}

impl Default for WorkerHealth {
    fn default() -> Self {
        Self {
            turned: AtomicU64::new(now()),
            joined: AtomicBool::new(false),
            delivering: AtomicBool::new(true),
            standing: AtomicUsize::new(0),
            waiting: Mutex::default(),
        }
    }
}

/// Seconds since the epoch.
pub(super) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

impl WorkerHealth {
    /// The loop turned. Returns when, in seconds since the epoch.
    pub fn turned(&self) -> u64 {
        let now = now();
        self.turned.store(now, Ordering::Relaxed);
        now
    }

    /// The group gave an assignment, if only an empty one.
    pub fn joined(&self) {
        self.joined.store(true, Ordering::Relaxed);
    }

    /// The worker begins afresh.
    pub fn left(&self) {
        self.joined.store(false, Ordering::Relaxed);
    }

    /// The last delivery was acknowledged, or was not.
    pub fn delivered(&self, acknowledged: bool) {
        self.delivering.store(acknowledged, Ordering::Relaxed);
    }

    /// So many partitions stand still at a message that cannot be delivered.
    pub fn standing(&self, partitions: usize) {
        self.standing.store(partitions, Ordering::Relaxed);
    }

    /// Partitions wait for long for where the group goes on, for this reason, or none does. Whether that is news.
    pub fn waiting(&self, why: Option<&str>) -> bool {
        let why = why.unwrap_or_default();
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = *waiting != why;
        if is_news {
            why.clone_into(&mut waiting);
        }
        is_news
    }

    /// Whether the last delivery was acknowledged.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        self.delivering.load(Ordering::Relaxed)
    }

    /// Whether the loop turned lately.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        now().saturating_sub(self.turned.load(Ordering::Relaxed)) < STUCK_AFTER.as_secs()
    }

    /// Whether the worker does its work; if not, what is missing.
    #[must_use]
    pub fn unready(&self) -> Option<Cow<'static, str>> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.joined.load(Ordering::Relaxed) {
            Some("the consumer group is not joined".into())
        } else if !waiting.is_empty() {
            Some(format!("partitions wait to be told where the group goes on: {waiting}").into())
        } else if !self.delivering.load(Ordering::Relaxed) {
            Some("the last delivery was not acknowledged".into())
        } else if self.standing.load(Ordering::Relaxed) > 0 {
            Some("a partition stands still at a message that cannot be delivered".into())
        } else {
            None
        }
    }
}
