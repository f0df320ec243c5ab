//! Records to index: the labelled examples, calls that site rules match, and what an enemy of the index would send.

use serde_json::{Map, Value, json};

use super::examples::examples;
use super::records::{record, root, stack, user_key, with};

/// Every record, each that has an id under one of its own.
pub(crate) fn records() -> Vec<String> {
    let labelled = examples().into_iter().map(|example| with(&example.2));
    let mut number = 0_u32;
    labelled
        .chain(siblings())
        .chain(hostile())
        .map(|mut record| {
            if record.get("eventID").is_some_and(Value::is_string) {
                number += 1;
                record["eventID"] = json!(format!("6f1b0c1e-3d0f-4a4e-9a58-{number:012x}"));
            }
            record.to_string()
        })
        .collect()
}

/// Calls that the optional rules find.
fn siblings() -> Vec<Value> {
    let call = |source: &str, name: &str, parameters: Value| {
        with(
            &json!({"eventSource": source, "eventName": name, "userIdentity": user_key(), "requestParameters": parameters}),
        )
    };
    let iam = |name, parameters| call("iam.amazonaws.com", name, parameters);
    let ec2 = |name, parameters| call("ec2.amazonaws.com", name, parameters);
    vec![
        iam(
            "AddRoleToInstanceProfile",
            json!({"instanceProfileName": "web", "roleName": "admin"}),
        ),
        iam(
            "CreateInstanceProfile",
            json!({"instanceProfileName": "web"}),
        ),
        iam(
            "DeleteInstanceProfile",
            json!({"instanceProfileName": "web"}),
        ),
        ec2(
            "AssociateIamInstanceProfile",
            json!({"AssociateIamInstanceProfileRequest": {"InstanceId": "i-0123456789abcdef0", "IamInstanceProfile": {"Name": "web"}}}),
        ),
        ec2(
            "DisassociateIamInstanceProfile",
            json!({"DisassociateIamInstanceProfileRequest": {"AssociationId": "iip-assoc-0123456789abcdef0"}}),
        ),
        ec2(
            "ReplaceIamInstanceProfileAssociation",
            json!({"ReplaceIamInstanceProfileAssociationRequest": {"AssociationId": "iip-assoc-0123456789abcdef0", "IamInstanceProfile": {"Name": "web"}}}),
        ),
        with(&stack()),
        with(
            &json!({"userIdentity": root(None), "vpcEndpointId": "vpce-0123456789abcdef0", "sessionCredentialFromConsole": "true",
            "tlsDetails": {"tlsVersion": "TLSv1.3", "cipherSuite": "TLS_AES_128_GCM_SHA256", "clientProvidedHostHeader": "iam.amazonaws.com"}}),
        ),
    ]
}

fn deep(levels: usize, bottom: &Value) -> Value {
    (0..levels).fold(bottom.clone(), |inner, _| json!({"deeper": inner}))
}

fn keys(count: usize) -> Value {
    let keys = (0..count).map(|number| (format!("key-{number}"), json!(number)));
    Value::Object(keys.collect::<Map<_, _>>())
}

/// Everything that could make an index refuse a document, or grow without bound.
fn hostile() -> Vec<Value> {
    let mut records = free_form();
    records.extend(typed());
    records.extend(times_and_addresses());
    records.push(
        json!({"eventVersion": "1.11", "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile"}),
    );
    let mut unnamed = record();
    unnamed.as_object_mut().unwrap().remove("eventID");
    records.push(unnamed);
    records
}

