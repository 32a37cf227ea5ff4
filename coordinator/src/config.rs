//! What the operator may tune, validated whole before anything starts.

use std::fmt::Display;
use std::time::Duration;

use gomera_cluster::layout::Settings;
use serde::{Deserialize, Serialize};

use crate::desired::Desired;
use crate::supply::{Provisioner, Supply};

/// Slices beyond this make a layout longer than a znode should be.
pub const SLICES_MAX: u16 = 4096;
/// Lanes are streams with buffers of their own; more than this per shard only costs.
const LANES_PER_SHARD_MAX: u16 = 64;
/// More nodes than this in one layer is a slip of the keyboard.
pub(crate) const NODES_PER_LAYER_MAX: u16 = 1024;

/// The coordinator's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Lanes that each access-point shard writes, 1 to 64.
    pub lanes_per_shard: u16,
    /// How long a node that the layout names may be unregistered before it counts as gone, at least 100 ms. A node whose
    /// session with the coordination service was lost needs some of it to register again.
    pub grace: Duration,
    /// How long a node that something speaks against may say nothing when it is asked directly, at least 100 ms; then it counts as gone.
    /// One whose port is closed does at once.
    pub silence: Duration,
    /// How long an operation waits for nodes that it counts on and that are not there, at least 1 s; then it has failed.
    pub node_wait: Duration,
    /// Where nodes come from: `pool`, `process`, `command` or `everybody`; the same for every coordinator of a cluster.
    pub provisioner: Provisioner,
    /// Most nodes of a layer that `process` or `command` may be asked for, 1 to 1024.
    pub nodes_max: u16,
    /// What `command` runs, by `sh -c`, with `GOMERA_CLUSTER`, `GOMERA_LAYER` (`matcher` …) and `GOMERA_REPLICAS` in its environment. It
    /// sees to it that so many nodes of the layer run, may be run again for the same number, and ends within `command_within`.
    pub command: String,
    /// How long the command may take, at least 100 ms.
    pub command_within: Duration,
    /// Nodes wanted per layer, written once when the cluster has no such wish yet.
    pub desired: Desired,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            lanes_per_shard: 1,
            grace: Duration::from_secs(5),
            silence: Duration::from_millis(500),
            node_wait: Duration::from_secs(60),
            provisioner: Provisioner::default(),
            nodes_max: 8,
            command: String::new(),
            command_within: Duration::from_secs(30),
            desired: Desired::default(),
        }
    }
}

impl Config {
    /// Checks every field.
    ///
    /// # Errors
    /// Names the first field that is out of range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        within("lanes_per_shard", self.lanes_per_shard, 1, LANES_PER_SHARD_MAX)?;
        for (field, time) in [("grace", self.grace), ("silence", self.silence)] {
            if time < Duration::from_millis(100) {
                return Err(ConfigError::new(field, format!("{time:?}"), "at least 100ms"));
            }
        }
        if self.node_wait < Duration::from_secs(1) {
            return Err(ConfigError::new("node_wait", format!("{:?}", self.node_wait), "at least 1s"));
        }
        within("nodes_max", self.nodes_max, 1, NODES_PER_LAYER_MAX)?;
        if self.provisioner == Provisioner::Command && self.command.trim().is_empty() {
            let right = "what the provisioner `command` runs, such as `kubectl scale …`";
            return Err(ConfigError::new("command", "empty", right));
        }
        if self.command_within < Duration::from_millis(100) {
            return Err(ConfigError::new("command_within", format!("{:?}", self.command_within), "at least 100ms"));
        }
        validate_desired(&self.desired)
    }

    /// Where nodes come from, as others may know it.
    #[must_use]
    pub const fn supply(&self) -> Supply {
        Supply { provisioner: self.provisioner, nodes_max: self.nodes_max }
    }
}

/// Checks the wish for nodes.
///
/// # Errors
/// Names the layer that is out of range.
pub fn validate_desired(desired: &Desired) -> Result<(), ConfigError> {
    within("desired.connection_points", desired.connection_points, 1, NODES_PER_LAYER_MAX)?;
    within("desired.access_points", desired.access_points, 1, NODES_PER_LAYER_MAX)?;
    within("desired.matchers", desired.matchers, 1, NODES_PER_LAYER_MAX)?;
    within("desired.exit_points", desired.exit_points, 1, NODES_PER_LAYER_MAX)
}

/// Checks what is fixed for the life of a cluster.
///
/// # Errors
/// Names the first field that is out of range.
pub fn validate_settings(settings: &Settings) -> Result<(), ConfigError> {
    within("matcher_slices", settings.matcher_slices, 1, SLICES_MAX)?;
    within("session_slices", settings.session_slices, 1, SLICES_MAX)?;
    within("replication", u16::from(settings.replication), 1, 2)
}

fn within(field: &'static str, value: u16, min: u16, max: u16) -> Result<(), ConfigError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(ConfigError::new(field, value, format!("{min} to {max}")))
}

/// A setting is out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}, must be {right}")]
pub struct ConfigError {
    field: &'static str,
    value: String,
    right: String,
}

impl ConfigError {
    /// `field is value, must be right`.
    pub fn new(field: &'static str, value: impl Display, right: impl Into<String>) -> Self {
        Self { field, value: value.to_string(), right: right.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Config::default().validate(), Ok(()));
        assert_eq!(validate_settings(&Settings::default()), Ok(()));
    }

    #[test]
    fn a_refusal_names_field_value_and_what_would_be_right() {
        let config = Config { lanes_per_shard: 0, ..Config::default() };
        let error = config.validate().expect_err("out of range");
        assert_eq!(error.to_string(), "lanes_per_shard is 0, must be 1 to 64");
        let config = Config { grace: Duration::from_millis(1), ..Config::default() };
        let error = config.validate().expect_err("out of range");
        assert_eq!(error.to_string(), "grace is 1ms, must be at least 100ms");
        let config = Config { provisioner: Provisioner::Command, ..Config::default() };
        let error = config.validate().expect_err("nothing to run");
        assert!(error.to_string().starts_with("command is empty, must be what the provisioner"), "{error}");
        let settings = Settings { matcher_slices: 5000, ..Settings::default() };
        let error = validate_settings(&settings).expect_err("out of range");
        assert_eq!(error.to_string(), "matcher_slices is 5000, must be 1 to 4096");
    }
}
