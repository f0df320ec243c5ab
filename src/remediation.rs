//! What to do about a finding: the catalogue of steps, filled in with the event's values.
//!
//! In flow the catalogue (`config/remediation.yaml` or the user's file) and, for a record, its facts; out flows
//! [`Advice`]: the items whose conditions hold, with console, CLI and boto3 steps and queries that can be pasted, and the
//! risks that they answer, each with the reason for which it is one here. Nothing here is ever run. The values come from a
//! log that an attacker can write to, so each is held twice: against the characters that AWS takes in it, and by quotes for
//! the shell, for Python or for a query's language; a value that fails the first leaves a placeholder and a note.

use std::borrow::Cow;
use std::path::Path;

use minijinja::Environment;
use serde::ser::{SerializeMap as _, SerializeStruct as _};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::cloudtrail::record::Record;
use crate::config::{Detail, files, yaml};
use crate::detection::conditions::Conditions;
use crate::detection::facts::Facts;
use crate::model::Verdict;
use crate::model::fault::Faults;

mod compile;
mod events;
mod prepared;
mod query;
mod quote;
mod templates;
mod text;
mod values;

use compile::{Loader, check_ids, whens};
use events::Events;
use prepared::{ItemParts, PreparedItem};
use templates::{ItemField, Step, environment};
use text::CatalogueText;
use values::Values;

pub use query::Language;

const CATALOGUE: &str = include_str!("../config/remediation.yaml");
const CATALOGUE_NAME: &str = "built-in config/remediation.yaml";

/// What an item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Find out what happened; changes nothing.
    Investigate,
    /// Stop whoever did it. Before anything is restored: a profile holds one role.
    Contain,
    /// Undo it.
    Restore,
    /// Make it impossible next time.
    Prevent,
    /// Good order that this event gives reason to check.
    Hardening,
}

/// A danger that the event brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Risk<'a> {
    /// `unauthorized_access`, `privilege_escalation`, `misconfiguration` or `outage` in the built-in catalogue.
    pub id: &'a str,
    /// In words.
    pub title: &'a str,
    /// Why it is one here, in a sentence or two.
    pub why: String,
}

/// One thing to do, filled in. In JSON what the detail leaves out is absent, and so is an empty list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item<'a> {
    /// The name in the catalogue.
    pub id: &'a str,
    /// What it is for.
    pub kind: Kind,
    /// In words.
    pub title: &'a str,
    /// The ids of the risks that it answers.
    pub risks: &'a [String],
    /// Steps in the AWS console.
    pub console: Vec<Cow<'a, str>>,
    /// Lines for a POSIX shell.
    pub cli: Vec<Cow<'a, str>>,
    /// Lines of Python.
    pub boto3: Vec<Cow<'a, str>>,
    /// A query of where CloudTrail is kept, by its language.
    pub queries: Queries<'a>,
    /// What to know before doing it, and which values are left to fill in.
    pub notes: Vec<Cow<'a, str>>,
    /// Further reading.
    pub references: &'a [String],
    /// How much of this documents carry; steps and notes are filled in only where it is all.
    pub detail: Detail,
}

/// Queries by their language; in JSON an object.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Queries<'a>(pub Vec<(Language, Cow<'a, str>)>);

impl Serialize for Queries<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut queries = serializer.serialize_map(Some(self.0.len()))?;
        for (language, query) in &self.0 {
            queries.serialize_entry(language, query)?;
        }
        queries.end()
    }
}

impl Serialize for Item<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut item = serializer.serialize_struct("Item", 10)?;
        item.serialize_field("id", self.id)?;
        if self.detail == Detail::Ids {
            return item.end();
        }
        item.serialize_field("kind", &self.kind)?;
        item.serialize_field("title", self.title)?;
        if !self.risks.is_empty() {
            item.serialize_field("risks", self.risks)?;
        }
        for (key, steps) in [
            ("console", &self.console),
            ("cli", &self.cli),
            ("boto3", &self.boto3),
        ] {
            if !steps.is_empty() {
                item.serialize_field(key, steps)?;
            }
        }
        if !self.queries.0.is_empty() {
            item.serialize_field("queries", &self.queries)?;
        }
        if !self.notes.is_empty() {
            item.serialize_field("notes", &self.notes)?;
        }
        if !self.references.is_empty() {
            item.serialize_field("references", self.references)?;
        }
        item.end()
    }
}

