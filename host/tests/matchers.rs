//! Matchers that come, leave by plan, and die while clients publish and change subscriptions: nothing is lost, doubled or reordered,
//! and what was subscribed counts from its answer on. When the only one dies, sessions are told that subscriptions are lost.

mod support;

use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use gomera_proto::v1::session_reply::Body;
use support::separate::Separate;
use support::traffic::{Traffic, receives, until_settled};
use support::{PATIENCE, Subscriber, connect, publication, publish};

#[tokio::test]
async fn matchers_come_leave_and_die_and_nothing_is_lost_doubled_or_reordered() {
    let mut cluster = Separate::start(Shape::default(), 1).await;
    let address = cluster.client_addresses()[0];
    let mut client = connect(address).await;
    let mut watcher = Subscriber::attach(&mut client, "watcher").await;
    for id in 0..100 {
        watcher.subscribe(&format!("never-{id}"), "n < 0").await;
    }
    watcher.subscribe("all", "n > 0").await;

    // Out: the second one takes slices over, and keeps what the first has.
    let traffic = Traffic::start(address, 1).await;
    let second = cluster.join(Layer::Matcher, 2).await;
    cluster.want(&Desired { matchers: 2, ..Desired::default() }).await;
    until_settled(&cluster.processes[0], Layer::Matcher, 2, 2).await;
    let next = traffic.stop().await;
    receives(&mut watcher, 1..next).await;

    // The first one dies: the second has everything.
    let traffic = Traffic::start(address, next).await;
    let matcher = cluster.processes.remove(2);
    assert_eq!(matcher.nodes()[0].layer(), Layer::Matcher);
    matcher.stop(Duration::ZERO).await;
    until_settled(&cluster.processes[0], Layer::Matcher, 1, 1).await;
    let then = traffic.stop().await;
    receives(&mut watcher, next..then).await;

    // A third one comes in its place, and the second leaves by plan.
    let traffic = Traffic::start(address, then).await;
    let third = cluster.join(Layer::Matcher, 3).await;
    until_settled(&cluster.processes[0], Layer::Matcher, 2, 2).await;
    cluster.want(&Desired::default()).await;
    until_settled(&cluster.processes[0], Layer::Matcher, 1, 1).await;
    let last = traffic.stop().await;
    receives(&mut watcher, then..last).await;
    second.stop(Duration::ZERO).await;
    third.stop(Duration::ZERO).await;
    cluster.stop().await;
}

#[tokio::test]
async fn when_the_only_matcher_dies_sessions_are_told_and_what_they_declare_again_counts() {
    let mut cluster = Separate::start(Shape::default(), 1).await;
    let address = cluster.client_addresses()[0];
    let mut client = connect(address).await;
    let mut watcher = Subscriber::attach(&mut client, "watcher").await;
    watcher.subscribe("all", "n > 0").await;
    publish(&mut client, publication([("n", 1)])).await.expect("acknowledged");
    receives(&mut watcher, 1..2).await;
    let matcher = cluster.processes.remove(2);
    assert_eq!(matcher.nodes()[0].layer(), Layer::Matcher);
    matcher.stop(Duration::ZERO).await;
    let other = cluster.join(Layer::Matcher, 2).await;
    other.ready(PATIENCE).await.expect("a layout names it");
    let reply = watcher.reply().await.expect("the stream goes on").expect("the stream is open");
    assert!(matches!(reply.body, Some(Body::SubscriptionsLost(_))), "{reply:?}");
    // Not by the new one, which began with nothing.
    publish(&mut client, publication([("n", 2)])).await.expect("acknowledged");
    watcher.subscribe("all", "n > 0").await;
    publish(&mut client, publication([("n", 3)])).await.expect("acknowledged");
    receives(&mut watcher, 3..4).await;
    other.stop(Duration::ZERO).await;
    cluster.stop().await;
}
