//! What the workers and the service tell of themselves: metrics and health. Both are written by whoever does the work,
//! and read by the pages; nothing is decided here.

pub mod health;
pub mod metrics;
