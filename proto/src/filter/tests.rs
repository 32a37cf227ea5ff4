//! Claims about filters as structures.

use prost::Message as _;

use super::*;

const FILTERS: [&str; 14] = [
    "type = 'road' AND speed < 20 AND WITHIN(location, CIRCLE($here, 500))",
    "NOT (a BETWEEN 1 AND 2 OR b NOT BETWEEN -1.5 AND c + 1)",
    "a IN (1, 2.5, 'x', TIMESTAMP '2024-05-17T08:30:00Z') OR b IN $wanted OR c IN (d, 3)",
    "name LIKE 'a!_%' ESCAPE '!' AND MATCHES(name, '^[a-z]+$')",
    "STARTS_WITH(a, 'x') AND ENDS_WITH(b, $end) AND CONTAINS(tags, 'red')",
    "a IS NULL OR b IS NOT NULL",
    "WITHIN(p, BOX(POINT(1.0, 2.0), POINT(3.0, 4.0)))",
    "WITHIN(p, POLYGON(POINT(0.0, 0.0), POINT(0.0, 1.0), POINT(1.0, 1.0)))",
    "DISTANCE(POINT(lat, lon), $here) < 1000 * $factor",
    "-(a - b) / 2 % 3 >= c * 4",
    "TRUE",
    "FALSE",
    "flag",
    "\"quoted name\".x <> TRUE",
];

#[test]
fn a_filter_survives_its_structured_form_and_the_wire() {
    let limits = FilterLimits::default();
    for text in FILTERS {
        let parsed = Filter::parse(text, &limits).unwrap_or_else(|error| panic!("{text}: {error}"));
        let bytes = to_filter(&parsed).encode_to_vec();
        let wire = v1::Filter::decode(bytes.as_slice()).expect("what we wrote");
        assert_eq!(filter(wire, &limits).as_ref(), Ok(&parsed), "{text}");
        assert_eq!(source(Some(to_source(&parsed)), &limits).as_ref(), Ok(&parsed), "{text}");
    }
}

#[test]
fn what_is_not_set_is_named() {
    let limits = FilterLimits::default();
    let with = |condition| v1::Filter { condition: Some(condition) };
    let attribute = || Some(v1::Operand { operand: Some(v1::operand::Operand::Attribute("a".to_owned())) });
    let cases = [
        (v1::Filter { condition: None }, "`condition` is not set"),
        (with(v1::filter::Condition::And(v1::Conditions::default())), "`conditions` is not set"),
        (
            with(v1::filter::Condition::Compare(v1::Compare { left: attribute(), comparison: 1, right: None })),
            "`compare.right` is not set",
        ),
        (
            with(v1::filter::Condition::Compare(v1::Compare { left: attribute(), comparison: 0, right: attribute() })),
            "`compare.comparison` is not set",
        ),
        (
            with(v1::filter::Condition::Like(v1::Like {
                operand: attribute(),
                pattern: "x".to_owned(),
                escape: "ab".to_owned(),
            })),
            "`like.escape` is `ab`",
        ),
        (
            with(v1::filter::Condition::Matches(v1::Matches { operand: attribute(), pattern: "(".to_owned() })),
            "`matches.pattern`",
        ),
    ];
    for (wire, expected) in cases {
        let error = filter(wire, &limits).expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(source(None, &limits), Err(FilterError::Missing));
    let error =
        source(Some(v1::FilterSource { filter: Some(v1::filter_source::Filter::Text("a = ".into())) }), &limits)
            .expect_err("cut");
    assert_eq!(error.offset(), Some(4), "{error}");
}

#[test]
fn a_structure_nested_without_end_is_refused_before_the_stack_is_used_up() {
    assert!(v1::Filter::decode(nested_not(10_000).as_slice()).is_err());
    let deep = v1::Filter::decode(nested_not(60).as_slice()).expect("as deep as prost allows");
    assert!(filter(deep, &FilterLimits::default()).is_err(), "the innermost condition is not set");
}

fn nested_not(depth: usize) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for _ in 0..depth {
        let mut outer = vec![0x12];
        prost::encoding::encode_varint(u64::try_from(bytes.len()).expect("small"), &mut outer);
        outer.extend(&bytes);
        bytes = outer;
    }
    bytes
}

#[test]
fn a_structure_compiles_no_more_regular_expressions_than_a_filter_may_have() {
    let matches = v1::Matches {
        operand: Some(v1::Operand { operand: Some(v1::operand::Operand::Attribute("a".to_owned())) }),
        // Milliseconds each: all of them would take minutes.
        pattern: "(a?){200}a{200}x".to_owned(),
    };
    let condition = v1::Filter { condition: Some(v1::filter::Condition::Matches(matches)) };
    let many = v1::Conditions { conditions: vec![condition; 10_000] };
    let wire = v1::Filter { condition: Some(v1::filter::Condition::And(many)) };
    let limits = FilterLimits { regexes_max: 1, ..FilterLimits::default() };
    let error = filter(wire, &limits).expect_err("too many").to_string();
    assert!(error.contains("the filter has 2 MATCHES; the cap is filter.regexes_max = 1"), "{error}");
}
