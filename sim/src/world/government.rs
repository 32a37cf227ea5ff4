//! Real coordinators that lead: who of them does, what they see and when, and what becomes of their writes. Their driver does what
//! `host/src/coordination/coordinating.rs` does: it observes after hints and when it was asked to, hands that in, does the one write that is
//! asked for, and observes again whatever became of it.
//!
//! ```text
//!   standing by ──first in the queue──▶ leading ──▶ observes ──▶ write ──▶ arrives ──▶ heard ─┐
//!       ▲                                  ▲  │         ▲                                     │
//!       │ deposed: fenced, or heard of it  │  │         └─────────────────────────────────────┘
//!       └──────────────────────────────────┼──┴── dies or is paused, at any arrow; its session ends, another one leads
//!                                          └───── wakes up before its session ended; after that it is a zombie
//! ```

mod overthrow;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Incarnation;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Layout, Settings};
use gomera_cluster::machine::Machine as _;
use gomera_cluster::time::Instant;
use gomera_coordinator::operations::State;
use gomera_coordinator::{Action, Coordinator, Event, Observation, Probe};

use super::World;
use super::operators::Operators;
use super::registrations::{self, Book};
use crate::agenda::{Due, Turn};
use crate::ledger::{Before, Ledger};
use crate::node::Fate;
use crate::plan;
use crate::random::{Random, micros};
use crate::service::{Service, Topic, View, Written};
use crate::tally::Transition;
use crate::verdict::Promise;
use overthrow::Stop;

/// The coordination service, those who lead by it, and those who ask them.
#[derive(Debug)]
pub(super) struct Government {
    pub(super) plan: plan::Government,
    pub(super) service: Service,
    pub(super) ledger: Ledger,
    pub(super) books: BTreeMap<Incarnation, Book>,
    pub(super) operators: Operators,
    pub(super) random: Random,
    settings: Settings,
    candidates: Vec<Candidate>,
    /// Who stands for election, in order; the first leads.
    queue: VecDeque<usize>,
    writes: Vec<Write>,
}

#[derive(Debug)]
struct Candidate {
    machine: Coordinator,
    standing: Standing,
    condition: Condition,
    /// Counts its sessions with the coordination service.
    life: u64,
    view: View,
    /// Whether it looks again though nothing has changed.
    is_hinted: bool,
    /// The write it waits for.
    awaits: Option<usize>,
    /// Whom it has asked directly, and what came of that.
    suspects: BTreeSet<Incarnation>,
    probes: BTreeMap<Incarnation, Probe>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Following,
    Leading(Term),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Condition {
    Well,
    /// It stands still until then.
    Paused(Instant),
    Dead,
}

/// A write that was asked for.
#[derive(Debug)]
struct Write {
    candidate: usize,
    term: Term,
    action: Action,
    outcome: Option<Written>,
    fortune: Fortune,
}

/// What happens on the way of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fortune {
    /// It arrives, and whoever wrote hears of it.
    Fair,
    /// It does not arrive.
    Lost,
    /// It arrives, and nobody hears what became of it.
    Unheard,
}

/// What strikes a leader that is about to write.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    DiesBefore,
    DiesAfter,
    PausedBefore,
    PausedAfter,
    LosesWrite,
    LosesAnswer,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::DiesBefore,
    Mishap::DiesAfter,
    Mishap::PausedBefore,
    Mishap::PausedAfter,
    Mishap::LosesWrite,
    Mishap::LosesAnswer,
];

impl Government {
    pub(super) fn new(
        plan: plan::Government,
        layout: &Arc<Layout>,
        books: BTreeMap<Incarnation, Book>,
        seed: u64,
    ) -> Self {
        let mut service = Service::new(layout.clone(), plan.config.desired);
        registrations::at_the_start(&books).for_each(|registration| service.register(registration));
        let operators = Operators::with_archive(&mut service, plan.archived);
        let settings = layout.settings.clone();
        let candidates = (0..plan.coordinators).map(|_| Candidate::new(&plan, &settings, 1)).collect();
        Self {
            ledger: Ledger::new(layout, plan.archived),
            service,
            books,
            operators,
            random: Random::new(seed ^ 0x676f_7665_726e),
            settings,
            candidates,
            queue: (0..plan.coordinators).collect(),
            writes: Vec::new(),
            plan,
        }
    }

