//! The documentation, tried: every file that a page shows is written, every command that it shows is run, and what comes
//! out is what the page says. `TRAILTAG_BLESS=1 cargo test --test docs` writes the outputs anew.
//!
//! A block that begins with ```` ```yaml file=NAME ```` is the content of a file. In a `console` block each line that
//! begins with `$ ` is a command for bash, and the lines up to the next one are what it prints. Commands run in an empty
//! folder in which `config` is that of the repository, in the order of the page. What cannot be run by itself (it needs a
//! broker, say) stands in a `sh` block.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::path::Path;
use std::process::{Command, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a command line as a reader would who has `trailtag` on the path; both streams as they come.
fn run(line: &str, folder: &Path) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_trailtag"));
    let path = format!(
        "{}:{}",
        binary.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    let output = Command::new("bash")
        .args(["-o", "pipefail", "-c", &format!("exec 2>&1; {line}")])
        .current_dir(folder)
        .env("PATH", path)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    joined(&lines)
}

/// Lines, each with its end.
fn joined(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

/// A page as it should be: its text with the output of each command as it is now.
fn fresh(page: &str, folder: &Path) -> (String, usize) {
    let mut fresh = String::new();
    let mut commands = 0;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        fresh.push_str(line);
        fresh.push('\n');
        let Some(info) = line.strip_prefix("```").filter(|info| !info.is_empty()) else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        let written = joined(&block);
        if let Some((_, name)) = info.split_once("file=") {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, &written).unwrap();
        }
        if info == "console" {
            for command in block.iter().filter(|line| line.starts_with("$ ")) {
                commands += 1;
                fresh.push_str(command);
                fresh.push('\n');
                fresh.push_str(&run(&command[2..], folder));
            }
        } else {
            fresh.push_str(&written);
        }
        fresh.push_str("```\n");
    }
    (fresh, commands)
}

fn try_page(name: &str) {
    let path = Path::new(ROOT).join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(Path::new(ROOT).join("config"), folder.path().join("config"))
        .unwrap();
    let (fresh, commands) = fresh(&page, folder.path());
    assert!(commands > 0, "{name} shows no command");
    if std::env::var_os("TRAILTAG_BLESS").is_some() {
        std::fs::write(&path, &fresh).unwrap();
        return;
    }
    for (number, (is, should)) in page.lines().zip(fresh.lines()).enumerate() {
        assert_eq!(
            is,
            should,
            "{name}:{}: run `TRAILTAG_BLESS=1 cargo test --test docs` and look at the change",
            number + 1
        );
    }
    assert_eq!(page.lines().count(), fresh.lines().count(), "{name}");
}

#[test]
fn detection_is_as_its_page_says() {
    try_page("docs/detection.md");
}

#[test]
fn sequences_are_as_their_page_says() {
    try_page("docs/sequences.md");
}

#[test]
fn splunk_is_as_its_page_says() {
    try_page("docs/splunk.md");
}

#[test]
fn elastic_is_as_its_page_says() {
    try_page("docs/elastic.md");
}

#[test]
fn input_is_as_its_page_says() {
    try_page("docs/input.md");
}

/// Every envelope has its example.
#[test]
fn the_page_of_input_has_every_envelope() {
    let page = include_str!("../docs/input.md");
    for envelope in trailtag::cloudtrail::envelope::Envelope::ALL {
        let name = format!(":\"{}\"", envelope.as_str());
        assert!(page.contains(&name), "docs/input.md lacks {name}");
    }
}

/// The factors of the built-in model, as the page's table should list them.
#[test]
fn the_page_lists_every_factor_with_its_points() {
    let model: serde_json::Value =
        serde_saphyr::from_str(include_str!("../config/severity.yaml")).unwrap();
    let page = include_str!("../docs/detection.md");
    for factor in model["factors"].as_array().unwrap() {
        let points = factor["points"].as_i64().unwrap();
        let sign = if points > 0 { "+" } else { "" };
        let row = format!(
            "| `{}` | {sign}{points} | {} |",
            factor["id"].as_str().unwrap(),
            factor["floor"].as_str().unwrap_or_default()
        );
        assert!(page.contains(&row), "docs/detection.md lacks {row}");
    }
}

