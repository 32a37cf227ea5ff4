//! Text input by lines, each with its number and a cap on its length: a file without line ends is not read into memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gomera_model::Attributes;
use gomera_model::flatten::{FlattenError, FlattenLimits, attributes_from_json};

use crate::exit::{Failure, Outcome, Reason};

/// The longest line taken: the largest payload a cluster takes by default.
const LINE_BYTES_MAX: usize = 1024 * 1024;

/// Standard input for `-`, else a file.
pub fn open(path: &Path) -> Outcome<Box<dyn BufRead + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let file = File::open(path).map_err(|error| {
        Failure::new(Reason::Input, anyhow::Error::new(error).context(format!("open {}", path.display())))
    })?;
    Ok(Box::new(BufReader::new(file)))
}

/// An input of which no more than a line's worth is taken at a time: whoever reads rows says after each that it has one, and a
/// quote that is never closed does not take the whole file into memory.
pub struct Rationed {
    input: Box<dyn BufRead + Send>,
    left: Rations,
}

/// What may still be taken of an input.
#[derive(Clone, Debug)]
pub struct Rations(Arc<AtomicUsize>);

impl Rations {
    /// A row is complete.
    pub fn renew(&self) {
        self.0.store(LINE_BYTES_MAX, Ordering::Relaxed);
    }
}

impl Rationed {
    /// Rations `input`.
    pub fn new(input: Box<dyn BufRead + Send>) -> (Self, Rations) {
        let left = Rations(Arc::new(AtomicUsize::new(LINE_BYTES_MAX)));
        (Self { input, left: left.clone() }, left)
    }
}

impl Read for Rationed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.left.0.load(Ordering::Relaxed);
        let room = left.min(into.len());
        let read = self.input.read(&mut into[..room])?;
        if read == 0 && left == 0 {
            // Its end, or more of the same row.
            let more = self.input.read(&mut [0])?;
            if more > 0 {
                return Err(io::Error::other(TooLong));
            }
        }
        self.left.0.store(left - read, Ordering::Relaxed);
        Ok(read)
    }
}

/// A row is too long.
#[derive(Debug, thiserror::Error)]
#[error("a row has more than {LINE_BYTES_MAX} bytes, must have at most {LINE_BYTES_MAX} (is a quote not closed?)")]
pub struct TooLong;

/// Lines of an input. Blank ones are passed over.
pub struct Lines {
    input: Box<dyn BufRead + Send>,
    number: u64,
    line: Vec<u8>,
}

/// One line.
#[derive(Debug)]
pub struct Line<'a> {
    /// From 1, blank lines counted.
    pub number: u64,
    /// Without its end.
    pub bytes: &'a [u8],
}

impl Lines {
    /// The lines of `input`.
    pub fn new(input: Box<dyn BufRead + Send>) -> Self {
        Self { input, number: 0, line: Vec::new() }
    }

    /// The next line that is not blank.
    pub fn next(&mut self) -> Outcome<Option<Line<'_>>> {
        loop {
            self.line.clear();
            self.number += 1;
            let limit = u64::try_from(LINE_BYTES_MAX).expect("a small number") + 1;
            let read = self
                .input
                .by_ref()
                .take(limit)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| Failure::new(Reason::Input, anyhow::Error::new(error).context("read input")))?;
            if read == 0 {
                return Ok(None);
            }
            if self.line.len() > LINE_BYTES_MAX {
                let number = self.number;
                return Err(Failure::say(
                    Reason::Data,
                    format!("line {number} has more than {LINE_BYTES_MAX} bytes, must have at most {LINE_BYTES_MAX}"),
                ));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
        }
        Ok(Some(Line { number: self.number, bytes: self.line.trim_ascii() }))
    }
}

impl Line<'_> {
    /// The line as a JSON object, flattened into attributes. Any other JSON value would have none, and no filter could match it.
    pub fn attributes(&self) -> Outcome<Attributes> {
        let is_other = matches!(self.bytes.first(), Some(b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'));
        if is_other && serde_json::from_slice::<serde::de::IgnoredAny>(self.bytes).is_ok() {
            return Err(Failure::say(
                Reason::Data,
                format!("line {} is JSON but no object, must be one such as {{\"speed\": 12}}", self.number),
            ));
        }
        attributes_from_json(self.bytes, &FlattenLimits::default()).map_err(|error| {
            let number = self.number;
            match error {
                // It speaks of lines within the line.
                FlattenError::Syntax { column, pointer, reason, .. } => {
                    // A document laid out over several lines, perhaps.
                    let hint = if reason.starts_with("EOF") { "; each line must be one whole JSON object" } else { "" };
                    let text = format!("line {number}, column {column}: not JSON (within {pointer}): {reason}{hint}");
                    Failure::say(Reason::Data, text)
                }
                error => Failure::data(anyhow::Error::new(error).context(format!("line {number}"))),
            }
        })
    }
}
