//! All sessions of a shard: the table, what they hold together, when they expire, and what goes out to their clients.
//!
//! Attaching, acknowledging, delivering, giving up, flushing, ending and expiring each have a file of their own.
//! Invariants: a session stands in the table exactly while it is not ended; a session stands in the schedule of expiry exactly
//! while it is detached; accounts say what outboxes hold; look-up tables are never iterated.

mod acknowledge;
mod attach;
mod copying;
mod deliver;
mod depart;
mod discard;
mod end;
mod flush;
mod following;
mod give_up;
mod receiving;
mod reign;
mod timers;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::identity::{Generation, SessionKey, Term};
use gomera_cluster::layout::{Epoch, Layout, Role, SessionSlice};
use gomera_cluster::machine::Send;
use gomera_cluster::message::connection_point::{EndReason, Ended};
use gomera_cluster::message::snapshot::TransferId;
use gomera_cluster::message::{Message, ToConnectionPoint};
use gomera_cluster::position::Vector;
use gomera_cluster::rules::{self, Rule};
use gomera_cluster::time::Instant;
use gomera_model::timestamp::Timestamp;
use slab::Slab;

pub(crate) use self::acknowledge::Told;
use self::copying::Copying;
pub(crate) use self::deliver::Admission;
use self::depart::Departing;
use self::discard::Discarded;
use self::end::Forgets;
use self::receiving::{Earlies, Receiving};
use crate::config::Config;
use crate::limits::Accounts;
use crate::notify::{FrameSize, Notifier};
use crate::outbox::Freed;
use crate::relay::Relay;
use crate::replicas::{Replicas, Stance, Unrest};
use crate::schedule::Schedule;
use crate::session::{Attached, Attachment, Decided, Flush, Session, SessionId};
use crate::settled::Inherited;
use crate::statistics::Statistics;
use gomera_cluster::table::{LargeTable, Seeded};

/// All sessions of a shard.
#[derive(Debug)]
pub(crate) struct Sessions {
    address: Address,
    config: Config,
    layout: Option<Arc<Layout>>,
    table: Slab<Box<Session>>,
    by_key: LargeTable<SessionKey, SessionId>,
    /// Slices change hands many at a time, each with its sessions.
    by_slice: BTreeMap<SessionSlice, BTreeSet<SessionId>>,
    accounts: Accounts,
    expiry: Schedule<Instant>,
    sweeps: Schedule<Timestamp>,
    forgets: Forgets,
    discarded: Discarded,
    departing: Departing,
    /// Counts attachments; never falls.
    counter: u64,
    attached: u64,
    /// Attached sessions for which merging may wait.
    blockers: u64,
    /// Whether something happened to a session for which merging waits.
    stirred: bool,
    /// What the wall clock shows; nothing expires before it is known.
    wall: Timestamp,
    /// Sessions to flush; may name one that is gone.
    queue: Vec<SessionId>,
    /// Whether the last drain left some of them.
    is_draining: bool,
    notifier: Notifier,
    outgoing: Vec<Send>,
    replicas: Replicas,
    /// Of slices that are decided about here: replicas that have all of it.
    followers: BTreeMap<SessionSlice, BTreeSet<Address>>,
    relay: Relay,
    /// Copies on their way to other replicas.
    copying: BTreeMap<Address, Copying>,
    /// Copies on their way here.
    receiving: BTreeMap<Address, Receiving>,
    transfers: u64,
    early: Earlies,
    inherited: BTreeMap<TransferId, Inherited>,
    /// What was given up since the last drain, for other replicas.
    dropped: BTreeMap<SessionKey, Vector>,
    /// What sessions hold that are decided about elsewhere, and how many there are.
    followed: Freed,
    sessions_followed: u64,
    /// Of slices that are decided about here: those of which not every connection point has said who is attached.
    unsettled: BTreeSet<SessionSlice>,
    /// Reigns that begin, to be told to connection points.
    reigns: Vec<(SessionSlice, Term)>,
    pub(crate) statistics: Statistics,
}

/// Attachments in a term.
const COUNTER_BITS: u32 = 40;

