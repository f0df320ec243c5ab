//! Is this record ours, how dangerous is it, and why.
//!
//! [`facts`] derives what conditions can test beyond the record itself; [`rules`] wraps the Sigma engine, which decides
//! both whether a record is ours and which severity factors apply; [`severity`] adds the factors up.

pub mod facts;
pub mod rules;
pub mod severity;
