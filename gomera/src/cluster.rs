//! A cluster in this process, for the demo and for replays: on the loopback interface, on any free port, gone afterwards.

use std::time::Duration;

use gomera_host::cluster::{InProcess as Host, InProcessConfig};

use crate::exit::Outcome;
use crate::node::failure;

/// Its only clients are ours, and they have gone when it is stopped.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// See the top of this file.
#[derive(Debug)]
pub struct InProcess {
    host: Host,
    endpoint: String,
}

impl InProcess {
    /// Starts it; returns when it serves.
    pub async fn start() -> Outcome<Self> {
        let host = Host::start(InProcessConfig::default()).await.map_err(failure)?;
        let address = host.client_addresses()[0];
        Ok(Self { host, endpoint: format!("http://{address}") })
    }

    /// Where its clients come in.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Ends it.
    pub async fn stop(self) {
        self.host.stop(STOP_WITHIN).await;
    }
}
