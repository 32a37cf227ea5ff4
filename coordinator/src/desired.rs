//! How many nodes each layer should have, in the order of the layers: `1-2-3-2`.

use std::fmt;
use std::str::FromStr;

use gomera_cluster::address::Layer;
use serde::{Deserialize, Serialize};

/// Nodes wanted per layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Desired {
    /// Connection points.
    pub connection_points: u16,
    /// Access points.
    pub access_points: u16,
    /// Matchers.
    pub matchers: u16,
    /// Exit points.
    pub exit_points: u16,
}

impl Default for Desired {
    /// One node per layer.
    fn default() -> Self {
        Self { connection_points: 1, access_points: 1, matchers: 1, exit_points: 1 }
    }
}

impl Desired {
    /// Nodes wanted in `layer`.
    #[must_use]
    pub const fn of(&self, layer: Layer) -> u16 {
        match layer {
            Layer::ConnectionPoint => self.connection_points,
            Layer::AccessPoint => self.access_points,
            Layer::Matcher => self.matchers,
            Layer::ExitPoint => self.exit_points,
        }
    }

    /// Wants `nodes` in `layer`.
    pub const fn set(&mut self, layer: Layer, nodes: u16) {
        match layer {
            Layer::ConnectionPoint => self.connection_points = nodes,
            Layer::AccessPoint => self.access_points = nodes,
            Layer::Matcher => self.matchers = nodes,
            Layer::ExitPoint => self.exit_points = nodes,
        }
    }
}

impl fmt::Display for Desired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}-{}", self.connection_points, self.access_points, self.matchers, self.exit_points)
    }
}

/// The text is not four numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the number of nodes is «{0}», must be four numbers from 1 joined by hyphens, as in 1-2-3-2: connection points, access \
     points, matchers, exit points"
)]
pub struct ParseDesiredError(String);

impl FromStr for Desired {
    type Err = ParseDesiredError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseDesiredError(text.to_owned());
        let numbers = text.split('-').map(str::parse).collect::<Result<Vec<u16>, _>>().map_err(|_| wrong())?;
        match numbers[..] {
            [connection_points, access_points, matchers, exit_points] if !numbers.contains(&0) => {
                Ok(Self { connection_points, access_points, matchers, exit_points })
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_again() {
        let desired = "2-3-4-2".parse::<Desired>().expect("well formed");
        assert_eq!(Layer::ALL.map(|layer| desired.of(layer)), [2, 3, 4, 2]);
        assert_eq!(desired.to_string(), "2-3-4-2");
    }

    #[test]
    fn anything_but_four_numbers_from_one_is_refused() {
        for text in ["", "1", "1-2-3", "1-2-3-4-5", "1-0-1-1", "1-x-1-1", "1--1-1", "1-2-3-70000"] {
            let error = text.parse::<Desired>().expect_err("malformed").to_string();
            assert!(error.contains(&format!("«{text}»")), "{error}");
        }
    }
}
