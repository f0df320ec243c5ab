//! A broker that wants TLS and a password, and lets users do only what they were granted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use tempfile::TempDir;

use super::broker::Broker;
use super::java::{Server, Setup, jdk, tool};
use super::wait::{PATIENCE, unique, wait_until};

/// The user who may do everything.
const ADMIN: &str = "admin";

/// A broker with `SASL_SSL` (SCRAM-SHA-512) and access lists.
pub(crate) struct SecureBroker {
    admin: Broker,
    files: TempDir,
}

/// What access is granted to.
#[derive(Clone, Copy)]
pub(crate) enum Resource<'a> {
    /// A topic.
    Topic(&'a str),
    /// A consumer group.
    Group(&'a str),
    /// A transactional id, or with `*` at the end all that begin so.
    TransactionalId(&'a str),
}

impl SecureBroker {
    /// The one of this test run, which is started on the first call.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<SecureBroker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        let store_password = unique("store");
        let store = certificate(files.path(), &store_password);
        let password = unique("password");
        let properties = format!(
            "sasl.enabled.mechanisms=SCRAM-SHA-512
sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={}
ssl.keystore.type=PKCS12
ssl.keystore.location={store}
ssl.keystore.password={store_password}
ssl.truststore.type=PEM
ssl.truststore.location={}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
# The controller's own connection comes without a login.
super.users=User:{ADMIN};User:ANONYMOUS
",
            login_module(ADMIN, &password),
            ca_file(files.path()).display(),
            store = store.display(),
        );
        let setup = Setup {
            listener: "SASL_SSL",
            properties,
            // The broker logs in to itself, so this user must be there before its first start.
            format: vec![
                "--add-scram".into(),
                format!("SCRAM-SHA-512=[name={ADMIN},password={password}]"),
            ],
            client: login(files.path(), ADMIN, &password),
            ..Setup::default()
        };
        let server = Server::start(&setup);
        let admin = Broker::new(server.client(&setup.client), true, Some(server));
        // Kafka's own tools log in by this file.
        let properties = format!(
            "security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config={}
ssl.truststore.type=PEM
ssl.truststore.location={}
",
            login_module(ADMIN, &password),
            ca_file(files.path()).display()
        );
        fs::write(files.path().join("admin.properties"), properties).unwrap();
        Self { admin, files }
    }

    /// The cluster as the user sees it who may do everything.
    pub(crate) fn admin(&self) -> &Broker {
        &self.admin
    }

    /// The file with the certificate of the authority that signed the broker's.
    pub(crate) fn ca_file(&self) -> PathBuf {
        ca_file(self.files.path())
    }

    /// Creates a user who may do nothing yet, and waits until the login works.
    pub(crate) fn create_user(&self, name: &str, password: &str) {
        self.tool(
            "kafka.admin.ConfigCommand",
            &[
                "--alter",
                "--entity-type",
                "users",
                "--entity-name",
                name,
                "--add-config",
                &format!("SCRAM-SHA-512=[password={password}]"),
            ],
        );
        let user = self.login(name, password);
        wait_until(PATIENCE, &format!("{name} can log in"), || {
            user.admin
                .inner()
                .fetch_metadata(None, Duration::from_secs(5))
        });
    }

    /// The cluster as a user sees it.
    pub(crate) fn login(&self, name: &str, password: &str) -> Broker {
        let mut client = login(self.files.path(), name, password);
        client.set("bootstrap.servers", self.admin.bootstrap());
        Broker::new(client, false, None)
    }

    /// Allows a user `operations` (`Read`, `Write`, `Describe`, …) on a resource, and waits until the broker knows.
    pub(crate) fn grant(&self, user: &str, operations: &[&str], resource: Resource<'_>) {
        self.access(user, operations, resource, true);
    }

    /// Takes back what [`SecureBroker::grant`] gave, and waits until the broker knows.
    pub(crate) fn revoke(&self, user: &str, operations: &[&str], resource: Resource<'_>) {
        self.access(user, operations, resource, false);
    }

    fn access(&self, user: &str, operations: &[&str], resource: Resource<'_>, granted: bool) {
        let (option, name) = match resource {
            Resource::Topic(name) => ("--topic", name),
            Resource::Group(name) => ("--group", name),
            Resource::TransactionalId(name) => ("--transactional-id", name),
        };
        let (name, pattern) = match name.strip_suffix('*') {
            Some(prefix) => (prefix, "prefixed"),
            None => (name, "literal"),
        };
        let principal = format!("User:{user}");
        let on = [option, name, "--resource-pattern-type", pattern];
        let mut args = if granted {
            vec!["--add"]
        } else {
            vec!["--remove", "--force"]
        };
        args.extend(["--allow-principal", &principal]);
        args.extend(on);
        for operation in operations {
            args.extend(["--operation", operation]);
        }
        self.tool("org.apache.kafka.tools.AclCommand", &args);
        let mut list = vec!["--list", "--principal", &principal];
        list.extend(on);
        let what = format!("it is {granted} that {user} has {operations:?}");
        wait_until(PATIENCE, &what, || {
            let listed = self.tool("org.apache.kafka.tools.AclCommand", &list);
            let known = |operation: &&str| {
                // The tool lists DescribeConfigs as DESCRIBE_CONFIGS.
                let listed = listed.replace('_', "");
                listed.contains(&format!("operation={},", operation.to_uppercase()))
            };
            if operations
                .iter()
                .all(|operation| known(operation) == granted)
            {
                Ok(())
            } else {
                Err(listed)
            }
        });
    }

    fn tool(&self, class: &str, args: &[&str]) -> String {
        let config = self.files.path().join("admin.properties");
        let mut all = vec![
            "--bootstrap-server",
            self.admin.bootstrap(),
            "--command-config",
        ];
        all.push(config.to_str().unwrap());
        all.extend(args);
        tool(class, &all)
    }
}

fn login(files: &Path, name: &str, password: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("security.protocol", "SASL_SSL")
        .set("sasl.mechanism", "SCRAM-SHA-512")
        .set("sasl.username", name)
        .set("sasl.password", password)
        .set("ssl.ca.location", ca_file(files).to_str().unwrap());
    client
}

fn login_module(name: &str, password: &str) -> String {
    format!(
        "org.apache.kafka.common.security.scram.ScramLoginModule required username=\"{name}\" password=\"{password}\";"
    )
}

fn ca_file(files: &Path) -> PathBuf {
    files.join("ca.pem")
}

/// Makes the broker's key and a certificate that it signs itself, writes the latter where clients look for their
/// authority, and gives the key store.
fn certificate(files: &Path, password: &str) -> PathBuf {
    let store = files.join("broker.p12");
    let keytool = |args: &[&str]| {
        let output = Command::new(jdk("keytool"))
            .args(args)
            .args(["-alias", "broker", "-storetype", "PKCS12", "-storepass", password])
            .arg("-keystore")
            .arg(&store)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("keytool did not start ({error}); install it with: bash tests/components/packages.sh test"));
        assert!(
            output.status.success(),
            "keytool {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    keytool(&[
        "-genkeypair",
        "-keyalg",
        "EC",
        "-validity",
        "30",
        "-dname",
        "CN=localhost",
        "-ext",
        "BC=ca:true",
        "-ext",
        "SAN=dns:localhost,ip:127.0.0.1",
    ]);
    fs::write(ca_file(files), keytool(&["-exportcert", "-rfc"])).unwrap();
    store
}
