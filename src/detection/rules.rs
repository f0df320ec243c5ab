//! The rules that decide which records are ours: Sigma files, ours and the user's.
//!
//! In flow files; out flow `Rules`, which say what literals they need, whether a record's names are worth a look, and
//! which rules match a record. Filter rules silence; correlation rules need more than one record and are refused.

use std::collections::{BTreeMap, BTreeSet};

use rsigma_eval::{Engine, JsonEvent, explain_rule};
use rsigma_parser::{FilterRule, FilterRuleTarget, SigmaRule};
use serde::Serialize;
use serde_json::Value;

use super::attack::{Tagged, Version};
use super::explain::{RuleTrace, Trace};
use super::fault::{Faults, one_line};
use super::files::{File, documents, key_line, line_in, top_level};
use super::level::Level;
use super::sigma::{make_names_exact, required, tested_facts};
use crate::cloudtrail::record::Identity;

/// The attribute by which a rule sets what its score begins with, instead of its level.
const BASE_SCORE: &str = "trailtag.base_score";

/// What documents say about a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Its level.
    pub level: Level,
    /// Its tags.
    #[serde(skip)]
    pub tags: Vec<String>,
    /// What its tags say of ATT&CK.
    #[serde(skip)]
    pub(super) attack: Tagged,
    /// What the score of a record that it matches begins with.
    #[serde(skip)]
    pub base_score: u8,
}

/// The names that a rule asks for; none where it can match any.
#[derive(Debug)]
struct Gate {
    names: Option<BTreeSet<String>>,
    sources: Option<BTreeSet<String>>,
}

/// Every loaded rule, compiled.
pub(super) struct Rules {
    engine: Engine,
    described: Vec<Rule>,
    places: BTreeMap<String, usize>,
    gates: Vec<Gate>,
    literals: Option<Vec<String>>,
}

/// What has been read so far.
#[derive(Default)]
struct Read {
    rules: Vec<(SigmaRule, Place)>,
    filters: Vec<(FilterRule, Place)>,
}

/// Where a document stands.
#[derive(Clone)]
struct Place {
    file: String,
    line: usize,
    subject: Option<String>,
}

impl Place {
    fn fault(&self, faults: &mut Faults, problem: impl Into<String>) {
        faults.add(&self.file, Some(self.line), self.subject.clone(), problem);
    }
}

impl Rules {
    /// Compiles the rules of all files; whatever is wrong is among the faults.
    pub(super) fn compile(files: &[File], version: Version, faults: &mut Faults) -> Self {
        let mut read = Read::default();
        for file in files {
            read.file(file, faults);
        }

        let mut engine = Engine::new();
        let mut rules = Vec::new();
        let mut gates = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (mut rule, place) in read.rules {
            let Some(described) = describe(&rule, version, &place, faults) else {
                continue;
            };
            if places.contains_key(&described.id) {
                place.fault(faults, "another rule has the same `id`: give it its own");
                continue;
            }
            make_names_exact(&mut rule.detection);
            if let Err(error) = engine.add_rule(&rule) {
                place.fault(faults, one_line(&error.to_string()));
                continue;
            }
            gates.push(Gate {
                names: required(&rule.detection, "eventName"),
                sources: required(&rule.detection, "eventSource"),
            });
            places.insert(described.id.clone(), rules.len());
            rules.push(described);
        }
        for (filter, place) in read.filters {
            apply(filter, &place, &rules, &mut engine, faults);
        }

        // Reading and compiling each found their own: show them as the files stand.
        faults.0.sort_by_key(|fault| {
            let file = files.iter().position(|file| file.name == fault.file);
            (file, fault.line)
        });

        let literals = gates
            .iter()
            .map(|gate| gate.names.as_ref())
            .collect::<Option<Vec<_>>>()
            .map(|names| {
                names
                    .into_iter()
                    .flatten()
                    .cloned()
                    .collect::<BTreeSet<_>>()
            })
            .map(|names| names.into_iter().collect());
        Self {
            engine,
            described: rules,
            places,
            gates,
            literals,
        }
    }

