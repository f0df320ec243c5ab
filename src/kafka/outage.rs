//! Whether brokers answer, for the whole process: what is said of it in the log, and why none does.
//!
//! In here flow the clients' statistics, every five seconds, and what the clients say of their connections. Out of here
//! flow one line when no broker answers any more, one a minute while that lasts, one when it is over, and the reason in
//! words, for `/readyz` too. It never ends or begins a client: librdkafka connects again by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::statistics::{Broker, Statistics};
use tracing::{info, warn};

use super::certificate;
pub use super::reason::Reason;
use super::reason::address;
use crate::telemetry::health::Silent;

/// A broker from which nothing came for this long, though it was asked something, does not answer.
const HUNG_AFTER: Duration = Duration::from_secs(8);
/// A broker that was not heard for this long, though it was not asked either, proves nothing. Every client asks for
/// metadata twice in that time.
const UNHEARD_AFTER: Duration = Duration::from_secs(65);
/// Statistics are made every five seconds; a client that made none for this long did not run.
const SUSPENDED_AFTER: Duration = Duration::from_secs(8);
/// How long the first line waits for a reason.
const REASON_WITHIN: Duration = Duration::from_secs(5);
/// How often it is said that an outage lasts.
const SAY_EVERY: Duration = Duration::from_mins(1);
/// How soon it is said that the reason has changed.
const SAY_CHANGE_AFTER: Duration = Duration::from_secs(15);
/// What a client said last counts for this long: one that is busy elsewhere says nothing.
const STALE_AFTER: Duration = Duration::from_secs(20);
/// How often a broker's certificate is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A line for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// No broker answers any more.
    Began,
    /// None has answered for so long.
    Lasts(Duration),
    /// One answers again, after so long.
    Ended(Duration),
}

/// The whole process's view: a state machine without a clock and without a log.
#[derive(Debug, Default)]
struct View {
    /// By the client: when it was heard, and whether a broker answers it.
    clients: BTreeMap<u64, (Instant, bool)>,
    next_client: u64,
    /// Why a broker does not answer, by its address, and when that was said.
    reasons: BTreeMap<String, (Reason, Instant)>,
    /// Since when no broker answers.
    since: Option<Instant>,
    /// When that was last said, and with which reasons.
    said: Option<(Instant, BTreeSet<Reason>)>,
    /// When the certificate of a broker was last looked at.
    looked: BTreeMap<String, Instant>,
}

impl View {
    fn heard(&mut self, client: u64, answered: bool, now: Instant) {
        self.clients.insert(client, (now, answered));
    }

