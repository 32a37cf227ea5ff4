//! What this shard has of each slice, and how it comes to have it.
//!
//! ```text
//!            a lane passes a barrier by which this shard joins
//!   absent ──────────────────────────────────────────────────▶ joining: waiting ──▶ loading ──▶ applying ──▶ whole
//!     ▲                                                                 all lanes     last part   nothing left │
//!     │ rows are gone                      an earlier life's rows go first                                     │
//!     └────────── leaving ◀─────────────────── a lane passes a barrier by which this shard is nothing ─────────┘
//! ```
//! From the barrier on by which it joins, a shard gets the operations on a slice, and keeps them. When every lane has passed that
//! barrier, it asks the active replica for everything up to where it began to get operations itself, takes that in part by part, then
//! applies what it kept. A source that dies or is active no more is replaced by asking anew; what came from it stays, since versions
//! say what is newer.
//!
//! Invariant: a slice is whole exactly if every operation on it that was answered is applied here.

mod kept;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::credit::ReceiveCredit;
use gomera_cluster::identity::{Generation, SessionKey};
use gomera_cluster::layout::{Epoch, MatcherSlice, Role};
use gomera_cluster::message::snapshot::{Extent, Sessions, SnapshotCredit, SnapshotPart, SnapshotWanted, TransferId};
use gomera_cluster::operation::{Change, Operation};
use gomera_cluster::position::{Number, Position, Vector};
use gomera_cluster::time::Instant;

use crate::config::Config;
use crate::ownership::Ownership;
use crate::subscriptions::{Limits, Subscriptions};
use kept::Kept;

/// What there is of one slice.
#[derive(Debug)]
enum Copy {
    Absent,
    Joining(Box<Join>),
    Whole,
    Leaving,
}

/// A slice on its way here.
#[derive(Debug)]
struct Join {
    phase: Phase,
    /// Per lane, from where on operations were kept or need not be.
    after: Vector,
    kept: Kept,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Rows of an earlier life go first.
    Clearing,
    /// Until every lane has passed the barrier and somebody can be asked.
    Waiting,
    /// This one was asked.
    Loading(Address),
    /// Everything has come; what was kept is applied.
    Applying,
}

/// A snapshot that was asked for.
#[derive(Debug)]
struct Incoming {
    transfer: TransferId,
    slices: Arc<SliceSet>,
    sessions: Sessions,
    credit: ReceiveCredit,
}

/// What becomes of an operation on a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// To be applied now.
    Apply,
    /// It is kept until the snapshot is in, or concerns nobody here.
    Kept,
}

/// All slices.
#[derive(Debug)]
pub struct Replicas {
    copies: Vec<Copy>,
    /// Of each slice, the layout by which it came to be what it is. A lane that is late passes barriers of layouts before that, which
    /// say nothing about it any more.
    since: Vec<Epoch>,
    incoming: BTreeMap<Address, Incoming>,
    transfers: u64,
    sessions: Sessions,
    window: u64,
    bytes_per_second: u64,
    /// When more may be granted.
    free_at: Instant,
    kept_bytes_max: u64,
    /// Slices on their way here.
    joining: usize,
    /// Snapshots begun anew, because too many operations came meanwhile.
    pub overflows: u64,
}

impl Replicas {
    /// Nothing yet.
    pub fn new(slices: u16, config: &Config) -> Self {
        Self {
            copies: std::iter::repeat_with(|| Copy::Absent).take(usize::from(slices)).collect(),
            since: vec![Epoch(0); usize::from(slices)],
            incoming: BTreeMap::new(),
            transfers: 0,
            sessions: Sessions::Wanted,
            window: config.snapshot_window_bytes,
            bytes_per_second: config.snapshot_bytes_per_second,
            free_at: Instant::ZERO,
            kept_bytes_max: config.joining_bytes_max,
            joining: 0,
            overflows: 0,
        }
    }

