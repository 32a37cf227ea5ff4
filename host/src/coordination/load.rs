//! How much waits in each node, for whoever decides how many there should be: an ephemeral znode of the node's session, written when
//! it has changed much, and read when somebody asks.

use std::collections::BTreeMap;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_coordinator::Registration;
use serde::{Deserialize, Serialize};

use super::members::json;
use super::{Coordination, CoordinationError};

/// How much waits in a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// Its layer.
    pub layer: Layer,
    /// Bytes that wait in its machines: unacknowledged, retained, not judged, not told or not merged yet, as its layer has it.
    pub backlog_bytes: u64,
    /// What 99 of 100 notifications took at most, in microseconds, of those handed over since it last looked; connection points
    /// only, and only if there were any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_microseconds: Option<u64>,
}

impl Load {
    /// Whether a reader should know it, who knows `told`: one of its figures is an eighth away from it.
    #[must_use]
    pub fn is_news(&self, told: &Self) -> bool {
        let differs = |one: u64, other: u64| one.abs_diff(other) > one.max(other) / 8;
        let latency = |load: &Self| load.latency_microseconds.unwrap_or(0);
        differs(self.backlog_bytes, told.backlog_bytes) || differs(latency(self), latency(told))
    }
}

impl Coordination {
    /// Says how much waits in this node, in the present session. Cheap if it stands there already.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn tell_load(&self, registration: &Registration, load: &Load) -> Result<(), CoordinationError> {
        self.hold(&self.paths.load(registration), &json(load)).await.map(drop)
    }

    /// How much waits in each node, as they said last. What cannot be understood is left out, and logged.
    ///
    /// # Errors
    /// [`CoordinationError::Unavailable`].
    pub async fn loads(&self) -> Result<BTreeMap<Incarnation, Load>, CoordinationError> {
        self.by_node(&self.paths.loads(), "a load").await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_by_an_eighth_is_news() {
        let load = |backlog_bytes, latency| Load {
            layer: Layer::Matcher,
            backlog_bytes,
            latency_microseconds: (latency > 0).then_some(latency),
        };
        for (one, other, is_news) in [
            (load(0, 0), load(0, 0), false),
            (load(1, 0), load(0, 0), true),
            (load(800, 500), load(880, 500), false),
            (load(800, 500), load(1_000, 500), true),
            (load(800, 500), load(800, 700), true),
        ] {
            assert_eq!(one.is_news(&other), is_news, "{one:?} {other:?}");
            assert_eq!(other.is_news(&one), is_news, "{one:?} {other:?}");
        }
    }
}
