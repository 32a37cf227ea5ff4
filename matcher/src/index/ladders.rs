//! Lanes by a range of a number, where nothing better is to be had: blocks in order of a bound's code, so that a number is looked
//! for in the few blocks whose ranges may hold it. Of the lanes of a block, the last test is the range itself; a block that lies
//! wholly around a number need not be tested for it.
//!
//! Ranges of like width go together, so that the order of the low bounds is nearly that of the high ones; open ones go in order
//! of the bound that they have.

use super::blocks::{Blocks, Coded, Lane, NO_BLOCK, Place};
use super::clusters::TenantId;
use super::quantiser::{OPEN_HIGH, OPEN_LOW};
use super::schema::SlotId;

/// Set in owners of blocks that are ladders.
pub const LADDER: u32 = 1 << 31;

/// Blocks of a short ladder are small, so that each spans little; those of a long one large, so that little room is wasted.
const LANES_SHORT: usize = 64;
const LANES_LONG: usize = 256;
const LONG: u32 = 4096;

/// What the lanes of a ladder have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rail {
    /// Whose.
    pub tenant: TenantId,
    /// The attribute.
    pub slot: SlotId,
    /// The feature of the range.
    pub feature: u8,
    /// Tests in columns, the range the last.
    pub tests: u8,
    class: u8,
}

/// Ranges with an open low end stand in order of their high one.
const UPPER: u8 = 9;
const LOWER: u8 = 8;

impl Rail {
    /// The ladder of lanes with this range and so many tests.
    pub fn new(tenant: TenantId, slot: SlotId, range: Coded, tests: usize) -> Self {
        let class = match (range.low, range.high) {
            (OPEN_LOW, _) => UPPER,
            (_, OPEN_HIGH) => LOWER,
            (low, high) => u8::try_from((u32::from(high.saturating_sub(low)) + 1).ilog2()).expect("at most 7"),
        };
        Self { tenant, slot, feature: range.feature, tests: u8::try_from(tests).expect("few tests"), class }
    }

    fn key(&self, range: Coded) -> u8 {
        if self.class == UPPER { range.high } else { range.low }
    }
}

/// What the ranges of a block reach.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    low_min: u8,
    low_max: u8,
    high_min: u8,
    high_max: u8,
}

/// How a number lies to a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lies {
    /// In no range.
    Outside,
    /// Perhaps in some.
    Among,
    /// Strictly in all.
    Inside,
}

impl Reach {
    const NOTHING: Self = Self { low_min: u8::MAX, low_max: 0, high_min: u8::MAX, high_max: 0 };

    fn widen(&mut self, low: u8, high: u8) {
        self.low_min = self.low_min.min(low);
        self.low_max = self.low_max.max(low);
        self.high_min = self.high_min.min(high);
        self.high_max = self.high_max.max(high);
    }

    /// Where a code lies.
    #[inline]
    pub fn lies(self, code: u8) -> Lies {
        if code < self.low_min || code > self.high_max {
            Lies::Outside
        } else if code > self.low_max && code < self.high_min {
            Lies::Inside
        } else {
            Lies::Among
        }
    }
}

/// A ladder.
#[derive(Debug)]
pub struct Ladder {
    /// What it is for.
    pub rail: Rail,
    blocks: Vec<u32>,
    reaches: Vec<Reach>,
    rows: u32,
}

impl Ladder {
    /// The blocks that a code may lie in, and perhaps some more.
    #[inline]
    pub fn steps(&self, code: u8) -> impl Iterator<Item = (u32, Reach)> + '_ {
        // Keys are in order from block to block, and so is the lowest key that a range around the code can have.
        let (first, end) = match self.rail.class {
            UPPER => (self.reaches.partition_point(|reach| reach.high_max < code), self.reaches.len()),
            LOWER => (0, self.reaches.partition_point(|reach| reach.low_min <= code)),
            class => {
                let low = u32::from(code).saturating_sub((2 << class) - 1);
                let first = self.reaches.partition_point(|reach| u32::from(reach.low_max) < low);
                (first, self.reaches.partition_point(|reach| reach.low_min <= code).max(first))
            }
        };
        self.blocks[first..end].iter().copied().zip(self.reaches[first..end].iter().copied())
    }

    fn key_max(&self, reach: Reach) -> u8 {
        if self.rail.class == UPPER { reach.high_max } else { reach.low_max }
    }

    fn key_min(&self, reach: Reach) -> u8 {
        if self.rail.class == UPPER { reach.high_min } else { reach.low_min }
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
    block_bytes: usize,
}

