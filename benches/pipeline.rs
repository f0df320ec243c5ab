//! What a message costs between bytes and documents: time, bytes a second, records a second, allocations.
//!
//! `one_…` is a single payload again and again, which is what a goal in nanoseconds is about; `mix` is a thousand
//! different ones, which the caches and the branch predictor do not know by heart.

#![allow(clippy::unwrap_used, missing_docs)] // a bench may panic, and its functions are their names

use std::io::Write;

use divan::counter::{BytesCount, ItemsCount};
use divan::{AllocProfiler, Bencher, black_box};
use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use trailtag::config::Config;
use trailtag::pipeline::{Origin, Outputs, Pipeline};
use trailtag::synthetic::{Generator, Options, Shape};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 42,
    timestamp: Some(1_767_638_800_000),
};
/// The size of record that the goal is about.
const TYPICAL: usize = 1_400;

fn main() {
    divan::main();
}

fn payloads(shape: Shape, match_rate: f64, count: usize) -> Vec<Vec<u8>> {
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
fn typical(match_rate: f64) -> Vec<u8> {
    payloads(Shape::Record, match_rate, 1_000)
        .into_iter()
        .min_by_key(|payload| payload.len().abs_diff(TYPICAL))
        .unwrap()
}

fn gzip(payload: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(payload).unwrap();
    encoder.finish().unwrap()
}

fn sorted(payload: &[u8]) -> Vec<u8> {
    let record: Value = serde_json::from_slice(payload).unwrap();
    serde_json::to_vec(&record).unwrap()
}

/// Processes these payloads with warm buffers. The bytes that are counted are those of the JSON, packed or not.
fn measure(bencher: Bencher<'_, '_>, payloads: &[Vec<u8>], json_bytes: usize) {
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

fn plain(bencher: Bencher<'_, '_>, payloads: &[Vec<u8>]) {
    measure(bencher, payloads, payloads.iter().map(Vec::len).sum());
}

mod ignored {
    use super::{Bencher, Shape, gzip, measure, payloads, plain, sorted, typical};

    #[divan::bench]
    fn one_record(bencher: Bencher<'_, '_>) {
        plain(bencher, &[typical(0.0)]);
    }

    #[divan::bench]
    fn one_record_sorted_keys(bencher: Bencher<'_, '_>) {
        plain(bencher, &[sorted(&typical(0.0))]);
    }

    #[divan::bench]
    fn mix_of_1000_records(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::Record, 0.0, 1_000));
    }

    #[divan::bench]
    fn mix_of_1000_records_sorted_keys(bencher: Bencher<'_, '_>) {
        let payloads: Vec<_> = payloads(Shape::Record, 0.0, 1_000)
            .iter()
            .map(|payload| sorted(payload))
            .collect();
        plain(bencher, &payloads);
    }

    #[divan::bench]
    fn one_eventbridge_event(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::EventBridge, 0.0, 1));
    }

    #[divan::bench]
    fn one_cloudwatch_message_of_25(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::CloudWatch, 0.0, 1));
    }

    #[divan::bench]
    fn one_s3_file_of_100(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::S3File, 0.0, 1));
    }

    #[divan::bench]
    fn one_s3_file_of_100_gzip(bencher: Bencher<'_, '_>) {
        let files = payloads(Shape::S3File, 0.0, 1);
        let packed: Vec<_> = files.iter().map(|file| gzip(file)).collect();
        measure(bencher, &packed, files.iter().map(Vec::len).sum());
    }
}

/// With everything that follows: rules, severity, remediation, the native document.
mod matched {
    use super::{Bencher, Shape, payloads, plain, typical};

    #[divan::bench]
    fn one_record(bencher: Bencher<'_, '_>) {
        plain(bencher, &[typical(1.0)]);
    }

    #[divan::bench]
    fn mix_of_1000_records(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::Record, 1.0, 1_000));
    }

    /// One match in a hundred records, on average.
    #[divan::bench]
    fn s3_files_of_100(bencher: Bencher<'_, '_>) {
        plain(bencher, &payloads(Shape::S3File, 0.01, 10));
    }
}

/// What the parts of `matched::one_record` cost, each by itself.
mod stage {
    use trailtag::cloudtrail::envelope::{Envelope, RawRecord};
    use trailtag::cloudtrail::record::{Identity, Record};
    use trailtag::config::{Detection, Route};
    use trailtag::detection::{Context, Detector};
    use trailtag::finding::Finding;
    use trailtag::format::{self, Format};
    use trailtag::remediation::{Catalogue, Detail};

    use super::{Bencher, ORIGIN, black_box, typical};

    #[divan::bench]
    fn identity(bencher: Bencher<'_, '_>) {
        let json = typical(1.0);
        bencher.bench_local(|| Identity::of(black_box(&json)).unwrap() == Identity::default());
    }

    #[divan::bench]
    fn parse(bencher: Bencher<'_, '_>) {
        let json = typical(1.0);
        bencher.bench_local(|| drop(Record::parse(black_box(&json)).unwrap()));
    }

    /// Rules, facts, factors.
    #[divan::bench]
    fn detect(bencher: Bencher<'_, '_>) {
        let json = typical(1.0);
        let record = Record::parse(&json).unwrap();
        let detector = Detector::load(&Detection::default()).unwrap();
        bencher.bench_local(|| {
            detector
                .evaluate(black_box(&record), Context::default())
                .is_some()
        });
    }

    #[divan::bench]
    fn advise(bencher: Bencher<'_, '_>) {
        let json = typical(1.0);
        let record = Record::parse(&json).unwrap();
        let detector = Detector::load(&Detection::default()).unwrap();
        let catalogue = Catalogue::load(None, Detail::Full).unwrap();
        let detection = detector.evaluate(&record, Context::default()).unwrap();
        bencher.bench_local(|| {
            catalogue
                .select(black_box(&record), &detection.facts)
                .items
                .len()
        });
    }

    #[divan::bench]
    fn write_native(bencher: Bencher<'_, '_>) {
        write(bencher, Format::Native);
    }

    #[divan::bench]
    fn write_ecs(bencher: Bencher<'_, '_>) {
        write(bencher, Format::Ecs);
    }

    #[divan::bench]
    fn write_ocsf(bencher: Bencher<'_, '_>) {
        write(bencher, Format::Ocsf);
    }

    fn write(bencher: Bencher<'_, '_>, format: Format) {
        let route = Route {
            format,
            ..Route::default()
        };
        let json = typical(1.0);
        let record = Record::parse(&json).unwrap();
        let detector = Detector::load(&Detection::default()).unwrap();
        let catalogue = Catalogue::load(None, Detail::Full).unwrap();
        let raw = RawRecord {
            json: &json,
            envelope: Envelope::Record,
            index: 0,
            envelope_time: None,
            custom: false,
        };
        let detection = detector.evaluate(&record, Context::default()).unwrap();
        let advice = catalogue.select(&record, &detection.facts);
        let finding = Finding::new(&record, detection, advice, &ORIGIN, &raw);
        let mut out = Vec::new();
        bencher.bench_local(|| {
            out.clear();
            format::write(&route, black_box(&finding), &mut out).unwrap();
            out.len()
        });
    }
}
