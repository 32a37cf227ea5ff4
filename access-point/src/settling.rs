//! What a lane has of sessions whose newer attachment goes on on another lane: the operations of the older one are worked off before those
//! of the newer begin, and what comes of the older one later is not taken. Replicas of a slice meet lanes in different orders; were one
//! session's operations under way on two of them, they could come to differ.
//!
//! Invariants: a session stands in `under_way` while an operation of it awaits its matchers; both halves of the generations hold at most
//! [`SESSIONS_MAX`] sessions.

use gomera_cluster::address::Address;
use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::table::{Seeded, Table};
use gomera_cluster::time::Instant;

use std::collections::BTreeMap;
use std::time::Duration;

/// Sessions in each half: some 2 MB. Beyond that, those that were asked about longest ago are forgotten sooner.
const SESSIONS_MAX: usize = 65_536;
/// How long a generation is remembered at least, if there is room: longer than a link stalls whose ends both live, but for a network that
/// keeps two machines apart and everybody else together.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// Who waits until nothing of a session is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The connection point of the newer attachment.
    pub to: Address,
    /// The session.
    pub session: SessionKey,
    /// The newer attachment.
    pub generation: Generation,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Settling {
    under_way: Table<SessionKey, u32>,
    /// The newest of each session.
    waiting: BTreeMap<SessionKey, Waiting>,
    young: Table<SessionKey, Generation>,
    old: Table<SessionKey, Generation>,
    since: Instant,
}

impl Settling {
    /// Nothing is under way.
    pub fn new(hashing: Seeded) -> Self {
        let table = || Table::with_hasher(hashing);
        Self {
            under_way: Table::with_hasher(hashing),
            waiting: BTreeMap::new(),
            young: table(),
            old: table(),
            since: Instant::ZERO,
        }
    }

    /// A newer attachment goes on elsewhere.
    pub fn wait(&mut self, now: Instant, waiting: Waiting) {
        self.sweep(now);
        if self.young.is_empty() {
            self.since = now;
        } else if self.young.len() >= SESSIONS_MAX {
            self.turn(now);
        }
        let newest = self.young.entry(waiting.session).or_insert(waiting.generation);
        *newest = (*newest).max(waiting.generation);
        // An older attachment needs no answer any more.
        if *newest == waiting.generation {
            self.waiting.insert(waiting.session, waiting);
        }
    }

    /// Whether an operation comes of an attachment that is over.
    pub fn is_over(&self, session: SessionKey, generation: Generation) -> bool {
        let newer = |half: &Table<SessionKey, Generation>| half.get(&session).is_some_and(|&newer| newer > generation);
        // Nobody is asked about for most of the time.
        (!self.young.is_empty() && newer(&self.young)) || (!self.old.is_empty() && newer(&self.old))
    }

    /// An operation got its number.
    pub fn begin(&mut self, session: SessionKey) {
        *self.under_way.entry(session).or_insert(0) += 1;
    }

    /// An operation is complete.
    ///
    /// # Panics
    /// If none was under way.
    pub fn end(&mut self, session: SessionKey) {
        let count = self.under_way.get_mut(&session).expect("what ends has begun");
        *count -= 1;
        if *count == 0 {
            self.under_way.remove(&session);
        }
    }

    /// Those of which nothing is under way any more, each once.
    pub fn settled(&mut self) -> Vec<Waiting> {
        let under_way = &self.under_way;
        self.waiting.extract_if(.., |session, _| !under_way.contains_key(session)).map(|(_, waiting)| waiting).collect()
    }

    /// When [`Settling::sweep`] has something to do.
    pub fn next_sweep(&self) -> Option<Instant> {
        let is_empty = self.young.is_empty() && self.old.is_empty();
        (!is_empty).then(|| self.since + REMEMBERED_FOR)
    }

    /// Forgets generations whose time is over.
    pub fn sweep(&mut self, now: Instant) {
        if self.next_sweep().is_some_and(|at| at <= now) {
            self.turn(now);
        }
    }

    fn turn(&mut self, now: Instant) {
        self.old = std::mem::take(&mut self.young);
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::address::{Incarnation, Shard};

    use super::*;

    const SESSION: SessionKey = SessionKey(7);

    fn settling() -> Settling {
        Settling::new(Seeded::new(1))
    }

    fn waiting(generation: u64) -> Waiting {
        let to = Address { node: Incarnation(1), shard: Shard(0) };
        Waiting { to, session: SESSION, generation: Generation(generation) }
    }

    #[test]
    fn who_waits_is_answered_once_and_when_nothing_is_under_way() {
        let mut settling = settling();
        settling.begin(SESSION);
        settling.begin(SESSION);
        settling.begin(SessionKey(8));
        settling.wait(Instant::ZERO, waiting(5));
        settling.end(SESSION);
        assert_eq!(settling.settled(), []);
        settling.end(SESSION);
        assert_eq!(settling.settled(), [waiting(5)], "others do not count");
        assert_eq!(settling.settled(), []);
    }

    #[test]
    fn an_older_attachment_is_over_for_as_long_as_it_is_remembered_and_nothing_is_kept_for_ever() {
        let mut settling = settling();
        assert!(!settling.is_over(SESSION, Generation(4)));
        settling.wait(Instant::ZERO, waiting(5));
        settling.wait(Instant::ZERO, waiting(3));
        let over =
            |settling: &Settling| [3, 4, 5, 6].map(|generation| settling.is_over(SESSION, Generation(generation)));
        assert_eq!(over(&settling), [true, true, false, false]);
        assert!(!settling.is_over(SessionKey(8), Generation(4)));
        let first = settling.next_sweep().expect("something is remembered");
        settling.sweep(first);
        assert_eq!(over(&settling), [true, true, false, false], "its time has not passed since");
        let second = settling.next_sweep().expect("something is remembered");
        settling.sweep(second);
        assert_eq!((over(&settling), settling.next_sweep()), ([false; 4], None));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut settling = settling();
        for session in 0..200_000 {
            settling.wait(Instant::ZERO, Waiting { session: SessionKey(session), ..waiting(5) });
            settling.waiting.clear();
        }
        assert!(settling.young.len() + settling.old.len() <= 2 * SESSIONS_MAX);
        assert!(settling.is_over(SessionKey(199_999), Generation(4)), "the latest are kept");
    }
}
