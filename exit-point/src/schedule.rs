//! When something is due, in order: session expiry by the monotonic clock, expired notifications by the wall clock.

use std::collections::BTreeSet;

use crate::session::SessionId;

/// At most one due moment per session and schedule; who sets it remembers it, and cancels by it.
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    due: BTreeSet<(T, SessionId)>,
}

impl<T: Ord + Copy> Schedule<T> {
    pub(crate) const fn new() -> Self {
        Self { due: BTreeSet::new() }
    }

    /// Makes `session` due at `at`.
    pub(crate) fn set(&mut self, at: T, session: SessionId) {
        self.due.insert((at, session));
    }

    /// Takes back what was set; a moment that is not set changes nothing.
    pub(crate) fn cancel(&mut self, at: T, session: SessionId) {
        self.due.remove(&(at, session));
    }

    /// The first moment at which somebody is due.
    pub(crate) fn first(&self) -> Option<T> {
        self.due.first().map(|&(at, _)| at)
    }

    /// Takes out the first session that is due at `now`.
    pub(crate) fn pop(&mut self, now: T) -> Option<SessionId> {
        let &(at, session) = self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_comes_first_and_what_is_cancelled_never() {
        let mut schedule = Schedule::new();
        for (at, session) in [(30_u64, 1), (10, 2), (20, 3)] {
            schedule.set(at, SessionId(session));
        }
        schedule.cancel(10, SessionId(2));
        assert_eq!(schedule.first(), Some(20));
        assert_eq!(schedule.pop(19), None);
        assert_eq!(schedule.pop(30), Some(SessionId(3)));
        assert_eq!(schedule.pop(30), Some(SessionId(1)));
        assert_eq!(schedule.pop(30), None);
    }
}
