//! What [`super::open`] takes and gives: limits, elements and their kinds.

use super::pointer::Pointer;
use crate::model::dead_letter::Reason;

/// How far one message may unfold.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The sum of the bytes that all layers of one message may decode to.
    pub decoded_bytes: usize,
    /// How many layers (compression, encodings, wrappers, lists) may be nested. A wrapper counts once, with the list,
    /// the string and the base64 that belong to it. Beyond 32 the stack is the limit, and 32 is taken.
    pub depth: usize,
    /// Parse every element whole, and reject what breaks JSON's grammar even where no rule could want it.
    pub validate: bool,
}

/// What must not be skipped, and where to look where no form is known.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// Whether a rule could want something in this text; false is certain. It is asked of what would be skipped, and
    /// what it lets through is read, or rejected.
    pub wanted: &'a dyn Fn(&[u8]) -> bool,
    /// The places of records in wrappers of one's own, tried in objects that are in no known form.
    pub record_paths: &'a [Pointer],
}

impl Default for Search<'_> {
    /// Nothing is wanted, and there is nowhere else to look.
    fn default() -> Self {
        Self {
            wanted: &|_| false,
            record_paths: &[],
        }
    }
}

/// The wrapper in which a record travelled: the innermost one that carries records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Envelope {
    /// The record alone.
    Record,
    /// `{"Records":[…]}`, as CloudTrail writes to S3.
    S3File,
    /// An EventBridge event.
    EventBridge,
    /// A CloudWatch Logs subscription's message.
    CloudwatchLogs,
    /// Records of Kinesis or Firehose, with base64 inside.
    Kinesis,
    /// A document of Filebeat, Elastic Agent, or another that writes ECS.
    Filebeat,
    /// A Logstash event.
    Logstash,
    /// A record of Fluent Bit or Fluentd.
    FluentBit,
    /// A log event of Vector.
    Vector,
    /// OpenTelemetry logs.
    Opentelemetry,
    /// CloudTrail Lake's wrapper of an event that a customer supplied.
    CloudtrailLake,
    /// The answer of CloudTrail's LookupEvents.
    LookupEvents,
    /// An event for Splunk's HTTP event collector.
    SplunkHec,
    /// Kafka Connect's JSON converter, with schemas.
    KafkaConnect,
    /// A CloudEvent.
    Cloudevents,
    /// An SNS message.
    Sns,
    /// An SQS message.
    Sqs,
    /// An OCSF event of Security Lake that kept the original.
    SecurityLake,
    /// Records of Kafka, as AWS Lambda and EventBridge Pipes get them from MSK.
    Msk,
    /// A change in a DynamoDB table.
    DynamoDb,
    /// An alert of Wazuh.
    Wazuh,
    /// A message of Graylog, in its format GELF.
    Graylog,
    /// A hit of Elasticsearch or OpenSearch.
    Elasticsearch,
    /// A change in a database, as Debezium tells it.
    Debezium,
    /// A row of a table of Athena or Glue, whose columns have no capitals.
    Athena,
    /// A message of rsyslog as JSON.
    Rsyslog,
    /// What stands where `input.record_paths` says.
    RecordPath,
    /// JSON under a customary key (`message`, `event`, `payload` …) of a wrapper that is not known by name.
    Embedded,
}

impl Envelope {
    /// Every envelope, in the order of their declaration.
    pub const ALL: [Self; 28] = [
        Self::Record,
        Self::S3File,
        Self::EventBridge,
        Self::CloudwatchLogs,
        Self::Kinesis,
        Self::Filebeat,
        Self::Logstash,
        Self::FluentBit,
        Self::Vector,
        Self::Opentelemetry,
        Self::CloudtrailLake,
        Self::LookupEvents,
        Self::SplunkHec,
        Self::KafkaConnect,
        Self::Cloudevents,
        Self::Sns,
        Self::Sqs,
        Self::SecurityLake,
        Self::Msk,
        Self::DynamoDb,
        Self::Wazuh,
        Self::Graylog,
        Self::Elasticsearch,
        Self::Debezium,
        Self::Athena,
        Self::Rsyslog,
        Self::RecordPath,
        Self::Embedded,
    ];

