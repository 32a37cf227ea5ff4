//! Connection points that come and go while the others work.

mod support;

use gomera_cluster::address::Layer;
use gomera_coordinator::Desired;
use gomera_host::cluster::Shape;
use gomera_host::process::Process;
use std::time::Duration;
use support::separate::Separate;
use support::{PATIENCE, Subscriber, connect, publication, publish, within};

/// Waits until the layout of a node has so many connection points.
async fn until_there_are(process: &Process, wanted: usize) {
    let mut layout = process.nodes()[0].layout();
    let there_are = within(layout.wait_for(|layout| {
        layout.as_ref().is_some_and(|layout| layout.machines(Layer::ConnectionPoint).count() == wanted)
    }));
    drop(there_are.await.expect("the node goes on"));
}

#[tokio::test]
async fn a_connection_point_comes_in_serves_and_is_survived() {
    let cluster = Separate::start(Shape::default(), 1).await;
    let mut first = connect(cluster.client_addresses()[0]).await;
    let mut watcher = Subscriber::attach(&mut first, "watcher").await;
    watcher.subscribe("all", "n > 0").await;
    publish(&mut first, publication([("n", 1)])).await.expect("acknowledged");
    watcher.next().await;

    let second = cluster.join(Layer::ConnectionPoint, 2).await;
    assert!(second.ready(Duration::from_millis(50)).await.is_err(), "one is wanted, and there is one");
    cluster.want(&Desired { connection_points: 2, ..Desired::default() }).await;
    second.ready(PATIENCE).await.expect("a layout names it");
    let mut other = connect(second.client_addresses()[0]).await;
    let mut mover = Subscriber::attach(&mut other, "mover").await;
    mover.subscribe("all", "n > 0").await;
    for (n, client) in [(2, &mut first), (3, &mut other)] {
        publish(client, publication([("n", n)])).await.expect("acknowledged");
    }
    for subscriber in [&mut watcher, &mut mover] {
        let (one, two) = (subscriber.next().await, subscriber.next().await);
        assert!(one.number < two.number, "both, in order");
    }

    second.stop(Duration::ZERO).await;
    until_there_are(&cluster.processes[0], 1).await;
    publish(&mut first, publication([("n", 4)])).await.expect("acknowledged without the one that went");
    watcher.next().await;
    // The session that was attached there goes on here, with what came meanwhile.
    let mut resumed = Subscriber::attach(&mut first, "mover").await;
    loop {
        let notification = resumed.next().await;
        let attributes = notification.publication.expect("it has one").attributes;
        if attributes.get("n") == Some(&support::attribute(4_i64)) {
            break;
        }
        assert!(notification.redelivered, "only what was not acknowledged comes again");
    }
    cluster.stop().await;
}
