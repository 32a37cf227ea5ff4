//! Claims about values and their comparison.

use super::*;

#[test]
fn integers_and_floats_compare_without_rounding() {
    use Ordering::{Equal, Greater, Less};
    let two_to_53 = 9_007_199_254_740_992_i64;
    for (integer, float, expected) in [
        (5, 5.0, Some(Equal)),
        (0, -0.0, Some(Equal)),
        (two_to_53 + 1, 9_007_199_254_740_992.0, Some(Greater)),
        (two_to_53, 9_007_199_254_740_992.0, Some(Equal)),
        (i64::MAX, 9_223_372_036_854_775_807.0, Some(Less)),
        (i64::MAX, 9_223_372_036_854_774_784.0, Some(Greater)),
        (i64::MIN, -9_223_372_036_854_775_808.0, Some(Equal)),
        (i64::MIN, -9.3e18, Some(Greater)),
        (i64::MAX, f64::INFINITY, Some(Less)),
        (i64::MIN, f64::NEG_INFINITY, Some(Greater)),
        (1, 1.5, Some(Less)),
        (-1, -1.5, Some(Greater)),
        (0, 5e-324, Some(Less)),
        (0, f64::NAN, None),
    ] {
        assert_eq!(compare_integer_with_float(integer, float), expected, "{integer} with {float:?}");
    }
}

#[test]
fn structural_equality_tells_apart_what_the_language_calls_equal() {
    assert_ne!(Value::Integer(5), Value::Float(5.0));
    assert_eq!(Value::Integer(5).compare(&Value::Float(5.0)), Comparability::Ordered(Ordering::Equal));
    assert_eq!(Value::Float(f64::NAN), Value::Float(f64::NAN));
    assert_eq!(Value::Float(f64::NAN).compare(&Value::Float(f64::NAN)), Comparability::Unordered);
}

#[test]
fn an_rfc_3339_string_compares_with_a_timestamp_and_any_other_string_does_not() {
    let noon = Value::Timestamp(Timestamp::parse("2024-05-17T12:00:00Z").expect("a timestamp"));
    let same = Value::from("2024-05-17T14:00:00+02:00");
    assert_eq!(noon.compare(&same), Comparability::Ordered(Ordering::Equal));
    assert_eq!(same.compare(&noon), Comparability::Ordered(Ordering::Equal));
    assert_eq!(noon.compare(&Value::from("noon")), Comparability::Unlike);
}

#[test]
fn arrays_hold_scalars_only() {
    let inner = Value::array(vec![Value::Integer(1)]).expect("scalars");
    assert_eq!(Value::array(vec![Value::Integer(0), inner]), Err(NestedArray { index: 1 }));
}

#[test]
fn values_stay_three_words() {
    assert_eq!(size_of::<Value>(), 24);
}

#[test]
fn values_serialise_to_plain_json() {
    let point = GeoPoint::new(43.5, -3.75).expect("a place");
    for (value, json) in [
        (Value::Bool(true), "true"),
        (Value::Integer(-7), "-7"),
        (Value::Float(1.5), "1.5"),
        (Value::Float(f64::NAN), "null"),
        (Value::from("a\"b"), r#""a\"b""#),
        (Value::Timestamp(Timestamp(0)), r#""1970-01-01T00:00:00Z""#),
        (Value::GeoPoint(point), r#"{"type":"Point","coordinates":[-3.75,43.5]}"#),
        (Value::array(vec![Value::Integer(1), Value::from("x")]).expect("scalars"), r#"[1,"x"]"#),
    ] {
        assert_eq!(serde_json::to_string(&value).expect("writes"), json);
    }
}
