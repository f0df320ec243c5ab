//! What only a real Kafka broker can show: one test program, so that one broker serves all of its tests.
//!
//! [`support`] starts the broker and the program under test; the other modules are the tests, a topic each. Tests run at
//! the same time and share the broker, so each names its own topics, groups and transactional ids
//! ([`support::unique`]).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

mod alerts;
mod connect;
mod delivery;
mod fencing;
mod generate;
mod harness;
mod hostile;
mod image;
mod letters;
mod logs;
mod outage;
mod readiness;
mod records;
mod reload;
mod sequences;
mod stage;
mod support;
mod unfold;
