//! A steady stream of numbered messages, and what the brokers said of each.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, ThreadedProducer};
use serde::Deserialize;

use super::records::{noise, other, ours_with_agent};
use super::support::Broker;

/// What the stream is made of.
#[derive(Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Plan {
    /// Messages a second.
    pub(crate) rate: usize,
    /// One in so many is a finding.
    pub(crate) finding_every: usize,
    /// One in so many cannot be read, and becomes a dead letter.
    pub(crate) unreadable_every: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            rate: 200,
            finding_every: 5,
            unreadable_every: 49,
        }
    }
}

/// What a message is to the program under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Finding,
    Unreadable,
    Other,
}

impl Plan {
    fn kind(&self, number: usize) -> Kind {
        if number % self.unreadable_every == 1 {
            Kind::Unreadable
        } else if number.is_multiple_of(self.finding_every) {
            Kind::Finding
        } else {
            Kind::Other
        }
    }
}

const UNREADABLE: &str = "not to be read: ";

fn payload(number: usize, kind: Kind, bytes: usize) -> Vec<u8> {
    match kind {
        Kind::Finding if bytes > 0 => ours_with_agent(number, &noise(bytes)),
        Kind::Finding => ours_with_agent(number, "aws-cli/2.15.0"),
        Kind::Unreadable => format!("{UNREADABLE}{number}").into_bytes(),
        Kind::Other => other(number),
    }
}

/// The number of a message of the stream, and what it is.
pub(crate) fn read(payload: &[u8]) -> Option<(usize, Kind)> {
    let text = std::str::from_utf8(payload).ok()?;
    if let Some(number) = text.strip_prefix(UNREADABLE) {
        return Some((number.parse().ok()?, Kind::Unreadable));
    }
    let (_, rest) = text.split_once(r#""eventID":"e-"#)?;
    let (number, _) = rest.split_once('"')?;
    let finding = text.contains(r#""eventName":"RemoveRoleFromInstanceProfile""#);
    let kind = if finding { Kind::Finding } else { Kind::Other };
    Some((number.parse().ok()?, kind))
}

/// The numbers that brokers acknowledged. Others may be in the log or not.
type Acknowledged = Arc<Mutex<BTreeSet<usize>>>;

struct Context(Acknowledged);

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, number: Box<usize>) {
        if result.as_ref().is_ok_and(|message| message.offset() >= 0) {
            self.0.lock().unwrap().insert(*number);
        }
    }
}

type Sender = ThreadedProducer<Context>;

fn sender(broker: &Broker, acknowledged: &Acknowledged) -> Sender {
    broker
        .client()
        .set("enable.idempotence", "true")
        .set("linger.ms", "5")
        .set("message.max.bytes", "100000000")
        .set("message.timeout.ms", "300000")
        .set("topic.metadata.refresh.interval.ms", "2000")
        .create_with_context(Context(Arc::clone(acknowledged)))
        .unwrap()
}

#[derive(Default)]
struct Orders {
    stop: AtomicBool,
    pause: AtomicBool,
    /// Nothing is being sent, and all is told.
    paused: AtomicBool,
    partitions: AtomicUsize,
    sent: AtomicUsize,
    /// Findings to send at once, and how large each is.
    burst: Mutex<Option<(usize, usize)>>,
}

/// The stream. It ends when this is dropped.
pub(crate) struct Load {
    orders: Arc<Orders>,
    acknowledged: Acknowledged,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(broker: Broker, topic: &str, partitions: usize, plan: Plan) -> Self {
        let orders = Arc::new(Orders::default());
        orders.partitions.store(partitions, Ordering::Relaxed);
        let acknowledged = Acknowledged::default();
        let thread = {
            let (orders, acknowledged) = (Arc::clone(&orders), Arc::clone(&acknowledged));
            let topic = topic.to_owned();
            std::thread::spawn(move || stream(&broker, &topic, plan, &orders, &acknowledged))
        };
        Self {
            orders,
            acknowledged,
            thread: Some(thread),
        }
    }

