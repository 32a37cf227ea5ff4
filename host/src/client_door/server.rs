//! The server around the services: listening, limits, health, reflection, and the end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gomera_cluster::address::Address;
use gomera_proto::DESCRIPTORS;
use gomera_proto::keda::external_scaler_server::ExternalScalerServer;
use gomera_proto::served::pub_sub_server::PubSubServer;
use gomera_proto::v1::cluster_server::ClusterServer;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tonic::Status;
use tonic::server::NamedService as _;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use super::scaler::ScalerService;
use super::service::PubSubService;
use super::shape::ShapeService;
use super::{ClientDoorConfig, Door, End, Reply};
use crate::coordination::Coordination;
use crate::listening::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, HTTP2_PREFACE_BYTES, Incoming, Patience, Purpose, STREAM_WINDOW_BYTES,
};
use crate::mailbox;
use crate::runtime::{Input, NodeHandle};

/// How often the end is looked for while a door drains.
const DRAIN_STEP: Duration = Duration::from_millis(10);

/// What a door is made of.
#[derive(Debug)]
pub struct Parts {
    /// Where it listens already.
    pub listener: TcpListener,
    /// The name of the cluster.
    pub cluster: Arc<str>,
    /// Where operations are asked for.
    pub coordination: Coordination,
    /// The node it belongs to.
    pub node: NodeHandle,
    /// Its settings, valid.
    pub config: ClientDoorConfig,
    /// The shards of the connection point, at least one, and where they are told things.
    pub machines: Vec<(Address, mailbox::Sender<Input>)>,
}

/// An open door.
#[derive(Debug)]
pub struct ClientDoor {
    door: Arc<Door>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
    health: JoinHandle<()>,
}

impl ClientDoor {
    /// Begins to serve.
    pub fn open(parts: Parts) -> std::io::Result<Self> {
        let Parts { listener, cluster, coordination, node, config, machines } = parts;
        let address = listener.local_addr()?;
        let patience = Patience {
            connections_max: config.sockets_max,
            greeting_bytes: HTTP2_PREFACE_BYTES,
            greeting_within: config.greeting_timeout,
        };
        let (stop, stopped) = watch::channel(false);
        let door = Arc::new(Door {
            cluster,
            node,
            config,
            machines,
            next_connection: AtomicU64::new(0),
            connected: Mutex::new(BTreeMap::new()),
            closing: watch::Sender::new(false),
        });
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let health = tokio::spawn(report_health(door.clone(), reporter));
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let pub_sub = PubSubServer::new(PubSubService::new(door.clone()))
            .max_decoding_message_size(door.config.message_bytes_max)
            .max_encoding_message_size(usize::MAX);
        let scaler = ScalerService { cluster: door.cluster.clone(), coordination: coordination.clone() };
        let shape = ShapeService { cluster: door.cluster.clone(), node: door.node.clone(), coordination };
        let serving = Server::builder()
            .http2_keepalive_interval(Some(door.config.keepalive_interval))
            .http2_keepalive_timeout(Some(door.config.keepalive_timeout))
            .max_concurrent_streams(door.config.streams_max)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_frame_size(FRAME_BYTES)
            .add_service(health_service)
            .add_service(reflection().build_v1().expect("the descriptors are those of our own schema"))
            // What grpcio's client and older grpcurl ask for.
            .add_service(reflection().build_v1alpha().expect("the descriptors are those of our own schema"))
            .add_service(pub_sub)
            .add_service(ClusterServer::new(shape))
            .add_service(ExternalScalerServer::new(scaler))
            .serve_with_incoming_shutdown(Incoming::new(listener, Purpose::CLIENTS, patience), async move {
                wait_for(stopped).await
            });
        let server = tokio::spawn(async move {
            if let Err(error) = serving.await {
                tracing::error!(%error, "the door for clients ended");
            }
        });
        Ok(Self { door, address, stop, server, health })
    }

    /// Where clients reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The task that serves; the door is shut for good when it has finished.
    #[must_use]
    pub fn serving(&self) -> AbortHandle {
        self.server.abort_handle()
    }

    /// How many streams are connected.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.door.connected().len()
    }

    /// Says goodbye to everybody, serves who stays until `deadline`, and closes. Returns how many were closed by force.
    pub async fn close(self, deadline: Duration) -> usize {
        const REASON: &str = "this connection point is shutting down";
        self.door.closing.send_replace(true);
        for outbound in self.door.connected().values() {
            outbound.say(Reply::Goodbye(REASON));
        }
        let drained = async {
            while self.connections() > 0 {
                tokio::time::sleep(DRAIN_STEP).await;
            }
        };
        let is_drained = tokio::time::timeout(deadline, drained).await.is_ok();
        let left = std::mem::take(&mut *self.door.connected());
        for outbound in left.values() {
            outbound.end(End::Failed(Status::unavailable(REASON)));
        }
        self.stop.send_replace(true);
        // What was said last still has to be written; a client that reads nothing must not keep us.
        let last_words = if is_drained { deadline } else { LAST_WORDS };
        let mut server = self.server;
        if tokio::time::timeout(last_words.min(LAST_WORDS), &mut server).await.is_err() {
            server.abort();
        }
        self.health.abort();
        left.len()
    }
}

/// For writing what was said last.
const LAST_WORDS: Duration = Duration::from_millis(500);

async fn wait_for(mut stopped: watch::Receiver<bool>) {
    // An error says that the door is gone, which stops it too.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Health: serving while the layout names this node and the door is not closing.
async fn report_health(door: Arc<Door>, reporter: HealthReporter) {
    let mut layout = door.node.layout();
    let mut closing = door.closing.subscribe();
    loop {
        let is_named = layout
            .borrow_and_update()
            .as_ref()
            .is_some_and(|layout| layout.members.contains_key(&door.node.incarnation()));
        let is_serving = is_named && !door.is_leaving() && !*closing.borrow_and_update();
        let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for service in ["", PubSubServer::<PubSubService>::NAME, ClusterServer::<ShapeService>::NAME] {
            reporter.set_service_status(service, status).await;
        }
        let changed = tokio::select! {
            changed = layout.changed() => changed,
            changed = closing.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}
