//! A judged session over plain gRPC. It keeps the number of each lane itself, resumes with them, follows `MoveTo`, and changes a
//! subscription of its own now and then.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use gomera_proto::raw::session_reply::Body as Reply;
use gomera_proto::raw::{Notification, SessionReply};
use gomera_proto::v1::filter_source::Filter;
use gomera_proto::v1::session_request::Body;
use gomera_proto::v1::{Acknowledge, AttachSession, FilterSource, SessionRequest, Subscribe, Unsubscribe, Vector};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::plain::{self, Elsewhere};
use super::shared::Shared;

/// How often what was received is acknowledged.
const ACKNOWLEDGE_EVERY: Duration = Duration::from_millis(20);
/// How often its own subscription changes.
const CHANGE_EVERY: Duration = Duration::from_millis(20);
/// Subscriptions under way at once while they are declared.
const DECLARING_MAX: u64 = 256;
/// A change that is not in force after so long, however often it was asked for, has failed.
const ASKS_WITHIN: Duration = Duration::from_secs(30);

struct Session {
    shared: Arc<Shared>,
    ordinal: u64,
    name: String,
    elsewhere: Elsewhere,
    /// Counts tries to attach.
    attempt: u64,
    /// `W`: per lane the number of the last notification received.
    received: Vector,
    has_more: bool,
    /// Counts changes of its own subscription.
    changes: u64,
    /// The change that is not answered.
    asked: Option<Asked>,
}

/// A change of its own subscription, under way.
struct Asked {
    request: SessionRequest,
    /// When it was asked for first.
    at: Instant,
    /// Whether a stream broke before it was answered, and it was asked for once more: it may have happened.
    is_again: bool,
}

impl Asked {
    /// Whether this refusal says that it has happened: nothing is left to remove when what removed it is asked for again.
    fn is_done(&self, request: u64, code: i32) -> bool {
        let removes = matches!(self.request.body, Some(Body::Unsubscribe(_)));
        self.is_again && removes && self.request.request == request && code == i32::from(tonic::Code::NotFound)
    }
}

struct Stream {
    requests: mpsc::Sender<SessionRequest>,
    replies: Streaming<SessionReply>,
}

/// Attaches it at the first of `doors` and declares its subscriptions.
pub(super) async fn attach(
    shared: Arc<Shared>,
    ordinal: u64,
    name: &str,
    doors: Vec<String>,
    stopped: watch::Receiver<bool>,
) -> Result<JoinHandle<Result<()>>> {
    let mut session = Session {
        elsewhere: Elsewhere::new(ordinal),
        name: name.to_owned(),
        attempt: 0,
        received: Vector::default(),
        has_more: false,
        changes: 0,
        asked: None,
        shared,
        ordinal,
    };
    let mut stream = session.attach(doors.first().context("no connection point")?).await?;
    session.declare(&mut stream).await?;
    Ok(tokio::spawn(session.run(stream, stopped)))
}

impl Session {
    async fn attach(&mut self, door: &str) -> Result<Stream> {
        self.elsewhere.tries(door);
        let mut client = plain::connect(door, self.shared.load.keep_alive).await?;
        let (requests, stream) = mpsc::channel(1_024);
        self.attempt += 1;
        let attach = AttachSession {
            session: self.name.clone(),
            resume: (self.attempt > 1).then(|| self.received.clone()),
            process: 0x10ad_0001 + self.ordinal,
            attempt: self.attempt,
            ..AttachSession::default()
        };
        requests.send(SessionRequest { request: 0, body: Some(Body::Attach(attach)) }).await?;
        let accepted = async {
            let mut replies = client.session(ReceiverStream::new(stream)).await?.into_inner();
            let first = replies.message().await?;
            anyhow::Ok((replies, first))
        };
        let (replies, first) = tokio::time::timeout(plain::ACCEPTS_WITHIN, accepted).await??;
        match first.and_then(|reply| reply.body) {
            Some(Reply::Attached(attached)) => {
                if self.attempt > 1 && !attached.resumed {
                    self.shared.disconnected(&format!("session {} was made anew", self.ordinal));
                }
                self.raise(attached.merged.unwrap_or_default());
            }
            other => bail!("expected `attached`, got {other:?}"),
        }
        if let Some(asked) = &mut self.asked {
            asked.is_again = true;
            requests.try_send(asked.request.clone())?;
        }
        Ok(Stream { requests, replies })
    }

