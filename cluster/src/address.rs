//! Who is who: incarnations of nodes, their shards, and the address of one machine.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One of the four operator layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Holds client connections.
    ConnectionPoint,
    /// Sequences publications and operations into lanes.
    AccessPoint,
    /// Matches publications against subscriptions.
    Matcher,
    /// Merges matches into outboxes of sessions.
    ExitPoint,
}

impl Layer {
    /// All layers, in the order in which a publication passes them.
    pub const ALL: [Self; 4] = [Self::ConnectionPoint, Self::AccessPoint, Self::Matcher, Self::ExitPoint];

    /// The name used in znodes, commands and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConnectionPoint => "connection-point",
            Self::AccessPoint => "access-point",
            Self::Matcher => "matcher",
            Self::ExitPoint => "exit-point",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The id of one life of a node: 64 random bits drawn at each start, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The number of a shard within its node, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Shard(pub u16);

/// One machine: a shard of one life of a node. Everything between machines is addressed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Address {
    /// The life of the node.
    pub node: Incarnation,
    /// The shard within it.
    pub shard: Shard,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.node, self.shard.0)
    }
}
