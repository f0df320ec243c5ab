use std::net::IpAddr;
use std::path::Path;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::samples::{Site, all, examples, ours};
use super::*;
use crate::config::Detail;
use crate::config::Format;
use crate::model::{SequenceKind, Verdict};

fn route() -> Route {
    Route {
        format: Format::Ecs,
        ..Route::default()
    }
}

/// 2026-01-05T19:03:26.250Z, in milliseconds.
const RECEIVED: i64 = 1_767_639_806_250;

fn parsed(site: &Site, json: &str) -> Value {
    serde_json::from_str(&site.document(&route(), json)).unwrap()
}

/// What is not ours alone: the text before `trailtag`, which stands last.
fn without_ours(site: &Site, json: &str) -> String {
    let document = site.document(&route(), json);
    let tail = format!(",\"trailtag\":{}}}", ours(site, &route(), json));
    document
        .strip_suffix(&tail)
        .unwrap_or_else(|| panic!("{document}"))
        .to_owned()
}

#[test]
fn each_kind_of_record_has_its_document() {
    let site = Site::new(19, Detail::Ids);
    for (name, json) in examples() {
        insta::assert_snapshot!(name, without_ours(&site, &json) + "}");
    }
}

#[test]
fn each_kind_of_sequence_has_its_document() {
    let (_, json) = examples().remove(0);
    for kind in SequenceKind::ALL {
        let site = Site::new(19, Detail::Ids).telling(kind);
        let document = parsed(&site, &json);
        let is_alert = kind.verdict() == Verdict::Escalates;
        let want = if is_alert { "alert" } else { "event" };
        assert_eq!(document["event"]["kind"], want, "{kind:?}");
        assert_eq!(
            document["related"]["ip"],
            json!(["203.0.113.7", "198.51.100.66"])
        );
        let users = document["related"]["user"].as_array().unwrap();
        assert!(users.contains(&json!("mallory")), "{users:?}");
        let ids = document["labels"]["related_event_id"].as_array().unwrap();
        assert_eq!(ids.len(), 3);
        assert_eq!(
            document["event"]["id"],
            document["trailtag"]["sequence"]["id"]
        );
        insta::assert_snapshot!(
            format!("sequence_{}", kind.as_str()),
            without_ours(&site, &json) + "}"
        );
    }
}

/// Every path of a document and the value there, but for what is free: ours, labels, flattened objects.
fn leaves<'a>(prefix: &str, object: &'a Map<String, Value>, found: &mut Vec<(String, &'a Value)>) {
    for (key, value) in object {
        let path = format!("{prefix}{key}");
        match value {
            Value::Object(inner)
                if path != "trailtag"
                    && path != "labels"
                    && !path.starts_with("aws.cloudtrail.flattened.") =>
            {
                leaves(&format!("{path}."), inner, found);
            }
            _ => found.push((path, value)),
        }
    }
}

fn is_whole(path: &str, value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty() && items.iter().all(|item| is_whole(path, item)),
        Value::Object(fields) => {
            !fields.is_empty()
                && (path.contains(".flattened.") || fields.iter().all(|(_, it)| is_whole(path, it)))
        }
        Value::Bool(_) | Value::Number(_) => true,
    }
}

/// The types of Elastic's integration; all that is not here is a keyword.
fn is_of_cloudtrail(path: &str, value: &Value) -> bool {
    match path {
        "read_only"
        | "console_login.additional_eventdata.mfa_used"
        | "console_login.additional_eventdata.mobile_version" => value.is_boolean(),
        "user_identity.session_context.creation_date" => is_date(value),
        "resources" => value.as_array().is_some_and(|items| {
            items
                .iter()
                .filter_map(Value::as_object)
                .flatten()
                .all(|(key, value)| {
                    ["arn", "ARNPrefix", "account_id", "type"].contains(&key.as_str())
                        && value.is_string()
                })
        }),
        _ if path.starts_with("flattened.") => value.is_object(),
        "management_event"
        | "session_credential_from_console"
        | "user_identity.session_context.mfa_authenticated" => value == "true" || value == "false",
        _ => value
            .as_str()
            .is_some_and(|text| text.chars().count() <= 8_191 || path == "error_message"),
    }
}

