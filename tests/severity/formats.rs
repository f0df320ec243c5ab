//! Every format over the labelled examples of the severity model: what a score, its factors and its advice become in
//! each. The shapes of callers and of records have samples of their own, beside each format.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use trailtag::config::Detail;
use trailtag::config::Format;
use trailtag::config::{OcsfClass, Route};
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline};

use super::examples::examples;
use super::records::{Site, with};

/// The routes: each format, and each class of the one that has classes.
fn routes() -> Vec<Route> {
    let route = |name: &str, format, ocsf_class| Route {
        name: name.to_owned(),
        topic: name.to_owned(),
        format,
        ocsf_class,
        ..Route::default()
    };
    let finding = OcsfClass::DetectionFinding;
    vec![
        route("native", Format::Native, finding),
        route("ecs", Format::Ecs, finding),
        route("splunk_hec", Format::SplunkHec, finding),
        route("splunk_raw", Format::SplunkRaw, finding),
        route("ocsf_finding", Format::Ocsf, finding),
        route("ocsf_api_activity", Format::Ocsf, OcsfClass::ApiActivity),
        route(
            "ocsf_account_change",
            Format::Ocsf,
            OcsfClass::AccountChange,
        ),
    ]
}

/// The documents of a record, in the order of the routes, from a pipeline that is made for it.
fn documents(site: Site, folder: &Path, record: &str) -> Vec<String> {
    let mut config = site.config(folder);
    config.routes = routes();
    config.remediation.detail = Detail::Ids;
    let origin = Origin {
        topic: "cloudtrail",
        partition: 3,
        offset: 1042,
        timestamp: Some(1_767_639_806_250),
    };
    let mut outputs = Outputs::default();
    let tally =
        Pipeline::from_config(&config)
            .unwrap()
            .process(record.as_bytes(), &origin, &mut outputs);
    assert_eq!((tally.matched, tally.records()), (1, 1), "{record}");
    outputs
        .documents
        .into_iter()
        .map(|document| String::from_utf8(document.payload).unwrap())
        .collect()
}

/// The record of a document, byte for byte as it stands there.
fn original(route: &str, document: &str) -> String {
    let value: Value = serde_json::from_str(document).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    match route {
        "ecs" => text(&value["event"]["original"]),
        ocsf if ocsf.starts_with("ocsf") => text(&value["raw_data"]),
        // These hold it as it is, not as a string.
        _ => String::new(),
    }
}

#[test]
fn every_format_has_every_example_with_its_record_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let mut pages = vec![String::new(); routes().len()];
    for (number, site, changes, ..) in examples() {
        let record = with(&changes).to_string();
        let escaped = Value::from(record.as_str()).to_string();
        let documents = documents(site, folder.path(), &record);
        assert_eq!(documents.len(), pages.len());
        // What is ours alone is the same in each, and shown with the first.
        let ours = documents[0].split_once(",\"trailtag\":").unwrap().1;
        let ours = ours.strip_suffix('}').unwrap();
        for ((route, document), page) in routes().iter().zip(&documents).zip(&mut pages) {
            let held = original(&route.name, document);
            let mut short = if held.is_empty() {
                // Its braces may hold what is ours too.
                document.replacen(&record[1..record.len() - 1], "…", 1)
            } else {
                assert_eq!(held, record, "{}", route.name);
                document.replacen(&escaped, "\"…\"", 1)
            };
            assert_ne!(&short, document, "{}: without its record", route.name);
            if route.format != Format::Native {
                assert!(short.contains(ours), "{}: {short}", route.name);
                short = short.replacen(ours, "{…}", 1);
            }
            writeln!(page, "{number}: {changes}\n{short}\n").unwrap();
        }
    }
    for (route, page) in routes().iter().zip(pages) {
        insta::assert_snapshot!(route.name.as_str(), page);
    }
}

#[test]
fn the_same_record_has_the_same_bytes_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    for (_, site, changes, ..) in examples() {
        let record = with(&changes).to_string();
        let first = documents(site, folder.path(), &record);
        assert_eq!(first, documents(site, folder.path(), &record), "{changes}");
    }
}
