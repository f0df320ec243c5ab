//! Detection sections as they are written: what in them matches no record, although it is valid Sigma.
//!
//! The tree of a section goes in, with its lines; out flow remarks: what is refused, and what is only doubtful. The
//! engine takes all of it in silence: it compares the text of a map with the record, seeks a field whose name ends in
//! `[any]`, and puts nothing in the place of a placeholder. A rule that can never match is worse than none, since
//! somebody relies on it.

use rsigma_eval::matcher::{ExpandPart, parse_expand_template};

use super::sigma::PREFIX;
use crate::cloudtrail::fields::{self, Doubt};
use crate::config::yaml::{Data, Name, Node, quote};

/// Keys of a section that are no selections; `rules` stands in the section of a filter alone.
const NO_SELECTIONS: [&str; 2] = ["condition", "timeframe"];
const NO_SELECTIONS_OF_A_FILTER: [&str; 3] = ["condition", "timeframe", "rules"];

/// How many fields of a map are written out in a message.
const MOST_WRITTEN: usize = 4;

/// How deep a section may be nested that is looked at. The reader of YAML has a bound of its own, which is lower.
const MOST_LEVELS: usize = 100;

/// One thing in a section that matches no record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Remark {
    /// Its line in the text from which the section was read.
    pub(super) line: usize,
    /// What it is, and what to write.
    pub(super) problem: String,
    /// Whether nobody can have meant it; otherwise the field may be one that a collector adds.
    pub(super) is_refused: bool,
}

/// Everything in the sections of a document, a rule or a filter, that matches no record.
pub(super) fn of_document(document: &Node) -> Vec<Remark> {
    let lists = Lists::of(document);
    let rules = document
        .entries_of("detection")
        .flat_map(|section| remarks(section, lists, &NO_SELECTIONS));
    let filters = document
        .entries_of("filter")
        .flat_map(|section| remarks(section, lists, &NO_SELECTIONS_OF_A_FILTER));
    rules.chain(filters).collect()
}

/// Everything in a condition of a severity model or a catalogue that matches no record.
pub(super) fn of_condition(section: &Node) -> Vec<Remark> {
    remarks(section, Lists::AlwaysNamed, &NO_SELECTIONS)
}

fn remarks(section: &Node, lists: Lists, no_selections: &[&str]) -> Vec<Remark> {
    let mut reader = Reader {
        lists,
        remarks: Vec::new(),
    };
    if let Data::Map(selections) = &section.data {
        for (name, selection) in selections {
            if no_selections.contains(&name.text.as_str()) {
                continue;
            }
            if selection.is_nothing() {
                let problem = format!(
                    "the selection `{}` is empty: write fields below it, or remove it",
                    name.text
                );
                reader.refuse(name.line, problem);
            }
            reader.selection(selection, 0);
        }
    }
    reader.remarks
}

/// What brackets in the name of a field mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// They select members of a list, since the rule says `sigma-version: 3`.
    Selected,
    /// They are part of the name; a rule may say otherwise.
    Named,
    /// They are part of the name, and nothing here can change that.
    AlwaysNamed,
}

impl Lists {
    /// As the document says it.
    fn of(document: &Node) -> Self {
        let version = document.entries_of("sigma-version").next();
        let major = version.and_then(|version| match &version.data {
            Data::Scalar { text, .. } => {
                let text = text.trim().trim_start_matches(['v', 'V']);
                text.split('.').next()?.parse::<u32>().ok()
            }
            Data::List(_) | Data::Map(_) => None,
        });
        if rsigma_parser::version::array_matching_enabled(major) {
            Self::Selected
        } else {
            Self::Named
        }
    }
}

struct Reader {
    lists: Lists,
    remarks: Vec<Remark>,
}

impl Reader {
    fn refuse(&mut self, line: usize, problem: String) {
        self.remarks.push(Remark {
            line,
            problem,
            is_refused: true,
        });
    }

    /// A map of fields, a list of such maps or of words, or a word.
    fn selection(&mut self, node: &Node, level: usize) {
        if level > MOST_LEVELS {
            return;
        }
        match &node.data {
            Data::Scalar { .. } => {}
            Data::List(nodes) => {
                for node in nodes {
                    self.selection(node, level + 1);
                }
            }
            Data::Map(items) => {
                for (name, value) in items {
                    self.item(name, value, level);
                }
            }
        }
    }

