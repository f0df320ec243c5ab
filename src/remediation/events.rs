//! For which events an item is meant, or a reason for a risk: the key `events` in, a test of an event's name out.
//!
//! A step of the catalogue is about what one call did: who removed a role is told how to put it back, and who signed in is
//! not. So each entry says for which events it is meant, and `when` only chooses among the events that are.

use crate::config::nearest::nearest;
use crate::config::yaml::{Data, Node};
use crate::detection::facts::INSTANCE_PROFILE_CALLS;
use crate::detection::yaml_entry::YamlEntry;

/// The word for every event.
const ANY: &str = "any";

/// The most letters in which a name written wrongly differs from that of an event which the built-in catalogue is about. Names that AWS has differ in more.
const MOST_SLIPS: usize = 2;

/// For which events an entry is meant.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum Events {
    /// All, which is what an entry without `events` is meant for.
    #[default]
    Any,
    /// Those with one of these names.
    Named(Vec<String>),
}

impl Events {
    /// What an entry says; what is wrong with it is a fault.
    pub(super) fn read(entry: &mut YamlEntry<'_, '_>) -> Self {
        let Some(tree) = entry.field("events") else {
            return Self::Any;
        };
        match &tree.data {
            Data::Scalar { text, .. } if text == ANY => Self::Any,
            Data::List(list) if !list.is_empty() => {
                Self::Named(list.iter().filter_map(|name| named(entry, name)).collect())
            }
            Data::List(_) => {
                entry.fault_at(
                    tree.line,
                    "`events` is an empty list, so that this never applies: name an event, or say `events: any`",
                );
                Self::Any
            }
            Data::Scalar { .. } | Data::Map(_) => {
                entry.fault_at(
                    tree.line,
                    "`events` must be `any`, or a list of event names such as [CreateUser, DeleteUser]",
                );
                Self::Any
            }
        }
    }

    /// Whether an event of this name is one of them.
    pub(super) fn include(&self, name: Option<&str>) -> bool {
        match self {
            Self::Any => true,
            Self::Named(names) => name.is_some_and(|name| names.iter().any(|known| known == name)),
        }
    }
}

/// A name of the list; none where it can be no event's.
fn named(entry: &mut YamlEntry<'_, '_>, tree: &Node) -> Option<String> {
    let name = entry.as_text("events", tree)?;
    let is_letter = |letter: char| letter.is_ascii_alphanumeric() || "_.-".contains(letter);
    let problem = if name.text == ANY {
        "`any` stands alone: say `events: any`".to_owned()
    } else if name.text.is_empty() || !name.text.chars().all(is_letter) {
        format!(
            "`events`: {:?} is no event name: write CloudTrail's `eventName` alone and whole, such as CreateUser",
            name.text
        )
    } else if let Some(meant) = slip(&name.text) {
        format!(
            "`events`: there is no event `{}`; did you mean `{meant}`?",
            name.text
        )
    } else {
        return Some(name.text);
    };
    entry.fault_at(name.line, problem);
    None
}

/// The known name that somebody meant who wrote nearly it.
fn slip(name: &str) -> Option<&'static str> {
    if INSTANCE_PROFILE_CALLS.contains(&name) {
        return None;
    }
    let meant = nearest(name, INSTANCE_PROFILE_CALLS.into_iter())?;
    let is_slip =
        meant.eq_ignore_ascii_case(name) || strsim::damerau_levenshtein(meant, name) <= MOST_SLIPS;
    is_slip.then_some(meant)
}
