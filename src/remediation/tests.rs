//! Tests of [`super`].

use super::*;
use crate::detection::Context;
use crate::detection::lists::Lists;
use proptest::prelude::*;
use serde_json::{Value, json};

fn faults(text: &str) -> String {
    match Catalogue::compile("remediation.yaml", text, Detail::Full) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    }
}

fn catalogue(step: &str) -> String {
    format!(
        "risks:\n  - {{id: outage, title: Outage, reasons: [{{why: x}}]}}\nitems:\n  - id: x\n    kind: restore\n    title: X\n    risks: [outage]\n{step}\n"
    )
}

#[test]
fn the_built_in_catalogue_loads() {
    assert!(Catalogue::load(None, Detail::Full).is_ok());
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (step, want) in [
        ("    cli: ['aws {{ role | sh }}']", ""),
        (
            "    cli:\n      - 'aws {{ rolle | sh }}'",
            "remediation.yaml:9: item x: cli step 1: there is no value `rolle`; there are instance_profile, role, account, partition, region, access_key_id, user, actor_arn, actor_account, actor_role, principal_arn, home_region, event_id, event_time, window_start, window_end, session_since, history_since",
        ),
        (
            "    cli:\n      - 'aws'\n      - 'aws {{ role }}'",
            "remediation.yaml:10: item x: cli step 2: invalid operation: a value must go through `| sh` here",
        ),
        (
            "    boto3: ['f({{ role }})']",
            "remediation.yaml:8: item x: boto3 step 1: invalid operation: a value must go through `| py` here",
        ),
        (
            "    cli:\n      - \"aws --query 'x=={{ role | sh }}'\"",
            "remediation.yaml:9: item x: cli step 1: `role` does not arrive whole: keep `{{ role | sh }}` outside quotes of the step's own",
        ),
        (
            "    cli: ['aws {{ role | py }}']",
            "remediation.yaml:8: item x: cli step 1: invalid operation: a value must go through `| sh` here",
        ),
        (
            "    when: {s: {trailtag.nothing: 1}, condition: s}",
            "remediation.yaml:4: item x: `when`: there is no fact `trailtag.nothing`",
        ),
    ] {
        assert_eq!(faults(&catalogue(step)), want, "{step}");
    }
    let unclosed = faults(&catalogue("    console: ['{{ role']"));
    assert!(
        unclosed.starts_with("remediation.yaml:8: item x: console step 1: syntax error: "),
        "{unclosed}"
    );
    let unsafe_filter = faults(&catalogue("    cli: ['{{ role | safe }}']"));
    assert!(unsafe_filter.contains("unknown filter"), "{unsafe_filter}");
}

