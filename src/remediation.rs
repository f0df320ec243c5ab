//! What to do about a finding: the catalogue of steps, filled in with the event's values.
//!
//! In flow the catalogue (`config/remediation.yaml` or the user's file) and, for a record, its facts; out flows
//! [`Advice`]: the items whose conditions hold, with console, CLI and boto3 steps that can be pasted. Nothing here is
//! ever run. The values come from a log that an attacker can write to, so each is held twice: against the characters
//! that AWS takes in it, and by quotes for the shell or for Python; a value that fails the first leaves a placeholder
//! and a note.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use minijinja::Environment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::cloudtrail::record::Record;
use crate::detection::conditions::{Conditions, When};
use crate::detection::facts::Facts;
use crate::detection::fault::{Faults, one_line, read_yaml};

mod quote;
mod templates;
mod values;

use templates::{Part, describe, environment, try_out};
use values::Values;

const CATALOGUE: &str = include_str!("../config/remediation.yaml");
const CATALOGUE_NAME: &str = "built-in config/remediation.yaml";

/// What an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Find out what happened; changes nothing.
    Investigate,
    /// Undo it.
    Restore,
    /// Stop whoever did it.
    Contain,
    /// Make it impossible next time.
    Prevent,
    /// Good order that this event gives reason to check.
    Hardening,
}

/// A danger that the event brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Risk<'a> {
    /// `unauthorized_access`, `privilege_escalation`, `misconfiguration` or `outage` in the built-in catalogue.
    pub id: &'a str,
    /// In words.
    pub title: &'a str,
}

/// One thing to do, filled in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item<'a> {
    /// The name in the catalogue.
    pub id: &'a str,
    /// What it is for.
    pub kind: Kind,
    /// In words.
    pub title: &'a str,
    /// Steps in the AWS console.
    pub console: Vec<String>,
    /// Lines for a POSIX shell.
    pub cli: Vec<String>,
    /// Lines of Python.
    pub boto3: Vec<String>,
    /// What to know before doing it, and which values are left to fill in.
    pub notes: Vec<String>,
    /// Further reading.
    pub references: &'a [String],
}

/// What to do about one record, and the risks that it answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Advice<'a> {
    /// Risks, in the catalogue's order.
    pub risks: Vec<Risk<'a>>,
    /// Items, in the catalogue's order.
    pub items: Vec<Item<'a>>,
}

/// The catalogue as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    risks: Vec<Spanned<RiskText>>,
    items: Vec<Spanned<ItemText>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RiskText {
    id: String,
    title: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ItemText {
    id: String,
    kind: Kind,
    title: String,
    #[serde(default)]
    risks: Vec<String>,
    #[serde(default)]
    when: Option<Value>,
    #[serde(default)]
    console: Vec<Spanned<String>>,
    #[serde(default)]
    cli: Vec<Spanned<String>>,
    #[serde(default)]
    boto3: Vec<Spanned<String>>,
    #[serde(default)]
    notes: Vec<Spanned<String>>,
    #[serde(default)]
    references: Vec<String>,
}

/// An item whose templates are in the environment, by name.
struct Entry {
    id: String,
    kind: Kind,
    title: String,
    risks: BTreeSet<String>,
    references: Vec<String>,
    steps: BTreeMap<Part, Vec<String>>,
    /// The values that its templates use.
    uses: BTreeSet<&'static str>,
}

/// The catalogue, compiled.
pub struct Catalogue {
    risks: Vec<RiskText>,
    entries: Vec<Entry>,
    conditions: Conditions,
    templates: Environment<'static>,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list()
            .entries(self.entries.iter().map(|entry| &entry.id))
            .finish()
    }
}

