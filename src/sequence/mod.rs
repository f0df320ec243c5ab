//! What several events say together: a pure fold, and its state.
//!
//! ```text
//! record ──► Step, one for each group ──► State::step ──► Sequence ──► Pipeline::complete ──► documents
//!            (pipeline)   in an order        (here)       what was        (pipeline)
//!                         that is fixed                   completed
//! ```
//!
//! A [`Step`](crate::finding::Step) is what a sequence asks for of one record: who, what, when, and of the calls that a
//! sequence is about, the record itself, since its document may be made by a process that never saw it. Steps that can
//! belong together have one [`Group`](crate::finding::Group), and lie in one partition.
//!
//! [`State`] takes steps one by one, in the order of that partition, and says what each completes. There is no clock and
//! no chance in it, and it forgets by rules that look at the steps alone:
//!
//! - Events are in the order of their own times, whatever the order in which they come. What is complete is said at once:
//!   nothing waits for a step that might still come late.
//! - A step is remembered until one arrives more than `window` and `lateness` after it. It arrives when its message came
//!   to Kafka, and never before one that stands before it in the partition.
//! - Of more than `max_steps`, those are forgotten that came first.
//! - A step that comes again, by its group and event id, completes nothing; it counts as come when it came last.
//!
//! So what is remembered at a place in the log is the same wherever reading began, if that was at or before the first
//! step that is remembered there; and what a step completes follows from that. A process that goes on from a committed
//! place reads back as far as [`State::rebuilt_from`] says, throws away what that completes, and goes on as if it had
//! never stopped.
//!
//! A program that sees its whole input needs none of that: [`Fold`] takes the steps where the pipeline left them, and adds
//! documents.
//!
//! ```
//! use trailtag::sequence::Fold;
//! use trailtag::{Config, Origin, Outputs, Pipeline};
//!
//! let config = Config::default();
//! let pipeline = Pipeline::from_config(&config)?.collecting_steps();
//! let mut fold = Fold::new(&config.sequences);
//! let mut outputs = Outputs::default();
//! let calls = [("RemoveRoleFromInstanceProfile", "web-app"), ("AddRoleToInstanceProfile", "OrgAdmin")];
//! for (number, (name, role)) in calls.into_iter().enumerate() {
//!     let message = serde_json::json!({
//!         "eventTime": format!("2026-01-05T18:46:2{number}Z"), "eventSource": "iam.amazonaws.com", "eventName": name,
//!         "eventID": format!("event-{number}"), "recipientAccountId": "111122223333",
//!         "requestParameters": {"instanceProfileName": "web-prod", "roleName": role},
//!     });
//!     let origin = Origin { topic: "cloudtrail", partition: 0, offset: 42, timestamp: None };
//!     pipeline.process(message.to_string().as_bytes(), &origin, &mut outputs);
//!     fold.fold(&pipeline, &mut outputs);
//! }
//!
//! // The removal is a finding; together with the addition it is a swap.
//! assert_eq!(outputs.documents.len(), 2);
//! let swap: serde_json::Value = serde_json::from_slice(&outputs.documents[1].payload)?;
//! assert_eq!(swap["trailtag"]["sequence"]["role_now"], "OrgAdmin");
//! assert_eq!(swap["trailtag"]["severity"]["level"], "critical");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `kinds.rs` says what is looked for, as data; `pairs.rs` and `counts.rs` find it; `state.rs` remembers.

mod counts;
mod fold;
mod kinds;
mod missing;
mod pairs;
mod state;
#[cfg(test)]
mod tests;

pub use fold::{Fold, SequenceTally};
pub use kinds::{BUILT_IN, Common, Definition, Distinct, Many, Pattern};
pub use missing::{Missing, missing};
pub use state::State;
