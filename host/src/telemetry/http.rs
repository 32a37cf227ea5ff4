//! `/metrics`, `/healthz` and `/readyz` over HTTP/1.1.
//!
//! Healthy is a process whose run loops go round; ready is a node that the layout names. A node that is not ready is not ill:
//! it waits for others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::listening::{Incoming, Patience, Purpose};

/// For whoever watches a process; each of them has one connection.
const PATIENCE: Patience = Patience {
    connections_max: 1024,
    // `GET / HTTP/1.1`
    greeting_bytes: 14,
    greeting_within: Duration::from_secs(10),
};

/// Whether something is as it should be; if not, what is wrong.
pub type Verdict = Result<(), String>;

/// Judges a process.
pub trait Probe: Send + Sync + 'static {
    /// Whether it works.
    fn health(&self) -> Verdict;

    /// Whether it can serve.
    fn readiness(&self) -> Verdict;
}

/// A server that answers.
#[derive(Debug)]
pub struct MetricsServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsServer {
    /// Begins to serve.
    pub fn open(listener: TcpListener, probe: Arc<dyn Probe>) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let ready = probe.clone();
        let router = Router::new()
            .route("/metrics", get(async || metrics()))
            .route("/healthz", get(async move || verdict(probe.health())))
            .route("/readyz", get(async move || verdict(ready.readiness())));
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(Incoming::new(listener, Purpose::METRICS, PATIENCE), router).await {
                tracing::error!(%error, "the server of metrics ended");
            }
        });
        Ok(Self { address, task })
    }

    /// Where it answers.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn metrics() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], super::render()).into_response()
}

fn verdict(verdict: Verdict) -> Response {
    match verdict {
        Ok(()) => "ok\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}
