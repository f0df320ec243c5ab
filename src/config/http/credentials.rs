//! The pages' certificate and token, from the files that are set.
//!
//! [`Http`] goes in; faults come out, or what the service needs to serve its pages. The files are read again each time
//! that they are asked for, since the service looks whether they have changed. Of the token it tells no more than
//! whether there is one.

use std::io::Read;
use std::path::Path;

use secrecy::SecretString;

use super::{Certificate, Http, HttpTls};
use crate::model::fault::Fault;

/// The largest file that is read for a certificate, a key or a token. A chain of certificates has some kilobytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The longest token. With it the header of a request stays within what the service reads.
const MAX_TOKEN_BYTES: usize = 4096;

impl Http {
    /// The certificate and its key, read now; none where none is set.
    pub fn certificate(&self) -> Result<Option<Certificate>, Fault> {
        let HttpTls {
            cert_file,
            key_file,
        } = &self.tls;
        let key = "http.tls.key_file";
        match (is_set(cert_file), is_set(key_file)) {
            (false, false) => return Ok(None),
            (true, false) => {
                return Err(Fault::new(
                    key,
                    "is empty, but there is a certificate",
                    "name its key",
                ));
            }
            (false, true) => {
                return Err(Fault::new(
                    "http.tls.cert_file",
                    "is empty, but there is a key",
                    "name its certificate",
                ));
            }
            (true, true) => {}
        }
        let pem = |setting, path: &Path| {
            read(path).map_err(|reason| {
                Fault::new(setting, reason, "name a PEM file that this user may read")
            })
        };
        let chain = pem("http.tls.cert_file", cert_file)?;
        Certificate::new(&chain, &pem(key, key_file)?).map(Some)
    }

    /// The token that /metrics asks for, read now; none where no file is set.
    pub fn token(&self) -> Result<Option<SecretString>, Fault> {
        if !is_set(&self.token_file) {
            return Ok(None);
        }
        let fault = |message: String, hint| Fault::new("http.token_file", message, hint);
        let bytes = read(&self.token_file)
            .map_err(|reason| fault(reason, "name a file that this user may read"))?;
        let bytes = bytes.trim_ascii();
        let write = "write the token into it, such as the output of `openssl rand -hex 32`";
        if bytes.is_empty() {
            return Err(fault("the file is empty".into(), write));
        }
        if bytes.len() > MAX_TOKEN_BYTES {
            return Err(fault(
                format!(
                    "the token has {} bytes, and {MAX_TOKEN_BYTES} is the most",
                    bytes.len()
                ),
                write,
            ));
        }
        match str::from_utf8(bytes) {
            Ok(token) if token.chars().all(is_of_token) => Ok(Some(token.into())),
            // What it holds is not shown: it is a secret, if a wrong one.
            _ => Err(fault(
                "the token has a character that a bearer token cannot have".into(),
                "use letters, digits and - . _ ~ + / = only, in one line",
            )),
        }
    }

    /// What is no fault, and worth to be known: each with its setting.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let certificate = self.certificate().ok().flatten();
        let mut notes = Vec::new();
        if let Some(period) = certificate.as_ref().and_then(Certificate::out_of_period) {
            notes.push(format!("http.tls.cert_file: {period}"));
        }
        if certificate.is_none() && is_set(&self.token_file) {
            notes.push(
                "http.token_file: without http.tls the token crosses the network in the clear"
                    .into(),
            );
        }
        notes
    }
}

fn is_set(path: &Path) -> bool {
    !path.as_os_str().is_empty()
}

/// The characters of a bearer token (RFC 6750, section 2.1).
fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

/// A file's bytes. A pipe or a device is not opened: it might never end, or never begin.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{} is no regular file", path.display()));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "{} is larger than {MAX_FILE_BYTES} bytes",
            path.display()
        ));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_token_is_what_a_header_can_carry() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let http = Http {
            token_file: file.clone(),
            ..Http::default()
        };
        assert!(Http::default().token().unwrap().is_none());
        for text in ["Ab-9._~+/=", "Ab-9._~+/=\n", " Ab-9._~+/=\r\n\n"] {
            std::fs::write(&file, text).unwrap();
            let token = http.token().unwrap().unwrap();
            assert_eq!(token.expose_secret(), "Ab-9._~+/=");
        }
        for (text, told) in [
            (
                b" \n".to_vec(),
                "http.token_file: the file is empty; write the token into it, such as the output of `openssl rand -hex 32`",
            ),
            (
                b"hunter 2".to_vec(),
                "http.token_file: the token has a character that a bearer token cannot have; use letters, digits and - . _ ~ + / = only, in one line",
            ),
            (
                b"hunter\xff".to_vec(),
                "http.token_file: the token has a character that a bearer token cannot have; use letters, digits and - . _ ~ + / = only, in one line",
            ),
            (
                vec![b'x'; 4097],
                "http.token_file: the token has 4097 bytes, and 4096 is the most; write the token into it, such as the output of `openssl rand -hex 32`",
            ),
            (
                vec![b'x'; 1024 * 1024 + 1],
                "http.token_file: …/token is larger than 1048576 bytes; name a file that this user may read",
            ),
        ] {
            std::fs::write(&file, text).unwrap();
            let fault = http.token().unwrap_err().to_string();
            assert_eq!(
                fault.replace(&folder.path().display().to_string(), "…"),
                told
            );
        }
    }

    #[test]
    fn only_a_regular_file_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [&pipe, folder.path()] {
            let http = Http {
                token_file: path.to_owned(),
                ..Http::default()
            };
            // Of a pipe that is opened nobody would hear again.
            assert_eq!(
                http.token().unwrap_err().message,
                format!("{} is no regular file", path.display())
            );
        }
    }

    #[test]
    fn certificate_and_key_come_together() {
        let only = |cert_file: &str, key_file: &str| {
            let http = Http {
                tls: HttpTls {
                    cert_file: cert_file.into(),
                    key_file: key_file.into(),
                },
                ..Http::default()
            };
            http.certificate().unwrap_err().to_string()
        };
        assert_eq!(
            only("a", ""),
            "http.tls.key_file: is empty, but there is a certificate; name its key"
        );
        assert_eq!(
            only("", "a"),
            "http.tls.cert_file: is empty, but there is a key; name its certificate"
        );
        assert_eq!(
            only("/missing/a", "/missing/b"),
            "http.tls.cert_file: /missing/a cannot be read: No such file or directory (os error 2); name a PEM file that this user may read"
        );
    }
}
