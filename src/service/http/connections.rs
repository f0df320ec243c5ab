//! The connections that are open, and the one that goes where there are too many.
//!
//! A connection is idle until its request has come whole. Beyond the limit the oldest idle one is closed, and where none is
//! idle the oldest of all: so whoever connects gets in, and holds a place only as long as nobody else wants it. A probe
//! needs its place for a moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

/// What is open.
pub(super) struct Connections {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    /// In the order in which they came.
    entries: BTreeMap<u64, Entry>,
}

struct Entry {
    close: CancellationToken,
    /// When its request had come whole; none while it is idle.
    request_at: Option<Instant>,
}

/// One connection's place, which it gives back when it is dropped.
pub(super) struct Seat {
    connections: Arc<Connections>,
    number: u64,
    close: CancellationToken,
}

impl Connections {
    /// None is open, and never more than `limit`.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            open: Mutex::default(),
        })
    }

    /// Takes one in. True: another was closed for it.
    pub(super) fn admit(self: &Arc<Self>) -> (Seat, bool) {
        let mut open = self.open();
        let closes = open.entries.len() >= self.limit && open.close_one();
        let number = open.next;
        open.next += 1;
        let close = CancellationToken::new();
        let entry = Entry {
            close: close.clone(),
            request_at: None,
        };
        open.entries.insert(number, entry);
        drop(open);
        let seat = Seat {
            connections: Arc::clone(self),
            number,
            close,
        };
        (seat, closes)
    }

    /// Closes one for the sake of its descriptor. False where none is open.
    pub(super) fn close_one(&self) -> bool {
        self.open().close_one()
    }

    /// Closes all that are idle.
    pub(super) fn close_idle(&self) {
        let idle = |_: &u64, entry: &mut Entry| entry.request_at.is_none();
        for entry in self.open().entries.extract_if(.., idle) {
            entry.1.close.cancel();
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock()
    }
}

impl Open {
    fn close_one(&mut self) -> bool {
        let idle = self
            .entries
            .iter()
            .find(|(_, entry)| entry.request_at.is_none());
        let goes = idle.or_else(|| self.entries.first_key_value());
        let Some(number) = goes.map(|(number, _)| *number) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&number) {
            entry.close.cancel();
        }
        true
    }
}

impl Seat {
    /// The request has come whole: the connection is idle no longer.
    pub(super) fn requested(&self) {
        if let Some(entry) = self.connections.open().entries.get_mut(&self.number) {
            entry.request_at.get_or_insert_with(Instant::now);
        }
    }

    /// When it had; none while it has not.
    pub(super) fn request_at(&self) -> Option<Instant> {
        let open = self.connections.open();
        open.entries.get(&self.number)?.request_at
    }

    /// Ends when the connection is to be closed.
    pub(super) fn closed(&self) -> WaitForCancellationFuture<'_> {
        self.close.cancelled()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.open().entries.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(seats: &[Seat]) -> Vec<usize> {
        let closed = seats
            .iter()
            .enumerate()
            .filter(|(_, seat)| seat.close.is_cancelled());
        closed.map(|(index, _)| index).collect()
    }

    #[test]
    fn the_oldest_idle_one_goes_and_where_none_is_idle_the_oldest() {
        let connections = Connections::new(3);
        let mut seats = Vec::new();
        let mut admit = |requests: bool| {
            let (seat, closes) = connections.admit();
            if requests {
                seat.requested();
            }
            seats.push(seat);
            (closes, closed(&seats))
        };
        assert_eq!(admit(true), (false, vec![]));
        assert_eq!(admit(false), (false, vec![]));
        assert_eq!(admit(false), (false, vec![]));
        assert_eq!(admit(true), (true, vec![1]), "0 is answered");
        assert_eq!(admit(true), (true, vec![1, 2]));
        assert_eq!(admit(false), (true, vec![0, 1, 2]), "all are answered");
        assert_eq!(connections.open().entries.len(), 3);

        connections.close_idle();
        assert_eq!(closed(&seats), [0, 1, 2, 5]);
        assert!(connections.close_one() && connections.close_one());
        assert!(!connections.close_one(), "none is left");
        assert_eq!(seats.len(), closed(&seats).len());
    }

    #[test]
    fn a_place_is_given_back() {
        let connections = Connections::new(1);
        let (first, _) = connections.admit();
        drop(first);
        let (second, closes) = connections.admit();
        assert!(!closes);
        // One that was closed gives back nothing that another has by now.
        let (third, closes) = connections.admit();
        assert!(closes);
        drop(second);
        assert!(third.request_at().is_none() && !third.close.is_cancelled());
        assert_eq!(connections.open().entries.len(), 1);
    }
}
