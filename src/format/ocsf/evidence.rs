//! Who called what, from where, about what: the objects that all classes share, and that a finding has as its evidence.

use serde::Serialize;
use serde_json::Value;

use super::UNKNOWN;
use crate::cloudtrail::record::Record;
use crate::cloudtrail::time;
use crate::detection::facts;
use crate::finding::Finding;
use crate::format::text::{BoundedJson, filled, text, tls_version};

#[derive(Serialize)]
pub(super) struct Account<'a> {
    uid: &'a str,
    type_id: u8,
    #[serde(rename = "type")]
    kind: &'static str,
}

impl<'a> Account<'a> {
    pub(super) const fn new(uid: &'a str) -> Self {
        Self {
            uid,
            type_id: 10,
            kind: "AWS Account",
        }
    }
}

/// The schema wants one of its parts at least.
#[derive(Serialize)]
pub(super) struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Session<'a>>,
    /// The identity provider that vouched for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    idp: Option<Idp<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invoked_by: Option<&'a str>,
}

#[derive(Serialize)]
struct Idp<'a> {
    name: &'a str,
}

impl<'a> Actor<'a> {
    pub(super) fn from_finding(finding: &'a Finding<'a>) -> Option<Self> {
        let actor = Self {
            user: User::from_finding(finding),
            session: filled(Session::from_finding(finding)),
            idp: finding
                .detection
                .facts
                .actor
                .federation
                .identity_provider
                .map(|name| Idp { name }),
            invoked_by: text(finding.record.at(&["userIdentity"]), "invokedBy"),
        };
        let says = actor.user.is_some() || actor.session.is_some() || actor.invoked_by.is_some();
        says.then_some(actor)
    }

    pub(super) fn unknown() -> Self {
        Self {
            user: Some(User::unknown()),
            session: None,
            idp: None,
            invoked_by: None,
        }
    }
}

/// The schema wants an account, a name or a uid.
#[derive(Serialize)]
pub(super) struct User<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    type_id: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid_alt: Option<&'a str>,
    /// Schema 1.6 put `programmatic_credentials` in its place; searches that are written for Security Lake ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_uid: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    programmatic_credentials: Option<[Credential<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account<'a>>,
}

#[derive(Serialize)]
struct Credential<'a> {
    uid: &'a str,
}

impl<'a> User<'a> {
    fn from_finding(finding: &'a Finding<'a>) -> Option<Self> {
        let actor = &finding.detection.facts.actor;
        if actor.account.is_none() && actor.name.is_none() && actor.arn.is_none() {
            return None;
        }
        Some(Self {
            kind: actor.kind.unwrap_or(UNKNOWN),
            type_id: type_id(actor),
            name: actor.name,
            uid: actor.arn,
            uid_alt: actor.principal_id,
            credential_uid: actor.access_key_id,
            programmatic_credentials: actor.access_key_id.map(|uid| [Credential { uid }]),
            account: actor.account.map(Account::new),
        })
    }

    /// The user that the call changed, where its request names one; else, as in OCSF's own mapping, the one who called.
    pub(super) fn changed(finding: &'a Finding<'a>) -> Option<Self> {
        let request = finding.record.at(&["requestParameters"]);
        let Some(name) = text(request, "userName") else {
            return Self::from_finding(finding);
        };
        let account = finding.detection.facts.target.account;
        Some(Self {
            kind: "User",
            type_id: 1,
            name: Some(name),
            account: account.map(Account::new),
            ..Self::unknown()
        })
    }

    pub(super) const fn unknown() -> Self {
        Self {
            kind: UNKNOWN,
            type_id: 0,
            name: Some(UNKNOWN),
            uid: None,
            uid_alt: None,
            credential_uid: None,
            programmatic_credentials: None,
            account: None,
        }
    }
}

fn type_id(actor: &facts::Actor<'_>) -> u8 {
    match actor.kind {
        None => 0,
        Some("IAMUser" | "IdentityCenterUser") => 1,
        Some("Root") => 2,
        Some("AWSService") => 4,
        Some(_) => 99,
    }
}

#[derive(Default, PartialEq, Serialize)]
struct Session<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_mfa: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_time: Option<i64>,
}

