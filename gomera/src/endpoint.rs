//! Where the cluster is, for the commands that are clients of it.

use std::time::Duration;

use clap::Args;
use gomera_client::{Client, ConnectError, Reconnect};

use crate::exit::{Failure, Outcome, Reason};

/// Where a connection point listens unless told otherwise.
pub const DEFAULT: &str = "http://127.0.0.1:7411";

/// Where the cluster is.
#[derive(Clone, Debug, Args)]
pub struct Endpoints {
    /// A connection point of the cluster; may be given several times, the first that answers is used
    #[arg(
        long = "endpoint",
        value_name = "URL",
        env = "GOMERA_ENDPOINT",
        value_delimiter = ',',
        default_value = DEFAULT
    )]
    endpoints: Vec<String>,
}

/// A connection that is away for less is nobody's concern.
const PATIENCE: Duration = Duration::from_secs(1);

impl Endpoints {
    /// Connects to one.
    pub async fn connect(&self) -> Outcome<Client> {
        Client::connect_with(self.endpoints.clone(), Reconnect::default()).await.map_err(|error| match error {
            ConnectError::Unreachable { .. } => {
                Failure::say(Reason::Unavailable, format!("{error} (`gomera up` starts a cluster)"))
            }
            ConnectError::NoEndpoint | ConnectError::InvalidEndpoint { .. } => Failure::new(Reason::Usage, error),
        })
    }

    /// Those that were given, and after them those that the cluster has at present: one may leave.
    pub async fn with_others(&self) -> Self {
        let mut endpoints = self.endpoints.clone();
        if let Ok(client) = self.connect().await
            && let Ok(topology) = client.topology().await
        {
            let addresses = topology.nodes.into_iter().map(|node| node.client_address);
            endpoints
                .extend(addresses.filter(|address| !address.is_empty()).map(|address| format!("http://{address}")));
        }
        Self { endpoints }
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        &self.endpoints
    }
}

/// Says on standard error while the program runs when the cluster is away and why, and when it is back: the client tries again
/// for minutes, and nobody should wonder.
pub fn tell_trouble(client: &Client) {
    let mut trouble = client.trouble();
    tokio::spawn(async move {
        while trouble.wait_for(Option::is_some).await.is_ok() {
            if tokio::time::timeout(PATIENCE, trouble.wait_for(Option::is_none)).await.is_ok() {
                continue;
            }
            if let Some(reason) = &*trouble.borrow() {
                eprintln!("gomera: cut off from the cluster, trying again: {reason}");
            }
            if trouble.wait_for(Option::is_none).await.is_err() {
                return;
            }
            eprintln!("gomera: connected again");
        }
    });
}
