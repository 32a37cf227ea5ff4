//! What the shard counts, for metrics: counters since it started, gauges of the present.

/// Counters (`…_total` in metrics) and gauges of one exit-point shard. Gauges of lanes are brought up to date by each drain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Counter: `Matches` frames taken in.
    pub frames: u64,
    /// Counter: frames dropped because everything in them was covered already.
    pub frames_covered: u64,
    /// Counter: frames dropped because their lane, sender or slices are not in the layout.
    pub frames_refused: u64,
    /// Counter: positions merged, over all lanes, those without a match included.
    pub positions_merged: u64,
    /// Counter: publications passed over because they are in outboxes already, from a lane that was fenced.
    pub publications_repeated: u64,
    /// Counter: lanes that were fenced and have ended.
    pub lanes_cut: u64,
    /// Gauge: lanes that have ended and of which something is in an outbox.
    pub lanes_departing: u64,
    /// Counter: notifications put into outboxes.
    pub notifications_merged: u64,
    /// Counter: notifications sent to connection points, repeats included.
    pub notifications_sent: u64,
    /// Counter: those of them flagged as redelivered.
    pub notifications_redelivered: u64,
    /// Counter: notifications that left an outbox because the client has them.
    pub notifications_acknowledged: u64,
    /// Counter: notifications given up by policy or limit.
    pub notifications_dropped: u64,
    /// Counter: notifications dropped because their publication expired.
    pub notifications_expired: u64,
    /// Counter: notifications that went with their session.
    pub notifications_abandoned: u64,
    /// Counter: gaps told.
    pub gaps_told: u64,
    /// Counter: matches for sessions that are not here.
    pub targets_unknown: u64,
    /// Counter: matches by subscriptions of an earlier life of their session.
    pub targets_outlived: u64,
    /// Counter: bytes of content copied out of frames because a notification stays.
    pub copied_bytes: u64,
    /// Gauge: sessions decided about elsewhere, of which this shard has a copy.
    pub sessions_followed: u64,
    /// Gauge: bytes in their outboxes.
    pub followed_bytes: u64,
    /// Gauge: notifications in their outboxes.
    pub followed_notifications: u64,
    /// Gauge: bytes kept for slices whose sessions are on their way here.
    pub joining_bytes: u64,
    /// Gauge: slices whose sessions are to come here and are not all here.
    pub slices_joining: u64,
    /// Counter: slices that this shard began to decide about, from another replica.
    pub slices_taken_over: u64,
    /// Counter: slices that began to join anew, because too much had to be kept for them.
    pub slices_overrun: u64,
    /// Counter: slices of which this shard was told, after a lane was fenced, what counts of it, before it went on.
    pub slices_agreed: u64,
    /// Counter: notifications of lanes that had ended which gave way to what the replica that decides has of them.
    pub notifications_replaced: u64,
    /// Counter: attachments that went on here, of sessions taken over.
    pub sessions_adopted: u64,
    /// Counter: attachments to sessions that died with their last replica.
    pub sessions_lost: u64,
    /// Counter: sessions created.
    pub sessions_created: u64,
    /// Counter: attachments to sessions that existed.
    pub sessions_resumed: u64,
    /// Counter: attachments superseded by a newer one.
    pub sessions_superseded: u64,
    /// Counter: attachments ended because the session was slow.
    pub sessions_slow: u64,
    /// Counter: sessions ended by their client.
    pub sessions_ended: u64,
    /// Counter: sessions that expired while nobody was attached.
    pub sessions_expired: u64,
    /// Counter: attaches refused.
    pub attaches_refused: u64,
    /// Counter: those of them that a later try of the same client had overtaken.
    pub attaches_overtaken: u64,
    /// Counter: times merging began to wait for slow sessions.
    pub holds: u64,
    /// Counter: microseconds that merging waited for slow sessions.
    pub held_microseconds: u64,
    /// Gauge: sessions.
    pub sessions: u64,
    /// Gauge: sessions with an attachment.
    pub sessions_attached: u64,
    /// Gauge: sessions that matchers have yet to forget.
    pub sessions_forgetting: u64,
    /// Gauge: bytes in outboxes.
    pub outbox_bytes: u64,
    /// Gauge: notifications in outboxes.
    pub outbox_notifications: u64,
    /// Gauge: bytes of matches that are not merged.
    pub unmerged_bytes: u64,
    /// Gauge: frames that wait for a hole before them to be filled.
    pub frames_held: u64,
    /// Gauge: the most that a lane's furthest slice is ahead of its last merged position, in positions.
    pub coverage_lag: u64,
}
