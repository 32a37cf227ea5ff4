//! The plain evaluator: what a filter means. Recursion is bounded by the depth cap. Nothing is allocated, but for `IN`
//! between two large arrays, of which one is sorted: each against each took 25 ms for two of 1024 timestamps and texts.

use std::cmp::Ordering;

use crate::attributes::Attributes;
use crate::filter::Filter;
use crate::filter::arithmetic;
use crate::filter::ast::{Comparison, Expression, Operand, Predicate, Set, Shape, Side};
use crate::filter::pattern::find;
use crate::filter::set::ConstantSet;
use crate::filter::truth::Truth;
use crate::value::{Comparability, Scalar, Value};

/// Where an evaluation finds the values of names.
pub trait AttributeSource {
    /// The value of `name`, if it has one.
    fn attribute(&self, name: &str) -> Option<&Value>;
}

impl AttributeSource for Attributes {
    #[inline]
    fn attribute(&self, name: &str) -> Option<&Value> {
        self.get(name)
    }
}

impl<Source: AttributeSource + ?Sized> AttributeSource for &Source {
    #[inline]
    fn attribute(&self, name: &str) -> Option<&Value> {
        (**self).attribute(name)
    }
}

impl<Source: AttributeSource + ?Sized> AttributeSource for std::sync::Arc<Source> {
    #[inline]
    fn attribute(&self, name: &str) -> Option<&Value> {
        (**self).attribute(name)
    }
}

/// A source without attributes: the context of a subscriber that gave none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nothing;

impl AttributeSource for Nothing {
    #[inline]
    fn attribute(&self, _name: &str) -> Option<&Value> {
        None
    }
}

/// What `filter` comes to for a publication's attributes and the subscriber's context.
#[must_use]
pub fn evaluate(
    filter: &Filter,
    source: &(impl AttributeSource + ?Sized),
    context: &(impl AttributeSource + ?Sized),
) -> Truth {
    evaluate_expression(filter.expression(), source, context)
}

/// As [`evaluate`], for a part of a filter.
#[must_use]
pub fn evaluate_expression(
    expression: &Expression,
    source: &(impl AttributeSource + ?Sized),
    context: &(impl AttributeSource + ?Sized),
) -> Truth {
    Evaluation { source, context }.condition(expression)
}

struct Evaluation<'a, Source: ?Sized, Context: ?Sized> {
    source: &'a Source,
    context: &'a Context,
}

impl<'a, Source: AttributeSource + ?Sized, Context: AttributeSource + ?Sized> Evaluation<'a, Source, Context> {
    fn condition(&self, expression: &'a Expression) -> Truth {
        match expression {
            Expression::Constant(truth) => *truth,
            Expression::Predicate(predicate) => self.predicate(predicate),
            Expression::Not(inner) => !self.condition(inner),
            Expression::And(parts) => {
                let mut truth = Truth::True;
                for part in parts {
                    truth = truth.and(self.condition(part));
                    if truth == Truth::False {
                        break;
                    }
                }
                truth
            }
            Expression::Or(parts) => {
                let mut truth = Truth::False;
                for part in parts {
                    truth = truth.or(self.condition(part));
                    if truth == Truth::True {
                        break;
                    }
                }
                truth
            }
        }
    }

    fn predicate(&self, predicate: &'a Predicate) -> Truth {
        match predicate {
            Predicate::Compare { left, comparison, right } => {
                compare(self.operand(left), *comparison, self.operand(right))
            }
            Predicate::Between { operand, side, low, high } => {
                let (operand, low, high) = (self.operand(operand), self.operand(low), self.operand(high));
                match side {
                    Side::Inside => compare(operand, Comparison::GreaterOrEqual, low).and(compare(
                        operand,
                        Comparison::LessOrEqual,
                        high,
                    )),
                    Side::Outside => {
                        compare(operand, Comparison::Less, low).or(compare(operand, Comparison::Greater, high))
                    }
                }
            }
            Predicate::In { operand, set } => match self.operand(operand) {
                None => Truth::Unknown,
                Some(value) => self.is_in(value, set),
            },
            Predicate::Like { operand, pattern } => self.text(operand, |text| pattern.is_match(text)),
            Predicate::Matches { operand, pattern } => self.text(operand, |text| pattern.is_match(text)),
            Predicate::StartsWith { operand, prefix } => {
                self.texts(operand, prefix, |text, prefix| text.starts_with(prefix))
            }
            Predicate::EndsWith { operand, suffix } => {
                self.texts(operand, suffix, |text, suffix| text.ends_with(suffix))
            }
            Predicate::Contains { operand, element } => match (self.operand(operand), self.operand(element)) {
                (None, _) | (_, None) => Truth::Unknown,
                (Some(Scalar::String(text)), Some(Scalar::String(part))) => Truth::from(find(text, part).is_some()),
                (Some(Scalar::Array(elements)), Some(element)) => Truth::from(holds(elements, element)),
                (Some(_), Some(_)) => Truth::False,
            },
            Predicate::IsNull(operand) => Truth::from(self.operand(operand).is_none()),
            Predicate::Within { point, shape } => self.within(point, shape),
        }
    }

    fn text(&self, operand: &'a Operand, holds: impl FnOnce(&str) -> bool) -> Truth {
        match self.operand(operand) {
            None => Truth::Unknown,
            Some(Scalar::String(text)) => Truth::from(holds(text)),
            Some(_) => Truth::False,
        }
    }

    fn texts(&self, left: &'a Operand, right: &'a Operand, holds: impl FnOnce(&str, &str) -> bool) -> Truth {
        match (self.operand(left), self.operand(right)) {
            (None, _) | (_, None) => Truth::Unknown,
            (Some(Scalar::String(left)), Some(Scalar::String(right))) => Truth::from(holds(left, right)),
            (Some(_), Some(_)) => Truth::False,
        }
    }

