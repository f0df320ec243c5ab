//! The epochs of one worker's producers, and what they tell of a producer that was fenced.
//!
//! In here flow the producers' statistics; out of here flows a line of the log, once the next producer has its epoch. Who
//! fenced a producer is decided in [`super::worker`].

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rdkafka::statistics::ExactlyOnceSemantics;
use tracing::warn;

use super::client::TRANSACTION_TIMEOUT_MS;

/// What the clocks here and there may differ in, and how late the coordinator may be.
const SLACK: Duration = Duration::from_secs(5);

/// A producer's id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ProducerEpoch {
    producer: i64,
    epoch: i64,
}

#[derive(Debug, Default)]
struct State {
    current: Option<ProducerEpoch>,
    /// The epoch of the producer that was fenced, until its successor's is known.
    fenced: Option<Fenced>,
}

#[derive(Debug, Clone, Copy)]
struct Fenced {
    epoch: ProducerEpoch,
    timed_out: bool,
}

/// The epochs of one worker's producers, one after the other.
#[derive(Debug, Default)]
pub struct ProducerEpochs(Mutex<State>);

/// What became of the transactional id between two producers of this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// The coordinator ended the transaction.
    Coordinator,
    /// Others have initialised the id, at least so many times.
    Others(i64),
    /// Nobody has.
    Nobody,
}

/// Each start of a producer raises the epoch by one, and by one more where it ends a transaction that is open. So does
/// the coordinator when it ends one that has been open for too long.
fn between(fenced: Fenced, now: ProducerEpoch) -> Option<Between> {
    if fenced.epoch.producer != now.producer {
        // The epochs of one producer id were used up.
        return None;
    }
    let rose = now.epoch - fenced.epoch.epoch;
    Some(match rose {
        ..=0 => return None,
        1 => Between::Nobody,
        2 if fenced.timed_out => Between::Coordinator,
        rose => Between::Others((rose - 2).max(1)),
    })
}

impl ProducerEpochs {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// The worker's producer was fenced, with a transaction open for so long.
    pub(super) fn fenced(&self, open: Option<Duration>) {
        let mut state = self.state();
        state.fenced = state.current.map(|epoch| Fenced {
            epoch,
            timed_out: open.is_some_and(has_timed_out),
        });
    }

    /// Takes what a producer's statistics say, and says what became of the id since the last producer, once that is known.
    pub(super) fn update(&self, id: &str, statistics: &ExactlyOnceSemantics) {
        let now = ProducerEpoch {
            producer: statistics.producer_id,
            epoch: statistics.producer_epoch,
        };
        if now.producer < 0 || now.epoch < 0 {
            return;
        }
        let found = {
            let mut state = self.state();
            state.current = Some(now);
            let found = state
                .fenced
                .and_then(|fenced| Some((fenced, between(fenced, now)?)));
            if found.is_some() {
                state.fenced = None;
            }
            found
        };
        let Some((fenced, between)) = found else {
            return;
        };
        let (before, after) = (fenced.epoch.epoch, now.epoch);
        match between {
            Between::Others(times) => warn!(
                id,
                epoch_before = before,
                epoch_now = after,
                times,
                "the transactional id was initialised by others since, at least `times` times: by an administrator who \
                 ended its transaction, or by another process, which needs its own delivery.transactional_id_prefix"
            ),
            Between::Coordinator => warn!(
                id,
                epoch_before = before,
                epoch_now = after,
                "nobody else has initialised the transactional id since: the coordinator had ended its transaction"
            ),
            Between::Nobody => warn!(
                id,
                epoch_before = before,
                epoch_now = after,
                "nobody else has initialised the transactional id since"
            ),
        }
    }
}

/// Whether a transaction that has been open for so long was ended by its coordinator.
fn has_timed_out(open: Duration) -> bool {
    open + SLACK >= Duration::from_millis(TRANSACTION_TIMEOUT_MS)
}

/// Why a producer was fenced, for a person: what is known when it happens.
pub(super) fn why_fenced(open: Option<Duration>) -> String {
    match open {
        Some(open) if has_timed_out(open) => format!(
            "its transaction had been open for {} s, and the coordinator ends one after {} s; its messages are read again",
            open.as_secs(),
            TRANSACTION_TIMEOUT_MS / 1000
        ),
        Some(open) => format!(
            "its transaction, open for {:.1} s, was ended by others; its messages will be read again, and the log will say \
             how often others have initialised the id",
            open.as_secs_f64()
        ),
        None => "the id was initialised again while its producer started".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rose(by: i64, timed_out: bool) -> Option<Between> {
        let epoch = |epoch| ProducerEpoch { producer: 7, epoch };
        let fenced = Fenced {
            epoch: epoch(3),
            timed_out,
        };
        between(fenced, epoch(3 + by))
    }

    #[test]
    fn the_epoch_tells_how_often_others_initialised_the_id() {
        assert_eq!(rose(0, false), None, "it is still the old one's");
        assert_eq!(rose(1, false), Some(Between::Nobody));
        assert_eq!(rose(2, true), Some(Between::Coordinator));
        assert_eq!(rose(2, false), Some(Between::Others(1)));
        assert_eq!(rose(3, false), Some(Between::Others(1)));
        assert_eq!(rose(3, true), Some(Between::Others(1)));
        assert_eq!(rose(5, false), Some(Between::Others(3)));
    }

    #[test]
    fn another_producer_id_proves_nothing() {
        let fenced = Fenced {
            epoch: ProducerEpoch {
                producer: 7,
                epoch: 32_000,
            },
            timed_out: false,
        };
        let now = ProducerEpoch {
            producer: 8,
            epoch: 0,
        };
        assert_eq!(between(fenced, now), None);
    }

    #[test]
    fn only_a_transaction_that_was_open_for_its_time_was_ended_by_the_coordinator() {
        assert!(
            why_fenced(Some(Duration::from_secs(61)))
                .contains("open for 61 s, and the coordinator")
        );
        let short = why_fenced(Some(Duration::from_secs(20)));
        assert!(
            !short.contains("coordinator") && short.contains("20.0 s"),
            "{short}"
        );
    }
}
