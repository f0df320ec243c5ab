//! Who made the call: `userIdentity`, in all of its variants.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::federation::Federation;
use super::{says, text_in};
use crate::cloudtrail::record::{Record, truth};
use crate::detection::lists::Lists;

/// How the access key that signed a call lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyLifetime {
    /// Until somebody deletes it (`AKIA…`).
    LongLived,
    /// Until its session ends (`ASIA…`).
    Temporary,
}

impl KeyLifetime {
    /// The name in documents and conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LongLived => "long_lived",
            Self::Temporary => "temporary",
        }
    }

    /// AWS's ids say by their first four letters what they are of.
    fn from_id(id: &str) -> Option<Self> {
        match id.get(..4)? {
            "AKIA" => Some(Self::LongLived),
            "ASIA" => Some(Self::Temporary),
            _ => None,
        }
    }
}

/// Who made the call. What the record does not say is none, never false.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Actor<'a> {
    /// `userIdentity.type`: `IAMUser`, `AssumedRole`, `Root`, …
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'a str>,
    /// The identity's ARN; of an assumed role, the session's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<&'a str>,
    /// The ARN that policies and allow lists speak of: of an assumed role, the role's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_arn: Option<Cow<'a, str>>,
    /// AWS's unique id of the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<&'a str>,
    /// The account that the identity belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<&'a str>,
    /// The user's or role's name, `root` of the root user, or the service that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    /// The name of the role whose session this is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'a str>,
    /// The session's name: whoever took the role chose it, and IAM Identity Center writes the person's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_name: Option<&'a str>,
    /// The permission set of IAM Identity Center that the role stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sso_permission_set: Option<&'a str>,
    /// The access key that signed the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<&'a str>,
    /// How that key lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyLifetime>,
    /// Whether the session was opened with MFA, or of a sign-in, whether MFA was used; calls with a long-lived key have no
    /// session, and do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa: Option<bool>,
    /// The role or user behind temporary credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_issuer_arn: Option<&'a str>,
    /// Whether the credentials are those that an EC2 instance gets for its role.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_ec2_instance: Option<bool>,
    /// Whether the identity comes from outside of the account's IAM: another account, or a federation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_external: Option<bool>,
    /// Whether an AWS service made the call: it names itself, and so does the address, which a caller cannot forge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_aws_service: Option<bool>,
    /// Whether the principal is on the allow list, and calls from a network on it where there are any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_listed: Option<bool>,
    /// Who stands behind the identity.
    #[serde(flatten)]
    pub federation: Federation<'a>,
}

/// The identity types of those who come from elsewhere.
const EXTERNAL: [&str; 4] = ["AWSAccount", "FederatedUser", "WebIdentityUser", "SAMLUser"];

impl<'a> Actor<'a> {
    pub(super) fn from_record(record: &'a Record<'_>, address: Option<&str>) -> Self {
        let sign_in = sign_in_mfa(record);
        let Some(identity) = record.at(&["userIdentity"]).filter(|it| says(Some(it))) else {
            return Self {
                mfa: sign_in,
                ..Self::default()
            };
        };
        let of = |key| text_in(identity, key);
        let context = identity.get("sessionContext");
        let issuer = context.and_then(|context| context.get("sessionIssuer"));
        let of_issuer = |key| issuer.and_then(|issuer| text_in(issuer, key));
        let kind = of("type");
        let arn = of("arn");
        let federation = Federation::from_identity(identity);
        // Of a user of IAM Identity Center, the id in its directory is all that there is.
        let directory_id = federation.on_behalf_of;
        let principal_id = of("principalId").or(directory_id);
        let session_issuer_arn = of_issuer("arn");
        let issuer_name = of_issuer("userName");
        let session = arn.and_then(Session::parse);
        let federated = arn.and_then(federated_user);
        let role = session
            .as_ref()
            .map(|session| session.role)
            .or_else(|| issuer_name.filter(|_| kind == Some("AssumedRole")));
        let access_key_id = of("accessKeyId");
        let invoked_by = of("invokedBy");
        Self {
            kind,
            arn,
            principal_arn: principal_arn(arn, session.as_ref(), session_issuer_arn),
            principal_id,
            account: of("accountId"),
            // A federated user before its issuer, who made the credentials for it and does not use them.
            name: of("userName")
                .or(federated)
                .or(issuer_name)
                .or(invoked_by)
                .or_else(|| (kind == Some("Root")).then_some("root"))
                .or(directory_id),
            role,
            session_name: session
                .as_ref()
                .and_then(|session| session.name)
                .or(federated),
            sso_permission_set: role.and_then(permission_set),
            access_key_id,
            key: access_key_id.and_then(KeyLifetime::from_id),
            mfa: sign_in.or_else(|| context.and_then(mfa)),
            session_issuer_arn,
            is_ec2_instance: Some(
                principal_id.is_some_and(is_instance_session)
                    || context.is_some_and(has_role_delivery),
            ),
            is_external: kind.map(|kind| EXTERNAL.contains(&kind)),
            is_aws_service: address
                .map(|address| is_service(address) && invoked_by.is_some_and(is_service)),
            allow_listed: None,
            federation,
        }
    }

