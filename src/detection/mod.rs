//! Is this record ours, how dangerous is it, and why.
//!
//! [`facts`] derives what conditions can test beyond the record itself; [`sigma`] wraps the engine that decides both
//! whether a record is ours and which severity factors apply; [`rules`] loads the rules; [`severity`] adds the factors
//! up. In flows a parsed record, out of it comes a [`rules::Verdict`]. Nothing in here does I/O after loading.

pub mod facts;
pub mod rules;
pub mod severity;
pub mod sigma;
