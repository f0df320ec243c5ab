//! Fills the blanks of a record's texts.
//!
//! A text holds `%` and a letter where a value belongs. Within one record the same letter is always the same value
//! (a bucket is named alike in the request and in the resources), which comes from the record's own subject number; so
//! nothing is stored and nothing is parsed.

use super::company::Account;
use super::random::{mix, scale, word};

/// What the blanks of one record are filled with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blanks<'a> {
    pub(super) account: Account,
    pub(super) region: &'a str,
    pub(super) service: &'a str,
    pub(super) action: &'a str,
    pub(super) arn: &'a str,
    pub(super) time: &'a str,
    /// The number that decides every other value.
    pub(super) subject: u64,
}

const TEAMS: &[&str] = &[
    "payments", "ledger", "orders", "search", "catalog", "identity", "ingest", "reports",
    "billing", "shipping", "fraud", "media",
];
const PARTS: &[&str] = &[
    "api", "web", "worker", "batch", "cache", "queue", "etl", "admin",
];
const STAGES: &[&str] = &["prod", "prod", "staging", "dev", "sandbox"];

impl Blanks<'_> {
    /// Appends `text` with its blanks filled.
    pub(super) fn fill(&self, text: &str, out: &mut Vec<u8>) {
        let mut pieces = text.split('%');
        out.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
        for piece in pieces {
            let mut rest = piece.chars();
            if let Some(letter) = rest.next() {
                self.value(letter, out);
            }
            out.extend_from_slice(rest.as_str().as_bytes());
        }
    }

    fn value(&self, letter: char, out: &mut Vec<u8>) {
        let number = mix(self.subject ^ (u64::from(u32::from(letter)) << 40));
        match letter {
            // What the record is about already.
            'a' => out.extend_from_slice(self.account.id.as_bytes()),
            'p' => out.extend_from_slice(self.account.partition.as_bytes()),
            'r' => out.extend_from_slice(self.region.as_bytes()),
            's' => out.extend_from_slice(self.service.as_bytes()),
            'x' => out.extend_from_slice(self.arn.as_bytes()),
            't' => out.extend_from_slice(self.time.as_bytes()),
            'E' => out.extend_from_slice(self.action.as_bytes()),
            'c' => kebab(self.action, out),
            // Names: of a resource, a bucket, an instance profile and its role, an object.
            'n' => name(number, out),
            'b' => {
                name(number, out);
                out.push(b'-');
                hex(number >> 16, 8, out);
            }
            'P' | 'R' => {
                // One number for both: a role is named like its profile.
                let number = mix(self.subject);
                name(number, out);
                let end: &[u8] = if letter == 'P' { b"-profile" } else { b"-role" };
                out.extend_from_slice(end);
            }
            'k' => {
                name(number, out);
                out.extend_from_slice(b"/2026/01/05/part-");
                digits(number >> 20, 5, out);
                out.extend_from_slice(b".parquet");
            }
            // Ids.
            'u' => uuid(number, mix(number), out),
            'h' | 'H' => hex(number, 8, out),
            'i' | 'j' => {
                out.push(b'0');
                hex(number, 16, out);
            }
            'q' => upper(number, 16, out),
            // The opaque text of an S3 request, and a long one.
            'z' => opaque(number, 76, out),
            'Z' => opaque(number, 160, out),
            // Numbers.
            'd' => digits(number >> 40, 2, out),
            'D' => digits(number, 7, out),
            'v' => digits(1 + scale(number, 9), 1, out),
            _ => debug_assert!(false, "an unknown blank: {letter}"),
        }
    }
}

fn name(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(word(number, TEAMS).as_bytes());
    out.push(b'-');
    out.extend_from_slice(word(mix(number), PARTS).as_bytes());
    out.push(b'-');
    out.extend_from_slice(word(mix(number ^ 1), STAGES).as_bytes());
}

