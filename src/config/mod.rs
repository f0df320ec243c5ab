//! Every setting, its meaning, its default and its check.
//!
//! Layers, each over the one before: the defaults below, the file, the environment (`TRAILTAG__KAFKA__GROUP_ID`).
//! A file and variables go in ([`Config::load`]); a [`Config`] comes out that is whole and consistent, or [`Faults`]:
//! everything that is wrong, each with its place and what to do. Unknown keys are faults. Nothing is connected to, and
//! no secret is shown.
//!
//! This file holds the types; `shape.rs` compares YAML with the schema, `load.rs`
//! lays the layers over each other, `check.rs`, `security.rs`, `http.rs` and `properties.rs` know what settings mean
//! together.

mod check;
mod fault;
mod http;
mod load;
mod properties;
mod reference;
mod security;
pub(crate) mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::detection::level::Level;
use crate::detection::outcome::Outcome;
use crate::format::Format;
use crate::remediation::Detail;

pub use fault::{Fault, Faults, Place};
pub use http::{Certificate, Http, HttpError, HttpTls};
pub use security::PasswordError;
pub use shape::schema;

/// The whole configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The cluster, the topics that are read, and the clients' settings.
    pub kafka: Kafka,
    /// The guarantee, and how much goes into one commit.
    pub delivery: Delivery,
    /// How many workers read in this process; 0 is one per core.
    #[schemars(range(max = 1024))]
    pub workers: usize,
    /// How far a message may unfold, and how strictly it is read.
    pub input: Input,
    /// Rules, severity and lists.
    pub detection: Detection,
    /// What to do about a finding.
    pub remediation: Remediation,
    /// Where findings go: every finding goes to every route that wants its level.
    #[schemars(length(max = 1000))]
    pub routes: Vec<Route>,
    /// What happens to messages in which nothing matched.
    pub unmatched: Unmatched,
    /// Where unreadable messages go.
    pub dead_letter: DeadLetter,
    /// Metrics and health.
    pub http: Http,
    /// The program's own log, on standard error.
    pub log: Log,
    /// How long a stop may take: what is in flight is finished and committed within it.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "shape::duration")]
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
            dead_letter: DeadLetter::default(),
            http: Http::default(),
            log: Log::default(),
            shutdown_grace: Duration::from_secs(25),
        }
    }
}

/// The cluster, the topics that are read, and the clients' settings.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kafka {
    /// The brokers to ask first, each `host:port`.
    #[schemars(length(min = 1))]
    pub bootstrap_servers: Vec<String>,
    /// The consumer group: one for all processes that share the work.
    #[schemars(length(min = 1))]
    pub group_id: String,
    /// The topics that carry CloudTrail.
    #[schemars(length(min = 1))]
    pub topics: Vec<String>,
    /// How to prove who we are, and to know who the broker is.
    pub security: Security,
    /// librdkafka properties for every client; those that the guarantees rest on are refused by name.
    #[serde(serialize_with = "properties::without_secrets")]
    pub client: BTreeMap<String, String>,
    /// librdkafka properties for consumers only.
    #[serde(serialize_with = "properties::without_secrets")]
    pub consumer: BTreeMap<String, String>,
    /// librdkafka properties for producers only.
    #[serde(serialize_with = "properties::without_secrets")]
    pub producer: BTreeMap<String, String>,
    /// The memory in bytes that librdkafka's queues of all workers may take together.
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

/// How to prove who we are, and to know who the broker is.
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
    /// Neither.
    #[default]
    Plaintext,
    /// TLS, with a client certificate where one is set.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

/// A user name and password.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sasl {
    /// How the password is proved.
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// The password; better in a file or in the environment (`TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD`).
    #[serde(skip_serializing)]
    #[schemars(with = "String", extend("writeOnly" = true))]
    pub password: SecretString,
    /// A file that holds the password; a line break at its end does not count.
    pub password_file: PathBuf,
}

