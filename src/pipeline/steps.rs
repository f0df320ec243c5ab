//! The steps of sequences that a record is.
//!
//! In flow a record and its facts; out flow the steps, one for each group that it belongs to. What is no step costs
//! nothing here: only the calls below are looked at.

use crate::cloudtrail::envelope::RawRecord;
use crate::cloudtrail::record::{EventNames, Record};
use crate::detection::facts::{Actor, Facts};
use crate::finding::{Group, GroupedBy, OriginalRecord, Step, StepSource};
use crate::model::{Origin, Outcome};

/// The service whose calls they are.
const SOURCE: &str = "iam.amazonaws.com";
/// The call that takes a role out of an instance profile: what sequences are about.
const REMOVE: &str = "RemoveRoleFromInstanceProfile";
/// The calls that are steps.
pub(super) const CALLS: [&str; 3] = [REMOVE, "AddRoleToInstanceProfile", "DeleteInstanceProfile"];

/// Whether a record of these names can be a step. False is certain, true is not.
pub(super) fn want(names: &EventNames<'_>) -> bool {
    let name = names.event_name.as_deref();
    names.event_source.as_deref() == Some(SOURCE) && name.is_some_and(|it| CALLS.contains(&it))
}

/// Whether a record is of a call that can be a step.
pub(super) fn is_call(record: &Record<'_>) -> bool {
    let name = record.text(&["eventName"]);
    record.text(&["eventSource"]) == Some(SOURCE) && name.is_some_and(|it| CALLS.contains(&it))
}

/// The steps that a record is. None without a time, an account, or whatever they are grouped by: nobody could say what
/// they belong to.
pub(super) fn of_record(
    record: &Record<'_>,
    facts: &Facts<'_>,
    origin: &Origin<'_>,
    raw: &RawRecord<'_>,
) -> Vec<Step> {
    let is_removal = record.text(&["eventName"]) == Some(REMOVE);
    let groups: &[GroupedBy] = match facts.outcome {
        Outcome::Success if is_removal => &[GroupedBy::Profile, GroupedBy::Principal],
        Outcome::Success => &[GroupedBy::Profile],
        Outcome::Denied if is_removal => &[GroupedBy::Principal],
        // What failed for another reason has changed nothing, and is no attempt at what is forbidden.
        Outcome::Denied | Outcome::Failed => &[],
    };
    let steps = groups.iter();
    steps
        .filter_map(|by| step(*by, record, facts, origin, raw))
        .collect()
}

/// The step that a call of a sequence would be if it went through, whatever became of it.
pub(super) fn of_call(
    record: &Record<'_>,
    facts: &Facts<'_>,
    origin: &Origin<'_>,
    raw: &RawRecord<'_>,
) -> Option<Step> {
    let step = |by| step(by, record, facts, origin, raw);
    step(GroupedBy::Profile).or_else(|| step(GroupedBy::Principal))
}

fn step(
    by: GroupedBy,
    record: &Record<'_>,
    facts: &Facts<'_>,
    origin: &Origin<'_>,
    raw: &RawRecord<'_>,
) -> Option<Step> {
    let name = record.text(&["eventName"]).filter(|_| is_call(record))?;
    let (time, account) = (facts.event_time?, facts.target.account?);
    let target = &facts.target;
    let actor = &facts.actor;
    let principal = principal(actor);
    let owned = |text: &str| text.to_owned();
    let of = match by {
        GroupedBy::Profile => target.instance_profile?,
        GroupedBy::Principal => principal?,
    };
    Some(Step {
        group: Group {
            by,
            account: account.to_owned(),
            of: of.to_owned(),
        },
        event_id: facts.event_id.clone().into_owned(),
        event_time: time.millis,
        arrival: origin.timestamp.unwrap_or(time.millis),
        event_name: name.to_owned(),
        outcome: facts.outcome,
        profile: target.instance_profile.map(owned),
        role: target.role.map(owned),
        privileged_role: target.privileged_role,
        actor: actor.arn.or(actor.name).map(owned),
        principal: principal.map(owned),
        address: facts.client.address.map(owned),
        allow_listed: actor.allow_listed == Some(true),
        service: actor.is_aws_service == Some(true)
            || facts.client.kinds.contains(&"provisioning_service"),
        source: StepSource {
            topic: origin.topic.to_owned(),
            partition: origin.partition,
            offset: origin.offset,
            index: raw.index,
        },
        // A sequence is about the removal: of no other call is the record needed again.
        record: (name == REMOVE).then(|| OriginalRecord::new(raw, origin)),
    })
}

/// Who acts. Of a role it is the role, whose sessions anybody who may take it can name as they like; the role of a
/// permission set is many people's, and IAM Identity Center writes the session's name.
fn principal<'a>(actor: &'a Actor<'_>) -> Option<&'a str> {
    let role = actor.principal_arn.as_deref();
    let person = actor.sso_permission_set.and(actor.arn);
    person.or(role).or(actor.principal_id).or(actor.name)
}
