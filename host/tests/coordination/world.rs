//! A coordination service for one claim, and the few things that all claims do.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::{Epoch, Layout, Settings};
use gomera_cluster::position::LaneId;
use gomera_coordinator::{Config, Desired, NodeState, Registration};
use gomera_host::coordination::{
    Acknowledgement, Candidate, Coordinating, Coordination, CoordinatorReport, InProcess, Membership, ZooKeeperConfig,
};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use xtask::services::zookeeper::ZooKeeper;

/// Longer than anything takes on a busy machine; a claim that waits this long is broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Short, since claims wait for it; long enough for a node to register again.
pub const GRACE: Duration = Duration::from_millis(1500);

/// A cluster of its own in a coordination service.
pub struct World {
    service: Service,
    cluster: String,
}

enum Service {
    InProcess(InProcess),
    /// All claims share one server, each in a cluster of its own.
    Shared(&'static ZooKeeper),
    Own(ZooKeeper),
}

impl World {
    pub fn in_process() -> Self {
        Self::new(Service::InProcess(InProcess::new()))
    }

    pub fn zookeeper() -> Self {
        static SHARED: OnceLock<ZooKeeper> = OnceLock::new();
        Self::new(Service::Shared(SHARED.get_or_init(|| ZooKeeper::start(1).expect("ZooKeeper starts"))))
    }

    pub fn zookeeper_of_its_own(servers: usize) -> Self {
        Self::new(Service::Own(ZooKeeper::start(servers).expect("ZooKeeper starts")))
    }

    fn new(service: Service) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        // Failing claims say what everybody did.
        let log = tracing_subscriber::fmt().with_test_writer().with_env_filter("gomera=debug,warn").try_init();
        drop(log);
        Self { service, cluster: format!("claim-{}", COUNT.fetch_add(1, Ordering::Relaxed)) }
    }

    /// A further session.
    pub async fn connect(&self) -> Coordination {
        let connected = match &self.service {
            Service::InProcess(service) => Coordination::in_process(service, &self.cluster).await,
            Service::Shared(server) => Coordination::zookeeper(&config(&server.connect_string()), &self.cluster).await,
            Service::Own(server) => Coordination::zookeeper(&config(&server.connect_string()), &self.cluster).await,
        };
        connected.expect("the service is there")
    }

    /// The service stops answering: it goes away, or its only or leading server is killed.
    pub fn break_service(&mut self) -> Breakage {
        match &mut self.service {
            Service::InProcess(service) => {
                service.go_away();
                Breakage::Whole
            }
            Service::Shared(_) => panic!("other claims need this server"),
            Service::Own(server) => {
                let leader = server.leader().expect("it serves");
                server.kill(leader);
                if server.len() == 1 { Breakage::Whole } else { Breakage::Leader }
            }
        }
    }

    /// What was broken is whole again.
    pub fn repair_service(&mut self) {
        match &mut self.service {
            Service::InProcess(service) => service.come_back(),
            Service::Shared(_) => panic!("this server is never broken"),
            Service::Own(server) if server.len() == 1 => server.restart(0).expect("ZooKeeper starts again"),
            // Two of three are an ensemble.
            Service::Own(_) => {}
        }
    }

    /// The servers, if they are real.
    pub fn servers(&self) -> String {
        match &self.service {
            Service::InProcess(_) => panic!("there are no servers in process"),
            Service::Shared(server) => server.connect_string(),
            Service::Own(server) => server.connect_string(),
        }
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }
}

/// How much of a service does not answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// All of it, until it is repaired.
    Whole,
    /// One server; the others elect another leader by themselves.
    Leader,
}

/// Sessions of 4 s, the longest that the servers' short ticks allow.
pub fn config(servers: &str) -> ZooKeeperConfig {
    ZooKeeperConfig {
        servers: servers.to_owned(),
        session_timeout: Duration::from_secs(4),
        connect_timeout: PATIENCE,
        // Long, so that what works, works because of watches.
        reread: Duration::from_secs(5),
    }
}

/// A future that must not take long.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {PATIENCE:?}"),
    }
}

