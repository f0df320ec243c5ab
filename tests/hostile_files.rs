//! Files and folders that an operator names, made by somebody who wishes the program ill: the real binary, under a limit
//! of memory, ends in a message that says what to do, and what it shows of them steers no terminal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)] // helpers of tests, which may panic

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a run may take at the most: address space in KiB, and seconds. Without bounds it took all there was of both.
const MEMORY: u64 = 512 * 1024;
const SECONDS: u64 = 60;

/// The exit code of bad configuration or arguments.
const USAGE: i32 = 64;

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!(
        "ulimit -v {MEMORY}; exec timeout {SECONDS} \"$0\" \"$@\""
    ));
    command
        .arg(env!("CARGO_BIN_EXE_trailtag"))
        .args(arguments)
        .stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("TRAILTAG_") {
            command.env_remove(name);
        }
    }
    command.output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn pipe(&self, name: &str) -> PathBuf {
        let path = self.at(name);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }

    /// `check` with a configuration of this text.
    fn check(&self, configuration: &str) -> Output {
        let path = self.write("config.yaml", configuration);
        run(&["check", "--config", text(&path)])
    }

    fn check_rules(&self, rules: &Path) -> Output {
        self.check(&format!("detection: {{rules: [{}]}}\n", rules.display()))
    }
}

/// Refused in few lines, one of which holds `wants`.
fn assert_refused(output: &Output, wants: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(USAGE), "{said:.500}");
    assert!(said.contains(wants), "{wants:?} is not in {said:.2000}");
    assert!(said.lines().count() <= 1100 && said.len() < 1_000_000);
}

fn rule(number: usize) -> String {
    format!(
        "title: Rule {number}\nid: rule-{number}\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n  \
         selection:\n    eventSource: iam.amazonaws.com\n    eventName: [Name{number}, Other{number}]\n  \
         filter: {{userIdentity.arn|contains: user{number}}}\n  condition: selection and not filter\nlevel: low\n"
    )
}

fn laughs(end: &str) -> String {
    let mut text = "a0: &a0 \"lollollollollollollollollollol\"\n".to_owned();
    for level in 1..10 {
        let before = format!("*a{},", level - 1).repeat(10);
        let _ = writeln!(text, "a{level}: &a{level} [{before}]");
    }
    text + end
}

#[test]
fn a_billion_laughs_are_refused_wherever_yaml_is_read() {
    let folder = Folder::new();
    let wants = "anchors and aliases (`&`, `*`) that repeat more than 100000 values";
    assert_refused(&folder.check(&laughs("")), wants);
    let file = folder.write("laughs.yml", &laughs("factors: []\n"));
    for setting in [
        format!("detection: {{severity_file: {}}}", file.display()),
        format!("remediation: {{file: {}}}", file.display()),
        format!("detection: {{rules: [{}]}}", file.display()),
    ] {
        assert_refused(&folder.check(&setting), wants);
    }
    let variable = Command::new(env!("CARGO_BIN_EXE_trailtag"))
        .args(["check"])
        .env("TRAILTAG__ROUTES", laughs(""))
        .output()
        .unwrap();
    assert_refused(&variable, wants);
}

#[test]
fn nesting_is_refused_wherever_yaml_is_read() {
    let folder = Folder::new();
    for (text, wants) in [
        ("[".repeat(100_000), "more than 1000 brackets open"),
        (" [\n".repeat(100_000), "more than 1000 brackets open"),
        (
            format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000)),
            "more than 1000 brackets open",
        ),
        ("- ".repeat(100_000), "nested more than 64 deep"),
    ] {
        assert_refused(&folder.check(&text), wants);
        let file = folder.write("nested.yml", &text);
        assert_refused(&folder.check_rules(&file), wants);
    }
}

#[test]
fn a_configuration_of_very_many_keys_ends_in_a_message() {
    let folder = Folder::new();
    let mut keys = String::new();
    for number in 0..100_000 {
        let _ = writeln!(keys, "key{number}: 1");
    }
    assert_refused(&folder.check(&keys), "larger than 1048576 bytes");
    let short: String = keys
        .lines()
        .take(60_000)
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        });
    assert_refused(&folder.check(&short), "more than 100000 keys and values");
    let fewer: String = keys
        .lines()
        .take(40_000)
        .fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        });
    assert_refused(&folder.check(&fewer), "39900 more settings are wrong");
    let routes = format!("routes: [{}]\n", "{},".repeat(40_000));
    assert_refused(&folder.check(&routes), "write 1000 or fewer");
    let networks = format!(
        "detection: {{allow_list: {{networks: [{}]}}}}",
        "x,".repeat(40_000)
    );
    assert_refused(&folder.check(&networks), "39000 more settings are wrong");
}

