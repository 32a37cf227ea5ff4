//! What a layout says about one matcher shard: the slices it is active for, and the exit points of each session slice.

use std::sync::Arc;

use gomera_cluster::address::{Address, Layer};
use gomera_cluster::coverage::SliceSet;
use gomera_cluster::identity::{SessionKey, SubscriptionKey};
use gomera_cluster::layout::{Epoch, Layout, MatcherSlice, Role};

/// An exit-point shard, by its place in [`Ownership::exit_points`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitIndex(usize);

impl ExitIndex {
    /// As a position in a table of exit points.
    pub fn index(self) -> usize {
        self.0
    }
}

/// What this shard is for a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Matches by it, and holds limits against what is asked of it.
    Judging,
    /// Has it ready.
    Keeping,
}

/// What a layout says about one matcher shard.
#[derive(Debug)]
pub struct Ownership {
    layout: Arc<Layout>,
    epoch: Epoch,
    address: Address,
    /// The slices it is active for.
    pub active: Arc<SliceSet>,
    /// All exit-point shards, in order.
    pub exit_points: Vec<Address>,
    exits: Vec<Box<[ExitIndex]>>,
}

impl Ownership {
    /// Reads it off a layout.
    pub fn new(layout: Arc<Layout>, address: Address) -> Self {
        let slices = || (0..layout.settings.matcher_slices).map(MatcherSlice);
        let active = slices().filter(|&slice| layout.matcher_placement(slice).active() == Some(address)).collect();
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
        Self { epoch: layout.epoch, address, active: Arc::new(active), exit_points, exits, layout }
    }

    /// Of a lane whose first barrier is still to come: this shard has nothing to do with it before. Exit points are those of a layout.
    pub fn before(layout: Arc<Layout>, address: Address) -> Self {
        Self { epoch: Epoch(0), active: Arc::default(), ..Self::new(layout, address) }
    }

    /// Whether the layout is the first of its cluster: every lane begins with it, and none has ended.
    pub fn is_first(&self) -> bool {
        self.layout.ended.is_empty() && self.layout.lanes.values().all(|lane| lane.since == self.layout.epoch)
    }

    /// Every matcher slice there is.
    pub fn all_slices(&self) -> Arc<SliceSet> {
        Arc::new((0..self.layout.settings.matcher_slices).map(MatcherSlice).collect())
    }

    /// The number of the layout; 0 before the first barrier of a lane.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What this shard is for a slice.
    pub fn role(&self, slice: MatcherSlice) -> Option<Role> {
        if self.epoch == Epoch(0) { None } else { self.layout.matcher_placement(slice).role(self.address) }
    }

    /// The layout by which all of a slice was lost the last time; 0 if it never was.
    pub fn lost(&self, slice: MatcherSlice) -> Epoch {
        self.layout.matcher_placement(slice).lost
    }

    /// The layout.
    pub fn layout(&self) -> &Arc<Layout> {
        &self.layout
    }

    /// Whether it has a slice in a role in which it has everything.
    pub fn is_whole(&self, slice: MatcherSlice) -> bool {
        match self.role(slice) {
            Some(Role::Standby | Role::Active | Role::Retiring) => true,
            Some(Role::Joining) | None => false,
        }
    }

    /// Which machine this is.
    pub fn address(&self) -> Address {
        self.address
    }

    /// Who judges by a slice.
    pub fn active_of(&self, slice: MatcherSlice) -> Option<Address> {
        self.layout.matcher_placement(slice).active()
    }

    /// The slice of a subscription and what is to be done with its operations here; `None` if they are none of ours.
    pub fn standing(&self, key: SubscriptionKey) -> Option<(MatcherSlice, Standing)> {
        let slice = self.layout.slice_of_subscription(key);
        let standing = match self.role(slice)? {
            Role::Active => Standing::Judging,
            Role::Joining | Role::Standby | Role::Retiring => Standing::Keeping,
        };
        Some((slice, standing))
    }

    /// Whether an exit point has a session slice whole: it was there before this layout.
    pub fn holds_sessions(&self, exit_point: Address) -> bool {
        let is_whole = |role| matches!(role, Some(Role::Active | Role::Standby | Role::Retiring));
        self.layout.session.iter().any(|placement| is_whole(placement.role(exit_point)))
    }

    /// The exit points that merge for a session.
    pub fn exits(&self, session: SessionKey) -> &[ExitIndex] {
        &self.exits[usize::from(self.layout.slice_of_session(session).0)]
    }
}
