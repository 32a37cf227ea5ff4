//! What comes for sessions before their copies do: what is merged for them, and what clients say that they have processed.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::message::exit_point::Handles;
use gomera_cluster::position::{Position, Vector};
use gomera_cluster::publication::Envelope;

use crate::replicas::{Replicas, Stance};

/// What is merged for a session before its copy is here.
#[derive(Debug)]
pub(in crate::sessions) struct Early {
    pub(in crate::sessions) position: Position,
    pub(in crate::sessions) envelope: Arc<Envelope>,
    pub(in crate::sessions) handles: Handles,
}

/// What came for one session before its copy.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    slice: u16,
    pub(super) merged: Vec<Early>,
    pub(super) acknowledged: Option<(Generation, Vector)>,
}

/// What came for all of them. Bounded by the configuration.
#[derive(Debug, Default)]
pub(in crate::sessions) struct Earlies {
    sessions: BTreeMap<SessionKey, Waiting>,
    bytes: u64,
}

impl Early {
    fn cost(&self) -> u64 {
        self.envelope.cost() + 8 * u64::try_from(self.handles.len()).expect("a length fits 64 bits")
    }
}

impl Earlies {
    pub(in crate::sessions) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What came for a session of this slice.
    pub(super) fn waiting(&mut self, session: SessionKey, slice: SessionSlice) -> &mut Waiting {
        let waiting = self.sessions.entry(session).or_default();
        waiting.slice = slice.0;
        waiting
    }

    /// Keeps what is merged for one.
    pub(super) fn keep(&mut self, early: Early, session: SessionKey, slice: SessionSlice) {
        self.bytes += early.cost();
        self.waiting(session, slice).merged.push(early);
    }

    /// Its copy is here, or it ended.
    pub(super) fn remove(&mut self, session: SessionKey) -> Option<Waiting> {
        let waiting = self.sessions.remove(&session)?;
        self.bytes -= waiting.merged.iter().map(Early::cost).sum::<u64>();
        Some(waiting)
    }

    /// Keeps what came for slices that are loading, and what clients said of those that wait for it.
    pub(super) fn retain(&mut self, replicas: &Replicas) {
        let bytes = &mut self.bytes;
        self.sessions.retain(|_, waiting| {
            let kept = match replicas.stance(SessionSlice(waiting.slice)) {
                Stance::Loading { .. } => return true,
                Stance::Waiting { .. } => waiting.acknowledged.is_some(),
                Stance::Absent | Stance::Following(_) | Stance::Heir { .. } | Stance::Leading(_) => false,
            };
            *bytes -= waiting.merged.drain(..).map(|early| early.cost()).sum::<u64>();
            kept
        });
    }
}
