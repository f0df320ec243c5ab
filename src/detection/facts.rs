//! What a record says once its spellings are taken together: outcome, actor, target, identity, time.
//!
//! In flows a parsed record and what is known of its journey; out flow [`Facts`], which documents show and which
//! conditions test under `trailtag.`. Nothing is guessed: what is missing stays missing, and is listed.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Context;
use super::outcome::{self, Outcome};
use super::time::EventTime;
use crate::cloudtrail::record::Record;

/// Who made the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Actor<'a> {
    /// `userIdentity.type`: `IAMUser`, `AssumedRole`, `Root`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// The identity's ARN; of an assumed role, the session's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<&'a str>,
    /// AWS's unique id of the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<&'a str>,
    /// The account that the identity belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a str>,
    /// The user's or role's name, or the service that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The access key that signed the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<&'a str>,
    /// The role or user behind temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_issuer_arn: Option<&'a str>,
}

/// What the call was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Target<'a> {
    /// The instance profile's name, from the request or else from the error's text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<&'a str>,
    /// The role's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// The account whose trail this is; else the actor's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a str>,
    /// `aws`, `aws-us-gov`, `aws-cn`, …
    pub partition: &'a str,
    /// `awsRegion`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<&'a str>,
}

/// Where a document's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdSource {
    /// The record's own `eventID`.
    Record,
    /// A hash of the record's bytes, since it has no id.
    Hash,
}

/// Everything that is derived from one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// What became of the call.
    pub outcome: Outcome,
    /// The error's family, where there is an error code.
    pub error: Option<&'a str>,
    /// Who made the call.
    pub actor: Actor<'a>,
    /// What it was about.
    pub target: Target<'a>,
    /// The record's id, or `sha256-` and the hash of its bytes.
    pub event_id: Cow<'a, str>,
    /// Where the id comes from.
    pub event_id_source: IdSource,
    /// When the call was made.
    pub event_time: Option<EventTime>,
    /// What a record of this kind should say and this one does not, in a fixed order.
    pub insufficient: Vec<&'static str>,
}

/// A fact as a condition sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    Text(&'a str),
    Texts(&'a [&'static str]),
}

/// The facts that conditions can test, each under `trailtag.`.
pub(super) const NAMES: [&str; 16] = [
    "outcome",
    "error",
    "actor.type",
    "actor.arn",
    "actor.principal_id",
    "actor.account",
    "actor.name",
    "actor.access_key_id",
    "actor.session_issuer_arn",
    "target.instance_profile",
    "target.role",
    "target.account",
    "target.partition",
    "target.region",
    "event_time_source",
    "insufficient",
];

impl<'a> Facts<'a> {
    /// Derives every fact of a record.
    #[must_use]
    pub fn of(record: &'a Record<'_>, context: Context) -> Self {
        let (outcome, error) = outcome::of(record);
        let actor = actor(record);
        let target = target(record, &actor);
        let event_id = text(record, &["eventID"]);
        let event_time = EventTime::of(text(record, &["eventTime"]), context);

        let mut insufficient = Vec::new();
        if !says(record.at(&["userIdentity"])) {
            insufficient.push("user_identity");
        }
        if !says_request(record) {
            insufficient.push("request_parameters");
        }
        if event_id.is_none() {
            insufficient.push("event_id");
        }
        if event_time.is_none_or(|at| at.source != super::time::TimeSource::Record) {
            insufficient.push("event_time");
        }

        let (event_id, event_id_source) = event_id.map_or_else(
            || (Cow::Owned(hash(record.json)), IdSource::Hash),
            |id| (Cow::Borrowed(id), IdSource::Record),
        );
        Self {
            outcome,
            error,
            actor,
            target,
            event_id,
            event_id_source,
            event_time,
            insufficient,
        }
    }

