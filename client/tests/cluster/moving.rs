//! A connection point that is drained while clients are there: they move, and the program sees nothing of it.

use std::time::Duration;

use gomera_client::{Client, Earnest, Event, OperationState, ShapeRequest};
use gomera_host::cluster::{InProcess, InProcessConfig, Shape};

use crate::{PATIENCE, client, next, number, numbered};

const COUNT: i64 = 2_000;

async fn drain(client: &Client, node: &str) {
    let mut shape = client.shape().await.expect("it answers");
    let request = ShapeRequest::Drain { node: node.to_owned() };
    shape.ask("drain", request, Earnest::Done).await.expect("it can be done");
    let mut operations = shape.watch("drain").await.expect("it answers");
    let done = async {
        loop {
            let changed = operations.next().await.expect("it answers").expect("it goes on");
            match changed.last().expect("one changed").state() {
                OperationState::Succeeded => return,
                OperationState::Requested | OperationState::Running => {}
                other @ (OperationState::Unspecified
                | OperationState::Cancelled
                | OperationState::Refused
                | OperationState::Failed
                | OperationState::Planned) => panic!("{other:?}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, done).await.expect("clients move and it leaves");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_connection_point_is_left_without_the_program_noticing_anything() {
    let shape = Shape { connection_points: 2, ..Shape::default() };
    let cluster = InProcess::start(InProcessConfig { shape, ..InProcessConfig::default() }).await.expect("a cluster");
    let addresses = cluster.client_addresses();
    // All clients know the one that will leave, and no other.
    let (publishing, subscribing) = (client(addresses[1]).await, client(addresses[1]).await);
    let (session, mut deliveries) = subscribing.session("s").attach().await.expect("attached");
    session.subscribe("all", "n >= 0").await.expect("subscribed");
    let publisher = publishing.publisher("p").window(64, 1 << 20).open().await.expect("open");
    let publish = tokio::spawn(async move {
        let mut tickets = Vec::new();
        for number in 0..COUNT {
            tickets.push(publisher.publish(&numbered(number)).await.expect("taken"));
            if number % 4 == 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        for ticket in tickets {
            ticket.await.expect("acknowledged");
        }
        publisher
    });
    let changing = session.clone();
    let change = tokio::spawn(async move {
        for round in 0..40 {
            let threshold = i64::from(round % 2);
            changing.update("all", format!("n >= {}", -threshold).as_str()).await.expect("in force");
        }
    });
    let draining = tokio::spawn(async move { drain(&client(addresses[0]).await, "connection-point-2").await });
    let mut expected = 0;
    while expected < COUNT {
        match next(&mut deliveries).await {
            Event::Notification(notification) => {
                assert_eq!(number(&notification), expected);
                expected += 1;
            }
            // A connection that broke would be told.
            other => panic!("{other:?}"),
        }
    }
    let publisher = publish.await.expect("published");
    change.await.expect("changed");
    draining.await.expect("drained");
    // What is left goes on at the other one.
    publisher.publish(&numbered(COUNT)).await.expect("taken").await.expect("acknowledged");
    match next(&mut deliveries).await {
        Event::Notification(notification) => assert_eq!(number(&notification), COUNT),
        other => panic!("{other:?}"),
    }
    assert_eq!(cluster.stop(Duration::from_secs(5)).await, 0);
}
