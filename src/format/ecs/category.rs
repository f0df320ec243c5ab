//! `event.category` and `event.type`: the call's names in, words of ECS out.
//!
//! Searches and rules that are written for Elastic's AWS integration look for its words, so a call that it lists has those
//! (`delete`, which ECS does not have, is `deletion`). It gives no category to others, and the type `info`: here the names of
//! those say more. `denied` comes on top, whatever the call.

use crate::model::Outcome;

/// What is known of a call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// `eventSource`.
    pub(super) provider: Option<&'a str>,
    /// `eventName`.
    pub(super) action: Option<&'a str>,
    /// `eventType`.
    pub(super) kind: Option<&'a str>,
    pub(super) read_only: Option<bool>,
    pub(super) outcome: Outcome,
}

/// The values of `event.category` and `event.type`.
type Words = (&'static [&'static str], &'static [&'static str]);

impl Call<'_> {
    /// The categories, and the types, of which there is at least one.
    pub(super) fn words(self) -> (&'static [&'static str], Vec<&'static str>) {
        let (category, types) = self
            .action
            .and_then(listed)
            .or_else(|| self.is_sign_in().then_some(AUTHENTICATION))
            .unwrap_or_else(|| (self.category(), &[]));
        let mut types = if types.is_empty() {
            vec![self.does()]
        } else {
            types.to_vec()
        };
        if self.outcome == Outcome::Denied {
            types.push("denied");
        }
        (category, types)
    }

    /// Whether somebody signs in, or gets credentials: in the console, of STS, or of IAM Identity Center.
    fn is_sign_in(self) -> bool {
        let in_portal = || {
            matches!(
                self.action,
                Some("Authenticate" | "Federate" | "Logout" | "GetRoleCredentials")
            )
        };
        match self.provider {
            Some("signin.amazonaws.com" | "sts.amazonaws.com" | "sso-oauth.amazonaws.com") => true,
            Some("sso.amazonaws.com") if in_portal() => true,
            _ => self.kind == Some("AwsConsoleSignIn"),
        }
    }

    /// What a call that is not listed is about: EC2's calls about instance profiles are about IAM as much as IAM's own.
    fn category(self) -> &'static [&'static str] {
        let is_iam = self.provider == Some("iam.amazonaws.com")
            || self
                .action
                .is_some_and(|action| action.contains("InstanceProfile"));
        if is_iam { &["iam"] } else { &[] }
    }

    fn does(self) -> &'static str {
        let begins = |word| self.action.is_some_and(|action| action.starts_with(word));
        // Old records do not say whether they only read.
        let reads = || ["Describe", "Get", "List"].into_iter().any(begins);
        if self.read_only.unwrap_or_else(reads) {
            "info"
        } else if begins("Create") {
            "creation"
        } else if begins("Delete") {
            "deletion"
        } else {
            "change"
        }
    }
}

const AUTHENTICATION: Words = (&["authentication"], &["info"]);

