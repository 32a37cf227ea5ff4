//! Claims about the answers to what users get wrong.

use super::{error, parse, printed};
use crate::filter::{Filter, FilterLimits};

#[test]
fn a_usual_mistake_is_answered_with_what_to_write() {
    for (text, column, message) in [
        ("a == 1", 3, "found `==`, expected `=`"),
        ("a := 1", 3, "found `:=`, expected `=`"),
        ("a = 1 && b", 7, "found `&&`, expected `AND`"),
        ("a = 1 & b", 7, "found `&`, expected `AND`"),
        ("a || b", 3, "found `||`, expected `OR`"),
        ("!a", 1, "found `!`, expected `NOT` or `<>`"),
        ("a => 5", 3, "expected `>=`"),
        ("a =< 5", 3, "expected `<=`"),
        ("a ≥ 5", 3, "found `≥`, expected `>=`"),
        ("a ≠ 5", 3, "found `≠`, expected `<>`"),
        ("a = ‘x’", 5, "found `‘`, expected a straight quote"),
        ("“a” = 1", 1, "found `“`, expected a straight quote"),
        ("`a` = 1", 1, "expected `\"` round a name"),
        ("a = 5;", 6, "found `;`, expected the end of the filter"),
        ("a = 1 -- why", 7, "found `--`, expected `- -` for a double negation (there are no comments)"),
        ("name = 'abc", 8, "this string has no closing `'`"),
        (
            "a = 'it's' AND b",
            9,
            "found `s`, expected `AND`, `OR` or the end of the filter (a quote within a text is doubled",
        ),
        ("a LIKE \"x%\"", 8, "found `\"x%\"`, expected a pattern in single quotes"),
        ("a LIKE x", 8, "expected a pattern in single quotes"),
        ("a = NULL", 5, "write `name IS NULL`"),
        ("a <> null", 6, "write `name IS NULL`"),
        ("a NOT NULL", 7, "found `NULL`, expected `BETWEEN`, `IN` or `LIKE` (or `IS NOT NULL`)"),
        ("a IN [1, 2]", 6, "found `[1, 2]`, expected a list in parentheses"),
        ("a IN 1, 2", 6, "found `1`, expected a list such as"),
        ("a IN ()", 7, "found `)`, expected a value"),
        ("a BETWEEN 1 TO 2", 13, "found `TO`, expected `AND` and the upper bound"),
        ("(a = 1 AND b = 2", 17, "found the end of the filter, expected `)`"),
        ("(a b)", 4, "found `b`, expected `)` or an operator"),
        ("in = 1", 1, "found `in`, expected a value or a condition (an attribute of this name is `\"in\"`)"),
        ("x = 1 AND is = 5", 11, "(an attribute of this name is `\"is\"`)"),
        ("UPPER(a) = 'X'", 1, "found the unknown function `UPPER`, expected `MATCHES(…, '(?i)…')`"),
        ("LENGTH(a) > 3", 1, "found the unknown function `LENGTH`, expected an operator, or one of CONTAINS"),
        ("TIMESTAMP(t) > 5", 1, "expected a literal such as `TIMESTAMP '2024-05-17T08:30:00Z'`"),
        ("WITHIN(CIRCLE(a, 3), p)", 8, "found the unknown function `CIRCLE`, expected an area only as the second"),
        ("tags CONTAINS 'x'", 6, "or the end of the filter (functions are written `CONTAINS(…)`)"),
        ("stops[0].name = 'x'", 6, "(an element's member is written `stops.0.name`)"),
        ("STARTS_WITH(a)", 14, "found `)`, expected `,` and the prefix"),
        ("STARTS_WITH(a, 'x', 'y')", 19, "found `,`, expected `)`"),
        ("WITHIN(p, CIRCLE(43.4, -3.8, 500))", 11, "the center of CIRCLE is the float 43.4, must be a place"),
        ("DISTANCE(p, POINT(-103.8, 43.4)) < 5", 13, "is no place: latitude must be"),
        ("ip = 192.168.0.1", 13, "found `.`, expected the number `192.168` to end"),
        ("t > 2024-05-17T08:00:00Z", 15, "found `T`, expected the number `17` to end"),
        ("a = 1_", 5, "`_` in the number `1_` must stand between digits"),
        ("a = 1e-400", 5, "`1e-400` is too small for a 64-bit float"),
        ("温度 > 20 && b", 9, "found `&&`"),
        ("😀 = 1", 1, "(a name with other characters goes in double quotes)"),
        ("e\u{301} = 1", 2, "found `\\u{301}`"),
        ("$ctx. = 1", 6, "found a space, expected the next part of the path after `.`"),
    ] {
        let error = error(text);
        assert_eq!((error.line, error.column), (1, column), "{text}: {error}");
        assert!(error.to_string().contains(message), "{text}: {error}");
    }
}

