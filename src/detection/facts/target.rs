//! What the call was about: the instance profile, the role in it, and where both live.

use serde::Serialize;
use serde_json::Value;

use super::actor::Actor;
use super::{is_iam_name, is_placeholder, text};
use crate::cloudtrail::record::Record;
use crate::detection::lists::Lists;

/// What the call was about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
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
    /// Whether the role's name is one of those that grant much.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privileged_role: Option<bool>,
    /// Whether the role's or the profile's name is one that security agents work with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub security_tooling: Option<bool>,
    /// How many running instances use the profile, where the inventory lists it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running_instances: Option<u64>,
    /// Which instances use the profile now, as far as the inventory names them: the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub instance_ids: Vec<&'a str>,
    /// How many more the inventory names.
    #[serde(skip_serializing_if = "is_zero")]
    pub more_instances: u64,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes every field by reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl<'a> Target<'a> {
    pub(super) fn from_record(record: &'a Record<'_>, actor: &Actor<'a>, lists: &'a Lists) -> Self {
        let region = text(record, &["awsRegion"]);
        let instance_profile = text(record, &["requestParameters", "instanceProfileName"])
            .or_else(|| profile_of_association(record.at(&["requestParameters"])?))
            .or_else(|| profile_in_error(record.text(&["errorMessage"])?));
        let role = text(record, &["requestParameters", "roleName"]);
        let account = text(record, &["recipientAccountId"]).or(actor.account);
        let used = lists
            .profiles_in_use
            .as_ref()
            .zip(instance_profile)
            .and_then(|(in_use, profile)| in_use.of(profile, account));
        let (running_instances, instance_ids, more_instances) = used
            .map_or((None, Vec::new(), 0), |used| {
                (Some(used.running), used.ids, used.more)
            });
        Self {
            instance_profile,
            role,
            account,
            partition: actor
                .arn
                .and_then(partition_of_arn)
                .unwrap_or_else(|| partition_of_region(region.unwrap_or_default())),
            region,
            privileged_role: lists
                .privileged_roles
                .as_ref()
                .zip(role)
                .map(|(globs, role)| globs.matches(role)),
            security_tooling: lists.security_tooling.as_ref().and_then(|globs| {
                // One name that matches settles it; that none does is known only of both.
                match (role, instance_profile) {
                    (Some(role), Some(profile)) => {
                        Some(globs.matches(role) || globs.matches(profile))
                    }
                    (Some(name), None) | (None, Some(name)) => globs.matches(name).then_some(true),
                    (None, None) => None,
                }
            }),
            running_instances,
            instance_ids,
            more_instances,
        }
    }
}

/// The profile that EC2's calls are about, by its name or as the end of its ARN. The newer calls wrap their request in an
/// object of their own name, and write its keys with a capital letter.
fn profile_of_association(request: &Value) -> Option<&str> {
    let wrapped = || {
        [
            "AssociateIamInstanceProfileRequest",
            "ReplaceIamInstanceProfileAssociationRequest",
        ]
        .iter()
        .find_map(|name| request.get(name)?.get("IamInstanceProfile"))
    };
    let profile = request.get("iamInstanceProfile").or_else(wrapped)?;
    let said = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| profile.get(name)?.as_str())
            .filter(|text| !is_placeholder(text))
    };
    said(["name", "Name"]).or_else(|| said(["arn", "Arn"])?.rsplit('/').next())
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

