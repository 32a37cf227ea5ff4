//! Slow and absent subscribers: gaps, disconnection, waiting, limits of tenant and shard, what stays in memory.

use gomera_cluster::credit::Total;
use gomera_cluster::identity::Handle;
use gomera_cluster::message::connection_point::{EndReason, Gap, GapRange};
use gomera_cluster::message::exit_point::Attach;
use gomera_cluster::position::{Number, Vector};
use gomera_cluster::session::{SessionOptions, SlowPolicy};

use super::*;

const LANE: LaneId = LANES[0];
const SECOND: Duration = Duration::from_secs(1);

fn run(first: u64, last: u64, names: &[&Client]) -> Matches {
    let targets = |_| {
        let target = |client: &&Client| Target {
            session: client.session,
            handles: Handles::One(client.generation(), Handle(1)),
        };
        let mut targets = names.iter().map(target).collect::<Vec<_>>();
        targets.sort_by_key(|target| target.session);
        targets
    };
    whole(LANE, (first - 1, last), (first..=last).map(|number| matched(number, targets(number))).collect())
}

fn options(notifications: u64, slow: SlowPolicy) -> SessionOptions {
    SessionOptions { outbox_notifications_max: notifications, slow, ..SessionOptions::default() }
}

fn gap(first: u64, last: u64, dropped: u64) -> Gap {
    Gap { ranges: vec![GapRange { lane: LANE, first: Number(first), last: Number(last) }], dropped }
}

fn through(number: u64) -> Vector {
    [at(LANE, number)].into_iter().collect()
}

/// An attachment that cannot be sent anything.
fn stuck(rig: &mut Rig, name: &str, options: SessionOptions) -> Client {
    let attach = Attach { options, credit: Total(0), ..rig.attach_message(name) };
    rig.attach_as(attach)
}

#[test]
fn the_oldest_are_dropped_and_the_gap_is_told_once_before_what_remains() {
    let mut rig = Rig::new(Config::default());
    let mut client = stuck(&mut rig, "s", options(3, SlowPolicy::DropOldest));
    rig.matches(run(1, 10, &[&client]));
    assert_eq!((client.read(&rig), client.gaps.len()), (0, 0), "without credit nothing is told");
    rig.grant(&client, 1 << 20);
    client.read(&rig);
    assert_eq!((client.gaps.clone(), client.numbers(LANE)), (vec![gap(1, 7, 7)], vec![8, 9, 10]));
    rig.acknowledge(&client, &through(10));
    rig.matches(run(11, 11, &[&client]));
    client.read(&rig);
    assert_eq!((client.gaps.len(), client.numbers(LANE).len()), (1, 4));
}

#[test]
fn what_was_sent_counts_until_it_is_acknowledged_and_is_no_gap_while_it_is_on_its_way() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach_with("s", options(3, SlowPolicy::DropOldest));
    rig.matches(run(1, 5, &[&client]));
    client.read(&rig);
    // One frame of five: two had to make room before anything was sent.
    assert_eq!((client.gaps.clone(), client.numbers(LANE)), (vec![gap(1, 2, 2)], vec![3, 4, 5]));
    rig.matches(run(6, 6, &[&client]));
    client.read(&rig);
    assert_eq!((client.gaps.len(), client.numbers(LANE)), (1, vec![3, 4, 5, 6]), "3 was sent and dropped: it arrives");
    rig.detach(&client);
    let attach = Attach { resume: Some(through(2)), ..rig.attach_message("s") };
    let mut again = rig.attach_as(attach);
    again.read(&rig);
    assert_eq!((again.gaps.clone(), again.numbers(LANE)), (vec![gap(3, 3, 3)], vec![4, 5, 6]), "3 did not arrive");
}

#[test]
fn a_gap_that_the_client_has_passed_is_not_told_again() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach_with("s", options(2, SlowPolicy::DropOldest));
    for number in 1..=5 {
        rig.matches(run(number, number, &[&client]));
    }
    client.read(&rig);
    assert_eq!((client.gaps.len(), client.numbers(LANE)), (0, vec![1, 2, 3, 4, 5]));
    let attach = Attach { resume: Some(client.vector.clone()), ..rig.attach_message("s") };
    let mut again = rig.attach_as(attach);
    again.read(&rig);
    assert_eq!((again.gaps.len(), again.got.len()), (0, 0));
}

