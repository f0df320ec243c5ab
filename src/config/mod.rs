//! Every setting, its meaning, its default and its check.
//!
//! Layers, each over the one before: the defaults below, the file, the environment (`TRAILTAG__KAFKA__GROUP_ID`).
//! A file and variables go in ([`Config::load`]); a [`Config`] comes out that is whole and consistent, or [`Faults`]:
//! everything that is wrong, each with its place and what to do. Unknown keys are faults. Nothing is connected to, and
//! no secret is shown.
//!
//! This file and `choices.rs` hold the types, `names.rs` the lists of names that are the defaults; `yaml.rs` reads the file, `schema.rs` compares it with the schema, `load.rs`
//! lays the layers over each other, `paths.rs` says to what paths are relative, `check.rs`, `security.rs`, `http.rs`, `log.rs` and `properties.rs` know what settings
//! mean together.

mod check;
mod choices;
mod cursor;
pub(crate) mod files;
mod http;
mod load;
#[cfg(feature = "service")]
mod log;
mod names;
pub(crate) mod nearest;
pub(crate) mod network;
mod paths;
mod properties;
mod schema;
mod security;
mod sequences;
mod settings_list;
#[cfg(test)]
mod tests;
pub(crate) mod yaml;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::model::{Level, Outcome};

pub use crate::model::fault::{Fault, Faults, Place};
pub use choices::{Detail, Format, Key, OcsfClass, OnBadRule, Validate};
#[cfg(feature = "service")]
pub use http::Certificate;
pub use http::{Http, HttpTls};
#[cfg(feature = "service")]
pub(crate) use load::Unusable;
pub use properties::TRANSACTION_TIMEOUT_MS;
pub use schema::schema;
pub use security::PasswordError;
pub use sequences::Sequences;

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The Kafka cluster, the input topics, and the settings of the clients.
    pub kafka: Kafka,
    /// The delivery guarantee, and when to commit.
    pub delivery: Delivery,
    /// The number of workers in this process; 0: one per CPU core.
    #[schemars(range(max = 1024))]
    pub workers: usize,
    /// Limits for decoding a message, and how much of it is parsed.
    pub input: Input,
    /// Rules, severity and lists.
    pub detection: Detection,
    /// What to do about a finding.
    pub remediation: Remediation,
    /// The outputs. A finding goes to every route that accepts its level and outcome.
    #[schemars(length(max = 1000))]
    pub routes: Vec<Route>,
    /// What happens to messages in which no rule matched.
    pub unmatched: Unmatched,
    /// What several events say together.
    pub sequences: Sequences,
    /// Where messages go that cannot be read or delivered.
    pub dead_letter: DeadLetter,
    /// Metrics and health.
    pub http: Http,
    /// The program's own log, on standard error.
    pub log: Log,
    /// How long a stop may take. Work in flight is finished and committed in this time.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "schema::duration")]
    pub shutdown_grace: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            kafka: Kafka::default(),
            delivery: Delivery::default(),
            workers: 0,
            input: Input::default(),
            detection: Detection::default(),
            remediation: Remediation::default(),
            routes: vec![Route {
                name: "findings".into(),
                topic: "trailtag.findings".into(),
                ..Route::default()
            }],
            unmatched: Unmatched::default(),
            sequences: Sequences::default(),
            dead_letter: DeadLetter::default(),
            http: Http::default(),
            log: Log::default(),
            shutdown_grace: Duration::from_secs(25),
        }
    }
}

