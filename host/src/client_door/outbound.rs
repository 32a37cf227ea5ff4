//! What is to be told to one client: filled by its connection point, emptied by the stream of replies as the transport takes
//! them. Bounded: notifications by the session's credit, answers by what a client may ask before it reads (it is read no
//! further then), acknowledgements by telling only the latest.

use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use gomera_connection_point::client::{ClientAction, ClientReply, CloseReason, Failure, RequestId};
use gomera_proto::code;
use tokio::sync::Notify;
use tonic::Status;

/// Weight of replies that may wait before nothing more is read from the client.
const REPLIES_MAX: usize = 1024;

/// Subscriptions in a list that weigh as much as any other reply.
const LISTED_A_REPLY: usize = 4;

/// One thing to be told.
#[derive(Debug)]
pub enum Reply {
    /// What the connection point says.
    Said(ClientReply),
    /// A request that the door itself could not make sense of; `offset` is where in a filter's text.
    Failed {
        /// Echoed.
        request: RequestId,
        /// Why.
        failure: Failure,
        /// Bytes from the start of the filter.
        offset: Option<u32>,
    },
    /// The client should finish and connect again.
    Goodbye(&'static str),
}

/// How a stream of replies ends.
#[derive(Debug)]
pub enum End {
    /// As it should.
    Done,
    /// With this status.
    Failed(Status),
}

#[derive(Debug, Default)]
struct State {
    replies: Vec<Reply>,
    /// Weight of the replies: one each, lists by their length.
    weight: usize,
    end: Option<End>,
    is_paused: bool,
    /// The stream of replies is gone.
    is_gone: bool,
    taker: Option<Waker>,
}

/// Replies on their way to one client.
#[derive(Debug, Default)]
pub struct Outbound {
    state: Mutex<State>,
    readable: Notify,
}

/// The client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl Outbound {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing that holds this lock panics")
    }

    /// Does what the connection point asks.
    pub fn act(&self, action: ClientAction) {
        match action {
            ClientAction::Reply { reply, .. } => self.say(Reply::Said(reply)),
            ClientAction::Pause { .. } => self.lock().is_paused = true,
            ClientAction::Resume { .. } => {
                self.lock().is_paused = false;
                self.readable.notify_waiters();
            }
            ClientAction::Close { reason: CloseReason { failure }, .. } => self.end(match failure {
                Some(failure) => End::Failed(code::status(failure)),
                None => End::Done,
            }),
        }
    }

    /// Adds something to be told; dropped after the end.
    pub fn say(&self, reply: Reply) {
        let mut state = self.lock();
        if state.end.is_some() || state.is_gone {
            return;
        }
        if let (
            Some(Reply::Said(ClientReply::Acknowledged { through: last })),
            Reply::Said(ClientReply::Acknowledged { through }),
        ) = (state.replies.last_mut(), &reply)
        {
            *last = (*last).max(*through);
            return;
        }
        state.weight += weight(&reply);
        state.replies.push(reply);
        let taker = state.taker.take();
        drop(state);
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    /// Nothing follows but this; what was said before is still told. The first end counts.
    pub fn end(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let taker = state.taker.take();
        drop(state);
        self.readable.notify_waiters();
        if let Some(taker) = taker {
            taker.wake();
        }
    }

    /// The stream of replies is gone: nobody will be told anything.
    pub fn leave(&self) {
        let mut state = self.lock();
        state.is_gone = true;
        let replies = std::mem::take(&mut state.replies);
        drop(state);
        drop(replies);
        self.readable.notify_waiters();
    }

    /// Takes all there is into `into`, which must be empty; after everything has been taken, how it ends.
    pub fn poll_take(&self, context: &mut Context<'_>, into: &mut Vec<Reply>) -> Poll<Option<End>> {
        let mut state = self.lock();
        if state.replies.is_empty() {
            if let Some(end) = state.end.take() {
                // Asked again, it is simply over.
                state.end = Some(End::Done);
                return Poll::Ready(Some(end));
            }
            state.taker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let was_full = state.weight >= REPLIES_MAX;
        state.weight = 0;
        std::mem::swap(&mut state.replies, into);
        drop(state);
        if was_full {
            self.readable.notify_waiters();
        }
        Poll::Ready(None)
    }

    /// Waits until more may be read from the client.
    pub async fn readable(&self) -> Result<(), Gone> {
        loop {
            let changed = self.readable.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.is_gone || state.end.is_some() {
                    return Err(Gone);
                }
                if !state.is_paused && state.weight < REPLIES_MAX {
                    return Ok(());
                }
            }
            changed.await;
        }
    }

    /// Waits until nothing may be read from the client any more.
    pub async fn closed(&self) {
        loop {
            let changed = self.readable.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.lock();
                if state.is_gone || state.end.is_some() {
                    return;
                }
            }
            changed.await;
        }
    }
}

