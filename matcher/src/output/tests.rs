//! Claims about outputs.

use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::layout::{Epoch, MatcherSlice};
use gomera_cluster::message::exit_point::Handles;

use super::*;
use crate::fixture::{address, envelope, session};

const EXIT: Address = address(4, 0);

fn slices(members: &[u16]) -> Arc<SliceSet> {
    Arc::new(members.iter().map(|&slice| MatcherSlice(slice)).collect())
}

fn target(name: &str) -> Target {
    Target { session: session(name), handles: Handles::One(Generation(1), Handle(1)) }
}

fn sent(output: &mut Output) -> Vec<Matches> {
    let mut actions = Vec::new();
    output.flush(&mut actions);
    let frame = |send: Send| match send.message {
        Message::ExitPoint(ToExitPoint::Matches(matches)) => matches,
        other => panic!("{other:?}"),
    };
    actions.into_iter().map(frame).collect()
}

#[test]
fn ranges_follow_each_other_and_those_without_matches_are_one() {
    let (mut output, slices) = (Output::new(EXIT, LaneId(1), Class::Live, 1 << 20), slices(&[0]));
    output.reach(Number(3), &slices);
    output.push(Number(5), &envelope(1, 0, &[]), target("s"), &slices);
    output.push(Number(5), &envelope(1, 0, &[]), target("t"), &slices);
    output.reach(Number(9), &slices);
    assert!(sent(&mut output).is_empty(), "nothing goes before the first grant");
    output.grant(Total(1 << 20));
    let frames = sent(&mut output);
    assert_eq!(frames.len(), 1);
    assert_eq!((frames[0].from, frames[0].to), (Number(0), Number(9)));
    assert_eq!(frames[0].matched.len(), 1);
    assert_eq!(frames[0].matched[0].targets.len(), 2);
    output.reach(Number(9), &slices);
    assert!(sent(&mut output).is_empty(), "a range is sent once");
    output.reach(Number(10), &slices);
    assert_eq!(
        sent(&mut output).iter().map(|frame| (frame.from, frame.to)).collect::<Vec<_>>(),
        [(Number(9), Number(10))]
    );
}

#[test]
fn a_window_of_one_lets_one_frame_go_at_a_time_and_each_is_counted_whole() {
    let (mut output, slices) = (Output::new(EXIT, LaneId(1), Class::Live, 1), slices(&[0]));
    for number in 1..=3 {
        output.push(Number(number), &envelope(number, 0, &[]), target("s"), &slices);
    }
    let (mut granted, mut last) = (1, Number::ZERO);
    for number in 1..=3 {
        output.grant(Total(granted));
        let frames = sent(&mut output);
        assert_eq!(frames.len(), 1);
        assert_eq!((frames[0].from, frames[0].to), (last, Number(number)));
        granted += frames[0].cost();
        last = frames[0].to;
    }
    assert_eq!(output.bytes(), 0);
}

#[test]
fn the_matches_of_one_publication_are_never_split() {
    let (mut output, slices) = (Output::new(EXIT, LaneId(1), Class::Live, 1), slices(&[0]));
    for name in ["a", "b", "c"] {
        output.push(Number(1), &envelope(1, 0, &[]), target(name), &slices);
    }
    output.grant(Total(1));
    assert_eq!(sent(&mut output)[0].matched[0].targets.len(), 3);
}

#[test]
fn what_was_judged_against_other_slices_is_a_frame_of_its_own() {
    let (mut output, before, after) =
        (Output::new(EXIT, LaneId(1), Class::Live, 1 << 20), slices(&[0]), slices(&[0, 1]));
    output.reach(Number(2), &before);
    output.mark(Number(3), Mark::Barrier(Epoch(2)), &after);
    output.reach(Number(4), &after);
    output.grant(Total(1 << 20));
    let frames = sent(&mut output);
    assert_eq!(
        frames.iter().map(|frame| (frame.from.0, frame.to.0, frame.slices.len())).collect::<Vec<_>>(),
        [(0, 2, 1), (2, 4, 2)]
    );
    assert_eq!(frames[1].marks, [(Number(3), Mark::Barrier(Epoch(2)))]);
}
