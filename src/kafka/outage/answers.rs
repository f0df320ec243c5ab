//! Which brokers answer one client, as its statistics have it.
//!
//! Pure. In flow librdkafka's statistics, every five seconds; out flow the brokers that answer, those that were asked and do
//! not, and for how long the group's coordinator has not answered.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::statistics::{Broker, Statistics};

use crate::telemetry::health::Silent;

/// A broker from which nothing came for this long, though it was asked something, does not answer.
const HUNG_AFTER: Duration = Duration::from_secs(8);
/// A broker that was not heard for this long, though it was not asked either, proves nothing. Every client asks for
/// metadata twice in that time.
pub(super) const UNHEARD_AFTER: Duration = Duration::from_secs(65);

/// Which brokers answer one client, as its statistics have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerAnswers {
    /// The addresses of those that do.
    pub answering: BTreeSet<String>,
    /// The addresses of those that were asked and do not.
    pub hung: BTreeSet<String>,
    /// For how long the group's coordinator has not answered; none where it does.
    pub uncoordinated: Option<Duration>,
}

impl BrokerAnswers {
    /// Who does not answer, and for how long already, as far as that can be seen.
    #[must_use]
    pub fn silence(&self) -> (Option<Silent>, Duration) {
        if self.answering.is_empty() {
            (Some(Silent::Brokers), Duration::ZERO)
        } else if let Some(for_long) = self.uncoordinated {
            (Some(Silent::Coordinator), for_long)
        } else {
            (None, Duration::ZERO)
        }
    }

    pub(super) fn from_statistics(statistics: &Statistics) -> Self {
        let group = statistics.cgrp.as_ref();
        // A broker answers who wants to join when all members have come.
        let is_joining = group.is_some_and(|group| {
            group.join_state.starts_with("wait-join") || group.join_state.starts_with("wait-sync")
        });
        let is_coordinator = |broker: &Broker| broker.source == "logical";
        let is_hung = |broker: &Broker| {
            is_up(broker)
                && broker.waitresp_cnt > 0
                && heard(broker).is_some_and(|idle| idle > HUNG_AFTER)
                && !(is_joining && is_coordinator(broker))
        };
        let mut answers = Self {
            uncoordinated: group
                .filter(|group| group.state != "up")
                .map(|group| milliseconds(group.stateage)),
            ..Self::default()
        };
        for broker in statistics.brokers.values() {
            if broker.nodename.is_empty() || !broker.nodename.contains(':') {
                continue;
            }
            if is_hung(broker) {
                answers.hung.insert(broker.nodename.clone());
                if is_coordinator(broker) {
                    answers.uncoordinated = heard(broker);
                }
            } else if is_up(broker) && heard(broker).is_some_and(|idle| idle < UNHEARD_AFTER) {
                answers.answering.insert(broker.nodename.clone());
            }
        }
        // One address may have several connections: one that hangs speaks for the broker.
        for address in &answers.hung {
            answers.answering.remove(address);
        }
        answers
    }
}

fn is_up(broker: &Broker) -> bool {
    matches!(&*broker.state, "UP" | "UPDATE")
}

/// How long nothing has come on the present connection.
fn heard(broker: &Broker) -> Option<Duration> {
    (broker.rxidle >= 0).then(|| microseconds(broker.rxidle))
}

pub(super) fn microseconds(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or_default())
}

fn milliseconds(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or_default())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::kafka::outage) fn broker(
        name: &str,
        source: &str,
        waiting: i64,
        idle: i64,
    ) -> (String, Broker) {
        let broker = Broker {
            name: name.to_owned(),
            source: source.to_owned(),
            nodename: "a:1".to_owned(),
            state: "UP".to_owned(),
            waitresp_cnt: waiting,
            rxidle: idle,
            ..Broker::default()
        };
        (name.to_owned(), broker)
    }

    pub(in crate::kafka::outage) fn statistics(
        join_state: &str,
        brokers: [(String, Broker); 2],
    ) -> Statistics {
        let group = rdkafka::statistics::ConsumerGroup {
            state: "up".to_owned(),
            join_state: join_state.to_owned(),
            ..rdkafka::statistics::ConsumerGroup::default()
        };
        Statistics {
            cgrp: Some(group),
            brokers: brokers.into_iter().collect(),
            ..Statistics::default()
        }
    }

    #[test]
    fn a_broker_that_was_asked_and_says_nothing_hangs_unless_it_waits_for_members() {
        let brokers = || {
            [
                broker("a:1/1", "learned", 0, 100_000),
                broker("GroupCoordinator", "logical", 1, 9_000_000),
            ]
        };
        let hangs = BrokerAnswers::from_statistics(&statistics("steady", brokers()));
        assert!(
            hangs.answering.is_empty() && hangs.uncoordinated.is_some(),
            "{hangs:?}"
        );
        let joins = BrokerAnswers::from_statistics(&statistics("wait-join", brokers()));
        assert!(
            joins.hung.is_empty() && joins.uncoordinated.is_none(),
            "{joins:?}"
        );
        assert!(joins.answering.contains("a:1"), "{joins:?}");
    }
}
