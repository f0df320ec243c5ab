//! YAML as it was written: every value with its line, every scalar with its text.
//!
//! Text in, a [`Node`] out. The text of a scalar is kept because only the schema knows whether `0123` is a number or
//! the name of a group; the lines are kept because a fault names its line. It decides nothing about meaning.

use std::collections::BTreeMap;

use serde_json::Value;
use yaml_rust2::parser::{Event, MarkedEventReceiver, Parser};
use yaml_rust2::scanner::{Marker, TScalarStyle};
use yaml_rust2::{ScanError, Yaml};

/// A value and the line that it begins on.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) data: Data,
}

/// What a value is.
#[derive(Clone)]
pub(crate) enum Data {
    /// Text; `plain` when it was written without quotes, so that it may mean a number, a truth value or nothing.
    Scalar { text: String, plain: bool },
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the file.
    Map(Vec<(Name, Node)>),
}

/// A key of a map.
#[derive(Clone)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) line: usize,
}

impl Node {
    /// Whether nothing is written here (`key:`), which leaves the default.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.data {
            Data::Scalar { text, plain: true } => Yaml::from_str(text) == Yaml::Null,
            _ => false,
        }
    }

    /// What it means without a schema: a scalar without quotes is what YAML takes it for.
    pub(crate) fn to_value(&self) -> Value {
        match &self.data {
            Data::Scalar { text, plain: false } => Value::from(text.as_str()),
            Data::Scalar { text, plain: true } => match Yaml::from_str(text) {
                Yaml::Integer(number) => number.into(),
                Yaml::Real(number) => number.parse::<f64>().map_or(Value::Null, Value::from),
                Yaml::Boolean(truth) => truth.into(),
                Yaml::Null => Value::Null,
                _ => Value::from(text.as_str()),
            },
            Data::List(nodes) => nodes.iter().map(Self::to_value).collect(),
            Data::Map(entries) => entries
                .iter()
                .map(|(name, node)| (name.text.clone(), node.to_value()))
                .collect(),
        }
    }

    /// What is here, for a message.
    pub(crate) fn describe(&self) -> String {
        match &self.data {
            Data::Scalar { .. } if self.is_nothing() => "nothing".to_owned(),
            Data::Scalar { text, plain: true } => quote(text),
            Data::Scalar { text, plain: false } => format!("the text {}", quote(text)),
            Data::List(_) => "a list".to_owned(),
            Data::Map(_) => "a map".to_owned(),
        }
    }
}

/// The beginning of a text, between back quotes.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("`{}…`", text.get(..end).unwrap_or_default()),
        None => format!("`{text}`"),
    }
}

/// Why a text is no tree.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// It breaks YAML's grammar.
    #[error("is not YAML: {what}")]
    Syntax { line: usize, what: String },
    /// It holds several documents.
    #[error("holds a second document")]
    SecondDocument { line: usize },
    /// A list or a map stands where a key should.
    #[error("has a key that is not text")]
    Key { line: usize },
    /// A map has a key twice.
    #[error("`{name}` is set twice, first on line {first}")]
    Twice {
        line: usize,
        first: usize,
        name: String,
    },
}

impl Malformed {
    pub(crate) const fn line(&self) -> usize {
        match self {
            Self::Syntax { line, .. }
            | Self::SecondDocument { line }
            | Self::Key { line }
            | Self::Twice { line, .. } => *line,
        }
    }
}

/// Reads a text; `None` when it is empty or holds comments alone.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Vec<Malformed>> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    if let Err(error) = parser.load(&mut builder, true) {
        builder.malformed.push(syntax(&error));
    }
    if builder.malformed.is_empty() {
        Ok(builder.root)
    } else {
        Err(builder.malformed)
    }
}

fn syntax(error: &ScanError) -> Malformed {
    Malformed::Syntax {
        line: error.marker().line(),
        what: error.info().to_owned(),
    }
}

/// A list or map that is not closed yet.
struct Open {
    line: usize,
    anchor: usize,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map {
        entries: Vec<(Name, Node)>,
        name: Option<Name>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    documents: usize,
    anchors: BTreeMap<usize, Node>,
    malformed: Vec<Malformed>,
}

impl Builder {
    fn push(&mut self, line: usize, anchor: usize, kind: Kind) {
        self.open.push(Open { line, anchor, kind });
    }

    fn close(&mut self) {
        let Some(Open { line, anchor, kind }) = self.open.pop() else {
            return;
        };
        let data = match kind {
            Kind::List(nodes) => Data::List(nodes),
            Kind::Map { entries, .. } => Data::Map(entries),
        };
        self.place(Node { line, data }, anchor);
    }

