//! Claims about what is sent once more for a matcher that died.

use gomera_cluster::layout::Layout;

use super::*;
use crate::fixture::{address, envelope, layout};
use crate::log::{Origin, Retained};

const LANE: LaneId = LaneId(1);
/// Dies, and where its slices go, and where they go when that one dies as well.
const DEAD: Address = address(3, 1);
const HEIR: Address = address(3, 0);
const THIRD: Address = address(6, 0);

/// Where this layout gives every slice to one matcher, and says which layout they were lost by.
fn routes(epoch: u64, owner: Address, lost: u64) -> Arc<Routes> {
    let mut layout: Layout = (*layout(epoch)).clone();
    for placement in &mut layout.matcher {
        placement.replicas.truncate(1);
        placement.replicas[0].holder = owner;
        placement.lost = Epoch(lost);
    }
    if owner == THIRD {
        layout.members.remove(&HEIR.node);
    } else {
        layout.members.get_mut(&HEIR.node).expect("the matcher").shards = if owner == DEAD { 2 } else { 1 };
    }
    Arc::new(Routes::new(Arc::new(layout)))
}

/// Is not served any more, and was sent so much.
fn gone(matcher: Address, sent: u64) -> Gone {
    Gone { matcher, sent: Number(sent), progressed: Number::ZERO }
}

/// Publications, and a barrier wherever there is one.
fn log(barriers: &[(u64, u64)], length: u64) -> Log {
    let mut log = Log::default();
    for number in 1..=length {
        let entry = match barriers.iter().find(|(at, _)| *at == number) {
            Some(&(_, epoch)) => Entry::Barrier(layout(epoch)),
            None => Entry::Publication(envelope("p", 1, number, "a")),
        };
        log.append(Retained { entry, cost: 10, origin: Origin::Lane });
    }
    log
}

/// What is sent: the range of each frame, and the numbers in it.
fn sent(replays: &mut Replays, log: &Log) -> Vec<(u64, u64, Vec<u64>)> {
    let mut actions = Vec::new();
    replays.send(LANE, log, RunLimit { entries: 100, bytes: 1 << 20 }, &mut actions);
    let frames = actions.into_iter().map(|send| match send.message {
        Message::Matcher(ToMatcher::Replay(replay)) => {
            let numbers = replay.entries.iter().map(|(number, _)| number.0).collect();
            (replay.from.0, replay.to.0, numbers)
        }
        other => panic!("not a replay: {other:?}"),
    });
    frames.collect()
}

/// What is sent, which is all that is to be covered: the numbers in it.
fn judged(replays: &mut Replays, log: &Log) -> Vec<u64> {
    let frames = sent(replays, log);
    assert_eq!(frames.last().map(|&(_, to, _)| to), Some(8), "all of it is covered: {frames:?}");
    assert!(frames.windows(2).all(|two| two[0].1 == two[1].0) && frames[0].0 == 0, "{frames:?}");
    frames.into_iter().flat_map(|(_, _, numbers)| numbers).collect()
}

#[test]
fn of_a_slice_that_was_lost_only_what_who_died_was_not_sent_is_judged_again() {
    let cases = [
        (0, 8, vec![1, 2, 3, 4, 5, 6, 7, 8]),
        (2, 8, vec![4, 5, 6, 7, 8]),
        (3, 8, vec![4, 8]),
        (3, 7, vec![4, 8]),
        // Its lane was late: what follows may satisfy what was declared again.
        (3, 5, vec![4, 6, 7, 8]),
        (3, 2, vec![3, 4, 5, 6, 7, 8]),
        (2, 2, vec![3, 4, 5, 6, 7, 8]),
    ];
    for (lost, number, expected) in cases {
        let log = log(&[(4, 2), (8, 3)], 10);
        let mut replays = Replays::default();
        replays.govern(Number(0), Number::ZERO, &routes(1, DEAD, 0), &[]);
        replays.govern(Number(4), Number::ZERO, &routes(2, DEAD, if lost == 2 { 2 } else { 0 }), &[]);
        replays.govern(Number(8), Number::ZERO, &routes(3, HEIR, lost), &[gone(DEAD, number)]);
        replays.grant(HEIR, Total(1 << 20));
        let numbers = judged(&mut replays, &log);
        assert_eq!(numbers, expected, "lost by layout {lost}, sent {number}; barriers are told in any case");
    }
}