    /// The fact of that name (without `trailtag.`), none where it is unknown.
    pub(super) fn fact(&self, name: &str) -> Option<Fact<'_>> {
        let text = match name {
            "outcome" => Some(self.outcome.as_str()),
            "error" => self.error,
            "actor.type" => self.actor.kind,
            "actor.arn" => self.actor.arn,
            "actor.principal_id" => self.actor.principal_id,
            "actor.account" => self.actor.account,
            "actor.name" => self.actor.name,
            "actor.access_key_id" => self.actor.access_key_id,
            "actor.session_issuer_arn" => self.actor.session_issuer_arn,
            "target.instance_profile" => self.target.instance_profile,
            "target.role" => self.target.role,
            "target.account" => self.target.account,
            "target.partition" => Some(self.target.partition),
            "target.region" => self.target.region,
            "event_time_source" => self.event_time.map(|at| at.source.as_str()),
            "insufficient" => return Some(Fact::Texts(&self.insufficient)),
            _ => None,
        };
        text.map(Fact::Text)
    }
}

/// Whether a collector put this in place of the real value.
pub(super) fn is_placeholder(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || text.bytes().all(|byte| byte == b'*')
        || text.eq_ignore_ascii_case("HIDDEN_DUE_TO_SECURITY_REASONS")
        || text.eq_ignore_ascii_case("ANONYMIZED")
}

/// The string at a path, unless it is missing, of another type, empty or a placeholder.
fn text<'a>(record: &'a Record<'_>, path: &[&str]) -> Option<&'a str> {
    record.text(path).filter(|text| !is_placeholder(text))
}

fn actor<'a>(record: &'a Record<'_>) -> Actor<'a> {
    let of = |key| text(record, &["userIdentity", key]);
    let issuer = |key| {
        text(
            record,
            &["userIdentity", "sessionContext", "sessionIssuer", key],
        )
    };
    Actor {
        kind: of("type"),
        arn: of("arn"),
        principal_id: of("principalId"),
        account: of("accountId"),
        name: of("userName")
            .or_else(|| issuer("userName"))
            .or_else(|| of("invokedBy")),
        access_key_id: of("accessKeyId"),
        session_issuer_arn: issuer("arn"),
    }
}

fn target<'a>(record: &'a Record<'_>, actor: &Actor<'a>) -> Target<'a> {
    let region = text(record, &["awsRegion"]);
    Target {
        instance_profile: text(record, &["requestParameters", "instanceProfileName"])
            .or_else(|| profile_in_error(record.text(&["errorMessage"])?)),
        role: text(record, &["requestParameters", "roleName"]),
        account: text(record, &["recipientAccountId"]).or(actor.account),
        partition: actor
            .arn
            .and_then(partition_of_arn)
            .unwrap_or_else(|| partition_of_region(region.unwrap_or_default())),
        region,
    }
}

/// The instance profile that a denial is about. With a denial `requestParameters` is null, and the name stands only in
/// the text: `on resource: instance profile NAME because …`, or `on resource: arn:…:instance-profile/PATH/NAME …`.
fn profile_in_error(message: &str) -> Option<&str> {
    const NAMED: &str = "on resource: instance profile ";
    const ARN: &str = "on resource: arn:";
    const RESOURCE: &str = ":instance-profile/";
    let word = |text: &'static str| {
        let (_, rest) = message.split_once(text)?;
        rest.split_whitespace().next()
    };
    let name = word(NAMED).or_else(|| {
        let (_, path) = word(ARN)?.split_once(RESOURCE)?;
        path.rsplit('/').next()
    })?;
    let end = message.ends_with(name);
    // A name may hold a full stop; the one that ends the text is the sentence's.
    let name = if end {
        name.strip_suffix('.').unwrap_or(name)
    } else {
        name
    };
    (is_iam_name(name) && !is_placeholder(name)).then_some(name)
}

/// Whether a text is made of the characters that IAM takes in names, `[\w+=,.@-]`, and is 1 to 128 of them.
pub(crate) fn is_iam_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

