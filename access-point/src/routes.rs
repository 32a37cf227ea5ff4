//! Where entries of a lane go under one layout: to all matchers, or to the replicas of a slice.

use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice, Placement};
use gomera_cluster::operation::Operation;

use crate::log::stamp;
use crate::operations::Decider;

/// The machines that have to apply an operation, in order of address.
pub type Stamp = Arc<[Address]>;

/// What a lane has to know of the layout that governs it.
#[derive(Debug)]
pub struct Routes {
    /// The layout.
    pub layout: Arc<Layout>,
    /// Every matcher machine.
    pub matchers: Stamp,
    /// The matcher machines that are sent publications.
    pub publications: Stamp,
    /// Every exit-point machine.
    pub exit_points: Vec<Address>,
    /// Every connection-point machine.
    pub connection_points: Vec<Address>,
    replicas: Vec<Stamp>,
    owners: Vec<Address>,
}

impl Routes {
    /// Reads them off a layout.
    ///
    /// # Panics
    /// If a matcher slice has no active replica: no operation on it could ever complete, so no coordinator commits that.
    pub fn new(layout: Arc<Layout>) -> Self {
        let nobody = || panic!("layout {} has a slice nobody is active for", layout.epoch.0);
        let owners = layout.matcher.iter().map(|placement| placement.active().unwrap_or_else(nobody)).collect();
        let holders = |placement: &Placement| placement.replicas.iter().map(|replica| replica.holder).collect();
        let replicas = layout.matcher.iter().map(|placement| stamp(holders(placement))).collect();
        Self {
            matchers: stamp(layout.machines(Layer::Matcher).collect()),
            publications: Arc::from(layout.readers()),
            exit_points: layout.machines(Layer::ExitPoint).collect(),
            connection_points: layout.machines(Layer::ConnectionPoint).collect(),
            replicas,
            owners,
            layout,
        }
    }

    /// The layout's number.
    pub fn epoch(&self) -> Epoch {
        self.layout.epoch
    }

    /// Who judges by a slice.
    pub fn owner(&self, slice: MatcherSlice) -> Address {
        self.owners[usize::from(slice.0)]
    }

    /// Whether a machine is a matcher.
    pub fn reads(&self, machine: Address) -> bool {
        self.matchers.binary_search(&machine).is_ok()
    }

    /// Who has to apply an operation: every replica of its slice, whatever its role, or every matcher; and who decides what came of it.
    pub fn stamp(&self, operation: &Operation) -> (Stamp, Decider) {
        match operation.change.subscription() {
            Some(key) => {
                let slice = self.layout.slice_of_subscription(key);
                (self.replicas[usize::from(slice.0)].clone(), Decider::Active(self.owner(slice)))
            }
            None => (self.matchers.clone(), Decider::All),
        }
    }
}