/// What to do about one record, and the risks that it answers.
#[derive(Debug, Clone)]
pub struct Advice<'a> {
    /// Risks, in the catalogue's order.
    pub risks: Vec<Risk<'a>>,
    catalogue: &'a Catalogue,
    chosen: Vec<&'a ItemTemplate>,
    values: Values<'a>,
    leaves_out: &'static [Steps],
}

/// Steps of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Steps {
    /// In the AWS console.
    Console,
    /// Lines for a POSIX shell.
    Cli,
    /// Lines of Python.
    Boto3,
    /// Queries of where CloudTrail is kept.
    Queries,
}

impl<'a> Advice<'a> {
    /// The items, in the catalogue's order, filled in.
    #[must_use]
    pub fn items(&self) -> Vec<Item<'a>> {
        let fill = |template: &&'a ItemTemplate| self.fill(template);
        self.chosen.iter().map(fill).collect()
    }

    /// The items without what is filled in: steps and notes.
    pub fn outlines(&self) -> impl Iterator<Item = Item<'a>> + use<'a, '_> {
        let detail = self.catalogue.detail;
        self.chosen
            .iter()
            .map(move |template| template.bare(detail))
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.chosen.is_empty()
    }

    /// Appends the items' titles, or ids where documents carry no more, as a JSON string: numbered, a line each.
    pub fn write_outline(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.push(b'"');
        for (number, template) in (1_usize..).zip(&self.chosen) {
            if number > 1 {
                out.extend_from_slice(br"\n");
            }
            serde_json::to_writer(&mut *out, &number)?;
            out.extend_from_slice(b". ");
            out.extend_from_slice(template.outline.as_bytes());
        }
        out.push(b'"');
        Ok(())
    }

    /// The first reference of each item, each once, as JSON that was made ready before.
    #[must_use]
    pub fn references(&self) -> Vec<&'a RawValue> {
        let known = &self.catalogue.references;
        let mut wanted = vec![false; known.len()];
        for place in self.chosen.iter().filter_map(|template| template.reference) {
            if let Some(wanted) = wanted.get_mut(place) {
                *wanted = true;
            }
        }
        let wanted = known.iter().zip(wanted).filter(|(_, wanted)| *wanted);
        wanted.map(|(reference, _)| reference.as_ref()).collect()
    }

    /// The same without these steps.
    #[must_use]
    pub fn without(mut self, steps: &'static [Steps]) -> Self {
        self.leaves_out = steps;
        self
    }

    /// The steps that are left out.
    #[must_use]
    pub const fn left_out(&self) -> &'static [Steps] {
        self.leaves_out
    }

    /// Appends the items as a JSON list, which is what serialising [`Advice::items`] would give.
    pub fn write_items(&self, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        out.push(b'[');
        for (place, template) in self.chosen.iter().enumerate() {
            if place > 0 {
                out.push(b',');
            }
            let start = out.len();
            let written = template
                .prepared
                .as_ref()
                .and_then(|item| item.write(&self.values, &template.uses, self.leaves_out, out));
            if written.is_none() {
                out.truncate(start);
                serde_json::to_writer(&mut *out, &self.fill(template))?;
            }
        }
        out.push(b']');
        Ok(())
    }

    fn fill(&self, template: &'a ItemTemplate) -> Item<'a> {
        let mut item = self.catalogue.fill(template, &self.values);
        for steps in self.leaves_out {
            match steps {
                Steps::Console => item.console.clear(),
                Steps::Cli => item.cli.clear(),
                Steps::Boto3 => item.boto3.clear(),
                Steps::Queries => item.queries.0.clear(),
            }
        }
        item
    }
}

/// A risk of the catalogue, compiled.
struct RiskTemplate {
    id: String,
    title: String,
    /// The first that is meant for the event, and whose condition holds, is the one.
    reasons: Vec<Reason>,
}

