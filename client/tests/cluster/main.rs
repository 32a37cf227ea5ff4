//! The client against a real cluster in this process, over real connections that break.

mod examples;
mod lost;
mod moving;
mod proxy;
mod resume;
mod sessions;
mod slow;

use std::net::SocketAddr;
use std::time::Duration;

use gomera_client::{Client, Event, Notification, Publication, Reconnect, Value};
use gomera_host::cluster::{InProcess, InProcessConfig};

/// Long enough for a debug build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

async fn cluster() -> (InProcess, SocketAddr) {
    let cluster = InProcess::start(InProcessConfig::default()).await.expect("a cluster");
    let address = cluster.client_addresses()[0];
    (cluster, address)
}

async fn client(address: SocketAddr) -> Client {
    let reconnect = Reconnect { wait_max: Duration::from_millis(100), ..Reconnect::default() };
    Client::connect_with([address.to_string()], reconnect).await.expect("it answers")
}

fn numbered(number: i64) -> Publication {
    Publication { attributes: [("n", Value::Integer(number))].into_iter().collect(), ..Publication::default() }
}

fn number(notification: &Notification) -> i64 {
    match notification.publication().expect("it was published here").attributes.get("n") {
        Some(Value::Integer(number)) => *number,
        other => panic!("no number but {other:?}"),
    }
}

/// The next event, or a failure if none comes.
async fn next(deliveries: &mut gomera_client::Deliveries) -> Event {
    let event = tokio::time::timeout(PATIENCE, deliveries.next()).await.expect("something comes");
    event.expect("the session lives").expect("the session was not ended")
}

/// The next notification; other events are passed over.
async fn next_notification(deliveries: &mut gomera_client::Deliveries) -> Notification {
    loop {
        if let Event::Notification(notification) = next(deliveries).await {
            return notification;
        }
    }
}
