//! The slots that the names of a filter take, as if no other filter had them.
//!
//! Looked at is the expression, not what becomes of it: a name that turns out to be the plain evaluator's alone is counted as well, unless it
//! stands in arithmetic, in a function or in a list of names, which never have slots.

use gomera_model::filter::{Expression, Operand, Predicate};

use super::plan::{Atom, atom, required};
use super::symbols::text_bytes;

/// A slot: its place, its reading, where it is found, and the lane of its own that some test of it has.
const SLOT_BYTES: usize = 280;
/// A sample of constants that numbers are compared with.
const SAMPLE_BYTES: usize = 80;
/// How many keys ask for each length of prefix.
const LENGTHS_BYTES: usize = 144;
/// How many keys ask for each level of cells, and samples of both coordinates.
const LEVELS_BYTES: usize = 128 + 2 * SAMPLE_BYTES;

/// What a slot has beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Slot,
    Sample,
    Lengths,
    Levels,
}

/// Bytes of the slots of all names.
pub fn bytes(expression: &Expression) -> usize {
    let mut parts = Vec::new();
    gather(expression, &mut parts);
    parts.sort_unstable();
    parts.dedup();
    let of_part = |&(name, part): &(&str, Part)| match part {
        Part::Slot => SLOT_BYTES + text_bytes(name),
        Part::Sample => SAMPLE_BYTES,
        Part::Lengths => LENGTHS_BYTES,
        Part::Levels => LEVELS_BYTES,
    };
    parts.iter().map(of_part).sum()
}

fn gather<'f>(expression: &'f Expression, into: &mut Vec<(&'f str, Part)>) {
    match expression {
        Expression::Constant(_) => {}
        Expression::Not(inner) => gather(inner, into),
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| gather(part, into)),
        Expression::Predicate(predicate) => gather_name(predicate, into),
    }
}

fn gather_name<'f>(predicate: &'f Predicate, into: &mut Vec<(&'f str, Part)>) {
    let (name, part) = match atom(predicate) {
        Some(Atom::Range(name, ..)) => (name, Some(Part::Sample)),
        Some(Atom::Prefix(name, _)) => (name, Some(Part::Lengths)),
        Some(Atom::Circle(name, ..) | Atom::Box(name, ..)) => (name, Some(Part::Levels)),
        Some(Atom::Equal(name, _) | Atom::Differs(name, _) | Atom::Among(name, _) | Atom::Holds(name, _)) => {
            (name, None)
        }
        Some(Atom::Present(name) | Atom::Absent(name)) => (name, None),
        Some(Atom::Residual(_)) => return,
        None if let Predicate::IsNull(Operand::Attribute(name)) = predicate => (name, None),
        None => match required(predicate) {
            Some(name) => (name, matches!(predicate, Predicate::Between { .. }).then_some(Part::Sample)),
            None => return,
        },
    };
    into.push((name, Part::Slot));
    into.extend(part.map(|part| (&**name, part)));
}
