//! What formats with many fields share: values of a record by their type, and sentences for people.
//!
//! A value of another type than its field takes is none. Whatever a caller can write freely is bounded here, so that a
//! record of thirty thousand keys makes a document that is not much larger than the record.

use std::fmt::{self, Display, Formatter, Write as _};
use std::time::Duration;

use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::cloudtrail::record;
use crate::finding::{Finding, Sequence};
use crate::model::{Outcome, SequenceKind};

/// The most characters of a value that sentences show.
const SHOWN: usize = 256;
/// The most bytes that a free-form object may have to be carried as one. A value in a flattened field becomes a term with
/// its path, and Lucene takes none above 32,766 bytes; OpenSearch writes the field's own name before it.
const MOST_BYTES: usize = 32_000;
/// The most levels of such an object. Elasticsearch takes 20 in a flattened field.
const MOST_LEVELS: usize = 15;

/// A value that is written as the text that it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AsText<T>(pub(super) T);

impl<T: Display> Serialize for AsText<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The value where it says something: none where there is nothing in it.
pub(super) fn filled<T: Default + PartialEq>(value: T) -> Option<T> {
    (value != T::default()).then_some(value)
}

/// The string of an object's key, none where it is missing, of another type, or empty.
pub(super) fn text<'a>(object: Option<&'a Value>, key: &str) -> Option<&'a str> {
    object?.get(key)?.as_str().filter(|text| !text.is_empty())
}

/// The truth of an object's key, none where it is missing or of another type.
pub(super) fn truth(object: Option<&Value>, key: &str) -> Option<bool> {
    record::truth(object?.get(key)?)
}

/// The version of TLS and the name of its protocol: of `TLSv1.2` they are `1.2` and `tls`.
pub(super) fn tls_version(text: &str) -> (Option<&'static str>, &str) {
    [("TLSv", "tls"), ("SSLv", "ssl")]
        .iter()
        .find_map(|(prefix, protocol)| {
            let version = text.strip_prefix(prefix)?;
            (!version.is_empty()).then_some((Some(*protocol), version))
        })
        .unwrap_or((None, text))
}

/// A free-form value that is small and flat enough to be carried as it is, without its nulls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BoundedJson<'a>(&'a Value);

impl<'a> BoundedJson<'a> {
    /// The value; none where it is null, too large or too deep, or where a key holds a zero character, which no search
    /// engine takes.
    pub(super) fn from_value(value: Option<&'a Value>) -> Option<Self> {
        let value = value.filter(|value| !value.is_null())?;
        let mut left = MOST_BYTES;
        weigh(value, MOST_LEVELS, &mut left).then_some(Self(value))
    }

    /// The same, and none where it is no object or an empty one.
    pub(super) fn from_object(value: Option<&'a Value>) -> Option<Self> {
        let fields = value?.as_object()?;
        if fields.is_empty() {
            return None;
        }
        Self::from_value(value)
    }
}

/// Takes a value's bytes off what is left; false where there is not enough, or where it is not to be carried.
fn weigh(value: &Value, levels: usize, left: &mut usize) -> bool {
    let Some(inner) = levels.checked_sub(1) else {
        return false;
    };
    let mut take = |bytes: usize| match left.checked_sub(bytes) {
        Some(rest) => {
            *left = rest;
            true
        }
        None => false,
    };
    match value {
        Value::Null | Value::Bool(_) => take(6),
        Value::Number(_) => take(24),
        Value::String(text) => take(text.len() + 2),
        Value::Array(items) => {
            take(2)
                && items
                    .iter()
                    .all(|item| weigh(item, inner, left) && spare(left))
        }
        Value::Object(fields) => {
            take(2)
                && fields.iter().all(|(key, value)| {
                    !key.contains('\0') && key.len() < *left && {
                        *left -= key.len();
                        weigh(value, inner, left) && spare(left)
                    }
                })
        }
    }
}

/// Takes a separator's byte off what is left.
fn spare(left: &mut usize) -> bool {
    let rest = left.checked_sub(1);
    *left = rest.unwrap_or_default();
    rest.is_some()
}

impl Serialize for BoundedJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(fields) => {
                let mut map = serializer.serialize_map(None)?;
                for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                    map.serialize_entry(key, &BoundedJson(value))?;
                }
                map.end()
            }
            Value::Array(items) => {
                let mut list = serializer.serialize_seq(None)?;
                for item in items.iter().filter(|item| !item.is_null()) {
                    list.serialize_element(&BoundedJson(item))?;
                }
                list.end()
            }
            other => other.serialize(serializer),
        }
    }
}

