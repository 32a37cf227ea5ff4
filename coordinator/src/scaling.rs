//! The way from the layout in force to the one that is wanted, one layout at a time. Scaling out and in, draining,
//! rebalancing, replacement and fail-over are all the same: say who should serve and who is dead, and ask for the next layout
//! until there is none.
//!
//! ```text
//!            Goal, Knowledge
//!   layout ─────────────────▶ next ─┬─▶ Propose(layout, lost)   deaths first, then everything that may happen now
//!      ▲                            ├─▶ Wait(for what)          a report has to come first
//!      └────── committed ◀──────────┘   Done                    the goal is reached
//! ```
//! Pure and level-triggered: it keeps nothing between two calls, so whoever leads next goes on where the last one stopped.
//!
//! Invariants of what is proposed, claimed in `scaling/tests.rs`: a slice that has an active replica never goes without one; an
//! active replica is only replaced by one that holds everything, unless it died and none did (then the slice is `lost`); a live
//! replica leaves only when every open lane has written the barrier of the layout in force; a standby of a session slice takes over from
//! one that lives only when it has agreed with that about the end of lanes that were fenced; a member goes only when it holds nothing and
//! everybody has acted on the layout that says so.

mod climb;
mod knowledge;
mod lanes;
mod supersede;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::layout::{Epoch, Layout, Member, Placement, Replica, Role};
use gomera_cluster::position::LaneId;
use gomera_cluster::rules::{self, Rule};

use climb::Permitted;
pub use knowledge::Knowledge;
pub use supersede::supersede;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Goal {
    /// Who should serve. Members of the layout that are not among them leave by plan.
    pub serving: BTreeMap<Incarnation, Member>,
    /// Lanes of each access-point shard.
    pub lanes_per_shard: u16,
    /// Most slices of one layer that may have a joining replica at the same time; at least 1.
    pub joining_max: usize,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Awaited {
    /// Snapshots: so many replicas of a layer are joining.
    Snapshots(Layer, usize),
    /// Barriers, before replicas may leave.
    Barriers,
    /// The end of lanes that drain.
    Drained(LaneId),
    /// Acting on the layout: everybody's before members may go, a standby's on what it fenced before that may take over by plan.
    Acted,
    /// Clients that have to leave a connection point.
    Clients(Incarnation),
    /// A node: a layer has none that should serve and lives.
    Node(Layer),
}

/// What comes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// This layout is to be proposed.
    Propose(Proposal),
    /// Nothing can be done before these.
    Wait(BTreeSet<Awaited>),
    /// The layout is as it should be.
    Done,
}

/// A layout to be proposed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// The layout.
    pub layout: Layout,
    /// Slices whose state died with their last replica that had it: their new active replica begins with nothing.
    pub lost: BTreeSet<(Layer, u16)>,
    /// Replicas that begin to join.
    pub joining: usize,
    /// Slices that get another active replica.
    pub activated: usize,
}

/// The next step from `layout`, which is committed, towards the goal.
#[must_use]
pub fn next(layout: &Layout, goal: &Goal, knowledge: &Knowledge) -> Next {
    let mut draft = Draft {
        layout: Layout { epoch: Epoch(layout.epoch.0 + 1), ..layout.clone() },
        lost: BTreeSet::new(),
        joining: 0,
        activated: 0,
        awaited: BTreeSet::new(),
    };
    let bereaved = draft.bury(layout, knowledge);
    if bereaved {
        draft.call_back(goal);
    } else {
        draft.admit(goal, knowledge);
    }
    draft.lanes(goal, knowledge);
    for layer in Layer::ALL {
        draft.slices(layer, layout, goal, knowledge, bereaved);
    }
    if !bereaved {
        draft.dismiss(layout, goal, knowledge);
    }
    draft.into_next(layout)
}

