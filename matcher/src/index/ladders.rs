//! Lanes by a range of a number, where nothing better is to be had: blocks in order of where ranges lie, so that a number is
//! looked for in the few blocks whose ranges may hold it. Of a block is known what the first two tests of its lanes reach
//! together, and blocks are found by comparing these bounds many at a time, as lanes are ([`Kernel::reach`]). A block whose
//! ranges all lie around a number need not be tested for it.
//!
//! Ranges of like width go together, so that the order of the low bounds is nearly that of the high ones; open ones go in order
//! of the bound that they have. Where there are enough lanes with the same pair of attributes, these stand together, in the
//! order of both numbers along Hilbert's curve (Kamel and Faloutsos, VLDB 1994), so that a block is a small patch of the plane.

mod reaching;

use super::blocks::{Blocks, Coded, Grain, Lane, NO_BLOCK, Place};
use super::clusters::TenantId;
use super::quantiser::{OPEN_HIGH, OPEN_LOW};
use super::schema::{ALWAYS, SlotId};
use crate::kernel::{Kernel, Publications};
pub use reaching::Reached;

/// Set in owners of blocks that are ladders.
pub const LADDER: u32 = 1 << 31;

/// Blocks of lanes with several tests are small, so that each spans little; those with one large, so that little room is wasted.
const LANES_SEVERAL: usize = 64;
const LANES_SINGLE: usize = 256;

/// Lanes with the same pair of attributes that are worth blocks of their own: several blocks each.
const PAIR_MIN: u32 = 128;

/// Pairs are looked for whenever so many lanes have come.
const LOOKED_AFTER: u32 = 512;

/// Lanes that move to where pairs stand together with each that comes.
const MOVED_PER_PUSH: usize = 8;

/// What the lanes of a ladder have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rail {
    /// Whose.
    pub tenant: TenantId,
    /// The attribute.
    pub slot: SlotId,
    /// The feature of the range.
    pub feature: u8,
    /// Whether the range is the only test.
    is_single: bool,
    class: u8,
}

/// Ranges with an open low end stand in order of their high one.
const UPPER: u8 = 9;
const LOWER: u8 = 8;

impl Rail {
    /// The ladder of lanes with these tests, of which the first is the range that leads there.
    pub fn new(tenant: TenantId, slot: SlotId, tests: &[Coded]) -> Self {
        let range = tests[0];
        let class = match (range.low, range.high) {
            (OPEN_LOW, _) => UPPER,
            (_, OPEN_HIGH) => LOWER,
            // Few classes, so that ladders are few.
            (low, high) => match high.saturating_sub(low) {
                0..8 => 0,
                8..28 => 1,
                28..100 => 2,
                100.. => 3,
            },
        };
        Self { tenant, slot, feature: range.feature, is_single: tests.len() == 1, class }
    }

    fn lanes_max(&self) -> usize {
        if self.is_single { LANES_SINGLE } else { LANES_SEVERAL }
    }
}

/// By what lanes are in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// By the range.
    Flat,
    /// By the second attribute, then by both ranges.
    Paired,
}

/// Another attribute that a lane asks for a range of.
fn second(lane: &Lane) -> Option<Coded> {
    let second = lane.coded[1];
    (second.feature != ALWAYS && second.low <= second.high).then_some(second)
}

fn key(lane: &Lane, order: Order) -> u32 {
    let of = |range: Coded| if range.low == OPEN_LOW { range.high } else { range.low };
    let first = of(lane.coded[0]);
    match (order, second(lane)) {
        (Order::Flat, _) => u32::from(first),
        (Order::Paired, None) => u32::from(first) << 8,
        (Order::Paired, Some(second)) => u32::from(second.feature) << 16 | along_curve(first, of(second)),
    }
}

