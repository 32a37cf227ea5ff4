//! Blocks that have much room are packed into fewer. Where lanes come in any order blocks split, so that a quarter of their places is
//! empty, and where lanes go more is; but to look at a block takes as long whether it is full or not.

use super::super::arena::Site;
use super::super::blocks::{Blocks, Lane, Place};
use super::{Moved, Steps};

/// Lanes that are packed together at most: twelve blocks or more, one of which is spared when a tenth of all places is empty. It takes 0.1 ms,
/// and more where there are very many blocks: bounds of all that stand behind move in their columns (1.5 ms at most with 65,000).
const LANES_TOGETHER: usize = 768;

/// One place in so many is left empty, for what comes later.
const LEFT_OF: usize = 16;

/// Packing is worth it while so large a part of the blocks would be spared, or of the lanes has gone.
const PART: usize = 8;

/// Changes without a look at whether packing is worth it.
const SELDOM: u32 = if cfg!(any(test, fuzzing)) { 4 } else { 64 };

/// Blocks and lanes of steps when all had been packed, and whether they wait for it now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Packed {
    blocks: usize,
    lanes: usize,
    is_due: bool,
    /// Since the last look.
    changes: u32,
}

/// Those of many that wait for being packed.
#[derive(Debug, Default)]
pub struct Due {
    waiting: Vec<u32>,
    /// Where the last of them goes on.
    at: usize,
}

impl Due {
    /// Whether some wait.
    pub fn is_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// One is there no more.
    pub fn remove(&mut self, id: u32) {
        if self.waiting.last() == Some(&id) {
            self.at = 0;
        }
        self.waiting.retain(|&other| other != id);
    }

    /// One more waits, which has fallen due.
    pub fn push(&mut self, id: u32) {
        // Before the one that is under way.
        let last = self.waiting.len().saturating_sub(1);
        self.waiting.insert(last, id);
    }

    /// Goes on with one of them by what packs a few of its blocks from a place on and says where to go on.
    pub fn step(&mut self, pack: impl FnOnce(u32, usize) -> Option<usize>) {
        let Some(&id) = self.waiting.last() else { return };
        let next = pack(id, self.at);
        self.at = next.unwrap_or(0);
        if next.is_none() {
            self.waiting.pop();
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.waiting.capacity() * size_of::<u32>()
    }
}

/// The fewest blocks for so many lanes.
fn needed(lanes: usize, lanes_max: usize) -> usize {
    lanes.div_ceil(lanes_max - lanes_max / LEFT_OF)
}

impl Steps {
    /// Whether these, which have so many lanes now, have come to have so much room that they are to be packed. Says so once.
    pub fn falls_due(&mut self, lanes: usize, lanes_max: usize) -> bool {
        let Packed { blocks, lanes: before, is_due, changes } = &mut self.packed;
        *changes += 1;
        if *is_due || *changes < SELDOM {
            return false;
        }
        *changes = 0;
        let (blocks, before) = (*blocks, *before);
        let (count, needed) = (self.blocks.len(), needed(lanes, lanes_max));
        // Not again what could not be packed better.
        let is_other = count > blocks + blocks / PART || lanes < before - before / PART;
        self.packed.is_due = is_other && count > needed + needed.div_ceil(PART);
        self.packed.is_due
    }

    /// Packs a few blocks from a place on, if that spares one; `lanes` are those of all blocks. Lanes that moved are given, each after its
    /// move. Gives the place to go on at, unless that was the last.
    pub fn pack(
        &mut self,
        at: usize,
        (lanes, lanes_max): (usize, usize),
        blocks: &mut Blocks,
        moves: &mut Vec<(Lane, Moved)>,
    ) -> Option<usize> {
        if at >= self.blocks.len() {
            self.packed = Packed { blocks: self.blocks.len(), lanes, is_due: false, changes: 0 };
            return None;
        }
        let (together, lanes) = self.together(at, lanes_max, blocks);
        let count = needed(lanes, lanes_max);
        if count >= together {
            return Some(at + together);
        }
        let mut all = Vec::with_capacity(lanes);
        let old = self.blocks[at..at + together].to_vec();
        let owner = blocks.get(old[0]).owner;
        for &block in &old {
            while let Some(lane) = blocks.pop(block) {
                let number = u32::try_from(blocks.get(block).len()).expect("few lanes");
                all.push((lane, Place { block, lane: number }));
            }
        }
        self.in_order(&mut all);
        self.make_room(at, together, count);
        for part in 0..count {
            let of = |part: usize| part * lanes / count;
            self.put(at + part, (owner, Site::Fresh), &all[of(part)..of(part + 1)], blocks, moves);
        }
        // Only now, so that no new block gets the number of one of these: lanes of one crowd are told apart by their places.
        old.into_iter().for_each(|block| blocks.destroy(block));
        Some(at + count)
    }

    /// How many blocks from a place on can be packed together, and their lanes: those of one pair of attributes, or a few that are
    /// nearly empty.
    fn together(&self, at: usize, lanes_max: usize, blocks: &Blocks) -> (usize, usize) {
        let pair = self.pair_of(at);
        let (mut count, mut lanes) = (0, 0);
        while let Some(&block) = self.blocks.get(at + count) {
            let more = lanes + blocks.get(block).len();
            let is_alike = pair.is_some() && self.pair_of(at + count) == pair;
            let lanes_max = if is_alike { LANES_TOGETHER } else { lanes_max / 2 };
            if count > 0 && more > lanes_max {
                break;
            }
            (count, lanes) = (count + 1, more);
        }
        (count, lanes)
    }

    /// What all lanes of a block have in common, if it is the pair of their attributes.
    fn pair_of(&self, at: usize) -> Option<u32> {
        let (key_min, key_max) = self.keys[at];
        (key_min >> 16 == key_max >> 16).then_some(key_min >> 16)
    }
}

#[cfg(test)]
mod tests;
