//! What a message costs between bytes and documents: time, bytes a second, records a second, allocations.
//!
//! `one_…` is a single payload again and again, which is what a goal in nanoseconds is about; `mix` is a thousand
//! different ones, which the caches and the branch predictor do not know by heart.

#![allow(clippy::unwrap_used, missing_docs)] // a bench may panic, and its functions are their names

mod support;

use divan::{AllocProfiler, Bencher};
use trailtag::synthetic::Shape;

use support::{gzip, measure, payloads, plain, sorted, typical};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
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