/// How many slices of a layer get another active replica on the way to these nodes: those of its members that stay, and others that
/// come in, with their shards.
#[must_use]
pub fn moves(
    layout: &Layout,
    layer: Layer,
    staying: &BTreeSet<Incarnation>,
    newcomers: &[(Incarnation, u16)],
) -> usize {
    let placements = match layer {
        Layer::Matcher => &layout.matcher,
        Layer::ExitPoint => &layout.session,
        Layer::ConnectionPoint | Layer::AccessPoint => return 0,
    };
    let staying = layout.machines(layer).filter(|machine| staying.contains(&machine.node));
    let newcomers = newcomers
        .iter()
        .flat_map(|&(node, shards)| (0..shards).map(move |shard| Address { node, shard: Shard(shard) }));
    let machines: Vec<_> = staying.chain(newcomers).collect();
    if machines.is_empty() {
        return 0;
    }
    let targets = target::targets(placements, &machines, usize::from(layout.settings.replication).max(1));
    placements.iter().zip(targets).filter(|(placement, target)| placement.active() != Some(target.active)).count()
}

/// A first layout with standbys, as far as replication asks for them: nobody has anything yet, so all have everything.
#[must_use]
pub fn with_standbys(mut first: Layout) -> Layout {
    let replication = usize::from(first.settings.replication).max(1);
    for layer in Layer::ALL {
        let machines: Vec<_> = first.machines(layer).collect();
        let placements = match layer {
            Layer::Matcher => &mut first.matcher,
            Layer::ExitPoint => &mut first.session,
            Layer::ConnectionPoint | Layer::AccessPoint => continue,
        };
        if machines.is_empty() {
            continue;
        }
        let targets = target::targets(placements, &machines, replication);
        for (placement, target) in placements.iter_mut().zip(targets) {
            for holder in target.standbys {
                climb::insert(placement, Replica { holder, role: Role::Standby });
            }
        }
    }
    first
}

struct Draft {
    layout: Layout,
    lost: BTreeSet<(Layer, u16)>,
    joining: usize,
    activated: usize,
    awaited: BTreeSet<Awaited>,
}

impl Draft {
    /// Takes the dead out, with their replicas and lanes; whether there were any.
    fn bury(&mut self, before: &Layout, knowledge: &Knowledge) -> bool {
        let dead = |node: Incarnation| knowledge.dead.contains(&node);
        let bereaved = before.members.keys().any(|&node| dead(node));
        if bereaved {
            self.layout.members.retain(|&node, _| !dead(node));
            self.layout.leaving.retain(|&node| !dead(node));
            for placement in self.layout.matcher.iter_mut().chain(&mut self.layout.session) {
                placement.replicas.retain(|replica| !dead(replica.holder.node));
            }
            lanes::fence(&mut self.layout);
        }
        bereaved
    }

    /// Calls back who is to stay, now that others have died, and all of a layer in which everybody else has: whoever takes their place
    /// comes in with the layout after.
    fn call_back(&mut self, goal: &Goal) {
        let Layout { members, leaving, .. } = &mut self.layout;
        leaving.retain(|node| !goal.serving.contains_key(node));
        for layer in Layer::ALL {
            let mut of_layer = members.iter().filter(|(_, member)| member.layer == layer);
            if of_layer.all(|(node, _)| leaving.contains(node)) {
                leaving.retain(|node| members[node].layer != layer);
            }
        }
    }

    /// Lets those in who should serve.
    fn admit(&mut self, goal: &Goal, knowledge: &Knowledge) {
        for (&node, member) in &goal.serving {
            if !knowledge.dead.contains(&node) {
                self.layout.members.entry(node).or_insert_with(|| member.clone());
            }
        }
    }

    /// Opens and drains lanes, forgets those that ended long ago.
    fn lanes(&mut self, goal: &Goal, knowledge: &Knowledge) {
        self.awaited.extend(lanes::arrange(&mut self.layout, goal, knowledge));
    }

