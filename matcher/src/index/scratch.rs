//! What judging publications works in, kept from some to the next for its room.

use super::RowId;
use super::clusters::Key;
use super::reading::Reading;
use super::schema::{ALWAYS, SlotId};
use crate::kernel::{ASKS_MAX, Ask, Coded, GATHERED_MAX, Gathering, Gathers, MISSING, Verdict};

/// Publications that are judged together at most.
pub const TOGETHER: usize = GATHERED_MAX;

/// Questions about lanes that are answered together: at least one for each publication in hand.
pub const ASKS: usize = 2 * TOGETHER;
const _: () = assert!(ASKS <= ASKS_MAX, "decided at a time");

/// Rows of one publication whose room is kept.
const ROWS_KEPT: usize = 1 << 16;

/// Kept from publications to publications for its room.
#[derive(Debug)]
pub struct Scratch {
    /// The publications in hand, as the kernel sees them.
    pub coded: Vec<Coded>,
    /// The same as filters see them, and what came of them.
    pub papers: Vec<Paper>,
    pub sought: Vec<Sought>,
    pub guesses: Vec<Guess>,
    pub found: Vec<Found>,
    /// What is asked now and what was asked before, in turn.
    pub asked: Box<[Asked; 2]>,
    pub gathering: Box<Gathering>,
    /// Of what was found.
    pub looking: Vec<Looking>,
    pub chains: Vec<Chain>,
    pub shelved: Vec<Shelved>,
    /// Attributes that some of them have and that have ladders, each once.
    pub laddered: Vec<SlotId>,
    /// Rows with several lanes that are satisfied, as bits.
    pub satisfied: Vec<u64>,
    pub several: Vec<u32>,
    /// Programs of several lanes that the publication in hand does not satisfy, as bits by where they begin.
    pub refused: Vec<u64>,
    pub refusals: Vec<u32>,
}

/// One of the publications in hand.
#[derive(Debug, Default)]
pub struct Paper {
    /// What it has that filters ask for.
    pub present: Vec<(SlotId, Reading)>,
    /// Symbols of arrays' elements.
    pub elements: Vec<u32>,
    /// Lanes whose programs decide: who they are for, and where the programs begin.
    pub pending: Vec<RowId>,
    pub programs: Vec<u32>,
    /// Targets of satisfied lanes, of blocks that hold others than rows alone.
    pub marked: Vec<RowId>,
    pub singles: Vec<RowId>,
    /// Rows that were given out as they were found.
    pub given: usize,
}

impl Paper {
    /// Forgets what came of it, and keeps the room that most need.
    pub fn clear(&mut self) {
        for list in [&mut self.pending, &mut self.marked, &mut self.singles] {
            list.clear();
            list.shrink_to(ROWS_KEPT);
        }
        self.programs.clear();
        self.programs.shrink_to(ROWS_KEPT);
        self.given = 0;
    }

    /// Lanes and rows that are kept for it.
    pub fn collected(&self) -> usize {
        self.pending.len() + self.marked.len() + self.singles.len()
    }

    fn bytes(&self) -> usize {
        size_of::<(SlotId, Reading)>() * self.present.capacity()
            + 4 * (self.elements.capacity() + self.pending.capacity() + self.programs.capacity())
            + 4 * (self.marked.capacity() + self.singles.capacity())
    }
}

impl Gathers<RowId> for Paper {
    #[inline]
    fn gathered(&mut self) -> &mut Vec<RowId> {
        &mut self.singles
    }
}

impl Scratch {
    /// Nothing in hand.
    pub fn new() -> Self {
        Self {
            coded: Vec::new(),
            papers: Vec::new(),
            sought: Vec::new(),
            guesses: Vec::new(),
            found: Vec::new(),
            asked: Box::new([const { Asked::NOTHING }; 2]),
            gathering: Box::default(),
            looking: Vec::new(),
            chains: Vec::new(),
            shelved: Vec::new(),
            laddered: Vec::new(),
            satisfied: Vec::new(),
            several: Vec::new(),
            refused: Vec::new(),
            refusals: Vec::new(),
        }
    }

    /// Makes room for so many publications.
    pub fn reach(&mut self, publications: usize) {
        if self.coded.len() < publications {
            let mut codes = [MISSING; 256];
            codes[usize::from(ALWAYS)] = 1;
            self.coded.resize(publications, Coded { codes, fine: [0; 256] });
            self.papers.resize_with(publications, Paper::default);
        }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        size_of::<[Asked; 2]>()
            + size_of::<Gathering>()
            + size_of::<Coded>() * self.coded.capacity()
            + size_of::<Paper>() * self.papers.capacity()
            + self.papers.iter().map(Paper::bytes).sum::<usize>()
            + 8 * (self.satisfied.capacity() + self.refused.capacity())
            + 4 * (self.several.capacity() + self.refusals.capacity() + self.laddered.capacity())
            + size_of::<Sought>() * self.sought.capacity()
            + size_of::<Guess>() * self.guesses.capacity()
            + size_of::<Found>() * self.found.capacity()
            + size_of::<Looking>() * self.looking.capacity()
            + size_of::<Chain>() * self.chains.capacity()
            + size_of::<Shelved>() * self.shelved.capacity()
    }
}

/// Questions about lanes, and the answers.
#[derive(Debug)]
pub struct Asked {
    pub asks: [Ask; ASKS],
    pub trusts: [Trust; ASKS],
    pub verdicts: [Verdict; ASKS],
}

impl Asked {
    const NOTHING: Self = Self {
        asks: [Ask { publication: 0, skipped: 0 }; ASKS],
        trusts: [Trust::None; ASKS],
        verdicts: [Verdict { may: 0, surely: 0 }; ASKS],
    };
}

/// A key to look up.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    pub key: Key,
    pub hash: u64,
    pub publication: u8,
    pub trust: Trust,
}

/// What is probably the cluster of a key.
#[derive(Clone, Copy, Debug)]
pub struct Guess {
    pub key: Key,
    pub cluster: u32,
    pub publication: u8,
    pub trust: Trust,
}

/// A cluster that a publication found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    pub cluster: u32,
    pub looking: Looking,
}

/// A block to go through, and the first and the end of those who look at it.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub block: u32,
    pub from: u32,
    pub to: u32,
}

/// A shelf to go through, and the publications that do, as bits: those whose key may be believed, and the others.
#[derive(Clone, Copy, Debug)]
pub struct Shelved {
    pub shelf: u32,
    pub believed: u64,
    pub doubted: u64,
}

/// Who looks at the lanes of a block.
#[derive(Clone, Copy, Debug)]
pub struct Looking {
    pub publication: u8,
    /// So many of the first tests are known to be passed.
    pub skipped: u8,
    pub trust: Trust,
}

/// Whether lanes of a key may be believed to have passed its test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    Full,
    /// An element of an array led here: what asks for the value itself is not satisfied.
    None,
}
