//! One event of each sort that the catalogue tells apart, and the texts by which their values are known again in a step.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// 2026-01-05T18:46:26Z, the time of every event here: one whose own time cannot be read has the same.
pub(crate) const MESSAGE_TIME: i64 = 1_767_638_786_000;
/// What each event says where nobody tampered with it. No text is part of one that stands for something else, nor of a
/// template's own text: where it is found in a step, the value was put in.
pub(crate) const BENIGN: [(&str, &str); 21] = [
    ("swapped_in_role", "benign-swapped-in"),
    ("instance_profile", "benign-profile"),
    ("role", "benign-role"),
    ("role", "benign-role-admin"),
    ("role", "benign-role-ssm"),
    ("account", "111122223333"),
    ("partition", "aws-cn"),
    ("home_region", "cn-north-1"),
    ("access_key_id", "AKIAIOSFODNN7EXAMPLE"),
    ("access_key_id", "ASIAIOSFODNN7EXAMPLE"),
    ("user", "benign-user"),
    ("actor_role", "benign-acting"),
    ("actor_role", "AWSReservedSSO_Admin_0123456789abcdef"),
    (
        "principal_arn",
        "arn:aws-cn:iam::111122223333:user/benign-user",
    ),
    (
        "principal_arn",
        "arn:aws-cn:iam::111122223333:role/AWSReservedSSO_Admin_0123456789abcdef",
    ),
    (
        "principal_arn",
        "arn:aws-cn:iam::111122223333:role/benign-acting",
    ),
    ("event_id", "c8e1f0aa-0000-4000-8000-00000000a001"),
    ("actor_account", "444455556666"),
    ("event_time", "2026-01-05T18:46:26Z"),
    ("window_start", "2026-01-05T17:46:26Z"),
    ("window_end", "2026-01-05T19:46:26Z"),
];
/// Where an event says which role came in afterwards, which no record does.
pub(crate) const SWAPPED_IN: &str = "swappedInRole";

fn event(identity: &Value, changes: &Value) -> Value {
    let mut event = json!({
        "eventVersion": "1.09",
        "userIdentity": {"accountId": "111122223333"},
        "eventTime": "2026-01-05T18:46:26Z",
        "eventSource": "iam.amazonaws.com",
        "eventName": "RemoveRoleFromInstanceProfile",
        "awsRegion": "cn-north-1",
        "sourceIPAddress": "203.0.113.7",
        "userAgent": "aws-cli/2.15.0",
        "requestParameters": {"instanceProfileName": "benign-profile", "roleName": "benign-role"},
        "responseElements": null,
        "eventID": "c8e1f0aa-0000-4000-8000-00000000a001",
        "eventType": "AwsApiCall",
        "recipientAccountId": "111122223333",
    });
    for (key, value) in identity.as_object().unwrap() {
        event["userIdentity"][key] = value.clone();
    }
    for (key, value) in changes.as_object().unwrap() {
        event[key] = value.clone();
    }
    event
}

fn user(key: &str) -> Value {
    json!({
        "type": "IAMUser", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "userName": "benign-user",
        "arn": "arn:aws-cn:iam::111122223333:user/benign-user", "accessKeyId": key,
    })
}

fn session(role: &str, name: &str) -> Value {
    json!({
        "type": "AssumedRole", "principalId": format!("AROACKCEVSQ6C2EXAMPLE:{name}"), "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "arn": format!("arn:aws-cn:sts::111122223333:assumed-role/{role}/{name}"),
        "sessionContext": {
            "sessionIssuer": {
                "type": "Role", "userName": role, "principalId": "AROACKCEVSQ6C2EXAMPLE",
                "accountId": "111122223333", "arn": format!("arn:aws-cn:iam::111122223333:role/{role}"),
            },
            "attributes": {"mfaAuthenticated": "false", "creationDate": "2026-01-05T18:40:00Z"},
        },
    })
}

const LONG_LIVED: &str = "AKIAIOSFODNN7EXAMPLE";
const TEMPORARY: &str = "ASIAIOSFODNN7EXAMPLE";

