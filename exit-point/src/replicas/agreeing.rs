//! What replicas of a slice have to agree about once more, because it may have come to them differently: where a fenced lane was cut, and
//! what was judged twice because a matcher died. Who follows asks who decides for copies.
//!
//! ```text
//!   following ──a lane is fenced──▶ held: merged up to the barrier of that layout ──▶ loading ──last part──▶ following, and past the barrier
//!   following ──a matcher died──▶ waiting: merged past the barrier ─────────────────▶ loading ──last part──▶ following
//! ```
//! Second copies of what stood at the end of a fenced lane come after the barrier of the layout that fenced it, so that who is held has
//! passed none of them over before it knows which count.
//!
//! Invariant: a slice is held only while this shard has all of it and somebody else is to say what counts.

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Epoch, LaneEnd, Layout, SessionSlice};
use gomera_cluster::rules::{self, Rule};

use super::{Replicas, Stance};

/// By slice, the layouts at whose barriers it is held, one after another.
pub(super) type Agreeing = BTreeMap<SessionSlice, BTreeSet<Epoch>>;

/// What a layout makes uncertain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrest {
    /// Nothing.
    None,
    /// A matcher died: what it had judged others judge once more, perhaps by later subscriptions, for those to whom it had not come.
    Judged,
    /// A lane was fenced: it may be cut at different numbers.
    Fenced,
}

/// What lanes must have merged before copies are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The barrier of this layout.
    Passed(Epoch),
    /// All before it; lanes that it or an earlier one fenced have ended.
    Before(Epoch),
}

impl Unrest {
    /// What is uncertain by a layout that was not by the one in force before it.
    pub(crate) fn between(before: &Layout, layout: &Layout) -> Self {
        let mut fenced = layout.ended.values().filter(|&&(end, at)| end == LaneEnd::Fenced && at > before.epoch);
        let judges: BTreeSet<_> =
            before.matcher.iter().flat_map(|placement| &placement.replicas).map(|replica| replica.holder).collect();
        let mut dead = before.machines(Layer::Matcher).filter(|&matcher| !layout.names(matcher));
        if fenced.next().is_some() {
            Self::Fenced
        } else if dead.any(|matcher| judges.contains(&matcher)) {
            Self::Judged
        } else {
            Self::None
        }
    }
}

impl Replicas {
    /// Has slices that are decided about elsewhere agreed about anew, after a layout was followed.
    pub(crate) fn unsettle(&mut self, layout: &Layout, unrest: Unrest) {
        if unrest == Unrest::None || !rules::holds(Rule::LeaderDecidesTheCut) {
            return;
        }
        let epoch = layout.epoch;
        for (slice, stance) in self.slices.clone() {
            let is_held = self.agreeing.contains_key(&slice);
            let whole_by = match stance {
                Stance::Absent | Stance::Heir { .. } | Stance::Leading(_) => continue,
                Stance::Following(source) => BTreeSet::from([source]),
                // What is on its way is asked for because of an earlier one; this one has its turn after it.
                Stance::Waiting { .. } | Stance::Loading { .. } if is_held => {
                    self.agreeing.entry(slice).or_default().insert(epoch);
                    continue;
                }
                Stance::Waiting { whole_by, .. } | Stance::Loading { whole_by, .. } => whole_by,
            };
            if unrest == Unrest::Fenced && !whole_by.is_empty() {
                self.agreeing.entry(slice).or_default().insert(epoch);
            }
            self.set(slice, Stance::Waiting { epoch, whole_by });
        }
    }

    /// What has to be merged before copies of a slice are asked for that waits since the layout `epoch`.
    pub(crate) fn need(&self, slice: SessionSlice, epoch: Epoch) -> Need {
        let held = self.agreeing.get(&slice).and_then(BTreeSet::first);
        held.map_or(Need::Passed(epoch), |&held| Need::Before(held))
    }

    /// The first layout whose barriers are not passed for now; slices about which nobody decides hold nothing up.
    pub(crate) fn held_at(&self, is_decided: impl Fn(SessionSlice) -> bool) -> Option<Epoch> {
        let held = self.agreeing.iter().filter(|&(&slice, _)| is_decided(slice));
        held.filter_map(|(_, epochs)| epochs.first().copied()).min()
    }

    /// All copies of a slice are in. Says whether a lane that was cut is agreed about by that.
    pub(crate) fn agree(&mut self, slice: SessionSlice, from: Address) -> bool {
        let Some(mut epochs) = self.agreeing.remove(&slice) else {
            self.set(slice, Stance::Following(from));
            return false;
        };
        epochs.pop_first();
        match epochs.first().copied() {
            None => self.set(slice, Stance::Following(from)),
            Some(epoch) => {
                self.agreeing.insert(slice, epochs);
                self.set(slice, Stance::Waiting { epoch, whole_by: BTreeSet::from([from]) });
            }
        }
        true
    }
}
