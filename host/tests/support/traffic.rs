//! What goes on while nodes come, leave and die: publications, and subscriptions that change and count from their answers on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gomera_cluster::address::Layer;
use gomera_cluster::layout::{Layout, Placement, Role};
use gomera_host::process::Process;
use gomera_proto::v1;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::session_request;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Subscriber, attribute, connect, publication, publish, within};

/// Waits until so many nodes of a layer are there, and each of its slices has so many replicas, all of them ready.
pub async fn until_settled(process: &Process, layer: Layer, nodes: usize, replicas: usize) {
    let is_ready = |placement: &Placement| {
        placement.replicas.len() == replicas
            && placement.replicas.iter().all(|replica| matches!(replica.role, Role::Active | Role::Standby))
    };
    let is_settled = |layout: &Layout| {
        let slices = if layer == Layer::Matcher { &layout.matcher } else { &layout.session };
        layout.machines(layer).count() == nodes && slices.iter().all(is_ready)
    };
    let mut layout = process.nodes()[0].layout();
    let settled = within(layout.wait_for(|layout| layout.as_ref().is_some_and(|layout| is_settled(layout))));
    drop(settled.await.expect("the node goes on"));
}

/// What goes on all the time.
pub struct Traffic {
    over: Arc<AtomicBool>,
    published: JoinHandle<i64>,
    changed: JoinHandle<()>,
}

impl Traffic {
    /// Begins, and waits until some of everything has been done.
    pub async fn start(address: SocketAddr, first: i64) -> Self {
        let (rounds, mut begun) = watch::channel(0);
        let over = Arc::new(AtomicBool::new(false));
        let published = tokio::spawn(publish_on(address, first, over.clone()));
        let changed = tokio::spawn(change_on(address, first, over.clone(), rounds));
        let some = within(begun.wait_for(|&rounds| rounds > 0)).await;
        drop(some.expect("its subscriptions counted"));
        Self { over, published, changed }
    }

    /// The first number that was not published.
    pub async fn stop(self) -> i64 {
        self.over.store(true, Ordering::Relaxed);
        within(self.changed).await.expect("its subscriptions counted");
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

/// Subscribes, publishes, unsubscribes and publishes again; each time the first is received, and nothing else ever.
async fn change_on(address: SocketAddr, first: i64, over: Arc<AtomicBool>, rounds: watch::Sender<i64>) {
    let mut client = connect(address).await;
    let mut changer = Subscriber::attach(&mut client, &format!("changer-{first}")).await;
    let mut round = 0;
    while !over.load(Ordering::Relaxed) {
        let id = format!("s{}", round % 50);
        changer.subscribe(&id, "k < 0").await;
        changer.subscribe(&id, &format!("k = {round}")).await;
        publish(&mut client, publication([("k", round)])).await.expect("acknowledged");
        assert_eq!(number(&changer.next().await, "k"), attribute(round));
        let unsubscribe = v1::Unsubscribe { id };
        let reply = changer.ask(session_request::Body::Unsubscribe(unsubscribe)).await;
        assert!(matches!(reply, Body::Applied(_)), "{reply:?}");
        publish(&mut client, publication([("k", round)])).await.expect("acknowledged");
        round += 1;
        rounds.send_replace(round);
    }
}

fn number(notification: &v1::Notification, name: &str) -> v1::Value {
    let publication = notification.publication.as_ref().expect("it has one");
    publication.attributes.get(name).expect("it has that").clone()
}

/// All of these, in order, and nothing else.
pub async fn receives(subscriber: &mut Subscriber, numbers: std::ops::Range<i64>) {
    for n in numbers {
        assert_eq!(number(&subscriber.next().await, "n"), attribute(n));
    }
}
