//! The checker: what was published, what every subscription asked for and when, what arrived. It knows the promises and the
//! plain evaluator, and nothing of how the cluster keeps them. Pure: whoever drives it says what happened, and the order of the
//! calls is the order of time.
//!
//! A subscription has a history of states; a state is *requested* at one moment and *acknowledged* at a later one. A publication
//! is *sent* at one moment and *acknowledged* at a later one. Promise 2 then says by which states it may be judged:
//!
//! ```text
//!   state:        old ─────────────── requested ░░░░░░░░░░ acknowledged ─────────────── new
//!   publication:  acknowledged before: old │ anything else: either │ sent after: new
//! ```
//! A subscription *must* be told of a publication if all states that may judge it match, and *may* be if one does.
//! Publications are judged when they are acknowledged (every state that can concern them is requested by then), and of their
//! attributes nothing is kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use gomera_model::{Attributes, Filter, evaluate};

/// Subscriptions a ledger can hold: one bit each.
pub const SUBSCRIPTIONS_MAX: usize = 128;

/// Orders what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Tick(u64);

/// One of the sessions, in order of [`Ledger::session`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionIndex(usize);

/// One of the subscriptions, in order of [`Ledger::subscription`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionIndex(usize);

/// One of the publishers, in order of [`Ledger::publisher`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PublisherIndex(usize);

/// A change that was requested, until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Change(Tick);

/// What a subscription asks for.
#[derive(Clone, Debug)]
pub struct Standard {
    /// Its filter.
    pub filter: Filter,
    /// The session's context.
    pub context: Arc<Attributes>,
}

impl Standard {
    fn matches(&self, attributes: &Attributes) -> bool {
        evaluate(&self.filter, attributes, &*self.context).is_match()
    }
}

#[derive(Debug)]
struct State {
    standard: Standard,
    requested: Tick,
    acknowledged: Option<Tick>,
}

#[derive(Debug)]
struct Subscription {
    session: SessionIndex,
    id: Arc<str>,
    states: VecDeque<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Bits(u128);

impl Bits {
    fn of(subscription: SubscriptionIndex) -> Self {
        Self(1 << subscription.0)
    }

    fn count(self) -> u64 {
        u64::from(self.0.count_ones())
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn insert(&mut self, other: Self) {
        self.0 |= other.0;
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// A publication: on its way, or judged.
#[derive(Debug)]
enum Fate {
    Sent { at: Tick, attributes: Arc<Attributes> },
    Judged { must: Bits, may: Bits },
}

#[derive(Debug)]
struct Record {
    fate: Fate,
    /// Told to these subscriptions.
    told: Bits,
    /// Sessions that got it without any subscription that is known here.
    scheduled_micros: u64,
}

#[derive(Debug, Default)]
struct Session {
    name: Arc<str>,
    subscriptions: Bits,
    by_id: HashMap<Arc<str>, SubscriptionIndex>,
    /// The highest sequence that arrived, by publisher.
    last: HashMap<PublisherIndex, u64>,
    tally: Tally,
}

/// What can be said of one session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Notifications that arrived, repeats not counted.
    pub delivered: u64,
    /// Satisfied subscriptions that were not told, once all is judged.
    pub missing: u64,
    /// Notifications that arrived again.
    pub duplicated: u64,
    /// Notifications that came after a later one of the same publisher.
    pub reordered: u64,
    /// Subscriptions told of what they did not ask for.
    pub unexpected: u64,
    /// Notifications that the cluster says it gave up.
    pub dropped: u64,
}

/// What arrived, and when it was due to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// For the first time; scheduled at this many microseconds since the start.
    First {
        /// When it was to be published.
        scheduled_micros: u64,
    },
    /// Not for the first time, or never published at all.
    Wrong,
}

/// How far everything has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Handed to the cluster.
    pub published: u64,
    /// Acknowledged by it.
    pub acknowledged: u64,
    /// Refused by it.
    pub refused: u64,
    /// Notifications that arrived.
    pub delivered: u64,
    /// Judged and owed: satisfied subscriptions that were not told yet.
    pub owed: u64,
}

/// See the top of this file.
#[derive(Debug, Default)]
pub struct Ledger {
    ticks: u64,
    subscriptions: Vec<Subscription>,
    sessions: Vec<Session>,
    /// By publisher, by sequence from 1.
    records: Vec<Vec<Record>>,
    progress: Progress,
}

impl Ledger {
    fn tick(&mut self) -> Tick {
        self.ticks += 1;
        Tick(self.ticks)
    }

