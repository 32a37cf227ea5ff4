//! What JMS message selectors (Jakarta Messaging 3.1, section 3.8.1) and AMQP filter expressions say, statement by
//! statement, and where Gomera decides for itself. Each row: a filter and what it comes to on the publication below.

use gomera_model::Truth::{False, True, Unknown};
use gomera_model::filter::Nothing;
use gomera_model::{Attributes, Filter, FilterLimits, GeoPoint, Timestamp, Truth, Value, evaluate};

/// Attributes `one = 1`, `half = 0.5`, `yes`, `no`, `text = 'text'`, and so on; `missing` is missing.
fn publication() -> Attributes {
    let place = |latitude, longitude| Value::GeoPoint(GeoPoint::new(latitude, longitude).expect("a place"));
    let array = |elements: &[Value]| Value::array(elements.to_vec()).expect("scalars");
    [
        ("one", Value::Integer(1)),
        ("two", Value::Integer(2)),
        ("max", Value::Integer(i64::MAX)),
        ("min", Value::Integer(i64::MIN)),
        ("half", Value::Float(0.5)),
        ("nan", Value::Float(f64::NAN)),
        ("infinity", Value::Float(f64::INFINITY)),
        ("minus_zero", Value::Float(-0.0)),
        ("yes", Value::Bool(true)),
        ("no", Value::Bool(false)),
        ("text", Value::from("text")),
        ("empty", Value::from("")),
        ("quote", Value::from("it's")),
        ("noon", Value::Timestamp(Timestamp::parse("2024-05-17T12:00:00Z").expect("a timestamp"))),
        ("noon_text", Value::from("2024-05-17T14:00:00+02:00")),
        ("home", place(43.0, -3.0)),
        ("date_line", place(0.0, 180.0)),
        ("list", array(&[Value::Integer(1), Value::from("text"), Value::Float(f64::NAN)])),
        ("nothing", array(&[])),
        ("Case", Value::Integer(1)),
    ]
    .into_iter()
    .collect()
}

