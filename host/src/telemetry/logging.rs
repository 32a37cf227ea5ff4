//! The log of a process, on standard error.

use std::io::IsTerminal as _;

use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

/// How the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// The log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter makes no sense.
    #[error("log filter `{filter}` makes no sense: {reason}; write for example `info` or `warn,gomera_host=debug`")]
    Filter {
        /// As given.
        filter: String,
        /// What is wrong.
        reason: String,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Begins to log what passes `filter` (the syntax of `RUST_LOG`).
pub fn install(filter: &str, format: LogFormat) -> Result<(), LoggingError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|error| LoggingError::Filter { filter: filter.to_owned(), reason: error.to_string() })?;
    let log =
        tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr).with_span_events(FmtSpan::NONE);
    // Colours are for people, and only for those who have not said that they want none (no-color.org).
    let is_coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|no| no.is_empty());
    let log = log.with_ansi(is_coloured);
    let installed = match format {
        LogFormat::Text => log.with_target(false).try_init(),
        LogFormat::Json => log.json().try_init(),
    };
    installed.map_err(|_| LoggingError::Twice)
}
