//! MITRE ATT&CK: which techniques a finding is evidence of, in the words of the version that the site uses.
//!
//! Factors of the severity model name techniques, and so do the tags of Sigma rules. Between versions 18 and 19 one of
//! ours changed its id (T1562.001 became T1685), and the tactic Defense Evasion was split into Stealth and Defense
//! Impairment; the table below is both. Checked against MITRE's data of v18.1 and v19.

use serde::Serialize;

/// The version of ATT&CK that documents speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AttackVersion {
    V18,
    V19,
}

impl AttackVersion {
    /// The version of that number; the configuration takes no other than 18 and 19.
    pub(super) const fn from_number(number: u8) -> Self {
        if number < 19 { Self::V18 } else { Self::V19 }
    }

    pub(super) const fn number(self) -> u8 {
        match self {
            Self::V18 => 18,
            Self::V19 => 19,
        }
    }
}

/// A technique that the event is evidence of, with the tactic that it serves here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Technique<'a> {
    /// The tactic's id, such as `TA0040`; none where a rule's tags do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tactic: Option<&'a str>,
    /// The tactic's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tactic_name: Option<&'a str>,
    /// The technique's id, such as `T1078.004`.
    pub technique: &'a str,
    /// The technique's name, of a sub-technique without its parent's; none for one that only a rule's tag names and
    /// that is not in the table here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The name of the technique that a sub-technique belongs to.
    #[serde(skip)]
    pub parent_name: Option<&'a str>,
}

/// A tactic or a technique, to be named and linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AttackObject<'a> {
    pub(crate) id: &'a str,
    pub(crate) name: Option<&'a str>,
}

impl AttackObject<'_> {
    /// Its page at MITRE's.
    pub(crate) fn page(&self) -> String {
        let kind = if self.id.starts_with("TA") {
            "tactics"
        } else {
            "techniques"
        };
        // A sub-technique's page is below its technique's.
        let path = self.id.replace('.', "/");
        format!("https://attack.mitre.org/{kind}/{path}/")
    }
}

impl<'a> Technique<'a> {
    /// The tactic that it serves, where that is known.
    pub(crate) fn tactic(&self) -> Option<AttackObject<'a>> {
        let name = self.tactic_name;
        self.tactic.map(|id| AttackObject { id, name })
    }

    /// The technique itself; of a sub-technique the one that it belongs to.
    pub(crate) fn technique(&self) -> AttackObject<'a> {
        match self.technique.split_once('.') {
            Some((id, _)) => AttackObject {
                id,
                name: self.parent_name,
            },
            None => AttackObject {
                id: self.technique,
                name: self.name,
            },
        }
    }

    /// The sub-technique, where it is one.
    pub(crate) fn sub_technique(&self) -> Option<AttackObject<'a>> {
        self.technique.contains('.').then_some(AttackObject {
            id: self.technique,
            name: self.name,
        })
    }
}

/// A tactic, with its name in both versions and the name that Sigma's tags give it.
struct Tactic {
    id: &'static str,
    name: &'static str,
    tags: &'static [&'static str],
    versions: &'static [AttackVersion],
}

const BOTH: &[AttackVersion] = &[AttackVersion::V18, AttackVersion::V19];
const V18: &[AttackVersion] = &[AttackVersion::V18];
const V19: &[AttackVersion] = &[AttackVersion::V19];

const fn tactic(
    id: &'static str,
    name: &'static str,
    tags: &'static [&'static str],
    versions: &'static [AttackVersion],
) -> Tactic {
    Tactic {
        id,
        name,
        tags,
        versions,
    }
}

/// A rule that was tagged under one version keeps its meaning under the other, as far as it has one: what was Defense
/// Evasion is Stealth, and Defense Impairment was Defense Evasion.
#[rustfmt::skip]
static TACTICS: [Tactic; 16] = [
    tactic("TA0043", "Reconnaissance", &["reconnaissance"], BOTH),
    tactic("TA0042", "Resource Development", &["resource-development"], BOTH),
    tactic("TA0001", "Initial Access", &["initial-access"], BOTH),
    tactic("TA0002", "Execution", &["execution"], BOTH),
    tactic("TA0003", "Persistence", &["persistence"], BOTH),
    tactic("TA0004", "Privilege Escalation", &["privilege-escalation"], BOTH),
    tactic("TA0005", "Defense Evasion", &["defense-evasion", "stealth", "defense-impairment"], V18),
    tactic("TA0005", "Stealth", &["stealth", "defense-evasion"], V19),
    tactic("TA0112", "Defense Impairment", &["defense-impairment"], V19),
    tactic("TA0006", "Credential Access", &["credential-access"], BOTH),
    tactic("TA0007", "Discovery", &["discovery"], BOTH),
    tactic("TA0008", "Lateral Movement", &["lateral-movement"], BOTH),
    tactic("TA0009", "Collection", &["collection"], BOTH),
    tactic("TA0011", "Command and Control", &["command-and-control"], BOTH),
    tactic("TA0010", "Exfiltration", &["exfiltration"], BOTH),
    tactic("TA0040", "Impact", &["impact"], BOTH),
];