impl Ladders {
    /// A ladder in use.
    #[inline]
    pub fn get(&self, id: u32) -> &Ladder {
        self.ladders[id as usize].as_ref().expect("a ladder in use")
    }

    /// A new one.
    pub fn create(&mut self, rail: Rail) -> u32 {
        let ladder = Ladder { rail, blocks: Vec::new(), reaches: Vec::new(), rows: 0 };
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
        let before = ladder.blocks.capacity();
        let tests = usize::from(ladder.rail.tests);
        let range = lane.coded[tests - 1];
        let key = ladder.rail.key(range);
        if ladder.blocks.is_empty() {
            ladder.blocks.push(blocks.create(tests, id | LADDER, NO_BLOCK));
            ladder.reaches.push(Reach::NOTHING);
        }
        let lanes_max = if ladder.rows < LONG && tests > 1 { LANES_SHORT } else { LANES_LONG };
        let find =
            |ladder: &Ladder| ladder.reaches.partition_point(|&reach| ladder.key_min(reach) <= key).saturating_sub(1);
        let mut at = find(ladder);
        if blocks.get(ladder.blocks[at]).len() >= lanes_max {
            at = if key >= ladder.key_max(ladder.reaches[at]) {
                // What comes in order fills blocks, instead of leaving them half full.
                at + 1
            } else if key < ladder.key_min(ladder.reaches[at]) {
                at
            } else {
                ladder.split(at, id, blocks, moves);
                usize::MAX
            };
            if at == usize::MAX {
                at = find(ladder);
            } else {
                ladder.blocks.insert(at, blocks.create(tests, id | LADDER, NO_BLOCK));
                ladder.reaches.insert(at, Reach::NOTHING);
            }
        }
        ladder.rows += 1;
        ladder.reaches[at].widen(range.low, range.high);
        let place = blocks.push(ladder.blocks[at], lane);
        self.block_bytes += (ladder.blocks.capacity() - before) * 8;
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
            let at = ladder.blocks.iter().position(|&block| block == place.block).expect("a block of this ladder");
            ladder.blocks.remove(at);
            ladder.reaches.remove(at);
            blocks.destroy(place.block);
        }
        let gone = ladder.rows == 0;
        if gone {
            self.block_bytes -= ladder.blocks.capacity() * 8;
            self.ladders[id as usize] = None;
            self.free.push(id);
        }
        (moved, gone)
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.ladders.capacity() * size_of::<Option<Ladder>>() + self.free.capacity() * 4 + self.block_bytes
    }
}

impl Ladder {
    /// Makes two blocks of one, the upper half of the lanes in the second.
    fn split(&mut self, at: usize, id: u32, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) {
        let tests = usize::from(self.rail.tests);
        let full = self.blocks[at];
        let mut lanes = Vec::with_capacity(blocks.get(full).len());
        while let Some(lane) = blocks.pop(full) {
            let lane_number = u32::try_from(blocks.get(full).len()).expect("few lanes");
            lanes.push((lane, Place { block: full, lane: lane_number }));
        }
        blocks.destroy(full);
        lanes.sort_by_key(|(lane, _)| self.rail.key(lane.coded[tests - 1]));
        let upper = lanes.split_off(lanes.len() / 2);
        let mut fresh = Vec::with_capacity(2);
        for half in [lanes, upper] {
            let block = blocks.create(tests, id | LADDER, NO_BLOCK);
            let mut reach = Reach::NOTHING;
            for (lane, from) in half {
                let range = lane.coded[tests - 1];
                reach.widen(range.low, range.high);
                let to = blocks.push(block, &lane);
                moves.push((lane, Moved { from, to }));
            }
            fresh.push((block, reach));
        }
        self.blocks.splice(at..=at, fresh.iter().map(|&(block, _)| block));
        self.reaches.splice(at..=at, fresh.iter().map(|&(_, reach)| reach));
    }
}
