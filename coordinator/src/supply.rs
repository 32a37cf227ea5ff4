//! Where nodes come from: who may be asked for more of them, and how many there should be. Pure: `host` starts processes and runs
//! commands.
//!
//! | provisioner | nodes come | and go |
//! | --- | --- | --- |
//! | `pool` | when somebody starts them; they wait for work | by operations, then they end themselves |
//! | `process` | the leader starts processes on its own machine | as above |
//! | `command` | the leader runs what the operator configured | as above; the command is run again with the lower number |
//! | `everybody` | when somebody starts them; each is given work at once | when they are told to stop (SIGTERM) |

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gomera_cluster::address::{Incarnation, Layer};
use serde::{Deserialize, Serialize};

use crate::desired::Desired;
use crate::plan::Observation;
use crate::registration::{NodeState, Registration};

/// Who provides nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provisioner {
    /// Nobody: those that are registered and idle are used.
    #[default]
    Pool,
    /// The leader starts processes beside itself.
    Process,
    /// The leader runs a command.
    Command,
    /// Others decide, by starting and stopping nodes: whoever registers is wanted.
    Everybody,
}

/// Where nodes come from, as everybody may read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// Who provides them.
    pub provisioner: Provisioner,
    /// Most nodes of a layer that may be asked of it.
    pub nodes_max: u16,
}

impl Supply {
    /// Most nodes of a layer that come when they are asked for; `None` if none do.
    #[must_use]
    pub const fn most(&self) -> Option<u16> {
        match self.provisioner {
            Provisioner::Pool | Provisioner::Everybody => None,
            Provisioner::Process | Provisioner::Command => Some(self.nodes_max),
        }
    }
}

/// Nodes of one layer that there should be, and that there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// How many there should be: those that are wanted, and beside them those that are leaving.
    pub needed: u16,
    /// How many are registered and serve or may be given work.
    pub there: u16,
}

/// What each layer needs. Level-triggered, as all planning.
#[must_use]
pub fn needs(observation: &Observation) -> BTreeMap<Layer, Need> {
    Layer::ALL.into_iter().map(|layer| (layer, need(observation, layer))).collect()
}

fn need(observation: &Observation, layer: Layer) -> Need {
    let layout = observation.layout.as_ref();
    let of_layer = || observation.members.values().filter(|node| node.layer == layer);
    let serves = |node: &Registration| layout.is_some_and(|layout| layout.members.contains_key(&node.incarnation));
    let is_sent_away = |node: &Registration| {
        observation.sends_away(node.incarnation)
            || layout.is_some_and(|layout| layout.leaving.contains(&node.incarnation))
                && node.state != NodeState::Draining
    };
    let serving = of_layer().filter(|node| serves(node)).count();
    let mut leaving = of_layer().filter(|node| serves(node) && is_sent_away(node)).count();
    let draining = of_layer().filter(|node| serves(node) && node.state == NodeState::Draining).count();
    // Whoever told a node to stop starts another one, unless there would be none that takes over.
    if leaving + draining == serving {
        leaving = serving;
    }
    let wanted = observation.desired.of(layer).max(count(serving - leaving));
    let there = of_layer().filter(|node| node.state == NodeState::Up || serves(node)).count();
    Need { needed: wanted.saturating_add(count(leaving)), there: count(there) }
}

/// How many nodes are wanted: what was said, or everybody who is there.
#[must_use]
pub(crate) fn wanted(provisioner: Provisioner, desired: &Desired, layer: Layer) -> usize {
    match provisioner {
        Provisioner::Pool | Provisioner::Process | Provisioner::Command => usize::from(desired.of(layer)),
        Provisioner::Everybody => usize::MAX,
    }
}

/// The order in which nodes are given work and, from its end, sent away: `matcher-9` before `matcher-10`; of one name by incarnation.
#[must_use]
pub fn by_name(one: (&str, Incarnation), other: (&str, Incarnation)) -> Ordering {
    fn parts(name: &str) -> (&str, usize, &str) {
        let stem = name.trim_end_matches(|character: char| character.is_ascii_digit());
        let number = name[stem.len()..].trim_start_matches('0');
        (stem, number.len(), number)
    }
    parts(one.0).cmp(&parts(other.0)).then_with(|| one.cmp(&other))
}

fn count(nodes: usize) -> u16 {
    u16::try_from(nodes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_at_the_end_of_names_are_numbers() {
        let mut names = ["m-10", "m-9", "m", "m-010", "a-11", "m-1x"];
        names.sort_by(|one, other| by_name((one, Incarnation(1)), (other, Incarnation(1))));
        assert_eq!(names, ["a-11", "m", "m-9", "m-010", "m-10", "m-1x"]);
    }
}
