//! What can be set about a connection point, with what each limit answers when it is met.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of one connection-point machine (one shard).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Client connections at once. Full: a new one is closed, RESOURCE_EXHAUSTED.
    pub connections_max: usize,
    /// Sessions at once, attached or attaching. Full: an attach fails, RESOURCE_EXHAUSTED.
    pub sessions_max: usize,
    /// Unacknowledged publications of one publisher connection. Full: nothing more is read from it until half is acknowledged.
    pub publisher_window_bytes: u64,
    /// The same, if a client's publications keep coming although nothing should be read from it. Full: the connection is closed,
    /// RESOURCE_EXHAUSTED; nothing is lost, the publisher sends again what is unacknowledged.
    pub publisher_bytes_max: u64,
    /// Unacknowledged publications of all publishers together. Full: whoever publishes is read no more until there is room.
    pub publications_bytes_max: u64,
    /// Publications per second of one connection, averaged over a second; absent: as fast as it goes. Met: nothing more is read
    /// from it until the rate allows; nothing is dropped.
    pub publications_per_second_max: Option<u32>,
    /// Notifications of one session on their way to its client. Full: the exit point keeps them in the outbox.
    pub session_window_bytes: u64,
    /// Operations of one session not answered yet. Full: nothing more is read from it until half are answered.
    pub operations_outstanding_max: usize,
    /// Operations of all sessions not answered yet, in bytes. Full: an operation fails, RESOURCE_EXHAUSTED.
    pub operations_bytes_max: u64,
    /// How long a client waits for a layout with an open lane, or with an active exit point for its session. Then: UNAVAILABLE.
    pub layout_wait: Duration,
    /// How long a client waits for an access point to open its publisher, or for an exit point to attach its session. Then:
    /// UNAVAILABLE.
    pub answer_wait: Duration,
    /// How often an attach is tried when exit points answer that they are not active for the session. Then: UNAVAILABLE.
    pub attach_attempts_max: u32,
    /// When this node is to leave: how many clients are asked to move in a second, at least 1.
    pub moves_per_second: u32,
    /// How long after the last was asked those who have not moved are served; then they are closed, UNAVAILABLE, and counted.
    pub leave_within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            connections_max: 65_536,
            sessions_max: 65_536,
            publisher_window_bytes: 1 << 20,
            publisher_bytes_max: 64 << 20,
            publications_bytes_max: 256 << 20,
            publications_per_second_max: None,
            session_window_bytes: 512 << 10,
            operations_outstanding_max: 1024,
            operations_bytes_max: 64 << 20,
            layout_wait: Duration::from_secs(5),
            answer_wait: Duration::from_secs(10),
            attach_attempts_max: 100,
            moves_per_second: 2_000,
            leave_within: Duration::from_secs(30),
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

impl Config {
    /// Checks the whole of it.
    ///
    /// # Errors
    /// The first setting that cannot work, with what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("connections_max", u64::try_from(self.connections_max).unwrap_or(u64::MAX)),
            ("sessions_max", u64::try_from(self.sessions_max).unwrap_or(u64::MAX)),
            ("publisher_window_bytes", self.publisher_window_bytes),
            ("publications_bytes_max", self.publications_bytes_max),
            ("session_window_bytes", self.session_window_bytes),
            ("operations_outstanding_max", u64::try_from(self.operations_outstanding_max).unwrap_or(u64::MAX)),
            ("operations_bytes_max", self.operations_bytes_max),
            ("attach_attempts_max", u64::from(self.attach_attempts_max)),
            ("moves_per_second", u64::from(self.moves_per_second)),
            // Without a limit there is nothing that could be wrong with it.
            ("publications_per_second_max", self.publications_per_second_max.map_or(1, u64::from)),
        ];
        for (field, value) in counts {
            if value == 0 {
                return Err(ConfigError { field, value: value.to_string(), rule: "at least 1".to_owned() });
            }
        }
        if self.publisher_bytes_max < self.publisher_window_bytes {
            return Err(ConfigError {
                field: "publisher_bytes_max",
                value: self.publisher_bytes_max.to_string(),
                rule: format!("at least publisher_window_bytes, which is {}", self.publisher_window_bytes),
            });
        }
        for (field, wait) in [("layout_wait", self.layout_wait), ("answer_wait", self.answer_wait)] {
            if wait.is_zero() {
                return Err(ConfigError { field, value: "zero".to_owned(), rule: "longer, such as 5 s".to_owned() });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
    }

    #[test]
    fn windows_of_one_are_valid() {
        let config = Config {
            publisher_window_bytes: 1,
            publisher_bytes_max: 1,
            publications_bytes_max: 1,
            session_window_bytes: 1,
            operations_outstanding_max: 1,
            ..Config::default()
        };
        assert_eq!(config.validate(), Ok(()));
    }

    #[test]
    fn an_error_names_the_field_the_value_and_what_would_be_right() {
        let text = |config: Config| config.validate().expect_err("cannot work").to_string();
        assert_eq!(
            text(Config { session_window_bytes: 0, ..Config::default() }),
            "session_window_bytes is 0, must be at least 1"
        );
        assert_eq!(
            text(Config { publications_per_second_max: Some(0), ..Config::default() }),
            "publications_per_second_max is 0, must be at least 1"
        );
        assert_eq!(
            text(Config { publisher_bytes_max: 7, publisher_window_bytes: 8, ..Config::default() }),
            "publisher_bytes_max is 7, must be at least publisher_window_bytes, which is 8"
        );
        assert_eq!(
            text(Config { layout_wait: Duration::ZERO, ..Config::default() }),
            "layout_wait is zero, must be longer, such as 5 s"
        );
    }
}
