//! Whether brokers answer, for the whole process: what is said of it in the log, and why none does.
//!
//! In here flow the clients' statistics, every five seconds, and what the clients say of their connections. Out of here
//! flow one line when no broker answers any more, one a minute while that lasts, one when it is over, and the reason in
//! words, for `/readyz` too. It never ends or begins a client: librdkafka connects again by itself.

mod answers;
mod certificate;
mod reason;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use rdkafka::config::ClientConfig;
use rdkafka::statistics::Statistics;
use tracing::{info, warn};

pub use self::answers::BrokerAnswers;
use self::answers::{UNHEARD_AFTER, microseconds};
pub use self::reason::OutageReason;
use self::reason::address;
pub(super) use self::reason::is_of_connection;

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

/// The whole process's state: a state machine without a clock and without a log.
#[derive(Debug, Default)]
struct OutageState {
    /// By the client: when it was heard, and whether a broker answers it.
    clients: BTreeMap<u64, (Instant, bool)>,
    next_client: u64,
    /// Why a broker does not answer, by its address, and when that was said.
    reasons: BTreeMap<String, (OutageReason, Instant)>,
    /// Since when no broker answers.
    since: Option<Instant>,
    /// When that was last said, and with which reasons.
    said: Option<(Instant, BTreeSet<OutageReason>)>,
    /// When the certificate of a broker was last looked at.
    looked: BTreeMap<String, Instant>,
}

impl OutageState {
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
        let reasons: BTreeSet<OutageReason> =
            self.reasons.values().map(|(reason, _)| *reason).collect();
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

    fn because(&mut self, address: &str, reason: OutageReason, now: Instant) {
        let (known, said) = self
            .reasons
            .entry(address.to_owned())
            .or_insert((reason, now));
        *said = now;
        let says_more = match reason {
            // How a connection ended says less than why there is no new one.
            OutageReason::Closed => false,
            OutageReason::Tls => !known.is_tls(),
            _ => true,
        };
        if says_more {
            *known = reason;
        }
    }

