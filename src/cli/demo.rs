//! `trailtag demo`: the real worker on a cluster inside this process.
//!
//! librdkafka's mock cluster keeps 5 MB a partition and drops older data in silence, and it shows aborted records: so
//! the demo feeds it slowly and delivers at least once ([`crate::kafka::mock`]).

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::terminal::Colours;
use super::together::{kind, story};
use super::{Completion, Failure, demo_view, pipeline, runtime, start_log, wants_colour};
use crate::config::{self, Config, Guarantee};
use crate::kafka::mock::{Cluster, Feed, MockError, Tail};
use crate::kafka::topics::TopicLimits;
use crate::model::SequenceKind;
use crate::pipeline::{Outputs, Pipeline};
use crate::service::supervisor::{self, ServiceError};
use crate::synthetic::{Generator, Options, Shape};

/// The topics of the demo's cluster.
const INPUT: &str = "cloudtrail";
const OUTPUT: &str = "trailtag.findings";
const DEAD_LETTER: &str = "trailtag.dead-letter";
const STEPS: &str = "trailtag.steps";
/// How many records one burst holds, and how long the pause after it is: a speed that a person can follow, and far
/// below what the mock cluster loses data at.
const BURST: u64 = 50;
const PAUSE: Duration = Duration::from_millis(50);
/// How long the demo waits for the last findings.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long nothing may come before it is taken for granted that no more sequences do, with something to tell and without. How
/// many there are nobody knows before.
const QUIET: Duration = Duration::from_millis(500);
const QUIET_WITHOUT_STORIES: Duration = Duration::from_secs(3);
/// Findings are one in this many records: rare in life, frequent enough to watch.
const MATCH_RATE: f64 = 0.005;
/// Something follows most removals, so that there is a story to tell.
const SWAP_RATE: f64 = 0.8;
/// Of which sequences one is told.
const TOLD: [SequenceKind; 2] = [SequenceKind::RoleSwap, SequenceKind::ProfileDeleted];

