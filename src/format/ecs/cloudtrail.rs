//! `aws.cloudtrail`: a record's own fields under the names and types that Elastic's AWS integration gives them, so that
//! searches and rules that are written for it find them here too.

use std::fmt::{self, Display, Formatter, Write};

use serde::Serialize;
use serde_json::Value;

use crate::cloudtrail::record::Record;
use crate::cloudtrail::time;
use crate::format::text::{AsText, BoundedJson, Truncating, filled, text, truth};

/// The most characters of a text that Elastic's integration indexes. No text of so many is longer than the 32,766 bytes
/// that Lucene takes.
const INDEXED: usize = 8_191;

/// `aws`.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Aws<'a> {
    cloudtrail: CloudTrail<'a>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct CloudTrail<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_category: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    management_event: Option<AsText<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_only: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_account_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shared_event_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vpc_endpoint_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_credential_from_console: Option<AsText<bool>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_identity: Option<UserIdentity<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    console_login: Option<ConsoleLogin<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_parameters: Option<AsText<JavaMap<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_elements: Option<AsText<JavaMap<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_eventdata: Option<AsText<JavaMap<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_event_details: Option<AsText<JavaMap<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    flattened: Option<Flattened<'a>>,
}

/// `userIdentity`, without what has a place in ECS itself.
#[derive(Debug, Default, PartialEq, Serialize)]
struct UserIdentity<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    access_key_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<SessionContext<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<OnBehalfOf<'a>>,
}

/// The person in IAM Identity Center for whom the call was made.
#[derive(Debug, Default, PartialEq, Serialize)]
struct OnBehalfOf<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity_store_arn: Option<&'a str>,
}

/// How somebody signed in to the console.
#[derive(Debug, PartialEq, Serialize)]
struct ConsoleLogin<'a> {
    additional_eventdata: SignIn<'a>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct SignIn<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    login_to: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_used: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile_version: Option<bool>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct SessionContext<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mfa_authenticated: Option<AsText<bool>>,
    /// A date; what cannot be read as one is left out, since an index would refuse the document for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_issuer: Option<SessionIssuer<'a>>,
}

#[derive(Debug, Default, PartialEq, Serialize)]
struct SessionIssuer<'a> {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    principal_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
}

/// One of `resources`. Events of IAM have none; those that a rule of yours finds may.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Resource<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<&'a str>,
    /// What the ARNs begin with, where a call is about many. The integration leaves CloudTrail's name as it is.
    #[serde(rename = "ARNPrefix", skip_serializing_if = "Option::is_none")]
    arn_prefix: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
}

/// The free-form parts as objects, for an index that keeps them flattened.
#[derive(Debug, Default, PartialEq, Serialize)]
struct Flattened<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_parameters: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_elements: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    additional_eventdata: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_event_details: Option<BoundedJson<'a>>,
}

impl<'a> Aws<'a> {
    /// What a record has of these; none where it has nothing.
    pub(super) fn from_record(record: &'a Record<'_>) -> Option<Self> {
        let whole = Some(&record.value);
        let of = |key| text(whole, key);
        let spelled = |key| truth(whole, key).map(AsText);
        let shown = |key| JavaMap::from_value(record.at(&[key])).map(AsText);
        let flat = |key| BoundedJson::from_object(record.at(&[key]));
        let cloudtrail = CloudTrail {
            event_version: of("eventVersion"),
            event_type: of("eventType"),
            event_category: of("eventCategory"),
            api_version: of("apiVersion"),
            request_id: of("requestID"),
            error_code: of("errorCode"),
            error_message: of("errorMessage"),
            management_event: spelled("managementEvent"),
            read_only: truth(whole, "readOnly"),
            recipient_account_id: of("recipientAccountId"),
            shared_event_id: of("sharedEventID"),
            vpc_endpoint_id: of("vpcEndpointId"),
            session_credential_from_console: spelled("sessionCredentialFromConsole"),
            user_identity: filled(UserIdentity::from_record(record)),
            console_login: ConsoleLogin::from_record(record),
            resources: Resource::all(record),
            request_parameters: shown("requestParameters"),
            response_elements: shown("responseElements"),
            additional_eventdata: shown("additionalEventData"),
            service_event_details: shown("serviceEventDetails"),
            flattened: filled(Flattened {
                request_parameters: flat("requestParameters"),
                response_elements: flat("responseElements"),
                additional_eventdata: flat("additionalEventData"),
                service_event_details: flat("serviceEventDetails"),
            }),
        };
        filled(cloudtrail).map(|cloudtrail| Self { cloudtrail })
    }
}

