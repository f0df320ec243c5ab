//! Globs of names and of user agents.
//!
//! In flow patterns of the settings; out flows whether a name matches one, and what a user agent says that it is.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex::bytes::{RegexSet, RegexSetBuilder};

use super::names;
use crate::config;
use crate::model::fault::Faults;

/// The most bytes of words for which a table with a row for each of them is made: it is the fastest to look up, and takes
/// some hundred times as much.
const MOST_IN_A_TABLE: usize = 64 * 1024;

/// Patterns of names: `*` stands for any characters, `?` for one, the rest for itself. Case does not count. What a pattern
/// with a `!` before it matches is an exception from all others.
#[derive(Debug)]
pub(in crate::detection) struct Globs {
    /// Patterns of the form `*word*`, which are most: one pass over a name finds them all.
    words: Option<AhoCorasick>,
    /// Patterns without `*` and `?`, where these stand for words in a name.
    names: Option<AhoCorasick>,
    others: Option<RegexSet>,
    exceptions: Option<Box<Globs>>,
}

/// What a pattern without `*` and `?` stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plain {
    /// The whole name.
    Whole,
    /// Words of the name, as [`names::are_words`] tells them from letters of longer ones.
    Words,
}

impl Globs {
    /// None where there are no patterns, which means that nobody said.
    pub(super) fn new(
        key: &str,
        globs: &[String],
        plain: Plain,
        faults: &mut Faults,
    ) -> Option<Self> {
        let (exceptions, globs) = without_exceptions(globs);
        if globs.is_empty() {
            return None;
        }
        let apart = Apart::new(&globs, plain);
        Some(Self {
            words: anywhere(key, &apart.words, faults),
            names: anywhere(key, &apart.names, faults),
            others: whole_names(key, &apart.others, faults),
            exceptions: Self::new(key, &exceptions, plain, faults).map(Box::new),
        })
    }

    pub(in crate::detection) fn matches(&self, name: &str) -> bool {
        let words = self.words.as_ref();
        let matches = words.is_some_and(|words| words.is_match(name))
            || self.names_words(name)
            || matches_whole(self.others.as_ref(), name);
        matches && !self.excepts(name)
    }

    fn names_words(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| {
            names
                .find_overlapping_iter(name)
                .any(|found| names::are_words(name.as_bytes(), found.start(), found.end()))
        })
    }

    fn excepts(&self, name: &str) -> bool {
        let exceptions = self.exceptions.as_ref();
        exceptions.is_some_and(|exceptions| exceptions.matches(name))
    }
}

/// What a user agent says that it is, found in one pass over it.
#[derive(Debug, Default)]
pub(in crate::detection) struct UserAgents {
    words: Option<AhoCorasick>,
    /// What each of the words means, by its place.
    meanings: Vec<Meaning>,
    iac: Option<RegexSet>,
    attack_tools: Option<RegexSet>,
    not_iac: Option<Globs>,
    not_attack_tools: Option<Globs>,
}

/// What a word in a user agent means.
#[derive(Debug, Clone, Copy)]
struct Meaning {
    kind: AgentKind,
    /// Whether it counts as the name of a program only, and not as letters of another one.
    is_name: bool,
}

/// What a program is by its user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AgentKind {
    Iac,
    AttackTool,
    CloudShell,
    Console,
}

/// What a user agent says that its program is; it may say several things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is so or not, whatever the others"
)]
pub(in crate::detection) struct AgentKinds {
    pub(in crate::detection) iac: bool,
    pub(in crate::detection) attack_tool: bool,
    pub(in crate::detection) cloudshell: bool,
    pub(in crate::detection) console: bool,
}

