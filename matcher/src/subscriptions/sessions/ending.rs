//! The end of a life of a session. It stands from the moment of the `Forget`: whatever the life made refers to nothing and refuses nothing
//! that is not refused anyway. Its rows and what refused late operations are taken out of the session in steps.
//!
//! ```text
//!   Forget ── all rows are of lives that are over ──▶ they are taken as a whole ──▶ tombstones, slice by slice ──▶ done
//!      │                                                                               ▲
//!      └───── a newer life has put some already ────▶ rows are looked at one by one ───┘
//! ```

use std::ops::Bound;

use gomera_cluster::identity::{Generation, Handle, SubscriptionKey};
use gomera_cluster::layout::MatcherSlice;
use gomera_cluster::operation::{Operation, Version};
use gomera_cluster::table::LargeTable;
use gomera_cluster::time::Instant;

use super::{RowsByHandle, SessionId, Sessions, Settled, remove_if};
use crate::index::RowId;
use crate::subscriptions::Limits;

/// Rows looked at in one step.
const LOOKED_AT: usize = 64;

/// What is to be looked at next.
#[derive(Debug)]
enum Next {
    /// Rows, from here on.
    Rows(Bound<(Handle, SubscriptionKey)>),
    /// What refuses late operations on slices, from this one on.
    Settled(MatcherSlice),
    Nothing,
}

/// A life that is over, and how far what it made has been taken out of its session.
#[derive(Debug)]
pub struct Ending {
    /// The session.
    pub session: SessionId,
    /// What is of later generations stays.
    pub through: Generation,
    /// Its rows that have been taken out.
    pub rows: RowsByHandle,
    next: Next,
}

impl Ending {
    /// Whether everything has been taken out.
    pub fn is_done(&self) -> bool {
        matches!(self.next, Next::Nothing)
    }
}

impl Sessions {
    /// The session has ended, up to the operation's generation.
    pub fn forget(&mut self, now: Instant, operation: &Operation) -> Option<Ending> {
        let through = operation.version.generation;
        let id = self.find_or_create(&operation.tenant, operation.session, Limits::Held).ok()?;
        let session = self.get_mut(id);
        if session.has_forgotten(through) {
            return None;
        }
        session.forgotten = Some(through);
        if session.context.as_ref().is_some_and(|(version, _)| version.generation <= through) {
            session.context = None;
        }
        let (rows, next) = if session.put <= through {
            (std::mem::take(&mut session.rows), Next::Settled(MatcherSlice(0)))
        } else {
            // The session began anew before its end came here.
            (RowsByHandle::new(), Next::Rows(Bound::Unbounded))
        };
        session.doomed += 1;
        session.remembered += 1;
        self.forgotten.push_back((now + self.forgotten_for, id));
        while self.forgotten.len() > self.forgotten_max {
            self.drop_oldest_forgotten();
        }
        Some(Ending { session: id, through, rows, next })
    }

    /// Goes on taking out what is of a life that is over: up to some tens of rows, or what refuses late operations on one slice. Says how
    /// many things it has looked at.
    pub fn take_out(&mut self, ending: &mut Ending, generation_of: impl Fn(RowId) -> Generation) -> usize {
        match ending.next {
            Next::Rows(from) => self.take_rows_out(ending, from, generation_of),
            Next::Settled(from) => self.take_settled_out(ending, from),
            Next::Nothing => 0,
        }
    }

    fn take_rows_out(
        &mut self,
        ending: &mut Ending,
        from: Bound<(Handle, SubscriptionKey)>,
        generation_of: impl Fn(RowId) -> Generation,
    ) -> usize {
        let rows = &mut self.get_mut(ending.session).rows;
        let end = rows.range((from, Bound::Unbounded)).nth(LOOKED_AT).map(|(&place, _)| place);
        let range = (from, end.map_or(Bound::Unbounded, Bound::Excluded));
        ending.rows.extend(rows.extract_if(range, |_, &mut row| generation_of(row) <= ending.through));
        ending.next = end.map_or(Next::Settled(MatcherSlice(0)), |end| Next::Rows(Bound::Included(end)));
        LOOKED_AT
    }

    fn take_settled_out(&mut self, ending: &mut Ending, from: MatcherSlice) -> usize {
        let session = self.sessions[ending.session.0].as_mut().expect("an id in use names a session");
        let Some((&slice, settled)) = session.settled.range_mut(from..).next() else {
            ending.next = Next::Nothing;
            return 1;
        };
        let looked_at = 1 + settled.tombstones.len();
        if !settled.forget(ending.through, &mut self.tombstones) {
            session.settled.remove(&slice);
        }
        ending.next = slice.0.checked_add(1).map_or(Next::Nothing, |next| Next::Settled(MatcherSlice(next)));
        looked_at
    }

    /// The rows of a life that is over are removed.
    pub fn doomed_removed(&mut self, id: SessionId) {
        self.get_mut(id).doomed -= 1;
        self.drop_if_over(id);
    }
}

impl Settled {
    /// The end of the session refuses all versions up to this generation: what else did so can go. Says whether something
    /// is left.
    fn forget(&mut self, through: Generation, tombstones: &mut LargeTable<SubscriptionKey, Version>) -> bool {
        self.tombstones.retain(|&(version, key)| {
            let stays = version.generation > through;
            if !stays {
                remove_if(tombstones, key, version);
            }
            stays
        });
        self.floor.generation > through || !self.tombstones.is_empty()
    }
}
