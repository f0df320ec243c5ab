use super::*;
use crate::cloudtrail::envelope::{Envelope, RawRecord};
use crate::cloudtrail::record::Record;
use crate::detection::{Context, Detector};
use crate::format::Format;
use crate::pipeline::Origin;
use crate::remediation::{Catalogue, Detail};
use proptest::prelude::*;
use serde_json::{Value, json};

const ORIGIN: Origin<'static> = Origin {
    topic: "cloudtrail",
    partition: 3,
    offset: 1042,
    timestamp: None,
};

/// A rule of a user's, for a sibling of our event.
const SIBLING: &str = r"
title: A role is put into an instance profile
id: 5f8a2a52-6a0f-4f0c-9a62-0f3f8f4c2d11
status: experimental
logsource: {product: aws, service: cloudtrail}
detection:
    selection: {eventSource: iam.amazonaws.com, eventName: AddRoleToInstanceProfile}
    condition: selection
level: medium
tags: [attack.privilege-escalation, attack.persistence, attack.t1098.003]
";

struct Site {
    detector: Detector,
    catalogue: Catalogue,
    _rules: tempfile::TempDir,
}

impl Site {
    fn new(detail: Detail) -> Self {
        let rules = tempfile::tempdir().unwrap();
        let sibling = rules.path().join("sibling.yml");
        std::fs::write(&sibling, SIBLING).unwrap();
        let detection = crate::config::Detection {
            rules: vec![sibling],
            ..Default::default()
        };
        Self {
            detector: Detector::load(&detection).unwrap(),
            catalogue: Catalogue::load(None, detail).unwrap(),
            _rules: rules,
        }
    }

    fn look<T>(&self, json: &str, origin: &Origin<'_>, look: impl FnOnce(&Finding<'_>) -> T) -> T {
        let raw = RawRecord {
            json: json.as_bytes(),
            envelope: Envelope::Record,
            index: 0,
            envelope_time: None,
            custom: false,
        };
        let record = Record::parse(raw.json).unwrap();
        let detection = self
            .detector
            .evaluate(&record, Context::of(origin, &raw))
            .unwrap();
        let advice = self.catalogue.select(&record, &detection.facts);
        look(&Finding::new(&record, detection, advice, origin, &raw))
    }

    fn write(&self, route: &Route, json: &str) -> String {
        self.look(json, &ORIGIN, |finding| written(route, finding))
    }

    fn parsed(&self, json: &str) -> Value {
        serde_json::from_str(&self.write(&route(Format::SplunkHec), json)).unwrap()
    }
}

