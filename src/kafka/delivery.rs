//! A batch and its offsets to the brokers: exactly once, or at least once.
//!
//! The contract: [`Sink::deliver`] returns [`Outcome::Delivered`] only when every document and dead letter of the batch
//! is acknowledged and every offset is committed. Whatever else it returns, no offset at or after a failed message was
//! committed, and the worker reads again from there.
//!
//! - **exactly once**: begin, produce, offsets into the transaction, commit. One failure aborts all.
//! - **at least once**: produce idempotently, wait for every report, commit the offsets of what stands: all of a
//!   partition, or what came before its first failure.
//!
//! Every wait is cut into slices between which the consumer is polled with its partitions paused, so that this member
//! stays in its group while a broker is away.

mod send;

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{Producer, ThreadedProducer};
use tracing::{debug, warn};

use super::caller::{Caller, Failed};
use super::client::ProducerSide;
use super::entry::{Entry, Failure, Target, Verdict, first_failures};
use super::fencing::{self, Lineage};
use super::native;
use super::native::admin;
use super::outage::Outage;
use super::positions::{Position, Positions};
use super::reader::{Broken, Reader};
use super::start::{Epoch, Note, Place};
use super::worker::{Setting, TICK};
use crate::config::{Config, Guarantee};

/// One slice of a wait.
const SLICE: Duration = Duration::from_millis(500);
/// How long one transactional call may block: the loop must turn in between.
const CALL: Duration = Duration::from_secs(5);

/// What became of a batch.
#[derive(Debug)]
pub enum Outcome {
    /// All of it stands, offsets included.
    Delivered,
    /// All of it is delivered, but the offsets could not be committed (at least once): the next commit includes them.
    Uncommitted(KafkaError),
    /// Some messages were not delivered. With `exactly_once` nothing of the batch stands; with `at_least_once`
    /// everything else does, and the offsets before the first failure of each partition are committed; where they could
    /// not be, the next commit includes them.
    Failed {
        /// The messages.
        failures: Vec<Failure>,
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
    #[error("the producer of the transactional id {id} was fenced: {}", fencing::why(*open))]
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
    producer: Arc<ThreadedProducer<ProducerSide>>,
    caller: Transactions,
    guarantee: Guarantee,
    id: String,
    /// Who hears what its producers say.
    outage: Arc<Outage>,
    lineage: Arc<Lineage>,
    /// When the transaction that is open began.
    opened: Option<Instant>,
    routes: Vec<String>,
    unmatched: String,
    dead_letter: String,
    /// Offsets of the group are in a transaction that is not committed.
    has_offered_offsets: bool,
    /// Counts batches, so that a late report of an aborted one is not taken for this one's.
    epoch: usize,
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
        config: &Config,
        id: String,
        setting: &Setting,
    ) -> Result<Self, SinkError> {
        let (outage, lineage) = (&setting.outage, &setting.lineage);
        let (producer, caller) = create(settings, &id, outage, lineage)?;
        Ok(Self {
            settings: settings.clone(),
            producer,
            caller,
            guarantee: config.delivery.guarantee,
            id,
            outage: Arc::clone(outage),
            lineage: Arc::clone(lineage),
            opened: None,
            routes: config
                .routes
                .iter()
                .map(|route| route.topic.clone())
                .collect(),
            unmatched: config.unmatched.topic.clone(),
            dead_letter: config.dead_letter.topic.clone(),
            has_offered_offsets: false,
            epoch: 0,
            suspects: BTreeSet::new(),
            apart: BTreeSet::new(),
        })
    }

    /// From now on, each message for `target` is sent apart from all others.
    pub fn send_apart(&mut self, target: Target) {
        self.apart.insert(target);
    }

    fn is_apart(&self, entry: &Entry) -> bool {
        self.apart.contains(&entry.target)
            || self
                .suspects
                .contains(&(entry.position, entry.place.offset))
    }

