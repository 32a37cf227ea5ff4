//! What a connection point counts, for metrics. Gauges say what is now, counters what has ever been.

/// Gauges and counters of one connection-point machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Counter: publishers that went on on another lane because the layout gave them one.
    pub publishers_moved: u64,
    /// Counter: publishers that came back and had something outstanding on another lane than theirs.
    pub publishers_found: u64,
    /// Counter: publishers that went on on another lane because theirs had ended.
    pub publishers_fenced: u64,
    /// Counter: attachments whose exit point another one took over from.
    pub sessions_taken_over: u64,
    /// Counter: sessions whose operations went on on another lane because the layout gave them one.
    pub sessions_moved: u64,
    /// Counter: sessions whose operations were asked again because their lane had ended.
    pub sessions_fenced: u64,
    /// Gauge: client connections, whatever they do.
    pub connections: usize,
    /// Gauge: publisher connections, open or opening.
    pub publishers: usize,
    /// Gauge: sessions, attached or attaching.
    pub sessions: usize,
    /// Gauge: cost of publications that are not acknowledged.
    pub publications_unacknowledged_bytes: u64,
    /// Gauge: cost of operations that are not answered.
    pub operations_unanswered_bytes: u64,
    /// Connections closed by us, for whatever reason.
    pub connections_closed: u64,
    /// Connections refused because there are as many as there may be.
    pub connections_refused: u64,
    /// Connections refused because this node is to leave.
    pub connections_turned_away: u64,
    /// Connections asked to move elsewhere.
    pub connections_asked_to_move: u64,
    /// Connections that had not moved in time and were closed.
    pub connections_forced: u64,
    /// Publications taken in and kept until acknowledged.
    pub publications_accepted: u64,
    /// Publications acknowledged to their publishers.
    pub publications_acknowledged: u64,
    /// Publications refused, here or at the access point.
    pub publications_refused: u64,
    /// Publications that were a repeat of one known here.
    pub publications_repeated: u64,
    /// Publications handed to access points.
    pub publications_sent: u64,
    /// Frames of publications handed to access points.
    pub publish_frames_sent: u64,
    /// Operations taken in.
    pub operations_accepted: u64,
    /// Operations answered, well or not.
    pub operations_answered: u64,
    /// Requests that failed at once.
    pub requests_failed: u64,
    /// Attaches answered by an exit point.
    pub sessions_attached: u64,
    /// Attaches asked again because an exit point was not active.
    pub attaches_retried: u64,
    /// Notifications passed to clients.
    pub notifications_delivered: u64,
    /// Gauge: notifications and gaps that wait for their clients' credit.
    pub deliveries_held: usize,
    /// Gaps passed to clients.
    pub gaps_delivered: u64,
    /// Times a connection was told to pause.
    pub pauses: u64,
    /// Messages of machines that came too late, from the wrong one, or made no sense: dropped.
    pub messages_stale: u64,
    /// Messages of machines that the layout does not name: dropped.
    pub messages_refused: u64,
}
