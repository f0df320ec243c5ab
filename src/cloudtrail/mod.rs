//! From bytes to CloudTrail records.
//!
//! [`prefilter`] rejects what no rule can want without parsing it; [`envelope`] peels compression, encodings, framings
//! and wrappers until records are left; [`scan`] walks JSON text without building anything, and [`text`] decodes its
//! strings; [`record`] is the parsed view of the one record in a thousand that is worth parsing, and [`repair`] mends it
//! where strict parsers refuse it.

pub mod envelope;
pub(crate) mod fields;
pub mod prefilter;
pub mod record;
pub mod repair;
pub mod scan;
pub mod text;
pub(crate) mod time;
