//! What settings mean together.

use std::time::Duration;

use super::*;
use crate::config::Protocol;
use crate::model::Outcome;

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
fn the_topic_of_steps_holds_nothing_else_and_the_window_every_sequence() {
    let steps = |topic: &str| changed(|config| config.sequences.topic = topic.into());
    assert_eq!(steps("trailtag.steps"), "");
    assert_eq!(
        steps("cloudtrail"),
        "sequences.topic: `cloudtrail` is in kafka.topics: what is written would be read again, for ever; name another topic"
    );
    for output in ["trailtag.findings", "trailtag.dead-letter"] {
        assert_eq!(
            steps(output),
            format!(
                "sequences.topic: `{output}` is an output as well: its documents would be read as steps; name a topic of its own"
            )
        );
    }
    let partitioner = |topic: &str| {
        changed(|config| {
            config.sequences.topic = topic.into();
            let random = ("partitioner".to_owned(), "random".to_owned());
            config.kafka.producer = [random].into();
        })
    };
    assert_eq!(partitioner(""), "");
    assert_eq!(
        partitioner("trailtag.steps"),
        "kafka.producer.partitioner: `random` puts the steps of one group into several partitions: their sequences would not be \
         found; leave it out, or write `murmur2_random`"
    );
    assert_eq!(
        changed(|config| config.sequences.window = Duration::from_mins(59)),
        "sequences.window: 59m is shorter than a sequence may take, from its first event to its last; write `1h` or more"
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
fn an_entry_of_a_list_of_names_says_something() {
    let what = "write a name in which `*` stands for any characters and `?` for one, or remove it";
    assert_eq!(
        changed(|config| {
            let detection = &mut config.detection;
            detection.privileged_roles = vec!["root".into(), " ".into()];
            detection.sensitive_principals = vec!["!".into(), "!*glass*".into()];
            detection.provisioning_services = vec![String::new()];
        }),
        format!(
            "detection.sensitive_principals[0]: is empty; {what}\n\
             detection.provisioning_services[0]: is empty; {what}\n\
             detection.privileged_roles[1]: is empty; {what}"
        )
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
        config.detection.aws_networks_file.clone_from(&missing);
    });
    assert_eq!(
        told.replace(&folder.path().display().to_string(), "…"),
        "kafka.security.tls.ca_file: …/missing cannot be read: No such file or directory (os error 2); name a PEM file that this user may read\n\
         kafka.security.tls.key_file: is empty, but there is a certificate; name its key\n\
         detection.severity_file: … is a folder; name a YAML file that this user may read, or nothing for the built-in one\n\
         remediation.file: …/missing cannot be read: No such file or directory (os error 2); name a YAML file that this user may read, or nothing for the built-in one\n\
         detection.aws_networks_file: …/missing cannot be read: No such file or directory (os error 2); name a copy of AWS's ip-ranges.json that this user may read, or nothing\n\
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
