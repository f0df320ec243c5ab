//! The catalogue as it is written: YAML in, risks and items out, each with the lines on which it stands.
//!
//! The file is read as a loose tree first and each entry of it by itself, so that one bad entry hides no other: a file
//! with five faults is told five faults.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::Kind;
use super::templates::Part;
use crate::detection::fault::{Faults, read_yaml};

/// A text and its line.
pub(super) struct Line {
    pub(super) line: usize,
    pub(super) text: String,
}

/// A risk as it is written.
pub(super) struct RiskText {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) title: String,
    pub(super) reasons: Vec<ReasonText>,
}

/// Why a risk is one, and when.
pub(super) struct ReasonText {
    pub(super) when: Option<Value>,
    pub(super) why: Line,
}

/// An item as it is written.
pub(super) struct ItemText {
    pub(super) line: usize,
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) risks: Vec<String>,
    pub(super) when: Option<Value>,
    pub(super) parts: [(Part, Vec<Line>); 4],
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
        let Some(root) = read_yaml::<Spanned<Tree>>(file, text, faults) else {
            return Self::default();
        };
        let mut read = Self::default();
        let Some(mut root) = Entry::open(file, &root, None, &["risks", "items"], faults) else {
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
    fn read(file: &str, tree: &Spanned<Tree>, faults: &mut Faults) -> Option<Self> {
        const KEYS: [&str; 3] = ["id", "title", "reasons"];
        let mut entry = Entry::open(file, tree, Some("risk"), &KEYS, faults)?;
        let (id, title, list) = (entry.text("id"), entry.text("title"), entry.list("reasons"));
        if list.is_empty() {
            entry.fault("it has no `reasons`, so that it never applies: say `reasons: [{why: …}]`");
        }
        let subject = entry.subject.clone();
        let reasons = list
            .iter()
            .filter_map(|tree| {
                let mut entry = Entry::open(file, tree, None, &["when", "why"], faults)?;
                entry.subject.clone_from(&subject);
                Some(ReasonText {
                    when: entry.value("when"),
                    why: entry.line_of("why")?,
                })
            })
            .collect();
        Some(Self {
            line: line(tree),
            id: id?.text,
            title: title?.text,
            reasons,
        })
    }
}

impl ItemText {
    fn read(file: &str, tree: &Spanned<Tree>, faults: &mut Faults) -> Option<Self> {
        const KEYS: [&str; 10] = [
            "id",
            "kind",
            "title",
            "risks",
            "when",
            "console",
            "cli",
            "boto3",
            "notes",
            "references",
        ];
        let mut entry = Entry::open(file, tree, Some("item"), &KEYS, faults)?;
        let (id, title, kind) = (entry.text("id"), entry.text("title"), entry.text("kind"));
        let kind = kind.and_then(|kind| {
            let name = Value::String(kind.text);
            serde_json::from_value(name)
                .map_err(|error| entry.fault_at(kind.line, format!("`kind`: {error}")))
                .ok()
        });
        let parts = [Part::Console, Part::Cli, Part::Boto3, Part::Notes];
        let parts = parts.map(|part| (part, entry.texts(part.as_str())));
        let plain = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect();
        let (risks, references) = (entry.texts("risks"), entry.texts("references"));
        let when = entry.value("when");
        Some(Self {
            line: line(tree),
            id: id?.text,
            kind: kind?,
            title: title?.text,
            risks: plain(risks),
            when,
            parts,
            references: plain(references),
        })
    }
}

/// One mapping that is being read.
struct Entry<'tree, 'faults> {
    file: &'faults str,
    line: usize,
    subject: Option<String>,
    fields: &'tree [(String, Spanned<Tree>)],
    faults: &'faults mut Faults,
}

