//! `attacks`: techniques of MITRE ATT&CK as OCSF writes them.

use serde::Serialize;

use crate::detection::attack::{AttackObject, Technique};
use crate::format::text::AsText;

#[derive(Serialize)]
pub(super) struct Attack<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Linked<'a>>,
    technique: Linked<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub_technique: Option<Linked<'a>>,
    /// The version of ATT&CK.
    version: AsText<u8>,
}

#[derive(Serialize)]
struct Linked<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    src_url: String,
}

impl<'a> From<AttackObject<'a>> for Linked<'a> {
    fn from(entry: AttackObject<'a>) -> Self {
        Self {
            uid: entry.id,
            name: entry.name,
            src_url: entry.page(),
        }
    }
}

/// Every technique that a finding is evidence of.
pub(super) fn from_techniques<'a>(attack: &[Technique<'a>], version: u8) -> Vec<Attack<'a>> {
    let attacks = attack.iter().map(|found| Attack {
        tactic: found.tactic().map(Linked::from),
        technique: found.technique().into(),
        sub_technique: found.sub_technique().map(Linked::from),
        version: AsText(version),
    });
    attacks.collect()
}
