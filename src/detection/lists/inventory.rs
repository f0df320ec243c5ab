//! The inventory of instance profiles that running instances use.
//!
//! In flows a CSV file; out flows how many instances use a profile, and which.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::{MOST_FAULTS, and_more};
use crate::config::files::LIST_FILE;
use crate::detection::files;
use crate::model::fault::Faults;

/// The most instances that are named of one profile in one account; of more their number is kept.
const MOST_IDS: usize = 50;

/// The running instances that use each instance profile, by its name and then by account; a line without an account is
/// about every account.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::detection) struct ProfilesInUse(HashMap<String, HashMap<Option<String>, Instances>>);

/// The running instances of the lines of one profile and account.
#[derive(Debug, Default, PartialEq, Eq)]
struct Instances {
    running: u64,
    /// The first that are named.
    ids: Vec<Box<str>>,
    /// How many more are named.
    more: u64,
}

/// The running instances that use one profile.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::detection) struct InUse<'a> {
    pub(in crate::detection) running: u64,
    /// The first that are named.
    pub(in crate::detection) ids: Vec<&'a str>,
    /// How many more are named.
    pub(in crate::detection) more: u64,
}

/// A line of the inventory.
#[derive(Deserialize)]
struct InventoryRow {
    instance_profile: String,
    account: String,
    running_instances: u64,
    #[serde(default)]
    instance_ids: String,
}

impl ProfilesInUse {
    pub(super) fn load(path: &Path, faults: &mut Faults) -> Option<Self> {
        let file = files::file(path, LIST_FILE, faults)?;
        Some(Self::read(&file.name, &file.text, faults))
    }

    fn read(name: &str, text: &str, faults: &mut Faults) -> Self {
        let mut in_use = Self::default();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .comment(Some(b'#'))
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let mut wrong = 0;
        let mut fault = |line: Option<u64>, problem: String| {
            wrong += 1;
            if wrong <= MOST_FAULTS {
                let line = line.and_then(|line| usize::try_from(line).ok());
                faults.add(name, line, None, problem);
            }
        };
        let headers = reader.headers().cloned().unwrap_or_default();
        let mut record = csv::StringRecord::new();
        loop {
            let row: Result<InventoryRow, csv::Error> = match reader.read_record(&mut record) {
                Ok(false) => break,
                Ok(true) => record.deserialize(Some(&headers)),
                Err(error) => Err(error),
            };
            let line = record.position().map(csv::Position::line);
            match row.map(|row| in_use.add(row)) {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => fault(line, problem),
                Err(error) => fault(error.position().map(csv::Position::line), csv_fault(&error)),
            }
        }
        and_more(name, wrong, faults);
        in_use
    }

    /// One line more, or what is wrong with it.
    fn add(&mut self, row: InventoryRow) -> Result<(), String> {
        let ids = row
            .instance_ids
            .split(|letter: char| letter.is_whitespace() || ";,".contains(letter));
        let ids: Vec<&str> = ids.filter(|id| !id.is_empty()).collect();
        if let Some(wrong) = ids.iter().find(|id| !is_instance_id(id)) {
            return Err(format!(
                "{wrong:?} is no instance id: write `instance_ids` as i-0123456789abcdef0, several with spaces between them"
            ));
        }
        let accounts = self.0.entry(row.instance_profile).or_default();
        let instances = accounts.entry(account(&row.account)).or_default();
        instances.running = instances.running.saturating_add(row.running_instances);
        for id in ids {
            if instances.ids.iter().any(|known| **known == *id) {
                continue;
            }
            if instances.ids.len() < MOST_IDS {
                instances.ids.push(id.into());
            } else {
                instances.more += 1;
            }
        }
        Ok(())
    }

