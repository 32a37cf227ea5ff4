//! Lanes are packed without being lost, as densely as is promised and a few at a time.

use super::super::Order;
use super::*;
use crate::index::RowId;
use crate::index::blocks::{Coded, Target};
use crate::index::lane::PASS;

const LANES_MAX: usize = 64;

struct Draw(u64);

impl Draw {
    fn next(&mut self, bound: u64) -> u8 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from((self.0 >> 33) % bound).expect("small")
    }
}

/// Lanes in order, and where each is.
struct Stand {
    steps: Steps,
    blocks: Blocks,
    places: Vec<Option<Place>>,
    longest: usize,
}

impl Stand {
    fn new(order: Order) -> Self {
        Self { steps: Steps::new(order), blocks: Blocks::new(), places: Vec::new(), longest: 0 }
    }

    fn lanes(&self) -> usize {
        self.places.iter().flatten().count()
    }

    fn relocate(&mut self, moves: Vec<(Lane, Moved)>) {
        self.longest = self.longest.max(moves.len());
        for (lane, Moved { from, to }) in moves {
            let place = &mut self.places[lane.target.0 as usize];
            assert_eq!(*place, Some(from), "it moves from where it is");
            *place = Some(to);
        }
    }

    fn push(&mut self, lane: &Lane) -> bool {
        let mut moves = Vec::new();
        let place = self.steps.push(7, LANES_MAX, lane, &mut self.blocks, &mut moves);
        self.relocate(moves);
        self.places.push(Some(place));
        let lanes = self.lanes();
        self.steps.falls_due(lanes, LANES_MAX)
    }

    fn remove(&mut self, row: usize) -> bool {
        let place = self.places[row].take().expect("a lane that is in");
        if let Some((lane, from)) = self.blocks.take(place) {
            self.relocate(vec![(lane, Moved { from, to: place })]);
        }
        if self.blocks.get(place.block).len() == 0 {
            assert!(self.steps.forget(place.block, &mut self.blocks));
        }
        let lanes = self.lanes();
        self.steps.falls_due(lanes, LANES_MAX)
    }

    fn pack(&mut self) {
        let mut at = Some(0);
        while let Some(from) = at {
            let (lanes, mut moves) = (self.lanes(), Vec::new());
            at = self.steps.pack(from, (lanes, LANES_MAX), &mut self.blocks, &mut moves);
            self.relocate(moves);
        }
    }

    fn check(&self, all: &[Lane]) {
        let held = self.steps.blocks.iter().map(|&block| self.blocks.get(block).len()).sum::<usize>();
        assert_eq!(held, self.lanes());
        for (lane, place) in all.iter().zip(&self.places) {
            let Some(place) = *place else { continue };
            let found = self.blocks.lane(place);
            assert_eq!((found.target.0, found.coded), (lane.target.0, lane.coded));
            let at = self.steps.blocks.iter().position(|&block| block == place.block).expect("a block of these");
            let first = lane.coded[0];
            assert!(
                self.steps.low[at] <= first.low && first.high <= self.steps.high[at],
                "the block reaches its lanes"
            );
            let second = super::super::second(lane).unwrap_or(PASS);
            if self.steps.other[at] == second.feature {
                assert!(self.steps.other_low[at] <= second.low && second.high <= self.steps.other_high[at]);
            }
        }
    }
}

/// Ranges of one attribute and of one of `others` more.
fn lanes(count: u32, others: u64) -> Vec<Lane> {
    let mut draw = Draw(u64::from(count) ^ others);
    let mut range = |feature: u8| {
        let low = draw.next(200);
        Coded::coarse(feature, low, low + 40)
    };
    let mut features = Draw(others);
    (0..count)
        .map(|row| {
            let mut lane = Lane::new(Target(RowId(row).0), 0, false);
            lane.coded[0] = range(0);
            lane.coded[1] = range(1 + features.next(others));
            lane
        })
        .collect()
}

#[test]
fn blocks_that_have_split_are_packed_until_one_place_in_eight_is_empty_at_most() {
    for (order, others) in [(Order::Flat, 3), (Order::Paired, 1), (Order::Paired, 3)] {
        let (mut stand, all) = (Stand::new(order), lanes(6_000, others));
        let due = all.iter().map(|lane| stand.push(lane)).filter(|&due| due).count();
        assert_eq!(due, 1, "it is said once");
        let before = stand.steps.blocks.len();
        stand.longest = 0;
        stand.pack();
        stand.check(&all);
        let after = stand.steps.blocks.len();
        assert!(before * LANES_MAX > 7_500 && after * LANES_MAX < 6_860, "{order:?}: {before}, {after} blocks");
        assert!(stand.longest <= LANES_TOGETHER, "{} lanes at once", stand.longest);
        let lanes = stand.lanes();
        let due = (0..2 * SELDOM).any(|_| stand.steps.falls_due(lanes, LANES_MAX));
        assert!(!due, "packed, it is not due again");
    }
}

#[test]
fn blocks_whose_lanes_have_gone_are_given_back() {
    for (order, others) in [(Order::Flat, 3), (Order::Paired, 1), (Order::Paired, 40), (Order::Led, 40)] {
        let (mut stand, all) = (Stand::new(order), lanes(6_000, others));
        all.iter().for_each(|lane| {
            stand.push(lane);
        });
        stand.pack();
        let mut due = 0;
        for row in (0..6_000).filter(|row| row % 10 != 0) {
            if stand.remove(row) {
                due += 1;
                stand.pack();
            }
        }
        stand.check(&all);
        // As many as there are pairs, and what the last lanes left.
        let blocks = stand.steps.blocks.len();
        assert!(due > 1 && blocks <= 24 + usize::try_from(others).expect("few"), "{order:?}: {blocks} blocks");
    }
}

#[test]
fn blocks_whose_lanes_are_replaced_one_by_one_fall_due_as_well() {
    let (mut stand, all) = (Stand::new(Order::Paired), lanes(30_003, 1));
    for lane in &all[..6_003] {
        stand.push(lane);
    }
    stand.pack();
    let (mut draw, mut due, mut live) = (Draw(9), 0, (0..6_003).collect::<Vec<usize>>());
    for lane in &all[6_003..] {
        let near = usize::from(draw.next(256)) * live.len() / 256 + usize::from(draw.next(20));
        let row = live.swap_remove(near.min(live.len() - 1));
        live.push(stand.places.len());
        for is_due in [stand.remove(row), stand.push(lane)] {
            if is_due {
                due += 1;
                stand.pack();
            }
        }
    }
    stand.check(&all);
    let blocks = stand.steps.blocks.len();
    assert!(due > 5 && blocks < 130, "{due} times, {blocks} blocks");
}
