//! What a filter is made of: conditions over predicates over operands.
//!
//! The tree is public so that `proto` can carry it as a structure and a matcher can index it; a [`Filter`] is a tree
//! that passed the caps and is canonical, so that printing and parsing it gives it back. The traits `Eq`, `Ord` and
//! `Hash` are structural throughout.
//!
//! [`Filter`]: crate::filter::Filter

use std::sync::Arc;

use crate::filter::pattern::{LikePattern, RegexPattern};
use crate::filter::set::ConstantSet;
use crate::filter::size;
use crate::filter::truth::Truth;
use crate::geo::Polygon;
use crate::value::Value;

/// A condition: true, false or unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Expression {
    /// `TRUE`, `FALSE`, or `NULL` for unknown.
    Constant(Truth),
    /// An atom.
    Predicate(Predicate),
    /// `NOT x`.
    Not(Box<Expression>),
    /// `x AND y AND …`, at least two.
    And(Vec<Expression>),
    /// `x OR y OR …`, at least two.
    Or(Vec<Expression>),
}

/// An atom. Where an operand is missing it is unknown; given a type that its operator is not defined for, it is false.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Predicate {
    /// `left = right` and its like.
    Compare {
        /// Left of the operator.
        left: Operand,
        /// The operator.
        comparison: Comparison,
        /// Right of the operator.
        right: Operand,
    },
    /// `operand [NOT] BETWEEN low AND high`.
    Between {
        /// What is compared.
        operand: Operand,
        /// Which side of the bounds is asked for.
        side: Side,
        /// Lower bound, inside.
        low: Operand,
        /// Upper bound, inside.
        high: Operand,
    },
    /// `operand IN set`: it, or if it is an array one of its elements, equals a member.
    In {
        /// What is looked for.
        operand: Operand,
        /// Where.
        set: Set,
    },
    /// `operand LIKE 'pattern' [ESCAPE 'c']`.
    Like {
        /// The text.
        operand: Operand,
        /// The pattern.
        pattern: LikePattern,
    },
    /// `MATCHES(operand, 'regex')`: the regular expression matches somewhere in it.
    Matches {
        /// The text.
        operand: Operand,
        /// The pattern.
        pattern: RegexPattern,
    },
    /// `STARTS_WITH(operand, prefix)`.
    StartsWith {
        /// The text.
        operand: Operand,
        /// Its beginning.
        prefix: Operand,
    },
    /// `ENDS_WITH(operand, suffix)`.
    EndsWith {
        /// The text.
        operand: Operand,
        /// Its end.
        suffix: Operand,
    },
    /// `CONTAINS(operand, element)`: a part of a text, or an element of an array.
    Contains {
        /// The text or array.
        operand: Operand,
        /// What is looked for in it.
        element: Operand,
    },
    /// `operand IS NULL`: it is missing. Never unknown.
    IsNull(Operand),
    /// `WITHIN(point, shape)`.
    Within {
        /// The place.
        point: Operand,
        /// The area.
        shape: Shape,
    },
}

/// Something that has a value, or none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// A literal: any value but an array, a NaN or an infinity.
    Constant(Value),
    /// An attribute of the publication.
    Attribute(Arc<str>),
    /// An attribute of the subscriber's context, `$name`.
    Context(Arc<str>),
    /// `-x`.
    Negate(Box<Operand>),
    /// `left + right` and its like.
    Arithmetic(Box<Arithmetic>),
    /// `POINT(latitude, longitude)`, not both constants.
    Point(Box<[Operand; 2]>),
    /// `DISTANCE(from, to)`, in metres.
    Distance(Box<[Operand; 2]>),
}

/// An arithmetic operation on numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arithmetic {
    /// Left of the operator.
    pub left: Operand,
    /// The operator.
    pub operator: ArithmeticOperator,
    /// Right of the operator.
    pub right: Operand,
}

/// `+ - * / %`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArithmeticOperator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`, cut off towards zero between integers
    Divide,
    /// `%`, with the sign of the left
    Remainder,
}

/// `= <> < <= > >=`
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Comparison {
    /// The operator with its sides exchanged: `a < b` is `b > a`.
    #[must_use]
    pub fn mirrored(self) -> Self {
        match self {
            Self::Equal => Self::Equal,
            Self::NotEqual => Self::NotEqual,
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
        }
    }

    /// As it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

impl ArithmeticOperator {
    /// As it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Remainder => "%",
        }
    }
}

