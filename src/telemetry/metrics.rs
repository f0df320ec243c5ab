//! What Prometheus scrapes.
//!
//! Workers add up while they work and report once a batch. Reports that belong together are made under one gate that a
//! scrape closes, so that the conservation law holds at every scrape:
//!
//! ```text
//! records_received − records_returned = ignored + matched + dead_lettered + in flight
//! ```
//!
//! Returned are records that were read, not settled, and given back: the partition moved to another member, or an
//! aborted transaction is read again. Labels are closed lists or configuration; never an ARN, an account or a user.

mod sequences;

use std::time::Duration;

use parking_lot::RwLock;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use crate::cloudtrail::envelope::Skip;
use crate::model::Level;
use crate::model::dead_letter::Reason;
use crate::pipeline::Tally;

pub use self::sequences::Dropped;
use self::sequences::SequenceMetrics;

/// Every metric of the program.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Memory, CPU and files of the process, under the names that every dashboard knows, without our prefix.
    process: Registry,
    /// Reports take it shared, a scrape takes it alone.
    gate: RwLock<()>,
    messages_received: IntCounterVec,
    bytes_received: IntCounterVec,
    records_received: IntCounter,
    records_returned: IntCounter,
    records_in_flight: IntGauge,
    records: IntCounterVec,
    skipped_messages: IntCounterVec,
    findings: IntCounterVec,
    forwarded: IntCounterVec,
    dead_letters: IntCounterVec,
    delivery_failures: IntCounterVec,
    batch_duration: Histogram,
    transaction_duration: Histogram,
    event_delay: Histogram,
    consumer_lag: IntGaugeVec,
    partitions_stopped: IntGaugeVec,
    brokers_connected: IntGaugeVec,
    rebalances: IntCounter,
    offset_resets: IntCounterVec,
    transactions: IntCounterVec,
    worker_last_poll: IntGaugeVec,
    worker_restarts: IntCounter,
    rules_loaded: IntGauge,
    rules_skipped: IntGauge,
    config_reloads: IntCounterVec,
    last_reload_successful: IntGauge,
    last_reload_success: IntGauge,
    of_sequences: SequenceMetrics,
}

/// What a transaction ended as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transaction {
    /// Its documents and offsets are visible.
    Committed,
    /// None of it is.
    Aborted,
}

/// How far the reading of one partition is behind its readable end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Messages between the position and the last stable offset.
    pub messages: i64,
}

/// Why a committed offset is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// The messages at it are gone: retention, or an administrator, removed them.
    Expired,
    /// The log was cut before it: an unclean leader election, or lost disks.
    Truncated,
    /// It belongs to a topic that was deleted; another one has its name now.
    TopicRecreated,
}

impl ResetReason {
    /// Every reason, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Expired, Self::Truncated, Self::TopicRecreated];

    /// The name in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Truncated => "truncated",
            Self::TopicRecreated => "topic_recreated",
        }
    }
}

