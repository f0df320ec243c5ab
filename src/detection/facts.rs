//! What follows from a record and is not in it as such: derived fields that conditions test under `trailtag.`, and
//! that documents carry.
//!
//! Unknown is never false: what a record does not say is left out, and listed under `insufficient`.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::cloudtrail::record::Record;

/// What collectors write over what they hide.
const PLACEHOLDERS: [&str; 3] = ["HIDDEN_DUE_TO_SECURITY_REASONS", "***", "ANONYMIZED"];

/// Error families that say "you may not".
const DENIED: [&str; 6] = [
    "accessdenied",
    "unauthorizedoperation",
    "unauthorized",
    "unauthorizedaccess",
    "authfailure",
    "notauthorized",
];

/// How the call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// No error.
    Success,
    /// The caller was not allowed to.
    Denied,
    /// Any other error.
    Failed,
}

impl Outcome {
    /// The name in documents and conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }

    /// The outcome by the error fields. Success is the absence of both; an empty string is absent; a message alone is
    /// a failure. A dry run that would have succeeded (`Client.DryRunOperation`) changed nothing, so it is a failure.
    #[must_use]
    pub fn of(code: Option<&str>, message: Option<&str>) -> Self {
        match (
            code.filter(|it| !it.is_empty()),
            message.filter(|it| !it.is_empty()),
        ) {
            (None, None) => Self::Success,
            (Some(code), _) if DENIED.contains(&family(code).as_str()) => Self::Denied,
            _ => Self::Failed,
        }
    }
}

/// The family of an error code: CloudTrail writes the exception's name more often than the code on the wire, and EC2
/// puts the side at fault before it.
#[must_use]
pub fn family(code: &str) -> String {
    let code = code.to_ascii_lowercase();
    let code = code
        .strip_prefix("client.")
        .or_else(|| code.strip_prefix("server."))
        .unwrap_or(&code);
    code.strip_suffix("exception").unwrap_or(code).to_owned()
}

/// Who did it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Actor {
    /// `userIdentity.type`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The name: of the user, or of the role that was assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `userIdentity.arn`; for an assumed role that of the session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// The principal that policies name: the role behind a session, else the same as `arn`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_arn: Option<String>,
    /// `userIdentity.principalId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal_id: Option<String>,
    /// The account of the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The access key's id, which is no secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key_id: Option<String>,
    /// The service that called for the identity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invoked_by: Option<String>,
    /// `sourceIPAddress`: an address, or a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// `userAgent`; anybody can write anything into it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Target {
    /// The instance profile's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_profile: Option<String>,
    /// The role's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// `aws`, `aws-us-gov`, `aws-cn`, …
    pub partition: String,
    /// `awsRegion`: for IAM the one where its events are recorded, not the instances'.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// Everything that was derived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// How it ended.
    pub outcome: Outcome,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub target: Target,
    /// What the record does not say, by name, sorted.
    pub insufficient: Vec<&'static str>,
}

impl Facts {
    /// Derives everything from one record.
    #[must_use]
    pub fn of(record: &Record<'_>) -> Self {
        let mut insufficient = Vec::new();
        let error_message = record.text(&["errorMessage"]);
        let outcome = Outcome::of(record.text(&["errorCode"]), error_message);
        let actor = actor(record);
        if actor.kind.is_none() && actor.arn.is_none() && actor.invoked_by.is_none() {
            insufficient.push("user_identity");
        }
        let parameter = |name| known(record.text(&["requestParameters", name]));
        let instance_profile = parameter("instanceProfileName")
            .or_else(|| profile_in_message(error_message?).map(str::to_owned));
        let role = parameter("roleName");
        if parameter("instanceProfileName").is_none() || role.is_none() {
            insufficient.push("request_parameters");
        }
        if known(record.text(&["eventID"])).is_none() {
            insufficient.push("event_id");
        }
        insufficient.sort_unstable();
        let region = known(record.text(&["awsRegion"]));
        let target = Target {
            instance_profile,
            role,
            account: known(record.text(&["recipientAccountId"])).or_else(|| actor.account.clone()),
            partition: partition(actor.arn.as_deref(), region.as_deref()).to_owned(),
            region,
        };
        Self {
            outcome,
            actor,
            target,
            insufficient,
        }
    }

    /// The record with the facts under `trailtag.`, as conditions see it. A field of that name in the record is
    /// covered; documents carry the record itself, untouched.
    #[must_use]
    pub fn over(&self, record: &Value) -> Value {
        let mut event = record.as_object().cloned().unwrap_or_default();
        let mut facts = Map::new();
        facts.insert("outcome".to_owned(), self.outcome.as_str().into());
        for (name, value) in [
            ("actor", serde_json::to_value(&self.actor)),
            ("target", serde_json::to_value(&self.target)),
        ] {
            // Structs of strings serialise.
            facts.insert(name.to_owned(), value.unwrap_or_default());
        }
        facts.insert("insufficient".to_owned(), self.insufficient.clone().into());
        event.insert("trailtag".to_owned(), Value::Object(facts));
        Value::Object(event)
    }
}

/// A value that is there, and not written over.
fn known(value: Option<&str>) -> Option<String> {
    value
        .filter(|it| !it.is_empty() && !PLACEHOLDERS.contains(it))
        .map(str::to_owned)
}