    /// Moves replicas of one layer a step up or down.
    fn slices(&mut self, layer: Layer, before: &Layout, goal: &Goal, knowledge: &Knowledge, bereaved: bool) {
        let mut machines = self.machines(layer, goal);
        if machines.is_empty() {
            self.awaited.insert(Awaited::Node(layer));
            // Who leaves stays until somebody can take over.
            machines.extend(self.layout.machines(layer));
        }
        if machines.is_empty() {
            return;
        }
        let epoch = self.layout.epoch;
        let replication = usize::from(self.layout.settings.replication).max(1);
        let placements = match layer {
            Layer::Matcher => &mut self.layout.matcher,
            Layer::ExitPoint => &mut self.layout.session,
            Layer::ConnectionPoint | Layer::AccessPoint => return,
        };
        let targets = target::targets(placements, &machines, replication);
        let mut room = goal.joining_max.max(1).saturating_sub(climb::joining(placements));
        let has_barriers = knowledge.all_lanes_govern(before) || !rules::holds(Rule::LeavesAfterTheBarriers);
        // A replica that has not agreed with the one before about the end of a fenced lane would lead by its own, which may be another one.
        let agreed = |holder: Address| layer == Layer::Matcher || knowledge.has_acted_on_fences(before, holder.node);
        for (slice, (placement, target)) in (0_u16..).zip(placements.iter_mut().zip(targets)) {
            let installed = |holder| knowledge.installed.contains(&(layer, slice, holder));
            let permitted = Permitted { installed, agreed, leaving: !bereaved && has_barriers };
            if climb::succeed(placement, &installed, epoch, target.active) {
                self.lost.insert((layer, slice));
            }
            if bereaved {
                // Whoever can take over does so at once; the rest of the way begins with the layout after.
                continue;
            }
            let before = placement.active();
            let moved = climb::climb(placement, &target, &permitted, epoch, &mut room);
            self.joining += moved.joined;
            self.activated += usize::from(placement.active() != before);
            if moved.awaits_barriers {
                self.awaited.insert(Awaited::Barriers);
            }
            if moved.awaits_agreement {
                self.awaited.insert(Awaited::Acted);
            }
        }
        let joining = climb::joining(placements);
        if joining > 0 {
            self.awaited.insert(Awaited::Snapshots(layer, joining));
        }
    }

    /// Says who is to leave, calls back who is to stay, and lets members go that hold nothing any more.
    fn dismiss(&mut self, before: &Layout, goal: &Goal, knowledge: &Knowledge) {
        let members = self.layout.members.iter().filter(|(node, _)| !goal.serving.contains_key(node));
        let leaving = members.map(|(&node, member)| (node, member.layer)).collect::<Vec<_>>();
        self.layout.leaving = leaving.iter().map(|&(node, _)| node).collect();
        for (node, layer) in leaving {
            if layer == Layer::ConnectionPoint {
                // What it said before it was told to leave does not count: clients may have come since.
                if knowledge.vacated.contains(&node) && before.leaving.contains(&node) {
                    self.dismissed(node);
                } else {
                    self.awaited.insert(Awaited::Clients(node));
                }
            } else if !holds_anything(before, node) {
                let others = before.members.keys().copied().filter(|&other| other != node);
                if knowledge.all_acted(others, before.epoch) {
                    self.dismissed(node);
                } else {
                    self.awaited.insert(Awaited::Acted);
                }
            }
        }
    }

    fn dismissed(&mut self, node: Incarnation) {
        self.layout.members.remove(&node);
        self.layout.leaving.remove(&node);
    }

    /// The machines that may get slices.
    fn machines(&self, layer: Layer, goal: &Goal) -> Vec<Address> {
        self.layout.machines(layer).filter(|machine| goal.serving.contains_key(&machine.node)).collect()
    }

    fn into_next(self, before: &Layout) -> Next {
        if (Layout { epoch: before.epoch, ..self.layout.clone() }) != *before {
            let Self { layout, lost, joining, activated, awaited: _ } = self;
            return Next::Propose(Proposal { layout, lost, joining, activated });
        }
        if self.awaited.is_empty() { Next::Done } else { Next::Wait(self.awaited) }
    }
}

/// Whether a node has a replica or a lane.
fn holds_anything(layout: &Layout, node: Incarnation) -> bool {
    let holds = |placement: &Placement| placement.replicas.iter().any(|replica| replica.holder.node == node);
    layout.matcher.iter().chain(&layout.session).any(holds)
        || layout.lanes.values().any(|lane| lane.writer.node == node)
}

#[cfg(test)]
mod tests;
