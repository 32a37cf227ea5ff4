//! Comparing columns of bytes: which of up to 64 lanes pass a few tests of one publication?
//!
//! A test of a lane is three bytes: a feature, and the lowest and highest code of that feature that may pass. The publication
//! is a table of 256 codes, one a feature. A lane *may* pass if every code lies within its bounds, and *surely* passes if every
//! code lies strictly within. Bounds whose low end is above the high one go around: they exclude what lies between. The code of
//! what is missing passes no test. Columns lie one after the other, features, lows, highs of the first test, then of the next,
//! each as long as the block's capacity.
//!
//! The only place with `unsafe`: a scalar version says what is meant, versions for instruction sets found at run time must
//! agree with it.

#![allow(unsafe_code, reason = "SIMD intrinsics; bounds are asserted before every one that reads memory")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;

/// Codes of a publication by feature.
pub type Codes = [u8; 256];

/// The code that passes no test.
pub const MISSING: u8 = u8::MAX;

/// Bytes that memory gives at a time.
pub const CACHE_LINE: usize = 64;

/// Lanes judged at a time.
pub const LANES: usize = 64;

/// Questions that are decided at a time, at most.
pub const ASKS_MAX: usize = 128;

/// Tests that most lanes have. Whether any lane that is left has a further one is asked before it is compared.
const MOST_HAVE: usize = 2;

/// Numbers compared with one at a time.
pub const GROUP: usize = 16;

/// A publication.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub struct Coded {
    /// Its codes.
    pub codes: Codes,
    /// Where within its code each number lies.
    pub fine: Codes,
}

/// Publications that are judged together.
#[derive(Clone, Copy, Debug)]
pub struct Publications<'a> {
    /// Each.
    pub coded: &'a [Coded],
    /// Features in use are below this, at most 256: of others nothing is looked up.
    pub features: usize,
}

/// A question: do lanes pass for some publication?
#[derive(Clone, Copy, Debug, Default)]
pub struct Ask {
    /// Which publication.
    pub publication: u8,
    /// So many of the first tests are known to be surely passed by all lanes; they may be judged all the same.
    pub skipped: u8,
}

/// Publications that lanes are gathered for at a time, at most: as bits, the first as the lowest one.
pub const GATHERED_MAX: usize = 64;

/// Where targets of one publication go.
pub trait Gathers<T> {
    /// Behind what is there.
    fn gathered(&mut self) -> &mut Vec<T>;
}

/// What [`Kernel::gather`] works in, kept for its room: questions and their answers.
#[derive(Clone, Debug)]
pub struct Gathering {
    asks: [Ask; GATHERED_MAX],
    verdicts: [Verdict; GATHERED_MAX],
    open: [(usize, Verdict); GATHERED_MAX],
}

impl Default for Gathering {
    fn default() -> Self {
        let (asks, verdicts) = ([Ask::default(); GATHERED_MAX], [Verdict::default(); GATHERED_MAX]);
        Self { asks, verdicts, open: [(0, Verdict::default()); GATHERED_MAX] }
    }
}

/// Columns of a block, from the first lane that is to be judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns<'a> {
    /// Features, lows and highs; whatever comes behind them spares copying, because registers can be filled from it.
    pub bytes: &'a [u8],
    /// The fine codes of lows and highs: two columns a test, or none; and whatever comes behind them.
    pub fine: &'a [u8],
    /// Length of each.
    pub capacity: usize,
    /// The first lane.
    pub first: usize,
    /// How many tests to judge by.
    pub tests: usize,
    /// How many lanes, at most 64.
    pub lanes: usize,
}

impl Columns<'_> {
    /// Asks for the memory of these lanes, because they will be judged soon; also of their fine codes, if there are many questions.
    #[inline]
    pub fn prefetch(&self, questions: usize) {
        let &Columns { bytes, fine, capacity, first, tests, .. } = self;
        // Whether more are looked at is seen only then.
        let tests = tests.min(MOST_HAVE + 1);
        lines_of(&bytes[..3 * tests * capacity], capacity, first);
        if questions >= MANY && !fine.is_empty() {
            lines_of(&fine[..2 * tests * capacity], capacity, first);
        }
    }
}

/// With so many questions about some lanes, most probably something is left open.
const MANY: usize = 4;

