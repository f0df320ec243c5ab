//! The add-on where another one has settings for the same source type, as Splunk's for AWS does.

use std::collections::BTreeSet;

use serde_json::json;

use super::{addon, both_ways, both_ways_beside, example_records, pipeline, records, write};

/// What another add-on may have for `aws:cloudtrail`. The first lookups have the names of Splunk's for AWS in its version
/// 7.0.0, with the stronger word; the others are not known to ours.
fn another_add_on() -> addon::Foreign {
    addon::Foreign {
        settings: vec![
            (
                "FIELDALIAS-eventName-for-aws-cloudtrail_signature",
                "eventName AS signature",
            ),
            (
                "FIELDALIAS-eventSource-for-aws-cloudtrail-dvc",
                "eventSource AS dvc",
            ),
            (
                "FIELDALIAS-eventType-for-aws-cloudtrail-app",
                "eventType AS app",
            ),
            (
                "FIELDALIAS-zz",
                "eventName AS id errorMessage AS result nothing AS src",
            ),
            ("EVAL-action", "\"theirs\""),
            ("EVAL-status", "\"theirs\""),
            ("EVAL-change_type", "\"theirs\""),
            ("EVAL-user", "\"theirs\""),
            ("EVAL-errorCode", "coalesce(errorCode, \"success\")"),
            (
                "LOOKUP-action-status-for-aws-cloudtrail",
                "theirs eventName, errorCode OUTPUT action, status",
            ),
            (
                "LOOKUP-changeType-for-aws-cloudtrail-lookup",
                "theirs eventName OUTPUT change_type",
            ),
            (
                "LOOKUP-vendor-product-for-aws-cloudtrail",
                "product sourcetype OUTPUTNEW vendor, product, app",
            ),
            (
                "LOOKUP-later",
                "theirs eventName OUTPUT action status change_type object_category",
            ),
            (
                "LOOKUP-without_a_row",
                "product eventName AS command OUTPUT app AS status app AS object_category",
            ),
        ],
        tables: [
            (
                "theirs",
                "eventName,errorCode,action,status,change_type,object_category\n\
                 RemoveRoleFromInstanceProfile,success,theirs,theirs,theirs,theirs\n",
            ),
            (
                "product",
                "sourcetype,eventName,vendor,product,app\naws:cloudtrail,x,AWS,CloudTrail,theirs\n",
            ),
        ]
        .into(),
        after_ours: false,
    }
}

#[test]
fn another_add_on_for_the_same_source_type_does_not_change_our_fields() {
    let folder = tempfile::tempdir().unwrap();
    let pipeline = pipeline(folder.path());
    let mut known = another_add_on();
    known
        .settings
        .retain(|(name, _)| !name.starts_with("LOOKUP-") || name.contains("-for-aws-cloudtrail"));
    known.after_ours = true;
    assert_eq!(known.settings.len() + 2, another_add_on().settings.len());
    for foreign in [another_add_on(), known] {
        for record in example_records() {
            let written = write(&pipeline, &record.to_string());
            let alone = both_ways(&written);
            for (alone, beside) in alone.iter().zip(both_ways_beside(&written, &foreign)) {
                for (name, value) in alone {
                    if name != "errorCode" {
                        assert_eq!(beside.get(name), Some(value), "{name} of {record}");
                    }
                }
                assert!(beside.values().all(|value| value != "theirs"), "{beside:?}");
            }
        }
    }
}

#[test]
fn another_add_on_would_change_what_is_calculated_alone() {
    // What makes the test above worth something: the same settings do reach the events.
    let folder = tempfile::tempdir().unwrap();
    let mut foreign = another_add_on();
    foreign.settings.push((
        "LOOKUP-zzz",
        "theirs eventName OUTPUT action AS app action AS status",
    ));
    let written = write(
        &pipeline(folder.path()),
        &records::with(&json!({})).to_string(),
    );
    for fields in both_ways_beside(&written, &foreign) {
        assert_eq!((&*fields["app"], &*fields["status"]), ("theirs", "theirs"));
    }
}

/// Every combination of the words that `props.conf` calculates has its row: one that has none would lose its fields.
#[test]
fn every_combination_of_words_is_looked_up() {
    let mut rows =
        csv::Reader::from_path(addon::folder().join("lookups/trailtag_change.csv")).unwrap();
    let rows: Vec<[String; 7]> = rows.deserialize().map(Result::unwrap).collect();
    let [(_, props)] = &addon::conf("props.conf")[..] else {
        panic!("one stanza")
    };
    let results = |name: &str| -> BTreeSet<String> {
        let (_, expression) = props.iter().find(|(key, _)| key == name).unwrap();
        // The words of a `case` stand alone behind its conditions.
        let parts = regex::Regex::new(r#", "([a-z]+)"(?:, |\)$)"#).unwrap();
        let expression = expression.replace("nullif(", "").replace("\"null\")", "");
        let words = parts.captures_iter(&expression);
        words.map(|found| found[1].to_owned()).collect()
    };
    let (actions, statuses, categories) = (
        results("EVAL-trailtag_action"),
        results("EVAL-trailtag_status"),
        results("EVAL-trailtag_object_category"),
    );
    assert_eq!((actions.len(), statuses.len(), categories.len()), (4, 2, 3));
    let mut want = Vec::new();
    for action in &actions {
        for status in &statuses {
            for category in &categories {
                let [action, status, category] = [action, status, category].map(String::clone);
                let same = [action.clone(), status.clone(), category.clone()];
                let [a, s, c] = same;
                want.push([a, s, c, action, status, category, "AAA".to_owned()]);
            }
        }
    }
    let mut rows = rows;
    rows.sort();
    assert_eq!(rows, want);
}