    /// Why nobody has come to the end of what is to be done.
    pub(super) fn is_idle(&self) -> Option<String> {
        let Some(&leader) = self.queue.front() else { return Some("nobody leads".to_owned()) };
        let candidate = &self.candidates[leader];
        let leads = candidate.standing == Standing::Leading(self.service.term());
        if candidate.condition != Condition::Well || !leads {
            return Some("a coordinator is to lead".to_owned());
        }
        let is_at_it = candidate.awaits.is_some() || candidate.is_hinted || candidate.view.is_old(&self.service);
        is_at_it.then(|| "the leader is at something".to_owned())
    }

    fn takes(&mut self, is_rough: bool) -> Duration {
        let most = if is_rough { self.plan.writes_take } else { micros(50) };
        self.random.duration(micros(10), most)
    }
}

impl Candidate {
    fn new(plan: &plan::Government, settings: &Settings, life: u64) -> Self {
        Self {
            machine: Coordinator::new(plan.config.clone(), settings.clone()),
            standing: Standing::Following,
            condition: Condition::Well,
            life,
            view: View::default(),
            is_hinted: false,
            awaits: None,
            suspects: BTreeSet::new(),
            probes: BTreeMap::new(),
        }
    }
}

impl World {
    /// Coordinators begin to stand for election, operators to ask.
    pub(super) fn found(&mut self, plan: &plan::Government) {
        let first = self.latest().clone();
        let books = registrations::books(&self.plan, &self.members, &first, |node| self.shards(node));
        self.government = Some(Box::new(Government::new(plan.clone(), &first, books, self.plan.seed)));
        for &at in &plan.asked {
            self.stage.after(at, Due::Ask);
        }
        for &at in &plan.overthrown {
            self.stage.after(at, Due::Overthrow);
        }
    }

    pub(super) fn government(&mut self) -> &mut Government {
        self.government.as_mut().expect("only asked where coordinators lead")
    }

    /// What coordinators do when time has passed.
    pub(super) fn let_coordinators_look(&mut self) {
        let is_rough = self.stage.is_rough();
        for index in 0..self.government().candidates.len() {
            if !is_rough || self.government().random.chance(700) {
                self.look(index);
            }
        }
    }

    /// A coordinator reads what may have changed, and does what follows.
    fn look(&mut self, index: usize) {
        let now = self.stage.now;
        let government = self.government();
        let is_first = government.queue.front() == Some(&index);
        let is_queued = government.queue.contains(&index);
        let candidate = &government.candidates[index];
        let standing = candidate.standing;
        if candidate.condition != Condition::Well || candidate.awaits.is_some() {
            return;
        }
        match standing {
            Standing::Following if is_first => self.begin_term(index),
            Standing::Following => {}
            // It finds out by its session, or by a write.
            Standing::Leading(_) if !is_queued && government.random.chance(400) => self.depose(index),
            Standing::Leading(_) => {
                let probes = self.probe(index);
                let government = self.government();
                let candidate = &mut government.candidates[index];
                let is_due = candidate.machine.poll_timeout().is_some_and(|at| at <= now);
                let has_changed = candidate.view.is_old(&government.service) || candidate.probes != probes;
                if is_due || has_changed || std::mem::take(&mut candidate.is_hinted) {
                    candidate.probes = probes;
                    self.observe(index);
                }
            }
        }
    }

    fn observe(&mut self, index: usize) {
        let (now, is_rough) = (self.stage.now, self.stage.is_rough());
        let late = if is_rough { self.government().plan.late } else { 0 };
        let observation = self.read(index, late);
        let candidate = &mut self.government().candidates[index];
        candidate.machine.handle(now, Event::Observed(observation));
        self.act(index);
    }

    fn read(&mut self, index: usize, late: u64) -> Observation {
        let unreachable: BTreeSet<_> =
            self.government().books.iter().filter_map(|(&node, book)| book.is_unreachable.then_some(node)).collect();
        let government = self.government();
        let candidate = &mut government.candidates[index];
        let random = &mut government.random;
        candidate.view.read(&government.service, || random.chance(late));
        let mut observation = candidate.view.observation.clone();
        observation.probes.clone_from(&candidate.probes);
        candidate.suspects = observation.suspects(&unreachable).into_keys().collect();
        observation
    }

