//! Small messages that unfold into much: what they become is bounded, and what is ours in them is found.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::io::Write as _;
use std::ops::ControlFlow;

use proptest::prelude::*;
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::model::dead_letter::{DeadLetter, Reason};
use trailtag::pipeline::{Document, MOST_ELEMENTS, Outputs, Pipeline, Tally};

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: None,
};

const OURS: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"Root"},"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#;

/// It looks like ours, and its name breaks when it is read.
const BROKEN: &str = r#"{"eventVersion":"1.09","userIdentity":{"type":"Root"},"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","x":0e}"#;

fn pipeline(max_unreadable: u32) -> Pipeline {
    let mut config = Config::default();
    config.input.max_unreadable = max_unreadable;
    Pipeline::from_config(&config).unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn process(pipeline: &Pipeline, payload: &[u8]) -> (Tally, Outputs) {
    let mut outputs = Outputs::default();
    let tally = pipeline.process(payload, &ORIGIN, &mut outputs);
    (tally, outputs)
}

#[test]
fn what_cannot_be_read_is_a_dead_letter_each_up_to_the_limit() {
    let pipeline = pipeline(3);
    let payload = format!("[{{}},{OURS},{BROKEN},7]");
    let (tally, outputs) = process(&pipeline, payload.as_bytes());
    assert_eq!((tally.matched, tally.dead_lettered), (1, 3));
    let letters: Vec<_> = outputs
        .dead_letters
        .iter()
        .map(|letter| (letter.index, letter.payload.as_slice()))
        .collect();
    assert_eq!(
        letters,
        [
            (Some(0), &b"{}"[..]),
            (Some(2), BROKEN.as_bytes()),
            (Some(3), b"7")
        ]
    );
}

#[test]
fn one_more_makes_the_message_a_single_dead_letter() {
    let pipeline = pipeline(3);
    for payload in [
        format!("[{{}},{OURS},{BROKEN},7,8]"),
        format!("[{{}},7,8,9,{OURS}]"),
        format!("{{}}\n{OURS}\n{BROKEN}\n{{}}\n{{}}"),
    ] {
        let (tally, outputs) = process(&pipeline, payload.as_bytes());
        assert_eq!((tally.matched, tally.dead_lettered), (1, 1), "{payload}");
        assert_eq!(tally.dead_letters.iter().sum::<u64>(), 1);
        assert_eq!(outputs.documents.len(), 1, "what is ours is found");
        let [letter] = &outputs.dead_letters[..] else {
            panic!("{:?}", outputs.dead_letters);
        };
        assert_eq!(letter.index, None);
        assert_eq!(letter.payload, payload.as_bytes());
        assert_eq!(letter.reason, Reason::UnrecognisedEnvelope, "of the first");
        assert!(
            letter.error.starts_with(
                "4 of 5 elements cannot be read, more than 3 (input.max_unreadable); the first: an object in no form"
            ),
            "{}",
            letter.error
        );
    }
}

/// 33 million elements in some 400 bytes, that cannot be read or that carry nothing.
#[test]
fn a_message_of_more_elements_than_are_looked_at_is_one_dead_letter() {
    let pipeline = pipeline(100);
    for (element, reason, error) in [
        (
            "{}",
            Reason::UnrecognisedEnvelope,
            format!("{MOST_ELEMENTS} of {MOST_ELEMENTS} elements cannot be read"),
        ),
        (
            "[]",
            Reason::DecodedTooLarge,
            format!("the message has more than {MOST_ELEMENTS} elements"),
        ),
    ] {
        let bomb = gzip(&gzip(&element.as_bytes().repeat(33_000_000)));
        assert!(bomb.len() < 1_000, "{}", bomb.len());
        let (tally, outputs) = process(&pipeline, &bomb);
        assert_eq!(tally.records(), 1);
        let [letter] = &outputs.dead_letters[..] else {
            panic!();
        };
        assert_eq!(letter.reason, reason);
        assert_eq!(letter.payload, bomb);
        assert!(letter.error.starts_with(&error), "{}", letter.error);
    }
}

/// An element that a few bytes unfold into does not leave: they do.
#[test]
fn an_element_far_larger_than_its_message_leaves_as_the_message() {
    let pipeline = pipeline(100);
    let large = "x".repeat(300_000);
    for (element, reason) in [
        (
            format!(r#"{{"a":"{large}"}}"#),
            Reason::UnrecognisedEnvelope,
        ),
        (BROKEN.replace("Root", &large), Reason::InvalidJson),
        (OURS.replace("Root", &large), Reason::DocumentTooLarge),
    ] {
        let payload = format!("[{OURS},{element}]");
        let packed = gzip(payload.as_bytes());
        for (payload, is_whole) in [(payload.as_bytes(), false), (&packed, true)] {
            let mut outputs = Outputs::with_limits(vec![100_000]);
            pipeline.process(payload, &ORIGIN, &mut outputs);
            assert_eq!(outputs.documents.len(), 1);
            let [letter] = &outputs.dead_letters[..] else {
                panic!();
            };
            assert_eq!(letter.reason, reason);
            if is_whole {
                assert_eq!((letter.index, &letter.payload[..]), (None, payload));
                assert!(letter.error.starts_with("element 1, which decodes to 300"));
            } else {
                assert_eq!(letter.index, Some(1));
                assert!(letter.payload == element.as_bytes());
            }
        }
    }
}

/// What goes with each dead letter counts before it is made.
#[test]
fn keys_and_headers_count() {
    let pipeline = pipeline(100);
    let mut outputs = Outputs::default();
    outputs.budget = Some(1_000_000);
    outputs.letter_extra = 400_000;
    let payload = format!("[{}]", ["{}"; 50].join(","));
    pipeline.process(payload.as_bytes(), &ORIGIN, &mut outputs);
    assert_eq!(outputs.dead_letters.len(), 3);
    assert_eq!(outputs.interrupted_at, Some(3));
}

/// Each element, and what it is.
fn elements() -> impl Strategy<Value = Vec<&'static str>> {
    let element = prop_oneof![
        3 => Just("{}"),
        3 => Just(OURS),
        2 => Just(BROKEN),
        2 => Just(r#"{"eventVersion":"1.09","userIdentity":{"type":"Root"},"eventName":"ListRoles"}"#),
    ];
    proptest::collection::vec(element, 1..40)
}

/// Whether every unreadable element is in a dead letter: alone, or with the whole message.
fn all_are_there(letters: &[DeadLetter], elements: &[&str], payload: &[u8]) -> bool {
    let is_whole = letters
        .iter()
        .any(|letter| letter.index.is_none() && letter.payload == payload);
    is_whole
        || elements.iter().enumerate().all(|(index, element)| {
            let is_readable = *element != "{}" && *element != BROKEN;
            is_readable
                || letters.iter().any(|letter| {
                    letter.index == u32::try_from(index).ok()
                        && letter.payload == element.as_bytes()
                })
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// However a message is divided, and wherever it is begun again, it gives what it gives as a whole; and nothing that is
    /// unreadable is left out.
    #[test]
    fn nothing_is_left_out_wherever_a_message_goes_on(
        elements in elements(), budget in 1usize..60_000, most in 1u32..12,
    ) {
        let pipeline = pipeline(most);
        let payload = format!("[{}]", elements.join(",")).into_bytes();
        let unreadable = elements.iter().filter(|it| **it == "{}" || **it == BROKEN).count();
        let (whole_tally, whole) = process(&pipeline, &payload);
        let expected = if unreadable > most as usize { 1 } else { unreadable };
        prop_assert_eq!(whole.dead_letters.len(), expected);
        prop_assert_eq!(usize::try_from(whole_tally.dead_lettered), Ok(expected));
        prop_assert!(all_are_there(&whole.dead_letters, &elements, &payload));

        let check = |documents: &[Document], letters: &[DeadLetter], tally: &Tally| {
            prop_assert_eq!(documents, &whole.documents[..]);
            prop_assert_eq!(letters, &whole.dead_letters[..]);
            prop_assert_eq!(tally, &whole_tally);
            Ok(())
        };

        let mut parts = Outputs::default();
        parts.budget = Some(budget);
        let (mut documents, mut letters, mut sum) = (Vec::new(), Vec::new(), Tally::default());
        let rest = pipeline.process_in_parts(&payload, &ORIGIN, &mut parts, &mut |outputs, tally, _| {
            documents.append(&mut outputs.documents);
            letters.append(&mut outputs.dead_letters);
            sum.add(tally);
            ControlFlow::Continue(())
        });
        documents.append(&mut parts.documents);
        letters.append(&mut parts.dead_letters);
        sum.add(&rest);
        check(&documents, &letters, &sum)?;

        let (mut documents, mut letters, mut sum) = (Vec::new(), Vec::new(), Tally::default());
        let mut done = Some(0);
        while let Some(at) = done {
            let mut outputs = Outputs::default();
            outputs.budget = Some(budget);
            outputs.done = at;
            sum.add(&pipeline.process(&payload, &ORIGIN, &mut outputs));
            documents.append(&mut outputs.documents);
            letters.append(&mut outputs.dead_letters);
            done = outputs.interrupted_at;
        }
        check(&documents, &letters, &sum)?;
    }
}
