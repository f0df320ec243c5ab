//! Words that everything shares.

pub(crate) mod error;
