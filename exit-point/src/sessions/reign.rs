//! Who decides about the sessions of a slice: taking over, and letting go.
//!
//! A reign begins when everybody who may have led before has said that it decides no more, or is declared dead. Connection points are
//! then asked who is attached, and how far each client is: they refuse whatever comes of lower terms from the moment on at which they
//! know of this one, so that what they say is final. Sessions go on connection point by connection point, as they answer; who was
//! attached and is attached nowhere when all have answered is detached.

use std::collections::BTreeSet;
use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::identity::{Generation, SessionKey, Term};
use gomera_cluster::layout::{Epoch, Layout, SessionSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::connection_point::{AttachRefusal, AttachRefused, EndReason, Ended};
use gomera_cluster::message::copies::{AttachTerm, AttachedHere, Ending, Handover, TermAttached};
use gomera_cluster::message::{Message, ToConnectionPoint, ToExitPoint};
use gomera_cluster::position::Vector;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::time::Instant;

use super::end::NEVER;
use super::{COUNTER_BITS, Sessions};
use crate::outbox::Freed;
use crate::relay::Then;
use crate::replicas::{Inheritance, Replicas, Stance, Turn, Unrest, leading};
use crate::session::{Answering, Attached, Attachment, Belief, Decided, Detached, SessionId};

/// Whether a session began under this term, or a later one: nobody decided about it before.
fn began_under(term: Term, birth: Generation) -> bool {
    birth.0.wrapping_shr(COUNTER_BITS) >= term.0
}

/// The layout before whose barriers whoever decided about a session earlier may have sent what is merged here now. (A term is the
/// number of the layout that began it.)
pub(super) fn inherited_before(slice: SessionSlice, birth: Generation, replicas: &Replicas) -> Epoch {
    let reign = replicas.reign(slice).filter(|reign| !began_under(reign.term, birth));
    reign.map_or(Epoch(0), |reign| Epoch(reign.term.0))
}

/// How far the clients of a session are believed: one that lived under an earlier reign may have been sent more than is merged here.
pub(super) fn belief<'layout>(
    slice: SessionSlice,
    birth: Generation,
    replicas: &Replicas,
    layout: Option<&'layout Layout>,
) -> Belief<'layout> {
    match (replicas.reign(slice), layout) {
        (Some(reign), _) if began_under(reign.term, birth) => Belief::Merged,
        (Some(_) | None, Some(layout)) => Belief::Lanes(layout),
        (Some(_) | None, None) => Belief::Merged,
    }
}

impl Sessions {
    /// Takes over and lets go what a layout says.
    pub(super) fn follow_layout(&mut self, now: Instant, layout: &Arc<Layout>, first: bool, unrest: Unrest) {
        let mut turns = Vec::new();
        self.replicas.follow(layout, self.address, first, &mut turns);
        self.replicas.unsettle(layout, unrest);
        self.followers.retain(|&slice, followers| {
            let placement = layout.session_placement(slice);
            followers.retain(|&follower| placement.role(follower).is_some());
            !followers.is_empty()
        });
        if first {
            self.begin_followed(layout);
        }
        self.relay.retain(|to| layout.names(to));
        self.copying.retain(|&to, _| layout.names(to));
        for (slice, turn) in turns {
            match turn {
                Turn::Drop => self.drop_slice(slice),
                Turn::StepDown(active, term) => {
                    self.step_down(slice);
                    self.hand_over(active, Handover { slice, term, follows: true });
                }
                Turn::Claim => {
                    // Of ours, if it led before: everything is decided anew, by the later term.
                    self.step_down(slice);
                    self.claim(now, slice);
                }
                // What others said and who follows stays.
                Turn::ClaimOn => self.begin_if_due(now, slice),
                Turn::BeginAnew(term) => {
                    self.drop_slice(slice);
                    self.reigns.push((slice, term));
                }
            }
        }
        self.stop_loading();
        self.settle_points(now);
        self.release(now);
    }

    /// In the first layout of all, standbys have what there is: nothing.
    fn begin_followed(&mut self, layout: &Layout) {
        let led = self.replicas.iter().filter(|(_, stance)| match stance {
            Stance::Leading(reign) => reign.inheritance == Inheritance::Whole,
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Loading { .. }
            | Stance::Following(_)
            | Stance::Heir { .. } => false,
        });
        for (slice, _) in led {
            let others = layout.session_placement(slice).replicas.iter().map(|replica| replica.holder);
            let others: BTreeSet<_> = others.filter(|&other| other != self.address).collect();
            if !others.is_empty() {
                self.followers.insert(slice, others);
            }
        }
    }

