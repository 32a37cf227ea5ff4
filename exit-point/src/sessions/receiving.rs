//! Copies of sessions that come here, and what is merged for them before they do.
//!
//! Invariant: what is merged here for a session of a slice that is loading, since its copies were asked for, is in its outbox once it is
//! here, but for what its copy says that its sender had merged.

mod early;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::Address;
use gomera_cluster::credit::ReceiveCredit;
use gomera_cluster::identity::SessionKey;
use gomera_cluster::layout::{Epoch, SessionSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::connection_point::Gap;
use gomera_cluster::message::copies::{
    CopiedEntry, CopiesCredit, CopiesPart, CopiesWanted, CopyHead, SessionCopy, SessionRecord,
};
use gomera_cluster::message::exit_point::Acknowledge;
use gomera_cluster::message::snapshot::{Extent, TransferId};
use gomera_cluster::message::{Message, ToExitPoint};
use gomera_cluster::position::Vector;
use gomera_cluster::session::HandleDetail;
use gomera_cluster::table::Seeded;
use gomera_cluster::time::Instant;

use super::Sessions;
use super::deliver::satisfied;
use crate::notify::satisfied_bytes;
use crate::outbox::{Audience, Entry, Lean, Outbox, Step};
use crate::replicas::{Need, Stance};
use crate::session::given_up::GivenUp;
use crate::session::{Belief, SessionId};
use crate::settled::Inherited;
use early::Lanes;
pub(super) use early::{Earlies, Early};

/// Copies under way from one other replica.
#[derive(Debug)]
pub(super) struct Receiving {
    transfer: TransferId,
    slices: Vec<SessionSlice>,
    credit: ReceiveCredit,
    assembling: Option<Assembling>,
}

/// A session whose notifications are not all here.
#[derive(Debug)]
struct Assembling {
    head: CopyHead,
    dropped: Vector,
    entries: Vec<CopiedEntry>,
}

impl Sessions {
    /// Asks for copies of what is to join here, of all slices of one other replica at a time. `is_ready` says whether every lane has
    /// come far enough; `after` is how far this shard has merged each of its lanes.
    pub(crate) fn ask_for_copies(&mut self, now: Instant, is_ready: impl Fn(Need) -> bool, after: impl Fn() -> Vector) {
        if !self.replicas.have_waiting() {
            return;
        }
        let Some(layout) = self.layout.clone() else { return };
        let mut by_source = BTreeMap::<Address, Vec<SessionSlice>>::new();
        for (slice, stance) in self.replicas.iter() {
            if let Stance::Waiting { epoch, whole_by: _ } = stance
                && is_ready(self.replicas.need(slice, *epoch))
                && let Some(source) = layout.session_placement(slice).active()
                && source != self.address
                && !self.receiving.contains_key(&source)
            {
                by_source.entry(source).or_default().push(slice);
            }
        }
        for (source, slices) in by_source {
            self.transfers += 1;
            let transfer = TransferId(self.transfers);
            let mut empty = BTreeSet::new();
            for &slice in &slices {
                let whole_by = match self.replicas.stance(slice) {
                    Stance::Waiting { whole_by, .. } => whole_by.clone(),
                    Stance::Absent
                    | Stance::Loading { .. }
                    | Stance::Following(_)
                    | Stance::Heir { .. }
                    | Stance::Leading(_) => BTreeSet::new(),
                };
                if whole_by.is_empty() {
                    empty.insert(slice);
                }
                self.replicas.set(slice, Stance::Loading { source, transfer, whole_by });
                // Of an earlier time: what is still being forgotten comes with the copies.
                for key in self.endings_of(slice) {
                    self.drop_ending(key);
                }
            }
            self.inherited.retain(|_, inherited| !inherited.leave(|slice| empty.contains(&slice)));
            let hashing = Seeded::new(self.config.hash_seed);
            self.inherited.insert(transfer, Inherited::new(now, slices.iter().copied().collect(), &layout, hashing));
            let mut credit = ReceiveCredit::new(self.config.copies_window_bytes);
            let total = credit.grant().expect("the first grant is always due");
            let wanted = CopiesWanted { transfer, slices: slices.clone(), after: after(), credit: total };
            self.receiving.insert(source, Receiving { transfer, slices, credit, assembling: None });
            let message = Message::ExitPoint(ToExitPoint::CopiesWanted(wanted));
            self.outgoing.push(Send { to: source, message });
        }
    }

    /// Drops what is on its way for slices that do not wait for it any more, and what came for them.
    pub(super) fn stop_loading(&mut self) {
        let Self { receiving, replicas, early, inherited, layout, .. } = self;
        let epoch = layout.as_ref().map_or(Epoch(0), |layout| layout.epoch);
        receiving.retain(|source, receiving| {
            let is_loading = |slice: &SessionSlice| replicas.is_loading(*slice, *source, receiving.transfer);
            if receiving.slices.iter().all(is_loading) {
                return true;
            }
            // Whoever does not decide about one slice of a transfer any more sends nothing more of it: the others are asked for anew.
            for slice in receiving.slices.iter().copied().filter(is_loading).collect::<Vec<_>>() {
                replicas.wait_again(slice, epoch);
            }
            false
        });
        early.retain(replicas);
        inherited.retain(|_, inherited| !inherited.leave(|slice| *replicas.stance(slice) == Stance::Absent));
    }

    /// Whether copies of the sessions of a session's slice are on their way.
    pub(super) fn is_loading(&self, session: SessionKey) -> bool {
        !self.receiving.is_empty()
            && self.layout.as_ref().is_some_and(|layout| {
                matches!(self.replicas.stance(layout.slice_of_session(session)), Stance::Loading { .. })
            })
    }

    /// Keeps what is merged for a session that is not here yet; if that is too much, all of it begins anew.
    pub(super) fn keep_early(&mut self, early: Early, session: SessionKey) {
        let slice = self.layout.as_ref().map_or(SessionSlice(0), |layout| layout.slice_of_session(session));
        self.early.keep(early, session, slice);
        if self.early.bytes() <= self.config.joining_bytes_max {
            return;
        }
        let epoch = self.layout.as_ref().map_or(Epoch(0), |layout| layout.epoch);
        let loading = self.replicas.iter().filter(|(_, stance)| matches!(stance, Stance::Loading { .. }));
        for slice in loading.map(|(slice, _)| slice).collect::<Vec<_>>() {
            self.replicas.wait_again(slice, epoch);
            self.statistics.slices_overrun += 1;
        }
        self.receiving.clear();
        self.stop_loading();
    }

    /// A client of a session that is not here yet, or is to be replaced, has processed something: who sends its copy may not know.
    pub(super) fn acknowledge_early(&mut self, acknowledge: &Acknowledge, merged: &Vector) {
        if self.receiving.is_empty() && !self.replicas.have_waiting() {
            return;
        }
        let Some(layout) = self.layout.clone() else { return };
        let slice = layout.slice_of_session(acknowledge.session);
        if !matches!(self.replicas.stance(slice), Stance::Loading { .. } | Stance::Waiting { .. }) {
            return;
        }
        let transfer = self.transfer_of(slice);
        if self.by_key.get(&acknowledge.session).is_some_and(|id| self.table[id.0].transfer == transfer) {
            return;
        }
        self.early.acknowledge(acknowledge, slice, Lanes { layout: &layout, merged });
    }

    #[cfg(test)]
    pub(crate) fn lanes_acknowledged_early(&self) -> usize {
        self.early.lanes()
    }

    /// A part comes in.
    pub(crate) fn take_copies(&mut self, from: Address, part: CopiesPart, merged: &Vector) {
        let Some(receiving) = self.receiving.get_mut(&from).filter(|receiving| receiving.transfer == part.transfer)
        else {
            return;
        };
        receiving.credit.consume(part.cost());
        if let Some(total) = receiving.credit.grant() {
            let credit = ToExitPoint::CopiesCredit(CopiesCredit { transfer: part.transfer, total });
            self.outgoing.push(Send { to: from, message: Message::ExitPoint(credit) });
        }
        if let Some(inherited) = self.inherited.get_mut(&part.transfer) {
            inherited.add(part.settled);
        }
        for ending in &part.forgetting {
            self.note_ending(ending);
        }
        for copy in part.sessions {
            self.take_copy(from, part.transfer, copy, merged);
        }
        match part.extent {
            Extent::More => {}
            Extent::Last => self.finish_loading(from, part.transfer),
        }
    }

    fn take_copy(&mut self, from: Address, transfer: TransferId, copy: SessionCopy, merged: &Vector) {
        let Some(receiving) = self.receiving.get_mut(&from) else { return };
        if let Some(head) = copy.head {
            receiving.assembling = Some(Assembling { head: *head, dropped: Vector::default(), entries: Vec::new() });
        }
        // It ended while it came.
        let Some(assembling) = &mut receiving.assembling else { return };
        assembling.entries.extend(copy.entries);
        match copy.extent {
            Extent::More => return,
            Extent::Last => {}
        }
        let Some(Assembling { head, dropped, entries }) = receiving.assembling.take() else { return };
        // What is here of it already is what this shard has merged itself: of an earlier time, or of this transfer.
        let (own, acknowledged) = match self.by_key.get(&head.record.session).copied() {
            Some(id) => {
                let freed = self.table[id.0].outbox.all();
                self.freed(id, freed);
                let session = &mut self.table[id.0];
                let own = (std::mem::take(&mut session.outbox), std::mem::take(&mut session.acknowledged));
                self.drop_session(id);
                own
            }
            None => (Outbox::default(), Vector::default()),
        };
        let id = self.follow_session(&head.record, transfer);
        self.table[id.0].given_up = GivenUp::copied(&head.given_up);
        // The earliest of all: lanes that have ended stay known as long as something of theirs may be here.
        let step = Arc::new(Step { number: 0, vector: Vector::default() });
        for CopiedEntry { position, envelope, satisfied } in entries {
            if dropped.covers(position) {
                continue;
            }
            let cost = envelope.cost() + satisfied_bytes(&satisfied);
            let envelope = crate::outbox::keepable(&envelope, self.config.content_buffers);
            let (step, lean, audience) = (Arc::clone(&step), Lean::Itself, Audience::Several);
            self.put(id, Entry { position, envelope, step, satisfied, cost, lean, audience });
        }
        for position in dropped.iter() {
            self.table[id.0].passed.raise(position.lane, position.number);
        }
        // Where lanes were cut that have ended, the sender has decided.
        let had_ended = |lane| self.inherited.get(&transfer).is_some_and(|inherited| inherited.had_ended(lane));
        let (ended, living): (Vec<_>, Vec<_>) = own.into_entries().partition(|entry| had_ended(entry.position.lane));
        self.statistics.notifications_replaced += u64::try_from(ended.len()).expect("a length fits 64 bits");
        for entry in living {
            if !self.table[id.0].passed.covers(entry.position) {
                let step = Arc::clone(&step);
                self.put(id, Entry { step, ..entry });
            }
        }
        if let Some(layout) = self.layout.clone() {
            self.table[id.0].settle(&acknowledged, merged, Belief::Lanes(&layout));
        }
        self.settle_early_in(id, merged, &step);
    }

    /// Adds what came for a session before it was here.
    pub(super) fn settle_early(&mut self, id: SessionId, merged: &Vector) {
        let step = Arc::new(Step { number: 0, vector: Vector::default() });
        self.settle_early_in(id, merged, &step);
    }

    fn settle_early_in(&mut self, id: SessionId, merged: &Vector, step: &Arc<Step>) {
        let session = &self.table[id.0];
        let waiting = self.early.remove(session.key).unwrap_or_default();
        let (birth, generation) = (session.birth, session.generation);
        for Early { position, envelope, handles } in waiting.merged {
            if self.is_inherited(id, envelope.key) || self.table[id.0].passed.covers(position) {
                continue;
            }
            let Some(satisfied) = satisfied(&handles, birth, HandleDetail::All) else { continue };
            let cost = envelope.cost() + satisfied_bytes(&satisfied);
            let (step, lean, audience) = (Arc::clone(step), Lean::Itself, Audience::Several);
            self.put(id, Entry { position, envelope, step, satisfied, cost, lean, audience });
        }
        let Self { table, layout, .. } = self;
        let session = &mut table[id.0];
        match (waiting.acknowledged, layout.as_deref()) {
            (Some((of, through)), Some(layout)) if of == generation => {
                session.settle(&through, merged, Belief::Lanes(layout));
            }
            (Some(_) | None, _) => {}
        }
        let settled = &session.acknowledged;
        let freed = session.outbox.remove(|entry| settled.covers(entry.position));
        // From here on only what is still to be merged is asked about.
        for position in session.passed.clone().iter() {
            if merged.get(position.lane) >= position.number {
                session.passed.remove(position.lane);
            }
        }
        self.freed(id, freed);
    }

    /// The last part is in: what it did not bring does not exist any more.
    fn finish_loading(&mut self, from: Address, transfer: TransferId) {
        let Some(receiving) = self.receiving.remove(&from) else { return };
        if let Some(inherited) = self.inherited.get_mut(&transfer) {
            inherited.complete();
        }
        let is_loading = |slice: &SessionSlice| self.replicas.is_loading(*slice, from, transfer);
        let slices: Vec<_> = receiving.slices.into_iter().filter(is_loading).collect();
        let loaded = slices.iter().flat_map(|&slice| self.sessions_of(slice));
        let old = loaded.filter(|id| self.table[id.0].transfer != transfer).collect::<Vec<_>>();
        for id in old {
            self.drop_session(id);
        }
        self.depart_anew();
        for slice in slices {
            if self.replicas.agree(slice, from) {
                self.statistics.slices_agreed += 1;
            }
        }
        self.stop_loading();
    }

    /// Whoever attaches to a session that is being copied.
    pub(super) fn update_assembling(&mut self, from: Address, record: &SessionRecord) -> bool {
        let Some(assembling) = self.assembling(from, record.session) else { return false };
        let merged = std::mem::take(&mut assembling.head.record.merged);
        assembling.head.record = SessionRecord { merged, ..record.clone() };
        true
    }

    pub(super) fn drop_assembling(&mut self, from: Address, session: SessionKey, through: &Vector, given_up: Gap) {
        if let Some(assembling) = self.assembling(from, session) {
            assembling.dropped.raise_all(through);
            assembling.head.given_up = given_up;
        }
    }

    pub(super) fn end_assembling(&mut self, from: Address, session: SessionKey) {
        if self.assembling(from, session).is_some()
            && let Some(receiving) = self.receiving.get_mut(&from)
        {
            receiving.assembling = None;
        }
    }

    fn assembling(&mut self, from: Address, session: SessionKey) -> Option<&mut Assembling> {
        let assembling = self.receiving.get_mut(&from)?.assembling.as_mut()?;
        (assembling.head.record.session == session).then_some(assembling)
    }
}
