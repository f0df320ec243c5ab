//! Rules of a user's own find other events than the built-in one: what is said of those is true of them.
//!
//! The records are the project's own, in the shape of real ones. The cases of neighbours' users are run too where they are
//! at hand.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

mod cases;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trailtag::config::{Config, Format, Route};
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline, Tally};

const ANYTHING: &str = "
title: Anything
id: 7d1f5a52-3f1b-4d0c-8a51-64d1d9b6f0a7
level: low
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {eventSource: '*'}
  condition: selection
";

fn pipeline(rules: Vec<PathBuf>, format: Format) -> Pipeline {
    let mut config = Config::default();
    config.detection.rules = rules;
    config.routes = vec![Route {
        format,
        ..Route::default()
    }];
    Pipeline::from_config(&config).unwrap()
}

fn process(pipeline: &Pipeline, payload: &[u8]) -> (Tally, Vec<Value>) {
    let origin = Origin {
        topic: "cloudtrail",
        partition: 0,
        offset: 0,
        timestamp: None,
    };
    let mut outputs = Outputs::default();
    let tally = pipeline.process(payload, &origin, &mut outputs);
    let documents = outputs
        .documents
        .iter()
        .map(|document| serde_json::from_slice(&document.payload).unwrap());
    (tally, documents.collect())
}

/// What a site with a rule for anything makes of a record: `trailtag` of the native document, and the document of ECS.
fn both(record: &Value) -> (Value, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("anything.yml");
    std::fs::write(&file, ANYTHING).unwrap();
    let [native, ecs] = [Format::Native, Format::Ecs].map(|format| {
        let pipeline = pipeline(vec![file.clone()], format);
        let (tally, mut documents) = process(&pipeline, record.to_string().as_bytes());
        assert_eq!((tally.matched, documents.len()), (1, 1), "{record}");
        documents.remove(0)
    });
    (native["trailtag"].clone(), ecs)
}

/// A successful call by an IAM user with an access key.
fn record(source: &str, name: &str, changes: &Value) -> Value {
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "userName": "eve",
            "arn": "arn:aws:iam::111122223333:user/eve", "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"},
        "eventTime": "2026-01-05T18:49:01Z", "eventSource": format!("{source}.amazonaws.com"), "eventName": name,
        "awsRegion": "us-east-1", "sourceIPAddress": "203.0.113.7", "userAgent": "aws-cli/2.15.0",
        "requestParameters": null, "responseElements": null, "requestID": "0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f",
        "eventID": "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11", "readOnly": false, "eventType": "AwsApiCall",
        "managementEvent": true, "recipientAccountId": "111122223333", "eventCategory": "Management",
    });
    for (key, value) in changes.as_object().unwrap() {
        record[key] = value.clone();
    }
    record
}

/// A sign-in in the console.
fn sign_in(name: &str, identity: &Value, answer: &str, mfa: &str) -> Value {
    record(
        "signin",
        name,
        &json!({
            "userIdentity": identity, "eventType": "AwsConsoleSignIn", "userAgent": "Mozilla/5.0",
            "responseElements": {name: answer},
            "additionalEventData": {"LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No", "MFAUsed": mfa},
        }),
    )
}

fn root() -> Value {
    json!({"type": "Root", "principalId": "111122223333", "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333",
        "accessKeyId": ""})
}

fn user() -> Value {
    json!({"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "arn": "arn:aws:iam::111122223333:user/eve",
        "accountId": "111122223333", "userName": "eve"})
}

fn ids(of: &Value) -> Vec<&str> {
    let entries = of.as_array().map(Vec::as_slice).unwrap_or_default();
    entries
        .iter()
        .filter_map(|entry| entry["id"].as_str())
        .collect()
}

#[test]
fn a_sign_in_says_how_it_went_and_whether_mfa_was_used() {
    for (identity, answer, mfa, outcome, factor) in [
        (root(), "Success", "Yes", "success", None),
        (
            root(),
            "Success",
            "No",
            "success",
            Some("actor.root_no_mfa"),
        ),
        (user(), "Success", "Yes", "success", None),
        (user(), "Success", "No", "success", Some("actor.no_mfa")),
        (user(), "Failure", "No", "failed", Some("actor.no_mfa")),
    ] {
        for name in ["ConsoleLogin", "SwitchRole"] {
            let record = sign_in(name, &identity, answer, mfa);
            let (ours, ecs) = both(&record);
            assert_eq!(ours["outcome"], outcome, "{record}");
            assert_eq!(ours["actor"]["mfa"], mfa == "Yes", "{record}");
            let of_mfa: Vec<&str> = ids(&ours["severity"]["factors"])
                .into_iter()
                .filter(|id| id.ends_with("no_mfa"))
                .collect();
            assert_eq!(of_mfa, Vec::from_iter(factor), "{record}");
            assert_eq!(ours["insufficient"], json!([]), "{record}");
            let failed = outcome == "failed";
            let want = if failed { "failure" } else { "success" };
            assert_eq!(ecs["event"]["outcome"], want, "{record}");
            assert_eq!(ecs["event"]["category"], json!(["authentication"]));
            assert_eq!(ecs["event"]["type"], json!(["info"]));
            let login = &ecs["aws"]["cloudtrail"]["console_login"];
            if name == "ConsoleLogin" {
                let data = &login["additional_eventdata"];
                assert_eq!(data["mfa_used"], mfa == "Yes");
                assert_eq!(data["mobile_version"], false);
                assert_eq!(
                    data["login_to"],
                    "https://console.aws.amazon.com/console/home"
                );
            } else {
                assert!(login.is_null());
            }
        }
    }
}

