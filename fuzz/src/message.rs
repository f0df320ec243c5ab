//! Messages at random: records in lists, carriers and layers, one in another, some of them spoilt.
//!
//! Bytes that decide go in; a [`Message`] comes out, which knows which records of ours must be found in it: those that went
//! in whole, and that nothing which was spoilt can have swallowed.

use std::fmt::Write as _;
use std::io::Write as _;

use arbitrary::{Result, Unstructured};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde_json::{Value, json};
use trailtag::cloudtrail::scan::begins_as_json;

use super::record;

/// A message, or a part of one.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The numbers of the records of ours that must be found in it, or explained by a dead letter.
    pub sure: Vec<usize>,
    /// Everything in it can be read.
    pub is_clean: bool,
    /// At most so many layers lie around one another.
    pub depth: usize,
    /// At most so many bytes count against the limit on decoded bytes.
    pub decoded: usize,
    kind: Kind,
    /// It cannot change what the text around it means.
    is_closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A JSON object, array or string.
    Json,
    /// Several objects, one after another.
    Lines,
    /// Base64.
    Base64,
    /// Not a text.
    Binary,
}

impl Message {
    fn leaf(text: String) -> Self {
        Self {
            bytes: text.into_bytes(),
            sure: Vec::new(),
            is_clean: true,
            // An empty list of records is a layer, too.
            depth: 1,
            decoded: 0,
            kind: Kind::Json,
            is_closed: true,
        }
    }

    /// The same in a layer or carrier that what is inside cannot break out of.
    fn within(self, bytes: Vec<u8>, kind: Kind, layers: usize) -> Self {
        let decoded = self.decoded + self.bytes.len() + (2 * bytes.len()).max(4096);
        Self {
            bytes,
            depth: self.depth + layers,
            decoded,
            kind,
            is_closed: true,
            ..self
        }
    }

    /// The same with a carrier's text around it: that may be a list, what is in it, and a carrier in that.
    fn between(self, before: &str, after: &str) -> Self {
        let bytes = [before.as_bytes(), &self.bytes, after.as_bytes()].concat();
        Self {
            bytes,
            depth: self.depth + 3,
            ..self
        }
    }

    fn text(&self) -> Option<&str> {
        (self.kind != Kind::Binary)
            .then(|| std::str::from_utf8(&self.bytes).ok())
            .flatten()
    }

    /// As a JSON value within a carrier that takes JSON as it is, as a string, or as a string of base64.
    fn value(self, u: &mut Unstructured<'_>) -> Result<Self> {
        if self.kind == Kind::Json && u.arbitrary()? {
            return Ok(self);
        }
        let coded = match self.text() {
            Some(text) => quoted(text, u.arbitrary()?),
            None if is_told_in_base64(&self.bytes) => {
                Value::from(STANDARD.encode(&self.bytes)).to_string()
            }
            None => return Ok(self.in_kinesis()),
        };
        Ok(self.within(coded.into_bytes(), Kind::Json, 2))
    }

    /// In a carrier that takes base64 of anything.
    fn in_kinesis(self) -> Self {
        let (before, after) = CODED_CARRIERS[0];
        self.coded().between(before, after)
    }

    /// As a JSON string of base64.
    fn coded(self) -> Self {
        let coded = Value::from(STANDARD.encode(&self.bytes)).to_string();
        self.within(coded.into_bytes(), Kind::Json, 1)
    }
}

/// Whether base64 of this is told from a word where nothing says that it is some: base64 of base64 is not, nor is that of a
/// schema registry's framing.
fn is_told_in_base64(bytes: &[u8]) -> bool {
    let known: [&[u8]; 5] = [
        b"\x1f\x8b",
        b"\x28\xb5\x2f\xfd",
        b"\x04\x22\x4d\x18",
        b"\xff\x06\0\0sNaPpY",
        b"\xef\xbb\xbf",
    ];
    begins_as_json(bytes) || known.iter().any(|magic| bytes.starts_with(magic))
}

/// A JSON string; every letter that is not a plain one is an escape, where it is asked for.
fn quoted(text: &str, is_ascii: bool) -> String {
    let quoted = Value::from(text).to_string();
    if !is_ascii {
        return quoted;
    }
    let mut units = [0; 2];
    let mut ascii = String::new();
    for letter in quoted.chars() {
        if letter.is_ascii() {
            ascii.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                let _ = write!(ascii, "\\u{unit:04x}");
            }
        }
    }
    ascii.replace('/', r"\/").replace('<', "\\u003c")
}

