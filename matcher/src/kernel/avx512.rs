//! 64 lanes at once: the table of codes lies in one, two or four registers, and `vpermb` looks a feature up.

use std::arch::x86_64::{
    __m512i, _CMP_LE_OQ, _mm512_cmp_pd_mask, _mm512_cmpeq_epi8_mask, _mm512_cmpgt_epu8_mask, _mm512_cmplt_epu8_mask,
    _mm512_loadu_pd, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mask_cmpge_epu8_mask,
    _mm512_mask_cmpgt_epu8_mask, _mm512_mask_cmple_epu8_mask, _mm512_mask_cmplt_epu8_mask, _mm512_maskz_compress_epi32,
    _mm512_maskz_loadu_epi8, _mm512_max_epu8, _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_permutexvar_epi8,
    _mm512_set1_epi8, _mm512_set1_pd, _mm512_setzero_si512, _mm512_storeu_si512, _mm512_sub_epi8,
    _mm512_testn_epi8_mask,
};

use super::{ASKS_MAX, Ask, Coded, Codes, Columns, FEW, GROUP, Lead, Publications, Reaches, Verdict, low_bits};

/// The codes of the first `64 * QUARTERS` features.
#[derive(Clone, Copy)]
struct Table<const QUARTERS: usize>([__m512i; QUARTERS]);

impl<const QUARTERS: usize> Table<QUARTERS> {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn of(codes: &Codes) -> Self {
        let mut all = [_mm512_setzero_si512(); QUARTERS];
        for (quarter, codes) in all.iter_mut().zip(codes.chunks_exact(64)) {
            // SAFETY: 64 bytes.
            *quarter = unsafe { _mm512_loadu_si512(codes.as_ptr().cast()) };
        }
        Self(all)
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn look_up(&self, feature: __m512i) -> __m512i {
        match *self.0.as_slice() {
            [only] => _mm512_permutexvar_epi8(feature, only),
            [lower, upper] => _mm512_permutex2var_epi8(lower, feature, upper),
            [t0, t1, t2, t3] => {
                let lower = _mm512_permutex2var_epi8(t0, feature, t1);
                let upper = _mm512_permutex2var_epi8(t2, feature, t3);
                _mm512_mask_blend_epi8(_mm512_movepi8_mask(feature), lower, upper)
            }
            _ => unreachable!("one, two or four"),
        }
    }
}

/// With as many quarters of the features as are in use, or one more.
macro_rules! with_quarters {
    ($features:expr, $call:ident $(<$more:ident>)? ( $($argument:expr),* )) => {
        match $features.div_ceil(64) {
            0..=1 => $call::<1 $(, $more)?>($($argument),*),
            2 => $call::<2 $(, $more)?>($($argument),*),
            _ => $call::<4 $(, $more)?>($($argument),*),
        }
    };
}

/// Judges, and if it `REFINES` decides by fine codes what bounds leave open, with columns that are in registers already.
///
/// # Safety
/// Each of the `3 * tests` columns and, if it refines, of the `2 * tests` fine ones has at least `first + lanes` bytes; there are as many
/// verdicts as questions.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn judge<const REFINES: bool>(
    of: Publications<'_>,
    columns: &Columns<'_>,
    asks: &[Ask],
    verdicts: &mut [Verdict],
) {
    // SAFETY: the caller's promise.
    unsafe { with_quarters!(of.features, judge_by<REFINES>(of, columns, asks, verdicts)) }
}

/// # Safety
/// As above.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn judge_by<const QUARTERS: usize, const REFINES: bool>(
    of: Publications<'_>,
    columns: &Columns<'_>,
    asks: &[Ask],
    verdicts: &mut [Verdict],
) {
    // SAFETY: the caller's promise.
    unsafe {
        match columns.tests {
            0 => verdicts.fill(Verdict { may: low_bits(columns.lanes), surely: low_bits(columns.lanes) }),
            1 => judge_all::<QUARTERS, 1, REFINES>(of, columns, asks, verdicts),
            2 => judge_all::<QUARTERS, 2, REFINES>(of, columns, asks, verdicts),
            3 => judge_all::<QUARTERS, 3, REFINES>(of, columns, asks, verdicts),
            4 => judge_all::<QUARTERS, 4, REFINES>(of, columns, asks, verdicts),
            5 => judge_all::<QUARTERS, 5, REFINES>(of, columns, asks, verdicts),
            6 => judge_all::<QUARTERS, 6, REFINES>(of, columns, asks, verdicts),
            tests => unreachable!("{tests} tests"),
        }
    }
}