impl<'a> Resource<'a> {
    fn all(record: &'a Record<'_>) -> Vec<Self> {
        let items = record.at(&["resources"]).and_then(Value::as_array);
        items
            .into_iter()
            .flatten()
            .map(|item| Self {
                arn: text(Some(item), "ARN"),
                arn_prefix: text(Some(item), "ARNPrefix"),
                account_id: text(Some(item), "accountId"),
                kind: text(Some(item), "type"),
            })
            .filter_map(filled)
            .collect()
    }
}

impl<'a> UserIdentity<'a> {
    fn from_record(record: &'a Record<'_>) -> Self {
        let identity = record.at(&["userIdentity"]);
        let context = record.at(&["userIdentity", "sessionContext"]);
        let within = |key| context.and_then(|context| context.get(key));
        let attributes = within("attributes");
        let issuer = within("sessionIssuer");
        let person = record.at(&["userIdentity", "onBehalfOf"]);
        Self {
            kind: text(identity, "type"),
            arn: text(identity, "arn"),
            access_key_id: text(identity, "accessKeyId"),
            invoked_by: text(identity, "invokedBy"),
            session_context: filled(SessionContext {
                mfa_authenticated: truth(attributes, "mfaAuthenticated").map(AsText),
                creation_date: text(attributes, "creationDate")
                    .and_then(time::parse_record_time)
                    .and_then(super::rfc3339),
                session_issuer: filled(SessionIssuer {
                    kind: text(issuer, "type"),
                    arn: text(issuer, "arn"),
                    principal_id: text(issuer, "principalId"),
                    account_id: text(issuer, "accountId"),
                }),
            }),
            on_behalf_of: filled(OnBehalfOf {
                user_id: text(person, "userId"),
                identity_store_arn: text(person, "identityStoreArn"),
            }),
        }
    }
}

impl<'a> ConsoleLogin<'a> {
    fn from_record(record: &'a Record<'_>) -> Option<Self> {
        let is_sign_in = record.text(&["eventName"]) == Some("ConsoleLogin");
        let data = record.at(&["additionalEventData"]).filter(|_| is_sign_in)?;
        let answer = |key| data.get(key).and_then(answer);
        filled(SignIn {
            login_to: text(Some(data), "LoginTo"),
            mfa_used: answer("MFAUsed"),
            mobile_version: answer("MobileVersion"),
        })
        .map(|additional_eventdata| Self {
            additional_eventdata,
        })
    }
}

/// What `Yes` or `No` means; as in the integration, every other text is a yes.
fn answer(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(answer) => Some(*answer),
        Value::String(text) if !text.is_empty() => Some(
            !["no", "false"]
                .iter()
                .any(|no| no.eq_ignore_ascii_case(text)),
        ),
        _ => None,
    }
}

/// A value as Java shows it, `{roleName=web-role, instanceProfileName=web}`, which is what Elastic's integration indexes
/// of the free-form parts; cut off where the integration stops to index.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct JavaMap<'a>(&'a Value);

impl<'a> JavaMap<'a> {
    fn from_value(value: Option<&'a Value>) -> Option<Self> {
        value
            .filter(|value| match value {
                Value::Null => false,
                Value::String(text) => !text.is_empty(),
                Value::Array(items) => !items.is_empty(),
                Value::Object(fields) => !fields.is_empty(),
                Value::Bool(_) | Value::Number(_) => true,
            })
            .map(Self)
    }
}

impl Display for JavaMap<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let mut cut = Truncating::at(INDEXED, out);
        match show(self.0, &mut cut) {
            Err(_) if cut.is_full() => Ok(()),
            shown => shown,
        }
    }
}

fn show(value: &Value, out: &mut Truncating<'_>) -> fmt::Result {
    match value {
        Value::String(text) => out.write_str(text),
        Value::Array(items) => {
            out.write_char('[')?;
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    out.write_str(", ")?;
                }
                show(item, out)?;
            }
            out.write_char(']')
        }
        Value::Object(fields) => {
            out.write_char('{')?;
            for (place, (key, value)) in fields.iter().enumerate() {
                if place > 0 {
                    out.write_str(", ")?;
                }
                out.write_str(key)?;
                out.write_char('=')?;
                show(value, out)?;
            }
            out.write_char('}')
        }
        other => write!(out, "{other}"),
    }
}
