//! Conjunctions as words: a head for each test (its kind, whether it is negated, whether it is the last, its slot), then its
//! operands. Tests stand in order of their words, so that equal conjunctions are equal words.
//!
//! Comparing is exact. A bound is a float; of an integer that no float represents, both neighbours are known
//! ([`Reading`]), and it lies within bounds exactly if the lower neighbour is not below the low one and the upper one not above
//! the high one.

use super::plan::{Atom, Literal};
use super::reading::{Kind, Reading};
use super::residuals::Residuals;
use super::schema::{Schema, SlotId};
use super::symbols::Symbols;
use gomera_cluster::pages::Pages;
use gomera_model::attributes::Attributes;
use gomera_model::filter::{Filter, evaluate};
use gomera_model::geo::GeoPoint;
use gomera_model::value::Value;

/// What a test asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Low and high bound, two words each.
    Range64,
    /// Two words.
    Low64,
    /// Two words.
    High64,
    /// Bounds that a float of 32 bits represents, one word each.
    Range32,
    /// One word.
    Low32,
    /// One word.
    High32,
    /// A symbol.
    Equal,
    /// A symbol, and the type of its value.
    Differs,
    /// How many symbols, and they, ascending.
    Among,
    /// A symbol that an array holds.
    Holds,
    /// The symbol of a text.
    Prefix,
    /// Latitude, longitude, metres: two words each.
    Circle,
    /// Two corners: two words a coordinate.
    Box,
    /// Nothing.
    Present,
    /// Nothing.
    Absent,
    /// The number of an expression.
    Residual,
    /// Nothing: always true.
    Always,
}

const WHATS: [What; 17] = [
    What::Range64,
    What::Low64,
    What::High64,
    What::Range32,
    What::Low32,
    What::High32,
    What::Equal,
    What::Differs,
    What::Among,
    What::Holds,
    What::Prefix,
    What::Circle,
    What::Box,
    What::Present,
    What::Absent,
    What::Residual,
    What::Always,
];

const NEGATED: u32 = 1 << 6;
const LAST: u32 = 1 << 7;
/// Slots are below this; tests without one have it.
pub const NO_SLOT: SlotId = (1 << 24) - 1;

/// A test.
#[derive(Clone, Copy, Debug)]
pub struct Test<'a> {
    /// What it asks.
    pub what: What,
    /// Whether the opposite is asked: false, not unknown.
    pub negated: bool,
    /// Of which attribute.
    pub slot: SlotId,
    /// Its operands.
    pub operands: &'a [u32],
}

impl Test<'_> {
    /// Bounds of a number, if that is what it asks.
    #[inline]
    pub fn bounds(&self) -> Option<(f64, f64)> {
        let words = self.operands;
        let (low, high) = (f64::NEG_INFINITY, f64::INFINITY);
        match self.what {
            What::Range64 => Some((wide(words, 0), wide(words, 2))),
            What::Low64 => Some((wide(words, 0), high)),
            What::High64 => Some((low, wide(words, 0))),
            What::Range32 => Some((narrow(words, 0), narrow(words, 1))),
            What::Low32 => Some((narrow(words, 0), high)),
            What::High32 => Some((low, narrow(words, 0))),
            What::Equal
            | What::Differs
            | What::Among
            | What::Holds
            | What::Prefix
            | What::Circle
            | What::Box
            | What::Present
            | What::Absent
            | What::Residual
            | What::Always => None,
        }
    }

    /// Floats among the operands.
    pub fn float(&self, index: usize) -> f64 {
        wide(self.operands, 2 * index)
    }
}

#[inline]
fn wide(words: &[u32], at: usize) -> f64 {
    f64::from_bits(u64::from(words[at]) | u64::from(words[at + 1]) << 32)
}

#[inline]
fn narrow(words: &[u32], at: usize) -> f64 {
    f64::from(f32::from_bits(words[at]))
}

/// The tests of a program, which begins the words.
#[derive(Clone, Debug)]
pub struct Tests<'a> {
    words: &'a [u32],
    done: bool,
    read: usize,
}

/// Reads a program that begins the words.
#[inline]
pub fn tests(words: &[u32]) -> Tests<'_> {
    Tests { words, done: false, read: 0 }
}

