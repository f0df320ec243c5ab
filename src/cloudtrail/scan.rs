//! Walks JSON text without building anything.
//!
//! In: text that should be JSON. Out: where values end, the members of an object, the elements of an array, as slices
//! of that text. On valid JSON it is never wrong. On broken JSON it finds a fault or is lenient (it counts brackets
//! and reads strings, and leaves the rest of the grammar to the parser); it never panics, never recurses and never
//! allocates, so that hostile text costs no more than its length.

/// Where and how the text stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// The text ends before the value does.
    #[error("the JSON ends before it is complete (byte {at})")]
    Truncated {
        /// Where the text ends.
        at: usize,
    },
    /// A byte that the grammar does not allow here.
    #[error("the JSON breaks the grammar (byte {at})")]
    Invalid {
        /// Where that byte stands.
        at: usize,
    },
}

impl JsonFault {
    /// Where the walk stopped.
    #[must_use]
    pub const fn at(self) -> usize {
        match self {
            Self::Truncated { at } | Self::Invalid { at } => at,
        }
    }

    /// The fault of a byte that is not what must stand here, or of its absence.
    fn unexpected(text: &[u8], at: usize) -> Self {
        if at < text.len() {
            Self::Invalid { at }
        } else {
            Self::Truncated { at: text.len() }
        }
    }
}

/// The bytes that JSON calls white space.
#[must_use]
pub const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\r' | b'\t')
}

/// The place of the first byte from `at` on that is not white space, or the length of the text.
#[must_use]
pub fn skip_space(text: &[u8], mut at: usize) -> usize {
    while let Some(&byte) = text.get(at) {
        if !is_space(byte) {
            break;
        }
        at += 1;
    }
    at
}

/// The text without white space at either end.
#[must_use]
pub fn trim(text: &[u8]) -> &[u8] {
    trim_end(text.get(skip_space(text, 0)..).unwrap_or_default())
}

/// The text without white space at its end.
#[must_use]
pub fn trim_end(text: &[u8]) -> &[u8] {
    let mut end = text.len();
    while end > 0 && text.get(end - 1).copied().is_some_and(is_space) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Whether a text begins with two bytes of an object, an array, or a string of either (of JSON that could hold a record,
/// that is).
#[must_use]
pub fn begins_as_json(text: &[u8]) -> bool {
    let first = skip_space(text, 0);
    let second = text.get(skip_space(text, first + 1));
    match text.get(first) {
        Some(b'{') => matches!(second, Some(b'"' | b'}')),
        Some(b'[') => matches!(second, Some(b'{' | b'[' | b'"' | b']')),
        Some(b'"') => matches!(second, Some(b'{' | b'[' | b'"' | b'\\')),
        _ => false,
    }
}

/// Every byte of a word set to one value.
pub(super) const fn splat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// A word whose lowest set bit is the high bit of the first byte of `word` that equals the byte in `pattern`.
pub(super) const fn first_equal(word: u64, pattern: u64) -> u64 {
    let difference = word ^ pattern;
    difference.wrapping_sub(splat(0x01)) & !difference & splat(0x80)
}

/// The place of the next quote or backslash. Most strings of a record are short, where a look at eight bytes at a time
/// beats the set-up of a vector search; long ones are left to the latter.
#[inline]
fn quote_or_backslash(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    for _ in 0..4 {
        let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
            break;
        };
        let word = u64::from_le_bytes(*word);
        let hits = first_equal(word, splat(b'"')) | first_equal(word, splat(b'\\'));
        if hits != 0 {
            return Some(at + (hits.trailing_zeros() / 8) as usize);
        }
        at += 8;
    }
    memchr::memchr2(b'"', b'\\', text.get(at..)?).map(|found| at + found)
}

/// The place past the closing quote of the string whose opening quote stands at `at`, and whether it has escapes.
pub fn skip_string(text: &[u8], at: usize) -> Result<(usize, bool), JsonFault> {
    if text.get(at) != Some(&b'"') {
        return Err(JsonFault::unexpected(text, at));
    }
    let end = quote_or_backslash(text, at + 1).and_then(|found| match text.get(found) {
        Some(b'"') => Some((found + 1, false)),
        _ => closing_quote(text, found).map(|quote| (quote + 1, true)),
    });
    end.ok_or(JsonFault::Truncated { at: text.len() })
}

/// A word with the high bit of each byte set that equals the byte in `pattern`.
const fn each_equal(word: u64, pattern: u64) -> u64 {
    let difference = word ^ pattern;
    let low = splat(0x7f);
    !(((difference & low) + low) | difference | low)
}

/// The place of the first quote from `from` on that is not escaped. A string that has one escape has many, as a rule:
/// JSON within JSON, where every quote is one. So it does not stop at each, but takes eight bytes at a time.
fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    // Whether the byte at `at` is escaped by the one before it.
    let mut is_escaped = false;
    while let Some(word) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*word);
        let first = if is_escaped { 0x80 } else { 0 };
        let backslashes = each_equal(word, splat(b'\\')) & !first;
        let next = backslashes << 8;
        if backslashes & next != 0 {
            // Of backslashes in a row every other one is itself escaped: byte by byte.
            for offset in at..at + 8 {
                match text.get(offset) {
                    _ if is_escaped => is_escaped = false,
                    Some(b'"') => return Some(offset),
                    byte => is_escaped = byte == Some(&b'\\'),
                }
            }
        } else {
            let quotes = each_equal(word, splat(b'"')) & !(next | first);
            if quotes != 0 {
                return Some(at + (quotes.trailing_zeros() / 8) as usize);
            }
            is_escaped = backslashes >> 63 != 0;
        }
        at += 8;
    }
    for (offset, byte) in text.get(at..)?.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'"' => return Some(at + offset),
            byte => is_escaped = *byte == b'\\',
        }
    }
    None
}

