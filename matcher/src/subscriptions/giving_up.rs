//! Rows of slices that are held no more. They match nothing, since nothing is judged by them; taking them out is done in steps.

use gomera_cluster::coverage::SliceSet;

use super::Subscriptions;
use crate::index::RowId;

/// Rows of these slices are removed, those before `next` already.
#[derive(Debug)]
pub struct GivenUp {
    /// The slices.
    pub slices: SliceSet,
    /// The next row to look at.
    pub next: RowId,
}

impl Subscriptions {
    /// Whether rows of slices that are held no more wait to be removed.
    pub fn is_giving_up(&self) -> bool {
        self.given_up.is_some()
    }

    /// Removes some of the subscriptions of slices that are held no more. What refuses late operations of theirs stays until their
    /// sessions end.
    pub(super) fn remove_given_up(&mut self) {
        /// Rows looked at in one step, and removed.
        const PLACES: usize = 4096;
        const STEP: usize = 64;
        let mut removed = 0;
        for _ in 0..PLACES {
            let Some(GivenUp { slices, next }) = &mut self.given_up else { return };
            let id = *next;
            match self.rows.at(id) {
                None => {
                    self.given_up = None;
                    return;
                }
                Some(row) => {
                    *next = RowId(id.0 + 1);
                    if row.is_some_and(|row| slices.contains(row.slice)) {
                        self.remove_row(id);
                        removed += 1;
                    }
                }
            }
            if removed == STEP {
                return;
            }
        }
    }
}
