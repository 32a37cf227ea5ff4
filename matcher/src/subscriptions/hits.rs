//! What a publication satisfied, gathered by session. A publication may satisfy every subscription there is, so they are not
//! sorted as a whole: each session has a place that the publication's round marks as taken.

use gomera_cluster::identity::{Generation, Handle, SessionKey};

use super::sessions::SessionId;

/// The satisfied subscriptions of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfSession {
    /// The session.
    pub session: SessionKey,
    /// Its subscriptions, each with the attachment that put it, in order of handle.
    pub handles: Vec<(Generation, Handle)>,
}

/// A session's place: in which round it was taken, and for which of the groups.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    round: u64,
    group: u32,
}

/// Satisfied subscriptions of one publication, by session. Keeps its memory for the next one.
#[derive(Debug, Default)]
pub struct Hits {
    round: u64,
    /// The first `used` count; the rest keep their memory.
    groups: Vec<OfSession>,
    used: usize,
    len: usize,
    places: Vec<Place>,
}

impl Hits {
    /// Sessions in order of key, each with its subscriptions.
    pub fn sessions(&self) -> &[OfSession] {
        &self.groups[..self.used]
    }

    /// How many subscriptions.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Begins anew.
    pub(super) fn begin(&mut self) {
        /// Sessions with room kept for them.
        const KEPT_MAX: usize = 1024;
        self.groups.truncate(KEPT_MAX);
        self.round += 1;
        (self.used, self.len) = (0, 0);
    }

    /// One more.
    #[inline]
    pub(super) fn push(&mut self, id: SessionId, session: SessionKey, generation: Generation, handle: Handle) {
        let index = id.index();
        if index >= self.places.len() {
            self.places.resize(index + 1, Place::default());
        }
        let place = &mut self.places[index];
        if place.round != self.round {
            *place = Place { round: self.round, group: u32::try_from(self.used).expect("sessions have 32-bit places") };
            match self.groups.get_mut(self.used) {
                Some(group) => {
                    group.session = session;
                    group.handles.clear();
                }
                None => self.groups.push(OfSession { session, handles: Vec::new() }),
            }
            self.used += 1;
        }
        self.groups[place.group as usize].handles.push((generation, handle));
        self.len += 1;
    }

    /// Puts sessions in order, and the handles of each: these mostly come in a few ascending runs, which a stable sort merges.
    pub(super) fn finish(&mut self) {
        let groups = &mut self.groups[..self.used];
        groups.sort_unstable_by_key(|group| group.session);
        for group in groups {
            group.handles.sort_by_key(|&(_, handle)| handle);
        }
    }
}
