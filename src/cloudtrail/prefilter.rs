//! Rejects, without parsing, what no rule can want.
//!
//! In: the bytes of a payload or of one record, and the literals that the rules require. Out: whether a rule could
//! match. It is exact in one direction: it never rejects what parsing and the rules would have matched. JSON can spell
//! a letter as `\u0052`, at any level of strings within strings, so an escape that stands for a letter of a literal,
//! or for the backslash of a further escape, lets the bytes through. It reads the text once, with vector
//! instructions where the machine has them, and allocates nothing.

use super::scan::trim;
use super::text::hex4;
use aho_corasick::{AhoCorasick, PatternID, packed};

/// The escape that may hide a letter.
const ESCAPE: &[u8] = b"\\u";

/// What stands where one document ends, or breaks off, and another begins. A record that CloudTrail wrote has it within
/// strings alone, and there seldom.
const SEAMS: [&[u8]; 6] = [b"}{", b"} ", b"}\n", b"}\r", b"}\t", b"\n{"];

/// The literals that the loaded rules require, ready to be searched for.
#[derive(Debug)]
pub struct Prefilter {
    /// None lets everything through.
    searches: Option<Searches>,
}

#[derive(Debug)]
struct Searches {
    /// The escape, then the literals.
    literals: Search,
    /// The escape, then the literals and the seams.
    literals_and_seams: Search,
    /// What is in a literal and is neither letter nor digit.
    signs: Vec<u8>,
}

/// One pass for several patterns.
#[derive(Debug)]
enum Search {
    /// A vector search, for a few dozen patterns.
    Packed(packed::Searcher),
    /// An automaton, for more, or where there are no such instructions.
    Automaton(AhoCorasick),
}

impl Search {
    fn new(patterns: &[&[u8]]) -> Option<Self> {
        if let Some(packed) = packed::Searcher::new(patterns) {
            return Some(Self::Packed(packed));
        }
        AhoCorasick::new(patterns).ok().map(Self::Automaton)
    }

    /// The first pattern at or after `from`: which one, and where it begins.
    fn find(&self, text: &[u8], from: usize) -> Option<(PatternID, usize)> {
        let span = aho_corasick::Span {
            start: from,
            end: text.len(),
        };
        let found = match self {
            Self::Packed(packed) => packed.find_in(text, span)?,
            Self::Automaton(automaton) => {
                automaton.find(aho_corasick::Input::new(text).span(span))?
            }
        };
        Some((found.pattern(), found.start()))
    }
}

impl Prefilter {
    /// A prefilter that lets through what contains at least one of `literals`; `None` (some rule requires none)
    /// lets everything through, and so does a literal that JSON could spell otherwise than letter by letter or as
    /// `\u` escapes: anything but letters, digits, `.`, `-`, `_` and `:`. No literals at all let nothing through.
    #[must_use]
    pub fn new(literals: Option<&[String]>) -> Self {
        let searches = literals.and_then(Searches::new);
        Self { searches }
    }

    /// Whether a rule could match a record in this JSON text. False is certain, true is not.
    #[must_use]
    pub fn may_match(&self, json: &[u8]) -> bool {
        self.searches
            .as_ref()
            .is_none_or(|searches| searches.any(&searches.literals, json))
    }

    /// Whether a text that is no record may hold one that a rule could match: of what the rules require if they require
    /// anything, or else of what every record has. It decides what is skipped.
    #[must_use]
    pub fn may_hold_a_match(&self, text: &[u8]) -> bool {
        let has = |word: &[u8]| memchr::memmem::find(text, word).is_some();
        match &self.searches {
            Some(searches) => searches.any(&searches.literals, text),
            None => has(b"eventName") && has(b"amazonaws.com"),
        }
    }

    /// Whether the whole payload is plainly one record in CloudTrail's own key order that no rule can want: the
    /// shortest way for the commonest message. False says nothing.
    ///
    /// Exact, because an object that begins with the version of a record and an identity is a record whatever follows
    /// (so nothing in it is a carrier of encoded records), and because nothing in the text looks like the seam to a
    /// second document, which could be one.
    #[must_use]
    pub fn is_one_ignored_record(&self, payload: &[u8]) -> bool {
        let Some(searches) = &self.searches else {
            return false;
        };
        let payload = trim(payload);
        begins_as_native_record(payload)
            && payload.ends_with(b"}")
            && !searches.any(&searches.literals_and_seams, payload)
    }
}

impl Searches {
    fn new(literals: &[String]) -> Option<Self> {
        let known =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
        if !literals
            .iter()
            .all(|literal| !literal.is_empty() && literal.bytes().all(known))
        {
            return None;
        }
        let signs = literals
            .iter()
            .flat_map(|literal| literal.bytes())
            .filter(|byte| !byte.is_ascii_alphanumeric())
            .collect();
        let mut patterns = vec![ESCAPE];
        patterns.extend(literals.iter().map(String::as_bytes));
        let plain = Search::new(&patterns)?;
        patterns.extend(SEAMS);
        Some(Self {
            literals: plain,
            literals_and_seams: Search::new(&patterns)?,
            signs,
        })
    }

    /// Whether `search` finds anything that cannot be passed over.
    fn any(&self, search: &Search, text: &[u8]) -> bool {
        let mut from = 0;
        while let Some((pattern, at)) = search.find(text, from) {
            if pattern.as_usize() != 0 || self.may_hide_a_letter(text, at) {
                return true;
            }
            from = at + ESCAPE.len();
        }
        false
    }

