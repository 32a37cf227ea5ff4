//! Attaching to a session and leaving it.

use gomera_cluster::address::Address;
use gomera_cluster::identity::{Generation, Handle, SessionKey};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::message::ToConnectionPoint;
use gomera_cluster::message::connection_point::{
    AttachRefusal, AttachRefused, Attached as ConnectionAttached, EndReason, Ended, Presence,
};
use gomera_cluster::message::copies::{Change, Ending};
use gomera_cluster::message::exit_point::{Attach, Detach};
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::position::Vector;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::time::Instant;

use super::end::{NEVER, Wait};
use super::reign::{belief, inherited_before};
use super::{COUNTER_BITS, Sessions};
use crate::limits::Rank;
use crate::outbox::{Outbox, Start};
use crate::relay::{Answer, Then};
use crate::session::given_up::GivenUp;
use crate::session::patience::Patience;
use crate::session::{Answering, Attached, Attachment, Decided, Detached, Flush, Session, SessionId, Sweep, Terms};

/// From where a client takes its session up.
enum Since<'vector> {
    /// Its beginning, which is this attach, of this generation: nothing can have been sent to it.
    Beginning(Generation),
    /// What it has.
    Vector(&'vector Vector),
    /// The last acknowledgement.
    Acknowledgement,
}

impl Sessions {
    /// A client attaches; the session is created if it does not exist, once its earlier life is forgotten.
    pub(crate) fn attach(&mut self, now: Instant, from: Address, attach: Attach, merged: &Vector) {
        let attach = match self.wait_for_forgotten(from, attach) {
            Wait::Yes => return,
            Wait::No(attach) => attach,
            Wait::Full(attach) => return self.refuse(from, &attach, AttachRefusal::NotActive),
        };
        if self.is_lost(attach.slice, attach.session) {
            // Matchers may have subscriptions of a life that nobody knows of any more.
            let generation = Generation(attach.term.0.wrapping_shl(COUNTER_BITS));
            let (session, slice, tenant) = (attach.session, attach.slice, attach.tenant.clone());
            let ending = Ending { session, slice, tenant, generation };
            return self.forget_lost(&ending, Some((from, attach)));
        }
        self.attach_now(now, from, attach, merged);
    }

    /// Nothing of an earlier life is left, but for what was lost.
    pub(super) fn attach_now(&mut self, now: Instant, from: Address, attach: Attach, merged: &Vector) {
        let existing = self.by_key.get(&attach.session).copied();
        if let Some(reason) = self.refusal(&attach, existing) {
            return self.refuse(from, &attach, reason);
        }
        let generation = self.next_generation(attach.term);
        let (id, presence) = match existing {
            // Whoever led before created it for this very attach, and could not say so any more.
            Some(id) if self.table[id.0].begins_with(attach.attempt) => {
                self.resume(id, Since::Beginning(generation), merged);
                (id, Presence::Created)
            }
            Some(id) => {
                self.resume(id, attach.resume.as_ref().map_or(Since::Acknowledgement, Since::Vector), merged);
                (id, Presence::Resumed)
            }
            None => {
                self.statistics.sessions_created += 1;
                (self.create(&attach, generation, merged), Presence::Created)
            }
        };
        let session = &mut self.table[id.0];
        session.generation = generation;
        session.attempt = attach.attempt;
        session.handle_blocks += 1;
        session.terms = Terms::granted(&attach.options, &self.config);
        session.answering = Answering::Yes;
        let mut record = session.record(attach.tenant, merged);
        self.settle_departing(id, &mut record.acknowledged, merged);
        let needs = self.tell_followers(attach.slice, &Change::Attached(Box::new(record)));
        let Attach { connection, session, slice, term, credit, .. } = attach;
        let answer = Answer { from, connection, session, slice, term, generation, presence, credit };
        if needs.is_empty() {
            self.answer(now, answer);
        } else {
            self.relay.wait(slice, needs, Then::Answer(answer));
        }
    }