    /// A slice is not of this shard any more.
    fn drop_slice(&mut self, slice: SessionSlice) {
        self.step_down(slice);
        for id in self.sessions_of(slice).collect::<Vec<_>>() {
            self.drop_session(id);
        }
        for key in self.endings_of(slice) {
            self.drop_ending(key);
        }
    }

    /// This shard decides about a slice no more.
    fn step_down(&mut self, slice: SessionSlice) {
        self.tell_dropped();
        self.followers.remove(&slice);
        self.unsettled.remove(&slice);
        self.reigns.retain(|&(of, _)| of != slice);
        self.copying.retain(|_, copying| !copying.concerns(slice));
        for then in self.relay.take_out(|of| of == slice) {
            match then {
                Then::Answer(answer) => {
                    let (connection, session) = (answer.connection, answer.session);
                    if self.layout.as_ref().is_some_and(|layout| layout.names(answer.from)) {
                        let reason = AttachRefusal::NotActive;
                        self.send_refused(answer.from, AttachRefused { connection, session, reason });
                    }
                }
                // Whoever decides now sees to it.
                Then::Carry(..) => {}
            }
        }
        self.leave_endings(slice);
        for id in self.sessions_of(slice).collect::<Vec<_>>() {
            self.let_go(id);
        }
    }

    /// A session is decided about elsewhere from now on.
    fn let_go(&mut self, id: SessionId) {
        if self.table[id.0].decided == Decided::Elsewhere {
            return;
        }
        match self.change_attachment(id, |_| Attachment::Detached(Detached { expires: NEVER })) {
            Attachment::Attached(_) => {}
            Attachment::Detached(Detached { expires }) => self.expiry.cancel(expires, id),
        }
        let session = &mut self.table[id.0];
        session.decided = Decided::Elsewhere;
        session.answering = Answering::No;
        session.outbox.rewind();
        self.statistics.copied_bytes += session.outbox.keep(self.config.content_buffers);
        let held = session.outbox.all();
        self.accounts.free(session.tenant, held);
        self.accounts.file(id, session.tenant, &mut session.rank, Freed::default());
        self.accounts.follow(session.tenant, true);
        self.followed.bytes += held.bytes;
        self.followed.notifications += held.notifications;
        self.sessions_followed += 1;
    }

    /// A session is decided about here from now on.
    fn take_up(&mut self, id: SessionId) {
        let session = &mut self.table[id.0];
        if session.decided == Decided::Here && !rules::holds(Rule::AttachedInItsTerm) {
            return;
        }
        session.decided = Decided::Here;
        session.outbox.suspect(&session.doubted);
        let held = session.outbox.all();
        self.accounts.follow(session.tenant, false);
        self.accounts.take(session.tenant, held);
        self.accounts.file(id, session.tenant, &mut session.rank, held);
        self.followed.bytes -= held.bytes;
        self.followed.notifications -= held.notifications;
        self.sessions_followed -= 1;
    }

    fn hand_over(&mut self, to: Address, handover: Handover) {
        // After what was decided last.
        self.drain_relay();
        self.outgoing.push(Send { to, message: Message::ExitPoint(ToExitPoint::HandedOver(handover)) });
    }

    /// Whoever decides about a slice from now on asks whether this shard still does. It does not, by the layout in force.
    pub(crate) fn asked_to_hand_over(&mut self, from: Address, asked: Handover) {
        let follows = self.replicas.is_whole(asked.slice) && self.replicas.hears(asked.slice, from);
        self.hand_over(from, Handover { follows, ..asked });
    }

    fn claim(&mut self, now: Instant, slice: SessionSlice) {
        if let Stance::Heir { term, awaited } = self.replicas.stance(slice).clone() {
            for to in awaited {
                let wanted = ToExitPoint::HandoverWanted(Handover { slice, term, follows: false });
                self.outgoing.push(Send { to, message: Message::ExitPoint(wanted) });
            }
            self.begin_if_due(now, slice);
        }
    }

    /// Another replica decides no more.
    pub(crate) fn handed_over(&mut self, now: Instant, from: Address, handed: Handover) {
        let Stance::Heir { term, awaited } = self.replicas.stance(handed.slice).clone() else { return };
        if term != handed.term || !awaited.contains(&from) {
            return;
        }
        if handed.follows {
            self.followers.entry(handed.slice).or_default().insert(from);
        }
        let awaited = awaited.into_iter().filter(|&other| other != from).collect();
        self.replicas.set(handed.slice, Stance::Heir { term, awaited });
        self.begin_if_due(now, handed.slice);
    }

