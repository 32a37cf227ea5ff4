//! How nodes come and die: others are wanted than before, crashes, and nodes that are taken for dead and wake up.
//!
//! ```text
//!   waiting ──wanted──▶ serving ──┬── crash ──▶ crashed ──┐ dropped_after
//!                                 ├── pause ──▶ paused ───┴─ declared dead ──▶ gone, and awake some time later
//!                                 └── not wanted ───────────────────────────▶ leaves by plan
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Layout, Member, Replica, Role};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Frame;

use super::World;
use crate::agenda::Due;
use crate::node::{AnyMachine, Fate, NodeIndex};
use crate::plan::{Losses, Shape};
use crate::random::millis;
use crate::tally::Transition;
use crate::verdict::{Promise, Violation};

/// Those that the first layout names.
pub(super) fn first(shape: &Shape, members: &BTreeMap<Incarnation, Member>) -> BTreeMap<Incarnation, Member> {
    let of_layer = |(place, layer): (usize, Layer)| {
        let of_layer = members.iter().filter(move |(_, member)| member.layer == layer);
        of_layer.take(usize::from(shape.nodes[place])).map(|(&node, member)| (node, member.clone()))
    };
    Layer::ALL.into_iter().enumerate().flat_map(of_layer).collect()
}

impl World {
    /// The shards of a node.
    pub(super) fn shards(&self, node: Incarnation) -> Vec<NodeIndex> {
        let machines = self.nodes.iter().enumerate().filter(|(_, machine)| machine.address.node == node);
        machines.map(|(index, _)| NodeIndex(index)).collect()
    }

    pub(super) fn node_name(&self, node: Incarnation) -> String {
        let first = self.shards(node)[0];
        let name = &self.nodes[first.0].name;
        name.split_once('.').map_or(name.as_str(), |(name, _)| name).to_owned()
    }

    pub(super) fn fate(&self, node: Incarnation) -> Fate {
        self.nodes[self.shards(node)[0].0].fate
    }

    pub(super) fn layer_of(&self, node: Incarnation) -> Layer {
        self.members[&node].layer
    }

    /// Nodes of a layer that the latest layout names, that are wanted, and that nothing has happened to.
    fn well(&self, layer: Layer) -> Vec<Incarnation> {
        let members = self.latest().members.iter();
        let nodes = members.filter(|(_, member)| member.layer == layer).map(|(&node, _)| node);
        nodes.filter(|&node| self.is_sound(node) && self.is_wanted(node) && self.stays(node)).collect()
    }

    /// Nodes that could be missed: another one of their layer would be left.
    pub(super) fn spare(&self) -> Vec<Incarnation> {
        let layers = Layer::ALL.into_iter().map(|layer| self.well(layer));
        layers.filter(|well| well.len() > 1).flatten().collect()
    }

    /// Whether each slice of a node is whole at another one that is well, by the layout in force and by what is proposed.
    fn others_have_its_slices(&self, node: Incarnation) -> bool {
        let has_it = |replica: &Replica| match replica.role {
            Role::Standby | Role::Active | Role::Retiring => {
                replica.holder.node != node && self.is_sound(replica.holder.node)
            }
            Role::Joining => false,
        };
        let mut layouts = std::iter::once(self.latest()).chain(self.proposed());
        layouts.all(|layout| {
            layout.matcher.iter().chain(&layout.session).all(|placement| placement.replicas.iter().any(has_it))
        })
    }

    /// Nodes that have never been wanted.
    fn waiting(&self) -> Vec<Incarnation> {
        let firsts = self.nodes.iter().filter(|node| node.address.shard.0 == 0);
        let nodes = firsts.map(|node| node.address.node);
        let is_known = |node| self.layouts.values().any(|layout| layout.members.contains_key(&node));
        nodes.filter(|&node| !is_known(node) && !self.is_wanted(node) && self.fate(node) == Fate::Well).collect()
    }

    /// The operator wants something else: one node more, or one less, or the same.
    pub(super) fn change_mind(&mut self) {
        if self.government.is_some() {
            return;
        }
        let waiting = self.waiting();
        let mut changed = false;
        if !waiting.is_empty() && self.fates.chance(800) {
            let node = *self.fates.pick(&waiting);
            self.want(node, true);
            changed = true;
        }
        let spare = self.spare();
        if !spare.is_empty() && self.fates.chance(self.plan.points.withdrawals) {
            let node = *self.fates.pick(&spare);
            self.want(node, false);
            changed = true;
        }
        if !changed {
            self.renew();
        }
    }

