//! The names of a record's fields, and what those are called that people write in their place.
//!
//! A name goes in as somebody wrote it; the name of the field that was probably meant comes out, or none where the name
//! may be right. What CloudTrail writes below `requestParameters`, `responseElements` and the like is the services' own,
//! and any name at the top may be one that a collector added: neither is guessed at. It never looks at a record.
//!
//! Sources: "CloudTrail record contents" and "CloudTrail userIdentity element" in the user guide of CloudTrail, ECS 8.11
//! and the fields of Elastic's AWS integration, OCSF's mapping of CloudTrail, and the names in Splunk's and Microsoft's
//! connectors.

/// Fields that hold fields of known names, by the way to them; the first is the record itself.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "eventVersion",
            "userIdentity",
            "eventTime",
            "eventSource",
            "eventName",
            "awsRegion",
            "sourceIPAddress",
            "userAgent",
            "errorCode",
            "errorMessage",
            "requestParameters",
            "responseElements",
            "additionalEventData",
            "requestID",
            "eventID",
            "eventType",
            "apiVersion",
            "managementEvent",
            "readOnly",
            "resources",
            "recipientAccountId",
            "serviceEventDetails",
            "sharedEventID",
            "vpcEndpointId",
            "vpcEndpointAccountId",
            "eventCategory",
            "addendum",
            "sessionCredentialFromConsole",
            "eventContext",
            "edgeDeviceDetails",
            "tlsDetails",
            "insightDetails",
        ],
    ),
    (
        "userIdentity",
        &[
            "type",
            "userName",
            "principalId",
            "arn",
            "accountId",
            "accessKeyId",
            "sessionContext",
            "invokedBy",
            "identityProvider",
            "credentialId",
            "onBehalfOf",
            "inScopeOf",
        ],
    ),
    (
        "userIdentity.sessionContext",
        &[
            "sessionIssuer",
            "webIdFederationData",
            "attributes",
            "ec2RoleDelivery",
            "sourceIdentity",
            "assumedRoot",
        ],
    ),
    (
        "userIdentity.sessionContext.sessionIssuer",
        &["type", "userName", "principalId", "arn", "accountId"],
    ),
    (
        "userIdentity.sessionContext.attributes",
        &["creationDate", "mfaAuthenticated"],
    ),
    (
        "userIdentity.sessionContext.webIdFederationData",
        &["federatedProvider", "attributes"],
    ),
    ("userIdentity.onBehalfOf", &["userId", "identityStoreArn"]),
    (
        "userIdentity.inScopeOf",
        &[
            "sourceArn",
            "sourceAccount",
            "issuerType",
            "credentialsIssuedTo",
        ],
    ),
    (
        "tlsDetails",
        &["tlsVersion", "cipherSuite", "clientProvidedHostHeader"],
    ),
    ("resources", &["ARN", "ARNPrefix", "accountId", "type"]),
    (
        "addendum",
        &[
            "reason",
            "updatedFields",
            "originalRequestID",
            "originalEventID",
        ],
    ),
    ("eventContext", &["requestContext", "tagContext"]),
];

