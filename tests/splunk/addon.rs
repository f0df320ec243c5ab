//! The add-on as Splunk would apply it to an event when it searches: the JSON's fields, then aliases, calculated fields,
//! lookups. It knows what the add-on uses, and fails on anything else.
//!
//! Another add-on may have settings for the same events, by their source type. A setting that both have is ours, since
//! settings of a source go before those of a source type; all others are in force as well, and those of a kind are taken
//! in the order of their names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

/// Field names and values; of a list the values stand in one, a line each.
pub(crate) type Fields = BTreeMap<String, String>;
/// The settings of a stanza, in the order of the file.
type Stanza = Vec<(String, String)>;

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config/siem/splunk/TA-trailtag")
}

/// The stanzas of a file in `default`.
pub(crate) fn conf(name: &str) -> Vec<(String, Stanza)> {
    let text = std::fs::read_to_string(folder().join("default").join(name)).unwrap();
    let mut stanzas: Vec<(String, Stanza)> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(stanza) = line.strip_prefix('[') {
            let stanza = stanza.strip_suffix(']').unwrap();
            stanzas.push((stanza.to_owned(), Stanza::new()));
            continue;
        }
        let (key, value) = line.split_once('=').unwrap();
        let (_, settings) = stanzas.last_mut().unwrap();
        let key = key.trim_end().to_owned();
        assert!(
            settings.iter().all(|(other, _)| *other != key),
            "{name} has {key} twice"
        );
        settings.push((key, value.trim_start().to_owned()));
    }
    stanzas
}

/// How much of an event Splunk reads when it looks for fields, unless `limits.conf` says more.
const EXTRACTION_CUTOFF: usize = 5_000;

/// Settings that another add-on has for the source type of our events, and its tables.
#[derive(Default)]
pub(crate) struct Foreign {
    pub(crate) settings: Vec<(&'static str, &'static str)>,
    pub(crate) tables: BTreeMap<&'static str, &'static str>,
    /// Whether its settings are taken after ours, and not with ours in the order of their names: Splunk's documentation can
    /// be read both ways.
    pub(crate) after_ours: bool,
}

/// What Splunk knows of an event when it searches.
pub(crate) fn search(event: &str, indexed: &Value) -> Fields {
    search_beside(event, indexed, &Foreign::default())
}

/// The same, with another add-on there.
pub(crate) fn search_beside(event: &str, indexed: &Value, foreign: &Foreign) -> Fields {
    let [(_, props)] = &conf("props.conf")[..] else {
        panic!("props.conf has one stanza")
    };
    let mut settings: BTreeMap<(bool, &str), &str> = BTreeMap::new();
    for (key, value) in &foreign.settings {
        if props.iter().all(|(ours, _)| ours != key) {
            settings.insert((foreign.after_ours, key), value);
        }
    }
    for (key, value) in props {
        settings.insert((false, key), value);
    }
    let of = |kind: &'static str| {
        let settings = settings.iter();
        settings.filter_map(move |((_, key), value)| Some((key.strip_prefix(kind)?, *value)))
    };

    let mut fields = Fields::new();
    extract(event, &mut fields);
    for (name, value) in indexed.as_object().into_iter().flatten() {
        put(&mut fields, name, value.as_str().unwrap());
    }
    for (name, value) in [("_raw", event), ("sourcetype", "aws:cloudtrail")] {
        fields.insert(name.to_owned(), value.to_owned());
    }
    for (class, value) in of("FIELDALIAS-") {
        let words = shlex::split(value).unwrap();
        assert_eq!(words.len() % 3, 0, "{class}");
        for alias in words.chunks(3) {
            assert_eq!(alias[1], "AS", "{class}");
            // An alias of nothing takes away what has its name.
            match fields.get(&alias[0]).cloned() {
                Some(value) => fields.insert(alias[2].clone(), value),
                None => fields.remove(&alias[2]),
            };
        }
    }
    // None of them sees what another gives.
    let mut calculated = fields.clone();
    for (name, value) in of("EVAL-") {
        match evaluate(value, &fields) {
            Some(value) => calculated.insert(name.to_owned(), value),
            None => calculated.remove(name),
        };
    }
    // Neither does one of these.
    let mut found = calculated.clone();
    for (_, value) in of("LOOKUP-") {
        look_up(value, &calculated, foreign, &mut found);
    }
    found
}

