//! What a layout says about one matcher shard: the slices it is active for, and the exit points of each session slice.

use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{SessionKey, SubscriptionKey};
use gomera_cluster::layout::{Layout, MatcherSlice, Placement, Role};

/// An exit-point shard, by its place in [`Ownership::exit_points`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitIndex(usize);

impl ExitIndex {
    /// As a position in a table of exit points.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What this shard does with operations of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Applies them, matches by them, and says what came of them.
    Judging,
    /// Applies them.
    Keeping,
}

/// What a layout says about one matcher shard.
#[derive(Debug)]
pub struct Ownership {
    layout: Arc<Layout>,
    address: Address,
    /// The slices it is active for.
    pub active: Arc<SliceSet>,
    /// The slices that it holds in any role.
    pub held: SliceSet,
    /// All exit-point shards, in order.
    pub exit_points: Vec<Address>,
    exits: Vec<Box<[ExitIndex]>>,
}

impl Ownership {
    /// Reads it off a layout.
    pub fn new(layout: Arc<Layout>, address: Address) -> Self {
        let slices = || (0..layout.settings.matcher_slices).map(MatcherSlice);
        let active = slices().filter(|&slice| layout.matcher_placement(slice).active() == Some(address)).collect();
        let held = slices().filter(|&slice| layout.matcher_placement(slice).role(address).is_some()).collect();
        let exit_points = layout.machines(Layer::ExitPoint).collect::<Vec<_>>();
        let exits = layout
            .session
            .iter()
            .map(|placement| {
                // Every replica merges, whatever its role.
                let holders = placement.replicas.iter().map(|replica| replica.holder);
                holders.filter_map(|holder| exit_points.binary_search(&holder).ok().map(ExitIndex)).collect()
            })
            .collect();
        Self { address, active: Arc::new(active), held, exit_points, exits, layout }
    }

    /// The layout.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Whether it is of a later layout than the other.
    pub fn is_after(&self, other: &Self) -> bool {
        self.layout.epoch > other.layout.epoch
    }

    /// Whether the other says the same of exit points and their replicas. Terms may differ: they are between exit points and
    /// connection points.
    pub fn same_exits_as(&self, other: &Self) -> bool {
        let same = |ours: &[Placement], others: &[Placement]| {
            ours.iter().map(|placement| &placement.replicas).eq(others.iter().map(|placement| &placement.replicas))
        };
        self.exit_points == other.exit_points && same(&self.layout.session, &other.layout.session)
    }

    /// The slice of a subscription and what is to be done with its operations here; `None` if they are none of ours.
    pub fn standing(&self, key: SubscriptionKey) -> Option<(MatcherSlice, Standing)> {
        let slice = self.layout.slice_of_subscription(key);
        let standing = match self.layout.matcher_placement(slice).role(self.address)? {
            Role::Active => Standing::Judging,
            Role::Joining | Role::Standby | Role::Retiring => Standing::Keeping,
        };
        Some((slice, standing))
    }

    /// The exit points that merge for a session.
    pub fn exits(&self, session: SessionKey) -> &[ExitIndex] {
        &self.exits[usize::from(self.layout.slice_of_session(session).0)]
    }
}
