//! A real bash with nothing but stubs to call, and a real Python.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// The programs that steps call.
const PROGRAMS: [&str; 7] = ["aws", "base64", "curl", "date", "head", "rm", "sleep"];
/// Where a step does nothing until its placeholder is filled in, what is filled in here.
const FILLED: [(&str, &str); 2] = [
    (
        "'[\"<EXEMPT_ROLE_ARN>\"]'",
        "'[\"arn:aws:iam::*:role/deploy\"]'",
    ),
    (
        "user='<IDENTITY_CENTER_USER_ID>'",
        "user='0123456789-abcdef'",
    ),
];

pub(crate) fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .unwrap_or_else(|| {
            panic!(
                "these tests need {name}; install it with: bash tests/components/packages.sh test"
            )
        })
}

/// Runs Python over JSON; it prints what is wrong.
pub(crate) fn python(script: &str, arguments: &[&Path], input: &Value) -> String {
    let output = started(script, arguments, input);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        output.status.success(),
        said.trim().is_empty(),
        "{script}: {said}"
    );
    said
}

/// Runs Python over JSON; what it answers is JSON too.
pub(crate) fn answer(script: &str, arguments: &[&Path], input: &Value) -> Value {
    let output = started(script, arguments, input);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{script}: {said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn started(script: &str, arguments: &[&Path], input: &Value) -> Output {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/remediation")
        .join(script);
    let mut child = Command::new(program("python3"))
        .arg("-B")
        .arg(&script)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// What a shell line called: the words of each call, in no order, since a pipe's two sides start together.
pub(crate) type Calls = Vec<Vec<String>>;

/// Runs lines in bash where there are only stubs, and gives the calls of each. Fails if bash does not take them, says
/// anything, or leaves a file.
pub(crate) fn run(lines: &[String]) -> Vec<Calls> {
    let folder = tempfile::tempdir().unwrap();
    let [bin, home, calls] = ["bin", "home", "calls"].map(|name| folder.path().join(name));
    for folder in [&bin, &home, &calls] {
        fs::create_dir(folder).unwrap();
    }
    for line in (0..lines.len()).map(|number| number.to_string()) {
        fs::create_dir(calls.join(line)).unwrap();
    }
    fs::create_dir(calls.join("end")).unwrap();
    for name in PROGRAMS {
        let stub = bin.join(name);
        fs::write(&stub, include_str!("stub.sh")).unwrap();
        fs::set_permissions(&stub, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let script = folder.path().join("script");
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut line = line.clone();
        for (placeholder, value) in FILLED {
            line = line.replace(placeholder, value);
        }
        writeln!(text, "export LINE={number}\n{line}").unwrap();
    }
    writeln!(text, "export LINE=end\naws").unwrap();
    fs::write(&script, &text).unwrap();
    for arguments in [["-n"].as_slice(), &[]] {
        let output = Command::new(program("bash"))
            .args(arguments)
            .arg(&script)
            .env_clear()
            .env("PATH", &bin)
            .env("HOME", &home)
            .env("CALLS", &calls)
            .current_dir(&home)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        // Stubs answer what nobody pipes on, and nothing else speaks.
        let ours = said.lines().all(|line| line.starts_with("stub-"));
        assert!(
            output.status.success() && ours,
            "bash {arguments:?}: {said}\n{text}"
        );
    }
    let left: Vec<_> = fs::read_dir(&home).unwrap().collect();
    assert!(left.is_empty(), "{left:?} appeared\n{text}");
    assert_eq!(
        recorded(&calls.join("end")),
        [["aws"]],
        "the script ended early\n{text}"
    );
    (0..lines.len())
        .map(|number| recorded(&calls.join(number.to_string())))
        .collect()
}

/// Reads what the stub wrote: for each call the number of its words, and the words.
fn recorded(folder: &Path) -> Calls {
    let mut calls = Vec::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read(file.unwrap().path()).unwrap();
        let mut words = text
            .split(|byte| *byte == 0)
            .map(|word| String::from_utf8_lossy(word).into_owned());
        while let Some(count) = words.next().filter(|count| !count.is_empty()) {
            calls.push(words.by_ref().take(count.parse().unwrap()).collect());
        }
    }
    calls.sort();
    calls
}
