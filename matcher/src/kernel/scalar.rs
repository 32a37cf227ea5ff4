//! What the kernel means, without instructions that a processor may lack.

use super::{Ask, Coded, Codes, Columns, GROUP, LANES, Lead, MISSING, Publications, Reaches, Verdict, low_bits};

pub(super) fn judge(of: Publications<'_>, columns: &Columns<'_>, asks: &[Ask], verdicts: &mut [Verdict]) {
    for (&Ask { publication, skipped }, verdict) in asks.iter().zip(verdicts) {
        *verdict = judge_one(&of.coded[usize::from(publication)].codes, columns, usize::from(skipped));
    }
}

#[inline(always)]
fn judge_one(codes: &Codes, columns: &Columns<'_>, skipped: usize) -> Verdict {
    let &Columns { bytes, capacity, first, tests, lanes, .. } = columns;
    let (mut may, mut surely) = ([1_u8; LANES], [1_u8; LANES]);
    for test in bytes.chunks_exact((3 * capacity).max(1)).take(tests).skip(skipped) {
        let column = |index: usize| &test[index * capacity + first..][..lanes];
        let mut found = [0_u8; LANES];
        for (code, &feature) in found.iter_mut().zip(column(0)) {
            *code = codes[usize::from(feature)];
        }
        for lane in 0..lanes {
            let (code, low, high) = (found[lane], column(1)[lane], column(2)[lane]);
            // How far from the low bound, and how far the high one is: both go around.
            let (distance, width) = (code.wrapping_sub(low), high.wrapping_sub(low));
            let within = u8::from(distance <= width) & u8::from(code != MISSING);
            may[lane] &= within;
            surely[lane] &= within & u8::from(distance != 0) & u8::from(distance != width);
        }
    }
    Verdict { may: bits(&may) & low_bits(lanes), surely: bits(&surely) & low_bits(lanes) }
}

fn bits(lanes: &[u8; LANES]) -> u64 {
    lanes.chunks_exact(8).rev().fold(0, |bits, eight| {
        let word = u64::from_le_bytes(eight.try_into().expect("a chunk of eight"));
        // Gathers the lowest bit of each byte: the products meet in the highest byte without carries.
        (bits << 8) | (word.wrapping_mul(0x0102_0408_1020_4080) >> 56)
    })
}

/// Appends the elements whose bits are set.
#[inline]
pub(super) fn select<T: Copy>(from: &[T], mut lanes: u64, into: &mut Vec<T>) {
    while lanes != 0 {
        into.push(from[lanes.trailing_zeros() as usize]);
        lanes &= lanes - 1;
    }
}

#[inline(always)]
pub(super) fn refine(coded: &Coded, columns: &Columns<'_>, skipped: usize, verdict: Verdict) -> Verdict {
    let (codes, fine_codes) = (&coded.codes, &coded.fine);
    let &Columns { bytes, fine, capacity, first, tests, lanes } = columns;
    let (mut may, mut surely) = ([1_u8; LANES], [1_u8; LANES]);
    for test in skipped..tests {
        let column = |index: usize| &bytes[(3 * test + index) * capacity + first..][..lanes];
        let fine_column = |index: usize| &fine[(2 * test + index) * capacity + first..][..lanes];
        for lane in 0..lanes {
            let feature = usize::from(column(0)[lane]);
            let (code, fine_code) = (codes[feature], fine_codes[feature]);
            let (low, high) = (fine_column(0)[lane], fine_column(1)[lane]);
            let (at_low, at_high) = (code == column(1)[lane], code == column(2)[lane]);
            may[lane] &= u8::from(!(at_low && fine_code < low || at_high && fine_code > high));
            surely[lane] &= u8::from(!(at_low && fine_code <= low || at_high && fine_code >= high));
        }
    }
    let may = verdict.may & bits(&may);
    Verdict { may, surely: may & bits(&surely) }
}

/// The same, looking at no other lanes than those that are open: what surely passes is at no bound.
#[inline]
pub(super) fn refine_open(coded: &Coded, columns: &Columns<'_>, skipped: usize, verdict: Verdict) -> Verdict {
    let (codes, fine_codes) = (&coded.codes, &coded.fine);
    let &Columns { bytes, fine, capacity, first, tests, .. } = columns;
    let Verdict { mut may, mut surely } = verdict;
    let mut open = may & !surely;
    while open != 0 {
        let lane = open.trailing_zeros() as usize;
        let bit = open & open.wrapping_neg();
        open &= open - 1;
        let (mut fails, mut is_open) = (false, false);
        // Of the lane alone, a column apart.
        let (mut bytes, mut fine) =
            (&bytes[(first + lane).min(bytes.len())..], &fine[(first + lane).min(fine.len())..]);
        bytes = bytes.get(3 * skipped * capacity..).unwrap_or(&[]);
        fine = fine.get(2 * skipped * capacity..).unwrap_or(&[]);
        for _ in skipped..tests {
            let (feature, low, high) = (usize::from(bytes[0]), bytes[capacity], bytes[2 * capacity]);
            let code = codes[feature];
            if code == low {
                fails |= fine_codes[feature] < fine[0];
                is_open |= fine_codes[feature] <= fine[0];
            }
            if code == high {
                fails |= fine_codes[feature] > fine[capacity];
                is_open |= fine_codes[feature] >= fine[capacity];
            }
            bytes = bytes.get(3 * capacity..).unwrap_or(&[]);
            fine = fine.get(2 * capacity..).unwrap_or(&[]);
        }
        if fails {
            may &= !bit;
        } else if !is_open {
            surely |= bit;
        }
    }
    Verdict { may, surely }
}

#[inline(always)]
pub(super) fn reach(codes: &Codes, lead: Lead<'_>, all: Reaches<'_>, first: usize) -> (u64, u64) {
    let (mut reached, mut inside) = (0, 0);
    for (bit, at) in (first..all.low.len().min(first + LANES)).enumerate() {
        let code = match lead {
            Lead::Code(code) => code,
            Lead::Features(lead) => codes[usize::from(lead[at])],
        };
        let other = codes[usize::from(all.other[at])];
        let first_reaches = all.low[at] <= code && code <= all.high[at];
        let other_reaches = all.other_low[at] <= other && other <= all.other_high[at];
        reached |= u64::from(first_reaches && other_reaches) << bit;
        inside |= u64::from(all.low_max[at] < code && code < all.high_min[at]) << bit;
    }
    (reached, inside)
}

#[inline]
pub(super) fn count_reached(of: &[f64; GROUP], number: f64) -> u8 {
    of.iter().map(|&boundary| u8::from(boundary <= number)).sum()
}