impl Catalogue {
    /// Loads the built-in catalogue, or the one in a file instead. Errs with everything that is wrong in it; each
    /// template is tried.
    pub fn load(file: Option<&Path>) -> Result<Self, Faults> {
        let Some(path) = file else {
            return Self::compile(CATALOGUE_NAME, CATALOGUE);
        };
        let name = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::compile(&name, &text),
            Err(error) => {
                let mut faults = Faults::default();
                faults.add(&name, None, None, error.to_string());
                Err(faults)
            }
        }
    }

    fn compile(file: &str, text: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let Some(text) = read_yaml::<Text>(file, text, &mut faults) else {
            return Err(faults);
        };
        check_ids(file, &text, &mut faults);
        let whens: Vec<When<'_>> = text
            .items
            .iter()
            .map(|item| When {
                subject: format!("item {}", item.value.id),
                line: line(item),
                section: item.value.when.as_ref(),
            })
            .collect();
        let conditions = Conditions::compile(file, &whens, &mut faults);
        let mut templates = environment();
        let entries = text
            .items
            .into_iter()
            .map(|item| entry(file, item.value, &mut templates, &mut faults))
            .collect();
        faults.or(Self {
            risks: text.risks.into_iter().map(|risk| risk.value).collect(),
            entries,
            conditions,
            templates,
        })
    }

    /// The items whose conditions hold for a record, filled in with its values, and the risks that they answer.
    #[must_use]
    pub fn select(&self, record: &Record<'_>, facts: &Facts<'_>) -> Advice<'_> {
        let values = Values::of(facts);
        let hold = self.conditions.hold(&record.value, facts);
        let chosen: Vec<&Entry> = self
            .entries
            .iter()
            .zip(hold)
            .filter_map(|(entry, holds)| holds.then_some(entry))
            .collect();
        let risks = self
            .risks
            .iter()
            .filter(|risk| chosen.iter().any(|entry| entry.risks.contains(&risk.id)))
            .map(|risk| Risk {
                id: &risk.id,
                title: &risk.title,
            })
            .collect();
        let items = chosen
            .into_iter()
            .map(|entry| self.fill(entry, &values))
            .collect();
        Advice { risks, items }
    }

    fn fill<'a>(&self, entry: &'a Entry, values: &Values) -> Item<'a> {
        let context = values.context();
        let mut missing = values.notes(&entry.uses);
        let mut part = |part: Part| -> Vec<String> {
            let names = entry
                .steps
                .get(&part)
                .map(Vec::as_slice)
                .unwrap_or_default();
            names
                .iter()
                .filter_map(|name| {
                    let filled = self
                        .templates
                        .get_template(name)
                        .and_then(|template| template.render(&context));
                    match filled {
                        Ok(step) => Some(step),
                        // Loading tried every template; should one fail all the same, its absence is said.
                        Err(error) => {
                            let error = one_line(&error.to_string());
                            missing.push(format!("A {} step is left out: {error}.", part.as_str()));
                            None
                        }
                    }
                })
                .collect()
        };
        let (console, cli, boto3) = (part(Part::Console), part(Part::Cli), part(Part::Boto3));
        let mut notes = part(Part::Notes);
        notes.append(&mut missing);
        Item {
            id: &entry.id,
            kind: entry.kind,
            title: &entry.title,
            console,
            cli,
            boto3,
            notes,
            references: &entry.references,
        }
    }
}

fn line<T>(spanned: &Spanned<T>) -> usize {
    usize::try_from(spanned.referenced.line()).unwrap_or_default()
}

fn check_ids(file: &str, text: &Text, faults: &mut Faults) {
    let mut risks = BTreeSet::new();
    for risk in &text.risks {
        if !risks.insert(risk.value.id.as_str()) {
            faults.add(
                file,
                Some(line(risk)),
                Some(format!("risk {}", risk.value.id)),
                "another risk has the same `id`: give it its own",
            );
        }
    }
    let mut items = BTreeSet::new();
    for item in &text.items {
        let mut fault = |problem: String| {
            faults.add(
                file,
                Some(line(item)),
                Some(format!("item {}", item.value.id)),
                problem,
            );
        };
        if !items.insert(item.value.id.as_str()) {
            fault("another item has the same `id`: give it its own".to_owned());
        }
        for risk in &item.value.risks {
            if !risks.contains(risk.as_str()) {
                fault(format!(
                    "it answers risk {risk:?}, which is not among `risks`"
                ));
            }
        }
    }
}