/// Names of other schemas, in lower case, and CloudTrail's; the way to a field stands for the fields in it too.
const FOREIGN: &[(&str, &str)] = &[
    // ECS, and Elastic's AWS integration where its names are more than CloudTrail's in other letters.
    ("@timestamp", "eventTime"),
    ("event.action", "eventName"),
    ("event.provider", "eventSource"),
    ("event.id", "eventID"),
    ("event.created", "eventTime"),
    ("event.outcome", "errorCode"),
    ("event.reason", "errorMessage"),
    ("error.code", "errorCode"),
    ("error.message", "errorMessage"),
    ("source.ip", "sourceIPAddress"),
    ("source.address", "sourceIPAddress"),
    ("source.domain", "sourceIPAddress"),
    ("client.ip", "sourceIPAddress"),
    ("related.ip", "sourceIPAddress"),
    ("user_agent", "userAgent"),
    ("cloud.region", "awsRegion"),
    ("cloud.account.id", "recipientAccountId"),
    ("user.name", "userIdentity.userName"),
    ("user.id", "userIdentity.principalId"),
    ("user.email", "userIdentity.userName"),
    ("user.target.name", "requestParameters.userName"),
    ("user.changes.name", "requestParameters.newUserName"),
    ("group.name", "requestParameters.groupName"),
    ("related.user", "userIdentity.userName"),
    ("tls.version", "tlsDetails.tlsVersion"),
    ("tls.cipher", "tlsDetails.cipherSuite"),
    (
        "tls.client.server_name",
        "tlsDetails.clientProvidedHostHeader",
    ),
    ("aws.cloudtrail.additional_eventdata", "additionalEventData"),
    (
        "aws.cloudtrail.flattened.additional_eventdata",
        "additionalEventData",
    ),
    (
        "aws.cloudtrail.flattened.request_parameters",
        "requestParameters",
    ),
    (
        "aws.cloudtrail.flattened.response_elements",
        "responseElements",
    ),
    (
        "aws.cloudtrail.flattened.service_event_details",
        "serviceEventDetails",
    ),
    (
        "aws.cloudtrail.console_login.additional_eventdata.mfa_used",
        "additionalEventData.MFAUsed",
    ),
    (
        "aws.cloudtrail.console_login.additional_eventdata.login_to",
        "additionalEventData.LoginTo",
    ),
    (
        "aws.cloudtrail.console_login.additional_eventdata.mobile_version",
        "additionalEventData.MobileVersion",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
    ),
    (
        "aws.cloudtrail.user_identity.session_context.creation_date",
        "userIdentity.sessionContext.attributes.creationDate",
    ),
    // OCSF.
    ("api.operation", "eventName"),
    ("api.service.name", "eventSource"),
    ("api.version", "apiVersion"),
    ("api.request.uid", "requestID"),
    ("api.request.data", "requestParameters"),
    ("api.response.data", "responseElements"),
    ("api.response.error", "errorCode"),
    ("api.response.error_message", "errorMessage"),
    ("api.response.message", "errorMessage"),
    ("src_endpoint.ip", "sourceIPAddress"),
    ("src_endpoint.domain", "sourceIPAddress"),
    ("src_endpoint.uid", "vpcEndpointId"),
    ("http_request.user_agent", "userAgent"),
    ("cloud.account.uid", "recipientAccountId"),
    ("actor.user.name", "userIdentity.userName"),
    ("actor.user.type", "userIdentity.type"),
    ("actor.user.uid", "userIdentity.arn"),
    ("actor.user.uid_alt", "userIdentity.principalId"),
    ("actor.user.account.uid", "userIdentity.accountId"),
    ("actor.user.credential_uid", "userIdentity.accessKeyId"),
    ("actor.invoked_by", "userIdentity.invokedBy"),
    ("actor.idp.name", "userIdentity.identityProvider"),
    (
        "actor.session.is_mfa",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
    ),
    (
        "actor.session.created_time",
        "userIdentity.sessionContext.attributes.creationDate",
    ),
    (
        "actor.session.issuer",
        "userIdentity.sessionContext.sessionIssuer.arn",
    ),
    ("metadata.uid", "eventID"),
    ("metadata.event_code", "eventType"),
    ("metadata.product.version", "eventVersion"),
    ("resources.uid", "resources.ARN"),
    // Splunk's CIM, and its add-on for AWS.
    ("src", "sourceIPAddress"),
    ("src_ip", "sourceIPAddress"),
    ("user_name", "userIdentity.userName"),
    ("user_arn", "userIdentity.arn"),
    ("user_access_key", "userIdentity.accessKeyId"),
    ("http_user_agent", "userAgent"),
    ("aws_account_id", "recipientAccountId"),
    ("vendor_account", "recipientAccountId"),
    ("vendor_region", "awsRegion"),
    // Microsoft Sentinel's table AWSCloudTrail.
    ("timegenerated", "eventTime"),
    ("awseventid", "eventID"),
    ("awsrequestid", "requestID"),
    ("eventtypename", "eventType"),
    (
        "sessionmfaauthenticated",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
    ),
    (
        "sessioncreationdate",
        "userIdentity.sessionContext.attributes.creationDate",
    ),
    (
        "sessionissuertype",
        "userIdentity.sessionContext.sessionIssuer.type",
    ),
    (
        "sessionissuerusername",
        "userIdentity.sessionContext.sessionIssuer.userName",
    ),
    (
        "sessionissuerarn",
        "userIdentity.sessionContext.sessionIssuer.arn",
    ),
    (
        "sessionissuerprincipalid",
        "userIdentity.sessionContext.sessionIssuer.principalId",
    ),
    (
        "sessionissueraccountid",
        "userIdentity.sessionContext.sessionIssuer.accountId",
    ),
    // What stands in a field of the record, written without the way to it.
    (
        "mfaauthenticated",
        "userIdentity.sessionContext.attributes.mfaAuthenticated",
    ),
    ("sessionissuer", "userIdentity.sessionContext.sessionIssuer"),
    ("mfaused", "additionalEventData.MFAUsed"),
    ("consolelogin", "responseElements.ConsoleLogin"),
    ("rolename", "requestParameters.roleName"),
];

