//! Rules as people write them: every construct of the public SigmaHQ set for CloudTrail loads and means what it says,
//! the optional rules of this project load, and the prefilter stays exact whatever rules there are.
//!
//! The SigmaHQ set itself is not here. In November 2026 its detections for aws/cloudtrail, 85 that were published or
//! proposed, were loaded by hand: 83 load, and the two that count records (`| count() by …`) are refused with that
//! reason. Three of those that load cannot match a record as CloudTrail writes it: they seek a text in
//! `requestParameters` as a whole, which is an object. The rules below are our own; each uses a construct that was seen
//! there, with examples that must hold.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests say what they expect by panicking; clippy's own exception does not reach functions beside #[test]"
)]

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use trailtag::config::{Config, Detection};
use trailtag::detection::Detector;
use trailtag::model::Origin;
use trailtag::pipeline::{Outputs, Pipeline, Tally};
use trailtag::synthetic::{Generator, Options, Shape};

/// A rule of this detection and these further lines.
fn rule(id: &str, detection: &str, further: &str) -> String {
    format!(
        "title: '{id}'\nid: '{id}'\nlevel: low\nlogsource: {{product: aws, service: cloudtrail}}\ndetection:\n{}\n{further}",
        indented(detection)
    )
}

fn indented(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}

/// A folder with these rules.
fn folder(rules: &[String]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (at, rule) in rules.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at}.yml")), rule).unwrap();
    }
    folder
}

fn load(paths: &[PathBuf]) -> Result<Detector, String> {
    Detector::load(&Detection {
        rules: paths.to_vec(),
        ..Detection::default()
    })
    .map_err(|faults| faults.to_string())
}

/// How many examples the built-in rule has.
fn built_in() -> usize {
    load(&[]).unwrap().examples()
}

/// A detection loads, and matches the first records and not the others.
#[track_caller]
fn holds(detection: &str, matching: &[&str], others: &[&str]) {
    let list = |records: &[&str]| {
        let quoted: Vec<String> = records
            .iter()
            .map(|record| format!("'{}'", record.replace('\'', "''")))
            .collect();
        quoted.join(", ")
    };
    let examples = format!(
        "trailtag.examples: {{match: [{}], no_match: [{}]}}\n",
        list(matching),
        list(others)
    );
    let folder = folder(&[rule("r", detection, &examples)]);
    let tried = load(&[folder.path().to_owned()]).map(|detector| detector.examples() - built_in());
    assert_eq!(tried, Ok(matching.len() + others.len()), "{detection}");
}

#[test]
fn lists_of_names_and_of_sources_are_alternatives() {
    holds(
        "selection:\n  eventSource: [sso.amazonaws.com, 'sso-directory.amazonaws.com']\n  eventName:\n    - 'StartThing'\n    - StopThing\ncondition: selection",
        &[
            r#"{"eventSource": "sso.amazonaws.com", "eventName": "StopThing"}"#,
            r#"{"eventSource": "sso-directory.amazonaws.com", "eventName": "StartThing"}"#,
        ],
        &[
            r#"{"eventSource": "sso.amazonaws.com", "eventName": "DropThing"}"#,
            r#"{"eventSource": "iam.amazonaws.com", "eventName": "StopThing"}"#,
        ],
    );
}

#[test]
fn parts_of_texts_are_compared_without_case_save_those_of_names() {
    holds(
        "selection:\n  eventName|startswith: [Create, Put]\n  userAgent|contains: 'S3 Browser'\n  userIdentity.accessKeyId|startswith: AKIA\n  userIdentity.arn|endswith: ':root'\ncondition: selection",
        &[
            r#"{"eventName": "PutUserPolicy", "userAgent": "x s3 browser/9", "userIdentity": {"accessKeyId": "akia1", "arn": "arn:aws:iam::1:root"}}"#,
        ],
        &[
            r#"{"eventName": "putUserPolicy", "userAgent": "S3 Browser", "userIdentity": {"accessKeyId": "AKIA1", "arn": "arn:aws:iam::1:root"}}"#,
            r#"{"eventName": "PutUserPolicy", "userAgent": "S3 Browser", "userIdentity": {"accessKeyId": "ASIA1", "arn": "arn:aws:iam::1:root"}}"#,
        ],
    );
}

#[test]
fn all_parts_must_be_there_where_the_rule_says_all() {
    holds(
        "selection:\n  requestParameters.policyDocument|contains|all:\n    - '\"Effect\": \"Allow\"'\n    - '\"Action\": \"*\"'\ncondition: selection",
        &[
            r#"{"requestParameters": {"policyDocument": "{\"Action\": \"*\", \"Effect\": \"Allow\"}"}}"#,
        ],
        &[
            r#"{"requestParameters": {"policyDocument": "{\"Action\": \"*\", \"Effect\": \"Deny\"}"}}"#,
            r#"{"requestParameters": null}"#,
        ],
    );
}

