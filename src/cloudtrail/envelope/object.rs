//! One JSON object: the members that tell forms apart, collected in one walk that builds nothing.
//!
//! In: a text and where an object opens in it. Out: where it ends, its known members as slices, and what breaks it.

use crate::cloudtrail::scan::{JsonFault, Members};
use crate::cloudtrail::text::{self, ShortText, text_is};

/// Declares the known keys once, by the length of their text: most keys of a record tell nothing, and are passed over
/// after a comparison or two.
macro_rules! known_members {
    ($($length:literal: { $($field:ident = $key:literal,)+ })+) => {
        /// The values of the keys that tell forms apart, as they stand in the text; of duplicate keys the last one.
        #[derive(Debug, Default)]
        pub(super) struct Known<'a> {
            $($(pub(super) $field: Option<&'a [u8]>,)+)+
        }

        impl<'a> Known<'a> {
            /// The place of a key; none for one that tells nothing.
            #[inline]
            fn slot(&mut self, key: &[u8]) -> Option<&mut Option<&'a [u8]>> {
                match key.len() {
                    $($length => $(if key == $key { Some(&mut self.$field) } else)+ { None },)+
                    _ => None,
                }
            }
        }

        #[cfg(test)]
        const KEYS: &[(usize, &[u8])] = &[$($(($length, $key),)+)+];
    };
}

known_members! {
    3: { sns = b"Sns", aws = b"aws", log = b"log", tag = b"tag", msg = b"msg", }
    4: { kind = b"Type", data = b"data", date = b"date", time = b"time", body = b"body",
         kinesis_data = b"Data", hits = b"hits", }
    5: { test_event = b"Event", event = b"event", agent = b"agent", input = b"input", value = b"value",
         after = b"after", }
    6: { looked_up = b"Events", detail = b"detail", schema = b"schema",
         stream = b"stream", fields = b"fields", sent_detail = b"Detail", record = b"record",
         raw_msg = b"rawmsg", }
    7: { hit = b"_source", s3_records = b"Records", records = b"records", sns_message = b"Message", message = b"message", awslogs = b"awslogs",
         kinesis = b"kinesis", payload = b"payload", }
    8: { s3_bucket = b"s3Bucket", record_id = b"recordId", version = b"@version", metadata = b"metadata",
         raw_data = b"raw_data", }
    9: { event_name = b"eventName", event_time = b"eventTime", event_type = b"eventType",
         event_data = b"eventData", log_events = b"logEvents", scope_logs = b"scopeLogs",
         timestamp = b"timestamp", beat = b"@metadata", class_uid = b"class_uid",
         event_json = b"eventJson", event_name_column = b"eventname", syslog_tag = b"syslogtag", }
    10: { log_records = b"logRecords", at_timestamp = b"@timestamp", kubernetes = b"kubernetes",
          sourcetype = b"sourcetype", }
    11: { event_source = b"eventSource", s3_object_key = b"s3ObjectKey", sns_source = b"EventSource",
          detail_type = b"detail-type", message_type = b"messageType", source_type = b"source_type",
          specversion = b"specversion", data_base64 = b"data_base64", }
    12: { event_version = b"eventVersion", user_identity = b"userIdentity", resource_logs = b"resourceLogs",
          nanoseconds = b"timeUnixNano", full_message = b"full_message", }
    13: { event_category = b"eventCategory", short_message = b"short_message", }
    14: { insight_details = b"insightDetails", digest_object = b"digestS3Object", }
    15: { digest_start = b"digestStartTime", looked_up_event = b"CloudTrailEvent", }
}

/// One object's text and its known members.
#[derive(Debug)]
pub(super) struct Object<'a> {
    /// From the opening brace past the closing one; to the end of the text if the object is broken.
    pub(super) json: &'a [u8],
    /// Where the object ends in the text that was walked; where its last whole member does if it is broken.
    pub(super) end: usize,
    /// How much of the object's text is whole.
    pub(super) whole: usize,
    /// What breaks it.
    pub(super) fault: Option<JsonFault>,
    pub(super) known: Known<'a>,
    /// It has a version 1 and an identity (in any of the duplicates): a record, whatever else it has.
    pub(super) is_record: bool,
}

impl<'a> Object<'a> {
    /// Walks the object whose brace opens at `start`.
    pub(super) fn walk(text: &'a [u8], start: usize) -> Self {
        let mut known = Known::default();
        let mut has_version = false;
        let mut end = start + 1;
        let mut members = Members::new(text, start);
        while let Some(member) = members.next_member() {
            let short;
            let key = if member.escaped {
                short = ShortText::decode(member.key);
                short.bytes()
            } else {
                member.key
            };
            let value = match member.end {
                Ok(value_end) => {
                    end = value_end;
                    text.get(member.start..value_end)
                }
                // A list that is cut still has the elements before the cut.
                Err(_) if text.get(member.start) == Some(&b'[') => text.get(member.start..),
                Err(_) => None,
            };
            if let (Some(slot), Some(value)) = (known.slot(key), value) {
                *slot = Some(value);
                if key == b"eventVersion" {
                    has_version |= is_version_1(value);
                }
            }
        }
        let fault = match members.end() {
            Ok(closed) => {
                end = closed;
                None
            }
            Err(fault) => Some(fault),
        };
        let until = if fault.is_some() { text.len() } else { end };
        Self {
            json: text.get(start..until).unwrap_or_default(),
            end,
            whole: end - start,
            fault,
            is_record: has_version && known.user_identity.is_some(),
            known,
        }
    }

    /// The first keys, for a person who wonders what this is.
    pub(super) fn keys(&self) -> String {
        let mut members = Members::new(self.json, 0);
        let mut keys = Vec::new();
        while let Some(member) = members.next_member() {
            let plain = member.key.len() <= 40 && member.key.iter().all(u8::is_ascii_graphic);
            keys.push(if plain {
                String::from_utf8_lossy(member.key)
            } else {
                "?".into()
            });
            if keys.len() == 6 {
                break;
            }
        }
        keys.join(", ")
    }
}

/// The value of a member of an object that is a value itself; of duplicate keys the last one.
pub(super) fn member<'a>(value: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let mut members = Members::new(value, 0);
    let mut found = None;
    while let Some(member) = members.next_member() {
        let same = if member.escaped {
            ShortText::decode(member.key).bytes() == key
        } else {
            member.key == key
        };
        if same {
            found = value.get(member.start..member.end.ok()?);
        }
    }
    found
}

/// Whether a value is a version 1 of something: a minor version that is not known yet is no reason to refuse.
pub(super) fn is_version_1(value: &[u8]) -> bool {
    text::text_starts_with(value, b"1.") || text_is(value, b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_under_its_length() {
        for (length, key) in KEYS {
            assert_eq!(*length, key.len());
            assert!(Known::default().slot(key).is_some());
        }
    }
}