/// Puts an item's templates into the environment, and tries each.
fn entry(
    file: &str,
    item: ItemText,
    templates: &mut Environment<'static>,
    faults: &mut Faults,
) -> Entry {
    let mut steps = BTreeMap::new();
    let mut uses = BTreeSet::new();
    for (part, texts) in [
        (Part::Console, &item.console),
        (Part::Cli, &item.cli),
        (Part::Boto3, &item.boto3),
        (Part::Notes, &item.notes),
    ] {
        let mut names = Vec::new();
        for (place, text) in texts.iter().enumerate() {
            let name = format!("{}\n{}\n{place}", part.as_str(), item.id);
            let tried = templates
                .add_template_owned(name.clone(), text.value.clone())
                .map_err(|error| describe(&error))
                .and_then(|()| try_out(templates, &name, part));
            match tried {
                Ok(names) => uses.extend(names),
                Err(problem) => faults.add(
                    file,
                    Some(line(text)),
                    Some(format!("item {}", item.id)),
                    format!("{} step {}: {problem}", part.as_str(), place + 1),
                ),
            }
            names.push(name);
        }
        steps.insert(part, names);
    }
    Entry {
        id: item.id,
        kind: item.kind,
        title: item.title,
        risks: item.risks.into_iter().collect(),
        references: item.references,
        steps,
        uses,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detection::Context;
    use crate::detection::lists::Lists;
    use proptest::prelude::*;
    use serde_json::json;

    fn faults(text: &str) -> String {
        match Catalogue::compile("remediation.yaml", text) {
            Ok(_) => String::new(),
            Err(faults) => faults.to_string(),
        }
    }

    fn catalogue(step: &str) -> String {
        format!(
            "risks:\n  - {{id: outage, title: Outage}}\nitems:\n  - id: x\n    kind: restore\n    title: X\n    risks: [outage]\n{step}\n"
        )
    }

    #[test]
    fn the_built_in_catalogue_loads() {
        assert!(Catalogue::load(None).is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (step, want) in [
            ("    cli: ['aws {{ role | sh }}']", ""),
            (
                "    cli:\n      - 'aws {{ rolle | sh }}'",
                "remediation.yaml:9: item x: cli step 1: there is no value `rolle`; there are instance_profile, role, account, partition, region, access_key_id, user, actor_arn",
            ),
            (
                "    cli:\n      - 'aws'\n      - 'aws {{ role }}'",
                "remediation.yaml:10: item x: cli step 2: invalid operation: a value must go through `| sh` here",
            ),
            (
                "    boto3: ['f({{ role }})']",
                "remediation.yaml:8: item x: boto3 step 1: invalid operation: a value must go through `| py` here",
            ),
            (
                "    cli:\n      - \"aws --query 'x=={{ role | sh }}'\"",
                "remediation.yaml:9: item x: cli step 1: `role` does not arrive whole: keep `{{ role | sh }}` outside quotes of the step's own",
            ),
            (
                "    when: {s: {trailtag.nothing: 1}, condition: s}",
                "remediation.yaml:4: item x: `when`: there is no fact `trailtag.nothing`",
            ),
        ] {
            assert_eq!(faults(&catalogue(step)), want, "{step}");
        }
        let unclosed = faults(&catalogue("    console: ['{{ role']"));
        assert!(
            unclosed.starts_with("remediation.yaml:8: item x: console step 1: syntax error: "),
            "{unclosed}"
        );
        let unsafe_filter = faults(&catalogue("    cli: ['{{ role | safe }}']"));
        assert!(unsafe_filter.contains("unknown filter"), "{unsafe_filter}");
        let unknown = faults(&catalogue("    clii: []"));
        assert!(unknown.starts_with("remediation.yaml:8: "), "{unknown}");
        let twice = faults(
            "risks: []\nitems:\n  - {id: x, kind: restore, title: X, risks: [fire]}\n  - {id: x, kind: restore, title: X}\n",
        );
        assert_eq!(
            twice,
            "remediation.yaml:3: item x: it answers risk \"fire\", which is not among `risks`\n\
             remediation.yaml:4: item x: another item has the same `id`: give it its own"
        );
    }

    fn advise<T>(record: &Value, look: impl FnOnce(&Advice<'_>) -> T) -> T {
        let catalogue = Catalogue::load(None).unwrap();
        let text = record.to_string();
        let record = Record::parse(text.as_bytes()).unwrap();
        let facts = Facts::of(&record, Context::default(), &Lists::default());
        look(&catalogue.select(&record, &facts))
    }

    fn request(profile: &Value, role: &Value) -> Value {
        json!({
            "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile",
            "requestParameters": {"instanceProfileName": profile, "roleName": role},
        })
    }

    #[test]
    fn the_restore_item_is_filled_in() {
        advise(&request(&json!("web"), &json!("web-role")), |advice| {
            let item = advice
                .items
                .iter()
                .find(|item| item.id == "restore.role")
                .unwrap();
            assert_eq!(
                item.cli[0],
                "aws iam add-role-to-instance-profile --instance-profile-name web --role-name web-role"
            );
            assert_eq!(
                item.boto3[1],
                "iam.add_role_to_instance_profile(InstanceProfileName='web', RoleName='web-role')"
            );
            assert!(
                item.notes.iter().all(|note| !note.contains('<')),
                "{:?}",
                item.notes
            );
            assert!(advice.risks.iter().any(|risk| risk.id == "outage"));
        });
    }

    #[test]
    fn what_is_missing_leaves_a_placeholder_and_a_note() {
        advise(&request(&json!("web"), &Value::Null), |advice| {
            let item = &advice.items[0];
            assert_eq!(
                shlex::split(&item.cli[0])
                    .unwrap()
                    .last()
                    .map(String::as_str),
                Some("<ROLE>")
            );
            assert!(
                item.notes.contains(
                    &"<ROLE>: the event does not say; look it up and put it in.".to_owned()
                )
            );
        });
    }

    proptest! {
        #[test]
        fn no_value_changes_a_command(
            profile in hostile(),
            role in hostile(),
        ) {
            let argument = |value: &str, placeholder: &str| {
                if crate::detection::facts::is_iam_name(value) && !value.starts_with('-') && !value.bytes().all(|byte| byte == b'*') && !value.eq_ignore_ascii_case("ANONYMIZED") {
                    value.to_owned()
                } else {
                    placeholder.to_owned()
                }
            };
            let (want_profile, want_role) = (argument(&profile, "<INSTANCE_PROFILE>"), argument(&role, "<ROLE>"));
            advise(&request(&json!(profile), &json!(role)), |advice| {
                let item = advice.items.iter().find(|item| item.id == "restore.role").unwrap();
                let want = ["aws", "iam", "add-role-to-instance-profile", "--instance-profile-name", &want_profile, "--role-name", &want_role];
                assert_eq!(shlex::split(&item.cli[0]).unwrap(), want);
                let want = format!(
                    "iam.add_role_to_instance_profile(InstanceProfileName='{want_profile}', RoleName='{want_role}')"
                );
                assert_eq!(item.boto3[1], want);
                let left = item.notes.iter().filter(|note| note.starts_with('<')).count();
                assert_eq!(left, usize::from(want_profile.starts_with('<')) + usize::from(want_role.starts_with('<')));
            });
        }
    }

    fn hostile() -> impl Strategy<Value = String> {
        prop_oneof![
            Just("'; rm -rf ~; '".to_owned()),
            Just("$(id)".to_owned()),
            Just("`id`".to_owned()),
            Just("a\nb".to_owned()),
            Just("a\0b".to_owned()),
            Just("\u{202e}nimda".to_owned()),
            Just("\"quoted\"".to_owned()),
            Just("--endpoint-url=x".to_owned()),
            Just("{{ role }}".to_owned()),
            Just("web-role".to_owned()),
            "[A-Za-z0-9_+=,.@-]{1,64}",
            any::<String>(),
        ]
    }
}
