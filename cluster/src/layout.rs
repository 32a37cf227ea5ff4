//! The layout: who holds which replica and which lanes exist, numbered by its epoch. Committed by one versioned write, then
//! carried on links as well; every decision about who may do what is read from it.

mod following;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{Address, Incarnation, Layer, Shard};
use crate::coverage::SliceSet;
use crate::hash;
use crate::identity::{PublisherKey, SessionKey, SubscriptionKey, Term};
use crate::position::LaneId;

pub use following::NotFollowing;

/// The number of a layout; 0 stands for «none yet».
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Epoch(pub u64);

impl Epoch {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference in")]
    fn is_none(&self) -> bool {
        self.0 == 0
    }
}

/// A slice of the matcher layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MatcherSlice(pub u16);

/// A slice of the exit-point layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionSlice(pub u16);

/// What is fixed for the life of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Slices of the matcher layer, 1 to 4096.
    pub matcher_slices: u16,
    /// Slices of the exit-point layer, 1 to 4096.
    pub session_slices: u16,
    /// Replicas wanted per slice, where there are as many nodes.
    pub replication: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self { matcher_slices: 256, session_slices: 256, replication: 2 }
    }
}

/// A node that the layout names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its layer.
    pub layer: Layer,
    /// Its name, for people.
    pub name: Arc<str>,
    /// `HOST:PORT` where links reach it.
    pub link_address: Arc<str>,
    /// `HOST:PORT` where clients reach it; empty but for connection points.
    pub client_address: Arc<str>,
    /// How many shards it runs, at least 1.
    pub shards: u16,
}

/// How far a replica has climbed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Gets operations and a snapshot; cannot take over.
    Joining,
    /// Holds everything; can take over at any time.
    Standby,
    /// Decides.
    Active,
    /// Was active in the layout before; still stamped and awaited.
    Retiring,
}

/// One machine's copy of a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The machine that holds it.
    pub holder: Address,
    /// Its role.
    pub role: Role,
}

/// Who holds one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The reign of the active replica; grows with each change of the active replica.
    pub term: Term,
    /// The last layout by which the active replica began with nothing, because the last one that had everything was dead; 0 if that
    /// never happened.
    #[serde(default, skip_serializing_if = "Epoch::is_none")]
    pub lost: Epoch,
    /// At most one active, in order of address.
    pub replicas: Vec<Replica>,
}

impl Placement {
    /// The machine that decides for this slice.
    #[must_use]
    pub fn active(&self) -> Option<Address> {
        self.replicas.iter().find(|replica| replica.role == Role::Active).map(|replica| replica.holder)
    }

    /// The role that `holder` has here.
    #[must_use]
    pub fn role(&self, holder: Address) -> Option<Role> {
        self.replicas.iter().find(|replica| replica.holder == holder).map(|replica| replica.role)
    }
}

/// How a lane stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneState {
    /// Takes publications and operations.
    Open,
    /// Being emptied: publishers move off it.
    Draining,
}

/// A lane and the access-point shard that writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lane {
    /// Who writes it.
    pub writer: Address,
    /// How it stands.
    pub state: LaneState,
    /// The layout that opened it.
    pub since: Epoch,
}

/// How a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaneEnd {
    /// By plan, merged everywhere.
    Closed,
    /// Its writer was declared dead; cut where the copies end.
    Fenced,
}

/// Who holds which replica and which lanes exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// Its number.
    pub epoch: Epoch,
    /// What is fixed for the life of the cluster.
    pub settings: Settings,
    /// The nodes it names.
    pub members: BTreeMap<Incarnation, Member>,
    /// Those of them that are to leave by plan: they get no new work, clients above all, and go when they hold nothing.
    pub leaving: BTreeSet<Incarnation>,
    /// The lanes that exist.
    pub lanes: BTreeMap<LaneId, Lane>,
    /// Lanes that ended and that some member may still have to act on, with the layout that ended them.
    pub ended: BTreeMap<LaneId, (LaneEnd, Epoch)>,
    /// The lane id to give next.
    pub lane_next: LaneId,
    /// The matcher layer, one per [`MatcherSlice`].
    pub matcher: Vec<Placement>,
    /// The exit-point layer, one per [`SessionSlice`].
    pub session: Vec<Placement>,
}

