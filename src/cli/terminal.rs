//! Text for a terminal: colours where it takes them, and nothing in a value that could steer it.

use std::fmt::Write;

use crate::model::visible::{is_hidden, visible};

/// A value for a person: what could rewrite the terminal, break the line or reorder what is read is shown as an escape.
pub(super) fn clean(text: &str) -> String {
    visible(text).into_owned()
}

/// JSON that means the same, and in which no character steers a terminal.
///
/// serde_json and CloudTrail escape those below U+0020; a terminal minds others too, and they stand in strings alone.
pub(super) fn json_for_terminal(json: Vec<u8>) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(&json) else {
        return json;
    };
    let hidden = |c: char| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(hidden) {
        return json;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a string cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out.into_bytes()
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Colours(pub(super) bool);

impl Colours {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    pub(super) fn level(self, level: &str, text: &str) -> String {
        let code = match level {
            "critical" => "1;97;41",
            "high" => "1;30;101",
            "medium" => "1;30;43",
            "low" => "1;30;46",
            _ => "7",
        };
        if self.0 {
            self.with(code, text)
        } else {
            format!("[{}]", text.trim())
        }
    }

    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_for_a_terminal_means_the_same() {
        let record = "{\"a\":\"x\u{9b}31m\u{2028}\u{202e}\u{7f}\u{e0041}ü🦀\",\n\"b\":\"\\u001b\"}";
        let plain = String::from_utf8(json_for_terminal(record.as_bytes().to_vec())).unwrap();
        assert!(!plain.contains(|c| is_hidden(c) && c != '\n'), "{plain:?}");
        assert!(plain.contains("ü🦀"));
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&plain), value(record));
    }
}
