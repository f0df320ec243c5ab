//! What holds for a pipeline whatever it is given, and records to ask one with.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;

use serde::de::IgnoredAny;
use trailtag::cloudtrail::envelope::{Element, Limits, Scratch, Search, open_until};
use trailtag::cloudtrail::prefilter::Prefilter;
use trailtag::config::Format;
use trailtag::config::{Config, Route};
use trailtag::model::Origin;
use trailtag::model::dead_letter::{DeadLetter, Reason};
use trailtag::pipeline::{Document, Explained, Outputs, Pipeline, Tally};

use super::memory;

/// Where all messages come from.
pub const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: Some(1_767_638_800_000),
};

/// Records that differ in what rules, factors and remediation ask for.
pub const SAMPLES: [&str; 5] = [
    r#"{"eventVersion":"1.09","userIdentity":{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"},"eventTime":"2026-01-05T18:46:26Z","eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2.15.0","requestParameters":{"instanceProfileName":"web-prod","roleName":"web-app"},"responseElements":null,"eventID":"c8e1f0aa-0000-4000-8000-000000000001","recipientAccountId":"111122223333","eventCategory":"Management"}"#,
    r#"{"eventVersion":"1.09","userIdentity":{"type":"AssumedRole","arn":"arn:aws:sts::111122223333:assumed-role/admin/i-0123456789abcdef0","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/admin","userName":"admin"},"attributes":{"mfaAuthenticated":"false"},"ec2RoleDelivery":"2.0"}},"eventTime":"2026-01-05T18:46:26Z","eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","awsRegion":"us-east-1","sourceIPAddress":"198.51.100.9","userAgent":"Pacu/1.0","errorCode":"AccessDenied","errorMessage":"not authorized","requestParameters":{"instanceProfileName":"it's","roleName":"a b"},"eventID":"c8e1f0aa-0000-4000-8000-000000000002","recipientAccountId":"444455556666"}"#,
    r#"{"eventVersion":"1.09","userIdentity":null,"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","eventID":"c8e1f0aa-0000-4000-8000-000000000003"}"#,
    r#"{"eventVersion":"1.08","userIdentity":{"type":"Root","accountId":"111122223333","invokedBy":"autoscaling.amazonaws.com"},"eventTime":"2026-01-05T18:46:26Z","eventSource":"iam.amazonaws.com","eventName":"CreateInstanceProfile","awsRegion":"us-east-1","sourceIPAddress":"autoscaling.amazonaws.com","userAgent":"autoscaling.amazonaws.com","requestParameters":{"instanceProfileName":"web-prod","path":"/"},"eventID":"c8e1f0aa-0000-4000-8000-000000000004"}"#,
    r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","userName":"bob"},"eventSource":"s3.amazonaws.com","eventName":"GetObject","requestParameters":{"key":"a","list":["b",{"c":1.5}]},"eventID":"c8e1f0aa-0000-4000-8000-000000000005"}"#,
];

/// A route of each format.
#[must_use]
pub fn routes(formats: &[Format]) -> Vec<Route> {
    formats
        .iter()
        .map(|format| Route {
            name: format.as_str().to_owned(),
            topic: format.as_str().to_owned(),
            format: *format,
            fields: [("environment".to_owned(), "a \"b\"".to_owned())].into(),
            ..Route::default()
        })
        .collect()
}

/// The configuration of a pipeline with one route, for documents that show all there is.
#[must_use]
pub fn native() -> Config {
    Config {
        routes: routes(&[Format::Native]),
        ..Config::default()
    }
}

/// What came of a message, so that two ways to it can be compared without holding it all.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What became of its elements.
    pub tally: Tally,
    /// How many documents each route has of each key.
    pub documents: BTreeMap<(usize, Option<String>), u32>,
    /// How many dead letters.
    pub dead_letters: u64,
    /// All documents, and all dead letters: each in their order, which says nothing of the other's.
    hashes: [DefaultHasher; 2],
}

