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
//! # The library alone
//!
//! Without the default feature `service`, the crate is what stands between bytes and documents: no Kafka, no threads, no C
//! compiler, and it builds for `wasm32-wasip1`.
//!
//! ```
//! use trailtag::{Config, Origin, Outputs, Pipeline};
//!
//! let pipeline = Pipeline::from_config(&Config::default())?;
//! let message = br#"{"Records": [{
//!     "eventTime": "2026-01-05T18:46:26Z",
//!     "eventSource": "iam.amazonaws.com",
//!     "eventName": "RemoveRoleFromInstanceProfile",
//!     "eventID": "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11",
//!     "requestParameters": {"instanceProfileName": "web-prod", "roleName": "web-app"}
//! }]}"#;
//! let origin = Origin { topic: "cloudtrail", partition: 0, offset: 42, timestamp: None };
//! let mut outputs = Outputs::default();
//! let tally = pipeline.process(message, &origin, &mut outputs);
//! assert_eq!(tally.matched, 1);
//!
//! // One document for each route; the default configuration has one. It holds the record's own bytes, and the finding.
//! let finding: serde_json::Value = serde_json::from_slice(&outputs.documents[0].payload)?;
//! assert_eq!(finding["event"]["requestParameters"]["roleName"], "web-app");
//! assert_eq!(finding["trailtag"]["severity"]["level"], "low");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Modules
//!
//! Each may use those below it in this list, and never one above: `tests/architecture.rs` says so.
//!
//! - `cli`: the commands, a file each
//! - [`synthetic`]: realistic CloudTrail that was never anybody's
//! - `service`: workers, signals, reloads, the pages
//! - `kafka`: the worker's loop and the two guarantees
//! - `telemetry`: metrics and health
//! - [`sequence`]: what several events say together
//! - [`pipeline`]: composes all of the following
//! - [`mod@format`]: findings to bytes
//! - [`finding`]: what one matched record became
//! - [`remediation`]: what to do, filled in with the event's values
//! - [`detection`]: rules, facts, severity
//! - [`cloudtrail`]: bytes to records: layers, envelopes, the prefilter, the view of one record
//! - [`config`]: every setting, its default, its check
//! - [`model`]: words that all of these share

#[cfg(feature = "service")]
pub mod cli;
pub mod cloudtrail;
pub mod config;
pub mod detection;
pub mod finding;
pub mod format;
#[cfg(feature = "service")]
pub mod kafka;
pub mod model;
pub mod pipeline;
pub mod remediation;
pub mod sequence;
#[cfg(feature = "service")]
pub mod service;
pub mod synthetic;
#[cfg(feature = "service")]
pub mod telemetry;

pub use config::{Config, Format};
pub use model::Origin;
pub use pipeline::{Document, Outputs, Pipeline, Tally};
