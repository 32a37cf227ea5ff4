//! Lanes that end: by plan, or cut because their writer is dead.

use gomera_cluster::layout::{LaneEnd, MatcherSlice};
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::exit_point::{LaneCut, Mark, Matched, Reach};
use gomera_cluster::position::Number;
use gomera_model::timestamp::Timestamp;

use super::*;

const FENCED: LaneId = LANES[0];
const OTHER: LaneId = LANES[1];

fn without_first(epoch: u64, end: LaneEnd) -> Arc<Layout> {
    let mut without = Layout::clone(&layout(epoch));
    without.lanes.remove(&FENCED);
    without.ended.insert(FENCED, (end, Epoch(epoch)));
    Arc::new(without)
}

fn with_mark(number: u64, mark: Mark, matches: Matches) -> Matches {
    Matches { marks: vec![(Number(number), mark)], ..matches }
}

fn one(number: u64, client: &Client) -> Vec<Matched> {
    vec![matched(number, vec![target("s", client.generation(), &[1])])]
}

fn merged(rig: &Rig, lane: LaneId) -> u64 {
    let mut told = rig.sent.iter().rev().filter_map(|send| match &send.message {
        Message::AccessPoint(ToAccessPoint::Merged(merged)) if merged.lane == lane => Some(merged.through.0),
        _ => None,
    });
    told.next().unwrap_or(0)
}

fn done(rig: &Rig) -> Vec<(Address, LaneId)> {
    let told = rig.sent.iter().filter_map(|send| match &send.message {
        Message::Matcher(ToMatcher::LaneDone(done)) => Some((send.to, done.lane)),
        _ => None,
    });
    told.collect()
}

/// A matcher will judge the lane up to there by its slices, from where it said last.
fn cut(rig: &mut Rig, matcher: usize, (from, to): (u64, u64)) {
    let slices = Arc::new([[0, 2], [1, 3]][matcher].into_iter().map(MatcherSlice).collect());
    let reach = vec![Reach { slices, from: Number(from), to: Number(to) }];
    rig.tell_by_latest(MATCHERS[matcher], ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach }));
}

#[test]
fn a_fenced_lane_is_merged_to_the_lowest_copy_and_others_wait_before_the_barrier_until_then() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 4), one(2, &client))));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    rig.matches(with_mark(3, Mark::Barrier(Epoch(2)), whole(OTHER, (0, 5), one(5, &client))));
    assert_eq!((client.read(&rig), merged(&rig, OTHER)), (0, 2), "up to the barrier");
    assert!(rig.exit.report().acted < Epoch(2));
    cut(&mut rig, 0, (4, 4));
    assert_eq!(client.read(&rig), 0, "the other matcher has not said where its copy ends");
    cut(&mut rig, 1, (0, 3));
    assert_eq!(client.read(&rig), 0, "what it has is not here yet");
    rig.tell(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 3), Vec::new())));
    assert_eq!((client.read(&rig), client.numbers(FENCED), client.numbers(OTHER)), (2, vec![2], vec![5]));
    assert_eq!(merged(&rig, OTHER), 5);
    assert_eq!(done(&rig), [(MATCHERS[0], FENCED), (MATCHERS[1], FENCED)]);
    assert_eq!(rig.exit.report().acted, Epoch(2));
    assert_eq!(rig.exit.statistics().lanes_cut, 1);
}

#[test]
fn what_lies_beyond_the_cut_is_discarded_and_a_second_copy_is_passed_over() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    let targets = || vec![target("s", client.generation(), &[1])];
    rig.matches(whole(FENCED, (0, 2), vec![matched(1, targets()), matched(2, targets())]));
    let third = vec![matched(3, targets())];
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (2, 3), third)));
    assert_eq!((client.read(&rig), client.numbers(FENCED)), (2, vec![1, 2]));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    cut(&mut rig, 0, (3, 3));
    cut(&mut rig, 1, (2, 2));
    // All three come again on the other lane, by the same publisher.
    let again = (1..=3).map(|number| matched(number, vec![target("s", client.generation(), &[1])]));
    let again = Matches { lane: OTHER, ..whole(FENCED, (0, 3), again.collect()) };
    rig.matches(again);
    assert_eq!((client.read(&rig), client.numbers(OTHER)), (1, vec![3]));
    assert_eq!(rig.exit.statistics().publications_repeated, 2);
}