    /// Every replica knows of an attach: the client is told.
    pub(super) fn answer(&mut self, now: Instant, answer: Answer) {
        let Answer { from, connection, session: key, slice, term, generation, presence, credit } = answer;
        let is_there = self.layout.as_ref().is_some_and(|layout| layout.names(from));
        let id = self.present(key, generation).filter(|id| self.table[id.0].answering == Answering::Yes);
        let (handle_first, merged) = match id {
            Some(id) => {
                let session = &mut self.table[id.0];
                session.answering = Answering::No;
                if !is_there {
                    self.leave(now, id);
                    return;
                }
                let told = session.acknowledged.clone();
                self.change_attachment(id, |_| Attachment::Attached(Attached::new(from, connection, credit, told)));
                let session = &mut self.table[id.0];
                if session.outbox.is_relieved(session.terms.limits) {
                    session.patience.calm();
                }
                (session.handle_first(), session.acknowledged.clone())
            }
            // Another one came in between.
            None if is_there => (Handle(0), Vector::default()),
            None => return,
        };
        let attached =
            ConnectionAttached { connection, session: key, slice, term, generation, handle_first, presence, merged };
        self.send(from, ToConnectionPoint::Attached(attached));
        match id {
            Some(id) => self.queue(id),
            None => {
                let ended = Ended { connection, session: key, generation, reason: EndReason::Superseded };
                self.send(from, ToConnectionPoint::Ended(ended));
            }
        }
    }

    pub(super) fn refuse(&mut self, from: Address, attach: &Attach, reason: AttachRefusal) {
        self.statistics.attaches_refused += 1;
        self.statistics.attaches_overtaken += u64::from(reason == AttachRefusal::Overtaken);
        self.send_refused(from, AttachRefused { connection: attach.connection, session: attach.session, reason });
    }

    pub(super) fn send_refused(&mut self, to: Address, refused: AttachRefused) {
        self.send(to, ToConnectionPoint::AttachRefused(refused));
    }

    fn refusal(&self, attach: &Attach, existing: Option<SessionId>) -> Option<AttachRefusal> {
        let is_active = self.layout.as_ref().is_some_and(|layout| {
            layout.slice_of_session(attach.session) == attach.slice
                && self.replicas.reign(attach.slice).is_some_and(|reign| reign.term == attach.term)
        });
        if !is_active && rules::holds(Rule::AttachedInItsTerm) {
            return Some(AttachRefusal::NotActive);
        }
        if let Some(existing) = existing {
            let later = self.table[existing.0].attempt;
            return attach.attempt.is_overtaken_by(later).then_some(AttachRefusal::Overtaken);
        }
        let limits = [
            (self.accounts.sessions_of(&attach.tenant), self.config.tenant_sessions_max),
            (self.accounts.node().sessions(), self.config.node_sessions_max),
        ];
        limits.into_iter().find(|(sessions, max)| sessions >= max).map(|(_, max)| AttachRefusal::Sessions(max))
    }

    /// A session that begins with this attachment. What was merged before is not for it.
    fn create(&mut self, attach: &Attach, birth: Generation, merged: &Vector) -> SessionId {
        let tenant = self.accounts.open(&attach.tenant);
        let session = Session {
            key: attach.session,
            slice: attach.slice,
            tenant,
            birth,
            generation: birth,
            attempt: attach.attempt,
            handle_blocks: self.counter.saturating_sub(1),
            terms: Terms::granted(&attach.options, &self.config),
            acknowledged: self.without_departing(merged),
            outbox: Outbox::default(),
            given_up: GivenUp::default(),
            patience: Patience::CALM,
            // Until it is answered.
            attachment: Attachment::Detached(Detached { expires: NEVER }),
            sweep: Sweep::None,
            rank: Rank::Absent,
            flush: Flush::Idle,
            decided: Decided::Here,
            passed: Vector::default(),
            doubted: Vector::default(),
            doubted_before: Epoch(0),
            transfer: TransferId(0),
            answering: Answering::No,
        };
        self.enter(session)
    }

