//! Claims about operations that are kept for slices that join, and whose sessions end meanwhile.

use std::time::Duration;

use gomera_cluster::identity::{Generation, Tenant};
use gomera_cluster::layout::{Placement, Replica, Role};
use gomera_cluster::message::matcher::LaneTail;
use gomera_cluster::message::snapshot::{Extent, SessionState, SnapshotPart, TransferId};
use gomera_cluster::operation::Change;

use super::*;
use crate::fixture::{operation as on, session};

/// Who has all slices, while [`MATCHER`] joins them.
const SOURCE: Address = address(3, 1);

fn joining(config: Config) -> Matcher {
    let mut layout = (*layout(1, 2, 1)).clone();
    let role = |holder, role| Replica { holder, role };
    let replicas = [role(SOURCE, Role::Active), role(MATCHER, Role::Joining)];
    layout.matcher.iter_mut().for_each(|placement| *placement = Placement { replicas: replicas.into(), ..*placement });
    let mut machine = Matcher::new(MATCHER, config);
    machine.handle(Instant::ZERO, NodeEvent::Layout(Arc::new(layout)));
    machine
}

fn tell(machine: &mut Matcher, now: Instant, from: Address, message: ToMatcher) {
    machine.handle(now, NodeEvent::Received(Received { from, epoch: Epoch(1), message }));
}

/// Operations come to a matcher that joins, the last of them in the tail of the lane; then what its snapshot says of sessions, and only when
/// the traces of those that ended are gone the rest of it, of which nothing is left. Gives the handles of what there is then.
fn handles_after(config: Config, operations: &[Operation], tail: usize, sessions: Vec<SessionState>) -> Vec<u64> {
    let mut machine = joining(config);
    let operations = operations.iter().cloned().map(Arc::new).collect::<Vec<_>>();
    let (in_lane, in_tail) = operations.split_at(operations.len() - tail);
    let entries = (1..).map(Number).zip(in_lane.iter().cloned().map(Entry::Operation)).collect::<Vec<_>>();
    let to = Number(u64::try_from(entries.len()).expect("few"));
    let run = Entries { lane: LaneId(1), class: Class::Live, from: Number(0), to, entries, merged: None };
    tell(&mut machine, Instant::ZERO, WRITER, ToMatcher::Entries(run));
    let told = LaneTail { lane: LaneId(1), operations: in_tail.to_vec() };
    tell(&mut machine, Instant::ZERO, SOURCE, ToMatcher::LaneTail(told));
    let part = |sessions, extent| {
        ToMatcher::SnapshotPart(SnapshotPart { transfer: TransferId(1), sessions, subscriptions: Vec::new(), extent })
    };
    tell(&mut machine, Instant::ZERO, SOURCE, part(sessions, Extent::More));
    let mut now = Instant::ZERO + Duration::from_secs(601);
    machine.handle_timeout(now);
    tell(&mut machine, now, SOURCE, part(Vec::new(), Extent::Last));
    for _ in 0..100 {
        now = now + Duration::from_millis(50);
        machine.handle_timeout(now);
    }
    let mut actions = Vec::new();
    machine.drain_actions(&mut actions);
    let copies = (0..8).flat_map(|slice| machine.copies(MatcherSlice(slice)).expect("the slice is whole"));
    let handles = copies.map(|copy| copy.subscription.handle.0).collect::<Vec<_>>();
    assert_eq!(machine.statistics().subscriptions, u64::try_from(handles.len()).expect("few"));
    handles
}

#[test]
fn what_is_kept_of_a_session_that_ends_meanwhile_is_not_applied_when_its_trace_is_gone() {
    let put = |generation, handle| put("s", "x", version(generation, 1), handle, "a = 1");
    let forget = |generation| on("s", version(generation, u64::MAX), Change::Forget);
    let other = crate::fixture::put("other", "x", version(1, 1), 7, "a = 1");
    for (operations, expected) in [
        (vec![put(1, 1), other.clone(), forget(1)], vec![7]),
        // Its end has overtaken it on another lane.
        (vec![forget(1), put(1, 1), other.clone()], vec![7]),
        // A later life of it stays, wherever it stands.
        (vec![put(1, 1), put(2, 2), forget(1)], vec![2]),
        (vec![put(1, 1), forget(1), put(2, 2)], vec![2]),
        (vec![put(1, 1), forget(2), put(2, 2), forget(1)], vec![]),
    ] {
        for tail in [0, 1] {
            let handles = handles_after(Config::default(), &operations, tail, Vec::new());
            assert_eq!(handles, expected, "{operations:?} {tail}");
        }
    }
    let ended = SessionState {
        tenant: Tenant::open(),
        session: session("s"),
        context: None,
        forgotten: Some(Generation(1)),
        settled: Vec::new(),
    };
    assert_eq!(handles_after(Config::default(), &[put(1, 1), other], 0, vec![ended]), [7], "the snapshot says so");
}

#[test]
fn what_is_kept_of_a_session_that_ends_is_not_applied_though_there_is_no_room_for_its_trace() {
    let config = Config { sessions_max: 1, ..Config::default() };
    let context = on("other", version(1, 1), Change::SetContext(Arc::default()));
    let forget = on("s", version(1, u64::MAX), Change::Forget);
    let operations = [context, put("s", "x", version(1, 1), 1, "a = 1"), forget];
    assert_eq!(handles_after(config, &operations, 0, Vec::new()), Vec::<u64>::new());
}
