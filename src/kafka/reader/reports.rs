//! What a worker's consumer shows in the metrics: how far its partitions are, and what is remembered of steps.

use rdkafka::consumer::Consumer;

use super::Reader;
use crate::telemetry::metrics::Lag;

impl Reader {
    /// Reports what the client's statistics say, and how many partitions stand still; helps the client where it needs it.
    pub fn report(&self) {
        let context = self.consumer.context();
        context
            .rebootstrap
            .if_needed(self.consumer.client(), &self.settings);
        let standing = self
            .positions
            .iter()
            .filter(|position| position.barrier.is_some())
            .count();
        self.metrics.stopped(&self.worker, standing);
        self.health.standing(standing);
        self.report_steps();
        let Some(stats) = context.latest_stats() else {
            return;
        };
        self.metrics.brokers(&self.worker, stats.brokers);
        let (silent, for_long) = stats.answers.silence();
        self.health.silent(silent, for_long, context.why());
        for stats in stats.partitions {
            let partition = (stats.topic, stats.partition);
            // Statistics go on about partitions that are gone; their lag is the new owner's to report.
            if !self.owned.contains(&partition) {
                continue;
            }
            // Ours first: the client forgets where it stands when it is sent back, and a partition that stands still is
            // the last one whose lag may be missing.
            let position = self.positions.of_partition(&partition.0, partition.1);
            let ours = position.map(|position| {
                let next = position.next.max(position.remember_until).offset;
                // Where it stands still, what was fetched is not what was read.
                let stands = self.held || position.barrier.is_some();
                let fetched = stats.fetched.filter(|_| !stands);
                fetched.map_or(next, |fetched| next.max(fetched))
            });
            if let Some(next) = ours.or(stats.next) {
                self.metrics.lag(&Lag {
                    topic: partition.0,
                    partition: partition.1,
                    messages: (stats.end - next).max(0),
                });
            }
        }
    }

    /// Reports what is remembered of the topic of steps.
    fn report_steps(&self) {
        if self.sequences.topic.is_empty() {
            return;
        }
        let (mut remembered, mut rebuilding) = (0, 0);
        for steps in self.positions.iter().filter_map(|it| it.steps.as_ref()) {
            remembered += steps.steps();
            rebuilding += usize::from(steps.is_rebuilding());
        }
        self.metrics
            .remembered(&self.worker, remembered, rebuilding);
    }
}
