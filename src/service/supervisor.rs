//! Starts the workers, keeps them running, and stops them.
//!
//! One thread a worker, and one for the pages. A worker that fails in a way that needs new clients is begun afresh in
//! place, after a growing wait; the process ends only when it is told to, when the stop takes too long, or when a worker is
//! stuck for good.

use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use super::http::credentials::{self, Credentials};
use super::http::{self, Pages};
use super::reload;
use crate::config::{Config, Fault, Guarantee};
use crate::kafka;
use crate::kafka::client::{self, ClientError};
use crate::kafka::context::WorkerContext;
use crate::kafka::outage::{Outage, OutageReason};
use crate::kafka::positions::backoff;
use crate::kafka::preflight::connect::{self, BrokerProbe};
use crate::kafka::preflight::limits;
use crate::kafka::topics::{TopicIds, TopicLimits};
use crate::kafka::unowned;
use crate::kafka::worker::{self, WorkerEnd, WorkerError};
use crate::model::error::chain;
use crate::pipeline::Pipeline;
use crate::telemetry::health::{self, LOST_AFTER, Silent, WorkerHealth};
use crate::telemetry::metrics::Metrics;

/// A worker that ran this long before it failed begins its waits anew.
const GOOD_RUN: Duration = Duration::from_mins(1);

/// How long brokers are waited for at the most before a new client asks.
const LONGEST: Duration = Duration::from_mins(1);

/// How much longer than `shutdown_grace` a worker is waited for, which sees the end of that time by itself.
const LATE: Duration = Duration::from_secs(3);

/// What is said of a worker that is not waited for any longer.
const LEFT_BEHIND: &str = "a call into the client library does not return; what the worker had in flight is not committed, \
                           and is read again by the next process";

