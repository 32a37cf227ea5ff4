//! How the program ends. The codes are those of BSD's sysexits, so that scripts can tell whose fault it was.

use std::fmt;
use std::process::ExitCode;

/// Said at the end of every `--help`.
pub const CODES: &str = "\
Exit codes:
   0  done
   1  a promise broke (demo, replay)
  64  the command line makes no sense
  65  input is wrong: a filter, a JSON line, a cell
  66  a file cannot be read
  69  a service is not there: the cluster, ZooKeeper, a port
  70  a mistake of this program
  75  it cannot be done as things stand: not so many nodes, another operation is under way
  78  the configuration is wrong";

/// Why the program ends other than well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Whoever read our output has gone: nothing to say, and not a failure.
    ReaderGone,
    /// A promise of the cluster broke.
    BrokenPromise,
    /// The command line makes no sense.
    Usage,
    /// Input is wrong.
    Data,
    /// A file cannot be read.
    Input,
    /// A service is not there.
    Unavailable,
    /// Our mistake.
    Internal,
    /// It cannot be done as things stand.
    NotNow,
    /// The configuration is wrong.
    Configuration,
}

impl Reason {
    /// The process's exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::BrokenPromise => 1,
            Self::Usage => 64,
            Self::Data => 65,
            Self::Input => 66,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::NotNow => 75,
            Self::Configuration => 78,
        }
    }
}

/// Why the program ends, and what it says about it.
#[derive(Debug)]
pub struct Failure {
    reason: Reason,
    error: anyhow::Error,
}

/// What a command comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// Ends for `reason`, with this text.
    pub fn new(reason: Reason, error: impl Into<anyhow::Error>) -> Self {
        Self { reason, error: error.into() }
    }

    /// Ends for `reason`, with these words.
    pub fn say(reason: Reason, words: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { reason, error: anyhow::Error::msg(words) }
    }

    /// A service is not there.
    pub fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::Unavailable, error)
    }

    /// Input is wrong.
    pub fn data(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Reason::Data, error)
    }

    /// What is said of it.
    pub fn words(&self) -> String {
        format!("{:#}", self.error)
    }

    /// Says on standard error what there is to say; gives the exit code.
    pub fn report(&self) -> ExitCode {
        if self.reason != Reason::ReaderGone {
            eprintln!("gomera: {:#}", self.error);
        }
        ExitCode::from(self.reason.code())
    }
}
