//! A guard that is no timer: how many instructions a message costs, counted by valgrind, against benches/instructions.csv.
//!
//! The same input costs the same number of instructions each time, on a busy machine too, so a change of a few per cent is
//! seen that no timing would show. Only what is done for messages is counted, on warm buffers. `make bench-check` fails where
//! a case costs 3 % more or less than the file says, and `make bench-bless` writes the file anew.
//!
//! The searches use the widest vector instructions of the processor, so the figures are those of one kind of processor: they
//! are compared on x86-64 with AVX2, and anywhere else this says that they are not.

#![allow(clippy::unwrap_used, clippy::panic, missing_docs)] // a bench may panic, and its functions are their names
#![allow(clippy::print_stdout, clippy::print_stderr)] // a person reads what it says

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use divan::black_box;
use trailtag::config::{Config, Format, Route};
use trailtag::pipeline::{Outputs, Pipeline};
use trailtag::synthetic::Shape;

use support::{ORIGIN, gzip, payloads, sorted, typical};

/// By how much a case may differ, in per cent.
const TOLERANCE: f64 = 3.0;
const BASELINE: &str = "benches/instructions.csv";
const VALGRIND: &str = "valgrind";

/// One kind of message.
struct Case {
    name: &'static str,
    payload: fn() -> Vec<u8>,
    format: Format,
    is_matched: bool,
    looks_for_sequences: bool,
}

const fn ignored(name: &'static str, payload: fn() -> Vec<u8>) -> Case {
    Case {
        name,
        payload,
        format: Format::Native,
        is_matched: false,
        looks_for_sequences: false,
    }
}

/// The same where steps of sequences are looked for too.
const fn of_sequences(name: &'static str, payload: fn() -> Vec<u8>) -> Case {
    Case {
        looks_for_sequences: true,
        ..ignored(name, payload)
    }
}

const fn matched(name: &'static str, format: Format) -> Case {
    Case {
        name,
        payload: || typical(1.0),
        format,
        is_matched: true,
        looks_for_sequences: false,
    }
}

const CASES: [Case; 16] = [
    ignored("ignored record", || typical(0.0)),
    ignored("ignored record, keys in another order", || {
        sorted(&typical(0.0))
    }),
    ignored("ignored event of EventBridge", || one(Shape::EventBridge)),
    ignored("ignored message of CloudWatch Logs, 25 records", || {
        one(Shape::CloudWatch)
    }),
    ignored("ignored S3 file, 100 records", || one(Shape::S3File)),
    ignored("ignored S3 file, 100 records, gzip", || {
        gzip(&one(Shape::S3File))
    }),
    of_sequences("ignored record, sequences", || typical(0.0)),
    of_sequences("ignored S3 file, 100 records, sequences", || {
        one(Shape::S3File)
    }),
    ignored("skipped notification of S3", || S3_NOTIFICATION.into()),
    ignored("skipped line of another log, Filebeat", || FILEBEAT.into()),
    ignored("skipped line of another log, Fluent Bit", || {
        FLUENT_BIT.into()
    }),
    ignored("S3 file, 1 match in 100 records", file_with_a_match),
    matched("matched record, native", Format::Native),
    matched("matched record, ecs", Format::Ecs),
    matched("matched record, ocsf", Format::Ocsf),
    matched("matched record, splunk_hec", Format::SplunkHec),
];

const S3_NOTIFICATION: &str = r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","awsRegion":"eu-central-1","eventTime":"2026-01-05T18:49:02.000Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AWS:AROAEXAMPLE0:session"},"requestParameters":{"sourceIPAddress":"192.0.2.10"},"responseElements":{"x-amz-request-id":"C3D13FE58DE4C810","x-amz-id-2":"FMyUVURIY8Example"},"s3":{"s3SchemaVersion":"1.0","configurationId":"to-the-queue","bucket":{"name":"trail-bucket","ownerIdentity":{"principalId":"A3NL1EXAMPLE"},"arn":"arn:aws:s3:::trail-bucket"},"object":{"key":"AWSLogs/111122223333/CloudTrail/eu-central-1/2026/01/05/111122223333_CloudTrail_eu-central-1_20260105T1845Z_abc.json.gz","size":18231,"eTag":"d41d8cd98f00b204e9800998ecf8427e","sequencer":"0055AED6DCD90281E5"}}}]}"#;
const FILEBEAT: &str = r#"{"@timestamp":"2026-01-05T18:49:02.123Z","@metadata":{"beat":"filebeat","type":"_doc","version":"8.15.0"},"log":{"file":{"path":"/var/log/app/web.log"},"offset":1893457},"message":"2026-01-05 18:49:02 INFO  [http-nio-8080-exec-3] GET /orders/4711 200 17 ms user=jane.doe","input":{"type":"filestream"},"ecs":{"version":"8.0.0"},"host":{"name":"web-1"},"agent":{"type":"filebeat","version":"8.15.0","name":"web-1","id":"5f2c1f04-2d2f-4f0e-8a34-d9d1c1c3a9b0"}}"#;
const FLUENT_BIT: &str = r#"{"date":1767638942.123456,"stream":"stdout","logtag":"F","log":"2026-01-05 18:49:02 INFO GET /orders/4711 200 17 ms user=jane.doe","kubernetes":{"pod_name":"web-7d4b9c6f5-x2x4z","namespace_name":"shop","container_name":"web","labels":{"app":"web","pod-template-hash":"7d4b9c6f5"}}}"#;

