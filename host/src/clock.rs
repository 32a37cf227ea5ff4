//! The only place where clocks are read: monotonic time since the process began, and wall time, as machines see them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gomera_cluster::time::{Instant, WallClock};
use gomera_model::timestamp::Timestamp;

/// Tells both times. Copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: std::time::Instant,
}

impl Clock {
    /// A clock whose time begins now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: std::time::Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(self) -> Instant {
        Instant::from_start(self.start.elapsed())
    }

    /// When `instant` is for timers of the runtime.
    #[must_use]
    pub fn runtime_instant(self, instant: Instant) -> tokio::time::Instant {
        (self.start + instant.since_start()).into()
    }

    /// Both clocks, read together.
    #[must_use]
    pub fn wall(self) -> WallClock {
        WallClock { at: self.now(), showed: wall() }
    }
}

/// What the wall clock shows.
#[must_use]
pub fn wall() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
