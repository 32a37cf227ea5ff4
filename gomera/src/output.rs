//! Standard output: whole lines, and a reader that goes away (`gomera sub … | head`) is an ordinary end.

use std::io::{self, Write};

use serde::Serialize;

use crate::exit::{Failure, Outcome, Reason};

/// A number of things, in words that agree.
pub fn count(number: impl Into<u64>, one: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {one}s"),
    }
}

/// Writes one line.
pub fn line(text: impl std::fmt::Display) -> Outcome {
    writeln!(io::stdout().lock(), "{text}").map_err(failure)
}

/// Writes one line of JSON.
pub fn json(value: &impl Serialize) -> Outcome {
    line(serde_json::to_string(value).map_err(|error| Failure::new(Reason::Internal, error))?)
}

/// Hands what was written to the reader.
pub fn flush() -> Outcome {
    io::stdout().lock().flush().map_err(failure)
}

fn failure(error: io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::BrokenPipe => Reason::ReaderGone,
        _ => Reason::Input,
    };
    Failure::new(reason, anyhow::Error::new(error).context("write standard output"))
}
