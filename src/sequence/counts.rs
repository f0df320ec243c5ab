//! Many of the same by one principal, and a success after many denials.
//!
//! A number is reached at an event where so many lie within the window that ends with it. That is said once: where it was
//! reached at another event less than a window away already, it still goes on. It is decided by the steps that are
//! remembered, and by nothing that was said before, so that it is the same wherever reading began.

use std::collections::HashMap;

use super::kinds::{Distinct, Many, is_removal};
use super::state::{Steps, between};
use crate::finding::Step;

/// What was reached.
pub(super) struct Reached<'a> {
    /// How many there are of what is counted.
    pub(super) count: u64,
    /// As many of them as it takes, the latest, by time; the last is the one that it is about.
    pub(super) steps: Vec<&'a Step>,
}

/// The highest number that the new step makes reached, if there is one. `steps` are those of the principal that were
/// known before.
pub(super) fn completed<'a>(
    steps: &'a Steps,
    new: &'a Step,
    window: i64,
    many: &Many,
) -> Option<Reached<'a>> {
    if many.counts(new).is_none() && !many.is_ended_by(new) {
        return None;
    }
    let time = new.event_time;
    let twice = window.saturating_mul(2);
    let from = time.saturating_sub(twice);
    let before: Vec<&Step> = between(steps, from, time.saturating_add(twice))
        .filter(|step| many.counts(step).is_some() || many.is_ended_by(step))
        .collect();
    let mut after = before.clone();
    let place = before.partition_point(|step| {
        (step.event_time, &step.event_id) < (new.event_time, &new.event_id)
    });
    after.insert(place, new);
    let (counts_before, counts_after) =
        (counts(&before, window, many), counts(&after, window, many));
    // The counts before, by the places after.
    let (earlier, later) = counts_before.split_at_checked(place)?;
    let known: Vec<u64> = [earlier, &[0], later].concat();
    many.thresholds.iter().rev().find_map(|threshold| {
        let is_reached = |count: u64| count >= *threshold;
        let (end, count) = after
            .iter()
            .zip(&counts_after)
            .zip(&known)
            .find(|((_, count), known)| is_reached(**count) && !is_reached(**known))
            .map(|((end, count), _)| (*end, *count))?;
        let is_near =
            |step: &Step| step.event_time.abs_diff(end.event_time) <= window.unsigned_abs();
        let mut reached = before.iter().zip(&counts_before);
        let goes_on = reached.any(|(step, count)| is_reached(*count) && is_near(step));
        (!goes_on).then(|| Reached {
            count,
            steps: latest(&after, end, window, many, *threshold),
        })
    })
}

/// At each step that can be the end, how many different ones lie within the window that ends with it; else 0.
fn counts(near: &[&Step], window: i64, many: &Many) -> Vec<u64> {
    let mut within: HashMap<&str, u64> = HashMap::new();
    let (mut first, mut end) = (0, 0);
    let mut counts = Vec::with_capacity(near.len());
    for step in near {
        // Those of the same second count: which of them was first, nobody knows.
        while let Some(next) = near.get(end).filter(|it| it.event_time <= step.event_time) {
            if let Some(value) = many.counts(next) {
                *within.entry(value).or_default() += 1;
            }
            end += 1;
        }
        let oldest = step.event_time.saturating_sub(window);
        while let Some(old) = near.get(first).filter(|it| it.event_time < oldest) {
            if let Some(value) = many.counts(old)
                && let Some(times) = within.get_mut(value)
            {
                *times -= 1;
                if *times == 0 {
                    within.remove(value);
                }
            }
            first += 1;
        }
        let is_end = many.is_ended_by(step);
        counts.push(if is_end { within.len() as u64 } else { 0 });
    }
    counts
}

/// The end, and before it the latest different ones within its window, as many as it takes.
fn latest<'a>(
    near: &[&'a Step],
    end: &'a Step,
    window: i64,
    many: &Many,
    threshold: u64,
) -> Vec<&'a Step> {
    let oldest = end.event_time.saturating_sub(window);
    let mut found = vec![end];
    let mut values: Vec<&str> = many.counts(end).into_iter().collect();
    let within = |step: &&&Step| (oldest..=end.event_time).contains(&step.event_time);
    for step in near.iter().rev().filter(within) {
        if values.len() as u64 >= threshold {
            break;
        }
        if let Some(value) = many.counts(step).filter(|value| !values.contains(value)) {
            values.push(value);
            found.push(step);
        }
    }
    found.reverse();
    found
}

impl Many {
    /// What makes a step one that counts: none where it does not.
    pub(super) fn counts<'a>(&self, step: &'a Step) -> Option<&'a str> {
        let is_expected = step.allow_listed || step.service;
        let counts = is_removal(step)
            && step.outcome == self.outcome
            && !(self.without_expected && is_expected);
        match self.distinct {
            _ if !counts => None,
            Distinct::Profile => step.profile.as_deref(),
            Distinct::Event => Some(&step.event_id),
        }
    }

    /// Whether a step can be the end of it.
    fn is_ended_by(&self, step: &Step) -> bool {
        is_removal(step)
            && step.outcome == self.ended_by
            && (self.ended_by != self.outcome || self.counts(step).is_some())
    }
}
