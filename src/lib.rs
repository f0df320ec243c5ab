//! `trailtag` finds the IAM event RemoveRoleFromInstanceProfile in CloudTrail on Kafka, scores how dangerous this one
//! is and says why, attaches what to do about it, and forwards it.
//!
//! ```text
//! Kafka message ──► envelope ──► record ──► detection ──► finding ──► document ──► Kafka topic
//!   (bytes)         peel layers   borrowed    rules and     severity,   one per      + offsets, in one
//!                   0..n records  slices      factors       remediation route        transaction
//! ```
//!
//! One direction, no back and forth. Everything between "bytes" and "documents" is pure: no I/O, no clock, no threads,
//! no Kafka. It is one function, [`pipeline::Pipeline::process`], which the service, the command line, the demo, the
//! benchmarks and any program that embeds this crate all call.
//!
//! # Promises
//!
//! 1. An offset is committed only when everything before it is delivered, dead-lettered or ignored.
//! 2. `exactly_once`: a `read_committed` reader sees each document once, whatever is killed. `at_least_once`: never
//!    less than once.
//! 3. A failed delivery stops its partition; nothing later is committed past it.
//! 4. Memory is bounded, whatever the backlog, the message size or the sink's state.
//! 5. SIGTERM drains: what is in flight is finished and committed within `shutdown_grace`.
//! 6. Where a log is not what it was (cut, expired, its topic made again), the program decides and says so; nothing new is
//!    ever taken for something old.
//!
//! # Modules, in the order in which data meets them
//!
//! - [`cloudtrail`]: bytes to records: layers, envelopes, the prefilter, the view of one record
//! - [`detection`]: rules, facts, severity
//! - [`remediation`]: what to do, filled in with the event's values
//! - [`finding`]: what one matched record became
//! - [`mod@format`]: findings to bytes
//! - [`pipeline`]: composes all of the above
//! - [`kafka`]: the worker's loop and the two guarantees
//! - [`service`]: workers, signals, metrics, health
//! - [`config`]: every setting, its default, its check
//! - [`synthetic`]: realistic CloudTrail that was never anybody's

pub mod cli;
pub mod cloudtrail;
pub mod config;
pub mod dead_letter;
pub mod detection;
mod files;
pub mod finding;
pub mod format;
pub mod kafka;
mod model;
pub mod pipeline;
pub mod remediation;
pub mod service;
pub mod synthetic;
mod visible;
mod yaml;
