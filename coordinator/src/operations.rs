//! Operations: what people ask of the cluster's shape, and how far it has come. Each stands in the journal under the id that whoever
//! asked for it gave it, as JSON that a person can read, and is asked for once however often it is sent.
//!
//! ```text
//!   requested ──▶ running ──▶ ended: succeeded, failed
//!       │            └──────▶ ended: cancelled, if asked before anything was activated
//!       └───────────────────▶ ended: refused, cancelled
//! ```
//! A door writes `requested` and may set `cancel` to `asked`; all else is written by the leader, fenced by its term and under the
//! version that it read, so that nobody overwrites what the other has said. The step from `requested` to `running` and the wish
//! for nodes that goes with it are one write, as are the end of a cancelled one and the former wish.
//!
//! Invariants, claimed in `operations/tests.rs`: one operation runs at a time; a leader that finds one goes on with it, whatever the
//! one before had done; what has ended stays as it is; the journal is bounded.

mod judge;
mod steps;
mod waits;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use gomera_cluster::address::{Incarnation, Layer};
use gomera_cluster::layout::Epoch;
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;
use crate::registration::{incarnation_text, validate_name};

pub use judge::judge;
pub(crate) use steps::{Step, Stepping};
pub(crate) use waits::Waits;

/// Ended operations that are kept; the oldest go first.
pub const ENDED_MAX: usize = 64;
/// Operations that may stand in the journal at the same time; a door adds none beyond.
pub const STANDING_MAX: usize = 256;

/// What names an operation: chosen by whoever asks, so that asking twice is asking once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(Arc<str>);

impl OperationId {
    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperationId {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        validate_name("the id of the operation", text).map(|()| Self(Arc::from(text)))
    }
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Request {
    /// So many nodes of a layer.
    Scale {
        /// The layer.
        layer: Layer,
        /// How many.
        replicas: u16,
    },
    /// A node gives up what it holds and leaves; another one takes its place if one is idle.
    Drain {
        /// Its name, or its incarnation.
        node: Arc<str>,
    },
    /// Slices are spread evenly again.
    Rebalance,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scale { layer, replicas } => write!(f, "scale {layer} {replicas}"),
            Self::Drain { node } => write!(f, "drain {node}"),
            Self::Rebalance => f.write_str("rebalance"),
        }
    }
}

/// An operation, as it stands in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operation {
    /// What is asked.
    pub request: Request,
    /// When, in milliseconds since 1970, by the clock of the door.
    pub requested_at: u64,
    /// Whether somebody wants it cancelled.
    #[serde(default)]
    pub cancel: Cancel,
    /// How far it has come.
    pub state: State,
}

impl Operation {
    /// One that nobody has taken up.
    #[must_use]
    pub const fn requested(request: Request, requested_at: u64) -> Self {
        Self { request, requested_at, cancel: Cancel::No, state: State::Requested }
    }

    /// Why it cannot be cancelled, if it cannot.
    #[must_use]
    pub fn past_cancelling(&self, id: &OperationId) -> Option<Refusal> {
        let why = match &self.state {
            State::Requested => return None,
            State::Running(running) if !running.progress.activated && self.cancel != Cancel::TooLate => return None,
            State::Running(_) => "has activated something and goes on to its end; then scale the other way",
            State::Ended(_) => "has ended",
        };
        Some(Refusal::new(RefusalKind::Precondition, format!("operation {id} ({}) {why}", self.request)))
    }

    /// Whether nothing will happen to it any more.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Counts operations in the order in which they were taken up; 0 before that.
    #[must_use]
    pub const fn number(&self) -> u64 {
        match &self.state {
            State::Requested => 0,
            State::Running(running) => running.number,
            State::Ended(ended) => ended.number,
        }
    }
}

/// Whether an operation is to be cancelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cancel {
    /// Nobody asked.
    #[default]
    No,
    /// Somebody did, and the leader has not answered.
    Asked,
    /// It was asked when something had been activated: the operation goes on to its end.
    TooLate,
}

