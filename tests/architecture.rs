//! Arrows go down: which folder of `src/` may use which, and which of them may know which crate.
//!
//! The sources go in as text; every arrow that may not be comes out, with file and line. What is under `#[cfg(test)]`
//! does not count: a test may look at whatever it likes. An arrow is any path: `use crate::a::b`, `crate::a::b()`,
//! `super::super::a`. `lib.rs` only declares and hands out, so nobody goes through it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

#[path = "architecture/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use source::{Module, Named, named, without_tests};

/// The folders (or files at the top), from top to bottom. Each may use those below it.
const ORDER: [&str; 15] = [
    "main",
    "cli",
    "synthetic",
    "service",
    "kafka",
    "telemetry",
    "sequence",
    "pipeline",
    "format",
    "finding",
    "remediation",
    "detection",
    "cloudtrail",
    "config",
    "model",
];

/// The folders in which no files may go in a circle, a parent and its child excepted.
const WITHOUT_CIRCLES: [&str; 11] = [
    "cli",
    "cloudtrail",
    "config",
    "format",
    "kafka",
    "model",
    "pipeline",
    "remediation",
    "service",
    "synthetic",
    "telemetry",
];

/// The crates that only some may name, and who may.
const CRATES: [(&str, &[&str]); 14] = [
    ("anyhow", &["main.rs"]),
    ("axum", &["service/"]),
    (
        "clap",
        &["main.rs", "cli/", "synthetic/", "config/choices.rs"],
    ),
    ("hyper", &["service/"]),
    ("hyper_util", &["service/"]),
    ("indicatif", &["cli/"]),
    (
        "openssl",
        &["service/", "kafka/", "config/http/certificate.rs"],
    ),
    ("prometheus", &["service/", "telemetry/"]),
    (
        "rdkafka",
        &[
            "kafka/",
            "config/properties/librdkafka.rs",
            "cli/generate.rs",
        ],
    ),
    ("rdkafka_sys", &["kafka/"]),
    ("tokio", &["cli/", "service/", "kafka/"]),
    ("tokio_openssl", &["service/"]),
    ("tokio_util", &["cli/", "service/", "kafka/"]),
    ("tracing_subscriber", &["cli/", "config/log.rs"]),
];

/// Every arrow that may not be, as `src/file:line: what`.
fn faults(sources: &[(&str, &str)]) -> Vec<String> {
    let mut modules: Vec<Module> = sources
        .iter()
        .map(|(file, source)| Module::new(file, source))
        .collect();
    let mut tests = Vec::new();
    for module in &mut modules {
        for name in without_tests(&mut module.tokens) {
            let mut path = module.path.clone();
            path.push(name);
            tests.push(path);
        }
    }
    modules.retain(|module| !tests.iter().any(|test| module.path.starts_with(test)));

    let rank = |folder: &str| ORDER.iter().position(|known| *known == folder);
    let mut faults = Vec::new();
    // Between folders, and between files of a folder: from, to, and where that is said first.
    let mut folders: BTreeMap<(String, String), String> = BTreeMap::new();
    let mut files: BTreeMap<(Vec<String>, Vec<String>), String> = BTreeMap::new();
    for module in modules.iter().filter(|module| module.folder() != "lib") {
        let from = module.folder();
        if rank(from).is_none() {
            faults.push(format!(
                "src/{}: `{from}` has no place in the order",
                module.file
            ));
        }
        for Named { line, path } in named(module) {
            let place = format!("src/{}:{line}", module.file);
            let Some(first) = path.first() else { continue };
            if first == "::" {
                let Some(name) = path.get(1) else { continue };
                let rule = CRATES.iter().find(|(known, _)| known == name);
                if let Some((_, may)) = rule
                    && !may.iter().any(|allowed| module.file.starts_with(allowed))
                {
                    faults.push(format!(
                        "{place}: names {name}, which only {} may",
                        may.join(", ")
                    ));
                }
                continue;
            }
            if first != from {
                if rank(first).is_none() {
                    faults.push(format!(
                        "{place}: `crate::{first}` is no folder: name where it is"
                    ));
                    continue;
                }
                folders
                    .entry((from.to_owned(), first.clone()))
                    .or_insert(place);
                continue;
            }
            let target = modules
                .iter()
                .filter(|other| path.starts_with(&other.path))
                .max_by_key(|other| other.path.len());
            if let Some(target) = target.filter(|target| target.path != module.path) {
                let is_family = |parent: &[String], child: &[String]| {
                    child.len() == parent.len() + 1 && child.starts_with(parent)
                };
                if !is_family(&module.path, &target.path) && !is_family(&target.path, &module.path)
                {
                    files
                        .entry((module.path.clone(), target.path.clone()))
                        .or_insert(place);
                }
            }
        }
    }
    for ((from, to), place) in &folders {
        if rank(from) >= rank(to) {
            let back = folders.get(&(to.clone(), from.clone()));
            faults.push(match back {
                Some(back) => format!("{place}: {from} uses {to}, and {to} uses {from} ({back})"),
                None => format!("{place}: {from} uses {to}, which is above it"),
            });
        }
    }
    faults.extend(circles(&files));
    faults.sort();
    faults
}

