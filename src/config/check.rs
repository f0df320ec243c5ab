//! What settings mean: together, to Kafka, and to the file system.
//!
//! A [`Config`] goes in, however it came about; faults come out, each with the key of the setting that is best
//! changed. It opens the files that settings name, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use tracing_subscriber::filter::{EnvFilter, LevelFilter};

use super::fault::{self, Fault};
use super::shape::{self, Shape};
use super::{Action, Config, Route, http, properties, security};
use crate::detection::lists;
use crate::files;
use crate::format::Format;
use crate::visible::is_hidden;
use crate::yaml::{Data, Node};

impl Config {
    /// Everything that is wrong, none of it with a place: [`Config::load`] knows the lines.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = self.limits();
        self.check_kafka(&mut faults);
        security::check(&self.kafka.security, &mut faults);
        properties::check(self, &mut faults);
        self.check_times(&mut faults);
        self.check_record_paths(&mut faults);
        self.check_files(&mut faults);
        self.check_topics(&mut faults);
        self.check_service(&mut faults);
        fault::told(faults)
    }

    /// What the schema limits. A file has been compared with it before, but a configuration may be built in code.
    fn limits(&self) -> Vec<Fault> {
        let shape = match Shape::new() {
            Ok(shape) => shape,
            Err(faults) => return faults.into_iter().collect(),
        };
        let value = match serde_json::to_value(self) {
            Ok(value) => value,
            Err(error) => return vec![Fault::new("", error.to_string(), "report this as a bug")],
        };
        shape
            .faults(&value, &written(&value))
            .into_iter()
            .map(|differs| differs.fault)
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

    fn check_record_paths(&self, faults: &mut Vec<Fault>) {
        for (index, path) in self.input.record_paths.iter().enumerate() {
            let escapes = path.matches('~').count();
            let known = path.matches("~0").count() + path.matches("~1").count();
            if !path.starts_with('/') || escapes != known {
                faults.push(Fault::new(
                    format!("input.record_paths[{index}]"),
                    format!("`{path}` is no JSON pointer"),
                    "write a key after each `/`, as in `/data/aws`; `~1` is a `/` in a key, `~0` a `~`",
                ));
            }
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
        let yaml = "name a YAML file that this user may read, or nothing for the built-in one";
        let csv = "name a CSV file that this user may read, or nothing";
        let list = "name a file with one address or network a line";
        let detection = &self.detection;
        let mut files = vec![
            (
                "detection.severity_file".to_owned(),
                &detection.severity_file,
                yaml,
            ),
            ("remediation.file".to_owned(), &self.remediation.file, yaml),
            (
                "detection.profiles_in_use_file".to_owned(),
                &detection.profiles_in_use_file,
                csv,
            ),
        ];
        files.retain(|(_, path, _)| !path.as_os_str().is_empty());
        for (index, path) in detection.threat_networks_files.iter().enumerate() {
            files.push((
                format!("detection.threat_networks_files[{index}]"),
                path,
                list,
            ));
        }
        for (key, path, hint) in files {
            if let Err(reason) = readable_file(path) {
                faults.push(Fault::new(key, reason, hint));
            }
        }
        for (index, text) in detection.allow_list.networks.iter().enumerate() {
            if lists::network(text).is_none() {
                faults.push(Fault::new(
                    format!("detection.allow_list.networks[{index}]"),
                    format!("`{text}` is no address or network"),
                    "write it as `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`",
                ));
            }
        }
        for (list, globs) in [
            ("allow_list.principals", &detection.allow_list.principals),
            ("privileged_roles", &detection.privileged_roles),
            ("security_tooling", &detection.security_tooling),
            ("iac_user_agents", &detection.iac_user_agents),
            (
                "attack_tool_user_agents",
                &detection.attack_tool_user_agents,
            ),
        ] {
            for (index, glob) in globs.iter().enumerate() {
                if glob.trim().is_empty() {
                    faults.push(Fault::new(
                        format!("detection.{list}[{index}]"),
                        "is empty",
                        "write a name in which `*` stands for any characters and `?` for one, or remove it",
                    ));
                }
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
            for name in route.headers.keys() {
                if name.is_empty() || name.starts_with("trailtag.") {
                    faults.push(Fault::new(
                        key("headers"),
                        format!("`{name}` is the program's own, or no name"),
                        "give the header a name that does not begin with `trailtag.`",
                    ));
                }
            }
            for (name, value) in &route.headers {
                if name.contains(is_hidden) || value.contains(is_hidden) {
                    faults.push(Fault::new(
                        key("headers"),
                        format!("`{name}` or its value holds a control character"),
                        "write characters that can be seen",
                    ));
                }
            }
            check_fields(route, &key("fields"), faults);
            if let Some(outcome) = route.only.iter().find(|it| route.exclude.contains(it)) {
                faults.push(Fault {
                    concluded_from: &["routes"],
                    ..Fault::new(
                        key("exclude"),
                        format!("`{}` is in `only` too", outcome.as_str()),
                        "name it in one of them",
                    )
                });
            }
            for (field, name) in [
                ("ecs_dataset", &route.ecs_dataset),
                ("ecs_namespace", &route.ecs_namespace),
            ] {
                if route.format == Format::Ecs && !is_data_stream_part(name) {
                    faults.push(Fault::new(
                        key(field),
                        format!("`{name}` cannot be part of a data stream's name"),
                        "use up to 100 characters, no capitals, no white space, and none of - \\ / * ? \" < > | , # :",
                    ));
                }
            }
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
        http::check(&self.http, faults);
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

/// What a route adds must have names that its receiver takes, and that are not taken.
fn check_fields(route: &Route, key: &str, faults: &mut Vec<Fault>) {
    let mut labels = BTreeMap::new();
    for name in route.fields.keys() {
        let (message, hint) = if name.is_empty() {
            ("a name is empty".to_owned(), "name the field")
        } else if route.format == Format::SplunkHec && is_splunks_or_ours(name) {
            (
                format!("Splunk cannot index `{name}` as a field of its own"),
                "use letters, digits and `_`; begin with a letter, not with `trailtag_`; and not host, source, \
                 sourcetype, index or time, for which a route has options",
            )
        } else if route.format == Format::Ecs
            && let Some(other) = labels.insert(name.replace('.', "_"), name)
        {
            (
                format!("`{other}` and `{name}` become one label: ECS has `_` for `.`"),
                "name it once",
            )
        } else {
            continue;
        };
        faults.push(Fault {
            concluded_from: &["routes"],
            ..Fault::new(key, message, hint)
        });
    }
}

fn is_splunks_or_ours(name: &str) -> bool {
    !name.starts_with(|first: char| first.is_ascii_alphabetic())
        || name.starts_with("trailtag_")
        || name.contains(|c: char| !c.is_ascii_alphanumeric() && !"_.".contains(c))
        || ["host", "source", "sourcetype", "index", "time"].contains(&name)
}

/// A value as if it had been written without quotes, so that messages can quote it.
fn written(value: &serde_json::Value) -> Node {
    let data = match value {
        serde_json::Value::Array(values) => Data::List(values.iter().map(written).collect()),
        serde_json::Value::Object(entries) => Data::Map(
            entries
                .iter()
                .map(|(name, value)| {
                    let name = crate::yaml::Name {
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
    if broker.contains('@') {
        // What stands before it may be a password.
        return Some((
            "names a user or a password, as a URL does".to_owned(),
            "write `host:port` alone, and set kafka.security",
        ));
    }
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
    let is_host =
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || ",/".contains(c));
    (!is_port || !is_host).then(|| (format!("`{broker}` is no host and port"), hint))
}

/// Elastic's rule for the data set and the namespace in a data stream's name.
fn is_data_stream_part(name: &str) -> bool {
    (1..=100).contains(&name.len())
        && name
            .chars()
            .all(|c| !c.is_whitespace() && !c.is_uppercase() && !"-\\/*?\"<>|,#:".contains(c))
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

pub(super) fn readable_file(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    files::open(path)
        .map(drop)
        .map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> String {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Protocol;
    use crate::detection::outcome::Outcome;

    fn told(config: &Config) -> String {
        let faults: Vec<String> = config.check().iter().map(ToString::to_string).collect();
        faults.join("\n")
    }

    fn changed(change: impl FnOnce(&mut Config)) -> String {
        let mut config = Config::default();
        change(&mut config);
        told(&config)
    }

    #[test]
    fn a_routes_fields_have_names_that_its_receiver_takes() {
        let faulty = |format, names: &[&str]| {
            let told = changed(|config| {
                let pairs = names.iter().map(|name| ((*name).to_owned(), String::new()));
                config.routes[0].format = format;
                config.routes[0].fields = pairs.collect();
            });
            told.lines().count()
        };
        let names = [
            "a b",
            "index",
            "_raw",
            "team",
            "team.name",
            "trailtag_severity",
        ];
        assert_eq!(faulty(Format::SplunkHec, &names), 4);
        assert_eq!(faulty(Format::Native, &names), 0);
        assert_eq!(faulty(Format::Ecs, &["a.b", "a_b", "a.c"]), 1);
        assert_eq!(faulty(Format::Native, &["", "a"]), 1);
    }

    #[test]
    fn what_a_route_adds_must_be_possible() {
        assert_eq!(
            changed(|config| {
                let route = &mut config.routes[0];
                route.format = Format::Ecs;
                route.ecs_dataset = "Trailtag-events".into();
                route.ecs_namespace = String::new();
                route.headers = [("trailtag.rule".to_owned(), "x".to_owned())].into();
                route.only = vec![Outcome::Denied];
                route.exclude = vec![Outcome::Denied];
            }),
            "routes[0].headers: `trailtag.rule` is the program's own, or no name; give the header a name that does not begin with `trailtag.`\n\
             routes[0].exclude: `denied` is in `only` too; name it in one of them\n\
             routes[0].ecs_dataset: `Trailtag-events` cannot be part of a data stream's name; use up to 100 characters, no capitals, no white space, and none of - \\ / * ? \" < > | , # :\n\
             routes[0].ecs_namespace: `` cannot be part of a data stream's name; use up to 100 characters, no capitals, no white space, and none of - \\ / * ? \" < > | , # :"
        );
    }

    #[test]
    fn the_defaults_are_right() {
        assert_eq!(told(&Config::default()), "");
    }

    #[test]
    fn limits_hold_for_what_was_built_in_code() {
        assert_eq!(
            changed(|config| {
                config.kafka.bootstrap_servers.clear();
                config.kafka.topics.clear();
                config.kafka.group_id.clear();
                config.delivery.batch_records = 0;
                config.delivery.linger = Duration::ZERO;
                config.delivery.commit_interval = Duration::ZERO;
                config.shutdown_grace = Duration::ZERO;
                config.input.max_depth = 0;
                config.input.max_unreadable = 0;
                config.input.max_decoded_bytes = 0;
                config.workers = 1025;
                config.kafka.memory_budget = 1024;
            }),
            "delivery.batch_records: `0` is too small; write 1 or more\n\
             input.max_decoded_bytes: `0` is too small; write 1 or more\n\
             input.max_depth: `0` is too small; write 1 or more\n\
             input.max_unreadable: `0` is too small; write 1 or more\n\
             kafka.bootstrap_servers: is empty; name at least one\n\
             kafka.group_id: is empty; name it\n\
             kafka.memory_budget: `1024` is too small; write 4194304 or more\n\
             kafka.topics: is empty; name at least one\n\
             workers: `1025` is too large; write 1024 or less\n\
             delivery.linger: zero would make each finding a transaction of its own; write `1ms` or more\n\
             delivery.commit_interval: zero would commit after each message; write `100ms` or more\n\
             shutdown_grace: zero would leave no time to finish what is in flight; write `5s` or more, and less than Kubernetes' terminationGracePeriodSeconds"
        );
    }

    #[test]
    fn record_paths_are_json_pointers() {
        assert_eq!(
            changed(|config| {
                config.input.record_paths = ["/data/aws", "data", "/a~2", "/a~1b~0", ""]
                    .map(str::to_owned)
                    .to_vec();
            }),
            [(1, "data"), (2, "/a~2"), (4, "")]
                .map(|(index, path)| format!(
                    "input.record_paths[{index}]: `{path}` is no JSON pointer; write a key after each `/`, as in `/data/aws`; `~1` is a `/` in a key, `~0` a `~`"
                ))
                .join("\n")
        );
    }

    #[test]
    fn brokers_and_topics_have_names_that_kafka_takes() {
        assert_eq!(
            changed(|config| {
                config.kafka.bootstrap_servers =
                    ["k", "ssl://k:9092", "k:0", "a b:1", "[::1]:9092", ":1"]
                        .map(str::to_owned)
                        .to_vec();
                config.kafka.topics = ["^cloud.*", "a", "", "a"].map(str::to_owned).to_vec();
            }),
            "kafka.bootstrap_servers[0]: `k` has no port; write `host:port`, such as `kafka-0:9092`\n\
             kafka.bootstrap_servers[1]: `ssl://k:9092` begins with `ssl://`; write `host:port` alone, and set kafka.security.protocol\n\
             kafka.bootstrap_servers[2]: `k:0` is no host and port; write `host:port`, such as `kafka-0:9092`\n\
             kafka.bootstrap_servers[3]: `a b:1` is no host and port; write `host:port`, such as `kafka-0:9092`\n\
             kafka.bootstrap_servers[5]: `:1` is no host and port; write `host:port`, such as `kafka-0:9092`\n\
             kafka.topics[0]: `^cloud.*` cannot be a topic's name; use up to 249 of the characters a-z, A-Z, 0-9, `.`, `_` and `-`; patterns are not known here\n\
             kafka.topics[2]: is empty; name the topic\n\
             kafka.topics[3]: `a` is kafka.topics[1] too; name it once"
        );
    }

    #[test]
    fn nothing_that_is_written_is_read_again() {
        assert_eq!(
            changed(|config| {
                config.kafka.topics = ["a", "b", "c"].map(str::to_owned).to_vec();
                config.routes = vec![Route {
                    name: "r".into(),
                    topic: "a".into(),
                    ..Route::default()
                }];
                config.unmatched.action = Action::Forward;
                config.unmatched.topic = "b".into();
                config.dead_letter.topic = "c".into();
            }),
            "routes[0].topic: `a` is in kafka.topics: what is written would be read again, for ever; name another topic\n\
             unmatched.topic: `b` is in kafka.topics: what is written would be read again, for ever; name another topic\n\
             dead_letter.topic: `c` is in kafka.topics: what is written would be read again, for ever; name another topic"
        );
    }

    #[test]
    fn something_leaves_and_each_route_has_a_name_and_a_topic() {
        assert_eq!(
            changed(|config| config.routes.clear()),
            "routes: is empty, and unmatched messages are dropped: nothing would ever leave; add a route with a name and a topic"
        );
        assert_eq!(
            changed(|config| {
                config.routes.clear();
                config.unmatched.action = Action::Forward;
            }),
            "unmatched.topic: is empty; name the topic"
        );
        assert_eq!(
            changed(|config| {
                config.routes = vec![
                    Route::default(),
                    config.routes[0].clone(),
                    config.routes[0].clone(),
                ];
                config.dead_letter.topic.clear();
            }),
            "routes[0].name: is empty; give the route a name for metrics and logs\n\
             routes[0].topic: is empty; name the topic\n\
             routes[2].name: routes[1] is called `findings` too; give each route a name of its own\n\
             dead_letter.topic: is empty; name the topic"
        );
    }

    #[test]
    fn files_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "").unwrap();
        let missing = folder.path().join("missing");
        let told = changed(|config| {
            config.kafka.security.protocol = Protocol::Ssl;
            config.kafka.security.tls.ca_file.clone_from(&missing);
            config.kafka.security.tls.cert_file.clone_from(&there);
            config.detection.severity_file = folder.path().to_owned();
            config.detection.rules = vec![there.clone(), folder.path().to_owned(), missing.clone()];
            config.remediation.file.clone_from(&missing);
        });
        assert_eq!(
            told.replace(&folder.path().display().to_string(), "…"),
            "kafka.security.tls.ca_file: …/missing cannot be read: No such file or directory (os error 2); name a PEM file that this user may read\n\
             kafka.security.tls.key_file: is empty, but there is a certificate; name its key\n\
             detection.severity_file: … is a folder; name a YAML file that this user may read, or nothing for the built-in one\n\
             remediation.file: …/missing cannot be read: No such file or directory (os error 2); name a YAML file that this user may read, or nothing for the built-in one\n\
             detection.rules[2]: …/missing cannot be read: No such file or directory (os error 2); name a Sigma rule file or a folder of them"
        );
        let told = changed(|config| config.kafka.security.tls.key_file.clone_from(&there));
        assert_eq!(
            told.replace(&folder.path().display().to_string(), "…"),
            "kafka.security.tls.key_file: is set, but the protocol is without TLS; set kafka.security.protocol to `ssl` or `sasl_ssl`, or remove it\n\
             kafka.security.tls.cert_file: is empty, but there is a key; name its certificate"
        );
    }

    #[test]
    fn the_service_can_listen_and_log() {
        for (listen, level) in [
            ("127.0.0.1:0", "warn"),
            ("[::]:9598", "info,trailtag::kafka=debug"),
            ("0.0.0.0:1", "off"),
            ("0.0.0.0:1", "trailtag[span{field=1}]=trace, INFO"),
        ] {
            assert_eq!(
                changed(|config| {
                    config.http.listen = listen.into();
                    config.log.level = level.into();
                }),
                ""
            );
        }
        assert_eq!(
            changed(|config| {
                config.http.listen = ":9598".into();
                config.log.level = "wran".into();
            }),
            "http.listen: `:9598` is no address and port; write digits, as in `0.0.0.0:9598` or `127.0.0.1:9598`\n\
             log.level: `wran` is no level, but `warn` is; write `error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as `info,trailtag::kafka=debug`"
        );
        assert_eq!(
            changed(|config| config.log.level = "info,trailtag=loud".into()),
            "log.level: `info,trailtag=loud` is no filter: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5; write `error`, `warn`, `info`, `debug`, `trace` or `off`, or a filter such as `info,trailtag::kafka=debug`"
        );
    }
}
