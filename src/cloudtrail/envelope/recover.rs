//! The JSON within a text that is none: behind a header of syslog, a time or a tag, between quotes, with one level of
//! escapes too many, as base64 in lines.
//!
//! In: such a text. Out: its elements, as the walk gives them, or the word that nothing was found. A value counts only if
//! its form is known, and what stands beside it is rejected if a rule could want it. Hostile texts cost a fixed number of
//! walks: what is whole is passed over, and what is broken is given up after a few.

use super::forms::{Form, Items, form};
use super::layers::{self, Layer};
use super::object::Object;
use super::walk::{Walk, WrapperContext};
use crate::cloudtrail::scan::{self, JsonFault, skip_space, skip_value};
use crate::cloudtrail::text::{self, UnescapeError};
use crate::model::dead_letter::Reason;

/// How many broken values of one text are walked.
const MOST_BROKEN: u32 = 16;

/// How many long words of one text are looked at as base64.
const MOST_WORDS: u32 = 256;

/// The shortest line of base64 that is looked for: no record is shorter, and no lines of base64 are.
const SHORTEST_BASE64: usize = 60;

/// How much of a word tells whether it is base64 of something known.
const BEGINNING: usize = 24;

impl Walk<'_> {
    /// Reads what a text that is no JSON holds. Whether it holds anything that is known; then elements were given.
    pub(super) fn recovered(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        let is_asked =
            context.otherwise.is_none() || self.is_wanted(text) || base64_word(text).is_some();
        is_asked && self.recover(text, context)
    }

    fn recover(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        let inside = layers::without_marks(text);
        if inside.len() < text.len() && is_readable(inside) {
            if let Some(context) = self.deeper(context) {
                self.bytes(inside, context);
            }
            return true;
        }
        self.values_within(inside, context)
            || self.escaped_within(inside, context)
            || self.base64_within(inside, context)
    }

    /// Gives the values that stand in a text, or says that there are none.
    fn values_within(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        let mut values = Values {
            text,
            at: 0,
            broken: 0,
        };
        let mut next = values.next();
        if next.is_none() {
            return false;
        }
        let Some(context) = self.deeper(context) else {
            return true;
        };
        let mut told = 0;
        while let Some((start, end)) = next {
            next = values.next();
            self.beside(text.get(told..start).unwrap_or_default(), context);
            let value = text.get(start..end).unwrap_or_default();
            let is_alone = told == 0 && next.is_none();
            let element = if is_alone {
                context.element
            } else {
                Some(value)
            };
            self.value(value, WrapperContext { element, ..context });
            if self.is_over {
                return true;
            }
            told = end;
        }
        self.beside(text.get(told..).unwrap_or_default(), context);
        true
    }

    /// What stands beside values: a header, or a piece of a record whose beginning or end is missing.
    fn beside(&mut self, text: &[u8], context: WrapperContext<'_>) {
        if memchr::memchr(b'"', text).is_some() && self.is_wanted(text) {
            let error = "a piece of JSON that cannot be read, beside what can".to_owned();
            let element = Some(scan::trim(text));
            self.reject(
                Reason::InvalidJson,
                error,
                WrapperContext { element, ..context },
            );
        }
    }

    /// Takes one level of escapes away where there is one too many: `{\"eventVersion\":…`.
    fn escaped_within(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        let Some(brace) = memchr::memmem::find(text, br"{\") else {
            return false;
        };
        let start = match brace.checked_sub(1).and_then(|before| text.get(before)) {
            Some(b'[') => brace - 1,
            _ => brace,
        };
        let mut buffer = self.scratch.take();
        let escaped = text.get(start..).unwrap_or_default();
        let outcome = text::unescape(escaped, self.remaining, &mut buffer);
        self.charge(buffer.len());
        let is_found = match outcome {
            Ok(()) if is_readable(&buffer) || memchr::memmem::find(&buffer, br"{\").is_some() => {
                if let Some(context) = self.deeper(context) {
                    self.bytes(&buffer, context);
                }
                true
            }
            Err(UnescapeError::TooLong) => {
                self.too_large("one level of escapes too many", context);
                true
            }
            Ok(()) | Err(UnescapeError::Bad(_)) => false,
        };
        self.scratch.give_back(buffer);
        is_found
    }

    /// Reads base64 that is written in lines, or stands behind a header.
    fn base64_within(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        let Some(start) = base64_word(text) else {
            return false;
        };
        let mut coded = self.scratch.take();
        let rest = text.get(start..).unwrap_or_default();
        if rest.len() > self.remaining {
            self.too_large("base64", context);
            self.scratch.give_back(coded);
            return true;
        }
        join_lines(rest, &mut coded);
        let mut buffer = self.scratch.take();
        let outcome = layers::decode_base64(&coded, self.remaining, &mut buffer);
        self.charge(coded.len() + buffer.len());
        let is_found = outcome.is_ok() && is_known(&buffer);
        if is_found && let Some(context) = self.deeper(context) {
            self.bytes(&buffer, context);
        }
        self.scratch.give_back(buffer);
        self.scratch.give_back(coded);
        is_found
    }

    /// The end of a text in which nothing was found.
    pub(super) fn not_json(&mut self, text: &[u8], context: WrapperContext<'_>) {
        self.unknown(text, context, || {
            let opens = memchr::memchr_iter(b'{', text).find(|at| opens(text, *at));
            let fault = opens.and_then(|start| Object::walk(text, start).fault);
            match fault {
                Some(fault @ JsonFault::Truncated { .. }) => (Reason::Truncated, fault.to_string()),
                _ if memchr::memmem::find(text, b"\":").is_some() => {
                    let error = "a piece of JSON whose beginning is missing".to_owned();
                    (Reason::InvalidJson, error)
                }
                _ => {
                    let error = "neither JSON nor a layer that is known".to_owned();
                    (Reason::NotJson, error)
                }
            }
        });
    }
}

