//! What the index does with a filter, in words, and what it costs. Costs are counted in lanes: one that columns decide takes
//! about a nanosecond, one that a program decides some twenty, an expression for the plain evaluator some hundreds.

use gomera_cluster::identity::Tenant;
use gomera_model::filter::{Expression, Filter, normalise};

use super::Index;
use super::access::{Access, Chooser, keys_max};
use super::charge::Charge;
use super::clusters::{AtomKind, TenantId};
use super::plan::{Atom, Draft, with_drafts};
use super::prefixes::CUTS;
use super::program;
use super::store::Store;

/// Nanoseconds to compare the columns of a lane.
const COMPARED: f64 = 1.0;
/// Nanoseconds to run a program.
const RUN: f64 = 25.0;
/// Nanoseconds for the plain evaluator to visit a condition or an operand.
const VISITED: f64 = 15.0;

/// What the index does with a filter, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// One for each alternative that is looked for on its own, in no particular order. None: nothing satisfies the filter.
    pub branches: Vec<Branch>,
    /// What equals its own normal form is what rows share.
    pub normal_form: String,
    /// What it counts against the limits of its tenant, whatever the index has learnt.
    pub charge: Charge,
}

/// A part of a filter that is found and checked on its own; the filter is true if one of them is.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Through what a publication finds it, in words; `None` if every publication has to look.
    pub access: Option<String>,
    /// Keys under which it stands.
    pub keys: usize,
    /// How many tests are checked then by comparing columns and compiled tests.
    pub tests: usize,
    /// What the plain evaluator has to decide, if anything.
    pub residual: Option<String>,
    /// Of all publications, the share expected to find it, from 0 to 1.
    pub share: f64,
    /// Nanoseconds expected per publication, averaged over those that find it and those that do not.
    pub nanoseconds: f64,
}

impl Explanation {
    /// Nanoseconds expected per publication.
    #[must_use]
    pub fn nanoseconds(&self) -> f64 {
        self.branches.iter().map(|branch| branch.nanoseconds).sum()
    }
}

impl Index {
    /// What it does with a filter, or would do if it were inserted now. The index is the same afterwards; in between, names and
    /// values of the filter are among those that it knows.
    #[must_use]
    pub fn explain(&mut self, tenant: &Tenant, filter: &Filter) -> Explanation {
        let id = self.tenant(tenant);
        let names_max = self.schema(id).room();
        let branches = with_drafts(filter, names_max, |all| {
            all.iter().map(|draft| self.branch(id, filter, draft, keys_max(all.len()))).collect()
        });
        self.leave(tenant, id);
        Explanation { branches, normal_form: normalise(filter).to_string(), charge: Charge::of(filter, self.hashing) }
    }

    /// Nanoseconds per publication that a filter is expected to cost if it were inserted now.
    #[must_use]
    pub fn cost(&mut self, tenant: &Tenant, filter: &Filter) -> f64 {
        self.explain(tenant, filter).nanoseconds()
    }

