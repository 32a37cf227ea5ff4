//! Claims about filters: reading, errors, caps, canonical form, normal form.

mod mistakes;

use super::*;
use crate::attributes::Attributes;
use crate::geo::GeoPoint;
use crate::timestamp::Timestamp;

fn parse(text: &str) -> Filter {
    Filter::parse(text, &FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn error(text: &str) -> ParseError {
    Filter::parse(text, &FilterLimits::default()).expect_err(text)
}

/// What `text` prints as.
fn printed(text: &str) -> String {
    parse(text).to_string()
}

fn normal(text: &str) -> String {
    normalise(&parse(text)).to_string()
}

#[test]
fn the_canonical_text_has_upper_case_words_and_only_needed_parentheses() {
    for (text, canonical) in [
        ("", "TRUE"),
        ("  \n\t ", "TRUE"),
        ("a=1 and(b<>2)", "a = 1 AND b <> 2"),
        ("((a = 1))", "a = 1"),
        ("a = 1 or b = 2 and c = 3", "a = 1 OR b = 2 AND c = 3"),
        ("(a = 1 or b = 2) and c = 3", "(a = 1 OR b = 2) AND c = 3"),
        ("(a = 1 and b = 2) and c = 3", "(a = 1 AND b = 2) AND c = 3"),
        ("not not a = 1", "NOT NOT a = 1"),
        ("not (a = 1 and b = 2)", "NOT (a = 1 AND b = 2)"),
        ("not a in (1)", "a NOT IN (1)"),
        ("a not like 'x' escape '!'", "a NOT LIKE 'x' ESCAPE '!'"),
        ("not a between 1 and 2", "NOT a BETWEEN 1 AND 2"),
        ("a not between 1 and 2", "a NOT BETWEEN 1 AND 2"),
        ("exists(a)", "a IS NOT NULL"),
        ("not exists(a)", "NOT a IS NOT NULL"),
        ("flag", "flag = TRUE"),
        ("not flag or $muted", "NOT flag = TRUE OR $muted = TRUE"),
        ("true and null", "TRUE AND NULL"),
        ("a != 0x1F", "a <> 31"),
        ("a = 017 or a = 0b11 or a = 62L or a = 1_000", "a = 15 OR a = 3 OR a = 62 OR a = 1000"),
        (
            "a = 7. or a = .5 or a = -57.9E2 or a = 7.5f or a = 57d",
            "a = 7.0 OR a = 0.5 OR a = -5790.0 OR a = 7.5 OR a = 57.0",
        ),
        ("a = -9223372036854775808", "a = -9223372036854775808"),
        ("a = - - 5", "a = 5"),
        ("a = -(b + 1) * 2", "a = -(b + 1) * 2"),
        ("a - (b - c) - d > (a + b) * c", "a - (b - c) - d > (a + b) * c"),
        ("a - (-b) = a / (b % c)", "a - -b = a / (b % c)"),
        ("a = -(-b)", "a = - -b"),
        ("\"a.b\" = 1 or a.\"b\" = 1 or [a.b] = 1", "a.b = 1 OR a.b = 1 OR a.b = 1"),
        ("\"a b\".c = 1 or \"say \"\"hi\"\"\" = 1", "\"a b.c\" = 1 OR \"say \"\"hi\"\"\" = 1"),
        ("[a]]b] = 1 or \"NOT\" = 1 or in.x = 1", "\"a]b\" = 1 OR \"NOT\" = 1 OR in.x = 1"),
        ("temperatura_ñ > 1 and 温度 > 1", "temperatura_ñ > 1 AND 温度 > 1"),
        ("a = 'it''s'", "a = 'it''s'"),
        ("a in ('b', 'a', 5.0, 5, 'b')", "a IN (5.0, 'a', 'b')"),
        ("a in (b, 5)", "a IN (b, 5)"),
        ("'x' in tags or a not in $wanted", "'x' IN tags OR a NOT IN $wanted"),
        ("t > timestamp '2024-05-17T10:00:00+02:00'", "t > TIMESTAMP '2024-05-17T08:00:00Z'"),
        ("distance(p, point(43.5, -3)) < 500", "DISTANCE(p, POINT(43.5, -3.0)) < 500"),
        ("within(p, circle($home, $far + 1))", "WITHIN(p, CIRCLE($home, $far + 1))"),
        ("within(p, box(point(1, 2), point(3, 4)))", "WITHIN(p, BOX(POINT(1.0, 2.0), POINT(3.0, 4.0)))"),
        (
            "within(point(lat, lon), polygon(point(0,0), point(0,1), point(1,1), point(0,0)))",
            "WITHIN(POINT(lat, lon), POLYGON(POINT(0.0, 0.0), POINT(0.0, 1.0), POINT(1.0, 1.0)))",
        ),
        ("starts_with(a, 'x') and Ends_With(a, $b)", "STARTS_WITH(a, 'x') AND ENDS_WITH(a, $b)"),
        ("contains(a, 1) and matches(a, '^x''')", "CONTAINS(a, 1) AND MATCHES(a, '^x''')"),
        ("contains = 1 and timestamp = 2 and point > box", "contains = 1 AND timestamp = 2 AND point > box"),
        ("(a + 1) > 2 and (a) = (b)", "a + 1 > 2 AND a = b"),
        ("$\"my home\".x = 1 and $a.0.b = 1", "$\"my home.x\" = 1 AND $a.0.b = 1"),
    ] {
        assert_eq!(printed(text), canonical, "{text}");
        assert_eq!(parse(canonical), parse(text), "{text}");
    }
}

#[test]
fn a_wrong_filter_is_told_where_and_what_was_expected() {
    for (text, line, column, message) in [
        ("a =", 1, 4, "found the end of the filter, expected a value or a condition"),
        ("a = = 1", 1, 5, "found `=`, expected a value or a condition"),
        ("a == 1", 1, 3, "found `==`, expected `=`"),
        ("a = 1 && b = 2", 1, 7, "found `&&`, expected `AND`"),
        ("!a", 1, 1, "found `!`, expected `NOT` or `<>`"),
        ("a = 1 b = 2", 1, 7, "found `b`, expected `AND`, `OR` or the end of the filter"),
        ("a 1", 1, 3, "found `1`, expected an operator such as"),
        ("a = 1 AND\n  b ? 2", 2, 5, "found `?`, expected a name, a literal or an operator"),
        ("a < b < c", 1, 7, "comparisons do not chain"),
        ("(a = 1", 1, 7, "found the end of the filter, expected `)` or an operator"),
        ("a = 1)", 1, 6, "found `)`, expected `AND`, `OR` or the end of the filter"),
        ("a = 'x", 1, 5, "this string has no closing `'`"),
        ("\"a = 1", 1, 1, "this quoted name has no closing `\"`"),
        ("\"\" = 1", 1, 1, "a quoted name is empty"),
        ("a. = 1", 1, 3, "expected the next part of the path after `.`"),
        ("$ = 1", 1, 1, "expected a name of the subscriber's context"),
        ("a = NULL", 1, 5, "write `name IS NULL`"),
        ("a + 1", 1, 1, "found the value `a + 1` alone, expected a condition"),
        ("'x'", 1, 1, "found the value `'x'` alone"),
        ("(a = 1) + 1 = 2", 1, 1, "found the condition `a = 1`, expected a value"),
        ("a IS 1", 1, 6, "found `1`, expected `NULL` or `NOT NULL`"),
        ("a IS NOT 1", 1, 10, "found `1`, expected `NULL`"),
        ("a NOT 1", 1, 7, "expected `BETWEEN`, `IN` or `LIKE`"),
        ("a BETWEEN 1 OR 2", 1, 13, "expected `AND` and the upper bound"),
        ("a IN ()", 1, 7, "found `)`, expected a value"),
        ("a IN 'x'", 1, 6, "expected a list such as"),
        ("a IN ('x' 'y')", 1, 11, "found `'y'`, expected `,` or `)`"),
        ("a LIKE b", 1, 8, "expected a pattern in single quotes"),
        ("a LIKE 'x' ESCAPE 'ab'", 1, 19, "ESCAPE has 2 characters, must be one"),
        ("a LIKE 'x!y' ESCAPE '!'", 1, 8, "at character 2 of the pattern must be followed by"),
        ("MATCHES(a, 'x(')", 1, 12, "not a regular expression: unclosed group"),
        ("foo(a)", 1, 1, "found the unknown function `foo`"),
        ("STARTS_WITH(a)", 1, 14, "found `)`, expected `,` and the prefix"),
        ("WITHIN(a, b)", 1, 11, "expected an area: `CIRCLE(…)`"),
        ("WITHIN(a, CIRCLE(5, 5))", 1, 11, "the center of CIRCLE is the integer 5"),
        ("WITHIN(a, CIRCLE($b, -5))", 1, 11, "the radius of CIRCLE is -5"),
        ("WITHIN(a, BOX(POINT(2, 0), POINT(1, 0)))", 1, 11, "lies north of the second"),
        ("WITHIN(a, POLYGON(POINT(2, 0), POINT(1, 0)))", 1, 11, "a polygon has 2 different vertices"),
        ("WITHIN(a, POLYGON(POINT(2, 0), b, POINT(1, 0)))", 1, 32, "a vertex of POLYGON is `b`"),
        ("DISTANCE(a, POINT(91, 0)) < 1", 1, 13, "POINT(91, 0) is no place"),
        ("t > TIMESTAMP '2024'", 1, 15, "`'2024'` is not an RFC 3339 date and time"),
        ("a = 9223372036854775808", 1, 5, "beyond the range of a 64-bit integer"),
        ("a = 99999999999999999999", 1, 5, "beyond the range of a 64-bit integer"),
        ("a = 1e999", 1, 5, "beyond the range of a 64-bit float"),
        ("a = 09", 1, 5, "octal, which has no digits 8 and 9"),
        ("a = 0xg", 1, 7, "found `g`, expected a digit to go on with the number `0x`"),
        ("a = 1e", 1, 7, "expected a digit to go on with the number `1e`"),
        ("a = 12abc", 1, 7, "found `a`, expected the number `12` to end"),
        ("a = 1.2.3", 1, 8, "found `.`, expected the number `1.2` to end"),
        ("ä = 'ö' AND ,", 1, 13, "found `,`, expected a value or a condition"),
    ] {
        let error = error(text);
        assert_eq!((error.line, error.column), (line, column), "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

#[test]
fn the_caret_stands_under_the_place() {
    let text = "a = 1 AND\n\tb ? 2";
    assert_eq!(error(text).caret(text), "\tb ? 2\n\t  ^");
    let text = "ä = 'ö' AND ,";
    assert_eq!(error(text).caret(text), "ä = 'ö' AND ,\n            ^");
    let text = format!("{} ? {}", "a = 1 AND ".repeat(20), "b".repeat(200));
    let caret = error(&text).caret(&text);
    let (line, under) = caret.split_once('\n').expect("two lines");
    assert_eq!(line.chars().nth(under.chars().count() - 1), Some('?'));
    assert!(line.starts_with('…') && line.ends_with('…'), "{line}");
    assert_eq!(error("a =").caret("a ="), "a =\n   ^");
}

#[test]
fn every_cap_is_named_where_it_is_exceeded() {
    let small = FilterLimits {
        text_bytes_max: 400,
        depth_max: 6,
        nodes_max: 20,
        in_members_max: 3,
        polygon_vertices_max: 3,
        regexes_max: 1,
        regex_text_bytes_max: 20,
        regex_bytes_max: 2_000,
    };
    for (text, cap, fits) in [
        ("a = 1".to_owned() + &" ".repeat(400), "text_bytes_max = 400", "a = 1".to_owned()),
        ("((((((( a ))))))) = 1".to_owned(), "depth_max = 6", "(((((( a )))))) = 1".to_owned()),
        ("NOT NOT NOT NOT NOT a = 1".to_owned(), "depth_max = 6", "NOT NOT NOT NOT a = 1".to_owned()),
        ("a+1+1+1+1+1 = 1".to_owned(), "depth_max = 6", "a+1+1+1+1 = 1".to_owned()),
        ("a=1".to_owned() + &" OR a=1".repeat(6), "nodes_max = 20", "a=1".to_owned() + &" OR a=1".repeat(5)),
        ("a IN (1,2,3,4)".to_owned(), "in_members_max = 3", "a IN (1,2,3)".to_owned()),
        (
            "WITHIN(p, POLYGON(POINT(0,0),POINT(0,1),POINT(1,1),POINT(1,0)))".to_owned(),
            "polygon_vertices_max = 3",
            "WITHIN(p, POLYGON(POINT(0,0),POINT(0,1),POINT(1,1)))".to_owned(),
        ),
        ("MATCHES(a, 'x') OR MATCHES(a, 'y')".to_owned(), "regexes_max = 1", "MATCHES(a, 'x')".to_owned()),
        ("MATCHES(a, '^[a-z]{1000}')".to_owned(), "regex_bytes_max = 2000", "MATCHES(a, '^[a-z]')".to_owned()),
        (
            format!("MATCHES(a, '{}')", "a".repeat(21)),
            "regex_text_bytes_max = 20",
            format!("MATCHES(a, '{}')", "a".repeat(20)),
        ),
    ] {
        let error = Filter::parse(&text, &small).expect_err(&text);
        assert!(error.to_string().contains(cap), "{text}: {error}");
        assert!(matches!(error.kind, ParseErrorKind::Limit(_)), "{text}");
        let kept = Filter::parse(&fits, &small).unwrap_or_else(|error| panic!("{fits}: {error}"));
        let again = Filter::from_expression(kept.expression().clone(), &small);
        assert_eq!(again.as_ref(), Ok(&kept), "{fits}: both forms are measured alike");
        // Too large as a text is too large as a structure, where the text is not the reason.
        if let Ok(large) = Filter::parse(&text, &FilterLimits::default())
            && !text.contains("(((")
            && text.trim() == text
            && !cap.starts_with("regex_bytes")
        {
            let error = Filter::from_expression(large.expression().clone(), &small).expect_err(&text);
            assert!(error.to_string().contains(cap), "{text}: {error}");
        }
    }
}

#[test]
fn deep_texts_do_not_overflow_the_stack_whatever_the_limits() {
    let limits = FilterLimits { depth_max: usize::MAX, ..FilterLimits::trusted() };
    for text in [
        "(".repeat(100_000),
        "NOT ".repeat(100_000),
        "a = ".to_owned() + &"- ".repeat(100_000),
        "a = ".to_owned() + &"+ ".repeat(100_000),
        "DISTANCE(".repeat(100_000),
        "a".to_owned() + &" + 1".repeat(100_000) + " = 1",
        "EXISTS(".repeat(100_000),
    ] {
        let error = Filter::parse(&text, &limits).expect_err("too deep").to_string();
        assert!(error.contains("depth_max = 96"), "{error}");
    }
    // Printing must not nest deeper than what was read.
    for text in ["a = ".to_owned() + &"- ".repeat(94) + "b", "NOT ".repeat(94) + "a = b"] {
        let filter = Filter::parse(&text, &limits).expect("at the cap");
        assert_eq!(Filter::parse(&filter.to_string(), &limits), Ok(filter));
    }
    let wide = "a = 1".to_owned() + &" OR a = 1".repeat(100_000);
    assert_eq!(Filter::parse(&wide, &limits).expect("wide is not deep").disjuncts().len(), 100_001);
}

#[test]
fn a_structure_becomes_canonical() {
    let attribute = |name: &str| Operand::Attribute(name.into());
    let constant = |value: Value| Operand::Constant(value);
    let equal = |left: Operand, right: Operand| {
        Expression::from(Predicate::Compare { left, comparison: Comparison::Equal, right })
    };
    let pair = |first: Operand, second: Operand| Box::new([first, second]);
    let limits = FilterLimits::default();
    let one = equal(attribute("a"), constant(Value::Integer(1)));
    for (expression, canonical) in [
        (Expression::And(vec![]), "TRUE"),
        (Expression::Or(vec![]), "FALSE"),
        (Expression::And(vec![Expression::Or(vec![one.clone()])]), "a = 1"),
        (
            equal(attribute("a"), Operand::Negate(Box::new(constant(Value::Integer(i64::MIN))))),
            "a = 9.223372036854776e18",
        ),
        (
            equal(attribute("p"), Operand::Point(pair(constant(Value::Integer(1)), constant(Value::Float(2.5))))),
            "p = POINT(1.0, 2.5)",
        ),
        (
            Predicate::In {
                operand: attribute("a"),
                set: Set::Operands(vec![constant(Value::Integer(2)), constant(Value::Integer(1))]),
            }
            .into(),
            "a IN (1, 2)",
        ),
    ] {
        let filter = Filter::from_expression(expression, &limits).expect(canonical);
        assert_eq!(filter.to_string(), canonical);
        assert_eq!(parse(canonical), filter);
    }
    let mut deep = one.clone();
    for _ in 0..3_000 {
        deep = Expression::And(vec![Expression::Or(vec![deep])]);
    }
    assert_eq!(Filter::from_expression(deep, &limits).expect("wrappers vanish").to_string(), "a = 1");
    for (expression, message) in [
        (equal(attribute(""), constant(Value::Integer(1))), "name is empty"),
        (equal(attribute("a"), constant(Value::Float(f64::NAN))), "not a finite number"),
        (equal(attribute("a"), constant(Value::Timestamp(Timestamp(i64::MAX)))), "outside the years"),
        (equal(attribute("a"), constant(Value::array(vec![]).expect("scalars"))), "must be a scalar"),
        (Predicate::In { operand: attribute("a"), set: Set::Operands(vec![]) }.into(), "at least one"),
        (
            Predicate::In { operand: attribute("a"), set: Set::Constants(ConstantSet::new(vec![])) }.into(),
            "at least one",
        ),
        (
            Predicate::In { operand: attribute("a"), set: Set::Array(constant(Value::Integer(1))) }.into(),
            "must be a list, an attribute or a context attribute",
        ),
        (
            equal(attribute("p"), Operand::Point(pair(constant(Value::Integer(91)), constant(Value::Integer(0))))),
            "is no place",
        ),
    ] {
        let error = Filter::from_expression(expression, &limits).expect_err(message).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn the_normal_form_is_what_an_index_wants() {
    for (text, normal_form) in [
        ("NOT (a = 1 AND NOT (b = 2 OR c = 3))", "b = 2 OR c = 3 OR NOT a = 1"),
        ("b = 2 AND (a = 1 AND (c = 3 AND a = 1))", "a = 1 AND b = 2 AND c = 3"),
        ("a BETWEEN 1 AND 5", "a <= 5 AND a >= 1"),
        ("NOT a BETWEEN 1 AND 5", "NOT a <= 5 OR NOT a >= 1"),
        ("a NOT BETWEEN 1 AND 5", "a < 1 OR a > 5"),
        ("5 < a", "a > 5"),
        ("b = a", "a = b"),
        ("b < a", "a > b"),
        ("a LIKE 'x%' AND b LIKE '%x' AND c LIKE '%x%'", "c LIKE '%x%' AND STARTS_WITH(a, 'x') AND ENDS_WITH(b, 'x')"),
        ("a > 2 * 3 + 1", "a > 7"),
        ("1 = 1 AND a = 1", "a = 1"),
        ("1 = 2 AND a = 1", "FALSE"),
        ("1 = 1 OR a = 1", "TRUE"),
        ("1 / 0 = 1 OR a = 1", "NULL OR a = 1"),
        ("NOT NULL", "NULL"),
        ("NOT NOT a IN (2, 1)", "a IN (1, 2)"),
        ("NOT EXISTS(a)", "a IS NULL"),
        ("NOT a < 5", "NOT a < 5"),
        ("a > 1e308 * 10", "a > 1e308 * 10"),
        ("a IN (1 + 1, 2)", "a IN (2)"),
        ("WITHIN(p, CIRCLE($c, 0 - 5))", "WITHIN(p, CIRCLE($c, 0 - 5))"),
        ("p = POINT(90 + 1, 0)", "p = POINT(90 + 1, 0)"),
        ("p = POINT(45 + 45, 0)", "p = POINT(90.0, 0.0)"),
    ] {
        assert_eq!(normal(text), normal_form, "{text}");
    }
}

#[test]
fn a_filter_knows_its_names_and_what_it_requires() {
    let filter = parse("room = 'k' AND 5 = n AND (x = 1 OR $y > z) AND $y IS NOT NULL AND m <> 2");
    let names = |names: &[Arc<str>]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(filter.attribute_names()), ["m", "n", "room", "x", "z"]);
    assert_eq!(names(filter.context_names()), ["y"]);
    assert!(filter.uses_context());
    assert!(!parse("a = 1").uses_context());
    let required: Vec<_> = filter.required_equalities().map(|(name, value)| (&**name, value.clone())).collect();
    assert_eq!(required, [("room", Value::from("k")), ("n", Value::Integer(5))]);
    assert_eq!(filter.conjuncts().len(), 5);
    assert_eq!(parse("a = 1 OR b = 2").disjuncts().len(), 2);
    assert_eq!(parse("a = 1").disjuncts().len(), 1);
    assert!(filter.bytes() > parse("a = 1").bytes());
}

#[test]
fn context_and_publication_are_told_apart() {
    let publication: Attributes =
        [("x", Value::Integer(1)), ("p", GeoPoint::new(43.0, -3.0).expect("a place").into())].into_iter().collect();
    let context: Attributes =
        [("x", Value::Integer(2)), ("home", GeoPoint::new(43.0, -3.001).expect("a place").into())]
            .into_iter()
            .collect();
    let truth = |text: &str| evaluate(&parse(text), &publication, &context);
    assert_eq!(truth("x = 1 AND $x = 2 AND x < $x"), Truth::True);
    assert_eq!(truth("WITHIN(p, CIRCLE($home, 100))"), Truth::True);
    assert_eq!(truth("WITHIN(p, CIRCLE($home, 50 + $x))"), Truth::False);
    assert_eq!(truth("WITHIN(p, CIRCLE($work, 100))"), Truth::Unknown);
    assert_eq!(evaluate(&parse("$x = 2"), &publication, &Nothing), Truth::Unknown);
    assert_eq!(evaluate(&Filter::everything(), &Nothing, &Nothing), Truth::True);
}