/// Files of one folder that use each other, be it through others.
fn circles(files: &BTreeMap<(Vec<String>, Vec<String>), String>) -> Vec<String> {
    let reached = |from: &Vec<String>| {
        let mut seen: BTreeSet<&Vec<String>> = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            for (_, to) in files.keys().filter(|(at, _)| at == next) {
                if seen.insert(to) {
                    open.push(to);
                }
            }
        }
        seen
    };
    files
        .iter()
        .filter(|((from, _), _)| WITHOUT_CIRCLES.contains(&from[0].as_str()))
        .filter(|((from, to), _)| reached(to).contains(from))
        .map(|((from, to), place)| {
            let (from, to) = (from.join("::"), to.join("::"));
            format!("{place}: {from} uses {to}, which comes back to it")
        })
        .collect()
}

/// Every source below `src/`, by its path there.
fn read(folder: &Path, below: &str, sources: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            read(&path, &format!("{name}/"), sources);
        } else if path.extension().is_some_and(|end| end == "rs") {
            sources.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

#[test]
fn arrows_go_down() {
    let mut sources = Vec::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    read(&root, "", &mut sources);
    assert!(sources.len() > 100, "{}", sources.len());
    let sources: Vec<(&str, &str)> = sources
        .iter()
        .map(|(file, source)| (file.as_str(), source.as_str()))
        .collect();
    let faults = faults(&sources);
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// The faults of the sources, which are written as they are read.
fn of(sources: &[(&str, &str)]) -> String {
    faults(sources).join("\n")
}

#[test]
fn an_arrow_up_is_refused_with_its_line() {
    let source = "//! crate::cli\n\nuse crate::model::{\n    Level,\n    Outcome,\n};\nuse crate::kafka::worker;\n";
    assert_eq!(
        of(&[("pipeline.rs", source)]),
        "src/pipeline.rs:7: pipeline uses kafka, which is above it"
    );
    let source =
        "fn f() {\n    let _ = \"crate::cli\"; // crate::cli\n    crate::service::start();\n}\n";
    assert_eq!(
        of(&[("kafka/worker.rs", source)]),
        "src/kafka/worker.rs:3: kafka uses service, which is above it"
    );
    let source = "use super::super::{cli::paint, model};\n";
    assert_eq!(
        of(&[("kafka/worker.rs", source)]),
        "src/kafka/worker.rs:1: kafka uses cli, which is above it"
    );
    assert_eq!(
        of(&[
            ("main.rs", "use trailtag::cli;\n"),
            ("cli/mod.rs", "mod run;\n")
        ]),
        ""
    );
}

#[test]
fn two_folders_that_use_each_other_are_refused() {
    assert_eq!(
        of(&[
            ("kafka/mod.rs", "use crate::telemetry::health;\n"),
            ("telemetry/mod.rs", "\nuse crate::kafka::Lag;\n"),
        ]),
        "src/telemetry/mod.rs:2: telemetry uses kafka, and kafka uses telemetry (src/kafka/mod.rs:1)"
    );
}

#[test]
fn files_of_a_folder_go_in_no_circle() {
    let circle = [
        ("config/mod.rs", "mod a;\nmod b;\nmod c;\n"),
        ("config/a.rs", "use super::b::B;\n"),
        ("config/b.rs", "use crate::config::c;\n"),
        ("config/c.rs", "\nfn f() { super::a::g() }\n"),
    ];
    assert_eq!(
        of(&circle),
        "src/config/a.rs:1: config::a uses config::b, which comes back to it\n\
         src/config/b.rs:1: config::b uses config::c, which comes back to it\n\
         src/config/c.rs:2: config::c uses config::a, which comes back to it"
    );
    assert_eq!(of(&circle[..3]), "", "without the way back");
    assert_eq!(
        of(&[
            ("config/a.rs", "mod b;\nuse b::B;\nuse self::b::C;\n"),
            ("config/a/b.rs", "use super::A;\n"),
        ]),
        "",
        "a parent and its child"
    );
}

#[test]
fn a_crate_is_named_where_it_may_be() {
    assert_eq!(
        of(&[
            ("pipeline.rs", "fn f() {\n    tokio::spawn(g());\n}\n"),
            (
                "detection/mod.rs",
                "#[derive(Debug, clap::ValueEnum)]\nenum E {}\n"
            ),
            ("kafka/mod.rs", "use rdkafka::ClientConfig;\n"),
            (
                "cloudtrail/mod.rs",
                "use {serde::Serialize, rdkafka::ClientConfig};\n"
            ),
        ]),
        "src/cloudtrail/mod.rs:1: names rdkafka, which only kafka/, config/properties/librdkafka.rs, \
         cli/generate.rs may\n\
         src/detection/mod.rs:1: names clap, which only main.rs, cli/, synthetic/, config/choices.rs may\n\
         src/pipeline.rs:2: names tokio, which only cli/, service/, kafka/ may"
    );
}

#[test]
fn nobody_goes_through_the_root_or_has_no_place() {
    assert_eq!(
        of(&[
            ("cli/mod.rs", "use crate::Config;\n"),
            ("helpers/mod.rs", "")
        ]),
        "src/cli/mod.rs:1: `crate::Config` is no folder: name where it is\n\
         src/helpers/mod.rs: `helpers` has no place in the order"
    );
}

#[test]
fn tests_may_look_at_anything() {
    assert_eq!(
        of(&[
            (
                "model/mod.rs",
                "mod level;\n#[cfg(test)]\npub(crate) mod laws;\n#[cfg(test)]\nuse crate::cli::{a, b};\n\
                 #[cfg(all(test, unix))]\nfn g() { crate::cli::run() }\n\
                 #[cfg(test)]\nmod tests {\n    use crate::pipeline::Pipeline;\n    fn f() { tokio::spawn(()) }\n}\n"
            ),
            ("model/laws.rs", "use crate::cli::run;\n"),
            ("model/laws/more.rs", "use crate::cli::run;\n"),
            (
                "model/level.rs",
                "#[cfg(not(test))]\nuse crate::cli::run;\n"
            ),
        ]),
        "src/model/level.rs:2: model uses cli, which is above it"
    );
}

#[test]
fn texts_and_comments_are_no_sources() {
    let source = "/* crate::cli /* nested */ tokio::spawn */\nconst A: &str = r#\"crate::cli \"quoted\" \"#;\n\
                  const B: &[u8] = b\"\\\"crate::cli\";\nconst C: char = '\"';\nconst D: char = '\\'';\n\
                  fn f<'a>(x: &'a str) -> &'a str { x }\nuse crate::service::a as b;\n";
    assert_eq!(
        of(&[("model/a.rs", source)]),
        "src/model/a.rs:7: model uses service, which is above it"
    );
}
