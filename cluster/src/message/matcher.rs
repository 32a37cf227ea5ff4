//! What a matcher shard is told: entries of lanes by access points, credit by exit points.

use std::sync::Arc;

use crate::credit::{Class, Total};
use crate::layout::Epoch;
use crate::operation::Operation;
use crate::position::{LaneId, Number};
use crate::publication::Envelope;

/// To a matcher shard.
#[derive(Clone, Debug)]
pub enum ToMatcher {
    /// From an access point: entries of a lane.
    Entries(Entries),
    /// From an exit point: it may be sent this much about a lane.
    MatchesCredit(MatchesCredit),
    /// From an exit point: a lane that was fenced has ended there; nothing more of it is wanted.
    LaneDone(LaneDone),
}

/// A run of a lane as one matcher shard has to see it: numbers that are not listed hold nothing for this shard, and are
/// passed over. Runs of a lane follow each other without overlap in class [`Class::Live`].
#[derive(Clone, Debug)]
pub struct Entries {
    /// The lane.
    pub lane: LaneId,
    /// Why they are sent.
    pub class: Class,
    /// The last number before this run.
    pub from: Number,
    /// The last number of this run.
    pub to: Number,
    /// What stands in `(from, to]` for this shard, in order of number.
    pub entries: Vec<(Number, Entry)>,
}

impl Entries {
    /// What it counts in credit of its class; never 0.
    #[must_use]
    pub fn cost(&self) -> u64 {
        self.entries.iter().map(|(_, entry)| entry.cost()).sum::<u64>().max(1)
    }
}

/// An entry of a lane.
#[derive(Clone, Debug)]
pub enum Entry {
    /// To be judged.
    Publication(Arc<Envelope>),
    /// To be applied.
    Operation(Arc<Operation>),
    /// From here on this layout governs the lane.
    Barrier(Epoch),
    /// Nothing follows.
    Close,
}

impl Entry {
    /// What it counts in credit and in what a lane retains, in bytes.
    #[must_use]
    pub fn cost(&self) -> u64 {
        /// A number and a word of content.
        const MARK_BYTES: u64 = 32;
        match self {
            Self::Publication(envelope) => envelope.cost(),
            Self::Operation(operation) => operation.cost(),
            Self::Barrier(_) | Self::Close => MARK_BYTES,
        }
    }
}

/// A lane that was fenced has ended at an exit-point shard.
#[derive(Clone, Copy, Debug)]
pub struct LaneDone {
    /// The lane.
    pub lane: LaneId,
}

/// What an exit-point shard lets be sent about a lane in a class, since the link began.
#[derive(Clone, Copy, Debug)]
pub struct MatchesCredit {
    /// The lane.
    pub lane: LaneId,
    /// The class.
    pub class: Class,
    /// The total.
    pub total: Total,
}
