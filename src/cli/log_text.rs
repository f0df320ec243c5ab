//! The program's own log as text: one event, one line, whatever its values hold.
//!
//! An event comes in as the subscriber formats it, and goes to standard error with everything that is hidden in it as an
//! escape, so that a value cannot begin a line of its own and pass it off as the program's.

use std::io::{self, Write};

use crate::model::visible::{is_hidden, visible};

/// Writes each event, which the subscriber gives in one piece, as one line to standard error.
pub(super) struct OneLine {
    /// Whether the subscriber colours; it lets no value do so.
    pub(super) colours: bool,
}

impl Write for OneLine {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let mut line = one_line(&String::from_utf8_lossy(event), self.colours);
        line.push('\n');
        io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The event without its line end and without anything hidden; the subscriber's own colours stay.
fn one_line(event: &str, colours: bool) -> String {
    let event = event.strip_suffix('\n').unwrap_or(event);
    if !colours {
        return visible(event).into_owned();
    }
    let mut out = String::with_capacity(event.len());
    let mut parts = event.split("\u{1b}[");
    out.push_str(&visible(parts.next().unwrap_or_default()));
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        let (code, rest) = part.split_at(end.unwrap_or(part.len()));
        if let Some(rest) = rest.strip_prefix('m') {
            out.push_str("\u{1b}[");
            out.push_str(code);
            out.push('m');
            out.push_str(&visible(rest));
        } else {
            out.push_str("\\u{1b}[");
            out.push_str(&visible(part));
        }
    }
    debug_assert!(!out.contains(|c| is_hidden(c) && c != '\u{1b}'));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let forged =
            "WARN gone topic=a\n2026-01-01T00:00:00Z ERROR all is lost\u{2028}x\u{1b}[2J\u{9b}2J\n";
        assert_eq!(
            one_line(forged, false),
            "WARN gone topic=a\\n2026-01-01T00:00:00Z ERROR all is lost\\u{2028}x\\u{1b}[2J\\u{9b}2J"
        );
        assert_eq!(
            one_line("\u{1b}[2m2026\u{1b}[0m \u{1b}[2Ja\nb\n", true),
            "\u{1b}[2m2026\u{1b}[0m \\u{1b}[2Ja\\nb"
        );
    }
}
