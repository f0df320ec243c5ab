//! The container image against real brokers: its program, in its root, as its user, with its environment and nothing else.
//!
//! `make test-image` makes the image, mounts it, and runs these; they need root, so `cargo test` alone passes them by and
//! says so. Each has a configuration of its own in the mounted root, which is thrown away afterwards.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::records::{differences, other, ours};
use super::support::{
    Broker, PATIENCE, Resource, SecureBroker, Settings, Trailtag, free_port, unique, wait_until,
};

/// Where Kubernetes mounts the configuration.
const FOLDER: &str = "/etc/trailtag";

/// A mounted image.
struct Image {
    root: PathBuf,
    /// What the image says of how it is run.
    config: Value,
}

impl Image {
    fn of_this_run() -> Self {
        let variable = |name: &str| {
            std::env::var(name)
                .unwrap_or_else(|_| panic!("{name} is not set: run `make test-image`"))
        };
        let image = Self {
            root: variable("TRAILTAG_IMAGE_ROOT").into(),
            config: serde_json::from_str(&variable("TRAILTAG_IMAGE_CONFIG")).unwrap(),
        };
        fs::create_dir_all(image.path(FOLDER)).unwrap();
        image
    }

    /// A path of the image's, seen from outside.
    fn path(&self, inside: &str) -> PathBuf {
        self.root.join(inside.trim_start_matches('/'))
    }

    fn strings(&self, key: &str) -> Vec<&str> {
        let list = self.config[key].as_array().unwrap();
        list.iter().map(|it| it.as_str().unwrap()).collect()
    }

    /// The image's program with these arguments.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("/usr/sbin/chroot");
        command.env_clear();
        for pair in self.strings("Env") {
            let (name, value) = pair.split_once('=').unwrap();
            command.env(name, value);
        }
        command
            .arg(format!(
                "--userspec={}",
                self.config["User"].as_str().unwrap()
            ))
            .arg(&self.root)
            .args(self.strings("Entrypoint"))
            .args(arguments);
        command
    }

    /// Runs it to its end: whether it went well, and what it said.
    fn output(&self, arguments: &[&str]) -> (bool, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.command(arguments).output().unwrap();
        let said = [stdout, stderr].concat();
        (status.success(), String::from_utf8(said).unwrap())
    }

    /// Puts a file into the root that the image's user may read, and no other.
    fn put(&self, name: &str, text: &str) -> String {
        let inside = format!("{FOLDER}/{name}");
        let path = self.path(&inside);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        let user = self.config["User"].as_str().unwrap();
        let id = |text: Option<&str>| text.and_then(|it| it.parse().ok());
        let mut ids = user.split(':');
        chown(&path, id(ids.next()), id(ids.next())).unwrap();
        inside
    }

    /// Starts the service.
    fn start(&self, arguments: &[&str], address: SocketAddr) -> Trailtag {
        Trailtag::watch(self.command(arguments), address)
    }
}

/// Records go in, each finding is read once, poison is put aside, and a stop ends well.
fn works(broker: &Broker, trailtag: &mut Trailtag, topics: &[String; 3], group: &str) {
    let [input, output, dead_letters] = topics;
    trailtag.wait_ready();
    let payloads = (0..200).map(|number| {
        if number % 10 == 0 {
            ours(number / 10)
        } else {
            other(number)
        }
    });
    broker.produce_many(input, payloads.map(|payload| (0, payload)));
    broker.produce(input, 0, None, b"not CloudTrail", &[]);
    wait_until(PATIENCE, "everything is committed", || {
        match broker.committed_offset(group, input, 0) {
            Some(201) => Ok(()),
            seen => Err(format!("{seen:?}; its log:\n{}", trailtag.log())),
        }
    });
    broker.wait_settled(output);
    assert_eq!(differences(&broker.read_committed(output), 0..20), None);
    broker.wait_settled(dead_letters);
    assert_eq!(broker.read_committed(dead_letters).len(), 1);
    trailtag.sigterm();
    let status = trailtag.wait_exit(PATIENCE);
    assert_eq!(
        status.code(),
        Some(0),
        "{status}; its log:\n{}",
        trailtag.log()
    );
}

