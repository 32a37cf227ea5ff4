//! What an access-point shard counts about itself, for metrics.

/// Counters since the start, and gauges as of the last drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Publications that got a number.
    pub publications: u64,
    /// Bytes of those.
    pub publication_bytes: u64,
    /// Submissions that repeated one taken before.
    pub repeats: u64,
    /// Submissions refused.
    pub refused: u64,
    /// Submissions ignored because a newer attachment of their publisher exists.
    pub superseded: u64,
    /// Operations ignored because a newer attachment of their session goes on on another lane.
    pub operations_superseded: u64,
    /// Operations that got a number, ends of sessions included.
    pub operations: u64,
    /// Operations completed.
    pub completed: u64,
    /// Frames sent to matchers.
    pub frames: u64,
    /// Frames of what is sent again because a matcher died.
    pub replays: u64,
    /// Messages that waited for their layout.
    pub held: u64,
    /// Messages from senders that the layout does not name, or for lanes that are not written here.
    pub misdirected: u64,
    /// Publisher instances forgotten because they were idle.
    pub publishers_forgotten: u64,
    /// Gauge: lanes written here.
    pub lanes: u64,
    /// Gauge: entries retained.
    pub retained_entries: u64,
    /// Gauge: bytes retained.
    pub retained_bytes: u64,
    /// Gauge: operations that await matchers.
    pub operations_pending: u64,
    /// Gauge: ends of sessions and of subscriptions that wait to get a number.
    pub forgets_waiting: u64,
    /// Gauge: publisher instances known.
    pub publishers: u64,
}