/// Its length.
pub fn length(words: &[u32]) -> usize {
    let mut all = tests(words);
    while all.next().is_some() {}
    all.read
}

impl<'a> Iterator for Tests<'a> {
    type Item = Test<'a>;

    #[inline]
    fn next(&mut self) -> Option<Test<'a>> {
        if self.done {
            return None;
        }
        let head = self.words[self.read];
        self.done = head & LAST != 0;
        let what = WHATS[(head & 0x3f) as usize];
        let first = self.read + 1;
        let count = match what {
            What::Range64 => 4,
            What::Low64 | What::High64 | What::Range32 | What::Differs => 2,
            What::Low32 | What::High32 | What::Equal | What::Holds | What::Prefix | What::Residual => 1,
            What::Among => 1 + self.words[first] as usize,
            What::Circle => 6,
            What::Box => 8,
            What::Present | What::Absent | What::Always => 0,
        };
        self.read = first + count;
        let operands = &self.words[first..self.read];
        Some(Test { what, negated: head & NEGATED != 0, slot: head >> 8, operands })
    }
}

/// Writes a conjunction, and counts what it uses. `whole` is the filter that it is part of, should a part not stand alone.
pub fn write(
    literals: &[Literal<'_>],
    whole: &Filter,
    schema: &mut Schema,
    symbols: &mut Symbols,
    residuals: &mut Residuals,
    into: &mut Vec<u32>,
) {
    let first = into.len();
    if literals.is_empty() {
        into.push(What::Always as u32 | NO_SLOT << 8 | LAST);
        return;
    }
    if let [literal] = literals {
        write_one(literal, whole, schema, symbols, residuals, into);
        into[first] |= LAST;
        return;
    }
    /// Tests of most conjunctions.
    const FEW: usize = 8;
    let (mut few, mut many) = ([(0, 0); FEW], Vec::new());
    let parts = if literals.len() <= FEW {
        &mut few[..literals.len()]
    } else {
        many.resize(literals.len(), (0, 0));
        &mut many[..]
    };
    for (part, literal) in parts.iter_mut().zip(literals) {
        let from = into.len();
        write_one(literal, whole, schema, symbols, residuals, into);
        *part = (from, into.len());
    }
    parts.sort_unstable_by(|left, right| into[left.0..left.1].cmp(&into[right.0..right.1]));
    // The sorted copy behind, then over the first.
    let end = into.len();
    for &(from, to) in &*parts {
        into.extend_from_within(from..to);
    }
    into.copy_within(end.., first);
    into.truncate(end);
    let (from, to) = parts[parts.len() - 1];
    into[end - (to - from)] |= LAST;
}

fn write_one(
    literal: &Literal<'_>,
    whole: &Filter,
    schema: &mut Schema,
    symbols: &mut Symbols,
    residuals: &mut Residuals,
    into: &mut Vec<u32>,
) {
    let negated = if literal.negated { NEGATED } else { 0 };
    let mut head = |what: What, name| what as u32 | negated | schema.intern(name) << 8;
    let start = into.len();
    let mut wants_symbols = 0;
    match &literal.atom {
        Atom::Range(name, low, high) => {
            let (open_low, open_high) = (*low == f64::NEG_INFINITY, *high == f64::INFINITY);
            let narrow = |number: f64| narrowed(number).map(f32::to_bits);
            let short = (open_low || narrow(*low).is_some()) && (open_high || narrow(*high).is_some());
            let what = match (short, open_low, open_high) {
                (true, false, true) => What::Low32,
                (true, true, false) => What::High32,
                (true, _, _) => What::Range32,
                (false, false, true) => What::Low64,
                (false, true, false) => What::High64,
                (false, _, _) => What::Range64,
            };
            into.push(head(what, name));
            let (write_low, write_high) = match what {
                What::Low32 | What::Low64 => (true, false),
                What::High32 | What::High64 => (false, true),
                _ => (true, true),
            };
            for (bound, is_written) in [(low, write_low), (high, write_high)] {
                if is_written {
                    match narrow(*bound).filter(|_| short) {
                        Some(bits) => into.push(bits),
                        None => push_wide(into, *bound),
                    }
                }
            }
        }
        Atom::Equal(name, value) => {
            into.extend([head(What::Equal, name), symbols.intern(value)]);
            wants_symbols = 1;
        }
        Atom::Differs(name, value) => {
            let kind = match value {
                Value::String(_) => Kind::Text,
                Value::Bool(_) => Kind::Bool,
                _ => Kind::Number,
            };
            into.extend([head(What::Differs, name), symbols.intern(value), kind as u32]);
            wants_symbols = 1;
        }
        Atom::Among(name, members) => {
            into.extend([head(What::Among, name), u32::try_from(members.len()).expect("few members")]);
            let first = into.len();
            into.extend(members.iter().map(|member| symbols.intern(member)));
            into[first..].sort_unstable();
            wants_symbols = 1;
        }
        Atom::Holds(name, value) => {
            into.extend([head(What::Holds, name), symbols.intern(value)]);
            wants_symbols = 1;
        }
        Atom::Prefix(name, prefix) => into.extend([head(What::Prefix, name), symbols.intern(&Value::from(*prefix))]),
        Atom::Circle(name, centre, metres) => {
            into.push(head(What::Circle, name));
            for number in [centre.latitude(), centre.longitude(), *metres] {
                push_wide(into, number);
            }
        }
        Atom::Box(name, south_west, north_east) => {
            into.push(head(What::Box, name));
            for corner in [south_west, north_east] {
                push_wide(into, corner.latitude());
                push_wide(into, corner.longitude());
            }
        }
        Atom::Present(name) => into.push(head(What::Present, name)),
        Atom::Absent(name) => into.push(head(What::Absent, name)),
        Atom::Residual(expression) => {
            into.extend([What::Residual as u32 | NO_SLOT << 8, residuals.intern(expression, whole)]);
        }
    }
    if wants_symbols > 0 {
        schema.slot_mut(into[start] >> 8).symbols += 1;
    }
}

#[expect(clippy::cast_possible_truncation, reason = "looked at whether something was lost")]
fn narrowed(number: f64) -> Option<f32> {
    let narrow = number as f32;
    (f64::from(narrow).to_bits() == number.to_bits()).then_some(narrow)
}

fn push_wide(into: &mut Vec<u32>, number: f64) {
    let [a, b, c, d, e, f, g, h] = number.to_bits().to_le_bytes();
    into.extend([u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]);
}

/// Takes back what a program uses.
pub fn release(words: &[u32], schema: &mut Schema, symbols: &mut Symbols, residuals: &mut Residuals) {
    for test in tests(words) {
        match test.what {
            What::Equal | What::Differs | What::Holds => {
                schema.slot_mut(test.slot).symbols -= 1;
                symbols.release(test.operands[0]);
            }
            What::Prefix => symbols.release(test.operands[0]),
            What::Among => {
                schema.slot_mut(test.slot).symbols -= 1;
                for &symbol in &test.operands[1..] {
                    symbols.release(symbol);
                }
            }
            What::Residual => residuals.release(test.operands[0]),
            What::Range64
            | What::Low64
            | What::High64
            | What::Range32
            | What::Low32
            | What::High32
            | What::Circle
            | What::Box
            | What::Present
            | What::Absent
            | What::Always => {}
        }
        if test.slot != NO_SLOT {
            schema.release(test.slot);
        }
    }
}

/// A publication, and what programs refer to.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// By slot.
    pub readings: &'a Pages<Reading>,
    /// Symbols of arrays' elements.
    pub elements: &'a [u32],
    /// The publication itself.
    pub attributes: &'a Attributes,
    /// Texts of prefixes.
    pub symbols: &'a Symbols,
    /// Expressions.
    pub residuals: &'a Residuals,
    /// The publication's number: other than that of the one before.
    pub epoch: u32,
}

