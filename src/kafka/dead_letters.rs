//! Dead letters as messages: the original bytes and our headers, no larger than the dead-letter topic takes.
//!
//! In flow what could not be read or sent, the message that it came from, and the topic's limit; out flow the messages to
//! be sent. The original bytes always leave, all of them. Where a letter is too large, the original headers are left out,
//! then the original key; where it still is, its bytes go in parts. No sender can stop a partition by a letter's size.
//!
//! This never fails. Where the topic takes less than our own headers need, the parts are larger than it takes: the broker
//! refuses them, and what then becomes of the partition is decided where every failed delivery is.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use rdkafka::message::OwnedHeaders;

use super::headers::{
    MessageHeaders, OriginalHeaders, PART, PARTS, added_size, for_dead_letter, omitted_size,
    with_omitted,
};
use super::outgoing::{DeadLetterPart, OutgoingMessage};
use crate::model::Origin;
use crate::model::dead_letter::{DeadLetter, Reason};
use crate::model::visible::visible;
use crate::pipeline::{HEADER_OVERHEAD, OVERHEAD};

/// The longest text of `trailtag.error`, in bytes. A smaller topic gets a shorter one.
const ERROR_BYTES: usize = 1024;
/// Letters are made for a topic that takes this many bytes, however few it takes.
pub(super) const LEAST_LIMIT: usize = 1024;
/// One byte in so many of a part is of the original message, at the least: its headers are sent with each.
const LEAST_SHARE: usize = 4;

/// What a dead letter keeps of the message that it came from.
#[derive(Clone, Copy)]
pub(super) struct Original<'a> {
    pub(super) origin: Origin<'a>,
    pub(super) key: Option<&'a Bytes>,
    pub(super) headers: Option<&'a Arc<OwnedHeaders>>,
}

/// The messages that a dead letter is sent as, of at most `limit` bytes each. `blank` is a message for the dead-letter
/// topic with nothing in it. A `bare` one has no headers of the original message, whatever the limit.
pub(super) fn messages(
    original: &Original<'_>,
    dead_letter: DeadLetter,
    limit: usize,
    bare: bool,
    blank: impl Fn() -> OutgoingMessage,
) -> Vec<OutgoingMessage> {
    let limit = limit.max(LEAST_LIMIT);
    // It may quote the message; a tool that prints headers must not be steered by that.
    let mut error = visible(&dead_letter.error).into_owned();
    cut(&mut error, ERROR_BYTES.min(limit / 8));
    let (origin, reason) = (&original.origin, dead_letter.reason);
    let added = for_dead_letter(origin, reason, &error, dead_letter.index);
    let payload = Bytes::from(dead_letter.payload);
    let kept = original
        .headers
        .map(|it| OriginalHeaders::from_headers(it.as_borrowed()));
    let kept = kept.unwrap_or_default();
    let key_size = original.key.map_or(0, Bytes::len);
    let fixed = OVERHEAD + added_size(&added);
    let omitted = |headers: bool, key: bool| {
        omitted(kept.count > 0 && !headers, original.key.is_some() && !key)
    };
    let letter = |omitted: &'static str, parts: usize| DeadLetterPart {
        reason,
        error: Arc::from(error.as_str()),
        part: 1,
        parts,
        omitted,
        size: 0,
        with_headers: false,
    };

    for (headers, key) in [(true, true), (false, true), (false, false)] {
        let omitted = omitted(headers, key);
        let size = fixed
            + payload.len()
            + if headers { kept.size } else { 0 }
            + if key { key_size } else { 0 }
            + omitted_size(omitted);
        if size > limit || headers && (bare || kept.is_misleading) {
            continue;
        }
        return vec![OutgoingMessage {
            key: original.key.filter(|_| key).cloned(),
            headers: MessageHeaders {
                original: original.headers.filter(|_| headers).cloned(),
                added: with_omitted(added, omitted),
            },
            payload: Some(payload),
            letter: Some(DeadLetterPart {
                size,
                with_headers: headers && kept.count > 0,
                ..letter(omitted, 1)
            }),
            ..blank()
        }];
    }

    let numbers = PART.len() + PARTS.len() + 2 * HEADER_OVERHEAD;
    // The digits of a number of parts are no more than those of the number of bytes.
    let digits = 2 * payload.len().to_string().len();
    let least = limit / LEAST_SHARE;
    let with_key = |key: bool, size: usize| {
        let omitted = omitted(false, key);
        let around = fixed + numbers + omitted_size(omitted) + size;
        (omitted, around, limit.saturating_sub(around + digits))
    };
    let (key, (omitted, around, room)) = match original.key {
        // Without a key, each part would lie in another partition.
        Some(key) if !key.is_empty() && with_key(true, key.len()).2 >= least => {
            (key.clone(), with_key(true, key.len()))
        }
        _ => {
            let key = format!("{}/{}/{}", origin.topic, origin.partition, origin.offset);
            let size = key.len();
            (Bytes::from(key), with_key(false, size))
        }
    };
    // Of equal length, so that the number of parts alone says where each begins: parts of two tries fit each other.
    let count = payload.len().div_ceil(room.max(least)).max(1);
    let length = payload.len().div_ceil(count).max(1);
    let count = payload.len().div_ceil(length).max(1);
    let letter = letter(omitted, count);
    let added = with_omitted(added, omitted);
    let mut rest = payload;
    (1..=count)
        .map(|part| {
            let value = rest.split_to(length.min(rest.len()));
            let numbers = [
                (Cow::Borrowed(PART), part.to_string()),
                (Cow::Borrowed(PARTS), count.to_string()),
            ];
            let digits: usize = numbers.iter().map(|(_, number)| number.len()).sum();
            OutgoingMessage {
                key: Some(key.clone()),
                headers: MessageHeaders {
                    original: None,
                    added: [&added[..], &numbers].concat(),
                },
                letter: Some(DeadLetterPart {
                    part,
                    size: around + digits + value.len(),
                    ..letter.clone()
                }),
                payload: Some(value),
                ..blank()
            }
        })
        .collect()
}

