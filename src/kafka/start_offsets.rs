//! Asks where the group goes on, for all partitions of a worker at once, on a thread and through a client of its own.
//!
//! The worker goes on meanwhile: it reads its other partitions, stays in its group, and stops when it is told to. The
//! client is no member, since brokers answer one question of a connection after the other, and on the member's own this one
//! would wait for as long as a rebalance does. It is kept from one question to the next: a connection takes several round
//! trips. How long an answer is waited for grows with how long answers take.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::committed_offsets::{CommittedOffset, CommittedOffsets};
use super::events::ConsumerEvents;
use super::ffi::admin::{self, Asked, ByPartition, LogEnd, TopicAnswer};
use super::place::Partition;
use super::start::{FirstStart, LogBounds, Start, decide};
use super::topics::TopicIds;

/// How long an answer is waited for at the least.
const SHORTEST: Duration = Duration::from_secs(10);
/// And at the most.
const LONGEST: Duration = Duration::from_mins(2);
/// How many times longer than the last answer took the next one may take.
const ROOM: u32 = 4;
/// How long to wait before what was not answered is asked again.
const PAUSE: Duration = Duration::from_millis(200);
/// How often the client is listened to that has nothing to ask.
const IDLE: Duration = Duration::from_secs(1);
/// How many questions may wait behind one that takes long, and how many answers for the worker to look.
const QUEUED: usize = 16;
/// One slice of a wait, after which the worker may be gone.
const SLICE: Duration = Duration::from_millis(100);
/// After so many tries in which some brokers did not answer and others did, a new client looks for the right ones.
const HALF_ANSWERED: u32 = 2;
/// How long a client is kept that has nothing to ask.
const KEPT: Duration = Duration::from_mins(10);

/// Partitions whose start is to be found.
struct Question {
    number: u64,
    partitions: Vec<Partition>,
}

/// What is known after one try.
pub(super) struct Answer {
    /// The number of the question.
    pub(super) number: u64,
    /// Where partitions begin.
    pub(super) starts: Vec<(Partition, Start)>,
    /// Why others do not begin yet; they are asked about again.
    pub(super) problem: Option<Problem>,
}

/// Why a partition does not begin yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// In one line, with the partition.
    pub(super) why: String,
    /// A transaction is open on its offset.
    pub(super) is_unstable: bool,
}

/// The worker's side: what was asked, and what came back.
pub(super) struct StartOffsets {
    questions: mpsc::SyncSender<Question>,
    answers: mpsc::Receiver<Answer>,
    asked: u64,
    /// The last question found no room: the thread is in the middle of one that takes long.
    is_unsent: bool,
    is_over: Arc<AtomicBool>,
}

impl StartOffsets {
    /// Starts the thread. `settings` are the member's own.
    pub(super) fn new(
        mut settings: ClientConfig,
        first: FirstStart,
        steps: String,
        topic_ids: TopicIds,
    ) -> std::io::Result<Self> {
        // It is no member, and nobody asks for its statistics.
        settings.remove("group.instance.id");
        settings.remove("statistics.interval.ms");
        let (questions, asked) = mpsc::sync_channel(QUEUED);
        let (answer, answers) = mpsc::sync_channel(QUEUED);
        let is_over = Arc::new(AtomicBool::new(false));
        let thread = StartOffsetsThread {
            settings,
            first,
            steps,
            topic_ids,
            questions: asked,
            is_over: Arc::clone(&is_over),
            client: None,
            patience: SHORTEST,
            one_by_one: false,
            half_answered: 0,
        };
        thread::Builder::new()
            .name("start-offsets".to_owned())
            .spawn(move || thread.run(&answer))?;
        Ok(Self {
            questions,
            answers,
            asked: 0,
            is_unsent: false,
            is_over,
        })
    }

    /// Asks about these partitions from here on, and about no others. Gives the question's number.
    pub(super) fn ask(&mut self, partitions: Vec<Partition>) -> u64 {
        self.asked += 1;
        let number = self.asked;
        // One that finds no room is not needed: the next rebalance, or the next look, asks for all that wait.
        self.is_unsent = self
            .questions
            .try_send(Question { number, partitions })
            .is_err();
        number
    }

    /// Whether the last question has to be asked again.
    pub(super) const fn is_unsent(&self) -> bool {
        self.is_unsent
    }