fn actor(record: &Record<'_>) -> Actor {
    let text = |path: &[&str]| {
        let path: Vec<_> = std::iter::once("userIdentity")
            .chain(path.iter().copied())
            .collect();
        known(record.text(&path))
    };
    let arn = text(&["arn"]);
    let issuer = text(&["sessionContext", "sessionIssuer", "arn"]);
    Actor {
        kind: text(&["type"]),
        name: text(&["userName"])
            .or_else(|| text(&["sessionContext", "sessionIssuer", "userName"])),
        principal_arn: issuer.or_else(|| arn.clone()),
        arn,
        principal_id: text(&["principalId"]),
        account: text(&["accountId"]),
        access_key_id: text(&["accessKeyId"]),
        invoked_by: text(&["invokedBy"]),
        source: known(record.text(&["sourceIPAddress"])),
        user_agent: known(record.text(&["userAgent"])),
    }
}

/// The instance profile that an "access denied" message names, in either of its forms: by name, or by ARN.
#[must_use]
pub fn profile_in_message(message: &str) -> Option<&str> {
    let is_name =
        |character: char| character.is_ascii_alphanumeric() || "_+=,.@-".contains(character);
    let (_, resource) = message.split_once("on resource: ")?;
    let resource = if let Some(name) = resource.strip_prefix("instance profile ") {
        name
    } else {
        let arn = resource.split_whitespace().next()?;
        let (head, path) = arn.split_once(":instance-profile/")?;
        head.starts_with("arn:").then_some(())?;
        // A path may stand before the name.
        path.rsplit('/').next()?
    };
    let end = resource
        .find(|character| !is_name(character))
        .unwrap_or(resource.len());
    resource
        .get(..end)
        .filter(|name| !name.is_empty() && name.len() <= 128)
}

/// The AWS partition: as an ARN says, else as the region's name does.
#[must_use]
pub fn partition<'a>(arn: Option<&'a str>, region: Option<&str>) -> &'a str {
    let from_arn = arn
        .and_then(|arn| arn.strip_prefix("arn:"))
        .and_then(|rest| rest.split(':').next());
    if let Some(partition) = from_arn.filter(|partition| partition.starts_with("aws")) {
        return partition;
    }
    let region = region.unwrap_or_default();
    [
        ("us-gov-", "aws-us-gov"),
        ("cn-", "aws-cn"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("us-iso-", "aws-iso"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ]
    .into_iter()
    .find(|(prefix, _)| region.starts_with(prefix))
    .map_or("aws", |(_, partition)| partition)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_go_by_family() {
        for (code, message, expected) in [
            (None, None, Outcome::Success),
            (Some(""), None, Outcome::Success),
            (Some(""), Some(""), Outcome::Success),
            (None, Some("it broke"), Outcome::Failed),
            (Some("AccessDenied"), None, Outcome::Denied),
            (Some("AccessDeniedException"), None, Outcome::Denied),
            (Some("Client.UnauthorizedOperation"), None, Outcome::Denied),
            (Some("UNAUTHORIZEDOPERATION"), None, Outcome::Denied),
            (Some("NoSuchEntityException"), None, Outcome::Failed),
            (Some("NoSuchEntity"), None, Outcome::Failed),
            (Some("Client.DryRunOperation"), None, Outcome::Failed),
            (Some("Server.InternalError"), None, Outcome::Failed),
            (
                Some("ThrottlingException"),
                Some("Rate exceeded"),
                Outcome::Failed,
            ),
        ] {
            assert_eq!(Outcome::of(code, message), expected, "{code:?} {message:?}");
        }
        assert_eq!(
            family("Client.InvalidParameterValue"),
            "invalidparametervalue"
        );
        assert_eq!(family("NoSuchEntityException"), family("NoSuchEntity"));
    }

    #[test]
    fn the_profile_is_found_in_both_forms_of_the_message() {
        let by_name = "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: \
            iam:RemoveRoleFromInstanceProfile on resource: instance profile web-1 because no identity-based policy allows it";
        assert_eq!(profile_in_message(by_name), Some("web-1"));
        let explicit = "… on resource: instance profile a+b=c,d.e@f-g_h with an explicit deny in a service control policy";
        assert_eq!(profile_in_message(explicit), Some("a+b=c,d.e@f-g_h"));
        let by_arn = "… on resource: arn:aws-us-gov:iam::111122223333:instance-profile/apps/team/web-2 because …";
        assert_eq!(profile_in_message(by_arn), Some("web-2"));
        for none in [
            "",
            "Rate exceeded",
            "on resource: role x because",
            "on resource: instance profile  because",
        ] {
            assert_eq!(profile_in_message(none), None, "{none}");
        }
    }

    #[test]
    fn the_partition_is_the_arns_and_else_the_regions() {
        assert_eq!(
            partition(Some("arn:aws-us-gov:iam::1:user/x"), Some("us-east-1")),
            "aws-us-gov"
        );
        assert_eq!(partition(None, Some("cn-north-1")), "aws-cn");
        assert_eq!(partition(None, Some("us-isob-east-1")), "aws-iso-b");
        assert_eq!(
            partition(Some("nonsense"), Some("us-gov-west-1")),
            "aws-us-gov"
        );
        assert_eq!(partition(None, None), "aws");
    }
}
