//! Properties of values.

use std::cmp::Ordering;

use gomera_model::filter::ConstantSet;
use gomera_model::value::{Comparability, compare_integer_with_float};
use gomera_model::{Timestamp, Value};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generator::value;

fn reversed(comparability: Comparability) -> Comparability {
    match comparability {
        Comparability::Ordered(ordering) => Comparability::Ordered(ordering.reverse()),
        same => same,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn comparing_is_antisymmetric(left in value(), right in value()) {
        prop_assert_eq!(left.compare(&right), reversed(right.compare(&left)));
    }

    #[test]
    fn a_float_compares_with_an_integer_as_their_exact_values_do(
        integer in any::<i64>(),
        float in prop_oneof![any::<f64>(), any::<i64>().prop_map(|near| near as f64), -3.0..3.0],
    ) {
        let expected = if float.is_nan() {
            None
        } else if float >= 1e30 {
            Some(Ordering::Less)
        } else if float <= -1e30 {
            Some(Ordering::Greater)
        } else {
            // In units of 2^-60 both fit 128 bits unless the float is tiny, where its sign decides against 0.
            let scale = (1_i128 << 20) as f64;
            let whole = float.trunc();
            #[expect(clippy::cast_possible_truncation, reason = "below 1e30")]
            let (whole, part) = (whole as i128, ((float - whole) * scale * scale) as i128);
            let by_whole = i128::from(integer).cmp(&whole);
            let by_part = 0.cmp(&part);
            let by_sign = 0.0.partial_cmp(&(float - float.trunc())).unwrap();
            Some(by_whole.then(by_part).then(by_sign))
        };
        prop_assert_eq!(compare_integer_with_float(integer, float), expected);
    }

    #[test]
    fn a_printed_timestamp_reads_back(
        microseconds in Timestamp::MIN_PRINTABLE.0..=Timestamp::MAX_PRINTABLE.0,
        minutes in -1_439_i64..1_440,
    ) {
        let instant = Timestamp(microseconds);
        prop_assert_eq!(Timestamp::parse(&instant.to_string()), Some(instant));
        // The same instant told by a clock elsewhere.
        let local = Timestamp(microseconds.saturating_add(minutes * 60_000_000));
        prop_assume!(local.is_printable());
        let sign = if minutes < 0 { '-' } else { '+' };
        let text = local.to_string();
        let text = format!("{}{sign}{:02}:{:02}", &text[..text.len() - 1], minutes.abs() / 60, minutes.abs() % 60);
        prop_assert_eq!(Timestamp::parse(&text), Some(instant), "{}", text);
    }

    #[test]
    fn a_constant_set_holds_exactly_what_equals_a_member(members in vec(value(), 1..8), value in value()) {
        let members: Vec<Value> = members.into_iter().filter(|member| !matches!(member, Value::Array(_))).collect();
        prop_assume!(!matches!(value, Value::Array(_)));
        let equals = |member: &Value| matches!(
            member.compare(&value),
            Comparability::Ordered(Ordering::Equal) | Comparability::Equatable(true)
        );
        prop_assert_eq!(ConstantSet::new(members.clone()).contains(&value), members.iter().any(equals));
    }
}
