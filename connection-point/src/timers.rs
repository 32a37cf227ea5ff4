//! What waits for a moment: at most one of each kind per connection.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::identity::ConnectionId;
use gomera_cluster::time::Instant;

/// What can wait for a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A connection waits for a place in the layout or for an answer; then it is given up.
    Wait(ConnectionId),
    /// An attach is asked again.
    Retry(ConnectionId),
    /// A publisher's rate allows more.
    Refill(ConnectionId),
    /// There is room for publishers; more of them go on.
    Room,
    /// More clients are asked to move, or those who are left are closed.
    Parting,
}

/// All timers, by moment and by what they are for.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeSet<(Instant, Timer)>,
    set: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets or moves a timer.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        if let Some(before) = self.set.insert(timer, at) {
            self.due.remove(&(before, timer));
        }
        self.due.insert((at, timer));
    }

    /// Forgets a timer, if it is set.
    pub fn cancel(&mut self, timer: Timer) {
        if let Some(at) = self.set.remove(&timer) {
            self.due.remove(&(at, timer));
        }
    }

    /// Whether a timer is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.set.contains_key(&timer)
    }

    /// The moment of the first one.
    pub fn first(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Takes one that is due.
    pub fn take_due(&mut self, now: Instant) -> Option<Timer> {
        let &(at, timer) = self.due.first()?;
        if at > now {
            return None;
        }
        self.cancel(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_moved_timer_is_due_once_and_a_cancelled_one_never() {
        let at = |seconds| Instant::from_start(Duration::from_secs(seconds));
        let (first, second) = (Timer::Wait(ConnectionId(1)), Timer::Retry(ConnectionId(1)));
        let mut timers = Timers::default();
        timers.set(first, at(1));
        timers.set(second, at(2));
        timers.set(first, at(3));
        assert_eq!(timers.first(), Some(at(2)));
        timers.cancel(second);
        assert_eq!(timers.take_due(at(2)), None);
        assert_eq!(timers.take_due(at(3)), Some(first));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.first(), None);
    }
}