/// Where a place in the plane lies along Hilbert's curve, on which near places are near in the plane as well.
fn along_curve(across: u8, up: u8) -> u32 {
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
struct Steps {
    order: Order,
    blocks: Vec<u32>,
    /// Of the lanes that came, the lowest and the highest key.
    keys: Vec<(u32, u32)>,
    low: Vec<u8>,
    high: Vec<u8>,
    low_max: Vec<u8>,
    high_min: Vec<u8>,
    other: Vec<u8>,
    other_low: Vec<u8>,
    other_high: Vec<u8>,
}

impl Steps {
    fn new(order: Order) -> Self {
        Self {
            order,
            blocks: Vec::new(),
            keys: Vec::new(),
            low: Vec::new(),
            high: Vec::new(),
            low_max: Vec::new(),
            high_min: Vec::new(),
            other: Vec::new(),
            other_low: Vec::new(),
            other_high: Vec::new(),
        }
    }

    fn bytes(&self) -> usize {
        let bounds =
            [&self.low, &self.high, &self.low_max, &self.high_min, &self.other, &self.other_low, &self.other_high];
        4 * self.blocks.capacity() + 8 * self.keys.capacity() + bounds.into_iter().map(Vec::capacity).sum::<usize>()
    }

    /// Puts a block without lanes somewhere.
    fn insert(&mut self, at: usize, block: u32) {
        self.blocks.insert(at, block);
        self.keys.insert(at, (u32::MAX, 0));
        self.low.insert(at, u8::MAX);
        self.high.insert(at, 0);
        self.low_max.insert(at, 0);
        self.high_min.insert(at, u8::MAX);
        self.other.insert(at, ALWAYS);
        self.other_low.insert(at, u8::MAX);
        self.other_high.insert(at, 0);
    }

    fn remove(&mut self, at: usize) {
        self.blocks.remove(at);
        self.keys.remove(at);
        let bounds = [
            &mut self.low,
            &mut self.high,
            &mut self.low_max,
            &mut self.high_min,
            &mut self.other,
            &mut self.other_low,
            &mut self.other_high,
        ];
        for column in bounds {
            column.remove(at);
        }
    }

    /// A lane comes to a block.
    fn widen(&mut self, at: usize, lane: &Lane, is_first: bool) {
        let key = key(lane, self.order);
        let (key_min, key_max) = &mut self.keys[at];
        (*key_min, *key_max) = ((*key_min).min(key), (*key_max).max(key));
        let range = lane.coded[0];
        self.low[at] = self.low[at].min(range.low);
        self.high[at] = self.high[at].max(range.high);
        self.low_max[at] = self.low_max[at].max(range.low);
        self.high_min[at] = self.high_min[at].min(range.high);
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

    fn find(&self, key: u32) -> usize {
        let at = self.keys.partition_point(|&(key_min, _)| key_min <= key).saturating_sub(1);
        // What comes before all others of its pair does not go to another's block.
        let is_of_pair = |at: usize| self.keys.get(at).is_some_and(|&(key_min, _)| key_min >> 16 == key >> 16);
        if self.order == Order::Paired && !is_of_pair(at) && is_of_pair(at + 1) { at + 1 } else { at }
    }

    /// Adds a lane. Lanes that had to make room are given, each after its move.
    fn push(
        &mut self,
        owner: u32,
        lanes_max: usize,
        lane: &Lane,
        blocks: &mut Blocks,
        moves: &mut Vec<(Lane, Moved)>,
    ) -> Place {
        let fresh = |blocks: &mut Blocks| blocks.create(1, Grain::Fine, owner, NO_BLOCK);
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
        self.remove(at);
        lanes.sort_by_cached_key(|(lane, _)| key(lane, self.order));
        let upper = lanes.split_off(self.cut(&lanes));
        for (at, half) in [(at, lanes), (at + 1, upper)] {
            let tests = half.iter().map(|(lane, _)| lane.tests()).max().unwrap_or(0);
            let block = blocks.create(tests, Grain::Fine, owner, NO_BLOCK);
            assert!(block != full, "a place of before is none of after");
            blocks.reserve(block, half.len() + 1);
            self.insert(at, block);
            for (index, (lane, from)) in half.into_iter().enumerate() {
                self.widen(at, &lane, index == 0);
                let to = blocks.push(block, &lane);
                moves.push((lane, Moved { from, to }));
            }
        }
        // Only now, so that none of the halves gets its number: lanes of one crowd are told apart by their places while they move.
        blocks.destroy(full);
    }

    /// Where lanes in order are best parted: between two pairs of attributes, if some end near the middle.
    fn cut(&self, lanes: &[(Lane, Place)]) -> usize {
        let middle = lanes.len() / 2;
        let feature = |index: usize| second(&lanes[index].0).map(|second| second.feature);
        let ends = |&index: &usize| self.order == Order::Paired && feature(index - 1) != feature(index);
        let near = (middle / 4).max(1)..lanes.len() - middle / 4;
        near.filter(ends).min_by_key(|&index| index.abs_diff(middle)).unwrap_or(middle)
    }
}

/// A ladder.
#[derive(Debug)]
pub struct Ladder {
    /// What it is for.
    pub rail: Rail,
    flat: Steps,
    /// Where lanes go to, once there are enough with the same pair of attributes; those that came before follow bit by bit.
    paired: Option<Steps>,
    rows: u32,
}

impl Ladder {
    /// Gives the blocks that publications may match, each with who may, up to 64 at a time.
    pub fn reach(&self, kernel: Kernel, of: Publications<'_>, mut found: impl FnMut(&[Reached])) {
        for steps in [Some(&self.flat), self.paired.as_ref()].into_iter().flatten() {
            steps.reach(kernel, of, self.rail.feature, &mut found);
        }
    }

    fn bytes(&self) -> usize {
        self.flat.bytes() + self.paired.as_ref().map_or(0, Steps::bytes)
    }

    /// Whether lanes are enough for those with the same pair of attributes to stand together.
    fn has_pairs(&self, blocks: &Blocks) -> bool {
        let mut is_other = [false; 256];
        for &block in &self.flat.blocks {
            for &feature in blocks.features_of(blocks.get(block), 1) {
                is_other[usize::from(feature)] = true;
            }
        }
        let others = is_other.into_iter().filter(|&is_other| is_other).count();
        u32::try_from(others).expect("at most 256") * PAIR_MIN <= self.rows
    }

    /// Moves a few lanes to where pairs stand together.
    fn follow(&mut self, owner: u32, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) {
        let Some(paired) = &mut self.paired else { return };
        for _ in 0..MOVED_PER_PUSH {
            let Some(&block) = self.flat.blocks.last() else { return };
            let lane = blocks.pop(block).expect("a block with a lane");
            let from = Place { block, lane: u32::try_from(blocks.get(block).len()).expect("few lanes") };
            if blocks.get(block).len() == 0 {
                self.flat.remove(self.flat.blocks.len() - 1);
                blocks.destroy(block);
            }
            let to = paired.push(owner, self.rail.lanes_max(), &lane, blocks, moves);
            moves.push((lane, Moved { from, to }));
        }
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

/// All ladders.
#[derive(Debug, Default)]
pub struct Ladders {
    ladders: Vec<Option<Ladder>>,
    free: Vec<u32>,
    step_bytes: usize,
}

impl Ladders {
    /// A ladder in use.
    #[inline]
    pub fn get(&self, id: u32) -> &Ladder {
        self.ladders[id as usize].as_ref().expect("a ladder in use")
    }

    /// A new one.
    pub fn create(&mut self, rail: Rail) -> u32 {
        let ladder = Ladder { rail, flat: Steps::new(Order::Flat), paired: None, rows: 0 };
        match self.free.pop() {
            Some(id) => {
                self.ladders[id as usize] = Some(ladder);
                id
            }
            None => {
                self.ladders.push(Some(ladder));
                u32::try_from(self.ladders.len() - 1).expect("ladders are fewer than rows")
            }
        }
    }

    /// Adds a lane. Lanes that had to make room are given, each after its move.
    pub fn push(&mut self, id: u32, lane: &Lane, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) -> Place {
        let ladder = self.ladders[id as usize].as_mut().expect("a ladder in use");
        let before = ladder.bytes();
        ladder.rows += 1;
        let is_time = ladder.rows.is_multiple_of(LOOKED_AFTER);
        if is_time && ladder.paired.is_none() && !ladder.rail.is_single && ladder.has_pairs(blocks) {
            ladder.paired = Some(Steps::new(Order::Paired));
        }
        // Before the lane has a place, because it may have to move as well.
        ladder.follow(id | LADDER, blocks, moves);
        let steps = ladder.paired.as_mut().unwrap_or(&mut ladder.flat);
        let place = steps.push(id | LADDER, ladder.rail.lanes_max(), lane, blocks, moves);
        self.step_bytes = self.step_bytes + ladder.bytes() - before;
        place
    }

    /// Takes a lane out. Gives the lane that came to its place instead, and whether the ladder is gone.
    pub fn remove(&mut self, id: u32, place: Place, blocks: &mut Blocks) -> (Option<(Lane, Place)>, bool) {
        let ladder = self.ladders[id as usize].as_mut().expect("a ladder in use");
        let last = blocks.pop(place.block).expect("a block with a lane");
        let from = Place { block: place.block, lane: u32::try_from(blocks.get(place.block).len()).expect("few lanes") };
        let moved = (from != place).then(|| {
            blocks.replace(place, &last);
            (last, from)
        });
        ladder.rows -= 1;
        if blocks.get(place.block).len() == 0 {
            let of = |steps: &Steps| steps.blocks.iter().position(|&block| block == place.block);
            match (of(&ladder.flat), &mut ladder.paired) {
                (Some(at), _) => ladder.flat.remove(at),
                (None, Some(paired)) => paired.remove(of(paired).expect("a block of this ladder")),
                (None, None) => unreachable!("a block of this ladder"),
            }
            blocks.destroy(place.block);
        }
        let gone = ladder.rows == 0;
        if gone {
            self.step_bytes -= ladder.bytes();
            self.ladders[id as usize] = None;
            self.free.push(id);
        }
        (moved, gone)
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.ladders.capacity() * size_of::<Option<Ladder>>() + self.free.capacity() * 4 + self.step_bytes
    }
}

#[cfg(test)]
mod tests;
