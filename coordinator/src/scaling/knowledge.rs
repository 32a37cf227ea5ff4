//! What is known of how far members have come, put together from their reports.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, LaneEnd, Layout};
use gomera_cluster::position::LaneId;
use gomera_cluster::report::{Clients, Report};

/// What was reported since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Members that are declared dead.
    pub dead: BTreeSet<Incarnation>,
    /// Joining replicas that have their snapshot: layer, slice, holder.
    pub installed: BTreeSet<(Layer, u16, Address)>,
    /// The last barrier that each lane has written.
    pub barriers: BTreeMap<LaneId, Epoch>,
    /// The layout on which each member has acted in full: every lane has passed its barrier there, or ended.
    pub acted: BTreeMap<Incarnation, Epoch>,
    /// Draining lanes that every exit point has merged to their end.
    pub drained: BTreeSet<LaneId>,
    /// Connection points that are to leave and have no clients any more.
    pub vacated: BTreeSet<Incarnation>,
}

impl Knowledge {
    /// What the machines of a layout in force have reported. What no machine has said, or not of this layout where it belongs to
    /// one, is not known.
    #[must_use]
    pub fn gather(layout: &Layout, reports: &BTreeMap<Address, Report>, dead: BTreeSet<Incarnation>) -> Self {
        let mut knowledge = Self { dead, ..Self::default() };
        for (&node, member) in &layout.members {
            let machines = layout.machines(member.layer).filter(|machine| machine.node == node);
            let reported = machines.map(|machine| reports.get(&machine)).collect::<Option<Vec<_>>>();
            if let Some(reported) = reported {
                let acted = reported.iter().map(|report| report.acted).min().unwrap_or_default();
                knowledge.acted.insert(node, acted);
                let is_vacant = |report: &&Report| report.epoch >= layout.epoch && report.clients == Clients::None;
                if member.layer == Layer::ConnectionPoint && reported.iter().all(is_vacant) {
                    knowledge.vacated.insert(node);
                }
            }
        }
        for (&lane, of_layout) in &layout.lanes {
            let written = reports.get(&of_layout.writer).and_then(|report| report.barriers.get(&lane));
            knowledge.barriers.extend(written.map(|&epoch| (lane, epoch)));
            let has_merged = |machine| reports.get(&machine).is_some_and(|report| report.drained.contains(&lane));
            if layout.machines(Layer::ExitPoint).all(has_merged) {
                knowledge.drained.insert(lane);
            }
        }
        for (layer, machine) in
            Layer::ALL.into_iter().flat_map(|layer| layout.machines(layer).map(move |at| (layer, at)))
        {
            if let Some(report) = reports.get(&machine).filter(|report| report.epoch >= layout.epoch) {
                knowledge.installed.extend(report.installed.iter().map(|&slice| (layer, slice, machine)));
            }
        }
        knowledge
    }

    /// Whether every lane that the layout has open has written its barrier.
    pub(super) fn all_lanes_govern(&self, layout: &Layout) -> bool {
        layout.lanes.keys().all(|lane| self.barriers.get(lane).is_some_and(|&epoch| epoch >= layout.epoch))
    }

    /// Whether a member has acted on every layout that fenced a lane.
    pub(super) fn has_acted_on_fences(&self, layout: &Layout, member: Incarnation) -> bool {
        let acted = self.acted.get(&member).copied().unwrap_or_default();
        layout.ended.values().all(|&(end, at)| end != LaneEnd::Fenced || acted >= at)
    }

    /// Whether every member has acted on this layout.
    pub(super) fn all_acted(&self, members: impl IntoIterator<Item = Incarnation>, epoch: Epoch) -> bool {
        members.into_iter().all(|member| self.acted.get(&member).is_some_and(|&acted| acted >= epoch))
    }
}
