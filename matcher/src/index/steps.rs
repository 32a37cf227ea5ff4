//! Blocks in order: what the first two tests of the lanes in each reach together is known, and blocks are found by comparing these
//! bounds many at a time, as lanes are ([`Kernel::reach`]). A block whose lanes all pass their first test need not be tested for it.
//!
//! Where there are enough lanes with the same pair of attributes, these stand together, in the order of both numbers along
//! Hilbert's curve (Kamel and Faloutsos, VLDB 1994), so that a block is a small patch of the plane.

mod packing;
mod reaching;

use super::arena::Site;
use super::blocks::{Blocks, Coded, Grain, IN_STEPS, Lane, NO_BLOCK, Place};
use super::lane::PASS;
use super::quantiser::OPEN_LOW;
use super::schema::ALWAYS;
use crate::kernel::prefetch;
pub use packing::Due;
use packing::Packed;
pub use reaching::Reached;

/// By what lanes are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By the first test, which all lanes have of one attribute.
    Flat,
    /// By the second attribute, then by both ranges.
    Paired,
    /// By the first attribute, of which lanes may have different ones; then by the value that is asked for and the second attribute, or,
    /// where the first test is a range, by the second attribute and both ranges.
    Led,
}

/// A test that has bounds: one that excludes what lies between has none.
pub fn bounded(test: Coded) -> Option<Coded> {
    (test.feature != ALWAYS && test.low <= test.high).then_some(test)
}

/// Another attribute that a lane asks for a range of.
pub fn second(lane: &Lane) -> Option<Coded> {
    bounded(lane.coded[1])
}

/// Where a lane stands. Lanes that should share blocks have the high half in common.
fn key(lane: &Lane, order: Order) -> u32 {
    /// What bounds around one value have between them at most.
    const VALUE_WIDTH: u8 = 2;
    let of = |range: Coded| if range.low == OPEN_LOW { range.high } else { range.low };
    let first = of(lane.coded[0]);
    match (order, second(lane)) {
        (Order::Flat, _) => u32::from(first),
        (Order::Paired, None) => u32::from(first) << 8,
        (Order::Paired, Some(second)) => u32::from(second.feature) << 16 | along_curve(first, of(second)),
        (Order::Led, second) => {
            let Some(lead) = bounded(lane.coded[0]) else { return 0 };
            let (feature, code) = second.map_or((ALWAYS, 0), |second| (second.feature, of(second)));
            if lead.high - lead.low <= VALUE_WIDTH {
                u32::from_be_bytes([lead.feature, first, feature, code])
            } else {
                u32::from(lead.feature) << 24 | u32::from(feature) << 16 | along_curve(first, code)
            }
        }
    }
}

/// Where a place in the plane lies along Hilbert's curve, on which near places are near in the plane as well.
pub fn along_curve(across: u8, up: u8) -> u32 {
    let (mut x, mut y) = (u32::from(across), u32::from(up));
    let mut along = 0;
    for bit in (0..8).rev() {
        let (right, above) = (x >> bit & 1, y >> bit & 1);
        along = along << 2 | (3 * right) ^ above;
        if above == 0 {
            if right == 1 {
                (x, y) = (!x, !y);
            }
            (x, y) = (y, x);
        }
    }
    along
}

/// Blocks in order, and what the ranges in each reach, a column for each bound.
#[derive(Debug)]
pub struct Steps {
    order: Order,
    pub blocks: Vec<u32>,
    /// Of the lanes that came, the lowest and the highest key.
    keys: Vec<(u32, u32)>,
    /// The attribute of the first test, where lanes may have different ones: of one that all have, nothing is noted.
    lead: Vec<u8>,
    low: Vec<u8>,
    high: Vec<u8>,
    low_max: Vec<u8>,
    high_min: Vec<u8>,
    other: Vec<u8>,
    other_low: Vec<u8>,
    other_high: Vec<u8>,
    packed: Packed,
}

impl Steps {
    /// No blocks.
    pub fn new(order: Order) -> Self {
        Self {
            order,
            blocks: Vec::new(),
            keys: Vec::new(),
            lead: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            low_max: Vec::new(),
            high_min: Vec::new(),
            other: Vec::new(),
            other_low: Vec::new(),
            other_high: Vec::new(),
            packed: Packed::default(),
        }
    }

