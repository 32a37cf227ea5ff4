//! What makes a tree a filter: the caps, and the canonical form in which printing and parsing are inverse.
//!
//! The parser builds with the rules below and so is canonical by construction; trees from elsewhere go through
//! [`canonical`], which applies the same rules and counts nodes and depth the same way: every condition and every
//! operand is a node, a leaf has depth 1, members of constant sets and vertices of polygons are counted under caps of
//! their own.

use std::fmt::{self, Write};

use crate::filter::arithmetic;
use crate::filter::ast::{Arithmetic, Expression, Operand, Predicate, Set, Shape};
use crate::filter::limits::{FilterLimits, LimitExceeded};
use crate::filter::pattern::RegexBudget;
use crate::filter::truth::Truth;
use crate::shown::shown;
use crate::value::{Scalar, Value};

/// A tree is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// Something in it has no meaning.
    #[error("filter expression is wrong: {0}")]
    Invalid(String),
    /// It exceeds a cap.
    #[error("filter expression is too large: {0}")]
    Limit(#[from] LimitExceeded),
}

pub(super) fn too_deep(limit: usize) -> LimitExceeded {
    LimitExceeded { what: format!("the filter is nested deeper than {limit}"), cap: "depth_max", limit }
}

pub(super) fn too_many_nodes(limit: usize) -> LimitExceeded {
    LimitExceeded { what: format!("the filter has more than {limit} conditions and operands"), cap: "nodes_max", limit }
}

pub(super) fn check_members(count: usize, limits: &FilterLimits) -> Result<(), LimitExceeded> {
    let limit = limits.in_members_max;
    if count > limit {
        return Err(LimitExceeded { what: format!("IN has {count} members"), cap: "in_members_max", limit });
    }
    Ok(())
}

pub(super) fn check_vertices(count: usize, limits: &FilterLimits) -> Result<(), LimitExceeded> {
    let limit = limits.polygon_vertices_max;
    if count > limit {
        return Err(LimitExceeded {
            what: format!("POLYGON has {count} vertices"),
            cap: "polygon_vertices_max",
            limit,
        });
    }
    Ok(())
}

pub(super) fn check_regexes(count: usize, text_bytes: usize, limits: &FilterLimits) -> Result<(), LimitExceeded> {
    let limit = limits.regexes_max;
    if count > limit {
        return Err(LimitExceeded { what: format!("the filter has {count} MATCHES"), cap: "regexes_max", limit });
    }
    let limit = limits.regex_text_bytes_max;
    if text_bytes > limit {
        let what = format!("the regular expressions have {text_bytes} bytes of text");
        return Err(LimitExceeded { what, cap: "regex_text_bytes_max", limit });
    }
    Ok(())
}

pub(super) fn check_text_bytes(bytes: usize, limits: &FilterLimits) -> Result<(), LimitExceeded> {
    let limit = limits.text_bytes_max;
    if bytes > limit {
        return Err(LimitExceeded {
            what: format!("the filter has {bytes} bytes of text"),
            cap: "text_bytes_max",
            limit,
        });
    }
    Ok(())
}

/// `-operand`; of a number it is the negative number.
pub(super) fn negate(operand: Operand) -> Operand {
    if let Operand::Constant(value) = &operand {
        match arithmetic::negate(Scalar::from(value)) {
            Some(Scalar::Integer(number)) => return Operand::Constant(Value::Integer(number)),
            Some(Scalar::Float(number)) => return Operand::Constant(Value::Float(number)),
            _ => {}
        }
    }
    Operand::Negate(Box::new(operand))
}

/// `POINT(latitude, longitude)`; of two constants it is the place.
pub(super) fn point(latitude: Operand, longitude: Operand) -> Result<Operand, String> {
    if let (Operand::Constant(latitude), Operand::Constant(longitude)) = (&latitude, &longitude) {
        return match arithmetic::point(latitude.into(), longitude.into()) {
            Some(point) => Ok(Operand::Constant(Value::GeoPoint(point))),
            None => Err(format!(
                "POINT({}, {}) is no place: latitude must be a number within -90 to 90, longitude within -180 to 180",
                shown(&latitude.to_string()),
                shown(&longitude.to_string()),
            )),
        };
    }
    Ok(Operand::Point(Box::new([latitude, longitude])))
}

