//! What a record says once its spellings are taken together: outcome, actor, client, target, identity, time.
//!
//! In flows a parsed record, what is known of its journey, and the configured lists; out flow [`Facts`], which documents
//! show and which conditions test under `trailtag.`. Nothing is guessed: what a record does not say is none, never false,
//! and is listed.

mod actor;
mod client;
mod federation;
mod sequence;
mod service;
mod target;

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Context;
use super::lists::Lists;
use super::outcome;
use super::time::EventTime;
use crate::cloudtrail::record::Record;
use crate::model::Outcome;

pub use actor::{Actor, KeyLifetime};
pub use client::Client;
pub use federation::Federation;
pub use sequence::SequenceFacts;
pub use target::Target;

/// Where a document's id comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdSource {
    /// The record's own `eventID`.
    Record,
    /// A hash of the record's bytes, since it has no id.
    Hash,
}

/// The longest id that is one. AWS's have 36 bytes; the key of a document, which Elasticsearch takes as its id, may have
/// 512, and a caller of CloudTrail Lake's own channels can write anything.
const MOST_ID_BYTES: usize = 256;

/// Everything that is derived from one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts<'a> {
    /// What became of the call.
    pub outcome: Outcome,
    /// The error's family, where there is an error code.
    pub error: Option<&'a str>,
    /// Who made the call.
    pub actor: Actor<'a>,
    /// What it was made with, and from where.
    pub client: Client<'a>,
    /// What it was about.
    pub target: Target<'a>,
    /// Whether the identity is of another account than the one whose trail this is.
    pub cross_account: Option<bool>,
    /// The record's id, or `sha256-` and the hash of its bytes.
    pub event_id: Cow<'a, str>,
    /// Where the id comes from.
    pub event_id_source: IdSource,
    /// When the call was made.
    pub event_time: Option<EventTime>,
    /// What a record of this kind should say and this one does not, in a fixed order.
    pub insufficient: Vec<&'static str>,
    /// What it says together with other records; none of a record by itself.
    pub sequence: Option<SequenceFacts<'a>>,
}

/// A fact as a condition sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fact<'a> {
    Text(&'a str),
    Texts(&'a [&'a str]),
    Truth(bool),
    Number(u64),
}

/// The facts that conditions can test, each under `trailtag.`.
pub(super) const NAMES: [&str; 50] = [
    "outcome",
    "error",
    "cross_account",
    "actor.type",
    "actor.arn",
    "actor.principal_arn",
    "actor.principal_id",
    "actor.account",
    "actor.name",
    "actor.role",
    "actor.session_name",
    "actor.sso_permission_set",
    "actor.access_key_id",
    "actor.key",
    "actor.mfa",
    "actor.session_issuer_arn",
    "actor.source_identity",
    "actor.identity_provider",
    "actor.identity_subject",
    "actor.on_behalf_of",
    "actor.identity_store_arn",
    "actor.is_ec2_instance",
    "actor.is_external",
    "actor.is_assumed_root",
    "actor.is_sensitive",
    "actor.is_aws_service",
    "actor.allow_listed",
    "client",
    "client.via_service",
    "source.address",
    "source.allow_listed",
    "source.threat_listed",
    "source.outside_aws",
    "target.instance_profile",
    "target.role",
    "target.account",
    "target.partition",
    "target.region",
    "target.privileged_role",
    "target.security_tooling",
    "target.running_instances",
    "target.instance_ids",
    "event_time_source",
    "insufficient",
    "sequence.kind",
    "sequence.verdict",
    "sequence.count",
    "sequence.allow_listed",
    "sequence.role",
    "sequence.privileged_role",
];

impl<'a> Facts<'a> {
    /// Derives every fact of a record.
    #[must_use]
    pub(crate) fn from_record(record: &'a Record<'_>, context: Context, lists: &'a Lists) -> Self {
        let (outcome, error) = outcome::from_record(record);
        let client = Client::from_record(record, lists);
        let mut actor = Actor::from_record(record, client.address);
        actor.check(lists, client.allow_listed);
        let target = Target::from_record(record, &actor, lists);
        let cross_account = actor::cross_account(record, actor.account);
        let event_id = text(record, &["eventID"]).filter(|id| id.len() <= MOST_ID_BYTES);
        let event_time = EventTime::from_record(text(record, &["eventTime"]), context);

        let mut insufficient = Vec::new();
        if !says(record.at(&["userIdentity"])) {
            insufficient.push("user_identity");
        }
        if !says_request(record) {
            insufficient.push("request_parameters");
        }
        if client.address.is_none() {
            insufficient.push("source_address");
        }
        if text(record, &["userAgent"]).is_none() {
            insufficient.push("user_agent");
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
            client,
            target,
            cross_account,
            event_id,
            event_id_source,
            event_time,
            insufficient,
            sequence: None,
        }
    }

