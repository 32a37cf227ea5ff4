//! One node of any layer: its machines, its ports, its membership.
//!
//! Ports are opened before anything else, so that a port that is taken is the first thing said. Then the node registers under
//! a fresh incarnation, and follows layouts: those of the coordination service, and those that peers pass on.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gomera_access_point::machine::AccessPoint;
use gomera_cluster::address::{Address, Incarnation, Layer, Shard};
use gomera_cluster::layout::Layout;
use gomera_connection_point::ConnectionPoint;
use gomera_coordinator::{NodeState, Registration};
use gomera_exit_point::ExitPoint;
use gomera_matcher::machine::Matcher;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle, JoinSet};

mod config;

pub use config::{ClientPort, LayerConfig, LinkPort, NodeConfig, StartError};

use crate::client_door::{ClientDoor, Parts};
use crate::coordination::{Acknowledging, Coordination, Load, Membership, MembershipStatus};
use crate::links::{Identity, LinkServer, Links};
use crate::listening::{Purpose, listen};
use crate::mailbox;
use crate::runtime::{Crew, Input, Layered, NodeHandle};
use crate::telemetry::{latency, statistics};

/// What nodes of one process say where others say how links reach them: nobody will dial it.
pub(crate) const IN_PROCESS: &str = "in-process:1";

/// How often a node looks whether others should know how much waits in it.
const LOAD_EVERY: Duration = Duration::from_secs(2);

/// How long the last frames of a node that stops may take to leave.
const LAST_FRAMES: Duration = Duration::from_secs(1);

/// A node that runs. Its machines run in the crew that it was started with.
#[derive(Debug)]
pub struct Node {
    name: Arc<str>,
    layer: Layer,
    handle: NodeHandle,
    membership: Membership,
    door: Option<ClientDoor>,
    link_address: Option<SocketAddr>,
    links: Option<Links>,
    pump: JoinHandle<()>,
    /// Says how much waits here; ends with the node, because it holds the session.
    load: JoinSet<()>,
}

/// Whether the layout names a node: before that, it cannot serve. And whether its door is open, if it has one.
#[derive(Clone, Debug)]
pub struct Standing {
    what: Arc<str>,
    incarnation: Incarnation,
    layout: watch::Receiver<Option<Arc<Layout>>>,
    door: Option<AbortHandle>,
}

