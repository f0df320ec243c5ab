//! An event of OCSF 1.8.0: a Detection Finding (2004), or the call itself as API Activity (6003) or Account Change
//! (3001), as the route says.
//!
//! What has a home in the schema stands there; what has none stands in `unmapped`, ours under `unmapped.trailtag`; the
//! original is `raw_data`. Where the schema requires what a record does not say, the name `Unknown` stands, and
//! `unmapped.trailtag.insufficient` says so.

mod attacks;
mod class;
mod evidence;

use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};
use serde_json::Value;

use self::attacks::Attack;
use self::class::{Activity, TypeName};
use self::evidence::{Account, Actor, Api, Endpoint, Evidence, HttpRequest, Resource, User};
use super::object::Object;
use super::text::{AsText, BoundedJson, ScoreBreakdown, Sentence, filled, text};
use super::trailtag_block;
use crate::config::{OcsfClass, Route};
use crate::detection::facts::IdSource;
use crate::finding::Finding;
use crate::model::Outcome;
use crate::remediation::Risk;

/// The version of OCSF.
const VERSION: &str = "1.8.0";

/// What stands where the schema requires a name and the record has none.
const UNKNOWN: &str = "Unknown";

/// Appends the event. Errs only where `serde_json` does, which it does not when it writes these types to memory.
pub(super) fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut event = Object::begin(&Event::new(route, finding), out)?;
    if route.ocsf_class == OcsfClass::DetectionFinding && !finding.advice.is_empty() {
        event.key("remediation")?;
        write_remediation(finding, event.out)?;
    }
    event.entry("raw_data", finding.record.json)?;
    event.key("unmapped")?;
    let unmapped = Unmapped::new(route.ocsf_class, finding);
    let mut unmapped = Object::begin(&unmapped, event.out)?;
    unmapped.key("trailtag")?;
    trailtag_block::write(route, finding, unmapped.out)?;
    unmapped.close();
    event.close();
    Ok(())
}

#[derive(Serialize)]
struct Event<'a> {
    activity_id: u8,
    activity_name: &'a str,
    category_uid: u8,
    category_name: &'static str,
    class_uid: u16,
    class_name: &'static str,
    type_uid: u32,
    type_name: AsText<TypeName>,
    /// Milliseconds since 1970; 0 where neither the record nor its message has a time, since the schema requires one.
    time: i64,
    severity_id: u8,
    severity: &'static str,
    status_id: u8,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_detail: Option<&'a str>,
    message: AsText<Sentence<'a>>,
    metadata: Metadata<'a>,
    cloud: Cloud<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finding_info: Option<FindingInfo<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<Actor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api: Option<Api<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_endpoint: Option<Endpoint<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_request: Option<HttpRequest<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidences: Option<[Evidence<'a>; 1]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attacks: Vec<Attack<'a>>,
    action_id: u8,
    action: &'static str,
    disposition_id: u8,
    disposition: &'static str,
    is_alert: bool,
    risk_score: u8,
    risk_level_id: u8,
    risk_level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk_details: Option<String>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    version: &'static str,
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original_time: Option<&'a str>,
    log_provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_version: Option<&'a str>,
    product: Product<'a>,
    profiles: [&'static str; 2],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    labels: Vec<String>,
}

#[derive(Serialize)]
struct Product<'a> {
    name: &'static str,
    vendor_name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    feature: Option<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Cloud<'a> {
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Account<'a>>,
    #[serde(rename = "cloud_partition")]
    partition: &'a str,
}

#[derive(Serialize)]
struct FindingInfo<'a> {
    uid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    desc: AsText<ScoreBreakdown<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    types: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_seen_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_time: Option<i64>,
    product: Product<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    analytic: Option<Analytic<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_analytics: Vec<Analytic<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    related_events: Vec<RelatedEvent<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attacks: Vec<Attack<'a>>,
}

#[derive(Serialize)]
struct Analytic<'a> {
    uid: &'a str,
    name: &'a str,
    type_id: u8,
    #[serde(rename = "type")]
    kind: &'static str,
}

/// The call itself, as the API Activity that a lake has under the same id.
#[derive(Serialize)]
struct RelatedEvent<'a> {
    uid: &'a str,
    type_uid: u32,
    type_name: AsText<TypeName>,
    product: Product<'a>,
}

