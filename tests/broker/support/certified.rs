//! A broker whose certificate can be changed: TLS without a login, and an authority of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

use super::broker::Broker;
use super::java::{Server, Setup, jdk};
use super::trailtag::Settings;
use super::wait::{free_port, unique};

/// What a broker proves itself with.
#[derive(Clone, Copy)]
pub(crate) enum Certificate {
    /// One that holds.
    Good,
    /// One that has expired.
    Expired,
    /// One of an authority that nobody knows.
    UnknownAuthority,
    /// One for another host.
    WrongName,
}

/// The password of the key stores, which are gone with the test.
const PASSWORD: &str = "for this test only";

/// A broker that clients reach with TLS, and the test without.
pub(crate) struct CertifiedBroker {
    admin: Broker,
    address: String,
    files: TempDir,
}

impl CertifiedBroker {
    /// Starts one with a good certificate.
    pub(crate) fn start() -> Self {
        let files = tempfile::tempdir().unwrap();
        for authority in ["ours", "unknown"] {
            let pair = [
                "-genkeypair",
                "-keyalg",
                "EC",
                "-validity",
                "30",
                "-ext",
                "BC=ca:true",
            ];
            keytool(
                &files.path().join(authority),
                &[&pair[..], &["-dname", &format!("CN={authority}")]].concat(),
            );
        }
        let authority = keytool(&files.path().join("ours"), &["-exportcert", "-rfc"]);
        fs::write(files.path().join("ca.pem"), authority).unwrap();
        make(files.path(), Certificate::Good);
        let setup = Setup {
            listener: "SSL",
            inner: Some(free_port()),
            properties: format!(
                "ssl.keystore.type=PKCS12
ssl.keystore.location={}
ssl.keystore.password={PASSWORD}
",
                files.path().join("broker").display()
            ),
            ..Setup::default()
        };
        let server = Server::start(&setup);
        let address = format!("127.0.0.1:{}", server.port);
        Self {
            admin: Broker::new(server.client(&setup.client), true, Some(server)),
            address,
            files,
        }
    }

    /// The cluster as the test sees it.
    pub(crate) fn admin(&self) -> &Broker {
        &self.admin
    }

    /// Where clients find it.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts it again with another certificate.
    pub(crate) fn present(&self, certificate: Certificate) {
        self.admin.take_down();
        make(self.files.path(), certificate);
        self.admin.bring_back();
    }

    /// Lets a configuration reach it as clients do.
    pub(crate) fn reach(&self, settings: Settings) -> Settings {
        let ca_file = self.files.path().join("ca.pem");
        settings
            .set("/kafka/bootstrap_servers", json!([self.address]))
            .set(
                "/kafka/security",
                json!({"protocol": "ssl", "tls": {"ca_file": ca_file}}),
            )
    }
}

/// Makes the broker's key, and has an authority sign its certificate.
fn make(files: &Path, certificate: Certificate) {
    let (authority, name, start) = match certificate {
        Certificate::Good => ("ours", "ip:127.0.0.1", "-1d"),
        Certificate::Expired => ("ours", "ip:127.0.0.1", "-40d"),
        Certificate::UnknownAuthority => ("unknown", "ip:127.0.0.1", "-1d"),
        Certificate::WrongName => ("ours", "dns:elsewhere.example", "-1d"),
    };
    let store = files.join("broker");
    let _ = fs::remove_file(&store);
    let authority = files.join(authority);
    let file = |name: &str, content: Vec<u8>| -> PathBuf {
        let path = files.join(unique(name));
        fs::write(&path, content).unwrap();
        path
    };
    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    keytool(
        &store,
        &["-genkeypair", "-keyalg", "EC", "-dname", "CN=broker"],
    );
    let request = file("request", keytool(&store, &["-certreq"]));
    let signed = keytool(
        &authority,
        &[
            "-gencert",
            "-rfc",
            "-validity",
            "30",
            "-startdate",
            start,
            "-ext",
            &format!("SAN={name}"),
            "-infile",
            &path(&request),
        ],
    );
    let root = keytool(&authority, &["-exportcert", "-rfc"]);
    let chain = file("chain", [signed, root].concat());
    keytool(
        &store,
        &["-importcert", "-noprompt", "-file", &path(&chain)],
    );
}

fn keytool(store: &Path, args: &[&str]) -> Vec<u8> {
    let output = Command::new(jdk("keytool"))
        .args(args)
        .args(["-alias", "it", "-storetype", "PKCS12", "-storepass", PASSWORD])
        .arg("-keystore")
        .arg(store)
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
}