    /// Takes a session up again: the attachment before is over, what the client has is dropped, the rest is to be sent again.
    fn resume(&mut self, id: SessionId, since: Since<'_>, merged: &Vector) {
        self.statistics.sessions_resumed += 1;
        let (key, generation) = (self.table[id.0].key, self.table[id.0].generation);
        let before = self.change_attachment(id, |_| Attachment::Detached(Detached { expires: NEVER }));
        match before {
            Attachment::Attached(attached) => {
                self.statistics.sessions_superseded += 1;
                self.end_attachment(key, generation, &attached, EndReason::Superseded);
            }
            Attachment::Detached(Detached { expires }) => self.expiry.cancel(expires, id),
        }
        let Self { table, layout, .. } = self;
        let session = &mut table[id.0];
        session.outbox.rewind();
        let start = match since {
            Since::Beginning(birth) => {
                session.birth = birth;
                (session.doubted, session.doubted_before) = (Vector::default(), Epoch(0));
                Start::Beginning
            }
            Since::Vector(through) => {
                session.settle(
                    through,
                    merged,
                    belief(session.slice, session.birth, &self.replicas, layout.as_deref()),
                );
                Start::Vector
            }
            Since::Acknowledgement => {
                session.doubted = merged.clone();
                session.doubted_before = inherited_before(session.slice, session.birth, &self.replicas);
                Start::Acknowledgement
            }
        };
        let settled = &session.acknowledged;
        let freed = session.outbox.remove(|entry| settled.covers(entry.position));
        session.outbox.begin(start);
        session.given_up.attach(&session.acknowledged);
        self.statistics.notifications_acknowledged += freed.notifications;
        self.freed(id, freed);
    }

    /// The connection of an attachment is gone.
    pub(crate) fn detach(&mut self, now: Instant, detach: Detach) {
        let Some(id) = self.present(detach.session, detach.generation).filter(|&id| self.decides(id)) else {
            return;
        };
        match self.table[id.0].attachment {
            Attachment::Attached(_) => {
                self.leave(now, id);
            }
            Attachment::Detached(_) => {}
        }
    }

    /// Connection points are gone without a word: so are the connections they held.
    pub(super) fn abandon(&mut self, now: Instant, layout: &Layout) {
        let is_abandoned = |session: &Session| match &session.attachment {
            Attachment::Attached(attached) => !layout.names(attached.connection_point),
            Attachment::Detached(_) => false,
        };
        let abandoned = self.table.iter().filter(|(_, session)| is_abandoned(session));
        for id in abandoned.map(|(id, _)| SessionId(id)).collect::<Vec<_>>() {
            self.leave(now, id);
        }
    }

    /// Ends the attachment of a session that is too slow.
    pub(super) fn disconnect(&mut self, now: Instant, id: SessionId) {
        let (key, generation): (SessionKey, Generation) = (self.table[id.0].key, self.table[id.0].generation);
        match self.leave(now, id) {
            Attachment::Attached(attached) => {
                self.statistics.sessions_slow += 1;
                self.end_attachment(key, generation, &attached, EndReason::Slow);
            }
            Attachment::Detached(_) => {}
        }
    }

    /// Nobody is attached any more. The session lives on for a while, or not: it may be gone after this.
    pub(super) fn leave(&mut self, now: Instant, id: SessionId) -> Attachment {
        let expires = now + self.table[id.0].terms.expires_after;
        let before = self.change_attachment(id, |_| Attachment::Detached(Detached { expires }));
        self.expiry.set(expires, id);
        let session = &mut self.table[id.0];
        session.patience.go(now);
        session.outbox.rewind();
        // What stays from now on must not lean on the frames that brought it.
        self.statistics.copied_bytes += session.outbox.keep(self.config.content_buffers);
        if session.terms.expires_after.is_zero() {
            self.expire_session(id);
        }
        before
    }
}
