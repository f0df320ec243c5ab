//! What a site adds: fields of its own in the templates, and a pipeline such as `enrichment.json`.

use serde_json::{Value, json};

use super::server::{Server, siem};
use super::topic::Sent;
use super::{every_field_is_mapped, leaves};

const INDEX: &str = "logs-trailtag.events-enriched";

pub(crate) fn what_is_the_sites_own_counts_and_stays(server: &Server, sent: &Sent) {
    let own = r#"{"template": {"mappings": {"properties": {"owner": {"type": "keyword"}}}}}"#;
    server.request("PUT", "_component_template/trailtag@custom", own.as_bytes());
    let pipeline = siem("elastic/enrichment.json");
    let answer = server.request(
        "PUT",
        "_ingest/pipeline/trailtag@custom",
        pipeline.as_bytes(),
    );
    assert_eq!(answer["acknowledged"], true, "{answer}");
    // An update of ours leaves them.
    let said = server.apply_templates();
    assert!(
        said.contains("kept    _component_template/trailtag@custom"),
        "{said}"
    );
    let mappings = server.template(INDEX)["mappings"].take();
    assert_eq!(mappings["properties"]["owner"]["type"], "keyword");

    let mut document = sent.document();
    // Of a network that the servers' own database of places has.
    document["source"] = json!({"address": "81.2.69.142", "ip": "81.2.69.142"});
    document["user_agent"] = json!({"original": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1"});
    document["owner"] = json!("cloud team");
    let one = [(sent.key.clone(), document.to_string().into_bytes())];
    let results = server.bulk(INDEX, "create", &one);
    assert_eq!(results[0].0, 201, "{}", results[0].1);

    let query = json!({"query": {"match_all": {}}}).to_string();
    let answer = server.request("POST", &format!("{INDEX}/_search"), query.as_bytes());
    let mut source = answer["hits"]["hits"][0]["_source"].clone();
    let url = format!(
        "https://wiki.example.com/runbooks/{}",
        document["rule"]["id"].as_str().unwrap()
    );
    for (field, value) in [
        ("source.geo.country_iso_code", json!("GB")),
        ("source.as.number", json!(20_712)),
        ("user_agent.name", json!("aws-cli")),
        ("user_agent.os.name", json!("Linux")),
        ("event.url", json!(url)),
        ("owner", json!("cloud team")),
    ] {
        let query = json!({"term": {field: value}});
        assert_eq!(server.count(INDEX, &query), 1, "{field}: {source}");
    }
    let near = json!({"geo_distance": {"distance": "500km", "source.geo.location": {"lat": 51.5, "lon": -0.1}}});
    assert_eq!(server.count(INDEX, &near), 1, "{source}");
    let mut found = Vec::new();
    leaves(&source, "", &mut found);
    assert!(found.iter().any(|(path, _)| path == "event.ingested"));
    // A point is one field.
    source["source"]["geo"]["location"] = json!("a point");
    every_field_is_mapped(&mappings, &[source]);

    // What fails there, or is not there, keeps no finding out.
    let broken = json!({"processors": [{"fail": {"message": "broken"}}]}).to_string();
    let answer = server.request("PUT", "_ingest/pipeline/trailtag@custom", broken.as_bytes());
    assert_eq!(answer["acknowledged"], true, "{answer}");
    let results = server.bulk(INDEX, "create", &[("broken".to_owned(), one[0].1.clone())]);
    assert_eq!(results[0].0, 201, "{}", results[0].1);
    let query = json!({"bool": {"filter": [{"ids": {"values": ["broken"]}}, {"exists": {"field": "event.ingested"}}]}});
    assert_eq!(server.count(INDEX, &query), 1);
    let answer: Value = server.request("DELETE", "_ingest/pipeline/trailtag@custom", b"");
    assert_eq!(answer["acknowledged"], true, "{answer}");
}
