//! What can be tuned about an access point, and what must hold of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of one access-point shard. Limits count per lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bytes of publications that a lane retains until every exit point has merged past them, shared equally by the
    /// connection points as their credit. When it is used up, publishers wait. At least 1.
    pub retained_bytes_max: u64,
    /// Bytes of operations that a lane has under way or retains, shared equally by the connection points as their credit.
    /// When it is used up, operations wait at the connection points. At least 1.
    pub operation_bytes_max: u64,
    /// Ends of sessions (`Forget`) that a lane has under way; further ones wait, one for each session at most. At least 1.
    pub forgets_max: u32,
    /// Publisher instances that a lane knows. When the table is full, the one goes whose client has confirmed all its
    /// acknowledgements; if there is none, publications of further instances are refused. At least 1.
    pub publishers_max: u32,
    /// A publisher instance that has nothing outstanding and published nothing for so long is forgotten (within twice this
    /// time).
    pub publisher_idle: Duration,
    /// Forgotten publisher instances that a lane still recognises, so that a flagged re-send of theirs is refused instead of
    /// taken twice. The oldest goes first.
    pub forgotten_max: u32,
    /// Entries in one frame to a matcher. At least 1.
    pub frame_entries_max: u32,
    /// Bytes of entries in one frame to a matcher; one entry may exceed it. At least 1.
    pub frame_bytes_max: u64,
    /// Seed of look-up tables: the driver supplies it (random, or fixed in simulation).
    #[serde(skip)]
    pub hash_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            retained_bytes_max: 64 << 20,
            operation_bytes_max: 16 << 20,
            forgets_max: 1024,
            publishers_max: 262_144,
            publisher_idle: Duration::from_secs(600),
            forgotten_max: 1_048_576,
            frame_entries_max: 512,
            frame_bytes_max: 256 << 10,
            hash_seed: 0,
        }
    }
}

/// A value that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, must be {must}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What it was set to.
    pub value: String,
    /// What would be right.
    pub must: &'static str,
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// For the first field whose value cannot work.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let positive = [
            ("retained_bytes_max", self.retained_bytes_max),
            ("operation_bytes_max", self.operation_bytes_max),
            ("forgets_max", u64::from(self.forgets_max)),
            ("publishers_max", u64::from(self.publishers_max)),
            ("frame_entries_max", u64::from(self.frame_entries_max)),
            ("frame_bytes_max", self.frame_bytes_max),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(ConfigError { field, value: value.to_string(), must: "at least 1" });
            }
        }
        if self.publisher_idle < Duration::from_secs(1) {
            let value = format!("{:?}", self.publisher_idle);
            return Err(ConfigError { field: "publisher_idle", value, must: "at least 1s" });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_an_error_names_field_value_and_remedy() {
        assert_eq!(Config::default().validate(), Ok(()));
        let error = Config { frame_entries_max: 0, ..Config::default() }.validate().expect_err("zero");
        assert_eq!(error.to_string(), "frame_entries_max is 0, must be at least 1");
        let error = Config { publisher_idle: Duration::ZERO, ..Config::default() }.validate().expect_err("zero");
        assert_eq!(error.to_string(), "publisher_idle is 0ns, must be at least 1s");
    }
}
