//! One publication against the lanes of its tenant.
//!
//! Its attributes are read once: slots, symbols, codes. Each key and each ladder that it finds gives blocks; the kernel tells of
//! their lanes which cannot match, which surely do, and which are to be looked at. The programs of these are asked for
//! together, so that memory answers meanwhile, and then run.

use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use super::blocks::{Block, Blocks, NO_BLOCK, Role, Target};
use super::cells::Cell;
use super::clusters::{Atom, Clusters, Key, PREFIX_LENGTHS, TenantId, scan_key};
use super::crowds::Crowd;
use super::ladders::{Ladders, Reached};
use super::pages::Pages;
use super::program::{NO_SLOT, View};
use super::reading::{Kind, Reading, read};
use super::schema::Schema;
use super::scratch::{Found, Guess, Scratch, Sought, Trust};
use super::store::{Record, Store};
use super::{Contexts, Output, RowId, Slices};
use crate::kernel::{Coded, Columns, Kernel, LANES, Verdict, prefetch, prefetch_selected};

/// Times that a key is found before it is asked whether it was a good choice, and then whenever they have doubled.
const SUSPICIOUS_HITS: u32 = 4;

/// Lanes to be compared together, up to 64 of each block.
const BATCH: usize = 16;

/// Programs whose words are asked for before they run.
const AHEAD: usize = 8;

struct Batch<'a> {
    columns: [Columns<'a>; BATCH],
    chunks: [Chunk<'a>; BATCH],
    count: usize,
    /// Those of the batch before of which some lanes are left, while memory brings what they lead to.
    left: [(Chunk<'a>, Verdict); BATCH],
    left_count: usize,
}

impl Batch<'_> {
    const EMPTY: Self = Self {
        columns: [Columns { bytes: &[], fine: &[], capacity: 0, first: 0, tests: 0, lanes: 0 }; BATCH],
        chunks: [Chunk::NONE; BATCH],
        count: 0,
        left: [(Chunk::NONE, Verdict { may: 0, surely: 0 }); BATCH],
        left_count: 0,
    };
}

/// Where a batch's lanes are. Fields of one size, so that copying it does not wait for what was just written.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    block: Option<&'a Block>,
    first: usize,
    lanes: usize,
    /// Lanes that may be believed to have passed the test of their key.
    trusted: u64,
}

impl Chunk<'_> {
    const NONE: Self = Self { block: None, first: 0, lanes: 0, trusted: 0 };
}

