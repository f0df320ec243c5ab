//! A row of Athena's or Glue's table of CloudTrail, back to the record that it was made of.
//!
//! In: an object whose keys have no capitals, and whose objects may be texts of JSON. Out: the same with CloudTrail's keys
//! and with objects, written into a buffer. Values stay as they are, so a truth may be a text.

use super::otel::{AnyValueError, MOST_NESTED, Writer};
use crate::cloudtrail::scan::{self, Elements, Members, skip_value};
use crate::cloudtrail::text::{UnescapeError, string_inside, unescape};

/// CloudTrail's keys, in objects whose keys it chooses itself.
const KEYS: [&str; 56] = [
    "accessKeyId",
    "accountId",
    "addendum",
    "additionalEventData",
    "apiVersion",
    "arn",
    "assumedRoot",
    "attributes",
    "awsRegion",
    "cipherSuite",
    "clientProvidedHostHeader",
    "creationDate",
    "credentialId",
    "ec2RoleDelivery",
    "edgeDeviceDetails",
    "errorCode",
    "errorMessage",
    "eventCategory",
    "eventContext",
    "eventID",
    "eventName",
    "eventSource",
    "eventTime",
    "eventType",
    "eventVersion",
    "federatedProvider",
    "identityProvider",
    "identityStoreArn",
    "inScopeOf",
    "insightDetails",
    "invokedBy",
    "managementEvent",
    "mfaAuthenticated",
    "onBehalfOf",
    "principalId",
    "readOnly",
    "recipientAccountId",
    "requestID",
    "requestParameters",
    "resources",
    "responseElements",
    "serviceEventDetails",
    "sessionContext",
    "sessionCredentialFromConsole",
    "sessionIssuer",
    "sharedEventID",
    "sourceIdentity",
    "sourceIPAddress",
    "tlsDetails",
    "tlsVersion",
    "type",
    "userAgent",
    "userId",
    "userIdentity",
    "userName",
    "vpcEndpointId",
];

/// Those whose objects have keys of the service that was called, which are as they were.
const OF_SERVICES: [&str; 4] = [
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
];

/// Those that are objects, if they are not null.
const OBJECTS: [&str; 8] = [
    "userIdentity",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "tlsDetails",
    "addendum",
    "resources",
];

/// Writes the record that a row stands for, at most `limit` bytes in the buffer.
pub(super) fn write(row: &[u8], limit: usize, into: &mut Vec<u8>) -> Result<(), AnyValueError> {
    object(&mut Writer { limit, into }, row, 0)
}

fn object(writer: &mut Writer<'_>, object: &[u8], nested: usize) -> Result<(), AnyValueError> {
    if nested > MOST_NESTED {
        return Err(AnyValueError::Malformed);
    }
    let mut members = Members::new(object, 0);
    let mut before: &[u8] = b"{\"";
    while let Some(member) = members.next_member() {
        let known = KEYS
            .iter()
            .find(|key| key.as_bytes().eq_ignore_ascii_case(member.key));
        writer.put(before)?;
        writer.put(known.map_or(member.key, |key| key.as_bytes()))?;
        writer.put(b"\":")?;
        let end = member.end.map_err(|_| AnyValueError::Malformed)?;
        let inside = object.get(member.start..end).unwrap_or_default();
        value(writer, known.copied().unwrap_or_default(), inside, nested)?;
        before = b",\"";
    }
    members.end().map_err(|_| AnyValueError::Malformed)?;
    writer.put(if before == b"{\"" { b"{}" } else { b"}" })
}

fn value(
    writer: &mut Writer<'_>,
    key: &str,
    value: &[u8],
    nested: usize,
) -> Result<(), AnyValueError> {
    let is_of_service = OF_SERVICES.contains(&key);
    match value.first() {
        Some(b'{') if !is_of_service => object(writer, value, nested + 1),
        Some(b'[') if !is_of_service => list(writer, value, nested + 1),
        Some(b'"') if OBJECTS.contains(&key) => {
            let mut text = Vec::new();
            let inside = string_inside(value).unwrap_or_default();
            match unescape(inside, writer.limit, &mut text) {
                Ok(()) if is_json(&text) => self::value(writer, key, scan::trim(&text), nested),
                Err(UnescapeError::TooLong) => Err(AnyValueError::TooLong),
                _ => writer.put(value),
            }
        }
        _ => writer.put(value),
    }
}

fn list(writer: &mut Writer<'_>, list: &[u8], nested: usize) -> Result<(), AnyValueError> {
    writer.put(b"[")?;
    let mut elements = Elements::new(list, 0);
    let mut is_first = true;
    while let Some(start) = elements.begin().map_err(|_| AnyValueError::Malformed)? {
        let end = skip_value(list, start).map_err(|_| AnyValueError::Malformed)?;
        if !is_first {
            writer.put(b",")?;
        }
        is_first = false;
        value(writer, "", list.get(start..end).unwrap_or_default(), nested)?;
        elements.resume(end);
    }
    writer.put(b"]")
}

/// Whether a text is an object or a list, whole.
fn is_json(text: &[u8]) -> bool {
    let text = scan::trim(text);
    matches!(text, [b'{' | b'[', ..]) && super::walk::check_grammar(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(row: &str, limit: usize) -> Result<String, AnyValueError> {
        let mut out = Vec::new();
        write(row.as_bytes(), limit, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_row_becomes_the_record_that_it_was() {
        let row = r#"{"eventversion":"1.11","useridentity":"{\"type\":\"IAMUser\",\"accountid\":\"1\",\"sessioncontext\":{\"sessionissuer\":{\"username\":\"x\"}}}","eventname":"a","sourceipaddress":"192.0.2.1","readonly":"false","requestparameters":"{\"roleName\":\"web\",\"arn\":[1]}","responseelements":null,"resources":[{"accountid":"2"}],"tlsdetails":"none","year":"2026"}"#;
        let expected = r#"{"eventVersion":"1.11","userIdentity":{"type":"IAMUser","accountId":"1","sessionContext":{"sessionIssuer":{"userName":"x"}}},"eventName":"a","sourceIPAddress":"192.0.2.1","readOnly":"false","requestParameters":{"roleName":"web","arn":[1]},"responseElements":null,"resources":[{"accountId":"2"}],"tlsDetails":"none","year":"2026"}"#;
        assert_eq!(written(row, 1000).unwrap(), expected);
        assert!(matches!(written(row, 100), Err(AnyValueError::TooLong)));
        assert_eq!(written("{}", 10).unwrap(), "{}");
    }

    #[test]
    fn what_is_no_json_stays_a_text() {
        let row = r#"{"useridentity":"{type=Root, principalid=1}","requestparameters":"{"}"#;
        let expected = r#"{"userIdentity":"{type=Root, principalid=1}","requestParameters":"{"}"#;
        assert_eq!(written(row, 1000).unwrap(), expected);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(80), "}".repeat(80));
        assert_eq!(written(&deep, 1000), Err(AnyValueError::Malformed));
    }
}