impl UserAgents {
    pub(super) fn new(settings: &config::Detection, faults: &mut Faults) -> Self {
        let mut words = Vec::new();
        let mut meanings = Vec::new();
        let (not_iac, iac) = without_exceptions(&settings.iac_user_agents);
        let (not_tools, tools) = without_exceptions(&settings.attack_tool_user_agents);
        let iac = Apart::new(&iac, Plain::Words);
        let tools = Apart::new(&tools, Plain::Words);
        let consoles = [
            "exec-env/cloudshell",
            "signin.amazonaws.com",
            "console.amazonaws.com",
        ];
        let (shell, signs) = consoles.split_at(1);
        for (kind, is_name, of) in [
            (AgentKind::Iac, false, iac.words.as_slice()),
            (AgentKind::Iac, true, &iac.names),
            (AgentKind::AttackTool, false, &tools.words),
            (AgentKind::AttackTool, true, &tools.names),
            (AgentKind::CloudShell, false, shell),
            (AgentKind::Console, false, signs),
        ] {
            words.extend(of);
            meanings.extend(of.iter().map(|_| Meaning { kind, is_name }));
        }
        Self {
            words: anywhere("iac_user_agents", &words, faults),
            meanings,
            iac: whole_names("iac_user_agents", &iac.others, faults),
            attack_tools: whole_names("attack_tool_user_agents", &tools.others, faults),
            not_iac: Globs::new("iac_user_agents", &not_iac, Plain::Words, faults),
            not_attack_tools: Globs::new(
                "attack_tool_user_agents",
                &not_tools,
                Plain::Words,
                faults,
            ),
        }
    }

    pub(in crate::detection) fn kinds(&self, agent: &str) -> AgentKinds {
        let mut kinds = AgentKinds {
            iac: matches_whole(self.iac.as_ref(), agent),
            attack_tool: matches_whole(self.attack_tools.as_ref(), agent),
            ..AgentKinds::default()
        };
        let found = self
            .words
            .iter()
            .flat_map(|words| words.find_overlapping_iter(agent));
        for word in found {
            let Some(meaning) = self.meanings.get(word.pattern().as_usize()) else {
                continue;
            };
            if meaning.is_name && !names::is_program(agent.as_bytes(), word.start(), word.end()) {
                continue;
            }
            match meaning.kind {
                AgentKind::Iac => kinds.iac = true,
                AgentKind::AttackTool => kinds.attack_tool = true,
                AgentKind::CloudShell => kinds.cloudshell = true,
                AgentKind::Console => kinds.console = true,
            }
        }
        let excepted = |globs: Option<&Globs>| globs.is_some_and(|globs| globs.matches(agent));
        kinds.iac &= !excepted(self.not_iac.as_ref());
        kinds.attack_tool &= !excepted(self.not_attack_tools.as_ref());
        kinds
    }
}

/// The exceptions among globs, without their `!`, and the globs that are none.
fn without_exceptions(globs: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut exceptions, mut others) = (Vec::new(), Vec::new());
    for glob in globs {
        match glob.strip_prefix('!') {
            Some(exception) => exceptions.push(exception.to_owned()),
            None => others.push(glob.clone()),
        }
    }
    (exceptions, others)
}

/// Globs by how they are looked for.
struct Apart<'a> {
    /// The words of globs that ask for one anywhere.
    words: Vec<&'a str>,
    /// Those without `*` and `?`, where these stand for words.
    names: Vec<&'a str>,
    others: Vec<&'a str>,
}

