//! OpenTelemetry's `AnyValue`, as its JSON encoding writes it, back to the JSON that it stands for.
//!
//! In: the text of `{"stringValue":…}`, `{"kvlistValue":…}` and so on. Out: a string to read on from, or JSON that is
//! written into a buffer. The collector keeps members in order and numbers as they were, up to what 64 bits hold.

use super::object::member;
use crate::cloudtrail::scan::{Elements, Members, skip_value};
use crate::cloudtrail::text::string_inside;

/// How deep values may be nested: more than any record is. Each level is read several times.
pub(super) const MOST_NESTED: usize = 24;

/// What a value holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// A string, with its quotes.
    Text(&'a [u8]),
    /// Base64, with its quotes.
    Bytes(&'a [u8]),
    /// Something that [`write()`] can turn to JSON.
    Structure,
    /// A number, a boolean, nothing.
    Other,
}

/// What the value of a log record's body holds.
pub(super) fn body(value: &[u8]) -> Body<'_> {
    match variant(value) {
        Some((b"stringValue", text)) => Body::Text(text),
        Some((b"bytesValue", text)) => Body::Bytes(text),
        Some((b"kvlistValue" | b"arrayValue", _)) => Body::Structure,
        _ => Body::Other,
    }
}

/// The one member of an `AnyValue`.
fn variant(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let first = Members::new(value, 0).next_member()?;
    Some((first.key, value.get(first.start..first.end.ok()?)?))
}

/// Why a value was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnyValueError {
    /// It would exceed the limit.
    TooLong,
    /// It is not an `AnyValue`, or nested beyond reason.
    Malformed,
}

/// Writes the JSON that a value stands for, at most `limit` bytes in the buffer.
pub(super) fn write(value: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), AnyValueError> {
    Writer { limit, into }.value(value, 0)
}

/// A buffer with a limit.
pub(super) struct Writer<'a> {
    pub(super) limit: usize,
    pub(super) into: &'a mut Vec<u8>,
}

impl Writer<'_> {
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), AnyValueError> {
        if bytes.len() > self.limit.saturating_sub(self.into.len()) {
            return Err(AnyValueError::TooLong);
        }
        self.into.extend_from_slice(bytes);
        Ok(())
    }

    fn value(&mut self, value: &[u8], nested: usize) -> Result<(), AnyValueError> {
        if nested > MOST_NESTED {
            return Err(AnyValueError::Malformed);
        }
        match variant(value) {
            // An empty AnyValue is how the protocol says null.
            None if Members::new(value, 0).is_empty() => self.put(b"null"),
            // 64-bit integers are strings in the protocol's JSON.
            Some((b"intValue", number)) => self.put(string_inside(number).unwrap_or(number)),
            Some((b"stringValue" | b"boolValue" | b"doubleValue" | b"bytesValue", same)) => {
                self.put(same)
            }
            Some((b"kvlistValue", list)) => {
                self.list(list, *b"{}", nested, |writer, pair, nested| {
                    let key = member(pair, b"key").ok_or(AnyValueError::Malformed)?;
                    writer.put(key)?;
                    writer.put(b":")?;
                    writer.value(member(pair, b"value").unwrap_or(b"{}"), nested)
                })
            }
            Some((b"arrayValue", list)) => self.list(list, *b"[]", nested, Self::value),
            _ => Err(AnyValueError::Malformed),
        }
    }

    /// Writes each element of `{"values":[…]}` between two brackets.
    fn list(
        &mut self,
        list: &[u8],
        [open, close]: [u8; 2],
        nested: usize,
        each: impl Fn(&mut Self, &[u8], usize) -> Result<(), AnyValueError>,
    ) -> Result<(), AnyValueError> {
        self.put(&[open])?;
        let values = member(list, b"values").unwrap_or(b"[]");
        let mut elements = Elements::new(values, 0);
        let mut first = true;
        while let Some(start) = elements.begin().map_err(|_| AnyValueError::Malformed)? {
            let end = skip_value(values, start).map_err(|_| AnyValueError::Malformed)?;
            if !first {
                self.put(b",")?;
            }
            first = false;
            each(self, values.get(start..end).unwrap_or_default(), nested + 1)?;
            elements.resume(end);
        }
        self.put(&[close])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: &str) -> Result<String, AnyValueError> {
        let mut out = Vec::new();
        write(value.as_bytes(), 1000, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_structure_becomes_the_json_that_it_stands_for() {
        let value = r#"{"kvlistValue":{"values":[
            {"key":"eventName","value":{"stringValue":"List\"Roles"}},
            {"key":"n","value":{"intValue":"42"}},
            {"key":"f","value":{"doubleValue":0.5}},
            {"key":"b","value":{"boolValue":true}},
            {"key":"z","value":{}},
            {"key":"y"},
            {"key":"a","value":{"arrayValue":{"values":[{"intValue":1},{"kvlistValue":{}}]}}}
        ]}}"#;
        assert_eq!(
            written(value).unwrap(),
            r#"{"eventName":"List\"Roles","n":42,"f":0.5,"b":true,"z":null,"y":null,"a":[1,{}]}"#
        );
    }

    #[test]
    fn nonsense_and_depth_are_refused() {
        assert_eq!(written("7"), Err(AnyValueError::Malformed));
        assert_eq!(written(r#"{"other":1}"#), Err(AnyValueError::Malformed));
        assert_eq!(
            written(r#"{"arrayValue":{"values":[{"intValue":1}"#),
            Err(AnyValueError::Malformed)
        );
        let deep = format!(
            "{}{{}}{}",
            r#"{"arrayValue":{"values":["#.repeat(70),
            "]}}".repeat(70)
        );
        assert_eq!(written(&deep), Err(AnyValueError::Malformed));
        let mut out = Vec::new();
        assert_eq!(
            write(br#"{"stringValue":"abc"}"#, 4, &mut out),
            Err(AnyValueError::TooLong)
        );
    }

    #[test]
    fn a_body_says_what_it_holds() {
        assert_eq!(body(br#"{"stringValue":"x"}"#), Body::Text(br#""x""#));
        assert_eq!(body(br#"{"bytesValue":"eA=="}"#), Body::Bytes(br#""eA==""#));
        assert_eq!(body(br#"{"kvlistValue":{}}"#), Body::Structure);
        assert_eq!(body(br#"{"intValue":"1"}"#), Body::Other);
        assert_eq!(body(b"7"), Body::Other);
    }
}
