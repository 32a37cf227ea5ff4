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
mod avx512;
mod scalar;

/// Codes of a publication by feature.
pub type Codes = [u8; 256];

/// The code that passes no test.
pub const MISSING: u8 = u8::MAX;

/// Lanes judged at a time.
pub const LANES: usize = 64;

/// Columns of a block, from the first lane that is to be judged.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns<'a> {
    /// All columns of the block.
    pub bytes: &'a [u8],
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
    /// Asks for the memory of these lanes, because they will be judged soon.
    #[inline]
    pub fn prefetch(&self) {
        let &Columns { bytes, capacity, first, tests, .. } = self;
        let (step, count) =
            if capacity < LANES { (LANES, (3 * tests * capacity).div_ceil(LANES)) } else { (capacity, 3 * tests) };
        let mut at = first;
        for _ in 0..count {
            if let Some(line) = bytes.get(at) {
                prefetch(line);
            }
            at += step;
        }
    }
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
    /// Compiled for 256-bit vectors.
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
            if is_x86_feature_detected!("avx512bw") && is_x86_feature_detected!("avx512vbmi") {
                return Self::Avx512;
            }
            if is_x86_feature_detected!("avx2") {
                return Self::Avx2;
            }
        }
        Self::Scalar
    }

    /// Judges the lanes of each of the columns; a verdict each. One call for many, because tables stay in registers.
    ///
    /// # Panics
    /// If columns are shorter than they are said to be, or there are fewer verdicts than columns.
    #[inline]
    pub fn judge(self, codes: &Codes, all: &[Columns<'_>], verdicts: &mut [Verdict]) {
        assert!(all.len() <= verdicts.len(), "a verdict each");
        for &Columns { bytes, capacity, first, tests, lanes } in all {
            assert!(lanes <= LANES && first + lanes <= capacity && 3 * tests * capacity <= bytes.len(), "of the block");
        }
        match self {
            Self::Scalar => scalar::judge(codes, all, verdicts),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions.
            Self::Avx2 => unsafe { avx2(codes, all, verdicts) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: made by `detect` alone, which found the instructions; every column holds `first + lanes` bytes.
            Self::Avx512 => unsafe { avx512::judge(codes, all, verdicts) },
        }
    }
}

/// So few lanes that each is taken on its own.
const FEW: u32 = 4;

impl Kernel {
    /// Appends those of up to 64 elements of four bytes whose bits are set, in order.
    ///
    /// # Panics
    /// If a bit is set beyond the elements.
    #[inline]
    pub fn select<T: Copy>(self, from: &[T], lanes: u64, into: &mut Vec<T>) {
        const { assert!(size_of::<T>() == 4, "elements of four bytes") }
        if lanes == 0 {
            return;
        }
        assert!(from.len() > (63 - lanes.leading_zeros()) as usize, "an element a bit");
        into.reserve(LANES);
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
            Self::Avx512 if from.len() >= LANES => {
                // SAFETY: made by `detect` alone, which found the instructions; 64 elements can be read, and there is room
                // for 64 more.
                unsafe {
                    let end = into.as_mut_ptr().add(into.len());
                    let count = avx512::select(from.as_ptr().cast(), lanes, end.cast());
                    into.set_len(into.len() + count);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 | Self::Avx2 => scalar::select(from, lanes, into),
            Self::Scalar => scalar::select(from, lanes, into),
        }
    }
}

/// Asks for the memory of those of up to 64 elements of four bytes whose bits are set, because they will be selected soon.
#[inline]
pub fn prefetch_selected<T>(from: &[T], lanes: u64) {
    if lanes.count_ones() <= FEW {
        let mut rest = lanes;
        for _ in 0..FEW {
            if let Some(element) = from.get(rest.trailing_zeros() as usize % LANES) {
                prefetch(element);
            }
            rest &= rest.wrapping_sub(1);
        }
    } else {
        for element in from.iter().step_by(16).take(4) {
            prefetch(element);
        }
    }
}

/// The scalar version, for the compiler to make wider vectors of.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(codes: &Codes, all: &[Columns<'_>], verdicts: &mut [Verdict]) {
    scalar::judge(codes, all, verdicts);
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

/// So many low bits.
#[inline]
fn low_bits(lanes: usize) -> u64 {
    if lanes >= LANES { u64::MAX } else { (1 << lanes) - 1 }
}

#[cfg(test)]
mod tests;
