//! The parsed view of one CloudTrail record.
//!
//! In: the text of a record that the prefilter let through. Out: its two names ([`EventNames`], cheap: most candidates
//! only mention a name that a rule wants), or all of it ([`Record`]). It never changes the text.

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::repair::Repaired;

/// A record that is worth looking at: its text and its values.
#[derive(Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The record's own text, byte for byte; where its bytes are no UTF-8, with U+FFFD for those.
    pub json: &'a str,
    /// The same, parsed; of duplicate keys the last one counts. Objects that came as texts of JSON are objects.
    pub value: serde_json::Value,
    /// What was replaced so that it could be parsed; none for nearly all.
    pub repaired: Option<&'a Repaired<'a>>,
}

/// Why a record's text is no record.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The text is not UTF-8.
    #[error("the record is not valid UTF-8 (byte {at})")]
    NotUtf8 {
        /// Where the first bad byte stands.
        at: usize,
    },
    /// The text breaks JSON's grammar.
    #[error("the record is not valid JSON")]
    Json(#[source] serde_json::Error),
}

fn utf8(json: &[u8]) -> Result<&str, RecordError> {
    std::str::from_utf8(json).map_err(|error| RecordError::NotUtf8 {
        at: error.valid_up_to(),
    })
}

impl<'a> Record<'a> {
    /// Parses a whole record.
    pub fn parse(json: &'a [u8]) -> Result<Self, RecordError> {
        let json = utf8(json)?;
        let value = parse(json)?;
        Ok(Self {
            json,
            value,
            repaired: None,
        })
    }

    /// Parses a record that had to be mended.
    pub fn parse_repaired(repaired: &'a Repaired<'a>) -> Result<Self, RecordError> {
        Ok(Self {
            json: &repaired.utf8,
            value: parse(&repaired.plain)?,
            repaired: Some(repaired),
        })
    }

    /// The record's text, and one that every parser of JSON takes where the record's own is not.
    #[must_use]
    pub fn plain_json(&self) -> &str {
        self.repaired.map_or(self.json, |repaired| &repaired.plain)
    }

    /// The value at a path of object keys, none where any of them is missing.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&serde_json::Value> {
        path.iter()
            .try_fold(&self.value, |value, key| value.get(key))
    }

    /// The string at a path of object keys, none where it is missing, null or another type.
    #[must_use]
    pub fn text(&self, path: &[&str]) -> Option<&str> {
        self.at(path).and_then(serde_json::Value::as_str)
    }
}

/// The objects of a record that tables and collectors keep as texts of JSON.
const OBJECTS: [&str; 6] = [
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "tlsDetails",
];

fn parse(json: &str) -> Result<serde_json::Value, RecordError> {
    let mut value: serde_json::Value = serde_json::from_str(json).map_err(RecordError::Json)?;
    for key in OBJECTS {
        if let Some(member) = value.get_mut(key)
            && let Some(text) = member.as_str()
            && text.trim_start().starts_with('{')
            && let Ok(object) = serde_json::from_str(text)
        {
            *member = object;
        }
    }
    Ok(value)
}