#[test]
fn a_query_without_its_languages_quoting_is_refused() {
    let wants = |language: &str, filter: &str| {
        format!("{language} query: invalid operation: a value must go through {filter} here")
    };
    let not_whole = |language: &str, filter: &str| {
        format!(
            "{language} query: `role` does not arrive whole: keep `{{{{ role | {filter} }}}}` outside quotes and comments of the query's own"
        )
    };
    for (query, want) in [
        ("athena: 'a = {{ role | sql }}'", String::new()),
        (
            "lake: 'a = {{ role | sql }} AND b > {{ event_time | sql_time }}'",
            String::new(),
        ),
        (
            "spl: 'a={{ role | spl }} earliest={{ event_time | spl_time }}'",
            String::new(),
        ),
        ("esql: 'a == {{ role | esql }}'", String::new()),
        ("kql: 'a == {{ role | kql }}'", String::new()),
        ("athena: 'a = {{ role }}'", wants("athena", "`| sql`")),
        (
            "lake: 'a = {{ role | kql }}'",
            wants("lake", "`| sql` or `| sql_time`"),
        ),
        (
            "spl: 'a={{ role | esql }}'",
            wants("spl", "`| spl` or `| spl_time`"),
        ),
        ("esql: 'a == {{ role | sh }}'", wants("esql", "`| esql`")),
        ("kql: 'a == {{ role | py }}'", wants("kql", "`| kql`")),
        (
            "athena: \"a = '{{ role | sql }}'\"",
            not_whole("athena", "sql"),
        ),
        (
            "lake: 'a = {{ role | sql }} -- {{ role | sql }}'",
            not_whole("lake", "sql"),
        ),
        ("spl: 'a=\"x {{ role | spl }}\"'", not_whole("spl", "spl")),
        ("spl: \"a='{{ role | spl }}'\"", not_whole("spl", "spl")),
        ("esql: '// {{ role | esql }}'", not_whole("esql", "esql")),
        (
            "esql: 'a == \"\"\"{{ role | esql }}\"\"\"'",
            "esql query: a quote or a comment in it has no end".to_owned(),
        ),
        ("kql: 'a == @\"{{ role | kql }}\"'", not_whole("kql", "kql")),
        (
            "athena: \"a = '\"",
            "athena query: a quote or a comment in it has no end".to_owned(),
        ),
        (
            "odbc: x",
            "unknown key `odbc`; the keys here are athena, lake, spl, esql, kql".to_owned(),
        ),
        ("kql: ''", "its `kql` is empty".to_owned()),
        (
            "kql: [x]",
            "`kql` must be text: put it in quotes".to_owned(),
        ),
    ] {
        let said = faults(&catalogue(&format!("    queries:\n      {query}")));
        let want = if want.is_empty() {
            want
        } else {
            format!("remediation.yaml:9: item x: {want}")
        };
        assert_eq!(said, want, "{query}");
    }
    assert_eq!(
        faults(&catalogue("    queries: [x]")),
        "remediation.yaml:8: item x: this must be a mapping with the keys athena, lake, spl, esql, kql"
    );
}

#[test]
fn every_faulty_entry_is_told() {
    let text = "risks:
  - {id: outage, title: Outage, reasons: [{why: '{{ rolle }}'}, {when: {s: {trailtag.x: 1}, condition: s}, why: x}]}
  - {id: fire, title: Fire}
  - outage
items:
  - {id: x, kind: restore, title: X, risks: [flood], clii: []}
  - {id: x, kind: mend, title: '', cli: aws}
  - id: x
    kind: restore
    title: X
    cli: ['aws', 5]
    when: {s: {trailtag.y: 1}, condition: s}
  - {kind: restore, title: X}
";
    let said = faults(text);
    let names = values::NAMES.join(", ");
    let want = [
            "3: risk fire: it has no `reasons`, so that it never applies: say `reasons: [{why: …}]`".to_owned(),
            "4: risk: this must be a mapping with the keys id, title, reasons".to_owned(),
            "6: item x: unknown key `clii`; did you mean `cli`?".to_owned(),
            "7: item x: its `title` is empty".to_owned(),
            "7: item x: `kind`: unknown variant `mend`, expected one of `investigate`, `contain`, `restore`, `prevent`, `hardening`".to_owned(),
            "7: item x: `cli` must be a list".to_owned(),
            "11: item x: `cli` must be text: put it in quotes".to_owned(),
            "13: item: it has no `id`".to_owned(),
            "6: item x: it answers risk \"flood\", which is not among `risks`".to_owned(),
            "8: item x: another item has the same `id` (line 6): give it its own".to_owned(),
            "8: item x: `when`: there is no fact `trailtag.y`".to_owned(),
            "2: risk outage: `when`: there is no fact `trailtag.x`".to_owned(),
            format!("2: risk outage: why step 1: there is no value `rolle`; there are {names}"),
        ];
    let said: Vec<&str> = said
        .lines()
        .map(|line| line.strip_prefix("remediation.yaml:").unwrap())
        .collect();
    assert_eq!(said, want);
    assert_eq!(
        faults("[]"),
        "remediation.yaml:1: this must be a mapping with the keys risks, items"
    );
    assert!(faults("risks: [").starts_with("remediation.yaml:"));
}