    /// Every fact that is known, by its name as conditions write it.
    pub fn known(&self) -> impl Iterator<Item = (String, Value)> {
        NAMES.iter().filter_map(|name| {
            let value = match self.fact(name)? {
                Fact::Text(text) => Value::from(text),
                Fact::Texts(texts) => Value::from(texts.to_vec()),
                Fact::Truth(truth) => Value::from(truth),
                Fact::Number(number) => Value::from(number),
            };
            Some((format!("trailtag.{name}"), value))
        })
    }

    /// The fact of that name (without `trailtag.`), none where it is unknown.
    pub(super) fn fact(&self, name: &str) -> Option<Fact<'_>> {
        let Self {
            actor,
            client,
            target,
            ..
        } = self;
        let text = match name {
            "outcome" => Some(self.outcome.as_str()),
            "error" => self.error,
            "cross_account" => return self.cross_account.map(Fact::Truth),
            "actor.type" => actor.kind,
            "actor.arn" => actor.arn,
            "actor.principal_arn" => actor.principal_arn.as_deref(),
            "actor.principal_id" => actor.principal_id,
            "actor.account" => actor.account,
            "actor.name" => actor.name,
            "actor.role" => actor.role,
            "actor.session_name" => actor.session_name,
            "actor.sso_permission_set" => actor.sso_permission_set,
            "actor.access_key_id" => actor.access_key_id,
            "actor.key" => actor.key.map(KeyLifetime::as_str),
            "actor.mfa" => return actor.mfa.map(Fact::Truth),
            "actor.session_issuer_arn" => actor.session_issuer_arn,
            "actor.source_identity" => actor.federation.source_identity,
            "actor.identity_provider" => actor.federation.identity_provider,
            "actor.identity_subject" => actor.federation.identity_subject,
            "actor.on_behalf_of" => actor.federation.on_behalf_of,
            "actor.identity_store_arn" => actor.federation.identity_store_arn,
            "actor.is_ec2_instance" => return actor.is_ec2_instance.map(Fact::Truth),
            "actor.is_external" => return actor.is_external.map(Fact::Truth),
            "actor.is_assumed_root" => return actor.is_assumed_root.map(Fact::Truth),
            "actor.is_sensitive" => return actor.is_sensitive.map(Fact::Truth),
            "actor.is_aws_service" => return actor.is_aws_service.map(Fact::Truth),
            "actor.allow_listed" => return actor.allow_listed.map(Fact::Truth),
            "client" => return Some(Fact::Texts(&client.kinds)),
            "client.via_service" => client.via_service,
            "source.address" => client.address,
            "source.allow_listed" => return client.allow_listed.map(Fact::Truth),
            "source.threat_listed" => return client.threat_listed.map(Fact::Truth),
            "source.outside_aws" => return client.outside_aws.map(Fact::Truth),
            "target.instance_profile" => target.instance_profile,
            "target.role" => target.role,
            "target.account" => target.account,
            "target.partition" => Some(target.partition),
            "target.region" => target.region,
            "target.privileged_role" => return target.privileged_role.map(Fact::Truth),
            "target.security_tooling" => return target.security_tooling.map(Fact::Truth),
            "target.running_instances" => return target.running_instances.map(Fact::Number),
            "target.instance_ids" => {
                return (!target.instance_ids.is_empty())
                    .then_some(Fact::Texts(&target.instance_ids));
            }
            "event_time_source" => self.event_time.map(|at| at.source.as_str()),
            "insufficient" => return Some(Fact::Texts(&self.insufficient)),
            _ => {
                let name = name.strip_prefix("sequence.")?;
                return self.sequence.as_ref()?.fact(name);
            }
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

/// The string of an object's key, unless it is missing, of another type, empty or a placeholder.
fn text_in<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object
        .get(key)?
        .as_str()
        .filter(|text| !is_placeholder(text))
}

/// Whether a text is made of the characters that IAM takes in names, `[\w+=,.@-]`, and is 1 to 128 of them.
pub(crate) fn is_iam_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// Whether an object is there and holds something.
fn says(value: Option<&Value>) -> bool {
    value
        .and_then(Value::as_object)
        .is_some_and(|fields| !fields.is_empty())
}

/// The calls about roles and instance profiles. They say in their request what they are about: without it something is
/// missing. Other calls may have none, such as a sign-in or a list.
pub(crate) const INSTANCE_PROFILE_CALLS: [&str; 7] = [
    "RemoveRoleFromInstanceProfile",
    "AddRoleToInstanceProfile",
    "CreateInstanceProfile",
    "DeleteInstanceProfile",
    "AssociateIamInstanceProfile",
    "DisassociateIamInstanceProfile",
    "ReplaceIamInstanceProfileAssociation",
];

/// Whether the request is whole, and there, where the call is one that has one. Where it is about the role in a profile, it
/// must name both.
fn says_request(record: &Record<'_>) -> bool {
    let request = record.at(&["requestParameters"]);
    // A field that was too large for CloudTrail becomes an object that says so; a collector may put a mask in its place.
    let cut = record.at(&["requestParameters", "omitted"]).is_some();
    let masked = request
        .and_then(Value::as_str)
        .is_some_and(|text| !text.is_empty());
    if cut || masked {
        return false;
    }
    let Some(name) = record.text(&["eventName"]) else {
        return says(request);
    };
    if !INSTANCE_PROFILE_CALLS.contains(&name) {
        return true;
    }
    let named = |key| text(record, &["requestParameters", key]).is_some();
    let about_role_in_profile = matches!(
        name,
        "RemoveRoleFromInstanceProfile" | "AddRoleToInstanceProfile"
    );
    says(request) && (!about_role_in_profile || (named("instanceProfileName") && named("roleName")))
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
    use crate::model::SequenceKind;
    use serde_json::json;

    /// Looks at a record's facts, with no lists at all.
    pub(super) fn with<T>(record: &Value, look: impl FnOnce(&Facts<'_>) -> T) -> T {
        let text = record.to_string();
        let record = Record::parse(text.as_bytes()).unwrap();
        look(&Facts::from_record(
            &record,
            Context::default(),
            &Lists::default(),
        ))
    }

    /// Looks at a record's facts, with the lists of these settings of `detection`.
    pub(super) fn with_lists<T>(
        record: &Value,
        settings: &str,
        look: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        let settings = serde_saphyr::from_str(settings).unwrap();
        let mut faults = crate::model::fault::Faults::default();
        let lists = Lists::load(&settings, &mut faults);
        assert_eq!(faults.to_string(), "");
        let text = record.to_string();
        let record = Record::parse(text.as_bytes()).unwrap();
        look(&Facts::from_record(&record, Context::default(), &lists))
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
                    [
                        "request_parameters",
                        "source_address",
                        "user_agent",
                        "event_id",
                        "event_time"
                    ]
                );
            });
        }
    }

    #[test]
    fn an_id_that_no_index_would_take_counts_as_missing() {
        with(&json!({"eventID": "x".repeat(MOST_ID_BYTES)}), |facts| {
            assert_eq!(facts.event_id_source, IdSource::Record);
        });
        with(
            &json!({"eventID": "x".repeat(MOST_ID_BYTES + 1)}),
            |facts| {
                assert_eq!(facts.event_id_source, IdSource::Hash);
                assert!(facts.insufficient.contains(&"event_id"));
            },
        );
    }

    #[test]
    fn what_is_missing_is_listed() {
        with(&json!({"userIdentity": null}), |facts| {
            assert_eq!(
                facts.insufficient,
                [
                    "user_identity",
                    "request_parameters",
                    "source_address",
                    "user_agent",
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
                    "source_address",
                    "user_agent",
                    "event_id",
                    "event_time"
                ]
            );
        });
    }

    #[test]
    fn only_a_call_that_must_say_what_it_is_about_lacks_its_request() {
        let cut =
            json!({"reason": "requestParameters too large", "omitted": true, "originalSize": 1});
        for (name, request, want) in [
            ("ConsoleLogin", json!(null), true),
            ("CreateAccessKey", json!(null), true),
            ("GetCallerIdentity", json!({}), true),
            ("CreateUser", json!({"userName": "mallory"}), true),
            ("CreateUser", cut.clone(), false),
            ("CreateUser", json!("HIDDEN_DUE_TO_SECURITY_REASONS"), false),
            (
                "CreateInstanceProfile",
                json!({"instanceProfileName": "web"}),
                true,
            ),
            ("CreateInstanceProfile", json!(null), false),
            (
                "RemoveRoleFromInstanceProfile",
                json!({"instanceProfileName": "web"}),
                false,
            ),
            ("RemoveRoleFromInstanceProfile", json!(""), false),
        ] {
            let record = json!({"eventName": name, "requestParameters": request});
            with(&record, |facts| {
                let missing = facts.insufficient.contains(&"request_parameters");
                assert_eq!(!missing, want, "{record}");
            });
        }
    }

    #[test]
    fn an_account_of_its_own_or_another_or_not_said() {
        for (actors, trails, want) in [
            (json!("111122223333"), json!("111122223333"), Some(false)),
            (json!("444455556666"), json!("111122223333"), Some(true)),
            (json!("444455556666"), Value::Null, None),
            (json!("***"), json!("111122223333"), None),
            (Value::Null, json!("111122223333"), None),
        ] {
            let record = json!({"userIdentity": {"type": "AWSAccount", "accountId": actors}, "recipientAccountId": trails});
            with(&record, |facts| {
                assert_eq!(facts.cross_account, want, "{record}");
            });
        }
    }

    #[test]
    fn every_listed_fact_can_be_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let settings = format!(
            "{{threat_networks_files: ['{}'], aws_networks_file: '{}', profiles_in_use_file: '{}', allow_list: {{principals: [x], networks: [192.0.2.0/24]}}}}",
            file("tor.txt", "203.0.113.0/24\n"),
            file(
                "ip-ranges.json",
                r#"{"prefixes": [{"ip_prefix": "198.51.100.0/24"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8::/32"}]}"#
            ),
            file(
                "in_use.csv",
                "instance_profile,account,running_instances,instance_ids\nweb,111122223333,2,i-0123456789abcdef0\n"
            ),
        );
        let record = json!({
            "eventTime": "2026-01-05T18:49:01Z", "errorCode": "NoSuchEntityException", "awsRegion": "us-east-1",
            "recipientAccountId": "111122223333", "sourceIPAddress": "203.0.113.7", "userAgent": "Terraform/1.1",
            "userIdentity": {
                "type": "AssumedRole", "principalId": "AROAEXAMPLE:ci", "accountId": "111122223333", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
                "arn": "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/ci",
                "sessionContext": {
                    "sessionIssuer": {"arn": "arn:aws:iam::111122223333:role/deploy", "userName": "deploy"},
                    "attributes": {"mfaAuthenticated": "false"},
                    "sourceIdentity": "eve",
                    "webIdFederationData": {"federatedProvider": "idp.example", "attributes": {"idp.example:sub": "eve"}},
                },
                "onBehalfOf": {"userId": "1", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"},
            },
            "requestParameters": {"instanceProfileName": "web", "roleName": "web-role"},
        });
        // No record has both an address and a service in its place.
        let mut by_service = record.clone();
        by_service["userIdentity"]["invokedBy"] = json!("ssm.amazonaws.com");
        by_service["sourceIPAddress"] = json!("ssm.amazonaws.com");
        let known = |record| {
            with_lists(record, &settings, |facts| {
                let facts = Facts {
                    sequence: Some(SequenceFacts {
                        kind: SequenceKind::RoleSwap,
                        count: 2,
                        allow_listed: false,
                        role: Some("admin"),
                        privileged_role: Some(true),
                    }),
                    ..facts.clone()
                };
                assert_eq!(facts.fact("no.such"), None);
                NAMES.map(|name| facts.fact(name).is_some())
            })
        };
        let (first, second) = (known(&record), known(&by_service));
        for (at, name) in NAMES.iter().enumerate() {
            assert!(first[at] || second[at], "{name}");
        }
    }
}