#[test]
fn while_detached_the_oldest_go_whatever_the_policy() {
    for slow in [SlowPolicy::DropOldest, SlowPolicy::Disconnect, SlowPolicy::Block { wait_max: SECOND }] {
        let mut rig = Rig::new(Config::default());
        let client = rig.attach_with("s", options(2, slow));
        rig.detach(&client);
        rig.matches(run(1, 5, &[&client]));
        assert_eq!(rig.exit.statistics().positions_merged, 5, "merging does not wait");
        let mut again = rig.attach_with("s", options(2, slow));
        again.read(&rig);
        assert_eq!((again.gaps.clone(), again.numbers(LANE)), (vec![gap(1, 3, 3)], vec![4, 5]));
    }
}

#[test]
fn a_slow_session_is_disconnected_if_it_asked_for_that() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach_with("s", options(3, SlowPolicy::Disconnect));
    rig.matches(run(1, 3, &[&client]));
    assert_eq!(rig.ended().len(), 0);
    rig.matches(run(4, 5, &[&client]));
    assert_eq!(rig.ended()[0].reason, EndReason::Slow);
    assert_eq!(client.read(&rig), 3, "nothing follows the end");
    assert_eq!(rig.exit.statistics().sessions_attached, 0);
    let mut again = rig.attach_with("s", options(3, SlowPolicy::Disconnect));
    again.read(&rig);
    assert_eq!((again.gaps.clone(), again.numbers(LANE)), (vec![gap(1, 2, 2)], vec![3, 4, 5]));
}

#[test]
fn an_acknowledgement_in_flight_still_counts_after_a_disconnection() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(3, SlowPolicy::Disconnect));
    rig.matches(run(1, 3, &[&client]));
    rig.matches(run(4, 4, &[&client]));
    rig.acknowledge(&client, &through(3));
    let mut again = rig.attach("s");
    again.read(&rig);
    assert_eq!(again.numbers(LANE), [4]);
}

#[test]
fn a_blocking_session_holds_all_merging_until_it_has_room() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach_with("s", options(2, SlowPolicy::Block { wait_max: SECOND }));
    let mut other = rig.attach("t");
    rig.matches(run(1, 4, &[&client]));
    assert_eq!((client.read(&rig), rig.exit.statistics().positions_merged), (2, 2));
    rig.matches(on(LANES[1], run(1, 1, &[&other])));
    assert_eq!(other.read(&rig), 0, "everybody waits");
    assert_eq!(rig.exit.poll_timeout(), Some(rig.now + SECOND));
    rig.wait(SECOND / 2);
    rig.acknowledge(&client, &through(2));
    assert_eq!((client.read(&rig), other.read(&rig)), (2, 1));
    assert_eq!((rig.ended().len(), rig.exit.poll_timeout()), (0, None));
    assert_eq!((rig.exit.statistics().holds, rig.exit.statistics().held_microseconds), (1, 500_000));
}

#[test]
fn a_blocking_session_is_disconnected_when_its_patience_is_over() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(2, SlowPolicy::Block { wait_max: 5 * SECOND }));
    rig.matches(run(1, 4, &[&client]));
    rig.wait(SECOND - Duration::from_millis(1));
    assert_eq!(rig.ended().len(), 0);
    rig.wait(Duration::from_millis(1));
    assert_eq!(rig.ended()[0].reason, EndReason::Slow, "the cluster's maximum is one second");
    assert_eq!(rig.exit.statistics().positions_merged, 4);
}

