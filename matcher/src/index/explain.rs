//! What the index does with a filter, in words.

use gomera_cluster::identity::Tenant;
use gomera_model::filter::Filter;

use super::Index;

/// What the index does with a filter, or would do.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// One for each alternative that is looked for on its own, in no particular order.
    pub branches: Vec<Branch>,
    /// Rows that share exactly this filter now.
    pub identical: usize,
}

/// A part of a filter that is found and checked on its own; the filter is true if one of them is.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// Through what a publication finds it, in the words of the filter language; `None` if every publication has to look.
    pub access: Option<String>,
    /// What is checked then by comparing columns and compiled tests.
    pub tests: usize,
    /// What the plain evaluator has to decide, if anything.
    pub residual: Option<String>,
    /// Of all publications, the share expected to find it, from 0 to 1.
    pub share: f64,
    /// Nanoseconds expected per publication, whether it finds it or not.
    pub nanoseconds: f64,
}

impl Index {
    /// What it does with a filter, or would do if it were inserted now.
    #[must_use]
    pub fn explain(&self, _tenant: &Tenant, _filter: &Filter) -> Explanation {
        Explanation { branches: Vec::new(), identical: 0 }
    }
}
