//! Whether a request can be done as things stand, and what would be done: what a leader decides by, and what a door answers to a
//! dry run. Every refusal says what would be right.

use std::collections::BTreeSet;
use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Layout;

use super::{Change, OperationId, Plan, PlannedNode, Refusal, RefusalKind, Request, State};
use crate::config::NODES_PER_LAYER_MAX;
use crate::plan::Observation;
use crate::registration::{NodeState, Registration, parse_incarnation};
use crate::scaling;
use crate::status::plural;
use crate::supply::{self, Provisioner};

/// Names listed in a refusal.
const NAMES_MAX: usize = 12;

/// What `request` would do. `id` is the operation that asks, which does not stand in its own way.
///
/// # Errors
/// Says why it cannot be done now.
pub fn judge(observation: &Observation, id: Option<&OperationId>, request: &Request) -> Result<Plan, Refusal> {
    if let Request::Scale { layer, replicas } = request {
        check_replicas(*layer, *replicas)?;
    }
    let layout = observation.layout.as_ref().ok_or_else(|| {
        let reason = "there is no layout yet: not every layer has a node, or no coordinator leads; try again";
        Refusal::new(RefusalKind::Unavailable, reason)
    })?;
    let judge = Judge { observation, layout };
    judge.check_alone(id)?;
    match request {
        Request::Scale { layer, replicas } => judge.scale(*layer, *replicas),
        Request::Drain { node } => judge.drain(node),
        Request::Rebalance => Ok(judge.rebalance()),
    }
}

fn check_replicas(layer: Layer, replicas: u16) -> Result<(), Refusal> {
    if replicas == 0 {
        let reason = format!("0 {} are asked for, must be at least 1: all clients would be cut off", plural(layer, 0));
        return Err(Refusal::new(RefusalKind::Invalid, reason));
    }
    if replicas > NODES_PER_LAYER_MAX {
        let layer = plural(layer, usize::from(replicas));
        let reason = format!("{replicas} {layer} are asked for, must be at most {NODES_PER_LAYER_MAX}");
        return Err(Refusal::new(RefusalKind::Invalid, reason));
    }
    Ok(())
}

struct Judge<'a> {
    observation: &'a Observation,
    layout: &'a Layout,
}

