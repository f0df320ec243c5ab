//! Text as one word of a POSIX shell, and as a literal of Python.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The text as one word; none where it holds a NUL, which no shell word can.
pub(super) fn shell(text: &str) -> Option<Cow<'_, str>> {
    shlex::try_quote(text).ok()
}

/// Whether a literal holds the text as it is: what nearly every value is made of.
pub(super) fn is_plain_python(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b' '..=b'~') && byte != b'\'' && byte != b'\\')
}

/// The text as a string literal. Everything but printable ASCII is escaped, so that nothing in it can be invisible,
/// reorder what a reader sees, or end the literal.
pub(super) fn python(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for each in text.chars() {
        // Writing to a string cannot fail.
        let _ = match (each, u32::from(each)) {
            ('\'' | '\\', _) => write!(literal, "\\{each}"),
            (' '..='~', _) => write!(literal, "{each}"),
            (_, code @ ..=0xff) => write!(literal, "\\x{code:02x}"),
            (_, code @ ..=0xffff) => write!(literal, "\\u{code:04x}"),
            (_, code) => write!(literal, "\\U{code:08x}"),
        };
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads a literal as Python does, and nothing beyond it.
    fn read(literal: &str) -> Option<String> {
        let mut text = String::new();
        let mut rest = literal.strip_prefix('\'')?.chars();
        loop {
            match rest.next()? {
                '\'' => return rest.next().is_none().then_some(text),
                '\\' => {
                    let digits = match rest.next()? {
                        'x' => 2,
                        'u' => 4,
                        'U' => 8,
                        each @ ('\'' | '\\') => {
                            text.push(each);
                            continue;
                        }
                        _ => return None,
                    };
                    let code: String = rest.by_ref().take(digits).collect();
                    text.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
                }
                each => text.push(each),
            }
        }
    }

    proptest! {
        #[test]
        fn python_reads_back_what_was_written(text in any::<String>()) {
            let literal = python(&text);
            prop_assert!(literal.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            if is_plain_python(&text) {
                prop_assert_eq!(&literal, &format!("'{text}'"));
            }
            prop_assert_eq!(read(&literal), Some(text));
        }

        #[test]
        fn a_shell_reads_back_what_was_written(text in any::<String>()) {
            let want = (!text.contains('\0')).then(|| vec!["x".to_owned(), text.clone(), "y".to_owned()]);
            let got = shell(&text).and_then(|word| shlex::split(&format!("x {word} y")));
            prop_assert_eq!(got, want);
        }
    }

    #[test]
    fn what_a_reader_could_not_see_is_spelt_out() {
        assert_eq!(python("a'b\\c"), r"'a\'b\\c'");
        assert_eq!(
            python("\n\0é\u{202e}\u{1f600}"),
            r"'\x0a\x00\xe9\u202e\U0001f600'"
        );
    }
}
