//! Why a broker does not answer: librdkafka's words, told apart.
//!
//! In flows what a client says of one connection; out flow the broker's address and an [`OutageReason`]. The words are
//! librdkafka 2.12.1's and OpenSSL's; a text that is not known gives no reason, and never a wrong one.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode;

/// Why a broker does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OutageReason {
    /// Its certificate has expired.
    Expired,
    /// Its certificate is not valid yet.
    NotYetValid,
    /// Its certificate was signed by nobody whom we trust.
    UnknownAuthority,
    /// Its certificate is for another host.
    WrongName,
    /// It does not accept our certificate.
    OurCertificate,
    /// No TLS connection comes about, for another reason or for one that is not known yet.
    Tls,
    /// It does not accept our login.
    Authentication,
    /// Nothing listens there.
    Refused,
    /// There is no way there.
    NoRoute,
    /// Its name has no address.
    NotResolved,
    /// It is there, or seems to be, and says nothing.
    Silent,
    /// It ended the connection.
    Closed,
}

impl OutageReason {
    /// What the words of librdkafka mean.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        Some(
            // An alert is what the other side says of our certificate.
            if says(&[
                "alert certificate expired",
                "alert bad certificate",
                "alert unknown ca",
                "alert certificate unknown",
                "alert certificate required",
                "alert certificate revoked",
                "ssl client authentication might be required",
            ]) {
                Self::OurCertificate
            } else if says(&["certificate has expired"]) {
                Self::Expired
            } else if says(&["hostname mismatch", "ip address mismatch"]) {
                Self::WrongName
            } else if says(&[
                "authentication as ",
                "authentication error",
                "authentication failed",
            ]) {
                Self::Authentication
            } else if says(&["connection refused"]) {
                Self::Refused
            } else if says(&[
                "no route to host",
                "network is unreachable",
                "network unreachable",
                "host is down",
                "host is unreachable",
            ]) {
                Self::NoRoute
            } else if says(&["failed to resolve"]) {
                Self::NotResolved
            } else if says(&["timed out", "no answer"]) {
                Self::Silent
            } else if says(&[
                "ssl handshake failed",
                "certificate verify failed",
                "broker certificate",
                "no tls connection",
            ]) {
                Self::Tls
            } else if says(&[
                "disconnected",
                "connection reset",
                "broken pipe",
                "connection closed",
            ]) {
                Self::Closed
            } else {
                return None;
            },
        )
    }

    /// Whether it needs no second look.
    pub(super) const fn is_certain(self) -> bool {
        !matches!(self, Self::Tls | Self::Closed)
    }

    /// Whether it is a fault of a certificate or of TLS.
    pub(super) const fn is_tls(self) -> bool {
        matches!(
            self,
            Self::Expired
                | Self::NotYetValid
                | Self::UnknownAuthority
                | Self::WrongName
                | Self::OurCertificate
        )
    }

    /// What to do about it.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::Expired | Self::NotYetValid => {
                "renew the brokers' certificate, or correct the clock of this host"
            }
            Self::UnknownAuthority => {
                "set kafka.security.tls.ca_file to the authority that signed the brokers' certificate"
            }
            Self::WrongName => {
                "use addresses in kafka.bootstrap_servers and in the brokers' advertised.listeners that their certificate names"
            }
            Self::OurCertificate => {
                "renew kafka.security.tls.cert_file and key_file, or let the brokers trust its authority; then restart"
            }
            Self::Tls => "correct kafka.security.tls, or kafka.security.protocol",
            Self::Authentication => {
                "correct username, password or mechanism in kafka.security.sasl; then restart"
            }
            Self::Refused | Self::Closed => {
                "check that the brokers run, and the addresses in kafka.bootstrap_servers"
            }
            Self::NoRoute => "repair the network between this host and the brokers",
            Self::NotResolved => "correct the names in kafka.bootstrap_servers, or the DNS",
            Self::Silent => "check the brokers, and firewalls between this host and them",
        }
    }
}

impl fmt::Display for OutageReason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Expired => "the broker's certificate has expired",
            Self::NotYetValid => "the broker's certificate is not valid yet",
            Self::UnknownAuthority => "the broker's certificate is signed by an unknown authority",
            Self::WrongName => "the broker's certificate is for another host name",
            Self::OurCertificate => "the broker does not accept our certificate",
            Self::Tls => "no TLS connection",
            Self::Authentication => "authentication failed",
            Self::Refused => "connection refused",
            Self::NoRoute => "no route to the broker",
            Self::NotResolved => "the name is not resolved",
            Self::Silent => "the broker does not answer",
            Self::Closed => "the broker ends the connection",
        })
    }
}

/// Whether an error of a client is one of its connections: those are said by [`super`], once.
pub(in crate::kafka) const fn is_of_connection(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::SSL
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::OperationTimedOut
            | RDKafkaErrorCode::TimedOutQueue
            | RDKafkaErrorCode::BrokerDestroy
    )
}

/// The address in what a client says of a connection: `[thrd:…]: ssl://HOST:PORT/ID: …`, or `GroupCoordinator:
/// HOST:PORT: …`.
pub(super) fn address(text: &str) -> Option<&str> {
    let text = text
        .strip_prefix("[thrd:")
        .and_then(|text| text.split_once("]: "))
        .map_or(text, |(_, text)| text);
    text.split(": ").take(2).find_map(|name| {
        let name = name.split_once("://").map_or(name, |(_, name)| name);
        let name = name.split_once('/').map_or(name, |(name, _)| name);
        let (host, port) = name.rsplit_once(':')?;
        let is_address =
            !host.is_empty() && !host.contains(char::is_whitespace) && port.parse::<u16>().is_ok();
        is_address.then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_librdkafka_are_told_apart() {
        let of = OutageReason::from_text;
        for (text, reason) in [
            (
                "Connect to ipv4#127.0.0.1:9 failed: Connection refused (after 0ms in state CONNECT)",
                OutageReason::Refused,
            ),
            (
                "Connect to ipv4#10.0.0.1:9092 failed: No route to host",
                OutageReason::NoRoute,
            ),
            (
                "Failed to resolve 'nowhere:9092': Name or service not known",
                OutageReason::NotResolved,
            ),
            (
                "SASL authentication error: Authentication failed during authentication due to invalid credentials",
                OutageReason::Authentication,
            ),
            (
                "Connection setup timed out in state SSL_HANDSHAKE",
                OutageReason::Silent,
            ),
            (
                "ApiVersionRequest failed: Local: Timed out: probably due to broker version",
                OutageReason::Silent,
            ),
            (
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
                OutageReason::Tls,
            ),
            (
                "SSL handshake failed: error:0A000415:SSL routines::sslv3 alert certificate expired",
                OutageReason::OurCertificate,
            ),
            ("Disconnected (after 1ms in state UP)", OutageReason::Closed),
        ] {
            assert_eq!(of(text), Some(reason), "{text}");
        }
        assert_eq!(of("Broker: Not coordinator"), None);
    }

    #[test]
    fn the_address_is_found_and_nothing_else_is_taken_for_one() {
        for (text, found) in [
            ("127.0.0.1:1/bootstrap: Connect to …", Some("127.0.0.1:1")),
            (
                "[thrd:a:1/2]: sasl_ssl://a.b:1/2: Disconnected",
                Some("a.b:1"),
            ),
            ("GroupCoordinator: a:9092: Disconnected", Some("a:9092")),
            ("GroupCoordinator: Disconnected", None),
            ("1/1 brokers are down", None),
        ] {
            assert_eq!(address(text), found, "{text}");
        }
    }
}
