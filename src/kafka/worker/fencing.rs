//! Why a worker lost its transaction, or its name: what is known of it, and no more.
//!
//! A producer is told only that its epoch is not the current one. That happens where the coordinator ended a transaction
//! that had been open for too long, where an administrator ended it, and where another process uses the same names. What
//! tells them apart: how long the transaction had been open; whether the group's coordinator has given this worker's
//! `group.instance.id` to another member; and by how much the epoch rose until the worker's next producer had it
//! ([`ProducerEpochs`]).

use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;

use super::WorkerError;
use crate::kafka::TICK;
use crate::kafka::delivery::SinkError;
use crate::kafka::producer_epochs::ProducerEpochs;
use crate::kafka::reader::Reader;

/// How long the consumer is watched once its producer was fenced: it hears with its next heartbeat that another member
/// has its name, and the next statistics say which epoch the producer had.
const LOOK: Duration = Duration::from_millis(5500);

/// How long after brokers did not answer a member may still be fenced by its own earlier requests.
const DISTURBED: Duration = Duration::from_mins(2);

/// What a worker's end was for, once it is known whether another process has its name.
pub(super) fn told_apart(
    error: WorkerError,
    name: &str,
    producer_epochs: &ProducerEpochs,
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
        let last_disturbance = reader.consumer.context().last_disturbance();
        // A member that asks again to be let in, because its broker was slow to answer, may be taken for two.
        return if last_disturbance.is_some_and(|last| last.elapsed() < DISTURBED) {
            WorkerError::NameLost { name }
        } else {
            WorkerError::NameTaken { name }
        };
    }
    if let Some(open) = open {
        producer_epochs.fenced(open);
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