    /// What is to be said now.
    fn tick(&mut self, now: Instant) -> Option<Line> {
        self.clients
            .retain(|_, (heard, _)| now.saturating_duration_since(*heard) < STALE_AFTER);
        let answers = self.clients.values().any(|(_, answered)| *answered);
        if answers {
            let since = self.since.take();
            if since.is_some() {
                self.reasons.clear();
            }
            // One broker of several may stay away; what it said long ago may be over.
            self.reasons
                .retain(|_, (_, said)| now.saturating_duration_since(*said) < UNHEARD_AFTER);
            let said = self.said.take();
            return since
                .filter(|_| said.is_some())
                .map(|since| Line::Ended(now.saturating_duration_since(since)));
        }
        if self.clients.is_empty() && self.since.is_none() {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let lasts = now.saturating_duration_since(since);
        let reasons: BTreeSet<Reason> = self.reasons.values().map(|(reason, _)| *reason).collect();
        let is_known = reasons.iter().any(|reason| reason.is_certain());
        let line = match &self.said {
            None if is_known || lasts >= REASON_WITHIN => Line::Began,
            None => return None,
            Some((last, told)) => {
                let wait = if is_known && *told != reasons {
                    SAY_CHANGE_AFTER
                } else {
                    SAY_EVERY
                };
                if now.saturating_duration_since(*last) < wait {
                    return None;
                }
                Line::Lasts(lasts)
            }
        };
        self.said = Some((now, reasons));
        Some(line)
    }

    fn because(&mut self, address: &str, reason: Reason, now: Instant) {
        let (known, said) = self
            .reasons
            .entry(address.to_owned())
            .or_insert((reason, now));
        *said = now;
        let says_more = match reason {
            // How a connection ended says less than why there is no new one.
            Reason::Closed => false,
            Reason::Tls => !known.is_tls(),
            _ => true,
        };
        if says_more {
            *known = reason;
        }
    }

    /// The reasons with their brokers: `connection refused (a:9092, b:9092)`.
    fn why(&self) -> String {
        let mut brokers: BTreeMap<Reason, Vec<&str>> = BTreeMap::new();
        for (address, (reason, _)) in &self.reasons {
            brokers.entry(*reason).or_default().push(address);
        }
        if brokers.is_empty() {
            return "the reason is not known yet".to_owned();
        }
        brokers
            .iter()
            .map(|(reason, brokers)| format!("{reason} ({})", brokers.join(", ")))
            .collect::<Vec<_>>()
            .join("; ")
    }
}

/// Whether brokers answer, shared by all clients of the process.
#[derive(Debug, Default)]
pub struct Outage {
    view: Mutex<View>,
    /// What a TLS connection is tried with.
    tls: Option<Tls>,
}

/// What the brokers' certificates are held against.
#[derive(Debug, Clone)]
struct Tls {
    authorities: Option<PathBuf>,
    checks_names: bool,
}

impl Outage {
    /// With the settings of the clients.
    #[must_use]
    pub fn new(settings: &ClientConfig) -> Self {
        let is_tls = settings
            .get("security.protocol")
            .is_some_and(|protocol| protocol.to_ascii_lowercase().ends_with("ssl"));
        let tls = is_tls.then(|| Tls {
            authorities: settings
                .get("ssl.ca.location")
                .filter(|path| *path != "probe")
                .map(PathBuf::from),
            checks_names: settings.get("ssl.endpoint.identification.algorithm") != Some("none"),
        });
        Self {
            view: Mutex::default(),
            tls,
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new client's ear for its brokers.
    #[must_use]
    pub fn ear(self: &Arc<Self>) -> Ear {
        let mut view = self.view();
        view.next_client += 1;
        Ear {
            client: view.next_client,
            outage: Arc::clone(self),
            last: Mutex::default(),
        }
    }

    /// Why no broker answers, as far as it is known.
    #[must_use]
    pub fn why(&self) -> String {
        self.view().why()
    }

    /// Since when no broker answers the process.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.view().since
    }

    /// Says what there is to be said. To be called every second or so.
    pub fn tick(&self) {
        let (line, why, hint) = {
            let mut view = self.view();
            let why = view.why();
            let hint = view
                .reasons
                .values()
                .next()
                .map(|(reason, _)| reason.hint());
            (view.tick(Instant::now()), why, hint.unwrap_or_default())
        };
        match line {
            Some(Line::Began) => warn!(hint, "no broker answers: {why}; waiting for one"),
            Some(Line::Lasts(lasts)) => {
                warn!(
                    "no broker has answered for {} s, waiting: {why}",
                    lasts.as_secs()
                );
            }
            Some(Line::Ended(lasted)) => {
                info!("a broker answers again, after {} s", lasted.as_secs());
            }
            None => {}
        }
    }

    /// Takes why a broker does not answer; `text` is what the client says of one connection.
    fn said(self: &Arc<Self>, text: &str) {
        let (Some(address), Some(reason)) = (address(text), Reason::of(text)) else {
            return;
        };
        self.view().because(address, reason, Instant::now());
        if reason == Reason::Tls {
            self.look_at_certificate(address);
        }
    }

    /// librdkafka says that a certificate was not accepted, and not why. It is looked at once more, on a thread of its own.
    fn look_at_certificate(self: &Arc<Self>, address: &str) {
        let Some(tls) = self.tls.clone() else {
            return;
        };
        let now = Instant::now();
        {
            let mut view = self.view();
            let last = view.looked.get(address);
            if last.is_some_and(|last| now.saturating_duration_since(*last) < LOOK_EVERY) {
                return;
            }
            view.looked.insert(address.to_owned(), now);
        }
        let outage = Arc::clone(self);
        let address = address.to_owned();
        let look = move || {
            let authorities = tls.authorities.as_deref();
            if let Some(reason) = certificate::fault(&address, authorities, tls.checks_names) {
                outage.view().because(&address, reason, Instant::now());
            }
        };
        // Without a thread the reason stays what librdkafka said.
        let _ = std::thread::Builder::new()
            .name("certificate".to_owned())
            .spawn(look);
    }
}

/// What one client hears of its brokers. Its word is forgotten with it.
#[derive(Debug)]
pub struct Ear {
    outage: Arc<Outage>,
    client: u64,
    /// When the last statistics were made, in microseconds of librdkafka's clock, and what they said.
    last: Mutex<Option<(i64, Contact)>>,
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.outage.view().clients.remove(&self.client);
    }
}

impl Ear {
    /// Why no broker answers, as far as it is known.
    #[must_use]
    pub fn why(&self) -> String {
        self.outage.why()
    }

    /// Takes what the client says of one of its connections.
    pub fn said(&self, text: &str) {
        self.outage.said(text);
    }

    /// A broker has answered this client, or none does.
    pub fn answered(&self, answered: bool) {
        self.outage
            .view()
            .heard(self.client, answered, Instant::now());
    }

