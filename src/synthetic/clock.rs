//! Time for generated records: it starts at a fixed moment and moves when it is told to.

use std::time::{Duration, SystemTime};

/// 2026-01-05T00:00:00Z, in seconds since the epoch.
const START: u64 = 1_767_571_200;

/// The moment of the next record, and its text.
#[derive(Debug)]
pub(super) struct Clock {
    millis: u64,
    second: u64,
    text: String,
    hour_before: String,
}

impl Clock {
    pub(super) fn new() -> Self {
        let mut clock = Self {
            millis: START * 1000,
            second: 0,
            text: String::new(),
            hour_before: String::new(),
        };
        clock.advance(0);
        clock
    }

    pub(super) fn advance(&mut self, millis: u64) {
        self.millis += millis;
        let second = self.millis / 1000;
        if second != self.second {
            self.second = second;
            self.text = text(second);
            self.hour_before = text(second - 3600);
            self.hour_before.truncate("2026-01-05T00".len());
        }
    }

    /// Milliseconds since the epoch.
    pub(super) const fn millis(&self) -> u64 {
        self.millis
    }

    /// `2026-01-05T00:00:00Z`.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The hour before this one, `2026-01-04T23`: when a session that is in use began.
    pub(super) fn hour_before(&self) -> &str {
        &self.hour_before
    }
}

/// Seconds since the epoch as `2026-01-05T00:00:00Z`.
fn text(second: u64) -> String {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (second, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_767_571_200, "2026-01-05T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(text(second), expected);
        }
    }

    #[test]
    fn a_clock_moves_by_what_it_is_told() {
        let mut clock = Clock::new();
        assert_eq!(clock.text(), "2026-01-05T00:00:00Z");
        assert_eq!(clock.hour_before(), "2026-01-04T23");
        clock.advance(999);
        assert_eq!(clock.text(), "2026-01-05T00:00:00Z");
        clock.advance(1);
        assert_eq!(clock.text(), "2026-01-05T00:00:01Z");
        assert_eq!(clock.millis(), 1_767_571_201_000);
    }
}
