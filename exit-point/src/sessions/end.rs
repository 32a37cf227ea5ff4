//! How sessions end, and how matchers are made to forget them.
//!
//! ```text
//!  EndSession, expired ──▶ removed, Forget(generation) to the access point ──▶ forgetting ── Forgotten ──▶ (nothing)
//!                                                                                  ├─▶ Ended(EndedByClient), if a client asked
//!                                                                                  └─▶ attaches that came meanwhile
//! ```
//! A session begins anew when the old one is forgotten: a matcher that still had a subscription of the earlier life would let
//! the new one update, pause or read it, and judge the new one's filters by the old context. Whoever is being forgotten still
//! counts as a session: otherwise clients that create and end sessions could fill matchers.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Generation, SessionKey};
use gomera_cluster::layout::{Layout, SessionSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::access_point::Forget;
use gomera_cluster::message::connection_point::{AttachRefusal, EndReason, Ended};
use gomera_cluster::message::copies::{Change, Ending};
use gomera_cluster::message::exit_point::{Attach, EndSession, Forgotten};
use gomera_cluster::message::{Message, ToAccessPoint, ToConnectionPoint};
use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::time::Instant;

use super::Sessions;
use crate::limits::TenantId;
use crate::outbox::Freed;
use crate::relay::Then;
use crate::session::{Attachment, Decided, Detached, Session, SessionId, Sweep};

/// Sessions that matchers have yet to forget, up to which generation. Bounded by the limits of sessions.
pub(super) type Forgets = BTreeMap<(SessionKey, Generation), Forgetting>;

/// A session that matchers have yet to forget.
#[derive(Debug)]
pub(super) struct Forgetting {
    pub(super) tenant: TenantId,
    pub(super) slice: SessionSlice,
    carriage: Carriage,
    answer: Answer,
    /// Who wants to begin it anew, in the order in which they came.
    waiting: Vec<(Address, Attach)>,
}

/// Attaches that may wait for one session to be forgotten. Full: the connection point is told to try again.
const WAITING_MAX: usize = 16;

/// Where the `Forget` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Carriage {
    /// Handed to the writer of a lane.
    Handed(LaneId, Address),
    /// No lane is open: with the next layout.
    Waiting,
    /// Other replicas of the slice are to hear first that the session ended.
    Telling,
    /// Another replica sees to it.
    Elsewhere,
}

/// Who is told when it is forgotten.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// Nobody: it expired.
    None,
    /// The client that ended it.
    Client { connection_point: Address, connection: ConnectionId },
}

/// Whether an attach waits.
#[derive(Debug)]
pub(super) enum Wait {
    /// It does.
    Yes,
    /// There is nothing to wait for.
    No(Attach),
    /// Too many do already.
    Full(Attach),
}

impl Sessions {
    /// A client ends its session.
    pub(crate) fn end(&mut self, end: EndSession) {
        let Some(id) = self.present(end.session, end.generation).filter(|&id| self.decides(id)) else {
            return;
        };
        let answer = match &self.table[id.0].attachment {
            // Its attachment ended first (slow, say): the answer would reach nobody.
            Attachment::Detached(_) => Answer::None,
            Attachment::Attached(attached) => {
                Answer::Client { connection_point: attached.connection_point, connection: attached.connection }
            }
        };
        self.statistics.sessions_ended += 1;
        self.remove(id, answer);
    }

    /// A session has lived without an attachment for as long as it may.
    pub(super) fn expire_session(&mut self, id: SessionId) {
        self.statistics.sessions_expired += 1;
        self.remove(id, Answer::None);
    }

    fn remove(&mut self, id: SessionId, answer: Answer) {
        let session = self.take_out(id);
        let (key, generation, slice) = (session.key, session.generation, session.slice);
        let ending = self.ending(key, generation, slice, session.tenant);
        let needs = self.tell_followers(slice, &Change::Ended(ending));
        let carriage = if needs.is_empty() { Carriage::Waiting } else { Carriage::Telling };
        let forgetting = Forgetting { tenant: session.tenant, slice, carriage, answer, waiting: Vec::new() };
        self.forgets.insert((key, generation), forgetting);
        if needs.is_empty() {
            self.carry_forget((key, generation));
        } else {
            self.relay.wait(slice, needs, Then::Carry(key, generation));
        }
    }

    fn ending(&self, session: SessionKey, generation: Generation, slice: SessionSlice, tenant: TenantId) -> Ending {
        Ending { session, slice, tenant: self.accounts.name(tenant).clone(), generation }
    }

