//! `check --connect`: do the brokers answer, do the topics exist, may we do with them what we must.
//!
//! Nothing is written: what we may do is asked, not tried. The one trace is a transactional id that ends in `-check`.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};

use super::limits::LimitsClient;
use crate::config::{Action, Config, Fault, Guarantee};
use crate::kafka::client::{self, ClientError, WorkerResources};
use crate::kafka::ffi::admin::{self, TopicAnswer};

/// How long to wait for one answer, where nothing is known of the network.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// The setting that an unanswered question hangs on.
const SERVERS: &str = "kafka.bootstrap_servers";
/// How often to look at what the client says meanwhile.
const SLICE: Duration = Duration::from_millis(100);
/// How long to wait for another broker once one has refused us.
const SECOND_OPINION: Duration = Duration::from_secs(2);

/// Whether nothing is known to be wrong: no broker answered.
#[must_use]
pub fn is_silence(fault: &Fault) -> bool {
    fault.key == SERVERS
}

/// Asks the brokers, and returns everything that would keep the service from working.
pub fn check(config: &Config) -> Result<Vec<Fault>, ClientError> {
    let settings = client::common(config)?;
    let mut faults = Vec::new();
    let consumer = match group_member(&settings, config) {
        Ok(consumer) => consumer,
        Err(error) => return Ok(vec![refused_settings(&error)]),
    };
    let topics = topics(config);
    let mut names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if let Err(fault) = reach(&consumer, config, PATIENCE) {
        return Ok(vec![fault]);
    }
    let answers = match admin::describe_topics(consumer.client(), &names, PATIENCE)
        .and_then(|asked| asked.answer(PATIENCE))
    {
        Ok(answers) => answers,
        Err(code) => {
            faults.push(Fault::new(
                "kafka.topics",
                format!("the brokers do not say what this user may do: {code}"),
                "see the brokers' log",
            ));
            return Ok(faults);
        }
    };
    for topic in &topics {
        let answer = answers.iter().find(|answer| answer.name == topic.name);
        faults.extend(answer.and_then(|answer| topic.judge(answer)));
    }
    faults.extend(group(&consumer, config));
    if config.delivery.guarantee == Guarantee::ExactlyOnce {
        faults.extend(transactions(&settings, config));
    }
    Ok(faults)
}

/// Clients that wait for a broker to answer. They go on connecting from one wait to the next, since a connection takes many
/// round trips on a slow network.
pub struct BrokerProbe {
    consumer: BaseConsumer<Listener>,
    /// Asks for the topics' size limits.
    pub limits: LimitsClient,
}

impl BrokerProbe {
    /// Clients that begin to connect.
    pub fn new(config: &Config) -> Result<Self, Fault> {
        let settings = client::common(config)
            .map_err(|error| Fault::new("kafka.security", error.to_string(), "correct it"))?;
        Ok(Self {
            consumer: group_member(&settings, config).map_err(|error| refused_settings(&error))?,
            limits: LimitsClient::new(&settings).map_err(|error| refused_settings(&error))?,
        })
    }

    /// Waits until a broker answers; else says what keeps it from that. Blocks for as long as `patience`.
    pub fn reach(&self, config: &Config, patience: Duration) -> Result<(), Fault> {
        self.consumer.context().forget();
        reach(&self.consumer, config, patience)
    }
}

/// A topic of the configuration.
struct Topic {
    key: String,
    name: String,
    read: bool,
    written: bool,
}

impl Topic {
    fn judge(&self, answer: &TopicAnswer) -> Option<Fault> {
        let name = &self.name;
        let (verb, operation) = if self.written && !(self.read && answer.write) {
            ("write", "WRITE")
        } else {
            ("read", "READ")
        };
        let fault = |message: String, hint: String| Some(Fault::new(&self.key, message, hint));
        match answer.error {
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                fault(
                    format!("topic {name} does not exist"),
                    "create it, or correct the name".to_owned(),
                )
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => fault(
                format!("no permission to see topic {name}"),
                format!("grant this user DESCRIBE and {operation} on it"),
            ),
            Some(code) => fault(
                format!("topic {name}: {code}"),
                "see the brokers' log".to_owned(),
            ),
            None if self.written && !answer.write || self.read && !answer.read => fault(
                format!("no permission to {verb} topic {name}"),
                format!("grant this user {operation} on it"),
            ),
            None => None,
        }
    }
}

fn topics(config: &Config) -> Vec<Topic> {
    let topic = |key: String, name: &str, written: bool| Topic {
        key,
        name: name.to_owned(),
        read: !written,
        written,
    };
    let mut topics: Vec<_> = config
        .kafka
        .topics
        .iter()
        .enumerate()
        .map(|(place, name)| topic(format!("kafka.topics[{place}]"), name, false))
        .collect();
    topics.extend(
        config
            .routes
            .iter()
            .enumerate()
            .map(|(place, route)| topic(format!("routes[{place}].topic"), &route.topic, true)),
    );
    if config.unmatched.action == Action::Forward {
        topics.push(topic(
            "unmatched.topic".to_owned(),
            &config.unmatched.topic,
            true,
        ));
    }
    topics.push(topic(
        "dead_letter.topic".to_owned(),
        &config.dead_letter.topic,
        true,
    ));
    if !config.sequences.topic.is_empty() {
        topics.push(Topic {
            read: true,
            ..topic("sequences.topic".to_owned(), &config.sequences.topic, true)
        });
    }
    topics
}

fn group_member(
    settings: &ClientConfig,
    config: &Config,
) -> Result<BaseConsumer<Listener>, KafkaError> {
    let mut settings = settings.clone();
    settings
        .set("group.id", &config.kafka.group_id)
        .set("enable.auto.commit", "false");
    settings.create_with_context(Listener::default())
}

