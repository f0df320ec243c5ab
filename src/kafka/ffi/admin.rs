//! Questions to the brokers that the safe binding does not wrap, or of which it waits for one after the other.
//!
//! Each is sent by a function of its own, which returns at once with the [`Asked`] question; the answer is waited for
//! later, so that several may be on their way together.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_AclOperation_t::{
    RD_KAFKA_ACL_OPERATION_READ, RD_KAFKA_ACL_OPERATION_WRITE,
};
use rdkafka_sys::rd_kafka_admin_op_t::{
    RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
    RD_KAFKA_ADMIN_OP_LISTOFFSETS,
};
use rdkafka_sys::rd_kafka_consumer_group_state_t::RD_KAFKA_CONSUMER_GROUP_STATE_STABLE;
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;

use super::{Owned, code, milliseconds};
use crate::kafka::place::Partition;

/// What the brokers say of each partition, where they say it.
pub(in crate::kafka) type ByPartition<T> = BTreeMap<Partition, Result<T, RDKafkaErrorCode>>;

/// What the brokers say of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct TopicAnswer {
    /// The topic.
    pub(in crate::kafka) name: String,
    /// What is wrong with it.
    pub(in crate::kafka) error: Option<RDKafkaErrorCode>,
    /// The id that it keeps until it is deleted; none from brokers before Kafka 2.8.
    pub(in crate::kafka) id: Option<String>,
    /// How many partitions it has.
    pub(in crate::kafka) partitions: usize,
    /// We may read it.
    pub(in crate::kafka) read: bool,
    /// We may write it.
    pub(in crate::kafka) write: bool,
}

/// What a group has committed for a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct GroupOffset {
    /// The offset.
    pub(in crate::kafka) offset: i64,
    /// The leader epoch of the message before it.
    pub(in crate::kafka) epoch: Option<i32>,
    /// What was written beside it.
    pub(in crate::kafka) metadata: String,
}

/// Which end of a partition is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum LogEnd {
    /// Its first message.
    First,
    /// Behind its last message.
    Last,
    /// Behind the last message that readers of committed messages may see.
    LastStable,
}

/// A question that is on its way. It is forgotten when this is dropped.
pub(in crate::kafka) struct Asked<'a, T> {
    answers: Owned<sys::rd_kafka_queue_t>,
    /// Reads the answer's event.
    read: unsafe fn(*mut sys::rd_kafka_event_t) -> Result<T, RDKafkaErrorCode>,
    /// The client outlives the question.
    client: PhantomData<&'a ()>,
}

impl<T> Asked<'_, T> {
    /// Waits for the answer. An error is that of the question as a whole.
    pub(in crate::kafka) fn answer(&self, wait: Duration) -> Result<T, RDKafkaErrorCode> {
        // SAFETY: the queue lives as long as `self`, and the event until everything is copied out of it; `read` belongs to
        // the question whose answer alone comes to this queue.
        unsafe {
            let event = Owned::new(
                sys::rd_kafka_queue_poll(self.answers.pointer(), milliseconds(wait)),
                sys::rd_kafka_event_destroy,
            )
            .ok_or(RDKafkaErrorCode::OperationTimedOut)?;
            code::judge(code::rd_kafka_event_error(event.pointer()))?;
            (self.read)(event.pointer())
        }
    }
}

/// What a question may be asked with.
#[derive(Clone, Copy)]
enum With {
    /// The answer is to say what we may do.
    Permissions,
    /// The answer is to be what a reader of committed messages sees.
    CommittedOnly,
    /// Nothing.
    Nothing,
}

