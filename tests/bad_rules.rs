//! Rules that can match no record, as whoever writes them meets them: the real binary, what it says, and what it loads
//! all the same.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

mod cases;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a command did.
struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

fn trailtag(folder: &Path, arguments: &[&str]) -> Done {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailtag"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRAILTAG_") {
            command.env_remove(name);
        }
    }
    let output = command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    Done {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A folder with these files, and a rule of each of these detections, named by its place.
fn folder(files: &[(&str, &str)], detections: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for (name, text) in files {
        write(name, text);
    }
    for (at, detection) in detections.iter().enumerate() {
        write(
            &format!("rules/{at}.yml"),
            &format!(
                "title: T{at}\nid: t{at}\nlevel: low\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  s:\n    eventName: A\n    {detection}\n  condition: s\n"
            ),
        );
    }
    folder
}

const RULES: (&str, &str) = ("trailtag.yaml", "detection: {rules: [rules]}\n");
const SKIP: (&str, &str) = (
    "skip.yaml",
    "detection: {rules: [rules], on_bad_rule: skip}\n",
);
const RECORD: (&str, &str) = (
    "record.json",
    r#"{"eventVersion":"1.08","eventTime":"2026-01-05T18:46:26Z","eventSource":"x.amazonaws.com","eventName":"A","requestParameters":{"a":"1"}}"#,
);

#[test]
fn a_rule_that_can_match_nothing_is_refused_by_every_command_with_what_to_write() {
    let folder = folder(
        &[RULES, RECORD],
        &[
            "requestParameters.a: 1",
            "requestParameters: {a: 1}",
            "resources[any]: {ARN: x}",
            "userIdentity.userName|expand: '%admins%'",
        ],
    );
    let want = [
        "trailtag: rules/1.yml:8: rule \"T1\": `requestParameters` is compared with a map, which no field is equal to: write each field in it with its whole name, `requestParameters.a: 1`",
        "trailtag: rules/2.yml:8: rule \"T2\": `resources[any]` is taken for the whole name of a field, which no record has: write `resources.ARN: x`, true where any member of the list has it; or say `sigma-version: 3` at the top of the rule, so that brackets select members of a list",
        "trailtag: rules/3.yml:8: rule \"T3\": nothing fills the placeholder `%admins%` of `|expand` here: write the values themselves, as in `userIdentity.userName: [one, another]`",
    ];
    for arguments in [
        &["check", "--config", "trailtag.yaml"][..],
        &["process", "--config", "trailtag.yaml", "record.json"],
        &["explain", "--config", "trailtag.yaml", "record.json"],
        &["run", "--config", "trailtag.yaml"],
    ] {
        let done = trailtag(folder.path(), arguments);
        assert_eq!((done.code, done.stdout.as_str()), (64, ""), "{arguments:?}");
        assert_eq!(
            done.stderr.lines().collect::<Vec<_>>(),
            want,
            "{arguments:?}"
        );
    }
}

#[test]
fn the_other_rules_are_loaded_where_the_configuration_says_so() {
    let folder = folder(
        &[SKIP, RECORD, ("rules/broken.yml", "title: [\n")],
        &["requestParameters.a: 1", "requestParameters: {a: 1}"],
    );
    std::fs::write(folder.path().join("rules/latin1.yml"), b"title: \xe9\n").unwrap();
    let done = trailtag(folder.path(), &["check", "--config", "skip.yaml"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let lines: Vec<&str> = done
        .stdout
        .lines()
        .filter(|line| line.starts_with("rules ") || line.starts_with("skipped "))
        .collect();
    assert_eq!(lines.len(), 4, "{lines:#?}");
    assert_eq!(lines[0], "rules         2 (5 examples hold), 3 skipped");
    let skipped = lines[1..].join("\n");
    for want in [
        "skipped       rules/1.yml:8: rule \"T1\": `requestParameters` is compared with a map",
        "skipped       rules/broken.yml:",
        "skipped       rules/latin1.yml: it is not UTF-8",
    ] {
        assert!(skipped.contains(want), "{skipped}");
    }

    let done = trailtag(
        folder.path(),
        &["check", "--strict", "--config", "skip.yaml"],
    );
    assert_eq!((done.code, done.stdout.as_str()), (64, ""));
    assert_eq!(done.stderr.lines().count(), 3, "{}", done.stderr);

    let done = trailtag(
        folder.path(),
        &["process", "--config", "skip.yaml", "record.json"],
    );
    assert_eq!(done.code, 0, "{}", done.stderr);
    let document: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(document["trailtag"]["rules"][0]["id"], "t0", "{document:#}");
    let arguments = [
        "process",
        "--summary",
        "json",
        "--config",
        "skip.yaml",
        "record.json",
    ];
    let summary = trailtag(folder.path(), &arguments).stderr;
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["matched"], 1);
    assert_eq!(summary["notes"].as_array().unwrap().len(), 3, "{summary}");
    assert_eq!(
        done.stderr.matches("trailtag: skipped: rules/").count(),
        3,
        "{}",
        done.stderr
    );
}

#[test]
fn what_the_configuration_names_itself_is_never_skipped() {
    for named in ["nowhere", "empty", "latin1.yml"] {
        let config = format!("detection: {{rules: [rules, {named}], on_bad_rule: skip}}\n");
        let folder = folder(&[("trailtag.yaml", &config)], &["userAgent: x"]);
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        std::fs::write(folder.path().join("latin1.yml"), b"title: \xe9\n").unwrap();
        let done = trailtag(folder.path(), &["check", "--config", "trailtag.yaml"]);
        assert_eq!(done.code, 64, "{named}: {}", done.stdout);
        assert!(done.stderr.contains(named), "{}", done.stderr);
    }
}

#[test]
fn names_that_cloudtrail_does_not_have_are_warnings_and_errors_where_strict() {
    let folder = folder(
        &[RULES, RECORD],
        &["EventName: A", "event.action: A", "tenant: A"],
    );
    let want = [
        "rules/0.yml:8: rule \"T0\": CloudTrail has no field `EventName`: it writes `eventName`, and case counts",
        "rules/1.yml:8: rule \"T1\": CloudTrail has no field `event.action`: write `eventName`",
    ];
    let with = |beginning: &str| want.map(|line| format!("{beginning}{line}"));
    let done = trailtag(folder.path(), &["check", "--config", "trailtag.yaml"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let warnings: Vec<&str> = done
        .stdout
        .lines()
        .filter(|line| line.starts_with("warning"))
        .collect();
    assert_eq!(warnings, with("warning       "));

    let done = trailtag(
        folder.path(),
        &["check", "--strict", "--config", "trailtag.yaml"],
    );
    assert_eq!((done.code, done.stdout.as_str()), (64, ""));
    assert_eq!(done.stderr.lines().collect::<Vec<_>>(), with("trailtag: "));

    let done = trailtag(
        folder.path(),
        &["explain", "--config", "trailtag.yaml", "record.json"],
    );
    assert_eq!(done.code, 0);
    assert_eq!(
        done.stderr.lines().collect::<Vec<_>>(),
        with("trailtag: warning: ")
    );
}

#[test]
fn conditions_of_severity_and_remediation_are_held_to_the_same() {
    let severity = "factors:\n  - id: a\n    points: 1\n    when: {s: {FIELD}, condition: s}\n";
    let remediation = "risks: []\nitems:\n  - id: a\n    kind: investigate\n    title: t\n    when: {s: {FIELD}, condition: s}\n    console: [x]\n";
    for (setting, file, line) in [
        ("detection: {severity_file: f.yaml}\n", severity, 4),
        ("remediation: {file: f.yaml}\n", remediation, 6),
    ] {
        let check = |field: &str, strict: &[&str]| {
            let text = file.replace("{FIELD}", field);
            let folder = folder(&[("trailtag.yaml", setting), ("f.yaml", &text)], &[]);
            let arguments = [&["check", "--config", "trailtag.yaml"], strict].concat();
            trailtag(folder.path(), &arguments)
        };
        for field in [
            "{userIdentity: {type: Root}}",
            "{'resources[any]': {type: x}}",
            "{userAgent|expand: '%x%'}",
        ] {
            let done = check(field, &[]);
            assert_eq!(done.code, 64, "{field}: {}", done.stdout);
            assert!(
                done.stderr.contains(&format!("f.yaml:{line}: ")),
                "{}",
                done.stderr
            );
            assert!(!done.stderr.contains("sigma-version"), "{}", done.stderr);
        }
        let done = check("{EventName: x}", &[]);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let want = format!("\nwarning       f.yaml:{line}: ");
        assert!(done.stdout.contains(&want), "{}", done.stdout);
        assert_eq!(check("{EventName: x}", &["--strict"]).code, 64);
        assert_eq!(check("{trailtag.outcome: success}", &["--strict"]).code, 0);
    }
}

#[test]
fn what_the_project_brings_gives_no_warning() {
    let config = format!(
        "detection: {{rules: [\"{}/config/rules/optional\"]}}\n",
        env!("CARGO_MANIFEST_DIR")
    );
    let folder = folder(&[("trailtag.yaml", &config)], &[]);
    let done = trailtag(
        folder.path(),
        &["check", "--strict", "--config", "trailtag.yaml"],
    );
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
}

#[test]
fn a_path_means_the_same_wherever_the_command_is_run() {
    let folder = folder(
        &[("etc/trailtag.yaml", "detection: {rules: [../rules]}\n")],
        &["userAgent: x"],
    );
    for (from, config) in [
        ("", "etc/trailtag.yaml"),
        ("etc", "trailtag.yaml"),
        ("rules", "../etc/trailtag.yaml"),
    ] {
        let done = trailtag(&folder.path().join(from), &["check", "--config", config]);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{from}");
        assert!(done.stdout.contains("rules         2 "), "{}", done.stdout);
    }
}

#[test]
fn a_path_from_the_working_directory_is_refused_and_what_it_names_is_checked() {
    let folder = folder(
        &[("etc/trailtag.yaml", "detection: {rules: [rules]}\n")],
        &["requestParameters: {a: 1}"],
    );
    let moved = "trailtag: etc/trailtag.yaml:1: detection.rules[0]: etc/rules does not exist: a path in this file is relative to its folder, etc. rules exists in the working directory, which does not count; write `../rules`";
    let arguments = ["check", "--config", "etc/trailtag.yaml"];
    let done = trailtag(folder.path(), &arguments);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(
        (done.code, lines.len(), lines[0]),
        (64, 2, moved),
        "{lines:#?}"
    );
    assert!(
        lines[1].starts_with("trailtag: rules/0.yml:8: "),
        "{lines:#?}"
    );

    let done = trailtag(folder.path(), &["run", "--config", "etc/trailtag.yaml"]);
    assert_eq!((done.code, done.stderr.trim_end()), (64, moved));
}

/// Those of rules that match nothing.
#[test]
fn the_cases_of_rules_are_refused() {
    let Some(cases) = cases::all() else {
        return;
    };
    let mut tried = 0;
    for case in cases.iter().filter(|it| it.file.starts_with("sigma/")) {
        tried += 1;
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        let done = trailtag(Path::new(cases::FOLDER), &arguments);
        let file = &case.file;
        assert_eq!(
            Some(i64::from(done.code)),
            case.expect["exit"].as_i64(),
            "{file}"
        );
        let rule = format!("{}/r.yml:", file.trim_end_matches(".yaml"));
        let named = done.stdout.contains(&rule) || done.stderr.contains(&rule);
        assert!(named, "{file}: {}", done.stderr);
    }
    assert!(tried >= 2, "{tried}");
}
