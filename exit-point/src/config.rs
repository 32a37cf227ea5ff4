//! What an operator may set about an exit-point shard. Plain data, validated whole before anything starts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Settings of one exit-point shard. Limits that a node has as a whole are divided among its shards by whoever builds this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What a matcher shard may have under way on one lane, in bytes: received, but not merged on all slices. Bounds held
    /// frames and incomplete positions. Each (matcher shard, lane) has its own, so that a hole can always be filled.
    pub matches_window_bytes: u64,
    /// Copies of sessions under way from one exit point that this one joins, in bytes.
    pub copies_window_bytes: u64,
    /// What may be kept for slices that join until copies of their sessions are here, in bytes; beyond it they begin to join anew.
    pub joining_bytes_max: u64,
    /// Outboxes of one session, in bytes; sessions may ask for less. May be overdrawn by one notification.
    pub session_outbox_bytes_max: u64,
    /// Outbox of one session, in notifications; sessions may ask for less.
    pub session_outbox_notifications_max: u64,
    /// Outboxes of one tenant on this shard, in bytes. May be overdrawn by one notification.
    pub tenant_outbox_bytes_max: u64,
    /// All outboxes of this shard, in bytes. May be overdrawn by one notification.
    pub node_outbox_bytes_max: u64,
    /// Sessions of one tenant on this shard, those that matchers have yet to forget included.
    pub tenant_sessions_max: u64,
    /// Sessions on this shard, those that matchers have yet to forget included.
    pub node_sessions_max: u64,
    /// The longest that a session may ask to live on while nobody is attached.
    pub session_expires_after_max: Duration,
    /// The longest that merging may wait for one session in an episode of slowness; zero: never.
    pub block_max: Duration,
    /// A `Notifications` frame is closed when its contents reach so many bytes.
    pub frame_content_bytes_max: u64,
    /// A `Notifications` frame is closed when its handles reach so many bytes.
    pub frame_handles_bytes_max: u64,
    /// A session whose outbox holds more than this is behind: what it gets from then on no longer leans on the buffer of the
    /// frame that brought it (see [`ContentBuffers`]).
    pub behind_bytes: u64,
    /// How contents arrive in memory; set by whoever drives the machine.
    #[serde(skip)]
    pub content_buffers: ContentBuffers,
    /// Seed of the look-up tables: random in a process that faces clients, fixed in simulation.
    #[serde(skip)]
    pub hash_seed: u64,
}

/// How the contents of publications lie in memory when they reach the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContentBuffers {
    /// Each has a buffer of its own: keeping it keeps nothing else. True within one process.
    Own,
    /// Many are slices of the frame that brought them: keeping one keeps the frame, so that what stays is copied out.
    #[default]
    Shared,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            matches_window_bytes: 4 << 20,
            copies_window_bytes: 4 << 20,
            joining_bytes_max: 256 << 20,
            session_outbox_bytes_max: 64 << 20,
            session_outbox_notifications_max: 1_000_000,
            tenant_outbox_bytes_max: 512 << 20,
            node_outbox_bytes_max: 1 << 30,
            tenant_sessions_max: 100_000,
            node_sessions_max: 200_000,
            session_expires_after_max: Duration::from_secs(7 * 24 * 3600),
            block_max: Duration::from_secs(1),
            frame_content_bytes_max: 1 << 20,
            frame_handles_bytes_max: 64 << 10,
            // What a connection point lets be under way to a session: whoever keeps up copies nothing.
            behind_bytes: 512 << 10,
            content_buffers: ContentBuffers::Shared,
            hash_seed: 0,
        }
    }
}

/// A setting that cannot be worked with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, must be {must}")]
pub struct ConfigError {
    /// The name of the setting.
    pub field: &'static str,
    /// What it is.
    pub value: String,
    /// What would be right.
    pub must: &'static str,
}

impl Config {
    /// Longer waits stop a shard for everybody.
    const BLOCK_MOST: Duration = Duration::from_secs(60);

    /// Checks every setting.
    ///
    /// # Errors
    /// The first setting that cannot be worked with, and what would be right.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let at_least_one = [
            ("matches_window_bytes", self.matches_window_bytes),
            ("copies_window_bytes", self.copies_window_bytes),
            ("joining_bytes_max", self.joining_bytes_max),
            ("session_outbox_bytes_max", self.session_outbox_bytes_max),
            ("session_outbox_notifications_max", self.session_outbox_notifications_max),
            ("tenant_outbox_bytes_max", self.tenant_outbox_bytes_max),
            ("node_outbox_bytes_max", self.node_outbox_bytes_max),
            ("tenant_sessions_max", self.tenant_sessions_max),
            ("node_sessions_max", self.node_sessions_max),
            ("frame_content_bytes_max", self.frame_content_bytes_max),
            ("frame_handles_bytes_max", self.frame_handles_bytes_max),
        ];
        for (field, value) in at_least_one {
            if value == 0 {
                return Err(ConfigError { field, value: value.to_string(), must: "at least 1" });
            }
        }
        if self.tenant_sessions_max > self.node_sessions_max {
            return Err(ConfigError {
                field: "tenant_sessions_max",
                value: self.tenant_sessions_max.to_string(),
                must: "at most node_sessions_max",
            });
        }
        if self.tenant_outbox_bytes_max > self.node_outbox_bytes_max {
            return Err(ConfigError {
                field: "tenant_outbox_bytes_max",
                value: self.tenant_outbox_bytes_max.to_string(),
                must: "at most node_outbox_bytes_max",
            });
        }
        if self.block_max > Self::BLOCK_MOST {
            return Err(ConfigError {
                field: "block_max",
                value: format!("{:?}", self.block_max),
                must: "at most 60s, since merging for everybody waits meanwhile",
            });
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
    fn a_refused_setting_is_named_with_what_would_be_right() {
        let config = Config { matches_window_bytes: 0, ..Config::default() };
        let error = config.validate().expect_err("a window of 0 never opens");
        assert_eq!(error.to_string(), "matches_window_bytes is 0, must be at least 1");
        let config = Config { block_max: Duration::from_secs(61), ..Config::default() };
        assert!(config.validate().expect_err("too long").to_string().contains("at most 60s"));
    }

    #[test]
    fn every_window_may_be_one() {
        let config = Config { matches_window_bytes: 1, frame_content_bytes_max: 1, ..Config::default() };
        assert_eq!(config.validate(), Ok(()));
    }
}