    /// What came of asking those whom something speaks against: late, as they answer.
    fn probe(&mut self, index: usize) -> BTreeMap<Incarnation, Probe> {
        let is_rough = self.stage.is_rough();
        let candidate = &self.government().candidates[index];
        let (suspects, before) = (candidate.suspects.clone(), candidate.probes.clone());
        let mut probes = BTreeMap::new();
        for node in suspects {
            let Book { is_off, has_ended, .. } = self.government().books[&node];
            let answer = match self.fate(node) {
                Fate::Well | Fate::Woken if has_ended => Some(Probe::Refused),
                Fate::Well | Fate::Woken => None,
                Fate::Paused => Some(Probe::Silent),
                Fate::Crashed if is_off => Some(Probe::Silent),
                Fate::Crashed => Some(Probe::Refused),
            };
            let is_late = is_rough && self.government().random.chance(300);
            let known = if is_late { before.get(&node).copied() } else { answer };
            probes.extend(known.map(|probe| (node, probe)));
        }
        probes
    }

    fn begin_term(&mut self, index: usize) {
        let now = self.stage.now;
        let government = self.government();
        let term = government.service.begin_term();
        let broken = government.ledger.elected(term);
        let mut operations = government.service.operations().values();
        let is_running = operations.any(|standing| matches!(standing.operation.state, State::Running(_)));
        let is_unheard = |candidate: &Candidate| {
            let write = candidate.awaits.map(|write| &government.writes[write]);
            write.is_some_and(|write| write.term.0 + 1 == term.0 && write.outcome == Some(Written::Done))
        };
        let is_unanswered = government.candidates.iter().any(is_unheard);
        government.candidates[index].view.doubt_everything();
        self.violate_operations(broken);
        self.stage.note(|| format!("--- coordinator {index} leads in term {}", term.0));
        self.stage.count(Transition::LeaderElected);
        if is_running {
            self.stage.count(Transition::LeaderReplacedRunning);
        }
        if is_unanswered {
            self.stage.count(Transition::LeaderReplacedUnanswered);
        }
        let observation = self.read(index, 0);
        let candidate = &mut self.government().candidates[index];
        candidate.standing = Standing::Leading(term);
        candidate.machine.handle(now, Event::Elected { term, observation });
        self.act(index);
    }

    /// It leads no longer, and stands again behind the others.
    fn depose(&mut self, index: usize) {
        let now = self.stage.now;
        self.stage.note(|| format!("--- coordinator {index} leads no longer"));
        let government = self.government();
        let candidate = &mut government.candidates[index];
        candidate.machine.handle(now, Event::Deposed);
        candidate.standing = Standing::Following;
        candidate.life += 1;
        candidate.suspects.clear();
        candidate.probes.clear();
        government.queue.retain(|&queued| queued != index);
        government.queue.push_back(index);
    }

    /// The write that a leader asks for sets out.
    fn act(&mut self, index: usize) {
        let is_rough = self.stage.is_rough();
        let mut actions = Vec::new();
        let government = self.government();
        let candidate = &mut government.candidates[index];
        candidate.machine.drain_actions(&mut actions);
        let Standing::Leading(term) = candidate.standing else { return };
        if actions.len() > 1 {
            return self
                .violate_operations(Err(format!("coordinator {index} asks for {} writes at once", actions.len())));
        }
        let Some(action) = actions.pop() else { return };
        let write = government.writes.len();
        candidate.awaits = Some(write);
        government.writes.push(Write { candidate: index, term, action, outcome: None, fortune: Fortune::Fair });
        let takes = government.takes(is_rough);
        let is_struck = is_rough && government.random.chance(government.plan.mishaps);
        let mishap = is_struck.then(|| *government.random.pick(&MISHAPS));
        let mut arrives = takes;
        match mishap {
            None => {}
            Some(Mishap::DiesBefore) => {
                government.writes[write].fortune = Fortune::Lost;
                self.stop_coordinator(index, Stop::Dies);
            }
            Some(Mishap::DiesAfter) => {
                self.stop_coordinator(index, Stop::Dies);
            }
            Some(Mishap::PausedBefore) => arrives += self.stop_coordinator(index, Stop::Pauses),
            Some(Mishap::PausedAfter) => {
                self.stop_coordinator(index, Stop::Pauses);
            }
            Some(Mishap::LosesWrite) => government.writes[write].fortune = Fortune::Lost,
            Some(Mishap::LosesAnswer) => government.writes[write].fortune = Fortune::Unheard,
        }
        self.stage.after(arrives, Due::Turn(Turn::Arrives(write)));
    }

