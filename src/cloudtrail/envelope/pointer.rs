//! JSON pointers (RFC 6901), followed in text that was not parsed.
//!
//! In: a pointer, and an object's text. Out: the value that it leads to, as a slice of that text.

use super::object::member;
use crate::cloudtrail::scan::{Elements, Members, skip_value};

/// A way into a JSON value: keys of objects and places in lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer(Vec<Vec<u8>>);

impl Pointer {
    /// Reads `/data/aws` and the like; none for what is no pointer, and for the empty one, which leads to the whole.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/').map(|token| {
            let escapes = token.matches('~').count();
            let known = token.matches("~0").count() + token.matches("~1").count();
            (escapes == known).then(|| token.replace("~1", "/").replace("~0", "~").into_bytes())
        });
        tokens.collect::<Option<_>>().map(Self)
    }

    /// The value that it leads to from here.
    pub(super) fn of<'a>(&self, value: &'a [u8]) -> Option<&'a [u8]> {
        self.0
            .iter()
            .try_fold(value, |value, token| match value.first() {
                Some(b'{') => member(value, token),
                Some(b'[') => {
                    let place = std::str::from_utf8(token).ok()?.parse().ok()?;
                    element(value, place)
                }
                _ => None,
            })
    }
}

/// The deepest that a pointer is made for a person.
const DEEPEST: usize = 8;

/// A pointer to the first value in an object that is wanted and holds no other; none where a key on the way cannot be shown.
pub(super) fn leading_to(object: &[u8], wanted: &dyn Fn(&[u8]) -> bool) -> Option<String> {
    let mut pointer = String::new();
    let mut value = object;
    for _ in 0..DEEPEST {
        let (token, inner) = match value.first() {
            Some(b'{') => {
                let mut members = Members::new(value, 0);
                loop {
                    let Some(member) = members.next_member() else {
                        return (!pointer.is_empty()).then_some(pointer);
                    };
                    let inner = value.get(member.start..member.end.ok()?)?;
                    if wanted(inner) {
                        let is_plain = !member.escaped
                            && member.key.len() <= 64
                            && member.key.iter().all(u8::is_ascii_graphic);
                        let key = std::str::from_utf8(member.key).ok().filter(|_| is_plain)?;
                        break (key.replace('~', "~0").replace('/', "~1"), inner);
                    }
                }
            }
            Some(b'[') => {
                let place = (0..64).find(|place| element(value, *place).is_none_or(wanted))?;
                (place.to_string(), element(value, place)?)
            }
            _ => break,
        };
        pointer.push('/');
        pointer.push_str(&token);
        value = inner;
    }
    (!pointer.is_empty()).then_some(pointer)
}

/// The element at a place of a list, counted from 0.
fn element(list: &[u8], place: usize) -> Option<&[u8]> {
    let mut elements = Elements::new(list, 0);
    for _ in 0..place {
        let start = elements.begin().ok()??;
        elements.resume(skip_value(list, start).ok()?);
    }
    let start = elements.begin().ok()??;
    list.get(start..skip_value(list, start).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_a_value() {
        let text = br#"{"data":{"aws":1,"a/b":[2,{"c~":"3"}]},"":4}"#;
        for (pointer, value) in [
            ("/data/aws", Some("1")),
            ("/data/a~1b/0", Some("2")),
            ("/data/a~1b/1/c~0", Some("\"3\"")),
            ("/", Some("4")),
            ("/data/a~1b/2", None),
            ("/data/a~1b/x", None),
            ("/data/none", None),
            ("/data/aws/x", None),
        ] {
            let found = Pointer::parse(pointer).unwrap().of(text);
            assert_eq!(found, value.map(str::as_bytes), "{pointer}");
        }
        let wanted = |text: &[u8]| memchr::memmem::find(text, b"3").is_some();
        let pointer = leading_to(text, &wanted).unwrap();
        assert_eq!(pointer, "/data/a~1b/1/c~0");
        assert_eq!(leading_to(b"{}", &wanted), None);
        for wrong in ["", "data", "/a~2", "/a~"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }
}