#[test]
#[ignore = "needs root and the image: make test-image"]
fn the_image_works_with_its_own_command_as_its_own_user() {
    let (image, broker) = (Image::of_this_run(), Broker::shared());
    let topics = ["in", "out", "dead"].map(|name| broker.topic(name, 1));
    let group = unique("group");
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let settings = Settings::new(broker, &group, &topics[0], &topics[1], &topics[2])
        .set("/http/listen", address.to_string());
    let file = image.put("trailtag.yaml", &settings.yaml());
    let (well, said) = image.output(&["check", "--connect", "--config", &file]);
    assert!(well && said.contains("the brokers agree"), "{said}");

    let mut trailtag = image.start(&image.strings("Cmd"), address);
    trailtag.wait_ready();
    let status = fs::read_to_string(format!("/proc/{}/status", trailtag.id())).unwrap();
    let user = status
        .lines()
        .find(|line| line.starts_with("Uid:"))
        .unwrap();
    assert_eq!(
        user.split_whitespace().collect::<Vec<_>>(),
        ["Uid:", "65532", "65532", "65532", "65532"]
    );

    // The bill of materials says what runs.
    let bom = std::env::var("TRAILTAG_IMAGE_SBOM").unwrap();
    let bom: Value = serde_json::from_slice(&fs::read(bom).unwrap()).unwrap();
    let component = |name: &str| {
        bom["components"]
            .as_array()
            .unwrap()
            .iter()
            .find(|it| it["name"] == name)
    };
    let librdkafka = component("librdkafka").unwrap()["version"]
        .as_str()
        .unwrap();
    let running = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("librdkafka", librdkafka),
    ];
    assert_eq!(trailtag.metric("trailtag_build_info", &running), Some(1.0));
    assert_eq!(
        bom["metadata"]["component"]["version"],
        env!("CARGO_PKG_VERSION")
    );
    for name in [
        "rdkafka-sys",
        "openssl-sys",
        "openssl",
        "zlib",
        "zstd",
        "zstd-sys",
    ] {
        assert!(
            component(name).is_some(),
            "{name} is not in the bill of materials"
        );
    }
    works(broker, &mut trailtag, &topics, &group);
}

/// Without `tls.ca_file`, what counts is the image's own file of authorities.
#[test]
#[ignore = "needs root and the image: make test-image"]
fn the_image_trusts_its_own_authorities_and_logs_in_over_tls() {
    let (image, secure) = (Image::of_this_run(), SecureBroker::shared());
    let broker = secure.admin();
    let topics = ["in", "out", "dead"].map(|name| broker.topic(name, 1));
    let (user, password, group) = (unique("user"), unique("password"), unique("group"));
    secure.create_user(&user, &password);
    secure.grant(&user, &["Read", "Describe"], Resource::Topic(&topics[0]));
    secure.grant(&user, &["Read"], Resource::Group(&group));
    for topic in &topics[1..] {
        secure.grant(
            &user,
            &["Write", "Describe", "DescribeConfigs"],
            Resource::Topic(topic),
        );
    }
    let ids = format!("{group}-t-*");
    secure.grant(
        &user,
        &["Write", "Describe"],
        Resource::TransactionalId(&ids),
    );

    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let secret = image.put("password", &password);
    let sasl = json!({"mechanism": "scram-sha-512", "username": user, "password_file": secret});
    let settings = Settings::new(broker, &group, &topics[0], &topics[1], &topics[2])
        .set("/http/listen", address.to_string())
        .set(
            "/kafka/security",
            json!({"protocol": "sasl_ssl", "sasl": sasl}),
        );
    let file = image.put("secure.yaml", &settings.yaml());
    let check = ["check", "--connect", "--config", &file];
    let (well, said) = image.output(&check);
    assert!(
        !well && said.contains("certificate"),
        "a broker of unknown authority is trusted: {said}"
    );

    let authorities = image.path("/etc/ssl/certs/ca-certificates.crt");
    let known = fs::read_to_string(&authorities).unwrap();
    let ours = fs::read_to_string(secure.ca_file()).unwrap();
    fs::write(&authorities, format!("{known}\n{ours}")).unwrap();
    let (well, said) = image.output(&check);
    assert!(well && said.contains("the brokers agree"), "{said}");

    let mut trailtag = image.start(&["run", "--config", &file], address);
    works(broker, &mut trailtag, &topics, &group);
}
