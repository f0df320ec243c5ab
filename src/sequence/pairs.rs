//! A role out of a profile, and what was done to that profile next.
//!
//! A profile holds one role. So what follows a removal in the order of events is what became of the profile then, and of
//! two removals in a row, the second alone has it.

use super::kinds::is_removal;
use super::state::{Steps, between};
use crate::finding::Step;

/// Each removal that has a next step, with that, if one of them is the new one. `steps` are those of the profile that were
/// known before.
pub(super) fn completed<'a>(
    steps: &'a Steps,
    new: &'a Step,
    window: i64,
) -> Vec<(&'a Step, &'a Step)> {
    let from = new.event_time.saturating_sub(window);
    let to = new.event_time.saturating_add(window);
    let mut near: Vec<&Step> = between(steps, from, to).collect();
    let rank = |step: &Step| (step.event_time, !is_removal(step));
    let place = near.partition_point(|step| {
        (rank(step), step.event_id.as_str()) < (rank(new), new.event_id.as_str())
    });
    near.insert(place, new);
    let mut pairs = Vec::new();
    if is_removal(new) {
        pairs.extend(next(&near, place).map(|next| (new, next)));
        return pairs;
    }
    // The removals before it, back to the time of the nearest: before that none has it as its next.
    let mut nearest = None;
    for (at, step) in near.iter().enumerate().take(place).rev() {
        if nearest.is_some_and(|time| step.event_time < time) {
            break;
        }
        if !is_removal(step) {
            continue;
        }
        nearest = Some(step.event_time);
        if next(&near, at).is_some_and(|next| std::ptr::eq(next, new)) {
            pairs.push((*step, new));
        }
    }
    pairs.reverse();
    pairs.retain(|(removal, next)| next.event_time.saturating_sub(removal.event_time) <= window);
    pairs
}

/// What follows the removal at a place: nothing where another removal is next. Within one second the order is not known,
/// so the removals of that second are passed over, and so is the same role, which may have come in before it went out.
fn next<'a>(near: &[&'a Step], place: usize) -> Option<&'a Step> {
    let removal = near.get(place)?;
    for step in near.iter().skip(place + 1) {
        let is_same_second = step.event_time == removal.event_time;
        if is_removal(step) {
            if is_same_second {
                continue;
            }
            return None;
        }
        if is_same_second && step.role.is_some() && step.role == removal.role {
            continue;
        }
        return Some(step);
    }
    None
}
