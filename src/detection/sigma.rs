//! The Sigma engine, wrapped: from YAML to a set of rules that can be asked about one event.
//!
//! Three things speak Sigma here: rules that decide whether a record is ours, the conditions of severity factors, and
//! the conditions of remediation items. All compile to a [`Set`]. Comparisons follow Sigma, with one exception:
//! `eventName` and `eventSource` are compared case-sensitively, since AWS's names are fixed, which is what lets the
//! prefilter be exact.

use std::collections::{BTreeSet, HashMap};

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::{
    ConditionExpr, Detection, DetectionItem, Detections, FilterRule, Modifier, Quantifier,
    SelectorPattern, SigmaRule, SigmaValue, StringPart,
};
use serde_json::Value;

/// Why Sigma text was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigmaError {
    /// The text does not parse.
    #[error("{0}")]
    Parse(String),
    /// A rule without an id could never be referred to, by a filter, say.
    #[error("rule `{title}` has no id: give it a UUID of its own")]
    NoId {
        /// The rule's title.
        title: String,
    },
    /// Correlations need state over several events, which this program does not keep.
    #[error(
        "rule `{title}` is a correlation, which is not supported: only rules over one event and filters are"
    )]
    Correlation {
        /// The rule's title.
        title: String,
    },
    /// A rule parses and cannot be evaluated.
    #[error("rule `{title}`: {error}")]
    Compile {
        /// The rule's title.
        title: String,
        /// Why.
        error: String,
    },
}

/// What Sigma text holds.
#[derive(Debug, Default)]
pub struct Parsed {
    /// Rules, each with an id.
    pub rules: Vec<SigmaRule>,
    /// Filters, which except events from rules.
    pub filters: Vec<FilterRule>,
}

/// Parses Sigma text, with every fault in it.
pub fn parse(yaml: &str) -> Result<Parsed, Vec<SigmaError>> {
    let mut collection = rsigma_parser::parse_sigma_yaml(yaml)
        .map_err(|error| vec![SigmaError::Parse(error.to_string())])?;
    let mut errors: Vec<_> = collection.errors.drain(..).map(SigmaError::Parse).collect();
    for rule in collection.rules.iter().filter(|rule| rule.id.is_none()) {
        errors.push(SigmaError::NoId {
            title: rule.title.clone(),
        });
    }
    for rule in &collection.correlations {
        errors.push(SigmaError::Correlation {
            title: rule.title.clone(),
        });
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    for rule in &mut collection.rules {
        exact_names(&mut rule.detection);
    }
    for filter in &mut collection.filters {
        exact_names(&mut filter.detection);
    }
    Ok(Parsed {
        rules: collection.rules,
        filters: collection.filters,
    })
}

/// Rules that are asked together.
pub struct Set {
    engine: Engine,
    places: HashMap<String, usize>,
}

impl std::fmt::Debug for Set {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Set")
            .field("rules", &self.places.len())
            .finish_non_exhaustive()
    }
}

impl Set {
    /// Compiles rules, with every fault in them. A rule's place is its place in `rules`; ids must differ.
    pub fn compile(rules: &[SigmaRule], filters: &[FilterRule]) -> Result<Self, Vec<SigmaError>> {
        let mut engine = Engine::new();
        let compile = |title: &str, error: String| SigmaError::Compile {
            title: title.to_owned(),
            error,
        };
        let mut errors: Vec<_> = engine
            .add_rules(rules)
            .into_iter()
            .map(|(place, error)| {
                compile(
                    rules.get(place).map_or("", |rule| &rule.title),
                    error.to_string(),
                )
            })
            .collect();
        for filter in filters {
            if let Err(error) = engine.apply_filter(filter) {
                errors.push(compile(&filter.title, error.to_string()));
            }
        }
        let mut places = HashMap::new();
        for (place, rule) in rules.iter().enumerate() {
            if places
                .insert(rule.id.clone().unwrap_or_default(), place)
                .is_some()
            {
                errors.push(compile(
                    &rule.title,
                    "its id is used by another one as well".to_owned(),
                ));
            }
        }
        if errors.is_empty() {
            Ok(Self { engine, places })
        } else {
            Err(errors)
        }
    }