    /// Aborts what a predecessor with the same id left open, and fences it. Tries until it works or `idle` breaks.
    pub fn begin(
        &self,
        idle: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, SinkError> {
        if self.guarantee == Guarantee::AtLeastOnce {
            return Ok(ControlFlow::Continue(()));
        }
        loop {
            if idle().is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let init = |producer: &ThreadedProducer<_>| producer.init_transactions(CALL);
            let mut idle = || {
                self.help();
                idle()
            };
            match self.caller.call(init, SLICE, &mut idle) {
                Ok(()) => return Ok(ControlFlow::Continue(())),
                Err(Failed::Again) => {
                    debug!("waiting for the transaction coordinator");
                    thread::sleep(TICK);
                }
                Err(failed) => return Err(self.failed("init_transactions", failed)),
            }
        }
    }

    /// Sends a batch and commits the offsets of everything read so far.
    pub fn deliver(
        &mut self,
        entries: &mut [Entry],
        reader: &mut Reader,
    ) -> Result<Outcome, SinkError> {
        if entries.is_empty() {
            return Ok(
                match reader.commit(&offsets(&reader.positions, Position::reached)) {
                    Ok(()) => Outcome::Delivered,
                    Err(error) => Outcome::Uncommitted(error),
                },
            );
        }
        match self.guarantee {
            Guarantee::ExactlyOnce => self.exactly_once(entries, reader),
            Guarantee::AtLeastOnce => self.at_least_once(entries, reader),
        }
    }

    fn exactly_once(
        &mut self,
        entries: &mut [Entry],
        reader: &mut Reader,
    ) -> Result<Outcome, SinkError> {
        self.producer
            .begin_transaction()
            .map_err(|error| self.fatal("begin_transaction", error))?;
        self.opened = Some(Instant::now());
        let failures = match self.send(entries, reader) {
            ControlFlow::Continue(failures) => failures,
            ControlFlow::Break(_) => return self.abort(Outcome::Interrupted, reader),
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
                self.forbidden(entries)
            } else {
                blamed
            };
            let outcome = if blamed.is_empty() {
                Outcome::Aborted("the transaction failed under its messages".to_owned())
            } else {
                Outcome::Failed {
                    failures: blamed,
                    uncommitted: None,
                }
            };
            let outcome = self.abort(outcome, reader)?;
            if is_late {
                self.renew(reader)?;
            }
            return Ok(outcome);
        }
        let offsets = offsets(&reader.positions, Position::reached);
        self.has_offered_offsets = true;
        loop {
            // Read anew for each try: it carries the generation, which is what fences a member of the past.
            let Some(group) = reader.group() else {
                return self.abort(
                    Outcome::Aborted("the consumer has no group yet".to_owned()),
                    reader,
                );
            };
            let offsets = offsets.clone();
            let send = move |producer: &ThreadedProducer<_>| {
                producer.send_offsets_to_transaction(&offsets, &group, CALL)
            };
            match self.call(send, reader) {
                Ok(()) => break,
                Err(Failed::Again) if reader.idle().is_continue() => {}
                Err(Failed::Again) => return self.abort(Outcome::Interrupted, reader),
                Err(Failed::Abort(error)) => {
                    return self.abort(
                        Outcome::Aborted(format!("send_offsets_to_transaction: {error}")),
                        reader,
                    );
                }
                Err(failed) => return Err(self.failed("send_offsets_to_transaction", failed)),
            }
        }
        loop {
            match self.call(|producer| producer.commit_transaction(CALL), reader) {
                Ok(()) => {
                    self.has_offered_offsets = false;
                    self.opened = None;
                    return Ok(Outcome::Delivered);
                }
                // Once the offsets are in, only the coordinator can say how it ended; a partition that leaves now is
                // read by its new owner after that, so a revoke is no reason to break off.
                Err(Failed::Again) => {
                    let _ = reader.idle();
                    if reader.is_out_of_time() {
                        return Ok(Outcome::Interrupted);
                    }
                }
                Err(Failed::Abort(error)) => {
                    return self.abort(
                        Outcome::Aborted(format!("commit_transaction: {error}")),
                        reader,
                    );
                }
                Err(failed) => return Err(self.failed("commit_transaction", failed)),
            }
        }
    }

