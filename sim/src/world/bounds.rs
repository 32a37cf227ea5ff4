//! What machines say about their memory: it stays below what their configurations allow, and is empty when all is done.

use gomera_matcher::config::Config;
use gomera_matcher::statistics::Statistics;

use crate::node::{AnyMachine, Node};
use crate::plan::Plan;
use crate::stage::Phase;
use crate::tally::{Tally, Transition};
use crate::verdict::{Promise, Violation};
use crate::watch::Watch;

/// More than one publication, operation or notification of these runs ever counts.
const LARGEST: u64 = 2048;

/// What a bound covers beside the limit: the overdraw that the limit's description allows.
fn within(node: &Node, what: &str, value: u64, limit: u64) -> Result<(), Violation> {
    if value <= limit {
        return Ok(());
    }
    Err(Violation {
        promise: Promise::Bounds,
        what: format!("{} holds {value} {what}, its configuration allows {limit}", node.name),
        subjects: vec![node.name.clone()],
    })
}

fn number(count: usize) -> u64 {
    u64::try_from(count).expect("fits")
}

/// Whether a machine holds more than its configuration allows.
pub(super) fn check(node: &Node, plan: &Plan) -> Result<(), Violation> {
    let points = u64::from((plan.shape.nodes[0] + plan.points.joining[0]) * plan.shape.shards[0]);
    let publishers = number(plan.publishers.len());
    let machines =
        |layer: usize| u64::from((plan.shape.nodes[layer] + plan.points.joining[layer]) * plan.shape.shards[layer]);
    // Lanes too that take the place of some that drain or have not ended yet.
    let (lanes, matchers, exits) = (2 * machines(1) * u64::from(plan.shape.lanes), machines(2), machines(3));
    // Each connection point that comes later adds a share to the limits of a lane, the whole of them at most.
    let late = 1 + u64::from(plan.points.joining[0] * plan.shape.shards[0]);
    let writing = &plan.configurations.access_point;
    let retained = writing.retained_bytes_max.max(points) * late
        + writing.operation_bytes_max.max(points) * late
        + 2 * points * LARGEST
        + u64::from(writing.forgets_max) * LARGEST
        + 1024;
    // What is judged once more, in place of a dead matcher, has windows of its own.
    let classes = 2;
    // The matches of one publication: each session with each of its subscriptions.
    let matches = LARGEST + number(plan.subscribers.len()) * 512;
    match &node.machine {
        AnyMachine::ConnectionPoint(machine) => {
            let (statistics, config) = (machine.statistics(), &plan.configurations.connection_point);
            // Each connection may overdraw by what was read before it was told to pause.
            let overdraw = publishers.max(1) * 8 * LARGEST * 8;
            within(
                node,
                "bytes of unacknowledged publications",
                statistics.publications_unacknowledged_bytes,
                config.publications_bytes_max.saturating_add(overdraw),
            )?;
            within(
                node,
                "bytes of unanswered operations",
                statistics.operations_unanswered_bytes,
                config.operations_bytes_max.saturating_add(LARGEST),
            )?;
            within(node, "sessions", number(statistics.sessions), number(config.sessions_max))
        }
        AnyMachine::AccessPoint(machine) => {
            let (statistics, config) = (machine.statistics(), &plan.configurations.access_point);
            within(node, "retained bytes", statistics.retained_bytes, statistics.lanes.max(1) * retained)?;
            let most = statistics.lanes.max(1) * u64::from(config.publishers_max);
            within(node, "publishers", statistics.publishers, most)
        }
        AnyMachine::Matcher(machine) => {
            let (statistics, config) = (machine.statistics(), &plan.configurations.matcher);
            // Those that follow another one in some slices hold more than their own limit.
            if matchers == 1 {
                limits(node, statistics, config, 1, 0)?;
            }
            within(node, "tombstones", statistics.tombstones, u64::from(config.tombstones_max))?;
            within(node, "retained bytes", statistics.retained_bytes, lanes.saturating_mul(retained))?;
            let window = config.lane_window_bytes.saturating_add(LARGEST);
            within(node, "bytes of entries", statistics.input_bytes, lanes.saturating_mul(window))?;
            let output = config.output_bytes_max.saturating_add(matches);
            within(node, "bytes of matches", statistics.output_bytes, (classes * lanes * exits).saturating_mul(output))
        }
        AnyMachine::ExitPoint(machine) => {
            let (statistics, config) = (machine.statistics(), &plan.configurations.exit_point);
            within(
                node,
                "bytes in outboxes",
                statistics.outbox_bytes,
                config.node_outbox_bytes_max.saturating_add(LARGEST),
            )?;
            // What is taken over is let in in any case, slice by slice: in the end all there are.
            let most = match statistics.slices_taken_over {
                0 => config.node_sessions_max,
                _ => config.node_sessions_max.saturating_mul(exits).max(number(plan.subscribers.len())),
            };
            within(node, "sessions", statistics.sessions, most)?;
            let window = config.matches_window_bytes.saturating_add(plan.configurations.matcher.frame_bytes_max);
            let window = window.saturating_add(matches);
            within(
                node,
                "bytes of matches",
                statistics.unmerged_bytes,
                (classes * lanes * matchers).saturating_mul(window),
            )
        }
    }
}

