//! What layers and forms do when they follow one another, are broken, too large or too deep.

use serde_json::{Value, json};

use super::tests::{
    LIMITS, Seen, assert_ours, assert_rejected, base64, gzip, ours, outline, parsed, record, seen,
    seen_within, subscription,
};
use super::{Element, Envelope, Limits, Scratch, open};
use crate::model::dead_letter::Reason;

#[test]
fn documents_follow_one_another() {
    let one = record("ListRoles");
    for payload in [
        format!("{one}{one}{one}"),
        format!("{one}\n{one}\r\n{one}\n"),
        format!(" {one}  {one}\t{one}"),
        format!("[{one}]\n[{one},{one}]"),
        format!(r#"{{"Records":[{one},{one}]}}{one}"#),
        format!("{{\"Records\":[{one}]}}\n{{\"Records\":[{one},{one}]}}\n"),
    ] {
        assert_eq!(outline(&payload), "r0 r1 r2", "{payload}");
    }
    let pretty = serde_json::to_string_pretty(&parsed()).unwrap();
    assert_eq!(outline(format!("{pretty}\n{pretty}\n")), "r0 r1");
    let at_the_margin = "{\"userIdentity\":\n{},\n\"eventVersion\":\"1.08\"}\n";
    assert_eq!(outline(at_the_margin.repeat(2)), "r0 r1");
    let quoted = Value::from(one.as_str()).to_string();
    assert_eq!(outline(format!("{quoted}\n{quoted}")), "r0 r1");
}

#[test]
fn a_broken_document_loses_only_itself() {
    let one = record("ListRoles");
    // Cut within a string, within a value, between two, and such that quotes pair up over the line's end.
    for cut in [100, 200, 207, 430] {
        let broken = &one[..cut];
        let payload = format!("{one}\n{broken}\n{one}\n{one}\n");
        assert_eq!(outline(&payload), "r0 !1 r2 r3", "cut at {cut}");
        let Seen::Rejected { bytes, .. } = &seen(&payload)[1] else {
            panic!();
        };
        assert_eq!(bytes, broken.as_bytes());
        let first = format!("{broken}\n{one}\n");
        assert_eq!(outline(first), "!0 r1");
        assert_eq!(outline(format!("{one}\n{broken}")), "r0 !1");
        assert_eq!(outline(format!("{one}{broken}")), "r0 !1");
    }
    assert_eq!(outline(format!("{one} garbage")), "r0 !1");
    assert_eq!(
        outline(format!("{one} garbage\n{one}\n{one}")),
        "r0 !1 r2 r3"
    );
}

#[test]
fn a_broken_element_loses_only_itself() {
    let one = record("ListRoles");
    let missing_comma = one.replace(r#","eventTime""#, r#" "eventTime""#);
    let file = format!(r#"{{"Records":[{one},{missing_comma},7,null,{{"a":1}},{one}]}}"#);
    assert_eq!(outline(&file), "r0 !1 !2 s !4 r5");
    let Seen::Rejected { reason, bytes, .. } = &seen(&file)[1] else {
        panic!();
    };
    assert_eq!(*reason, Reason::InvalidJson);
    assert_eq!(bytes, missing_comma.as_bytes());
}

#[test]
fn a_cut_list_gives_its_whole_elements_and_rejects_the_rest_once() {
    let one = record("ListRoles");
    let events = subscription(&[&one, &one]);
    for whole in [
        format!(r#"{{"Records":[{one},{one}]}}"#),
        format!(r#"{{"x":1,"Records":[{one},{one}],"y":2}}"#),
        format!("[{one},{one}]"),
        events.clone(),
        format!("[{events}]"),
    ] {
        for cut in 1..whole.len() {
            let seen = seen(&whole[..cut]);
            let rejected = seen
                .iter()
                .filter(|seen| matches!(seen, Seen::Rejected { .. }))
                .count();
            assert_eq!(rejected, 1, "{}", &whole[..cut]);
            let Some(Seen::Rejected { reason, bytes, .. }) = seen.last() else {
                panic!("{seen:?}");
            };
            assert_eq!(*reason, Reason::Truncated, "{}", &whole[..cut]);
            assert!(!bytes.is_empty());
        }
    }
    let after_the_list = format!(r#"{{"Records":[{one}]"#);
    assert_eq!(outline(after_the_list), "r0 !1");
}

#[test]
fn what_cannot_be_read_is_rejected_whole_with_its_reason() {
    let text = ours();
    for (payload, reason) in [
        (&text.as_bytes()[..300], Reason::Truncated),
        (&text.as_bytes()[..1], Reason::Truncated),
        (b"{\"a\" 1}", Reason::InvalidJson),
        (b"hello, world", Reason::NotJson),
        (b"<Records/>", Reason::NotJson),
        (b"\0\0", Reason::NotJson),
        (b"\"hello\"", Reason::NotJson),
        (b"{}", Reason::UnrecognisedEnvelope),
        (b"{\"a\":{\"b\":1}}", Reason::UnrecognisedEnvelope),
        (
            b"{\"message\":\"{\\\"a\\\":1}\"}",
            Reason::UnrecognisedEnvelope,
        ),
        (b"\0\0\0\0\x2a\x02abc", Reason::UnsupportedFormat),
        (b"\x1f\x8b\x08\0\0", Reason::CorruptLayer),
        (b"\x28\xb5\x2f\xfd\0", Reason::CorruptLayer),
        (b"\"{\\x}\"", Reason::CorruptLayer),
        (b"H4sIAAAAAAAA", Reason::CorruptLayer),
    ] {
        assert_rejected(payload, reason);
    }
    let mut corrupt = gzip(&text);
    let end = corrupt.len() - 5;
    corrupt[end] ^= 1;
    assert_rejected(corrupt, Reason::CorruptLayer);
}

#[test]
fn a_bomb_is_not_inflated_beyond_the_limit() {
    let limits = Limits {
        decoded_bytes: 10_000,
        ..LIMITS
    };
    let zeros = vec![b' '; 1 << 22];
    for bomb in [
        gzip(&zeros),
        gzip(gzip(&zeros)),
        zstd::encode_all(&zeros[..], 1).unwrap(),
        base64(gzip(&zeros)).into_bytes(),
    ] {
        let mut scratch = Scratch::default();
        let mut seen = Vec::new();
        open(&bomb, &limits, &mut scratch, &mut |element| match element {
            Element::Rejected(rejection) => {
                assert!(rejection.error.contains("10000"), "{}", rejection.error);
                assert_eq!(rejection.bytes, bomb);
                seen.push(rejection.reason);
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(seen, [Reason::DecodedTooLarge]);
    }
    // The sum counts, over elements and layers.
    let data = base64(ours());
    let elements = vec![json!({"data": data}); 20];
    let payload = json!({"records": elements}).to_string();
    let seen = seen_within(&limits, payload.as_bytes());
    let records = seen
        .iter()
        .filter(|seen| matches!(seen, Seen::Record { .. }))
        .count();
    assert_eq!(seen.len(), 20);
    assert_eq!(records, 10_000 / ours().len());
}

#[test]
fn layers_beyond_the_depth_are_rejected() {
    let nested = |times: usize| (0..times).fold(ours().into_bytes(), |inner, _| gzip(inner));
    assert_ours(nested(6), Envelope::Record, None);
    assert_rejected(nested(7), Reason::TooDeep);
    let arrays = |times: usize| format!("{}{}{}", "[".repeat(times), ours(), "]".repeat(times));
    assert_ours(arrays(6), Envelope::Record, None);
    assert_eq!(outline(arrays(7)), "!0");
    let unbounded = Limits {
        depth: usize::MAX,
        ..LIMITS
    };
    let deepest = arrays(100_000);
    let seen = seen_within(&unbounded, deepest.as_bytes());
    assert!(matches!(
        &seen[..],
        [
            Seen::Rejected {
                reason: Reason::TooDeep,
                ..
            },
            ..
        ]
    ));
    let none = Limits { depth: 0, ..LIMITS };
    assert!(matches!(
        &seen_within(&none, ours().as_bytes())[..],
        [Seen::Record { .. }]
    ));
    for wrapped in [
        format!(r#"{{"Records":[{}]}}"#, ours()),
        subscription(&[&ours()]),
    ] {
        let seen = seen_within(&none, wrapped.as_bytes());
        assert!(matches!(
            &seen[..],
            [Seen::Rejected {
                reason: Reason::TooDeep,
                ..
            }]
        ));
    }
}

#[test]
fn validation_parses_what_no_rule_wants() {
    let strict = Limits {
        validate: true,
        ..LIMITS
    };
    let broken = record("ListRoles").replace("null", "nul");
    assert_eq!(outline(&broken), "r0");
    let file = format!(r#"{{"Records":[{broken},{}]}}"#, ours());
    let seen = seen_within(&strict, file.as_bytes());
    assert!(matches!(
        &seen[..],
        [
            Seen::Rejected {
                reason: Reason::InvalidJson,
                index: Some(0),
                ..
            },
            Seen::Record { index: 1, .. }
        ]
    ));
}

#[test]
fn a_warm_scratch_keeps_its_buffers() {
    let mut scratch = Scratch::default();
    let payload = subscription(&[&ours(), &ours()]);
    let run = |scratch: &mut Scratch| open(payload.as_bytes(), &LIMITS, scratch, &mut |_| {});
    run(&mut scratch);
    let warm = format!("{:?}", scratch.capacities());
    run(&mut scratch);
    assert_eq!(format!("{:?}", scratch.capacities()), warm);
    assert_eq!(scratch.capacities().len(), 1);
    let large = gzip(vec![b' '; 16 << 20]);
    let limits = Limits {
        decoded_bytes: 32 << 20,
        ..LIMITS
    };
    open(&large, &limits, &mut scratch, &mut |_| {});
    assert!(scratch.capacities().iter().sum::<usize>() <= 8 << 20);
}
