//! What is likely to be a slip in a filter that is right: it would match nothing, and nothing would say why. A hint never
//! changes what happens.

use std::collections::BTreeSet;

use gomera_model::filter::{Arithmetic, ArithmeticOperator, Comparison, Expression, Operand, Predicate, Set, Side};
use gomera_model::{Filter, Value};

/// The attributes that the system sets.
const SYSTEM: [&str; 3] = ["gomera.adapter", "gomera.publisher", "gomera.time"];

/// The hints for a filter, written as `text`; each a sentence.
pub fn hints(text: &str, filter: &Filter) -> Vec<String> {
    let mut hints = Vec::new();
    if filter.attribute_names().is_empty() {
        hints.push("it reads no attribute: what it says is the same for every publication".to_owned());
    }
    visit(filter.expression(), &mut |predicate| of_predicate(text, predicate, &mut hints));
    filter.expression().walk_operands(&mut |operand| {
        if let Operand::Arithmetic(arithmetic) = operand {
            of_arithmetic(text, arithmetic, &mut hints);
        }
    });
    for name in filter.attribute_names() {
        if name.starts_with("gomera.") && !SYSTEM.contains(&&**name) {
            hints.push(format!("there is no `{name}`: the system's own attributes are {}", SYSTEM.join(", ")));
        }
    }
    let mut told = BTreeSet::new();
    hints.retain(|hint| told.insert(hint.clone()));
    hints
}

fn visit(expression: &Expression, look: &mut impl FnMut(&Predicate)) {
    match expression {
        Expression::Constant(_) => {}
        Expression::Predicate(predicate) => look(predicate),
        Expression::Not(inner) => visit(inner, look),
        Expression::And(parts) | Expression::Or(parts) => parts.iter().for_each(|part| visit(part, look)),
    }
}

fn of_predicate(text: &str, predicate: &Predicate, hints: &mut Vec<String>) {
    match predicate {
        Predicate::Compare { left, comparison, right } => of_comparison(text, left, *comparison, right, hints),
        Predicate::Between {
            side: Side::Inside, low: Operand::Constant(low), high: Operand::Constant(high), ..
        } => {
            if number(low).zip(number(high)).is_some_and(|(low, high)| low > high) {
                hints.push(format!(
                    "nothing lies between {low} and {high}: the lower bound comes first, `BETWEEN {high} AND {low}`"
                ));
            }
        }
        Predicate::In { set: Set::Operands(members), .. } => {
            for member in members {
                if let Operand::Attribute(name) = member {
                    hints.push(text_or_name(member, name));
                }
            }
        }
        Predicate::StartsWith { prefix: other, .. }
        | Predicate::EndsWith { suffix: other, .. }
        | Predicate::Contains { element: other, .. } => {
            if let Operand::Attribute(name) = other {
                hints.push(text_or_name(other, name));
            }
        }
        Predicate::Between { .. }
        | Predicate::In { .. }
        | Predicate::Like { .. }
        | Predicate::Matches { .. }
        | Predicate::IsNull(_)
        | Predicate::Within { .. } => {}
    }
}

fn of_comparison(text: &str, left: &Operand, comparison: Comparison, right: &Operand, hints: &mut Vec<String>) {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match (left, right) {
        // An order of two attributes is worth asking for; so is an equality, but a slip is likelier.
        (Operand::Attribute(_), Operand::Attribute(name)) if is_equality || text.contains(&format!("\"{name}\"")) => {
            hints.push(text_or_name(right, name));
        }
        (Operand::Attribute(_), Operand::Constant(value)) | (Operand::Constant(value), Operand::Attribute(_)) => {
            match value {
                Value::String(string) if string.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                    hints.push(format!("'{string}' is a text, and no number equals it or is less or greater: without quotes it is a number"));
                }
                Value::Bool(_) if !is_equality => {
                    hints.push(format!("true and false have no order: nothing is {} {value}", comparison.symbol()));
                }
                Value::String(_)
                | Value::Bool(_)
                | Value::Integer(_)
                | Value::Float(_)
                | Value::Timestamp(_)
                | Value::GeoPoint(_)
                | Value::Array(_) => {}
            }
        }
        _ => {}
    }
}

fn text_or_name(operand: &Operand, name: &str) -> String {
    format!(
        "{operand} is the name of an attribute, and its value is compared with; a text stands in single quotes: '{name}'"
    )
}

fn of_arithmetic(text: &str, arithmetic: &Arithmetic, hints: &mut Vec<String>) {
    let Arithmetic { left: Operand::Attribute(left), operator: ArithmeticOperator::Subtract, right } = arithmetic
    else {
        return;
    };
    let right = match right {
        Operand::Attribute(right) => right.to_string(),
        Operand::Constant(Value::Integer(right)) => right.to_string(),
        _ => return,
    };
    let joined = format!("{left}-{right}");
    if text.contains(&joined) {
        hints.push(format!(
            "{joined} is a subtraction, {left} minus {right}; an attribute of that name is written \"{joined}\""
        ));
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "to be compared for people")]
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(float) => Some(*float),
        Value::String(_) | Value::Bool(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => None,
    }
}

#[cfg(test)]
mod tests {
    //! Claims about hints.

    use gomera_model::FilterLimits;

    use super::*;

    fn of(text: &str) -> String {
        hints(text, &Filter::parse(text, &FilterLimits::default()).expect(text)).join("; ")
    }

    #[test]
    fn slips_that_match_nothing_are_hinted_at() {
        for (text, expected) in [
            ("type = \"road\"", "single quotes: 'road'"),
            ("type = road AND speed < 20", "single quotes: 'road'"),
            ("speed < \"limit\"", "single quotes: 'limit'"),
            ("road IN ('M-30', \"M-40\")", "single quotes: 'M-40'"),
            ("STARTS_WITH(road, \"M\")", "single quotes: 'M'"),
            ("co2-ppm > 3", "a subtraction, co2 minus ppm; an attribute of that name is written \"co2-ppm\""),
            ("NOT pm-10 > 3", "written \"pm-10\""),
            ("speed < '20'", "'20' is a text"),
            ("speed BETWEEN 50 AND 10", "`BETWEEN 10 AND 50`"),
            ("wet > FALSE", "no order"),
            ("gomera.tim > 3", "there is no `gomera.tim`"),
            ("1 = 2", "reads no attribute"),
        ] {
            let hints = of(text);
            assert!(hints.contains(expected), "{text}: {hints}");
        }
    }

    #[test]
    fn what_is_meant_is_passed_over() {
        for text in [
            "type = 'road' AND speed < 20",
            "speed > limit",
            "load.one > cpu.count",
            "speed < 0.3 * limit",
            "capacity - used < 10",
            "\"co2-ppm\" > 3",
            "speed BETWEEN 10 AND 50",
            "road = '30x' AND lane IN (1, 2)",
            "gomera.publisher LIKE 'road-%'",
            "DISTANCE(location, $here) < $radius",
            "owner = $me",
            "wet",
        ] {
            assert_eq!(of(text), "", "{text}");
        }
    }
}
