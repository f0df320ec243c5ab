//! Real CloudTrail records, where they are at hand: none is rejected, and each is what it is.

use std::path::Path;

use trailtag::cloudtrail::envelope::{Element, Limits, Scratch, Skip, open};
use trailtag::cloudtrail::record::{EventNames, Record};
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline, Tally};

/// Beside the repository, not in it: the records belong to others.
const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/samples");

const LIMITS: Limits = Limits {
    decoded_bytes: 1 << 20,
    depth: 6,
    validate: true,
};

#[test]
fn every_real_record_is_read_and_the_three_of_ours_are_found() {
    let Ok(folder) = std::fs::read_dir(Path::new(SAMPLES)) else {
        return;
    };
    let mut scratch = Scratch::default();
    let (mut lines, mut ours) = (0, 0);
    for entry in folder {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "ndjson")
        {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_notification = name.starts_with("aws-service-notification");
        let text = std::fs::read(&path).unwrap();
        let mut one_by_one = 0;
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            lines += 1;
            let mut elements = 0;
            open(line, &LIMITS, &mut scratch, &mut |element| {
                elements += 1;
                match element {
                    Element::Record(record) => {
                        assert!(!is_notification, "{name}:{number}");
                        assert_eq!(record.json, line);
                        let names = EventNames::parse(record.json).unwrap();
                        let parsed = Record::parse(record.json).unwrap();
                        assert_eq!(names.event_name.as_deref(), parsed.text(&["eventName"]));
                        ours += usize::from(
                            names.event_name.as_deref() == Some("RemoveRoleFromInstanceProfile")
                                && names.event_source.as_deref() == Some("iam.amazonaws.com"),
                        );
                    }
                    Element::Skipped(Skip::Notification) => {
                        assert!(is_notification, "{name}:{number}");
                    }
                    Element::Skipped(Skip::Insight) => {
                        assert!(name.starts_with("boogy"), "{name}:{number}");
                    }
                    other => panic!("{name}:{number}: {other:?}"),
                }
            });
            assert_eq!(elements, 1, "{name}:{number}");
            one_by_one += elements;
        }
        // The same as one message of many lines.
        let mut at_once = 0;
        open(&text, &LIMITS, &mut scratch, &mut |element| {
            assert!(
                !matches!(element, Element::Rejected(_)),
                "{name}: {element:?}"
            );
            at_once += 1;
        });
        assert_eq!(at_once, one_by_one, "{name}");
    }
    assert!(lines > 3_500, "{lines} lines");
    assert_eq!(ours, 3);
}

/// The same records through the whole pipeline, as `trailtag process` does it.
#[test]
fn every_real_record_is_processed_without_a_dead_letter() {
    let Ok(folder) = std::fs::read_dir(Path::new(SAMPLES)) else {
        return;
    };
    let pipeline = Pipeline::from_config(&Config::default()).unwrap();
    let mut outputs = Outputs::default();
    let mut sum = Tally::default();
    for entry in folder {
        let path = entry.unwrap().path();
        let Some(topic) = path.to_str().filter(|path| path.ends_with(".ndjson")) else {
            continue;
        };
        let text = std::fs::read(&path).unwrap();
        for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let offset = i64::try_from(number).unwrap();
            let origin = Origin {
                topic,
                partition: 0,
                offset,
                timestamp: None,
            };
            sum.add(&pipeline.process(line, &origin, &mut outputs));
            assert!(
                outputs.dead_letters.is_empty(),
                "{topic}:{number}: {:?}",
                outputs.dead_letters
            );
        }
    }
    assert!(sum.records() > 3_500, "{sum:?}");
    assert_eq!(sum.matched, 3);
    assert_eq!(outputs.documents.len(), 3);
    for document in &outputs.documents {
        let document: serde_json::Value = serde_json::from_slice(&document.payload).unwrap();
        let ours = &document["trailtag"];
        // All three are a `terraform destroy` that went through.
        assert_eq!(ours["outcome"], "success");
        assert_eq!(ours["severity"]["score"], 35);
        assert!(
            ours["target"]["instance_profile"]
                .as_str()
                .unwrap()
                .starts_with("stratus-red-team")
        );
        assert_eq!(ours["insufficient"], serde_json::json!([]));
    }
}
