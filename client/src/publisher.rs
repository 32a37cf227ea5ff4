//! A publisher: publishes under one name, in order, each publication once.
//!
//! What is published waits in a bounded window until it is acknowledged; when the window is full, publishing waits. A frame
//! takes what is there when the connection has room for it: a lone publication leaves at once, a flood leaves in large frames.
//! If the connection breaks, another is opened and what is unacknowledged goes again, flagged, under the same sequences, so
//! that the cluster takes it once.

mod stream;
pub(crate) mod window;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use gomera_model::Publication;
use gomera_proto::publication::encode_publication;
use gomera_proto::v1;
use tokio::sync::{Notify, oneshot, watch};
use tonic::Streaming;

use crate::backoff::Reconnect;
use crate::connection::Connector;
use crate::error::PublishError;
use crate::supervision::{self, End, Opened, Over};
use crate::wire::UNCAPPED;
use window::{Limits, Window};

type Waiter = oneshot::Sender<Result<(), PublishError>>;

/// How a publisher is opened; made by [`crate::Client::publisher`].
#[derive(Debug)]
pub struct PublisherBuilder {
    connector: Arc<Connector>,
    reconnect: Reconnect,
    name: String,
    limits: Limits,
    publication_bytes_max: usize,
}

/// Encoded bytes of one publication, unless told otherwise: what a cluster takes in one message by default (4 MiB), less the
/// envelope.
const PUBLICATION_BYTES_MAX: usize = (4 << 20) - 1_024;

impl PublisherBuilder {
    pub(crate) fn new(connector: Arc<Connector>, reconnect: Reconnect, name: String) -> Self {
        let limits = Limits { publications_max: 65_536, bytes_max: 8 << 20 };
        Self { connector, reconnect, name, limits, publication_bytes_max: PUBLICATION_BYTES_MAX }
    }

    /// How many publications, and how many bytes of them, may be unacknowledged; then publishing waits. By default 65,536
    /// and 8 MiB.
    #[must_use]
    pub fn window(mut self, publications_max: usize, bytes_max: usize) -> Self {
        self.limits = Limits { publications_max: publications_max.max(1), bytes_max: bytes_max.max(1) };
        self
    }

    /// How large an encoded publication may be; a larger one is not sent, because a message that is larger than the cluster takes
    /// would end the publisher. By default 4 MiB less 1 KiB, as the cluster's own default is. Caps on payload and attributes
    /// are the cluster's: it refuses single publications.
    #[must_use]
    pub fn publication_bytes_max(mut self, bytes: usize) -> Self {
        self.publication_bytes_max = bytes;
        self
    }

    /// Opens it; returns when the cluster has accepted it.
    pub async fn open(self) -> Result<Publisher, PublishError> {
        let (progress, _) = watch::channel(Progress::default());
        let shared = Arc::new(Shared {
            name: self.name,
            publication_bytes_max: self.publication_bytes_max,
            // 0 stands for «no instance» on the wire.
            instance: rand::random::<u64>().max(1),
            state: Mutex::new(State {
                window: Window::new(self.limits),
                connection: 0,
                accepted: Opened::No,
                phase: Phase::Running,
                sender: None,
                refused: 0,
                refusal: None,
                former: None,
            }),
            room: Notify::new(),
            closing: Notify::new(),
            progress,
        });
        let handle = Arc::new(Handle { shared: shared.clone() });
        let mut opened = shared.progress.subscribe();
        tokio::spawn(supervise(shared.clone(), self.connector, self.reconnect));
        // The supervisor lives as long as the handle, and tells when it ends.
        if opened.wait_for(|progress| progress.opened || progress.ended).await.is_err() {
            return Err(PublishError::Ended("the runtime is shutting down".into()));
        }
        match &shared.lock().phase {
            Phase::Over { error, .. } => return Err(error.clone()),
            Phase::Running | Phase::Closing => {}
        }
        Ok(Publisher { handle })
    }
}

