//! What Sigma and the engine know nothing of, added to both: names that match exactly, the literals that a rule
//! requires, and records that carry derived facts under `trailtag.`.

use std::borrow::Cow;
use std::collections::BTreeSet;

use rsigma_eval::{Event, EventValue, JsonEvent};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, Modifier, Quantifier, SigmaValue,
};
use serde_json::Value;

use super::facts::{self, Fact, Facts};

/// Where derived facts live.
pub(super) const PREFIX: &str = "trailtag.";

/// The fields whose values AWS fixes, case included.
const EXACT: [&str; 2] = ["eventName", "eventSource"];

/// Makes every comparison of `eventName` and `eventSource` case-sensitive, which is what lets the prefilter be exact.
///
/// Regular expressions, networks, existence, numbers and references to other fields already say how they compare.
pub(super) fn make_names_exact(detections: &mut Detections) {
    for detection in detections.named.values_mut() {
        each_item_mut(detection, &mut |item| {
            let named = item
                .field
                .name
                .as_deref()
                .is_some_and(|name| EXACT.contains(&name));
            let compares_text = item.field.modifiers.iter().all(|modifier| {
                matches!(
                    modifier,
                    Modifier::Contains
                        | Modifier::StartsWith
                        | Modifier::EndsWith
                        | Modifier::All
                        | Modifier::Neq
                )
            });
            if named && compares_text {
                item.field.modifiers.push(Modifier::Cased);
            }
        });
    }
}

/// The facts that a section tests and that do not exist, each with its prefix.
pub(super) fn unknown_facts(detections: &Detections) -> BTreeSet<String> {
    tested_facts(detections)
        .into_iter()
        .filter(|field| {
            field
                .strip_prefix(PREFIX)
                .is_none_or(|name| !facts::NAMES.contains(&name))
        })
        .collect()
}

/// The facts that a section tests, each with its prefix.
pub(super) fn tested_facts(detections: &Detections) -> BTreeSet<String> {
    let mut tested = BTreeSet::new();
    for detection in detections.named.values() {
        each_field(detection, &mut |field| {
            if field == PREFIX.trim_end_matches('.') || field.starts_with(PREFIX) {
                tested.insert(field.to_owned());
            }
        });
    }
    tested
}

/// The texts that a section compares with, as they are written.
pub(super) fn written_values(detections: &Detections) -> Vec<String> {
    let mut written = Vec::new();
    for detection in detections.named.values() {
        each_item(detection, &mut |item| {
            written.extend(item.values.iter().filter_map(|value| match value {
                SigmaValue::String(text) => text.as_plain(),
                _ => None,
            }));
        });
    }
    written
}

/// Values of `field` one of which a record must hold for the section to match: none where it can match without.
///
/// Only plain words count: they stand in a record's text as they are, whatever else it escapes.
pub(super) fn required(detections: &Detections, field: &str) -> Option<BTreeSet<String>> {
    any(detections
        .conditions
        .iter()
        .map(|condition| required_by_condition(condition, detections, field)))
}

type Required = Option<BTreeSet<String>>;

/// Of alternatives, all count; one that requires nothing frees the whole.
fn any(alternatives: impl Iterator<Item = Required>) -> Required {
    let mut all = BTreeSet::new();
    let mut seen = false;
    for values in alternatives {
        all.extend(values?);
        seen = true;
    }
    seen.then_some(all)
}

/// Of what must hold together, the one with the fewest values says most.
fn all(parts: impl Iterator<Item = Required>) -> Required {
    parts.flatten().min_by_key(BTreeSet::len)
}

fn required_by_condition(
    condition: &ConditionExpr,
    detections: &Detections,
    field: &str,
) -> Required {
    let of = |part| required_by_condition(part, detections, field);
    match condition {
        ConditionExpr::And(parts) => all(parts.iter().map(of)),
        ConditionExpr::Or(parts) => any(parts.iter().map(of)),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Identifier(name) => {
            required_by_detection(detections.named.get(name)?, field)
        }
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let chosen = detections
                .named
                .iter()
                .filter(|(name, _)| pattern.matches_detection_name(name))
                .map(|(_, detection)| required_by_detection(detection, field));
            match quantifier {
                Quantifier::All => all(chosen),
                Quantifier::Count(0) => None,
                // With any of them, and so with several of them.
                Quantifier::Any | Quantifier::Count(_) => any(chosen),
            }
        }
    }
}

