//! The canonical text of filters: upper-case words, one space, parentheses only where precedence needs them. What
//! prints here reads back to the same tree.

use std::fmt;

use crate::filter::ast::{Arithmetic, ArithmeticOperator, Expression, Operand, Predicate, Set, Shape, Side};
use crate::filter::lexer;
use crate::filter::truth::Truth;
use crate::value::{Value, write_quoted};

/// How tightly a condition binds: `OR`, `AND`, `NOT`, atoms.
fn condition_strength(expression: &Expression) -> u8 {
    match expression {
        Expression::Or(_) => 0,
        Expression::And(_) => 1,
        Expression::Not(_) => 2,
        Expression::Constant(_) | Expression::Predicate(_) => 3,
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(Truth::True) => formatter.write_str("TRUE"),
            Self::Constant(Truth::False) => formatter.write_str("FALSE"),
            Self::Constant(Truth::Unknown) => formatter.write_str("NULL"),
            Self::Predicate(predicate) => write_predicate(formatter, predicate, ""),
            Self::Not(inner) => {
                if let Self::Predicate(predicate) = &**inner
                    && matches!(predicate, Predicate::In { .. } | Predicate::Like { .. } | Predicate::IsNull(_))
                {
                    return write_predicate(formatter, predicate, "NOT ");
                }
                formatter.write_str("NOT ")?;
                write_condition(formatter, inner, 2)
            }
            // Strictly stronger parts only: a conjunction within a conjunction keeps its parentheses, it is another tree.
            Self::And(parts) => write_parts(formatter, parts, " AND ", 2),
            Self::Or(parts) => write_parts(formatter, parts, " OR ", 1),
        }
    }
}

fn write_parts(formatter: &mut fmt::Formatter<'_>, parts: &[Expression], separator: &str, strength: u8) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            formatter.write_str(separator)?;
        }
        write_condition(formatter, part, strength)?;
    }
    Ok(())
}

fn write_condition(formatter: &mut fmt::Formatter<'_>, expression: &Expression, strength: u8) -> fmt::Result {
    if condition_strength(expression) < strength {
        write!(formatter, "({expression})")
    } else {
        write!(formatter, "{expression}")
    }
}

/// `not` is `NOT ` or nothing, and goes before the operator's word.
fn write_predicate(formatter: &mut fmt::Formatter<'_>, predicate: &Predicate, not: &str) -> fmt::Result {
    match predicate {
        Predicate::Compare { left, comparison, right } => write!(formatter, "{left} {} {right}", comparison.symbol()),
        Predicate::Between { operand, side, low, high } => {
            let not = match side {
                Side::Inside => "",
                Side::Outside => "NOT ",
            };
            write!(formatter, "{operand} {not}BETWEEN {low} AND {high}")
        }
        Predicate::In { operand, set } => {
            write!(formatter, "{operand} {not}IN ")?;
            match set {
                Set::Constants(members) => write_list(formatter, members.members()),
                Set::Operands(members) => write_list(formatter, members),
                Set::Array(array) => write!(formatter, "{array}"),
            }
        }
        Predicate::Like { operand, pattern } => {
            write!(formatter, "{operand} {not}LIKE ")?;
            write_quoted(formatter, pattern.text(), '\'')?;
            match pattern.escape() {
                Some(escape) => {
                    formatter.write_str(" ESCAPE ")?;
                    write_quoted(formatter, escape.encode_utf8(&mut [0; 4]), '\'')
                }
                None => Ok(()),
            }
        }
        Predicate::Matches { operand, pattern } => {
            write!(formatter, "MATCHES({operand}, ")?;
            write_quoted(formatter, pattern.text(), '\'')?;
            formatter.write_str(")")
        }
        Predicate::StartsWith { operand, prefix } => {
            write!(formatter, "STARTS_WITH({operand}, {prefix})")
        }
        Predicate::EndsWith { operand, suffix } => {
            write!(formatter, "ENDS_WITH({operand}, {suffix})")
        }
        Predicate::Contains { operand, element } => {
            write!(formatter, "CONTAINS({operand}, {element})")
        }
        Predicate::IsNull(operand) => write!(formatter, "{operand} IS {not}NULL"),
        Predicate::Within { point, shape } => write!(formatter, "WITHIN({point}, {shape})"),
    }
}

fn write_list(formatter: &mut fmt::Formatter<'_>, members: &[impl fmt::Display]) -> fmt::Result {
    formatter.write_str("(")?;
    for (index, member) in members.iter().enumerate() {
        let separator = if index == 0 { "" } else { ", " };
        write!(formatter, "{separator}{member}")?;
    }
    formatter.write_str(")")
}

impl fmt::Display for Shape {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Circle { center, radius_metres } => write!(formatter, "CIRCLE({center}, {radius_metres})"),
            Self::Box { south_west, north_east } => write!(formatter, "BOX({south_west}, {north_east})"),
            Self::Polygon(polygon) => {
                formatter.write_str("POLYGON")?;
                let points: Vec<Value> = polygon.vertices().iter().copied().map(Value::GeoPoint).collect();
                write_list(formatter, &points)
            }
        }
    }
}

fn operator_strength(operator: ArithmeticOperator) -> u8 {
    match operator {
        ArithmeticOperator::Add | ArithmeticOperator::Subtract => 0,
        ArithmeticOperator::Multiply | ArithmeticOperator::Divide | ArithmeticOperator::Remainder => 1,
    }
}

fn operand_strength(operand: &Operand) -> u8 {
    match operand {
        Operand::Arithmetic(arithmetic) => operator_strength(arithmetic.operator),
        Operand::Negate(_) => 2,
        Operand::Constant(_)
        | Operand::Attribute(_)
        | Operand::Context(_)
        | Operand::Point(_)
        | Operand::Distance(_) => 3,
    }
}

impl fmt::Display for Operand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(formatter, "{value}"),
            Self::Attribute(name) => write_name(formatter, name),
            Self::Context(name) => {
                formatter.write_str("$")?;
                write_name(formatter, name)
            }
            Self::Negate(inner) => {
                // No parentheses round another sign: each would cost a level that the tree does not have.
                formatter.write_str(if matches!(**inner, Self::Negate(_)) { "- " } else { "-" })?;
                write_operand(formatter, inner, 2)
            }
            Self::Arithmetic(arithmetic) => {
                let Arithmetic { left, operator, right } = &**arithmetic;
                let strength = operator_strength(*operator);
                write_operand(formatter, left, strength)?;
                write!(formatter, " {} ", operator.symbol())?;
                // Left-associative: an equally strong right side needs its parentheses.
                write_operand(formatter, right, strength + 1)
            }
            Self::Point(pair) => write!(formatter, "POINT({}, {})", pair[0], pair[1]),
            Self::Distance(pair) => write!(formatter, "DISTANCE({}, {})", pair[0], pair[1]),
        }
    }
}

fn write_operand(formatter: &mut fmt::Formatter<'_>, operand: &Operand, strength: u8) -> fmt::Result {
    if operand_strength(operand) < strength { write!(formatter, "({operand})") } else { write!(formatter, "{operand}") }
}

fn write_name(formatter: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
    if lexer::is_plain_name(name) { formatter.write_str(name) } else { write_quoted(formatter, name, '"') }
}
