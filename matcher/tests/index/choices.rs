//! Random decisions: of a seed in the test, of the bytes that a fuzzer tries in `fuzz/`.

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
