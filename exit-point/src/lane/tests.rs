//! Claims of a lane: the frame rule, union, order, windows.

use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::message::exit_point::Handles;

use super::*;
use crate::testing::{LANES, MATCHER_SLICES, MATCHERS, frame, matched, session, target, whole};

const OLD: Generation = Generation(1);
const A: Address = MATCHERS[0];
const B: Address = MATCHERS[1];

fn lane(window: u64) -> Lane {
    let mut lane = Lane::new(MATCHER_SLICES, window, Epoch(1));
    lane.open(A, Class::Live);
    lane.open(B, Class::Live);
    lane
}

/// Takes out everything complete: numbers, and per target the handles.
fn merge(lane: &mut Lane) -> Vec<(u64, Vec<Vec<u64>>)> {
    let mut merged = Vec::new();
    while let Some(number) = lane.next_found() {
        let complete = lane.take(number);
        assert_eq!(complete.envelope.key.sequence.0, number.0);
        let handles = |target: &Target| target.handles.iter().map(|(_, handle)| handle.0).collect();
        merged.push((number.0, complete.targets.iter().map(handles).collect()));
    }
    lane.finish(lane.complete());
    merged
}

fn one(number: u64, handle: u64) -> Vec<Matched> {
    vec![matched(number, vec![target("s", OLD, &[handle])])]
}

#[test]
fn a_position_waits_for_every_slice() {
    let mut lane = lane(1 << 20);
    assert_eq!(lane.receive(A, frame(LANES[0], &[0, 2], (0, 5), one(3, 1))), Reception::Taken);
    assert_eq!(merge(&mut lane), []);
    assert_eq!(lane.lag(), 5);
    assert_eq!(lane.receive(B, frame(LANES[0], &[1, 3], (0, 4), one(4, 2))), Reception::Taken);
    assert_eq!(merge(&mut lane), [(3, vec![vec![1]]), (4, vec![vec![2]])]);
    assert_eq!((lane.merged(), lane.report(), lane.report()), (Number(4), Some(Number(4)), None));
}

#[test]
fn what_several_matchers_find_is_united_per_session() {
    let mut lane = lane(1 << 20);
    let of_a = vec![matched(2, vec![target("s", OLD, &[1, 4])])];
    let mut targets = vec![target("s", OLD, &[2, 4]), target("t", OLD, &[9])];
    targets.sort_by_key(|target| target.session);
    lane.receive(A, frame(LANES[0], &[0, 2], (0, 2), of_a));
    lane.receive(B, frame(LANES[0], &[1, 3], (0, 2), vec![matched(2, targets)]));
    let number = lane.next_found().expect("complete");
    let complete = lane.take(number);
    let handles = |name: &str| {
        let target = complete.targets.iter().find(|target| target.session == session(name)).expect("a target");
        target.handles.iter().map(|(_, handle)| handle.0).collect::<Vec<_>>()
    };
    assert_eq!((complete.targets.len(), handles("s"), handles("t")), (2, vec![1, 2, 4], vec![9]));
}

#[test]
fn a_handle_found_twice_counts_with_the_newest_generation() {
    let mut lane = lane(1 << 20);
    lane.receive(A, frame(LANES[0], &[0, 2], (0, 1), vec![matched(1, vec![target("s", Generation(1), &[7])])]));
    lane.receive(B, frame(LANES[0], &[1, 3], (0, 1), vec![matched(1, vec![target("s", Generation(2), &[7])])]));
    lane.next_found();
    assert_eq!(lane.take(Number(1)).targets[0].handles, Handles::One(Generation(2), Handle(7)));
}

#[test]
fn overlaps_and_repeats_add_nothing() {
    let mut lane = lane(1 << 20);
    lane.receive(A, whole(LANES[0], (0, 3), [one(1, 1), one(3, 1)].concat()));
    assert_eq!(merge(&mut lane).len(), 2);
    assert_eq!(lane.receive(B, whole(LANES[0], (0, 3), one(3, 1))), Reception::Covered);
    let overlapping = whole(LANES[0], (1, 5), [one(3, 1), one(5, 1)].concat());
    assert_eq!(lane.receive(B, overlapping), Reception::Taken);
    assert_eq!(merge(&mut lane), [(5, vec![vec![1]])], "3 is merged already");
}

#[test]
fn an_overlap_of_what_is_not_merged_is_united() {
    let mut lane = lane(1 << 20);
    lane.receive(A, frame(LANES[0], &[0, 1], (0, 4), one(2, 1)));
    let partial = frame(LANES[0], &[1, 2, 3], (0, 6), [one(2, 1), one(5, 3)].concat());
    assert_eq!(lane.receive(B, partial), Reception::Taken, "it extends two slices and one further");
    assert_eq!(merge(&mut lane), [(2, vec![vec![1]])]);
    lane.receive(A, frame(LANES[0], &[0], (4, 6), vec![]));
    assert_eq!(merge(&mut lane), [(5, vec![vec![3]])]);
}

#[test]
fn a_frame_ahead_of_a_hole_is_held_until_it_is_filled() {
    let mut lane = lane(1 << 20);
    assert_eq!(lane.receive(A, whole(LANES[0], (4, 6), one(5, 1))), Reception::Held);
    assert_eq!(lane.receive(A, whole(LANES[0], (2, 4), one(3, 1))), Reception::Held);
    assert_eq!((lane.held(), merge(&mut lane)), (2, vec![]));
    assert_eq!(lane.receive(B, whole(LANES[0], (0, 2), one(1, 1))), Reception::Taken);
    let numbers = merge(&mut lane).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!((lane.held(), numbers), (0, vec![1, 3, 5]));
}

