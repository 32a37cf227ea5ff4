//! What tells states apart: everything that machines, links and clients say of themselves when asked in full, but for what they have
//! counted. Two states that look alike here go on alike; two that do not may, which costs time and hides nothing.

use std::fmt::Write as _;

const BUFFER_BYTES: usize = 1 << 16;
use xxhash_rust::xxh3::Xxh3;

use super::model::Model;

/// A hash of the state.
pub fn of(model: &Model) -> u128 {
    let mut sieve = Sieve::default();
    write!(sieve, "{model:?}").expect("hashing does not fail");
    sieve.finish()
}

/// What is left out: what a machine has counted, what it was configured with, and what stands in a layout beside its number, because the
/// model has all layouts.
const LEFT_OUT: [(&[u8], Until); 3] =
    [(b"Statistics {", Until::End), (b"Config {", Until::End), (b"Layout {", Until::Comma)];

/// From where on a structure is left out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// From its beginning.
    End,
    /// After its first field.
    Comma,
}

/// Hashes text, but for some structures.
#[derive(Default)]
struct Sieve {
    hash: Xxh3,
    /// How many braces are open since a structure began that is left out; 0 outside.
    depth: usize,
    /// The first field of a structure that is left out otherwise is being told.
    is_first_field: bool,
    buffer: Vec<u8>,
}

impl Sieve {
    fn finish(mut self) -> u128 {
        self.flush();
        self.hash.digest128()
    }

    /// All but the end, which may be the beginning of a structure.
    fn flush(&mut self) {
        self.hash.update(&self.buffer);
        self.buffer.clear();
    }

    fn outside(&mut self, byte: u8) {
        self.buffer.push(byte);
        if byte == b'{' {
            for (beginning, until) in LEFT_OUT {
                if self.buffer.ends_with(beginning) {
                    self.is_first_field = until == Until::Comma;
                    self.depth = usize::from(until == Until::End);
                }
            }
        } else if byte == b',' && self.is_first_field {
            self.is_first_field = false;
            self.depth = 1;
        }
    }
}

impl std::fmt::Write for Sieve {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for &byte in text.as_bytes() {
            if self.depth == 0 {
                self.outside(byte);
                continue;
            }
            match byte {
                b'{' => self.depth += 1,
                b'}' => self.depth -= 1,
                _ => {}
            }
        }
        if self.buffer.len() > BUFFER_BYTES && self.depth == 0 && !text.ends_with('{') {
            self.flush();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(text: &str) -> u128 {
        let mut sieve = Sieve::default();
        sieve.write_str(text).expect("hashing does not fail");
        sieve.finish()
    }

    #[test]
    fn counters_do_not_tell_states_apart_and_everything_else_does() {
        let state =
            |count: u32, rest: &str| format!("A {{ x: 1, s: Statistics {{ n: {count}, m: M {{ k: 2 }} }}, {rest} }}");
        assert_eq!(hash(&state(1, "y: 2")), hash(&state(5, "y: 2")));
        assert_ne!(hash(&state(1, "y: 2")), hash(&state(1, "y: 3")));
        assert_ne!(hash("SStatistic"), hash("Statistic"));
        let layout = |epoch: u32, rest: u32| {
            format!("A {{ l: Layout {{ epoch: Epoch({epoch}), m: {{ {rest}: B {{ }} }} }}, y: 1 }}")
        };
        assert_eq!(hash(&layout(1, 2)), hash(&layout(1, 3)));
        assert_ne!(hash(&layout(1, 2)), hash(&layout(2, 2)));
    }
}
