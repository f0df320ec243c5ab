//! Where the reading of a partition begins: what the group committed, held against what the log holds now.
//!
//! Pure. The library is told never to choose by itself (`auto.offset.reset` is `error`): what it would do in silence is
//! decided here, and said. A committed offset counts only for the topic that it was committed for, which its metadata
//! names by the topic's id (KIP-516); beyond the end of the log it counts for nothing.

use super::committed_offsets::CommittedOffset;
use super::place::{LeaderEpoch, Place};
use crate::telemetry::metrics::ResetReason;

/// What the brokers say about a partition now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogBounds {
    /// The topic's id.
    pub topic_id: Option<String>,
    /// The offset of the first message that is still there.
    pub begin: i64,
    /// The offset behind the last message.
    pub end: i64,
    /// The offset behind the last message that readers of committed messages may see.
    pub stable_end: i64,
}

/// Where a partition begins for which nothing was committed: `auto.offset.reset` of `kafka.consumer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FirstStart {
    /// At the first message that is there.
    #[default]
    Earliest,
    /// Behind the last one.
    Latest,
    /// Nowhere: an offset has to be committed for it.
    Refuse,
}

impl FirstStart {
    /// What a value of librdkafka's property means.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        match value {
            "latest" | "largest" | "end" => Self::Latest,
            "error" => Self::Refuse,
            _ => Self::Earliest,
        }
    }
}

/// A committed offset that is left for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reset {
    /// Why.
    pub reason: ResetReason,
    /// The offset that was committed.
    pub from: i64,
    /// Messages that are gone and were never read.
    pub gone: i64,
    /// Messages that may have been read before and are read again.
    pub again: i64,
}

/// Where a partition begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The place.
    pub place: Place,
    /// The leader epoch of the message before it.
    pub epoch: LeaderEpoch,
    /// Before the place, where reading begins so as to remember what was remembered there; of the topic of steps.
    pub remembered_from: Option<i64>,
    /// An offset that the log has: where reading begins, or where it ended when it was asked.
    pub within: i64,
    /// The id of the topic that it is a place in.
    pub topic_id: Option<String>,
    /// What is not as the group left it.
    pub reset: Option<Reset>,
}

impl Start {
    /// Where reading begins, with the leader epoch that goes with it where that is known.
    #[must_use]
    pub fn read_from(&self) -> (i64, LeaderEpoch) {
        self.remembered_from
            .map_or((self.place.offset, self.epoch), |offset| (offset, None))
    }
}