/// The list of `IN`, of constants if all are.
pub(super) fn set(mut members: Vec<Operand>) -> Set {
    if members.iter().all(|member| matches!(member, Operand::Constant(_))) {
        let constants = members.into_iter().filter_map(|member| match member {
            Operand::Constant(value) => Some(value),
            Operand::Attribute(_)
            | Operand::Context(_)
            | Operand::Negate(_)
            | Operand::Arithmetic(_)
            | Operand::Point(_)
            | Operand::Distance(_) => None,
        });
        Set::Constants(constants.collect())
    } else {
        members.shrink_to_fit();
        Set::Operands(members)
    }
}

/// Refuses constants in places where no value of their type ever makes sense.
pub(super) fn check_shape(shape: &Shape) -> Result<(), String> {
    let place = |operand: &Operand, role: &str| {
        if let Operand::Constant(value) = operand
            && !matches!(value, Value::GeoPoint(_))
        {
            let (kind, value) = (value.type_name(), shown(&value.to_string()));
            return Err(format!("{role} is the {kind} {value}, must be a place such as POINT(43.46, -3.81)"));
        }
        Ok(())
    };
    match shape {
        Shape::Circle { center, radius_metres } => {
            place(center, "the center of CIRCLE")?;
            if let Operand::Constant(value) = radius_metres
                && !arithmetic::number(value.into()).is_some_and(|radius| radius >= 0.0)
            {
                let value = shown(&value.to_string());
                return Err(format!("the radius of CIRCLE is {value}, must be a number of metres, 0 or more"));
            }
            Ok(())
        }
        Shape::Box { south_west, north_east } => {
            place(south_west, "the south-west corner of BOX")?;
            place(north_east, "the north-east corner of BOX")?;
            if let Operand::Constant(Value::GeoPoint(south_west)) = south_west
                && let Operand::Constant(Value::GeoPoint(north_east)) = north_east
                && south_west.latitude() > north_east.latitude()
            {
                return Err("the first corner of BOX lies north of the second, must be the south-west one".to_owned());
            }
            Ok(())
        }
        Shape::Polygon(_) => Ok(()),
    }
}

/// Whether the text form has a literal for this value.
fn check_constant(value: &Value) -> Result<(), String> {
    match value {
        Value::Float(number) if !number.is_finite() => {
            Err(format!("constant {number} is not a finite number, and no literal can write it"))
        }
        Value::Timestamp(instant) if !instant.is_printable() => {
            Err(format!("constant timestamp {instant} lies outside the years 0000 to 9999"))
        }
        Value::Array(_) => Err("a constant is an array, must be a scalar".to_owned()),
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::GeoPoint(_) => Ok(()),
    }
}

/// Checks a tree against the caps and makes it canonical.
pub(super) fn canonical(expression: Expression, limits: &FilterLimits) -> Result<Expression, ExpressionError> {
    let mut walk = Walk { limits, nodes: 0, regexes: RegexBudget::default() };
    let expression = walk.expression(expression, 1)?;
    let mut length = Length(0);
    write!(length, "{expression}").expect("counting cannot fail");
    check_text_bytes(length.0, limits)?;
    Ok(expression)
}

struct Walk<'l> {
    limits: &'l FilterLimits,
    nodes: usize,
    regexes: RegexBudget,
}

