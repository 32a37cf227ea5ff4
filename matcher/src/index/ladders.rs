//! Lanes by a range of a number, where nothing better is to be had: blocks in order of where ranges lie, so that a number is
//! looked for in the few blocks whose ranges may hold it ([`steps`](super::steps)).
//!
//! Ranges of like width go together, so that the order of the low bounds is nearly that of the high ones; open ones go in order
//! of the bound that they have. Where there are enough lanes with the same pair of attributes, these stand together.

use super::blocks::{Blocks, Coded, Lane, Place};
use super::clusters::TenantId;
use super::quantiser::{OPEN_HIGH, OPEN_LOW};
use super::schema::SlotId;
use super::steps::{Due, Moved, Order, Reached, Steps};
use crate::kernel::{Kernel, Publications, low_bits};

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
        let all = low_bits(of.coded.len());
        for steps in [Some(&self.flat), self.paired.as_ref()].into_iter().flatten() {
            steps.reach(kernel, of, Some(self.rail.feature), all, &mut found);
        }
    }

    /// The blocks that lanes come to.
    fn steps(&mut self) -> &mut Steps {
        self.paired.as_mut().unwrap_or(&mut self.flat)
    }

    /// Whether its blocks have come to have so much room that they are to be packed. Says so once.
    fn falls_due(&mut self) -> bool {
        let (lanes, lanes_max) = (self.rows as usize, self.rail.lanes_max());
        // Who came before there were pairs follows first.
        let all_follow = self.paired.is_none() || self.flat.blocks.is_empty();
        all_follow && self.steps().falls_due(lanes, lanes_max)
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

/// All ladders.
#[derive(Debug, Default)]
pub struct Ladders {
    ladders: Vec<Option<Ladder>>,
    free: Vec<u32>,
    step_bytes: usize,
    due: Due,
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
        let lanes_max = ladder.rail.lanes_max();
        let place = ladder.steps().push(id | LADDER, lanes_max, lane, blocks, moves);
        self.step_bytes = self.step_bytes + ladder.bytes() - before;
        if ladder.falls_due() {
            self.due.push(id);
        }
        place
    }

    /// Whether blocks are to be packed.
    pub fn is_due(&self) -> bool {
        self.due.is_any()
    }

    /// Packs a few blocks, if some are to be. Lanes that moved are given, each after its move.
    pub fn pack(&mut self, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) {
        let Self { ladders, due, step_bytes, .. } = self;
        due.step(|id, at| {
            let ladder = ladders[id as usize].as_mut()?;
            let before = ladder.bytes();
            let lanes = (ladder.rows as usize, ladder.rail.lanes_max());
            let next = ladder.steps().pack(at, lanes, blocks, moves);
            *step_bytes = *step_bytes + ladder.bytes() - before;
            next
        });
    }

    /// Takes a lane out. Gives the lane that came to its place instead, and whether the ladder is gone.
    pub fn remove(&mut self, id: u32, place: Place, blocks: &mut Blocks) -> (Option<(Lane, Place)>, bool) {
        let ladder = self.ladders[id as usize].as_mut().expect("a ladder in use");
        let moved = blocks.take(place);
        ladder.rows -= 1;
        if blocks.get(place.block).len() == 0 && !ladder.flat.forget(place.block, blocks) {
            let is_paired = ladder.paired.as_mut().is_some_and(|paired| paired.forget(place.block, blocks));
            assert!(is_paired, "a block of this ladder");
        }
        let gone = ladder.rows == 0;
        if gone {
            self.step_bytes -= ladder.bytes();
            self.ladders[id as usize] = None;
            self.free.push(id);
            self.due.remove(id);
        } else if ladder.falls_due() {
            self.due.push(id);
        }
        (moved, gone)
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        let own = self.ladders.capacity() * size_of::<Option<Ladder>>() + self.free.capacity() * 4;
        own + self.due.bytes() + self.step_bytes
    }
}

#[cfg(test)]
mod tests;
