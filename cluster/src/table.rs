//! Look-up tables of machines: a `HashMap` whose hasher is seeded by the driver (random in `host`, fixed in `sim`). Keys come
//! from names and numbers that clients choose, so the seed takes part in every step of the hash. Tables are for look-ups
//! only: nothing iterates over them.
//!
//! The hash is one folded multiplication a word (as in wyhash and foldhash), because the keys here are one to three words
//! that are hashes already; `SipHash` would cost more than the look-up.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};

/// A table for look-ups.
pub type Table<K, V> = HashMap<K, V, Seeded>;

/// A set for look-ups.
pub type Members<K> = HashSet<K, Seeded>;

/// Parts of a [`LargeTable`].
const PARTS: usize = 64;

/// A table for look-ups of very many: it grows part by part, so that no insertion takes the time of moving everything that is in. With a
/// million entries the longest takes some hundred microseconds, where one of a [`Table`] takes tens of milliseconds.
#[derive(Clone, Debug)]
pub struct LargeTable<K, V> {
    hashing: Seeded,
    parts: Box<[Table<K, V>]>,
    length: usize,
}

impl<K: Hash + Eq, V> LargeTable<K, V> {
    /// Holds nothing.
    #[must_use]
    pub fn with_hasher(hashing: Seeded) -> Self {
        let parts = std::iter::repeat_with(|| Table::with_hasher(hashing)).take(PARTS).collect();
        Self { hashing, parts, length: 0 }
    }

    /// How many are in.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is under a key.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<&V> {
        self.parts[self.part(key)].get(key)
    }

    /// Whether something is.
    #[must_use]
    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// Puts something under a key; gives what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.parts[self.part(&key)].insert(key, value);
        self.length += usize::from(before.is_none());
        before
    }

    /// Takes out what is under a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let before = self.parts[self.part(key)].remove(key);
        self.length -= usize::from(before.is_some());
        before
    }

    /// By bits that a part does not go by: it goes by the lowest and the highest.
    fn part(&self, key: &K) -> usize {
        let [_, _, _, _, byte, ..] = self.hashing.hash_one(key).to_le_bytes();
        usize::from(byte) % PARTS
    }
}

impl<K: Hash + Eq, V> std::ops::Index<&K> for LargeTable<K, V> {
    type Output = V;

    fn index(&self, key: &K) -> &V {
        self.get(key).expect("what is under the key")
    }
}

/// The fractional part of the golden ratio: odd, and with bits all over.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes hashers of one seed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    seed: u64,
}

impl Seeded {
    /// Hashers of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl BuildHasher for Seeded {
    type Hasher = Folding;

    #[inline]
    fn build_hasher(&self) -> Folding {
        Folding { state: self.seed, multiplier: (self.seed.rotate_left(32) ^ GOLDEN) | 1 }
    }
}

/// Folds words into a state by multiplication to 128 bits.
#[derive(Clone, Copy, Debug)]
pub struct Folding {
    state: u64,
    multiplier: u64,
}

impl Hasher for Folding {
    #[inline]
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.multiplier);
        let [low, high] = halves(product);
        // The added constant keeps a state of zero, should a word ever cancel it, from swallowing what follows.
        self.state = (low ^ high).wrapping_add(GOLDEN);
    }

    #[inline]
    fn write_u128(&mut self, wide: u128) {
        let [low, high] = halves(wide);
        self.write_u64(low);
        self.write_u64(high);
    }

    #[inline]
    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for word in bytes.chunks_exact(8) {
            self.write_u64(u64::from_le_bytes(word.try_into().expect("a chunk of eight")));
        }
        // The length, so that padding and content differ.
        self.write_u64(last_word(bytes) ^ (u64::try_from(bytes.len()).unwrap_or(u64::MAX)).rotate_right(8));
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.state
    }
}

/// The end of some bytes as a word: the last eight; of fewer all of them, some several times, so that those of one length are equal if their
/// words are. No copy of a length that is not known.
#[inline]
#[must_use]
pub fn last_word(bytes: &[u8]) -> u64 {
    let half = |word: &[u8; 4]| u64::from(u32::from_le_bytes(*word));
    if let Some(word) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*word);
    }
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        return half(first) | half(last) << 32;
    }
    match *bytes {
        [] => 0,
        [only] => u64::from_le_bytes([only, only, only, 0, 0, 0, 0, 0]),
        [first, .., last] => u64::from_le_bytes([first, bytes[bytes.len() / 2], last, 0, 0, 0, 0, 0]),
    }
}

#[inline]
fn halves(wide: u128) -> [u64; 2] {
    let bytes = wide.to_le_bytes();
    let mut low = [0_u8; 8];
    let mut high = [0_u8; 8];
    low.copy_from_slice(&bytes[..8]);
    high.copy_from_slice(&bytes[8..]);
    [u64::from_le_bytes(low), u64::from_le_bytes(high)]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_seed_decides_and_one_seed_always_says_the_same() {
        let hash = |seed: u64, key: u128| Seeded::new(seed).hash_one(key);
        assert_eq!(hash(1, 7), hash(1, 7));
        assert_ne!(hash(1, 7), hash(2, 7));
        assert_ne!(hash(0, 0), hash(0, 1), "also a seed of zero tells keys apart");
    }

    #[test]
    fn neighbouring_keys_spread_over_a_small_table() {
        for seed in [0, 1, 0xdead_beef] {
            let mut filled = [0_u32; 64];
            for key in 0..6_400_u64 {
                let slot = usize::try_from(Seeded::new(seed).hash_one(key) % 64).expect("below 64");
                filled[slot] += 1;
            }
            assert!(filled.iter().all(|&count| (40..=180).contains(&count)), "seed {seed}: {filled:?}");
        }
    }

    #[test]
    fn keys_that_share_their_low_bits_are_spread() {
        // A machine holds only keys of its own slices: `slice mod machines` fixes some of their low bits.
        let hash = Seeded::new(7);
        let low_bits = |key: u128| hash.hash_one(key) & 0xff;
        let distinct = (0..256_u128).map(|n| low_bits(n << 64 | 0xabcd_ef00)).collect::<BTreeSet<_>>();
        assert!(distinct.len() > 100, "{} of 256 buckets", distinct.len());
    }

    #[test]
    fn a_large_table_holds_what_a_table_would_in_parts_of_about_one_size() {
        let mut large = LargeTable::with_hasher(Seeded::new(3));
        for key in 0..20_000_u32 {
            assert_eq!(large.insert(key, key), None);
        }
        assert_eq!((large.insert(7, 8), large.remove(&9), large.remove(&9)), (Some(7), Some(9), None));
        assert_eq!((large.len(), large.get(&7), large.contains_key(&9)), (19_999, Some(&8), false));
        let sizes = large.parts.iter().map(HashMap::len).collect::<Vec<_>>();
        assert!(sizes.iter().all(|size| (200..=450).contains(size)), "{sizes:?}");
    }

    #[test]
    fn texts_of_other_lengths_differ() {
        let hash = |text: &[u8]| Seeded::new(5).hash_one(text);
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b"12345678"), hash(b"123456780"));
        // Every byte counts, whatever the length.
        for length in 1..20 {
            let mut text = vec![b'x'; length];
            let of = (0..length).map(|at| {
                text[at] = b'y';
                let other = hash(&text);
                text[at] = b'x';
                other
            });
            let mut all: BTreeSet<_> = of.collect();
            all.insert(hash(&text));
            assert_eq!(all.len(), length + 1, "{length} bytes");
        }
    }
}
