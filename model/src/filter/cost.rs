//! What evaluating a condition takes at worst, and where it goes.
//!
//! Counted in nanoseconds of one core of an AMD EPYC, on the publication that is worst for the condition within the default caps
//! (1024 attributes, 16 KiB of text, 1024 elements), by the plain evaluator, with nothing cut short. It depends on the condition
//! and on nothing else, so that whoever counts it, at whatever time, counts the same. The figures are within a factor of two of
//! what `cargo xtask bench matching --workload hostile…` measures; limits add them up, and need no more.

use crate::filter::ast::{Comparison, Expression, Operand, Predicate, Set, Shape};
use crate::filter::pattern::LikePattern;
use crate::value::Value;

/// To visit a junction or a negation.
const VISITED: u64 = 5;
/// To compare two scalars.
const COMPARED: u64 = 15;
/// To find an attribute among 1024.
const FOUND: u64 = 45;
/// A step of arithmetic.
const COMPUTED: u64 = 10;
/// The great circle between two places.
const DISTANCE: u64 = 100;
/// A box.
const BOX: u64 = 20;
/// An edge of a polygon.
const EDGE: u64 = 7;
/// 16 KiB of text from `memchr`'s substring search.
const SEARCHED: u64 = 6_000;
/// To prepare that search.
const PREPARED: u64 = 60;
/// 16 KiB through the shift-and algorithm of `LIKE` with `_`.
const SHIFTED: u64 = 100_000;
/// 16 KiB through an automaton.
const READ: u64 = 50_000;
/// 16 KiB compared with as many.
const TEXTS: u64 = 1_000;
/// Bytes of a constant text that comparing goes through in a nanosecond, at worst to its end.
const BYTES_PER_NANOSECOND: u64 = 16;
/// The elements of an array at the cap.
const ELEMENTS: u64 = 1_024;
/// An element compared with a value.
const ELEMENT: u64 = 20;
/// A step of a binary search among constants.
const HALVED: u64 = 10;
/// Two arrays at the cap that have no element in common: one is sorted.
const INTERSECTED: u64 = 650_000;

/// A condition, and what it takes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costliest<'f> {
    /// The condition.
    pub predicate: &'f Predicate,
    /// Nanoseconds at worst.
    pub nanoseconds: u64,
}

impl Costliest<'_> {
    /// What would be cheaper, as half a sentence.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self.predicate {
            Predicate::Matches { .. } => {
                "let the publisher put what is looked for into an attribute of its own, or ask with =, IN or STARTS_WITH"
            }
            Predicate::Like { pattern, .. } if pattern.pieces().1 > 0 => {
                "ask for a beginning ('lamp-%'), or without `_` between two `%`"
            }
            Predicate::Like { .. } | Predicate::Contains { .. } | Predicate::EndsWith { .. } => {
                "ask for a beginning ('lamp-%', STARTS_WITH), or compare an attribute with ="
            }
            Predicate::In { set: Set::Constants(_), .. } => "ask for fewer members",
            Predicate::In { set: Set::Operands(_) | Set::Array(_), .. } => "compare with constants: IN ('a', 'b')",
            Predicate::Within { shape: Shape::Polygon(_), .. } => "draw fewer vertices, or take a BOX or a CIRCLE",
            Predicate::Within { .. } => "give the place and the size of the area as constants",
            Predicate::Compare { .. }
            | Predicate::Between { .. }
            | Predicate::StartsWith { .. }
            | Predicate::IsNull(_) => "compare an attribute with a constant, without arithmetic",
        }
    }
}

/// Nanoseconds that evaluating takes at worst.
#[must_use]
pub fn worst_nanoseconds(expression: &Expression) -> u64 {
    match expression {
        Expression::Constant(_) => VISITED,
        Expression::Predicate(predicate) => of_predicate(predicate),
        Expression::Not(inner) => VISITED + worst_nanoseconds(inner),
        Expression::And(parts) | Expression::Or(parts) => VISITED + parts.iter().map(worst_nanoseconds).sum::<u64>(),
    }
}

/// The condition that takes most, the first of several; `None` if there is none.
#[must_use]
pub fn costliest(expression: &Expression) -> Option<Costliest<'_>> {
    match expression {
        Expression::Constant(_) => None,
        Expression::Predicate(predicate) => Some(Costliest { predicate, nanoseconds: of_predicate(predicate) }),
        Expression::Not(inner) => costliest(inner),
        Expression::And(parts) | Expression::Or(parts) => parts
            .iter()
            .filter_map(costliest)
            .reduce(|first, next| if next.nanoseconds > first.nanoseconds { next } else { first }),
    }
}

fn of_predicate(predicate: &Predicate) -> u64 {
    let operands: u64 = predicate.operands().into_iter().map(of_operand).sum();
    operands
        + match predicate {
            Predicate::Compare { left, comparison, right } => of_comparison(left, *comparison, right),
            Predicate::Between { operand, low, high, .. } => {
                of_comparison(operand, Comparison::Less, low) + of_comparison(operand, Comparison::Less, high)
            }
            Predicate::In { operand, set } => of_set(operand, set),
            Predicate::Like { pattern, .. } => of_like(pattern),
            Predicate::Matches { .. } => READ,
            Predicate::StartsWith { operand, prefix: other } | Predicate::EndsWith { operand, suffix: other } => {
                if is_open(operand) && is_open(other) {
                    TEXTS
                } else {
                    COMPARED + of_texts([operand, other])
                }
            }
            Predicate::Contains { operand, element } => match (is_open(operand), is_open(element)) {
                (true, true) => 4 * SEARCHED + ELEMENTS * ELEMENT,
                (true, false) => PREPARED + SEARCHED.max(ELEMENTS * ELEMENT),
                (false, _) => COMPARED,
            },
            Predicate::IsNull(_) => VISITED,
            Predicate::Within { shape, .. } => match shape {
                Shape::Circle { .. } => DISTANCE,
                Shape::Box { .. } => BOX,
                Shape::Polygon(polygon) => EDGE * size(polygon.vertices().len()),
            },
        }
}