/// Sends one question, which librdkafka gives up after `patience`.
///
/// # Safety
///
/// `send` must be the request for `operation`, and give nothing of its arguments to anything that outlives it but
/// librdkafka; `read` must be able to read its answer.
unsafe fn send<C: ClientContext, T>(
    client: &Client<C>,
    operation: sys::rd_kafka_admin_op_t,
    patience: Duration,
    option: With,
    send: impl FnOnce(
        *mut sys::rd_kafka_t,
        *const sys::rd_kafka_AdminOptions_t,
        *mut sys::rd_kafka_queue_t,
    ),
    read: unsafe fn(*mut sys::rd_kafka_event_t) -> Result<T, RDKafkaErrorCode>,
) -> Result<Asked<'_, T>, RDKafkaErrorCode> {
    let failed = RDKafkaErrorCode::Fail;
    // SAFETY: every pointer is made here, checked for null, and destroyed once; librdkafka copies the options, and keeps what
    // a request that is still open needs of the queue.
    unsafe {
        let native = client.native_ptr();
        let options = Owned::new(
            sys::rd_kafka_AdminOptions_new(native, operation),
            sys::rd_kafka_AdminOptions_destroy,
        )
        .ok_or(failed)?;
        let timeout = sys::rd_kafka_AdminOptions_set_request_timeout(
            options.pointer(),
            milliseconds(patience),
            std::ptr::null_mut(),
            0,
        );
        if timeout != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(timeout.into());
        }
        let refused = match option {
            With::Permissions => {
                sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.pointer(), 1)
            }
            With::CommittedOnly => sys::rd_kafka_AdminOptions_set_isolation_level(
                options.pointer(),
                sys::rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED,
            ),
            With::Nothing => std::ptr::null_mut(),
        };
        if let Some(refused) = Owned::new(refused, sys::rd_kafka_error_destroy) {
            return code::judge(code::rd_kafka_error_code(refused.pointer()))
                .and(Err(RDKafkaErrorCode::Fail));
        }
        let answers = Owned::new(sys::rd_kafka_queue_new(native), sys::rd_kafka_queue_destroy)
            .ok_or(failed)?;
        send(native, options.pointer(), answers.pointer());
        Ok(Asked {
            answers,
            read,
            client: PhantomData,
        })
    }
}

/// Asks about topics, what we may do with them included.
pub(in crate::kafka) fn describe_topics<'a, C: ClientContext>(
    client: &'a Client<C>,
    topics: &[&str],
    patience: Duration,
) -> Result<Asked<'a, Vec<TopicAnswer>>, RDKafkaErrorCode> {
    let names: Vec<CString> = topics
        .iter()
        .filter_map(|topic| CString::new(*topic).ok())
        .collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: `pointers` and the names behind it outlive the call that copies them, and the collection the one that copies
    // it.
    unsafe {
        let collection = Owned::new(
            sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len()),
            sys::rd_kafka_TopicCollection_destroy,
        )
        .ok_or(RDKafkaErrorCode::Fail)?;
        send(
            client,
            RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            patience,
            With::Permissions,
            |native, options, queue| {
                sys::rd_kafka_DescribeTopics(native, collection.pointer(), options, queue);
            },
            topics_of,
        )
    }
}

/// # Safety
///
/// `event` must be the live answer to DescribeTopics.
unsafe fn topics_of(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<TopicAnswer>, RDKafkaErrorCode> {
    // SAFETY: what the result points to is owned by the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let list = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        Ok(slice(list, count)
            .iter()
            .map(|description| topic(*description))
            .collect())
    }
}

/// Copies one description.
///
/// # Safety
///
/// `description` must be one of a live DescribeTopics result.
unsafe fn topic(description: *const sys::rd_kafka_TopicDescription_t) -> TopicAnswer {
    // SAFETY: the caller vouches for `description`; the name, the id and the operations live as long as it does.
    unsafe {
        let error = code::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(description));
        let mut count = 0;
        let list =
            sys::rd_kafka_TopicDescription_authorized_operations(description, &raw mut count);
        let operations = slice(list, count);
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(description, &raw mut partitions);
        TopicAnswer {
            partitions,
            name: text(sys::rd_kafka_TopicDescription_name(description)),
            error: code::judge(error).err(),
            id: id(sys::rd_kafka_TopicDescription_topic_id(description)),
            read: operations.contains(&RD_KAFKA_ACL_OPERATION_READ),
            write: operations.contains(&RD_KAFKA_ACL_OPERATION_WRITE),
        }
    }
}