/// How long to wait before the brokers are asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Why the service ended other than by being told to.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// The metrics cannot be set up.
    #[error("the metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// The address is taken, or not ours.
    #[error("http.listen {address} cannot be bound; set another address, or stop what uses it")]
    Listen {
        /// The address.
        address: String,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// The pages' certificate or token cannot be used.
    #[error(transparent)]
    Pages(#[from] Fault),
    /// The pages' thread cannot be started.
    #[error("the thread of the HTTP server cannot be started")]
    PagesThread(#[source] std::io::Error),
    /// A client's settings cannot be made.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Signals cannot be listened for.
    #[error("cannot listen for signals")]
    Signal(#[source] std::io::Error),
    /// A thread cannot be started.
    #[error("a worker's thread cannot be started")]
    Thread(#[source] std::io::Error),
    /// A worker could not finish in time, or panicked.
    #[error("worker {worker} ended with an error: {error}")]
    Worker {
        /// Its number.
        worker: usize,
        /// What it said.
        error: String,
    },
}

/// How many workers a configuration asks for.
#[must_use]
pub fn workers(config: &Config) -> usize {
    match config.workers {
        0 => thread::available_parallelism().map_or(1, std::num::NonZero::get),
        workers => workers,
    }
}

/// Takes the address of the pages.
pub fn bind(config: &Config) -> Result<TcpListener, ServiceError> {
    let address = &config.http.listen;
    http::bind(address).map_err(|error| ServiceError::Listen {
        address: address.clone(),
        error,
    })
}

/// Runs the service until `shutdown` is cancelled, then drains it; `listener` is what [`bind`] took. Without `limits`, the
/// brokers are asked for them. With them, the cluster is librdkafka's mock of one, which answers neither that nor what ids
/// topics have.
pub async fn run(
    config: Arc<Config>,
    listener: TcpListener,
    limits: Option<TopicLimits>,
    pipeline: Arc<Pipeline>,
    shutdown: CancellationToken,
) -> Result<(), ServiceError> {
    let address = config.http.listen.clone();
    let credentials = Credentials::read(&config.http)?;
    let mut routes: Vec<_> = config
        .routes
        .iter()
        .map(|route| route.name.clone())
        .collect();
    routes.extend(["unmatched".to_owned(), "dead_letter".to_owned()]);
    let metrics = Arc::new(Metrics::new(&routes, &kafka::library_version())?);
    let skipped = pipeline.notes().skipped_rules;
    metrics.loaded(pipeline.rules(), skipped, health::now());
    reload::tell(pipeline.notes());
    let (pipelines, pipeline) = watch::channel(pipeline);
    let number = workers(&config);
    for worker in 0..number {
        // While no broker answers there is no worker yet to say so.
        metrics.brokers(&worker.to_string(), 0);
    }
    let healths: Arc<[Arc<WorkerHealth>]> = (0..number)
        .map(|_| Arc::new(WorkerHealth::default()))
        .collect();
    let outage = Arc::new(Outage::new(&client::common(&config)?));
    let done = CancellationToken::new();
    let watch = tokio::spawn(watch(Arc::clone(&outage), done.clone()));
    let pages = Pages {
        metrics: Arc::clone(&metrics),
        workers: Arc::clone(&healths),
        shutdown: shutdown.clone(),
    };
    let reloads = tokio::spawn(reload::watch(
        Arc::clone(&config),
        pipelines,
        Arc::clone(&metrics),
        shutdown.clone(),
    ));
    let (in_use, credentials) = watch::channel(credentials);
    let server = http::start(listener, pages, credentials, done.clone())
        .map_err(ServiceError::PagesThread)?;
    let files = credentials::watch(config.http.clone(), in_use, done.clone());
    let files = tokio::spawn(files);
    info!(
        address,
        workers = number,
        version = env!("CARGO_PKG_VERSION"),
        "serving /metrics, /livez and /readyz"
    );

    let topic_ids = TopicIds::where_limits_are_known(limits.is_some());
    let limits = match limits {
        Some(limits) => Some(limits),
        None => ask_for_limits(&config, &healths, &outage, &shutdown).await,
    };
    // None: told to stop before any broker answered, so that there is nothing to start.
    let limits = limits.map(Arc::new);
    if limits.is_some() && topic_ids == TopicIds::Asked {
        watch_group(&config, number, &shutdown)?;
    }
    let mut ends = Vec::with_capacity(number);
    for ((worker, health), limits) in healths.iter().enumerate().zip(limits.iter().cycle()) {
        let context = WorkerContext {
            config: Arc::clone(&config),
            number: worker,
            workers: number,
            pipeline: pipeline.clone(),
            limits: Arc::clone(limits),
            topic_ids,
            metrics: Arc::clone(&metrics),
            health: Arc::clone(health),
            outage: Arc::clone(&outage),
            producer_epochs: Arc::default(),
            truncation_questions: Arc::default(),
            shutdown: shutdown.clone(),
        };
        let (end, ended) = oneshot::channel();
        thread::Builder::new()
            .name(format!("worker-{worker}"))
            .spawn(move || {
                // An error means that nobody waits any more.
                let _ = end.send(keep_running(&context));
            })
            .map_err(ServiceError::Thread)?;
        ends.push(ended);
    }
    let latest = config.shutdown_grace + LATE;
    let result = all(ends, &healths, &shutdown, latest).await;
    done.cancel();
    // It ends with the shutdown; that it panicked would have been seen in the log.
    let _ = reloads.await;
    let _ = watch.await;
    let _ = files.await;
    let _ = server.await;
    info!("stopped");
    result
}

/// Waits for all workers to end. One that does not end well takes the others along, and so does one that is stuck for good. A
/// worker that has not ended when the time for a stop is over is left behind: its thread ends with the process.
async fn all(
    ends: Vec<oneshot::Receiver<Result<(), WorkerError>>>,
    healths: &[Arc<WorkerHealth>],
    shutdown: &CancellationToken,
    latest: Duration,
) -> Result<(), ServiceError> {
    let late = CancellationToken::new();
    let ended = async {
        let mut result = Ok(());
        for (worker, end) in ends.into_iter().enumerate() {
            let end = tokio::select! {
                biased;
                end = end => end.map_err(|_| "its thread panicked".to_owned()),
                () = late.cancelled() => Err(LEFT_BEHIND.to_owned()),
            };
            let error = match end {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.to_string(),
                Err(error) => error,
            };
            error!(worker, error, "worker ended with an error");
            shutdown.cancel();
            result = Err(ServiceError::Worker { worker, error });
        }
        result
    };
    tokio::select! {
        result = ended => result,
        never = stop_where_one_is_lost(healths, shutdown) => match never {},
        never = say_when_late(shutdown, latest, &late) => match never {},
    }
}

/// Stops all workers when one has not turned for so long that it never will.
async fn stop_where_one_is_lost(
    healths: &[Arc<WorkerHealth>],
    shutdown: &CancellationToken,
) -> Infallible {
    loop {
        tokio::time::sleep(PAUSE).await;
        let lost = healths.iter().position(|health| health.is_lost());
        if let Some(worker) = lost {
            let minutes = LOST_AFTER.as_secs() / 60;
            error!(
                worker,
                minutes, "the worker is stuck for good; the process ends, to be started again"
            );
            shutdown.cancel();
            return std::future::pending().await;
        }
    }
}

async fn say_when_late(
    shutdown: &CancellationToken,
    latest: Duration,
    late: &CancellationToken,
) -> Infallible {
    shutdown.cancelled().await;
    tokio::time::sleep(latest).await;
    late.cancel();
    std::future::pending().await
}

/// Says in the log when no broker answers, that it lasts, and when it is over.
async fn watch(outage: Arc<Outage>, done: CancellationToken) {
    while tokio::time::timeout(PAUSE, done.cancelled()).await.is_err() {
        outage.tick();
    }
}

/// Asks the brokers for the topics' size limits until one answers: with limits that were only guessed, documents would
/// be dead-lettered that their topic takes. None when told to stop before.
async fn ask_for_limits(
    config: &Arc<Config>,
    healths: &[Arc<WorkerHealth>],
    outage: &Arc<Outage>,
    shutdown: &CancellationToken,
) -> Option<TopicLimits> {
    let monitor = outage.monitor();
    let silent = |silent: Option<Silent>| {
        for health in healths {
            health.silent(silent, Duration::ZERO, outage.why());
        }
    };
    let unanswered = |text: &str| {
        monitor.unreachable(&config.kafka.bootstrap_servers, text);
        silent(Some(Silent::Brokers));
    };
    let mut kept = None;
    let mut patience = connect::PATIENCE;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return None,
            never = live(healths) => match never {},
            answer = ask_once(&mut kept, config, patience) => match answer {
                Ok(limits) => {
                    monitor.answered(true);
                    // Here, for this monitor will be gone.
                    outage.tick();
                    silent(None);
                    return Some(limits);
                }
                Err(text) => unanswered(&text),
            },
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
        patience = (patience * 2).min(LONGEST);
    }
}

/// Asks once for the topics' size limits, by the client of the last try where that may still be answered. An error says
/// what keeps the brokers from answering.
async fn ask_once(
    kept: &mut Option<Arc<BrokerProbe>>,
    config: &Arc<Config>,
    patience: Duration,
) -> Result<TopicLimits, String> {
    let told = |fault: Fault| {
        debug!(
            setting = fault.key,
            hint = fault.hint,
            "{}; asking again until one does",
            fault.message
        );
        fault.message
    };
    let probe = match kept.take() {
        Some(probe) => probe,
        None => Arc::new(BrokerProbe::new(config).map_err(told)?),
    };
    let (asked, answer) = oneshot::channel();
    let (asking, reached) = (Arc::clone(config), Arc::clone(&probe));
    // A thread that nobody waits for: a stop must not take as long as the answer.
    thread::Builder::new()
        .name("reach".to_owned())
        .spawn(move || asked.send(reached.reach(&asking, connect::PATIENCE)))
        .map_err(|error| format!("a thread cannot be started: {error}"))?;
    // A client that was refused, or has waited long, is made anew, with what its files hold then.
    let is_kept = patience < LONGEST;
    if let Ok(Err(fault)) = answer.await {
        *kept = Some(probe).filter(|_| is_kept && connect::is_silence(&fault));
        return Err(told(fault));
    }
    let limits = limits::ask(&probe.limits, config, patience).await;
    *kept = Some(probe).filter(|_| is_kept);
    limits.map_err(|error| {
        let text = error.to_string();
        if OutageReason::from_text(&text).is_none() {
            warn!(%error, "the brokers do not return the topics' size limits; asking again");
        }
        text
    })
}

/// Says again and again that the workers live, and never ends: waiting for a broker is no reason for a restart.
async fn live(healths: &[Arc<WorkerHealth>]) -> Infallible {
    loop {
        for health in healths {
            health.turned();
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Looks after the group, on a thread that nobody waits for: a stop must not take as long as an answer.
fn watch_group(
    config: &Arc<Config>,
    workers: usize,
    shutdown: &CancellationToken,
) -> Result<(), ServiceError> {
    let (config, shutdown) = (Arc::clone(config), shutdown.clone());
    thread::Builder::new()
        .name("unowned".to_owned())
        .spawn(move || {
            if let Err(error) = unowned::watch(&config, workers, &shutdown) {
                warn!(%error, "the group cannot be watched for unassigned partitions");
            }
        })
        .map_err(ServiceError::Thread)?;
    Ok(())
}

/// Runs a worker again and again until it ends by itself.
fn keep_running(context: &WorkerContext) -> Result<(), WorkerError> {
    let mut failures = 0;
    let mut again = 0;
    loop {
        let begun = Instant::now();
        let error = match worker::run(context.clone()) {
            Ok(WorkerEnd::Stopped) => return Ok(()),
            Ok(WorkerEnd::Again) => {
                context.health.left("a log has changed".to_owned());
                again = if begun.elapsed() > GOOD_RUN {
                    0
                } else {
                    again + 1
                };
                // At once, but for one that does so time and again.
                if again > 1 {
                    wait(context, backoff(again - 1));
                }
                continue;
            }
            Err(error @ WorkerError::Unfinished(_)) => return Err(error),
            Err(error) => error,
        };
        if context.shutdown.is_cancelled() {
            return end_in_failure(context, error);
        }
        failures = if begun.elapsed() > GOOD_RUN {
            1
        } else {
            failures + 1
        };
        let wait = backoff(failures);
        let error = chain(&error);
        error!(
            worker = context.number,
            error,
            failures,
            retry_in_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
            "worker failed; it restarts"
        );
        context.metrics.restarted();
        context.health.left(error);
        self::wait(context, wait);
        if context.shutdown.is_cancelled() {
            return Ok(());
        }
    }
}

/// What it means that a worker failed while the process was told to stop. In a transaction nothing of it stands, and the next
/// start reads it again: that is as good an end as any. Without one, something may be there twice.
fn end_in_failure(context: &WorkerContext, error: WorkerError) -> Result<(), WorkerError> {
    if context.config.delivery.guarantee == Guarantee::AtLeastOnce {
        return Err(error);
    }
    warn!(
        worker = context.number,
        error = chain(&error),
        "worker failed while it was told to stop; what it had in flight is read again at the next start"
    );
    Ok(())
}

/// Waits before a worker begins afresh, and says that it lives.
fn wait(context: &WorkerContext, wait: Duration) {
    let until = Instant::now() + wait;
    while Instant::now() < until && !context.shutdown.is_cancelled() {
        context.health.turned();
        thread::sleep(Duration::from_millis(50));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATEST: Duration = Duration::from_secs(28);

    async fn ended(
        ends: Vec<oneshot::Receiver<Result<(), WorkerError>>>,
        shutdown: &CancellationToken,
    ) -> Option<String> {
        let healths: Vec<_> = ends.iter().map(|_| Arc::default()).collect();
        let result = all(ends, &healths, shutdown, LATEST).await;
        result.err().map(|error| error.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_never_ends_is_left_behind() {
        let (well, first) = oneshot::channel();
        let (_never, second) = oneshot::channel();
        let shutdown = CancellationToken::new();
        shutdown.cancel();
        well.send(Ok(())).unwrap();
        let began = tokio::time::Instant::now();
        let error = ended(vec![first, second], &shutdown).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), LATEST.as_secs());
        assert!(
            error.starts_with("worker 1 ") && error.ends_with(LEFT_BEHIND),
            "{error}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_fails_takes_the_others_along() {
        let (end, first) = oneshot::channel();
        let (other, second) = oneshot::channel();
        let shutdown = CancellationToken::new();
        drop(end);
        let stopped = shutdown.clone();
        tokio::spawn(async move {
            stopped.cancelled().await;
            other.send(Ok(())).unwrap();
        });
        let error = ended(vec![first, second], &shutdown).await.unwrap();
        assert_eq!(error, "worker 0 ended with an error: its thread panicked");
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_that_is_stuck_for_good_ends_the_process() {
        let stuck = Arc::new(WorkerHealth::default());
        stuck.turned_before(LOST_AFTER);
        let healths = [Arc::default(), stuck];
        let (other, first) = oneshot::channel();
        let (_never, second) = oneshot::channel();
        let shutdown = CancellationToken::new();
        let stopped = shutdown.clone();
        tokio::spawn(async move {
            stopped.cancelled().await;
            other.send(Ok(())).unwrap();
        });
        let error = all(vec![first, second], &healths, &shutdown, LATEST).await;
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with("worker 1 "), "{error}");
    }
}
