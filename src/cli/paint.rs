//! Text for a terminal: colours where it takes them, and nothing in a value that could steer it.

/// Control characters could rewrite the terminal, and direction marks could reorder what is read: both are shown as
/// escapes.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Colours, or none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
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