    async fn declare(&mut self, stream: &mut Stream) -> Result<()> {
        let (shared, mut awaited) = (self.shared.clone(), 0);
        for index in (self.ordinal..shared.load.subscriptions).step_by(usize::try_from(shared.load.sessions)?) {
            let body = Body::Subscribe(subscribe(&format!("f{index}"), shared.content.filter(index)));
            stream.requests.send(SessionRequest { request: 1 + index, body: Some(body) }).await?;
            awaited += 1;
            while awaited >= DECLARING_MAX {
                applied(stream.replies.message().await?)?;
                awaited -= 1;
            }
        }
        for _ in 0..awaited {
            applied(stream.replies.message().await?)?;
        }
        Ok(())
    }

    async fn run(mut self, mut stream: Stream, mut stopped: watch::Receiver<bool>) -> Result<()> {
        let mut acknowledge = tokio::time::interval(ACKNOWLEDGE_EVERY);
        let mut change = tokio::time::interval(CHANGE_EVERY);
        loop {
            let reply = tokio::select! {
                reply = stream.replies.message() => reply,
                _ = acknowledge.tick(), if self.has_more => {
                    let body = Body::Acknowledge(Acknowledge { through: Some(self.received.clone()) });
                    // A full queue means that the stream stands still: the next one says more.
                    let sent = stream.requests.try_send(SessionRequest { request: 0, body: Some(body) });
                    self.has_more = sent.is_err();
                    continue;
                }
                _ = change.tick(), if self.asked.is_none() => {
                    self.change(&stream);
                    continue;
                }
                _ = stopped.changed() => return Ok(()),
            };
            match reply.map(|reply| reply.map(|reply| (reply.request, reply.body))) {
                Ok(Some((_, Some(Reply::Notifications(frame))))) => {
                    for notification in frame.notifications {
                        self.take(notification);
                    }
                }
                Ok(Some((request, Some(Reply::Applied(_))))) => {
                    if let Some(asked) = self.asked.take_if(|asked| asked.request.request == request) {
                        self.shared.acknowledged(asked.at);
                    }
                }
                Ok(Some((request, Some(Reply::Failed(failed))))) => {
                    match self.asked.take_if(|asked| asked.is_done(request, failed.code)) {
                        Some(asked) => self.shared.acknowledged(asked.at),
                        None if failed.code == i32::from(tonic::Code::Unavailable) => {
                            self.ask_again(&stream, request, &failed.message)?
                        }
                        None => bail!("a change was refused: {}", failed.message),
                    }
                }
                Ok(Some((_, Some(Reply::MoveTo(to))))) => {
                    let door = to.endpoints.get(usize::try_from(self.ordinal)? % to.endpoints.len().max(1));
                    let door = door.context("`move_to` names nobody")?.clone();
                    // The old stream is open until the new one is accepted; what it still brings comes again on the new one.
                    match self.attach(&door).await {
                        Ok(other) => stream = other,
                        Err(error) => self.shared.say(&format!("session {} cannot move: {error:#}", self.ordinal)),
                    }
                }
                Ok(Some((_, Some(Reply::Goodbye(goodbye))))) => {
                    self.shared.say(&format!("goodbye: {}", goodbye.reason))
                }
                Ok(Some((_, Some(Reply::SubscriptionsLost(lost))))) => {
                    bail!("subscriptions are lost, for the {}. time", lost.number)
                }
                Ok(Some((_, Some(Reply::Attached(_) | Reply::Subscriptions(_)) | None))) => {
                    bail!("an answer to nothing that was asked")
                }
                Ok(None) => stream = self.come_back("the stream was closed", &mut stopped).await?,
                Err(status) => stream = self.come_back(status.message(), &mut stopped).await?,
            }
        }
    }

