//! `attacks`: techniques of MITRE ATT&CK as OCSF writes them.

use serde::Serialize;

use crate::detection::attack::Technique;

#[derive(Serialize)]
pub(super) struct Attack<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Entry<'a>>,
    technique: Entry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_technique: Option<Entry<'a>>,
    /// Only where the techniques themselves say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'static str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    src_url: String,
}

/// Every technique that a finding is evidence of.
pub(super) fn of<'a>(attack: &[Technique<'a>]) -> Vec<Attack<'a>> {
    let version = version(attack);
    attack
        .iter()
        .map(|found| {
            let id = found.technique;
            let (technique, sub_technique) = match id.split_once('.') {
                Some((parent, number)) => (
                    Entry {
                        uid: parent,
                        name: found.parent_name,
                        src_url: format!("https://attack.mitre.org/techniques/{parent}/"),
                    },
                    Some(Entry {
                        uid: id,
                        name: found.name,
                        src_url: format!("https://attack.mitre.org/techniques/{parent}/{number}/"),
                    }),
                ),
                None => (
                    Entry {
                        uid: id,
                        name: found.name,
                        src_url: format!("https://attack.mitre.org/techniques/{id}/"),
                    },
                    None,
                ),
            };
            Attack {
                tactic: found.tactic.map(|uid| Entry {
                    uid,
                    name: found.tactic_name,
                    src_url: format!("https://attack.mitre.org/tactics/{uid}/"),
                }),
                technique,
                sub_technique,
                version,
            }
        })
        .collect()
}

/// The version of ATT&CK, where one of the names exists in one version alone: version 19 split Defense Evasion.
fn version(attack: &[Technique<'_>]) -> Option<&'static str> {
    attack
        .iter()
        .find_map(|found| match (found.tactic, found.tactic_name) {
            (Some("TA0005"), Some("Defense Evasion")) => Some("18"),
            (Some("TA0005"), Some("Stealth")) | (Some("TA0112"), _) => Some("19"),
            _ => None,
        })
}
