//! The coordinator as a machine. It is told when it leads and what stands in the coordination service, and asks for at most
//! one write at a time, which its driver fences by the term. It promises that whoever leads continues what was proposed,
//! and that nothing changes while nobody leads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Layout, Settings};
use gomera_cluster::machine::Machine;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::operations::{Entry, OperationId, Waits};
use crate::plan::{Observation, Planner};
use crate::presence::Absences;
use crate::status::{Phase, Status};
use crate::supply::{self, Need};

/// What a coordinator can be told.
#[derive(Clone, Debug)]
pub enum Event {
    /// It leads. What was observed, was read after the term had been written.
    Elected {
        /// Its reign.
        term: Term,
        /// What stands in the coordination service.
        observation: Observation,
    },
    /// What stands in the coordination service now. Ignored unless it leads. A driver observes again after every write,
    /// whatever became of it.
    Observed(Observation),
    /// Its own session with the coordination service was interrupted: what it missed is nobody else's fault.
    Interrupted,
    /// It leads no longer.
    Deposed,
}

/// What a coordinator can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Write the next layout, for its members to acknowledge.
    Propose(Arc<Layout>),
    /// Put the proposal into force.
    Commit(Arc<Layout>),
    /// Write an operation into the journal, and the wish for nodes that goes with it.
    Journal(Box<Entry>),
    /// Take an old operation, which has this version, out of the journal.
    Forget(OperationId, i32),
}

/// Counters since the start and gauges of the last observation, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Terms begun here.
    pub elections: u64,
    /// Terms that ended otherwise than with the process.
    pub depositions: u64,
    /// Interruptions of the own session while leading.
    pub interruptions: u64,
    /// Proposals asked for, repeats included.
    pub proposals: u64,
    /// Commits asked for, repeats included.
    pub commits: u64,
    /// Writes into the journal of operations asked for, repeats included.
    pub journal_writes: u64,
    /// Nodes registered.
    pub members_registered: usize,
    /// Nodes that the layout in force names and that are not registered.
    pub members_vanished: usize,
    /// Nodes registered that the layout in force does not name.
    pub members_idle: usize,
    /// The epoch of the layout in force.
    pub epoch: u64,
}

/// The machine.
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    settings: Settings,
    standing: Standing,
    actions: Vec<Action>,
    statistics: Statistics,
}

#[derive(Debug)]
enum Standing {
    Following,
    Leading(Box<Leading>),
}

#[derive(Debug)]
struct Leading {
    term: Term,
    observation: Observation,
    absences: Absences,
    waits: Waits,
    phase: Phase,
    again: Option<Instant>,
}

impl Coordinator {
    /// A coordinator that does not lead yet. `settings` are those of the cluster.
    #[must_use]
    pub fn new(config: Config, settings: Settings) -> Self {
        Self { config, settings, standing: Standing::Following, actions: Vec::new(), statistics: Statistics::default() }
    }

    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        match &self.standing {
            Standing::Following => Status::Following,
            Standing::Leading(leading) => Status::Leading { term: leading.term, phase: leading.phase.clone() },
        }
    }

    /// What it has done and seen.
    #[must_use]
    pub const fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How long a node may be absent.
    #[must_use]
    pub const fn grace(&self) -> Duration {
        self.config.grace
    }

    /// What each layer needs, as far as a leader can see; empty for others.
    #[must_use]
    pub fn needs(&self) -> BTreeMap<Layer, Need> {
        match &self.standing {
            Standing::Following => BTreeMap::new(),
            Standing::Leading(leading) => supply::needs(&leading.observation),
        }
    }

    /// Layers and names of those that are registered, as far as a leader can see.
    pub fn names(&self) -> impl Iterator<Item = (Layer, Arc<str>)> {
        let observation = match &self.standing {
            Standing::Following => None,
            Standing::Leading(leading) => Some(&leading.observation),
        };
        let members = observation.into_iter().flat_map(|observation| observation.members.values());
        members.map(|member| (member.layer, member.name.clone()))
    }

    fn plan(&mut self, now: Instant) {
        let Standing::Leading(leading) = &mut self.standing else { return };
        leading.absences.note(&leading.observation, now);
        leading.waits.note(&leading.observation, now);
        let plan = Planner {
            config: &self.config,
            settings: &self.settings,
            observation: &leading.observation,
            absences: &leading.absences,
            waits: &leading.waits,
            now,
        }
        .plan();
        leading.phase = plan.phase;
        leading.again = plan.again;
        // One write at a time: what was asked for and not fetched is asked for anew, or not any more.
        self.actions.clear();
        match &plan.write {
            None | Some(Action::Forget(..)) => {}
            Some(Action::Propose(_)) => self.statistics.proposals += 1,
            Some(Action::Commit(_)) => self.statistics.commits += 1,
            Some(Action::Journal(_)) => self.statistics.journal_writes += 1,
        }
        self.actions.extend(plan.write);
        self.statistics.members_registered = leading.observation.members.len();
        self.statistics.epoch = leading.observation.layout.as_ref().map_or(0, |layout| layout.epoch.0);
        (self.statistics.members_vanished, self.statistics.members_idle) = match &leading.phase {
            Phase::Governing { vanished, idle, .. } => (vanished.len(), idle.len()),
            Phase::Expiring { members, .. } => (*members, leading.observation.members.len()),
            Phase::Gathering { .. }
            | Phase::Proposing { .. }
            | Phase::Acknowledging { .. }
            | Phase::Committing { .. } => (0, 0),
        };
    }
}

impl Machine for Coordinator {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, now: Instant, event: Event) {
        match event {
            Event::Elected { term, mut observation } => {
                self.statistics.elections += 1;
                observation.supply = self.config.supply();
                observation.forget_refused();
                // A new leader knows nothing of who was absent or waited for before: everybody's time starts with it.
                self.standing = Standing::Leading(Box::new(Leading {
                    term,
                    observation,
                    absences: Absences::default(),
                    waits: Waits::default(),
                    phase: Phase::Gathering { layers: Vec::new() },
                    again: None,
                }));
                self.plan(now);
            }
            Event::Observed(mut observation) => {
                if let Standing::Leading(leading) = &mut self.standing {
                    observation.supply = self.config.supply();
                    observation.forget_refused();
                    leading.observation = observation;
                    self.plan(now);
                }
            }
            Event::Interrupted => {
                if let Standing::Leading(leading) = &mut self.standing {
                    self.statistics.interruptions += 1;
                    leading.absences.start_anew(now);
                    leading.waits.start_anew(now);
                    self.plan(now);
                }
            }
            Event::Deposed => {
                if matches!(self.standing, Standing::Leading(_)) {
                    self.statistics.depositions += 1;
                }
                self.standing = Standing::Following;
                self.actions.clear();
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.plan(now);
    }

    fn drain_actions(&mut self, into: &mut Vec<Action>) {
        into.append(&mut self.actions);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match &self.standing {
            Standing::Following => None,
            Standing::Leading(leading) => leading.again,
        }
    }
}

#[cfg(test)]
mod tests;
