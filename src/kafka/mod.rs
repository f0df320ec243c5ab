//! The worker, and the two delivery guarantees.
//!
//! A worker is one OS thread with its own consumer and its own producer; workers share nothing, and Kafka's group
//! protocol spreads partitions over workers, processes and pods. In here flows a topic; out of here flow documents,
//! dead letters and committed offsets. What a message *means* is decided by [`crate::pipeline`], never here.
//!
//! # The way of a message, file by file
//!
//! 1. [`worker`]: the loop. It polls [`reader`], the consumer and the state of its partitions.
//! 2. `batch_builder` has the pipeline process the message at once, and keeps only what it became: [`outgoing`] messages with
//!    their [`headers`], or `dead_letters` in as many parts as their topic needs. What is too much for one commit is taken
//!    part by part (`unfold`).
//! 3. [`positions`] notes how far its partition is read. Only what is settled may be committed.
//! 4. [`delivery`] sends the batch and commits its offsets: `exactly_once` by `transactions`, on a thread of their own;
//!    `at_least_once` without.
//! 5. `worker/commit_outcome`: positions are settled, sent back or stopped at a message that failed.
//!
//! # The way of a step
//!
//! 1. Where `sequences.topic` is set, the pipeline finds the steps of sequences in a message too. They leave as [`outgoing`]
//!    messages to that topic, in the same commit.
//! 2. Workers read that topic as well. `batch_builder/steps` folds each step at once by the [`step_log`] of its partition; what
//!    it completes is a document like any other.
//! 3. What a partition remembers is not stored. Beside each of its offsets, `delivery/offsets` commits from where it must be
//!    read again for that. [`start`] begins there, and so does a rewind ([`positions`]); what was settled before is only
//!    remembered then.
//!
//! # A rebalance
//!
//! 1. librdkafka calls [`events`] inside `poll`, on the worker's own thread. The answer is at once; the event is kept.
//! 2. `RevokePartitions`: the worker takes it before the next message. The partition leaves `reader/owned` and [`positions`],
//!    and what the batch has of it is dropped: its new owner reads it again.
//! 3. In the middle of a transaction, a revoke aborts it, until its offsets are with the coordinator. Then it is committed: the
//!    new owner is told where to begin only afterwards.
//! 4. `AssignPartitions`: the partition is ours and is not read yet. `start_offsets` asks the brokers, on a thread of its own,
//!    for the [`committed_offsets`] of the group and for the bounds of the logs.
//! 5. [`start`] decides where it begins. It is given to the client, sent there, and read.
//!
//! # Beside it
//!
//! - [`client`]: librdkafka's settings; [`context`]: what a worker is given; [`place`]: where in a partition
//! - [`topics`]: the topics that are read and written, and how large a message they take
//! - [`preflight`]: what is asked before a worker runs, and by `check --connect`
//! - [`outage`]: whether brokers answer, and why they do not; `rebootstrap`: clients that have no broker left
//! - [`producer_epochs`] and `worker/fencing`: why a worker lost its transaction or its name
//! - `log_change` and `worker/changed_logs`: logs that are not what they were
//! - [`unowned`]: partitions that no member of the group was given
//! - `ffi`: calls that the binding lacks, the one use of `unsafe`
//! - [`mock`]: librdkafka's cluster inside the process, for the demo
//!
//! `BaseConsumer`, not `StreamConsumer`: rebalance callbacks run inside `poll`, on the worker's own thread, so that
//! nothing ever races with a commit, and there is no wake-up to be missed.

mod batch_builder;
pub mod client;
pub mod committed_offsets;
pub mod context;
mod dead_letters;
pub mod delivery;
pub mod events;
mod ffi;
pub mod headers;
mod log_change;
pub mod mock;
pub mod outage;
pub mod outgoing;
pub mod place;
pub mod positions;
pub mod preflight;
pub mod producer_epochs;
pub mod reader;
mod rebootstrap;
pub mod start;
mod start_offsets;
pub mod step_log;
pub mod topics;
mod transactions;
mod unfold;
pub mod unowned;
pub mod worker;

/// The longest sleep of a worker's loop: how late it may notice that it is to stop.
const TICK: std::time::Duration = std::time::Duration::from_millis(100);

/// The version of librdkafka that is in use.
#[must_use]
pub fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