fn is_date(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| text.ends_with('Z') && humantime::parse_rfc3339(text).is_ok())
}

#[test]
fn documents_are_nested_and_nothing_in_them_is_empty() {
    let plain = Site::new(19, Detail::Full);
    let telling = Site::new(19, Detail::Full).telling(SequenceKind::RoleSwap);
    let sites = [plain, telling];
    for (site, (name, json)) in sites
        .iter()
        .flat_map(|site| all().into_iter().map(move |it| (site, it)))
    {
        let document = parsed(site, &json);
        let mut found = Vec::new();
        leaves("", document.as_object().unwrap(), &mut found);
        for (path, value) in &found {
            assert!(
                path == "trailtag" || is_whole(path, value),
                "{name}: {path} is {value}"
            );
            if let Some(path) = path.strip_prefix("aws.cloudtrail.") {
                assert!(is_of_cloudtrail(path, value), "{name}: {path} is {value}");
            }
        }
        for key in document.as_object().unwrap().keys() {
            assert!(!key.contains('.'), "{name}: {key}");
        }
        for path in ["event", "ecs", "cloud", "rule", "data_stream", "trailtag"] {
            assert!(document[path].is_object(), "{name}: {path}");
        }
        assert!(is_date(&document["@timestamp"]), "{name}");
        assert_eq!(document["event"]["original"], json, "{name}");
        assert!(
            !document["message"]
                .as_str()
                .unwrap()
                .contains(['\n', '\r', '\u{2028}', '\0']),
            "{name}"
        );
        assert!(document["message"].as_str().unwrap().chars().count() < 1_600);
    }
}

#[test]
fn every_field_is_one_of_the_schema_when_it_is_there() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/schemas/ecs/ecs-v8.11.0.min.json");
    let Ok(schema) = std::fs::read_to_string(path) else {
        return;
    };
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let site = |version| Site::new(version, Detail::Full).received(RECEIVED);
    let sites = [site(18), site(19), site(18).telling(SequenceKind::RoleSwap)];
    let mut seen = std::collections::BTreeSet::new();
    for (site, (name, json)) in sites
        .iter()
        .flat_map(|site| all().into_iter().map(move |it| (site, it)))
    {
        let document = parsed(site, &json);
        let mut found = Vec::new();
        leaves("", document.as_object().unwrap(), &mut found);
        found.retain(|(path, _)| path != "trailtag" && !path.starts_with("aws."));
        for (path, value) in found {
            let field = &schema[&path];
            assert!(field.is_object(), "{name}: ECS has no {path}");
            let is_list = field["normalize"] == json!(["array"]);
            assert_eq!(value.is_array(), is_list, "{name}: {path} is {value}");
            let one = std::slice::from_ref(value);
            for value in value.as_array().map_or(one, Vec::as_slice) {
                let fits = match field["type"].as_str().unwrap() {
                    "keyword" | "constant_keyword" | "match_only_text" => value.is_string(),
                    "long" => value.is_i64(),
                    "float" => value.is_number(),
                    "date" => is_date(value),
                    "ip" => value.as_str().unwrap().parse::<IpAddr>().is_ok(),
                    "object" => value.is_object(),
                    other => panic!("{path} is {other}"),
                };
                assert!(fits, "{name}: {path} is {value}");
                if let Some(allowed) = field["allowed_values"].as_array() {
                    assert!(allowed.contains(value), "{name}: {path} is {value}");
                }
            }
            seen.insert(path);
        }
    }
    for path in [
        "threat.technique.subtechnique.id",
        "related.ip",
        "tls.client.server_name",
        "user.roles",
        "user.email",
        "user.target.id",
        "user.changes.name",
        "group.id",
        "group.name",
        "event.created",
        "labels",
    ] {
        assert!(seen.contains(path), "{path} is nowhere");
    }
}