    /// The next answer that has come.
    pub(super) fn answer(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

impl Drop for StartOffsets {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// The thread's side.
struct StartOffsetsThread {
    settings: ClientConfig,
    first: FirstStart,
    /// The topic of steps, which is read from its first message on, whatever the user wishes for the input.
    steps: String,
    topic_ids: TopicIds,
    questions: mpsc::Receiver<Question>,
    is_over: Arc<AtomicBool>,
    client: Option<BaseConsumer<ConsumerEvents>>,
    /// How long the next answer is waited for.
    patience: Duration,
    /// Ask about the log of each partition by itself: one without a leader holds up the answer for all.
    one_by_one: bool,
    /// Tries in a row in which some brokers answered and others did not.
    half_answered: u32,
}

impl StartOffsetsThread {
    fn run(mut self, answers: &mpsc::SyncSender<Answer>) {
        let mut open = Question {
            number: 0,
            partitions: Vec::new(),
        };
        while self.wait_for_question(&mut open) {
            let (starts, problem) = match self.ask(&open.partitions) {
                Ok(found) => self.judge(&open.partitions, &found),
                Err(error) => {
                    let (why, is_unstable) = (error.to_string(), false);
                    (Vec::new(), Some(Problem { why, is_unstable }))
                }
            };
            open.partitions
                .retain(|partition| !starts.iter().any(|(known, _)| known == partition));
            let number = open.number;
            let answer = Answer {
                number,
                starts,
                problem,
            };
            if answers.send(answer).is_err() {
                return;
            }
        }
    }

    /// Waits until there is something to ask: a new question, or the rest of the last one after a pause. False when the
    /// worker is gone.
    fn wait_for_question(&mut self, open: &mut Question) -> bool {
        let begun = Instant::now();
        loop {
            let wait = if open.partitions.is_empty() {
                IDLE
            } else {
                PAUSE
            };
            match self.questions.recv_timeout(wait) {
                Ok(question) => *open = question,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            // Only the newest counts.
            while let Ok(question) = self.questions.try_recv() {
                *open = question;
            }
            if let Some(client) = &self.client {
                // It has no messages; what it says is heard here.
                while client.poll(Duration::ZERO).is_some() {}
            }
            if !open.partitions.is_empty() {
                return true;
            }
            if begun.elapsed() > KEPT {
                self.client = None;
            }
        }
    }

    /// Sends all questions, then waits for the answers.
    fn ask(&mut self, partitions: &[Partition]) -> Result<Found, KafkaError> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self
                .settings
                .create_with_context(ConsumerEvents::default())?,
        };
        let begun = Instant::now();
        let patience = self.patience;
        let wait = Wait {
            until: begun + patience,
            is_over: &self.is_over,
        };
        let handle = client.client();
        let topics: BTreeSet<&str> = partitions.iter().map(|(topic, _)| &**topic).collect();
        let topics: Vec<&str> = topics.into_iter().collect();
        let described = (self.topic_ids == TopicIds::Asked)
            .then(|| admin::describe_topics(handle, &topics, patience));
        let at_once = if self.one_by_one { 1 } else { partitions.len() };
        let ends = |end| -> Vec<_> {
            partitions
                .chunks(at_once.max(1))
                .map(|some| admin::ends(handle, some, end, patience))
                .collect()
        };
        let firsts = ends(LogEnd::First);
        let lasts = ends(LogEnd::Last);
        let stables = if self.first == FirstStart::Latest {
            ends(LogEnd::LastStable)
        } else {
            Vec::new()
        };
        let topics = described.map_or_else(|| Ok(Vec::new()), |asked| wait.one(asked));
        let answered_in = begun.elapsed();
        let (at_once, timeout) = if self.one_by_one {
            (1, (answered_in * ROOM).clamp(IDLE, SHORTEST))
        } else {
            (partitions.len(), self.patience)
        };
        let group = CommittedOffsets {
            client: &client,
            at_once,
            timeout,
            do_brokers_answer: topics.is_ok(),
            is_over: &self.is_over,
        };
        let group = group.ask(partitions);
        let found = Found {
            group,
            topics,
            begins: wait.all(firsts),
            ends: wait.all(lasts),
            stable_ends: wait.all(stables),
        };
        let is_complete = found.group.is_ok() && found.begins.is_ok() && found.ends.is_ok();
        self.half_answered = if found.topics.is_ok() && !is_complete {
            self.half_answered + 1
        } else {
            0
        };
        if self.half_answered < HALF_ANSWERED {
            self.client = Some(client);
        } else {
            // It may go on asking a coordinator or a leader that hangs, and that another broker has replaced.
            self.half_answered = 0;
        }
        let took = begun.elapsed();
        self.patience = if took < patience {
            (took * ROOM).clamp(SHORTEST, LONGEST)
        } else {
            (patience * 2).min(LONGEST)
        };
        // Next time it is known which of them are not answered.
        self.one_by_one = partitions.len() > 1 && found.topics.is_ok() && !is_complete;
        Ok(found)
    }

    fn judge(
        &self,
        partitions: &[Partition],
        found: &Found,
    ) -> (Vec<(Partition, Start)>, Option<Problem>) {
        let mut starts = Vec::new();
        let mut problem = None;
        for partition in partitions {
            let first = if partition.0 == self.steps {
                FirstStart::Earliest
            } else {
                self.first
            };
            match found.start(partition, first) {
                Ok(start) => starts.push((partition.clone(), start)),
                Err(why) if problem.is_none() => {
                    problem = Some(Problem {
                        is_unstable: why == NoStart::Unstable,
                        why: format!("{} [{}]: {why}", partition.0, partition.1),
                    });
                }
                Err(_) => {}
            }
        }
        (starts, problem)
    }
}

/// How long answers are waited for.
struct Wait<'a> {
    until: Instant,
    is_over: &'a AtomicBool,
}

impl Wait<'_> {
    fn one<T>(&self, asked: Result<Asked<'_, T>, RDKafkaErrorCode>) -> Result<T, RDKafkaErrorCode> {
        let asked = asked?;
        loop {
            match asked.answer(SLICE) {
                Err(RDKafkaErrorCode::OperationTimedOut)
                    if Instant::now() < self.until && !self.is_over.load(Ordering::Relaxed) => {}
                answer => return answer,
            }
        }
    }

