//! Connections of clients that speak plain gRPC, as a program in any language would: they know `MoveTo` and `resume`, and nothing else
//! of how the cluster works.

use std::time::Duration;

use anyhow::{Context as _, Result};
use gomera_proto::raw::pub_sub_client::PubSubClient;
use tonic::transport::{Channel, Endpoint};

use super::shared::Shared;

/// Before the next connection point is tried.
pub(super) const RETRY: Duration = Duration::from_millis(20);
/// A connection point that has not accepted a stream by then is not the right one.
pub(super) const ACCEPTS_WITHIN: Duration = Duration::from_secs(2);
const WINDOW_BYTES: u32 = 8 << 20;
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A connection to the connection point at `door`.
pub(super) async fn connect(door: &str, keep_alive: Duration) -> Result<PubSubClient<Channel>> {
    let channel = Endpoint::from_shared(format!("http://{door}"))?
        .tcp_nodelay(true)
        .connect_timeout(ACCEPTS_WITHIN)
        .http2_keep_alive_interval(keep_alive)
        .keep_alive_timeout(keep_alive)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .connect()
        .await
        .with_context(|| format!("connect to {door}"))?;
    Ok(PubSubClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX))
}

/// Where to go when the connection to one connection point broke: the others in turn.
pub(super) struct Elsewhere {
    next: usize,
    last: String,
}

impl Elsewhere {
    /// Beginning at a place of its own.
    pub(super) fn new(ordinal: u64) -> Self {
        Self { next: usize::try_from(ordinal).unwrap_or(0), last: String::new() }
    }

    /// This one is tried.
    pub(super) fn tries(&mut self, door: &str) {
        door.clone_into(&mut self.last);
    }

    /// The next one; not the one tried last, if there is another.
    pub(super) fn next(&mut self, shared: &Shared) -> String {
        let doors = shared.doors();
        self.next += 1;
        if doors[self.next % doors.len()] == self.last {
            self.next += 1;
        }
        doors[self.next % doors.len()].clone()
    }
}
