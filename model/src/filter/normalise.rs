//! The form that an index wants, equal to the original on every publication and context, the unknowns included:
//!
//! - `NOT` only directly before an atom. It cannot always go further: where types are unlike both `a < 5` and `a >= 5`
//!   are false, and with a NaN too, so `NOT a < 5` stays; `NOT (x AND y)` becomes `NOT x OR NOT y` (De Morgan holds in
//!   three-valued logic), `NOT NOT x` becomes `x`.
//! - No `BETWEEN`: two comparisons, as the standards define it.
//! - `IN` stays, also with one member: it differs from `=` where the attribute is an array.
//! - A constant and an attribute stand as `attribute operator constant`.
//! - `LIKE` that only asks for a beginning or an end becomes `STARTS_WITH` or `ENDS_WITH`.
//! - What does not depend on anything is computed, and `TRUE` and `FALSE` absorb or vanish.
//! - `AND` and `OR` are flat, sorted and free of doubles; with one part left they are that part.
//!
//! It grows by no more than what `BETWEEN` doubles and nests at most one level deeper than the filter did, perhaps beyond
//! the cap: it is for an index and does not travel as text.

use crate::filter::Filter;
use crate::filter::arithmetic;
use crate::filter::ast::{Arithmetic, Comparison, Expression, Operand, Predicate, Set, Shape, Side};
use crate::filter::check;
use crate::filter::evaluate::{Nothing, evaluate_expression};
use crate::filter::truth::Truth;
use crate::value::{Scalar, Value};

/// The normal form; the rules stand at the top of this file.
#[must_use]
pub fn normalise(filter: &Filter) -> Filter {
    Filter::from_canonical(expression(filter.expression(), Polarity::Plain))
}

/// Whether the condition is wanted or its negation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Polarity {
    Plain,
    Negated,
}

impl Polarity {
    fn flipped(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Junction {
    And,
    Or,
}

fn expression(source: &Expression, polarity: Polarity) -> Expression {
    match source {
        Expression::Constant(truth) => Expression::Constant(match polarity {
            Polarity::Plain => *truth,
            Polarity::Negated => !*truth,
        }),
        Expression::Not(inner) => expression(inner, polarity.flipped()),
        Expression::And(parts) => junction(Junction::And, parts, polarity),
        Expression::Or(parts) => junction(Junction::Or, parts, polarity),
        Expression::Predicate(predicate) => atom(predicate, polarity),
    }
}

fn junction(junction: Junction, parts: &[Expression], polarity: Polarity) -> Expression {
    let junction = match (junction, polarity) {
        (Junction::And, Polarity::Plain) | (Junction::Or, Polarity::Negated) => Junction::And,
        (Junction::Or, Polarity::Plain) | (Junction::And, Polarity::Negated) => Junction::Or,
    };
    join(junction, parts.iter().map(|part| expression(part, polarity)).collect())
}

/// Flattens one level (the parts are normal already), drops the neutral, gives way to the absorbing, sorts.
fn join(junction: Junction, parts: Vec<Expression>) -> Expression {
    let (neutral, absorbing) = match junction {
        Junction::And => (Truth::True, Truth::False),
        Junction::Or => (Truth::False, Truth::True),
    };
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match (part, junction) {
            (Expression::Constant(truth), _) if truth == absorbing => {
                return Expression::Constant(absorbing);
            }
            (Expression::Constant(truth), _) if truth == neutral => {}
            (Expression::And(inner), Junction::And) | (Expression::Or(inner), Junction::Or) => flat.extend(inner),
            (other, _) => flat.push(other),
        }
    }
    flat.sort();
    flat.dedup();
    flat.shrink_to_fit();
    match flat.len() {
        0 => Expression::Constant(neutral),
        1 => flat.pop().expect("one part"),
        _ => match junction {
            Junction::And => Expression::And(flat),
            Junction::Or => Expression::Or(flat),
        },
    }
}

fn atom(source: &Predicate, polarity: Polarity) -> Expression {
    let predicate = match fold(source) {
        Predicate::Between { operand, side, low, high } => {
            let (first, second, how) = match side {
                Side::Inside => (Comparison::GreaterOrEqual, Comparison::LessOrEqual, Junction::And),
                Side::Outside => (Comparison::Less, Comparison::Greater, Junction::Or),
            };
            let parts = [
                Predicate::Compare { left: operand.clone(), comparison: first, right: low }.into(),
                Predicate::Compare { left: operand, comparison: second, right: high }.into(),
            ];
            return junction(how, &parts, polarity);
        }
        Predicate::Compare { left, comparison, right } => oriented(left, comparison, right),
        Predicate::Like { operand, pattern } => {
            if let Some(prefix) = pattern.as_prefix() {
                Predicate::StartsWith { operand, prefix: Operand::Constant(Value::from(prefix)) }
            } else if let Some(suffix) = pattern.as_suffix() {
                Predicate::EndsWith { operand, suffix: Operand::Constant(Value::from(suffix)) }
            } else {
                Predicate::Like { operand, pattern }
            }
        }
        other @ (Predicate::In { .. }
        | Predicate::Matches { .. }
        | Predicate::StartsWith { .. }
        | Predicate::EndsWith { .. }
        | Predicate::Contains { .. }
        | Predicate::IsNull(_)
        | Predicate::Within { .. }) => other,
    };
    let mut depends = false;
    for operand in predicate.operands() {
        operand.walk(&mut |operand| depends |= matches!(operand, Operand::Attribute(_) | Operand::Context(_)));
    }
    let plain = Expression::Predicate(predicate);
    if !depends {
        return expression(&Expression::Constant(evaluate_expression(&plain, &Nothing, &Nothing)), polarity);
    }
    match polarity {
        Polarity::Plain => plain,
        Polarity::Negated => Expression::Not(Box::new(plain)),
    }
}

/// The constant on the right; of two that are none, the smaller on the left where the operator allows.
fn oriented(left: Operand, comparison: Comparison, right: Operand) -> Predicate {
    let is_constant = |operand: &Operand| matches!(operand, Operand::Constant(_));
    let swap = match (is_constant(&left), is_constant(&right)) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => right < left,
    };
    if swap {
        Predicate::Compare { left: right, comparison: comparison.mirrored(), right: left }
    } else {
        Predicate::Compare { left, comparison, right }
    }
}

