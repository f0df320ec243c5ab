//! Exactly once: documents and offsets in one transaction.
//!
//! begin · send · offsets into the transaction · commit. One failure aborts all. An aborted transaction that has offered its
//! offsets is followed by one that has the coordinator discard them.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Instant;

use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};
use tracing::debug;

use super::{CALL, DeliveryOutcome, OnRevoke, Sink, SinkError, is_late, offsets_to_commit, retry};
use crate::config::Guarantee;
use crate::kafka::ffi;
use crate::kafka::ffi::admin;
use crate::kafka::outgoing::{DeliveryFailure, OutgoingMessage, Verdict};
use crate::kafka::positions::Position;
use crate::kafka::reader::{Broken, Reader};
use crate::kafka::transactions::CallFailure;

impl Sink {
    pub(super) fn exactly_once(
        &mut self,
        messages: &mut [OutgoingMessage],
        reader: &mut Reader,
    ) -> Result<DeliveryOutcome, SinkError> {
        self.producer
            .begin_transaction()
            .map_err(|error| self.fatal("begin_transaction", error))?;
        self.opened = Some(Instant::now());
        let failures = match self.send(messages, reader) {
            ControlFlow::Continue(failures) => failures,
            ControlFlow::Break(_) => return self.abort(DeliveryOutcome::Interrupted, reader),
        };
        if !failures.is_empty() {
            if let Some((code, _)) = self.producer.client().fatal_error() {
                return Err(self.fatal("produce", KafkaError::Global(code)));
            }
            let is_late = is_late(&failures);
            // Once one message has failed, the others of its transaction fail for that alone.
            let blamed: Vec<_> = failures
                .into_iter()
                .filter(|failure| !is_collateral(failure.code))
                .collect();
            let blamed = if blamed.is_empty() {
                self.unauthorized_messages(messages)
            } else {
                blamed
            };
            let outcome = if blamed.is_empty() {
                DeliveryOutcome::Aborted("the transaction failed under its messages".to_owned())
            } else {
                DeliveryOutcome::Failed {
                    failures: blamed,
                    uncommitted: None,
                }
            };
            let outcome = self.abort(outcome, reader)?;
            if is_late {
                self.replace_producer(reader)?;
            }
            return Ok(outcome);
        }
        let offsets = offsets_to_commit(&reader.positions, Position::reached);
        self.has_offered_offsets = true;
        match self.send_offsets(&offsets, OnRevoke::Stop, reader) {
            Ok(ControlFlow::Continue(())) => {}
            Ok(ControlFlow::Break(_)) => return self.abort(DeliveryOutcome::Interrupted, reader),
            Err(CallFailure::NoGroup) => {
                let reason = "the consumer has no group yet".to_owned();
                return self.abort(DeliveryOutcome::Aborted(reason), reader);
            }
            Err(CallFailure::Abort(error)) => {
                let reason = format!("send_offsets_to_transaction: {error}");
                return self.abort(DeliveryOutcome::Aborted(reason), reader);
            }
            Err(failure) => return Err(self.failed("send_offsets_to_transaction", failure)),
        }
        // Once the offsets are in, only the coordinator can say how it ended; a partition that leaves now is read by its new
        // owner after that, so a revoke is no reason to break off.
        let commit =
            |reader: &mut Reader| self.call(|producer| producer.commit_transaction(CALL), reader);
        match retry(OnRevoke::GoOn, reader, commit) {
            Ok(ControlFlow::Continue(())) => {
                self.has_offered_offsets = false;
                self.opened = None;
                Ok(DeliveryOutcome::Delivered)
            }
            Ok(ControlFlow::Break(_)) => Ok(DeliveryOutcome::Interrupted),
            Err(CallFailure::Abort(error)) => {
                let reason = format!("commit_transaction: {error}");
                self.abort(DeliveryOutcome::Aborted(reason), reader)
            }
            Err(failure) => Err(self.failed("commit_transaction", failure)),
        }
    }

