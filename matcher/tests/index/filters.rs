//! Random filters over a schema, as text: every operator of the language, in the shapes that an index treats each in its own way:
//! single predicates, conjunctions, conjunctions of ranges alone, disjunctions, both nested, negations, large `IN` lists.

use gomera_model::filter::{Filter, FilterLimits, ParseError, ParseErrorKind};
use gomera_model::value::Value;

use super::choices::Choices;
use super::values::{Attribute, Kind, Schema, any, place, small, text, value};

/// A filter.
pub fn filter(schema: &Schema, choices: &mut impl Choices) -> Filter {
    let text = shape(schema, choices, 3);
    match Filter::parse(&text, &FilterLimits::default()) {
        Ok(filter) => filter,
        // Seldom one comes out too large.
        Err(ParseError { kind: ParseErrorKind::Limit(_), .. }) => Filter::everything(),
        Err(error) => panic!("{text}: {error}"),
    }
}

fn shape(schema: &Schema, choices: &mut impl Choices, depth: usize) -> String {
    let many = |count: usize, joint: &str, choices: &mut _| {
        let parts = (0..count).map(|_| predicate(schema, choices)).collect::<Vec<_>>();
        parts.join(joint)
    };
    match choices.below(20) {
        0..=3 => predicate(schema, choices),
        4..=7 => {
            let count = 2 + choices.below(3);
            many(count, " AND ", choices)
        }
        8 | 9 => {
            let count = 2 + choices.below(4);
            many(count, " OR ", choices)
        }
        10 => {
            let count = 5 + choices.below(25);
            many(count, " OR ", choices)
        }
        11 | 12 => {
            let parts = [0; 4].map(|_| predicate(schema, choices));
            format!("({} AND {}) OR ({} AND NOT ({}))", parts[0], parts[1], parts[2], parts[3])
        }
        13 => {
            let parts = [0; 4].map(|_| predicate(schema, choices));
            format!("({} OR {}) AND ({} OR {})", parts[0], parts[1], parts[2], parts[3])
        }
        14 | 15 => {
            let count = 1 + choices.below(4);
            let ranges = (0..count).map(|_| range(schema, choices)).collect::<Vec<_>>();
            ranges.join(" AND ")
        }
        16 => format!("NOT ({})", predicate(schema, choices)),
        17 | 18 if depth > 0 => {
            let (left, right) = (shape(schema, choices, depth - 1), shape(schema, choices, depth - 1));
            match choices.below(4) {
                0 => format!("({left}) AND ({right})"),
                1 => format!("({left}) OR ({right})"),
                2 => format!("NOT (({left}) AND ({right}))"),
                _ => format!("NOT (({left}) OR ({right}))"),
            }
        }
        _ => match choices.below(12) {
            0 => "TRUE".to_owned(),
            1 => "FALSE".to_owned(),
            2 => "NULL".to_owned(),
            _ => {
                let one = predicate(schema, choices);
                // Twice the same, and one that the other implies.
                format!("{one} AND ({one} OR {})", predicate(schema, choices))
            }
        },
    }
}

fn attribute<'a>(schema: &'a Schema, choices: &mut impl Choices) -> &'a Attribute {
    &schema.attributes[choices.below(schema.attributes.len())]
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}

/// An attribute of this kind if there is one, any other if not.
fn of_kind<'a>(schema: &'a Schema, kind: Kind, choices: &mut impl Choices) -> &'a Attribute {
    let start = choices.below(schema.attributes.len());
    let around = schema.attributes.iter().cycle().skip(start).take(schema.attributes.len());
    around.into_iter().find(|attribute| attribute.kind == kind).unwrap_or(&schema.attributes[start])
}

/// A literal of this kind. There is none for what is not finite, nor for arrays.
fn literal(kind: Kind, spread: usize, choices: &mut impl Choices) -> String {
    match value(kind, spread, choices) {
        Value::Float(float) if !float.is_finite() => "0.5".to_owned(),
        Value::Integer(i64::MIN) => "(-9223372036854775807 - 1)".to_owned(),
        Value::Array(elements) => elements.first().map_or_else(|| "1".to_owned(), Value::to_string),
        other => other.to_string(),
    }
}

