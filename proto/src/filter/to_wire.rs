//! The structured form of a filter, made from the model's tree.

use gomera_model::filter::{
    ArithmeticOperator, Comparison, Expression, Filter, Operand, Predicate, Set, Shape, Side, Truth,
};

use crate::v1;
use crate::value;

/// To the structured form.
#[must_use]
pub fn to_filter(filter: &Filter) -> v1::Filter {
    expression(filter.expression())
}

fn expression(expression: &Expression) -> v1::Filter {
    use v1::filter::Condition;
    let condition = match expression {
        Expression::Constant(truth) => Condition::Constant(
            match truth {
                Truth::True => v1::Truth::True,
                Truth::False => v1::Truth::False,
                Truth::Unknown => v1::Truth::Unknown,
            }
            .into(),
        ),
        Expression::Not(inner) => Condition::Not(Box::new(self::expression(inner))),
        Expression::And(parts) => Condition::And(conditions(parts)),
        Expression::Or(parts) => Condition::Or(conditions(parts)),
        Expression::Predicate(inner) => predicate(inner),
    };
    v1::Filter { condition: Some(condition) }
}

fn conditions(parts: &[Expression]) -> v1::Conditions {
    v1::Conditions { conditions: parts.iter().map(expression).collect() }
}

fn predicate(predicate: &Predicate) -> v1::filter::Condition {
    use v1::filter::Condition;
    let some = |inner: &Operand| Some(operand(inner));
    match predicate {
        Predicate::Compare { left, comparison, right } => Condition::Compare(v1::Compare {
            left: some(left),
            comparison: self::comparison(*comparison).into(),
            right: some(right),
        }),
        Predicate::Between { operand, side, low, high } => Condition::Between(v1::Between {
            operand: some(operand),
            low: some(low),
            high: some(high),
            outside: *side == Side::Outside,
        }),
        Predicate::In { operand, set } => Condition::In(v1::In { operand: some(operand), set: Some(self::set(set)) }),
        Predicate::Like { operand, pattern } => Condition::Like(v1::Like {
            operand: some(operand),
            pattern: pattern.text().as_ref().to_owned(),
            escape: pattern.escape().map(String::from).unwrap_or_default(),
        }),
        Predicate::Matches { operand, pattern } => {
            Condition::Matches(v1::Matches { operand: some(operand), pattern: pattern.text().to_owned() })
        }
        Predicate::StartsWith { operand, prefix } => {
            Condition::StartsWith(v1::StartsWith { operand: some(operand), prefix: some(prefix) })
        }
        Predicate::EndsWith { operand, suffix } => {
            Condition::EndsWith(v1::EndsWith { operand: some(operand), suffix: some(suffix) })
        }
        Predicate::Contains { operand, element } => {
            Condition::Contains(v1::Contains { operand: some(operand), element: some(element) })
        }
        Predicate::IsNull(inner) => Condition::IsNull(operand(inner)),
        Predicate::Within { point, shape } => {
            Condition::Within(v1::Within { point: some(point), shape: Some(self::shape(shape)) })
        }
    }
}

fn operand(operand: &Operand) -> v1::Operand {
    use v1::operand::Operand as Wire;
    let boxed = |inner: &Operand| Some(Box::new(self::operand(inner)));
    let pair = |pair: &[Operand; 2]| Box::new(v1::Pair { first: boxed(&pair[0]), second: boxed(&pair[1]) });
    let wire = match operand {
        Operand::Constant(constant) => Wire::Constant(value::to_value(constant)),
        Operand::Attribute(name) => Wire::Attribute(name.as_ref().to_owned()),
        Operand::Context(name) => Wire::Context(name.as_ref().to_owned()),
        Operand::Negate(inner) => Wire::Negate(Box::new(self::operand(inner))),
        Operand::Arithmetic(arithmetic) => Wire::Arithmetic(Box::new(v1::Arithmetic {
            left: boxed(&arithmetic.left),
            operator: operator(arithmetic.operator).into(),
            right: boxed(&arithmetic.right),
        })),
        Operand::Point(inner) => Wire::Point(pair(inner)),
        Operand::Distance(inner) => Wire::Distance(pair(inner)),
    };
    v1::Operand { operand: Some(wire) }
}

fn set(set: &Set) -> v1::r#in::Set {
    let list = |members| v1::r#in::Set::List(v1::OperandList { members });
    match set {
        Set::Constants(constants) => list(
            constants
                .members()
                .iter()
                .map(|member| v1::Operand { operand: Some(v1::operand::Operand::Constant(value::to_value(member))) })
                .collect(),
        ),
        Set::Operands(members) => list(members.iter().map(operand).collect()),
        Set::Array(array) => v1::r#in::Set::Array(operand(array)),
    }
}

fn shape(shape: &Shape) -> v1::within::Shape {
    let some = |inner: &Operand| Some(operand(inner));
    match shape {
        Shape::Circle { center, radius_metres } => {
            v1::within::Shape::Circle(v1::Circle { center: some(center), radius_metres: some(radius_metres) })
        }
        Shape::Box { south_west, north_east } => {
            v1::within::Shape::Box(v1::Box { south_west: some(south_west), north_east: some(north_east) })
        }
        Shape::Polygon(polygon) => v1::within::Shape::Polygon(v1::Polygon {
            vertices: polygon.vertices().iter().map(|&vertex| value::to_geo_point(vertex)).collect(),
        }),
    }
}

fn comparison(comparison: Comparison) -> v1::Comparison {
    match comparison {
        Comparison::Equal => v1::Comparison::Equal,
        Comparison::NotEqual => v1::Comparison::NotEqual,
        Comparison::Less => v1::Comparison::Less,
        Comparison::LessOrEqual => v1::Comparison::LessOrEqual,
        Comparison::Greater => v1::Comparison::Greater,
        Comparison::GreaterOrEqual => v1::Comparison::GreaterOrEqual,
    }
}

fn operator(operator: ArithmeticOperator) -> v1::ArithmeticOperator {
    match operator {
        ArithmeticOperator::Add => v1::ArithmeticOperator::Add,
        ArithmeticOperator::Subtract => v1::ArithmeticOperator::Subtract,
        ArithmeticOperator::Multiply => v1::ArithmeticOperator::Multiply,
        ArithmeticOperator::Divide => v1::ArithmeticOperator::Divide,
        ArithmeticOperator::Remainder => v1::ArithmeticOperator::Remainder,
    }
}