    /// No broker of `servers` can be asked, for what `text` says.
    pub fn unreachable(&self, servers: &[String], text: &str) {
        let reason = Reason::of(text).unwrap_or(Reason::Silent);
        for server in servers {
            self.outage.view().because(server, reason, Instant::now());
            if reason == Reason::Tls {
                self.outage.look_at_certificate(server);
            }
        }
        self.answered(false);
    }

    /// Takes a consumer's statistics, and gives what they say.
    pub fn look(&self, statistics: &Statistics) -> Contact {
        let contact = self.contact(statistics);
        let mut view = self.outage.view();
        for address in &contact.answering {
            view.reasons.remove(address);
        }
        for address in &contact.hung {
            view.because(address, Reason::Silent, Instant::now());
        }
        view.heard(self.client, !contact.answering.is_empty(), Instant::now());
        contact
    }
}

impl Ear {
    fn contact(&self, statistics: &Statistics) -> Contact {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let made = statistics.ts;
        let contact = match &*last {
            // What was suspended is this process: nobody has read yet what the brokers have answered.
            Some((before, known)) if microseconds(made - before) > SUSPENDED_AFTER => known.clone(),
            _ => Contact::of(statistics),
        };
        *last = Some((made, contact.clone()));
        contact
    }
}

/// Which brokers answer one client, as its statistics have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contact {
    /// The addresses of those that do.
    pub answering: BTreeSet<String>,
    /// The addresses of those that were asked and do not.
    pub hung: BTreeSet<String>,
    /// For how long the group's coordinator has not answered; none where it does.
    pub uncoordinated: Option<Duration>,
}

impl Contact {
    /// Who does not answer, and for how long already, as far as that can be seen.
    #[must_use]
    pub fn silence(&self) -> (Option<Silent>, Duration) {
        if self.answering.is_empty() {
            (Some(Silent::Brokers), Duration::ZERO)
        } else if let Some(for_long) = self.uncoordinated {
            (Some(Silent::Coordinator), for_long)
        } else {
            (None, Duration::ZERO)
        }
    }

    fn of(statistics: &Statistics) -> Self {
        let group = statistics.cgrp.as_ref();
        // A broker answers who wants to join when all members have come.
        let is_joining = group.is_some_and(|group| {
            group.join_state.starts_with("wait-join") || group.join_state.starts_with("wait-sync")
        });
        let is_coordinator = |broker: &Broker| broker.source == "logical";
        let is_hung = |broker: &Broker| {
            is_up(broker)
                && broker.waitresp_cnt > 0
                && heard(broker).is_some_and(|idle| idle > HUNG_AFTER)
                && !(is_joining && is_coordinator(broker))
        };
        let mut contact = Self {
            uncoordinated: group
                .filter(|group| group.state != "up")
                .map(|group| milliseconds(group.stateage)),
            ..Self::default()
        };
        for broker in statistics.brokers.values() {
            if broker.nodename.is_empty() || !broker.nodename.contains(':') {
                continue;
            }
            if is_hung(broker) {
                contact.hung.insert(broker.nodename.clone());
                if is_coordinator(broker) {
                    contact.uncoordinated = heard(broker);
                }
            } else if is_up(broker) && heard(broker).is_some_and(|idle| idle < UNHEARD_AFTER) {
                contact.answering.insert(broker.nodename.clone());
            }
        }
        // One address may have several connections: one that hangs speaks for the broker.
        for address in &contact.hung {
            contact.answering.remove(address);
        }
        contact
    }
}

fn is_up(broker: &Broker) -> bool {
    matches!(&*broker.state, "UP" | "UPDATE")
}

/// How long nothing has come on the present connection.
fn heard(broker: &Broker) -> Option<Duration> {
    (broker.rxidle >= 0).then(|| microseconds(broker.rxidle))
}

fn microseconds(time: i64) -> Duration {
    Duration::from_micros(u64::try_from(time).unwrap_or_default())
}

