//! Lanes of a key that many have: blocks in order of their other tests, so that a publication that has the key looks at the few whose
//! lanes may match, and not at all ([`steps`](super::steps)).

use super::blocks::{Blocks, Lane, Place};
use super::quantiser::OPEN_LOW;
use super::steps::{Due, Moved, Order, Reached, Steps, bounded};
use crate::kernel::{Kernel, Publications, prefetch_all};

/// Lanes of a block: few, so that each spans little; and of those whose tests have no order.
const LANES_MAX: usize = if cfg!(any(test, fuzzing)) { 8 } else { 64 };
const LANES_MAX_ANYHOW: usize = 256;

/// The lanes of a key.
#[derive(Debug)]
pub struct Shelf {
    steps: Steps,
    /// Lanes that stand in order.
    lanes: usize,
    /// The first block of those that have not moved yet, as a chain.
    pub rest: u32,
}

impl Shelf {
    /// Asks for the memory that [`Shelf::reach`] reads first.
    #[inline]
    pub fn prefetch(&self) {
        self.steps.prefetch();
    }

    /// Gives the blocks that publications may match of those that ask, each with who may, up to 64 at a time.
    #[inline]
    pub fn reach(&self, kernel: Kernel, of: Publications<'_>, asking: u64, mut found: impl FnMut(&[Reached])) {
        self.steps.reach(kernel, of, None, asking, &mut found);
    }
}

/// All shelves.
#[derive(Debug, Default)]
pub struct Shelves {
    shelves: Vec<Option<Shelf>>,
    free: Vec<u32>,
    step_bytes: usize,
    due: Due,
}

impl Shelves {
    /// A shelf in use.
    #[inline]
    pub fn get(&self, id: u32) -> &Shelf {
        self.shelves[id as usize].as_ref().expect("a shelf in use")
    }

    /// Asks for the memory of a shelf.
    #[inline]
    pub fn prefetch(&self, id: u32) {
        prefetch_all(&self.shelves[id as usize]);
    }

    /// Whether an order would tell much about lanes, of which those of a block are some: most of the first tests let pass few of the
    /// values that other lanes ask for.
    pub fn are_worth(&self, block: u32, blocks: &Blocks) -> bool {
        /// Values that are tried.
        const PROBES: usize = 16;
        /// One lane in so many may let a value pass. Looking at a block by itself takes about as long as looking at this many in a row.
        const PASSED_OF: usize = 8;
        let block = blocks.get(block);
        let tests = (0..block.len()).filter_map(|lane| bounded(blocks.first_test(block, lane)));
        let (mut asked, mut passed) = (0, 0);
        for probe in tests.clone().step_by((block.len() / PROBES).max(1)) {
            let value = if probe.low == OPEN_LOW { probe.high } else { probe.low.midpoint(probe.high) };
            for test in tests.clone().filter(|test| test.feature == probe.feature) {
                asked += 1;
                passed += usize::from(test.low <= value && value <= test.high);
            }
        }
        4 * tests.count() >= 3 * block.len() && passed * PASSED_OF <= asked
    }

    /// A shelf for the lanes of a chain, which follow with those that come.
    pub fn create(&mut self, rest: u32) -> u32 {
        let shelf = Some(Shelf { steps: Steps::new(Order::Led), lanes: 0, rest });
        match self.free.pop() {
            Some(id) => {
                self.shelves[id as usize] = shelf;
                id
            }
            None => {
                self.shelves.push(shelf);
                u32::try_from(self.shelves.len() - 1).expect("shelves are fewer than rows")
            }
        }
    }

    /// Adds a lane. Lanes that had to make room are given, each after its move.
    pub fn push(
        &mut self,
        id: u32,
        owner: u32,
        lane: &Lane,
        blocks: &mut Blocks,
        moves: &mut Vec<(Lane, Moved)>,
    ) -> Place {
        let lanes_max = if bounded(lane.coded[0]).is_some() { LANES_MAX } else { LANES_MAX_ANYHOW };
        self.with(id, |shelf, due| {
            shelf.lanes += 1;
            let place = shelf.steps.push(owner, lanes_max, lane, blocks, moves);
            if shelf.steps.falls_due(shelf.lanes, LANES_MAX) {
                due.push(id);
            }
            place
        })
    }

    /// Whether blocks are to be packed.
    pub fn is_due(&self) -> bool {
        self.due.is_any()
    }

    /// Packs a few blocks, if some are to be. Lanes that moved are given, each after its move.
    pub fn pack(&mut self, blocks: &mut Blocks, moves: &mut Vec<(Lane, Moved)>) {
        let Self { shelves, due, step_bytes, .. } = self;
        due.step(|id, at| {
            let Shelf { steps, lanes, .. } = shelves[id as usize].as_mut()?;
            let before = steps.bytes();
            let next = steps.pack(at, (*lanes, LANES_MAX), blocks, moves);
            *step_bytes = *step_bytes + steps.bytes() - before;
            next
        });
    }

    /// Takes the last lane off the chain of those that have not moved yet. Gives it, from where, and the block that is to be destroyed
    /// once it has another place.
    pub fn pop_rest(&mut self, id: u32, blocks: &mut Blocks) -> Option<(Lane, Place, Option<u32>)> {
        blocks.pop_first(&mut self.shelves[id as usize].as_mut().expect("a shelf in use").rest)
    }

    /// Takes a lane out. Gives the lane that came to its place instead.
    pub fn remove(&mut self, id: u32, place: Place, blocks: &mut Blocks) -> Option<(Lane, Place)> {
        self.with(id, |shelf, due| {
            if blocks.get(place.block).is_in_steps() {
                shelf.lanes -= 1;
                let moved = blocks.take(place);
                if blocks.get(place.block).len() == 0 {
                    assert!(shelf.steps.forget(place.block, blocks), "a block of this shelf");
                }
                if shelf.steps.falls_due(shelf.lanes, LANES_MAX) {
                    due.push(id);
                }
                return moved;
            }
            blocks.take_from_chain(&mut shelf.rest, place)
        })
    }

    /// The shelf has no lanes any more.
    pub fn destroy(&mut self, id: u32) {
        let shelf = self.shelves[id as usize].take().expect("a shelf in use");
        self.step_bytes -= shelf.steps.bytes();
        self.free.push(id);
        self.due.remove(id);
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        let own = self.shelves.capacity() * size_of::<Option<Shelf>>() + self.free.capacity() * 4;
        own + self.due.bytes() + self.step_bytes
    }

    fn with<T>(&mut self, id: u32, change: impl FnOnce(&mut Shelf, &mut Due) -> T) -> T {
        let shelf = self.shelves[id as usize].as_mut().expect("a shelf in use");
        let before = shelf.steps.bytes();
        let result = change(shelf, &mut self.due);
        self.step_bytes = self.step_bytes + shelf.steps.bytes() - before;
        result
    }
}

#[cfg(test)]
mod tests;