async fn supervise(shared: Arc<Shared>, connector: Arc<Connector>, reconnect: Reconnect) {
    let over = supervision::run(connector.clone(), reconnect, &shared.closing, |link| {
        let (shared, connector) = (shared.clone(), connector.clone());
        async move {
            let end = stream::run(&shared, &connector, link).await;
            shared.disconnected();
            if !matches!(end, End::Moved) {
                shared.close_former();
            }
            end
        }
    })
    .await;
    shared.end(match over {
        Over::Closed => PublishError::Ended("closed".into()),
        Over::Refused(status) => PublishError::Ended(supervision::describe(&status)),
        Over::Unavailable(reason) => PublishError::Unavailable(reason),
    });
}

/// How far a publisher has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Every publication up to this sequence is acknowledged or refused.
    pub settled_through: u64,
    /// How many were refused.
    pub refused: u64,
    opened: bool,
    ended: bool,
}

/// Publishes under one name. Cheap to clone; clones share window and order. When the last one is dropped, what is still
/// waiting is sent while the runtime lives; [`Publisher::flush`] waits for it.
#[derive(Clone, Debug)]
pub struct Publisher {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        let sender = {
            let mut state = self.shared.lock();
            if matches!(state.phase, Phase::Running) {
                state.phase = Phase::Closing;
            }
            state.sender.take()
        };
        self.shared.closing.notify_one();
        wake(sender);
    }
}

impl Publisher {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.handle.shared.name
    }

    /// This life of it: drawn at random when it was opened.
    #[must_use]
    pub fn instance(&self) -> u64 {
        self.handle.shared.instance
    }

    /// Publishes; waits for room in the window. The ticket resolves when the publication has reached the outbox of every
    /// session that it satisfies; a program that does not care may drop it.
    pub async fn publish(&self, publication: &Publication) -> Result<Ticket, PublishError> {
        publication.validate(&UNCAPPED).map_err(|error| PublishError::Invalid(error.to_string()))?;
        self.publish_encoded(encode_publication(publication)).await
    }

    /// As [`Publisher::publish`], for what is encoded already (`gomera.v1.Publication`). The bytes are not looked at here.
    pub async fn publish_encoded(&self, content: Bytes) -> Result<Ticket, PublishError> {
        let (waiter, outcome) = oneshot::channel();
        let sequence = self.push(content, Some(waiter)).await?;
        Ok(Ticket { sequence, outcome })
    }

    /// As [`Publisher::publish_encoded`] without a ticket, for programs that watch [`Publisher::progress`]: gives the
    /// sequence.
    pub async fn submit_encoded(&self, content: Bytes) -> Result<u64, PublishError> {
        self.push(content, None).await
    }

    /// How far it has come, to be watched.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.handle.shared.progress.subscribe()
    }

    /// Waits until everything published so far is acknowledged. Fails if one that nobody holds a ticket of was refused
    /// since the last flush.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let shared = &self.handle.shared;
        let last = shared.lock().window.last();
        let mut progress = shared.progress.subscribe();
        // An error would mean that the sender is gone, but it is in `shared`.
        let _never = progress.wait_for(|progress| progress.settled_through >= last || progress.ended).await;
        let mut state = shared.lock();
        if let Some(error) = state.refusal.take() {
            return Err(error);
        }
        match &state.phase {
            Phase::Over { error, settled_through } if *settled_through < last => Err(error.clone()),
            Phase::Running | Phase::Closing | Phase::Over { .. } => Ok(()),
        }
    }

    async fn push(&self, content: Bytes, waiter: Option<Waiter>) -> Result<u64, PublishError> {
        let shared = &self.handle.shared;
        if content.len() > shared.publication_bytes_max {
            let (bytes, limit) = (content.len(), shared.publication_bytes_max);
            return Err(PublishError::Invalid(format!("it has {bytes} bytes encoded, must have at most {limit}")));
        }
        loop {
            // Made before the look at the window: what is notified in between is not missed.
            let room = shared.room.notified();
            {
                let mut state = shared.lock();
                if let Phase::Over { error, .. } = &state.phase {
                    return Err(error.clone());
                }
                if state.window.has_room(content.len()) {
                    let sequence = state.window.push(content, waiter);
                    let sender = state.sender.take();
                    drop(state);
                    wake(sender);
                    return Ok(sequence);
                }
            }
            room.await;
        }
    }
}