/// Asks for the memory of columns of this length, from a lane on.
#[inline]
fn lines_of(columns: &[u8], capacity: usize, first: usize) {
    // Short columns share lines; of long ones only some are read.
    let step = if capacity <= LANES { LANES } else { capacity };
    let mut at = if capacity <= LANES { 0 } else { first };
    while at < columns.len() {
        prefetch(&columns[at]);
        at += step;
    }
}

/// What the first two tests of the lanes in blocks reach, a byte a block and column.
#[derive(Clone, Copy, Debug)]
pub struct Reaches<'a> {
    /// Of the first test, the lowest low bound of each block.
    pub low: &'a [u8],
    /// The highest high one.
    pub high: &'a [u8],
    /// The highest low one.
    pub low_max: &'a [u8],
    /// The lowest high one.
    pub high_min: &'a [u8],
    /// The feature of the second test, or one that passes always.
    pub other: &'a [u8],
    /// The lowest low bound of the second test.
    pub other_low: &'a [u8],
    /// The highest high one.
    pub other_high: &'a [u8],
}

/// What the first test of the lanes in blocks asks for.
#[derive(Clone, Copy, Debug)]
pub enum Lead<'a> {
    /// Of all blocks the same feature, of which the publication has this code.
    Code(u8),
    /// The feature of each block, or one that passes always.
    Features(&'a [u8]),
}

/// Lanes as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Lanes that may pass; no others do.
    pub may: u64,
    /// Lanes that pass every test; a subset.
    pub surely: u64,
}

/// Which version to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// For every processor.
    Scalar,
    /// 32 lanes at once.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// 64 lanes at once.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Kernel {
    /// The fastest that this processor can run. All give the same answers.
    #[must_use]
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let counts = is_x86_feature_detected!("popcnt");
            let bits = is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("bmi2");
            let wide = is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi");
            if counts && bits && wide {
                return Self::Avx512;
            }
            if counts && is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }

    /// Answers each question about the lanes of some columns with a verdict.
    ///
    /// # Panics
    /// If columns are shorter than they are said to be, if there are fewer verdicts than questions, or if a question is about no
    /// publication.
    #[inline]
    pub fn judge(self, of: Publications<'_>, columns: &Columns<'_>, asks: &[Ask], verdicts: &mut [Verdict]) {
        let &Columns { bytes, capacity, first, tests, lanes, .. } = columns;
        assert!(lanes <= LANES && first + lanes <= capacity && 3 * tests * capacity <= bytes.len(), "of the block");
        let verdicts = &mut verdicts[..asks.len()];
        match self {
            Self::Scalar => scalar::judge(of, columns, asks, verdicts),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx2 => unsafe { avx2::judge(of, columns, asks, verdicts) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions; every column holds `first + lanes` bytes.
            Self::Avx512 => unsafe { avx512::judge::<false>(of, columns, asks, verdicts) },
        }
    }
}

/// So few lanes that each is taken on its own.
const FEW: u32 = 4;

/// So few lanes of a block that each is refined on its own.
const REFINED_ALONE: u32 = 6;

impl Kernel {
    /// The same, and what codes at a bound leave open is decided by fine codes, if there are any.
    ///
    /// # Panics
    /// As [`Kernel::judge`] and [`Kernel::refine`].
    #[inline]
    pub fn decide(self, of: Publications<'_>, columns: &Columns<'_>, asks: &[Ask], verdicts: &mut [Verdict]) {
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512 && !columns.fine.is_empty() {
            let &Columns { bytes, fine, capacity, first, tests, lanes } = columns;
            assert!(lanes <= LANES && first + lanes <= capacity && 3 * tests * capacity <= bytes.len(), "of the block");
            assert!(2 * tests * capacity <= fine.len(), "fine columns");
            // SAFETY: made by `detect` alone, which found the instructions; every column holds `first + lanes` bytes.
            unsafe { avx512::judge::<true>(of, columns, asks, &mut verdicts[..asks.len()]) };
            return;
        }
        self.judge(of, columns, asks, verdicts);
        if columns.fine.is_empty() {
            return;
        }
        // Whether something is open cannot be foreseen, so those of which something is are first counted, and not asked about.
        let (mut open, mut count) = ([0_u8; ASKS_MAX], 0);
        for (at, verdict) in (0..).zip(&verdicts[..asks.len()]) {
            open[count] = at;
            count += usize::from(verdict.may != verdict.surely);
        }
        for &at in &open[..count] {
            let verdict = &mut verdicts[usize::from(at)];
            *verdict = self.refine(of, columns, asks[usize::from(at)], *verdict);
        }
    }

