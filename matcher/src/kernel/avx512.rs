//! 64 lanes at once: the table of codes lies in four registers, and `vpermi2b` looks a feature up in two of them. Distances and
//! minima instead of comparisons, because comparing into masks is done by one execution port alone.

use std::arch::x86_64::{
    __m512i, _mm512_loadu_si512, _mm512_mask_blend_epi8, _mm512_mask_cmple_epu8_mask, _mm512_mask_cmplt_epu8_mask,
    _mm512_mask_test_epi8_mask, _mm512_maskz_compress_epi32, _mm512_maskz_loadu_epi8, _mm512_max_epu8, _mm512_min_epu8,
    _mm512_movepi8_mask, _mm512_permutex2var_epi8, _mm512_set1_epi8, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_sub_epi8,
};

use super::{Codes, Columns, Verdict, low_bits};

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
pub(super) unsafe fn judge(codes: &Codes, all: &[Columns<'_>], verdicts: &mut [Verdict]) {
    let table = Table::of(codes);
    let missing = _mm512_set1_epi8(-1);
    for (&Columns { bytes, capacity, first, tests, lanes }, verdict) in all.iter().zip(verdicts) {
        let mask = low_bits(lanes);
        let (mut may, mut nearest, mut highest) = (mask, missing, _mm512_setzero_si512());
        // SAFETY: within the columns, or not used.
        let mut at = unsafe { bytes.as_ptr().add(if tests == 0 { 0 } else { first }) };
        for _ in 0..tests {
            // SAFETY: the caller's promise; masked lanes are not read.
            let (feature, low, high) = unsafe {
                (
                    _mm512_maskz_loadu_epi8(mask, at.cast()),
                    _mm512_maskz_loadu_epi8(mask, at.add(capacity).cast()),
                    _mm512_maskz_loadu_epi8(mask, at.add(2 * capacity).cast()),
                )
            };
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
        *verdict = Verdict { may, surely: _mm512_mask_test_epi8_mask(may, nearest, nearest) };
    }
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
