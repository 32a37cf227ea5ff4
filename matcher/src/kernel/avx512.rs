//! 64 lanes at once: the table of codes lies in four registers, and `vpermi2b` looks a feature up in two of them. Distances and
//! minima instead of comparisons, because comparing into masks is done by one execution port alone.

use std::arch::x86_64::{
    __m512i, _CMP_LE_OQ, _mm512_cmp_pd_mask, _mm512_cmpeq_epi8_mask, _mm512_cmpgt_epu8_mask, _mm512_cmplt_epu8_mask,
    _mm512_loadu_pd, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mask_cmpge_epu8_mask,
    _mm512_mask_cmpgt_epu8_mask, _mm512_mask_cmple_epu8_mask, _mm512_mask_cmplt_epu8_mask, _mm512_mask_test_epi8_mask,
    _mm512_maskz_compress_epi32, _mm512_maskz_loadu_epi8, _mm512_max_epu8, _mm512_min_epu8, _mm512_movepi8_mask,
    _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_set1_pd, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_sub_epi8,
};

use super::{Ask, Coded, Codes, Columns, GROUP, LANES, MOST_HAVE, Publications, Reaches, Verdict, low_bits};

/// A table of 256 bytes in registers.
#[derive(Clone, Copy)]
struct Table([__m512i; 4]);

impl Table {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn of(codes: &Codes) -> Self {
        let table: *const u8 = codes.as_ptr();
        // SAFETY: the table has 256 bytes.
        let quarter = |index: usize| unsafe { _mm512_loadu_si512(table.add(64 * index).cast()) };
        Self([quarter(0), quarter(1), quarter(2), quarter(3)])
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
    fn look_up(self, feature: __m512i) -> __m512i {
        let Self([t0, t1, t2, t3]) = self;
        let lower = _mm512_permutex2var_epi8(t0, feature, t1);
        let upper = _mm512_permutex2var_epi8(t2, feature, t3);
        _mm512_mask_blend_epi8(_mm512_movepi8_mask(feature), lower, upper)
    }
}

/// # Safety
/// Each of the `3 * tests` columns has at least `first + lanes` bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn judge(of: Publications<'_>, columns: &Columns<'_>, asks: &[Ask], verdicts: &mut [Verdict]) {
    for (&Ask { publication, skipped }, verdict) in asks.iter().zip(verdicts) {
        let table = Table::of(&of.coded[usize::from(publication)].codes);
        let skipped = usize::from(skipped);
        // SAFETY: the caller's promise.
        *verdict = unsafe {
            if columns.lanes == LANES {
                judge_one::<true>(table, columns, skipped)
            } else {
                judge_one::<false>(table, columns, skipped)
            }
        };
    }
}

/// # Safety
/// As above; `WHOLE` only of 64 lanes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn judge_one<const WHOLE: bool>(table: Table, columns: &Columns<'_>, skipped: usize) -> Verdict {
    let &Columns { bytes, capacity, first, tests, lanes, .. } = columns;
    let missing = _mm512_set1_epi8(-1);
    let mask = low_bits(lanes);
    let (mut may, mut nearest, mut highest) = (mask, missing, _mm512_setzero_si512());
    // SAFETY: within the columns, or not used.
    let mut at = unsafe { bytes.as_ptr().add(if tests <= skipped { 0 } else { first + 3 * skipped * capacity }) };
    for test in skipped..tests {
        // SAFETY: the caller's promise; masked lanes are not read. Loading without a mask takes fewer operations.
        let load = |column: usize| unsafe {
            let column = at.add(column * capacity);
            if WHOLE { _mm512_loadu_si512(column.cast()) } else { _mm512_maskz_loadu_epi8(mask, column.cast()) }
        };
        let (feature, low, high) = (load(0), load(1), load(2));
        if test >= MOST_HAVE && _mm512_mask_test_epi8_mask(may, feature, feature) == 0 {
            // Lanes that have fewer tests than others have ones that always pass.
            break;
        }
        at = at.wrapping_add(3 * capacity);
        let code = table.look_up(feature);
        let (distance, width) = (_mm512_sub_epi8(code, low), _mm512_sub_epi8(high, low));
        may = _mm512_mask_cmple_epu8_mask(may, distance, width);
        nearest = _mm512_min_epu8(nearest, _mm512_min_epu8(distance, _mm512_sub_epi8(width, distance)));
        highest = _mm512_max_epu8(highest, code);
        if may == 0 {
            break;
        }
    }
    may = _mm512_mask_cmplt_epu8_mask(may, highest, missing);
    Verdict { may, surely: _mm512_mask_test_epi8_mask(may, nearest, nearest) }
}

/// # Safety
/// Each of the `3 * tests` columns and the `2 * tests` fine ones has at least `first + lanes` bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn refine(coded: &Coded, columns: &Columns<'_>, skipped: usize, verdict: Verdict) -> Verdict {
    let (table, fine_table) = (Table::of(&coded.codes), Table::of(&coded.fine));
    let &Columns { bytes, fine, capacity, first, tests, lanes } = columns;
    let mask = low_bits(lanes);
    let (mut fails, mut open) = (0, 0);
    for test in skipped..tests {
        // SAFETY: the caller's promise; masked lanes are not read.
        let load = |bytes: &[u8], column: usize| unsafe {
            _mm512_maskz_loadu_epi8(mask, bytes.as_ptr().add(column * capacity + first).cast())
        };
        let (feature, low, high) = (load(bytes, 3 * test), load(bytes, 3 * test + 1), load(bytes, 3 * test + 2));
        let (fine_low, fine_high) = (load(fine, 2 * test), load(fine, 2 * test + 1));
        let (code, fine_code) = (table.look_up(feature), fine_table.look_up(feature));
        let at_low = _mm512_cmpeq_epi8_mask(code, low);
        let at_high = _mm512_cmpeq_epi8_mask(code, high);
        fails |= _mm512_mask_cmpgt_epu8_mask(at_low, fine_low, fine_code);
        fails |= _mm512_mask_cmpgt_epu8_mask(at_high, fine_code, fine_high);
        open |= _mm512_mask_cmpge_epu8_mask(at_low, fine_low, fine_code);
        open |= _mm512_mask_cmpge_epu8_mask(at_high, fine_code, fine_high);
    }
    let may = verdict.may & !fails;
    Verdict { may, surely: may & !open }
}

/// # Safety
/// All columns are as long as the first.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn reach(codes: &Codes, code: u8, all: Reaches<'_>, first: usize) -> (u64, u64) {
    let table = Table::of(codes);
    let mask = low_bits(all.low.len() - first);
    // SAFETY: the caller's promise; masked blocks are not read.
    let load = |column: &[u8]| unsafe { _mm512_maskz_loadu_epi8(mask, column.as_ptr().add(first).cast()) };
    let code = _mm512_set1_epi8(code.cast_signed());
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
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn select(from: *const u32, mut lanes: u64, into: *mut u32) -> usize {
    let mut count = 0;
    for line in 0..4 {
        let mask = u16::try_from(lanes & 0xffff).expect("16 bits");
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