fn milliseconds(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_said_once_then_every_minute_and_at_its_end() {
        let start = Instant::now();
        let mut view = View::default();
        assert_eq!(view.tick(start), None, "nobody was heard yet");
        view.heard(1, true, start);
        view.heard(2, false, start);
        assert_eq!(view.tick(start), None, "one answers");
        view.because("a:1", Reason::Refused, start);
        let mut lines = Vec::new();
        for second in 1..200 {
            let now = after(start, second);
            view.heard(1, second >= 190, now);
            view.heard(2, false, now);
            if let Some(line) = view.tick(now) {
                lines.push((second, line));
            }
            if second < 190 {
                view.because("a:1", Reason::Refused, now);
            }
        }
        let lasts = |seconds| Line::Lasts(Duration::from_secs(seconds));
        assert_eq!(
            lines,
            [
                (1, Line::Began),
                (61, lasts(60)),
                (121, lasts(120)),
                (181, lasts(180)),
                (190, Line::Ended(Duration::from_secs(189))),
            ]
        );
        assert_eq!(view.why(), "the reason is not known yet");
    }

    #[test]
    fn a_reason_is_waited_for_a_little_and_a_new_one_is_said() {
        let start = Instant::now();
        let mut view = View::default();
        let tick = |view: &mut View, second| {
            view.heard(1, false, after(start, second));
            view.tick(after(start, second))
        };
        assert_eq!(tick(&mut view, 0), None);
        assert_eq!(tick(&mut view, 4), None);
        assert_eq!(tick(&mut view, 5), Some(Line::Began));
        view.because("a:1", Reason::Expired, after(start, 9));
        assert_eq!(tick(&mut view, 10), None);
        assert_eq!(
            tick(&mut view, 20),
            Some(Line::Lasts(Duration::from_secs(20)))
        );
        assert_eq!(tick(&mut view, 40), None);
    }

    #[test]
    fn a_client_that_is_gone_or_silent_keeps_nothing_up() {
        let start = Instant::now();
        let mut view = View::default();
        view.heard(1, true, start);
        view.because("a:1", Reason::Refused, start);
        assert_eq!(view.tick(after(start, 1)), None);
        view.heard(2, false, after(start, 21));
        view.because("a:1", Reason::Refused, start);
        assert_eq!(view.tick(after(start, 21)), Some(Line::Began));
    }

    #[test]
    fn why_there_is_no_connection_counts_more_than_how_one_ended() {
        let start = Instant::now();
        let mut view = View::default();
        view.because("a:1", Reason::Refused, start);
        view.because("a:1", Reason::Closed, start);
        view.because("b:2", Reason::Refused, start);
        assert_eq!(view.why(), "connection refused (a:1, b:2)");
        view.because("a:1", Reason::Tls, start);
        view.because("a:1", Reason::Expired, start);
        view.because("a:1", Reason::Tls, start);
        assert_eq!(
            view.why(),
            "the broker's certificate has expired (a:1); connection refused (b:2)"
        );
        view.because("a:1", Reason::Refused, start);
        assert_eq!(view.why(), "connection refused (a:1, b:2)");
    }

    fn broker(name: &str, source: &str, waiting: i64, idle: i64) -> (String, Broker) {
        let broker = Broker {
            name: name.to_owned(),
            source: source.to_owned(),
            nodename: "a:1".to_owned(),
            state: "UP".to_owned(),
            waitresp_cnt: waiting,
            rxidle: idle,
            ..Broker::default()
        };
        (name.to_owned(), broker)
    }

    fn statistics(join_state: &str, brokers: [(String, Broker); 2]) -> Statistics {
        let group = rdkafka::statistics::ConsumerGroup {
            state: "up".to_owned(),
            join_state: join_state.to_owned(),
            ..rdkafka::statistics::ConsumerGroup::default()
        };
        Statistics {
            cgrp: Some(group),
            brokers: brokers.into_iter().collect(),
            ..Statistics::default()
        }
    }

    #[test]
    fn a_process_that_was_suspended_does_not_take_its_brokers_for_silent() {
        let ear = Arc::new(Outage::default()).ear();
        let at = |seconds: i64, waiting, idle| Statistics {
            ts: seconds * 1_000_000,
            ..statistics(
                "steady",
                [
                    broker("a:1/1", "learned", waiting, idle),
                    broker("GroupCoordinator", "logical", 0, 100_000),
                ],
            )
        };
        let silence = |seconds, waiting, idle| ear.look(&at(seconds, waiting, idle)).silence().0;
        assert_eq!(silence(5, 1, 100_000), None);
        assert_eq!(silence(65, 1, 60_000_000), None, "it was not there itself");
        assert_eq!(silence(70, 1, 65_000_000), Some(Silent::Brokers));
    }

    #[test]
    fn a_broker_that_was_asked_and_says_nothing_hangs_unless_it_waits_for_members() {
        let brokers = || {
            [
                broker("a:1/1", "learned", 0, 100_000),
                broker("GroupCoordinator", "logical", 1, 9_000_000),
            ]
        };
        let hangs = Contact::of(&statistics("steady", brokers()));
        assert!(
            hangs.answering.is_empty() && hangs.uncoordinated.is_some(),
            "{hangs:?}"
        );
        let joins = Contact::of(&statistics("wait-join", brokers()));
        assert!(
            joins.hung.is_empty() && joins.uncoordinated.is_none(),
            "{joins:?}"
        );
        assert!(joins.answering.contains("a:1"), "{joins:?}");
    }
}