impl Outcome {
    fn take(&mut self, outputs: &mut Outputs, tally: &Tally) {
        for document in outputs.documents.drain(..) {
            self.document(&document);
        }
        for letter in outputs.dead_letters.drain(..) {
            self.letter(&letter);
        }
        self.tally.add(tally);
    }

    fn document(&mut self, document: &Document) {
        assert_json(&document.payload);
        let [hash, _] = &mut self.hashes;
        (&document.payload, &document.headers, document.index).hash(hash);
        for (key, value) in &document.headers {
            assert_printable(key);
            assert_printable(value);
        }
        *self
            .documents
            .entry((document.route, document.key.clone()))
            .or_default() += 1;
    }

    fn letter(&mut self, letter: &DeadLetter) {
        assert!(
            !letter.payload.is_empty(),
            "a dead letter of nothing: {letter:?}"
        );
        assert!(!letter.error.is_empty());
        let [_, hash] = &mut self.hashes;
        (letter.reason, &letter.error, letter.index, &letter.payload).hash(hash);
        self.dead_letters += 1;
    }

    fn digest(&self) -> [u64; 2] {
        self.hashes.each_ref().map(Hasher::finish)
    }

    /// How many documents a route has of a record.
    #[must_use]
    pub fn documents_of(&self, route: usize, key: &str) -> u32 {
        let key = (route, Some(key.to_owned()));
        self.documents.get(&key).copied().unwrap_or_default()
    }
}

fn assert_json(payload: &[u8]) {
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(payload) {
        // A record that is nested as deep as its own parser goes is one deeper in its document, and that is JSON too.
        assert!(
            error.to_string().starts_with("recursion limit exceeded"),
            "{error}: {}",
            String::from_utf8_lossy(payload)
        );
    }
}

fn assert_printable(text: &str) {
    assert!(!text.contains(['\0', '\n', '\r']), "in a header: {text:?}");
}

/// All that comes of a message, in parts of so many bytes.
#[must_use]
pub fn in_parts(
    pipeline: &Pipeline,
    payload: &[u8],
    budget: usize,
    limits: &[usize],
    outputs: &mut Outputs,
) -> Outcome {
    let mut outcome = Outcome::default();
    outputs.budget = Some(budget);
    outputs.limits = limits.to_vec();
    // As the worker does it.
    let rest = pipeline.ignored(payload, outputs).unwrap_or_else(|| {
        pipeline.process_in_parts(payload, &ORIGIN, outputs, &mut |outputs, tally, _| {
            assert!(!outputs.is_empty(), "a part of nothing");
            outcome.take(outputs, tally);
            ControlFlow::Continue(())
        })
    });
    outcome.take(outputs, &rest);
    outcome
}

/// The same, begun again after each part; none where there are more parts than are worth it.
fn begun_again(
    pipeline: &Pipeline,
    payload: &[u8],
    budget: usize,
    limits: &[usize],
) -> Option<Outcome> {
    const MOST: usize = 6;
    let mut outcome = Outcome::default();
    let mut done = Some(0);
    for _ in 0..MOST {
        let Some(at) = done else {
            return Some(outcome);
        };
        let mut outputs = Outputs::with_limits(limits.to_vec());
        outputs.budget = Some(budget);
        outputs.done = at;
        let tally = pipeline.process(payload, &ORIGIN, &mut outputs);
        done = outputs.interrupted_at;
        assert!(done.is_none_or(|next| next > at), "no element was done");
        outcome.take(&mut outputs, &tally);
    }
    None
}

/// Processes a message in every way there is, within so much memory, and holds each against the others.
#[must_use]
pub fn checked(
    pipeline: &Pipeline,
    payload: &[u8],
    budget: usize,
    limits: &[usize],
    memory: usize,
) -> Outcome {
    const LARGE: usize = 256 << 10;
    let mut outputs = Outputs::default();
    let whole = memory::within(memory, || {
        in_parts(pipeline, payload, LARGE, limits, &mut outputs)
    });
    assert_adds_up(&whole);
    // By the same buffers, so that nothing of a message can be seen in the next.
    let parts = memory::within(memory, || {
        in_parts(pipeline, payload, budget, limits, &mut outputs)
    });
    assert_same(&whole, &parts);
    if let Some(again) = memory::within(memory, || begun_again(pipeline, payload, budget, limits)) {
        assert_same(&whole, &again);
    }
    assert_explained(pipeline, payload, &whole);
    whole
}

