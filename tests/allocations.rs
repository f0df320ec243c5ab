//! A record that no rule wants costs no allocation, in whatever plain form it travels.
//!
//! One in ten thousand is not ours and mentions the name all the same (a policy that allows the call, say). It has to
//! be parsed, for which the parser takes memory once.
//!
//! Counts, and never times: every call of this program's allocator on the thread that processes.

// An allocator cannot be written without `unsafe`; this one hands everything on to the system's.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used)] // helpers of tests, which may panic

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use serde_json::Value;
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline, Tally};
use trailtag::synthetic::{Generator, Options, Shape};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

impl Counting {
    fn count() {
        // Threads that end have no counter left, and nobody who asks.
        let _ = ALLOCATIONS.try_with(|count| count.set(count.get() + 1));
    }
}

// SAFETY: every call goes to the system's allocator as it came; the counter itself never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Messages of a form.
const MESSAGES: usize = 200;
const NAME: &[u8] = b"RemoveRoleFromInstanceProfile";

/// Messages in which nobody so much as mentions the event.
fn ignored(shape: Shape) -> Vec<Vec<u8>> {
    let mut payloads = payloads(shape, 0.0);
    payloads.retain(|payload| memchr::memmem::find(payload, NAME).is_none());
    assert!(payloads.len() > MESSAGES / 2);
    payloads
}

fn payloads(shape: Shape, match_rate: f64) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(&Options {
        seed: 7,
        match_rate,
        shape,
    });
    (0..MESSAGES)
        .map(|_| {
            let mut payload = Vec::new();
            assert!(generator.write(u64::MAX, &mut payload) > 0);
            payload
        })
        .collect()
}

/// Processes every payload, and says how often memory was asked for meanwhile.
fn process(pipeline: &Pipeline, payloads: &[Vec<u8>], out: &mut Outputs) -> (Tally, u64) {
    let origin = Origin {
        topic: "cloudtrail",
        partition: 0,
        offset: 0,
        timestamp: None,
    };
    let mut total = Tally::default();
    let before = ALLOCATIONS.get();
    for payload in payloads {
        total.add(&pipeline.process(payload, &origin, out));
    }
    (total, ALLOCATIONS.get() - before)
}

/// Fails if an ignored record of this form allocates once the buffers are warm.
fn assert_allocates_nothing(payloads: &[Vec<u8>], records_in_each: usize) {
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let mut out = Outputs::default();
    let (first, _) = process(&pipeline, payloads, &mut out);
    let (second, allocations) = process(&pipeline, payloads, &mut out);
    assert_eq!(first, second);
    let expected = Tally {
        ignored: (payloads.len() * records_in_each) as u64,
        ..Tally::default()
    };
    assert_eq!(second, expected);
    assert_eq!(
        allocations,
        0,
        "allocations in {} messages of ignored records",
        payloads.len()
    );
}

#[test]
fn the_counter_counts() {
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let payloads = payloads(Shape::Record, 1.0);
    let mut out = Outputs::default();
    let (tally, allocations) = process(&pipeline, &payloads, &mut out);
    assert_eq!(tally.matched, payloads.len() as u64);
    assert!(
        allocations >= tally.matched,
        "each finding has a document at least"
    );
}

#[test]
fn a_record_as_cloudtrail_writes_it() {
    assert_allocates_nothing(&ignored(Shape::Record), 1);
}

#[test]
fn a_record_with_sorted_keys() {
    let sorted: Vec<_> = ignored(Shape::Record)
        .iter()
        .map(|payload| {
            // A map of serde_json is in the order of its keys.
            let record: Value = serde_json::from_slice(payload).unwrap();
            let sorted = record.to_string();
            assert!(!sorted.starts_with(r#"{"eventVersion""#));
            sorted.into_bytes()
        })
        .collect();
    assert_allocates_nothing(&sorted, 1);
}

#[test]
fn a_record_over_many_lines() {
    let pretty: Vec<_> = ignored(Shape::Record)
        .iter()
        .map(|payload| {
            let record: Value = serde_json::from_slice(payload).unwrap();
            serde_json::to_vec_pretty(&record).unwrap()
        })
        .collect();
    assert_allocates_nothing(&pretty, 1);
}

#[test]
fn a_record_a_line() {
    let lines: Vec<_> = ignored(Shape::Record)
        .chunks(10)
        .map(|records| records.join(&b'\n'))
        .collect();
    assert_allocates_nothing(&lines, 10);
}

#[test]
fn an_s3_file() {
    assert_allocates_nothing(&ignored(Shape::S3File), 100);
}

#[test]
fn an_eventbridge_event() {
    assert_allocates_nothing(&ignored(Shape::EventBridge), 1);
}

#[test]
fn a_cloudwatch_logs_message() {
    assert_allocates_nothing(&ignored(Shape::CloudWatch), 25);
}

#[test]
fn a_record_that_mentions_the_name_costs_one_allocation() {
    let statement = r#"{\"Action\":[\"iam:RemoveRoleFromInstanceProfile\"]}"#;
    let payload = format!(
        r#"{{"eventVersion":"1.08","userIdentity":{{"type":"Root","sessionContext":{{"attributes":{{}}}}}},"eventSource":"iam.amazonaws.com","eventName":"PutRolePolicy","requestParameters":{{"policyDocument":"{statement}"}}}}"#
    );
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let (tally, allocations) = process(&pipeline, &[payload.into_bytes()], &mut Outputs::default());
    assert_eq!((tally.ignored, tally.records()), (1, 1));
    assert!(allocations <= 1, "{allocations} allocations");
}
