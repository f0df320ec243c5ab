//! Identities of every kind, and what is known of each.

use super::super::tests::{with, with_lists};
use super::*;
use serde_json::json;

#[test]
fn an_actor_is_named_by_user_issuer_or_service() {
    let role = json!({"userIdentity": {
        "type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": "arn:aws:iam::111122223333:role/ops/deploy", "userName": "deploy"}},
    }});
    with(&role, |facts| {
        assert_eq!(facts.actor.name, Some("deploy"));
        assert_eq!(facts.actor.role, Some("deploy"));
        assert_eq!(facts.actor.session_name, Some("ci"));
        assert_eq!(
            facts.actor.session_issuer_arn,
            Some("arn:aws:iam::111122223333:role/ops/deploy")
        );
    });
    let service = json!({"userIdentity": {"type": "AWSService", "invokedBy": "cloudformation.amazonaws.com"}});
    with(&service, |facts| {
        assert_eq!(facts.actor.name, Some("cloudformation.amazonaws.com"));
    });
    for (identity, name, session) in [
        (
            json!({"type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/bob",
                "sessionContext": {"sessionIssuer": {"type": "IAMUser", "userName": "broker"}}}),
            Some("bob"),
            Some("bob"),
        ),
        (
            json!({"type": "Root", "arn": "arn:aws:iam::111122223333:root"}),
            Some("root"),
            None,
        ),
        (
            json!({"type": "IdentityCenterUser", "onBehalfOf": {"userId": "94482488-3041-7026", "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-9067642ac7"}}),
            Some("94482488-3041-7026"),
            None,
        ),
        (
            json!({"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/"}),
            None,
            None,
        ),
    ] {
        with(&json!({"userIdentity": identity}), |facts| {
            assert_eq!(facts.actor.name, name, "{identity}");
            assert_eq!(facts.actor.session_name, session, "{identity}");
        });
    }
}

#[test]
fn the_principal_is_the_role_and_never_its_session() {
    let session =
        "arn:aws-cn:sts::111122223333:assumed-role/deploy/arn:aws:iam::111122223333:role/admin";
    for (identity, want) in [
        (
            json!({"arn": session, "sessionContext": {"sessionIssuer": {"arn": "arn:aws-cn:iam::111122223333:role/ops/deploy"}}}),
            Some("arn:aws-cn:iam::111122223333:role/ops/deploy"),
        ),
        (
            json!({"arn": session}),
            Some("arn:aws-cn:iam::111122223333:role/deploy"),
        ),
        (
            json!({"arn": "arn:aws:iam::111122223333:user/eve"}),
            Some("arn:aws:iam::111122223333:user/eve"),
        ),
        (
            json!({"arn": "arn:aws:iam::111122223333:root"}),
            Some("arn:aws:iam::111122223333:root"),
        ),
        (
            json!({"arn": "arn:aws:sts::111122223333:federated-user/eve", "sessionContext": {"sessionIssuer": {"arn": "arn:aws:iam::111122223333:user/bot"}}}),
            Some("arn:aws:sts::111122223333:federated-user/eve"),
        ),
        (json!({"type": "AWSAccount", "accountId": "1"}), None),
    ] {
        with(&json!({"userIdentity": identity}), |facts| {
            assert_eq!(facts.actor.principal_arn.as_deref(), want, "{identity}");
        });
    }
}

