//! 32 lanes at once, with what every x86-64 server has. A table of codes is looked up sixteen features at a time: `vpshufb` gives
//! zero for an index whose highest bit is set, so each sixteen give their own lanes, and all together are the answer. What is paid
//! for is the number of features in use, so it is asked for.

use std::arch::x86_64::{
    __m256i, _CMP_LE_OQ, _mm_loadl_epi64, _mm_loadu_si128, _mm256_adds_epu8, _mm256_and_si256, _mm256_andnot_si256,
    _mm256_broadcastsi128_si256, _mm256_cmp_pd, _mm256_cmpeq_epi8, _mm256_cvtepu8_epi32, _mm256_loadu_pd,
    _mm256_loadu_si256, _mm256_max_epu8, _mm256_min_epu8, _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_or_si256,
    _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_pd, _mm256_setzero_si256, _mm256_shuffle_epi8,
    _mm256_storeu_si256, _mm256_sub_epi8, _mm256_xor_si256,
};

use super::{Ask, Codes, Columns, GROUP, LANES, Lead, MOST_HAVE, Publications, Reaches, Verdict, low_bits};

/// Lanes of a register.
const HALF: usize = 32;

/// The codes of the first `16 * SIXTEENS` features, each sixteen twice in a register.
#[derive(Clone, Copy)]
struct Table<const SIXTEENS: usize>([__m256i; SIXTEENS]);

impl<const SIXTEENS: usize> Table<SIXTEENS> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn of(codes: &Codes) -> Self {
        let mut all = [_mm256_setzero_si256(); SIXTEENS];
        for (sixteen, codes) in all.iter_mut().zip(codes.chunks_exact(16)) {
            // SAFETY: sixteen bytes.
            *sixteen = _mm256_broadcastsi128_si256(unsafe { _mm_loadu_si128(codes.as_ptr().cast()) });
        }
        Self(all)
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn look_up(&self, feature: __m256i) -> __m256i {
        let Self(all) = self;
        if let [only] = all.as_slice() {
            return _mm256_shuffle_epi8(*only, feature);
        }
        let mut code = _mm256_setzero_si256();
        for (first, &sixteen) in (0..).step_by(16).zip(all) {
            // Below sixteen exactly for features of these; what is not gets its highest bit set.
            let within = _mm256_xor_si256(feature, _mm256_set1_epi8(first_feature(first)));
            let index = _mm256_adds_epu8(within, _mm256_set1_epi8(0x70));
            code = _mm256_or_si256(code, _mm256_shuffle_epi8(sixteen, index));
        }
        code
    }
}

#[inline]
fn first_feature(first: usize) -> i8 {
    u8::try_from(first).expect("at most 256 features").cast_signed()
}

