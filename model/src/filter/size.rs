//! How much memory a filter holds: the sum of what was asked for from the allocator, patterns at their exact size.

use crate::filter::ast::{Expression, Operand, Predicate, Set, Shape};
use crate::filter::set::ConstantSet;
use crate::value::{ARC_HEADER_BYTES, Value, shared_text_bytes};

/// Heap bytes below a condition.
pub(super) fn heap_bytes(expression: &Expression) -> usize {
    match expression {
        Expression::Constant(_) => 0,
        Expression::Predicate(predicate) => predicate_heap_bytes(predicate),
        Expression::Not(inner) => size_of::<Expression>() + heap_bytes(inner),
        Expression::And(parts) | Expression::Or(parts) => {
            parts.capacity() * size_of::<Expression>() + parts.iter().map(heap_bytes).sum::<usize>()
        }
    }
}

fn predicate_heap_bytes(predicate: &Predicate) -> usize {
    // The operands themselves lie in the predicate, but those of an `IN` list.
    let operands: usize = predicate.operands().into_iter().map(operand_heap_bytes).sum();
    operands
        + match predicate {
            Predicate::In { set: Set::Constants(members), .. } => constant_set_heap_bytes(members),
            Predicate::In { set: Set::Operands(members), .. } => members.capacity() * size_of::<Operand>(),
            Predicate::Like { pattern, .. } => pattern.heap_bytes() + ARC_HEADER_BYTES,
            Predicate::Matches { pattern, .. } => pattern.heap_bytes() + ARC_HEADER_BYTES,
            Predicate::Within { shape: Shape::Polygon(polygon), .. } => {
                size_of_val(polygon.vertices()) + ARC_HEADER_BYTES
            }
            Predicate::Compare { .. }
            | Predicate::Between { .. }
            | Predicate::In { set: Set::Array(_), .. }
            | Predicate::StartsWith { .. }
            | Predicate::EndsWith { .. }
            | Predicate::Contains { .. }
            | Predicate::IsNull(_)
            | Predicate::Within { shape: Shape::Circle { .. } | Shape::Box { .. }, .. } => 0,
        }
}

fn constant_set_heap_bytes(set: &ConstantSet) -> usize {
    let members: usize = set.members().iter().map(|member| size_of::<Value>() + member.heap_bytes()).sum();
    members + set.instants_bytes() + 2 * ARC_HEADER_BYTES
}

fn operand_heap_bytes(operand: &Operand) -> usize {
    let below: usize = operand.children().into_iter().map(operand_heap_bytes).sum();
    below
        + match operand {
            Operand::Constant(value) => value.heap_bytes(),
            Operand::Attribute(name) | Operand::Context(name) => shared_text_bytes(name),
            Operand::Negate(_) => size_of::<Operand>(),
            Operand::Arithmetic(arithmetic) => size_of_val(&**arithmetic),
            Operand::Point(pair) | Operand::Distance(pair) => size_of_val(&**pair),
        }
}
