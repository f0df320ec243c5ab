//! Filters: what a site says over rules, to silence them.
//!
//! Parsed filters and the engine with its rules go in; the rules' conditions come out narrowed. A filter that cannot be
//! applied is a fault. Each filter over a rule makes that rule's condition one level deeper and is tried for each of its
//! records, so there is a bound to how many there are.

use std::collections::BTreeMap;

use rsigma_eval::Engine;
use rsigma_parser::{FilterRule, FilterRuleTarget, SigmaCollection};

use super::Rule;
use super::read::DocumentLocation;
use super::refusals::Refusals;
use super::regexes::Regexes;
use crate::detection::sigma::{make_names_exact, tested_facts};
use crate::model::visible::one_line;

/// The most filters over one rule.
const MOST_OVER_A_RULE: usize = 200;

/// The most bytes of all filters, each counted once for every rule that it is put over: as many copies are made.
const MOST_COPIED: usize = 256 * 1024 * 1024;

/// The most rules and names that all filters together are held against.
const MOST_LOOKED_AT: usize = 50_000_000;

/// Puts filters over the rules that they name.
pub(super) fn apply(
    filters: Vec<(FilterRule, DocumentLocation)>,
    rules: &[Rule],
    engine: &mut Engine,
    refusals: &mut Refusals,
) {
    if filters.is_empty() {
        return;
    }
    // How many rules have a name: ids differ, and titles may not.
    let mut known: BTreeMap<&str, usize> = BTreeMap::new();
    for name in rules
        .iter()
        .flat_map(|rule| [rule.id.as_str(), rule.title.as_str()])
    {
        *known.entry(name).or_default() += 1;
    }
    let mut bounds = Bounds::default();
    let mut collection = SigmaCollection::new();
    let mut regexes = Regexes::default();
    let mut filters = filters.into_iter();
    while let Some((mut filter, location)) = filters.next() {
        if let Err(problem) = regexes.admit(&filter.detection) {
            refusals.refuse(&location, problem);
            continue;
        }
        if let Err(problem) = bounds.admit(&filter, rules.len(), &known) {
            refusals.refuse(&location, problem);
            // Those behind it are not looked at, for the same reason.
            for (_, location) in filters.by_ref() {
                refusals.leave_out(&location);
            }
            break;
        }
        if let FilterRuleTarget::Specific(names) = &filter.rules {
            for name in names
                .iter()
                .filter(|name| !known.contains_key(name.as_str()) && !refusals.refuses_name(name))
                .cloned()
                .collect::<Vec<_>>()
            {
                refusals.refuse(
                    &location,
                    format!(
                        "it filters rule {name:?}, which is not loaded: name a rule's id or title"
                    ),
                );
            }
        }
        for field in tested_facts(&filter.detection) {
            refusals.refuse(
                &location,
                format!("it tests `{field}`, which is derived only after a rule matched: use the record's own fields"),
            );
        }
        if refusals.refuses(&location) {
            continue;
        }
        make_names_exact(&mut filter.detection);
        // Without any rule: it only says whether the filter itself can be compiled.
        match Engine::new().apply_filter(&filter) {
            Ok(()) => collection.filters.push(filter),
            Err(error) => refusals.refuse(&location, one_line(&error.to_string())),
        }
    }
    // All at once, since the engine makes its index anew each time.
    if let Err(error) = engine.add_collection(&collection) {
        let problem = one_line(&error.to_string());
        refusals.faults.add("filters", None, None, problem);
    }
}

/// What all filters have cost so far.
#[derive(Default)]
struct Bounds {
    over_any: usize,
    /// The most over any one name.
    over_one: usize,
    over: BTreeMap<String, usize>,
    looked_at: usize,
    copied: usize,
}

impl Bounds {
    fn admit(
        &mut self,
        filter: &FilterRule,
        rules: usize,
        known: &BTreeMap<&str, usize>,
    ) -> Result<(), String> {
        let (names, over) = match &filter.rules {
            FilterRuleTarget::Any => {
                self.over_any += 1;
                (1, rules)
            }
            FilterRuleTarget::Specific(names) => {
                for name in names {
                    let over = self.over.entry(name.clone()).or_default();
                    *over += 1;
                    self.over_one = self.over_one.max(*over);
                }
                let over = names.iter().filter_map(|name| known.get(name.as_str()));
                (names.len(), over.sum())
            }
        };
        if self.over_one + self.over_any > MOST_OVER_A_RULE {
            return Err(format!(
                "with it there are more than {MOST_OVER_A_RULE} filters over one rule: write several selections into one filter"
            ));
        }
        // What it looks like to a programmer is about as long as it is in memory.
        let bytes = format!("{:?}", filter.detection).len();
        self.copied = self.copied.saturating_add(bytes.saturating_mul(over));
        if self.copied > MOST_COPIED {
            return Err(format!(
                "with it the filters, each as often as there are rules that it is put over, are larger than {MOST_COPIED} bytes: \
                 name the rules that are meant, or write a shorter filter"
            ));
        }
        self.looked_at = self
            .looked_at
            .saturating_add(rules.saturating_mul(names.max(1)));
        if self.looked_at > MOST_LOOKED_AT {
            return Err(format!(
                "filters, times the rules that each names, times all rules, are more than {MOST_LOOKED_AT}: name fewer \
                 rules, or leave `rules: any`"
            ));
        }
        Ok(())
    }
}