#[test]
fn twenty_thousand_rules_load_and_very_many_are_refused_with_the_bound() {
    let folder = Folder::new();
    let mut many = String::new();
    for number in 0..20_000 {
        many.push_str("---\n");
        many.push_str(&rule(number));
    }
    let file = folder.write("many.yml", &many);
    let output = folder.check_rules(&file);
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(said.contains("20001 ("), "{said}");

    let large = "# nothing but a comment\n".repeat(16 * 1024 * 1024 / 24 + 1);
    let file = folder.write("large.yml", &large);
    assert_refused(&folder.check_rules(&file), "larger than 16777216 bytes");

    let rules = folder.at("rules");
    std::fs::create_dir(&rules).unwrap();
    let comments = large.get(..15 * 1024 * 1024).unwrap();
    for number in 0..3 {
        std::fs::write(rules.join(format!("{number}.yml")), comments).unwrap();
    }
    assert_refused(
        &folder.check_rules(&rules),
        "rules are larger than 33554432 bytes together",
    );
}

#[test]
fn a_fault_in_a_long_file_names_its_line() {
    let folder = Folder::new();
    let mut text = rule(0);
    for number in 1..500 {
        let _ = write!(text, "---\n{}", rule(number));
    }
    let before = text.lines().count();
    let _ = write!(text, "---\n{}eventName: x\neventName: y\n", rule(500));
    let output = folder.check_rules(&folder.write("rules.yml", &text));
    // The second document line of the last rule, counted from the head of the file.
    let last = before + 1 + rule(500).lines().count();
    let said = stderr(&output);
    assert!(said.contains("duplicate entry"), "{said}");
    let line: usize = said
        .split("rules.yml:")
        .nth(1)
        .and_then(|rest| rest.split(':').next())
        .and_then(|line| line.parse().ok())
        .expect(&said);
    assert!(
        (before + 1..=last + 2).contains(&line),
        "{before} {line} {said}"
    );
}

#[test]
fn a_condition_that_its_parser_would_go_through_again_and_again_is_refused() {
    let folder = Folder::new();
    for condition in [
        format!("{}s{}", "(".repeat(30_000), ")".repeat(30_000)),
        format!("{}s", "not ".repeat(16_000)),
        vec!["s"; 12_000].join(" or "),
        format!("[s, {}s]", "not ".repeat(16_000)),
    ] {
        let text = format!(
            "title: T\nid: t\nlevel: low\nlogsource: {{product: aws}}\ndetection:\n  s: {{eventName: A}}\n  condition: {condition}\n"
        );
        let file = folder.write("rule.yml", &text);
        assert_refused(&folder.check_rules(&file), "4096 is the most");
    }
}

#[test]
fn filters_and_examples_that_multiply_are_refused() {
    let folder = Folder::new();
    let mut filters = rule(0);
    for number in 0..201 {
        let _ = write!(
            filters,
            "---\ntitle: F{number}\nlogsource: {{product: aws}}\nfilter: {{rules: any, s: {{a: {number}}}, condition: not s}}\n"
        );
    }
    let file = folder.write("filters.yml", &filters);
    assert_refused(
        &folder.check_rules(&file),
        "more than 200 filters over one rule",
    );

    let values: String = (0..20_000).fold(String::new(), |mut text, number| {
        let _ = write!(text, "v{number},");
        text
    });
    let examples = format!(
        "title: T\nid: t\nlevel: low\nlogsource: {{product: aws}}\ndetection:\n  s: {{eventName: A, x: [{values}]}}\n  \
         condition: s\ntrailtag.examples: {{no_match: [{}]}}\n",
        "{},".repeat(10_000)
    );
    let file = folder.write("examples.yml", &examples);
    assert_refused(&folder.check_rules(&file), "more than 10000000 values");
}

