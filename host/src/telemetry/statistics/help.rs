//! What each figure means, for whoever scrapes.

/// Tells the recorder.
pub fn describe() {
    for (name, text) in COUNTERS {
        metrics::describe_counter!(*name, *text);
    }
    for (name, text) in GAUGES {
        metrics::describe_gauge!(*name, *text);
    }
}

const COUNTERS: &[(&str, &str)] = &[
    ("gomera_frames_unknown_total", "Frames for machines that are not here, or of another layer: dropped."),
    ("gomera_connections_turned_away_total", "Connections closed at once because a port had all that it takes."),
    ("gomera_frames_unreachable_total", "Frames for nodes that no layout names: dropped."),
    ("gomera_connection_point_connections_closed_total", "Connections closed by us, for whatever reason."),
    (
        "gomera_connection_point_connections_refused_total",
        "Connections refused because there are as many as there may be.",
    ),
    (
        "gomera_connection_point_connections_turned_away_total",
        "Connections refused because the connection point is to leave.",
    ),
    (
        "gomera_connection_point_connections_asked_to_move_total",
        "Connections asked to move because the connection point is to leave.",
    ),
    (
        "gomera_connection_point_connections_forced_total",
        "Connections closed because they had not moved when the connection point was to leave.",
    ),
    ("gomera_connection_point_publications_accepted_total", "Publications taken in and kept until acknowledged."),
    ("gomera_connection_point_publications_acknowledged_total", "Publications acknowledged to their publishers."),
    ("gomera_connection_point_publications_refused_total", "Publications refused, here or at the access point."),
    ("gomera_connection_point_publications_repeated_total", "Publications that were a repeat of one known here."),
    ("gomera_connection_point_publications_sent_total", "Publications handed to access points."),
    ("gomera_connection_point_publish_frames_sent_total", "Frames of publications handed to access points."),
    ("gomera_connection_point_operations_accepted_total", "Operations taken in."),
    ("gomera_connection_point_operations_answered_total", "Operations answered, well or not."),
    ("gomera_connection_point_requests_failed_total", "Requests that failed at once."),
    ("gomera_connection_point_sessions_attached_total", "Attaches answered by an exit point."),
    ("gomera_connection_point_attaches_retried_total", "Attaches asked again because an exit point was not active."),
    ("gomera_connection_point_notifications_delivered_total", "Notifications passed to clients."),
    ("gomera_connection_point_gaps_delivered_total", "Gaps passed to clients."),
    ("gomera_connection_point_pauses_total", "Times a connection was told to pause."),
    (
        "gomera_connection_point_messages_stale_total",
        "Messages of machines that came too late, from the wrong one, or made no sense: dropped.",
    ),
    ("gomera_connection_point_messages_refused_total", "Messages of machines that the layout does not name: dropped."),
    ("gomera_access_point_publications_total", "Publications that got a number."),
    ("gomera_access_point_publication_bytes_total", "Bytes of those."),
    ("gomera_access_point_repeats_total", "Submissions that repeated one taken before."),
    ("gomera_access_point_refused_total", "Submissions refused."),
    (
        "gomera_access_point_superseded_total",
        "Submissions ignored because a newer attachment of their publisher exists.",
    ),
    ("gomera_access_point_operations_total", "Operations that got a number, ends of sessions included."),
    ("gomera_access_point_completed_total", "Operations completed."),
    ("gomera_access_point_frames_total", "Frames sent to matchers."),
    ("gomera_access_point_held_total", "Messages that waited for their layout."),
    (
        "gomera_access_point_misdirected_total",
        "Messages from senders that the layout does not name, or for lanes that are not written here.",
    ),
    ("gomera_access_point_publishers_forgotten_total", "Publisher instances forgotten because they were idle."),
    ("gomera_matcher_publications_total", "Publications judged."),
    ("gomera_matcher_evaluations_total", "Filters evaluated for them, after the index."),
    ("gomera_matcher_matches_total", "Subscriptions they satisfied."),
    ("gomera_matcher_operations_total", "Operations applied or refused."),
    ("gomera_matcher_frames_total", "Frames sent to exit points."),
    ("gomera_matcher_expired_total", "Subscriptions removed because they had expired."),
    ("gomera_matcher_held_total", "Messages that waited for their layout."),
    (
        "gomera_matcher_misdirected_total",
        "Messages from senders that the layout does not name, or about lanes that they do not write.",
    ),
    ("gomera_exit_point_frames_total", "Matches frames taken in."),
    ("gomera_exit_point_frames_covered_total", "Frames dropped because everything in them was covered already."),
    (
        "gomera_exit_point_frames_refused_total",
        "Frames dropped because their lane, sender or slices are not in the layout.",
    ),
    ("gomera_exit_point_positions_merged_total", "Positions merged, over all lanes, those without a match included."),
    ("gomera_exit_point_notifications_merged_total", "Notifications put into outboxes."),
    ("gomera_exit_point_notifications_sent_total", "Notifications sent to connection points, repeats included."),
    ("gomera_exit_point_notifications_redelivered_total", "Those of them flagged as redelivered."),
    (
        "gomera_exit_point_notifications_acknowledged_total",
        "Notifications that left an outbox because the client has them.",
    ),
    ("gomera_exit_point_notifications_dropped_total", "Notifications given up by policy or limit."),
    ("gomera_exit_point_notifications_expired_total", "Notifications dropped because their publication expired."),
    ("gomera_exit_point_notifications_abandoned_total", "Notifications that went with their session."),
    ("gomera_exit_point_gaps_told_total", "Gaps told."),
    ("gomera_exit_point_targets_unknown_total", "Matches for sessions that are not here."),
    ("gomera_exit_point_targets_outlived_total", "Matches by subscriptions of an earlier life of their session."),
    ("gomera_exit_point_copied_bytes_total", "Bytes of content copied out of frames because a notification stays."),
    ("gomera_exit_point_sessions_created_total", "Sessions created."),
    ("gomera_exit_point_sessions_resumed_total", "Attachments to sessions that existed."),
    ("gomera_exit_point_sessions_superseded_total", "Attachments superseded by a newer one."),
    ("gomera_exit_point_sessions_slow_total", "Attachments ended because the session was slow."),
    ("gomera_exit_point_sessions_ended_total", "Sessions ended by their client."),
    ("gomera_exit_point_sessions_expired_total", "Sessions that expired while nobody was attached."),
    ("gomera_exit_point_attaches_refused_total", "Attaches refused."),
    (
        "gomera_exit_point_attaches_overtaken_total",
        "Attaches refused because a later try of the same client had overtaken them.",
    ),
    (
        "gomera_connection_point_publishers_moved_total",
        "Publishers that went on on another lane because the layout gave them one.",
    ),
    (
        "gomera_connection_point_publishers_fenced_total",
        "Publishers that went on on another lane because theirs had ended.",
    ),
    (
        "gomera_connection_point_sessions_moved_total",
        "Sessions whose operations went on on another lane because the layout gave them one.",
    ),
    (
        "gomera_connection_point_sessions_fenced_total",
        "Sessions whose operations were asked again because their lane had ended.",
    ),
    (
        "gomera_exit_point_publications_repeated_total",
        "Publications passed over because they are in outboxes already, from another lane.",
    ),
    ("gomera_exit_point_lanes_cut_total", "Lanes that were fenced and have ended."),
    ("gomera_exit_point_holds_total", "Times merging began to wait for slow sessions."),
    ("gomera_exit_point_held_microseconds_total", "Microseconds that merging waited for slow sessions."),
];

