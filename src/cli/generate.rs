//! `trailtag generate`: synthetic CloudTrail, to standard output or to a topic.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::{ClientConfig, FromClientConfig, FromClientConfigAndContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{Completion, ConfigFile, Failure, runtime};
use crate::kafka::client::{self, ClientError};
use crate::synthetic::{Generator, Options, Shape};

/// How long to wait for brokers to answer, and for a new topic to be known.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the last records may take to be acknowledged; librdkafka gives each of them up after five minutes.
const LAST_RECORDS: Duration = Duration::from_secs(330);
/// How many records pass between two looks at the progress bar.
const TICK: u64 = 1_000;

/// `trailtag generate`.
#[derive(Debug, Args)]
#[command(after_help = "\
The same seed gives the same bytes on every machine. The records contain no real data: account ids and addresses are \
those reserved for documentation, and every access key ends in EXAMPLE.

Examples:
  trailtag generate --records 5 | jq .
  trailtag generate --match-rate 0.01 --swap-rate 0.5 | trailtag process | jq .trailtag.sequence
  trailtag generate --shape s3_file --records 100 | gzip > log.json.gz
  trailtag generate --records 1000000 --topic cloudtrail --brokers localhost:9092 --partitions 12
  trailtag generate --config trailtag.yaml        to the first of kafka.topics, with its security")]
pub struct Generate {
    /// The number of records; 0: until stopped
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    records: u64,
    /// The fraction of records that are RemoveRoleFromInstanceProfile, 0 to 1
    #[arg(long, value_name = "FRACTION", default_value_t = 0.001, value_parser = fraction)]
    match_rate: f64,
    /// The fraction of those removals that went through which another call follows: half of them are teardowns, a quarter
    /// swaps of the role, a quarter restores
    #[arg(long, value_name = "FRACTION", default_value_t = 0.0, value_parser = fraction)]
    swap_rate: f64,
    /// The seed: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How the records are packed into messages
    #[arg(long, value_enum, default_value_t)]
    shape: Shape,
    /// Write to this topic instead of standard output; it is created if missing
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// The brokers, host:port, comma-separated; by default kafka.bootstrap_servers of the configuration
    #[arg(long, value_name = "BROKERS")]
    brokers: Option<String>,
    /// The number of partitions, if the topic is created
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(i32).range(1..))]
    partitions: i32,
    #[command(flatten)]
    config: ConfigFile,
}

/// Why records did not reach Kafka.
#[derive(Debug, thiserror::Error)]
pub enum KafkaFailure {
    /// The client's settings cannot be made.
    #[error(transparent)]
    Settings(#[from] ClientError),
    /// The client refuses its settings.
    #[error("the Kafka client cannot be set up; check kafka.client and kafka.security")]
    Client(#[source] KafkaError),
    /// Nobody answered.
    #[error("no broker of {brokers} answered within {} s; check --brokers, and that Kafka runs", PATIENCE.as_secs())]
    Unreachable {
        /// Who was asked.
        brokers: String,
        /// What the client says.
        #[source]
        error: KafkaError,
    },
    /// The topic is missing and cannot be created.
    #[error("topic {topic} cannot be created: {reason}; create it, or choose another with --topic")]
    Create {
        /// The topic.
        topic: String,
        /// What the broker says.
        reason: RDKafkaErrorCode,
    },
    /// A record was not acknowledged.
    #[error("topic {topic}, partition {partition}: a record was refused")]
    Refused {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// What the broker says.
        #[source]
        error: KafkaError,
    },
    /// Records were not acknowledged in time.
    #[error("topic {topic}: {records} records were not acknowledged within {} s", LAST_RECORDS.as_secs())]
    Unacknowledged {
        /// The topic.
        topic: String,
        /// How many.
        records: i32,
    },
}

impl Generate {
    /// Generates.
    pub fn run(self) -> Result<Completion, Failure> {
        let payloads = Payloads::new(&self);
        if self.topic.is_none() && self.brokers.is_none() && self.config.path().is_none() {
            to_stdout(payloads)?;
        } else {
            let mut config = self.config.load()?;
            if let Some(brokers) = &self.brokers {
                config.kafka.bootstrap_servers = brokers
                    .split(',')
                    .map(|broker| broker.trim().to_owned())
                    .collect();
            }
            let topic = self
                .topic
                .clone()
                .or_else(|| config.kafka.topics.first().cloned())
                .ok_or_else(|| {
                    Failure::Arguments("no topic: give --topic, or set kafka.topics".to_owned())
                })?;
            let brokers = config.kafka.bootstrap_servers.join(",");
            let settings = client::common(&config).map_err(KafkaFailure::from)?;
            to_kafka(payloads, &settings, &brokers, &topic, self.partitions)?;
        }
        Ok(Completion::Done)
    }
}

/// A number from 0 to 1.
fn fraction(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|fraction| (0.0..=1.0).contains(fraction))
        .ok_or_else(|| "give a number from 0 to 1".to_owned())
}

/// The payloads that were asked for, with a progress bar on a terminal.
struct Payloads {
    generator: Generator,
    left: Option<u64>,
    done: u64,
    payload: Vec<u8>,
    bar: ProgressBar,
}

impl Payloads {
    fn new(asked: &Generate) -> Self {
        let options = Options {
            seed: asked.seed,
            match_rate: asked.match_rate,
            shape: asked.shape,
        };
        let left = (asked.records > 0).then_some(asked.records);
        Self {
            generator: Generator::new(&options).with_sequels(asked.swap_rate, asked.seed),
            left,
            done: 0,
            payload: Vec::new(),
            bar: progress(left),
        }
    }

