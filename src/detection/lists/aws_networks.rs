//! AWS's own networks, as AWS publishes them.
//!
//! In flows the file that AWS publishes at <https://ip-ranges.amazonaws.com/ip-ranges.json>; out flow its networks. What
//! it says beside them, such as services and regions, is not asked for.

use std::borrow::Cow;
use std::path::Path;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::networks::Networks;
use super::{MOST_FAULTS, and_more};
use crate::config::files::LIST_FILE;
use crate::config::network;
use crate::detection::files;
use crate::model::fault::Faults;

/// Both lists must be there: without one, each of AWS's addresses of that kind would count as one of others.
#[derive(Deserialize)]
struct IpRanges<'a> {
    #[serde(borrow)]
    prefixes: Vec<Prefix<'a>>,
    #[serde(borrow)]
    ipv6_prefixes: Vec<Ipv6Prefix<'a>>,
}

/// The text of a network stays as it stands in the file, so that its line can be told.
#[derive(Deserialize)]
struct Prefix<'a> {
    #[serde(borrow)]
    ip_prefix: &'a RawValue,
}

#[derive(Deserialize)]
struct Ipv6Prefix<'a> {
    #[serde(borrow)]
    ipv6_prefix: &'a RawValue,
}

/// None where there is no such file, or where something in it is wrong.
pub(super) fn load(path: &Path, faults: &mut Faults) -> Option<Networks> {
    if path.as_os_str().is_empty() {
        return None;
    }
    let file = files::file(path, LIST_FILE, faults)?;
    read(&file.name, &file.text, faults)
}

fn read(name: &str, text: &str, faults: &mut Faults) -> Option<Networks> {
    let text = text.trim_start_matches('\u{feff}');
    let ranges: IpRanges<'_> = match serde_json::from_str(text) {
        Ok(ranges) => ranges,
        Err(error) => {
            let said = error.to_string();
            let what = said.split(" at line ").next().unwrap_or_default();
            faults.add(
                name,
                Some(error.line()),
                None,
                format!(
                    "{what}: it must be AWS's ip-ranges.json, with prefixes[].ip_prefix and \
                     ipv6_prefixes[].ipv6_prefix"
                ),
            );
            return None;
        }
    };
    for (list, is_empty) in [
        ("prefixes", ranges.prefixes.is_empty()),
        ("ipv6_prefixes", ranges.ipv6_prefixes.is_empty()),
    ] {
        if is_empty {
            let problem = format!("its `{list}` are empty: every address would be one outside AWS");
            faults.add(name, None, None, problem);
            return None;
        }
    }
    let prefixes = ranges.prefixes.iter().map(|of| of.ip_prefix);
    let raw = prefixes.chain(ranges.ipv6_prefixes.iter().map(|of| of.ipv6_prefix));
    let mut wrong = 0;
    let networks: Vec<_> = raw
        .filter_map(|raw| {
            let parsed = serde_json::from_str::<Cow<'_, str>>(raw.get())
                .ok()
                .and_then(|text| network::parse(&text));
            if parsed.is_none() {
                wrong += 1;
                if wrong <= MOST_FAULTS {
                    let problem = format!("{} is no network", raw.get());
                    faults.add(name, line_of(text, raw.get()), None, problem);
                }
            }
            parsed
        })
        .collect();
    and_more(name, wrong, faults);
    (wrong == 0).then(|| Networks::new(networks.into_iter()))
}

/// The line of a text in which a part of it begins.
fn line_of(text: &str, part: &str) -> Option<usize> {
    let at = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let before = text.get(..at)?;
    Some(before.bytes().filter(|byte| *byte == b'\n').count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> (Option<Networks>, String) {
        let mut faults = Faults::default();
        let networks = read("ip-ranges.json", text, &mut faults);
        (networks, faults.to_string())
    }

    #[test]
    fn the_published_file_is_read_whatever_else_it_says() {
        let text = r#"{
  "syncToken": "1767638941", "createDate": "2026-01-05-18-49-01",
  "prefixes": [
    {"ip_prefix": "198.51.100.0/24", "region": "eu-west-1", "service": "AMAZON", "network_border_group": "eu-west-1"},
    {"ip_prefix": "198.51.100.0/25", "region": "eu-west-1", "service": "EC2", "network_border_group": "eu-west-1"}
  ],
  "ipv6_prefixes": [{"ipv6_prefix": "2001:db8:a::/48", "region": "eu-west-1", "service": "EC2"}],
  "more": [null]
}"#;
        for text in [text.to_owned(), format!("\u{feff}{text}")] {
            let (networks, said) = faults(&text);
            assert_eq!(said, "");
            let networks = networks.unwrap();
            for (address, want) in [
                ("198.51.100.255", true),
                ("198.51.101.0", false),
                ("2001:db8:a::1", true),
                ("2001:db8:b::1", false),
            ] {
                assert_eq!(
                    networks.contains(address.parse().unwrap()),
                    want,
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn a_file_that_is_wrong_is_refused_with_its_line() {
        for (text, want) in [
            (
                "",
                "ip-ranges.json:1: EOF while parsing a value: it must be",
            ),
            (
                "{\n\"prefixes\": [],\n}",
                "ip-ranges.json:3: trailing comma: it must be",
            ),
            (
                "[\"198.51.100.0/24\"]",
                "ip-ranges.json:1: invalid type: string",
            ),
            (
                "{\"prefixes\": []}",
                "ip-ranges.json:1: missing field `ipv6_prefixes`: it must be",
            ),
            (
                "{\"prefixes\": [{\n\"region\": \"x\"}], \"ipv6_prefixes\": []}",
                "ip-ranges.json:2: missing field `ip_prefix`: it must be",
            ),
            (
                "{\"prefixes\": [], \"ipv6_prefixes\": [{\"ipv6_prefix\": \"2001:db8::/32\"}]}",
                "ip-ranges.json: its `prefixes` are empty: every address would be one outside AWS",
            ),
            (
                "{\"prefixes\": [\n{\"ip_prefix\": \"198.51.100.0/24\"},\n{\"ip_prefix\": \"198.51.100.0/33\"},\n{\"ip_prefix\": 7}],\n\"ipv6_prefixes\": [{\"ipv6_prefix\": \"x\"}]}",
                "ip-ranges.json:3: \"198.51.100.0/33\" is no network\nip-ranges.json:4: 7 is no network\nip-ranges.json:5: \"x\" is no network",
            ),
        ] {
            let (networks, said) = faults(text);
            assert!(networks.is_none(), "{text}");
            assert!(said.starts_with(want), "{text}: {said}");
        }
    }

    #[test]
    fn of_many_faults_few_are_told() {
        let wrong = r#"{"ip_prefix": "x"}"#;
        let text = format!(
            r#"{{"prefixes": [{}], "ipv6_prefixes": [{{"ipv6_prefix": "::/0"}}]}}"#,
            [wrong; 100].join(",")
        );
        let (_, said) = faults(&text);
        assert_eq!(said.lines().count(), MOST_FAULTS + 1);
        assert!(
            said.ends_with("ip-ranges.json: 90 more lines are wrong"),
            "{said}"
        );
    }
}
