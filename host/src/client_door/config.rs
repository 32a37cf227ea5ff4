//! What can be set about the door for clients.

use std::time::Duration;

use gomera_model::attributes::AttributeLimits;
use gomera_model::filter::FilterLimits;
use gomera_model::publication::PublicationLimits;
use gomera_proto::door::Limits;
use serde::{Deserialize, Serialize};

/// Longer would be a latency and no saving.
const GATHER_WITHIN_MAX: Duration = Duration::from_millis(10);

/// Settings of the door.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientDoorConfig {
    /// Bytes of one message from a client. A larger one ends its stream, OUT_OF_RANGE.
    pub message_bytes_max: usize,
    /// Publications of one frame. More end their stream, OUT_OF_RANGE.
    pub frame_publications_max: usize,
    /// Bytes of the payload of one publication. A larger one is refused, INVALID_ARGUMENT.
    pub payload_bytes_max: usize,
    /// Attributes of one publication or context.
    pub attributes_max: usize,
    /// Bytes of the text of one filter.
    pub filter_text_bytes_max: usize,
    /// TCP connections at once. Full: a new one is closed at once.
    pub sockets_max: usize,
    /// A TCP connection that has not begun to speak HTTP/2 after so long is closed.
    pub greeting_timeout: Duration,
    /// Streams of one TCP connection at once. More wait at the client, as HTTP/2 has it.
    pub streams_max: u32,
    /// A connection that has been silent for so long is asked whether it lives.
    pub keepalive_interval: Duration,
    /// If it does not answer for so long, it is closed.
    pub keepalive_timeout: Duration,
    /// Publishers of unary `Publish` calls that are kept open, by name. Full: the one idle for longest goes; if all are busy,
    /// RESOURCE_EXHAUSTED.
    pub unary_publishers_max: usize,
    /// Bytes of unary `Publish` calls that wait for their acknowledgement. Full: RESOURCE_EXHAUSTED.
    pub unary_bytes_max: usize,
    /// A publisher of unary calls is forgotten when it was idle for so long.
    pub unary_idle: Duration,
    /// What comes within so long after what came before goes on together with it, at most 10 ms; with nothing, everything goes on at once.
    /// Costs as much latency under load and saves a third of the processor at 10,000 publications a second. Where the whole cluster is one
    /// process it is not used.
    pub gather_within: Duration,
}

impl Default for ClientDoorConfig {
    fn default() -> Self {
        Self {
            message_bytes_max: 4 << 20,
            frame_publications_max: 16 << 10,
            payload_bytes_max: 1 << 20,
            attributes_max: AttributeLimits::default().count_max,
            filter_text_bytes_max: 16 << 10,
            sockets_max: 16_384,
            greeting_timeout: Duration::from_secs(10),
            streams_max: 1024,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            unary_publishers_max: 10_000,
            unary_bytes_max: 256 << 20,
            unary_idle: Duration::from_secs(60),
            gather_within: Duration::from_millis(1),
        }
    }
}

/// A setting that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, must be {rule}")]
pub struct ConfigError {
    /// Which setting.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What would be right.
    pub rule: String,
}

impl ClientDoorConfig {
    /// Checks the whole of it.
    ///
    /// # Errors
    /// The first setting that cannot work, with what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("message_bytes_max", self.message_bytes_max, 1024),
            ("frame_publications_max", self.frame_publications_max, 1),
            ("payload_bytes_max", self.payload_bytes_max, 1),
            ("attributes_max", self.attributes_max, 1),
            ("filter_text_bytes_max", self.filter_text_bytes_max, 1),
            ("sockets_max", self.sockets_max, 1),
            ("streams_max", usize::try_from(self.streams_max).unwrap_or(usize::MAX), 1),
            ("unary_publishers_max", self.unary_publishers_max, 1),
        ];
        for (field, value, least) in counts {
            if value < least {
                return Err(ConfigError { field, value: value.to_string(), rule: format!("at least {least}") });
            }
        }
        if self.payload_bytes_max > self.message_bytes_max {
            return Err(ConfigError {
                field: "payload_bytes_max",
                value: self.payload_bytes_max.to_string(),
                rule: format!("at most message_bytes_max, which is {}", self.message_bytes_max),
            });
        }
        if self.unary_bytes_max < self.message_bytes_max {
            return Err(ConfigError {
                field: "unary_bytes_max",
                value: self.unary_bytes_max.to_string(),
                rule: format!("at least message_bytes_max, which is {}", self.message_bytes_max),
            });
        }
        let durations = [
            ("greeting_timeout", self.greeting_timeout),
            ("keepalive_interval", self.keepalive_interval),
            ("keepalive_timeout", self.keepalive_timeout),
            ("unary_idle", self.unary_idle),
        ];
        for (field, duration) in durations {
            if duration < Duration::from_millis(10) {
                let rule = "at least 10ms".to_owned();
                return Err(ConfigError { field, value: format!("{duration:?}"), rule });
            }
        }
        if self.gather_within > GATHER_WITHIN_MAX {
            let value = format!("{:?}", self.gather_within);
            return Err(ConfigError { field: "gather_within", value, rule: format!("at most {GATHER_WITHIN_MAX:?}") });
        }
        Ok(())
    }

    /// The caps on what clients send.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let attributes = AttributeLimits { count_max: self.attributes_max, ..AttributeLimits::default() };
        Limits {
            publication: PublicationLimits {
                payload_bytes_max: self.payload_bytes_max,
                attributes,
                ..PublicationLimits::default()
            },
            filter: FilterLimits { text_bytes_max: self.filter_text_bytes_max, ..FilterLimits::default() },
            context: attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_field_the_value_and_what_would_be_right() {
        assert_eq!(ClientDoorConfig::default().validate(), Ok(()));
        let text = |config: ClientDoorConfig| config.validate().expect_err("cannot work").to_string();
        assert_eq!(
            text(ClientDoorConfig { streams_max: 0, ..ClientDoorConfig::default() }),
            "streams_max is 0, must be at least 1"
        );
        assert_eq!(
            text(ClientDoorConfig { payload_bytes_max: 1 << 30, ..ClientDoorConfig::default() }),
            "payload_bytes_max is 1073741824, must be at most message_bytes_max, which is 4194304"
        );
        assert_eq!(
            text(ClientDoorConfig { gather_within: Duration::from_secs(1), ..ClientDoorConfig::default() }),
            "gather_within is 1s, must be at most 10ms"
        );
    }
}
