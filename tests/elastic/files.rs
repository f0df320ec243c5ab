//! The files for Elastic and OpenSearch that no server here can run: that they say what the documents say.

use serde_json::Value;

use super::siem;

/// Fields that the documentation's dashboard and searches use; each must be there to be counted by.
pub(crate) const SEARCHED: [&str; 16] = [
    "event.severity",
    "event.risk_score",
    "event.action",
    "event.outcome",
    "event.kind",
    "threat.technique.id",
    "threat.tactic.name",
    "related.user",
    "user.name",
    "source.address",
    "cloud.account.id",
    "rule.name",
    "trailtag.remediation.id",
    "trailtag.severity.factors.id",
    "trailtag.target.instance_profile",
    "trailtag.actor.is_external",
];

/// The rule for Kibana: one line of JSON.
pub(crate) fn detection_rule() -> Value {
    let text = siem("elastic/elasticsearch/detection-rule.ndjson");
    assert_eq!(text.lines().count(), 1);
    serde_json::from_str(&text).unwrap()
}

/// The monitor for OpenSearch Alerting.
pub(crate) fn monitor() -> Value {
    serde_json::from_str(&siem("elastic/opensearch/monitor.json")).unwrap()
}
