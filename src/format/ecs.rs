//! A complete document of the Elastic Common Schema 8.11: every field where its schema has it, `aws.cloudtrail` as
//! Elastic's AWS integration has it, and what is ours alone under `trailtag`.
//!
//! Objects are nested, names have no dots, and nothing is null or empty. What a caller can write freely is in an index's
//! way nowhere: a value of the wrong type is left out of its field, and the original stands whole in `event.original`.

mod category;
mod cloudtrail;
#[cfg(test)]
pub(super) mod samples;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::Serialize;

use self::category::Call;
use self::cloudtrail::Aws;
use super::object::Object;
use super::text::{AsText, ScoreBreakdown, Sentence, filled, text, tls_version, truth};
use super::trailtag_block;
use crate::config::Route;
use crate::detection::attack::{AttackObject, Technique};
use crate::detection::time::{EventTime, TimeSource};
use crate::finding::{Finding, Sequence, Step};
use crate::model::Outcome;

/// The version of ECS.
const VERSION: &str = "8.11.0";

/// The time of a document whose event has none, nor its message. A data stream refuses a document without a time, and
/// every clock would say something else on a replay; nobody takes this for a real one, and `trailtag.insufficient` lists
/// it.
const NO_TIME: &str = "1970-01-01T00:00:00Z";

/// Appends the document. Errs only where `serde_json` does, which it does not when it writes these types to memory.
pub(super) fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    let mut document = Object::begin(&Document::new(route, finding), out)?;
    document.key("trailtag")?;
    trailtag_block::write(route, finding, document.out)?;
    document.close();
    Ok(())
}

/// A time as Elasticsearch reads it; none beyond the years 1970 to 9999.
fn rfc3339(millis: i64) -> Option<String> {
    let source = TimeSource::Record;
    EventTime { millis, source }.rfc3339()
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "@timestamp")]
    timestamp: Cow<'a, str>,
    ecs: Ecs,
    data_stream: DataStream<'a>,
    message: AsText<Sentence<'a>>,
    event: Event<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error<'a>>,
    cloud: Cloud<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<User<'a>>,
    /// The group that the call is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<Named<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<Source<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_agent: Option<UserAgent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    related: Option<Related<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<Rule<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    threat: Option<Threat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<Tls<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aws: Option<Aws<'a>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<Cow<'a, str>, Label<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
}

#[derive(Serialize)]
struct Ecs {
    version: &'static str,
}

#[derive(Serialize)]
struct DataStream<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    dataset: &'a str,
    namespace: &'a str,
}

#[derive(Serialize)]
struct Event<'a> {
    kind: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    category: &'static [&'static str],
    #[serde(rename = "type")]
    types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    id: &'a str,
    outcome: &'static str,
    /// When the record came to Kafka. When it came into an index is for the index to say: there is no clock here.
    #[serde(skip_serializing_if = "Option::is_none")]
    created: Option<String>,
    severity: u8,
    risk_score: u8,
    risk_score_norm: u8,
    reason: AsText<ScoreBreakdown<'a>>,
    module: &'a str,
    dataset: &'a str,
    original: &'a str,
}

#[derive(Default, PartialEq, Serialize)]
struct Error<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct Cloud<'a> {
    provider: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<Id<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Name<'a>>,
}

#[derive(Serialize)]
struct Id<'a> {
    id: &'a str,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Default, PartialEq, Serialize)]
struct User<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<[&'a str; 1]>,
    /// The user that the call is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<Named<'a>>,
    /// What that user is called from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<Named<'a>>,
}

/// A user or a group that the call is about.
#[derive(Default, PartialEq, Serialize)]
struct Named<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Source<'a> {
    address: &'a str,
    /// Absent where the address is a service's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<&'a str>,
}

#[derive(Serialize)]
struct UserAgent<'a> {
    original: &'a str,
}

/// The value of a label.
#[derive(Serialize)]
#[serde(untagged)]
enum Label<'a> {
    Text(&'a str),
    Texts(Vec<&'a str>),
}

#[derive(Default, PartialEq, Serialize)]
struct Related<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ip: Vec<&'a str>,
    /// The instances that lose their role's credentials.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    hosts: &'a [&'a str],
}

#[derive(Serialize)]
struct Rule<'a> {
    id: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Threat<'a> {
    framework: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tactic: Option<Group<'a>>,
    technique: Techniques<'a>,
}

#[derive(Serialize)]
struct Techniques<'a> {
    id: Vec<&'a str>,
    name: Vec<&'a str>,
    reference: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subtechnique: Option<Group<'a>>,
}

/// Tactics, techniques or sub-techniques, each once: what stands at one place of the three lists is one of them. A
/// technique without a name has its id there, so that this holds. Which technique serves which tactic says
/// `trailtag.attack`.
#[derive(Default, PartialEq, Serialize)]
struct Group<'a> {
    id: Vec<&'a str>,
    name: Vec<&'a str>,
    reference: Vec<String>,
}