/// Limits are held by who judges; others follow, each of them, and take back what had no room there.
fn limits(node: &Node, statistics: &Statistics, config: &Config, matchers: u64, refused: u64) -> Result<(), Violation> {
    let by_all = |limit: u64| limit.saturating_mul(matchers);
    within(node, "subscriptions", statistics.subscriptions, by_all(u64::from(config.subscriptions_max)))?;
    let bytes = by_all(config.subscription_bytes_max);
    within(node, "bytes of subscriptions", statistics.subscription_bytes, bytes)?;
    let cost = u64::try_from(config.filter_cost_per_tenant_max.as_nanos()).unwrap_or(u64::MAX);
    within(node, "nanoseconds of filters", statistics.filter_cost_nanoseconds, by_all(cost))?;
    within(node, "sessions", statistics.sessions, by_all(u64::from(config.sessions_max)) + refused)
}

/// When nothing is under way, each matcher holds no more than all of them may judge by.
pub(super) fn at_rest(node: &Node, plan: &Plan) -> Result<(), Violation> {
    let AnyMachine::Matcher(machine) = &node.machine else { return Ok(()) };
    let matchers = u64::from((plan.shape.nodes[2] + plan.points.joining[2]) * plan.shape.shards[2]);
    // Of a session that had no room where it counts, those that follow keep the floor of its versions until it ends: exit points bound those.
    let refused =
        plan.configurations.exit_point.node_sessions_max * u64::from(plan.shape.nodes[3] * plan.shape.shards[3]);
    limits(node, machine.statistics(), &plan.configurations.matcher, matchers, refused)
}

/// Whether more is on its way to one client than its connection point lets be.
pub(super) fn under_way(point: &str, bytes: u64, plan: &Plan) -> Result<(), Violation> {
    let limit = plan.configurations.connection_point.session_window_bytes.saturating_add(LARGEST);
    if bytes <= limit {
        return Ok(());
    }
    Err(Violation {
        promise: Promise::Bounds,
        what: format!("{point} has {bytes} bytes on their way to one client, its configuration allows {limit}"),
        subjects: vec![point.to_owned()],
    })
}

/// Whether an exit point has merged what it says it has.
pub(super) fn honest(node: &Node, watch: &Watch) -> Result<(), Violation> {
    let AnyMachine::ExitPoint(machine) = &node.machine else { return Ok(()) };
    let (said, merged) = (watch.merged_by(node.address), machine.statistics().positions_merged);
    if said <= merged {
        return Ok(());
    }
    Err(Violation {
        promise: Promise::Delivery,
        what: format!("{} says that {said} positions are in outboxes, and has merged {merged}", node.name),
        subjects: vec![node.name.clone()],
    })
}