/// The fields of an index template's file, by their whole names.
fn template(name: &str) -> Map<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/siem/elastic");
    let text = std::fs::read(folder.join(name)).unwrap();
    let mut file: Value = serde_json::from_slice(&text).unwrap();
    match file["template"]["mappings"]["properties"].take() {
        Value::Object(properties) => properties,
        other => panic!("{other}"),
    }
}

#[test]
fn the_index_templates_have_every_field() {
    for search in ["elasticsearch", "opensearch"] {
        let mut known = template("trailtag-ecs.json");
        known.extend(template(&format!("{search}/trailtag-cloudtrail.json")));
        let sites = [
            Site::new(19, Detail::Full),
            Site::new(19, Detail::Full).telling(SequenceKind::RoleSwap),
        ];
        let has = |path: &str| {
            let mut names = path.split('.');
            let first = names.next().and_then(|name| known.get(name));
            names
                .try_fold(first?, |field, name| field["properties"].get(name))
                .map(|_| ())
        };
        for (site, (name, json)) in sites
            .iter()
            .flat_map(|site| examples().into_iter().map(move |it| (site, it)))
        {
            let document = parsed(site, &json);
            let mut found = Vec::new();
            leaves("", document.as_object().unwrap(), &mut found);
            for (path, value) in found {
                if path == "trailtag" || path.starts_with("labels") {
                    continue;
                }
                let objects = value.as_array().into_iter().flatten();
                let keys = objects.filter_map(Value::as_object).flatten();
                let inner = keys.map(|(key, _)| format!("{path}.{key}"));
                for path in inner.chain([path.clone()]) {
                    assert!(has(&path).is_some(), "{name}: {search} has no {path}");
                }
            }
        }
    }
}