/// All slices are lost by layout 2, and their next owner dies by layout 3, by which they are lost once more or go to who has all of them.
fn twice(replayed: bool, sent_to_heir: u64, lost: u64) -> Vec<u64> {
    let log = log(&[(4, 2), (8, 3)], 10);
    let mut replays = Replays::default();
    replays.govern(Number(0), Number::ZERO, &routes(1, DEAD, 0), &[]);
    replays.govern(Number(4), Number::ZERO, &routes(2, HEIR, 2), &[gone(DEAD, 2)]);
    if replayed {
        replays.grant(HEIR, Total(1 << 20));
    }
    let frames = sent(&mut replays, &log);
    assert_eq!(frames.last().map(|&(_, to, _)| to), replayed.then_some(4));
    replays.govern(Number(8), Number::ZERO, &routes(3, THIRD, lost), &[gone(HEIR, sent_to_heir)]);
    replays.grant(THIRD, Total(1 << 20));
    judged(&mut replays, &log)
}

#[test]
fn what_was_sent_once_more_to_who_dies_as_well_may_have_been_told_too() {
    assert_eq!(twice(true, 3, 3), [4, 5, 6, 7, 8]);
    assert_eq!(twice(true, 6, 3), [4, 7, 8]);
    // It judges nothing of what it was sent before the barrier by which it became the owner.
    assert_eq!(twice(false, 3, 3), [3, 4, 5, 6, 7, 8]);
    // Who has all of what it had says the same.
    assert_eq!(twice(true, 6, 2), [3, 4, 5, 6, 7, 8]);
}

#[test]
fn who_still_lives_tells_itself_what_it_judged_before_a_slice_went_to_who_lost_it() {
    let log = log(&[(4, 2), (8, 3)], 10);
    let mut replays = Replays::default();
    replays.govern(Number(0), Number::ZERO, &routes(1, THIRD, 0), &[]);
    replays.govern(Number(4), Number::ZERO, &routes(2, DEAD, 0), &[]);
    replays.govern(Number(8), Number::ZERO, &routes(3, HEIR, 3), &[gone(DEAD, 2)]);
    replays.grant(HEIR, Total(1 << 20));
    assert_eq!(judged(&mut replays, &log), [4, 5, 6, 7, 8]);
}

#[test]
fn whom_a_proposal_removes_is_sent_nothing_once_more_and_what_it_was_to_judge_is_under_way_until_others_have() {
    let log = log(&[(4, 2), (8, 3)], 10);
    let mut replays = Replays::default();
    replays.govern(Number(0), Number::ZERO, &routes(1, DEAD, 0), &[]);
    replays.govern(Number(4), Number::ZERO, &routes(2, HEIR, 2), &[gone(DEAD, 2)]);
    replays.grant(HEIR, Total(1 << 20));
    let mut proposal: Layout = (*layout(3)).clone();
    proposal.members.remove(&HEIR.node);
    replays.part(&proposal);
    assert_eq!(sent(&mut replays, &log), []);
    assert!(replays.is_under_way());
    replays.govern(Number(8), Number::ZERO, &routes(3, THIRD, 3), &[gone(HEIR, 6)]);
    assert!(replays.is_under_way());
    replays.let_go(Number(8));
    assert!(!replays.is_under_way());
    assert!(replays.gone.is_empty() && replays.broken_off.is_empty(), "what is merged by all needs nothing");
}
