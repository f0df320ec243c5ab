//! Tests of [`super`].

use super::*;
use serde_json::json;
use std::borrow::Cow;

const HEAD: &str = "title: T\nid: 11111111-1111-4111-8111-111111111111\nlevel: low\nlogsource: {product: aws, service: cloudtrail}\n";

fn load(files: &[(&str, String)]) -> (Rules, String) {
    let files: Vec<NamedText> = files
        .iter()
        .map(|(name, text)| NamedText {
            name: (*name).to_owned(),
            text: text.clone(),
        })
        .collect();
    let mut refusals = Refusals::default();
    let rules = Rules::compile(&files, AttackVersion::V18, &mut refusals);
    (rules, refusals.faults.to_string())
}

fn faults(text: &str) -> String {
    load(&[("r.yml", text.to_owned())]).1
}

fn rule(id: &str, detection: &str) -> String {
    format!(
        "title: '{id}'\nid: '{id}'\nlevel: medium\nlogsource: {{product: aws}}\ndetection: {detection}\n"
    )
}

#[test]
fn what_is_wrong_is_said_with_file_line_and_rule() {
    let detection = "detection: {s: {eventName: A}, condition: s}\n";
    for (text, want) in [
        (format!("{HEAD}{detection}"), ""),
        (
            format!("# about\n---\n# more\ntitle: T\nlevel: low\n{detection}"),
            "r.yml:4: rule \"T\": it has no `id`: give it a UUID of its own",
        ),
        (
            format!("title: T\nid: x\n{detection}"),
            "r.yml:1: rule \"T\": it has no `level`, which its score begins with: informational, low, medium, high or critical",
        ),
        (
            format!("{HEAD}detection:\n  s: {{eventName: A}}\n  condition: t\n"),
            "r.yml:1: rule \"T\": unknown detection identifier: t",
        ),
        (
            format!("{HEAD}detection:\n  s: {{eventName|ends: A}}\n  condition: s\n"),
            "r.yml:1: rule \"T\": Unknown modifier 'ends'",
        ),
        (
            format!("{HEAD}detection: {{s: {{trailtag.outcome: denied}}, condition: s}}\n"),
            "r.yml:1: rule \"T\": it tests `trailtag.outcome`, which is derived only after a rule matched: use the record's own fields",
        ),
        (
            format!("title: W\nid: x\nlevel: low\nlogsource: {{product: windows, service: system}}\n{detection}"),
            "r.yml:1: rule \"W\": its `logsource` is windows/system: only records of aws/cloudtrail arrive here",
        ),
        (
            format!("{HEAD}trailtag.base_score: 400\n{detection}"),
            "r.yml:1: rule \"T\": its `trailtag.base_score` is not a number from 0 to 100",
        ),
        (
            format!("{HEAD}{detection}---\n{HEAD}{detection}"),
            "r.yml:7: rule \"T\": another rule has the same `id`: give it its own",
        ),
        (
            "title: C\nid: c\ncorrelation: {type: event_count, rules: [x], group-by: [a], timespan: 5m, condition: {gte: 3}}\nlevel: high\n".to_owned(),
            "r.yml:1: rule \"C\": correlation rules are not supported: a rule here sees one record at a time",
        ),
        (
            format!("{HEAD}detection:\n  s: {{eventName: A}}\n  condition: s | count() by userIdentity.arn > 20\n"),
            "r.yml:7: rule \"T\": conditions that count records (`| count() …`) are not supported: a rule here sees one record at a time",
        ),
        (
            "action: global\nlevel: low\n".to_owned(),
            "r.yml:1: collections with `action` are not supported: write each rule out",
        ),
        (
            "title: F\nlogsource: {product: aws}\nfilter: {rules: [nobody], s: {a: 1}, condition: not s}\n".to_owned(),
            "r.yml:1: rule \"F\": it filters rule \"nobody\", which is not loaded: name a rule's id or title",
        ),
        ("- a\n- b\n".to_owned(), "r.yml:1: Document is not a YAML mapping"),
    ] {
        assert_eq!(faults(&text), want, "{text}");
    }
}

#[test]
fn broken_yaml_names_the_line_in_its_file() {
    let text = format!(
        "{HEAD}detection: {{s: {{eventName: A}}, condition: s}}\n---\ntitle: B\nid: \"b\nlevel: low\n"
    );
    let fault = faults(&text);
    assert!(fault.starts_with("r.yml:"), "{fault}");
    let line: usize = fault.split(':').nth(1).unwrap().parse().unwrap();
    assert!((7..=10).contains(&line), "{fault}");
    assert!(fault.contains("rule \"B\": is not YAML: "), "{fault}");
}