    /// A lane has passed the barrier at `at` and is governed by what `after` says, where it was by `before`; `judged` says how far all
    /// lanes are.
    pub fn pass(
        &mut self,
        at: Position,
        before: &Ownership,
        after: &Ownership,
        judged: &Vector,
        subscriptions: &mut Subscriptions,
    ) {
        for ((slice, copy), since) in (0..).map(MatcherSlice).zip(&mut self.copies).zip(&mut self.since) {
            let (was, is) = (before.role(slice), after.role(slice));
            if after.epoch() < *since {
                continue;
            }
            let stood = std::mem::discriminant(copy);
            match (&mut *copy, is) {
                (Copy::Absent | Copy::Leaving, None) => {}
                (Copy::Joining(_) | Copy::Whole, None) => *copy = Copy::Leaving,
                (Copy::Absent, Some(Role::Joining)) => *copy = Copy::joining(Phase::Waiting, judged, at),
                (Copy::Leaving, Some(Role::Joining)) => *copy = Copy::joining(Phase::Clearing, judged, at),
                // Whoever it was copied from is dead, and who judges by it now began with nothing: what has come here so far goes.
                (Copy::Joining(_) | Copy::Whole, Some(Role::Joining)) if after.lost(slice) > *since => {
                    *copy = Copy::joining(Phase::Clearing, judged, at);
                    *since = after.epoch();
                }
                (Copy::Joining(join), Some(Role::Joining)) => {
                    join.after.raise(at.lane, at.number);
                }
                (Copy::Whole, Some(Role::Joining)) => {
                    // Joined long ago, if the lane skipped nothing; else it has left in between and joins anew.
                    let was_whole = matches!(was, Some(Role::Standby | Role::Active | Role::Retiring));
                    if was_whole && before.epoch() >= *since {
                        *copy = Copy::joining(Phase::Clearing, judged, at);
                    }
                }
                // Nobody is left who has more: it begins with nothing, or what there is.
                (Copy::Joining(join), Some(Role::Standby | Role::Active | Role::Retiring)) => {
                    while let Some(next) = join.kept.next() {
                        if let Some(operation) = next {
                            subscriptions.apply_to_slice(&operation, slice, Limits::Waived, Vector::default);
                        }
                    }
                    *copy = Copy::Whole;
                }
                (Copy::Absent, Some(Role::Standby | Role::Active | Role::Retiring)) => *copy = Copy::Whole,
                // Other lanes have gone further.
                (Copy::Whole | Copy::Leaving, Some(Role::Standby | Role::Active | Role::Retiring)) => {}
            }
            if std::mem::discriminant(copy) != stood {
                *since = after.epoch();
            }
        }
        self.count();
        if at.number <= Number(1) && after.is_first() {
            // There from the beginning: everything that goes to all matchers has come here.
            self.sessions = Sessions::Known;
        }
    }

    /// What becomes of an operation on a slice that a lane's layout names this shard for.
    pub fn admit(
        &mut self,
        slice: MatcherSlice,
        operation: &Arc<Operation>,
        subscriptions: &Subscriptions,
    ) -> Admission {
        let Copy::Joining(join) = &mut self.copies[usize::from(slice.0)] else { return Admission::Apply };
        if !subscriptions.has_ended(operation.session, operation.version.generation) {
            join.kept.push(operation);
        }
        Admission::Kept
    }

    /// An operation that goes to all matchers: if a session ends by it, nothing that is kept of that is applied.
    pub fn hear(&mut self, operation: &Operation) {
        if self.joining > 0 && matches!(operation.change, Change::Forget) {
            end_kept(&mut self.copies, operation.session, operation.version.generation);
        }
    }

    /// Slices with rows that have to go.
    pub fn unwanted(&self) -> SliceSet {
        let goes = |copy: &Copy| match copy {
            Copy::Leaving => true,
            Copy::Joining(join) => join.phase == Phase::Clearing,
            Copy::Absent | Copy::Whole => false,
        };
        (0..).map(MatcherSlice).zip(&self.copies).filter(|(_, copy)| goes(copy)).map(|(slice, _)| slice).collect()
    }

    /// The rows of these slices are gone.
    pub fn cleared(&mut self, slices: &SliceSet) {
        for slice in slices.iter() {
            let copy = &mut self.copies[usize::from(slice.0)];
            match copy {
                Copy::Leaving => *copy = Copy::Absent,
                Copy::Joining(join) if join.phase == Phase::Clearing => join.phase = Phase::Waiting,
                Copy::Joining(_) | Copy::Absent | Copy::Whole => {}
            }
        }
    }