    /// The next payload, none when all records are written.
    fn next(&mut self) -> Option<&[u8]> {
        let written = self
            .generator
            .write(self.left.unwrap_or(u64::MAX), &mut self.payload);
        if let Some(left) = &mut self.left {
            *left -= written;
        }
        let tick = self.done / TICK;
        self.done += written;
        if written == 0 || self.done / TICK > tick {
            self.bar.set_position(self.done);
        }
        (written > 0).then_some(self.payload.as_slice())
    }
}

/// A bar where there is an end, a counter where there is none, nothing where nobody looks.
fn progress(records: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let template = if records.is_some() {
        "{bar:40} {human_pos} of {human_len} records, {per_sec}, {eta} left"
    } else {
        "{human_pos} records, {per_sec}"
    };
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(records, ProgressDrawTarget::stderr()).with_style(style)
}

/// One payload a line.
fn to_stdout(mut payloads: Payloads) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(256 * 1024, io::stdout().lock());
    while let Some(payload) = payloads.next() {
        out.write_all(payload)
            .and_then(|()| out.write_all(b"\n"))
            .map_err(Failure::stdout)?;
    }
    out.flush().map_err(Failure::stdout)?;
    payloads.bar.finish();
    Ok(())
}

/// What the delivery reports say: the first failure.
#[derive(Debug, Default)]
struct Reports {
    failure: Mutex<Option<KafkaFailure>>,
}

impl Reports {
    fn failure(&self) -> Option<KafkaFailure> {
        self.failure.lock().take()
    }
}

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            self.failure
                .lock()
                .get_or_insert_with(|| KafkaFailure::Refused {
                    topic: message.topic().to_owned(),
                    partition: message.partition(),
                    error: error.clone(),
                });
        }
    }
}

/// To the partitions of a topic in turn, until the broker has acknowledged every record.
fn to_kafka(
    mut payloads: Payloads,
    settings: &ClientConfig,
    brokers: &str,
    topic: &str,
    partitions: i32,
) -> Result<(), Failure> {
    runtime()?.block_on(create(settings, brokers, topic, partitions))?;
    let mut settings = settings.clone();
    settings
        .set("enable.idempotence", "true")
        .set("compression.type", "lz4")
        .set("linger.ms", "20");
    let producer: BaseProducer<Reports> =
        BaseProducer::from_config_and_context(&settings, Reports::default())
            .map_err(KafkaFailure::Client)?;
    let partitions = partitions_of(&producer, brokers, topic)?;
    let mut number = 0;
    while let Some(payload) = payloads.next() {
        let mut record = BaseRecord::<(), [u8]>::to(topic)
            .payload(payload)
            .partition(number % partitions);
        number = (number + 1) % partitions;
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    record = again;
                    producer.poll(Duration::from_millis(100));
                }
                Err((error, _)) => {
                    return Err(Failure::from(KafkaFailure::Refused {
                        topic: topic.to_owned(),
                        partition: number,
                        error,
                    }));
                }
            }
        }
        producer.poll(Duration::ZERO);
        if let Some(failure) = producer.context().failure() {
            return Err(failure.into());
        }
    }
    let deadline = Instant::now() + LAST_RECORDS;
    while producer.in_flight_count() > 0 && Instant::now() < deadline {
        producer.poll(Duration::from_millis(100));
    }
    if let Some(failure) = producer.context().failure() {
        return Err(failure.into());
    }
    match producer.in_flight_count() {
        0 => {
            payloads.bar.finish();
            Ok(())
        }
        records => Err(Failure::from(KafkaFailure::Unacknowledged {
            topic: topic.to_owned(),
            records,
        })),
    }
}

/// Creates the topic, unless it is there or we may not.
async fn create(
    settings: &ClientConfig,
    brokers: &str,
    topic: &str,
    partitions: i32,
) -> Result<(), KafkaFailure> {
    let admin: AdminClient<DefaultClientContext> =
        AdminClient::from_config(settings).map_err(KafkaFailure::Client)?;
    // -1 is the broker's own default.
    let wanted = NewTopic::new(topic, partitions, TopicReplication::Fixed(-1));
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let results = admin
        .create_topics([&wanted], &options)
        .await
        .map_err(|error| KafkaFailure::Unreachable {
            brokers: brokers.to_owned(),
            error,
        })?;
    for result in results {
        match result {
            // A user who may write and not create has a topic: writing to it will tell.
            Ok(_)
            | Err((
                _,
                RDKafkaErrorCode::TopicAlreadyExists
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => {}
            Err((topic, reason)) => return Err(KafkaFailure::Create { topic, reason }),
        }
    }
    Ok(())
}

/// How many partitions the topic has, once the brokers agree that it is there.
fn partitions_of(
    producer: &BaseProducer<Reports>,
    brokers: &str,
    topic: &str,
) -> Result<i32, KafkaFailure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metadata = producer
            .client()
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(|error| KafkaFailure::Unreachable {
                brokers: brokers.to_owned(),
                error,
            })?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map_or(0, |found| found.partitions().len());
        if let Ok(partitions @ 1..) = i32::try_from(partitions) {
            return Ok(partitions);
        }
        if Instant::now() >= deadline {
            return Err(KafkaFailure::Create {
                topic: topic.to_owned(),
                reason: RDKafkaErrorCode::UnknownTopicOrPartition,
            });
        }
        producer.poll(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_from_0_to_1() {
        for (text, expected) in [("0", Some(0.0)), ("0.25", Some(0.25)), ("1", Some(1.0))] {
            assert_eq!(fraction(text).ok(), expected);
        }
        for text in ["-0.1", "1.1", "NaN", "inf", "half", ""] {
            assert!(fraction(text).is_err(), "{text}");
        }
    }
}
