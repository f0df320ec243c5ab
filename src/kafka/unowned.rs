//! Partitions that no member of the group was given.
//!
//! In a cooperative rebalance, members give partitions back in one step, and others are given them in the next. Where all of
//! them are restarted between the two, as static members, and the coordinator with them, it answers each from what it stored
//! in the first step, and nobody asks for the second: what was given back is read by nobody, and everything looks well. So
//! each process looks at its group now and then. Where partitions stay without a member, one process has a member join and
//! leave, which makes the group deal out everything anew.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::client::{self, ClientError, WorkerResources};
use super::events::ConsumerEvents;
use super::ffi::admin::{self, GroupAnswer};
use super::place::Partition;
use super::topics;
use crate::config::Config;

/// How long to wait from one look to the next.
const PAUSE: Duration = Duration::from_secs(15);
/// So many looks in a row must find the same, since a rebalance may be under way that the coordinator does not show yet.
const LOOKS: u32 = 3;
/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the member that joins may take to be given something.
const JOIN: Duration = Duration::from_mins(1);
/// One slice of a wait.
const SLICE: Duration = Duration::from_millis(100);

/// Looks after the group of a process with so many workers, until `shutdown`.
pub fn watch(
    config: &Config,
    workers: usize,
    shutdown: &CancellationToken,
) -> Result<(), ClientError> {
    let resources: Vec<_> = (0..workers)
        .map(|worker| WorkerResources::for_worker(config, worker, workers))
        .collect();
    let Some(first) = resources.first() else {
        return Ok(());
    };
    let mut settings = client::consumer(config, first)?;
    if settings.get("group.instance.id").is_none() {
        // A dynamic member that comes or goes always makes a rebalance.
        return Ok(());
    }
    settings.remove("group.instance.id");
    settings.remove("statistics.interval.ms");
    let ours: BTreeSet<String> = resources.into_iter().map(|one| one.id).collect();
    let mut client = None;
    let mut seen = (BTreeSet::new(), 0);
    while wait(PAUSE, shutdown) {
        match look(&mut client, &settings, config) {
            Err(error) => debug!(%error, "the brokers do not return the members of the group"),
            Ok(None) => seen = (BTreeSet::new(), 0),
            Ok(Some((unowned, group))) => {
                let looks = if seen.0 == unowned { seen.1 + 1 } else { 1 };
                seen = (unowned, looks);
                if looks >= LOOKS && acts(&group, &ours) {
                    warn!(
                        partitions = ?seen.0,
                        "no member of the group has these partitions; triggering a rebalance"
                    );
                    if let Err(error) = deal_out(&settings, config, shutdown) {
                        warn!(%error, "the rebalance could not be triggered");
                    }
                    seen = (BTreeSet::new(), 0);
                }
            }
        }
    }
    Ok(())
}

/// False when it is to end.
fn wait(pause: Duration, shutdown: &CancellationToken) -> bool {
    let until = Instant::now() + pause;
    while Instant::now() < until {
        if shutdown.is_cancelled() {
            return false;
        }
        thread::sleep(SLICE);
    }
    true
}

/// The partitions that nobody has, and who is in the group; none where the group is complete, or not at rest.
fn look(
    client: &mut Option<BaseConsumer<ConsumerEvents>>,
    settings: &ClientConfig,
    config: &Config,
) -> Result<Option<(BTreeSet<Partition>, GroupAnswer)>, KafkaError> {
    let known = match client.take() {
        Some(client) => client,
        None => settings.create_with_context(ConsumerEvents::default())?,
    };
    // What it says is heard; it has no messages.
    while known.poll(Duration::ZERO).is_some() {}
    // One that did not answer is dropped with its questions.
    let (group, have) = ask(&known, config).map_err(KafkaError::AdminOp)?;
    *client = Some(known);
    if !group.is_stable {
        return Ok(None);
    }
    let unowned = unowned(&have, &group);
    Ok((!unowned.is_empty()).then_some((unowned, group)))
}

/// Who is in the group, and how many partitions its topics have.
fn ask(
    client: &BaseConsumer<ConsumerEvents>,
    config: &Config,
) -> Result<(GroupAnswer, Vec<(String, usize)>), RDKafkaErrorCode> {
    let topics = topics::read(config);
    let handle = client.client();
    let group = admin::describe_group(handle, &config.kafka.group_id)?;
    let topics = admin::describe_topics(handle, &topics, PATIENCE)?;
    let have = topics
        .answer(PATIENCE)?
        .into_iter()
        .filter(|topic| topic.error.is_none())
        .map(|topic| (topic.name, topic.partitions))
        .collect();
    Ok((group.answer(PATIENCE)?, have))
}

fn unowned(topics: &[(String, usize)], group: &GroupAnswer) -> BTreeSet<Partition> {
    let owned: BTreeSet<&Partition> = group
        .members
        .iter()
        .flat_map(|member| &member.partitions)
        .collect();
    topics
        .iter()
        .flat_map(|(topic, count)| (0..*count).map(move |number| (topic, number)))
        .filter_map(|(topic, number)| Some((topic.clone(), i32::try_from(number).ok()?)))
        .filter(|partition| !owned.contains(partition))
        .collect()
}

/// Whether this process is the one to act: it has the static member whose name comes first.
fn acts(group: &GroupAnswer, ours: &BTreeSet<String>) -> bool {
    let names = group.members.iter().filter_map(|it| it.instance.as_ref());
    names.min().is_some_and(|first| ours.contains(first))
}

/// Has a dynamic member join the group, and leave it.
fn deal_out(
    settings: &ClientConfig,
    config: &Config,
    shutdown: &CancellationToken,
) -> Result<(), KafkaError> {
    let member: BaseConsumer<ConsumerEvents> =
        settings.create_with_context(ConsumerEvents::default())?;
    let topics = topics::read(config);
    member.subscribe(&topics)?;
    let until = Instant::now() + JOIN;
    while Instant::now() < until && !shutdown.is_cancelled() {
        // What it is given stands paused, and goes to others when it leaves.
        let _ = member.poll(SLICE);
        if member.context().has_rebalances() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::ffi::admin::GroupMember;

    fn member(name: Option<&str>, partitions: &[i32]) -> GroupMember {
        GroupMember {
            instance: name.map(str::to_owned),
            partitions: partitions
                .iter()
                .map(|number| ("in".to_owned(), *number))
                .collect(),
        }
    }

    #[test]
    fn what_no_member_has_is_unowned() {
        let topics = [("in".to_owned(), 4), ("other".to_owned(), 1)];
        let group = GroupAnswer {
            members: vec![member(Some("b-0"), &[0, 2]), member(Some("a-0"), &[3])],
            ..GroupAnswer::default()
        };
        let unowned = unowned(&topics, &group);
        let expected = [("in".to_owned(), 1), ("other".to_owned(), 0)];
        assert_eq!(unowned, BTreeSet::from(expected));
    }

    #[test]
    fn one_process_acts() {
        let group = GroupAnswer {
            members: vec![
                member(None, &[]),
                member(Some("b-0"), &[]),
                member(Some("a-1"), &[]),
                member(Some("a-0"), &[]),
            ],
            ..GroupAnswer::default()
        };
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(acts(&group, &names(&["a-0", "a-1"])));
        assert!(!acts(&group, &names(&["b-0"])));
        assert!(!acts(&GroupAnswer::default(), &names(&["a-0"])));
    }
}
