//! The times that records and their wrappers carry, to milliseconds since the epoch: RFC 3339, what Athena makes of it,
//! and numbers of seconds, milliseconds or nanoseconds. In: text. Out: a time, or none where it is not one.

use crate::cloudtrail::text;

/// A number above this many seconds (the year 5138) is milliseconds, and one a million times above it nanoseconds:
/// shippers write either under the same key.
const MOST_SECONDS: i64 = 100_000_000_000;

/// The time of a JSON string or number, as it stands in its text.
pub(super) fn parse(value: &[u8]) -> Option<i64> {
    let inside = text::string_inside(value).unwrap_or(value);
    rfc3339(inside).or_else(|| number(inside))
}

/// The time of a record's own `eventTime`: as AWS writes it, or as a table of Athena gives it back, without a zone
/// (`2023-07-10 12:07:23.000000000`), which is UTC.
pub(crate) fn parse_record_time(text: &str) -> Option<i64> {
    let text = text.trim().as_bytes();
    rfc3339(text)
        .or_else(|| rfc3339(&[text, b"Z"].concat()))
        .filter(|at| *at >= 0)
}

/// A decimal number of seconds, milliseconds or nanoseconds. Digits beyond the millisecond are cut off.
fn number(text: &[u8]) -> Option<i64> {
    let point = memchr::memchr(b'.', text).unwrap_or(text.len());
    let whole = digits(text.get(..point)?)?;
    let fraction = text.get(point + 1..).unwrap_or_default();
    if whole == 0 || (point < text.len() && digits(fraction).is_none()) {
        return None;
    }
    if whole > MOST_SECONDS * 1_000_000 {
        Some(whole / 1_000_000)
    } else if whole > MOST_SECONDS {
        Some(whole)
    } else {
        whole.checked_mul(1000)?.checked_add(milliseconds(fraction))
    }
}

/// What a run of at most 19 digits says.
fn digits(text: &[u8]) -> Option<i64> {
    if text.is_empty() || text.len() > 19 {
        return None;
    }
    text.iter().try_fold(0_i64, |value, digit| {
        let digit = i64::from(digit.checked_sub(b'0').filter(|digit| *digit < 10)?);
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The first three digits of a fraction.
fn milliseconds(fraction: &[u8]) -> i64 {
    (0..3).fold(0, |value, place| {
        let digit = fraction
            .get(place)
            .map_or(0, |byte| byte.wrapping_sub(b'0'));
        value * 10 + i64::from(digit)
    })
}

/// `2026-01-05T18:46:26.123Z`, with any offset, `T` or a space between day and time.
fn rfc3339(text: &[u8]) -> Option<i64> {
    let field = |from: usize, to: usize| digits(text.get(from..to)?);
    let marks: [(usize, &[u8]); 5] = [(4, b"-"), (7, b"-"), (10, b"Tt "), (13, b":"), (16, b":")];
    for (place, allowed) in marks {
        if !allowed.contains(text.get(place)?) {
            return None;
        }
    }
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_of_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !in_range {
        return None;
    }
    let rest = text.get(19..)?;
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count()),
        None => (&b""[..], rest),
    };
    if rest.first() == Some(&b'.') && fraction.is_empty() {
        return None;
    }
    let seconds = ((days_from_epoch(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Some((seconds - offset(zone)?) * 1000 + milliseconds(fraction))
}

/// The seconds by which a zone's clocks are ahead.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hour, minute) = match zone {
        b"Z" | b"z" => return Some(0),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => {
            (*sign, digits(&[*h1, *h2])?, digits(&[*m1, *m2])?)
        }
        _ => return None,
    };
    let seconds = (hour * 60 + minute) * 60;
    match sign {
        _ if hour > 23 || minute > 59 => None,
        b'+' => Some(seconds),
        b'-' => Some(-seconds),
        _ => None,
    }
}

const fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

const fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, years counted from March so that the leap day comes last.
const fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_is_read_exactly() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-01-05T18:46:26Z", Some(1_767_638_786_000)),
            ("2026-01-05T18:46:26.1239Z", Some(1_767_638_786_123)),
            ("2026-01-05T18:46:26.5Z", Some(1_767_638_786_500)),
            ("2026-01-05T19:46:26+01:00", Some(1_767_638_786_000)),
            ("2026-01-05T13:16:26-0530", Some(1_767_638_786_000)),
            ("2000-02-29 12:00:00Z", Some(951_825_600_000)),
            ("1969-12-31T23:59:59Z", Some(-1000)),
            ("2026-02-29T00:00:00Z", None),
            ("2026-13-01T00:00:00Z", None),
            ("2026-01-05T18:46:26", None),
            ("2026-01-05T18:46:26.Z", None),
            ("2026-01-05T24:00:00Z", None),
            ("2026-01-05T18:46:26+1:00", None),
            ("yesterday", None),
        ] {
            assert_eq!(parse(format!("\"{text}\"").as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn the_time_of_a_record_needs_no_zone() {
        for (text, expected) in [
            ("2023-07-10T12:07:23Z", Some(1_688_990_843_000)),
            ("2023-07-10 12:07:23.000000000", Some(1_688_990_843_000)),
            (" 2023-07-10T14:07:23+02:00 ", Some(1_688_990_843_000)),
            ("2023-07-10", None),
            ("1969-12-31T23:59:59Z", None),
            ("1688990843", None),
        ] {
            assert_eq!(parse_record_time(text), expected, "{text}");
        }
    }

    #[test]
    fn numbers_are_seconds_milliseconds_or_nanoseconds() {
        for (text, expected) in [
            ("1767638786", Some(1_767_638_786_000)),
            ("1767638786.123456", Some(1_767_638_786_123)),
            ("1767638786.1", Some(1_767_638_786_100)),
            ("\"1767638786.123\"", Some(1_767_638_786_123)),
            ("1767638786123", Some(1_767_638_786_123)),
            ("\"1767638786123456789\"", Some(1_767_638_786_123)),
            ("0", None),
            ("-5", None),
            ("1.2.3", None),
            ("1.", None),
            ("null", None),
            ("{}", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text}");
        }
    }
}