fn partition_of_arn(arn: &str) -> Option<&str> {
    let partition = arn.strip_prefix("arn:")?.split(':').next()?;
    let known = partition == "aws"
        || partition.strip_prefix("aws-").is_some_and(|rest| {
            !rest.is_empty()
                && rest
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-')
        });
    known.then_some(partition)
}

fn partition_of_region(region: &str) -> &'static str {
    const PREFIXES: [(&str, &str); 7] = [
        ("us-gov-", "aws-us-gov"),
        ("cn-", "aws-cn"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    PREFIXES
        .iter()
        .find(|(prefix, _)| region.starts_with(prefix))
        .map_or("aws", |(_, partition)| partition)
}

/// Whether an object is there and holds something.
fn says(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_object)
        .is_some_and(|fields| !fields.is_empty())
}

/// Whether the request is there, whole, and, where it is about the role in a profile, names both.
fn says_request(record: &Record<'_>) -> bool {
    let request = record.at(&["requestParameters"]);
    // A field that was too large for CloudTrail becomes an object that says so.
    let cut = record.at(&["requestParameters", "omitted"]).is_some();
    let about_role_in_profile = matches!(
        record.text(&["eventName"]),
        Some("RemoveRoleFromInstanceProfile" | "AddRoleToInstanceProfile")
    );
    let named = |key| text(record, &["requestParameters", key]).is_some();
    says(request)
        && !cut
        && (!about_role_in_profile || (named("instanceProfileName") && named("roleName")))
}

