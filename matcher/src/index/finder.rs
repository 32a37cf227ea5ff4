//! Numbers by hash: what a number stands for lies elsewhere, and the caller compares. Extendible hashing (Fagin et al., TODS
//! 1979): a segment that is full is split in two, so that the longest pause is that of moving a few hundred numbers, whatever
//! the size of the table.

use crate::kernel::prefetch;

/// Entries of a segment before it is split.
const SEGMENT_MAX: usize = 512;
const SEGMENT_MIN: usize = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    hash: u32,
    /// One more than the number; 0 where there is none.
    number: u32,
}

#[derive(Debug)]
struct Segment {
    /// A power of two of them; linear probing by the low bits of the hash.
    entries: Box<[Entry]>,
    length: usize,
    /// High bits of the hash that all entries share.
    depth: u32,
}

/// Numbers by hash.
#[derive(Debug)]
pub struct Finder {
    /// Segments by the high bits of the hash.
    directory: Vec<u32>,
    depth: u32,
    segments: Vec<Segment>,
    slots: usize,
    length: usize,
}

impl Finder {
    /// Holds nothing.
    pub fn new() -> Self {
        let first = Segment { entries: vec![Entry::default(); SEGMENT_MIN].into(), length: 0, depth: 0 };
        Self { directory: vec![0], depth: 0, segments: vec![first], slots: SEGMENT_MIN, length: 0 }
    }

    /// The number of this hash that `is_meant`.
    #[inline]
    pub fn find(&self, hash: u64, mut is_meant: impl FnMut(u32) -> bool) -> Option<u32> {
        let hash = short(hash);
        let entries = &self.segments[self.segment_of(hash)].entries;
        let mask = entries.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let entry = entries[at];
            if entry.number == 0 {
                return None;
            }
            if entry.hash == hash && is_meant(entry.number - 1) {
                return Some(entry.number - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// Asks for the memory that [`Finder::find`] will look at first.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let hash = short(hash);
        let entries = &self.segments[self.segment_of(hash)].entries;
        prefetch(&entries[hash as usize & (entries.len() - 1)]);
    }

    /// A number of this hash, probably the one that is meant.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds a number that is not in.
    pub fn insert(&mut self, hash: u64, number: u32) {
        let hash = short(hash);
        let mut index = self.segment_of(hash);
        loop {
            let segment = &mut self.segments[index];
            if 8 * (segment.length + 1) <= 7 * segment.entries.len() {
                segment.put(Entry { hash, number: number + 1 });
                break;
            }
            // Entries of one hash cannot be split: the directory stays in proportion, whatever they are.
            if segment.entries.len() < SEGMENT_MAX || (SEGMENT_MAX << segment.depth) > 16 * self.length + SEGMENT_MAX {
                self.slots += segment.entries.len();
                segment.grow();
            } else {
                self.split(index, hash);
                index = self.segment_of(hash);
            }
        }
        self.length += 1;
    }

    /// Takes a number out; it must be in.
    pub fn remove(&mut self, hash: u64, number: u32) {
        let hash = short(hash);
        let index = self.segment_of(hash);
        self.segments[index].take(Entry { hash, number: number + 1 });
        self.length -= 1;
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.slots * size_of::<Entry>()
            + self.segments.capacity() * size_of::<Segment>()
            + self.directory.capacity() * size_of::<u32>()
    }

    #[inline]
    fn segment_of(&self, hash: u32) -> usize {
        self.directory[high_bits(hash, self.depth)] as usize
    }

    /// Splits a segment that holds entries like `hash`.
    fn split(&mut self, index: usize, hash: u32) {
        let depth = self.segments[index].depth;
        if depth == self.depth {
            self.directory = self.directory.iter().flat_map(|&segment| [segment, segment]).collect();
            self.depth += 1;
        }
        let room = self.segments[index].entries.len();
        let fresh = || Segment { entries: vec![Entry::default(); room].into(), length: 0, depth: depth + 1 };
        let full = std::mem::replace(&mut self.segments[index], fresh());
        let mut other = fresh();
        let bit = 1 << (31 - depth);
        for &entry in full.entries.iter().filter(|entry| entry.number != 0) {
            let segment = if entry.hash & bit == 0 { &mut self.segments[index] } else { &mut other };
            segment.put(entry);
        }
        let number = u32::try_from(self.segments.len()).expect("segments are fewer than entries");
        self.segments.push(other);
        self.slots += room;
        // The places of a segment stand together; the upper half of them goes to the other.
        let half = 1_usize << (self.depth - depth - 1);
        let first = high_bits(hash, depth) * 2 * half;
        self.directory[first + half..first + 2 * half].fill(number);
    }
}

impl Segment {
    fn put(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut at = entry.hash as usize & mask;
        while self.entries[at].number != 0 {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
        self.length += 1;
    }

    fn grow(&mut self) {
        let room = 2 * self.entries.len();
        let before = std::mem::replace(&mut self.entries, vec![Entry::default(); room].into());
        self.length = 0;
        for &entry in before.iter().filter(|entry| entry.number != 0) {
            self.put(entry);
        }
    }

    fn take(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut hole = entry.hash as usize & mask;
        while self.entries[hole].number != entry.number {
            assert!(self.entries[hole].number != 0, "what is taken out is in");
            hole = (hole + 1) & mask;
        }
        // What follows moves up, unless it would come to stand before its home.
        let mut next = hole;
        loop {
            next = (next + 1) & mask;
            let moved = self.entries[next];
            if moved.number == 0 {
                break;
            }
            let home = moved.hash as usize & mask;
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.entries[hole] = moved;
                hole = next;
            }
        }
        self.entries[hole] = Entry::default();
        self.length -= 1;
    }
}

/// So many of the highest bits; a shift by all 32, for none, must give 0.
#[inline]
fn high_bits(hash: u32, count: u32) -> usize {
    hash.checked_shr(32 - count).unwrap_or(0) as usize
}

/// The half that the last multiplication of the hash mixes best.
#[inline]
fn short(hash: u64) -> u32 {
    u32::try_from((hash ^ (hash << 32)) >> 32).expect("32 bits are left")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_is_found_through_growth_splits_and_removals() {
        let mut finder = Finder::new();
        let hash = |number: u32| u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
        for number in 0..20_000 {
            finder.insert(hash(number), number);
        }
        for number in (0..20_000).step_by(3) {
            finder.remove(hash(number), number);
        }
        for number in 0..20_000 {
            let found = finder.find(hash(number), |other| other == number);
            assert_eq!(found, (number % 3 != 0).then_some(number));
        }
        assert_eq!(finder.length, 13_333);
        assert!(finder.bytes() < 20_000 * 24, "{}", finder.bytes());
    }

    #[test]
    fn numbers_of_one_hash_are_told_apart() {
        let mut finder = Finder::new();
        for number in 0..2_000 {
            finder.insert(7, number);
        }
        finder.remove(7, 5);
        assert_eq!(finder.find(7, |number| number == 1_999), Some(1_999));
        assert_eq!(finder.find(7, |number| number == 5), None);
    }
}
