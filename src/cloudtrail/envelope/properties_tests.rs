//! What holds for whatever is fed in: the prefilter loses nothing, hostile bytes do no harm.

use std::fmt::Write;

use proptest::prelude::*;
use serde_json::json;

use super::tests::{LIMITS, Seen, base64, gzip, ours, record, seen_within, subscription};
use super::{Element, Limits, Scratch, open};
use crate::cloudtrail::prefilter::Prefilter;
use crate::cloudtrail::record::{EventNames, Record};

const NAME: &str = "RemoveRoleFromInstanceProfile";

fn prefilter() -> Prefilter {
    Prefilter::new(Some(&[NAME.to_owned()]))
}

/// How many records of ours a message holds if everything is parsed.
fn matches_by_parsing(payload: &[u8]) -> usize {
    seen_within(&LIMITS, payload)
        .iter()
        .filter(|seen| {
            let Seen::Record { json, .. } = seen else {
                return false;
            };
            EventNames::parse(json).is_ok_and(|names| names.event_name.as_deref() == Some(NAME))
        })
        .count()
}

/// The same, if the prefilter is asked first.
fn matches_by_prefilter(payload: &[u8]) -> usize {
    let prefilter = prefilter();
    if prefilter.is_one_ignored_record(payload) {
        return 0;
    }
    seen_within(&LIMITS, payload)
        .iter()
        .filter(|seen| {
            let Seen::Record { json, .. } = seen else {
                return false;
            };
            prefilter.may_match(json)
                && EventNames::parse(json)
                    .is_ok_and(|names| names.event_name.as_deref() == Some(NAME))
        })
        .count()
}

/// A name with some of its letters spelled as escapes.
fn spelled(name: &'static str) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::bool::weighted(0.15), name.len()).prop_map(move |escaped| {
        name.chars()
            .zip(escaped)
            .map(|(letter, escaped)| {
                if escaped {
                    format!("\\u{:04x}", u32::from(letter))
                } else {
                    letter.to_string()
                }
            })
            .collect()
    })
}