fn of_comparison(left: &Operand, comparison: Comparison, right: &Operand) -> u64 {
    if !(is_open(left) && is_open(right)) {
        return COMPARED + of_texts([left, right]);
    }
    match comparison {
        // Arrays element by element.
        Comparison::Equal | Comparison::NotEqual => ELEMENTS * ELEMENT,
        Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => TEXTS,
    }
}

fn of_set(operand: &Operand, set: &Set) -> u64 {
    let sought = if is_open(operand) { ELEMENTS } else { 1 };
    match set {
        Set::Constants(members) => {
            let steps = u64::from((members.members().len() + 1).ilog2());
            sought * (COMPARED + HALVED * steps)
        }
        Set::Operands(members) => {
            let of_member = |member: &Operand| match (is_open(operand), is_open(member)) {
                (true, _) => ELEMENTS * ELEMENT / 2,
                (false, _) => COMPARED,
            };
            members.iter().map(of_member).sum()
        }
        Set::Array(_) if is_open(operand) => INTERSECTED,
        Set::Array(_) => ELEMENTS * ELEMENT,
    }
}

fn of_like(pattern: &LikePattern) -> u64 {
    let (pieces, searched) = pattern.pieces();
    let (pieces, searched) = (size(pieces), size(searched));
    // The first and the last piece are gone through where they stand, a nanosecond for each `_`; the others share the text.
    let ends = size(pattern.text().len());
    let between = pieces.saturating_sub(2);
    let texts = match (between, searched) {
        (0, _) => 0,
        (_, 0) => SEARCHED,
        _ => SHIFTED,
    };
    COMPARED + ends + PREPARED * between + texts
}

/// What comparing goes through of constants.
fn of_texts(operands: [&Operand; 2]) -> u64 {
    let bytes = operands.map(|operand| match operand {
        Operand::Constant(Value::String(text)) => size(text.len()),
        Operand::Constant(_)
        | Operand::Attribute(_)
        | Operand::Context(_)
        | Operand::Negate(_)
        | Operand::Arithmetic(_)
        | Operand::Point(_)
        | Operand::Distance(_) => 0,
    });
    bytes.into_iter().sum::<u64>() / BYTES_PER_NANOSECOND
}

fn of_operand(operand: &Operand) -> u64 {
    let below: u64 = operand.children().into_iter().map(of_operand).sum();
    below
        + match operand {
            Operand::Constant(_) => 0,
            Operand::Attribute(_) | Operand::Context(_) => FOUND,
            Operand::Negate(_) | Operand::Arithmetic(_) | Operand::Point(_) => COMPUTED,
            Operand::Distance(_) => DISTANCE,
        }
}

/// Whether it may be a long text or a large array.
fn is_open(operand: &Operand) -> bool {
    matches!(operand, Operand::Attribute(_) | Operand::Context(_))
}

fn size(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::{Filter, FilterLimits};

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &FilterLimits::default()).expect(text)
    }

    fn worst(text: &str) -> u64 {
        worst_nanoseconds(filter(text).expression())
    }

    #[test]
    fn what_reads_whole_texts_and_arrays_costs_a_hundred_times_what_compares_does() {
        let plain = worst("kind = 'traffic' AND speed < 30");
        assert!(plain < 200, "{plain}");
        for text in
            ["note LIKE '%x%'", "MATCHES(note, 'x')", "CONTAINS(tags, 'a')", "'a' IN tags", "a = b", "tags IN (1, 2)"]
        {
            assert!(worst(text) > 20 * plain, "{text}: {}", worst(text));
        }
        assert!(worst("note LIKE 'x%'") < plain && worst("WITHIN(p, CIRCLE(POINT(1, 2), 3))") < 2 * plain);
        assert!(worst("note LIKE '%a_b%'") > 10 * worst("note LIKE '%ab%'"));
        // What stands at an end takes as long as it is: 16,000 `_` took 17 us.
        for text in [format!("note LIKE '{}%x'", "_".repeat(8_000)), format!("note LIKE '%{}'", "_".repeat(8_000))] {
            assert!((8_000..16_000).contains(&worst(&text)), "{}", worst(&text));
        }
        assert!(worst(&format!("ENDS_WITH(note, '{}')", "a".repeat(8_000))) > 500);
        assert_eq!(worst("a = b AND NOT a = b"), 2 * worst("a = b") + 2 * VISITED);
    }

    #[test]
    fn the_costliest_condition_comes_with_advice() {
        let filter = filter("kind = 'a' AND (NOT MATCHES(note, '^a') OR note LIKE '%b%' OR speed < 3)");
        let costliest = costliest(filter.expression()).expect("it has conditions");
        assert!(matches!(costliest.predicate, Predicate::Matches { .. }));
        assert!(costliest.nanoseconds > READ && costliest.advice().contains("STARTS_WITH"));
        assert_eq!(super::costliest(&Expression::Constant(crate::filter::Truth::True)), None);
    }
}
