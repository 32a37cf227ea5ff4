//! From symbols to codes of one byte. The first that filters ask for have a code of their own, with unused ones around it: bounds
//! at those enclose it alone, so that comparing codes is comparing symbols. All others share codes; bounds at such a code
//! itself leave it to the program. What a symbol's code is never changes.

use super::symbols::Symbol;

/// Symbols with a code of their own: even codes, from 2 on.
const OWN_MAX: usize = 96;
const OWN_FIRST: u8 = 2;

/// Codes that the others share.
const SHARED_FIRST: u8 = 194;
const SHARED_COUNT: u8 = 60;

/// Room of the table at first; at most half of it is used.
const ROOM_MIN: usize = 8;

/// What a symbol is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// No other has this code, nor those next to it.
    Own(u8),
    /// Others may have it.
    Shared(u8),
}

/// Codes for symbols.
#[derive(Debug, Default)]
pub struct Labels {
    /// By hash, with linear probing; 0 is no symbol.
    table: Vec<(Symbol, u8)>,
    count: usize,
}

impl Labels {
    /// The code of a publication's symbol.
    #[inline]
    pub fn code(&self, symbol: Symbol) -> u8 {
        self.own(symbol).unwrap_or_else(|| shared(symbol))
    }

    /// The label of a symbol that a filter asks for, from now on.
    pub fn label(&mut self, symbol: Symbol) -> Label {
        if let Some(code) = self.own(symbol) {
            return Label::Own(code);
        }
        if self.count == OWN_MAX {
            return Label::Shared(shared(symbol));
        }
        if 2 * (self.count + 1) > self.table.len() {
            let room = (2 * self.table.len()).max(ROOM_MIN);
            let before = std::mem::replace(&mut self.table, vec![(0, 0); room]);
            for entry in before.into_iter().filter(|entry| entry.0 != 0) {
                self.put(entry);
            }
        }
        let code = OWN_FIRST + 2 * u8::try_from(self.count).expect("fewer than 96");
        self.put((symbol, code));
        self.count += 1;
        Label::Own(code)
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.table.capacity() * size_of::<(Symbol, u8)>()
    }

    #[inline]
    fn own(&self, symbol: Symbol) -> Option<u8> {
        if self.table.is_empty() {
            return None;
        }
        let mask = self.table.len() - 1;
        let mut at = hash(symbol) as usize & mask;
        loop {
            let (other, code) = self.table[at];
            if other == symbol {
                return Some(code);
            }
            if other == 0 {
                return None;
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, entry: (Symbol, u8)) {
        let mask = self.table.len() - 1;
        let mut at = hash(entry.0) as usize & mask;
        while self.table[at].0 != 0 {
            at = (at + 1) & mask;
        }
        self.table[at] = entry;
    }
}

/// The high half of a multiplication, which mixes all bits.
#[inline]
fn hash(symbol: Symbol) -> u32 {
    symbol.wrapping_mul(0x9e37_79b1) >> 16
}

#[inline]
fn shared(symbol: Symbol) -> u8 {
    let [low, ..] = (hash(symbol) % u32::from(SHARED_COUNT)).to_le_bytes();
    SHARED_FIRST + low
}

#[cfg(test)]
mod tests {
    use super::super::quantiser::OTHER;
    use super::*;

    #[test]
    fn a_code_of_its_own_has_no_neighbours_and_never_changes() {
        let mut labels = Labels::default();
        let first: Vec<Label> = (1..=200).map(|symbol| labels.label(symbol * 7)).collect();
        let own: Vec<u8> =
            first.iter().filter_map(|&label| if let Label::Own(code) = label { Some(code) } else { None }).collect();
        assert_eq!(own.len(), OWN_MAX);
        assert!(own.is_sorted() && own.iter().zip(&own[1..]).all(|(left, right)| right - left == 2));
        for (symbol, label) in (1..=200).zip(first) {
            assert_eq!(labels.label(symbol * 7), label);
            match label {
                Label::Own(code) => assert!(labels.code(symbol * 7) == code && code < SHARED_FIRST - 1),
                Label::Shared(code) => {
                    assert!(labels.code(symbol * 7) == code && (SHARED_FIRST..OTHER).contains(&code))
                }
            }
        }
        assert!((1..1000).filter(|symbol| symbol % 7 != 0).all(|symbol| labels.code(symbol) >= SHARED_FIRST));
    }
}
