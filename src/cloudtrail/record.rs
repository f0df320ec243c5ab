//! The parsed view of one CloudTrail record.

use std::borrow::Cow;

/// A record that is worth looking at: its text and its values.
#[derive(Debug)]
pub struct Record<'a> {
    /// The record's own text, byte for byte.
    pub json: &'a str,
    /// The same, parsed; of duplicate keys the last one counts.
    pub value: serde_json::Value,
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

impl<'a> Record<'a> {
    /// Parses a whole record.
    pub fn parse(json: &'a [u8]) -> Result<Self, RecordError> {
        let json = std::str::from_utf8(json).map_err(|error| RecordError::NotUtf8 {
            at: error.valid_up_to(),
        })?;
        let value = serde_json::from_str(json).map_err(RecordError::Json)?;
        Ok(Self { json, value })
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

/// What every rule looks at first: the two names that say which call a record is about.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Identity<'a> {
    /// `eventSource`, none where it is missing or no string.
    pub event_source: Option<Cow<'a, str>>,
    /// `eventName`, none where it is missing or no string.
    pub event_name: Option<Cow<'a, str>>,
}

impl<'a> Identity<'a> {
    /// Reads the two names.
    pub fn of(json: &'a [u8]) -> Result<Self, RecordError> {
        #[derive(serde::Deserialize)]
        struct Names<'a> {
            #[serde(borrow, rename = "eventSource")]
            event_source: Option<Cow<'a, str>>,
            #[serde(borrow, rename = "eventName")]
            event_name: Option<Cow<'a, str>>,
        }
        let names: Names<'a> = serde_json::from_slice(json).map_err(RecordError::Json)?;
        Ok(Self { event_source: names.event_source, event_name: names.event_name })
    }
}
