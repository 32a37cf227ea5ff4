//! Lanes in blocks: of each lane a target, a program, and up to six tests as bytes, in columns for the kernel. Blocks grow and
//! get more tests as lanes need them; which lanes go together is decided by those who own the block.

use gomera_cluster::pages::Pages;

use super::RowId;
use super::arena::{Arena, Site};
use super::lane::PASS;
pub use super::lane::{Coded, Lane, TESTS_MAX};
pub use super::target::{ROWS_END, Role, Target};
use crate::kernel::{CACHE_LINE, Columns, LANES, low_bits, prefetch, prefetch_selected};

/// Most lanes of a block.
const LANES_MAX: usize = 256;

/// No block.
pub const NO_BLOCK: u32 = u32::MAX;

/// What stands for the next block of one that does not stand in a chain, but in steps.
pub const IN_STEPS: u32 = u32::MAX - 1;

/// Whether a block has columns of fine codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grain {
    /// It does not: programs decide what lies at a bound.
    #[default]
    Coarse,
    /// It does.
    Fine,
}

/// Where a lane is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Block.
    pub block: u32,
    /// Lane of the block.
    pub lane: u32,
}

impl Place {
    /// No lane stands here.
    pub const NOWHERE: Self = Self { block: u32::MAX, lane: u32::MAX };
}

/// A block.
#[derive(Debug, Default)]
pub struct Block {
    codes: u32,
    targets: u32,
    words: u32,
    capacity: u16,
    length: u16,
    tests: u8,
    grain: Grain,
    /// Lanes whose target is not a row that has it alone.
    marked: u16,
    /// Lanes whose columns say less than the program.
    unsure: u16,
    /// The next one of the same owner.
    pub next: u32,
    /// The owner, as it numbers itself.
    pub owner: u32,
}

impl Block {
    /// Lanes.
    #[inline]
    pub fn len(&self) -> usize {
        usize::from(self.length)
    }

    /// Tests in columns.
    #[inline]
    pub fn tests(&self) -> usize {
        usize::from(self.tests)
    }

    /// Whether every lane is a row's own, and its columns say all.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.marked == 0 && self.unsure == 0
    }

    /// Whether the columns of some lanes say less than their programs.
    #[inline]
    pub fn has_unsure(&self) -> bool {
        self.unsure > 0
    }

    /// Whether every target is a row that has its lane alone.
    #[inline]
    pub fn has_rows_only(&self) -> bool {
        self.marked == 0
    }

    /// Whether it stands in steps.
    pub fn is_in_steps(&self) -> bool {
        self.next == IN_STEPS
    }

    fn columns(&self) -> usize {
        columns(self.grain) * self.tests()
    }

    fn codes_len(&self) -> usize {
        self.columns() * usize::from(self.capacity)
    }

    fn words_len(&self) -> usize {
        words_len(usize::from(self.capacity))
    }
}

/// Columns a test: those of fine codes stand behind all others.
fn columns(grain: Grain) -> usize {
    match grain {
        Grain::Coarse => 3,
        Grain::Fine => 5,
    }
}

/// Programs, and a bit a lane.
fn words_len(capacity: usize) -> usize {
    capacity + capacity.div_ceil(32)
}

/// The next capacity: half as much again, in steps that many blocks go through.
fn grown(capacity: usize) -> usize {
    match capacity {
        0..4 => capacity + 1,
        4..32 if capacity.is_power_of_two() => capacity + capacity / 2,
        4..32 => capacity.next_power_of_two(),
        // Columns as long as there are lanes, so that fewer lines are read.
        32..64 => capacity + 8,
        _ => capacity + 32,
    }
}

/// All blocks.
#[derive(Debug)]
pub struct Blocks {
    blocks: Pages<Block>,
    codes: Arena<u8>,
    /// As rows, so that they can be given out as they are; marked have a bit set that rows do not.
    targets: Arena<RowId>,
    words: Arena<u32>,
}

impl Blocks {
    /// None yet.
    pub fn new() -> Self {
        Self { blocks: Pages::new(), codes: Arena::new(), targets: Arena::new(), words: Arena::new() }
    }

    /// A block.
    #[inline]
    pub fn get(&self, id: u32) -> &Block {
        &self.blocks[id]
    }

    /// A new block without lanes.
    pub fn create(&mut self, tests: usize, grain: Grain, owner: u32, next: u32) -> u32 {
        self.create_for(1, (tests, grain), (owner, next), Site::Any)
    }