/// A technique in one version: its id there, and the id by which factors name it (that of version 18).
struct KnownTechnique {
    id: &'static str,
    versions: &'static [AttackVersion],
    technique: Technique<'static>,
}

const fn known(
    id: &'static str,
    versions: &'static [AttackVersion],
    (technique, parent_name, name): (&'static str, Option<&'static str>, &'static str),
    (tactic, tactic_name): (&'static str, &'static str),
) -> KnownTechnique {
    KnownTechnique {
        id,
        versions,
        technique: Technique {
            tactic: Some(tactic),
            tactic_name: Some(tactic_name),
            technique,
            name: Some(name),
            parent_name,
        },
    }
}

const ESCALATION: (&str, &str) = ("TA0004", "Privilege Escalation");
const IMPACT: (&str, &str) = ("TA0040", "Impact");

/// In the order in which documents list them.
#[rustfmt::skip]
static TECHNIQUES: [KnownTechnique; 7] = [
    known("T1098.003", BOTH, ("T1098.003", Some("Account Manipulation"), "Additional Cloud Roles"), ESCALATION),
    known("T1548.005", BOTH, ("T1548.005", Some("Abuse Elevation Control Mechanism"), "Temporary Elevated Cloud Access"), ESCALATION),
    known("T1531", BOTH, ("T1531", None, "Account Access Removal"), IMPACT),
    known("T1489", BOTH, ("T1489", None, "Service Stop"), IMPACT),
    known("T1562.001", V18, ("T1562.001", Some("Impair Defenses"), "Disable or Modify Tools"), ("TA0005", "Defense Evasion")),
    known("T1562.001", V19, ("T1685", None, "Disable or Modify Tools"), ("TA0112", "Defense Impairment")),
    known("T1078.004", BOTH, ("T1078.004", Some("Valid Accounts"), "Cloud Accounts"), ESCALATION),
];

/// The id by which factors name a technique; none for one that is not in the table.
pub(super) fn id_of(text: &str) -> Option<&'static str> {
    TECHNIQUES
        .iter()
        .find(|known| {
            known.id.eq_ignore_ascii_case(text)
                || known.technique.technique.eq_ignore_ascii_case(text)
        })
        .map(|known| known.id)
}

/// Every id that factors may name.
pub(super) fn ids() -> Vec<&'static str> {
    let mut ids: Vec<_> = TECHNIQUES.iter().map(|known| known.id).collect();
    ids.dedup();
    ids
}

/// What a rule's tags say: techniques by the id of the table, others as they are written, each with the first tactic
/// among the tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct AttackTags {
    known: Vec<&'static str>,
    others: Vec<(Option<(&'static str, &'static str)>, String)>,
}

impl AttackTags {
    pub(super) fn parse(tags: &[String], version: AttackVersion) -> Self {
        let mut tagged = Self::default();
        let names = tags.iter().filter_map(|tag| {
            tag.split_once('.')
                .filter(|(namespace, _)| namespace.eq_ignore_ascii_case("attack"))
                .map(|(_, name)| name.to_ascii_lowercase())
        });
        let mut tactic = None;
        for name in names {
            if is_technique(&name) {
                match id_of(&name) {
                    Some(id) => tagged.known.push(id),
                    None => tagged.others.push((None, name.to_ascii_uppercase())),
                }
            } else if tactic.is_none() {
                let name = name.replace('_', "-");
                tactic = TACTICS
                    .iter()
                    .filter(|tactic| tactic.versions.contains(&version))
                    .find(|tactic| tactic.tags.contains(&name.as_str()))
                    .map(|tactic| (tactic.id, tactic.name));
            }
        }
        for (of, _) in &mut tagged.others {
            *of = tactic;
        }
        tagged
    }
}