    /// Whether every slice of these is whole.
    pub fn are_whole(&self, slices: &SliceSet) -> bool {
        slices.iter().all(|slice| matches!(self.copies.get(usize::from(slice.0)), Some(Copy::Whole)))
    }

    /// Slices that join here by a layout and are whole.
    pub fn installed(&self, latest: &Ownership) -> impl Iterator<Item = u16> {
        let slices = (0..).map(MatcherSlice).zip(&self.copies);
        let joined =
            slices.filter(|(slice, copy)| matches!(copy, Copy::Whole) && latest.role(*slice) == Some(Role::Joining));
        joined.map(|(slice, _)| slice.0)
    }

    /// Slices on their way here.
    pub fn joining(&self) -> usize {
        self.joining
    }

    fn count(&mut self) {
        self.joining = self.copies.iter().filter(|copy| matches!(copy, Copy::Joining(_))).count();
    }

    /// Forgets whom it asked and who is not active any more by the latest layout.
    pub fn follow(&mut self, latest: &Ownership) {
        let Self { copies, incoming, .. } = self;
        incoming.retain(|&source, incoming| {
            let stays = incoming.slices.iter().all(|slice| latest.active_of(slice) == Some(source));
            if !stays {
                for copy in copies.iter_mut() {
                    if let Copy::Joining(join) = copy
                        && join.phase == Phase::Loading(source)
                    {
                        join.phase = Phase::Waiting;
                    }
                }
            }
            stays
        });
    }

    /// What to ask, and whom; `governed` are the lanes. One thing at a time of each.
    pub fn requests(&mut self, latest: &Ownership, governed: &[&Ownership]) -> Vec<(Address, SnapshotWanted)> {
        let mut wanted = BTreeMap::<Address, (SliceSet, Vector)>::new();
        if self.joining == 0 {
            return Vec::new();
        }
        for ((slice, copy), &since) in (0..).map(MatcherSlice).zip(&mut self.copies).zip(&self.since) {
            let Copy::Joining(join) = copy else { continue };
            let is_behind = |by: &&Ownership| by.epoch() < since || by.role(slice).is_none();
            if join.phase != Phase::Waiting || governed.iter().any(is_behind) {
                continue;
            }
            let Some(source) = latest.active_of(slice).filter(|&source| source != latest.address()) else { continue };
            if self.incoming.contains_key(&source) {
                continue;
            }
            join.phase = Phase::Loading(source);
            let (slices, after) = wanted.entry(source).or_default();
            slices.insert(slice);
            after.raise_all(&join.after);
        }
        let ask = |(source, (slices, after)): (Address, (SliceSet, Vector))| {
            self.transfers += 1;
            let (transfer, slices) = (TransferId(self.transfers), Arc::new(slices));
            let mut credit = ReceiveCredit::new(self.window);
            let total = credit.grant().expect("the first grant is always worth it");
            // Whoever began with nothing, because a slice was lost, may not know all of them either.
            let is_sure = latest.layout().subscriptions_lost() == Epoch(0);
            let sessions = if is_sure { self.sessions } else { Sessions::Wanted };
            self.incoming.insert(source, Incoming { transfer, slices: slices.clone(), sessions, credit });
            (source, SnapshotWanted { transfer, slices, after, sessions, credit: total })
        };
        wanted.into_iter().map(ask).collect()
    }

    /// A part has come.
    pub fn take(&mut self, now: Instant, from: Address, part: SnapshotPart, subscriptions: &mut Subscriptions) {
        let Self { copies, incoming, sessions, free_at, .. } = self;
        let Some(known) = incoming.get_mut(&from).filter(|incoming| incoming.transfer == part.transfer) else {
            return;
        };
        let cost = part.cost();
        *free_at = now.max(*free_at) + paced(cost, self.bytes_per_second);
        let SnapshotPart { transfer: _, sessions: states, subscriptions: mut rows, extent } = part;
        let is_loading = |slice: MatcherSlice| match &copies[usize::from(slice.0)] {
            Copy::Joining(join) => join.phase == Phase::Loading(from),
            Copy::Absent | Copy::Whole | Copy::Leaving => false,
        };
        rows.retain(|state| is_loading(state.slice));
        for (session, through) in states.iter().filter_map(|state| Some((state.session, state.forgotten?))) {
            end_kept(copies, session, through);
        }
        subscriptions.take_sessions(now, &states);
        subscriptions.take_rows(rows);
        known.credit.consume(cost);
        match extent {
            Extent::More => {}
            Extent::Last => {
                if known.sessions == Sessions::Wanted {
                    *sessions = Sessions::Known;
                }
                for copy in copies.iter_mut() {
                    if let Copy::Joining(join) = copy
                        && join.phase == Phase::Loading(from)
                    {
                        join.phase = Phase::Applying;
                    }
                }
                incoming.remove(&from);
            }
        }
    }