    /// A session that will receive.
    pub fn session(&mut self, name: impl Into<Arc<str>>) -> SessionIndex {
        self.sessions.push(Session { name: name.into(), ..Session::default() });
        SessionIndex(self.sessions.len() - 1)
    }

    /// A subscription that is in force before anything is published; `None` if there are [`SUBSCRIPTIONS_MAX`] already.
    pub fn subscription(
        &mut self,
        session: SessionIndex,
        id: impl Into<Arc<str>>,
        standard: Standard,
    ) -> Option<SubscriptionIndex> {
        if self.subscriptions.len() >= SUBSCRIPTIONS_MAX {
            return None;
        }
        let id = id.into();
        let index = SubscriptionIndex(self.subscriptions.len());
        let now = self.tick();
        let state = State { standard, requested: now, acknowledged: Some(now) };
        self.subscriptions.push(Subscription { session, id: id.clone(), states: VecDeque::from([state]) });
        let session = &mut self.sessions[session.0];
        session.subscriptions.insert(Bits::of(index));
        session.by_id.insert(id, index);
        Some(index)
    }

    /// A publisher that will publish.
    pub fn publisher(&mut self) -> PublisherIndex {
        self.records.push(Vec::new());
        PublisherIndex(self.records.len() - 1)
    }

    /// About to be published; gives the sequence it must get.
    pub fn publishing(&mut self, publisher: PublisherIndex, attributes: Arc<Attributes>, scheduled_micros: u64) -> u64 {
        let at = self.tick();
        self.progress.published += 1;
        let records = &mut self.records[publisher.0];
        records.push(Record { fate: Fate::Sent { at, attributes }, told: Bits::default(), scheduled_micros });
        sequence(records.len())
    }

    /// The cluster has acknowledged it: now it can be judged.
    pub fn acknowledged(&mut self, publisher: PublisherIndex, sequence: u64) {
        let now = self.tick();
        let Some(record) = record(&mut self.records, publisher, sequence) else { return };
        let Fate::Sent { at, attributes } = &record.fate else { return };
        let (mut must, mut may) = (Bits::default(), Bits::default());
        for (index, subscription) in self.subscriptions.iter().enumerate() {
            let bit = Bits::of(SubscriptionIndex(index));
            let mut judges = subscription.judges(*at, now).map(|standard| standard.matches(attributes));
            let first = judges.next().unwrap_or(false);
            let (mut all, mut any) = (first, first);
            for matches in judges {
                all &= matches;
                any |= matches;
            }
            if all {
                must.insert(bit);
            }
            if any {
                may.insert(bit);
            }
        }
        record.fate = Fate::Judged { must, may };
        self.progress.acknowledged += 1;
        self.progress.owed += must.without(record.told).count();
    }

    /// The cluster did not take it: nobody may get it.
    pub fn refused(&mut self, publisher: PublisherIndex, sequence: u64) {
        let Some(record) = record(&mut self.records, publisher, sequence) else { return };
        if let Fate::Sent { .. } = record.fate {
            record.fate = Fate::Judged { must: Bits::default(), may: Bits::default() };
            self.progress.refused += 1;
        }
    }

    /// About to ask for other filters or another context: one or more subscriptions, changed by one request.
    pub fn requesting(&mut self, standards: impl IntoIterator<Item = (SubscriptionIndex, Standard)>) -> Change {
        let requested = self.tick();
        for (subscription, standard) in standards {
            let states = &mut self.subscriptions[subscription.0].states;
            states.push_back(State { standard, requested, acknowledged: None });
        }
        Change(requested)
    }

    /// The cluster has acknowledged it.
    pub fn granted(&mut self, change: Change) {
        let now = self.tick();
        for subscription in &mut self.subscriptions {
            for state in subscription.states.iter_mut().rev().take_while(|state| state.requested >= change.0) {
                if state.requested == change.0 {
                    state.acknowledged = Some(now);
                }
            }
        }
    }