#[test]
fn waits_of_one_episode_add_up_to_the_maximum() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(4, SlowPolicy::Block { wait_max: SECOND }));
    rig.matches(run(1, 20, &[&client]));
    let start = rig.now;
    for number in 1..=20 {
        rig.wait(Duration::from_millis(300));
        if !rig.ended().is_empty() {
            break;
        }
        // Just enough to let one more in: never half empty.
        rig.acknowledge(&client, &through(number));
    }
    assert_eq!(rig.now.since(start), Duration::from_millis(1200), "it ran out at one second");
}

#[test]
fn an_episode_ends_when_the_outbox_is_half_empty() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(2, SlowPolicy::Block { wait_max: SECOND }));
    rig.matches(run(1, 20, &[&client]));
    for number in 1..=9 {
        rig.wait(Duration::from_millis(900));
        rig.acknowledge(&client, &through(2 * number));
    }
    assert_eq!(rig.ended().len(), 0);
}

#[test]
fn the_lane_that_was_held_goes_on_first() {
    let mut rig = Rig::new(Config::default());
    let blocking = options(1, SlowPolicy::Block { wait_max: SECOND });
    let (mut s, t) = (rig.attach_with("s", blocking.clone()), rig.attach_with("t", blocking));
    rig.matches(run(1, 1, &[&t]));
    rig.matches(on(LANES[1], run(1, 2, &[&s])));
    rig.matches(run(2, 2, &[&t]));
    s.read(&rig);
    rig.acknowledge(&s, &s.vector.clone());
    assert_eq!(s.read(&rig), 1, "its wait is over, whoever is next to be waited for");
    assert_eq!(rig.exit.poll_timeout(), Some(rig.now + SECOND));
}

#[test]
fn ending_after_a_disconnection_leaves_nothing_behind() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(1, SlowPolicy::Disconnect));
    rig.matches(run(1, 2, &[&client]));
    assert_eq!(rig.ended().len(), 1);
    rig.end(&client);
    assert_eq!((rig.exit.statistics().sessions, rig.exit.poll_timeout()), (0, None));
    rig.wait(100 * SECOND);
}

#[test]
fn merging_goes_on_when_a_blocking_session_leaves() {
    for leave in [Rig::detach as fn(&mut Rig, &Client), Rig::end] {
        let mut rig = Rig::new(Config::default());
        let client = rig.attach_with("s", options(2, SlowPolicy::Block { wait_max: SECOND }));
        rig.matches(run(1, 4, &[&client]));
        leave(&mut rig, &client);
        assert_eq!(rig.exit.statistics().positions_merged, 4);
        assert_eq!(rig.ended().len(), 0);
    }
}

#[test]
fn a_superseded_attachment_passes_its_impatience_on() {
    let mut rig = Rig::new(Config::default());
    let blocking = options(2, SlowPolicy::Block { wait_max: SECOND });
    let client = rig.attach_with("s", blocking.clone());
    rig.matches(run(1, 4, &[&client]));
    rig.wait(SECOND / 2);
    rig.attach_with("s", blocking);
    assert_eq!(rig.exit.poll_timeout(), Some(rig.now + SECOND / 2));
    rig.wait(SECOND / 2);
    assert_eq!(rig.ended().last().map(|ended| ended.reason), Some(EndReason::Slow));
}

#[test]
fn back_pressure_reaches_matchers_while_merging_waits() {
    let mut rig = Rig::new(Config { matches_window_bytes: 1, ..Config::default() });
    let client = rig.attach_with("s", options(1, SlowPolicy::Block { wait_max: SECOND }));
    rig.matches(run(1, 1, &[&client]));
    let granted = |rig: &Rig| {
        let total = |send: &Send| match &send.message {
            Message::Matcher(ToMatcher::MatchesCredit(credit)) if credit.lane == LANE && send.to == MATCHERS[0] => {
                Some(credit.total)
            }
            _ => None,
        };
        rig.sent.iter().filter_map(total).max()
    };
    let before = granted(&rig);
    rig.matches(run(2, 2, &[&client]));
    assert_eq!(granted(&rig), before, "the window stays shut");
    rig.acknowledge(&client, &through(1));
    assert!(granted(&rig) > before);
}

