//! AWS services as callers: those that act by themselves, and those that act on somebody's behalf.
//!
//! A service calls under its host name, as `invokedBy` and `sourceIPAddress` say; a caller can forge neither. It acts by
//! itself where the identity is its own. Everywhere else it does what somebody made it do, such as a document of Systems
//! Manager or a stack of CloudFormation, and that somebody is the actor.

use super::{says, text, text_in};
use crate::cloudtrail::record::Record;

/// The service that called, where `invokedBy` names one and the address is a service's too.
pub(super) fn calling_service<'a>(
    record: &'a Record<'_>,
    address: Option<&str>,
) -> Option<&'a str> {
    text(record, &["userIdentity", "invokedBy"])
        .filter(|service| is_service(service) && address.is_some_and(is_service))
}

/// Whether the identity is a service's own: AWS's, or a service-linked role, which only the service can assume. None where
/// nobody is named.
pub(super) fn acts_for_itself(record: &Record<'_>) -> Option<bool> {
    let identity = record.at(&["userIdentity"]).filter(|it| says(Some(it)))?;
    let issuer = ["userIdentity", "sessionContext", "sessionIssuer", "arn"];
    let arn = text_in(identity, "arn").unwrap_or_default();
    let is_linked = text(record, &issuer)
        .is_some_and(|arn| arn.contains(":role/aws-service-role/"))
        // The ARN of a session has the role's name without its path.
        || (arn.contains(":assumed-role/AWSServiceRoleFor")
            && text_in(identity, "invokedBy").is_some_and(is_service));
    Some(is_linked || text_in(identity, "type") == Some("AWSService"))
}

/// Whether an address is a service's, or what stands for AWS where the service is not said.
pub(super) fn is_of_aws(address: &str) -> bool {
    is_service(address) || address == "AWS Internal"
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
    use serde_json::{Value, json};

    fn linked(path: &str) -> Value {
        json!({"type": "AssumedRole", "invokedBy": "autoscaling.amazonaws.com",
            "arn": "arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForAutoScaling/AutoScaling",
            "sessionContext": {"sessionIssuer": {
                "arn": format!("arn:aws:iam::111122223333:role/{path}AWSServiceRoleForAutoScaling")}}})
    }

    #[test]
    fn a_service_that_acts_by_itself_is_told_from_one_that_acts_for_somebody() {
        let service = "autoscaling.amazonaws.com";
        let aws = json!({"type": "AWSService", "invokedBy": service});
        let somebody = json!({"type": "AssumedRole", "invokedBy": service,
            "arn": "arn:aws:sts::111122223333:assumed-role/ops/AWSServiceRoleForAutoScaling"});
        let mut not_invoked = linked("");
        not_invoked["invokedBy"] = Value::Null;
        for (identity, address, itself, via) in [
            (aws.clone(), json!(service), Some(true), None),
            (aws.clone(), json!("AWS Internal"), Some(true), None),
            (aws.clone(), json!("198.51.100.7"), Some(false), None),
            (aws, Value::Null, None, None),
            (
                linked("aws-service-role/autoscaling.amazonaws.com/"),
                json!(service),
                Some(true),
                None,
            ),
            (linked(""), json!(service), Some(true), None),
            (not_invoked, json!(service), Some(false), None),
            (somebody.clone(), json!(service), Some(false), Some(service)),
            (somebody.clone(), json!("198.51.100.7"), Some(false), None),
            (somebody, Value::Null, None, None),
            (
                json!({"type": "IAMUser", "invokedBy": "AWS Internal"}),
                json!("AWS Internal"),
                Some(false),
                None,
            ),
            (
                json!({"type": "IAMUser", "invokedBy": ".amazonaws.com"}),
                json!(service),
                Some(false),
                None,
            ),
            (Value::Null, json!(service), None, None),
        ] {
            let record = json!({"userIdentity": identity, "sourceIPAddress": address});
            with(&record, |facts| {
                assert_eq!(facts.actor.is_aws_service, itself, "{record}");
                assert_eq!(facts.client.via_service, via, "{record}");
            });
        }
    }

    #[test]
    fn services_that_provision_are_listed_by_name_or_host() {
        let record = |service: &str| json!({"userIdentity": {"type": "IAMUser", "invokedBy": service}, "sourceIPAddress": service});
        for (settings, service, want) in [
            ("{}", "cloudformation.amazonaws.com", true),
            ("{}", "cloudformation.amazonaws.com.cn", true),
            ("{}", "CloudFormation.amazonaws.com", true),
            ("{}", "cloudcontrolapi.amazonaws.com", true),
            ("{}", "servicecatalog.amazonaws.com", true),
            ("{}", "elasticbeanstalk.amazonaws.com", true),
            ("{}", "servicecatalog-appregistry.amazonaws.com", false),
            ("{}", "ssm.amazonaws.com", false),
            ("{}", "states.amazonaws.com", false),
            (
                "provisioning_services: [ssm.amazonaws.com]",
                "ssm.amazonaws.com",
                true,
            ),
            (
                "provisioning_services: [ssm]",
                "cloudformation.amazonaws.com",
                false,
            ),
            (
                "provisioning_services: []",
                "cloudformation.amazonaws.com",
                false,
            ),
        ] {
            with_lists(&record(service), settings, |facts| {
                let is = facts.client.kinds.contains(&"provisioning_service");
                assert_eq!(is, want, "{settings} {service}");
                assert_eq!(facts.client.via_service, Some(service));
            });
        }
    }
}