impl Standing {
    /// If not, why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.door.as_ref().is_some_and(AbortHandle::is_finished) {
            return Err(format!("{}: its door for clients is closed", self.what));
        }
        match &*self.layout.borrow() {
            None => Err(format!("{}: there is no layout yet", self.what)),
            Some(layout) if layout.members.contains_key(&self.incarnation) => Ok(()),
            Some(layout) => Err(format!("{}: layout {} does not name it", self.what, layout.epoch.0)),
        }
    }

    /// Waits until it does.
    pub async fn ready(mut self) {
        while self.readiness().is_err() && self.layout.changed().await.is_ok() {}
    }

    /// Waits until a layout tells it to leave, or none names it.
    pub async fn sent_away(self) {
        let node = self.incarnation;
        self.until(|layout| layout.leaving.contains(&node) || !layout.members.contains_key(&node)).await;
    }

    /// Waits until the layout does not name it.
    pub async fn gone(self) {
        let node = self.incarnation;
        self.until(|layout| !layout.members.contains_key(&node)).await;
    }

    async fn until(mut self, is_so: impl Fn(&Layout) -> bool) {
        let so = self.layout.wait_for(|layout| layout.as_ref().is_none_or(|layout| is_so(layout))).await;
        // An error says that the node has ended, and with it whatever it held.
        drop(so);
    }

    /// Waits until a layout that came after one which names the node does not: the others have given it up, refuse it, and
    /// whatever it still holds is of no use. Says so.
    pub async fn dismissed(mut self) -> String {
        let mut was_named = false;
        loop {
            if let Some(layout) = self.layout.borrow_and_update().clone() {
                let is_named = layout.members.contains_key(&self.incarnation);
                if was_named && !is_named {
                    return format!("{}: layout {} goes on without it; start it again", self.what, layout.epoch.0);
                }
                was_named |= is_named;
            }
            if self.layout.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// A port that is open and has nobody behind it yet.
#[derive(Debug)]
struct Port {
    listener: TcpListener,
    advertised: Arc<str>,
}

impl Node {
    /// Opens the ports, makes the machines, gives them to `crew`, registers.
    pub async fn start(config: NodeConfig, coordination: Coordination, crew: &mut Crew) -> Result<Self, StartError> {
        config.validate()?;
        let NodeConfig { name, shards, layer: settings, links: link_port, clients } = config;
        let layer = settings.layer();
        let link_port = match link_port {
            Some(LinkPort { listen: address, advertise }) => {
                Some(open_port(address, advertise, Purpose::LINKS, "--link-advertise").await?)
            }
            None => None,
        };
        let client_port = match clients {
            Some(ClientPort { listen: address, advertise }) => {
                Some(open_port(address, advertise, Purpose::CLIENTS, "--advertise").await?)
            }
            None => None,
        };
        let incarnation = Incarnation(rand::random());
        let cluster: Arc<str> = Arc::from(coordination.cluster());
        let links = link_port.as_ref().map(|port| {
            let (cluster, address) = (cluster.clone(), port.advertised.clone());
            Links::new(Identity { cluster, layer, incarnation, address })
        });
        let registration = Registration {
            layer,
            name: Arc::from(name.as_str()),
            incarnation,
            link_address: link_port.as_ref().map_or_else(|| Arc::from(IN_PROCESS), |port| port.advertised.clone()),
            client_address: client_port.as_ref().map_or_else(|| Arc::from(""), |port| port.advertised.clone()),
            shards,
            state: NodeState::Up,
        };
        if let (LayerConfig::ConnectionPoint { door, .. }, Some(_)) = (&settings, &links) {
            crew.gather(door.gather_within);
        }
        let handle = NodeHandle::new(incarnation, shards, links.clone());
        let machines: Vec<_> = (0..shards)
            .map(|shard| {
                let address = Address { node: incarnation, shard: Shard(shard) };
                (address, crew.host(address, handle.clone(), settings.machine(address)))
            })
            .collect();
        let mut link_server = None;
        let mut link_address = None;
        if let (Some(port), Some(links)) = (link_port, &links) {
            let server = LinkServer::open(port.listener, links.clone(), crew.fabric().clone())?;
            link_address = Some(server.address());
            link_server = Some(server);
        }
        let mut load = JoinSet::new();
        load.spawn(tell_load(coordination.clone(), registration.clone(), handle.clone()));
        let unreachable = links.as_ref().map_or_else(|| watch::channel(BTreeSet::new()).1, Links::unreachable);
        let acknowledging = Acknowledging::by_machines(handle.reports(), unreachable);
        let membership = Membership::start(coordination.clone(), registration, acknowledging)?;
        let inboxes = machines.iter().map(|(_, inbox)| inbox.clone()).collect();
        let follow = Follow { handle: handle.clone(), inboxes, links: links.clone(), link_server };
        let pump = tokio::spawn(follow.run(membership.layout(), membership.proposed()));
        let door = match (client_port, settings) {
            (Some(port), LayerConfig::ConnectionPoint { door: config, .. }) => Some(ClientDoor::open(Parts {
                listener: port.listener,
                cluster,
                coordination,
                node: handle.clone(),
                config,
                machines,
            })?),
            (
                _,
                LayerConfig::ConnectionPoint { .. }
                | LayerConfig::AccessPoint(_)
                | LayerConfig::Matcher(_)
                | LayerConfig::ExitPoint(_),
            ) => None,
        };
        tracing::info!(
            %layer, name, %incarnation, shards,
            links = ?link_address, clients = ?door.as_ref().map(ClientDoor::address),
            "a node has started"
        );
        Ok(Self { name: Arc::from(name), layer, handle, membership, door, link_address, links, pump, load })
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its layer.
    #[must_use]
    pub fn layer(&self) -> Layer {
        self.layer
    }

    /// This life of it.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.handle.incarnation()
    }

    /// Its layout, and newer ones as they come.
    #[must_use]
    pub fn layout(&self) -> watch::Receiver<Option<Arc<Layout>>> {
        self.handle.layout()
    }

    /// How it stands with its cluster.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<MembershipStatus> {
        self.membership.status()
    }

    /// Where clients reach it; connection points only.
    #[must_use]
    pub fn client_address(&self) -> Option<SocketAddr> {
        self.door.as_ref().map(ClientDoor::address)
    }

    /// Where other processes reach it, if they do.
    #[must_use]
    pub fn link_address(&self) -> Option<SocketAddr> {
        self.link_address
    }

    /// Whether it can serve, to be asked at any time.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            what: Arc::from(format!("{} {}", self.layer, self.name)),
            incarnation: self.incarnation(),
            layout: self.layout(),
            door: self.door.as_ref().map(ClientDoor::serving),
        }
    }

    /// Asks for leave: a coordinator has others take over what it holds, if there are any.
    pub fn drain(&self) {
        self.membership.set_state(NodeState::Draining);
    }

    /// Says goodbye to clients and serves who stays until the deadline. Returns how many were closed by force.
    pub async fn close_door(&mut self, deadline: Duration) -> usize {
        match self.door.take() {
            Some(door) => door.close(deadline).await,
            None => 0,
        }
    }

    /// Leaves the cluster, once the last frames have left or a second has passed. Its machines are stopped by their crew.
    pub async fn leave(self) {
        if let Some(links) = &self.links {
            let left = async {
                while links.depths().iter().any(|(_, depth)| depth.frames > 0 || depth.bytes > 0) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            if tokio::time::timeout(LAST_FRAMES, left).await.is_err() {
                tracing::warn!(layer = %self.layer, name = %self.name, "frames are left that nobody took");
            }
        }
        drop(self.load);
        self.membership.leave().await;
        self.pump.abort();
        if let Some(links) = &self.links {
            links.close();
        }
    }
}