/// `RemoveRoleFromInstanceProfile` as a command line writes it.
fn kebab(action: &str, out: &mut Vec<u8>) {
    for (at, byte) in action.bytes().enumerate() {
        if at > 0 && byte.is_ascii_uppercase() {
            out.push(b'-');
        }
        out.push(byte.to_ascii_lowercase());
    }
}

/// The lowest digits of a number, in `base`, by an alphabet of at least that many letters.
fn encode(mut number: u64, length: usize, base: u64, alphabet: &[u8], out: &mut Vec<u8>) {
    for _ in 0..length {
        let digit = usize::try_from(number % base).unwrap_or_default();
        out.push(alphabet.get(digit).copied().unwrap_or(b'0'));
        number /= base;
    }
}

pub(super) fn hex(number: u64, length: usize, out: &mut Vec<u8>) {
    encode(number, length, 16, b"0123456789abcdef", out);
}

pub(super) fn digits(number: u64, length: usize, out: &mut Vec<u8>) {
    // The first digit is never 0: JSON forbids it in a number of several.
    encode(1 + number % 9, 1, 10, b"0123456789", out);
    encode(number / 9, length - 1, 10, b"0123456789", out);
}

/// As S3's request ids.
pub(super) fn upper(number: u64, length: usize, out: &mut Vec<u8>) {
    let (low, high) = (length.min(12), length.saturating_sub(12));
    encode(number, low, 32, b"ABCDEFGHJKMNPQRSTVWXYZ0123456789", out);
    encode(
        mix(number),
        high,
        32,
        b"ABCDEFGHJKMNPQRSTVWXYZ0123456789",
        out,
    );
}

fn opaque(mut number: u64, length: usize, out: &mut Vec<u8>) {
    for _ in 0..length / 10 {
        encode(
            number,
            10,
            64,
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-",
            out,
        );
        number = mix(number);
    }
    out.extend_from_slice(b"==");
}

/// A UUID of version 4 (RFC 9562) from 122 of these 128 bits.
pub(super) fn uuid(high: u64, low: u64, out: &mut Vec<u8>) {
    hex(high, 8, out);
    out.push(b'-');
    hex(high >> 32, 4, out);
    out.extend_from_slice(b"-4");
    hex(high >> 48, 3, out);
    out.push(b'-');
    encode(low, 1, 4, b"89ab", out);
    hex(low >> 2, 3, out);
    out.push(b'-');
    hex(low >> 14, 12, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLANKS: Blanks<'static> = Blanks {
        account: Account {
            id: "111122223333",
            partition: "aws",
            regions: &["us-east-1"],
            home: "us-east-1",
        },
        region: "us-east-1",
        service: "iam",
        action: "RemoveRoleFromInstanceProfile",
        arn: "arn:aws:iam::111122223333:user/ana.silva",
        time: "2026-01-05T00:00:00Z",
        subject: 7,
    };

    fn filled(text: &str) -> String {
        let mut out = Vec::new();
        BLANKS.fill(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn blanks_are_filled_with_what_the_record_is_about() {
        assert_eq!(
            filled("arn:%p:%s:%r:%a:x command/%s.%c"),
            "arn:aws:iam:us-east-1:111122223333:x command/iam.remove-role-from-instance-profile"
        );
    }

    #[test]
    fn a_letter_means_one_value_within_a_record() {
        assert_eq!(
            filled("%b|%b").split_once('|').map(|(a, b)| a == b),
            Some(true)
        );
        assert_ne!(filled("%i"), filled("%j"));
        assert_eq!(
            filled("%P").strip_suffix("-profile"),
            filled("%R").strip_suffix("-role")
        );
    }

    #[test]
    fn ids_have_their_forms() {
        let mut out = Vec::new();
        uuid(u64::MAX, 0, &mut out);
        assert_eq!(out, b"ffffffff-ffff-4fff-8000-000000000000");
        assert_eq!(filled("%i").len(), 17);
        assert_eq!(filled("%q").len(), 16);
        assert!(filled("%D").parse::<u32>().is_ok_and(|n| n >= 1_000_000));
    }
}
