//! Conditions that only the plain evaluator decides, each kept once however many filters have it.

use std::hash::BuildHasher;

use gomera_cluster::table::Seeded;
use gomera_model::filter::{Expression, Filter, FilterLimits};

use super::finder::Finder;
use super::pages::Pages;

#[derive(Debug, Default)]
struct Entry {
    filter: Option<Filter>,
    uses: u32,
}

/// All of them.
#[derive(Debug)]
pub struct Residuals {
    hashing: Seeded,
    finder: Finder,
    entries: Pages<Entry>,
    filter_bytes: usize,
}

impl Residuals {
    /// None yet.
    pub fn new(hashing: Seeded) -> Self {
        Self { hashing, finder: Finder::new(), entries: Pages::new(), filter_bytes: 0 }
    }

    /// The number of an expression, from now on; one more use of it. One that cannot stand alone is replaced by the whole
    /// filter, which implies it.
    pub fn intern(&mut self, expression: &Expression, whole: &Filter) -> u32 {
        let filter = if expression == whole.expression() {
            whole.clone()
        } else {
            Filter::from_expression(expression.clone(), &FilterLimits::trusted()).unwrap_or_else(|_| whole.clone())
        };
        let hash = self.hash(filter.expression());
        let is_meant = |number: u32| self.entries[number].filter.as_ref() == Some(&filter);
        if let Some(number) = self.finder.find(hash, is_meant) {
            self.entries[number].uses += 1;
            return number;
        }
        self.filter_bytes += filter.bytes();
        let number = self.entries.insert(Entry { filter: Some(filter), uses: 1 });
        self.finder.insert(hash, number);
        number
    }

    /// One use less.
    pub fn release(&mut self, number: u32) {
        let entry = &mut self.entries[number];
        entry.uses -= 1;
        if entry.uses == 0 {
            let filter = self.entries.remove(number).filter.expect("a number in use has a filter");
            self.filter_bytes -= filter.bytes();
            self.finder.remove(self.hash(filter.expression()), number);
        }
    }

    /// What a number in use stands for.
    pub fn filter(&self, number: u32) -> &Filter {
        self.entries[number].filter.as_ref().expect("a number in use has a filter")
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.finder.bytes() + self.entries.bytes() + self.filter_bytes
    }

    fn hash(&self, expression: &Expression) -> u64 {
        self.hashing.hash_one(expression)
    }
}
