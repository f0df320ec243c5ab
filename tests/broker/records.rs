//! Records for the tests, each told apart by its number.

use std::collections::BTreeMap;

use super::support::Message;

/// A RemoveRoleFromInstanceProfile record with this number as its id.
pub(crate) fn ours(number: usize) -> Vec<u8> {
    ours_with_agent(number, "aws-cli/2.15.0")
}

/// The same, with a user agent that makes it as large as a test wants.
pub(crate) fn ours_with_agent(number: usize, agent: &str) -> Vec<u8> {
    record(number, "RemoveRoleFromInstanceProfile", agent)
}

/// A record of another event.
pub(crate) fn other(number: usize) -> Vec<u8> {
    record(number, "ListInstanceProfiles", "aws-cli/2.15.0")
}

fn record(number: usize, name: &str, agent: &str) -> Vec<u8> {
    format!(
        r#"{{"eventVersion":"1.09","userIdentity":{{"type":"IAMUser","principalId":"AIDACKCEVSQ6C2EXAMPLE","arn":"arn:aws:iam::111122223333:user/alice","accountId":"111122223333","accessKeyId":"AKIAIOSFODNN7EXAMPLE","userName":"alice"}},"eventTime":"2026-01-05T18:46:26Z","eventSource":"iam.amazonaws.com","eventName":"{name}","awsRegion":"us-east-1","sourceIPAddress":"203.0.113.7","userAgent":"{agent}","requestParameters":{{"instanceProfileName":"web-prod","roleName":"web-app"}},"responseElements":null,"requestID":"r-{number}","eventID":"e-{number}","readOnly":false,"eventType":"AwsApiCall","managementEvent":true,"recipientAccountId":"111122223333","eventCategory":"Management"}}"#
    )
    .into_bytes()
}

/// How often each number was delivered.
pub(crate) fn counts(messages: &[Message]) -> BTreeMap<usize, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        let key = std::str::from_utf8(message.key.as_deref().unwrap()).unwrap();
        let number = key.strip_prefix("e-").unwrap().parse().unwrap();
        *counts.entry(number).or_default() += 1;
    }
    counts
}

/// What differs from "each of `expected` once", in few words; nothing when nothing does.
pub(crate) fn differences(
    messages: &[Message],
    expected: impl Iterator<Item = usize>,
) -> Option<String> {
    let counts = counts(messages);
    let expected: Vec<usize> = expected.collect();
    let missing: Vec<_> = expected
        .iter()
        .filter(|number| !counts.contains_key(number))
        .collect();
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count > 1).collect();
    let strange = counts
        .keys()
        .filter(|number| !expected.contains(number))
        .count();
    (!missing.is_empty() || !doubled.is_empty() || strange > 0).then(|| {
        format!(
            "{} of {} missing ({:?} …), {} doubled ({:?} …), {strange} strange",
            missing.len(),
            expected.len(),
            missing.iter().take(5).collect::<Vec<_>>(),
            doubled.len(),
            doubled.iter().take(5).collect::<Vec<_>>()
        )
    })
}

/// Letters that do not compress: what counts at the broker is the compressed size.
pub(crate) fn noise(letters: usize) -> String {
    let mut state = 1_u64;
    let letter = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        char::from(b'#' + u8::try_from((state >> 33) % 56).unwrap())
    };
    (0..letters).map(letter).collect()
}
