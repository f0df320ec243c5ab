//! The event's values as templates see them, each held against the characters that AWS takes in it.
//!
//! In flow a record's facts; out flows a text for every name, as it is and quoted: as one word of a shell, as a literal of
//! Python or of a query's language. Each is made when the first step asks for it, and then kept for the others.

use std::borrow::Cow;
use std::cell::OnceCell;

use super::{query, quote};
use crate::detection::facts::{Facts, is_iam_name};
use crate::detection::time::EventTime;
use crate::model::SequenceKind;

/// Every value that templates can use.
pub(super) const NAMES: [&str; 19] = [
    "instance_profile",
    "role",
    "account",
    "partition",
    "region",
    "access_key_id",
    "user",
    "actor_arn",
    "actor_account",
    "actor_role",
    "principal_arn",
    "home_region",
    "event_id",
    "event_time",
    "window_start",
    "window_end",
    "session_since",
    "history_since",
    "swapped_in_role",
];

/// How far before and after the event one looks for what belongs to it.
const WINDOW_MILLIS: i64 = 3_600_000;

/// The longest that temporary credentials live: 36 hours.
const SESSION_MILLIS: i64 = 36 * 3_600_000;

/// How far back CloudTrail's event history goes: 90 days.
const HISTORY_MILLIS: i64 = 90 * 24 * 3_600_000;

/// What stands in for a value, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// The event does not say.
    Missing,
    /// The event says something that AWS would not have taken.
    Unlikely,
}

/// How a template asks for a value to be quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quoting {
    /// As it is, for people.
    Plain,
    /// `| sh`
    Shell,
    /// `| py`
    Python,
    /// `| sql`
    Sql,
    /// `| sql_time`
    SqlTime,
    /// `| spl`
    Spl,
    /// `| spl_time`
    SplTime,
    /// `| esql`
    Esql,
    /// `| kql`
    Kql,
}

impl Quoting {
    /// Every one that is asked for by a filter.
    pub(super) const ALL: [Self; 8] = [
        Self::Shell,
        Self::Python,
        Self::Sql,
        Self::SqlTime,
        Self::Spl,
        Self::SplTime,
        Self::Esql,
        Self::Kql,
    ];

    /// The filter that asks for it.
    pub(super) const fn filter(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Shell => "sh",
            Self::Python => "py",
            Self::Sql => "sql",
            Self::SqlTime => "sql_time",
            Self::Spl => "spl",
            Self::SplTime => "spl_time",
            Self::Esql => "esql",
            Self::Kql => "kql",
        }
    }

    /// The text quoted in this way; none where it cannot be.
    pub(super) fn apply(self, text: &str) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Plain => Cow::Borrowed(text),
            Self::Shell => return quote::shell(text),
            Self::Python => Cow::Owned(quote::python(text)),
            Self::Sql => Cow::Owned(query::sql(text)?),
            Self::SqlTime => Cow::Owned(query::sql(&query::timestamp(text))?),
            Self::Spl => Cow::Owned(query::spl(text)?),
            Self::SplTime => Cow::Owned(query::spl(&query::seconds(text))?),
            Self::Esql | Self::Kql => Cow::Owned(query::backslashed(text)?),
        })
    }

    /// The marks between which the text may stand as it is.
    const fn marks(self) -> &'static str {
        match self {
            Self::Plain | Self::Shell => "",
            Self::Python | Self::Sql | Self::SqlTime => "'",
            Self::Spl | Self::SplTime | Self::Esql | Self::Kql => "\"",
        }
    }
}

/// One value, with what was made of it so far.
#[derive(Debug, Clone)]
struct Text<'a> {
    plain: Cow<'a, str>,
    gap: Option<Gap>,
    /// By the way of quoting, in the order of [`Quoting::ALL`].
    quoted: [OnceCell<Quoted>; Quoting::ALL.len()],
    /// Whether it stands in a JSON string as it is.
    is_plain_json: OnceCell<bool>,
}

/// A value in quotes.
#[derive(Debug, Clone)]
enum Quoted {
    /// It needs no change but the marks around it.
    Within,
    /// It had to be rewritten.
    Rewritten(String),
    /// It cannot be quoted in this way.
    Impossible,
}

impl<'a> Text<'a> {
    const fn new(plain: Cow<'a, str>, gap: Option<Gap>) -> Self {
        Self {
            plain,
            gap,
            quoted: [const { OnceCell::new() }; Quoting::ALL.len()],
            is_plain_json: OnceCell::new(),
        }
    }