fn put(fields: &mut Fields, name: &str, value: &str) {
    fields
        .entry(name.to_owned())
        .and_modify(|values| {
            values.push('\n');
            values.push_str(value);
        })
        .or_insert_with(|| value.to_owned());
}

/// `KV_MODE = json`, as far as Splunk reads.
fn extract(event: &str, fields: &mut Fields) {
    let read = event.len().min(EXTRACTION_CUTOFF);
    let mut reader = Reader {
        rest: &event.as_bytes()[..read],
        fields,
    };
    let whole = reader.value("");
    assert!(whole.is_some() || read < event.len(), "{event}");
}

/// Reads JSON that may end anywhere; a value that does not end is none.
struct Reader<'a> {
    rest: &'a [u8],
    fields: &'a mut Fields,
}

impl<'a> Reader<'a> {
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.first().copied()
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        taken
    }

    fn value(&mut self, name: &str) -> Option<()> {
        match self.peek()? {
            b'{' => self.members(b'}', |reader| {
                let key = reader.text()?;
                assert_eq!(reader.peek()?, b':');
                reader.take(1);
                let dot = if name.is_empty() { "" } else { "." };
                reader.value(&format!("{name}{dot}{key}"))
            }),
            b'[' => self.members(b']', |reader| reader.value(&format!("{name}{{}}"))),
            b'"' => {
                let text = self.text()?;
                put(self.fields, name, &text);
                Some(())
            }
            _ => {
                let ends = |byte: &u8| b",]} \n\t\r".contains(byte);
                let length = self.rest.iter().position(ends)?;
                // A null is a word here, as in Splunk.
                let word = self.take(length);
                put(self.fields, name, std::str::from_utf8(word).unwrap());
                Some(())
            }
        }
    }

    fn members(&mut self, end: u8, mut member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.take(1);
        while self.peek()? != end {
            member(self)?;
            if self.peek()? == b',' {
                self.take(1);
            }
        }
        self.take(1);
        Some(())
    }

    fn text(&mut self) -> Option<String> {
        assert_eq!(self.peek()?, b'"');
        let mut escaped = false;
        let end = self.rest[1..].iter().position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })?;
        Some(serde_json::from_slice(self.take(end + 2)).unwrap())
    }
}

/// `table field [AS ours] … OUTPUT|OUTPUTNEW field [AS ours] …`.
fn look_up(setting: &str, from: &Fields, foreign: &Foreign, to: &mut Fields) {
    let split = |char| char == ' ' || char == ',';
    let words: Vec<&str> = setting
        .split(split)
        .filter(|word| !word.is_empty())
        .collect();
    let middle = words.iter().position(|word| word.starts_with("OUTPUT"));
    let middle = middle.unwrap_or_else(|| panic!("{setting} is of another form"));
    let pairs = |words: &[&str]| {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut words = words.iter().peekable();
        while let Some(word) = words.next() {
            let renamed = words
                .next_if(|word| **word == "AS")
                .and_then(|_| words.next());
            pairs.push(((*word).to_owned(), (*renamed.unwrap_or(word)).to_owned()));
        }
        pairs
    };
    let inputs = pairs(&words[1..middle]);
    let values: Option<Vec<&String>> = inputs.iter().map(|(_, field)| from.get(field)).collect();
    let Some(values) = values else { return };
    let rows = table(words[0], foreign);
    let mut rows = rows.iter().filter(|row| {
        let mut inputs = inputs.iter().zip(&values);
        inputs.all(|((column, _), value)| row[column] == **value)
    });
    let row = rows.next();
    assert!(
        rows.next().is_none(),
        "{setting}: more than one row for {values:?}"
    );
    for (column, field) in pairs(&words[middle + 1..]) {
        if words[middle] == "OUTPUTNEW" && to.contains_key(&field) {
            continue;
        }
        // A table that does not have what is looked up takes away what is there.
        match row {
            Some(row) => to.insert(field, row[&column].clone()),
            None => to.remove(&field),
        };
    }
}

fn table(name: &str, foreign: &Foreign) -> Vec<BTreeMap<String, String>> {
    let text = foreign.tables.get(name).map_or_else(
        || {
            let transforms = conf("transforms.conf");
            let (_, settings) = transforms.iter().find(|(other, _)| other == name).unwrap();
            let (_, file) = settings.iter().find(|(key, _)| key == "filename").unwrap();
            std::fs::read_to_string(folder().join("lookups").join(file)).unwrap()
        },
        |text| (*text).to_owned(),
    );
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    rows.deserialize().map(Result::unwrap).collect()
}