    /// Decides about lanes for publications, of which those that are `inside` are known to pass the first test surely, and appends the
    /// targets of lanes that surely match. Gives the publications for which something is left open, and the lanes that may pass and do not
    /// surely.
    ///
    /// # Panics
    /// As [`Kernel::decide`], if a lane has no target, or a publication no list.
    #[inline]
    pub fn gather<'g, T: Copy>(
        self,
        of: Publications<'_>,
        columns: &Columns<'_>,
        (who, inside): (u64, u64),
        targets: &[T],
        into: &mut [impl Gathers<T>],
        gathering: &'g mut Gathering,
    ) -> &'g [(usize, Verdict)] {
        const { assert!(size_of::<T>() == 4, "targets of four bytes") }
        let Gathering { asks, verdicts, open } = gathering;
        let mut count = 0;
        let mut rest = who;
        while rest != 0 {
            let bit = rest & rest.wrapping_neg();
            let [publication, ..] = rest.trailing_zeros().to_le_bytes();
            asks[count] = Ask { publication, skipped: u8::from(inside & bit != 0) };
            (rest, count) = (rest & !bit, count + 1);
        }
        self.decide(of, columns, &asks[..count], verdicts);
        let mut left = 0;
        for (ask, &verdict) in asks[..count].iter().zip(&*verdicts) {
            let publication = usize::from(ask.publication);
            self.select(targets, verdict.surely, into[publication].gathered());
            open[left] = (publication, verdict);
            left += usize::from(verdict.may != verdict.surely);
        }
        &open[..left]
    }

    /// Answers a question again where codes at a bound left something open, by fine codes: where the codes are the same, a greater
    /// fine code is that of a greater number.
    ///
    /// # Panics
    /// If there are no fine columns, or they are too short.
    #[inline]
    pub fn refine(self, of: Publications<'_>, columns: &Columns<'_>, ask: Ask, verdict: Verdict) -> Verdict {
        let &Columns { bytes, fine, capacity, first, tests, lanes } = columns;
        assert!(lanes <= LANES && first + lanes <= capacity && 3 * tests * capacity <= bytes.len(), "of the block");
        assert!(2 * tests * capacity <= fine.len(), "fine columns");
        let (coded, skipped) = (&of.coded[usize::from(ask.publication)], usize::from(ask.skipped));
        // Bits are taken away, because counting them takes longer where there is no instruction for it.
        let mut more = verdict.may & !verdict.surely;
        (0..REFINED_ALONE).for_each(|_| more &= more.wrapping_sub(1));
        if more == 0 {
            return scalar::refine_open(coded, columns, skipped, verdict);
        }
        match self {
            Self::Scalar => scalar::refine(coded, columns, skipped, verdict),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx2 | Self::Avx512 => unsafe { avx2_refine(coded, columns, skipped, verdict) },
        }
    }

    /// How many of these are not above a number.
    #[inline]
    pub fn count_reached(self, of: &[f64; GROUP], number: f64) -> u8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx512 => unsafe { avx512::count_reached(of, number) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx2 => unsafe { avx2::count_reached(of, number) },
            Self::Scalar => scalar::count_reached(of, number),
        }
    }

    /// Of the 64 blocks from `first` on, or what is left of them: which a publication may match, and which of those hold only lanes that
    /// surely pass the first test.
    ///
    /// # Panics
    /// If a column is shorter than the first, or `first` is beyond them.
    #[inline]
    pub fn reach(self, coded: &Coded, features: usize, lead: Lead<'_>, all: Reaches<'_>, first: usize) -> (u64, u64) {
        let Reaches { low, high, low_max, high_min, other, other_low, other_high } = all;
        let shortest = [high, low_max, high_min, other, other_low, other_high].into_iter().map(<[u8]>::len).min();
        assert!(shortest >= Some(low.len()) && first < low.len(), "as long as the first");
        if let Lead::Features(lead) = lead {
            assert!(lead.len() >= low.len(), "as long as the first");
        }
        let codes = &coded.codes;
        let (reached, inside) = match self {
            Self::Scalar => scalar::reach(codes, lead, all, first),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx2 => unsafe { avx2::reach(codes, features, lead, all, first) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions; columns are as long as the first.
            Self::Avx512 => unsafe { avx512::reach(codes, features, lead, all, first) },
        };
        (reached, reached & inside)
    }

    /// Appends those of up to 64 elements of four bytes whose bits are set, in order.
    ///
    /// # Panics
    /// If a bit is set beyond the elements.
    #[inline]
    pub fn select<T: Copy>(self, from: &[T], lanes: u64, into: &mut Vec<T>) {
        const { assert!(size_of::<T>() == 4, "elements of four bytes") }
        into.reserve(LANES);
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx512 && from.len() >= LANES {
            // Not even whether there are any is asked.
            // SAFETY: made by `detect` alone, which found the instructions; 64 elements can be read, and there is room for 64 more.
            unsafe {
                let end = into.as_mut_ptr().add(into.len());
                let count = avx512::select(from.as_ptr().cast(), lanes, end.cast());
                into.set_len(into.len() + count);
            }
            return;
        }
        if lanes == 0 {
            return;
        }
        assert!(from.len() > (63 - lanes.leading_zeros()) as usize, "an element a bit");
        #[cfg(target_arch = "x86_64")]
        if self == Self::Avx2 && from.len() >= LANES {
            // SAFETY: made by `detect` alone, which found the instructions; 64 elements can be read, and there is room for 64 more.
            unsafe {
                let end = into.as_mut_ptr().add(into.len());
                let count = avx2::select(from.as_ptr().cast(), lanes, end.cast());
                into.set_len(into.len() + count);
            }
            return;
        }
        let count = lanes.count_ones();
        if count <= FEW {
            // Always so many, because how many cannot be foreseen; those beyond are not counted.
            let mut rest = lanes;
            for place in 0..FEW as usize {
                let lane = if rest == 0 { 0 } else { rest.trailing_zeros() as usize };
                rest &= rest.wrapping_sub(1);
                // SAFETY: there is room for 64 more, and `lane` is one whose bit is set, or the first.
                unsafe { into.as_mut_ptr().add(into.len() + place).write(*from.get_unchecked(lane)) };
            }
            // SAFETY: so many were written.
            unsafe { into.set_len(into.len() + count as usize) };
            return;
        }
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx2 => select_each(from, lanes, into),
            Self::Scalar => scalar::select(from, lanes, into),
        }
    }
}

