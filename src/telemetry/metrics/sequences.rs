//! Metrics of sequences.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGaugeVec};

use super::{Maker, Metrics};
use crate::model::SequenceKind;
use crate::pipeline::Tally;

/// The families.
#[derive(Debug)]
pub(super) struct SequenceMetrics {
    sequences: IntCounterVec,
    steps: IntCounter,
    steps_dropped: IntCounterVec,
    state_steps: IntGaugeVec,
    rebuilding: IntGaugeVec,
    rebuild_duration: Histogram,
}

/// Why a step completes nothing, or nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dropped {
    /// Its topic does not take it.
    Refused,
    /// So many came after it that it was forgotten before its time.
    TooMany,
}

impl Dropped {
    /// Every reason, in the order of their declaration.
    const ALL: [Self; 2] = [Self::Refused, Self::TooMany];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::TooMany => "too_many",
        }
    }
}

impl SequenceMetrics {
    pub(super) fn new(new: &Maker<'_>) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            sequences: new.counters(
                "sequences_total",
                "Sequences found, by kind and by what they mean for the alarm.",
                &["kind", "verdict"],
            )?,
            steps: new.counter("sequence_steps_total", "Steps of sequences found in records.")?,
            steps_dropped: new.counters(
                "sequence_steps_dropped_total",
                "Steps that complete no sequence (any more): refused by their topic, or forgotten early because there are too many.",
                &["reason"],
            )?,
            state_steps: new.gauges(
                "sequence_state_steps",
                "Steps of sequences that a worker remembers.",
                &["worker"],
            )?,
            rebuilding: new.gauges(
                "sequence_partitions_rebuilding",
                "Partitions of the topic of steps that are being read again, up to where they go on.",
                &["worker"],
            )?,
            rebuild_duration: new.histogram(
                "sequence_rebuild_seconds",
                "Time to read a partition of the topic of steps again, up to where it goes on.",
                prometheus::exponential_buckets(0.01, 2.0, 16)?,
            )?,
        };
        for kind in SequenceKind::ALL {
            let labels = [kind.as_str(), kind.verdict().as_str()];
            let _ = metrics.sequences.with_label_values(&labels);
        }
        for reason in Dropped::ALL {
            let _ = metrics.steps_dropped.with_label_values(&[reason.as_str()]);
        }
        Ok(metrics)
    }

    pub(super) fn settled(&self, tally: &Tally) {
        self.steps.inc_by(tally.steps);
        let counts = SequenceKind::ALL.into_iter().zip(tally.sequences);
        for (kind, count) in counts.filter(|(_, count)| *count > 0) {
            let labels = [kind.as_str(), kind.verdict().as_str()];
            self.sequences.with_label_values(&labels).inc_by(count);
        }
    }
}

impl Metrics {
    /// Steps complete nothing, or nothing any more.
    pub fn steps_dropped(&self, reason: Dropped, steps: u64) {
        let family = &self.of_sequences.steps_dropped;
        family.with_label_values(&[reason.as_str()]).inc_by(steps);
    }

    /// So many steps a worker remembers now, and so many partitions it reads again.
    pub fn remembered(&self, worker: &str, steps: usize, rebuilding: usize) {
        for (family, count) in [
            (&self.of_sequences.state_steps, steps),
            (&self.of_sequences.rebuilding, rebuilding),
        ] {
            let gauge = family.with_label_values(&[worker]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// A partition of the topic of steps was read again.
    pub fn rebuilt(&self, took: Duration) {
        self.of_sequences
            .rebuild_duration
            .observe(took.as_secs_f64());
    }
}
