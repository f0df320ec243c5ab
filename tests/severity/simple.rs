//! The model again, as plainly as it can be said: from the record alone, with no facts, no YAML and no Sigma.

use serde_json::{Value, json};

use super::records::Site;

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

fn has_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Whether one of the words stands in the text with no letter at its sides.
fn has_word(text: &str, words: &[&str]) -> bool {
    let text = text.to_lowercase();
    let letters = text.split(|next: char| !next.is_ascii_alphabetic());
    letters.into_iter().any(|found| words.contains(&found))
}

fn is_service(text: &str) -> bool {
    text.ends_with(".amazonaws.com")
}

/// The factors by name and points, the score, and which limit decided.
#[allow(clippy::too_many_lines, reason = "plain beats short here")]
pub(crate) fn score(site: Site, record: &Value) -> (Vec<(String, i64)>, i64) {
    let mut factors: Vec<(&str, i64)> = Vec::new();
    let mut floors = vec![0];
    let kind = text(record, "/userIdentity/type");
    let key = text(record, "/userIdentity/accessKeyId");
    let mfa = text(
        record,
        "/userIdentity/sessionContext/attributes/mfaAuthenticated",
    );
    let agent = text(record, "/userAgent");
    let address = text(record, "/sourceIPAddress");
    let invoked_by = text(record, "/userIdentity/invokedBy");
    let profile = text(record, "/requestParameters/instanceProfileName");
    let role_name = text(record, "/requestParameters/roleName");
    let code = text(record, "/errorCode");
    let is_denied = code.starts_with("AccessDenied") || code.ends_with("UnauthorizedOperation");
    let is_success = code.is_empty();

    let called_by_service = is_service(invoked_by) && is_service(address);
    let arn = text(record, "/userIdentity/arn");
    let is_own = kind == "AWSService" || arn.contains(":assumed-role/AWSServiceRoleFor");
    let account = text(record, "/userIdentity/accountId");
    let recipient = text(record, "/recipientAccountId");
    let is_cross = !account.is_empty() && !recipient.is_empty() && account != recipient;

    factors.push(match (is_success, is_denied) {
        (true, _) => ("outcome.success", 35),
        (_, true) => ("outcome.denied", 25),
        _ => ("outcome.failed_other", 10),
    });
    if kind == "Root" {
        factors.push(("actor.root", if is_denied { 20 } else { 40 }));
        floors.push(if is_denied { 40 } else { 65 });
        if mfa != "true" && record["userIdentity"]["sessionContext"]["assumedRoot"] != "true" {
            factors.push(("actor.root_no_mfa", 15));
        }
    }
    if kind == "IAMUser" && key.starts_with("AKIA") {
        factors.push(("actor.long_lived_key", 10));
    }
    if kind == "IAMUser" && mfa == "false" {
        factors.push(("actor.no_mfa", 15));
    }
    let is_instance = text(record, "/userIdentity/principalId").contains(":i-0");
    if is_instance {
        factors.push(("actor.ec2_instance_credentials", 25));
    }
    if arn.contains("role/break-glass") || text(record, "/userIdentity/userName") == "firecall-1" {
        factors.push(("actor.sensitive_principal", 30));
    }
    if is_cross || ["AWSAccount", "FederatedUser", "WebIdentityUser", "SAMLUser"].contains(&kind) {
        factors.push(("actor.external_identity", 10));
    }
    if is_cross {
        factors.push(("actor.cross_account", 20));
    }
    let is_cloudshell = has_any(agent, &["exec-env/cloudshell"]);
    let is_console = record["sessionCredentialFromConsole"] == json!("true")
        || has_any(agent, &["signin.amazonaws.com", "console.amazonaws.com"]);
    // Of the user agents that are tried, `parrot` alone is a word of one that is no attack tool.
    let is_tool = has_word(agent, &["pacu", "kali"]) || has_any(agent, &["1parrot1"]);
    if is_cloudshell {
        factors.push(("client.cloudshell", 10));
    }
    if is_console && !is_cloudshell && is_success && ["IAMUser", "AssumedRole"].contains(&kind) {
        factors.push(("client.console", 5));
    }
    if is_tool {
        factors.push(("client.attack_tool", 30));
        floors.push(if is_success { 65 } else { 40 });
    }
    let is_threat = site.threats && address == "203.0.113.66";
    let is_allowed_address = address.starts_with("198.51.100.");
    if is_threat {
        factors.push(("network.threat_listed", 30));
        floors.push(65);
    }
    let has_endpoint = !text(record, "/vpcEndpointId").is_empty();
    let is_address = address.parse::<std::net::IpAddr>().is_ok();
    if site.networks && is_address && !is_allowed_address && !is_threat {
        factors.push(("network.not_allow_listed", 15));
    }
    if site.aws && is_instance && !has_endpoint && is_address && (is_success || is_denied) {
        let is_private = address.starts_with("10.");
        let is_in_aws = address.starts_with("192.0.2.") || address.starts_with("2001:db8:a:");
        if !is_private && !is_in_aws {
            factors.push(("network.outside_aws", 25));
            floors.push(if is_success { 65 } else { 40 });
        }
    }
    let is_privileged =
        has_any(role_name, &["admin", "accountaccess"]) || has_word(role_name, &["root", "deploy"]);
    if is_success && is_privileged {
        factors.push(("target.privileged_role", 10));
    }
    let is_tooling = |name| {
        has_word(name, &["ssm"])
            || has_any(
                name,
                &[
                    "falcon",
                    "backup",
                    "deepsecurity",
                    "datadog",
                    "elastic-agent",
                ],
            )
    };
    if is_success && (is_tooling(role_name) || is_tooling(profile)) {
        factors.push(("target.security_tooling", 15));
    }
    let trail = if recipient.is_empty() {
        account
    } else {
        recipient
    };
    if is_success
        && site.inventory
        && trail == "111122223333"
        && ["web", "ssm-agent", "fleet", "fleet-50", "fleet-49"].contains(&profile)
    {
        factors.push(("target.in_use", 15));
        if ["fleet", "fleet-50"].contains(&profile) {
            factors.push(("target.in_use_widely", 15));
        }
    }
    if !record["userIdentity"].is_object() {
        factors.push(("insufficient.user_identity", 0));
    }
    if profile.is_empty() || role_name.is_empty() {
        factors.push(("insufficient.request_parameters", 0));
    }
    let is_of_aws = is_service(address) || address == "AWS Internal";
    if is_own && is_of_aws {
        factors.push(("actor.aws_service", -25));
    }
    let provisioning = ["cloudformation.", "elasticbeanstalk."];
    if !is_own && called_by_service && provisioning.iter().any(|it| invoked_by.starts_with(it)) {
        factors.push(("client.provisioning_service", -25));
    }
    let unknown_address_of_service = is_service(invoked_by) && address.is_empty();
    let iac = [
        "terraform",
        "pulumi",
        "cloudformation",
        "aws-cdk",
        "crossplane",
        "opentofu",
        "hashicorp",
        "eksctl",
        "ansible",
        "karpenter.sh-",
        "aws.cluster.x-k8s.io/",
    ];
    if has_any(agent, &iac) && !is_tool && !called_by_service && !unknown_address_of_service {
        factors.push(("client.iac_user_agent", -10));
    }
    let issuer = text(record, "/userIdentity/sessionContext/sessionIssuer/arn");
    let principal = if issuer.is_empty() {
        text(record, "/userIdentity/arn")
    } else {
        issuer
    };
    if site.principals
        && principal.contains(":role/deploy")
        && (!site.networks || is_allowed_address)
    {
        factors.push(("actor.allow_listed", -20));
    }
    let sum: i64 = factors.iter().map(|(_, points)| points).sum();
    let score = sum.clamp(0, 100).max(floors.into_iter().max().unwrap_or(0));
    (
        factors
            .into_iter()
            .map(|(id, points)| (id.to_owned(), points))
            .collect(),
        score,
    )
}
