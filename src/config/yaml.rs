//! YAML as it was written: every value with its line, every scalar with its text.
//!
//! Text in, a [`Node`] out, or the first bound that it passes (`budget.rs`). The text of a scalar is kept because only
//! the schema knows whether `0123` is a number or the name of a group; the lines are kept because a fault names its
//! line. It decides nothing about meaning.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;
use yaml_rust2::{ScanError, Yaml};

mod budget;

use budget::Budget;
pub(crate) use budget::MAX_BYTES;

/// How many faults of one text are told, where each line may have one.
const MOST_FAULTS: usize = 100;

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

    /// What stands at a key of a map; more than one where it stands there several times.
    pub(crate) fn entries_of(&self, key: &str) -> impl Iterator<Item = &Self> {
        let entries = match &self.data {
            Data::Map(entries) => entries.as_slice(),
            Data::Scalar { .. } | Data::List(_) => &[],
        };
        entries
            .iter()
            .filter(move |(name, _)| name.text == key)
            .map(|(_, node)| node)
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

/// The text without what stands before the `@` of a URL, or of a host as in one: it may be a password.
pub(crate) fn without_credentials(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((before, host)) if before.contains(':') => {
            let scheme = before.find("://").and_then(|at| before.get(..at + 3));
            Cow::Owned(format!("{}…@{host}", scheme.unwrap_or_default()))
        }
        _ => Cow::Borrowed(text),
    }
}

/// The beginning of a text, between back quotes.
pub(crate) fn quote(text: &str) -> String {
    let text = without_credentials(text);
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
    /// An alias stands inside what it repeats, or repeats nothing.
    #[error("has an alias that repeats what it stands in")]
    Circle { line: usize },
    /// Some readers of YAML take this for a line break, and others do not.
    #[error(
        "has a line separator of Unicode; remove it, or write it as `\\u2028` in double quotes"
    )]
    Separator { line: usize },
    /// It has too many bytes.
    #[error("has {bytes} bytes, and {limit} is the most of one YAML document")]
    Large { bytes: usize, limit: usize },
    /// It is nested too deep.
    #[error("has lists and maps nested more than {limit} deep")]
    Deep { line: usize, limit: usize },
    /// Brackets are opened without end.
    #[error("has more than {limit} brackets open at once")]
    Brackets { line: usize, limit: usize },
    /// It has too many characters that may be tokens.
    #[error(
        "has {marks} brackets, quotes, commas, colons and the like, and {limit} is the most of one YAML document"
    )]
    Marks { marks: usize, limit: usize },
    /// It has too many values.
    #[error("has more than {limit} keys and values, those that aliases repeat among them")]
    Many { line: usize, limit: usize },
    /// Aliases repeat too much.
    #[error(
        "has anchors and aliases (`&`, `*`) that repeat more than {values} values or {bytes} bytes"
    )]
    Repeats {
        line: usize,
        values: usize,
        bytes: usize,
    },
}

impl Malformed {
    /// Where; none where it is the text as a whole.
    pub(crate) const fn line(&self) -> Option<usize> {
        match self {
            Self::Syntax { line, .. }
            | Self::SecondDocument { line }
            | Self::Key { line }
            | Self::Twice { line, .. }
            | Self::Circle { line }
            | Self::Separator { line }
            | Self::Deep { line, .. }
            | Self::Brackets { line, .. }
            | Self::Many { line, .. }
            | Self::Repeats { line, .. } => Some(*line),
            Self::Large { .. } | Self::Marks { .. } => None,
        }
    }
}

/// Reads a text; `None` when it is empty or holds comments alone.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, Vec<Malformed>> {
    let mut builder = Builder::default();
    if let Err(error) = events(text, |event, line| builder.take(event, line)) {
        builder.malformed.push(error);
    }
    if builder.malformed.is_empty() {
        Ok(builder.root)
    } else {
        Err(builder.malformed)
    }
}

/// Reads a text that another reader of YAML is given afterwards, so that it does its work within the same bounds.
///
/// Keys that stand twice are left to the other. Where the two could take a text differently, it is refused: what this
/// one took for a comment could be a bomb to the other.
pub(crate) fn parse_for_another(text: &str) -> Result<Option<Node>, Malformed> {
    let breaks = |c| matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    if let Some(at) = text.find(breaks) {
        let before = text.get(..at).unwrap_or_default();
        return Err(Malformed::Separator {
            line: before.matches('\n').count() + 1,
        });
    }
    let mut builder = Builder::default();
    events(text, |event, line| builder.take(event, line))?;
    let mut malformed = builder.malformed.into_iter();
    match malformed.find(|error| matches!(error, Malformed::SecondDocument { .. })) {
        Some(error) => Err(error),
        None => Ok(builder.root),
    }
}

