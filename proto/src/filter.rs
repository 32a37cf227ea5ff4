//! Filters as structures, between wire and model. The text form needs no conversion: it is parsed where it arrives.

use gomera_model::filter::{
    Arithmetic, ArithmeticOperator, Comparison, ConstantSet, DEPTH_CEILING, Expression, ExpressionError, Filter,
    FilterLimits, LikePattern, LikePatternError, Operand, ParseError, Predicate, RegexCompiler, RegexPatternError, Set,
    Shape, Side, Truth,
};
use gomera_model::geo::{GeoPointError, Polygon, PolygonError};
use gomera_model::value::Value;

use crate::v1;
use crate::value::{self, ValueError};

/// Why a filter on the wire is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FilterError {
    /// Neither text nor structure is given.
    #[error("filter is missing, must have `text` or `structure`")]
    Missing,
    /// The text.
    #[error(transparent)]
    Text(#[from] ParseError),
    /// The structure.
    #[error("filter structure: {0}")]
    Structure(#[from] StructureError),
}

impl FilterError {
    /// Where in the text, in bytes from its start, if it is the text that is wrong.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        match self {
            Self::Text(error) => Some(error.offset),
            Self::Missing | Self::Structure(_) => None,
        }
    }
}

/// Why a structure is no filter.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum StructureError {
    /// A field that has to be set is not.
    #[error("`{0}` is not set")]
    Missing(&'static str),
    /// Deeper than any filter may be.
    #[error("nested deeper than {DEPTH_CEILING}")]
    TooDeep,
    /// A constant.
    #[error("constant {0}")]
    Value(#[from] ValueError),
    /// `Like.escape`, its beginning.
    #[error("`like.escape` is `{0}`, must be one character or empty")]
    Escape(String),
    /// `Like.pattern`.
    #[error("`like.pattern`: {0}")]
    Like(#[from] LikePatternError),
    /// `Matches.pattern`.
    #[error("`matches.pattern`: {0}")]
    Matches(#[from] RegexPatternError),
    /// A vertex.
    #[error("`polygon`: {0}")]
    Place(#[from] GeoPointError),
    /// Vertices that bound no area.
    #[error("`polygon`: {0}")]
    Polygon(#[from] PolygonError),
    /// A cap, or a constant that no filter can have.
    #[error(transparent)]
    Expression(#[from] ExpressionError),
}

/// Reads a filter as a client gives it, in either form.
pub fn source(wire: Option<v1::FilterSource>, limits: &FilterLimits) -> Result<Filter, FilterError> {
    use v1::filter_source::Filter as Form;
    match wire.and_then(|source| source.filter).ok_or(FilterError::Missing)? {
        Form::Text(text) => Ok(Filter::parse(&text, limits)?),
        Form::Structure(structure) => Ok(filter(structure, limits)?),
    }
}

/// A filter as a client gives it, in text form.
#[must_use]
pub fn to_source(filter: &Filter) -> v1::FilterSource {
    v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(filter.to_string())) }
}

/// From the structured form.
pub fn filter(wire: v1::Filter, limits: &FilterLimits) -> Result<Filter, StructureError> {
    let expression = Walk { regexes: RegexCompiler::new(limits) }.expression(wire, 0)?;
    Ok(Filter::from_expression(expression, limits)?)
}

struct Walk<'a> {
    /// Refuses what is beyond the caps of a filter before it is compiled.
    regexes: RegexCompiler<'a>,
}

impl Walk<'_> {
    fn expression(&mut self, wire: v1::Filter, depth: usize) -> Result<Expression, StructureError> {
        use v1::filter::Condition;
        let depth = deeper(depth)?;
        let operand = |wire: Option<v1::Operand>, name| operand(wire, name, depth);
        Ok(match wire.condition.ok_or(StructureError::Missing("condition"))? {
            Condition::Constant(truth) => Expression::Constant(match v1::Truth::try_from(truth) {
                Ok(v1::Truth::True) => Truth::True,
                Ok(v1::Truth::False) => Truth::False,
                Ok(v1::Truth::Unknown) => Truth::Unknown,
                Ok(v1::Truth::Unspecified) | Err(_) => return Err(StructureError::Missing("constant")),
            }),
            Condition::Not(inner) => Expression::Not(Box::new(self.expression(*inner, depth)?)),
            Condition::And(parts) => Expression::And(self.conditions(parts, depth)?),
            Condition::Or(parts) => Expression::Or(self.conditions(parts, depth)?),
            Condition::Compare(wire) => Expression::Predicate(Predicate::Compare {
                comparison: comparison(wire.comparison())?,
                left: operand(wire.left, "compare.left")?,
                right: operand(wire.right, "compare.right")?,
            }),
            Condition::Between(wire) => Expression::Predicate(Predicate::Between {
                operand: operand(wire.operand, "between.operand")?,
                side: if wire.outside { Side::Outside } else { Side::Inside },
                low: operand(wire.low, "between.low")?,
                high: operand(wire.high, "between.high")?,
            }),
            Condition::In(wire) => Expression::Predicate(Predicate::In {
                operand: operand(wire.operand, "in.operand")?,
                set: set(wire.set.ok_or(StructureError::Missing("in.set"))?, depth)?,
            }),
            Condition::Like(wire) => Expression::Predicate(Predicate::Like {
                operand: operand(wire.operand, "like.operand")?,
                pattern: LikePattern::new(wire.pattern, escape(&wire.escape)?)?,
            }),
            Condition::Matches(wire) => Expression::Predicate(Predicate::Matches {
                operand: operand(wire.operand, "matches.operand")?,
                pattern: self.regexes.compile(&wire.pattern)?,
            }),
            Condition::StartsWith(wire) => Expression::Predicate(Predicate::StartsWith {
                operand: operand(wire.operand, "starts_with.operand")?,
                prefix: operand(wire.prefix, "starts_with.prefix")?,
            }),
            Condition::EndsWith(wire) => Expression::Predicate(Predicate::EndsWith {
                operand: operand(wire.operand, "ends_with.operand")?,
                suffix: operand(wire.suffix, "ends_with.suffix")?,
            }),
            Condition::Contains(wire) => Expression::Predicate(Predicate::Contains {
                operand: operand(wire.operand, "contains.operand")?,
                element: operand(wire.element, "contains.element")?,
            }),
            Condition::IsNull(wire) => Expression::Predicate(Predicate::IsNull(operand(Some(wire), "is_null")?)),
            Condition::Within(wire) => Expression::Predicate(Predicate::Within {
                point: operand(wire.point, "within.point")?,
                shape: shape(wire.shape.ok_or(StructureError::Missing("within.shape"))?, depth)?,
            }),
        })
    }

    fn conditions(&mut self, wire: v1::Conditions, depth: usize) -> Result<Vec<Expression>, StructureError> {
        if wire.conditions.is_empty() {
            return Err(StructureError::Missing("conditions"));
        }
        wire.conditions.into_iter().map(|part| self.expression(part, depth)).collect()
    }
}

fn deeper(depth: usize) -> Result<usize, StructureError> {
    if depth >= DEPTH_CEILING { Err(StructureError::TooDeep) } else { Ok(depth + 1) }
}

fn operand(wire: Option<v1::Operand>, name: &'static str, depth: usize) -> Result<Operand, StructureError> {
    use v1::operand::Operand as Wire;
    let depth = deeper(depth)?;
    Ok(match wire.and_then(|wire| wire.operand).ok_or(StructureError::Missing(name))? {
        Wire::Constant(constant) => Operand::Constant(value::value(constant)?),
        Wire::Attribute(name) => Operand::Attribute(name.into()),
        Wire::Context(name) => Operand::Context(name.into()),
        Wire::Negate(inner) => Operand::Negate(Box::new(operand(Some(*inner), "negate", depth)?)),
        Wire::Arithmetic(wire) => Operand::Arithmetic(Box::new(Arithmetic {
            operator: operator(wire.operator())?,
            left: operand(wire.left.map(|operand| *operand), "arithmetic.left", depth)?,
            right: operand(wire.right.map(|operand| *operand), "arithmetic.right", depth)?,
        })),
        Wire::Point(wire) => Operand::Point(pair(*wire, depth)?),
        Wire::Distance(wire) => Operand::Distance(pair(*wire, depth)?),
    })
}

fn pair(wire: v1::Pair, depth: usize) -> Result<Box<[Operand; 2]>, StructureError> {
    let first = operand(wire.first.map(|operand| *operand), "first", depth)?;
    let second = operand(wire.second.map(|operand| *operand), "second", depth)?;
    Ok(Box::new([first, second]))
}

fn set(wire: v1::r#in::Set, depth: usize) -> Result<Set, StructureError> {
    let members = match wire {
        v1::r#in::Set::Array(array) => return Ok(Set::Array(operand(Some(array), "in.array", depth)?)),
        v1::r#in::Set::List(list) => list.members,
    };
    let members = members
        .into_iter()
        .map(|member| operand(Some(member), "in.list.members", depth))
        .collect::<Result<Vec<_>, _>>()?;
    let constants = members
        .iter()
        .map(|member| match member {
            Operand::Constant(value) => Some(value.clone()),
            Operand::Attribute(_)
            | Operand::Context(_)
            | Operand::Negate(_)
            | Operand::Arithmetic(_)
            | Operand::Point(_)
            | Operand::Distance(_) => None,
        })
        .collect::<Option<Vec<Value>>>();
    Ok(constants.map_or_else(|| Set::Operands(members), |constants| Set::Constants(ConstantSet::new(constants))))
}

fn shape(wire: v1::within::Shape, depth: usize) -> Result<Shape, StructureError> {
    Ok(match wire {
        v1::within::Shape::Circle(circle) => Shape::Circle {
            center: operand(circle.center, "circle.center", depth)?,
            radius_metres: operand(circle.radius_metres, "circle.radius_metres", depth)?,
        },
        v1::within::Shape::Box(wire) => Shape::Box {
            south_west: operand(wire.south_west, "box.south_west", depth)?,
            north_east: operand(wire.north_east, "box.north_east", depth)?,
        },
        v1::within::Shape::Polygon(polygon) => {
            let vertices = polygon.vertices.iter().map(value::geo_point).collect::<Result<Vec<_>, _>>()?;
            Shape::Polygon(Polygon::new(vertices)?)
        }
    })
}

fn escape(text: &str) -> Result<Option<char>, StructureError> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(StructureError::Escape(text.chars().take(10).collect())),
    }
}