#[test]
fn events_are_any_or_names_and_nothing_else() {
    for (events, want) in [
        ("any", ""),
        ("[CreateUser]", ""),
        ("[CreateUser, UpdateFunctionCode20150331v2]", ""),
        ("[GetInstanceProfile, TagInstanceProfile]", ""),
        (
            "[]",
            "`events` is an empty list, so that this never applies: name an event, or say `events: any`",
        ),
        (
            "CreateUser",
            "`events` must be `any`, or a list of event names such as [CreateUser, DeleteUser]",
        ),
        (
            "~",
            "`events` must be `any`, or a list of event names such as [CreateUser, DeleteUser]",
        ),
        (
            "all",
            "`events` must be `any`, or a list of event names such as [CreateUser, DeleteUser]",
        ),
        ("[any]", "`any` stands alone: say `events: any`"),
        (
            "['Create*']",
            "`events`: \"Create*\" is no event name: write CloudTrail's `eventName` alone and whole, such as CreateUser",
        ),
        (
            "['iam:CreateUser']",
            "`events`: \"iam:CreateUser\" is no event name: write CloudTrail's `eventName` alone and whole, such as CreateUser",
        ),
        (
            "[RemoveRoleFromInstanceProfil]",
            "`events`: there is no event `RemoveRoleFromInstanceProfil`; did you mean `RemoveRoleFromInstanceProfile`?",
        ),
        (
            "[addroletoinstanceprofile]",
            "`events`: there is no event `addroletoinstanceprofile`; did you mean `AddRoleToInstanceProfile`?",
        ),
        ("[5]", "`events` must be text: put it in quotes"),
    ] {
        let text = catalogue(&format!("    events: {events}"));
        let want_item = format!("remediation.yaml:8: item x: {want}");
        let said = faults(&text);
        assert_eq!(
            said,
            if want.is_empty() { "" } else { &want_item },
            "{text}"
        );
        let text = format!(
            "risks:\n  - id: outage\n    title: Outage\n    reasons:\n      - events: {events}\n        why: x\nitems: []\n"
        );
        let want_reason = format!("remediation.yaml:5: risk outage: {want}");
        let said = faults(&text);
        assert_eq!(
            said,
            if want.is_empty() { "" } else { &want_reason },
            "{text}"
        );
    }
}

#[test]
fn what_is_meant_for_another_event_is_not_given() {
    let text = "
risks:
  - id: a
    title: A
    reasons:
      - {events: [CreateUser], why: of CreateUser}
      - {events: [CreateUser, DeleteUser], when: {s: {trailtag.outcome: denied}, condition: s}, why: denied}
      - {why: of any}
items:
  - {id: old, kind: restore, title: X, risks: [a]}
  - {id: any, kind: restore, title: X, events: any}
  - {id: user, kind: restore, title: X, events: [CreateUser, DeleteUser]}
  - {id: denied, kind: restore, title: X, events: [DeleteUser], when: {s: {trailtag.outcome: denied}, condition: s}}
";
    let catalogue = Catalogue::compile("x", text, Detail::Full).unwrap();
    for (record, why, want) in [
        (
            json!({"eventName": "CreateUser"}),
            "of CreateUser",
            &["old", "any", "user"][..],
        ),
        (
            json!({"eventName": "DeleteUser"}),
            "of any",
            &["old", "any", "user"],
        ),
        (
            json!({"eventName": "DeleteUser", "errorCode": "AccessDenied"}),
            "denied",
            &["old", "any", "user", "denied"],
        ),
        (
            json!({"eventName": "createuser", "errorCode": "AccessDenied"}),
            "of any",
            &["old", "any"],
        ),
        (json!({}), "of any", &["old", "any"]),
    ] {
        advise_by(&catalogue, &record, |advice| {
            let ids: Vec<&str> = advice.items().iter().map(|item| item.id).collect();
            assert_eq!(ids, want, "{record}");
            assert_eq!(advice.risks[0].why, why, "{record}");
        });
    }
}