#[test]
fn regular_expressions_that_take_very_much_are_refused() {
    let folder = Folder::new();
    let rule_with = |name: &str, field: &str, values: &[String]| {
        let values = values.join("', '");
        let text = format!(
            "title: T\nid: t\nlevel: low\nlogsource: {{product: aws}}\ndetection:\n  s: {{eventName: A, {field}: ['{values}']}}\n  condition: s\n"
        );
        folder.check_rules(&folder.write(name, &text))
    };
    let one = rule_with("one.yml", "x|re", &["\\w{2000}".to_owned()]);
    assert_refused(&one, "takes more than 4194304 bytes");
    let many: Vec<String> = (0..2000)
        .map(|at| format!("\\w{{{}}}{at}", 10 + at % 5))
        .collect();
    assert_refused(
        &rule_with("many.yml", "x|re", &many),
        "take more than 134217728 bytes",
    );
    let wildcards: Vec<String> = (0..300)
        .map(|at| format!("{}{at}", "?".repeat(1000)))
        .collect();
    assert_refused(
        &rule_with("wildcards.yml", "x", &wildcards),
        "take more than 134217728 bytes",
    );
}

#[test]
fn templates_that_loop_without_end_are_refused() {
    let folder = Folder::new();
    let open: String = ('a'..='h').fold(String::new(), |mut text, name| {
        let _ = write!(text, "{{% for {name} in role %}}");
        text
    });
    let loops = format!("{open}x{}", "{% endfor %}".repeat(8));
    let file = folder.write(
        "remediation.yaml",
        &format!(
            "risks: []\nitems:\n  - id: a\n    kind: restore\n    title: A\n    risks: []\n    notes: ['{loops}']\n"
        ),
    );
    let output = folder.check(&format!("remediation: {{file: {}}}", file.display()));
    assert_refused(&output, "fuel");
}