#[test]
fn the_page_lists_every_fact() {
    let page = include_str!("../docs/detection.md");
    let mut facts = std::collections::BTreeSet::new();
    // `explain` knows their names: of a record that gives all of them, and of the settings that the rest needs.
    let settings = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = settings.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut config = trailtag::config::Config::default();
    config.detection.allow_list.principals = vec!["x".to_owned()];
    config.detection.allow_list.networks = vec!["192.0.2.0/24".to_owned()];
    config.detection.threat_networks_files = vec![file("threats.txt", "203.0.113.7\n")];
    config.detection.aws_networks_file = file(
        "ip-ranges.json",
        r#"{"prefixes": [{"ip_prefix": "198.51.100.0/24"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32"}]}"#,
    );
    config.detection.profiles_in_use_file = file(
        "in_use.csv",
        "instance_profile,account,running_instances,instance_ids\nweb,111122223333,3,i-0abcdef1\n",
    );
    let pipeline = trailtag::pipeline::Pipeline::from_config(&config).unwrap();
    let record = serde_json::json!({
        "eventVersion": "1.11", "eventTime": "2026-01-05T18:49:01Z", "eventID": "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11",
        "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile", "awsRegion": "us-east-1",
        "errorCode": "NoSuchEntityException", "recipientAccountId": "111122223333", "sourceIPAddress": "203.0.113.7", "userAgent": "x",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "AROAEXAMPLE:eve", "accountId": "111122223333", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
            "arn": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/eve",
            "sessionContext": {"attributes": {"mfaAuthenticated": "false"}, "sessionIssuer": {"arn": "arn:aws:iam::111122223333:role/ops", "userName": "ops"},
                "sourceIdentity": "eve", "webIdFederationData": {"federatedProvider": "idp.example", "attributes": {"idp.example:sub": "eve"}}},
            "onBehalfOf": {"userId": "1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"},
        },
        "requestParameters": {"instanceProfileName": "web", "roleName": "web-role"},
    });
    let origin = trailtag::model::Origin {
        topic: "x",
        partition: 0,
        offset: 0,
        timestamp: None,
    };
    // No record has both an address and a service in its place.
    let mut by_service = record.clone();
    by_service["userIdentity"]["invokedBy"] = "ssm.amazonaws.com".into();
    by_service["sourceIPAddress"] = "ssm.amazonaws.com".into();
    for record in [record, by_service] {
        pipeline.explain(record.to_string().as_bytes(), &origin, &mut |explained| {
            if let trailtag::pipeline::Explained::Record {
                finding: Some(finding),
                ..
            } = explained
            {
                facts.extend(finding.detection.facts.known().map(|(name, _)| name));
            }
        });
    }
    assert!(facts.len() > 30, "{facts:?}");
    for of_sequences in [
        "kind",
        "verdict",
        "count",
        "allow_listed",
        "role",
        "privileged_role",
    ] {
        facts.insert(format!("trailtag.sequence.{of_sequences}"));
    }
    for fact in facts {
        assert!(
            page.contains(&format!("| `{fact}` |")),
            "docs/detection.md lacks {fact}"
        );
    }
}

/// What stands between backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// The text of a file, or of all files in a folder.
fn text_of(path: &Path) -> String {
    if path.is_file() {
        return std::fs::read_to_string(path).unwrap();
    }
    let entries = std::fs::read_dir(path).unwrap();
    entries
        .map(|entry| text_of(&entry.unwrap().path()))
        .collect()
}

/// Whether a name stands in a text as a whole word.
fn names(text: &str, name: &str) -> bool {
    let is_part = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).any(|(at, _)| {
        !text[..at].ends_with(is_part) && !text[at + name.len()..].starts_with(is_part)
    })
}

#[test]
fn every_path_that_the_page_for_developers_names_is_there() {
    let page = include_str!("../docs/develop.md");
    let folders = [
        "src/",
        "tests/",
        "config/",
        "docs/",
        "helm/",
        "benches/",
        "fuzz/src/",
        "fuzz/seeds/",
    ];
    let paths: Vec<&str> = quoted(page)
        .filter(|text| folders.iter().any(|folder| text.starts_with(folder)))
        .collect();
    assert!(paths.len() > 60, "{paths:?}");
    for path in paths {
        assert!(
            Path::new(ROOT).join(path).exists(),
            "docs/develop.md names {path}, which is not there"
        );
    }
}

#[test]
fn what_goes_where_is_as_the_page_for_developers_says() {
    let page = include_str!("../docs/develop.md");
    let (_, section) = page.split_once("\n## What goes where\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let parts: Vec<&str> = section.split("\n### ").skip(1).collect();
    let headings: Vec<&str> = parts
        .iter()
        .map(|part| part.lines().next().unwrap())
        .collect();
    assert_eq!(
        headings,
        [
            "An output format",
            "An envelope form",
            "A fact",
            "A factor",
            "A field of CloudTrail, or its name in another schema",
            "A metric",
            "A setting and its default",
            "A SASL mechanism",
            "A command",
            "A remediation item",
            "A language of queries",
            "A chart value",
        ]
    );
    for (heading, part) in headings.iter().zip(&parts) {
        let mut reminders = 0;
        for row in part.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            assert_eq!(cells.len(), 3, "{heading}: {row}");
            reminders += usize::from(cells[2].contains("fail"));
            for path in quoted(cells[0]) {
                let text = text_of(&Path::new(ROOT).join(path));
                for name in quoted(cells[1]) {
                    assert!(
                        names(&text, name),
                        "docs/develop.md, {heading}: {name} is not in {path}"
                    );
                }
            }
        }
        assert!(
            reminders > 0,
            "docs/develop.md, {heading}: no test fails when a step is forgotten"
        );
    }
}
