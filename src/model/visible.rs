//! Text that is shown: nothing in it steers a terminal, ends a line or hides what stands beside it.
//!
//! Any text in, the same text out with what cannot be seen as an escape. Names of files, values of a configuration and
//! fields of a record come from others; whatever a terminal or a log shows of them goes through here.

use std::borrow::Cow;
use std::fmt::{self, Write};

/// Whether a character does something other than being seen: it controls, breaks a line, turns the direction of writing
/// or takes no room.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text with hidden characters as escapes: `\n`, `\t` and `\r` by name, the others as `\u{1b}`.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.is_ascii() && !text.bytes().any(|byte| byte.is_ascii_control())
        || !text.contains(is_hidden)
    {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    // Writing to a string cannot fail.
    let _ = write_visible(text, &mut out);
    Cow::Owned(out)
}

/// The same, into whatever is being formatted.
pub(crate) fn write_visible(text: &str, out: &mut impl Write) -> fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(is_hidden) {
        let (before, after) = rest.split_at(at);
        out.write_str(before)?;
        let mut chars = after.chars();
        match chars.next() {
            Some(c @ ('\n' | '\r' | '\t')) => write!(out, "{}", c.escape_default())?,
            Some(c) => write!(out, "{}", c.escape_unicode())?,
            None => {}
        }
        rest = chars.as_str();
    }
    out.write_str(rest)
}

/// The same words with every run of white space as one blank.
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A path, for a person.
#[cfg(feature = "service")]
pub(crate) fn path(path: &std::path::Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for (text, want) in [
            ("plain", "plain"),
            ("größer 🦀 %", "größer 🦀 %"),
            ("\u{1b}[2Ja\nb\tc", "\\u{1b}[2Ja\\nb\\tc"),
            ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
            ("\u{9b}31m\u{202e}x", "\\u{9b}31m\\u{202e}x"),
            ("\u{7f}", "\\u{7f}"),
        ] {
            assert_eq!(visible(text), want);
        }
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
    }
}