impl View<'_> {
    /// Whether all tests of a program hold.
    #[inline]
    pub fn satisfies<'c>(&self, words: &[u32], context: impl Fn() -> Option<&'c Attributes>) -> bool {
        tests(words).all(|test| self.holds(&test, &context))
    }

    /// Whether a test holds.
    #[inline]
    fn holds<'c>(&self, test: &Test<'_>, context: &impl Fn() -> Option<&'c Attributes>) -> bool {
        let Some(reading) = self.readings.get(test.slot) else {
            return match test.what {
                What::Residual => self.evaluate(test.operands[0], context),
                _ => true,
            };
        };
        let plainly = match test.what {
            What::Range64 | What::Low64 | What::High64 | What::Range32 | What::Low32 | What::High32 => {
                let (low, high) = test.bounds().expect("a range");
                reading.kind == Kind::Number && reading.down >= low && reading.up <= high
            }
            What::Equal => reading.symbol == test.operands[0],
            What::Differs => reading.kind as u32 == test.operands[1] && reading.symbol != test.operands[0],
            What::Among if reading.kind == Kind::Array => meet(&test.operands[1..], reading.elements(self.elements)),
            What::Among => test.operands[1..].contains(&reading.symbol),
            What::Holds => {
                reading.kind == Kind::Array && reading.elements(self.elements).binary_search(&test.operands[0]).is_ok()
            }
            What::Prefix => match self.attributes.at(reading.position as usize) {
                Some(Value::String(text)) if reading.kind == Kind::Text => {
                    text.starts_with(self.symbols.text(test.operands[0]))
                }
                _ => false,
            },
            What::Circle => point(reading).is_some_and(|point| {
                let centre = GeoPoint::new(test.float(0), test.float(1)).expect("written from a point");
                point.distance_metres(centre) <= test.float(2)
            }),
            What::Box => point(reading).is_some_and(|point| {
                let corner =
                    |index| GeoPoint::new(test.float(index), test.float(index + 1)).expect("written from a point");
                point.is_in_box(corner(0), corner(2))
            }),
            What::Present => reading.kind != Kind::Missing,
            What::Absent => reading.kind == Kind::Missing,
            What::Residual | What::Always => true,
        };
        if test.negated { !plainly && reading.kind != Kind::Missing } else { plainly }
    }

    fn evaluate<'c>(&self, residual: u32, context: &impl Fn() -> Option<&'c Attributes>) -> bool {
        self.residuals.decide(residual, self.epoch, |filter| {
            match if filter.uses_context() { context() } else { None } {
                Some(context) => evaluate(filter, self.attributes, context).is_match(),
                None => evaluate(filter, self.attributes, &gomera_model::filter::Nothing).is_match(),
            }
        })
    }
}

