//! What several events can say together, and whether that raises the alarm or takes it back.

use serde::{Deserialize, Serialize};

/// A sequence that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SequenceKind {
    /// One role out of an instance profile, another into it.
    RoleSwap,
    /// A role out of an instance profile, and the same one back.
    RoleRestored,
    /// A role out of an instance profile, and the profile deleted.
    ProfileDeleted,
    /// The roles out of many instance profiles by one principal.
    Burst,
    /// Several denied attempts of one principal.
    DeniedBurst,
    /// A success of a principal that was denied several times before.
    SuccessAfterDenied,
}

impl SequenceKind {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::RoleSwap,
        Self::RoleRestored,
        Self::ProfileDeleted,
        Self::Burst,
        Self::DeniedBurst,
        Self::SuccessAfterDenied,
    ];

    /// The name in documents, conditions and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoleSwap => "role_swap",
            Self::RoleRestored => "role_restored",
            Self::ProfileDeleted => "profile_deleted",
            Self::Burst => "burst",
            Self::DeniedBurst => "denied_burst",
            Self::SuccessAfterDenied => "success_after_denied",
        }
    }

    /// What happened, as a title.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::RoleSwap => "Role in an instance profile swapped for another",
            Self::RoleRestored => "Role put back into its instance profile",
            Self::ProfileDeleted => "Instance profile deleted after its role was removed",
            Self::Burst => "Roles removed from many instance profiles",
            Self::DeniedBurst => {
                "Repeated denied attempts to remove a role from an instance profile"
            }
            Self::SuccessAfterDenied => {
                "Role removed from an instance profile after repeated denials"
            }
        }
    }

    /// What it means for the alarm that the record alone raised.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::RoleRestored | Self::ProfileDeleted => Verdict::Settles,
            Self::RoleSwap | Self::Burst | Self::DeniedBurst | Self::SuccessAfterDenied => {
                Verdict::Escalates
            }
        }
    }
}

/// What a sequence means for the alarm that its record alone raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is worse than the record alone looked.
    Escalates,
    /// It is what usually happens, and the alarm can be closed.
    Settles,
}

impl Verdict {
    /// The name in documents and conditions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Escalates => "escalates",
            Self::Settles => "settles",
        }
    }
}