#[cfg(test)]
mod tests {
    use super::super::tests::{with, with_lists};
    use serde_json::{Value, json};

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
    fn the_profile_of_ec2s_calls_is_found_wrapped_or_plain_by_name_or_arn() {
        let arn = "arn:aws:iam::111122223333:instance-profile/app/web";
        for request in [
            json!({"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Name": "web"}, "InstanceId": "i-0123456789abcdef0"}}),
            json!({"AssociateIamInstanceProfileRequest": {"IamInstanceProfile": {"Arn": arn}}}),
            json!({"ReplaceIamInstanceProfileAssociationRequest": {"IamInstanceProfile": {"Name": "web"}, "AssociationId": "iip-assoc-1"}}),
            json!({"iamInstanceProfile": {"name": "web"}}),
            json!({"iamInstanceProfile": {"arn": arn}}),
        ] {
            with(&json!({"requestParameters": request}), |facts| {
                assert_eq!(facts.target.instance_profile, Some("web"), "{request}");
            });
        }
    }

    #[test]
    fn names_are_held_against_the_lists_and_the_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in_use.csv");
        std::fs::write(
            &path,
            "instance_profile,account,running_instances\nssm-agent,111122223333,40\n",
        )
        .unwrap();
        let settings = format!("profiles_in_use_file: '{}'", path.display());
        for (profile, role, privileged, tooling, running) in [
            (
                json!("web"),
                json!("web-role"),
                Some(false),
                Some(false),
                None,
            ),
            (
                json!("web"),
                json!("OrgAdmin"),
                Some(true),
                Some(false),
                None,
            ),
            (
                json!("ssm-agent"),
                json!("agent-role"),
                Some(false),
                Some(true),
                Some(40),
            ),
            (
                json!("web"),
                json!("falcon-sensor"),
                Some(false),
                Some(true),
                None,
            ),
            (json!("ssm-agent"), Value::Null, None, Some(true), Some(40)),
            (json!("web"), Value::Null, None, None, None),
            (Value::Null, Value::Null, None, None, None),
        ] {
            let record = json!({"recipientAccountId": "111122223333", "requestParameters": {"instanceProfileName": profile, "roleName": role}});
            with_lists(&record, &settings, |facts| {
                let target = &facts.target;
                assert_eq!(
                    (
                        target.privileged_role,
                        target.security_tooling,
                        target.running_instances
                    ),
                    (privileged, tooling, running),
                    "{record}"
                );
            });
        }
        let none = "{privileged_roles: [], security_tooling: []}";
        with_lists(
            &json!({"requestParameters": {"instanceProfileName": "ssm", "roleName": "admin"}}),
            none,
            |facts| {
                assert_eq!(
                    (facts.target.privileged_role, facts.target.security_tooling),
                    (None, None)
                );
            },
        );
    }

    #[test]
    fn a_name_of_a_role_counts_and_its_letters_do_not() {
        for (role, privileged, tooling) in [
            ("rootless", false, false),
            ("root-access", true, false),
            ("OrgRootRole", true, false),
            ("deployment-test", false, false),
            ("CodeDeployServiceRole", true, false),
            ("DeepSecurityAgent", false, true),
            ("deep-security-agent", false, true),
            ("platform-security-role", true, false),
            ("SecurityAudit", true, false),
            ("OrganizationAccountAccessRole", true, false),
            ("AWSControlTowerExecution", true, false),
            ("stacksets-exec-0123456789abcdef", true, false),
            ("AmazonSSMManagedInstanceCore", false, true),
            ("assessment", false, false),
            ("datadog-agent", false, true),
            ("QualysScanner", false, true),
            ("lacework-agentless", false, true),
            ("SysdigAgent", false, true),
            ("falco", false, true),
            ("CarbonBlackCloud", false, true),
            ("carbon-black", false, true),
            ("carbon-footprint-blackbox", false, false),
            ("splunk-forwarder", false, true),
            ("ElasticAgent", false, true),
            ("elastic-agent", false, true),
            ("elastic-beanstalk", false, false),
        ] {
            let record =
                json!({"requestParameters": {"instanceProfileName": "web", "roleName": role}});
            with_lists(&record, "{}", |facts| {
                assert_eq!(
                    (facts.target.privileged_role, facts.target.security_tooling),
                    (Some(privileged), Some(tooling)),
                    "{role}"
                );
            });
        }
    }
}
