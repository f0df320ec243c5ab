//! From the catalogue as it is written to one that is ready: ids held against one another, conditions compiled, templates
//! tried. Whatever is wrong is among the faults, and hides nothing else that is.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::Environment;

use super::templates::{ItemField, Step};
use super::text::{CatalogueText, ItemText, RiskText};
use super::{ItemTemplate, Reason, RiskTemplate};
use crate::config::Detail;
use crate::detection::conditions::When;
use crate::detection::yaml_entry::LocatedText;
use crate::model::fault::Faults;

/// The condition of every item, and then of every reason.
pub(super) fn whens(text: &CatalogueText) -> Vec<When<'_>> {
    let items = text.items.iter().map(|item| When {
        subject: format!("item {}", item.id),
        line: item.line,
        section: item.when.as_ref(),
    });
    let reasons = text.risks.iter().flat_map(|risk| {
        risk.reasons.iter().map(|reason| When {
            subject: format!("risk {}", risk.id),
            line: reason.why.line,
            section: reason.when.as_ref(),
        })
    });
    items.chain(reasons).collect()
}

pub(super) fn check_ids(file: &str, text: &CatalogueText, faults: &mut Faults) {
    let mut known = BTreeMap::new();
    let mut unique = |kind: &'static str, id: &str, line: usize, faults: &mut Faults| {
        if let Some(first) = known.insert((kind, id.to_owned()), line) {
            faults.add(
                file,
                Some(line),
                Some(format!("{kind} {id}")),
                format!("another {kind} has the same `id` (line {first}): give it its own"),
            );
        }
    };
    for risk in &text.risks {
        unique("risk", &risk.id, risk.line, faults);
    }
    let risks: BTreeSet<&str> = text.risks.iter().map(|risk| risk.id.as_str()).collect();
    for item in &text.items {
        unique("item", &item.id, item.line, faults);
        for id in &item.risks {
            if !risks.contains(id.as_str()) {
                faults.add(
                    file,
                    Some(item.line),
                    Some(format!("item {}", item.id)),
                    format!("it answers risk {id:?}, which is not among `risks`"),
                );
            }
        }
    }
}

/// Puts templates into the environment, and tries each.
pub(super) struct Loader<'a> {
    pub(super) file: &'a str,
    pub(super) detail: Detail,
    pub(super) templates: Environment<'static>,
    pub(super) faults: &'a mut Faults,
}

impl Loader<'_> {
    pub(super) fn item(&mut self, item: ItemText, when: usize) -> ItemTemplate {
        let subject = format!("item {}", item.id);
        let mut uses = Vec::new();
        let [console, cli, boto3, notes] = item
            .parts
            .map(|(part, lines)| self.steps(&subject, part, &lines, &mut uses));
        let queries = item
            .queries
            .into_iter()
            .filter_map(|(language, query)| {
                let part = ItemField::Query(language);
                let step = self.step(&subject, part, 0, &query, &mut uses)?;
                Some((language, step))
            })
            .collect();
        uses.sort_unstable();
        uses.dedup();
        let mut template = ItemTemplate {
            id: item.id,
            kind: item.kind,
            title: item.title,
            risks: item.risks,
            references: item.references,
            events: item.events,
            when,
            console,
            cli,
            boto3,
            queries,
            notes,
            uses,
            prepared: None,
            outline: String::new(),
            reference: None,
        };
        template.prepare(self.detail);
        template
    }

    pub(super) fn risk(
        &mut self,
        risk: RiskText,
        whens: &mut impl FnMut() -> usize,
    ) -> RiskTemplate {
        let subject = format!("risk {}", risk.id);
        let reasons = risk.reasons.into_iter().enumerate();
        RiskTemplate {
            reasons: reasons
                .filter_map(|(place, reason)| {
                    let when = whens();
                    let step = self.step(
                        &subject,
                        ItemField::Why,
                        place,
                        &reason.why,
                        &mut Vec::new(),
                    );
                    Some(Reason {
                        events: reason.events,
                        when,
                        why: step?,
                    })
                })
                .collect(),
            id: risk.id,
            title: risk.title,
        }
    }

    fn steps(
        &mut self,
        subject: &str,
        part: ItemField,
        lines: &[LocatedText],
        uses: &mut Vec<usize>,
    ) -> Vec<Step> {
        let lines = lines.iter().enumerate();
        lines
            .filter_map(|(place, line)| self.step(subject, part, place, line, uses))
            .collect()
    }

    fn step(
        &mut self,
        subject: &str,
        part: ItemField,
        place: usize,
        line: &LocatedText,
        uses: &mut Vec<usize>,
    ) -> Option<Step> {
        let name = format!("{subject}\n{place}");
        match Step::load(&mut self.templates, part, &name, &line.text) {
            Ok((step, places)) => {
                uses.extend(places);
                Some(step)
            }
            Err(problem) => {
                let what = match part {
                    ItemField::Query(_) => format!("{} query", part.as_str()),
                    _ => format!("{} step {}", part.as_str(), place + 1),
                };
                self.faults.add(
                    self.file,
                    Some(line.line),
                    Some(subject.to_owned()),
                    format!("{what}: {problem}"),
                );
                None
            }
        }
    }
}
