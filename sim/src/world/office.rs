//! The coordinator: what it wants, what it knows, and the layouts that come of both. The decisions are those of the real one
//! (`gomera_coordinator::scaling`); here is when it looks, how late it hears, and how late it is heard.
//!
//! ```text
//!   goal, deaths, reports ──▶ propose ──every member has it──▶ commit ──▶ each machine hears of it when it likes
//!            ▲                   │ one that has not is dead                          │
//!            │                   └──▶ propose another, which contains it             │
//!            └───────────────────────────── reports ─────────────────────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::{Address, Incarnation, Layer};
use gomera_cluster::layout::{Epoch, LaneEnd, Layout, MatcherSlice, Member, Role};
use gomera_cluster::report::Report;
use gomera_cluster::time::Instant;
use gomera_coordinator::scaling::{self, Goal, Knowledge, Next, Proposal};

use super::World;
use crate::agenda::Due;
use crate::node::{Fate, Incoming, NodeIndex};
use crate::plan::Manners;
use crate::random::{micros, millis};
use crate::tally::Transition;
use crate::verdict::Promise;

/// What the coordinator has.
#[derive(Debug, Default)]
pub(super) struct Office {
    /// Who should serve.
    serving: BTreeMap<Incarnation, Member>,
    /// Who is declared dead.
    dead: BTreeSet<Incarnation>,
    /// What machines reported; each report comes late.
    reports: BTreeMap<Address, Report>,
    /// What is proposed and not committed.
    proposal: Option<Arc<Layout>>,
    /// Whether a layout is to come though nothing changes.
    renewal: bool,
    /// Machines that hear of layouts only then, in scripts.
    deaf_until: BTreeMap<NodeIndex, Instant>,
    /// Everything that was ever proposed.
    proposals: BTreeMap<Epoch, Arc<Layout>>,
}

impl Office {
    pub(super) fn new(first: &Layout) -> Self {
        Self { serving: first.members.clone(), ..Self::default() }
    }

    pub(super) fn proposal_of(&self, epoch: Epoch) -> Arc<Layout> {
        self.proposals[&epoch].clone()
    }
}

impl World {
    /// The layout in force.
    pub(super) fn latest(&self) -> &Arc<Layout> {
        self.layouts.last_key_value().expect("there is a layout").1
    }

    /// What is proposed and not committed.
    pub(super) fn proposed(&self) -> Option<&Arc<Layout>> {
        self.office.proposal.as_ref()
    }

    /// A node should serve from now on, or no more.
    pub(super) fn want(&mut self, node: Incarnation, wanted: bool) {
        if wanted {
            let member = self.members.get(&node).expect("every node is known").clone();
            self.office.serving.insert(node, member);
        } else {
            self.office.serving.remove(&node);
        }
    }

    /// Whether a node should serve.
    pub(super) fn is_wanted(&self, node: Incarnation) -> bool {
        self.office.serving.contains_key(&node)
    }

    /// A layout is to come though nothing changes.
    pub(super) fn renew(&mut self) {
        self.office.renewal = true;
    }

    /// A node is declared dead.
    pub(super) fn declare_dead(&mut self, node: Incarnation) {
        if self.latest().members.contains_key(&node) || self.office.proposal.is_some() {
            self.office.dead.insert(node);
        }
        self.office.serving.remove(&node);
    }

    /// The coordinator looks, and will look again.
    pub(super) fn coordinate(&mut self) {
        if self.plan.scripted {
            return self.hurry();
        }
        let is_rough = self.stage.is_rough();
        if self.government.is_some() {
            self.let_nodes_tell();
            self.let_coordinators_look();
            let pause = match is_rough {
                true => self.fates.duration(millis(1), millis(30)),
                false if self.ungoverned().is_some() => micros(500),
                false => millis(50),
            };
            return self.stage.after(pause, Due::Coordinate);
        }
        for node in self.nodes.iter().filter(|node| node.fate == Fate::Well) {
            if !is_rough || self.fates.chance(700) {
                self.office.reports.insert(node.address, node.machine.report());
            }
        }
        self.decide();
        let pause = match (is_rough, self.has_plans()) {
            (true, _) => self.fates.duration(millis(1), millis(30)),
            (false, true) => micros(500),
            (false, false) => millis(50),
        };
        self.stage.after(pause, Due::Coordinate);
    }