/// What a machine still holds that it should not hold when clients have nothing under way, or when they are gone.
pub(super) fn kept(node: &Node, phase: Phase) -> Option<String> {
    let gone = phase == Phase::Leaving;
    let always: Vec<(&str, u64)>;
    let finally: Vec<(&str, u64)>;
    match &node.machine {
        AnyMachine::ConnectionPoint(machine) => {
            let statistics = machine.statistics();
            always = vec![
                ("bytes of unacknowledged publications", statistics.publications_unacknowledged_bytes),
                ("bytes of unanswered operations", statistics.operations_unanswered_bytes),
                ("held deliveries", number(statistics.deliveries_held)),
            ];
            finally = vec![
                ("connections", number(statistics.connections)),
                ("publishers", number(statistics.publishers)),
                ("sessions", number(statistics.sessions)),
            ];
        }
        AnyMachine::AccessPoint(machine) => {
            let statistics = machine.statistics();
            always = vec![
                ("retained entries", statistics.retained_entries),
                ("retained bytes", statistics.retained_bytes),
                ("pending operations", statistics.operations_pending),
                ("waiting ends of sessions", statistics.forgets_waiting),
            ];
            finally = vec![("publishers", statistics.publishers)];
        }
        AnyMachine::Matcher(machine) => {
            let statistics = machine.statistics();
            always = vec![
                ("bytes of matches", statistics.output_bytes),
                ("frames of entries", statistics.input_frames),
                ("retained bytes", statistics.retained_bytes),
                ("joining slices", statistics.joining),
            ];
            finally = vec![
                ("subscriptions", statistics.subscriptions),
                ("sessions", statistics.sessions),
                ("tombstones", statistics.tombstones),
                ("doomed subscriptions", statistics.doomed),
            ];
        }
        AnyMachine::ExitPoint(machine) => {
            let statistics = machine.statistics();
            always = vec![
                ("notifications in outboxes", statistics.outbox_notifications),
                ("bytes in outboxes", statistics.outbox_bytes),
                ("frames ahead of a hole", statistics.frames_held),
                ("sessions to be forgotten", statistics.sessions_forgetting),
                ("notifications in copies of outboxes", statistics.followed_notifications),
                ("bytes for slices that join", statistics.joining_bytes),
                ("joining slices", statistics.slices_joining),
            ];
            finally = vec![
                ("sessions", statistics.sessions),
                ("copies of sessions", statistics.sessions_followed),
                ("lanes that ended", statistics.lanes_departing),
            ];
        }
    }
    let held = always.into_iter().chain(if gone { finally } else { Vec::new() }).find(|&(_, value)| value > 0);
    held.map(|(what, value)| format!("{} holds {value} {what}", node.name))
}

/// Adds what only machines can count.
pub(super) fn count(nodes: &[Node], tally: &mut Tally) {
    for node in nodes {
        match &node.machine {
            AnyMachine::ConnectionPoint(machine) => {
                let statistics = machine.statistics();
                tally.add(Transition::TurnedAway, statistics.connections_turned_away);
                tally.add(Transition::MovedByForce, statistics.connections_forced);
                tally.add(Transition::PublisherChangedLane, statistics.publishers_moved);
                tally.add(Transition::PublisherFound, statistics.publishers_found);
                tally.add(Transition::PublisherFenced, statistics.publishers_fenced);
                tally.add(Transition::SessionChangedLane, statistics.sessions_moved);
                tally.add(Transition::SessionFenced, statistics.sessions_fenced);
            }
            AnyMachine::AccessPoint(machine) => {
                let statistics = machine.statistics();
                tally.add(Transition::RepeatDropped, statistics.repeats);
                tally.add(Transition::PublisherIdle, statistics.publishers_forgotten);
            }
            AnyMachine::Matcher(machine) => {
                tally.add(Transition::SubscriptionExpired, machine.statistics().expired);
                tally.add(Transition::SnapshotOverrun, machine.statistics().snapshots_overrun);
                tally.add(Transition::EndJudged, machine.statistics().ends_judged);
            }
            AnyMachine::ExitPoint(machine) => {
                let statistics = machine.statistics();
                tally.add(Transition::NotificationDropped, statistics.notifications_dropped);
                tally.add(Transition::AttachOvertaken, statistics.attaches_overtaken);
                tally.add(Transition::PublicationExpired, statistics.notifications_expired);
                tally.add(Transition::LaneCut, statistics.lanes_cut);
                tally.add(Transition::PassedOver, statistics.publications_repeated);
                tally.add(Transition::BlockBegan, statistics.holds);
                tally.add(Transition::TargetOutlived, statistics.targets_outlived);
                tally.add(Transition::SessionAdopted, statistics.sessions_adopted);
                tally.add(Transition::CopiesOverrun, statistics.slices_overrun);
                tally.add(Transition::CutAgreed, statistics.slices_agreed);
            }
        }
    }
}
