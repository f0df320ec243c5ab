//! What is wrong with a broker's certificate.
//!
//! librdkafka says that a certificate was not accepted, and not why. So one handshake more is made, with the same
//! authorities, and OpenSSL is asked. Nothing is sent but the beginning of the handshake: no login, no request.

use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::time::Duration;

use openssl::error::ErrorStack;
use openssl::ssl::{HandshakeError, Ssl, SslContext, SslMethod, SslVerifyMode};

use super::reason::OutageReason;

/// How long to wait for the connection, and for each answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where systems keep the authorities that they trust, as librdkafka looks for them.
const AUTHORITIES: [&str; 6] = [
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-bundle.crt",
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/ssl/cert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
];

// OpenSSL's numbers (x509_vfy.h).
const NO_ISSUER: i32 = 2;
const SELF_SIGNED: i32 = 18;
const SELF_SIGNED_IN_CHAIN: i32 = 19;
const NO_LOCAL_ISSUER: i32 = 20;
const NOT_VERIFIED_LEAF: i32 = 21;
const NOT_YET_VALID: i32 = 9;
const EXPIRED: i32 = 10;
const WRONG_NAME: i32 = 62;
const WRONG_ADDRESS: i32 = 64;

/// Why the certificate of the broker at `address` is not accepted; none where it is, or where that cannot be seen.
/// `authorities` are those that count, else the system's; `checks_names` is whether it must be for this host.
pub(super) fn fault(
    address: &str,
    authorities: Option<&Path>,
    checks_names: bool,
) -> Option<OutageReason> {
    let (host, _) = address.rsplit_once(':')?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let ssl = prepare(host, authorities, checks_names).ok()?;
    let target = address.to_socket_addrs().ok()?.next()?;
    let stream = TcpStream::connect_timeout(&target, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    let Err(HandshakeError::Failure(failed)) = ssl.connect(stream) else {
        return None;
    };
    match failed.ssl().verify_result().as_raw() {
        EXPIRED => Some(OutageReason::Expired),
        NOT_YET_VALID => Some(OutageReason::NotYetValid),
        NO_ISSUER | SELF_SIGNED | SELF_SIGNED_IN_CHAIN | NO_LOCAL_ISSUER | NOT_VERIFIED_LEAF => {
            Some(OutageReason::UnknownAuthority)
        }
        WRONG_NAME | WRONG_ADDRESS => Some(OutageReason::WrongName),
        _ => None,
    }
}

fn prepare(host: &str, authorities: Option<&Path>, checks_names: bool) -> Result<Ssl, ErrorStack> {
    let mut context = SslContext::builder(SslMethod::tls_client())?;
    context.set_verify(SslVerifyMode::PEER);
    match authorities {
        Some(folder) if folder.is_dir() => context.load_verify_locations(None, Some(folder))?,
        Some(file) => context.set_ca_file(file)?,
        None => {
            context.set_default_verify_paths()?;
            for file in AUTHORITIES
                .iter()
                .map(Path::new)
                .filter(|file| file.is_file())
            {
                context.set_ca_file(file)?;
            }
        }
    }
    let mut ssl = Ssl::new(&context.build())?;
    let address = host.parse::<std::net::IpAddr>().ok();
    if address.is_none() {
        ssl.set_hostname(host)?;
    }
    if checks_names {
        match address {
            Some(address) => ssl.param_mut().set_ip(address)?,
            None => ssl.param_mut().set_host(host)?,
        }
    }
    Ok(ssl)
}
