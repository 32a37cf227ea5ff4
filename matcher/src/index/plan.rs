//! From a filter to drafts: conjunctions of literals, of which one must hold for the filter to be true. Literals that compare
//! columns can decide are taken apart; everything else stays an expression for the plain evaluator. A publication for which a
//! filter is unknown does not match, so only truth is preserved: from `NOT x` follows that `x` is false, not unknown.
//!
//! Disjunctions are multiplied out within limits, and only as far as that gives something to look a publication up by.

use std::sync::Arc;

use gomera_model::filter::{Comparison, Expression, Filter, Operand, Predicate, Set, Shape, Side, Truth, normalise};
use gomera_model::geo::GeoPoint;
use gomera_model::value::{Value, compare_integer_with_float};
use smallvec::{SmallVec, smallvec};

use super::arena::RUN_MAX;
use super::symbols::is_symbolic;

/// Most conjunctions of a filter; one that would have more is evaluated whole.
pub const DRAFTS_MAX: usize = 512;

/// Most members of an `IN` list that are compared as symbols.
const MEMBERS_MAX: usize = 1024;

/// A part of a conjunction.
#[derive(Clone, Debug)]
pub struct Literal<'f> {
    /// What is asked.
    pub atom: Atom<'f>,
    /// Whether the opposite is: it must be false, not unknown.
    pub negated: bool,
}

