//! What this shard is for each session slice, and how it comes to be that.
//!
//! ```text
//!            joins        every lane has passed the barrier    last part
//!   absent ──────▶ waiting ──────────────────────────▶ loading ─────────▶ following ──active──▶ heir ──others say──▶ leading
//!                     ▲        source gone, too much kept │                   ▲             that they decide no more    │
//!                     └───────────────────────────────────┘                   └───────────── another one is active ─────┘
//! ```
//! Invariant: only who leads decides about sessions, and nobody leads before everybody who may have led has said that it does not
//! any more, or is declared dead.

mod agreeing;

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::identity::Term;
use gomera_cluster::layout::{Epoch, Layout, Placement, Role, SessionSlice};
use gomera_cluster::message::snapshot::TransferId;

use self::agreeing::Agreeing;
pub(crate) use self::agreeing::{Need, Unrest};

/// What this shard is for one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stance {
    /// Nothing.
    Absent,
    /// It is to get copies, once every lane has passed the barrier of this layout or ended. It may have everything all the same, by what
    /// these decided: then it could lead.
    Waiting { epoch: Epoch, whole_by: BTreeSet<Address> },
    /// Copies are coming.
    Loading { source: Address, transfer: TransferId, whole_by: BTreeSet<Address> },
    /// It has everything, and goes on by what this one decides.
    Following(Address),
    /// It is active, and waits for these to say that they decide no more.
    Heir { term: Term, awaited: BTreeSet<Address> },
    /// It decides.
    Leading(Reign),
}

/// A reign that has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) term: Term,
    /// Connection points that have not said who is attached there.
    pub(crate) points: BTreeSet<Address>,
    /// Whether it began with nothing, though there were sessions.
    pub(crate) inheritance: Inheritance,
}

/// What a reign began with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inheritance {
    /// All there was.
    Whole,
    /// Nothing: the last who had it died.
    Lost,
}

/// What a layout has this shard do about a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Drop all of it.
    Drop,
    /// Decide no more, and say so to whoever does.
    StepDown(Address, Term),
    /// Ask others whether they decide any more, and lead if there are none.
    Claim,
    /// They were asked: lead if none is left.
    ClaimOn,
    /// Lead, with nothing.
    BeginAnew(Term),
}

/// All slices.
#[derive(Debug, Default)]
pub(crate) struct Replicas {
    slices: BTreeMap<SessionSlice, Stance>,
    /// How many wait: nothing is looked for while none does, which is nearly always.
    waiting: usize,
    agreeing: Agreeing,
}

impl Replicas {
    pub(crate) fn stance(&self, slice: SessionSlice) -> &Stance {
        self.slices.get(&slice).unwrap_or(&Stance::Absent)
    }

    pub(crate) fn set(&mut self, slice: SessionSlice, stance: Stance) {
        match &stance {
            Stance::Waiting { .. } | Stance::Loading { .. } => {}
            Stance::Absent | Stance::Following(_) | Stance::Heir { .. } | Stance::Leading(_) => {
                self.agreeing.remove(&slice);
            }
        }
        let waits = |stance: Option<&Stance>| usize::from(matches!(stance, Some(Stance::Waiting { .. })));
        self.waiting += waits(Some(&stance));
        let before =
            if stance == Stance::Absent { self.slices.remove(&slice) } else { self.slices.insert(slice, stance) };
        self.waiting -= waits(before.as_ref());
    }

    /// Whether a slice waits for copies to be asked for.
    pub(crate) fn have_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// The reign over a slice, if it is ours.
    pub(crate) fn reign(&self, slice: SessionSlice) -> Option<&Reign> {
        match self.stance(slice) {
            Stance::Leading(reign) => Some(reign),
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Loading { .. }
            | Stance::Following(_)
            | Stance::Heir { .. } => None,
        }
    }

    pub(crate) fn reign_mut(&mut self, slice: SessionSlice) -> Option<&mut Reign> {
        match self.slices.get_mut(&slice)? {
            Stance::Leading(reign) => Some(reign),
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Loading { .. }
            | Stance::Following(_)
            | Stance::Heir { .. } => None,
        }
    }

