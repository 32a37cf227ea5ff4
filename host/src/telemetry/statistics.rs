//! The counters and gauges of machines, shown each second. Every field is named here: one that is added to a machine breaks
//! this file until somebody gives it a name.

mod help;

use gomera_cluster::address::{Address, Incarnation, Layer};
use metrics::{Counter, Gauge, Label};

pub use help::describe;

use crate::links::Depth;

/// What sets the figures of one machine apart.
#[derive(Clone, Debug)]
pub struct Labels {
    labels: Vec<Label>,
}

impl Labels {
    /// Those of a machine.
    #[must_use]
    pub fn new(layer: Layer, machine: Address) -> Self {
        let labels = vec![
            Label::from_static_parts("layer", layer.name()),
            Label::new("node", machine.node.to_string()),
            Label::new("shard", machine.shard.0.to_string()),
        ];
        Self { labels }
    }

    /// Bytes that wait in it.
    pub fn backlog(&self, bytes: u64) {
        self.show([("gomera_backlog_bytes", Figure::Level(bytes))]);
    }

    fn show(&self, figures: impl IntoIterator<Item = (&'static str, Figure)>) {
        for (name, figure) in figures {
            match figure {
                Figure::Count(count) => metrics::counter!(name, self.labels.clone()).absolute(count),
                #[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
                Figure::Level(level) => metrics::gauge!(name, self.labels.clone()).set(level as f64),
            }
        }
    }
}

/// What stands in a field.
#[derive(Clone, Copy, Debug)]
enum Figure {
    /// Since the start.
    Count(u64),
    /// Now.
    Level(u64),
}

/// Frames for machines that are not here, or of another layer.
pub fn frames_unknown() -> Counter {
    metrics::counter!("gomera_frames_unknown_total")
}

/// Frames for nodes that no layout names.
pub fn frames_unreachable() -> Counter {
    metrics::counter!("gomera_frames_unreachable_total")
}

/// Connections closed because a port had all it takes.
pub fn connections_turned_away(port: &'static str) -> Counter {
    metrics::counter!("gomera_connections_turned_away_total", "port" => port)
}

/// What a link has not got rid of.
#[expect(clippy::cast_precision_loss, reason = "figures for a graph")]
pub fn link_depth(from: Incarnation, to: Incarnation, depth: Depth) {
    let labels = vec![Label::new("from", from.to_string()), Label::new("to", to.to_string())];
    metrics::gauge!("gomera_link_queue_frames", labels.clone()).set(depth.frames as f64);
    metrics::gauge!("gomera_link_unacknowledged_bytes", labels).set(depth.bytes as f64);
}

/// The epoch of a node's layout.
pub fn epoch(node: String) -> Gauge {
    metrics::gauge!("gomera_epoch", "node" => node)
}

/// Of a connection point.
pub fn connection_point(labels: &Labels, statistics: &gomera_connection_point::Statistics) {
    use Figure::{Count, Level};
    let &gomera_connection_point::Statistics {
        publishers_moved,
        publishers_found,
        publishers_fenced,
        sessions_taken_over,
        sessions_moved,
        sessions_fenced,
        connections,
        publishers,
        sessions,
        publications_unacknowledged_bytes,
        operations_unanswered_bytes,
        connections_closed,
        connections_refused,
        connections_turned_away,
        connections_asked_to_move,
        connections_forced,
        publications_accepted,
        publications_acknowledged,
        publications_refused,
        publications_repeated,
        publications_sent,
        publish_frames_sent,
        operations_accepted,
        operations_answered,
        requests_failed,
        sessions_attached,
        attaches_retried,
        notifications_delivered,
        deliveries_held,
        gaps_delivered,
        pauses,
        messages_stale,
        messages_refused,
    } = statistics;
    labels.show([
        ("gomera_connection_point_connections", Level(small(connections))),
        ("gomera_connection_point_publishers", Level(small(publishers))),
        ("gomera_connection_point_sessions", Level(small(sessions))),
        ("gomera_connection_point_publications_unacknowledged_bytes", Level(publications_unacknowledged_bytes)),
        ("gomera_connection_point_operations_unanswered_bytes", Level(operations_unanswered_bytes)),
        ("gomera_connection_point_connections_closed_total", Count(connections_closed)),
        ("gomera_connection_point_connections_refused_total", Count(connections_refused)),
        ("gomera_connection_point_connections_turned_away_total", Count(connections_turned_away)),
        ("gomera_connection_point_connections_asked_to_move_total", Count(connections_asked_to_move)),
        ("gomera_connection_point_connections_forced_total", Count(connections_forced)),
        ("gomera_connection_point_publications_accepted_total", Count(publications_accepted)),
        ("gomera_connection_point_publications_acknowledged_total", Count(publications_acknowledged)),
        ("gomera_connection_point_publications_refused_total", Count(publications_refused)),
        ("gomera_connection_point_publications_repeated_total", Count(publications_repeated)),
        ("gomera_connection_point_publications_sent_total", Count(publications_sent)),
        ("gomera_connection_point_publish_frames_sent_total", Count(publish_frames_sent)),
        ("gomera_connection_point_operations_accepted_total", Count(operations_accepted)),
        ("gomera_connection_point_operations_answered_total", Count(operations_answered)),
        ("gomera_connection_point_requests_failed_total", Count(requests_failed)),
        ("gomera_connection_point_sessions_attached_total", Count(sessions_attached)),
        ("gomera_connection_point_attaches_retried_total", Count(attaches_retried)),
        ("gomera_connection_point_notifications_delivered_total", Count(notifications_delivered)),
        ("gomera_connection_point_deliveries_held", Level(small(deliveries_held))),
        ("gomera_connection_point_gaps_delivered_total", Count(gaps_delivered)),
        ("gomera_connection_point_pauses_total", Count(pauses)),
        ("gomera_connection_point_publishers_moved_total", Count(publishers_moved)),
        ("gomera_connection_point_publishers_found_total", Count(publishers_found)),
        ("gomera_connection_point_publishers_fenced_total", Count(publishers_fenced)),
        ("gomera_connection_point_sessions_moved_total", Count(sessions_moved)),
        ("gomera_connection_point_sessions_fenced_total", Count(sessions_fenced)),
        ("gomera_connection_point_sessions_taken_over_total", Count(sessions_taken_over)),
        ("gomera_connection_point_messages_stale_total", Count(messages_stale)),
        ("gomera_connection_point_messages_refused_total", Count(messages_refused)),
    ]);
}

/// Of an access point.
pub fn access_point(labels: &Labels, statistics: &gomera_access_point::statistics::Statistics) {
    use Figure::{Count, Level};
    let &gomera_access_point::statistics::Statistics {
        publications,
        publication_bytes,
        repeats,
        refused,
        superseded,
        operations_superseded,
        operations,
        completed,
        frames,
        replays,
        held,
        misdirected,
        publishers_forgotten,
        lanes,
        retained_entries,
        retained_bytes,
        operations_pending,
        forgets_waiting,
        publishers,
    } = statistics;
    labels.show([
        ("gomera_access_point_publications_total", Count(publications)),
        ("gomera_access_point_publication_bytes_total", Count(publication_bytes)),
        ("gomera_access_point_repeats_total", Count(repeats)),
        ("gomera_access_point_refused_total", Count(refused)),
        ("gomera_access_point_superseded_total", Count(superseded)),
        ("gomera_access_point_operations_superseded_total", Count(operations_superseded)),
        ("gomera_access_point_operations_total", Count(operations)),
        ("gomera_access_point_completed_total", Count(completed)),
        ("gomera_access_point_frames_total", Count(frames)),
        ("gomera_access_point_replays_total", Count(replays)),
        ("gomera_access_point_held_total", Count(held)),
        ("gomera_access_point_misdirected_total", Count(misdirected)),
        ("gomera_access_point_publishers_forgotten_total", Count(publishers_forgotten)),
        ("gomera_access_point_lanes", Level(lanes)),
        ("gomera_access_point_retained_entries", Level(retained_entries)),
        ("gomera_access_point_retained_bytes", Level(retained_bytes)),
        ("gomera_access_point_operations_pending", Level(operations_pending)),
        ("gomera_access_point_forgets_waiting", Level(forgets_waiting)),
        ("gomera_access_point_publishers", Level(publishers)),
    ]);
}

/// Of a matcher.
pub fn matcher(labels: &Labels, statistics: &gomera_matcher::statistics::Statistics) {
    use Figure::{Count, Level};
    let &gomera_matcher::statistics::Statistics {
        publications,
        evaluations,
        matches,
        operations,
        frames,
        expired,
        replayed,
        ends_judged,
        snapshot_bytes,
        snapshots,
        snapshots_overrun,
        held,
        misdirected,
        subscriptions,
        index_bytes,
        subscription_bytes,
        filter_cost_nanoseconds,
        sessions,
        tombstones,
        doomed,
        joining,
        output_bytes,
        input_frames,
        input_bytes,
        retained_bytes,
    } = statistics;
    labels.show([
        ("gomera_matcher_publications_total", Count(publications)),
        ("gomera_matcher_evaluations_total", Count(evaluations)),
        ("gomera_matcher_matches_total", Count(matches)),
        ("gomera_matcher_operations_total", Count(operations)),
        ("gomera_matcher_frames_total", Count(frames)),
        ("gomera_matcher_expired_total", Count(expired)),
        ("gomera_matcher_replayed_total", Count(replayed)),
        ("gomera_matcher_ends_judged_total", Count(ends_judged)),
        ("gomera_matcher_snapshot_bytes_total", Count(snapshot_bytes)),
        ("gomera_matcher_snapshots_total", Count(snapshots)),
        ("gomera_matcher_snapshots_overrun_total", Count(snapshots_overrun)),
        ("gomera_matcher_held_total", Count(held)),
        ("gomera_matcher_misdirected_total", Count(misdirected)),
        ("gomera_matcher_subscriptions", Level(subscriptions)),
        ("gomera_matcher_index_bytes", Level(index_bytes)),
        ("gomera_matcher_subscription_bytes", Level(subscription_bytes)),
        ("gomera_matcher_filter_cost_nanoseconds", Level(filter_cost_nanoseconds)),
        ("gomera_matcher_sessions", Level(sessions)),
        ("gomera_matcher_tombstones", Level(tombstones)),
        ("gomera_matcher_doomed", Level(doomed)),
        ("gomera_matcher_joining", Level(joining)),
        ("gomera_matcher_output_bytes", Level(output_bytes)),
        ("gomera_matcher_input_frames", Level(input_frames)),
        ("gomera_matcher_input_bytes", Level(input_bytes)),
        ("gomera_matcher_retained_bytes", Level(retained_bytes)),
    ]);
}

/// Of an exit point.
pub fn exit_point(labels: &Labels, statistics: &gomera_exit_point::Statistics) {
    use Figure::{Count, Level};
    let &gomera_exit_point::Statistics {
        publications_repeated,
        lanes_cut,
        lanes_departing,
        frames,
        frames_covered,
        frames_refused,
        positions_merged,
        notifications_merged,
        notifications_sent,
        notifications_redelivered,
        notifications_acknowledged,
        notifications_dropped,
        notifications_expired,
        notifications_abandoned,
        gaps_told,
        targets_unknown,
        targets_outlived,
        copied_bytes,
        sessions_followed,
        followed_bytes,
        followed_notifications,
        joining_bytes,
        slices_joining,
        slices_taken_over,
        slices_overrun,
        slices_agreed,
        notifications_replaced,
        sessions_adopted,
        sessions_lost,
        sessions_created,
        sessions_resumed,
        sessions_superseded,
        sessions_slow,
        sessions_ended,
        sessions_expired,
        attaches_refused,
        attaches_overtaken,
        holds,
        held_microseconds,
        sessions,
        sessions_attached,
        sessions_forgetting,
        outbox_bytes,
        outbox_notifications,
        unmerged_bytes,
        frames_held,
        coverage_lag,
    } = statistics;
    labels.show([
        ("gomera_exit_point_frames_total", Count(frames)),
        ("gomera_exit_point_frames_covered_total", Count(frames_covered)),
        ("gomera_exit_point_frames_refused_total", Count(frames_refused)),
        ("gomera_exit_point_positions_merged_total", Count(positions_merged)),
        ("gomera_exit_point_publications_repeated_total", Count(publications_repeated)),
        ("gomera_exit_point_lanes_cut_total", Count(lanes_cut)),
        ("gomera_exit_point_lanes_departing", Level(lanes_departing)),
        ("gomera_exit_point_notifications_merged_total", Count(notifications_merged)),
        ("gomera_exit_point_notifications_sent_total", Count(notifications_sent)),
        ("gomera_exit_point_notifications_redelivered_total", Count(notifications_redelivered)),
        ("gomera_exit_point_notifications_acknowledged_total", Count(notifications_acknowledged)),
        ("gomera_exit_point_notifications_dropped_total", Count(notifications_dropped)),
        ("gomera_exit_point_notifications_expired_total", Count(notifications_expired)),
        ("gomera_exit_point_notifications_abandoned_total", Count(notifications_abandoned)),
        ("gomera_exit_point_gaps_told_total", Count(gaps_told)),
        ("gomera_exit_point_targets_unknown_total", Count(targets_unknown)),
        ("gomera_exit_point_targets_outlived_total", Count(targets_outlived)),
        ("gomera_exit_point_copied_bytes_total", Count(copied_bytes)),
        ("gomera_exit_point_slices_taken_over_total", Count(slices_taken_over)),
        ("gomera_exit_point_slices_overrun_total", Count(slices_overrun)),
        ("gomera_exit_point_slices_agreed_total", Count(slices_agreed)),
        ("gomera_exit_point_notifications_replaced_total", Count(notifications_replaced)),
        ("gomera_exit_point_sessions_adopted_total", Count(sessions_adopted)),
        ("gomera_exit_point_sessions_lost_total", Count(sessions_lost)),
        ("gomera_exit_point_sessions_created_total", Count(sessions_created)),
        ("gomera_exit_point_sessions_resumed_total", Count(sessions_resumed)),
        ("gomera_exit_point_sessions_superseded_total", Count(sessions_superseded)),
        ("gomera_exit_point_sessions_slow_total", Count(sessions_slow)),
        ("gomera_exit_point_sessions_ended_total", Count(sessions_ended)),
        ("gomera_exit_point_sessions_expired_total", Count(sessions_expired)),
        ("gomera_exit_point_attaches_refused_total", Count(attaches_refused)),
        ("gomera_exit_point_attaches_overtaken_total", Count(attaches_overtaken)),
        ("gomera_exit_point_holds_total", Count(holds)),
        ("gomera_exit_point_held_microseconds_total", Count(held_microseconds)),
        ("gomera_exit_point_sessions_followed", Level(sessions_followed)),
        ("gomera_exit_point_followed_bytes", Level(followed_bytes)),
        ("gomera_exit_point_followed_notifications", Level(followed_notifications)),
        ("gomera_exit_point_joining_bytes", Level(joining_bytes)),
        ("gomera_exit_point_slices_joining", Level(slices_joining)),
        ("gomera_exit_point_sessions", Level(sessions)),
        ("gomera_exit_point_sessions_attached", Level(sessions_attached)),
        ("gomera_exit_point_sessions_forgetting", Level(sessions_forgetting)),
        ("gomera_exit_point_outbox_bytes", Level(outbox_bytes)),
        ("gomera_exit_point_outbox_notifications", Level(outbox_notifications)),
        ("gomera_exit_point_unmerged_bytes", Level(unmerged_bytes)),
        ("gomera_exit_point_frames_held", Level(frames_held)),
        ("gomera_exit_point_coverage_lag", Level(coverage_lag)),
    ]);
}

fn small(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