    fn place(&mut self, node: Node, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(nodes)) => nodes.push(node),
            Some(Kind::Map { entries, name }) => match name.take() {
                Some(name) => entries.push((name, node)),
                None => match node.data {
                    Data::Scalar { text, .. } => {
                        if let Some((first, _)) = entries.iter().find(|(key, _)| key.text == text) {
                            self.malformed.push(Malformed::Twice {
                                line: node.line,
                                first: first.line,
                                name: text.clone(),
                            });
                        }
                        *name = Some(Name {
                            text,
                            line: node.line,
                        });
                    }
                    Data::List(_) | Data::Map(_) => {
                        self.malformed.push(Malformed::Key { line: node.line });
                        *name = Some(Name {
                            text: String::new(),
                            line: node.line,
                        });
                    }
                },
            },
        }
    }
}

impl MarkedEventReceiver for Builder {
    fn on_event(&mut self, event: Event, mark: Marker) {
        let line = mark.line();
        match event {
            Event::DocumentStart => {
                self.documents += 1;
                if self.documents == 2 {
                    self.malformed.push(Malformed::SecondDocument { line });
                }
            }
            Event::SequenceStart(anchor, _) => self.push(line, anchor, Kind::List(Vec::new())),
            Event::MappingStart(anchor, _) => self.push(
                line,
                anchor,
                Kind::Map {
                    entries: Vec::new(),
                    name: None,
                },
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Scalar(text, style, anchor, tag) => {
                // `!!str 123` is text as much as `"123"` is.
                let plain =
                    style == TScalarStyle::Plain && tag.is_none_or(|tag| tag.suffix != "str");
                let data = Data::Scalar { text, plain };
                self.place(Node { line, data }, anchor);
            }
            Event::Alias(anchor) => {
                if let Some(node) = self.anchors.get(&anchor).cloned() {
                    self.place(node, 0);
                }
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(node: &Node) -> String {
        match &node.data {
            Data::Scalar { text, plain: true } => format!("{text}@{}", node.line),
            Data::Scalar { text, plain: false } => format!("{text:?}@{}", node.line),
            Data::List(nodes) => {
                let nodes: Vec<String> = nodes.iter().map(written).collect();
                format!("[{}]@{}", nodes.join(" "), node.line)
            }
            Data::Map(entries) => {
                let entries: Vec<String> = entries
                    .iter()
                    .map(|(name, node)| format!("{}@{}={}", name.text, name.line, written(node)))
                    .collect();
                format!("{{{}}}", entries.join(" "))
            }
        }
    }

    fn tree(text: &str) -> String {
        match parse(text) {
            Ok(node) => node.as_ref().map_or("none".into(), written),
            Err(malformed) => malformed
                .iter()
                .map(|error| format!("{}: {error}", error.line()))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn keeps_lines_and_text() {
        assert_eq!(
            tree("# a comment\na: 0123\n\nb:\n  - \"7\"\n  - {c.d: !!str 1}\n"),
            r#"{a@2=0123@2 b@4=["7"@5 {c.d@6="1"@6}]@5}"#
        );
    }

    #[test]
    fn scalars_mean_what_yaml_takes_them_for() {
        let node = parse("[1, -2.5, true, ~, yes, \"1\", 'null', {a: x}]")
            .unwrap()
            .unwrap();
        assert_eq!(
            node.to_value(),
            serde_json::json!([1, -2.5, true, null, "yes", "1", "null", {"a": "x"}])
        );
    }

    #[test]
    fn empty_text_is_no_tree() {
        assert_eq!(tree(""), "none");
        assert_eq!(tree("# nothing but this\n"), "none");
    }

    #[test]
    fn anchors_are_followed() {
        assert_eq!(tree("a: &x [1]\nb: *x\n"), "{a@1=[1@1]@1 b@2=[1@1]@1}");
    }

    #[test]
    fn says_what_is_malformed_and_where() {
        assert_eq!(
            tree("a: 1\nb: 2\na: 3\nb: 4\n"),
            "3: `a` is set twice, first on line 1\n4: `b` is set twice, first on line 2"
        );
        assert_eq!(tree("a: 1\n---\nb: 1\n"), "2: holds a second document");
        assert_eq!(tree("[a]: 1\n"), "1: has a key that is not text");
        assert!(tree("a: 1\nb: [\nc: 2\n").contains(": is not YAML: "));
    }
}
