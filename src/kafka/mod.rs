//! The worker, and the two delivery guarantees.
//!
//! A worker is one OS thread with its own consumer and its own producer; workers share nothing, and Kafka's group
//! protocol spreads partitions over workers, processes and pods. In here flows a topic; out of here flow documents,
//! dead letters and committed offsets. What a message *means* is decided by [`crate::pipeline`], never here.
//!
//! - [`client`]: settings, security, what librdkafka tells us
//! - [`positions`]: what each partition has read, settled and must not pass
//! - [`entry`]: what a batch is made of
//! - [`delivery`]: a batch and its offsets to the brokers, exactly or at least once
//! - `adrift`: clients that have no broker left to turn to
//! - [`outage`]: whether brokers answer, and what is said of it; `reason` and `certificate`: why they do not
//! - [`fencing`]: why a worker lost its transaction or its name
//! - `caller`: transactional calls, which may not come back
//! - `intake`: from messages to a batch
//! - `letter`: dead letters as messages that their topic takes
//! - `log_change`: what the library says of logs that are not what they were
//! - `settle`: what becomes of a batch's positions
//! - [`reader`]: a consumer and its positions, kept in step
//! - [`start`]: where a partition begins: what was committed, held against what the log holds
//! - `start_offsets`: asks the brokers for both, beside the worker
//! - `unfold`: a message that becomes more than fits into one commit
//! - [`unowned`]: partitions that no member of the group was given
//! - [`worker`]: the loop around them
//! - `native`: calls that the binding lacks
//! - [`connect`]: are the brokers there, and may we do what we must
//! - [`sizes`]: do the topics that are written take what those that are read can bring
//! - [`topics`]: what the brokers say about topics: existence, size limits, permissions
//!
//! `BaseConsumer`, not `StreamConsumer`: rebalance callbacks run inside `poll`, on the worker's own thread, so that
//! nothing ever races with a commit, and there is no wake-up to be missed.

mod adrift;
mod caller;
mod certificate;
pub mod client;
pub mod connect;
pub mod delivery;
pub mod entry;
pub mod fencing;
mod intake;
mod letter;
mod log_change;
mod native;
pub mod outage;
pub mod positions;
pub mod reader;
mod reason;
mod settle;
pub mod sizes;
pub mod start;
mod start_offsets;
pub mod topics;
mod unfold;
pub mod unowned;
pub mod worker;

/// The version of librdkafka that is in use.
#[must_use]
pub fn library_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