    /// A node that stopped is declared dead.
    pub(super) fn bury(&mut self, node: Incarnation) {
        if self.government.is_some() {
            return self.end_session(node);
        }
        self.declare_dead(node);
    }

    /// A node crashes, or is paused and taken for dead, if another one of its layer is left.
    pub(super) fn stop_some(&mut self) {
        let mut spare = self.spare();
        let may_lose = self.plan.points.losses == Losses::Some;
        spare.retain(|&node| match self.layer_of(node) {
            Layer::Matcher => may_lose || self.others_have_its_slices(node),
            Layer::ExitPoint => self.others_have_its_slices(node),
            Layer::ConnectionPoint | Layer::AccessPoint => true,
        });
        if spare.is_empty() || !self.stage.is_rough() {
            return;
        }
        let node = *self.fates.pick(&spare);
        let (low, high) = self.plan.points.dropped_after;
        let dropped = self.fates.duration(low, high);
        if self.fates.chance(self.plan.points.paused) {
            // It wakes up when the others go on without it: much later than it is declared dead, as a rule.
            let pause = dropped + self.fates.duration(millis(10), millis(1000));
            self.pause(node, pause);
        } else {
            self.crash(node);
        }
        self.stage.after(dropped, Due::Drop(node));
    }

    /// A node crashes: it stops at once, its links and its clients' streams end.
    pub(super) fn crash(&mut self, node: Incarnation) {
        let now = self.stage.now;
        let name = self.node_name(node);
        self.stage.note(|| format!("--- {name} crashes"));
        self.count_stop(
            node,
            [Transition::PointCrashed, Transition::AccessCrashed, Transition::MatcherCrashed, Transition::ExitCrashed],
        );
        for index in self.shards(node) {
            let machine = &mut self.nodes[index.0];
            if let AnyMachine::ConnectionPoint(point) = &machine.machine {
                let statistics = point.statistics();
                let held = [
                    (statistics.sessions > 0, Transition::PointCrashedAttached),
                    (statistics.publications_unacknowledged_bytes > 0, Transition::PointCrashedUnacknowledged),
                    (statistics.operations_unanswered_bytes > 0, Transition::PointCrashedUnanswered),
                ];
                for (_, transition) in held.into_iter().filter(|&(held, _)| held) {
                    self.stage.tally.count(transition);
                }
            }
            if let AnyMachine::AccessPoint(access_point) = &machine.machine
                && access_point.statistics().retained_entries > 0
            {
                self.stage.tally.count(Transition::AccessCrashedRetaining);
            }
            machine.fate = Fate::Crashed;
            machine.inbox.clear();
            machine.work_at = None;
            self.network.cut(index);
            self.stage.unsure.insert(index, now);
            self.stage.doors.crash(now, index, &mut self.stage.agenda);
        }
    }

    /// One that is to come in crashes, and its session ends some time later.
    pub(super) fn crash_soon_buried(&mut self, node: Incarnation) {
        let (low, high) = self.plan.points.dropped_after;
        let dropped = self.fates.duration(low, high);
        self.crash(node);
        self.stage.after(dropped, Due::Drop(node));
    }

    fn count_stop(
        &mut self,
        node: Incarnation,
        [of_point, of_access_point, of_matcher, of_exit_point]: [Transition; 4],
    ) {
        match self.layer_of(node) {
            Layer::ConnectionPoint => self.stage.count(of_point),
            Layer::AccessPoint => self.stage.count(of_access_point),
            Layer::Matcher => {
                self.stage.count(of_matcher);
                let now = self.stage.now;
                self.stage.history.matcher_stopped.get_or_insert(now);
            }
            Layer::ExitPoint => self.stage.count(of_exit_point),
        }
    }

    /// A node stands still for a while, and is taken for dead meanwhile.
    pub(super) fn pause(&mut self, node: Incarnation, pause: Duration) {
        let now = self.stage.now;
        let name = self.node_name(node);
        self.stage.note(|| format!("--- {name} stands still for {pause:?}"));
        self.count_stop(
            node,
            [Transition::PointPaused, Transition::AccessPaused, Transition::MatcherPaused, Transition::ExitPaused],
        );
        for index in self.shards(node) {
            let machine = &mut self.nodes[index.0];
            machine.fate = Fate::Paused;
            machine.stalled_until = machine.stalled_until.max(now + pause);
            self.stage.unsure.insert(index, now);
            self.stage.doors.pause(now, index, pause + millis(200), &mut self.stage.agenda);
        }
    }