    /// The marks around the text, and the text; none where it cannot be quoted in this way.
    fn quoted(&self, quoting: Quoting) -> Option<(&'static str, &str)> {
        let place = Quoting::ALL.iter().position(|known| *known == quoting);
        let Some(cell) = place.and_then(|place| self.quoted.get(place)) else {
            return Some(("", &self.plain));
        };
        let quoted = cell.get_or_init(|| {
            if stands_as_it_is(quoting, &self.plain) {
                return Quoted::Within;
            }
            match quoting.apply(&self.plain) {
                Some(Cow::Borrowed(word)) if word == self.plain => Quoted::Within,
                Some(word) => Quoted::Rewritten(word.into_owned()),
                None => Quoted::Impossible,
            }
        });
        match quoted {
            Quoted::Within => Some((quoting.marks(), &self.plain)),
            Quoted::Rewritten(text) => Some(("", text)),
            Quoted::Impossible => None,
        }
    }
}

/// Whether marks around a text are all that it needs: nearly every value is of this kind, and is then not copied.
fn stands_as_it_is(quoting: Quoting, text: &str) -> bool {
    let is_plain = || {
        text.bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && !b"'\"\\`*".contains(&byte))
    };
    match quoting {
        Quoting::Plain | Quoting::Shell | Quoting::SqlTime | Quoting::SplTime => false,
        Quoting::Python => quote::is_plain_python(text),
        Quoting::Sql | Quoting::Spl | Quoting::Esql | Quoting::Kql => is_plain(),
    }
}

/// What the event says, if it does, and whether AWS takes it.
type Candidate<'a> = (Option<Cow<'a, str>>, fn(&str) -> bool);

/// The values of one event, in the order of [`NAMES`].
#[derive(Debug, Clone)]
pub(super) struct Values<'a>([Text<'a>; NAMES.len()]);

impl<'a> Values<'a> {
    pub(super) fn from_facts(facts: &Facts<'a>) -> Self {
        let target = &facts.target;
        let actor = &facts.actor;
        let user = actor.name.filter(|_| actor.kind == Some("IAMUser"));
        let time = |shift: i64| {
            let at = facts.event_time?;
            let millis = at.millis.checked_add(shift)?;
            EventTime { millis, ..at }.rfc3339().map(Cow::Owned)
        };
        let borrowed = |text: Option<&'a str>| text.map(Cow::Borrowed);
        let sequence = facts.sequence.as_ref();
        let swapped_in = sequence
            .filter(|it| it.kind == SequenceKind::RoleSwap)
            .and_then(|it| it.role);
        let always: fn(&str) -> bool = |_| true;
        let values: [Candidate<'a>; NAMES.len()] = [
            (borrowed(target.instance_profile), is_name),
            (borrowed(target.role), is_name),
            (borrowed(target.account), is_account),
            (borrowed(Some(target.partition)), is_region),
            (borrowed(target.region), is_region),
            (borrowed(actor.access_key_id), is_key),
            (borrowed(user), is_name),
            (borrowed(actor.arn), is_arn),
            (borrowed(actor.account), is_account),
            (borrowed(actor.role), is_name),
            (actor.principal_arn.clone(), is_arn),
            (borrowed(home_region(target.partition)), always),
            (Some(facts.event_id.clone()), is_event_id),
            (time(0), always),
            (time(-WINDOW_MILLIS), always),
            (time(WINDOW_MILLIS), always),
            (time(-SESSION_MILLIS), always),
            (time(-HISTORY_MILLIS), always),
            (borrowed(swapped_in), is_name),
        ];
        let mut names = NAMES.into_iter();
        Self(values.map(|(value, takes)| {
            let name = names.next().unwrap_or_default();
            let gap = match value {
                Some(value) if takes(&value) => return Text::new(value, None),
                Some(_) => Gap::Unlikely,
                None => Gap::Missing,
            };
            Text::new(placeholder(name).into(), Some(gap))
        }))
    }

    /// Any text under every name.
    pub(super) fn from_texts(text: impl Fn(&'static str) -> String) -> Values<'static> {
        Values(NAMES.map(|name| Text::new(Cow::Owned(text(name)), None)))
    }

    /// A value in every field, as an ordinary event has.
    pub(super) fn sample() -> Values<'static> {
        Self::from_texts(|name| format!("sample-{name}"))
    }

    /// A value in every field that a shell takes apart unless it is quoted.
    pub(super) fn probe() -> Values<'static> {
        Self::from_texts(probe_of)
    }

    /// How long the value at a place of [`NAMES`] is when quoted; none where it cannot be.
    pub(super) fn length(&self, place: usize, quoting: Quoting) -> Option<usize> {
        let (marks, text) = self.0.get(place)?.quoted(quoting)?;
        Some(2 * marks.len() + text.len())
    }