/// What to make letters for, after the broker refused one of `size` bytes; none where they would be no smaller.
pub(super) fn lowered(limit: usize, size: usize) -> Option<usize> {
    let lower = (size / 2).max(LEAST_LIMIT);
    (lower < limit).then_some(lower)
}

/// The most bytes that our headers add to a message of this topic.
pub(super) fn most_added(topic: &str) -> usize {
    let origin = Origin {
        topic,
        partition: i32::MAX,
        offset: i64::MAX,
        timestamp: Some(i64::MAX),
    };
    let error = "x".repeat(ERROR_BYTES);
    Reason::ALL
        .into_iter()
        .map(|reason| added_size(&for_dead_letter(&origin, reason, &error, Some(u32::MAX))))
        .max()
        .unwrap_or(0)
}

const fn omitted(headers: bool, key: bool) -> &'static str {
    match (headers, key) {
        (false, false) => "",
        (true, false) => "headers",
        (false, true) => "key",
        (true, true) => "headers,key",
    }
}

/// Shortens a text to `most` bytes, and shows that it did.
fn cut(text: &mut String, most: usize) {
    const SIGN: char = '…';
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most.saturating_sub(SIGN.len_utf8())));
        text.push(SIGN);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rdkafka::message::{Header, Headers as _};

    use super::*;
    use crate::kafka::headers::{OMITTED, original_size};
    use crate::kafka::place::Place;
    use crate::kafka::topics::Target;
    use crate::pipeline::Tally;

    fn blank() -> OutgoingMessage {
        OutgoingMessage {
            position: 1,
            place: Place::at(42),
            epoch: None,
            index: None,
            before: Tally::default(),
            target: Target::DeadLetter,
            key: None,
            headers: MessageHeaders::default(),
            payload: None,
            timestamp: None,
            letter: None,
        }
    }

    fn make(
        topic: &str,
        payload: Vec<u8>,
        key: Option<&[u8]>,
        headers: Option<&OwnedHeaders>,
        limit: usize,
    ) -> Vec<OutgoingMessage> {
        let key = key.map(Bytes::copy_from_slice);
        let headers = headers.cloned().map(Arc::new);
        let original = Original {
            origin: Origin {
                topic,
                partition: 7,
                offset: 42,
                timestamp: Some(1_700_000_000_000),
            },
            key: key.as_ref(),
            headers: headers.as_ref(),
        };
        let dead_letter = DeadLetter {
            reason: Reason::NotJson,
            error: "no JSON, and no layer that is known".repeat(50),
            index: Some(3),
            payload,
        };
        messages(&original, dead_letter, limit, false, blank)
    }

    /// The size that a topic's limit counts, of what really is to be sent.
    fn size(message: &OutgoingMessage) -> usize {
        let headers = message.headers.to_owned().unwrap();
        OVERHEAD
            + message.key.as_ref().map_or(0, Bytes::len)
            + message.payload.as_ref().unwrap().len()
            + original_size(headers.as_borrowed())
    }

    fn header(message: &OutgoingMessage, name: &str) -> Option<String> {
        let headers = message.headers.to_owned().unwrap();
        let mut all = headers.iter().filter(|header| header.key == name);
        let found = all.next()?;
        assert!(all.next().is_none(), "{name} is there once");
        Some(String::from_utf8(found.value.unwrap().to_vec()).unwrap())
    }

    fn one_header(bytes: usize) -> OwnedHeaders {
        OwnedHeaders::new().insert(Header {
            key: "trace",
            value: Some(&vec![0_u8; bytes]),
        })
    }

    #[test]
    fn what_can_be_left_out_is_left_out_in_order() {
        let headers = one_header(3000);
        let key = [b'k'; 2000];
        let sent = |limit| {
            let messages = make("in", vec![b'x'; 5000], Some(&key), Some(&headers), limit);
            let message = messages.first().unwrap();
            assert!(size(message) <= limit, "{} {limit}", size(message));
            assert_eq!(message.letter.as_ref().unwrap().size, size(message));
            (
                messages.len(),
                header(message, "trace").is_some(),
                message.key.as_deref() == Some(&key[..]),
                header(message, OMITTED),
            )
        };
        assert_eq!(sent(12_500), (1, true, true, None));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(sent(10_000), (1, false, true, text("headers")));
        assert_eq!(sent(7000), (1, false, false, text("headers,key")));
        assert_eq!(sent(5000), (3, false, true, text("headers")));
        assert_eq!(sent(3000), (3, false, false, text("headers,key")));
    }

    #[test]
    fn parts_lie_in_one_partition_also_where_the_original_has_no_key() {
        for key in [None, Some(&b""[..])] {
            let messages = make("in", vec![b'x'; 5000], key, None, 2000);
            assert!(messages.len() > 1);
            for message in &messages {
                assert_eq!(message.key.as_deref(), Some(&b"in/7/42"[..]));
                assert_eq!(header(message, OMITTED).is_some(), key.is_some());
            }
        }
    }

    #[test]
    fn an_error_is_cut_between_its_letters() {
        let mut text = "ééé".to_owned();
        cut(&mut text, 6);
        assert_eq!(text, "ééé");
        cut(&mut text, 5);
        assert_eq!(text, "é…");
        let messages = make("in", b"x".to_vec(), None, None, usize::MAX);
        let error = header(messages.first().unwrap(), "trailtag.error").unwrap();
        assert!(
            error.len() <= ERROR_BYTES && error.ends_with('…'),
            "{error}"
        );
    }

    #[test]
    fn a_header_of_ours_holds_nothing_that_controls() {
        let original = Original {
            origin: Origin {
                topic: "in",
                partition: 7,
                offset: 42,
                timestamp: None,
            },
            key: None,
            headers: None,
        };
        let letter = DeadLetter {
            reason: Reason::NotJson,
            error: "begins with \u{1b}[2J\n\u{2028}".repeat(100),
            index: None,
            payload: b"x".to_vec(),
        };
        for limit in [LEAST_LIMIT, usize::MAX] {
            for message in messages(&original, letter.clone(), limit, false, blank) {
                let error = header(&message, "trailtag.error").unwrap();
                assert!(error.starts_with("begins with \\u{1b}[2J\\n\\u{2028}"));
                assert!(
                    error.len() <= ERROR_BYTES && !error.contains(crate::model::visible::is_hidden)
                );
            }
        }
    }

    #[test]
    fn a_sender_cannot_make_a_letter_look_like_a_part() {
        let forged = one_header(3).insert(Header {
            key: PARTS,
            value: Some("2"),
        });
        let messages = make("in", b"x".to_vec(), None, Some(&forged), usize::MAX);
        let [message] = messages.as_slice() else {
            panic!("{messages:?}");
        };
        assert_eq!(header(message, PARTS), None);
        assert_eq!(header(message, OMITTED).as_deref(), Some("headers"));
    }

    #[test]
    fn a_topic_that_takes_less_than_our_headers_gets_few_parts_all_the_same() {
        let topic = "t".repeat(249);
        let messages = make(&topic, vec![b'x'; 100_000], None, None, 1);
        assert!(messages.len() < 400, "{}", messages.len());
        let messages = make(&topic, Vec::new(), Some(&[b'k'; 5000]), None, 1);
        assert_eq!(messages.len(), 1);
    }

    #[test]
    fn a_limit_is_halved_down_to_the_least() {
        assert_eq!(lowered(1_048_588, 1_000_000), Some(500_000));
        assert_eq!(lowered(3000, 1500), Some(LEAST_LIMIT));
        assert_eq!(lowered(LEAST_LIMIT, 1500), None);
        assert_eq!(lowered(200, 1500), None);
        assert_eq!(lowered(500_000, 1_000_000), None, "it was lowered since");
    }

    #[test]
    fn our_headers_add_what_we_say_at_the_most() {
        let with = |limit| {
            let messages = make("in", vec![b'x'; 10], Some(b"key"), None, limit);
            size(messages.first().unwrap())
        };
        assert!(with(usize::MAX) <= OVERHEAD + 13 + most_added("in"));
        assert!(most_added("in") < 2000);
    }

    proptest! {
        /// Every part fits, they are numbered, lie in one partition and are the original bytes, whatever a sender sends.
        #[test]
        fn a_letter_arrives_whole_in_messages_that_fit(
            topic in "[a-z.]{1,249}",
            payload in proptest::collection::vec(any::<u8>(), 0..20_000),
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..4_000)),
            header in proptest::option::of(0..4_000_usize),
            limit in prop_oneof![3 => 1_024..3_000_usize, 1 => 3_000..30_000_usize],
        ) {
            // Names of topics are twice in a part, of which a quarter is for the original bytes however long they are.
            let limit = limit + (topic.len() * 8).div_ceil(3);
            let headers = header.map(one_header);
            let messages = make(&topic, payload.clone(), key.as_deref(), headers.as_ref(), limit);
            let mut joined = Vec::new();
            for (number, message) in messages.iter().enumerate() {
                prop_assert!(size(message) <= limit, "{} of {limit}", size(message));
                let letter = message.letter.as_ref().unwrap();
                prop_assert_eq!(letter.size, size(message));
                prop_assert_eq!((letter.part, letter.parts), (number + 1, messages.len()));
                let is_split = messages.len() > 1;
                prop_assert_eq!(super::tests::header(message, PART), is_split.then(|| letter.part.to_string()));
                prop_assert_eq!(super::tests::header(message, PARTS), is_split.then(|| letter.parts.to_string()));
                prop_assert_eq!(&message.key, &messages[0].key);
                prop_assert_eq!(super::tests::header(message, "trailtag.reason"), Some("not_json".to_owned()));
                prop_assert_eq!((message.position, message.place), (1, Place::at(42)));
                let left_out = super::tests::header(message, OMITTED).unwrap_or_default();
                prop_assert_eq!(left_out.contains("key"), message.key.as_deref() != key.as_deref() && key.is_some());
                prop_assert_eq!(
                    left_out.contains("headers"),
                    headers.is_some() && super::tests::header_is_missing(message)
                );
                joined.extend_from_slice(message.payload.as_ref().unwrap());
            }
            prop_assert_eq!(joined, payload);
        }

        /// Parts of two tries with different limits are the same where there are as many of them.
        #[test]
        fn as_many_parts_are_the_same_parts(length in 1..20_000_usize, a in 1_100..8_000_usize, b in 1_100..8_000_usize) {
            let cuts = |limit| -> Vec<usize> {
                let messages = make("in", vec![b'x'; length], None, None, limit);
                messages.iter().map(|message| message.payload.as_ref().unwrap().len()).collect()
            };
            let (a, b) = (cuts(a), cuts(b));
            prop_assert!(a.len() != b.len() || a == b, "{a:?} {b:?}");
        }
    }

    fn header_is_missing(message: &OutgoingMessage) -> bool {
        let headers = message.headers.to_owned().unwrap();
        !headers.iter().any(|header| header.key == "trace")
    }
}
