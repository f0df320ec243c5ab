//! Findings to bytes: one function a format.

mod ecs;
mod native;
mod object;
mod ocsf;
mod splunk;
mod text;
mod trailtag_block;

use std::borrow::Cow;

use crate::config::{Format, Route};
use crate::finding::Finding;
use crate::model::visible::visible;

/// Appends a finding's document for a route to `out`. Errs only where `serde_json` does, which it does not when it writes
/// to memory.
pub fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    match route.format {
        Format::Native => native::write(route, finding, out),
        Format::Ecs => ecs::write(route, finding, out),
        Format::SplunkHec => splunk::write_hec(route, finding, out),
        Format::SplunkRaw => splunk::write_raw(route, finding, out),
        Format::Ocsf => ocsf::write(route, finding, out),
    }
}

/// A document's Kafka headers, in order: ours, what the format needs, and the route's own.
#[must_use]
pub fn headers(route: &Route, finding: &Finding<'_>) -> Vec<(Cow<'static, str>, String)> {
    let source = finding.source;
    let ours = [
        ("trailtag.severity", finding.level().as_str().to_owned()),
        (
            "trailtag.rule",
            finding
                .rule()
                .map(|rule| rule.id.clone())
                .unwrap_or_default(),
        ),
        ("trailtag.format", route.format.as_str().to_owned()),
        (
            "trailtag.source",
            format!("{}/{}/{}", source.topic, source.partition, source.offset),
        ),
        ("trailtag.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    let ours = ours
        .into_iter()
        .map(|(name, value)| (Cow::Borrowed(name), value));
    let formats = needed_headers(route, finding)
        .into_iter()
        .map(|(name, value)| (Cow::Borrowed(name), value));
    let routes = route
        .headers
        .iter()
        .map(|(name, value)| (Cow::Owned(name.clone()), value.clone()));
    // Some values are a record's or a rule's; a tool that prints headers must not be steered by them.
    ours.chain(formats)
        .chain(routes)
        .map(|(name, value)| match visible(&value) {
            Cow::Borrowed(_) => (name, value),
            Cow::Owned(shown) => (name, shown),
        })
        .collect()
}

/// The Kafka headers that a route's format needs, beyond those that every document has.
fn needed_headers(route: &Route, finding: &Finding<'_>) -> Vec<(&'static str, String)> {
    match route.format {
        Format::SplunkRaw => splunk::headers(route, finding),
        Format::Native | Format::Ecs | Format::SplunkHec | Format::Ocsf => Vec::new(),
    }
}
