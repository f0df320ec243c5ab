//! Records that are JSON to their writers and not to everybody: bytes that are no UTF-8, half of a surrogate pair, numbers
//! that no double holds.
//!
//! In: a record's bytes. Out: the same as text, and as text that every parser takes, with what was replaced. It is looked at
//! only where the bytes as they came were refused. The two names that rules ask for are never mended: see the pipeline.

use std::borrow::Cow;

use serde::Serialize;

use super::scan::{self, skip_string};
use super::text::hex4;

/// What was replaced in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Replaced {
    /// Bytes that are no UTF-8, by U+FFFD.
    InvalidUtf8,
    /// Half of a surrogate pair, by U+FFFD.
    LoneSurrogate,
    /// A number that no double holds, by a string of its digits.
    Number,
}

/// A record that was mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repaired<'a> {
    /// The record's own bytes.
    pub original: &'a [u8],
    /// The same as UTF-8; nothing else is replaced in it.
    pub utf8: Cow<'a, str>,
    /// Text that every parser of JSON takes.
    pub plain: String,
    /// What was replaced in it, each once.
    pub replaced: Vec<Replaced>,
}

impl<'a> Repaired<'a> {
    /// Mends a record; none where there is nothing to mend.
    #[must_use]
    pub fn of(json: &'a [u8]) -> Option<Self> {
        let utf8 = String::from_utf8_lossy(json);
        let mut replaced = Vec::new();
        if matches!(utf8, Cow::Owned(_)) {
            replaced.push(Replaced::InvalidUtf8);
        }
        let plain = plain(&utf8, &mut replaced);
        (!replaced.is_empty()).then_some(Self {
            original: json,
            utf8,
            plain,
            replaced,
        })
    }
}

fn note(replaced: &mut Vec<Replaced>, what: Replaced) {
    if !replaced.contains(&what) {
        replaced.push(what);
    }
}

/// The text with every string and number one that all parsers take.
fn plain(text: &str, replaced: &mut Vec<Replaced>) -> String {
    let bytes = text.as_bytes();
    let mut plain = String::with_capacity(text.len());
    let mut at = 0;
    let mut copied = 0;
    while let Some(byte) = bytes.get(at) {
        let (end, instead) = match byte {
            b'"' => {
                let end = skip_string(bytes, at).map_or(bytes.len(), |(end, _)| end);
                let string = text.get(at..end).unwrap_or_default();
                (end, whole_pairs(string, replaced))
            }
            b'-' | b'0'..=b'9' => {
                let end = scan::skip_value(bytes, at).unwrap_or(at + 1);
                let number = text.get(at..end).unwrap_or_default();
                let is_beyond = number.parse().is_ok_and(|number: f64| number.is_infinite());
                let instead = is_beyond.then(|| {
                    note(replaced, Replaced::Number);
                    format!("\"{number}\"")
                });
                (end, instead)
            }
            _ => (at + 1, None),
        };
        if let Some(instead) = instead {
            plain.push_str(text.get(copied..at).unwrap_or_default());
            plain.push_str(&instead);
            copied = end;
        }
        at = end;
    }
    plain.push_str(text.get(copied..).unwrap_or_default());
    plain
}

/// A string with an escape of U+FFFD for each half of a surrogate pair; none where it has no such halves.
fn whole_pairs(string: &str, replaced: &mut Vec<Replaced>) -> Option<String> {
    let bytes = string.as_bytes();
    let mut whole = String::new();
    let mut at = 0;
    let mut copied = 0;
    while let Some(found) = memchr::memchr(b'\\', bytes.get(at..)?) {
        let start = at + found;
        if bytes.get(start + 1) != Some(&b'u') {
            at = start + 2;
            continue;
        }
        let unit = hex4(bytes, start + 2);
        at = start + 6;
        let is_high = unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
        let is_low = unit.is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        let is_followed = bytes.get(at..at + 2) == Some(br"\u")
            && hex4(bytes, at + 2).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        if is_high && is_followed {
            at += 6;
        } else if is_high || is_low {
            whole.push_str(string.get(copied..start)?);
            whole.push_str(r"\ufffd");
            copied = at;
        }
    }
    if copied == 0 {
        return None;
    }
    note(replaced, Replaced::LoneSurrogate);
    whole.push_str(string.get(copied..)?);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn each_is_replaced_and_nothing_else() {
        let json = b"{\"a\":\"caf\xe9\",\"b\":\"\\ud800x\\udc00\\ud83d\\ude00\\\\ud800\",\"c\":[1e400,-1E+999,1e300,123456789012345678901234567890],\"d\":\"1e400\"}";
        let repaired = Repaired::of(json).unwrap();
        assert_eq!(repaired.original, json);
        assert_eq!(
            repaired.replaced,
            [
                Replaced::InvalidUtf8,
                Replaced::LoneSurrogate,
                Replaced::Number
            ]
        );
        let utf8 = String::from_utf8_lossy(json);
        assert_eq!(repaired.utf8, utf8);
        assert_eq!(
            repaired.plain,
            utf8.replace(r#""\ud800x\udc00"#, r#""\ufffdx\ufffd"#)
                .replace("[1e400,-1E+999", r#"["1e400","-1E+999""#)
        );
        serde_json::from_str::<Value>(&repaired.plain).unwrap();
    }

    #[test]
    fn what_needs_no_repair_has_none() {
        for json in [
            &br#"{"a":"\ud83d\ude00","n":1e308}"#[..],
            b"{",
            b"\"\\u",
            b"{\"a\":0e}",
        ] {
            assert_eq!(Repaired::of(json), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_mended_without_end_or_change(json in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(repaired) = Repaired::of(&json) {
                prop_assert_eq!(repaired.original, &json[..]);
                // What is plain is so.
                let again = Repaired::of(repaired.plain.as_bytes());
                prop_assert!(again.is_none_or(|it| it.plain == repaired.plain));
            }
        }
    }
}
