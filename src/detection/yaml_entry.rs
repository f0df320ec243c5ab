//! YAML files that are lists of entries, read key by key: a tree and its lines in, values or faults out.
//!
//! A deserialiser stops at the first thing that is wrong. Whoever writes a severity model or a catalogue wants to see all
//! of it at once, so each key of each entry is read by itself, and what is wrong with it is told with its line.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::nearest::nearest;
use crate::config::yaml::{self, Data, Name, Node};
use crate::model::fault::Faults;

/// A text and its line.
pub(crate) struct LocatedText {
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The tree of a file; what breaks YAML's grammar is among the faults.
pub(crate) fn tree(file: &str, text: &str, faults: &mut Faults) -> Option<Node> {
    match yaml::parse(text.trim_start_matches('\u{feff}')) {
        Ok(Some(tree)) => Some(tree),
        Ok(None) => {
            faults.add(file, None, None, "there is nothing in it");
            None
        }
        Err(malformed) => {
            for error in malformed {
                faults.add(file, error.line(), None, error.to_string());
            }
            None
        }
    }
}

/// One mapping that is being read.
pub(crate) struct YamlEntry<'tree, 'faults> {
    file: &'faults str,
    line: usize,
    pub(crate) subject: Option<String>,
    fields: &'tree [(Name, Node)],
    faults: &'faults mut Faults,
}

impl<'tree, 'faults> YamlEntry<'tree, 'faults> {
    /// None where it is no mapping; a key that is not known is a fault, and no more.
    pub(crate) fn open(
        file: &'faults str,
        tree: &'tree Node,
        kind: Option<&str>,
        known: &[&str],
        faults: &'faults mut Faults,
    ) -> Option<Self> {
        let fields = match &tree.data {
            Data::Map(fields) => fields.as_slice(),
            Data::Scalar { .. } | Data::List(_) => &[],
        };
        let id = fields.iter().find_map(|(key, value)| match &value.data {
            Data::Scalar { text, .. } if key.text == "id" => Some(text),
            _ => None,
        });
        let subject =
            kind.map(|kind| id.map_or_else(|| kind.to_owned(), |id| format!("{kind} {id}")));
        let mut entry = Self {
            file,
            line: tree.line,
            subject,
            fields,
            faults,
        };
        let keys = known.join(", ");
        if !matches!(tree.data, Data::Map(_)) {
            entry.fault(format!("this must be a mapping with the keys {keys}"));
            return None;
        }
        for (key, _) in fields {
            if !known.contains(&key.text.as_str()) {
                let meant = nearest(&key.text, known.iter().copied()).map_or_else(
                    || format!("the keys here are {keys}"),
                    |meant| format!("did you mean `{meant}`?"),
                );
                entry.fault_at(key.line, format!("unknown key `{}`; {meant}", key.text));
            }
        }
        Some(entry)
    }

    pub(crate) fn fault(&mut self, problem: impl Into<String>) {
        self.fault_at(self.line, problem);
    }

    pub(crate) fn fault_at(&mut self, line: usize, problem: impl Into<String>) {
        let line = Some(line).filter(|line| *line > 0);
        self.faults
            .add(self.file, line, self.subject.clone(), problem);
    }

    pub(crate) fn field(&self, key: &str) -> Option<&'tree Node> {
        let (_, value) = self.fields.iter().find(|(name, _)| name.text == key)?;
        Some(value)
    }

    /// A text that must be there and say something.
    pub(crate) fn text(&mut self, key: &str) -> Option<LocatedText> {
        let read = self.text_or_empty(key)?;
        if read.text.trim().is_empty() {
            self.fault_at(read.line, format!("its `{key}` is empty"));
            return None;
        }
        Some(read)
    }

    pub(crate) fn text_or_empty(&mut self, key: &str) -> Option<LocatedText> {
        let Some(tree) = self.field(key) else {
            self.fault(format!("it has no `{key}`"));
            return None;
        };
        self.as_text(key, tree)
    }

    pub(crate) fn as_text(&mut self, key: &str, tree: &Node) -> Option<LocatedText> {
        if let Value::String(text) = tree.to_value() {
            return Some(LocatedText {
                line: tree.line,
                text,
            });
        }
        self.fault_at(tree.line, format!("`{key}` must be text: put it in quotes"));
        None
    }

    /// The elements of a list; none where it is not there.
    pub(crate) fn list(&mut self, key: &str) -> &'tree [Node] {
        let Some(tree) = self.field(key) else {
            return &[];
        };
        if let Data::List(list) = &tree.data {
            return list;
        }
        self.fault_at(tree.line, format!("`{key}` must be a list"));
        &[]
    }

    pub(crate) fn texts(&mut self, key: &str) -> Vec<LocatedText> {
        let list = self.list(key);
        list.iter()
            .filter_map(|tree| self.as_text(key, tree))
            .collect()
    }

    /// What a key's text is the name of.
    pub(crate) fn named<T: DeserializeOwned>(
        &mut self,
        key: &str,
        name: &LocatedText,
    ) -> Option<T> {
        serde_json::from_value(Value::from(name.text.as_str()))
            .map_err(|error| self.fault_at(name.line, format!("`{key}`: {error}")))
            .ok()
    }

    /// What stands at a key, where it can be read as such; what is wrong with it is a fault.
    pub(crate) fn read<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let tree = self.field(key)?;
        serde_json::from_value(tree.to_value())
            .map_err(|error| self.fault_at(tree.line, format!("`{key}`: {error}")))
            .ok()
    }
}