    /// The messages whose topic we may not write. librdkafka fails a whole transaction for that, and does not say for
    /// which topic.
    fn forbidden(&self, entries: &[Entry]) -> Vec<Failure> {
        let topics: BTreeSet<&str> = entries.iter().map(|entry| self.topic(entry)).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let answers = admin::describe_topics(self.producer.client(), &topics, CALL)
            .and_then(|asked| asked.answer(CALL))
            .inspect_err(|error| debug!(%error, "the brokers do not say what we may write"))
            .unwrap_or_default();
        let may_not_write = |entry: &Entry| {
            answers.iter().any(|answer| {
                answer.name == self.topic(entry)
                    && (answer.error == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
                        || answer.error.is_none() && !answer.write)
            })
        };
        entries
            .iter()
            .enumerate()
            .filter(|(_, entry)| may_not_write(entry))
            .map(|(entry, _)| Failure {
                entry,
                code: RDKafkaErrorCode::TopicAuthorizationFailed,
                verdict: Verdict::Retry,
            })
            .collect()
    }

    fn topic(&self, entry: &Entry) -> &str {
        match entry.target {
            Target::Route(route) => self.routes.get(route).map_or("", String::as_str),
            Target::Unmatched => &self.unmatched,
            Target::DeadLetter => &self.dead_letter,
        }
    }

    /// A new producer in the place of one that is of no use any more.
    fn renew(&mut self, reader: &mut Reader) -> Result<(), SinkError> {
        warn!(
            id = self.id,
            "a new producer takes the place of the old one"
        );
        (self.producer, self.caller) =
            create(&self.settings, &self.id, &self.outage, &self.lineage)?;
        if self.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        loop {
            match self.call(|producer| producer.init_transactions(CALL), reader) {
                Ok(()) => return Ok(()),
                Err(Failed::Again) => {
                    let _ = reader.idle();
                    if reader.is_out_of_time() {
                        return Ok(());
                    }
                }
                Err(failed) => return Err(self.failed("init_transactions", failed)),
            }
        }
    }

