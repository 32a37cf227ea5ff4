//! Properties of filters.

use gomera_model::filter::{Comparison, Expression, Operand, Predicate, Set, Side, evaluate_expression};
use gomera_model::{Attributes, Filter, FilterLimits, Truth, Value, evaluate, normalise};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::generator::{Pools, attributes, context, value};

fn negated(expression: Expression) -> Expression {
    Expression::Not(Box::new(expression))
}

fn compare(left: &Operand, comparison: Comparison, right: &Operand) -> Expression {
    Predicate::Compare { left: left.clone(), comparison, right: right.clone() }.into()
}

/// The shape that the normaliser promises.
fn is_normal(expression: &Expression) -> bool {
    match expression {
        Expression::Constant(_) => true,
        Expression::Predicate(predicate) => !matches!(predicate, Predicate::Between { .. }),
        Expression::Not(inner) => matches!(**inner, Expression::Predicate(_)) && is_normal(inner),
        Expression::And(parts) | Expression::Or(parts) => {
            let same_kind = |part: &Expression| std::mem::discriminant(part) == std::mem::discriminant(expression);
            parts.len() > 1
                && parts.is_sorted_by(|left, right| left < right)
                && parts.iter().all(|part| {
                    !same_kind(part)
                        && !matches!(part, Expression::Constant(Truth::True | Truth::False))
                        && is_normal(part)
                })
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_prints_reads_back_to_the_same_filter(
        filter in prop_oneof![Pools::fitting().filter(), Pools::wild().filter()]
    ) {
        let text = filter.to_string();
        let read = Filter::parse(&text, &FilterLimits::trusted());
        prop_assert_eq!(read.as_ref(), Ok(&filter), "{}", text);
    }

    #[test]
    fn the_normal_form_is_normal_stable_and_printable(
        filter in prop_oneof![Pools::fitting().filter(), Pools::wild().filter()]
    ) {
        let normal = normalise(&filter);
        prop_assert!(is_normal(normal.expression()), "{}", normal);
        prop_assert_eq!(normalise(&normal).to_string(), normal.to_string());
        let text = normal.to_string();
        let read = Filter::parse(&text, &FilterLimits::trusted());
        prop_assert_eq!(read.as_ref(), Ok(&normal), "{}", text);
    }

    #[test]
    fn the_normal_form_comes_to_the_same_as_the_original(
        filter in Pools::fitting().filter(),
        publications in vec(attributes(), 4),
        context in context(),
    ) {
        let normal = normalise(&filter);
        for publication in publications {
            prop_assert_eq!(
                evaluate(&normal, &publication, &context),
                evaluate(&filter, &publication, &context),
                "{} became {} on {:?} and {:?}", filter, normal, publication, context
            );
        }
    }

    #[test]
    fn the_operators_relate_as_the_standards_define_them(
        predicate in Pools::fitting().predicate(),
        other in Pools::fitting().predicate(),
        publication in attributes(),
        context in context(),
    ) {
        let truth = |expression: &Expression| evaluate_expression(expression, &publication, &context);
        let plain = Expression::from(predicate.clone());
        let other = Expression::from(other);
        // Kleene's logic, by the tables of the truth type.
        prop_assert_eq!(truth(&negated(plain.clone())), !truth(&plain));
        let both = Expression::And(vec![plain.clone(), other.clone()]);
        let either = Expression::Or(vec![plain.clone(), other.clone()]);
        prop_assert_eq!(truth(&both), truth(&plain).and(truth(&other)));
        prop_assert_eq!(truth(&either), truth(&plain).or(truth(&other)));
        // JMS 2.0, 3.8.1.1: the definitions of BETWEEN, NOT BETWEEN and IN by comparisons.
        match &predicate {
            Predicate::Between { operand, side: Side::Inside, low, high } => {
                let defined = Expression::And(vec![
                    compare(operand, Comparison::GreaterOrEqual, low),
                    compare(operand, Comparison::LessOrEqual, high),
                ]);
                prop_assert_eq!(truth(&plain), truth(&defined));
            }
            Predicate::Between { operand, side: Side::Outside, low, high } => {
                let defined = Expression::Or(vec![
                    compare(operand, Comparison::Less, low),
                    compare(operand, Comparison::Greater, high),
                ]);
                prop_assert_eq!(truth(&plain), truth(&defined));
            }
            Predicate::Compare { left, comparison, right } => {
                prop_assert_eq!(truth(&plain), truth(&compare(right, comparison.mirrored(), left)));
            }
            _ => {}
        }
    }

    #[test]
    fn in_is_a_disjunction_of_equalities(
        value in value(),
        members in vec(value().prop_filter("a literal", |value| {
            !matches!(value, Value::Array(_)) && !matches!(value, Value::Float(number) if !number.is_finite())
        }), 1..8),
    ) {
        let publication: Attributes = [("x", value.clone())].into_iter().collect();
        let x = Operand::Attribute("x".into());
        let set = Set::Constants(members.iter().cloned().collect());
        let is_in = Expression::from(Predicate::In { operand: x.clone(), set });
        let elements = match &value {
            Value::Array(elements) => elements.to_vec(),
            scalar => vec![scalar.clone()],
        };
        let equal = elements.iter().any(|element| members.iter().any(|member| {
            let equality = compare(&x, Comparison::Equal, &Operand::Constant(member.clone()));
            let publication: Attributes = [("x", element.clone())].into_iter().collect();
            evaluate_expression(&equality, &publication, &context_of_nobody()) == Truth::True
        }));
        prop_assert_eq!(evaluate_expression(&is_in, &publication, &context_of_nobody()), Truth::from(equal));
    }

    #[test]
    fn no_text_makes_the_parser_panic_and_every_error_has_a_place(
        text in prop_oneof![
            any::<String>(),
            "[a-c0-9'\"\\[\\]().,<>=+*/% \n$-]{0,40}",
            vec(proptest::sample::select(WORDS.to_vec()), 0..20).prop_map(|words| words.join(" ")),
        ]
    ) {
        match Filter::parse(&text, &FilterLimits::default()) {
            Ok(filter) => {
                let again = Filter::parse(&filter.to_string(), &FilterLimits::trusted());
                prop_assert_eq!(again.as_ref(), Ok(&filter));
            }
            Err(error) => {
                prop_assert!(text.is_char_boundary(error.offset));
                prop_assert_eq!(error.caret(&text).lines().count(), 2);
                prop_assert!(error.to_string().len() < 1_000);
            }
        }
    }
}

fn context_of_nobody() -> Attributes {
    Attributes::default()
}

const WORDS: [&str; 40] = [
    "a",
    "b",
    "$c",
    "1",
    "2.5",
    "-3",
    "'x'",
    "TRUE",
    "NULL",
    "(",
    ")",
    ",",
    "=",
    "<>",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "AND",
    "OR",
    "NOT",
    "BETWEEN",
    "IN",
    "LIKE",
    "ESCAPE",
    "IS",
    "EXISTS(",
    "POINT(",
    "DISTANCE(",
    "WITHIN(",
    "CIRCLE(",
    "BOX(",
    "POLYGON(",
    "TIMESTAMP",
    "'2024-01-01T00:00:00Z'",
    "MATCHES(",
    "\"q\"",
];