/// Columns in registers, where they stay for all publications.
#[derive(Clone, Copy)]
struct Loaded<const TESTS: usize> {
    mask: u64,
    features: [__m512i; TESTS],
    lows: [__m512i; TESTS],
    /// From the low bound to the high one.
    widths: [__m512i; TESTS],
    /// One less.
    inner: [__m512i; TESTS],
}

impl<const TESTS: usize> Loaded<TESTS> {
    /// # Safety
    /// Each of the `3 * TESTS` columns has at least `first + lanes` bytes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn of(columns: &Columns<'_>) -> Self {
        let &Columns { bytes, capacity, first, lanes, .. } = columns;
        let (zero, one) = (_mm512_setzero_si512(), _mm512_set1_epi8(1));
        let mask = low_bits(lanes);
        // SAFETY: the caller's promise; masked lanes are not read.
        let load = |column: usize| unsafe {
            _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().add(column * capacity + first).cast())
        };
        let mut all =
            Self { mask, features: [zero; TESTS], lows: [zero; TESTS], widths: [zero; TESTS], inner: [zero; TESTS] };
        for test in 0..TESTS {
            (all.features[test], all.lows[test]) = (load(3 * test), load(3 * test + 1));
            all.widths[test] = _mm512_sub_epi8(load(3 * test + 2), all.lows[test]);
            all.inner[test] = _mm512_sub_epi8(all.widths[test], one);
        }
        all
    }

    /// All of them are compared: it takes less than to ask whether it is of use.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn judge<const QUARTERS: usize>(&self, coded: &Coded) -> Verdict {
        let (one, missing) = (_mm512_set1_epi8(1), _mm512_set1_epi8(-1));
        let table = Table::<QUARTERS>::of(&coded.codes);
        let (mut may, mut surely, mut highest) = (self.mask, self.mask, _mm512_setzero_si512());
        for test in 0..TESTS {
            let code = table.look_up(self.features[test]);
            let distance = _mm512_sub_epi8(code, self.lows[test]);
            may = _mm512_mask_cmple_epu8_mask(may, distance, self.widths[test]);
            // Neither none nor all of the width: one less than none is more than anything.
            surely = _mm512_mask_cmplt_epu8_mask(surely, _mm512_sub_epi8(distance, one), self.inner[test]);
            highest = _mm512_max_epu8(highest, code);
        }
        may = _mm512_mask_cmplt_epu8_mask(may, highest, missing);
        Verdict { may, surely: may & surely }
    }

    /// Where the code is at a bound, the fine code decides. Tests that all lanes surely pass are at none.
    ///
    /// # Safety
    /// Each of the `2 * TESTS` fine columns has at least `first + lanes` bytes.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    unsafe fn refine<const QUARTERS: usize>(&self, coded: &Coded, columns: &Columns<'_>, verdict: Verdict) -> Verdict {
        let &Columns { fine, capacity, first, .. } = columns;
        let (table, fine_table) = (Table::<QUARTERS>::of(&coded.codes), Table::<QUARTERS>::of(&coded.fine));
        let (mut fails, mut open) = (0, 0);
        for test in 0..TESTS {
            // SAFETY: the caller's promise; masked lanes are not read.
            let load = |column: usize| unsafe {
                _mm512_maskz_loadu_epi8(self.mask, fine.as_ptr().add(column * capacity + first).cast())
            };
            let distance = _mm512_sub_epi8(table.look_up(self.features[test]), self.lows[test]);
            let fine_code = fine_table.look_up(self.features[test]);
            let (at_low, fine_low) = (_mm512_testn_epi8_mask(distance, distance), load(2 * test));
            let (at_high, fine_high) = (_mm512_cmpeq_epi8_mask(distance, self.widths[test]), load(2 * test + 1));
            fails |= _mm512_mask_cmpgt_epu8_mask(at_low, fine_low, fine_code);
            fails |= _mm512_mask_cmpgt_epu8_mask(at_high, fine_code, fine_high);
            open |= _mm512_mask_cmpge_epu8_mask(at_low, fine_low, fine_code);
            open |= _mm512_mask_cmpge_epu8_mask(at_high, fine_code, fine_high);
        }
        let may = verdict.may & !fails;
        Verdict { may, surely: may & !open }
    }
}

