//! Claims about slices on their way here.

use gomera_cluster::address::{Incarnation, Shard};
use gomera_cluster::layout::Replica;
use gomera_cluster::position::LaneId;

use super::*;
use crate::fixture::{MATCHER, address, layout, put, version};

#[test]
fn more_is_granted_no_faster_than_the_configuration_says() {
    let config = Config { snapshot_bytes_per_second: 1_000, snapshot_window_bytes: 1, ..Config::default() };
    let (mut replicas, mut subscriptions) = (Replicas::new(1, &config), Subscriptions::new(&config));
    let source = Address { node: Incarnation(9), shard: Shard(0) };
    let mut credit = ReceiveCredit::new(config.snapshot_window_bytes);
    credit.grant().expect("the first one");
    let (transfer, slices, sessions) = (TransferId(1), Arc::default(), Sessions::Wanted);
    replicas.incoming.insert(source, Incoming { transfer, slices, sessions, credit });
    let mut at = Instant::ZERO;
    for _ in 0..10 {
        let part = SnapshotPart { transfer, sessions: Vec::new(), subscriptions: Vec::new(), extent: Extent::More };
        let pause = Duration::from_millis(part.cost());
        replicas.take(at, source, part, &mut subscriptions);
        assert_eq!((replicas.credits_due(), replicas.credits(at).len()), (Some(at + pause), 0));
        at = at + pause;
        assert_eq!(replicas.credits(at).len(), 1);
    }
}

#[test]
fn what_is_kept_while_an_earlier_life_goes_is_bounded_and_what_is_dropped_is_asked_for() {
    let source = address(3, 1);
    let mut layout = (*layout(1, 2, 1)).clone();
    let replica = |holder, role| Replica { holder, role };
    layout.matcher[0].replicas = vec![replica(source, Role::Active), replica(MATCHER, Role::Joining)];
    let ownership = Ownership::new(Arc::new(layout), MATCHER);
    let config = Config { joining_bytes_max: 2000, ..Config::default() };
    let (mut replicas, mut subscriptions) = (Replicas::new(8, &config), Subscriptions::new(&config));
    let (lane, slice) = (LaneId(1), MatcherSlice(0));
    let mut judged = Vector::default();
    replicas.copies[0] = Copy::joining(Phase::Clearing, &judged, Position { lane, number: Number(1) });
    replicas.count();
    let mut most = 0;
    for number in 2..500 {
        judged.raise(lane, Number(number));
        let put = put("s", &format!("x{number}"), version(1, number), number, "a = 1");
        replicas.admit(slice, &Arc::new(put), &subscriptions);
        if replicas.is_unsettled() {
            replicas.step(&judged, &mut subscriptions);
        }
        let Copy::Joining(join) = &replicas.copies[0] else { panic!("it joins") };
        most = most.max(join.kept.bytes());
    }
    assert!(most <= 2000, "{most}");
    assert!(replicas.requests(&ownership, &[&ownership]).is_empty(), "rows have to go first");
    replicas.cleared(&std::iter::once(slice).collect());
    let wanted = replicas.requests(&ownership, &[&ownership]);
    let [(to, SnapshotWanted { after, .. })] = wanted.as_slice() else { panic!("{wanted:?}") };
    let Copy::Joining(join) = &replicas.copies[0] else { panic!("it joins") };
    let first = join.kept.first().map_or(500, |operation| operation.version.counter);
    assert_eq!((*to, after.get(lane)), (source, Number(first - 1)));
}

#[test]
fn what_is_kept_is_bounded_also_while_it_is_applied_and_more_comes_than_a_step_applies() {
    let config = Config { joining_bytes_max: 20_000, ..Config::default() };
    let (mut replicas, mut subscriptions) = (Replicas::new(8, &config), Subscriptions::new(&config));
    let at = Position { lane: LaneId(1), number: Number(1) };
    replicas.copies[0] = Copy::joining(Phase::Applying, &Vector::default(), at);
    replicas.count();
    for step in 0..40 {
        for counter in step * 50 + 1..=step * 50 + 50 {
            let put = put("s", "x", version(1, counter), counter, "a = 1");
            replicas.admit(MatcherSlice(0), &Arc::new(put), &subscriptions);
        }
        assert!(!replicas.step(&Vector::default(), &mut subscriptions), "it does not begin anew");
        let Copy::Joining(join) = &replicas.copies[0] else { panic!("more is left") };
        assert!(join.kept.bytes() <= 20_000, "{}", join.kept.bytes());
    }
    while replicas.is_unsettled() {
        replicas.step(&Vector::default(), &mut subscriptions);
    }
    assert!(replicas.are_whole(&std::iter::once(MatcherSlice(0)).collect()));
    assert_eq!(subscriptions.copies(MatcherSlice(0))[0].version, version(1, 2000), "in the order in which they came");
}