/// Makes a message.
pub fn any(u: &mut Unstructured<'_>) -> Result<Message> {
    let mut records = 0;
    let depth = u.int_in_range(0..=5)?;
    Builder {
        records: &mut records,
        may_spoil: u.arbitrary()?,
    }
    .part(u, depth)
}

struct Builder<'a> {
    /// How many records of ours there are so far.
    records: &'a mut usize,
    may_spoil: bool,
}

impl Builder<'_> {
    fn part(&mut self, u: &mut Unstructured<'_>, depth: usize) -> Result<Message> {
        if depth == 0 || u.is_empty() {
            return self.leaf(u);
        }
        let mut part = match u.int_in_range(0..=7)? {
            0 => self.leaf(u)?,
            1 | 2 => {
                let inner = self.part(u, depth - 1)?;
                layer(u, inner)?
            }
            3 | 4 => {
                let inner = self.part(u, depth - 1)?;
                carrier(u, inner)?
            }
            5 => self.lines(u, depth - 1)?,
            _ => self.list(u, depth - 1)?,
        };
        if self.may_spoil && u.ratio(1, 6)? {
            spoil(u, &mut part)?;
        }
        Ok(part)
    }

    fn leaf(&mut self, u: &mut Unstructured<'_>) -> Result<Message> {
        Ok(match u.int_in_range(0..=9)? {
            0..=4 => {
                *self.records += 1;
                let mut part = Message::leaf(record::ours(u, *self.records)?);
                part.sure.push(*self.records);
                // Its values may be nested deeper than the parser goes.
                part.is_clean = part.bytes.windows(40).all(|some| some != [b'['; 40]);
                part
            }
            5 | 6 => {
                let mut part = Message::leaf(record::other(u)?);
                part.is_clean = part.bytes.windows(40).all(|some| some != [b'['; 40]);
                part
            }
            7 => Message::leaf((*u.choose(&SKIPPED)?).to_owned()),
            8 if self.may_spoil => {
                let mut part = Message::leaf((*u.choose(&UNREADABLE)?).to_owned());
                part.is_clean = false;
                part
            }
            9 if self.may_spoil => {
                let mut part = Message::leaf(record::any_value(u)?);
                // A list that begins with a number looks like a line of another log.
                (part.is_clean, part.is_closed) = (false, false);
                part
            }
            _ => Message::leaf(r#"{"Records":[]}"#.to_owned()),
        })
    }

    /// Parts one after another, with the texts before, between and after them.
    fn several(
        &mut self,
        u: &mut Unstructured<'_>,
        depth: usize,
        around: [&str; 3],
        must_be: impl Fn(&Message) -> bool,
    ) -> Result<Message> {
        let mut whole = Message::leaf(around[0].to_owned());
        let mut is_first = true;
        for _ in 0..u.int_in_range(1..=5)? {
            let mut part = self.part(u, depth)?;
            if !must_be(&part) {
                // What is no JSON goes in some.
                part = part.in_kinesis();
            }
            if !is_first {
                whole.bytes.extend_from_slice(around[1].as_bytes());
            }
            is_first = false;
            whole.bytes.extend_from_slice(&part.bytes);
            whole.sure.append(&mut part.sure);
            whole.is_clean &= part.is_clean;
            whole.is_closed &= part.is_closed;
            whole.depth = whole.depth.max(part.depth);
            whole.decoded += part.decoded;
        }
        whole.bytes.extend_from_slice(around[2].as_bytes());
        if !whole.is_closed {
            // What is spoilt may have swallowed what stands beside it.
            whole.sure.clear();
        }
        Ok(whole)
    }

    fn list(&mut self, u: &mut Unstructured<'_>, depth: usize) -> Result<Message> {
        let around = *u.choose(&[
            ["[", ",", "]"],
            ["[\n", " ,\n", "]\n"],
            [r#"{"Records":["#, ",", "]}"],
            [r#"{ "x":{}, "Records" : [ "#, " , ", r#"],"more":[1,"]"]}"#],
            [r#"{"Events":["#, ",", "]}"],
        ])?;
        let mut list = self.several(u, depth, around, |part| part.kind == Kind::Json)?;
        list.depth += 1;
        Ok(list)
    }

    fn lines(&mut self, u: &mut Unstructured<'_>, depth: usize) -> Result<Message> {
        let between = *u.choose(&["", "\n", "\r\n", " "])?;
        let mut lines = self.several(u, depth, ["", between, "\n"], |part| {
            part.kind == Kind::Json && part.bytes.starts_with(b"{")
        })?;
        lines.kind = Kind::Lines;
        Ok(lines)
    }
}

/// Valid, and no record.
const SKIPPED: [&str; 6] = [
    r#"{"awsAccountId":"111122223333","digestStartTime":"t","digestS3Object":"o","logFiles":[]}"#,
    r#"{"eventVersion":"1.08","eventType":"AwsCloudTrailInsight","eventName":"a","eventSource":"b","insightDetails":{}}"#,
    r#"{"s3Bucket":"b","s3ObjectKey":["AWSLogs/1.json.gz"]}"#,
    r#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#,
    r#"{"detail-type":"EC2 Instance State-change Notification","detail":{}}"#,
    r#"{"@timestamp":"2026-01-05T18:46:26Z","agent":{},"message":"GET / 200"}"#,
];

/// Whole as JSON, and of no use.
const UNREADABLE: [&str; 6] = [
    "{}",
    r#"{"a":1,"b":{"c":[]}}"#,
    r#"{"@timestamp":"t","event":{"action":"x"},"aws":{"cloudtrail":{}}}"#,
    r#"{"eventVersion":"1.09","userIdentity":{"type":"Root"},"eventName":"RemoveRoleFromInstanceProfile","eventSource":"iam.amazonaws.com","x":tru}"#,
    r#"{"eventVersion":"1.09","userIdentity":{},"eventName":"\ud800RemoveRoleFromInstanceProfile","eventSource":"iam.amazonaws.com"}"#,
    r#"{"awslogs":{"data":"H4sIAAAAAAAA/wMAAAAAAAAAAAA="}}"#,
];

/// One more layer of bytes.
fn layer(u: &mut Unstructured<'_>, part: Message) -> Result<Message> {
    let inner = part.bytes.as_slice();
    let is_json = part.kind == Kind::Json && inner.starts_with(b"{");
    Ok(match u.int_in_range(0..=15)? {
        0 => {
            let bytes = gzip(inner);
            part.within(bytes, Kind::Binary, 1)
        }
        1 => {
            // Members one after another are what they hold, one after another.
            let (one, two) = inner.split_at(u.int_in_range(0..=inner.len())?);
            let bytes = [gzip(one), gzip(b""), gzip(two)].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        2 => {
            let bytes = zstd::encode_all(inner, 1).unwrap_or_default();
            part.within(bytes, Kind::Binary, 1)
        }
        3 => {
            let info = lz4_flex::frame::FrameInfo::new()
                .content_checksum(u.arbitrary()?)
                .block_checksums(u.arbitrary()?);
            let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
            let _ = encoder.write_all(inner);
            let bytes = encoder.finish().unwrap_or_default();
            part.within(bytes, Kind::Binary, 1)
        }
        4 => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            let _ = encoder.write_all(inner);
            let bytes = encoder.into_inner().unwrap_or_default();
            part.within(bytes, Kind::Binary, 1)
        }
        5 => {
            let bytes = [&[3, 5][..], &[7; 16], &zlib(inner)].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        6 if is_json => {
            let bytes = [&[3, 0][..], &[7; 16], inner].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        7 if is_json => {
            let bytes = [b"\0\0\0\0\x2a", inner].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        8 => {
            let bytes = [b"\xef\xbb\xbf", inner].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        9 => match part.text() {
            Some(text) => {
                let bytes = quoted(text, u.arbitrary()?).into_bytes();
                part.within(bytes, Kind::Json, 1)
            }
            None => part.in_kinesis(),
        },
        10 if is_json => {
            let bytes = [u.choose(&HEADERS)?.as_bytes(), inner].concat();
            part.within(bytes, Kind::Binary, 2)
        }
        11 => {
            let bytes = zlib(inner);
            part.within(bytes, Kind::Binary, 1)
        }
        12 => {
            let padding = vec![0; u.int_in_range(1..=512)?];
            let bytes = [gzip(inner), padding].concat();
            part.within(bytes, Kind::Binary, 1)
        }
        13 if is_json && part.text().is_some() => {
            let text = part.text().unwrap_or_default();
            let units = std::iter::once(0xfeff).chain(text.encode_utf16());
            let bytes = units.flat_map(u16::to_le_bytes).collect();
            part.within(bytes, Kind::Binary, 1)
        }
        14 if is_json => {
            // The lines of MIME.
            let coded = STANDARD.encode(inner);
            let lines: Vec<&[u8]> = coded.as_bytes().chunks(76).collect();
            let bytes = lines.join(&b"\r\n"[..]);
            part.within(bytes, Kind::Binary, 1)
        }
        _ if is_told_in_base64(inner) => {
            let bytes = if u.arbitrary()? {
                STANDARD.encode(inner)
            } else {
                STANDARD_NO_PAD.encode(inner)
            };
            part.within(bytes.into_bytes(), Kind::Base64, 1)
        }
        _ => part.in_kinesis(),
    })
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    let _ = encoder.write_all(data);
    encoder.finish().unwrap_or_default()
}

/// Carriers that take JSON, or a string of JSON or of base64: what stands before and after it.
const CARRIERS: [(&str, &str); 24] = [
    (
        r#"{"version":"0","detail-type":"AWS API Call via CloudTrail","source":"aws.iam","time":"2026-01-05T18:46:26Z","detail":"#,
        "}",
    ),
    (
        r#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"logEvents":[{"id":"1","timestamp":1767638786123,"message":"#,
        r#"},{"id":"2","timestamp":1,"message":"START RequestId: 1"}]}"#,
    ),
    (
        r#"{"@timestamp":"2026-01-05T18:46:26.123Z","agent":{"type":"filebeat"},"input":{"type":"aws-s3"},"message":"#,
        "}",
    ),
    (
        r#"{"@timestamp":"2026-01-05T18:46:26.123Z","agent":{},"event":{"original":"#,
        r#","action":"x"},"aws":{"cloudtrail":{}},"message":"text"}"#,
    ),
    (
        r#"{"@timestamp":"2026-01-05T18:46:26Z","@version":"1","message":"#,
        "}",
    ),
    (r#"{"date":1767638786.123,"log":"#, "}"),
    (
        r#"{"message":"#,
        r#","tag":"cloudtrail","time":"2026-01-05T18:46:26Z"}"#,
    ),
    (
        r#"{"source_type":"aws_s3","timestamp":"2026-01-05T18:46:26.123456Z","message":"#,
        "}",
    ),
    (r#"{"EventId":"e","EventName":"x","CloudTrailEvent":"#, "}"),
    (
        r#"{"time":"1767638786.123","sourcetype":"aws:cloudtrail","event":"#,
        "}",
    ),
    (
        r#"{"schema":{"type":"string","optional":false},"payload":"#,
        "}",
    ),
    (
        r#"{"specversion":"1.0","type":"t","time":"2026-01-05T18:46:26Z","data":"#,
        "}",
    ),
    (r#"{"Type":"Notification","MessageId":"m","Message":"#, "}"),
    (
        r#"{"Records":[{"EventSource":"aws:sns","EventVersion":"1.0","Sns":{"Type":"Notification","Message":"#,
        "}}]}",
    ),
    (
        r#"{"Records":[{"messageId":"m","eventSource":"aws:sqs","body":"#,
        "}]}",
    ),
    (
        r#"{"class_uid":6003,"metadata":{"product":{"name":"CloudTrail"}},"raw_data":"#,
        "}",
    ),
    (r#"{"value":"#, r#","x":1}"#),
    (
        r#"{"version":"1.1","host":"h","timestamp":1767638786.123,"short_message":"s","full_message":"#,
        "}",
    ),
    (r#"{"_index":"i","_id":"1","_source":"#, "}"),
    (
        r#"{"op":"c","before":null,"after":{"id":7,"document":"#,
        r#"},"source":{"db":"audit"}}"#,
    ),
    (r#"{"eventCategory":"Management","eventJson":"#, "}"),
    (r#"{"hostname":"h","programname":"p","msg":"#, "}"),
    (
        r#"{"timestamp":"2026-01-05T18:46:26.123+0000","rule":{"level":3},"data":{"integration":"aws","aws":"#,
        "}}",
    ),
    (
        r#"{"version":"0","detail-type":"audit","source":"custom","detail":"#,
        "}",
    ),
];

/// Carriers that take a string of base64.
const CODED_CARRIERS: [(&str, &str); 8] = [
    (r#"{"records":[{"recordId":"1","data":"#, "}]}"),
    (r#"{"kinesis":{"partitionKey":"k","data":"#, "}}"),
    (r#"{"specversion":"1.0","type":"t","data_base64":"#, "}"),
    (
        r#"{"Records":[{"kinesis":{"data":"#,
        r#"},"eventSource":"aws:kinesis","eventVersion":"1.0"}]}"#,
    ),
    (
        r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1767638786123456789","body":{"bytesValue":"#,
        r#"},"attributes":[]}]}]}]}"#,
    ),
    (
        r#"{"eventSource":"aws:kafka","records":{"trail-0":[{"topic":"trail","partition":0,"value":"#,
        "}]}}",
    ),
    (
        r#"{"eventSource":"SelfManagedKafka","offset":1,"value":"#,
        "}",
    ),
    (r#"{"SequenceNumber":"1","PartitionKey":"k","Data":"#, "}"),
];

/// What stands before a text in a file or a stream of logs.
const HEADERS: [&str; 6] = [
    "<14>Jan  5 18:46:26 h app[7]: ",
    "<165>1 2026-01-05T18:46:26.123Z h app 7 - [x@1 a=\"b\"] ",
    "2026-01-05T18:46:26.123456789Z stdout F ",
    "[INFO] ",
    "cloudtrail: ",
    "\x1e",
];

fn carrier(u: &mut Unstructured<'_>, part: Message) -> Result<Message> {
    Ok(match u.int_in_range(0..=8)? {
        0..=4 => {
            let (before, after) = *u.choose(&CARRIERS)?;
            part.value(u)?.between(before, after)
        }
        5 | 6 => {
            let (before, after) = *u.choose(&CODED_CARRIERS)?;
            part.coded().between(before, after)
        }
        7 => {
            // As CloudWatch Logs hands a subscription to a function.
            let (before, after) = CARRIERS[1];
            let inner = part.value(u)?.between(before, after);
            let bytes = gzip(&inner.bytes);
            let inner = inner.within(bytes, Kind::Binary, 1);
            inner.coded().between(r#"{"awslogs":{"data":"#, "}}")
        }
        _ => match part
            .text()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
        {
            Some(value @ Value::Object(_)) => {
                let bytes = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"body": any_value(&value)}]}]}]});
                let mut part = part.within(bytes.to_string().into_bytes(), Kind::Json, 2);
                // Numbers of more than 64 bits, duplicates and nesting are not what they were.
                part.is_clean = false;
                part
            }
            _ => part
                .coded()
                .between(CODED_CARRIERS[4].0, CODED_CARRIERS[4].1),
        },
    })
}

/// JSON as OpenTelemetry's `AnyValue`.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(truth) => json!({"boolValue": truth}),
        Value::Number(number) => match number.as_i64() {
            Some(number) => json!({"intValue": number.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(values) => {
            json!({"arrayValue": {"values": values.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::Object(members) => {
            let members: Vec<Value> = members
                .iter()
                .map(|(key, value)| json!({"key": key, "value": any_value(value)}))
                .collect();
            json!({"kvlistValue": {"values": members}})
        }
    }
}

/// Breaks something in a part.
fn spoil(u: &mut Unstructured<'_>, part: &mut Message) -> Result<()> {
    part.sure.clear();
    (part.is_clean, part.is_closed) = (false, false);
    let bytes = &mut part.bytes;
    if bytes.is_empty() {
        return Ok(());
    }
    let at = u.int_in_range(0..=bytes.len() - 1)?;
    match u.int_in_range(0..=4)? {
        0 => bytes.truncate(at),
        1 => bytes[at] = u.arbitrary()?,
        2 => bytes[at] ^= 1 << u.int_in_range(0..=7)?,
        3 => {
            let until = u.int_in_range(at..=bytes.len())?;
            bytes.drain(at..until);
        }
        _ => {
            let inserted = *u.choose(&[
                &b"\""[..],
                b"{",
                b"}",
                b"]",
                b",",
                b"\\",
                b"\n",
                b"\0",
                b"null",
            ])?;
            bytes.splice(at..at, inserted.iter().copied());
        }
    }
    if std::str::from_utf8(bytes).is_err() {
        part.kind = Kind::Binary;
    }
    Ok(())
}
