//! Whether the generated pairs of filter and publication have force: a property over pairs that decide nothing
//! proves nothing.

use std::collections::{BTreeMap, BTreeSet};

use gomera_model::filter::{Comparison, Expression, Operand, Predicate, Set, Shape, Side, evaluate_expression};
use gomera_model::{Attributes, Truth};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::generator::{Pools, attributes, context};

const FILTERS: usize = 3_000;
const PUBLICATIONS_PER_FILTER: usize = 5;

fn label(predicate: &Predicate) -> &'static str {
    match predicate {
        Predicate::Compare { comparison, .. } => match comparison {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        },
        Predicate::Between { side: Side::Inside, .. } => "BETWEEN",
        Predicate::Between { side: Side::Outside, .. } => "NOT BETWEEN",
        Predicate::In { set: Set::Constants(_), .. } => "IN constants",
        Predicate::In { set: Set::Operands(_), .. } => "IN operands",
        Predicate::In { set: Set::Array(_), .. } => "IN array",
        Predicate::Like { .. } => "LIKE",
        Predicate::Matches { .. } => "MATCHES",
        Predicate::StartsWith { .. } => "STARTS_WITH",
        Predicate::EndsWith { .. } => "ENDS_WITH",
        Predicate::Contains { .. } => "CONTAINS",
        Predicate::IsNull(_) => "IS NULL",
        Predicate::Within { shape: Shape::Circle { .. }, .. } => "WITHIN CIRCLE",
        Predicate::Within { shape: Shape::Box { .. }, .. } => "WITHIN BOX",
        Predicate::Within { shape: Shape::Polygon(_), .. } => "WITHIN POLYGON",
    }
}

/// Operators within operands that take part in a predicate's decision.
fn operand_label(operand: &Operand) -> Option<&'static str> {
    match operand {
        Operand::Constant(_) | Operand::Attribute(_) | Operand::Point(_) => None,
        Operand::Context(_) => Some("$context"),
        Operand::Negate(_) => Some("unary -"),
        Operand::Arithmetic(arithmetic) => Some(arithmetic.operator.symbol()),
        Operand::Distance(_) => Some("DISTANCE"),
    }
}

/// Which operators come to which truth somewhere in the expression.
fn decide(
    expression: &Expression,
    publication: &Attributes,
    context: &Attributes,
    decided: &mut BTreeSet<(&'static str, Truth)>,
) {
    let truth = evaluate_expression(expression, publication, context);
    match expression {
        Expression::Constant(_) => {}
        Expression::Predicate(predicate) => {
            decided.insert((label(predicate), truth));
            for operand in predicate.operands() {
                operand.walk(&mut |operand| {
                    if let Some(label) = operand_label(operand) {
                        decided.insert((label, truth));
                    }
                });
            }
        }
        Expression::Not(inner) => {
            decided.insert(("NOT", truth));
            decide(inner, publication, context, decided);
        }
        Expression::And(parts) | Expression::Or(parts) => {
            decided.insert((if matches!(expression, Expression::And(_)) { "AND" } else { "OR" }, truth));
            for part in parts {
                decide(part, publication, context, decided);
            }
        }
    }
}

#[test]
fn every_operator_decides_both_ways_and_filters_come_to_all_three_truths() {
    let mut runner = TestRunner::deterministic();
    let filters = Pools::fitting().filter();
    let (publications, contexts) = (attributes(), context());
    let mut whole: BTreeMap<Truth, usize> = BTreeMap::new();
    let mut operators: BTreeMap<(&'static str, Truth), usize> = BTreeMap::new();
    for _ in 0..FILTERS {
        let filter = filters.new_tree(&mut runner).unwrap().current();
        let context = contexts.new_tree(&mut runner).unwrap().current();
        for _ in 0..PUBLICATIONS_PER_FILTER {
            let publication = publications.new_tree(&mut runner).unwrap().current();
            *whole.entry(evaluate_expression(filter.expression(), &publication, &context)).or_default() += 1;
            let mut decided = BTreeSet::new();
            decide(filter.expression(), &publication, &context, &mut decided);
            for decision in decided {
                *operators.entry(decision).or_default() += 1;
            }
        }
    }
    let pairs = FILTERS * PUBLICATIONS_PER_FILTER;
    let mut labels: Vec<&str> = operators.keys().map(|(label, _)| *label).collect();
    labels.dedup();
    println!("{pairs} pairs: {whole:?}");
    let mut weak = Vec::new();
    for label in &labels {
        let count = |truth| operators.get(&(*label, truth)).copied().unwrap_or(0);
        let (yes, no, unknown) = (count(Truth::True), count(Truth::False), count(Truth::Unknown));
        println!("{label:16} true {yes:5}  false {no:5}  unknown {unknown:5}");
        if yes * 100 < pairs || no * 100 < pairs {
            weak.push(*label);
        }
    }
    assert_eq!(labels.len(), 31, "an operator is missing from the table or new: {labels:?}");
    assert!(weak.is_empty(), "decide too seldom: {weak:?}");
    let share = |truth| whole.get(&truth).copied().unwrap_or(0) * 100 / pairs;
    assert!(share(Truth::True) >= 20 && share(Truth::False) >= 20 && share(Truth::Unknown) >= 10, "{whole:?}");
}