    /// One field, and what it is compared with.
    fn item(&mut self, name: &Name, value: &Node, level: usize) {
        let (field, modifiers) = name.text.split_once('|').unwrap_or((&name.text, ""));
        if field == "<<" {
            let problem = "`<<` is taken for the name of a field, since maps are not merged: write its fields out";
            self.refuse(name.line, problem.to_owned());
            return;
        }
        let has_brackets = has_brackets(field);
        if has_brackets && self.lists != Lists::Selected {
            self.refuse(name.line, self.brackets(field, modifiers, value));
            return;
        }
        self.name(name.line, field);
        match &value.data {
            // The fields of the list's members, of whose names nothing is known.
            Data::Map(_) if has_brackets => self.members(value, is_index(field), level + 1),
            Data::Map(_) => self.refuse(name.line, map(field, modifiers, value)),
            Data::List(values) if values.is_empty() => {
                let problem = format!(
                    "`{}` is compared with an empty list, which no value is in: write a value, or remove the line",
                    name.text
                );
                self.refuse(name.line, problem);
            }
            Data::List(values) => {
                for value in values {
                    self.value(field, modifiers, value);
                }
            }
            Data::Scalar { .. } => self.value(field, modifiers, value),
        }
    }

    /// The body of a block: a section of its own where it has a condition, a selection otherwise. Of one member, which an
    /// index selects, maps are followed.
    fn members(&mut self, body: &Node, is_one: bool, level: usize) {
        let Data::Map(items) = &body.data else { return };
        if level > MOST_LEVELS {
            return;
        }
        let is_section = body.entries_of("condition").next().is_some();
        let doubts = self.remarks.len();
        for (name, value) in items {
            if is_one && matches!(value.data, Data::Map(_)) {
                self.members(value, true, level + 1);
            } else if !is_section {
                self.item(name, value, level);
            } else if name.text != "condition" {
                self.selection(value, level + 1);
            }
        }
        // Members' fields are none of the record's.
        let mut at = 0;
        self.remarks.retain(|remark| {
            at += 1;
            at <= doubts || remark.is_refused
        });
    }

    /// One value that a field is compared with.
    fn value(&mut self, field: &str, modifiers: &str, value: &Node) {
        let Data::Scalar { text, .. } = &value.data else {
            let problem = match &value.data {
                Data::Map(_) => map(field, modifiers, value),
                _ => format!(
                    "`{field}` is compared with a list in a list, which no record has: write one list of values"
                ),
            };
            self.refuse(value.line, problem);
            return;
        };
        if !modifiers.split('|').any(|modifier| modifier == "expand") {
            return;
        }
        let unfilled = parse_expand_template(text)
            .into_iter()
            .find_map(|part| match part {
                ExpandPart::Placeholder(name) if !is_filled(&name) => Some(name),
                ExpandPart::Placeholder(_) | ExpandPart::Literal(_) => None,
            });
        if let Some(name) = unfilled {
            let rest: Vec<&str> = modifiers.split('|').filter(|it| *it != "expand").collect();
            let key = with_modifiers(field, &rest.join("|"));
            let example = if key.is_empty() {
                String::new()
            } else {
                format!(", as in `{key}: [one, another]`")
            };
            let problem = format!(
                "nothing fills the placeholder `%{name}%` of `|expand` here: write the values themselves{example}"
            );
            self.refuse(value.line, problem);
        }
    }

    /// A name that no record has, as far as that can be known.
    fn name(&mut self, line: usize, field: &str) {
        if field.is_empty() || field == "." || field.starts_with(PREFIX) {
            return;
        }
        let problem = match fields::doubt(field) {
            None => return,
            Some(Doubt::Called(name)) => {
                if name.eq_ignore_ascii_case(field) {
                    format!(
                        "CloudTrail has no field `{field}`: it writes `{name}`, and case counts"
                    )
                } else {
                    format!("CloudTrail has no field `{field}`: write `{name}`")
                }
            }
            Some(Doubt::Of(schema)) => format!(
                "CloudTrail has no field `{field}`, which is a name of {schema}: rules test the record as CloudTrail \
                 writes it"
            ),
        };
        self.remarks.push(Remark {
            line,
            problem,
            is_refused: false,
        });
    }

    fn brackets(&self, field: &str, modifiers: &str, value: &Node) -> String {
        let plain: Vec<&str> = field
            .split('.')
            .map(|part| part.split('[').next().unwrap_or(part))
            .collect();
        let plain = plain.join(".");
        let keys = match &value.data {
            Data::Map(_) => written(&plain, modifiers, value),
            _ => format!("`{}`", with_modifiers(&plain, modifiers)),
        };
        let mut problem = format!(
            "`{field}` is taken for the whole name of a field, which no record has: write {keys}, true where any member of \
             the list has it"
        );
        if self.lists == Lists::Named {
            problem.push_str(
                "; or say `sigma-version: 3` at the top of the rule, so that brackets select members of a list",
            );
        }
        problem
    }
}

/// Whether a placeholder is filled: with a field of the record, or a fact.
fn is_filled(placeholder: &str) -> bool {
    fields::is_ours(placeholder) || placeholder.starts_with(PREFIX)
}

