//! How connection points come and die: layouts that name others than before, crashes, and nodes that are taken for dead and
//! wake up.
//!
//! ```text
//!   waiting ──commit──▶ serving ──┬── crash ──▶ crashed ──┐ dropped_after
//!                                 ├── pause ──▶ paused ───┴─ commit ──▶ dropped, and awake some time later
//!                                 └── commit ─────────────────────────▶ dropped while it serves
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Layout, Member};
use gomera_cluster::machine::Send;
use gomera_cluster::message::Frame;
use gomera_cluster::time::Instant;

use super::World;
use crate::agenda::Due;
use crate::node::{AnyMachine, Fate, NodeIndex};
use crate::plan::Shape;
use crate::random::{micros, millis};
use crate::tally::Transition;
use crate::verdict::{Promise, Violation};

/// Those that the first layout names.
pub(super) fn first(shape: &Shape, members: &BTreeMap<Incarnation, Member>) -> BTreeMap<Incarnation, Member> {
    let points = members.iter().filter(|(_, member)| member.layer == Layer::ConnectionPoint);
    let points = points.take(usize::from(shape.nodes[0]));
    let others = members.iter().filter(|(_, member)| member.layer != Layer::ConnectionPoint);
    points.chain(others).map(|(&node, member)| (node, member.clone())).collect()
}

impl World {
    fn latest(&self) -> &Layout {
        self.layouts.last().expect("there is a layout")
    }

    /// The shards of a node.
    fn shards(&self, node: Incarnation) -> Vec<NodeIndex> {
        let machines = self.nodes.iter().enumerate().filter(|(_, machine)| machine.address.node == node);
        machines.map(|(index, _)| NodeIndex(index)).collect()
    }

    fn node_name(&self, node: Incarnation) -> String {
        let first = self.shards(node)[0];
        let name = &self.nodes[first.0].name;
        name.split_once('.').map_or(name.as_str(), |(name, _)| name).to_owned()
    }

    fn fate(&self, node: Incarnation) -> Fate {
        self.nodes[self.shards(node)[0].0].fate
    }

    /// Connection points of the latest layout that nothing has happened to.
    fn well(&self) -> Vec<Incarnation> {
        let members = self.latest().members.iter();
        let points = members.filter(|(_, member)| member.layer == Layer::ConnectionPoint).map(|(&node, _)| node);
        points.filter(|&node| self.fate(node) == Fate::Well).collect()
    }

    /// Connection points that no layout has named yet.
    fn waiting(&self) -> Vec<Incarnation> {
        let points = self.nodes.iter().filter(|node| node.layer == Layer::ConnectionPoint && node.address.shard.0 == 0);
        let nodes = points.map(|node| node.address.node);
        nodes.filter(|node| self.layouts.iter().all(|layout| !layout.members.contains_key(node))).collect()
    }

    /// One of the later layouts of the plan is committed: the same members, or one more, or one less.
    pub(super) fn commit_later(&mut self, later: usize) {
        let joining = self.waiting().first().copied().filter(|_| self.fates.chance(800));
        let well = self.well();
        let leaving = if well.len() > 1 && self.fates.chance(self.plan.points.withdrawals) {
            Some(*self.fates.pick(&well))
        } else {
            None
        };
        let epoch = self.commit(joining, leaving);
        for (index, heard) in self.hearing[later].clone().into_iter().enumerate() {
            if let Some(heard) = heard {
                self.stage.after(heard, Due::Layout(NodeIndex(index), epoch));
            }
        }
    }

    /// A layout without a node that stopped is committed; everybody hears of it, late.
    pub(super) fn bury(&mut self, node: Incarnation) {
        if !self.latest().members.contains_key(&node) {
            return;
        }
        self.stage.count(Transition::PointBuried);
        let epoch = self.commit(None, Some(node));
        for index in (0..self.nodes.len()).map(NodeIndex) {
            let most = if self.stage.is_rough() { self.plan.troubles.later_layouts.1 } else { millis(5) };
            let mut heard = self.stage.now + self.fates.duration(Duration::ZERO, most);
            if self.nodes[index.0].address.node == node {
                // It is asleep; first it sends what it has to send.
                heard = heard.max(self.nodes[index.0].stalled_until) + self.fates.duration(micros(10), millis(50));
            }
            self.stage.agenda.enter(heard, Due::Layout(index, epoch));
        }
    }

