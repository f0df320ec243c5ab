//! What the call was made with and from where: `userAgent`, `sourceIPAddress`, and what the session says of the console.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::Value;

use super::service::{acts_for_itself, calling_service, is_service};
use super::text;
use crate::cloudtrail::record::{Record, truth};
use crate::detection::lists::Lists;

/// What the call was made with, and from where.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Client<'a> {
    /// What the program is, as far as it says so itself: `attack_tool`, `iac`, `cloudshell`, `console`; all but the
    /// console's mark in the session can be forged. And `provisioning_service`, which cannot: the call came through one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<&'static str>,
    /// The AWS service that made the call on the actor's behalf: `invokedBy` names it, and the address is a service's too,
    /// which a caller cannot forge, but can bring about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub via_service: Option<&'a str>,
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
    /// Whether the address is a public one that is none of AWS's; none where AWS's networks are not known, where it is
    /// no public address, and where the call came through a VPC endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outside_aws: Option<bool>,
}

impl<'a> Client<'a> {
    pub(super) fn from_record(record: &'a Record<'_>, lists: &Lists) -> Self {
        let address = text(record, &["sourceIPAddress"]);
        let ip: Option<IpAddr> = address.and_then(|address| address.parse().ok());
        let via_service =
            calling_service(record, address).filter(|_| acts_for_itself(record) != Some(true));
        Self {
            kinds: kinds(record, via_service, lists),
            via_service,
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
            outside_aws: lists
                .aws_networks
                .as_ref()
                .zip(ip)
                .filter(|(_, ip)| is_public(*ip) && !has_endpoint(record))
                .map(|(networks, ip)| !networks.contains(ip)),
        }
    }
}

/// Whether the internet knows an address of this kind. Those that are kept for documentation count as public ones.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            // Shared by the customers of a carrier (RFC 6598), of nobody (class E), and of this host (RFC 1122).
            let special =
                (first == 100 && (64..128).contains(&second)) || first >= 240 || first == 0;
            !(special
                || v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast())
        }
        IpAddr::V6(v6) => {
            !(v6.is_unspecified()
                || v6.is_loopback()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast())
        }
    }
}

/// Whether the call came through a VPC endpoint; where the endpoint is masked, it did.
fn has_endpoint(record: &Record<'_>) -> bool {
    match record.at(&["vpcEndpointId"]) {
        None | Some(Value::Null) => false,
        Some(Value::String(id)) => !id.trim().is_empty(),
        Some(_) => true,
    }
}

/// An attack tool is never also counted as infrastructure as code, nor is an AWS service; CloudShell is a console, but a
/// kind of its own.
fn kinds(record: &Record<'_>, via_service: Option<&str>, lists: &Lists) -> Vec<&'static str> {
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
    if via_service.is_some_and(|host| is_provisioning(host, lists)) {
        kinds.push("provisioning_service");
    }
    kinds
}

/// Whether a service is listed, by the first part of its host name or by all of it.
fn is_provisioning(host: &str, lists: &Lists) -> bool {
    let name = host.split('.').next().unwrap_or(host);
    let services = lists.provisioning_services.as_ref();
    services.is_some_and(|services| services.matches(name) || services.matches(host))
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
            (json!(service), json!(service), vec!["provisioning_service"]),
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
    fn a_public_address_is_outside_aws_or_inside_and_no_other_is_either() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ip-ranges.json");
        let ranges = json!({"prefixes": [{"ip_prefix": "198.51.100.0/24"}], "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:a::/48"}]});
        std::fs::write(&path, ranges.to_string()).unwrap();
        let settings = format!("aws_networks_file: '{}'", path.display());
        for (address, endpoint, want) in [
            (json!("203.0.113.7"), Value::Null, Some(true)),
            (json!("198.51.100.7"), Value::Null, Some(false)),
            (json!("::ffff:198.51.100.7"), Value::Null, Some(false)),
            (json!("2001:db8:b::7"), Value::Null, Some(true)),
            (json!("2001:db8:a::7"), Value::Null, Some(false)),
            (json!("203.0.113.7"), json!(""), Some(true)),
            (json!("203.0.113.7"), json!("vpce-0123456789abcdef0"), None),
            (json!("203.0.113.7"), json!("***"), None),
            (json!("10.0.0.7"), Value::Null, None),
            (json!("172.16.0.7"), Value::Null, None),
            (json!("172.32.0.7"), Value::Null, Some(true)),
            (json!("192.168.0.7"), Value::Null, None),
            (json!("::ffff:10.0.0.7"), Value::Null, None),
            (json!("100.64.0.7"), Value::Null, None),
            (json!("100.128.0.7"), Value::Null, Some(true)),
            (json!("127.0.0.1"), Value::Null, None),
            (json!("169.254.169.254"), Value::Null, None),
            (json!("0.0.0.0"), Value::Null, None),
            (json!("240.0.0.1"), Value::Null, None),
            (json!("fd00:ec2::254"), Value::Null, None),
            (json!("fe80::1"), Value::Null, None),
            (json!("::1"), Value::Null, None),
            (json!("AWS Internal"), Value::Null, None),
            (json!("ssm.amazonaws.com"), Value::Null, None),
            (Value::Null, Value::Null, None),
        ] {
            let record = json!({"sourceIPAddress": address, "vpcEndpointId": endpoint});
            with_lists(&record, &settings, |facts| {
                assert_eq!(facts.client.outside_aws, want, "{record}");
            });
        }
        with(&json!({"sourceIPAddress": "203.0.113.7"}), |facts| {
            assert_eq!(facts.client.outside_aws, None, "no file");
        });
    }

    #[test]
    fn a_name_in_a_user_agent_counts_and_its_letters_do_not() {
        for (agent, want) in [
            ("my-kalibrate-agent/1.0", vec![]),
            ("parrot-ai-sdk/2.3", vec![]),
            ("Boto3/1.9 Linux/5.10.0-kali7-amd64", vec!["attack_tool"]),
            ("Boto3/1.9 Linux/6.1.0-1parrot1-amd64", vec!["attack_tool"]),
            ("aws-cli/2.17 md/distrib#kali.2024", vec!["attack_tool"]),
            (
                "Scout Suite/5.12 (+https://github.com/nccgroup/ScoutSuite)",
                vec!["attack_tool"],
            ),
            (
                "aws-sdk-go-v2/1.36.3 os/linux lang/go#1.24 karpenter.sh-1.4.0",
                vec!["iac"],
            ),
            ("aws-sdk-go/1.44 karpenter.sh-v0.27.0", vec!["iac"]),
            (
                "aws-sdk-go-v2/1.36.3 lang/go#1.24 aws.cluster.x-k8s.io/v2.8.1",
                vec!["iac"],
            ),
            ("aws-sdk-go-v2/1.36.3 app/kops", vec!["iac"]),
            ("not-karpenter/1.0 devkops/2", vec![]),
        ] {
            with_lists(&json!({"userAgent": agent}), "{}", |facts| {
                assert_eq!(facts.client.kinds, want, "{agent}");
            });
        }
        let settings = "attack_tool_user_agents: ['*tool*', '!*toolkit*', pacu, '!pacu-lab']";
        for (agent, want) in [
            ("tool/1", vec!["attack_tool"]),
            ("aws-toolkit/1", vec![]),
            ("pacu/1", vec!["attack_tool"]),
        ] {
            with_lists(&json!({"userAgent": agent}), settings, |facts| {
                assert_eq!(facts.client.kinds, want, "{agent}");
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
