//! JSON strings: what stands between their quotes, and what it stands for.
//!
//! In: a string as [`super::scan`] found it. Out: the same decoded, in a small buffer of its own for comparison
//! ([`ShortText`]) or appended to the caller's ([`unescape`]). It allocates nothing but what the caller's buffer needs.

use super::scan::{JsonFault, first_equal, splat};

/// The longest string that [`ShortText`] holds.
const SHORT: usize = 64;

/// The decoded beginning of a string, for comparison: long enough for every name that is looked for.
#[derive(Debug)]
pub enum ShortText<'a> {
    /// It has no escape: it stands for itself.
    Plain(&'a [u8]),
    /// It was decoded, and has so many bytes.
    Decoded([u8; SHORT], usize),
}

impl<'a> ShortText<'a> {
    /// Decodes what stands between a string's quotes, as far as there is room. What is no escape stands for itself.
    #[must_use]
    pub fn decode(raw: &'a [u8]) -> Self {
        let head = raw.get(..SHORT).unwrap_or(raw);
        // Most are so short that the set-up of a vector search takes longer.
        if head.contains(&b'\\') {
            Self::unescape(raw)
        } else {
            Self::Plain(head)
        }
    }

    fn unescape(raw: &[u8]) -> Self {
        let mut short = [0; SHORT];
        let mut len = 0;
        let mut at = 0;
        while let Some((unit, next)) = decode_one(raw, at) {
            let mut utf8 = [0; 4];
            let bytes = match unit {
                Unit::Byte(byte) => {
                    utf8[0] = byte;
                    &utf8[..1]
                }
                Unit::Char(char) => char.encode_utf8(&mut utf8).as_bytes(),
                Unit::Bad => b"\xff",
            };
            let Some(room) = short.get_mut(len..len + bytes.len()) else {
                break;
            };
            room.copy_from_slice(bytes);
            len += bytes.len();
            at = next;
        }
        Self::Decoded(short, len)
    }

    /// The decoded bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Plain(text) => text,
            Self::Decoded(text, len) => text.get(..*len).unwrap_or_default(),
        }
    }
}

/// What a place in a string stands for.
enum Unit {
    Byte(u8),
    Char(char),
    Bad,
}

/// The four hexadecimal digits at `at`.
#[must_use]
pub fn hex4(text: &[u8], at: usize) -> Option<u16> {
    text.get(at..)?
        .first_chunk::<4>()?
        .iter()
        .try_fold(0_u16, |value, &digit| {
            let digit = char::from(digit).to_digit(16)?;
            Some(value << 4 | u16::try_from(digit).ok()?)
        })
}

/// What stands at `at`, and where the next one begins.
fn decode_one(raw: &[u8], at: usize) -> Option<(Unit, usize)> {
    let byte = *raw.get(at)?;
    if byte != b'\\' {
        return Some((Unit::Byte(byte), at + 1));
    }
    let plain = match raw.get(at + 1) {
        Some(byte @ (b'"' | b'\\' | b'/')) => *byte,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'u') => return Some(decode_unicode(raw, at)),
        _ => return Some((Unit::Bad, at + 2)),
    };
    Some((Unit::Byte(plain), at + 2))
}

/// The `\u` escape at `at`, with its second half where it is one of a pair.
fn decode_unicode(raw: &[u8], at: usize) -> (Unit, usize) {
    let Some(high) = hex4(raw, at + 2) else {
        return (Unit::Bad, at + 2);
    };
    if let Some(char) = char::from_u32(u32::from(high)) {
        return (Unit::Char(char), at + 6);
    }
    let low = match raw.get(at + 6..at + 8) {
        Some(b"\\u") => hex4(raw, at + 8),
        _ => None,
    };
    let pair = low.and_then(|low| char::decode_utf16([high, low]).next()?.ok());
    match pair {
        Some(char) => (Unit::Char(char), at + 12),
        None => (Unit::Bad, at + 6),
    }
}

/// Why a string was not decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnescapeError {
    /// It stands for more bytes than the limit.
    TooLong,
    /// An escape that is none; half of a surrogate pair included, which UTF-8 cannot say.
    Bad(JsonFault),
}

/// Appends what a string stands for, given what stands between its quotes, until the buffer would hold more than
/// `limit` bytes.
pub fn unescape(raw: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), UnescapeError> {
    unescape_all(raw, limit, into, false)
}

/// The same, with U+FFFD for half of a surrogate pair.
pub fn unescape_replacing(
    raw: &[u8],
    limit: usize,
    into: &mut Vec<u8>,
) -> Result<(), UnescapeError> {
    unescape_all(raw, limit, into, true)
}

fn unescape_all(
    raw: &[u8],
    limit: usize,
    into: &mut Vec<u8>,
    may_replace: bool,
) -> Result<(), UnescapeError> {
    // No escape is shorter than what it stands for.
    let may_exceed = raw.len() > limit.saturating_sub(into.len());
    if !may_exceed {
        into.reserve(raw.len() + WORD);
    }
    let mut from = 0;
    loop {
        from = append_plain(raw, from, into, may_exceed.then_some(limit))?;
        let mut utf8 = [0; 4];
        let (bytes, next) = match decode_one(raw, from) {
            None => return Ok(()),
            Some((Unit::Byte(byte), next)) => {
                utf8[0] = byte;
                (&utf8[..1], next)
            }
            Some((Unit::Char(char), next)) => (char.encode_utf8(&mut utf8).as_bytes(), next),
            // Bad, and so long: half of a pair.
            Some((Unit::Bad, next)) if may_replace && next == from + 6 => (REPLACEMENT, next),
            Some((Unit::Bad, _)) => {
                return Err(UnescapeError::Bad(JsonFault::Invalid { at: from }));
            }
        };
        append(bytes, limit, into)?;
        from = next;
    }
}