impl Metrics {
    /// All metrics, at zero, with a series for every value that a closed label can have: a counter that appears only
    /// with its first event hides that event from `rate()`. `librdkafka` is the version of the library that is in use.
    #[allow(clippy::too_many_lines, reason = "a list: one entry a metric")]
    pub fn new(routes: &[String], librdkafka: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("trailtag".to_owned()), None)?;
        let process = Registry::new();
        process.register(Box::new(ProcessCollector::for_self()))?;
        let new = Maker {
            registry: &registry,
        };
        let metrics = Self {
            messages_received: new.counters("messages_received_total", "Messages read from Kafka.", &["topic"])?,
            bytes_received: new.counters("bytes_received_total", "Bytes of message values read.", &["topic"])?,
            records_received: new.counter("records_received_total", "CloudTrail records read.")?,
            records_returned: new.counter(
                "records_returned_total",
                "Records given back before they were settled (revoked partition, aborted transaction); they are read again.",
            )?,
            records_in_flight: new.gauge("records_in_flight", "Records read and not yet settled.")?,
            records: new.counters("records_total", "Records settled, by result.", &["result"])?,
            skipped_messages: new.counters(
                "skipped_messages_total",
                "Valid messages and list elements that contain no record, by kind.",
                &["kind"],
            )?,
            findings: new.counters("findings_total", "Findings, by severity.", &["severity"])?,
            forwarded: new.counters("forwarded_total", "Documents delivered, by route.", &["route"])?,
            dead_letters: new.counters("dead_letters_total", "Dead letters delivered, by reason.", &["reason"])?,
            delivery_failures: new.counters(
                "delivery_failures_total",
                "Failed deliveries of documents and dead letters, by route; each is retried or dead-lettered.",
                &["route"],
            )?,
            batch_duration: new.histogram(
                "batch_duration_seconds",
                "Time from the first message of a batch to its commit.",
                prometheus::exponential_buckets(0.005, 2.0, 13)?,
            )?,
            transaction_duration: new.histogram(
                "transaction_duration_seconds",
                "Time from the start of a transaction to its end.",
                prometheus::exponential_buckets(0.005, 2.0, 13)?,
            )?,
            event_delay: new.histogram(
                "event_delay_seconds",
                "Time from a finding's eventTime until trailtag has read it.",
                prometheus::exponential_buckets(1.0, 2.0, 16)?,
            )?,
            consumer_lag: new.gauges(
                "consumer_lag",
                "Readable messages that are not yet read, in the partitions of this process.",
                &["topic", "partition"],
            )?,
            partitions_stopped: new.gauges(
                "partitions_stopped",
                "Partitions stopped at a message whose delivery failed.",
                &["worker"],
            )?,
            brokers_connected: new.gauges(
                "brokers_connected",
                "Brokers to which a worker's consumer is connected.",
                &["worker"],
            )?,
            offset_resets: new.counters(
                "offset_resets_total",
                "Partitions that could not continue at their committed offset, because their log has changed, by reason.",
                &["reason"],
            )?,
            rebalances: new.counter("rebalances_total", "Changes of the partitions assigned to this process.")?,
            transactions: new.counters("transactions_total", "Transactions, by result.", &["result"])?,
            worker_last_poll: new.gauges(
                "worker_last_poll_timestamp_seconds",
                "When a worker's loop last ran.",
                &["worker"],
            )?,
            worker_restarts: new.counter("worker_restarts_total", "Restarts of workers after a fatal error.")?,
            rules_loaded: new.gauge("rules_loaded", "Rules in use.")?,
            rules_skipped: new.gauge(
                "rules_skipped",
                "Rules and filters left out because they are wrong, with detection.on_bad_rule: skip.",
            )?,
            config_reloads: new.counters(
                "config_reloads_total",
                "Reloads of rules, lists and remediation, by result.",
                &["result"],
            )?,
            last_reload_successful: new.gauge(
                "config_last_reload_successful",
                "1 if the last reload of rules, lists and remediation was accepted, else 0; the start counts as a reload.",
            )?,
            last_reload_success: new.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the rules, lists and remediation in use were read.",
            )?,
            of_sequences: SequenceMetrics::new(&new)?,
            gate: RwLock::new(()),
            registry: registry.clone(),
            process,
        };
        new.gauges(
            "build_info",
            "The running version.",
            &["version", "librdkafka"],
        )?
        .with_label_values(&[env!("CARGO_PKG_VERSION"), librdkafka])
        .set(1);
        for (family, values) in [
            (
                &metrics.records,
                &["ignored", "matched", "dead_lettered"][..],
            ),
            (&metrics.skipped_messages, &Skip::ALL.map(Skip::as_str)[..]),
            (&metrics.findings, &Level::ALL.map(Level::as_str)[..]),
            (&metrics.dead_letters, &Reason::ALL.map(Reason::as_str)[..]),
            (&metrics.transactions, &["committed", "aborted"][..]),
            (
                &metrics.offset_resets,
                &ResetReason::ALL.map(ResetReason::as_str)[..],
            ),
            (&metrics.config_reloads, &["accepted", "rejected"][..]),
        ] {
            for value in values {
                let _ = family.with_label_values(&[value]);
            }
        }
        for route in routes {
            let _ = metrics.forwarded.with_label_values(&[route]);
            let _ = metrics.delivery_failures.with_label_values(&[route]);
        }
        Ok(metrics)
    }

    /// The text that Prometheus reads.
    pub fn scrape(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut families = {
            let _alone = self.gate.write();
            self.registry.gather()
        };
        families.extend(self.process.gather());
        let mut text = Vec::with_capacity(16 * 1024);
        TextEncoder::new().encode(&families, &mut text)?;
        Ok(text)
    }

    fn together(&self, report: impl FnOnce()) {
        let _shared = self.gate.read();
        report();
    }

    /// Messages of one topic were read, and held these records.
    pub fn received(&self, topic: &str, messages: u64, bytes: u64, records: u64) {
        self.together(|| {
            self.messages_received
                .with_label_values(&[topic])
                .inc_by(messages);
            self.bytes_received
                .with_label_values(&[topic])
                .inc_by(bytes);
            self.records_received.inc_by(records);
            self.records_in_flight.add(signed(records));
        });
    }

    /// What was read is settled.
    pub fn settled(&self, tally: &Tally) {
        self.together(|| {
            for (result, count) in [
                ("ignored", tally.ignored),
                ("matched", tally.matched),
                ("dead_lettered", tally.dead_lettered),
            ] {
                self.records.with_label_values(&[result]).inc_by(count);
            }
            self.records_in_flight.sub(signed(tally.records()));
            add_all(
                &self.skipped_messages,
                Skip::ALL.map(Skip::as_str),
                tally.skipped,
            );
            add_all(
                &self.dead_letters,
                Reason::ALL.map(Reason::as_str),
                tally.dead_letters,
            );
            add_all(
                &self.findings,
                Level::ALL.map(Level::as_str),
                tally.findings,
            );
            self.of_sequences.settled(tally);
        });
    }

    /// What was read is given back, and will be read again, here or elsewhere.
    pub fn returned(&self, tally: &Tally) {
        self.together(|| {
            self.records_returned.inc_by(tally.records());
            self.records_in_flight.sub(signed(tally.records()));
        });
    }

    /// Documents were delivered.
    pub fn forwarded(&self, route: &str, documents: u64) {
        self.forwarded.with_label_values(&[route]).inc_by(documents);
    }

    /// Deliveries failed.
    pub fn delivery_failed(&self, route: &str, documents: u64) {
        self.delivery_failures
            .with_label_values(&[route])
            .inc_by(documents);
    }

    /// A batch ended.
    pub fn batch(&self, took: Duration) {
        self.batch_duration.observe(took.as_secs_f64());
    }

    /// A transaction ended.
    pub fn transaction(&self, end: Transaction, took: Duration) {
        let result = match end {
            Transaction::Committed => "committed",
            Transaction::Aborted => "aborted",
        };
        self.transactions.with_label_values(&[result]).inc();
        self.transaction_duration.observe(took.as_secs_f64());
    }

    /// A finding arrived this long after its event.
    pub fn event_delay(&self, delay: Duration) {
        self.event_delay.observe(delay.as_secs_f64());
    }

    /// The lag of one partition that this process owns.
    pub fn lag(&self, lag: &Lag) {
        self.consumer_lag
            .with_label_values(&[&lag.topic, &lag.partition.to_string()])
            .set(lag.messages);
    }

    /// A partition is no longer ours: its lag is somebody else's to report.
    pub fn forget_lag(&self, topic: &str, partition: i32) {
        // An error says that there was no such series, which is what is wanted.
        let _ = self
            .consumer_lag
            .remove_label_values(&[topic, &partition.to_string()]);
    }

    /// How many partitions of a worker stand still.
    pub fn stopped(&self, worker: &str, partitions: usize) {
        self.partitions_stopped
            .with_label_values(&[worker])
            .set(i64::try_from(partitions).unwrap_or(i64::MAX));
    }

    /// How many brokers a worker's consumer is connected to.
    pub fn brokers(&self, worker: &str, brokers: usize) {
        self.brokers_connected
            .with_label_values(&[worker])
            .set(i64::try_from(brokers).unwrap_or(i64::MAX));
    }

    /// A committed offset was left.
    pub fn offset_reset(&self, reason: ResetReason) {
        self.offset_resets
            .with_label_values(&[reason.as_str()])
            .inc();
    }

    /// What this process owns changed.
    pub fn rebalanced(&self) {
        self.rebalances.inc();
    }

    /// A worker's loop turned at this time, in seconds since the epoch.
    pub fn turned(&self, worker: &str, seconds: u64) {
        self.worker_last_poll
            .with_label_values(&[worker])
            .set(signed(seconds));
    }

    /// A worker began afresh.
    pub fn restarted(&self) {
        self.worker_restarts.inc();
    }

    /// So many rules, lists and remediation were read and are in use, and so many rules left out, since this time in
    /// seconds since the epoch.
    pub fn loaded(&self, rules: usize, skipped: usize, seconds: u64) {
        self.together(|| self.in_use(rules, skipped, seconds));
    }

    /// They were read again, with success.
    pub fn reloaded(&self, rules: usize, skipped: usize, seconds: u64) {
        self.together(|| {
            self.config_reloads.with_label_values(&["accepted"]).inc();
            self.in_use(rules, skipped, seconds);
        });
    }

    /// They were read again and refused; what was in use stays.
    pub fn reload_refused(&self) {
        self.together(|| {
            self.config_reloads.with_label_values(&["rejected"]).inc();
            self.last_reload_successful.set(0);
        });
    }

    fn in_use(&self, rules: usize, skipped: usize, seconds: u64) {
        for (gauge, count) in [(&self.rules_loaded, rules), (&self.rules_skipped, skipped)] {
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.last_reload_successful.set(1);
        self.last_reload_success.set(signed(seconds));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn add_all<const N: usize>(family: &IntCounterVec, labels: [&'static str; N], counts: [u64; N]) {
    for (label, count) in labels
        .into_iter()
        .zip(counts)
        .filter(|(_, count)| *count > 0)
    {
        family.with_label_values(&[label]).inc_by(count);
    }
}

struct Maker<'a> {
    registry: &'a Registry,
}

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(
        &self,
        collector: C,
    ) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.register(IntCounter::new(name, help)?)
    }

    fn counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntCounterVec, prometheus::Error> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.register(IntGauge::new(name, help)?)
    }

    fn gauges(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<IntGaugeVec, prometheus::Error> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: Vec<f64>,
    ) -> Result<Histogram, prometheus::Error> {
        self.register(Histogram::with_opts(
            HistogramOpts::new(name, help).buckets(buckets),
        )?)
    }
}
