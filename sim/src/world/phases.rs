//! How a run goes from one phase to the next, and what must hold at each turn.

use std::time::Duration;

use super::{World, bounds};
use crate::judge;
use crate::random::millis;
use crate::stage::Phase;
use crate::verdict::Promise;

/// Once faults have stopped, everything settles within this time: the longest waits are those for a blocking session (2 s at
/// most, each session once), for a layout or an answer (10 s), and round trips with every window at 1.
const SETTLES_WITHIN: Duration = Duration::from_secs(60);

/// Sessions and publishers are forgotten within this time: the longest expiry of a session is 20 s, of a publisher twice 10 s.
const LEAVES_WITHIN: Duration = Duration::from_secs(90);

/// How often it is looked whether a phase is over.
const LOOK_EVERY: Duration = millis(2);

impl World {
    /// Goes on to the next phase if this one is over. True when the run is over.
    pub(super) fn phase_check(&mut self) -> bool {
        let now = self.stage.agenda.next_at().unwrap_or(self.stage.now);
        match self.stage.phase {
            Phase::Rough => {
                if now.since_start() >= self.plan.rough_for {
                    self.settle();
                }
                false
            }
            Phase::Settling | Phase::Revisiting | Phase::Leaving => {
                if now.since(self.checked_at) < LOOK_EVERY {
                    return false;
                }
                self.checked_at = now;
                match self.pending() {
                    None => self.phase_is_over(),
                    Some(pending) => self.overdue(&pending),
                }
            }
        }
    }

    fn phase_is_over(&mut self) -> bool {
        match self.stage.phase {
            Phase::Rough => false,
            Phase::Settling => {
                self.compare_replicas();
                self.compare_sessions();
                self.check_journal();
                self.enter(Phase::Revisiting);
                false
            }
            Phase::Revisiting => {
                let layout = self.latest().clone();
                self.stage.history.enter_losses(&layout);
                match judge::judge(&self.stage.history, self.stage.now, self.plan.troubles.skew) {
                    Ok(account) => self.account = account,
                    Err(violation) => {
                        self.stage.violation.get_or_insert(violation);
                    }
                }
                self.enter(Phase::Leaving);
                false
            }
            Phase::Leaving => true,
        }
    }

    fn overdue(&mut self, pending: &str) -> bool {
        let within = match self.stage.phase {
            Phase::Rough | Phase::Settling | Phase::Revisiting => SETTLES_WITHIN,
            Phase::Leaving => LEAVES_WITHIN,
        };
        let late = self.stage.now.since(self.phase_since) > within;
        if late {
            let promise = match self.stage.phase {
                Phase::Rough | Phase::Settling | Phase::Revisiting => Promise::Progress,
                Phase::Leaving => Promise::Retention,
            };
            let subjects = Vec::new();
            let what = format!("{within:?} after {:?} began, still: {pending}", self.stage.phase);
            self.stage.violate(promise, subjects, what);
        }
        late
    }

    fn enter(&mut self, phase: Phase) {
        self.stage.phase = phase;
        self.phase_since = self.stage.now;
        self.stage.note(|| format!("--- {phase:?}"));
        for publisher in &mut self.publishers {
            publisher.enter_phase(&mut self.stage);
        }
        for subscriber in &mut self.subscribers {
            subscriber.enter_phase(&mut self.stage);
        }
    }

    /// Faults stop.
    fn settle(&mut self) {
        let now = self.stage.now;
        self.network.calm_down(now, &mut self.stage.agenda);
        self.stage.doors.calm_down(now, &mut self.stage.agenda);
        self.wake_all();
        self.calm_coordinators();
        self.enter(Phase::Settling);
        self.tell_all();
    }

    /// Who has to be told yet that subscriptions were lost.
    fn untold_loss(&self) -> Option<String> {
        let &(_, since) = self.stage.history.losses.last()?;
        let number = self.latest().subscriptions_lost().0;
        let untold = self.subscribers.iter().find(|subscriber| subscriber.is_owed_a_loss(number, since))?;
        Some(format!("session {} is not told that subscriptions are lost", untold.name()))
    }

    /// What is not done yet in this phase.
    pub(super) fn pending(&self) -> Option<String> {
        let phase = self.stage.phase;
        let clients = self
            .publishers
            .iter()
            .find_map(crate::publisher::Publisher::pending)
            .or_else(|| self.subscribers.iter().find_map(|subscriber| subscriber.pending(phase)));
        if clients.is_some() {
            return clients;
        }
        if let Some(untold) = self.untold_loss() {
            return Some(untold);
        }
        if let Some(stopped) = self.stopped_and_named() {
            return Some(format!("a layout without {stopped} is to come"));
        }
        if let Some(unreached) = self.unreached() {
            return Some(unreached);
        }
        if self.network.under_way() > 0 {
            return Some(format!("{} frames are under way", self.network.under_way()));
        }
        if let Some(node) = self.nodes.iter().find(|node| !node.inbox.is_empty()) {
            return Some(format!("{} has something to work on", node.name));
        }
        if let Some(what) = self.stage.doors.under_way() {
            return Some(what);
        }
        let kept = self.nodes.iter().filter(|node| !node.is_crashed()).find_map(|node| bounds::kept(node, phase));
        kept.or_else(|| self.remembered())
    }
}