fn fold(predicate: &Predicate) -> Predicate {
    match predicate {
        Predicate::Compare { left, comparison, right } => {
            Predicate::Compare { left: operand(left), comparison: *comparison, right: operand(right) }
        }
        Predicate::Between { operand: inner, side, low, high } => {
            Predicate::Between { operand: operand(inner), side: *side, low: operand(low), high: operand(high) }
        }
        Predicate::In { operand: inner, set } => Predicate::In {
            operand: operand(inner),
            set: match set {
                Set::Constants(members) => Set::Constants(members.clone()),
                Set::Operands(members) => {
                    let mut members: Vec<Operand> = members.iter().map(operand).collect();
                    members.sort();
                    members.dedup();
                    check::set(members)
                }
                Set::Array(array) => Set::Array(array.clone()),
            },
        },
        Predicate::Like { operand: inner, pattern } => {
            Predicate::Like { operand: operand(inner), pattern: pattern.clone() }
        }
        Predicate::Matches { operand: inner, pattern } => {
            Predicate::Matches { operand: operand(inner), pattern: pattern.clone() }
        }
        Predicate::StartsWith { operand: inner, prefix } => {
            Predicate::StartsWith { operand: operand(inner), prefix: operand(prefix) }
        }
        Predicate::EndsWith { operand: inner, suffix } => {
            Predicate::EndsWith { operand: operand(inner), suffix: operand(suffix) }
        }
        Predicate::Contains { operand: inner, element } => {
            Predicate::Contains { operand: operand(inner), element: operand(element) }
        }
        Predicate::IsNull(inner) => Predicate::IsNull(operand(inner)),
        Predicate::Within { point, shape } => {
            let folded = match shape {
                Shape::Circle { center, radius_metres } => {
                    Shape::Circle { center: operand(center), radius_metres: operand(radius_metres) }
                }
                Shape::Box { south_west, north_east } => {
                    Shape::Box { south_west: operand(south_west), north_east: operand(north_east) }
                }
                Shape::Polygon(polygon) => Shape::Polygon(polygon.clone()),
            };
            // Folding may uncover a constant that the text form refuses (a negative radius): keep what was written.
            let shape = if check::check_shape(&folded).is_ok() { folded } else { shape.clone() };
            Predicate::Within { point: operand(point), shape }
        }
    }
}

/// Computes what does not depend on anything and has a literal: neither missing values nor infinities do.
fn operand(source: &Operand) -> Operand {
    match source {
        Operand::Constant(_) | Operand::Attribute(_) | Operand::Context(_) => source.clone(),
        Operand::Negate(inner) => check::negate(operand(inner)),
        Operand::Arithmetic(arithmetic) => {
            let Arithmetic { left, operator, right } = &**arithmetic;
            let (left, right) = (operand(left), operand(right));
            if let (Operand::Constant(left), Operand::Constant(right)) = (&left, &right) {
                match arithmetic::apply(left.into(), *operator, right.into()) {
                    Some(Scalar::Integer(number)) => {
                        return Operand::Constant(Value::Integer(number));
                    }
                    Some(Scalar::Float(number)) if number.is_finite() => {
                        return Operand::Constant(Value::Float(number));
                    }
                    _ => {}
                }
            }
            Operand::Arithmetic(Box::new(Arithmetic { left, operator: *operator, right }))
        }
        Operand::Point(pair) => {
            // Constants that name no place have no value, and the text form refuses them as literals: keep what was
            // written.
            check::point(operand(&pair[0]), operand(&pair[1])).unwrap_or_else(|_| source.clone())
        }
        Operand::Distance(pair) => {
            let (from, to) = (operand(&pair[0]), operand(&pair[1]));
            if let (Operand::Constant(from), Operand::Constant(to)) = (&from, &to)
                && let Some(metres) = arithmetic::distance(from.into(), to.into())
            {
                return Operand::Constant(Value::Float(metres));
            }
            Operand::Distance(Box::new([from, to]))
        }
    }
}
