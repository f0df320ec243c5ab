//! What a finding costs: rules, facts, severity with all built-in factors, remediation in full detail, the document.
//!
//! No allocator that counts is in the way here, as there is in `pipeline`: a finding allocates a good hundred times.
//! `one_record` is a single payload again and again; `mix` is a thousand different ones.

#![allow(clippy::unwrap_used, missing_docs)] // a bench may panic, and its functions are their names

mod support;

use divan::{Bencher, black_box};
use trailtag::synthetic::Shape;

use support::{ORIGIN, payloads, plain, typical};

fn main() {
    divan::main();
}

/// From the payload to the native document.
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
    use trailtag::cloudtrail::record::{EventNames, Record};
    use trailtag::config::{Detail, Detection, Format, Route};
    use trailtag::detection::{Context, Detector};
    use trailtag::finding::Finding;
    use trailtag::format;
    use trailtag::remediation::Catalogue;

    use super::{Bencher, ORIGIN, black_box, typical};

    #[divan::bench]
    fn identity(bencher: Bencher<'_, '_>) {
        let json = typical(1.0);
        bencher
            .bench_local(|| EventNames::parse(black_box(&json)).unwrap() == EventNames::default());
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
                .risks
                .len()
        });
    }

    #[divan::bench(args = [Format::Native, Format::Ecs, Format::SplunkHec, Format::SplunkRaw, Format::Ocsf])]
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
