//! How coordinators die or are paused, at any moment, and come back: as somebody new, as who leads still, or as a zombie.

use std::time::Duration;

use gomera_cluster::machine::Machine as _;
use gomera_coordinator::Event;

use super::{Candidate, Condition, Standing};
use crate::agenda::{Due, Turn};
use crate::random::millis;
use crate::tally::Transition;
use crate::world::World;

/// How a coordinator stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Dies,
    Pauses,
}

impl World {
    /// Whoever leads dies or is paused, whatever it is at.
    pub(in crate::world) fn overthrow(&mut self) {
        if !self.stage.is_rough() {
            return;
        }
        let government = self.government();
        let is_leading = |candidate: &Candidate| {
            candidate.condition == Condition::Well && candidate.standing == Standing::Leading(government.service.term())
        };
        let Some(index) = government.candidates.iter().position(is_leading) else { return };
        let stop = if government.random.chance(500) { Stop::Dies } else { Stop::Pauses };
        self.stop_coordinator(index, stop);
    }

    /// A coordinator dies or is paused. How long until it is back.
    pub(super) fn stop_coordinator(&mut self, index: usize, stop: Stop) -> Duration {
        let now = self.stage.now;
        let government = self.government();
        let (low, high) = government.plan.session;
        let expires = government.random.duration(low, high);
        let returns = match stop {
            // Some are back before the coordination service has noticed.
            Stop::Pauses if government.random.chance(250) => government.random.duration(Duration::ZERO, expires),
            Stop::Dies | Stop::Pauses => expires + government.random.duration(millis(1), millis(300)),
        };
        let candidate = &mut government.candidates[index];
        let life = candidate.life;
        candidate.condition = match stop {
            Stop::Dies => Condition::Dead,
            Stop::Pauses => Condition::Paused(now + returns),
        };
        self.stage.note(|| format!("--- coordinator {index} {stop:?}, for {returns:?}"));
        self.stage.after(expires, Due::Turn(Turn::Expires(index, life)));
        self.stage.after(returns, Due::Turn(Turn::Returns(index, life)));
        returns
    }

    pub(super) fn coordinator_returns(&mut self, index: usize, life: u64) {
        let now = self.stage.now;
        let government = self.government();
        let candidate = &mut government.candidates[index];
        if candidate.life != life || candidate.condition == Condition::Well {
            return;
        }
        let was = std::mem::replace(&mut candidate.condition, Condition::Well);
        match (was, candidate.standing) {
            (Condition::Well, _) => {}
            (Condition::Dead, _) => {
                let (plan, settings) = (&government.plan, &government.settings);
                government.candidates[index] = Candidate::new(plan, settings, life + 1);
                government.queue.retain(|&queued| queued != index);
                government.queue.push_back(index);
            }
            (Condition::Paused(_), Standing::Leading(term)) if government.queue.contains(&index) => {
                candidate.machine.handle(now, Event::Interrupted);
                candidate.view.doubt_everything();
                candidate.is_hinted = true;
                self.stage.note(|| format!("--- coordinator {index} goes on in term {}", term.0));
            }
            (Condition::Paused(_), Standing::Leading(term)) => {
                candidate.is_hinted = true;
                if government.service.term() > term {
                    self.stage.count(Transition::LeaderWoke);
                }
                self.stage.note(|| {
                    format!("--- coordinator {index} wakes up and takes itself for the leader of term {}", term.0)
                });
            }
            (Condition::Paused(_), Standing::Following) => {
                candidate.life += 1;
                government.queue.retain(|&queued| queued != index);
                government.queue.push_back(index);
            }
        }
    }

    /// Coordinators that stopped are back soon, and stay.
    pub(in crate::world) fn calm_coordinators(&mut self) {
        let now = self.stage.now;
        if self.government.is_none() {
            return;
        }
        for index in 0..self.government().candidates.len() {
            let candidate = &mut self.government().candidates[index];
            let life = candidate.life;
            if let Condition::Paused(until) = &mut candidate.condition {
                *until = now + millis(2);
            }
            if candidate.condition != Condition::Well {
                self.stage.after(millis(1), Due::Turn(Turn::Expires(index, life)));
                self.stage.after(millis(2), Due::Turn(Turn::Returns(index, life)));
            }
        }
    }
}
