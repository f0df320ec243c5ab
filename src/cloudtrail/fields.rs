//! The names of a record's fields, and what those are called that people write in their place.
//!
//! A name goes in as somebody wrote it; the name of the field that was probably meant comes out, or none where the name
//! may be right. What CloudTrail writes below `requestParameters`, `responseElements` and the like is the services' own,
//! and any name at the top may be one that a collector added: neither is guessed at. It never looks at a record.

mod names;

use names::{AROUND, FOREIGN, KNOWN, OTHERS, WITH_PARTS};

/// How like a name at the top must be to another to be taken for a slip of the keyboard.
const LIKE: f64 = 0.85;

/// What is doubtful about a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It is called so in CloudTrail.
    Called(String),
    /// It is a name of this schema, and CloudTrail has no field for it.
    Of(&'static str),
}

/// What is doubtful about the name of a field, if anything is.
pub(crate) fn doubt(field: &str) -> Option<Doubt> {
    let lower = field.to_ascii_lowercase();
    // Other schemas have names below a field of the record too, such as `resources.uid`.
    let foreign = foreign(field, &lower);
    if let (None, Known::As(name)) = (&foreign, canonical(field)) {
        return (name != field).then_some(Doubt::Called(name));
    }
    let around = || {
        AROUND.iter().find_map(|around| {
            let rest = lower.strip_prefix(around)?;
            let rest = field.get(field.len() - rest.len()..)?;
            match canonical(rest) {
                Known::As(name) => Some(name),
                Known::Not => None,
            }
        })
    };
    let called = foreign
        .or_else(around)
        .or_else(|| run_together(field))
        .or_else(|| without_the_way(field))
        .or_else(|| slip(field));
    called.map(Doubt::Called).or_else(|| {
        let (_, schema) = OTHERS
            .iter()
            .find(|(beginning, _)| lower.starts_with(beginning))?;
        Some(Doubt::Of(schema))
    })
}

/// Whether a record may have a field of this name at the top: one of CloudTrail's own.
pub(crate) fn is_ours(field: &str) -> bool {
    let first = segments(field).next().unwrap_or_default();
    children("").contains(&first)
}

enum Known {
    /// The name as CloudTrail writes it.
    As(String),
    /// Its first part is no field of a record.
    Not,
}

/// The parts of a name, without selectors of members of a list.
fn segments(field: &str) -> impl Iterator<Item = &str> {
    field
        .split('.')
        .map(|part| part.split('[').next().unwrap_or(part))
}

fn children(of: &str) -> &'static [&'static str] {
    KNOWN
        .iter()
        .find(|(way, _)| *way == of)
        .map_or(&[], |(_, names)| names)
}