#[test]
fn a_second_copy_is_passed_over_though_the_first_satisfied_nothing_if_that_was_told() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 1), Vec::new())));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    cut(&mut rig, 0, (1, 1));
    cut(&mut rig, 1, (0, 1));
    rig.tell_by_latest(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 1), vec![matched(1, Vec::new())])));
    assert_eq!(done(&rig).len(), 2, "the lane has ended");
    // It comes again on the other lane, by the same publisher, with another one.
    let again = (1..=2).map(|number| matched(number, vec![target("s", client.generation(), &[1])]));
    rig.matches(Matches { lane: OTHER, ..whole(FENCED, (0, 2), again.collect()) });
    assert_eq!((client.read(&rig), rig.exit.statistics().publications_repeated), (1, 1), "only the later one comes");
}

#[test]
fn a_lane_leaves_the_vector_when_nothing_of_it_is_in_an_outbox() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.matches(with_mark(2, Mark::Close, whole(FENCED, (0, 2), one(1, &client))));
    assert_eq!(rig.exit.report().drained.into_iter().collect::<Vec<_>>(), [FENCED]);
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Closed)));
    let clock = |rig: &mut Rig| rig.event(NodeEvent::Clock(WallClock { at: rig.now, showed: Timestamp(0) }));
    clock(&mut rig);
    assert_eq!(rig.exit.statistics().lanes_departing, 1, "it is not acknowledged");
    assert_eq!(client.read(&rig), 1);
    rig.acknowledge(&client, &client.vector.clone());
    clock(&mut rig);
    clock(&mut rig);
    assert_eq!(rig.exit.statistics().lanes_departing, 0);
    let again = rig.attach("s");
    assert_eq!(again.vector.get(FENCED), Number::ZERO);
}

#[test]
fn what_a_dead_matcher_left_unsaid_of_a_lane_whose_writer_is_dead_too_is_cut_off() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 4), one(2, &client))));
    rig.tell(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 2), Vec::new())));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    cut(&mut rig, 0, (4, 6));
    assert_eq!(rig.exit.statistics().lanes_cut, 0, "the other one may have more to say");
    let mut alone = Layout::clone(&without_first(3, LaneEnd::Fenced));
    alone.members.remove(&MATCHERS[1].node);
    rig.event(NodeEvent::Layout(Arc::new(alone)));
    assert_eq!(rig.exit.statistics().lanes_cut, 0, "who is left may judge what the other one had to");
    cut(&mut rig, 0, (4, 6));
    assert_eq!((client.read(&rig), client.numbers(FENCED)), (1, vec![2]));
    assert_eq!(rig.exit.statistics().lanes_cut, 1, "what the other slices cover beyond is nobody's");
}

#[test]
fn what_is_to_come_by_way_of_another_matcher_counts() {
    let mut rig = Rig::new(Config::default());
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 4), Vec::new())));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    let all = |from, to| Reach { slices: Arc::new((0..4).map(MatcherSlice).collect()), from, to };
    // It judges once more what the other one owned, and then what comes after.
    let reach = vec![all(Number(2), Number(5)), all(Number(0), Number(2))];
    rig.tell_by_latest(MATCHERS[0], ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach }));
    cut(&mut rig, 1, (0, 0));
    assert_eq!(rig.exit.statistics().lanes_cut, 0);
    for (from, to) in [(0, 2), (2, 5)] {
        rig.tell(MATCHERS[0], ToExitPoint::Matches(whole(FENCED, (from, to), Vec::new())));
    }
    assert_eq!(rig.exit.statistics().lanes_cut, 1);
}

#[test]
fn what_a_matcher_said_before_another_one_died_does_not_count_and_what_is_judged_for_that_does() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    // The other one says what it has, and dies before it has told it.
    cut(&mut rig, 1, (0, 3));
    let early = LaneCut { lane: FENCED, reach: Vec::new() };
    let mut alone = Layout::clone(&without_first(3, LaneEnd::Fenced));
    alone.ended.insert(FENCED, (LaneEnd::Fenced, Epoch(2)));
    alone.members.remove(&MATCHERS[1].node);
    rig.event(NodeEvent::Layout(Arc::new(alone)));
    let early = Received { from: MATCHERS[0], epoch: Epoch(2), message: ToExitPoint::LaneCut(early) };
    rig.event(NodeEvent::Received(early));
    assert_eq!(rig.exit.statistics().lanes_cut, 0, "it was said before that one was known to be dead");
    let reach = vec![Reach { slices: Arc::new((0..4).map(MatcherSlice).collect()), from: Number(0), to: Number(3) }];
    rig.tell_by_latest(MATCHERS[0], ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach }));
    assert_eq!(rig.exit.statistics().lanes_cut, 0, "it is not here yet");
    rig.tell(MATCHERS[0], ToExitPoint::Matches(whole(FENCED, (0, 3), one(2, &client))));
    assert_eq!((client.read(&rig), client.numbers(FENCED)), (1, vec![2]));
    assert_eq!(rig.exit.statistics().lanes_cut, 1);
}