/// `trailtag demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// End after this many records; 0 runs until Ctrl-C
    #[arg(long, value_name = "N", default_value_t = 3_000)]
    records: u64,
    /// The seed of the synthetic records: the same seed gives the same findings
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The address on which /metrics is served
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9598")]
    listen: String,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The cluster in the process, or a client of it, failed.
    #[error("the cluster inside the demo failed")]
    Kafka(#[from] MockError),
    /// The service failed.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// Findings cannot be written.
    #[error("cannot write to standard output")]
    Output(#[from] std::io::Error),
    /// A thread of the demo panicked.
    #[error("a thread of the demo panicked")]
    Thread,
    /// Not all findings came back.
    #[error("{seen} of {expected} findings came back within {} s", PATIENCE.as_secs())]
    Missing {
        /// How many came.
        seen: u64,
        /// How many there are.
        expected: u64,
    },
}

/// What was fed.
#[derive(Debug, Clone, Copy, Default)]
struct FedRecords {
    records: u64,
    findings: u64,
    bytes: u64,
}

impl Demo {
    /// Shows the demo until all records are through, or Ctrl-C.
    pub fn run(self) -> Result<Completion, Failure> {
        start_log(config::LogFormat::Text, "warn");
        let pipelines = Pipelines {
            service: pipeline(&self.config(""))?,
            feeder: pipeline(&Config::default())?,
        };
        runtime()?.block_on(async {
            let shutdown = CancellationToken::new();
            let stop = shutdown.clone();
            tokio::spawn(async move {
                if tokio::signal::ctrl_c().await.is_ok() {
                    stop.cancel();
                }
            });
            self.show(pipelines, shutdown).await
        })?;
        Ok(Completion::Done)
    }

    /// The configuration of the service that the demo runs.
    fn config(&self, servers: &str) -> Config {
        let mut config = Config::default();
        config.kafka.bootstrap_servers = vec![servers.to_owned()];
        config.kafka.topics = vec![INPUT.to_owned()];
        // A mock cluster has no past to fence and no pods to recognise.
        config
            .kafka
            .consumer
            .insert("group.instance.id".to_owned(), String::new());
        config.delivery.guarantee = Guarantee::AtLeastOnce;
        config.workers = 1;
        config.routes = vec![config::Route {
            name: "findings".to_owned(),
            topic: OUTPUT.to_owned(),
            ..config::Route::default()
        }];
        DEAD_LETTER.clone_into(&mut config.dead_letter.topic);
        STEPS.clone_into(&mut config.sequences.topic);
        config.http.listen.clone_from(&self.listen);
        config
    }

    /// Runs until all records are through, or `shutdown` is cancelled.
    async fn show(
        self,
        pipelines: Pipelines,
        shutdown: CancellationToken,
    ) -> Result<(), DemoError> {
        let topics = [(INPUT, 4), (OUTPUT, 1), (DEAD_LETTER, 1), (STEPS, 2)];
        let cluster = Cluster::start(&topics)?;
        let servers = cluster.bootstrap_servers();
        let config = self.config(&servers);
        let listener = supervisor::bind(&config)?;
        // Its port may have been left to the system.
        let address = listener.local_addr();
        let address = address.map_err(|error| ServiceError::Listen {
            address: self.listen.clone(),
            error,
        })?;
        // A mock cluster is asked in vain.
        let limits = TopicLimits::default_of_brokers(&config);
        let stop = CancellationToken::new();
        let service = tokio::spawn(supervisor::run(
            Arc::new(config),
            listener,
            Some(limits),
            Arc::new(pipelines.service),
            stop.clone(),
        ));

        writeln!(
            std::io::stdout().lock(),
            "CloudTrail flows into a cluster inside this process, and findings come out. Metrics: http://{address}/metrics\n"
        )?;
        let began = Instant::now();
        let feeder = {
            let (demo, servers, shutdown) = (self.clone(), servers.clone(), shutdown.clone());
            let pipeline = pipelines.feeder;
            tokio::task::spawn_blocking(move || feed(&demo, &servers, &pipeline, &shutdown))
        };
        let (fed_known, fed) = watch::channel(None);
        let viewer = {
            let (colour, shutdown) = (wants_colour(), shutdown.clone());
            tokio::task::spawn_blocking(move || view(&servers, colour, &fed, &shutdown))
        };
        let result = feeder.await.map_err(|_| DemoError::Thread)?;
        let fed = result.as_ref().copied().unwrap_or_default();
        // The viewer waits for a number of findings, and must learn that there will be no more, however the feeding ended.
        fed_known.send_replace(Some(fed.findings));
        let seen = viewer.await.map_err(|_| DemoError::Thread)?;
        stop.cancel();
        service.await.map_err(|_| DemoError::Thread)??;
        result?;
        let seen = seen?;
        if seen.findings < fed.findings && !shutdown.is_cancelled() {
            return Err(DemoError::Missing {
                seen: seen.findings,
                expected: fed.findings,
            });
        }
        tell(&seen.stories, wants_colour())?;
        summary(fed, &seen, began.elapsed())?;
        Ok(())
    }
}

/// What reads records: the service's, and that of the feeder, which counts what must come out.
struct Pipelines {
    service: Pipeline,
    feeder: Pipeline,
}

/// What came out.
#[derive(Debug, Default)]
struct SeenDocuments {
    findings: u64,
    sequences: u64,
    /// The first document of each kind that is told.
    stories: Vec<Value>,
}

impl SeenDocuments {
    /// Takes the document of a sequence; of any other it says so.
    fn take_sequence(&mut self, payload: &[u8]) -> bool {
        let document: Option<Value> = serde_json::from_slice(payload).ok();
        let Some((kind, document)) = document.and_then(|it| Some((kind(&it)?, it))) else {
            return false;
        };
        self.sequences += 1;
        if TOLD.contains(&kind) && !self.has(kind) {
            self.stories.push(document);
        }
        true
    }

    fn has(&self, kind: SequenceKind) -> bool {
        let mut kinds = self.stories.iter().filter_map(self::kind);
        kinds.any(|it| it == kind)
    }
}

/// Tells what some of the records were together.
fn tell(stories: &[Value], colour: bool) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    if !stories.is_empty() {
        writeln!(out, "Together, records say more than each alone:\n")?;
    }
    for told in TOLD {
        for document in stories.iter().filter(|it| kind(it) == Some(told)) {
            out.write_all(story(document, Colours(colour)).as_bytes())?;
        }
    }
    Ok(())
}

