//! Access points that come, leave by plan, and die while clients publish and subscribe: nobody is disconnected, nothing is lost or doubled.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use gomera_host::process::Process;
use gomera_proto::v1;
use gomera_proto::v1::pub_sub_client::PubSubClient;
use support::separate::Separate;
use support::{PATIENCE, Subscriber, connect, publication, within};
use tonic::transport::Channel;

/// Publishers, so that every lane has some.
const PUBLISHERS: i64 = 8;

/// Waits until the layout of a node has so many access points and lanes.
async fn until_there_are(process: &Process, access_points: usize, lanes: usize) {
    let mut layout = process.nodes()[0].layout();
    let there_are = within(layout.wait_for(|layout| {
        layout.as_ref().is_some_and(|layout| {
            layout.machines(Layer::AccessPoint).count() == access_points && layout.lanes.len() == lanes
        })
    }));
    drop(there_are.await.expect("the node goes on"));
}

async fn publish(client: &mut PubSubClient<Channel>, n: i64) {
    let publisher = format!("meter-{}", n % PUBLISHERS);
    let request = v1::PublishRequest { publisher, publication: Some(publication([("n", n)])) };
    within(client.publish(request)).await.expect("acknowledged");
}

/// Exactly these, whatever the order of different publishers.
async fn receives(subscriber: &mut Subscriber, numbers: std::ops::Range<i64>) {
    let mut missing: BTreeSet<i64> = numbers.collect();
    while !missing.is_empty() {
        let attributes = subscriber.next().await.publication.expect("it has one").attributes;
        let number = missing.iter().copied().find(|&n| attributes.get("n") == Some(&support::attribute(n)));
        let number = number.unwrap_or_else(|| panic!("not expected, or twice: {attributes:?}, missing {missing:?}"));
        missing.remove(&number);
    }
}

#[tokio::test]
async fn access_points_come_leave_and_die_and_clients_see_nothing_of_it() {
    let mut cluster = Separate::start(Shape::default(), 1).await;
    let mut client = connect(cluster.client_addresses()[0]).await;
    let mut watcher = Subscriber::attach(&mut client, "watcher").await;
    watcher.subscribe("first", "n > 0").await;
    for n in 1..20 {
        publish(&mut client, n).await;
    }
    receives(&mut watcher, 1..20).await;

    // Out.
    let second = cluster.join(Layer::AccessPoint, 2).await;
    cluster.want(&Desired { access_points: 2, ..Desired::default() }).await;
    second.ready(PATIENCE).await.expect("a layout names it");
    for n in 20..40 {
        publish(&mut client, n).await;
    }
    watcher.subscribe("second", "n < 0").await;
    receives(&mut watcher, 20..40).await;

    // In: the second one leaves by plan.
    cluster.want(&Desired::default()).await;
    for n in 40..60 {
        publish(&mut client, n).await;
    }
    until_there_are(&cluster.processes[0], 1, 1).await;
    second.stop(Duration::ZERO).await;
    watcher.subscribe("third", "n < 0").await;
    receives(&mut watcher, 40..60).await;

    // Out again, and the first one dies.
    let third = cluster.join(Layer::AccessPoint, 3).await;
    cluster.want(&Desired { access_points: 2, ..Desired::default() }).await;
    third.ready(PATIENCE).await.expect("a layout names it");
    let access_point = cluster.processes.remove(1);
    assert_eq!(access_point.nodes()[0].layer(), Layer::AccessPoint);
    access_point.stop(Duration::ZERO).await;
    // What goes to its lane is acknowledged when the lane is fenced and everything was sent again.
    for n in 60..80 {
        publish(&mut client, n).await;
    }
    watcher.subscribe("fourth", "n < 0").await;
    receives(&mut watcher, 60..80).await;
    until_there_are(&cluster.processes[0], 1, 1).await;
    third.stop(Duration::ZERO).await;
    cluster.stop().await;
}