    /// Proposes or commits what is to come next, if anything is.
    fn decide(&mut self) {
        if let Some(proposal) = self.office.proposal.clone() {
            let has_it = |machine| {
                self.office.reports.get(&machine).is_some_and(|report: &Report| report.proposed >= proposal.epoch)
            };
            if Layer::ALL.into_iter().all(|layer| proposal.machines(layer).all(has_it)) {
                self.commit_proposed(proposal);
            } else if proposal.members.keys().any(|node| self.office.dead.contains(node))
                && let Next::Propose(Proposal { layout: next, .. }) =
                    scaling::supersede(self.latest(), &proposal, &self.goal(), &self.knowledge(&proposal))
            {
                self.stage.count(Transition::ProposalSuperseded);
                self.propose(next);
            }
            return;
        }
        let latest = self.latest().clone();
        if let Some(next) = self.next_after(&latest) {
            self.propose(next);
        } else if std::mem::take(&mut self.office.renewal) {
            self.propose(Layout { epoch: Epoch(latest.epoch.0 + 1), ..(*latest).clone() });
        }
    }

    fn next_after(&self, layout: &Layout) -> Option<Layout> {
        match scaling::next(layout, &self.goal(), &self.knowledge(layout)) {
            Next::Propose(proposal) => Some(proposal.layout),
            Next::Wait(_) | Next::Done => None,
        }
    }

    fn goal(&self) -> Goal {
        Goal { serving: self.office.serving.clone(), lanes_per_shard: self.plan.shape.lanes, joining_max: 4 }
    }

    fn knowledge(&self, layout: &Layout) -> Knowledge {
        let mut knowledge = Knowledge::gather(layout, &self.office.reports, self.office.dead.clone());
        match self.plan.points.manners {
            Manners::Patient => {}
            Manners::Abrupt => knowledge.vacated.extend(&layout.leaving),
        }
        knowledge
    }

    /// Whether the coordinator is on its way.
    fn has_plans(&self) -> bool {
        self.office.proposal.is_some() || self.next_after(self.latest()).is_some()
    }

    /// What the coordinator still waits for.
    pub(super) fn unreached(&self) -> Option<String> {
        if self.government.is_some() {
            return self.ungoverned();
        }
        if let Some(proposal) = &self.office.proposal {
            return Some(format!("layout {} is proposed", proposal.epoch.0));
        }
        match scaling::next(self.latest(), &self.goal(), &self.knowledge(self.latest())) {
            Next::Propose(_) => Some("a layout is to come".to_owned()),
            Next::Wait(awaited) => {
                let late = self.office.reports.iter().filter(|(_, report)| report.acted < self.latest().epoch);
                let late =
                    late.map(|(&machine, report)| format!("{} {}", self.names.of_machine(machine), report.acted.0));
                let late = late.collect::<Vec<_>>().join(", ");
                Some(format!("the coordinator waits for {awaited:?}; behind the layout: {late}"))
            }
            Next::Done => None,
        }
    }

    fn propose(&mut self, layout: Layout) {
        let proposal = Arc::new(layout);
        if let Err(error) = proposal.check_follows(self.latest()) {
            panic!("seed {}: {error}", self.plan.seed);
        }
        self.stand_proposed(proposal);
    }

    /// A layout stands there as proposed.
    pub(super) fn stand_proposed(&mut self, proposal: Arc<Layout>) {
        let epoch = proposal.epoch;
        self.stage.note(|| format!("--- layout {} is proposed", epoch.0));
        self.stage.count(Transition::LayoutProposed);
        self.office.proposals.insert(epoch, proposal.clone());
        self.office.proposal = Some(proposal);
        self.tell_proposal(epoch);
    }

    fn tell_proposal(&mut self, epoch: Epoch) {
        for index in (0..self.nodes.len()).map(NodeIndex) {
            let heard = self.hears_within(index);
            if self.government.is_some() && self.nodes[index.0].fate == Fate::Woken {
                // It reads first that a layout went on without it, and then no more.
                continue;
            }
            self.stage.agenda.enter(heard, Due::Proposed(index, epoch));
        }
    }

    /// When a machine hears of something that the coordinator writes now.
    fn hears_within(&mut self, index: NodeIndex) -> Instant {
        let most = if self.stage.is_rough() { self.plan.troubles.later_layouts.1 } else { millis(1) };
        let heard = self.stage.now + self.fates.duration(Duration::ZERO, most);
        let node = &self.nodes[index.0];
        if node.fate == Fate::Paused {
            // It is asleep; first it sends what it has to send.
            return heard.max(node.stalled_until) + self.fates.duration(micros(10), millis(50));
        }
        heard
    }

    /// What is proposed comes into force.
    pub(super) fn commit_proposed(&mut self, layout: Arc<Layout>) {
        self.office.proposal = None;
        self.commit(layout);
    }