/// The words of a call that Elastic's integration lists by its name alone. Where it has no type, there is none here.
fn listed(action: &str) -> Option<Words> {
    Some(match action {
        "AssumeRole" | "ConsoleLogin" | "GetCallerIdentity" => AUTHENTICATION,
        "CreateUser" => (&["iam"], &["user", "creation"]),
        "DeleteUser" => (&["iam"], &["user", "deletion"]),
        "AttachUserPolicy"
        | "ChangePassword"
        | "CreateAccessKey"
        | "CreateVirtualMFADevice"
        | "DeactivateMFADevice"
        | "DeleteAccessKey"
        | "DeleteSSHPublicKey"
        | "DeleteUserPermissionsBoundary"
        | "DeleteUserPolicy"
        | "DeleteVirtualMFADevice"
        | "DetachUserPolicy"
        | "EnableMFADevice"
        | "PutUserPermissionsBoundary"
        | "PutUserPolicy"
        | "TagUser"
        | "UntagUser"
        | "UpdateAccessKey"
        | "UpdateLoginProfile"
        | "UpdateSSHPublicKey"
        | "UpdateUser" => (&["iam"], &["user", "change"]),
        "GetUser"
        | "GetUserPolicy"
        | "ListAttachedUserPolicies"
        | "ListGroupsForUser"
        | "ListUserPolicies"
        | "ListUserTags"
        | "ListUsers" => (&["iam"], &["user", "info"]),
        "CreateGroup" => (&["iam"], &["group", "creation"]),
        "DeleteGroup" => (&["iam"], &["group", "deletion"]),
        "AddUserToGroup"
        | "AttachGroupPolicy"
        | "DeleteGroupPolicy"
        | "DetachGroupPolicy"
        | "PutGroupPolicy"
        | "RemoveUserFromGroup"
        | "UpdateGroup" => (&["iam"], &["group", "change"]),
        "GetGroup"
        | "GetGroupPolicy"
        | "ListAttachedGroupPolicies"
        | "ListGroupPolicies"
        | "ListGroups" => (&["iam"], &["group", "info"]),
        "CreateKeyPair" => (&["iam"], &["admin", "creation"]),
        "SetDefaultPolicyVersion"
        | "SetSecurityTokenServicePreferences"
        | "UpdateAccountPasswordPolicy"
        | "UpdateRole" => (&["iam"], &["admin", "change"]),
        "AttachRolePolicy" => (&["iam"], &["change"]),
        "CreatePolicy" => (&["iam"], &["creation"]),
        "GetPolicy" | "ListAttachedRolePolicies" | "ListRoles" => (&["iam"], &["info"]),
        _ => return listed_elsewhere(action),
    })
}

