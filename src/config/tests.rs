//! Loading as a user sees it: layers in, settings or the exact words of the faults out.

use std::collections::BTreeMap;
use std::path::Path as FilePath;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::cursor::Path;
use super::load::{Layer, Places};
use super::{Config, Guarantee, Place, Protocol, schema, settings_list};
use crate::config::yaml;

/// Loads a text as `config.yaml`, with variables; the faults come as text.
fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    Config::load(Some(&path), owned(variables)).map_err(|faults| {
        let folder = format!("{}/", folder.path().display());
        faults.to_string().replace(&folder, "")
    })
}

fn owned(variables: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
}

fn faults(text: &str, variables: &[(&str, &str)]) -> String {
    load(text, variables).expect_err("there are faults")
}

fn same(a: &Config, b: &Config) -> bool {
    serde_json::to_value(a).unwrap() == serde_json::to_value(b).unwrap()
}

#[test]
fn nothing_at_all_is_the_defaults() {
    for config in [
        Config::load(None, std::iter::empty()).unwrap(),
        load("", &[]).unwrap(),
        load("# only this\n", &[]).unwrap(),
        load("kafka:\n  # topics: [a]\nroutes:\n", &[]).unwrap(),
        load("kafka: {}\nlog: {level: }\n", &[]).unwrap(),
    ] {
        assert!(same(&config, &Config::default()));
    }
}

#[test]
fn the_file_of_all_settings_is_the_defaults_and_holds_every_key() {
    let text = include_str!("../../config/trailtag.yaml");
    assert!(same(&load(text, &[]).unwrap(), &Config::default()));

    let node = yaml::parse(text).unwrap().unwrap();
    let mut places = Places::new(None);
    places.note(&Layer {
        node,
        set: Path::default(),
        from: Place::Default,
    });
    let schema = schema::schema();
    for setting in settings_list::settings(&schema) {
        let key = setting.key.replace("[]", "[0]");
        assert!(places.set.contains_key(&key), "{key} is missing");
    }
}

#[test]
fn json_is_yaml_too() {
    let mut config = Config::default();
    config.kafka.client.insert("client.rack".into(), "a".into());
    for text in [
        serde_json::to_string(&config).unwrap(),
        serde_json::to_string_pretty(&config).unwrap(),
    ] {
        assert!(same(&load(&text, &[]).unwrap(), &config));
    }
}