    /// Compiles conditions: Sigma detection sections, each under an id.
    pub fn of_conditions<'a>(
        conditions: impl Iterator<Item = (&'a str, &'a Value)>,
    ) -> Result<Self, Vec<SigmaError>> {
        let mut rules = Vec::new();
        let mut errors = Vec::new();
        for (id, when) in conditions {
            // JSON is YAML, and a detection section becomes a rule by what every rule must have.
            let rule = serde_json::json!({
                "title": id, "id": id, "logsource": {"product": "aws", "service": "cloudtrail"}, "detection": when,
            });
            match parse(&rule.to_string()) {
                Ok(parsed) => rules.extend(parsed.rules),
                Err(faults) => errors.extend(faults.into_iter().map(|fault| SigmaError::Compile {
                    title: id.to_owned(),
                    error: fault.to_string(),
                })),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        Self::compile(&rules, &[])
    }

    /// The places of the rules that match an event, in their order.
    #[must_use]
    pub fn matches(&self, event: &Value) -> BTreeSet<usize> {
        self.engine
            .evaluate(&JsonEvent::borrow(event))
            .into_iter()
            .filter_map(|result| self.places.get(result.header.rule_id.as_deref()?).copied())
            .collect()
    }
}

/// Makes every comparison of `eventName` and `eventSource` case-sensitive.
fn exact_names(detections: &mut Detections) {
    for detection in detections.named.values_mut() {
        exact_names_in(detection);
    }
}

fn exact_names_in(detection: &mut Detection) {
    match detection {
        Detection::AllOf(items) => {
            for item in items.iter_mut().filter(|item| is_name(item)) {
                // A regular expression says itself how it looks at case.
                if !item.field.has_modifier(Modifier::Re)
                    && !item.field.has_modifier(Modifier::Cased)
                {
                    item.field.modifiers.push(Modifier::Cased);
                }
            }
        }
        Detection::AnyOf(all) | Detection::And(all) => all.iter_mut().for_each(exact_names_in),
        Detection::Conditional { named, .. } => named.values_mut().for_each(exact_names_in),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } => {}
    }
}

fn is_name(item: &DetectionItem) -> bool {
    matches!(item.field.name.as_deref(), Some("eventName" | "eventSource"))
        // On `exists` and the like, case means nothing.
        && !item.field.has_modifier(Modifier::Exists)
        && !item.field.has_modifier(Modifier::FieldRef)
}

/// The event names one of which a record must carry for the rule to match; none when the rule does not say.
#[must_use]
pub fn required_names(rule: &SigmaRule) -> Option<BTreeSet<String>> {
    // Several conditions are alternatives.
    union(
        rule.detection
            .conditions
            .iter()
            .map(|condition| names_of(condition, &rule.detection)),
    )
}

fn names_of(condition: &ConditionExpr, detections: &Detections) -> Option<BTreeSet<String>> {
    match condition {
        ConditionExpr::And(all) => fewest(all.iter().map(|it| names_of(it, detections))),
        ConditionExpr::Or(any) => union(any.iter().map(|it| names_of(it, detections))),
        ConditionExpr::Not(_) => None,
        ConditionExpr::Identifier(name) => names_in(detections.named.get(name)?),
        ConditionExpr::Selector {
            quantifier,
            pattern,
        } => {
            let selected = detections.named.iter().filter(|(name, _)| match pattern {
                SelectorPattern::Them => !name.starts_with('_'),
                SelectorPattern::Pattern(pattern) => {
                    rsigma_parser::detection_name_matches(pattern, name)
                }
            });
            let names = selected.map(|(_, detection)| names_in(detection));
            match quantifier {
                Quantifier::All => fewest(names),
                Quantifier::Count(0) => None,
                Quantifier::Any | Quantifier::Count(_) => union(names),
            }
        }
    }
}

fn names_in(detection: &Detection) -> Option<BTreeSet<String>> {
    match detection {
        Detection::AllOf(items) => fewest(items.iter().map(plain_names)),
        Detection::AnyOf(any) => union(any.iter().map(names_in)),
        Detection::And(all) => fewest(all.iter().map(names_in)),
        Detection::Keywords(_) | Detection::ArrayMatch { .. } | Detection::Conditional { .. } => {
            None
        }
    }
}

fn plain_names(item: &DetectionItem) -> Option<BTreeSet<String>> {
    let is_plain = item.field.name.as_deref() == Some("eventName")
        && item
            .field
            .modifiers
            .iter()
            .all(|modifier| *modifier == Modifier::Cased);
    if !is_plain || item.values.is_empty() {
        return None;
    }
    let text = |value: &SigmaValue| match value {
        SigmaValue::String(text) => match text.parts.as_slice() {
            [StringPart::Plain(text)] => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    item.values.iter().map(text).collect()
}

fn union(sets: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    let mut any = false;
    for set in sets {
        any = true;
        all.extend(set?);
    }
    any.then_some(all)
}

fn fewest(sets: impl Iterator<Item = Option<BTreeSet<String>>>) -> Option<BTreeSet<String>> {
    sets.flatten().min_by_key(BTreeSet::len)
}
