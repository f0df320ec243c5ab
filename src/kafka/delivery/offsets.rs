//! The offsets to commit, each with its leader epoch and metadata.

use rdkafka::TopicPartitionList;
use tracing::warn;

use crate::kafka::committed_offsets::OffsetMetadata;
use crate::kafka::ffi;
use crate::kafka::place::{LeaderEpoch, Place};
use crate::kafka::positions::{Position, Positions};

/// The offsets to commit: where `reached` says, of every partition for which it is beyond what is settled.
pub(super) fn offsets_to_commit(
    positions: &Positions,
    reached: impl Fn(&Position) -> (Place, LeaderEpoch),
) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for position in positions.iter() {
        let (place, epoch) = reached(position);
        if place > position.settled {
            add_offset_to_commit(&mut list, position, place, epoch);
        }
    }
    list
}

/// Adds a place of a partition to what is to be committed.
pub(in crate::kafka) fn add_offset_to_commit(
    list: &mut TopicPartitionList,
    position: &Position,
    place: Place,
    epoch: LeaderEpoch,
) {
    let metadata = OffsetMetadata {
        topic_id: position.topic_id.clone(),
        elements: place.elements,
        remembered_from: position.steps.as_ref().map(|it| it.remembered_from()),
    };
    let (topic, partition) = (&position.topic, position.partition);
    let metadata = metadata.to_text();
    if let Err(error) = ffi::add_offset(list, topic, partition, place.offset, epoch, &metadata) {
        // Only an offset that Kafka cannot represent fails here; then it is not committed, which is safe.
        warn!(%error, topic, partition, offset = place.offset, "the offset is left out of the commit");
    }
}