/// Every text of what is said of an event.
fn said(advice: &Advice<'_>) -> String {
    json!({"risks": advice.risks, "items": advice.items()}).to_string()
}

#[test]
fn nothing_of_instance_profiles_is_said_of_another_event() {
    let catalogue: Value = serde_saphyr::from_str(CATALOGUE).unwrap();
    for item in catalogue["items"].as_array().unwrap() {
        assert!(!item["events"].is_null(), "{} says no events", item["id"]);
    }
    let session = json!({
        "type": "AssumedRole", "principalId": "AROACKCEVSQ6C2EXAMPLE:i-0123456789abcdef0", "accountId": "111122223333",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE", "arn": "arn:aws:sts::111122223333:assumed-role/app/i-0123456789abcdef0",
    });
    let mut sso = session.clone();
    sso["arn"] =
        json!("arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/eve");
    sso["principalId"] = json!("AROACKCEVSQ6C2EXAMPLE:eve");
    let mut ids = std::collections::BTreeSet::new();
    for identity in [
        json!({"type": "IAMUser", "userName": "eve", "accountId": "111122223333", "accessKeyId": "AKIAIOSFODNN7EXAMPLE"}),
        json!({"type": "IAMUser", "userName": "eve", "accountId": "111122223333"}),
        json!({"type": "Root", "accountId": "111122223333"}),
        json!({"type": "AWSAccount", "principalId": "AIDACKCEVSQ6C2EXAMPLE", "accountId": "444455556666"}),
        json!({"type": "SAMLUser", "principalId": "x:eve", "userName": "eve"}),
        session,
        sso,
    ] {
        for (name, source) in [
            ("ConsoleLogin", "signin.amazonaws.com"),
            ("AssumeRole", "sts.amazonaws.com"),
            ("CreateUser", "iam.amazonaws.com"),
            ("AttachRolePolicy", "iam.amazonaws.com"),
            ("RunInstances", "ec2.amazonaws.com"),
        ] {
            for (code, agent) in [
                (Value::Null, "aws-cli"),
                (json!("AccessDenied"), "Boto3/1.34 kali"),
                (json!("NoSuchEntityException"), "console.amazonaws.com"),
                (Value::Null, "Boto3/1.34 kali"),
            ] {
                let record = json!({
                    "eventName": name, "eventSource": source, "errorCode": code, "userAgent": agent, "userIdentity": identity,
                    "recipientAccountId": "111122223333", "sourceIPAddress": "203.0.113.7", "eventTime": "2026-01-05T18:46:26Z",
                    "requestParameters": {"roleName": "ssm-admin", "iamInstanceProfile": {"name": "web"}},
                });
                advise(&record, |advice| {
                    let text = said(advice).to_lowercase().replace(['-', '_', ' '], "");
                    assert!(!text.contains("instanceprofile"), "{record}: {text}");
                    ids.extend(advice.items().iter().map(|item| item.id.to_owned()));
                });
            }
        }
    }
    // What is said of the caller remains.
    for id in [
        "investigate.actor_activity",
        "investigate.actor_identity",
        "investigate.actor_session",
        "contain.access_key",
        "contain.instance_role",
        "contain.isolate_instances",
        "contain.other_account",
        "contain.root",
        "contain.sso_sessions",
        "contain.user",
        "hardening.mfa",
    ] {
        assert!(ids.contains(id), "{id}");
    }
}

#[test]
fn of_a_failed_sign_in_somebody_is_asked() {
    let record = json!({
        "eventName": "ConsoleLogin", "eventSource": "signin.amazonaws.com", "responseElements": {"ConsoleLogin": "Failure"},
        "userIdentity": {"type": "IAMUser", "userName": "eve", "accountId": "111122223333"}, "recipientAccountId": "111122223333",
    });
    advise(&record, |advice| {
        let ids: Vec<&str> = advice.items().iter().map(|item| item.id).collect();
        assert_eq!(ids, ["investigate.actor_identity"]);
        assert_eq!(
            advice.risks[0].why,
            "The call failed. If nobody expected it, somebody may be trying to get access."
        );
    });
}