    /// A machine works: if it stood still, it does so no more.
    pub(super) fn has_woken(&mut self, index: NodeIndex) {
        let machine = &mut self.nodes[index.0];
        if machine.fate == Fate::Paused {
            let node = machine.address.node;
            let fate = if self.comes_back(node) { Fate::Well } else { Fate::Woken };
            let machine = &mut self.nodes[index.0];
            machine.fate = fate;
            let name = &machine.name;
            self.stage.transcript.note(self.stage.now, || format!("{name} wakes up"));
        }
    }

    /// A node that stopped and that the latest layout names.
    pub(super) fn stopped_and_named(&self) -> Option<String> {
        let mut members = self.latest().members.keys().copied();
        members.find(|&node| self.fate(node) != Fate::Well).map(|node| self.node_name(node))
    }

    /// Somebody who still waits for a connection point that was dropped.
    pub(super) fn remembered(&self) -> Option<String> {
        let gone = self.stage.unsure.keys().map(|index| &self.nodes[index.0]);
        gone.filter(|gone| !self.latest().names(gone.address)).find_map(|gone| {
            let holder = self.nodes.iter().find(|node| !node.is_crashed() && node.remembers(gone.address))?;
            Some(format!("{} holds something for {}, which is dropped", holder.name, gone.name))
        })
    }

    /// Nobody sends to a machine that its layout does not name, but for what it had to say when that layout came.
    pub(super) fn check_addressee(&mut self, index: NodeIndex, epoch_before: Epoch, send: &Send) {
        let node = &self.nodes[index.0];
        let Some(layout) = node.layout.as_ref().filter(|layout| layout.epoch == epoch_before) else { return };
        if !layout.names(send.to) {
            let to = self.names.of_machine(send.to);
            let what = format!("{} sends to {to}, which its layout {} does not name", node.name, layout.epoch.0);
            let subjects = vec![node.name.clone(), to];
            self.stage.violation.get_or_insert(Violation { promise: Promise::Retention, what, subjects });
        }
    }

    /// Counts a frame whose sender the receiver's layout does not name.
    pub(super) fn count_refused(&mut self, index: NodeIndex, frame: &Frame) {
        let layout = self.nodes[index.0].layout.as_ref();
        let refused = layout.is_some_and(|layout| frame.epoch <= layout.epoch && !layout.names(frame.from));
        if refused {
            let from = self.by_address[&frame.from];
            self.stage.count(match self.nodes[from.0].fate {
                Fate::Woken => Transition::ZombieRefused,
                Fate::Well | Fate::Paused | Fate::Crashed => Transition::DroppedRefused,
            });
        }
    }

    /// Counts what a layout that a machine is about to hear changes there.
    pub(super) fn count_change(&mut self, index: NodeIndex, layout: &Layout) {
        let node = &self.nodes[index.0];
        let named_before = node.layout.as_ref().is_some_and(|before| before.names(node.address));
        if node.layer == Layer::ConnectionPoint
            && !named_before
            && layout.names(node.address)
            && layout.epoch > Epoch(1)
        {
            self.stage.count(Transition::PointAdded);
        }
        let node = &self.nodes[index.0];
        if node.layer == Layer::Matcher && !named_before && layout.names(node.address) && layout.epoch > Epoch(1) {
            self.stage.count(Transition::MatcherAdded);
        }
        let node = &self.nodes[index.0];
        if node.layer == Layer::ExitPoint && !named_before && layout.names(node.address) && layout.epoch > Epoch(1) {
            self.stage.count(Transition::ExitAdded);
        }
        let node = &self.nodes[index.0];
        if let AnyMachine::ExitPoint(exit_point) = &node.machine {
            let gone = self.stage.unsure.keys().map(|gone| self.nodes[gone.0].address);
            let forgotten = gone.filter(|&gone: &Address| !layout.names(gone) && exit_point.remembers(gone)).count();
            self.stage.tally.add(Transition::PointForgotten, u64::try_from(forgotten).expect("few"));
        }
    }

    /// A connection point that goes by plan has no clients any more: nobody is disconnected.
    pub(super) fn check_vacant(&mut self, node: Incarnation) {
        for index in self.shards(node) {
            let machine = &self.nodes[index.0];
            if let AnyMachine::ConnectionPoint(point) = &machine.machine
                && point.statistics().connections > 0
            {
                let subjects = vec![machine.name.clone()];
                let what = format!("{} is dropped by plan, and clients are connected there", machine.name);
                self.stage.violate(Promise::Surface, subjects, what);
            }
        }
    }

    /// A node by its name, for scripts.
    pub(super) fn node_named(&self, name: &str) -> Result<Incarnation, String> {
        let mut nodes = self.nodes.iter().map(|node| node.address.node);
        nodes.find(|&node| self.node_name(node) == name).ok_or_else(|| format!("there is no node {name}"))
    }
}
