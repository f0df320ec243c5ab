//! `{"event": <the original record>, "trailtag": {…}}`: everything that is known, under names of our own.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::detection::facts::{Actor, Target};
use crate::detection::rules::Rule;
use crate::detection::severity::Severity;
use crate::finding::{Finding, Provenance, Source};
use crate::remediation::{Item, Risk};

/// Rises when a reader of this format has to change.
const SCHEMA_VERSION: u32 = 1;

#[derive(Serialize)]
struct Native<'a> {
    event: &'a RawValue,
    trailtag: Trailtag<'a>,
}

#[derive(Serialize)]
struct Trailtag<'a> {
    schema_version: u32,
    severity: &'a Severity,
    rules: &'a [&'a Rule],
    tags: Vec<&'a str>,
    attack: Vec<Attack<'a>>,
    outcome: &'static str,
    actor: &'a Actor,
    target: &'a Target,
    risks: Vec<AtRisk>,
    remediation: &'a [Item],
    insufficient: &'a [&'static str],
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id_source: Option<Provenance>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time_source: Option<Provenance>,
    source: &'a Source<'a>,
}

#[derive(Serialize)]
struct Attack<'a> {
    tactic: &'a str,
    technique: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct AtRisk {
    id: Risk,
    title: &'static str,
}

/// Where something is from, when it is not the record itself, which goes without saying.
fn elsewhere(source: Provenance) -> Option<Provenance> {
    (source != Provenance::Record).then_some(source)
}

/// Appends the document of a finding.
pub(super) fn write(finding: &Finding<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let verdict = finding.verdict;
    let document = Native {
        event: serde_json::from_str(finding.record)?,
        trailtag: Trailtag {
            schema_version: SCHEMA_VERSION,
            severity: &verdict.severity,
            rules: &verdict.rules,
            tags: verdict.tags.iter().copied().collect(),
            attack: Vec::new(),
            outcome: verdict.facts.outcome.as_str(),
            actor: &verdict.facts.actor,
            target: &verdict.facts.target,
            risks: finding
                .risks
                .iter()
                .map(|risk| AtRisk {
                    id: *risk,
                    title: risk.title(),
                })
                .collect(),
            remediation: &finding.remediation,
            insufficient: &verdict.facts.insufficient,
            event_id: &finding.event_id,
            event_id_source: elsewhere(finding.event_id_source),
            event_time_source: finding.event_time_source.and_then(elsewhere),
            source: &finding.source,
        },
    };
    serde_json::to_writer(out, &document)
}