/// Feeds synthetic records in bursts, and counts what must come out.
fn feed(
    demo: &Demo,
    servers: &str,
    pipeline: &Pipeline,
    shutdown: &CancellationToken,
) -> Result<FedRecords, DemoError> {
    let input = Feed::new(servers, INPUT)?;
    let mut generator = Generator::new(&Options {
        seed: demo.seed,
        match_rate: MATCH_RATE,
        shape: Shape::Record,
    })
    .with_sequels(SWAP_RATE, demo.seed);
    let mut outputs = Outputs::default();
    let mut payload = Vec::new();
    let mut fed = FedRecords::default();
    while (demo.records == 0 || fed.records < demo.records) && !shutdown.is_cancelled() {
        let left = if demo.records == 0 {
            BURST
        } else {
            (demo.records - fed.records).min(BURST)
        };
        for _ in 0..left {
            fed.records += generator.write(1, &mut payload);
            fed.bytes += payload.len() as u64;
            let origin = crate::model::Origin {
                topic: INPUT,
                partition: 0,
                offset: 0,
                timestamp: None,
            };
            fed.findings += pipeline.process(&payload, &origin, &mut outputs).matched;
            outputs.documents.clear();
            outputs.dead_letters.clear();
            input.send(&payload)?;
        }
        input.flush(PATIENCE)?;
        std::thread::sleep(PAUSE);
    }
    Ok(fed)
}

/// Prints findings as they come out, until all that were fed have; sequences come after the records that they are about.
fn view(
    servers: &str,
    colour: bool,
    expected: &watch::Receiver<Option<u64>>,
    shutdown: &CancellationToken,
) -> Result<SeenDocuments, DemoError> {
    let output = Tail::new(servers, "demo-view", OUTPUT)?;
    let mut seen = SeenDocuments::default();
    let mut last = Instant::now();
    loop {
        let expected = *expected.borrow();
        let enough = expected.is_some_and(|expected| {
            let patience = if seen.findings < expected {
                PATIENCE
            } else if TOLD.into_iter().all(|kind| seen.has(kind)) {
                QUIET
            } else {
                QUIET_WITHOUT_STORIES
            };
            last.elapsed() > patience
        });
        if enough || shutdown.is_cancelled() {
            return Ok(seen);
        }
        if let Some(payload) = output.next(Duration::from_millis(100)) {
            last = Instant::now();
            if !seen.take_sequence(&payload) {
                seen.findings += 1;
                let text = demo_view::render(&payload, colour);
                std::io::stdout().lock().write_all(text.as_bytes())?;
            }
        }
    }
}

fn summary(fed: FedRecords, seen: &SeenDocuments, took: Duration) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{} records ({:.1} MB) in, {} findings and {} sequences out, in {:.1} s. Each is scored, explained and comes with what to do.",
        fed.records,
        megabytes(fed.bytes),
        seen.findings,
        seen.sequences,
        took.as_secs_f64()
    )
}

#[allow(clippy::cast_precision_loss)] // for the eye only
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_delivers_at_least_once_since_a_mock_cluster_knows_no_transactions() {
        let demo = Demo {
            records: 1,
            seed: 1,
            listen: "127.0.0.1:0".to_owned(),
        };
        let config = demo.config("127.0.0.1:1");
        assert_eq!(config.delivery.guarantee, Guarantee::AtLeastOnce);
        assert_eq!(config.workers, 1);
    }
}
