//! What is remembered of the steps of one partition, and what each further one completes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::kinds::{BUILT_IN, Pattern, is_removal};
use super::{counts, pairs};
use crate::config;
use crate::finding::{Group, Sequence, Step};
use crate::model::SequenceKind;

/// How many bytes of a record count as one step: of larger ones, fewer are remembered.
const RECORD: usize = 4096;

/// The place of a step within its group: by the time of its event; of one second, removals before what follows them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    time: i64,
    follows: bool,
    id: String,
}

impl Position {
    fn of(step: &Step) -> Self {
        Self {
            time: step.event_time,
            follows: !is_removal(step),
            id: step.event_id.clone(),
        }
    }
}

/// The steps of one group, by the time of their events.
pub(super) type Steps = BTreeMap<Position, Remembered>;

/// A step, and when it came.
#[derive(Debug)]
pub(super) struct Remembered {
    pub(super) step: Arc<Step>,
    number: u64,
}

/// The steps of one group, and where each stands by its id.
#[derive(Debug, Default)]
struct GroupSteps {
    steps: Steps,
    places: HashMap<String, Position>,
}

/// One step in the order in which they came.
#[derive(Debug)]
struct Arrived {
    /// The greatest arrival up to it.
    arrival: i64,
    weight: usize,
    group: Arc<Group>,
    id: String,
}

/// What is remembered of the steps of one partition.
#[derive(Debug)]
pub struct State {
    /// The milliseconds after which a step is forgotten.
    memory: i64,
    max_steps: usize,
    groups: HashMap<Arc<Group>, GroupSteps>,
    /// Every step that is remembered, by the number under which it came.
    arrived: BTreeMap<u64, Arrived>,
    weight: usize,
    next: u64,
    arrival: i64,
    dropped: u64,
}

impl State {
    /// Nothing remembered yet.
    #[must_use]
    pub fn new(settings: &config::Sequences) -> Self {
        let millis =
            |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        Self {
            memory: millis(settings.window).saturating_add(millis(settings.lateness)),
            max_steps: settings.max_steps,
            groups: HashMap::new(),
            arrived: BTreeMap::new(),
            weight: 0,
            next: 0,
            arrival: i64::MIN,
            dropped: 0,
        }
    }

    /// From which arrival on steps must be read again, so that the state is what it was after a step of this arrival: the
    /// step that stands before the place from which reading goes on. The first step in the log with this arrival or a
    /// later one is the place; any place before it is as good.
    #[must_use]
    pub const fn rebuilt_from(&self, last_arrival: i64) -> i64 {
        last_arrival.saturating_sub(self.memory)
    }

    /// How many steps are remembered.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.arrived.len()
    }

    /// How many steps were forgotten before their time, because there were more than `max_steps`.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes the next step of the partition, and says what it completes.
    pub fn step(&mut self, step: &Step) -> Vec<Sequence> {
        self.arrival = self.arrival.max(step.arrival);
        self.forget_old();
        let group = Arc::new(step.group.clone());
        let is_known = self.take(&group, &step.event_id);
        let completed = if is_known {
            Vec::new()
        } else {
            let none = Steps::new();
            let steps = self.groups.get(&group).map_or(&none, |it| &it.steps);
            completed(steps, step)
        };
        self.remember(group, step);
        completed
    }

    fn remember(&mut self, group: Arc<Group>, step: &Step) {
        let number = self.next;
        self.next += 1;
        let record = step
            .record
            .as_ref()
            .map_or(0, crate::finding::OriginalRecord::size);
        let weight = 1 + record / RECORD;
        self.weight += weight;
        let of_group = self.groups.entry(Arc::clone(&group)).or_default();
        let position = Position::of(step);
        let id = step.event_id.clone();
        of_group.places.insert(id.clone(), position.clone());
        let step = Arc::new(step.clone());
        of_group.steps.insert(position, Remembered { step, number });
        let arrival = self.arrival;
        self.arrived.insert(
            number,
            Arrived {
                arrival,
                weight,
                group,
                id,
            },
        );
        while self.weight > self.max_steps && self.arrived.len() > 1 {
            self.forget_first();
            self.dropped += 1;
        }
    }

    /// Forgets what came too long before the last step.
    fn forget_old(&mut self) {
        let oldest = self.arrival.saturating_sub(self.memory);
        while self
            .arrived
            .first_key_value()
            .is_some_and(|(_, first)| first.arrival < oldest)
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, first)) = self.arrived.pop_first() {
            self.weight -= first.weight;
            self.remove(&first.group, &first.id);
        }
    }

    /// Takes a step out, and says whether it was there.
    fn take(&mut self, group: &Arc<Group>, id: &str) -> bool {
        let Some(number) = self.remove(group, id) else {
            return false;
        };
        if let Some(arrived) = self.arrived.remove(&number) {
            self.weight -= arrived.weight;
        }
        true
    }

    fn remove(&mut self, group: &Arc<Group>, id: &str) -> Option<u64> {
        let of_group = self.groups.get_mut(group)?;
        let position = of_group.places.remove(id)?;
        let remembered = of_group.steps.remove(&position)?;
        if of_group.steps.is_empty() {
            self.groups.remove(group);
        }
        Some(remembered.number)
    }
}

/// The steps from one time to another, both included.
pub(super) fn between(steps: &Steps, from: i64, to: i64) -> impl DoubleEndedIterator<Item = &Step> {
    let first = Position {
        time: from,
        follows: false,
        id: String::new(),
    };
    steps
        .range(first..)
        .take_while(move |(position, _)| position.time <= to)
        .map(|(_, remembered)| remembered.step.as_ref())
        .collect::<Vec<_>>()
        .into_iter()
}

/// What a step completes with those of its group that are remembered.
fn completed(steps: &Steps, step: &Step) -> Vec<Sequence> {
    let mut completed = Vec::new();
    let definitions = BUILT_IN.iter().filter(|it| it.by == step.group.by);
    for definition in definitions {
        let window = definition.window;
        match definition.pattern {
            Pattern::Next { call, with } => {
                for (removal, next) in pairs::completed(steps, step, window) {
                    if next.event_name == call && with.holds(removal, next) {
                        completed.push(sequence(definition.kind, 2, &[removal, next], 0));
                    }
                }
            }
            Pattern::Many(many) => {
                if let Some(found) = counts::completed(steps, step, window, &many) {
                    let about = found.steps.len().saturating_sub(1);
                    let kind = definition.kind;
                    completed.push(sequence(kind, found.count, &found.steps, about));
                }
            }
        }
    }
    completed
}

fn sequence(kind: SequenceKind, count: u64, steps: &[&Step], about: usize) -> Sequence {
    let mut hash = Sha256::new();
    // What ends in a zero byte cannot be told in two ways.
    for part in [kind.as_str()]
        .into_iter()
        .chain(steps.first().map(|step| step.group.account.as_str()))
        .chain(steps.iter().map(|step| step.event_id.as_str()))
    {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    let mut id = String::from("sequence-");
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(id, "{byte:02x}");
    }
    Sequence {
        id,
        kind,
        count,
        steps: steps.iter().copied().cloned().collect(),
        about,
    }
}