#[test]
fn one_of_many_selections_is_enough_and_all_of_them_are_all() {
    let selections = "s_a: {eventName: A}\ns_b:\n  eventName: B\n  requestParameters.enable: 'false'\nt_c: {errorCode: Denied}\n";
    let a = r#"{"eventName": "A"}"#;
    let b = r#"{"eventName": "B", "requestParameters": {"enable": "false"}}"#;
    let b_on = r#"{"eventName": "B", "requestParameters": {"enable": "true"}}"#;
    let a_denied = r#"{"eventName": "A", "errorCode": "Denied"}"#;
    for (condition, matching, others) in [
        ("1 of s_*", vec![a, b, a_denied], vec![b_on]),
        ("1 of them", vec![a, b, a_denied], vec![b_on]),
        ("any of s_*", vec![a, b], vec![b_on]),
        ("all of s_*", vec![], vec![a, b, a_denied]),
        ("1 of s_* and t_c", vec![a_denied], vec![a, b]),
        ("1 of s_* and 1 of t_*", vec![a_denied], vec![a, b]),
        ("s_a and not t_c", vec![a], vec![a_denied, b]),
        ("1 of s_* and not 1 of t*", vec![a, b], vec![a_denied]),
        (
            "(s_a or s_b) and not (t_c or s_b)",
            vec![a],
            vec![b, a_denied],
        ),
    ] {
        holds(
            &format!("{selections}condition: {condition}"),
            &matching,
            &others,
        );
    }
}

#[test]
fn a_list_of_mappings_is_a_list_of_alternatives() {
    holds(
        "selection:\n  userIdentity.arn|re: '.+:assumed-role/aws:.+'\nfilter_main_generic:\n  - eventSource: 'ssm.amazonaws.com'\n  - eventName: 'RegisterManagedInstance'\n  - sourceIPAddress: 'AWS Internal'\ncondition: selection and not 1 of filter_main_*",
        &[
            r#"{"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/aws:ec2-instance/i-1"}, "eventSource": "s3.amazonaws.com"}"#,
        ],
        &[
            r#"{"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/aws:ec2-instance/i-1"}, "sourceIPAddress": "AWS Internal"}"#,
            r#"{"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/aws:ec2-instance/i-1"}, "eventSource": "ssm.amazonaws.com"}"#,
            r#"{"userIdentity": {"arn": "arn:aws:sts::1:assumed-role/ci/i-1"}}"#,
        ],
    );
}

