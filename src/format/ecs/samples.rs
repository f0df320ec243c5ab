//! Records for the tests of formats: of every kind of caller, in the shape of real ones, and hostile ones.

use serde_json::{Value, json};

use crate::cloudtrail::envelope::{Envelope, RawRecord};
use crate::cloudtrail::record::Record;
use crate::config::Detail;
use crate::config::{Detection, Route};
use crate::detection::facts::Facts;
use crate::detection::{Context, Detector};
use crate::finding::{Finding, Group, GroupedBy, Sequence, Step, StepSource};
use crate::model::{Level, Origin, Outcome, SequenceKind};
use crate::remediation::Catalogue;

/// What finds and advises: with the optional rules, one that asks for no name, and one of a user's own.
pub(in crate::format) struct Site {
    detector: Detector,
    catalogue: Catalogue,
    /// When messages came to Kafka.
    received: Option<i64>,
    /// What every record says together with others.
    telling: Option<SequenceKind>,
}

const NAMELESS: &str = "
title: Anything from nowhere
id: 3f0e7c52-9f0a-4c55-8f6e-0d9c9a1b7e21
level: low
tags: [attack.defense-evasion, attack.t1562.001, attack.t9999, nowhere]
logsource: {product: aws, service: cloudtrail}
detection:
  selection: {awsRegion: nowhere-1}
  condition: selection
";

const OF_A_USER: &str = "
title: A call of another sort
id: 5b1d9a34-7c0e-4f8a-9a43-1c2d3e4f5a61
level: medium
logsource: {product: aws, service: cloudtrail}
detection:
  selection:
    eventName: [ConsoleLogin, AssumeRoleWithSAML, CreateUser, UpdateUser, CreateGroup, ListObjects]
  condition: selection
";

const IN_USE: &str = "instance_profile,account,running_instances,instance_ids
fleet,111122223333,2,i-0123456789abcdef0 i-0abcdef1
";

