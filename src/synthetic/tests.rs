use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;

const SHAPES: [Shape; 4] = [
    Shape::Record,
    Shape::S3File,
    Shape::EventBridge,
    Shape::CloudWatch,
];

/// The payloads that hold `records` records.
fn payloads(options: Options, records: u64) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(&options);
    let mut left = records;
    let mut all = Vec::new();
    while left > 0 {
        let mut payload = Vec::new();
        left -= generator.write(left, &mut payload);
        all.push(payload);
    }
    all
}

fn records(seed: u64, match_rate: f64, records: u64) -> Vec<Vec<u8>> {
    let options = Options {
        seed,
        match_rate,
        shape: Shape::Record,
    };
    payloads(options, records)
}

fn value(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(bytes)))
}

fn text<'a>(record: &'a Value, pointer: &str) -> &'a str {
    record
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or("")
}

/// The records within a payload of any shape.
fn unpacked(shape: Shape, payload: &[u8]) -> Vec<Value> {
    let mut payload = value(payload);
    match shape {
        Shape::Record => vec![payload],
        Shape::S3File => payload["Records"].as_array().unwrap().clone(),
        Shape::EventBridge => vec![payload["detail"].take()],
        Shape::CloudWatch => payload["logEvents"]
            .as_array()
            .unwrap()
            .iter()
            .map(|event| value(text(event, "/message").as_bytes()))
            .collect(),
    }
}

fn is_removal(record: &Value) -> bool {
    text(record, "/eventName") == "RemoveRoleFromInstanceProfile"
        && text(record, "/eventSource") == "iam.amazonaws.com"
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    // A change here is a change of `FORMAT`.
    let hashes: Vec<String> = SHAPES
        .iter()
        .map(|&shape| {
            let options = Options {
                seed: 1,
                match_rate: 0.05,
                shape,
            };
            let mut hash = Sha256::new();
            for payload in payloads(options, 1_000) {
                hash.update(&payload);
                hash.update(b"\n");
            }
            let [a, b, c, d, ..] = hash.finalize().0;
            format!("{a:02x}{b:02x}{c:02x}{d:02x}")
        })
        .collect();
    assert_eq!(
        (FORMAT, hashes.join(" ").as_str()),
        (1, "35e6e378 41a7a951 aef8bd22 89472f5c")
    );
}

#[test]
fn another_seed_gives_other_bytes() {
    assert_ne!(records(1, 0.0, 10), records(2, 0.0, 10));
}

#[test]
fn records_are_as_large_as_real_ones() {
    for seed in 1..4 {
        let sizes: Vec<usize> = records(seed, 0.001, 10_000).iter().map(Vec::len).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        let (least, most) = (sizes.iter().min().unwrap(), sizes.iter().max().unwrap());
        assert!(
            (1_000..=2_500).contains(least),
            "the smallest is {least} bytes"
        );
        assert!(
            (1_000..=2_500).contains(most),
            "the largest is {most} bytes"
        );
        assert!((1_300..=1_500).contains(&mean), "the mean is {mean} bytes");
    }
    let sizes: Vec<usize> = records(9, 1.0, 5_000).iter().map(Vec::len).collect();
    assert!(
        sizes.iter().all(|size| (1_000..=2_500).contains(size)),
        "{:?} {:?}",
        sizes.iter().min(),
        sizes.iter().max()
    );
}

