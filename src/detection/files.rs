//! Rule files as text: which there are, and where in them a document, a key or an error stands.
//!
//! The Sigma parser says neither in which line a document begins nor, mostly, where in it something is wrong.

use std::path::{Path, PathBuf};

use crate::config::files::{self, RULE_FILE, Walk};
use crate::model::fault::Faults;

/// The most bytes of all rule files together: compiled, they take some ten times as much.
const MAX_RULES: usize = 32 * 1024 * 1024;

/// A text with its name.
pub(super) struct NamedText {
    pub(super) name: String,
    pub(super) text: String,
}

/// The rule files that were found.
pub(super) struct RuleFiles {
    pub(super) read: Vec<NamedText>,
    /// Files in folders that cannot be read. One that is named itself is a fault.
    pub(super) unreadable: Vec<Unreadable>,
}

/// A file that cannot be read, and why.
pub(super) struct Unreadable {
    pub(super) name: String,
    pub(super) error: String,
}

/// Whether a file in a folder of rules is one.
pub(crate) fn is_rules(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml")
}

/// The YAML files at these paths: each a file, or those in the folder and its folders, by name.
pub(super) fn rule_files(paths: &[PathBuf], faults: &mut Faults) -> RuleFiles {
    let mut walk = Walk::new(&is_rules);
    for path in paths {
        let (files, problems) = (walk.files.len(), walk.problems.len());
        let is_new = walk.through(path);
        if is_new && walk.files.len() == files && walk.problems.len() == problems {
            walk.problem(
                path,
                "no rule files (*.yml, *.yaml) in this folder".to_owned(),
            );
        }
    }
    for problem in &walk.problems {
        faults.add(
            &problem.path.display().to_string(),
            None,
            None,
            problem.what.as_str(),
        );
    }
    let mut left = MAX_RULES;
    let (mut read, mut unreadable) = (Vec::new(), Vec::new());
    for path in &walk.files {
        let file = match files::text(path, RULE_FILE) {
            Ok(text) => NamedText {
                name: path.display().to_string(),
                text,
            },
            Err(error) => {
                let (name, error) = (path.display().to_string(), error.to_string());
                if paths.contains(path) {
                    faults.add(&name, None, None, error);
                } else {
                    unreadable.push(Unreadable { name, error });
                }
                continue;
            }
        };
        let Some(rest) = left.checked_sub(file.text.len()) else {
            faults.add(
                &file.name,
                None,
                None,
                format!(
                    "with this file the rules are larger than {MAX_RULES} bytes together: name only the files and \
                     folders whose rules are about CloudTrail"
                ),
            );
            break;
        };
        left = rest;
        read.push(file);
    }
    RuleFiles { read, unreadable }
}

/// Reads one file of at most `limit` bytes.
pub(super) fn file(path: &Path, limit: usize, faults: &mut Faults) -> Option<NamedText> {
    let name = path.display().to_string();
    match files::text(path, limit) {
        Ok(text) => Some(NamedText { name, text }),
        Err(error) => {
            faults.add(&name, None, None, error.to_string());
            None
        }
    }
}

/// The documents of a YAML text, each with the number of the line at which it begins to say something.
pub(super) fn documents(text: &str) -> Vec<(usize, &str)> {
    let mut starts = vec![(0, 1)];
    let mut at = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let rest = line.strip_prefix("---");
        if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace)) {
            starts.push((at, number + 1));
        }
        at += line.len();
    }
    let ends = starts
        .iter()
        .skip(1)
        .map(|(at, _)| *at)
        .chain(std::iter::once(text.len()));
    starts
        .iter()
        .zip(ends)
        .filter_map(|(&(from, line), to)| {
            let document = text.get(from..to)?;
            let mut from = from;
            for (place, said) in document.split_inclusive('\n').enumerate() {
                let says = said.trim().trim_start_matches("---").trim_start();
                if !(says.is_empty()
                    || says.starts_with('#')
                    || says == "..."
                    || says.starts_with('%'))
                {
                    return Some((line + place, text.get(from..to)?));
                }
                from += said.len();
            }
            None
        })
        .collect()
}

/// How many lines after the first the first line with this key stands, at whatever depth; at the top for what stands
/// nowhere else.
pub(super) fn key_line(document: &str, key: &str) -> Option<usize> {
    let top = key == "action" || key.starts_with("trailtag.");
    document.lines().position(|line| {
        let line = if top { line } else { line.trim_start() };
        line.strip_prefix(key)
            .is_some_and(|rest| rest.trim_start().starts_with(':'))
    })
}

/// The text after a key of the document itself.
pub(super) fn top_level<'a>(document: &'a str, key: &str) -> Option<&'a str> {
    document.lines().find_map(|line| {
        let value = line.strip_prefix(key)?.trim_start().strip_prefix(':')?;
        let value = value.trim().trim_matches(['"', '\'']);
        (!value.is_empty()).then_some(value)
    })
}

/// The line that the YAML reader names in its message.
pub(super) fn line_in(error: &str) -> Option<usize> {
    if !error.starts_with("YAML") {
        return None;
    }
    let (_, rest) = error.rsplit_once("line ")?;
    let digits = rest.split(|next: char| !next.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_read_in_order_and_hidden_entries_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x: 1\n").unwrap();
        };
        for name in [
            "b.yml",
            "a/z.yaml",
            "..data/c.yml",
            "notes.txt",
            ".hidden.yml",
        ] {
            write(name);
        }
        let mut faults = Faults::default();
        let files_at =
            |path: &Path, faults: &mut Faults| rule_files(&[path.to_owned()], faults).read;
        let names: Vec<String> = files_at(folder.path(), &mut faults)
            .into_iter()
            .map(|file| {
                let path = Path::new(&file.name).strip_prefix(folder.path()).unwrap();
                path.display().to_string()
            })
            .collect();
        assert_eq!(names, ["a/z.yaml", "b.yml"]);
        assert_eq!(faults.to_string(), "");

        let empty = tempfile::tempdir().unwrap();
        assert_eq!(files_at(empty.path(), &mut faults).len(), 0);
        assert_eq!(files_at(&empty.path().join("no.yml"), &mut faults).len(), 0);
        let said = faults.to_string();
        assert!(
            said.contains("no rule files (*.yml, *.yaml) in this folder"),
            "{said}"
        );
        assert!(said.contains("no.yml: No such file or directory"), "{said}");
    }

    #[test]
    fn documents_begin_where_they_say_something() {
        let text = "# head\n---\n# more\na: 1\n---\n\n---\nb: |\n  --- x\n--- c\n";
        let lines: Vec<(usize, &str)> = documents(text)
            .into_iter()
            .map(|(line, text)| (line, text.lines().next().unwrap_or_default()))
            .collect();
        assert_eq!(lines, [(4, "a: 1"), (8, "b: |"), (10, "--- c")]);
        assert!(documents("# nothing\n...\n").is_empty());
    }
}