/// An id as Kafka's tools print it; none where it is zero, which brokers without ids answer.
///
/// # Safety
///
/// `uuid` must be null or live.
unsafe fn id(uuid: *const sys::rd_kafka_Uuid_t) -> Option<String> {
    // SAFETY: the caller vouches for `uuid`; its text lives as long as it does.
    unsafe {
        let is_zero = uuid.is_null()
            || sys::rd_kafka_Uuid_most_significant_bits(uuid) == 0
                && sys::rd_kafka_Uuid_least_significant_bits(uuid) == 0;
        (!is_zero).then(|| text(sys::rd_kafka_Uuid_base64str(uuid)))
    }
}

/// What the brokers say of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::kafka) struct GroupAnswer {
    /// We may read as a member of it.
    pub(in crate::kafka) read: bool,
    /// Its partitions are dealt out, and nobody comes or goes.
    pub(in crate::kafka) is_stable: bool,
    /// Its members.
    pub(in crate::kafka) members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::kafka) struct GroupMember {
    /// The name of a static member.
    pub(in crate::kafka) instance: Option<String>,
    /// What it was given.
    pub(in crate::kafka) partitions: Vec<Partition>,
}

/// The longest that librdkafka may be told to wait.
const LONGEST: Duration = Duration::from_hours(1);

/// Asks about a group, what we may do included; it need not exist yet.
///
/// A question for a coordinator that librdkafka gives up before it has found the coordinator ends the process when it finds
/// it (`rd_kafka_admin_coord_request` fails what was destroyed). So it is never given up there: who has waited long enough
/// drops the client.
pub(in crate::kafka) fn describe_group<'a, C: ClientContext>(
    client: &'a Client<C>,
    group: &str,
) -> Result<Asked<'a, GroupAnswer>, RDKafkaErrorCode> {
    let name = CString::new(group).map_err(|_| RDKafkaErrorCode::InvalidGroupId)?;
    let mut names = [name.as_ptr()];
    // SAFETY: the name outlives the call that copies it.
    unsafe {
        send(
            client,
            RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            LONGEST,
            With::Permissions,
            |native, options, queue| {
                sys::rd_kafka_DescribeConsumerGroups(
                    native,
                    names.as_mut_ptr(),
                    names.len(),
                    options,
                    queue,
                );
            },
            group_of,
        )
    }
}

/// # Safety
///
/// `event` must be the live answer to DescribeConsumerGroups.
unsafe fn group_of(event: *mut sys::rd_kafka_event_t) -> Result<GroupAnswer, RDKafkaErrorCode> {
    // SAFETY: what the result points to is owned by the event.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let list = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let Some(&description) = slice(list, count).first() else {
            return Err(RDKafkaErrorCode::Fail);
        };
        code::judge(code::rd_kafka_error_code(
            sys::rd_kafka_ConsumerGroupDescription_error(description),
        ))?;
        let list = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(
            description,
            &raw mut count,
        );
        let members = sys::rd_kafka_ConsumerGroupDescription_member_count(description);
        Ok(GroupAnswer {
            read: slice(list, count).contains(&RD_KAFKA_ACL_OPERATION_READ),
            is_stable: sys::rd_kafka_ConsumerGroupDescription_state(description)
                == RD_KAFKA_CONSUMER_GROUP_STATE_STABLE,
            members: (0..members)
                .map(|index| sys::rd_kafka_ConsumerGroupDescription_member(description, index))
                .filter(|member| !member.is_null())
                .map(|member| group_member(member))
                .collect(),
        })
    }
}

/// Copies one member.
///
/// # Safety
///
/// `member` must be one of a live DescribeConsumerGroups result.
unsafe fn group_member(member: *const sys::rd_kafka_MemberDescription_t) -> GroupMember {
    // SAFETY: the caller vouches for `member`; name and assignment live as long as it does.
    unsafe {
        let instance = sys::rd_kafka_MemberDescription_group_instance_id(member);
        let assignment = sys::rd_kafka_MemberDescription_assignment(member);
        let list = if assignment.is_null() {
            std::ptr::null()
        } else {
            sys::rd_kafka_MemberAssignment_partitions(assignment)
        };
        let elements = if list.is_null() {
            &[]
        } else {
            slice((*list).elems, usize::try_from((*list).cnt).unwrap_or(0))
        };
        GroupMember {
            instance: (!instance.is_null()).then(|| text(instance)),
            partitions: elements
                .iter()
                .map(|element| (text(element.topic), element.partition))
                .collect(),
        }
    }
}