    /// A layout comes into force.
    pub(super) fn commit(&mut self, layout: Arc<Layout>) {
        self.enact(layout.clone());
        for index in (0..self.nodes.len()).map(NodeIndex) {
            let is_deaf = self.stage.is_rough() && self.deaf[index.0] && self.nodes[index.0].fate == Fate::Well;
            let heard = self.hears_within(index);
            if !is_deaf {
                self.stage.agenda.enter(heard, Due::Layout(index, layout.epoch));
            }
        }
    }

    /// Clients and books follow a layout from its commit on.
    fn enact(&mut self, layout: Arc<Layout>) {
        let before = self.latest().clone();
        let now = self.stage.now;
        let added: Vec<_> = layout.members.keys().copied().filter(|node| !before.members.contains_key(node)).collect();
        let gone: Vec<_> = before.members.keys().copied().filter(|node| !layout.members.contains_key(node)).collect();
        let named = |verb: &str, nodes: &[Incarnation]| {
            nodes.iter().map(|&node| format!(" {verb} {}", self.node_name(node))).collect::<String>()
        };
        let told_to: Vec<_> = layout.leaving.difference(&before.leaving).copied().collect();
        let stays = |node: &&Incarnation| !layout.leaving.contains(node) && layout.members.contains_key(node);
        let called_back: Vec<_> = before.leaving.iter().filter(stays).copied().collect();
        let told =
            [("with", &added), ("without", &gone), ("telling to leave", &told_to), ("calling back", &called_back)];
        let told: String = told.into_iter().map(|(verb, nodes)| named(verb, nodes)).collect();
        let epoch = layout.epoch;
        self.stage.note(|| format!("--- layout {}{told}", epoch.0));
        self.count_lanes(&before, &layout);
        self.watch.follow(&layout);
        self.layouts.insert(epoch, layout);
        for &node in &added {
            self.count_joined(node);
        }
        for node in called_back.into_iter().chain(added) {
            if self.layer_of(node) == Layer::ConnectionPoint {
                let shards = self.shards(node);
                self.stage.leaving.retain(|point| !shards.contains(point));
                self.stage.points.extend(shards);
            }
        }
        for node in told_to {
            if self.layer_of(node) == Layer::ConnectionPoint {
                self.stage.count(Transition::PointToldToLeave);
                let shards = self.shards(node);
                self.stage.points.retain(|point| !shards.contains(point));
                self.stage.leaving.extend(shards);
            }
        }
        let left = self.latest().machines(Layer::ConnectionPoint).any(|at| !self.latest().leaving.contains(&at.node));
        if !left {
            let what = format!("by layout {} there is no connection point where clients could go", epoch.0);
            self.stage.violate(Promise::Surface, vec!["---".to_owned()], what);
        }
        let matcher = self.latest().matcher.clone();
        if matcher.iter().any(|slice| slice.replicas.len() > 1) {
            self.stage.history.slices_moved.get_or_insert(now);
        }
        for (before, after) in before.matcher.iter().zip(&matcher) {
            let installed = after
                .replicas
                .iter()
                .filter(|replica| replica.role != Role::Joining && before.role(replica.holder) == Some(Role::Joining));
            self.stage.tally.add(Transition::SliceInstalled, u64::try_from(installed.count()).expect("few"));
            let is_left = |address: Address| before.role(address).is_some_and(|_| self.latest().names(address));
            if let (Some(was), Some(is)) = (before.active(), after.active())
                && was != is
            {
                let by_plan = is_left(was);
                self.stage.history.slices_moved.get_or_insert(now);
                self.stage.count(if by_plan { Transition::SliceActivated } else { Transition::SliceTakenOver });
            }
        }
        let lost =
            before.matcher.iter().zip(&self.latest().matcher).zip(0..).filter(|((was, is), _)| is.lost > was.lost);
        let lost = lost.map(|(_, slice)| MatcherSlice(slice)).collect::<BTreeSet<_>>();
        if !lost.is_empty() {
            self.stage.tally.add(Transition::SliceLost, u64::try_from(lost.len()).expect("few"));
            self.stage.history.losses.push((lost, now));
        }
        for (before, after) in before.session.iter().zip(&self.latest().session.clone()) {
            let installed = after
                .replicas
                .iter()
                .filter(|replica| replica.role != Role::Joining && before.role(replica.holder) == Some(Role::Joining));
            self.stage.tally.add(Transition::SessionsInstalled, u64::try_from(installed.count()).expect("few"));
            if let (Some(was), Some(is)) = (before.active(), after.active())
                && was != is
            {
                let by_plan = self.latest().names(was);
                self.stage.count(if by_plan { Transition::ReignByPlan } else { Transition::ReignTakenOver });
            }
        }
        for node in gone {
            let is_well = self.fate(node) == Fate::Well;
            if self.layer_of(node) == Layer::Matcher {
                self.stage.count(if is_well { Transition::MatcherLeft } else { Transition::MatcherBuried });
            }
            if self.layer_of(node) == Layer::ExitPoint {
                self.stage.count(if is_well { Transition::ExitLeft } else { Transition::ExitBuried });
            }
            let is_patient = self.plan.points.manners == Manners::Patient;
            if is_well && is_patient && self.layer_of(node) == Layer::ConnectionPoint {
                self.check_vacant(node);
            }
            self.count_gone(node, is_well);
            for index in self.shards(node) {
                self.stage.points.retain(|&point| point != index);
                self.stage.leaving.retain(|&point| point != index);
                self.stage.unsure.entry(index).or_insert(now);
            }
        }
    }

