//! What can be done to a row: each [`Step`] of the campaign, as it is done.

use std::fmt::Write as _;
use std::time::Duration;

use rdkafka::admin::NewPartitions;
use rdkafka::producer::{BaseProducer, Producer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use super::access;
use super::campaign::{Fill, Step, What, Which};
use super::cluster::BROKERS;
use super::run::{Run, create_input};
use super::support::topics::{block_on, options};
use super::support::{PATIENCE, unique, wait_until};

/// How long a process may take to end by itself: its `shutdown_grace`, and what the machine takes.
const GRACE: Duration = Duration::from_secs(40);

impl Run<'_> {
    pub(crate) fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(time) => std::thread::sleep(*time),
            Step::Settled(within) => self.settle(*within),
            Step::Repeat { times, steps } => {
                for _ in 0..*times {
                    for step in steps {
                        self.step(step);
                    }
                }
            }
            _ => {
                self.none_ended();
                let done = self.process_step(step)
                    || self.broker_step(step)
                    || self.topic_step(step)
                    || self.access_step(step);
                assert!(done, "a step that nobody does");
            }
        }
    }

    fn none_ended(&mut self) {
        for member in &mut self.members {
            self.broken.extend(member.ended_by_itself());
        }
    }

    fn process_step(&mut self, step: &Step) -> bool {
        match step {
            Step::KillProcess(place) => self.members[*place].kill(),
            Step::StartProcess(place) if *place == self.members.len() => {
                self.add_member(*place, *place);
            }
            Step::StartProcess(place) => self.members[*place].start(),
            Step::StartTwin(place) => self.add_member(self.members.len(), *place),
            Step::StopProcess(place) => self.stop_process(*place, GRACE, &[0]),
            Step::EndProcess { process, within } => self.stop_process(*process, *within, &[0, 70]),
            Step::FreezeProcess(place) => self.members[*place].freeze(),
            Step::ThawProcess(place) => self.members[*place].thaw(),
            Step::BreakRules | Step::MendRules => {
                let broken = matches!(step, Step::BreakRules);
                self.write_rules(broken);
                for member in &self.members {
                    member.wait_reloaded(!broken);
                }
            }
            _ => return false,
        }
        true
    }

    fn stop_process(&mut self, place: usize, within: Duration, codes: &[i32]) {
        match self.members[place].stop(within) {
            Ok(code) if codes.contains(&code) => {}
            Ok(code) => self
                .broken
                .push(format!("process {place} ended with {code}")),
            Err(error) => self.broken.push(error),
        }
    }

    fn broker_step(&mut self, step: &Step) -> bool {
        match step {
            Step::KillBroker(which) => {
                let number = self.number(*which);
                self.cluster.kill(number);
            }
            Step::StopBroker(which) => {
                let number = self.number(*which);
                self.cluster.stop(number);
            }
            Step::FreezeBroker(which) => {
                let number = self.number(*which);
                self.cluster.freeze(number);
            }
            Step::ThawBrokers => self.cluster.thaw(),
            Step::StartBroker(which) => {
                let number = self.number(*which);
                self.cluster.start_broker(number);
            }
            Step::StartBrokers => {
                self.cluster.start_brokers();
                self.cluster.wait_whole();
            }
            Step::KillAllBrokers => (1..=BROKERS).for_each(|number| self.cluster.kill(number)),
            Step::RollBrokers => {
                for number in 1..=BROKERS {
                    self.cluster.stop(number);
                    self.cluster.start_broker(number);
                    self.cluster.wait_whole();
                }
            }
            Step::Toxic {
                kind,
                stream,
                attributes,
            } => self.cluster.proxies.toxic(kind, stream, &json!(attributes)),
            Step::Cut => self.cluster.proxies.cut(),
            Step::Restore => self.cluster.proxies.reset(),
            _ => return false,
        }
        true
    }

    fn number(&self, which: Which) -> usize {
        match which {
            Which::One => 1,
            Which::Two => 2,
            Which::Three => 3,
            Which::InputLeader => self.cluster.leader(&self.input, 0),
            Which::TransactionLeader => self.cluster.transaction_leader(&self.first_id()),
            Which::GroupLeader => self.cluster.group_leader(&self.group),
        }
    }

    /// The transactional id of the first worker of the first process.
    fn first_id(&self) -> String {
        format!("{}-0", self.prefix(0))
    }

    fn topic_step(&mut self, step: &Step) -> bool {
        match step {
            Step::AddPartitions(count) => self.add_partitions(*count),
            Step::DeleteRecords => self.delete_records(),
            Step::MakeAgain(fill) => self.make_again(*fill),
            Step::Alter { topic, settings } => {
                let name = match topic {
                    What::Output => &self.output,
                    What::DeadLetters => &self.dead_letters,
                    _ => &self.input,
                };
                let settings: Vec<(&str, &str)> = settings
                    .iter()
                    .map(|(key, value)| (key.as_str(), value.as_str()))
                    .collect();
                self.cluster.broker().alter_topic(name, &settings);
            }
            Step::ElectUnclean => self.elect_unclean(),
            Step::Burst { count, bytes } => self.load.burst(*count, *bytes),
            Step::AbortTransaction => {
                // It fails where the last one has just ended.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    self.cluster.tool(
                        "org.apache.kafka.tools.TransactionsCommand",
                        &[
                            "forceTerminateTransaction",
                            "--transactionalId",
                            &self.first_id(),
                        ],
                    )
                }));
            }
            Step::Fence => {
                let mut client = self.cluster.broker().client();
                client.set("transactional.id", self.first_id());
                let producer: BaseProducer = client.create().unwrap();
                producer.init_transactions(PATIENCE).unwrap();
            }
            _ => return false,
        }
        true
    }

    fn add_partitions(&mut self, count: usize) {
        let broker = self.cluster.broker();
        let new = NewPartitions::new(&self.input, count);
        let added = block_on(broker.admin.create_partitions([&new], &options()));
        added.unwrap().remove(0).unwrap();
        wait_until(PATIENCE, "the new partitions have leaders", || {
            let leaders = broker.leaders(&self.input)?;
            if leaders.len() == count && leaders.iter().all(|leader| *leader > 0) {
                Ok(())
            } else {
                Err(format!("{leaders:?}"))
            }
        });
        self.partitions = count;
        self.load.set_partitions(count);
    }

    fn ends(&self) -> Vec<i64> {
        let broker = self.cluster.broker();
        (0..self.partitions)
            .map(|partition| broker.end_offset(&self.input, i32::try_from(partition).unwrap()))
            .collect()
    }

    fn delete_records(&self) {
        let mut all = TopicPartitionList::new();
        for (partition, end) in self.ends().into_iter().enumerate() {
            let partition = i32::try_from(partition).unwrap();
            all.add_partition_offset(&self.input, partition, Offset::Offset(end))
                .unwrap();
        }
        let broker = self.cluster.broker();
        block_on(broker.admin.delete_records(&all, &options())).unwrap();
    }

    fn make_again(&mut self, fill: Fill) {
        self.load.pause();
        let old = self.ends();
        let broker = self.cluster.broker();
        broker.delete_topic(&self.input);
        create_input(&broker, self.row, &self.input);
        let old = usize::try_from(old.into_iter().max().unwrap()).unwrap();
        // Fast enough that a client finds it full when it looks again.
        let count = match fill {
            Fill::Below => old / 3,
            Fill::Past => old + old / 2,
        };
        self.load.burst(count * self.partitions, 0);
        self.load.resume();
    }

    fn elect_unclean(&self) {
        let mut partitions = String::new();
        for partition in 0..self.partitions {
            let comma = if partition > 0 { "," } else { "" };
            let topic = &self.input;
            write!(
                partitions,
                r#"{comma}{{"topic": "{topic}", "partition": {partition}}}"#
            )
            .unwrap();
        }
        let file = self.files.path().join(unique("election"));
        std::fs::write(&file, format!(r#"{{"partitions": [{partitions}]}}"#)).unwrap();
        let args = [
            "--election-type",
            "unclean",
            "--path-to-json-file",
            file.to_str().unwrap(),
        ];
        wait_until(PATIENCE, "the input is led by whoever is there", || {
            // It fails as long as the broker that starts has not told the controller so.
            let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                self.cluster
                    .tool("org.apache.kafka.tools.LeaderElectionCommand", &args)
            }));
            let leaders = self.cluster.broker().leaders(&self.input)?;
            // One that was killed a moment ago is still called so.
            if leaders.iter().all(|leader| self.cluster.runs(*leader)) {
                Ok(())
            } else {
                Err(format!("{leaders:?}"))
            }
        });
    }

    fn access_step(&mut self, step: &Step) -> bool {
        match step {
            Step::Revoke(what) => access::change(self, *what, false),
            Step::Grant(what) => access::change(self, *what, true),
            Step::NewPassword => {
                self.password = unique("password");
                access::set_password(self);
            }
            Step::WritePassword => access::write_password(self),
            Step::Certificate { expires } => access::new_certificate(self.cluster, *expires),
            Step::Quota { client, bytes } => access::quota(self.cluster, client, Some(*bytes)),
            Step::NoQuota { client } => access::quota(self.cluster, client, None),
            _ => return false,
        }
        true
    }
}
