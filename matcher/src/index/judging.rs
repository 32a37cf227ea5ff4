//! One publication against the lanes of its tenant.
//!
//! Its attributes are read once: slots, symbols, codes. Each key and each ladder that it finds gives blocks; the kernel tells of
//! their lanes which cannot match, which surely do, and which are to be looked at. The programs of these are asked for
//! together, so that memory answers meanwhile, and then run.

use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use super::blocks::{Block, Blocks, NO_BLOCK, Role, TESTS_MAX, Target};
use super::cells::Cell;
use super::clusters::{Atom, Clusters, Key, PREFIX_LENGTHS, TenantId, scan_key};
use super::crowds::Crowd;
use super::ladders::{Ladders, Lies};
use super::pages::Pages;
use super::program::View;
use super::quantiser::OTHER;
use super::reading::{Kind, Reading, read};
use super::schema::Schema;
use super::scratch::{Found, Guess, Scratch, Sought, Trust};
use super::store::{Record, Store};
use super::{Contexts, Output, RowId, Slices};
use crate::kernel::{Codes, Columns, Kernel, LANES, Verdict, prefetch, prefetch_selected};

/// Times that a key is found before it is asked whether it was a good choice, and then whenever they have doubled.
const SUSPICIOUS_HITS: u32 = 64;

/// Lanes to be compared together, up to 64 of each block.
const BATCH: usize = 16;

/// Programs whose words are asked for before they run.
const AHEAD: usize = 8;

struct Batch<'a> {
    columns: [Columns<'a>; BATCH],
    chunks: [Option<Chunk<'a>>; BATCH],
    count: usize,
    /// Those of the batch before of which some lanes are left, while memory brings what they lead to.
    left: [Option<(Chunk<'a>, Verdict)>; BATCH],
    left_count: usize,
}

impl Batch<'_> {
    const EMPTY: Self = Self {
        columns: [Columns { bytes: &[], capacity: 0, first: 0, tests: 0, lanes: 0 }; BATCH],
        chunks: [None; BATCH],
        count: 0,
        left: [None; BATCH],
        left_count: 0,
    };
}

/// Where a batch's lanes are.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    block: &'a Block,
    first: usize,
    lanes: usize,
    trust: Trust,
}

/// A publication at work.
struct Judging<'a, O> {
    kernel: Kernel,
    epoch: u32,
    slices: Slices<'a>,
    codes: &'a Codes,
    blocks: &'a Blocks,
    programs: &'a super::arena::Arena<u32>,
    clusters: &'a mut Clusters,
    ladders: &'a Ladders,
    crowds: &'a mut Pages<Crowd>,
    records: &'a Pages<Record>,
    sought: &'a mut Vec<Sought>,
    guesses: &'a mut Vec<Guess>,
    found: &'a mut Vec<Found>,
    pending: &'a mut Vec<RowId>,
    pending_programs: &'a mut Vec<u32>,
    marked: &'a mut Vec<RowId>,
    singles: &'a mut Vec<RowId>,
    satisfied: &'a mut Vec<u64>,
    several: &'a mut Vec<u32>,
    output: &'a mut O,
    /// Publications of the tenant.
    events: u64,
    /// Whether a key was found that many rows stand under and many publications have.
    is_suspicious: bool,
    batch: Batch<'a>,
}

/// What it was asked with.
pub struct Question<'a, C> {
    /// Whose publication.
    pub tenant: TenantId,
    /// Its attributes.
    pub attributes: &'a Attributes,
    /// Of rows.
    pub contexts: &'a C,
    /// Which rows count.
    pub slices: Slices<'a>,
    /// Other than of the publication before.
    pub epoch: u32,
}