/// Resolves when a publication is acknowledged or refused.
#[derive(Debug)]
pub struct Ticket {
    sequence: u64,
    outcome: oneshot::Receiver<Result<(), PublishError>>,
}

impl Ticket {
    /// The number of the publication, from 1, among those of its publisher.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }
}

impl Future for Ticket {
    type Output = Result<(), PublishError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome)
            .poll(context)
            .map(|outcome| outcome.unwrap_or_else(|_| Err(PublishError::Ended("the runtime is shutting down".into()))))
    }
}

#[derive(Debug)]
enum Phase {
    Running,
    /// The program wants no more; what waits is still sent.
    Closing,
    Over {
        error: PublishError,
        /// How far it had come.
        settled_through: u64,
    },
}

#[derive(Debug)]
struct State {
    window: Window<Waiter>,
    /// Counts connections: a stream of an earlier one sends no more.
    connection: u64,
    /// Whether the cluster has accepted the publisher on this connection.
    accepted: Opened,
    phase: Phase,
    /// The stream that waits for something to send.
    sender: Option<Waker>,
    refused: u64,
    /// The first refusal since the last flush that no ticket told.
    refusal: Option<PublishError>,
    /// The stream that the publisher moves away from.
    former: Option<Streaming<v1::PublishStreamReply>>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    publication_bytes_max: usize,
    instance: u64,
    state: Mutex<State>,
    /// Room in the window, or the end.
    room: Notify,
    closing: Notify,
    progress: watch::Sender<Progress>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    /// The connection it moves away from stays open until the new one is accepted: what was sent on it is still taken.
    fn keep_former(&self, former: Streaming<v1::PublishStreamReply>) {
        self.lock().former = Some(former);
    }

    fn close_former(&self) {
        let former = self.lock().former.take();
        drop(former);
    }

    /// The cluster has accepted the publisher on this connection; what was taken and acknowledged before is known.
    fn opened(&self, acknowledged: u64) {
        self.close_former();
        self.acknowledged(acknowledged);
        let sender = {
            let mut state = self.lock();
            state.accepted = Opened::Yes;
            state.sender.take()
        };
        self.progress.send_modify(|progress| progress.opened = true);
        wake(sender);
    }

    fn disconnected(&self) {
        let sender = {
            let mut state = self.lock();
            state.connection += 1;
            state.accepted = Opened::No;
            state.window.disconnected();
            state.sender.take()
        };
        // The sending half of the connection that is over ends: where only the stream broke, the server would wait for it.
        wake(sender);
    }

    /// Whether the program wants no more and everything is settled.
    fn is_finished(&self) -> bool {
        let state = self.lock();
        matches!(state.phase, Phase::Closing) && state.window.settled_through() == state.window.last()
    }

    /// Everything up to `through` is acknowledged.
    fn acknowledged(&self, through: u64) {
        let mut state = self.lock();
        state.window.acknowledged(through, &mut |waiter| {
            // Nobody holds the ticket any more: nobody wants to know.
            let _unwanted = waiter.send(Ok(()));
        });
        self.progressed(state);
    }

    fn refused(&self, sequence: u64, error: PublishError) {
        let mut state = self.lock();
        let unheard = match state.window.refused(sequence) {
            window::Refused::Settled(Some(waiter)) => waiter.send(Err(error)).err().and_then(Result::err),
            window::Refused::Settled(None) => Some(error),
            window::Refused::Unknown => return,
        };
        state.refused += 1;
        if state.refusal.is_none() {
            state.refusal = unheard;
        }
        self.progressed(state);
    }

    fn progressed(&self, state: MutexGuard<'_, State>) {
        let (settled_through, refused) = (state.window.settled_through(), state.refused);
        drop(state);
        self.progress.send_modify(|progress| {
            progress.settled_through = progress.settled_through.max(settled_through);
            progress.refused = refused;
        });
        self.room.notify_waiters();
    }

    fn end(&self, error: PublishError) {
        let mut state = self.lock();
        let settled_through = state.window.settled_through();
        for waiter in state.window.abandon() {
            let _unwanted = waiter.send(Err(error.clone()));
        }
        state.phase = Phase::Over { error, settled_through };
        drop(state);
        self.progress.send_modify(|progress| progress.ended = true);
        self.room.notify_waiters();
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