#[derive(Default, PartialEq, Serialize)]
struct Tls<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cipher: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<TlsClient<'a>>,
}

#[derive(PartialEq, Serialize)]
struct TlsClient<'a> {
    server_name: &'a str,
}

impl<'a> Document<'a> {
    fn new(route: &'a Route, finding: &'a Finding<'a>) -> Self {
        let record = finding.record;
        let whole = Some(&record.value);
        let facts = &finding.detection.facts;
        let user = User::from_finding(finding);
        let address = facts.client.address;
        let ip = address.filter(|_| facts.client.ip.is_some());
        Self {
            timestamp: facts
                .event_time
                .and_then(EventTime::rfc3339)
                .map_or(Cow::Borrowed(NO_TIME), Cow::Owned),
            ecs: Ecs { version: VERSION },
            data_stream: DataStream {
                kind: "logs",
                dataset: &route.ecs_dataset,
                namespace: &route.ecs_namespace,
            },
            message: AsText(Sentence(finding)),
            event: Event::new(route, finding),
            error: filled(Error {
                code: text(whole, "errorCode"),
                message: text(whole, "errorMessage"),
            }),
            cloud: Cloud {
                provider: "aws",
                region: facts.target.region,
                // As in Elastic's integration: whose identity it is. Whose resource says recipient_account_id.
                account: facts
                    .actor
                    .account
                    .or(facts.target.account)
                    .map(|id| Id { id }),
                service: text(whole, "eventSource").map(|source| Name {
                    name: source.strip_suffix(".amazonaws.com").unwrap_or(source),
                }),
            },
            related: filled(Related {
                user: related_users(finding, &user),
                ip: related_addresses(finding, ip),
                hosts: &facts.target.instance_ids,
            }),
            user: filled(user),
            group: filled(Named {
                id: text(record.at(&["responseElements", "group"]), "groupId"),
                name: text(record.at(&["requestParameters"]), "groupName"),
            }),
            source: address.map(|address| Source { address, ip }),
            user_agent: text(whole, "userAgent").map(|original| UserAgent { original }),
            rule: finding.rule().map(|rule| Rule {
                id: &rule.id,
                name: &rule.title,
            }),
            threat: Threat::from_techniques(&finding.detection.attack),
            tls: filled(Tls::from_finding(finding)),
            aws: Aws::from_record(record),
            labels: labels(route, finding),
            tags: finding.tags(),
        }
    }
}

/// The route's fields, and beside them which remediation is asked for and which events belong together, unless a field has
/// that name.
fn labels<'a>(route: &'a Route, finding: &'a Finding<'a>) -> BTreeMap<Cow<'a, str>, Label<'a>> {
    let mut labels: BTreeMap<_, _> = route
        .fields
        .iter()
        .map(|(name, value)| (label(name), Label::Text(value)))
        .collect();
    let remediation: Vec<&str> = finding.advice.outlines().map(|item| item.id).collect();
    if !remediation.is_empty() {
        labels
            .entry(Cow::Borrowed("remediation_id"))
            .or_insert(Label::Texts(remediation));
    }
    if let Some(sequence) = finding.sequence {
        let ids = sequence.steps.iter().map(|step| step.event_id.as_str());
        labels
            .entry(Cow::Borrowed("related_event_id"))
            .or_insert_with(|| Label::Texts(ids.collect()));
    }
    labels
}

/// A label's name: a dot in it would make an object of it.
fn label(name: &str) -> Cow<'_, str> {
    if name.contains('.') {
        Cow::Owned(name.replace('.', "_"))
    } else {
        Cow::Borrowed(name)
    }
}

impl<'a> Event<'a> {
    fn new(route: &'a Route, finding: &'a Finding<'a>) -> Self {
        let whole = Some(&finding.record.value);
        let facts = &finding.detection.facts;
        let severity = &finding.detection.severity;
        let action = text(whole, "eventName");
        let provider = text(whole, "eventSource");
        let (category, types) = Call {
            provider,
            action,
            kind: text(whole, "eventType"),
            read_only: truth(whole, "readOnly"),
            outcome: facts.outcome,
        }
        .words();
        let dataset = route.ecs_dataset.as_str();
        Self {
            kind: if finding.is_alert() { "alert" } else { "event" },
            category,
            types,
            action,
            provider,
            id: finding.id(),
            outcome: match facts.outcome {
                Outcome::Success => "success",
                Outcome::Denied | Outcome::Failed => "failure",
            },
            created: finding.received.and_then(rfc3339),
            severity: severity.level.scale().ecs,
            risk_score: severity.score,
            risk_score_norm: severity.score,
            reason: AsText(ScoreBreakdown(finding)),
            module: dataset.split('.').next().unwrap_or(dataset),
            dataset,
            original: finding.record.json,
        }
    }
}

