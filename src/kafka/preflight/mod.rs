//! What is asked before a worker runs, and by `check --connect`.
//!
//! In flows the configuration; out flow faults for a person, and the topics' size limits. Nothing is written to a topic.
//!
//! - [`connect`]: do the brokers answer, do the topics exist, may we do what we must
//! - [`limits`]: how large a message each topic takes
//! - [`sizes`]: do the topics that are written take what those that are read can bring
//! - `step_topic`: does the topic of steps keep and take what sequences need

pub mod connect;
pub mod limits;
pub mod sizes;
mod step_topic;