    /// A reign begins, if nobody else decides any more.
    fn begin_if_due(&mut self, now: Instant, slice: SessionSlice) {
        let (Stance::Heir { term, awaited }, Some(layout)) = (self.replicas.stance(slice).clone(), self.layout.clone())
        else {
            return;
        };
        if !awaited.is_empty() {
            return;
        }
        let points = layout.machines(Layer::ConnectionPoint).collect();
        self.replicas.set(slice, leading(term, points, Inheritance::Whole));
        self.statistics.slices_taken_over += 1;
        for id in self.sessions_of(slice).collect::<Vec<_>>() {
            self.take_up(id);
            self.shed(id);
        }
        self.take_endings(slice);
        self.unsettled.insert(slice);
        self.reigns.push((slice, term));
        self.settle_points(now);
    }

    /// Tells connection points of reigns that begin.
    pub(super) fn announce(&mut self) {
        if self.reigns.is_empty() {
            return;
        }
        let slices = std::mem::take(&mut self.reigns);
        let points: Vec<_> = self.layout.iter().flat_map(|layout| layout.machines(Layer::ConnectionPoint)).collect();
        for to in points {
            self.send(to, ToConnectionPoint::AttachTerm(AttachTerm { slices: slices.clone() }));
        }
    }

    /// A connection point says who is attached there.
    pub(crate) fn adopt(&mut self, now: Instant, from: Address, attached: TermAttached, merged: &Vector) {
        let TermAttached { slice, term, sessions } = attached;
        let reign = self.replicas.reign_mut(slice).filter(|reign| reign.term == term);
        if !reign.is_some_and(|reign| reign.points.remove(&from)) {
            return;
        }
        for session in sessions {
            self.adopt_session(from, slice, session, merged);
        }
        self.settle_points(now);
    }

    fn adopt_session(&mut self, from: Address, slice: SessionSlice, here: AttachedHere, merged: &Vector) {
        let AttachedHere { session: key, tenant, connection, generation, told, granted, received } = here;
        let end = |reason| ToConnectionPoint::Ended(Ended { connection, session: key, generation, reason });
        let Some(&id) = self.by_key.get(&key) else {
            // It is being ended, as its client asked; else nobody has it any more.
            if !self.await_forgotten((key, generation), from, connection) {
                self.statistics.sessions_lost += 1;
                self.send(from, end(EndReason::Lost));
                if !self.is_being_forgotten(key) {
                    self.forget_lost(&Ending { session: key, slice, tenant, generation }, None);
                }
            }
            return;
        };
        if self.table[id.0].generation != generation {
            self.send(from, end(EndReason::Superseded));
            return;
        }
        self.statistics.sessions_adopted += 1;
        let known: Vector = told.iter().filter(|at| self.is_known(at.lane, merged)).collect();
        let session = &mut self.table[id.0];
        session.outbox.adopt(&told, &session.doubted);
        session.given_up.adopt(&known);
        self.change_attachment(id, |_| {
            let mut attached = Attached::new(from, connection, granted, known);
            attached.credit.spend(received.0);
            Attachment::Attached(attached)
        });
        self.queue(id);
    }

    fn is_known(&self, lane: gomera_cluster::position::LaneId, merged: &Vector) -> bool {
        merged.get(lane).0 > 0 || self.layout.as_ref().is_some_and(|layout| layout.lanes.contains_key(&lane))
    }

    fn is_being_forgotten(&self, session: SessionKey) -> bool {
        self.forgets.range((session, Generation(0))..=(session, Generation(u64::MAX))).next().is_some()
    }

    /// Of slices of which every connection point has answered: whoever is attached nowhere is detached from now on.
    fn settle_points(&mut self, now: Instant) {
        let is_settled = |stance: &Stance| match stance {
            Stance::Leading(reign) => reign.points.is_empty(),
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Loading { .. }
            | Stance::Following(_)
            | Stance::Heir { .. } => false,
        };
        for slice in self.unsettled.iter().copied().collect::<Vec<_>>() {
            if !is_settled(self.replicas.stance(slice)) {
                continue;
            }
            self.unsettled.remove(&slice);
            for id in self.sessions_of(slice).collect::<Vec<_>>() {
                let session = &self.table[id.0];
                let is_nowhere = match &session.attachment {
                    Attachment::Detached(detached) => detached.expires == NEVER,
                    Attachment::Attached(_) => false,
                };
                if is_nowhere && session.answering == Answering::No {
                    self.leave(now, id);
                }
            }
        }
    }

    /// Whether a session of a slice that was lost is not here.
    pub(super) fn is_lost(&self, slice: SessionSlice, session: SessionKey) -> bool {
        !self.by_key.contains_key(&session)
            && self.replicas.reign(slice).is_some_and(|reign| reign.inheritance == Inheritance::Lost)
    }
}