    fn columns(&self) -> [&Vec<u8>; 8] {
        let Self { lead, low, high, low_max, high_min, other, other_low, other_high, .. } = self;
        [lead, low, high, low_max, high_min, other, other_low, other_high]
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        let bounds = self.columns().into_iter().map(Vec::capacity).sum::<usize>();
        4 * self.blocks.capacity() + 8 * self.keys.capacity() + bounds
    }

    /// Asks for the memory of the bounds of the first blocks.
    #[inline]
    pub fn prefetch(&self) {
        self.columns().into_iter().filter_map(|column| column.first()).for_each(prefetch);
    }

    /// How many codes of its first test each block reaches; `None` where lanes have that of different attributes.
    #[cfg(test)]
    pub fn spans(&self) -> impl Iterator<Item = Option<u8>> + '_ {
        let all = self.lead.iter().zip(&self.low).zip(&self.high);
        all.map(|((&lead, low), high)| (lead != ALWAYS).then(|| high - low))
    }

    /// A block has no lanes any more: says whether it was one of these.
    pub fn forget(&mut self, block: u32, blocks: &mut Blocks) -> bool {
        let Some(at) = self.blocks.iter().position(|&other| other == block) else { return false };
        self.remove(at);
        blocks.destroy(block);
        true
    }

    /// Has some blocks give way to others, which are put there.
    fn make_room(&mut self, at: usize, gone: usize, come: usize) {
        fn replace<T: Copy>(column: &mut Vec<T>, range: std::ops::Range<usize>, with: T, come: usize) {
            column.splice(range, std::iter::repeat_n(with, come));
        }
        let range = || at..at + gone;
        replace(&mut self.blocks, range(), NO_BLOCK, come);
        replace(&mut self.keys, range(), (u32::MAX, 0), come);
        let low = [&mut self.high, &mut self.low_max, &mut self.other_high];
        low.into_iter().for_each(|column| replace(column, range(), 0, come));
        let high = [&mut self.low, &mut self.high_min, &mut self.other_low];
        high.into_iter().for_each(|column| replace(column, range(), u8::MAX, come));
        [&mut self.lead, &mut self.other].into_iter().for_each(|column| replace(column, range(), ALWAYS, come));
    }

    /// Puts a block without lanes somewhere.
    fn insert(&mut self, at: usize, block: u32) {
        self.make_room(at, 0, 1);
        self.blocks[at] = block;
    }

    /// Takes a block out that has no lanes any more.
    pub fn remove(&mut self, at: usize) {
        self.make_room(at, 1, 0);
    }

    /// A lane comes to a block.
    fn widen(&mut self, at: usize, lane: &Lane, is_first: bool) {
        let key = key(lane, self.order);
        let (key_min, key_max) = &mut self.keys[at];
        (*key_min, *key_max) = ((*key_min).min(key), (*key_max).max(key));
        let first = lane.coded[0];
        match (self.order, bounded(first)) {
            (Order::Flat | Order::Paired, _) => self.widen_first(at, first),
            (Order::Led, Some(first)) if is_first || self.lead[at] == first.feature => {
                self.lead[at] = first.feature;
                self.widen_first(at, first);
            }
            (Order::Led, None) if first == PASS && (is_first || self.lead[at] == ALWAYS) => self.widen_first(at, first),
            // Different attributes in one block: every publication passes, and none surely.
            (Order::Led, _) => {
                (self.lead[at], self.low[at], self.high[at]) = (ALWAYS, 0, u8::MAX);
                (self.low_max[at], self.high_min[at]) = (u8::MAX, 0);
            }
        }
        let second = second(lane);
        let feature = second.map_or(ALWAYS, |second| second.feature);
        if is_first {
            self.other[at] = feature;
        }
        match second {
            Some(second) if feature == self.other[at] => {
                self.other_low[at] = self.other_low[at].min(second.low);
                self.other_high[at] = self.other_high[at].max(second.high);
            }
            // Different attributes in one block: every publication passes.
            Some(_) | None => {
                self.other[at] = ALWAYS;
                self.other_low[at] = 0;
                self.other_high[at] = u8::MAX;
            }
        }
    }

    fn widen_first(&mut self, at: usize, test: Coded) {
        self.low[at] = self.low[at].min(test.low);
        self.high[at] = self.high[at].max(test.high);
        self.low_max[at] = self.low_max[at].max(test.low);
        self.high_min[at] = self.high_min[at].min(test.high);
    }

    fn find(&self, key: u32) -> usize {
        let at = self.keys.partition_point(|&(key_min, _)| key_min <= key).saturating_sub(1);
        // What comes before all others of its pair does not go to another's block.
        let is_of_pair = |at: usize| self.keys.get(at).is_some_and(|&(key_min, _)| key_min >> 16 == key >> 16);
        if self.order != Order::Flat && !is_of_pair(at) && is_of_pair(at + 1) { at + 1 } else { at }
    }

    /// Adds a lane. Lanes that had to make room are given, each after its move.
    pub fn push(
        &mut self,
        owner: u32,
        lanes_max: usize,
        lane: &Lane,
        blocks: &mut Blocks,
        moves: &mut Vec<(Lane, Moved)>,
    ) -> Place {
        let fresh = |blocks: &mut Blocks| blocks.create(1, Grain::Fine, owner, IN_STEPS);
        let key = key(lane, self.order);
        if self.blocks.is_empty() {
            self.insert(0, fresh(blocks));
        }
        let mut at = self.find(key);
        if blocks.get(self.blocks[at]).len() >= lanes_max {
            let (key_min, key_max) = self.keys[at];
            if key >= key_max {
                // What comes in order fills blocks, instead of leaving them half full.
                at += 1;
                self.insert(at, fresh(blocks));
            } else if key < key_min {
                self.insert(at, fresh(blocks));
            } else {
                self.split(at, owner, blocks, moves);
                at = self.find(key);
            }
        }
        self.widen(at, lane, blocks.get(self.blocks[at]).len() == 0);
        blocks.push(self.blocks[at], lane)
    }

    /// Makes two blocks of one.
    fn split(&mut self, at: usize, owner: u32, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) {
        let full = self.blocks[at];
        let mut lanes = Vec::with_capacity(blocks.get(full).len());
        while let Some(lane) = blocks.pop(full) {
            let lane_number = u32::try_from(blocks.get(full).len()).expect("few lanes");
            lanes.push((lane, Place { block: full, lane: lane_number }));
        }
        self.in_order(&mut lanes);
        let upper = lanes.split_off(self.cut(&lanes));
        self.make_room(at, 1, 2);
        for (at, half) in [(at, &lanes), (at + 1, &upper)] {
            self.put(at, (owner, Site::Any), half, blocks, moves);
        }
        // Only now, so that none of the halves gets its number: lanes of one crowd are told apart by their places while they move.
        blocks.destroy(full);
    }

    fn in_order(&self, lanes: &mut [(Lane, Place)]) {
        lanes.sort_by_cached_key(|(lane, _)| key(lane, self.order));
    }

    /// Puts a block with these lanes, which stood elsewhere, where room was made.
    fn put(
        &mut self,
        at: usize,
        (owner, site): (u32, Site),
        lanes: &[(Lane, Place)],
        blocks: &mut Blocks,
        moves: &mut Vec<(Lane, Moved)>,
    ) {
        let tests = lanes.iter().map(|(lane, _)| lane.tests()).max().unwrap_or(0);
        let block = blocks.create_for(lanes.len() + 1, (tests, Grain::Fine), (owner, IN_STEPS), site);
        self.blocks[at] = block;
        for (index, (lane, from)) in lanes.iter().enumerate() {
            self.widen(at, lane, index == 0);
            let to = blocks.push(block, lane);
            moves.push((lane.clone(), Moved { from: *from, to }));
        }
    }

    /// Where lanes in order are best parted: between two pairs of attributes, if some end near the middle.
    fn cut(&self, lanes: &[(Lane, Place)]) -> usize {
        let middle = lanes.len() / 2;
        let pair = |index: usize| key(&lanes[index].0, self.order) >> 16;
        let ends = |&index: &usize| self.order != Order::Flat && pair(index - 1) != pair(index);
        let near = (middle / 4).max(1)..lanes.len() - middle / 4;
        near.filter(ends).min_by_key(|&index| index.abs_diff(middle)).unwrap_or(middle)
    }
}

/// A lane has moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// From here.
    pub from: Place,
    /// To there.
    pub to: Place,
}
