//! Publications against the lanes of their tenant, several at a time: what one of them brought into the caches the others use too,
//! and while memory answers one of them, another one goes on.
//!
//! Attributes are read once: slots, symbols, codes. Each key and each ladder that a publication finds gives blocks; the kernel tells of
//! their lanes which cannot match, which surely do, and which are to be looked at ([`comparing`]). The programs of these are asked for
//! together, so that memory answers meanwhile, and then run ([`verifying`]), publication by publication.

mod comparing;
mod verifying;

use gomera_model::attributes::Attributes;
use gomera_model::value::Value;

use super::blocks::NO_BLOCK;
use super::cells::Cell;
use super::clusters::{Atom, Clusters, Key, Stand, TenantId, scan_key};
use super::ladders::Ladders;
use super::prefixes::CUTS;
use super::program::{NO_SLOT, View};
use super::reading::{Kind, Reading, read};
use super::schema::Schema;
use super::scratch::{Chain, Found, Guess, Looking, Paper, Scratch, Shelved, Sought, Trust};
use super::store::Store;
use super::{Contexts, Output, Slices};
use crate::kernel::{Coded, Kernel, Publications, prefetch};
use comparing::Comparing;
use verifying::Verifying;

/// Times that a key is found before it is asked whether it was a good choice, and then whenever they have doubled.
const SUSPICIOUS_HITS: u32 = 4;

/// What is asked for before its turn.
const AHEAD: usize = 8;

/// What was asked.
pub struct Question<'a, C> {
    /// Whose publications.
    pub tenant: TenantId,
    /// Their attributes: at most [`TOGETHER`](super::TOGETHER).
    pub publications: &'a [&'a Attributes],
    /// Of rows.
    pub contexts: &'a C,
    /// Which rows count.
    pub slices: Slices<'a>,
    /// Lanes looked at and rows given after which no further publication is judged.
    pub effort_max: usize,
    /// Other than of any publication before; each of these has one more.
    pub epoch: u32,
}

/// What came of it.
pub struct Judged {
    /// How many publications are judged; what was given for others does not count.
    pub publications: usize,
    /// Lanes that had to be looked at.
    pub looked_at: usize,
}

/// Gives the rows that publications satisfy.
pub fn judge(
    kernel: Kernel,
    store: &mut Store,
    schema: &mut Schema,
    scratch: &mut Scratch,
    question: &Question<'_, impl Contexts>,
    output: &mut (impl Output + ?Sized),
) -> Judged {
    let &Question { tenant, publications, contexts, slices, effort_max, epoch } = question;
    scratch.reach(publications.len());
    let Scratch { coded, papers, sought, guesses, found, asked, gathering, looking, chains, shelved, laddered, .. } =
        scratch;
    let Scratch { satisfied, several, refused, refusals, .. } = scratch;
    let (coded, papers) = (&mut coded[..publications.len()], &mut papers[..publications.len()]);
    // Publications whose numbers have fine codes: where blocks are found in order, those say what codes leave open.
    let mut finely = 0_u64;
    for (number, &attributes) in (0..).zip(publications) {
        let index = usize::from(number);
        let (coded, paper) = (&mut coded[index], &mut papers[index]);
        read(kernel, schema, &store.symbols, attributes, &mut coded.codes, paper);
        for &(id, _) in &paper.present {
            let slot = schema.slot_mut(id);
            if !slot.ladders.is_empty() && slot.stamp != epoch {
                slot.stamp = epoch;
                laddered.push(id);
            }
        }
        if !laddered.is_empty() {
            code_finely(schema, paper, coded);
            finely |= 1 << number;
        }
        let mut seek = |key, trust| {
            sought.push(Sought { key, hash: store.clusters.prefetch(key), publication: number, trust });
        };
        seek_keys(store, schema, tenant, paper, attributes, &mut seek);
    }
    schema.is_suspicious |= find(&mut store.clusters, &store.blocks, schema, sought, guesses, found, epoch);
    for found in &*found {
        let publication = found.looking.publication;
        let is_shelved = matches!(store.clusters.get(found.cluster).stand(), Stand::Shelf(_));
        if is_shelved && finely >> publication & 1 == 0 {
            code_finely(schema, &papers[usize::from(publication)], &mut coded[usize::from(publication)]);
            finely |= 1 << publication;
        }
    }
    let of = Publications { coded, features: schema.features_end() };
    let mut comparing = Comparing::new(kernel, slices, of, &store.blocks, papers, (asked, gathering), output);
    go_through_keys(&mut comparing, &store.clusters, found, (looking, chains, shelved));
    go_through_ladders(&mut comparing, &store.ladders, schema, laddered);
    let is_first_alone = comparing.finish();
    laddered.clear();

    let Store { programs, symbols, residuals, records, crowds, .. } = store;
    let mut verifying =
        Verifying { programs, records, crowds, satisfied, several, refused, refusals, slices, epoch, given: 0 };
    let (mut judged, mut given) = (Judged { publications: 0, looked_at: 0 }, 0);
    for (index, (paper, attributes)) in papers.iter_mut().zip(publications).enumerate() {
        verifying.epoch = epoch + u32::try_from(index).expect("few publications");
        verifying.give_marked(index, paper, output);
        if !paper.pending.is_empty() {
            // Programs know attributes by their slots.
            for &(id, reading) in &paper.present {
                schema.readings[id] = reading;
            }
            let elements = paper.elements.as_slice();
            let view =
                View { readings: &schema.readings, elements, attributes, symbols, residuals, epoch: verifying.epoch };
            let lists = (paper.pending.as_slice(), paper.programs.as_slice());
            judged.looked_at += verifying.verify(index, lists, &mut paper.singles, &view, contexts, output);
            for &(id, _) in &paper.present {
                schema.readings[id] = Reading::MISSING;
            }
        }
        given += paper.given + paper.singles.len();
        verifying.finish(index, paper, output);
        judged.publications += 1;
        if judged.looked_at + given + verifying.given >= effort_max || is_first_alone {
            break;
        }
    }
    for (coded, paper) in coded.iter_mut().zip(papers) {
        for (id, _) in paper.present.drain(..) {
            Schema::uncode(schema.slot(id), &mut coded.codes);
        }
        paper.elements.clear();
        paper.clear();
    }
    judged
}

