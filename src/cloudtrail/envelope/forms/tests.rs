//! What an object is by its members alone.

use super::*;

fn form_of(json: &str) -> Form<'_> {
    let object = Object::walk(json.as_bytes(), 0);
    assert_eq!(object.fault, None, "{json}");
    form(&object, Items::Any)
}

#[test]
fn a_version_and_an_identity_make_a_record_whatever_else_there_is() {
    for json in [
        r#"{"eventVersion":"1.08","userIdentity":{},"Records":[],"kinesis":{"data":"eyJ9"}}"#,
        r#"{"Records":[],"userIdentity":null,"userIdentity":{},"eventVersion":"1.12","eventVersion":"2.1"}"#,
        r#"{"user\u0049dentity":{},"event\u0056ersion":"\u0031.08","detail-type":"x","detail":{}}"#,
    ] {
        assert!(matches!(form_of(json), Form::Record { .. }), "{json}");
    }
    assert!(!matches!(
        form_of(r#"{"eventVersion":"2.1","userIdentity":{}}"#),
        Form::Record { .. }
    ));
}

#[test]
fn a_record_may_lack_a_field() {
    for json in [
        r#"{"eventVersion":"1.04","eventName":"a","eventSource":"b"}"#,
        r#"{"userIdentity":{},"eventName":"a","eventSource":"b"}"#,
        r#"{"eventTime":"t","eventName":"a","eventSource":"b"}"#,
    ] {
        assert!(matches!(form_of(json), Form::Record { custom: false, .. }));
    }
    assert_eq!(
        form_of(r#"{"eventName":"a","eventSource":"b"}"#),
        Form::Unknown
    );
    assert_eq!(
        form_of(r#"{"eventName":1,"eventSource":"b","eventTime":"t"}"#),
        Form::Unknown
    );
}

#[test]
fn what_is_no_record_has_its_kind() {
    for (json, skip) in [
        (
            r#"{"eventVersion":"2.1","eventSource":"aws:s3","userIdentity":{}}"#,
            Skip::Notification,
        ),
        (
            r#"{"eventVersion":"2.0","eventSource":"minio:s3","eventName":"s3:ObjectCreated:Put","userIdentity":{}}"#,
            Skip::Notification,
        ),
        (
            r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#,
            Skip::Notification,
        ),
        (
            r#"{"s3Bucket":"b","s3ObjectKey":["k"]}"#,
            Skip::Notification,
        ),
        (
            r#"{"Type":"SubscriptionConfirmation","Message":"m"}"#,
            Skip::Notification,
        ),
        (
            r#"{"digestS3Object":"o","digestStartTime":"t","logFiles":[]}"#,
            Skip::Digest,
        ),
        (
            r#"{"eventVersion":"1.08","eventType":"AwsCloudTrailInsight","eventName":"a","eventSource":"b"}"#,
            Skip::Insight,
        ),
        (r#"{"insightDetails":{}}"#, Skip::Insight),
        (
            r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#,
            Skip::ControlMessage,
        ),
        (
            r#"{"detail-type":"EC2 Instance State-change Notification","detail":{}}"#,
            Skip::NotCloudtrail,
        ),
        (
            r#"{"@timestamp":"t","message":"GET /"}"#,
            Skip::NotCloudtrail,
        ),
        (
            r#"{"class_uid":3002,"metadata":{"product":{"name":"Okta"}}}"#,
            Skip::NotCloudtrail,
        ),
        (r#"{"specversion":"1.0","type":"t"}"#, Skip::NotCloudtrail),
    ] {
        assert_eq!(form_of(json), Form::Skipped(skip), "{json}");
    }
}

#[test]
fn what_lost_the_original_is_unsupported() {
    for json in [
        r#"{"@timestamp":"t","event":{"action":"ListRoles"},"aws":{"cloudtrail":{}}}"#,
        r#"{"class_uid":6003,"metadata":{"product":{"name":"CloudTrail"}},"api":{}}"#,
    ] {
        assert!(matches!(form_of(json), Form::Unsupported(_)), "{json}");
    }
}

#[test]
fn what_is_not_known_names_its_keys() {
    let json = "{\"a\":1,\"b c\":2,\"d\":{\"e\":1}}";
    assert_eq!(form_of(json), Form::Unknown);
    assert_eq!(Object::walk(json.as_bytes(), 0).keys(), "a, ?, d");
}
