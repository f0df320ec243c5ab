//! The sequences that are built in, as data: what each looks for, within what time, and how many.

use crate::finding::{GroupedBy, Step};
use crate::model::{Outcome, SequenceKind};

const MINUTE: i64 = 60_000;
const REMOVE: &str = "RemoveRoleFromInstanceProfile";
const ADD: &str = "AddRoleToInstanceProfile";
const DELETE: &str = "DeleteInstanceProfile";

/// A sequence that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Definition {
    /// Its name.
    pub kind: SequenceKind,
    /// By what its steps are put together.
    pub by: GroupedBy,
    /// The milliseconds from its first event to its last, at the most.
    pub window: i64,
    /// What its events are.
    pub pattern: Pattern,
}

/// What the events of a sequence are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// A role out of a profile, and what was done to that profile next.
    Next {
        /// The call that came next.
        call: &'static str,
        /// What both have to have in common, or must not.
        with: Common,
    },
    /// Many of the same, at the end of which this or something else happens.
    Many(Many),
}

/// What is counted, and what has to come then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Many {
    /// What became of each call that counts.
    pub outcome: Outcome,
    /// What makes two of them different.
    pub distinct: Distinct,
    /// Whether those do not count that services made, or principals on the allow list.
    pub without_expected: bool,
    /// What becomes of the call at the end: the last of those that count, or one after them.
    pub ended_by: Outcome,
    /// How many there must be. It is said at each of these, and not again until it was over.
    pub thresholds: &'static [u64],
}

/// What the two events of a pair have to have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Common {
    /// The role.
    Role,
    /// The profile alone: the role must be another.
    OtherRole,
    /// The principal.
    Principal,
}

/// What makes two events of many different ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distinct {
    /// The instance profile.
    Profile,
    /// Each is one of its own.
    Event,
}

/// Everything that is looked for.
pub const BUILT_IN: [Definition; 6] = [
    Definition {
        kind: SequenceKind::RoleSwap,
        by: GroupedBy::Profile,
        window: 15 * MINUTE,
        pattern: Pattern::Next {
            call: ADD,
            with: Common::OtherRole,
        },
    },
    Definition {
        kind: SequenceKind::RoleRestored,
        by: GroupedBy::Profile,
        window: 15 * MINUTE,
        pattern: Pattern::Next {
            call: ADD,
            with: Common::Role,
        },
    },
    Definition {
        kind: SequenceKind::ProfileDeleted,
        by: GroupedBy::Profile,
        window: 5 * MINUTE,
        pattern: Pattern::Next {
            call: DELETE,
            with: Common::Principal,
        },
    },
    Definition {
        kind: SequenceKind::Burst,
        by: GroupedBy::Principal,
        window: 10 * MINUTE,
        pattern: Pattern::Many(Many {
            outcome: Outcome::Success,
            distinct: Distinct::Profile,
            without_expected: true,
            ended_by: Outcome::Success,
            thresholds: &[5, 20],
        }),
    },
    Definition {
        kind: SequenceKind::DeniedBurst,
        by: GroupedBy::Principal,
        window: 10 * MINUTE,
        pattern: Pattern::Many(Many {
            outcome: Outcome::Denied,
            distinct: Distinct::Event,
            without_expected: false,
            ended_by: Outcome::Denied,
            thresholds: &[3],
        }),
    },
    Definition {
        kind: SequenceKind::SuccessAfterDenied,
        by: GroupedBy::Principal,
        window: 60 * MINUTE,
        pattern: Pattern::Many(Many {
            outcome: Outcome::Denied,
            distinct: Distinct::Event,
            without_expected: false,
            ended_by: Outcome::Success,
            thresholds: &[3],
        }),
    },
];

/// Whether a step takes a role out of a profile.
pub(super) fn is_removal(step: &Step) -> bool {
    step.event_name == REMOVE
}

impl Common {
    /// Whether a removal and what came next have in common what they must. What one of them does not say is in common
    /// with nothing, and different from nothing.
    pub(super) fn holds(self, removal: &Step, next: &Step) -> bool {
        let roles = || removal.role.as_deref().zip(next.role.as_deref());
        match self {
            // Within one second nobody knows which was first, and nothing is settled by a guess. Another role cannot have
            // come in before the first went out: a profile holds one.
            Self::Role => roles()
                .is_some_and(|(out, back)| out == back && removal.event_time < next.event_time),
            Self::OtherRole => roles().is_some_and(|(out, other)| out != other),
            Self::Principal => removal.principal.is_some() && removal.principal == next.principal,
        }
    }
}