/// What columns can decide, or an expression.
#[derive(Clone, Debug)]
pub enum Atom<'f> {
    /// A number within bounds, which belong to the range; infinite where there is none.
    Range(&'f Arc<str>, f64, f64),
    /// Equal to a symbolic constant.
    Equal(&'f Arc<str>, &'f Value),
    /// Of the type of a symbolic constant, and other than it.
    Differs(&'f Arc<str>, &'f Value),
    /// Equal to one of symbolic constants, or an array with such an element.
    Among(&'f Arc<str>, &'f [Value]),
    /// An array with an element equal to a symbolic constant.
    Holds(&'f Arc<str>, &'f Value),
    /// There.
    Present(&'f Arc<str>),
    /// A text with this beginning.
    Prefix(&'f Arc<str>, &'f str),
    /// Within so many metres.
    Circle(&'f Arc<str>, GeoPoint, f64),
    /// Between the south-west and the north-east corner.
    Box(&'f Arc<str>, GeoPoint, GeoPoint),
    /// Missing.
    Absent(&'f Arc<str>),
    /// For the plain evaluator, negation and all.
    Residual(&'f Expression),
}

/// The most words that [`super::program`] makes of it: a head, and as many as there are bounds, symbols and coordinates.
fn words_max(atom: &Atom<'_>) -> usize {
    match atom {
        Atom::Present(_) | Atom::Absent(_) => 1,
        Atom::Equal(..) | Atom::Holds(..) | Atom::Prefix(..) | Atom::Residual(_) => 2,
        Atom::Differs(..) => 3,
        Atom::Range(..) => 5,
        Atom::Circle(..) => 7,
        Atom::Box(..) => 9,
        Atom::Among(_, members) => 2 + members.len(),
    }
}

/// A conjunction.
#[derive(Clone, Debug, Default)]
pub struct Draft<'f> {
    /// All of which must hold.
    pub literals: SmallVec<[Literal<'f>; 4]>,
    never: bool,
}

/// Conjunctions of a filter: one, as a rule, and of few literals, so that neither needs the heap.
pub type Drafts<'f> = SmallVec<[Draft<'f>; 1]>;

impl<'f> Draft<'f> {
    /// The whole expression, for the plain evaluator.
    pub fn residual(expression: &'f Expression) -> Self {
        let mut draft = Self::default();
        draft.add_expression(expression);
        draft
    }

    /// The same without a slot: nothing is asked beforehand.
    fn slotless(expression: &'f Expression) -> Self {
        Self { literals: smallvec![Literal { atom: Atom::Residual(expression), negated: false }], never: false }
    }

    /// Whether something of it is left to the plain evaluator.
    pub fn has_residual(&self) -> bool {
        self.literals.iter().any(|literal| matches!(literal.atom, Atom::Residual(_)))
    }

    /// The most words that it may take as a program.
    fn words_max(&self) -> usize {
        self.literals.iter().map(|literal| words_max(&literal.atom)).sum()
    }

    fn has_key(&self) -> bool {
        self.literals.iter().any(|literal| {
            let keyed = matches!(
                literal.atom,
                Atom::Equal(..)
                    | Atom::Among(..)
                    | Atom::Holds(..)
                    | Atom::Prefix(..)
                    | Atom::Circle(..)
                    | Atom::Box(..)
            );
            keyed && !literal.negated
        })
    }

    fn has_access(&self) -> bool {
        self.has_key()
            || self.literals.iter().any(|literal| matches!(literal.atom, Atom::Range(..)) && !literal.negated)
    }

    fn add(&mut self, literal: Literal<'f>) {
        if let Atom::Range(name, low, high) = literal.atom
            && !literal.negated
        {
            let same = self.literals.iter_mut().find_map(|other| match &mut other.atom {
                Atom::Range(other_name, low, high) if !other.negated && *other_name == name => Some((low, high)),
                _ => None,
            });
            let range = match same {
                Some((other_low, other_high)) => {
                    (*other_low, *other_high) = (other_low.max(low), other_high.min(high));
                    (*other_low, *other_high)
                }
                None => {
                    self.literals.push(literal);
                    (low, high)
                }
            };
            self.never |= range.0 > range.1;
            return;
        }
        self.literals.push(literal);
    }

    /// Leaves a condition to the plain evaluator; what must be there for it to be true is asked beforehand.
    fn add_expression(&mut self, expression: &'f Expression) {
        let predicate = match expression {
            Expression::Predicate(predicate) => Some(predicate),
            Expression::Not(inner) => match &**inner {
                Expression::Predicate(predicate) => Some(predicate),
                Expression::Constant(_) | Expression::Not(_) | Expression::And(_) | Expression::Or(_) => None,
            },
            Expression::Constant(_) | Expression::And(_) | Expression::Or(_) => None,
        };
        if let Some(name) = predicate.and_then(required) {
            self.literals.push(Literal { atom: Atom::Present(name), negated: false });
        }
        self.literals.push(Literal { atom: Atom::Residual(expression), negated: false });
    }
}

/// Calls with the conjunctions that the index makes of a filter, if it has slots for so many further names. One whose words would be
/// more than a run holds is evaluated whole: some eight thousand members of lists beside each other do that, where the cap on the
/// text of filters lets them in. So is one whose names might be too many, and then it has no slot at all.
pub fn with_drafts<R>(filter: &Filter, names_max: usize, each: impl FnOnce(&[Draft<'_>]) -> R) -> R {
    let has_slots = |all: &[Draft<'_>]| all.iter().map(|draft| draft.literals.len()).sum::<usize>() <= names_max;
    let has_room = |all: &[Draft<'_>]| all.iter().all(|draft| draft.words_max() <= RUN_MAX) && has_slots(all);
    let plain = drafts(filter.expression());
    if let Some(all) = plain.filter(|all| !all.iter().any(Draft::has_residual) && has_room(all)) {
        return each(&all);
    }
    let normal = normalise(filter);
    let all = drafts(normal.expression()).filter(|all| has_room(all));
    let all = all.unwrap_or_else(|| smallvec![Draft::residual(normal.expression())]);
    if has_slots(&all) { each(&all) } else { each(&[Draft::slotless(normal.expression())]) }
}

/// The conjunctions of an expression; `None` if they are too many. Never a wrong answer, whatever the form of the expression,
/// but the normal form gives more to look up by.
pub fn drafts(expression: &Expression) -> Option<Drafts<'_>> {
    let mut all = Drafts::new();
    add_drafts(expression, &mut all)?;
    Some(all)
}

fn add_drafts<'f>(expression: &'f Expression, into: &mut Drafts<'f>) -> Option<()> {
    match expression {
        Expression::Constant(Truth::True) => into.push(Draft::default()),
        Expression::Constant(Truth::False | Truth::Unknown) => {}
        Expression::Predicate(_) | Expression::Not(_) => {
            let mut draft = Draft::default();
            add_condition(&mut draft, expression);
            add_draft(draft, into);
        }
        Expression::Or(parts) => match outside(parts) {
            Some(outside) => {
                let mut draft = Draft::default();
                draft.add(outside);
                add_draft(draft, into);
            }
            None => {
                into.reserve(parts.len().min(DRAFTS_MAX));
                let before = into.len();
                for part in parts {
                    add_drafts(part, into)?;
                    if into.len() - before > DRAFTS_MAX {
                        return None;
                    }
                }
            }
        },
        Expression::And(_) => conjunction(expression, into)?,
    }
    Some(())
}

fn add_draft<'f>(draft: Draft<'f>, into: &mut Drafts<'f>) {
    if !draft.never {
        into.push(draft);
    }
}

/// Multiplies at most one disjunction out, and none where the rest can be looked up.
fn conjunction<'f>(expression: &'f Expression, into: &mut Drafts<'f>) -> Option<()> {
    let mut base = Draft::default();
    let mut disjunctions = Vec::new();
    gather(expression, &mut base, &mut disjunctions);
    let mut chosen: Option<(usize, Drafts<'_>)> = None;
    if !base.has_key() {
        let ranged = base.has_access();
        for (index, disjunction) in disjunctions.iter().enumerate() {
            let Some(branches) = drafts(disjunction) else { continue };
            let useful = branches.iter().all(|branch| if ranged { branch.has_key() } else { branch.has_access() });
            if useful && chosen.as_ref().is_none_or(|(_, best)| branches.len() < best.len()) {
                chosen = Some((index, branches));
            }
        }
    }
    let spread = chosen.as_ref().map(|&(index, _)| index);
    for (_, disjunction) in disjunctions.into_iter().enumerate().filter(|&(index, _)| Some(index) != spread) {
        base.add_expression(disjunction);
    }
    let Some((_, branches)) = chosen else {
        add_draft(base, into);
        return Some(());
    };
    for branch in branches {
        let mut draft = base.clone();
        draft.never |= branch.never;
        for literal in branch.literals {
            draft.add(literal);
        }
        add_draft(draft, into);
    }
    Some(())
}

fn gather<'f>(expression: &'f Expression, base: &mut Draft<'f>, disjunctions: &mut Vec<&'f Expression>) {
    match expression {
        Expression::And(parts) => {
            for part in parts {
                gather(part, base, disjunctions);
            }
        }
        Expression::Or(parts) => match outside(parts) {
            Some(outside) => base.add(outside),
            None => disjunctions.push(expression),
        },
        Expression::Constant(Truth::True) => {}
        Expression::Constant(Truth::False | Truth::Unknown) => base.never = true,
        Expression::Predicate(_) | Expression::Not(_) => add_condition(base, expression),
    }
}

/// `NOT a >= 1 OR NOT a < 5 OR …` about one attribute: what a negated range becomes in normal form.
fn outside(parts: &[Expression]) -> Option<Literal<'_>> {
    let predicates = parts.iter().map(|part| match part {
        Expression::Not(inner) => match &**inner {
            Expression::Predicate(predicate) => Some(predicate),
            Expression::Constant(_) | Expression::Not(_) | Expression::And(_) | Expression::Or(_) => None,
        },
        Expression::Constant(_) | Expression::Predicate(_) | Expression::And(_) | Expression::Or(_) => None,
    });
    beyond(predicates)
}

/// `NOT (a >= 1 AND a < 5 AND …)` about one attribute: the same as written.
fn not_within(parts: &[Expression]) -> Option<Literal<'_>> {
    let predicates = parts.iter().map(|part| match part {
        Expression::Predicate(predicate) => Some(predicate),
        Expression::Constant(_) | Expression::Not(_) | Expression::And(_) | Expression::Or(_) => None,
    });
    beyond(predicates)
}

/// At least one of these about one attribute is false.
fn beyond<'f>(predicates: impl Iterator<Item = Option<&'f Predicate>>) -> Option<Literal<'f>> {
    let mut all: Option<(&Arc<str>, f64, f64)> = None;
    for predicate in predicates {
        let Some(Atom::Range(name, low, high)) = atom(predicate?) else { return None };
        let (name, low, high) = match all {
            None => (name, low, high),
            Some((other, other_low, other_high)) if other == name => (name, low.max(other_low), high.min(other_high)),
            Some(_) => return None,
        };
        all = Some((name, low, high));
    }
    let (name, low, high) = all?;
    if low > high {
        return Some(Literal { atom: Atom::Present(name), negated: false });
    }
    Some(Literal { atom: Atom::Range(name, low, high), negated: true })
}

