//! A batch and its offsets to the brokers: exactly once, or at least once.
//!
//! The contract: [`Sink::deliver`] returns [`DeliveryOutcome::Delivered`] only when every document and dead letter of the batch
//! is acknowledged and every offset is committed. Whatever else it returns, no offset at or after a failed message was
//! committed, and the worker reads again from there.
//!
//! - **exactly once**: begin, produce, offsets into the transaction, commit. One failure aborts all.
//! - **at least once**: produce idempotently, wait for every report, commit the offsets of what stands: all of a
//!   partition, or what came before its first failure.
//!
//! Every wait is cut into slices between which the consumer is polled with its partitions paused, so that this member
//! stays in its group while a broker is away.

mod at_least_once;
mod exactly_once;
mod offsets;
mod send;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};
use tracing::{debug, warn};

pub(super) use self::offsets::add_offset_to_commit;
use self::offsets::offsets_to_commit;
use super::TICK;
use super::context::WorkerContext;
use super::events::DeliveryReports;
use super::ffi;
use super::outage::Outage;
use super::outgoing::{DeliveryFailure, OutgoingMessage};
use super::positions::Position;
use super::producer_epochs::{self, ProducerEpochs};
use super::reader::{Broken, Reader};
use super::topics::Target;
use super::transactions::{self, CallFailure, TransactionThread};
use crate::config::{Config, Guarantee};

/// One slice of a wait.
const SLICE: Duration = Duration::from_millis(500);
/// How long one transactional call may block: the loop must turn in between.
const CALL: Duration = Duration::from_secs(5);

/// What became of a batch.
#[derive(Debug)]
pub enum DeliveryOutcome {
    /// All of it stands, offsets included.
    Delivered,
    /// All of it is delivered, but the offsets could not be committed (at least once): the next commit includes them.
    Uncommitted(KafkaError),
    /// Some messages were not delivered. With `exactly_once` nothing of the batch stands; with `at_least_once`
    /// everything else does, and the offsets before the first failure of each partition are committed; where they could
    /// not be, the next commit includes them.
    Failed {
        /// The messages.
        failures: Vec<DeliveryFailure>,
        /// Why the offsets are not committed.
        uncommitted: Option<KafkaError>,
    },
    /// Nothing of it stands, and no message is to blame.
    Aborted(String),
    /// Partitions of the batch were taken away in the middle of it, or time ran out: nothing of it stands.
    Interrupted,
}