    /// Every replica has heard that a session ended.
    pub(super) fn carry(&mut self, key: (SessionKey, Generation)) {
        if let Some(forgetting) = self.forgets.get_mut(&key)
            && forgetting.carriage == Carriage::Telling
        {
            forgetting.carriage = Carriage::Waiting;
            self.carry_forget(key);
        }
    }

    /// A session is being forgotten, and another replica sees to it.
    pub(super) fn note_ending(&mut self, ending: &Ending) {
        let key = (ending.session, ending.generation);
        if self.forgets.contains_key(&key) {
            return;
        }
        let tenant = self.accounts.open(&ending.tenant);
        self.accounts.follow(tenant, true);
        let (slice, answer, waiting) = (ending.slice, Answer::None, Vec::new());
        self.forgets.insert(key, Forgetting { tenant, slice, carriage: Carriage::Elsewhere, answer, waiting });
    }

    /// Another replica has seen to it.
    pub(super) fn drop_ending(&mut self, key: (SessionKey, Generation)) {
        if let Some(forgetting) = self.forgets.remove(&key) {
            if forgetting.carriage == Carriage::Elsewhere {
                self.accounts.follow(forgetting.tenant, false);
            }
            self.accounts.close(forgetting.tenant);
        }
    }

    /// Sees to what is to be forgotten of a slice from now on.
    pub(super) fn take_endings(&mut self, slice: SessionSlice) {
        for key in self.endings_of(slice) {
            let forgetting = self.forgets.get_mut(&key).expect("it was just there");
            if std::mem::replace(&mut forgetting.carriage, Carriage::Waiting) == Carriage::Elsewhere {
                self.accounts.follow(forgetting.tenant, false);
            }
            self.carry_forget(key);
        }
    }

    /// Another replica sees to what is to be forgotten of a slice; who waits for it is sent there.
    pub(super) fn leave_endings(&mut self, slice: SessionSlice) {
        for key in self.endings_of(slice) {
            let forgetting = self.forgets.get_mut(&key).expect("it was just there");
            forgetting.answer = Answer::None;
            if std::mem::replace(&mut forgetting.carriage, Carriage::Elsewhere) != Carriage::Elsewhere {
                self.accounts.follow(forgetting.tenant, true);
            }
            for (from, attach) in std::mem::take(&mut forgetting.waiting) {
                self.refuse(from, &attach, AttachRefusal::NotActive);
            }
        }
    }

    /// What is to be forgotten of a slice.
    pub(super) fn endings_of(&self, slice: SessionSlice) -> Vec<(SessionKey, Generation)> {
        self.forgets.iter().filter(|(_, forgetting)| forgetting.slice == slice).map(|(&key, _)| key).collect()
    }

    /// The same, for another replica.
    pub(super) fn list_endings(&self, slice: SessionSlice) -> Vec<Ending> {
        let ending = |key: (SessionKey, Generation)| self.ending(key.0, key.1, slice, self.forgets[&key].tenant);
        self.endings_of(slice).into_iter().map(ending).collect()
    }

    /// A client is attached to a session that is being forgotten: it asked for its end, or the session was lost. Whether it waits.
    pub(super) fn await_forgotten(&mut self, key: (SessionKey, Generation), point: Address, to: ConnectionId) -> bool {
        match self.forgets.get_mut(&key) {
            Some(forgetting) => {
                forgetting.answer = Answer::Client { connection_point: point, connection: to };
                true
            }
            None => false,
        }
    }

    /// A session is not here and has to be forgotten all the same.
    pub(super) fn forget_lost(&mut self, ending: &Ending, waiting: Option<(Address, Attach)>) {
        let tenant = self.accounts.open(&ending.tenant);
        let key = (ending.session, ending.generation);
        let (slice, answer, carriage) = (ending.slice, Answer::None, Carriage::Waiting);
        let waiting = waiting.into_iter().collect();
        self.forgets.insert(key, Forgetting { tenant, slice, carriage, answer, waiting });
        self.carry_forget(key);
    }

    /// Takes a session out of all tables.
    pub(super) fn take_out(&mut self, id: SessionId) -> Box<Session> {
        match self.change_attachment(id, |_| Attachment::Detached(Detached { expires: NEVER })) {
            Attachment::Attached(_) => {}
            Attachment::Detached(Detached { expires }) => self.expiry.cancel(expires, id),
        }
        let mut session = self.strike(id);
        match session.sweep {
            Sweep::None => {}
            Sweep::At(at) => self.sweeps.cancel(at, id),
        }
        let held = session.outbox.all();
        match session.decided {
            Decided::Here => {
                self.accounts.free(session.tenant, held);
                self.accounts.file(id, session.tenant, &mut session.rank, Freed::default());
                self.statistics.notifications_abandoned += held.notifications;
            }
            Decided::Elsewhere => {
                self.followed.bytes -= held.bytes;
                self.followed.notifications -= held.notifications;
                self.sessions_followed -= 1;
                self.accounts.follow(session.tenant, false);
            }
        }
        self.dropped.remove(&session.key);
        self.discarded.push(std::mem::take(&mut session.outbox));
        session
    }