    fn branch(&mut self, tenant: TenantId, filter: &Filter, draft: &Draft<'_>, keys_max: usize) -> Branch {
        let schema = self.schemas[tenant as usize].as_mut().expect("a tenant has a schema");
        let Store { symbols, residuals, clusters, hashing, .. } = &mut self.store;
        let mut words = Vec::new();
        program::write(&draft.literals, filter, schema, symbols, residuals, &mut words);
        let choice = Chooser { tenant, schema, clusters, symbols, hashing: *hashing }.choose(&words, keys_max);
        let name = |slot| schema.slot(slot).name.clone();
        let (access, keys) = match &choice.access {
            Access::Scan => (None, 0),
            Access::Range(slot, low, high) => (Some(range(&name(*slot), *low, *high)), 1),
            Access::Keys(slot, atoms) => {
                let what = match atoms.first().map(|atom| (atom.kind(), atom.as_symbol())) {
                    Some((AtomKind::Symbol, _)) => {
                        let values = atoms.iter().filter_map(|atom| atom.as_symbol());
                        let values = values.take(8).map(|symbol| symbols.literal(symbol)).collect::<Vec<_>>();
                        let more = if atoms.len() > values.len() { ", …" } else { "" };
                        if let [value] = values.as_slice() {
                            format!("{} = {value}", name(*slot))
                        } else {
                            format!("{} IN ({}{more})", name(*slot), values.join(", "))
                        }
                    }
                    Some((AtomKind::Prefix(length), _)) => format!("the first {length} bytes of {}", name(*slot)),
                    Some((AtomKind::Cut(index), _)) => format!("the first {} bytes of {}", CUTS[index], name(*slot)),
                    Some((AtomKind::Cell(level), _)) => {
                        format!("{} cells of 360/2^{level} degrees of {}", atoms.len(), name(*slot))
                    }
                    Some((AtomKind::Present | AtomKind::Scan, _)) | None => format!("{} IS NOT NULL", name(*slot)),
                };
                (Some(what), atoms.len())
            }
        };
        let left = draft.literals.iter().filter_map(|literal| match literal.atom {
            Atom::Residual(expression) => Some(expression),
            _ => None,
        });
        let visited: f64 = left.clone().map(|expression| f64::from(size(expression)) * VISITED).sum();
        let residual = left.map(ToString::to_string).collect::<Vec<_>>().join(" AND ");
        let looked_at = if visited > 0.0 { RUN + visited } else { RUN * 0.1 };
        let tests = program::tests(&words).count();
        program::release(&words, schema, symbols, residuals);
        Branch {
            access,
            keys,
            tests,
            residual: (!residual.is_empty()).then_some(residual),
            share: choice.share,
            nanoseconds: choice.share * (COMPARED + looked_at),
        }
    }
}

/// A range in words. A strict bound was moved to the next float, and is shown as it was written, which is shorter.
fn range(name: &str, low: f64, high: f64) -> String {
    let shown = |bound: f64, neighbour: f64, inclusive: &str, strict: &str| {
        let (at, next) = (bound.to_string(), neighbour.to_string());
        if next.len() < at.len() { format!("{name} {strict} {next}") } else { format!("{name} {inclusive} {at}") }
    };
    let low = low.is_finite().then(|| shown(low, low.next_down(), ">=", ">"));
    let high = high.is_finite().then(|| shown(high, high.next_up(), "<=", "<"));
    [low, high].into_iter().flatten().collect::<Vec<_>>().join(" AND ")
}

/// Conditions and operands that an evaluation may visit.
fn size(expression: &Expression) -> u32 {
    let mut count = 1;
    match expression {
        Expression::Constant(_) => {}
        Expression::Predicate(_) => expression.walk_operands(&mut |_| count += 1),
        Expression::Not(inner) => count += size(inner),
        Expression::And(parts) | Expression::Or(parts) => count += parts.iter().map(size).sum::<u32>(),
    }
    count
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gomera_cluster::layout::MatcherSlice;
    use gomera_model::filter::FilterLimits;

    use super::*;
    use crate::index::RowId;

    fn filter(text: &str) -> Filter {
        Filter::parse(text, &FilterLimits::default()).expect("a good filter")
    }

    #[test]
    fn an_explanation_names_access_and_residual() {
        let mut index = Index::new(1);
        let tenant = Tenant(Arc::from("one"));
        for row in 0..100 {
            index.insert(RowId(row), &tenant, MatcherSlice(0), &filter(&format!("kind = 'a' AND n > {row}")));
        }
        let explanation = index.explain(&tenant, &filter("kind = 'b' AND n > 5 AND note LIKE '%x%'"));
        let [branch] = explanation.branches.as_slice() else { panic!("{explanation:?}") };
        assert_eq!(branch.access.as_deref(), Some("kind = 'b'"));
        assert_eq!(branch.residual.as_deref(), Some("note LIKE '%x%'"));
        let scan = index.explain(&tenant, &filter("a IS NULL OR b IN ('x', 'y')"));
        let accesses = scan.branches.iter().map(|branch| branch.access.as_deref()).collect::<Vec<_>>();
        assert_eq!(accesses, [None, Some("b IN ('x', 'y')")]);
        assert!(index.cost(&tenant, &filter("a IS NULL")) > 5.0 * index.cost(&tenant, &filter("b = 'x'")));
        assert!(index.explain(&tenant, &filter("1 = 2")).branches.is_empty());
        assert_eq!(range("n", 5.0, 20.0_f64.next_down()), "n >= 5 AND n < 20");
        assert_eq!(range("n", f64::NEG_INFINITY, 0.25), "n <= 0.25");
    }
}
