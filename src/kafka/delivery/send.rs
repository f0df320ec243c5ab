//! Hands a batch to the producer, and judges what was not delivered.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, Producer};

use super::{SLICE, Sink};
use crate::kafka::entry::{Entry, Failure, Target, Verdict};
use crate::kafka::native;
use crate::kafka::reader::{Broken, Reader};

/// How many batches are told apart by their tags.
const EPOCHS: usize = 1 << 16;

const fn tag(epoch: usize, place: usize) -> usize {
    place * EPOCHS + epoch
}

impl Sink {
    /// Hands everything to the producer and waits for every report. Breaks when the reader does.
    pub(super) fn send(
        &mut self,
        entries: &mut [Entry],
        reader: &mut Reader,
    ) -> ControlFlow<Broken, Vec<Failure>> {
        self.epoch = (self.epoch + 1) % EPOCHS;
        let _ = self.producer.context().failures();
        let mut failures = Vec::new();
        let mut is_alone = true;
        // Partitions with a failure: what comes after it is read again, and would be there twice.
        let mut failed = BTreeSet::new();
        for (place, entry) in entries.iter_mut().enumerate() {
            if failed.contains(&entry.position) {
                continue;
            }
            let is_apart = self.is_apart(entry);
            if is_apart && !is_alone {
                self.wait(reader)?;
            }
            let headers = std::mem::take(&mut entry.headers).to_owned();
            let mut record = BaseRecord::<[u8], [u8], usize>::with_opaque_to(
                self.topic(entry),
                tag(self.epoch, place),
            );
            record.key = entry.key.as_deref();
            record.payload = entry.payload.as_deref();
            record.timestamp = entry.timestamp;
            record.headers = headers;
            let mut is_empty = false;
            loop {
                match self.producer.send(record) {
                    Ok(()) => break,
                    // It alone is larger than the whole queue.
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _))
                        if is_empty =>
                    {
                        failures.push((place, RDKafkaErrorCode::MessageSizeTooLarge));
                        break;
                    }
                    // Back-pressure: what is queued must leave first.
                    Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                        record = again;
                        is_empty = native::flush(&self.producer, SLICE);
                        if !is_empty {
                            self.idle(reader)?;
                        }
                    }
                    Err((error, _)) => {
                        let code = error
                            .rdkafka_error_code()
                            .unwrap_or(RDKafkaErrorCode::Unknown);
                        failures.push((place, code));
                        break;
                    }
                }
            }
            if is_apart {
                self.wait(reader)?;
                failures.extend(self.reported());
                if failures.iter().any(|(failure, _)| *failure == place) {
                    failed.insert(entry.position);
                }
            }
            is_alone = is_apart;
        }
        self.wait(reader)?;
        failures.extend(self.reported());
        ControlFlow::Continue(self.judge(entries, failures, reader))
    }

    /// The messages of this batch, by place, that were reported as failed since the last call.
    fn reported(&self) -> impl Iterator<Item = (usize, RDKafkaErrorCode)> {
        let epoch = self.epoch;
        let reports = self.producer.context().failures().into_iter();
        reports
            .filter(move |(tag, _)| tag % EPOCHS == epoch)
            .map(|(tag, code)| (tag / EPOCHS, code))
    }

    /// What each failure asks for. A broker judges a produce batch as a whole: innocent messages fail with the one that
    /// is too large. So each is tried again, apart from the others, before it is judged.
    fn judge(
        &mut self,
        entries: &[Entry],
        failures: Vec<(usize, RDKafkaErrorCode)>,
        reader: &Reader,
    ) -> Vec<Failure> {
        let is_only = entries.len() == 1;
        let mut suspects = Vec::new();
        let judge = |(place, code)| {
            let entry: Option<&Entry> = entries.get(place);
            let is_certain = is_only || entry.is_some_and(|entry| self.is_apart(entry));
            let verdict = Verdict::of(code, entry.map_or(Target::DeadLetter, |it| it.target));
            if verdict != Verdict::Retry && !is_certain {
                suspects.extend(entry.map(|entry| (entry.position, entry.place.offset)));
            }
            Failure {
                entry: place,
                code,
                verdict: if is_certain { verdict } else { Verdict::Retry },
            }
        };
        let failures: Vec<_> = failures.into_iter().map(judge).collect();
        if failures.is_empty() && !self.suspects.is_empty() {
            for entry in entries {
                self.suspects.remove(&(entry.position, entry.place.offset));
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