/// The place past the value whose first byte stands at `at`.
pub fn skip_value(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    match text.get(at) {
        Some(b'"') => skip_string(text, at).map(|(end, _)| end),
        Some(b'{' | b'[') => skip_container(text, at),
        _ => skip_scalar(text, at),
    }
}

/// The place past the object or array that opens at `at`: brackets are counted, not paired.
fn skip_container(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let mut open = 0_usize;
    let mut at = at;
    loop {
        match text.get(at) {
            Some(b'"') => {
                (at, _) = skip_string(text, at)?;
                continue;
            }
            Some(b'{' | b'[') => open += 1,
            Some(b'}' | b']') => {
                open -= 1;
                if open == 0 {
                    return Ok(at + 1);
                }
            }
            Some(_) => {}
            None => return Err(JsonFault::Truncated { at: text.len() }),
        }
        at += 1;
    }
}

/// The place past the number, `true`, `false` or `null` at `at`: the letters are not checked.
fn skip_scalar(text: &[u8], at: usize) -> Result<usize, JsonFault> {
    let mut end = at;
    while let Some(byte) = text.get(end) {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.')) {
            break;
        }
        end += 1;
    }
    if end == at {
        return Err(JsonFault::unexpected(text, at));
    }
    Ok(end)
}

/// A key and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key as it stands between its quotes, escapes and all.
    pub key: &'a [u8],
    /// The key has escapes.
    pub escaped: bool,
    /// Where the value begins.
    pub start: usize,
    /// Where the value ends; a fault if it does not.
    pub end: Result<usize, JsonFault>,
}

/// The members of one object, in order. Ends after a fault.
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

/// What may stand next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The opening bracket has just been read: an item or the closing bracket.
    First,
    /// An item has just been read: a comma or the closing bracket.
    More,
    /// The closing bracket has been read.
    Closed,
    /// The text is broken at this place.
    Broken(JsonFault),
}

impl<'a> Members<'a> {
    /// The members of the object whose opening brace stands at `at`.
    #[must_use]
    pub fn new(text: &'a [u8], at: usize) -> Self {
        let state = if text.get(at) == Some(&b'{') {
            State::First
        } else {
            State::Broken(JsonFault::unexpected(text, at))
        };
        Self {
            text,
            at: at + 1,
            state,
        }
    }

    /// The members that follow a value which ended at `at`.
    #[must_use]
    pub const fn after(text: &'a [u8], at: usize) -> Self {
        Self {
            text,
            at,
            state: State::More,
        }
    }

