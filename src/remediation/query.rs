//! The languages of queries: how a value stands in one, and which string literals a query holds.
//!
//! In flow a value and its language; out flows a literal of it. What is not printable ASCII has no escape in most of these
//! languages, and could not be seen: it has no literal. AWS takes no such character in what templates are filled with.

use std::borrow::Cow;

use serde::Serialize;

/// What a query is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Language {
    /// SQL of Amazon Athena, on the table of AWS's documentation.
    Athena,
    /// SQL of CloudTrail Lake.
    Lake,
    /// Splunk's Search Processing Language.
    Spl,
    /// ES|QL of Elasticsearch.
    Esql,
    /// Kusto Query Language, on the table of Microsoft Sentinel.
    Kql,
}

impl Language {
    /// Every language, in the order of documents.
    pub const ALL: [Self; 5] = [Self::Athena, Self::Lake, Self::Spl, Self::Esql, Self::Kql];

    /// The key in catalogues and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Athena => "athena",
            Self::Lake => "lake",
            Self::Spl => "spl",
            Self::Esql => "esql",
            Self::Kql => "kql",
        }
    }
}

/// A text as a literal of SQL, where a quote is written twice; none where it has none.
pub(super) fn sql(text: &str) -> Option<String> {
    is_printable(text).then(|| format!("'{}'", text.replace('\'', "''")))
}

/// A text as a literal of SPL. A `*` is a wildcard in its quotes too, and a backtick begins a macro: neither has an escape.
pub(super) fn spl(text: &str) -> Option<String> {
    if text.contains(['*', '`']) {
        return None;
    }
    backslashed(text)
}

/// A text as a literal of ES|QL or of KQL.
pub(super) fn backslashed(text: &str) -> Option<String> {
    let escaped = || text.replace('\\', r"\\").replace('"', r#"\""#);
    is_printable(text).then(|| format!("\"{}\"", escaped()))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// A time as SPL's `earliest` takes it: seconds since the epoch. What is no time, as a placeholder, stays as it is.
pub(super) fn seconds(text: &str) -> Cow<'_, str> {
    let since = humantime::parse_rfc3339(text)
        .ok()
        .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
    since.map_or(Cow::Borrowed(text), |since| {
        Cow::Owned(since.as_secs().to_string())
    })
}

/// A time as CloudTrail Lake compares it. What is no time, as a placeholder, stays as it is.
pub(super) fn timestamp(text: &str) -> Cow<'_, str> {
    let bare = text
        .strip_suffix('Z')
        .filter(|_| humantime::parse_rfc3339(text).is_ok());
    bare.map_or(Cow::Borrowed(text), |bare| {
        Cow::Owned(bare.replacen('T', " ", 1))
    })
}

/// What a language writes between quotes, and how it ends.
struct Quotes {
    open: &'static str,
    close: &'static str,
    /// How the end is written within.
    escape: Escape,
    /// Whether this is a text: the others are names and comments.
    is_literal: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escape {
    /// Twice.
    Doubled,
    /// Behind a backslash, as every other character may be.
    Backslash,
    /// Not at all.
    None,
}

const fn quotes(mark: &'static str, escape: Escape, is_literal: bool) -> Quotes {
    Quotes {
        open: mark,
        close: mark,
        escape,
        is_literal,
    }
}

const fn comment(open: &'static str, close: &'static str) -> Quotes {
    Quotes {
        open,
        close,
        escape: Escape::None,
        is_literal: false,
    }
}

impl Language {
    /// The longer before the shorter that they begin with.
    const fn quotes(self) -> &'static [Quotes] {
        match self {
            Self::Athena | Self::Lake => {
                const {
                    &[
                        quotes("'", Escape::Doubled, true),
                        quotes("\"", Escape::Doubled, false),
                        comment("--", "\n"),
                        comment("/*", "*/"),
                    ]
                }
            }
            Self::Spl => {
                const {
                    &[
                        quotes("```", Escape::None, false),
                        quotes("`", Escape::None, false),
                        quotes("\"", Escape::Backslash, true),
                        quotes("'", Escape::Backslash, false),
                    ]
                }
            }
            Self::Esql => {
                const {
                    &[
                        quotes("\"\"\"", Escape::None, true),
                        quotes("\"", Escape::Backslash, true),
                        quotes("`", Escape::Doubled, false),
                        comment("//", "\n"),
                        comment("/*", "*/"),
                    ]
                }
            }
            Self::Kql => {
                const {
                    &[
                        Quotes {
                            open: "@\"",
                            close: "\"",
                            escape: Escape::Doubled,
                            is_literal: true,
                        },
                        Quotes {
                            open: "@'",
                            close: "'",
                            escape: Escape::Doubled,
                            is_literal: true,
                        },
                        quotes("```", Escape::None, true),
                        quotes("\"", Escape::Backslash, true),
                        quotes("'", Escape::Backslash, true),
                        comment("//", "\n"),
                    ]
                }
            }
        }
    }