fn required_by_detection(detection: &Detection, field: &str) -> Required {
    match detection {
        Detection::AllOf(items) => all(items.iter().map(|item| required_by_item(item, field))),
        Detection::And(parts) => all(parts.iter().map(|part| required_by_detection(part, field))),
        Detection::AnyOf(parts) => any(parts.iter().map(|part| required_by_detection(part, field))),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            None
        }
    }
}

fn required_by_item(item: &DetectionItem, field: &str) -> Required {
    if item.field.name.as_deref() != Some(field) || item.field.modifiers != [Modifier::Cased] {
        return None;
    }
    item.values
        .iter()
        .map(|value| match value {
            SigmaValue::String(text) => text.as_plain().filter(|text| is_plain_word(text)),
            _ => None,
        })
        .collect()
}

/// Whether a JSON text holds these characters as they are (the reader of the text still minds `\u` escapes), and no
/// number could be compared as equal to it.
fn is_plain_word(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._:-".contains(&byte))
}

fn each_item_mut(detection: &mut Detection, each: &mut impl FnMut(&mut DetectionItem)) {
    match detection {
        Detection::AllOf(items) => items.iter_mut().for_each(each),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                each_item_mut(part, each);
            }
        }
        // Fields in there are those of an array's members.
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {}
    }
}

fn each_item(detection: &Detection, each: &mut impl FnMut(&DetectionItem)) {
    match detection {
        Detection::AllOf(items) => items.iter().for_each(each),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                each_item(part, each);
            }
        }
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {}
    }
}

fn each_field(detection: &Detection, each: &mut impl FnMut(&str)) {
    match detection {
        Detection::AllOf(items) => items
            .iter()
            .filter_map(|item| item.field.name.as_deref())
            .for_each(each),
        Detection::AnyOf(parts) | Detection::And(parts) => {
            for part in parts {
                each_field(part, each);
            }
        }
        Detection::ArrayMatch { field, .. } => each(field),
        Detection::Keywords(_) | Detection::Conditional { .. } => {}
    }
}

/// A record as conditions see it: its own fields, and the facts under `trailtag.`.
///
/// The facts are ours alone: a record that brings fields of such names cannot pass them off as derived.
pub(super) struct View<'a> {
    record: JsonEvent<'a>,
    facts: &'a Facts<'a>,
}

impl<'a> View<'a> {
    pub(super) fn new(record: &'a Value, facts: &'a Facts<'a>) -> Self {
        Self {
            record: JsonEvent::borrow(record),
            facts,
        }
    }
}

