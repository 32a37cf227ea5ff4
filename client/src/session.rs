//! A session: subscribes, and is handed what its subscriptions match.
//!
//! [`Session`] is what a program asks (clones share the session); [`Deliveries`] is what it is told, and there is one. All
//! decisions are the machine's ([`machine`]); here are the lock around it, the wakers, and who waits for which answer.

pub(crate) mod applied;
pub(crate) mod builder;
pub(crate) mod event;
pub(crate) mod machine;
pub(crate) mod operation;
pub(crate) mod standing;
mod stream;
pub(crate) mod subscription;
mod subscriptions;

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::Stream;
use gomera_model::Attributes;
use gomera_proto::raw;
use tokio::sync::{Notify, Semaphore, oneshot};
use tonic::Streaming;

use crate::backoff::Reconnect;
use crate::connection::Connector;
use crate::error::{OperationError, SessionError};
use crate::supervision::{self, End, Over};
use applied::Applied;
use builder::AttachOptions;
use event::{Event, Notification};
use machine::{Answer, Completion, Listed, Machine, Reply};
use operation::{Operation, RequestId};
use subscription::{Matching, Subscription, SubscriptionState};

/// Operations of one session that wait for room or for their answer; more wait at the door.
const OPERATIONS_MAX: usize = 1_024;

async fn supervise(shared: Arc<Shared>, connector: Arc<Connector>, reconnect: Reconnect) {
    let over = supervision::run(connector.clone(), reconnect, &shared.closing, |link| {
        let (shared, connector) = (shared.clone(), connector.clone());
        async move {
            let end = stream::run(&shared, &connector, link).await;
            shared.disconnected(&end);
            end
        }
    })
    .await;
    shared.end(match over {
        Over::Closed => SessionError::Closed,
        Over::Unavailable(reason) => SessionError::Unavailable(reason),
        Over::Refused(status) => match status.code() {
            // Before it stood, the limit that was met is another: that of sessions.
            code if shared.lock().attached.is_some() => {
                SessionError::Refused { code, message: supervision::describe(&status) }
            }
            tonic::Code::Aborted => SessionError::Superseded(supervision::describe(&status)),
            tonic::Code::ResourceExhausted => SessionError::Slow(supervision::describe(&status)),
            code => SessionError::Refused { code, message: supervision::describe(&status) },
        },
    });
}

/// The asking half of a session. Cheap to clone. When all clones and the [`Deliveries`] are dropped, the process
/// detaches; the session lives on for its `expires_after`.
#[derive(Clone, Debug)]
pub struct Session {
    handle: Arc<Handle>,
}

