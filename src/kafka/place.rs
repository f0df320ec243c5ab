//! Where in a partition: the words that all of this folder shares.

/// A partition, by topic and number.
pub type Partition = (String, i32);

/// Where a partition is to be read from: an offset, and how many elements of its message are done already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    /// The offset of the next message.
    pub offset: i64,
    /// How many of that message's elements are done.
    pub elements: u32,
}

impl Place {
    /// The beginning of the message at `offset`.
    #[must_use]
    pub const fn at(offset: i64) -> Self {
        Self {
            offset,
            elements: 0,
        }
    }
}

/// The leader epoch of a message, where it is known: with it, a broker can tell that its log was cut (KIP-320).
pub type LeaderEpoch = Option<i32>;