    /// A new block that has room for so many lanes.
    pub fn create_for(
        &mut self,
        lanes: usize,
        (tests, grain): (usize, Grain),
        (owner, next): (u32, u32),
        site: Site,
    ) -> u32 {
        let capacity = std::iter::successors(Some(1), |&capacity| Some(grown(capacity)));
        let capacity = capacity.into_iter().find(|&capacity| capacity >= lanes).expect("some are as large");
        let targets = self.targets.allocate_at(site, capacity);
        let words = self.words.allocate_at(site, words_len(capacity));
        self.words.get_mut(words, words_len(capacity))[capacity..].fill(0);
        let codes = if tests == 0 { 0 } else { self.codes.allocate_at(site, columns(grain) * tests * capacity) };
        let (tests, capacity) = (u8::try_from(tests).expect("few tests"), u16::try_from(capacity).expect("few lanes"));
        let (length, marked, unsure) = (0, 0, 0);
        self.blocks.insert(Block { codes, targets, words, capacity, length, tests, grain, marked, unsure, next, owner })
    }

    /// Gives a block back.
    pub fn destroy(&mut self, id: u32) {
        let block = self.blocks.remove(id);
        self.targets.free(block.targets, usize::from(block.capacity));
        self.words.free(block.words, block.words_len());
        if block.codes_len() > 0 {
            self.codes.free(block.codes, block.codes_len());
        }
    }