    pub(super) fn literals(&self) -> Option<&[String]> {
        self.literals.as_deref()
    }

    pub(super) fn all(&self) -> &[Rule] {
        &self.described
    }

    /// Whether some rule could match a record of these names. False is certain.
    pub(super) fn want(&self, identity: &Identity<'_>) -> bool {
        // A name that is missing may be there in another form (a list, say): the engine decides.
        let may_be = |wanted: Option<&BTreeSet<String>>, name: Option<&str>| match (wanted, name) {
            (Some(wanted), Some(name)) => wanted.contains(name),
            _ => true,
        };
        self.gates.iter().any(|gate| {
            may_be(gate.names.as_ref(), identity.event_name.as_deref())
                && may_be(gate.sources.as_ref(), identity.event_source.as_deref())
        })
    }

    /// Every rule with what decided it, in the order in which they were loaded.
    pub(super) fn explain(&self, record: &Value) -> Vec<RuleTrace<'_>> {
        let event = JsonEvent::borrow(record);
        let traces = self.engine.rules().iter().filter_map(|compiled| {
            let place = *self.places.get(compiled.id.as_ref()?)?;
            Some(RuleTrace {
                rule: self.described.get(place)?,
                trace: Trace::of(&explain_rule(compiled, &event), &[]),
            })
        });
        traces.collect()
    }

    /// The rules that match, in the order in which they were loaded.
    pub(super) fn matching(&self, record: &Value) -> Vec<&Rule> {
        let places: BTreeSet<usize> = self
            .engine
            .evaluate(&JsonEvent::borrow(record))
            .iter()
            .filter_map(|result| self.places.get(result.header.rule_id.as_ref()?).copied())
            .collect();
        places
            .into_iter()
            .filter_map(|place| self.described.get(place))
            .collect()
    }
}

impl Read {
    /// Reads every document of a file.
    fn file(&mut self, file: &File, faults: &mut Faults) {
        for (line, text) in documents(&file.text) {
            let key = |name: &str| key_line(text, name).map(|at| line + at);
            let subject = top_level(text, "title").map(|title| format!("rule {title:?}"));
            let place = Place {
                file: file.name.clone(),
                line,
                subject,
            };
            if let Some(at) = key("action") {
                Place { line: at, ..place }.fault(
                    faults,
                    "collections with `action` are not supported: write each rule out",
                );
                continue;
            }
            // Blank lines before it make the parser count as the file does.
            let padded = format!("{}{text}", "\n".repeat(line.saturating_sub(1)));
            let collection = match rsigma_parser::parse_sigma_yaml(&padded) {
                Ok(collection) => collection,
                Err(error) => {
                    place.fault(faults, one_line(&error.to_string()));
                    continue;
                }
            };
            for error in collection.errors {
                let at = line_in(&error)
                    .or_else(|| {
                        error
                            .contains("ondition")
                            .then(|| key("condition"))
                            .flatten()
                    })
                    .or_else(|| error.contains("level").then(|| key("level")).flatten())
                    .unwrap_or(line);
                Place {
                    line: at,
                    ..place.clone()
                }
                .fault(faults, one_line(&error));
            }
            for _ in collection.correlations {
                place.fault(
                    faults,
                    "correlation rules are not supported: a rule here sees one record at a time",
                );
            }
            self.rules.extend(
                collection
                    .rules
                    .into_iter()
                    .map(|rule| (rule, place.clone())),
            );
            self.filters.extend(
                collection
                    .filters
                    .into_iter()
                    .map(|filter| (filter, place.clone())),
            );
        }
    }
}