/// A record of ours or of another call, in any order, spaced and spelled in any way.
fn any_record() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        2 => spelled(NAME),
        1 => spelled("ListRoles"),
        1 => Just("ListRoles".to_owned()),
        1 => Just(NAME.to_owned()),
    ];
    let note = prop_oneof![
        Just(r#""userAgent":"plain""#.to_owned()),
        Just(r#""userAgent":"a \u003cb\u003e \u0026 \u00e9 \\n""#.to_owned()),
        Just(r#""policy":"{\"Action\":[\"a\"]} {\"b\":1}""#.to_owned()),
        Just(r#""policy":"}{""#.to_owned()),
        Just(format!(r#""policy":"iam:{NAME}""#)),
        Just(format!(r#""requestParameters":{{"eventName":"{NAME}"}}"#)),
        Just(r#""Records":[{"kinesis":{"data":"eyJ9"}}]"#.to_owned()),
        Just(r#""eventName":"Earlier""#.to_owned()),
    ];
    let keys = (
        spelled("eventVersion"),
        spelled("userIdentity"),
        spelled("eventName"),
    );
    (name, note, keys, any::<bool>(), any::<bool>(), 0..3_usize).prop_map(
        |(name, note, (version, identity, key), native, plain, space)| {
            let space = ["", " ", "\n  "][space];
            let (version, identity, key) = if plain {
                ("eventVersion", "userIdentity", "eventName")
            } else {
                (&*version, &*identity, &*key)
            };
            let version = format!(r#""{version}":"1.08""#);
            let identity = format!(r#""{identity}":{{"type":"Root"}}"#);
            let source = r#""eventSource":"iam.amazonaws.com""#.to_owned();
            let name = format!(r#""{key}":"{name}""#);
            let mut members = [version, identity, source, note, name];
            if !native {
                members.rotate_left(2);
            }
            format!("{{{}{space}}}", members.join(&format!(",{space}")))
        },
    )
}

/// A record within any wrapper.
fn any_message() -> impl Strategy<Value = Vec<u8>> {
    let one = any_record().prop_map(String::into_bytes);
    one.prop_recursive(3, 8, 3, |inner| {
        let text = (inner.clone(), 0..12_usize).prop_map(|(inner, how)| wrapped(&inner, how));
        let several = (prop::collection::vec(inner, 1..4), 0..4_usize).prop_map(|(inner, how)| {
            let (open, between, close): (&[u8], &[u8], &[u8]) = match how {
                0 => (b"", b"", b""),
                1 => (b"", b"\n", b"\n"),
                2 => (b"[", b",", b"]"),
                _ => (b"{\"Records\":[", b", ", b"]}"),
            };
            [open, &inner.join(between), close].concat()
        });
        prop_oneof![text, several]
    })
}

fn wrapped(inner: &[u8], how: usize) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(inner) else {
        // Already compressed: what carries bytes.
        return match how % 3 {
            0 => json!({"records": [{"data": base64(inner)}]})
                .to_string()
                .into_bytes(),
            1 => base64(inner).into_bytes(),
            _ => gzip(inner),
        };
    };
    let quoted = quoted(text);
    match how {
        0 => gzip(inner),
        // Base64 of base64 is no layer that is known.
        1 if text.starts_with('{') => base64(inner).into_bytes(),
        3 => subscription(&["X", "other"])
            .replace("\"X\"", &quoted)
            .into_bytes(),
        4 => json!({"records": [{"data": base64(inner)}]})
            .to_string()
            .into_bytes(),
        5 => format!(r#"{{"@timestamp":"t","agent":{{}},"message":{quoted}}}"#).into_bytes(),
        6 => format!(r#"{{"date":1,"log":{quoted}}}"#).into_bytes(),
        7 => format!(r#"{{"schema":{{}},"payload":{quoted}}}"#).into_bytes(),
        8 => format!(r#"{{"event":{quoted},"sourcetype":"aws:cloudtrail"}}"#).into_bytes(),
        9 => format!(r#"{{"CloudTrailEvent":{quoted}}}"#).into_bytes(),
        10 => format!(r#"{{"Type":"Notification","Message":{quoted}}}"#).into_bytes(),
        11 => json!({"specversion": "1.0", "data_base64": base64(inner)})
            .to_string()
            .into_bytes(),
        _ => quoted.into_bytes(),
    }
}

/// A JSON string, some of whose letters and backslashes are spelled as escapes, as the text itself decides.
fn quoted(text: &str) -> String {
    let mut dice = text.len() as u64 + text.bytes().map(u64::from).sum::<u64>();
    let mut quoted = "\"".to_owned();
    for letter in text.chars() {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match letter {
            _ if (dice >> 33).is_multiple_of(40) && u32::from(letter) < 0x80 => {
                write!(quoted, "\\u{:04x}", u32::from(letter)).unwrap();
            }
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            _ => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// Bytes that look like something: pieces of what is known, put together at random.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<Vec<u8>> = vec![
        ours().into_bytes(),
        record("ListRoles").into_bytes(),
        gzip(ours()),
        base64(gzip(ours())).into_bytes(),
        subscription(&["{\"a\":"]).into_bytes(),
        br#"{"Records":["#.to_vec(),
        br#"{"records":[{"data":""#.to_vec(),
        br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":""#.to_vec(),
        br#"{"message":"{\"#.to_vec(),
        b"\0\0\0\0\x01".to_vec(),
        b"\x1f\x8b\x08\0\0\0\0\0".to_vec(),
        b"\x28\xb5\x2f\xfd".to_vec(),
        b"\x04\x22\x4d\x18\x60\x40\x82".to_vec(),
        b"\xff\x06\0\0sNaPpY".to_vec(),
        b"\xef\xbb\xbf".to_vec(),
        vec![
            3, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x78, 0x9c,
        ],
        b"\\u00".to_vec(),
        b"]}".to_vec(),
        b"\n{".to_vec(),
        b"\"".to_vec(),
        b"[".to_vec(),
        b",".to_vec(),
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ];
    (
        prop::collection::vec(piece, 0..8),
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(pieces, cut, is_cut)| {
            let mut bytes = pieces.concat();
            if is_cut && !bytes.is_empty() {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        })
}

proptest! {
    #[test]
    fn the_prefilter_is_exact(payload in any_message()) {
        prop_assert_eq!(matches_by_prefilter(&payload), matches_by_parsing(&payload));
    }

    #[test]
    fn the_prefilter_is_exact_where_documents_meet(
        first in prop_oneof![any_record(), Just(record("ListRoles"))],
        seam in prop::sample::select(vec!["", " ", "\n", "\r\n", ",", "\"", "x", "\"\n"]),
        cut in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.3),
        second in prop_oneof![any_message(), Just(wrapped(ours().as_bytes(), 4))],
    ) {
        let mut payload = first.into_bytes();
        if is_cut {
            payload.truncate(cut.index(payload.len()));
        }
        payload.extend_from_slice(seam.as_bytes());
        payload.extend_from_slice(&second);
        prop_assert_eq!(matches_by_prefilter(&payload), matches_by_parsing(&payload));
    }

    #[test]
    fn the_prefilter_sees_through_strings_within_strings(
        inner in any_record(),
        how in prop::collection::vec(prop::sample::select(vec![2_usize, 3, 5, 6, 7, 8, 9, 10]), 0..3),
    ) {
        let payload = how.iter().fold(inner.into_bytes(), |inner, how| wrapped(&inner, *how));
        if matches_by_parsing(&payload) > 0 {
            prop_assert!(prefilter().may_match(&payload), "{}", String::from_utf8_lossy(&payload));
        }
    }

    #[test]
    fn what_is_wrapped_is_found(inner in any_record(), how in prop::collection::vec(0..12_usize, 0..4)) {
        let payload = how.iter().fold(inner.clone().into_bytes(), |inner, how| wrapped(&inner, *how));
        let found = seen_within(&LIMITS, &payload).into_iter().any(|seen| {
            matches!(seen, Seen::Record { json, .. } if json == inner.as_bytes())
        });
        prop_assert!(found, "{}", String::from_utf8_lossy(&payload));
    }

    #[test]
    fn any_bytes_give_elements_within_the_limits(payload in any_bytes(), validate: bool, decoded_bytes in 0..4000_usize) {
        let limits = Limits { decoded_bytes, validate, ..LIMITS };
        let mut scratch = Scratch::default();
        let mut next = 0;
        open(&payload, &limits, &mut scratch, &mut |element| {
            match element {
                Element::Record(record) => {
                    assert_eq!(record.index, next);
                    assert!(record.json.starts_with(b"{") && record.json.ends_with(b"}"));
                    let parsed = Record::parse(record.json);
                    assert!(parsed.is_ok() || !validate);
                }
                Element::Skipped(_) => {}
                Element::Rejected(rejection) => {
                    assert_eq!(rejection.index.unwrap_or(next), next);
                    assert!(!rejection.error.is_empty());
                    assert!(!rejection.bytes.is_empty());
                    if rejection.index.is_none() {
                        assert_eq!(rejection.bytes, payload);
                    }
                }
            }
            next += 1;
        });
        prop_assert!(next > 0);
    }

    #[test]
    fn documents_that_follow_one_another_are_what_they_are_alone(messages in prop::collection::vec(any_record(), 1..5)) {
        let of = |payload: &str| -> Vec<Vec<u8>> {
            seen_within(&LIMITS, payload.as_bytes())
                .into_iter()
                .map(|seen| match seen {
                    Seen::Record { json, .. } => json,
                    other => panic!("{other:?}"),
                })
                .collect()
        };
        let alone: Vec<_> = messages.iter().flat_map(|message| of(message)).collect();
        prop_assert_eq!(of(&messages.concat()), alone.clone());
        prop_assert_eq!(of(&messages.join("\n")), alone);
    }
}
