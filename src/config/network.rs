//! Addresses and networks as operators write them.

use std::net::IpAddr;

use ipnet::IpNet;

/// An address, or a network in CIDR form; bits beyond its prefix do not count.
pub(crate) fn parse(text: &str) -> Option<IpNet> {
    let text = text.trim();
    let net = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .ok()?;
    Some(net.trunc())
}
