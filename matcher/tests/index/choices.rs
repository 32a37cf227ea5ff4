//! Where random decisions come from: a seed, or the bytes that a fuzzer tries.

/// A source of decisions.
pub trait Choices {
    /// Any number.
    fn word(&mut self) -> u64;

    /// A number below `bound`, which is small and not 0.
    fn below(&mut self, bound: usize) -> usize;

    /// Whether nothing is left to decide by; what is asked then is answered with 0.
    fn is_at_end(&self) -> bool {
        false
    }

    /// True so often of a hundred.
    fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    /// One of them.
    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
pub struct Seeded {
    state: u64,
}

impl Seeded {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }
}

impl Choices for Seeded {
    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.state;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).expect("a usize fits 64 bits");
        usize::try_from(((self.word() >> 32) * bound) >> 32).expect("below a usize")
    }
}