/// A boolean, or its name: collectors write both.
pub(crate) fn truth(value: &serde_json::Value) -> Option<bool> {
    match value {
        serde_json::Value::Bool(truth) => Some(*truth),
        serde_json::Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        serde_json::Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// What every rule looks at first: the two names that say which call a record is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct EventNames<'a> {
    /// `eventSource`, none where it is missing or no string.
    pub event_source: Option<Cow<'a, str>>,
    /// `eventName`, none where it is missing or no string.
    pub event_name: Option<Cow<'a, str>>,
}

impl<'a> EventNames<'a> {
    /// Reads the two names at the top level of a record and checks the grammar of the rest; of duplicate keys the
    /// last one counts, as in [`Record::parse`]. Borrows from the text unless a name has escapes.
    pub fn parse(json: &'a [u8]) -> Result<Self, RecordError> {
        serde_json::from_str(utf8(json)?).map_err(RecordError::Json)
    }
}

/// The keys that matter here.
enum NameKey {
    Source,
    Name,
    Other,
}

impl<'de> Deserialize<'de> for NameKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = NameKey;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<NameKey, E> {
                Ok(match key {
                    "eventSource" => NameKey::Source,
                    "eventName" => NameKey::Name,
                    _ => NameKey::Other,
                })
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

impl<'de> Deserialize<'de> for EventNames<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EventNamesVisitor;
        impl<'de> Visitor<'de> for EventNamesVisitor {
            type Value = EventNames<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a CloudTrail record, a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = EventNames::default();
                while let Some(key) = map.next_key()? {
                    match key {
                        NameKey::Source => names.event_source = string(map.next_value()?)?,
                        NameKey::Name => names.event_name = string(map.next_value()?)?,
                        NameKey::Other => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Ok(names)
            }
        }
        deserializer.deserialize_map(EventNamesVisitor)
    }
}

/// The string that a value is, none if it is another type.
fn string<E: serde::de::Error>(value: &RawValue) -> Result<Option<Cow<'_, str>>, E> {
    let raw = value.get();
    let Some(inside) = raw
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    else {
        return Ok(None);
    };
    if !inside.contains('\\') {
        return Ok(Some(Cow::Borrowed(inside)));
    }
    serde_json::from_str(raw)
        .map(|decoded: String| Some(Cow::Owned(decoded)))
        .map_err(E::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_two_names_are_borrowed() {
        let names = EventNames::parse(
            br#" {"eventSource":"iam.amazonaws.com","x":{"eventName":"No"},"eventName":"ListRoles"} "#,
        )
        .unwrap();
        assert!(matches!(
            names.event_source,
            Some(Cow::Borrowed("iam.amazonaws.com"))
        ));
        assert!(matches!(names.event_name, Some(Cow::Borrowed("ListRoles"))));
    }

    #[test]
    fn escapes_in_keys_and_values_are_decoded() {
        let names =
            EventNames::parse(br#"{"event\u004eame":"\u0052emoveRoleFromInstanceProfile"}"#)
                .unwrap();
        assert_eq!(
            names.event_name.as_deref(),
            Some("RemoveRoleFromInstanceProfile")
        );
        assert_eq!(names.event_source, None);
    }

    #[test]
    fn the_last_duplicate_counts() {
        let names = EventNames::parse(
            br#"{"eventName":"A","eventSource":"s","eventName":"B","eventSource":null}"#,
        )
        .unwrap();
        assert_eq!(names.event_name.as_deref(), Some("B"));
        assert_eq!(names.event_source, None);
    }

    #[test]
    fn a_broken_record_is_an_error() {
        assert!(matches!(
            EventNames::parse(b"{\"a\":\"\xff\"}"),
            Err(RecordError::NotUtf8 { at: 6 })
        ));
        for broken in [
            &b"{"[..],
            b"[]",
            b"{} {}",
            br#"{"a":tru}"#,
            br#"{"eventName":"\ud800"}"#,
        ] {
            assert!(
                matches!(EventNames::parse(broken), Err(RecordError::Json(_))),
                "{broken:?}"
            );
        }
    }

    #[test]
    fn paths_lead_to_values() {
        let record = Record::parse(br#"{"userIdentity":{"type":"Root","n":1}}"#).unwrap();
        assert_eq!(record.text(&["userIdentity", "type"]), Some("Root"));
        assert_eq!(record.text(&["userIdentity", "n"]), None);
        assert_eq!(record.at(&["userIdentity", "n"]), Some(&1.into()));
        assert_eq!(record.at(&["nothing", "n"]), None);
    }

    #[test]
    fn an_object_that_came_as_a_text_is_an_object() {
        let json = br#"{"requestParameters":"{\"roleName\":\"web\"}","userIdentity":" {\"type\":\"Root\"}","tlsDetails":"{","userAgent":"{}"}"#;
        let record = Record::parse(json).unwrap();
        assert_eq!(record.text(&["requestParameters", "roleName"]), Some("web"));
        assert_eq!(record.text(&["userIdentity", "type"]), Some("Root"));
        assert_eq!(record.text(&["tlsDetails"]), Some("{"));
        assert_eq!(record.text(&["userAgent"]), Some("{}"));
        assert_eq!(record.json.as_bytes(), json);
    }

    #[test]
    fn a_record_that_was_mended_has_its_own_text_and_a_plain_one() {
        let json = b"{\"a\":\"\xe9\",\"b\":\"\\ud800\",\"c\":1e400}";
        assert!(Record::parse(json).is_err());
        let repaired = Repaired::of(json).unwrap();
        let record = Record::parse_repaired(&repaired).unwrap();
        assert_eq!(
            record.json,
            "{\"a\":\"\u{fffd}\",\"b\":\"\\ud800\",\"c\":1e400}"
        );
        assert_eq!(record.text(&["b"]), Some("\u{fffd}"));
        assert_eq!(record.text(&["c"]), Some("1e400"));
        assert_eq!(
            record.plain_json(),
            "{\"a\":\"\u{fffd}\",\"b\":\"\\ufffd\",\"c\":\"1e400\"}"
        );
    }

    proptest! {
        #[test]
        fn agrees_with_the_whole_record(
            members in prop::collection::vec(
                (
                    prop::sample::select(vec!["eventName", "eventSource", "event\\u004eame", "other"]),
                    prop::sample::select(vec!["\"a\"", "\"\\u0062\"", "null", "1", "{\"eventName\":\"x\"}", "[\"y\"]"]),
                ),
                0..6,
            ),
        ) {
            let body: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
            let json = format!("{{{}}}", body.join(","));
            let names = EventNames::parse(json.as_bytes()).unwrap();
            let record = Record::parse(json.as_bytes()).unwrap();
            prop_assert_eq!(names.event_name.as_deref(), record.text(&["eventName"]));
            prop_assert_eq!(names.event_source.as_deref(), record.text(&["eventSource"]));
        }
    }
}
