//! Going on by what another replica decides, and telling others what is decided here.

use gomera_cluster::address::Address;
use gomera_cluster::layout::{Epoch, LaneEnd, Layout, SessionSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::copies::{Change, Changes, ChangesTaken, SessionRecord};
use gomera_cluster::message::exit_point::Acknowledge;
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::message::{Message, ToExitPoint};
use gomera_cluster::position::{LaneId, Number, Position, Vector};
use gomera_cluster::time::Instant;

use super::Sessions;
use super::end::NEVER;
use crate::limits::Rank;
use crate::outbox::{Entry, Outbox};
use crate::relay::{Need, Then};
use crate::replicas::Stance;
use crate::session::given_up::GivenUp;
use crate::session::patience::Patience;
use crate::session::{Answering, Attachment, Belief, Decided, Detached, Flush, Session, SessionId, Sweep, Terms};

impl Sessions {
    /// Tells the replicas of a slice that have all of it, or are sent copies of it, what was decided. Says what to wait for.
    pub(super) fn tell_followers(&mut self, slice: SessionSlice, change: &Change) -> Vec<Need> {
        let Self { followers, relay, .. } = self;
        followers.get(&slice).into_iter().flatten().map(|&to| relay.tell(to, change.clone())).collect()
    }

    /// Tells them what was given up.
    pub(super) fn tell_dropped(&mut self) {
        for (session, through) in std::mem::take(&mut self.dropped) {
            let Some(&id) = self.by_key.get(&session) else { continue };
            let slice = self.table[id.0].slice;
            let given_up = self.table[id.0].given_up.all();
            let acknowledged = self.table[id.0].acknowledged.clone();
            self.tell_followers(slice, &Change::Dropped { session, slice, through, given_up, acknowledged });
        }
    }

    /// Lets go what waited until other replicas had taken it in.
    pub(super) fn release(&mut self, now: Instant) {
        while let Some(then) = self.relay.pop_ready(&self.followers) {
            match then {
                Then::Answer(answer) => self.answer(now, answer),
                Then::Carry(session, generation) => self.carry((session, generation)),
            }
        }
    }

    /// Another replica has taken in what was decided here.
    pub(crate) fn changes_taken(&mut self, now: Instant, from: Address, taken: ChangesTaken) {
        self.relay.taken(from, taken.through);
        self.release(now);
    }

    /// Another replica decided something.
    pub(crate) fn change(&mut self, from: Address, changes: Changes, merged: &Vector) {
        for change in changes.changes {
            let slice = match &change {
                Change::Attached(record) => record.slice,
                Change::Dropped { slice, .. } => *slice,
                Change::Ended(ending) | Change::Forgotten(ending) => ending.slice,
            };
            if self.replicas.hears(slice, from) {
                self.follow_change(from, change, merged);
            }
        }
        let taken = ToExitPoint::ChangesTaken(ChangesTaken { through: changes.through });
        self.outgoing.push(Send { to: from, message: Message::ExitPoint(taken) });
    }

    fn follow_change(&mut self, from: Address, change: Change, merged: &Vector) {
        match change {
            Change::Attached(record) => {
                // It may be here and be sent once more.
                let is_coming = self.update_assembling(from, &record);
                match self.by_key.get(&record.session).copied() {
                    Some(id) => {
                        self.pass_on(from, id, &record);
                        self.update(id, &record, merged);
                    }
                    None if is_coming => {}
                    None => {
                        let transfer = self.transfer_of(record.slice);
                        let id = self.follow_session(&record, transfer);
                        self.settle_early(id, merged);
                    }
                }
            }
            Change::Dropped { session, slice: _, through, given_up, acknowledged } => {
                self.drop_assembling(from, session, &through, given_up.clone());
                let Some(&id) = self.by_key.get(&session) else { return };
                let Self { table, layout, .. } = self;
                let session = &mut table[id.0];
                session.given_up = GivenUp::copied(&given_up);
                session.settle(&acknowledged, merged, believing(layout.as_deref()));
                for position in through.iter().filter(|position| merged.get(position.lane) < position.number) {
                    session.passed.raise(position.lane, position.number);
                }
                let settled = &session.acknowledged;
                let gone = |entry: &Entry| through.covers(entry.position) || settled.covers(entry.position);
                let freed = session.outbox.remove(gone);
                self.freed(id, freed);
            }
            Change::Ended(ending) => {
                self.end_assembling(from, ending.session);
                if let Some(&id) = self.by_key.get(&ending.session)
                    && self.table[id.0].generation <= ending.generation
                {
                    self.drop_session(id);
                }
                self.note_ending(&ending);
            }
            Change::Forgotten(ending) => self.drop_ending((ending.session, ending.generation)),
        }
    }

    /// A session goes without a word: it is not of this shard any more.
    pub(super) fn drop_session(&mut self, id: SessionId) {
        let session = self.take_out(id);
        self.accounts.close(session.tenant);
    }

    pub(super) fn transfer_of(&self, slice: SessionSlice) -> TransferId {
        match self.replicas.stance(slice) {
            Stance::Loading { transfer, .. } => *transfer,
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Following(_)
            | Stance::Heir { .. }
            | Stance::Leading(_) => TransferId(0),
        }
    }

    /// A session that another replica decides about.
    pub(super) fn follow_session(&mut self, record: &SessionRecord, transfer: TransferId) -> SessionId {
        let tenant = self.accounts.open(&record.tenant);
        self.accounts.follow(tenant, true);
        self.sessions_followed += 1;
        let session = Session {
            key: record.session,
            slice: record.slice,
            tenant,
            birth: record.birth,
            generation: record.generation,
            attempt: record.attempt,
            handle_blocks: record.handle_blocks,
            terms: Terms::granted(&record.options, &self.config),
            acknowledged: record.acknowledged.clone(),
            outbox: Outbox::default(),
            given_up: GivenUp::default(),
            patience: Patience::CALM,
            attachment: Attachment::Detached(Detached { expires: NEVER }),
            sweep: Sweep::None,
            rank: Rank::Absent,
            flush: Flush::Idle,
            decided: Decided::Elsewhere,
            passed: record.merged.clone(),
            doubted: record.doubted.clone(),
            doubted_before: Epoch(0),
            transfer,
            answering: Answering::No,
        };
        self.enter(session)
    }

    /// What the client before this attachment had processed and whoever decides had not heard of when the new one came: it hears no more
    /// of it from the connection point. It does from here, before it may answer: the new client begins behind it, at every replica.
    fn pass_on(&mut self, to: Address, id: SessionId, record: &SessionRecord) {
        let Self { table, layout, outgoing, .. } = self;
        let session = &table[id.0];
        if session.generation >= record.generation {
            return;
        }
        let is_open = |lane: LaneId| layout.as_ref().is_some_and(|layout| layout.lanes.contains_key(&lane));
        let is_news = |position: &Position| {
            let known = record.acknowledged.get(position.lane);
            position.number > known && (record.merged.get(position.lane) > known || is_open(position.lane))
        };
        let through: Vector = session.acknowledged.iter().filter(is_news).collect();
        if !through.is_empty() {
            let acknowledge = Acknowledge { session: session.key, generation: record.generation, through };
            outgoing.push(Send { to, message: Message::ExitPoint(ToExitPoint::Acknowledge(acknowledge)) });
        }
    }

    /// A client has attached at another replica.
    fn update(&mut self, id: SessionId, record: &SessionRecord, merged: &Vector) {
        let Self { table, layout, config, .. } = self;
        let session = &mut table[id.0];
        if session.generation > record.generation {
            return;
        }
        session.birth = record.birth;
        session.generation = record.generation;
        session.attempt = record.attempt;
        session.handle_blocks = record.handle_blocks;
        session.doubted = record.doubted.clone();
        session.terms = Terms::granted(&record.options, config);
        session.settle(&record.acknowledged, merged, believing(layout.as_deref()));
        let settled = &session.acknowledged;
        let is_over = |lane| {
            let end = layout.as_ref().and_then(|layout| layout.ended.get(&lane));
            matches!(end, Some((LaneEnd::Closed, _))) && record.merged.get(lane) == Number(0)
        };
        // Of a closed lane that it does not know any more, whoever decides has nothing in any outbox.
        let freed = session.outbox.remove(|entry| settled.covers(entry.position) || is_over(entry.position.lane));
        self.freed(id, freed);
    }
}

/// Whoever decides is believed.
fn believing(layout: Option<&Layout>) -> Belief<'_> {
    layout.map_or(Belief::Merged, Belief::Lanes)
}
