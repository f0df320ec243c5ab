//! Lists of networks: allow lists and lists of threats.
//!
//! In flow networks, of the settings or of files with one a line; out flows whether an address is in one of them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{MOST_FAULTS, and_more};
use crate::config::files::LIST_FILE;
use crate::config::network;
use crate::detection::files;
use crate::model::fault::Faults;

/// The most bytes of all lists of networks together.
const MAX_LISTS: usize = 128 * 1024 * 1024;

/// Addresses, as networks that neither overlap nor touch, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::detection) struct Networks {
    v4: Vec<Ipv4Net>,
    v6: Vec<Ipv6Net>,
}

impl Networks {
    pub(super) fn new(networks: impl Iterator<Item = IpNet>) -> Self {
        let mut all = Self::default();
        networks.for_each(|network| all.push(network));
        all.ready()
    }

    /// One more, in whatever order.
    fn push(&mut self, network: IpNet) {
        match network {
            IpNet::V4(network) => self.v4.push(network),
            IpNet::V6(network) => self.v6.push(network),
        }
    }

    /// The same in order, without any that another holds.
    fn ready(self) -> Self {
        let mut v4 = Ipv4Net::aggregate(&self.v4);
        let mut v6 = Ipv6Net::aggregate(&self.v6);
        v4.sort_unstable();
        v6.sort_unstable();
        Self { v4, v6 }
    }

    pub(in crate::detection) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(address) => self.contains_v4(address),
            IpAddr::V6(address) => self.contains_v6(address),
        }
    }

    // Of networks that do not overlap only the last one that begins at or before an address can hold it.
    fn contains_v4(&self, address: Ipv4Addr) -> bool {
        let after = self.v4.partition_point(|net| net.network() <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.v4.get(at))
            .is_some_and(|net| net.contains(&address))
    }

    fn contains_v6(&self, address: Ipv6Addr) -> bool {
        let after = self.v6.partition_point(|net| net.network() <= address);
        after
            .checked_sub(1)
            .and_then(|at| self.v6.get(at))
            .is_some_and(|net| net.contains(&address))
    }
}

/// Reads lists of networks: one a line, what follows `#` or `;` is a comment.
pub(super) fn threat_networks(paths: &[PathBuf], faults: &mut Faults) -> Option<Networks> {
    if paths.is_empty() {
        return None;
    }
    let mut networks = Networks::default();
    let mut left = MAX_LISTS;
    for path in paths {
        let Some(file) = files::file(path, LIST_FILE, faults) else {
            continue;
        };
        let Some(rest) = left.checked_sub(file.text.len()) else {
            let problem = format!(
                "with this file the lists of networks are larger than {MAX_LISTS} bytes together: name fewer, or \
                 write networks instead of their addresses"
            );
            faults.add(&file.name, None, None, problem);
            break;
        };
        left = rest;
        let mut wrong = 0;
        for (number, line) in file.text.trim_start_matches('\u{feff}').lines().enumerate() {
            let text = line.split(['#', ';']).next().unwrap_or_default().trim();
            if text.is_empty() {
                continue;
            }
            if let Some(network) = network::parse(text) {
                networks.push(network);
                continue;
            }
            wrong += 1;
            if wrong <= MOST_FAULTS {
                faults.add(
                    &file.name,
                    Some(number + 1),
                    None,
                    format!("{text:?} is no address or network: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"),
                );
            }
        }
        and_more(&file.name, wrong, faults);
    }
    Some(networks.ready())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_network_holds_what_one_of_its_parts_holds(
            parts in prop::collection::vec((any::<[u8; 4]>(), 4_u8..=32), 0..12),
            six in prop::collection::vec((any::<u128>(), 1_u8..=128), 0..4),
            address in any::<[u8; 4]>(),
            other in any::<u128>(),
        ) {
            let parts: Vec<IpNet> = parts
                .into_iter()
                .map(|(address, prefix)| IpNet::new(IpAddr::from(address), prefix).unwrap())
                .chain(six.into_iter().map(|(address, prefix)| IpNet::new(Ipv6Addr::from(address).into(), prefix).unwrap()))
                .collect();
            let networks = Networks::new(parts.iter().map(IpNet::trunc));
            // Addresses at the edges of parts are where it could go wrong.
            let edges = parts.iter().flat_map(|net| [net.network(), net.broadcast()]);
            for address in edges.chain([IpAddr::from(address), IpAddr::V6(Ipv6Addr::from(other))]) {
                let want = parts.iter().any(|net| net.contains(&address.to_canonical()));
                prop_assert_eq!(networks.contains(address), want, "{}", address);
            }
        }
    }

    #[test]
    fn an_address_is_found_in_a_long_list() {
        let nets = (0..300_000_u32).map(|number| {
            let net = Ipv4Net::new(Ipv4Addr::from(number.wrapping_mul(9_973) & !1), 32).unwrap();
            IpNet::V4(net)
        });
        let networks = Networks::new(nets);
        assert!(networks.contains(Ipv4Addr::from(9_973_u32 * 2).into()));
        assert!(!networks.contains(Ipv4Addr::from(9_973_u32 * 2 + 1).into()));
        assert!(
            networks.contains("::ffff:0.0.77.234".parse().unwrap()),
            "9973 * 2, mapped"
        );
    }

    #[test]
    fn threat_lists_take_comments_and_name_the_lines_that_are_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tor.txt");
        std::fs::write(&path, "\u{feff}# exits\r\n192.0.2.7 # one\r\n\r\n198.51.100.9/24 ; host bits\n2001:db8::/32\nexample.com\n").unwrap();
        let mut faults = Faults::default();
        let networks = threat_networks(std::slice::from_ref(&path), &mut faults).unwrap();
        for (address, want) in [
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("198.51.100.255", true),
            ("2001:db8::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                networks.contains(address.parse().unwrap()),
                want,
                "{address}"
            );
        }
        let said = faults.to_string();
        assert!(said.ends_with("tor.txt:6: \"example.com\" is no address or network: write it as 192.0.2.7, 192.0.2.0/24 or 2001:db8::/32"), "{said}");

        std::fs::write(&path, "x\n".repeat(1000)).unwrap();
        let mut faults = Faults::default();
        let _ = threat_networks(&[path], &mut faults);
        assert_eq!(faults.len(), MOST_FAULTS + 1);
        assert!(
            faults
                .to_string()
                .ends_with("tor.txt: 990 more lines are wrong"),
            "{faults}"
        );
    }
}