/// Whether the brackets in a name hold nothing but numbers.
fn is_index(field: &str) -> bool {
    let mut parts = field.split('[').skip(1);
    parts.all(|part| {
        let number = part.split(']').next().unwrap_or_default();
        number.parse::<i64>().is_ok()
    })
}

/// Brackets that are not escaped.
fn has_brackets(field: &str) -> bool {
    let mut before = '.';
    field.chars().any(|c| {
        let opens = matches!(c, '[' | ']') && before != '\\';
        before = c;
        opens
    })
}

fn with_modifiers(field: &str, modifiers: &str) -> String {
    if modifiers.is_empty() {
        field.to_owned()
    } else {
        format!("{field}|{modifiers}")
    }
}

fn map(field: &str, modifiers: &str, value: &Node) -> String {
    format!(
        "`{field}` is compared with a map, which no field is equal to: write each field in it with its whole name, {}",
        written(field, modifiers, value)
    )
}

/// The fields of a map, each with its whole name.
fn written(field: &str, modifiers: &str, value: &Node) -> String {
    let mut keys = Vec::new();
    collect(field, modifiers, value, &mut keys);
    let more = keys.len() > MOST_WRITTEN;
    keys.truncate(MOST_WRITTEN);
    let mut text = if keys.is_empty() {
        format!("`{field}.name: value`")
    } else {
        keys.join(", ")
    };
    if more {
        text.push_str(", …");
    }
    text
}

