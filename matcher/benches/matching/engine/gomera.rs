//! Gomera's own index. Whatever of its interface changes is followed here and nowhere else in the benchmark.
//!
//! The subscriptions are spread over 256 slices. As many standby ones stand in a second index, which is not probed, as a matcher
//! holds them.

use gomera_cluster::identity::Tenant;
use gomera_cluster::layout::MatcherSlice;
use gomera_matcher::index::{Contexts, Index, Output, RowId, Slices, TOGETHER};
use gomera_model::attributes::Attributes;

use super::{Engine, Offered};

/// Rows moved in one step of adapting, as a matcher would between two frames.
const ROWS_A_STEP: usize = 4096;

/// Steps after which an engine that always finds something to correct is taken as it is.
const STEPS_MAX: usize = 100_000;

/// Sessions without a context.
struct Without;

impl Contexts for Without {
    fn context(&self, _row: RowId) -> Option<&Attributes> {
        None
    }
}

/// Writes ids, whole lists at a time, those of each event apart.
struct Ids<'a>(&'a mut [Vec<u32>]);

impl Output for Ids<'_> {
    #[inline]
    fn rows(&mut self, publication: usize, rows: &[RowId]) {
        self.0[publication].extend(rows.iter().map(|row| row.0));
    }
}

#[derive(Debug)]
pub struct Gomera {
    tenant: Tenant,
    index: Index,
}

impl Gomera {
    pub fn new() -> Self {
        Self { tenant: Tenant::open(), index: Index::new(1) }
    }
}

fn slice_of(id: u32) -> MatcherSlice {
    // Any spread that is not in step with the ids.
    let [high, ..] = id.wrapping_mul(0x9e37_79b9).to_be_bytes();
    MatcherSlice(u16::from(high))
}

impl Engine for Gomera {
    type Event = Attributes;

    fn insert(&mut self, offered: &Offered) {
        self.index.insert(RowId(offered.id), &self.tenant, slice_of(offered.id), &offered.filter);
    }

    fn remove(&mut self, id: u32) {
        self.index.remove(RowId(id), &self.tenant);
    }

    fn settle(&mut self) {
        for _ in 0..STEPS_MAX {
            if !self.index.adapt(ROWS_A_STEP) {
                break;
            }
        }
    }

    fn prepare(&mut self, attributes: &Attributes) -> Attributes {
        attributes.clone()
    }

    fn matches(&mut self, event: &Attributes, into: &mut Vec<u32>) {
        let into = std::slice::from_mut(into);
        self.index.matches(&self.tenant, &[event], &Without, Slices::All, usize::MAX, &mut Ids(into));
    }

    fn match_together(&mut self, events: &[Attributes], into: &mut [Vec<u32>]) {
        let mut judged = 0;
        while judged < events.len() {
            let events = &events[judged..];
            let events = &events[..events.len().min(TOGETHER)];
            let mut publications = [&events[0]; TOGETHER];
            publications.iter_mut().zip(events).for_each(|(place, event)| *place = event);
            let (publications, into) = (&publications[..events.len()], &mut into[judged..judged + events.len()]);
            let count =
                self.index.matches(&self.tenant, publications, &Without, Slices::All, usize::MAX, &mut Ids(into));
            // What was given for those behind them does not count.
            into[count..].iter_mut().for_each(Vec::clear);
            judged += count;
        }
    }

    fn accounted_bytes(&self) -> Option<usize> {
        Some(self.index.bytes())
    }
}