impl Site {
    pub(in crate::format) fn new(attack_version: u8, detail: Detail) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nameless = folder.path().join("nameless.yml");
        std::fs::write(&nameless, NAMELESS).unwrap();
        let of_a_user = folder.path().join("of_a_user.yml");
        std::fs::write(&of_a_user, OF_A_USER).unwrap();
        let optional =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/optional");
        let inventory = folder.path().join("in_use.csv");
        std::fs::write(&inventory, IN_USE).unwrap();
        let detector = Detector::load(&Detection {
            profiles_in_use_file: inventory,
            rules: vec![optional, nameless, of_a_user],
            attack_version,
            ..Detection::default()
        })
        .map_err(|faults| faults.to_string())
        .unwrap();
        Self {
            detector,
            catalogue: Catalogue::load(None, detail).unwrap(),
            received: None,
            telling: None,
        }
    }

    /// The same, where every record is the one that such a sequence is about.
    pub(in crate::format) fn telling(self, kind: SequenceKind) -> Self {
        let telling = Some(kind);
        Self { telling, ..self }
    }

    /// The same, with messages that say when they came.
    pub(in crate::format) fn received(self, millis: i64) -> Self {
        let received = Some(millis);
        Self { received, ..self }
    }

    /// Looks at what is found of a record.
    pub(in crate::format) fn with<T>(&self, json: &str, look: impl FnOnce(&Finding<'_>) -> T) -> T {
        let origin = Origin {
            topic: "cloudtrail",
            partition: 3,
            offset: 1042,
            timestamp: self.received,
        };
        let raw = RawRecord {
            json: json.as_bytes(),
            envelope: Envelope::S3File,
            index: 7,
            envelope_time: None,
            custom: false,
        };
        let record = Record::parse(raw.json).unwrap();
        let context = Context::new(&origin, &raw);
        let facts = self.detector.facts(&record, context);
        let sequence = self.telling.map(|kind| sequence(kind, &facts));
        let detection = self
            .detector
            .evaluate_with(&record, context, sequence.as_ref().map(Sequence::facts))
            .expect("a rule matches");
        let advice = self.catalogue.select(&record, &detection.facts);
        let finding = Finding::new(&record, detection, advice, &origin, &raw);
        look(&match &sequence {
            Some(sequence) => finding.of_sequence(sequence, Level::Low),
            None => finding,
        })
    }

    /// The document of a record.
    pub(in crate::format) fn document(&self, route: &Route, json: &str) -> String {
        self.with(json, |finding| {
            let mut out = Vec::new();
            crate::format::write(route, finding, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        })
    }
}

/// Such a sequence of a record and two others: one of a record without an id, and one by somebody else.
fn sequence(kind: SequenceKind, facts: &Facts<'_>) -> Sequence {
    let hash = format!("sha256-{}", "0".repeat(64));
    let step = |(event_id, event_name, shift, actor): (&str, &str, i64, &str)| Step {
        group: Group {
            by: GroupedBy::Profile,
            account: "111122223333".to_owned(),
            of: "web".to_owned(),
        },
        event_id: event_id.to_owned(),
        event_time: facts.event_time.map_or(0, |at| at.millis) + shift,
        arrival: 0,
        event_name: event_name.to_owned(),
        outcome: Outcome::Success,
        profile: Some("web".to_owned()),
        role: Some("admin".to_owned()),
        privileged_role: Some(true),
        actor: Some(actor.to_owned()),
        principal: None,
        address: Some("198.51.100.66".to_owned()),
        allow_listed: false,
        service: false,
        source: StepSource {
            topic: "cloudtrail".to_owned(),
            partition: 5,
            offset: 77,
            index: 0,
        },
        record: None,
    };
    let steps = [
        (
            facts.event_id.as_ref(),
            "RemoveRoleFromInstanceProfile",
            0,
            "eve",
        ),
        (hash.as_str(), "GetInstanceProfile", 1_000, "eve\n\u{0}"),
        (
            "a5d9e8b2-0000-4000-8000-000000000001",
            "AddRoleToInstanceProfile",
            12_000,
            "mallory",
        ),
    ];
    Sequence {
        id: format!("sequence-{}", "1".repeat(64)),
        kind,
        count: 3,
        steps: steps.map(step).into(),
        about: 0,
    }
}

/// What stands under `trailtag`.
pub(in crate::format) fn ours(site: &Site, route: &Route, json: &str) -> String {
    site.with(json, |finding| {
        let mut out = Vec::new();
        crate::format::trailtag_block::write(route, finding, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    })
}

fn base() -> Value {
    json!({
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE",
            "arn": "arn:aws:iam::111122223333:user/eve", "accountId": "111122223333",
            "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "userName": "eve"},
        "eventTime": "2026-01-05T18:49:01Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "RemoveRoleFromInstanceProfile",
        "awsRegion": "us-east-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.0 Python/3.11.6 Linux/6.1 md/command#iam.remove-role-from-instance-profile",
        "requestParameters": {"instanceProfileName": "web", "roleName": "web-role"},
        "responseElements": null,
        "requestID": "0c8a4e3a-6f0e-4b38-8a39-1f7f6f1f2f3f",
        "eventID": "6f1b0c1e-3d0f-4a4e-9a58-2f1f0a9b7c11",
        "readOnly": false,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111122223333",
        "eventCategory": "Management",
        "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256",
            "clientProvidedHostHeader": "iam.amazonaws.com"},
    })
}

fn with(changes: Value) -> String {
    let mut record = base();
    let Value::Object(changes) = changes else {
        return record.to_string();
    };
    for (key, value) in changes {
        record[key] = value;
    }
    record.to_string()
}

fn role(name: &str, session: &str) -> Value {
    json!({"type": "AssumedRole", "principalId": format!("AROACKCEVSQ6C2EXAMPLE:{session}"),
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{name}/{session}"), "accountId": "111122223333",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "sessionIssuer": {"type": "Role", "principalId": "AROACKCEVSQ6C2EXAMPLE", "accountId": "111122223333",
                "arn": format!("arn:aws:iam::111122223333:role/{name}"), "userName": name},
            "attributes": {"creationDate": "2026-01-05T18:00:00Z", "mfaAuthenticated": "false"}}})
}