    /// Holds the principal against the allow list. An address that is not known, or that is no address, is on no list.
    pub(super) fn check(&mut self, lists: &Lists, address_allowed: Option<bool>) {
        self.allow_listed = lists
            .allowed_principals
            .as_ref()
            .zip(self.principal_arn.as_deref())
            .map(|(globs, arn)| {
                globs.matches(arn)
                    && (lists.allowed_networks.is_none() || address_allowed == Some(true))
            });
    }
}

/// A role's session, as its ARN says it: `arn:aws:sts::111122223333:assumed-role/NAME/SESSION`.
struct Session<'a> {
    partition: &'a str,
    account: &'a str,
    role: &'a str,
    name: Option<&'a str>,
}

impl<'a> Session<'a> {
    fn parse(arn: &'a str) -> Option<Self> {
        let (partition, rest) = arn.strip_prefix("arn:")?.split_once(":sts::")?;
        let (account, rest) = rest.split_once(":assumed-role/")?;
        let (role, name) = match rest.split_once('/') {
            Some((role, name)) => (role, Some(name)),
            None => (rest, None),
        };
        (!role.is_empty()).then(|| Self {
            partition,
            account,
            role,
            name: name.filter(|name| !name.is_empty()),
        })
    }
}

/// The user's name in `arn:aws:sts::111122223333:federated-user/NAME`.
fn federated_user(arn: &str) -> Option<&str> {
    let (_, name) = arn.split_once(":federated-user/")?;
    (!name.is_empty()).then_some(name)
}

/// The role behind a session: as the issuer's ARN has it, else without the path, which a session's ARN does not say.
fn principal_arn<'a>(
    arn: Option<&'a str>,
    session: Option<&Session<'_>>,
    issuer: Option<&'a str>,
) -> Option<Cow<'a, str>> {
    let Some(session) = session else {
        return arn.map(Cow::Borrowed);
    };
    Some(issuer.map_or_else(
        || {
            Cow::Owned(format!(
                "arn:{}:iam::{}:role/{}",
                session.partition, session.account, session.role
            ))
        },
        Cow::Borrowed,
    ))
}

/// The permission set of a role that IAM Identity Center made: `AWSReservedSSO_NAME_` and sixteen hexadecimal digits.
fn permission_set(role: &str) -> Option<&str> {
    let (name, suffix) = role.strip_prefix("AWSReservedSSO_")?.rsplit_once('_')?;
    let is_suffix = suffix.len() == 16 && suffix.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_suffix && !name.is_empty()).then_some(name)
}

/// `MFAUsed`, with which a sign-in in the console says how it was done: `Yes` or `No`.
fn sign_in_mfa(record: &Record<'_>) -> Option<bool> {
    let used = record.at(&["additionalEventData", "MFAUsed"])?;
    match used.as_str() {
        Some(text) if text.eq_ignore_ascii_case("yes") => Some(true),
        Some(text) if text.eq_ignore_ascii_case("no") => Some(false),
        _ => truth(used),
    }
}

/// `mfaAuthenticated`, which is a string in most records and a boolean in some.
fn mfa(context: &Value) -> Option<bool> {
    truth(context.get("attributes")?.get("mfaAuthenticated")?)
}