/// Asks for the memory of those of up to 64 elements of four bytes whose bits are set, because they will be selected soon. Lines of
/// memory, not elements: counting bits takes longer.
#[inline]
pub fn prefetch_selected<T>(from: &[T], lanes: u64) {
    const { assert!(size_of::<T>() == 4, "elements of four bytes") }
    for line in 0..4 {
        if lanes >> (16 * line) & 0xffff != 0
            && let Some(element) = from.get(16 * line)
        {
            prefetch(element);
        }
    }
}

/// Appends the elements whose bits are set, into room that was reserved.
#[cfg(target_arch = "x86_64")]
#[inline]
fn select_each<T: Copy>(from: &[T], mut lanes: u64, into: &mut Vec<T>) {
    assert!(into.capacity() - into.len() >= LANES && lanes >> (from.len().min(LANES) - 1) <= 1, "room and elements");
    let mut count = 0;
    while lanes != 0 {
        // SAFETY: no bit is set beyond the elements, and there is room for as many as there can be bits.
        unsafe {
            let element = *from.get_unchecked(lanes.trailing_zeros() as usize);
            into.as_mut_ptr().add(into.len() + count).write(element);
        }
        count += 1;
        lanes &= lanes - 1;
    }
    // SAFETY: so many were written.
    unsafe { into.set_len(into.len() + count) };
}

/// The scalar version, for the compiler to make wider vectors of.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2_refine(coded: &Coded, columns: &Columns<'_>, skipped: usize, verdict: Verdict) -> Verdict {
    scalar::refine(coded, columns, skipped, verdict)
}

/// Asks for the memory behind a reference, because it will be read soon.
#[inline]
pub fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint without effect on memory, on an address that is valid anyway.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(what).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// Asks for all lines of memory behind a reference.
#[inline]
pub fn prefetch_all<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..size_of::<T>()).step_by(CACHE_LINE) {
        // SAFETY: a hint without effect on memory, on addresses within the value.
        unsafe {
            let at = std::ptr::from_ref(what).cast::<i8>().add(offset);
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(at);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// So many low bits.
#[inline]
pub fn low_bits(lanes: usize) -> u64 {
    if lanes >= LANES { u64::MAX } else { (1 << lanes) - 1 }
}

#[cfg(test)]
mod tests;
