//! Topics, a configuration and a stream of messages for the tests of delivery, and how they look at what came out.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::records::{counts, differences, other, ours};
use super::support::{Broker, Message, PATIENCE, Settings, Trailtag, unique, wait_until};

/// One in this many messages is a finding.
pub(super) const EVERY: usize = 20;

/// Topics and a configuration of a test's own.
pub(super) struct Stage<'a> {
    pub(super) broker: &'a Broker,
    pub(super) group: String,
    pub(super) input: String,
    pub(super) output: String,
    pub(super) dead_letters: String,
}

impl Stage<'static> {
    pub(super) fn new(partitions: i32) -> Self {
        Self::on(Broker::shared(), partitions)
    }
}

impl<'a> Stage<'a> {
    pub(super) fn on(broker: &'a Broker, partitions: i32) -> Self {
        Self {
            broker,
            group: unique("group"),
            input: broker.topic("in", partitions),
            output: broker.topic("out", 1),
            dead_letters: broker.topic("dead", 1),
        }
    }

    pub(super) fn settings(&self, guarantee: &str) -> Settings {
        Settings::new(
            self.broker,
            &self.group,
            &self.input,
            &self.output,
            &self.dead_letters,
        )
        .set("/delivery/guarantee", guarantee)
        .set("/delivery/linger", "20ms")
        .set("/delivery/commit_interval", "200ms")
        .set(
            "/kafka/consumer",
            serde_json::json!({"session.timeout.ms": "6000"}),
        )
    }

    /// One of several processes of one group.
    pub(super) fn member(&self, name: &str) -> Trailtag {
        let prefix = format!("{}-{name}", self.group);
        let settings = self
            .settings("exactly_once")
            .set("/delivery/transactional_id_prefix", prefix)
            // Dynamic members hand their partitions over at once when they leave.
            .set("/kafka/consumer/group.instance.id", "");
        Trailtag::start(&settings)
    }

    pub(super) fn committed(&self, partition: i32) -> Option<i64> {
        self.broker
            .committed_offset(&self.group, &self.input, partition)
    }

    /// Waits until everything in the input is settled.
    pub(super) fn wait_settled(&self, partitions: i32) {
        for partition in 0..partitions {
            let end = self.broker.end_offset(&self.input, partition);
            wait_until(
                PATIENCE,
                &format!("partition {partition} is committed up to {end}"),
                || match self.committed(partition) {
                    _ if end == 0 => Ok(()),
                    Some(offset) if offset == end => Ok(()),
                    seen => Err(format!("{seen:?}")),
                },
            );
        }
    }

    /// What a topic holds, once the transactions on it have ended: a commit returns before its marks are written.
    pub(super) fn read(&self, topic: &str) -> Vec<Message> {
        self.broker.wait_settled(topic);
        self.broker.read_committed(topic)
    }

    /// Does `work` while messages come, a few every moment, and gives how many came.
    pub(super) fn while_messages_come(&self, partitions: usize, work: impl FnOnce()) -> usize {
        /// Ends the stream, also where the work fails.
        struct Stop<'a>(&'a AtomicBool);
        impl Drop for Stop<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let stream = scope.spawn(|| {
                let mut produced = 0;
                while !stop.load(Ordering::Relaxed) {
                    let batch = messages(produced..produced + 200, partitions);
                    self.broker.produce_many(&self.input, batch);
                    produced += 200;
                    std::thread::sleep(Duration::from_millis(20));
                }
                produced
            });
            let stop = Stop(&stop);
            work();
            drop(stop);
            stream.join().unwrap()
        })
    }

    /// Each of these findings is there once, and nothing else.
    pub(super) fn assert_each_once(&self, expected: impl Iterator<Item = usize>) {
        let messages = self.read(&self.output);
        if let Some(differences) = differences(&messages, expected) {
            panic!("{differences}");
        }
    }

    /// Each of these findings is there: once, or at least once.
    pub(super) fn assert_delivered(
        &self,
        guarantee: &str,
        expected: impl IntoIterator<Item = usize>,
    ) {
        if guarantee == "exactly_once" {
            return self.assert_each_once(expected.into_iter());
        }
        // What shared a batch with a failed message was on its way with it, and may come again.
        let counts = counts(&self.read(&self.output));
        for number in expected {
            assert!(
                counts.contains_key(&number),
                "{number} is missing: {counts:?}"
            );
        }
    }
}

/// Message number `number`: one in [`EVERY`] is ours.
pub(super) fn message(number: usize) -> Vec<u8> {
    if number.is_multiple_of(EVERY) {
        ours(number)
    } else {
        other(number)
    }
}

/// Messages with these numbers, dealt out to so many partitions.
pub(super) fn messages(
    numbers: Range<usize>,
    partitions: usize,
) -> impl Iterator<Item = (i32, Vec<u8>)> {
    numbers.map(move |number| {
        let partition = i32::try_from(number % partitions).unwrap();
        (partition, message(number))
    })
}

pub(super) fn findings(messages: usize) -> impl Iterator<Item = usize> {
    (0..messages).filter(|number| number.is_multiple_of(EVERY))
}

/// How many messages it has forwarded.
pub(super) fn forwarded(trailtag: &Trailtag) -> f64 {
    trailtag.metric("trailtag_forwarded_total", &[]).unwrap()
}

/// Waits until it has forwarded more than so many.
pub(super) fn wait_forwarded(trailtag: &Trailtag, beyond: f64) {
    wait_until(PATIENCE, &format!("it forwards more than {beyond}"), || {
        let now = forwarded(trailtag);
        if now > beyond {
            Ok(())
        } else {
            Err(format!("{now}; its log:\n{}", trailtag.log()))
        }
    });
}
