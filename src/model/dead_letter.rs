//! What could not be read or sent, why, and the bytes of it. Nothing is lost: a dead letter carries the original bytes
//! to the dead-letter topic, and its reason is a closed list, so that it can be a metric's label.

/// Why something became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The bytes are neither JSON nor a layer that is known.
    NotJson,
    /// JSON that ends before it is complete.
    Truncated,
    /// JSON that breaks the grammar.
    InvalidJson,
    /// JSON in no form in which CloudTrail is known to travel.
    UnrecognisedEnvelope,
    /// A form that is known and cannot be read here (Avro without its schema, say).
    UnsupportedFormat,
    /// A compressed or encoded layer that does not decode.
    CorruptLayer,
    /// The decoded layers exceed `input.max_decoded_bytes`.
    DecodedTooLarge,
    /// More layers than `input.max_depth`.
    TooDeep,
    /// A document that exceeds its route's size limit.
    DocumentTooLarge,
    /// The broker refused this document for what it is, and would refuse it again.
    RefusedByBroker,
}

impl Reason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 10] = [
        Self::NotJson,
        Self::Truncated,
        Self::InvalidJson,
        Self::UnrecognisedEnvelope,
        Self::UnsupportedFormat,
        Self::CorruptLayer,
        Self::DecodedTooLarge,
        Self::TooDeep,
        Self::DocumentTooLarge,
        Self::RefusedByBroker,
    ];

    /// The name in headers, metrics and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::Truncated => "truncated",
            Self::InvalidJson => "invalid_json",
            Self::UnrecognisedEnvelope => "unrecognised_envelope",
            Self::UnsupportedFormat => "unsupported_format",
            Self::CorruptLayer => "corrupt_layer",
            Self::DecodedTooLarge => "decoded_too_large",
            Self::TooDeep => "too_deep",
            Self::DocumentTooLarge => "document_too_large",
            Self::RefusedByBroker => "refused_by_broker",
        }
    }
}

/// The original bytes of what failed, and why it failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The closed-list reason.
    pub reason: Reason,
    /// One line for a person: what, where, the limit and the actual value.
    pub error: String,
    /// The element within its message, counted from 0; none when the message as a whole failed.
    pub index: Option<u32>,
    /// The whole message, or the bytes of the one bad element as they stood in its (decoded) list.
    pub payload: Vec<u8>,
}