impl Event for View<'_> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let Some(name) = path.strip_prefix(PREFIX) else {
            return self.record.get_field(path);
        };
        self.facts.fact(name).map(|fact| match fact {
            Fact::Text(text) => EventValue::Str(Cow::Borrowed(text)),
            Fact::Texts(texts) => EventValue::Array(
                texts
                    .iter()
                    .map(|text| EventValue::Str(Cow::Borrowed(text)))
                    .collect(),
            ),
            Fact::Truth(truth) => EventValue::Bool(truth),
            Fact::Number(number) => EventValue::Int(i64::try_from(number).unwrap_or(i64::MAX)),
        })
    }

    fn any_string_value(&self, pred: &dyn Fn(&str) -> bool) -> bool {
        self.record.any_string_value(pred)
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        self.record.all_string_values()
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.record.visit_string_values(visit);
    }

    fn to_json(&self) -> Value {
        self.record.to_json()
    }

    fn visit_top_level_keys(&self, visit: &mut dyn FnMut(&str)) -> bool {
        visit(PREFIX.trim_end_matches('.'));
        self.record.visit_top_level_keys(visit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(detection: &str) -> Detections {
        let text = format!("title: t\nlogsource: {{product: aws}}\ndetection:\n{detection}");
        let mut rule = rsigma_parser::parse_sigma_yaml(&text)
            .unwrap()
            .into_result()
            .unwrap()
            .rules
            .remove(0);
        make_names_exact(&mut rule.detection);
        rule.detection
    }

    fn names(detection: &str) -> Option<Vec<String>> {
        required(&section(detection), "eventName").map(|names| names.into_iter().collect())
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn the_names_that_a_section_requires() {
        for (detection, want) in [
            (
                "  s: {eventName: A, x: 1}\n  condition: s",
                Some(words(&["A"])),
            ),
            (
                "  s: {eventName: [B, A]}\n  condition: s",
                Some(words(&["A", "B"])),
            ),
            (
                "  s: {eventName: A}\n  t: {eventName: B}\n  condition: s or t",
                Some(words(&["A", "B"])),
            ),
            (
                "  s: {eventName: A}\n  t: {x: 1}\n  condition: s and t",
                Some(words(&["A"])),
            ),
            (
                "  s: {eventName: A}\n  t: {x: 1}\n  condition: s and not t",
                Some(words(&["A"])),
            ),
            (
                "  s: {eventName: A}\n  t: {x: 1}\n  condition: s or t",
                None,
            ),
            ("  s: {eventName: A}\n  condition: not s", None),
            (
                "  s: {eventName: [A, B]}\n  t: {eventName: B}\n  condition: s and t",
                Some(words(&["B"])),
            ),
            (
                "  s_1: {eventName: A}\n  s_2: {eventName: B}\n  condition: 1 of s_*",
                Some(words(&["A", "B"])),
            ),
            (
                "  s_1: {eventName: A}\n  s_2: {x: 1}\n  condition: 1 of s_*",
                None,
            ),
            (
                "  s_1: {eventName: A}\n  s_2: {x: 1}\n  condition: all of s_*",
                Some(words(&["A"])),
            ),
            (
                "  s:\n    - eventName: A\n    - eventName: B\n  condition: s",
                Some(words(&["A", "B"])),
            ),
            ("  s:\n    - eventName: A\n    - x: 1\n  condition: s", None),
            ("  s: {eventName: 'A*'}\n  condition: s", None),
            ("  s: {eventName: [A, null]}\n  condition: s", None),
            ("  s: {eventName|neq: A}\n  condition: s", None),
            ("  s: {eventName|startswith: A}\n  condition: s", None),
            ("  s: {eventName|re: 'A.'}\n  condition: s", None),
            ("  s: {eventName: 7}\n  condition: s", None),
            ("  s: {eventName: 'É'}\n  condition: s", None),
            ("  s: {EventName: A}\n  condition: s", None),
            ("  s: [A, B]\n  condition: s", None),
        ] {
            assert_eq!(names(detection), want, "{detection}");
        }
    }

    #[test]
    fn names_are_compared_with_their_case_and_other_fields_without() {
        use rsigma_eval::Engine;
        for (item, hit, miss) in [
            ("eventName: RemoveRole", "RemoveRole", "removerole"),
            ("eventName: [x, RemoveRole]", "RemoveRole", "REMOVEROLE"),
            ("eventName: 'Remove*'", "RemoveRole", "removeRole"),
            ("eventName|contains: Role", "RemoveRole", "removerole"),
            ("eventName|startswith: Remove", "RemoveRole", "removeRole"),
            ("eventName|endswith: Role", "RemoveRole", "Removerole"),
            (
                "eventName|contains|all: [Remove, Role]",
                "RemoveRole",
                "Removerole",
            ),
            ("eventName|re: '^Remove'", "RemoveRole", "removeRole"),
            ("eventName|cased: RemoveRole", "RemoveRole", "removerole"),
            ("eventName|neq: RemoveRole", "removerole", "RemoveRole"),
        ] {
            let mut rule = rsigma_parser::parse_sigma_yaml(&format!(
                "title: t\nlogsource: {{product: aws}}\ndetection:\n  s:\n    {item}\n  condition: s"
            ))
            .unwrap()
            .into_result()
            .unwrap()
            .rules
            .remove(0);
            make_names_exact(&mut rule.detection);
            let mut engine = Engine::new();
            engine.add_rule(&rule).unwrap();
            let matches = |name: &str| {
                let value = serde_json::json!({"eventName": name});
                !engine.evaluate(&JsonEvent::borrow(&value)).is_empty()
            };
            assert!(matches(hit), "{item} should match {hit}");
            assert!(!matches(miss), "{item} should not match {miss}");
        }
        let other = section("  s: {userAgent: aws-cli}\n  condition: s");
        let Some(Detection::AllOf(items)) = other.named.get("s") else {
            panic!("one selection");
        };
        assert!(items[0].field.modifiers.is_empty());
    }
}