    /// The instances of this profile and account; none where the inventory has no such line. The number is the sum of its
    /// lines, of those without an account too.
    pub(in crate::detection) fn of(
        &self,
        profile: &str,
        account: Option<&str>,
    ) -> Option<InUse<'_>> {
        let accounts = self.0.get(profile)?;
        let own = account.and_then(|account| accounts.get(&Some(account.to_owned())));
        let parts = [own, accounts.get(&None)];
        parts.into_iter().flatten().fold(None, |sum, part| {
            let mut sum = sum.unwrap_or(InUse {
                running: 0,
                ids: Vec::new(),
                more: 0,
            });
            sum.running = sum.running.saturating_add(part.running);
            sum.more += part.more;
            for id in &part.ids {
                if sum.ids.len() < MOST_IDS {
                    sum.ids.push(id);
                } else {
                    sum.more += 1;
                }
            }
            Some(sum)
        })
    }
}

/// `i-` and 8 or 17 hexadecimal digits.
fn is_instance_id(text: &str) -> bool {
    text.strip_prefix("i-").is_some_and(|digits| {
        matches!(digits.len(), 8 | 17)
            && digits
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

/// An account's twelve digits; spreadsheets drop the zeros in front.
fn account(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("{text:0>12}"))
}

fn csv_fault(error: &csv::Error) -> String {
    let columns = "its columns must be instance_profile, account and running_instances (a number), and may be instance_ids";
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
        let running = |profile, account| in_use.of(profile, account).map(|used| used.running);
        assert_eq!(running("web", Some("011122223333")), Some(5));
        assert_eq!(running("web", Some("444455556666")), Some(0));
        assert_eq!(running("web", Some("777788889999")), None);
        assert_eq!(running("web", None), None);
        assert_eq!(running("shared", Some("444455556666")), Some(1));
        assert_eq!(running("Web", Some("444455556666")), None);
    }

    #[test]
    fn the_inventory_names_instances_up_to_a_number() {
        let many: Vec<String> = (0..40).map(|number| format!("i-{number:08x}")).collect();
        let mut faults = Faults::default();
        let in_use = ProfilesInUse::read(
            "in_use.csv",
            &format!(
                "instance_profile,account,running_instances,instance_ids\nweb,111122223333,2,i-0123456789abcdef0; i-0abcdef0\nweb,111122223333,1,\nmany,,40,{0}\nmany,111122223333,40,\"{1}\"\n",
                many.join(" "),
                many.join(","),
            ),
            &mut faults,
        );
        assert_eq!(faults.to_string(), "");
        let used = in_use.of("web", Some("111122223333")).unwrap();
        assert_eq!(used.ids, ["i-0123456789abcdef0", "i-0abcdef0"]);
        assert_eq!((used.running, used.more), (3, 0));
        let used = in_use.of("many", Some("111122223333")).unwrap();
        assert_eq!((used.running, used.ids.len(), used.more), (80, 50, 30));
        assert_eq!(in_use.of("many", None).unwrap().ids, many);
    }

    /// A line costs the same however many there are before it.
    #[test]
    fn an_inventory_of_one_name_in_many_accounts_is_read_and_asked() {
        let mut lines = vec!["instance_profile,account,running_instances,instance_ids".to_owned()];
        lines.extend((0..200_000).map(|number| format!("web,{number:012},1,i-{number:08x}")));
        let text = lines.join("\n");
        let mut faults = Faults::default();
        let in_use = ProfilesInUse::read("in_use.csv", &text, &mut faults);
        assert_eq!(faults.to_string(), "");
        for number in (0..200_000).step_by(7) {
            let used = in_use.of("web", Some(&format!("{number:012}"))).unwrap();
            assert_eq!(used.ids, [format!("i-{number:08x}")]);
        }
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
                "instance_profile,account,running_instances,instance_ids\nweb,1,1,i-0abcdef0\nweb,1,1,i-0abcdef0 web-01\n",
                "in_use.csv:3: \"web-01\" is no instance id: write `instance_ids` as i-0123456789abcdef0",
            ),
            (
                "instance_profile,account,running_instances,instance_ids\nweb,1,1,i-0ABCDEF0\n",
                "in_use.csv:2: \"i-0ABCDEF0\" is no instance id",
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
