//! The certificates of the brokers, which may be about to expire, and the authority that signs them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::java::jdk;
use super::support::unique;

/// An authority of the campaign's own.
pub(crate) struct Certificates {
    folder: PathBuf,
    /// Of every store.
    pub(crate) password: String,
}

impl Certificates {
    pub(crate) fn new(folder: &Path) -> Self {
        let certificates = Self {
            folder: folder.into(),
            password: unique("store"),
        };
        let authority = certificates.store("authority");
        certificates.keytool(
            &authority,
            &[
                "-genkeypair",
                "-keyalg",
                "EC",
                "-validity",
                "30",
                "-dname",
                "CN=faults",
                "-ext",
                "BC:critical=ca:true",
            ],
            b"",
        );
        let exported = certificates.keytool(&authority, &["-exportcert", "-rfc"], b"");
        fs::write(certificates.authority(), exported).unwrap();
        certificates
    }

    /// The file with the authority's certificate, which clients trust.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("authority.pem")
    }

    /// A new key store for brokers, whose certificate expires in this time, or in days where that is not said.
    pub(crate) fn issue(&self, expires: Option<Duration>) -> PathBuf {
        let store = self.store(&unique("broker"));
        let names = "SAN=dns:localhost,ip:127.0.0.1";
        self.keytool(
            &store,
            &[
                "-genkeypair",
                "-keyalg",
                "EC",
                "-dname",
                "CN=localhost",
                "-ext",
                names,
            ],
            b"",
        );
        let wish = self.keytool(&store, &["-certreq"], b"");
        // Certificates are valid for whole days, so that a short one began nearly a day ago.
        let begin = expires.map_or_else(
            || "-1H".to_owned(),
            |expires| format!("-1d+{}S", expires.as_secs()),
        );
        let validity = if expires.is_some() { "1" } else { "30" };
        let signed = self.keytool(
            &self.store("authority"),
            &[
                "-gencert",
                "-rfc",
                "-startdate",
                &begin,
                "-validity",
                validity,
                "-ext",
                names,
            ],
            &wish,
        );
        let mut chain = signed;
        chain.extend(fs::read(self.authority()).unwrap());
        self.keytool(&store, &["-importcert", "-noprompt"], &chain);
        store
    }

    fn store(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.p12"))
    }

    fn keytool(&self, store: &Path, args: &[&str], input: &[u8]) -> Vec<u8> {
        let file = self.folder.join("keytool.in");
        fs::write(&file, input).unwrap();
        let output = Command::new(jdk("keytool"))
            .args(args)
            .args(["-alias", "one", "-storetype", "PKCS12", "-storepass", &self.password])
            .arg("-keystore")
            .arg(store)
            .stdin(Stdio::from(fs::File::open(&file).unwrap()))
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
}
