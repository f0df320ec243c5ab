//! An item's JSON, made ready when the catalogue is loaded.
//!
//! Documents carry items by the dozen, and most of an item is the same for every record. So its JSON is put together
//! once, escapes included, and cut where values stand; for a record it is copied with the values between. What only
//! minijinja can fill is not prepared, nor is a value that JSON would have to escape: such an item is serialised.

use serde::Serialize;

use super::Steps;
use super::query::Language;
use super::templates::{Piece, Step};
use super::values::{Quoting, Values};

/// What differs from record to record stands between texts.
#[derive(Debug, Default)]
struct SplicedText {
    texts: String,
    /// Up to where a text goes, and the value that follows it.
    values: Vec<(usize, usize, Quoting)>,
}

impl SplicedText {
    fn text(&mut self, text: &str) {
        self.texts.push_str(text);
    }

    fn json(&mut self, value: &(impl Serialize + ?Sized)) -> Option<()> {
        self.text(&serde_json::to_string(value).ok()?);
        Some(())
    }

    /// A step as a JSON string; none where it is not prepared.
    fn step(&mut self, step: &Step) -> Option<()> {
        self.text("\"");
        for piece in step.pieces()? {
            match piece {
                Piece::Text(text) => {
                    let quoted = serde_json::to_string(text).ok()?;
                    self.text(quoted.strip_prefix('"')?.strip_suffix('"')?);
                }
                Piece::Value { place, quoting } => {
                    self.values.push((self.texts.len(), *place, *quoting));
                }
            }
        }
        self.text("\"");
        Some(())
    }

    fn write(&self, values: &Values<'_>, out: &mut Vec<u8>) -> Option<()> {
        let mut from = 0;
        for (to, place, quoting) in &self.values {
            out.extend_from_slice(self.texts.as_bytes().get(from..*to)?);
            values.append_to_json(*place, *quoting, out)?;
            from = *to;
        }
        out.extend_from_slice(self.texts.as_bytes().get(from..)?);
        Some(())
    }
}

/// An item's JSON, part by part.
#[derive(Debug)]
pub(super) struct PreparedItem {
    /// From the brace to what comes before the steps.
    head: SplicedText,
    /// Each with its key and the comma before it, in the order of documents; empty where there are no steps.
    steps: [SplicedText; 3],
    /// The queries, as the steps.
    queries: SplicedText,
    /// What stands in the list of notes, without brackets.
    notes: SplicedText,
    /// From the references to the brace.
    tail: SplicedText,
}

/// What an item is made ready from.
pub(super) struct ItemParts<'a> {
    /// The members before the steps, as an object.
    pub(super) head: String,
    pub(super) steps: [(&'static str, &'a [Step]); 3],
    pub(super) queries: &'a [(Language, Step)],
    pub(super) notes: &'a [Step],
    pub(super) references: &'a [String],
}

impl PreparedItem {
    /// None where a part cannot be made ready.
    pub(super) fn new(parts: &ItemParts<'_>) -> Option<Self> {
        let mut head = SplicedText::default();
        head.text(parts.head.strip_suffix('}')?);
        let mut steps = [
            SplicedText::default(),
            SplicedText::default(),
            SplicedText::default(),
        ];
        for (cut, (key, list)) in steps.iter_mut().zip(&parts.steps) {
            for (place, step) in list.iter().enumerate() {
                if place == 0 {
                    cut.text(",");
                    cut.json(key)?;
                    cut.text(":[");
                } else {
                    cut.text(",");
                }
                cut.step(step)?;
            }
            if !list.is_empty() {
                cut.text("]");
            }
        }
        let mut queries = SplicedText::default();
        for (place, (language, step)) in parts.queries.iter().enumerate() {
            queries.text(if place == 0 { ",\"queries\":{" } else { "," });
            queries.json(language.as_str())?;
            queries.text(":");
            queries.step(step)?;
        }
        if !parts.queries.is_empty() {
            queries.text("}");
        }
        let mut notes = SplicedText::default();
        for (place, step) in parts.notes.iter().enumerate() {
            if place > 0 {
                notes.text(",");
            }
            notes.step(step)?;
        }
        let mut tail = SplicedText::default();
        if !parts.references.is_empty() {
            tail.text(",\"references\":");
            tail.json(parts.references)?;
        }
        tail.text("}");
        Some(Self {
            head,
            steps,
            queries,
            notes,
            tail,
        })
    }

    /// Appends the item for one record's values, without the steps that are to be left out; none, with something
    /// appended, where a value would have to be escaped.
    pub(super) fn write(
        &self,
        values: &Values<'_>,
        uses: &[usize],
        leaves_out: &[Steps],
        out: &mut Vec<u8>,
    ) -> Option<()> {
        self.head.write(values, out)?;
        let kinds = [Steps::Console, Steps::Cli, Steps::Boto3, Steps::Queries];
        let all = self.steps.iter().chain([&self.queries]);
        for (steps, kind) in all.zip(kinds) {
            if !leaves_out.contains(&kind) {
                steps.write(values, out)?;
            }
        }
        let mut missing = values.notes(uses).peekable();
        if !self.notes.texts.is_empty() || missing.peek().is_some() {
            out.extend_from_slice(b",\"notes\":[");
            self.notes.write(values, out)?;
            let mut is_first = self.notes.texts.is_empty();
            for note in missing {
                if !is_first {
                    out.push(b',');
                }
                is_first = false;
                serde_json::to_writer(&mut *out, &note).ok()?;
            }
            out.push(b']');
        }
        self.tail.write(values, out)
    }
}