/// The Kafka cluster, the input topics, and the settings of the clients.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// The brokers for the first connection, each `host:port`.
    #[schemars(length(min = 1))]
    pub bootstrap_servers: Vec<String>,
    /// The consumer group, the same for all processes that share the work.
    #[schemars(length(min = 1))]
    pub group_id: String,
    /// The input topics, which carry CloudTrail.
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
    /// How connections to the brokers are encrypted and authenticated.
    pub security: Security,
    /// librdkafka properties for every client. A property that a guarantee depends on is refused.
    #[serde(serialize_with = "properties::without_secrets")]
    pub client: BTreeMap<String, String>,
    /// librdkafka properties for consumers only.
    #[serde(serialize_with = "properties::without_secrets")]
    pub consumer: BTreeMap<String, String>,
    /// librdkafka properties for producers only.
    #[serde(serialize_with = "properties::without_secrets")]
    pub producer: BTreeMap<String, String>,
    /// The memory in bytes for librdkafka's queues, of all workers together.
    #[schemars(range(min = 4_194_304))]
    pub memory_budget: usize,
}

impl Default for Kafka {
    fn default() -> Self {
        Self {
            bootstrap_servers: vec!["localhost:9092".into()],
            group_id: "trailtag".into(),
            topics: vec!["cloudtrail".into()],
            security: Security::default(),
            client: BTreeMap::new(),
            consumer: BTreeMap::new(),
            producer: BTreeMap::new(),
            memory_budget: 64 * 1024 * 1024,
        }
    }
}

/// Shows what may be shown: the values of properties that hold secrets are not.
impl std::fmt::Debug for Kafka {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kafka")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .field("group_id", &self.group_id)
            .field("topics", &self.topics)
            .field("security", &self.security)
            .field("client", &properties::shown(&self.client))
            .field("consumer", &properties::shown(&self.consumer))
            .field("producer", &properties::shown(&self.producer))
            .field("memory_budget", &self.memory_budget)
            .finish()
    }
}

/// How connections to the brokers are encrypted and authenticated.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Encryption and authentication.
    pub protocol: Protocol,
    /// A user name and password, with the `sasl_…` protocols.
    pub sasl: Sasl,
    /// Certificates, with the `ssl` and `sasl_ssl` protocols.
    pub tls: Tls,
}

/// Encryption and authentication of the connection to the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// No encryption and no authentication.
    #[default]
    Plaintext,
    /// TLS, with a client certificate if one is set.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl Protocol {
    /// The name in the configuration, which is librdkafka's too.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Ssl => "ssl",
            Self::SaslPlaintext => "sasl_plaintext",
            Self::SaslSsl => "sasl_ssl",
        }
    }
}

/// A user name and password.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// The SASL mechanism.
    pub mechanism: Mechanism,
    /// The user name.
    pub username: String,
    /// The password. Prefer a file, or the environment (`TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD`).
    #[serde(skip_serializing)]
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub password: SecretString,
    /// A file with the password; one line break at its end is ignored.
    pub password_file: PathBuf,
}

/// The SASL mechanism: how the password is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// PLAIN: sends the password itself, so it is refused without TLS.
    Plain,
    /// SCRAM with SHA-256.
    #[serde(rename = "scram-sha-256")]
    ScramSha256,
    /// SCRAM with SHA-512.
    #[default]
    #[serde(rename = "scram-sha-512")]
    ScramSha512,
}

/// Certificates, in PEM files.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// CA certificates to verify the brokers with; empty: those of the system.
    pub ca_file: PathBuf,
    /// The client certificate, if the brokers ask for one.
    pub cert_file: PathBuf,
    /// The private key of the client certificate.
    pub key_file: PathBuf,
}

/// The delivery guarantee, and when to commit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// The delivery guarantee for readers of the output topics.
    pub guarantee: Guarantee,
    /// The prefix of this process's transactional ids and group instance ids. It must stay the same after a restart and
    /// differ between processes. Empty: the group id and the host name.
    pub transactional_id_prefix: String,
    /// With findings to forward, commit after at most this many messages.
    #[schemars(range(min = 1))]
    pub batch_records: usize,
    /// A finding is held back at most this long, to be sent with others in one batch.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "schema::duration")]
    pub linger: Duration,
    /// How often offsets are committed when there is nothing to forward.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "schema::duration")]
    pub commit_interval: Duration,
}