    /// Columns from a lane on, at most 64 lanes, with what lies behind them in their page.
    #[inline]
    pub fn columns(&self, block: &Block, first: usize, lanes: usize) -> Columns<'_> {
        let (capacity, tests) = (usize::from(block.capacity), block.tests());
        if tests == 0 {
            return Columns { bytes: &[], fine: &[], capacity, first, tests, lanes };
        }
        let bytes = self.codes.from(block.codes);
        let fine = match block.grain {
            Grain::Coarse => &[],
            Grain::Fine => &bytes[3 * tests * capacity..],
        };
        Columns { bytes, fine, capacity, first, tests, lanes }
    }

    /// Asks for the memory of the first 64 lanes, and of their targets, because so many questions about them come soon; or of all targets,
    /// if whoever asks is inside and takes them without a question.
    #[inline]
    pub fn prefetch_lanes(&self, id: u32, questions: u32, all_inside: bool) {
        let block = &self.blocks[id];
        if all_inside && block.tests() <= 1 && block.is_plain() {
            self.targets(block).iter().step_by(CACHE_LINE / size_of::<RowId>()).for_each(prefetch);
            return;
        }
        let lanes = LANES.min(block.len());
        self.columns(block, 0, lanes).prefetch(questions as usize);
        prefetch_selected(self.targets_from(block, 0), low_bits(lanes));
    }

    /// The features of one test of all lanes.
    pub fn features_of(&self, block: &Block, test: usize) -> &[u8] {
        if test >= block.tests() {
            return &[];
        }
        let from = 3 * test * usize::from(block.capacity);
        &self.codes.get(block.codes, block.codes_len())[from..from + block.len()]
    }

    /// The first test of a lane, as codes.
    pub fn first_test(&self, block: &Block, lane: usize) -> Coded {
        if block.tests() == 0 {
            return PASS;
        }
        let (bytes, capacity) = (self.codes.from(block.codes), usize::from(block.capacity));
        Coded::coarse(bytes[lane], bytes[capacity + lane], bytes[2 * capacity + lane])
    }

    /// Targets, as rows.
    #[inline]
    pub fn targets(&self, block: &Block) -> &[RowId] {
        self.targets.get(block.targets, block.len())
    }

    /// Where the programs of lanes begin.
    #[inline]
    pub fn programs(&self, block: &Block) -> &[u32] {
        self.words.get(block.words, block.len())
    }

    /// Targets from a lane on, and whatever stands behind them.
    #[inline]
    pub fn targets_from(&self, block: &Block, first: usize) -> &[RowId] {
        &self.targets.from(block.targets)[first..]
    }

    /// Where the programs of lanes begin, from a lane on, and whatever stands behind them.
    #[inline]
    pub fn programs_from(&self, block: &Block, first: usize) -> &[u32] {
        &self.words.from(block.words)[first..]
    }

    /// Of 64 lanes, those whose columns say less than the program.
    #[inline]
    pub fn unsure(&self, block: &Block, first: usize) -> u64 {
        if block.unsure == 0 {
            return 0;
        }
        let bits = &self.words.get(block.words, block.words_len())[usize::from(block.capacity)..];
        let word = |index: usize| u64::from(bits.get(first / 32 + index).copied().unwrap_or(0));
        word(0) | word(1) << 32
    }

    /// A lane.
    pub fn lane(&self, place: Place) -> Lane {
        let block = &self.blocks[place.block];
        let (lane, capacity) = (place.lane as usize, usize::from(block.capacity));
        let mut coded = [PASS; TESTS_MAX];
        let columns = self.columns(block, 0, 0);
        for (test, coded) in coded.iter_mut().enumerate().take(block.tests()) {
            let byte = |column: usize| columns.bytes[(3 * test + column) * capacity + lane];
            let fine = |column: usize| columns.fine.get((2 * test + column) * capacity + lane).copied().unwrap_or(0);
            *coded = Coded { fine_low: fine(0), fine_high: fine(1), ..Coded::coarse(byte(0), byte(1), byte(2)) };
        }
        Lane {
            target: Target(self.targets(block)[lane].0),
            program: self.programs(block)[lane],
            verify: self.unsure(block, lane / 64 * 64) >> (lane % 64) & 1 == 1,
            coded,
        }
    }

    /// The features of a lane.
    pub fn features(&self, place: Place) -> impl Iterator<Item = u8> + '_ {
        let block = &self.blocks[place.block];
        let capacity = usize::from(block.capacity);
        let columns = self.columns(block, 0, 0);
        (0..block.tests()).map(move |test| columns.bytes[3 * test * capacity + place.lane as usize])
    }

    /// Asks for the memory of a lane.
    #[inline]
    pub fn prefetch_lane(&self, place: Place) {
        let block = &self.blocks[place.block];
        let (lane, capacity) = (place.lane as usize, usize::from(block.capacity));
        prefetch(&self.targets.from(block.targets)[lane]);
        prefetch(&self.words.from(block.words)[lane]);
        if block.tests > 0 {
            let columns = self.codes.from(block.codes);
            for column in 0..3 * block.tests() {
                prefetch(&columns[column * capacity + lane]);
            }
        }
    }

    /// Asks for the memory of the last lane of a block, which the next one stands behind.
    #[inline]
    pub fn prefetch_end(&self, id: u32) {
        let last = self.blocks[id].length.saturating_sub(1);
        self.prefetch_lane(Place { block: id, lane: u32::from(last) });
    }

    /// Adds a lane.
    pub fn push(&mut self, id: u32, lane: &Lane) -> Place {
        let block = &self.blocks[id];
        let used = lane.tests();
        let capacity = usize::from(block.capacity);
        if used > block.tests() || block.len() == capacity {
            let roomy = if block.len() < capacity { capacity } else { grown(capacity) };
            self.lay_out(id, used.max(block.tests()), roomy);
        }
        let block = &mut self.blocks[id];
        let at = block.length;
        block.length += 1;
        block.marked += u16::from(lane.target.is_marked());
        block.unsure += u16::from(lane.verify);
        let place = Place { block: id, lane: u32::from(at) };
        self.write(place, lane);
        place
    }

    /// Takes the last lane off.
    pub fn pop(&mut self, id: u32) -> Option<Lane> {
        let last = self.blocks[id].len().checked_sub(1)?;
        let lane = self.lane(Place { block: id, lane: u32::try_from(last).expect("few lanes") });
        let block = &mut self.blocks[id];
        block.length -= 1;
        block.marked -= u16::from(lane.target.is_marked());
        block.unsure -= u16::from(lane.verify);
        Some(lane)
    }

    /// Takes the last lane of the first block of a chain off, which is the next one's then, if none is left in it. Gives the lane, from
    /// where, and the block that is to be destroyed.
    pub fn pop_first(&mut self, first: &mut u32) -> Option<(Lane, Place, Option<u32>)> {
        let id = (*first != NO_BLOCK).then_some(*first)?;
        let lane = self.pop(id).expect("the first block of a chain has lanes");
        let block = &self.blocks[id];
        let place = Place { block: id, lane: u32::from(block.length) };
        let emptied = (block.length == 0).then_some(id);
        if emptied.is_some() {
            *first = block.next;
        }
        Some((lane, place, emptied))
    }

    /// Takes a lane out of a chain. Gives the lane that came to its place instead, and from where.
    pub fn take_from_chain(&mut self, first: &mut u32, place: Place) -> Option<(Lane, Place)> {
        let (last, from, emptied) = self.pop_first(first).expect("a chain with a lane");
        let moved = (from != place).then(|| {
            self.replace(place, &last);
            (last, from)
        });
        emptied.into_iter().for_each(|block| self.destroy(block));
        moved
    }

    /// Takes a lane out. Gives the lane that came to its place instead, and from where.
    pub fn take(&mut self, place: Place) -> Option<(Lane, Place)> {
        let last = self.pop(place.block).expect("a block with a lane");
        let from = Place { block: place.block, lane: u32::from(self.blocks[place.block].length) };
        (from != place).then(|| {
            self.replace(place, &last);
            (last, from)
        })
    }

    /// Puts another lane in the place of one.
    pub fn replace(&mut self, place: Place, lane: &Lane) {
        let used = lane.tests();
        let block = &self.blocks[place.block];
        if used > block.tests() {
            self.lay_out(place.block, used, usize::from(block.capacity));
        }
        let before = self.lane(place);
        let block = &mut self.blocks[place.block];
        block.marked -= u16::from(before.target.is_marked());
        block.marked += u16::from(lane.target.is_marked());
        block.unsure -= u16::from(before.verify);
        block.unsure += u16::from(lane.verify);
        self.write(place, lane);
    }

    /// Exchanges the target of a lane.
    pub fn retarget(&mut self, place: Place, target: Target) {
        let lane = self.lane(place);
        self.replace(place, &Lane { target, ..lane });
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.blocks.bytes() + self.codes.bytes() + self.targets.bytes() + self.words.bytes()
    }

    fn write(&mut self, place: Place, lane: &Lane) {
        let block = &self.blocks[place.block];
        let (at, capacity, tests) = (place.lane as usize, usize::from(block.capacity), block.tests());
        let words = self.words.get_mut(block.words, words_len(capacity));
        words[at] = lane.program;
        let bit = 1 << (at % 32);
        let verify = &mut words[capacity + at / 32];
        *verify = if lane.verify { *verify | bit } else { *verify & !bit };
        self.targets.get_mut(block.targets, capacity)[at] = RowId(lane.target.0);
        if tests > 0 {
            let bytes = self.codes.get_mut(block.codes, block.codes_len());
            let (bytes, fine) = bytes.split_at_mut(3 * tests * capacity);
            for (test, coded) in lane.coded.iter().enumerate().take(tests) {
                for (column, byte) in [coded.feature, coded.low, coded.high].into_iter().enumerate() {
                    bytes[(3 * test + column) * capacity + at] = byte;
                }
                if !fine.is_empty() {
                    fine[2 * test * capacity + at] = coded.fine_low;
                    fine[(2 * test + 1) * capacity + at] = coded.fine_high;
                }
            }
        }
    }

    /// Moves a block to columns of another number and length.
    fn lay_out(&mut self, id: u32, tests: usize, capacity: usize) {
        let old = &self.blocks[id];
        let (old_codes, old_codes_len) = (old.codes, old.codes_len());
        let (old_words, old_words_len) = (old.words, old.words_len());
        let (old_tests, old_capacity, length) = (old.tests(), usize::from(old.capacity), old.len());
        let (old_targets, grain) = (old.targets, old.grain);
        let words = self.words.allocate(words_len(capacity));
        let mut copied = [0_u32; LANES_MAX + 8];
        copied[..old_words_len].copy_from_slice(self.words.get(old_words, old_words_len));
        let into = self.words.get_mut(words, words_len(capacity));
        into[..length].copy_from_slice(&copied[..length]);
        let bits = length.div_ceil(32);
        into[capacity..].fill(0);
        into[capacity..capacity + bits].copy_from_slice(&copied[old_capacity..old_capacity + bits]);
        let targets = self.targets.allocate(capacity);
        let mut rows = [RowId(0); LANES_MAX];
        rows[..length].copy_from_slice(self.targets.get(old_targets, length));
        self.targets.get_mut(targets, length).copy_from_slice(&rows[..length]);
        self.targets.free(old_targets, old_capacity);
        self.words.free(old_words, old_words_len);
        let mut codes = 0;
        if tests > 0 {
            let length_of = |tests: usize, capacity: usize| columns(grain) * tests * capacity;
            codes = self.codes.allocate(length_of(tests, capacity));
            let mut column_of = [0_u8; LANES_MAX];
            for index in 0..columns(grain) * tests {
                // Those of fine codes stand behind all others, two a test.
                let (of_test, before, byte) = match index.checked_sub(3 * tests) {
                    None => (index / 3, index, [PASS.feature, PASS.low, PASS.high][index % 3]),
                    Some(fine) => (fine / 2, 3 * old_tests + fine, PASS.fine_low),
                };
                if of_test < old_tests {
                    let from = &self.codes.get(old_codes, old_codes_len)[before * old_capacity..][..length];
                    column_of[..length].copy_from_slice(from);
                } else {
                    column_of.fill(byte);
                }
                let into = self.codes.get_mut(codes, length_of(tests, capacity));
                into[index * capacity..][..length].copy_from_slice(&column_of[..length]);
            }
        }
        if old_codes_len > 0 {
            self.codes.free(old_codes, old_codes_len);
        }
        let block = &mut self.blocks[id];
        (block.codes, block.targets, block.words) = (codes, targets, words);
        block.tests = u8::try_from(tests).expect("few tests");
        block.capacity = u16::try_from(capacity).expect("at most 256 lanes");
    }
}