    /// Puts offsets into the transaction.
    fn send_offsets(
        &self,
        offsets: &TopicPartitionList,
        on_revoke: OnRevoke,
        reader: &mut Reader,
    ) -> Result<ControlFlow<Broken>, CallFailure> {
        retry(on_revoke, reader, |reader| {
            // Read anew for each try: it carries the generation, which is what fences a member of the past.
            let group = reader.group().ok_or(CallFailure::NoGroup)?;
            let offsets = offsets.clone();
            let send = move |producer: &ThreadedProducer<_>| {
                producer.send_offsets_to_transaction(&offsets, &group, CALL)
            };
            self.call(send, reader)
        })
    }

    /// The messages whose topic we may not write. librdkafka fails a whole transaction for that, and does not say for
    /// which topic.
    fn unauthorized_messages(&self, messages: &[OutgoingMessage]) -> Vec<DeliveryFailure> {
        let topics: BTreeSet<&str> = messages
            .iter()
            .map(|message| message.target.topic(&self.config))
            .collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let answers = admin::describe_topics(self.producer.client(), &topics, CALL)
            .and_then(|asked| asked.answer(CALL))
            .inspect_err(|error| debug!(%error, "the brokers do not say what we may write"))
            .unwrap_or_default();
        let may_not_write = |message: &OutgoingMessage| {
            answers.iter().any(|answer| {
                answer.name == message.target.topic(&self.config)
                    && (answer.error == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
                        || answer.error.is_none() && !answer.write)
            })
        };
        messages
            .iter()
            .enumerate()
            .filter(|(_, message)| may_not_write(message))
            .map(|(message, _)| DeliveryFailure {
                message,
                code: RDKafkaErrorCode::TopicAuthorizationFailed,
                verdict: Verdict::Retry,
            })
            .collect()
    }

    fn abort(
        &mut self,
        outcome: DeliveryOutcome,
        reader: &mut Reader,
    ) -> Result<DeliveryOutcome, SinkError> {
        self.abort_transaction(reader)?;
        if std::mem::take(&mut self.has_offered_offsets) {
            self.discard_offsets(reader)?;
        }
        Ok(outcome)
    }

    /// Has the group's coordinator forget offsets that a transaction of ours offered and never settled.
    ///
    /// Offsets that were late may reach the coordinator when their transaction was aborted already. They stay open then:
    /// nobody is told where the group goes on, and a later commit of ours would settle them although what belongs to them
    /// was aborted. An abort discards all that this producer has open there, and there is one where a transaction has
    /// offered an offset, whichever.
    pub(in crate::kafka) fn discard_offsets(
        &mut self,
        reader: &mut Reader,
    ) -> Result<(), SinkError> {
        let Some((topic, partition)) = reader.any_partition() else {
            return Ok(());
        };
        if self.guarantee() == Guarantee::AtLeastOnce {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        if ffi::add_offset(&mut list, &topic, partition, 0, None, "").is_err() {
            return Ok(());
        }
        self.producer
            .begin_transaction()
            .map_err(|error| self.fatal("begin_transaction", error))?;
        match self.send_offsets(&list, OnRevoke::GoOn, reader) {
            Ok(_) | Err(CallFailure::Abort(_) | CallFailure::NoGroup) => {}
            Err(failure) => return Err(self.failed("send_offsets_to_transaction", failure)),
        }
        self.abort_transaction(reader)
    }

    fn abort_transaction(&mut self, reader: &mut Reader) -> Result<(), SinkError> {
        let abort =
            |reader: &mut Reader| self.call(|producer| producer.abort_transaction(CALL), reader);
        match retry(OnRevoke::GoOn, reader, abort) {
            // Out of time, the next holder of the id aborts it.
            Ok(_) => {}
            // The coordinator was never told of this transaction, because it refused the first topic of it: there
            // is nothing to abort, and librdkafka takes that for the producer's end.
            Err(CallFailure::Fatal(error))
                if error.rdkafka_error_code()
                    == Some(RDKafkaErrorCode::InvalidTransactionalState) =>
            {
                self.replace_producer(reader)?;
            }
            Err(failure) => return Err(self.failed("abort_transaction", failure)),
        }
        self.opened = None;
        // Reports of what the abort purged are of no interest.
        let _ = self.producer.context().failures();
        Ok(())
    }
}

/// Whether a message failed only because its transaction had failed already.
const fn is_collateral(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::State | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight
    )
}