impl<'a> Event<'a> {
    fn new(route: &'a Route, finding: &'a Finding<'a>) -> Self {
        let class = route.ocsf_class;
        let is_finding = class == OcsfClass::DetectionFinding;
        let record = finding.record;
        let whole = Some(&record.value);
        let facts = &finding.detection.facts;
        let severity = &finding.detection.severity;
        let scale = severity.level.scale();
        let activity = Activity::new(class, record);
        let (status_id, status) = status(class, facts.outcome);
        let (action_id, action, disposition_id, disposition) = disposition(facts.outcome);
        let unless_finding = |said: Option<&'a str>| said.filter(|_| !is_finding);
        let http_request = HttpRequest::from_record(record);
        let attacks =
            attacks::from_techniques(&finding.detection.attack, finding.detection.attack_version);
        let (of_finding, attacks) = if is_finding {
            (Some(FindingInfo::new(finding, attacks)), Vec::new())
        } else {
            (None, attacks)
        };
        Self {
            activity_id: activity.id(),
            activity_name: activity.name(text(whole, "eventName")),
            category_uid: class::category(class).0,
            category_name: class::category(class).1,
            class_uid: class::uid(class),
            class_name: class::name(class),
            type_uid: activity.type_uid(),
            type_name: AsText(TypeName(activity)),
            time: facts.event_time.map_or(0, |at| at.millis),
            severity_id: scale.ocsf_severity_id,
            severity: scale.ocsf_severity,
            status_id,
            status,
            status_code: unless_finding(text(whole, "errorCode")),
            status_detail: unless_finding(text(whole, "errorMessage")),
            message: AsText(Sentence(finding)),
            metadata: Metadata::new(route, finding),
            cloud: Cloud {
                provider: "AWS",
                region: facts.target.region,
                account: facts.target.account.map(Account::new),
                partition: facts.target.partition,
            },
            finding_info: of_finding,
            actor: (!is_finding)
                .then(|| Actor::from_finding(finding).unwrap_or_else(Actor::unknown)),
            user: (class == OcsfClass::AccountChange)
                .then(|| User::changed(finding).unwrap_or_else(User::unknown)),
            api: (!is_finding).then(|| Api::from_record(record).unwrap_or_else(Api::unknown)),
            src_endpoint: (!is_finding)
                .then(|| Endpoint::from_finding(finding).unwrap_or_else(Endpoint::unknown)),
            http_request: http_request.filter(|_| !is_finding),
            // Account Change has no place for them.
            resources: if class == OcsfClass::AccountChange {
                Vec::new()
            } else {
                Resource::all(finding)
            },
            evidences: is_finding
                .then(|| Evidence::from_finding(finding))
                .flatten()
                .map(|it| [it]),
            attacks,
            action_id,
            action,
            disposition_id,
            disposition,
            is_alert: finding.is_alert(),
            risk_score: severity.score,
            risk_level_id: scale.ocsf_risk_level_id,
            risk_level: scale.ocsf_risk_level,
            risk_details: (!finding.advice.risks.is_empty())
                .then(|| details(&finding.advice.risks)),
        }
    }
}

/// A finding's status is where its handling stands, a call's whether it went through.
const fn status(class: OcsfClass, outcome: Outcome) -> (u8, &'static str) {
    match (class, outcome) {
        (OcsfClass::DetectionFinding, _) => (1, "New"),
        (_, Outcome::Success) => (1, "Success"),
        (_, Outcome::Denied | Outcome::Failed) => (2, "Failure"),
    }
}

/// What IAM did about the call. Of one that failed for another reason the record does not say.
const fn disposition(outcome: Outcome) -> (u8, &'static str, u8, &'static str) {
    match outcome {
        Outcome::Success => (1, "Allowed", 1, "Allowed"),
        Outcome::Denied => (2, "Denied", 2, "Blocked"),
        Outcome::Failed => (0, "Unknown", 27, "Error"),
    }
}

impl<'a> Metadata<'a> {
    fn new(route: &Route, finding: &'a Finding<'a>) -> Self {
        let whole = Some(&finding.record.value);
        Self {
            version: VERSION,
            uid: finding.id(),
            event_code: text(whole, "eventName"),
            original_time: text(whole, "eventTime"),
            log_provider: "AWS CloudTrail",
            log_version: text(whole, "eventVersion"),
            product: Product::cloudtrail(text(whole, "eventCategory")),
            profiles: ["cloud", "security_control"],
            labels: route
                .fields
                .iter()
                .map(|(name, value)| format!("{name}:{value}"))
                .collect(),
        }
    }
}

impl<'a> Product<'a> {
    fn cloudtrail(category: Option<&'a str>) -> Self {
        Self {
            name: "CloudTrail",
            vendor_name: "AWS",
            feature: category.map(|name| Named { name }),
        }
    }

    const fn ours() -> Self {
        Self {
            name: "trailtag",
            vendor_name: "trailtag",
            feature: None,
        }
    }
}

impl<'a> FindingInfo<'a> {
    fn new(finding: &'a Finding<'a>, attacks: Vec<Attack<'a>>) -> Self {
        let facts = &finding.detection.facts;
        let at = facts.event_time.map(|at| at.millis);
        let rule = finding.rule();
        let steps = || finding.sequence.into_iter().flat_map(|it| &it.steps);
        Self {
            uid: finding.id(),
            title: finding.title(),
            desc: AsText(ScoreBreakdown(finding)),
            types: finding.advice.risks.iter().map(|risk| risk.title).collect(),
            first_seen_time: steps().map(|step| step.event_time).min().or(at),
            last_seen_time: steps().map(|step| step.event_time).max().or(at),
            product: Product::ours(),
            analytic: rule.map(Analytic::from_rule),
            related_analytics: finding
                .detection
                .rules
                .iter()
                .filter(|other| rule.is_none_or(|rule| rule.id != other.id))
                .map(|other| Analytic::from_rule(other))
                .collect(),
            related_events: RelatedEvent::all(finding),
            attacks,
        }
    }
}

