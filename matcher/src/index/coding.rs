//! Tests of a program as bytes, and whether those bytes say everything that the program does when a code lies strictly within.

use smallvec::{SmallVec, smallvec};

use super::access::Access;
use super::blocks::{Coded, Lane, TESTS_MAX};
use super::cells::Bounds;
use super::clusters::Atom;
use super::labels::Label;
use super::program::{What, tests};
use super::quantiser::{OPEN_HIGH, OPEN_LOW};
use super::schema::{ALWAYS, Schema, SlotId, Trait};

/// Tests of a program for which features are made that are not there: some more than become columns, so that the narrowest of most
/// programs do. Learning one takes microseconds, and of a program with hundreds of tests all but a few would be dropped at once.
const LEARNT_MAX: usize = 2 * TESTS_MAX;

/// Tests as bytes: few, as a rule, so that they need no heap.
pub type CodedTests = SmallVec<[Coded; 12]>;

/// The narrowest tests of a program, at most so many, but for the one that the access has decided; and whether the program must
/// be looked at even if all of them hold. The features are held, once each, until the caller releases them.
pub fn coded(schema: &mut Schema, words: &[u32], access: &Access, limit: usize) -> (CodedTests, bool) {
    let mut all = CodedTests::new();
    let mut verify = false;
    for test in tests(words) {
        if decided(access, test.what, test.slot, test.operands, test.negated) {
            continue;
        }
        match test.what {
            What::Range64 | What::Low64 | What::High64 | What::Range32 | What::Low32 | What::High32 => {
                let (low, high) = test.bounds().expect("a range");
                verify |= if test.negated {
                    !outside(schema, &mut all, test.slot, low, high)
                } else {
                    !code(schema, &mut all, test.slot, Trait::Number, low, high)
                };
            }
            What::Equal => match feature(schema, &all, test.slot, Trait::Symbol) {
                Some(feature) => {
                    let label = schema.labels(feature).label(test.operands[0]);
                    let (low, high) = match (label, test.negated) {
                        (Label::Own(code), false) => (code - 1, code + 1),
                        (Label::Own(code), true) => (code + 1, code - 1),
                        (Label::Shared(code), false) => (code, code),
                        (Label::Shared(code), true) => (code, code - 1),
                    };
                    all.push(Coded::coarse(feature, low, high));
                }
                None => verify = true,
            },
            What::Circle | What::Box if !test.negated => {
                verify = true;
                let bounds = Bounds::of(&test).expect("an area");
                code(schema, &mut all, test.slot, Trait::Latitude, bounds.south, bounds.north);
                if let Some((west, east)) = bounds.longitudes() {
                    code(schema, &mut all, test.slot, Trait::Longitude, west, east);
                }
            }
            What::Always => {}
            What::Circle
            | What::Box
            | What::Differs
            | What::Among
            | What::Holds
            | What::Prefix
            | What::Present
            | What::Absent
            | What::Residual => verify = true,
        }
    }
    if all.len() > 1 {
        all.sort_by_key(|coded| coded.high.wrapping_sub(coded.low));
    }
    for test in &all {
        schema.retain_feature(test.feature);
    }
    let kept = limit.min(all.len());
    for beyond in all.drain(kept..) {
        schema.release_feature(beyond.feature);
        verify = true;
    }
    (all, verify)
}

/// Gives a lane that has codes alone its fine codes, by the boundaries that its codes are of. Where tests of its program have the same
/// codes and different fine ones, the program decides.
pub fn refine(schema: &Schema, words: &[u32], lane: &mut Lane) {
    for coded in lane.coded.iter_mut().filter(|coded| coded.feature != ALWAYS) {
        let Coded { feature, low, high, .. } = *coded;
        let Some(slot) = schema.slot_of_number(feature) else { continue };
        let of_slot = tests(words).filter(|test| test.slot == slot);
        let mut same = of_slot.filter_map(|test| {
            let (from, to) = test.bounds()?;
            let inner = schema.quantiser(feature).test(feature, from, to);
            Some(if test.negated { around(inner) } else { inner }).filter(|all| (all.low, all.high) == (low, high))
        });
        match same.next() {
            Some(first) if same.all(|other| other == first) => *coded = first,
            Some(_) | None => {
                (coded.fine_low, coded.fine_high) = (0, u8::MAX);
                lane.verify = true;
            }
        }
    }
}

