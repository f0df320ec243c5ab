//! What several events say together: how long steps are remembered, and how many.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;
use crate::model::fault::Fault;

/// The longest time from the first to the last event of a built-in sequence.
const LONGEST: Duration = Duration::from_hours(1);

/// Sequences: what several events say together, such as one role taken out of an instance profile and another put in.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sequences {
    /// The topic through which the workers of `run` share the steps of sequences: they write it and read it, in their
    /// group. `run` looks for sequences only where this is named; `process` and `explain` need no topic.
    pub topic: String,
    /// How long a step is remembered: the longest time from the first to the last event of a sequence. At least `1h`.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "schema::duration")]
    pub window: Duration,
    /// How much later than its predecessors a record may arrive and still complete a sequence with them.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "schema::duration")]
    pub lateness: Duration,
    /// The most steps that are remembered of each partition of the topic of steps, and by `process` in all; beyond it, the
    /// oldest are forgotten. A step takes about 3 KB of memory; one with a record of more than 4 KiB counts as several.
    #[schemars(range(min = 100))]
    pub max_steps: usize,
}

impl Default for Sequences {
    fn default() -> Self {
        Self {
            topic: String::new(),
            window: LONGEST,
            lateness: Duration::from_mins(15),
            max_steps: 10_000,
        }
    }
}

impl Sequences {
    /// What is wrong with it.
    pub(super) fn check(&self, faults: &mut Vec<Fault>) {
        if self.window < LONGEST {
            let window = humantime::format_duration(self.window);
            faults.push(Fault::new(
                "sequences.window",
                format!(
                    "{window} is shorter than a sequence may take, from its first event to its last"
                ),
                "write `1h` or more",
            ));
        }
    }
}
