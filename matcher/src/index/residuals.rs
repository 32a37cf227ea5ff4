//! Conditions that only the plain evaluator decides, each kept once however many filters have it, and decided once a publication.

use std::cell::Cell;
use std::hash::BuildHasher;

use gomera_cluster::pages::Pages;
use gomera_cluster::table::Seeded;
use gomera_model::filter::{Expression, Filter, FilterLimits};

use super::finder::Finder;

#[derive(Debug, Default)]
struct Entry {
    filter: Option<Filter>,
    uses: u32,
    /// The publication that it was decided for last, and how, if several filters have it.
    decided_for: Cell<u32>,
    decided: Cell<bool>,
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
        let number = self.entries.insert(Entry { filter: Some(filter), uses: 1, ..Entry::default() });
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

    /// Whether it holds for the publication that has the number `epoch`. One that several filters have is decided by the first that
    /// asks, unless each has a context of its own.
    pub fn decide(&self, number: u32, epoch: u32, decide: impl FnOnce(&Filter) -> bool) -> bool {
        let entry = &self.entries[number];
        if entry.uses > 1 && entry.decided_for.get() == epoch {
            return entry.decided.get();
        }
        let filter = self.filter(number);
        let decided = decide(filter);
        if entry.uses > 1 && !filter.uses_context() {
            entry.decided_for.set(epoch);
            entry.decided.set(decided);
        }
        decided
    }

    /// Has the stamp of a place looked at; whether there is such a place.
    pub fn fade(&mut self, at: u32, fade: impl FnOnce(&mut u32)) -> bool {
        self.entries.get_mut(at).map(|entry| fade(entry.decided_for.get_mut())).is_some()
    }

    /// Heap bytes.
    pub fn bytes(&self) -> usize {
        self.finder.bytes() + self.entries.bytes() + self.filter_bytes
    }

    fn hash(&self, expression: &Expression) -> u64 {
        self.hashing.hash_one(expression)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::filter;

    #[test]
    fn what_several_filters_have_is_decided_once_a_publication_and_a_context_each_time() {
        let mut residuals = Residuals::new(Seeded::new(1));
        let mut intern = |text: &str| {
            let filter = filter(text);
            residuals.intern(filter.expression(), &filter)
        };
        let (alone, shared, contextual) = (intern("a LIKE '%x%'"), intern("b LIKE '%x%'"), intern("c = $c"));
        assert_eq!((intern("b LIKE '%x%'"), intern("c = $c")), (shared, contextual));
        let decided = Cell::new(0);
        let ask = |residuals: &Residuals, number, epoch, truth| {
            residuals.decide(number, epoch, |_| {
                decided.set(decided.get() + 1);
                truth
            })
        };
        assert!(ask(&residuals, shared, 1, true) && ask(&residuals, shared, 1, false));
        assert_eq!(decided.get(), 1);
        assert!(!ask(&residuals, shared, 2, false) && !ask(&residuals, shared, 2, true));
        assert_eq!(decided.get(), 2);
        assert!(ask(&residuals, contextual, 2, true) && !ask(&residuals, contextual, 2, false));
        assert!(ask(&residuals, alone, 2, true) && !ask(&residuals, alone, 2, false));
        assert_eq!(decided.get(), 6);
        assert!(residuals.fade(shared, |stamp| *stamp = 0) && !residuals.fade(1 << 20, |stamp| *stamp = 0));
        assert!(ask(&residuals, shared, 2, true), "nobody has been asked since");
    }
}