impl<'a> Apart<'a> {
    fn new(globs: &'a [String], plain: Plain) -> Self {
        let (mut words, mut names, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for glob in globs {
            if let Some(word) = word_of(glob) {
                words.push(word);
            } else if plain == Plain::Words && !glob.is_empty() && !glob.contains(['*', '?']) {
                names.push(glob.as_str());
            } else {
                others.push(glob.as_str());
            }
        }
        Self {
            words,
            names,
            others,
        }
    }
}

fn anywhere(key: &str, words: &[&str], faults: &mut Faults) -> Option<AhoCorasick> {
    if words.is_empty() {
        return None;
    }
    AhoCorasickBuilder::new()
        .ascii_case_insensitive(true)
        .kind(
            (words.iter().map(|word| word.len()).sum::<usize>() <= MOST_IN_A_TABLE)
                .then_some(AhoCorasickKind::DFA),
        )
        .build(words)
        .map_err(|error| too_much(key, &error.to_string(), faults))
        .ok()
}

fn whole_names(key: &str, globs: &[&str], faults: &mut Faults) -> Option<RegexSet> {
    if globs.is_empty() {
        return None;
    }
    RegexSetBuilder::new(globs.iter().map(|glob| regex_of(glob)))
        .case_insensitive(true)
        .unicode(false)
        .dot_matches_new_line(true)
        .build()
        .map_err(|error| too_much(key, &error.to_string(), faults))
        .ok()
}

fn matches_whole(globs: Option<&RegexSet>, name: &str) -> bool {
    globs.is_some_and(|globs| globs.is_match(name.as_bytes()))
}

fn too_much(key: &str, problem: &str, faults: &mut Faults) {
    let subject = Some(format!("detection.{key}"));
    faults.add("configuration", None, subject, problem);
}

/// The word of a glob that asks for it anywhere.
fn word_of(glob: &str) -> Option<&str> {
    glob.strip_prefix('*')?
        .strip_suffix('*')
        .filter(|word| !word.is_empty() && !word.contains(['*', '?']))
}

/// A glob as a regular expression, with no anchor at an end that may be anything.
fn regex_of(glob: &str) -> String {
    let mut regex = String::new();
    let from_start = glob.trim_start_matches('*');
    let to_end = from_start.trim_end_matches('*');
    if from_start.len() == glob.len() {
        regex.push('^');
    }
    for (place, piece) in to_end.split('*').enumerate() {
        if place > 0 {
            regex.push_str(".*");
        }
        for (place, text) in piece.split('?').enumerate() {
            if place > 0 {
                regex.push('.');
            }
            regex.push_str(&regex::escape(text));
        }
    }
    if to_end.len() == from_start.len() {
        regex.push('$');
    }
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn globs(patterns: &[&str]) -> Globs {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        Globs::new("x", &patterns, Plain::Whole, &mut Faults::default()).unwrap()
    }

    #[test]
    fn globs_stand_for_whole_names_whatever_their_case() {
        for (glob, hits, misses) in [
            (
                "*admin*",
                vec!["admin", "OrgAdminRole", "x-ADMIN"],
                vec!["adm", ""],
            ),
            ("admin*", vec!["admin", "Administrator"], vec!["my-admin"]),
            ("*admin", vec!["my-admin"], vec!["admins"]),
            ("admin", vec!["Admin"], vec!["admin1", "1admin"]),
            (
                "*break*glass*",
                vec!["break-glass", "xBreakTheGlassx"],
                vec!["glass-break"],
            ),
            ("a?c", vec!["abc", "A.C"], vec!["ac", "abbc"]),
            (
                "arn:aws:iam::*:role/deploy/*",
                vec!["arn:aws:iam::111122223333:role/deploy/ci"],
                vec!["arn:aws:iam::111122223333:role/ci"],
            ),
            ("a.c", vec!["a.c"], vec!["abc"]),
            ("*", vec!["", "anything"], vec![]),
            ("***", vec!["", "\n"], vec![]),
        ] {
            let compiled = globs(&[glob]);
            for hit in hits {
                assert!(compiled.matches(hit), "{glob} should match {hit:?}");
            }
            for miss in misses {
                assert!(!compiled.matches(miss), "{glob} should not match {miss:?}");
            }
        }
        assert!(Globs::new("x", &[], Plain::Whole, &mut Faults::default()).is_none());
        assert!(globs(&["x", "*b"]).matches("ab"));
    }

    /// The plain meaning of a glob, written as slowly and simply as can be.
    fn plainly(glob: &[u8], name: &[u8]) -> bool {
        match glob.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|from| plainly(rest, &name[from..])),
            Some((b'?', rest)) => name
                .split_first()
                .is_some_and(|(_, name)| plainly(rest, name)),
            Some((want, rest)) => name
                .split_first()
                .is_some_and(|(have, name)| have.eq_ignore_ascii_case(want) && plainly(rest, name)),
        }
    }

    proptest! {
        #[test]
        fn a_glob_means_what_it_plainly_means(glob in "[ab.*?]{0,6}", name in "[abAB.]{0,8}") {
            prop_assert_eq!(globs(&[&glob]).matches(&name), plainly(glob.as_bytes(), name.as_bytes()));
        }
    }
}