/// What documents say about a rule, unless it lacks something that they need.
fn describe(
    rule: &SigmaRule,
    version: Version,
    place: &Place,
    faults: &mut Faults,
) -> Option<Rule> {
    let before = faults.0.len();
    let id = rule.id.as_deref().map(str::trim).unwrap_or_default();
    if id.is_empty() {
        place.fault(faults, "it has no `id`: give it a UUID of its own");
    }
    let level = rule.level.map(|level| match level {
        rsigma_parser::Level::Informational => Level::Informational,
        rsigma_parser::Level::Low => Level::Low,
        rsigma_parser::Level::Medium => Level::Medium,
        rsigma_parser::Level::High => Level::High,
        rsigma_parser::Level::Critical => Level::Critical,
    });
    if level.is_none() {
        place.fault(
            faults,
            "it has no `level`, which its score begins with: informational, low, medium, high or critical",
        );
    }
    let product = rule.logsource.product.as_deref().unwrap_or("aws");
    let service = rule.logsource.service.as_deref().unwrap_or("cloudtrail");
    if !product.eq_ignore_ascii_case("aws") || !service.eq_ignore_ascii_case("cloudtrail") {
        place.fault(
            faults,
            format!(
                "its `logsource` is {product}/{service}: only records of aws/cloudtrail arrive here"
            ),
        );
    }
    for field in tested_facts(&rule.detection) {
        place.fault(
            faults,
            format!("it tests `{field}`, which is derived only after a rule matched: use the record's own fields"),
        );
    }
    let level = level.unwrap_or_default();
    let base_score = match rule.custom_attributes.get(BASE_SCORE) {
        None => level.base_score(),
        Some(value) => value
            .as_u64()
            .and_then(|score| u8::try_from(score).ok())
            .filter(|score| *score <= 100)
            .unwrap_or_else(|| {
                place.fault(
                    faults,
                    format!("its `{BASE_SCORE}` is not a number from 0 to 100"),
                );
                0
            }),
    };
    (faults.0.len() == before).then(|| Rule {
        id: id.to_owned(),
        title: rule.title.clone(),
        level,
        attack: Tagged::of(&rule.tags, version),
        tags: rule.tags.clone(),
        base_score,
    })
}

/// Puts a filter over the rules that it names.
fn apply(
    mut filter: FilterRule,
    place: &Place,
    rules: &[Rule],
    engine: &mut Engine,
    faults: &mut Faults,
) {
    if let FilterRuleTarget::Specific(names) = &filter.rules {
        for name in names {
            if !rules
                .iter()
                .any(|rule| rule.id == *name || rule.title == *name)
            {
                place.fault(
                    faults,
                    format!(
                        "it filters rule {name:?}, which is not loaded: name a rule's id or title"
                    ),
                );
            }
        }
    }
    for field in tested_facts(&filter.detection) {
        place.fault(
            faults,
            format!("it tests `{field}`, which is derived only after a rule matched: use the record's own fields"),
        );
    }
    make_names_exact(&mut filter.detection);
    if let Err(error) = engine.apply_filter(&filter) {
        place.fault(faults, one_line(&error.to_string()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::borrow::Cow;

    const HEAD: &str = "title: T\nid: 11111111-1111-4111-8111-111111111111\nlevel: low\nlogsource: {product: aws, service: cloudtrail}\n";

    fn load(files: &[(&str, String)]) -> (Rules, String) {
        let files: Vec<File> = files
            .iter()
            .map(|(name, text)| File {
                name: (*name).to_owned(),
                text: text.clone(),
            })
            .collect();
        let mut faults = Faults::default();
        let rules = Rules::compile(&files, Version::V18, &mut faults);
        (rules, faults.to_string())
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
        assert!(fault.contains("rule \"B\": YAML parse error"), "{fault}");
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
    fn literals_are_those_of_every_rule_or_none() {
        let one = rule("1", "{s: {eventName: [B, A]}, condition: s}");
        let two = rule(
            "2",
            "{s: {eventName: A, eventSource: x}, t: {eventName: C}, condition: s or t}",
        );
        let free = rule("3", "{s: {eventSource: iam.amazonaws.com}, condition: s}");
        let (rules, faults) = load(&[("a", one.clone()), ("b", two)]);
        assert_eq!(faults, "");
        assert_eq!(rules.literals().unwrap(), ["A", "B", "C"]);
        let (rules, _) = load(&[("a", one), ("b", free)]);
        assert_eq!(rules.literals(), None);
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
            rules.want(&Identity {
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
}
