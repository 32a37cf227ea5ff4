//! Clusters that go away: for good, or to come back knowing nothing.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gomera_client::{Attributes, Client, Event, PublishError, Reconnect, SessionError, Value};
use gomera_host::cluster::{InProcess, InProcessConfig};

use crate::{PATIENCE, client, next, next_notification, number, numbered};

/// A cluster at a port to which another may come back: the system gives none below 32768 to whoever asks for any, or connects, as
/// other tests do all the time.
async fn cluster() -> (InProcess, SocketAddr) {
    static TRIED: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(37).wrapping_add(TRIED.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(20_000 + number % 10_000).expect("below 30000");
        let listen = SocketAddr::from(([127, 0, 0, 1], port));
        match InProcess::start(InProcessConfig { listen, ..InProcessConfig::default() }).await {
            Ok(cluster) => return (cluster, listen),
            Err(error) => assert!(error.to_string().contains("cannot listen"), "{error}"),
        }
    }
}

async fn at(address: SocketAddr) -> InProcess {
    let config = InProcessConfig { listen: address, ..InProcessConfig::default() };
    InProcess::start(config).await.expect("a cluster at a port that has just been left")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_was_started_afresh_is_told_context_and_subscriptions_again() {
    let (first, address) = cluster().await;
    let client = client(address).await;
    let (session, mut deliveries) = client.session("s").attach().await.expect("attached");
    let context: Attributes = [("low", Value::Integer(10))].into_iter().collect();
    session.set_context(context).await.expect("in force");
    session.subscribe("high", "n > $low").await.expect("in force");
    session.subscribe("gone", "n > 0").await.expect("in force");
    session.unsubscribe("gone").await.expect("in force");
    let publisher = client.publisher("p").open().await.expect("open");
    publisher.publish(&numbered(11)).await.expect("taken").await.expect("acknowledged");
    assert_eq!(number(&next_notification(&mut deliveries).await), 11);
    first.stop(Duration::from_millis(100)).await;

    let second = at(address).await;
    loop {
        match next(&mut deliveries).await {
            Event::Recreated => break,
            Event::Notification(notification) => panic!("{notification:?}"),
            _ => {}
        }
    }
    // In force: an operation asked for now is answered after those that declare again.
    session.list(0, 10).await.expect("listed");
    let publisher = client.publisher("q").open().await.expect("open");
    for number in [5, 12] {
        publisher.publish(&numbered(number)).await.expect("taken").await.expect("acknowledged");
    }
    let notification = next_notification(&mut deliveries).await;
    assert_eq!(number(&notification), 12);
    assert_eq!(notification.subscriptions.iter().map(|id| &**id).collect::<Vec<_>>(), ["high"]);
    drop((session, deliveries, publisher));
    second.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_says_goodbye_is_left_at_once() {
    let (cluster, address) = cluster().await;
    let client = client(address).await;
    let (session, mut deliveries) = client.session("s").attach().await.expect("attached");
    let publisher = client.publisher("p").open().await.expect("open");
    publisher.publish(&numbered(1)).await.expect("taken").await.expect("acknowledged");
    let mut trouble = client.trouble();
    assert_eq!(*trouble.borrow(), None);
    let forced = tokio::time::timeout(PATIENCE, cluster.stop(2 * PATIENCE)).await.expect("before its deadline");
    assert_eq!(forced, 0, "nobody was cut off");
    let reason = trouble.wait_for(Option::is_some).await.expect("the client lives").clone().expect("there is one");
    assert!(reason.contains(&address.to_string()), "{reason}");

    let second = at(address).await;
    assert!(matches!(next(&mut deliveries).await, Event::Recreated));
    publisher.publish(&numbered(2)).await.expect("taken").await.expect("acknowledged");
    trouble.wait_for(Option::is_none).await.expect("it stands again");
    drop((session, deliveries, publisher));
    second.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_acknowledged_by_a_cluster_that_went_is_published_to_the_one_that_came() {
    let (first, address) = cluster().await;
    let client = client(address).await;
    let publisher = client.publisher("p").open().await.expect("open");
    publisher.publish(&numbered(1)).await.expect("taken").await.expect("acknowledged");
    first.stop(Duration::from_millis(100)).await;
    let waiting = publisher.publish(&numbered(2)).await.expect("there is room in the window");
    let second = at(address).await;
    tokio::time::timeout(PATIENCE, waiting).await.expect("in time").expect("acknowledged by the second");
    drop(publisher);
    second.stop(Duration::from_secs(1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_comes_back_everything_that_waits_is_told_after_the_time_allowed() {
    let (cluster, address) = cluster().await;
    let reconnect = Reconnect { give_up_after: Duration::from_millis(500), ..Reconnect::default() };
    let client = Client::connect_with([address.to_string()], reconnect).await.expect("it answers");
    let publisher = client.publisher("p").window(1, 1_000).open().await.expect("open");
    let (session, mut deliveries) = client.session("s").attach().await.expect("attached");
    cluster.stop(Duration::from_millis(100)).await;

    let ticket = publisher.publish(&numbered(1)).await.expect("there is room in the window");
    let second = numbered(2);
    let (ticket, full, operation, event) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(ticket, publisher.publish(&second), session.subscribe("a", "n = 1"), async {
            loop {
                match deliveries.next().await {
                    Ok(Some(_)) => {}
                    over => break over,
                }
            }
        })
    })
    .await
    .expect("everything that waits is told");
    assert!(matches!(ticket, Err(PublishError::Unavailable(_))), "{ticket:?}");
    assert!(matches!(full, Err(PublishError::Unavailable(_))), "{full:?}");
    assert!(operation.is_err_and(|error| error.to_string().contains("unavailable")));
    assert!(matches!(event, Err(SessionError::Unavailable(_))), "{event:?}");
    assert!(publisher.flush().await.is_err());
}