#[test]
fn the_lists_of_threat_are_parallel_and_known_to_either_version() {
    for (version, tactic, technique) in [(18, "TA0005", "T1562"), (19, "TA0112", "T1685")] {
        let site = Site::new(version, Detail::Ids);
        for (name, json) in examples() {
            let document = parsed(&site, &json);
            let threat = &document["threat"];
            for group in ["/tactic", "/technique", "/technique/subtechnique"] {
                let Some(group) = threat.pointer(group) else {
                    continue;
                };
                let length = |key: &str| group[key].as_array().unwrap().len();
                assert_eq!(length("id"), length("name"), "{name}");
                assert_eq!(length("id"), length("reference"), "{name}");
            }
        }
        let nameless = parsed(&site, r#"{"awsRegion":"nowhere-1"}"#);
        let ids = |group: &str| nameless["threat"][group]["id"].as_array().unwrap().clone();
        assert!(ids("technique").contains(&json!(technique)), "{nameless}");
        assert!(ids("technique").contains(&json!("T9999")), "{nameless}");
        // T9999 has no tactic of its own.
        assert!(!ids("tactic").is_empty(), "{tactic}: {nameless}");
    }
}

#[test]
fn findings_at_medium_or_above_are_alerts() {
    let site = Site::new(19, Detail::Ids);
    for (name, json) in all() {
        let document = parsed(&site, &json);
        let level = document["trailtag"]["severity"]["level"].as_str().unwrap();
        let alerts = ["medium", "high", "critical"].contains(&level);
        let kind = if alerts { "alert" } else { "event" };
        assert_eq!(document["event"]["kind"], kind, "{name}");
        assert_eq!(
            document["event"]["risk_score"], document["trailtag"]["severity"]["score"],
            "{name}"
        );
    }
}

#[test]
fn free_form_parts_are_flattened_only_where_an_index_takes_them() {
    let site = Site::new(19, Detail::Ids);
    for (name, json) in all() {
        let document = parsed(&site, &json);
        let of = |key: &str| {
            document
                .pointer(&format!("/aws/cloudtrail/{key}/request_parameters"))
                .or_else(|| document.pointer(&format!("/aws/cloudtrail/{key}")))
                .cloned()
        };
        let flat = document
            .pointer("/aws/cloudtrail/flattened/request_parameters")
            .is_some();
        let shown = of("request_parameters").and_then(|it| it.as_str().map(str::to_owned));
        match name.as_str() {
            "a_string_for_parameters" => assert_eq!((flat, shown.as_deref()), (false, Some("***"))),
            "many_parameters" | "a_large_parameter" => {
                assert!(!flat, "{name}");
                assert_eq!(shown.unwrap().chars().count(), 8_191, "{name}");
            }
            "deep_parameters" | "a_zero_in_a_key" => {
                assert!(!flat, "{name}");
                assert!(shown.is_some(), "{name}");
            }
            "user_key_with_terraform" => {
                assert!(flat);
                assert_eq!(
                    shown.as_deref(),
                    Some("{instanceProfileName=web, roleName=web-role}")
                );
            }
            _ => {}
        }
    }
}

#[test]
fn the_routes_fields_are_labels_without_dots() {
    let site = Site::new(19, Detail::Ids);
    let (_, json) = examples().remove(0);
    let route = Route {
        fields: [("team.name", "security"), ("env", "prod")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ecs_dataset: "aws.cloudtrail".to_owned(),
        ecs_namespace: "prod".to_owned(),
        ..route()
    };
    let document: Value = serde_json::from_str(&site.document(&route, &json)).unwrap();
    let mut labels = document["labels"].clone();
    let remediation = labels.as_object_mut().unwrap().remove("remediation_id");
    assert_eq!(labels, json!({"env": "prod", "team_name": "security"}));
    let items = document["trailtag"]["remediation"].as_array().unwrap();
    let ids: Vec<&Value> = items.iter().map(|item| &item["id"]).collect();
    assert!(ids.len() > 3);
    assert_eq!(json!(ids), remediation.unwrap());
    assert_eq!(
        document["data_stream"],
        json!({"type": "logs", "dataset": "aws.cloudtrail", "namespace": "prod"})
    );
    assert_eq!(document["event"]["dataset"], "aws.cloudtrail");
    assert_eq!(document["event"]["module"], "aws");
}

#[test]
fn a_route_may_have_a_remediation_id_of_its_own() {
    let site = Site::new(19, Detail::Ids);
    let (_, json) = examples().remove(0);
    let route = Route {
        fields: [("remediation_id".to_owned(), "R-7".to_owned())].into(),
        ..route()
    };
    let document = site.document(&route, &json);
    let labels = r#""labels":{"remediation_id":"R-7"}"#;
    assert!(document.contains(labels), "{document}");
}

#[test]
fn the_message_says_when_the_event_was_created() {
    let (_, json) = examples().remove(0);
    let created = |site: &Site| parsed(site, &json)["event"]["created"].clone();
    let site = Site::new(19, Detail::Ids);
    assert_eq!(created(&site), Value::Null);
    let site = site.received(RECEIVED);
    assert_eq!(created(&site), "2026-01-05T19:03:26.250Z");
    assert_eq!(
        parsed(&site, &json)["@timestamp"],
        "2026-01-05T18:49:01Z",
        "when it happened"
    );
    for beyond in [-1, i64::MAX] {
        let site = Site::new(19, Detail::Ids).received(beyond);
        assert_eq!(created(&site), Value::Null, "{beyond}");
    }
}

/// The document of a call by `identity` with these request parameters.
fn called(identity: &Value, parameters: &Value) -> Value {
    let record = json!({
        "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile", "recipientAccountId": "444455556666",
        "userIdentity": identity, "requestParameters": parameters,
    });
    parsed(&SITE.with(Clone::clone), &record.to_string())
}

#[test]
fn the_account_is_the_identitys_before_the_recipients() {
    for (identity, account) in [
        (
            json!({"type": "AWSAccount", "accountId": "111122223333"}),
            "111122223333",
        ),
        (json!({"type": "AWSService"}), "444455556666"),
        (json!({"accountId": 7}), "444455556666"),
        (Value::Null, "444455556666"),
    ] {
        let document = called(&identity, &Value::Null);
        assert_eq!(document["cloud"]["account"]["id"], account, "{identity}");
        let recipient = &document["aws"]["cloudtrail"]["recipient_account_id"];
        assert_eq!(recipient, "444455556666", "{identity}");
    }
}

#[test]
fn users_are_found_by_every_name_that_the_record_has_for_them() {
    let session = |kind: &str, arn: &str, issuer: &str| json!({"type": kind, "principalId": "AROA:x", "arn": arn, "sessionContext": {"sessionIssuer": {"userName": issuer}}});
    let sso = "arn:aws:sts::111122223333:assumed-role/Ops/eve@example.com";
    let federated = "arn:aws:sts::111122223333:federated-user/bob";
    let root = "arn:aws:iam::111122223333:root";
    for (identity, parameters, user, related) in [
        (
            session("AssumedRole", sso, "Ops"),
            json!({}),
            json!({"id": "AROA:x", "name": "Ops", "email": "eve@example.com", "roles": ["Ops"]}),
            json!(["Ops", "eve@example.com", "eve", "AROA:x", sso]),
        ),
        (
            session("FederatedUser", federated, "broker"),
            json!({}),
            json!({"id": "AROA:x", "name": "broker"}),
            json!(["broker", "bob", "AROA:x", federated]),
        ),
        (
            json!({"type": "Root", "arn": root}),
            json!({}),
            json!({"name": "root"}),
            json!(["root", root]),
        ),
        (
            json!({"type": "IAMUser", "userName": "eve@example.com"}),
            json!({"userName": "mallory", "newUserName": "trent"}),
            json!({"name": "eve@example.com", "email": "eve@example.com", "target": {"name": "mallory"}, "changes": {"name": "trent"}}),
            json!(["eve@example.com", "eve", "mallory", "trent"]),
        ),
        (
            json!({"type": "IAMUser", "userName": "@eve"}),
            json!({"userName": "@eve", "newUserName": ["trent"]}),
            json!({"name": "@eve", "target": {"name": "@eve"}}),
            json!(["@eve"]),
        ),
    ] {
        let document = called(&identity, &parameters);
        assert_eq!(document["user"], user, "{identity}");
        assert_eq!(document["related"]["user"], related, "{identity}");
    }
}

#[test]
fn the_original_is_there_byte_for_byte() {
    let site = Site::new(19, Detail::Ids);
    let json = "{ \"z\" : 12345678901234567890123456789.50E+3,\n\t\"eventName\":\"\\u0052emoveRoleFromInstanceProfile\", \"a\":1 ,\"a\":2, \"eventSource\":\"iam.amazonaws.com\",\"e\":\"\\u00e9\\/\u{e9}\\u0000\" }";
    assert_eq!(parsed(&site, json)["event"]["original"], json);
}

#[test]
fn the_version_of_tls_stands_apart_from_its_protocol() {
    for (text, want) in [
        ("TLSv1.2", (Some("tls"), "1.2")),
        ("TLSv1", (Some("tls"), "1")),
        ("SSLv3", (Some("ssl"), "3")),
        ("TLSv", (None, "TLSv")),
        ("1.3", (None, "1.3")),
    ] {
        assert_eq!(tls_version(text), want);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn the_same_record_makes_the_same_bytes(name in any::<String>(), key in any::<String>(), deep in 0..50_usize) {
        let mut parameters = json!({"instanceProfileName": name, key.clone(): [key, null]});
        for _ in 0..deep {
            parameters = json!({"in": parameters});
        }
        let json = json!({
            "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile",
            "userIdentity": {"type": "IAMUser", "userName": name}, "userAgent": name, "sourceIPAddress": name,
            "requestParameters": parameters, "errorCode": name,
        }).to_string();
        let site = SITE.with(Clone::clone);
        let first = site.document(&route(), &json);
        prop_assert_eq!(&first, &Site::document(&site, &route(), &json));
        let document: Value = serde_json::from_str(&first).unwrap();
        prop_assert_eq!(&document["event"]["original"], &Value::from(json));
    }
}

thread_local! {
    static SITE: std::rc::Rc<Site> = std::rc::Rc::new(Site::new(19, Detail::Ids));
}