/// Why a risk is one, compiled.
struct Reason {
    events: Events,
    /// The place of its condition.
    when: usize,
    why: Step,
}

/// An item of the catalogue, compiled.
#[derive(Debug)]
struct ItemTemplate {
    id: String,
    kind: Kind,
    title: String,
    risks: Vec<String>,
    references: Vec<String>,
    events: Events,
    /// The place of its condition.
    when: usize,
    console: Vec<Step>,
    cli: Vec<Step>,
    boto3: Vec<Step>,
    queries: Vec<(Language, Step)>,
    notes: Vec<Step>,
    /// The places of the values that its templates use, where documents carry what is made of them.
    uses: Vec<usize>,
    /// Its JSON, where that can be made ready.
    prepared: Option<PreparedItem>,
    /// What it is called where there is no room for more, as it stands between the quotes of a JSON string.
    outline: String,
    /// The place of its first reference among the catalogue's, where documents carry references.
    reference: Option<usize>,
}

/// The first reference of each item, each once; items learn where theirs is.
fn first_references(items: &mut [ItemTemplate], detail: Detail) -> Vec<Box<RawValue>> {
    let mut known: Vec<Box<RawValue>> = Vec::new();
    for template in items.iter_mut().filter(|_| detail != Detail::Ids) {
        let first = template.references.first();
        let Some(json) = first.and_then(|first| serde_json::value::to_raw_value(first).ok()) else {
            continue;
        };
        let place = known.iter().position(|other| other.get() == json.get());
        template.reference = place.or(Some(known.len()));
        if place.is_none() {
            known.push(json);
        }
    }
    known
}

impl ItemTemplate {
    /// The item without anything that is filled in.
    fn bare(&self, detail: Detail) -> Item<'_> {
        Item {
            id: &self.id,
            kind: self.kind,
            title: &self.title,
            risks: &self.risks,
            console: Vec::new(),
            cli: Vec::new(),
            boto3: Vec::new(),
            queries: Queries::default(),
            notes: Vec::new(),
            references: &self.references,
            detail,
        }
    }

    fn prepare(&mut self, detail: Detail) {
        if detail != Detail::Full {
            self.uses.clear();
            self.queries.clear();
            for steps in [
                &mut self.console,
                &mut self.cli,
                &mut self.boto3,
                &mut self.notes,
            ] {
                steps.clear();
            }
        }
        let mut head = self.bare(detail);
        head.references = &[];
        let references = match detail {
            Detail::Ids => &[],
            Detail::Full | Detail::Summary => self.references.as_slice(),
        };
        let prepared = serde_json::to_string(&head).ok().and_then(|head| {
            PreparedItem::new(&ItemParts {
                head,
                steps: [
                    ("console", &self.console),
                    ("cli", &self.cli),
                    ("boto3", &self.boto3),
                ],
                queries: &self.queries,
                notes: &self.notes,
                references,
            })
        });
        self.prepared = prepared;
        let outline = match detail {
            Detail::Ids => &self.id,
            Detail::Full | Detail::Summary => &self.title,
        };
        let quoted = serde_json::to_string(outline).unwrap_or_default();
        let inside = quoted.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
        inside.unwrap_or_default().clone_into(&mut self.outline);
    }
}

/// The catalogue, compiled.
pub struct Catalogue {
    risks: Vec<RiskTemplate>,
    items: Vec<ItemTemplate>,
    conditions: Conditions,
    templates: Environment<'static>,
    /// The first reference of every item, each once, as JSON.
    references: Vec<Box<RawValue>>,
    detail: Detail,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list()
            .entries(self.items.iter().map(|template| &template.id))
            .finish()
    }
}

impl Catalogue {
    /// Loads the built-in catalogue, or the one in a file instead. Errs with everything that is wrong in it; each
    /// template is tried.
    pub fn load(file: Option<&Path>, detail: Detail) -> Result<Self, Faults> {
        let Some(path) = file else {
            return Self::compile(CATALOGUE_NAME, CATALOGUE, detail);
        };
        let name = path.display().to_string();
        match files::text(path, yaml::MAX_BYTES) {
            Ok(text) => Self::compile(&name, &text, detail),
            Err(error) => {
                let mut faults = Faults::default();
                faults.add(&name, None, None, error.to_string());
                Err(faults)
            }
        }
    }

