//! What a publication satisfied, gathered by session. A publication may satisfy every subscription there is, so they are not
//! sorted as a whole: each session has a place that the publication's round marks as taken, and handles are laid out by counting.
//! Nothing is allocated once the buffers have grown.

use gomera_cluster::identity::{Generation, Handle, SessionKey};

use super::sessions::SessionId;

/// Places that are made at once: a page.
const PAGE: usize = 512;

/// A session's place: in which round it was taken, and for which number.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    round: u64,
    number: u32,
}

/// A session of this round.
#[derive(Clone, Copy, Debug)]
struct Group {
    session: SessionKey,
    /// In the order in which sessions were found.
    number: u32,
    /// Its handles, from [`Hits::finish`] on.
    start: usize,
    len: usize,
}

/// Satisfied subscriptions of one publication, by session. Keeps its memory for the next one.
#[derive(Debug, Default)]
pub struct Hits {
    round: u64,
    /// In pages, empty as long as none of their sessions was found.
    places: Vec<Box<[Place]>>,
    /// As they were found, each with the number of its session.
    found: Vec<(u32, Generation, Handle)>,
    groups: Vec<Group>,
    /// Per number, where its next handle goes.
    next: Vec<usize>,
    handles: Vec<(Generation, Handle)>,
}

impl Hits {
    /// Sessions in order of key, each with its subscriptions in order of handle, each of these with the attachment that put it.
    pub fn sessions(&self) -> impl Iterator<Item = (SessionKey, &[(Generation, Handle)])> {
        self.groups.iter().map(|group| (group.session, &self.handles[group.start..group.start + group.len]))
    }

    /// How many subscriptions.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Begins anew.
    pub(super) fn begin(&mut self) {
        self.round += 1;
        self.found.clear();
        self.groups.clear();
    }

    /// One more.
    #[inline]
    pub(super) fn push(&mut self, id: SessionId, session: SessionKey, generation: Generation, handle: Handle) {
        let (page, index) = (id.index() / PAGE, id.index() % PAGE);
        if self.places.get(page).is_none_or(|places| places.is_empty()) {
            self.make_page(page);
        }
        let place = &mut self.places[page][index];
        if place.round != self.round {
            let number = u32::try_from(self.groups.len()).expect("sessions have 32-bit places");
            *place = Place { round: self.round, number };
            self.groups.push(Group { session, number, start: 0, len: 0 });
        }
        self.groups[place.number as usize].len += 1;
        self.found.push((place.number, generation, handle));
    }

    #[cold]
    fn make_page(&mut self, page: usize) {
        if page >= self.places.len() {
            self.places.resize_with(page + 1, Box::default);
        }
        self.places[page] = vec![Place::default(); PAGE].into_boxed_slice();
    }

    /// Puts sessions in order, and the handles of each: these mostly come in a few ascending runs, which a stable sort merges.
    pub(super) fn finish(&mut self) {
        let Self { found, groups, next, handles, .. } = self;
        groups.sort_unstable_by_key(|group| group.session);
        next.clear();
        next.resize(groups.len(), 0);
        let mut start = 0;
        for group in &mut *groups {
            group.start = start;
            next[group.number as usize] = start;
            start += group.len;
        }
        handles.clear();
        handles.resize(found.len(), (Generation(0), Handle(0)));
        for &(number, generation, handle) in &*found {
            let next = &mut next[number as usize];
            handles[*next] = (generation, handle);
            *next += 1;
        }
        for &Group { start, len, .. } in groups.iter().filter(|group| group.len > 1) {
            handles[start..start + len].sort_by_key(|&(_, handle)| handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::identity::Tenant;

    use super::*;

    #[test]
    fn sessions_and_handles_are_in_order_and_nothing_of_the_round_before_stays() {
        let tenant = Tenant(std::sync::Arc::from("t"));
        let mut hits = Hits::default();
        let mut seed = 1_u64;
        for round in 0..50 {
            hits.begin();
            let mut expected = std::collections::BTreeMap::<SessionKey, Vec<u64>>::new();
            for _ in 0..round * 3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let (session, handle) = (seed >> 33 & 7, seed >> 40);
                let key = SessionKey::of(&tenant, &format!("s{session}"));
                let id = SessionId::of(u32::try_from(session).expect("below 8"));
                hits.push(id, key, Generation(round), Handle(handle));
                expected.entry(key).or_default().push(handle);
            }
            hits.finish();
            expected.values_mut().for_each(|handles| handles.sort_unstable());
            assert_eq!(hits.len(), expected.values().map(Vec::len).sum::<usize>());
            let got = hits.sessions().map(|(session, handles)| {
                assert!(handles.iter().all(|&(generation, _)| generation == Generation(round)));
                (session, handles.iter().map(|&(_, handle)| handle.0).collect())
            });
            assert_eq!(got.collect::<Vec<(SessionKey, Vec<u64>)>>(), expected.into_iter().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_session_far_behind_makes_no_places_for_those_before_it() {
        let (mut hits, key) = (Hits::default(), SessionKey::of(&Tenant(std::sync::Arc::from("t")), "s"));
        hits.begin();
        for id in [1_000_000, 3, 1_000_001] {
            hits.push(SessionId::of(id), key, Generation(1), Handle(u64::from(id)));
        }
        hits.finish();
        assert_eq!((hits.groups.len(), hits.len()), (3, 3));
        assert_eq!(hits.places.iter().map(|places| places.len()).sum::<usize>(), 2 * PAGE);
    }
}