/// One event of each sort that the catalogue tells apart.
pub(crate) fn events() -> BTreeMap<&'static str, Value> {
    let agent = |agent: &str| json!({"userAgent": agent});
    let denied = json!({"errorCode": "AccessDenied", "errorMessage": "not authorized"});
    let acting = session("benign-acting", "benign-session");
    let request = |profile: &str, role: &str| json!({"requestParameters": {"instanceProfileName": profile, "roleName": role}});
    let of_another_account = |identity: &Value| -> Value {
        let text = identity.to_string().replace("111122223333", "444455556666");
        let mut identity: Value = serde_json::from_str(&text).unwrap();
        identity["accountId"] = json!("444455556666");
        identity
    };
    let other_user = of_another_account(&user(LONG_LIVED));
    let other_session = of_another_account(&acting);
    let mut events = BTreeMap::from([
        ("user", event(&user(LONG_LIVED), &json!({}))),
        (
            "user, swap",
            event(&user(LONG_LIVED), &json!({SWAPPED_IN: "benign-swapped-in"})),
        ),
        ("user, denied", event(&user(LONG_LIVED), &denied)),
        (
            "user, console",
            event(&user(TEMPORARY), &agent("console.amazonaws.com")),
        ),
        (
            "user, tool",
            event(&user(LONG_LIVED), &agent("Boto3/1.34 kali")),
        ),
        (
            "user, Terraform",
            event(&user(LONG_LIVED), &agent("HashiCorp Terraform/1.9")),
        ),
        (
            "user, failed",
            event(
                &user(LONG_LIVED),
                &json!({"errorCode": "NoSuchEntityException"}),
            ),
        ),
        ("session", event(&acting, &json!({}))),
        ("session, denied", event(&acting, &denied)),
        (
            "instance",
            event(&session("benign-acting", "i-0123456789abcdef0"), &json!({})),
        ),
        (
            "sso",
            event(
                &session("AWSReservedSSO_Admin_0123456789abcdef", "eve"),
                &json!({}),
            ),
        ),
        ("another account's user", event(&other_user, &json!({}))),
        (
            "another account's session",
            event(&other_session, &json!({})),
        ),
        (
            "Karpenter",
            event(&acting, &agent("aws-sdk-go-v2/1.36.3 karpenter.sh-1.6.0")),
        ),
        (
            "session, console",
            event(
                &session("AWSReservedSSO_Admin_0123456789abcdef", "eve"),
                &agent("console.amazonaws.com"),
            ),
        ),
        (
            "privileged",
            event(
                &user(LONG_LIVED),
                &request("benign-profile", "benign-role-admin"),
            ),
        ),
        (
            "agents",
            event(
                &user(LONG_LIVED),
                &request("benign-profile", "benign-role-ssm"),
            ),
        ),
    ]);
    events.extend(of_services_and_root());
    events
}

/// Services by themselves and for somebody, and the root user by itself and through its organization.
fn of_services_and_root() -> [(&'static str, Value); 5] {
    let linked = session("AWSServiceRoleForAutoScaling", "AutoScaling");
    let through = |service: &str, identity: &Value| {
        let mut identity = identity.clone();
        identity["invokedBy"] = json!(service);
        event(
            &identity,
            &json!({"sourceIPAddress": service, "userAgent": service}),
        )
    };
    let acting = session("benign-acting", "benign-session");
    [
        ("service", through("autoscaling.amazonaws.com", &linked)),
        (
            "session, through CloudFormation",
            through("cloudformation.amazonaws.com", &acting),
        ),
        (
            "user, through Systems Manager",
            through("ssm.amazonaws.com", &user(LONG_LIVED)),
        ),
        (
            "root",
            event(
                &json!({"type": "Root", "arn": "arn:aws-cn:iam::111122223333:root", "accessKeyId": TEMPORARY}),
                &json!({}),
            ),
        ),
        (
            "root, by the organization",
            event(
                &json!({"type": "Root", "arn": "arn:aws-cn:iam::111122223333:root", "accessKeyId": TEMPORARY,
                    "sessionContext": {"assumedRoot": "true", "attributes": {"mfaAuthenticated": "false"}}}),
                &json!({}),
            ),
        ),
    ]
}
