//! What settings mean: together, to Kafka, and to the file system.
//!
//! A [`Config`] goes in, however it came about; faults come out, each with the key of the setting that is best
//! changed. It opens the files that settings name, and nothing else.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};
use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::fault::Fault;
use super::shape::{self, Shape};
use super::tree::{Data, Node};
use super::{Action, Config, Mechanism, Protocol, Sasl, Security, properties};

/// Why there is no password, although one is set.
#[derive(Debug, thiserror::Error)]
#[error("the password file {} cannot be read", path.display())]
pub struct PasswordError {
    /// `kafka.security.sasl.password_file`.
    pub path: std::path::PathBuf,
    /// Why.
    #[source]
    pub error: std::io::Error,
}

impl Security {
    /// The SASL password: the file's, without one line break at its end, or the one that is set; none when neither is.
    /// Errs when the file cannot be read.
    pub fn password(&self) -> Result<Option<SecretString>, PasswordError> {
        let Sasl {
            password,
            password_file,
            ..
        } = &self.sasl;
        if password_file.as_os_str().is_empty() {
            let set = !password.expose_secret().is_empty();
            return Ok(set.then(|| password.clone()));
        }
        let text = std::fs::read_to_string(password_file).map_err(|error| PasswordError {
            path: password_file.clone(),
            error,
        })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).into()))
    }
}

