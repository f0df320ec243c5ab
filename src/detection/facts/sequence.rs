//! What a record says together with others: the facts that `correlation.*` factors test.

use super::Fact;
use crate::model::SequenceKind;

/// What a record says together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceFacts<'a> {
    /// Which sequence it is.
    pub kind: SequenceKind,
    /// How many there were of what it counts: instance profiles of a burst, denials of the kinds that count them, else
    /// its steps.
    pub count: u64,
    /// Whether the principals of all its steps are on the allow list.
    pub allow_listed: bool,
    /// The role that is in the profile now, where the sequence says so.
    pub role: Option<&'a str>,
    /// Whether that role's name is one of those that grant much.
    pub privileged_role: Option<bool>,
}

impl SequenceFacts<'_> {
    /// The fact of that name (without `sequence.`), none where it is unknown.
    pub(super) fn fact(&self, name: &str) -> Option<Fact<'_>> {
        Some(match name {
            "kind" => Fact::Text(self.kind.as_str()),
            "verdict" => Fact::Text(self.kind.verdict().as_str()),
            "count" => Fact::Number(self.count),
            "allow_listed" => Fact::Truth(self.allow_listed),
            "role" => Fact::Text(self.role?),
            "privileged_role" => Fact::Truth(self.privileged_role?),
            _ => return None,
        })
    }
}
