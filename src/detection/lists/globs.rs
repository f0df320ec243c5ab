//! Globs of names and of user agents.
//!
//! In flow patterns of the settings; out flows whether a name matches one, and what a user agent says that it is.

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use regex::bytes::{RegexSet, RegexSetBuilder};

use crate::config;
use crate::model::fault::Faults;

/// The most bytes of words for which a table with a row for each of them is made: it is the fastest to look up, and takes
/// some hundred times as much.
const MOST_IN_A_TABLE: usize = 64 * 1024;

/// Patterns of names: `*` stands for any characters, `?` for one, the rest for itself. Case does not count.
#[derive(Debug)]
pub(in crate::detection) struct Globs {
    /// Patterns of the form `*word*`, which are most: one pass over a name finds them all.
    words: Option<AhoCorasick>,
    others: Option<RegexSet>,
}

impl Globs {
    /// None where there are no patterns, which means that nobody said.
    pub(super) fn new(key: &str, globs: &[String], faults: &mut Faults) -> Option<Self> {
        if globs.is_empty() {
            return None;
        }
        let (words, others) = apart(globs);
        Some(Self {
            words: words_anywhere(key, words, faults),
            others: whole_names(key, &others, faults),
        })
    }

    pub(in crate::detection) fn matches(&self, name: &str) -> bool {
        let words = self.words.as_ref();
        words.is_some_and(|words| words.is_match(name)) || matches_whole(self.others.as_ref(), name)
    }
}

/// What a user agent says that it is, found in one pass over it.
#[derive(Debug, Default)]
pub(in crate::detection) struct UserAgents {
    words: Option<AhoCorasick>,
    /// What each of the words means, by its place.
    meanings: Vec<AgentKind>,
    iac: Option<RegexSet>,
    attack_tools: Option<RegexSet>,
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
        let (iac, other_iac) = apart(&settings.iac_user_agents);
        let (tools, other_tools) = apart(&settings.attack_tool_user_agents);
        let mut meanings = vec![AgentKind::Iac; iac.len()];
        meanings.extend(tools.iter().map(|_| AgentKind::AttackTool));
        meanings.extend([
            AgentKind::CloudShell,
            AgentKind::Console,
            AgentKind::Console,
        ]);
        let mut words = iac;
        words.extend(tools);
        words.extend([
            "exec-env/cloudshell",
            "signin.amazonaws.com",
            "console.amazonaws.com",
        ]);
        Self {
            words: words_anywhere("iac_user_agents", words, faults),
            meanings,
            iac: whole_names("iac_user_agents", &other_iac, faults),
            attack_tools: whole_names("attack_tool_user_agents", &other_tools, faults),
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
            match self.meanings.get(word.pattern().as_usize()) {
                Some(AgentKind::Iac) => kinds.iac = true,
                Some(AgentKind::AttackTool) => kinds.attack_tool = true,
                Some(AgentKind::CloudShell) => kinds.cloudshell = true,
                Some(AgentKind::Console) => kinds.console = true,
                None => {}
            }
        }
        kinds
    }
}

/// The words of globs that ask for one anywhere, and the other globs.
fn apart(globs: &[String]) -> (Vec<&str>, Vec<&str>) {
    let (words, others): (Vec<&str>, Vec<&str>) = globs
        .iter()
        .map(String::as_str)
        .partition(|glob| word_of(glob).is_some());
    (words.into_iter().filter_map(word_of).collect(), others)
}

fn words_anywhere(key: &str, words: Vec<&str>, faults: &mut Faults) -> Option<AhoCorasick> {
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
        Globs::new("x", &patterns, &mut Faults::default()).unwrap()
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
        assert!(Globs::new("x", &[], &mut Faults::default()).is_none());
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
