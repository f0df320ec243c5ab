//! One step of a sequence: the few things of a record that any sequence asks for.
//!
//! A step says all that its sequence needs, since whoever puts steps together may be another process than the one that saw
//! the record. As JSON it is what the topic of steps carries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::cloudtrail::envelope::{Envelope, RawRecord};
use crate::detection::Context;
use crate::model::{Origin, Outcome};

/// By what steps are put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupedBy {
    /// An instance profile of an account: what went out of it, and what came in.
    Profile,
    /// A principal, in the account whose trail it is: what it did, to whichever profile.
    Principal,
}

/// Those steps that can belong to one sequence. All of them lie in one partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Group {
    /// By what they are put together.
    pub by: GroupedBy,
    /// The account whose trail it is.
    pub account: String,
    /// The name of the profile, or of the principal.
    pub of: String,
}

impl Group {
    /// The Kafka key of the steps: unambiguous, whatever a name holds.
    #[must_use]
    pub fn key(&self) -> String {
        serde_json::json!([self.by, self.account, self.of]).to_string()
    }
}

/// Where a step's record came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSource {
    /// The topic, or the name of the file.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of its message.
    pub offset: i64,
    /// Its place within the message.
    pub index: u32,
}

/// A record as it came, with what is known of its journey: enough to make its document again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginalRecord {
    /// Its text, where it is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Its bytes, where it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    /// The name of the wrapper that it came in.
    envelope: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    envelope_time: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_time: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    custom: bool,
}

impl OriginalRecord {
    /// A record as it stands in its message.
    #[must_use]
    pub fn new(raw: &RawRecord<'_>, origin: &Origin<'_>) -> Self {
        let text = std::str::from_utf8(raw.json).ok().map(str::to_owned);
        Self {
            base64: text.is_none().then(|| STANDARD.encode(raw.json)),
            text,
            envelope: raw.envelope.as_str().to_owned(),
            envelope_time: raw.envelope_time,
            message_time: origin.timestamp,
            custom: raw.custom,
        }
    }

    /// Its bytes; none where they are not to be read.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.text, &self.base64) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(base64)) => STANDARD.decode(base64).ok(),
            (None, None) => None,
        }
    }

    /// How many bytes are kept for it, about.
    #[must_use]
    pub fn size(&self) -> usize {
        [&self.text, &self.base64]
            .into_iter()
            .flatten()
            .map(String::len)
            .sum()
    }

    /// The record again, as it stood in its message.
    #[must_use]
    pub fn raw<'a>(&self, bytes: &'a [u8], source: &StepSource) -> RawRecord<'a> {
        let mut envelopes = Envelope::ALL.into_iter();
        RawRecord {
            json: bytes,
            envelope: envelopes
                .find(|known| known.as_str() == self.envelope)
                .unwrap_or(Envelope::Embedded),
            index: source.index,
            envelope_time: self.envelope_time,
            custom: self.custom,
        }
    }

    /// Where its message came from.
    #[must_use]
    pub fn origin<'a>(&self, source: &'a StepSource) -> Origin<'a> {
        Origin {
            topic: &source.topic,
            partition: source.partition,
            offset: source.offset,
            timestamp: self.message_time,
        }
    }

    /// What bears on its facts.
    #[must_use]
    pub const fn context(&self) -> Context {
        Context {
            envelope_time: self.envelope_time,
            message_time: self.message_time,
        }
    }
}

/// One step of a sequence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it belongs together with.
    pub group: Group,
    /// The record's id, or the hash that stands for one: within the group, the same id is the same step.
    pub event_id: String,
    /// When the call was made, in milliseconds since the epoch: by this, and by nothing else, steps are in order.
    pub event_time: i64,
    /// When its message came to Kafka, or where it does not say, when the call was made: by this steps are forgotten.
    pub arrival: i64,
    /// The call.
    pub event_name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The instance profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Whether that role's name is one of those that grant much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privileged_role: Option<bool>,
    /// Who made the call, as the record says it: of a role, the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Who that is: of a role, the role; of a person through IAM Identity Center, the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The address of the caller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Whether the principal is on the allow list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_listed: bool,
    /// Whether an AWS service made the call by itself, or one that provisions made it on somebody's behalf.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub service: bool,
    /// Where the record came from.
    pub source: StepSource,
    /// The record itself, where a sequence can be about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<OriginalRecord>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_record_comes_back_byte_for_byte() {
        let origin = Origin {
            topic: "cloudtrail",
            partition: 3,
            offset: 42,
            timestamp: Some(7),
        };
        let source = StepSource {
            topic: "cloudtrail".to_owned(),
            partition: 3,
            offset: 42,
            index: 9,
        };
        for json in [
            b"{ \"a\" : 1.50 ,\n\"a\":\"\\u00e9\xc3\xa9\"}".as_slice(),
            b"{\"a\":\"\xe9\"}",
        ] {
            let raw = RawRecord {
                json,
                envelope: Envelope::S3File,
                index: 9,
                envelope_time: Some(5),
                custom: true,
            };
            let kept = OriginalRecord::new(&raw, &origin);
            let text = serde_json::to_string(&kept).unwrap();
            let kept: OriginalRecord = serde_json::from_str(&text).unwrap();
            let bytes = kept.bytes().unwrap();
            let again = kept.raw(&bytes, &source);
            assert_eq!(again.json, json);
            assert_eq!(
                (
                    again.envelope,
                    again.index,
                    again.envelope_time,
                    again.custom
                ),
                (Envelope::S3File, 9, Some(5), true)
            );
            assert_eq!(kept.origin(&source), origin);
        }
    }

    #[test]
    fn what_a_step_does_not_say_is_not_written() {
        let step = Step {
            group: Group {
                by: GroupedBy::Profile,
                account: "111122223333".to_owned(),
                of: "web".to_owned(),
            },
            event_id: "a".to_owned(),
            event_time: 1,
            arrival: 2,
            event_name: "DeleteInstanceProfile".to_owned(),
            outcome: Outcome::Success,
            profile: None,
            role: None,
            privileged_role: None,
            actor: None,
            principal: None,
            address: None,
            allow_listed: false,
            service: false,
            source: StepSource {
                topic: "t".to_owned(),
                partition: 0,
                offset: 0,
                index: 0,
            },
            record: None,
        };
        assert_eq!(
            serde_json::to_value(&step).unwrap(),
            json!({
                "group": {"by": "profile", "account": "111122223333", "of": "web"},
                "event_id": "a", "event_time": 1, "arrival": 2,
                "event_name": "DeleteInstanceProfile", "outcome": "success",
                "source": {"topic": "t", "partition": 0, "offset": 0, "index": 0},
            })
        );
        let text = serde_json::to_string(&step).unwrap();
        assert_eq!(serde_json::from_str::<Step>(&text).unwrap(), step);
        assert_eq!(step.group.key(), r#"["profile","111122223333","web"]"#);
    }
}