    /// Whether what `from` decided about a slice counts here.
    pub(crate) fn hears(&self, slice: SessionSlice, from: Address) -> bool {
        match self.stance(slice) {
            Stance::Absent | Stance::Leading(_) => false,
            Stance::Waiting { whole_by, .. } => whole_by.contains(&from),
            Stance::Loading { source, whole_by, .. } => *source == from || whole_by.contains(&from),
            Stance::Following(source) => *source == from,
            Stance::Heir { awaited, .. } => awaited.contains(&from),
        }
    }

    /// Whether copies of it are on their way from this one.
    pub(crate) fn is_loading(&self, slice: SessionSlice, from: Address, by: TransferId) -> bool {
        match self.stance(slice) {
            Stance::Loading { source, transfer, .. } => (*source, *transfer) == (from, by),
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Following(_)
            | Stance::Heir { .. }
            | Stance::Leading(_) => false,
        }
    }

    /// Copies that are on their way are of no use: they are to be asked for anew.
    pub(crate) fn wait_again(&mut self, slice: SessionSlice, epoch: Epoch) {
        match self.stance(slice).clone() {
            Stance::Loading { whole_by, .. } => self.set(slice, Stance::Waiting { epoch, whole_by }),
            Stance::Absent
            | Stance::Waiting { .. }
            | Stance::Following(_)
            | Stance::Heir { .. }
            | Stance::Leading(_) => {}
        }
    }

    /// Whether it has everything, by what others decide.
    pub(crate) fn is_whole(&self, slice: SessionSlice) -> bool {
        match self.stance(slice) {
            Stance::Following(_) => true,
            Stance::Waiting { whole_by, .. } | Stance::Loading { whole_by, .. } => !whole_by.is_empty(),
            Stance::Absent | Stance::Heir { .. } | Stance::Leading(_) => false,
        }
    }

    /// How many are to come here and are not all here.
    pub(crate) fn joining(&self) -> u64 {
        let is_joining = |stance: &&Stance| matches!(stance, Stance::Waiting { .. } | Stance::Loading { .. });
        u64::try_from(self.slices.values().filter(is_joining).count()).expect("a count fits 64 bits")
    }

    /// All slices in some stance.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (SessionSlice, &Stance)> {
        self.slices.iter().map(|(&slice, stance)| (slice, stance))
    }

    /// Takes a layout in; `first`: there was none before. What is to be done goes to `turns`.
    pub(crate) fn follow(&mut self, layout: &Layout, me: Address, first: bool, turns: &mut Vec<(SessionSlice, Turn)>) {
        // Nobody has anything when the lanes begin.
        let begins = first && layout.lanes.values().all(|lane| lane.since == layout.epoch);
        for (slice, placement) in (0..).map(SessionSlice).zip(&layout.session) {
            let before = self.stance(slice).clone();
            let after = match (placement.role(me), placement.active()) {
                (None, _) => absent(&before, slice, turns),
                (Some(Role::Active), _) if begins => leading(placement.term, BTreeSet::new(), Inheritance::Whole),
                (Some(Role::Active), _) => active(&before, placement, layout, me, slice, turns),
                (Some(Role::Joining), _) => joining(before, placement, layout, slice, turns),
                (Some(Role::Standby | Role::Retiring), Some(active)) if begins => Stance::Following(active),
                (Some(Role::Standby | Role::Retiring), Some(active)) => {
                    standby(before, placement.term, active, layout.epoch, slice, turns)
                }
                // Nobody decides: as before.
                (Some(Role::Standby | Role::Retiring), None) => before,
            };
            self.set(slice, after);
        }
    }
}

pub(crate) fn leading(term: Term, points: BTreeSet<Address>, inheritance: Inheritance) -> Stance {
    Stance::Leading(Reign { term, points, inheritance })
}

fn absent(before: &Stance, slice: SessionSlice, turns: &mut Vec<(SessionSlice, Turn)>) -> Stance {
    if *before != Stance::Absent {
        turns.push((slice, Turn::Drop));
    }
    Stance::Absent
}

