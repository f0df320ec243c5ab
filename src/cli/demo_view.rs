//! A finding as a person likes to read it: five or six short lines. A native document comes in, text goes out; values
//! come from the log and are hostile, so nothing in them reaches the terminal as a control character.

use std::fmt::Write;

use serde_json::Value;

use super::terminal::{Colours, clean};

/// The widest line of a value, in characters; what is longer ends in an ellipsis.
const WIDTH: usize = 110;

/// Renders one native document, with colours for a terminal or without. What is no such document is said to be none.
#[must_use]
pub fn render(document: &[u8], colour: bool) -> String {
    let Ok(document) = serde_json::from_slice::<Value>(document) else {
        return format!("{} bytes that are no native document\n\n", document.len());
    };
    let colours = Colours(colour);
    let event = |pointer: &str| text(&document, &format!("/event{pointer}"));
    let ours = |pointer: &str| text(&document, &format!("/trailtag{pointer}"));

    let mut out = String::new();
    head(&document, colours, &mut out);
    row(&mut out, colours, "who", &who(&document));
    row(&mut out, colours, "what", &what(&document));
    let place = [
        ours("/target/account").or_else(|| event("/recipientAccountId")),
        event("/awsRegion"),
    ];
    let place: Vec<String> = place.into_iter().flatten().collect();
    let from = event("/sourceIPAddress").unwrap_or_else(|| "an unknown address".to_owned());
    let agent = event("/userAgent").map(|agent| format!(" with {}", program(&agent)));
    row(
        &mut out,
        colours,
        "where",
        &format!(
            "{}, from {from}{}",
            place.join(" "),
            agent.unwrap_or_default()
        ),
    );
    row(&mut out, colours, "why", &why(&document));
    if let Some(command) = command(&document) {
        row(&mut out, colours, "do", &colours.bold(&clean(&command)));
    }
    out.push('\n');
    out
}

/// The level, the score, what happened and when.
fn head(document: &Value, colours: Colours, out: &mut String) {
    let level = text(document, "/trailtag/severity/level").unwrap_or_else(|| "unknown".to_owned());
    let score = document
        .pointer("/trailtag/severity/score")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    let name = text(document, "/event/eventName").unwrap_or_else(|| "an event".to_owned());
    let outcome = match text(document, "/trailtag/outcome").as_deref() {
        Some("success") => " succeeded".to_owned(),
        Some("denied") => " was denied".to_owned(),
        Some("failed") => " failed".to_owned(),
        Some(other) => format!(": {other}"),
        None => String::new(),
    };
    let time = text(document, "/event/eventTime").unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{} {name}{outcome}  {}",
        colours.level(&level, &format!(" {} {score} ", level.to_uppercase())),
        colours.dim(&time)
    );
}

/// The principal, what kind it is, and its key.
fn who(document: &Value) -> String {
    let identity = |key: &str| text(document, &format!("/event/userIdentity/{key}"));
    let name = identity("arn")
        .or_else(|| identity("invokedBy"))
        .or_else(|| identity("principalId"))
        .unwrap_or_else(|| "unknown".to_owned());
    let mut notes: Vec<String> = identity("type").into_iter().collect();
    notes.extend(identity("accessKeyId").filter(|key| !key.is_empty()));
    notes.extend(identity("invokedBy").map(|service| format!("through {service}")));
    format!("{name} ({})", notes.join(", "))
}

/// The role and the profile, as far as they are known.
fn what(document: &Value) -> String {
    let target = |key: &str, parameter: &str| {
        text(document, &format!("/trailtag/target/{key}"))
            .or_else(|| text(document, &format!("/event/requestParameters/{parameter}")))
    };
    let role = target("role", "roleName");
    let profile = target("instance_profile", "instanceProfileName");
    let error = text(document, "/event/errorCode").map(|code| format!("  [{code}]"));
    format!(
        "{} out of {}{}",
        role.map_or_else(
            || "an unnamed role".to_owned(),
            |role| format!("role {role}")
        ),
        profile.map_or_else(
            || "an unnamed instance profile".to_owned(),
            |profile| format!("instance profile {profile}")
        ),
        error.unwrap_or_default()
    )
}

/// The factors, with points that add up.
fn why(document: &Value) -> String {
    let severity = |key: &str| document.pointer(&format!("/trailtag/severity/{key}"));
    let mut reasons: Vec<String> = severity("factors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|factor| {
            let id = text(factor, "/id").unwrap_or_default();
            match factor.get("points").and_then(Value::as_i64) {
                Some(points) if points != 0 => format!("{id} {points:+}"),
                _ => id,
            }
        })
        .collect();
    for bound in ["floor", "cap"] {
        if let Some(limit) = severity(bound).filter(|limit| limit.is_object()) {
            let factor = text(limit, "/factor").unwrap_or_default();
            let score = limit.get("score").and_then(Value::as_u64);
            reasons.push(format!("{bound} {} of {factor}", score.unwrap_or_default()));
        }
    }
    if reasons.is_empty() {
        "no factor applies".to_owned()
    } else {
        clean(&reasons.join(", "))
    }
}

/// The first command line of the first remediation that has one.
fn command(document: &Value) -> Option<String> {
    document
        .pointer("/trailtag/remediation")?
        .as_array()?
        .iter()
        .find_map(|item| first_text(item.get("cli").or_else(|| item.pointer("/steps/cli"))?))
}

fn first_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => items.iter().find_map(first_text),
        _ => None,
    }
}

/// The part of a user agent by which people know it.
fn program(agent: &str) -> &str {
    agent
        .split(' ')
        .find(|part| part.starts_with("Terraform/") || part.starts_with("aws-cli/"))
        .unwrap_or_else(|| {
            if agent.starts_with("Mozilla/") {
                "a browser"
            } else {
                agent.split(' ').next().unwrap_or(agent)
            }
        })
}

