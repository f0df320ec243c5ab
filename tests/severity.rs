//! The severity of whole records: the labelled examples, and an independent, deliberately simple scorer that must agree
//! with the program on whatever record there is.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use proptest::prelude::*;
use serde_json::{Value, json};
use trailtag::config::Config;
use trailtag::model::Origin;
use trailtag::pipeline::{Explained, Outputs, Pipeline};

#[path = "severity/examples.rs"]
mod examples;
#[path = "severity/formats.rs"]
mod formats;
#[path = "severity/records.rs"]
mod records;
#[path = "severity/simple.rs"]
mod simple;

use examples::examples;
use records::{
    CLI, Site, TERRAFORM, assumed_root, instance, linked_role, role, root, sso, target, user_key,
    user_session, with,
};

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 0,
    offset: 0,
    timestamp: None,
};

fn pipeline(site: Site, folder: &Path) -> Pipeline {
    Pipeline::from_config(&site.config(folder)).unwrap()
}

fn ours(pipeline: &Pipeline, record: &Value) -> Value {
    let mut outputs = Outputs::default();
    let payload = serde_json::to_vec(record).unwrap();
    let tally = pipeline.process(&payload, &ORIGIN, &mut outputs);
    assert_eq!((tally.matched, tally.records()), (1, 1), "{record}");
    let document: Value = serde_json::from_slice(&outputs.documents[0].payload).unwrap();
    document["trailtag"].clone()
}