#[test]
fn all_faults_of_all_files_come_at_once() {
    let (_, faults) = load(&[
        (
            "a.yml",
            "title: A\nlevel: low\ndetection: {s: {eventName: A}, condition: s}\n".to_owned(),
        ),
        (
            "b.yml",
            "title: B\nid: b\ndetection: {s: {eventName: A}}\n".to_owned(),
        ),
    ]);
    assert_eq!(
        faults,
        "a.yml:1: rule \"A\": it has no `id`: give it a UUID of its own\n\
         b.yml:1: rule \"B\": Missing required field 'condition'"
    );
}

#[test]
fn literals_are_names_or_else_sources_of_every_rule_or_none() {
    let one = rule("1", "{s: {eventName: [B, A]}, condition: s}");
    let two = rule(
        "2",
        "{s: {eventName: A, eventSource: x}, t: {eventName: C}, condition: s or t}",
    );
    let of_a_source = rule("3", "{s: {eventSource: iam.amazonaws.com}, condition: s}");
    let free = rule("4", "{s: {userAgent: pacu}, condition: s}");
    let (rules, faults) = load(&[("a", one.clone()), ("b", two)]);
    assert_eq!(faults, "");
    assert_eq!(rules.literals().unwrap(), ["A", "B", "C"]);
    let (rules, _) = load(&[("a", one.clone()), ("b", of_a_source)]);
    assert_eq!(rules.literals().unwrap(), ["A", "B", "iam.amazonaws.com"]);
    let (rules, _) = load(&[("a", one), ("b", free)]);
    assert_eq!(rules.literals(), None);
}

#[test]
fn the_reach_is_what_rules_without_a_name_are_limited_to() {
    let (rules, faults) = load(&[
        ("a", rule("1", "{s: {eventName: A}, condition: s}")),
        (
            "b",
            rule(
                "2",
                "{s: {eventSource: [sts.amazonaws.com, iam.amazonaws.com], eventName|startswith: Get}, condition: s}",
            ),
        ),
        ("c", rule("3", "{s: {eventSource: 'iam*'}, condition: s}")),
    ]);
    assert_eq!(faults, "");
    let reach: Vec<(&str, Option<Vec<&str>>)> = rules
        .unfiltered_rules()
        .map(|reach| (reach.rule.id.as_str(), reach.sources))
        .collect();
    assert_eq!(
        reach,
        [
            ("2", Some(vec!["iam.amazonaws.com", "sts.amazonaws.com"])),
            ("3", None)
        ]
    );
}

#[test]
fn names_alone_tell_most_records_apart() {
    let (rules, _) = load(&[
        (
            "a",
            rule(
                "1",
                "{s: {eventName: A, eventSource: x.amazonaws.com}, condition: s}",
            ),
        ),
        ("b", rule("2", "{s: {eventName: B}, condition: s}")),
    ]);
    let want = |source: Option<&'static str>, name: Option<&'static str>| {
        rules.want(&EventNames {
            event_source: source.map(Cow::Borrowed),
            event_name: name.map(Cow::Borrowed),
        })
    };
    assert!(want(Some("x.amazonaws.com"), Some("A")));
    assert!(!want(Some("y.amazonaws.com"), Some("A")));
    assert!(want(Some("y.amazonaws.com"), Some("B")));
    assert!(!want(Some("x.amazonaws.com"), Some("C")));
    assert!(want(None, Some("A")));
    assert!(want(Some("x.amazonaws.com"), None));
    assert!(!want(None, Some("a")));
}

#[test]
fn a_filter_silences_what_it_names() {
    let (rules, faults) = load(&[
        ("a", rule("1", "{s: {eventName: A}, condition: s}")),
        (
            "f",
            "title: quiet\nlogsource: {product: aws}\nfilter:\n  rules: ['1']\n  s: {userIdentity.userName: deploy}\n  condition: not s\n".to_owned(),
        ),
    ]);
    assert_eq!(faults, "");
    assert_eq!(
        rules
            .matching(&json!({"eventName": "A", "userIdentity": {"userName": "eve"}}))
            .len(),
        1
    );
    assert_eq!(
        rules
            .matching(&json!({"eventName": "A", "userIdentity": {"userName": "deploy"}}))
            .len(),
        0
    );
    assert_eq!(rules.literals().unwrap(), ["A"]);
}

#[test]
fn matches_come_in_the_order_of_loading() {
    let (rules, _) = load(&[
        ("b", rule("b", "{s: {eventName: A}, condition: s}")),
        ("a", rule("a", "{s: {x: 1}, condition: s}")),
    ]);
    let ids: Vec<&str> = rules
        .matching(&json!({"eventName": "A", "x": 1}))
        .iter()
        .map(|rule| rule.id.as_str())
        .collect();
    assert_eq!(ids, ["b", "a"]);
}

