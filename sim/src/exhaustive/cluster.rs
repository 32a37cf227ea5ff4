//! What the small cluster is made of, and what is no matter of order in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gomera_access_point::config::Config as AccessPointConfig;
use gomera_access_point::machine::AccessPoint;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::credit::Total;
use gomera_cluster::identity::{PublisherKey, SessionKey, Tenant};
use gomera_cluster::layout::{Epoch, Layout, Member, Settings};
use gomera_cluster::message::{Message, ToMatcher};
use gomera_cluster::position::LaneId;
use gomera_cluster::time::Instant;
use gomera_exit_point::ExitPoint;
use gomera_matcher::machine::Matcher;

use super::Late;
use crate::node::{AnyMachine, Node};

const fn machine(node: u64) -> Address {
    Address { node: Incarnation(node), shard: Shard(0) }
}

pub const CLIENTS: Address = machine(1);
pub const WRITERS: [Address; 2] = [machine(2), machine(3)];
pub const SOURCE: Address = machine(4);
pub const TARGET: Address = machine(5);
pub const EXIT_POINT: Address = machine(6);
pub const LANES: [LaneId; 2] = [LaneId(1), LaneId(2)];
pub const NOW: Instant = Instant::ZERO;
/// More than anybody will need.
pub const PLENTY: Total = Total(1 << 40);

/// Names that belong to the lanes, so that clients are where rendezvous puts them.
pub struct Names {
    pub session: Arc<str>,
    pub publishers: [Arc<str>; 2],
}

impl Names {
    pub fn of(layout: &Layout) -> Self {
        let tenant = Tenant::open();
        let find = |prefix: &str, fits: &dyn Fn(&str) -> bool| -> Arc<str> {
            let mut names = (0..).map(|number| format!("{prefix}{number}"));
            Arc::from(names.find(|name| fits(name)).expect("half of all names do"))
        };
        let publisher =
            |lane| find("p", &|name| layout.lane_of_publisher(PublisherKey::of(&tenant, name)) == Some(lane));
        Self {
            session: find("s", &|name| layout.lane_of_session(SessionKey::of(&tenant, name)) == Some(LANES[0])),
            publishers: LANES.map(publisher),
        }
    }
}

/// Credit and acknowledgements say how far somebody is; the later one says all, and nothing is decided by which came first. What
/// reaches the exit point before what is tried when that hears late.
pub fn is_no_matter_of_order(message: &Message, late: Late) -> bool {
    match message {
        Message::AccessPoint(_) | Message::Layout(_) | Message::LayoutWanted(_) | Message::ConnectionPoint(_) => true,
        Message::Matcher(message) => match message {
            ToMatcher::MatchesCredit(_) | ToMatcher::LaneDone(_) | ToMatcher::SnapshotCredit(_) => true,
            ToMatcher::Entries(_)
            | ToMatcher::Replay(_)
            | ToMatcher::SnapshotWanted(_)
            | ToMatcher::SnapshotPart(_)
            | ToMatcher::LaneSettled(_)
            | ToMatcher::LaneTail(_) => false,
        },
        Message::ExitPoint(_) => late != Late::ExitPoint,
    }
}

pub fn name(address: Address) -> &'static str {
    match address {
        CLIENTS => "clients",
        SOURCE => "source",
        TARGET => "target",
        EXIT_POINT => "exit point",
        address if address == WRITERS[0] => "writer 1",
        _ => "writer 2",
    }
}

pub fn told(message: &Message) -> String {
    let text = format!("{message:?}");
    text.chars().take(240).collect()
}

pub fn members() -> BTreeMap<Incarnation, Member> {
    let layers = [
        (CLIENTS, Layer::ConnectionPoint),
        (WRITERS[0], Layer::AccessPoint),
        (WRITERS[1], Layer::AccessPoint),
        (SOURCE, Layer::Matcher),
        (TARGET, Layer::Matcher),
        (EXIT_POINT, Layer::ExitPoint),
    ];
    let nothing: Arc<str> = Arc::from("");
    let member = |layer| Member {
        layer,
        name: nothing.clone(),
        link_address: nothing.clone(),
        client_address: nothing.clone(),
        shards: 1,
    };
    layers.into_iter().map(|(address, layer)| (address.node, member(layer))).collect()
}

pub fn first_layout() -> Layout {
    let mut members = members();
    members.remove(&TARGET.node);
    let settings = Settings { matcher_slices: 1, session_slices: 1, replication: 1 };
    Layout::initial(settings, members, 1, Epoch(1), LANES[0])
}

pub fn nodes() -> BTreeMap<Address, Node> {
    let machines = [
        (WRITERS[0], Layer::AccessPoint),
        (WRITERS[1], Layer::AccessPoint),
        (SOURCE, Layer::Matcher),
        (TARGET, Layer::Matcher),
        (EXIT_POINT, Layer::ExitPoint),
    ];
    let nodes = machines.into_iter().map(|(address, layer)| {
        let machine = match layer {
            Layer::AccessPoint => {
                AnyMachine::AccessPoint(Box::new(AccessPoint::new(address, AccessPointConfig::default())))
            }
            Layer::Matcher => {
                // Time stands still.
                let snapshot_bytes_per_second = u64::MAX;
                let config = gomera_matcher::config::Config { snapshot_bytes_per_second, ..Default::default() };
                AnyMachine::Matcher(Box::new(Matcher::new(address, config)))
            }
            Layer::ConnectionPoint | Layer::ExitPoint => {
                AnyMachine::ExitPoint(Box::new(ExitPoint::new(address, gomera_exit_point::Config::default())))
            }
        };
        (address, Node::new(address, layer, name(address).to_owned(), machine, 0))
    });
    nodes.collect()
}
