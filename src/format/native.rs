//! The native document: `{"event": <the original record>, "trailtag": {…}}`.
//!
//! The record is copied, not written anew: its digits, the order of its keys, its duplicates and its escapes stay.

use super::trailtag_block;
use crate::config::Route;
use crate::finding::Finding;

/// Appends the document. Errs only where `serde_json` does, which it does not when it writes these types to memory.
pub(super) fn write(
    route: &Route,
    finding: &Finding<'_>,
    out: &mut Vec<u8>,
) -> Result<(), serde_json::Error> {
    out.extend_from_slice(b"{\"event\":");
    out.extend_from_slice(finding.record.json.as_bytes());
    out.extend_from_slice(b",\"trailtag\":");
    trailtag_block::write(route, finding, out)?;
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloudtrail::envelope::{Envelope, RawRecord};
    use crate::cloudtrail::record::Record;
    use crate::config::Detail;
    use crate::config::Key;
    use crate::detection::{Context, Detector};
    use crate::model::Origin;
    use crate::remediation::Catalogue;
    use proptest::prelude::*;

    const ORIGIN: Origin<'static> = Origin {
        topic: "cloudtrail",
        partition: 3,
        offset: 1042,
        timestamp: Some(1_767_638_941_000),
    };

    fn with<T>(
        detector: &Detector,
        catalogue: &Catalogue,
        json: &str,
        look: impl FnOnce(&Finding<'_>) -> T,
    ) -> Option<T> {
        let raw = RawRecord {
            json: json.as_bytes(),
            envelope: Envelope::S3File,
            index: 7,
            envelope_time: None,
            custom: false,
        };
        let record = Record::parse(raw.json).unwrap();
        let detection = detector.evaluate(&record, Context::new(&ORIGIN, &raw))?;
        let advice = catalogue.select(&record, &detection.facts);
        Some(look(&Finding::new(
            &record, detection, advice, &ORIGIN, &raw,
        )))
    }

    fn bytes(finding: &Finding<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        crate::format::write(&Route::default(), finding, &mut out).unwrap();
        out
    }

    fn document(json: &str) -> Option<String> {
        let detector = Detector::load(&crate::config::Detection::default()).unwrap();
        let catalogue = Catalogue::load(None, Detail::Full).unwrap();
        with(&detector, &catalogue, json, bytes).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const IDENTITY: &str = r#""userIdentity":{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/eve","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"eve"}"#;
    const REQUEST: &str =
        r#""requestParameters":{"roleName":"web-role","instanceProfileName":"web"}"#;
    const ID: &str = r#""eventID":"6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11""#;

    fn record(identity: &str, errors: &str, request: &str, id: &str) -> String {
        let parts = [
            r#""eventVersion":"1.08""#,
            identity,
            r#""eventTime":"2026-01-05T18:49:01Z","eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"aws-cli/2.15.0""#,
            errors,
            request,
            r#""responseElements":null,"requestID":"0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f""#,
            id,
            r#""readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management""#,
        ];
        let said: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        format!("{{{}}}", said.join(","))
    }

    fn denial(resource: &str) -> String {
        let errors = format!(
            r#""errorCode":"AccessDenied","errorMessage":"User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: {resource} because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action""#
        );
        record(IDENTITY, &errors, r#""requestParameters":null"#, ID)
    }

    #[test]
    fn each_kind_of_record_has_its_document() {
        for (name, json) in [
            ("success", record(IDENTITY, "", REQUEST, ID)),
            ("denied_by_name", denial("instance profile web")),
            (
                "denied_by_arn",
                denial("arn:aws:iam::111122223333:instance-profile/app/web"),
            ),
            (
                "failed",
                record(
                    IDENTITY,
                    r#""errorCode":"NoSuchEntityException","errorMessage":"Instance Profile web cannot be found.""#,
                    REQUEST,
                    ID,
                ),
            ),
            (
                "without_identity",
                record(r#""userIdentity":null"#, "", REQUEST, ID),
            ),
            ("without_event_id", record(IDENTITY, "", REQUEST, "")),
        ] {
            let document = document(&json).unwrap();
            assert!(document.starts_with(&format!("{{\"event\":{json},\"trailtag\":")));
            serde_json::from_str::<serde_json::Value>(&document).unwrap();
            insta::assert_snapshot!(name, document);
        }
    }

    #[test]
    fn the_original_leaves_byte_for_byte() {
        let json = "{ \"z\" : 12345678901234567890123456789.50E+3,\n\t\"eventName\":\"\\u0052emoveRoleFromInstanceProfile\", \"a\":1 ,\"a\":2, \"eventSource\":\"iam.amazonaws.com\",\"e\":\"\\u00e9\\/\u{e9}\" }";
        let document = document(json).unwrap();
        assert!(document.starts_with(&format!("{{\"event\":{json},\"trailtag\":{{")));
    }

    #[test]
    fn look_alikes_have_no_document() {
        for json in [
            r#"{"eventSource":"iam.amazonaws.com","eventName":"removerolefrominstanceprofile"}"#,
            r#"{"eventSource":"IAM.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#,
            r#"{"eventSource":"ec2.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#,
            r#"{"eventSource":"iam.amazonaws.com","eventName":"PutRolePolicy","requestParameters":{"policyDocument":"{\"Action\":\"iam:RemoveRoleFromInstanceProfile\"}"}}"#,
            r#"{"eventName":"RemoveRoleFromInstanceProfile"}"#,
            "{}",
        ] {
            assert_eq!(document(json), None, "{json}");
        }
    }

    #[test]
    fn a_record_cannot_bring_its_own_facts() {
        let forged = r#""trailtag":{"outcome":"failed"},"trailtag.outcome":"failed""#;
        let document = document(&record(IDENTITY, forged, REQUEST, ID)).unwrap();
        assert!(document.contains(
            r#""severity":{"level":"medium","score":45,"factors":[{"id":"outcome.success","points":35},{"id":"actor.long_lived_key","points":10}]}"#
        ));
    }

    #[test]
    fn keys_and_headers_say_what_the_document_says() {
        let detector = Detector::load(&crate::config::Detection::default()).unwrap();
        let catalogue = Catalogue::load(None, Detail::Full).unwrap();
        with(
            &detector,
            &catalogue,
            &record(IDENTITY, "", REQUEST, ID),
            |finding| {
                assert_eq!(
                    finding.key(Key::EventId).as_deref(),
                    Some("6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11")
                );
                assert_eq!(finding.key(Key::AccountId).as_deref(), Some("111122223333"));
                assert_eq!(finding.key(Key::None), None);
                let route = Route {
                    headers: [("site".to_owned(), "a\u{1b}[2J\nb".to_owned())].into(),
                    ..Route::default()
                };
                let headers = crate::format::headers(&route, finding);
                let (_, site) = headers.iter().find(|(name, _)| name == "site").unwrap();
                assert_eq!(site, "a\\u{1b}[2J\\nb");
                assert_eq!(
                    crate::format::headers(&Route::default(), finding)
                        .iter()
                        .map(|(name, value)| (name.as_ref(), value.clone()))
                        .collect::<Vec<_>>(),
                    [
                        ("trailtag.severity", "medium".to_owned()),
                        (
                            "trailtag.rule",
                            "8c1f7a0e-4b7d-4e0b-9f55-2d6a3b1c9e47".to_owned()
                        ),
                        ("trailtag.format", "native".to_owned()),
                        ("trailtag.source", "cloudtrail/3/1042".to_owned()),
                        ("trailtag.version", env!("CARGO_PKG_VERSION").to_owned()),
                    ]
                );
            },
        )
        .unwrap();
    }

    #[test]
    fn the_real_records_are_found_when_they_are_there() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../shared/samples/invictus-ir__aws_dataset.ndjson");
        let Ok(lines) = std::fs::read_to_string(path) else {
            return;
        };
        let detector = Detector::load(&crate::config::Detection::default()).unwrap();
        let catalogue = Catalogue::load(None, Detail::Full).unwrap();
        let found = lines
            .lines()
            .filter(|line| {
                with(&detector, &catalogue, line, |finding| {
                    assert_eq!(finding.detection.severity.score, 35, "{line}");
                    assert!(finding.detection.facts.insufficient.is_empty(), "{line}");
                    assert!(bytes(finding).starts_with(format!("{{\"event\":{line},").as_bytes()));
                })
                .is_some()
            })
            .count();
        assert_eq!(found, 3);
    }

    proptest! {
        #[test]
        fn the_same_record_makes_the_same_bytes(
            name in any::<String>(),
            code in prop::option::of("[A-Za-z.]{0,24}"),
            extra in any::<f64>().prop_filter("JSON has no such number", |number| number.is_finite()),
        ) {
            let json = serde_json::json!({
                "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile", "extra": extra,
                "errorCode": code, "userIdentity": {"type": "IAMUser", "userName": name},
                "requestParameters": {"instanceProfileName": name, "roleName": name},
            }).to_string();
            let first = document(&json).unwrap();
            let second = document(&json).unwrap();
            prop_assert_eq!(&first, &second);
            let parsed: serde_json::Value = serde_json::from_str(&first).unwrap();
            let want: serde_json::Value = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(&parsed["event"], &want);
            prop_assert_eq!(&parsed["trailtag"]["event_id_source"], "hash");
        }
    }
}