    fn abort(&mut self, outcome: Outcome, reader: &mut Reader) -> Result<Outcome, SinkError> {
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
    pub(super) fn discard_offsets(&mut self, reader: &mut Reader) -> Result<(), SinkError> {
        let Some((topic, partition)) = reader.any_partition() else {
            return Ok(());
        };
        if self.guarantee == Guarantee::AtLeastOnce {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        if native::add_offset(&mut list, &topic, partition, 0, None, "").is_err() {
            return Ok(());
        }
        self.producer
            .begin_transaction()
            .map_err(|error| self.fatal("begin_transaction", error))?;
        while let Some(group) = reader.group() {
            let list = list.clone();
            let send = move |producer: &ThreadedProducer<_>| {
                producer.send_offsets_to_transaction(&list, &group, CALL)
            };
            match self.call(send, reader) {
                Ok(()) | Err(Failed::Abort(_)) => break,
                Err(Failed::Again) if reader.is_out_of_time() => break,
                Err(Failed::Again) => {}
                Err(failed) => return Err(self.failed("send_offsets_to_transaction", failed)),
            }
        }
        self.abort_transaction(reader)
    }

    fn abort_transaction(&mut self, reader: &mut Reader) -> Result<(), SinkError> {
        loop {
            match self.call(|producer| producer.abort_transaction(CALL), reader) {
                Ok(()) => break,
                Err(Failed::Again) => {
                    let _ = reader.idle();
                    // The next holder of the id aborts it.
                    if reader.is_out_of_time() {
                        break;
                    }
                }
                // The coordinator was never told of this transaction, because it refused the first topic of it: there
                // is nothing to abort, and librdkafka takes that for the producer's end.
                Err(Failed::Fatal(error))
                    if error.rdkafka_error_code()
                        == Some(RDKafkaErrorCode::InvalidTransactionalState) =>
                {
                    self.renew(reader)?;
                    break;
                }
                Err(failed) => return Err(self.failed("abort_transaction", failed)),
            }
        }
        self.opened = None;
        // Reports of what the abort purged are of no interest.
        let _ = self.producer.context().failures();
        Ok(())
    }

    fn at_least_once(
        &mut self,
        entries: &mut [Entry],
        reader: &mut Reader,
    ) -> Result<Outcome, SinkError> {
        let ControlFlow::Continue(failures) = self.send(entries, reader) else {
            return Ok(Outcome::Interrupted);
        };
        if let Some((code, _)) = self.producer.client().fatal_error() {
            return Err(self.fatal("produce", KafkaError::Global(code)));
        }
        let stops = first_failures(entries, &failures);
        let offsets = offsets(&reader.positions, |position| {
            let stop = stops.get(&position.id);
            stop.map_or((position.next, position.epoch), |stop| {
                (stop.place, stop.epoch)
            })
        });
        let uncommitted = reader.commit(&offsets).err();
        if is_late(&failures) {
            self.renew(reader)?;
        }
        Ok(match uncommitted {
            None if failures.is_empty() => Outcome::Delivered,
            Some(error) if failures.is_empty() => Outcome::Uncommitted(error),
            uncommitted => Outcome::Failed {
                failures,
                uncommitted,
            },
        })
    }

    fn wait(&self, reader: &mut Reader) -> ControlFlow<Broken> {
        while !native::flush(&self.producer, SLICE) {
            self.idle(reader)?;
        }
        ControlFlow::Continue(())
    }

    /// One turn of a wait. What a partition that was taken away sent is aborted in a transaction; without one it is on
    /// its way already, and the others' need not be sent twice for it.
    fn idle(&self, reader: &mut Reader) -> ControlFlow<Broken> {
        self.help();
        match reader.idle() {
            ControlFlow::Break(Broken::Revoked) if self.guarantee == Guarantee::AtLeastOnce => {
                ControlFlow::Continue(())
            }
            other => other,
        }
    }

    /// Makes a transactional call. This member stays in its group meanwhile; out of time, it does not wait.
    fn call(
        &self,
        call: impl FnOnce(&ThreadedProducer<ProducerSide>) -> KafkaResult<()> + Send + 'static,
        reader: &mut Reader,
    ) -> Result<(), Failed> {
        let result = self.caller.call(call, SLICE, &mut || {
            self.help();
            reader.hold(Duration::ZERO);
            if reader.is_out_of_time() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        if matches!(result, Err(Failed::Again)) {
            // It may have failed at once.
            reader.hold(TICK);
        }
        result
    }

    fn help(&self) {
        let adrift = &self.producer.context().adrift;
        adrift.help(self.producer.client(), &self.settings);
    }

    fn failed(&self, call: &'static str, failed: Failed) -> SinkError {
        match failed {
            Failed::Abort(error) | Failed::Fatal(error) => self.fatal(call, error),
            Failed::Again | Failed::Hung => SinkError::Hung { call },
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

type Transactions = Caller<ThreadedProducer<ProducerSide>>;

/// A producer, and what makes its transactional calls.
fn create(
    settings: &rdkafka::ClientConfig,
    id: &str,
    outage: &Arc<Outage>,
    lineage: &Arc<Lineage>,
) -> Result<(Arc<ThreadedProducer<ProducerSide>>, Transactions), SinkError> {
    let producer = settings
        .create_with_context(ProducerSide::heard_by(
            outage.ear(),
            id.to_owned(),
            Arc::clone(lineage),
        ))
        .map_err(SinkError::Create)?;
    let producer = Arc::new(producer);
    let caller = Caller::new(Arc::clone(&producer)).map_err(SinkError::Thread)?;
    Ok((producer, caller))
}

/// Whether a message was not delivered in all the time that it had. A producer may have lost sight of a partition's leader,
/// and would not find it again (confluentinc/librdkafka#4976): the next try is a new one's.
fn is_late(failures: &[Failure]) -> bool {
    failures
        .iter()
        .any(|failure| failure.code == RDKafkaErrorCode::MessageTimedOut)
}

/// Whether a message failed only because its transaction had failed already.
const fn is_collateral(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::State | RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight
    )
}

/// The offsets to commit: where `reached` says, of every partition for which it is beyond what is settled.
fn offsets(
    positions: &Positions,
    reached: impl Fn(&Position) -> (Place, Epoch),
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for position in positions.iter() {
        let (place, epoch) = reached(position);
        if place > position.settled {
            add_place(&mut list, position, place, epoch);
        }
    }
    list
}

/// Adds a place of a partition to what is to be committed.
pub(super) fn add_place(
    list: &mut TopicPartitionList,
    position: &Position,
    place: Place,
    epoch: Epoch,
) {
    let note = Note {
        topic_id: position.topic_id.clone(),
        elements: place.elements,
    };
    let (topic, partition) = (&position.topic, position.partition);
    let metadata = note.to_metadata();
    if let Err(error) = native::add_offset(list, topic, partition, place.offset, epoch, &metadata) {
        // Only an offset that Kafka cannot represent fails here; then it is not committed, which is safe.
        warn!(%error, topic, partition, offset = place.offset, "the offset is left out of the commit");
    }
}
