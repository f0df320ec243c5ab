//! What the configuration knows of the world: allow lists, threat networks, globs of names, the inventory of profiles in
//! use.
//!
//! In flow the settings and the files that they name; out flow answers to three questions: does a name match one of
//! these globs, is an address in one of these networks, how many instances use a profile. Everything is read once, when
//! it is loaded, and an answer takes microseconds whatever the length of a list.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use regex::bytes::{RegexSet, RegexSetBuilder};
use serde::Deserialize;

use super::files;
use crate::config;
use crate::config::files::LIST_FILE;
use crate::config::network;
use crate::model::fault::Faults;

/// The most bytes of all lists of networks together.
const MAX_LISTS: usize = 128 * 1024 * 1024;

/// The most bytes of words for which a table with a row for each of them is made: it is the fastest to look up, and takes
/// some hundred times as much.
const MOST_IN_A_TABLE: usize = 64 * 1024;

/// How many faults of one list are told: a list of the wrong kind has as many as it has lines.
const MOST_FAULTS: usize = 10;

/// Every list, loaded. The default knows nothing.
#[derive(Debug, Default)]
pub(crate) struct Lists {
    pub(super) allowed_principals: Option<Globs>,
    pub(super) allowed_networks: Option<Networks>,
    pub(super) threat_networks: Option<Networks>,
    pub(super) privileged_roles: Option<Globs>,
    pub(super) security_tooling: Option<Globs>,
    pub(super) user_agents: UserAgents,
    pub(super) profiles_in_use: Option<ProfilesInUse>,
}

impl Lists {
    /// Loads what the settings name; whatever is wrong is among the faults.
    pub(super) fn load(settings: &config::Detection, faults: &mut Faults) -> Self {
        let allow = &settings.allow_list;
        let mut globs = |key: &str, globs: &[String]| Globs::new(key, globs, faults);
        let allowed_principals = globs("allow_list.principals", &allow.principals);
        let privileged_roles = globs("privileged_roles", &settings.privileged_roles);
        let security_tooling = globs("security_tooling", &settings.security_tooling);
        globs("attack_tool_user_agents", &settings.attack_tool_user_agents);
        Self {
            allowed_principals,
            privileged_roles,
            security_tooling,
            user_agents: UserAgents::new(settings, faults),
            allowed_networks: (!allow.networks.is_empty()).then(|| {
                // A setting that is no network is a fault of the configuration, which is told there with its key.
                Networks::new(
                    allow
                        .networks
                        .iter()
                        .filter_map(|text| network::parse(text)),
                )
            }),
            threat_networks: threat_networks(&settings.threat_networks_files, faults),
            profiles_in_use: Some(settings.profiles_in_use_file.as_path())
                .filter(|path| !path.as_os_str().is_empty())
                .and_then(|path| ProfilesInUse::load(path, faults)),
        }
    }
}

/// Patterns of names: `*` stands for any characters, `?` for one, the rest for itself. Case does not count.
#[derive(Debug)]
pub(super) struct Globs {
    /// Patterns of the form `*word*`, which are most: one pass over a name finds them all.
    words: Option<AhoCorasick>,
    others: Option<RegexSet>,
}

impl Globs {
    /// None where there are no patterns, which means that nobody said.
    fn new(key: &str, globs: &[String], faults: &mut Faults) -> Option<Self> {
        if globs.is_empty() {
            return None;
        }
        let (words, others) = apart(globs);
        Some(Self {
            words: words_anywhere(key, words, faults),
            others: whole_names(key, &others, faults),
        })
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let words = self.words.as_ref();
        words.is_some_and(|words| words.is_match(name)) || matches_whole(self.others.as_ref(), name)
    }
}

/// What a user agent says that it is, found in one pass over it.
#[derive(Debug, Default)]
pub(super) struct UserAgents {
    words: Option<AhoCorasick>,
    /// What each of the words means, by its place.
    meanings: Vec<Program>,
    iac: Option<RegexSet>,
    attack_tools: Option<RegexSet>,
}

/// What a program is by its user agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Iac,
    AttackTool,
    CloudShell,
    Console,
}

/// What a user agent says that its program is; it may say several things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is said or not, whatever the others"
)]
pub(super) struct Said {
    pub(super) iac: bool,
    pub(super) attack_tool: bool,
    pub(super) cloudshell: bool,
    pub(super) console: bool,
}

