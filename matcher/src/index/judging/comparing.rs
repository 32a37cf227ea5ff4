//! Lanes that publications look at, some blocks and questions at a time: columns are asked for when they are noted, compared when
//! enough have come, and what is left of them is sorted out one round later, when memory has brought what it leads to.

use super::super::blocks::{Block, Blocks};
use super::super::scratch::{ASKS, Asked, Looking, Paper, TOGETHER, Trust};
use super::super::steps::Reached;
use super::super::{Output, RowId, Slices};
use crate::kernel::{
    Ask, Columns, Gathering, Kernel, LANES, Publications, Verdict, low_bits, prefetch, prefetch_selected,
};

/// Columns to be compared together, up to 64 lanes of each block.
const CHUNKS: usize = 16;

/// Lanes and rows that publications have collected when those behind the first are given up: a few megabytes.
const COLLECTED_MAX: usize = 1 << 20;

/// Blocks whose lanes are asked for before their turn.
const REACHED_AHEAD: usize = 3;

/// Lanes that somebody looks at, and from which to which question.
#[derive(Clone, Copy)]
struct Chunk<'a> {
    columns: Columns<'a>,
    block: Option<&'a Block>,
    from: usize,
    to: usize,
    /// Lanes that may match for somebody.
    any: u64,
}

/// Lanes that are asked about together.
struct Round<'a> {
    chunks: [Chunk<'a>; CHUNKS],
    chunk_count: usize,
    ask_count: usize,
}

impl Round<'_> {
    const EMPTY: Self = Self {
        chunks: [Chunk {
            columns: Columns { bytes: &[], fine: &[], capacity: 0, first: 0, tests: 0, lanes: 0 },
            block: None,
            from: 0,
            to: 0,
            any: 0,
        }; CHUNKS],
        chunk_count: 0,
        ask_count: 0,
    };
}

/// Questions on their way.
pub struct Comparing<'a, 'o, O: ?Sized> {
    kernel: Kernel,
    slices: Slices<'a>,
    of: Publications<'a>,
    blocks: &'a Blocks,
    papers: &'o mut [Paper],
    output: &'o mut O,
    /// What is asked now and what was asked before, in turn: they are too large to change places.
    rounds: [Round<'a>; 2],
    /// What is asked about them, and the answers.
    asked: &'o mut [Asked; 2],
    /// Which of them is asked now.
    now: usize,
    gathering: &'o mut Gathering,
    /// Rows given out while others were collected.
    given: usize,
    is_first_alone: bool,
}

impl<'a, 'o, O: Output + ?Sized> Comparing<'a, 'o, O> {
    /// Nothing asked yet.
    pub fn new(
        kernel: Kernel,
        slices: Slices<'a>,
        of: Publications<'a>,
        blocks: &'a Blocks,
        papers: &'o mut [Paper],
        (asked, gathering): (&'o mut [Asked; 2], &'o mut Gathering),
        output: &'o mut O,
    ) -> Self {
        Self {
            kernel,
            slices,
            of,
            blocks,
            papers,
            output,
            rounds: [Round::EMPTY; 2],
            asked,
            now: 0,
            gathering,
            given: 0,
            is_first_alone: false,
        }
    }

    /// Where the lanes are.
    pub fn blocks(&self) -> &'a Blocks {
        self.blocks
    }