    /// Whether the escape at `at` stands for a letter of a literal, for a letter of a further escape, or for nothing.
    fn may_hide_a_letter(&self, text: &[u8], at: usize) -> bool {
        hex4(text, at + ESCAPE.len()).is_none_or(|unit| {
            u8::try_from(unit).is_ok_and(|byte| {
                byte.is_ascii_alphanumeric() || byte == b'\\' || self.signs.contains(&byte)
            })
        })
    }
}

/// Whether the text begins as CloudTrail itself writes a record: the version 1 of something, then an identity.
fn begins_as_native_record(payload: &[u8]) -> bool {
    let Some(version) = payload.strip_prefix(br#"{"eventVersion":"1."#) else {
        return false;
    };
    let digits = version
        .iter()
        .take_while(|byte| byte.is_ascii_digit() || **byte == b'.')
        .count();
    version
        .get(digits..)
        .is_some_and(|rest| rest.starts_with(br#"","userIdentity":"#))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefilter() -> Prefilter {
        Prefilter::new(Some(&["RemoveRoleFromInstanceProfile".to_owned()]))
    }

    fn record(name: &str) -> String {
        format!(
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"IAMUser"}},"eventSource":"iam.amazonaws.com","eventName":"{name}","eventCategory":"Management"}}"#
        )
    }

    #[test]
    fn a_record_without_the_literal_is_ignored() {
        let other = record("ListRoles");
        assert!(!prefilter().may_match(other.as_bytes()));
        assert!(prefilter().is_one_ignored_record(other.as_bytes()));
        assert!(prefilter().is_one_ignored_record(format!(" {other}\r\n").as_bytes()));
    }

    #[test]
    fn the_literal_is_let_through() {
        let ours = record("RemoveRoleFromInstanceProfile");
        assert!(prefilter().may_match(ours.as_bytes()));
        assert!(!prefilter().is_one_ignored_record(ours.as_bytes()));
    }

    #[test]
    fn an_escape_that_may_hide_a_letter_is_let_through() {
        for hidden in [
            r"\u0052emoveRole",
            r"\\u0052emoveRole",
            r"\u005cu0052emoveRole",
            r"\\\u00750052emoveRole",
            r"\u00",
            r"\uzzzz",
            r"a\u003Ab\u0052",
        ] {
            assert!(prefilter().may_match(record(hidden).as_bytes()), "{hidden}");
            assert!(!prefilter().is_one_ignored_record(record(hidden).as_bytes()));
        }
        for plain in [
            r"\u003cb\u003e \u0026 \u003d",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\\n",
            r"\u002f",
        ] {
            assert!(!prefilter().may_match(record(plain).as_bytes()), "{plain}");
            assert!(prefilter().is_one_ignored_record(record(plain).as_bytes()));
        }
        let dotted = Prefilter::new(Some(&["iam.amazonaws".to_owned()]));
        assert!(dotted.may_match(br"iam\u002eamazonaws"));
        assert!(!prefilter().may_match(br"iam\u002eamazonaws"));
    }

    #[test]
    fn only_one_plain_record_is_ignored_at_once() {
        let other = record("ListRoles");
        for payload in [
            format!("{other}{other}"),
            format!("{other}\n{other}"),
            format!("{other} {other}"),
            format!("{}\n{other}", &other[..40]),
            format!("[{other}]"),
            other[..other.len() - 1].to_owned(),
            other.replace("1.08", "2.1"),
            other.replace("1.08\"", "1.x\""),
            other.replace("\"userIdentity\"", "\"user\""),
            format!("{{\"a\":1,{}", &other[1..]),
            String::new(),
        ] {
            assert!(
                !prefilter().is_one_ignored_record(payload.as_bytes()),
                "{payload}"
            );
        }
    }

    #[test]
    fn without_literals_to_trust_everything_is_let_through() {
        let other = record("ListRoles");
        for literals in [
            None,
            Some(vec![""]),
            Some(vec!["a b"]),
            Some(vec!["x", "caf\u{e9}"]),
        ] {
            let literals: Option<Vec<String>> =
                literals.map(|list| list.into_iter().map(str::to_owned).collect());
            let prefilter = Prefilter::new(literals.as_deref());
            assert!(prefilter.may_match(other.as_bytes()));
            assert!(!prefilter.is_one_ignored_record(other.as_bytes()));
        }
        assert!(!Prefilter::new(Some(&[])).may_match(other.as_bytes()));
    }

    #[test]
    fn without_literals_a_text_is_told_by_what_records_have() {
        let any = Prefilter::new(None);
        let ours = record("RemoveRoleFromInstanceProfile");
        for text in [&ours, &ours.replace('"', "\\\""), &format!("INFO {ours}")] {
            assert!(any.may_hold_a_match(text.as_bytes()));
            assert!(prefilter().may_hold_a_match(text.as_bytes()));
        }
        assert!(!any.may_hold_a_match(b"GET /eventName 200"));
        assert!(!prefilter().may_hold_a_match(record("ListRoles").as_bytes()));
    }

    #[test]
    fn many_literals_are_searched_too() {
        let literals: Vec<String> = (0..500).map(|n| format!("Action{n:03}x")).collect();
        let prefilter = Prefilter::new(Some(&literals));
        assert!(prefilter.may_match(record("Action499x").as_bytes()));
        assert!(prefilter.is_one_ignored_record(record("Action499").as_bytes()));
        assert!(prefilter.may_match(record(r"Action49\u0039x").as_bytes()));
    }
}