/// Whether two ascending lists have something in common. Lists at the caps take some microseconds, whatever is in them.
fn meet(left: &[u32], right: &[u32]) -> bool {
    /// How many times longer one must be for searching to beat going through it.
    const LONGER: usize = 8;
    let (few, mut many) = if left.len() < right.len() { (left, right) } else { (right, left) };
    let searches = many.len() > LONGER * few.len();
    for sought in few {
        let at = if searches {
            many.partition_point(|other| other < sought)
        } else {
            many.iter().position(|other| other >= sought).unwrap_or(many.len())
        };
        many = &many[at..];
        match many.first() {
            None => return false,
            Some(other) if other == sought => return true,
            Some(_) => {}
        }
    }
    false
}

fn point(reading: &Reading) -> Option<GeoPoint> {
    if reading.kind == Kind::Point { GeoPoint::new(reading.down, reading.up).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::meet;

    #[test]
    fn lists_meet_exactly_if_one_holds_an_element_of_the_other() {
        let mut state = 3_u64;
        let mut draw = |bound: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((state >> 33) % bound).expect("small")
        };
        let mut met = 0;
        for _ in 0..20_000 {
            let mut list = |longest: u64, values: u64| {
                let mut list: Vec<u32> = (0..draw(longest)).map(|_| draw(values)).collect();
                list.sort_unstable();
                list.dedup();
                list
            };
            let (left, right) = (list(6, 90), list(40, 90));
            let expected = left.iter().any(|element| right.contains(element));
            assert_eq!(meet(&left, &right), expected, "{left:?} {right:?}");
            assert_eq!(meet(&right, &left), expected, "{left:?} {right:?}");
            met += u32::from(expected);
        }
        assert!((4_000..16_000).contains(&met), "{met}");
    }
}
