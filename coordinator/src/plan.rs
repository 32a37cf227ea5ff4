//! What a leader should do next, from what stands in the coordination service and from who has been absent for how long.
//! Level-triggered: the same observation gives the same plan, so that a lost write is asked for again and a repeated one
//! does no harm.
//!
//! ```text
//! gathering ──► proposing ──► acknowledging ──► committing ──► governing
//!     ▲                             │                              │
//!     └───── a silent member gone ──┴── every member gone: expiring┘
//! ```
//!
//! Invariants: an epoch is proposed with one content only; a layout is committed only when every member has acknowledged
//! it; a fresh layout replaces another only when no member of that one is left; lane ids and epochs only grow. While members of
//! a layout are left, another one follows it as [`scaling`] says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::position::LaneId;
use gomera_cluster::report::Report;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::coordinator::Action;
use crate::desired::Desired;
use crate::operations::{OperationId, Running, Standing, State, Step, Stepping, Waits};
use crate::presence::{Absences, Presence, Probe};
use crate::registration::{NodeState, Registration};
use crate::scaling::{self, Goal, Knowledge, Next, Proposal};
use crate::status::{LayerCount, Phase};
use crate::supply::{self, Supply};

/// Most slices of one layer that move at the same time. Each batch costs some layouts of a tenth of a second each, whatever it moves: 128 session slices took
/// 3.5 s in batches of 32, and 0.6 s at once. Copies are paced by windows of their own, and what joins keeps operations within a bound of each slice.
const JOINING_MAX: usize = 256;

/// The first lane of a cluster; zero stands in no layout.
const LANE_FIRST: LaneId = LaneId(1);

/// What stands in the coordination service.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    /// Who is registered.
    pub members: BTreeMap<Incarnation, Registration>,
    /// Nodes wanted.
    pub desired: Desired,
    /// The committed layout.
    pub layout: Option<Arc<Layout>>,
    /// The layout proposed last, committed or not.
    pub proposed: Option<Arc<Layout>>,
    /// The last proposal that each node said it has.
    pub acknowledged: BTreeMap<Incarnation, Epoch>,
    /// What the machines of each node said with that of how far they have come.
    pub reports: BTreeMap<Address, Report>,
    /// What came of asking nodes directly that did not answer.
    pub probes: BTreeMap<Incarnation, Probe>,
    /// The journal.
    pub operations: BTreeMap<OperationId, Standing>,
    /// Where nodes come from.
    pub supply: Supply,
    /// Why nodes of a layer do not come, in the words of who provides them.
    pub shortages: BTreeMap<Layer, String>,
}

impl Observation {
    /// The proposal that is not committed yet.
    fn outstanding(&self) -> Option<&Arc<Layout>> {
        let committed = self.layout.as_ref().map_or(Epoch::default(), |layout| layout.epoch);
        self.proposed.as_ref().filter(|proposed| proposed.epoch > committed)
    }

    /// Bytes of snapshots that the machines have sent that are there.
    pub(crate) fn snapshot_bytes(&self) -> u64 {
        self.reports.values().map(|report| report.snapshot_bytes).sum()
    }

    /// Everybody whom a layout that matters names.
    pub(crate) fn named(&self) -> BTreeSet<Incarnation> {
        let layouts = self.layout.iter().chain(self.outstanding());
        layouts.flat_map(|layout| layout.members.keys().copied()).collect()
    }

    /// Whom something speaks against, with where links reach them: a layout names them and they are not registered, or have not
    /// acknowledged what is proposed; peers cannot reach them (`unreachable`); or they did not answer and are registered still.
    #[must_use]
    pub fn suspects(&self, unreachable: &BTreeSet<Incarnation>) -> BTreeMap<Incarnation, Arc<str>> {
        let mut suspects = BTreeMap::new();
        for layout in self.layout.iter().chain(self.outstanding()) {
            for (&node, member) in &layout.members {
                let is_there = self.members.contains_key(&node) && !unreachable.contains(&node);
                let has_it = self.acknowledged.get(&node).is_some_and(|&epoch| epoch >= layout.epoch);
                if !is_there || !has_it {
                    suspects.insert(node, member.link_address.clone());
                }
            }
        }
        let unanswered = self.members.iter().filter(|(node, _)| self.probes.contains_key(node));
        suspects.extend(unanswered.map(|(&node, member)| (node, member.link_address.clone())));
        suspects
    }

    /// Who does not answer because there is nobody is not registered, whatever the coordination service still says.
    pub(crate) fn forget_refused(&mut self) {
        self.members.retain(|node, _| self.probes.get(node) != Some(&Probe::Refused));
    }

    /// The operation that is under way.
    pub(crate) fn running(&self) -> Option<(&OperationId, &Running)> {
        self.operations.iter().find_map(|(id, standing)| match &standing.operation.state {
            State::Running(running) => Some((id, running)),
            State::Requested | State::Ended(_) => None,
        })
    }