    /// Appends the value at a place of [`NAMES`], quoted; none where it cannot be.
    pub(super) fn append(&self, place: usize, quoting: Quoting, out: &mut String) -> Option<()> {
        let (marks, text) = self.0.get(place)?.quoted(quoting)?;
        out.push_str(marks);
        out.push_str(text);
        out.push_str(marks);
        Some(())
    }

    /// Appends the value at a place of [`NAMES`], quoted, to a JSON string; none where it cannot be, or JSON would have to
    /// escape it.
    pub(super) fn append_to_json(
        &self,
        place: usize,
        quoting: Quoting,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let value = self.0.get(place)?;
        let (marks, text) = value.quoted(quoting)?;
        // What quoting rewrites is looked at each time, which is rare.
        let plain = || is_plain_json(&value.plain);
        let is_rewritten = text.len() != value.plain.len();
        if !value.is_plain_json.get_or_init(plain) || (is_rewritten && !is_plain_json(text)) {
            return None;
        }
        let marks = if marks == "\"" { "\\\"" } else { marks };
        for part in [marks, text, marks] {
            out.extend_from_slice(part.as_bytes());
        }
        Some(())
    }

    /// What the template engine renders with.
    pub(super) fn context(&self) -> minijinja::value::Value {
        let texts = self.0.iter().map(|text| text.plain.as_ref());
        minijinja::value::Value::from_pairs(NAMES.into_iter().zip(texts))
    }

    /// One note for each of the used values that is left to fill in.
    pub(super) fn notes<'b>(&'b self, uses: &'b [usize]) -> impl Iterator<Item = String> + 'b {
        uses.iter().filter_map(|place| {
            let text = self.0.get(*place)?;
            let why = match text.gap? {
                Gap::Missing => "the event does not say",
                Gap::Unlikely => "the event's value holds characters that AWS does not take",
            };
            Some(format!("{}: {why}; look it up and put it in.", text.plain))
        })
    }
}

/// Whether a JSON string holds the text as it is.
fn is_plain_json(text: &str) -> bool {
    !text
        .bytes()
        .any(|byte| matches!(byte, 0..b' ' | b'"' | b'\\'))
}

/// Where a name stands among [`NAMES`].
pub(super) fn place(name: &str) -> Option<usize> {
    NAMES.iter().position(|known| *known == name)
}

fn placeholder(name: &str) -> String {
    format!("<{}>", name.to_ascii_uppercase())
}

/// The value of one field in [`Values::probe`].
pub(super) fn probe_of(name: &str) -> String {
    format!("<{name}> 'a' \"b\" $c \\d #e")
}

/// The region in which IAM and its trail are, of a partition.
fn home_region(partition: &str) -> Option<&'static str> {
    Some(match partition {
        "aws" => "us-east-1",
        "aws-us-gov" => "us-gov-west-1",
        "aws-cn" => "cn-north-1",
        "aws-iso" => "us-iso-east-1",
        "aws-iso-b" => "us-isob-east-1",
        "aws-iso-e" => "eu-isoe-west-1",
        "aws-iso-f" => "us-isof-south-1",
        "aws-eusc" => "eusc-de-east-1",
        _ => return None,
    })
}

/// A name, unless a command would take it for an option.
fn is_name(text: &str) -> bool {
    is_iam_name(text) && !text.starts_with('-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A UUID, or the hash that stands for one.
fn is_event_id(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_key(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_arn(text: &str) -> bool {
    text.len() <= 2048
        && text.starts_with("arn:")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_against_what_aws_takes() {
        assert!(
            is_name("Web_App+=,.@-1")
                && !is_name("-x")
                && !is_name("")
                && !is_name("a b")
                && !is_name("é")
        );
        assert!(!is_name(&"a".repeat(129)));
        assert!(
            is_account("111122223333") && !is_account("11112222333") && !is_account("11112222333x")
        );
        assert!(
            is_region("us-gov-west-1")
                && !is_region("-east")
                && !is_region("us east")
                && !is_region("")
        );
        assert!(
            is_key("AKIAIOSFODNN7EXAMPLE") && !is_key("AKIA") && !is_key("akiaiosfodnn7example")
        );
        assert!(
            is_event_id("6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11")
                && is_event_id(&format!("sha256-{}", "0".repeat(64)))
                && !is_event_id("-6f1b0c1e")
                && !is_event_id("a b")
                && !is_event_id("")
                && !is_event_id(&"a".repeat(81))
        );
        assert!(
            is_arn("arn:aws:iam::111122223333:user/team/eve")
                && !is_arn("arn:aws:$(id)")
                && !is_arn("x")
        );
    }
}