/// Passes on so many characters, and then none.
pub(super) struct Truncating<'a> {
    out: &'a mut dyn fmt::Write,
    left: usize,
}

impl<'a> Truncating<'a> {
    pub(super) fn at(left: usize, out: &'a mut dyn fmt::Write) -> Self {
        Self { out, left }
    }

    /// Whether nothing more goes through.
    pub(super) const fn is_full(&self) -> bool {
        self.left == 0
    }
}

impl fmt::Write for Truncating<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.is_empty() {
            return Ok(());
        }
        if self.left == 0 {
            return Err(fmt::Error);
        }
        // A text has no more characters than bytes.
        if text.len() <= self.left {
            self.left -= text.chars().count();
            return self.out.write_str(text);
        }
        if let Some((end, _)) = text.char_indices().nth(self.left) {
            self.left = 0;
            return self.out.write_str(text.get(..end).unwrap_or(text));
        }
        self.left -= text.chars().count();
        self.out.write_str(text)
    }
}

/// Writes a value from a record within a sentence: on one line, and not without end.
fn shown(text: &str, out: &mut Formatter<'_>) -> fmt::Result {
    let breaks = |letter: char| letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}');
    if text.len() <= SHOWN && !text.contains(breaks) {
        return out.write_str(text);
    }
    for letter in text.chars().take(SHOWN) {
        out.write_char(if breaks(letter) { ' ' } else { letter })?;
    }
    if text.chars().nth(SHOWN).is_some() {
        out.write_char('…')?;
    }
    Ok(())
}

/// What happened, in one line for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sentence<'a>(pub(super) &'a Finding<'a>);

impl Display for Sentence<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Finding {
            record, detection, ..
        } = self.0;
        let facts = &detection.facts;
        let (actor, target) = (&facts.actor, &facts.target);
        let who = actor.name.or(actor.arn).or(actor.kind);
        let name = text(Some(&record.value), "eventName").unwrap_or("an API that is not named");
        if let Some((session, role)) = actor.session_name.zip(actor.role) {
            shown(session, out)?;
            out.write_str(" as the role ")?;
            shown(role, out)?;
        } else {
            shown(who.unwrap_or("somebody unknown"), out)?;
        }
        out.write_str(" called ")?;
        shown(name, out)?;
        let request = record.at(&["requestParameters"]);
        let about = [
            ("instance profile", target.instance_profile),
            ("role", target.role.or_else(|| text(request, "roleArn"))),
            ("user", text(request, "userName")),
            ("group", text(request, "groupName")),
        ];
        let mut before = " (";
        for (what, name) in about {
            if let Some(name) = name {
                for word in [before, what, " "] {
                    out.write_str(word)?;
                }
                shown(name, out)?;
                before = ", ";
            }
        }
        if before == ", " {
            out.write_char(')')?;
        }
        for (word, said) in [
            (" in account ", target.account),
            (" from ", facts.client.address),
        ] {
            if let Some(said) = said {
                out.write_str(word)?;
                shown(said, out)?;
            }
        }
        out.write_str(": ")?;
        out.write_str(facts.outcome.as_str())?;
        if let Some(error) = facts.error.filter(|_| facts.outcome != Outcome::Success) {
            out.write_str(" (")?;
            shown(error, out)?;
            out.write_char(')')?;
        }
        if let Some(sequence) = self.0.sequence {
            out.write_str("; ")?;
            told(sequence, out)?;
        }
        let severity = &detection.severity;
        write!(
            out,
            "; severity {}, {} of 100",
            severity.level.as_str(),
            severity.score
        )
    }
}