    /// The texts that a query holds as literals, read back; none where something that it opens has no end.
    pub(super) fn literals(self, query: &str) -> Option<Vec<String>> {
        let mut literals = Vec::new();
        let mut rest = query;
        while let Some(first) = rest.chars().next() {
            let opened = self
                .quotes()
                .iter()
                .find_map(|quotes| Some((quotes, rest.strip_prefix(quotes.open)?)));
            let Some((quotes, inside)) = opened else {
                rest = rest.get(first.len_utf8()..)?;
                continue;
            };
            let (text, after) = quotes.read(inside)?;
            if quotes.is_literal {
                literals.push(text);
            }
            rest = after;
        }
        Some(literals)
    }
}

impl Quotes {
    /// What stands between them, and what follows; none where they are not closed.
    fn read<'a>(&self, inside: &'a str) -> Option<(String, &'a str)> {
        let mut text = String::new();
        let mut rest = inside;
        loop {
            if self.escape == Escape::Backslash
                && let Some(escaped) = rest.strip_prefix('\\')
            {
                let each = escaped.chars().next()?;
                text.push(each);
                rest = escaped.get(each.len_utf8()..)?;
            } else if let Some(after) = rest.strip_prefix(self.close) {
                let doubled = after
                    .strip_prefix(self.close)
                    .filter(|_| self.escape == Escape::Doubled);
                let Some(after) = doubled else {
                    return Some((text, after));
                };
                text.push_str(self.close);
                rest = after;
            } else if let Some(each) = rest.chars().next() {
                text.push(each);
                rest = rest.get(each.len_utf8()..)?;
            } else {
                // A comment may end with the query.
                return (self.close == "\n").then_some((text, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn literal(language: Language, text: &str) -> Option<String> {
        match language {
            Language::Athena | Language::Lake => sql(text),
            Language::Spl => spl(text),
            Language::Esql | Language::Kql => backslashed(text),
        }
    }

    proptest! {
        #[test]
        fn a_language_reads_back_what_was_written(text in prop_oneof![any::<String>(), "[ -~]{0,20}", r#"['"\\`*@/ -]{0,12}"#]) {
            for language in Language::ALL {
                let written = literal(language, &text);
                let has_literal = is_printable(&text) && !(language == Language::Spl && text.contains(['*', '`']));
                prop_assert_eq!(written.is_some(), has_literal);
                if let Some(written) = written {
                    let query = format!("a = {written} and b");
                    prop_assert_eq!(language.literals(&query), Some(vec![text.clone()]), "{}", query);
                }
            }
        }
    }

    /// The same list that the parsers of `tests/remediation/queries.rs` read.
    #[test]
    fn values_are_written_as_the_parsers_read_them() {
        let list = include_str!("../../tests/remediation/literals.json");
        let list: serde_json::Value = serde_json::from_str(list).unwrap();
        for each in list.as_array().unwrap() {
            let text = each["text"].as_str().unwrap();
            for language in Language::ALL {
                let want = each[language.as_str()].as_str();
                let written = literal(language, text);
                assert_eq!(written.as_deref(), want, "{text} in {language:?}");
            }
        }
    }

    #[test]
    fn names_and_comments_are_no_literals() {
        for (language, query, want) in [
            (Language::Athena, "\"a'b\" 'c''d' -- 'e'", Some(vec!["c'd"])),
            (Language::Lake, "/* 'a */ 'b' --\n'c'", Some(vec!["b", "c"])),
            (Language::Athena, "'a", None),
            (Language::Lake, "/* a", None),
            (
                Language::Spl,
                "'a.b'=\"c\\\"d\" ```\"e\"``` `f(\"g\")`",
                Some(vec!["c\"d"]),
            ),
            (Language::Spl, "\"a\\", None),
            (
                Language::Esql,
                "`a\"``b` == \"c\" // \"d\"\n| \"\"\"e\"f\"\"\"",
                Some(vec!["c", "e\"f"]),
            ),
            (
                Language::Kql,
                "@\"a\\\" 'b' ```c\"``` // \"d",
                Some(vec!["a\\", "b", "c\""]),
            ),
        ] {
            let want = want.map(|texts| texts.into_iter().map(str::to_owned).collect());
            assert_eq!(language.literals(query), want, "{query}");
        }
    }

    #[test]
    fn times_are_written_as_their_language_compares_them() {
        for (text, since_epoch, bare) in [
            ("2026-01-05T17:46:26Z", "1767635186", "2026-01-05 17:46:26"),
            (
                "2026-01-05T17:46:26.250Z",
                "1767635186",
                "2026-01-05 17:46:26.250",
            ),
            ("<WINDOW_START>", "<WINDOW_START>", "<WINDOW_START>"),
            ("TZ", "TZ", "TZ"),
        ] {
            assert_eq!((&*seconds(text), &*timestamp(text)), (since_epoch, bare));
        }
    }
}