    /// A notification arrived at a session.
    pub fn delivered<'a>(
        &mut self,
        session: SessionIndex,
        publisher: PublisherIndex,
        sequence: u64,
        subscriptions: impl Iterator<Item = &'a str>,
    ) -> Arrival {
        let session = &mut self.sessions[session.0];
        let Some(record) = record(&mut self.records, publisher, sequence) else {
            session.tally.unexpected += 1;
            return Arrival::Wrong;
        };
        if !record.told.and(session.subscriptions).is_empty() {
            session.tally.duplicated += 1;
            return Arrival::Wrong;
        }
        let mut told = Bits::default();
        for id in subscriptions {
            match session.by_id.get(id) {
                Some(index) => told.insert(Bits::of(*index)),
                None => session.tally.unexpected += 1,
            }
        }
        if told.is_empty() {
            session.tally.unexpected += 1;
            return Arrival::Wrong;
        }
        if let Fate::Judged { must, .. } = record.fate {
            self.progress.owed -= must.and(told).count();
        }
        record.told.insert(told);
        let last = session.last.entry(publisher).or_default();
        if sequence < *last {
            session.tally.reordered += 1;
        } else {
            *last = sequence;
        }
        session.tally.delivered += 1;
        self.progress.delivered += 1;
        Arrival::First { scheduled_micros: record.scheduled_micros }
    }

    /// The cluster says that it gave up notifications of a session.
    pub fn dropped(&mut self, session: SessionIndex, notifications: u64) {
        self.sessions[session.0].tally.dropped += notifications;
    }

    /// How far everything has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// What arrived at a session until now.
    #[must_use]
    pub fn tally(&self, session: SessionIndex) -> Tally {
        self.sessions[session.0].tally
    }

    /// The names and tallies of all sessions, everything that was told or not told included. To be called at the end.
    #[must_use]
    pub fn settle(&self) -> Vec<(Arc<str>, Tally)> {
        let mut tallies: Vec<_> = self.sessions.iter().map(|session| (session.name.clone(), session.tally)).collect();
        for record in self.records.iter().flatten() {
            let Fate::Judged { must, may } = record.fate else { continue };
            let (missing, unexpected) = (must.without(record.told), record.told.without(may));
            if missing.is_empty() && unexpected.is_empty() {
                continue;
            }
            for (index, subscription) in self.subscriptions.iter().enumerate() {
                let bit = Bits::of(SubscriptionIndex(index));
                let tally = &mut tallies[subscription.session.0].1;
                tally.missing += missing.and(bit).count();
                tally.unexpected += unexpected.and(bit).count();
            }
        }
        tallies
    }

    /// What a subscription stands for now, for people.
    #[must_use]
    pub fn describe(&self, session: SessionIndex) -> Vec<String> {
        let subscriptions = self.subscriptions.iter().filter(|subscription| subscription.session == session);
        let latest = subscriptions.filter_map(|subscription| Some((&subscription.id, subscription.states.back()?)));
        latest.map(|(_, state)| state.standard.filter.to_string()).collect()
    }
}

impl Subscription {
    /// The states that may judge a publication sent at `sent` and acknowledged at `acknowledged`: from the last one that was
    /// in force before it was sent to the last one requested before it was acknowledged.
    fn judges(&self, sent: Tick, acknowledged: Tick) -> impl Iterator<Item = &Standard> {
        let in_force = |state: &State| state.acknowledged.is_some_and(|at| at <= sent);
        let first = self.states.iter().rposition(in_force).unwrap_or(0);
        let states = self.states.iter().skip(first);
        states.take_while(move |state| state.requested <= acknowledged).map(|state| &state.standard)
    }
}

fn sequence(length: usize) -> u64 {
    u64::try_from(length).expect("lengths fit 64 bits")
}

fn record(records: &mut [Vec<Record>], publisher: PublisherIndex, sequence: u64) -> Option<&mut Record> {
    let index = usize::try_from(sequence.checked_sub(1)?).ok()?;
    records.get_mut(publisher.0)?.get_mut(index)
}

#[cfg(test)]
mod tests;