    /// What was answered of several; the last error where nothing was.
    fn all<T>(
        &self,
        asked: Vec<Result<Asked<'_, ByPartition<T>>, RDKafkaErrorCode>>,
    ) -> Result<ByPartition<T>, RDKafkaErrorCode> {
        let mut all = ByPartition::new();
        let mut failed = None;
        for asked in asked {
            match self.one(asked) {
                Ok(some) => all.extend(some),
                Err(code) => failed = Some(code),
            }
        }
        match failed {
            Some(code) if all.is_empty() => Err(code),
            _ => Ok(all),
        }
    }
}

/// What the brokers answered in one try.
struct Found {
    group: Result<ByPartition<Option<CommittedOffset>>, RDKafkaErrorCode>,
    topics: Result<Vec<TopicAnswer>, RDKafkaErrorCode>,
    begins: Result<ByPartition<i64>, RDKafkaErrorCode>,
    ends: Result<ByPartition<i64>, RDKafkaErrorCode>,
    /// Empty where nobody wants to begin there.
    stable_ends: Result<ByPartition<i64>, RDKafkaErrorCode>,
}

/// Why a partition does not begin yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum NoStart {
    #[error(
        "its committed offset is not available, most likely because a transaction is open; waiting for its end"
    )]
    Unstable,
    #[error("the brokers do not say {what}: {code}")]
    Unknown {
        what: &'static str,
        code: RDKafkaErrorCode,
    },
    #[error(
        "the group has committed no offset for it, and auto.offset.reset is `error`: commit one, or set `earliest` or `latest` in kafka.consumer"
    )]
    Refused,
}

impl Found {
    fn start(&self, partition: &Partition, first: FirstStart) -> Result<Start, NoStart> {
        let committed = match answer_of(&self.group, partition, "what the group has committed") {
            Err(NoStart::Unknown {
                code: RDKafkaErrorCode::UnstableOffsetCommit,
                ..
            }) => return Err(NoStart::Unstable),
            other => other?,
        };
        let topic_id = match &self.topics {
            Err(code) => {
                let what = "which topic it is of";
                return Err(NoStart::Unknown { what, code: *code });
            }
            Ok(topics) => topics
                .iter()
                .find(|topic| topic.name == partition.0)
                .and_then(|topic| topic.id.clone()),
        };
        let end = *answer_of(&self.ends, partition, "where its log ends")?;
        let stable_end = if first == FirstStart::Latest {
            *answer_of(&self.stable_ends, partition, "where its log ends")?
        } else {
            end
        };
        let log = LogBounds {
            topic_id,
            begin: *answer_of(&self.begins, partition, "where its log begins")?,
            end,
            stable_end,
        };
        decide(committed.as_ref(), &log, first).ok_or(NoStart::Refused)
    }
}

fn answer_of<'a, T>(
    answers: &'a Result<ByPartition<T>, RDKafkaErrorCode>,
    partition: &Partition,
    what: &'static str,
) -> Result<&'a T, NoStart> {
    let code = match answers {
        Err(code) => *code,
        Ok(answers) => match answers.get(partition) {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(code)) => *code,
            None => RDKafkaErrorCode::UnknownPartition,
        },
    };
    Err(NoStart::Unknown { what, code })
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;

    /// Which topic ids there are, and what open transactions hold back, only a real broker knows: tests/broker/shrink.rs.
    #[test]
    fn all_partitions_are_answered_at_once_and_without_an_offset_begin_as_the_user_wishes() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("in", 3, 1).unwrap();
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .set("group.id", "group");
        let first = FirstStart::Earliest;
        let mut offsets =
            StartOffsets::new(settings, first, String::new(), TopicIds::Unknown).unwrap();
        let partitions: Vec<_> = (0..3).map(|number| ("in".to_owned(), number)).collect();
        let number = offsets.ask(partitions.clone());
        let begun = Instant::now();
        let answer = loop {
            match offsets.answer() {
                Some(answer) if answer.problem.is_none() => break answer,
                Some(answer) => eprintln!("{:?}", answer.problem),
                None => thread::sleep(SLICE),
            }
            assert!(begun.elapsed() < LONGEST, "no answer");
        };
        assert_eq!(answer.number, number);
        let begun: Vec<_> = answer
            .starts
            .iter()
            .map(|(partition, start)| (partition.clone(), start.place.offset))
            .collect();
        let at_zero: Vec<_> = partitions.into_iter().map(|it| (it, 0)).collect();
        assert_eq!(begun, at_zero);
    }
}
