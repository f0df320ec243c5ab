//! Whether the call that a record is about went through, from `errorCode` and `errorMessage`, and for a sign-in from its
//! response.
//!
//! CloudTrail writes one error in several spellings: the exception's name (`NoSuchEntityException`), the wire code
//! (`NoSuchEntity`), and for EC2 a prefix (`Client.UnauthorizedOperation`). [`family`] takes them together.

use serde_json::Value;

use crate::cloudtrail::record::Record;
use crate::model::Outcome;

/// The error families that mean that the caller was not allowed to do it, beside all whose name has [`ACCESS_DENIED`] in it.
const DENIED: [&str; 6] = [
    "UnauthorizedOperation",
    "Unauthorized",
    "AuthFailure",
    "AuthorizationError",
    "NotAuthorized",
    "Forbidden",
];

/// Services put words around it: `VpceAccessDenied`, `KMS.AccessDeniedException`, `AccessDeniedFault`.
const ACCESS_DENIED: &str = "AccessDenied";

/// What AWS's texts say when the caller was not allowed, for records whose code is gone.
const DENIED_TEXT: &str = "is not authorized to perform";

/// An error code without the `Client.` or `Server.` before it and the `Exception` after it.
#[must_use]
pub fn family(code: &str) -> &str {
    let code = code.trim();
    let code = ["Client.", "Server."]
        .iter()
        .find_map(|prefix| strip_prefix_ignoring_case(code, prefix))
        .unwrap_or(code);
    strip_suffix_ignoring_case(code, "Exception").unwrap_or(code)
}

/// The outcome, and the family of the error where there is one.
///
/// An empty code means success, as some collectors write it, and so does the code `Success`; a message without a code means
/// failure, and so does a response that says it.
pub(super) fn from_record<'a>(record: &'a Record<'_>) -> (Outcome, Option<&'a str>) {
    let message = record.text(&["errorMessage"]).unwrap_or_default();
    let refused = message.contains(DENIED_TEXT);
    match record.at(&["errorCode"]) {
        Some(Value::String(code)) if !says_success(code) => {
            let family = family(code);
            let denied = is_denial(family);
            // A code that says nothing (a collector's mask) leaves the text to speak.
            let masked = super::facts::is_placeholder(code);
            if denied || (masked && refused) {
                (Outcome::Denied, Some(family))
            } else {
                (Outcome::Failed, Some(family))
            }
        }
        None | Some(Value::Null | Value::String(_)) => {
            if refused {
                (Outcome::Denied, None)
            } else if responds_failure(record) || !names_success(record) && has_message(record) {
                (Outcome::Failed, None)
            } else {
                (Outcome::Success, None)
            }
        }
        Some(_) => (Outcome::Failed, None),
    }
}

/// Whether there is nothing in a code, or the word that it went well.
fn says_success(code: &str) -> bool {
    let code = code.trim();
    code.is_empty() || code.eq_ignore_ascii_case("Success")
}

/// Whether the code is the word itself: what is beside it is no error then.
fn names_success(record: &Record<'_>) -> bool {
    let code = record.text(&["errorCode"]);
    code.is_some_and(|code| !code.trim().is_empty())
}

fn is_denial(family: &str) -> bool {
    // Few records have an error, so that the search costs nothing that counts.
    let mut parts = family.as_bytes().windows(ACCESS_DENIED.len());
    parts.any(|part| part.eq_ignore_ascii_case(ACCESS_DENIED.as_bytes()))
        // Any service may stand before it: `EC2.UnauthorizedOperation`.
        || family.rsplit('.').next().is_some_and(|last| {
            DENIED.iter().any(|name| name.eq_ignore_ascii_case(last))
        })
}

/// Whether the answer says that it went wrong, as only sign-ins do: `"responseElements": {"ConsoleLogin": "Failure"}`. A
/// failed sign-in of an unknown user has no error beside it. IAM Identity Center writes it to `serviceEventDetails`.
fn responds_failure(record: &Record<'_>) -> bool {
    let Some(name) = record.text(&["eventName"]) else {
        return false;
    };
    ["responseElements", "serviceEventDetails"]
        .iter()
        .filter_map(|part| record.text(&[part, name]))
        .any(|answer| answer.trim().eq_ignore_ascii_case("Failure"))
}

fn has_message(record: &Record<'_>) -> bool {
    match record.at(&["errorMessage"]) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.trim().is_empty(),
        Some(_) => true,
    }
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    (head.eq_ignore_ascii_case(prefix) && !tail.is_empty()).then_some(tail)
}

