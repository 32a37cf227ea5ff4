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
use gomera_cluster::layout::Layout;
use gomera_cluster::machine::Send;
use gomera_cluster::message::access_point::Forget;
use gomera_cluster::message::connection_point::{EndReason, Ended};
use gomera_cluster::message::exit_point::{Attach, EndSession, Forgotten};
use gomera_cluster::message::{Message, ToAccessPoint, ToConnectionPoint};
use gomera_cluster::position::{LaneId, Vector};
use gomera_cluster::time::Instant;

use super::Sessions;
use crate::limits::TenantId;
use crate::session::{Attachment, Detached, SessionId, Sweep};

/// Sessions that matchers have yet to forget, up to which generation. Bounded by the limits of sessions.
pub(super) type Forgets = BTreeMap<(SessionKey, Generation), Forgetting>;

/// A session that matchers have yet to forget.
#[derive(Debug)]
pub(super) struct Forgetting {
    tenant: TenantId,
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
        let Some(id) = self.present(end.session, end.generation) else {
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
        match self.change_attachment(id, |_| Attachment::Detached(Detached { expires: NEVER })) {
            Attachment::Attached(_) => {}
            Attachment::Detached(Detached { expires }) => self.expiry.cancel(expires, id),
        }
        let mut session = self.table.remove(id.0);
        self.by_key.remove(&session.key);
        match session.sweep {
            Sweep::None => {}
            Sweep::At(at) => self.sweeps.cancel(at, id),
        }
        let held = session.outbox.all();
        self.accounts.free(session.tenant, held);
        self.accounts.file(id, session.tenant, &mut session.rank, crate::outbox::Freed::default());
        self.statistics.notifications_abandoned += held.notifications;
        self.discarded.push(std::mem::take(&mut session.outbox));
        let forgetting =
            Forgetting { tenant: session.tenant, carriage: Carriage::Waiting, answer, waiting: Vec::new() };
        self.forgets.insert((session.key, session.generation), forgetting);
        self.carry_forget((session.key, session.generation));
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
        self.accounts.close(forgetting.tenant);
        match forgetting.answer {
            Answer::None => {}
            Answer::Client { connection_point, connection } => {
                let ended = Ended { connection, session, generation, reason: EndReason::EndedByClient };
                self.send(connection_point, ToConnectionPoint::Ended(ended));
            }
        }
        for (from, attach) in forgetting.waiting {
            self.attach(now, from, attach, merged);
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
        }
    }
}

/// Where a session on its way out expires.
const NEVER: Instant = Instant::from_start(std::time::Duration::MAX);