/// The same of calls that have nothing to do with identities.
fn listed_elsewhere(action: &str) -> Option<Words> {
    Some(match action {
        "CreateBucket" | "CreateDocument" => (&["file"], &["creation"]),
        "DeleteBucket" | "DeleteObject" => (&["file"], &["deletion"]),
        "GetObject" | "HeadObject" | "ListBuckets" | "ListObjects" => (&["file"], &["info"]),
        "PutObject" => (&["file"], &["change"]),
        "CreateTopic" => (&["configuration"], &["creation"]),
        "DeleteTrail" => (&["configuration"], &["deletion"]),
        "DescribeTrails" => (&["configuration"], &["info"]),
        "Subscribe" => (&["configuration"], &["change"]),
        "DescribeDBInstances" | "ListTables" => (&["database"], &["info"]),
        "DescribeInstances" | "DescribeVolumes" | "ListInstanceAssociations" => {
            (&["host"], &["info"])
        }
        "AuthorizeSecurityGroupIngress" => (&["network"], &["access"]),
        "DescribeLoadBalancers"
        | "DescribeNetworkAcls"
        | "DescribeNetworkInterfaces"
        | "DescribeSecurityGroups"
        | "DescribeVpcs" => (&["network"], &["info"]),
        "CreateControlChannel"
        | "CreateDataChannel"
        | "OpenControlChannel"
        | "OpenDataChannel"
        | "StartSession" => (&["session"], &["start"]),
        "TerminateSession" => (&["session"], &["end"]),
        "ListFunctions" => (&["package"], &["info"]),
        "SendCommand" => (&["process"], &[]),
        "DescribeRegions" => (&["api"], &["info"]),
        "Converse" | "Publish" => (&["api"], &[]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(
        provider: &str,
        action: &str,
        read_only: Option<bool>,
        outcome: Outcome,
    ) -> (Vec<&'static str>, Vec<&'static str>) {
        let (category, types) = Call {
            provider: Some(provider),
            action: Some(action),
            kind: None,
            read_only,
            outcome,
        }
        .words();
        (category.to_vec(), types)
    }

    #[test]
    fn types_say_what_a_call_does_and_whether_it_was_denied() {
        for (call, read_only, outcome, want) in [
            (
                "RemoveRoleFromInstanceProfile",
                Some(false),
                Outcome::Success,
                &["change"][..],
            ),
            (
                "RemoveRoleFromInstanceProfile",
                None,
                Outcome::Denied,
                &["change", "denied"],
            ),
            (
                "CreateInstanceProfile",
                None,
                Outcome::Failed,
                &["creation"],
            ),
            (
                "DeleteInstanceProfile",
                Some(false),
                Outcome::Success,
                &["deletion"],
            ),
            ("GetInstanceProfile", None, Outcome::Success, &["info"]),
            (
                "LookupEvents",
                Some(true),
                Outcome::Denied,
                &["info", "denied"],
            ),
        ] {
            let (_, types) = words("iam.amazonaws.com", call, read_only, outcome);
            assert_eq!(types, want, "{call}");
        }
    }

    #[test]
    fn calls_have_the_words_of_elastics_integration() {
        for (provider, call, category, types) in [
            (
                "signin",
                "ConsoleLogin",
                &["authentication"][..],
                &["info"][..],
            ),
            ("signin", "SwitchRole", &["authentication"], &["info"]),
            ("signin", "ExitRole", &["authentication"], &["info"]),
            ("signin", "CheckMfa", &["authentication"], &["info"]),
            ("sso", "Authenticate", &["authentication"], &["info"]),
            ("sso", "Federate", &["authentication"], &["info"]),
            ("sso", "CreatePermissionSet", &[], &["creation"]),
            ("sts", "AssumeRole", &["authentication"], &["info"]),
            ("sts", "AssumeRoleWithSAML", &["authentication"], &["info"]),
            (
                "sts",
                "AssumeRoleWithWebIdentity",
                &["authentication"],
                &["info"],
            ),
            ("sts", "GetSessionToken", &["authentication"], &["info"]),
            ("sts", "GetFederationToken", &["authentication"], &["info"]),
            ("sts", "AssumeRoot", &["authentication"], &["info"]),
            ("iam", "CreateUser", &["iam"], &["user", "creation"]),
            ("iam", "DeleteUser", &["iam"], &["user", "deletion"]),
            ("iam", "UpdateLoginProfile", &["iam"], &["user", "change"]),
            ("iam", "AttachUserPolicy", &["iam"], &["user", "change"]),
            ("iam", "CreateGroup", &["iam"], &["group", "creation"]),
            ("iam", "AddUserToGroup", &["iam"], &["group", "change"]),
            ("iam", "ListGroups", &["iam"], &["group", "info"]),
            ("iam", "UpdateRole", &["iam"], &["admin", "change"]),
            ("iam", "PutRolePolicy", &["iam"], &["change"]),
            ("iam", "CreateLoginProfile", &["iam"], &["creation"]),
            ("ec2", "AssociateIamInstanceProfile", &["iam"], &["change"]),
            ("ec2", "RunInstances", &[], &["change"]),
            ("s3", "DeleteObject", &["file"], &["deletion"]),
            ("ssm", "StartSession", &["session"], &["start"]),
            ("ssm", "SendCommand", &["process"], &["change"]),
        ] {
            let provider = format!("{provider}.amazonaws.com");
            let want = (category.to_vec(), types.to_vec());
            assert_eq!(
                words(&provider, call, None, Outcome::Success),
                want,
                "{call}"
            );
        }
        let denied = words("sts.amazonaws.com", "AssumeRole", None, Outcome::Denied);
        assert_eq!(denied, (vec!["authentication"], vec!["info", "denied"]));
    }

    #[test]
    fn a_sign_in_is_told_by_its_type_too() {
        let call = Call {
            provider: None,
            action: None,
            kind: Some("AwsConsoleSignIn"),
            read_only: None,
            outcome: Outcome::Failed,
        };
        assert_eq!(call.words(), (&["authentication"][..], vec!["info"]));
        let nothing = Call { kind: None, ..call };
        assert_eq!(nothing.words(), (&[][..], vec!["change"]));
    }
}