/// # Safety
/// As above, of as many tests.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn judge_all<const QUARTERS: usize, const TESTS: usize, const REFINES: bool>(
    of: Publications<'_>,
    columns: &Columns<'_>,
    asks: &[Ask],
    verdicts: &mut [Verdict],
) {
    // SAFETY: the caller's promise.
    let loaded = unsafe { Loaded::<TESTS>::of(columns) };
    // Whether something is open cannot be foreseen, so those of which something is are first counted, and not asked about.
    let (mut open, mut count) = ([0_u8; ASKS_MAX], 0);
    for (at, (ask, verdict)) in (0..).zip(asks.iter().zip(verdicts.iter_mut())) {
        *verdict = loaded.judge::<QUARTERS>(&of.coded[usize::from(ask.publication)]);
        open[count] = at;
        count += usize::from(REFINES && verdict.may != verdict.surely);
    }
    for &at in &open[..count] {
        let verdict = &mut verdicts[usize::from(at)];
        let coded = &of.coded[usize::from(asks[usize::from(at)].publication)];
        // SAFETY: the caller's promise, which holds for fine columns where something is counted.
        *verdict = unsafe { loaded.refine::<QUARTERS>(coded, columns, *verdict) };
    }
}

/// # Safety
/// All columns are as long as the first.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn reach(
    codes: &Codes,
    features: usize,
    lead: Lead<'_>,
    all: Reaches<'_>,
    first: usize,
) -> (u64, u64) {
    // SAFETY: the caller's promise.
    unsafe { with_quarters!(features, reach_by(codes, lead, all, first)) }
}

/// # Safety
/// As above.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn reach_by<const QUARTERS: usize>(codes: &Codes, lead: Lead<'_>, all: Reaches<'_>, first: usize) -> (u64, u64) {
    let table = Table::<QUARTERS>::of(codes);
    let mask = low_bits(all.low.len() - first);
    // SAFETY: the caller's promise; masked blocks are not read.
    let load = |column: &[u8]| unsafe { _mm512_maskz_loadu_epi8(mask, column.as_ptr().add(first).cast()) };
    let code = match lead {
        Lead::Code(code) => _mm512_set1_epi8(code.cast_signed()),
        Lead::Features(lead) => table.look_up(load(lead)),
    };
    let other = table.look_up(load(all.other));
    let reached = _mm512_mask_cmple_epu8_mask(mask, load(all.low), code);
    let reached = _mm512_mask_cmple_epu8_mask(reached, code, load(all.high));
    let reached = _mm512_mask_cmple_epu8_mask(reached, load(all.other_low), other);
    let reached = _mm512_mask_cmple_epu8_mask(reached, other, load(all.other_high));
    let inside = _mm512_cmplt_epu8_mask(load(all.low_max), code) & _mm512_cmpgt_epu8_mask(load(all.high_min), code);
    (reached, inside)
}

/// Writes those of 64 elements of four bytes whose bits are set; says how many.
///
/// # Safety
/// 64 elements can be read, and 64 written.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt,bmi1,bmi2")]
pub(super) unsafe fn select(from: *const u32, mut lanes: u64, into: *mut u32) -> usize {
    let all = lanes.count_ones();
    if all <= FEW {
        // Always so many, because how many cannot be foreseen; those beyond are not counted.
        for place in 0..FEW as usize {
            let lane = lanes.trailing_zeros() & 63;
            lanes &= lanes.wrapping_sub(1);
            // SAFETY: the caller's promise.
            unsafe { into.add(place).write(*from.add(lane as usize)) };
        }
        return all as usize;
    }
    let mut count = 0;
    for line in 0..4 {
        let mask = (lanes & 0xffff) as u16;
        lanes >>= 16;
        // SAFETY: the caller's promise: after `16 * line` elements at most as many were written.
        unsafe {
            let elements = _mm512_loadu_si512(from.add(16 * line).cast());
            _mm512_storeu_si512(into.add(count).cast(), _mm512_maskz_compress_epi32(mask, elements));
        }
        count += mask.count_ones() as usize;
    }
    count
}

/// How many of these are not above a number; none that is NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi,popcnt")]
pub(super) fn count_reached(of: &[f64; GROUP], number: f64) -> u8 {
    let number = _mm512_set1_pd(number);
    // SAFETY: there are sixteen.
    let (first, second) = unsafe { (_mm512_loadu_pd(of.as_ptr()), _mm512_loadu_pd(of.as_ptr().add(8))) };
    let first = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(first, number);
    let second = _mm512_cmp_pd_mask::<_CMP_LE_OQ>(second, number);
    let [low, ..] = (u16::from(first) | u16::from(second) << 8).count_ones().to_le_bytes();
    low
}
