//! How long merging has waited for a session that blocks. An episode begins when its outbox is full for the first time and
//! ends when it is at most half full; waits of one episode add up, so that a client which takes one notification at a time
//! cannot hold everybody up for ever.

use std::time::Duration;

use gomera_cluster::time::Instant;

/// A session's episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Merging waits for it now, after it had waited for `spent` in this episode.
    Waiting {
        /// Waits of this episode that are over.
        spent: Duration,
        /// Since when.
        since: Instant,
    },
    /// Merging does not wait. Zero: no episode.
    Going {
        /// Waits of this episode.
        spent: Duration,
    },
}

impl Patience {
    /// No episode.
    pub(crate) const CALM: Self = Self::Going { spent: Duration::ZERO };

    /// Begins to wait, or goes on waiting. Returns what is left of `wait_max`.
    pub(crate) fn wait(&mut self, now: Instant, wait_max: Duration) -> Duration {
        let (spent, since) = match *self {
            Self::Waiting { spent, since } => (spent, since),
            Self::Going { spent } => (spent, now),
        };
        *self = Self::Waiting { spent, since };
        wait_max.saturating_sub(spent).saturating_sub(now.since(since))
    }

    /// Waits no more; the episode goes on.
    pub(crate) fn go(&mut self, now: Instant) {
        match *self {
            Self::Waiting { spent, since } => *self = Self::Going { spent: spent.saturating_add(now.since(since)) },
            Self::Going { .. } => {}
        }
    }

    /// Ends the episode, unless merging waits for the session right now.
    pub(crate) const fn calm(&mut self) {
        if !self.is_waiting() {
            *self = Self::CALM;
        }
    }

    /// Whether merging waits for it.
    pub(crate) const fn is_waiting(self) -> bool {
        match self {
            Self::Waiting { .. } => true,
            Self::Going { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Instant {
        Instant::from_start(Duration::from_millis(milliseconds))
    }

    #[test]
    fn waits_of_an_episode_add_up() {
        let second = Duration::from_secs(1);
        let mut patience = Patience::CALM;
        assert_eq!(patience.wait(at(0), second), second);
        assert_eq!(patience.wait(at(400), second), Duration::from_millis(600));
        patience.go(at(700));
        assert_eq!(patience.wait(at(5000), second), Duration::from_millis(300));
        assert_eq!(patience.wait(at(5300), second), Duration::ZERO);
        assert!(patience.is_waiting());
    }
}
