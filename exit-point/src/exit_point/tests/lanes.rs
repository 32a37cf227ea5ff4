//! Lanes that end: by plan, or cut because their writer is dead.

use gomera_cluster::layout::LaneEnd;
use gomera_cluster::message::ToMatcher;
use gomera_cluster::message::exit_point::{LaneCut, Mark, Matched};
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

fn cut(rig: &mut Rig, matcher: usize, through: u64) {
    rig.tell(MATCHERS[matcher], ToExitPoint::LaneCut(LaneCut { lane: FENCED, through: Number(through) }));
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
    cut(&mut rig, 0, 4);
    assert_eq!(client.read(&rig), 0, "the other matcher has not said where its copy ends");
    cut(&mut rig, 1, 3);
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
    cut(&mut rig, 0, 3);
    cut(&mut rig, 1, 2);
    // All three come again on the other lane, by the same publisher.
    let again = (1..=3).map(|number| matched(number, vec![target("s", client.generation(), &[1])]));
    let again = Matches { lane: OTHER, ..whole(FENCED, (0, 3), again.collect()) };
    rig.matches(again);
    assert_eq!((client.read(&rig), client.numbers(OTHER)), (1, vec![3]));
    assert_eq!(rig.exit.statistics().publications_repeated, 2);
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
