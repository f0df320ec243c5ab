//! What we say of a finding, in the form in which it stands under `trailtag` in every format that has room for it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::object::Object;
use crate::cloudtrail::repair::Replaced;
use crate::config::Route;
use crate::detection::attack::Technique;
use crate::detection::facts::{Actor, Client, IdSource, Target};
use crate::detection::rules::Rule;
use crate::detection::severity::Severity;
use crate::detection::time::{EventTime, TimeSource};
use crate::finding::{Finding, RecordSource, Sequence};
use crate::model::Outcome;
use crate::remediation::{Risk, Steps};

/// The version of what stands under `trailtag`; a reader need not look when only keys were added.
const SCHEMA_VERSION: u8 = 1;

/// What documents say under `trailtag`.
#[derive(Serialize)]
struct TrailtagBlock<'a> {
    schema_version: u8,
    severity: &'a Severity<'a>,
    rules: &'a [&'a Rule],
    tags: Vec<&'a str>,
    attack: &'a [Technique<'a>],
    attack_version: u8,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    actor: &'a Actor<'a>,
    client: &'a Client<'a>,
    target: &'a Target<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cross_account: Option<bool>,
    risks: &'a [Risk<'a>],
    insufficient: &'a [&'static str],
    event_id: &'a Cow<'a, str>,
    event_id_source: IdSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time_source: Option<TimeSource>,
    source: &'a RecordSource<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<&'a Sequence>,
    #[serde(skip_serializing_if = "<[Steps]>::is_empty")]
    trimmed: &'a [Steps],
    /// What was replaced in the record's values, because JSON cannot say it to everybody.
    #[serde(skip_serializing_if = "<[Replaced]>::is_empty")]
    replaced: &'a [Replaced],
    /// The record's own bytes then.
    #[serde(skip_serializing_if = "Option::is_none")]
    original_base64: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    fields: &'a BTreeMap<String, String>,
}

/// Appends what we say of a finding, as a JSON object.
pub(super) fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut block = Object::begin(&TrailtagBlock::new(route, finding), out)?;
    // Items come as bytes that were made ready before.
    block.key("remediation")?;
    finding.advice.write_items(block.out)?;
    block.close();
    Ok(())
}

impl<'a> TrailtagBlock<'a> {
    fn new(route: &'a Route, finding: &'a Finding<'_>) -> Self {
        let facts = &finding.detection.facts;
        let event_time = facts.event_time.and_then(EventTime::rfc3339);
        let repaired = finding.record.repaired;
        Self {
            schema_version: SCHEMA_VERSION,
            severity: &finding.detection.severity,
            rules: &finding.detection.rules,
            tags: finding.tags(),
            attack: &finding.detection.attack,
            attack_version: finding.detection.attack_version,
            outcome: facts.outcome,
            error: facts.error,
            actor: &facts.actor,
            client: &facts.client,
            target: &facts.target,
            cross_account: facts.cross_account,
            risks: &finding.advice.risks,
            insufficient: &facts.insufficient,
            event_id: &facts.event_id,
            event_id_source: facts.event_id_source,
            event_time_source: facts
                .event_time
                .filter(|_| event_time.is_some())
                .map(|at| at.source),
            event_time,
            source: &finding.source,
            sequence: finding.sequence,
            trimmed: finding.advice.left_out(),
            replaced: repaired.map_or(&[], |repaired| &repaired.replaced),
            original_base64: repaired.map(|repaired| STANDARD.encode(repaired.original)),
            fields: &route.fields,
        }
    }
}