/// U+FFFD: what stands for what cannot be said.
const REPLACEMENT: &[u8] = b"\xef\xbf\xbd";

const WORD: usize = 8;

/// Appends up to the next backslash, and gives its place. Escapes are near one another in JSON within JSON: whole words
/// are copied and what was too much is taken back, which beats finding out how much to copy.
#[inline]
fn append_plain(
    raw: &[u8],
    mut at: usize,
    into: &mut Vec<u8>,
    limit: Option<usize>,
) -> Result<usize, UnescapeError> {
    if limit.is_none() {
        for _ in 0..8 {
            let Some(word) = raw.get(at..).and_then(<[u8]>::first_chunk::<WORD>) else {
                break;
            };
            into.extend_from_slice(word);
            let hits = first_equal(u64::from_le_bytes(*word), splat(b'\\'));
            if hits != 0 {
                let before = (hits.trailing_zeros() / 8) as usize;
                into.truncate(into.len() - (WORD - before));
                return Ok(at + before);
            }
            at += WORD;
        }
    }
    let rest = raw.get(at..).unwrap_or_default();
    let end = memchr::memchr(b'\\', rest).unwrap_or(rest.len());
    append(
        rest.get(..end).unwrap_or_default(),
        limit.unwrap_or(usize::MAX),
        into,
    )?;
    Ok(at + end)
}

#[inline]
fn append(bytes: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), UnescapeError> {
    if bytes.len() > limit.saturating_sub(into.len()) {
        return Err(UnescapeError::TooLong);
    }
    into.extend_from_slice(bytes);
    Ok(())
}

/// What stands between the quotes of a string value; none if the value is no string.
#[must_use]
pub fn string_inside(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether a value is a string that stands for exactly `expected` (of at most 64 bytes).
#[must_use]
pub fn text_is(value: &[u8], expected: &[u8]) -> bool {
    match string_inside(value) {
        Some(raw) if memchr::memchr(b'\\', raw).is_none() => raw == expected,
        Some(raw) => ShortText::decode(raw).bytes() == expected,
        None => false,
    }
}

/// Whether a value is a string that begins with `prefix` (of at most 64 bytes).
#[must_use]
pub fn text_starts_with(value: &[u8], prefix: &[u8]) -> bool {
    string_inside(value).is_some_and(|raw| {
        raw.starts_with(prefix) || ShortText::decode(raw).bytes().starts_with(prefix)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_is_the_beginning_of_its_string() {
        let long = "x".repeat(70);
        for (raw, short) in [
            ("", ""),
            ("eventName", "eventName"),
            (r"event\u004eame", "eventName"),
            (r"\n", "\n"),
            (&long, &long[..SHORT]),
            (
                &format!("{}\\n{long}", &long[..SHORT - 1]),
                &format!("{}\n", &long[..SHORT - 1]),
            ),
            (
                &format!("{}\\u00e9", &long[..SHORT - 1]),
                &long[..SHORT - 1],
            ),
        ] {
            assert_eq!(
                ShortText::decode(raw.as_bytes()).bytes(),
                short.as_bytes(),
                "{raw}"
            );
        }
    }

    #[test]
    fn escapes_are_decoded() {
        let mut out = Vec::new();
        unescape(
            br#"a\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00z"#,
            99,
            &mut out,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\"\\/\u{8}\u{c}\n\r\tA\u{e9}\u{1f600}z"
        );
        for bad in [
            &br"\x"[..],
            br"\u12",
            br"\ud83d",
            br"\ud83dx",
            br"\ud83d\u0041",
            b"\\",
        ] {
            assert!(unescape(bad, 99, &mut Vec::new()).is_err(), "{bad:?}");
        }
        let mut out = Vec::new();
        unescape_replacing(br"a\ud83dx\ude00\ud83d\ude00", 99, &mut out).unwrap();
        assert_eq!(out, "a\u{fffd}x\u{fffd}\u{1f600}".as_bytes());
        for bad in [&br"\x"[..], br"\u12", b"\\"] {
            assert!(unescape_replacing(bad, 99, &mut Vec::new()).is_err());
        }
        assert!(text_is(br#""eventN\u0061me""#, b"eventName"));
        assert!(!text_is(br#""eventNames""#, b"eventName"));
        assert!(!text_is(b"eventName", b"eventName"));
        assert!(text_starts_with(br#""1\u002e08""#, b"1."));
    }

    proptest! {
        #[test]
        fn a_string_is_what_the_parser_says_within_every_limit(
            inside in r#"([a-z ]{0,20}|\\["\\/bfnrt]|\\u00[4-7][0-9a-f]|\\ud83d\\ude0[0-9]|é){0,20}"#,
            limit in 0..300_usize,
        ) {
            let expected: String = serde_json::from_str(&format!("\"{inside}\"")).unwrap();
            let mut out = Vec::new();
            let outcome = unescape(inside.as_bytes(), limit, &mut out);
            prop_assert!(out.len() <= limit);
            if expected.len() <= limit {
                prop_assert_eq!(outcome, Ok(()));
                prop_assert_eq!(out, expected.into_bytes());
            } else {
                prop_assert_eq!(outcome, Err(UnescapeError::TooLong));
            }
        }
    }
}
