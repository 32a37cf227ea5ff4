//! The linear scan: the programs of all filters, one after the other in memory, run on every publication; those of a single
//! range stand apart, packed.

use gomera_model::attributes::Attributes;

use super::{Engine, Offered};
use crate::program::{Laid, Step, Symbols};
use crate::spec::{Spec, Test};

/// A filter of one range.
#[derive(Clone, Copy, Debug)]
struct Single {
    low: f64,
    high: f64,
    attribute: u32,
    id: u32,
}

/// Marks a place among the singles.
const SINGLE: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Entry {
    start: u32,
    steps: u32,
    id: u32,
}

#[derive(Debug, Default)]
pub struct Scan {
    symbols: Symbols,
    steps: Vec<Step>,
    entries: Vec<Entry>,
    singles: Vec<Single>,
    /// By id: the place in `entries`, or with a mark in `singles`.
    places: Vec<u32>,
    /// By length: where a program of that many steps once stood.
    free: Vec<Vec<u32>>,
    program: Vec<Step>,
}

impl Engine for Scan {
    type Event = Laid;

    fn insert(&mut self, offered: &Offered) {
        let id = place(offered.id);
        if self.places.len() <= id {
            self.places.resize(id + 1, u32::MAX);
        }
        if let Spec::Test(Test::Range { attribute, low, high }) = &offered.spec {
            let attribute = u32::from(self.symbols.attribute(attribute));
            self.places[id] = SINGLE | u32::try_from(self.singles.len()).expect("31 bits");
            self.singles.push(Single { low: *low, high: *high, attribute, id: offered.id });
            return;
        }
        self.symbols.compile(&offered.spec, &mut self.program);
        let length = self.program.len();
        if self.free.len() <= length {
            self.free.resize_with(length + 1, Vec::new);
        }
        let start = match self.free[length].pop() {
            Some(start) => {
                self.steps[place(start)..place(start) + length].copy_from_slice(&self.program);
                start
            }
            None => {
                self.steps.extend_from_slice(&self.program);
                u32::try_from(self.steps.len() - length).expect("32 bits")
            }
        };
        self.places[id] = u32::try_from(self.entries.len()).expect("31 bits");
        self.entries.push(Entry { start, steps: u32::try_from(length).expect("short"), id: offered.id });
    }

    fn remove(&mut self, id: u32) {
        let at = std::mem::replace(&mut self.places[place(id)], u32::MAX);
        if at & SINGLE != 0 {
            self.singles.swap_remove(place(at ^ SINGLE));
            if let Some(moved) = self.singles.get(place(at ^ SINGLE)) {
                self.places[place(moved.id)] = at;
            }
            return;
        }
        let removed = self.entries.swap_remove(place(at));
        if let Some(moved) = self.entries.get(place(at)) {
            self.places[place(moved.id)] = at;
        }
        self.free[place(removed.steps)].push(removed.start);
    }

    fn prepare(&mut self, attributes: &Attributes) -> Laid {
        self.symbols.lay(attributes)
    }

    fn matches(&mut self, event: &Laid, into: &mut Vec<u32>) {
        // Each id is written and kept or not: no branch that cannot be foreseen, no look at the capacity.
        let begin = into.len();
        into.resize(begin + self.entries.len() + self.singles.len(), 0);
        let mut found = begin;
        for single in &self.singles {
            let number = event.numbers[place(single.attribute)];
            into[found] = single.id;
            found += usize::from((number >= single.low) & (number < single.high));
        }
        for entry in &self.entries {
            let steps = &self.steps[place(entry.start)..place(entry.start) + place(entry.steps)];
            into[found] = entry.id;
            found += usize::from(self.symbols.is_match(steps, event));
        }
        into.truncate(found);
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).expect("32 bits")
}
