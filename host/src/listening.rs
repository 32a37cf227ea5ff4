//! Ports: how they are opened, what is said when they cannot be, and what comes in. And the settings of HTTP/2 that all our
//! servers share.

mod incoming;

pub use incoming::{Incoming, Patience, Visitor};

use std::net::SocketAddr;

use tokio::net::TcpListener;

/// What one stream may have under way before its receiver says more: some round trips' worth of batches.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// What all streams of a connection may have under way together.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Largest HTTP/2 frame: a batch of publications in a few frames rather than in dozens of 16 KiB.
pub const FRAME_BYTES: u32 = 256 << 10;

/// A port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address} for {purpose}: {error}{}; choose another address with {flag} (port 0 takes any free one)",
    hint(error)
)]
pub struct ListenError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What for.
    pub purpose: &'static str,
    /// How to ask for something else.
    pub flag: &'static str,
    /// What the system says.
    pub error: std::io::Error,
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => ", by another gomera perhaps",
        _ => "",
    }
}

/// What every HTTP/2 client sends first (RFC 9113, section 3.4).
pub const HTTP2_PREFACE_BYTES: usize = 24;

/// What a port is for, and the option that sets it.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// As in «for clients».
    pub name: &'static str,
    /// Of the command line.
    pub flag: &'static str,
}

impl Purpose {
    /// Where clients come in.
    pub const CLIENTS: Self = Self { name: "clients", flag: "--listen" };
    /// Where other nodes come in.
    pub const LINKS: Self = Self { name: "links", flag: "--link-listen" };
    /// Where metrics and health are read.
    pub const METRICS: Self = Self { name: "metrics", flag: "--metrics-listen" };
}

/// Opens a port.
pub async fn listen(address: SocketAddr, purpose: Purpose) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|error| ListenError {
        address,
        purpose: purpose.name,
        flag: purpose.flag,
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_named_with_the_option_to_change_it() {
        let taken = listen("127.0.0.1:0".parse().expect("an address"), Purpose::CLIENTS).await.expect("any port");
        let address = taken.local_addr().expect("bound");
        let error = listen(address, Purpose::CLIENTS).await.expect_err("taken").to_string();
        assert!(
            error.contains(&address.to_string()) && error.contains("--listen") && error.contains("clients"),
            "{error}"
        );
    }
}