/// One event of each sort, and items that speak of its caller.
fn others() -> Vec<(Value, &'static [&'static str])> {
    let session = json!({
        "type": "AssumedRole", "principalId": "AROACKCEVSQ6C2EXAMPLE:eve", "accountId": "111122223333",
        "arn": "arn:aws:sts::111122223333:assumed-role/ops/eve", "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROACKCEVSQ6C2EXAMPLE", "userName": "ops",
                "arn": "arn:aws:iam::111122223333:role/ops", "accountId": "111122223333"},
            "attributes": {"mfaAuthenticated": "false", "creationDate": "2026-01-05T18:40:00Z"},
        },
    });
    let partner = json!({"type": "AWSAccount", "principalId": "AIDAPARTNEREXAMPLE00", "accountId": "444455556666"});
    let saml = json!({"type": "SAMLUser", "principalId": "U2FtcGxl=:eve@example.com", "userName": "eve@example.com",
        "identityProvider": "U2FtcGxl="});
    let web = json!({"type": "WebIdentityUser", "principalId": "accounts.google.com:app:eve", "userName": "eve",
        "identityProvider": "accounts.google.com"});
    let denied = json!({"errorCode": "AccessDenied", "errorMessage": "User: eve is not authorized to perform: iam:CreateUser"});
    vec![
        (
            record(
                "iam",
                "CreateUser",
                &json!({"requestParameters": {"userName": "mallory"}}),
            ),
            &["contain.access_key", "investigate.actor_identity"],
        ),
        (
            record("iam", "CreateUser", &denied),
            &["contain.access_key", "investigate.actor_identity"],
        ),
        (
            record(
                "iam",
                "AttachRolePolicy",
                &json!({"requestParameters": {"roleName": "datadog-admin", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"}}),
            ),
            &["contain.access_key"],
        ),
        (
            record(
                "iam",
                "UpdateLoginProfile",
                &json!({"userIdentity": session, "requestParameters": {"userName": "mallory"}}),
            ),
            &["contain.role_sessions", "investigate.actor_session"],
        ),
        (
            record(
                "sts",
                "AssumeRole",
                &json!({"userIdentity": partner, "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/ops"}}),
            ),
            &["contain.other_account"],
        ),
        (
            record("sts", "GetSessionToken", &json!({})),
            &["contain.access_key"],
        ),
        (
            record(
                "sts",
                "AssumeRoleWithSAML",
                &json!({"userIdentity": saml, "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/ops"}}),
            ),
            &[],
        ),
        (
            record(
                "sts",
                "AssumeRoleWithWebIdentity",
                &json!({"userIdentity": web}),
            ),
            &[],
        ),
        (
            record(
                "ec2",
                "RunInstances",
                &json!({"requestParameters": {"instanceType": "m6i.large", "iamInstanceProfile": {"name": "web"}}}),
            ),
            &["contain.access_key"],
        ),
        (
            sign_in("ConsoleLogin", &root(), "Success", "Yes"),
            &["contain.root"],
        ),
        (
            sign_in("ConsoleLogin", &user(), "Failure", "No"),
            &["investigate.actor_identity"],
        ),
    ]
}

#[test]
fn nothing_that_belongs_to_the_removal_is_said_of_another_event() {
    for (record, items) in others() {
        let (ours, ecs) = both(&record);
        let mut said = ours.clone();
        // The name of the profile of new instances is theirs.
        said["target"] = Value::Null;
        let said = said.to_string().to_lowercase().replace(['-', '_', ' '], "");
        assert!(!said.contains("instanceprofile"), "{record}: {said}");
        assert_eq!(ours["insufficient"], json!([]), "{record}");
        let factors = ids(&ours["severity"]["factors"]);
        assert!(
            factors.iter().all(|id| {
                ![
                    "target.security_tooling",
                    "target.in_use",
                    "insufficient.request_parameters",
                ]
                .contains(id)
            }),
            "{record}: {factors:?}"
        );
        let chosen = ids(&ours["remediation"]);
        for item in items {
            assert!(chosen.contains(item), "{record}: {chosen:?}");
        }
        let labels = &ecs["labels"]["remediation_id"];
        let told = labels.as_array().map_or(0, Vec::len);
        assert_eq!(told, chosen.len(), "{record}");
    }
}

