//! The names of CloudTrail's fields, and those of other schemas that stand for them.
//!
//! Sources: "CloudTrail record contents" and "CloudTrail userIdentity element" in the user guide of CloudTrail, ECS 8.11
//! and the fields of Elastic's AWS integration, OCSF's mapping of CloudTrail, and the names in Splunk's and Microsoft's
//! connectors.

/// Fields that hold fields of known names, by the way to them; the first is the record itself.
pub(super) const KNOWN: &[(&str, &[&str])] = &[
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
pub(super) const FOREIGN: &[(&str, &str)] = &[
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
pub(super) const WITH_PARTS: &[&str] = &[
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "userIdentity.sessionContext.sessionIssuer",
];

/// What stands around a record on its way, before the names of its fields.
pub(super) const AROUND: &[&str] = &[
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
pub(super) const OTHERS: &[(&str, &str)] = &[
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
