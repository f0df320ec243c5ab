//! At least once: send, wait for every report, commit the offsets of what stands.

use std::ops::ControlFlow;

use rdkafka::error::KafkaError;
use rdkafka::producer::Producer;

use super::{DeliveryOutcome, Sink, SinkError, is_late, offsets_to_commit};
use crate::kafka::outgoing::{OutgoingMessage, first_failures};
use crate::kafka::reader::Reader;

impl Sink {
    pub(super) fn at_least_once(
        &mut self,
        messages: &mut [OutgoingMessage],
        reader: &mut Reader,
    ) -> Result<DeliveryOutcome, SinkError> {
        let ControlFlow::Continue(failures) = self.send(messages, reader) else {
            return Ok(DeliveryOutcome::Interrupted);
        };
        if let Some((code, _)) = self.producer.client().fatal_error() {
            return Err(self.fatal("produce", KafkaError::Global(code)));
        }
        let stops = first_failures(messages, &failures);
        let offsets = offsets_to_commit(&reader.positions, |position| {
            let stop = stops.get(&position.id);
            stop.map_or((position.next, position.epoch), |stop| {
                (stop.place, stop.epoch)
            })
        });
        let uncommitted = reader.commit(&offsets).err();
        if is_late(&failures) {
            self.replace_producer(reader)?;
        }
        Ok(match uncommitted {
            None if failures.is_empty() => DeliveryOutcome::Delivered,
            Some(error) if failures.is_empty() => DeliveryOutcome::Uncommitted(error),
            uncommitted => DeliveryOutcome::Failed {
                failures,
                uncommitted,
            },
        })
    }
}
