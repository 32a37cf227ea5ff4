//! The floor: what the links, processes, frame bytes and acknowledgements of a cluster cost when nobody does anything else.
//!
//! A *front* serves the clients like connection points do. Without links, it turns each publication straight into a
//! notification. With links, every frame first travels a ring of relays (link service, same packets, same
//! acknowledgements) and comes back to the front. It knows the right connection of a publication from the mark in its
//! payload; there is no lane, no filter, no outbox, no promise.

mod front;
mod link;

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use gomera_proto::link::v1::link_server::LinkServer;
use gomera_proto::raw::pub_sub_server::PubSubServer;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::workload::Content;

/// As the cluster's servers have it.
const WINDOW_BYTES: u32 = 8 << 20;

/// Serves a front; with `next`, frames go round the ring that begins there. Prints its address and runs until it is killed.
///
/// # Errors
/// If it cannot listen or reach the ring.
pub async fn front(content: Content, listen: SocketAddr, next: Option<String>) -> Result<()> {
    let listener = bind(listen).await?;
    let (front, ring) = front::Front::new(content, next.is_some());
    if let Some((outgoing, _)) = &ring {
        let next = next.expect("a ring has a first relay");
        tokio::spawn(link::send(next, outgoing.clone()));
    }
    let returning = link::Returning::new(ring.map(|(_, returned)| returned));
    server()
        .add_service(PubSubServer::new(front).max_decoding_message_size(64 << 20))
        .add_service(LinkServer::new(returning).max_decoding_message_size(64 << 20))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .context("serve the floor's clients")
}

/// Serves a relay that sends every packet on to `next`. Prints its address and runs until it is killed.
///
/// # Errors
/// If it cannot listen.
pub async fn relay(listen: SocketAddr, next: String) -> Result<()> {
    let listener = bind(listen).await?;
    let (outgoing, packets) = async_channel();
    tokio::spawn(link::send(next, packets));
    server()
        .add_service(LinkServer::new(link::Returning::new(Some(outgoing))).max_decoding_message_size(64 << 20))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await
        .context("relay packets of the floor")
}

/// Packets under way inside one process; back-pressure beyond it.
const QUEUE: usize = 64;

type Packets = std::sync::Arc<tokio::sync::Mutex<tokio::sync::mpsc::Receiver<bytes::Bytes>>>;

fn async_channel() -> (tokio::sync::mpsc::Sender<bytes::Bytes>, Packets) {
    let (sender, receiver) = tokio::sync::mpsc::channel(QUEUE);
    (sender, std::sync::Arc::new(tokio::sync::Mutex::new(receiver)))
}

fn server() -> Server {
    Server::builder().initial_stream_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES)
}

async fn bind(listen: SocketAddr) -> Result<TcpListener> {
    let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
    println!("{}", serde_json::json!({ "clients": [listener.local_addr()?.to_string()], "metrics": [] }));
    Ok(listener)
}