/// How a SASL password is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Mechanism {
    /// The password itself: over TLS only.
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
    /// The authorities that may sign the brokers' certificates; empty is the system's.
    pub ca_file: PathBuf,
    /// Our certificate, where brokers ask for one.
    pub cert_file: PathBuf,
    /// The key of our certificate.
    pub key_file: PathBuf,
}

/// The guarantee, and how much goes into one commit.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Delivery {
    /// What a reader of the output topics may rely on.
    pub guarantee: Guarantee,
    /// What the transactional and group instance ids of this process begin with: stable over restarts, different for
    /// every process. Empty is the group id and the host's name.
    pub transactional_id_prefix: String,
    /// A commit comes at the latest after this many messages, when there is something to forward.
    #[schemars(range(min = 1))]
    pub batch_records: usize,
    /// A finding waits at most this long for company.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "shape::duration")]
    pub linger: Duration,
    /// How often offsets are committed when there is nothing to forward.
    #[serde(with = "humantime_serde")]
    #[schemars(schema_with = "shape::duration")]
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

/// What a reader of the output topics may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// A `read_committed` reader sees each document once.
    #[default]
    ExactlyOnce,
    /// Never less than once.
    AtLeastOnce,
}

/// How far a message may unfold, and how strictly it is read.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Input {
    /// The bytes that all layers of one message may decode to together.
    #[schemars(range(min = 1))]
    pub max_decoded_bytes: usize,
    /// How many layers may be nested.
    #[schemars(range(min = 1))]
    pub max_depth: usize,
    /// How many unreadable elements of one message become a dead letter each. With one more, the whole message becomes a
    /// single dead letter, which says how many they are.
    #[schemars(range(min = 1))]
    pub max_unreadable: u32,
    /// Where records stand in JSON of a form that is not known: JSON pointers (RFC 6901), such as `/data/aws`. A text there
    /// is read as a message of its own.
    #[schemars(length(max = 100))]
    pub record_paths: Vec<String>,
    /// Whether what no rule can want is parsed all the same.
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

/// Which messages are parsed whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Validate {
    /// Those in which a rule could match; others must begin and end as a known form does.
    #[default]
    Matched,
    /// All: broken JSON is a dead letter wherever it stands.
    Full,
}

/// Rules, severity and lists.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Detection {
    /// The severity model; empty is the built-in one (config/severity.yaml).
    pub severity_file: PathBuf,
    /// Further Sigma rule files or folders.
    pub rules: Vec<PathBuf>,
    /// The version of MITRE ATT&CK whose ids and names documents carry: 18 or 19.
    #[schemars(range(min = 18, max = 19))]
    pub attack_version: u8,
    /// Who is known to make such calls, and from where.
    pub allow_list: AllowList,
    /// Files of addresses that are known to be bad (Tor exits, threat intelligence): one address or network a line.
    pub threat_networks_files: Vec<PathBuf>,
    /// Names of roles that grant much, as globs.
    pub privileged_roles: Vec<String>,
    /// Names of roles and instance profiles that security agents and backups work with, as globs.
    pub security_tooling: Vec<String>,
    /// User agents of infrastructure as code, as globs; they can be forged.
    pub iac_user_agents: Vec<String>,
    /// User agents of attack tools, as globs.
    pub attack_tool_user_agents: Vec<String>,
    /// An inventory of the instance profiles that running instances use: a CSV with the header
    /// `instance_profile,account,running_instances`.
    pub profiles_in_use_file: PathBuf,
}