/// Where AWS lets callers choose names and values.
fn free_form() -> Vec<Value> {
    let long = "x".repeat(40_000);
    let wide = "€".repeat(20_000);
    let values = [
        json!("a text where an object should be"),
        json!(["a", {"list": 1}]),
        json!(7),
        json!(true),
        json!({}),
        keys(10_000),
        keys(1_000),
        deep(100, &json!("bottom")),
        deep(15, &json!({"a": 1})),
        deep(14, &json!([[["x"]]])),
        json!({"": 1, " ": 2, ".": 3, "..": 4, "a.": 5, ".a": 6, "a..b": 7}),
        json!({"a": 1, "a.b": 2, "a.b.c": {"d": 3}}),
        json!({"role\u{0}Name": "x"}),
        json!({"roleName": "a\u{0}b\u{202e}c\u{feff}"}),
        json!({"roleName": long}),
        json!({"roleName": wide}),
        // Just below what may be carried as an object, in one value, in one name, and in many short ones.
        json!({"v": "x".repeat(32_700)}),
        json!({"v": "€".repeat(10_900)}),
        json!({"n".repeat(32_700): "v"}),
        json!({"€".repeat(10_900): "v"}),
        json!({"n".repeat(16_000): {"m".repeat(16_000): "v"}}),
        json!({"n".repeat(16_000): "x".repeat(16_000)}),
        json!({"instanceProfileName": {"an": "object"}, "roleName": ["a", "list"]}),
        json!({"instanceProfileName": 7, "roleName": null}),
        json!({"number": 1e300, "negative": -1e-300, "large": u64::MAX}),
        json!({"x": [null, [null], {"y": null}], "z": []}),
        json!({"@timestamp": "x", "_id": "x", "_source": {"_id": "x"}, "_index": "x"}),
    ];
    let mut records: Vec<Value> = values
        .iter()
        .map(|value| with(&json!({"requestParameters": value})))
        .collect();
    records.extend(values.iter().map(|value| {
        with(
            &json!({"responseElements": value, "additionalEventData": value, "serviceEventDetails": value}),
        )
    }));
    records
}

/// Fields that have a type, with values of another, or of the right one and far too long.
fn typed() -> Vec<Value> {
    let long = "a b ".repeat(7_500);
    let unbroken = "€".repeat(30_000);
    let names = [
        "eventVersion",
        "eventType",
        "eventCategory",
        "apiVersion",
        "requestID",
        "errorCode",
        "errorMessage",
        "awsRegion",
        "userAgent",
        "sourceIPAddress",
        "recipientAccountId",
        "vpcEndpointId",
        "readOnly",
        "managementEvent",
        "sessionCredentialFromConsole",
        "tlsDetails",
        "userIdentity",
        "eventTime",
    ];
    let values = [
        json!(long),
        json!(unbroken),
        json!({"an": {"object": ["x"]}}),
        json!([1, "two", {"three": 3}]),
        json!(-1.5),
        json!("maybe"),
    ];
    let mut records = Vec::new();
    for value in &values {
        for name in names {
            let mut record = record();
            record[name] = value.clone();
            records.push(record);
        }
        records.push(with(&json!({
            "userIdentity": {"type": value, "arn": value, "principalId": value, "accountId": value, "accessKeyId": value, "userName": value, "invokedBy": value,
                "sessionContext": {"attributes": {"mfaAuthenticated": value, "creationDate": value},
                    "sessionIssuer": {"type": value, "arn": value, "principalId": value, "accountId": value, "userName": value}}},
            "tlsDetails": {"tlsVersion": value, "cipherSuite": value, "clientProvidedHostHeader": value},
        })));
    }
    records
}

fn times_and_addresses() -> Vec<Value> {
    let times = [
        "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59Z",
        "+12345-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2026-01-05 18:49:01",
        "now",
        "",
    ];
    let addresses = [
        "::ffff:203.0.113.7",
        "fe80::1%eth0",
        "2001:DB8::1",
        "203.0.113.007",
        "203.0.113.7, 198.51.100.1",
        "203.0.113.0/24",
        "AWS Internal",
        "ec2.amazonaws.com",
        "1",
    ];
    let times = times.iter().map(|time| {
        let mut identity = user_key();
        identity["sessionContext"] = json!({"attributes": {"creationDate": time}});
        with(&json!({"eventTime": time, "userIdentity": identity}))
    });
    let addresses = addresses
        .iter()
        .map(|address| with(&json!({"sourceIPAddress": address})));
    times.chain(addresses).collect()
}