#[test]
fn who_and_what_was_acted_on_stands_where_elastics_integration_has_it() {
    let at = |record: &Value, pointer: &str| {
        let (_, ecs) = both(record);
        ecs.pointer(pointer).cloned().unwrap_or_default()
    };
    let created = record(
        "iam",
        "CreateUser",
        &json!({"requestParameters": {"userName": "mallory"},
        "responseElements": {"user": {"userName": "mallory", "userId": "AIDAMALLORYEXAMPLE00"}}}),
    );
    assert_eq!(
        at(&created, "/user/target"),
        json!({"id": "AIDAMALLORYEXAMPLE00", "name": "mallory"})
    );
    assert_eq!(at(&created, "/event/category"), json!(["iam"]));
    assert_eq!(at(&created, "/event/type"), json!(["user", "creation"]));
    let related = at(&created, "/related/user");
    for name in ["eve", "mallory", "AIDAMALLORYEXAMPLE00"] {
        assert!(
            related.as_array().unwrap().contains(&json!(name)),
            "{related}"
        );
    }
    let added = record(
        "iam",
        "AddUserToGroup",
        &json!({"requestParameters": {"userName": "mallory", "groupName": "admins"}}),
    );
    assert_eq!(at(&added, "/user/target"), json!({"name": "mallory"}));
    assert_eq!(at(&added, "/group"), json!({"name": "admins"}));
    assert_eq!(at(&added, "/event/type"), json!(["group", "change"]));
    let group = record(
        "iam",
        "CreateGroup",
        &json!({"requestParameters": {"groupName": "admins"},
        "responseElements": {"group": {"groupName": "admins", "groupId": "AGPAADMINSEXAMPLE000"}}}),
    );
    assert_eq!(
        at(&group, "/group"),
        json!({"id": "AGPAADMINSEXAMPLE000", "name": "admins"})
    );
    for call in ["AssumeRole", "GetFederationToken", "GetCallerIdentity"] {
        let record = record("sts", call, &json!({}));
        assert_eq!(
            at(&record, "/event/category"),
            json!(["authentication"]),
            "{call}"
        );
        assert_eq!(at(&record, "/event/type"), json!(["info"]), "{call}");
    }
    let person = json!({"type": "IdentityCenterUser", "accountId": "111122223333", "onBehalfOf": {
        "userId": "94482488", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1"}});
    let listed = record(
        "s3",
        "ListObjects",
        &json!({"userIdentity": person, "resources": [{"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::logs/"}]}),
    );
    assert_eq!(
        at(&listed, "/aws/cloudtrail/user_identity/on_behalf_of"),
        json!({"user_id": "94482488", "identity_store_arn": "arn:aws:identitystore::111122223333:identitystore/d-1"})
    );
    assert_eq!(
        at(&listed, "/aws/cloudtrail/resources"),
        json!([{"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::logs/"}])
    );
}

#[test]
fn a_denial_by_an_endpoint_is_a_denial() {
    let denied = record(
        "iam",
        "RemoveRoleFromInstanceProfile",
        &json!({"eventType": "AwsVpceEvent", "eventCategory": "NetworkActivity", "vpcEndpointId": "vpce-0123456789abcdef0",
            "errorCode": "VpceAccessDenied", "errorMessage": "The request was denied due to a VPC endpoint policy"}),
    );
    let (ours, ecs) = both(&denied);
    assert_eq!(ours["outcome"], "denied");
    assert_eq!(ours["error"], "VpceAccessDenied");
    assert_eq!(ecs["event"]["type"], json!(["change", "denied"]));
}

/// Of the cases, those of what a record means; `tests/carriers.rs` has those of how it travels.
#[test]
fn the_cases_mean_what_they_should() {
    let Some(cases) = cases::all() else {
        return;
    };
    let folder = Path::new(cases::FOLDER);
    let mut tried = 0;
    for case in &cases {
        let file = &case.file;
        if !file.starts_with(['e', 'r']) || file.starts_with("r18") {
            continue;
        }
        tried += 1;
        let rules = case.option("--config").map_or_else(Vec::new, |config| {
            let text = std::fs::read_to_string(folder.join(config)).unwrap();
            let config: Value = serde_saphyr::from_str(&text).unwrap();
            let rules = config["detection"]["rules"].as_array().unwrap();
            rules
                .iter()
                .map(|path| folder.join(path.as_str().unwrap()))
                .collect()
        });
        let format = match case.option("--format") {
            Some("ecs") => Format::Ecs,
            _ => Format::Native,
        };
        let (tally, documents) = process(&pipeline(rules, format), &case.payload());
        assert_eq!(json!(documents.len()), case.expect["documents"], "{file}");
        let dead_lettered = tally.records() - tally.matched - tally.ignored;
        assert_eq!(json!(dead_lettered), case.expect["dead_lettered"], "{file}");
        for (field, value) in case.fields.as_object().into_iter().flatten() {
            let document = &documents[0];
            if field == "trailtag.severity.factors.ids-without" {
                let factors = ids(&document["trailtag"]["severity"]["factors"]);
                assert!(!factors.contains(&value.as_str().unwrap()), "{file}");
                continue;
            }
            let pointer = format!("/{}", field.replace('.', "/"));
            assert_eq!(document.pointer(&pointer), Some(value), "{file}: {field}");
        }
    }
    assert!(tried >= 5, "{tried}");
}