/// The value of an expression.
fn evaluate(expression: &str, fields: &Fields) -> Option<String> {
    let mut parser = Parser {
        tokens: tokens(expression),
        at: 0,
        fields,
    };
    let value = parser.comparison();
    assert_eq!(parser.at, parser.tokens.len(), "{expression}");
    match value {
        Answer::Null => None,
        Answer::Text(text) => Some(text),
        Answer::Truth(_) => panic!("Splunk takes no truth value for a field: {expression}"),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Text(String),
    Field(String),
    Function(String),
    Sign(char),
}

fn tokens(expression: &str) -> Vec<Token> {
    let token = Regex::new(
        r#"^(?:"(?<text>(?:[^"\\]|\\.)*)"|'(?<quoted>[^']+)'|(?<function>[a-z]+)\(|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<number>[0-9]+)|(?<sign>[=,().]))\s*"#,
    )
    .unwrap();
    let mut rest = expression;
    let mut tokens = Vec::new();
    while !rest.is_empty() {
        let found = token
            .captures(rest)
            .unwrap_or_else(|| panic!("unknown to this evaluator: {rest}"));
        let named = |name| found.name(name).map(|part| part.as_str().to_owned());
        tokens.push(
            if let Some(text) = named("text").or_else(|| named("number")) {
                Token::Text(text.replace("\\\"", "\""))
            } else if let Some(field) = named("quoted").or_else(|| named("name")) {
                Token::Field(field)
            } else if let Some(function) = named("function") {
                Token::Function(function)
            } else {
                Token::Sign(named("sign").unwrap().chars().next().unwrap())
            },
        );
        rest = &rest[found[0].len()..];
    }
    tokens
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Null,
    Text(String),
    Truth(bool),
}

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    fields: &'a Fields,
}

impl Parser<'_> {
    fn takes(&mut self, sign: char) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    /// A comparison with null is neither true nor false.
    fn comparison(&mut self) -> Answer {
        let left = self.concatenation();
        if !self.takes('=') {
            return left;
        }
        match (left, self.concatenation()) {
            (Answer::Text(left), Answer::Text(right)) => Answer::Truth(left == right),
            _ => Answer::Null,
        }
    }

    fn concatenation(&mut self) -> Answer {
        let mut left = self.term();
        while self.takes('.') {
            left = match (left, self.term()) {
                (Answer::Text(left), Answer::Text(right)) => Answer::Text(left + &right),
                _ => Answer::Null,
            };
        }
        left
    }

    fn term(&mut self) -> Answer {
        let token = self.tokens[self.at].clone();
        self.at += 1;
        match token {
            Token::Text(text) => Answer::Text(text),
            Token::Field(name) => self
                .fields
                .get(&name)
                .map_or(Answer::Null, |value| Answer::Text(value.clone())),
            Token::Function(name) => {
                let mut given = Vec::new();
                while !self.takes(')') {
                    assert!(given.is_empty() || self.takes(','), "{name}");
                    given.push(self.comparison());
                }
                call(&name, &given)
            }
            Token::Sign(sign) => panic!("{sign} begins no value"),
        }
    }
}

fn call(name: &str, given: &[Answer]) -> Answer {
    match (name, given) {
        ("if", [condition, yes, no]) => {
            let holds = *condition == Answer::Truth(true);
            if holds { yes.clone() } else { no.clone() }
        }
        ("case", pairs) if pairs.len() % 2 == 0 => pairs
            .chunks(2)
            .find(|pair| pair[0] == Answer::Truth(true))
            .map_or(Answer::Null, |pair| pair[1].clone()),
        ("coalesce", values) => {
            let first = values.iter().find(|value| **value != Answer::Null);
            first.cloned().unwrap_or(Answer::Null)
        }
        ("isnull", [value]) => Answer::Truth(*value == Answer::Null),
        ("isnotnull", [value]) => Answer::Truth(*value != Answer::Null),
        ("nullif", [left, right]) => {
            if left == right {
                Answer::Null
            } else {
                left.clone()
            }
        }
        ("match" | "spath", [Answer::Null, _]) | ("null", []) => Answer::Null,
        ("match", [Answer::Text(text), Answer::Text(pattern)]) => {
            Answer::Truth(Regex::new(pattern).unwrap().is_match(text))
        }
        (
            "replace",
            [
                Answer::Text(text),
                Answer::Text(pattern),
                Answer::Text(with),
            ],
        ) => {
            let with = Regex::new(r"\\([0-9])")
                .unwrap()
                .replace_all(with, "$${$1}");
            let pattern = Regex::new(pattern).unwrap();
            Answer::Text(pattern.replace_all(text, &*with).into_owned())
        }
        ("spath", [Answer::Text(text), Answer::Text(path)]) => {
            let mut fields = Fields::new();
            extract(text, &mut fields);
            fields.remove(path).map_or(Answer::Null, Answer::Text)
        }
        _ => panic!("unknown to this evaluator: {name}{given:?}"),
    }
}