/// Why a producer must be built anew.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// librdkafka refuses the settings.
    #[error("the producer cannot be created")]
    Create(#[source] KafkaError),
    /// The thread for transactional calls cannot be started.
    #[error("the thread for transactions cannot be started")]
    Thread(#[source] std::io::Error),
    /// A transactional call did not come back in time.
    #[error("{call} does not return: its producer is discarded")]
    Hung {
        /// The call.
        call: &'static str,
    },
    /// The producer's epoch is not the current one any more: its transaction was ended, or its id given to another.
    #[error("the producer of the transactional id {id} was fenced: {}", producer_epochs::why_fenced(*open))]
    Fenced {
        /// The id.
        id: String,
        /// For how long its transaction had been open.
        open: Option<Duration>,
        /// What librdkafka said.
        #[source]
        error: KafkaError,
    },
    /// Any other error after which the producer is of no use.
    #[error("fatal error of {call}")]
    Fatal {
        /// The call.
        call: &'static str,
        /// What librdkafka said.
        #[source]
        error: KafkaError,
    },
}

/// A producer and the topics that it writes.
pub struct Sink {
    settings: rdkafka::ClientConfig,
    producer: Arc<ThreadedProducer<DeliveryReports>>,
    transactions: Transactions,
    config: Arc<Config>,
    id: String,
    /// Who hears what its producers say.
    outage: Arc<Outage>,
    producer_epochs: Arc<ProducerEpochs>,
    /// When the transaction that is open began.
    opened: Option<Instant>,
    /// Offsets of the group are in a transaction that is not committed.
    has_offered_offsets: bool,
    /// Counts batches, so that a late report of an aborted one is not taken for this one's.
    batch_number: usize,
    /// Messages, by position and offset, that the broker refused for their size together with others. Each is sent
    /// apart from then on, until it is clear which is too large.
    suspects: BTreeSet<(u64, i64)>,
    /// Targets whose every message is sent apart: their topic takes less than the producer puts together.
    apart: BTreeSet<Target>,
}

impl Sink {
    /// A producer with these settings; for `exactly_once`, [`Sink::begin`] must follow.
    pub fn new(
        settings: &rdkafka::ClientConfig,
        id: String,
        context: &WorkerContext,
    ) -> Result<Self, SinkError> {
        let (outage, producer_epochs) = (&context.outage, &context.producer_epochs);
        let (producer, transactions) = create(settings, &id, outage, producer_epochs)?;
        Ok(Self {
            settings: settings.clone(),
            producer,
            transactions,
            config: Arc::clone(&context.config),
            id,
            outage: Arc::clone(outage),
            producer_epochs: Arc::clone(producer_epochs),
            opened: None,
            has_offered_offsets: false,
            batch_number: 0,
            suspects: BTreeSet::new(),
            apart: BTreeSet::new(),
        })
    }

    /// From now on, each message for `target` is sent apart from all others.
    pub fn send_apart(&mut self, target: Target) {
        self.apart.insert(target);
    }

    fn is_apart(&self, message: &OutgoingMessage) -> bool {
        self.apart.contains(&message.target)
            || self
                .suspects
                .contains(&(message.position, message.place.offset))
    }

    fn guarantee(&self) -> Guarantee {
        self.config.delivery.guarantee
    }

    /// Aborts what a predecessor with the same id left open, and fences it. Tries until it works or `idle` breaks.
    pub fn begin(
        &self,
        idle: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SinkError> {
        if self.guarantee() == Guarantee::AtLeastOnce {
            return Ok(ControlFlow::Continue(()));
        }
        if idle().is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let ended = transactions::retry(
            idle,
            |idle| {
                let mut idle = || {
                    self.rebootstrap_if_needed();
                    idle()
                };
                let init = |producer: &ThreadedProducer<_>| producer.init_transactions(CALL);
                self.transactions.call(init, SLICE, &mut idle)
            },
            |idle| {
                debug!("waiting for the transaction coordinator");
                thread::sleep(TICK);
                idle()
            },
        );
        ended.map_err(|failure| self.failed("init_transactions", failure))
    }

    /// Sends a batch and commits the offsets of everything read so far.
    pub fn deliver(
        &mut self,
        messages: &mut [OutgoingMessage],
        reader: &mut Reader,
    ) -> Result<DeliveryOutcome, SinkError> {
        if messages.is_empty() {
            return Ok(
                match reader.commit(&offsets_to_commit(&reader.positions, Position::reached)) {
                    Ok(()) => DeliveryOutcome::Delivered,
                    Err(error) => DeliveryOutcome::Uncommitted(error),
                },
            );
        }
        match self.guarantee() {
            Guarantee::ExactlyOnce => self.exactly_once(messages, reader),
            Guarantee::AtLeastOnce => self.at_least_once(messages, reader),
        }
    }

    /// Waits for every report.
    fn wait(&self, reader: &mut Reader) -> ControlFlow<Broken> {
        while !ffi::flush(&self.producer, SLICE) {
            self.idle(reader)?;
        }
        ControlFlow::Continue(())
    }

    /// One turn of a wait for reports. What a partition that was taken away sent is aborted in a transaction; without one it
    /// is on its way already, and the others' need not be sent twice for it.
    fn idle(&self, reader: &mut Reader) -> ControlFlow<Broken> {
        self.rebootstrap_if_needed();
        let on_revoke = match self.guarantee() {
            Guarantee::ExactlyOnce => OnRevoke::Stop,
            Guarantee::AtLeastOnce => OnRevoke::GoOn,
        };
        on_revoke.idle(reader)
    }

    /// A new producer in the place of one that is of no use any more.
    fn replace_producer(&mut self, reader: &mut Reader) -> Result<(), SinkError> {
        warn!(
            id = self.id,
            "a new producer takes the place of the old one"
        );
        (self.producer, self.transactions) = create(
            &self.settings,
            &self.id,
            &self.outage,
            &self.producer_epochs,
        )?;
        if self.guarantee() == Guarantee::AtLeastOnce {
            return Ok(());
        }
        // Out of time, there is nothing left to send.
        let init =
            |reader: &mut Reader| self.call(|producer| producer.init_transactions(CALL), reader);
        match retry(OnRevoke::GoOn, reader, init) {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.failed("init_transactions", failure)),
        }
    }

    /// Makes a transactional call. This member stays in its group meanwhile; out of time, it does not wait.
    fn call(
        &self,
        call: impl FnOnce(&ThreadedProducer<DeliveryReports>) -> KafkaResult<()> + Send + 'static,
        reader: &mut Reader,
    ) -> Result<(), CallFailure> {
        let result = self.transactions.call(call, SLICE, &mut || {
            self.rebootstrap_if_needed();
            reader.hold(Duration::ZERO);
            if reader.is_out_of_time() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if matches!(result, Err(CallFailure::Again)) {
            // It may have failed at once.
            reader.hold(TICK);
        }
        result
    }

    fn rebootstrap_if_needed(&self) {
        let rebootstrap = &self.producer.context().rebootstrap;
        rebootstrap.if_needed(self.producer.client(), &self.settings);
    }

    fn failed(&self, call: &'static str, failure: CallFailure) -> SinkError {
        match failure {
            CallFailure::Abort(error) | CallFailure::Fatal(error) => self.fatal(call, error),
            CallFailure::Again | CallFailure::NoGroup | CallFailure::Hung => {
                SinkError::Hung { call }
            }
        }
    }

    fn fatal(&self, call: &'static str, error: KafkaError) -> SinkError {
        let fenced = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fenced
                    | RDKafkaErrorCode::ProducerFenced
                    | RDKafkaErrorCode::InvalidProducerEpoch
            )
        );
        if fenced {
            SinkError::Fenced {
                id: self.id.clone(),
                open: self.opened.map(|opened| opened.elapsed()),
                error,
            }
        } else {
            SinkError::Fatal { call, error }
        }
    }
}

/// What a wait does where partitions are taken away meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnRevoke {
    /// It ends: what they sent is not to stand.
    Stop,
    /// It goes on: the answer that is waited for is needed all the same.
    GoOn,
}