/// Whether bytes are a layer that is known, or begin as JSON that could hold a record.
fn is_readable(bytes: &[u8]) -> bool {
    match layers::recognise(bytes) {
        Layer::Text(text) => scan::begins_as_json(text),
        Layer::Empty | Layer::Unknown => false,
        _ => true,
    }
}

/// Whether bytes are a layer that is known, or an object in a form that is: not the head of a JSON Web Token.
fn is_known(bytes: &[u8]) -> bool {
    match layers::recognise(bytes) {
        Layer::Text(text) if text.starts_with(b"{") => {
            form(&Object::walk(text, 0), Items::Any) != Form::Unknown
        }
        Layer::Empty => false,
        // The text within may have a header of its own.
        Layer::Unknown => memchr::memmem::find(bytes, b"{\"").is_some(),
        _ => true,
    }
}

/// Whether an object, or a list of objects, could open here.
fn opens(text: &[u8], at: usize) -> bool {
    let second = skip_space(text, at + 1);
    match (text.get(at), text.get(second)) {
        (Some(b'{'), Some(b'"')) => true,
        (Some(b'['), Some(b'{')) => text.get(skip_space(text, second + 1)) == Some(&b'"'),
        _ => false,
    }
}

/// The values that stand in a text: where each begins and ends.
struct Values<'a> {
    text: &'a [u8],
    at: usize,
    broken: u32,
}