fn advise_by<T>(catalogue: &Catalogue, record: &Value, look: impl FnOnce(&Advice<'_>) -> T) -> T {
    let text = record.to_string();
    let record = Record::parse(text.as_bytes()).unwrap();
    let lists = Lists::default();
    let facts = Facts::from_record(&record, Context::default(), &lists);
    look(&catalogue.select(&record, &facts))
}

fn advise<T>(record: &Value, look: impl FnOnce(&Advice<'_>) -> T) -> T {
    let catalogue = Catalogue::load(None, Detail::Full).unwrap();
    advise_by(&catalogue, record, look)
}

fn request(profile: &Value, role: &Value) -> Value {
    json!({
        "eventSource": "iam.amazonaws.com", "eventName": "RemoveRoleFromInstanceProfile",
        "eventTime": "2026-01-05T18:46:26Z", "awsRegion": "us-east-1",
        "requestParameters": {"instanceProfileName": profile, "roleName": role},
    })
}

fn item<'a>(advice: &Advice<'a>, id: &str) -> Item<'a> {
    let mut items = advice.items().into_iter();
    items.find(|item| item.id == id).unwrap()
}

#[test]
fn the_restore_item_is_filled_in() {
    advise(&request(&json!("web"), &json!("web-role")), |advice| {
        let item = item(advice, "restore.role");
        assert_eq!(
            item.cli[0],
            "aws iam add-role-to-instance-profile --region us-east-1 --instance-profile-name web --role-name web-role"
        );
        assert_eq!(
            item.boto3[2],
            "iam.add_role_to_instance_profile(InstanceProfileName='web', RoleName='web-role')"
        );
        assert!(
            item.notes.iter().all(|note| !note.contains('<')),
            "{:?}",
            item.notes
        );
        assert_eq!(item.risks, ["misconfiguration", "outage"]);
    });
}

#[test]
fn what_is_missing_leaves_a_placeholder_and_a_note() {
    advise(&request(&json!("web"), &Value::Null), |advice| {
        let item = item(advice, "restore.role");
        let words = shlex::split(&item.cli[0]).unwrap();
        assert_eq!(words.last().map(String::as_str), Some("<ROLE>"));
        assert_eq!(
            item.notes.last().unwrap(),
            "<ROLE>: the event does not say; look it up and put it in."
        );
    });
}

#[test]
fn a_risk_says_why_it_is_one_here() {
    advise(&request(&json!("web"), &json!("web-role")), |advice| {
        let outage = advice
            .risks
            .iter()
            .find(|risk| risk.id == "outage")
            .unwrap();
        assert_eq!(
            outage.why,
            "Instances with web get no new credentials. Those they have expire in up to about 6 hours, and calls to AWS fail from then on."
        );
    });
    let mut denied = request(&json!("web"), &json!("web-role"));
    denied["errorCode"] = json!("AccessDenied");
    advise(&denied, |advice| {
        let ids: Vec<&str> = advice.risks.iter().map(|risk| risk.id).collect();
        assert_eq!(
            ids,
            [
                "unauthorized_access",
                "privilege_escalation",
                "misconfiguration"
            ]
        );
    });
}