fn strip_suffix_ignoring_case<'a>(text: &'a str, suffix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(text.len().checked_sub(suffix.len())?)?;
    (tail.eq_ignore_ascii_case(suffix) && !head.is_empty()).then_some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outcome(errors: &Value) -> (Outcome, Option<String>) {
        let text = errors.to_string();
        let record = Record::parse(text.as_bytes()).unwrap();
        let (outcome, family) = from_record(&record);
        (outcome, family.map(str::to_owned))
    }

    #[test]
    fn codes_are_taken_together_by_family() {
        for (code, want, family) in [
            ("AccessDenied", Outcome::Denied, "AccessDenied"),
            ("AccessDeniedException", Outcome::Denied, "AccessDenied"),
            ("accessdenied", Outcome::Denied, "accessdenied"),
            ("ACCESSDENIEDEXCEPTION", Outcome::Denied, "ACCESSDENIED"),
            (
                "Client.UnauthorizedOperation",
                Outcome::Denied,
                "UnauthorizedOperation",
            ),
            (
                "UnauthorizedOperation",
                Outcome::Denied,
                "UnauthorizedOperation",
            ),
            (
                "client.unauthorizedoperation",
                Outcome::Denied,
                "unauthorizedoperation",
            ),
            ("Client.AuthFailure", Outcome::Denied, "AuthFailure"),
            ("AuthFailure", Outcome::Denied, "AuthFailure"),
            (
                "EC2.UnauthorizedOperation",
                Outcome::Denied,
                "EC2.UnauthorizedOperation",
            ),
            ("NotAuthorizedException", Outcome::Denied, "NotAuthorized"),
            ("NoSuchEntityException", Outcome::Failed, "NoSuchEntity"),
            ("NoSuchEntity", Outcome::Failed, "NoSuchEntity"),
            (
                "UnmodifiableEntityException",
                Outcome::Failed,
                "UnmodifiableEntity",
            ),
            ("LimitExceededException", Outcome::Failed, "LimitExceeded"),
            ("ServiceFailureException", Outcome::Failed, "ServiceFailure"),
            ("Server.InternalError", Outcome::Failed, "InternalError"),
            ("ThrottlingException", Outcome::Failed, "Throttling"),
            ("Client.DryRunOperation", Outcome::Failed, "DryRunOperation"),
            ("Client.", Outcome::Failed, "Client."),
            ("Exception", Outcome::Failed, "Exception"),
            ("é", Outcome::Failed, "é"),
        ] {
            assert_eq!(
                outcome(&json!({"errorCode": code})),
                (want, Some(family.to_owned())),
                "{code}"
            );
        }
    }

    #[test]
    fn no_code_an_empty_code_and_a_null_code_mean_success() {
        for errors in [
            json!({}),
            json!({"errorCode": ""}),
            json!({"errorCode": " "}),
            json!({"errorCode": null, "errorMessage": null}),
            json!({"errorCode": "", "errorMessage": ""}),
            json!({"errorCode": "Success"}),
            json!({"errorCode": "Success", "errorMessage": "ok"}),
        ] {
            assert_eq!(outcome(&errors), (Outcome::Success, None), "{errors}");
        }
    }

    #[test]
    fn access_is_denied_whatever_a_service_writes_around_it() {
        for code in [
            "VpceAccessDenied",
            "AccessDeniedFault",
            "KMS.AccessDeniedException",
            "KMSAccessDeniedException",
            "AccessDeniedForDependencyException",
            "vpceaccessdenied",
        ] {
            let (want, _) = outcome(&json!({"errorCode": code}));
            assert_eq!(want, Outcome::Denied, "{code}");
        }
        for code in ["AccessDenie", "AccessPointNotFound", "InvalidAccess"] {
            let (want, _) = outcome(&json!({"errorCode": code}));
            assert_eq!(want, Outcome::Failed, "{code}");
        }
    }

    #[test]
    fn a_sign_in_says_in_its_answer_that_it_failed() {
        for (record, want) in [
            (
                json!({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Failure"}}),
                Outcome::Failed,
            ),
            (
                json!({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": "Success"}}),
                Outcome::Success,
            ),
            (
                json!({"eventName": "SwitchRole", "responseElements": {"SwitchRole": "failure"}}),
                Outcome::Failed,
            ),
            (
                json!({"eventName": "CredentialVerification", "responseElements": null,
                    "serviceEventDetails": {"CredentialVerification": "Failure"}}),
                Outcome::Failed,
            ),
            // What is said of something else does not count.
            (
                json!({"eventName": "CreateUser", "responseElements": {"ConsoleLogin": "Failure"}}),
                Outcome::Success,
            ),
            (
                json!({"eventName": "ConsoleLogin", "responseElements": {"ConsoleLogin": ["Failure"]}}),
                Outcome::Success,
            ),
        ] {
            assert_eq!(outcome(&record), (want, None), "{record}");
        }
    }

    #[test]
    fn a_message_alone_means_failure() {
        assert_eq!(
            outcome(&json!({"errorMessage": "Rate exceeded"})).0,
            Outcome::Failed
        );
        assert_eq!(
            outcome(&json!({"errorMessage": "User: x is not authorized to perform: y"})).0,
            Outcome::Denied
        );
        assert_eq!(
            outcome(
                &json!({"errorCode": "***", "errorMessage": "x is not authorized to perform: y"})
            )
            .0,
            Outcome::Denied
        );
        assert_eq!(outcome(&json!({"errorCode": 403})).0, Outcome::Failed);
        assert_eq!(
            outcome(&json!({"errorMessage": {"a": 1}})).0,
            Outcome::Failed
        );
    }
}