impl Layout {
    /// The machines of a layer, in order.
    pub fn machines(&self, layer: Layer) -> impl Iterator<Item = Address> + '_ {
        self.members
            .iter()
            .filter(move |(_, member)| member.layer == layer)
            .flat_map(|(&node, member)| (0..member.shards).map(move |shard| Address { node, shard: Shard(shard) }))
    }

    /// Whether the layout names this machine.
    #[must_use]
    pub fn names(&self, address: Address) -> bool {
        self.members.get(&address.node).is_some_and(|member| address.shard.0 < member.shards)
    }

    /// The slice of a subscription.
    #[must_use]
    pub fn slice_of_subscription(&self, key: SubscriptionKey) -> MatcherSlice {
        MatcherSlice(hash::slice(key.0, self.settings.matcher_slices))
    }

    /// The slice of a session.
    #[must_use]
    pub fn slice_of_session(&self, key: SessionKey) -> SessionSlice {
        SessionSlice(hash::slice(key.0, self.settings.session_slices))
    }

    /// Who holds a slice of the matcher layer.
    ///
    /// # Panics
    /// If the slice is not below `settings.matcher_slices`.
    #[must_use]
    pub fn matcher_placement(&self, slice: MatcherSlice) -> &Placement {
        &self.matcher[usize::from(slice.0)]
    }

    /// The matcher shards that are sent publications, in order: those that have some slice whole. Who only loads slices has nothing to judge
    /// by them, and would take in for as long as that lasts what it lets go again.
    #[must_use]
    pub fn readers(&self) -> Vec<Address> {
        let replicas = self.matcher.iter().flat_map(|placement| &placement.replicas);
        let whole = replicas.filter(|replica| replica.role != Role::Joining).map(|replica| replica.holder);
        let mut whole = whole.collect::<Vec<_>>();
        whole.sort_unstable();
        whole.dedup();
        whole
    }

    /// The last layout by which subscriptions of any slice were lost, 0 if none ever was: a client that was told a lower one has
    /// something to declare again.
    #[must_use]
    pub fn subscriptions_lost(&self) -> Epoch {
        self.matcher.iter().map(|placement| placement.lost).max().unwrap_or_default()
    }

    /// Slices of which all subscriptions were lost by a layout that is no earlier than this one.
    #[must_use]
    pub fn lost_since(&self, epoch: Epoch) -> SliceSet {
        let slices = (0..).map(MatcherSlice).zip(&self.matcher);
        slices.filter(|(_, placement)| placement.lost >= epoch).map(|(slice, _)| slice).collect()
    }

    /// Who holds a slice of the exit-point layer.
    ///
    /// # Panics
    /// If the slice is not below `settings.session_slices`.
    #[must_use]
    pub fn session_placement(&self, slice: SessionSlice) -> &Placement {
        &self.session[usize::from(slice.0)]
    }

    /// The open lane that a publisher belongs to, by rendezvous; `None` without an open lane.
    #[must_use]
    pub fn lane_of_publisher(&self, publisher: PublisherKey) -> Option<LaneId> {
        self.rendezvous(publisher.0)
    }

    /// The open lane that a session's operations belong to, by rendezvous; `None` without an open lane.
    #[must_use]
    pub fn lane_of_session(&self, session: SessionKey) -> Option<LaneId> {
        self.rendezvous(session.0)
    }

    /// Who writes a lane that exists.
    #[must_use]
    pub fn writer(&self, lane: LaneId) -> Option<Address> {
        self.lanes.get(&lane).map(|lane| lane.writer)
    }

    fn rendezvous(&self, key: u128) -> Option<LaneId> {
        self.lanes
            .iter()
            .filter(|(_, lane)| lane.state == LaneState::Open)
            .max_by_key(|&(&id, _)| (hash::rendezvous_weight(key, u64::from(id.0)), id))
            .map(|(&id, _)| id)
    }

    /// A first layout: slices spread evenly over the machines of `members` (all active, no standby), `lanes_per_shard` lanes
    /// for each access-point shard. `epoch` and `lane_next` continue those of a layout before it, if there was one.
    #[must_use]
    pub fn initial(
        settings: Settings,
        members: BTreeMap<Incarnation, Member>,
        lanes_per_shard: u16,
        epoch: Epoch,
        lane_next: LaneId,
    ) -> Self {
        let mut layout = Self {
            epoch,
            matcher: vec![Placement::default(); usize::from(settings.matcher_slices)],
            session: vec![Placement::default(); usize::from(settings.session_slices)],
            settings,
            members,
            leaving: BTreeSet::new(),
            lanes: BTreeMap::new(),
            ended: BTreeMap::new(),
            lane_next,
        };
        for writer in layout.machines(Layer::AccessPoint).collect::<Vec<_>>() {
            for _ in 0..lanes_per_shard {
                let lane = Lane { writer, state: LaneState::Open, since: epoch };
                layout.lanes.insert(layout.lane_next, lane);
                layout.lane_next = LaneId(layout.lane_next.0 + 1);
            }
        }
        let matchers = layout.machines(Layer::Matcher).collect::<Vec<_>>();
        let exits = layout.machines(Layer::ExitPoint).collect::<Vec<_>>();
        spread(&mut layout.matcher, &matchers, epoch);
        spread(&mut layout.session, &exits, epoch);
        layout
    }
}

/// Gives every slice one active replica, round robin. The term is the epoch: it grows across restarts of a whole cluster.
fn spread(placements: &mut [Placement], machines: &[Address], epoch: Epoch) {
    for (index, placement) in placements.iter_mut().enumerate() {
        placement.term = Term(epoch.0);
        if let Some(&holder) = machines.get(index % machines.len().max(1)) {
            placement.replicas = vec![Replica { holder, role: Role::Active }];
        }
    }
}