fn range(schema: &Schema, choices: &mut impl Choices) -> String {
    let spread = schema.spread;
    let kind = if choices.percent(70) { Kind::Integer } else { Kind::Float };
    let name = quoted(&of_kind(schema, kind, choices).name);
    let (low, high) = (small(spread, choices) - 1, small(spread, choices) + 2);
    match choices.below(6) {
        0 => format!("{name} >= {low}"),
        1 => format!("{name} < {high}.5"),
        2 => format!("{name} BETWEEN {low} AND {high}"),
        3 => format!("{name} > {low}.25 AND {name} <= {high}"),
        4 => format!("{low} <= {name} AND {name} < {high}"),
        _ => format!("{name} >= {low} AND {name} <= {}", literal(Kind::Float, spread, choices)),
    }
}

fn predicate(schema: &Schema, choices: &mut impl Choices) -> String {
    let spread = schema.spread;
    let attribute = attribute(schema, choices);
    let name = quoted(&attribute.name);
    match choices.below(30) {
        0 => format!("{name} IS NULL"),
        1 => format!("{name} IS NOT NULL"),
        // Of another type, mostly.
        2 => format!("{name} {} {}", comparison(choices), unlike(spread, choices)),
        3 => of_context(&name, attribute.kind, schema.spread, choices),
        4 => {
            let other = quoted(&of_kind(schema, attribute.kind, choices).name);
            format!("{name} {} {other}", comparison(choices))
        }
        5 => {
            let count = 1 + choices.below(40);
            let members = (0..count).map(|_| unlike(spread, choices)).collect::<Vec<_>>();
            format!("{name} {}IN ({})", negation(choices), members.join(", "))
        }
        6 => {
            let array = quoted(&of_kind(schema, Kind::Array, choices).name);
            format!("{name} IN {array}")
        }
        _ => fitting(&name, attribute.kind, schema, choices),
    }
}

fn comparison(choices: &mut impl Choices) -> &'static str {
    choices.pick(&["=", "=", "=", "<>", "<", "<=", ">", ">="])
}

fn negation(choices: &mut impl Choices) -> &'static str {
    if choices.percent(25) { "NOT " } else { "" }
}

fn unlike(spread: usize, choices: &mut impl Choices) -> String {
    match any(spread, choices) {
        Value::Float(float) if !float.is_finite() => "1.5".to_owned(),
        Value::Integer(i64::MIN) => "-7".to_owned(),
        Value::Array(_) => "'a'".to_owned(),
        other => other.to_string(),
    }
}

fn of_context(name: &str, kind: Kind, spread: usize, choices: &mut impl Choices) -> String {
    match kind {
        Kind::Integer | Kind::Float => match choices.below(3) {
            0 => format!("{name} {} $n", comparison(choices)),
            1 => format!("{name} + 1 > $f"),
            _ => format!("{name} BETWEEN $n AND $n + {}", 3 * spread),
        },
        Kind::Text | Kind::Time | Kind::Flag => match choices.below(3) {
            0 => format!("{name} {} $s", comparison(choices)),
            1 => format!("STARTS_WITH({name}, $s)"),
            _ => format!("{name} IN ('b', $s)"),
        },
        Kind::Place => format!("WITHIN({name}, CIRCLE($p, 120000))"),
        Kind::Array => match choices.below(2) {
            0 => format!("CONTAINS({name}, $n)"),
            _ => format!("{name} IN $l"),
        },
    }
}

fn fitting(name: &str, kind: Kind, schema: &Schema, choices: &mut impl Choices) -> String {
    let spread = schema.spread;
    match kind {
        Kind::Integer | Kind::Float => numeric(name, kind, schema, choices),
        Kind::Text => textual(name, schema.spread, choices),
        Kind::Flag => choices.pick(&["{} = TRUE", "{}", "{} = FALSE", "{} <> TRUE"]).replace("{}", name),
        Kind::Time => match choices.below(3) {
            0 => format!("{name} {} {}", comparison(choices), literal(Kind::Time, spread, choices)),
            1 => format!("{name} >= '2024-01-01T00:00:00Z'"),
            _ => format!(
                "{name} {}BETWEEN '2023-12-31T23:00:00Z' AND {}",
                negation(choices),
                literal(Kind::Time, spread, choices)
            ),
        },
        Kind::Place => geographic(name, schema, choices),
        Kind::Array => match choices.below(5) {
            0 => format!(
                "{name} IN ({}, {})",
                literal(Kind::Integer, spread, choices),
                literal(Kind::Text, spread, choices)
            ),
            1 => format!("CONTAINS({name}, {})", literal(Kind::Text, spread, choices)),
            2 => format!("{} IN {name}", literal(Kind::Integer, spread, choices)),
            3 => format!("{name} NOT IN ('a', 1)"),
            _ => format!("{} IN {name}", quoted(&of_kind(schema, Kind::Integer, choices).name)),
        },
    }
}