impl Session {
    /// Its name; a session without one was given one.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.handle.shared.attach.name
    }

    /// Makes a subscription, or replaces the one with this id. When this returns, it is in force: whatever is published from
    /// now on is matched against it.
    pub async fn subscribe(&self, id: &str, subscription: impl Into<Subscription>) -> Result<Applied, OperationError> {
        self.change(Operation::Subscribe(subscription.into().declare(id))).await
    }

    /// Replaces a subscription that exists, atomically: each publication is judged by either the old or the new filter.
    pub async fn update(&self, id: &str, subscription: impl Into<Subscription>) -> Result<Applied, OperationError> {
        self.change(Operation::Update(subscription.into().declare(id))).await
    }

    /// Removes a subscription.
    pub async fn unsubscribe(&self, id: &str) -> Result<Applied, OperationError> {
        self.change(Operation::Unsubscribe(id.into())).await
    }

    /// Pauses a subscription or lets it be matched again, without sending its filter again.
    pub async fn set_matching(&self, id: &str, matching: Matching) -> Result<Applied, OperationError> {
        self.change(Operation::SetPaused(id.into(), matching == Matching::Paused)).await
    }

    /// Replaces the context: what the session's filters see as `$name`. Names are given without the `$`.
    pub async fn set_context(&self, context: Attributes) -> Result<Applied, OperationError> {
        self.change(Operation::SetContext(Arc::new(context))).await
    }

    /// Reads one subscription.
    pub async fn get(&self, id: &str) -> Result<SubscriptionState, OperationError> {
        let listed = self.read(Operation::Get(id.into())).await?;
        let missing = || OperationError::NotFound(format!("no subscription `{id}`"));
        listed.into_iter().next().map(SubscriptionState::from).ok_or_else(missing)
    }

    /// Reads at most `limit` subscriptions (1 to 1000) with handles above `after`, in order of handle; 0 is below all.
    pub async fn list(&self, after: u64, limit: u32) -> Result<Vec<SubscriptionState>, OperationError> {
        let listed = self.read(Operation::List { after, limit }).await?;
        Ok(listed.into_iter().map(SubscriptionState::from).collect())
    }

    /// The program is done with this notification and all before it. Needed with [`crate::Acknowledgement::Manual`] only.
    pub fn acknowledge(&self, notification: &Notification) {
        let sender = {
            let mut state = self.handle.shared.lock();
            state.machine.acknowledge(notification);
            state.sender_if_needed()
        };
        wake(sender);
    }

    /// Ends the session: its subscriptions and its outbox go. [`Deliveries`] ends after what it holds.
    pub async fn end(&self) -> Result<(), SessionError> {
        match self.change(Operation::End).await {
            Ok(_) | Err(OperationError::Session(SessionError::Closed)) => Ok(()),
            Err(OperationError::Session(error)) => Err(error),
            Err(other) => Err(SessionError::Refused { code: tonic::Code::Internal, message: other.to_string() }),
        }
    }

    /// Detaches: sends what is to be acknowledged and lets go of the connection. The session lives on for its
    /// `expires_after`.
    pub async fn detach(&self) {
        let shared = &self.handle.shared;
        let ended = shared.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        shared.close();
        if !matches!(shared.lock().phase, Phase::Over(_)) {
            ended.await;
        }
    }

    async fn change(&self, operation: Operation) -> Result<Applied, OperationError> {
        match self.ask(operation).await? {
            Answer::Applied(applied) => Ok(applied),
            // Not an answer to a change.
            Answer::Listed(_) => Ok(Applied::default()),
        }
    }

    async fn read(&self, operation: Operation) -> Result<Vec<Listed>, OperationError> {
        match self.ask(operation).await? {
            Answer::Listed(listed) => Ok(listed),
            Answer::Applied(_) => Ok(Vec::new()),
        }
    }

    async fn ask(&self, operation: Operation) -> Result<Answer, OperationError> {
        let shared = &self.handle.shared;
        let _room = shared.room.acquire().await.expect("never closed");
        let (waiter, answer) = oneshot::channel();
        let sender = {
            let mut state = shared.lock();
            match &state.phase {
                Phase::Running => {}
                Phase::Closing => return Err(SessionError::Closed.into()),
                Phase::Over(error) => return Err(error.clone().into()),
            }
            let request = state.machine.ask(operation);
            state.waiting.insert(request, waiter);
            state.sender_if_needed()
        };
        wake(sender);
        answer.await.unwrap_or_else(|_| Err(SessionError::Unavailable("the runtime is shutting down".into()).into()))
    }
}

/// The telling half of a session.
#[derive(Debug)]
pub struct Deliveries {
    handle: Arc<Handle>,
}

impl Deliveries {
    /// The next event; `None` when the session was ended or detached from here. With [`crate::Acknowledgement::Automatic`],
    /// asking for the next one acknowledges the one before.
    pub async fn next(&mut self) -> Result<Option<Event>, SessionError> {
        std::future::poll_fn(|context| self.poll(context)).await
    }