impl Default for Delivery {
    fn default() -> Self {
        Self {
            guarantee: Guarantee::default(),
            transactional_id_prefix: String::new(),
            batch_records: 10_000,
            linger: Duration::from_millis(50),
            commit_interval: Duration::from_secs(5),
        }
    }
}

/// The delivery guarantee for readers of the output topics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// A `read_committed` reader sees each document once.
    #[default]
    ExactlyOnce,
    /// A reader sees each document at least once.
    AtLeastOnce,
}

/// Limits for decoding a message, and how much of it is parsed.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// The most bytes that all layers of one message may decode to, in total.
    #[schemars(range(min = 1))]
    pub max_decoded_bytes: usize,
    /// The most layers that may be nested in one message.
    #[schemars(range(min = 1))]
    pub max_depth: usize,
    /// Up to this many unreadable elements of one message become a dead letter each. If there are more, the whole message
    /// becomes a single dead letter, which gives their number.
    #[schemars(range(min = 1))]
    pub max_unreadable: u32,
    /// Paths to CloudTrail records in JSON of an unknown form: JSON pointers (RFC 6901), such as `/data/aws`. A string at
    /// such a path is read like a whole message.
    #[schemars(length(max = 100))]
    pub record_paths: Vec<String>,
    /// Which messages are parsed completely.
    pub validate: Validate,
}

impl Default for Input {
    fn default() -> Self {
        Self {
            max_decoded_bytes: 64 * 1024 * 1024,
            max_depth: 6,
            max_unreadable: 100,
            record_paths: Vec::new(),
            validate: Validate::default(),
        }
    }
}

/// Rules, severity and lists.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// The file of the severity model; empty: the built-in model (config/severity.yaml).
    pub severity_file: PathBuf,
    /// Additional Sigma rules: files or folders.
    pub rules: Vec<PathBuf>,
    /// What happens when a rule or a filter in these files is wrong.
    pub on_bad_rule: OnBadRule,
    /// The version of MITRE ATT&CK for technique ids and names in documents: 18 or 19.
    #[schemars(range(min = 18, max = 19))]
    pub attack_version: u8,
    /// Principals and networks that are expected to make such calls.
    pub allow_list: AllowList,
    /// Files of known bad addresses (Tor exits, threat intelligence): one address or network per line.
    pub threat_networks_files: Vec<PathBuf>,
    /// AWS's published `ip-ranges.json`. With it, instance credentials that are used from a public address outside AWS are
    /// told apart.
    pub aws_networks_file: PathBuf,
    /// Users, roles and permission sets that are meant to be used rarely, such as for emergencies, as globs.
    pub sensitive_principals: Vec<String>,
    /// AWS services through which people and pipelines change infrastructure as usual, by name.
    pub provisioning_services: Vec<String>,
    /// Names of roles with far-reaching permissions, as globs, or as words of a name.
    pub privileged_roles: Vec<String>,
    /// Names of roles and instance profiles that security agents and backups use, as globs, or as words of a name.
    pub security_tooling: Vec<String>,
    /// User agents of infrastructure-as-code tools, as globs, or as names of programs. A user agent can be forged.
    pub iac_user_agents: Vec<String>,
    /// User agents of attack tools, and of systems that are made for attacks, as globs, or as names of programs.
    pub attack_tool_user_agents: Vec<String>,
    /// A CSV file with the instance profiles that running instances use; its header is
    /// `instance_profile,account,running_instances`, and may have `instance_ids` too.
    pub profiles_in_use_file: PathBuf,
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            severity_file: PathBuf::new(),
            rules: Vec::new(),
            on_bad_rule: OnBadRule::default(),
            attack_version: 18,
            allow_list: AllowList::default(),
            threat_networks_files: Vec::new(),
            aws_networks_file: PathBuf::new(),
            sensitive_principals: names::of(names::SENSITIVE_PRINCIPALS),
            provisioning_services: names::of(names::PROVISIONING_SERVICES),
            privileged_roles: names::of(names::PRIVILEGED_ROLES),
            security_tooling: names::of(names::SECURITY_TOOLING),
            iac_user_agents: names::of(names::IAC_USER_AGENTS),
            attack_tool_user_agents: names::of(names::ATTACK_TOOL_USER_AGENTS),
            profiles_in_use_file: PathBuf::new(),
        }
    }
}