impl UserAgents {
    fn new(settings: &config::Detection, faults: &mut Faults) -> Self {
        let (iac, other_iac) = apart(&settings.iac_user_agents);
        let (tools, other_tools) = apart(&settings.attack_tool_user_agents);
        let mut meanings = vec![Program::Iac; iac.len()];
        meanings.extend(tools.iter().map(|_| Program::AttackTool));
        meanings.extend([Program::CloudShell, Program::Console, Program::Console]);
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

    pub(super) fn say(&self, agent: &str) -> Said {
        let mut said = Said {
            iac: matches_whole(self.iac.as_ref(), agent),
            attack_tool: matches_whole(self.attack_tools.as_ref(), agent),
            ..Said::default()
        };
        let found = self
            .words
            .iter()
            .flat_map(|words| words.find_overlapping_iter(agent));
        for word in found {
            match self.meanings.get(word.pattern().as_usize()) {
                Some(Program::Iac) => said.iac = true,
                Some(Program::AttackTool) => said.attack_tool = true,
                Some(Program::CloudShell) => said.cloudshell = true,
                Some(Program::Console) => said.console = true,
                None => {}
            }
        }
        said
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

/// Addresses, as networks that neither overlap nor touch, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Networks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Networks {
    fn new(networks: impl Iterator<Item = IpNet>) -> Self {
        let mut all = Self::default();
        networks.for_each(|network| all.push(network));
        all.ready()
    }

    /// One more, in whatever order.
    fn push(&mut self, network: IpNet) {
        match network {
            IpNet::V4(network) => self.v4.push(network),
            IpNet::V6(network) => self.v6.push(network),
        }
    }

    /// The same in order, without any that another holds.
    fn ready(self) -> Self {
        let mut v4 = Ipv4Net::aggregate(&self.v4);
        let mut v6 = Ipv6Net::aggregate(&self.v6);
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4, v6 }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.contains_v4(address),
            IpAddr::V6(address) => self.contains_v6(address),
        }
    }

    // Of networks that do not overlap only the last one that begins at or before an address can hold it.
    fn contains_v4(&self, address: Ipv4Addr) -> bool {
        let after = self.v4.partition_point(|net| net.network() <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.v4.get(at))
            .is_some_and(|net| net.contains(&address))
    }

    fn contains_v6(&self, address: Ipv6Addr) -> bool {
        let after = self.v6.partition_point(|net| net.network() <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.v6.get(at))
            .is_some_and(|net| net.contains(&address))
    }
}

/// Reads lists of networks: one a line, what follows `#` or `;` is a comment.
fn threat_networks(paths: &[std::path::PathBuf], faults: &mut Faults) -> Option<Networks> {
    if paths.is_empty() {
        return None;
    }
    let mut networks = Networks::default();
    let mut left = MAX_LISTS;
    for path in paths {
        let Some(file) = files::file(path, LIST_FILE, faults) else {
            continue;
        };
        let Some(rest) = left.checked_sub(file.text.len()) else {
            let problem = format!(
                "with this file the lists of networks are larger than {MAX_LISTS} bytes together: name fewer, or \
                 write networks instead of their addresses"
            );
            faults.add(&file.name, None, None, problem);
            break;
        };
        left = rest;
        let mut wrong = 0;
        for (number, line) in file.text.trim_start_matches('\u{feff}').lines().enumerate() {
            let said = line.split(['#', ';']).next().unwrap_or_default().trim();
            if said.is_empty() {
                continue;
            }
            if let Some(network) = network::parse(said) {
                networks.push(network);
                continue;
            }
            wrong += 1;
            if wrong <= MOST_FAULTS {
                faults.add(
                    &file.name,
                    Some(number + 1),
                    None,
                    format!("{said:?} is no address or network: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"),
                );
            }
        }
        and_more(&file.name, wrong, faults);
    }
    Some(networks.ready())
}

fn and_more(file: &str, wrong: usize, faults: &mut Faults) {
    if let Some(more) = wrong.checked_sub(MOST_FAULTS).filter(|more| *more > 0) {
        faults.add(file, None, None, format!("{more} more lines are wrong"));
    }
}

/// How many running instances use each instance profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProfilesInUse(HashMap<String, Vec<(Option<String>, u64)>>);

/// A line of the inventory.
#[derive(Deserialize)]
struct InUse {
    instance_profile: String,
    account: String,
    running_instances: u64,
}

impl ProfilesInUse {
    fn load(path: &Path, faults: &mut Faults) -> Option<Self> {
        let file = files::file(path, LIST_FILE, faults)?;
        Some(Self::read(&file.name, &file.text, faults))
    }

    fn read(name: &str, text: &str, faults: &mut Faults) -> Self {
        let mut in_use: HashMap<String, Vec<(Option<String>, u64)>> = HashMap::new();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let mut wrong = 0;
        for line in reader.deserialize::<InUse>() {
            match line {
                Ok(line) => in_use
                    .entry(line.instance_profile)
                    .or_default()
                    .push((account(&line.account), line.running_instances)),
                Err(error) => {
                    wrong += 1;
                    if wrong <= MOST_FAULTS {
                        let line = error
                            .position()
                            .and_then(|at| usize::try_from(at.line()).ok());
                        faults.add(name, line, None, csv_fault(&error));
                    }
                }
            }
        }
        and_more(name, wrong, faults);
        Self(in_use)
    }

    /// The number of instances, summed over the lines of this profile and account; none where the inventory has no such
    /// line. A line without an account speaks of every account.
    pub(super) fn running(&self, profile: &str, account: Option<&str>) -> Option<u64> {
        let lines = self.0.get(profile)?;
        lines
            .iter()
            .filter(|(of, _)| of.is_none() || of.as_deref() == account)
            .map(|(_, running)| *running)
            .reduce(u64::saturating_add)
    }
}

