//! What a filter in normal form requires of every publication it matches: equalities to hash on, and bounds of one numeric
//! attribute to guard with.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use gomera_cluster::table::Seeded;
use gomera_model::filter::{Comparison, Expression, Filter};
use gomera_model::timestamp::Timestamp;
use gomera_model::value::Value;

/// Bounds of a numeric attribute, inclusive.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Which attribute.
    pub attribute: Arc<str>,
    /// The lowest value that may pass.
    pub low: f64,
    /// The highest.
    pub high: f64,
}

/// What a filter requires.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Attributes with the hash of the value they must equal, in order of name, no name twice.
    pub equalities: Vec<(Arc<str>, u64)>,
    /// The tightest bounds of one attribute, if there are any.
    pub bounds: Option<Bounds>,
}

impl Plan {
    /// Reads the plan off a filter in normal form.
    pub fn of(filter: &Filter, hashing: Seeded) -> Self {
        let mut equalities: BTreeMap<&Arc<str>, u64> = BTreeMap::new();
        let mut bounds: BTreeMap<&Arc<str>, (f64, f64)> = BTreeMap::new();
        for conjunct in filter.conjuncts() {
            let Expression::Predicate(predicate) = conjunct else { continue };
            let Some((name, comparison, constant)) = predicate.as_attribute_comparison() else { continue };
            let number = number(constant);
            let (low, high) = match comparison {
                Comparison::Equal => {
                    if let Some(hash) = constant_hash(constant, hashing) {
                        // Two equalities on one attribute: either is required, one serves.
                        equalities.entry(name).or_insert(hash);
                    }
                    continue;
                }
                Comparison::Less | Comparison::LessOrEqual => (f64::NEG_INFINITY, number),
                Comparison::Greater | Comparison::GreaterOrEqual => (number, f64::INFINITY),
                Comparison::NotEqual => continue,
            };
            if number.is_nan() {
                continue;
            }
            let range = bounds.entry(name).or_insert((f64::NEG_INFINITY, f64::INFINITY));
            *range = (range.0.max(low), range.1.min(high));
        }
        let bounds = bounds
            .into_iter()
            .map(|(name, (low, high))| Bounds { attribute: name.clone(), low, high })
            .min_by(|left, right| (left.high - left.low).total_cmp(&(right.high - right.low)));
        Self { equalities: equalities.into_iter().map(|(name, hash)| (name.clone(), hash)).collect(), bounds }
    }
}

/// A number to compare with bounds; NaN for what is none. An integer is rounded, in order, so that inclusive bounds hold
/// for it if they hold exactly.
#[expect(clippy::cast_precision_loss, reason = "rounding keeps the order, and bounds are inclusive")]
pub fn number(value: &Value) -> f64 {
    match value {
        Value::Integer(integer) => *integer as f64,
        Value::Float(float) => *float,
        Value::Bool(_) | Value::String(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => f64::NAN,
    }
}

/// The hash of a constant that equals only values of the same [`value_hash`]; `None` if there is no such hash: a string
/// that reads as a timestamp equals timestamps as well, and points are compared by place.
fn constant_hash(constant: &Value, hashing: Seeded) -> Option<u64> {
    match constant {
        Value::String(text) if Timestamp::parse(text).is_some() => None,
        Value::Bool(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::String(_)
        | Value::Timestamp(_)
        | Value::GeoPoint(_)
        | Value::Array(_) => value_hash(constant, hashing),
    }
}

/// A hash that is the same for values that the filter language calls equal, integers and floats included; never 0. `None`
/// for what is not hashed: it equals no constant that is.
pub fn value_hash(value: &Value, hashing: Seeded) -> Option<u64> {
    /// 2^63, which a float represents exactly.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    let mut hasher = hashing.build_hasher();
    match value {
        Value::Bool(value) => hasher.write_u64(u64::from(*value) + 1),
        Value::Integer(integer) => {
            hasher.write_u64(3);
            hasher.write_u64(integer.cast_unsigned());
        }
        Value::Float(float) if float.trunc() == *float && (-LIMIT..LIMIT).contains(float) => {
            #[expect(clippy::cast_possible_truncation, reason = "whole and in [-2^63, 2^63): the cast is exact")]
            let integer = *float as i64;
            hasher.write_u64(3);
            hasher.write_u64(integer.cast_unsigned());
        }
        Value::Float(float) if float.is_nan() => return None,
        Value::Float(float) => {
            hasher.write_u64(4);
            hasher.write_u64(float.to_bits());
        }
        Value::String(text) => hasher.write(text.as_bytes()),
        Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => return None,
    }
    Some(hasher.finish().max(1))
}

#[cfg(test)]
mod tests {
    use gomera_model::filter::{FilterLimits, normalise};

    use super::*;

    fn plan(text: &str) -> Plan {
        let filter = Filter::parse(text, &FilterLimits::default()).expect("a good filter");
        Plan::of(&normalise(&filter), Seeded::new(1))
    }

    fn names(plan: &Plan) -> Vec<&str> {
        plan.equalities.iter().map(|(name, _)| &**name).collect()
    }

    #[test]
    fn required_equalities_and_the_tightest_bounds_are_found() {
        let plan = plan("b = 'x' AND 3 <= c AND c < 7 AND a = 5 AND d > 0 AND (e = 1 OR e = 2)");
        assert_eq!(names(&plan), ["a", "b"]);
        let bounds = plan.bounds.expect("c and d are bounded");
        assert_eq!((&*bounds.attribute, bounds.low, bounds.high), ("c", 3.0, 7.0));
    }

    #[test]
    fn what_is_not_required_is_not_in_the_plan() {
        for text in
            ["a = 1 OR b = 2", "NOT a = 1", "a IN ('x')", "a = b", "a = $c", "a = '2024-01-01T00:00:00Z'", "TRUE"]
        {
            let plan = plan(text);
            assert!(plan.equalities.is_empty() && plan.bounds.is_none(), "{text}");
        }
    }

    #[test]
    fn equal_numbers_hash_alike_and_a_boolean_is_no_number() {
        let hash = |value: Value| value_hash(&value, Seeded::new(1));
        assert_eq!(hash(Value::Integer(5)), hash(Value::Float(5.0)));
        assert_eq!(hash(Value::Integer(0)), hash(Value::Float(-0.0)));
        assert_ne!(hash(Value::Integer(i64::MAX)), hash(Value::Float(9_223_372_036_854_775_808.0)));
        assert_eq!(hash(Value::Integer(i64::MIN)), hash(Value::Float(-9_223_372_036_854_775_808.0)));
        assert_ne!(hash(Value::Integer(1)), hash(Value::Bool(true)));
        assert_eq!(hash(Value::Float(f64::NAN)), None);
    }
}
