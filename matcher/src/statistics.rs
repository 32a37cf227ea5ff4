//! What a matcher shard counts about itself, for metrics.

/// Counters since the start, and gauges as of the last drain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Publications judged.
    pub publications: u64,
    /// Filters evaluated for them, after the index.
    pub evaluations: u64,
    /// Subscriptions they satisfied.
    pub matches: u64,
    /// Operations applied or refused.
    pub operations: u64,
    /// Frames sent to exit points.
    pub frames: u64,
    /// Subscriptions removed because they had expired.
    pub expired: u64,
    /// Publications judged once more because another matcher died.
    pub replayed: u64,
    /// Slices by which the end of a fenced lane is judged from what is retained here, because whoever judged by them died as well.
    pub ends_judged: u64,
    /// Bytes of snapshots sent to matchers that join.
    pub snapshot_bytes: u64,
    /// Snapshots asked for.
    pub snapshots: u64,
    /// Snapshots begun anew because too many operations came meanwhile.
    pub snapshots_overrun: u64,
    /// Messages that waited for their layout.
    pub held: u64,
    /// Messages from senders that the layout does not name, or about lanes that they do not write.
    pub misdirected: u64,
    /// Gauge: subscriptions, paused and expired ones included.
    pub subscriptions: u64,
    /// Gauge: heap bytes of the index.
    pub index_bytes: u64,
    /// Gauge: bytes that subscriptions count against `subscription_bytes_max`.
    pub subscription_bytes: u64,
    /// Gauge: the most nanoseconds that the filters of one tenant count against `filter_cost_per_tenant_max`.
    pub filter_cost_nanoseconds: u64,
    /// Gauge: sessions with a subscription, a context or a trace of either.
    pub sessions: u64,
    /// Gauge: tombstones.
    pub tombstones: u64,
    /// Gauge: subscriptions of ended sessions that wait to be removed; they match nothing.
    pub doomed: u64,
    /// Gauge: slices on their way here.
    pub joining: u64,
    /// Gauge: bytes of matches that wait for credit.
    pub output_bytes: u64,
    /// Gauge: frames of entries that wait.
    pub input_frames: u64,
    /// Gauge: their bytes.
    pub input_bytes: u64,
    /// Gauge: bytes of entries kept until all exit points have merged them.
    pub retained_bytes: u64,
}

impl Statistics {
    /// The counters, of a machine that holds nothing.
    #[must_use]
    pub fn of_nothing(self) -> Self {
        Self {
            subscriptions: 0,
            index_bytes: 0,
            subscription_bytes: 0,
            filter_cost_nanoseconds: 0,
            sessions: 0,
            tombstones: 0,
            doomed: 0,
            joining: 0,
            output_bytes: 0,
            input_frames: 0,
            input_bytes: 0,
            retained_bytes: 0,
            ..self
        }
    }
}
