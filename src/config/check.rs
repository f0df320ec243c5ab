//! What settings mean: together, to Kafka, and to the file system.
//!
//! A [`Config`] goes in, however it came about; faults come out, each with the key of the setting that is best
//! changed. It opens the files that settings name, and nothing else.

use std::collections::BTreeMap;

use super::schema::SchemaCheck;
use super::yaml::{Data, Name, Node};
use super::{Action, Config, Format, Route, files, http, network, properties, security};
use crate::model::fault::{self, Fault};
use crate::model::visible::is_hidden;

impl Config {
    /// Everything that is wrong, none of it with a place: [`Config::load`] knows the lines.
    #[must_use]
    pub fn check(&self) -> Vec<Fault> {
        let mut faults = self.limits();
        self.check_kafka(&mut faults);
        security::check(&self.kafka.security, &mut faults);
        properties::check(self, &mut faults);
        self.check_times(&mut faults);
        self.sequences.check(&mut faults);
        self.check_record_paths(&mut faults);
        self.check_files(&mut faults);
        self.check_topics(&mut faults);
        self.check_service(&mut faults);
        fault::told(faults)
    }

    /// What the schema limits. A file has been compared with it before, but a configuration may be built in code.
    fn limits(&self) -> Vec<Fault> {
        let schema = match SchemaCheck::new() {
            Ok(schema) => schema,
            Err(faults) => return faults.into_iter().collect(),
        };
        let value = match serde_json::to_value(self) {
            Ok(value) => value,
            Err(error) => return vec![Fault::new("", error.to_string(), "report this as a bug")],
        };
        schema
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
            (
                "detection.aws_networks_file".to_owned(),
                &detection.aws_networks_file,
                "name a copy of AWS's ip-ranges.json that this user may read, or nothing",
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
            if let Err(reason) = files::readable(path) {
                faults.push(Fault::new(key, reason, hint));
            }
        }
        for (index, text) in detection.allow_list.networks.iter().enumerate() {
            if network::parse(text).is_none() {
                faults.push(Fault::new(
                    format!("detection.allow_list.networks[{index}]"),
                    format!("`{text}` is no address or network"),
                    "write it as `192.0.2.7`, `192.0.2.0/24` or `2001:db8::/32`",
                ));
            }
        }
        for (list, globs) in [
            ("allow_list.principals", &detection.allow_list.principals),
            ("sensitive_principals", &detection.sensitive_principals),
            ("provisioning_services", &detection.provisioning_services),
            ("privileged_roles", &detection.privileged_roles),
            ("security_tooling", &detection.security_tooling),
            ("iac_user_agents", &detection.iac_user_agents),
            (
                "attack_tool_user_agents",
                &detection.attack_tool_user_agents,
            ),
        ] {
            for (index, glob) in globs.iter().enumerate() {
                if glob.strip_prefix('!').unwrap_or(glob).trim().is_empty() {
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
                    .map_err(|error| files::unreadable(path, &error))
            } else {
                files::readable(path)
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
        if !self.sequences.topic.is_empty() {
            self.check_steps(faults);
        }
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

    /// The topic of steps is written and read, and holds nothing else.
    fn check_steps(&self, faults: &mut Vec<Fault>) {
        let (key, topic) = ("sequences.topic", &self.sequences.topic);
        self.check_output(key, topic, faults);
        let routes = self.routes.iter().map(|route| &route.topic);
        let mut outputs = routes.chain([&self.unmatched.topic, &self.dead_letter.topic]);
        if outputs.any(|output| output == topic) {
            faults.push(Fault {
                concluded_from: &["routes", "unmatched.topic", "dead_letter.topic"],
                ..Fault::new(
                    key,
                    format!("`{topic}` is an output as well: its documents would be read as steps"),
                    "name a topic of its own",
                )
            });
        }
        let key = "partitioner";
        let producer = self.kafka.producer.get(key).map(|it| ("producer", it));
        let client = self.kafka.client.get(key).map(|it| ("client", it));
        if let Some((map, value)) = producer.or(client)
            && value == "random"
        {
            faults.push(Fault::new(
                format!("kafka.{map}.{key}"),
                "`random` puts the steps of one group into several partitions: their sequences would not be found",
                "leave it out, or write `murmur2_random`",
            ));
        }
    }

    fn check_service(&self, faults: &mut Vec<Fault>) {
        http::check(&self.http, faults);
        #[cfg(feature = "service")]
        super::log::check(&self.log, faults);
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
                    let name = Name {
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

#[cfg(test)]
mod tests;