/// An account's twelve digits; spreadsheets drop the zeros in front.
fn account(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("{text:0>12}"))
}

fn csv_fault(error: &csv::Error) -> String {
    let columns = "its columns must be instance_profile, account and running_instances (a number)";
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => format!("{}: {columns}", err.kind()),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns where the header has {expected_len}")
        }
        _ => format!("{error}: {columns}"),
    }
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

        #[test]
        fn a_network_holds_what_one_of_its_parts_holds(
            parts in prop::collection::vec((any::<[u8; 4]>(), 4_u8..=32), 0..12),
            six in prop::collection::vec((any::<u128>(), 1_u8..=128), 0..4),
            address in any::<[u8; 4]>(),
            other in any::<u128>(),
        ) {
            let parts: Vec<IpNet> = parts
                .into_iter()
                .map(|(address, prefix)| IpNet::new(IpAddr::from(address), prefix).unwrap())
                .chain(six.into_iter().map(|(address, prefix)| IpNet::new(Ipv6Addr::from(address).into(), prefix).unwrap()))
                .collect();
            let networks = Networks::new(parts.iter().map(IpNet::trunc));
            // Addresses at the edges of parts are where it could go wrong.
            let edges = parts.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for address in edges.chain([IpAddr::from(address), IpAddr::V6(Ipv6Addr::from(other))]) {
                let want = parts.iter().any(|net| net.contains(&address.to_canonical()));
                prop_assert_eq!(networks.contains(address), want, "{}", address);
            }
        }
    }

    #[test]
    fn an_address_is_found_in_a_long_list() {
        let nets = (0..300_000_u32).map(|number| {
            let net = Ipv4Net::new(Ipv4Addr::from(number.wrapping_mul(9_973) & !1), 32).unwrap();
            IpNet::V4(net)
        });
        let networks = Networks::new(nets);
        assert!(networks.contains(Ipv4Addr::from(9_973_u32 * 2).into()));
        assert!(!networks.contains(Ipv4Addr::from(9_973_u32 * 2 + 1).into()));
        assert!(
            networks.contains("::ffff:0.0.77.234".parse().unwrap()),
            "9973 * 2, mapped"
        );
    }

    #[test]
    fn threat_lists_take_comments_and_name_the_lines_that_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tor.txt");
        std::fs::write(&path, "\u{feff}# exits\r\n192.0.2.7 # one\r\n\r\n198.51.100.9/24 ; host bits\n2001:db8::/32\nexample.com\n").unwrap();
        let mut faults = Faults::default();
        let networks = threat_networks(std::slice::from_ref(&path), &mut faults).unwrap();
        for (address, want) in [
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("198.51.100.255", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                networks.contains(address.parse().unwrap()),
                want,
                "{address}"
            );
        }
        let said = faults.to_string();
        assert!(said.ends_with("tor.txt:6: \"example.com\" is no address or network: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"), "{said}");

        std::fs::write(&path, "x\n".repeat(1000)).unwrap();
        let mut faults = Faults::default();
        let _ = threat_networks(&[path], &mut faults);
        assert_eq!(faults.len(), MOST_FAULTS + 1);
        assert!(
            faults
                .to_string()
                .ends_with("tor.txt: 990 more lines are wrong"),
            "{faults}"
        );
    }

    #[test]
    fn the_inventory_is_summed_by_profile_and_account() {
        let mut faults = Faults::default();
        let in_use = ProfilesInUse::read(
            "in_use.csv",
            "account, instance_profile, running_instances\n11122223333, web, 2\n011122223333,web,3\n444455556666,web,0\n,shared,1\n",
            &mut faults,
        );
        assert_eq!(faults.to_string(), "");
        assert_eq!(in_use.running("web", Some("011122223333")), Some(5));
        assert_eq!(in_use.running("web", Some("444455556666")), Some(0));
        assert_eq!(in_use.running("web", Some("777788889999")), None);
        assert_eq!(in_use.running("web", None), None);
        assert_eq!(in_use.running("shared", Some("444455556666")), Some(1));
        assert_eq!(in_use.running("Web", Some("444455556666")), None);
    }

    #[test]
    fn an_inventory_that_is_wrong_names_the_line() {
        for (text, want) in [
            (
                "instance_profile,account,running_instances\nweb,1,many\n",
                "in_use.csv:2: invalid digit found in string: its columns must be",
            ),
            (
                "instance_profile,account,running_instances\nweb,1,1\nweb,1\n",
                "in_use.csv:3: 2 columns where the header has 3",
            ),
            (
                "profile,account,count\nweb,1,1\n",
                "in_use.csv:2: missing field `instance_profile`: its columns must be",
            ),
        ] {
            let mut faults = Faults::default();
            let _ = ProfilesInUse::read("in_use.csv", text, &mut faults);
            assert!(faults.to_string().starts_with(want), "{faults}");
        }
    }
}
