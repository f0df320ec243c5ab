//! Alerts, recording rules and the dashboard, as far as that needs no Prometheus: what they name exists, nothing is left
//! untested or unexplained, and the chart has the same files. `tests/observability/check.sh` does the rest.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use serde_json::Value;
use trailtag::telemetry::metrics::{Lag, Metrics, Transaction};

const ALERTS: &str = include_str!("../config/observability/prometheus/alerts.yaml");
const RECORDING: &str = include_str!("../config/observability/prometheus/recording.yaml");
const DASHBOARD: &str = include_str!("../config/observability/grafana/trailtag.json");
const ALERT_TESTS: &str = include_str!("observability/alerts_test.yaml");
const RUNBOOK: &str = include_str!("../docs/runbook.md");

/// The rules of a rule file.
fn rules(file: &str) -> Vec<Value> {
    let file: Value = serde_saphyr::from_str(file).unwrap();
    let groups = file["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key]
        .as_str()
        .unwrap_or_else(|| panic!("{value} has no {key}"))
}

/// Everything that is asked of Prometheus, with who asks.
fn queries() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for rule in rules(ALERTS) {
        queries.push((
            text(&rule, "alert").to_owned(),
            text(&rule, "expr").to_owned(),
        ));
    }
    for rule in rules(RECORDING) {
        queries.push((
            text(&rule, "record").to_owned(),
            text(&rule, "expr").to_owned(),
        ));
    }
    for panel in panels() {
        for target in panel["targets"].as_array().unwrap() {
            queries.push((
                text(&panel, "title").to_owned(),
                text(target, "expr").to_owned(),
            ));
        }
    }
    queries
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

/// A scrape in which every metric appears, also those that come with their first topic, partition or worker.
fn scrape() -> String {
    let metrics = Metrics::new(
        &["findings".to_owned()],
        &trailtag::kafka::library_version(),
    )
    .unwrap();
    metrics.received("cloudtrail", 1, 1, 1);
    metrics.lag(&Lag {
        topic: "cloudtrail".to_owned(),
        partition: 0,
        messages: 1,
    });
    metrics.stopped("0", 0);
    metrics.brokers("0", 1);
    metrics.remembered("0", 0, 0);
    metrics.turned("0", 1);
    metrics.batch(Duration::from_secs(1));
    metrics.transaction(Transaction::Committed, Duration::from_secs(1));
    metrics.event_delay(Duration::from_secs(1));
    String::from_utf8(metrics.scrape().unwrap()).unwrap()
}

#[test]
fn rules_and_dashboard_ask_only_for_series_that_the_program_shows() {
    let scrape = scrape();
    let recorded: BTreeSet<String> = rules(RECORDING)
        .iter()
        .map(|rule| text(rule, "record").to_owned())
        .collect();
    // A recorded name, or a metric with the labels that are asked of it.
    let name =
        Regex::new(r"[a-z0-9_]+:trailtag_\w+:\w+|\b(?:trailtag|process)_[a-z0-9_]+(?:\{[^}]*\})?")
            .unwrap();
    let label = Regex::new(r#"(\w+)(=~?)"([^"]*)""#).unwrap();
    let mut asked = 0;
    for (who, query) in queries() {
        for found in name.find_iter(&query) {
            asked += 1;
            let found = found.as_str();
            if found.contains(":trailtag_") {
                assert!(recorded.contains(found), "{who}: nothing records {found}");
                continue;
            }
            let (metric, labels) = found.split_once('{').unwrap_or((found, ""));
            let series: Vec<&str> = scrape
                .lines()
                .filter(|line| {
                    line.strip_prefix(metric)
                        .is_some_and(|rest| rest.starts_with(['{', ' ']))
                })
                .collect();
            assert!(!series.is_empty(), "{who}: the program shows no {metric}");
            // Prometheus adds `job`; every other value must be one that the program knows.
            for wanted in label.captures_iter(labels).filter(|l| &l[1] != "job") {
                for value in wanted[3].split('|') {
                    let pair = format!("{}=\"{value}\"", &wanted[1]);
                    assert!(
                        series.iter().any(|line| line.contains(&pair)),
                        "{who}: {metric} never has {pair}"
                    );
                }
            }
        }
    }
    assert!(asked > 50, "only {asked} names were found");
}

#[test]
fn every_metric_of_the_program_is_told_in_its_page() {
    let page = include_str!("../docs/operate.md");
    let scrape = scrape();
    let families: Vec<&str> = scrape
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE trailtag_")?.split(' ').next())
        .collect();
    assert!(families.len() > 20, "{families:?}");
    for family in families {
        assert!(
            page.contains(&format!("`{family}`")) || page.contains(&format!("`{family}{{")),
            "docs/operate.md lacks {family}"
        );
    }
}

#[test]
fn every_alert_says_how_grave_it_is_what_happened_and_what_to_do() {
    let mut sections: BTreeSet<&str> = RUNBOOK
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    for rule in rules(ALERTS) {
        let alert = text(&rule, "alert");
        let severity = text(&rule["labels"], "severity");
        assert!(
            ["critical", "warning"].contains(&severity),
            "{alert}: {severity}"
        );
        let annotations = &rule["annotations"];
        assert!(!text(annotations, "summary").is_empty(), "{alert}");
        assert!(!text(annotations, "description").is_empty(), "{alert}");
        assert_eq!(
            text(annotations, "runbook_url"),
            format!("docs/runbook.md#{}", alert.to_lowercase())
        );
        assert!(
            sections.remove(alert),
            "docs/runbook.md has no section {alert}"
        );
    }
    assert!(
        sections.is_empty(),
        "docs/runbook.md explains {sections:?}, which no alert names"
    );
    for section in RUNBOOK.split("\n## ").skip(1) {
        for part in ["**Meaning.**", "**Look at**", "**Do.**"] {
            assert!(section.contains(part), "{part} is missing in:\n{section}");
        }
    }
}

#[test]
fn every_alert_is_tried_firing_and_silent() {
    let file: Value = serde_saphyr::from_str(ALERT_TESTS).unwrap();
    for rule in rules(ALERTS) {
        let alert = text(&rule, "alert");
        let short = alert.strip_prefix("Trailtag").unwrap();
        let (mut firing, mut silent) = (0, 0);
        for test in file["tests"].as_array().unwrap() {
            let about = text(test, "name").split(' ').next() == Some(short);
            for check in test["promql_expr_test"].as_array().into_iter().flatten() {
                // Every check asks for all alerts that fire.
                let fires = check["exp_samples"].to_string().contains(alert);
                firing += usize::from(fires);
                silent += usize::from(about && !fires);
            }
        }
        assert!(firing > 0, "{alert} never fires in alerts_test.yaml");
        assert!(silent > 0, "{alert} is never silent in a test of its own");
    }
}

#[test]
fn every_panel_has_a_title_a_unit_an_explanation_and_the_chosen_data_source() {
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels() {
        let title = text(&panel, "title");
        assert!(!text(&panel, "description").is_empty(), "{title}");
        let unit = text(&panel["fieldConfig"]["defaults"], "unit");
        assert!(
            ["short", "cps", "s", "bytes"].contains(&unit),
            "{title}: {unit}"
        );
        assert!(ids.insert(panel["id"].as_u64()), "{title}: its id is taken");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title}: no query");
        for target in targets {
            assert_eq!(text(&target["datasource"], "uid"), "${datasource}");
            assert!(
                text(target, "expr").contains("job=~\"$job\""),
                "{title}: other programs are in it"
            );
        }
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{title}: wider than the page");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(
                    taken.insert((x, y)),
                    "{title}: another panel is at {x}, {y}"
                );
            }
        }
    }
    let dashboard: Value = serde_json::from_str(DASHBOARD).unwrap();
    let variables: Vec<&str> = dashboard["templating"]["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| text(variable, "name"))
        .collect();
    assert_eq!(variables, ["datasource", "job"]);
}

/// Helm reads nothing outside the chart's folder.
#[test]
fn the_chart_has_the_same_files() {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("helm/trailtag/files");
    for (name, content) in [
        ("alerts.yaml", ALERTS),
        ("recording.yaml", RECORDING),
        ("trailtag.json", DASHBOARD),
    ] {
        let copy = std::fs::read_to_string(chart.join(name))
            .unwrap_or_else(|error| panic!("{name}: {error}: run `make chart-files`"));
        assert!(
            copy == content,
            "helm/trailtag/files/{name} is old: run `make chart-files`"
        );
    }
}

#[test]
fn the_image_says_the_version_that_it_holds() {
    let file = include_str!("../Dockerfile");
    assert!(file.contains(&format!("\nARG VERSION={}\n", env!("CARGO_PKG_VERSION"))));
    let channel = include_str!("../rust-toolchain.toml")
        .lines()
        .find_map(|line| line.strip_prefix("channel = "))
        .unwrap()
        .trim_matches('"');
    assert!(file.contains(&format!("\nFROM rust:{channel}-bookworm AS build\n")));
}
