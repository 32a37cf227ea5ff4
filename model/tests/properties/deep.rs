//! Properties of filters as deep as a filter may be.

use gomera_model::filter::{
    Arithmetic, ArithmeticOperator, Comparison, DEPTH_CEILING, Expression, LikePattern, Operand, Predicate, Set, Shape,
    Side,
};
use gomera_model::{Filter, FilterLimits, normalise};
use proptest::prelude::*;
use proptest::test_runner::TestRng;

fn name(text: &str) -> Operand {
    Operand::Attribute(text.into())
}

/// An operand of exactly this depth, a chain with leaves beside it.
fn operand(random: &mut TestRng, depth: usize) -> Operand {
    if depth <= 1 {
        return name("a");
    }
    let inner = operand(random, depth - 1);
    let beside = name("b");
    match random.random_range(0..5) {
        0 => Operand::Negate(Box::new(inner)),
        1 => Operand::Distance(Box::new([inner, beside])),
        2 => Operand::Point(Box::new([beside, inner])),
        side => {
            let operators = [ArithmeticOperator::Subtract, ArithmeticOperator::Divide];
            let operator = operators[random.random_range(0..2)];
            let (left, right) = if side == 3 { (inner, beside) } else { (beside, inner) };
            Operand::Arithmetic(Box::new(Arithmetic { left, operator, right }))
        }
    }
}

fn predicate(random: &mut TestRng, depth: usize) -> Predicate {
    let inner = operand(random, depth - 1);
    match random.random_range(0..6) {
        0 => Predicate::Compare { left: inner, comparison: Comparison::Less, right: name("b") },
        1 => Predicate::Between { operand: name("a"), side: Side::Outside, low: inner, high: name("c") },
        2 => Predicate::Between { operand: inner, side: Side::Inside, low: name("b"), high: name("c") },
        3 => Predicate::In { operand: name("a"), set: Set::Operands(vec![inner, name("b")]) },
        4 => Predicate::Like { operand: inner, pattern: LikePattern::new("x%", None).unwrap() },
        _ => Predicate::Within { point: name("p"), shape: Shape::Circle { center: name("q"), radius_metres: inner } },
    }
}

/// Conditions down to `bottom`, an atom with deep operands there.
fn expression(random: &mut TestRng, depth: usize, bottom: usize) -> Expression {
    if depth <= bottom {
        return predicate(random, depth).into();
    }
    let inner = expression(random, depth - 1, bottom);
    let beside = Expression::is_true(name("f"));
    match random.random_range(0..5) {
        0 => Expression::Not(Box::new(inner)),
        1 => Expression::And(vec![inner, beside]),
        2 => Expression::And(vec![beside, inner]),
        3 => Expression::Or(vec![inner, beside]),
        _ => Expression::Or(vec![beside, inner]),
    }
}

fn depth(expression: &Expression) -> usize {
    fn of_operand(operand: &Operand) -> usize {
        1 + operand.children().into_iter().map(of_operand).max().unwrap_or(0)
    }
    1 + match expression {
        Expression::Constant(_) => 0,
        Expression::Predicate(predicate) => predicate.operands().into_iter().map(of_operand).max().unwrap_or(0),
        Expression::Not(inner) => depth(inner),
        Expression::And(parts) | Expression::Or(parts) => parts.iter().map(depth).max().unwrap_or(0),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_prints_at_the_depth_cap_reads_back_and_normalises_to_no_more_than_a_level_below(
        bottom in 2..DEPTH_CEILING,
        mut random in Just(()).prop_perturb(|(), random| random),
    ) {
        let limits = FilterLimits::trusted();
        let expression = expression(&mut random, DEPTH_CEILING, bottom);
        prop_assert_eq!(depth(&expression), DEPTH_CEILING);
        let filter = Filter::from_expression(expression, &limits);
        prop_assert!(filter.is_ok(), "{:?}", filter);
        let filter = filter.unwrap();
        let text = filter.to_string();
        let read = Filter::parse(&text, &limits);
        prop_assert_eq!(read.as_ref(), Ok(&filter), "{}", text);
        let normal = normalise(&filter);
        prop_assert!(depth(normal.expression()) <= DEPTH_CEILING + 1);
        prop_assert!(normal.to_string().len() <= 3 * text.len(), "{} became {}", text, normal);
        prop_assert_eq!(normalise(&normal), normal);
    }
}