fn collect(field: &str, modifiers: &str, value: &Node, keys: &mut Vec<String>) {
    let Data::Map(items) = &value.data else {
        let key = with_modifiers(field, modifiers);
        keys.push(match &value.data {
            Data::Scalar { .. } => {
                let value = value.describe();
                let value = value.trim_start_matches("the text ").trim_matches('`');
                quote(&format!("{key}: {value}"))
            }
            _ => format!("`{key}`"),
        });
        return;
    };
    for (name, value) in items {
        if keys.len() > MOST_WRITTEN {
            return;
        }
        let (name, own) = name.text.split_once('|').unwrap_or((&name.text, ""));
        let own = if own.is_empty() { modifiers } else { own };
        collect(&format!("{field}.{name}"), own, value, keys);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn told(remarks: Vec<Remark>) -> Vec<String> {
        let told = remarks.into_iter().map(|remark| {
            let what = if remark.is_refused { "" } else { "? " };
            format!("{}: {what}{}", remark.line, remark.problem)
        });
        told.collect()
    }

    fn of_rule(detection: &str) -> Vec<String> {
        let text = format!("detection:\n{detection}\n  condition: s\n");
        told(of_document(&yaml::parse(&text).unwrap().unwrap()))
    }

    #[track_caller]
    fn says(detection: &str, want: &[&str]) {
        let told = of_rule(detection);
        assert_eq!(told.len(), want.len(), "{detection}: {told:#?}");
        for (told, want) in told.iter().zip(want) {
            assert!(told.contains(want), "{detection}: {told}");
        }
    }

    #[test]
    fn a_map_is_no_value_wherever_it_stands() {
        let whole = "2: `a` is compared with a map, which no field is equal to: write each field in it with its whole name, ";
        for (detection, want) in [
            ("  s: {a: {b: 1}}", "`a.b: 1`"),
            (
                "  s: {a: {b|endswith: x, c: {d: \"y z\"}}}",
                "`a.b|endswith: x`, `a.c.d: y z`",
            ),
            ("  s: {a|contains: {b: x}}", "`a.b|contains: x`"),
            ("  s: {a: {b: [1, 2]}}", "`a.b`"),
            ("  s: {a: {}}", "`a.name: value`"),
            (
                "  s: {a: {b: 1, c: 2, d: 3, e: 4, f: 5}}",
                "`a.b: 1`, `a.c: 2`, `a.d: 3`, `a.e: 4`, …",
            ),
            ("  s: {a: [x, {b: 1}]}", "`a.b: 1`"),
            ("  s: [{x: 1}, {a: {b: 1}}]", "`a.b: 1`"),
            ("  s: [x, [{a: {b: 1}}]]", "`a.b: 1`"),
        ] {
            assert_eq!(
                of_rule(detection),
                [format!("{whole}{want}")],
                "{detection}"
            );
        }
        says(
            "  s:\n    x: 1\n    a:\n      b: 1\n  t: {c: {d: 1}}",
            &["4: `a`", "6: `c`"],
        );
        says("  s: {a: [[x]]}", &["a list in a list"]);
    }

    #[test]
    fn what_is_empty_matches_nothing() {
        says(
            "  s: {eventName: []}",
            &["2: `eventName` is compared with an empty list"],
        );
        says(
            "  s:\n  t: {eventName: }",
            &["2: the selection `s` is empty"],
        );
        says(
            "  b: &b {x: 1}\n  s: {<<: *b}",
            &["3: `<<` is taken for the name of a field"],
        );
    }

    #[test]
    fn brackets_select_only_where_the_rule_says_so() {
        for (detection, want) in [
            (
                "  s: {'resources[any]': {ARN|endswith: x, type: y}}",
                "write `resources.ARN|endswith: x`, `resources.type: y`, true",
            ),
            ("  s: {'resources[all]': x}", "write `resources`, true"),
            (
                "  s: {'resources[any].ARN|endswith': x}",
                "write `resources.ARN|endswith`, true",
            ),
            (
                "  s: {'resources[0].ARN': x}",
                "write `resources.ARN`, true",
            ),
            (
                "  s: [{'requestParameters.a[none].b[-1]': x}]",
                "write `requestParameters.a.b`, true",
            ),
        ] {
            says(detection, &[want]);
            let told = of_rule(detection);
            assert!(told[0].contains("say `sigma-version: 3`"), "{told:?}");
            let node = yaml::parse(&format!("{{{}}}", detection.trim()))
                .unwrap()
                .unwrap();
            let told = self::told(of_condition(&node));
            assert!(
                told[0].contains(want) && !told[0].contains("sigma-version"),
                "{told:?}"
            );
        }
        says(r"  s: {'requestParameters.a\[b\]': x}", &[]);
        for version in ["3", "'3'", "v3", "3.0.1", "4"] {
            let selected = |detection: &str| {
                let text = format!(
                    "sigma-version: {version}\ndetection: {{s: {detection}, condition: s}}\n"
                );
                told(of_document(&yaml::parse(&text).unwrap().unwrap()))
            };
            for detection in [
                "{'resources[any]': {ARN|endswith: x, EventName: y}}",
                "{'resources[0]': {a: {b: x}}}",
                "{'resources[any].ARN': x}",
                "{'resources[any]': {s: {a: x}, condition: s}}",
            ] {
                assert_eq!(selected(detection), [""; 0], "{version} {detection}");
            }
            for detection in [
                "{'resources[any]': {a: {b: x}}}",
                "{'resources[any]': {s: {a: {b: x}}, condition: s}}",
                "{resources: {a: x}}",
            ] {
                let told = selected(detection);
                assert!(
                    told.len() == 1 && told[0].contains("with a map"),
                    "{told:?}"
                );
            }
        }
        for version in ["2", "2.1.0", "x"] {
            let text = format!("sigma-version: {version}\ndetection: {{s: {{'a[any]': x}}}}\n");
            assert_eq!(of_document(&yaml::parse(&text).unwrap().unwrap()).len(), 1);
        }
    }

    #[test]
    fn a_placeholder_is_filled_with_a_field_of_the_record_or_with_nothing() {
        let key = "  s: {userIdentity.userName|expand: '%admins%'}";
        assert_eq!(
            of_rule(key),
            [
                "2: nothing fills the placeholder `%admins%` of `|expand` here: write the values themselves, as in `userIdentity.userName: [one, another]`"
            ]
        );
        says(
            "  s: {x|contains|expand: [a, 'b%c%']}",
            &["`x|contains: [one, another]`"],
        );
        says(
            "  s: {x|expand|endswith: ['%c%', '%d%']}",
            &["`%c%`", "`%d%`"],
        );
        says(
            "  s: [{'|expand': '%c%'}]",
            &["write the values themselves"],
        );
        says("  s: {x|expand: plain}", &[]);
        says("  s: {x: '%c%'}", &[]);
        says(
            "  s: {userIdentity.arn|expand: 'arn:aws:iam::%recipientAccountId%:root'}",
            &[],
        );
    }

    #[test]
    fn names_that_no_record_has_are_doubtful() {
        says(
            "  s:\n    EventName: A\n    event.action: B\n    event.category: C",
            &[
                "3: ? CloudTrail has no field `EventName`: it writes `eventName`, and case counts",
                "4: ? CloudTrail has no field `event.action`: write `eventName`",
                "5: ? CloudTrail has no field `event.category`, which is a name of ECS",
            ],
        );
        says(
            "  s: [{userIdentity.Arn|endswith: x}]",
            &["`userIdentity.arn`"],
        );
        says(
            "  s: {'|contains': x}\n  t: [a, b]\n  u: {trailtag.outcome: denied, tenant: x}",
            &[],
        );
    }

    #[test]
    fn filters_are_read_too_and_nothing_but_sections() {
        let text = "filter:\n  rules: [{a: {b: 1}}]\n  s: {a: {b: 1}}\n  condition: not s\nx: {y: {z: 1}}\n";
        assert_eq!(
            told(of_document(&yaml::parse(text).unwrap().unwrap())).len(),
            1
        );
        says("  rules: {a: {b: 1}}", &["`a.b: 1`"]);
    }
}
