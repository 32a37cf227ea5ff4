//! Look-up tables over keys that are hashes already. Never iterated: where order matters there is an ordered structure.
//!
//! Keys are xxh3 hashes with a public seed, and a shard holds only keys of its own slices, so their low bits are neither
//! secret nor even (`slice mod machines` fixes some of them). One folded multiplication with a seed makes them both.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

/// A table that is only looked up.
pub(crate) type KeyMap<K, V> = HashMap<K, V, KeyHash>;

/// Builds [`KeyHasher`]s of one seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHash {
    seed: u64,
}

impl KeyHash {
    /// Tables of the same seed place the same keys in the same way.
    pub(crate) const fn new(seed: u64) -> Self {
        Self { seed }
    }
}

impl BuildHasher for KeyHash {
    type Hasher = KeyHasher;

    fn build_hasher(&self) -> KeyHasher {
        KeyHasher { state: self.seed }
    }
}

/// Folds what it is given into 64 bits, a multiplication per word.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher {
    state: u64,
}

/// 2^64 divided by the golden ratio, odd: spreads small differences over all bits.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The low and the high half.
fn halves(wide: u128) -> (u64, u64) {
    let bytes = wide.to_le_bytes();
    let half =
        |range: std::ops::Range<usize>| u64::from_le_bytes(bytes[range].try_into().expect("half of 16 bytes is 8"));
    (half(0..8), half(8..16))
}

fn fold(left: u64, right: u64) -> u64 {
    let (low, high) = halves(u128::from(left) * u128::from(right));
    low ^ high
}

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.state
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0_u8; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.state = fold(self.state ^ value ^ SPREAD, SPREAD);
    }

    fn write_u128(&mut self, value: u128) {
        let (low, high) = halves(value);
        self.state = fold(self.state ^ low, high ^ SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_that_share_their_low_bits_are_spread() {
        let hash = KeyHash::new(7);
        let low_bits = |key: u128| hash.hash_one(key) & 0xff;
        let distinct = (0..256_u128).map(|n| low_bits(n << 64 | 0xabcd_ef00)).collect::<BTreeSet<_>>();
        assert!(distinct.len() > 100, "{} of 256 buckets", distinct.len());
    }

    #[test]
    fn the_seed_decides_the_place() {
        assert_ne!(KeyHash::new(1).hash_one(5_u128), KeyHash::new(2).hash_one(5_u128));
        assert_eq!(KeyHash::new(1).hash_one(5_u128), KeyHash::new(1).hash_one(5_u128));
    }
}
