//! The end of a lane whose writer is dead: where it is cut.
//!
//! Each matcher says where its copy ends; the lowest of these is the cut, since every matcher judges its copy to the end. What lies
//! beyond is discarded: nobody was told that it is in, and who sent it sends it again.
//!
//! ```text
//!   not fenced ──layout──▶ awaiting ──every matcher has said where its copy ends, or is gone──▶ known ──merged to the cut──▶ ended
//! ```

use std::collections::BTreeSet;

use gomera_cluster::address::Address;
use gomera_cluster::layout::Epoch;
use gomera_cluster::position::Number;

/// Whether the lane is fenced, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fence {
    /// It goes on.
    None,
    /// It was by the layout `at`.
    Fenced {
        at: Epoch,
        /// Matchers that have not said where their copy ends.
        awaiting: BTreeSet<Address>,
        /// The lowest of those that have.
        cut: Number,
    },
}

impl Fence {
    /// The last number that can ever be merged, as far as is known.
    pub(super) fn cut(&self) -> Number {
        match self {
            Self::None => Number(u64::MAX),
            Self::Fenced { cut, .. } => *cut,
        }
    }

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
                let awaiting = matchers.iter().copied().collect();
                *self = Self::Fenced { at: fenced_at, awaiting, cut: Number(u64::MAX) };
            }
            Self::Fenced { awaiting, .. } => awaiting.retain(|matcher| matchers.contains(matcher)),
        }
    }

    /// A matcher's copy ends there.
    pub(super) fn hear(&mut self, from: Address, through: Number) {
        match self {
            Self::None => {}
            Self::Fenced { awaiting, cut, .. } => {
                if awaiting.remove(&from) {
                    *cut = (*cut).min(through);
                }
            }
        }
    }

    /// Whether the lane has ended, merged so far and complete so far.
    pub(super) fn is_reached(&self, merged: Number, complete: Number) -> bool {
        match self {
            Self::None => false,
            // Without a matcher that has anything more to say, it ends with what is complete.
            Self::Fenced { awaiting, cut: Number(u64::MAX), .. } => awaiting.is_empty() && merged >= complete,
            Self::Fenced { awaiting, cut, .. } => awaiting.is_empty() && merged >= *cut,
        }
    }
}