#[test]
fn a_held_frame_that_is_covered_meanwhile_is_dropped() {
    let mut lane = lane(1 << 20);
    lane.receive(A, whole(LANES[0], (2, 4), one(3, 1)));
    lane.receive(B, whole(LANES[0], (0, 6), one(3, 1)));
    assert_eq!((lane.held(), merge(&mut lane)), (0, vec![(3, vec![vec![1]])]));
}

#[test]
fn a_window_is_freed_by_merging_not_by_receiving() {
    let mut lane = lane(1);
    let mut granted = Vec::new();
    lane.grant(|matcher, _, Total(total)| granted.push((matcher, total)));
    assert_eq!(granted, [(A, 1), (B, 1)], "the first grants open the windows");
    let of_a = frame(LANES[0], &[0, 2], (0, 2), one(1, 1));
    let cost = of_a.cost();
    lane.receive(A, of_a);
    merge(&mut lane);
    let mut granted = Vec::new();
    lane.grant(|matcher, _, Total(total)| granted.push((matcher, total)));
    assert_eq!(granted, [], "the other slices have not judged it");
    lane.receive(B, frame(LANES[0], &[1, 3], (0, 2), vec![]));
    merge(&mut lane);
    lane.grant(|matcher, _, Total(total)| granted.push((matcher, total)));
    assert_eq!(granted, [(A, cost + 1), (B, 2)]);
}

#[test]
fn a_covered_frame_frees_its_window_at_once() {
    let mut lane = lane(1);
    lane.receive(A, whole(LANES[0], (0, 2), vec![]));
    merge(&mut lane);
    lane.grant(|_, _, _| {});
    lane.receive(B, whole(LANES[0], (0, 2), vec![]));
    let mut granted = Vec::new();
    lane.grant(|matcher, _, Total(total)| granted.push((matcher, total)));
    assert_eq!(granted, [(B, 2)]);
}

#[test]
fn slices_that_do_not_exist_are_refused() {
    let mut lane = lane(1 << 20);
    assert_eq!(lane.receive(A, frame(LANES[0], &[0, 4], (0, 2), vec![])), Reception::Refused);
    assert_eq!(lane.receive(A, frame(LANES[0], &[200], (0, 2), vec![])), Reception::Refused);
    assert_eq!(lane.receive(A, frame(LANES[0], &[3], (0, 2), vec![])), Reception::Taken);
}

#[test]
fn nothing_follows_a_close() {
    let mut lane = lane(1 << 20);
    let mut closing = whole(LANES[0], (0, 3), vec![]);
    closing.marks = vec![(Number(1), Mark::Barrier(Epoch(1))), (Number(3), Mark::Close)];
    assert_eq!(lane.receive(A, closing), Reception::Taken);
    merge(&mut lane);
    assert_eq!(lane.receive(A, whole(LANES[0], (3, 4), one(4, 1))), Reception::Refused);
}

fn slices(of: &[u16]) -> SliceSet {
    of.iter().copied().map(MatcherSlice).collect()
}

fn reach(of: &[u16], (from, to): (u64, u64)) -> Vec<Reach> {
    vec![Reach { slices: Arc::new(slices(of)), from: Number(from), to: Number(to) }]
}

#[test]
fn a_cut_that_was_known_does_not_rise_when_slices_are_lost() {
    let mut lane = lane(1 << 20);
    lane.receive(A, frame(LANES[0], &[0, 2], (0, 5), one(3, 1)));
    lane.receive(B, frame(LANES[0], &[1, 3], (0, 3), one(2, 2)));
    lane.fence(Epoch(2), Epoch(2), &[A, B], SliceSet::default());
    lane.fence(Epoch(2), Epoch(3), &[B], SliceSet::default());
    lane.hear_cut(B, Epoch(3), reach(&[1, 3], (3, 10)));
    merge(&mut lane);
    assert!(!lane.has_ended());
    // Who came after the fence had them, said nothing, and is gone.
    lane.fence(Epoch(2), Epoch(4), &[B], slices(&[0, 2]));
    lane.receive(B, frame(LANES[0], &[1, 3], (3, 10), one(8, 2)));
    assert_eq!(merge(&mut lane), [], "another exit point has ended it at 5");
    assert_eq!((lane.merged(), lane.has_ended()), (Number(5), true));
}

#[test]
fn what_was_complete_nowhere_is_not_merged_when_all_slices_are_lost() {
    let ends = |a, b| {
        let mut lane = lane(1 << 20);
        lane.receive(A, frame(LANES[0], &[0, 2], (0, a), one(a, 1)));
        lane.receive(B, frame(LANES[0], &[1, 3], (0, b), one(b, 2)));
        lane.fence(Epoch(2), Epoch(2), &[], slices(&[0, 1, 2, 3]));
        merge(&mut lane);
        lane.merged()
    };
    assert_eq!((ends(10, 5), ends(5, 8)), (Number(5), Number(5)));
}

#[test]
fn what_is_held_of_lost_slices_counts_up_to_the_cut() {
    let mut lane = lane(1 << 20);
    lane.receive(B, frame(LANES[0], &[1, 3], (0, 10), one(8, 2)));
    lane.receive(A, frame(LANES[0], &[0, 2], (0, 5), one(3, 1)));
    assert_eq!(lane.receive(A, frame(LANES[0], &[0, 2], (7, 10), one(8, 1))), Reception::Held);
    lane.fence(Epoch(2), Epoch(2), &[B], slices(&[0, 2]));
    lane.hear_cut(B, Epoch(2), Vec::new());
    assert_eq!(merge(&mut lane), [(3, vec![vec![1]]), (8, vec![vec![1, 2]])]);
}