    /// It may or may not have been in force, which only a death explains: whoever asks again knows.
    fn ask_again(&mut self, stream: &Stream, request: u64, why: &str) -> Result<()> {
        let asked = self.asked.as_mut().filter(|asked| asked.request.request == request);
        let asked = asked.context("an answer to nothing that was asked")?;
        if asked.at.elapsed() > ASKS_WITHIN {
            bail!("a change was refused for {ASKS_WITHIN:?}: {why}");
        }
        self.shared.disconnected(&format!("session {} (plain), a change: {why}", self.ordinal));
        asked.is_again = true;
        stream.requests.try_send(asked.request.clone()).context("ask again")
    }

    async fn come_back(&mut self, why: &str, stopped: &mut watch::Receiver<bool>) -> Result<Stream> {
        self.shared.disconnected(&format!("session {} (plain): {why}", self.ordinal));
        loop {
            let door = self.elsewhere.next(&self.shared);
            match self.attach(&door).await {
                Ok(stream) => return Ok(stream),
                Err(error) if *stopped.borrow() => return Err(error),
                Err(_) => tokio::time::sleep(plain::RETRY).await,
            }
        }
    }

    fn take(&mut self, notification: Notification) {
        if let Some(gap) = &notification.gap {
            self.shared.say(&format!("session {}: a gap of {}", self.ordinal, gap.dropped));
        } else {
            if notification.satisfied != 1 {
                self.shared.unexpected(&format!("{} filters satisfied, must be 1", notification.satisfied));
            }
            self.shared.arrived(self.ordinal, &notification.publication);
        }
        self.raise(notification.merged.unwrap_or_default());
        self.raise(Vector { numbers: [(notification.lane, notification.number)].into() });
        self.has_more = true;
    }

    fn raise(&mut self, to: Vector) {
        for (lane, number) in to.numbers {
            let own = self.received.numbers.entry(lane).or_default();
            *own = number.max(*own);
        }
    }

    /// Makes, replaces or removes its own subscription, which nothing satisfies.
    fn change(&mut self, stream: &Stream) {
        self.changes += 1;
        let id = "own";
        let body = if self.changes.is_multiple_of(4) {
            Body::Unsubscribe(Unsubscribe { id: id.to_owned() })
        } else {
            Body::Subscribe(subscribe(id, format!("own = {}", self.changes)))
        };
        // Above those of the subscriptions.
        let request = SessionRequest { request: (1 << 40) + self.changes, body: Some(body) };
        if stream.requests.try_send(request.clone()).is_ok() {
            self.asked = Some(Asked { request, at: Instant::now(), is_again: false });
        }
    }
}

fn subscribe(id: &str, filter: String) -> Subscribe {
    Subscribe { id: id.to_owned(), filter: Some(FilterSource { filter: Some(Filter::Text(filter)) }), options: None }
}

fn applied(reply: Option<SessionReply>) -> Result<()> {
    match reply.and_then(|reply| reply.body) {
        Some(Reply::Applied(_)) => Ok(()),
        other => bail!("expected `applied`, got {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_removal_that_is_asked_for_again_may_find_nothing() {
        let asked = |body, is_again| Asked {
            request: SessionRequest { request: 7, body: Some(body) },
            at: Instant::now(),
            is_again,
        };
        let removal = || Body::Unsubscribe(Unsubscribe { id: "own".to_owned() });
        let not_found = i32::from(tonic::Code::NotFound);
        assert!(asked(removal(), true).is_done(7, not_found));
        assert!(!asked(removal(), false).is_done(7, not_found), "it was there");
        assert!(!asked(removal(), true).is_done(8, not_found), "another one");
        assert!(!asked(removal(), true).is_done(7, i32::from(tonic::Code::Unavailable)));
        assert!(!asked(Body::Subscribe(Subscribe::default()), true).is_done(7, not_found), "nothing is removed");
    }
}
