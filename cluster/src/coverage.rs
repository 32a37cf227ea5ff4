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

    /// Takes a slice out.
    pub fn remove(&mut self, slice: MatcherSlice) {
        if let Some(word) = self.words.get_mut(usize::from(slice.0 / 64)) {
            *word &= !(1 << (slice.0 % 64));
        }
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

    /// Whether it holds one that the other holds too.
    #[must_use]
    pub fn intersects(&self, other: &Self) -> bool {
        self.words.iter().zip(&other.words).any(|(mine, theirs)| mine & theirs != 0)
    }

    /// Whether the other one holds all of its slices.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let theirs = other.words.iter().copied().chain(std::iter::repeat(0));
        self.words.iter().zip(theirs).all(|(mine, theirs)| mine & !theirs == 0)
    }

    /// Takes out what `other` holds as well, and returns it.
    fn split(&mut self, other: &Self) -> Self {
        let take = |(mine, theirs): (&mut u64, &u64)| {
            let both = *mine & theirs;
            *mine &= !both;
            both
        };
        Self { words: self.words.iter_mut().zip(&other.words).map(take).collect() }
    }

    /// Adds what the other holds.
    pub fn unite(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (mine, theirs) in self.words.iter_mut().zip(&other.words) {
            *mine |= theirs;
        }
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

/// Coverage of one lane. Slices that are always judged together (those of one matcher shard, as a rule) are one part with
/// one number, so that a frame costs what there are parts, not what there are slices.
#[derive(Clone, Debug)]
pub struct LaneCoverage {
    /// Disjoint, none empty, together all slices.
    parts: Vec<Part>,
}

/// Slices covered equally far.
#[derive(Clone, Debug)]
struct Part {
    slices: SliceSet,
    through: Number,
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
        let slices = (0..slices).map(MatcherSlice).collect::<SliceSet>();
        Self { parts: if slices.is_empty() { Vec::new() } else { vec![Part { slices, through: from }] } }
    }

    /// The last position covered for a slice; zero for one that does not exist.
    #[must_use]
    pub fn get(&self, slice: MatcherSlice) -> Number {
        self.parts.iter().find(|part| part.slices.contains(slice)).map_or(Number::ZERO, |part| part.through)
    }

    /// What a frame for `slices` over `(from, to]` would do.
    #[must_use]
    pub fn judge(&self, slices: &SliceSet, from: Number, to: Number) -> Extension {
        let (mut extends, mut covered) = (false, false);
        for part in self.parts.iter().filter(|part| part.slices.intersects(slices)) {
            let have = part.through;
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
        let mut split = Vec::new();
        for part in self.parts.iter_mut().filter(|part| part.through < to && part.slices.intersects(slices)) {
            if part.slices.is_within(slices) {
                part.through = to;
            } else {
                split.push(Part { slices: part.slices.split(slices), through: to });
            }
        }
        if !split.is_empty() {
            self.parts.append(&mut split);
            self.coalesce();
        }
    }

    /// Makes one part of those that are covered equally far. Only after a split: parts that meet by chance part again.
    fn coalesce(&mut self) {
        self.parts.sort_by_key(|part| part.through);
        self.parts.dedup_by(|part, kept| {
            let equal = part.through == kept.through;
            if equal {
                kept.slices.unite(&part.slices);
            }
            equal
        });
    }

    /// The last complete position: covered for every slice.
    #[must_use]
    pub fn complete(&self) -> Number {
        self.parts.iter().map(|part| part.through).min().unwrap_or(Number::ZERO)
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
    fn parts_say_the_same_as_a_number_for_each_slice() {
        const SLICES: u16 = 130;
        let (mut coverage, mut plain) =
            (LaneCoverage::new(SLICES, Number::ZERO), vec![Number::ZERO; usize::from(SLICES)]);
        let mut state = 1_u64;
        let mut below = |limit: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % limit
        };
        let mut verdicts = [0; 4];
        for _ in 0..5000 {
            let (first, step) = (below(u64::from(SLICES)), 1 + below(7));
            let last = first + below(u64::from(SLICES) - first);
            let chosen = (first..=last).step_by(usize::try_from(step).expect("small"));
            let chosen = chosen.map(|slice| u16::try_from(slice).expect("small")).collect::<Vec<_>>();
            let from = Number(coverage.complete().0.saturating_sub(3) + below(8));
            let to = Number(from.0 + 1 + below(5));
            let have = chosen.iter().map(|&slice| plain[usize::from(slice)]).collect::<Vec<_>>();
            let expected = if have.iter().any(|&have| have < from) {
                Extension::Hole
            } else if have.iter().all(|&have| have < to) {
                Extension::Whole
            } else if have.iter().any(|&have| have < to) {
                Extension::Partial
            } else {
                Extension::Covered
            };
            assert_eq!(coverage.judge(&set(&chosen), from, to), expected);
            verdicts[expected as usize] += 1;
            if expected != Extension::Hole || below(4) == 0 {
                coverage.extend(&set(&chosen), to);
                for &slice in &chosen {
                    plain[usize::from(slice)] = plain[usize::from(slice)].max(to);
                }
            }
            assert!((0..SLICES).all(|slice| coverage.get(MatcherSlice(slice)) == plain[usize::from(slice)]));
            assert_eq!(Some(coverage.complete()), plain.iter().copied().min());
        }
        assert!(verdicts.iter().all(|&count| count > 50), "each verdict was asked for: {verdicts:?}");
    }

    #[test]
    fn slice_sets_keep_their_members_in_order() {
        let slices = set(&[200, 3, 64, 63]);
        assert_eq!(slices.iter().map(|slice| slice.0).collect::<Vec<_>>(), [3, 63, 64, 200]);
        assert_eq!(slices.len(), 4);
        assert!(slices.contains(MatcherSlice(64)) && !slices.contains(MatcherSlice(65)));
    }
}