impl Values<'_> {
    fn next(&mut self) -> Option<(usize, usize)> {
        let text = self.text;
        loop {
            let start = self.at + memchr::memchr2(b'{', b'[', text.get(self.at..)?)?;
            self.at = start + 1;
            if !opens(text, start) {
                continue;
            }
            let found = if text.get(start) == Some(&b'{') {
                self.object(start)
            } else {
                self.list(start)
            };
            if let Some(end) = found {
                self.at = end;
                return Some((start, end));
            }
        }
    }

    /// Where the object that opens here ends, if it is one to read.
    fn object(&mut self, start: usize) -> Option<usize> {
        let text = self.text;
        let object = Object::walk(text, start);
        if object.fault.is_none() {
            // Not to be walked again from within, or nesting would cost its square.
            self.at = object.end;
            let is_known = form(&object, Items::Any) != Form::Unknown;
            return (is_known && !is_piece(text, start, &object)).then_some(object.end);
        }
        self.broken += 1;
        if self.broken >= MOST_BROKEN {
            self.at = text.len();
        }
        if follows_key(text, start) {
            return None;
        }
        // What is cut says where: at the end of its line, or of the text.
        let rest = text.get(start..).unwrap_or_default();
        let end = memchr::memchr(b'\n', rest).map_or(text.len(), |length| start + length);
        let line = text.get(..end).unwrap_or_default();
        let object = Object::walk(line, start);
        let is_cut = matches!(object.fault, None | Some(JsonFault::Truncated { .. }));
        (is_cut && form(&object, Items::Any) != Form::Unknown).then_some(end)
    }

    /// Where the list of objects that opens here ends, if it is one to read.
    fn list(&mut self, start: usize) -> Option<usize> {
        let text = self.text;
        let Ok(end) = skip_value(text, start) else {
            self.broken += 1;
            if self.broken >= MOST_BROKEN {
                self.at = text.len();
            }
            return None;
        };
        self.at = end;
        let first = Object::walk(text, skip_space(text, start + 1));
        let is_known = first.fault.is_none() && form(&first, Items::Any) != Form::Unknown;
        (is_known && !follows_key(text, start)).then_some(end)
    }
}

/// Whether an object is part of something whose beginning is missing. A record in a list is one all the same.
fn is_piece(text: &[u8], start: usize, object: &Object<'_>) -> bool {
    let is_followed = matches!(
        text.get(skip_space(text, object.end)),
        Some(b',' | b']' | b'}' | b':')
    );
    follows_key(text, start) || (is_followed && !object.is_record)
}

/// Whether what begins here is the value of a key.
fn follows_key(text: &[u8], start: usize) -> bool {
    let before = scan::trim_end(text.get(..start).unwrap_or_default());
    let Some(before) = before.strip_suffix(b":") else {
        return false;
    };
    scan::trim_end(before).ends_with(b"\"")
}

/// The letters of both alphabets of base64, by their code: asked for each byte of long words.
#[expect(clippy::indexing_slicing, reason = "the code is below the length")]
static BASE64: [bool; 256] = {
    let mut letters = [false; 256];
    let mut code = 0_u8;
    while code < 128 {
        letters[code as usize] =
            code.is_ascii_alphanumeric() || matches!(code, b'+' | b'/' | b'=' | b'-' | b'_');
        code += 1;
    }
    letters
};

fn is_base64(byte: u8) -> bool {
    BASE64
        .get(usize::from(byte))
        .is_some_and(|is_letter| *is_letter)
}

/// Where the first word begins that is base64 of a layer or of JSON.
pub(super) fn base64_word(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut words = 0;
    while words < MOST_WORDS {
        // A word that begins here ends behind this place: most places are in none, and so much can be passed over.
        let last = at + SHORTEST_BASE64 - 1;
        if !is_base64(*text.get(last)?) {
            at = last + 1;
            continue;
        }
        let before = text.get(at..last)?;
        let start = before
            .iter()
            .rposition(|byte| !is_base64(*byte))
            .map_or(at, |index| at + index + 1);
        if start > at {
            at = start;
            continue;
        }
        words += 1;
        let word = text.get(start..)?;
        if layers::is_base64(word.get(..BEGINNING)?) {
            return Some(start);
        }
        let length = word.iter().position(|byte| !is_base64(*byte))?;
        at = start + length + 1;
    }
    None
}

/// Base64 in the common alphabet, without the ends of its lines. What follows on the last line is left.
fn join_lines(text: &[u8], into: &mut Vec<u8>) {
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'-' => into.push(b'+'),
            b'_' => into.push(b'/'),
            byte if is_base64(*byte) => into.push(*byte),
            b'\r' | b'\n' => {}
            // Some indent lines.
            b' ' | b'\t' if at > 0 && matches!(text.get(at - 1), Some(b'\n' | b' ' | b'\t')) => {}
            _ => return,
        }
    }
}
