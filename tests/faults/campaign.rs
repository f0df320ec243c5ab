//! The campaign as data: `campaign.yaml`, a row for each fault.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::load::Plan;

/// A fault, what is done, and to whom.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// For people: what happens, and for how long.
    pub(crate) fault: String,
    /// Each is a row of the table.
    #[serde(default = "exactly_once")]
    pub(crate) guarantees: Vec<Guarantee>,
    /// The guarantee with which it belongs to the short form.
    #[serde(default)]
    pub(crate) short: Option<Guarantee>,
    #[serde(default)]
    pub(crate) load: Plan,
    /// How the processes reach the brokers.
    #[serde(default)]
    pub(crate) access: Access,
    #[serde(default = "two")]
    pub(crate) processes: usize,
    /// Of each process.
    #[serde(default = "one")]
    pub(crate) workers: usize,
    #[serde(default)]
    pub(crate) members: Members,
    /// Of the input.
    #[serde(default = "four")]
    pub(crate) partitions: usize,
    /// The brokers that have the input's copies, their first leader first; else all have.
    #[serde(default)]
    pub(crate) copies: Vec<i32>,
    /// Of the input: its own settings.
    #[serde(default)]
    pub(crate) input: BTreeMap<String, String>,
    /// Of the program: pointers such as `/delivery/linger`.
    #[serde(default)]
    pub(crate) settings: BTreeMap<String, Value>,
    /// The fault takes acknowledged messages out of the input.
    #[serde(default)]
    pub(crate) log_loses: bool,
    /// The fault makes findings too large for their topic.
    #[serde(default)]
    pub(crate) too_large: bool,
    pub(crate) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Guarantee {
    ExactlyOnce,
    AtLeastOnce,
}

impl Guarantee {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly_once",
            Self::AtLeastOnce => "at_least_once",
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Access {
    /// Without anything between.
    #[default]
    Direct,
    /// Through the proxies.
    Proxied,
    /// With TLS and a password, as a user with the rights that are needed; through the proxies too.
    Secure,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Members {
    #[default]
    Static,
    Dynamic,
}

/// A broker, by its number or by what it does.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Which {
    One,
    Two,
    Three,
    /// Of partition 0.
    InputLeader,
    /// Where the state of the first process's transactions is.
    TransactionLeader,
    GroupLeader,
}

/// A topic, or something else of the row that rights or settings are for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum What {
    Input,
    Output,
    DeadLetters,
    Group,
    TransactionalId,
}

/// One thing that is done. Processes are named by their place, from 0 on.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Step {
    Wait(#[serde(with = "humantime_serde")] Duration),
    /// All that is in the input at this moment comes out within that time, while the fault lasts.
    Settled(#[serde(with = "humantime_serde")] Duration),
    Repeat {
        times: usize,
        steps: Vec<Step>,
    },

    KillProcess(usize),
    /// One that is gone, or one more.
    StartProcess(usize),
    /// One more, with the ids of another.
    StartTwin(usize),
    /// SIGTERM, and exit 0.
    StopProcess(usize),
    /// SIGTERM, and an end within that time, if need be with exit 70.
    EndProcess {
        process: usize,
        #[serde(with = "humantime_serde")]
        within: Duration,
    },
    FreezeProcess(usize),
    ThawProcess(usize),

    KillBroker(Which),
    StopBroker(Which),
    FreezeBroker(Which),
    ThawBrokers,
    StartBroker(Which),
    /// All that are gone; and waits until they have copied everything.
    StartBrokers,
    KillAllBrokers,
    /// One after another, each back before the next.
    RollBrokers,

    Toxic {
        kind: String,
        #[serde(default = "downstream")]
        stream: String,
        #[serde(default)]
        attributes: BTreeMap<String, u64>,
    },
    /// Every connection is closed, and none opened.
    Cut,
    /// The network is as before.
    Restore,

    /// To so many partitions.
    AddPartitions(usize),
    /// All that is in the input, read or not.
    DeleteRecords,
    /// The input is deleted, and made again with the same name; then filled.
    MakeAgain(Fill),
    Alter {
        topic: What,
        settings: BTreeMap<String, String>,
    },
    /// Whoever is there leads the input, whether it has everything or not.
    ElectUnclean,
    /// Findings of a size, at once.
    Burst {
        count: usize,
        bytes: usize,
    },

    /// An administrator ends what is open under the first process's transactional id.
    AbortTransaction,
    /// Another producer takes the first process's transactional id.
    Fence,

    Revoke(What),
    Grant(What),
    /// The brokers want another password.
    NewPassword,
    /// The file of the processes has the password that the brokers want.
    WritePassword,
    /// The brokers show a new certificate.
    Certificate {
        #[serde(default, with = "humantime_serde")]
        expires: Option<Duration>,
    },
    /// Bytes a second for clients with this id.
    Quota {
        client: String,
        bytes: u64,
    },
    NoQuota {
        client: String,
    },

    BreakRules,
    MendRules,
}

/// How far a topic that was made again is filled at once.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fill {
    /// Less far than the old one was.
    Below,
    /// Further.
    Past,
}

fn exactly_once() -> Vec<Guarantee> {
    vec![Guarantee::ExactlyOnce]
}

fn downstream() -> String {
    "downstream".into()
}

fn one() -> usize {
    1
}

fn two() -> usize {
    2
}

fn four() -> usize {
    4
}

/// All rows, each with each of its guarantees.
pub(crate) fn rows() -> Vec<(Row, Guarantee)> {
    let rows: Vec<Row> = serde_saphyr::from_str(include_str!("campaign.yaml"))
        .unwrap_or_else(|error| panic!("tests/faults/campaign.yaml: {error}"));
    rows.into_iter()
        .flat_map(|row| {
            let guarantees = row.guarantees.clone();
            guarantees
                .into_iter()
                .map(move |guarantee| (row.clone(), guarantee))
        })
        .collect()
}

#[test]
fn the_campaign_can_be_read() {
    let rows = rows();
    let short = rows
        .iter()
        .filter(|(row, guarantee)| row.short == Some(*guarantee));
    assert!(short.count() >= 5);
    for (row, _) in &rows {
        let named: Vec<_> = rows
            .iter()
            .filter(|(other, _)| other.fault == row.fault)
            .collect();
        assert_eq!(
            named.len(),
            row.guarantees.len(),
            "two rows are named {}",
            row.fault
        );
        assert!(
            row.short
                .is_none_or(|short| row.guarantees.contains(&short)),
            "{}",
            row.fault
        );
    }
}
