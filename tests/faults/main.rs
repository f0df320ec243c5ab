//! The fault campaign: what is promised, while brokers, networks, processes and administrators do their worst.
//!
//! `campaign.yaml` says what is done, a row for each fault; [`run`] gives each row a topic and a group of its own on one
//! [`cluster`] of three brokers, a stream of numbered messages ([`load`]) and processes of the program ([`members`]), does
//! what the row says ([`steps`]), and [`check`] holds what came out against what went in. `cargo test` runs the short form;
//! `make faults` runs all of it and writes the table in docs/reliability.md.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

#[allow(dead_code, reason = "shared with the tests on a broker")]
#[path = "../broker/records.rs"]
mod records;
#[allow(
    dead_code,
    unused_imports,
    reason = "shared with the tests on a broker"
)]
#[path = "../broker/support/mod.rs"]
mod support;

mod access;
mod campaign;
mod certificates;
mod check;
mod cluster;
mod load;
mod members;
mod progress;
mod proxy;
mod run;
mod steps;
mod table;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use campaign::{Guarantee, Row, rows};
use cluster::Cluster;

/// Runs rows one after another, and gives the table's lines, and what was broken.
fn campaign(rows: &[(Row, Guarantee)]) -> (Vec<String>, Vec<String>) {
    let mut lines = Vec::new();
    let mut failed = Vec::new();
    let mut cluster = Some(Cluster::start());
    for (place, (row, guarantee)) in rows.iter().enumerate() {
        let name = format!("{}, {}", row.fault, guarantee.as_str());
        println!("[{}/{}] {name}", place + 1, rows.len());
        let start = Instant::now();
        let mut on = cluster.take().unwrap_or_else(Cluster::start);
        // What panics is a row that did not get through; the others are run all the same.
        let ended = catch_unwind(AssertUnwindSafe(|| {
            let report = run::run(&mut on, row, *guarantee);
            on.heal();
            (report, on)
        }));
        let took = start.elapsed().as_secs();
        match ended {
            Ok((report, on)) => {
                cluster = Some(on);
                let line = table::line(row, *guarantee, &report);
                println!("{line}\n  in {took} s");
                lines.push(line);
                for broken in report.verdict.broken.iter().take(10) {
                    println!("  BROKEN: {broken}");
                    failed.push(format!("{name}: {broken}"));
                }
            }
            Err(what) => {
                let what = what
                    .downcast_ref::<String>()
                    .map_or("a panic", String::as_str);
                println!("  FAILED after {took} s: {what}");
                lines.push(format!(
                    "| {} | `{}` | did not get through |",
                    row.fault,
                    guarantee.as_str()
                ));
                failed.push(format!("{name}: {what}"));
            }
        }
    }
    (lines, failed)
}

/// # Panics
/// When a promise was broken.
fn assert_kept(broken: &[String]) {
    assert!(
        broken.is_empty(),
        "{} promises were broken; logs are in {}:\n{}",
        broken.len(),
        cluster::log_folder().display(),
        broken.join("\n")
    );
}

/// The rows that every change must pass.
#[test]
fn the_short_form() {
    let short: Vec<_> = rows()
        .into_iter()
        .filter(|(row, guarantee)| row.short == Some(*guarantee))
        .collect();
    let (_, broken) = campaign(&short);
    assert_kept(&broken);
}

/// All rows, or those whose names match `TRAILTAG_FAULTS_ROWS`. All of them write the table.
#[test]
#[ignore = "an hour; make faults"]
fn the_whole_campaign() {
    let wanted = std::env::var("TRAILTAG_FAULTS_ROWS").unwrap_or_default();
    let pattern = regex::Regex::new(&wanted).unwrap();
    let rows: Vec<_> = rows()
        .into_iter()
        .filter(|(row, guarantee)| {
            pattern.is_match(&format!("{}, {}", row.fault, guarantee.as_str()))
        })
        .collect();
    assert!(!rows.is_empty(), "no row's name matches {wanted:?}");
    let (lines, broken) = campaign(&rows);
    if wanted.is_empty() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        table::write(&root.join("docs/reliability.md"), &lines);
    }
    assert_kept(&broken);
}