#[test]
fn keys_and_mfa_are_known_or_not_said() {
    for (identity, key, mfa) in [
        (
            json!({"accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
            Some(KeyLifetime::LongLived),
            None,
        ),
        (
            json!({"accessKeyId": "ASIAIOSFODNN7EXAMPLE", "sessionContext": {"attributes": {"mfaAuthenticated": "false"}}}),
            Some(KeyLifetime::Temporary),
            Some(false),
        ),
        (
            json!({"accessKeyId": "", "sessionContext": {"attributes": {"mfaAuthenticated": "True"}}}),
            None,
            Some(true),
        ),
        (
            json!({"sessionContext": {"attributes": {"mfaAuthenticated": true}}}),
            None,
            Some(true),
        ),
        (
            json!({"accessKeyId": "é", "sessionContext": {"attributes": {"mfaAuthenticated": "maybe"}}}),
            None,
            None,
        ),
        (
            json!({"accessKeyId": 7, "sessionContext": null}),
            None,
            None,
        ),
    ] {
        with(&json!({"userIdentity": identity}), |facts| {
            assert_eq!((facts.actor.key, facts.actor.mfa), (key, mfa), "{identity}");
        });
    }
}

#[test]
fn instance_credentials_are_known_by_session_or_delivery() {
    for (identity, want) in [
        (
            json!({"principalId": "AROAEXAMPLE:i-0123456789abcdef0"}),
            Some(true),
        ),
        (json!({"principalId": "AROAEXAMPLE:i-01234567"}), Some(true)),
        (json!({"principalId": "AROAEXAMPLE:i-notes"}), Some(false)),
        (json!({"principalId": "AROAEXAMPLE:ci"}), Some(false)),
        (
            json!({"principalId": "AROAEXAMPLE:x", "sessionContext": {"ec2RoleDelivery": "2.0"}}),
            Some(true),
        ),
        (json!({"type": "IAMUser"}), Some(false)),
        (Value::Null, None),
        (json!({}), None),
    ] {
        with(&json!({"userIdentity": identity}), |facts| {
            assert_eq!(facts.actor.is_ec2_instance, want, "{identity}");
        });
    }
}

#[test]
fn a_sign_in_says_itself_whether_mfa_was_used() {
    let session = json!({"attributes": {"mfaAuthenticated": "false"}});
    for (used, context, want) in [
        (json!("Yes"), json!(null), Some(true)),
        (json!("No"), json!(null), Some(false)),
        (json!("yes"), session.clone(), Some(true)),
        (json!(true), json!(null), Some(true)),
        (json!("maybe"), session.clone(), Some(false)),
        (json!(null), session, Some(false)),
        (json!(null), json!(null), None),
    ] {
        let record = json!({"eventName": "ConsoleLogin", "additionalEventData": {"MFAUsed": used},
            "userIdentity": {"type": "Root", "sessionContext": context}});
        with(&record, |facts| {
            assert_eq!(facts.actor.mfa, want, "{record}");
        });
    }
    let nobody = json!({"additionalEventData": {"MFAUsed": "No"}, "userIdentity": null});
    with(&nobody, |facts| assert_eq!(facts.actor.mfa, Some(false)));
}

#[test]
fn permission_sets_are_read_from_the_names_that_identity_center_gives() {
    for (role, want) in [
        (
            "AWSReservedSSO_AdministratorAccess_0123456789abcdef",
            Some("AdministratorAccess"),
        ),
        (
            "AWSReservedSSO_Data_Team_0123456789abcdef",
            Some("Data_Team"),
        ),
        ("AWSReservedSSO_AdministratorAccess_0123", None),
        ("AWSReservedSSO__0123456789abcdef", None),
        ("deploy", None),
    ] {
        let record = json!({"userIdentity": {"type": "AssumedRole", "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/eve")}});
        with(&record, |facts| {
            assert_eq!(facts.actor.sso_permission_set, want, "{role}");
        });
    }
}

#[test]
fn outsiders_are_told_from_the_accounts_own() {
    for (kind, want) in [
        (json!("AWSAccount"), Some(true)),
        (json!("FederatedUser"), Some(true)),
        (json!("SAMLUser"), Some(true)),
        (json!("WebIdentityUser"), Some(true)),
        (json!("AssumedRole"), Some(false)),
        (Value::Null, None),
    ] {
        with(
            &json!({"userIdentity": {"type": kind, "accountId": "1"}}),
            |facts| {
                assert_eq!(facts.actor.is_external, want, "{kind}");
            },
        );
    }
}

#[test]
fn an_identity_of_another_account_is_an_outsider_whatever_its_type() {
    for kind in ["AssumedRole", "IAMUser", "Root", "AWSAccount"] {
        let record = json!({"userIdentity": {"type": kind, "accountId": "444455556666"}, "recipientAccountId": "111122223333"});
        with(&record, |facts| {
            assert_eq!(facts.actor.is_external, Some(true), "{kind}");
        });
    }
    let nameless = json!({"userIdentity": {"accountId": "111122223333"}, "recipientAccountId": "111122223333"});
    with(&nameless, |facts| assert_eq!(facts.actor.is_external, None));
}

#[test]
fn a_root_session_of_the_organization_is_told_from_the_root_user() {
    for (kind, context, want) in [
        ("Root", json!({"assumedRoot": "true"}), Some(true)),
        ("Root", json!({"assumedRoot": true}), Some(true)),
        ("Root", json!({"assumedRoot": "false"}), Some(false)),
        (
            "Root",
            json!({"attributes": {"mfaAuthenticated": "false"}}),
            Some(false),
        ),
        ("Root", Value::Null, Some(false)),
        // The call of sts:AssumeRoot itself is the role's.
        ("AssumedRole", json!({"assumedRoot": "true"}), Some(false)),
    ] {
        let record = json!({"userIdentity": {"type": kind, "sessionContext": context}});
        with(&record, |facts| {
            assert_eq!(facts.actor.is_assumed_root, want, "{record}");
        });
    }
    with(&json!({}), |facts| {
        assert_eq!(facts.actor.is_assumed_root, None);
    });
}

#[test]
fn a_sensitive_principal_is_known_by_user_role_or_permission_set() {
    let session = |role: &str, name: &str| json!({"type": "AssumedRole", "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/{name}")});
    for (identity, want) in [
        (
            json!({"type": "IAMUser", "userName": "Break-Glass-1"}),
            Some(true),
        ),
        (session("emergency-access", "eve"), Some(true)),
        (
            session("AWSReservedSSO_FireCall_0123456789abcdef", "eve"),
            Some(true),
        ),
        (session("ops", "break-glass"), Some(false)),
        (json!({"type": "IAMUser", "userName": "eve"}), Some(false)),
        (json!({"type": "AWSAccount", "accountId": "1"}), None),
    ] {
        with_lists(&json!({"userIdentity": identity}), "{}", |facts| {
            assert_eq!(facts.actor.is_sensitive, want, "{identity}");
        });
    }
    let user = json!({"userIdentity": {"type": "IAMUser", "userName": "break-glass"}});
    for (settings, want) in [
        ("sensitive_principals: []", None),
        ("sensitive_principals: [glass]", Some(false)),
        ("sensitive_principals: [Break-Glass]", Some(true)),
        ("sensitive_principals: ['*', '!break*']", Some(false)),
    ] {
        with_lists(&user, settings, |facts| {
            assert_eq!(facts.actor.is_sensitive, want, "{settings}");
        });
    }
}