impl OnRevoke {
    /// One turn of a wait.
    fn idle(self, reader: &mut Reader) -> ControlFlow<Broken> {
        match reader.idle() {
            ControlFlow::Break(Broken::Revoked) if self == Self::GoOn => ControlFlow::Continue(()),
            other => other,
        }
    }
}

/// Makes a transactional call again and again until it is answered; breaks where the time for a stop has passed, and where
/// `on_revoke` says so.
fn retry(
    on_revoke: OnRevoke,
    reader: &mut Reader,
    call: impl FnMut(&mut Reader) -> Result<(), CallFailure>,
) -> Result<ControlFlow<Broken>, CallFailure> {
    transactions::retry(reader, call, |reader| {
        on_revoke.idle(reader)?;
        if reader.is_out_of_time() {
            ControlFlow::Break(Broken::Deadline)
        } else {
            ControlFlow::Continue(())
        }
    })
}

type Transactions = TransactionThread<ThreadedProducer<DeliveryReports>>;

/// A producer, and what makes its transactional calls.
fn create(
    settings: &rdkafka::ClientConfig,
    id: &str,
    outage: &Arc<Outage>,
    producer_epochs: &Arc<ProducerEpochs>,
) -> Result<(Arc<ThreadedProducer<DeliveryReports>>, Transactions), SinkError> {
    let producer = settings
        .create_with_context(DeliveryReports::reporting_to(
            outage.monitor(),
            id.to_owned(),
            Arc::clone(producer_epochs),
        ))
        .map_err(SinkError::Create)?;
    let producer = Arc::new(producer);
    let transactions = TransactionThread::new(Arc::clone(&producer)).map_err(SinkError::Thread)?;
    Ok((producer, transactions))
}

/// Whether a message was not delivered in all the time that it had. A producer may have lost sight of a partition's leader,
/// and would not find it again (confluentinc/librdkafka#4976): the next try is a new one's.
fn is_late(failures: &[DeliveryFailure]) -> bool {
    failures
        .iter()
        .any(|failure| failure.code == RDKafkaErrorCode::MessageTimedOut)
}