    /// Stops to send, and returns when the brokers have said something of everything that was sent.
    pub(crate) fn pause(&self) {
        self.orders.pause.store(true, Ordering::Relaxed);
        super::support::wait_until(Duration::from_mins(6), "the stream has paused", || {
            let ended = self.thread.as_ref().is_none_or(JoinHandle::is_finished);
            assert!(!ended, "the stream has ended: its thread says why");
            if self.orders.paused.load(Ordering::Relaxed) {
                Ok(())
            } else {
                Err(format!("{} sent", self.sent()))
            }
        });
    }

    /// Goes on, with a new producer.
    pub(crate) fn resume(&self) {
        self.orders.paused.store(false, Ordering::Relaxed);
        self.orders.pause.store(false, Ordering::Relaxed);
    }

    pub(crate) fn set_partitions(&self, partitions: usize) {
        self.orders.partitions.store(partitions, Ordering::Relaxed);
    }

    /// Sends findings of a size at once, beside the rest.
    pub(crate) fn burst(&self, count: usize, bytes: usize) {
        *self.orders.burst.lock().unwrap() = Some((count, bytes));
    }

    /// How many messages were sent so far.
    pub(crate) fn sent(&self) -> usize {
        self.orders.sent.load(Ordering::Relaxed)
    }

    /// What was acknowledged so far.
    pub(crate) fn acknowledged(&self) -> BTreeSet<usize> {
        self.acknowledged.lock().unwrap().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.orders.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn stream(broker: &Broker, topic: &str, plan: Plan, orders: &Orders, acknowledged: &Acknowledged) {
    const STEP: Duration = Duration::from_millis(50);
    let mut number = 0;
    let mut producer = sender(broker, acknowledged);
    let stopped = || orders.stop.load(Ordering::Relaxed);
    // In thousandths of a message.
    let mut due = 0;
    let mut last = Instant::now();
    while !stopped() {
        if orders.pause.load(Ordering::Relaxed) {
            while producer.in_flight_count() > 0 && !stopped() {
                std::thread::sleep(STEP);
            }
            orders.paused.store(true, Ordering::Relaxed);
            while orders.paused.load(Ordering::Relaxed) && !stopped() {
                std::thread::sleep(STEP);
            }
            // One that knows a topic by an older id sends to nobody.
            producer = sender(broker, acknowledged);
            last = Instant::now();
            continue;
        }
        let passed = last.elapsed();
        last = Instant::now();
        due += plan.rate * usize::try_from(passed.as_millis()).unwrap();
        let burst = orders.burst.lock().unwrap().take();
        let large = burst.map_or(0, |(count, _)| count);
        for place in 0..large + due / 1000 {
            let (kind, bytes) = match burst {
                Some((count, bytes)) if place < count => (Kind::Finding, bytes),
                _ => (plan.kind(number), 0),
            };
            let partition = number % orders.partitions.load(Ordering::Relaxed);
            let payload = payload(number, kind, bytes);
            let mut record = BaseRecord::<[u8], [u8], _>::with_opaque_to(topic, Box::new(number))
                .partition(i32::try_from(partition).unwrap())
                .payload(&payload);
            // A full queue empties itself; a partition that is not there yet is found.
            while let Err((error, refused)) = producer.send(record) {
                let code = error.rdkafka_error_code();
                match code {
                    Some(RDKafkaErrorCode::QueueFull | RDKafkaErrorCode::UnknownPartition) => {}
                    // Where a log has lost what it acknowledged, an idempotent producer is at its end.
                    Some(RDKafkaErrorCode::Fatal) => producer = sender(broker, acknowledged),
                    _ => panic!("{topic}: {error}"),
                }
                if stopped() {
                    return;
                }
                record = refused;
                std::thread::sleep(STEP);
            }
            number += 1;
            orders.sent.store(number, Ordering::Relaxed);
        }
        due %= 1000;
        std::thread::sleep(STEP);
    }
}

#[test]
fn messages_say_what_they_are() {
    for kind in [Kind::Finding, Kind::Unreadable, Kind::Other] {
        for bytes in [0, 100] {
            assert_eq!(read(&payload(7, kind, bytes)), Some((7, kind)));
        }
    }
    assert_eq!(read(b"something else"), None);
}
