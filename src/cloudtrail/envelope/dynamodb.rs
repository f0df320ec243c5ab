//! An item of DynamoDB, as its streams write it, back to the JSON that it stands for.
//!
//! In: `{"column":{"S":"text"},"other":{"M":{…}}}`. Out: `{"column":"text","other":{…}}`, written into a buffer.

use super::otel::{AnyValueError, MOST_NESTED, Writer};
use crate::cloudtrail::scan::{Elements, Members, skip_value};
use crate::cloudtrail::text::string_inside;

/// Writes the JSON that an item stands for, at most `limit` bytes in the buffer.
pub(super) fn write(item: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), AnyValueError> {
    map(&mut Writer { limit, into }, item, 0)
}

fn map(writer: &mut Writer<'_>, map: &[u8], nested: usize) -> Result<(), AnyValueError> {
    let mut members = Members::new(map, 0);
    let mut before: &[u8] = b"{\"";
    while let Some(member) = members.next_member() {
        writer.put(before)?;
        writer.put(member.key)?;
        writer.put(b"\":")?;
        let end = member.end.map_err(|_| AnyValueError::Malformed)?;
        value(
            writer,
            map.get(member.start..end).unwrap_or_default(),
            nested + 1,
        )?;
        before = b",\"";
    }
    members.end().map_err(|_| AnyValueError::Malformed)?;
    writer.put(if before == b"{\"" { b"{}" } else { b"}" })
}

fn value(writer: &mut Writer<'_>, value: &[u8], nested: usize) -> Result<(), AnyValueError> {
    if nested > MOST_NESTED {
        return Err(AnyValueError::Malformed);
    }
    let first = Members::new(value, 0)
        .next_member()
        .ok_or(AnyValueError::Malformed)?;
    let end = first.end.map_err(|_| AnyValueError::Malformed)?;
    let inside = value.get(first.start..end).unwrap_or_default();
    match first.key {
        b"S" | b"B" | b"BOOL" | b"SS" | b"BS" => writer.put(inside),
        // Numbers are strings, of as many digits as they have.
        b"N" => writer.put(string_inside(inside).unwrap_or(inside)),
        b"NULL" => writer.put(b"null"),
        b"M" => map(writer, inside, nested),
        b"L" | b"NS" => {
            let is_numbers = first.key == b"NS";
            writer.put(b"[")?;
            let mut elements = Elements::new(inside, 0);
            let mut is_first = true;
            while let Some(start) = elements.begin().map_err(|_| AnyValueError::Malformed)? {
                let end = skip_value(inside, start).map_err(|_| AnyValueError::Malformed)?;
                if !is_first {
                    writer.put(b",")?;
                }
                is_first = false;
                let element = inside.get(start..end).unwrap_or_default();
                if is_numbers {
                    writer.put(string_inside(element).unwrap_or(element))?;
                } else {
                    self::value(writer, element, nested + 1)?;
                }
                elements.resume(end);
            }
            writer.put(b"]")
        }
        _ => Err(AnyValueError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(item: &str, limit: usize) -> Result<String, AnyValueError> {
        let mut out = Vec::new();
        write(item.as_bytes(), limit, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn an_item_becomes_the_json_that_it_stands_for() {
        let item = r#"{"id":{"S":"a\"b"},"n":{"N":"12345678901234567890"},"t":{"BOOL":true},"z":{"NULL":true},
            "m":{"M":{"eventName":{"S":"x"},"e":{"M":{}}}},"l":{"L":[{"S":"y"},{"N":"1"}]},"s":{"SS":["p","q"]},"d":{"NS":["1","2"]}}"#;
        let expected = r#"{"id":"a\"b","n":12345678901234567890,"t":true,"z":null,"m":{"eventName":"x","e":{}},"l":["y",1],"s":["p","q"],"d":[1,2]}"#;
        assert_eq!(written(item, 1000).unwrap(), expected);
        assert_eq!(
            written(item, expected.len() - 1),
            Err(AnyValueError::TooLong)
        );
    }

    #[test]
    fn nonsense_and_depth_are_refused() {
        for item in [r#"{"a":1}"#, r#"{"a":{"X":1}}"#, r#"{"a":{"#, "7"] {
            assert_eq!(written(item, 100), Err(AnyValueError::Malformed), "{item}");
        }
        let deep = format!("{}{}", r#"{"a":{"M":"#.repeat(60), "}".repeat(60));
        assert_eq!(written(&deep, 1000), Err(AnyValueError::Malformed));
    }
}
