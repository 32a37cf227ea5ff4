//! Any bytes as decisions: the index and the plain evaluator are driven together through schemas, inserts, updates, removes, loads,
//! changes of context, moves of slices and publications, and never disagree.

#![no_main]

#[path = "../../matcher/tests/index/choices.rs"]
mod choices;
#[path = "../../matcher/tests/index/filters.rs"]
mod filters;
#[path = "../../matcher/tests/index/scenario.rs"]
mod scenario;
#[path = "../../matcher/tests/index/subject.rs"]
mod subject;
#[path = "../../matcher/tests/index/values.rs"]
mod values;

use choices::Choices;
use libfuzzer_sys::fuzz_target;
use scenario::Scenario;

/// Rows that are in at most: few, so that short inputs already update and remove.
const ROWS_MAX: usize = 48;

/// A byte for a small decision, two for a larger one, eight for a word.
struct Bytes<'a> {
    rest: &'a [u8],
}

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let Some((&first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        first
    }
}

impl Choices for Bytes<'_> {
    fn word(&mut self) -> u64 {
        u64::from_le_bytes([0; 8].map(|_: u8| self.next()))
    }

    fn below(&mut self, bound: usize) -> usize {
        if bound <= 256 {
            return usize::from(self.next()) % bound;
        }
        usize::from(u16::from_le_bytes([self.next(), self.next()])) % bound
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut scenario = Scenario::new(Bytes { rest: bytes }, ROWS_MAX, 0);
    while !scenario.is_at_end() {
        if let Err(complaint) = scenario.step() {
            panic!("{:?}\n{complaint}", scenario.force());
        }
    }
});