/// Where within their codes the numbers of a publication lie.
fn code_finely(schema: &Schema, paper: &Paper, coded: &mut Coded) {
    for (id, reading) in &paper.present {
        schema.code_finely(schema.slot(*id), reading, &coded.codes, &mut coded.fine);
    }
}

/// Takes note of the keys that a publication has and filters ask for.
fn seek_keys(
    store: &Store,
    schema: &Schema,
    tenant: TenantId,
    paper: &Paper,
    attributes: &Attributes,
    seek: &mut impl FnMut(Key, Trust),
) {
    for &(id, ref reading) in &paper.present {
        let slot = schema.slot(id);
        let key = |atom| Key { tenant, slot: id, atom };
        if slot.keys > 0 {
            match reading.kind {
                Kind::Number | Kind::Text | Kind::Bool if reading.symbol != 0 => {
                    seek(key(Atom::symbol(reading.symbol)), Trust::Full);
                }
                Kind::Array => {
                    for &element in reading.elements(&paper.elements) {
                        if element != 0 {
                            seek(key(Atom::symbol(element)), Trust::None);
                        }
                    }
                }
                Kind::Number | Kind::Text | Kind::Bool | Kind::Point | Kind::Other | Kind::Missing => {}
            }
            if let (Some(lengths), Some(Value::String(text))) =
                (&slot.lengths, attributes.at(reading.position as usize))
            {
                for length in lengths.whole() {
                    let symbol = text.get(..usize::from(length)).map_or(0, |text| store.symbols.find_text(text));
                    if symbol != 0 {
                        seek(key(Atom::prefix(length, symbol)), Trust::Full);
                    }
                }
                for index in lengths.cut().filter(|&index| CUTS[index] <= text.len()) {
                    seek(key(Atom::cut(store.hashing, index, text.as_bytes())), Trust::Full);
                }
            }
            if let (Some(levels), Kind::Point) = (&slot.levels, reading.kind) {
                for (level, _) in (0..).zip(levels.iter()).filter(|&(_, &keys)| keys > 0) {
                    seek(key(Atom::cell(Cell::of(reading.down, reading.up, level))), Trust::Full);
                }
            }
        }
        if slot.presences > 0 {
            seek(key(Atom::PRESENT), Trust::Full);
        }
    }
    if schema.scanned > 0 {
        seek(scan_key(tenant), Trust::Full);
    }
}

