//! The table: a line for each row as it ends, and the page that keeps them.

use std::path::Path;
use std::time::Duration;

use super::campaign::{Guarantee, Row};
use super::run::Report;

pub(crate) const HEAD: &str = "\
| fault | guarantee | messages | findings | lost | doubled | out of order | dead letters | seconds to recover | memory | CPU |
|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|
";

const BEGIN: &str = "<!-- begin of the table: make faults -->\n";
const END: &str = "<!-- end of the table -->\n";

/// A line of the table, without its end.
pub(crate) fn line(row: &Row, guarantee: Guarantee, report: &Report) -> String {
    let verdict = &report.verdict;
    let gone = match verdict.gone {
        0 => String::new(),
        gone => format!(" ({gone} gone from the log)"),
    };
    format!(
        "| {} | `{}` | {} | {} | {}{gone} | {} | {} | {} | {} | {} MB | {} s |",
        row.fault,
        guarantee.as_str(),
        verdict.messages,
        verdict.findings,
        verdict.lost,
        verdict.doubled,
        verdict.out_of_order,
        verdict.dead_letters,
        seconds(report.recovery),
        report.memory / 1_000_000,
        seconds(Duration::from_millis(report.processor * 10)),
    )
}

fn seconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64())
}

/// Puts the table where the page has its old one.
pub(crate) fn write(page: &Path, lines: &[String]) {
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .unwrap_or_else(|| panic!("{} has no line {BEGIN}", page.display()));
    let (_, after) = rest
        .split_once(END)
        .unwrap_or_else(|| panic!("{} has no line {END}", page.display()));
    let lines: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
    std::fs::write(page, format!("{before}{BEGIN}{HEAD}{lines}{END}{after}")).unwrap();
}

#[test]
fn only_the_table_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.md");
    std::fs::write(&page, format!("before\n{BEGIN}old\n{END}after\n")).unwrap();
    write(&page, &["| a |".into(), "| b |".into()]);
    let text = std::fs::read_to_string(&page).unwrap();
    assert_eq!(
        text,
        format!("before\n{BEGIN}{HEAD}| a |\n| b |\n{END}after\n")
    );
}
