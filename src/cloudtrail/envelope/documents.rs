//! Texts of one or more JSON documents: where one ends and the next begins, and how a broken one loses only itself.

use super::forms::{Items, begins_as_s3_file};
use super::object::Object;
use super::walk::{Walk, WrapperContext, check_grammar};
use super::{Envelope, layers};
use crate::cloudtrail::scan::{self, JsonFault, Members, is_space, skip_space, skip_string};

impl Walk<'_> {
    /// A text of one or more documents, one after another with or without white space between them. It begins with a
    /// bracket or a quote, and so must each document, with the same one.
    pub(super) fn documents(&mut self, text: &[u8], context: WrapperContext<'_>) {
        match text.first() {
            Some(b'{') => self.objects(text, context),
            Some(b'[') => self.one_after_another(text, context, |walk, text, start, context| {
                let context = walk.deeper(context)?;
                walk.list(text, start, context, Items::Any)
            }),
            _ => self.one_after_another(text, context, Self::string_document),
        }
    }

    fn string_document(
        &mut self,
        text: &[u8],
        start: usize,
        context: WrapperContext<'_>,
    ) -> Option<usize> {
        match skip_string(text, start) {
            Ok((end, _)) => {
                let context = self.deeper(context)?;
                self.string(text.get(start..end).unwrap_or_default(), context);
                Some(end)
            }
            Err(fault) => {
                self.reject_fault(fault, context);
                None
            }
        }
    }

    /// Documents that are arrays or strings. `document` says where the one that begins at a place ends; none if it
    /// broke and took the rest with it.
    fn one_after_another(
        &mut self,
        text: &[u8],
        context: WrapperContext<'_>,
        document: impl Fn(&mut Self, &[u8], usize, WrapperContext<'_>) -> Option<usize>,
    ) {
        if self.is_no_json(text, context) {
            return;
        }
        let mut start = 0;
        loop {
            let element = if start == 0 {
                context.element
            } else {
                text.get(start..)
            };
            let Some(end) = document(self, text, start, WrapperContext { element, ..context })
            else {
                return;
            };
            start = next_document(text, end);
            if start == text.len() || self.is_over {
                return;
            }
            if text.get(start) != text.first() {
                return self.reject_rest(text, start, JsonFault::Invalid { at: start }, context);
            }
        }
    }

    /// Documents that are objects. A document that breaks loses itself, up to the next line that begins with a brace;
    /// without one, the rest.
    fn objects(&mut self, text: &[u8], context: WrapperContext<'_>) {
        if self.is_no_json(text, context) {
            return;
        }
        // Hostile lines could each be walked to the end of the text before they are given up.
        let mut patience = text.len().saturating_mul(4).saturating_add(1 << 16);
        let mut start = 0;
        let mut line_end = next_line(text, 0);
        loop {
            if line_end == text.len()
                && context.depth < self.depth
                && let Some(list) = begins_as_s3_file(text, start)
            {
                let Some(end) = self.s3_file(text, start, list, context) else {
                    return;
                };
                start = end;
            } else {
                let object = Object::walk(text, start);
                // A string that is not closed makes the walk read strings as structure and structure as strings, over
                // the end of its line; a document that is written over several lines is told from it by parsing it.
                let broke = match object.fault {
                    Some(fault) => Some(fault.at()),
                    None if object.end > line_end && check_grammar(object.json).is_err() => {
                        Some(object.end)
                    }
                    None => None,
                };
                patience = patience.saturating_sub(broke.map_or(0, |at| at.saturating_sub(start)));
                if broke.is_some() && line_end < text.len() && patience > 0 {
                    let piece = scan::trim(text.get(start..line_end).unwrap_or_default());
                    let element = Some(piece);
                    self.object(
                        &Object::walk(piece, 0),
                        WrapperContext { element, ..context },
                        Items::Any,
                    );
                    start = line_end;
                } else {
                    let alone = start == 0
                        && (object.fault.is_some()
                            || next_document(text, object.end) == text.len());
                    let element = if alone {
                        context.element
                    } else {
                        Some(object.json)
                    };
                    self.object(&object, WrapperContext { element, ..context }, Items::Any);
                    if object.fault.is_some() {
                        return;
                    }
                    start = object.end;
                }
            }
            start = next_document(text, start);
            match text.get(start) {
                _ if self.is_over => return,
                None => return,
                Some(b'{') => {}
                Some(_) if line_end < text.len() && start < line_end => {
                    let element = text.get(start..line_end).map(scan::trim);
                    let fault = JsonFault::Invalid { at: start };
                    self.reject_fault(fault, WrapperContext { element, ..context });
                    start = line_end;
                }
                Some(_) => {
                    return self.reject_rest(
                        text,
                        start,
                        JsonFault::Invalid { at: start },
                        context,
                    );
                }
            }
            if start >= line_end {
                line_end = next_line(text, start);
            }
        }
    }

    /// Whether a text only looks like JSON. Then it is done with: the JSON within it is found, or it is what the wrapper
    /// carries beside CloudTrail.
    fn is_no_json(&mut self, text: &[u8], context: WrapperContext<'_>) -> bool {
        is_only_looking_like_json(text)
            && (self.recovered(text, context) || {
                let is_skipped = context.otherwise.is_some();
                if is_skipped {
                    self.not_json(text, context);
                }
                is_skipped
            })
    }

    /// `{"Records":[…`: by far the most of large texts, so it is walked once, elements being given as they come. What
    /// follows the list is of no interest, except another list of the same name. The place past the object; none if
    /// it broke and took the rest with it.
    pub(super) fn s3_file(
        &mut self,
        text: &[u8],
        start: usize,
        list: usize,
        context: WrapperContext<'_>,
    ) -> Option<usize> {
        let context = WrapperContext {
            depth: context.depth + 1,
            envelope: Envelope::S3File,
            ..context
        };
        let whole = text.get(start..).unwrap_or_default();
        let mut end = self.list(text, list, context, Items::Any)?;
        let mut members = Members::after(text, end);
        while let Some(member) = members.next_member() {
            let Ok(member_end) = member.end else {
                break;
            };
            if member.key == b"Records" && text.get(member.start) == Some(&b'[') {
                self.list(text, member.start, context, Items::Any)?;
            }
            end = member_end;
        }
        match members.end() {
            Ok(end) => {
                if text.get(skip_space(text, list + 1)) == Some(&b']') {
                    self.beside_an_empty_list(text.get(start..end).unwrap_or_default(), context);
                }
                Some(end)
            }
            Err(fault) => {
                self.reject_rest(whole, end - start, fault, context);
                None
            }
        }
    }
}

