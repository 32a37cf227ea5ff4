//! 64 lanes at once: the table of codes lies in four registers, and `vpermi2b` looks a feature up in two of them.

use std::arch::x86_64::{
    _mm512_cmpge_epu8_mask, _mm512_cmpgt_epu8_mask, _mm512_cmple_epu8_mask, _mm512_cmplt_epu8_mask, _mm512_loadu_si512,
    _mm512_mask_blend_epi8, _mm512_maskz_loadu_epi8, _mm512_movepi8_mask, _mm512_permutex2var_epi8,
};

use super::{Codes, Columns, Verdict, low_bits};

/// # Safety
/// Each of the `3 * tests` columns has at least `first + lanes` bytes.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
pub(super) unsafe fn judge(codes: &Codes, all: &[Columns<'_>], verdicts: &mut [Verdict]) {
    let table: *const u8 = codes.as_ptr();
    // SAFETY: the table has 256 bytes.
    let quarter = |index: usize| unsafe { _mm512_loadu_si512(table.add(64 * index).cast()) };
    let (t0, t1, t2, t3) = (quarter(0), quarter(1), quarter(2), quarter(3));
    for (&Columns { bytes, capacity, first, tests, lanes }, verdict) in all.iter().zip(verdicts) {
        let mask = low_bits(lanes);
        let (mut may, mut surely) = (mask, mask);
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
            let lower = _mm512_permutex2var_epi8(t0, feature, t1);
            let upper = _mm512_permutex2var_epi8(t2, feature, t3);
            let code = _mm512_mask_blend_epi8(_mm512_movepi8_mask(feature), lower, upper);
            may &= _mm512_cmpge_epu8_mask(code, low) & _mm512_cmple_epu8_mask(code, high);
            surely &= _mm512_cmpgt_epu8_mask(code, low) & _mm512_cmplt_epu8_mask(code, high);
            if may == 0 {
                break;
            }
        }
        *verdict = Verdict { may, surely: surely & may };
    }
}
