//! `attacks`: techniques of MITRE ATT&CK as OCSF writes them.

use serde::Serialize;

use crate::detection::attack::Technique;
use crate::format::words::Spelled;

#[derive(Serialize)]
pub(super) struct Attack<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Entry<'a>>,
    technique: Entry<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_technique: Option<Entry<'a>>,
    /// The version of ATT&CK.
    version: Spelled<u8>,
}

#[derive(Serialize)]
struct Entry<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    src_url: String,
}

/// Every technique that a finding is evidence of.
pub(super) fn of<'a>(attack: &[Technique<'a>], version: u8) -> Vec<Attack<'a>> {
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
                version: Spelled(version),
            }
        })
        .collect()
}
