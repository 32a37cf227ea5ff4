//! The machine of one matcher shard: lets messages through the gate, and has lanes worked off in steps.
//!
//! ```text
//!   waiting ──Layout that names it──▶ serving ──newer Layout, which counts in each lane from its barrier on──▶ serving
//!   (all held) ◀──Layout that does not name it──
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::gate::{Gate, Passage};
use gomera_cluster::identity::SessionKey;
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice};
use gomera_cluster::machine::{Machine, NodeEvent, Received, Send};
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::snapshot::SubscriptionState;
use gomera_cluster::report::Report;
use gomera_cluster::time::{Instant, WallClock};
use gomera_model::attributes::Attributes;

use crate::config::Config;
use crate::serving::Serving;
use crate::statistics::Statistics;

/// What a matcher shard can be told.
pub type Event = NodeEvent<ToMatcher>;

/// What it can ask for.
pub type Action = Send;

#[derive(Debug)]
enum State {
    Waiting,
    Serving(Box<Serving>),
}

/// One matcher shard.
#[derive(Debug)]
pub struct Matcher {
    address: Address,
    config: Config,
    gate: Gate<ToMatcher>,
    state: State,
    clock: Option<WallClock>,
    now: Instant,
    statistics: Statistics,
}

impl Matcher {
    /// The shard at `address`; it waits for a layout.
    ///
    /// # Panics
    /// If the configuration is not valid.
    #[must_use]
    pub fn new(address: Address, config: Config) -> Self {
        config.validate().expect("a configuration is validated before a machine is made");
        Self {
            address,
            config,
            gate: Gate::default(),
            state: State::Waiting,
            clock: None,
            now: Instant::ZERO,
            statistics: Statistics::default(),
        }
    }

    /// What it counts about itself; gauges as of the last drain.
    #[must_use]
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The layout it acts on, 0 before the first.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.gate.epoch()
    }

    /// How far it has come with layouts.
    #[must_use]
    pub fn report(&self) -> Report {
        let acted = match &self.state {
            State::Waiting => Epoch(0),
            State::Serving(serving) => serving.acted(),
        };
        Report {
            proposed: self.gate.proposed(),
            epoch: self.gate.epoch(),
            acted,
            installed: self.installed(),
            snapshot_bytes: self.statistics.snapshot_bytes,
            ..Report::default()
        }
    }

    /// Slices that join here by the layout in force and of which it has everything.
    fn installed(&self) -> BTreeSet<u16> {
        match &self.state {
            State::Waiting => BTreeSet::new(),
            State::Serving(serving) => serving.installed(),
        }
    }

    /// What it has of a slice, if it has everything of it.
    #[must_use]
    pub fn copies(&self, slice: MatcherSlice) -> Option<Vec<SubscriptionState>> {
        match &self.state {
            State::Waiting => None,
            State::Serving(serving) => serving.copies(slice),
        }
    }

    /// The context of a session, as it knows it.
    #[must_use]
    pub fn context(&self, session: SessionKey) -> Option<&Attributes> {
        match &self.state {
            State::Waiting => None,
            State::Serving(serving) => serving.context(session),
        }
    }

    fn install(&mut self, layout: Arc<Layout>) {
        if !self.gate.install(layout.clone()) {
            return;
        }
        if !layout.names(self.address) {
            // Not yet, or no more: whoever is named later begins with nothing, and grants credit to those who then listen.
            self.state = State::Waiting;
            self.statistics = self.statistics.of_nothing();
            return;
        }
        match &mut self.state {
            State::Waiting => {
                self.state = State::Serving(Box::new(Serving::new(layout, self.address, &self.config)));
            }
            State::Serving(serving) => serving.govern(layout, self.address),
        }
        for received in self.gate.release() {
            self.receive(received);
        }
    }

    fn receive(&mut self, received: Received<ToMatcher>) {
        let State::Serving(serving) = &mut self.state else {
            self.statistics.misdirected += 1;
            return;
        };
        let directed = match received.message {
            ToMatcher::Entries(entries) => serving.receive(received.from, entries),
            ToMatcher::Replay(replay) => serving.receive_again(received.from, replay),
            ToMatcher::MatchesCredit(credit) => serving.grant(received.from, credit),
            ToMatcher::LaneSettled(settled) => {
                serving.settle(settled);
                true
            }
            ToMatcher::LaneTail(tail) => {
                serving.take_tail(self.now, received.from, &tail);
                true
            }
            ToMatcher::LaneDone(done) => serving.done(received.from, done.lane),
            ToMatcher::SnapshotWanted(wanted) => {
                serving.want(received.from, wanted);
                true
            }
            ToMatcher::SnapshotPart(part) => {
                serving.take(self.now, received.from, part);
                true
            }
            ToMatcher::SnapshotCredit(credit) => {
                serving.grant_snapshot(received.from, credit);
                true
            }
        };
        if !directed {
            self.statistics.misdirected += 1;
        }
    }

    fn work(&mut self) {
        if let State::Serving(serving) = &mut self.state {
            let wall = self.clock.map(|clock| clock.at(self.now));
            serving.work(self.now, wall, &mut self.statistics);
        }
    }
}

impl Machine for Matcher {
    type Event = Event;
    type Action = Action;

    fn handle(&mut self, now: Instant, event: Event) {
        self.now = now;
        match event {
            NodeEvent::Received(received) => match self.gate.admit(received) {
                Passage::Pass(received) => self.receive(received),
                Passage::Held { .. } => self.statistics.held += 1,
                Passage::Refused => self.statistics.misdirected += 1,
            },
            NodeEvent::Proposed(proposal) => {
                self.gate.propose(proposal);
            }
            NodeEvent::Layout(layout) => self.install(layout),
            NodeEvent::Clock(clock) => self.clock = Some(clock),
        }
        self.work();
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.now = now;
        self.work();
    }

    fn drain_actions(&mut self, into: &mut Vec<Action>) {
        if let State::Serving(serving) = &mut self.state {
            serving.flush(&mut self.statistics, into);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let State::Serving(serving) = &self.state else { return None };
        if serving.is_runnable() {
            return Some(self.now);
        }
        let removal = serving.next_removal().zip(self.clock).map(|(at, clock)| {
            let ahead = u64::try_from(at.0.saturating_sub(clock.showed.0)).unwrap_or(0);
            // The wall clock is read in whole microseconds: one more, and it has surely come.
            clock.at + Duration::from_micros(ahead.saturating_add(1))
        });
        [removal, serving.next_forgetting(), serving.next_turn()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests;