/// Where the next document begins: past white space, past the marks that lines begin with, and past what may stand at the
/// end of a text.
fn next_document(text: &[u8], end: usize) -> usize {
    let at = skip_space(text, end);
    let marked = layers::skip_marks_and_space(text, at);
    if marked == at && !matches!(text.get(at), Some(b'"' | b'\'' | b'`')) {
        return at;
    }
    let rest = text.get(marked..).unwrap_or_default();
    if is_end(rest) {
        return text.len();
    }
    // Within a line they would be no marks, but what broke it.
    if at > end { marked } else { at }
}

/// Whether nothing but the end of a text is left: white space, NULs, and a quote or two. More quotes are strings of JSON.
fn is_end(rest: &[u8]) -> bool {
    const MOST_QUOTES: usize = 2;
    let mut quotes = 0;
    rest.iter().all(|byte| match byte {
        b'"' | b'\'' | b'`' => {
            quotes += 1;
            quotes <= MOST_QUOTES
        }
        0 => true,
        byte => is_space(*byte),
    })
}

/// Whether a text begins as JSON and goes on as no JSON that could hold a record: `[INFO] …`, `{x: …`, `"GET /" 200`.
/// A line of some log, then.
fn is_only_looking_like_json(text: &[u8]) -> bool {
    if text.first() != Some(&b'"') {
        return text.len() > 1 && !scan::begins_as_json(text);
    }
    let next = |end| text.get(skip_space(text, end));
    skip_string(text, 0).map_or(true, |(end, _)| !matches!(next(end), None | Some(b'"')))
}

/// The place of the next line that begins with a brace, after `from`; the text's length if there is none.
fn next_line(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    memchr::memchr_iter(b'\n', rest)
        .map(|at| from + at + 1)
        .find_map(|at| match text.get(at) {
            Some(b'{') => Some(at),
            Some(0 | 0x1e | 0xef) => {
                let at = layers::skip_marks(text, at);
                (text.get(at) == Some(&b'{')).then_some(at)
            }
            _ => None,
        })
        .unwrap_or(text.len())
}
