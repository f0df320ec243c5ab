//! The pages' settings: the address, the certificate and the bearer token.

#[cfg(feature = "service")]
mod certificate;
#[cfg(feature = "service")]
mod credentials;

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fault::Fault;

#[cfg(feature = "service")]
pub use certificate::Certificate;

/// Metrics and health.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Http {
    /// The address on which /metrics, /livez and /readyz are served.
    pub listen: String,
    /// A certificate and its private key, both or none. With them the address serves HTTPS only, to probes too.
    pub tls: HttpTls,
    /// A file with the bearer token that /metrics requires; white space around it is ignored. Empty: everybody may read
    /// /metrics. Probes never need the token. The file is read again when it changes.
    pub token_file: PathBuf,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: "0.0.0.0:9598".into(),
            tls: HttpTls::default(),
            token_file: PathBuf::new(),
        }
    }
}

/// The certificate of the HTTP server, in PEM files, which are read again when they change.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTls {
    /// The certificate, followed by its intermediate certificates.
    pub cert_file: PathBuf,
    /// The private key, not encrypted.
    pub key_file: PathBuf,
}

/// What is wrong.
pub(super) fn check(http: &Http, faults: &mut Vec<Fault>) {
    let listen = &http.listen;
    if listen.parse::<SocketAddr>().is_err() {
        faults.push(Fault::new(
            "http.listen",
            format!("`{listen}` is no address and port"),
            "write digits, as in `0.0.0.0:9598` or `127.0.0.1:9598`",
        ));
    }
    #[cfg(feature = "service")]
    {
        faults.extend(http.certificate().err());
        faults.extend(http.token().err());
    }
}