    /// What may be sent next, if it is time.
    pub fn credits(&mut self, now: Instant) -> Vec<(Address, SnapshotCredit)> {
        if now < self.free_at {
            return Vec::new();
        }
        let due = self.incoming.iter_mut().filter_map(|(&source, Incoming { transfer, credit, .. })| {
            let transfer = *transfer;
            credit.grant().map(|total| (source, SnapshotCredit { transfer, total }))
        });
        due.collect()
    }

    /// When [`Replicas::credits`] has something.
    pub fn credits_due(&self) -> Option<Instant> {
        self.incoming.values().any(|incoming| incoming.credit.is_due()).then_some(self.free_at)
    }

    /// Applies some of what was kept; begins anew what has too much of it, and says whether there was such: what is dropped lies at or
    /// below `judged`, which says how far all lanes are, and a snapshot is asked for up to there. While rows of an earlier life go, none
    /// is under way, and nothing else is lost by that.
    pub fn step(&mut self, judged: &Vector, subscriptions: &mut Subscriptions) -> bool {
        /// Operations in one step: up to some hundred microseconds.
        const STEP: usize = 32;
        if self.joining == 0 {
            return false;
        }
        let (mut left, overflows) = (STEP, self.overflows);
        for (slice, copy) in (0..).map(MatcherSlice).zip(&mut self.copies) {
            let Copy::Joining(join) = copy else { continue };
            if join.phase != Phase::Applying {
                if join.kept.bytes() > self.kept_bytes_max {
                    self.overflows += 1;
                    **join = Join::new(Phase::Clearing, judged.clone());
                }
                continue;
            }
            // What comes beyond the bound meanwhile is applied as fast as it comes, as if the slice were whole.
            while (left > 0 || join.kept.bytes() > self.kept_bytes_max)
                && let Some(next) = join.kept.next()
            {
                left = left.saturating_sub(1);
                if let Some(operation) = next {
                    subscriptions.apply_to_slice(&operation, slice, Limits::Waived, Vector::default);
                }
            }
            if join.kept.is_empty() {
                *copy = Copy::Whole;
            }
        }
        self.count();
        self.overflows > overflows
    }

    /// Whether [`Replicas::step`] has something to do.
    pub fn is_unsettled(&self) -> bool {
        let is_due = |copy: &Copy| match copy {
            Copy::Joining(join) => match join.phase {
                Phase::Applying => true,
                Phase::Clearing | Phase::Waiting | Phase::Loading(_) => join.kept.bytes() > self.kept_bytes_max,
            },
            Copy::Absent | Copy::Whole | Copy::Leaving => false,
        };
        self.joining > 0 && self.copies.iter().any(is_due)
    }
}

fn end_kept(copies: &mut [Copy], session: SessionKey, through: Generation) {
    for copy in copies {
        match copy {
            Copy::Joining(join) => join.kept.end(session, through),
            Copy::Absent | Copy::Whole | Copy::Leaving => {}
        }
    }
}

/// How long so many bytes may take.
pub fn paced(bytes: u64, bytes_per_second: u64) -> Duration {
    let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_second);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}

impl Copy {
    fn joining(phase: Phase, judged: &Vector, at: Position) -> Self {
        let mut after = judged.clone();
        after.raise(at.lane, at.number);
        Self::Joining(Box::new(Join::new(phase, after)))
    }
}

impl Join {
    fn new(phase: Phase, after: Vector) -> Self {
        Self { phase, after, kept: Kept::default() }
    }
}

#[cfg(test)]
mod tests;