/// A publication at work.
struct Judging<'a, O> {
    kernel: Kernel,
    epoch: u32,
    slices: Slices<'a>,
    coded: Coded<'a>,
    blocks: &'a Blocks,
    programs: &'a super::arena::Arena<u32>,
    clusters: &'a mut Clusters,
    ladders: &'a Ladders,
    crowds: &'a mut Pages<Crowd>,
    records: &'a Pages<Record>,
    sought: &'a mut Vec<Sought>,
    guesses: &'a mut Vec<Guess>,
    found: &'a mut Vec<Found>,
    reached: &'a mut Reached,
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
    let Scratch { codes, fine, elements, present, sought, guesses, found, reached, .. } = scratch;
    let Scratch { pending, programs: pending_programs, marked, singles, satisfied, several, .. } = scratch;
    read(kernel, schema, &store.symbols, attributes, codes, elements, present);
    if present.iter().any(|&id| !schema.slot(id).ladders.is_empty()) {
        for &id in &*present {
            schema.code_finely(schema.slot(id), &schema.readings[id as usize], codes, fine);
        }
    }
    let Store { hashing, blocks, programs, symbols, residuals, clusters, ladders, records, crowds, .. } = store;
    let (records, ladders, blocks, programs) = (&*records, &*ladders, &*blocks, &*programs);
    let mut judging = Judging {
        kernel,
        epoch,
        slices,
        coded: Coded { codes, fine, features: schema.features_end() },
        blocks,
        programs,
        clusters,
        ladders,
        crowds,
        records,
        sought,
        guesses,
        found,
        reached,
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
    judging.find(schema);
    for &id in &*present {
        for &ladder in &schema.slot(id).ladders {
            judging.ladders.get(ladder).reach(kernel, judging.coded, judging.reached);
        }
    }
    judging.go_through();
    judging.give_marked();
    let view = View { readings: &schema.readings, elements, attributes, symbols, residuals, epoch };
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
    fn find(&mut self, schema: &Schema) {
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
                let keys = if key.slot == NO_SLOT { 0 } else { schema.slot(key.slot).keys };
                self.is_suspicious |= cluster.is_frequent(self.events, keys);
            }
            prefetch(self.blocks.get(cluster.head));
            self.found.push(Found { block: cluster.head, trust });
        }
    }

    /// Goes through the blocks.
    fn go_through(&mut self) {
        let mut index = 0;
        while let Some(&Found { block, trust }) = self.found.get(index) {
            let block = self.blocks.get(block);
            if block.next != NO_BLOCK {
                prefetch(self.blocks.get(block.next));
                self.found.push(Found { block: block.next, trust });
            }
            if block.tests() == 0 && block.is_plain() && trust == Trust::Full {
                self.many(self.blocks.targets(block));
            } else {
                self.block(block, 0, trust);
            }
            index += 1;
        }
        self.found.clear();
        let Reached { among, inside } = std::mem::take(self.reached);
        for (list, skipped) in [(&among, 0), (&inside, 1)] {
            for (index, &block) in list.iter().enumerate() {
                if let Some(&next) = list.get(index + AHEAD) {
                    prefetch(self.blocks.get(next));
                }
                let block = self.blocks.get(block);
                if block.tests() <= skipped && block.is_plain() {
                    self.many(self.blocks.targets(block));
                } else {
                    self.block(block, skipped, Trust::Full);
                }
            }
        }
        *self.reached = Reached { among, inside };
        self.reached.among.clear();
        self.reached.inside.clear();
        self.compare();
        self.sort_out();
    }

    /// Adds a block to the batch, without so many of its first tests.
    #[inline]
    fn block(&mut self, block: &'a Block, skipped: usize, trust: Trust) {
        let length = block.len();
        let trusted = match trust {
            Trust::Full => u64::MAX,
            Trust::None => 0,
        };
        for first in (0..length).step_by(LANES) {
            if self.batch.count == BATCH {
                self.compare();
            }
            let lanes = LANES.min(length - first);
            let at = self.batch.count;
            let columns = self.blocks.columns(block, first, skipped, lanes);
            columns.prefetch();
            self.batch.columns[at] = columns;
            self.batch.chunks[at] = Chunk { block: Some(block), first, lanes, trusted };
            self.batch.count += 1;
        }
    }

    /// Compares the batch, and sorts the one before out.
    fn compare(&mut self) {
        let count = std::mem::take(&mut self.batch.count);
        let mut verdicts = [Verdict::default(); BATCH];
        let columns = &self.batch.columns[..count];
        self.kernel.judge(self.coded, columns, &mut verdicts);
        let (mut listed, mut open) = ([0; BATCH], 0);
        for (index, (verdict, columns)) in (0..).zip(verdicts.iter().zip(columns)) {
            listed[open] = index;
            open += usize::from(verdict.may != verdict.surely && !columns.fine.is_empty());
        }
        if open > 0 {
            self.kernel.refine(self.coded, columns, &listed[..open], &mut verdicts);
        }
        self.sort_out();
        let Batch { chunks, left, left_count, .. } = &mut self.batch;
        for (&chunk, &verdict) in chunks.iter().zip(&verdicts).take(count) {
            // Whether any lane is left cannot be foreseen, so there is no branch for it.
            left[*left_count] = (chunk, verdict);
            *left_count += usize::from(verdict.may != 0);
        }
        for &(Chunk { block, first, .. }, verdict) in left.iter().take(*left_count) {
            let Some(block) = block else { continue };
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
            let (Chunk { block, first, lanes, trusted }, verdict) = self.batch.left[index];
            let Some(block) = block else { continue };
            let surely = verdict.surely & trusted & !blocks.unsure(block, first);
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
