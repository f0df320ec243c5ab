//! The walk through one message: layers, documents, lists, wrappers, until an element is reached.

use std::ops::ControlFlow;

use serde::de::IgnoredAny;

use super::forms::{Form, Items, begins_as_s3_file, form};
use super::layers::{self, Layer, LayerError};
use super::object::Object;
use super::{Element, Envelope, Limits, RawRecord, Rejection, Scratch, Search, Skip};
use crate::cloudtrail::scan::{self, Elements, JsonFault, skip_space};
use crate::cloudtrail::text::{self, UnescapeError};
use crate::cloudtrail::time;
use crate::model::dead_letter::Reason;

/// The deepest nesting that the stack is trusted with, whatever the configuration says.
const DEEPEST: usize = 32;

/// The walk through one message.
pub(super) struct Walk<'w> {
    payload: &'w [u8],
    pub(super) depth: usize,
    validate: bool,
    /// What the message's layers may decode to, and what is left of it.
    decoded_bytes: usize,
    pub(super) remaining: usize,
    pub(super) search: Search<'w>,
    pub(super) scratch: &'w mut Scratch,
    each: &'w mut dyn FnMut(Element<'_>) -> ControlFlow<()>,
    /// Nobody wants further elements.
    pub(super) is_over: bool,
    /// How many elements there were.
    pub(super) index: u32,
    /// How many of them were records or were rejected, and how many were skipped for what little of them was looked at.
    pub(super) told: usize,
    passed_over: usize,
}

/// Where the walk stands: what the wrappers so far have said.
#[derive(Debug, Clone, Copy)]
pub(super) struct WrapperContext<'a> {
    /// How many layers lie around this place.
    pub(super) depth: usize,
    pub(super) envelope: Envelope,
    pub(super) time: Option<i64>,
    pub(super) custom: bool,
    /// What something unknown is here: none, and it is an error.
    pub(super) otherwise: Option<Skip>,
    /// The innermost list's element that this is in; none while it is the whole message.
    pub(super) element: Option<&'a [u8]>,
}