impl<'a> RelatedEvent<'a> {
    /// The calls that a finding is about. An id that is a hash of ours is in no lake.
    fn all(finding: &'a Finding<'a>) -> Vec<Self> {
        let new = |uid, activity| Self {
            uid,
            type_uid: Activity::type_uid(activity),
            type_name: AsText(TypeName(activity)),
            product: Product::cloudtrail(None),
        };
        let Some(sequence) = finding.sequence else {
            let facts = &finding.detection.facts;
            let activity = Activity::new(OcsfClass::ApiActivity, finding.record);
            let is_known = facts.event_id_source == IdSource::Record;
            return is_known
                .then(|| new(&facts.event_id, activity))
                .into_iter()
                .collect();
        };
        let steps = sequence.steps.iter();
        steps
            .filter(|step| !step.has_hash_for_id())
            .map(|step| new(&step.event_id, Activity::of_change(&step.event_name)))
            .collect()
    }
}

impl<'a> Analytic<'a> {
    fn from_rule(rule: &'a crate::detection::rules::Rule) -> Self {
        Self {
            uid: &rule.id,
            name: &rule.title,
            type_id: 1,
            kind: "Rule",
        }
    }
}

/// Appends what to do in outline, with further reading; the steps stand under `unmapped.trailtag.remediation`.
fn write_remediation(finding: &Finding<'_>, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let mut remediation = Object::open(out);
    remediation.key("desc")?;
    finding.advice.write_outline(remediation.out)?;
    remediation.list("references", finding.advice.references())?;
    remediation.close();
    Ok(())
}

/// What is dangerous; why it is stands under `unmapped.trailtag.risks`.
fn details(risks: &[Risk<'_>]) -> String {
    let titles: Vec<&str> = risks.iter().map(|risk| risk.title).collect();
    titles.join(", ")
}

/// What CloudTrail writes of a call and the schema has no place for, under its own names. What is not CloudTrail's stands
/// in `raw_data` alone: a record could bring any number of names.
struct Unmapped<'a> {
    record: &'a Value,
    class: OcsfClass,
}

const HOMELESS: [&str; 10] = [
    "eventType",
    "readOnly",
    "managementEvent",
    "sharedEventID",
    "sessionCredentialFromConsole",
    "vpcEndpointAccountId",
    "additionalEventData",
    "serviceEventDetails",
    "edgeDeviceDetails",
    "resources",
];

/// What `actor` has no place for.
#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Identity<'a> {
    #[serde(rename = "identityProvider", skip_serializing_if = "Option::is_none")]
    provider: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential_id: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_behalf_of: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    in_scope_of: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_context: Option<SessionContext<'a>>,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SessionContext<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    source_identity: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed_root: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    web_id_federation_data: Option<BoundedJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ec2_role_delivery: Option<BoundedJson<'a>>,
}

impl<'a> Identity<'a> {
    fn from_value(identity: Option<&'a Value>) -> Self {
        let of = |key| BoundedJson::from_value(identity?.get(key));
        let context = identity.and_then(|identity| identity.get("sessionContext"));
        let of_context = |key| BoundedJson::from_value(context?.get(key));
        Self {
            provider: of("identityProvider"),
            credential_id: of("credentialId"),
            on_behalf_of: of("onBehalfOf"),
            in_scope_of: of("inScopeOf"),
            session_context: filled(SessionContext {
                source_identity: of_context("sourceIdentity"),
                assumed_root: of_context("assumedRoot"),
                web_id_federation_data: of_context("webIdFederationData"),
                ec2_role_delivery: of_context("ec2RoleDelivery"),
            }),
        }
    }
}

impl<'a> Unmapped<'a> {
    fn new(class: OcsfClass, finding: &'a Finding<'a>) -> Self {
        let record = &finding.record.value;
        Self { record, class }
    }
}

impl Serialize for Unmapped<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Evidence has a place for TLS, and asks for its version; `api.request` needs an id.
        let evident = self.class == OcsfClass::DetectionFinding
            && text(self.record.get("tlsDetails"), "tlsVersion").is_some();
        let tls = (!evident).then_some("tlsDetails");
        let request = text(Some(self.record), "requestID")
            .is_none()
            .then_some("requestParameters");
        let mut map = serializer.serialize_map(None)?;
        for name in HOMELESS.into_iter().chain(tls).chain(request) {
            if let Some(value) = BoundedJson::from_value(self.record.get(name)) {
                map.serialize_entry(name, &value)?;
            }
        }
        if let Some(identity) = filled(Identity::from_value(self.record.get("userIdentity"))) {
            map.serialize_entry("userIdentity", &identity)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests;
