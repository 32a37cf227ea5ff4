//! Exit points that come, leave by plan, and die while clients publish and change subscriptions: nothing is lost, doubled or reordered,
//! nobody is disconnected, and what was subscribed counts from its answer on.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_cluster::layout::{Layout, Role};
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use gomera_host::process::Process;
use gomera_proto::v1;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::session_request;
use support::separate::Separate;
use support::{Subscriber, attribute, connect, publication, publish, within};
use tokio::task::JoinHandle;

/// Waits until so many exit points are there, and each slice has so many replicas, all of them ready.
async fn until_settled(process: &Process, exit_points: usize, replicas: usize) {
    let is_settled = |layout: &Layout| {
        let is_ready = |role| matches!(role, Role::Active | Role::Standby);
        layout.machines(Layer::ExitPoint).count() == exit_points
            && layout.session.iter().all(|placement| {
                placement.replicas.len() == replicas && placement.replicas.iter().all(|replica| is_ready(replica.role))
            })
    };
    let mut layout = process.nodes()[0].layout();
    let settled = within(layout.wait_for(|layout| layout.as_ref().is_some_and(|layout| is_settled(layout))));
    drop(settled.await.expect("the node goes on"));
}

/// What goes on all the time.
struct Traffic {
    over: Arc<AtomicBool>,
    published: JoinHandle<i64>,
    changed: JoinHandle<i64>,
}

impl Traffic {
    fn start(address: SocketAddr, first: i64) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let published = tokio::spawn(publish_on(address, first, over.clone()));
        let changed = tokio::spawn(change_on(address, first, over.clone()));
        Self { over, published, changed }
    }

    /// The first number that was not published.
    async fn stop(self) -> i64 {
        self.over.store(true, Ordering::Relaxed);
        let changed = within(self.changed).await.expect("its subscriptions counted");
        assert!(changed > 0, "subscriptions changed meanwhile");
        within(self.published).await.expect("everything was acknowledged")
    }
}

async fn publish_on(address: SocketAddr, first: i64, over: Arc<AtomicBool>) -> i64 {
    let mut client = connect(address).await;
    let mut n = first;
    while !over.load(Ordering::Relaxed) {
        publish(&mut client, publication([("n", n)])).await.expect("acknowledged");
        n += 1;
    }
    n
}

/// Subscribes, publishes, unsubscribes and publishes again, on one attachment; each time the first is received, and nothing else ever.
async fn change_on(address: SocketAddr, first: i64, over: Arc<AtomicBool>) -> i64 {
    let mut client = connect(address).await;
    let mut changer = Subscriber::attach(&mut client, &format!("changer-{first}")).await;
    let mut rounds = 0;
    while !over.load(Ordering::Relaxed) {
        let id = format!("s{}", rounds % 50);
        changer.subscribe(&id, &format!("k = {rounds}")).await;
        publish(&mut client, publication([("k", rounds)])).await.expect("acknowledged");
        assert_eq!(number(&changer.next().await, "k"), attribute(rounds));
        let unsubscribe = v1::Unsubscribe { id };
        let reply = changer.ask(session_request::Body::Unsubscribe(unsubscribe)).await;
        assert!(matches!(reply, Body::Applied(_)), "{reply:?}");
        publish(&mut client, publication([("k", rounds)])).await.expect("acknowledged");
        rounds += 1;
    }
    rounds
}

fn number(notification: &v1::Notification, name: &str) -> v1::Value {
    let publication = notification.publication.as_ref().expect("it has one");
    publication.attributes.get(name).expect("it has that").clone()
}

/// Several sessions, so that their slices are of several exit points.
struct Watchers(Vec<Subscriber>);

impl Watchers {
    async fn attach(address: SocketAddr) -> Self {
        let mut client = connect(address).await;
        let mut all = Vec::new();
        for index in 0..8 {
            let mut watcher = Subscriber::attach(&mut client, &format!("watcher-{index}")).await;
            watcher.subscribe("all", "n > 0").await;
            all.push(watcher);
        }
        Self(all)
    }

    /// All of these, in order, and nothing else, on the streams they began with.
    async fn receive(&mut self, numbers: std::ops::Range<i64>) {
        for watcher in &mut self.0 {
            for n in numbers.clone() {
                assert_eq!(number(&watcher.next().await, "n"), attribute(n));
            }
        }
    }
}

#[tokio::test]
async fn exit_points_come_leave_and_die_and_nothing_is_lost_doubled_or_reordered() {
    let mut cluster = Separate::start(Shape::default(), 1).await;
    let address = cluster.client_addresses()[0];
    let mut watchers = Watchers::attach(address).await;

    // Out: the second one takes slices over, and keeps what the first has.
    let traffic = Traffic::start(address, 1);
    let second = cluster.join(Layer::ExitPoint, 2).await;
    cluster.want(&Desired { exit_points: 2, ..Desired::default() }).await;
    until_settled(&cluster.processes[0], 2, 2).await;
    let next = traffic.stop().await;
    watchers.receive(1..next).await;

    // The first one dies: the second has everything.
    let traffic = Traffic::start(address, next);
    let exit_point = cluster.processes.remove(3);
    assert_eq!(exit_point.nodes()[0].layer(), Layer::ExitPoint);
    exit_point.stop(Duration::ZERO).await;
    until_settled(&cluster.processes[0], 1, 1).await;
    let then = traffic.stop().await;
    watchers.receive(next..then).await;

    // A third one comes in its place, and the second leaves by plan.
    let traffic = Traffic::start(address, then);
    let third = cluster.join(Layer::ExitPoint, 3).await;
    until_settled(&cluster.processes[0], 2, 2).await;
    cluster.want(&Desired::default()).await;
    until_settled(&cluster.processes[0], 1, 1).await;
    let last = traffic.stop().await;
    watchers.receive(then..last).await;
    second.stop(Duration::ZERO).await;
    third.stop(Duration::ZERO).await;
    cluster.stop().await;
}
