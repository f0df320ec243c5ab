//! Who made the call: `userIdentity`, in all of its variants.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::Value;

use super::federation::Federation;
use super::service::{acts_for_itself, is_of_aws};
use super::{says, text, text_in};
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
    /// Whether the call was made in a session of the root user that its organization opened (`sts:AssumeRoot`), and not
    /// with the root user's own password or key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_assumed_root: Option<bool>,
    /// Whether the user, role or permission set is on the list of those that are meant to be used rarely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_sensitive: Option<bool>,
    /// Whether an AWS service made the call by itself, and on nobody's behalf: the identity is a service's, and so is the
    /// address, which a caller cannot forge.
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
        let account = of("accountId");
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
            account,
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
            is_external: is_external(record, kind, account),
            is_assumed_root: Some(kind == Some("Root") && context.is_some_and(is_assumed_root)),
            is_sensitive: None,
            is_aws_service: address
                .zip(acts_for_itself(record))
                .map(|(address, itself)| itself && is_of_aws(address)),
            allow_listed: None,
            federation,
        }
    }

    /// Holds the principal against the lists. An address that is not known, or that is no address, is on no allow list.
    pub(super) fn check(&mut self, lists: &Lists, address_allowed: Option<bool>) {
        // The name of a session is none of these: whoever takes a role chooses it.
        let names = [self.name, self.role, self.sso_permission_set];
        self.is_sensitive = lists
            .sensitive_principals
            .as_ref()
            .filter(|_| names.iter().any(Option::is_some))
            .map(|globs| names.iter().flatten().any(|name| globs.matches(name)));
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

/// Whether an identity is of another account than the one whose trail this is, or of a federation.
fn is_external(record: &Record<'_>, kind: Option<&str>, account: Option<&str>) -> Option<bool> {
    if cross_account(record, account) == Some(true) {
        return Some(true);
    }
    kind.map(|kind| EXTERNAL.contains(&kind))
}

/// Whether the identity's account is not the one whose trail this is.
pub(super) fn cross_account(record: &Record<'_>, account: Option<&str>) -> Option<bool> {
    account
        .zip(text(record, &["recipientAccountId"]))
        .map(|(actors, trails)| actors != trails)
}

/// `assumedRoot`, with which a session says that `sts:AssumeRoot` opened it: a string, as `mfaAuthenticated` is.
fn is_assumed_root(context: &Value) -> bool {
    context.get("assumedRoot").and_then(truth) == Some(true)
}

#[cfg(test)]
mod tests;
