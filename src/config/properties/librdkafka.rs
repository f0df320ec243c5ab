//! What librdkafka says of a property and its value, without a client and so without a connection.

use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaConfRes;

use super::is_secret;
use crate::model::fault::Fault;

/// Why librdkafka does not take it; none where it does.
pub(super) fn refusal(key: String, property: &str, value: &str) -> Option<Fault> {
    let error = ClientConfig::new()
        .set(property, value)
        .create_native_config()
        .err()?;
    Some(match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..) => Fault::new(
            key,
            "librdkafka has no such property",
            "look it up in librdkafka's CONFIGURATION.md",
        ),
        KafkaError::ClientConfig(_, _, _, _) if is_secret(property) => Fault::new(
            key,
            "librdkafka refuses the value",
            "look it up in librdkafka's CONFIGURATION.md",
        ),
        KafkaError::ClientConfig(_, reason, _, _) => Fault::new(
            key,
            format!("librdkafka refuses `{value}`: {}", reason.trim()),
            "look it up in librdkafka's CONFIGURATION.md",
        ),
        error => Fault::new(key, error.to_string(), "write it without NUL characters"),
    })
}
