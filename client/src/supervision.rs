//! What publishers and sessions have in common: a stream that is opened again, elsewhere if need be, until it is over.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tonic::{Code, Status};

use crate::backoff::{Backoff, Next, Reconnect};
use crate::connection::{Connector, Link};

/// How one connection of a stream ended.
#[derive(Debug)]
pub(crate) enum End {
    /// As the program wished.
    Closed,
    /// The cluster does not want this stream; trying again would not help.
    Refused(Status),
    /// It broke, or the server went away: try again.
    Broken { reason: String, opened: Opened },
    /// The server is to leave and another connection stands: go on there at once.
    Moved,
}

/// Whether the stream was accepted before it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opened {
    Yes,
    No,
}

/// How the whole stream ended.
#[derive(Debug)]
pub(crate) enum Over {
    Closed,
    Refused(Status),
    Unavailable(String),
}

/// Whether trying again cannot help: the request itself, or who makes it, is not wanted.
pub(crate) fn is_refusal(status: &Status) -> bool {
    match status.code() {
        Code::InvalidArgument
        | Code::Unauthenticated
        | Code::PermissionDenied
        | Code::Unimplemented
        | Code::Aborted
        | Code::OutOfRange
        | Code::FailedPrecondition
        | Code::NotFound
        | Code::AlreadyExists
        | Code::ResourceExhausted
        | Code::DataLoss => true,
        Code::Ok | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::Internal | Code::Unavailable => {
            false
        }
    }
}

/// How a connection ended, from what its last message was.
pub(crate) fn end_of(status: Status, opened: Opened) -> End {
    if is_refusal(&status) { End::Refused(status) } else { End::Broken { reason: describe(&status), opened } }
}

/// A status in one sentence.
pub(crate) fn describe(status: &Status) -> String {
    let message = status.message();
    // What tonic says of an answer that is HTTP/2 and no gRPC.
    if message.starts_with("grpc-status header missing") {
        return format!("what answers there is no connection point: another port of the cluster perhaps ({message})");
    }
    if message.is_empty() { format!("{:?}", status.code()) } else { message.to_owned() }
}

/// Runs `stream` on one connection after the other until it is over. `closing` is notified once when the program wants no
/// more.
pub(crate) async fn run<F, Stream>(
    connector: Arc<Connector>,
    reconnect: Reconnect,
    closing: &Notify,
    mut stream: F,
) -> Over
where
    F: FnMut(Link) -> Stream,
    Stream: Future<Output = End>,
{
    let mut backoff = Backoff::new(reconnect);
    let mut broken = None;
    loop {
        let began = Instant::now();
        let (reason, took) = match connector.link(broken).await {
            Ok(link) => {
                broken = Some(link.serial);
                let endpoint = link.endpoint.clone();
                match stream(link).await {
                    End::Closed => return Over::Closed,
                    End::Refused(status) => return Over::Refused(status),
                    End::Moved => {
                        backoff.connected();
                        continue;
                    }
                    End::Broken { reason, opened: Opened::Yes } => {
                        backoff.connected();
                        (format!("{endpoint}: {reason}"), Duration::ZERO)
                    }
                    End::Broken { reason, opened: Opened::No } => (format!("{endpoint}: {reason}"), began.elapsed()),
                }
            }
            Err(error) => (error.to_string(), began.elapsed()),
        };
        tracing::debug!(%reason, "stream to the cluster broke");
        connector.broke(&reason);
        match backoff.failed(took, rand::random()) {
            Next::GiveUp => return Over::Unavailable(reason),
            Next::Wait(wait) => {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = closing.notified() => return Over::Closed,
                }
            }
        }
    }
}