/// Gives the rows that a publication satisfies; says how many lanes had to be looked at.
pub fn judge(
    kernel: Kernel,
    store: &mut Store,
    schema: &mut Schema,
    scratch: &mut Scratch,
    question: &Question<'_, impl Contexts>,
    output: &mut impl Output,
) -> usize {
    let &Question { tenant, attributes, contexts, slices, epoch } = question;
    let Scratch { codes, elements, present, sought, guesses, found, .. } = scratch;
    let Scratch { pending, programs: pending_programs, marked, singles, satisfied, several, .. } = scratch;
    read(schema, &store.symbols, attributes, codes, elements, present);
    let Store { hashing, blocks, programs, symbols, residuals, clusters, ladders, records, crowds, .. } = store;
    let (records, ladders, blocks, programs) = (&*records, &*ladders, &*blocks, &*programs);
    let mut judging = Judging {
        kernel,
        epoch,
        slices,
        codes,
        blocks,
        programs,
        clusters,
        ladders,
        crowds,
        records,
        sought,
        guesses,
        found,
        pending,
        pending_programs,
        marked,
        singles,
        satisfied,
        several,
        output,
        events: schema.events,
        is_suspicious: false,
        batch: Batch::EMPTY,
    };
    for &id in &*present {
        let slot = schema.slot(id);
        let reading = &schema.readings[id as usize];
        if slot.keys > 0 {
            let key = |atom| Key { tenant, slot: id, atom };
            match reading.kind {
                Kind::Number | Kind::Text | Kind::Bool if reading.symbol != 0 => {
                    judging.cluster(key(Atom::symbol(reading.symbol)), Trust::Full);
                }
                Kind::Array => {
                    for &element in reading.elements(elements) {
                        if element != 0 {
                            judging.cluster(key(Atom::symbol(element)), Trust::None);
                        }
                    }
                }
                Kind::Number | Kind::Text | Kind::Bool | Kind::Point | Kind::Other | Kind::Missing => {}
            }
            if let (Some(lengths), Some(Value::String(text))) =
                (&slot.lengths, attributes.at(reading.position as usize))
            {
                for (index, _) in lengths.iter().enumerate().filter(|&(_, &keys)| keys > 0) {
                    if PREFIX_LENGTHS[index] <= text.len() {
                        judging.cluster(key(Atom::prefix(*hashing, index, text.as_bytes())), Trust::Full);
                    }
                }
            }
            if let (Some(levels), Kind::Point) = (&slot.levels, reading.kind) {
                for (level, _) in (0..).zip(levels.iter()).filter(|&(_, &keys)| keys > 0) {
                    judging.cluster(key(Atom::cell(Cell::of(reading.down, reading.up, level))), Trust::Full);
                }
            }
        }
        if slot.presences > 0 {
            judging.cluster(Key { tenant, slot: id, atom: Atom::PRESENT }, Trust::Full);
        }
    }
    if schema.scanned > 0 {
        judging.cluster(scan_key(tenant), Trust::Full);
    }
    judging.find();
    for &id in &*present {
        for &ladder in &schema.slot(id).ladders {
            judging.ladder(ladder);
        }
    }
    judging.go_through();
    judging.give_marked();
    let view = View { readings: &schema.readings, elements, attributes, symbols, residuals };
    let looked_at = judging.verify(&view, contexts);
    judging.finish();
    schema.is_suspicious |= judging.is_suspicious;
    for id in present.drain(..) {
        schema.readings[id as usize] = Reading::MISSING;
        Schema::uncode(schema.slot(id), codes);
    }
    elements.clear();
    looked_at
}

impl<'a, O: Output> Judging<'a, O> {
    /// Takes note of a key.
    fn cluster(&mut self, key: Key, trust: Trust) {
        let hash = self.clusters.prefetch(key);
        self.sought.push(Sought { key, hash, trust });
    }