impl Walk<'_> {
    /// Counts a node at `depth`, the root's being 1.
    fn count(&mut self, depth: usize) -> Result<(), LimitExceeded> {
        self.nodes += 1;
        if self.nodes > self.limits.nodes_max {
            return Err(too_many_nodes(self.limits.nodes_max));
        }
        if depth > self.limits.depth() {
            return Err(too_deep(self.limits.depth()));
        }
        Ok(())
    }

    fn expression(&mut self, expression: Expression, depth: usize) -> Result<Expression, ExpressionError> {
        match expression {
            Expression::And(parts) if parts.len() < 2 => self.few(parts, Truth::True, depth),
            Expression::Or(parts) if parts.len() < 2 => self.few(parts, Truth::False, depth),
            Expression::Constant(_)
            | Expression::Predicate(_)
            | Expression::Not(_)
            | Expression::And(_)
            | Expression::Or(_) => {
                self.count(depth)?;
                Ok(match expression {
                    Expression::Constant(truth) => Expression::Constant(truth),
                    Expression::Predicate(predicate) => Expression::Predicate(self.predicate(predicate, depth + 1)?),
                    Expression::Not(inner) => Expression::Not(Box::new(self.expression(*inner, depth + 1)?)),
                    Expression::And(parts) => Expression::And(self.expressions(parts, depth + 1)?),
                    Expression::Or(parts) => Expression::Or(self.expressions(parts, depth + 1)?),
                })
            }
        }
    }

    /// A conjunction or disjunction of one part is that part, of none is `empty`.
    fn few(&mut self, parts: Vec<Expression>, empty: Truth, depth: usize) -> Result<Expression, ExpressionError> {
        // Chains of such wrappers vanish from the result but not from the stack: guard it all the same.
        if depth > self.limits.depth() {
            return Err(too_deep(self.limits.depth()).into());
        }
        let Some(mut only) = parts.into_iter().next() else {
            return self.expression(Expression::Constant(empty), depth);
        };
        // Unwrapped in a loop, not by recursion.
        while let Expression::And(parts) | Expression::Or(parts) = &mut only
            && parts.len() == 1
        {
            only = parts.pop().expect("one part");
        }
        self.expression(only, depth)
    }

    fn expressions(&mut self, parts: Vec<Expression>, depth: usize) -> Result<Vec<Expression>, ExpressionError> {
        parts.into_iter().map(|part| self.expression(part, depth)).collect()
    }

    fn predicate(&mut self, predicate: Predicate, depth: usize) -> Result<Predicate, ExpressionError> {
        Ok(match predicate {
            Predicate::Compare { left, comparison, right } => {
                Predicate::Compare { left: self.operand(left, depth)?, comparison, right: self.operand(right, depth)? }
            }
            Predicate::Between { operand, side, low, high } => Predicate::Between {
                operand: self.operand(operand, depth)?,
                side,
                low: self.operand(low, depth)?,
                high: self.operand(high, depth)?,
            },
            Predicate::In { operand, set } => {
                Predicate::In { operand: self.operand(operand, depth)?, set: self.set(set, depth)? }
            }
            Predicate::Like { operand, pattern } => Predicate::Like { operand: self.operand(operand, depth)?, pattern },
            Predicate::Matches { operand, pattern } => {
                self.regexes.spend(pattern.text(), self.limits)?;
                Predicate::Matches { operand: self.operand(operand, depth)?, pattern }
            }
            Predicate::StartsWith { operand, prefix } => {
                Predicate::StartsWith { operand: self.operand(operand, depth)?, prefix: self.operand(prefix, depth)? }
            }
            Predicate::EndsWith { operand, suffix } => {
                Predicate::EndsWith { operand: self.operand(operand, depth)?, suffix: self.operand(suffix, depth)? }
            }
            Predicate::Contains { operand, element } => {
                Predicate::Contains { operand: self.operand(operand, depth)?, element: self.operand(element, depth)? }
            }
            Predicate::IsNull(operand) => Predicate::IsNull(self.operand(operand, depth)?),
            Predicate::Within { point, shape } => {
                Predicate::Within { point: self.operand(point, depth)?, shape: self.shape(shape, depth)? }
            }
        })
    }

    fn set(&mut self, members: Set, depth: usize) -> Result<Set, ExpressionError> {
        let no_members = || ExpressionError::Invalid("IN has no members, must have at least one".to_owned());
        match members {
            Set::Constants(members) => {
                check_members(members.members().len(), self.limits)?;
                if members.members().is_empty() {
                    return Err(no_members());
                }
                members.members().iter().try_for_each(check_constant).map_err(ExpressionError::Invalid)?;
                Ok(Set::Constants(members))
            }
            Set::Operands(members) => {
                check_members(members.len(), self.limits)?;
                if members.is_empty() {
                    return Err(no_members());
                }
                let nodes = self.nodes;
                let members =
                    members.into_iter().map(|member| self.operand(member, depth)).collect::<Result<Vec<_>, _>>()?;
                let members = set(members);
                if matches!(members, Set::Constants(_)) {
                    self.nodes = nodes;
                }
                Ok(members)
            }
            Set::Array(array) if matches!(array, Operand::Attribute(_) | Operand::Context(_)) => {
                Ok(Set::Array(self.operand(array, depth)?))
            }
            Set::Array(other) => Err(ExpressionError::Invalid(format!(
                "IN looks in `{}`, must be a list, an attribute or a context attribute",
                shown(&other.to_string())
            ))),
        }
    }

    fn shape(&mut self, shape: Shape, depth: usize) -> Result<Shape, ExpressionError> {
        let shape = match shape {
            Shape::Circle { center, radius_metres } => Shape::Circle {
                center: self.operand(center, depth)?,
                radius_metres: self.operand(radius_metres, depth)?,
            },
            Shape::Box { south_west, north_east } => Shape::Box {
                south_west: self.operand(south_west, depth)?,
                north_east: self.operand(north_east, depth)?,
            },
            Shape::Polygon(polygon) => {
                check_vertices(polygon.vertices().len(), self.limits)?;
                Shape::Polygon(polygon)
            }
        };
        check_shape(&shape).map_err(ExpressionError::Invalid)?;
        Ok(shape)
    }

    fn operand(&mut self, operand: Operand, depth: usize) -> Result<Operand, ExpressionError> {
        let nodes = self.nodes;
        self.count(depth)?;
        Ok(match operand {
            Operand::Constant(value) => {
                check_constant(&value).map_err(ExpressionError::Invalid)?;
                Operand::Constant(value)
            }
            Operand::Attribute(name) | Operand::Context(name) if name.is_empty() => {
                return Err(ExpressionError::Invalid("an attribute name is empty".to_owned()));
            }
            Operand::Attribute(_) | Operand::Context(_) => operand,
            Operand::Negate(inner) => {
                let inner = self.operand(*inner, depth + 1)?;
                self.leaf(nodes, negate(inner))
            }
            Operand::Arithmetic(arithmetic) => {
                let Arithmetic { left, operator, right } = *arithmetic;
                let left = self.operand(left, depth + 1)?;
                let right = self.operand(right, depth + 1)?;
                Operand::Arithmetic(Box::new(Arithmetic { left, operator, right }))
            }
            Operand::Point(pair) => {
                let [latitude, longitude] = self.pair(*pair, depth + 1)?;
                self.leaf(nodes, point(latitude, longitude).map_err(ExpressionError::Invalid)?)
            }
            Operand::Distance(pair) => Operand::Distance(Box::new(self.pair(*pair, depth + 1)?)),
        })
    }

    fn pair(&mut self, pair: [Operand; 2], depth: usize) -> Result<[Operand; 2], ExpressionError> {
        let [first, second] = pair;
        Ok([self.operand(first, depth)?, self.operand(second, depth)?])
    }

    /// What was folded into one constant counts as one node from `nodes` on.
    fn leaf(&mut self, nodes: usize, operand: Operand) -> Operand {
        if matches!(operand, Operand::Constant(_)) {
            self.nodes = nodes + 1;
        }
        operand
    }
}

/// Counts the bytes written to it.
struct Length(usize);

impl Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}