#[test]
fn two_exit_points_cut_a_lane_at_one_place_though_a_matcher_dies_between() {
    let begun = || {
        let mut rig = Rig::new(Config::default());
        let client = rig.attach("s");
        rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 5), one(5, &client))));
        rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
        cut(&mut rig, 0, (5, 5));
        cut(&mut rig, 1, (0, 3));
        (rig, client)
    };
    let (mut first, mut one_client) = begun();
    first.tell(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 3), Vec::new())));
    assert_eq!(first.exit.statistics().lanes_cut, 1);
    one_client.read(&first);
    // The other one has not heard all of it when that matcher dies, and who is left has more of the lane.
    let (mut second, mut other_client) = begun();
    let mut alone = Layout::clone(&without_first(3, LaneEnd::Fenced));
    alone.members.remove(&MATCHERS[1].node);
    second.event(NodeEvent::Layout(Arc::new(alone)));
    let slices = Arc::new([1, 3].into_iter().map(MatcherSlice).collect());
    let reach = vec![Reach { slices, from: Number(0), to: Number(5) }];
    second.tell_by_latest(MATCHERS[0], ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach }));
    second.tell_by_latest(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 5), Vec::new())));
    assert_eq!(second.exit.statistics().lanes_cut, 1);
    other_client.read(&second);
    assert_eq!((one_client.numbers(FENCED), other_client.numbers(FENCED)), (vec![], vec![]));
}

#[test]
fn who_dies_while_a_fenced_lane_ends_has_no_window_in_it_any_more() {
    let mut rig = Rig::new(Config::default());
    rig.tell(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 2), Vec::new())));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    assert!(rig.exit.statistics().unmerged_bytes > 0);
    let mut alone = Layout::clone(&without_first(3, LaneEnd::Fenced));
    alone.ended.insert(FENCED, (LaneEnd::Fenced, Epoch(2)));
    alone.members.remove(&MATCHERS[1].node);
    rig.event(NodeEvent::Layout(Arc::new(alone)));
    assert_eq!(rig.exit.statistics().unmerged_bytes, 0, "what it sent stays, and counts against nobody");
}

#[test]
fn a_slice_that_is_lost_while_a_fenced_lane_ends_holds_its_end_back_no_more() {
    let mut rig = Rig::new(Config::default());
    let mut client = rig.attach("s");
    rig.tell(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[0, 2], (0, 4), one(3, &client))));
    rig.tell(MATCHERS[1], ToExitPoint::Matches(frame(FENCED, &[1, 3], (0, 2), Vec::new())));
    rig.event(NodeEvent::Layout(without_first(2, LaneEnd::Fenced)));
    // Who has the slices of the one that dies has one of them alone; the other begins with nothing.
    let mut alone = Layout::clone(&without_first(3, LaneEnd::Fenced));
    alone.ended.insert(FENCED, (LaneEnd::Fenced, Epoch(2)));
    alone.members.remove(&MATCHERS[1].node);
    alone.matcher[3].lost = Epoch(3);
    rig.event(NodeEvent::Layout(Arc::new(alone)));
    let reach =
        vec![Reach { slices: Arc::new([MatcherSlice(1)].into_iter().collect()), from: Number(2), to: Number(4) }];
    rig.tell_by_latest(MATCHERS[0], ToExitPoint::LaneCut(LaneCut { lane: FENCED, reach }));
    assert_eq!(rig.exit.statistics().lanes_cut, 0, "what is judged again is to come");
    rig.tell_by_latest(MATCHERS[0], ToExitPoint::Matches(frame(FENCED, &[1], (2, 4), Vec::new())));
    assert_eq!(rig.exit.statistics().lanes_cut, 1);
    assert_eq!((client.read(&rig), client.numbers(FENCED)), (1, vec![3]), "clients of another one may have it");
}