fn active(
    before: &Stance,
    placement: &Placement,
    layout: &Layout,
    me: Address,
    slice: SessionSlice,
    turns: &mut Vec<(SessionSlice, Turn)>,
) -> Stance {
    let term = placement.term;
    match before {
        Stance::Leading(reign) if reign.term == term => {
            let points = reign.points.iter().copied().filter(|&point| layout.names(point)).collect();
            leading(term, points, reign.inheritance)
        }
        Stance::Waiting { whole_by, .. } | Stance::Loading { whole_by, .. } if whole_by.is_empty() => {
            begin_anew(term, layout, slice, turns)
        }
        Stance::Absent => begin_anew(term, layout, slice, turns),
        // A later reign of ours: others may have decided in between, and have handed over.
        Stance::Following(_)
        | Stance::Waiting { .. }
        | Stance::Loading { .. }
        | Stance::Heir { .. }
        | Stance::Leading(_) => {
            // Who joins did not lead, but may have everything by what the one before decided: then it is told from the first decision on.
            let others = placement.replicas.iter().map(|replica| replica.holder).filter(|&holder| holder != me);
            let mut awaited: BTreeSet<_> = others.collect();
            let turn = match before {
                Stance::Heir { term: claimed, awaited: left } if *claimed == term => {
                    awaited.retain(|other| left.contains(other));
                    Turn::ClaimOn
                }
                Stance::Absent
                | Stance::Waiting { .. }
                | Stance::Loading { .. }
                | Stance::Following(_)
                | Stance::Heir { .. }
                | Stance::Leading(_) => Turn::Claim,
            };
            turns.push((slice, turn));
            Stance::Heir { term, awaited }
        }
    }
}

fn begin_anew(term: Term, layout: &Layout, slice: SessionSlice, turns: &mut Vec<(SessionSlice, Turn)>) -> Stance {
    turns.push((slice, Turn::BeginAnew(term)));
    leading(term, layout.machines(Layer::ConnectionPoint).collect(), Inheritance::Lost)
}

/// Another one leads than the one it went on by. What that one decided last may not have come to all alike, so that copies are asked for
/// once more; until they are here, what it has is all there is, and it goes on by what either decides.
fn refresh(before: Stance, active: Option<Address>, epoch: Epoch) -> Stance {
    let (epoch, mut whole_by) = match before {
        Stance::Following(source) => (epoch, BTreeSet::from([source])),
        Stance::Loading { whole_by, .. } => (epoch, whole_by),
        Stance::Waiting { epoch, whole_by } => (epoch, whole_by),
        Stance::Absent | Stance::Heir { .. } | Stance::Leading(_) => (epoch, BTreeSet::new()),
    };
    if !whole_by.is_empty() {
        whole_by.extend(active);
    }
    Stance::Waiting { epoch, whole_by }
}

fn joining(
    before: Stance,
    placement: &Placement,
    layout: &Layout,
    slice: SessionSlice,
    turns: &mut Vec<(SessionSlice, Turn)>,
) -> Stance {
    let active = placement.active();
    match before {
        Stance::Following(source) | Stance::Loading { source, .. } if active == Some(source) => before,
        Stance::Absent | Stance::Following(_) | Stance::Loading { .. } | Stance::Waiting { .. } => {
            refresh(before, active, layout.epoch)
        }
        // It left meanwhile, and comes again.
        Stance::Heir { .. } | Stance::Leading(_) => {
            turns.push((slice, Turn::Drop));
            Stance::Waiting { epoch: layout.epoch, whole_by: BTreeSet::new() }
        }
    }
}

fn standby(
    before: Stance,
    term: Term,
    active: Address,
    epoch: Epoch,
    slice: SessionSlice,
    turns: &mut Vec<(SessionSlice, Turn)>,
) -> Stance {
    match before {
        Stance::Following(source) | Stance::Loading { source, .. } if active == source => before,
        Stance::Leading(_) | Stance::Heir { .. } => {
            turns.push((slice, Turn::StepDown(active, term)));
            Stance::Following(active)
        }
        Stance::Absent | Stance::Following(_) | Stance::Loading { .. } | Stance::Waiting { .. } => {
            refresh(before, Some(active), epoch)
        }
    }
}

#[cfg(test)]
mod tests;
