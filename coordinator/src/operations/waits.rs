//! What the operation under way waits for of nodes, and since when: for those that are to serve and do not, and for those that have left and
//! have not said so. Each moment begins when what it stands for begins, whatever the operation waited for before, and is forgotten when
//! that is over. A new leader, and one whose own view was interrupted, begins all of them anew.

use std::collections::BTreeMap;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::Layout;
use gomera_cluster::time::Instant;

use super::{Change, OperationId, Plan, PlannedNode};
use crate::plan::Observation;
use crate::registration::{NodeState, Registration};

/// Layers that have fewer nodes than they should get, with how many serve. Whoever is to leave, or asks to, and stays because nobody
/// else is there, is not among these.
pub(super) fn missing(plan: &Plan, layout: &Layout, observation: &Observation) -> Vec<(Change, u16)> {
    let leaves = |node: &Incarnation| plan.leaving.iter().any(|leaving| leaving.incarnation == *node);
    let stays = |node| observation.members.get(node).is_some_and(|node| node.state != NodeState::Draining);
    let serving = |change: &Change| {
        let members = layout.members.iter().filter(|(_, member)| member.layer == change.layer);
        let serving = members.filter(|&(node, _)| stays(node) && !layout.leaving.contains(node) && !leaves(node));
        u16::try_from(serving.count()).unwrap_or(u16::MAX)
    };
    let changes = plan.changes.iter().map(|change| (*change, serving(change)));
    changes.filter(|(change, serving)| *serving < change.to).collect()
}

/// Those that have left and not said yet that they will not serve again: were the operation over, the next layout might let them in.
pub(super) fn silent<'p>(
    plan: &'p Plan,
    layout: &'p Layout,
    observation: &'p Observation,
) -> impl Iterator<Item = &'p PlannedNode> {
    let left = plan.leaving.iter().filter(|node| !layout.members.contains_key(&node.incarnation));
    let is_up = |node: &Registration| node.state == NodeState::Up;
    left.filter(move |node| observation.members.get(&node.incarnation).is_some_and(is_up))
}

/// See the top of this file.
#[derive(Debug, Default)]
pub(crate) struct Waits {
    /// The operation that waits.
    of: Option<OperationId>,
    missing: Option<Missing>,
    /// Of those that have left and say nothing, since when.
    silent: BTreeMap<Incarnation, Instant>,
}

/// Nodes are missing.
#[derive(Clone, Copy, Debug)]
struct Missing {
    /// Fewer were not since the first one was.
    fewest: usize,
    /// Since when no other one has come.
    since: Instant,
}

impl Waits {
    /// Takes note of what the operation under way waits for now.
    pub(crate) fn note(&mut self, observation: &Observation, now: Instant) {
        let before = std::mem::take(self);
        let (Some((id, running)), Some(layout)) = (observation.running(), &observation.layout) else { return };
        let before = if before.of.as_ref() == Some(id) { before } else { Self::default() };
        let plan = &running.plan;
        let missing = missing(plan, layout, observation);
        let missing = missing.iter().map(|(change, serving)| usize::from(change.to - serving)).sum::<usize>();
        self.missing = match before.missing {
            _ if missing == 0 => None,
            // Who is lost for a moment and comes back is not another one.
            Some(known) if missing >= known.fewest => Some(known),
            Some(_) | None => Some(Missing { fewest: missing, since: now }),
        };
        let silent = silent(plan, layout, observation).map(|node| node.incarnation);
        self.silent = silent.map(|node| (node, before.silent.get(&node).copied().unwrap_or(now))).collect();
        self.of = Some(id.clone());
    }

    /// All time starts anew: our own view was interrupted.
    pub(crate) fn start_anew(&mut self, now: Instant) {
        let missing = self.missing.iter_mut().map(|missing| &mut missing.since);
        missing.chain(self.silent.values_mut()).for_each(|since| *since = now);
    }

    /// Whether nodes are missing, and no other one came for so long.
    pub(super) fn are_missed(&self, node_wait: Duration, now: Instant) -> bool {
        self.missing.is_some_and(|missing| missing.since + node_wait <= now)
    }

    /// Whether everybody that has left has said so, or said nothing for so long.
    pub(super) fn are_told(&self, node_wait: Duration, now: Instant) -> bool {
        self.silent.values().all(|&since| since + node_wait <= now)
    }

    /// The next moment at which something is waited for no longer.
    pub(crate) fn next_end(&self, node_wait: Duration, now: Instant) -> Option<Instant> {
        let missing = self.missing.map(|missing| missing.since);
        let all = missing.into_iter().chain(self.silent.values().copied());
        all.map(|since| since + node_wait).filter(|&end| end > now).min()
    }
}
