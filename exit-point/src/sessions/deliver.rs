//! Putting what is merged into outboxes.

use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::identity::{Generation, Handle};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::connection_point::Satisfied;
use gomera_cluster::message::exit_point::{Handles, Target};
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::position::{LaneId, Position};
use gomera_cluster::publication::{Envelope, PublicationKey};
use gomera_cluster::session::HandleDetail;
use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;

use super::Sessions;
use super::give_up::Room;
use super::receiving::Early;
use super::reign::inherited_before;
use crate::lane::Complete;
use crate::notify::satisfied_bytes;
use crate::outbox::{Audience, Entry, Lean, Step, copied_bytes, keepable};
use crate::session::{Attachment, Decided, SessionId, Sweep};
use crate::settled::{Inherited, Scope};

/// Whether a position may be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Now.
    Go,
    /// Not before a session that blocks has room, or until then.
    Wait(Instant),
}

impl Sessions {
    /// Decides whether a position with these targets may be merged: only sessions that block can delay it, each at most for
    /// what is left of its patience; after that it is disconnected.
    pub(crate) fn admit<'lane>(&mut self, now: Instant, targets: impl Iterator<Item = &'lane Target>) -> Admission {
        let mut admission = Admission::Go;
        for target in targets {
            let Some(&id) = self.by_key.get(&target.session) else {
                continue;
            };
            let session = &mut self.table[id.0];
            let wait_max = session.wait_max();
            let blocks = !wait_max.is_zero()
                && session.is_full()
                && target.handles.iter().any(|(generation, _)| generation >= session.birth);
            if !blocks {
                session.patience.go(now);
                if session.outbox.is_relieved(session.terms.limits) {
                    session.patience.calm();
                }
                continue;
            }
            let left = session.patience.wait(now, wait_max);
            if left == Duration::ZERO {
                self.disconnect(now, id);
                continue;
            }
            admission = match admission {
                Admission::Go => Admission::Wait(now + left),
                Admission::Wait(until) => Admission::Wait(until.min(now + left)),
            };
        }
        admission
    }

    /// Puts a complete position into the outboxes of all whom it concerns.
    pub(crate) fn deliver(&mut self, now: Instant, position: Position, complete: Complete, step: &Arc<Step>) {
        let Complete { envelope, targets, governed } = complete;
        if envelope.expires_at.is_some_and(|expires| expires <= self.wall) {
            self.statistics.notifications_expired += u64::try_from(targets.len()).expect("a length fits 64 bits");
            return;
        }
        let audience = if targets.len() > 1 { Audience::Several } else { Audience::One };
        let envelope_cost = envelope.cost();
        let mut kept = Kept::NotNeeded;
        for target in targets {
            let Some(&id) = self.by_key.get(&target.session) else {
                if self.is_loading(target.session) {
                    let envelope = self.kept(&envelope, &mut kept);
                    self.keep_early(Early { position, envelope, handles: target.handles }, target.session);
                } else {
                    self.statistics.targets_unknown += 1;
                }
                continue;
            };
            let session = &mut self.table[id.0];
            if session.has_passed(position) {
                continue;
            }
            if self.is_inherited(id, envelope.key) {
                self.statistics.publications_repeated += 1;
                continue;
            }
            let session = &self.table[id.0];
            let detail = match session.decided {
                Decided::Here => session.terms.detail,
                // Its client may ask for another one before it is decided about here.
                Decided::Elsewhere => HandleDetail::All,
            };
            let Some(satisfied) = satisfied(&target.handles, session.birth, detail) else {
                self.statistics.targets_outlived += 1;
                continue;
            };
            if session.decided == Decided::Here && self.needs_room(id) {
                match self.make_room(now, id) {
                    Room::Made => {}
                    Room::Gone => {
                        self.statistics.notifications_abandoned += 1;
                        continue;
                    }
                }
            }
            let (envelope, lean) = if self.table[id.0].is_behind(self.config.behind_bytes) {
                (self.kept(&envelope, &mut kept), Lean::Itself)
            } else {
                (Arc::clone(&envelope), Lean::Frame)
            };
            let cost = envelope_cost + satisfied_bytes(&satisfied);
            let entry = Entry { position, envelope, step: Arc::clone(step), satisfied, cost, lean, audience };
            self.place(id, entry, governed);
        }
    }

    /// Whether something that this shard settled by a lane may be to come for some slices.
    pub(crate) fn has_disputes(&self, by: LaneId) -> bool {
        self.inherited.values().any(|inherited| inherited.had_ended(by))
    }

    /// Puts a second copy into the outboxes of those for whom the first one, which this shard settled `by` a lane, does not count: who
    /// decides about them has cut that lane before it.
    pub(crate) fn deliver_disputed(
        &mut self,
        now: Instant,
        position: Position,
        complete: Complete,
        step: &Arc<Step>,
        by: LaneId,
    ) {
        let Some(layout) = self.layout.clone() else { return };
        let Complete { envelope, mut targets, governed } = complete;
        targets.retain(|target| {
            let slice = layout.slice_of_session(target.session);
            match self.by_key.get(&target.session) {
                Some(&id) => self.inheritances(id).any(|inherited| inherited.disputes(slice, by)),
                // What counts for it comes with it.
                None => self.inherited.values().any(|inherited| inherited.disputes(slice, by)),
            }
        });
        let key = envelope.key;
        self.deliver(now, position, Complete { envelope, targets, governed }, step);
        self.inherited
            .values_mut()
            .filter(|inherited| inherited.had_ended(by))
            .for_each(|inherited| inherited.settle(key));
    }

    /// What replicas that decided about a session said of publishers.
    fn inheritances(&self, id: SessionId) -> impl Iterator<Item = &Inherited> {
        let brought_by = self.table[id.0].transfer;
        let counts = move |&(&transfer, inherited): &(&TransferId, &Inherited)| match inherited.scope() {
            Scope::Copied => transfer == brought_by,
            Scope::All => true,
        };
        self.inherited.iter().filter(counts).map(|(_, inherited)| inherited)
    }

    /// Whether a publication is in the outbox of a session, or was, by what they said.
    pub(super) fn is_inherited(&self, id: SessionId, key: PublicationKey) -> bool {
        let slice = self.table[id.0].slice;
        self.inheritances(id).any(|inherited| inherited.is_repeat(slice, key))
    }

    /// Puts something in that comes with a copy: whether it may have been sent is said by the copy.
    pub(super) fn put(&mut self, id: SessionId, entry: Entry) {
        self.place(id, entry, Epoch(u64::MAX));
    }

    /// Puts something in. What lies before the barrier of the layout by which this shard decides, whoever decided before may have merged
    /// first, and sent.
    fn place(&mut self, id: SessionId, entry: Entry, governed: Epoch) {
        let session = &mut self.table[id.0];
        match session.decided {
            Decided::Here => self.accounts.add(session.tenant, entry.cost),
            Decided::Elsewhere => {
                self.followed.bytes += entry.cost;
                self.followed.notifications += 1;
            }
        }
        if let Some(expires) = entry.envelope.expires_at {
            let due = sweep_due(expires);
            match session.sweep {
                Sweep::At(at) if at <= due => {}
                Sweep::At(at) => {
                    self.sweeps.cancel(at, id);
                    self.sweeps.set(due, id);
                    session.sweep = Sweep::At(due);
                }
                Sweep::None => {
                    self.sweeps.set(due, id);
                    session.sweep = Sweep::At(due);
                }
            }
        }
        let was_told = match &session.attachment {
            Attachment::Attached(attached) => attached.was_told(entry.position),
            Attachment::Detached(_) => false,
        };
        if was_told {
            session.outbox.push_sent(entry);
        } else if session.decided == Decided::Elsewhere {
            session.outbox.push(entry);
        } else if session.doubted.covers(entry.position) || governed < session.doubted_before {
            // Whoever led before may have sent it, on an attachment before the latest.
            session.outbox.push_doubtful(entry);
        } else if self.layout.as_ref().is_some_and(|layout| governed < layout.epoch)
            && governed < inherited_before(session.slice, session.birth, &self.replicas)
        {
            session.outbox.push_suspect(entry);
        } else {
            session.outbox.push(entry);
        }
        if session.decided == Decided::Here && session.rank.is_outgrown(session.outbox.bytes()) {
            self.accounts.file(id, session.tenant, &mut session.rank, session.outbox.all());
        }
        self.statistics.notifications_merged += 1;
        self.queue(id);
    }

    /// The copy for those with whom the publication stays, made once a position.
    fn kept(&mut self, envelope: &Arc<Envelope>, kept: &mut Kept) -> Arc<Envelope> {
        match kept {
            Kept::Made(copy) => Arc::clone(copy),
            Kept::NotNeeded => {
                let copy = keepable(envelope, self.config.content_buffers);
                self.statistics.copied_bytes += copied_bytes(&copy, self.config.content_buffers);
                *kept = Kept::Made(Arc::clone(&copy));
                copy
            }
        }
    }
}