impl<'a> Session<'a> {
    fn from_finding(finding: &'a Finding<'a>) -> Self {
        let actor = &finding.detection.facts.actor;
        let attributes = finding
            .record
            .at(&["userIdentity", "sessionContext", "attributes"]);
        Self {
            issuer: actor.session_issuer_arn,
            is_mfa: actor.mfa,
            created_time: text(attributes, "creationDate").and_then(time::parse_record_time),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Api<'a> {
    operation: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Request<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Response<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Request<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<BoundedJson<'a>>,
}

#[derive(Default, PartialEq, Serialize)]
struct Response<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<BoundedJson<'a>>,
}

impl<'a> Api<'a> {
    /// What was called; none where the record does not name it.
    pub(super) fn from_record(record: &'a Record<'_>) -> Option<Self> {
        let whole = Some(&record.value);
        let of = |key| text(whole, key);
        Some(Self {
            operation: of("eventName")?,
            version: of("apiVersion"),
            service: of("eventSource").map(|name| Service { name }),
            request: of("requestID").map(|uid| Request {
                uid,
                data: BoundedJson::from_value(record.at(&["requestParameters"])),
            }),
            response: filled(Response {
                error: of("errorCode"),
                error_message: of("errorMessage"),
                data: BoundedJson::from_value(record.at(&["responseElements"])),
            }),
        })
    }

    pub(super) const fn unknown() -> Self {
        Self {
            operation: UNKNOWN,
            version: None,
            service: None,
            request: None,
            response: None,
        }
    }
}

/// The schema wants one of its parts at least.
#[derive(Serialize)]
pub(super) struct Endpoint<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
    /// A service calls under its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    /// The VPC endpoint that the call came through.
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
}

impl<'a> Endpoint<'a> {
    pub(super) fn from_finding(finding: &'a Finding<'a>) -> Option<Self> {
        let client = &finding.detection.facts.client;
        let (address, is_ip) = (client.address, client.ip.is_some());
        let uid = text(Some(&finding.record.value), "vpcEndpointId");
        (address.is_some() || uid.is_some()).then(|| Self {
            ip: address.filter(|_| is_ip),
            name: address.filter(|_| !is_ip),
            uid,
        })
    }

    pub(super) const fn unknown() -> Self {
        Self {
            ip: None,
            name: Some(UNKNOWN),
            uid: None,
        }
    }
}

#[derive(Serialize)]
pub(super) struct HttpRequest<'a> {
    user_agent: &'a str,
}

impl<'a> HttpRequest<'a> {
    pub(super) fn from_record(record: &'a Record<'_>) -> Option<Self> {
        text(Some(&record.value), "userAgent").map(|user_agent| Self { user_agent })
    }
}

/// The schema wants a name or a uid.
#[derive(Serialize)]
pub(super) struct Resource<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<&'a str>,
    role_id: u8,
    role: &'static str,
    cloud_partition: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<Owner<'a>>,
}

#[derive(Serialize)]
struct Owner<'a> {
    account: Account<'a>,
}

impl<'a> Resource<'a> {
    /// The instance profile, which the call is about, and the role and the instances that it bears on. The ARNs of the first
    /// two have paths that records do not say, so that they have no uid.
    pub(super) fn all(finding: &'a Finding<'a>) -> Vec<Self> {
        let target = &finding.detection.facts.target;
        let resource = |kind, role_id, role| Self {
            kind,
            name: None,
            uid: None,
            role_id,
            role,
            cloud_partition: target.partition,
            owner: target.account.map(|uid| Owner {
                account: Account::new(uid),
            }),
        };
        let profile = target.instance_profile.map(|name| Self {
            name: Some(name),
            ..resource("AWS::IAM::InstanceProfile", 1, "Target")
        });
        let role = target.role.map(|name| Self {
            name: Some(name),
            ..resource("AWS::IAM::Role", 3, "Affected")
        });
        let instances = target.instance_ids.iter().map(|id| Self {
            uid: Some(id),
            ..resource("AWS::EC2::Instance", 3, "Affected")
        });
        profile.into_iter().chain(role).chain(instances).collect()
    }
}

#[derive(Serialize)]
struct Tls<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sni: Option<&'a str>,
}

impl<'a> Tls<'a> {
    fn from_value(details: Option<&'a Value>) -> Option<Self> {
        Some(Self {
            version: tls_version(text(details, "tlsVersion")?).1,
            cipher: text(details, "cipherSuite"),
            sni: text(details, "clientProvidedHostHeader"),
        })
    }
}

/// The record, as what a finding rests on. The schema wants one of actor, API, endpoint and resources at least.
#[derive(Serialize)]
pub(super) struct Evidence<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Api<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
}

impl<'a> Evidence<'a> {
    pub(super) fn from_finding(finding: &'a Finding<'a>) -> Option<Self> {
        let record = finding.record;
        let evidence = Self {
            uid: &finding.detection.facts.event_id,
            actor: Actor::from_finding(finding),
            api: Api::from_record(record),
            src_endpoint: Endpoint::from_finding(finding),
            http_request: HttpRequest::from_record(record),
            tls: Tls::from_value(record.at(&["tlsDetails"])),
        };
        let says =
            evidence.actor.is_some() || evidence.api.is_some() || evidence.src_endpoint.is_some();
        says.then_some(evidence)
    }
}
