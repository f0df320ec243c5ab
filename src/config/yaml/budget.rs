//! What a YAML text may cost: a few bytes of it cost a few bytes of memory, and time in proportion.
//!
//! Bytes of the text and events of its parser go in; the first bound that is passed comes out. Two things multiply
//! what is written: an alias repeats all that its anchor holds, and deep nesting makes every scanner look back through
//! all levels for each token. Both are counted before anything is made of them.

use std::collections::BTreeMap;

use yaml_rust2::parser::Event;

use super::Malformed;

/// The most bytes of one document: a configuration, a severity model, a catalogue, one rule.
pub(crate) const MAX_BYTES: usize = 1024 * 1024;

/// How deep lists and maps may be nested.
const MAX_DEPTH: usize = 64;

/// The most values of one document, keys among them, and those that aliases repeat.
const MAX_VALUES: usize = 100_000;

/// The most brackets that are open at once, wherever they stand. In quotes they open nothing, but a scanner that takes
/// a quote for something else would go back through all of them.
const MAX_OPEN: usize = 1000;

/// The most characters that may be a token of their own: in brackets a scanner holds all tokens until it knows whether
/// the first is a key.
const MAX_MARKS: usize = 400_000;

/// What can be said of a text before it is scanned.
pub(super) fn check_text(text: &str) -> Result<(), Malformed> {
    if text.len() > MAX_BYTES {
        return Err(Malformed::Large {
            bytes: text.len(),
            limit: MAX_BYTES,
        });
    }
    let (mut open, mut marks, mut line) = (0_usize, 0_usize, 1);
    for byte in text.bytes() {
        match byte {
            b'\n' => line += 1,
            b'[' | b'{' => {
                open += 1;
                marks += 1;
            }
            b']' | b'}' => {
                open = open.saturating_sub(1);
                marks += 1;
            }
            b',' | b':' | b'?' | b'&' | b'*' | b'!' | b'"' | b'\'' => marks += 1,
            _ => {}
        }
        if open > MAX_OPEN {
            return Err(Malformed::Brackets {
                line,
                limit: MAX_OPEN,
            });
        }
    }
    if marks > MAX_MARKS {
        return Err(Malformed::Marks {
            marks,
            limit: MAX_MARKS,
        });
    }
    Ok(())
}

/// How much something is.
#[derive(Clone, Copy, Default)]
struct Size {
    values: usize,
    bytes: usize,
}

impl Size {
    const fn add(&mut self, other: Self) {
        self.values = self.values.saturating_add(other.values);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

/// What the events of one text have cost so far.
#[derive(Default)]
pub(super) struct Budget {
    /// The lists and maps that are not closed: their anchors, and what they hold so far.
    open: Vec<(usize, Size)>,
    anchors: BTreeMap<usize, Size>,
    values: usize,
    /// What aliases repeat, and what anchors keep for them.
    repeated: Size,
}

impl Budget {
    /// Counts one event; errs where it must not be acted upon.
    pub(super) fn admit(&mut self, event: &Event, line: usize) -> Result<(), Malformed> {
        match event {
            Event::SequenceStart(anchor, _) | Event::MappingStart(anchor, _) => {
                if self.open.len() >= MAX_DEPTH {
                    return Err(Malformed::Deep {
                        line,
                        limit: MAX_DEPTH,
                    });
                }
                self.open.push((*anchor, Size::default()));
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let (anchor, mut size) = self.open.pop().unwrap_or_default();
                size.values += 1;
                self.placed(line, anchor, size, 1)
            }
            Event::Scalar(text, _, anchor, _) => {
                let size = Size {
                    values: 1,
                    bytes: text.len(),
                };
                self.placed(line, *anchor, size, 1)
            }
            Event::Alias(anchor) => {
                // Its own list or map is not closed yet, where it stands inside of what it repeats.
                let Some(size) = self.anchors.get(anchor).copied() else {
                    return Err(Malformed::Circle { line });
                };
                self.repeat(line, size)?;
                self.placed(line, 0, size, size.values)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart
            | Event::DocumentEnd => Ok(()),
        }
    }

    /// A value of this size, of which so many values are new, is part of what is open.
    fn placed(
        &mut self,
        line: usize,
        anchor: usize,
        size: Size,
        new: usize,
    ) -> Result<(), Malformed> {
        self.values = self.values.saturating_add(new);
        if self.values > MAX_VALUES {
            return Err(Malformed::Many {
                line,
                limit: MAX_VALUES,
            });
        }
        if anchor > 0 {
            self.repeat(line, size)?;
            self.anchors.insert(anchor, size);
        }
        if let Some((_, around)) = self.open.last_mut() {
            around.add(size);
        }
        Ok(())
    }

    fn repeat(&mut self, line: usize, size: Size) -> Result<(), Malformed> {
        self.repeated.add(size);
        if self.repeated.values > MAX_VALUES || self.repeated.bytes > MAX_BYTES {
            return Err(Malformed::Repeats {
                line,
                values: MAX_VALUES,
                bytes: MAX_BYTES,
            });
        }
        Ok(())
    }
}