fn hash(json: &str) -> String {
    let mut id = String::from("sha256-");
    for byte in Sha256::digest(json.as_bytes()) {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with<T>(record: &Value, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let text = record.to_string();
        let record = Record::parse(text.as_bytes()).unwrap();
        look(&Facts::of(&record, Context::default()))
    }

    #[test]
    fn the_profile_is_recovered_from_both_forms_of_a_denial() {
        let user = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:RemoveRoleFromInstanceProfile";
        for (rest, want) in [
            (
                " on resource: instance profile web-01 because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action",
                Some("web-01"),
            ),
            (
                " on resource: instance profile web.prod with an explicit deny in a service control policy",
                Some("web.prod"),
            ),
            (" on resource: instance profile web.", Some("web")),
            (
                " on resource: arn:aws:iam::111122223333:instance-profile/app/web-01 because no identity-based policy allows it",
                Some("web-01"),
            ),
            (
                " on resource: arn:aws:iam::111122223333:instance-profile/web-01",
                Some("web-01"),
            ),
            (" on resource: arn:aws:iam::111122223333:role/web-01", None),
            (" on resource: instance profile *** because", None),
            (" on resource: instance profile $(id) because", None),
            (" on resource: instance profile ", None),
            ("", None),
        ] {
            let record = json!({"errorCode": "AccessDenied", "errorMessage": format!("{user}{rest}"), "requestParameters": null});
            with(&record, |facts| {
                assert_eq!(facts.target.instance_profile, want, "{rest}");
                assert_eq!(facts.target.role, None);
                assert!(facts.insufficient.contains(&"request_parameters"));
            });
        }
    }

    #[test]
    fn the_partition_is_the_arns_or_else_the_regions() {
        for (arn, region, want) in [
            (
                Some("arn:aws-cn:iam::1:user/a"),
                Some("us-east-1"),
                "aws-cn",
            ),
            (None, Some("us-gov-west-1"), "aws-us-gov"),
            (None, Some("cn-north-1"), "aws-cn"),
            (None, Some("us-isob-east-1"), "aws-iso-b"),
            (None, Some("us-iso-east-1"), "aws-iso"),
            (None, Some("eu-west-1"), "aws"),
            (None, None, "aws"),
            (Some("arn:$(id):iam"), Some("cn-north-1"), "aws-cn"),
            (Some("arn:aws-:iam"), None, "aws"),
        ] {
            let record = json!({"userIdentity": {"arn": arn}, "awsRegion": region});
            with(&record, |facts| {
                assert_eq!(facts.target.partition, want, "{record}");
            });
        }
    }

    #[test]
    fn placeholders_count_as_missing() {
        for hidden in [
            "HIDDEN_DUE_TO_SECURITY_REASONS",
            "***",
            "ANONYMIZED",
            "anonymized",
            "",
            " ",
        ] {
            let record = json!({
                "eventName": "RemoveRoleFromInstanceProfile",
                "eventID": hidden,
                "eventTime": hidden,
                "userIdentity": {"type": "IAMUser", "userName": hidden, "accessKeyId": hidden},
                "requestParameters": {"instanceProfileName": "web", "roleName": hidden},
            });
            with(&record, |facts| {
                assert_eq!(facts.actor.name, None);
                assert_eq!(facts.actor.access_key_id, None);
                assert_eq!(facts.target.role, None);
                assert_eq!(facts.event_id_source, IdSource::Hash);
                assert!(facts.event_id.starts_with("sha256-"));
                assert_eq!(facts.event_id.len(), 7 + 64);
                assert_eq!(
                    facts.insufficient,
                    ["request_parameters", "event_id", "event_time"]
                );
            });
        }
    }

    #[test]
    fn an_actor_is_named_by_user_issuer_or_service() {
        let role = json!({"userIdentity": {
            "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/deploy", "userName": "deploy"}},
        }});
        with(&role, |facts| {
            assert_eq!(facts.actor.name, Some("deploy"));
            assert_eq!(
                facts.actor.session_issuer_arn,
                Some("arn:aws:iam::111122223333:role/deploy")
            );
        });
        let service = json!({"userIdentity": {"type": "AWSService", "invokedBy": "cloudformation.amazonaws.com"}});
        with(&service, |facts| {
            assert_eq!(facts.actor.name, Some("cloudformation.amazonaws.com"));
        });
    }

    #[test]
    fn what_is_missing_is_listed() {
        with(&json!({"userIdentity": null}), |facts| {
            assert_eq!(
                facts.insufficient,
                [
                    "user_identity",
                    "request_parameters",
                    "event_id",
                    "event_time"
                ]
            );
        });
        let cut = json!({"userIdentity": {}, "requestParameters": {"reason": "requestParameters too large", "omitted": "true"}});
        with(&cut, |facts| {
            assert_eq!(
                facts.insufficient,
                [
                    "user_identity",
                    "request_parameters",
                    "event_id",
                    "event_time"
                ]
            );
        });
    }

    #[test]
    fn the_account_is_the_trails_or_else_the_actors() {
        let record = json!({"recipientAccountId": "444455556666", "userIdentity": {"accountId": "111122223333"}});
        with(&record, |facts| {
            assert_eq!(facts.target.account, Some("444455556666"));
        });
        let record = json!({"userIdentity": {"accountId": "111122223333"}});
        with(&record, |facts| {
            assert_eq!(facts.target.account, Some("111122223333"));
        });
    }

    #[test]
    fn every_listed_fact_can_be_asked_for() {
        let record = json!({
            "eventTime": "2026-01-05T18:49:01Z", "errorCode": "NoSuchEntityException", "awsRegion": "us-east-1",
            "recipientAccountId": "111122223333",
            "userIdentity": {
                "type": "AssumedRole", "principalId": "AROAEXAMPLE:ci", "accountId": "111122223333", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci",
                "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::111122223333:role/deploy", "userName": "deploy"}},
            },
            "requestParameters": {"instanceProfileName": "web", "roleName": "web-role"},
        });
        with(&record, |facts| {
            for name in NAMES {
                assert!(facts.fact(name).is_some(), "{name}");
            }
            assert_eq!(facts.fact("no.such"), None);
        });
    }
}
