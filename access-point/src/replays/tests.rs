//! Claims about what is sent once more for a matcher that died.

use gomera_cluster::layout::Layout;

use super::*;
use crate::fixture::{address, envelope, layout};
use crate::log::{Origin, Retained};

const LANE: LaneId = LaneId(1);
/// Dies, and where its slices go.
const DEAD: Address = address(3, 1);
const HEIR: Address = address(3, 0);

/// Where this layout gives every slice to one matcher, and says which layout they were lost by.
fn routes(epoch: u64, owner: Address, lost: u64) -> Arc<Routes> {
    let mut layout: Layout = (*layout(epoch)).clone();
    for placement in &mut layout.matcher {
        placement.replicas.truncate(1);
        placement.replicas[0].holder = owner;
        placement.lost = Epoch(lost);
    }
    let shards = if owner == DEAD { 2 } else { 1 };
    layout.members.get_mut(&HEIR.node).expect("the matcher").shards = shards;
    Arc::new(Routes::new(Arc::new(layout)))
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

#[test]
fn of_a_slice_that_was_lost_only_what_lies_behind_is_judged_again() {
    for (lost, expected) in [(0, vec![1, 2, 3, 4, 5, 6, 7, 8]), (2, vec![4, 5, 6, 7, 8]), (3, vec![4, 8])] {
        let log = log(&[(4, 2), (8, 3)], 10);
        let mut replays = Replays::default();
        replays.govern(Number(0), Number::ZERO, &routes(1, DEAD, 0));
        replays.govern(Number(4), Number::ZERO, &routes(2, DEAD, if lost == 2 { 2 } else { 0 }));
        replays.govern(Number(8), Number::ZERO, &routes(3, HEIR, lost));
        replays.grant(HEIR, Total(1 << 20));
        let frames = sent(&mut replays, &log);
        assert_eq!(frames.last().map(|&(_, to, _)| to), Some(8), "all of it is covered: {frames:?}");
        assert!(frames.windows(2).all(|two| two[0].1 == two[1].0) && frames[0].0 == 0, "{frames:?}");
        let numbers: Vec<_> = frames.into_iter().flat_map(|(_, _, numbers)| numbers).collect();
        assert_eq!(numbers, expected, "lost by layout {lost}; barriers are told in any case");
    }
}