fn row(out: &mut String, colours: Colours, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(out, "  {} {value}", colours.dim(&format!("{name:<5}")));
}

/// A string of the document, fit for a terminal; none where it is missing or of another type.
fn text(document: &Value, pointer: &str) -> Option<String> {
    document
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(clean_short)
}

fn clean_short(text: &str) -> String {
    if text.chars().count() <= WIDTH {
        return clean(text);
    }
    let head: String = text.chars().take(WIDTH - 1).collect();
    clean(&head) + "…"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Value {
        json!({
            "event": {
                "eventVersion": "1.11",
                "userIdentity": {
                    "type": "IAMUser",
                    "arn": "arn:aws:iam::111122223333:user/ana.silva",
                    "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
                },
                "eventTime": "2026-01-05T00:00:12Z",
                "eventSource": "iam.amazonaws.com",
                "eventName": "RemoveRoleFromInstanceProfile",
                "awsRegion": "us-east-1",
                "sourceIPAddress": "198.51.100.7",
                "userAgent": "aws-cli/2.18.5 md/awscrt#0.22.0 ua/2.0",
                "requestParameters": {"roleName": "payments-web-prod-role", "instanceProfileName": "payments-web-prod-profile"},
                "recipientAccountId": "111122223333",
            },
            "trailtag": {
                "severity": {"level": "medium", "score": 45, "factors": [
                    {"id": "outcome.success", "points": 35},
                    {"id": "actor.long_lived_key", "points": 15},
                    {"id": "actor.known", "points": -5},
                ]},
                "outcome": "success",
                "target": {"instance_profile": "payments-web-prod-profile", "role": "payments-web-prod-role", "account": "111122223333"},
                "remediation": [
                    {"id": "restore", "cli": ["aws iam add-role-to-instance-profile --instance-profile-name payments-web-prod-profile --role-name payments-web-prod-role"]},
                ],
            },
        })
    }

    fn rendered(document: &Value, colour: bool) -> String {
        render(document.to_string().as_bytes(), colour)
    }

    #[test]
    fn a_finding_reads_well() {
        insta::assert_snapshot!(rendered(&document(), false), @r"
        [MEDIUM 45] RemoveRoleFromInstanceProfile succeeded  2026-01-05T00:00:12Z
          who   arn:aws:iam::111122223333:user/ana.silva (IAMUser, AKIAIOSFODNN7EXAMPLE)
          what  role payments-web-prod-role out of instance profile payments-web-prod-profile
          where 111122223333 us-east-1, from 198.51.100.7 with aws-cli/2.18.5
          why   outcome.success +35, actor.long_lived_key +15, actor.known -5
          do    aws iam add-role-to-instance-profile --instance-profile-name payments-web-prod-profile --role-name payments-web-prod-role
        ");
    }

    #[test]
    fn a_denied_call_without_parameters_says_what_is_unknown() {
        let mut document = document();
        document["event"]["requestParameters"] = Value::Null;
        document["event"]["errorCode"] = "AccessDenied".into();
        document["trailtag"]["target"] = json!({});
        document["trailtag"]["outcome"] = "denied".into();
        document["trailtag"]["severity"] = json!({"level": "low", "score": 25, "factors": [{"id": "outcome.denied", "points": 25}], "floor": {"factor": "actor.root", "score": 25}});
        document["trailtag"]["remediation"] = json!([]);
        insta::assert_snapshot!(rendered(&document, false), @r"
        [LOW 25] RemoveRoleFromInstanceProfile was denied  2026-01-05T00:00:12Z
          who   arn:aws:iam::111122223333:user/ana.silva (IAMUser, AKIAIOSFODNN7EXAMPLE)
          what  an unnamed role out of an unnamed instance profile  [AccessDenied]
          where 111122223333 us-east-1, from 198.51.100.7 with aws-cli/2.18.5
          why   outcome.denied +25, floor 25 of actor.root
        ");
    }

    #[test]
    fn colours_are_for_terminals_and_change_nothing_else() {
        let coloured = rendered(&document(), true);
        assert!(
            coloured.contains("\x1b[1;30;43m MEDIUM 45 \x1b[0m"),
            "{coloured}"
        );
        let mut bare = String::new();
        let mut rest = coloured.as_str();
        while let Some((text, code)) = rest.split_once('\x1b') {
            bare.push_str(text);
            rest = code.split_once('m').unwrap().1;
        }
        bare.push_str(rest);
        assert_eq!(
            bare.replace(" MEDIUM 45 ", "[MEDIUM 45]"),
            rendered(&document(), false)
        );
    }

    #[test]
    fn hostile_values_cannot_steer_the_terminal() {
        let mut document = document();
        document["event"]["userIdentity"]["arn"] = "\u{1b}[2J\u{202e}evil\r\n".into();
        document["trailtag"]["remediation"][0]["cli"] = "echo \u{1b}]0;title\u{7}".into();
        document["trailtag"]["severity"]["factors"][0]["id"] = "\u{9b}31m".into();
        let text = rendered(&document, false);
        assert!(text.contains(r"\u{1b}[2J\u{202e}evil\r\n"), "{text}");
        assert!(
            !text.chars().any(|c| c != '\n' && c.is_control()),
            "{text:?}"
        );
    }

    #[test]
    fn what_is_no_document_is_said_to_be_none() {
        assert_eq!(
            render(b"\xff", false),
            "1 bytes that are no native document\n\n"
        );
        assert!(render(b"{}", false).contains("an event"));
    }
}