    /// Something happens to a coordinator.
    pub(super) fn take_turn(&mut self, turn: Turn) {
        match turn {
            Turn::Arrives(write) => self.write_arrives(write),
            Turn::Heard(write) => self.write_is_heard(write),
            Turn::Expires(index, life) => {
                let government = self.government();
                let candidate = &government.candidates[index];
                if candidate.life == life && candidate.condition != Condition::Well {
                    government.queue.retain(|&queued| queued != index);
                }
            }
            Turn::Returns(index, life) => self.coordinator_returns(index, life),
        }
    }

    fn write_arrives(&mut self, number: usize) {
        let is_rough = self.stage.is_rough();
        let government = self.government();
        let write = &government.writes[number];
        let (term, action, index) = (write.term, write.action.clone(), write.candidate);
        if write.fortune != Fortune::Lost {
            let before = Before::of(&government.service, &action);
            let written = government.service.write(term, &action);
            government.writes[number].outcome = Some(written);
            let checked = match written {
                Written::Done => government.ledger.written(&before, term, &action, &government.service),
                Written::Found | Written::Fenced | Written::Superseded | Written::Changed => Ok(()),
            };
            self.violate_operations(checked);
            self.stage.note(|| {
                format!("--- coordinator {index} writes {}: {written:?}", super::operators::in_words(&action))
            });
            match written {
                Written::Done => self.took_effect(action, &before),
                Written::Fenced => self.stage.count(Transition::LeaderRefused),
                Written::Changed => self.stage.count(Transition::WriteOvertaken),
                Written::Found | Written::Superseded => {}
            }
        }
        let takes = self.government().takes(is_rough);
        self.stage.after(takes, Due::Turn(Turn::Heard(number)));
    }

    /// A write of a leader stands there from now on.
    fn took_effect(&mut self, action: Action, before: &Before) {
        match action {
            Action::Propose(layout) => {
                self.bury_who_came_back(&layout);
                self.stand_proposed(layout);
            }
            Action::Commit(layout) => self.commit_proposed(layout),
            Action::Journal(entry) => self.operation_written(before.written(), &entry),
            Action::Forget(..) => self.stage.count(Transition::ScaleForgotten),
        }
    }

    fn write_is_heard(&mut self, number: usize) {
        let now = self.stage.now;
        let government = self.government();
        let write = &government.writes[number];
        let (index, outcome, fortune) = (write.candidate, write.outcome, write.fortune);
        let candidate = &mut government.candidates[index];
        if candidate.awaits != Some(number) {
            return;
        }
        match candidate.condition {
            Condition::Dead => return,
            Condition::Paused(until) => {
                return self.stage.agenda.enter(until.max(now) + micros(1), Due::Turn(Turn::Heard(number)));
            }
            Condition::Well => {}
        }
        candidate.awaits = None;
        for &topic in Topic::of(&government.writes[number].action) {
            candidate.view.doubt(topic);
        }
        match (outcome, fortune) {
            (Some(Written::Fenced), Fortune::Fair) => return self.depose(index),
            (Some(Written::Superseded), Fortune::Fair) => candidate.view.doubt_everything(),
            (Some(Written::Done | Written::Found | Written::Changed), Fortune::Fair) => {}
            // Its connection was interrupted, or it would have heard.
            (_, Fortune::Lost | Fortune::Unheard) | (None, Fortune::Fair) => {
                candidate.view.doubt_everything();
                candidate.machine.handle(now, Event::Interrupted);
                self.stage.count(Transition::WriteUnknown);
            }
        }
        self.observe(index);
    }

    /// Takes note of what should not be.
    pub(super) fn violate_operations(&mut self, checked: Result<(), String>) {
        if let Err(what) = checked {
            self.stage.violate(Promise::Operations, vec!["---".to_owned()], what);
        }
    }
}
