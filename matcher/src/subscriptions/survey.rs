//! What a shard tells about all its rows together and cannot keep up to date as they come and go: counted a few tenants and attributes at
//! a time, however many there are.

use gomera_cluster::identity::Tenant;

use super::weights::Weights;
use crate::index::{Holdings, SchemaPlace};

/// Attributes and tenants counted in one step: some ten microseconds.
const STEPS: usize = 2048;

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surveyed {
    /// Heap bytes of the index.
    pub index_bytes: usize,
    /// The most nanoseconds that the filters of one tenant can cost a publication.
    pub costliest: u64,
}

/// Where a survey is.
#[derive(Debug)]
enum Place {
    /// In an index.
    Index(usize, SchemaPlace),
    /// After a tenant, or before the first.
    After(Option<Tenant>),
}

/// A survey, and what makes the next one due.
#[derive(Debug, Default)]
pub struct Survey {
    /// Rows in, out or indexed anew since the last one began.
    pub changes: usize,
    under_way: Option<(Place, Surveyed)>,
}

impl Survey {
    /// Counts on. One begins when enough has changed since the last: with one of 64 tenants.
    pub fn step(&mut self, index: &Holdings, weights: &Weights) -> Option<Surveyed> {
        /// Tenants looked at for one change.
        const LOOKED_AT: usize = 64;
        if self.under_way.is_none() {
            if self.changes == 0 || self.changes.saturating_mul(LOOKED_AT) < weights.tenants() {
                return None;
            }
            self.changes = 0;
        }
        let begin = || (Place::Index(0, SchemaPlace::default()), Surveyed::default());
        let (mut place, mut surveyed) = self.under_way.take().unwrap_or_else(begin);
        // Each part takes a step of its own, so that a survey of few is done at once.
        loop {
            let is_over = match &place {
                Place::Index(number, from) => {
                    let of = index.indexes()[*number];
                    let (bytes, next) = of.schema_bytes(*from, STEPS);
                    surveyed.index_bytes += bytes;
                    let is_over = next.is_none();
                    place = match next {
                        Some(next) => Place::Index(*number, next),
                        None => {
                            surveyed.index_bytes += of.own_bytes();
                            if *number == 0 { Place::Index(1, SchemaPlace::default()) } else { Place::After(None) }
                        }
                    };
                    is_over
                }
                Place::After(after) => {
                    let (costliest, last) = weights.costliest_after(after.as_ref(), STEPS);
                    surveyed.costliest = surveyed.costliest.max(costliest);
                    match last.cloned() {
                        Some(last) => place = Place::After(Some(last)),
                        None => return Some(surveyed),
                    }
                    false
                }
            };
            if !is_over {
                self.under_way = Some((place, surveyed));
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::layout::MatcherSlice;
    use gomera_cluster::table::Seeded;

    use super::*;
    use crate::config::Config;
    use crate::fixture::filter;
    use crate::index::RowId;
    use crate::subscriptions::weights::Weight;

    #[test]
    fn a_survey_of_very_many_takes_many_steps_and_misses_nothing() {
        let (mut index, mut weights, mut survey) =
            (Holdings::new(3), Weights::new(&Config::default()), Survey::default());
        for row in 0..9_000 {
            let tenant = Tenant(format!("t{}", row % 3_000).into());
            let filter = filter(&format!("n{row} > 5 AND STARTS_WITH(t{row}, 'abc')"));
            index.insert(RowId(row), &tenant, MatcherSlice(0), &filter);
            weights.add(&tenant, &Weight::of("x", &filter, Seeded::new(1)));
            survey.changes += 1;
        }
        let mut steps = 1;
        let surveyed = loop {
            if let Some(surveyed) = survey.step(&index, &weights) {
                break surveyed;
            }
            steps += 1;
        };
        let bytes = index.indexes().map(crate::index::Index::bytes).iter().sum::<usize>();
        let costliest = (0..3_000).map(|tenant| weights.of(&Tenant(format!("t{tenant}").into())).nanoseconds).max();
        assert_eq!((surveyed.index_bytes, Some(surveyed.costliest)), (bytes, costliest));
        assert!((40..60).contains(&steps), "{steps} steps for 18,000 attributes of 3,000 tenants");
        assert_eq!(survey.step(&index, &weights), None, "nothing has changed");
    }
}
