//! The headers of the messages that we write, and what they take of a topic's size limit.
//!
//! A document has those that its format gives it; a message that matched nothing keeps its own; a dead letter has its own and
//! those below, which say why it is one, where it comes from, and which part of it this is.

use std::borrow::Cow;
use std::sync::Arc;

use rdkafka::message::{BorrowedHeaders, Header, OwnedHeaders};

use super::ffi;
use crate::model::Origin;
use crate::model::dead_letter::Reason;
use crate::pipeline::HEADER_OVERHEAD;

/// The reason, a word of a closed list.
pub(super) const REASON: &str = "trailtag.reason";
/// The reason, for a person.
pub(super) const ERROR: &str = "trailtag.error";
/// The topic that the message came from.
pub(super) const SOURCE_TOPIC: &str = "trailtag.source.topic";
/// The partition.
pub(super) const SOURCE_PARTITION: &str = "trailtag.source.partition";
/// The offset.
pub(super) const SOURCE_OFFSET: &str = "trailtag.source.offset";
/// The message's timestamp, in milliseconds since the epoch.
pub(super) const SOURCE_TIMESTAMP: &str = "trailtag.source.timestamp";
/// Which record of the message it is about, counted from 0.
pub(super) const SOURCE_INDEX: &str = "trailtag.source.index";
/// The version of this program.
pub(super) const VERSION: &str = "trailtag.version";
/// The number of a part, from 1.
pub(super) const PART: &str = "trailtag.part";
/// How many parts there are.
pub(super) const PARTS: &str = "trailtag.parts";
/// What was left out of the original message.
pub(super) const OMITTED: &str = "trailtag.omitted";

/// Headers that we add, in order.
pub type AddedHeaders = Vec<(Cow<'static, str>, String)>;

/// The headers of one message to be produced.
#[derive(Debug, Clone, Default)]
pub struct MessageHeaders {
    /// Those of the message that it came from; all of its dead letters share them.
    pub original: Option<Arc<OwnedHeaders>>,
    /// Those that are added.
    pub added: AddedHeaders,
}

impl MessageHeaders {
    /// The bytes that they take.
    #[must_use]
    pub fn size(&self) -> usize {
        let original = self.original.as_ref();
        original.map_or(0, |it| original_size(it.as_borrowed())) + added_size(&self.added)
    }

    /// As the producer takes them, who has a copy for each message. None leaves none.
    #[must_use]
    pub fn to_owned(&self) -> Option<OwnedHeaders> {
        let original = self.original.as_ref().map(|it| it.as_borrowed().detach());
        if original.is_none() && self.added.is_empty() {
            return None;
        }
        let begin = original.unwrap_or_else(|| OwnedHeaders::new_with_capacity(self.added.len()));
        Some(self.added.iter().fold(begin, |headers, (key, value)| {
            headers.insert(Header {
                key,
                value: Some(value),
            })
        }))
    }
}

/// Why a message is a dead letter, and where it comes from.
pub(super) fn for_dead_letter(
    origin: &Origin<'_>,
    reason: Reason,
    error: &str,
    index: Option<u32>,
) -> AddedHeaders {
    let mut headers = vec![
        (REASON, reason.as_str().to_owned()),
        (ERROR, error.to_owned()),
        (SOURCE_TOPIC, origin.topic.to_owned()),
        (SOURCE_PARTITION, origin.partition.to_string()),
        (SOURCE_OFFSET, origin.offset.to_string()),
    ];
    headers.extend(
        origin
            .timestamp
            .map(|time| (SOURCE_TIMESTAMP, time.to_string())),
    );
    headers.extend(index.map(|index| (SOURCE_INDEX, index.to_string())));
    headers.push((VERSION, env!("CARGO_PKG_VERSION").to_owned()));
    let named = |(name, value)| (Cow::Borrowed(name), value);
    headers.into_iter().map(named).collect()
}

/// The same, with what was left out of the original message.
pub(super) fn with_omitted(mut headers: AddedHeaders, omitted: &str) -> AddedHeaders {
    if !omitted.is_empty() {
        headers.push((Cow::Borrowed(OMITTED), omitted.to_owned()));
    }
    headers
}

/// The bytes that [`with_omitted`] adds.
pub(super) fn omitted_size(omitted: &str) -> usize {
    if omitted.is_empty() {
        0
    } else {
        OMITTED.len() + omitted.len() + HEADER_OVERHEAD
    }
}

/// The bytes of headers that we add, as a topic's limit counts them.
pub(super) fn added_size(headers: &[(Cow<'static, str>, String)]) -> usize {
    headers
        .iter()
        .map(|(name, value)| name.len() + value.len() + HEADER_OVERHEAD)
        .sum()
}

/// The bytes of a message's headers, as a topic's limit counts them.
pub(super) fn original_size(headers: &BorrowedHeaders) -> usize {
    OriginalHeaders::from_headers(headers).size
}

/// What a dead letter has of its message beside the bytes that are unreadable.
pub(super) fn key_and_headers_size(key: Option<&[u8]>, headers: Option<&BorrowedHeaders>) -> usize {
    key.map_or(0, <[u8]>::len) + headers.map_or(0, original_size)
}

/// What there is to know of the headers of the original message.
#[derive(Default)]
pub(super) struct OriginalHeaders {
    pub(super) count: usize,
    pub(super) size: usize,
    /// One has a name by which a reader tells a part: it would take this dead letter for one.
    pub(super) is_misleading: bool,
}

impl OriginalHeaders {
    pub(super) fn from_headers(headers: &BorrowedHeaders) -> Self {
        let mut found = Self::default();
        ffi::each_header(headers, |name, value| {
            found.count += 1;
            found.size += name.len() + value + HEADER_OVERHEAD;
            found.is_misleading |= [PART, PARTS, OMITTED]
                .iter()
                .any(|ours| ours.as_bytes() == name);
        });
        found
    }
}
