//! Lanes that have ended leave `W`: session by session, when nothing of theirs is left in its outbox and nothing of theirs that was given
//! up is to be told. Nothing of them is put into outboxes any more, so who is passed once stays so.

use std::collections::BTreeMap;

use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::time::Instant;

use super::Sessions;
use crate::session::{Attachment, SessionId};

/// Lanes that have ended.
pub(super) type Departing = BTreeMap<LaneId, Departure>;

/// How far a lane is on its way out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Departure {
    /// The last merge step that knew it: what later ones put into outboxes is none of it, and does not name it.
    step: u64,
    /// The first place in the table of sessions that was not passed.
    place: usize,
}

impl Sessions {
    /// A lane has ended; `step` was the last merge step that knew it.
    pub(crate) fn end_lane(&mut self, lane: LaneId, step: u64) {
        self.departing.insert(lane, Departure { step, place: 0 });
    }

    /// What came of publishers from other replicas is not needed for ever.
    pub(crate) fn forget_inherited(&mut self, now: Instant) {
        self.inherited.retain(|_, inherited| !inherited.is_over(now));
    }

    /// Goes on through the sessions, some of them; lanes that are gone everywhere go to `gone`. Not while copies come: they bring what
    /// is left of such lanes elsewhere.
    pub(crate) fn depart(&mut self, gone: &mut Vec<LaneId>) {
        /// Sessions looked at in one call: some hundred microseconds.
        const STEP: usize = 20_000;
        if !self.receiving.is_empty() {
            return;
        }
        let mut looked = 0;
        let Self { departing, table, .. } = self;
        let places = table.capacity();
        departing.retain(|&lane, Departure { step, place }| {
            while *place < places && looked < STEP {
                looked += 1;
                if let Some(session) = table.get_mut(*place) {
                    if session.outbox.holds_of(*step) || session.given_up.concerns(lane) {
                        return true;
                    }
                    session.acknowledged.remove(lane);
                    session.passed.remove(lane);
                    session.doubted.remove(lane);
                    match &mut session.attachment {
                        Attachment::Attached(attached) => attached.forget(lane),
                        Attachment::Detached(_) => {}
                    }
                }
                *place += 1;
            }
            if *place >= places {
                gone.push(lane);
            }
            *place < places
        });
    }

    /// Copies that came hold what may be of lanes on their way out: all are looked at again.
    pub(super) fn depart_anew(&mut self) {
        self.departing.values_mut().for_each(|departure| departure.place = 0);
    }

    /// Adds the lanes on their way out of which nothing is left in an outbox, nor to be told: another replica may have the copy of a
    /// publication that was passed over here, because it merged lanes in another order.
    pub(super) fn settle_departing(&self, id: SessionId, acknowledged: &mut Vector, merged: &Vector) {
        let session = &self.table[id.0];
        for &lane in self.departing.keys().filter(|&&lane| !session.given_up.concerns(lane)) {
            if session.outbox.iter().all(|entry| entry.position.lane != lane) {
                acknowledged.raise(lane, merged.get(lane));
            }
        }
    }

    /// What a session that begins now has to know of: nothing of lanes that have ended is for it.
    pub(super) fn without_departing(&self, merged: &Vector) -> Vector {
        let mut vector = merged.clone();
        for &lane in self.departing.keys() {
            vector.remove(lane);
        }
        vector
    }
}
