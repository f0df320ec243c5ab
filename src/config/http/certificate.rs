//! The certificate of the program's own pages.
//!
//! The text of two PEM files goes in; a certificate with its key comes out, in the form in which connections are
//! accepted, or the fault: which of the two is wrong, and how. OpenSSL is asked for everything that it would refuse
//! later, so that `check` says it beforehand.

use std::cmp::Ordering;

use openssl::asn1::Asn1Time;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{SslAcceptor, SslMethod, SslMode};
use openssl::x509::X509;

use crate::model::fault::Fault;

/// A certificate and its key, which belong together.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate itself, then the authorities between it and the root.
    chain: Vec<X509>,
    acceptor: SslAcceptor,
}

/// Shows the certificate, and nothing of the key.
impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.chain).finish()
    }
}

/// The same certificate has the same key.
impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Certificate {
    pub(super) fn new(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, Fault> {
        let (cert_file, key_file) = ("http.tls.cert_file", "http.tls.key_file");
        let form =
            "name a file that holds `-----BEGIN CERTIFICATE-----`, the certificate itself first";
        let chain = X509::stack_from_pem(chain_pem).unwrap_or_default();
        let Some((leaf, others)) = chain.split_first() else {
            return Err(Fault::new(cert_file, "holds no certificate in PEM", form));
        };
        // Without an answer here OpenSSL would ask the terminal for the password of an encrypted key.
        let key = PKey::private_key_from_pem_callback(key_pem, |_| Ok(0)).map_err(|_| {
            Fault::new(
                key_file,
                "holds no private key in PEM that is not encrypted",
                "name a file that holds `-----BEGIN PRIVATE KEY-----`; `openssl pkey` removes a password",
            )
        })?;
        let is_its_key = leaf.public_key().is_ok_and(|public| public.public_eq(&key));
        if !is_its_key {
            return Err(Fault::new(
                key_file,
                "is not the key of the first certificate in http.tls.cert_file",
                "name the key that the certificate was made for, and put that certificate first",
            ));
        }
        let acceptor = (|| {
            let mut builder = SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server())?;
            builder.set_certificate(leaf)?;
            for authority in others {
                builder.add_extra_chain_cert(authority.clone())?;
            }
            builder.set_private_key(&key)?;
            // A connection that only waits holds no buffers.
            builder.set_mode(SslMode::RELEASE_BUFFERS);
            Ok(builder.build())
        })()
        .map_err(|error: ErrorStack| {
            Fault::new(
                cert_file,
                format!("is not accepted by OpenSSL: {}", reason(&error)),
                "make another one: EC with P-256, or RSA with 2048 bits or more, signed with SHA-256",
            )
        })?;
        Ok(Self { chain, acceptor })
    }

    /// What accepts connections with it.
    pub(crate) fn acceptor(&self) -> &SslAcceptor {
        &self.acceptor
    }

    /// That today is not in the time for which it is valid, in words; none where it is.
    pub(crate) fn out_of_period(&self) -> Option<String> {
        let leaf = self.chain.first()?;
        let now = Asn1Time::days_from_now(0).ok()?;
        let (from, until) = (leaf.not_before(), leaf.not_after());
        if until.compare(&now).ok()? == Ordering::Less {
            Some(format!("the certificate has expired at {until}"))
        } else if from.compare(&now).ok()? == Ordering::Greater {
            Some(format!("the certificate is not valid before {from}"))
        } else {
            None
        }
    }
}