/// How far an operation has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum State {
    /// No leader has looked at it.
    Requested,
    /// It is under way.
    Running(Running),
    /// It is over.
    Ended(Ended),
}

/// An operation under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// Counts operations in the order in which they were taken up.
    pub number: u64,
    /// What is done.
    pub plan: Plan,
    /// How much of it has been done.
    pub progress: Progress,
}

/// An operation that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Counts operations in the order in which they were taken up.
    pub number: u64,
    /// What was to be done; empty if it was refused.
    pub plan: Plan,
    /// How much of it was.
    pub progress: Progress,
    /// How it ended.
    pub outcome: Outcome,
}

/// What is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layout in force when it was made.
    pub epoch: Epoch,
    /// Nodes of each layer concerned, before and after.
    pub changes: Vec<Change>,
    /// Nodes that were members of those layers then.
    pub members: Vec<PlannedNode>,
    /// Nodes that come in; others may, should these not be there when it is time.
    pub joining: Vec<PlannedNode>,
    /// Nodes that leave.
    pub leaving: Vec<PlannedNode>,
    /// Slices that get another active replica.
    pub slices: usize,
    /// Bytes of snapshots that machines had sent when it was made.
    #[serde(default)]
    pub snapshot_bytes: u64,
}

/// A layer grows or shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The layer.
    pub layer: Layer,
    /// Nodes that serve in it before.
    pub from: u16,
    /// And after.
    pub to: u16,
    /// Nodes wanted before, to which a cancelled operation goes back.
    pub wanted: u16,
}

/// A node that a plan names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedNode {
    /// Its name.
    pub name: Arc<str>,
    /// This life of it.
    #[serde(with = "incarnation_text")]
    pub incarnation: Incarnation,
}

/// How much of a plan has been done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Whether something that cannot be taken back has happened, or is on its way: from then on it is not cancelled.
    pub activated: bool,
    /// Nodes that have come in.
    pub joined: usize,
    /// Nodes that have left.
    pub left: usize,
    /// Slices that have their new active replica.
    pub slices: usize,
    /// Bytes of snapshots that machines have sent since, as far as those say that are there. Written along with what else comes further.
    #[serde(default)]
    pub bytes: u64,
    /// What it waits for, in words.
    pub awaits: Vec<String>,
}

/// How an operation ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Outcome {
    /// All of it was done.
    Succeeded,
    /// It was cancelled, and what it had done is undone.
    Cancelled,
    /// None of it was done.
    Refused(Refusal),
    /// Not all of it could be done.
    Failed {
        /// What stood in the way.
        reason: String,
    },
}

/// Why something is not done. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What kind.
    pub kind: RefusalKind,
    /// A sentence that names the thing and what would be right.
    pub reason: String,
}

impl Refusal {
    /// For this reason.
    pub fn new(kind: RefusalKind, reason: impl Into<String>) -> Self {
        Self { kind, reason: reason.into() }
    }
}

/// Kinds of refusal on which whoever asked acts differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RefusalKind {
    /// It makes no sense at any time.
    Invalid,
    /// No such node, no such operation.
    NotFound,
    /// The id stands for another request.
    AlreadyExists,
    /// Not as things stand.
    Precondition,
    /// There are not so many nodes.
    Exhausted,
    /// Nobody can say at present.
    Unavailable,
}

/// An operation and the version of its znode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What stands there.
    pub operation: Operation,
    /// The version under which it is written next.
    pub version: i32,
}

/// What a leader writes into the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which operation.
    pub id: OperationId,
    /// What stands there from now on.
    pub operation: Operation,
    /// The version that was read.
    pub version: i32,
    /// Nodes wanted of a layer from now on, in the same write.
    pub wish: Option<(Layer, u16)>,
}

#[cfg(test)]
mod tests;