    fn is_in(&self, value: Scalar<'a>, set: &'a Set) -> Truth {
        match set {
            Set::Constants(members) => Truth::from(if let Scalar::Array(elements) = value {
                elements.iter().any(|element| members.holds(element.into()))
            } else {
                members.holds(value)
            }),
            Set::Operands(members) => {
                let mut truth = Truth::False;
                for member in members {
                    truth = truth.or(match self.operand(member) {
                        None => Truth::Unknown,
                        Some(member) => Truth::from(is_or_holds(value, member)),
                    });
                    if truth == Truth::True {
                        break;
                    }
                }
                truth
            }
            Set::Array(array) => match self.operand(array) {
                None => Truth::Unknown,
                Some(Scalar::Array(members)) => Truth::from(match value {
                    Scalar::Array(elements) => intersect(elements, members),
                    scalar @ (Scalar::Bool(_)
                    | Scalar::Integer(_)
                    | Scalar::Float(_)
                    | Scalar::String(_)
                    | Scalar::Timestamp(_)
                    | Scalar::GeoPoint(_)) => holds(members, scalar),
                }),
                Some(_) => Truth::False,
            },
        }
    }

    fn within(&self, point: &'a Operand, shape: &'a Shape) -> Truth {
        let Some(point) = self.operand(point) else {
            return Truth::Unknown;
        };
        let (first, second) = match shape {
            Shape::Circle { center, radius_metres } => (self.operand(center), self.operand(radius_metres)),
            Shape::Box { south_west, north_east } => (self.operand(south_west), self.operand(north_east)),
            Shape::Polygon(polygon) => {
                return Truth::from(matches!(point, Scalar::GeoPoint(point) if polygon.contains(point)));
            }
        };
        let (Some(first), Some(second)) = (first, second) else {
            return Truth::Unknown;
        };
        match (shape, point, first, second) {
            (Shape::Circle { .. }, Scalar::GeoPoint(point), Scalar::GeoPoint(center), radius) => {
                Truth::from(arithmetic::number(radius).is_some_and(|radius| point.distance_metres(center) <= radius))
            }
            (
                Shape::Box { .. },
                Scalar::GeoPoint(point),
                Scalar::GeoPoint(south_west),
                Scalar::GeoPoint(north_east),
            ) => Truth::from(point.is_in_box(south_west, north_east)),
            (Shape::Circle { .. } | Shape::Box { .. } | Shape::Polygon(_), _, _, _) => Truth::False,
        }
    }

    #[inline]
    fn operand(&self, operand: &'a Operand) -> Option<Scalar<'a>> {
        match operand {
            Operand::Constant(value) => Some(value.into()),
            Operand::Attribute(name) => self.source.attribute(name).map(Scalar::from),
            Operand::Context(name) => self.context.attribute(name).map(Scalar::from),
            Operand::Negate(inner) => arithmetic::negate(self.operand(inner)?),
            Operand::Arithmetic(arithmetic) => arithmetic::apply(
                self.operand(&arithmetic.left)?,
                arithmetic.operator,
                self.operand(&arithmetic.right)?,
            ),
            Operand::Point(pair) => {
                arithmetic::point(self.operand(&pair[0])?, self.operand(&pair[1])?).map(Scalar::GeoPoint)
            }
            Operand::Distance(pair) => {
                arithmetic::distance(self.operand(&pair[0])?, self.operand(&pair[1])?).map(Scalar::Float)
            }
        }
    }
}

/// `value = member`, or an element of `value` does.
fn is_or_holds(value: Scalar<'_>, member: Scalar<'_>) -> bool {
    value.equals(member) || matches!(value, Scalar::Array(elements) if holds(elements, member))
}

/// Pairs up to which comparing each is quicker than sorting one side.
const PAIRS_MAX: usize = 2_048;

/// Whether an element of one equals an element of the other (the elements of an array are scalars, so the array itself
/// is none of them).
fn intersect(elements: &[Value], members: &[Value]) -> bool {
    if elements.len().saturating_mul(members.len()) <= PAIRS_MAX {
        return elements.iter().any(|element| holds(members, element.into()));
    }
    let (few, many) = if elements.len() < members.len() { (elements, members) } else { (members, elements) };
    let sorted: ConstantSet = few.iter().cloned().collect();
    many.iter().any(|element| sorted.holds(element.into()))
}

fn holds(elements: &[Value], element: Scalar<'_>) -> bool {
    elements.iter().any(|other| Scalar::from(other).equals(element))
}

#[inline]
pub(super) fn compare(left: Option<Scalar<'_>>, comparison: Comparison, right: Option<Scalar<'_>>) -> Truth {
    let (Some(left), Some(right)) = (left, right) else {
        return Truth::Unknown;
    };
    Truth::from(match left.compare(right) {
        Comparability::Ordered(ordering) => match comparison {
            Comparison::Equal => ordering == Ordering::Equal,
            Comparison::NotEqual => ordering != Ordering::Equal,
            Comparison::Less => ordering == Ordering::Less,
            Comparison::LessOrEqual => ordering != Ordering::Greater,
            Comparison::Greater => ordering == Ordering::Greater,
            Comparison::GreaterOrEqual => ordering != Ordering::Less,
        },
        Comparability::Equatable(equal) => match comparison {
            Comparison::Equal => equal,
            Comparison::NotEqual => !equal,
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => false,
        },
        Comparability::Unordered => comparison == Comparison::NotEqual,
        Comparability::Unlike => false,
    })
}