fn numeric(name: &str, kind: Kind, schema: &Schema, choices: &mut impl Choices) -> String {
    let spread = schema.spread;
    let constant = literal(kind, spread, choices);
    match choices.below(12) {
        0..=2 => format!("{name} = {constant}"),
        3 | 4 => format!("{name} {} {constant}", comparison(choices)),
        5 | 6 => range(schema, choices),
        7 => {
            let count = 1 + choices.below(6);
            let members = (0..count).map(|_| literal(kind, spread, choices)).collect::<Vec<_>>();
            format!("{name} {}IN ({})", negation(choices), members.join(", "))
        }
        8 => format!("{name} {}BETWEEN {} AND {constant}", negation(choices), small(spread, choices)),
        9 => format!("{name} {} 2 > {}", choices.pick(&["+", "-", "*", "/", "%"]), small(spread, choices)),
        10 => format!("-{name} <= {}", small(spread, choices)),
        _ => {
            let other = quoted(&of_kind(schema, Kind::Float, choices).name);
            format!("{name} {} {other} {} {constant}", choices.pick(&["+", "-", "*"]), comparison(choices))
        }
    }
}

fn textual(name: &str, spread: usize, choices: &mut impl Choices) -> String {
    let constant = text(spread, choices);
    match choices.below(14) {
        0..=3 => format!("{name} = '{constant}'"),
        4 => format!("{name} {} '{constant}'", comparison(choices)),
        5 | 6 => {
            let count = 1 + choices.below(5);
            let members = (0..count).map(|_| format!("'{}'", text(spread, choices))).collect::<Vec<_>>();
            format!("{name} {}IN ({})", negation(choices), members.join(", "))
        }
        7 => format!("STARTS_WITH({name}, '{constant}')"),
        8 => format!("ENDS_WITH({name}, '{constant}')"),
        9 => format!("CONTAINS({name}, '{constant}')"),
        10 => {
            let pattern =
                choices.pick(&["%", "a%", "%b", "%a%", "_", "a_a", "urn:%:1", "%1_", "ä%", "", "urn:ngsi:x:1"]);
            format!("{name} {}LIKE '{pattern}'", negation(choices))
        }
        11 => format!("{name} LIKE '{}' ESCAPE '!'", choices.pick(&["10!%", "x!_y", "!!%"])),
        12 => {
            let pattern = choices.pick(&["a", "^a", "b$", "^(a|b)*$", "", "[^a-z]", "^urn:.*:1", "(?i)^URN", "^\\w+$"]);
            format!("MATCHES({name}, '{pattern}')")
        }
        _ => format!("{name} {} 'urn:ngsi:x'", choices.pick(&[">=", "<"])),
    }
}

fn geographic(name: &str, schema: &Schema, choices: &mut impl Choices) -> String {
    let point = Value::GeoPoint(place(choices));
    match choices.below(9) {
        0..=2 => {
            let metres = choices.pick(&["0", "60000", "120000", "400000.5", "30000000", "1"]);
            format!("WITHIN({name}, CIRCLE({point}, {metres}))")
        }
        3 | 4 => {
            let (one, other) = (place(choices), place(choices));
            let (south, north) = if one.latitude() <= other.latitude() { (one, other) } else { (other, one) };
            format!("WITHIN({name}, BOX({}, {}))", Value::GeoPoint(south), Value::GeoPoint(north))
        }
        5 | 6 => {
            let vertices = choices.pick(&[
                "POINT(0, 0), POINT(0, 2), POINT(2, 1)",
                "POINT(-1, 179), POINT(-1, -179), POINT(1, -179.5), POINT(2, 180)",
                "POINT(-1, -1), POINT(-1, 1), POINT(0, 0), POINT(1, 1), POINT(1, -1)",
            ]);
            format!("WITHIN({name}, POLYGON({vertices}))")
        }
        7 => format!("DISTANCE({name}, {point}) {} 111195", comparison(choices)),
        _ => {
            let other = quoted(&of_kind(schema, Kind::Place, choices).name);
            format!("({name} {} {point} OR {other} = {point})", choices.pick(&["=", "<>"]))
        }
    }
}
