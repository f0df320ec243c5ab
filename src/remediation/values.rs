//! The event's values as templates see them, each held against the characters that AWS takes in it.

use std::collections::{BTreeMap, BTreeSet};

use crate::detection::facts::{Facts, is_iam_name};

/// Every value that templates can use.
pub(super) const NAMES: [&str; 8] = [
    "instance_profile",
    "role",
    "account",
    "partition",
    "region",
    "access_key_id",
    "user",
    "actor_arn",
];

/// What stands in for a value, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// The event does not say.
    Missing,
    /// The event says something that AWS would not have taken.
    Unlikely,
}

/// The values of one event.
#[derive(Debug)]
pub(super) struct Values {
    values: BTreeMap<&'static str, Result<String, Gap>>,
}

impl Values {
    pub(super) fn of(facts: &Facts<'_>) -> Self {
        let user = facts
            .actor
            .name
            .filter(|_| facts.actor.kind == Some("IAMUser"));
        let values = NAMES
            .into_iter()
            .map(|name| {
                let (value, takes): (Option<&str>, fn(&str) -> bool) = match name {
                    "instance_profile" => (facts.target.instance_profile, is_name),
                    "role" => (facts.target.role, is_name),
                    "account" => (facts.target.account, is_account),
                    "partition" => (Some(facts.target.partition), is_region),
                    "region" => (facts.target.region, is_region),
                    "access_key_id" => (facts.actor.access_key_id, is_key),
                    "user" => (user, is_name),
                    _ => (facts.actor.arn, is_arn),
                };
                let value = value.ok_or(Gap::Missing).and_then(|value| {
                    if takes(value) {
                        Ok(value.to_owned())
                    } else {
                        Err(Gap::Unlikely)
                    }
                });
                (name, value)
            })
            .collect();
        Self { values }
    }

    /// What templates are rendered with.
    pub(super) fn context(&self) -> minijinja::value::Value {
        let values: BTreeMap<&str, String> = self
            .values
            .iter()
            .map(|(name, value)| {
                let value = value.clone().unwrap_or_else(|_| placeholder(name));
                (*name, value)
            })
            .collect();
        minijinja::value::Value::from_pairs(values)
    }

    /// One note for each of the used values that is left to fill in.
    pub(super) fn notes(&self, uses: &BTreeSet<&'static str>) -> Vec<String> {
        NAMES
            .iter()
            .filter(|name| uses.contains(*name))
            .filter_map(|name| {
                let why = match self.values.get(name)?.as_ref().err()? {
                    Gap::Missing => "the event does not say",
                    Gap::Unlikely => "the event's value holds characters that AWS does not take",
                };
                Some(format!(
                    "{}: {why}; look it up and put it in.",
                    placeholder(name)
                ))
            })
            .collect()
    }
}

fn placeholder(name: &str) -> String {
    format!("<{}>", name.to_ascii_uppercase())
}

/// A value in every field, as an ordinary event has.
pub(super) fn sample() -> minijinja::value::Value {
    let values: BTreeMap<&str, &str> = NAMES.into_iter().map(|name| (name, "sample")).collect();
    minijinja::value::Value::from_pairs(values)
}

/// A value in every field that a shell takes apart unless it is quoted.
pub(super) fn probe() -> minijinja::value::Value {
    let values: BTreeMap<&str, String> = NAMES
        .into_iter()
        .map(|name| (name, probe_of(name)))
        .collect();
    minijinja::value::Value::from_pairs(values)
}

/// The value of one field in [`probe`].
pub(super) fn probe_of(name: &str) -> String {
    format!("<{name}> 'a' \"b\" $c \\d #e")
}

/// A name, unless a command would take it for an option.
fn is_name(text: &str) -> bool {
    is_iam_name(text) && !text.starts_with('-')
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_region(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_key(text: &str) -> bool {
    (16..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

fn is_arn(text: &str) -> bool {
    text.len() <= 2048
        && text.starts_with("arn:")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-:/".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_held_against_what_aws_takes() {
        assert!(
            is_name("Web_App+=,.@-1")
                && !is_name("-x")
                && !is_name("")
                && !is_name("a b")
                && !is_name("é")
        );
        assert!(!is_name(&"a".repeat(129)));
        assert!(
            is_account("111122223333") && !is_account("11112222333") && !is_account("11112222333x")
        );
        assert!(
            is_region("us-gov-west-1")
                && !is_region("-east")
                && !is_region("us east")
                && !is_region("")
        );
        assert!(
            is_key("AKIAIOSFODNN7EXAMPLE") && !is_key("AKIA") && !is_key("akiaiosfodnn7example")
        );
        assert!(
            is_arn("arn:aws:iam::111122223333:user/team/eve")
                && !is_arn("arn:aws:$(id)")
                && !is_arn("x")
        );
    }
}