impl<'a> User<'a> {
    /// The issuer's name stands before the identity's own, and a session's before both as an address, as in Elastic's
    /// integration. That knows no name of the root user and of services, which have theirs here.
    fn from_finding(finding: &'a Finding<'a>) -> Self {
        let actor = &finding.detection.facts.actor;
        let issuer = finding
            .record
            .at(&["userIdentity", "sessionContext", "sessionIssuer"]);
        let name = text(issuer, "userName").or(actor.name);
        let is_address = |name: &&str| local_part(name).is_some();
        let request = finding.record.at(&["requestParameters"]);
        Self {
            id: actor.principal_id,
            name,
            email: actor.session_name.into_iter().chain(name).find(is_address),
            roles: actor.role.map(|role| [role]),
            target: filled(Named {
                id: text(finding.record.at(&["responseElements", "user"]), "userId"),
                name: text(request, "userName"),
            }),
            changes: filled(Named {
                id: None,
                name: text(request, "newUserName"),
            }),
        }
    }
}

/// What stands before the `@` of a name that is like an address.
fn local_part(name: &str) -> Option<&str> {
    let (local, _) = name.split_once('@')?;
    (!local.is_empty()).then_some(local)
}

/// Everything that the record calls the user by, and the users that the call is about: a search for any of them finds the
/// document. The first half of an address too, since other sources know the person by that.
fn related_users<'a>(finding: &'a Finding<'a>, user: &User<'a>) -> Vec<&'a str> {
    let actor = &finding.detection.facts.actor;
    let named = |user: &Option<Named<'a>>| user.as_ref().and_then(|user| user.name);
    let behind = &actor.federation;
    let mut users = Vec::with_capacity(6);
    for said in [
        user.name,
        actor.name,
        actor.session_name,
        user.email.and_then(local_part),
        user.id,
        actor.arn,
        behind.source_identity,
        behind.identity_subject,
        behind.on_behalf_of,
        named(&user.target),
        named(&user.changes),
        user.target.as_ref().and_then(|user| user.id),
    ]
    .into_iter()
    .chain(others(finding).map(|step| step.actor.as_deref()))
    {
        if let Some(said) = said.filter(|said| !users.contains(said)) {
            users.push(said);
        }
    }
    users
}

/// The addresses of everybody who took part.
fn related_addresses<'a>(finding: &'a Finding<'a>, own: Option<&'a str>) -> Vec<&'a str> {
    let mut addresses: Vec<&str> = own.into_iter().collect();
    for step in others(finding) {
        if let Some(address) = step.address.as_deref()
            && address.parse::<IpAddr>().is_ok()
            && !addresses.contains(&address)
        {
            addresses.push(address);
        }
    }
    addresses
}

/// The other steps of a sequence, where the finding is of one.
fn others<'a>(finding: &'a Finding<'a>) -> impl Iterator<Item = &'a Step> {
    finding.sequence.into_iter().flat_map(Sequence::others)
}

impl<'a> Threat<'a> {
    fn from_techniques(attack: &'a [Technique<'a>]) -> Option<Self> {
        let mut tactics = Group::default();
        let mut techniques = Group::default();
        let mut subtechniques = Group::default();
        for found in attack {
            tactics.extend(found.tactic());
            techniques.extend(Some(found.technique()));
            subtechniques.extend(found.sub_technique());
        }
        filled(techniques).map(|group| Self {
            framework: "MITRE ATT&CK",
            tactic: filled(tactics),
            technique: Techniques {
                id: group.id,
                name: group.name,
                reference: group.reference,
                subtechnique: filled(subtechniques),
            },
        })
    }
}

impl<'a> Group<'a> {
    fn extend(&mut self, entry: Option<AttackObject<'a>>) {
        if let Some(entry) = entry.filter(|entry| !self.id.contains(&entry.id)) {
            self.id.push(entry.id);
            self.name.push(entry.name.unwrap_or(entry.id));
            self.reference.push(entry.page());
        }
    }
}

impl<'a> Tls<'a> {
    fn from_finding(finding: &'a Finding<'a>) -> Self {
        let details = finding.record.at(&["tlsDetails"]);
        let (version_protocol, version) = text(details, "tlsVersion")
            .map(tls_version)
            .map_or((None, None), |(protocol, version)| {
                (protocol, Some(version))
            });
        Self {
            version,
            version_protocol,
            cipher: text(details, "cipherSuite"),
            client: text(details, "clientProvidedHostHeader")
                .map(|server_name| TlsClient { server_name }),
        }
    }
}

#[cfg(test)]
mod tests;