#[test]
fn an_allowed_principal_must_come_from_an_allowed_network_where_there_are_any() {
    let record = |address: Value| {
        json!({
            "userIdentity": {"type": "AssumedRole", "arn": "arn:aws:sts::111122223333:assumed-role/deploy/ci"},
            "sourceIPAddress": address,
        })
    };
    let with_principals = "allow_list: {principals: ['arn:aws:iam::*:role/dep*']}";
    let with_both =
        "allow_list: {principals: ['arn:aws:iam::*:role/dep*'], networks: [192.0.2.0/24]}";
    for (settings, address, want) in [
        ("{}", json!("192.0.2.7"), None),
        (with_principals, json!("203.0.113.7"), Some(true)),
        (with_principals, Value::Null, Some(true)),
        (
            "allow_list: {principals: ['*:assumed-role/*']}",
            json!("192.0.2.7"),
            Some(false),
        ),
        (with_both, json!("192.0.2.7"), Some(true)),
        (with_both, json!("203.0.113.7"), Some(false)),
        (with_both, Value::Null, Some(false)),
        (
            with_both,
            json!("cloudformation.amazonaws.com"),
            Some(false),
        ),
    ] {
        with_lists(&record(address.clone()), settings, |facts| {
            assert_eq!(facts.actor.allow_listed, want, "{settings} {address}");
        });
    }
    with_lists(&json!({}), with_principals, |facts| {
        assert_eq!(facts.actor.allow_listed, None, "nobody is named");
    });
}