/// Decides where a partition begins; none where `first` refuses to.
#[must_use]
pub fn decide(
    committed: Option<&CommittedOffset>,
    log: &LogBounds,
    first: FirstStart,
) -> Option<Start> {
    let start = |offset, reset| Start {
        place: Place::at(offset),
        epoch: None,
        remembered_from: None,
        within: offset,
        topic_id: log.topic_id.clone(),
        reset,
    };
    let as_new = |reset| match first {
        FirstStart::Earliest => Some(start(log.begin, reset)),
        FirstStart::Latest => Some(start(log.stable_end, reset)),
        FirstStart::Refuse => None,
    };
    let Some(committed) = committed else {
        return as_new(None);
    };
    let reset = |reason, gone, again| {
        Some(Reset {
            reason,
            from: committed.offset,
            gone,
            again,
        })
    };
    if let (Some(old), Some(new)) = (&committed.metadata.topic_id, &log.topic_id)
        && old != new
    {
        return as_new(reset(ResetReason::TopicRecreated, 0, 0));
    }
    if committed.offset < log.begin {
        let gone = log.begin - committed.offset;
        return Some(start(log.begin, reset(ResetReason::Expired, gone, 0)));
    }
    // With an epoch, the partition's leader says where the log was cut, when the reading begins there. Without one, nobody
    // can tell which messages are new: better all of them again than one of them never.
    if committed.offset > log.end && committed.epoch.is_none() {
        let again = log.end - log.begin;
        return Some(start(log.begin, reset(ResetReason::Truncated, 0, again)));
    }
    let remembered_from = committed.metadata.remembered_from;
    let remembered_from = remembered_from
        .map(|offset| offset.max(log.begin))
        // Where all of it is gone, the leader is asked where the log was cut.
        .filter(|offset| *offset < committed.offset && *offset <= log.end);
    Some(Start {
        place: Place {
            offset: committed.offset,
            elements: committed.metadata.elements,
        },
        epoch: committed.epoch,
        remembered_from,
        within: remembered_from.unwrap_or(committed.offset).min(log.end),
        topic_id: log.topic_id.clone(),
        reset: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::committed_offsets::OffsetMetadata;

    fn log() -> LogBounds {
        LogBounds {
            topic_id: Some("new".to_owned()),
            begin: 100,
            end: 200,
            stable_end: 190,
        }
    }

    fn committed(
        offset: i64,
        epoch: LeaderEpoch,
        topic_id: Option<&str>,
        elements: u32,
    ) -> CommittedOffset {
        CommittedOffset {
            offset,
            epoch,
            metadata: OffsetMetadata {
                topic_id: topic_id.map(str::to_owned),
                elements,
                remembered_from: None,
            },
        }
    }

    fn decided(
        committed: Option<&CommittedOffset>,
        first: FirstStart,
    ) -> (i64, u32, Option<Reset>) {
        let start = decide(committed, &log(), first).unwrap();
        assert_eq!(start.topic_id.as_deref(), Some("new"));
        (start.place.offset, start.place.elements, start.reset)
    }

    #[test]
    fn without_a_committed_offset_the_user_decides() {
        assert_eq!(decided(None, FirstStart::Earliest), (100, 0, None));
        assert_eq!(decided(None, FirstStart::Latest), (190, 0, None));
        assert_eq!(decide(None, &log(), FirstStart::Refuse), None);
        for (value, first) in [
            ("earliest", FirstStart::Earliest),
            ("beginning", FirstStart::Earliest),
            ("smallest", FirstStart::Earliest),
            ("latest", FirstStart::Latest),
            ("end", FirstStart::Latest),
            ("largest", FirstStart::Latest),
            ("error", FirstStart::Refuse),
        ] {
            assert_eq!(FirstStart::parse(value), first, "{value}");
        }
    }

    #[test]
    fn a_committed_offset_within_the_log_is_where_it_goes_on_whatever_the_first_start() {
        for first in [FirstStart::Earliest, FirstStart::Latest, FirstStart::Refuse] {
            for offset in [100, 150, 200] {
                for id in [None, Some("new")] {
                    let committed = committed(offset, Some(3), id, 7);
                    assert_eq!(decided(Some(&committed), first), (offset, 7, None));
                }
            }
        }
    }

    #[test]
    fn what_was_remembered_is_read_from_where_it_lies_still() {
        for (from, expected) in [(150, Some(150)), (40, Some(100)), (180, None), (190, None)] {
            let mut committed = committed(180, Some(3), Some("new"), 0);
            committed.metadata.remembered_from = Some(from);
            let start = decide(Some(&committed), &log(), FirstStart::Latest).unwrap();
            assert_eq!(start.remembered_from, expected, "{from}");
            assert_eq!(start.place, Place::at(180));
            let read_from = expected.map_or((180, Some(3)), |offset| (offset, None));
            assert_eq!(start.read_from(), read_from);
            assert_eq!(start.within, read_from.0);
        }
        // Of a log that was cut before it, the leader is asked at the committed place, with its epoch.
        let mut cut = committed(300, Some(3), Some("new"), 0);
        cut.metadata.remembered_from = Some(250);
        let start = decide(Some(&cut), &log(), FirstStart::Earliest).unwrap();
        assert_eq!(start.read_from(), (300, Some(3)));
        assert_eq!(start.within, 200);
        // Of another topic, nothing of it counts.
        let mut old = committed(150, Some(3), Some("old"), 0);
        old.metadata.remembered_from = Some(120);
        let start = decide(Some(&old), &log(), FirstStart::Earliest).unwrap();
        assert_eq!((start.remembered_from, start.within), (None, 100));
    }

    #[test]
    fn an_offset_of_a_topic_that_was_deleted_counts_for_nothing() {
        let old = committed(150, Some(3), Some("old"), 7);
        let reset = Some(Reset {
            reason: ResetReason::TopicRecreated,
            from: 150,
            gone: 0,
            again: 0,
        });
        assert_eq!(decided(Some(&old), FirstStart::Earliest), (100, 0, reset));
        assert_eq!(decided(Some(&old), FirstStart::Latest), (190, 0, reset));
        assert_eq!(decide(Some(&old), &log(), FirstStart::Refuse), None);
    }

    #[test]
    fn what_expired_is_counted_and_passed_whatever_the_first_start() {
        let reset = Some(Reset {
            reason: ResetReason::Expired,
            from: 40,
            gone: 60,
            again: 0,
        });
        let old = committed(40, Some(3), Some("new"), 7);
        for first in [FirstStart::Earliest, FirstStart::Latest, FirstStart::Refuse] {
            assert_eq!(decided(Some(&old), first), (100, 0, reset));
        }
    }

    #[test]
    fn beyond_the_end_the_leader_is_asked_and_without_an_epoch_all_is_read_again() {
        let known = committed(300, Some(3), Some("new"), 0);
        assert_eq!(decided(Some(&known), FirstStart::Latest), (300, 0, None));
        let start = decide(Some(&known), &log(), FirstStart::Latest).unwrap();
        assert_eq!((start.within, start.epoch), (200, Some(3)));
        let unknown = committed(300, None, None, 0);
        let reset = Some(Reset {
            reason: ResetReason::Truncated,
            from: 300,
            gone: 0,
            again: 100,
        });
        assert_eq!(decided(Some(&unknown), FirstStart::Latest), (100, 0, reset));
    }
}