/// Whether who comes through the access has passed the test.
fn decided(access: &Access, what: What, slot: SlotId, operands: &[u32], negated: bool) -> bool {
    match access {
        Access::Keys(key_slot, atoms) if *key_slot == slot && !negated => match (what, atoms.as_slice()) {
            (What::Equal, [atom]) => *atom == Atom::symbol(operands[0]),
            (What::Among, atoms) => {
                // One key for each member, in their order; another list may begin with the same one.
                atoms.iter().copied().eq(operands[1..].iter().map(|&symbol| Atom::symbol(symbol)))
            }
            (What::Present, [atom]) => *atom == Atom::PRESENT,
            (What::Prefix, [atom]) => atom.as_prefix() == Some(operands[0]),
            _ => false,
        },
        Access::Range(range_slot, ..) => {
            let is_range =
                matches!(what, What::Range64 | What::Low64 | What::High64 | What::Range32 | What::Low32 | What::High32);
            *range_slot == slot && !negated && is_range
        }
        Access::Keys(..) | Access::Scan => false,
    }
}

/// The feature of a test, beside those that a program has so far.
fn feature(schema: &mut Schema, so_far: &[Coded], slot: SlotId, what: Trait) -> Option<u8> {
    if so_far.len() < LEARNT_MAX { schema.feature(slot, what) } else { schema.current(slot, what) }
}

/// Codes of what is there and not within bounds: they go around.
fn outside(schema: &mut Schema, into: &mut CodedTests, slot: SlotId, low: f64, high: f64) -> bool {
    let Some(feature) = feature(schema, into, slot, Trait::Number) else { return false };
    let test = schema.quantiser(feature).test(feature, low, high);
    // Within one code, nearly everything is outside, and the program says what is not.
    let is_told = test.low != test.high;
    if is_told {
        into.push(around(test));
    } else if into.iter().all(|coded| coded.feature != feature) {
        // Made for this test; tests before it hold theirs only when all are there.
        schema.drop_unused(feature);
    }
    is_told
}

/// What lies outside of codes.
fn around(inner: Coded) -> Coded {
    let Coded { feature, low, high, fine_low, fine_high } = inner;
    Coded { feature, low: high, high: low, fine_low: fine_high, fine_high: fine_low }
}

fn code(schema: &mut Schema, into: &mut CodedTests, slot: SlotId, what: Trait, low: f64, high: f64) -> bool {
    let Some(feature) = feature(schema, into, slot, what) else { return false };
    let test = schema.quantiser(feature).test(feature, low, high);
    into.push(match what {
        Trait::Number => test,
        // Of these, programs decide in any case.
        Trait::Symbol | Trait::Latitude | Trait::Longitude => Coded { fine_low: 0, fine_high: 0, ..test },
    });
    true
}

/// Tests of a program that is found by a range of a number.
pub struct Ranged {
    /// The attribute by whose range it is found.
    pub slot: SlotId,
    /// Tests, that range the first; the features are held, once each.
    pub tests: CodedTests,
    /// Whether the program must be looked at even if all of them hold.
    pub verify: bool,
}

/// Tests of a program that is found by a range; `None` if there are too many features. Of the narrowest ranges, all about equally
/// wide, the two of the attributes with the lowest numbers lead: the fewer pairs of attributes lead, the more lanes has each, and the
/// smaller is the part of the plane that 64 neighbours reach.
pub fn ranged(schema: &mut Schema, words: &[u32], slot: SlotId, low: f64, high: f64) -> Option<Ranged> {
    let feature = schema.feature(slot, Trait::Number)?;
    let range = schema.quantiser(feature).test(feature, low, high);
    schema.retain_feature(feature);
    let (mut tests, verify) = coded(schema, words, &Access::Range(slot, low, high), TESTS_MAX - 1);
    tests.insert(0, range);
    let number = |schema: &Schema, test: &Coded| schema.slot_of_number(test.feature).filter(|_| test.low <= test.high);
    let width = |test: &Coded| u32::from(test.high) - u32::from(test.low) + 1;
    let is_open = |test: &Coded| test.low == OPEN_LOW || test.high == OPEN_HIGH;
    let is_as_good = |test: &Coded| width(test) <= 2 * width(&range) && is_open(test) == is_open(&range);
    // Those that do as well, by attribute; behind them the others in order of width, which is how they stand.
    let mut ranges: SmallVec<[_; 12]> = smallvec![(false, slot, 0)];
    for (at, test) in tests.iter().enumerate().skip(1) {
        if let Some(slot) = number(schema, test) {
            let is_worse = !is_as_good(test);
            ranges.push((is_worse, if is_worse { SlotId::MAX } else { slot }, at));
        }
    }
    ranges.sort_unstable();
    let first = ranges.remove(0).2;
    let slot = number(schema, &tests[first]).unwrap_or(slot);
    // Twice the same attribute would tell less.
    let others = ranges.iter().map(|&(_, _, at)| at);
    let second = others.clone().find(|&at| tests[at].feature != tests[first].feature).or(others.min());
    let lead = [Some(first), second].map(|at| at.map(|at| tests[at]));
    let mut at = 0..;
    tests.retain(|_| {
        let at = at.next();
        at != Some(first) && at != second
    });
    tests.insert_many(0, lead.into_iter().flatten());
    Some(Ranged { slot, tests, verify })
}
