//! The end of a lane whose writer is dead: where it is cut.
//!
//! Each matcher says what it will still say of its copy, and by which slices. Nothing else comes any more, so the lane ends with what
//! every slice covers then: the copies end at different places, and what a dead matcher left unsaid nobody says. What lies beyond is
//! discarded: nobody was told that it is in, and who sent it sends it again.
//!
//! ```text
//!   not fenced ──layout──▶ awaiting ──every matcher has said what is to come, or is gone──▶ known ──merged to the cut──▶ ended
//! ```

use std::collections::{BTreeMap, BTreeSet};

use gomera_cluster::address::Address;
use gomera_cluster::coverage::{Extension, LaneCoverage};
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
        /// Matchers that have not said what is to come.
        awaiting: BTreeSet<Address>,
        /// What the others will say.
        to_come: BTreeMap<Address, Vec<Reach>>,
        cut: Cut,
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

    /// Begins, or goes on without matchers that are gone: `matchers` are those that live.
    pub(super) fn raise(&mut self, fenced_at: Epoch, matchers: &[Address]) {
        match self {
            Self::None => {
                let (awaiting, to_come) = (matchers.iter().copied().collect(), BTreeMap::new());
                *self = Self::Fenced { at: fenced_at, awaiting, to_come, cut: Cut::Unknown };
            }
            Self::Fenced { awaiting, to_come, .. } => {
                awaiting.retain(|matcher| matchers.contains(matcher));
                to_come.retain(|matcher, _| matchers.contains(matcher));
            }
        }
    }

    /// A matcher will say this, and nothing more.
    pub(super) fn hear(&mut self, from: Address, reach: Vec<Reach>) {
        match self {
            Self::None => {}
            Self::Fenced { awaiting, to_come, .. } => {
                if awaiting.remove(&from) {
                    to_come.insert(from, reach);
                }
            }
        }
    }

    /// Works out where the lane ends, if everybody has said what is to come: with what is covered, what is `held`, and that.
    pub(super) fn settle<'a>(&mut self, coverage: &LaneCoverage, held: impl Iterator<Item = Reach> + 'a) {
        let Self::Fenced { awaiting, to_come, cut, .. } = self else { return };
        if !awaiting.is_empty() {
            return;
        }
        let mut coverage = coverage.clone();
        let mut left = held.chain(to_come.values().flatten().cloned()).collect::<Vec<_>>();
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
        *cut = Cut::At(coverage.complete());
    }

    /// Whether the lane has ended, merged so far.
    pub(super) fn is_reached(&self, merged: Number) -> bool {
        match self {
            Self::None | Self::Fenced { cut: Cut::Unknown, .. } => false,
            Self::Fenced { cut: Cut::At(cut), .. } => merged >= *cut,
        }
    }
}