    /// The reasons with their brokers: `connection refused (a:9092, b:9092)`.
    fn why(&self) -> String {
        let mut brokers: BTreeMap<OutageReason, Vec<&str>> = BTreeMap::new();
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
    state: Mutex<OutageState>,
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
            state: Mutex::default(),
            tls,
        }
    }

    fn state(&self) -> MutexGuard<'_, OutageState> {
        self.state.lock()
    }

    /// A monitor for a new client.
    #[must_use]
    pub fn monitor(self: &Arc<Self>) -> ConnectionMonitor {
        let mut state = self.state();
        state.next_client += 1;
        ConnectionMonitor {
            client: state.next_client,
            outage: Arc::clone(self),
            last: Mutex::default(),
        }
    }

    /// Why no broker answers, as far as it is known.
    #[must_use]
    pub fn why(&self) -> String {
        self.state().why()
    }

    /// Since when no broker answers the process.
    #[must_use]
    pub fn since(&self) -> Option<Instant> {
        self.state().since
    }

    /// Says what there is to be said. To be called every second or so.
    pub fn tick(&self) {
        let (line, why, hint) = {
            let mut state = self.state();
            let why = state.why();
            let hint = state
                .reasons
                .values()
                .next()
                .map(|(reason, _)| reason.hint());
            (state.tick(Instant::now()), why, hint.unwrap_or_default())
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
        let (Some(address), Some(reason)) = (address(text), OutageReason::from_text(text)) else {
            return;
        };
        self.state().because(address, reason, Instant::now());
        if reason == OutageReason::Tls {
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
            let mut state = self.state();
            let last = state.looked.get(address);
            if last.is_some_and(|last| now.saturating_duration_since(*last) < LOOK_EVERY) {
                return;
            }
            state.looked.insert(address.to_owned(), now);
        }
        let outage = Arc::clone(self);
        let address = address.to_owned();
        let look = move || {
            let authorities = tls.authorities.as_deref();
            if let Some(reason) = certificate::fault(&address, authorities, tls.checks_names) {
                outage.state().because(&address, reason, Instant::now());
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
pub struct ConnectionMonitor {
    outage: Arc<Outage>,
    client: u64,
    /// When the last statistics were made, in microseconds of librdkafka's clock, and what they said.
    last: Mutex<Option<(i64, BrokerAnswers)>>,
}

impl Drop for ConnectionMonitor {
    fn drop(&mut self) {
        self.outage.state().clients.remove(&self.client);
    }
}

impl ConnectionMonitor {
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
            .state()
            .heard(self.client, answered, Instant::now());
    }

    /// No broker of `servers` can be asked, for what `text` says.
    pub fn unreachable(&self, servers: &[String], text: &str) {
        let reason = OutageReason::from_text(text).unwrap_or(OutageReason::Silent);
        for server in servers {
            self.outage.state().because(server, reason, Instant::now());
            if reason == OutageReason::Tls {
                self.outage.look_at_certificate(server);
            }
        }
        self.answered(false);
    }

    /// Takes a consumer's statistics, and gives what they say.
    pub fn update(&self, statistics: &Statistics) -> BrokerAnswers {
        let answers = self.answers(statistics);
        let mut state = self.outage.state();
        for address in &answers.answering {
            state.reasons.remove(address);
        }
        for address in &answers.hung {
            state.because(address, OutageReason::Silent, Instant::now());
        }
        state.heard(self.client, !answers.answering.is_empty(), Instant::now());
        answers
    }
}

impl ConnectionMonitor {
    fn answers(&self, statistics: &Statistics) -> BrokerAnswers {
        let mut last = self.last.lock();
        let made = statistics.ts;
        let answers = match &*last {
            // What was suspended is this process: nobody has read yet what the brokers have answered.
            Some((before, known)) if microseconds(made - before) > SUSPENDED_AFTER => known.clone(),
            _ => BrokerAnswers::from_statistics(statistics),
        };
        *last = Some((made, answers.clone()));
        answers
    }
}

#[cfg(test)]
mod tests {
    use super::answers::tests::{broker, statistics};
    use super::*;
    use crate::telemetry::health::Silent;

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_said_once_then_every_minute_and_at_its_end() {
        let start = Instant::now();
        let mut state = OutageState::default();
        assert_eq!(state.tick(start), None, "nobody was heard yet");
        state.heard(1, true, start);
        state.heard(2, false, start);
        assert_eq!(state.tick(start), None, "one answers");
        state.because("a:1", OutageReason::Refused, start);
        let mut lines = Vec::new();
        for second in 1..200 {
            let now = after(start, second);
            state.heard(1, second >= 190, now);
            state.heard(2, false, now);
            if let Some(line) = state.tick(now) {
                lines.push((second, line));
            }
            if second < 190 {
                state.because("a:1", OutageReason::Refused, now);
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
        assert_eq!(state.why(), "the reason is not known yet");
    }

    #[test]
    fn a_reason_is_waited_for_a_little_and_a_new_one_is_said() {
        let start = Instant::now();
        let mut state = OutageState::default();
        let tick = |state: &mut OutageState, second| {
            state.heard(1, false, after(start, second));
            state.tick(after(start, second))
        };
        assert_eq!(tick(&mut state, 0), None);
        assert_eq!(tick(&mut state, 4), None);
        assert_eq!(tick(&mut state, 5), Some(Line::Began));
        state.because("a:1", OutageReason::Expired, after(start, 9));
        assert_eq!(tick(&mut state, 10), None);
        assert_eq!(
            tick(&mut state, 20),
            Some(Line::Lasts(Duration::from_secs(20)))
        );
        assert_eq!(tick(&mut state, 40), None);
    }

    #[test]
    fn a_client_that_is_gone_or_silent_keeps_nothing_up() {
        let start = Instant::now();
        let mut state = OutageState::default();
        state.heard(1, true, start);
        state.because("a:1", OutageReason::Refused, start);
        assert_eq!(state.tick(after(start, 1)), None);
        state.heard(2, false, after(start, 21));
        state.because("a:1", OutageReason::Refused, start);
        assert_eq!(state.tick(after(start, 21)), Some(Line::Began));
    }

    #[test]
    fn why_there_is_no_connection_counts_more_than_how_one_ended() {
        let start = Instant::now();
        let mut state = OutageState::default();
        state.because("a:1", OutageReason::Refused, start);
        state.because("a:1", OutageReason::Closed, start);
        state.because("b:2", OutageReason::Refused, start);
        assert_eq!(state.why(), "connection refused (a:1, b:2)");
        state.because("a:1", OutageReason::Tls, start);
        state.because("a:1", OutageReason::Expired, start);
        state.because("a:1", OutageReason::Tls, start);
        assert_eq!(
            state.why(),
            "the broker's certificate has expired (a:1); connection refused (b:2)"
        );
        state.because("a:1", OutageReason::Refused, start);
        assert_eq!(state.why(), "connection refused (a:1, b:2)");
    }

    #[test]
    fn a_process_that_was_suspended_does_not_take_its_brokers_for_silent() {
        let monitor = Arc::new(Outage::default()).monitor();
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
        let silence =
            |seconds, waiting, idle| monitor.update(&at(seconds, waiting, idle)).silence().0;
        assert_eq!(silence(5, 1, 100_000), None);
        assert_eq!(silence(65, 1, 60_000_000), None, "it was not there itself");
        assert_eq!(silence(70, 1, 65_000_000), Some(Silent::Brokers));
    }
}
