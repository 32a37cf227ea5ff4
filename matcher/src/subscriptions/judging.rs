//! What publications satisfy: the rows that the index gives, without those that have expired or whose session has ended.

use std::sync::Arc;

use gomera_cluster::coverage::SliceSet;
use gomera_cluster::publication::{AttributeBlock, Envelope};
use gomera_model::attributes::Attributes;

use super::rows::Rows;
use super::sessions::Sessions;
use super::{Hits, Subscriptions};
use crate::index::{Contexts, RowId, TOGETHER};

/// Rows whose memory is asked for before it is their turn.
const AHEAD: usize = 8;

impl Subscriptions {
    /// Judges publications of one tenant, at most [`TOGETHER`], by these slices; says how many of them it did before so many
    /// filters were evaluated and satisfied, at least one.
    ///
    /// # Panics
    /// If attributes of a publication are not decoded.
    pub fn judge(&mut self, envelopes: &[Arc<Envelope>], slices: &SliceSet, effort_max: usize) -> usize {
        let Some(first) = envelopes.first() else { return 0 };
        if self.satisfied.len() < envelopes.len() {
            self.satisfied.resize_with(envelopes.len(), Vec::new);
        }
        self.satisfied.iter_mut().for_each(Vec::clear);
        let mut publications = [decoded(first); TOGETHER];
        for (place, envelope) in publications.iter_mut().zip(envelopes) {
            assert!(envelope.tenant == first.tenant, "publications judged together are of one tenant");
            *place = decoded(envelope);
        }
        let publications = &publications[..envelopes.len()];
        let contexts = ContextsOf { rows: &self.rows, sessions: &self.sessions };
        let output = self.satisfied.as_mut_slice();
        let judged = self.index.matches(&first.tenant, publications, &contexts, slices, effort_max, output);
        for satisfied in &self.satisfied[..judged] {
            satisfied.iter().take(AHEAD).for_each(|&row| self.rows.prefetch_hit(row));
        }
        judged
    }

    /// What the publications judged last satisfied is not asked for any more: gives room back that most do not need.
    pub fn forget_judged(&mut self) {
        /// Rows of a publication whose room is kept.
        const ROWS_KEPT: usize = 1 << 16;
        for rows in self.satisfied.iter_mut().filter(|rows| rows.capacity() > ROWS_KEPT) {
            *rows = Vec::new();
        }
    }

    /// What one of the publications judged last satisfied, in order of session and handle.
    pub fn hits(&self, index: usize, envelope: &Envelope, hits: &mut Hits) {
        hits.begin();
        let satisfied = &self.satisfied[index];
        for (at, &row) in satisfied.iter().enumerate() {
            if let Some(&next) = satisfied.get(at + AHEAD) {
                self.rows.prefetch_hit(next);
            }
            let row = self.rows.get(row);
            if row.options.expires_at.is_some_and(|expires_at| envelope.accepted_at >= expires_at) {
                continue;
            }
            let session = self.sessions.get(row.session);
            if !session.has_forgotten(row.put.generation) {
                hits.push(row.session, session.key, row.put.generation, row.handle);
            }
        }
        hits.finish();
    }
}

fn decoded(envelope: &Envelope) -> &Attributes {
    match &envelope.attributes {
        AttributeBlock::Decoded(attributes) => attributes,
        AttributeBlock::Encoded => panic!("the driver of a matcher decodes attributes before its machine sees them"),
    }
}

/// The contexts of rows, for the index.
struct ContextsOf<'a> {
    rows: &'a Rows,
    sessions: &'a Sessions,
}

impl Contexts for ContextsOf<'_> {
    fn context(&self, row: RowId) -> Option<&Attributes> {
        self.sessions.get(self.rows.get(row).session).context()
    }
}
