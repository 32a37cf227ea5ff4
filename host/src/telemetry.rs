//! What a process shows of itself: metrics and health over HTTP, and a log.

pub mod http;
pub mod latency;
pub mod logging;
pub mod statistics;

use std::sync::OnceLock;

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// The recorder of this process, which all of its nodes share.
static RECORDER: OnceLock<Result<PrometheusHandle, String>> = OnceLock::new();

/// Metrics cannot be recorded.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot record metrics: {0}")]
pub struct InstallError(String);

/// Begins to record metrics, unless that was begun before.
pub fn install() -> Result<(), InstallError> {
    let recorder = RECORDER.get_or_init(|| {
        let handle = PrometheusBuilder::new().install_recorder().map_err(|error| error.to_string())?;
        statistics::describe();
        Ok(handle)
    });
    recorder.as_ref().map(|_| ()).map_err(|error| InstallError(error.clone()))
}

/// Everything recorded, in the text format of Prometheus.
#[must_use]
pub fn render() -> String {
    const HELP: &str = "From acceptance to hand-over to the subscriber's transport.";
    let mut text =
        RECORDER.get().and_then(|recorder| recorder.as_ref().ok()).map(PrometheusHandle::render).unwrap_or_default();
    latency::delivered().render("gomera_delivered_latency_seconds", HELP, &mut text);
    text
}
