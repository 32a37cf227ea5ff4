//! The end of a lane whose writer is dead: where it is cut.
//!
//! Each matcher says what it will still say of its copy, and by which slices. Nothing else comes any more, so the lane ends with what
//! every slice covers then: the copies end at different places, and what a dead matcher left unsaid of its own nobody says. What lies
//! beyond is discarded: nobody was told that it is in, and who sent it sends it again.
//!
//! A matcher that dies before the lane has ended here may not have said all that it was to say. Those who are left judge what it had to,
//! and say by the layout that lacks it what is to come now: what they said before counts no more, but for where the lane was to end, if
//! that was known. Another shard may have merged it to there, and their copies reach further.
//!
//! ```text
//!   not fenced ──layout──▶ awaiting ──every matcher has said what is to come──▶ known ──merged to the cut──▶ ended
//!                             ▲                                                   │
//!                             └────────── a layout lacks one of them ─────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::Address;
use gomera_cluster::coverage::{Extension, LaneCoverage, SliceSet};
use gomera_cluster::layout::Epoch;
use gomera_cluster::message::exit_point::Reach;
use gomera_cluster::position::Number;

/// Whether the lane is fenced, and what is to come.
#[derive(Clone, Debug)]
pub(super) enum Fence {
    /// It goes on.
    None,
    /// It was by the layout `at`.
    Fenced {
        at: Epoch,
        /// By this layout matchers have to say what is to come, or by a later one.
        by: Epoch,
        /// Matchers that have not said what is to come.
        awaiting: BTreeSet<Address>,
        /// What the others will say.
        to_come: BTreeMap<Address, Vec<Reach>>,
        cut: Cut,
        /// Where the lane was to end when it was known before.
        limit: Number,
        /// Slices that were lost by the layout that fenced it or later.
        lost: SliceSet,
    },
}

/// Where the lane ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// Somebody has not said yet what is to come.
    Unknown,
    /// There.
    At(Number),
}

impl Fence {
    /// The layout that fenced it.
    pub(super) fn at(&self) -> Option<Epoch> {
        match self {
            Self::None => None,
            Self::Fenced { at, .. } => Some(*at),
        }
    }

    /// Begins, or begins anew if matchers are gone that had to be heard or were: `matchers` are those that the `latest` layout has, and by
    /// it these slices were `lost`, or by an earlier one that is no earlier than the one that fenced the lane.
    pub(super) fn raise(&mut self, fenced_at: Epoch, latest: Epoch, matchers: &[Address], lost: SliceSet) {
        match self {
            Self::None => {
                let (awaiting, to_come) = (matchers.iter().copied().collect(), BTreeMap::new());
                let (cut, limit) = (Cut::Unknown, Number(u64::MAX));
                *self = Self::Fenced { at: fenced_at, by: latest, awaiting, to_come, cut, limit, lost };
            }
            Self::Fenced { at: _, by, awaiting, to_come, cut, limit, lost: lost_before } => {
                // Another one may have ended it there.
                if let Cut::At(known) = *cut {
                    *limit = known.min(*limit);
                }
                *lost_before = lost;
                let mut all = awaiting.iter().chain(to_come.keys());
                if all.any(|matcher| !matchers.contains(matcher)) {
                    (*by, *cut) = (latest, Cut::Unknown);
                    awaiting.extend(std::mem::take(to_come).into_keys());
                    awaiting.retain(|matcher| matchers.contains(matcher));
                }
            }
        }
    }

    /// A matcher will say this, and nothing more, as of a layout.
    pub(super) fn hear(&mut self, from: Address, as_of: Epoch, reach: Vec<Reach>) {
        match self {
            Self::None => {}
            Self::Fenced { by, awaiting, to_come, .. } => {
                if as_of >= *by && awaiting.remove(&from) {
                    to_come.insert(from, reach);
                }
            }
        }
    }

    /// Works out where the lane ends, if everybody has said what is to come: with what is covered, up to what is `furthest`, what is `held`,
    /// and that. By slices that were lost nobody judges any more, nor has to.
    pub(super) fn settle<'a>(
        &mut self,
        coverage: &LaneCoverage,
        furthest: Number,
        held: impl Iterator<Item = Reach> + 'a,
    ) {
        let Self::Fenced { awaiting, to_come, cut, limit, lost, .. } = self else { return };
        if !awaiting.is_empty() {
            return;
        }
        let mut coverage = coverage.clone();
        let mut left = held.chain(to_come.values().flatten().cloned()).collect::<Vec<_>>();
        coverage.extend(lost, left.iter().map(|reach| reach.to).fold(furthest, Number::max));
        // What fills a hole lets what is behind it count.
        loop {
            let before = left.len();
            left.retain(|reach| match coverage.judge(&reach.slices, reach.from, reach.to) {
                Extension::Whole | Extension::Partial => {
                    coverage.extend(&reach.slices, reach.to);
                    false
                }
                Extension::Covered => false,
                Extension::Hole => true,
            });
            if left.len() == before {
                break;
            }
        }
        *cut = Cut::At(coverage.complete().min(*limit));
    }

    /// The slices of which everything up to where the lane ends counts as judged because they were lost, and that end, once it is known.
    pub(super) fn lost(&self) -> Option<(&SliceSet, Number)> {
        match self {
            Self::Fenced { cut: Cut::At(cut), lost, .. } if !lost.is_empty() => Some((lost, *cut)),
            Self::None | Self::Fenced { .. } => None,
        }
    }

    /// The last number that may be merged.
    pub(super) fn limit(&self) -> Number {
        match self {
            Self::None => Number(u64::MAX),
            Self::Fenced { limit, .. } => *limit,
        }
    }

    /// Whether the lane has ended, merged so far.
    pub(super) fn is_reached(&self, merged: Number) -> bool {
        match self {
            Self::None | Self::Fenced { cut: Cut::Unknown, .. } => false,
            Self::Fenced { cut: Cut::At(cut), .. } => merged >= *cut,
        }
    }
}