/// Those of CloudTrail's fields in the list above that hold others, whose names are the same elsewhere.
const WITH_PARTS: &[&str] = &[
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "userIdentity.sessionContext.sessionIssuer",
];

/// What stands around a record on its way, before the names of its fields.
const AROUND: &[&str] = &[
    "@",
    "data.aws.",
    "aws.cloudtrail.",
    "aws.",
    "cloudtrail.",
    "detail.",
    "records[].",
    "records[*].",
    "records.",
    "event.",
    "_source.",
    "responsepayload.",
];

/// Beginnings of names that no record has, and whose they are. Only ones that no collector adds to a record by itself.
const OTHERS: &[(&str, &str)] = &[
    ("event.", "ECS"),
    ("aws.cloudtrail.", "Elastic's AWS integration"),
    ("cloud.", "ECS and OCSF"),
    ("source.", "ECS"),
    ("user.", "ECS"),
    ("related.", "ECS"),
    ("api.", "OCSF"),
    ("actor.", "OCSF"),
    ("src_endpoint.", "OCSF"),
    ("http_request.", "OCSF"),
    ("dst_endpoint.", "OCSF"),
];

/// How like a name at the top must be to another to be taken for a slip of the keyboard.
const LIKE: f64 = 0.85;

/// What is doubtful about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is called so in CloudTrail.
    Called(String),
    /// It is a name of this schema, and CloudTrail has no field for it.
    Of(&'static str),
}

/// What is doubtful about the name of a field, if anything is.
pub(crate) fn doubt(field: &str) -> Option<Doubt> {
    let lower = field.to_ascii_lowercase();
    // Other schemas have names below a field of the record too, such as `resources.uid`.
    let foreign = foreign(field, &lower);
    if let (None, Known::As(name)) = (&foreign, canonical(field)) {
        return (name != field).then_some(Doubt::Called(name));
    }
    let around = || {
        AROUND.iter().find_map(|around| {
            let rest = lower.strip_prefix(around)?;
            let rest = field.get(field.len() - rest.len()..)?;
            match canonical(rest) {
                Known::As(name) => Some(name),
                Known::Not => None,
            }
        })
    };
    let called = foreign
        .or_else(around)
        .or_else(|| run_together(field))
        .or_else(|| without_the_way(field))
        .or_else(|| slip(field));
    called.map(Doubt::Called).or_else(|| {
        let (_, schema) = OTHERS
            .iter()
            .find(|(beginning, _)| lower.starts_with(beginning))?;
        Some(Doubt::Of(schema))
    })
}

/// Whether a record may have a field of this name at the top: one of CloudTrail's own.
pub(crate) fn is_ours(field: &str) -> bool {
    let first = segments(field).next().unwrap_or_default();
    children("").contains(&first)
}

enum Known {
    /// The name as CloudTrail writes it.
    As(String),
    /// Its first part is no field of a record.
    Not,
}

/// The parts of a name, without selectors of members of a list.
fn segments(field: &str) -> impl Iterator<Item = &str> {
    field
        .split('.')
        .map(|part| part.split('[').next().unwrap_or(part))
}

