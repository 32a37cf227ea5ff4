//! Whether gaps account for what is missing: everything that is owed and did not arrive lies in a gap that was told, and the
//! gaps count at least as many as are surely missing.

use std::collections::BTreeMap;

use gomera_cluster::position::{LaneId, Number, Position};

use crate::history::{Life, Publication};

/// What a life was told to be given up.
#[derive(Debug)]
pub struct Gaps {
    ranges: BTreeMap<LaneId, Vec<(Number, Number)>>,
    dropped: u64,
}

/// What a life was owed.
#[derive(Debug, Default)]
pub struct Owed {
    /// Where each publication stands that surely had to arrive, did not, and had not expired.
    missing: Vec<Position>,
}

impl Owed {
    /// Counts one publication.
    pub fn count(&mut self, publication: &Publication, surely: bool, _perhaps: bool, received: bool) {
        let owed = surely && publication.acknowledged.is_some();
        if let (true, false, None, Some(position)) = (owed, received, publication.expires_after, publication.position) {
            self.missing.push(position);
        }
    }
}

impl Gaps {
    /// All gaps of a life.
    pub fn of(life: &Life) -> Self {
        let mut ranges: BTreeMap<LaneId, Vec<(Number, Number)>> = BTreeMap::new();
        let mut dropped = 0;
        for (_, gap) in &life.gaps {
            dropped += gap.dropped;
            for range in &gap.ranges {
                ranges.entry(range.lane).or_default().push((range.first, range.last));
            }
        }
        Self { ranges, dropped }
    }

    /// Whether a position was told to be given up.
    pub fn cover(&self, position: Position) -> bool {
        self.ranges
            .get(&position.lane)
            .is_some_and(|ranges| ranges.iter().any(|&(first, last)| (first..=last).contains(&position.number)))
    }

    /// Whether the gaps count as many as are missing within them.
    pub fn account(&self, owed: &Owed) -> Result<(), String> {
        let missing = owed.missing.iter().filter(|position| self.cover(**position)).count();
        let missing = u64::try_from(missing).expect("few");
        if missing > self.dropped {
            return Err(format!("gaps count {} notifications given up, but {missing} are missing", self.dropped));
        }
        Ok(())
    }
}
