//! Clients that do not read, and what that does to others: nothing.

use std::time::Duration;

use gomera_client::{Event, SessionError, SlowPolicy};

use crate::{PATIENCE, client, cluster, next, number, numbered};

const COUNT: i64 = 5_000;

/// One task that publishes while it does not read: it must not wait for itself.
async fn publish_without_reading(policy: SlowPolicy) -> Vec<Event> {
    let (cluster, address) = cluster().await;
    let client = client(address).await;
    let (session, mut deliveries) =
        client.session("s").slow_policy(policy).outbox(100, 1 << 20).window(10).attach().await.expect("attached");
    session.subscribe("all", "n >= 0").await.expect("in force");
    let publisher = client.publisher("p").open().await.expect("open");
    let publish = async {
        for number in 0..COUNT {
            publisher.publish(&numbered(number)).await.expect("taken");
        }
        publisher.flush().await.expect("acknowledged");
    };
    tokio::time::timeout(PATIENCE, publish).await.expect("a subscriber that does not read holds nobody up");
    let mut events = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, deliveries.next()).await.expect("something comes") {
            Ok(Some(Event::Notification(notification))) if number(&notification) == COUNT - 1 => {
                events.push(Event::Notification(notification));
                break;
            }
            Ok(Some(event)) => events.push(event),
            Ok(None) => panic!("nobody ended it"),
            Err(error) => {
                assert!(matches!(policy, SlowPolicy::Disconnect), "{error}");
                assert!(matches!(error, SessionError::Slow(_)), "{error:?}");
                break;
            }
        }
    }
    drop((session, deliveries, publisher));
    cluster.stop(Duration::from_secs(1)).await;
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_are_dropped_and_the_gap_says_how_many() {
    let events = publish_without_reading(SlowPolicy::DropOldest).await;
    let mut expected = 0;
    let mut dropped = 0;
    for event in &events {
        match event {
            Event::Notification(notification) => {
                assert_eq!(number(notification), expected);
                expected += 1;
            }
            Event::Gap(gap) => {
                dropped += gap.dropped;
                expected += i64::try_from(gap.dropped).expect("few");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(expected, COUNT, "delivered and dropped together are all");
    assert!(dropped > 1_000, "{dropped}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn or_the_session_is_ended() {
    let events = publish_without_reading(SlowPolicy::Disconnect).await;
    assert!(events.len() < 200, "{}", events.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_are_answered_although_nobody_reads() {
    let (cluster, address) = cluster().await;
    let client = client(address).await;
    let (session, mut deliveries) = client.session("s").window(5).attach().await.expect("attached");
    session.subscribe("all", "n >= 0").await.expect("in force");
    let publisher = client.publisher("p").open().await.expect("open");
    for number in 0..50 {
        publisher.publish(&numbered(number)).await.expect("taken");
    }
    publisher.flush().await.expect("acknowledged");
    for number in 0..20 {
        let id = format!("more-{number}");
        let subscribed = session.subscribe(&id, "n = 7");
        tokio::time::timeout(PATIENCE, subscribed).await.expect("answered").expect("in force");
    }
    for expected in 0..50 {
        match next(&mut deliveries).await {
            Event::Notification(notification) => assert_eq!(number(&notification), expected),
            other => panic!("{other:?}"),
        }
    }
    drop((session, deliveries, publisher));
    cluster.stop(Duration::from_secs(1)).await;
}
