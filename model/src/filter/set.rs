//! A set of constants for `IN`: sorted and free of doubles in the sense of the language (`5` and `5.0` are one).

use std::cmp::Ordering;
use std::sync::Arc;

use crate::timestamp::Timestamp;
use crate::value::{Comparability, Scalar, Value};

/// Constants, sorted by type and value. Membership is a binary search.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConstantSet {
    members: Arc<[Value]>,
    /// What the members that are texts name as RFC 3339, sorted: text and time meet across types.
    instants: Arc<[Timestamp]>,
}

impl ConstantSet {
    /// Sorts, and keeps the first of members that are equal. Arrays and numbers that are not finite have no place in a
    /// filter; `Filter::from_expression` refuses them.
    #[must_use]
    pub fn new(mut members: Vec<Value>) -> Self {
        members.sort_by(|left, right| by_language(Scalar::from(left), Scalar::from(right)));
        members
            .dedup_by(|later, earlier| by_language(Scalar::from(&*later), Scalar::from(&*earlier)) == Ordering::Equal);
        let mut instants: Vec<Timestamp> = members
            .iter()
            .filter_map(|member| if let Value::String(text) = member { Timestamp::parse(text) } else { None })
            .collect();
        instants.sort_unstable();
        Self { members: members.into(), instants: instants.into() }
    }

    /// The members, sorted.
    #[must_use]
    pub fn members(&self) -> &[Value] {
        &self.members
    }

    /// Whether a member equals `value` as `=` of the language has it.
    #[must_use]
    pub fn contains(&self, value: &Value) -> bool {
        self.holds(Scalar::from(value))
    }

    pub(crate) fn holds(&self, value: Scalar<'_>) -> bool {
        let found = |value: Scalar<'_>| {
            self.members.binary_search_by(|member| by_language(Scalar::from(member), value)).is_ok()
        };
        match value {
            // A NaN equals nothing, though it has a place in the order.
            Scalar::Float(number) if number.is_nan() => false,
            // Differently written texts may be one instant.
            Scalar::Timestamp(instant) => found(value) || self.instants.binary_search(&instant).is_ok(),
            Scalar::String(text) => {
                found(value)
                    || (self.has_timestamps()
                        && Timestamp::parse(text).is_some_and(|instant| found(Scalar::Timestamp(instant))))
            }
            Scalar::Bool(_) | Scalar::Integer(_) | Scalar::Float(_) | Scalar::GeoPoint(_) | Scalar::Array(_) => {
                found(value)
            }
        }
    }

    pub(super) fn instants_bytes(&self) -> usize {
        size_of_val(&*self.instants)
    }

    fn has_timestamps(&self) -> bool {
        let first = self.members.partition_point(|member| rank(Scalar::from(member)) < TIMESTAMP_RANK);
        self.members.get(first).is_some_and(|member| matches!(member, Value::Timestamp(_)))
    }
}

impl FromIterator<Value> for ConstantSet {
    fn from_iter<Members: IntoIterator<Item = Value>>(members: Members) -> Self {
        Self::new(members.into_iter().collect())
    }
}

const TIMESTAMP_RANK: u8 = 3;

fn rank(value: Scalar<'_>) -> u8 {
    match value {
        Scalar::Bool(_) => 0,
        Scalar::Integer(_) | Scalar::Float(_) => 1,
        Scalar::String(_) => 2,
        Scalar::Timestamp(_) => TIMESTAMP_RANK,
        Scalar::GeoPoint(_) => 4,
        Scalar::Array(_) => 5,
    }
}

/// A total order in which what the language calls equal is equal (text against time excepted).
fn by_language(left: Scalar<'_>, right: Scalar<'_>) -> Ordering {
    match (left, right) {
        (Scalar::Bool(left), Scalar::Bool(right)) => left.cmp(&right),
        (Scalar::GeoPoint(left), Scalar::GeoPoint(right)) => {
            // `+ 0.0` makes -0.0 into 0.0.
            let coordinates = |point: crate::geo::GeoPoint| (point.latitude() + 0.0, point.longitude() + 0.0);
            let (left, right) = (coordinates(left), coordinates(right));
            left.0.total_cmp(&right.0).then_with(|| left.1.total_cmp(&right.1))
        }
        (Scalar::Array(left), Scalar::Array(right)) => left.cmp(right),
        _ => match (rank(left).cmp(&rank(right)), left.compare(right)) {
            (Ordering::Equal, Comparability::Ordered(ordering)) => ordering,
            (Ordering::Equal, Comparability::Unordered) => {
                let is_nan = |value: Scalar<'_>| matches!(value, Scalar::Float(number) if number.is_nan());
                is_nan(left).cmp(&is_nan(right))
            }
            (ordering, _) => ordering,
        },
    }
}

#[cfg(test)]
mod tests {
    //! Claims about constant sets.

    use super::*;

    #[test]
    fn members_are_sorted_and_equal_ones_kept_once() {
        let set: ConstantSet = [
            Value::from("b"),
            Value::Float(5.0),
            Value::Integer(5),
            Value::from("a"),
            Value::Bool(true),
            Value::from("a"),
        ]
        .into_iter()
        .collect();
        assert_eq!(set.members(), [Value::Bool(true), Value::Float(5.0), Value::from("a"), Value::from("b")]);
    }

    #[test]
    fn membership_is_the_equality_of_the_language() {
        let noon = Timestamp::parse("2024-05-17T12:00:00Z").expect("a timestamp");
        let set: ConstantSet =
            [Value::Integer(5), Value::from("x"), Value::Timestamp(noon), Value::Float(-0.0)].into_iter().collect();
        for (value, held) in [
            (Value::Float(5.0), true),
            (Value::Integer(0), true),
            (Value::Float(5.5), false),
            (Value::Float(f64::NAN), false),
            (Value::from("x"), true),
            (Value::from("5"), false),
            (Value::from("2024-05-17T14:00:00+02:00"), true),
            (Value::Timestamp(noon), true),
            (Value::Bool(true), false),
        ] {
            assert_eq!(set.contains(&value), held, "{value}");
        }
        let texts = ConstantSet::new(vec![Value::from("2024-05-17T14:00:00+02:00")]);
        assert!(texts.contains(&Value::Timestamp(noon)));
        assert!(!texts.contains(&Value::from("2024-05-17T12:00:00Z")), "texts compare as texts");
    }
}
