//! The add-on as Splunk would apply it to an event when it searches: the JSON's fields, then aliases, calculated fields,
//! lookups. It knows what the add-on uses, and fails on anything else.

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

/// What Splunk knows of an event when it searches.
pub(crate) fn search(event: &Value, indexed: &Value) -> Fields {
    let mut fields = Fields::new();
    extract("", event, &mut fields);
    for (name, value) in indexed.as_object().into_iter().flatten() {
        put(&mut fields, name, value.as_str().unwrap());
    }
    let [(_, props)] = &conf("props.conf")[..] else {
        panic!("props.conf has one stanza")
    };
    for (key, value) in props
        .iter()
        .filter(|(key, _)| key.starts_with("FIELDALIAS-"))
    {
        let words = shlex::split(value).unwrap();
        assert_eq!(words.len() % 3, 0, "{key}");
        for alias in words.chunks(3) {
            assert_eq!(alias[1], "AS", "{key}");
            if let Some(value) = fields.get(&alias[0]).cloned() {
                fields.insert(alias[2].clone(), value);
            }
        }
    }
    // None of them sees what another gives.
    let mut calculated = fields.clone();
    for (key, value) in props {
        if let Some(name) = key.strip_prefix("EVAL-") {
            match evaluate(value, &fields) {
                Some(value) => calculated.insert(name.to_owned(), value),
                None => calculated.remove(name),
            };
        }
    }
    for (key, value) in props.iter().filter(|(key, _)| key.starts_with("LOOKUP-")) {
        let words: Vec<&str> = value.split(' ').collect();
        let [lookup, input, "OUTPUT", output] = words[..] else {
            panic!("{key} is of another form")
        };
        if let Some(found) = calculated
            .get(input)
            .and_then(|value| look_up(lookup, input, value, output))
        {
            calculated.insert(output.to_owned(), found);
        }
    }
    calculated
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

/// `KV_MODE = json`.
fn extract(name: &str, value: &Value, fields: &mut Fields) {
    match value {
        Value::Object(members) => {
            for (key, value) in members {
                let dot = if name.is_empty() { "" } else { "." };
                extract(&format!("{name}{dot}{key}"), value, fields);
            }
        }
        Value::Array(values) => {
            for value in values {
                extract(&format!("{name}{{}}"), value, fields);
            }
        }
        Value::String(text) => put(fields, name, text),
        // A null is a word here, as in Splunk.
        other => put(fields, name, &other.to_string()),
    }
}

fn look_up(lookup: &str, input: &str, value: &str, output: &str) -> Option<String> {
    let transforms = conf("transforms.conf");
    let (_, settings) = transforms.iter().find(|(name, _)| name == lookup).unwrap();
    let (_, file) = settings.iter().find(|(key, _)| key == "filename").unwrap();
    let mut rows = csv::Reader::from_path(folder().join("lookups").join(file)).unwrap();
    let rows: Vec<BTreeMap<String, String>> = rows.deserialize().map(Result::unwrap).collect();
    let row = rows.iter().find(|row| row[input] == value)?;
    Some(row[output].clone())
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
        r#"^(?:"(?<text>[^"\\]*)"|'(?<quoted>[^']+)'|(?<function>[a-z]+)\(|(?<name>[A-Za-z_][A-Za-z0-9_]*)|(?<number>[0-9]+)|(?<sign>[=,().]))\s*"#,
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
                Token::Text(text)
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
        ("match", [Answer::Null, _]) | ("null", []) => Answer::Null,
        ("match", [Answer::Text(text), Answer::Text(pattern)]) => {
            Answer::Truth(Regex::new(pattern).unwrap().is_match(text))
        }
        _ => panic!("unknown to this evaluator: {name}{given:?}"),
    }
}

#[test]
fn the_evaluator_does_as_splunk_does() {
    let fields: Fields = [("a", "1"), ("b.c", "two"), ("n", "null")]
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
