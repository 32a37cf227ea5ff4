//! The one HTTP/2 connection that a client's publishers and sessions share, to whichever endpoint answers. Who finds it broken
//! asks for another; many who ask at once cause one attempt.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tonic::transport::{Channel, Endpoint};

use crate::backoff::Reconnect;
use crate::error::ConnectError;

/// A TCP connection to a live host is made within this; a dead one should not hold up trying the next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// HTTP/2 windows: a stream's covers the bandwidth-delay product of 1 Gbit/s at 8 ms; a connection's that of several streams,
/// so that one session that does not read leaves room for the others.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 16 << 20;

/// Endpoints that are learned from the cluster; a few dozen connection points are many.
const LEARNED_MAX: usize = 64;

/// Where a connection is, and which one it is.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    pub(crate) channel: Channel,
    pub(crate) serial: u64,
    pub(crate) endpoint: Arc<str>,
    trouble: Arc<watch::Sender<Trouble>>,
}

/// Why streams to the cluster do not stand, if they do not.
pub(crate) type Trouble = Option<Arc<str>>;

impl Link {
    /// A stream of it stands.
    pub(crate) fn stands(&self) {
        self.trouble.send_if_modified(|trouble| trouble.take().is_some());
    }
}

#[derive(Debug)]
struct State {
    current: Option<Link>,
    /// Index of the endpoint to try next.
    next: usize,
    serial: u64,
    /// Where the cluster said clients are served, when it last asked to move: tried when what was given does not answer.
    learned: Vec<(Arc<str>, Endpoint)>,
    /// How the last attempt failed.
    failed: Option<(u64, ConnectError)>,
    attempts: u64,
}

/// How a connection is looked after.
#[derive(Clone, Copy, Debug)]
struct KeepAlive {
    interval: Duration,
    timeout: Duration,
}

/// See the top of this file.
#[derive(Debug)]
pub(crate) struct Connector {
    endpoints: Vec<(Arc<str>, Endpoint)>,
    keep_alive: KeepAlive,
    attempts: std::sync::atomic::AtomicU64,
    state: Mutex<State>,
    trouble: Arc<watch::Sender<Trouble>>,
}

impl Connector {
    /// Connections to any of `endpoints`; begins with the one at `first` modulo their number.
    pub(crate) fn new(endpoints: Vec<String>, first: usize, reconnect: &Reconnect) -> Result<Self, ConnectError> {
        if endpoints.is_empty() {
            return Err(ConnectError::NoEndpoint);
        }
        let next = first % endpoints.len();
        let keep_alive = KeepAlive { interval: reconnect.keep_alive_interval, timeout: reconnect.keep_alive_timeout };
        let endpoints = endpoints.into_iter().map(|text| parse(text, keep_alive)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            endpoints,
            keep_alive,
            attempts: std::sync::atomic::AtomicU64::new(0),
            state: Mutex::new(State { current: None, next, serial: 0, learned: Vec::new(), failed: None, attempts: 0 }),
            trouble: Arc::new(watch::Sender::new(None)),
        })
    }

    /// The connection that stands, or a new one; not the one with the serial `broken`. Tries each endpoint once.
    pub(crate) async fn link(&self, broken: Option<u64>) -> Result<Link, ConnectError> {
        let asked_after = self.attempts.load(std::sync::atomic::Ordering::Acquire);
        let mut state = self.state.lock().await;
        if state.current.as_ref().is_some_and(|link| Some(link.serial) == broken) {
            state.current = None;
            state.next = (state.next + 1) % self.endpoints.len();
        }
        if let Some(link) = &state.current {
            return Ok(link.clone());
        }
        // Somebody else tried while this one waited for its turn.
        if let Some((attempt, error)) = &state.failed
            && *attempt > asked_after
        {
            return Err(error.clone());
        }
        let outcome = self.connect(&mut state).await;
        state.attempts += 1;
        self.attempts.store(state.attempts, std::sync::atomic::Ordering::Release);
        match outcome {
            Ok(link) => {
                state.failed = None;
                state.current = Some(link.clone());
                Ok(link)
            }
            Err(error) => {
                state.failed = Some((state.attempts, error.clone()));
                Err(error)
            }
        }
    }

    /// A connection to one of `endpoints` instead of the one with the serial `left`, which goes on meanwhile; the one that stands, if
    /// somebody has moved already. `None` if none of them answers.
    pub(crate) async fn move_to(&self, left: u64, endpoints: Vec<String>) -> Option<Link> {
        let mut state = self.state.lock().await;
        if let Some(link) = state.current.as_ref().filter(|link| link.serial > left) {
            return Some(link.clone());
        }
        state.learned = endpoints
            .into_iter()
            .filter_map(|endpoint| parse(endpoint, self.keep_alive).ok())
            .take(LEARNED_MAX)
            .collect();
        // Not all to the same one.
        let first = rand::random::<u32>() as usize % state.learned.len().max(1);
        state.learned.rotate_left(first);
        let learned = state.learned.clone();
        for (name, endpoint) in &learned {
            match self.try_one(&mut state, name, endpoint).await {
                Ok(link) => {
                    state.current = Some(link.clone());
                    return Some(link);
                }
                Err(error) => tracing::debug!(%error, "cannot move there"),
            }
        }
        None
    }

    /// A stream broke, or none could be opened.
    pub(crate) fn broke(&self, reason: &str) {
        self.trouble.send_replace(Some(reason.into()));
    }

    /// Why streams do not stand, to be watched.
    pub(crate) fn trouble(&self) -> watch::Receiver<Trouble> {
        self.trouble.subscribe()
    }

    async fn connect(&self, state: &mut State) -> Result<Link, ConnectError> {
        let mut last = ConnectError::NoEndpoint;
        for _ in 0..self.endpoints.len() {
            let (name, endpoint) = &self.endpoints[state.next];
            match self.try_one(state, name, endpoint).await {
                Ok(link) => return Ok(link),
                Err(error) => {
                    last = error;
                    state.next = (state.next + 1) % self.endpoints.len();
                }
            }
        }
        for (name, endpoint) in state.learned.clone() {
            if let Ok(link) = self.try_one(state, &name, &endpoint).await {
                return Ok(link);
            }
        }
        Err(last)
    }

    async fn try_one(&self, state: &mut State, name: &Arc<str>, endpoint: &Endpoint) -> Result<Link, ConnectError> {
        match endpoint.connect().await {
            Ok(channel) => {
                state.serial += 1;
                let (serial, endpoint, trouble) = (state.serial, name.clone(), self.trouble.clone());
                Ok(Link { channel, serial, endpoint, trouble })
            }
            Err(error) => Err(ConnectError::Unreachable { endpoint: name.to_string(), reason: chain(&error) }),
        }
    }
}