/// Looks keys up. Each step of it waits for memory, so each is done for all of them together. What is found is in order of cluster.
/// Says whether a key was found that many rows stand under and many publications have.
fn find(
    clusters: &mut Clusters,
    blocks: &super::blocks::Blocks,
    schema: &Schema,
    sought: &mut Vec<Sought>,
    guesses: &mut Vec<Guess>,
    found: &mut Vec<Found>,
    epoch: u32,
) -> bool {
    for Sought { key, hash, publication, trust } in sought.drain(..) {
        if let Some(cluster) = clusters.guess(hash) {
            guesses.push(Guess { key, cluster, publication, trust });
        }
    }
    let mut is_suspicious = false;
    let mut is_ordered = true;
    for Guess { key, cluster, publication, trust } in guesses.drain(..) {
        let Some(id) = clusters.confirm(key, cluster) else { continue };
        let cluster = clusters.get_mut(id);
        let stamp = epoch + u32::from(publication);
        if cluster.stamp == stamp {
            continue;
        }
        cluster.stamp = stamp;
        cluster.hits = cluster.hits.saturating_add(1);
        if cluster.hits >= SUSPICIOUS_HITS && cluster.hits.is_power_of_two() {
            let keys = if key.slot == NO_SLOT { 0 } else { schema.slot(key.slot).keys };
            is_suspicious |= cluster.is_frequent(schema.events, keys);
        }
        match cluster.stand() {
            Stand::Chain(head) => prefetch(blocks.get(head)),
            Stand::Shelf(shelf) => clusters.shelves.prefetch(shelf),
        }
        is_ordered &= publication == 0;
        found.push(Found { cluster: id, looking: Looking { publication, skipped: 0, trust } });
    }
    if !is_ordered {
        found.sort_unstable_by_key(|found| (found.cluster, found.looking.publication));
    }
    is_suspicious
}

/// Goes through the blocks of the clusters that were found.
fn go_through_keys<O: Output + ?Sized>(
    comparing: &mut Comparing<'_, '_, O>,
    clusters: &Clusters,
    found: &mut Vec<Found>,
    (looking, chains, shelved): (&mut Vec<Looking>, &mut Vec<Chain>, &mut Vec<Shelved>),
) {
    let blocks = comparing.blocks();
    for group in found.chunk_by(|one, other| one.cluster == other.cluster) {
        let place = |looking: &Vec<Looking>| u32::try_from(looking.len()).expect("few publications");
        let block = match clusters.get(group[0].cluster).stand() {
            Stand::Chain(head) => head,
            Stand::Shelf(id) => {
                let shelf = clusters.shelves.get(id);
                shelf.prefetch();
                let mut sent = Shelved { shelf: id, believed: 0, doubted: 0 };
                for Looking { publication, trust, .. } in group.iter().map(|found| found.looking) {
                    match trust {
                        Trust::Full => sent.believed |= 1 << publication,
                        Trust::None => sent.doubted |= 1 << publication,
                    }
                }
                shelved.push(sent);
                shelf.rest
            }
        };
        if block != NO_BLOCK {
            let from = place(looking);
            looking.extend(group.iter().map(|found| found.looking));
            chains.push(Chain { block, from, to: place(looking) });
        }
    }
    let mut index = 0;
    while let Some(&Chain { block, from, to }) = chains.get(index) {
        let block = blocks.get(block);
        if block.next != NO_BLOCK {
            prefetch(blocks.get(block.next));
            chains.push(Chain { block: block.next, from, to });
        }
        comparing.block(block, &looking[from as usize..to as usize]);
        index += 1;
    }
    let (kernel, of) = (comparing.kernel(), comparing.publications());
    for Shelved { shelf, believed, doubted } in shelved.drain(..) {
        for (asking, trust) in [(believed, Trust::Full), (doubted, Trust::None)] {
            if asking != 0 {
                let shelf = clusters.shelves.get(shelf);
                shelf.reach(kernel, of, asking, |reached| comparing.reached(reached, trust));
            }
        }
    }
    chains.clear();
    looking.clear();
    found.clear();
}

/// Goes through the blocks of ladders that publications reach.
fn go_through_ladders<O: Output + ?Sized>(
    comparing: &mut Comparing<'_, '_, O>,
    ladders: &Ladders,
    schema: &Schema,
    laddered: &[super::schema::SlotId],
) {
    let (kernel, of) = (comparing.kernel(), comparing.publications());
    for &slot in laddered {
        for &ladder in &schema.slot(slot).ladders {
            ladders.get(ladder).reach(kernel, of, |reached| comparing.reached(reached, Trust::Full));
        }
    }
}
