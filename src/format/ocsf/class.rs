//! Classes and activities: what OCSF calls the call that a record is about.

use std::fmt::{self, Display, Formatter};

use crate::cloudtrail::record::Record;
use crate::config::OcsfClass;
use crate::format::text::{text, truth};

/// The class's number.
pub(super) const fn uid(class: OcsfClass) -> u16 {
    match class {
        OcsfClass::DetectionFinding => 2004,
        OcsfClass::ApiActivity => 6003,
        OcsfClass::AccountChange => 3001,
    }
}

/// The class's name.
pub(super) const fn name(class: OcsfClass) -> &'static str {
    match class {
        OcsfClass::DetectionFinding => "Detection Finding",
        OcsfClass::ApiActivity => "API Activity",
        OcsfClass::AccountChange => "Account Change",
    }
}

/// The number and the name of the class's category.
pub(super) const fn category(class: OcsfClass) -> (u8, &'static str) {
    match class {
        OcsfClass::DetectionFinding => (2, "Findings"),
        OcsfClass::ApiActivity => (6, "Application Activity"),
        OcsfClass::AccountChange => (3, "Identity & Access Management"),
    }
}

/// What was done, as a class numbers and names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Activity {
    class: OcsfClass,
    id: u8,
    caption: &'static str,
}

/// What a class has no number for.
const OTHER: (u8, &str) = (99, "Other");

/// How names of calls that change something begin, beyond those that create and delete.
const CHANGES: [&str; 18] = [
    "Add",
    "Associate",
    "Attach",
    "Change",
    "Deactivate",
    "Detach",
    "Disable",
    "Disassociate",
    "Enable",
    "Modify",
    "Put",
    "Remove",
    "Replace",
    "Reset",
    "Set",
    "Tag",
    "Untag",
    "Update",
];

impl Activity {
    /// The activity of a record's call; of a finding it is that the finding is made.
    pub(super) fn new(class: OcsfClass, record: &Record<'_>) -> Self {
        let whole = Some(&record.value);
        let call = text(whole, "eventName").unwrap_or_default();
        let reads = truth(whole, "readOnly") == Some(true);
        let (id, caption) = match class {
            OcsfClass::DetectionFinding => (1, "Create"),
            OcsfClass::ApiActivity => api(call, reads),
            OcsfClass::AccountChange => account(call, reads),
        };
        Self { class, id, caption }
    }

    /// The API Activity of a call of this name that changes something.
    pub(super) fn of_change(call: &str) -> Self {
        let class = OcsfClass::ApiActivity;
        let (id, caption) = api(call, false);
        Self { class, id, caption }
    }

    pub(super) const fn id(self) -> u8 {
        self.id
    }

    /// The activity's name; of one without a number the call's own, as OCSF wants it.
    pub(super) fn name(self, call: Option<&str>) -> &str {
        match call {
            Some(call) if self.id == OTHER.0 => call,
            _ => self.caption,
        }
    }

    /// Class and activity in one number.
    pub(super) const fn type_uid(self) -> u32 {
        uid(self.class) as u32 * 100 + self.id as u32
    }
}

/// Class and activity in one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TypeName(pub(super) Activity);

impl Display for TypeName {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Activity { class, caption, .. } = self.0;
        write!(out, "{}: {caption}", name(class))
    }
}

fn api(call: &str, reads: bool) -> (u8, &'static str) {
    if reads {
        (2, "Read")
    } else if call.starts_with("Create") {
        (1, "Create")
    } else if call.starts_with("Delete") {
        (4, "Delete")
    } else if CHANGES.iter().any(|word| call.starts_with(word)) {
        (3, "Update")
    } else {
        OTHER
    }
}

/// As OCSF's own mapping of CloudTrail has it, in which whatever is taken off an identity is a policy detached.
fn account(call: &str, reads: bool) -> (u8, &'static str) {
    let begins = |words: &[&str]| words.iter().any(|word| call.starts_with(word));
    if reads {
        return OTHER;
    }
    match call {
        "ChangePassword" => (3, "Password Change"),
        "UpdateLoginProfile" => (4, "Password Reset"),
        "EnableMFADevice" => (10, "MFA Factor Enable"),
        "DeactivateMFADevice" => (11, "MFA Factor Disable"),
        "DeleteRolePolicy" | "DeleteUserPolicy" | "DeleteGroupPolicy" => (8, "Detach Policy"),
        "PutRolePolicy" | "PutUserPolicy" | "PutGroupPolicy" => (7, "Attach Policy"),
        _ if begins(&["Remove", "Detach", "Disassociate"]) => (8, "Detach Policy"),
        _ if begins(&["Add", "Attach", "Associate", "Replace"]) => (7, "Attach Policy"),
        _ if begins(&["Create"]) => (1, "Create"),
        _ if begins(&["Delete"]) => (6, "Delete"),
        _ if begins(&["Enable"]) => (2, "Enable"),
        _ if begins(&["Disable", "Deactivate"]) => (5, "Disable"),
        _ => OTHER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn activity(class: OcsfClass, record: &str) -> (u32, String) {
        let record = Record::parse(record.as_bytes()).unwrap();
        let activity = Activity::new(class, &record);
        (activity.type_uid(), TypeName(activity).to_string())
    }

    #[test]
    fn calls_have_the_activity_that_their_names_say() {
        for (call, of_api, of_account) in [
            ("RemoveRoleFromInstanceProfile", 600_303, 300_108),
            ("AddRoleToInstanceProfile", 600_303, 300_107),
            ("CreateInstanceProfile", 600_301, 300_101),
            ("DeleteInstanceProfile", 600_304, 300_106),
            ("AssociateIamInstanceProfile", 600_303, 300_107),
            ("ReplaceIamInstanceProfileAssociation", 600_303, 300_107),
            ("DisassociateIamInstanceProfile", 600_303, 300_108),
            ("UpdateAssumeRolePolicy", 600_303, 300_199),
            ("PutRolePolicy", 600_303, 300_107),
            ("DeleteRolePolicy", 600_304, 300_108),
            ("DeactivateMFADevice", 600_303, 300_111),
            ("AssumeRole", 600_399, 300_199),
            ("", 600_399, 300_199),
        ] {
            let record = format!(r#"{{"eventName":"{call}","readOnly":false}}"#);
            let found = |class| activity(class, &record).0;
            assert_eq!(found(OcsfClass::ApiActivity), of_api, "{call}");
            assert_eq!(found(OcsfClass::AccountChange), of_account, "{call}");
            assert_eq!(found(OcsfClass::DetectionFinding), 200_401, "{call}");
        }
    }

    #[test]
    fn a_call_that_reads_changes_no_account() {
        let record = r#"{"eventName":"GetInstanceProfile","readOnly":"true"}"#;
        assert_eq!(
            activity(OcsfClass::ApiActivity, record),
            (600_302, "API Activity: Read".to_owned())
        );
        assert_eq!(
            activity(OcsfClass::AccountChange, record),
            (300_199, "Account Change: Other".to_owned())
        );
    }
}