#[test]
fn what_looks_like_a_mistake_but_is_none_is_read() {
    for (text, canonical) in [
        ("country='UK'AND weight=5", "country = 'UK' AND weight = 5"),
        ("\tcountry\u{c}=\r\n'UK' ", "country = 'UK'"),
        ("a\u{a0}= 5 - -3", "a = 5 - -3"),
        ("a = 0e-999 OR a = 0.000e-400", "a = 0.0 OR a = 0.0"),
        ("a = 5e-324", "a = 5e-324"),
        ("a IN \"my tags\" OR a IN $[my tags]", "a IN \"my tags\" OR a IN $\"my tags\""),
        ("CIRCLE = 1 AND upper = TIMESTAMP", "CIRCLE = 1 AND upper = TIMESTAMP"),
        ("co2-ppm > 5", "co2 - ppm > 5"),
        ("-5.E-2 = -.5E-1", "-0.05 = -0.05"),
        ("weight = -(-81) % percentage -1", "weight = 81 % percentage - 1"),
    ] {
        assert_eq!(printed(text), canonical, "{text}");
    }
}

#[test]
fn a_plus_asks_for_a_number_too() {
    for (text, canonical) in [
        ("+a = 1", "1 * a = 1"),
        ("+$a * b = 1", "1 * $a * b = 1"),
        ("- + a = 1", "-(1 * a) = 1"),
        ("+'x' = 'x'", "1 * 'x' = 'x'"),
        ("+5 = + -5 AND +(a + b) = +-a", "5 = -5 AND a + b = -a"),
    ] {
        assert_eq!(printed(text), canonical, "{text}");
        assert_eq!(parse(canonical), parse(text), "{text}");
    }
}

#[test]
fn the_caret_lines_up_under_wide_combining_and_control_characters() {
    for (text, line, columns_before) in [
        ("温度 > 20 && b", "温度 > 20 && b", 10),
        ("名前 = '東京' und b", "名前 = '東京' und b", 14),
        ("a = 'e\u{301}' x", "a = 'e\u{301}' x", 8),
        ("a = '😀' x", "a = '😀' x", 9),
        ("a = 'x\u{1b}[31m' y", "a = 'x�[31m' y", 13),
        ("a = 'a\rb\u{202e}c' y", "a = 'a�b�c' y", 12),
    ] {
        let caret = error(text).caret(text);
        assert_eq!(caret, format!("{line}\n{}^", " ".repeat(columns_before)), "{text:?}");
    }
}

#[test]
fn no_error_moves_the_cursor_or_repeats_a_long_text() {
    let long = "x".repeat(10_000);
    let digits = "1".repeat(10_000);
    for text in [
        format!("a = 1 {long}"),
        format!("a = 1 '{long}\n\u{1b}[2J'"),
        format!("{long}(a)"),
        format!("a = {digits}"),
        format!("a = {digits}.{digits}"),
        format!("a = 0{digits}9"),
        format!("a = {digits}x"),
        format!("a = {digits}e"),
        format!("a = {digits}_"),
        format!("{long} + 1"),
        format!("({long} = 1) + 1 = 2"),
        format!("WITHIN(p, CIRCLE('{long}', 1))"),
        format!("WITHIN(p, CIRCLE(q, '{long}'))"),
        format!("WITHIN(p, BOX('{long}', q))"),
        format!("WITHIN(p, POLYGON(POINT(1, 1), {long}))"),
        format!("p = POINT('{long}', 'a\u{1b}')"),
        format!("t = TIMESTAMP '{long}'"),
        format!("a LIKE 'x' ESCAPE '{long}'"),
        format!("a LIKE '%{long}_%'"),
        format!("MATCHES(a, '({long}')"),
        format!("MATCHES(a, '\\p{{{}}}')", &long[..900]),
    ] {
        let error = Filter::parse(&text, &FilterLimits::trusted()).expect_err(&text[..20]);
        let message = error.to_string();
        assert!(message.len() < 400, "{} bytes: {message}", message.len());
        assert!(!message.contains(char::is_control), "{message:?}");
        assert!(error.caret(&text).len() < 1_000);
    }
}