fn weight(reply: &Reply) -> usize {
    match reply {
        Reply::Said(ClientReply::Found { subscriptions, .. }) => 1 + subscriptions.len() / LISTED_A_REPLY,
        Reply::Said(_) | Reply::Failed { .. } | Reply::Goodbye(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gomera_cluster::identity::{ConnectionId, Handle, Sequence};
    use gomera_cluster::operation::{Description, SubscriptionOptions};
    use gomera_connection_point::client::FailureKind;
    use gomera_model::filter::{Filter, FilterLimits};

    use super::*;

    const CONNECTION: ConnectionId = ConnectionId(1);

    fn take(outbound: &Outbound) -> (Vec<Reply>, Poll<Option<End>>) {
        let mut replies = Vec::new();
        let poll = outbound.poll_take(&mut Context::from_waker(Waker::noop()), &mut replies);
        (replies, poll)
    }

    fn acknowledged(through: u64) -> ClientAction {
        ClientAction::Reply { connection: CONNECTION, reply: ClientReply::Acknowledged { through: Sequence(through) } }
    }

    #[test]
    fn acknowledgements_that_pile_up_become_one() {
        let outbound = Outbound::default();
        for through in 1..=1000 {
            outbound.act(acknowledged(through));
        }
        let (replies, _) = take(&outbound);
        assert!(
            matches!(replies[..], [Reply::Said(ClientReply::Acknowledged { through: Sequence(1000) })]),
            "{replies:?}"
        );
    }

    #[test]
    fn what_was_said_before_the_end_is_told_first() {
        let outbound = Outbound::default();
        outbound.act(acknowledged(1));
        let failure = Failure { kind: FailureKind::Aborted, message: "superseded".to_owned() };
        outbound.act(ClientAction::Close { connection: CONNECTION, reason: CloseReason { failure: Some(failure) } });
        outbound.act(acknowledged(2));
        let (replies, poll) = take(&outbound);
        assert_eq!(replies.len(), 1);
        assert!(matches!(poll, Poll::Ready(None)));
        let (_, poll) = take(&outbound);
        let Poll::Ready(Some(End::Failed(status))) = poll else { panic!("{poll:?}") };
        assert_eq!((status.code(), status.message()), (tonic::Code::Aborted, "superseded"));
        assert!(matches!(take(&outbound).1, Poll::Ready(Some(End::Done))));
    }

    #[tokio::test]
    async fn a_client_that_never_reads_is_read_no_further() {
        let outbound = Outbound::default();
        for sequence in 0..u64::try_from(REPLIES_MAX).expect("small") {
            assert_eq!(outbound.readable().await, Ok(()));
            let failure = Failure { kind: FailureKind::Invalid, message: String::new() };
            outbound.say(Reply::Said(ClientReply::PublicationRefused { sequence: Sequence(sequence), failure }));
        }
        let waiting = outbound.readable();
        tokio::pin!(waiting);
        let nothing = std::future::ready(Gone);
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("it is full"),
            _ = nothing => {}
        }
        drop(take(&outbound));
        assert_eq!(waiting.await, Ok(()));
    }

    #[tokio::test]
    async fn a_client_that_lists_and_never_reads_is_read_no_further_after_a_few() {
        let outbound = Outbound::default();
        let description = Description {
            id: Arc::from("id"),
            handle: Handle(1),
            filter: Filter::parse("a = 1", &FilterLimits::default()).expect("a good filter"),
            options: SubscriptionOptions::default(),
        };
        let mut said = 0;
        while futures_util::poll!(std::pin::pin!(outbound.readable())).is_ready() {
            let subscriptions = vec![description.clone(); 1000];
            outbound.say(Reply::Said(ClientReply::Found { request: RequestId(1), subscriptions }));
            said += 1;
        }
        assert!(said <= 5, "{said} lists wait");
        drop(take(&outbound));
        assert_eq!(outbound.readable().await, Ok(()));
    }

    #[tokio::test]
    async fn a_paused_client_is_read_again_after_resume() {
        let outbound = Outbound::default();
        outbound.act(ClientAction::Pause { connection: CONNECTION });
        {
            let waiting = outbound.readable();
            tokio::pin!(waiting);
            let polled = futures_util::poll!(&mut waiting);
            assert!(polled.is_pending());
            outbound.act(ClientAction::Resume { connection: CONNECTION });
            assert_eq!(waiting.await, Ok(()));
        }
        outbound.leave();
        assert_eq!(outbound.readable().await, Err(Gone));
    }
}
