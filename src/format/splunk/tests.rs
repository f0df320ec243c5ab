use super::*;
use crate::cloudtrail::envelope::{Envelope, RawRecord};
use crate::cloudtrail::record::Record;
use crate::config::Detail;
use crate::config::Format;
use crate::detection::{Context, Detector};
use crate::format::ecs::samples;
use crate::model::{Origin, SequenceKind};
use crate::remediation::Catalogue;
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
            .evaluate(&record, Context::new(origin, &raw))
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

/// The keys of ours that stand before the record's, in their order; lists that are empty are absent.
const HEAD: [&str; 12] = [
    "severity",
    "id",
    "risk_score",
    "outcome",
    "mitre_technique_id",
    "sequence",
    "verdict",
    "signature",
    "signature_id",
    "related_event_id",
    "severity_factors",
    "remediation_id",
];

/// The keys and values at the top of an object, in their order; values with every byte.
struct Members<'a>(Vec<(String, &'a serde_json::value::RawValue)>);

impl<'de> serde::Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Members<'de>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// How many bytes of `text` come before `part` of it.
fn offset(text: &str, part: &str) -> usize {
    part.as_ptr() as usize - text.as_ptr() as usize
}

/// The record that stands in an event, with every byte: what is between the keys of ours at its head and `trailtag`, in
/// the braces of the event.
fn original(event: &str) -> String {
    let Members(members) = serde_json::from_str(event).unwrap();
    let is = |key: &str, name: &str| key.trim_end_matches('_') == name;
    let mut places = HEAD.iter();
    let head = members
        .iter()
        .take_while(|(key, _)| places.any(|name| is(key, name)))
        .count()
        - 1;
    let last = members[head].1.get();
    let (key, ours) = members.last().unwrap();
    assert!(is(key, "trailtag"), "{key}");
    let end = offset(event, ours.get()) - format!(",\"{key}\":").len();
    let inside = &event[offset(event, last) + last.len()..end];
    format!("{{{}}}", inside.strip_prefix(',').unwrap_or(inside))
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
    for json in [document, event(document)] {
        let Members(members) = serde_json::from_str(json).unwrap();
        let mut keys: Vec<_> = members.into_iter().map(|(key, _)| key).collect();
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count, "{json}");
    }
}