    fn compile(file: &str, text: &str, detail: Detail) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let text = CatalogueText::read(file, text, &mut faults);
        check_ids(file, &text, &mut faults);
        let conditions = Conditions::compile(file, &whens(&text), &mut faults);
        let mut places = 0..;
        let mut whens = || places.next().unwrap_or(usize::MAX);
        let mut loader = Loader {
            file,
            detail,
            templates: environment(),
            faults: &mut faults,
        };
        let mut items: Vec<ItemTemplate> = text
            .items
            .into_iter()
            .map(|item| loader.item(item, whens()))
            .collect();
        let references = first_references(&mut items, detail);
        let risks = text
            .risks
            .into_iter()
            .map(|risk| loader.risk(risk, &mut whens))
            .collect();
        let templates = loader.templates;
        faults.or(Self {
            risks,
            items,
            conditions,
            templates,
            references,
            detail,
        })
    }

    /// What is most likely a mistake in its conditions.
    #[must_use]
    pub const fn warnings(&self) -> &Faults {
        &self.conditions.warnings
    }

    /// The items that are meant for a record's event, and whose conditions hold, filled in with its values, and the risks
    /// that they answer.
    #[must_use]
    pub fn select<'a>(&'a self, record: &Record<'_>, facts: &Facts<'a>) -> Advice<'a> {
        let hold = self.conditions.hold(&record.value, facts);
        let name = record.text(&["eventName"]);
        let holds = |events: &Events, when: usize| {
            hold.get(when).copied().unwrap_or_default() && events.include(name)
        };
        let values = Values::from_facts(facts);
        // Whose alarm is taken back is not shut out.
        let is_settled = facts
            .sequence
            .is_some_and(|it| it.kind.verdict() == Verdict::Settles);
        let chosen = || {
            let all = self.items.iter();
            all.filter(|template| !is_settled || template.kind != Kind::Contain)
                .filter(|template| holds(&template.events, template.when))
        };
        let risks = self
            .risks
            .iter()
            .filter_map(|risk| {
                let mut reasons = risk.reasons.iter();
                let Reason { why, .. } =
                    reasons.find(|reason| holds(&reason.events, reason.when))?;
                let answered = chosen().any(|template| template.risks.contains(&risk.id));
                answered.then(|| Risk {
                    id: &risk.id,
                    title: &risk.title,
                    why: why
                        .fill(&self.templates, &values)
                        .unwrap_or_default()
                        .into_owned(),
                })
            })
            .collect();
        Advice {
            risks,
            catalogue: self,
            chosen: chosen().collect(),
            values,
            leaves_out: &[],
        }
    }

    fn fill<'a>(&'a self, template: &'a ItemTemplate, values: &Values<'_>) -> Item<'a> {
        let mut item = template.bare(self.detail);
        let mut missing = Vec::new();
        let mut fill = |part: ItemField, steps: &'a [Step]| -> Vec<Cow<'a, str>> {
            let mut filled = Vec::with_capacity(steps.len());
            for step in steps {
                match step.fill(&self.templates, values) {
                    Ok(step) => filled.push(step),
                    // Loading tried every template; should one fail all the same, its absence is said.
                    Err(error) => {
                        let part = part.as_str();
                        missing.push(format!("A step of {part} is left out: {error}.").into());
                    }
                }
            }
            filled
        };
        item.console = fill(ItemField::Console, &template.console);
        item.cli = fill(ItemField::Cli, &template.cli);
        item.boto3 = fill(ItemField::Boto3, &template.boto3);
        item.queries = Queries(
            template
                .queries
                .iter()
                .filter_map(|(language, query)| {
                    let part = ItemField::Query(*language);
                    let filled = fill(part, std::slice::from_ref(query)).pop();
                    Some((*language, filled?))
                })
                .collect(),
        );
        item.notes = fill(ItemField::Notes, &template.notes);
        item.notes
            .extend(values.notes(&template.uses).map(Cow::Owned));
        item.notes.append(&mut missing);
        item
    }
}

#[cfg(test)]
mod tests;