#[test]
fn each_layer_lies_over_the_one_before() {
    let config = load(
        "kafka:\n  group_id: file\n  topics: [a, b]\ndelivery: {linger: 1s 500ms}\n",
        &[
            ("TRAILTAG__KAFKA__GROUP_ID", "environment"),
            ("TRAILTAG__KAFKA__SECURITY__PROTOCOL", "ssl"),
            ("TRAILTAG__WORKERS", "4"),
            ("TRAILTAG_PORT", "tcp://10.0.0.1:9598"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.kafka.group_id, "environment");
    assert_eq!(config.kafka.topics, ["a", "b"]);
    assert_eq!(config.kafka.security.protocol, Protocol::Ssl);
    assert_eq!(config.delivery.linger, Duration::from_millis(1500));
    assert_eq!(config.delivery.guarantee, Guarantee::ExactlyOnce);
    assert_eq!(config.workers, 4);
}

#[test]
fn what_looks_like_a_number_stays_text_where_text_is_wanted() {
    let config = load(
        "kafka:\n  group_id: 0123\n  topics: [1.10, true]\n  client: {client.id: 7}\n",
        &[("TRAILTAG__DELIVERY__TRANSACTIONAL_ID_PREFIX", "1e3")],
    )
    .unwrap();
    assert_eq!(config.kafka.group_id, "0123");
    assert_eq!(config.kafka.topics, ["1.10", "true"]);
    assert_eq!(config.kafka.client["client.id"], "7");
    assert_eq!(config.delivery.transactional_id_prefix, "1e3");
    let variables = [("TRAILTAG__KAFKA__GROUP_ID", "null")];
    assert_eq!(load("", &variables).unwrap().kafka.group_id, "null");
}

#[test]
fn properties_keep_their_dots_and_merge() {
    let config = load(
        "kafka:\n  client:\n    socket.keepalive.enable: true\n    client.rack: eu-west-1a\n    \
         reconnect.backoff.ms: 50\n",
        &[
            ("TRAILTAG__KAFKA__CLIENT__CLIENT_RACK", "eu-west-1b"),
            ("TRAILTAG__KAFKA__CLIENT__socket.timeout.ms", "30000"),
            (
                "TRAILTAG__KAFKA__PRODUCER",
                "{compression.type: zstd, linger.ms: 20}",
            ),
        ],
    )
    .unwrap();
    let pairs = |map: &BTreeMap<String, String>| {
        map.iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(
        pairs(&config.kafka.client),
        "client.rack=eu-west-1b reconnect.backoff.ms=50 socket.keepalive.enable=true \
         socket.timeout.ms=30000"
    );
    assert_eq!(
        pairs(&config.kafka.producer),
        "compression.type=zstd linger.ms=20"
    );
}

#[test]
fn lists_come_from_the_environment_whole() {
    let config = load(
        "kafka: {topics: [a]}\nroutes: [{name: a, topic: out.a}]\n",
        &[
            ("TRAILTAG__KAFKA__TOPICS", "b, c,"),
            ("TRAILTAG__KAFKA__BOOTSTRAP_SERVERS", "[k0:9092, k1:9092]"),
            (
                "TRAILTAG__ROUTES",
                "[{name: x, topic: out.x, min_severity: high}, {name: y, topic: out.y}]",
            ),
        ],
    )
    .unwrap();
    assert_eq!(config.kafka.topics, ["b", "c"]);
    assert_eq!(config.kafka.bootstrap_servers, ["k0:9092", "k1:9092"]);
    let names: Vec<&str> = config
        .routes
        .iter()
        .map(|route| route.name.as_str())
        .collect();
    assert_eq!(names, ["x", "y"]);
}

#[test]
fn an_empty_variable_is_not_set() {
    let variables = [
        ("TRAILTAG__KAFKA__GROUP_ID", ""),
        ("TRAILTAG__WORKERS", ""),
        ("TRAILTAG__KAFKA__TOPICS", ""),
    ];
    let config = load("kafka: {group_id: file}\n", &variables).unwrap();
    assert_eq!(config.kafka.group_id, "file");
    assert_eq!(config.kafka.topics, ["cloudtrail"]);
}

#[test]
fn an_unknown_key_names_the_nearest() {
    assert_eq!(
        faults("kafka:\n  group_id: a\nworker: 4\n", &[]),
        "config.yaml:3: worker: unknown key; did you mean `workers`?"
    );
    assert_eq!(
        faults("worker:\n", &[]),
        "config.yaml:1: worker: unknown key; did you mean `workers`?"
    );
    assert_eq!(
        faults("kafka:\n  security:\n    tls:\n      cafile: /x\n", &[]),
        "config.yaml:4: kafka.security.tls.cafile: unknown key; did you mean `ca_file`?"
    );
    assert_eq!(
        faults(
            "routes:\n  - {name: a, topic: b}\n  - name: c\n    topic: d\n    fromat: native\n",
            &[]
        ),
        "config.yaml:5: routes[1].fromat: unknown key; did you mean `format`?"
    );
    assert_eq!(
        faults("group_id: a\nkafka.group_id: b\nhttp: {port: 1}\n", &[]),
        "config.yaml:1: group_id: unknown key; it belongs under `kafka`\n\
         config.yaml:2: kafka.group_id: unknown key; write `kafka:`, and below it, indented, `group_id:`\n\
         config.yaml:3: http.port: unknown key; the keys here are listen, tls, token_file"
    );
}

#[test]
fn a_bad_duration_is_told_with_an_example() {
    assert_eq!(
        faults(
            "delivery:\n  linger: 50\n  commit_interval: soon\nshutdown_grace: [25s]\n",
            &[("TRAILTAG__SHUTDOWN_GRACE", "99999999999999999999s")]
        ),
        "config.yaml:2: delivery.linger: expected a duration, found `50`; add a unit, such as `50s` or `50ms`\n\
         config.yaml:3: delivery.commit_interval: expected a duration, found `soon`; write a number and a unit, such as `25s`, `50ms` or `5m`\n\
         config.yaml:4: shutdown_grace: expected a duration, found a list; write a number and a unit, such as `25s`\n\
         TRAILTAG__SHUTDOWN_GRACE: shutdown_grace: expected a duration, found `99999999999999999999s`; write a number and a unit, such as `25s`, `50ms` or `5m`"
    );
}

#[test]
fn a_wrong_type_is_told_with_what_was_found() {
    assert_eq!(
        faults(
            "workers: many\ninput:\n  max_depth: \"6\"\n  max_decoded_bytes: 0\nkafka:\n  topics: cloudtrail\n  group_id: [a]\n  client: x\n  memory_budget: 1.5\nroutes: {name: a}\nlog: json\n",
            &[]
        ),
        "config.yaml:1: workers: expected a whole number, found `many`; write digits alone\n\
         config.yaml:3: input.max_depth: expected a whole number, found the text `6`; remove the quotes\n\
         config.yaml:4: input.max_decoded_bytes: `0` is too small; write 1 or more\n\
         config.yaml:6: kafka.topics: expected a list, found `cloudtrail`; write it as `[cloudtrail]`\n\
         config.yaml:7: kafka.group_id: expected text, found a list; write a single value\n\
         config.yaml:8: kafka.client: expected a map, found something else; write its keys below it, indented\n\
         config.yaml:9: kafka.memory_budget: expected a whole number, found `1.5`; write digits alone\n\
         config.yaml:10: routes: expected a list of maps, found a map; begin each with `- ` on a line of its own\n\
         config.yaml:11: log: expected a map, found `json`; write its keys below it, indented"
    );
    assert_eq!(
        faults("- kafka\n", &[]),
        "config.yaml: expected a map, found a list; write its keys below it, indented"
    );
}

#[test]
fn a_word_that_is_no_choice_is_told_with_the_choices() {
    assert_eq!(
        faults(
            "delivery: {guarantee: exactly-once}\nunmatched:\n  action: [drop]\nroutes:\n  - {name: a, topic: b, min_severity: hihg}\n",
            &[]
        ),
        "config.yaml:1: delivery.guarantee: expected one of `exactly_once`, `at_least_once`, found `exactly-once`; did you mean `exactly_once`?\n\
         config.yaml:3: unmatched.action: expected one of `drop`, `forward`, found a list; write one of these\n\
         config.yaml:5: routes[0].min_severity: expected one of `informational`, `low`, `medium`, `high`, `critical`, found `hihg`; did you mean `high`?"
    );
}

#[test]
fn all_faults_are_told_at_once_each_with_its_line() {
    assert_eq!(
        faults(
            "\
# the brokers
kafka:
  bootstrap_server: kafka-0:9092
  topics: [cloudtrail]
delivery:
  linger: 50
workers: 5000
routes:
  - name: a
    topic: cloudtrail
  - name: a
    topic: out
    min_severity: hihg
http:
  listen: localhost
",
            &[("TRAILTAG__LOG__FORMAT", "xml")]
        ),
        "config.yaml:3: kafka.bootstrap_server: unknown key; did you mean `bootstrap_servers`?\n\
         config.yaml:6: delivery.linger: expected a duration, found `50`; add a unit, such as `50s` or `50ms`\n\
         config.yaml:7: workers: `5000` is too large; write 1024 or less\n\
         config.yaml:10: routes[0].topic: `cloudtrail` is in kafka.topics: what is written would be read again, for ever; name another topic\n\
         config.yaml:11: routes[1].name: routes[0] is called `a` too; give each route a name of its own\n\
         config.yaml:13: routes[1].min_severity: expected one of `informational`, `low`, `medium`, `high`, `critical`, found `hihg`; did you mean `high`?\n\
         config.yaml:15: http.listen: `localhost` is no address and port; write digits, as in `0.0.0.0:9598` or `127.0.0.1:9598`\n\
         TRAILTAG__LOG__FORMAT: log.format: expected one of `json`, `text`, found `xml`; write one of these"
    );
}

#[test]
fn a_variable_is_told_by_its_name() {
    assert_eq!(
        faults(
            "",
            &[
                ("TRAILTAG__KAFKA__GROUPID", "a"),
                ("TRAILTAG__NONSENSE", "a"),
                ("TRAILTAG__WORKERS", "many"),
                ("TRAILTAG__ROUTES", "[{name: a"),
                ("TRAILTAG__ROUTES__0__NAME", "a"),
                ("TRAILTAG__DELIVERY__LINGER", "50"),
                ("TRAILTAG__DEAD_LETTER__TOPIC", "cloudtrail"),
            ]
        ),
        "TRAILTAG__DEAD_LETTER__TOPIC: dead_letter.topic: `cloudtrail` is in kafka.topics: what is written would be read again, for ever; name another topic\n\
         TRAILTAG__DELIVERY__LINGER: delivery.linger: expected a duration, found `50`; add a unit, such as `50s` or `50ms`\n\
         TRAILTAG__KAFKA__GROUPID: kafka.groupid: unknown key; did you mean TRAILTAG__KAFKA__GROUP_ID?\n\
         TRAILTAG__NONSENSE: nonsense: unknown key; the keys here are dead_letter, delivery, detection, http, input, kafka, log, remediation, routes, sequences, shutdown_grace, unmatched, workers\n\
         TRAILTAG__ROUTES: routes: is not YAML: while parsing a flow mapping, did not find expected ',' or '}'; write it in YAML's short form: `[{name: a, topic: b}]`\n\
         TRAILTAG__ROUTES__0__NAME: routes.0: unknown key; set the whole list, in YAML's short form: `[{name: a, topic: b}]`\n\
         TRAILTAG__WORKERS: workers: expected a whole number, found `many`; write digits alone"
    );
}

#[test]
fn a_file_that_cannot_be_read_or_is_not_yaml_is_told() {
    assert_eq!(
        Config::load(
            Some(FilePath::new("/nowhere/config.yaml")),
            std::iter::empty()
        )
        .unwrap_err()
        .to_string(),
        "/nowhere/config.yaml: cannot be read: No such file or directory (os error 2); name a YAML file that this user may read"
    );
    assert_eq!(
        faults("kafka:\n  topics: [a\nworkers: 1\n", &[]),
        "config.yaml:3: is not YAML: illegal placement of ':' indicator; look at the indentation, quotes and brackets before it"
    );
    assert_eq!(
        faults("workers: 1\nworkers: 2\n", &[]),
        "config.yaml:2: `workers` is set twice, first on line 1; remove one of the two"
    );
}

#[test]
fn a_fault_about_what_is_not_written_stands_at_what_is_around_it() {
    assert_eq!(
        faults("kafka:\n  security:\n    protocol: sasl_ssl\n", &[]),
        "config.yaml:2: kafka.security.sasl.password_file: there is no password, and the protocol asks for one; name a file that holds it, or set TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD\n\
         config.yaml:2: kafka.security.sasl.username: is empty, and the protocol asks for a user; name the user"
    );
    assert_eq!(
        faults("", &[("TRAILTAG__KAFKA__SECURITY__PROTOCOL", "sasl_ssl")]),
        "config.yaml: kafka.security.sasl.password_file: there is no password, and the protocol asks for one; name a file that holds it, or set TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD\n\
         config.yaml: kafka.security.sasl.username: is empty, and the protocol asks for a user; name the user"
    );
}

#[test]
fn a_conclusion_from_a_fault_is_not_told() {
    assert_eq!(
        faults("routes:\n  - {nmae: a, topic: cloudtrail}\n", &[]),
        "config.yaml:2: routes[0].nmae: unknown key; did you mean `name`?\n\
         config.yaml:2: routes[0].topic: `cloudtrail` is in kafka.topics: what is written would be read again, for \
         ever; name another topic"
    );
    assert_eq!(
        faults("routes: []\nunmatched: {action: forwrad, topic: x}\n", &[]),
        "config.yaml:2: unmatched.action: expected one of `drop`, `forward`, found `forwrad`; did you mean `forward`?"
    );
    assert_eq!(
        faults(
            "kafka:\n  security:\n    protocol: sasl-ssl\n    sasl: {username: a, password: b}\n",
            &[]
        ),
        "config.yaml:3: kafka.security.protocol: expected one of `plaintext`, `ssl`, `sasl_plaintext`, `sasl_ssl`, found `sasl-ssl`; did you mean `sasl_ssl`?"
    );
}

#[test]
fn no_fault_and_no_debug_shows_a_password() {
    let secret = "hunter2";
    let text = format!(
        "kafka:\n  security:\n    protocol: sasl_ssl\n    sasl: {{username: u, password: {secret}, mechanism: x}}\n  client: {{ssl.key.password: {secret}}}\n"
    );
    let told = faults(
        &text,
        &[("TRAILTAG__KAFKA__SECURITY__SASL__PASSWORD", secret)],
    );
    assert!(!told.contains(secret), "{told}");
    let text = text.replace(", mechanism: x", "");
    let config = load(&text, &[]).unwrap();
    assert_eq!(config.kafka.security.sasl.password.expose_secret(), secret);
    assert_eq!(config.kafka.client["ssl.key.password"], secret);
    assert!(!format!("{config:?}").contains(secret));
    assert!(!serde_json::to_string(&config).unwrap().contains(secret));
}

#[test]
fn every_setting_of_a_file_is_told_with_its_line() {
    let text = include_str!("../../config/trailtag.yaml");
    let lines: Vec<&str> = text.lines().collect();
    let mut places = Places::new(Some(FilePath::new("config.yaml")));
    places.note(&Layer {
        node: yaml::parse(text).unwrap().unwrap(),
        set: Path::default(),
        from: Place::File {
            path: FilePath::new("config.yaml").into(),
            line: None,
        },
    });
    let schema = schema::schema();
    for setting in settings_list::settings(&schema) {
        let key = setting.key.replace("[]", "[0]");
        if key == "routes" {
            continue;
        }
        let Place::File {
            line: Some(line), ..
        } = places.place_of(&key)
        else {
            panic!("{key} has no line");
        };
        let (name, _) = lines[line - 1].split_once(':').unwrap();
        let broken = format!("{name}: [[1], [2]]");
        let mut changed = lines.clone();
        changed[line - 1] = &broken;
        let told = faults(&changed.join("\n"), &[]);
        for fault in told.lines() {
            let place = format!("config.yaml:{line}: {key}");
            assert!(fault.starts_with(&place), "{place} is not in {fault}");
        }
    }
}

#[test]
fn a_fault_is_one_line_and_no_longer_than_a_person_reads() {
    let text = format!(
        "workers: |\n  a\n  b\ndelivery: {{linger: {}}}\n",
        "x".repeat(200)
    );
    assert_eq!(
        faults(&text, &[]),
        format!(
            "config.yaml:1: workers: expected a whole number, found the text `a\\nb\\n`; write digits alone\n\
             config.yaml:4: delivery.linger: expected a duration, found `{}…`; write a number and a unit, such as \
             `25s`, `50ms` or `5m`",
            "x".repeat(60)
        )
    );
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_key() {
    assert_eq!(load("\u{feff}workers: 3\n", &[]).unwrap().workers, 3);
}

#[test]
fn paths_in_a_file_are_relative_to_its_folder_and_those_in_variables_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("rules")).unwrap();
    for name in ["severity.yaml", "list", "profiles", "ca.pem", "crl.pem"] {
        std::fs::write(at(name), "").unwrap();
    }
    let outside = tempfile::NamedTempFile::new().unwrap();
    let absolute = outside.path().display();
    std::fs::write(
        at("config.yaml"),
        format!(
            "detection:\n  severity_file: severity.yaml\n  rules: [rules, ./rules, {absolute}]\n  threat_networks_files: [list]\n\
             kafka:\n  security: {{protocol: ssl, tls: {{ca_file: ca.pem}}}}\n  client: {{ssl.crl.location: crl.pem}}\n"
        ),
    )
    .unwrap();
    let variables = [("TRAILTAG__DETECTION__PROFILES_IN_USE_FILE", "Cargo.toml")];
    let config = Config::load(Some(&at("config.yaml")), owned(&variables)).unwrap();
    let detection = &config.detection;
    assert_eq!(detection.severity_file, at("severity.yaml"));
    assert_eq!(
        detection.rules,
        [at("rules"), at("./rules"), outside.path().to_owned()]
    );
    assert_eq!(detection.threat_networks_files, [at("list")]);
    assert_eq!(config.kafka.security.tls.ca_file, at("ca.pem"));
    let crl = &config.kafka.client["ssl.crl.location"];
    assert_eq!(FilePath::new(crl), at("crl.pem"));
    assert_eq!(detection.profiles_in_use_file, FilePath::new("Cargo.toml"));
}

#[test]
fn a_path_that_was_meant_from_the_working_directory_is_refused_with_what_to_write() {
    // The tests' working directory is that of the repository.
    let here = std::env::current_dir().unwrap();
    let text = "detection:\n  rules:\n    - config/rules\n  severity_file: nowhere.yaml\nremediation: {file: config/remediation.yaml}\n";
    let told = faults(text, &[]).replace(&here.display().to_string(), "HERE");
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].starts_with("config.yaml:3: detection.rules[0]: config/rules does not exist: a path in this file is relative to its folder, ")
            && told[0].ends_with(
                ". config/rules exists in the working directory, which does not count; write `HERE/config/rules`"
            ),
        "{told:#?}"
    );
    assert!(
        told[1].starts_with("config.yaml:4: detection.severity_file: nowhere.yaml cannot be read"),
        "{told:#?}"
    );
    assert!(
        told[2].ends_with("write `HERE/config/remediation.yaml`"),
        "{told:#?}"
    );
    // Only where that is all that is wrong it is known what was meant.
    for (text, is_known) in [
        ("detection: {rules: [config/rules]}\n", true),
        ("detection: {rules: [config/rules]}\nworkres: 1\n", false),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, text).unwrap();
        let unusable = Config::load_to_check(Some(&path), std::iter::empty()).unwrap_err();
        let meant = unusable.config.map(|config| config.detection.rules);
        let rules = vec![std::path::PathBuf::from("config/rules")];
        assert_eq!(meant, is_known.then_some(rules));
    }
}

proptest::proptest! {
    /// Whatever a file holds, it is loaded or its faults are told, each at a line that the file has.
    #[test]
    fn any_text_is_loaded_or_told(text in "([a-z]{0,3}|kafka|topics|routes|name|[0-9]{1,2}|[ \\n:,\\[\\]{}\"'#&*!|>?%~-]){0,30}") {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yaml");
        std::fs::write(&path, &text).unwrap();
        if let Err(faults) = Config::load(Some(&path), std::iter::empty()) {
            proptest::prop_assert_eq!(faults.to_string().lines().count(), faults.iter().count());
            for fault in &faults {
                if let Place::File { line: Some(line), .. } = fault.place {
                    proptest::prop_assert!((1..=text.lines().count() + 1).contains(&line), "{}", fault);
                }
            }
        }
    }
}