    /// Commits a layout with one more and one less than the latest.
    pub(super) fn commit(&mut self, joining: Option<Incarnation>, leaving: Option<Incarnation>) -> Epoch {
        let before = self.latest();
        let mut layout = before.clone();
        layout.epoch = Epoch(before.epoch.0 + 1);
        let mut told = String::new();
        if let Some(node) = joining {
            let member = self.members.get(&node).expect("every node is known").clone();
            layout.members.insert(node, member);
            told = format!("{told} with {}", self.node_name(node));
        }
        if let Some(node) = leaving {
            layout.members.remove(&node);
            told = format!("{told} without {}", self.node_name(node));
        }
        layout.check_follows(before).expect("only connection points come and go");
        let (epoch, now) = (layout.epoch, self.stage.now);
        if !told.is_empty() {
            self.stage.note(|| format!("--- layout {}{told}", epoch.0));
        }
        self.layouts.push(layout.into());
        if let Some(node) = joining {
            self.stage.points.extend(self.shards(node));
        }
        if let Some(node) = leaving {
            if self.fate(node) == Fate::Well {
                self.stage.count(Transition::PointDropped);
            }
            for index in self.shards(node) {
                self.stage.points.retain(|&point| point != index);
                self.stage.unsure.entry(index).or_insert(now);
            }
        }
        epoch
    }

    /// A connection point crashes, or is paused and taken for dead, if another one is left.
    pub(super) fn stop_some(&mut self) {
        let well = self.well();
        if well.len() < 2 || !self.stage.is_rough() {
            return;
        }
        let node = *self.fates.pick(&well);
        let (low, high) = self.plan.points.dropped_after;
        let dropped = self.fates.duration(low, high);
        if self.fates.chance(self.plan.points.paused) {
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
        self.stage.count(Transition::PointCrashed);
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
            machine.fate = Fate::Crashed;
            machine.inbox.clear();
            machine.work_at = None;
            self.network.cut(index);
            self.stage.unsure.insert(index, now);
            self.stage.doors.crash(now, index, &mut self.stage.agenda);
        }
    }

    /// A node stands still for a while, and is taken for dead meanwhile.
    pub(super) fn pause(&mut self, node: Incarnation, pause: Duration) {
        let now = self.stage.now;
        let name = self.node_name(node);
        self.stage.note(|| format!("--- {name} stands still for {pause:?}"));
        self.stage.count(Transition::PointPaused);
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
            machine.fate = Fate::Woken;
            let name = &machine.name;
            self.stage.transcript.note(self.stage.now, || format!("{name} wakes up"));
        }
    }

    /// A connection point that stopped and that the latest layout names.
    pub(super) fn stopped_and_named(&self) -> Option<String> {
        let members = self.latest().members.iter();
        let mut points = members.filter(|(_, member)| member.layer == Layer::ConnectionPoint).map(|(&node, _)| node);
        points.find(|&node| self.fate(node) != Fate::Well).map(|node| self.node_name(node))
    }

    /// Somebody who still waits for a connection point that was dropped.
    pub(super) fn remembered(&self) -> Option<String> {
        let gone = self.stage.unsure.keys().map(|index| &self.nodes[index.0]);
        gone.filter(|gone| !self.latest().names(gone.address)).find_map(|gone| {
            let holder = self.nodes.iter().find(|node| node.remembers(gone.address))?;
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
        if let AnyMachine::ExitPoint(exit_point) = &node.machine {
            let gone = self.stage.unsure.keys().map(|gone| self.nodes[gone.0].address);
            let forgotten = gone.filter(|&gone: &Address| !layout.names(gone) && exit_point.remembers(gone)).count();
            self.stage.tally.add(Transition::PointForgotten, u64::try_from(forgotten).expect("few"));
        }
    }

    /// A connection point by its name, for scripts.
    pub(super) fn point_named(&self, name: &str) -> Result<Incarnation, String> {
        let points = self.nodes.iter().filter(|node| node.layer == Layer::ConnectionPoint);
        let mut nodes = points.map(|node| node.address.node);
        nodes.find(|&node| self.node_name(node) == name).ok_or_else(|| format!("there is no connection point {name}"))
    }

    /// Commits a layout that everybody hears of at once, for scripts.
    pub(super) fn commit_at_once(&mut self, joining: Option<Incarnation>, leaving: Option<Incarnation>) {
        let epoch = self.commit(joining, leaving);
        let now: Instant = self.stage.now;
        for index in (0..self.nodes.len()).map(NodeIndex) {
            self.stage.agenda.enter(now.max(self.nodes[index.0].stalled_until), Due::Layout(index, epoch));
        }
    }
}
