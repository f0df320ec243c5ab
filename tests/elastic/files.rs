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

/// Fields that a rule or monitor shows must be ones that documents have.
fn are_in(document: &Value, fields: &[&str]) {
    for field in fields {
        let pointer = format!("/{}", field.replace('.', "/"));
        let list = pointer.replace("/remediation/", "/remediation/0/");
        assert!(document.pointer(&list).is_some(), "{field} in {document}");
    }
}

#[test]
fn alerts_show_fields_that_documents_have() {
    let document = super::sent()[0].document();
    let rule = detection_rule();
    let shown = rule["investigation_fields"]["field_names"]
        .as_array()
        .unwrap();
    let mut fields: Vec<&str> = shown.iter().map(|name| name.as_str().unwrap()).collect();
    fields.push(rule["rule_name_override"].as_str().unwrap());
    fields.push(rule["risk_score_mapping"][0]["field"].as_str().unwrap());
    are_in(&document, &fields);
    are_in(
        &document,
        &["message", "event.reason", "trailtag.remediation.id"],
    );
    let monitor = monitor().to_string();
    for name in [
        "_source.message",
        "_source.event.reason",
        "_source.trailtag.remediation",
    ] {
        assert!(monitor.contains(name), "{name}");
    }
}

#[test]
fn the_rule_gives_each_level_the_severity_of_its_number() {
    let rule = detection_rule();
    let levels: Vec<(&str, &str)> = rule["severity_mapping"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["value"].as_str().unwrap(),
                row["severity"].as_str().unwrap(),
            )
        })
        .collect();
    let expected: Vec<(String, &str)> = trailtag::model::Level::ALL
        .iter()
        .map(|level| level.scale())
        // Kibana has no level below low.
        .filter(|scale| scale.ecs >= 21)
        .map(|scale| (scale.ecs.to_string(), scale.name))
        .collect();
    assert_eq!(levels.len(), expected.len());
    for (number, name) in &expected {
        assert!(
            levels.contains(&(number.as_str(), *name)),
            "{number} {name}"
        );
    }
}

#[test]
fn movers_take_the_key_as_the_id_and_read_only_what_is_committed() {
    let connect: Value =
        serde_json::from_str(&siem("kafka-connect/elasticsearch-sink.json")).unwrap();
    let connect = &connect["config"];
    assert_eq!(connect["key.ignore"], "false");
    assert_eq!(
        connect["consumer.override.isolation.level"],
        "read_committed"
    );
    let vector: Value = serde_saphyr::from_str(&siem("vector/trailtag.yaml")).unwrap();
    let (from, to) = (
        &vector["sources"]["findings"],
        &vector["sinks"]["elasticsearch"],
    );
    assert_eq!(to["id_key"], from["key_field"]);
    assert_eq!(to["bulk"]["action"], "create");
    assert_eq!(
        from["librdkafka_options"]["isolation.level"],
        "read_committed"
    );
    let logstash = siem("logstash/trailtag.conf");
    for line in [
        r#"isolation_level => "read_committed""#,
        r#"document_id => "%{[@metadata][kafka][key]}""#,
        r#"action => "create""#,
    ] {
        assert!(logstash.contains(line), "{line}");
    }
}