impl Judge<'_> {
    /// One operation at a time: what another one comes to cannot be known before its end.
    fn check_alone(&self, id: Option<&OperationId>) -> Result<(), Refusal> {
        let mut others = self.observation.operations.iter().filter(|(other, _)| Some(*other) != id);
        match others.find(|(_, standing)| matches!(standing.operation.state, State::Running(_))) {
            None => Ok(()),
            Some((other, standing)) => Err(Refusal::new(
                RefusalKind::Precondition,
                format!(
                    "operation {other} ({}) is under way: wait until it has ended, or cancel it",
                    standing.operation.request
                ),
            )),
        }
    }

    /// Nodes of a layer that serve, and are not to leave.
    fn serving(&self, layer: Layer) -> Vec<PlannedNode> {
        let members = self.layout.members.iter().filter(|(_, member)| member.layer == layer);
        let staying = members
            .filter(|(node, _)| self.observation.members.contains_key(node) && !self.layout.leaving.contains(node));
        by_name(staying.map(|(&incarnation, member)| PlannedNode { name: member.name.clone(), incarnation }).collect())
    }

    /// Nodes of a layer that wait for work.
    fn idle(&self, layer: Layer) -> Vec<PlannedNode> {
        let registered = self.observation.members.values();
        let idle = registered.filter(|node| {
            node.layer == layer && node.state == NodeState::Up && !self.layout.members.contains_key(&node.incarnation)
        });
        by_name(idle.map(planned).collect())
    }

    fn scale(&self, layer: Layer, replicas: u16) -> Result<Plan, Refusal> {
        let (serving, idle, to) = (self.serving(layer), self.idle(layer), usize::from(replicas));
        let supply = &self.observation.supply;
        if supply.provisioner == Provisioner::Everybody {
            let reason = format!(
                "every {} that registers is given work (`coordinator.provisioner` is `everybody`): start or stop nodes instead",
                plural(layer, 1)
            );
            return Err(Refusal::new(RefusalKind::Precondition, reason));
        }
        let missing = to.saturating_sub(serving.len());
        let most = supply.most().map_or(0, usize::from);
        if missing > idle.len() && to > most {
            let (more, there) = (missing - idle.len(), serving.len() + idle.len());
            let (asked, serve, wait) = (plural(layer, to), serving.len(), idle.len());
            let way_out = match supply.most() {
                None => format!("start {more} more (`gomera {layer}`), or ask for at most {there}"),
                Some(most) => format!(
                    "the provisioner gives {most} (`coordinator.nodes_max`): start {more} more (`gomera {layer}`), or ask for \
                     at most {}",
                    there.max(most.into())
                ),
            };
            let reason = format!("{to} {asked} are asked for, {serve} serve and {wait} wait for work: {way_out}");
            return Err(Refusal::new(RefusalKind::Exhausted, reason));
        }
        let joining: Vec<_> = idle.into_iter().take(missing).collect();
        let leaving: Vec<_> = serving.iter().skip(to).cloned().collect();
        Ok(self.plan(layer, serving, replicas, joining, leaving))
    }

    fn drain(&self, node: &str) -> Result<Plan, Refusal> {
        let (planned, layer) = self.find(node)?;
        let precondition = |reason: String| Err(Refusal::new(RefusalKind::Precondition, reason));
        let (name, incarnation) = (&planned.name, planned.incarnation);
        if !self.layout.members.contains_key(&incarnation) {
            return precondition(format!("{layer} {name} is idle and holds nothing: stop it whenever you like"));
        }
        if self.layout.leaving.contains(&incarnation) {
            return precondition(format!("{layer} {name} is leaving already"));
        }
        let serving = self.serving(layer);
        let staying = serving.iter().filter(|node| node.incarnation != incarnation).count();
        let wanted = usize::from(self.observation.desired.of(layer));
        let joining: Vec<_> = self.idle(layer).into_iter().take(wanted.saturating_sub(staying)).collect();
        // Who gives nodes gives one in its place.
        let given = self.observation.supply.most().map_or(0, usize::from).min(wanted);
        let to = (staying + joining.len()).max(given);
        if to == 0 {
            return precondition(format!(
                "{layer} {name} is the last {}: start another one first (`gomera {layer}`)",
                plural(layer, 1)
            ));
        }
        let to = u16::try_from(to).unwrap_or(u16::MAX);
        Ok(self.plan(layer, serving, to, joining, vec![planned]))
    }

    fn rebalance(&self) -> Plan {
        let moves = |layer| {
            let serving: BTreeSet<_> = self.serving(layer).iter().map(|node| node.incarnation).collect();
            scaling::moves(self.layout, layer, &serving, &[])
        };
        Plan {
            epoch: self.layout.epoch,
            slices: Layer::ALL.into_iter().map(moves).sum(),
            snapshot_bytes: self.observation.snapshot_bytes(),
            ..Plan::default()
        }
    }

    fn plan(
        &self,
        layer: Layer,
        members: Vec<PlannedNode>,
        to: u16,
        joining: Vec<PlannedNode>,
        leaving: Vec<PlannedNode>,
    ) -> Plan {
        let leaves = |node: &PlannedNode| leaving.iter().any(|other| other.incarnation == node.incarnation);
        let staying: BTreeSet<_> = members.iter().filter(|node| !leaves(node)).map(|node| node.incarnation).collect();
        let mut newcomers: Vec<_> = joining
            .iter()
            .filter_map(|node| self.observation.members.get(&node.incarnation))
            .map(|node| (node.incarnation, node.shards))
            .collect();
        newcomers.extend(unborn(usize::from(to).saturating_sub(staying.len() + newcomers.len())));
        let from = u16::try_from(members.len()).unwrap_or(u16::MAX);
        Plan {
            epoch: self.layout.epoch,
            changes: vec![Change { layer, from, to, wanted: self.observation.desired.of(layer) }],
            slices: scaling::moves(self.layout, layer, &staying, &newcomers),
            snapshot_bytes: self.observation.snapshot_bytes(),
            members,
            joining,
            leaving,
        }
    }

    /// A node by its name or its incarnation.
    fn find(&self, node: &str) -> Result<(PlannedNode, Layer), Refusal> {
        let members = self.layout.members.iter();
        let known = members.map(|(&incarnation, member)| (member.name.clone(), incarnation, member.layer));
        let registered = self.observation.members.values();
        let idle = registered.filter(|node| !self.layout.members.contains_key(&node.incarnation));
        let idle = idle.map(|node| (node.name.clone(), node.incarnation, node.layer));
        let all: Vec<(Arc<str>, Incarnation, Layer)> = known.chain(idle).collect();
        let wanted = parse_incarnation(node);
        let found: Vec<_> =
            all.iter().filter(|(name, incarnation, _)| **name == *node || Some(*incarnation) == wanted).collect();
        match found[..] {
            [(name, incarnation, layer)] => Ok((PlannedNode { name: name.clone(), incarnation: *incarnation }, *layer)),
            [] => {
                let mut names: Vec<_> = all.iter().map(|(name, ..)| name.as_ref()).collect();
                names.sort_unstable();
                let more = if names.len() > NAMES_MAX { ", …" } else { "" };
                let names = names[..names.len().min(NAMES_MAX)].join(", ");
                let reason = format!("there is no node «{node}»; the nodes are {names}{more}");
                Err(Refusal::new(RefusalKind::NotFound, reason))
            }
            _ => {
                let lives: Vec<_> = found.iter().map(|(_, node, layer)| format!("{layer} {node}")).collect();
                let reason = format!("{} nodes are called «{node}»: name one as {}", found.len(), lives.join(" or "));
                Err(Refusal::new(RefusalKind::Invalid, reason))
            }
        }
    }
}

/// Stand for nodes that do not run yet, one shard each, when slices are counted.
pub(super) fn unborn(nodes: usize) -> impl Iterator<Item = (Incarnation, u16)> {
    (0..u64::MAX).rev().take(nodes).map(|node| (Incarnation(node), 1))
}

fn planned(node: &Registration) -> PlannedNode {
    PlannedNode { name: node.name.clone(), incarnation: node.incarnation }
}

fn by_name(mut nodes: Vec<PlannedNode>) -> Vec<PlannedNode> {
    nodes.sort_by(|one, other| supply::by_name((&one.name, one.incarnation), (&other.name, other.incarnation)));
    nodes
}