impl Default for Detection {
    fn default() -> Self {
        let globs = |words: &[&str]| words.iter().map(|word| format!("*{word}*")).collect();
        Self {
            severity_file: PathBuf::new(),
            rules: Vec::new(),
            attack_version: 18,
            allow_list: AllowList::default(),
            threat_networks_files: Vec::new(),
            privileged_roles: globs(&[
                "admin",
                "poweruser",
                "root",
                "break*glass",
                "security",
                "audit",
                "orgmaster",
                "deploy",
            ]),
            security_tooling: globs(&[
                "ssm",
                "guardduty",
                "falcon",
                "crowdstrike",
                "cloudwatch",
                "backup",
                "inspector",
                "logging",
                "siem",
                "sentinel",
                "wazuh",
            ]),
            iac_user_agents: globs(&[
                "terraform",
                "pulumi",
                "cloudformation",
                "aws-cdk",
                "crossplane",
                "opentofu",
                "hashicorp",
                "eksctl",
                "ansible",
            ]),
            attack_tool_user_agents: globs(&[
                "pacu",
                "cloudgoat",
                "stratus-red-team",
                "kali",
                "parrot",
                "pentoo",
                "enumerate-iam",
                "cloudfox",
                "scoutsuite",
                "trufflehog",
            ]),
            profiles_in_use_file: PathBuf::new(),
        }
    }
}

/// Who is known to make such calls, and from where.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AllowList {
    /// ARNs of principals, as globs; of an assumed role the role's, not the session's.
    pub principals: Vec<String>,
    /// Addresses and networks, such as `192.0.2.0/24`.
    pub networks: Vec<String>,
}

/// What to do about a finding.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Remediation {
    /// The catalogue; empty is the built-in one (config/remediation.yaml).
    pub file: PathBuf,
    /// How much of each item documents carry.
    pub detail: Detail,
}

/// One output topic and what it gets.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Route {
    /// The name in metrics and logs; no two routes share one.
    pub name: String,
    /// The topic.
    pub topic: String,
    /// The form of the documents.
    pub format: Format,
    /// The mildest level that is forwarded.
    pub min_severity: Level,
    /// Only calls that came to one of these are forwarded; empty is all.
    pub only: Vec<Outcome>,
    /// Calls that came to one of these are not forwarded.
    pub exclude: Vec<Outcome>,
    /// What becomes the Kafka key.
    pub key: Key,
    /// Fields with fixed values that every document gets, where its format has a place for such: `trailtag.fields` in
    /// native and splunk_raw, `fields` in splunk_hec, `labels` in ecs, `metadata.labels` in ocsf.
    pub fields: BTreeMap<String, String>,
    /// Kafka headers with fixed values that every document gets.
    pub headers: BTreeMap<String, String>,
    /// The largest document in bytes, with its key and headers; 0 is what the topic takes. A larger one loses console
    /// steps, then boto3 steps, then CLI steps; if that does not help, the record becomes a dead letter.
    pub max_bytes: usize,
    /// The data set of ecs documents, which names their data stream: `logs-<dataset>-<namespace>`.
    pub ecs_dataset: String,
    /// The namespace of that data stream.
    pub ecs_namespace: String,
    /// The class of ocsf documents.
    pub ocsf_class: OcsfClass,
    /// The index that splunk_hec and splunk_raw documents ask for; empty leaves it to the receiver.
    pub splunk_index: String,
    /// The source that they name.
    pub splunk_source: String,
    /// The source type that they name. The AWS add-on's field extractions go by it.
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

/// The class of an OCSF event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OcsfClass {
    /// Detection Finding (2004): what a detection says about an event.
    #[default]
    DetectionFinding,
    /// API Activity (6003): the call itself.
    ApiActivity,
    /// Account Change (3001): the call, as Security Lake classes it.
    AccountChange,
}

/// What becomes the Kafka key of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// The record's `eventID`, or a hash of its bytes: sinks that write by key become idempotent.
    #[default]
    EventId,
    /// The account that received the record: one account stays in order.
    AccountId,
    /// None.
    None,
}

/// What happens to messages in which nothing matched.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unmatched {
    /// Drop them, or forward them.
    pub action: Action,
    /// The topic, with `forward`.
    pub topic: String,
}

/// What to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Nothing.
    #[default]
    Drop,
    /// Send the original message on, untouched: key, headers, timestamp and value.
    Forward,
}

/// Where unreadable messages go.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeadLetter {
    /// The topic.
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
    /// One JSON object a line, or text for a person.
    pub format: LogFormat,
    /// The quietest level that is written; or a filter such as `info,trailtag::kafka=debug`.
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

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// Text for a person.
    Text,
}
