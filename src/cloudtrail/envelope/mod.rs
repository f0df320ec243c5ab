//! Peels layers off a message until CloudTrail records are left.
//!
//! In: the bytes of one message. Out: its elements, one call each: records as slices that were not parsed, things that
//! are valid and carry no record, and things that could not be read. What a message is, is decided by its structure,
//! never by its topic. `layers` opens what lies around JSON, `forms` tells the forms of JSON apart; this module
//! walks through both, holds the limits, and sees to it that a broken element loses only itself. It never parses a
//! record, and on a warm [`Scratch`] it allocates nothing for plain JSON.
//!
//! What a rule could want is never skipped ([`Search`]): `recover` looks for the JSON within a text that is none, and
//! what is found nowhere is rejected.

use std::ops::ControlFlow;

mod documents;
mod dynamodb;
mod forms;
mod kinds;
mod layers;
mod object;
mod otel;
mod pointer;
mod recover;
mod rows;
mod second_look;
mod types;
mod walk;
mod wrappers;

pub use pointer::Pointer;
pub use types::{Element, Envelope, Limits, RawRecord, Rejection, Scratch, Search, Skip};

/// Calls `each` for every element of `payload`, at least once, in order. Nothing is known of what rules want: see
/// [`open_until`].
pub fn open(
    payload: &[u8],
    limits: &Limits,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(Element<'_>),
) {
    open_until(
        payload,
        limits,
        Search::default(),
        scratch,
        &mut |element| {
            each(element);
            ControlFlow::Continue(())
        },
    );
}

/// As [`open`], until `each` breaks, and skips nothing that `search` says is wanted.
pub fn open_until(
    payload: &[u8],
    limits: &Limits,
    search: Search<'_>,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(Element<'_>) -> ControlFlow<()>,
) {
    walk::Walk::new(payload, limits, search, scratch, each).run();
}

#[cfg(test)]
mod cost_tests;
#[cfg(test)]
mod layering_tests;
#[cfg(test)]
mod properties_tests;
#[cfg(test)]
mod tests;
