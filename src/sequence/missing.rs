//! What was missing for a sequence, for people who expected one.

use std::time::Duration;

use super::kinds::{BUILT_IN, Common, Definition, Distinct, Many, Pattern, is_removal};
use crate::finding::{GroupedBy, Sequence, Step};
use crate::model::{Outcome, SequenceKind};

/// A sequence that is not there, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which one.
    pub kind: SequenceKind,
    /// The step that it would be about.
    pub event_id: String,
    /// What was missing, in words.
    pub why: Vec<String>,
}

/// Says of what is nearly a sequence what it lacks. `calls` are all that could be steps, each once, whatever became of them;
/// `found` are the sequences that they are.
#[must_use]
pub fn missing(calls: &[Step], found: &[Sequence]) -> Vec<Missing> {
    let mut missing = Vec::new();
    for removal in calls.iter().filter(|step| is_removal(step)) {
        let is_told = |sequence: &&Sequence| {
            let by = BUILT_IN.iter().find(|it| it.kind == sequence.kind);
            let of_profile = by.is_some_and(|it| it.by == GroupedBy::Profile);
            of_profile
                && sequence
                    .about()
                    .is_some_and(|it| it.event_id == removal.event_id)
        };
        if !found.iter().any(|sequence| is_told(&sequence)) {
            missing.extend(nearest(removal, calls));
        }
    }
    for definition in BUILT_IN {
        if let Pattern::Many(many) = definition.pattern
            && !found
                .iter()
                .any(|sequence| sequence.kind == definition.kind)
        {
            missing.extend(too_few(&definition, &many, calls));
        }
    }
    missing
}

/// Of the calls that could have followed a removal, the one that lacks least.
fn nearest(removal: &Step, calls: &[Step]) -> Option<Missing> {
    let mut nearest: Option<Missing> = None;
    for definition in BUILT_IN {
        let Pattern::Next { call, with } = definition.pattern else {
            continue;
        };
        for next in calls.iter().filter(|step| step.event_name == call) {
            // A role is the same or another: which of the two it would be is known.
            let is_same = removal.role == next.role;
            if with == Common::Role && !is_same || with == Common::OtherRole && is_same {
                continue;
            }
            let why = lacks(&definition, with, removal, next);
            if nearest.as_ref().is_none_or(|it| why.len() < it.why.len()) {
                nearest = Some(Missing {
                    kind: definition.kind,
                    event_id: removal.event_id.clone(),
                    why,
                });
            }
        }
    }
    nearest
}

fn lacks(definition: &Definition, with: Common, removal: &Step, next: &Step) -> Vec<String> {
    let mut why = Vec::new();
    for (which, step) in [("the removal", removal), ("what followed", next)] {
        match step.outcome {
            Outcome::Success => {}
            Outcome::Denied => why.push(format!("{which} was denied")),
            Outcome::Failed => why.push(format!("{which} failed")),
        }
    }
    let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
    if removal.group.account != next.group.account {
        let (one, other) = (&removal.group.account, &next.group.account);
        why.push(format!("one was in account {one}, the other in {other}"));
    }
    if removal.profile != next.profile || removal.profile.is_none() {
        let (one, other) = (said(&removal.profile), said(&next.profile));
        why.push(format!(
            "one was about the instance profile {one}, the other about {other}"
        ));
    }
    if with == Common::Principal && removal.principal != next.principal {
        let (one, other) = (said(&removal.principal), said(&next.principal));
        why.push(format!("one was by {one}, the other by {other}"));
    }
    let gap = next.event_time.saturating_sub(removal.event_time);
    let text =
        |millis: i64| humantime::format_duration(Duration::from_millis(millis.unsigned_abs()));
    if gap < 0 {
        why.push(format!(
            "what should have followed was made {} before",
            text(gap)
        ));
    } else if gap > definition.window {
        let (gap, window) = (text(gap), text(definition.window));
        why.push(format!("it was made {gap} later; {window} is the most"));
    } else if gap == 0 && with == Common::Role {
        why.push("both are of the same second, so that nobody knows which was first".to_owned());
    }
    if why.is_empty() {
        why.push("another call about that profile came between them".to_owned());
    }
    why
}

/// How many there are of what a kind counts, of the principal who has most.
fn too_few(definition: &Definition, many: &Many, calls: &[Step]) -> Option<Missing> {
    let threshold = *many.thresholds.first()?;
    let counting = calls.iter().filter(|step| many.counts(step).is_some());
    let best = counting
        .clone()
        .map(|step| {
            let same = counting.clone().filter(|other| {
                other.group.account == step.group.account
                    && other.principal == step.principal
                    && (step.event_time - definition.window..=step.event_time)
                        .contains(&other.event_time)
            });
            let mut values: Vec<&str> = same.filter_map(|other| many.counts(other)).collect();
            values.sort_unstable();
            values.dedup();
            (values.len() as u64, step)
        })
        .max_by_key(|(count, _)| *count)?;
    let (count, step) = best;
    // One of something is no beginning of many, and a success is its own matter.
    if count < 2 || (count >= threshold && many.ended_by == many.outcome) {
        return None;
    }
    let what = match many.distinct {
        Distinct::Profile => "instance profiles",
        Distinct::Event => "denials",
    };
    let window =
        humantime::format_duration(Duration::from_millis(definition.window.unsigned_abs()));
    let why = if count < threshold {
        format!("{count} {what} of one principal within {window}; it takes {threshold}")
    } else {
        format!("{count} {what}, and no success of that principal within {window} after them")
    };
    Some(Missing {
        kind: definition.kind,
        event_id: step.event_id.clone(),
        why: vec![why],
    })
}