    /// The name in `trailtag.source.envelope`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::S3File => "s3_file",
            Self::EventBridge => "eventbridge",
            Self::CloudwatchLogs => "cloudwatch_logs",
            Self::Kinesis => "kinesis",
            Self::Filebeat => "filebeat",
            Self::Logstash => "logstash",
            Self::FluentBit => "fluent_bit",
            Self::Vector => "vector",
            Self::Opentelemetry => "opentelemetry",
            Self::CloudtrailLake => "cloudtrail_lake",
            Self::LookupEvents => "lookup_events",
            Self::SplunkHec => "splunk_hec",
            Self::KafkaConnect => "kafka_connect",
            Self::Cloudevents => "cloudevents",
            Self::Sns => "sns",
            Self::Sqs => "sqs",
            Self::SecurityLake => "security_lake",
            Self::Msk => "msk",
            Self::DynamoDb => "dynamodb",
            Self::Wazuh => "wazuh",
            Self::Graylog => "graylog",
            Self::Elasticsearch => "elasticsearch",
            Self::Debezium => "debezium",
            Self::Athena => "athena",
            Self::Rsyslog => "rsyslog",
            Self::RecordPath => "record_path",
            Self::Embedded => "embedded",
        }
    }
}

/// What is valid, known, and carries no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// An empty or null payload.
    Empty,
    /// A CloudTrail digest file.
    Digest,
    /// A CloudTrail Insights event.
    Insight,
    /// An S3, SNS or SQS notification about a file or message that is elsewhere.
    Notification,
    /// A CloudWatch Logs health probe.
    ControlMessage,
    /// Something of another source in a wrapper that carries CloudTrail too: an EventBridge event of another kind, a
    /// line of another log in a shipper's document or a CloudWatch log group. Their topics are shared with other
    /// logs, so this is no error; JSON that begins like an object and breaks is one, and so is a text that holds a name
    /// which a rule looks for.
    NotCloudtrail,
    /// A list without elements, such as `{"Records":[]}`.
    NoRecords,
}

impl Skip {
    /// Every kind, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Empty,
        Self::Digest,
        Self::Insight,
        Self::Notification,
        Self::ControlMessage,
        Self::NotCloudtrail,
        Self::NoRecords,
    ];

    /// The name in metrics and summaries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Digest => "digest",
            Self::Insight => "insight",
            Self::Notification => "notification",
            Self::ControlMessage => "control_message",
            Self::NotCloudtrail => "not_cloudtrail",
            Self::NoRecords => "no_records",
        }
    }
}

/// One record as it stood in its message, not parsed.
#[derive(Debug, Clone, Copy)]
pub struct RawRecord<'a> {
    /// The JSON text of the object, byte for byte, without surrounding white space.
    pub json: &'a [u8],
    /// The wrapper it came in.
    pub envelope: Envelope,
    /// Its place among the message's elements, counted from 0 over records, skipped and rejected ones.
    pub index: u32,
    /// The wrapper's own time in milliseconds since the epoch, where it has one; else that of the next wrapper out.
    pub envelope_time: Option<i64>,
    /// The fields were supplied by a customer of CloudTrail Lake, not by AWS.
    pub custom: bool,
}

/// What one element of a message turned out to be.
#[derive(Debug)]
pub enum Element<'a> {
    /// A CloudTrail record.
    Record(RawRecord<'a>),
    /// Valid, and no record.
    Skipped(Skip),
    /// Unreadable.
    Rejected(Rejection<'a>),
}

/// An element, or a whole message, that could not be read.
#[derive(Debug)]
pub struct Rejection<'a> {
    /// The closed-list reason.
    pub reason: Reason,
    /// What is wrong, in one line for a person, with the limit and the actual value where there is one.
    pub error: String,
    /// The element's place in its message; none when the message as a whole could not be read.
    pub index: Option<u32>,
    /// The bytes of the element, as they stood in its decoded list, or of the message.
    pub bytes: &'a [u8],
}

/// Buffers that [`super::open`] reuses from one message to the next, so that a warm worker allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    /// One for each layer that is open at the same time.
    buffers: Vec<Vec<u8>>,
}

/// The largest buffer that is kept: a rare huge message must not hold its memory for ever.
const LARGEST_KEPT: usize = 4 << 20;

impl Scratch {
    /// An empty buffer.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.buffers.pop().unwrap_or_default()
    }

    /// Takes a buffer back.
    pub(super) fn give_back(&mut self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= LARGEST_KEPT {
            buffer.clear();
            self.buffers.push(buffer);
        }
    }
}

#[cfg(test)]
impl Scratch {
    /// How much each buffer holds.
    pub(super) fn capacities(&self) -> Vec<usize> {
        self.buffers.iter().map(Vec::capacity).collect()
    }
}
