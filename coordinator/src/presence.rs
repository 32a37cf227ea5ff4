//! Who is there, who is away for a while, and who is gone for good: from who is registered, and from what came of asking nodes directly.
//!
//! ```text
//!   registered ──▶ unregistered ──── grace ────▶ gone
//!       │               │                         ▲ ▲
//!       │ peers cannot  │ asked                   │ │
//!       ▼ reach it      ▼ directly                │ │
//!     asked directly ──────── refused, at once ───┘ │
//!                    ──────── silent, patience ─────┘
//! ```
//! A port that refuses has nobody behind it: whoever had it is dead. One that says nothing may belong to a process that is stopped, a
//! machine that is off, or a network that is cut; it is given some patience. One that answers is there, whatever was said of it.
//! Being gone is not being dead: whoever is declared gone and lives is refused by the layout that goes on without it.

use std::collections::BTreeMap;

use gomera_cluster::address::Incarnation;
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::plan::Observation;

/// What came of asking a node directly that did not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Its port is closed.
    Refused,
    /// Nothing came in time.
    Silent,
}

/// Whether nodes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// At least one is registered.
    Present,
    /// None is, and the time of at least one has not run out.
    Absent,
    /// The time of each has run out.
    Gone,
}

/// Since when nodes that a layout names have been unregistered, and since when any have been silent. Holds no others.
#[derive(Debug, Default)]
pub(crate) struct Absences {
    unregistered: BTreeMap<Incarnation, Instant>,
    silent: BTreeMap<Incarnation, Instant>,
}

impl Absences {
    /// Takes note of who is absent now.
    pub(crate) fn note(&mut self, observation: &Observation, now: Instant) {
        let absent = observation.named().into_iter().filter(|node| !observation.members.contains_key(node));
        self.unregistered = absent.map(|node| (node, self.unregistered.get(&node).copied().unwrap_or(now))).collect();
        let silent = observation.probes.iter().filter(|&(_, &probe)| probe == Probe::Silent).map(|(&node, _)| node);
        self.silent = silent.map(|node| (node, self.silent.get(&node).copied().unwrap_or(now))).collect();
    }

    /// Everybody's time starts anew: our own view was interrupted.
    pub(crate) fn start_anew(&mut self, now: Instant) {
        self.unregistered.values_mut().chain(self.silent.values_mut()).for_each(|since| *since = now);
    }

    /// The next moment at which somebody's time runs out.
    pub(crate) fn next_end(&self, config: &Config, now: Instant) -> Option<Instant> {
        let unregistered = self.unregistered.values().map(|&since| since + config.grace);
        let silent = self.silent.values().map(|&since| since + config.silence);
        unregistered.chain(silent).filter(|&end| end > now).min()
    }

    /// Of all of these nodes together.
    pub(crate) fn presence<'n>(
        &self,
        nodes: impl IntoIterator<Item = &'n Incarnation>,
        observation: &Observation,
        config: &Config,
        now: Instant,
    ) -> Presence {
        let has_run_out = |since: Option<&Instant>, time| since.is_some_and(|&since| since + time <= now);
        let mut presence = Presence::Gone;
        for node in nodes {
            let is_refused = observation.probes.get(node) == Some(&Probe::Refused);
            if is_refused || has_run_out(self.silent.get(node), config.silence) {
                continue;
            }
            match self.unregistered.get(node) {
                None => return Presence::Present,
                since @ Some(_) if has_run_out(since, config.grace) => {}
                Some(_) => presence = Presence::Absent,
            }
        }
        presence
    }
}