#[test]
fn the_evaluator_does_as_splunk_does() {
    let json = r#"{"f":"x\"y","g":{"h":[1,2]}}"#;
    let fields: Fields = [("a", "1"), ("b.c", "two"), ("n", "null"), ("json", json)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    for (expression, want) in [
        ("a", Some("1")),
        ("'b.c'", Some("two")),
        ("x", None),
        ("coalesce(x, 'x.y', 'b.c', \"z\")", Some("two")),
        ("if(x=\"1\", \"yes\", \"no\")", Some("no")),
        ("if(a=1, \"yes\", \"no\")", Some("yes")),
        (
            "case(isnull(a), \"p\", isnotnull('b.c'), \"q\", 1=1, \"r\")",
            Some("q"),
        ),
        ("case(a=\"2\", \"p\")", None),
        ("\"x/\" . 'b.c' . a", Some("x/two1")),
        ("\"x/\" . x", None),
        ("if(match('b.c', \"^t[w]o$\"), a, null())", Some("1")),
        ("if(match(x, \".\"), a, null())", None),
        ("n", Some("null")),
        (
            r#"if(match(json, "^[{]\"f\":"), replace(json, "^[{]\"(f)\":.*", "<\1>"), n)"#,
            Some("<f>"),
        ),
        (r#"replace(n, "u", "")"#, Some("nll")),
        (r#"spath(json, "f")"#, Some("x\"y")),
        (r#"spath(json, "g.h{}")"#, Some("1\n2")),
        (r#"spath(json, "g.i")"#, None),
        (r#"spath(x, "f")"#, None),
        (
            "coalesce(nullif(n, \"null\"), nullif(a, \"null\"))",
            Some("1"),
        ),
    ] {
        assert_eq!(
            evaluate(expression, &fields).as_deref(),
            want,
            "{expression}"
        );
    }
}

#[test]
fn fields_are_looked_for_in_the_beginning_of_an_event_alone() {
    let long = "x".repeat(EXTRACTION_CUTOFF);
    let mut fields = Fields::new();
    extract(
        &format!(r#"{{"a":[{{"b":1}},null],"c":"\"","d":{{}},"long":"{long}","after":1}}"#),
        &mut fields,
    );
    let want = [("a{}.b", "1"), ("a{}", "null"), ("c", "\"")];
    let want = want.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, want.into());
}

#[test]
fn lookups_do_as_splunk_does() {
    let foreign = Foreign {
        settings: Vec::new(),
        tables: [("t", "k,l,v,w\n1,2,three,four\n")].into(),
        after_ours: false,
    };
    let from = |pairs: &[(&str, &str)]| -> Fields {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    };
    for (setting, fields, want) in [
        ("t k OUTPUT v", from(&[("k", "1")]), Some("three")),
        (
            "t k OUTPUT v",
            from(&[("k", "1"), ("v", "old")]),
            Some("three"),
        ),
        (
            "t k OUTPUTNEW v",
            from(&[("k", "1"), ("v", "old")]),
            Some("old"),
        ),
        ("t k OUTPUTNEW v", from(&[("k", "1")]), Some("three")),
        ("t k OUTPUT v", from(&[("k", "9"), ("v", "old")]), None),
        ("t k OUTPUT v", from(&[("v", "old")]), Some("old")),
        (
            "t k AS a, l AS b OUTPUT w AS v, v AS x",
            from(&[("a", "1"), ("b", "2")]),
            Some("four"),
        ),
    ] {
        let mut to = fields.clone();
        look_up(setting, &fields, &foreign, &mut to);
        assert_eq!(
            to.get("v").map(String::as_str),
            want,
            "{setting} {fields:?}"
        );
    }
}
