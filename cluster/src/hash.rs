//! The hashes that place things: fixed for the life of a cluster, the same on every node (xxh3 with seed 0).

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use crate::identity::Tenant;

/// `xxh3_128(tenant, 0, part, 0, part …)`.
#[must_use]
pub fn key(tenant: &Tenant, parts: &[&str]) -> u128 {
    let mut hasher = Xxh3::new();
    hasher.update(tenant.0.as_bytes());
    for part in parts {
        hasher.update(&[0]);
        hasher.update(part.as_bytes());
    }
    hasher.digest128()
}

/// The slice of a key among `count`: its low 64 bits modulo `count`. For a key made by [`key`], these are uniform.
///
/// # Panics
/// If `count` is 0; configurations refuse that.
#[must_use]
pub fn slice(key: u128, count: u16) -> u16 {
    assert!(count > 0, "a layer has at least one slice");
    let low = u64::try_from(key & u128::from(u64::MAX)).expect("masked to 64 bits");
    u16::try_from(low % u64::from(count)).expect("a remainder is smaller than its divisor")
}

/// The weight of `candidate` for `key` in rendezvous hashing; the candidate with the highest weight wins.
#[must_use]
pub fn rendezvous_weight(key: u128, candidate: u64) -> u64 {
    let mut bytes = [0_u8; 24];
    bytes[..16].copy_from_slice(&key.to_le_bytes());
    bytes[16..].copy_from_slice(&candidate.to_le_bytes());
    xxh3_64(&bytes)
}