/// Adds a predicate or its negation.
fn add_condition<'f>(draft: &mut Draft<'f>, expression: &'f Expression) {
    let (predicate, negated) = match expression {
        Expression::Predicate(predicate) => (predicate, false),
        Expression::Not(inner) => match &**inner {
            Expression::Predicate(predicate) => (predicate, true),
            Expression::And(parts) if let Some(outside) = not_within(parts) => return draft.add(outside),
            Expression::Constant(_) | Expression::Not(_) | Expression::And(_) | Expression::Or(_) => {
                return draft.add_expression(expression);
            }
        },
        Expression::Constant(_) | Expression::And(_) | Expression::Or(_) => return draft.add_expression(expression),
    };
    match predicate {
        Predicate::Between {
            operand: Operand::Attribute(name),
            side: Side::Inside,
            low: Operand::Constant(low),
            high: Operand::Constant(high),
        } if !negated => {
            let low = comparison(name, Comparison::GreaterOrEqual, low);
            let high = comparison(name, Comparison::LessOrEqual, high);
            match low.zip(high) {
                Some((low, high)) => {
                    draft.add(Literal { atom: low, negated });
                    draft.add(Literal { atom: high, negated });
                }
                None => draft.add_expression(expression),
            }
        }
        Predicate::IsNull(Operand::Attribute(name)) => {
            let atom = if negated { Atom::Present(name) } else { Atom::Absent(name) };
            draft.add(Literal { atom, negated: false });
        }
        Predicate::Compare { .. }
        | Predicate::Between { .. }
        | Predicate::In { .. }
        | Predicate::Like { .. }
        | Predicate::Matches { .. }
        | Predicate::StartsWith { .. }
        | Predicate::EndsWith { .. }
        | Predicate::Contains { .. }
        | Predicate::IsNull(_)
        | Predicate::Within { .. } => match atom(predicate) {
            Some(atom) => draft.add(Literal { atom, negated }),
            None => draft.add_expression(expression),
        },
    }
}