fn written(route: &Route, finding: &Finding<'_>) -> String {
    let mut out = Vec::new();
    crate::format::write(route, finding, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn route(format: Format) -> Route {
    Route {
        format,
        ..Route::default()
    }
}

const USER: &str = r#"{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/eve","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"eve"}"#;
const ROOT: &str = r#"{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":"","sessionContext":{"attributes":{"creationDate":"2026-01-05T18:00:00Z","mfaAuthenticated":"false"}}}"#;
const SSO: &str = r#"{"type":"AssumedRole","principalId":"AROACKCEVSQ6C2EXAMPLE:eve@example.com","arn":"arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Ops_0123456789abcdef/eve@example.com","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Ops_0123456789abcdef","accountId":"111122223333","userName":"AWSReservedSSO_Ops_0123456789abcdef"},"attributes":{"creationDate":"2026-01-05T18:00:00Z","mfaAuthenticated":"false"}}}"#;
const STACK: &str = r#"{"type":"AssumedRole","principalId":"AROACKCEVSQ6C2EXAMPLE:eve","arn":"arn:aws:sts::111122223333:assumed-role/ops/eve","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","principalId":"AROACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:role/ops","accountId":"111122223333","userName":"ops"},"attributes":{"creationDate":"2026-01-05T18:00:00Z","mfaAuthenticated":"false"}},"invokedBy":"cloudformation.amazonaws.com"}"#;
const TERRAFORM: &str = "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.31.0";
const REQUEST: &str = r#"{"roleName":"web-role","instanceProfileName":"web"}"#;
const REMOVE: &str = "RemoveRoleFromInstanceProfile";

/// A record in the shape of a real one.
fn record(name: &str, identity: &str, agent: &str, request: &str, rest: &str) -> String {
    let address = if agent.ends_with(".amazonaws.com") {
        agent
    } else {
        "203.0.113.7"
    };
    format!(
        r#"{{"eventVersion":"1.11","userIdentity":{identity},"eventTime":"2026-01-05T18:49:01Z","eventSource":"iam.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"{address}","userAgent":"{agent}",{rest}"requestParameters":{request},"responseElements":null,"requestID":"0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f","eventID":"6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
}

fn records() -> [(&'static str, String); 7] {
    let cloudformation = "cloudformation.amazonaws.com";
    let denied = r#""errorCode":"AccessDenied","errorMessage":"User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile web because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action","#;
    let console = r#""sessionCredentialFromConsole":"true","#;
    let cli = "aws-cli/2.15.0";
    [
        (
            "terraform_by_user_key",
            record(REMOVE, USER, TERRAFORM, REQUEST, ""),
        ),
        ("root_without_mfa", record(REMOVE, ROOT, cli, REQUEST, "")),
        (
            "denied_without_parameters",
            record(REMOVE, USER, cli, "null", denied),
        ),
        (
            "sso_in_the_console",
            record(REMOVE, SSO, "Mozilla/5.0", REQUEST, console),
        ),
        (
            "cloudformation",
            record(REMOVE, STACK, cloudformation, REQUEST, ""),
        ),
        ("without_identity", record(REMOVE, "null", cli, REQUEST, "")),
        (
            "sibling",
            record("AddRoleToInstanceProfile", USER, cli, REQUEST, ""),
        ),
    ]
}

/// The short keys of ours.
const OURS: [&str; 8] = [
    "severity",
    "risk_score",
    "severity_factors",
    "mitre_technique_id",
    "signature",
    "signature_id",
    "remediation_id",
    "trailtag",
];

/// The record that stands in an event, with every byte: what is before ours, which `key` begins, and the brace.
fn original(event: &str, key: &str) -> String {
    let at = event.rfind(key).unwrap();
    format!("{}}}", &event[..at])
}

/// The event of an envelope, with every byte.
fn event(document: &str) -> &str {
    let envelope: std::collections::HashMap<&str, &serde_json::value::RawValue> =
        serde_json::from_str(document).unwrap();
    envelope["event"].get()
}

fn assert_collector_takes(document: &str) {
    let envelope: Value = serde_json::from_str(document).unwrap();
    for (key, value) in envelope.as_object().unwrap() {
        match key.as_str() {
            "time" => assert!(value.as_f64().unwrap() > 0.0),
            "host" | "source" | "sourcetype" | "index" => assert_ne!(value.as_str().unwrap(), ""),
            "event" => assert!(value.is_object()),
            "fields" => {
                for (name, field) in value.as_object().unwrap() {
                    assert_ne!(field.as_str().unwrap(), "", "{name}");
                }
            }
            _ => panic!("the collector knows no {key}"),
        }
    }
    assert_no_key_twice(document);
}

/// Of the envelope, of `fields` and at the top of the event.
fn assert_no_key_twice(document: &str) {
    fn keys(json: &str) -> Vec<String> {
        struct Keys(Vec<String>);
        impl<'de> serde::Deserialize<'de> for Keys {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Visitor;
                impl<'de> serde::de::Visitor<'de> for Visitor {
                    type Value = Keys;
                    fn expecting(
                        &self,
                        formatter: &mut std::fmt::Formatter<'_>,
                    ) -> std::fmt::Result {
                        formatter.write_str("an object")
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<Keys, A::Error> {
                        let mut keys = Vec::new();
                        while let Some((key, _)) =
                            map.next_entry::<String, serde::de::IgnoredAny>()?
                        {
                            keys.push(key);
                        }
                        Ok(Keys(keys))
                    }
                }
                deserializer.deserialize_map(Visitor)
            }
        }
        serde_json::from_str::<Keys>(json).unwrap().0
    }
    for json in [document, event(document)] {
        let mut keys = keys(json);
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{json}");
    }
}

#[test]
fn each_kind_of_record_has_its_event() {
    let site = Site::new(Detail::Ids);
    for (name, json) in records() {
        let hec = site.write(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        assert_eq!(original(event(&hec), ",\"severity\":\""), json);
        let raw = site.write(&route(Format::SplunkRaw), &json);
        assert_eq!(event(&hec), raw, "the event is the same in both forms");
        insta::assert_snapshot!(name, hec);
    }
}

#[test]
fn the_whole_remediation_has_room() {
    let site = Site::new(Detail::Full);
    for (name, json) in records() {
        let hec = site.write(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        // The add-on for AWS takes events up to 8 MB, and Splunk's web pages show up to 100 KB at once.
        assert!(hec.len() < 100_000, "{name} has {} bytes", hec.len());
        // Splunk looks for fields in the first 10,240 characters: ours must be there, up to who and what.
        let event = event(&hec);
        for key in [
            "\"risk_score\":",
            "\"trailtag\":{",
            "\"actor\":{",
            "\"target\":{",
        ] {
            assert!(event.find(key).unwrap() < 10_240, "{name} {key}");
        }
    }
}

#[test]
fn the_original_leaves_byte_for_byte() {
    let site = Site::new(Detail::Ids);
    for json in [
        // Digits, order, duplicates, escapes, white space before the end.
        "{ \"z\" : 12345678901234567890123456789.50E+3,\n\t\"eventName\":\"\\u0052emoveRoleFromInstanceProfile\", \"a\":1 ,\"a\":2, \"eventSource\":\"iam.amazonaws.com\",\"e\":\"\\u00e9\\/\u{e9}\" \r\n}",
        "\n {\"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"RemoveRoleFromInstanceProfile\",\"requestParameters\":{\"x\":\"}\"}}",
    ] {
        for format in [Format::SplunkHec, Format::SplunkRaw] {
            let document = site.write(&route(format), json);
            let event = match format {
                Format::SplunkHec => document.split_once("\"event\":").unwrap().1,
                _ => document.as_str(),
            };
            assert_eq!(original(event, ",\"severity\":\""), json, "{document}");
        }
    }
    // White space around a record is none of it.
    let json = "{\"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"RemoveRoleFromInstanceProfile\"} \n\t";
    let document = site.write(&route(Format::SplunkRaw), json);
    assert_eq!(original(&document, ",\"severity\":\""), json.trim_end());
}

#[test]
fn ours_stand_in_an_empty_record_too() {
    // No rule of ours matches one; the text of the record is all that is of interest here.
    let site = Site::new(Detail::Ids);
    for (json, want) in [
        ("{}", "{\"severity\":\"low\","),
        ("{ \n }", "{ \n \"severity\":\"low\","),
        ("{} ", "{\"severity\":\"low\","),
        ("{\"a\":{}}", "{\"a\":{},\"severity\":\"low\","),
        ("[]", "[]"),
        ("7 ", "7"),
    ] {
        let empty = Record::parse(json.as_bytes()).unwrap();
        let event = site.look(
            &record(REMOVE, USER, TERRAFORM, REQUEST, ""),
            &ORIGIN,
            |finding| {
                let mut finding = finding.clone();
                finding.record = &empty;
                written(&route(Format::SplunkRaw), &finding)
            },
        );
        assert!(event.starts_with(want), "{json} became {event}");
        serde_json::from_str::<Value>(&event).unwrap();
    }
}

#[test]
fn a_record_that_has_a_key_of_ours_keeps_it_and_loses_none_of_ours() {
    let site = Site::new(Detail::Ids);
    let plain = record(REMOVE, USER, TERRAFORM, REQUEST, "");
    let ours = site.parsed(&plain)["event"].clone();
    let taken = OURS.map(|key| format!("\"{key}\":\"forged\","));
    let mut taken = taken.concat();
    taken.push_str(r#""\u0073everity_":0,"trailtag_":{},"trailtag__":1,"#);
    let json = record(REMOVE, USER, TERRAFORM, REQUEST, &taken);
    let hec = site.write(&route(Format::SplunkHec), &json);
    assert_collector_takes(&hec);
    assert_eq!(original(event(&hec), ",\"severity__\":\""), json);
    let theirs: Value = serde_json::from_str(event(&hec)).unwrap();
    for key in OURS {
        let name = match key {
            "severity" => "severity__".to_owned(),
            "trailtag" => "trailtag___".to_owned(),
            _ => format!("{key}_"),
        };
        assert_eq!(theirs[key], "forged");
        assert_eq!(theirs.get(&name), ours.get(key), "{key}");
    }
}

#[test]
fn the_time_is_seconds_with_what_decimals_there_are() {
    let site = Site::new(Detail::Ids);
    for (text, want) in [
        ("2026-01-05T18:49:01Z", Some("1767638941")),
        ("2026-01-05T18:49:01.123Z", Some("1767638941.123")),
        ("2026-01-05T18:49:01.100Z", Some("1767638941.1")),
        ("2026-01-05T18:49:01.001Z", Some("1767638941.001")),
        ("9999-12-31T23:59:59.999Z", Some("253402300799.999")),
        ("1970-01-01T00:00:00.001Z", Some("0.001")),
        ("yesterday", None),
    ] {
        let json =
            record(REMOVE, USER, TERRAFORM, REQUEST, "").replace("2026-01-05T18:49:01Z", text);
        let hec = site.write(&route(Format::SplunkHec), &json);
        match want {
            Some(want) => assert!(
                hec.starts_with(&format!("{{\"time\":{want},\"host\":")),
                "{hec}"
            ),
            None => assert!(hec.starts_with("{\"host\":"), "{hec}"),
        }
    }
    // Where only the message knows, it may know nonsense.
    for (timestamp, want) in [(-1, ""), (i64::MAX, ""), (2_500, "\"time\":2.5,")] {
        let json =
            r#"{"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#;
        let origin = Origin {
            timestamp: Some(timestamp),
            ..ORIGIN
        };
        let hec = site.look(json, &origin, |finding| {
            written(&route(Format::SplunkHec), finding)
        });
        assert!(hec.starts_with(&format!("{{{want}\"source\":")), "{hec}");
    }
}

#[test]
fn a_route_says_where_its_events_belong() {
    let site = Site::new(Detail::Ids);
    let json = record(REMOVE, USER, TERRAFORM, REQUEST, "");
    let mut route = Route {
        format: Format::SplunkHec,
        splunk_index: "aws \"audit\"".into(),
        splunk_source: "trailtag:prod".into(),
        splunk_sourcetype: "trailtag".into(),
        fields: [("env", "prod"), ("team", ""), ("trailtag_severity", "none")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Route::default()
    };
    let hec = site.write(&route, &json);
    assert_collector_takes(&hec);
    assert!(hec.starts_with(
        r#"{"time":1767638941,"host":"111122223333","source":"trailtag:prod","sourcetype":"trailtag","index":"aws \"audit\"","event":{"eventVersion""#
    ));
    assert!(hec.ends_with(
        r#","fields":{"trailtag_severity":"low","trailtag_risk_score":"35","trailtag_rule_id":"8c1f7a0e-4b7d-4e0b-9f55-2d6a3b1c9e47","trailtag_outcome":"success","trailtag_event_id":"6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11","env":"prod"}}"#
    ), "{hec}");
    let headers = |route: &Route| {
        site.look(&json, &ORIGIN, |finding| {
            crate::format::headers(route, finding)
        })
    };
    assert_eq!(headers(&route), [], "the envelope says it");
    route.format = Format::SplunkRaw;
    let text = |(name, value): (&'static str, &str)| (name, value.to_owned());
    assert_eq!(
        headers(&route),
        [
            ("splunk.header.host", "111122223333"),
            ("splunk.header.source", "trailtag:prod"),
            ("splunk.header.sourcetype", "trailtag"),
            ("splunk.header.index", "aws \"audit\""),
        ]
        .map(text)
    );
    route.splunk_index.clear();
    route.splunk_source.clear();
    route.splunk_sourcetype.clear();
    assert_eq!(
        headers(&route),
        [("splunk.header.host", "111122223333")].map(text)
    );
}

#[test]
fn nothing_known_leaves_an_event_alone() {
    let site = Site::new(Detail::Ids);
    let mut route = route(Format::SplunkHec);
    route.splunk_source.clear();
    route.splunk_sourcetype.clear();
    let json = r#"{"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#;
    let hec = site.write(&route, json);
    assert!(hec.starts_with(r#"{"event":{"eventSource":"#), "{hec}");
    assert_collector_takes(&hec);
}

#[test]
fn techniques_are_a_list_in_the_event_and_one_string_beside_it() {
    let site = Site::new(Detail::Ids);
    let sibling = site.look(&records()[6].1, &ORIGIN, |finding| {
        let mut finding = finding.clone();
        let mut other = finding.detection.attack[0];
        other.technique = "T1078.004";
        finding.detection.attack.push(other);
        written(&route(Format::SplunkHec), &finding)
    });
    let hec: Value = serde_json::from_str(&sibling).unwrap();
    assert_eq!(
        hec["event"]["mitre_technique_id"],
        json!(["T1098.003", "T1078.004"])
    );
    assert_eq!(
        hec["fields"]["trailtag_mitre_technique_id"],
        "T1098.003,T1078.004"
    );
}

#[test]
fn hostile_records_leave_whole() {
    let site = Site::new(Detail::Ids);
    let plain = record(REMOVE, USER, TERRAFORM, REQUEST, "");
    let many: Vec<_> = (0..10_000).map(|n| format!("\"k{n}\":{n},")).collect();
    let many = many.concat();
    let deep = format!("\"x\":{}{},", "[".repeat(100), "]".repeat(100));
    for json in [
        plain.replace(REQUEST, "\"roleName=web\""),
        plain.replace(REQUEST, "[[], 7]"),
        plain.replace(USER, "7"),
        plain.replace("\"111122223333\"", "111122223333"),
        plain.replace("\"2026-01-05T18:49:01Z\"", "1767638941"),
        plain.replace("\"203.0.113.7\"", "{\"a\":[]}"),
        plain.replace(TERRAFORM, &"\\u0000\\\"}".repeat(5_000)),
        plain.replace("web-role", "\\ud83d\\ude00\u{202e}</script>$(id)"),
        record(REMOVE, USER, TERRAFORM, REQUEST, &many),
        record(REMOVE, USER, TERRAFORM, REQUEST, &deep),
        r#"{"eventSource":"iam.amazonaws.com","eventName":"RemoveRoleFromInstanceProfile"}"#
            .to_owned(),
    ] {
        let hec = site.write(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        assert_eq!(original(event(&hec), ",\"severity\":\""), json);
    }
}

proptest! {
    #[test]
    fn the_same_record_makes_the_same_bytes_and_is_in_them(
        name in any::<String>(),
        key in "severity_{0,2}|trailtag|[a-z_]{1,12}|\\PC{0,8}",
        account in prop::option::of("\\PC{0,16}"),
    ) {
        let site = Site::new(Detail::Ids);
        let json = json!({
            "eventSource": "iam.amazonaws.com", "eventName": REMOVE, key: name, "recipientAccountId": account,
            "userIdentity": {"type": "IAMUser", "userName": name}, "requestParameters": {"roleName": name},
        });
        prop_assume!(json["eventName"] == REMOVE && json["eventSource"] == "iam.amazonaws.com");
        let json = json.to_string();
        let hec = site.write(&route(Format::SplunkHec), &json);
        prop_assert_eq!(&hec, &site.write(&route(Format::SplunkHec), &json));
        assert_collector_takes(&hec);
        let kept = event(&hec).starts_with(json.strip_suffix('}').unwrap());
        prop_assert!(kept, "{}", hec);
    }
}