    /// Everybody hears of the latest layout, and of what is proposed, at once.
    pub(super) fn tell_all(&mut self) {
        let latest = self.latest().clone();
        let now = self.stage.now;
        for index in (0..self.nodes.len()).map(NodeIndex) {
            self.hand(index, Incoming::Layout(latest.clone()));
            self.stage.agenda.enter(now, Due::Layout(index, latest.epoch));
        }
        if let Some(proposal) = self.office.proposal.clone() {
            self.tell_proposal(proposal.epoch);
        }
    }

    /// A machine does not hear of layouts for a while.
    pub(super) fn deafen(&mut self, index: NodeIndex, until: Instant) {
        self.office.deaf_until.insert(index, until);
    }

    /// Goes towards the goal without any delay, for scripts: layout by layout, as far as reports allow at this moment.
    pub(super) fn hurry(&mut self) {
        for _ in 0..16 {
            for node in self.nodes.iter().filter(|node| node.fate == Fate::Well) {
                self.office.reports.insert(node.address, node.machine.report());
            }
            let latest = self.latest().clone();
            let Some(next) = self.next_after(&latest) else {
                if self.unreached().is_some() {
                    self.stage.after(millis(1), Due::Coordinate);
                }
                return;
            };
            next.check_follows(&latest).expect("what the coordinator proposes may follow");
            let (next, now) = (Arc::new(next), self.stage.now);
            self.office.proposals.insert(next.epoch, next.clone());
            self.enact(next.clone());
            for index in (0..self.nodes.len()).map(NodeIndex) {
                // Nothing is committed before whoever it names has it as a proposal, be it deaf for layouts in force.
                if next.names(self.nodes[index.0].address) {
                    self.stage.agenda.enter(now, Due::Proposed(index, next.epoch));
                }
                let deaf_until = self.office.deaf_until.get(&index).copied().unwrap_or_default();
                let heard = now.max(self.nodes[index.0].stalled_until).max(deaf_until);
                self.stage.agenda.enter(heard, Due::Layout(index, next.epoch));
            }
        }
    }

    /// Counts what a layout does to lanes.
    fn count_lanes(&mut self, before: &Layout, layout: &Layout) {
        for (id, lane) in &layout.lanes {
            match before.lanes.get(id) {
                None => self.stage.count(Transition::LaneOpened),
                Some(was) if was.state != lane.state => self.stage.count(Transition::LaneDraining),
                Some(_) => {}
            }
        }
        for id in before.lanes.keys().filter(|id| !layout.lanes.contains_key(id)) {
            match layout.ended.get(id) {
                Some((LaneEnd::Fenced, _)) => {
                    self.stage.has_fenced = true;
                    self.stage.count(Transition::LaneFenced);
                }
                Some((LaneEnd::Closed, _)) | None => self.stage.count(Transition::LaneClosed),
            }
        }
    }

    fn count_joined(&mut self, node: Incarnation) {
        match self.layer_of(node) {
            Layer::AccessPoint => self.stage.count(Transition::AccessAdded),
            // Counted where it hears of it.
            Layer::ConnectionPoint => {}
            Layer::Matcher | Layer::ExitPoint => {}
        }
    }

    fn count_gone(&mut self, node: Incarnation, is_well: bool) {
        match (self.layer_of(node), is_well) {
            (Layer::ConnectionPoint, true) => self.stage.count(match self.plan.points.manners {
                Manners::Abrupt => Transition::PointDropped,
                Manners::Patient => Transition::PointVacated,
            }),
            (Layer::ConnectionPoint, false) => self.stage.count(Transition::PointBuried),
            (Layer::AccessPoint, true) => self.stage.count(Transition::AccessLeft),
            (Layer::AccessPoint, false) => self.stage.count(Transition::AccessBuried),
            (Layer::Matcher | Layer::ExitPoint, _) => {}
        }
    }
}
