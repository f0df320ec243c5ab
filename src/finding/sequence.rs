//! What several records say together, as documents tell it.

use serde::{Serialize, Serializer};

use super::step::{Step, StepSource};
use crate::detection::facts::SequenceFacts;
use crate::detection::time::{EventTime, TimeSource};
use crate::model::{Outcome, SequenceKind, Verdict};

/// What several records say together. Its document is made for one of them, and is a new one: what was sent of a record
/// is never sent again in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// A hash of the kind and of the steps' ids: the same sequence has the same id, whoever finds it, and whenever.
    pub id: String,
    /// Which sequence it is.
    pub kind: SequenceKind,
    /// How many there were of what the kind counts, else how many steps.
    pub count: u64,
    /// The steps, by the time of their events.
    pub steps: Vec<Step>,
    /// Which of the steps it is about: its place among them.
    pub about: usize,
}

impl Sequence {
    /// What it means for the alarm that its record alone raised.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.kind.verdict()
    }

    /// The step whose record it is about.
    #[must_use]
    pub fn about(&self) -> Option<&Step> {
        self.steps.get(self.about)
    }

    /// The steps that it is not about.
    pub fn others(&self) -> impl Iterator<Item = &Step> {
        let about = self.about;
        let steps = self.steps.iter().enumerate();
        steps.filter_map(move |(place, step)| (place != about).then_some(step))
    }

    /// What conditions test.
    #[must_use]
    pub fn facts(&self) -> SequenceFacts<'_> {
        let last = self.steps.last().filter(|_| {
            matches!(
                self.kind,
                SequenceKind::RoleSwap | SequenceKind::RoleRestored
            )
        });
        SequenceFacts {
            kind: self.kind,
            count: self.count,
            allow_listed: self.steps.iter().all(|step| step.allow_listed),
            role: last.and_then(|step| step.role.as_deref()),
            privileged_role: last.and_then(|step| step.privileged_role),
        }
    }
}

/// A step as a document tells it.
#[derive(Serialize)]
struct ToldStep<'a> {
    event_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
    event_name: &'a str,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance_profile: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    source: &'a StepSource,
}

impl Step {
    /// Whether the record had no id, and a hash of its bytes stands for one.
    #[must_use]
    pub fn has_hash_for_id(&self) -> bool {
        self.event_id.starts_with("sha256-")
    }

    /// When the call was made, as documents write it; none beyond the years 1970 to 9999.
    #[must_use]
    pub fn time(&self) -> Option<String> {
        let source = TimeSource::Record;
        let millis = self.event_time;
        EventTime { millis, source }.rfc3339()
    }
}

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Told<'a> {
            id: &'a str,
            kind: SequenceKind,
            verdict: Verdict,
            count: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            role_now: Option<&'a str>,
            steps: Vec<ToldStep<'a>>,
        }
        let steps = self.steps.iter().map(|step| ToldStep {
            event_id: &step.event_id,
            event_time: step.time(),
            event_name: &step.event_name,
            outcome: step.outcome,
            instance_profile: step.profile.as_deref(),
            role: step.role.as_deref(),
            actor: step.actor.as_deref(),
            address: step.address.as_deref(),
            source: &step.source,
        });
        Told {
            id: &self.id,
            kind: self.kind,
            verdict: self.verdict(),
            count: self.count,
            role_now: self.facts().role,
            steps: steps.collect(),
        }
        .serialize(serializer)
    }
}
