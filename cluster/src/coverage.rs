//! Coverage: per lane and matcher slice, the last position matched against that slice; and the frame rule by which overlaps
//! and repeats are harmless and holes are held.
//!
//! Invariant: the complete position of a lane, `min over slices`, never falls.

use crate::layout::MatcherSlice;
use crate::position::Number;

/// A set of slices of one layer, as bits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SliceSet {
    words: Vec<u64>,
}

impl SliceSet {
    /// Adds a slice.
    pub fn insert(&mut self, slice: MatcherSlice) {
        let word = usize::from(slice.0 / 64);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (slice.0 % 64);
    }

    /// Whether it holds a slice.
    #[must_use]
    pub fn contains(&self, slice: MatcherSlice) -> bool {
        self.words.get(usize::from(slice.0 / 64)).is_some_and(|word| word & (1 << (slice.0 % 64)) != 0)
    }

    /// The slices, in order.
    pub fn iter(&self) -> impl Iterator<Item = MatcherSlice> + '_ {
        (0_u16..).zip(&self.words).flat_map(|(index, &word)| {
            (0..64_u16).filter(move |bit| word & (1 << bit) != 0).map(move |bit| MatcherSlice(index * 64 + bit))
        })
    }

    /// How many slices it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The bits, 64 slices a word, lowest first: the form that travels.
    #[must_use]
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// From the form that travels.
    #[must_use]
    pub fn from_words(words: Vec<u64>) -> Self {
        Self { words }
    }
}

impl FromIterator<MatcherSlice> for SliceSet {
    fn from_iter<I: IntoIterator<Item = MatcherSlice>>(slices: I) -> Self {
        let mut set = Self::default();
        for slice in slices {
            set.insert(slice);
        }
        set
    }
}

/// Coverage of one lane.
#[derive(Clone, Debug)]
pub struct LaneCoverage {
    by_slice: Vec<Number>,
}

/// What a frame does to the coverage of one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// Extends every slice it names.
    Whole,
    /// Extends some of the slices it names; others are covered that far already.
    Partial,
    /// Covered already for every slice it names: drop it.
    Covered,
    /// Begins above the coverage of a slice it names: hold it.
    Hole,
}

impl LaneCoverage {
    /// Coverage of a lane of which everything up to `from` is taken as covered.
    #[must_use]
    pub fn new(slices: u16, from: Number) -> Self {
        Self { by_slice: vec![from; usize::from(slices)] }
    }

    /// The last position covered for a slice.
    #[must_use]
    pub fn get(&self, slice: MatcherSlice) -> Number {
        self.by_slice[usize::from(slice.0)]
    }

    /// What a frame for `slices` over `(from, to]` would do.
    #[must_use]
    pub fn judge(&self, slices: &SliceSet, from: Number, to: Number) -> Extension {
        let (mut extends, mut covered) = (false, false);
        for slice in slices.iter() {
            let have = self.get(slice);
            if have < from {
                return Extension::Hole;
            }
            if have < to {
                extends = true;
            } else {
                covered = true;
            }
        }
        match (extends, covered) {
            (true, false) => Extension::Whole,
            (true, true) => Extension::Partial,
            (false, _) => Extension::Covered,
        }
    }

    /// Raises the coverage of `slices` to `to`.
    pub fn extend(&mut self, slices: &SliceSet, to: Number) {
        for slice in slices.iter() {
            let have = &mut self.by_slice[usize::from(slice.0)];
            *have = (*have).max(to);
        }
    }

    /// The last complete position: covered for every slice.
    #[must_use]
    pub fn complete(&self) -> Number {
        self.by_slice.iter().copied().min().unwrap_or(Number::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(slices: &[u16]) -> SliceSet {
        slices.iter().map(|&slice| MatcherSlice(slice)).collect()
    }

    #[test]
    fn a_position_is_complete_when_every_slice_covers_it() {
        let mut coverage = LaneCoverage::new(3, Number::ZERO);
        coverage.extend(&set(&[0, 2]), Number(7));
        assert_eq!(coverage.complete(), Number(0));
        coverage.extend(&set(&[1]), Number(5));
        assert_eq!(coverage.complete(), Number(5));
    }

    #[test]
    fn a_frame_extends_repeats_or_leaves_a_hole() {
        let mut coverage = LaneCoverage::new(2, Number::ZERO);
        assert_eq!(coverage.judge(&set(&[0, 1]), Number(0), Number(4)), Extension::Whole);
        coverage.extend(&set(&[0]), Number(4));
        assert_eq!(coverage.judge(&set(&[0, 1]), Number(0), Number(4)), Extension::Partial);
        assert_eq!(coverage.judge(&set(&[0]), Number(1), Number(4)), Extension::Covered);
        assert_eq!(coverage.judge(&set(&[0]), Number(5), Number(6)), Extension::Hole);
    }

    #[test]
    fn slice_sets_keep_their_members_in_order() {
        let slices = set(&[200, 3, 64, 63]);
        assert_eq!(slices.iter().map(|slice| slice.0).collect::<Vec<_>>(), [3, 63, 64, 200]);
        assert_eq!(slices.len(), 4);
        assert!(slices.contains(MatcherSlice(64)) && !slices.contains(MatcherSlice(65)));
    }
}
