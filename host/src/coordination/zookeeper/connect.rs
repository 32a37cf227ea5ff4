//! Getting a session: at the start within bounded time, with an error that says what is wrong; later for as long as it
//! takes.

use std::time::Duration;

use gomera_coordinator::config::ConfigError;
use tokio::net::TcpStream;
use tokio::time::Instant;
use zookeeper_client::{Client, Error};

use super::ZooKeeperConfig;

/// Pauses between attempts grow from the first to the second.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long to look for the reason when all has failed.
const PROBE_WITHIN: Duration = Duration::from_secs(1);

/// The coordination service could not be reached when starting.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No server answered.
    #[error(
        "no ZooKeeper answered at {servers} within {within:?} ({reason}); start one there, or say where it is with \
         --zookeeper HOST:PORT[,HOST:PORT]"
    )]
    Unreachable {
        /// What was tried.
        servers: String,
        /// For how long.
        within: Duration,
        /// What happened at each server.
        reason: String,
    },
    /// It answers, and the znodes of the cluster cannot be made.
    #[error(
        "make the znodes of the cluster below {path}: {reason}; a path at the end of the servers must exist, and \
             everybody must be allowed to write there"
    )]
    Prepare {
        /// Where.
        path: String,
        /// What happened.
        reason: String,
    },
}

/// The `HOST:PORT`s of a list of servers.
pub(super) fn hosts(servers: &str) -> Result<Vec<String>, ConfigError> {
    let wrong = || ConfigError::new("servers", format!("«{servers}»"), "HOST:PORT[,HOST:PORT][/PATH]");
    let end = servers.find('/').unwrap_or(servers.len());
    let (list, path) = servers.split_at(end);
    if !path.is_empty() && (path.ends_with('/') || path.contains("//")) {
        return Err(wrong());
    }
    let fits = |host: &&str| {
        let port = host.rsplit_once(':').filter(|(name, _)| !name.is_empty()).map(|(_, port)| port.parse::<u16>());
        matches!(port, Some(Ok(1..)))
    };
    let hosts = list.split(',').map(|host| Some(host).filter(fits).map(str::to_owned)).collect::<Option<Vec<_>>>();
    hosts.ok_or_else(wrong)
}

/// The first session.
pub(super) async fn first(config: &ZooKeeperConfig) -> Result<Client, ConnectError> {
    let deadline = Instant::now() + config.connect_timeout;
    let mut pause = PAUSE_MIN;
    loop {
        let error = match tokio::time::timeout_at(deadline, once(config)).await {
            Ok(Ok(client)) => return Ok(client),
            Ok(Err(error)) => error,
            Err(_) => Error::Timeout,
        };
        if pause == PAUSE_MIN {
            tracing::info!(servers = config.servers, within = ?config.connect_timeout, "waiting for ZooKeeper");
        }
        if Instant::now() + pause >= deadline {
            let reason = probe(&config.servers).await;
            tracing::debug!(%error, "the last attempt to reach ZooKeeper");
            let (servers, within) = (config.servers.clone(), config.connect_timeout);
            return Err(ConnectError::Unreachable { servers, within, reason });
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The next session, whenever the service is back.
pub(super) async fn again(config: &ZooKeeperConfig) -> Client {
    let mut pause = PAUSE_MIN;
    loop {
        match tokio::time::timeout(config.session_timeout, once(config)).await {
            Ok(Ok(client)) => {
                tracing::info!(servers = config.servers, session = %client.session_id(), "ZooKeeper answers again");
                return client;
            }
            Ok(Err(error)) => tracing::debug!(%error, servers = config.servers, "no session with ZooKeeper yet"),
            Err(_) => tracing::debug!(servers = config.servers, "no session with ZooKeeper yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// One round over all servers.
async fn once(config: &ZooKeeperConfig) -> Result<Client, Error> {
    let connector = Client::connector().with_session_timeout(config.session_timeout).with_fail_eagerly();
    connector.connect(&config.servers).await
}

/// Why no server answers, one clause for each.
async fn probe(servers: &str) -> String {
    let mut clauses = Vec::new();
    for host in hosts(servers).unwrap_or_default() {
        let what = match tokio::time::timeout(PROBE_WITHIN, TcpStream::connect(&host)).await {
            Ok(Ok(_)) => String::from("accepts connections but does not answer as a ZooKeeper that serves"),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("no connection within {PROBE_WITHIN:?}"),
        };
        clauses.push(format!("{host}: {what}"));
    }
    clauses.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_ports_and_perhaps_a_path() {
        assert_eq!(hosts("a:1"), Ok(vec![String::from("a:1")]));
        assert_eq!(hosts("a:1,[::1]:2/x/y"), Ok(vec![String::from("a:1"), String::from("[::1]:2")]));
        for servers in ["", "a", "a:", ":1", "a:0", "a:1,", "a:x", "a:1/", "a:1//b"] {
            let error = hosts(servers).expect_err("malformed").to_string();
            assert_eq!(error, format!("servers is «{servers}», must be HOST:PORT[,HOST:PORT][/PATH]"));
        }
    }
}