impl<'tree, 'faults> Entry<'tree, 'faults> {
    /// None where it is no mapping; a key that is not known is a fault, and no more.
    fn open(
        file: &'faults str,
        tree: &'tree Spanned<Tree>,
        kind: Option<&str>,
        known: &[&str],
        faults: &'faults mut Faults,
    ) -> Option<Self> {
        let fields = match &tree.value {
            Tree::Map(fields) => fields.as_slice(),
            _ => &[],
        };
        let id = fields.iter().find_map(|(key, value)| match &value.value {
            Tree::Scalar(Value::String(id)) if key == "id" => Some(id),
            _ => None,
        });
        let subject =
            kind.map(|kind| id.map_or_else(|| kind.to_owned(), |id| format!("{kind} {id}")));
        let mut entry = Self {
            file,
            line: line(tree),
            subject,
            fields,
            faults,
        };
        let keys = known.join(", ");
        if !matches!(tree.value, Tree::Map(_)) {
            entry.fault(format!("this must be a mapping with the keys {keys}"));
            return None;
        }
        for (key, value) in fields {
            if !known.contains(&key.as_str()) {
                entry.fault_at(
                    line(value),
                    format!("unknown key `{key}`; the keys here are {keys}"),
                );
            }
        }
        Some(entry)
    }

    fn fault(&mut self, problem: impl Into<String>) {
        self.fault_at(self.line, problem);
    }

    fn fault_at(&mut self, line: usize, problem: impl Into<String>) {
        let line = Some(line).filter(|line| *line > 0);
        self.faults
            .add(self.file, line, self.subject.clone(), problem);
    }

    fn field(&self, key: &str) -> Option<&'tree Spanned<Tree>> {
        let (_, value) = self.fields.iter().find(|(name, _)| name == key)?;
        Some(value)
    }

    /// A text that must be there and say something.
    fn text(&mut self, key: &str) -> Option<Line> {
        let read = self.line_of(key)?;
        if read.text.trim().is_empty() {
            self.fault_at(read.line, format!("its `{key}` is empty"));
            return None;
        }
        Some(read)
    }

    fn line_of(&mut self, key: &str) -> Option<Line> {
        let Some(tree) = self.field(key) else {
            self.fault(format!("it has no `{key}`"));
            return None;
        };
        self.as_text(key, tree)
    }

    fn as_text(&mut self, key: &str, tree: &Spanned<Tree>) -> Option<Line> {
        if let Tree::Scalar(Value::String(text)) = &tree.value {
            return Some(Line {
                line: line(tree),
                text: text.clone(),
            });
        }
        self.fault_at(
            line(tree),
            format!("`{key}` must be text: put it in quotes"),
        );
        None
    }

    /// The elements of a list; none where it is not there.
    fn list(&mut self, key: &str) -> &'tree [Spanned<Tree>] {
        let Some(tree) = self.field(key) else {
            return &[];
        };
        if let Tree::List(list) = &tree.value {
            return list;
        }
        self.fault_at(line(tree), format!("`{key}` must be a list"));
        &[]
    }

    fn texts(&mut self, key: &str) -> Vec<Line> {
        let list = self.list(key);
        list.iter()
            .filter_map(|tree| self.as_text(key, tree))
            .collect()
    }

    fn value(&self, key: &str) -> Option<Value> {
        self.field(key).map(|tree| tree.value.to_value())
    }
}

fn line<T>(spanned: &Spanned<T>) -> usize {
    usize::try_from(spanned.referenced.line()).unwrap_or_default()
}

/// YAML of any shape, with a line for every part of it.
enum Tree {
    Scalar(Value),
    List(Vec<Spanned<Tree>>),
    Map(Vec<(String, Spanned<Tree>)>),
}

impl Tree {
    fn to_value(&self) -> Value {
        match self {
            Self::Scalar(value) => value.clone(),
            Self::List(list) => list.iter().map(|tree| tree.value.to_value()).collect(),
            Self::Map(fields) => fields
                .iter()
                .map(|(key, tree)| (key.clone(), tree.value.to_value()))
                .collect(),
        }
    }
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TreeVisitor)
    }
}

struct TreeVisitor;

impl<'de> Visitor<'de> for TreeVisitor {
    type Value = Tree;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("text, a number, true, false, a list or a mapping")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Tree, E> {
        Ok(Tree::Scalar(Value::Null))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
        Tree::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut fields = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            fields.push(entry);
        }
        Ok(Tree::Map(fields))
    }
}