/// `t1078` or `t1078.004`.
fn is_technique(name: &str) -> bool {
    let digits = |text: &str, many: usize| {
        text.len() == many && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    name.strip_prefix('t').is_some_and(|number| {
        number.split_once('.').map_or_else(
            || digits(number, 4),
            |(of, sub)| digits(of, 4) && digits(sub, 3),
        )
    })
}

/// The techniques of these ids and tags, each once: those of the table in its order, then what only tags name.
pub(super) fn techniques<'a>(
    version: AttackVersion,
    ids: &(impl Iterator<Item = &'static str> + Clone),
    tagged: &(impl Iterator<Item = &'a AttackTags> + Clone),
) -> Vec<Technique<'a>> {
    let mut techniques: Vec<Technique<'a>> = TECHNIQUES
        .iter()
        .filter(|known| known.versions.contains(&version))
        .filter(|known| {
            ids.clone().any(|id| id == known.id)
                || tagged
                    .clone()
                    .any(|tagged| tagged.known.contains(&known.id))
        })
        .map(|known| known.technique)
        .collect();
    for (tactic, id) in tagged.clone().flat_map(|tagged| &tagged.others) {
        if !techniques.iter().any(|technique| technique.technique == id) {
            techniques.push(Technique {
                tactic: tactic.map(|(id, _)| id),
                tactic_name: tactic.map(|(_, name)| name),
                technique: id,
                name: None,
                parent_name: None,
            });
        }
    }
    techniques
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(tags: &[&str]) -> Vec<String> {
        tags.iter().map(|&tag| tag.to_owned()).collect()
    }

    fn told(version: AttackVersion, ids: &[&'static str], rule_tags: &[&str]) -> Vec<String> {
        let tagged = AttackTags::parse(&tags(rule_tags), version);
        techniques(version, &ids.iter().copied(), &std::iter::once(&tagged))
            .iter()
            .map(|it| {
                format!(
                    "{} {} {} {}",
                    it.tactic.unwrap_or("-"),
                    it.tactic_name.unwrap_or("-"),
                    it.technique,
                    it.name.unwrap_or("-")
                )
            })
            .collect()
    }

    #[test]
    fn only_disabled_tools_are_named_otherwise_in_the_two_versions() {
        let all = ids();
        let (old, new) = (
            told(AttackVersion::V18, &all, &[]),
            told(AttackVersion::V19, &all, &[]),
        );
        assert_eq!(old.len(), all.len());
        let changed: Vec<_> = old
            .iter()
            .zip(&new)
            .filter(|(old, new)| old != new)
            .collect();
        assert_eq!(
            changed,
            [(
                &"TA0005 Defense Evasion T1562.001 Disable or Modify Tools".to_owned(),
                &"TA0112 Defense Impairment T1685 Disable or Modify Tools".to_owned()
            )]
        );
    }

    #[test]
    fn each_technique_comes_once_in_the_order_of_the_table() {
        assert_eq!(
            told(
                AttackVersion::V18,
                &["T1078.004", "T1531", "T1078.004"],
                &["attack.t1531", "attack.T1685", "aws.iam"]
            ),
            [
                "TA0040 Impact T1531 Account Access Removal",
                "TA0005 Defense Evasion T1562.001 Disable or Modify Tools",
                "TA0004 Privilege Escalation T1078.004 Cloud Accounts",
            ]
        );
    }

    #[test]
    fn what_only_tags_name_keeps_its_id_and_its_tactic() {
        for (version, rule_tags, want) in [
            (
                AttackVersion::V18,
                vec![
                    "attack.t1562.008",
                    "attack.defense_evasion",
                    "attack.impact",
                ],
                "TA0005 Defense Evasion T1562.008 -",
            ),
            (
                AttackVersion::V19,
                vec!["attack.defense-impairment", "attack.t1685.002"],
                "TA0112 Defense Impairment T1685.002 -",
            ),
            (
                AttackVersion::V18,
                vec!["attack.t1685.002", "attack.stealth"],
                "TA0005 Defense Evasion T1685.002 -",
            ),
            (AttackVersion::V19, vec!["attack.t1526"], "- - T1526 -"),
        ] {
            assert_eq!(told(version, &[], &rule_tags), [want], "{rule_tags:?}");
        }
        for none in [
            "attack.t10",
            "attack.t1078.4",
            "attack.s0001",
            "cve.2024-1",
            "attack",
        ] {
            assert!(told(AttackVersion::V18, &[], &[none]).is_empty(), "{none}");
        }
    }

    #[test]
    fn entries_have_the_pages_that_mitre_gives_them() {
        for (id, page) in [
            ("TA0040", "https://attack.mitre.org/tactics/TA0040/"),
            ("T1531", "https://attack.mitre.org/techniques/T1531/"),
            (
                "T1078.004",
                "https://attack.mitre.org/techniques/T1078/004/",
            ),
        ] {
            assert_eq!(AttackObject { id, name: None }.page(), page);
        }
    }

    #[test]
    fn every_version_has_each_tactic_once() {
        for version in [AttackVersion::V18, AttackVersion::V19] {
            let mut ids: Vec<_> = TACTICS
                .iter()
                .filter(|tactic| tactic.versions.contains(&version))
                .map(|tactic| tactic.id)
                .collect();
            let many = ids.len();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), many);
        }
    }
}