/// What the others of a sequence were, after what its own record says.
fn told(sequence: &Sequence, out: &mut Formatter<'_>) -> fmt::Result {
    let times = || sequence.steps.iter().map(|step| step.event_time);
    let first = times().min().unwrap_or_default();
    let between = times().max().unwrap_or_default().abs_diff(first);
    let between = humantime::format_duration(Duration::from_millis(between));
    let count = sequence.count;
    let last = sequence.steps.last();
    let kind = sequence.kind;
    match kind {
        SequenceKind::RoleSwap | SequenceKind::RoleRestored | SequenceKind::ProfileDeleted => {
            let actor = last.and_then(|step| step.actor.as_deref());
            shown(actor.unwrap_or("somebody unknown"), out)?;
            let role = last.and_then(|step| step.role.as_deref());
            match (kind, role) {
                (SequenceKind::ProfileDeleted, _) => out.write_str(" deleted the profile")?,
                (SequenceKind::RoleRestored, _) => out.write_str(" put the role back")?,
                (_, None) => out.write_str(" put another role in its place")?,
                (_, Some(role)) => {
                    out.write_str(" put the role ")?;
                    shown(role, out)?;
                    out.write_str(" in its place")?;
                }
            }
            write!(out, " {between} later")
        }
        SequenceKind::Burst => write!(
            out,
            "the last of {count} instance profiles within {between}"
        ),
        SequenceKind::DeniedBurst => write!(out, "the last of {count} denials within {between}"),
        SequenceKind::SuccessAfterDenied => write!(out, "after {count} denials within {between}"),
    }
}

/// Why a finding has its severity.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScoreBreakdown<'a>(pub(super) &'a Finding<'a>);

impl Display for ScoreBreakdown<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let severity = &self.0.detection.severity;
        if let Some(sequence) = self.0.sequence {
            write!(out, "{}: ", sequence.kind.title())?;
            told(sequence, out)?;
            out.write_str(". ")?;
        }
        write!(
            out,
            "Score {} of 100 ({})",
            severity.score,
            severity.level.as_str()
        )?;
        if severity.factors.is_empty() {
            out.write_str(": no factor applies")?;
        }
        for (place, factor) in severity.factors.iter().enumerate() {
            out.write_str(if place == 0 { ": " } else { ", " })?;
            out.write_str(factor.id)?;
            write!(out, " {:+}", factor.points)?;
        }
        if let Some(floor) = severity.floor {
            write!(out, "; raised to {} by {}", floor.score, floor.factor)?;
        }
        if let Some(cap) = severity.cap {
            write!(out, "; lowered to {} by {}", cap.score, cap.factor)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nested(levels: usize) -> Value {
        (1..levels).fold(json!({"bottom": 1}), |inside, _| json!({"in": inside}))
    }

    #[test]
    fn a_value_is_carried_up_to_its_limits() {
        let large = |bytes: usize| json!({"key": "x".repeat(bytes)});
        // The key, quotes, braces and a separator count too.
        assert!(BoundedJson::from_value(Some(&large(MOST_BYTES - 8))).is_some());
        assert!(BoundedJson::from_value(Some(&large(MOST_BYTES - 7))).is_none());
        // A value is a level of its own.
        assert!(BoundedJson::from_value(Some(&nested(MOST_LEVELS - 1))).is_some());
        assert!(BoundedJson::from_value(Some(&nested(MOST_LEVELS))).is_none());
        for refused in [json!(null), json!({"a\u{0}": 1}), json!([{"\u{0}": {}}])] {
            assert_eq!(BoundedJson::from_value(Some(&refused)), None, "{refused}");
        }
        for no_object in [json!({}), json!([1]), json!("text"), json!(7)] {
            assert_eq!(
                BoundedJson::from_object(Some(&no_object)),
                None,
                "{no_object}"
            );
        }
    }

    #[test]
    fn a_carried_value_leaves_without_its_nulls() {
        let value = json!({"a": null, "b": [null, {"c": null, "d": "e"}], "f": false});
        let carried = serde_json::to_value(BoundedJson::from_value(Some(&value))).unwrap();
        assert_eq!(carried, json!({"b": [{"d": "e"}], "f": false}));
    }

    #[test]
    fn a_text_is_cut_at_a_character() {
        for (left, want, full) in [
            (0, "", true),
            (3, "aéü", true),
            (5, "aéü€!", true),
            (6, "aéü€!", false),
        ] {
            let mut text = String::new();
            let mut cut = Truncating::at(left, &mut text);
            let written = cut.write_str("aé").and_then(|()| cut.write_str("ü€!"));
            assert_eq!(written.is_err(), left == 0, "{left}");
            assert_eq!(cut.is_full(), full, "{left}");
            assert_eq!(text, want);
        }
    }

    #[test]
    fn what_sentences_show_is_one_line_and_ends() {
        let shown = |text: &str| fmt::from_fn(|out| shown(text, out)).to_string();
        assert_eq!(shown("a\r\nb\u{2028}c"), "a  b c");
        let long = shown(&"ü".repeat(SHOWN + 1));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with("ü…"));
        assert_eq!(shown(&"ü".repeat(SHOWN)), "ü".repeat(SHOWN));
    }
}
