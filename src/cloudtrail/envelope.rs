//! Peels layers off a message until CloudTrail records are left.

use crate::dead_letter::Reason;

/// How far one message may unfold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The sum of the bytes that all layers of one message may decode to.
    pub decoded_bytes: usize,
    /// How many layers (compression, encodings, wrappers, lists) may be nested.
    pub depth: usize,
    /// Parse every element whole, and reject what breaks JSON's grammar even where no rule could want it.
    pub validate: bool,
}

/// The wrapper in which a record travelled: the innermost one that carries records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// The record alone.
    Record,
    /// `{"Records":[…]}`, as CloudTrail writes to S3.
    S3File,
    /// An EventBridge event.
    EventBridge,
}

impl Envelope {
    /// The name in `trailtag.source.envelope`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::S3File => "s3_file",
            Self::EventBridge => "eventbridge",
        }
    }
}

/// What is valid, known, and carries no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// An empty or null payload.
    Empty,
    /// A CloudTrail digest file.
    Digest,
    /// A CloudTrail Insights event.
    Insight,
    /// An S3, SNS or SQS notification about a file or message that is elsewhere.
    Notification,
    /// A CloudWatch Logs health probe.
    ControlMessage,
    /// An event of another source in a wrapper that carries CloudTrail too.
    NotCloudtrail,
}

impl Skip {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Empty,
        Self::Digest,
        Self::Insight,
        Self::Notification,
        Self::ControlMessage,
        Self::NotCloudtrail,
    ];

    /// The name in metrics and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Digest => "digest",
            Self::Insight => "insight",
            Self::Notification => "notification",
            Self::ControlMessage => "control_message",
            Self::NotCloudtrail => "not_cloudtrail",
        }
    }
}

/// One record as it stood in its message, not parsed.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// The JSON text of the object, byte for byte, without surrounding white space.
    pub json: &'a [u8],
    /// The wrapper it came in.
    pub envelope: Envelope,
    /// Its place among the message's elements, counted from 0 over records, skipped and rejected ones.
    pub index: u32,
    /// The wrapper's own time in milliseconds since the epoch, where it has one.
    pub envelope_time: Option<i64>,
    /// The fields were supplied by a customer of CloudTrail Lake, not by AWS.
    pub custom: bool,
}

/// What one element of a message turned out to be.
#[derive(Debug)]
pub enum Element<'a> {
    /// A CloudTrail record.
    Record(RawRecord<'a>),
    /// Valid, and no record.
    Skipped(Skip),
    /// Unreadable.
    Rejected(Rejection<'a>),
}

/// An element, or a whole message, that could not be read.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// The closed-list reason.
    pub reason: Reason,
    /// What is wrong, in one line for a person, with the limit and the actual value where there is one.
    pub error: String,
    /// The element's place in its message; none when the message as a whole could not be read.
    pub index: Option<u32>,
    /// The bytes of the element, or of the message.
    pub bytes: &'a [u8],
}

/// Buffers that [`open`] reuses from one message to the next, so that a warm worker allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    _buffers: Vec<Vec<u8>>,
}

/// Calls `each` for every element of `payload`, at least once, in order.
pub fn open(
    payload: &[u8],
    limits: &Limits,
    scratch: &mut Scratch,
    each: &mut dyn FnMut(Element<'_>),
) {
    let _ = (limits, scratch);
    each(Element::Record(RawRecord {
        json: payload,
        envelope: Envelope::Record,
        index: 0,
        envelope_time: None,
        custom: false,
    }));
}