/// What a group has committed for the partitions of a list that librdkafka has filled in: none where it has nothing.
pub(in crate::kafka) fn committed_in(
    list: &TopicPartitionList,
) -> ByPartition<Option<GroupOffset>> {
    // SAFETY: the list and what its elements point to live as long as the borrow.
    let elements = unsafe {
        let list = list.ptr();
        slice((*list).elems, usize::try_from((*list).cnt).unwrap_or(0))
    };
    elements
        .iter()
        .map(|element| {
            // SAFETY: as above.
            let (topic, metadata, error) = unsafe {
                let metadata = slice(element.metadata.cast::<u8>(), element.metadata_size);
                (text(element.topic), metadata, code::of_partition(element))
            };
            let offset = error.map(|()| {
                (element.offset >= 0).then(|| GroupOffset {
                    offset: element.offset,
                    epoch: epoch(element),
                    metadata: String::from_utf8_lossy(metadata).into_owned(),
                })
            });
            ((topic, element.partition), offset)
        })
        .collect()
}

/// Asks where partitions begin or end.
pub(in crate::kafka) fn ends<'a, C: ClientContext>(
    client: &'a Client<C>,
    partitions: &[Partition],
    end: LogEnd,
    patience: Duration,
) -> Result<Asked<'a, ByPartition<i64>>, RDKafkaErrorCode> {
    // These have the numbers of librdkafka's `RD_KAFKA_OFFSET_SPEC_*`.
    let (offset, option) = match end {
        LogEnd::First => (Offset::Beginning, With::Nothing),
        LogEnd::Last => (Offset::End, With::Nothing),
        LogEnd::LastStable => (Offset::End, With::CommittedOnly),
    };
    let list = list(partitions, offset)?;
    // SAFETY: the list outlives the call that copies it.
    unsafe {
        send(
            client,
            RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            patience,
            option,
            |native, options, queue| {
                sys::rd_kafka_ListOffsets(native, list.ptr(), options, queue);
            },
            offsets_of_logs,
        )
    }
}

/// # Safety
///
/// `event` must be the live answer to ListOffsets.
unsafe fn offsets_of_logs(
    event: *mut sys::rd_kafka_event_t,
) -> Result<ByPartition<i64>, RDKafkaErrorCode> {
    // SAFETY: what the result points to is owned by the event.
    unsafe {
        let result = sys::rd_kafka_event_ListOffsets_result(event);
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
        Ok(slice(infos, count)
            .iter()
            .map(|info| {
                let element = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(*info);
                let offset = code::of_partition(element).map(|()| element.offset);
                ((text(element.topic), element.partition), offset)
            })
            .collect())
    }
}

fn list(partitions: &[Partition], offset: Offset) -> Result<TopicPartitionList, RDKafkaErrorCode> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        list.add_partition_offset(topic, *partition, offset)
            .map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    }
    Ok(list)
}

fn epoch(element: &sys::rd_kafka_topic_partition_t) -> Option<i32> {
    // SAFETY: the element lives as long as the borrow.
    let epoch = unsafe { sys::rd_kafka_topic_partition_get_leader_epoch(element) };
    (epoch >= 0).then_some(epoch)
}

/// A text of librdkafka's.
///
/// # Safety
///
/// `text` must be null or live and end with a zero byte.
unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller vouches for it.
    unsafe { CStr::from_ptr(text) }
        .to_string_lossy()
        .into_owned()
}

/// A list of librdkafka's.
///
/// # Safety
///
/// `list` must be null or point to `count` items that live for `'a`.
unsafe fn slice<'a, T>(list: *const T, count: usize) -> &'a [T] {
    if list.is_null() {
        &[]
    } else {
        // SAFETY: the caller vouches for it.
        unsafe { std::slice::from_raw_parts(list, count) }
    }
}
