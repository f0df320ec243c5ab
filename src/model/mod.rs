//! Words that all folders share: how bad a finding is, what became of a call, where a message came from, what several
//! events say together, what could not be read. Nothing of the program is used here.

pub mod dead_letter;
pub(crate) mod error;
pub mod fault;
mod level;
mod origin;
mod outcome;
mod sequence;
pub(crate) mod visible;

pub use level::{Level, Scale};
pub use origin::Origin;
pub use outcome::Outcome;
pub use sequence::{SequenceKind, Verdict};