impl<'w> Walk<'w> {
    pub(super) fn new(
        payload: &'w [u8],
        limits: &Limits,
        search: Search<'w>,
        scratch: &'w mut Scratch,
        each: &'w mut dyn FnMut(Element<'_>) -> ControlFlow<()>,
    ) -> Self {
        Self {
            payload,
            depth: limits.depth.min(DEEPEST),
            validate: limits.validate,
            decoded_bytes: limits.decoded_bytes,
            remaining: limits.decoded_bytes,
            search,
            scratch,
            each,
            is_over: false,
            index: 0,
            told: 0,
            passed_over: 0,
        }
    }

    pub(super) fn run(mut self) {
        let context = WrapperContext {
            depth: 0,
            envelope: Envelope::Record,
            time: None,
            custom: false,
            otherwise: None,
            element: None,
        };
        self.bytes(self.payload, context);
    }

    // Elements.

    fn next_index(&mut self) -> u32 {
        let index = self.index;
        self.index = index.saturating_add(1);
        index
    }

    fn give(&mut self, element: Element<'_>) {
        self.told += usize::from(!matches!(element, Element::Skipped(_)));
        self.is_over = self.is_over || (self.each)(element).is_break();
    }

    pub(super) fn skip(&mut self, skip: Skip) {
        self.passed_over += 1;
        self.skip_kind(skip);
    }

    /// Skips what is of a kind by its whole structure, whatever is in it.
    pub(super) fn skip_kind(&mut self, skip: Skip) {
        self.next_index();
        self.give(Element::Skipped(skip));
    }

    /// Whether a rule could want something in this text.
    pub(super) fn is_wanted(&self, text: &[u8]) -> bool {
        (self.search.wanted)(text)
    }

    pub(super) fn reject(&mut self, reason: Reason, error: String, context: WrapperContext<'_>) {
        let index = self.next_index();
        let bytes = context.element.unwrap_or(self.payload);
        self.give(Element::Rejected(Rejection {
            reason,
            error,
            index: context.element.map(|_| index),
            bytes,
        }));
    }

    pub(super) fn reject_fault(&mut self, fault: JsonFault, context: WrapperContext<'_>) {
        let reason = match fault {
            JsonFault::Truncated { .. } => Reason::Truncated,
            JsonFault::Invalid { .. } => Reason::InvalidJson,
        };
        self.reject(reason, fault.to_string(), context);
    }

    /// Rejects what is left of a broken text as one element; where nothing is left, the text itself shows what broke.
    pub(super) fn reject_rest(
        &mut self,
        text: &[u8],
        from: usize,
        fault: JsonFault,
        context: WrapperContext<'_>,
    ) {
        let rest = scan::trim(text.get(from..).unwrap_or_default());
        let element = Some(if rest.is_empty() { text } else { rest });
        self.reject_fault(fault, WrapperContext { element, ..context });
    }

    /// Something that is no form of CloudTrail: an error, unless the wrapper carries other things too and no rule could
    /// want anything in this one.
    pub(super) fn unknown(
        &mut self,
        seen: &[u8],
        context: WrapperContext<'_>,
        describe: impl FnOnce() -> (Reason, String),
    ) {
        match context.otherwise {
            Some(skip) if !self.is_wanted(seen) => self.skip(skip),
            _ => {
                let (reason, error) = describe();
                self.reject(reason, error, context);
            }
        }
    }

    /// Where an element is to be parsed whole: whether it can be.
    fn is_valid(&mut self, json: &[u8], context: WrapperContext<'_>) -> bool {
        if !self.validate {
            return true;
        }
        match check(json) {
            Ok(()) => true,
            Err((reason, error)) => {
                self.reject(reason, error, context);
                false
            }
        }
    }

    // Layers of bytes.

    /// One layer further in; none, and a rejection, if that is too deep.
    pub(super) fn deeper<'a>(&mut self, context: WrapperContext<'a>) -> Option<WrapperContext<'a>> {
        if context.depth >= self.depth {
            let error = format!("more than {} layers are nested", self.depth);
            self.reject(Reason::TooDeep, error, context);
            return None;
        }
        Some(WrapperContext {
            depth: context.depth + 1,
            ..context
        })
    }

    pub(super) fn bytes(&mut self, data: &[u8], context: WrapperContext<'_>) {
        match layers::recognise(data) {
            Layer::Empty => self.skip(Skip::Empty),
            Layer::Text(text) => self.documents(text, context),
            Layer::Framed(rest) => {
                if let Some(context) = self.deeper(context) {
                    self.bytes(rest, context);
                }
            }
            Layer::Compressed(codec, data) => {
                let Some(context) = self.deeper(context) else {
                    return;
                };
                let cost = layers::least_cost(data);
                if cost > self.remaining {
                    let (codec, size) = (codec.as_str(), data.len());
                    let in_layer = format!("{codec}, whose {size} bytes count as {cost}");
                    return self.too_large(&in_layer, context);
                }
                self.decoded(
                    codec.as_str(),
                    cost,
                    context,
                    |limit, into| layers::decompress(codec, data, limit, into),
                    |walk, data| walk.bytes(data, context),
                );
            }
            Layer::Base64(text) => {
                if let Some(context) = self.deeper(context) {
                    self.base64(text, context);
                }
            }
            Layer::Utf16(order, text) => {
                if let Some(context) = self.deeper(context) {
                    self.decoded(
                        "UTF-16",
                        0,
                        context,
                        |limit, into| layers::decode_utf16(text, order, limit, into),
                        |walk, text| walk.bytes(text, context),
                    );
                }
            }
            Layer::Unsupported(what) => {
                self.reject(Reason::UnsupportedFormat, what.to_owned(), context);
            }
            Layer::Unknown => {
                if !self.recovered(data, context) {
                    self.not_json(data, context);
                }
            }
        }
    }

    pub(super) fn base64(&mut self, text: &[u8], context: WrapperContext<'_>) {
        self.decoded(
            "base64",
            0,
            context,
            |limit, into| layers::decode_base64(text, limit, into),
            |walk, data| walk.bytes(data, context),
        );
    }

    /// Decodes a layer into a buffer, within what is left of the message's limit, and goes on with it. It takes `cost` from
    /// the limit, however little it decodes to.
    pub(super) fn decoded(
        &mut self,
        layer: &str,
        cost: usize,
        context: WrapperContext<'_>,
        decode: impl FnOnce(usize, &mut Vec<u8>) -> Result<(), LayerError>,
        then: impl FnOnce(&mut Self, &[u8]),
    ) {
        let mut buffer = self.scratch.take();
        let outcome = decode(self.remaining, &mut buffer);
        debug_assert!(buffer.len() <= self.remaining, "a layer exceeded its limit");
        match outcome {
            Ok(()) => {
                self.charge(cost.max(buffer.len()));
                then(self, &buffer);
            }
            Err(LayerError::TooLarge) => self.too_large(layer, context),
            Err(LayerError::Corrupt(error)) => {
                self.charge(cost.max(buffer.len()));
                let error = format!("the {layer} layer does not decode: {error}");
                self.reject(Reason::CorruptLayer, error, context);
            }
        }
        self.scratch.give_back(buffer);
    }

    /// Takes what was decoded from what may be.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.remaining = self.remaining.saturating_sub(bytes);
    }

    pub(super) fn too_large(&mut self, layer: &str, context: WrapperContext<'_>) {
        // Whatever else is in this message, it has had its share: each bomb would cost as much again.
        self.remaining = 0;
        let error = format!(
            "the message decodes to more than {} bytes (in {layer})",
            self.decoded_bytes
        );
        self.reject(Reason::DecodedTooLarge, error, context);
    }

    // Lists and values.

    /// The elements of the array that opens at `open`. The place past it; none if it broke and took the rest with it, or
    /// if the rest is not wanted.
    pub(super) fn list(
        &mut self,
        text: &[u8],
        open: usize,
        context: WrapperContext<'_>,
        items: Items,
    ) -> Option<usize> {
        let mut elements = Elements::new(text, open);
        let mut is_empty = true;
        loop {
            match elements.begin() {
                Ok(Some(start)) => {
                    is_empty = false;
                    let end = self.item(text, start, context, items)?;
                    if self.is_over {
                        return None;
                    }
                    elements.resume(end);
                }
                Ok(None) => break,
                Err(fault) => {
                    self.reject_rest(text, elements.at(), fault, context);
                    return None;
                }
            }
        }
        if is_empty {
            self.skip(Skip::NoRecords);
        }
        Some(elements.at())
    }

    /// The element that begins at `start`. The place past it; none if it broke and took the rest with it.
    fn item(
        &mut self,
        text: &[u8],
        start: usize,
        context: WrapperContext<'_>,
        items: Items,
    ) -> Option<usize> {
        if text.get(start) == Some(&b'{') {
            let object = Object::walk(text, start);
            let Some(fault) = object.fault else {
                let element = Some(object.json);
                self.object(&object, WrapperContext { element, ..context }, items);
                return Some(object.end);
            };
            // Its brackets may still say where it ends.
            if let Ok(end) = scan::skip_value(text, start)
                && let Some(b',' | b']') = text.get(skip_space(text, end))
            {
                let element = text.get(start..end);
                self.reject_fault(fault, WrapperContext { element, ..context });
                return Some(end);
            }
            let element = Some(scan::trim(object.json));
            self.object(&object, WrapperContext { element, ..context }, items);
            return None;
        }
        match scan::skip_value(text, start) {
            Ok(end) => {
                let element = text.get(start..end);
                self.value(
                    element.unwrap_or_default(),
                    WrapperContext { element, ..context },
                );
                Some(end)
            }
            Err(fault) => {
                self.reject_rest(text, start, fault, context);
                None
            }
        }
    }

    /// An object around an empty list has nothing, unless it has what is wanted beside.
    pub(super) fn beside_an_empty_list(&mut self, object: &[u8], context: WrapperContext<'_>) {
        if self.is_wanted(object) {
            let error = "a list without elements, and a name that a rule looks for beside it";
            let reason = Reason::UnrecognisedEnvelope;
            self.reject(reason, error.to_owned(), context);
        }
    }

    /// A value that stands alone in its slice.
    pub(super) fn value(&mut self, value: &[u8], context: WrapperContext<'_>) {
        match value.first() {
            Some(b'{') => {
                if context.depth < self.depth
                    && let Some(list) = begins_as_s3_file(value, 0)
                {
                    self.s3_file(value, 0, list, context);
                } else {
                    self.object(&Object::walk(value, 0), context, Items::Any);
                }
            }
            Some(b'[') => {
                if let Some(context) = self.deeper(context) {
                    self.list(value, 0, context, Items::Any);
                }
            }
            Some(b'"') => self.string(value, context),
            _ if value == b"null" => self.skip(Skip::Empty),
            _ => self.unknown(value, context, || {
                let error = "a number or a boolean where a record should be".to_owned();
                (Reason::UnrecognisedEnvelope, error)
            }),
        }
    }

    /// A string with its quotes, and whatever it stands for.
    pub(super) fn string(&mut self, value: &[u8], context: WrapperContext<'_>) {
        let inside = text::string_inside(value).unwrap_or_default();
        self.unescaped(inside, context, |walk, text| walk.bytes(text, context));
    }

    /// Goes on with what a string stands for: the string itself, unless it has escapes.
    pub(super) fn unescaped(
        &mut self,
        inside: &[u8],
        context: WrapperContext<'_>,
        then: impl FnOnce(&mut Self, &[u8]),
    ) {
        if memchr::memchr(b'\\', inside).is_none() {
            return then(self, inside);
        }
        self.decoded(
            "JSON string",
            0,
            context,
            |limit, into| {
                text::unescape_replacing(inside, limit, into).map_err(|error| match error {
                    UnescapeError::TooLong => LayerError::TooLarge,
                    UnescapeError::Bad(fault) => {
                        LayerError::Corrupt(format!("bad escape at byte {}", fault.at()))
                    }
                })
            },
            then,
        );
    }

    // Objects.

    pub(super) fn object(
        &mut self,
        object: &Object<'_>,
        context: WrapperContext<'_>,
        items: Items,
    ) {
        match (form(object, items), object.fault) {
            (
                Form::List {
                    envelope,
                    list,
                    items,
                },
                fault,
            ) => {
                // Of three nested lists that are one form, the outermost counts.
                let context = if matches!(items, Items::ScopeLogs | Items::LogRecords) {
                    context
                } else {
                    let Some(context) = self.deeper(context) else {
                        return;
                    };
                    context
                };
                let whole = self.list(
                    list,
                    0,
                    WrapperContext {
                        envelope,
                        ..context
                    },
                    items,
                );
                match (whole, fault) {
                    (Some(_), Some(fault)) => {
                        self.reject_rest(object.json, object.whole, fault, context);
                    }
                    (Some(_), None) if list.get(skip_space(list, 1)) == Some(&b']') => {
                        self.beside_an_empty_list(object.json, context);
                    }
                    _ => {}
                }
            }
            (_, Some(fault)) => self.reject_fault(fault, context),
            (
                Form::Record {
                    envelope,
                    time,
                    custom,
                },
                None,
            ) => {
                if self.is_valid(object.json, context) {
                    let index = self.next_index();
                    self.give(Element::Record(RawRecord {
                        json: object.json,
                        envelope: envelope.unwrap_or(context.envelope),
                        index,
                        envelope_time: time.and_then(time::parse).or(context.time),
                        custom: custom || context.custom,
                    }));
                }
            }
            (Form::Skipped(skip), None) => {
                if self.is_valid(object.json, context) {
                    self.without_record(object, skip, context);
                }
            }
            (
                Form::Lists {
                    envelope,
                    lists,
                    items,
                },
                None,
            ) => self.lists(
                lists,
                WrapperContext {
                    envelope,
                    ..context
                },
                items,
            ),
            (Form::Carrier(carrier), None) => {
                let (told, passed_over) = (self.told, self.passed_over);
                self.carrier(&carrier, context, items);
                let is_nothing = self.told == told && self.passed_over > passed_over;
                if is_nothing && !self.is_over && self.is_wanted(object.json) {
                    self.beside_what_it_carries(object, context);
                }
            }
            (Form::Unsupported(what), None) => {
                if !self.elsewhere(object, context) {
                    self.reject(Reason::UnsupportedFormat, what.to_owned(), context);
                }
            }
            (Form::Unknown, None) => {
                if !self.at_record_paths(object, context) {
                    self.of_no_form(object, context);
                }
            }
        }
    }
}

/// Parses a whole text, whatever bytes are in its strings.
pub(super) fn check_grammar(json: &[u8]) -> Result<(), serde_json::Error> {
    serde_json::from_slice::<IgnoredAny>(json).map(|IgnoredAny| ())
}

/// Parses a whole text.
fn check(json: &[u8]) -> Result<(), (Reason, String)> {
    let text = std::str::from_utf8(json).map_err(|error| {
        let error = format!("not valid UTF-8 (byte {})", error.valid_up_to());
        (Reason::InvalidJson, error)
    })?;
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(IgnoredAny) => Ok(()),
        Err(error) if error.is_eof() => Err((Reason::Truncated, error.to_string())),
        Err(error) => Err((Reason::InvalidJson, error.to_string())),
    }
}
