//! What the benches process.

#![allow(dead_code, reason = "each bench uses some of it")]

use std::io::Write as _;

use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline};
use trailtag::synthetic::{Generator, Options, Shape};

pub(crate) const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: Some(1_767_638_800_000),
};
/// The size of record that the goal is about.
const TYPICAL: usize = 1_400;

/// Synthetic payloads; the same each time.
pub(crate) fn payloads(shape: Shape, match_rate: f64, count: usize) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(&Options {
        seed: 1,
        match_rate,
        shape,
    });
    (0..count)
        .map(|_| {
            let mut payload = Vec::new();
            generator.write(u64::MAX, &mut payload);
            payload
        })
        .collect()
}

/// The one record of many whose size is nearest to the typical one.
pub(crate) fn typical(match_rate: f64) -> Vec<u8> {
    payloads(Shape::Record, match_rate, 1_000)
        .into_iter()
        .min_by_key(|payload| payload.len().abs_diff(TYPICAL))
        .unwrap()
}

pub(crate) fn gzip(payload: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

/// A record with its keys in alphabetical order.
pub(crate) fn sorted(payload: &[u8]) -> Vec<u8> {
    let record: Value = serde_json::from_slice(payload).unwrap();
    serde_json::to_vec(&record).unwrap()
}

/// Processes these payloads with warm buffers. The bytes that are counted are those of the JSON, packed or not.
pub(crate) fn measure(bencher: Bencher<'_, '_>, payloads: &[Vec<u8>], json_bytes: usize) {
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let mut out = Outputs::default();
    let run = |out: &mut Outputs| {
        let mut records = 0;
        for payload in payloads {
            records += pipeline.process(black_box(payload), &ORIGIN, out).records();
            out.documents.clear();
        }
        assert!(out.dead_letters.is_empty());
        records
    };
    let records = run(&mut out);
    assert!(records > 0);
    bencher
        .counter(BytesCount::new(json_bytes))
        .counter(ItemsCount::new(records))
        .bench_local(|| run(&mut out));
}

/// Processes payloads that are not packed.
pub(crate) fn plain(bencher: Bencher<'_, '_>, payloads: &[Vec<u8>]) {
    measure(bencher, payloads, payloads.iter().map(Vec::len).sum());
}