#[test]
fn event_ids_are_unique_uuids_of_version_4() {
    let mut seen = HashSet::new();
    for record in records(5, 0.01, 100_000) {
        let at = memchr::memmem::rfind(&record, br#""eventID":""#).unwrap() + 11;
        let id = std::str::from_utf8(&record[at..at + 36])
            .unwrap()
            .to_owned();
        let form: String = id
            .chars()
            .map(|c| if c.is_ascii_hexdigit() { 'x' } else { c })
            .collect();
        assert_eq!(form, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
        assert_eq!(&id[14..15], "4");
        assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"));
        assert!(seen.insert(id), "an eventID came twice");
    }
}

#[test]
fn every_record_is_a_record_in_cloudtrails_own_form() {
    let mut names = BTreeSet::new();
    let mut identities = BTreeMap::<String, u32>::new();
    let mut before = String::new();
    let mut failed = 0;
    for bytes in records(3, 0.01, 20_000) {
        assert!(bytes.starts_with(br#"{"eventVersion":"1."#));
        assert!(
            memchr::memchr3(b'\n', b'\t', b'%', &bytes)
                .is_none_or(|at| bytes[at..].starts_with(b"%23"))
        );
        let record = value(&bytes);
        assert_eq!(
            serde_json::to_vec(&record).unwrap().len(),
            bytes.len(),
            "not compact"
        );
        let time = text(&record, "/eventTime").to_owned();
        assert!(before <= time, "time ran back from {before} to {time}");
        let began = text(
            &record,
            "/userIdentity/sessionContext/attributes/creationDate",
        );
        assert!(began < time.as_str());
        before = time;
        for pointer in [
            "/eventSource",
            "/eventName",
            "/awsRegion",
            "/sourceIPAddress",
            "/userAgent",
            "/requestID",
            "/eventID",
            "/eventType",
            "/recipientAccountId",
            "/eventCategory",
            "/userIdentity/type",
        ] {
            assert_ne!(text(&record, pointer), "", "{pointer} in {record}");
        }
        if text(&record, "/errorCode") == "AccessDenied" {
            assert!(record["requestParameters"].is_null());
        }
        failed += u32::from(record.get("errorCode").is_some());
        names.insert((
            text(&record, "/eventSource").to_owned(),
            text(&record, "/eventName").to_owned(),
        ));
        *identities
            .entry(text(&record, "/userIdentity/type").to_owned())
            .or_default() += 1;
    }
    assert!(names.len() >= 50, "{} names", names.len());
    assert!((400..2_000).contains(&failed), "{failed} of 20,000 failed");
    for kind in ["IAMUser", "AssumedRole", "AWSService", "Root"] {
        assert!(identities.contains_key(kind), "no {kind} in {identities:?}");
    }
}

#[test]
fn the_match_rate_is_kept_exactly() {
    for (rate, of, expected) in [
        (0.0, 5_000, 0),
        (0.001, 10_000, 10),
        (0.01, 5_000, 50),
        (0.5, 2_000, 1_000),
        (1.0, 1_000, 1_000),
    ] {
        let found = records(8, rate, of)
            .iter()
            .filter(|bytes| is_removal(&value(bytes)))
            .count();
        assert_eq!(found, expected, "at a rate of {rate}");
    }
}

#[test]
fn removals_come_in_every_way_in_which_they_happen() {
    let removals: Vec<Value> = records(2, 1.0, 2_000)
        .iter()
        .map(|bytes| value(bytes))
        .collect();
    let any = |test: &dyn Fn(&Value) -> bool| removals.iter().any(test);
    let agent =
        |part: &'static str| move |record: &Value| text(record, "/userAgent").contains(part);
    assert!(removals.iter().all(is_removal));
    assert!(any(&agent("Terraform/")));
    assert!(any(&agent("distrib#kali")));
    assert!(any(&agent("cloudformation.amazonaws.com")));
    assert!(any(&agent("command#iam.remove-role-from-instance-profile")));
    assert!(any(&|record| text(record, "/userIdentity/type") == "Root"));
    assert!(any(
        &|record| text(record, "/userIdentity/arn").contains("/AWSReservedSSO_")
    ));
    assert!(any(&|record| text(
        record,
        "/userIdentity/sessionContext/ec2RoleDelivery"
    ) == "2.0"));
    assert!(any(
        &|record| text(record, "/userIdentity/accessKeyId").starts_with("AKIA")
    ));
    assert!(any(
        &|record| text(record, "/sessionCredentialFromConsole") == "true"
    ));
    assert!(any(&|record| text(record, "/awsRegion") == "us-gov-west-1"));
    assert!(any(&|record| text(record, "/errorCode")
        == "NoSuchEntityException"
        && record["requestParameters"].is_object()));
    assert!(any(&|record| text(record, "/errorCode") == "AccessDenied"
        && text(record, "/errorMessage")
            .contains("on resource: instance profile ")
        && record["requestParameters"].is_null()));
    for record in removals
        .iter()
        .filter(|record| record["requestParameters"].is_object())
    {
        assert_eq!(record["requestParameters"].as_object().unwrap().len(), 2);
    }
}

#[test]
fn some_records_name_the_event_and_are_another() {
    let look_alikes = records(1, 0.0, 60_000)
        .iter()
        .filter(|bytes| memchr::memmem::find(bytes, b"RemoveRoleFromInstanceProfile").is_some())
        .map(|bytes| value(bytes))
        .filter(|record| !is_removal(record))
        .count();
    assert!((1..=12).contains(&look_alikes), "{look_alikes} of 60,000");
}

#[test]
fn every_shape_carries_the_same_records() {
    let plain: Vec<Value> = records(4, 0.1, 230)
        .iter()
        .map(|bytes| value(bytes))
        .collect();
    for (shape, messages) in [(Shape::S3File, 3), (Shape::CloudWatch, 10)] {
        let options = Options {
            seed: 4,
            match_rate: 0.1,
            shape,
        };
        let payloads = payloads(options, 230);
        assert_eq!(payloads.len(), messages);
        let carried: Vec<Value> = payloads
            .iter()
            .flat_map(|payload| unpacked(shape, payload))
            .collect();
        assert_eq!(carried, plain);
    }
}

#[test]
fn an_eventbridge_event_says_what_its_record_says() {
    let options = Options {
        seed: 4,
        match_rate: 0.1,
        shape: Shape::EventBridge,
    };
    let payloads = payloads(options, 230);
    assert_eq!(payloads.len(), 230);
    let mut removals = 0;
    for payload in payloads {
        let event = value(&payload);
        assert!(text(&event, "/detail-type").ends_with(" via CloudTrail"));
        assert_eq!(event["account"], event["detail"]["recipientAccountId"]);
        assert_eq!(event["region"], event["detail"]["awsRegion"]);
        assert_eq!(event["time"], event["detail"]["eventTime"]);
        assert_ne!(event["id"], event["detail"]["eventID"]);
        assert_eq!(
            format!(
                "{}.amazonaws.com",
                text(&event, "/source").trim_start_matches("aws.")
            ),
            text(&event, "/detail/eventSource")
        );
        removals += u32::from(is_removal(&event["detail"]));
    }
    assert_eq!(removals, 23);
}

#[test]
fn nothing_is_written_when_nothing_is_wanted() {
    let mut payload = b"before".to_vec();
    assert_eq!(
        Generator::new(&Options::default()).write(0, &mut payload),
        0
    );
    assert!(payload.is_empty());
}

#[test]
fn without_sequels_a_seed_gives_what_it_gave() {
    let options = Options {
        match_rate: 0.1,
        ..Options::default()
    };
    let bytes = |mut generator: Generator| {
        let (mut all, mut payload) = (Vec::new(), Vec::new());
        for _ in 0..2_000 {
            generator.write(1, &mut payload);
            all.extend_from_slice(&payload);
        }
        all
    };
    let plain = bytes(Generator::new(&options));
    assert_eq!(bytes(Generator::new(&options).with_sequels(0.0, 1)), plain);
    let sequels = bytes(Generator::new(&options).with_sequels(1.0, 1));
    assert_ne!(sequels, plain);
    assert_eq!(
        bytes(Generator::new(&options).with_sequels(1.0, 1)),
        sequels
    );
}

#[test]
fn what_follows_a_removal_is_of_the_same_profile_and_comes_in_time() {
    let mut generator = Generator::new(&Options {
        match_rate: 0.01,
        ..Options::default()
    })
    .with_sequels(1.0, 1);
    let mut removed = std::collections::BTreeMap::new();
    let (mut counts, mut payload) = ([0_u32; 4], Vec::new());
    for _ in 0..60_000 {
        generator.write(1, &mut payload);
        let record: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let of = |pointer: &str| {
            record
                .pointer(pointer)
                .unwrap()
                .as_str()
                .unwrap()
                .to_owned()
        };
        let name = of("/eventName");
        let is_ours = name == "RemoveRoleFromInstanceProfile" && record["errorCode"].is_null();
        let follows =
            ["AddRoleToInstanceProfile", "DeleteInstanceProfile"].contains(&name.as_str());
        if !is_ours && (!follows || !record["errorCode"].is_null()) {
            continue;
        }
        let time = humantime::parse_rfc3339(&of("/eventTime")).unwrap();
        let key = (
            of("/recipientAccountId"),
            of("/requestParameters/instanceProfileName"),
        );
        if is_ours {
            counts[0] += 1;
            removed.insert(
                key,
                (
                    time,
                    of("/requestParameters/roleName"),
                    record["userIdentity"]["principalId"].clone(),
                ),
            );
            continue;
        }
        // The ordinary calls have additions of their own.
        let Some((before, role, principal)) = removed.get(&key) else {
            continue;
        };
        if *principal != record["userIdentity"]["principalId"] {
            continue;
        }
        let gap = time.duration_since(*before).unwrap().as_secs();
        let place = if name == "DeleteInstanceProfile" {
            assert!(gap <= 4, "{gap}");
            1
        } else if of("/requestParameters/roleName") == *role {
            assert!((19..=241).contains(&gap), "{gap}");
            2
        } else {
            assert!((3..=41).contains(&gap), "{gap}");
            3
        };
        counts[place] += 1;
        // An ordinary call of that name may be about the same profile later.
        removed.remove(&key);
    }
    let [removals, teardowns, restores, swaps] = counts;
    assert!(
        teardowns > removals / 3 && teardowns < removals * 2 / 3,
        "{counts:?}"
    );
    assert!(
        restores > removals / 8 && swaps > removals / 8,
        "{counts:?}"
    );
}
