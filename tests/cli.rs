//! The commands that need no Kafka, run as a user runs them: the real binary, its exit codes, and what it writes where.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // helpers of tests, which may panic

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use serde_json::Value;

fn trailtag(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailtag"));
    command.args(arguments);
    // What the machine that runs the tests has set is not under test.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRAILTAG_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(arguments: &[&str]) -> Output {
    trailtag(arguments).stdin(Stdio::null()).output().unwrap()
}

/// Runs with `input` on standard input.
fn run_on(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = trailtag(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || {
        // A program that ends early closes its input.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    text(bytes)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn generated(arguments: &[&str]) -> Vec<u8> {
    let output = run(&[&["generate"], arguments].concat());
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    output.stdout
}

fn is_removal(document: &Value) -> bool {
    document.pointer("/event/eventName") == Some(&"RemoveRoleFromInstanceProfile".into())
}

#[test]
fn help_lists_the_commands_in_the_order_in_which_people_need_them() {
    let output = run(&["--help"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let commands: Vec<&str> = text(&output.stdout)
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(
        commands,
        [
            "run", "demo", "process", "explain", "check", "generate", "schema"
        ]
    );
}

#[test]
fn the_help_of_every_command_ends_in_examples() {
    for command in [
        "run", "demo", "process", "explain", "check", "generate", "schema",
    ] {
        let output = run(&[command, "--help"]);
        assert_eq!(code(&output), 0, "{command}");
        let help = text(&output.stdout);
        let examples = help.split_once("Examples:").expect(command).1;
        assert!(
            examples.contains(&format!("trailtag {command}")),
            "{command}"
        );
    }
}

#[test]
fn the_version_is_the_packages() {
    let output = run(&["--version"]);
    assert_eq!(
        (code(&output), text(&output.stdout)),
        (0, concat!("trailtag ", env!("CARGO_PKG_VERSION"), "\n"))
    );
}

#[test]
fn arguments_that_cannot_be_followed_exit_64() {
    for arguments in [
        &[] as &[&str],
        &["frobnicate"],
        &["generate", "--records", "many"],
        &["generate", "--match-rate", "2"],
        &["generate", "--partitions", "0"],
        &["process", "--format", "yaml"],
        &["process", "--summary", "xml"],
        &["process", "no/such/file"],
        &["process", "--dead-letters", "no/such/folder/file"],
        &["check", "--config", "no/such/file.yaml"],
        &["run", "--config", "no/such/file.yaml"],
    ] {
        let output = run(arguments);
        assert_eq!(code(&output), 64, "{arguments:?}");
        assert_eq!(text(&output.stdout), "", "{arguments:?}");
        assert!(!output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_error_is_one_line_that_says_what_where_and_what_to_do() {
    let output = run(&["process", "no/such/file"]);
    assert_eq!(
        text(&output.stderr),
        "trailtag: cannot open no/such/file; check the name and the permissions: No such file or directory (os error 2)\n"
    );
}

#[test]
fn the_same_seed_generates_the_same_bytes() {
    let once = generated(&["--records", "500", "--seed", "7"]);
    assert_eq!(once, generated(&["--records", "500", "--seed", "7"]));
    assert_ne!(once, generated(&["--records", "500", "--seed", "8"]));
    assert_eq!(lines(&once).len(), 500);
}

#[test]
fn generate_without_options_gives_10_000_records_ten_of_them_ours() {
    let removals = lines(&generated(&[]))
        .iter()
        .filter(|record| {
            record["eventName"] == "RemoveRoleFromInstanceProfile"
                && record["eventSource"] == "iam.amazonaws.com"
        })
        .count();
    assert_eq!(removals, 10);
}

#[test]
fn process_finds_what_generate_hid_in_every_shape() {
    for (shape, messages) in [
        ("record", 1_000),
        ("s3_file", 10),
        ("eventbridge", 1_000),
        ("cloudwatch", 40),
    ] {
        let input = generated(&[
            "--records",
            "1000",
            "--match-rate",
            "0.02",
            "--shape",
            shape,
        ]);
        let output = run_on(&["process", "--summary", "json"], &input);
        assert_eq!(code(&output), 0, "{shape}");
        let documents = lines(&output.stdout);
        assert_eq!(documents.len(), 20, "{shape}");
        assert!(documents.iter().all(is_removal), "{shape}");
        let summary = lines(&output.stderr);
        assert_eq!(summary.len(), 1, "{shape}: {}", text(&output.stderr));
        for (key, expected) in [
            ("messages", messages),
            ("records", 1_000),
            ("ignored", 980),
            ("matched", 20),
            ("dead_lettered", 0),
        ] {
            assert_eq!(summary[0][key], expected, "{shape}: {key}");
        }
    }
}

#[test]
fn a_file_is_one_payload_and_its_name_is_the_origin() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, shape: &str| -> PathBuf {
        let mut payload = generated(&["--records", "1", "--match-rate", "1", "--shape", shape]);
        payload.pop();
        let path = folder.path().join(name);
        std::fs::write(&path, payload).unwrap();
        path
    };
    let (record, s3) = (file("a record.json", "record"), file("s3.json", "s3_file"));
    let (record, s3) = (record.to_str().unwrap(), s3.to_str().unwrap());
    let output = run(&["process", record, s3]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let sources: Vec<Value> = lines(&output.stdout)
        .iter()
        .map(|document| document["trailtag"]["source"].clone())
        .collect();
    assert_eq!(sources.len(), 2);
    for (source, (topic, envelope)) in sources.iter().zip([(record, "record"), (s3, "s3_file")]) {
        assert_eq!(source["topic"], topic);
        assert_eq!(source["partition"], 0);
        assert_eq!(source["offset"], 0);
        assert_eq!(source["envelope"], envelope);
    }
}

#[test]
fn a_routes_documents_can_be_seen_without_kafka() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("trailtag.yaml");
    std::fs::write(
        &config,
        "kafka: {bootstrap_servers: [b:9092], topics: [in]}
routes:
  - {name: lake, topic: lake, format: ocsf, ocsf_class: api_activity, fields: {team: security}}
  - {name: pager, topic: pager, min_severity: critical}
",
    )
    .unwrap();
    let config = config.to_str().unwrap();
    let input = generated(&["--records", "20", "--match-rate", "1"]);
    let shown = |route| run_on(&["process", "--config", config, "--route", route], &input);
    let documents = lines(&shown("lake").stdout);
    assert_eq!(documents.len(), 20);
    for document in documents {
        assert_eq!(document["class_uid"], 6003);
        assert_eq!(document["metadata"]["labels"][0], "team:security");
    }
    for document in lines(&shown("pager").stdout) {
        assert_eq!(document["trailtag"]["severity"]["level"], "critical");
    }
    let unknown = shown("siem");
    assert_eq!(code(&unknown), 64);
    assert_eq!(
        text(&unknown.stderr),
        "trailtag: --route: no route is called `siem`; there are lake, pager\n"
    );
}

#[test]
fn a_record_over_many_lines_leaves_on_one() {
    let folder = tempfile::tempdir().unwrap();
    let record = &lines(&generated(&["--records", "1", "--match-rate", "1"]))[0];
    let path = folder.path().join("pretty.json");
    std::fs::write(&path, format!("{record:#}\n").replace('\n', "\r\n")).unwrap();
    let output = run(&["process", path.to_str().unwrap()]);
    let documents = lines(&output.stdout);
    assert_eq!(documents.len(), 1);
    assert_eq!(&documents[0]["event"], record);
}

#[test]
fn empty_lines_are_nothing() {
    let output = run_on(&["process", "--summary", "json"], b"\n  \n\r\n{}\n\n");
    assert_eq!(lines(&output.stderr)[0]["messages"], 1);
}

#[test]
fn the_last_line_needs_no_line_break() {
    let mut input = generated(&["--records", "2", "--match-rate", "1"]);
    assert_eq!(input.pop(), Some(b'\n'));
    let output = run_on(&["process"], &input);
    assert_eq!(lines(&output.stdout).len(), 2);
}

#[test]
fn what_cannot_be_read_is_named_and_strict_makes_it_65() {
    let input = b"not json\n";
    let output = run_on(&["process"], input);
    assert_eq!(code(&output), 0);
    assert!(
        text(&output.stderr).starts_with("trailtag: stdin, payload 1: not_json: "),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(code(&run_on(&["process", "--strict"], input)), 65);
    assert_eq!(code(&run_on(&["process", "--strict"], b"")), 0);
}

#[test]
fn dead_letters_keep_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept.ndjson");
    let payloads: [&[u8]; 3] = [
        b"not json \xff\xfe",
        "caf\u{e9} {".as_bytes(),
        br#"{"eventVersion":"1.08","eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","#,
    ];
    let input = payloads.join(&b'\n');
    let output = run_on(
        &[
            "process",
            "--strict",
            "--summary",
            "json",
            "--dead-letters",
            kept.to_str().unwrap(),
        ],
        &input,
    );
    assert_eq!((code(&output), text(&output.stdout)), (65, ""));
    let summary = &lines(&output.stderr)[0];
    assert_eq!(summary["dead_lettered"], 3);
    let by_reason: u64 = summary["dead_letters"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(by_reason, 3);

    let letters = lines(&std::fs::read(kept).unwrap());
    assert_eq!(letters.len(), 3);
    for (number, (letter, payload)) in letters.iter().zip(payloads).enumerate() {
        let text = letter["payload"].as_str().unwrap();
        let bytes = match letter["encoding"].as_str().unwrap() {
            "utf8" => text.as_bytes().to_vec(),
            "base64" => base64::engine::general_purpose::STANDARD
                .decode(text)
                .unwrap(),
            other => panic!("an encoding that no reader knows: {other}"),
        };
        assert_eq!(bytes, payload);
        assert_eq!(letter["source"]["topic"], "stdin");
        assert_eq!(letter["source"]["offset"], number);
        assert!(letter["reason"].is_string() && letter["error"].is_string());
    }
}

#[test]
fn a_line_that_is_too_long_is_a_dead_letter_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("small.yaml");
    std::fs::write(&config, "input: {max_decoded_bytes: 1000000}\n").unwrap();
    let config = config.to_str().unwrap();
    let record = generated(&["--records", "1", "--match-rate", "1"]);
    for end in [&b""[..], b"\n"] {
        let long = [&vec![b'x'; 3_000_000], end].concat();
        let input = [&long, &record, &long, &record, &long].map(Vec::as_slice);
        let input = if end.is_empty() {
            long.clone()
        } else {
            input.concat()
        };
        let kept = folder.path().join("kept.ndjson");
        let output = run_on(
            &[
                "process",
                "--config",
                config,
                "--dead-letters",
                kept.to_str().unwrap(),
            ],
            &input,
        );
        assert_eq!((code(&output), text(&output.stderr)), (0, ""));
        let (letters, documents) = if end.is_empty() { (1, 0) } else { (3, 2) };
        assert_eq!(lines(&output.stdout).len(), documents);
        let kept = lines(&std::fs::read(kept).unwrap());
        assert_eq!(kept.len(), letters);
        for (number, letter) in kept.iter().enumerate() {
            assert_eq!(letter["reason"], "decoded_too_large");
            assert_eq!(
                letter["error"],
                "the line has 3000000 bytes, more than 1000000 (input.max_decoded_bytes); the rest of it is not kept"
            );
            assert_eq!(letter["payload"].as_str().unwrap().len(), 1_000_000);
            assert_eq!(letter["source"]["offset"], 2 * number);
        }
    }
    let long = [vec![b' '; 2_000_000], b"\n".to_vec()].concat();
    let output = run_on(&["process", "--config", config, "--strict"], &long);
    assert_eq!(code(&output), 65);
    assert_eq!(
        text(&output.stderr),
        "trailtag: stdin, payload 1: decoded_too_large: the line has 2000000 bytes, more than 1000000 (input.max_decoded_bytes); the rest of it is not kept\n"
    );
    let file = folder.path().join("large");
    std::fs::write(&file, vec![b' '; 1_000_001]).unwrap();
    let output = run(&["process", "--config", config, file.to_str().unwrap()]);
    assert_eq!(code(&output), 70);
    assert_eq!(
        text(&output.stderr),
        format!(
            "trailtag: {}: payload 1 exceeds input.max_decoded_bytes (1000000 bytes); raise it, or feed smaller payloads\n",
            file.display()
        )
    );
}

#[test]
fn the_demo_says_which_port_it_got() {
    let output = run(&["demo", "--records", "1", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let (_, rest) = text(&output.stdout)
        .split_once("http://127.0.0.1:")
        .unwrap();
    let (port, _) = rest.split_once("/metrics").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
}

/// Those who run it as a child and feed it line by line wait for each answer before they go on.
#[test]
fn a_finding_comes_out_before_the_next_line_is_whole() {
    let input = generated(&["--records", "3", "--match-rate", "1"]);
    let mut child = trailtag(&["process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut documents = BufReader::new(child.stdout.take().unwrap()).lines();
    let line_and_a_bit = input.iter().position(|byte| *byte == b'\n').unwrap() + 20;
    let (first, rest) = input.split_at(line_and_a_bit);
    stdin.write_all(first).unwrap();
    let document = documents.next().unwrap().unwrap();
    assert!(is_removal(&serde_json::from_str(&document).unwrap()));
    stdin.write_all(rest).unwrap();
    drop(stdin);
    assert_eq!(documents.count(), 2);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    for arguments in [
        &["generate", "--records", "0"] as &[&str],
        &["generate", "--records", "0", "--shape", "s3_file"],
    ] {
        let mut child = trailtag(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        stdout.read_exact(&mut [0; 100]).unwrap();
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (code(&output), text(&output.stderr)),
            (0, ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn process_ends_well_when_its_reader_leaves() {
    let input = generated(&["--records", "2000", "--match-rate", "1"]);
    let mut child = trailtag(&["process"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut stdin = child.stdin.take().unwrap();
    // The program may be gone before it has read everything.
    let _ = stdin.write_all(&input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
}

#[test]
fn schema_prints_a_json_schema_that_knows_the_settings() {
    let output = run(&["schema"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let schema: Value = serde_json::from_slice(&output.stdout).unwrap();
    for key in ["kafka", "delivery", "routes", "dead_letter", "http"] {
        assert!(schema["properties"].get(key).is_some(), "{key}");
    }
}

#[test]
fn check_says_what_is_set() {
    let output = run(&["check"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let summary = text(&output.stdout);
    assert!(summary.contains("reads         cloudtrail\n"), "{summary}");
    assert!(
        summary.contains("rules         1 (5 examples hold)\n"),
        "{summary}"
    );
    assert!(summary.ends_with("\nok\n"), "{summary}");
}

/// What `check` says of these rules, each a file of its own.
fn check_rules(rules: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    for (at, detection) in rules.iter().enumerate() {
        std::fs::write(
            folder.path().join(format!("{at}.yml")),
            format!(
                "title: Rule {at}\nid: '{at}'\nlevel: low\nlogsource: {{product: aws}}\n{detection}\n"
            ),
        )
        .unwrap();
    }
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        &config,
        format!("detection: {{rules: [\"{}\"]}}\n", folder.path().display()),
    )
    .unwrap();
    run(&["check", "--config", config.path().to_str().unwrap()])
}

#[test]
fn check_says_which_rules_require_no_name_and_what_they_make_be_parsed() {
    let output = check_rules(&[
        "detection: {s: {eventName: A}, condition: s}",
        "detection: {s: {eventSource: [sts.amazonaws.com, iam.amazonaws.com]}, condition: s}",
        "detection: {s: {userIdentity.type: Root}, condition: s}",
    ]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let summary: Vec<&str> = text(&output.stdout)
        .lines()
        .skip_while(|line| !line.starts_with("rules "))
        .take_while(|line| !line.starts_with("route "))
        .collect();
    assert_eq!(
        summary[..3],
        [
            "rules         4 (5 examples hold)",
            "  rule \"Rule 1\" requires no eventName: every record of iam.amazonaws.com, sts.amazonaws.com is parsed",
            "  rule \"Rule 2\" requires no eventName: every record is parsed",
        ]
    );
    assert_eq!(
        summary[3],
        "  of 1000 synthetic records: 1000 parsed, 178 matched; with the built-in rule alone: 1 parsed, 1 matched"
    );
    assert_eq!(summary.len(), 4);
}

#[test]
fn check_tries_no_sample_when_every_rule_requires_a_name() {
    let output = check_rules(&["detection: {s: {eventName: A}, condition: s}"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let summary = text(&output.stdout);
    assert!(summary.contains("rules         2 (5 examples hold)\nroute "));
}

#[test]
fn check_names_the_example_that_does_not_hold() {
    let output = check_rules(&[
        "detection: {s: {eventName: A}, condition: s}\ntrailtag.examples:\n  match:\n    - eventName: B\n  no_match:\n    - eventName: C\n    - eventName: A",
    ]);
    assert_eq!((code(&output), text(&output.stdout)), (64, ""));
    let faults: Vec<&str> = text(&output.stderr).lines().collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].ends_with(
            "0.yml:6: rule \"Rule 0\": its example match[0] does not match: eventName is \"B\", wants A"
        ),
        "{faults:?}"
    );
    assert!(
        faults[1].ends_with("0.yml:6: rule \"Rule 0\": its example no_match[1] matches"),
        "{faults:?}"
    );
}

#[test]
fn check_prints_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("trailtag.yaml");
    std::fs::write(
        &config,
        "kafka: {security: {protocol: sasl_ssl, sasl: {username: u, password: hunter2}}}\n",
    )
    .unwrap();
    let output = run(&["check", "--config", config.to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains("hunter2"));
}

#[test]
fn explain_says_of_any_event_what_it_was_about() {
    let folder = tempfile::tempdir().unwrap();
    let rule = "title: Anything\nid: 7d1f5a52-3f1b-4d0c-8a51-64d1d9b6f0a7\nlevel: low\nlogsource: {product: aws, service: cloudtrail}\ndetection:\n  selection: {eventSource: '*'}\n  condition: selection\n";
    let path = folder.path().join("anything.yml");
    std::fs::write(&path, rule).unwrap();
    let config = folder.path().join("trailtag.yaml");
    std::fs::write(
        &config,
        format!("detection: {{rules: [{:?}]}}\n", path.display().to_string()),
    )
    .unwrap();
    let long = "x".repeat(500);
    for (rest, want) in [
        (
            r#""eventName": "CreateUser", "requestParameters": {"userName": "mallory\u001b[2J", "tags": []}"#
                .to_owned(),
            Some("userName mallory"),
        ),
        (
            r#""eventName": "AttachRolePolicy", "requestParameters": {"roleName": "ops", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}"#
                .to_owned(),
            Some("role ops, policyArn arn:aws:iam::aws:policy/AdministratorAccess"),
        ),
        (
            r#""eventName": "ConsoleLogin", "requestParameters": null, "additionalEventData": {"MFAUsed": "No"}"#
                .to_owned(),
            Some("MFAUsed No"),
        ),
        (
            format!(r#""eventName": "PutItem", "requestParameters": {{"key": "{long}"}}"#),
            Some("key xxx"),
        ),
        (r#""eventName": "ListUsers""#.to_owned(), None),
    ] {
        let record = format!(
            r#"{{"eventVersion": "1.11", "eventTime": "2026-01-05T18:49:01Z", "eventID": "e-1", "userIdentity": {{"type": "SAMLUser"}}, "eventSource": "iam.amazonaws.com", {rest}}}"#
        );
        let output = run_on(
            &["explain", "--config", config.to_str().unwrap()],
            record.as_bytes(),
        );
        assert_eq!(code(&output), 0, "{}", text(&output.stderr));
        let said = text(&output.stdout);
        let what = said.lines().find_map(|line| line.strip_prefix("  what     "));
        match want {
            Some(want) => assert!(what.unwrap().starts_with(want), "{record}: {what:?}"),
            None => assert_eq!(what, None, "{record}"),
        }
        assert!(said.lines().all(|line| line.len() < 400) && !said.contains('\u{1b}'));
        let (_, advice) = said.split_once("\nrisks\n").unwrap();
        assert!(!advice.contains("profile"), "{advice}");
    }
}

#[test]
fn check_connect_says_that_nobody_answers() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("trailtag.yaml");
    // Port 1 is reserved, and nothing listens on it.
    std::fs::write(&config, "kafka: {bootstrap_servers: [\"127.0.0.1:1\"]}\n").unwrap();
    let output = run(&["check", "--connect", "--config", config.to_str().unwrap()]);
    assert_eq!((code(&output), text(&output.stdout)), (64, ""));
    assert!(
        text(&output.stderr).contains("kafka.bootstrap_servers"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn generate_says_that_nobody_answers() {
    let output = run(&["generate", "--topic", "t", "--brokers", "127.0.0.1:1"]);
    assert_eq!((code(&output), text(&output.stdout)), (70, ""));
    assert!(
        text(&output.stderr)
            .contains("no broker of 127.0.0.1:1 answered within 10 s; check --brokers"),
        "{}",
        text(&output.stderr)
    );
}

/// A swap: its two records.
fn swap() -> [Value; 2] {
    let record = |id: &str, second: &str, name: &str, role: &str| {
        serde_json::json!({
            "eventVersion": "1.11", "eventTime": format!("2026-01-05T12:00:{second}Z"), "eventSource": "iam.amazonaws.com",
            "eventName": name, "eventID": id, "awsRegion": "us-east-1", "recipientAccountId": "111122223333",
            "userIdentity": {"type": "IAMUser", "arn": "arn:aws:iam::111122223333:user/eve\u{1b}[2J", "accountId": "111122223333", "userName": "eve"},
            "requestParameters": {"instanceProfileName": "web", "roleName": role},
        })
    };
    [
        record("one", "00", "RemoveRoleFromInstanceProfile", "web-app"),
        record("two", "12", "AddRoleToInstanceProfile", "OrgAdmin"),
    ]
}

#[test]
fn process_writes_a_sequence_after_the_record_that_completes_it() {
    let [remove, add] = swap();
    for (input, want) in [
        (format!("{remove}\n{{}}\n{add}\n"), ["finding", "role_swap"]),
        (
            format!("{add}\n{remove}\n{remove}\n"),
            ["finding", "role_swap"],
        ),
        (
            format!("{{\"Records\":[{remove},{add}]}}"),
            ["finding", "role_swap"],
        ),
    ] {
        let output = run_on(&["process", "--summary", "json"], input.as_bytes());
        let documents = lines(&output.stdout);
        let kinds: Vec<&str> = documents
            .iter()
            .map(|it| {
                it["trailtag"]["sequence"]["kind"]
                    .as_str()
                    .unwrap_or("finding")
            })
            .collect();
        // A record that comes twice is two findings, and one sequence.
        assert_eq!(kinds[..2], want, "{input}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "role_swap").count(), 1);
        let summary = &lines(&output.stderr)[0];
        assert_eq!(summary["sequences"]["role_swap"], 1);
        assert_eq!(summary["sequences"]["burst"], 0);
        let (records, matched) = (&summary["records"], &summary["matched"]);
        let others = &summary["ignored"];
        assert_eq!(
            records.as_u64(),
            Some(
                matched.as_u64().unwrap()
                    + others.as_u64().unwrap()
                    + summary["dead_lettered"].as_u64().unwrap()
            )
        );
    }
}

#[test]
fn explain_says_what_records_are_together() {
    let folder = tempfile::tempdir().unwrap();
    let [remove, mut add] = swap();
    let file = |name: &str, record: &Value| {
        let path = folder.path().join(name);
        std::fs::write(&path, record.to_string()).unwrap();
        path.display().to_string()
    };
    let (one, two) = (file("remove.json", &remove), file("add.json", &add));
    let output = run(&["explain", &one, &two]);
    let told = text(&output.stdout);
    assert!(
        told.contains("Role in an instance profile swapped for another"),
        "{told}"
    );
    assert!(
        told.contains("correlation.swap_to_privileged +10"),
        "{told}"
    );
    assert!(told.contains("12s later"), "{told}");
    assert!(
        !told.contains('\u{1b}') && !told.contains("no sequence"),
        "{told}"
    );
    let output = run(&["explain", "--format", "json", &one, &two]);
    let objects = lines(&output.stdout);
    let sequence = objects.last().unwrap();
    assert_eq!(sequence["sequence"]["kind"], "role_swap");
    assert_eq!(sequence["severity"]["level"], "critical");

    // Alone, a record lacks everything, and nothing is said of it.
    let output = run(&["explain", &one]);
    assert!(
        !text(&output.stdout).contains("sequence"),
        "{}",
        text(&output.stdout)
    );

    add["errorCode"] = "AccessDenied".into();
    let two = file("denied.json", &add);
    let output = run(&["explain", &one, &two]);
    let told = text(&output.stdout);
    assert!(
        told.contains("role_swap") && told.contains("what followed was denied"),
        "{told}"
    );
    let output = run(&["explain", "--format", "json", &one, &two]);
    let missing = lines(&output.stdout).pop().unwrap();
    assert_eq!(missing["no_sequence"], "role_swap");
    assert_eq!(missing["event_id"], "one");
}

#[test]
fn the_demo_tells_a_swap_and_a_teardown() {
    let output = run(&["demo", "--listen", "127.0.0.1:0"]);
    assert_eq!(code(&output), 0, "{}", text(&output.stderr));
    let told = text(&output.stdout);
    let (_, stories) = told
        .split_once("Together, records say more than each alone:")
        .unwrap();
    for title in [
        "Role in an instance profile swapped for another: worse than the record alone (role_swap)",
        "Instance profile deleted after its role was removed: settles the alarm (profile_deleted)",
    ] {
        assert_eq!(stories.matches(title).count(), 1, "{title}: {stories}");
    }
}

#[test]
fn generated_sequences_are_found() {
    let input = generated(&[
        "--records",
        "60000",
        "--match-rate",
        "0.002",
        "--swap-rate",
        "1",
    ]);
    let output = run_on(&["process", "--summary", "json"], &input);
    let sequences = &lines(&output.stderr)[0]["sequences"];
    for kind in ["role_swap", "role_restored", "profile_deleted"] {
        assert!(sequences[kind].as_u64().unwrap() > 5, "{sequences}");
    }
    let plain = generated(&["--records", "60000", "--match-rate", "0.002"]);
    let output = run_on(&["process", "--summary", "json"], &plain);
    assert_eq!(lines(&output.stderr)[0]["sequences"]["role_swap"], 0);
}