#[test]
fn a_risk_is_told_only_if_some_chosen_item_answers_it_and_by_its_first_reason_that_holds() {
    let text = "
risks:
  - id: a
    title: A
    reasons:
      - {when: {s: {trailtag.outcome: denied}, condition: s}, why: never}
      - {why: 'first, {{ role }}'}
      - {why: second}
  - {id: b, title: B, reasons: [{why: x}]}
  - {id: c, title: C, reasons: [{when: {s: {trailtag.outcome: denied}, condition: s}, why: x}]}
items:
  - {id: x, kind: restore, title: X, risks: [a, c]}
  - {id: z, kind: restore, title: Z, risks: [b], when: {s: {trailtag.outcome: denied}, condition: s}}
";
    let catalogue = Catalogue::compile("x", text, Detail::Full).unwrap();
    advise_by(&catalogue, &request(&json!("p"), &json!("r")), |advice| {
        let said = serde_json::to_value(&advice.risks).unwrap();
        assert_eq!(said, json!([{"id": "a", "title": "A", "why": "first, r"}]));
    });
}

#[test]
fn the_detail_decides_what_documents_carry() {
    let text = "
risks: [{id: outage, title: Outage, reasons: [{why: x}]}]
items:
  - {id: x, kind: restore, title: X, risks: [outage], cli: ['aws {{ role | sh }}'], notes: [note], references: [page], queries: {kql: 'a == {{ role | kql }}', athena: x}}
  - {id: z, kind: prevent, title: Z}
";
    for (detail, want) in [
        (
            Detail::Full,
            json!([
                {"id": "x", "kind": "restore", "title": "X", "risks": ["outage"], "cli": ["aws r"], "queries": {"athena": "x", "kql": "a == \"r\""}, "notes": ["note"], "references": ["page"]},
                {"id": "z", "kind": "prevent", "title": "Z"},
            ]),
        ),
        (
            Detail::Summary,
            json!([
                {"id": "x", "kind": "restore", "title": "X", "risks": ["outage"], "references": ["page"]},
                {"id": "z", "kind": "prevent", "title": "Z"},
            ]),
        ),
        (Detail::Ids, json!([{"id": "x"}, {"id": "z"}])),
    ] {
        let catalogue = Catalogue::compile("x", text, detail).unwrap();
        advise_by(&catalogue, &request(&json!("p"), &json!("r")), |advice| {
            assert_eq!(serde_json::to_value(advice.items()).unwrap(), want);
            assert_eq!(advice.risks.len(), 1);
        });
    }
    assert_eq!(Detail::default(), Detail::Full);
    assert_eq!(serde_json::to_value(Detail::Summary).unwrap(), "summary");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// What is copied from prepared bytes is what serialising the items gives, whatever the values are.
    #[test]
    fn prepared_items_are_what_serialising_gives(
        texts in prop::array::uniform3(prop_oneof![any::<String>(), "[A-Za-z0-9_+=,.@-]{1,12}"]),
        kind in prop::sample::select(vec!["IAMUser", "Root", "AssumedRole"]),
        detail in prop::sample::select(vec![Detail::Full, Detail::Summary, Detail::Ids]),
        leaves_out in prop::sample::select(vec![&[][..], &[Steps::Console], &[Steps::Console, Steps::Queries], &[Steps::Console, Steps::Queries, Steps::Boto3, Steps::Cli]]),
    ) {
        let [profile, role, name] = texts;
        let mut record = request(&json!(profile), &json!(role));
        record["userIdentity"] = json!({"type": kind, "userName": name, "accessKeyId": "AKIAIOSFODNN7EXAMPLE", "arn": format!("arn:aws:iam::111122223333:user/{name}")});
        let catalogue = Catalogue::load(None, detail).unwrap();
        advise_by(&catalogue, &record, |advice| {
            let advice = advice.clone().without(leaves_out);
            let mut written = Vec::new();
            advice.write_items(&mut written).unwrap();
            let serialised = serde_json::to_vec(&advice.items()).unwrap();
            assert_eq!(String::from_utf8(written).unwrap(), String::from_utf8(serialised).unwrap());
        });
    }
}

#[test]
fn every_item_of_the_built_in_catalogue_is_prepared() {
    let catalogue = Catalogue::load(None, Detail::Full).unwrap();
    for entry in &catalogue.items {
        assert!(entry.prepared.is_some(), "{}", entry.id);
    }
}
