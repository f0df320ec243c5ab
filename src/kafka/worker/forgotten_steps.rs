//! Steps that were forgotten before their time: said at most once a minute.

use std::time::{Duration, Instant};

/// At most once in this time it is said.
const PAUSE: Duration = Duration::from_mins(1);

/// What was said of them, and what was not yet.
#[derive(Debug, Default)]
pub(super) struct ForgottenSteps {
    unsaid: u64,
    said: Option<Instant>,
}

impl ForgottenSteps {
    /// Adds so many; returns how many are to be said now, with those before.
    pub(super) fn say(&mut self, steps: u64, now: Instant) -> Option<u64> {
        self.unsaid += steps;
        let is_early = self.said.is_some_and(|said| now < said + PAUSE);
        if self.unsaid == 0 || is_early {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_said_at_once_and_then_once_a_minute_with_all_that_came_since() {
        let begun = Instant::now();
        let mut forgotten = ForgottenSteps::default();
        let mut say = |steps, seconds| forgotten.say(steps, begun + Duration::from_secs(seconds));
        assert_eq!(say(0, 0), None);
        assert_eq!(say(3, 1), Some(3));
        assert_eq!(say(2, 30), None);
        assert_eq!(say(5, 60), None);
        assert_eq!(say(0, 61), Some(7));
        assert_eq!(say(0, 200), None);
        assert_eq!(say(1, 201), Some(1));
    }
}