fn children(of: &str) -> &'static [&'static str] {
    KNOWN
        .iter()
        .find(|(way, _)| *way == of)
        .map_or(&[], |(_, names)| names)
}

/// Letters alone: `source_ip_address` is `sourceIPAddress`.
fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The same name in CloudTrail's letters, as far as its parts are known.
fn canonical(field: &str) -> Known {
    let mut way = String::new();
    let mut name = String::new();
    for (at, part) in field.split('.').enumerate() {
        let (bare, selector) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        let known = children(&way);
        let same = known.iter().find(|known| **known == bare).or_else(|| {
            let bare = letters(bare);
            known.iter().find(|known| letters(known) == bare)
        });
        if at == 0 && same.is_none() {
            return Known::Not;
        }
        let part = same.copied().unwrap_or(bare);
        for text in [&mut way, &mut name] {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
        name.push_str(selector);
    }
    Known::As(name)
}

/// The name of another schema, or of a field in it.
fn foreign(field: &str, lower: &str) -> Option<String> {
    FOREIGN.iter().find_map(|(theirs, ours)| {
        let rest = lower.strip_prefix(theirs)?;
        if rest.is_empty() {
            return Some((*ours).to_owned());
        }
        // Of what is one text in CloudTrail, others have parts.
        rest.starts_with('.')
            .then(|| match field.get(theirs.len()..) {
                Some(rest) if WITH_PARTS.contains(ours) => format!("{ours}{rest}"),
                _ => (*ours).to_owned(),
            })
    })
}

/// `UserIdentityArn` for `userIdentity.arn`.
fn run_together(field: &str) -> Option<String> {
    let wanted = letters(field);
    KNOWN
        .iter()
        .filter(|(way, _)| !way.is_empty())
        .find_map(|(way, names)| {
            let rest = wanted.strip_prefix(&letters(way))?;
            let name = names.iter().find(|name| letters(name) == rest)?;
            Some(format!("{way}.{name}"))
        })
}

/// `userName` for `userIdentity.userName`, and `sessionContext.…` for what is in `userIdentity`.
fn without_the_way(field: &str) -> Option<String> {
    const OWN: [&str; 7] = [
        "username",
        "arn",
        "accountid",
        "accesskeyid",
        "principalid",
        "invokedby",
        "sessioncontext",
    ];
    let first = letters(segments(field).next()?);
    if !OWN.contains(&first.as_str()) {
        return None;
    }
    match canonical(&format!("userIdentity.{field}")) {
        Known::As(name) => Some(name),
        Known::Not => None,
    }
}

/// `eventNmae` for `eventName`.
fn slip(field: &str) -> Option<String> {
    let (first, rest) = field
        .find(['.', '['])
        .map_or((field, ""), |at| field.split_at(at));
    let like = |known: &&str| {
        strsim::normalized_damerau_levenshtein(
            &first.to_ascii_lowercase(),
            &known.to_ascii_lowercase(),
        )
    };
    let nearest = children("")
        .iter()
        .map(|known| (like(known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest
        .filter(|(likeness, _)| *likeness >= LIKE)
        .map(|(_, known)| format!("{known}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(field: &str) -> String {
        match doubt(field) {
            None => String::new(),
            Some(Doubt::Called(name)) => name,
            Some(Doubt::Of(schema)) => format!("! {schema}"),
        }
    }

    #[test]
    fn names_of_cloudtrail_and_names_that_may_be_anybodys_are_in_no_doubt() {
        for field in [
            "eventName",
            "userIdentity",
            "userIdentity.arn",
            "userIdentity.sessionContext.sessionIssuer.userName",
            "userIdentity.sessionContext.attributes.mfaAuthenticated",
            "userIdentity.session_name",
            "requestParameters",
            "requestParameters.EventName",
            "requestParameters.event.action",
            "responseElements.ConsoleLogin",
            "additionalEventData.MFAUsed",
            "serviceEventDetails.x.y",
            "resources.ARN",
            "resources[0].ARN",
            "tlsDetails.tlsVersion",
            "insightDetails.state",
            // As SigmaHQ's rules and collectors have them.
            "status",
            "tenant",
            "s3",
            "x",
            "tags",
        ] {
            assert_eq!(told(field), "", "{field}");
        }
    }

    #[test]
    fn other_letters_are_told_with_cloudtrails() {
        for (field, want) in [
            ("EventName", "eventName"),
            ("eventname", "eventName"),
            ("event_name", "eventName"),
            ("EVENTSOURCE", "eventSource"),
            ("sourceIpAddress", "sourceIPAddress"),
            ("source_ip_address", "sourceIPAddress"),
            ("eventId", "eventID"),
            ("requestId", "requestID"),
            ("userIdentity.Arn", "userIdentity.arn"),
            ("useridentity.ARN", "userIdentity.arn"),
            (
                "UserIdentity.SessionContext.SessionIssuer.UserName",
                "userIdentity.sessionContext.sessionIssuer.userName",
            ),
            ("RequestParameters.roleName", "requestParameters.roleName"),
            ("resources[0].arn", "resources[0].ARN"),
            ("resources.arn", "resources.ARN"),
            ("tlsDetails.TLSVersion", "tlsDetails.tlsVersion"),
            ("eventNmae", "eventName"),
            ("requestParameter.roleName", "requestParameters.roleName"),
        ] {
            assert_eq!(told(field), want, "{field}");
        }
    }

    #[test]
    fn names_of_other_schemas_are_told_with_cloudtrails() {
        for (field, want) in [
            ("event.action", "eventName"),
            ("Event.Action", "eventName"),
            ("event.provider", "eventSource"),
            ("event.category", "! ECS"),
            ("source.ip", "sourceIPAddress"),
            ("user_agent.original", "userAgent"),
            ("user.name", "userIdentity.userName"),
            ("cloud.account.id", "recipientAccountId"),
            ("cloud.region", "awsRegion"),
            ("aws.cloudtrail.user_identity.arn", "userIdentity.arn"),
            (
                "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
                "userIdentity.sessionContext.sessionIssuer.arn",
            ),
            (
                "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
                "userIdentity.sessionContext.attributes.mfaAuthenticated",
            ),
            ("aws.cloudtrail.event_type", "eventType"),
            ("aws.cloudtrail.error_code", "errorCode"),
            ("aws.cloudtrail.request_parameters", "requestParameters"),
            (
                "aws.cloudtrail.flattened.request_parameters.roleName",
                "requestParameters.roleName",
            ),
            (
                "aws.cloudtrail.console_login.additional_eventdata.mfa_used",
                "additionalEventData.MFAUsed",
            ),
            (
                "aws.cloudtrail.digest.start_time",
                "! Elastic's AWS integration",
            ),
            ("api.operation", "eventName"),
            ("api.request.data.roleName", "requestParameters.roleName"),
            ("api.service.name", "eventSource"),
            ("actor.user.type", "userIdentity.type"),
            ("actor.user.groups", "! OCSF"),
            ("src_endpoint.ip", "sourceIPAddress"),
            ("resources.uid", "resources.ARN"),
            ("data.aws.eventName", "eventName"),
            ("detail.userIdentity.arn", "userIdentity.arn"),
            ("@eventName", "eventName"),
            ("@timestamp", "eventTime"),
            ("UserIdentityArn", "userIdentity.arn"),
            ("user_identity_type", "userIdentity.type"),
            (
                "SessionIssuerUserName",
                "userIdentity.sessionContext.sessionIssuer.userName",
            ),
            ("userName", "userIdentity.userName"),
            (
                "sessionContext.sessionIssuer.arn",
                "userIdentity.sessionContext.sessionIssuer.arn",
            ),
            ("src_ip", "sourceIPAddress"),
        ] {
            assert_eq!(told(field), want, "{field}");
        }
    }

    #[test]
    fn what_is_meant_is_a_name_of_cloudtrails() {
        for (theirs, ours) in FOREIGN {
            assert_eq!(*theirs, theirs.to_ascii_lowercase());
            assert!(is_ours(ours), "{ours}");
            assert_eq!(told(ours), "", "{ours}");
        }
    }
}