    /// Whether the operation under way has this node leave.
    pub(crate) fn sends_away(&self, node: Incarnation) -> bool {
        let leaving = self.running().into_iter().flat_map(|(_, running)| &running.plan.leaving);
        leaving.into_iter().any(|leaving| leaving.incarnation == node)
    }

    fn layouts(&self) -> impl Iterator<Item = &Arc<Layout>> {
        self.layout.iter().chain(&self.proposed)
    }
}

/// What to do next.
pub(crate) struct Plan {
    pub(crate) phase: Phase,
    pub(crate) write: Option<Action>,
    /// When to plan again without having been told anything.
    pub(crate) again: Option<Instant>,
}

/// Who of a layer should serve, and who of it is dead.
struct Staff {
    serving: BTreeMap<Incarnation, Member>,
    dead: BTreeSet<Incarnation>,
}

/// What planning looks at.
pub(crate) struct Planner<'a> {
    pub(crate) config: &'a Config,
    pub(crate) settings: &'a Settings,
    pub(crate) observation: &'a Observation,
    pub(crate) absences: &'a Absences,
    pub(crate) waits: &'a Waits,
    pub(crate) now: Instant,
}

impl Planner<'_> {
    pub(crate) fn plan(&self) -> Plan {
        let (phase, write) = self.decide();
        let grace = self.absences.next_end(self.config, self.now);
        let patience = self.waits.next_end(self.config.node_wait, self.now);
        Plan { phase, write, again: grace.into_iter().chain(patience).min() }
    }

    fn decide(&self) -> (Phase, Option<Action>) {
        let committed = self.observation.layout.as_ref();
        let in_force = committed.map_or(Presence::Gone, |layout| self.presence(layout.members.keys()));
        match (self.observation.outstanding(), committed) {
            (Some(proposal), _) => self.bring_through(proposal, in_force),
            (None, None) => self.form(),
            (None, Some(layout)) => match in_force {
                Presence::Present => self.lead(layout),
                Presence::Absent => (Phase::Expiring { epoch: layout.epoch, members: layout.members.len() }, None),
                Presence::Gone => self.form(),
            },
        }
    }

    /// An outstanding proposal is committed when every member has it. If one that has not is gone, then, as long as nobody
    /// follows an earlier layout, a fresh proposal takes its place.
    fn bring_through(&self, proposal: &Arc<Layout>, in_force: Presence) -> (Phase, Option<Action>) {
        let has_it =
            |node: &Incarnation| self.observation.acknowledged.get(node).is_some_and(|&epoch| epoch >= proposal.epoch);
        let silent = proposal.members.keys().filter(|node| !has_it(node)).collect::<Vec<_>>();
        if silent.is_empty() {
            return (Phase::Committing { epoch: proposal.epoch }, Some(Action::Commit(proposal.clone())));
        }
        let hopeless = silent.iter().any(|&node| self.presence([node]) == Presence::Gone);
        if hopeless && in_force == Presence::Gone {
            return self.form();
        }
        // What it takes out stays out: the layout that takes its place goes on from it.
        if hopeless && let Some(next) = Self::proposing(self.supersede(proposal)) {
            return next;
        }
        let silent = silent.iter().map(|node| proposal.members[node].name.clone()).collect();
        (Phase::Acknowledging { epoch: proposal.epoch, silent }, None)
    }

    /// A layout of nodes that are registered, as soon as there are as many as wanted. Others stay idle.
    fn form(&self) -> (Phase, Option<Action>) {
        let mut chosen = BTreeMap::new();
        let mut layers = Vec::new();
        for layer in Layer::ALL {
            let wanted = usize::from(self.observation.desired.of(layer));
            let ready = self.ready(layer);
            layers.push(LayerCount { layer, registered: ready.len(), wanted });
            chosen.extend(ready.iter().take(wanted).map(|member| (member.incarnation, member.to_member())));
        }
        if layers.iter().any(|count| count.registered < count.wanted) {
            return (Phase::Gathering { layers }, None);
        }
        let epoch = self.observation.layouts().map(|layout| layout.epoch).max().unwrap_or_default();
        let epoch = Epoch(epoch.0 + 1);
        let lane_next = self.observation.layouts().map(|layout| layout.lane_next).max().unwrap_or(LANE_FIRST);
        let lanes = self.config.lanes_per_shard;
        let layout = Layout::initial(self.settings.clone(), chosen, lanes, epoch, lane_next);
        let layout = scaling::with_standbys(layout);
        (Phase::Proposing { epoch }, Some(Action::Propose(Arc::new(layout))))
    }

    /// Nodes of a layer that could serve, in order of name.
    fn ready(&self, layer: Layer) -> Vec<&Registration> {
        let members = self.observation.members.values();
        let mut ready: Vec<_> =
            members.filter(|member| member.layer == layer && member.state == NodeState::Up).collect();
        ready.retain(|member| !self.observation.probes.contains_key(&member.incarnation));
        ready.sort_by(|a, b| supply::by_name((&a.name, a.incarnation), (&b.name, b.incarnation)));
        ready
    }

    /// A layout is in force: first what is asked of it, then what comes after it.
    fn lead(&self, layout: &Layout) -> (Phase, Option<Action>) {
        let next = self.next(layout);
        let stepping = Stepping {
            observation: self.observation,
            layout,
            next: &next,
            waits: self.waits,
            node_wait: self.config.node_wait,
            now: self.now,
        };
        match stepping.step() {
            Step::Write(entry) => (self.govern(layout), Some(Action::Journal(entry))),
            Step::Forget(id, version) => (self.govern(layout), Some(Action::Forget(id, version))),
            Step::Rest => Self::proposing(next).unwrap_or_else(|| (self.govern(layout), None)),
        }
    }

    fn proposing(next: Next) -> Option<(Phase, Option<Action>)> {
        match next {
            Next::Propose(Proposal { layout, .. }) => {
                Some((Phase::Proposing { epoch: layout.epoch }, Some(Action::Propose(Arc::new(layout)))))
            }
            Next::Wait(_) | Next::Done => None,
        }
    }

    /// What comes after this layout, as the nodes that are there, what is wanted, and what was reported ask.
    fn next(&self, layout: &Layout) -> Next {
        let (goal, knowledge) = self.aim(layout);
        scaling::next(layout, &goal, &knowledge)
    }

    /// What comes in the place of a proposal that will not be committed.
    fn supersede(&self, proposal: &Layout) -> Next {
        let (goal, knowledge) = self.aim(proposal);
        let committed = self.observation.layout.as_deref().unwrap_or(proposal);
        scaling::supersede(committed, proposal, &goal, &knowledge)
    }

    /// What is wanted of who follows a layout, and what is known of it.
    fn aim(&self, layout: &Layout) -> (Goal, Knowledge) {
        let mut serving = BTreeMap::new();
        let mut dead = BTreeSet::new();
        for layer in Layer::ALL {
            let staff = self.staff(layout, layer);
            serving.extend(staff.serving);
            dead.extend(staff.dead);
        }
        let goal = Goal { serving, lanes_per_shard: self.config.lanes_per_shard, joining_max: JOINING_MAX };
        (goal, Knowledge::gather(layout, &self.observation.reports, dead))
    }

    /// Who of a layer should serve, and who of it is dead. Those that serve and live go on, as many as are wanted, the first by name;
    /// idle nodes take the places that are left. If nobody would serve, those that are to leave stay.
    fn staff(&self, layout: &Layout, layer: Layer) -> Staff {
        let of_layout = layout.members.iter().filter(|(_, member)| member.layer == layer);
        let (gone, living): (Vec<_>, Vec<_>) =
            of_layout.partition(|&(node, _)| self.presence([node]) == Presence::Gone);
        let mut idle = self.ready(layer);
        // Who was sent away may not have said yet that it is leaving.
        idle.retain(|member| {
            !layout.members.contains_key(&member.incarnation) && !self.observation.sends_away(member.incarnation)
        });
        let wanted = supply::wanted(self.config.provisioner, &self.observation.desired, layer);
        let leaves = |node: &Incarnation| {
            let member = self.observation.members.get(node);
            member.is_some_and(|member| member.state == NodeState::Draining) || self.observation.sends_away(*node)
        };
        let mut serving: Vec<_> = living.iter().copied().filter(|(node, _)| !leaves(node)).collect();
        serving.sort_by(|(a, one), (b, other)| supply::by_name((&one.name, **a), (&other.name, **b)));
        serving.truncate(wanted);
        if serving.is_empty() && idle.is_empty() {
            serving = living.clone();
        }
        let missing = wanted.saturating_sub(serving.len());
        let newcomers: Vec<_> =
            idle.iter().take(missing).map(|member| (member.incarnation, member.to_member())).collect();
        // The last one stays until another one is in: a layer is never without any.
        let dead = if living.is_empty() {
            serving.extend(gone);
            BTreeSet::new()
        } else {
            gone.iter().map(|&(&node, _)| node).collect()
        };
        let serving = serving.into_iter().map(|(&node, member)| (node, member.clone())).chain(newcomers).collect();
        Staff { serving, dead }
    }

    fn govern(&self, layout: &Layout) -> Phase {
        let members = &self.observation.members;
        Phase::Governing {
            epoch: layout.epoch,
            vanished: layout
                .members
                .iter()
                .filter(|(node, _)| !members.contains_key(node))
                .map(|(_, member)| member.name.clone())
                .collect(),
            idle: members
                .iter()
                .filter(|(node, _)| !layout.members.contains_key(node))
                .map(|(_, member)| member.name.clone())
                .collect(),
        }
    }

    fn presence<'n>(&self, nodes: impl IntoIterator<Item = &'n Incarnation>) -> Presence {
        self.absences.presence(nodes, self.observation, self.config, self.now)
    }
}