/// Says how much waits in a node, while it is one of a layout, and only what has changed much.
async fn tell_load(coordination: Coordination, registration: Registration, handle: NodeHandle) {
    let mut told = None;
    let mut latencies = latency::Counts::default();
    loop {
        tokio::time::sleep(LOAD_EVERY).await;
        let has_clients = registration.layer == Layer::ConnectionPoint;
        let latency = has_clients.then(|| latency::delivered().quantile_since(&mut latencies, 0.99)).flatten();
        let load = Load {
            layer: registration.layer,
            backlog_bytes: handle.backlog_bytes(),
            latency_microseconds: latency.and_then(|latency| u64::try_from(latency).ok()),
        };
        let layout = handle.layout();
        let is_member =
            layout.borrow().as_ref().is_some_and(|layout| layout.members.contains_key(&handle.incarnation()));
        if !is_member {
            continue;
        }
        // In another session what was told has to be told again; if it stands there, nothing is written.
        let load = told.filter(|told| !load.is_news(told)).unwrap_or(load);
        match coordination.tell_load(&registration, &load).await {
            Ok(()) => told = Some(load),
            Err(error) => tracing::debug!(%error, "nobody is told how much waits here"),
        }
    }
}

/// Opens a port; decides how others are told to reach it.
async fn open_port(
    address: SocketAddr,
    advertise: Option<String>,
    purpose: Purpose,
    flag: &'static str,
) -> Result<Port, StartError> {
    let listener = listen(address, purpose).await?;
    let bound = listener.local_addr()?;
    let advertised = match advertise {
        Some(advertised) => advertised,
        None if bound.ip().is_unspecified() => {
            return Err(StartError::Unreachable { address: bound, purpose: purpose.name, flag });
        }
        None => bound.to_string(),
    };
    Ok(Port { listener, advertised: Arc::from(advertised) })
}

/// Carries layouts: from the coordination service to the node, and from the node to its machines and links.
struct Follow {
    handle: NodeHandle,
    inboxes: Vec<mailbox::Sender<Input>>,
    links: Option<Links>,
    link_server: Option<LinkServer>,
}