const GAUGES: &[(&str, &str)] = &[
    ("gomera_link_queue_frames", "Frames that wait for a link."),
    ("gomera_link_unacknowledged_bytes", "Bytes sent over a link that its receiver has not acknowledged."),
    ("gomera_epoch", "The epoch of the node's layout."),
    ("gomera_connection_point_connections", "Client connections, whatever they do."),
    ("gomera_connection_point_publishers", "Publisher connections, open or opening."),
    ("gomera_connection_point_sessions", "Sessions, attached or attaching."),
    ("gomera_connection_point_publications_unacknowledged_bytes", "Cost of publications that are not acknowledged."),
    ("gomera_connection_point_operations_unanswered_bytes", "Cost of operations that are not answered."),
    ("gomera_connection_point_deliveries_held", "Notifications and gaps that wait for their clients' credit."),
    ("gomera_access_point_lanes", "Lanes written here."),
    ("gomera_access_point_retained_entries", "Entries retained."),
    ("gomera_access_point_retained_bytes", "Bytes retained."),
    ("gomera_access_point_operations_pending", "Operations that await matchers."),
    ("gomera_access_point_forgets_waiting", "Ends of sessions that wait to get a number."),
    ("gomera_access_point_publishers", "Publisher instances known."),
    ("gomera_matcher_subscriptions", "Subscriptions, paused and expired ones included."),
    ("gomera_matcher_index_bytes", "Heap bytes of the index, standby slices included."),
    ("gomera_matcher_subscription_bytes", "Bytes that subscriptions count against subscription_bytes_max."),
    (
        "gomera_matcher_filter_cost_nanoseconds",
        "The most that the filters of one tenant count against filter_cost_per_tenant_max.",
    ),
    ("gomera_matcher_sessions", "Sessions with a subscription, a context or a trace of either."),
    ("gomera_matcher_tombstones", "Tombstones."),
    ("gomera_matcher_doomed", "Subscriptions of ended sessions that wait to be removed; they match nothing."),
    ("gomera_matcher_output_bytes", "Bytes of matches that wait for credit."),
    ("gomera_matcher_input_frames", "Frames of entries that wait."),
    ("gomera_matcher_input_bytes", "Their bytes."),
    ("gomera_exit_point_lanes_departing", "Lanes that have ended and of which something is in an outbox."),
    ("gomera_exit_point_sessions", "Sessions."),
    ("gomera_exit_point_sessions_attached", "Sessions with an attachment."),
    ("gomera_exit_point_sessions_forgetting", "Sessions that matchers have yet to forget."),
    ("gomera_exit_point_outbox_bytes", "Bytes in outboxes."),
    ("gomera_exit_point_outbox_notifications", "Notifications in outboxes."),
    ("gomera_exit_point_unmerged_bytes", "Bytes of matches that are not merged."),
    ("gomera_exit_point_frames_held", "Frames that wait for a hole before them to be filled."),
    (
        "gomera_exit_point_coverage_lag",
        "The most that a lane's furthest slice is ahead of its last merged position, in positions.",
    ),
];