/// Letters alone: `source_ip_address` is `sourceIPAddress`.
fn letters(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// The same name in CloudTrail's letters, as far as its parts are known.
fn canonical(field: &str) -> Known {
    let mut way = String::new();
    let mut name = String::new();
    for (at, part) in field.split('.').enumerate() {
        let (bare, selector) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        let known = children(&way);
        let same = known.iter().find(|known| **known == bare).or_else(|| {
            let bare = letters(bare);
            known.iter().find(|known| letters(known) == bare)
        });
        if at == 0 && same.is_none() {
            return Known::Not;
        }
        let part = same.copied().unwrap_or(bare);
        for text in [&mut way, &mut name] {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(part);
        }
        name.push_str(selector);
    }
    Known::As(name)
}

/// The name of another schema, or of a field in it.
fn foreign(field: &str, lower: &str) -> Option<String> {
    FOREIGN.iter().find_map(|(theirs, ours)| {
        let rest = lower.strip_prefix(theirs)?;
        if rest.is_empty() {
            return Some((*ours).to_owned());
        }
        // Of what is one text in CloudTrail, others have parts.
        rest.starts_with('.')
            .then(|| match field.get(theirs.len()..) {
                Some(rest) if WITH_PARTS.contains(ours) => format!("{ours}{rest}"),
                _ => (*ours).to_owned(),
            })
    })
}

/// `UserIdentityArn` for `userIdentity.arn`.
fn run_together(field: &str) -> Option<String> {
    let wanted = letters(field);
    KNOWN
        .iter()
        .filter(|(way, _)| !way.is_empty())
        .find_map(|(way, names)| {
            let rest = wanted.strip_prefix(&letters(way))?;
            let name = names.iter().find(|name| letters(name) == rest)?;
            Some(format!("{way}.{name}"))
        })
}

/// `userName` for `userIdentity.userName`, and `sessionContext.…` for what is in `userIdentity`.
fn without_the_way(field: &str) -> Option<String> {
    const OWN: [&str; 7] = [
        "username",
        "arn",
        "accountid",
        "accesskeyid",
        "principalid",
        "invokedby",
        "sessioncontext",
    ];
    let first = letters(segments(field).next()?);
    if !OWN.contains(&first.as_str()) {
        return None;
    }
    match canonical(&format!("userIdentity.{field}")) {
        Known::As(name) => Some(name),
        Known::Not => None,
    }
}

/// `eventNmae` for `eventName`.
fn slip(field: &str) -> Option<String> {
    let (first, rest) = field
        .find(['.', '['])
        .map_or((field, ""), |at| field.split_at(at));
    let like = |known: &&str| {
        strsim::normalized_damerau_levenshtein(
            &first.to_ascii_lowercase(),
            &known.to_ascii_lowercase(),
        )
    };
    let nearest = children("")
        .iter()
        .map(|known| (like(known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    nearest
        .filter(|(likeness, _)| *likeness >= LIKE)
        .map(|(_, known)| format!("{known}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(field: &str) -> String {
        match doubt(field) {
            None => String::new(),
            Some(Doubt::Called(name)) => name,
            Some(Doubt::Of(schema)) => format!("! {schema}"),
        }
    }

    #[test]
    fn names_of_cloudtrail_and_names_that_may_be_anybodys_are_in_no_doubt() {
        for field in [
            "eventName",
            "userIdentity",
            "userIdentity.arn",
            "userIdentity.sessionContext.sessionIssuer.userName",
            "userIdentity.sessionContext.attributes.mfaAuthenticated",
            "userIdentity.session_name",
            "requestParameters",
            "requestParameters.EventName",
            "requestParameters.event.action",
            "responseElements.ConsoleLogin",
            "additionalEventData.MFAUsed",
            "serviceEventDetails.x.y",
            "resources.ARN",
            "resources[0].ARN",
            "tlsDetails.tlsVersion",
            "insightDetails.state",
            // As SigmaHQ's rules and collectors have them.
            "status",
            "tenant",
            "s3",
            "x",
            "tags",
        ] {
            assert_eq!(told(field), "", "{field}");
        }
    }

    #[test]
    fn other_letters_are_told_with_cloudtrails() {
        for (field, want) in [
            ("EventName", "eventName"),
            ("eventname", "eventName"),
            ("event_name", "eventName"),
            ("EVENTSOURCE", "eventSource"),
            ("sourceIpAddress", "sourceIPAddress"),
            ("source_ip_address", "sourceIPAddress"),
            ("eventId", "eventID"),
            ("requestId", "requestID"),
            ("userIdentity.Arn", "userIdentity.arn"),
            ("useridentity.ARN", "userIdentity.arn"),
            (
                "UserIdentity.SessionContext.SessionIssuer.UserName",
                "userIdentity.sessionContext.sessionIssuer.userName",
            ),
            ("RequestParameters.roleName", "requestParameters.roleName"),
            ("resources[0].arn", "resources[0].ARN"),
            ("resources.arn", "resources.ARN"),
            ("tlsDetails.TLSVersion", "tlsDetails.tlsVersion"),
            ("eventNmae", "eventName"),
            ("requestParameter.roleName", "requestParameters.roleName"),
        ] {
            assert_eq!(told(field), want, "{field}");
        }
    }

    #[test]
    fn names_of_other_schemas_are_told_with_cloudtrails() {
        for (field, want) in [
            ("event.action", "eventName"),
            ("Event.Action", "eventName"),
            ("event.provider", "eventSource"),
            ("event.category", "! ECS"),
            ("source.ip", "sourceIPAddress"),
            ("user_agent.original", "userAgent"),
            ("user.name", "userIdentity.userName"),
            ("cloud.account.id", "recipientAccountId"),
            ("cloud.region", "awsRegion"),
            ("aws.cloudtrail.user_identity.arn", "userIdentity.arn"),
            (
                "aws.cloudtrail.user_identity.session_context.session_issuer.arn",
                "userIdentity.sessionContext.sessionIssuer.arn",
            ),
            (
                "aws.cloudtrail.user_identity.session_context.mfa_authenticated",
                "userIdentity.sessionContext.attributes.mfaAuthenticated",
            ),
            ("aws.cloudtrail.event_type", "eventType"),
            ("aws.cloudtrail.error_code", "errorCode"),
            ("aws.cloudtrail.request_parameters", "requestParameters"),
            (
                "aws.cloudtrail.flattened.request_parameters.roleName",
                "requestParameters.roleName",
            ),
            (
                "aws.cloudtrail.console_login.additional_eventdata.mfa_used",
                "additionalEventData.MFAUsed",
            ),
            (
                "aws.cloudtrail.digest.start_time",
                "! Elastic's AWS integration",
            ),
            ("api.operation", "eventName"),
            ("api.request.data.roleName", "requestParameters.roleName"),
            ("api.service.name", "eventSource"),
            ("actor.user.type", "userIdentity.type"),
            ("actor.user.groups", "! OCSF"),
            ("src_endpoint.ip", "sourceIPAddress"),
            ("resources.uid", "resources.ARN"),
            ("data.aws.eventName", "eventName"),
            ("detail.userIdentity.arn", "userIdentity.arn"),
            ("@eventName", "eventName"),
            ("@timestamp", "eventTime"),
            ("UserIdentityArn", "userIdentity.arn"),
            ("user_identity_type", "userIdentity.type"),
            (
                "SessionIssuerUserName",
                "userIdentity.sessionContext.sessionIssuer.userName",
            ),
            ("userName", "userIdentity.userName"),
            (
                "sessionContext.sessionIssuer.arn",
                "userIdentity.sessionContext.sessionIssuer.arn",
            ),
            ("src_ip", "sourceIPAddress"),
        ] {
            assert_eq!(told(field), want, "{field}");
        }
    }

    #[test]
    fn what_is_meant_is_a_name_of_cloudtrails() {
        for (theirs, ours) in FOREIGN {
            assert_eq!(*theirs, theirs.to_ascii_lowercase());
            assert!(is_ours(ours), "{ours}");
            assert_eq!(told(ours), "", "{ours}");
        }
    }
}
