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

/// How long the piece of a literal is that is searched for: long enough to be found seldom, and short enough that literals
/// of one kind share one, which costs no more than a single literal does.
const PIECE: usize = 8;

/// Of more literals than these, each is searched for as it is: to compare them all with each other takes too long.
const MOST_COMPARED: usize = 16;

/// The names that every record has. Where a piece begins like something in here, it is looked at too often.
const EVERYWHERE: &str = "eventVersion userIdentity type principalId arn accountId accessKeyId userName sessionContext \
    sessionIssuer attributes creationDate mfaAuthenticated eventTime eventSource eventName awsRegion sourceIPAddress userAgent \
    requestParameters responseElements requestID eventID readOnly eventType managementEvent recipientAccountId eventCategory \
    tlsDetails tlsVersion cipherSuite clientProvidedHostHeader resources amazonaws.com AssumedRole AwsApiCall Management \
    Describe List Get Add Delete Remove Update Create Put";

/// The literals that the loaded rules require, ready to be searched for.
#[derive(Debug)]
pub struct Prefilter {
    /// None lets everything through.
    searches: Option<Searches>,
}

#[derive(Debug)]
struct Searches {
    /// The pieces by which the literals are found.
    pieces: Vec<Piece>,
    /// The escape, then the pieces.
    literals: Search,
    /// The escape, then the pieces and the seams.
    literals_and_seams: Search,
    /// What is in a literal and is neither letter nor digit.
    signs: Vec<u8>,
}

/// Bytes that some literals share, and those literals, each with its place of these bytes.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    of: Vec<(Vec<u8>, usize)>,
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
        let pieces = pieces(literals);
        let mut patterns = vec![ESCAPE];
        patterns.extend(pieces.iter().map(|piece| piece.bytes.as_slice()));
        let plain = Search::new(&patterns)?;
        patterns.extend(SEAMS);
        let literals_and_seams = Search::new(&patterns)?;
        Some(Self {
            pieces,
            literals: plain,
            literals_and_seams,
            signs,
        })
    }

    /// Whether `search` finds anything that cannot be passed over.
    fn any(&self, search: &Search, text: &[u8]) -> bool {
        let mut from = 0;
        while let Some((pattern, at)) = search.find(text, from) {
            let is_found = match pattern.as_usize().checked_sub(1) {
                None => self.may_hide_a_letter(text, at),
                // Behind the pieces come the seams.
                Some(place) => (self.pieces.get(place)).is_none_or(|it| it.is_of_literal(text, at)),
            };
            if is_found {
                return true;
            }
            from = at + 1;
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

impl Piece {
    /// Whether what was found at `at` is part of a literal there.
    fn is_of_literal(&self, text: &[u8], at: usize) -> bool {
        self.of.iter().any(|(literal, offset)| {
            at.checked_sub(*offset)
                .and_then(|begin| text.get(begin..))
                .is_some_and(|text| text.starts_with(literal))
        })
    }
}

/// Pieces of the literals, of which each has one: those that most of them share, and of these those that begin as nothing
/// does that every record has.
fn pieces(literals: &[String]) -> Vec<Piece> {
    if literals.len() > MOST_COMPARED {
        let whole = literals.iter().map(|literal| Piece {
            bytes: literal.as_bytes().to_vec(),
            of: vec![(literal.as_bytes().to_vec(), 0)],
        });
        return whole.collect();
    }
    let mut left: Vec<&[u8]> = literals.iter().map(String::as_bytes).collect();
    let mut pieces = Vec::new();
    while !left.is_empty() {
        let windows = left
            .iter()
            .flat_map(|literal| literal.windows(PIECE.min(literal.len())));
        let rank = |piece: &[u8]| {
            let sharing = left.iter().filter(|it| place(it, piece).is_some()).count();
            (sharing, std::cmp::Reverse(times_everywhere(piece)))
        };
        let Some(best) = windows.max_by_key(|piece| rank(piece)) else {
            break;
        };
        let (sharing, others) = left
            .iter()
            .partition::<Vec<&[u8]>, _>(|it| place(it, best).is_some());
        let of = sharing.iter().filter_map(|literal| {
            let place = place(literal, best)?;
            Some((literal.to_vec(), place))
        });
        pieces.push(Piece {
            bytes: best.to_vec(),
            of: of.collect(),
        });
        left = others;
    }
    pieces
}

fn place(literal: &[u8], piece: &[u8]) -> Option<usize> {
    memchr::memmem::find(literal, piece)
}

/// How often something in every record begins as a piece does: by its first two bytes, which are what is looked for.
fn times_everywhere(piece: &[u8]) -> usize {
    let pair = piece.get(..2).unwrap_or(piece);
    memchr::memmem::find_iter(EVERYWHERE.as_bytes(), pair).count()
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

    #[test]
    fn literals_that_share_a_piece_cost_one_search() {
        let literals =
            |names: &[&str]| pieces(&names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        let calls = literals(&[
            "RemoveRoleFromInstanceProfile",
            "AddRoleToInstanceProfile",
            "DeleteInstanceProfile",
        ]);
        assert_eq!(calls.len(), 1);
        assert_eq!(calls[0].of.len(), 3);
        let others = literals(&["DeleteInstanceProfile", "iam", "CreateUser"]);
        assert_eq!(others.len(), 3);
        assert_eq!(literals(&[]).len(), 0);
    }

    proptest::proptest! {
        /// However the literals are searched for, a text without escapes passes if it holds one, and only then.
        #[test]
        fn a_text_passes_if_it_holds_a_literal(
            literals in proptest::collection::vec("[abR]{1,12}", 0..20),
            text in "[abR]{0,40}",
            held in proptest::option::of(0usize..20),
        ) {
            let mut text = text;
            if let Some(literal) = held.and_then(|place| literals.get(place)) {
                text.insert_str(text.len() / 2, literal);
            }
            let holds = literals.iter().any(|literal| text.contains(literal.as_str()));
            proptest::prop_assert_eq!(Prefilter::new(Some(&literals)).may_match(text.as_bytes()), holds);
        }
    }
}