#[test]
fn only_regular_files_are_read() {
    let folder = Folder::new();
    let pipe = folder.pipe("pipe.yml");
    let wants = "named pipe, and only regular files are read";
    assert_refused(&run(&["check", "--config", text(&pipe)]), wants);
    for setting in [
        format!("detection: {{rules: [{}]}}", pipe.display()),
        format!("detection: {{severity_file: {}}}", pipe.display()),
        format!("detection: {{threat_networks_files: [{}]}}", pipe.display()),
        format!("detection: {{profiles_in_use_file: {}}}", pipe.display()),
        format!("detection: {{aws_networks_file: {}}}", pipe.display()),
        format!("remediation: {{file: {}}}", pipe.display()),
        format!(
            "kafka: {{security: {{protocol: sasl_ssl, sasl: {{username: u, password_file: {}}}}}}}",
            pipe.display()
        ),
        format!(
            "kafka: {{security: {{protocol: ssl, tls: {{ca_file: {}}}}}}}",
            pipe.display()
        ),
    ] {
        assert_refused(&folder.check(&setting), wants);
    }
    let rules = folder.at("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::rename(&pipe, rules.join("a.yml")).unwrap();
    assert_refused(&folder.check_rules(&rules), wants);
    assert_refused(
        &folder.check("detection: {severity_file: /dev/zero}"),
        "it is a device",
    );
}

#[test]
fn links_that_lead_in_a_circle_are_followed_once() {
    let folder = Folder::new();
    let rules = folder.at("rules");
    let inner = rules.join("inner");
    std::fs::create_dir_all(&inner).unwrap();
    std::fs::write(inner.join("a.yml"), rule(1)).unwrap();
    // Three ways back from each level: to follow them to the sixteenth takes 43 million steps.
    for name in ["x", "y", "z"] {
        symlink(&rules, inner.join(name)).unwrap();
    }
    let output = folder.check_rules(&rules);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn names_of_files_and_values_steer_no_terminal() {
    let folder = Folder::new();
    let name = "a\u{1b}[2J\nb\u{2028}c\u{9b}31m.yml";
    let shown = "a\\u{1b}[2J\\nb\\u{2028}c\\u{9b}31m.yml";
    let hidden = |text: &str| {
        text.contains(|c: char| {
            (c.is_control() && c != '\n') || ('\u{2028}'..='\u{2029}').contains(&c)
        })
    };
    let file = folder.write(name, "title: T\u{1b}]0;x\u{7}\nlevel: low\n");
    let rules = folder.at("rules");
    std::fs::create_dir(&rules).unwrap();
    std::fs::rename(&file, rules.join(name)).unwrap();
    let file = rules.join(name);
    let missing = folder.at("gone\u{1b}[2J\nb\u{2028}c.yml");
    for output in [
        folder.check_rules(&rules),
        run(&["check", "--config", text(&file)]),
        run(&["process", text(&file)]),
        run(&[
            "process",
            "--dead-letters",
            text(&folder.at(name)).rsplit_once('/').unwrap().0,
            "x",
        ]),
        run(&["explain", text(&file)]),
        run(&["explain", text(&missing)]),
        run(&["process", text(&missing)]),
        run(&["process", &format!("--{name}")]),
    ] {
        let said = stderr(&output) + std::str::from_utf8(&output.stdout).unwrap();
        assert!(!hidden(&said), "{said:?}");
        assert!(!said.is_empty());
    }
    assert!(stderr(&folder.check_rules(&rules)).contains(shown));
    assert_eq!(stderr(&run(&["process", text(&file)])).lines().count(), 1);
    let group = folder.check("kafka: {group_id: \"a\\u001b[2J\\u2028b\"}\n");
    let said = String::from_utf8(group.stdout).unwrap();
    assert!(
        said.contains("group         a\\u{1b}[2J\\u{2028}b"),
        "{said:?}"
    );
}

#[test]
fn a_secret_in_the_wrong_place_is_not_echoed() {
    let folder = Folder::new();
    for configuration in [
        "hunter2",
        "kafka: hunter2",
        "kafka: {security: hunter2}",
        "kafka: {security: {sasl: hunter2}}",
        "kafka: {security: {sasl: [hunter2]}}",
        "kafka: {security: {sasl: {hunter2}}}",
        "kafka: {security: {sasl: {hunter2: x}}}",
        "kafka: {security: {sasl: {password: [hunter2]}}}",
        "kafka: {client: hunter2}",
        "kafka: {bootstrap_servers: ['user:hunter2@kafka:9092']}",
        "kafka: {bootstrap_servers: ['sasl_ssl://user:hunter2@kafka:9092']}",
        "kafka: {bootstrap_servers: 'sasl_ssl://user:hunter2@kafka:9092'}",
    ] {
        let output = folder.check(configuration);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(USAGE), "{configuration}");
        assert!(!said.contains("hunter2"), "{configuration}: {said}");
    }
}

#[test]
fn dead_letters_overwrite_nothing_that_is_read() {
    let folder = Folder::new();
    let input = folder.write("input", "no record\n");
    let config = folder.write("config.yaml", "log: {level: info}\n");
    let hard = folder.at("hard");
    std::fs::hard_link(&input, &hard).unwrap();
    for letters in [&input, &hard] {
        let output = run(&["process", "--dead-letters", text(letters), text(&input)]);
        assert_refused(&output, "would be overwritten; name another file");
        assert_eq!(std::fs::read_to_string(&input).unwrap(), "no record\n");
    }
    let output = run(&[
        "process",
        "--config",
        text(&config),
        "--dead-letters",
        text(&config),
        text(&input),
    ]);
    assert_refused(&output, "is the configuration");
    for redirected in ["<", ">"] {
        let output = Command::new("sh")
            .arg("-c")
            .arg(
                format!("\"$0\" process --dead-letters \"$1\" {redirected}{redirected} \"$1\"")
                    .replace("<<", "<"),
            )
            .arg(env!("CARGO_BIN_EXE_trailtag"))
            .arg(&input)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert_refused(&output, "is standard ");
        assert_eq!(std::fs::read_to_string(&input).unwrap(), "no record\n");
    }
}

#[test]
fn dead_letters_are_their_owners_and_go_through_no_link() {
    let folder = Folder::new();
    let input = folder.write("input", "no record\n");
    let letters = folder.at("letters");
    let output = run(&["process", "--dead-letters", text(&letters), text(&input)]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mode = std::fs::metadata(&letters).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let kept = std::fs::read_to_string(&letters).unwrap();
    assert_eq!(kept.lines().count(), 1);

    let victim = folder.write("victim", "precious\n");
    let link = folder.at("link");
    symlink(&victim, &link).unwrap();
    let through = ["process", "--dead-letters", text(&link), text(&input)];
    assert_refused(&run(&through), "is a symbolic link");
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "precious\n");
    let output = run(&[&through[..], &["--follow-links"]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), kept);
}