/// What is loaded of these files, by id, what is refused of them, and how many documents that is.
fn loaded(files: &[(&str, String)]) -> (Vec<String>, String, usize) {
    let files: Vec<NamedText> = files
        .iter()
        .map(|(name, text)| NamedText {
            name: (*name).to_owned(),
            text: text.clone(),
        })
        .collect();
    let mut refusals = Refusals::default();
    let rules = Rules::compile(&files, AttackVersion::V18, &mut refusals);
    let ids = rules.all().iter().map(|rule| rule.id.clone()).collect();
    (ids, refusals.faults.to_string(), refusals.count())
}

#[test]
fn what_is_refused_is_not_loaded_and_all_else_is() {
    let good = rule("good", "{s: {eventName: A}, condition: s}");
    for (bad, want) in [
        (rule("bad", "{s: {a: {b: 1}}, condition: s}"), "with a map"),
        (rule("bad", "{s: {'a[any]': 1}, condition: s}"), "sigma-version: 3"),
        (rule("bad", "{s: {a|expand: '%b%'}, condition: s}"), "%b%"),
        (rule("bad", "{s: {a|ends: 1}, condition: s}"), "Unknown modifier"),
        (rule("bad", "{s: {a|re: '('}, condition: s}"), "regex"),
        (rule("bad", "{s: {eventName: A}, condition: t}"), "unknown detection identifier"),
        (rule("good", "{s: {eventName: A}, condition: s}"), "the same `id`"),
        (
            rule("bad", "{s: {eventName: A}, condition: s}\ntrailtag.examples: {match: [{eventName: B}, {eventName: A}]}"),
            "match[0] does not match",
        ),
        ("title: bad\nlevel: low\n".to_owned(), ""),
        ("title: [\n".to_owned(), "is not YAML"),
        ("title: C\nid: c\ncorrelation: {type: event_count, rules: [x], group-by: [a], timespan: 5m, condition: {gte: 3}}\nlevel: high\n".to_owned(), "correlation rules"),
        (
            "title: bad\nlogsource: {product: aws}\nfilter: {rules: [good], s: {a: {b: 1}}, condition: not s}\n".to_owned(),
            "with a map",
        ),
        (
            "title: bad\nlogsource: {product: aws}\nfilter: {rules: [nobody], s: {a: 1}, condition: not s}\n".to_owned(),
            "not loaded",
        ),
        (
            "title: bad\nlogsource: {product: aws}\nfilter: {rules: [good], s: {trailtag.outcome: 1}, condition: not s}\n".to_owned(),
            "use the record's own fields",
        ),
    ] {
        let other = rule("other", "{s: {eventName: B}, condition: s}");
        let files = [("a", good.clone()), ("b", bad.clone()), ("c", other)];
        let (ids, told, count) = loaded(&files);
        assert_eq!((ids, count), (vec!["good".to_owned(), "other".to_owned()], 1), "{bad}: {told}");
        assert!(told.starts_with("b:") && told.contains(want), "{bad}: {told}");
        // Two documents of one file are two rules.
        let (ids, _, count) = loaded(&[("a", format!("{bad}---\n{good}"))]);
        let twice = want.contains("the same");
        assert_eq!((ids.len(), count), (1, 1), "{bad} {twice}");
    }
}

#[test]
fn a_filter_over_a_rule_that_is_refused_still_silences_the_others() {
    let filter = "title: quiet\nlogsource: {product: aws}\nfilter:\n  rules: [good, bad]\n  s: {userAgent: x}\n  condition: not s\n";
    let files = [
        ("a", rule("good", "{s: {eventName: A}, condition: s}")),
        ("b", rule("bad", "{s: {a: {b: 1}}, condition: s}")),
        ("f", filter.to_owned()),
    ];
    let (_, told, count) = loaded(&files);
    assert_eq!(count, 1, "{told}");
    let (rules, _) = load(&files);
    let matches = |record: Value| rules.matching(&record).len();
    assert_eq!(matches(json!({"eventName": "A", "userAgent": "x"})), 0);
    assert_eq!(matches(json!({"eventName": "A", "userAgent": "y"})), 1);
}

#[test]
fn examples_of_a_rule_that_is_refused_do_not_count() {
    let examples = "trailtag.examples: {match: [{eventName: A}, {eventName: B}]}\n";
    let text = rule("a", "{s: {eventName: A}, condition: s}") + examples;
    let (rules, told) = load(&[("a", text)]);
    assert_eq!((rules.examples(), rules.all().len()), (0, 0), "{told}");
}