/// What columns can decide of a predicate.
pub fn atom(predicate: &Predicate) -> Option<Atom<'_>> {
    match predicate {
        Predicate::Compare { .. } => {
            let (name, how, constant) = predicate.as_attribute_comparison()?;
            comparison(name, how, constant)
        }
        Predicate::In { operand: Operand::Attribute(name), set: Set::Constants(set) } => {
            let members = set.members();
            let symbolic = members.len() <= MEMBERS_MAX && members.iter().all(is_symbolic);
            symbolic.then_some(Atom::Among(name, members))
        }
        Predicate::In { operand: Operand::Constant(value), set: Set::Array(Operand::Attribute(name)) } => {
            is_symbolic(value).then_some(Atom::Holds(name, value))
        }
        Predicate::StartsWith {
            operand: Operand::Attribute(name),
            prefix: Operand::Constant(Value::String(prefix)),
        } => Some(Atom::Prefix(name, prefix)),
        Predicate::Like { operand: Operand::Attribute(name), pattern } => {
            pattern.as_prefix().map(|prefix| Atom::Prefix(name, prefix))
        }
        Predicate::Within {
            point: Operand::Attribute(name),
            shape:
                Shape::Circle {
                    center: Operand::Constant(Value::GeoPoint(centre)),
                    radius_metres: Operand::Constant(radius),
                },
        } => match radius {
            Value::Integer(_) | Value::Float(_) => Some(Atom::Circle(name, *centre, rounded(radius)?)),
            Value::Bool(_) | Value::String(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => None,
        },
        Predicate::Within {
            point: Operand::Attribute(name),
            shape:
                Shape::Box {
                    south_west: Operand::Constant(Value::GeoPoint(south_west)),
                    north_east: Operand::Constant(Value::GeoPoint(north_east)),
                },
        } => Some(Atom::Box(name, *south_west, *north_east)),
        Predicate::Between { .. }
        | Predicate::In { .. }
        | Predicate::Like { .. }
        | Predicate::Matches { .. }
        | Predicate::StartsWith { .. }
        | Predicate::EndsWith { .. }
        | Predicate::Contains { .. }
        | Predicate::IsNull(_)
        | Predicate::Within { .. } => None,
    }
}

