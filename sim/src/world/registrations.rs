//! What nodes say of themselves in the coordination service, where real coordinators lead, and how they cease to.
//!
//! ```text
//!   not started ──▶ up, idle ──named──▶ up ──┬── told to leave ──▶ parting ──named no more──▶ ends itself
//!        (standby)                           ├── asks to leave ──▶ draining ─┘
//!                                            ├── loses its session ──▶ registers again within the grace
//!                                            └── stops ──▶ its session ends ──▶ if it wakes and is named still, registers again
//! ```

use std::collections::BTreeMap;

use gomera_cluster::address::Incarnation;
use gomera_cluster::layout::{Epoch, Layout, Member};
use gomera_cluster::time::Instant;
use gomera_coordinator::operations::State;
use gomera_coordinator::{NodeState, Registration};

use super::World;
use crate::node::{Fate, NodeIndex};
use crate::plan;
use crate::random::{Random, micros};
use crate::service::Said;
use crate::tally::Transition;

/// What is known of a node beside its machines.
#[derive(Debug)]
pub(super) struct Book {
    member: Member,
    shards: Vec<NodeIndex>,
    /// It is not there before.
    since: Instant,
    /// Its session was lost; it registers again then.
    lapsed_until: Option<Instant>,
    /// It has asked to leave.
    pub(super) is_draining: bool,
    /// A layout that it has heard of has named it.
    was_named: bool,
    /// It has heard that no layout names it any more, and has ended itself.
    pub(super) has_ended: bool,
    /// It was taken for dead once and came back.
    is_shaken: bool,
    /// Peers tell that they cannot reach it.
    pub(super) is_unreachable: bool,
    /// Its machine is switched off when it crashes: nothing refuses there.
    pub(super) is_off: bool,
    /// The latest layout it has heard of.
    heard: Epoch,
}

/// Books for all nodes. Those that no first layout names begin some time.
pub(super) fn books(
    plan: &plan::Plan,
    members: &BTreeMap<Incarnation, Member>,
    first: &Layout,
    shards: impl Fn(Incarnation) -> Vec<NodeIndex>,
) -> BTreeMap<Incarnation, Book> {
    let mut random = Random::new(plan.seed ^ 0x626f_6f6b_7300);
    let book = |(&node, member): (&Incarnation, &Member)| {
        let is_late = !first.members.contains_key(&node) && random.chance(500);
        let since = if is_late { Instant::ZERO + random.duration(micros(0), plan.rough_for) } else { Instant::ZERO };
        let book = Book {
            member: member.clone(),
            shards: shards(node),
            since,
            lapsed_until: None,
            is_draining: false,
            was_named: false,
            has_ended: false,
            is_shaken: false,
            is_unreachable: false,
            is_off: random.chance(300),
            heard: Epoch(0),
        };
        (node, book)
    };
    members.iter().map(book).collect()
}

impl Book {
    fn registration(&self, node: Incarnation, state: NodeState) -> Registration {
        let Member { layer, name, link_address, client_address, shards } = self.member.clone();
        Registration { layer, name, incarnation: node, link_address, client_address, shards, state }
    }
}

/// Those that are there from the start are registered.
pub(super) fn at_the_start(books: &BTreeMap<Incarnation, Book>) -> impl Iterator<Item = Registration> {
    let there = books.iter().filter(|(_, book)| book.since == Instant::ZERO);
    there.map(|(&node, book)| book.registration(node, NodeState::Up))
}

impl World {
    /// Nodes register, and say how far they are, each when it likes.
    pub(super) fn let_nodes_tell(&mut self) {
        let (now, is_rough) = (self.stage.now, self.stage.is_rough());
        let nodes: Vec<_> = self.government().books.keys().copied().collect();
        let grace = self.government().plan.config.grace;
        for node in nodes {
            match self.fate(node) {
                Fate::Well => {}
                Fate::Paused | Fate::Crashed => {
                    let government = self.government();
                    let is_told = government.random.chance(50);
                    government.books.get_mut(&node).expect("every node has one").is_unreachable |= is_told;
                    continue;
                }
                // Another layout went on without it: it ends itself when it has read that, and may be registered until then.
                Fate::Woken => {
                    let government = self.government();
                    let has_read = !is_rough || government.random.chance(200);
                    let book = government.books.get_mut(&node).expect("every node has one");
                    if has_read && !book.has_ended {
                        book.has_ended = true;
                        government.service.end_session(node);
                    }
                    continue;
                }
            }
            let government = self.government();
            let is_busy = is_rough && government.random.chance(300);
            let lapses = is_rough && government.random.below(1_000_000) < government.plan.lapses;
            let book = government.books.get_mut(&node).expect("every node has one");
            book.is_unreachable = false;
            if lapses && government.service.members().contains_key(&node) {
                book.is_shaken = true;
                book.lapsed_until = Some(now + government.random.duration(micros(1), grace / 6));
                government.service.end_session(node);
                self.stage.count(Transition::NodeLapsed);
                continue;
            }
            let is_away = now < book.since || book.lapsed_until.is_some_and(|until| now < until) || book.has_ended;
            if !is_away && (!is_busy || book.lapsed_until.is_some()) {
                self.tell(node);
            }
        }
    }