fn check(rows: &[(&str, Truth)]) {
    let publication = publication();
    for (text, expected) in rows {
        let filter = Filter::parse(text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(evaluate(&filter, &publication, &Nothing), *expected, "{text}");
        let normal = gomera_model::normalise(&filter);
        assert_eq!(evaluate(&normal, &publication, &Nothing), *expected, "{text}, as {normal}");
    }
}

#[test]
fn logic_follows_the_tables_of_three_values() {
    check(&[
        ("yes AND yes", True),
        ("yes AND no", False),
        ("yes AND missing", Unknown),
        ("no AND yes", False),
        ("no AND no", False),
        ("no AND missing", False),
        ("missing AND yes", Unknown),
        ("missing AND no", False),
        ("missing AND missing", Unknown),
        ("yes OR yes", True),
        ("yes OR no", True),
        ("yes OR missing", True),
        ("no OR yes", True),
        ("no OR no", False),
        ("no OR missing", Unknown),
        ("missing OR yes", True),
        ("missing OR no", Unknown),
        ("missing OR missing", Unknown),
        ("NOT yes", False),
        ("NOT no", True),
        ("NOT missing", Unknown),
        ("NOT (missing AND no)", True),
        ("NOT (missing OR no)", Unknown),
    ]);
}

#[test]
fn words_and_operators_are_read_in_any_case_and_names_are_not() {
    check(&[
        ("Yes", Unknown),
        ("yes aNd nOt no", True),
        ("tRuE", True),
        ("Case = 1", True),
        ("case = 1", Unknown),
        ("one iS nOt NuLl", True),
        ("text lIkE 'te%'", True),
    ]);
}

#[test]
fn precedence_is_sign_product_sum_comparison_not_and_or() {
    check(&[
        ("no AND no OR yes", True),
        ("yes OR no AND no", True),
        ("(yes OR no) AND no", False),
        ("NOT no AND no", False),
        ("NOT (no AND no)", True),
        ("NOT one = 2", True),
        ("one + two * 3 = 7", True),
        ("(one + two) * 3 = 9", True),
        ("-one + two = 1", True),
        ("- one * two = -2", True),
        ("10 - two - one = 7", True),
        ("8 / two / two = 2", True),
        ("7 % 4 * 2 = 6", True),
        ("one = 3 - 2 AND two > 1", True),
        ("one BETWEEN 0 AND 1 AND no", False),
        ("NOT one BETWEEN 2 AND 3 AND yes", True),
    ]);
}

#[test]
fn literals_are_those_of_java() {
    check(&[
        ("57 = 57L AND 62l = 62", True),
        ("-957 = 0 - 957 AND +62 = 62", True),
        ("7E3 = 7000 AND -57.9E2 = -5790", True),
        ("7. = 7 AND 95.7 > 95 AND +6.2 < 6.3 AND .5 = half", True),
        ("0.5f = half AND 0.5D = half AND 1d = one", True),
        ("0x10 = 16 AND 0XfF = 255 AND 010 = 8 AND 0 = 00 AND 0b11 = 3", True),
        ("7e-1 < 0.71 AND 7.5e+1 = 75", True),
        ("9223372036854775807 = max AND -9223372036854775808 = min", True),
        ("'it''s' = quote AND '' = empty", True),
        ("'''' <> quote", True),
    ]);
}

#[test]
fn like_types_compare_and_unlike_ones_are_false() {
    check(&[
        ("one = 1.0 AND 1 = one AND 1.0 = one", True),
        ("one = 'one'", False),
        ("one <> 'one'", False),
        ("one < 'z'", False),
        ("NOT one = 'one'", True),
        ("text = 1 OR text <> 1 OR text > 1 OR text <= 1", False),
        ("yes = 1 OR yes <> 1 OR yes = 'true'", False),
        ("home = 'home' OR home <> 1", False),
        ("yes = TRUE AND no = FALSE AND yes <> no AND NOT yes = no", True),
        ("yes > no", False),
        ("NOT yes > no", True),
        ("one = missing", Unknown),
        ("one <> missing", Unknown),
        ("missing < 'x'", Unknown),
        ("NOT missing = 1", Unknown),
        ("missing = missing", Unknown),
        ("one = yes AND missing = 1", False),
    ]);
}

#[test]
fn numbers_compare_exactly_and_nan_equals_nothing() {
    check(&[
        ("max = 9223372036854775807.0", False),
        ("max < 9223372036854775807.0", True),
        ("max > 9223372036854774784.0", True),
        ("min = -9223372036854775808.0", True),
        ("infinity > max AND -infinity < min", True),
        ("minus_zero = 0 AND minus_zero = 0.0 AND NOT minus_zero < 0", True),
        ("nan = nan", False),
        ("nan <> nan AND nan <> 1", True),
        ("nan < 1 OR nan >= 1 OR nan > 0.5 OR nan <= 0.5", False),
        ("NOT nan < 1", True),
        ("nan BETWEEN 0 AND 1 OR nan NOT BETWEEN 0 AND 1", False),
        ("nan IN (1, 2)", False),
        ("nan IS NULL", False),
        ("nan IN list OR CONTAINS(list, nan)", False),
        ("infinity = infinity AND infinity - infinity <> 0", True),
    ]);
}

#[test]
fn strings_are_equal_by_code_points_and_ordered_by_them() {
    check(&[
        ("text = 'text' AND text <> 'Text' AND text <> 'text '", True),
        ("text > 'Zebra' AND text < 'texts' AND text >= 'text'", True),
        ("empty < 'a' AND empty = ''", True),
        ("empty IS NULL", False),
        ("'é' = 'e\u{301}'", False),
        ("'z' < 'ä'", True),
    ]);
}

#[test]
fn timestamps_compare_with_timestamps_and_rfc_3339_strings() {
    check(&[
        ("noon = TIMESTAMP '2024-05-17T12:00:00Z'", True),
        ("noon = noon_text AND noon_text = noon", True),
        ("noon_text = TIMESTAMP '2024-05-17T12:00:00.000Z'", True),
        ("noon_text = '2024-05-17T12:00:00Z'", False),
        ("noon < '2024-05-17T12:00:00.000001Z'", True),
        ("noon > 'morning' OR noon <= 'morning' OR noon <> 'morning'", False),
        ("noon > 1 OR noon < 1", False),
        ("noon BETWEEN '2024-05-17T11:00:00Z' AND '2024-05-17T13:00:00Z'", True),
        ("noon IN ('x', '2024-05-17T14:00:00+02:00')", True),
        ("noon_text IN (TIMESTAMP '2024-05-17T12:00:00Z', 'x')", True),
        ("noon + 1 > noon", Unknown),
    ]);
}

#[test]
fn arithmetic_is_exact_between_integers_and_never_fails() {
    check(&[
        ("max + one > max AND max + one = 9223372036854775808.0", True),
        ("min - one < min", False),
        ("min - one = -9223372036854775808.0", True),
        ("max * max > 8e37", True),
        ("min / -1 > max AND min % -1 = 0", True),
        ("-min > max", True),
        ("7 / 2 = 3 AND -7 / 2 = -3 AND 7 / -2 = -3", True),
        ("7 % 3 = 1 AND -7 % 3 = -1 AND 7 % -3 = 1 AND 5.5 % 2 = 1.5", True),
        ("one / 2 = 0 AND one / 2.0 = half AND half + half = one", True),
        ("one / 0 = 1", Unknown),
        ("one % 0 IS NULL", True),
        ("one / 0.0 = infinity AND -one / 0.0 < min AND 0.0 / 0.0 <> 0", True),
        ("text + 1 = 2", Unknown),
        ("-text = 1", Unknown),
        ("+text = 'text' OR +yes = TRUE", Unknown),
        ("+one = 1 AND + +half = 0.5 AND +min = min AND 6 - +two = 4 AND 1 / +minus_zero < min", True),
        ("+missing IS NULL AND +text IS NULL AND +list IS NULL", True),
        ("yes + 1 = 2", Unknown),
        ("missing + 1 = 2", Unknown),
        ("text + 1 IS NULL", True),
    ]);
}

#[test]
fn between_is_defined_by_comparisons() {
    check(&[
        ("one BETWEEN 1 AND 1", True),
        ("one BETWEEN 2 AND 0", False),
        ("one NOT BETWEEN 2 AND 0", True),
        ("one NOT BETWEEN 1 AND 2", False),
        ("text BETWEEN 'a' AND 'z'", True),
        ("text BETWEEN 1 AND 2", False),
        ("text NOT BETWEEN 1 AND 2", False),
        ("NOT text BETWEEN 1 AND 2", True),
        ("missing BETWEEN 1 AND 2", Unknown),
        ("missing NOT BETWEEN 1 AND 2", Unknown),
        ("one BETWEEN missing AND 0", False),
        ("one BETWEEN missing AND 2", Unknown),
        ("one NOT BETWEEN missing AND 0", True),
        ("one NOT BETWEEN missing AND 2", Unknown),
        ("one + one BETWEEN half AND two * 2", True),
    ]);
}

#[test]
fn in_is_a_disjunction_of_equalities_and_looks_into_arrays() {
    check(&[
        ("text IN ('a', 'text')", True),
        ("text NOT IN ('a', 'text')", False),
        ("text IN ('a')", False),
        ("text NOT IN ('a')", True),
        ("text IN (1, 2)", False),
        ("text NOT IN (1, 2)", True),
        ("missing IN ('a')", Unknown),
        ("missing NOT IN ('a')", Unknown),
        ("one IN (1.0)", True),
        ("one IN (missing, 1)", True),
        ("one IN (missing, 2)", Unknown),
        ("one NOT IN (missing, 2)", Unknown),
        ("one IN (two - 1)", True),
        ("list IN ('text', 'other')", True),
        ("list IN ('other')", False),
        ("list NOT IN ('other')", True),
        ("nothing IN (1)", False),
        ("nothing NOT IN (1)", True),
        ("'text' IN list AND one IN list AND 1.0 IN list", True),
        ("two IN list", False),
        ("list IN list", True),
        ("list IN nothing", False),
        ("one IN one", False),
        ("one IN missing", Unknown),
        ("missing IN list", Unknown),
        // A NaN in it: not equal to itself.
        ("list IN (list)", False),
        ("nothing IN (nothing)", True),
    ]);
}

#[test]
fn like_and_the_text_functions_know_strings_only() {
    check(&[
        ("text LIKE 'text' AND text LIKE 't%' AND text LIKE '%t' AND text LIKE '%' AND text LIKE 't__t'", True),
        ("text LIKE 't_t' OR text LIKE 'T%' OR text LIKE 'tex' OR text LIKE '' OR text LIKE '%\\%'", False),
        ("empty LIKE '' AND empty LIKE '%' AND NOT empty LIKE '_'", True),
        ("text NOT LIKE 'x%'", True),
        ("one LIKE '1' OR yes LIKE '%'", False),
        ("one NOT LIKE '1'", True),
        ("missing LIKE '%'", Unknown),
        ("missing NOT LIKE '%'", Unknown),
        ("'100%' LIKE '100!%' ESCAPE '!' AND '100' NOT LIKE '100!%' ESCAPE '!'", True),
        ("'a!b' LIKE 'a!!b' ESCAPE '!'", True),
        ("STARTS_WITH(text, 'te') AND ENDS_WITH(text, 'xt') AND CONTAINS(text, 'ex') AND MATCHES(text, 'e.t$')", True),
        ("STARTS_WITH(text, '') AND ENDS_WITH(empty, '') AND CONTAINS(empty, '') AND MATCHES(empty, '')", True),
        ("STARTS_WITH(text, 'x') OR ENDS_WITH(text, 'x') OR CONTAINS(text, 'xx') OR MATCHES(text, '^ext')", False),
        ("STARTS_WITH(one, '1') OR ENDS_WITH(text, 1) OR CONTAINS(one, 1) OR MATCHES(list, 'text')", False),
        ("STARTS_WITH(missing, 'x') OR ENDS_WITH(text, missing)", Unknown),
        ("CONTAINS(list, 'text') AND CONTAINS(list, 1.0) AND NOT CONTAINS(list, 'tex')", True),
        ("CONTAINS(nothing, missing)", Unknown),
    ]);
}

#[test]
fn null_tests_are_never_unknown() {
    check(&[
        ("missing IS NULL", True),
        ("missing IS NOT NULL", False),
        ("one IS NULL", False),
        ("one IS NOT NULL", True),
        ("EXISTS(one) AND NOT EXISTS(missing)", True),
        ("nothing IS NULL", False),
        ("$anything IS NULL", True),
    ]);
}

#[test]
fn places_know_distance_and_areas() {
    check(&[
        ("home = POINT(43, -3) AND home <> POINT(43, 3)", True),
        ("home < POINT(44, 0)", False),
        ("DISTANCE(home, home) = 0 AND DISTANCE(home, POINT(44, -3)) BETWEEN 111000 AND 111300", True),
        ("DISTANCE(home, one) < 1", Unknown),
        ("WITHIN(home, CIRCLE(POINT(43, -3), 0))", True),
        ("WITHIN(home, CIRCLE(POINT(44, -3), 111000))", False),
        ("WITHIN(home, CIRCLE(POINT(44, -3), one * 112000))", True),
        ("WITHIN(home, CIRCLE(one, 5)) OR WITHIN(home, CIRCLE(home, text)) OR WITHIN(one, CIRCLE(home, 5))", False),
        ("WITHIN(home, CIRCLE(home, -one))", False),
        ("WITHIN(missing, CIRCLE(home, 5))", Unknown),
        ("WITHIN(home, CIRCLE(home, missing))", Unknown),
        ("WITHIN(home, BOX(POINT(43, -3), POINT(43, -3)))", True),
        ("WITHIN(date_line, BOX(POINT(-1, 170), POINT(1, -170)))", True),
        ("WITHIN(date_line, BOX(POINT(-1, -180), POINT(1, -170)))", True),
        ("WITHIN(date_line, BOX(POINT(-1, -170), POINT(1, 170)))", False),
        ("WITHIN(date_line, POLYGON(POINT(-1, 170), POINT(-1, -170), POINT(1, -170), POINT(1, 170)))", True),
        ("WITHIN(home, POLYGON(POINT(42, -4), POINT(42, -2), POINT(44, -3)))", True),
        ("WITHIN(home, POLYGON(POINT(42, -2), POINT(42, 0), POINT(44, -1)))", False),
        ("POINT(one, two) = POINT(1.0, 2)", True),
        ("POINT(one, max) IS NULL", True),
    ]);
}
