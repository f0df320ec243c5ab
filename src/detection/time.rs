//! When the call was made, and how we know.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::Context;
use crate::cloudtrail::time;

/// Where an event's time comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// The record's own `eventTime`.
    Record,
    /// The wrapper that carried the record.
    Envelope,
    /// The Kafka message.
    Message,
}

impl TimeSource {
    /// The name in documents and conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Envelope => "envelope",
            Self::Message => "message",
        }
    }
}

/// When the call was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventTime {
    /// Milliseconds since the epoch.
    pub millis: i64,
    /// How we know.
    pub source: TimeSource,
}

impl EventTime {
    /// The record's own time; where it has none that can be read, the wrapper's; else the message's.
    pub(super) fn from_record(event_time: Option<&str>, context: Context) -> Option<Self> {
        let known = |millis, source| Self { millis, source };
        event_time
            .and_then(time::parse_record_time)
            .map(|at| known(at, TimeSource::Record))
            .or_else(|| {
                context
                    .envelope_time
                    .map(|at| known(at, TimeSource::Envelope))
            })
            .or_else(|| {
                context
                    .message_time
                    .map(|at| known(at, TimeSource::Message))
            })
    }

    /// Milliseconds since the epoch; none beyond the years 1970 to 9999, for which formats have no notation.
    #[must_use]
    pub fn since_epoch(self) -> Option<u64> {
        const LAST: u64 = 253_402_300_799_999;
        u64::try_from(self.millis).ok().filter(|at| *at <= LAST)
    }

    /// RFC 3339 in UTC, with milliseconds where they are not zero; none beyond the years 1970 to 9999.
    #[must_use]
    pub fn rfc3339(self) -> Option<String> {
        let millis = self.since_epoch()?;
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(millis))?;
        Some(if millis.is_multiple_of(1000) {
            humantime::format_rfc3339_seconds(at).to_string()
        } else {
            humantime::format_rfc3339_millis(at).to_string()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<String> {
        EventTime::from_record(Some(text), Context::default()).and_then(EventTime::rfc3339)
    }

    #[test]
    fn every_spelling_of_a_moment_reads_the_same() {
        for text in [
            "2024-12-12T16:04:32Z",
            "2024-12-12T16:04:32.000Z",
            "2024-12-12 16:04:32.000000000",
            "2024-12-12T16:04:32+00:00",
            "2024-12-12T17:34:32+01:30",
            "2024-12-12T08:04:32-08:00",
            " 2024-12-12T16:04:32Z ",
        ] {
            assert_eq!(
                written(text).as_deref(),
                Some("2024-12-12T16:04:32Z"),
                "{text}"
            );
        }
        assert_eq!(
            written("2024-12-12T16:04:32.25Z").as_deref(),
            Some("2024-12-12T16:04:32.250Z")
        );
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2024-12-12",
            "2024-13-12T16:04:32Z",
            "2024-12-12T16:04:32+99:00",
            "2024-12-12T16:04:32+é:00",
            "1960-01-01T00:00:00Z",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    #[test]
    fn the_wrapper_and_then_the_message_stand_in_for_a_missing_time() {
        let both = Context {
            envelope_time: Some(1_000),
            message_time: Some(2_000),
        };
        let at = EventTime::from_record(Some("?"), both).unwrap();
        assert_eq!((at.millis, at.source), (1_000, TimeSource::Envelope));
        let message = Context {
            envelope_time: None,
            ..both
        };
        let at = EventTime::from_record(None, message).unwrap();
        assert_eq!((at.millis, at.source), (2_000, TimeSource::Message));
        let far = EventTime {
            millis: i64::MAX,
            ..at
        };
        assert_eq!(far.rfc3339(), None);
        assert_eq!(EventTime { millis: -1, ..at }.rfc3339(), None);
    }
}
