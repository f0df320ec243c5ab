//! Sites that know this or that of the world, and records of every kind of caller, in the shape of real ones.

use std::path::Path;

use serde_json::{Value, json};
use trailtag::config::Config;

/// The site of the examples: what it knows of the world.
#[derive(Clone, Copy, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "a site has each kind of list or has it not"
)]
pub(crate) struct Site {
    pub(crate) principals: bool,
    pub(crate) networks: bool,
    pub(crate) threats: bool,
    pub(crate) inventory: bool,
    pub(crate) aws: bool,
}

pub(crate) const PRINCIPALS: &str = "arn:aws:iam::*:role/deploy*";

impl Site {
    pub(crate) fn config(self, folder: &Path) -> Config {
        let mut config = Config::default();
        let detection = &mut config.detection;
        if self.principals {
            detection.allow_list.principals = vec![PRINCIPALS.to_owned()];
        }
        if self.networks {
            detection.allow_list.networks = vec!["198.51.100.0/24".to_owned()];
        }
        if self.threats {
            let path = folder.join("threats.txt");
            std::fs::write(&path, "# exits\n203.0.113.66\n").unwrap();
            detection.threat_networks_files = vec![path];
        }
        if self.aws {
            let path = folder.join("ip-ranges.json");
            let ranges = json!({
                "syncToken": "1767638941", "createDate": "2026-01-05-18-49-01",
                "prefixes": [
                    {"ip_prefix": "192.0.2.0/25", "region": "us-east-1", "service": "AMAZON", "network_border_group": "us-east-1"},
                    {"ip_prefix": "192.0.2.0/26", "region": "us-east-1", "service": "EC2", "network_border_group": "us-east-1"},
                ],
                "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:a::/48", "region": "us-east-1", "service": "EC2", "network_border_group": "us-east-1"}],
            });
            std::fs::write(&path, ranges.to_string()).unwrap();
            detection.aws_networks_file = path;
        }
        if self.inventory {
            let path = folder.join("in_use.csv");
            let lines = "instance_profile,account,running_instances\nweb,111122223333,3\nssm-agent,111122223333,40\nidle,111122223333,0\nfleet,111122223333,200\nfleet-50,111122223333,50\nfleet-49,111122223333,49\n";
            std::fs::write(&path, lines).unwrap();
            detection.profiles_in_use_file = path;
        }
        config
    }
}

/// A call that went through, with the AWS CLI, by an IAM user in a session opened with MFA.
pub(crate) fn record() -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": user_session("true"),
        "eventTime": "2026-01-05T18:49:01Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "RemoveRoleFromInstanceProfile",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 md/command#iam.remove-role-from-instance-profile",
        "requestParameters": {"instanceProfileName": "web", "roleName": "web-role"},
        "responseElements": null,
        "requestID": "0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f",
        "eventID": "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
    })
}

pub(crate) fn with(changes: &Value) -> Value {
    let mut record = record();
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

pub(crate) fn user_key() -> Value {
    json!({"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": "arn:aws:iam::111122223333:user/eve",
        "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "eve"})
}

pub(crate) fn user_session(mfa: &str) -> Value {
    let mut user = user_key();
    user["accessKeyId"] = json!("ASIAIOSFODNN7EXAMPLE");
    user["sessionContext"] =
        json!({"attributes": {"creationDate": "2026-01-05T18:00:00Z", "mfaAuthenticated": mfa}});
    user
}

pub(crate) fn role(name: &str, session: &str) -> Value {
    json!({"type": "AssumedRole", "principalId": format!("AROACKCEVSQ6C2EXAMPLE:{session}"),
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{name}/{session}"), "accountId": "111122223333",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROACKCEVSQ6C2EXAMPLE", "accountId": "111122223333",
                "arn": format!("arn:aws:iam::111122223333:role/{name}"), "userName": name},
            "attributes": {"creationDate": "2026-01-05T18:00:00Z", "mfaAuthenticated": "false"}}})
}

pub(crate) fn sso() -> Value {
    role(
        "AWSReservedSSO_PowerUser_0123456789abcdef",
        "eve@example.com",
    )
}

pub(crate) fn root(mfa: Option<&str>) -> Value {
    let mut root = json!({"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root",
        "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"});
    if let Some(mfa) = mfa {
        root["accessKeyId"] = json!("");
        root["sessionContext"] = json!({"attributes": {"creationDate": "2026-01-05T18:00:00Z", "mfaAuthenticated": mfa}});
    }
    root
}

/// A session of the root user that the organization's management account opened with `sts:AssumeRoot`.
pub(crate) fn assumed_root() -> Value {
    let mut root = root(Some("false"));
    root["accessKeyId"] = json!("ASIAIOSFODNN7EXAMPLE");
    root["sessionContext"]["assumedRoot"] = json!("true");
    root
}

/// A role that only Auto Scaling can assume.
pub(crate) fn linked_role() -> Value {
    let mut identity = role("AWSServiceRoleForAutoScaling", "AutoScaling");
    identity["sessionContext"]["sessionIssuer"]["arn"] = json!(
        "arn:aws:iam::111122223333:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"
    );
    identity
}

/// The credentials that an instance gets for its role.
pub(crate) fn instance() -> Value {
    let mut instance = role("web-role", "i-0123456789abcdef0");
    instance["sessionContext"]["ec2RoleDelivery"] = json!("2.0");
    instance
}

/// A call that a service makes for whoever drives it.
pub(crate) fn through(service: &str, mut identity: Value) -> Value {
    identity["invokedBy"] = json!(service);
    json!({"userIdentity": identity, "sourceIPAddress": service, "userAgent": service})
}

/// CloudFormation, in the name of whoever started it.
pub(crate) fn stack() -> Value {
    through("cloudformation.amazonaws.com", role("ops", "eve"))
}

pub(crate) const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.31.0";
pub(crate) const CLI: &str = "aws-cli/2.15.0";

pub(crate) fn denied(identity: &Value, agent: &str) -> Value {
    json!({"userIdentity": identity, "userAgent": agent, "requestParameters": null, "errorCode": "AccessDenied",
        "errorMessage": "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile web because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action"})
}

pub(crate) fn target(profile: &str, role: &str) -> Value {
    json!({"instanceProfileName": profile, "roleName": role})
}