/// An endpoint is a URI; a bare `HOST:PORT` is taken as well.
fn parse(text: String, keep_alive: KeepAlive) -> Result<(Arc<str>, Endpoint), ConnectError> {
    let uri = if text.contains("://") { text.clone() } else { format!("http://{text}") };
    let invalid = |reason: String| ConnectError::InvalidEndpoint { endpoint: text.clone(), reason };
    let endpoint = Endpoint::from_shared(uri.clone()).map_err(|error| invalid(chain(&error)))?;
    if endpoint.uri().scheme_str() != Some("http") {
        return Err(invalid("the scheme must be http".into()));
    }
    if endpoint.uri().port().is_none() {
        return Err(invalid("the port is missing".into()));
    }
    let endpoint = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(keep_alive.interval)
        .keep_alive_timeout(keep_alive.timeout)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    Ok((uri.into(), endpoint))
}

/// An error and what caused it, in one sentence.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    //! Claims about endpoints.

    use super::*;

    #[test]
    fn a_bare_address_is_an_endpoint_and_nonsense_is_refused_with_what_would_be_right() {
        assert_eq!(
            &*parse(
                "127.0.0.1:7411".into(),
                KeepAlive { interval: Duration::from_secs(1), timeout: Duration::from_secs(1) }
            )
            .expect("an address")
            .0,
            "http://127.0.0.1:7411"
        );
        for (text, expected) in [
            ("https://127.0.0.1:7411", "scheme must be http"),
            ("http://localhost", "port is missing"),
            ("not an address", "not an address"),
        ] {
            let error = Connector::new(vec![text.into()], 0, &Reconnect::default()).expect_err(text).to_string();
            assert!(error.contains(expected), "{error}");
        }
        assert!(matches!(Connector::new(vec![], 0, &Reconnect::default()), Err(ConnectError::NoEndpoint)));
    }

    #[tokio::test]
    async fn when_nothing_answers_the_error_names_the_endpoint() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        drop(listener);
        let connector = Connector::new(vec![address.clone()], 0, &Reconnect::default()).expect("an address");
        let error = connector.link(None).await.expect_err("nobody listens").to_string();
        assert!(error.contains(&address), "{error}");
    }
}