/// One of each kind, by name.
pub(in crate::format) fn examples() -> Vec<(&'static str, String)> {
    let mut stack = role("ops", "eve");
    stack["invokedBy"] = json!("cloudformation.amazonaws.com");
    vec![
        (
            "user_key_with_terraform",
            with(
                json!({"userAgent": "APN/1.0 HashiCorp/1.0 Terraform/1.5.7 (+https://www.terraform.io) terraform-provider-aws/5.31.0"}),
            ),
        ),
        (
            "root_without_mfa",
            with(
                json!({"userIdentity": {"type": "Root", "principalId": "111122223333",
                "arn": "arn:aws:iam::111122223333:root", "accountId": "111122223333", "accessKeyId": "",
                "sessionContext": {"attributes": {"creationDate": "2026-01-05T18:00:00Z", "mfaAuthenticated": "false"}}}}),
            ),
        ),
        (
            "denied",
            with(
                json!({"requestParameters": null, "errorCode": "AccessDenied",
                "errorMessage": "User: arn:aws:iam::111122223333:user/eve is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile web because no identity-based policy allows the iam:RemoveRoleFromInstanceProfile action"}),
            ),
        ),
        (
            "failed",
            with(json!({"errorCode": "NoSuchEntityException",
                "errorMessage": "Instance Profile web cannot be found."})),
        ),
        (
            "sso_console",
            with(
                json!({"userIdentity": role("AWSReservedSSO_PowerUser_0123456789abcdef", "eve@example.com"),
                "sessionCredentialFromConsole": "true", "userAgent": "AWS Internal", "eventTime": "2026-01-05T18:49:01.250Z"}),
            ),
        ),
        (
            "cloudformation",
            with(
                json!({"userIdentity": stack, "sourceIPAddress": "cloudformation.amazonaws.com",
                "userAgent": "cloudformation.amazonaws.com", "vpcEndpointId": "vpce-0123456789abcdef0",
                "sharedEventID": "b1946ac9-2492-4d23-a0f1-3f1bd2b5e9aa",
                "resources": [{"ARN": "arn:aws:iam::111122223333:instance-profile/web", "accountId": "111122223333",
                    "type": "AWS::IAM::InstanceProfile"}, {"type": "AWS::IAM::Role"}, {"ARN": 7}, "web"],
                "additionalEventData": {"x": 1, "none": null}, "responseElements": {"done": [true, null, "yes"]}}),
            ),
        ),
        ("pipeline_by_openid", with(by_openid())),
        ("without_identity", with(json!({"userIdentity": null}))),
        (
            "without_id_or_time",
            with(json!({"eventID": null, "eventTime": "soon", "eventCategory": null})),
        ),
        (
            "sibling_add",
            with(
                json!({"eventName": "AddRoleToInstanceProfile", "requestParameters": {"instanceProfileName": "web", "roleName": "admin"}}),
            ),
        ),
        (
            "sibling_of_ec2",
            with(
                json!({"eventName": "AssociateIamInstanceProfile", "eventSource": "ec2.amazonaws.com", "awsRegion": "eu-west-1",
                "requestParameters": {"AssociateIamInstanceProfileRequest": {"InstanceId": "i-0123456789abcdef0", "IamInstanceProfile": {"Name": "web"}}}}),
            ),
        ),
        ("nameless", json!({"awsRegion": "nowhere-1"}).to_string()),
    ]
    .into_iter()
    .chain(other_events())
    .collect()
}

/// A pipeline that an identity provider vouches for, on behalf of a person, on a profile that instances use.
fn by_openid() -> Value {
    let mut identity = role("deploy", "run-42");
    identity["sessionContext"]["sourceIdentity"] = json!("eve@example.com");
    identity["sessionContext"]["webIdFederationData"] = json!({
        "federatedProvider": "arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com",
        "attributes": {"token.actions.githubusercontent.com:sub": "repo:acme/app:ref:refs/heads/main"},
    });
    identity["onBehalfOf"] = json!({
        "userId": "94482488-3041-7026-0000-000000000000",
        "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7",
    });
    json!({
        "userIdentity": identity,
        "requestParameters": {"instanceProfileName": "fleet", "roleName": "fleet-role"},
    })
}

/// Events that rules of a user's own find.
fn other_events() -> Vec<(&'static str, String)> {
    vec![
        (
            "sign_in_failed",
            with(
                json!({"eventName": "ConsoleLogin", "eventSource": "signin.amazonaws.com", "eventType": "AwsConsoleSignIn",
                "requestParameters": null, "responseElements": {"ConsoleLogin": "Failure"},
                "additionalEventData": {"LoginTo": "https://console.aws.amazon.com/iam", "MobileVersion": "No", "MFAUsed": "No"},
                "userIdentity": {"type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "accountId": "111122223333",
                    "accessKeyId": "", "userName": "eve"}}),
            ),
        ),
        (
            "role_assumed_by_saml",
            with(
                json!({"eventName": "AssumeRoleWithSAML", "eventSource": "sts.amazonaws.com",
                "userIdentity": {"type": "SAMLUser", "principalId": "U2FtcGxl=:eve@example.com", "userName": "eve@example.com",
                    "identityProvider": "U2FtcGxl="},
                "requestParameters": {"roleArn": "arn:aws:iam::111122223333:role/ops", "roleSessionName": "eve@example.com",
                    "principalArn": "arn:aws:iam::111122223333:saml-provider/corp"},
                "resources": [{"ARN": "arn:aws:iam::111122223333:role/ops", "accountId": "111122223333", "type": "AWS::IAM::Role"}]}),
            ),
        ),
        (
            "user_created",
            with(
                json!({"eventName": "CreateUser", "requestParameters": {"userName": "mallory"},
                "responseElements": {"user": {"path": "/", "userName": "mallory", "userId": "AIDAMALLORYEXAMPLE00"}}}),
            ),
        ),
        (
            "user_renamed",
            with(
                json!({"eventName": "UpdateUser", "requestParameters": {"userName": "mallory", "newUserName": "bob"}}),
            ),
        ),
        (
            "group_created",
            with(
                json!({"eventName": "CreateGroup", "requestParameters": {"groupName": "admins"},
                "responseElements": {"group": {"path": "/", "groupName": "admins", "groupId": "AGPAADMINSEXAMPLE000"}}}),
            ),
        ),
        (
            "objects_listed_by_a_person",
            with(
                json!({"eventName": "ListObjects", "eventSource": "s3.amazonaws.com", "readOnly": true,
                "requestParameters": {"bucketName": "logs"},
                "userIdentity": {"type": "IdentityCenterUser", "accountId": "111122223333", "credentialId": "c",
                    "onBehalfOf": {"userId": "94482488-3041-7026-0000-000000000000",
                        "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7"}},
                "resources": [{"type": "AWS::S3::Object", "ARNPrefix": "arn:aws:s3:::logs/"},
                    {"accountId": "111122223333", "type": "AWS::S3::Bucket", "ARN": "arn:aws:s3:::logs"}]}),
            ),
        ),
    ]
}