    /// Looks the keys up. Each step of it waits for memory, so each is done for all of them together.
    fn find(&mut self) {
        for Sought { key, hash, trust } in self.sought.drain(..) {
            if let Some(cluster) = self.clusters.guess(hash) {
                self.guesses.push(Guess { key, cluster, trust });
            }
        }
        for Guess { key, cluster, trust } in self.guesses.drain(..) {
            let Some(id) = self.clusters.confirm(key, cluster) else { continue };
            let cluster = self.clusters.get_mut(id);
            if cluster.stamp == self.epoch {
                continue;
            }
            cluster.stamp = self.epoch;
            cluster.hits = cluster.hits.saturating_add(1);
            if cluster.hits >= SUSPICIOUS_HITS && cluster.hits.is_power_of_two() {
                self.is_suspicious |= cluster.is_frequent(self.events);
            }
            prefetch(self.blocks.get(cluster.head));
            self.found.push(Found { block: cluster.head, tests: TESTS_MAX, trust });
        }
    }

    /// Takes note of the blocks of a ladder that a number leads to.
    fn ladder(&mut self, id: u32) {
        let ladder = self.ladders.get(id);
        let code = self.codes[usize::from(ladder.rail.feature)];
        // What is no number is in no range.
        if code >= OTHER {
            return;
        }
        let tests = usize::from(ladder.rail.tests);
        for (block, reach) in ladder.steps(code) {
            let tests = match reach.lies(code) {
                Lies::Outside => continue,
                Lies::Among => tests,
                Lies::Inside => tests - 1,
            };
            prefetch(self.blocks.get(block));
            self.found.push(Found { block, tests, trust: Trust::Full });
        }
    }

    /// Goes through the blocks.
    fn go_through(&mut self) {
        let mut index = 0;
        while let Some(&Found { block, tests, trust }) = self.found.get(index) {
            let block = self.blocks.get(block);
            if block.next != NO_BLOCK {
                prefetch(self.blocks.get(block.next));
                self.found.push(Found { block: block.next, tests, trust });
            }
            if tests == 0 && block.is_plain() {
                self.many(self.blocks.targets(block));
            } else {
                self.block(block, tests.min(block.tests()), trust);
            }
            index += 1;
        }
        self.found.clear();
        self.compare();
        self.sort_out();
    }

    /// Adds a block to the batch.
    #[inline]
    fn block(&mut self, block: &'a Block, tests: usize, trust: Trust) {
        let length = block.len();
        for first in (0..length).step_by(LANES) {
            if self.batch.count == BATCH {
                self.compare();
            }
            let lanes = LANES.min(length - first);
            let at = self.batch.count;
            let columns = self.blocks.columns(block, first, tests, lanes);
            columns.prefetch();
            self.batch.columns[at] = columns;
            self.batch.chunks[at] = Some(Chunk { block, first, lanes, trust });
            self.batch.count += 1;
        }
    }

    /// Compares the batch, and sorts the one before out.
    fn compare(&mut self) {
        let count = std::mem::take(&mut self.batch.count);
        let mut verdicts = [Verdict::default(); BATCH];
        self.kernel.judge(self.codes, &self.batch.columns[..count], &mut verdicts);
        self.sort_out();
        let Batch { chunks, left, left_count, .. } = &mut self.batch;
        for (chunk, &verdict) in chunks.iter().zip(&verdicts).take(count) {
            // Whether any lane is left cannot be foreseen, so there is no branch for it.
            left[*left_count] = chunk.map(|chunk| (chunk, verdict));
            *left_count += usize::from(verdict.may != 0);
        }
        for &(Chunk { block, first, .. }, verdict) in left.iter().take(*left_count).flatten() {
            prefetch_selected(self.blocks.targets_from(block, first), verdict.may);
            if verdict.may != verdict.surely || block.has_unsure() {
                prefetch_selected(self.blocks.programs_from(block, first), verdict.may);
            }
        }
    }