#[test]
fn each_kind_of_record_has_its_event_in_both_forms() {
    let site = samples::Site::new(19, Detail::Ids);
    for (name, json) in samples::examples() {
        let hec = site.document(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        assert_eq!(original(event(&hec)), json);
        let raw = site.document(&route(Format::SplunkRaw), &json);
        assert_eq!(event(&hec), raw, "the event is the same in both forms");
        // What stands under `trailtag` has its snapshots with the native form.
        let ours = samples::ours(&site, &route(Format::SplunkRaw), &json);
        for (form, document) in [("hec", hec), ("raw", raw)] {
            let short = document.replace(&ours, "{…}");
            assert!(short.contains(",\"trailtag\":{…}}"), "{document}");
            insta::assert_snapshot!(format!("{form}_{name}"), short);
        }
    }
}

#[test]
fn each_kind_of_sequence_has_its_event() {
    let (_, json) = samples::examples().remove(0);
    for kind in SequenceKind::ALL {
        let site = samples::Site::new(19, Detail::Ids).telling(kind);
        let hec = site.document(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        assert_eq!(original(event(&hec)), json);
        let ours = samples::ours(&site, &route(Format::SplunkHec), &json);
        let short = hec.replace(&ours, "{…}");
        insta::assert_snapshot!(format!("sequence_{}", kind.as_str()), short);
        let hec: Value = serde_json::from_str(&hec).unwrap();
        let id = &hec["event"]["trailtag"]["sequence"]["id"];
        assert_eq!(
            [&hec["event"]["id"], &hec["fields"]["trailtag_event_id"]],
            [id; 2]
        );
        assert_eq!(hec["fields"]["trailtag_sequence"], kind.as_str());
        assert_eq!(hec["fields"]["trailtag_verdict"], kind.verdict().as_str());
    }
}

#[test]
fn the_whole_remediation_has_room() {
    let site = samples::Site::new(19, Detail::Full);
    for (name, json) in samples::examples() {
        let hec = site.document(&route(Format::SplunkHec), &json);
        assert_collector_takes(&hec);
        // The add-on for AWS takes events up to 8 MB, and Splunk's web pages show up to 100 KB at once.
        assert!(hec.len() < 100_000, "{name} has {} bytes", hec.len());
        // Splunk looks for fields in the first 5,000 bytes: ours must be there, up to who and what.
        let event = event(&hec);
        for key in ["\"id\":", "\"trailtag\":{", "\"actor\":{", "\"target\":{"] {
            let place = event.find(key).unwrap();
            assert!(place < 4_000, "{name} has {key} at {place}");
        }
    }
}

#[test]
fn no_record_pushes_out_what_an_alert_needs() {
    let site = Site::new(Detail::Full);
    let agent = "agent ".repeat(5_000);
    let request = json!({"roleName": "web-role", "x": "x".repeat(100_000)}).to_string();
    for json in [
        record(REMOVE, USER, &agent, REQUEST, ""),
        record(REMOVE, USER, TERRAFORM, &request, ""),
    ] {
        for format in [Format::SplunkHec, Format::SplunkRaw] {
            let document = site.write(&route(format), &json);
            let event = match format {
                Format::SplunkHec => event(&document),
                _ => &document,
            };
            assert_eq!(original(event), json);
            assert!(event.starts_with("{\"severity\":\""), "{event}");
            let first = &event[..1_000];
            // A finding as low as this one has no technique, and one of a single record no sequence.
            let others = [
                "mitre_technique_id",
                "sequence",
                "verdict",
                "related_event_id",
            ];
            for key in HEAD.iter().filter(|key| !others.contains(key)) {
                assert!(first.contains(&format!("\"{key}\":")), "{key}: {first}");
            }
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
                Format::SplunkHec => event(&document),
                _ => &document,
            };
            assert_eq!(original(event), json.trim_start(), "{document}");
        }
    }
    // White space around a record is none of it.
    let json = " \n{\"eventSource\":\"iam.amazonaws.com\",\"eventName\":\"RemoveRoleFromInstanceProfile\"} \n\t";
    let document = site.write(&route(Format::SplunkRaw), json);
    assert_eq!(original(&document), json.trim());
}

#[test]
fn ours_stand_in_an_empty_record_too() {
    // No rule of ours matches one; the text of the record is all that is of interest here.
    let site = Site::new(Detail::Ids);
    for (json, want) in [
        ("{}", Some("{}")),
        ("{ \n }", Some("{ \n }")),
        (" {} ", Some("{}")),
        ("{\"a\":{}}", Some("{\"a\":{}}")),
        ("[]", None),
        ("7 ", None),
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
        match want {
            Some(want) => {
                assert!(event.starts_with("{\"severity\":\"low\","), "{event}");
                assert_eq!(original(&event), want, "{event}");
            }
            None => assert_eq!(event, json.trim()),
        }
    }
}

#[test]
fn a_record_that_has_a_key_of_ours_keeps_it_and_loses_none_of_ours() {
    let site = Site::new(Detail::Ids);
    let plain = record(REMOVE, USER, TERRAFORM, REQUEST, "");
    let ours = site.parsed(&plain)["event"].clone();
    let names = || HEAD.into_iter().chain(["trailtag"]);
    let taken: Vec<_> = names()
        .map(|key| format!("\"{key}\":\"forged\","))
        .collect();
    let mut taken = taken.concat();
    taken.push_str(r#""\u0073everity_":0,"trailtag_":{},"trailtag__":1,"#);
    let json = record(REMOVE, USER, TERRAFORM, REQUEST, &taken);
    let hec = site.write(&route(Format::SplunkHec), &json);
    assert_collector_takes(&hec);
    assert_eq!(original(event(&hec)), json);
    // What the add-on goes by: the level is the first member, under whatever name.
    assert!(event(&hec).starts_with("{\"severity__\":\"low\","));
    let theirs: Value = serde_json::from_str(event(&hec)).unwrap();
    for key in names() {
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
        fields: [("env", "prod"), ("team", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..Route::default()
    };
    let hec = site.write(&route, &json);
    assert_collector_takes(&hec);
    assert!(hec.starts_with(
        r#"{"time":1767638941,"host":"111122223333","source":"trailtag:prod","sourcetype":"trailtag","index":"aws \"audit\"","event":{"severity":"low","id":"6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11","risk_score":35,"outcome":"success","#
    ));
    assert!(hec.ends_with(
        r#","fields":{"trailtag_severity":"low","trailtag_risk_score":"35","trailtag_rule_id":"8c1f7a0e-4b7d-4e0b-9f55-2d6a3b1c9e47","trailtag_outcome":"success","trailtag_event_id":"6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11","env":"prod"}}"#
    ), "{hec}");
    let headers = |route: &Route| {
        site.look(&json, &ORIGIN, |finding| {
            crate::format::needed_headers(route, finding)
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
    assert!(hec.starts_with(r#"{"event":{"severity":"#), "{hec}");
    assert_collector_takes(&hec);
}

#[test]
fn techniques_are_a_list_in_the_event_and_one_string_beside_it() {
    let site = Site::new(Detail::Ids);
    let json = record(
        "AddRoleToInstanceProfile",
        USER,
        "aws-cli/2.15.0",
        REQUEST,
        "",
    );
    let sibling = site.look(&json, &ORIGIN, |finding| {
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
        assert_eq!(original(event(&hec)), json);
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
        prop_assert_eq!(original(event(&hec)), json);
    }
}