/// Principals and networks that are expected to make such calls.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AllowList {
    /// ARNs of principals, as globs. For an assumed role: the ARN of the role, not of the session.
    pub principals: Vec<String>,
    /// IP addresses and networks, such as `192.0.2.0/24`.
    pub networks: Vec<String>,
}

/// What to do about a finding.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Remediation {
    /// The file of the remediation catalogue; empty: the built-in catalogue (config/remediation.yaml).
    pub file: PathBuf,
    /// How much of each remediation item a document contains.
    pub detail: Detail,
}

/// One output topic and what it gets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// The unique name, used in metrics and logs.
    pub name: String,
    /// The output topic.
    pub topic: String,
    /// The format of the documents.
    pub format: Format,
    /// The lowest level that is forwarded.
    pub min_severity: Level,
    /// Forward only calls with one of these outcomes; empty: all.
    pub only: Vec<Outcome>,
    /// Do not forward calls with one of these outcomes.
    pub exclude: Vec<Outcome>,
    /// The Kafka key of each document.
    pub key: Key,
    /// Fixed fields of every document: `trailtag.fields` in native and splunk_raw, `fields` in splunk_hec, `labels` in
    /// ecs, `metadata.labels` in ocsf.
    pub fields: BTreeMap<String, String>,
    /// Fixed Kafka headers of every document.
    pub headers: BTreeMap<String, String>,
    /// The largest document in bytes, with key and headers; 0: the limit of the topic. A larger document loses its console
    /// steps, then boto3 steps, then CLI steps; if it is still too large, the record becomes a dead letter.
    pub max_bytes: usize,
    /// The data set of ecs documents. Their data stream is `logs-<dataset>-<namespace>`.
    pub ecs_dataset: String,
    /// The namespace of that data stream.
    pub ecs_namespace: String,
    /// The class of ocsf documents.
    pub ocsf_class: OcsfClass,
    /// The index of splunk_hec and splunk_raw documents; empty: the receiver decides.
    pub splunk_index: String,
    /// The source of splunk_hec and splunk_raw documents.
    pub splunk_source: String,
    /// The source type of splunk_hec and splunk_raw documents. Splunk's AWS add-on extracts fields by it.
    pub splunk_sourcetype: String,
}

impl Default for Route {
    fn default() -> Self {
        Self {
            name: String::new(),
            topic: String::new(),
            format: Format::default(),
            min_severity: Level::Informational,
            only: Vec::new(),
            exclude: Vec::new(),
            key: Key::default(),
            fields: BTreeMap::new(),
            headers: BTreeMap::new(),
            max_bytes: 0,
            ecs_dataset: "trailtag.events".into(),
            ecs_namespace: "default".into(),
            ocsf_class: OcsfClass::default(),
            splunk_index: String::new(),
            splunk_source: "trailtag".into(),
            splunk_sourcetype: "aws:cloudtrail".into(),
        }
    }
}

/// What happens to messages in which no rule matched.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unmatched {
    /// Drop them, or forward them.
    pub action: Action,
    /// The topic for `forward`.
    pub topic: String,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Drop the message.
    #[default]
    Drop,
    /// Forward the original message unchanged: key, headers, timestamp and value.
    Forward,
}

/// Where messages go that cannot be read or delivered.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetter {
    /// The dead-letter topic.
    pub topic: String,
}

impl Default for DeadLetter {
    fn default() -> Self {
        Self {
            topic: "trailtag.dead-letter".into(),
        }
    }
}

/// The program's own log, on standard error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// One JSON object per line, or text for a person.
    pub format: LogFormat,
    /// The lowest level that is logged, or a filter such as `info,trailtag::kafka=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            format: LogFormat::default(),
            level: "info".into(),
        }
    }
}

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// Text for a person.
    Text,
}