    /// The next member; none after the last one or after a fault, which [`Members::end`] tells apart.
    #[inline]
    pub fn next_member(&mut self) -> Option<Member<'a>> {
        match self.step() {
            Ok(member) => member,
            Err(fault) => {
                self.state = State::Broken(fault);
                None
            }
        }
    }

    fn step(&mut self) -> Result<Option<Member<'a>>, JsonFault> {
        let text = self.text;
        let mut at = skip_space(text, self.at);
        match (self.state, text.get(at)) {
            (State::Closed | State::Broken(_), _) => return Ok(None),
            (State::First | State::More, Some(b'}')) => {
                self.at = at + 1;
                self.state = State::Closed;
                return Ok(None);
            }
            (State::First, _) => {}
            (State::More, Some(b',')) => at = skip_space(text, at + 1),
            (State::More, _) => return Err(JsonFault::unexpected(text, at)),
        }
        let (key_end, escaped) = skip_string(text, at)?;
        let key = text.get(at + 1..key_end - 1).unwrap_or_default();
        let colon = skip_space(text, key_end);
        if text.get(colon) != Some(&b':') {
            return Err(JsonFault::unexpected(text, colon));
        }
        let start = skip_space(text, colon + 1);
        let end = skip_value(text, start);
        match end {
            Ok(end) => {
                self.at = end;
                self.state = State::More;
            }
            Err(fault) => self.state = State::Broken(fault),
        }
        Ok(Some(Member {
            key,
            escaped,
            start,
            end,
        }))
    }

    /// Whether there is nothing between the braces.
    #[must_use]
    pub fn is_empty(mut self) -> bool {
        self.next_member().is_none() && self.state == State::Closed
    }

    /// The place past the closing brace, or the fault that ended the walk. Before the walk is over: where it stands.
    pub const fn end(&self) -> Result<usize, JsonFault> {
        match self.state {
            State::Broken(fault) => Err(fault),
            _ => Ok(self.at),
        }
    }
}

/// The elements of one array. It says where each begins and is told where it ended, so that an element is walked once.
#[derive(Debug, Clone)]
pub struct Elements<'a> {
    text: &'a [u8],
    at: usize,
    state: State,
}

impl<'a> Elements<'a> {
    /// The elements of the array whose opening bracket stands at `at`.
    #[must_use]
    pub fn new(text: &'a [u8], at: usize) -> Self {
        let state = if text.get(at) == Some(&b'[') {
            State::First
        } else {
            State::Broken(JsonFault::unexpected(text, at))
        };
        Self {
            text,
            at: at + 1,
            state,
        }
    }

    /// Where the next element begins; none after the last.
    pub fn begin(&mut self) -> Result<Option<usize>, JsonFault> {
        let at = skip_space(self.text, self.at);
        match (self.state, self.text.get(at)) {
            (State::Closed, _) => Ok(None),
            (State::Broken(fault), _) => Err(fault),
            (State::First | State::More, Some(b']')) => {
                self.at = at + 1;
                self.state = State::Closed;
                Ok(None)
            }
            (State::First, Some(_)) => Ok(Some(at)),
            (State::More, Some(b',')) => match skip_space(self.text, at + 1) {
                start if start < self.text.len() => Ok(Some(start)),
                end => Err(JsonFault::Truncated { at: end }),
            },
            (State::First | State::More, _) => Err(JsonFault::unexpected(self.text, at)),
        }
    }

    /// Says where the element that [`Elements::begin`] announced ended.
    pub const fn resume(&mut self, end: usize) {
        self.at = end;
        self.state = State::More;
    }

    /// Where the walk stands: past the last element, or past the closing bracket.
    #[must_use]
    pub const fn at(&self) -> usize {
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudtrail::text::{string_inside, unescape};
    use proptest::prelude::*;
    use serde_json::Value;

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9_f64).prop_map(Value::from),
            ".*".prop_map(Value::from),
            "[\"\\\\{}\\[\\]:,/ \n]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::vec((".{0,12}", inner), 0..8)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    type Pair<'a> = (&'a [u8], &'a [u8]);

    fn members(text: &[u8]) -> (Vec<Pair<'_>>, Result<usize, JsonFault>) {
        let mut walk = Members::new(text, 0);
        let mut found = Vec::new();
        while let Some(member) = walk.next_member() {
            let end = member.end.unwrap_or(text.len());
            found.push((member.key, &text[member.start..end]));
        }
        (found, walk.end())
    }