/// The copy of a publication for those with whom it stays.
#[derive(Debug)]
enum Kept {
    /// Nobody needed it so far.
    NotNeeded,
    /// Here it is.
    Made(Arc<Envelope>),
}

/// When a session is swept for something that expires then: whole seconds, so that it is not swept for each one.
pub(super) fn sweep_due(expires: Timestamp) -> Timestamp {
    /// A sweep looks at the whole outbox; once a second is seldom enough.
    const EVERY_MICROSECONDS: i64 = 1_000_000;
    let into = expires.0.rem_euclid(EVERY_MICROSECONDS);
    Timestamp(if into == 0 { expires.0 } else { expires.0.saturating_add(EVERY_MICROSECONDS - into) })
}

/// What a session is told about subscriptions, without those of an earlier life; `None` if nothing remains.
pub(super) fn satisfied(handles: &Handles, birth: Generation, detail: HandleDetail) -> Option<Satisfied> {
    let all = match handles {
        Handles::One(generation, handle) => return (*generation >= birth).then(|| one(*handle, detail)),
        Handles::Many(all) => all,
    };
    let count = all.iter().filter(|(generation, _)| *generation >= birth).count();
    let mut present = all.iter().filter(|(generation, _)| *generation >= birth).map(|&(_, handle)| handle);
    match (count, detail) {
        (0, _) => None,
        (1, _) => present.next().map(|handle| one(handle, detail)),
        (_, HandleDetail::Count) => Some(Satisfied::Count(u32::try_from(count).unwrap_or(u32::MAX))),
        (_, HandleDetail::All) => Some(Satisfied::Many(present.collect())),
    }
}

fn one(handle: Handle, detail: HandleDetail) -> Satisfied {
    match detail {
        HandleDetail::All => Satisfied::One(handle),
        HandleDetail::Count => Satisfied::Count(1),
    }
}
