//! How to prove who we are: what goes together, and the password.
//!
//! [`Security`] goes in; faults come out, or the password for the clients. Of the password it tells no more than
//! whether there is one.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use super::files::{self, Unread};
use super::{Mechanism, Protocol, Sasl, Security, Tls};
use crate::model::fault::Fault;

/// Why there is no password, although one is set.
#[derive(Debug, thiserror::Error)]
#[error("the password file {} cannot be read", path.display())]
pub struct PasswordError {
    /// `kafka.security.sasl.password_file`.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub error: Unread,
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
        let text =
            files::text(password_file, files::SECRET_FILE).map_err(|error| PasswordError {
                path: password_file.clone(),
                error,
            })?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Ok(Some(line.strip_suffix('\r').unwrap_or(line).into()))
    }
}

/// What is wrong.
pub(super) fn check(security: &Security, faults: &mut Vec<Fault>) {
    let mut fault = |setting: &str, message: &str, hint: &str| {
        faults.push(Fault::new(
            format!("kafka.security.{setting}"),
            message,
            hint,
        ));
    };
    let Security {
        protocol,
        sasl,
        tls,
    } = security;
    match protocol {
        Protocol::SaslPlaintext | Protocol::SaslSsl => check_password(security, &mut fault),
        Protocol::Plaintext | Protocol::Ssl => check_no_password(sasl, &mut fault),
    }
    check_certificates(*protocol, tls, &mut fault);
}

/// Takes a setting's key below `kafka.security`, what is wrong, and what to do.
type Tell<'t> = dyn FnMut(&str, &str, &str) + 't;

fn has_password(sasl: &Sasl) -> bool {
    !sasl.password.expose_secret().is_empty()
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

fn check_password(security: &Security, fault: &mut Tell<'_>) {
    let sasl = &security.sasl;
    if sasl.username.is_empty() {
        fault(
            "sasl.username",
            "is empty, and the protocol asks for a user",
            "name the user",
        );
    }
    match (has_password(sasl), is_set(&sasl.password_file)) {
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
        (false, true) => match security.password() {
            Ok(Some(password)) if !password.expose_secret().is_empty() => {}
            Ok(_) => fault(
                "sasl.password_file",
                "the file is empty",
                "write the password into it",
            ),
            Err(PasswordError { path, error }) => fault(
                "sasl.password_file",
                &format!("{} cannot be read: {error}", path.display()),
                "name a file that this user may read",
            ),
        },
        (true, false) => {}
    }
    if sasl.mechanism == Mechanism::Plain && security.protocol == Protocol::SaslPlaintext {
        fault(
            "sasl.mechanism",
            "`plain` would send the password in the clear",
            "set kafka.security.protocol to `sasl_ssl`, or a scram mechanism",
        );
    }
}

/// What is set and not used is a mistake somewhere: most likely in the protocol.
fn check_no_password(sasl: &Sasl, fault: &mut Tell<'_>) {
    for (setting, is_set) in [
        ("sasl.username", !sasl.username.is_empty()),
        ("sasl.password", has_password(sasl)),
        ("sasl.password_file", is_set(&sasl.password_file)),
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

fn check_certificates(protocol: Protocol, tls: &Tls, fault: &mut Tell<'_>) {
    let over_tls = matches!(protocol, Protocol::Ssl | Protocol::SaslSsl);
    for (setting, path) in [
        ("tls.ca_file", &tls.ca_file),
        ("tls.cert_file", &tls.cert_file),
        ("tls.key_file", &tls.key_file),
    ] {
        if !is_set(path) {
            continue;
        }
        if !over_tls {
            fault(
                setting,
                "is set, but the protocol is without TLS",
                "set kafka.security.protocol to `ssl` or `sasl_ssl`, or remove it",
            );
        } else if let Err(reason) = files::readable(path) {
            fault(setting, &reason, "name a PEM file that this user may read");
        }
    }
    match (is_set(&tls.cert_file), is_set(&tls.key_file)) {
        (true, false) => fault(
            "tls.key_file",
            "is empty, but there is a certificate",
            "name its key",
        ),
        (false, true) => fault(
            "tls.cert_file",
            "is empty, but there is a key",
            "name its certificate",
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn sasl_asks_for_a_user_and_one_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let security = |protocol, mechanism, password: &str, with_file: bool| {
            let mut config = Config::default();
            config.kafka.security.protocol = protocol;
            config.kafka.security.sasl = Sasl {
                mechanism,
                username: "u".into(),
                password: password.into(),
                password_file: if with_file { file.clone() } else { "".into() },
            };
            let faults: Vec<String> = config.check().iter().map(ToString::to_string).collect();
            faults
                .join("\n")
                .replace(&folder.path().display().to_string(), "")
        };
        let scram = Mechanism::ScramSha512;
        assert_eq!(security(Protocol::SaslSsl, scram, "p", false), "");
        assert_eq!(
            security(Protocol::SaslSsl, Mechanism::Plain, "p", false),
            ""
        );
        assert_eq!(
            security(Protocol::SaslPlaintext, Mechanism::Plain, "p", false),
            "kafka.security.sasl.mechanism: `plain` would send the password in the clear; set kafka.security.protocol to `sasl_ssl`, or a scram mechanism"
        );
        assert_eq!(
            security(Protocol::SaslSsl, scram, "p", true),
            "kafka.security.sasl.password_file: there are two passwords: one in this file, one in kafka.security.sasl.password; remove one"
        );
        assert_eq!(
            security(Protocol::SaslSsl, scram, "", true),
            "kafka.security.sasl.password_file: /password cannot be read: No such file or directory (os error 2); name a file that this user may read"
        );
        std::fs::write(&file, "\n").unwrap();
        assert_eq!(
            security(Protocol::SaslSsl, scram, "", true),
            "kafka.security.sasl.password_file: the file is empty; write the password into it"
        );
        std::fs::write(&file, "p\n").unwrap();
        assert_eq!(security(Protocol::SaslSsl, scram, "", true), "");
        assert_eq!(
            security(Protocol::Plaintext, scram, "p", false),
            "kafka.security.sasl.username: is set, but the protocol does not use it; set kafka.security.protocol to `sasl_ssl`, or remove it\n\
             kafka.security.sasl.password: is set, but the protocol does not use it; set kafka.security.protocol to `sasl_ssl`, or remove it"
        );
    }

    #[test]
    fn a_password_file_loses_one_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        let mut security = Security::default();
        assert!(security.password().unwrap().is_none());
        security.sasl.password_file.clone_from(&file);
        assert_eq!(
            security.password().unwrap_err().to_string(),
            format!("the password file {} cannot be read", file.display())
        );
        for (text, password) in [
            ("a b", "a b"),
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
        ] {
            std::fs::write(&file, text).unwrap();
            let read = security.password().unwrap().unwrap();
            assert_eq!(read.expose_secret(), password);
        }
    }
}
