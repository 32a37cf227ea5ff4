//! Which blocks do publications reach? Bounds of many blocks are compared at a time, for one publication after the other;
//! what comes of it is turned, so that each block is gone through once for all.

use super::super::quantiser::OPEN_HIGH;
use super::super::scratch::TOGETHER;
use super::Steps;
use crate::kernel::{Coded, Kernel, LANES, Lead, Publications, Reaches};

/// So few publications that blocks are given for each on its own.
const FEW: u32 = 6;

impl Steps {
    /// Gives the blocks that publications may match, each with who may, up to 64 at a time. All lanes have their first test of this
    /// feature, if one is said. Asked for are the publications whose bits are set, the first as the lowest.
    #[inline]
    pub fn reach(
        &self,
        kernel: Kernel,
        of: Publications<'_>,
        feature: Option<u8>,
        asking: u64,
        found: &mut impl FnMut(&[Reached]),
    ) {
        let Self { lead, low, high, low_max, high_min, other, other_low, other_high, .. } = self;
        let all = Reaches { low, high, low_max, high_min, other, other_low, other_high };
        for first in (0..low.len()).step_by(LANES) {
            let reach = |coded: &Coded| {
                let lead = match feature {
                    // What is no number is in no range.
                    Some(feature) if coded.codes[usize::from(feature)] > OPEN_HIGH => return (0, 0),
                    Some(feature) => Lead::Code(coded.codes[usize::from(feature)]),
                    None => Lead::Features(lead),
                };
                kernel.reach(coded, of.features, lead, all, first)
            };
            if asking.count_ones() <= FEW {
                let mut rest = asking;
                while rest != 0 {
                    let publication = rest.trailing_zeros() as usize;
                    rest &= rest - 1;
                    self.give_alone(first, publication, reach(&of.coded[publication]), found);
                }
                continue;
            }
            let (mut who, mut inside, mut any) = ([0; TOGETHER], [0; TOGETHER], 0);
            let mut rest = asking;
            while rest != 0 {
                let publication = rest.trailing_zeros() as usize;
                rest &= rest - 1;
                // All lanes of a block that lies around the number pass their first test.
                (who[publication], inside[publication]) = reach(&of.coded[publication]);
                any |= who[publication];
            }
            let (who, inside) = (turned(&who), turned(&inside));
            let (mut reached, mut count) = ([Reached::default(); LANES], 0);
            while any != 0 {
                let at = any.trailing_zeros() as usize;
                any &= any - 1;
                reached[count] = Reached { block: self.blocks[first + at], who: who[at], inside: inside[at] };
                count += 1;
            }
            found(&reached[..count]);
        }
    }

    /// What a publication reaches, of the blocks from `first` on.
    #[inline]
    fn give_alone(
        &self,
        first: usize,
        publication: usize,
        (mut who, inside): (u64, u64),
        found: &mut impl FnMut(&[Reached]),
    ) {
        let (mut reached, mut count) = ([Reached::default(); LANES], 0);
        while who != 0 {
            let at = who.trailing_zeros() as usize;
            who &= who - 1;
            let inside = (inside >> at & 1) << publication;
            reached[count] = Reached { block: self.blocks[first + at], who: 1 << publication, inside };
            count += 1;
        }
        found(&reached[..count]);
    }
}

/// A block and the publications that may match lanes of it, as bits, the first as the lowest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reached {
    /// Which block.
    pub block: u32,
    /// Who may.
    pub who: u64,
    /// Those of them who surely pass the first test of all its lanes.
    pub inside: u64,
}

/// Rows of bits as columns.
fn turned(rows: &[u64; TOGETHER]) -> [u64; LANES] {
    const { assert!(TOGETHER == LANES, "a square") }
    // Squares of bits, of which two change places, then squares of half the size within each of them.
    let mut columns = *rows;
    let (mut side, mut mask) = (LANES / 2, u64::MAX >> (LANES / 2));
    while side > 0 {
        for at in (0..LANES).filter(|at| at & side == 0) {
            let moved = (columns[at] >> side ^ columns[at + side]) & mask;
            columns[at + side] ^= moved;
            columns[at] ^= moved << side;
        }
        side /= 2;
        mask ^= mask << side;
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_bits_are_turned_into_columns() {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state ^ state >> 29
        };
        for filled in [1, 2, 31, TOGETHER] {
            let mut rows = [0; TOGETHER];
            rows[..filled].fill_with(&mut next);
            let columns = turned(&rows);
            for (at, column) in columns.into_iter().enumerate() {
                for (row, bits) in rows.into_iter().enumerate() {
                    assert_eq!(bits >> at & 1, column >> row & 1, "bit {at} of row {row}, {filled} filled");
                }
            }
        }
    }
}
