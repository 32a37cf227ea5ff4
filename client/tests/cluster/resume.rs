//! Connections that break: nothing is lost, nothing comes twice, and the order stays.

use std::time::Duration;

use gomera_client::{Event, Matching};

use crate::proxy::Proxy;
use crate::{PATIENCE, client, cluster, next, number, numbered};

const COUNT: i64 = 3_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_every_connection_is_cut_again_and_again_each_publication_arrives_once_and_in_order() {
    let (cluster, address) = cluster().await;
    let (publishing, subscribing) = (Proxy::to(address).await, Proxy::to(address).await);
    let (session, mut deliveries) = client(subscribing.address).await.session("s").attach().await.expect("attached");
    session.subscribe("all", "n >= 0").await.expect("subscribed");
    let publisher = client(publishing.address).await.publisher("p").window(64, 1 << 20).open().await.expect("open");

    let cutter = tokio::spawn(async move {
        // Odd times, so that both are cut in all stages of each other.
        for round in 0_u64..24 {
            tokio::time::sleep(Duration::from_millis(17 + round * 5 % 23)).await;
            publishing.cut();
            tokio::time::sleep(Duration::from_millis(7 + round * 11 % 29)).await;
            subscribing.cut();
        }
        (publishing, subscribing)
    });
    let publish = tokio::spawn(async move {
        let mut tickets = Vec::new();
        for number in 0..COUNT {
            tickets.push(publisher.publish(&numbered(number)).await.expect("taken"));
            if number % 10 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        for ticket in tickets {
            ticket.await.expect("acknowledged");
        }
        publisher
    });

    let mut resumed = 0;
    let mut expected = 0;
    while expected < COUNT {
        match next(&mut deliveries).await {
            Event::Notification(notification) => {
                assert_eq!(number(&notification), expected);
                assert_eq!(notification.subscriptions.len(), 1, "{notification:?}");
                expected += 1;
                if expected % 50 == 0 {
                    // So that there is always something that has arrived and is not processed when a connection is cut.
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
            }
            Event::Resumed => resumed += 1,
            other => panic!("{other:?}"),
        }
    }
    let publisher = tokio::time::timeout(PATIENCE, publish).await.expect("all acknowledged").expect("no panic");
    publisher.flush().await.expect("all acknowledged");
    let (publishing, subscribing) = cutter.await.expect("no panic");
    assert!(resumed > 3, "{resumed} resumptions");
    assert!(publishing.connections() > 3 && subscribing.connections() > 3);
    // Whatever would still come of these would be a repetition, and come before this.
    publisher.publish(&numbered(COUNT)).await.expect("taken").await.expect("acknowledged");
    loop {
        match next(&mut deliveries).await {
            Event::Notification(notification) => break assert_eq!(number(&notification), COUNT),
            // The last cut.
            Event::Resumed => {}
            other => panic!("{other:?}"),
        }
    }
    drop((session, deliveries, publisher));
    cluster.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_asked_for_while_connections_are_cut_are_all_in_force_in_the_end() {
    let (cluster, address) = cluster().await;
    let proxy = Proxy::to(address).await;
    let (session, deliveries) = client(proxy.address).await.session("s").attach().await.expect("attached");
    let changes = async {
        for number in 0..100 {
            let id = format!("id-{}", number % 10);
            session.subscribe(&id, format!("n = {number}")).await.expect("in force");
            if number % 3 == 0 {
                session.unsubscribe(&id).await.expect("removed, by this or by the copy that went before");
            } else if number % 3 == 1 {
                session.set_matching(&id, Matching::Paused).await.expect("paused");
            }
        }
    };
    let cuts = async {
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(13)).await;
            proxy.cut();
        }
    };
    tokio::time::timeout(PATIENCE, async { tokio::join!(changes, cuts) }).await.expect("all are answered");
    let listed = session.list(0, 1_000).await.expect("listed");
    let mut found: Vec<_> =
        listed.iter().map(|state| format!("{} {} {:?}", state.id, state.filter, state.matching)).collect();
    found.sort();
    let mut expected: Vec<_> = (90..100)
        .filter(|number| number % 3 != 0)
        .map(|number| {
            let matching = if number % 3 == 1 { Matching::Paused } else { Matching::On };
            format!("id-{} n = {number} {matching:?}", number % 10)
        })
        .collect();
    expected.sort();
    assert_eq!(found, expected);
    drop((session, deliveries));
    cluster.stop(Duration::from_secs(1)).await;
}