impl Config {
    /// Everything that is wrong, none of it with a place: [`Config::load`] knows the lines.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = self.limits();
        self.check_kafka(&mut faults);
        self.check_security(&mut faults);
        properties::check(self, &mut faults);
        self.check_times(&mut faults);
        self.check_files(&mut faults);
        self.check_topics(&mut faults);
        self.check_service(&mut faults);
        faults
    }

    /// What the schema limits. A file has been compared with it before, but a configuration may be built in code.
    fn limits(&self) -> Vec<Fault> {
        let shape = match Shape::new() {
            Ok(shape) => shape,
            Err(fault) => return vec![fault],
        };
        let value = match serde_json::to_value(self) {
            Ok(value) => value,
            Err(error) => return vec![Fault::new("", error.to_string(), "report this as a bug")],
        };
        shape
            .faults(&value, &written(&value))
            .into_iter()
            .map(|(_, fault)| fault)
            .collect()
    }

    fn check_kafka(&self, faults: &mut Vec<Fault>) {
        for (index, broker) in self.kafka.bootstrap_servers.iter().enumerate() {
            if let Some((message, hint)) = no_broker(broker) {
                faults.push(Fault::new(
                    format!("kafka.bootstrap_servers[{index}]"),
                    message,
                    hint,
                ));
            }
        }
        let mut seen = BTreeMap::new();
        for (index, topic) in self.kafka.topics.iter().enumerate() {
            let key = format!("kafka.topics[{index}]");
            check_topic(&key, topic, faults);
            if let Some(first) = seen.insert(topic, index) {
                faults.push(Fault::new(
                    key,
                    format!("`{topic}` is kafka.topics[{first}] too"),
                    "name it once",
                ));
            }
        }
    }

    fn check_security(&self, faults: &mut Vec<Fault>) {
        let Security {
            protocol,
            sasl,
            tls,
        } = &self.kafka.security;
        let over_tls = matches!(protocol, Protocol::Ssl | Protocol::SaslSsl);
        let with_password = matches!(protocol, Protocol::SaslPlaintext | Protocol::SaslSsl);
        let mut fault = |setting: &str, message: &str, hint: &str| {
            faults.push(Fault::new(
                format!("kafka.security.{setting}"),
                message,
                hint,
            ));
        };

        let has_password = !sasl.password.expose_secret().is_empty();
        let has_file = !sasl.password_file.as_os_str().is_empty();
        if with_password {
            if sasl.username.is_empty() {
                fault("sasl.username", "is empty, and the protocol asks for a user", "name the user");
            }
            match (has_password, has_file) {
                (false, false) => fault(
                    "sasl.password_file",
                    "there is no password, and the protocol asks for one",
                    "name a file that holds it, or set TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD",
                ),
                (true, true) => fault(
                    "sasl.password_file",
                    "there are two passwords: one in this file, one in kafka.security.sasl.password",
                    "remove one",
                ),
                (false, true) => match self.kafka.security.password() {
                    Ok(Some(password)) if !password.expose_secret().is_empty() => {}
                    Ok(_) => fault("sasl.password_file", "the file is empty", "write the password into it"),
                    Err(PasswordError { path, error }) => fault(
                        "sasl.password_file",
                        &format!("{} cannot be read: {error}", path.display()),
                        "name a file that this user may read",
                    ),
                },
                (true, false) => {}
            }
            if sasl.mechanism == Mechanism::Plain && !over_tls {
                fault(
                    "sasl.mechanism",
                    "`plain` would send the password in the clear",
                    "set kafka.security.protocol to `sasl_ssl`, or a scram mechanism",
                );
            }
        } else {
            for (setting, is_set) in [
                ("sasl.username", !sasl.username.is_empty()),
                ("sasl.password", has_password),
                ("sasl.password_file", has_file),
            ] {
                if is_set {
                    fault(
                        setting,
                        "is set, but the protocol does not use it",
                        "set kafka.security.protocol to `sasl_ssl`, or remove it",
                    );
                }
            }
        }

        let files = [
            ("tls.ca_file", &tls.ca_file),
            ("tls.cert_file", &tls.cert_file),
            ("tls.key_file", &tls.key_file),
        ];
        for (setting, path) in files {
            if path.as_os_str().is_empty() {
                continue;
            }
            if !over_tls {
                fault(
                    setting,
                    "is set, but the protocol is without TLS",
                    "set kafka.security.protocol to `ssl` or `sasl_ssl`, or remove it",
                );
            } else if let Err(reason) = readable_file(path) {
                fault(setting, &reason, "name a PEM file that this user may read");
            }
        }
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        match (is_set(&tls.cert_file), is_set(&tls.key_file)) {
            (true, false) => fault("tls.key_file", "is empty, but there is a certificate", "name its key"),
            (false, true) => fault("tls.cert_file", "is empty, but there is a key", "name its certificate"),
            _ => {}
        }
    }

    fn check_times(&self, faults: &mut Vec<Fault>) {
        for (key, duration, why, hint) in [
            (
                "delivery.linger",
                self.delivery.linger,
                "would make each finding a transaction of its own",
                "write `1ms` or more",
            ),
            (
                "delivery.commit_interval",
                self.delivery.commit_interval,
                "would commit after each message",
                "write `100ms` or more",
            ),
            (
                "shutdown_grace",
                self.shutdown_grace,
                "would leave no time to finish what is in flight",
                "write `5s` or more, and less than Kubernetes' terminationGracePeriodSeconds",
            ),
        ] {
            if duration.is_zero() {
                faults.push(Fault::new(key, format!("zero {why}"), hint));
            }
        }
    }

    fn check_files(&self, faults: &mut Vec<Fault>) {
        for (key, path) in [
            ("detection.severity_file", &self.detection.severity_file),
            ("remediation.file", &self.remediation.file),
        ] {
            if path.as_os_str().is_empty() {
                continue;
            }
            if let Err(reason) = readable_file(path) {
                faults.push(Fault::new(
                    key,
                    reason,
                    "name a YAML file that this user may read, or nothing for the built-in one",
                ));
            }
        }
        for (index, path) in self.detection.rules.iter().enumerate() {
            let readable = if path.is_dir() {
                std::fs::read_dir(path)
                    .map(drop)
                    .map_err(|error| unreadable(path, &error))
            } else {
                readable_file(path)
            };
            if let Err(reason) = readable {
                faults.push(Fault::new(
                    format!("detection.rules[{index}]"),
                    reason,
                    "name a Sigma rule file or a folder of them",
                ));
            }
        }
    }

    fn check_topics(&self, faults: &mut Vec<Fault>) {
        let forwards = self.unmatched.action == Action::Forward;
        if self.routes.is_empty() && !forwards {
            faults.push(Fault {
                concluded_from: &["unmatched", "unmatched.action"],
                ..Fault::new(
                    "routes",
                    "is empty, and unmatched messages are dropped: nothing would ever leave",
                    "add a route with a name and a topic",
                )
            });
        }
        let mut names = BTreeMap::new();
        for (index, route) in self.routes.iter().enumerate() {
            let key = |field: &str| format!("routes[{index}].{field}");
            if route.name.is_empty() {
                faults.push(Fault::new(
                    key("name"),
                    "is empty",
                    "give the route a name for metrics and logs",
                ));
            } else if let Some(first) = names.insert(&route.name, index) {
                faults.push(Fault::new(
                    key("name"),
                    format!("routes[{first}] is called `{}` too", route.name),
                    "give each route a name of its own",
                ));
            }
            self.check_output(&key("topic"), &route.topic, faults);
        }
        if forwards {
            self.check_output("unmatched.topic", &self.unmatched.topic, faults);
        }
        self.check_output("dead_letter.topic", &self.dead_letter.topic, faults);
    }

    /// A topic that is written to: it must have a name, and not be read from.
    fn check_output(&self, key: &str, topic: &str, faults: &mut Vec<Fault>) {
        check_topic(key, topic, faults);
        if self.kafka.topics.iter().any(|input| input == topic) {
            faults.push(Fault {
                concluded_from: &["kafka.topics"],
                ..Fault::new(
                    key,
                    format!("`{topic}` is in kafka.topics: what is written would be read again, for ever"),
                    "name another topic",
                )
            });
        }
    }

    fn check_service(&self, faults: &mut Vec<Fault>) {
        let listen = &self.http.listen;
        if listen.parse::<SocketAddr>().is_err() {
            faults.push(Fault::new(
                "http.listen",
                format!("`{listen}` is no address and port"),
                "write digits, as in `0.0.0.0:9598` or `127.0.0.1:9598`",
            ));
        }
        if let Err(reason) = filter(&self.log.level) {
            faults.push(Fault::new(
                "log.level",
                reason,
                "write `error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as \
                 `info,trailtag::kafka=debug`",
            ));
        }
    }
}