    /// Waits until there is something, then takes at most `max` events at once. `false` when the session was ended or
    /// detached from here.
    pub async fn next_batch(&mut self, max: usize, into: &mut Vec<Event>) -> Result<bool, SessionError> {
        let Some(first) = self.next().await? else { return Ok(false) };
        into.push(first);
        let sender = {
            let mut state = self.handle.shared.lock();
            for _ in 1..max {
                let Some(event) = state.machine.take() else { break };
                into.push(event);
            }
            state.sender_if_needed()
        };
        wake(sender);
        Ok(true)
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Event>, SessionError>> {
        let mut state = self.handle.shared.lock();
        let event = state.machine.take();
        let sender = state.sender_if_needed();
        let polled = match (event, &state.phase) {
            (Some(event), _) => Poll::Ready(Ok(Some(event))),
            (None, Phase::Over(SessionError::Closed)) => Poll::Ready(Ok(None)),
            (None, Phase::Over(error)) => Poll::Ready(Err(error.clone())),
            (None, Phase::Running | Phase::Closing) => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        };
        drop(state);
        wake(sender);
        polled
    }
}

/// Ends after an error.
impl Stream for Deliveries {
    type Item = Result<Event, SessionError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(context).map(Result::transpose)
    }
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[derive(Debug)]
enum Phase {
    Running,
    /// The program wants no more.
    Closing,
    Over(SessionError),
}

#[derive(Debug)]
struct State {
    machine: Machine,
    /// Counts connections: a stream of an earlier one sends no more.
    connection: u64,
    phase: Phase,
    /// Who waits for the first attach.
    attached: Option<oneshot::Sender<Result<(), SessionError>>>,
    /// Who waits for which answer; bounded by the semaphore.
    waiting: HashMap<RequestId, oneshot::Sender<Result<Answer, OperationError>>>,
    /// The stream that waits for something to send.
    sender: Option<Waker>,
    /// The program that waits for something to take.
    reader: Option<Waker>,
    /// The stream that the session moves away from.
    former: Option<Streaming<raw::SessionReply>>,
}

impl State {
    fn sender_if_needed(&mut self) -> Option<Waker> {
        if self.sender.is_some() && self.machine.wants_to_send() { self.sender.take() } else { None }
    }
}

#[derive(Debug)]
struct Shared {
    attach: AttachOptions,
    began: Instant,
    state: Mutex<State>,
    room: Semaphore,
    closing: Notify,
    ended: Notify,
}

impl Shared {
    fn new(attach: AttachOptions, machine: Machine, attached: oneshot::Sender<Result<(), SessionError>>) -> Self {
        Self {
            attach,
            began: Instant::now(),
            state: Mutex::new(State {
                machine,
                connection: 0,
                phase: Phase::Running,
                attached: Some(attached),
                waiting: HashMap::new(),
                sender: None,
                reader: None,
                former: None,
            }),
            room: Semaphore::new(OPERATIONS_MAX),
            closing: Notify::new(),
            ended: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while holding it")
    }

    fn close(&self) {
        let sender = {
            let mut state = self.lock();
            if matches!(state.phase, Phase::Running) {
                state.phase = Phase::Closing;
            }
            state.sender.take()
        };
        self.closing.notify_one();
        wake(sender);
    }

    /// Takes what arrived in one message.
    fn replies(&self, replies: &mut Vec<Reply>, completions: &mut Vec<Completion>) {
        let now = self.began.elapsed();
        let mut state = self.lock();
        for reply in replies.drain(..) {
            state.machine.reply(reply, now, completions);
        }
        for (request, answer) in completions.drain(..) {
            if let Some(waiter) = state.waiting.remove(&request) {
                // Who asked has gone.
                let _unwanted = waiter.send(answer);
            }
        }
        if state.machine.is_ready()
            && let Some(attached) = state.attached.take()
        {
            let _unwanted = attached.send(Ok(()));
        }
        let reader = if state.machine.has_ready() { state.reader.take() } else { None };
        let sender = state.sender_if_needed();
        drop(state);
        wake(reader);
        wake(sender);
    }

    /// The connection it moves away from stays open until the new one is accepted.
    fn keep_former(&self, former: Streaming<raw::SessionReply>) {
        self.lock().former = Some(former);
    }

    fn close_former(&self) {
        let former = self.lock().former.take();
        drop(former);
    }

    fn disconnected(&self, end: &End) {
        let sender = {
            let mut state = self.lock();
            state.connection += 1;
            match end {
                End::Moved => state.machine.moves(),
                End::Closed | End::Refused(_) | End::Broken { .. } => {
                    state.former = None;
                    state.machine.disconnected();
                }
            }
            state.sender.take()
        };
        // The sending half of the connection that is over ends: where only the stream broke, the server would wait for it.
        wake(sender);
    }

    fn end(&self, error: SessionError) {
        let mut state = self.lock();
        for request in state.machine.abandon() {
            if let Some(waiter) = state.waiting.remove(&request) {
                let _unwanted = waiter.send(Err(error.clone().into()));
            }
        }
        if let Some(attached) = state.attached.take() {
            let _unwanted = attached.send(Err(error.clone()));
        }
        state.phase = Phase::Over(error);
        let reader = state.reader.take();
        drop(state);
        self.ended.notify_waiters();
        wake(reader);
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