fn assert_same(one: &Outcome, other: &Outcome) {
    assert_eq!(one.tally, other.tally);
    assert_eq!(one.documents, other.documents);
    assert_eq!(one.digest(), other.digest());
}

fn assert_adds_up(outcome: &Outcome) {
    let tally = &outcome.tally;
    assert_eq!(tally.dead_lettered, outcome.dead_letters);
    assert_eq!(tally.dead_letters.iter().sum::<u64>(), tally.dead_lettered);
    assert_eq!(tally.findings.iter().sum::<u64>(), tally.matched);
    assert!(
        tally.records() + tally.skipped.iter().sum::<u64>() > 0,
        "nothing came of it"
    );
}

/// What is explained as a finding leaves as one: no shortcut passes over a record that a rule matches.
fn assert_explained(pipeline: &Pipeline, payload: &[u8], outcome: &Outcome) {
    let mut findings = 0;
    pipeline.explain(payload, &ORIGIN, &mut |explained| {
        findings += u64::from(matches!(
            explained,
            Explained::Record {
                finding: Some(_),
                ..
            }
        ));
    });
    let tally = &outcome.tally;
    let unsendable = tally.dead_letters[Reason::DocumentTooLarge as usize]
        + tally.dead_letters[Reason::InvalidJson as usize];
    assert!(
        (tally.matched..=tally.matched + unsendable).contains(&findings),
        "{findings} findings are explained: {tally:?}"
    );
}

/// Every element of a message has become something, where it was not told at once that no rule can want it.
pub fn assert_elements(
    pipeline: &Pipeline,
    payload: &[u8],
    limits: &Limits,
    most_unreadable: u64,
    tally: &Tally,
) {
    let (mut records, mut skipped, mut rejected) = (0, 0, 0);
    let prefilter = Prefilter::new(pipeline.detector().literals());
    let search = Search {
        wanted: &|text| prefilter.may_hold_a_match(text),
        record_paths: &[],
    };
    open_until(
        payload,
        limits,
        search,
        &mut Scratch::default(),
        &mut |element| {
            match element {
                Element::Record(_) => records += 1,
                Element::Skipped(_) => skipped += 1,
                Element::Rejected(_) => rejected += 1,
            }
            ControlFlow::Continue(())
        },
    );
    assert_eq!(tally.skipped.iter().sum::<u64>(), skipped);
    assert!(tally.records() <= records + rejected);
    if records + rejected <= most_unreadable {
        // So few are never put together in one dead letter.
        assert_eq!(tally.records(), records + rejected);
    }
}

/// What a pipeline makes of the samples, after it was checked.
#[must_use]
pub fn answers(pipeline: &Pipeline, memory: usize) -> Vec<[u64; 2]> {
    SAMPLES
        .iter()
        .map(|sample| {
            let outcome = checked(pipeline, sample.as_bytes(), 1, &[], memory);
            assert_eq!(outcome.tally.records(), 1, "{sample}");
            outcome.digest()
        })
        .collect()
}

/// What is told of a fault is one line, and nothing in it steers a terminal, whatever it quotes from a file.
pub fn assert_one_line(fault: &str) {
    assert!(!fault.contains(char::is_control), "{fault:?}");
}

/// A pipeline as the service loads it, within so much memory, after it was asked about the samples; none where the files
/// are refused, of which every fault says something, in one line.
#[must_use]
pub fn load(config: &Config, memory: usize) -> Option<Pipeline> {
    match memory::within(memory, || Pipeline::from_config(config)) {
        Ok(pipeline) => {
            let _ = answers(&pipeline, memory);
            Some(pipeline)
        }
        Err(refused) => {
            assert!(!refused.is_empty(), "refused for nothing");
            for fault in &refused {
                assert!(!fault.message.trim().is_empty(), "{refused:?}");
                assert_one_line(&fault.to_string());
            }
            None
        }
    }
}
