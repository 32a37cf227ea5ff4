//! A small client for tests, over the generated code only.

#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub mod bytes_codec;
pub mod proxy;
pub mod separate;
pub mod traffic;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use gomera_proto::v1::pub_sub_client::PubSubClient;
use gomera_proto::v1::session_reply::Body;
use gomera_proto::v1::{self, session_request};
use gomera_proto::value::to_value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

/// Nothing here takes so long unless it is lost.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub async fn connect(address: SocketAddr) -> PubSubClient<Channel> {
    PubSubClient::connect(format!("http://{address}")).await.expect("the door is open")
}

pub fn attribute(value: impl Into<gomera_model::value::Value>) -> v1::Value {
    to_value(&value.into())
}

pub fn publication<const N: usize>(attributes: [(&str, i64); N]) -> v1::Publication {
    let attributes: BTreeMap<_, _> =
        attributes.into_iter().map(|(name, value)| (name.to_owned(), attribute(value))).collect();
    v1::Publication { attributes, ..v1::Publication::default() }
}

pub async fn publish(client: &mut PubSubClient<Channel>, publication: v1::Publication) -> Result<(), Status> {
    let request = v1::PublishRequest { publisher: "meter".to_owned(), publication: Some(publication) };
    within(client.publish(request)).await.map(|_| ())
}

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it is not lost")
}

/// A session's stream.
pub struct Subscriber {
    pub requests: mpsc::Sender<v1::SessionRequest>,
    pub replies: Streaming<v1::SessionReply>,
    pub attached: v1::SessionAttached,
    notifications: std::collections::VecDeque<v1::Notification>,
    next_request: u64,
}

impl Subscriber {
    pub async fn attach(client: &mut PubSubClient<Channel>, session: &str) -> Self {
        let attach = v1::AttachSession { session: session.to_owned(), ..v1::AttachSession::default() };
        Self::attach_with(client, attach).await.expect("attaches")
    }

    pub async fn attach_with(client: &mut PubSubClient<Channel>, attach: v1::AttachSession) -> Result<Self, Status> {
        let (requests, receiver) = mpsc::channel(16);
        let request = v1::SessionRequest { request: 1, body: Some(session_request::Body::Attach(attach)) };
        requests.send(request).await.expect("room");
        let mut replies = within(client.session(ReceiverStream::new(receiver))).await?.into_inner();
        let reply = within(replies.message()).await?.expect("an answer");
        let Some(Body::Attached(attached)) = reply.body else { panic!("{reply:?}") };
        assert_eq!(reply.request, 1);
        Ok(Self { requests, replies, attached, notifications: Default::default(), next_request: 2 })
    }

    /// Sends a request and waits for its answer; notifications that come meanwhile are kept.
    pub async fn ask(&mut self, body: session_request::Body) -> Body {
        let request = self.next_request;
        self.next_request += 1;
        self.requests.send(v1::SessionRequest { request, body: Some(body) }).await.expect("the stream is open");
        loop {
            let reply = self.reply().await.expect("the stream goes on").expect("the stream is open");
            match reply.body.expect("a body") {
                Body::Notifications(frame) => self.notifications.extend(frame.notifications),
                body if reply.request == request => return body,
                body => panic!("not asked for: {body:?}"),
            }
        }
    }

    pub async fn subscribe(&mut self, id: &str, filter: &str) -> v1::OperationApplied {
        let filter = v1::FilterSource { filter: Some(v1::filter_source::Filter::Text(filter.to_owned())) };
        let subscribe = v1::Subscribe { id: id.to_owned(), filter: Some(filter), options: None };
        match self.ask(session_request::Body::Subscribe(subscribe)).await {
            Body::Applied(applied) => applied,
            body => panic!("{body:?}"),
        }
    }

    pub async fn reply(&mut self) -> Result<Option<v1::SessionReply>, Status> {
        within(self.replies.message()).await
    }

    pub async fn next(&mut self) -> v1::Notification {
        loop {
            if let Some(notification) = self.notifications.pop_front() {
                return notification;
            }
            let reply = self.reply().await.expect("the stream goes on").expect("the stream is open");
            match reply.body.expect("a body") {
                Body::Notifications(frame) => self.notifications.extend(frame.notifications),
                body => panic!("not asked for: {body:?}"),
            }
        }
    }
}
