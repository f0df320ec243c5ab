//! Where a message came from.

/// Where a message came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic, or the name of the file.
    pub topic: &'a str,
    /// The partition, 0 for a file.
    pub partition: i32,
    /// The offset, or the number of the payload within a file, counted from 0.
    pub offset: i64,
    /// The message's timestamp in milliseconds since the epoch, where it has one.
    pub timestamp: Option<i64>,
}
