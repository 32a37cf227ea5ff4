//! Arithmetic and geometry on borrowed values; `None` is no value (NULL).
//!
//! Between integers exact: what overflows 64 bits becomes the nearest float (never wraps), division cuts off towards
//! zero, division by zero has no value. With a float on either side both are floats and IEEE 754 holds.

use crate::filter::ast::ArithmeticOperator;
use crate::geo::GeoPoint;
use crate::value::Scalar;

pub(super) fn apply<'a>(left: Scalar<'_>, operator: ArithmeticOperator, right: Scalar<'_>) -> Option<Scalar<'a>> {
    match (left, right) {
        (Scalar::Integer(left), Scalar::Integer(right)) => integers(left, operator, right),
        _ => Some(Scalar::Float(floats(number(left)?, operator, number(right)?))),
    }
}

fn integers<'a>(left: i64, operator: ArithmeticOperator, right: i64) -> Option<Scalar<'a>> {
    let (left, right) = (i128::from(left), i128::from(right));
    // None of these can overflow 128 bits.
    let exact = match operator {
        ArithmeticOperator::Add => left + right,
        ArithmeticOperator::Subtract => left - right,
        ArithmeticOperator::Multiply => left * right,
        ArithmeticOperator::Divide => left.checked_div(right)?,
        ArithmeticOperator::Remainder => left.checked_rem(right)?,
    };
    Some(i64::try_from(exact).map_or_else(|_| Scalar::Float(exact as f64), Scalar::Integer))
}

fn floats(left: f64, operator: ArithmeticOperator, right: f64) -> f64 {
    match operator {
        ArithmeticOperator::Add => left + right,
        ArithmeticOperator::Subtract => left - right,
        ArithmeticOperator::Multiply => left * right,
        ArithmeticOperator::Divide => left / right,
        ArithmeticOperator::Remainder => left % right,
    }
}

pub(super) fn negate<'a>(value: Scalar<'_>) -> Option<Scalar<'a>> {
    match value {
        Scalar::Integer(value) => {
            Some(value.checked_neg().map_or_else(|| Scalar::Float(-(value as f64)), Scalar::Integer))
        }
        Scalar::Float(value) => Some(Scalar::Float(-value)),
        Scalar::Bool(_) | Scalar::String(_) | Scalar::Timestamp(_) | Scalar::GeoPoint(_) | Scalar::Array(_) => None,
    }
}

/// A number as a float, integers rounded to the nearest.
pub(super) fn number(value: Scalar<'_>) -> Option<f64> {
    match value {
        Scalar::Integer(value) => Some(value as f64),
        Scalar::Float(value) => Some(value),
        Scalar::Bool(_) | Scalar::String(_) | Scalar::Timestamp(_) | Scalar::GeoPoint(_) | Scalar::Array(_) => None,
    }
}

/// `POINT(latitude, longitude)`; no value if either is no number or they name no place.
pub(super) fn point(latitude: Scalar<'_>, longitude: Scalar<'_>) -> Option<GeoPoint> {
    GeoPoint::new(number(latitude)?, number(longitude)?).ok()
}

/// `DISTANCE(from, to)`; no value if either is no place.
pub(super) fn distance(from: Scalar<'_>, to: Scalar<'_>) -> Option<f64> {
    match (from, to) {
        (Scalar::GeoPoint(from), Scalar::GeoPoint(to)) => Some(from.distance_metres(to)),
        _ => None,
    }
}
