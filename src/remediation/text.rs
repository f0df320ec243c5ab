//! The catalogue as it is written: YAML in, risks and items out, each with the lines on which it stands.
//!
//! Each entry is read by itself, so that one bad entry hides no other: a file with five faults is told five faults.

use super::Kind;
use super::events::Events;
use super::query::Language;
use super::templates::ItemField;
use crate::config::yaml::Node;
use crate::detection::yaml_entry::{self, LocatedText, YamlEntry};
use crate::model::fault::Faults;

/// A risk as it is written.
pub(super) struct RiskText {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) reasons: Vec<ReasonText>,
}

/// Why a risk is one, and when.
pub(super) struct ReasonText {
    pub(super) events: Events,
    pub(super) when: Option<Node>,
    pub(super) why: LocatedText,
}

/// An item as it is written.
pub(super) struct ItemText {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) risks: Vec<String>,
    pub(super) events: Events,
    pub(super) when: Option<Node>,
    pub(super) parts: [(ItemField, Vec<LocatedText>); 4],
    /// The query of each language, where there is one.
    pub(super) queries: Vec<(Language, LocatedText)>,
    pub(super) references: Vec<String>,
}

/// The whole file; what cannot be read is left out, and is among the faults.
#[derive(Default)]
pub(super) struct CatalogueText {
    pub(super) risks: Vec<RiskText>,
    pub(super) items: Vec<ItemText>,
}

impl CatalogueText {
    pub(super) fn read(file: &str, text: &str, faults: &mut Faults) -> Self {
        let mut read = Self::default();
        let Some(root) = yaml_entry::tree(file, text, faults) else {
            return read;
        };
        let Some(mut root) = YamlEntry::open(file, &root, None, &["risks", "items"], faults) else {
            return read;
        };
        let (risks, items) = (root.list("risks"), root.list("items"));
        for risk in risks {
            read.risks.extend(RiskText::read(file, risk, faults));
        }
        for item in items {
            read.items.extend(ItemText::read(file, item, faults));
        }
        read
    }
}

impl RiskText {
    fn read(file: &str, tree: &Node, faults: &mut Faults) -> Option<Self> {
        const KEYS: [&str; 3] = ["id", "title", "reasons"];
        let mut entry = YamlEntry::open(file, tree, Some("risk"), &KEYS, faults)?;
        let (id, title, list) = (entry.text("id"), entry.text("title"), entry.list("reasons"));
        if list.is_empty() {
            entry.fault("it has no `reasons`, so that it never applies: say `reasons: [{why: …}]`");
        }
        let subject = entry.subject.clone();
        let reasons = list
            .iter()
            .filter_map(|tree| {
                const KEYS: [&str; 3] = ["events", "when", "why"];
                let mut entry = YamlEntry::open(file, tree, None, &KEYS, faults)?;
                entry.subject.clone_from(&subject);
                Some(ReasonText {
                    events: Events::read(&mut entry),
                    when: entry.field("when").cloned(),
                    why: entry.text_or_empty("why")?,
                })
            })
            .collect();
        Some(Self {
            line: tree.line,
            id: id?.text,
            title: title?.text,
            reasons,
        })
    }
}

impl ItemText {
    fn read(file: &str, tree: &Node, faults: &mut Faults) -> Option<Self> {
        const KEYS: [&str; 12] = [
            "id",
            "kind",
            "title",
            "risks",
            "events",
            "when",
            "console",
            "cli",
            "boto3",
            "queries",
            "notes",
            "references",
        ];
        let mut entry = YamlEntry::open(file, tree, Some("item"), &KEYS, faults)?;
        let (id, title, kind) = (entry.text("id"), entry.text("title"), entry.text("kind"));
        let kind = kind.and_then(|kind| entry.named("kind", &kind));
        let parts = [
            ItemField::Console,
            ItemField::Cli,
            ItemField::Boto3,
            ItemField::Notes,
        ];
        let parts = parts.map(|part| (part, entry.texts(part.as_str())));
        let plain = |lines: Vec<LocatedText>| lines.into_iter().map(|line| line.text).collect();
        let (risks, references) = (entry.texts("risks"), entry.texts("references"));
        let events = Events::read(&mut entry);
        let when = entry.field("when").cloned();
        let subject = entry.subject.clone();
        let queries = entry.field("queries").map_or_else(Vec::new, |tree| {
            queries(file, tree, subject.as_deref(), faults)
        });
        Some(Self {
            line: tree.line,
            id: id?.text,
            kind: kind?,
            title: title?.text,
            risks: plain(risks),
            events,
            when,
            parts,
            queries,
            references: plain(references),
        })
    }
}

/// The queries of an item, by language; what is wrong with one hides no other.
fn queries(
    file: &str,
    tree: &Node,
    subject: Option<&str>,
    faults: &mut Faults,
) -> Vec<(Language, LocatedText)> {
    let keys = Language::ALL.map(Language::as_str);
    let Some(mut entry) = YamlEntry::open(file, tree, subject, &keys, faults) else {
        return Vec::new();
    };
    let mut queries = Vec::new();
    for language in Language::ALL {
        if entry.field(language.as_str()).is_some() {
            let query = entry.text(language.as_str());
            queries.extend(query.map(|query| (language, query)));
        }
    }
    queries
}
