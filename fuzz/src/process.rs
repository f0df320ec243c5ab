//! Whole messages through the whole pipeline.
//!
//! An input that begins with [`MADE`] decides how a message is put together (`message.rs`), of which it is known what must
//! come out; any other is a message itself.

use std::sync::OnceLock;

use arbitrary::Unstructured;
use trailtag::cloudtrail::envelope::Limits;
use trailtag::config::Format;
use trailtag::config::{Config, Validate};
use trailtag::pipeline::{Outputs, Pipeline};

use super::laws::{self, Outcome};
use super::message::{self, Message};
use super::{files, record};

/// The first byte of an input from which a message is made. No layer and no JSON begins with it.
pub const MADE: u8 = 0xfe;

/// Two outputs of 256 KiB and what one element becomes for five routes, beside the layers.
const MEMORY: usize = 32 << 20;

const DECODED_BYTES: usize = 256 << 10;

struct Subject {
    pipeline: Pipeline,
    limits: Limits,
    routes: usize,
    max_unreadable: u32,
}

impl Subject {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = laws::native();
        config.input.max_decoded_bytes = DECODED_BYTES;
        change(&mut config);
        let pipeline = Pipeline::from_config(&config).unwrap_or_else(|error| panic!("{error}"));
        Self {
            pipeline,
            limits: Limits {
                decoded_bytes: config.input.max_decoded_bytes,
                depth: config.input.max_depth,
                validate: config.input.validate == Validate::Full,
            },
            routes: config.routes.len(),
            max_unreadable: config.input.max_unreadable,
        }
    }
}

/// A rule that asks for no name, with which every record is parsed.
const ANY_NAME: &str = "title: any
id: 7d2c8f0e-6a57-4b0e-9f55-000000000001
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {userAgent|contains: Pacu}
  condition: selection
level: low
";

fn subjects() -> &'static [Subject] {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    SUBJECTS.get_or_init(|| {
        let rules = files::Folder::new();
        vec![
            Subject::new(|_| {}),
            Subject::new(|config| {
                config.routes = laws::routes(&[
                    Format::Native,
                    Format::Ecs,
                    Format::SplunkHec,
                    Format::SplunkRaw,
                    Format::Ocsf,
                ]);
                config.input.validate = Validate::Full;
            }),
            Subject::new(|config| {
                config.input.max_unreadable = 2;
                config.input.max_depth = 3;
            }),
            Subject::new(|config| config.detection.rules = vec![rules.write("any.yml", ANY_NAME)]),
        ]
    })
}

/// A message, made or as it is.
pub fn run(data: &[u8]) {
    if let Some((&MADE, rest)) = data.split_first() {
        return made(rest);
    }
    let budget = 1 + data.len() % 7 * 4000;
    for subject in subjects() {
        process(subject, data, budget, &[]);
    }
}

fn made(data: &[u8]) {
    let mut u = Unstructured::new(data);
    // Bytes that have come to an end decide as zeros do: there is always a message.
    let choice = u.int_in_range(0..=3).unwrap_or(0);
    let budget = u.int_in_range(1..=60_000).unwrap_or(1);
    let has_limits = u.ratio(1, 8).unwrap_or(false);
    let Ok(message) = message::any(&mut u) else {
        return;
    };
    let subject = &subjects()[choice];
    let limits = vec![9_000; if has_limits { subject.routes } else { 0 }];
    let outcome = process(subject, &message.bytes, budget, &limits);
    assert_found(subject, &message, &outcome, has_limits);
}

fn process(subject: &Subject, payload: &[u8], budget: usize, limits: &[usize]) -> Outcome {
    let outcome = laws::checked(&subject.pipeline, payload, budget, limits, MEMORY);
    let mut outputs = Outputs::default();
    if subject.pipeline.ignored(payload, &mut outputs).is_none() {
        let most_unreadable = u64::from(subject.max_unreadable);
        laws::assert_elements(
            &subject.pipeline,
            payload,
            &subject.limits,
            most_unreadable,
            &outcome.tally,
        );
    }
    outcome
}

/// Each record that went in whole has come out once, or else there is a dead letter that holds it.
fn assert_found(subject: &Subject, message: &Message, outcome: &Outcome, has_limits: bool) {
    let shown = || String::from_utf8_lossy(&message.bytes).into_owned();
    let must_be_read = message.is_clean
        && message.depth <= subject.limits.depth
        && message.decoded <= subject.limits.decoded_bytes;
    if must_be_read && !has_limits {
        assert_eq!(outcome.dead_letters, 0, "{}", shown());
    }
    for number in &message.sure {
        let id = record::id(*number);
        for route in 0..subject.routes {
            let documents = outcome.documents_of(route, &id);
            assert!(
                documents > 0 || outcome.dead_letters > 0,
                "{id} was lost on route {route}: {}",
                shown()
            );
            assert!(
                documents <= 1 || !message.is_clean,
                "{id} came twice: {}",
                shown()
            );
        }
    }
}
