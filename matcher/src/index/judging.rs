//! One publication against the lanes of its tenant.
//!
//! Its attributes are read once: slots, symbols, codes. Each key and each ladder that it finds gives blocks; the kernel tells of
//! their lanes which cannot match, which surely do, and which are to be looked at. The programs of these are asked for
//! together, so that memory answers meanwhile, and then run.

use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use super::blocks::{Block, Blocks, NO_BLOCK, Target};
use super::cells::Cell;
use super::clusters::{Atom, Clusters, Key, PREFIX_LENGTHS, TenantId, scan_key};
use super::ladders::{Ladders, Lies};
use super::pages::Pages;
use super::program::View;
use super::quantiser::MISSING;
use super::reading::{Kind, Reading};
use super::schema::{ALWAYS, Schema, SlotId};
use super::store::{Crowd, Record, Store};
use super::{Contexts, Output, RowId, Slices};
use crate::kernel::{Codes, Kernel, LANES, prefetch};

/// Kept from publication to publication for its room.
#[derive(Debug)]
pub struct Scratch {
    codes: Codes,
    elements: Vec<u32>,
    present: Vec<SlotId>,
    pending: Vec<Pending>,
    singles: Vec<RowId>,
}

impl Scratch {
    /// Nothing in hand.
    pub fn new() -> Self {
        let mut codes = [MISSING; 256];
        codes[usize::from(ALWAYS)] = 1;
        Self { codes, elements: Vec::new(), present: Vec::new(), pending: Vec::new(), singles: Vec::new() }
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        4 * (self.elements.capacity() + self.present.capacity() + self.singles.capacity())
            + size_of::<Pending>() * self.pending.capacity()
    }
}

/// A lane whose program decides.
#[derive(Clone, Copy, Debug)]
struct Pending {
    target: Target,
    program: u32,
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
    pending: &'a mut Vec<Pending>,
    singles: &'a mut Vec<RowId>,
    output: &'a mut O,
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
    let Scratch { codes, elements, present, pending, singles } = scratch;
    read(schema, store, attributes, codes, elements, present);
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
        pending,
        singles,
        output,
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
        for &ladder in &slot.ladders {
            judging.ladder(ladder);
        }
    }
    if schema.scanned > 0 {
        judging.cluster(scan_key(tenant), Trust::Full);
    }
    let view = View { readings: &schema.readings, elements, attributes, symbols, residuals };
    let looked_at = judging.verify(&view, contexts);
    judging.finish();
    for id in present.drain(..) {
        schema.readings[id as usize] = Reading::MISSING;
        Schema::uncode(schema.slot(id), codes);
    }
    elements.clear();
    looked_at
}

/// Reads what the filters of the tenant ask for.
fn read(
    schema: &mut Schema,
    store: &Store,
    attributes: &Attributes,
    codes: &mut Codes,
    elements: &mut Vec<u32>,
    present: &mut Vec<SlotId>,
) {
    schema.events += 1;
    for (position, (name, value)) in (0..).zip(attributes.iter()) {
        let Some(id) = schema.find(name) else { continue };
        let slot = schema.slot_mut(id);
        slot.seen += 1;
        let reading = Reading::of(value, position, slot.symbols > 0, &store.symbols, elements);
        schema.readings[id as usize] = reading;
        schema.code(schema.slot(id), &reading, codes);
        present.push(id);
    }
}

/// Whether lanes of a key may be believed to have passed its test.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trust {
    Full,
    /// An element of an array led here: what asks for the value itself is not satisfied.
    None,
}

impl<O: Output> Judging<'_, O> {
    fn cluster(&mut self, key: Key, trust: Trust) {
        let Some(id) = self.clusters.find(key) else { return };
        let cluster = self.clusters.get_mut(id);
        if cluster.stamp == self.epoch {
            return;
        }
        cluster.stamp = self.epoch;
        cluster.hits = cluster.hits.saturating_add(1);
        let mut next = cluster.head;
        while next != NO_BLOCK {
            let block = self.blocks.get(next);
            self.block(block, block.tests(), trust);
            next = block.next;
        }
    }

    fn ladder(&mut self, id: u32) {
        let ladder = self.ladders.get(id);
        let code = self.codes[usize::from(ladder.rail.feature)];
        if code == MISSING {
            return;
        }
        let tests = usize::from(ladder.rail.tests);
        for (block, reach) in ladder.steps() {
            let tests = match reach.lies(code) {
                Lies::Outside => continue,
                Lies::Among => tests,
                Lies::Inside => tests - 1,
            };
            self.block(self.blocks.get(block), tests, Trust::Full);
        }
    }

    #[inline]
    fn block(&mut self, block: &Block, tests: usize, trust: Trust) {
        let length = block.len();
        let blocks = self.blocks;
        let targets = blocks.targets(block);
        for first in (0..length).step_by(LANES) {
            let lanes = LANES.min(length - first);
            let verdict = self.kernel.judge(self.codes, blocks.columns(block, first, tests, lanes));
            if verdict.may == 0 {
                continue;
            }
            let surely = match trust {
                Trust::Full => verdict.surely & !blocks.unsure(block, first),
                Trust::None => 0,
            };
            let targets = &targets[first..first + lanes];
            let look = verdict.may & !surely;
            if look != 0 {
                let programs = &blocks.programs(block)[first..first + lanes];
                for lane in bits(look) {
                    let program = programs[lane];
                    prefetch(&self.programs.from(program)[0]);
                    self.pending.push(Pending { target: Target(targets[lane].0), program });
                }
            }
            if surely == 0 {
                continue;
            }
            if !block.has_rows_only() {
                for lane in bits(surely) {
                    self.satisfied(Target(targets[lane].0));
                }
            } else if surely.count_ones() as usize == lanes {
                self.many(targets);
            } else {
                self.singles.extend(bits(surely).map(|lane| targets[lane]));
            }
        }
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
        let Some(number) = target.as_crowd() else {
            self.singles.push(RowId(target.0));
            return;
        };
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

    /// Runs the programs of what is pending.
    fn verify(&mut self, view: &View<'_>, contexts: &impl Contexts) -> usize {
        let looked_at = self.pending.len();
        for index in 0..looked_at {
            let Pending { target, program } = self.pending[index];
            let row = match target.as_crowd() {
                None => RowId(target.0),
                Some(crowd) if self.crowds[crowd].stamp == self.epoch => continue,
                Some(crowd) => self.crowds[crowd].rows[0],
            };
            if view.satisfies(self.programs.from(program), || contexts.context(row)) {
                self.satisfied(target);
            }
        }
        self.pending.clear();
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
    }
}

/// The places of the bits that are set, ascending.
#[inline]
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        (word != 0).then(|| {
            let place = word.trailing_zeros() as usize;
            word &= word - 1;
            place
        })
    })
}
