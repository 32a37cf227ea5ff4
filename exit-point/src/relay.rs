//! What this shard decides about sessions, on its way to other replicas of their slices, and what waits until they have it: answers to
//! attaches, so that no client is told of a session that only one replica knows, and `Forget`, so that no replica goes on with a session
//! whose subscriptions are gone.
//!
//! Invariant: what waits is let go in the order in which it came.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gomera_cluster::address::Address;
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{ConnectionId, Generation, SessionKey, Term};
use gomera_cluster::layout::SessionSlice;
use gomera_cluster::message::connection_point::Presence;
use gomera_cluster::message::copies::{Change, Changes};

/// To all replicas.
#[derive(Debug, Default)]
pub(crate) struct Relay {
    streams: BTreeMap<Address, Stream>,
    waits: VecDeque<Wait>,
}

/// To one of them.
#[derive(Debug, Default)]
struct Stream {
    sent: u64,
    taken: u64,
    pending: Vec<Change>,
}

/// A change at one replica.
pub(crate) type Need = (Address, u64);

#[derive(Debug)]
struct Wait {
    slice: SessionSlice,
    needs: Vec<Need>,
    then: Then,
}

/// What waits.
#[derive(Debug)]
pub(crate) enum Then {
    /// The answer to an attach.
    Answer(Answer),
    /// A session that ended is to be forgotten.
    Carry(SessionKey, Generation),
}

/// The answer to an attach.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) from: Address,
    pub(crate) connection: ConnectionId,
    pub(crate) session: SessionKey,
    pub(crate) slice: SessionSlice,
    pub(crate) term: Term,
    pub(crate) generation: Generation,
    pub(crate) presence: Presence,
    pub(crate) credit: Total,
}

impl Relay {
    /// A replica is to be told; says what to wait for.
    pub(crate) fn tell(&mut self, to: Address, change: Change) -> Need {
        let stream = self.streams.entry(to).or_default();
        stream.sent += 1;
        stream.pending.push(change);
        (to, stream.sent)
    }

    /// Has something wait.
    pub(crate) fn wait(&mut self, slice: SessionSlice, needs: Vec<Need>, then: Then) {
        self.waits.push_back(Wait { slice, needs, then });
    }

    /// A replica has taken in what it was told.
    pub(crate) fn taken(&mut self, from: Address, through: u64) {
        if let Some(stream) = self.streams.get_mut(&from) {
            stream.taken = stream.taken.max(through);
        }
    }

    /// Forgets replicas that are gone.
    pub(crate) fn retain(&mut self, is_named: impl Fn(Address) -> bool) {
        self.streams.retain(|&to, _| is_named(to));
    }

    /// The first of what waits, if nothing has to be waited for: replicas that do not follow any more are not.
    pub(crate) fn pop_ready(&mut self, followers: &BTreeMap<SessionSlice, BTreeSet<Address>>) -> Option<Then> {
        let Self { streams, waits } = self;
        let first = waits.front()?;
        let has_it = |&(to, number): &Need| {
            let follows = followers.get(&first.slice).is_some_and(|followers| followers.contains(&to));
            !follows || streams.get(&to).is_none_or(|stream| stream.taken >= number)
        };
        if first.needs.iter().all(has_it) { waits.pop_front().map(|wait| wait.then) } else { None }
    }

    /// Takes out what waits about some slices.
    pub(crate) fn take_out(&mut self, gone: impl Fn(SessionSlice) -> bool) -> Vec<Then> {
        let (out, stays): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.waits).into_iter().partition(|wait| gone(wait.slice));
        self.waits = stays;
        out.into_iter().map(|wait| wait.then).collect()
    }

    /// Hands over what is to be sent.
    pub(crate) fn drain(&mut self, mut send: impl FnMut(Address, Changes)) {
        for (&to, stream) in &mut self.streams {
            if !stream.pending.is_empty() {
                send(to, Changes { through: stream.sent, changes: std::mem::take(&mut stream.pending) });
            }
        }
    }
}
