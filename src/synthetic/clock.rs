//! Time for generated records: it starts at a fixed moment and moves when it is told to.

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
            self.text = format!("{}Z", text(second));
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

/// Seconds since the epoch as `2026-01-05T00:00:00`.
fn text(second: u64) -> String {
    let (days, of_day) = (second / 86_400, second % 86_400);
    // Howard Hinnant's civil_from_days: years begin in March, so that the leap day is a year's last.
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_become_dates() {
        for (second, expected) in [
            (0, "1970-01-01T00:00:00"),
            (951_782_399, "2000-02-28T23:59:59"),
            (951_782_400, "2000-02-29T00:00:00"),
            (1_709_251_199, "2024-02-29T23:59:59"),
            (1_767_571_200, "2026-01-05T00:00:00"),
            (4_107_542_400, "2100-03-01T00:00:00"),
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