    /// Lanes that match go out, lanes that may are to be looked at.
    fn sort_out(&mut self) {
        let blocks = self.blocks;
        for index in 0..std::mem::take(&mut self.batch.left_count) {
            let (Chunk { block, first, lanes, trust }, verdict) = self.batch.left[index].expect("of a block");
            let surely = match trust {
                Trust::Full => verdict.surely & !blocks.unsure(block, first),
                Trust::None => 0,
            };
            let targets = blocks.targets_from(block, first);
            let look = verdict.may & !surely;
            if look != 0 {
                self.kernel.select(targets, look, self.pending);
                self.kernel.select(blocks.programs_from(block, first), look, self.pending_programs);
            }
            if !block.has_rows_only() {
                self.kernel.select(targets, surely, self.marked);
            } else if surely.count_ones() as usize == lanes {
                self.many(&targets[..lanes]);
            } else {
                self.kernel.select(targets, surely, self.singles);
            }
        }
    }

    /// Gives targets out that are not simply rows.
    fn give_marked(&mut self) {
        if self.marked.is_empty() {
            return;
        }
        let marked = std::mem::take(self.marked);
        for (index, &target) in marked.iter().enumerate() {
            if let Some(next) = marked.get(index + AHEAD)
                && let Role::Crowd(number) = Target(next.0).role()
            {
                prefetch(&self.crowds[number]);
            }
            self.satisfied(Target(target.0));
        }
        *self.marked = marked;
        self.marked.clear();
    }

    /// Many rows at once.
    #[inline]
    fn many(&mut self, rows: &[RowId]) {
        match self.slices {
            Slices::All => self.output.rows(rows),
            Slices::Only(_) => self.singles.extend_from_slice(rows),
        }
    }

    #[inline]
    fn satisfied(&mut self, target: Target) {
        match target.role() {
            Role::Row(row) => self.singles.push(row),
            Role::RowOfSeveral(row) => {
                let (word, bit) = (row.index() / 64, 1 << (row.0 % 64));
                if word >= self.satisfied.len() {
                    self.satisfied.resize(self.records.len().div_ceil(64), 0);
                }
                if self.satisfied[word] & bit == 0 {
                    self.satisfied[word] |= bit;
                    self.several.push(row.0);
                    self.singles.push(row);
                }
            }
            Role::Crowd(number) => {
                let crowd = &mut self.crowds[number];
                if crowd.stamp == self.epoch {
                    return;
                }
                crowd.stamp = self.epoch;
                match (self.slices, crowd.rows.as_slice()) {
                    (Slices::Only(_), rows) => self.singles.extend_from_slice(rows),
                    (Slices::All, &[row]) => self.singles.push(row),
                    (Slices::All, rows) => self.output.rows(rows),
                }
            }
        }
    }

    /// Runs the programs of what is pending.
    fn verify(&mut self, view: &View<'_>, contexts: &impl Contexts) -> usize {
        let looked_at = self.pending.len();
        let programs = self.programs;
        for &program in self.pending_programs.iter().take(AHEAD) {
            prefetch(&programs.from(program)[0]);
        }
        for index in 0..looked_at {
            if let Some(&next) = self.pending_programs.get(index + AHEAD) {
                prefetch(&programs.from(next)[0]);
            }
            let (target, program) = (Target(self.pending[index].0), self.pending_programs[index]);
            let row = match target.role() {
                Role::Row(row) => row,
                Role::RowOfSeveral(row) => {
                    let word = self.satisfied.get(row.index() / 64).copied().unwrap_or(0);
                    if word >> (row.0 % 64) & 1 == 1 {
                        continue;
                    }
                    row
                }
                Role::Crowd(number) if self.crowds[number].stamp == self.epoch => continue,
                Role::Crowd(number) => self.crowds[number].rows[0],
            };
            if view.satisfies(programs.from(program), || contexts.context(row)) {
                self.satisfied(target);
            }
        }
        self.pending.clear();
        self.pending_programs.clear();
        looked_at
    }

    /// Gives out what was collected.
    fn finish(&mut self) {
        if let Slices::Only(_) = self.slices {
            let (records, slices) = (self.records, self.slices);
            self.singles.retain(|row| slices.contains(records[row.0].slice()));
        }
        if !self.singles.is_empty() {
            self.output.rows(self.singles);
        }
        self.singles.clear();
        for row in self.several.drain(..) {
            self.satisfied[row as usize / 64] = 0;
        }
    }
}
