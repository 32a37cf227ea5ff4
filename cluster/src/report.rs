//! What a machine tells the coordinator: how far it has come with layouts. A report says all there is to say, so that the latest
//! one counts and any may be lost or repeated; everything in it only grows, but for what belongs to the layout it names.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::layout::Epoch;
use crate::position::LaneId;

/// How far one machine has come. Asked of every machine by its driver, as often as that likes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The latest layout proposed to it: whom that removes is refused here from now on.
    pub proposed: Epoch,
    /// The layout in force here. What is said of replicas and clients belongs to it.
    pub epoch: Epoch,
    /// The layout on which it has acted in full: every lane has passed its barrier here, or ended.
    pub acted: Epoch,
    /// An access point: the last barrier that each of its lanes has written.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub barriers: BTreeMap<LaneId, Epoch>,
    /// An exit point: lanes that drain and that it has merged to their end.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub drained: BTreeSet<LaneId>,
    /// Slices of its layer that are joining here in the layout in force and have their snapshot.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub installed: BTreeSet<u16>,
    /// Bytes of snapshots of slices that it has sent to others since it began.
    #[serde(skip_serializing_if = "is_zero")]
    pub snapshot_bytes: u64,
    /// A connection point: whether clients are connected.
    #[serde(skip_serializing_if = "Clients::are_some")]
    pub clients: Clients,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference in")]
const fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// Whether a connection point has clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Clients {
    /// It has, or is none.
    #[default]
    Some,
    /// It has not.
    None,
}

impl Clients {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference in")]
    fn are_some(&self) -> bool {
        *self == Self::Some
    }
}