/// A value as if it had been written without quotes, so that messages can quote it.
fn written(value: &serde_json::Value) -> Node {
    let data = match value {
        serde_json::Value::Array(values) => Data::List(values.iter().map(written).collect()),
        serde_json::Value::Object(entries) => Data::Map(
            entries
                .iter()
                .map(|(name, value)| {
                    let name = super::tree::Name {
                        text: name.clone(),
                        line: 0,
                    };
                    (name, written(value))
                })
                .collect(),
        ),
        serde_json::Value::String(text) => Data::Scalar {
            text: text.clone(),
            plain: true,
        },
        other => Data::Scalar {
            text: other.to_string(),
            plain: true,
        },
    };
    Node { line: 0, data }
}

/// What keeps a text from being `host:port`.
fn no_broker(broker: &str) -> Option<(String, &'static str)> {
    if let Some((scheme, _)) = broker.split_once("://") {
        return Some((
            format!("`{broker}` begins with `{scheme}://`"),
            "write `host:port` alone, and set kafka.security.protocol",
        ));
    }
    let hint = "write `host:port`, such as `kafka-0:9092`";
    let Some((host, port)) = broker.rsplit_once(':') else {
        return Some((format!("`{broker}` has no port"), hint));
    };
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    let is_host = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || ",/".contains(c));
    (!is_port || !is_host).then(|| (format!("`{broker}` is no host and port"), hint))
}

/// Kafka's own rule for the names of topics.
fn check_topic(key: &str, topic: &str, faults: &mut Vec<Fault>) {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if topic.is_empty() {
        faults.push(Fault::new(key, "is empty", "name the topic"));
    } else if topic == "." || topic == ".." || topic.len() > 249 || !topic.chars().all(legal) {
        faults.push(Fault::new(
            key,
            format!("`{topic}` cannot be a topic's name"),
            "use up to 249 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`; patterns are not known here",
        ));
    }
}

fn readable_file(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    std::fs::File::open(path)
        .map(drop)
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("{} cannot be read: {error}", path.display())
}

/// Whether the log takes this as a level or a filter. A lone word would be taken for a module's name and silence all
/// others, so it must be a level.
fn filter(level: &str) -> Result<(), String> {
    let mut words = level.split(',').map(str::trim);
    let is_word = |word: &str| !word.contains(['=', '[', ':']);
    if let Some(word) = words.find(|word| is_word(word) && word.parse::<LevelFilter>().is_err()) {
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        let meant = shape::nearest(word, levels.into_iter())
            .map_or_else(String::new, |level| format!(", but `{level}` is"));
        return Err(format!("`{word}` is no level{meant}"));
    }
    EnvFilter::builder()
        .parse(level)
        .map(drop)
        .map_err(|error| format!("`{level}` is no filter: {error}"))
}