#[test]
fn the_labelled_examples_come_out_as_they_are_labelled() {
    let folder = tempfile::tempdir().unwrap();
    for (number, site, changes, (score, level), factors, techniques) in examples() {
        let ours = ours(&pipeline(site, folder.path()), &with(&changes));
        let name = format!("example {number}: {changes}");
        let severity = &ours["severity"];
        assert_eq!(
            (severity["score"].as_u64(), severity["level"].as_str()),
            (Some(u64::from(score)), Some(level)),
            "{name}"
        );
        let got: Vec<(&str, i64)> = severity["factors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|factor| {
                (
                    factor["id"].as_str().unwrap(),
                    factor["points"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(got, factors, "{name}");
        let got: Vec<&str> = ours["attack"]
            .as_array()
            .unwrap()
            .iter()
            .map(|technique| technique["technique"].as_str().unwrap())
            .collect();
        assert_eq!(got, techniques, "{name}");
    }
}

#[test]
fn a_floor_lifts_and_is_named_where_it_decides() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site {
        threats: true,
        principals: true,
        ..Site::default()
    };
    let record = with(
        &json!({"userIdentity": role("deploy-ci", "run-7"), "userAgent": TERRAFORM, "sourceIPAddress": "203.0.113.66"}),
    );
    let severity = &ours(&pipeline(site, folder.path()), &record)["severity"];
    assert_eq!(
        severity["score"], 65,
        "35 + 30 - 10 - 20 is 35, and the floor is high"
    );
    assert_eq!(
        severity["floor"],
        json!({"factor": "network.threat_listed", "score": 65})
    );
}

#[test]
fn a_rule_begins_at_the_score_of_its_level_and_an_event_at_the_highest_of_its_rules() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |id: &str, level: &str| {
        let path = folder.path().join(format!("{id}.yml"));
        let text = format!(
            "title: {id}\nid: {id}\nlevel: {level}\nlogsource: {{product: aws, service: cloudtrail}}\ntags: [attack.persistence, attack.t1098.003]\ndetection: {{s: {{eventName: AddRoleToInstanceProfile}}, condition: s}}\n"
        );
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut config = Config::default();
    config.detection.rules = vec![rule("mild", "low"), rule("grave", "medium")];
    let pipeline = Pipeline::from_config(&config).unwrap();
    let record =
        with(&json!({"eventName": "AddRoleToInstanceProfile", "userIdentity": user_key()}));
    let ours = ours(&pipeline, &record);
    assert_eq!(
        ours["severity"],
        json!({"level": "medium", "score": 57, "factors": [{"id": "rule.base", "points": 47}, {"id": "actor.long_lived_key", "points": 10}]})
    );
    assert_eq!(ours["rules"].as_array().unwrap().len(), 2);
    assert_eq!(ours["attack"][0]["technique"], "T1098.003");
}

#[test]
fn attack_ids_follow_the_version_that_is_set() {
    let mut config = Config::default();
    config.detection.attack_version = 19;
    let record = with(&json!({"requestParameters": target("ssm-agent", "agent-role")}));
    let attack = &ours(&Pipeline::from_config(&config).unwrap(), &record)["attack"];
    assert_eq!(
        attack,
        &json!([{"tactic": "TA0112", "tactic_name": "Defense Impairment", "technique": "T1685", "name": "Disable or Modify Tools"}])
    );
}

fn any_identity() -> impl Strategy<Value = Value> {
    let invoked = |mut identity: Value, service: &str| {
        identity["invokedBy"] = json!(service);
        identity
    };
    let mut emergency = user_key();
    emergency["userName"] = json!("firecall-1");
    prop::sample::select(vec![
        user_key(),
        user_session("true"),
        user_session("false"),
        role("deploy-ci", "run-7"),
        role("ops", "deploy"),
        role("web-role", "i-0123456789abcdef0"),
        instance(),
        role("break-glass", "jane"),
        role("ops", "break-glass"),
        emergency,
        sso(),
        root(None),
        root(Some("true")),
        root(Some("false")),
        assumed_root(),
        invoked(role("deploy-ci", "eve"), "cloudformation.amazonaws.com"),
        invoked(user_key(), "cloudformation.amazonaws.com"),
        invoked(user_key(), "elasticbeanstalk.amazonaws.com"),
        invoked(user_key(), "ssm.amazonaws.com"),
        invoked(
            role("web-role", "i-0123456789abcdef0"),
            "states.amazonaws.com",
        ),
        invoked(linked_role(), "autoscaling.amazonaws.com"),
        json!({"type": "AWSService", "invokedBy": "autoscaling.amazonaws.com"}),
        json!({"type": "AWSAccount", "principalId": "AIDA", "accountId": "444455556666"}),
        json!({"type": "FederatedUser", "arn": "arn:aws:sts::111122223333:federated-user/eve", "accountId": "111122223333"}),
        json!({"type": "IdentityCenterUser", "accountId": "111122223333"}),
        Value::Null,
    ])
}

fn any_site() -> impl Strategy<Value = Site> {
    any::<[bool; 5]>().prop_map(|[principals, networks, threats, inventory, aws]| Site {
        principals,
        networks,
        threats,
        inventory,
        aws,
    })
}

fn words(words: &[&str]) -> impl Strategy<Value = Value> + use<> {
    let mut values: Vec<Value> = words.iter().map(|word| json!(word)).collect();
    values.push(Value::Null);
    prop::sample::select(values)
}

prop_compose! {
    fn any_record()(
        identity in any_identity(),
        code in words(&["", "AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "NoSuchEntity", "ThrottlingException"]),
        address in words(&["198.51.100.7", "203.0.113.66", "203.0.113.7", "AWS Internal", "cloudformation.amazonaws.com", "2001:db8::7", "192.0.2.7", "2001:db8:a::7", "10.0.0.7"]),
        endpoint in words(&["", "vpce-0123456789abcdef0"]),
        agent in words(&[TERRAFORM, CLI, "Pacu", "Boto3 kali Terraform", "aws-cli exec-env/CloudShell", "Terraform exec-env/CloudShell", "signin.amazonaws.com", "cloudformation.amazonaws.com", "Mozilla/5.0",
            "Boto3/1.9 Linux/6.1.0-1parrot1-amd64", "parrot-ai-sdk/2.3", "my-kalibrate-agent/1.0",
            "aws-sdk-go-v2/1.36.3 karpenter.sh-1.4.0", "aws-sdk-go-v2/1.36.3 aws.cluster.x-k8s.io/v2.8.1"]),
        console in words(&["true", "false"]),
        profile in words(&["web", "idle", "ssm-agent", "fleet", "fleet-49", "other"]),
        role_name in words(&["web-role", "OrgAdminRole", "falcon-sensor", "deploy-backup",
            "rootless", "org-root", "deployment-test", "DeepSecurityAgent", "OrganizationAccountAccessRole", "elastic-agent"]),
        recipient in words(&["111122223333", "444455556666"]),
        request in any::<bool>(),
    ) -> Value {
        let request = if request { json!({"instanceProfileName": profile, "roleName": role_name}) } else { Value::Null };
        with(&json!({
            "userIdentity": identity, "errorCode": code, "sourceIPAddress": address, "userAgent": agent,
            "vpcEndpointId": endpoint, "sessionCredentialFromConsole": console, "recipientAccountId": recipient, "requestParameters": request,
        }))
    }
}

/// The pipeline of a site; the same few again and again, so each is built once.
fn pipeline_of(site: Site) -> Rc<Pipeline> {
    thread_local! {
        static SITES: RefCell<HashMap<String, Rc<Pipeline>>> = RefCell::default();
    }
    SITES.with_borrow_mut(|sites| {
        let build = || Rc::new(pipeline(site, tempfile::tempdir().unwrap().path()));
        sites
            .entry(format!("{site:?}"))
            .or_insert_with(build)
            .clone()
    })
}

fn factors(severity: &Value) -> Vec<(String, i64)> {
    let factors = severity["factors"].as_array().unwrap().iter();
    factors
        .map(|factor| {
            (
                factor["id"].as_str().unwrap().to_owned(),
                factor["points"].as_i64().unwrap(),
            )
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_independent_scorer_agrees(site in any_site(), record in any_record()) {
        let severity = ours(&pipeline_of(site), &record)["severity"].clone();
        let (want, score) = simple::score(site, &record);
        prop_assert_eq!(factors(&severity), want, "{}", record);
        prop_assert_eq!(severity["score"].as_i64(), Some(score), "{}", record);
    }

    /// What `explain` says of a record is what its document says, and each verdict is the one that counted.
    #[test]
    fn an_explanation_says_what_the_document_says(site in any_site(), record in any_record()) {
        let pipeline = pipeline_of(site);
        let document = ours(&pipeline, &record);
        let payload = serde_json::to_vec(&record).unwrap();
        let mut told = 0;
        pipeline.explain(&payload, &ORIGIN, &mut |explained| {
            let Explained::Record { explanation, finding: Some(finding), .. } = explained else {
                panic!("a finding: {explained:?}");
            };
            told += 1;
            let detection = &finding.detection;
            assert_eq!(json!(detection.severity), document["severity"]);
            assert_eq!(json!(detection.attack), document["attack"]);
            assert_eq!(json!(finding.advice.items()), document["remediation"]);
            let applied: Vec<(String, i64)> = explanation.factors.iter()
                .filter(|factor| factor.applies)
                .map(|factor| (factor.id.to_owned(), i64::from(factor.points)))
                .collect();
            assert_eq!(applied, factors(&document["severity"]), "the base of this rule is 0");
            for factor in &explanation.factors {
                assert!(!factor.applies || factor.trace.holds, "{factor:?}");
                assert!(!factor.trace.because.is_empty(), "{factor:?}");
            }
            let matched: Vec<Value> = explanation.rules.iter()
                .filter(|rule| rule.trace.holds)
                .map(|rule| json!(rule.rule))
                .collect();
            assert_eq!(json!(matched), document["rules"]);
        });
        prop_assert_eq!(told, 1);
    }
}