    /// What compares.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// What is compared with.
    pub fn publications(&self) -> Publications<'a> {
        self.of
    }

    /// Publications look at a block.
    #[inline]
    pub fn block(&mut self, block: &'a Block, who: &[Looking]) {
        let who = if self.is_first_alone { self.first_of(who) } else { who };
        if block.tests() > 1 || !block.is_plain() {
            self.ask(block, who);
            return;
        }
        // Whoever is known to have passed the only test takes all.
        for looking in who {
            if block.tests() <= usize::from(looking.skipped) && looking.trust == Trust::Full {
                self.many(usize::from(looking.publication), self.blocks.targets(block));
            } else {
                self.ask(block, std::slice::from_ref(looking));
            }
        }
    }

    /// Publications reach blocks, and what leads them there may be believed or not.
    pub fn reached(&mut self, reached: &[Reached], trust: Trust) {
        reached.iter().for_each(|reached| prefetch(self.blocks.get(reached.block)));
        for (index, &Reached { block, who, inside }) in reached.iter().enumerate() {
            if let Some(next) = reached.get(index + REACHED_AHEAD) {
                self.blocks.prefetch_lanes(next.block, next.who.count_ones(), next.who == next.inside);
            }
            let block = self.blocks.get(block);
            let who = if self.is_first_alone { who & 1 } else { who };
            if block.tests() > 1 && block.is_plain() && block.len() <= LANES && trust == Trust::Full {
                self.gather(block, (who, inside));
                continue;
            }
            if who.is_power_of_two() {
                let [publication, ..] = who.trailing_zeros().to_le_bytes();
                self.block(block, &[Looking { publication, skipped: u8::from(inside & who != 0), trust }]);
                continue;
            }
            let (mut looking, mut count) = ([Looking { publication: 0, skipped: 0, trust: Trust::Full }; TOGETHER], 0);
            let mut rest = who;
            while rest != 0 {
                let [publication, ..] = rest.trailing_zeros().to_le_bytes();
                let skipped = u8::from(inside >> publication & 1 == 1);
                looking[count] = Looking { publication, skipped, trust };
                (rest, count) = (rest & (rest - 1), count + 1);
            }
            self.block(block, &looking[..count]);
        }
        self.give_up();
    }

    /// Each lane is a row's own, and most probably some match.
    #[inline]
    fn gather(&mut self, block: &'a Block, who: (u64, u64)) {
        let columns = self.blocks.columns(block, 0, block.len());
        let targets = self.blocks.targets_from(block, 0);
        let Self { kernel, of, papers, gathering, .. } = self;
        for &(publication, Verdict { may, surely }) in kernel.gather(*of, &columns, who, targets, papers, gathering) {
            let paper = &mut papers[publication];
            kernel.select(targets, may & !surely, &mut paper.pending);
            kernel.select(self.blocks.programs_from(block, 0), may & !surely, &mut paper.programs);
        }
    }

    #[inline]
    fn ask(&mut self, block: &'a Block, who: &[Looking]) {
        let length = block.len();
        for first in (0..length).step_by(LANES) {
            let round = &self.rounds[self.now];
            if round.chunk_count == CHUNKS || round.ask_count + who.len() > ASKS {
                self.compare();
            }
            let round = &mut self.rounds[self.now];
            let columns = self.blocks.columns(block, first, LANES.min(length - first));
            columns.prefetch(who.len());
            let (from, to) = (round.ask_count, round.ask_count + who.len());
            round.chunks[round.chunk_count] = Chunk { columns, block: Some(block), from, to, any: 0 };
            round.chunk_count += 1;
            let asked = &mut self.asked[self.now];
            let places = asked.asks[from..to].iter_mut().zip(&mut asked.trusts[from..to]);
            for ((ask, trust), looking) in places.zip(who) {
                *ask = Ask { publication: looking.publication, skipped: looking.skipped };
                *trust = looking.trust;
            }
            round.ask_count = to;
        }
    }

    /// Answers what was asked; says whether only the first publication was judged, because all together collected too much.
    pub fn finish(&mut self) -> bool {
        self.compare();
        self.compare();
        self.is_first_alone
    }

    #[cold]
    fn first_of<'w>(&self, who: &'w [Looking]) -> &'w [Looking] {
        // They look in order.
        if who.first().is_some_and(|looking| looking.publication == 0) { &who[..1] } else { &[] }
    }

    /// Compares what is asked now, and sorts out what is left of what was asked before.
    fn compare(&mut self) {
        let Self { kernel, of, blocks, rounds, asked, now, .. } = self;
        let (now, asked) = (&mut rounds[*now], &mut asked[*now]);
        for Chunk { columns, block, from, to, any } in &mut now.chunks[..now.chunk_count] {
            let Some(block) = block else { continue };
            let (asks, verdicts) = (&asked.asks[*from..*to], &mut asked.verdicts[*from..*to]);
            kernel.decide(*of, columns, asks, verdicts);
            let mut open = 0;
            for verdict in verdicts {
                *any |= verdict.may;
                open |= verdict.may & !verdict.surely;
            }
            if *any != 0 {
                prefetch_selected(blocks.targets_from(block, columns.first), *any);
                if open != 0 || block.has_unsure() {
                    let open = if block.has_unsure() { *any } else { open };
                    prefetch_selected(blocks.programs_from(block, columns.first), open);
                }
            }
        }
        self.sort_out();
        self.give_up();
        self.now = 1 - self.now;
        let next = &mut self.rounds[self.now];
        (next.chunk_count, next.ask_count) = (0, 0);
    }

    /// Whoever is behind the first publication waits for another time, if too much was collected.
    fn give_up(&mut self) {
        let collected = self.given + self.papers.iter().map(Paper::collected).sum::<usize>();
        self.is_first_alone |= collected > COLLECTED_MAX && self.papers.len() > 1;
    }

    /// Lanes that match go out, lanes that may are to be looked at.
    fn sort_out(&mut self) {
        let Self { kernel, slices, blocks, papers, output, rounds, asked, now, given, .. } = self;
        let (before, asked) = (&rounds[1 - *now], &asked[1 - *now]);
        for &Chunk { ref columns, block, from, to, any } in &before.chunks[..before.chunk_count] {
            let Some(block) = block.filter(|_| any != 0) else { continue };
            let first = columns.first;
            let targets = blocks.targets_from(block, first);
            let all = low_bits(columns.lanes);
            let unsure = if block.has_unsure() { blocks.unsure(block, first) } else { 0 };
            for at in from..to {
                // Whether a lane may match for one of them cannot be foreseen, and is not asked.
                let (verdict, trust) = (asked.verdicts[at], asked.trusts[at]);
                let surely = match trust {
                    Trust::Full => verdict.surely & !unsure,
                    Trust::None => 0,
                };
                let publication = usize::from(asked.asks[at].publication);
                let paper = &mut papers[publication];
                let look = verdict.may & !surely;
                if look != 0 {
                    kernel.select(targets, look, &mut paper.pending);
                    kernel.select(blocks.programs_from(block, first), look, &mut paper.programs);
                }
                if !block.has_rows_only() {
                    if surely == 0 {
                        continue;
                    }
                    kernel.select(targets, surely, &mut paper.marked);
                } else if surely == all && matches!(slices, Slices::All) {
                    output.rows(publication, &targets[..columns.lanes]);
                    paper.given += columns.lanes;
                    *given += columns.lanes;
                } else {
                    kernel.select(targets, surely, &mut paper.singles);
                }
            }
        }
    }

    /// Many rows at once.
    #[inline]
    fn many(&mut self, publication: usize, rows: &[RowId]) {
        match self.slices {
            Slices::All => {
                self.output.rows(publication, rows);
                self.papers[publication].given += rows.len();
                self.given += rows.len();
            }
            Slices::Only(_) => self.papers[publication].singles.extend_from_slice(rows),
        }
    }
}