#[test]
fn at_the_limit_of_a_tenant_the_largest_session_gives() {
    let mut rig = Rig::new(Config { tenant_outbox_bytes_max: 100 * cost(), ..Config::default() });
    let large = stuck(&mut rig, "large", SessionOptions::default());
    let small = stuck(&mut rig, "small", SessionOptions::default());
    rig.matches(run(1, 90, &[&large]));
    rig.matches(run(91, 110, &[&small]));
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.outbox_notifications, statistics.notifications_dropped), (100, 10));
    let mut small = {
        rig.detach(&small);
        rig.attach("small")
    };
    let mut large = {
        rig.detach(&large);
        rig.attach("large")
    };
    small.read(&rig);
    large.read(&rig);
    assert_eq!((small.got.len(), small.gaps.len()), (20, 0));
    assert_eq!((large.got.len(), large.gaps.clone()), (80, vec![gap(1, 10, 10)]));
}

#[test]
fn at_the_limit_of_the_shard_an_attached_session_may_be_disconnected() {
    let limits =
        Config { tenant_outbox_bytes_max: 10 * cost(), node_outbox_bytes_max: 10 * cost(), ..Config::default() };
    let mut rig = Rig::new(limits);
    let client = rig.attach_with("s", SessionOptions { slow: SlowPolicy::Disconnect, ..SessionOptions::default() });
    rig.matches(run(1, 11, &[&client]));
    assert_eq!(rig.ended()[0].reason, EndReason::Slow);
    assert_eq!(rig.exit.statistics().outbox_notifications, 10);
}

#[test]
fn a_session_that_ends_by_giving_up_takes_nothing_in() {
    let mut rig = Rig::new(Config::default());
    let options = SessionOptions { expires_after: Duration::ZERO, ..options(1, SlowPolicy::Disconnect) };
    let client = rig.attach_with("s", options);
    rig.matches(run(1, 3, &[&client]));
    let statistics = rig.exit.statistics();
    assert_eq!((statistics.sessions, statistics.outbox_bytes, statistics.sessions_slow), (0, 0, 1));
}

#[test]
fn what_stays_does_not_lean_on_its_frame() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach("s");
    let buffer = bytes::Bytes::from(vec![1; 10_000]);
    let lean = |number: u64, client: &Client| {
        let mut matches = run(number, number, &[client]);
        let mut envelope = gomera_cluster::publication::Envelope::clone(&matches.matched[0].envelope);
        envelope.content = buffer.slice(0..50);
        matches.matched[0].envelope = Arc::new(envelope);
        matches
    };
    rig.matches(lean(1, &client));
    rig.sent.clear();
    assert!(!buffer.is_unique(), "on its way to a client that reads, it is not copied");
    rig.detach(&client);
    assert!(buffer.is_unique());
    rig.matches(lean(2, &client));
    assert!(buffer.is_unique());
    assert_eq!(rig.exit.statistics().copied_bytes, 100);
}

#[test]
fn what_waits_for_a_blocking_session_is_not_reported_as_merged() {
    let mut rig = Rig::new(Config::default());
    let client = rig.attach_with("s", options(2, SlowPolicy::Block { wait_max: SECOND }));
    let reported = |rig: &Rig| {
        let merged = rig.sent.iter().filter_map(|send| match &send.message {
            Message::AccessPoint(ToAccessPoint::Merged(merged)) if merged.lane == LANES[0] => Some(merged.through.0),
            _ => None,
        });
        merged.max()
    };
    rig.matches(run(1, 4, &[&client]));
    assert_eq!(reported(&rig), Some(2), "the third is in no outbox yet");
    rig.acknowledge(&client, &through(2));
    assert_eq!(reported(&rig), Some(4));
}

#[test]
fn an_older_attachment_settles_nothing_any_more() {
    let mut rig = Rig::new(Config::default());
    let older = rig.attach("s");
    rig.matches(run(1, 3, &[&older]));
    rig.attach("s");
    rig.acknowledge(&older, &through(3));
    assert_eq!(rig.exit.statistics().outbox_notifications, 3, "the newer one resumed without what it had");
}
