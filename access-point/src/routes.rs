//! Where entries of a lane go under one layout: to all matchers, or to the replicas of a slice.

use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::layout::{Epoch, Layout};
use gomera_cluster::operation::Operation;

use crate::log::stamp;

/// The machines that have to apply an operation, in order of address.
pub type Stamp = Arc<[Address]>;

/// What a lane has to know of the layout that governs it.
#[derive(Debug)]
pub struct Routes {
    /// The layout.
    pub layout: Arc<Layout>,
    /// Every matcher machine.
    pub matchers: Stamp,
    /// Every exit-point machine.
    pub exit_points: Vec<Address>,
    /// Every connection-point machine.
    pub connection_points: Vec<Address>,
    replicas: Vec<Stamp>,
}

impl Routes {
    /// Reads them off a layout.
    ///
    /// # Panics
    /// If a matcher slice has no active replica: no operation on it could ever complete, so no coordinator commits that.
    pub fn new(layout: Arc<Layout>) -> Self {
        let replicas = layout
            .matcher
            .iter()
            .map(|placement| {
                assert!(placement.active().is_some(), "layout {} has a slice nobody is active for", layout.epoch.0);
                stamp(placement.replicas.iter().map(|replica| replica.holder).collect())
            })
            .collect();
        Self {
            matchers: stamp(layout.machines(Layer::Matcher).collect()),
            exit_points: layout.machines(Layer::ExitPoint).collect(),
            connection_points: layout.machines(Layer::ConnectionPoint).collect(),
            replicas,
            layout,
        }
    }

    /// The layout's number.
    pub fn epoch(&self) -> Epoch {
        self.layout.epoch
    }

    /// Who has to apply an operation: every replica of its slice, whatever its role, or every matcher.
    pub fn stamp(&self, operation: &Operation) -> Stamp {
        match operation.change.subscription() {
            Some(key) => self.replicas[usize::from(self.layout.slice_of_subscription(key).0)].clone(),
            None => self.matchers.clone(),
        }
    }
}
