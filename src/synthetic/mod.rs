//! Realistic CloudTrail that was never anybody's.
//!
//! In: a seed, how many of the records are the event that `trailtag` looks for, and the shape in which they travel. Out:
//! message payloads as a Kafka topic would carry them. The same options give the same bytes, on every machine and in
//! every release of the same [`FORMAT`]: there is no clock and no other source of chance. It never contacts anything.
//!
//! `random` is the source of chance, `company` the invented company, `calls` what it does, `template` fills in the
//! values, `record` writes one record, and this file packs records into payloads.

mod calls;
mod clock;
mod company;
mod random;
mod record;
mod sequel;
mod template;

use random::Random;
use record::RecordWriter;

/// Rises with any change to the bytes that a seed gives.
pub const FORMAT: u32 = 1;

/// Records in a payload of the shape [`Shape::S3File`].
const IN_FILE: u64 = 100;
/// Records in a payload of the shape [`Shape::CloudWatch`].
const IN_LOG_BATCH: u64 = 25;

/// The form in which records travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "service", derive(clap::ValueEnum))]
pub enum Shape {
    /// One record per message
    #[default]
    #[cfg_attr(feature = "service", value(name = "record"))]
    Record,
    /// {"Records":[…]}, 100 records per message, as CloudTrail writes to S3
    #[cfg_attr(feature = "service", value(name = "s3_file"))]
    S3File,
    /// One EventBridge event per message
    #[cfg_attr(feature = "service", value(name = "eventbridge"))]
    EventBridge,
    /// A CloudWatch Logs subscription, 25 records per message
    #[cfg_attr(feature = "service", value(name = "cloudwatch"))]
    CloudWatch,
}

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// Decides everything: the same seed gives the same bytes.
    pub seed: u64,
    /// The fraction of records that are RemoveRoleFromInstanceProfile, 0 to 1. It is kept exactly: one in each stretch
    /// of `1 / match_rate` records, at a place in it that the seed decides.
    pub match_rate: f64,
    /// The form in which they travel.
    pub shape: Shape,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 1,
            match_rate: 0.001,
            shape: Shape::Record,
        }
    }
}

/// Writes payloads without end.
#[derive(Debug)]
pub struct Generator {
    shape: Shape,
    writer: RecordWriter,
    matches: MatchPlaces,
    record: Vec<u8>,
    records: u64,
}

impl Generator {
    /// A generator at its beginning.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        let mut random = Random::new(options.seed);
        Self {
            shape: options.shape,
            matches: MatchPlaces::new(options.match_rate, Random::new(random.next())),
            writer: RecordWriter::new(random),
            record: Vec::with_capacity(4096),
            records: 0,
        }
    }

    /// The same, with something that follows this fraction of the removals that went through: teardowns, swaps and
    /// restores, in that order of frequency. Each takes the place of an ordinary record some time later.
    #[must_use]
    pub fn with_sequels(mut self, rate: f64, seed: u64) -> Self {
        // Chance of its own: without it, nothing of what a seed gives may change.
        self.writer.follow_removals(rate, Random::new(!seed));
        self
    }

    /// Writes the next payload over `payload`, with at most `at_most` records in it, and returns how many it holds:
    /// 0 only when `at_most` is 0, which leaves `payload` empty.
    pub fn write(&mut self, at_most: u64, payload: &mut Vec<u8>) -> u64 {
        payload.clear();
        let records = at_most.min(match self.shape {
            Shape::Record | Shape::EventBridge => 1,
            Shape::S3File => IN_FILE,
            Shape::CloudWatch => IN_LOG_BATCH,
        });
        if records == 0 {
            return 0;
        }
        match self.shape {
            Shape::Record => self.append_record(payload),
            Shape::S3File => {
                payload.extend_from_slice(br#"{"Records":["#);
                for at in 0..records {
                    if at > 0 {
                        payload.push(b',');
                    }
                    self.append_record(payload);
                }
                payload.extend_from_slice(b"]}");
            }
            Shape::EventBridge => self.append_event(payload),
            Shape::CloudWatch => self.append_log_batch(records, payload),
        }
        records
    }

    fn append_record(&mut self, out: &mut Vec<u8>) {
        let matches = self.matches.at(self.records);
        self.records += 1;
        self.writer.write(matches, out);
    }

    fn append_event(&mut self, out: &mut Vec<u8>) {
        self.record.clear();
        let mut record = std::mem::take(&mut self.record);
        self.append_record(&mut record);
        let fields = self.writer.wrapper_fields();
        let id = self.writer.uuid();
        for piece in [
            r#"{"version":"0","id":""#,
            &id,
            r#"","detail-type":"AWS "#,
            if fields.signs_in {
                "Console Sign In"
            } else {
                "API Call"
            },
            r#" via CloudTrail","source":"aws."#,
            fields.service,
            r#"","account":""#,
            fields.account,
            r#"","time":""#,
            self.writer.time(),
            r#"","region":""#,
            fields.region,
            r#"","resources":[],"detail":"#,
        ] {
            out.extend_from_slice(piece.as_bytes());
        }
        out.extend_from_slice(&record);
        out.push(b'}');
        self.record = record;
    }

    fn append_log_batch(&mut self, records: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(
            br#"{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"aws-cloudtrail-logs","logStream":"111122223333_CloudTrail_us-east-1","subscriptionFilters":["to-kafka"],"logEvents":["#,
        );
        let mut record = std::mem::take(&mut self.record);
        for at in 0..records {
            if at > 0 {
                out.push(b',');
            }
            record.clear();
            self.append_record(&mut record);
            let millis = self.writer.millis();
            // CloudWatch Logs' ids are 56 digits that rise with time.
            let head = format!(
                r#"{{"id":"{millis:026}{:030}","timestamp":{millis},"message":""#,
                self.records
            );
            out.extend_from_slice(head.as_bytes());
            escape(&record, out);
            out.extend_from_slice(br#""}"#);
        }
        self.record = record;
        out.extend_from_slice(b"]}");
    }
}

/// Appends JSON text as the inside of a JSON string. Compact JSON holds no control characters.
fn escape(json: &[u8], out: &mut Vec<u8>) {
    let mut from = json;
    while let Some(at) = memchr::memchr2(b'"', b'\\', from) {
        let (plain, rest) = from.split_at(at);
        out.extend_from_slice(plain);
        out.push(b'\\');
        let (special, rest) = rest.split_at(rest.len().min(1));
        out.extend_from_slice(special);
        from = rest;
    }
    out.extend_from_slice(from);
}

/// Which records are the event: one in each stretch of `1 / rate`, somewhere in it.
#[derive(Debug)]
struct MatchPlaces {
    rate: f64,
    random: Random,
    stretch: u64,
    next: Option<u64>,
}

impl MatchPlaces {
    fn new(rate: f64, random: Random) -> Self {
        let mut places = Self {
            rate: rate.clamp(0.0, 1.0),
            random,
            stretch: 0,
            next: None,
        };
        places.next = places.place();
        places
    }

    /// Where the match of the current stretch stands.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts stay far below 2^53, and a cast to u64 saturates"
    )]
    fn place(&mut self) -> Option<u64> {
        (self.rate > 0.0)
            .then(|| ((self.stretch as f64 + self.random.fraction()) / self.rate) as u64)
    }

    fn at(&mut self, record: u64) -> bool {
        // Two matches of a rate above one half can fall on one place: the later takes the next.
        if self.next.is_none_or(|next| record < next) {
            return false;
        }
        self.stretch += 1;
        self.next = self.place();
        true
    }
}

#[cfg(test)]
mod tests;
