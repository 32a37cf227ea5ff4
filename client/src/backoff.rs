//! How long to wait before the next attempt to connect: doubling, with full jitter, so that a thousand clients that lost
//! the same connection point do not come back in step; given up after a time without success. Pure: randomness and
//! time are handed in.

use std::time::Duration;

/// How a client comes back after its connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reconnect {
    /// The first wait is a random share of this; doubled each time.
    pub wait_first: Duration,
    /// No wait is longer than this.
    pub wait_max: Duration,
    /// After so long without a connection, publishers and sessions fail with `Unavailable`.
    pub give_up_after: Duration,
    /// A connection on which nothing comes for so long is asked whether it lives. Shorter finds a connection point that hangs or is cut
    /// off sooner, and costs 17 bytes each time both ways.
    pub keep_alive_interval: Duration,
    /// It is given up if it does not answer within this. Shorter gives up sooner on a network or machine that is merely slow; nothing is
    /// lost by that.
    pub keep_alive_timeout: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            wait_first: Duration::from_millis(50),
            wait_max: Duration::from_secs(5),
            give_up_after: Duration::from_secs(300),
            keep_alive_interval: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(5),
        }
    }
}

/// What to do after a failed attempt or a broken connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again after this.
    Wait(Duration),
    /// It has lasted too long.
    GiveUp,
}

/// One outage: begins when the connection is lost, ends with [`Backoff::connected`].
#[derive(Debug)]
pub(crate) struct Backoff {
    policy: Reconnect,
    attempts: u32,
    waited: Duration,
}

impl Backoff {
    pub(crate) fn new(policy: Reconnect) -> Self {
        Self { policy, attempts: 0, waited: Duration::ZERO }
    }

    /// The connection stands: the next outage begins afresh.
    pub(crate) fn connected(&mut self) {
        self.attempts = 0;
        self.waited = Duration::ZERO;
    }

    /// An attempt that took `attempt` failed. `chance` is uniform in `0.0..1.0`.
    pub(crate) fn failed(&mut self, attempt: Duration, chance: f64) -> Next {
        self.waited = self.waited.saturating_add(attempt);
        if self.waited >= self.policy.give_up_after {
            return Next::GiveUp;
        }
        let ceiling = self
            .policy
            .wait_first
            .saturating_mul(1_u32.checked_shl(self.attempts).unwrap_or(u32::MAX))
            .min(self.policy.wait_max);
        self.attempts = self.attempts.saturating_add(1);
        let wait = ceiling.mul_f64(chance.clamp(0.0, 1.0));
        self.waited = self.waited.saturating_add(wait);
        Next::Wait(wait)
    }
}

#[cfg(test)]
mod tests {
    //! Claims about waiting.

    use super::*;

    fn policy() -> Reconnect {
        Reconnect {
            wait_first: Duration::from_millis(100),
            wait_max: Duration::from_millis(1_000),
            give_up_after: Duration::from_secs(4),
            ..Reconnect::default()
        }
    }

    #[test]
    fn waits_double_up_to_the_longest_and_a_success_starts_afresh() {
        let mut backoff = Backoff::new(policy());
        let waits: Vec<_> = (0..5).map(|_| backoff.failed(Duration::ZERO, 1.0)).collect();
        let expected: Vec<_> = [100, 200, 400, 800, 1_000].map(|wait| Next::Wait(Duration::from_millis(wait))).into();
        assert_eq!(waits, expected);
        backoff.connected();
        assert_eq!(backoff.failed(Duration::ZERO, 0.5), Next::Wait(Duration::from_millis(50)));
    }

    #[test]
    fn it_gives_up_after_the_time_allowed_attempts_included() {
        let mut backoff = Backoff::new(policy());
        assert_ne!(backoff.failed(Duration::from_secs(3), 1.0), Next::GiveUp);
        assert_eq!(backoff.failed(Duration::from_secs(1), 1.0), Next::GiveUp);
        let mut patient = Backoff::new(Reconnect { give_up_after: Duration::MAX, ..policy() });
        for _ in 0..200 {
            assert_eq!(patient.failed(Duration::ZERO, 0.0), Next::Wait(Duration::ZERO));
        }
    }
}
