//! Records at random: of ours, of other calls, and with values that nobody expects where something is expected.

use std::fmt::Write;

use arbitrary::{Result, Unstructured};
use serde_json::{Value, json};

/// The call that is looked for.
pub const NAME: &str = "RemoveRoleFromInstanceProfile";

/// The `eventID` of a record of ours, by its number.
#[must_use]
pub fn id(number: usize) -> String {
    format!("c8e1f0aa-0000-4000-8000-{number:012}")
}

/// Members that say something to facts, severity, remediation or formats, with values that do.
const MEMBERS: [(&str, &[&str]); 15] = [
    (
        "eventTime",
        &[
            r#""2026-01-05T18:46:26Z""#,
            r#""2026-13-45T99:00:00Z""#,
            "1767638786",
            r#""0000-01-01T00:00:00Z""#,
        ],
    ),
    (
        "awsRegion",
        &[r#""us-east-1""#, r#""cn-north-1""#, r#""us-gov-west-1""#],
    ),
    (
        "sourceIPAddress",
        &[
            r#""203.0.113.7""#,
            r#""::ffff:10.0.0.1""#,
            r#""cloudformation.amazonaws.com""#,
            r#""AWS Internal""#,
        ],
    ),
    (
        "userAgent",
        &[
            r#""aws-cli/2.15.0 Python/3.11.6""#,
            r#""Pacu/1.0""#,
            r#""Terraform/1.5 (+https://www.terraform.io)""#,
            r#""console.amazonaws.com""#,
        ],
    ),
    (
        "errorCode",
        &[
            r#""AccessDenied""#,
            r#""NoSuchEntityException""#,
            r#""Client.UnauthorizedOperation""#,
        ],
    ),
    (
        "errorMessage",
        &[
            r#""User: arn:aws:iam::111122223333:user/alice is not authorized to perform: iam:RemoveRoleFromInstanceProfile on resource: instance profile web-prod because no identity-based policy allows it""#,
            r#""Instance Profile web-prod cannot be found.""#,
        ],
    ),
    (
        "requestParameters",
        &[
            r#"{"instanceProfileName":"web-prod","roleName":"web-app"}"#,
            r#"{"instanceProfileName":"'; rm -rf / #","roleName":"\"\u0000\u2028$(x)"}"#,
            r#"{"roleName":"OrganizationAccountAccessRole"}"#,
        ],
    ),
    (
        "responseElements",
        &[
            "null",
            r#"{"_return":true}"#,
            r#"{"requestId":"0a1b2c3d-1111-2222-3333-444455556666"}"#,
        ],
    ),
    ("additionalEventData", &[r#"{"MFAUsed":"Yes"}"#, "null"]),
    (
        "recipientAccountId",
        &[r#""111122223333""#, r#""444455556666""#, "111122223333"],
    ),
    (
        "sessionCredentialFromConsole",
        &[r#""true""#, "true", "false"],
    ),
    ("vpcEndpointId", &[r#""vpce-0abc""#]),
    (
        "tlsDetails",
        &[
            r#"{"tlsVersion":"TLSv1.3","cipherSuite":"TLS_AES_128_GCM_SHA256","clientProvidedHostHeader":"iam.amazonaws.com"}"#,
        ],
    ),
    ("requestID", &[r#""0a1b2c3d-1111-2222-3333-444455556666""#]),
    (
        "eventCategory",
        &[r#""Management""#, r#""ActivityAuditLog""#],
    ),
];

const IDENTITIES: [&str; 7] = [
    r#"{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"}"#,
    r#"{"type":"Root","principalId":"111122223333","arn":"arn:aws:iam::111122223333:root","accountId":"111122223333","accessKeyId":""}"#,
    r#"{"type":"AssumedRole","principalId":"AROAEXAMPLE:i-0123456789abcdef0","arn":"arn:aws:sts::111122223333:assumed-role/web-app/i-0123456789abcdef0","accountId":"111122223333","accessKeyId":"ASIAIOSFODNN7EXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","arn":"arn:aws:iam::111122223333:role/web-app","accountId":"111122223333","userName":"web-app"},"attributes":{"mfaAuthenticated":"false","creationDate":"2026-01-05T18:00:00Z"},"ec2RoleDelivery":"2.0"}}"#,
    r#"{"type":"AWSService","invokedBy":"autoscaling.amazonaws.com"}"#,
    r#"{"type":"WebIdentityUser","principalId":"cognito:x","userName":"u","identityProvider":"accounts.google.com"}"#,
    r#"{"type":"IdentityCenterUser","accountId":"111122223333","onBehalfOf":{"userId":"u-1","identityStoreArn":"arn:aws:identitystore::111122223333:identitystore/d-1"}}"#,
    "null",
];

/// A record of ours. Its names and its id are as they should be, and it is whole; anything else may be anything.
pub fn ours(u: &mut Unstructured<'_>, number: usize) -> Result<String> {
    record(u, NAME, &id(number))
}

/// A record of another call, that may mention ours.
pub fn other(u: &mut Unstructured<'_>) -> Result<String> {
    let name = *u.choose(&[
        "ListRoles",
        "CreatePolicy",
        "removeRoleFromInstanceProfile",
        "AssumeRole",
    ])?;
    record(u, name, "c8e1f0aa-0000-4000-9000-000000000000")
}

fn record(u: &mut Unstructured<'_>, name: &str, id: &str) -> Result<String> {
    let mut members = vec![
        (r#""eventVersion""#.to_owned(), r#""1.09""#.to_owned()),
        (
            r#""userIdentity""#.to_owned(),
            (*u.choose(&IDENTITIES)?).to_owned(),
        ),
        (
            spelled(u, "eventSource")?,
            r#""iam.amazonaws.com""#.to_owned(),
        ),
        (spelled(u, "eventName")?, spelled(u, name)?),
        (spelled(u, "eventID")?, spelled(u, id)?),
    ];
    if u.ratio(1, 10)?
        && let Some(identity) = members.get_mut(1)
    {
        identity.1 = any_value(u)?;
    }
    for _ in 0..u.int_in_range(0..=8)? {
        let (key, values) = *u.choose(&MEMBERS)?;
        let value = if u.ratio(1, 4)? {
            any_value(u)?
        } else {
            (*u.choose(values)?).to_owned()
        };
        members.push((spelled(u, key)?, value));
    }
    if u.ratio(1, 8)? {
        let key = Value::from(any_text(u)?).to_string();
        members.push((key, any_value(u)?));
    }
    let turn = u.int_in_range(0..=members.len() - 1)?;
    members.rotate_left(turn);
    if u.ratio(1, 8)? {
        // Of duplicates the last one counts.
        members.insert(0, (r#""eventName""#.to_owned(), format!("\"{NAME}\"")));
        members.insert(0, (r#""eventID""#.to_owned(), r#""earlier""#.to_owned()));
    }
    let space = *u.choose(&["", "", " ", "\n  ", "\t"])?;
    let members: Vec<String> = members
        .into_iter()
        .map(|(key, value)| format!("{key}{space}:{space}{value}"))
        .collect();
    Ok(format!(
        "{{{space}{}{space}}}",
        members.join(&format!("{space},{space}"))
    ))
}

/// A text in quotes, some of whose letters may be spelled as escapes.
fn spelled(u: &mut Unstructured<'_>, text: &str) -> Result<String> {
    if !u.ratio(1, 12)? {
        return Ok(format!("\"{text}\""));
    }
    let mut spelled = "\"".to_owned();
    for letter in text.chars() {
        if u.ratio(1, 4)? {
            let _ = write!(spelled, "\\u{:04X}", u32::from(letter));
        } else {
            spelled.push(letter);
        }
    }
    spelled.push('"');
    Ok(spelled)
}

/// Any JSON, of an arbitrary type and shape.
pub fn any_value(u: &mut Unstructured<'_>) -> Result<String> {
    Ok(match u.int_in_range(0..=11)? {
        0 => "null".to_owned(),
        1 => u.arbitrary::<bool>()?.to_string(),
        2 => u.arbitrary::<i64>()?.to_string(),
        3 => "123456789012345678901234567890.5e-7".to_owned(),
        4 => "[]".to_owned(),
        5 => format!("[{},{}]", any_value(u)?, any_value(u)?),
        6 => {
            let (key, value) = (Value::from(any_text(u)?), any_value(u)?);
            format!("{{{key}:{value}}}")
        }
        7 => {
            // Around what the parser takes, with the record around it.
            let deep = u.int_in_range(1..=130)?;
            format!("{}{}", "[".repeat(deep), "]".repeat(deep))
        }
        8 => json!({"x".repeat(300): "y".repeat(3000)}).to_string(),
        _ => Value::from(any_text(u)?).to_string(),
    })
}

/// Any text: what means something somewhere, and what means nothing anywhere.
pub fn any_text(u: &mut Unstructured<'_>) -> Result<String> {
    const TEXTS: [&str; 16] = [
        "",
        "***",
        "HIDDEN_DUE_TO_SECURITY_REASONS",
        "arn:aws:iam::111122223333:role/x",
        "arn:::::",
        "::",
        "*",
        "$(reboot)",
        "'\"\\`\n\r\t\0",
        "\u{1b}[31m",
        "{{ role }}",
        "\u{2028}\u{feff}\u{202e}",
        "NaN",
        "true",
        "RemoveRoleFromInstanceProfile",
        "9999999999999999999999",
    ];
    if u.arbitrary()? {
        return Ok((*u.choose(&TEXTS)?).to_owned());
    }
    let length = u.int_in_range(0..=24)?;
    let bytes = u.bytes(length.min(u.len()))?;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
