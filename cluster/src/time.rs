//! Monotonic time as machines see it. Wall time is never read by a machine: it arrives in a [`WallClock`] event and is
//! carried forward from there by the monotonic clock.

use std::ops::Add;
use std::time::Duration;

use gomera_model::timestamp::Timestamp;

/// Time since the driver started; only differences and order mean anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(Duration);

impl Instant {
    /// The moment the driver started.
    pub const ZERO: Self = Self(Duration::ZERO);

    /// The instant that lies `since_start` after the start of the driver.
    #[must_use]
    pub const fn from_start(since_start: Duration) -> Self {
        Self(since_start)
    }

    /// Time since the start of the driver.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// What the wall clock showed at an instant; machines extrapolate from the latest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WallClock {
    /// When the clock was read.
    pub at: Instant,
    /// What it showed.
    pub showed: Timestamp,
}

impl WallClock {
    /// The wall time at `now`.
    #[must_use]
    pub fn at(self, now: Instant) -> Timestamp {
        let elapsed = i64::try_from(now.since(self.at).as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.showed.0.saturating_add(elapsed))
    }
}
