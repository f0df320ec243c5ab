//! The certificate that the pages show, and the token that they ask for, as their files are.
//!
//! Both files' settings go in; what is in use comes out through a channel. The files are read every few seconds: they are
//! small, and what was read tells more surely than their metadata whether they have changed. A file that is broken
//! changes nothing: what was in use stays, and the log says so once. Of the token only a hash is kept.

use std::time::Duration;

use openssl::memcmp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::config::{Certificate, Fault, Http};

/// How often the files are read.
const INTERVAL: Duration = Duration::from_secs(2);

/// What is in use.
#[derive(Clone, Default, PartialEq)]
pub(in crate::service) struct Credentials {
    /// None: the pages are served without TLS.
    pub(super) certificate: Option<Certificate>,
    /// None: everybody may read the metrics.
    token: Option<Hash>,
}

/// A token's hash.
#[derive(Clone, Copy, PartialEq)]
struct Hash([u8; 32]);

impl Hash {
    fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

impl Credentials {
    /// What the files hold now; errs where they cannot be used.
    pub(in crate::service) fn read(http: &Http) -> Result<Self, Fault> {
        let credentials = Self {
            certificate: http.certificate()?,
            token: hash(http.token()?),
        };
        for note in http.notes() {
            warn!("{note}");
        }
        Ok(credentials)
    }

    /// Whether the metrics may be read with this header `Authorization`.
    pub(super) fn permits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(Hash(expected)) = &self.token else {
            return true;
        };
        let Some((scheme, token)) = authorization.and_then(|header| header.split_at_checked(7))
        else {
            return false;
        };
        // Hashes are of one length, and are compared in the same time wherever they differ.
        let Hash(came) = Hash::of(token.trim_ascii());
        scheme.eq_ignore_ascii_case(b"bearer ") && memcmp::eq(expected, &came)
    }
}

fn hash(token: Option<SecretString>) -> Option<Hash> {
    token.map(|token| Hash::of(token.expose_secret().as_bytes()))
}

/// Reads the files again and again, until `done`.
pub(in crate::service) async fn watch(
    http: Http,
    in_use: watch::Sender<Credentials>,
    done: CancellationToken,
) {
    let mut told = Told::default();
    while tokio::time::timeout(INTERVAL, done.cancelled())
        .await
        .is_err()
    {
        let mut now = in_use.borrow().clone();
        told.refresh(&http, &mut now);
        in_use.send_if_modified(|in_use| {
            let is_new = *in_use != now;
            *in_use = now;
            is_new
        });
    }
}

/// What was last found to be wrong, which is said once.
#[derive(Default)]
struct Told {
    certificate: Option<Fault>,
    token: Option<Fault>,
}

impl Told {
    fn refresh(&mut self, http: &Http, credentials: &mut Credentials) {
        let certificate = http.certificate();
        if let Some(certificate) = settle(certificate, &mut self.certificate)
            && credentials.certificate != certificate
        {
            credentials.certificate = certificate;
            info!("the certificate of http.listen was reloaded");
            for note in http.notes() {
                warn!("{note}");
            }
        }
        let token = http.token().map(hash);
        if let Some(token) = settle(token, &mut self.token)
            && credentials.token != token
        {
            credentials.token = token;
            info!("the token of /metrics was reloaded");
        }
    }
}

/// What was read; none where it was broken, which is said where it was not said before.
fn settle<T>(read: Result<T, Fault>, told: &mut Option<Fault>) -> Option<T> {
    match read {
        Ok(read) => {
            *told = None;
            Some(read)
        }
        Err(error) => {
            if told.as_ref() != Some(&error) {
                warn!(
                    setting = error.key,
                    hint = error.hint,
                    "{}: {}; the old one stays in use",
                    error.key,
                    error.message
                );
                *told = Some(error);
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_permits() {
        let open = Credentials::default();
        assert!(open.permits(None) && open.permits(Some(b"Basic eDp5")));
        let closed = Credentials {
            token: Some(Hash::of(b"s3cret")),
            ..Credentials::default()
        };
        for header in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret "] {
            assert!(closed.permits(Some(header.as_bytes())), "{header}");
        }
        for header in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cre",
            "Bearer s3crets",
            "Bearer S3CRET",
            "s3cret",
            "Basic s3cret",
            "Bearers3cret",
            "Bearer s3cret s3cret",
        ] {
            assert!(!closed.permits(Some(header.as_bytes())), "{header}");
        }
        assert!(!closed.permits(None));
        assert!(!closed.permits(Some("Bearer s3cr\u{e9}t".as_bytes())));
        // Seven bytes need not end at the end of a character.
        assert!(!closed.permits(Some("Bearer\u{e9}".as_bytes())));
    }

    #[test]
    fn a_broken_file_changes_nothing_and_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let http = Http {
            token_file: file.clone(),
            ..Http::default()
        };
        std::fs::write(&file, "one").unwrap();
        let mut in_use = Credentials::read(&http).unwrap();
        let mut told = Told::default();
        for broken in ["", "two words"] {
            std::fs::write(&file, broken).unwrap();
            told.refresh(&http, &mut in_use);
            assert!(in_use.permits(Some(b"Bearer one")));
            let fault = told.token.clone().expect("it was told");
            assert!(!fault.to_string().contains("two words"));
        }
        std::fs::remove_file(&file).unwrap();
        told.refresh(&http, &mut in_use);
        assert!(in_use.permits(Some(b"Bearer one")));

        std::fs::write(&file, "two\n").unwrap();
        told.refresh(&http, &mut in_use);
        assert!(told.token.is_none());
        assert!(in_use.permits(Some(b"Bearer two")) && !in_use.permits(Some(b"Bearer one")));
    }
}