/// OpenSSL's reasons, without its numbers and places.
fn reason(error: &ErrorStack) -> String {
    let reasons: Vec<_> = error
        .errors()
        .iter()
        .filter_map(openssl::error::Error::reason)
        .collect();
    reasons.join(", ")
}

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::Private;
    use openssl::rsa::Rsa;
    use openssl::symm::Cipher;
    use openssl::x509::X509NameBuilder;

    use super::*;

    fn ec() -> PKey<Private> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
    }

    /// A certificate that signs itself, valid from and until these times (Unix).
    fn made(key: &PKey<Private>, from: i64, until: i64) -> Vec<u8> {
        let mut name = X509NameBuilder::new().unwrap();
        name.append_entry_by_nid(Nid::COMMONNAME, "localhost")
            .unwrap();
        let name = name.build();
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&name).unwrap();
        builder.set_issuer_name(&name).unwrap();
        for (time, is_end) in [(from, false), (until, true)] {
            let time = Asn1Time::from_unix(time).unwrap();
            if is_end {
                builder.set_not_after(&time).unwrap();
            } else {
                builder.set_not_before(&time).unwrap();
            }
        }
        builder.set_pubkey(key).unwrap();
        builder.sign(key, MessageDigest::sha256()).unwrap();
        builder.build().to_pem().unwrap()
    }

    const YEAR_2000: i64 = 946_684_800;
    const YEAR_2001: i64 = 978_307_200;
    const YEAR_2200: i64 = 7_258_118_400;
    const YEAR_2201: i64 = 7_289_654_400;

    fn pem(key: &PKey<Private>) -> Vec<u8> {
        key.private_key_to_pem_pkcs8().unwrap()
    }

    fn fault(cert: &[u8], key: &[u8]) -> String {
        Certificate::new(cert, key).unwrap_err().to_string()
    }

    #[test]
    fn what_does_not_fit_together_is_told_by_file() {
        let (pair, other_pair) = (ec(), ec());
        let (key, other_key) = (pem(&pair), pem(&other_pair));
        let cert = made(&pair, YEAR_2000, YEAR_2200);
        let other = made(&other_pair, YEAR_2000, YEAR_2200);
        let certificate = Certificate::new(&cert, &key).unwrap();
        assert_eq!(certificate, Certificate::new(&cert, &key).unwrap());
        assert_ne!(certificate, Certificate::new(&other, &other_key).unwrap());
        assert!(!format!("{certificate:?}").contains("PRIVATE"));
        let with_authority = [cert.clone(), other.clone()].concat();
        assert_ne!(
            certificate,
            Certificate::new(&with_authority, &key).unwrap(),
            "an authority was added"
        );

        let wrong_order = [other, cert.clone()].concat();
        let no_cert = "http.tls.cert_file: holds no certificate in PEM";
        let no_key = "http.tls.key_file: holds no private key in PEM that is not encrypted";
        let not_its_key = "http.tls.key_file: is not the key of the first certificate";
        for (cert, key, told) in [
            (&b"no"[..], &key[..], no_cert),
            (&key, &key, no_cert),
            (&cert, b"no", no_key),
            (&cert, &cert, no_key),
            (&cert, &other_key, not_its_key),
            (&wrong_order, &key, not_its_key),
        ] {
            let fault = fault(cert, key);
            assert!(fault.starts_with(told), "{fault}");
        }
    }

    #[test]
    fn an_encrypted_key_is_a_fault_and_asks_nobody() {
        let pair = ec();
        let encrypted = pair
            .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret")
            .unwrap();
        let fault = fault(&made(&pair, YEAR_2000, YEAR_2200), &encrypted);
        assert!(fault.contains("not encrypted"), "{fault}");
    }

    #[test]
    fn a_weak_key_is_said_before_anybody_connects() {
        let pair = PKey::from_rsa(Rsa::generate(512).unwrap()).unwrap();
        let fault = fault(&made(&pair, YEAR_2000, YEAR_2200), &pem(&pair));
        assert!(
            fault.starts_with("http.tls.cert_file: is not accepted by OpenSSL: "),
            "{fault}"
        );
    }

    #[test]
    fn a_certificate_out_of_its_time_is_told() {
        let pair = ec();
        let told = |from, until| {
            Certificate::new(&made(&pair, from, until), &pem(&pair))
                .unwrap()
                .out_of_period()
        };
        assert_eq!(told(YEAR_2000, YEAR_2200), None);
        assert_eq!(
            told(YEAR_2000, YEAR_2001).as_deref(),
            Some("the certificate has expired at Jan  1 00:00:00 2001 GMT")
        );
        assert_eq!(
            told(YEAR_2200, YEAR_2201).as_deref(),
            Some("the certificate is not valid before Jan  1 00:00:00 2200 GMT")
        );
    }
}
