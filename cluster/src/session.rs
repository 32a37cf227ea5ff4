//! Sessions: what an attaching subscriber may ask for.

use std::time::Duration;

/// Which of its tries to attach a client makes: one that comes late, on a connection that the client has left, must not take the place
/// of a later one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempt {
    /// Drawn by the client process when it begins; 0: it does not say, and whoever comes last counts.
    pub process: u64,
    /// Grows with each try of that process.
    pub number: u64,
}

impl Attempt {
    /// Whether the same process has made a later try than this one.
    #[must_use]
    pub const fn is_overtaken_by(self, other: Self) -> bool {
        self.process != 0 && self.process == other.process && self.number < other.number
    }
}

/// What happens when a session's outbox is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowPolicy {
    /// The oldest notifications go, the session is told by a gap.
    DropOldest,
    /// The attachment is ended; while nobody is attached, as [`SlowPolicy::DropOldest`].
    Disconnect,
    /// Merging waits at most so long for this session, then as [`SlowPolicy::Disconnect`]; while nobody is attached it
    /// does not wait.
    Block {
        /// The longest wait; capped by the cluster (default 1 s).
        wait_max: Duration,
    },
}

/// How its consumers share a session's notifications.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// One consumer; a newer attachment supersedes the older one.
    Exclusive,
    /// Several consumers, each notification to one of them (not served yet: refused at the connection point).
    Group,
}

/// What notifications say about the subscriptions they satisfied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandleDetail {
    /// Every handle.
    All,
    /// Only how many.
    Count,
}

/// Options of a session, set by each attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// Outbox limit in bytes; capped by the cluster.
    pub outbox_bytes_max: u64,
    /// Outbox limit in notifications; capped by the cluster.
    pub outbox_notifications_max: u64,
    /// What happens at the limit.
    pub slow: SlowPolicy,
    /// How long the session lives on while nobody is attached; zero: ends with its attachment.
    pub expires_after: Duration,
    /// What notifications say about subscriptions.
    pub detail: HandleDetail,
    /// How consumers share it.
    pub sharing: Sharing,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            outbox_bytes_max: 16 << 20,
            outbox_notifications_max: 100_000,
            slow: SlowPolicy::DropOldest,
            expires_after: Duration::from_secs(60),
            detail: HandleDetail::All,
            sharing: Sharing::Exclusive,
        }
    }
}