    /// Lets an attach wait if its session is being forgotten. Gives it back if it is not, or if no more can wait.
    pub(super) fn wait_for_forgotten(&mut self, from: Address, attach: Attach) -> Wait {
        let lives = (attach.session, Generation(0))..=(attach.session, Generation(u64::MAX));
        let Some((_, forgetting)) = self.forgets.range_mut(lives).next_back() else {
            return Wait::No(attach);
        };
        if forgetting.waiting.len() >= WAITING_MAX {
            return Wait::Full(attach);
        }
        forgetting.waiting.push((from, attach));
        Wait::Yes
    }

    /// All matchers have forgotten a session.
    pub(crate) fn forgotten(&mut self, now: Instant, forgotten: Forgotten, merged: &Vector) {
        let (session, generation) = (forgotten.session, forgotten.generation);
        let Some(forgetting) = self.forgets.remove(&(session, generation)) else {
            return;
        };
        if forgetting.carriage == Carriage::Elsewhere {
            self.accounts.follow(forgetting.tenant, false);
        } else {
            let ending = self.ending(session, generation, forgetting.slice, forgetting.tenant);
            self.tell_followers(forgetting.slice, &Change::Forgotten(ending));
        }
        self.accounts.close(forgetting.tenant);
        match forgetting.answer {
            Answer::None => {}
            Answer::Client { connection_point, connection } => {
                let ended = Ended { connection, session, generation, reason: EndReason::EndedByClient };
                self.send(connection_point, ToConnectionPoint::Ended(ended));
            }
        }
        for (from, attach) in forgetting.waiting {
            self.attach_now(now, from, attach, merged);
        }
    }

    /// Hands every `Forget` whose lane is gone to another one.
    pub(super) fn carry_forgets(&mut self) {
        let keys = self.forgets.keys().copied().collect::<Vec<_>>();
        for key in keys {
            self.carry_forget(key);
        }
    }

    fn carry_forget(&mut self, key: (SessionKey, Generation)) {
        let (Some(layout), Some(forgetting)) = (&self.layout, self.forgets.get_mut(&key)) else {
            return;
        };
        if forgetting.carriage.stands(layout) {
            return;
        }
        let Some((lane, writer)) =
            layout.lane_of_session(key.0).and_then(|lane| layout.writer(lane).map(|writer| (lane, writer)))
        else {
            forgetting.carriage = Carriage::Waiting;
            return;
        };
        forgetting.carriage = Carriage::Handed(lane, writer);
        let tenant = self.accounts.name(forgetting.tenant).clone();
        let forget = Forget { lane, tenant, session: key.0, generation: key.1 };
        self.outgoing.push(Send { to: writer, message: Message::AccessPoint(ToAccessPoint::Forget(forget)) });
    }
}

impl Forgetting {
    /// Whether this connection point waits for the end of the session.
    pub(super) fn concerns(&self, connection_point: Address) -> bool {
        let answered = match self.answer {
            Answer::None => false,
            Answer::Client { connection_point: asked, connection: _ } => asked == connection_point,
        };
        answered || self.waiting.iter().any(|&(from, _)| from == connection_point)
    }

    /// Connection points are gone: nobody waits there for an answer any more, and nobody is to be attached there.
    pub(super) fn abandon(&mut self, layout: &Layout) {
        match self.answer {
            Answer::Client { connection_point, connection: _ } if !layout.names(connection_point) => {
                self.answer = Answer::None;
            }
            Answer::None | Answer::Client { .. } => {}
        }
        self.waiting.retain(|&(from, _)| layout.names(from));
    }
}

impl Carriage {
    /// Whether the `Forget` is on a lane that exists.
    fn stands(self, layout: &Layout) -> bool {
        match self {
            Self::Handed(lane, writer) => layout.writer(lane) == Some(writer),
            Self::Waiting => false,
            Self::Telling | Self::Elsewhere => true,
        }
    }
}

/// Where a session on its way out expires.
pub(super) const NEVER: Instant = Instant::from_start(std::time::Duration::MAX);