/// Records that want to break something, by name.
pub(in crate::format) fn hostile() -> Vec<(String, String)> {
    let names =
        json!({"eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile"});
    let many: serde_json::Map<_, _> = (0..10_000)
        .map(|place| (format!("key{place}"), json!(place)))
        .collect();
    let mut deep = json!("bottom");
    for _ in 0..60 {
        deep = json!({"down": [deep]});
    }
    let mut records = vec![
        ("nothing_else".to_owned(), names.to_string()),
        (
            "a_string_for_parameters".to_owned(),
            with(
                json!({"requestParameters": "***", "responseElements": "", "additionalEventData": []}),
            ),
        ),
        (
            "many_parameters".to_owned(),
            with(json!({"requestParameters": many})),
        ),
        (
            "a_large_parameter".to_owned(),
            with(
                json!({"requestParameters": {"instanceProfileName": "web", "x": "é".repeat(40_000)}}),
            ),
        ),
        (
            "deep_parameters".to_owned(),
            with(json!({"requestParameters": deep, "responseElements": deep})),
        ),
        (
            "a_zero_in_a_key".to_owned(),
            with(json!({"requestParameters": {"a\u{0}b": 1}})),
        ),
        (
            "a_large_agent".to_owned(),
            with(json!({"userAgent": "agent ".repeat(5_000)})),
        ),
        (
            "lines_in_names".to_owned(),
            with(
                json!({"userIdentity": {"type": "IAMUser", "userName": "eve\nroot\u{2028}\u{0}\"\\"},
            "sourceIPAddress": "203.0.113.7\r\n", "errorCode": "A\nB"}),
            ),
        ),
        (
            "long_names".to_owned(),
            with(json!({"userIdentity": {"type": "IAMUser", "userName": "ü".repeat(5_000)}})),
        ),
        (
            "ours_in_the_record".to_owned(),
            with(
                json!({"trailtag": {"severity": "none"}, "unmapped": {"trailtag": 1}, "aws": 1, "@timestamp": "soon"}),
            ),
        ),
        (
            "times".to_owned(),
            with(json!({"eventTime": "9999-12-31T23:59:59.999Z",
            "userIdentity": {"type": "AssumedRole", "sessionContext": {"attributes": {"creationDate": "soon", "mfaAuthenticated": "maybe"}}}})),
        ),
        (
            "an_id_alone".to_owned(),
            with(
                json!({"userIdentity": {"principalId": "AIDA"}, "sourceIPAddress": "::ffff:203.0.113.7", "requestID": null}),
            ),
        ),
        (
            "tls_of_its_own".to_owned(),
            with(json!({"tlsDetails": {"tlsVersion": "TLSv", "cipherSuite": 7}})),
        ),
    ];
    // Each field as every type that it should not be.
    for (word, wrong) in [
        ("number", json!(7)),
        ("text", json!("text")),
        ("empty", json!("")),
        ("list", json!([{"a": null}])),
        ("object", json!({"a": [null]})),
        ("nothing", Value::Null),
        ("truth", json!(true)),
    ] {
        let mut record = base();
        for (key, value) in record.as_object_mut().unwrap() {
            if key == "userIdentity" && word != "text" {
                for (_, value) in value.as_object_mut().unwrap() {
                    *value = wrong.clone();
                }
                value["sessionContext"] =
                    json!({"attributes": wrong.clone(), "sessionIssuer": wrong.clone()});
            } else if key != "eventSource" && key != "eventName" {
                *value = wrong.clone();
            }
        }
        records.push((format!("every_field_a_{word}"), record.to_string()));
    }
    records
}

/// Every record.
pub(in crate::format) fn all() -> Vec<(String, String)> {
    let examples = examples()
        .into_iter()
        .map(|(name, json)| (name.to_owned(), json));
    examples.chain(hostile()).collect()
}