/// 32 bytes of a slice from a place on; zeros, or anything that is not looked at, beyond its end.
///
/// # Safety
/// If `ROOMY`, the slice has 32 bytes from there on.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load<const ROOMY: bool>(bytes: &[u8], at: usize) -> __m256i {
    if ROOMY {
        // SAFETY: the caller's promise.
        return unsafe { _mm256_loadu_si256(bytes.as_ptr().add(at).cast()) };
    }
    let mut copy = [0_u8; HALF];
    let rest = bytes.get(at..).unwrap_or(&[]);
    let count = rest.len().min(HALF);
    copy[..count].copy_from_slice(&rest[..count]);
    // SAFETY: 32 bytes.
    unsafe { _mm256_loadu_si256(copy.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn bits(lanes: __m256i) -> u64 {
    u64::from(_mm256_movemask_epi8(lanes).cast_unsigned())
}

/// With as many sixteens of features as are in use, or a few more.
macro_rules! with_sixteens {
    ($features:expr, $call:ident ( $($argument:expr),* )) => {
        match $features.div_ceil(16) {
            0..=1 => $call::<1>($($argument),*),
            2 => $call::<2>($($argument),*),
            3 => $call::<3>($($argument),*),
            4 => $call::<4>($($argument),*),
            5..=8 => $call::<8>($($argument),*),
            _ => $call::<16>($($argument),*),
        }
    };
}

/// Answers questions about the lanes of some columns.
#[target_feature(enable = "avx2")]
pub(super) fn judge(of: Publications<'_>, columns: &Columns<'_>, asks: &[Ask], verdicts: &mut [Verdict]) {
    with_sixteens!(of.features, judge_by(of, columns, asks, verdicts));
}

#[target_feature(enable = "avx2")]
fn judge_by<const SIXTEENS: usize>(
    of: Publications<'_>,
    columns: &Columns<'_>,
    asks: &[Ask],
    verdicts: &mut [Verdict],
) {
    let &Columns { bytes, capacity, first, tests, lanes, .. } = columns;
    let reach = if lanes > HALF { LANES } else { HALF };
    // Where the last column ends, if registers are filled.
    let end = (3 * tests).saturating_sub(1) * capacity + first + reach;
    // SAFETY: every column begins at or before the last one, so 32 or 64 bytes can be read from each.
    unsafe {
        match (lanes > HALF, tests == 0 || end <= bytes.len()) {
            (false, true) => judge_all::<SIXTEENS, 1, true>(of, columns, asks, verdicts),
            (false, false) => judge_all::<SIXTEENS, 1, false>(of, columns, asks, verdicts),
            (true, true) => judge_all::<SIXTEENS, 2, true>(of, columns, asks, verdicts),
            (true, false) => judge_all::<SIXTEENS, 2, false>(of, columns, asks, verdicts),
        }
    }
}

/// # Safety
/// If `ROOMY`, `32 * HALVES` bytes can be read from the first lane of every column.
#[target_feature(enable = "avx2")]
unsafe fn judge_all<const SIXTEENS: usize, const HALVES: usize, const ROOMY: bool>(
    of: Publications<'_>,
    columns: &Columns<'_>,
    asks: &[Ask],
    verdicts: &mut [Verdict],
) {
    let &Columns { bytes, capacity, first, tests, lanes, .. } = columns;
    let (zero, ones) = (_mm256_setzero_si256(), _mm256_set1_epi8(-1));
    let mask = low_bits(lanes);
    'asks: for (&Ask { publication, skipped }, verdict) in asks.iter().zip(verdicts) {
        let table = Table::<SIXTEENS>::of(&of.coded[usize::from(publication)].codes);
        let (mut within, mut nearest, mut highest) = ([ones; HALVES], [ones; HALVES], [zero; HALVES]);
        let mut at = first + 3 * usize::from(skipped) * capacity;
        for test in usize::from(skipped)..tests {
            // SAFETY: the caller's promise.
            let load =
                |column: usize, half: usize| unsafe { load::<ROOMY>(bytes, at + column * capacity + HALF * half) };
            if test >= MOST_HAVE {
                // Lanes that have fewer tests than others have ones that always pass.
                let mut go_on = [zero; HALVES];
                for half in 0..HALVES {
                    go_on[half] = _mm256_andnot_si256(_mm256_cmpeq_epi8(load(0, half), zero), within[half]);
                }
                if all_bits(&go_on) & mask == 0 {
                    break;
                }
            }
            for half in 0..HALVES {
                let (feature, low, high) = (load(0, half), load(1, half), load(2, half));
                let code = table.look_up(feature);
                let (distance, width) = (_mm256_sub_epi8(code, low), _mm256_sub_epi8(high, low));
                let nearer = _mm256_min_epu8(distance, width);
                within[half] = _mm256_and_si256(within[half], _mm256_cmpeq_epi8(nearer, distance));
                let nearer = _mm256_min_epu8(distance, _mm256_sub_epi8(width, distance));
                nearest[half] = _mm256_min_epu8(nearest[half], nearer);
                highest[half] = _mm256_max_epu8(highest[half], code);
            }
            if all_bits(&within) & mask == 0 {
                *verdict = Verdict::default();
                continue 'asks;
            }
            at += 3 * capacity;
        }
        let mut surely = [zero; HALVES];
        for half in 0..HALVES {
            within[half] = _mm256_andnot_si256(_mm256_cmpeq_epi8(highest[half], ones), within[half]);
            surely[half] = _mm256_andnot_si256(_mm256_cmpeq_epi8(nearest[half], zero), within[half]);
        }
        *verdict = Verdict { may: all_bits(&within) & mask, surely: all_bits(&surely) & mask };
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn all_bits<const HALVES: usize>(halves: &[__m256i; HALVES]) -> u64 {
    match halves.as_slice() {
        [low, high] => bits(*low) | bits(*high) << HALF,
        halves => halves.iter().fold(0, |all, &half| all | bits(half)),
    }
}

/// For each byte of eight lanes, the places of the lanes that are set, in order; what stands behind them is not looked at.
static PLACES: [[u8; 8]; 256] = {
    let mut all = [[0; 8]; 256];
    let mut lanes = 0;
    while lanes < 256 {
        let (mut lane, mut count) = (0_u8, 0);
        while lane < 8 {
            if lanes >> lane & 1 == 1 {
                all[lanes][count] = lane;
                count += 1;
            }
            lane += 1;
        }
        lanes += 1;
    }
    all
};

/// Writes those of 64 elements of four bytes whose bits are set; says how many.
///
/// # Safety
/// 64 elements can be read, and 64 written.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) unsafe fn select(from: *const u32, lanes: u64, into: *mut u32) -> usize {
    let (mut rest, mut line, mut count) = (lanes, 0, 0);
    while rest != 0 {
        let eight = (rest & 0xff) as usize;
        // SAFETY: the caller's promise: after `8 * line` elements at most as many were written.
        unsafe {
            let places = _mm256_cvtepu8_epi32(_mm_loadl_epi64(PLACES[eight].as_ptr().cast()));
            let elements = _mm256_loadu_si256(from.add(8 * line).cast());
            _mm256_storeu_si256(into.add(count).cast(), _mm256_permutevar8x32_epi32(elements, places));
        }
        count += eight.count_ones() as usize;
        rest >>= 8;
        line += 1;
    }
    count
}

/// Of 64 blocks from the first on: which are reached, and which of them inside.
#[target_feature(enable = "avx2")]
pub(super) fn reach(codes: &Codes, features: usize, lead: Lead<'_>, all: Reaches<'_>, first: usize) -> (u64, u64) {
    with_sixteens!(features, reach_by(codes, lead, all, first))
}

#[target_feature(enable = "avx2")]
fn reach_by<const SIXTEENS: usize>(codes: &Codes, lead: Lead<'_>, all: Reaches<'_>, first: usize) -> (u64, u64) {
    let table = Table::<SIXTEENS>::of(codes);
    let count = all.low.len() - first;
    let (mut reached, mut inside) = (0, 0);
    for half in 0..count.min(LANES).div_ceil(HALF) {
        let at = first + HALF * half;
        let load = |column: &[u8]| {
            // SAFETY: asked for with room only where there is.
            unsafe { if at + HALF <= column.len() { load::<true>(column, at) } else { load::<false>(column, at) } }
        };
        let not_above = |low: __m256i, high: __m256i| _mm256_cmpeq_epi8(_mm256_min_epu8(low, high), low);
        let code = match lead {
            Lead::Code(code) => _mm256_set1_epi8(code.cast_signed()),
            Lead::Features(lead) => table.look_up(load(lead)),
        };
        let other = table.look_up(load(all.other));
        let mut reaches = not_above(load(all.low), code);
        reaches = _mm256_and_si256(reaches, not_above(code, load(all.high)));
        reaches = _mm256_and_si256(reaches, not_above(load(all.other_low), other));
        reaches = _mm256_and_si256(reaches, not_above(other, load(all.other_high)));
        // What is not above the other way around is not strictly within.
        let at_low = not_above(code, load(all.low_max));
        let at_high = not_above(load(all.high_min), code);
        reached |= bits(reaches) << (HALF * half);
        inside |= bits(_mm256_andnot_si256(_mm256_or_si256(at_low, at_high), _mm256_set1_epi8(-1))) << (HALF * half);
    }
    (reached & low_bits(count), inside & low_bits(count))
}

/// How many of these are not above a number; none that is NaN.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
pub(super) fn count_reached(of: &[f64; GROUP], number: f64) -> u8 {
    let number = _mm256_set1_pd(number);
    let mut reached = 0_u32;
    for four in of.chunks_exact(4).rev() {
        // SAFETY: there are four.
        let four = unsafe { _mm256_loadu_pd(four.as_ptr()) };
        reached = reached << 4 | _mm256_movemask_pd(_mm256_cmp_pd::<_CMP_LE_OQ>(four, number)).cast_unsigned();
    }
    let [low, ..] = reached.count_ones().to_le_bytes();
    low
}