#[test]
fn null_is_a_field_that_is_null_or_missing_and_the_text_null_is_not() {
    holds(
        "selection: {eventName: A}\nstatus_ok: {errorCode: 'Success'}\nstatus_null: {errorCode: null}\ncondition: selection and 1 of status_*",
        &[
            r#"{"eventName": "A"}"#,
            r#"{"eventName": "A", "errorCode": null}"#,
            r#"{"eventName": "A", "errorCode": "Success"}"#,
        ],
        &[
            r#"{"eventName": "A", "errorCode": "AccessDenied"}"#,
            r#"{"eventName": "A", "errorCode": ""}"#,
        ],
    );
    holds(
        "selection: {errorCode: 'null'}\ncondition: selection",
        &[r#"{"errorCode": "null"}"#],
        &[r#"{"errorCode": null}"#, "{}"],
    );
}

#[test]
fn a_field_is_there_or_not() {
    holds(
        "selection: {eventName: A}\nfilter: {errorCode|exists: true}\ncondition: selection and not filter",
        &[r#"{"eventName": "A"}"#],
        &[r#"{"eventName": "A", "errorCode": "AccessDenied"}"#],
    );
    holds(
        "selection: {errorCode|exists: false}\ncondition: selection",
        &["{}"],
        &[r#"{"errorCode": "AccessDenied"}"#],
    );
}

#[test]
fn a_lone_wildcard_asks_for_a_value_and_wildcards_stand_within_texts() {
    holds(
        "selection: {eventName: A, responseElements.pending.password|contains: '*'}\nfilter1: {errorMessage|contains: '*'}\nfilter2: {responseElements|contains: 'Failure'}\ncondition: selection and not 1 of filter*",
        &[r#"{"eventName": "A", "responseElements": {"pending": {"password": "****"}}}"#],
        &[
            r#"{"eventName": "A", "responseElements": {"pending": {}}}"#,
            r#"{"eventName": "A", "responseElements": {"pending": {"password": "****"}}, "errorMessage": "no"}"#,
        ],
    );
    holds(
        "selection: {userIdentity.arn: 'arn:*/*terraform*'}\ncondition: selection",
        &[r#"{"userIdentity": {"arn": "arn:aws:iam::1:role/ci-Terraform-1"}}"#],
        &[r#"{"userIdentity": {"arn": "arn:aws:iam::1:role/ci"}}"#],
    );
}

#[test]
fn numbers_and_truth_values_match_as_such_and_as_texts() {
    holds(
        "selection:\n  requestParameters.block: 'false'\n  requestParameters.setAsDefault: true\n  requestParameters.maxItems: '100'\n  recipientAccountId: 111122223333\ncondition: selection",
        &[
            r#"{"requestParameters": {"block": false, "setAsDefault": true, "maxItems": 100}, "recipientAccountId": 111122223333}"#,
            r#"{"requestParameters": {"block": "false", "setAsDefault": "true", "maxItems": "100"}, "recipientAccountId": "111122223333"}"#,
        ],
        &[
            r#"{"requestParameters": {"block": true, "setAsDefault": true, "maxItems": 100}, "recipientAccountId": 111122223333}"#,
            r#"{"requestParameters": {"block": false, "setAsDefault": false, "maxItems": 100}, "recipientAccountId": 111122223333}"#,
            r#"{"requestParameters": {"block": false, "setAsDefault": true, "maxItems": 10}, "recipientAccountId": 111122223333}"#,
        ],
    );
}

#[test]
fn numbers_and_networks_have_their_own_comparisons() {
    holds(
        "selection:\n  requestParameters.maxItems|gte: 100\n  sourceIPAddress|cidr: [10.0.0.0/8, 2001:db8::/32]\ncondition: selection",
        &[
            r#"{"requestParameters": {"maxItems": 100}, "sourceIPAddress": "10.1.2.3"}"#,
            r#"{"requestParameters": {"maxItems": 101}, "sourceIPAddress": "2001:db8::1"}"#,
        ],
        &[
            r#"{"requestParameters": {"maxItems": 99}, "sourceIPAddress": "10.1.2.3"}"#,
            r#"{"requestParameters": {"maxItems": 100}, "sourceIPAddress": "AWS Internal"}"#,
        ],
    );
}

#[test]
fn one_field_is_compared_with_another() {
    holds(
        "selection: {eventName: A}\nfilter_main_self: {userIdentity.userName|fieldref: requestParameters.userName}\ncondition: selection and not 1 of filter_main_*",
        &[
            r#"{"eventName": "A", "userIdentity": {"userName": "eve"}, "requestParameters": {"userName": "bob"}}"#,
        ],
        &[
            r#"{"eventName": "A", "userIdentity": {"userName": "bob"}, "requestParameters": {"userName": "bob"}}"#,
        ],
    );
}

#[test]
fn fields_lie_within_lists_too() {
    holds(
        "selection:\n  requestParameters.containerDefinitions.command|contains: '$AWS_CONTAINER_CREDENTIALS'\ncondition: selection",
        &[
            r#"{"requestParameters": {"containerDefinitions": [{"name": "a"}, {"command": ["sh", "-c", "curl $AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]}]}}"#,
        ],
        &[r#"{"requestParameters": {"containerDefinitions": [{"command": ["sh"]}]}}"#],
    );
}

#[test]
fn an_object_as_a_whole_is_no_text() {
    holds(
        "selection: {eventName: A, requestParameters|contains: 'Suspended'}\ncondition: selection",
        &[r#"{"eventName": "A", "requestParameters": "{Status=Suspended}"}"#],
        &[r#"{"eventName": "A", "requestParameters": {"Status": "Suspended"}}"#],
    );
}

#[test]
fn keywords_are_sought_in_every_text_of_the_record() {
    holds(
        "keywords:\n  - pacu\n  - 'cloud*goat'\ncondition: keywords",
        &[
            r#"{"userAgent": "Pacu"}"#,
            r#"{"requestParameters": {"tags": [{"value": "cloud-goat"}]}}"#,
        ],
        &[r#"{"userAgent": "aws-cli"}"#],
    );
}

#[test]
fn metadata_that_means_nothing_here_is_no_fault() {
    let further = "\
related:
  - id: 22222222-2222-4222-8222-222222222222
    type: similar
status: test
date: 2022/10/09
modified: 2023-04-28
author: somebody
license: MIT
taxonomy: sigma
fields: [userIdentity.arn, errorCode]
regression_tests_path: regression_data/rules/x/info.yml
simulation: [{type: x, name: y}]
falsepositives: |
  One text,
    and no list
tags: [attack.defense_evasion, attack.t1562.001, detection.emerging-threats]
references: ['https://example.com/']
";
    let folder = folder(&[rule(
        "r",
        "selection: {eventName: A}\ncondition: selection",
        further,
    )]);
    let detector = load(&[folder.path().to_owned()]).unwrap();
    assert_eq!(detector.rules().len(), 2);
    assert_eq!(
        detector.rules()[1].tags,
        [
            "attack.defense_evasion",
            "attack.t1562.001",
            "detection.emerging-threats"
        ]
    );
}

#[test]
fn the_optional_rules_load_and_match_their_examples() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/rules/optional");
    let files = std::fs::read_dir(&path).unwrap().count();
    let detector = load(std::slice::from_ref(&path)).unwrap();
    assert_eq!(detector.rules().len(), 1 + files);
    // Five each, so that none is without.
    assert_eq!(detector.examples() - built_in(), 5 * files);
    assert_eq!(
        detector.literals().unwrap(),
        [
            "AddRoleToInstanceProfile",
            "AssociateIamInstanceProfile",
            "CreateInstanceProfile",
            "DeleteInstanceProfile",
            "DisassociateIamInstanceProfile",
            "RemoveRoleFromInstanceProfile",
            "ReplaceIamInstanceProfileAssociation",
        ]
    );
    for rule in &detector.rules()[1..] {
        assert!(
            uuid(&rule.id) && rule.tags.iter().any(|tag| tag.starts_with("attack.")),
            "{rule:?}"
        );
    }
}

fn uuid(id: &str) -> bool {
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12]
}

const ORIGIN: Origin<'_> = Origin {
    topic: "cloudtrail",
    partition: 0,
    offset: 0,
    timestamp: None,
};

fn pipeline(rules: &TempDir) -> Pipeline {
    let mut config = Config::default();
    config.detection.rules = vec![rules.path().to_owned()];
    Pipeline::from_config(&config).unwrap()
}

fn process(pipeline: &Pipeline, payload: &[u8]) -> (Tally, Outputs) {
    let mut outputs = Outputs::default();
    let tally = pipeline.process(payload, &ORIGIN, &mut outputs);
    (tally, outputs)
}

/// The rules, and beside them one that matches nothing and requires nothing, which lets every record past the prefilter.
fn with_and_without_prefilter(rules: &[String]) -> (Pipeline, Pipeline) {
    let mut all = rules.to_vec();
    all.push(rule("never", "s: {no.such.field: x}\ncondition: s", ""));
    let filtered = pipeline(&folder(rules));
    let unfiltered = pipeline(&folder(&all));
    assert!(filtered.detector().literals().is_some());
    assert!(unfiltered.detector().literals().is_none());
    (filtered, unfiltered)
}

#[test]
fn a_prefilter_of_names_and_sources_changes_nothing_but_the_time() {
    let rules = [
        rule("1", "s: {eventName: AssumeRole}\ncondition: s", ""),
        rule(
            "2",
            "s: {eventSource: iam.amazonaws.com}\nf: {eventName|startswith: [Get, List]}\ncondition: s and not f",
            "",
        ),
    ];
    let (filtered, unfiltered) = with_and_without_prefilter(&rules);
    let mut of_the_source = 0;
    for shape in [
        Shape::Record,
        Shape::S3File,
        Shape::EventBridge,
        Shape::CloudWatch,
    ] {
        let mut generator = Generator::new(&Options {
            seed: 7,
            match_rate: 0.01,
            shape,
        });
        let mut records = 0;
        let mut payload = Vec::new();
        while records < 2_000 {
            records += generator.write(100, &mut payload);
            let (tally, outputs) = process(&filtered, &payload);
            let (wanted, all) = process(&unfiltered, &payload);
            assert_eq!(tally, wanted);
            assert_eq!(outputs.documents, all.documents);
            of_the_source += tally.matched;
        }
    }
    assert!(of_the_source > 100, "{of_the_source}");
}

#[test]
fn a_source_is_found_however_its_letters_are_spelt() {
    let rules = [rule(
        "1",
        "s: {eventSource: sts.amazonaws.com}\ncondition: s",
        "",
    )];
    let (filtered, unfiltered) = with_and_without_prefilter(&rules);
    for (source, matched) in [
        ("sts.amazonaws.com", 1),
        (r"\u0073ts.amazonaws.com", 1),
        (r"sts\u002eamazonaws.com", 1),
        ("STS.amazonaws.com", 0),
        ("ec2.amazonaws.com", 0),
    ] {
        let record = format!(
            r#"{{"eventVersion":"1.08","userIdentity":{{"type":"Root"}},"eventTime":"2026-01-05T18:46:26Z","eventSource":"{source}","eventName":"X"}}"#
        );
        for pipeline in [&filtered, &unfiltered] {
            let (tally, _) = process(pipeline, record.as_bytes());
            assert_eq!((tally.matched, tally.records()), (matched, 1), "{source}");
        }
    }
}