fn comparison(wire: v1::Comparison) -> Result<Comparison, StructureError> {
    Ok(match wire {
        v1::Comparison::Unspecified => return Err(StructureError::Missing("compare.comparison")),
        v1::Comparison::Equal => Comparison::Equal,
        v1::Comparison::NotEqual => Comparison::NotEqual,
        v1::Comparison::Less => Comparison::Less,
        v1::Comparison::LessOrEqual => Comparison::LessOrEqual,
        v1::Comparison::Greater => Comparison::Greater,
        v1::Comparison::GreaterOrEqual => Comparison::GreaterOrEqual,
    })
}

fn operator(wire: v1::ArithmeticOperator) -> Result<ArithmeticOperator, StructureError> {
    Ok(match wire {
        v1::ArithmeticOperator::Unspecified => return Err(StructureError::Missing("arithmetic.operator")),
        v1::ArithmeticOperator::Add => ArithmeticOperator::Add,
        v1::ArithmeticOperator::Subtract => ArithmeticOperator::Subtract,
        v1::ArithmeticOperator::Multiply => ArithmeticOperator::Multiply,
        v1::ArithmeticOperator::Divide => ArithmeticOperator::Divide,
        v1::ArithmeticOperator::Remainder => ArithmeticOperator::Remainder,
    })
}

mod to_wire;

pub use to_wire::to_filter;

#[cfg(test)]
mod tests;