impl Sessions {
    pub(crate) fn new(address: Address, config: Config) -> Self {
        let hash = Seeded::new(config.hash_seed);
        let size = FrameSize {
            content_bytes_max: config.frame_content_bytes_max,
            handles_bytes_max: config.frame_handles_bytes_max,
        };
        Self {
            address,
            config,
            layout: None,
            table: Slab::new(),
            by_key: LargeTable::with_hasher(hash),
            by_slice: BTreeMap::new(),
            accounts: Accounts::default(),
            expiry: Schedule::new(),
            sweeps: Schedule::new(),
            forgets: Forgets::default(),
            discarded: Discarded::default(),
            departing: Departing::new(),
            counter: 0,
            attached: 0,
            blockers: 0,
            stirred: false,
            wall: Timestamp(i64::MIN),
            queue: Vec::new(),
            is_draining: false,
            notifier: Notifier::new(size, hash),
            outgoing: Vec::new(),
            replicas: Replicas::default(),
            followers: BTreeMap::new(),
            relay: Relay::default(),
            copying: BTreeMap::new(),
            receiving: BTreeMap::new(),
            transfers: 0,
            early: Earlies::default(),
            inherited: BTreeMap::new(),
            dropped: BTreeMap::new(),
            followed: Freed::default(),
            sessions_followed: 0,
            unsettled: BTreeSet::new(),
            reigns: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// Says what the wall clock shows.
    pub(crate) const fn tell_time(&mut self, wall: Timestamp) {
        self.wall = wall;
    }

    /// Acts on a layout from now on.
    pub(crate) fn install(&mut self, now: Instant, layout: &Arc<Layout>) {
        let before = self.layout.replace(Arc::clone(layout));
        let first = before.is_none();
        let unrest = before.as_deref().map_or(Unrest::None, |before| Unrest::between(before, layout));
        let gone = before.is_some_and(|before| {
            before.machines(Layer::ConnectionPoint).any(|connection_point| !layout.names(connection_point))
        });
        if gone {
            self.abandon(now, layout);
            self.forgets.values_mut().for_each(|forgetting| forgetting.abandon(layout));
        }
        self.notifier.keep(|connection_point| layout.names(connection_point));
        self.follow_layout(now, layout, first, unrest);
        self.carry_forgets();
    }

    /// The sessions of a slice with the attachments that created them and their latest ones, in order, if all of them are here.
    pub(crate) fn copies(&self, slice: SessionSlice) -> Option<Vec<(SessionKey, Generation, Generation)>> {
        match self.replicas.stance(slice) {
            Stance::Absent | Stance::Waiting { .. } | Stance::Loading { .. } => return None,
            Stance::Following(_) | Stance::Heir { .. } | Stance::Leading(_) => {}
        }
        let of_slice = self.sessions_of(slice).map(|id| &self.table[id.0]);
        let mut all: Vec<_> = of_slice.map(|session| (session.key, session.birth, session.generation)).collect();
        all.sort_unstable();
        Some(all)
    }

    /// A session is here from now on.
    fn enter(&mut self, session: Session) -> SessionId {
        let (key, slice) = (session.key, session.slice);
        let id = SessionId(self.table.insert(Box::new(session)));
        self.by_key.insert(key, id);
        self.by_slice.entry(slice).or_default().insert(id);
        id
    }

    /// A session is here no more.
    fn strike(&mut self, id: SessionId) -> Box<Session> {
        let session = self.table.remove(id.0);
        self.by_key.remove(&session.key);
        if let Some(of_slice) = self.by_slice.get_mut(&session.slice) {
            of_slice.remove(&id);
            if of_slice.is_empty() {
                self.by_slice.remove(&session.slice);
            }
        }
        session
    }

    /// All of a slice, in order.
    fn sessions_of(&self, slice: SessionSlice) -> impl Iterator<Item = SessionId> + '_ {
        self.by_slice.get(&slice).into_iter().flatten().copied()
    }

    /// Slices that join by the layout in force and of which everything is here.
    pub(crate) fn installed(&self) -> BTreeSet<u16> {
        let Some(layout) = &self.layout else { return BTreeSet::new() };
        let is_here = |&(slice, _): &(SessionSlice, &Stance)| {
            self.replicas.is_whole(slice) && layout.session_placement(slice).role(self.address) == Some(Role::Joining)
        };
        self.replicas.iter().filter(is_here).map(|(slice, _)| slice.0).collect()
    }

    /// Whether something is kept here for this connection point.
    pub(crate) fn remembers(&self, connection_point: Address) -> bool {
        let is_attached = |session: &Session| match &session.attachment {
            Attachment::Attached(attached) => attached.connection_point == connection_point,
            Attachment::Detached(_) => false,
        };
        self.table.iter().any(|(_, session)| is_attached(session))
            || self.forgets.values().any(|forgetting| forgetting.concerns(connection_point))
    }

    /// Whether merging may have to wait for somebody.
    pub(crate) const fn may_block(&self) -> bool {
        self.blockers > 0
    }

    /// Whether something happened to a session for which merging waits, since it was last asked.
    pub(crate) const fn take_stirred(&mut self) -> bool {
        std::mem::replace(&mut self.stirred, false)
    }

    /// The layout whose barriers are not passed before some slices are agreed about: a lane was fenced, and who decides is still to
    /// say what it has of it.
    pub(crate) fn held_at(&self) -> Option<Epoch> {
        let layout = self.layout.as_ref()?;
        self.replicas.held_at(|slice| layout.session_placement(slice).active().is_some())
    }

    /// Lets some of what sessions that are gone held go.
    pub(crate) fn discard(&mut self) {
        self.discarded.step();
    }

    /// Whether something is left for [`Sessions::discard`] or [`Sessions::drain`].
    pub(crate) fn has_backlog(&self) -> bool {
        self.is_draining || !self.discarded.is_empty() || self.is_copying()
    }

    /// Brings the gauges up to date.
    pub(crate) fn gauge(&mut self) {
        let count = |length: usize| u64::try_from(length).expect("a length fits 64 bits");
        self.statistics.sessions = count(self.table.len()) - self.sessions_followed;
        self.statistics.sessions_followed = self.sessions_followed;
        self.statistics.followed_bytes = self.followed.bytes;
        self.statistics.followed_notifications = self.followed.notifications;
        self.statistics.joining_bytes = self.early.bytes();
        self.statistics.slices_joining = self.replicas.joining();
        self.statistics.sessions_attached = self.attached;
        self.statistics.lanes_departing = count(self.departing.len());
        self.statistics.sessions_forgetting = count(self.forgets.len());
        self.statistics.outbox_bytes = self.accounts.node().bytes();
        self.statistics.outbox_notifications = self.accounts.node().notifications();
    }

    /// A generation above all that were ever given for the slice: terms grow, and the counter within one.
    fn next_generation(&mut self, term: Term) -> Generation {
        self.counter += 1;
        Generation(term.0.wrapping_shl(COUNTER_BITS).wrapping_add(self.counter))
    }

    /// The session whose latest attachment is `generation`.
    fn present(&self, session: SessionKey, generation: Generation) -> Option<SessionId> {
        let id = *self.by_key.get(&session)?;
        let is_latest = self.table[id.0].generation == generation;
        (is_latest || !rules::holds(Rule::NewestAttachmentCounts)).then_some(id)
    }

    /// Whether a session is decided about here.
    fn decides(&self, id: SessionId) -> bool {
        self.table[id.0].decided == Decided::Here
    }

    fn send(&mut self, to: Address, message: ToConnectionPoint) {
        self.outgoing.push(Send { to, message: Message::ConnectionPoint(message) });
    }

    fn end_attachment(&mut self, session: SessionKey, generation: Generation, attached: &Attached, reason: EndReason) {
        let ended = Ended { connection: attached.connection, session, generation, reason };
        self.send(attached.connection_point, ToConnectionPoint::Ended(ended));
    }

    /// Replaces the attachment and keeps the counts of attached and blocking sessions; returns the one before.
    fn change_attachment(&mut self, id: SessionId, change: impl FnOnce(&mut Session) -> Attachment) -> Attachment {
        let session = &mut self.table[id.0];
        let count = |session: &Session| {
            (u64::from(matches!(session.attachment, Attachment::Attached(_))), u64::from(!session.wait_max().is_zero()))
        };
        let before = count(session);
        let attachment = change(session);
        let old = std::mem::replace(&mut session.attachment, attachment);
        let after = count(session);
        self.attached = self.attached + after.0 - before.0;
        self.blockers = self.blockers + after.1 - before.1;
        self.stirred |= session.patience.is_waiting();
        old
    }

    /// Settles the accounts after something left an outbox.
    fn freed(&mut self, id: SessionId, freed: Freed) {
        if freed.notifications == 0 {
            return;
        }
        let session = &self.table[id.0];
        match session.decided {
            Decided::Here => self.accounts.free(session.tenant, freed),
            Decided::Elsewhere => {
                self.followed.bytes -= freed.bytes;
                self.followed.notifications -= freed.notifications;
            }
        }
        // Merging looks again, and ends the wait if there is room now.
        self.stirred |= session.patience.is_waiting();
    }

    fn queue(&mut self, id: SessionId) {
        let session = &mut self.table[id.0];
        if session.flush == Flush::Idle {
            session.flush = Flush::Queued;
            self.queue.push(id);
        }
    }
}
