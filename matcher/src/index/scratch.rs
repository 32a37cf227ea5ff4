//! What judging a publication works in, kept from one to the next for its room.

use super::RowId;
use super::clusters::Key;
use super::ladders::Reached;
use super::schema::{ALWAYS, SlotId};
use crate::kernel::{Codes, MISSING};

/// Kept from publication to publication for its room.
#[derive(Debug)]
pub struct Scratch {
    pub codes: Codes,
    pub fine: Codes,
    pub elements: Vec<u32>,
    pub present: Vec<SlotId>,
    pub sought: Vec<Sought>,
    pub guesses: Vec<Guess>,
    pub found: Vec<Found>,
    pub reached: Reached,
    /// Lanes whose programs decide: who they are for, and where the programs begin.
    pub pending: Vec<RowId>,
    pub programs: Vec<u32>,
    /// Targets of satisfied lanes, of blocks that hold others than rows alone.
    pub marked: Vec<RowId>,
    pub singles: Vec<RowId>,
    /// Rows with several lanes that are satisfied, as bits.
    pub satisfied: Vec<u64>,
    pub several: Vec<u32>,
}

impl Scratch {
    /// Nothing in hand.
    pub fn new() -> Self {
        let mut codes = [MISSING; 256];
        codes[usize::from(ALWAYS)] = 1;
        Self {
            codes,
            fine: [0; 256],
            elements: Vec::new(),
            present: Vec::new(),
            sought: Vec::new(),
            guesses: Vec::new(),
            found: Vec::new(),
            reached: Reached::default(),
            pending: Vec::new(),
            programs: Vec::new(),
            marked: Vec::new(),
            singles: Vec::new(),
            satisfied: Vec::new(),
            several: Vec::new(),
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.elements.capacity() + self.present.capacity() + self.singles.capacity())
            + 4 * (self.pending.capacity() + self.programs.capacity() + self.marked.capacity())
            + 4 * (self.reached.among.capacity() + self.reached.inside.capacity())
            + 8 * self.satisfied.capacity()
            + 4 * self.several.capacity()
            + size_of::<Sought>() * self.sought.capacity()
            + size_of::<Guess>() * self.guesses.capacity()
            + size_of::<Found>() * self.found.capacity()
    }
}

/// A key to look up.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    pub key: Key,
    pub hash: u64,
    pub trust: Trust,
}

/// A block to go through.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub block: u32,
    pub trust: Trust,
}

/// What is probably the cluster of a key.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    pub key: Key,
    pub cluster: u32,
    pub trust: Trust,
}

/// Whether lanes of a key may be believed to have passed its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Full,
    /// An element of an array led here: what asks for the value itself is not satisfied.
    None,
}