fn refused_settings(error: &KafkaError) -> Fault {
    Fault::new(
        "kafka",
        format!("the client refuses its settings: {error}"),
        "correct kafka.client or kafka.security",
    )
}

/// Waits until a broker answers.
fn reach(
    consumer: &BaseConsumer<Listener>,
    config: &Config,
    patience: Duration,
) -> Result<(), Fault> {
    let mut deadline = Instant::now() + patience;
    let mut refused = false;
    while consumer.client().fetch_cluster_id(SLICE).is_none() {
        // Serves the client's error events, which say more than "timed out" does.
        let _ = consumer.poll(Duration::ZERO);
        if !refused && consumer.context().said(is_refusal).is_some() {
            // Waiting does not help against that, except that another broker may think otherwise.
            refused = true;
            deadline = deadline.min(Instant::now() + SECOND_OPINION);
        }
        if Instant::now() >= deadline {
            return Err(unreachable(config, consumer.context(), patience));
        }
    }
    Ok(())
}

const fn is_refusal(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL
    )
}

fn unreachable(config: &Config, listener: &Listener, patience: Duration) -> Fault {
    let servers = config.kafka.bootstrap_servers.join(", ");
    if let Some(said) = listener.said(|code| code == RDKafkaErrorCode::Authentication) {
        let user = &config.kafka.security.sasl.username;
        return Fault::new(
            "kafka.security.sasl",
            format!("authentication as {user} failed: {said}"),
            "correct username, password or mechanism",
        );
    }
    if let Some(said) = listener.said(|code| code == RDKafkaErrorCode::SSL) {
        return Fault::new(
            "kafka.security.tls",
            format!("no TLS connection to {servers}: {said}"),
            "correct ca_file, cert_file and key_file, or kafka.security.protocol",
        );
    }
    let said = listener
        .said(|_| true)
        .unwrap_or_else(|| "no answer".to_owned());
    let seconds = patience.as_secs();
    Fault::new(
        SERVERS,
        format!("no broker of {servers} answered within {seconds} s: {said}"),
        "check the addresses, that the brokers run, and kafka.security.protocol",
    )
}

fn group(consumer: &BaseConsumer<Listener>, config: &Config) -> Option<Fault> {
    let group = &config.kafka.group_id;
    match admin::describe_group(consumer.client(), group)
        .and_then(|asked| asked.answer(PATIENCE))
        .map(|group| group.read)
    {
        Ok(true) => None,
        Ok(false) | Err(RDKafkaErrorCode::GroupAuthorizationFailed) => Some(Fault::new(
            "kafka.group_id",
            format!("no permission to read as consumer group {group}"),
            "grant this user READ on the group",
        )),
        Err(code) => Some(Fault::new(
            "kafka.group_id",
            format!("the brokers do not answer for consumer group {group}: {code}"),
            "see the brokers' log",
        )),
    }
}

fn transactions(settings: &ClientConfig, config: &Config) -> Option<Fault> {
    let worker = WorkerResources::for_worker(config, 0, 1).id;
    let prefix = worker.trim_end_matches(|character: char| character.is_ascii_digit());
    let id = format!("{prefix}check");
    let mut settings = settings.clone();
    settings.set("transactional.id", &id);
    let producer: ThreadedProducer<Listener> =
        match settings.create_with_context(Listener::default()) {
            Ok(producer) => producer,
            Err(error) => return Some(refused_settings(&error)),
        };
    let error = producer.init_transactions(PATIENCE).err()?;
    let key = "delivery.transactional_id_prefix";
    Some(match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::TransactionalIdAuthorizationFailed) => Fault::new(
            key,
            format!("no permission for transactional ids that begin with {prefix}"),
            "grant this user WRITE and DESCRIBE on them (pattern type prefixed), or set delivery.guarantee to at_least_once",
        ),
        _ => Fault::new(
            key,
            format!("a transaction cannot be begun with id {id}: {error}"),
            "see the brokers' log, or set delivery.guarantee to at_least_once",
        ),
    })
}

/// Keeps what the client says about connections, which is where a wrong password shows.
#[derive(Debug, Default)]
struct Listener {
    said: Mutex<Vec<(RDKafkaErrorCode, String)>>,
}

impl Listener {
    /// What was said before says nothing of now.
    fn forget(&self) {
        self.said.lock().clear();
    }

    /// What was said first with a code of that kind.
    fn said(&self, kind: impl Fn(RDKafkaErrorCode) -> bool) -> Option<String> {
        self.said
            .lock()
            .iter()
            .find(|(code, _)| kind(*code))
            .map(|(_, reason)| reason.clone())
    }
}

impl ClientContext for Listener {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!(?level, facility, "{message}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // A client goes on trying: one of each kind is enough.
        let code = error
            .rdkafka_error_code()
            .unwrap_or(RDKafkaErrorCode::Unknown);
        let mut said = self.said.lock();
        if !said.iter().any(|(known, _)| *known == code) {
            said.push((code, plain(reason)));
        }
    }
}

/// What the client says, without how long it was in which of its states, and in one line.
fn plain(reason: &str) -> String {
    let reason = reason
        .split_once(" (after ")
        .map_or(reason, |(reason, _)| reason);
    reason.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl ConsumerContext for Listener {}

impl ProducerContext for Listener {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_says_is_one_line_without_its_states() {
        assert_eq!(
            plain("127.0.0.1:1/bootstrap: Connect failed: refused (after 0ms in state CONNECT)"),
            "127.0.0.1:1/bootstrap: Connect failed: refused"
        );
        assert_eq!(plain("SSL failed:\n  no issuer"), "SSL failed: no issuer");
    }
}