    #[test]
    fn an_object_gives_its_members_and_its_end() {
        let text = br#"{ "a" : 1 ,"b\u0063":{"x":["}",{}]} , "d":"\"}" } tail"#;
        let (found, end) = members(text);
        let expected: [Pair<'_>; 3] = [
            (b"a", b"1"),
            (br"b\u0063", br#"{"x":["}",{}]}"#),
            (b"d", br#""\"}""#),
        ];
        assert_eq!(found, expected);
        assert_eq!(end, Ok(text.len() - 5));
        assert_eq!(members(b"{}"), (vec![], Ok(2)));
    }

    #[test]
    fn a_cut_object_is_truncated_at_every_place() {
        let text = br#"{"a":[1,{"b":"c"}],"d":"\u0065","f":true}"#;
        for cut in 0..text.len() {
            let (_, end) = members(&text[..cut]);
            assert_eq!(end, Err(JsonFault::Truncated { at: cut }), "cut at {cut}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_found_where_it_stands() {
        for (text, at) in [
            (&br#"{"a":1 "b":2}"#[..], 7),
            (br#"{"a" 1}"#, 5),
            (b"{a:1}", 1),
            (br#"{"a":,}"#, 5),
            (b"[]", 0),
        ] {
            assert_eq!(members(text).1, Err(JsonFault::Invalid { at }));
        }
    }

    #[test]
    fn the_deepest_nesting_costs_no_stack() {
        let text = [vec![b'['; 2_000_000], vec![b']'; 2_000_000]].concat();
        assert_eq!(skip_value(&text, 0), Ok(4_000_000));
    }

    proptest! {
        #[test]
        fn agrees_with_the_parser_on_valid_text(value in json_value(), pretty: bool) {
            let text = if pretty {
                serde_json::to_vec_pretty(&value).unwrap()
            } else {
                serde_json::to_vec(&value).unwrap()
            };
            let followed = [&text[..], b" ,"].concat();
            prop_assert_eq!(skip_value(&followed, 0), Ok(text.len()));
            match &value {
                Value::Object(expected) => {
                    let (found, end) = members(&followed);
                    prop_assert_eq!(end, Ok(text.len()));
                    prop_assert_eq!(found.len(), expected.len());
                    for (raw, slice) in found {
                        let mut key = Vec::new();
                        unescape(raw, 999, &mut key).unwrap();
                        let parsed: Value = serde_json::from_slice(slice).unwrap();
                        prop_assert_eq!(&expected[std::str::from_utf8(&key).unwrap()], &parsed);
                    }
                }
                Value::Array(expected) => {
                    let mut walk = Elements::new(&followed, 0);
                    let mut found = Vec::new();
                    while let Some(start) = walk.begin().unwrap() {
                        let end = skip_value(&followed, start).unwrap();
                        found.push(serde_json::from_slice::<Value>(&followed[start..end]).unwrap());
                        walk.resume(end);
                    }
                    prop_assert_eq!(walk.at(), text.len());
                    prop_assert_eq!(&found, expected);
                }
                Value::String(expected) => {
                    let mut out = Vec::new();
                    unescape(string_inside(&text).unwrap(), text.len(), &mut out).unwrap();
                    prop_assert_eq!(out, expected.as_bytes());
                }
                _ => {}
            }
        }

        #[test]
        fn a_string_ends_at_the_first_quote_that_is_not_escaped(inside in r#"[a"\\é]{0,40}"#) {
            let text = format!("\"{inside}");
            let mut is_escaped = false;
            let expected = inside.bytes().position(|byte| {
                let closes = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                closes
            });
            let expected = expected
                .map(|at| (at + 2, inside[..at].contains('\\')))
                .ok_or(JsonFault::Truncated { at: text.len() });
            prop_assert_eq!(skip_string(text.as_bytes(), 0), expected);
        }

        #[test]
        fn any_bytes_end_within_the_text(text in prop::collection::vec(any::<u8>(), 0..200), at in 0..220_usize) {
            if let Ok(end) = skip_value(&text, at) {
                prop_assert!(end <= text.len());
            }
            let _ = members(&text);
            let mut out = Vec::new();
            let _ = unescape(&text, 20, &mut out);
            prop_assert!(out.len() <= 20);
        }
    }
}
