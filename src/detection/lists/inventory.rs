//! The inventory of instance profiles that running instances use.
//!
//! In flows a CSV file; out flows how many instances use a profile.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::{MOST_FAULTS, and_more};
use crate::config::files::LIST_FILE;
use crate::detection::files;
use crate::model::fault::Faults;

/// How many running instances use each instance profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::detection) struct ProfilesInUse(HashMap<String, Vec<(Option<String>, u64)>>);

/// A line of the inventory.
#[derive(Deserialize)]
struct InventoryRow {
    instance_profile: String,
    account: String,
    running_instances: u64,
}

impl ProfilesInUse {
    pub(super) fn load(path: &Path, faults: &mut Faults) -> Option<Self> {
        let file = files::file(path, LIST_FILE, faults)?;
        Some(Self::read(&file.name, &file.text, faults))
    }

    fn read(name: &str, text: &str, faults: &mut Faults) -> Self {
        let mut in_use: HashMap<String, Vec<(Option<String>, u64)>> = HashMap::new();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let mut wrong = 0;
        for line in reader.deserialize::<InventoryRow>() {
            match line {
                Ok(line) => in_use
                    .entry(line.instance_profile)
                    .or_default()
                    .push((account(&line.account), line.running_instances)),
                Err(error) => {
                    wrong += 1;
                    if wrong <= MOST_FAULTS {
                        let line = error
                            .position()
                            .and_then(|at| usize::try_from(at.line()).ok());
                        faults.add(name, line, None, csv_fault(&error));
                    }
                }
            }
        }
        and_more(name, wrong, faults);
        Self(in_use)
    }

    /// The number of instances, summed over the lines of this profile and account; none where the inventory has no such
    /// line. A line without an account speaks of every account.
    pub(in crate::detection) fn running(
        &self,
        profile: &str,
        account: Option<&str>,
    ) -> Option<u64> {
        let lines = self.0.get(profile)?;
        lines
            .iter()
            .filter(|(of, _)| of.is_none() || of.as_deref() == account)
            .map(|(_, running)| *running)
            .reduce(u64::saturating_add)
    }
}

/// An account's twelve digits; spreadsheets drop the zeros in front.
fn account(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("{text:0>12}"))
}

fn csv_fault(error: &csv::Error) -> String {
    let columns = "its columns must be instance_profile, account and running_instances (a number)";
    match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => format!("{}: {columns}", err.kind()),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            format!("{len} columns where the header has {expected_len}")
        }
        _ => format!("{error}: {columns}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inventory_is_summed_by_profile_and_account() {
        let mut faults = Faults::default();
        let in_use = ProfilesInUse::read(
            "in_use.csv",
            "account, instance_profile, running_instances\n11122223333, web, 2\n011122223333,web,3\n444455556666,web,0\n,shared,1\n",
            &mut faults,
        );
        assert_eq!(faults.to_string(), "");
        assert_eq!(in_use.running("web", Some("011122223333")), Some(5));
        assert_eq!(in_use.running("web", Some("444455556666")), Some(0));
        assert_eq!(in_use.running("web", Some("777788889999")), None);
        assert_eq!(in_use.running("web", None), None);
        assert_eq!(in_use.running("shared", Some("444455556666")), Some(1));
        assert_eq!(in_use.running("Web", Some("444455556666")), None);
    }

    #[test]
    fn an_inventory_that_is_wrong_names_the_line() {
        for (text, want) in [
            (
                "instance_profile,account,running_instances\nweb,1,many\n",
                "in_use.csv:2: invalid digit found in string: its columns must be",
            ),
            (
                "instance_profile,account,running_instances\nweb,1,1\nweb,1\n",
                "in_use.csv:3: 2 columns where the header has 3",
            ),
            (
                "profile,account,count\nweb,1,1\n",
                "in_use.csv:2: missing field `instance_profile`: its columns must be",
            ),
        ] {
            let mut faults = Faults::default();
            let _ = ProfilesInUse::read("in_use.csv", text, &mut faults);
            assert!(faults.to_string().starts_with(want), "{faults}");
        }
    }
}