/// `attribute comparison constant`, if columns can decide it.
fn comparison<'f>(name: &'f Arc<str>, how: Comparison, constant: &'f Value) -> Option<Atom<'f>> {
    let bound = || exact(constant);
    // A strict bound is moved to the next float, which must not jump over an integer.
    let strict = || exact(constant).filter(|bound| bound.abs() < 9_007_199_254_740_992.0);
    match how {
        Comparison::Equal => is_symbolic(constant).then_some(Atom::Equal(name, constant)),
        Comparison::NotEqual => is_symbolic(constant).then_some(Atom::Differs(name, constant)),
        Comparison::Less => strict().map(|bound| Atom::Range(name, f64::NEG_INFINITY, bound.next_down())),
        Comparison::LessOrEqual => bound().map(|bound| Atom::Range(name, f64::NEG_INFINITY, bound)),
        Comparison::Greater => strict().map(|bound| Atom::Range(name, bound.next_up(), f64::INFINITY)),
        Comparison::GreaterOrEqual => bound().map(|bound| Atom::Range(name, bound, f64::INFINITY)),
    }
}

/// A finite number that a float represents exactly.
fn exact(constant: &Value) -> Option<f64> {
    let float = rounded(constant)?;
    let same = match constant {
        Value::Integer(integer) => compare_integer_with_float(*integer, float).is_some_and(std::cmp::Ordering::is_eq),
        Value::Float(_) => float.is_finite(),
        Value::Bool(_) | Value::String(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => false,
    };
    same.then_some(float)
}

/// A number, to the nearest float.
#[expect(clippy::cast_precision_loss, reason = "callers look at what was lost, or want the evaluator's own rounding")]
fn rounded(constant: &Value) -> Option<f64> {
    match constant {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Float(float) => Some(*float),
        Value::Bool(_) | Value::String(_) | Value::Timestamp(_) | Value::GeoPoint(_) | Value::Array(_) => None,
    }
}

/// An attribute without which the predicate is unknown.
pub fn required(predicate: &Predicate) -> Option<&Arc<str>> {
    if matches!(predicate, Predicate::IsNull(_)) {
        return None;
    }
    // A list may be true before its missing members are looked at; what is looked for must be there, and stands first.
    let operands = match predicate {
        Predicate::In { operand, set: Set::Operands(_) | Set::Constants(_) } => vec![operand],
        Predicate::Between { operand, .. } => vec![operand],
        other => other.operands(),
    };
    operands.into_iter().find_map(|operand| match operand {
        Operand::Attribute(name) => Some(name),
        Operand::Constant(_)
        | Operand::Context(_)
        | Operand::Negate(_)
        | Operand::Arithmetic(_)
        | Operand::Point(_)
        | Operand::Distance(_) => None,
    })
}
