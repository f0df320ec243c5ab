//! Error codes of brokers as numbers.
//!
//! The declarations of the binding give them an enum's type, which has gaps (101 to 109, 119 to 128) and an end. librdkafka
//! hands on whatever number a broker sends, and a newer broker's is none of the enum's: undefined behaviour, were it taken
//! for one. So the calls that can return one are declared here once more, with what C returns: an int.

use std::ffi::c_int;

use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;
use tracing::warn;

unsafe extern "C" {
    /// The error of an answer as a whole.
    pub(super) fn rd_kafka_event_error(event: *mut sys::rd_kafka_event_t) -> c_int;
    /// The code of an error, which may be null.
    pub(super) fn rd_kafka_error_code(error: *const sys::rd_kafka_error_t) -> c_int;
    /// Sends a commit whose answer comes to a queue.
    pub(super) fn rd_kafka_commit_queue(
        client: *mut sys::rd_kafka_t,
        offsets: *const sys::rd_kafka_topic_partition_list_t,
        answers: *mut sys::rd_kafka_queue_t,
        callback: *const std::ffi::c_void,
        opaque: *mut std::ffi::c_void,
    ) -> c_int;
}

/// What a code says: an error, or none.
pub(super) fn judge(code: c_int) -> Result<(), RDKafkaErrorCode> {
    if code == 0 {
        return Ok(());
    }
    match RDKafkaRespErr::try_from(code) {
        // The end of the enum, which is a newer broker's first code.
        Ok(RDKafkaRespErr::RD_KAFKA_RESP_ERR_END_ALL) | Err(_) => {
            warn!(
                code,
                "the broker answered with an error code that this version does not know"
            );
            Err(RDKafkaErrorCode::Unknown)
        }
        Ok(known) => Err(known.into()),
    }
}

/// What is wrong with one partition of a list.
///
/// # Safety
///
/// `element` must be live.
pub(super) unsafe fn of_partition(
    element: *const sys::rd_kafka_topic_partition_t,
) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: the caller vouches for it; the field is an int that C has written, read as one.
    judge(unsafe { (&raw const (*element).err).cast::<c_int>().read() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_an_answer() {
        assert_eq!(judge(0), Ok(()));
        assert_eq!(judge(-185), Err(RDKafkaErrorCode::OperationTimedOut));
        assert_eq!(judge(29), Err(RDKafkaErrorCode::TopicAuthorizationFailed));
        for unknown in [101, 109, 119, 128, 130, 131, 1000, c_int::MIN, c_int::MAX] {
            assert_eq!(judge(unknown), Err(RDKafkaErrorCode::Unknown), "{unknown}");
        }
        for code in -200..200 {
            assert!(judge(code).is_err() || code == 0, "{code}");
        }
    }

    #[test]
    fn a_partitions_code_is_read_as_a_number() {
        // SAFETY: all zeros are a valid element; its code is then set as C sets it, and never read as an enum.
        let error = unsafe {
            let mut element = std::mem::MaybeUninit::<sys::rd_kafka_topic_partition_t>::zeroed();
            let place = element.as_mut_ptr();
            (&raw mut (*place).err).cast::<c_int>().write(131);
            of_partition(place)
        };
        assert_eq!(error, Err(RDKafkaErrorCode::Unknown));
    }
}
