//! Where the cluster is, for the commands that are clients of it.

use clap::Args;
use gomera_client::{Client, Reconnect};

use crate::exit::{Failure, Outcome};

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

impl Endpoints {
    /// Connects to one.
    pub async fn connect(&self) -> Outcome<Client> {
        Client::connect_with(self.endpoints.clone(), Reconnect::default()).await.map_err(Failure::unavailable)
    }

    /// All of them.
    pub fn all(&self) -> &[String] {
        &self.endpoints
    }
}
