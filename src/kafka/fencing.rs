//! Why a worker lost its transaction, or its name: what is known of it, and no more.
//!
//! A producer is told only that its epoch is not the current one. That happens where the coordinator ended a transaction
//! that had been open for too long, where an administrator ended it, and where another process uses the same names. What
//! tells them apart: how long the transaction had been open; whether the group's coordinator has given this worker's
//! `group.instance.id` to another member; and by how much the epoch rose until the worker's next producer had it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::statistics::ExactlyOnceSemantics;
use tracing::warn;

use super::client::TRANSACTION_TIMEOUT_MS;
use super::delivery::SinkError;
use super::reader::Reader;
use super::worker::{TICK, WorkerError};

/// How long the consumer is watched once its producer was fenced: it hears with its next heartbeat that another member
/// has its name, and the next statistics say which epoch the producer had.
const LOOK: Duration = Duration::from_millis(5500);

/// How long after brokers did not answer a member may still be fenced by its own earlier requests.
const DISTURBED: Duration = Duration::from_mins(2);

/// What the clocks here and there may differ in, and how late the coordinator may be.
const SLACK: Duration = Duration::from_secs(5);

/// A producer's id and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Epoch {
    producer: i64,
    epoch: i64,
}

#[derive(Debug, Default)]
struct State {
    current: Option<Epoch>,
    /// The epoch of the producer that was fenced, until its successor's is known.
    fenced: Option<Fenced>,
}

#[derive(Debug, Clone, Copy)]
struct Fenced {
    epoch: Epoch,
    timed_out: bool,
}

/// The epochs of one worker's producers, one after the other.
#[derive(Debug, Default)]
pub struct Lineage(Mutex<State>);

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
fn between(fenced: Fenced, now: Epoch) -> Option<Between> {
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

impl Lineage {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The worker's producer was fenced, with a transaction open for so long.
    fn fenced(&self, open: Option<Duration>) {
        let mut state = self.state();
        state.fenced = state.current.map(|epoch| Fenced {
            epoch,
            timed_out: open.is_some_and(has_timed_out),
        });
    }

    /// Takes what a producer's statistics say, and says what became of the id since the last producer, once that is known.
    pub(super) fn look(&self, id: &str, statistics: &ExactlyOnceSemantics) {
        let now = Epoch {
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
pub(super) fn has_timed_out(open: Duration) -> bool {
    open + SLACK >= Duration::from_millis(TRANSACTION_TIMEOUT_MS)
}

/// Why a producer was fenced, for a person: what is known when it happens.
pub(super) fn why(open: Option<Duration>) -> String {
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
        None => "the id was initialised by others while its producer started".to_owned(),
    }
}

/// What a worker's end was for, once it is known whether another process has its name.
pub(super) fn told_apart(
    error: WorkerError,
    name: &str,
    lineage: &Lineage,
    reader: &mut Reader,
) -> WorkerError {
    let open = match &error {
        WorkerError::Sink(SinkError::Fenced { open, .. }) => Some(*open),
        _ => None,
    };
    if open.is_some() {
        let until = Instant::now() + LOOK;
        while !is_name_taken(reader) && Instant::now() < until && !reader.is_stopping() {
            reader.hold(TICK);
        }
    }
    if is_name_taken(reader) {
        let name = name.to_owned();
        let disturbed = reader.consumer.context().disturbed();
        // A member that asks again to be let in, because its broker was slow to answer, may be taken for two.
        return if disturbed.is_some_and(|last| last.elapsed() < DISTURBED) {
            WorkerError::NameLost { name }
        } else {
            WorkerError::NameTaken { name }
        };
    }
    if let Some(open) = open {
        lineage.fenced(open);
    }
    error
}

/// Whether the coordinator has said that another member has the consumer's name.
fn is_name_taken(reader: &Reader) -> bool {
    reader
        .consumer
        .client()
        .fatal_error()
        .is_some_and(|(code, _)| code == RDKafkaErrorCode::FencedInstanceId)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rose(by: i64, timed_out: bool) -> Option<Between> {
        let epoch = |epoch| Epoch { producer: 7, epoch };
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
            epoch: Epoch {
                producer: 7,
                epoch: 32_000,
            },
            timed_out: false,
        };
        let now = Epoch {
            producer: 8,
            epoch: 0,
        };
        assert_eq!(between(fenced, now), None);
    }

    #[test]
    fn only_a_transaction_that_was_open_for_its_time_was_ended_by_the_coordinator() {
        assert!(why(Some(Duration::from_secs(61))).contains("open for 61 s, and the coordinator"));
        let short = why(Some(Duration::from_secs(20)));
        assert!(
            !short.contains("coordinator") && short.contains("20.0 s"),
            "{short}"
        );
    }
}