fn one(shape: Shape) -> Vec<u8> {
    payloads(shape, 0.0, 1).pop().unwrap()
}

fn file_with_a_match() -> Vec<u8> {
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    payloads(Shape::S3File, 0.01, 50)
        .into_iter()
        .find(|file| {
            pipeline
                .process(file, &ORIGIN, &mut Outputs::default())
                .matched
                == 1
        })
        .unwrap()
}

/// What runs under valgrind: one case, so many times.
fn run(case: &Case, times: u32) {
    let config = Config {
        routes: vec![Route {
            format: case.format,
            ..Route::default()
        }],
        ..Config::default()
    };
    let mut pipeline = Pipeline::from_config(&config).unwrap();
    if case.looks_for_sequences {
        pipeline = pipeline.collecting_steps();
    }
    let payload = (case.payload)();
    let mut out = Outputs::default();
    counted_by_valgrind(&pipeline, &payload, &mut out, times);
    assert!(out.dead_letters.is_empty(), "{:?}", out.dead_letters);
}

/// The one function in which valgrind counts.
#[inline(never)]
fn counted_by_valgrind(pipeline: &Pipeline, payload: &[u8], out: &mut Outputs, times: u32) {
    for _ in 0..times {
        black_box(pipeline.process(black_box(payload), &ORIGIN, out));
        out.documents.clear();
    }
}

/// What one message costs.
fn cost(case: &Case) -> u64 {
    // So many that the first one, whose buffers are cold, is lost in it.
    let times: u32 = if case.is_matched { 100 } else { 1_000 };
    let output = Command::new(VALGRIND)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*counted_by_valgrind*")
        .arg(std::env::current_exe().unwrap())
        .args(["run", case.name, &times.to_string()])
        .output()
        .unwrap_or_else(|error| {
            panic!("{VALGRIND} did not start ({error}); install it with: bash tests/components/packages.sh bench")
        });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", case.name);
    let count = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.unwrap_or_else(|| panic!("{VALGRIND} gives no count: {said}"));
    count.trim().parse::<u64>().unwrap() / u64::from(times)
}

/// What the file says, by case.
fn baseline(text: &str) -> BTreeMap<&str, u64> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let (name, count) = line.rsplit_once(',')?;
            Some((name.trim_matches('"'), count.parse().ok()?))
        })
        .collect()
}

#[cfg(target_arch = "x86_64")]
fn is_comparable() -> bool {
    is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
const fn is_comparable() -> bool {
    false
}

/// Counts every case, and compares, or writes the file.
fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [command, name, times] = arguments.as_slice()
        && command == "run"
    {
        let case = CASES.iter().find(|case| case.name == name).unwrap();
        run(case, times.parse().unwrap());
        return ExitCode::SUCCESS;
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE);
    let is_blessing = std::env::var_os("TRAILTAG_BLESS").is_some();
    if !is_comparable() {
        println!("NOT COMPARED: {BASELINE} is of x86-64 with AVX2, and this processor is another");
    }
    let text = std::fs::read_to_string(&file).unwrap_or_default();
    let baseline = baseline(&text);
    let mut written = "case,instructions\n".to_owned();
    let mut is_good = true;
    for case in &CASES {
        let now = cost(case);
        let _ = writeln!(written, "\"{}\",{now}", case.name);
        let before = baseline.get(case.name).copied();
        #[allow(clippy::cast_precision_loss)] // they are far below 2^52
        let change = before.map(|before| (now as f64 / before as f64 - 1.0) * 100.0);
        let is_near = change.is_some_and(|change| change.abs() <= TOLERANCE);
        let change = change.map_or_else(|| "new".to_owned(), |change| format!("{change:+.1} %"));
        let mark = if is_near { "" } else { "  <--" };
        println!("{now:>10}  {change:>8}  {}{mark}", case.name);
        is_good &= is_near;
    }
    if is_blessing {
        std::fs::write(&file, written).unwrap();
    } else if is_comparable() && !is_good {
        eprintln!(
            "error: instruction counts differ by more than {TOLERANCE} %; if that is meant: make bench-bless"
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