/// Whether the session of a principal's id is named as EC2 names an instance's: `AROA…:i-0123456789abcdef0`.
fn is_instance_session(principal_id: &str) -> bool {
    principal_id.rsplit_once(":i-").is_some_and(|(_, id)| {
        (8..=17).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Whether the record says through which version of the metadata service an instance got its credentials.
fn has_role_delivery(context: &Value) -> bool {
    context
        .get("ec2RoleDelivery")
        .is_some_and(|version| !version.is_null())
}

/// Whether a text is the host name under which an AWS service calls.
pub(super) fn is_service(text: &str) -> bool {
    [".amazonaws.com", ".amazonaws.com.cn"]
        .iter()
        .any(|suffix| {
            text.strip_suffix(suffix)
                .is_some_and(|name| !name.is_empty())
        })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{with, with_lists};
    use super::*;
    use serde_json::json;

    #[test]
    fn an_actor_is_named_by_user_issuer_or_service() {
        let role = json!({"userIdentity": {
            "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci",
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/ops/deploy", "userName": "deploy"}},
        }});
        with(&role, |facts| {
            assert_eq!(facts.actor.name, Some("deploy"));
            assert_eq!(facts.actor.role, Some("deploy"));
            assert_eq!(facts.actor.session_name, Some("ci"));
            assert_eq!(
                facts.actor.session_issuer_arn,
                Some("arn:aws:iam::111122223333:role/ops/deploy")
            );
        });
        let service = json!({"userIdentity": {"type": "AWSService", "invokedBy": "cloudformation.amazonaws.com"}});
        with(&service, |facts| {
            assert_eq!(facts.actor.name, Some("cloudformation.amazonaws.com"));
        });
        for (identity, name, session) in [
            (
                json!({"type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/bob",
                    "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "broker"}}}),
                Some("bob"),
                Some("bob"),
            ),
            (
                json!({"type": "Root", "arn": "arn:aws:iam::111122223333:root"}),
                Some("root"),
                None,
            ),
            (
                json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "94482488-3041-7026", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7"}}),
                Some("94482488-3041-7026"),
                None,
            ),
            (
                json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/"}),
                None,
                None,
            ),
        ] {
            with(&json!({"userIdentity": identity}), |facts| {
                assert_eq!(facts.actor.name, name, "{identity}");
                assert_eq!(facts.actor.session_name, session, "{identity}");
            });
        }
    }

    #[test]
    fn the_principal_is_the_role_and_never_its_session() {
        let session =
            "arn:aws-cn:sts::111122223333:assumed-role/deploy/arn:aws:iam::111122223333:role/admin";
        for (identity, want) in [
            (
                json!({"arn": session, "sessionContext": {"sessionIssuer": {"arn": "arn:aws-cn:iam::111122223333:role/ops/deploy"}}}),
                Some("arn:aws-cn:iam::111122223333:role/ops/deploy"),
            ),
            (
                json!({"arn": session}),
                Some("arn:aws-cn:iam::111122223333:role/deploy"),
            ),
            (
                json!({"arn": "arn:aws:iam::111122223333:user/eve"}),
                Some("arn:aws:iam::111122223333:user/eve"),
            ),
            (
                json!({"arn": "arn:aws:iam::111122223333:root"}),
                Some("arn:aws:iam::111122223333:root"),
            ),
            (
                json!({"arn": "arn:aws:sts::111122223333:federated-user/eve", "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::111122223333:user/bot"}}}),
                Some("arn:aws:sts::111122223333:federated-user/eve"),
            ),
            (json!({"type": "AWSAccount", "accountId": "1"}), None),
        ] {
            with(&json!({"userIdentity": identity}), |facts| {
                assert_eq!(facts.actor.principal_arn.as_deref(), want, "{identity}");
            });
        }
    }

    #[test]
    fn keys_and_mfa_are_known_or_not_said() {
        for (identity, key, mfa) in [
            (
                json!({"accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
                Some(KeyLifetime::LongLived),
                None,
            ),
            (
                json!({"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}}),
                Some(KeyLifetime::Temporary),
                Some(false),
            ),
            (
                json!({"accessKeyId": "", "sessionContext": {"attributes": {"mfaAuthenticated": "True"}}}),
                None,
                Some(true),
            ),
            (
                json!({"sessionContext": {"attributes": {"mfaAuthenticated": true}}}),
                None,
                Some(true),
            ),
            (
                json!({"accessKeyId": "é", "sessionContext": {"attributes": {"mfaAuthenticated": "maybe"}}}),
                None,
                None,
            ),
            (
                json!({"accessKeyId": 7, "sessionContext": null}),
                None,
                None,
            ),
        ] {
            with(&json!({"userIdentity": identity}), |facts| {
                assert_eq!((facts.actor.key, facts.actor.mfa), (key, mfa), "{identity}");
            });
        }
    }

    #[test]
    fn instance_credentials_are_known_by_session_or_delivery() {
        for (identity, want) in [
            (
                json!({"principalId": "AROAEXAMPLE:i-0123456789abcdef0"}),
                Some(true),
            ),
            (json!({"principalId": "AROAEXAMPLE:i-01234567"}), Some(true)),
            (json!({"principalId": "AROAEXAMPLE:i-notes"}), Some(false)),
            (json!({"principalId": "AROAEXAMPLE:ci"}), Some(false)),
            (
                json!({"principalId": "AROAEXAMPLE:x", "sessionContext": {"ec2RoleDelivery": "2.0"}}),
                Some(true),
            ),
            (json!({"type": "IAMUser"}), Some(false)),
            (Value::Null, None),
            (json!({}), None),
        ] {
            with(&json!({"userIdentity": identity}), |facts| {
                assert_eq!(facts.actor.is_ec2_instance, want, "{identity}");
            });
        }
    }

    #[test]
    fn an_aws_service_names_itself_and_so_does_its_address() {
        let service = "cloudformation.amazonaws.com";
        for (invoked_by, address, want) in [
            (json!(service), json!(service), Some(true)),
            (
                json!("cloudformation.amazonaws.com.cn"),
                json!("cloudformation.amazonaws.com.cn"),
                Some(true),
            ),
            (json!(service), json!("198.51.100.7"), Some(false)),
            (Value::Null, json!(service), Some(false)),
            (json!("AWS Internal"), json!("AWS Internal"), Some(false)),
            (json!(".amazonaws.com"), json!(service), Some(false)),
            (json!(service), Value::Null, None),
        ] {
            let record = json!({"userIdentity": {"type": "AssumedRole", "invokedBy": invoked_by}, "sourceIPAddress": address});
            with(&record, |facts| {
                assert_eq!(facts.actor.is_aws_service, want, "{record}");
            });
        }
        with(&json!({"sourceIPAddress": service}), |facts| {
            assert_eq!(facts.actor.is_aws_service, None, "nobody is named");
        });
    }

    #[test]
    fn a_sign_in_says_itself_whether_mfa_was_used() {
        let session = json!({"attributes": {"mfaAuthenticated": "false"}});
        for (used, context, want) in [
            (json!("Yes"), json!(null), Some(true)),
            (json!("No"), json!(null), Some(false)),
            (json!("yes"), session.clone(), Some(true)),
            (json!(true), json!(null), Some(true)),
            (json!("maybe"), session.clone(), Some(false)),
            (json!(null), session, Some(false)),
            (json!(null), json!(null), None),
        ] {
            let record = json!({"eventName": "ConsoleLogin", "additionalEventData": {"MFAUsed": used},
                "userIdentity": {"type": "Root", "sessionContext": context}});
            with(&record, |facts| {
                assert_eq!(facts.actor.mfa, want, "{record}");
            });
        }
        let nobody = json!({"additionalEventData": {"MFAUsed": "No"}, "userIdentity": null});
        with(&nobody, |facts| assert_eq!(facts.actor.mfa, Some(false)));
    }

    #[test]
    fn permission_sets_are_read_from_the_names_that_identity_center_gives() {
        for (role, want) in [
            (
                "AWSReservedSSO_AdministratorAccess_0123456789abcdef",
                Some("AdministratorAccess"),
            ),
            (
                "AWSReservedSSO_Data_Team_0123456789abcdef",
                Some("Data_Team"),
            ),
            ("AWSReservedSSO_AdministratorAccess_0123", None),
            ("AWSReservedSSO__0123456789abcdef", None),
            ("deploy", None),
        ] {
            let record = json!({"userIdentity": {"type": "AssumedRole", "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/eve")}});
            with(&record, |facts| {
                assert_eq!(facts.actor.sso_permission_set, want, "{role}");
            });
        }
    }

    #[test]
    fn outsiders_are_told_from_the_accounts_own() {
        for (kind, want) in [
            (json!("AWSAccount"), Some(true)),
            (json!("FederatedUser"), Some(true)),
            (json!("SAMLUser"), Some(true)),
            (json!("WebIdentityUser"), Some(true)),
            (json!("AssumedRole"), Some(false)),
            (Value::Null, None),
        ] {
            with(
                &json!({"userIdentity": {"type": kind, "accountId": "1"}}),
                |facts| {
                    assert_eq!(facts.actor.is_external, want, "{kind}");
                },
            );
        }
    }

    #[test]
    fn an_allowed_principal_must_come_from_an_allowed_network_where_there_are_any() {
        let record = |address: Value| {
            json!({
                "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci"},
                "sourceIPAddress": address,
            })
        };
        let with_principals = "allow_list: {principals: ['arn:aws:iam::*:role/dep*']}";
        let with_both =
            "allow_list: {principals: ['arn:aws:iam::*:role/dep*'], networks: [192.0.2.0/24]}";
        for (settings, address, want) in [
            ("{}", json!("192.0.2.7"), None),
            (with_principals, json!("203.0.113.7"), Some(true)),
            (with_principals, Value::Null, Some(true)),
            (
                "allow_list: {principals: ['*:assumed-role/*']}",
                json!("192.0.2.7"),
                Some(false),
            ),
            (with_both, json!("192.0.2.7"), Some(true)),
            (with_both, json!("203.0.113.7"), Some(false)),
            (with_both, Value::Null, Some(false)),
            (
                with_both,
                json!("cloudformation.amazonaws.com"),
                Some(false),
            ),
        ] {
            with_lists(&record(address.clone()), settings, |facts| {
                assert_eq!(facts.actor.allow_listed, want, "{settings} {address}");
            });
        }
        with_lists(&json!({}), with_principals, |facts| {
            assert_eq!(facts.actor.allow_listed, None, "nobody is named");
        });
    }
}
