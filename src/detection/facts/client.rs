//! What the call was made with and from where: `userAgent`, `sourceIPAddress`, and what the session says of the console.

use std::net::IpAddr;

use serde::Serialize;

use super::actor::is_service;
use super::text;
use crate::cloudtrail::record::{Record, truth};
use crate::detection::lists::Lists;

/// What the call was made with, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Client<'a> {
    /// What the program is, as far as it says so itself: `attack_tool`, `iac`, `cloudshell`, `console`. All but the
    /// console's mark in the session can be forged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<&'static str>,
    /// `sourceIPAddress`: an address, or the service that called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<&'a str>,
    /// The address, where it is one.
    #[serde(skip)]
    pub ip: Option<IpAddr>,
    /// Whether the address is on the allow list; none where there is no list, or no address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_listed: Option<bool>,
    /// Whether the address is on a list of threats; none where there is no list, or no address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threat_listed: Option<bool>,
}

impl<'a> Client<'a> {
    pub(super) fn from_record(record: &'a Record<'_>, lists: &Lists) -> Self {
        let address = text(record, &["sourceIPAddress"]);
        let ip: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        Self {
            kinds: kinds(record, lists),
            address,
            ip,
            allow_listed: lists
                .allowed_networks
                .as_ref()
                .zip(ip)
                .map(|(networks, ip)| networks.contains(ip)),
            threat_listed: lists
                .threat_networks
                .as_ref()
                .zip(ip)
                .map(|(networks, ip)| networks.contains(ip)),
        }
    }
}

/// An attack tool is never also counted as infrastructure as code, nor is an AWS service; CloudShell is a console, but a
/// kind of its own.
fn kinds(record: &Record<'_>, lists: &Lists) -> Vec<&'static str> {
    let agent = text(record, &["userAgent"]).unwrap_or_default();
    let program = lists.user_agents.kinds(agent);
    let mut kinds = Vec::new();
    if program.attack_tool {
        kinds.push("attack_tool");
    } else if program.iac && !is_called_by_service(record) {
        kinds.push("iac");
    }
    if program.cloudshell {
        kinds.push("cloudshell");
    } else if program.console || has_console_credentials(record) {
        kinds.push("console");
    }
    kinds
}

/// Whether a service stands behind the call, as far as the record can say: what it masks speaks for neither.
fn is_called_by_service(record: &Record<'_>) -> bool {
    text(record, &["userIdentity", "invokedBy"]).is_some_and(is_service)
        && text(record, &["sourceIPAddress"]).is_none_or(is_service)
}

fn has_console_credentials(record: &Record<'_>) -> bool {
    record.at(&["sessionCredentialFromConsole"]).and_then(truth) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{with, with_lists};
    use serde_json::{Value, json};

    #[test]
    fn programs_are_known_by_their_user_agent_and_session() {
        for (record, want) in [
            (
                json!({"userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.1.2"}),
                vec!["iac"],
            ),
            (json!({"userAgent": "OpenTofu/1.6"}), vec!["iac"]),
            (json!({"userAgent": "aws-cli/2.15.0"}), vec![]),
            (
                json!({"userAgent": "Boto3/1.9 Linux/5.10-kali7"}),
                vec!["attack_tool"],
            ),
            (
                json!({"userAgent": "Pacu Terraform/1.1"}),
                vec!["attack_tool"],
            ),
            (
                json!({"userAgent": "aws-cli/2.15 exec-env/CloudShell", "sessionCredentialFromConsole": "true"}),
                vec!["cloudshell"],
            ),
            (
                json!({"userAgent": "Terraform/1.5 exec-env/CloudShell"}),
                vec!["iac", "cloudshell"],
            ),
            (
                json!({"userAgent": "Mozilla/5.0", "sessionCredentialFromConsole": "true"}),
                vec!["console"],
            ),
            (
                json!({"userAgent": "Mozilla/5.0", "sessionCredentialFromConsole": true}),
                vec!["console"],
            ),
            (
                json!({"userAgent": "Mozilla/5.0", "sessionCredentialFromConsole": "false"}),
                vec![],
            ),
            (
                json!({"userAgent": "signin.amazonaws.com"}),
                vec!["console"],
            ),
            (
                json!({"userAgent": "console.amazonaws.com"}),
                vec!["console"],
            ),
            (json!({"userAgent": null}), vec![]),
            (json!({}), vec![]),
        ] {
            with_lists(&record, "{}", |facts| {
                assert_eq!(facts.client.kinds, want, "{record}");
            });
        }
    }

    #[test]
    fn a_service_is_not_infrastructure_as_code() {
        let service = "cloudformation.amazonaws.com";
        for (invoked_by, address, want) in [
            (json!(service), json!(service), vec![]),
            (json!(service), Value::Null, vec![]),
            (Value::Null, json!("198.51.100.7"), vec!["iac"]),
            (json!(service), json!("198.51.100.7"), vec!["iac"]),
        ] {
            let record = json!({"userIdentity": {"invokedBy": invoked_by}, "sourceIPAddress": address, "userAgent": service});
            with_lists(&record, "{}", |facts| {
                assert_eq!(facts.client.kinds, want, "{record}");
            });
        }
    }

    #[test]
    fn an_address_is_held_against_the_lists_and_a_service_is_not() {
        let settings = "allow_list: {networks: [192.0.2.0/24, '2001:db8::/32']}";
        for (address, want) in [
            (json!("192.0.2.7"), Some(true)),
            (json!("203.0.113.7"), Some(false)),
            (json!("2001:db8::7"), Some(true)),
            (json!("AWS Internal"), None),
            (json!("iam.amazonaws.com"), None),
            (json!("***"), None),
            (Value::Null, None),
        ] {
            with_lists(&json!({"sourceIPAddress": address}), settings, |facts| {
                assert_eq!(facts.client.allow_listed, want, "{address}");
                assert_eq!(facts.client.threat_listed, None);
            });
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tor.txt");
        std::fs::write(&path, "203.0.113.7\n").unwrap();
        let settings = format!("threat_networks_files: ['{}']", path.display());
        for (address, want) in [
            ("203.0.113.7", Some(true)),
            ("192.0.2.7", Some(false)),
            ("AWS Internal", None),
        ] {
            with_lists(&json!({"sourceIPAddress": address}), &settings, |facts| {
                assert_eq!(facts.client.threat_listed, want, "{address}");
                assert_eq!(facts.client.allow_listed, None);
            });
        }
        with(&json!({"sourceIPAddress": "203.0.113.7"}), |facts| {
            assert_eq!(
                (facts.client.allow_listed, facts.client.threat_listed),
                (None, None)
            );
        });
    }
}