impl Follow {
    async fn run(
        self,
        mut committed: watch::Receiver<Option<Arc<Layout>>>,
        mut proposed: watch::Receiver<Option<Arc<Layout>>>,
    ) {
        let mut layout = self.handle.layout();
        let mut before: Option<Arc<Layout>> = None;
        let epoch = statistics::epoch(self.handle.incarnation().to_string());
        let mut figures = tokio::time::interval(Duration::from_secs(1));
        loop {
            if let Some(committed) = committed.borrow_and_update().as_ref() {
                self.handle.offer(committed);
            }
            let present = layout.borrow_and_update().clone();
            // What governed before this node was a member is no business of its machines.
            let present = present.filter(|present| match &before {
                Some(before) => before.epoch < present.epoch,
                None => present.members.contains_key(&self.handle.incarnation()),
            });
            if let Some(present) = present {
                if let Some(links) = &self.links {
                    links.follow(&present);
                }
                if let Some(server) = &self.link_server {
                    server.follow(before.as_deref(), &present);
                }
                for inbox in &self.inboxes {
                    inbox.push(Input::Layout { node: self.handle.incarnation(), layout: present.clone() }, 0);
                }
                #[expect(clippy::cast_precision_loss, reason = "a figure for a graph")]
                epoch.set(present.epoch.0 as f64);
                before = Some(present);
            }
            if let Some(proposal) = proposed.borrow_and_update().as_ref() {
                self.propose(before.is_some(), proposal);
            }
            let changed = tokio::select! {
                changed = committed.changed() => changed,
                changed = proposed.changed() => changed,
                changed = layout.changed() => changed,
                _ = figures.tick() => {
                    self.show();
                    Ok(())
                }
            };
            if changed.is_err() {
                // The membership has ended, and the node with it.
                return;
            }
        }
    }

    /// Machines refuse from now on whom the proposal removes, and say so; if they are or will be a part of the cluster.
    fn propose(&self, is_member: bool, proposal: &Arc<Layout>) {
        if is_member || proposal.members.contains_key(&self.handle.incarnation()) {
            for inbox in &self.inboxes {
                let node = self.handle.incarnation();
                inbox.push(Input::Proposed { node, proposal: proposal.clone() }, 0);
            }
        }
    }

    fn show(&self) {
        let Some(links) = &self.links else { return };
        for (peer, depth) in links.depths() {
            statistics::link_depth(self.handle.incarnation(), peer, depth);
        }
    }
}

impl LayerConfig {
    fn machine(&self, address: Address) -> Layered {
        // Look-up tables of processes that face clients are seeded at random.
        let hash_seed = rand::random();
        match self {
            Self::ConnectionPoint { machine, door: _ } => {
                Layered::ConnectionPoint(Box::new(ConnectionPoint::new(address, (**machine).clone())))
            }
            Self::AccessPoint(config) => {
                let config = gomera_access_point::config::Config { hash_seed, ..config.clone() };
                Layered::AccessPoint(Box::new(AccessPoint::new(address, config)))
            }
            Self::Matcher(config) => {
                let config = gomera_matcher::config::Config { hash_seed, ..config.clone() };
                Layered::Matcher(Box::new(Matcher::new(address, config)))
            }
            Self::ExitPoint(config) => {
                let config = gomera_exit_point::Config { hash_seed, ..config.clone() };
                Layered::ExitPoint(Box::new(ExitPoint::new(address, config)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use gomera_cluster::layout::{Epoch, Member, Settings};
    use gomera_cluster::position::LaneId;

    use super::*;

    #[tokio::test]
    async fn a_node_hears_when_a_layout_goes_on_without_it_and_not_before() {
        let layout = |epoch, nodes: &[u64]| {
            let empty: Arc<str> = Arc::from("");
            let member = Member {
                layer: Layer::ConnectionPoint,
                name: empty.clone(),
                link_address: empty.clone(),
                client_address: empty,
                shards: 1,
            };
            let members = nodes.iter().map(|&node| (Incarnation(node), member.clone())).collect();
            Some(Arc::new(Layout::initial(Settings::default(), members, 1, Epoch(epoch), LaneId(1))))
        };
        let layouts = watch::Sender::new(layout(1, &[1]));
        let standing =
            Standing { what: Arc::from("two"), incarnation: Incarnation(2), layout: layouts.subscribe(), door: None };
        let dismissed = tokio::spawn(standing.dismissed());
        // Not named yet, then named: each is seen before the next one comes.
        for (epoch, nodes) in [(2, &[1_u64, 2][..]), (3, &[1, 2, 3])] {
            layouts.send_replace(layout(epoch, nodes));
            tokio::task::yield_now().await;
            assert!(!dismissed.is_finished(), "in layout {epoch} it serves");
        }
        layouts.send_replace(layout(4, &[1, 3]));
        assert_eq!(dismissed.await.expect("no panic"), "two: layout 4 goes on without it; start it again");
    }
}
