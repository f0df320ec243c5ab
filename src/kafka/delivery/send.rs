//! Hands a batch to the producer, and judges what was not delivered.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};

use super::{SLICE, Sink};
use crate::kafka::ffi;
use crate::kafka::outgoing::{DeliveryFailure, OutgoingMessage, Verdict};
use crate::kafka::reader::{Broken, Reader};
use crate::kafka::topics::Target;

/// How many batches are told apart by their tags.
const BATCHES: usize = 1 << 16;

const fn tag(batch_number: usize, index: usize) -> usize {
    index * BATCHES + batch_number
}

impl Sink {
    /// Hands everything to the producer and waits for every report. Breaks when the reader does.
    pub(super) fn send(
        &mut self,
        messages: &mut [OutgoingMessage],
        reader: &mut Reader,
    ) -> ControlFlow<Broken, Vec<DeliveryFailure>> {
        self.batch_number = (self.batch_number + 1) % BATCHES;
        let _ = self.producer.context().failures();
        let mut failures = Vec::new();
        let mut is_alone = true;
        // Partitions with a failure: what comes after it is read again, and would be there twice.
        let mut failed = BTreeSet::new();
        for (index, message) in messages.iter_mut().enumerate() {
            if failed.contains(&message.position) {
                continue;
            }
            let is_apart = self.is_apart(message);
            if is_apart && !is_alone {
                self.wait(reader)?;
            }
            let headers = std::mem::take(&mut message.headers).to_owned();
            let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(
                message.target.topic(&self.config),
                tag(self.batch_number, index),
            );
            record.key = message.key.as_deref();
            record.payload = message.payload.as_deref();
            record.timestamp = message.timestamp;
            record.headers = headers;
            let mut is_empty = false;
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    // It alone is larger than the whole queue.
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                        if is_empty =>
                    {
                        failures.push((index, RDKafkaErrorCode::MessageSizeTooLarge));
                        break;
                    }
                    // Back-pressure: what is queued must leave first.
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                        record = again;
                        is_empty = ffi::flush(&self.producer, SLICE);
                        if !is_empty {
                            self.idle(reader)?;
                        }
                    }
                    Err((error, _)) => {
                        let code = error
                            .rdkafka_error_code()
                            .unwrap_or(RDKafkaErrorCode::Unknown);
                        failures.push((index, code));
                        break;
                    }
                }
            }
            if is_apart {
                self.wait(reader)?;
                failures.extend(self.reported());
                if failures.iter().any(|(failure, _)| *failure == index) {
                    failed.insert(message.position);
                }
            }
            is_alone = is_apart;
        }
        self.wait(reader)?;
        failures.extend(self.reported());
        ControlFlow::Continue(self.judge(messages, failures, reader))
    }

    /// The messages of this batch, by index, that were reported as failed since the last call.
    fn reported(&self) -> impl Iterator<Item = (usize, RDKafkaErrorCode)> {
        let batch_number = self.batch_number;
        let reports = self.producer.context().failures().into_iter();
        reports
            .filter(move |(tag, _)| tag % BATCHES == batch_number)
            .map(|(tag, code)| (tag / BATCHES, code))
    }

    /// What each failure asks for. A broker judges a produce batch as a whole: innocent messages fail with the one that
    /// is too large. So each is tried again, apart from the others, before it is judged.
    fn judge(
        &mut self,
        messages: &[OutgoingMessage],
        failures: Vec<(usize, RDKafkaErrorCode)>,
        reader: &Reader,
    ) -> Vec<DeliveryFailure> {
        let is_only = messages.len() == 1;
        let mut suspects = Vec::new();
        let judge = |(index, code)| {
            let message: Option<&OutgoingMessage> = messages.get(index);
            let is_certain = is_only || message.is_some_and(|message| self.is_apart(message));
            let verdict =
                Verdict::from_code(code, message.map_or(Target::DeadLetter, |it| it.target));
            if verdict != Verdict::Retry && !is_certain {
                suspects.extend(message.map(|message| (message.position, message.place.offset)));
            }
            DeliveryFailure {
                message: index,
                code,
                verdict: if is_certain { verdict } else { Verdict::Retry },
            }
        };
        let failures: Vec<_> = failures.into_iter().map(judge).collect();
        if failures.is_empty() && !self.suspects.is_empty() {
            for message in messages {
                self.suspects
                    .remove(&(message.position, message.place.offset));
            }
        }
        self.suspects.extend(suspects);
        self.suspects.retain(|(id, offset)| {
            let position = reader.positions.find(*id);
            position.is_some_and(|position| *offset >= position.settled.offset)
        });
        failures
    }
}