/// Gives each event that the bounds admit, with its line, to `take`.
fn events(text: &str, mut take: impl FnMut(Event, usize)) -> Result<(), Malformed> {
    budget::check_text(text)?;
    let mut budget = Budget::default();
    let mut parser = Parser::new_from_str(text);
    // Not `Parser::load`: it calls itself for each level, whatever the receiver thinks of it.
    loop {
        let (event, mark) = parser.next_token().map_err(|error| syntax(&error))?;
        if event == Event::StreamEnd {
            return Ok(());
        }
        budget.admit(&event, mark.line())?;
        take(event, mark.line());
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
        /// The lines of its keys.
        seen: BTreeMap<String, usize>,
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
            Some(Kind::Map {
                entries,
                name,
                seen,
            }) => match name.take() {
                Some(name) => entries.push((name, node)),
                None => *name = Some(key(node, seen, &mut self.malformed)),
            },
        }
    }

    fn take(&mut self, event: Event, line: usize) {
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
                    seen: BTreeMap::new(),
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

/// What stands where a key should.
fn key(node: Node, seen: &mut BTreeMap<String, usize>, malformed: &mut Vec<Malformed>) -> Name {
    let mut tell = |error| {
        if malformed.len() < MOST_FAULTS {
            malformed.push(error);
        }
    };
    let line = node.line;
    let Data::Scalar { text, .. } = node.data else {
        tell(Malformed::Key { line });
        return Name {
            text: String::new(),
            line,
        };
    };
    match seen.get(&text) {
        Some(&first) => tell(Malformed::Twice {
            line,
            first,
            name: text.clone(),
        }),
        None => {
            seen.insert(text.clone(), line);
        }
    }
    Name { text, line }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

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
                .map(|error| format!("{}: {error}", error.line().unwrap_or_default()))
                .collect::<Vec<_>>()
                .join("\n"),
        }
    }

    #[test]
    fn what_is_quoted_holds_no_credentials() {
        for (text, want) in [
            (
                "sasl_ssl://user:secret@kafka:9092",
                "`sasl_ssl://…@kafka:9092`",
            ),
            ("user:secret@kafka:9092", "`…@kafka:9092`"),
            ("someone@example.com", "`someone@example.com`"),
            ("kafka:9092", "`kafka:9092`"),
        ] {
            assert_eq!(quote(text), want);
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

    /// A billion laughs: each line repeats the one before it ten times.
    fn laughs() -> String {
        let mut text = "a0: &a0 \"lollollollollollollollollollol\"\n".to_owned();
        for level in 1..10 {
            let before = format!("*a{},", level - 1).repeat(10);
            let _ = writeln!(text, "a{level}: &a{level} [{before}]");
        }
        text
    }

    #[test]
    fn a_few_bytes_cost_a_few_bytes() {
        for (text, wants) in [
            (laughs(), "repeat more than 100000 values or 1048576 bytes"),
            (
                format!(
                    "a: &a {}\nb: [{}]\n",
                    "x".repeat(500_000),
                    "*a,".repeat(1000)
                ),
                "repeat more than 100000 values",
            ),
            (format!("{}x{}", "&a [".repeat(60), "]".repeat(60)), "["),
            ("[".repeat(100_000), "more than 1000 brackets open"),
            (" [\n".repeat(100_000), "more than 1000 brackets open"),
            ("- ".repeat(100_000), "nested more than 64 deep"),
            ("? ".repeat(100_000), "nested more than 64 deep"),
            ("[".repeat(65) + &"]".repeat(65), "nested more than 64 deep"),
            (
                format!("[{}]", "a,".repeat(100_001)),
                "more than 100000 keys and values",
            ),
            (format!("[{}", ",".repeat(500_000)), "500001 brackets"),
            ("x".repeat(MAX_BYTES + 1), "has 1048577 bytes"),
            ("a: &a [*a]\n".to_owned(), "repeats what it stands in"),
        ] {
            let head: String = text.chars().take(20).collect();
            let told = tree(&text);
            assert!(told.contains(wants), "{head}: {told:.200}");
        }
    }

    #[test]
    fn honest_files_are_within_the_bounds() {
        let deep = "[".repeat(64) + &"]".repeat(64);
        let many = format!("[{}]", "a,".repeat(99_000));
        let regexes = "- '[^['\n".repeat(500);
        let anchors = format!("a: &a {{{}}}\n{}", "k: v", "b: [*a, *a]");
        for text in [deep, many, regexes, anchors] {
            assert!(parse(&text).is_ok());
            assert!(parse_for_another(&text).is_ok());
        }
    }

    #[test]
    fn what_readers_take_differently_is_refused() {
        let refused = |text: &str| parse_for_another(text).map(drop).unwrap_err();
        // To libyaml a comment ends here, and what follows is read.
        for separator in ['\u{85}', '\u{2028}', '\u{2029}'] {
            let text = format!("a: 1\n# {separator}b: &b [*b]\n");
            assert_eq!(refused(&text), Malformed::Separator { line: 2 });
        }
        assert!(matches!(refused(&laughs()), Malformed::Repeats { .. }));
        assert_eq!(
            refused("a: 1\n...\nb: 1\n"),
            Malformed::SecondDocument { line: 3 }
        );
        assert!(matches!(refused("a: ]\n"), Malformed::Syntax { .. }));
        assert!(
            parse_for_another("a: 1\na: 2\n").is_ok(),
            "it is for the other to tell"
        );
    }

    #[test]
    fn keys_in_their_thousands_take_no_more_than_their_share() {
        let mut keys = String::new();
        for key in 0..49_000 {
            let _ = writeln!(keys, "key{key}: 1");
        }
        assert!(parse(&keys).is_ok());
        let told = parse(&"a: 1\n".repeat(40_000)).map(drop).unwrap_err();
        assert_eq!(told.len(), MOST_FAULTS);
    }
}
