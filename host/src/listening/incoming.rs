//! TCP connections as they come in, for the servers behind our ports. A port goes on whatever comes: connections beyond the limit
//! are closed at once, those that say nothing are closed in time, and when the system has no descriptors left, accepting waits
//! instead of asking again at once.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use metrics::Counter;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_stream::Stream;
use tonic::transport::server::Connected;

use super::Purpose;
use crate::telemetry::statistics;

/// Until the system may have descriptors again.
const PAUSE: Duration = Duration::from_millis(100);

/// The log says once in so long that connections are turned away.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// What a port puts up with.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// TCP connections at once. Full: a new one is closed at once.
    pub connections_max: usize,
    /// The bytes that every client begins with.
    pub greeting_bytes: usize,
    /// For sending them.
    pub greeting_within: Duration,
}

/// See the top of this file.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    purpose: Purpose,
    patience: Patience,
    room: Arc<Semaphore>,
    pause: Option<Pin<Box<Sleep>>>,
    told: Option<Instant>,
    turned_away: Counter,
}

impl Incoming {
    /// What comes to `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, purpose: Purpose, patience: Patience) -> Self {
        let room = Arc::new(Semaphore::new(patience.connections_max.min(Semaphore::MAX_PERMITS)));
        let turned_away = statistics::connections_turned_away(purpose.name);
        Self { listener, purpose, patience, room, pause: None, told: None, turned_away }
    }

    fn poll_accept(&mut self, context: &mut Context<'_>) -> Poll<(Visitor, SocketAddr)> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(context));
                self.pause = None;
            }
            match ready!(self.listener.poll_accept(context)) {
                Ok((stream, address)) => match self.room.clone().try_acquire_owned() {
                    Ok(room) => return Poll::Ready((Visitor::new(stream, room, self.patience), address)),
                    Err(_) => {
                        self.turned_away.increment(1);
                        let limit = self.patience.connections_max;
                        self.tell(&format_args!("all {limit} connections are taken: new ones are closed"));
                    }
                },
                Err(error) if concerns_one(&error) => {}
                Err(error) => {
                    self.tell(&format_args!("cannot accept connections: {error}; those that stand go on"));
                    self.pause = Some(Box::pin(tokio::time::sleep(PAUSE)));
                }
            }
        }
    }

    fn tell(&mut self, what: &std::fmt::Arguments<'_>) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now.duration_since(told) >= TOLD_EVERY) {
            self.told = Some(now);
            tracing::warn!(port = self.purpose.name, "{what}");
        }
    }
}

/// Whether only one connection failed and the next may be better.
fn concerns_one(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

impl Stream for Incoming {
    type Item = io::Result<Visitor>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(context).map(|(visitor, _)| Some(Ok(visitor)))
    }
}

impl axum::serve::Listener for Incoming {
    type Io = Visitor;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Visitor, SocketAddr) {
        std::future::poll_fn(|context| self.poll_accept(context)).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that counts while it stands, and has to begin in time.
#[derive(Debug)]
pub struct Visitor {
    stream: TcpStream,
    greeting: Option<Greeting>,
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Greeting {
    bytes_missing: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Visitor {
    fn new(stream: TcpStream, room: OwnedSemaphorePermit, patience: Patience) -> Self {
        // Without it, it works as well, only later.
        drop(stream.set_nodelay(true));
        let deadline = Box::pin(tokio::time::sleep(patience.greeting_within));
        let greeting = Greeting { bytes_missing: patience.greeting_bytes, deadline };
        Self { stream, greeting: Some(greeting), _room: room }
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let Some(greeting) = &mut this.greeting else {
            return Pin::new(&mut this.stream).poll_read(context, into);
        };
        let before = into.filled().len();
        let polled = Pin::new(&mut this.stream).poll_read(context, into);
        greeting.bytes_missing = greeting.bytes_missing.saturating_sub(into.filled().len() - before);
        if greeting.bytes_missing == 0 {
            this.greeting = None;
        } else if greeting.deadline.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connected for Visitor {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_stream::StreamExt as _;

    use super::*;

    async fn port(patience: Patience) -> (Incoming, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("any port");
        let address = listener.local_addr().expect("bound");
        (Incoming::new(listener, Purpose::CLIENTS, patience), address)
    }

    async fn next(incoming: &mut Incoming) -> Visitor {
        incoming.next().await.expect("never ends").expect("never fails")
    }

    #[tokio::test]
    async fn a_connection_beyond_the_limit_is_closed_and_room_is_made_by_one_that_goes() {
        let patience = Patience { connections_max: 1, greeting_bytes: 1, greeting_within: Duration::from_secs(10) };
        let (mut incoming, address) = port(patience).await;
        let _first = TcpStream::connect(address).await.expect("connects");
        let visitor = next(&mut incoming).await;
        let mut second = TcpStream::connect(address).await.expect("connects");
        let mut nothing = [0];
        tokio::select! {
            biased;
            _ = next(&mut incoming) => panic!("there is no room"),
            read = second.read(&mut nothing) => assert_eq!(read.unwrap_or(0), 0),
        }
        drop(visitor);
        let _third = TcpStream::connect(address).await.expect("connects");
        next(&mut incoming).await;
    }

    #[tokio::test]
    async fn who_does_not_begin_in_time_is_closed_however_slowly_it_goes_on() {
        let patience = Patience { connections_max: 9, greeting_bytes: 4, greeting_within: Duration::from_millis(50) };
        let (mut incoming, address) = port(patience).await;
        let mut client = TcpStream::connect(address).await.expect("connects");
        let mut visitor = next(&mut incoming).await;
        client.write_all(b"abc").await.expect("written");
        let mut read = [0; 8];
        let mut bytes = 0;
        while bytes < 3 {
            bytes += visitor.read(&mut read).await.expect("there is something");
        }
        let error = visitor.read(&mut read).await.expect_err("one byte is missing");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);

        let mut client = TcpStream::connect(address).await.expect("connects");
        let mut visitor = next(&mut incoming).await;
        client.write_all(b"abcd").await.expect("written");
        let mut bytes = 0;
        while bytes < 4 {
            bytes += visitor.read(&mut read).await.expect("there is something");
        }
        let silent = tokio::time::timeout(Duration::from_millis(100), visitor.read(&mut read)).await;
        assert!(silent.is_err(), "who has begun may be silent");
    }
}