    fn tell(&mut self, node: Incarnation) {
        let latest = self.latest().clone();
        let shards = self.government().books[&node].shards.clone();
        let reports: Vec<_> =
            shards.iter().map(|shard| (self.nodes[shard.0].address, self.nodes[shard.0].machine.report())).collect();
        let acknowledged = reports.iter().map(|(_, report)| report.proposed).min().unwrap_or_default();
        let has_heard_of = shards.iter().map(|shard| self.nodes[shard.0].epoch()).max().unwrap_or_default();
        // Before a proposal is handed on, the layout is read that was in force then.
        let has_read = if acknowledged > latest.epoch { latest.epoch } else { has_heard_of };
        let government = self.government.as_mut().expect("only asked where coordinators lead");
        let book = government.books.get_mut(&node).expect("every node has one");
        book.lapsed_until = None;
        book.heard = book.heard.max(has_read);
        let layout = self.layouts.get(&book.heard);
        let is_named = layout.is_some_and(|layout| layout.members.contains_key(&node));
        let is_to_leave = layout.is_some_and(|layout| layout.leaving.contains(&node));
        book.was_named |= is_named;
        if book.was_named && !is_named {
            book.has_ended = true;
            government.service.end_session(node);
            return;
        }
        let state = match (book.is_draining, is_to_leave) {
            (true, _) => NodeState::Draining,
            (false, true) => NodeState::Parting,
            (false, false) => NodeState::Up,
        };
        government.service.register(book.registration(node, state));
        government.ledger.acknowledged(node, acknowledged);
        government.service.say(node, Said { acknowledged, reports });
    }

    /// A node asks to leave by itself.
    pub(super) fn let_drain(&mut self, node: Incarnation) {
        let name = self.node_name(node);
        self.stage.note(|| format!("--- {name} asks to leave"));
        self.stage.count(Transition::NodeDraining);
        self.government().books.get_mut(&node).expect("every node has one").is_draining = true;
    }

    /// The session of a node that stopped ends.
    pub(super) fn end_session(&mut self, node: Incarnation) {
        let is_stopped = matches!(self.fate(node), Fate::Paused | Fate::Crashed);
        if is_stopped {
            let name = self.node_name(node);
            self.stage.note(|| format!("--- {name} is registered no more"));
            self.government().service.end_session(node);
        }
    }

    /// A node that stood still goes on. If no layout has gone on without it, nothing has happened to it.
    pub(super) fn comes_back(&mut self, node: Incarnation) -> bool {
        if self.government.is_none() {
            return false;
        }
        let mut layouts = std::iter::once(self.latest()).chain(self.proposed());
        let is_named = layouts.all(|layout| layout.members.contains_key(&node));
        if is_named {
            self.government().books.get_mut(&node).expect("every node has one").is_shaken = true;
            self.stage.count(Transition::NodeReturned);
        }
        is_named
    }

    /// Nodes that came back, and that a layout goes on without all the same: whoever leads had seen too late that they had.
    pub(super) fn bury_who_came_back(&mut self, proposal: &Layout) {
        let members: Vec<_> = self.latest().members.keys().copied().collect();
        for node in members.into_iter().filter(|node| !proposal.members.contains_key(node)) {
            if self.fate(node) == Fate::Well && self.government().books[&node].is_shaken {
                for shard in self.shards(node) {
                    self.nodes[shard.0].fate = Fate::Woken;
                }
                self.government().service.end_session(node);
            }
        }
    }

    /// Nodes that are registered, well, and wait for work.
    pub(super) fn idle(&self) -> Vec<Incarnation> {
        let Some(government) = &self.government else { return Vec::new() };
        let registered = government.service.members();
        let waits = |node: &Incarnation| {
            let layouts = std::iter::once(self.latest()).chain(self.proposed());
            registered[node].state == NodeState::Up
                && self.fate(*node) == Fate::Well
                && layouts.into_iter().all(|layout| !layout.members.contains_key(node))
        };
        registered.keys().copied().filter(waits).collect()
    }

    /// Whether nothing has happened to a node, nor might others believe so.
    pub(super) fn is_sound(&self, node: Incarnation) -> bool {
        let is_shaken = self.government.as_ref().is_some_and(|government| government.books[&node].is_shaken);
        self.fate(node) == Fate::Well && !is_shaken
    }

    /// Whether nothing has this node leave.
    pub(super) fn stays(&self, node: Incarnation) -> bool {
        let Some(government) = &self.government else { return true };
        let mut layouts = std::iter::once(self.latest()).chain(self.proposed());
        let is_named = layouts.all(|layout| layout.members.contains_key(&node) && !layout.leaving.contains(&node));
        let sends_away = |state: &State| match state {
            State::Running(running) => running.plan.leaving.iter().any(|leaving| leaving.incarnation == node),
            State::Requested | State::Ended(_) => false,
        };
        let mut operations = government.service.operations().values();
        is_named
            && !government.books[&node].is_draining
            && !operations.any(|standing| sends_away(&standing.operation.state))
    }
}
