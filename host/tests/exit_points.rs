//! Exit points that come, leave by plan, and die while clients publish and change subscriptions: nothing is lost, doubled or reordered,
//! nobody is disconnected, and what was subscribed counts from its answer on.

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use support::separate::Separate;
use support::traffic::{Traffic, receives, until_settled};
use support::{Subscriber, connect};

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
            receives(watcher, numbers.clone()).await;
        }
    }
}

#[tokio::test]
async fn exit_points_come_leave_and_die_and_nothing_is_lost_doubled_or_reordered() {
    let mut cluster = Separate::start(Shape::default(), 1).await;
    let address = cluster.client_addresses()[0];
    let mut watchers = Watchers::attach(address).await;

    // Out: the second one takes slices over, and keeps what the first has.
    let traffic = Traffic::start(address, 1).await;
    let second = cluster.join(Layer::ExitPoint, 2).await;
    cluster.want(&Desired { exit_points: 2, ..Desired::default() }).await;
    until_settled(&cluster.processes[0], Layer::ExitPoint, 2, 2).await;
    let next = traffic.stop().await;
    watchers.receive(1..next).await;

    // The first one dies: the second has everything.
    let traffic = Traffic::start(address, next).await;
    let exit_point = cluster.processes.remove(3);
    assert_eq!(exit_point.nodes()[0].layer(), Layer::ExitPoint);
    exit_point.stop(Duration::ZERO).await;
    until_settled(&cluster.processes[0], Layer::ExitPoint, 1, 1).await;
    let then = traffic.stop().await;
    watchers.receive(next..then).await;

    // A third one comes in its place, and the second leaves by plan.
    let traffic = Traffic::start(address, then).await;
    let third = cluster.join(Layer::ExitPoint, 3).await;
    until_settled(&cluster.processes[0], Layer::ExitPoint, 2, 2).await;
    cluster.want(&Desired::default()).await;
    until_settled(&cluster.processes[0], Layer::ExitPoint, 1, 1).await;
    let last = traffic.stop().await;
    watchers.receive(then..last).await;
    second.stop(Duration::ZERO).await;
    third.stop(Duration::ZERO).await;
    cluster.stop().await;
}