/// Which side of two bounds: `NOT BETWEEN` is not the negation of `BETWEEN` where types are unlike (JMS defines it as
/// `operand < low OR operand > high`, which is false then).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// `low <= operand AND operand <= high`
    Inside,
    /// `operand < low OR operand > high`
    Outside,
}

/// What `IN` looks in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// A list of constants.
    Constants(ConstantSet),
    /// A list of which at least one is not a constant.
    Operands(Vec<Operand>),
    /// An attribute or context attribute that holds an array.
    Array(Operand),
}

/// An area on Earth, its boundary included.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// `CIRCLE(center, radius in metres)`
    Circle {
        /// A place.
        center: Operand,
        /// A number.
        radius_metres: Operand,
    },
    /// `BOX(south-west corner, north-east corner)`
    Box {
        /// A place.
        south_west: Operand,
        /// A place.
        north_east: Operand,
    },
    /// `POLYGON(point, point, point, …)`
    Polygon(Polygon),
}

impl Expression {
    /// `operand = TRUE`: what a boolean attribute standing alone means.
    #[must_use]
    pub fn is_true(operand: Operand) -> Self {
        Self::Predicate(Predicate::Compare {
            left: operand,
            comparison: Comparison::Equal,
            right: Operand::Constant(Value::Bool(true)),
        })
    }
}

impl From<Predicate> for Expression {
    fn from(predicate: Predicate) -> Self {
        Self::Predicate(predicate)
    }
}

impl Predicate {
    /// `(attribute, comparison, constant)` if that is all this predicate is, the constant on either side.
    #[must_use]
    pub fn as_attribute_comparison(&self) -> Option<(&Arc<str>, Comparison, &Value)> {
        match self {
            Self::Compare { left: Operand::Attribute(name), comparison, right: Operand::Constant(value) } => {
                Some((name, *comparison, value))
            }
            Self::Compare { left: Operand::Constant(value), comparison, right: Operand::Attribute(name) } => {
                Some((name, comparison.mirrored(), value))
            }
            Self::Compare { .. }
            | Self::Between { .. }
            | Self::In { .. }
            | Self::Like { .. }
            | Self::Matches { .. }
            | Self::StartsWith { .. }
            | Self::EndsWith { .. }
            | Self::Contains { .. }
            | Self::IsNull(_)
            | Self::Within { .. } => None,
        }
    }

    /// The operands directly below, in the order of the text.
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Self::Compare { left, right, .. } => vec![left, right],
            Self::Between { operand, low, high, .. } => vec![operand, low, high],
            Self::In { operand, set: Set::Constants(_) } => vec![operand],
            Self::In { operand, set: Set::Operands(members) } => std::iter::once(operand).chain(members).collect(),
            Self::In { operand, set: Set::Array(array) } => vec![operand, array],
            Self::Like { operand, .. } | Self::Matches { operand, .. } => vec![operand],
            Self::StartsWith { operand, prefix: other }
            | Self::EndsWith { operand, suffix: other }
            | Self::Contains { operand, element: other } => vec![operand, other],
            Self::IsNull(operand) => vec![operand],
            Self::Within { point, shape } => match shape {
                Shape::Circle { center, radius_metres } => vec![point, center, radius_metres],
                Shape::Box { south_west, north_east } => vec![point, south_west, north_east],
                Shape::Polygon(_) => vec![point],
            },
        }
    }
}

impl Operand {
    /// The operands directly below.
    #[must_use]
    pub fn children(&self) -> Vec<&Operand> {
        match self {
            Self::Constant(_) | Self::Attribute(_) | Self::Context(_) => Vec::new(),
            Self::Negate(inner) => vec![inner],
            Self::Arithmetic(arithmetic) => vec![&arithmetic.left, &arithmetic.right],
            Self::Point(pair) | Self::Distance(pair) => pair.iter().collect(),
        }
    }

    /// Calls `visit` with this operand and all below it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Operand)) {
        visit(self);
        for child in self.children() {
            child.walk(visit);
        }
    }
}

impl Expression {
    /// Heap bytes below it; what clones share is counted in each.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size::heap_bytes(self)
    }

    /// Calls `visit` with every operand, in the order of the text.
    pub fn walk_operands<'a>(&'a self, visit: &mut impl FnMut(&'a Operand)) {
        match self {
            Self::Constant(_) => {}
            Self::Predicate(predicate) => {
                for operand in predicate.operands() {
                    operand.walk(visit);
                }
            }
            Self::Not(inner) => inner.walk_operands(visit),
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.walk_operands(visit);
                }
            }
        }
    }
}
