//! How sessions end, and how matchers are made to forget them.
//!
//! ```text
//!  EndSession, expired ──▶ removed, Forget(generation) to the access point ──▶ forgetting ── Forgotten ──▶ (nothing)
//!                                                                                  └─▶ Ended(EndedByClient), if a client asked
//! ```
//! A session may begin anew while the old one is being forgotten: generations tell their subscriptions apart. Whoever is being
//! forgotten still counts as a session: otherwise clients that create and end sessions could fill matchers.

use std::collections::BTreeMap;

use gomera_cluster::address::Address;
use gomera_cluster::identity::{ConnectionId, Generation, SessionKey};
use gomera_cluster::layout::Layout;
use gomera_cluster::machine::Send;
use gomera_cluster::message::access_point::Forget;
use gomera_cluster::message::connection_point::{EndReason, Ended};
use gomera_cluster::message::exit_point::{EndSession, Forgotten};
use gomera_cluster::message::{Message, ToAccessPoint, ToConnectionPoint};
use gomera_cluster::position::LaneId;

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
}

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
        let forgetting = Forgetting { tenant: session.tenant, carriage: Carriage::Waiting, answer };
        self.forgets.insert((session.key, session.generation), forgetting);
        self.carry_forget((session.key, session.generation));
    }

    /// All matchers have forgotten a session.
    pub(crate) fn forgotten(&mut self, forgotten: Forgotten) {
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
const NEVER: gomera_cluster::time::Instant = gomera_cluster::time::Instant::from_start(std::time::Duration::MAX);