/// Waits until a watched value is as it should be, and gives it.
pub async fn until<T: Clone + Debug>(
    what: &str,
    receiver: &mut watch::Receiver<T>,
    mut right: impl FnMut(&T) -> bool,
) -> T {
    if let Ok(value) = tokio::time::timeout(PATIENCE, receiver.wait_for(|value| right(value))).await {
        return value.expect("the sender lives").clone();
    }
    panic!("{what}: not within {PATIENCE:?}; it is {:?}", *receiver.borrow());
}

/// Waits until the report of a coordinator reads so.
pub async fn until_report(coordinating: &Coordinating, part: &str) -> CoordinatorReport {
    until(part, &mut coordinating.report(), |report| report.status.to_string().contains(part)).await
}

/// Waits until what the coordination service tells people reads so.
pub async fn until_status(session: &Coordination, part: &str) {
    let said = async {
        while !session.status().await.expect("reads").is_some_and(|status| status.to_string().contains(part)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("«{part}» is not told within {PATIENCE:?}"));
}

/// A node without machines has the proposal of this epoch.
pub fn acknowledgement(epoch: Epoch) -> Acknowledgement {
    Acknowledgement { epoch, ..Acknowledgement::default() }
}

/// Waits until a node has the layout of this epoch, and gives it.
pub async fn until_epoch(membership: &Membership, epoch: u64) -> Arc<Layout> {
    let has = |layout: &Option<Arc<Layout>>| layout.as_ref().is_some_and(|layout| layout.epoch == Epoch(epoch));
    until("a layout", &mut membership.layout(), has).await.expect("waited for")
}

pub fn node(layer: Layer, incarnation: u64) -> Registration {
    Registration {
        layer,
        name: Arc::from(format!("{layer}-{incarnation}")),
        incarnation: Incarnation(incarnation),
        // Nobody asks it whether it is there.
        link_address: Arc::from("in-process:1"),
        client_address: Arc::from(if layer == Layer::ConnectionPoint { "127.0.0.1:7000" } else { "" }),
        shards: 1,
        state: NodeState::Up,
    }
}

/// One node per layer, with incarnations from `first` on.
pub fn one_per_layer(first: u64) -> Vec<Registration> {
    Layer::ALL.into_iter().zip(first..).map(|(layer, incarnation)| node(layer, incarnation)).collect()
}

pub fn candidate(incarnation: u64) -> Candidate {
    Candidate { name: Arc::from("coordinator"), incarnation: Incarnation(incarnation), address: None }
}

pub fn settings() -> Settings {
    Settings { matcher_slices: 16, session_slices: 16, replication: 2 }
}

pub fn coordinator_config(desired: &str) -> Config {
    let desired = desired.parse::<Desired>().expect("four numbers");
    Config { grace: GRACE, desired, ..Config::default() }
}

/// A coordinator that runs over a session of its own.
pub async fn coordinate(world: &World, incarnation: u64, desired: &str) -> Coordinating {
    coordinate_as(world, candidate(incarnation), desired).await
}

/// The same for a candidate of whom more is to be said.
pub async fn coordinate_as(world: &World, candidate: Candidate, desired: &str) -> Coordinating {
    let coordination = world.connect().await;
    coordination.settle(&settings()).await.expect("settles");
    Coordinating::start(coordination, candidate, coordinator_config(desired), settings(), None).expect("valid")
}

/// A port at which somebody answers whoever asks.
#[derive(Debug)]
pub struct Port {
    pub address: Arc<str>,
    asked: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Port {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = Arc::from(listener.local_addr().expect("bound").to_string());
        let (count, asked) = watch::channel(0);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                drop(stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await);
                count.send_modify(|count| *count += 1);
            }
        });
        Self { address, asked, task }
    }

    /// Waits until somebody has asked.
    pub async fn until_asked(&mut self) {
        self.asked.wait_for(|&count| count > 0).await.map(drop).expect("it is open");
    }

    /// From now on nobody answers, and connections are refused.
    pub async fn close(self) {
        self.task.abort();
        drop(self.task.await);
    }
}

pub fn layout_of(nodes: &[Registration], epoch: u64) -> Layout {
    let members = nodes.iter().map(|node| (node.incarnation, node.to_member())).collect::<BTreeMap<_, _>>();
    Layout::initial(settings(), members, 1, Epoch(epoch), LaneId(1))
}
